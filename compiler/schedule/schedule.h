/* schedule: decisions about nests. Layouts and schedules are chosen from the form of the nest (a
 * contraction, a window reduction, a map), never from the operator's name or a list of known
 * layers. */
#ifndef CNNC_SCHEDULE_H
#define CNNC_SCHEDULE_H

#include "../program.h"

/* What was decided, as readable data: `key = text` lines, keys made of class and shape. */
typedef struct {
	Arena *arena;
	Diag *diag; /* for nests that no schedule fits; NULL: these are faults of cnnc */
	Vec(struct Decision {
		const char *key;
		const char *text;
		bool given;
	}) item;
} Decisions;

/* prune.c: without stores that nobody reads. */
void prune_part(Arena *a, Part *p);
/* fuse.c: maps into the nests that produce their inputs. */
void fuse_part(Arena *a, Part *p);
/* layout.c: a layout for every buffer that is ours, and copies where a fixed buffer must be read or
 * written in another form (weights packed for the kernels, gradients brought back to canonical). */
void layout_part(Arena *a, Part *p, Decisions *d);
/* inplace.c: maps write over operands that die there. */
void inplace_part(Arena *a, Part *p);
/* choose.c: a schedule for each nest and target; follows `d` where it names the nest. A nest past
 * some limit is reported, and the part is of no use then. */
void schedule_part(
    Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, Decisions *d);

#endif
