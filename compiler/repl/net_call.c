/* net_call: forward, eval, gradients and step: Lua values to memory, a call, memory to Lua values.
 */
#include "net.h"
#include "lua_error.h"

#include <math.h>

/* One call under way. */
typedef struct {
	lua_State *L;
	Net *net;
	const Entry *entry;
	const char *name; /* the method's, for messages */
	void *argument[ARG_OWN + NET_ARGUMENTS];
	int result[NET_ARGUMENTS]; /* stack index of each output's tensor, by place in order[] */
	double hyper[HYPER_LIMIT];
	uint64_t steps;
} Call;

static void dims_of(lua_State *L, const Argument *arg, int *rank, size_t *dim)
{
	static const Shape scalar = {1, {1, 0, 0, 0}};
	const Shape *s = arg->shape.rank ? &arg->shape : &scalar;
	*rank = s->rank;
	for (int i = 0; i < s->rank; i++) {
		if (s->dim[i] < 1 || (uint64_t)s->dim[i] > PTRDIFF_MAX)
			lua_fail(L, "%s is too large", arg->name);
		dim[i] = (size_t)s->dim[i];
	}
}

/* --- inputs ------------------------------------------------------------------------------ */

/* The shape must be the compiled one; without the batch is fine where the batch is 1. */
static void check_shape(Call *c, const Argument *arg, const Tensor *t)
{
	size_t dim[TENSOR_RANK];
	int rank;
	dims_of(c->L, arg, &rank, dim);
	int skip = c->entry->part->batch == 1 && t->rank == rank - 1;
	bool same = t->rank == rank - skip, image = same;
	for (int i = 0; i < t->rank && same; i++) {
		if (t->dim[i] == dim[i + skip]) continue;
		same = false;
		if (i + skip > 0) image = false;
	}
	if (same) return;
	for (int i = 1; i < rank && image; i++) image = t->dim[i] == dim[i];
	if (image && !skip)
		lua_fail(c->L, "%s: %s has batch %d, but the network is compiled for batch %d", c->name,
		    arg->name, (int)t->dim[0], (int)dim[0]);
	const char *got = tensor_push_shape(c->L, t->rank, t->dim);
	lua_fail(c->L, "%s: %s has shape %s, expected %s", c->name, arg->name, got,
	    tensor_push_shape(c->L, rank, dim));
}

static void *take_real(Call *c, const Argument *arg, int index)
{
	lua_State *L = c->L;
	const char *what = lua_pushfstring(L, "%s: %s", c->name, arg->name);
	const Tensor *t = tensor_from(L, index, what);
	check_shape(c, arg, t);
	if (t->is_double == c->net->program->is_double) return t->data;
	Tensor *copy =
	    tensor_new(L, c->net->program->is_double, t->rank, t->dim); /* stays on the stack */
	for (size_t i = 0; i < t->count; i++) tensor_set(copy, i, tensor_get(t, i));
	return copy->data;
}

static void *take_labels(Call *c, const Argument *arg, int index)
{
	lua_State *L = c->L;
	const char *what = lua_pushfstring(L, "%s: %s", c->name, arg->name);
	const Tensor *t = tensor_from(L, index, what);
	size_t count = (size_t)c->entry->part->batch;
	if (arg->shape.rank > 0) count = (size_t)shape_count(arg->shape);
	if (t->count != count)
		lua_fail(L, "%s: %s has %d labels, but the network is compiled for batch %d", c->name,
		    arg->name, (int)t->count, (int)count);
	int32_t *label = lua_newuserdatauv(L, count * sizeof *label, 0);
	for (size_t i = 0; i < count; i++) {
		double x = tensor_get(t, i);
		if (!(x >= 0 && x < (double)arg->classes) || x != floor(x))
			lua_fail(L, "%s: %s %d is %f, expected a whole number from 0 to %I", c->name, arg->name,
			    (int)i + 1, (lua_Number)x, (lua_Integer)arg->classes - 1);
		label[i] = (int32_t)x;
	}
	return label;
}

/* "x and label", for messages. */
static const char *push_input_names(lua_State *L, const Entry *e)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	for (int i = 0; i < e->inputs; i++) {
		if (i > 0) luaL_addstring(&b, i + 1 == e->inputs ? " and " : ", ");
		luaL_addstring(&b, e->part->arg.at[e->order[i]].name);
	}
	luaL_pushresult(&b);
	return lua_tostring(L, -1);
}

/* Begins a call of method `name`: self at 1, `extra` optional arguments allowed behind the inputs.
 */
static void begin(Call *c, lua_State *L, const Entry *entry, const char *name, int extra)
{
	Net *net = c->net;
	if (!entry->part && net->options.inference_only)
		lua_fail(L, "%s: network %s is loaded for inference only", name, net->model->name);
	if (!entry->part && !net->model->loss.n)
		lua_fail(L, "%s: network %s has no loss", name, net->model->name);
	if (!entry->part) lua_fail(L, "%s: network %s names no optimizer", name, net->model->name);
	int wanted = entry->inputs, got = lua_gettop(L) - 1;
	if (got < wanted || got > wanted + extra)
		lua_fail(
		    L, "%s takes %s (%d), not %d values", name, push_input_names(L, entry), wanted, got);
	luaL_checkstack(L, 4 * NET_ARGUMENTS, name);
	lua_settop(L, 1 + wanted + extra);
	c->L = L;
	c->entry = entry;
	c->name = name;
	c->steps = net->steps;
	c->argument[ARG_VARS] = net->memory[NET_VARS];
	c->argument[ARG_SLOTS] = net->memory[NET_SLOTS];
	c->argument[ARG_PACKED] = net->memory[NET_PACKED];
	c->argument[ARG_WORK] = net->memory[NET_WORK];
	c->argument[ARG_SEED] = &net->seed;
	c->argument[ARG_STEP] = &c->steps;
	c->argument[ARG_HYPER] = c->hyper;
}

/* Takes the inputs from the stack, makes tensors for the outputs, calls. */
static int run(Call *c)
{
	const Entry *e = c->entry;
	for (int i = 0; i < e->n; i++) {
		const Argument *arg = &e->part->arg.at[e->order[i]];
		void **slot = &c->argument[ARG_OWN + i];
		if (i >= e->inputs) {
			size_t dim[TENSOR_RANK];
			int rank;
			dims_of(c->L, arg, &rank, dim);
			*slot = tensor_new(c->L, c->net->program->is_double, rank, dim)->data;
			c->result[i] = lua_gettop(c->L);
		} else if (arg->type == TYPE_LABEL) {
			*slot = take_labels(c, arg, 2 + i);
		} else {
			*slot = take_real(c, arg, 2 + i);
		}
	}
	int status = e->call(c->argument);
	if (status == NET_BAD_LABEL) lua_fail(c->L, "%s: a label is out of range", c->name);
	return status;
}

/* --- results ----------------------------------------------------------------------------- */

static const Tensor *loss_of(const Call *c)
{
	if (!c->entry->has_loss) bug("%s: the entry has no loss", c->name);
	return lua_touserdata(c->L, c->result[c->entry->inputs]);
}

/* Pushes the outputs that are no losses; returns how many. */
static int push_outputs(Call *c)
{
	int first = c->entry->inputs + c->entry->has_loss;
	for (int i = first; i < c->entry->n; i++) lua_pushvalue(c->L, c->result[i]);
	return c->entry->n - first;
}

/* Pushes {name = value} of the single terms of a loss that is their sum; nothing for one alone. */
static int push_terms(Call *c)
{
	const Model *m = c->net->model;
	if (m->loss.n < 2) return 0;
	const Tensor *t = loss_of(c);
	lua_createtable(c->L, 0, m->loss.n);
	for (int k = 0; k < m->loss.n && (size_t)k + 1 < t->count; k++) {
		lua_pushnumber(c->L, tensor_get(t, (size_t)k + 1));
		lua_setfield(c->L, -2, m->loss.at[k].name);
	}
	return 1;
}

/* Pushes {name = tensor} of what is exposed; nothing where nothing is. */
static int push_exposed(Call *c)
{
	const Model *m = c->net->model;
	const Entry *e = c->entry;
	if (!m->exposed.n) return 0;
	lua_newtable(c->L);
	for (int i = e->inputs + e->has_loss + m->output.n; i < e->n; i++) {
		lua_pushvalue(c->L, c->result[i]);
		lua_setfield(c->L, -2, e->part->arg.at[e->order[i]].name);
	}
	return 1;
}

/* --- methods ----------------------------------------------------------------------------- */

int net_forward(lua_State *L) /* y, ... = net:forward(x, ...) */
{
	Call c = {.net = net_check(L, 1)};
	begin(&c, L, &c.net->infer, "forward", 0);
	if (c.net->packed_is_old) {
		c.net->pack(c.argument);
		c.net->packed_is_old = false;
	}
	run(&c);
	return push_outputs(&c);
}

int net_eval(lua_State *L) /* loss, y, ... = net:eval(x, label) */
{
	Call c = {.net = net_check(L, 1)};
	begin(&c, L, &c.net->eval, "eval", 0);
	run(&c);
	lua_pushnumber(L, tensor_get(loss_of(&c), 0));
	return 1 + push_outputs(&c);
}

/* Pushes a tensor of the state's shape with the numbers at its offset in `memory`. */
static void push_state(lua_State *L, const Net *net, const State *s, const void *memory)
{
	size_t dim[TENSOR_RANK] = {1};
	for (int i = 0; i < s->shape.rank; i++) dim[i] = (size_t)s->shape.dim[i];
	Tensor *t = tensor_new(L, net->program->is_double, MAX(s->shape.rank, 1), dim);
	memcpy(
	    t->data, (const char *)memory + (size_t)s->offset * net->element, t->count * net->element);
}

/* loss, grads [, terms] [, exposed] = net:gradients(x, label) */
int net_gradients(lua_State *L)
{
	Call c = {.net = net_check(L, 1)};
	Net *net = c.net;
	begin(&c, L, &net->gradients, "gradients", 0);
	size_t bytes = MAX((size_t)net->model->weights, 1) * net->element;
	void *grads = memset(lua_newuserdatauv(L, bytes, 0), 0, bytes);
	c.argument[ARG_GRADS] = grads;
	net->packed_is_old = true; /* running statistics move */
	run(&c);
	lua_pushnumber(L, tensor_get(loss_of(&c), 0));
	lua_newtable(L);
	for (int i = 0; i < net->model->state.n; i++) {
		const State *s = net->model->state.at[i];
		if (s->kind != STATE_WEIGHT || s->frozen) continue;
		push_state(L, net, s, grads);
		lua_setfield(L, -2, s->name);
	}
	int terms = push_terms(&c);
	return 2 + terms + push_exposed(&c);
}

static const char *push_hyper_names(lua_State *L, const Optimizer *o)
{
	lua_pushliteral(L, "");
	for (int i = 0; i < o->hypers; i++) {
		lua_pushfstring(L, i ? ", %s" : " %s", o->hyper[i].name);
		lua_concat(L, 2);
	}
	return lua_tostring(L, -1);
}

/* The optimiser's numbers by name at `index`; what is not given is as the network says. */
static void read_hyper(Call *c, int index)
{
	lua_State *L = c->L;
	const Optimizer *o = &c->net->model->optimizer;
	const char *name[HYPER_LIMIT];
	for (int i = 0; i < o->hypers; i++) {
		name[i] = o->hyper[i].name;
		c->hyper[i] = o->hyper[i].value;
	}
	if (lua_isnil(L, index)) return;
	if (!lua_istable(L, index)) lua_fail(L, "step: the last argument is a table, as {rate = 0.02}");
	for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "a number";
		int which = 0;
		while (which < o->hypers && strcmp(name[which], key) != 0) which++;
		const char *nearest = diag_nearest(key, name, o->hypers);
		if (which == o->hypers && nearest)
			lua_fail(L, "step: unknown option %s; did you mean %s?", key, nearest);
		if (which == o->hypers)
			lua_fail(L, "step: unknown option %s: there are%s", key, push_hyper_names(L, o));
		if (lua_type(L, -1) != LUA_TNUMBER)
			lua_fail(L, "step: %s is a %s, expected a number", key, luaL_typename(L, -1));
		c->hyper[which] = lua_tonumber(L, -1);
	}
}

/* loss [, terms] = net:step(x, label [, {rate = 0.02, momentum = 0.9, decay = 0}]) */
int net_step(lua_State *L)
{
	Call c = {.net = net_check(L, 1)};
	begin(&c, L, &c.net->step, "step", 1);
	read_hyper(&c, lua_gettop(L));
	c.net->packed_is_old = true;
	int status = run(&c);
	double loss = tensor_get(loss_of(&c), 0);
	if (status == NET_NONFINITE)
		lua_fail(L,
		    "step: the loss (%f), an output or a gradient is not finite; nothing was changed",
		    (lua_Number)loss);
	c.net->steps = c.steps;
	lua_pushnumber(L, loss);
	return 1 + push_terms(&c);
}

/* --- single weights ---------------------------------------------------------------------- */

static const State *find_state(lua_State *L, const Net *net, const char *name)
{
	const Model *m = net->model;
	for (int i = 0; i < m->state.n; i++)
		if (strcmp(m->state.at[i]->name, name) == 0) return m->state.at[i];
	const char **all = lua_newuserdatauv(L, (size_t)MAX(m->state.n, 1) * sizeof *all, 0);
	for (int i = 0; i < m->state.n; i++) all[i] = m->state.at[i]->name;
	const char *nearest = diag_nearest(name, all, m->state.n);
	if (nearest)
		lua_fail(L, "network %s has no weight %s; did you mean %s?", m->name, name, nearest);
	lua_fail(L, "network %s has no weight %s", m->name, name);
}

int net_get(lua_State *L) /* w = net:get("conv1.weight"): a copy */
{
	Net *net = net_check(L, 1);
	push_state(L, net, find_state(L, net, luaL_checkstring(L, 2)), net->memory[NET_VARS]);
	return 1;
}

int net_set(lua_State *L) /* net:set("conv1.weight", w) */
{
	Net *net = net_check(L, 1);
	const State *s = find_state(L, net, luaL_checkstring(L, 2));
	lua_settop(L, 3);
	Tensor *t = tensor_from(L, 3, s->name);
	bool same = t->rank == s->shape.rank;
	for (int i = 0; i < t->rank && same; i++) same = t->dim[i] == (size_t)s->shape.dim[i];
	push_state(L, net, s, net->memory[NET_VARS]);
	const Tensor *old = lua_touserdata(L, -1);
	if (!same) {
		const char *got = tensor_push_shape(L, t->rank, t->dim);
		return lua_fail(L, "set: %s has shape %s, not %s", s->name,
		    tensor_push_shape(L, old->rank, old->dim), got);
	}
	Tensor to = *old;
	to.data = (char *)net->memory[NET_VARS] + (size_t)s->offset * net->element;
	for (size_t i = 0; i < t->count; i++) tensor_set(&to, i, tensor_get(t, i));
	net->packed_is_old = true;
	lua_settop(L, 1);
	return 1;
}
