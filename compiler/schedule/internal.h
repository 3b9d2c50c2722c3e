/* internal: what layout and schedule both ask about a nest's form. */
#ifndef CNNC_SCHEDULE_INTERNAL_H
#define CNNC_SCHEDULE_INTERNAL_H

#include "../program/internal.h"
#include "schedule.h"

enum {
	CHANNEL_BLOCK = 16,
	NARROW_BLOCK = 8,
	WIDE_BLOCK = 64,
	PLAIN_CHANNELS = 4,
	PRODUCT_ROWS = 8, /* of a matrix that are gone through at a time, and columns */
	PRODUCT_STRIP = 128,
	FAR_NUMBERS = 1 << 18 /* what memory has to hold: of floats a megabyte, as a core's own cache */
};

/* Of so many channels, how many lie side by side; see layout.c. */
int64_t channel_block(int64_t channels);

/* An index of x that mixes dims like digits of one number, (c*H + h)*W + w, becomes one index for
 * each digit: the copy has these as dims of its own. Returns the new rank; dim[i] is the old
 * position. */
typedef struct {
	int rank;
	int64_t shape[BUFFER_RANK];
	Index at[BUFFER_RANK];
	int position[BUFFER_RANK];   /* of the old index */
	int64_t weight[BUFFER_RANK]; /* of this digit in the old index */
} Refined;

/* matrix.c: a product of a matrix of weights, row by row as the user has it, and images: which of
 * its accesses are the matrix, what moves with columns, and what moves with rows. */
typedef struct {
	int w, x, y; /* as nest_access() counts */
	int part;    /* of the rows; -1: they have none */
	int row, image, columns, column[NEST_DIMS];
	int64_t images;
} MatrixProduct;

bool matrix_product(const Nest *n, MatrixProduct *m);
/* n is one, and a copy of the weights in another layout would serve too few images. */
bool keeps_matrix(const Part *p, const Nest *n, MatrixProduct *m);

/* inplace.c: n is a map that may store y over x, if x dies there: both are ours and of one form. */
bool writes_over(const Nest *n, const Buffer *x, const Buffer *y);

/* form.c */
Product contraction_of(const Nest *n); /* the product that n sums over some dim */
/* The position in x whose index is dim alone (times 1), else -1; other dims may add to it. */
int access_position(const Access *x, int dim);
/* The dim over images: leads in both operands of a sum over them; perhaps of one. -1: none. */
int image_dim(const Nest *n);
/* The old buffer's row-major numbers as digits; false: too many dims. */
bool refine(const Nest *n, const Access *x, Refined *r);
/* Which digit of the refined index is dim d alone, -1: none. */
int refined_position(const Refined *r, int d);
/* The dim that should run along the lanes: channels of what is stored; where these are few, the
 * channels that a contraction sums over. -1: none. */
int lane_dim(const Nest *n);
/* Blocks of the dim lie side by side where it is stored, by whoever decides that: no copy brings
 * them there. */
bool stores_blocks(const Nest *n, int d);
/* A summed dim that both factors of a contraction have side by side, or could: -1: none. */
int summed_lanes(const Nest *n);
/* Whether every access that moves with d is at d alone in one position, and no guard asks for d. */
bool may_be_lanes(const Nest *n, int d);
/* Values that lie side by side when the index at this position steps by one; 1: none. */
int64_t buffer_run(const Buffer *b, int position);
/* Whether the update (true) or the stores (false) of n use load l. */
bool load_in_update(const Nest *n, int l);
/* Whether what n stores holds an expression of this kind. */
bool stores_use(const Nest *n, ExprKind kind);
/* Or its updates. */
bool nest_uses(const Nest *n, ExprKind kind);
/* Of all dims; INT64_MAX: more than that. */
int64_t nest_points(const Nest *n);

/* What becomes of the strides of a gradient: phases, each a piece of text, and registers over them;
 * phases alone; or loops over everything, which ask at run time whether the stride divides. */
typedef enum { STRIDES_WIDE, STRIDES_NARROW, STRIDES_ASKED } Strides;

/* How a schedule departs from what the form speaks for: for those who measure. */
typedef struct {
	int registers;    /* so many more for the accumulators of a contraction */
	bool other_tile;  /* without the dim that instances share vectors over */
	bool other_order; /* blocks of lanes outside, where they would be inside, or the reverse */
	int chunks;       /* of a sum over images: so many times doubled, or halved */
} Departure;

/* A schedule being written. */
typedef struct {
	const Nest *nest;
	const Target *target;
	int lanes;     /* of the target's vectors */
	int lane;      /* the dim along them */
	int64_t block; /* values of it that lie side by side */
	Product contraction;
	int64_t unroll; /* channels summed in one piece of straight text */
	Strides strides;
	Departure departure;
	Schedule s;
	bool whole; /* sums over images stay in one chunk */
	bool full;  /* more lines than a schedule holds */
} Choice;

/* Instances of a tile along one dim. */
typedef struct {
	int dim;
	int64_t by;            /* instances */
	bool whole;            /* all of the dim */
	int64_t extent, units; /* of the dim, or of a block of it: in so many tiles */
} Share;

enum { MOST_SHARES = 3 };

/* Bytes that come from far away, not from the caches near by. */
enum { LEAST_STREAM = 400 << 10 };

/* images.c: the outer loops of a sum over images; false: it is none, or a small one. */
bool image_loops(Choice *c, int64_t lane_block, const Share *share, int nshare);
bool is_one_task(const Choice *c, int64_t lane_block); /* with tiles of so many lanes */
int64_t sums_block(const Choice *c); /* lanes of a tile that is wider than others'; 0 */
/* Its tile that has all taps of all channels, in so many registers. Returns the shares; 0: none. */
int window_shares(const Choice *c, int64_t room, Share *share);
/* product.c: those of a product with a matrix that sums up its rows; false: it is none. */
bool product_loops(Choice *c, int64_t lane_block, const Share *share, int nshare);
/* One that moves its matrix by a sum over images; false: it is none. */
bool moved_row(Choice *c);
/* Shares of one that sums up along its rows. */
int product_shares(const Choice *c, const MatrixProduct *m, int64_t room, Share *share);
/* n, with prefetches where they pay. */
const Nest *ask_ahead(Arena *a, const Nest *n, const Target *t);

/* private.c: a dim that is summed, of which each accumulator has `by` values; -1: none. */
typedef struct {
	int dim;
	int64_t by;
} Private;

/* Tiles of so many accumulators keep a machine busy by themselves. */
enum { BUSY_TILE = 8 };

/* For a tile of so many vectors that share no sums. */
Private private_accumulators(const Choice *c, int64_t vectors);
int64_t private_parts(const Choice *c, Private own);

/* rows.c: parts of a schedule. */
void row_line(Choice *c, LineKind kind, int dim, int64_t by);
void outer_loop(Choice *c, int d, bool shared); /* over d, unless tiles share all of it */
bool is_shared(int d, const Share *share, int nshare);
bool shares(const Choice *c, int d); /* instances over d share the vectors along the lanes */
/* Tiles over dim d of at most `most` instances, as even as they can be. */
Share share_of(const Choice *c, int d, int64_t most);
bool is_space(const Choice *c, int d); /* of more than one value, and not joined */
bool is_reduced(const Choice *c, int d);
bool is_masked(const Choice *c, int d); /* a mask asks for d, and must be decided */
/* The last vector may be a whole one, where there is room behind what counts. */
void fill_lanes(Choice *c);
int64_t blocked(const Choice *c, int d); /* the block in which d lies in memory anywhere, 1: none */
int64_t lane_extent(const Choice *c);    /* padded */
int broadcast_load(const Choice *c);     /* the load that the lanes do not move, -1 */
/* rows.c: each writes the lines of one candidate. */
void plain_row(Choice *c); /* loops in order, phases where guards ask for them */
/* Residues of the reduction dims in each of the space dims': pieces that phases make, 0: none. */
int64_t phase_pieces(const Nest *n);
bool flat_row(Choice *c); /* a map of one dim; false: it is none */
/* Where the lanes are summed over: every instance has a vector of parts of its sum. */
void sum_row(Choice *c, int64_t room);
void vector_row(
    Choice *c, int64_t lane_block, int64_t room); /* room: instances that share vectors */
/* copy.c: a map into or out of blocks; false: it is none. */
bool copy_row(Choice *c);
bool copy_vectors(Choice *c); /* by vectors of what lies side by side */
/* transform.c: a table asks for dim d: its value must be known in the text. */
bool is_tabled(const Choice *c, int d);
/* A small constant matrix times vectors, and the row for it. */
bool is_transform(const Choice *c);
void transform_row(Choice *c, int64_t lane_block, int64_t room);
void choice_begin(Choice *c); /* the first lines of all rows */
/* tasks.c: the outermost loops that are of space dims; whether they are worth threads. */
void make_parallel(Choice *c);
bool is_short(const Nest *n);
/* What a product takes in tiles of so many vectors, and the dims that share them. */
int64_t row_cost(const Choice *c, int64_t room, int64_t vectors, int *nshare);
int64_t register_room(const Choice *c); /* accumulators that fit beside the operands */

#endif
