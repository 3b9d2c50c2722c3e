/* method: the methods of tensors, made from the operator table.
 *
 *   x:conv(param.conv1, 64, {kernel = 3})
 *
 * The receiver is the first operand. An operator with states takes a path next. Then tensors are
 * further operands, other values are attributes in the order of their positions, and a table, last,
 * holds attributes by name; [1] in it is the first position. `name` in the table names the result:
 * the layer, where no path does, and the term of the loss. */
#include "front.h"

typedef struct {
	Front *f;
	lua_State *L;
	const OpDesc *op;
	AttrCall call;
	const Path *path; /* NULL: the operator has no states */
	Value **in;
	int nin, max_in;  /* without the states */
	int position;     /* of the next attribute */
	const char *name; /* the option, or NULL */
} Method;

Node *front_node(
    Front *f, const OpDesc *op, const char *layer, Value *const *in, int nin, const AttrValue *attr)
{
	lua_State *L = f->sandbox.L;
	if (f->graph->node.n >= NODE_LIMIT)
		luaL_error(L, "a network of more than %d nodes", NODE_LIMIT);
	sandbox_charge(L, CALL_COST);
	int errors = f->diag->errors;
	graph_at(f->graph, layer, front_where(f));
	Node *n = graph_op(f->graph, op, in, nin, attr);
	front_reported(f, errors);
	return n;
}

static void mistake(Method *m, const char *format, ...) PRINTF_LIKE(2, 3);
static void mistake(Method *m, const char *format, ...)
{
	Text text;
	va_list args;
	text_init(&text, m->f->arena);
	va_start(args, format);
	text_vprintf(&text, format, args);
	va_end(args);
	m->call.bad = true;
	front_error(m->f, "%s: %s", m->call.who, text.data);
}

/* --- arguments -------------------------------------------------------------------------------- */

static void add_operand(Method *m, Value *v, int i)
{
	if (m->nin == m->max_in)
		mistake(m, "argument %d is a tensor too many", i - 1);
	else
		m->in[m->nin++] = v;
}

/* A number is an attribute where a position is left for one, else an operand: x:maximum(0). */
static void read_plain(Method *m, int i)
{
	if (lua_isnil(m->L, i)) {
		mistake(m, "argument %d is nil; is its name misspelt?", i - 1);
		return;
	}
	if (attribute_position(m->f, &m->call, m->position, i)) {
		m->position++;
		return;
	}
	if (lua_type(m->L, i) == LUA_TNUMBER && m->nin < m->max_in)
		add_operand(m, tensor_number(m->f, (double)lua_tonumber(m->L, i)), i);
	else
		mistake(m, "argument %d is %s, which has no meaning here", i - 1, front_describe(m->f, i));
}

static void read_argument(Method *m, int i, int last)
{
	const Tensor *t = tensor_at(m->L, i);
	if (t && tensor_poisoned(t))
		m->call.bad = true;
	else if (t)
		add_operand(m, tensor_value(m->f, t), i);
	else if (lua_istable(m->L, i) && i == last)
		m->call.table = i;
	else
		read_plain(m, i);
}

static void read_path(Method *m, int last)
{
	m->path = path_at(m->L, 2);
	if (!m->path && last >= 2 && tensor_at(m->L, 2) && tensor_poisoned(tensor_at(m->L, 2)))
		m->call.bad = true;
	else if (!m->path)
		mistake(m, "its first argument is the place of its parameters, as in x:%s(param.%s1, ...)",
		    m->op->name, m->op->name);
	else if (m->path->poisoned)
		m->call.bad = true;
	else
		m->call.who = *m->path->name ? arena_copy(m->f->arena, m->path->name) : "param";
	if (m->path && !m->path->poisoned && !*m->path->name)
		mistake(m, "a layer needs a name of its own below param, as in param.%s1", m->op->name);
}

static void read_name_option(Method *m)
{
	if (!m->call.table || m->call.extras == 0) return;
	lua_pushliteral(m->L, "name");
	lua_rawget(m->L, m->call.table);
	const char *s = lua_type(m->L, -1) == LUA_TSTRING ? lua_tostring(m->L, -1) : NULL;
	if (s && front_is_name(s))
		m->name = arena_copy(m->f->arena, s);
	else if (!lua_isnil(m->L, -1))
		mistake(m, "name is %s, must be letters, digits and _", front_describe(m->f, -1));
	lua_pop(m->L, 1);
}

static void read_arguments(Method *m)
{
	static const char *const name_option[] = {"name"};
	int last = lua_gettop(m->L);
	if (m->op->flags & OP_STATEFUL) {
		read_path(m, last);
	} else {
		m->call.extra = name_option;
		m->call.extras = 1;
	}
	int first = m->op->flags & OP_STATEFUL ? 3 : 2;
	for (int i = first; i <= last; i++) read_argument(m, i, last);
	read_name_option(m);
	attributes_read(m->f, &m->call);
}

/* Names of the operands after the receiver: "label", "b, c". */
static const char *operand_names(Method *m, int from, int to)
{
	const char **words;
	int n = front_words(m->f, m->op->operands ? m->op->operands : "", &words);
	Text t;
	text_init(&t, m->f->arena);
	for (int i = from; i < to; i++)
		text_printf(&t, "%s%s", i > from ? ", " : "", i < n ? words[i] : "...");
	return t.data;
}

static void check_operands(Method *m)
{
	int least = m->op->states ? m->max_in : m->op->min_in;
	if (m->nin >= least || m->call.bad) return;
	mistake(m, "its operand %s is missing: another tensor", operand_names(m, m->nin, least));
}

/* init(param, "lecun") speaks for the layers that do not say it themselves. */
static void take_init_rule(Method *m)
{
	const char *rule = m->path ? rules_init(m->f, m->path->name) : NULL;
	for (int k = 0; rule && m->op->attr && m->op->attr[k].name; k++) {
		const Attr *a = &m->op->attr[k];
		if (a->type != ATTR_NAME || strcmp(a->name, "init") != 0 || m->call.given[k]) continue;
		const char **words;
		int n = front_words(m->f, a->choices, &words);
		for (int w = 0; w < n; w++)
			if (!strcmp(words[w], rule)) m->call.attr[k].s = words[w];
	}
}

/* --- the call --------------------------------------------------------------------------------- */

/* The states of the path become the last operands. false: reported. */
static bool add_states(Method *m)
{
	take_init_rule(m);
	Node probe = {
	    .kind = NODE_OP,
	    .op = m->op,
	    .attr = m->call.attr,
	    .in = m->in,
	    .nin = m->nin,
	    .layer = m->call.who,
	    .where = front_where(m->f),
	};
	graph_at(m->f->graph, m->call.who, probe.where);
	const Layer *layer = params_layer(m->f, m->path, &probe);
	if (!layer) return false;
	for (int i = 0; i < layer->states; i++) m->in[m->nin++] = layer->read[i];
	return layer->states > 0;
}

static int call_method(lua_State *L)
{
	Front *f = front_of(L);
	const OpDesc *op = lua_touserdata(L, lua_upvalueindex(1));
	const Tensor *self = tensor_at(L, 1);
	int arguments = lua_gettop(L);
	luaL_checkstack(L, 32, NULL);
	if (!self) {
		front_error(f, "%s is called with a colon, on a tensor: x:%s(...)", op->name, op->name);
		return tensor_push_poison(L);
	}
	if (tensor_poisoned(self)) return tensor_push_poison(L);
	Method m = {.f = f, .L = L, .op = op, .max_in = op->max_in - op->states, .position = 1};
	m.call = (AttrCall){.op = op, .who = op->name, .attr = graph_attrs(f->arena, op)};
	m.in = NEWS(f->arena, Value *, MIN(op->max_in, arguments + MAX_STATES) + 1);
	m.in[m.nin++] = tensor_value(f, self);
	const Shape *shape = &m.in[0]->shape;
	m.call.channels = shape->rank > 1 ? shape->dim[1] : 0;
	m.call.line = shape->rank == 3;
	read_arguments(&m);
	check_operands(&m);
	if (m.call.bad || (m.path && !add_states(&m))) return tensor_push_poison(L);
	const char *layer = m.path ? m.call.who : m.name;
	Node *n = front_node(f, op, layer, m.in, m.nin, m.call.attr);
	if (m.name) n->name = m.name;
	int results = op->flags & OP_MANY && !n->poisoned ? n->nout : 1;
	for (int k = 0; k < results; k++) tensor_push(L, n->out[k]);
	return results;
}

void method_open(lua_State *L)
{
	lua_newtable(L);
	for (int i = 0; i < op_count; i++) {
		if (!(op_table[i]->flags & OP_METHOD)) continue;
		lua_pushlightuserdata(L, (void *)(uintptr_t)op_table[i]);
		lua_pushcclosure(L, call_method, 1);
		lua_setfield(L, -2, op_table[i]->name);
	}
}
