/* schedule: decisions about nests. Layouts and schedules follow from the form of the nest (a
 * contraction, a window reduction, a map), never from the operator's name or a list of known
 * layers. */
#ifndef CNNC_SCHEDULE_H
#define CNNC_SCHEDULE_H

#include "../program.h"

/* The schedules, as readable data: `key = text` lines, keys made of class and shape. */
typedef struct {
	Arena *arena;
	Diag *diag; /* for nests that no schedule fits; NULL: these are faults of cnnc */
	Vec(struct Decision {
		const char *key;
		const char *text;
		bool taken;        /* a nest has it */
		const char *fault; /* of a given one: why the nest that it names cannot have it */
		Where where;       /* of a given one, and */
		const Target *target;
	}) item;
	bool waits, whole; /* to be compared with: nothing is asked for ahead; no chunks (images.c) */
	Map made;          /* the first Step of each form of nest */
	Map recorded;      /* keys of items that are taken */
	Arena *scratch;    /* of trees that are tried */
} Decisions;

/* decisions.c: a file of them (NULL: none); false after errors. */
bool decisions_read(Decisions *d, Diag *diag, const char *path);
/* After all parts are scheduled: reports those that were given and not taken. A key that no nest
 * has is a warning: it may be another batch size's; none if the file is shared by networks. */
void decisions_check(
    const Decisions *d, Diag *diag, const Target *const *target, int ntarget, bool shared);
void decisions_print(const Decisions *d, Text *out);

/* stages.c: prune, fuse and inline if it is to, and early; then unmask, sums, winograd if it is to,
 * sums of images, matrix, sums of rows, near and layout. Left are order and inplace, which see
 * whole parts, and schedule_part(). */
void simplify_part(Arena *a, Part *p, bool fuses);
void form_part(
    Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, bool winograd);

/* prune.c: without stores that nobody reads. */
void prune_part(Arena *a, Part *p);
/* fuse.c: maps into the nests that produce their inputs. */
void fuse_part(Arena *a, Part *p);
/* inline.c: large values that are cheap to make into the nests that read them. */
void inline_part(Arena *a, Part *p);
/* early.c: in a training step, weights move as soon as they may. */
void early_part(Arena *a, Part *p);
/* unmask.c: link tables into weights. */
void unmask_part(Arena *a, Part *p);
/* sums.c: long sums of few results in parts, for threads. */
void sums_part(Arena *a, Part *p);
/* winograd.c: convolutions of stride 1 by fewer multiplications, where that pays. For floats. */
void winograd_part(Arena *a, Part *p);
/* sums_images.c: sums over images in parts, where results are few beside what is read. */
void sums_of_images_part(Arena *a, Part *p);
/* matrix.c: products of few images with weights that training changes read these as they lie. */
void matrix_part(Arena *a, Part *p);
/* sums_images.c: of those with many rows the sums over these, likewise. */
void sums_of_rows_part(Arena *a, Part *p);
/* near.c: what is handed from step to step goes row by row. */
void near_part(Arena *a, Part *p);
/* layout.c: a layout for every buffer that is ours, and copies where a fixed buffer must be read or
 * written in another form (weights packed for the kernels, gradients brought back to canonical). */
void layout_part(Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double);
/* order.c: steps in an order in which fewer bytes live at once. */
void order_part(Arena *a, Part *p);
/* inplace.c: maps write over operands that die there. */
void inplace_part(Arena *a, Part *p);
/* choose.c: a schedule for each nest and target; follows `d` where it names the nest. A nest past
 * some limit is reported, and the part is of no use then. */
void schedule_part(
    Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, Decisions *d);
bool schedule_same(const Schedule *x, const Schedule *y);
/* What a decision about this nest is recorded under. */
const char *schedule_key(Arena *a, const Nest *n, const Target *t);
/* Up to `most` schedules with vectors, each proven and within the unroll budget, no two the same.
 * Those that the form speaks for come first, then what departs from them; returns how many. */
int schedule_candidates(
    Arena *a, const Nest *n, const Target *t, bool is_double, Scheduled **list, int most);

#endif
