/* front: what the files of the frontend share.
 *
 * A Front is one run over one network file. Its functions are called by Lua, inside one protected
 * call; none holds anything that an error of Lua or a jump of the arena could leak: all lasting
 * data is in the arena, all Lua data in the sandbox's own memory.
 *
 * A mistake of the user is reported with the innermost line of Lua and its callers. The call's
 * result is then a poisoned tensor: what is made of it stays silent, so that one run shows several
 * mistakes. */
#ifndef CNNC_FRONTEND_FRONT_H
#define CNNC_FRONTEND_FRONT_H

#include "../ir.h"
#include "../op.h"
#include "frontend.h"
#include "sandbox.h"

enum {
	FILE_BYTES = 1 << 20, /* of one Lua file */
	FILE_LIMIT = 1000,    /* files of one network */
	CALL_COST = 50,       /* instructions that a call into the frontend is worth */
	NODE_LIMIT = 100000,  /* nodes of one network */
	NAME_LIMIT = 200      /* bytes of a name or path */
};

typedef struct {
	const char *shown; /* as messages and the depfile name it */
	const char *real;  /* symbolic links resolved: two names of one file are one file */
	bool running;
	int values; /* reference in the registry to the table that it returned */
	Where from; /* the include */
} Source;

/* A layer with states: what stands at a path. */
typedef struct {
	const char *path;
	const OpDesc *op;
	Where where;
	bool shared;
	int states;
	State *state[MAX_STATES];
	Value *read[MAX_STATES];
} Layer;

/* Said of a path and all below it. */
typedef struct {
	const char *path;
	Where where;
	const char *rule; /* init: a rule of the layers' own; NULL: `value` */
	Init value;
	bool used;
} Rule;

/* What network{} said; outputs and loss terms are in the model at once. */
typedef struct {
	bool given;
	Where where;
	const char *name; /* or NULL */
} Network;

typedef struct Front {
	Sandbox sandbox;
	Arena *arena;
	Diag *diag;
	const Options *options;
	Model *model;
	Graph *graph;
	Vec(Source) source;
	const char *text;         /* of the root file */
	const char *folder;       /* of the root file, symbolic links resolved; ends with '/' */
	const char *folder_shown; /* what stands before an included file's name in messages */
	Vec(Layer) layer;         /* by number; the registry knows a path's */
	Vec(Rule) freeze, init;
	Vec(Where) option_where; /* parallel to model->option */
	Network network;
	Value *poison;
	Value *digits;
	int prints;
} Front;

static inline Front *front_of(lua_State *L) { return (Front *)(void *)sandbox_of(L); }

/* --- place.c: where a mistake is, and saying so ----------------------------------------------- */

Where front_where(Front *f); /* of the running call: innermost line, and its caller's */
/* Reports at front_where(), names further callers, ends the run when there are too many errors. */
void front_error(Front *f, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same mistake was reported by someone else (infer) since `errors` was read. */
void front_reported(Front *f, int errors);
/* A note that follows an error: "first used here" and so on, with its caller. */
void front_note(Front *f, Where where, const char *text);
/* `; did you mean conv?`, or "". */
const char *front_hint(Front *f, const char *word, const char *const *choices, int n);
int front_handler(lua_State *L);                      /* message handler: reports an error of Lua */
void front_fault(Front *f, lua_State *L, int status); /* what the handler could not see */
bool front_is_name(const char *s);                    /* a C identifier of reasonable length */
bool front_is_taken(const char *s);                   /* a word of C or of the emitted text */

/* --- tensor.c, arithmetic.c ------------------------------------------------------------------- */

typedef struct {
	Value *value;
	double weight;
} LossTerm;

/* A tensor in Lua: a value of the graph, or a weighted sum of scalars that is not in the graph yet,
 * so that `a + 0.3 * b` keeps its terms for the loss. */
typedef struct Tensor {
	Value *value; /* NULL: the sum of the terms */
	int terms;
	LossTerm term[];
} Tensor;

#define TENSOR "tensor"
void front_tensor_open(lua_State *L); /* needs method_open's table on top, takes it */
void arithmetic_open(lua_State *L);   /* the operators, into the metatable on top */
Tensor *front_tensor_new(lua_State *L, int terms);
void tensor_push(lua_State *L, Value *v);
int tensor_push_poison(lua_State *L);   /* returns 1 */
Tensor *tensor_at(lua_State *L, int i); /* NULL: another thing */
bool tensor_poisoned(const Tensor *t);
bool tensor_is_scalar(const Tensor *t);
Value *tensor_value(Front *f, const Tensor *t); /* in the graph, now */
Value *tensor_number(Front *f, double x);       /* a scalar constant */

/* --- method.c, attribute.c -------------------------------------------------------------------- */

void method_open(lua_State *L); /* pushes a table: name of method, function */
/* graph_op at the running line, as part of `layer`, within the caps; poisoned after errors. */
Node *front_node(Front *f, const OpDesc *op, const char *layer, Value *const *in, int nin,
    const AttrValue *attr);

enum { ATTR_LIMIT = 32 };

/* Attributes of one call: positional ones and a table of options. */
typedef struct {
	const OpDesc *op;
	const char *who;          /* begins each message */
	int table;                /* index of the option table; 0: none */
	const char *const *extra; /* further keys, which the caller reads itself */
	int extras;
	int64_t channels;       /* of the operand, for link tables; 0: unknown */
	bool line;              /* the operand is of lines, whose axes are batch, channels and width */
	AttrValue *attr;        /* set; starts with the defaults */
	bool given[ATTR_LIMIT]; /* set: by index of attribute */
	bool bad;               /* set: a mistake was reported, or a poisoned value was among them */
} AttrCall;

/* The value at index i of the stack as the positional attribute number `position`. false: there is
 * no such attribute, nothing was read. */
bool attribute_position(Front *f, AttrCall *call, int position, int i);
/* Reads the table, and reports unknown keys and what is missing. */
void attributes_read(Front *f, AttrCall *call);
const char *front_describe(Front *f, int i); /* the Lua value, for messages: 3.5, 'abc', a table */
/* A space-separated list as an array in the arena. */
int front_words(Front *f, const char *list, const char ***words);

/* --- params.c, rules.c ------------------------------------------------------------------------ */

typedef struct {
	bool shared, poisoned;
	char name[]; /* "" for the root */
} Path;

#define PATH "path"
void params_open(lua_State *L); /* param, share */
void params_push_poison(lua_State *L);
Path *path_at(lua_State *L, int i); /* NULL: another thing */
/* The states of a layer at a path, for a node of which op, attr, in, layer and where are set: made,
 * or found when shared. NULL: reported. */
Layer *params_layer(Front *f, const Path *p, Node *probe);
void rules_open(lua_State *L); /* freeze, init */
/* The rule said by init() for layers below this path, or NULL. */
const char *rules_init(Front *f, const char *path);
/* After the run: applies freeze, init and --freeze to the model's states. */
void rules_finish(Front *f);
/* expose.c: --expose, over the nodes that are part of the network. */
void expose_finish(Front *f, const bool *reached);

/* --- the rest of the language ----------------------------------------------------------------- */

void option_open(lua_State *L);
void option_finish(Front *f);  /* -D of what is no option */
void input_open(lua_State *L); /* image, input, class, bitmaps */
void include_open(lua_State *L);
/* Loads the text of source number n as a chunk on top of the stack; raises errors of syntax. */
void include_load(Front *f, lua_State *L, int n);
/* Adds a file to the sources and the model's list; returns its number. */
int include_add(Front *f, const char *shown, const char *real, Where from);
void network_open(lua_State *L);       /* network, and a function for each optimiser */
bool front_finish(Front *f);           /* finish.c: false after errors */
const double *bitmap_digits(Arena *a); /* bitmaps.c: [10, 84] */

#endif
