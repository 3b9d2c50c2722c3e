/* winograd: what the files of Winograd's method share. winograd.c says what it is. */
#ifndef CNNC_SCHEDULE_WINOGRAD_H
#define CNNC_SCHEDULE_WINOGRAD_H

#include "internal.h"

enum { MOST_POINTS = 6, FEW_POINTS = 4, SIDES = 2 };

/* winograd_matrix.c: a matrix, and where it is not 0. */
typedef struct {
	const double *at;
	const uint8_t *mask;
	int rows, cols;
} Matrix;

/* For so many points, infinity among them, and taps; `turned`: these from the last to the first. */
typedef enum {
	MATRIX_INPUT,  /* points x points */
	MATRIX_FILTER, /* points x taps */
	MATRIX_OUTPUT, /* outputs of a tile x points */
	MATRIX_FILTER_BACK,
	MATRIX_OUTPUT_BACK /* the transposed ones */
} MatrixKind;

Matrix winograd_make_matrix(Arena *a, MatrixKind kind, int points, int taps, bool turned);

/* winograd_find.c: a convolution of stride 1, forward, by data or by weights. x is what the window
 * moves over; it meets the weights or, by weights, the outputs' gradient. */
typedef struct {
	const Nest *nest;
	bool by_weights;
	int x, other;                /* loads */
	int image, out, in;          /* dims; by weights: out is the gradient's channel, in is x's */
	int side[SIDES], tap[SIDES]; /* dims; one is summed over, the other is space */
	int tap_at[SIDES], out_at, in_at; /* positions in the weights; not by weights */
	int64_t first[SIDES];             /* x's index is side + first + t, tap t counted upwards */
	int64_t lo[SIDES], hi[SIDES];     /* where x is there */
	bool turned[SIDES];
	int64_t taps;
	int64_t points; /* a tile has so many a side, MOST_POINTS or FEW_POINTS */
} Found;

bool winograd_find(const Nest *n, Found *f);

/* Image (task*turns + turn)*images + i and row of tiles first + band*rows + t where there are
 * several blocks of images; else the image is i and the row first + (task*bands + band)*rows + t.
 */
typedef struct {
	int64_t m;                 /* outputs of a tile's side */
	int64_t first, high, wide; /* tiles: the first row, rows, columns */
	int64_t rest;         /* rows of pixels in the last row of tiles, where it is no whole one */
	int64_t images, rows; /* of a turn */
	int64_t tasks, turns, bands;
	bool over_images;
	int64_t channels; /* of the outputs in a turn, where turns are over these; else 0 */
} Tiling;

/* What tiles are cut from, and how they are transformed: x and the input's matrix, say. */
typedef struct {
	const Access *from;
	const char *what;
	Matrix matrix;        /* points x pixels of a tile's side */
	int64_t channels;     /* of `from`, from its offset on */
	int64_t first[SIDES]; /* pixel of the first tile's first */
	int64_t lo[SIDES], hi[SIDES];
	Buffer *rows, *tiles; /* R and V */
} Source;

/* A step being replaced. */
typedef struct {
	Arena *arena;
	Part *part;
	Map *matrices;    /* by what they are: layers of one form share kernels if they share these */
	bool from_memory; /* weights are not in a cache when they are read first */
	int at;           /* where the next step goes */
	Step *step;
	Found f;
	Tiling t;
	int group; /* of the steps to come; 0: none */
	Matrix output, filter[SIDES];
	Source x;
	Buffer *filters, *weights, *products, *columns;
} Winograd;

/* winograd_turn.c: what all directions do with a turn. */
Matrix winograd_matrix(Winograd *w, MatrixKind kind, bool turned); /* for w's taps */
int64_t winograd_extent(const Winograd *w, int dim);
int64_t winograd_divisor(int64_t n, int64_t want);       /* the largest that is no larger */
int64_t winograd_bytes(const Found *f, const Tiling *t); /* of R, V, M and Z for one turn */
/* `tiles` tiles a turn or near that; tasks that work in no more than `memory`, but `least`. */
Tiling winograd_tiling(
    const Found *f, int64_t first, int64_t high, int64_t tiles, int64_t memory, int64_t least);
Buffer *winograd_buffer(
    Winograd *w, const char *layout, int rank, const int64_t *shape, uint32_t folded);
/* A buffer with a dim for the tasks and one, left out of its layout, for the turns. */
Buffer *winograd_turned(Winograd *w, const char *layout, int rank, const int64_t *shape);
/* The joined dims come first. */
enum { TASK, TURN, BAND };
/* The steps to come are a group, if there is more than one turn. */
void winograd_begin_group(Winograd *w, Tiling t, int *groups);
Nest *winograd_begin_turn(Winograd *w, const char *name);
void winograd_put(Winograd *w, Nest *n, const char *what); /* as the next step, in w->group */
/* Turns over blocks of the outputs' channels, of which one of 16 takes `block` bytes: as many as
 * stay in the cache, or are no larger than the `tiles` bytes that each turn reads again, if four
 * tasks are left. false: there are no such blocks. */
bool winograd_channel_turns(const Winograd *w, int64_t block, int64_t tiles, Tiling *t);
Affine winograd_mixed(int high, int64_t factor, int low);
Affine winograd_turn(const Winograd *w);
Affine winograd_image(const Winograd *w, int i);
Affine winograd_row(const Winograd *w, Affine t);
int64_t winograd_channels(const Winograd *w);       /* of the outputs, in a turn */
Affine winograd_channel(const Winograd *w, int oc); /* by its number in a turn */
/* acc += matrix[row][col] * load x, where that is not 0. */
Expr *winograd_transform(Winograd *w, Nest *n, const Matrix *m, int row, int col, int x);
/* Two steps: R of s, and V. */
void winograd_put_source(Winograd *w, const Source *s);
/* The found nest's stores and the loads they need, with of[d] in place of its dim d. */
void winograd_stores(Winograd *w, Nest *n, Expr *sum, const Affine *of);
/* The input's transform of x, with buffers for the turns of w->t. */
Source winograd_images(Winograd *w);
void winograd_source(Winograd *w, Source *s); /* gives s such buffers */

/* winograd_weights.c: the found gradient by weights; false: plain is better. */
bool winograd_by_weights(Winograd *w, int *groups);

#define VAR(d) index_of(affine_var(d))

#endif
