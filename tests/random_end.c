/* random_end: of a network made at random, its end: losses, outputs, what is frozen, an optimiser;
 * and what its numbers are. */
#include <math.h>

#include "graph_oracle.h"
#include "random_private.h"

static const double largest_number = 100, largest_gradient = 1e6;

/* --- numbers ------------------------------------------------------------------------------ */

/* Whether samples say that the operand that reads it must be above 0. */
static bool is_positive(const Model *m, const State *s)
{
	for (int i = 0; i < m->graph->node.n; i++) {
		const Node *n = m->graph->node.at[i];
		for (int k = 0; n->kind == NODE_OP && k < n->nin; k++) {
			if (n->in[k]->node->kind != NODE_READ || n->in[k]->node->state != s) continue;
			Arena *a = m->arena;
			return sample_parse(a, n->op, n->op->samples).positive[k];
		}
	}
	return false;
}

static uint64_t stream_of(uint64_t seed, const char *name)
{
	return hash_str(name) ^ seed * UINT64_C(0xd1342543de82ef95);
}

static double between(uint64_t *stream, double low, double high)
{
	double u = (double)random_below(stream, UINT64_C(1) << 40) / (double)(UINT64_C(1) << 40);
	return (double)(float)(low + u * (high - low));
}

void random_state(uint64_t seed, bool whole, const Model *m, const State *s, double *x)
{
	uint64_t stream = stream_of(seed, s->name);
	int64_t count = shape_count(s->shape), fan = s->shape.rank > 1 ? count / s->shape.dim[0] : 3;
	bool positive = is_positive(m, s);
	double scale = sqrt(3 / (double)fan);
	for (int64_t i = 0; i < count; i++) {
		if (whole)
			x[i] = (double)random_below(&stream, 3) - (positive ? -1 : 1);
		else
			x[i] = positive ? between(&stream, 0.3, 1.5) : between(&stream, -scale, scale);
	}
}

void random_input(uint64_t seed, bool whole, const Node *n, double *x, int64_t count)
{
	uint64_t stream = stream_of(seed, n->name);
	for (int64_t i = 0; i < count; i++) {
		if (n->classes)
			x[i] = (double)random_below(&stream, (uint64_t)n->classes);
		else
			x[i] = whole ? (double)random_below(&stream, 5) - 2 : between(&stream, -1.5, 1.5);
	}
}

typedef struct {
	const Maker *maker;
	Arena *arena; /* of this run */
} Numbers;

static double *given(void *self, const Node *n)
{
	const Numbers *w = self;
	const Maker *m = w->maker;
	int64_t count = shape_count(n->out[0]->shape);
	double *x = NEWS(w->arena, double, count + 1);
	if (n->kind == NODE_READ)
		random_state(m->seed, m->whole, &m->model, n->state, x);
	else if (n->out[0]->type != TYPE_SEED)
		random_input(m->seed, m->whole, n, x, count);
	return x;
}

/* What an output needs. */
static void leave_needed(Graph *g)
{
	bool *needed = NEWS(g->arena, bool, g->next_id + 1);
	int n = 0;
	for (int i = g->node.n - 1; i >= 0; i--) {
		const Node *node = g->node.at[i];
		needed[node->id] |= node->kind == NODE_OUTPUT;
		for (int k = 0; needed[node->id] && k < node->nin; k++)
			needed[node->in[k]->node->id] = true;
	}
	for (int i = 0; i < g->node.n; i++)
		if (needed[g->node.at[i]->id]) g->node.at[n++] = g->node.at[i];
	g->node.n = n;
}

static bool is_good(const Maker *m, const double *x, int64_t count, double limit)
{
	double most = 0;
	for (int64_t i = 0; i < count; i++) {
		if (!isfinite(x[i]) || (m->whole && x[i] != floor(x[i]))) return false;
		most = fmax(most, fabs(x[i]));
	}
	return most <= limit;
}

/* Runs a graph by the oracles: whether what leaves it is within limits, and some of it not 0. */
static bool good_run(const Maker *m, const Graph *g)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) bug("out of memory");
	arena_guard(a, &out_of_memory);
	Numbers w = {m, a};
	OracleRun r = oracle_run(a, g, given, &w);
	bool good = true, any = false;
	for (int i = 0; i < g->node.n && good; i++) {
		const Node *n = g->node.at[i];
		if (n->kind != NODE_OUTPUT) continue;
		const double *x = oracle_value(&r, n->in[0]);
		int64_t count = shape_count(n->in[0]->shape);
		good = is_good(m, x, count, n->output == OUT_TENSOR ? largest_number : largest_gradient);
		for (int64_t k = 0; k < count; k++) any |= x[k] != 0;
	}
	arena_free(a);
	return good && any;
}

bool good_numbers(Maker *m, Value *v)
{
	Model probe = m->model;
	Named output = {"y", v, 1};
	probe.output.at = &output;
	probe.output.n = 1;
	probe.loss.n = 0;
	Graph *eval = graph_instance(&probe, m->batch.infer[0], MODE_INFER, false);
	Graph *train = graph_instance(&probe, m->batch.train, MODE_TRAIN, false);
	if (m->batch.infer[1]) graph_instance(&probe, m->batch.infer[1], MODE_INFER, false);
	if (m->diag.errors) return false;
	leave_needed(eval);
	leave_needed(train);
	return good_run(m, eval) && good_run(m, train);
}

/* --- losses ------------------------------------------------------------------------------- */

static bool has_weights(const Maker *m)
{
	for (int i = 0; i < m->model.state.n; i++)
		if (m->model.state.at[i]->kind == STATE_WEIGHT) return true;
	return false;
}

/* A scalar of the item, its square first perhaps, or a dense layer of it. -1: not this time. */
static int make_scalar(Maker *m, int item)
{
	const OpDesc *op = op_table[pick(m, 0, op_count - 1)];
	Shape features = shape_of(2, INT64_C(1), pick(m, 2, 19));
	if (!(op->flags & OP_METHOD)) return -1;
	if (chance(m, 30) || !has_weights(m)) item = make_shape(m, item, features);
	if (item >= 0 && chance(m, 30)) item = make_method(m, op_find("square"), item);
	if (item < 0) return -1;
	if (m->item.at[item].value->shape.rank == 0) return item;
	item = make_method(m, op, item);
	return item >= 0 && m->item.at[item].value->shape.rank == 0 ? item : -1;
}

static bool make_term(Maker *m, int item)
{
	for (int k = 0; k < 400; k++) {
		Mark before = mark(m);
		int made = make_scalar(m, item);
		if (made >= 0 && m->item.at[item].readers) {
			static const double weights[] = {1, 1, 1, 0.5, 0.3, 2};
			double weight = weights[m->whole ? 0 : pick(m, 0, COUNT(weights) - 1)];
			Item *i = &m->item.at[made];
			i->readers++;
			vec_push(m->arena, m->term, *i);
			vec_push(m->arena, m->weight, weight);
			return true;
		}
		take_back(m, &before);
	}
	return false;
}

static bool make_loss(Maker *m)
{
	for (int i = 0; i < m->item.n; i++)
		if (!m->item.at[i].readers && !make_term(m, i)) return false;
	text_add(&m->text, "local loss = ");
	for (int i = 0; i < m->term.n; i++) {
		double weight = m->weight.at[i];
		text_printf(&m->text, weight == 1 ? "%s%s" : "%s%s * %.15g", i ? " + " : "",
		    m->term.at[i].name, weight);
		vec_push(
		    m->arena, m->model.loss, ((Named){m->term.at[i].name, m->term.at[i].value, weight}));
	}
	text_add(&m->text, "\n");
	return m->term.n > 0 && has_weights(m);
}

/* --- the rest ----------------------------------------------------------------------------- */

static bool depends_on_input(const Value *v)
{
	const Node *n = v->node;
	if (n->kind == NODE_INPUT) return true;
	for (int k = 0; k < n->nin; k++)
		if (depends_on_input(n->in[k])) return true;
	return false;
}

static bool is_output(const Maker *m, const Value *v)
{
	for (int i = 0; i < m->model.output.n; i++)
		if (m->model.output.at[i].value == v) return true;
	return false;
}

static bool make_outputs(Maker *m)
{
	text_add(&m->text, "return network{\n  output = {");
	for (int64_t k = 0, wanted = pick(m, 1, 4); k < 30 && m->model.output.n < wanted; k++) {
		const Item *i = &m->item.at[pick(m, 0, m->item.n - 1)];
		if (i->image || !i->value->shape.rank || is_output(m, i->value)) continue;
		if (!depends_on_input(i->value)) continue;
		const char *name = arena_printf(m->arena, "y%d", m->model.output.n + 1);
		text_printf(&m->text, "%s{'%s', %s}", m->model.output.n ? ", " : "", name, i->name);
		vec_push(m->arena, m->model.output, ((Named){name, i->value, 1}));
	}
	text_add(&m->text, "},\n");
	return m->model.output.n > 0;
}

static void freeze_some(Maker *m)
{
	for (int i = 1; i < m->path.n; i++)
		if (chance(m, 8)) text_printf(&m->text, "freeze(%s)\n", m->path.at[i]);
}

static void make_optimizer(Maker *m)
{
	const OpDesc *op;
	do op = op_table[pick(m, 0, op_count - 1)];
	while (!(op->flags & OP_OPTIMIZER));
	Sample none = {.attr = graph_attrs(m->arena, op)};
	Call c = random_call(m, op, &none, m->item.at[0].value, 0);
	bool any = false; /* rates and moments stay as they are usual; of those to choose from, one */
	for (int k = 0; op->attr && op->attr[k].name; k++) {
		if (op->attr[k].argument) c.given[k] = c.given[k] && op->attr[k].optional && !any;
		any |= op->attr[k].argument && c.given[k];
	}
	text_printf(&m->text, "  loss = loss,\n  optimizer = %s", op->name);
	size_t at = m->text.len;
	call_text(m, &c, true, &m->text);
	text_add(&m->text, m->text.len == at ? "{},\n}\n" : ",\n}\n");
}

/* Everything once, with gradients. */
static bool all_is_good(Maker *m)
{
	const Model *model = &m->model;
	Graph *train = graph_instance(model, m->batch.train, MODE_TRAIN, true);
	Graph *eval = graph_instance(model, m->batch.train, MODE_INFER, true);
	for (int k = 0; k < 2 && m->batch.infer[k]; k++)
		graph_instance(model, m->batch.infer[k], MODE_INFER, false);
	if (m->diag.errors) return false;
	graph_backward(train, model);
	return !m->diag.errors && good_run(m, eval) && good_run(m, train);
}

bool make_end(Maker *m)
{
	if (!make_loss(m)) return false;
	freeze_some(m);
	if (!make_outputs(m)) return false;
	make_optimizer(m);
	return all_is_good(m);
}
