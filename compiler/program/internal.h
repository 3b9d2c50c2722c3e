/* internal: what the files of the program room share. */
#ifndef CNNC_PROGRAM_INTERNAL_H
#define CNNC_PROGRAM_INTERNAL_H

#include "../program.h"

/* Steps that load or store a buffer, -1: none. */
typedef struct {
	int first, last; /* any mention */
	int first_store, last_store;
	int last_load;
} Life;

/* uses.c: steps that read and write a buffer, in order, each once. Whoever changes steps keeps his
 * own lists right. */
typedef Vec(int) Steps;

typedef struct {
	Steps load, store;
} Use;

Use *part_uses(Arena *a, const Part *p); /* by buffer id */

enum { LINE_BYTES = 64 }; /* of a cache line: where work buffers begin */

/* b is the gradient by a weight, in the caller's memory, and this part writes it. */
bool part_makes_gradient(const Part *p, const Buffer *b);
void part_lives(const Part *p, Life *life /* by buffer id */);
/* The load of n that reads b, -1: none. The first of several. */
int nest_load_of(const Nest *n, const Buffer *b);
int nest_store_of(const Nest *n, const Buffer *b);
/* Every load of b in n is at the index of its only store to b, so that b may be read and written in
 * place; loads inside a reduction are refused. */
bool nest_reads_in_place(const Nest *n, const Buffer *load, const Buffer *store);
/* A new step at position `at`; those from there on move. */
void part_insert(Arena *a, Part *p, int at, const Nest *n, const char *comment);
void part_remove(Part *p, int at); /* those behind it move back */
Buffer *part_buffer(
    Arena *a, Part *p, const char *name, Type type, int rank, const int64_t *shape, Place place);

/* verify_reads.c: nobody reads what nobody wrote. */
const char *verify_reads(Arena *a, const Part *p);
/* turns.c: what a turn works in, in one piece. */
void share_turns(Arena *a, Part *p, int64_t element_bytes);
const char *verify_turns(Arena *a, const Part *p);
/* group.c: the number of a task, the first of the joined dims. */
bool index_is_task(const Index *at);
/* group.c: turns of a group meet nowhere but where nothing is handed on. */
const char *verify_groups(Arena *a, const Part *p);

#endif
