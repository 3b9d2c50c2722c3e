/* ir: the graph. Operators, shapes, state and gradients live here; after `lower` nobody knows them.
 *
 * A Graph is a list of nodes in an order in which each reads only what stands before it. A node
 * yields values; a value has a shape. The batch leads and is part of the shape: graph_instance()
 * rebuilds a model's graph for a batch size and a mode by asking every operator again.
 *
 * State is in SSA form: a NODE_READ yields the old value of a State, a NODE_ASSIGN gives it the
 * next one. An assign takes effect only after the last reader of the old value; verify_part()
 * proves it on the final order. */
#ifndef CNNC_IR_H
#define CNNC_IR_H

#include "base.h"
#include "diag.h"

enum { MAX_RANK = 4 };

typedef struct {
	int rank;
	int64_t dim[MAX_RANK];
} Shape;

typedef enum { TYPE_REAL, TYPE_LABEL, TYPE_SEED } Type; /* float or double | int32 | {seed, step} */

typedef struct Value Value;
typedef struct Node Node;
typedef struct Graph Graph;
typedef struct OpDesc OpDesc; /* op.h */

/* --- state: what a network keeps between calls -------------------------------------------- */

typedef enum { STATE_WEIGHT, STATE_BUFFER, STATE_SLOT } StateKind; /* buffers travel with weights */

typedef enum {
	INIT_CONSTANT, /* every element is `value` */
	INIT_UNIFORM,  /* [-value, value): LeCun's 2.4/fan_in, Glorot's sqrt(6/(in+out)), He's
	                * sqrt(6/in) */
	INIT_NORMAL    /* standard deviation `value` */
} InitKind;

typedef struct {
	InitKind kind;
	double value;
} Init;

typedef struct State {
	const char *name; /* the ecosystem's: layer1.0.conv1.weight */
	StateKind kind;
	Shape shape;
	Init init;
	bool frozen;            /* no gradient, no update */
	int64_t offset;         /* in elements: weights and buffers index vars, slots index slots */
	const struct State *of; /* a slot: the weight it serves */
	Where where;
} State;

/* --- values and nodes --------------------------------------------------------------------- */

struct Value {
	Node *node; /* its maker */
	int index;  /* which of the maker's results */
	Shape shape;
	Type type;
};

typedef enum {
	NODE_OP,       /* an operator of ops.def */
	NODE_INPUT,    /* an argument of the entry: image, label, seed, hyperparameters */
	NODE_CONSTANT, /* a table of numbers known at compile time */
	NODE_READ,     /* the old value of a state */
	NODE_ASSIGN,   /* gives a state its next value: in[0]; frozen at the end of the entry */
	NODE_OUTPUT    /* in[0] leaves the entry under `name` */
} NodeKind;

typedef enum { OUT_TENSOR, OUT_LOSS, OUT_GRADIENT, OUT_EXPOSED } OutputKind;

/* Zeros around an image: [0] above and below it, [1] to its left and right. */
typedef enum {
	PAD_GIVEN, /* as many as `before` and `after` say */
	PAD_SAME, /* outputs are inputs / stride, rounded up; an odd one goes behind (TensorFlow's SAME)
	           */
	PAD_FULL  /* a window's length less one: every output that any input reaches */
} PadMode;
typedef struct {
	PadMode mode;
	int64_t before[2], after[2];
} Pads;

/* An attribute's value; which member is alive is said by the descriptor's AttrType. */
typedef union {
	int64_t i;
	double r;
	bool b;
	int64_t pair[2]; /* height, width: given as one number or {h, w} */
	Pads pads;
	const struct LinkTable *links;
	const struct MapExpr *map; /* op.h: the body of an elementwise node */
	const char *s;
	uint32_t axes; /* bit d: axis d */
} AttrValue;

/* Which maps of the input each map of the output sees: row o, column i. */
typedef struct LinkTable {
	int rows, cols;
	int64_t links; /* number of ones */
	uint8_t *at;   /* rows*cols of 0 or 1 */
} LinkTable;

enum { MAX_OUT = 8 };

struct Node {
	NodeKind kind;
	int id;           /* dense, unique in its graph; not an order */
	int place;        /* where among the nodes it was put; a hint, as passes move nodes */
	const OpDesc *op; /* NODE_OP */
	AttrValue *attr;  /* parallel to op->attr */
	Value **in;
	int nin, nout;
	Value *out[MAX_OUT];
	State *state;        /* NODE_READ, NODE_ASSIGN; NODE_INPUT: a weight's gradient; OUT_GRADIENT */
	const double *table; /* NODE_CONSTANT: row-major numbers of out[0]->shape */
	OutputKind output;   /* NODE_OUTPUT */
	int slot;            /* NODE_INPUT, NODE_OUTPUT: position among the entry's arguments */
	int64_t classes;     /* NODE_INPUT of TYPE_LABEL: valid labels are 0..classes-1 */
	const char *name;    /* NODE_INPUT, NODE_OUTPUT: the argument's name */
	const char *layer; /* the layer it belongs to ("conv1"), for people; NULL where there is none */
	Where where;       /* the Lua line that made it */
	bool poisoned;     /* an error was reported here; what depends on it stays silent */
};

typedef enum { MODE_TRAIN, MODE_INFER } Mode;

struct Graph {
	Arena *arena;
	Diag *diag;
	int64_t batch;
	Mode mode;
	Vec(Node *) node; /* topological order */
	int next_id;
	Map read; /* of NODE_READ nodes, by state; see graph_read() */
	/* where new nodes go and what they are said to belong to; see graph_at() */
	const char *layer;
	Where where;
};

/* --- the model: what the frontend hands over ----------------------------------------------- */

typedef struct {
	const char *name;
	Value *value;
	double weight; /* of a loss term; 1 for outputs */
} Named;

typedef struct {
	const char *name, *value; /* as given or defaulted: for the banner */
	bool given;
} OptionValue;

enum { HYPER_LIMIT = 8 };

typedef struct {
	const char *kind; /* a descriptor with the optimizer flag: sgd, adam; NULL: no training */
	AttrValue *attr;
	struct {
		const char *name;
		double value;     /* as described: for the header, and where a step does not say */
	} hyper[HYPER_LIMIT]; /* the numbers that each step is given, in the descriptor's order */
	int hypers;
	Where where;
} Optimizer;

typedef struct {
	Arena *arena;
	Diag *diag;
	const char *name; /* C identifier prefix: from the file's name or --prefix */
	const char *file;
	const char *title;  /* the head comment's first line, for the banner; may be NULL */
	Graph *graph;       /* batch 1, as described: forward and loss terms, training flavour */
	Vec(State *) state; /* weights and buffers, in order of appearance = order in vars */
	Vec(Node *) input;  /* NODE_INPUT of images and labels, in order of declaration */
	Vec(Named) output;
	Vec(Named) exposed; /* further outputs, to look at: what layers give */
	Vec(Named) loss;    /* the total is the weighted sum */
	Optimizer optimizer;
	Vec(OptionValue) option;
	Vec(const char *) file_read;    /* for the depfile */
	int64_t vars, weights, buffers; /* elements: see model_layout() */
	Vec(State *) slot;              /* the optimiser's, in order of slots: see model_layout() */
	int64_t slots;
} Model;

/* --- graph.c: building --------------------------------------------------------------------- */

Graph *graph_new(Arena *a, Diag *d, int64_t batch, Mode mode);
/* New nodes take this layer name and source line; returns the former for restoring. */
void graph_at(Graph *g, const char *layer, Where where);
Value *graph_input(Graph *g, const char *name, int slot, Type type, Shape shape);
Value *graph_constant(Graph *g, const char *name, Shape shape, const double *table);
Value *graph_read(Graph *g, State *s);
void graph_assign(Graph *g, State *s, Value *next);
void graph_output(Graph *g, const char *name, OutputKind kind, int slot, State *of, Value *v);
/* Adds a node of operator `op`, infers its results, and returns it. `attr` may be NULL: defaults. A
 * wrong shape is reported at graph->where, the node is poisoned and has results of rank 0. */
Node *graph_op(Graph *g, const OpDesc *op, Value *const *in, int nin, const AttrValue *attr);
AttrValue *graph_attrs(Arena *a, const OpDesc *op); /* a fresh table of defaults */

Shape shape_of(int rank, ...); /* int64_t each */
int64_t shape_count(Shape s); /* elements; checked, bug() on overflow: sizes are checked by infer */
bool shape_same(Shape a, Shape b);
const char *shape_text(Arena *a, Shape s);        /* "6x28x28" */
const char *value_text(Arena *a, const Value *v); /* "%12 conv[1x6x28x28]" */

/* --- graph_instance.c --------------------------------------------------------------------- */

/* The model's graph again, for another batch size and mode: operators with an `expand` hook (batch
 * norm, dropout) put in what the mode asks for. Outputs come first, then losses, by flag.
 * `want_loss`: keep the loss terms and yield the total and each term as NODE_OUTPUT OUT_LOSS. */
Graph *graph_instance(const Model *m, int64_t batch, Mode mode, bool want_loss);
/* What the gradient by an exposed value is called. */
const char *exposed_gradient(Arena *a, const char *name);

/* --- autodiff.c ---------------------------------------------------------------------------- */

/* Appends the gradient of the graph's total loss by every weight that is not frozen, as NODE_OUTPUT
 * OUT_GRADIENT in the order of the states, and by every exposed value. Where a value fans out, its
 * gradient is one n-ary sum in forward order. Reports operators without gradient at their Lua line.
 */
void graph_backward(Graph *g, const Model *m);

/* --- update.c ------------------------------------------------------------------------------ */

/* A graph of its own: reads grads (inputs), weights, slots; assigns weights and slots. */
Graph *graph_update(const Model *m);
/* Whether weights may move one by one in the backward pass: where nothing looks at all gradients
 * first, as the optimiser's clip_norm and whoever exposes them do. */
bool may_step_at_once(const Model *m);
/* After graph_backward and graph_recompute: gradients are no outputs any more, but what weights and
 * slots are updated by, one weight after the other. */
void graph_step(Graph *g, const Model *m);

/* --- recompute.c --------------------------------------------------------------------------- */

/* What the backward pass makes again: what is cheap to make, and all but the last of this many
 * segments of the forward pass. */
typedef struct {
	int cheap; /* 0: nothing; results with more numbers than one in so many of an operand's */
	int segments;
} Recomputed;

/* After graph_backward: the first `forward` nodes are the forward pass. Returns how many nodes were
 * made again. */
int graph_recompute(Graph *g, int forward, Recomputed what);

/* --- model.c ------------------------------------------------------------------------------- */

/* Decides where every state lies: weights first, in order of appearance, then buffers, in vars;
 * grads follow the weights' offsets; where it trains, the slots that the optimiser wants for each
 * weight that is not frozen. Reports sizes that do not fit. */
bool model_layout(Model *m, bool trains);

/* --- graph_print.c, graph_verify.c --------------------------------------------------------- */

void graph_print(const Graph *g, Text *out); /* --dump=graph, one node a line */
/* NULL, or what is wrong: use before definition, shapes that infer would not give, two assigns of
 * one state, a result nobody made, a foreign node. */
const char *graph_verify(const Graph *g);

#endif
