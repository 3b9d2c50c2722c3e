/* program: entries as lists of nests, and where every buffer lies. Between the graph and the text.
 *
 *   graph ─ lower ─▶ Part ─ fuse, layout, hoist, plan, schedule ─▶ Part ─ program ─▶ emit */
#ifndef CNNC_PROGRAM_H
#define CNNC_PROGRAM_H

#include "ir.h"
#include "nest/nest.h"
#include "targets/target.h"

typedef enum {
	ENTRY_INIT,
	ENTRY_PACK,
	ENTRY_INFER,
	ENTRY_EVAL,
	ENTRY_GRADIENTS,
	ENTRY_UPDATE,
	ENTRY_STEP
} EntryKind;

/* An argument of an entry other than vars, packed, slots, grads, work, pool. */
typedef struct {
	const char *name;
	Type type;
	Shape shape; /* with the batch */
	bool output;
	bool of_step; /* the optimiser's numbers, from struct NET_train: not the function's argument */
	int64_t classes; /* labels: range 0..classes-1, checked at entry; 0 for the others */
} Argument;

/* One kernel call. `tree[t]` is the nest scheduled for target t of the program's list.
 *
 * Neighbouring steps of one group run turn by turn: for each value of the dims that they join, all
 * of them, in order. So what one hands to the next may lie in a buffer whose layout leaves joined
 * dims out, which is small and stays in the cache. The first joined dim is never left out: its
 * values are tasks, which may run at once. */
typedef struct {
	const Nest *nest;
	int group; /* 0: none */
	Scheduled *tree[TARGET_LIMIT];
	const char *comment; /* "conv1: 1x32x32 -> 6x28x28" */
	int64_t macs;
	bool is_short; /* not worth a second thread */
} Step;

/* A compiled part: one entry's work. */
typedef struct {
	EntryKind kind;
	const char *name; /* infer_b1, gradients_b64: without the prefix */
	int64_t batch;
	Vec(Argument) arg;    /* Buffer.slot of INPUT and OUTPUT indexes this list */
	Vec(Buffer *) buffer; /* by id */
	Vec(Step) step;
	int64_t element_bytes; /* set by the planner, as are these: */
	int64_t work;          /* bytes of the arena, alignment included */
	int64_t gradients;     /* bytes of their memory, which is lent until they are written; or 0 */
	int64_t
	    work_lower_bound; /* most bytes live at one step, gradients included, less `gradients` */
	int recomputed;       /* nodes of the graph that are there twice; 0, or: */
	int64_t work_kept;    /* bytes of the arena if none were */
} Part;

typedef struct {
	const Model *model;
	const struct Options *options;
	bool is_double;
	int ntarget;
	const Target *target[TARGET_LIMIT];
	Vec(Part *) part;
	Vec(State *) slot;     /* in order of slots */
	int64_t slots, packed; /* elements */
} Program;

/* lower.c: the only place where nodes become nests. */
Part *lower_graph(Arena *a, const Graph *g, EntryKind kind, const char *name);
/* init.c: first values of all states. */
Part *lower_init(Arena *a, const Model *m);
/* pack.c: what depends on weights alone moves from the inference parts to one `pack` part, written
 * once, in packed memory; equal nests of several batch sizes are shared. NULL when there is
 * nothing. */
Part *hoist_pack(Arena *a, Part *const *infer, int n, int64_t *packed);

/* plan.c: places every WORK buffer. Liveness per step; buffers never alive together may share. */
void plan_memory(Arena *a, Part *p, int64_t element_bytes);

/* group.c: the step behind the last of those that run with step s: s + 1 where it is in no group.
 */
int group_end(const Part *p, int s);

/* uses.c. */
/* Whether n stores weights or slots: it is the optimiser's. */
bool moves_weights(const Nest *n);
/* The first step that does; the end where there is none. */
int first_update(const Part *p);

/* verify.c: NULL or what is wrong. Two live buffers that overlap; a state written before
 * its last reader; a read of what nobody wrote; an access out of place; a racing store. */
const char *verify_part(Arena *a, const Part *p);

/* interp: runs a part in double, all buffers by place. Canonical memories are the caller's. */
typedef struct {
	double *vars, *slots, *grads, *packed;
	double **arg; /* by slot; labels as doubles */
	uint64_t seed, step;
} Memory;
bool part_run(Arena *a, const Part *p, const Memory *m, int tree_of_target); /* -1: naive nests */

#endif
