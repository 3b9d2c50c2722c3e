/* nest: one loop-nest form for every operator.
 *
 * Meaning of a Nest: for each point of the space dims: every accumulator starts at `init`; for each
 * point of the reduction dims where all guards hold, all accumulators are updated at once; then
 * every store happens. Gather form only: each space point writes its own elements, so space dims
 * are independent, reduction dims commute (unless `ordered`), and there is no dependence analysis.
 * A nest without reduction dims runs its updates once for each point where the guards hold. All
 * store values of a point are computed before its first store, so a value reads what was there
 * before.
 *
 *   Nest + Schedule ─ tree_build ─▶ Tree ─ check_partition, check_bounds, check_stores ─▶ emit
 *
 * Accesses carry logical indices, never addresses: the layout is a property of the Buffer. */
#ifndef CNNC_NEST_H
#define CNNC_NEST_H

#include "../base.h"
#include "../ir.h"

enum {
	NEST_DIMS = 12, /* dims of one nest */
	NEST_LOADS = 16,
	NEST_STORES = 4,
	NEST_ACCS = 4,
	NEST_GUARDS = 8,
	BUFFER_RANK = 6,
	COMPONENTS = 12,
	AFFINE_TERMS = 10,
	SCHEDULE_LINES = 32
};

/* --- affine.c: c + sum k*var. In a Nest a var is a dim's index, in a Tree a loop's number. --- */

typedef struct {
	int var;
	int64_t k;
} Term;

typedef struct {
	int64_t c;
	int n;
	Term t[AFFINE_TERMS]; /* sorted by var, no zero factors */
} Affine;

int64_t floor_div(int64_t a, int64_t b); /* b > 0 */
Affine affine_number(int64_t c);
Affine affine_var(int var);
Affine affine_add(Affine a, Affine b);
Affine affine_sub(Affine a, Affine b);
Affine affine_scale(Affine a, int64_t k);
Affine affine_plus(Affine a, int64_t c);
int64_t affine_k(const Affine *a, int var); /* its factor, 0 when absent */
bool affine_same(const Affine *a, const Affine *b);
Affine affine_subst(const Affine *a, const Affine *of_var); /* var v becomes of_var[v] */
Affine affine_fix(const Affine *a, int var, int64_t value);
int64_t affine_eval(const Affine *a, const int64_t *value_of_var);
void affine_range(const Affine *a, const int64_t *count_of_var, int64_t *lo,
    int64_t *hi); /* vars in 0..count-1 */
/* floor(a/q) as an affine form: the terms that q divides, the rest must be constant; else false. */
bool affine_div(const Affine *a, int64_t q, const int64_t *count_of_var, Affine *quotient);
void affine_print(const Affine *a, const char *const *name_of_var, Text *out);

/* An index a/q. q > 1 only under a guard that q divides a, so that the quotient is exact: either
 * term by term, once the schedule has fixed the remainders of its dims, or at run time, in what the
 * guard lets through. */
typedef struct {
	Affine a;
	int64_t q;
} Index;

Index index_of(Affine a);
Index index_div(Affine a, int64_t q);

/* --- buffer.c: logical shape and layout ---------------------------------------------------- */

/* One physical dimension, outer to inner: (i[dim]/div) % mod; mod 0: no modulus. */
typedef struct {
	int dim;
	int64_t div, mod;
	int64_t extent, stride;
} Component;

typedef enum {
	PLACE_NONE, /* not yet decided */
	PLACE_WORK, /* the arena of the entry */
	PLACE_VARS,
	PLACE_SLOTS,
	PLACE_GRADS,  /* canonical, at State.offset */
	PLACE_PACKED, /* written by pack, read by infer */
	PLACE_INPUT,  /* an argument: images, labels, seed, hyperparameters */
	PLACE_OUTPUT, /* an argument: loss, outputs */
	PLACE_TABLE   /* constants of the text */
} Place;

typedef struct Buffer {
	const char *name; /* for people: the layer's or state's name */
	Type type;
	int rank;
	int64_t shape[BUFFER_RANK]; /* logical */
	int64_t room[BUFFER_RANK];  /* >= shape: what the layout has place for */
	int ncomp;
	Component comp[COMPONENTS];
	int64_t size; /* elements, layout and all */
	Place place;
	int64_t offset;      /* elements from the place's start; WORK: set by the planner */
	int slot;            /* INPUT, OUTPUT: which argument */
	State *state;        /* VARS, SLOTS, GRADS: whose */
	const double *table; /* TABLE */
	uint64_t key;        /* of a seed: added to the keys hashed with it */
	bool lent;       /* WORK: in the memory of gradients that are not yet written, not the arena */
	bool fixed;      /* its layout is not ours to choose: all but WORK and PACKED */
	bool laid;       /* whoever made it has laid it out */
	uint32_t folded; /* bits of dims that the layout leaves out: their values share one place, in a
	                  * group of steps that runs once for each of them */
	struct Buffer *within; /* WORK: lies in there, with its tasks' pieces, from element `at` on */
	int64_t at;
	int id; /* dense within its program part; set by lower */
} Buffer;

Buffer *buffer_new(Arena *a, const char *name, Type type, int rank, const int64_t *shape);
void buffer_row_major(Buffer *b);
/* Layout from text over the dims a b c d ... outer to inner: "a b/16 c d b%16". With `skew`, that
 * many elements are added to the stride of each component that steps over whole planes (div > 1,
 * mod 0), so that planes do not fall on one cache set. false: the text does not cover every dim
 * exactly. */
bool buffer_layout(Buffer *b, const char *layout, int64_t skew);
void buffer_layout_text(const Buffer *b, Text *out); /* reads back with buffer_layout */
/* Physical offset of logical indices as an affine form over the same vars; false: not affine. */
bool buffer_address(
    const Buffer *b, const Affine *at, const int64_t *count_of_var, Affine *address);
int64_t buffer_offset(const Buffer *b, const int64_t *at);
/* Elements by which the address moves with the index of dim d, whatever its value; 0: the layout
 * takes it apart. */
int64_t buffer_stride(const Buffer *b, int d);
/* {seed, step, key} and not {seed, step}: kernels then differ in no literal. */
bool seed_keyed(const Buffer *b);

/* --- expr.c: bodies ------------------------------------------------------------------------ */

typedef enum {
	E_ACC,   /* accumulator `id` */
	E_LOAD,  /* load `id` of the nest */
	E_NUM,   /* number */
	E_INDEX, /* the value of an affine form */
	E_TABLE, /* table[index0][index1], constant when scheduled */
	E_ADD,
	E_SUB,
	E_MUL,
	E_DIV,
	E_MAX, /* a > b ? a : b, exactly: max(0, x) passes NaN, as x86's max does */
	E_MIN, /* a < b ? a : b, exactly */
	E_GT,
	E_EQ,
	E_NE,
	E_OR,
	E_AND,    /* truth: only as a condition */
	E_SELECT, /* arg0 ? arg1 : arg2 */
	E_CALL,   /* function `fn` of arg0 (and arg1) */
	E_HASH, /* uniform in [0, 1), 24 bits: of the seed buffer (load `id`), `key`, element `index0`;
	         * a seed of three numbers holds a key of its own, to which `key` is added */
	E_ROUND /* arg0, rounded as memory would hold it */
} ExprKind;

typedef enum { FN_EXP, FN_LOG, FN_SQRT, FN_TANH, FN_ABS, FN_POW } Function;

typedef struct Expr Expr;
struct Expr {
	ExprKind kind;
	int id;
	double number;
	Function fn;
	uint64_t key;
	const double *table;
	int64_t cols;
	const Affine *index; /* two, of INDEX, TABLE and HASH; NULL */
	Expr *arg[3];
};

Expr *e_acc(Arena *a, int k);
Expr *e_load(Arena *a, int load);
Expr *e_num(Arena *a, double x);
Expr *e_index(Arena *a, Affine i);
Expr *e_table(Arena *a, const double *table, int64_t cols, Affine row, Affine col);
Expr *e_op(Arena *a, ExprKind kind, Expr *x, Expr *y);
Expr *e_select(Arena *a, Expr *condition, Expr *yes, Expr *no);
Expr *e_call(Arena *a, Function fn, Expr *x, Expr *y);
Expr *e_hash(Arena *a, int seed_load, uint64_t key, Affine element);
/* A value that was stored, where it is read without that. Of a product and a sum compilers make one
 * instruction, which does not round the product: so that the bits do not depend on who reads it, a
 * value that may be a product is an E_ROUND. */
Expr *e_stored(Arena *a, Expr *value);
bool expr_uses_load(const Expr *e, int load);
/* e, which has indices, over other dims. */
Expr *e_reindexed(Arena *a, const Expr *e, const Affine *of_dim);
/* Copies in which `leaf` may replace a node. It returns NULL to keep it, and answers the same for a
 * node all along. What is shared stays so, in an expression and among all that are rewritten
 * together: it is computed once then. */
typedef struct {
	Arena *arena;
	Expr *(*leaf)(void *self, const Expr *e);
	void *self;
	Map made; /* by what it was made of */
} Rewriting;
Rewriting expr_rewriting(Arena *a, Expr *(*leaf)(void *self, const Expr *e), void *self);
Expr *expr_rewrite(Rewriting *r, const Expr *e);
/* Calls visit for each node until it returns false; false when it did. */
bool expr_visit(const Expr *e, bool (*visit)(void *self, const Expr *e), void *self);
void expr_print(const Expr *e, const char *const *name_of_dim, Text *out);

/* --- nest.c -------------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	int64_t extent;
	bool reduce;
} Dim;

typedef struct {
	Buffer *buffer;
	const char *as; /* its name in the kernel: x, w, dy */
	Index *at;      /* [buffer->rank]; no two accesses share theirs */
	int prefetch;   /* elements ahead, 0: none */
	bool far;       /* into the second-level cache alone, as what is needed much later */
	bool seen;      /* only asked for where the processor does not see such streams by itself */
	bool early;     /* asked for before the sums that it meets in a store */
} Access;

typedef enum { GUARD_RANGE, GUARD_DIVIDES, GUARD_MASK } GuardKind;

typedef struct {
	GuardKind kind;
	Index *e; /* [2]: RANGE: lo <= e0 < hi; DIVIDES: q | e0.a; MASK: table[e0][e1] != 0 */
	int64_t lo, hi, q;
	const uint8_t *table;
	int cols;
} Guard;

typedef enum { COMBINE_SUM, COMBINE_MAX, COMBINE_NONE } Combine; /* NONE: order matters */

typedef struct {
	double init;
	Combine combine;
	Expr *update;
} Acc;

typedef struct {
	Access to; /* at[] with q == 1 */
	Expr *value;
} Store;

typedef struct {
	Arena *arena;      /* of its indices */
	const char *name;  /* class, the kernel's name stem: conv, conv_dw, map */
	const char *layer; /* for people */
	int ndim, nload, nguard, nacc, nstore;
	int join; /* its first dims, which a group of steps walks together: see program.h */
	Dim dim[NEST_DIMS];
	Access load[NEST_LOADS];
	Guard guard[NEST_GUARDS];
	Acc acc[NEST_ACCS];
	Store store[NEST_STORES];
	bool ordered; /* reduction must run in dim order: max-pool's first maximum */
	bool inplace; /* a store may share its buffer with a load at the same index */
	Where where;
} Nest;

Nest *nest_new(Arena *a, const char *name);
/* One that does a part of what `of` does: of the same layer and place in the description. */
Nest *nest_part(Arena *a, const Nest *of, const char *name);
/* A nest of its own, indices and all; expressions never change and are shared. */
Nest *nest_copy(Arena *a, const Nest *n);
/* A copy of the other, and like it in all but what it asks for ahead. */
bool nest_same_work(const Nest *x, const Nest *y);
uint32_t nest_update_loads(const Nest *n); /* bits: those that updates read */
int nest_dim(Nest *n, const char *name, int64_t extent, bool reduce); /* its var */
int nest_load(Nest *n, const char *as, Buffer *b, const Index *at);   /* same access: same load */
/* x mentions b at these indices, which are copied. */
void access_put(Arena *a, Access *x, Buffer *b, const Index *at);
void nest_guard_range(Nest *n, Index e, int64_t lo, int64_t hi);
void nest_guard_divides(Nest *n, Affine e, int64_t q);
void nest_guard_mask(Nest *n, Affine row, Affine col, const uint8_t *table, int cols);
int nest_acc(Nest *n, double init, Combine combine, Expr *update);
void nest_store(Nest *n, const char *as, Buffer *b, const Affine *at, Expr *value);
/* Its loads, then its stores: 0..nload + nstore - 1. */
const Access *nest_access(const Nest *n, int k);
bool access_moves(const Access *x, int dim);
bool indices_same(const Access *a, const Access *b); /* of the same buffer, or of another */
/* Elements by which one more of the dim moves it: where the buffer's layout does not cut the dim.
 */
int64_t access_step(const Access *x, int dim);
void nest_print(const Nest *n, Text *out); /* --dump=nests */
/* Nests of one form have the same trees, proofs and, on the same alignment, texts. Appends bytes.
 */
void nest_form(const Nest *n, Text *out);
/* NULL, or what is wrong with it: dims out of range, reduction dim in a store, quotient
 * without its guard, accumulator used before it is declared. */
const char *nest_verify(Arena *a, const Nest *n);

/* Updates acc + load * load, one accumulator: convolution in every variant, its gradients, dense.
 */
typedef struct {
	bool is;
	int load[2];
} Product;

Product nest_product(const Nest *n);

/* --- take.c -------------------------------------------------------------------------------- */

/* Adds from's accumulators to `to`, or its stores, and what they load. `of`: from's dims over to's.
 * acc: what is stored for each of from's accumulators; NULL: to's of the same number. */
void nest_take_sums(Nest *to, const Nest *from, const Affine *of);
void nest_take_stores(Nest *to, const Nest *from, const Affine *of, Expr *const *acc);
/* Adds from's guards, which say where its sums are made. */
void nest_take_guards(Nest *to, const Nest *from, const Affine *of);

/* --- fuse.c -------------------------------------------------------------------------------- */

/* `map` (no reduction, no guard, no accumulator) reads the only store of `into` at plain dims that
 * cover it. Returns one new nest equal to the two, keeping the store for other readers if `keep`;
 * NULL when the form does not allow it. Neither argument is changed. */
Nest *fuse_map(Arena *a, const Nest *into, const Nest *map, bool keep);

/* --- inline.c ------------------------------------------------------------------------------ */

/* `reader` reads what `map` (as above, of one store, and with no index in its value) stores.
 * Returns a new nest that makes these values itself; NULL when the form does not allow it. */
Nest *inline_map(Arena *a, const Nest *map, const Nest *reader);

/* --- flatten.c ----------------------------------------------------------------------------- */

/* A map of whole row-major tensors, whose buffers have their places, as one loop over rows of as
 * many numbers, which stand for them under the same ids. n itself when it is none. */
Nest *flatten_map(Arena *a, const Nest *n);

/* --- merge.c ------------------------------------------------------------------------------- */

/* A map whose neighbouring dims walk every buffer like one dim, with one dim instead: vectors then
 * run over rows' ends. n itself when it is no map. */
Nest *merge_dims(Arena *a, const Nest *n);

/* --- tree_build.c: schedules --------------------------------------------------------------- */

typedef enum {
	LINE_FOR,  /* loop in units of `by`; a ragged end becomes its own piece. A loop that would cross
	            * the blocks of a layout becomes two: over blocks, then inside one */
	LINE_PAR,  /* as FOR, space only: its iterations may run at once; leading lines only */
	LINE_TILE, /* as FOR in balanced units; units where a range guard is undecided are pieces */
	LINE_PHASE, /* the `by` residues, each a piece; a residue whose guards are false is dead */
	LINE_REG, /* an instance of the tile for each unit of `by` values: its own accumulators. With 16
	           * left, `reg oc 8 | vec oc 8` are two instances of 8 lanes; `reg ow` is one for each
	           * value. A ragged end becomes a tile of its own */
	LINE_VEC, /* `by` lanes; when fewer values are left, half and a quarter as many, LEAST_LANES at
	           * least, each a tile of its own, then an instance for each value. What lies in blocks
	           * must keep all of these whole. Of a sum more may be left: runs of `by` values, which
	           * lines below go through */
	LINE_CUT, /* runs of values over which every guard has one truth: each a piece */
	LINE_UNROLL /* a copy in the leaf for each unit of `by` values; reduction dims in the tile */
} LineKind;

typedef struct {
	LineKind kind;
	int dim;
	int64_t by; /* 0: units of 1; vec and phase: all that is left */
} Line;

typedef struct {
	int n;
	Line line[SCHEDULE_LINES];
	int64_t extent[NEST_DIMS]; /* padded extents of space dims; 0: the nest's own */
} Schedule;

/* Text form, one target's schedule: "par oc 16 | oh | tile ow 6 | reg ow | vec oc 8 | ic | cut kw".
 * `pad oc 16` rounds the extent up. NULL, or what is wrong. `for` may be left out. */
const char *schedule_parse(Arena *a, const Nest *n, const char *text, Schedule *s);
void schedule_print(const Nest *n, const Schedule *s, Text *out);

/* The tile closes (accumulators live from there on) at the first line after the reg and vec lines,
 * or, in a schedule without these, where only reduction lines are left. Reduction lines above the
 * tile make it see its reduction in chunks: see tile_chunks(). */

typedef enum { TREE_LOOP, TREE_TILE, TREE_LEAF } TreeKind;

typedef struct {
	int var;
	int64_t count;
	int dim;
	bool lanes; /* vec */
} Reg;

enum {
	TILE_REGS = 6,
	LEAST_LANES = 4,       /* of vectors at the ends of rows */
	TILE_INSTANCES = 1024, /* accumulators of one kind in a tile, lanes counted; copies in a leaf */
	TREE_NODES = 16384,
	TREE_VARS = 8192
};

typedef struct Tree Tree;
struct Tree {
	TreeKind kind;
	Vec(Tree *) kid; /* LOOP: what is inside; TILE: reduction loops and leaves */
	int var, dim;    /* LOOP */
	int64_t count;
	LineKind line;
	int nreg; /* TILE: instances; LEAF: unrolled copies */
	Reg reg[TILE_REGS];
	Affine *sub;             /* TILE, LEAF: each dim over the loop vars; TILE: first values */
	int64_t span[NEST_DIMS]; /* TILE: largest minus first value of each dim inside the tile */
	bool dead;               /* LEAF: no guard holds here; kept for the partition check only */
};

/* A scheduled nest. Loop vars are numbered across the whole tree; count[var] is the trip count. */
typedef struct {
	const Nest *nest;
	Schedule schedule;
	int64_t extent[NEST_DIMS]; /* padded */
	Vec(Tree *) root;
	int nvar;
	int64_t *count;
	Vec(const char *) var_name;
} Scheduled;

/* NULL with *error set when the schedule does not fit the nest (not affine, ragged register tile).
 */
Scheduled *tree_build(Arena *a, const Nest *n, const Schedule *s, const char **error);
Scheduled *tree_copy(Arena *a, const Scheduled *s); /* nothing in it is in s's memory */
/* The tree as it was built, once: the same for all steps and targets that share it. */
const void *tree_built(const Scheduled *s);
void tree_print(const Scheduled *s, Text *out); /* --dump=trees */
int64_t tree_lanes(const Scheduled *s);         /* of its vectors; 1: it has none */
int64_t tree_blocks(
    const Scheduled *s); /* iterations of the leading par loops, over all pieces; 1: serial */

/* A dim of which a tile sees only a part at a time. `base` is its first value there over the loop
 * vars (reg vars at 0). The chunk is the first when base == 0 for every such dim, the last when
 * base == last for every one. First: accumulators start at `init`, else at what waits in the place
 * of store k; not last: raw accumulators are written there instead of the stores. Private
 * accumulators (reg or vec of a reduction dim): only instance 0 starts at what waits, and they are
 * combined before the writing. */
typedef struct {
	int dim;
	Affine base;
	int64_t last;
} Chunk;

int tile_chunks(
    const Scheduled *s, const Tree *tile, Chunk *chunk /* [NEST_DIMS] */); /* 0: whole */

/* Instances of a tile or copies of a leaf: one for each combination of the regs that are not lanes,
 * numbered with the last reg fastest. instance_fix() sets these regs in sub[ndim]; lanes stay vars.
 */
int instance_count(const Reg *reg, int nreg);
void instance_fix(const Reg *reg, int nreg, int instance, const Affine *sub, int ndim, Affine *out);

typedef enum { NEVER, ALWAYS, MAYBE } Truth;
/* Truth of a guard after substitution of dims by affine forms over loop vars. */
Truth guard_truth(const Guard *g, const Affine *sub, const int64_t *count_of_var);
/* An index after substitution; false when a quotient is not exact term by term there. */
bool index_resolve(const Index *i, const Affine *sub, Affine *out);
/* Some guard says that i->q divides i->a, so that the quotient is exact where it is used. */
bool index_guarded(const Nest *n, const Index *i);

/* --- check_*.c: proofs, each independent of the builder. NULL, or what could not be proven. --- */

const char *check_partition(Arena *a, const Scheduled *s); /* each domain point exactly once */
const char *check_bounds(Arena *a, const Scheduled *s); /* each access inside its buffer's room */
const char *check_stores(Arena *a, const Scheduled *s); /* store maps injective, no racing par */
const char *check_order(
    Arena *a, const Scheduled *s); /* chunks first to last; ordered nests in order */
const char *check_all(Arena *a, const Scheduled *s);
/* For proofs about several nests. What x touches over all points of n is a box: each index takes
 * every value from its least to its largest, whatever the others are. */
bool access_is_box(const Nest *n, const Access *x);
/* No element of their buffer is touched by both; false when unsure. */
bool accesses_apart(const Nest *n, const Access *x, const Nest *m, const Access *y);

/* --- interp.c: the meaning, in double ------------------------------------------------------ */

/* memory[b->id] holds b->size doubles for each buffer mentioned (labels as doubles). A seed buffer
 * is not read: E_HASH takes seed and step from here. */
typedef struct {
	double **memory;
	uint64_t seed, step;
} Machine;

void run_naive(const Nest *n, const Machine *m);
void run_tree(const Scheduled *s, const Machine *m);
/* One turn of a group's member: one value of its joined dims, numbered with the last one fastest;
 * 0..nest_turns()-1. */
int64_t nest_turns(const Nest *n);
void run_naive_turn(const Nest *n, const Machine *m, int64_t turn);
void run_tree_turn(const Scheduled *s, const Machine *m, int64_t turn);
/* The emitted generator in C: uniform in [0,1) with 24 bits (see emit/prelude). */
double hash_uniform(uint64_t seed, uint64_t step, uint64_t key, uint64_t element);

#endif
