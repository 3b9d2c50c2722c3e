/* internal: what the files of the printer share among themselves and nobody else needs.
 *
 *   emit_kernel ─ kernel.c: loops, blocks ─ tile.c: accumulators, stores ─ leaf.c: copies, guards
 *                 partial.c: long sums in parts ─ across.c: sums over a vector's lanes
 *                 ahead.c, slices.c: what is asked for before it is read
 *                 offset.c: where an access lies, as text ─ value.c: expressions, loads
 *   emit_program ─ program.c ─ unique.c, functions.c, kernels.c, helpers.c, entry.c, interface.c,
 *                 profile.c, banner.c, prelude.c ─ words.c, foreign.c: names and texts of others */
#ifndef CNNC_EMIT_INTERNAL_H
#define CNNC_EMIT_INTERNAL_H

#include "emit.h"

enum { KERNEL_BUFFERS = NEST_LOADS + NEST_STORES, LOOP_DEPTH = SCHEDULE_LINES + 1 };

/* --- prelude.c: functions that kernels may call, as bits ----------------------------------- */

typedef enum {
	USE_MAX = 1 << 0,
	USE_MIN = 1 << 1,
	USE_SELECT = 1 << 2,
	USE_SPLAT = 1 << 3,
	USE_EXP = 1 << 4,
	USE_LOG = 1 << 5,
	USE_TANH = 1 << 6,
	USE_SQRT = 1 << 7,
	USE_ABS = 1 << 8,
	USE_POW = 1 << 9,
	USE_HASH = 1 << 10,
	USE_ACROSS = 1 << 11, /* sums and maxima over the lanes of a vector */
	USE_NARROW = 1 << 12, /* vectors of half or a quarter of the target's lanes */
	USE_ROUND = 1 << 13,
	USE_ALL = (1 << 14) - 1
} Use;

unsigned prelude_uses(const Nest *n);
void prelude_print(Text *out, const Target *const *target, int n, bool is_double, unsigned uses);
int target_lanes(const Target *t, bool is_double); /* of its vectors; 0: scalar text only */
/* "f32x8", the suffix of types and functions; "f32" without lanes. Static or in `room`. */
const char *type_suffix(int lanes, bool is_double, char room[16]);
void target_word(const Target *t, Text *out); /* "x86_64", a part of names */
/* "CNNC_AVX2 ", to be put before a function's type; "" where the target needs no attribute. */
void target_attribute(const Target *t, Text *out);

/* --- kernel.c ------------------------------------------------------------------------------ */

/* functions.c: a function of the text, a tile's or a whole kernel. */
typedef struct {
	const char *name;
	const char *text; /* from the parameter list on */
	bool is_tile;
	uint32_t users;                    /* bits: the targets whose kernels stand on it */
	Vec(struct UniqueKernel *) kernel; /* that it is; none: a tile's */
} CFunction;

/* The functions of one target, equal texts once. A text that a plainer target has as well is not
 * printed again, where it gives the same numbers there. */
typedef struct Functions {
	Arena *arena;
	const Target *target;
	int number;                  /* of the target in the program */
	const char *prefix, *suffix; /* of tiles: the k-th is called prefix k suffix */
	struct Functions *plainer;   /* of the next target that may serve this one's machines */
	int tiles;
	bool narrow; /* some have vectors of fewer lanes than the target's */
	Vec(CFunction *) at;
	Map by_text;     /* by hash */
	Map literal;     /* literals by their values */
	Text body, text; /* scratch of the printer */
} Functions;

void functions_open(Functions *f, Arena *a, const Target *t);
/* The function of this text in f or a plainer target's; NULL: there is none. `hash`: hash_here().
 * `fuses`: products may go into sums, so that only machines that round alike give equal results. */
CFunction *function_find(Functions *f, const char *text, uint64_t hash, bool fuses);
CFunction *function_add(Functions *f, const char *name, const char *text, uint64_t hash);
void function_print(Functions *f, const CFunction *x, Text *out);
/* Whether a compiler that contracts a*b + c may do so in this nest. */
bool nest_fuses(const Nest *n);

/* What a kernel costs, for comments and the stack's size. */
typedef struct {
	int64_t tiles, functions; /* places that call a tile, functions that were new */
	int64_t bytes;            /* of their text */
	int64_t stack;            /* bytes of named locals, all counted */
} KernelCost;

/* From the parameter list on, so that equal kernels have equal texts. The nest's name is only
 * looked at by `pool`, whose new functions are all that outlives `scratch`. */
void kernel_print(Arena *scratch, const Scheduled *s, const Target *t, bool is_double,
    Functions *pool, Text *out, KernelCost *cost);

/* --- offset.c: places as text -------------------------------------------------------------- */

/* An address without its constant: a number of elements over the loops around, numbered by depth.
 * The values of indices in guards and bodies are keys too, of the buffer INDEX_VALUE. */
enum { INDEX_VALUE = -1 };

typedef struct {
	int buffer;
	Affine form; /* c == 0 */
} Key;

typedef Vec(Key) Keys;

typedef struct {
	Key key;
	char name[32];
	int64_t base; /* a parameter: the constant that the call adds */
} Offset;

typedef Vec(Offset) Offsets;

/* What all functions of one kernel have in common. */
typedef struct {
	Arena *arena; /* scratch */
	const Scheduled *tree;
	const Nest *nest;
	const Target *target;
	bool is_double;
	int lanes;        /* of the tile at hand, the target's if it has none; 0: scalar text only */
	const char *real; /* "float" */
	char suffix[16];  /* "f32" */
	char vector[16];  /* "f32x8", of the tile at hand */
	int nbuffer;
	const Buffer *buffer[KERNEL_BUFFERS];
	const char *array[KERNEL_BUFFERS]; /* their names in the text */
	uint32_t stored, disjoint; /* bits: written; written and provably nothing else's place */
	int *depth;                /* by tree var: the loop's depth on its path */
	Functions *pool;
	bool fuses;
	KernelCost *cost;
	Vec(const Expr *) shared; /* subexpressions that are named where they are used more than once */
	Vec(const Expr *) uniform;
	Map of_leaf; /* leaf.c: conditions that all of a leaf shares */
} Kernel;

/* One function being printed: the kernel itself, or a tile's function in it. */
typedef struct {
	Kernel *k;
	bool is_tile;
	int outer; /* in a tile's function, loops above this depth are the kernel's: parameters */
	int depth; /* loops around this place */
	char loop[LOOP_DEPTH][32];
	int dim[LOOP_DEPTH];
	int64_t turns[LOOP_DEPTH];
	int indent;
	Offsets local, root; /* carried by loops; parameters */
	Keys need;           /* what the text since the last loop began stands on */
	int named[KERNEL_BUFFERS + 1];
	uint32_t arrays;            /* bits: arrays mentioned */
	uint32_t unasked, streamed; /* as the tile's */
	Text *out;
} Scope;

/* stride * (form/q): what run time divides, where a guard has seen that there is no rest. */
typedef struct {
	Affine form; /* over the loops around, constant included */
	int64_t q, stride;
} Quotient;

typedef struct {
	Key key;
	int64_t c, lane; /* constant; elements from lane to lane */
	bool aligned;    /* to a whole vector, given unit lanes */
	int nquotient;
	const Quotient *quotient; /* added to all that */
} Address;

bool is_word(const char *s); /* kernel.c: taken, by the printer or by C */
bool key_same(const Key *a, const Key *b);
bool address_same(const Address *a, const Address *b);
/* Tree vars become depths. */
Affine over_loops(const Kernel *k, const Affine *a);
/* Where an access lies with dims as forms over tree vars; lane_var -1: no lanes. */
Address address_of(const Scope *s, const Access *x, const Affine *sub, int lane_var);
/* The variable that holds a key's value, for barriers; NULL: it is always 0. */
const char *offset_name(Scope *s, const Key *key);
void print_address(Scope *s, const Address *a, int64_t more); /* x[x_1 + 35] */
/* x, x_1 + 35 with ", " between them */
void print_place(Scope *s, const Address *a, int64_t more, const char *between);
/* The value of an index: `oh - 1 + kh`, or `i_0 + kh`. */
void print_index(Scope *s, const Affine *form, int64_t c);
void print_line(Scope *s, const char *format, ...) PRINTF_LIKE(2, 3); /* indented, with newline */
void print_indent(Scope *s);
/* A loop: begin names the var and remembers the place; end puts head and offsets before the body.
 */
typedef struct {
	size_t place;
	Keys need;
	int var, depth;
	const char *block; /* its value, when a block's number decides; NULL: a for loop */
} LoopText;
LoopText loop_begin(Scope *s, const Tree *loop, const char *block);
void loop_end(Scope *s, const LoopText *l, int64_t count);
void text_insert(Text *t, size_t at, const char *s);
/* Adds C text with its long lines broken. */
void text_wrapped(Text *out, const char *text);
int kernel_buffer(const Kernel *k, const Buffer *b);  /* its argument's number */
const char *c_type(const Kernel *k, const Buffer *b); /* of its numbers */

/* --- value.c: expressions as text ---------------------------------------------------------- */

typedef enum { SCALAR, VECTOR, TRUTH, MASK } Form;

/* Loads and parts of expressions that have names here. */
typedef struct {
	Address address;
	Form form;
	char name[32];
} Loaded;

typedef Vec(Loaded) LoadedList;

/* One point of the nest in the text: an instance of a tile, in one copy of a leaf. */
typedef struct {
	Scope *s;
	const Affine *sub; /* dims over tree vars */
	int lane_var;      /* -1: none */
	bool vector_acc;
	int uniforms;         /* of the kernel's uniform parts, those that have names by now */
	char acc[4][48];      /* names of the accumulators */
	LoadedList *loads;    /* NULL: loads are written where they are used */
	int *counter;         /* of names of loads, by buffer; [KERNEL_BUFFERS]: of parts */
	int load[NEST_LOADS]; /* which of loads; -1: not yet */
	Vec(struct Named {
		const Expr *e;
		char name[32];
		Form form;
	}) part;
} Point;

void point_begin(Point *p, Scope *s, const Affine *sub, int lane_var);
/* Declares what the expression reads; print_value may follow. */
void declare_value(Point *p, const Expr *e);
/* `want` SCALAR or VECTOR: a scalar is spread over the lanes. binding: see value.c. */
void print_value(Point *p, const Expr *e, Form want, int binding);
Form value_form(const Point *p, const Expr *e);
/* The name that holds the value in this form; one is declared if there is none. An accumulator's
 * own name holds its value only until it is updated; with `kept` the value gets another. */
const char *name_value(Point *p, const Expr *e, Form form, bool kept);
void find_shared(Kernel *k);

enum { BIND_NONE, BIND_OR, BIND_AND, BIND_COMPARE, BIND_ADD, BIND_MUL, BIND_UNARY };

/* --- ahead.c: prefetches; below, of what a tile's innermost loop will walk along ------------ */

int64_t line_of(const Kernel *k); /* elements of a cache line */
void ask_at_load(Point *p, const Access *x, const Address *a);
void ask_at_store(Scope *s, const Access *x, const Address *a);

/* --- tile.c, leaf.c ------------------------------------------------------------------------ */

/* The part that a tile asks for of what the next chunk reads: slices.c. */
typedef struct {
	int load;
	int64_t run, step; /* lines, so many elements apart */
	int64_t lines;     /* of these so many are the tile's */
	int outside;       /* loops of the tile that go from run to run */
	Affine number;     /* over tree vars: of `of` tiles that read the same */
	int64_t of;
	int turn; /* depth of the loop over chunks; its last turn, and where the next chunk is then */
	int64_t last, far, near;
	bool each_loop; /* of weights: each innermost loop, which reads so many, asks for `lines` */
	int64_t turn_lines;
} Slice;

/* A tile being printed. In scalar text its lanes are instances like the others. */
typedef struct {
	Kernel *k;
	const Tree *tree;
	Reg reg[TILE_REGS];
	int nreg, instances;
	int lane_var;      /* -1: no vectors */
	bool lane_reduces; /* the lanes are of a reduction dim */
	bool asks_loads;   /* its sums are whole, and stored with what is early */
	bool asks_stores;  /* or go where they are added up, which is */
	Slice slice[2];
	int nslice;
	uint32_t unasked;  /* bits: loads that are asked for in slices, or that nothing comes after */
	uint32_t streamed; /* bits: weights, of whose next block each tile asks for a slice */
	Vec(const Tree *) partial; /* loops each turn of which is a sum of its own: partial.c */
} Tile;

void partial_choose(Tile *t);
bool partial_at(const Tile *t, const Tree *loop);
/* First and last of such a loop's body. */
void partial_begin(Scope *s, const Tile *t);
void partial_end(Scope *s, const Tile *t);

/* `alone`: nothing else stands in this block. */
void tile_print(Scope *s, const Tree *tile, bool alone);
void accumulator_name(const Tile *t, int acc, int instance, char room[48]);
void print_reduction(Scope *s, const Tile *t);
/* ahead.c: before the loop begins, and first in its body */
/* Where x lies for an instance of a leaf when the loop over var, around it, is in this turn. */
Address address_in_turn(const Scope *s, const Tile *t, const Tree *leaf, const Access *x,
    int instance, int var, int64_t turn);
void ask_at_loop(Scope *s, const Tile *t, const Tree *loop, bool inside);
/* What the sums are stored with, which comes from far away while they are made: at the start of a
 * tile (NULL), or in its outermost loop. */
void ask_early(Scope *s, const Tile *t, const Tree *loop);
/* slices.c: the tile's, the parameters that say where they are, and the asking, as above */
void slices_find(Scope *s, Tile *t);
void slices_of_weights(Scope *s, Tile *t);
void print_slice_parameters(const Tile *t, Text *out);
void print_slice_arguments(Scope *s, const Tile *t);
void ask_slices(Scope *s, const Tile *t, const Tree *loop, bool inside);
void ask_slices_of_loop(Scope *s, const Tile *t, const Tree *loop, bool inside);
/* Where x lies for what an instance stores; false: another instance stores for it. */
bool stored_place(const Scope *s, const Tile *t, int instance, const Access *x, Address *a);

/* --- across.c: the body of a vector's sum, or largest lane; the sum again, by shuffles -------- */

void print_across(Text *out, bool sum, bool is_double, int lanes);
void print_halves(Text *out, const char *vector, bool is_double, int lanes);

/* --- unique.c: the kernels of a program, equal ones once ----------------------------------- */

typedef struct UniqueKernel {
	const char *name; /* conv_64x56x56_64x3x3_1a2b */
	const Nest *nest;
	uint64_t hash; /* of the texts */
	struct {
		const char *text; /* scratch until there is a function */
		CFunction *function;
		const Scheduled *tree;
		int64_t blocks;
		KernelCost cost;
	} by_target[TARGET_LIMIT];
	int64_t macs;          /* of one call */
	bool is_short;         /* of its steps */
	bool told;             /* its uses are listed somewhere in the text */
	Vec(const Step *) use; /* every step that calls it */
} UniqueKernel;

typedef Vec(UniqueKernel *) UniqueKernels;

/* A constant table of the text; equal numbers once. */
typedef struct {
	const double *number;
	int64_t count;
} Table;

typedef struct {
	const char **at; /* NULL: free */
	size_t n, room;
} Words;

typedef struct {
	Arena *arena, *scratch; /* of the kernel being printed */
	const Program *program;
	const char *real, *prefix, *upper; /* float, lenet, LENET */
	UniqueKernels kernel;
	Map by_signature, by_text, by_name; /* of UniqueKernel */
	Functions functions[TARGET_LIMIT];
	UniqueKernel ***of_step; /* by part, by step */
	Vec(Table) table;
	unsigned uses;
	int64_t stack;
	bool profile;           /* steps are timed */
	Words taken;            /* what no argument may be called */
	const char ***argument; /* names by part, by argument; NULL: a draft */
	/* what lies behind `packed`, in elements: its own, a copy of vars, pack's work */
	bool packs_vars;
	int64_t vars_at, pack_work_at, packed_elements;
} Emission;

void find_kernels(Emission *e);
int find_table(const Emission *e, const Buffer *b);
void print_tables(const Emission *e, Text *out);
/* kernels.c */
void print_kernel_names(const Emission *e, Text *out); /* all that a draft needs of them */
void print_kernels(Emission *e, Text *out);
void print_kernel_tables(const Emission *e, Text *out); /* and the choice among them */

/* --- foreign.c: texts of strangers --------------------------------------------------------- */

/* Nothing in it ends a comment, goes on in the next line or makes a compiler wonder. */
void print_comment_text(Text *out, const char *s);
void print_string(Text *out, const char *s); /* as a literal, quotes and all */
bool is_includable(const char *name);        /* as #include "name" */

/* --- words.c: what arguments are called ---------------------------------------------------- */

/* What a draft declares at file scope is taken; with `bodies`, all that it says. */
void take_words(Emission *e, const char *draft, bool bodies);
void name_arguments(Emission *e); /* after that */
const char *argument_name(const Emission *e, const Part *p, int argument);
int part_number(const Emission *e, const Part *p);

/* --- interface.c: functions as the user sees them ------------------------------------------ */

void print_signature(const Emission *e, const Part *p, EntryKind kind, Text *out);
/* Inputs, then outputs, the loss first: order[] are argument numbers. Seeds and `hyper` are left
 * out. */
int user_arguments(const Part *p, int *order);
void print_header(const Emission *e, const char *guard, Text *h);
int64_t part_work(const Part *p); /* bytes, slack included; 0: none */
int64_t step_work(const Emission *e, const Part *gradients);
/* What an update works in: a local array, since its caller gives it no memory. */
int64_t scratch_bytes(const Emission *e);
int64_t bytes_of(const Emission *e, int64_t elements);
const Part *find_part(const Emission *e, EntryKind kind, int64_t batch); /* batch 0: any */
/* The largest inference batches first; returns how many. `any`: whether arguments lead with the
 * batch. */
int infer_parts(const Emission *e, const Part **part, bool *any);
void print_banner(const Emission *e, Text *out);
const char *shape_words(Arena *a, Shape s); /* 1 x 3 x 224 x 224 */

/* --- profile.c: steps that are timed (--profile) ------------------------------------------- */

void declare_profile(const Emission *e, Text *h);
void print_profile(const Emission *e, Text *out); /* the clock, the table and what fills it */
/* Numbers of the table's rows: a step's, behind these those of the part's checks for NaN; of the
 * copy in pack. */
int profile_row(const Emission *e, const Part *p, int step);
int profile_copy_row(const Emission *e);

/* --- helpers.c ----------------------------------------------------------------------------- */

bool has_groups(const Program *p); /* steps that take turns */
void print_runtime(const Emission *e, Text *out);
void print_refusals(Text *out); /* of -ffast-math */

/* --- entry.c ------------------------------------------------------------------------------- */

void print_entries(const Emission *e, Text *out);

#endif
