/* op: what an operator is. One constant descriptor says everything; ops.def lists them; no other
 * file names an operator. The field's words: a kernel has height and width, a pad has four sides.
 */
#ifndef CNNC_OP_H
#define CNNC_OP_H

#include "ir.h"
#include "nest/nest.h"

typedef enum {
	ATTR_INT,  /* i */
	ATTR_REAL, /* r */
	ATTR_BOOL, /* b */
	ATTR_PAIR, /* pair: one number or {height, width} */
	ATTR_PADS, /* pads: one number, {height, width} of numbers or {before, after}; valid, same, full
	            */
	ATTR_LINKS, /* links: {{0,1,2}, ...}, zero-based input maps of each output map; default none */
	ATTR_AXES,  /* axes: names or numbers; default the mask `value`, or all but the batch for 0 */
	ATTR_NAME,  /* s: one of `choices` */
	ATTR_MAP    /* map: set by other operators, never from Lua */
} AttrType;

typedef struct {
	const char *name; /* NULL ends the list */
	AttrType type;
	double value;    /* default, for all members of a pair or of pads */
	double min, max; /* inclusive range; min > max: any. A default outside it means "not given" */
	bool required;   /* no default: the Lua method insists */
	bool argument;   /* of optimisers: each step is given this number, a description only says what
	                  * it is as a rule; the operator loads it, and never asks attr_real() */
	bool optional;   /* an argument only where the description gives it: see clip.c */
	int position; /* 1: also the first number after the path, or [1] of the option table; 0: by name
	                 only */
	const char *doc;
	const char *choices; /* ATTR_NAME: "mean sum none", default the first */
} Attr;

/* A state that the method creates: name below the layer's path, shape, initial value. */
typedef struct {
	const char *name; /* "weight" */
	StateKind kind;
	Shape shape;
	Init init;
} StateSpec;

enum { MAX_STATES = 6 };

/* What a layer costs, by formula; summary's columns. Per image. */
typedef struct {
	int64_t connections; /* the 1998 paper's count: one per weight use, biases included */
	int64_t macs;
	int64_t
	    parameters; /* trainable numbers in use: a link table uses fewer than its weight holds */
} Cost;

/* --- services for descriptors -------------------------------------------------------------- */

/* infer: report against the node's line and return false. The message need not name the layer. */
bool infer_error(Graph *g, Node *n, const char *format, ...) PRINTF_LIKE(3, 4);
/* Sets result k: the shape's sizes must be positive and its product fit; else reports, false. */
bool infer_out(Graph *g, Node *n, int k, Shape shape, Type type);
/* The same check for another shape, as of a state; `what` opens the message: "the weight". */
bool infer_size(Graph *g, Node *n, const char *what, Shape shape);
/* What every infer may begin with: every operand is there and TYPE_REAL, or TYPE_LABEL where
 * `operands` calls it "label" and TYPE_SEED where it calls it "seed"; every attribute is in range
 * (its default always is: a default outside the range means "not given"); else reports, false. */
bool infer_begin(Graph *g, Node *n);

/* lower: nests over buffers in row-major logical form; the layout comes later. */
typedef struct Lower Lower;
Arena *lower_arena(Lower *l);
/* A new nest, appended to the program in this order. Name: the kernel's stem. */
Nest *lower_nest(Lower *l, const Node *n, const char *name);
/* An access to a graph value at indices over the value's own dims: handles views. Returns the load.
 */
int lower_load(Lower *l, Nest *nest, const char *as, const Value *v, const Index *at);
void lower_store(Lower *l, Nest *nest, const char *as, const Value *v, const Affine *at, Expr *e);
/* A temporary between the nests of one node. */
Value *lower_temp(Lower *l, const char *name, Shape shape);
/* The value's buffer is a window of another's, at these offsets: no nest (slice). */
void lower_alias(Lower *l, const Value *window, const Value *whole, const int64_t *offset);
/* What was lowered into `part` so far goes into `whole` at these offsets instead, without a copy.
 * false: not possible (an input, a state, already placed elsewhere); copy then (concat). */
bool lower_merge(Lower *l, const Value *part, const Value *whole, const int64_t *offset);

/* gradient: the gradient of result k (NULL: nothing flows there), and giving one to an operand.
 * grad_wanted: whether operand i leads to a weight that is not frozen. */
typedef struct Grad Grad;
Graph *grad_graph(Grad *g);
Value *grad_of(Grad *g, const Node *n, int k);
bool grad_wanted(Grad *g, const Node *n, int i);
void grad_add(Grad *g, const Node *n, int i, Value *dx);

/* expand: a node of the model in another mode. The hook builds what replaces it in x->graph and
 * returns one value per result. Operands are already in the new graph. */
typedef struct {
	Graph *graph;
	Mode mode;
	Value *const *in;
	Value *seed;         /* the entry's {seed, step}, for random operators; NULL in MODE_INFER */
	State *const *state; /* the states that in[] were read from, NULL where in[i] is no read */
} Expand;

/* --- elementwise bodies -------------------------------------------------------------------- */

/* A map's body as a function of its operands; one text serves interpreter, double, scalar C,
 * vectors. p: the node's numbers (attributes). gradient[i]: dy times the derivative by operand i,
 * of the operands x[0..n-1], the result x[n] and dy x[n+1]; NULL: no gradient flows to that
 * operand. `reads` tells which of x a gradient looks at, so that the others may die: bit i. */
typedef struct MapExpr {
	const char *name;
	int operands;
	Expr *(*value)(Arena *a, Expr *const *x, const double *p);
	struct {
		Expr *(*by)(Arena *a, Expr *const *x, const double *p);
		uint32_t reads;
	} gradient[3];
} MapExpr;

/* y = body(in...): operands of smaller rank or of size 1 are broadcast (a rank-1 operand [C] runs
 * along the channels, dim 1). For operators and gradients built from elementwise pieces. */
Value *graph_map(Graph *g, const MapExpr *body, Value *const *in, int nin, const double *p, int np);
/* Shared by the descriptors of elementwise operators, which set `body` and these: p are the node's
 * ATTR_REAL attributes in order. Broadcast operands get their gradient summed back to their shape.
 */
bool map_infer(Graph *g, Node *n);
void map_lower(Lower *l, const Node *n);
void map_gradient(Grad *g, const Node *n);
/* The body of an elementwise node; NULL: the node is not elementwise. */
const MapExpr *map_body(const Node *n);
/* Sum of x over the axes in which `shape` is smaller (or absent): the gradient of a broadcast. */
Value *graph_sum_to(Graph *g, Value *x, Shape shape);
Value *graph_add_n(Graph *g, Value *const *x, int n); /* n-ary sum; n == 1: x[0] itself */
/* y = x*scale + shift, operands x, scale [C], shift [C]: what batch norm is in inference, and the
 * form that the fold pass offers to OpDesc.absorb. */
extern const MapExpr map_scale_shift;

/* --- clipping: what an optimiser's clip_norm and clip_value ask for; clip.c ------------------ */

bool clips_norm(const Optimizer *o);
/* What all gradients, as one row, are to be multiplied with. */
Value *graph_clip_factor(Graph *g, const Optimizer *o, Value *all, Value *hyper);
/* A gradient as the optimiser shall see it; factor is NULL unless clips_norm(). */
Value *graph_clip(Graph *g, const Optimizer *o, Value *gradient, Value *factor, Value *hyper);

/* --- the descriptor ------------------------------------------------------------------------ */

typedef enum {
	OP_METHOD = 1,         /* offered to Lua as a method of tensors */
	OP_LOSS = 2,           /* result 0 is a scalar loss, the mean over the batch */
	OP_OPTIMIZER = 4,      /* offered as sgd{...} */
	OP_STATEFUL = 8,       /* the method's first argument is a parameter path */
	OP_GRADIENT_ONLY = 16, /* made by gradients, never differentiated: gradient may be NULL */
	OP_REGROUP =
	    32,        /* result 0 is operand 0 with the dims after the batch written as one: flatten */
	OP_ROWS = 256, /* an optimiser that looks at each number by itself: weights side by side are
	                * updated as one row */
	OP_JOINS = 512, /* operands are written straight into result 0: all of them are kept, or none */
	OP_MANY = 128,  /* the method gives all results, not just the first: split */
	OP_ANY_DIMS =
	    64 /* operand 0 may have any dims after the batch; it looks at their product: dense */
} OpFlag;

struct OpDesc {
	const char *name; /* also the Lua method's */
	const char *doc;  /* one sentence; REPL help */
	const char *sign; /* what arithmetic in network files becomes it: "+", "-", "*", "/" of two
	                   * operands, "^" with a number, "a*x+b" with two; else NULL */
	unsigned flags;
	int min_in, max_in; /* operands that are values, states included */
	int states;         /* how many of the operands, the last ones, are states made by the method */
	const Attr *attr;   /* ends with a NULL name; may be NULL */
	const MapExpr *body; /* elementwise operators; else NULL */
	/* States the method creates for operands `in` (only the non-state ones are set). Returns how
	 * many, or -1 after an error was reported and the node poisoned. */
	int (*state_specs)(Graph *g, Node *n, StateSpec *spec);
	bool (*infer)(Graph *g, Node *n);
	Value **(*expand)(Expand *x, Node *n); /* NULL: copied as it is in every mode */
	void (*lower)(Lower *l, const Node *n);
	void (*gradient)(Grad *g, const Node *n);
	/* The oracle: plain double C over row-major tensors, written apart from lower. */
	void (*reference)(const Node *n, const double *const *in, double *const *out);
	Cost (*cost)(const Node *n); /* NULL: nothing counted */
	/* How many results, the first ones, are worth making again in the backward pass instead of
	 * keeping them: they cost about a pass over the operands. */
	int cheap;
	/* A node that makes these again, to the bit, of operands `in` and n's other results, which are
	 * kept. NULL: as n made them. */
	Node *(*again)(Graph *g, const Node *n, Value *const *in);
	/* Offers y = op(x)*scale[C] + shift[C] as one node with other weights, so that batch norm
	 * folds; returns the new value or NULL. */
	Value *(*absorb)(Graph *g, Node *n, Value *scale, Value *shift);
	/* Small cases for tests, fuzzing and documentation, one a line:
	 * "x=2x3x8x8 w=4x3x3x3 b=4 | stride=2 pad=1". Operands by name in order, then attributes;
	 * `label` operands as "label=2<10" (batch 2, classes 10), `seed` operands as "seed=2".
	 * Attributes: pairs "3" or "3x5", booleans "true" or "false", names as they are, links
	 * "0,1/1,2/0,2": the inputs of each output map. Real operands of a special kind: "var=3>0" all
	 * between 0 and 1, "arg=2x4%9" whole numbers 0..8, "x=2x4+16" numbers from 15 to 17.
	 */
	const char *operands; /* "x w b", names of the operands in order */
	const char *samples;
};

/* Access: op_relu, from ops.def. */
#define OP(upper, lower) extern const OpDesc op_##lower;
#include "ops.def"
#undef OP

extern const OpDesc *const op_table[];
extern const int op_count;
const OpDesc *op_find(const char *name);            /* or NULL */
const OpDesc *op_signed(const char *sign);          /* or NULL */
int attr_index(const OpDesc *op, const char *name); /* bug() when absent */
bool attr_exists(const OpDesc *op, const char *name);
/* Of an optimiser, the k-th number that each step is given, or -1: its index in op->attr. They are
 * members of the emitted struct NET_train, in this order; optional ones do not count, they follow
 * where they are given. */
int op_argument(const OpDesc *op, int k);
int op_arguments(const OpDesc *op); /* how many there are */
/* Attributes of node n by name, for descriptors. */
int64_t attr_int(const Node *n, const char *name);
double attr_real(const Node *n, const char *name);
bool attr_bool(const Node *n, const char *name);
const int64_t *attr_pair(const Node *n, const char *name);
const Pads *attr_pads(const Node *n, const char *name);
const char *attr_name(const Node *n, const char *name);
const LinkTable *attr_links(const Node *n, const char *name); /* NULL: none given */
/* A fresh table for `op` with every attribute that n has under the same name and type; for
 * gradients. */
AttrValue *attrs_like(Arena *a, const OpDesc *op, const Node *n);
void attr_set_int(const OpDesc *op, AttrValue *attr, const char *name, int64_t i);
void attr_set_bool(const OpDesc *op, AttrValue *attr, const char *name, bool b);
void attr_set_pair(const OpDesc *op, AttrValue *attr, const char *name, int64_t h, int64_t w);
/* As many before as after. */
void attr_set_pads(const OpDesc *op, AttrValue *attr, const char *name, int64_t h, int64_t w);

#endif
