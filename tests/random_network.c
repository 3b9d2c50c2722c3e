/* random_network: see random_network.h. What is made is kept twice: as lines of Lua, and as the
 * graph that the frontend would make of them, on which is tried what comes next. */
#include <math.h>

#include "../compiler/frontend/front.h"
#include "random_private.h"

enum {
	STEPS = 9,
	TRIALS = 15,
	VALUE_LIMIT = 3000,
	COST_LIMIT = 120000,
	LARGE_LIMIT = 1 << 17, /* of an image; what schedules do for caches begins at twice of that */
	LARGE_COST = 3000000
};

bool network_is_large(uint64_t seed, bool whole) { return !whole && seed % 16 == 7; }

static int64_t value_limit(const Maker *m) { return m->large ? LARGE_LIMIT : VALUE_LIMIT; }

uint64_t random_below(uint64_t *stream, uint64_t below)
{
	uint64_t z = *stream += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

int64_t pick(Maker *m, int64_t from, int64_t to)
{
	return from + (int64_t)random_below(&m->random, (uint64_t)(to - from) + 1);
}

bool chance(Maker *m, int percent) { return pick(m, 0, 99) < percent; }

/* --- trying ------------------------------------------------------------------------------- */

Mark mark(Maker *m)
{
	const Graph *g = m->model.graph;
	Mark k = {g->node.n, g->next_id, m->model.state.n, m->model.input.n, m->item.n, m->shared.n,
	    m->path.n, m->names, m->text.len, NEWS(m->arena, int, m->item.n + 1)};
	for (int i = 0; i < m->item.n; i++) k.readers[i] = m->item.at[i].readers;
	return k;
}

void take_back(Maker *m, const Mark *k)
{
	m->model.graph->node.n = k->nodes;
	m->model.graph->next_id = k->next_id;
	m->model.state.n = k->states;
	m->model.input.n = k->inputs;
	m->item.n = k->items;
	m->shared.n = k->shared;
	m->path.n = k->paths;
	m->names = k->names;
	m->text.len = k->text;
	m->text.data[k->text] = '\0';
	for (int i = 0; i < m->item.n; i++) m->item.at[i].readers = k->readers[i];
	m->diag.errors = m->diag.message.n = 0;
}

/* --- items -------------------------------------------------------------------------------- */

static const char *new_name(Maker *m, const char *stem)
{
	return arena_printf(m->arena, "%s%d", stem, ++m->names);
}

static int add_item(Maker *m, const char *name, Value *v, bool image)
{
	vec_push(m->arena, m->item, ((Item){name, v, 0, image}));
	return m->item.n - 1;
}

static int add_input(Maker *m, Shape s)
{
	const char *name = new_name(m, "x");
	text_printf(&m->text, "local %s = %s('%s'", name, s.rank == 4 ? "image" : "input", name);
	for (int d = 1; d < s.rank; d++) text_printf(&m->text, ", %lld", (long long)s.dim[d]);
	text_add(&m->text, ")\n");
	Value *v = graph_input(m->model.graph, name, m->model.input.n, TYPE_REAL, s);
	vec_push(m->arena, m->model.input, v->node);
	return add_item(m, name, v, true);
}

/* A label of so many classes, which may be there already. Labels are no items. */
static Operand label_of(Maker *m, int64_t classes)
{
	for (int i = 0; i < m->model.input.n; i++) {
		Node *n = m->model.input.at[i];
		if (n->classes == classes && chance(m, 60)) return (Operand){n->name, n->out[0], -1};
	}
	const char *name = new_name(m, "label");
	text_printf(&m->text, "local %s = class('%s', %lld)\n", name, name, (long long)MAX(classes, 2));
	Value *v = graph_input(
	    m->model.graph, name, m->model.input.n, TYPE_LABEL, shape_of(1, m->model.graph->batch));
	v->node->classes = MAX(classes, 2);
	vec_push(m->arena, m->model.input, v->node);
	return (Operand){name, v, -1};
}

static Operand operand_of(Maker *m, int item)
{
	m->item.at[item].readers++;
	return (Operand){m->item.at[item].name, m->item.at[item].value, item};
}

/* An item at random, rather the last or one of the last, rather one that nobody reads. */
static int some_item(Maker *m)
{
	int i = (int)pick(m, 0, m->item.n - 1);
	if (chance(m, 35)) i = m->item.n - 1;
	if (chance(m, 30)) i = (int)pick(m, MAX(m->item.n - 4, 0), m->item.n - 1);
	for (int k = 0; k < 3 && m->item.at[i].readers && chance(m, m->item.at[i].image ? 80 : 40); k++)
		i = (int)pick(m, 0, m->item.n - 1);
	return i;
}

/* One of that shape; -1: there is none. */
static int item_of_shape(Maker *m, Shape s)
{
	int from = (int)pick(m, 0, m->item.n - 1);
	for (int k = 0; k < m->item.n; k++) {
		int i = (from + k) % m->item.n;
		if (shape_same(m->item.at[i].value->shape, s)) return i;
	}
	return -1;
}

/* --- one call ----------------------------------------------------------------------------- */

/* The states of a new layer at a path of its own, or of one that is there already. */
static bool add_states(Maker *m, Node *probe, const SharedLayer *layer, State **state)
{
	StateSpec spec[MAX_STATES];
	int n = probe->op->state_specs(m->model.graph, probe, spec);
	if (n <= 0 || (layer && layer->states != n)) return false;
	for (int k = 0; k < n; k++) {
		if (layer && !shape_same(layer->state[k]->shape, spec[k].shape)) return false;
		if (shape_count(spec[k].shape) > 8 * VALUE_LIMIT) return false;
		state[k] = layer ? layer->state[k] : NEW(m->arena, State);
		if (layer) continue;
		*state[k] = (State){.kind = spec[k].kind, .shape = spec[k].shape, .init = spec[k].init};
		state[k]->name = arena_printf(m->arena, "%s.%s", probe->layer, spec[k].name);
		vec_push(m->arena, m->model.state, state[k]);
	}
	for (int k = 0; k < n; k++) probe->in[probe->nin++] = graph_read(m->model.graph, state[k]);
	return true;
}

static const char *call_path(Maker *m, const Call *c, const SharedLayer *layer, Node *probe)
{
	if (!(c->op->flags & OP_STATEFUL)) return NULL;
	if (layer) return layer->path;
	const char *name = new_name(m, chance(m, 30) ? "block." : "p");
	probe->layer = name;
	const char *dot = strchr(name, '.');
	const char *path = dot ? arena_printf(m->arena, "param.block[%s]", dot + 1)
	                       : arena_printf(m->arena, "param.%s", name);
	if (chance(m, 15)) return arena_printf(m->arena, "share(%s)", path);
	vec_push(m->arena, m->path, path);
	return path;
}

/* The right side of the line. */
static void write_call(Maker *m, const Call *c, const char *path, const Operand *in, int nin)
{
	const char *sign = c->op->sign;
	Text *out = &m->text;
	if (sign && nin == 2 && strlen(sign) == 1 && chance(m, 60)) {
		text_printf(out, "%s %s %s\n", in[0].name, sign, in[1].name);
	} else if (sign && !strcmp(sign, "^") && chance(m, 60)) {
		text_printf(out, "%s ^ %.15g\n", in[0].name, c->attr[0].r);
	} else if (sign && !strcmp(sign, "a*x+b") && chance(m, 60)) {
		text_printf(out, "%.15g * %s + %.15g\n", c->attr[0].r, in[0].name, c->attr[1].r);
	} else {
		text_printf(out, "%s:%s(", in[0].name, c->op->name);
		if (path) text_add(out, path);
		for (int k = 1; k < nin; k++)
			text_printf(out, "%s%s", k > 1 || path ? ", " : "", in[k].name);
		call_text(m, c, !path && nin < 2, out);
		text_add(out, ")\n");
	}
}

static void keep_shared(Maker *m, const Call *c, const char *path, State *const *state, int states)
{
	if (strncmp(path, "share", 5) != 0) return;
	SharedLayer layer = {path, c->op, c->attr, c->given, states, {0}};
	memcpy(layer.state, state, (size_t)states * sizeof *state);
	vec_push(m->arena, m->shared, layer);
}

static bool fits(const Maker *m, const Node *n)
{
	if (n->poisoned || shape_count(n->out[0]->shape) > value_limit(m)) return false;
	if (!n->op->cost) return true;
	return n->op->cost(n).macs <= (m->large ? LARGE_COST : COST_LIMIT);
}

int make_call(Maker *m, const Call *c, const Operand *in, int nin, const SharedLayer *layer)
{
	State *state[MAX_STATES];
	Node probe = {.kind = NODE_OP, .op = c->op, .attr = c->attr, .nin = nin};
	probe.in = NEWS(m->arena, Value *, nin + MAX_STATES);
	for (int k = 0; k < nin; k++) probe.in[k] = in[k].value;
	const char *path = call_path(m, c, layer, &probe);
	if (path && !add_states(m, &probe, layer, state)) return -1;
	if (probe.nin < c->op->min_in || probe.nin > c->op->max_in) return -1;
	const Node *n = graph_op(m->model.graph, c->op, probe.in, probe.nin, c->attr);
	if (!fits(m, n) || !good_numbers(m, n->out[0])) return -1;
	if (path && !layer) keep_shared(m, c, path, state, probe.nin - nin);
	int results = c->op->flags & OP_MANY ? n->nout : 1, first = m->item.n;
	for (int k = 0; k < results; k++) {
		const char *name = new_name(m, "t");
		text_printf(&m->text, "%s%s", k ? ", " : "local ", name);
		add_item(m, name, n->out[k], false);
	}
	text_add(&m->text, " = ");
	write_call(m, c, path, in, nin);
	for (int i = 0; i < op_count; i++) m->made[i] |= op_table[i] == c->op;
	return first;
}

/* --- operands ----------------------------------------------------------------------------- */

static int call_named(Maker *m, const char *name, int item, int64_t out, const int64_t *size)
{
	const OpDesc *op = op_find(name);
	Call c = {op, graph_attrs(m->arena, op), NEWS(m->arena, bool, 16), false};
	c.given[0] = out > 0;
	c.given[1] = size != NULL;
	if (out) c.attr[0].i = out;
	if (size) memcpy(c.attr[1].pair, size, 2 * sizeof *size);
	Operand x = operand_of(m, item);
	return make_call(m, &c, &x, 1, NULL);
}

/* An item of this shape, but for the batch: one that is there, or made of `from` by a dense layer,
 * or a new input. -1: neither. */
int make_shape(Maker *m, int from, Shape s)
{
	int64_t features = 1;
	s.dim[0] = m->model.graph->batch;
	for (int d = 1; d < s.rank; d++) features *= s.dim[d];
	int there = s.rank ? item_of_shape(m, s) : -1;
	if (there >= 0 && chance(m, 70)) return there;
	if (s.rank < 2 || features > VALUE_LIMIT) return there;
	if (s.rank == 3 || features > 300 || chance(m, 12)) return add_input(m, s);
	int rank = m->item.at[from].value->shape.rank;
	if (rank != 2 && rank != 4) return -1;
	if (rank == 4) from = call_named(m, "flatten", from, 0, NULL);
	if (from >= 0) from = call_named(m, "dense", from, features, NULL);
	return from >= 0 && s.rank == 4 ? call_named(m, "unflatten", from, s.dim[1], s.dim + 2) : from;
}

/* A number, a constant of the language, or another tensor. */
static Operand other_operand(Maker *m, const Sample *s, int k, const Value *x)
{
	Graph *g = m->model.graph;
	const Shape *wanted = &s->shape[MIN(k, s->nin - 1)];
	bool alike = k < s->nin && shape_same(*wanted, s->shape[0]);
	if (wanted->rank == 2 && !alike && chance(m, 60))
		return (Operand){"bitmaps.digits",
		    graph_constant(
		        g, "digits", shape_of(2, INT64_C(10), INT64_C(84)), bitmap_digits(m->arena)),
		    -1};
	if (k == 1 && !alike && chance(m, 30)) {
		double *number = NEW(m->arena, double);
		*number = (double)pick(m, -2, 2) * (m->whole ? 1 : 0.3);
		return (Operand){arena_printf(m->arena, "%.15g", *number),
		    graph_constant(g, "number", (Shape){0}, number), -1};
	}
	int i = chance(m, 85) ? item_of_shape(m, x->shape) : some_item(m);
	if (alike && chance(m, 15) && (x->shape.rank == 2 || x->shape.rank == 4))
		i = add_input(m, x->shape);
	return operand_of(m, i < 0 ? some_item(m) : i);
}

static bool is_label(const OpDesc *op, int k)
{
	const char *word = op->operands;
	for (; k > 0 && word; k--) word = strchr(word, ' ') ? strchr(word, ' ') + 1 : NULL;
	return word && !strncmp(word, "label", 5) && strcspn(word, " ") == 5;
}

/* x*x + 0.5 */
static int make_positive(Maker *m, int item)
{
	Operand x = operand_of(m, item);
	Graph *g = m->model.graph;
	const OpDesc *mul = op_signed("*"), *line = op_signed("a*x+b");
	AttrValue *attr = graph_attrs(m->arena, line);
	attr[1].r = 0.5;
	Value *y = graph_op(g, mul, (Value *[]){x.value, x.value}, 2, NULL)->out[0];
	y = graph_op(g, line, &y, 1, attr)->out[0];
	const char *name = new_name(m, "t");
	text_printf(&m->text, "local %s = %s * %s + 0.5\n", name, x.name, x.name);
	return add_item(m, name, y, false);
}

/* One of the operator's samples. */
static Sample some_sample(Maker *m, const OpDesc *op)
{
	int lines = 1;
	for (const char *c = op->samples; *c; c++) lines += *c == '\n' && c[1];
	const char *line = op->samples;
	for (int64_t k = pick(m, 0, lines - 1); k > 0; k--) line = strchr(line, '\n') + 1;
	return sample_parse(m->arena, op, line);
}

/* The layer's own attributes, or one of them as the other call has it. Weights of other shapes do
 * not go then, and names are those of first weights. */
static Call shared_call(Maker *m, const SharedLayer *layer, const Call *other)
{
	const OpDesc *op = layer->op;
	Call c = {op, graph_attrs(m->arena, op), NEWS(m->arena, bool, 16), false};
	int n = 0;
	for (; op->attr[n].name; n++) {
		c.attr[n] = layer->attr[n];
		c.given[n] = layer->given[n];
	}
	int k = (int)pick(m, 0, n - 1);
	if (op->attr[k].type != ATTR_NAME && chance(m, 60)) {
		c.attr[k] = other->attr[k];
		c.given[k] = other->given[k];
	}
	return c;
}

int make_method(Maker *m, const OpDesc *op, int item)
{
	Operand in[8];
	Sample s = some_sample(m, op);
	const SharedLayer *layer = NULL;
	bool led = chance(m, 8);
	int values = op->max_in - op->states, least = op->states ? values : op->min_in;
	int nin = (int)pick(m, least, MIN(values, least + 2));
	if (led) item = make_shape(m, item, s.shape[0]);
	if (item >= 0 && s.positive[0] && !m->whole) item = make_positive(m, item);
	if (item < 0 || nin > COUNT(in)) return -1;
	in[0] = operand_of(m, item);
	const Value *x = in[0].value;
	for (int k = 1; k < nin; k++) {
		in[k] = is_label(op, k) ? label_of(m, x->shape.rank > 1 ? x->shape.dim[1] : 0)
		                        : other_operand(m, &s, k, x);
		if (k < s.nin && s.positive[k] && !m->whole && in[k].item >= 0)
			in[k] = operand_of(m, make_positive(m, in[k].item));
	}
	Call c = random_call(m, op, &s, x, led ? 100 : chance(m, 35) ? 70 : 0);
	for (int i = 0; i < m->shared.n && chance(m, 50); i++)
		if (m->shared.at[i].op == op) layer = &m->shared.at[i];
	if (layer) c = shared_call(m, layer, &c);
	return make_call(m, &c, in, nin, layer);
}

/* --- the whole ---------------------------------------------------------------------------- */

/* How often an operator is wanted: contractions most, then what moves or normalises numbers. */
static int weight_of(const OpDesc *op)
{
	if (!(op->flags & OP_METHOD) || op->flags & OP_LOSS) return 0;
	if (op->absorb) return op->flags & OP_ANY_DIMS ? 4 : 20;
	if (op->flags & OP_STATEFUL || op->max_in > 2) return 5;
	return op->body ? 2 : 3;
}

static const OpDesc *some_method(Maker *m)
{
	int all = 0;
	for (int i = 0; i < op_count; i++) all += weight_of(op_table[i]);
	for (int i = 0, at = (int)pick(m, 0, all - 1);; at -= weight_of(op_table[i++]))
		if (at < weight_of(op_table[i])) return op_table[i];
}

/* Something more, within some trials. */
static void make_step(Maker *m)
{
	for (int k = 0; k < TRIALS; k++) {
		const OpDesc *op = some_method(m);
		for (int i = 0; i < TRIALS; i++) {
			Mark before = mark(m);
			int made = make_method(m, op, some_item(m));
			if (made >= 0 && m->item.at[made].value->shape.rank > 0) return;
			take_back(m, &before);
		}
	}
}

/* A layer with weights on an input, mostly, so that gradients flow through what comes after it. */
static void make_stem(Maker *m, int item)
{
	for (int k = 0; k < TRIALS && chance(m, 95); k++) {
		const OpDesc *op = some_method(m);
		if (!(op->flags & OP_STATEFUL)) continue;
		Mark before = mark(m);
		if (make_method(m, op, item) >= 0) return;
		take_back(m, &before);
	}
}

static void make_inputs(Maker *m)
{
	static const int channels[] = {1, 2, 3, 5, 8, 12, 16, 16, 17, 24, 32, 48};
	for (int64_t n = chance(m, 20) ? 2 : 1; n > 0; n--) {
		int64_t c = channels[pick(m, 0, COUNT(channels) - 1)], most = c > 16 ? 8 : 13;
		Shape s = shape_of(4, INT64_C(1), c, pick(m, 1, most), pick(m, 2, most));
		if (m->large)
			s = shape_of(4, INT64_C(1), INT64_C(16) << pick(m, 0, 1), pick(m, 48, 64), INT64_C(64));
		if (chance(m, 12)) s = shape_of(2, INT64_C(1), pick(m, 1, 60));
		if (chance(m, 12)) s = shape_of(3, INT64_C(1), c, pick(m, 1, 30));
		add_input(m, s);
	}
}

Batches random_batches(uint64_t seed, bool whole)
{
	Maker m = {.random = seed * 2 + whole};
	if (network_is_large(seed, whole)) return (Batches){.train = 4, .infer = {4}};
	Batches b = {.train = chance(&m, 10) ? 1 : pick(&m, 2, 5)};
	b.infer[0] = chance(&m, 60) ? b.train : pick(&m, 1, 4);
	b.infer[1] = chance(&m, 25) ? b.infer[0] + 1 : 0;
	return b;
}

static Maker *new_maker(Arena *a, uint64_t seed, bool whole)
{
	Maker *m = NEW(a, Maker);
	*m = (Maker){.arena = a, .seed = seed, .random = seed * 2 + whole, .whole = whole};
	m->large = network_is_large(seed, whole);
	diag_init(&m->diag, a);
	text_init(&m->text, a);
	m->model.arena = a;
	m->model.diag = &m->diag;
	m->model.graph = graph_new(a, &m->diag, 1, MODE_TRAIN);
	m->made = NEWS(a, bool, op_count);
	m->batch = random_batches(seed, whole);
	text_printf(&m->text, "-- Made at random: seed %llu, %s.\n", (unsigned long long)seed,
	    whole ? "whole numbers" : "any numbers");
	return m;
}

RandomNetwork random_network(Arena *a, uint64_t seed, bool whole, int steps)
{
	for (uint64_t k = 0; k < 100; k++) {
		Maker *m = new_maker(a, seed, whole);
		m->random += k << 32;
		int64_t wanted = whole || m->large ? pick(m, 1, 4) : pick(m, 3, STEPS);
		make_inputs(m);
		for (int i = m->item.n - 1; i >= 0; i--) make_stem(m, i);
		for (int64_t n = 0; n < (steps ? MIN(steps, wanted) : wanted); n++) make_step(m);
		if (!make_end(m)) continue;
		return (RandomNetwork){m->text.data, m->made};
	}
	bug("no network of seed %llu is valid", (unsigned long long)seed);
}
