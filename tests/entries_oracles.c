/* entries_oracles: a network's entries by the oracles of its operators: see entries.h. */
#include "entries_private.h"
#include "graph_oracle.h"

#include <math.h>

/* What is rounded within an operator, by what is between operators: of network_check's noise about
 * one rounding. */
static const double inside_share = 1.0 / 64;

typedef struct {
	const Net *net;
	Arena *arena;
	double noise;
	uint64_t random;
	Frame *frame;
} Oracles;

/* What the frame holds for a node, by its name or its state; NULL: a seed. */
static double *find_given(const Frame *f, const Node *n)
{
	if (n->kind == NODE_READ)
		return f->of[n->state->kind == STATE_SLOT ? SLOTS : VARS] + n->state->offset;
	if (n->state) return f->of[GRADS] + n->state->offset;
	if (n->out[0]->type == TYPE_SEED) return NULL;
	int field = frame_field(f, n->name);
	if (field < 0) bug("nobody gives %s", n->name);
	return f->of[field];
}

static double *given(void *self, const Node *n)
{
	Oracles *w = self;
	static double seed[] = {NET_SEED, NET_STEP};
	double *x = find_given(w->frame, n);
	return x ? x : seed;
}

/* The largest number that a node reads. */
static double largest_operand(const OracleRun *r, const Node *n)
{
	double most = 0;
	for (int k = 0; k < n->nin; k++) {
		const double *x = oracle_value(r, n->in[k]);
		int64_t count = n->in[k]->type == TYPE_REAL ? shape_count(n->in[k]->shape) : 0;
		for (int64_t i = 0; i < count; i++) most = fmax(most, fabs(x[i]));
	}
	return most;
}

/* Of every number but whole ones: among those are indices. An operator that takes a mean off its
 * operand may leave only what it rounded: that is as large as its operands say, not its result. */
static void shake(void *self, const OracleRun *r, const Value *v)
{
	Oracles *w = self;
	if (!(w->noise > 0) || v->type != TYPE_REAL) return;
	double *x = oracle_value(r, v), inside = w->noise * inside_share * largest_operand(r, v->node);
	for (int64_t i = 0; i < shape_count(v->shape); i++)
		if (x[i] != floor(x[i]))
			x[i] += (w->noise * fabs(x[i]) + inside) * sample_uniform(&w->random);
}

static void take(Oracles *w, const Node *n, const double *x)
{
	Frame *f = w->frame;
	double *to = NULL;
	if (n->kind == NODE_ASSIGN) to = f->of[n->state->kind == STATE_SLOT ? SLOTS : VARS];
	if (n->kind == NODE_OUTPUT && n->output == OUT_GRADIENT) to = f->of[GRADS];
	if (to)
		to += n->state->offset;
	else if (n->kind == NODE_OUTPUT && n->output == OUT_LOSS)
		to = f->of[LOSS] + n->slot;
	else if (n->kind == NODE_OUTPUT)
		to = f->of[frame_field(f, n->name)];
	if (to) memcpy(to, x, (size_t)shape_count(n->in[0]->shape) * sizeof *x);
}

static void oracles_run(void *self, EntryKind kind, int64_t batch, Frame *f)
{
	Oracles *w = self;
	Arena *a = w->arena;
	w->frame = f;
	if (kind == ENTRY_INIT) {
		Part *p = lower_init(a, w->net->model);
		plan_memory(a, p, 8);
		frame_run(a, p, f, -1);
	}
	const Graph *g = entry_graph(w->net, kind, batch);
	if (!g) return;
	OracleRun r = oracle_run_touched(a, g, given, shake, w);
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		if (n->kind == NODE_OUTPUT || n->kind == NODE_ASSIGN)
			take(w, n, oracle_value(&r, n->in[0]));
	}
}

Results net_oracles(const Net *net, Arena *a, double noise, uint64_t seed)
{
	Oracles w = {net, a, noise, seed, NULL};
	return entries_go(net, a, (Way){&w, oracles_run});
}

double net_loss(const Net *net, const Graph *forward)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) bug("out of memory");
	arena_guard(a, &out_of_memory);
	Frame f;
	frame_new(net, a, &f);
	frame_restart(net, &f);
	Oracles w = {net, a, 0, 0, &f};
	OracleRun r = oracle_run(a, forward, given, &w);
	double loss = NAN;
	for (int i = 0; i < forward->node.n; i++) {
		const Node *n = forward->node.at[i];
		if (n->kind == NODE_OUTPUT && n->output == OUT_LOSS && n->slot == 0)
			loss = *oracle_value(&r, n->in[0]);
	}
	arena_free(a);
	return loss;
}
