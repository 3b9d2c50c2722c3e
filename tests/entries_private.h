/* What the ways through a network's entries share. */
#ifndef CNNC_TESTS_ENTRIES_PRIVATE_H
#define CNNC_TESTS_ENTRIES_PRIVATE_H

#include "entries.h"

/* What an entry may read and write; all of it may be given to every entry. The model's inputs come
 * next, then its outputs. */
enum { VARS, SLOTS, GRADS, PACKED, LOSS, HYPER, FIELDS };

typedef struct {
	double **of;
	int64_t *count;
	const char **name; /* as arguments have them; NULL: not among these */
	int fields;
} Frame;

/* One way to run an entry. */
typedef struct {
	void *self;
	void (*run)(void *self, EntryKind kind, int64_t batch, Frame *f);
} Way;

/* All of it NaN but inputs and hyper; then vars and slots as they are before the first entry. */
void frame_new(const Net *net, Arena *a, Frame *f);
void frame_restart(const Net *net, Frame *f);
/* Runs all entries, in the order of Results, and gathers what they give. */
Results entries_go(const Net *net, Arena *a, Way way);
int frame_field(const Frame *f, const char *name); /* of an argument; -1: there is none */
/* The part of that kind and batch, and its number; NULL: there is none. */
const Part *program_part(const Program *p, EntryKind kind, int64_t batch, int *number);
/* The entry's graph as the model has it; NULL for init and pack. */
Graph *entry_graph(const Net *net, EntryKind kind, int64_t batch);
/* Runs a part by its naive nests, or for target >= 0 by its trees. */
void frame_run(Arena *a, const Part *p, const Frame *f, int target);

#endif
