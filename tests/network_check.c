/* network_check: see network_check.h. */
#include "network_check.h"
#include "entries.h"
#include "machine.h"
#include "op_case.h"

#include <math.h>

enum { DIFFERENCES = 6, NOISY = 2 };

/* Roundings as large as this one must not move a result more than the gates say; else the result
 * may differ by some times what they move it. */
static const double noise = 2e-14, noise_factor = 4;

typedef struct {
	Arena *arena;
	uint64_t seed, random;
	bool whole;
	NetworkReport *report;
	NetSpec spec;
	Net net; /* in double, for all ways but C */
	Results want, noisy[NOISY];
} Check;

bool network_is_whole(uint64_t seed) { return seed % 5 == 0; }

/* --- numbers ------------------------------------------------------------------------------ */

static const char *open_net(Check *c, Net *net, const char *target, bool is_double)
{
	c->spec.target = target;
	c->spec.is_double = is_double;
	const char *wrong = net_open(net, c->arena, &c->spec);
	if (wrong) return wrong;
	const Model *m = net->model;
	for (int i = 0; i < m->state.n; i++)
		random_state(c->seed, c->whole, m, m->state.at[i], net->vars + m->state.at[i]->offset);
	for (int i = 0; i < m->input.n; i++) {
		const Node *n = m->input.at[i];
		int64_t count = shape_count(n->out[0]->shape) * net->most;
		random_input(c->seed, c->whole, n, net->input[i], count);
	}
	return NULL;
}

/* --- comparing ---------------------------------------------------------------------------- */

static double length(const double *x, const double *y, int64_t count)
{
	double sum = 0;
	for (int64_t i = 0; i < count; i++) {
		double d = x[i] - (y ? y[i] : 0);
		sum += d * d;
	}
	return sqrt(sum);
}

static double gate(const char *name)
{
	bool back = strstr(name, "gradient of") == name || strstr(name, "after the update");
	return back ? 1e-9 : 1e-11;
}

static const char *tensor_differs(const Check *c, const Tensor *got, const Tensor *want, double by)
{
	int64_t worst = 0;
	double most = -1;
	for (int64_t i = 0; i < want->count; i++) {
		double far = fabs(got->at[i] - want->at[i]);
		if (!(far <= most)) worst = i;
		if (!(far <= most)) most = isfinite(far) ? far : INFINITY;
	}
	return arena_printf(c->arena,
	    "%s: element %lld of %lld is %.17g, must be %.17g; %.2g of its length off", want->name,
	    (long long)worst, (long long)want->count, got->at[worst], want->at[worst], by);
}

static const char *compare(Check *c, const Results *got)
{
	if (got->tensor.n != c->want.tensor.n) return "other results";
	for (int i = 0; i < got->tensor.n; i++) {
		const Tensor *g = &got->tensor.at[i], *w = &c->want.tensor.at[i];
		double off = length(g->at, w->at, w->count), all = length(w->at, NULL, w->count), moved = 0;
		if (strcmp(g->name, w->name) != 0) return "results in another order";
		for (int k = 0; k < NOISY; k++)
			moved = fmax(moved, length(c->noisy[k].tensor.at[i].at, w->at, w->count));
		double limit = gate(w->name) * all;
		c->report->tensors++;
		c->report->loose += noise_factor * moved > limit;
		if (!(off <= fmax(limit, noise_factor * moved) + 1e-300))
			return tensor_differs(c, g, w, off / all);
	}
	return NULL;
}

static bool is_finite(const Results *r)
{
	for (int i = 0; i < r->tensor.n; i++)
		for (int64_t e = 0; e < r->tensor.at[i].count; e++)
			if (!isfinite(r->tensor.at[i].at[e])) return false;
	return true;
}

/* --- whole numbers ------------------------------------------------------------------------ */

static double largest(void *self, const Buffer *b)
{
	const Net *net = self;
	double most = 0;
	for (int i = 0; b->place == PLACE_INPUT && i < net->model->input.n; i++) {
		const Node *n = net->model->input.at[i];
		int64_t count = shape_count(n->out[0]->shape) * net->most;
		most = fmax(most, numbers_largest(net->input[i], count));
	}
	if (b->place == PLACE_VARS) most = numbers_largest(net->vars, net->model->vars);
	return most;
}

/* Whether nothing that an entry's C does in float is rounded. */
static bool is_exact(Check *c, const Net *net, EntryKind kind)
{
	for (int i = 0; i < net->program->part.n; i++)
		if (net->program->part.at[i]->kind == kind)
			return part_is_exact(
			    c->arena, net->program->part.at[i], largest, (void *)(uintptr_t)net);
	return false;
}

static const char *compare_whole(Check *c, const Net *net, const Results *got)
{
	bool eval = is_exact(c, net, ENTRY_EVAL), gradients = is_exact(c, net, ENTRY_GRADIENTS);
	for (int i = 0; i < got->tensor.n; i++) {
		const Tensor *g = &got->tensor.at[i], *w = &c->want.tensor.at[i];
		bool back = strstr(g->name, "gradient of") || strstr(g->name, " of gradients");
		if (back ? !gradients : !(eval && strstr(g->name, " of eval"))) continue;
		c->report->exact++;
		for (int64_t e = 0; e < w->count; e++)
			if (g->at[e] != w->at[e]) return tensor_differs(c, g, w, NAN);
	}
	return NULL;
}

/* --- differences -------------------------------------------------------------------------- */

static double slope(Check *c, const Graph *forward, double *x, double h)
{
	double was = *x, loss[4];
	static const double at[] = {-2, -1, 1, 2};
	for (int k = 0; k < 4; k++) {
		*x = was + at[k] * h;
		loss[k] = net_loss(&c->net, forward);
	}
	*x = was;
	return (8 * (loss[2] - loss[1]) - (loss[3] - loss[0])) / (12 * h);
}

static const Tensor *gradient_of(const Check *c, const State *s)
{
	const char *name = arena_printf(c->arena, "gradient of %s", s->name);
	for (int i = 0; i < c->want.tensor.n; i++)
		if (!strcmp(c->want.tensor.at[i].name, name)) return &c->want.tensor.at[i];
	return NULL;
}

/* Some weights, moved. Where two distances say different things there is a kink between: max, relu,
 * abs; then nothing follows. */
static const char *check_differences(Check *c)
{
	const Model *m = c->net.model;
	const Graph *forward = graph_instance(m, c->net.train, MODE_TRAIN, true);
	double loss = net_loss(&c->net, forward);
	for (int k = 0; k < DIFFERENCES && m->state.n; k++) {
		const State *s = m->state.at[random_below(&c->random, (uint64_t)m->state.n)];
		if (s->kind != STATE_WEIGHT || s->frozen) continue;
		uint64_t e = random_below(&c->random, (uint64_t)shape_count(s->shape));
		double *x = &c->net.vars[(uint64_t)s->offset + e], is = gradient_of(c, s)->at[e];
		double far = slope(c, forward, x, 2e-4), near = slope(c, forward, x, 1e-4);
		double scale = fmax(1, fmax(fabs(is), 1e-3 * fabs(loss)));
		if (!(fabs(far - near) <= 1e-7 * scale)) continue;
		c->report->differences++;
		if (!(fabs(near - is) <= 2e-6 * scale))
			return arena_printf(c->arena,
			    "gradient of %s: element %llu is %.12g, differences give %.12g", s->name,
			    (unsigned long long)e, is, near);
	}
	return NULL;
}

/* --- ways --------------------------------------------------------------------------------- */

static const char *way_failed(Check *c, const char *way, const char *wrong)
{
	return wrong ? arena_printf(c->arena, "%s: %s", way, wrong) : NULL;
}

/* One schedule, also of machines that this one is not. */
static const char *by_trees(Check *c, const char *target)
{
	Net net;
	c->report->stage = "running schedules";
	const char *wrong = open_net(c, &net, target, true);
	if (!wrong) {
		Results got = net_trees(&net, c->arena, 0);
		wrong = compare(c, &got);
	}
	return way_failed(c, arena_printf(c->arena, "schedules for %s", target), wrong);
}

static const char *by_c(Check *c, const char *target, const char *compiler, bool is_double)
{
	Net net;
	Results got;
	c->report->stage = compiler ? "running what cc makes" : "running what tcc makes";
	const char *wrong = open_net(c, &net, target, is_double);
	if (!wrong) wrong = net_c(&net, c->arena, compiler, &got, NULL);
	if (!wrong && is_double) wrong = compare(c, &got);
	if (!wrong && c->whole) wrong = compare_whole(c, &net, &got);
	return way_failed(c,
	    arena_printf(c->arena, "%s, %s, %s", compiler ? compiler : "tcc", target,
	        is_double ? "double" : "float"),
	    wrong);
}

static const char *some_target(Check *c, bool runs)
{
	static const char *const all[] = {
	    "avx512", "avx2", "avx2", "avx2", "x86-64", "neon", "generic"};
	for (;;) {
		const char *target = all[random_below(&c->random, COUNT(all))];
		if (!runs || target_runs(target)) return target;
	}
}

/* A compiler is slow: each network has libtcc, but only some have schedules run, and some cc. */
static const char *all_ways(Check *c)
{
	static const char *const compilers[] = {
	    "cc -std=c11 -O0 -w", "cc -std=c11 -O0 -w", "cc -std=c11 -O1 -w", "cc -std=c11 -O2 -w"};
	const char *compiler = compilers[random_below(&c->random, COUNT(compilers))];
	const char *shown = some_target(c, false), *run = some_target(c, true), *wrong = NULL;
	bool trees = random_below(&c->random, 4) == 0, cc = random_below(&c->random, 3) == 0;
	if (!c->whole) wrong = check_differences(c);
	if (!wrong && trees) wrong = by_trees(c, shown);
	if (!wrong) wrong = by_c(c, "generic", NULL, !c->whole);
	if (!wrong && (cc || c->whole)) wrong = by_c(c, run, compiler, !c->whole);
	return wrong;
}

const char *network_check(Arena *a, const char *file, uint64_t seed, NetworkReport *report)
{
	Check *c = NEW(a, Check);
	*c = (Check){.arena = a, .seed = seed, .random = ~seed, .whole = network_is_whole(seed)};
	Batches b = random_batches(seed, c->whole);
	c->report = report;
	c->spec = (NetSpec){
	    .file = file, .is_double = true, .infer = {b.infer[0], b.infer[1]}, .train = b.train};
	report->stage = "compiling";
	const char *wrong = open_net(c, &c->net, "generic", true);
	report->refused = wrong != NULL;
	if (wrong) return wrong;
	report->stage = "running the oracles";
	c->want = net_oracles(&c->net, a, 0, 0);
	report->refused = !is_finite(&c->want);
	if (report->refused) return "some of its numbers are not finite";
	for (uint64_t k = 0; k < NOISY; k++) c->noisy[k] = net_oracles(&c->net, a, noise, k);
	return all_ways(c);
}
