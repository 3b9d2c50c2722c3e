/* net_profile: net:profile(), a table of what each step takes, beside what the machine can do.
 *
 * The entries run on one thread, on numbers made up, each call from the weights that the network
 * has, which stay as they are. */
#include "../emit/emit.h"
#include "../here.h"
#include "lua_error.h"
#include "net.h"
#include "peak.h"

#include <stdlib.h>

/* As in the emitted header. */
struct cnnc_profile {
	const char *entry, *step, *kind, *kernel;
	uint64_t flops, bytes, calls;
	double seconds;
};
typedef struct cnnc_profile Row;

typedef struct {
	Row *row;
	size_t rows;
	double flops, bytes; /* that the machine can do in a second */
	const char *target;
} Profile;

/* --- the machine ------------------------------------------------------------------------- */

static double best_rate(const Jit *jit, const char *name, long rounds)
{
	enum { TRIES = 9 };
	double best = 0;
	Peak peak;
	void *address = jit_symbol(jit, name);
	if (!address) return 0;
	memcpy(&peak, &address, sizeof peak);
	peak(0);
	for (int i = 0; i < TRIES; i++) best = MAX(best, peak_rate(peak, rounds));
	return best;
}

/* NULL, or why it could not be measured. */
static const char *measure_machine(const Net *net, Profile *p)
{
	enum { ROUNDS = 2000000 };
	Arena *a = net->arena;
	const Program *program = net->program;
	const Target *target = NULL;
	const char *error;
	Text text;
	for (int t = 0; t < program->ntarget && !target; t++)
		if (runs_here(a, program->target[t], net->compiler)) target = program->target[t];
	if (!target) return "this machine has none of the targets";
	text_init(&text, a);
	text_add(&text, "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n"
	                "#include <string.h>\n");
	emit_prelude(&text, &target, 1, program->is_double);
	peak_text(target, program->is_double, &text);
	stream_text(target, program->is_double, &text);
	Jit *jit = jit_cc(a, text.data, net->compiler, &error);
	if (!jit) return error;
	p->target = target->name;
	p->flops = best_rate(jit, "peak", ROUNDS);
	p->bytes = best_rate(jit, "stream", 1);
	jit_free(jit);
	return p->flops > 0 && p->bytes > 0 ? NULL : "the machine cannot be measured";
}

/* --- running ----------------------------------------------------------------------------- */

/* Zeros for one argument, count elements, on the stack. */
static void *memory_for(lua_State *L, int64_t count, size_t element)
{
	if (count < 0 || (uint64_t)count > PTRDIFF_MAX / element) lua_fail(L, "profile: out of memory");
	size_t bytes = MAX((size_t)count, 1) * element;
	return memset(lua_newuserdatauv(L, bytes, 0), 0, bytes);
}

/* Numbers from -1 to 1; labels one after the other. */
static void make_up(const Argument *arg, int64_t count, bool is_double, void *to)
{
	for (int64_t i = 0; i < count; i++) {
		double x = 2 * hash_uniform(1, 0, hash_str(arg->name), (uint64_t)i) - 1;
		if (arg->type == TYPE_LABEL)
			((int32_t *)to)[i] = (int32_t)(i % arg->classes);
		else if (is_double)
			((double *)to)[i] = x;
		else
			((float *)to)[i] = (float)x;
	}
}

/* An entry with all that it is called with. */
typedef struct {
	Net *net;
	Adapter call;
	bool trains;                /* it changes vars and slots, which are copies */
	const char *entry, *second; /* whose rows it adds to */
	void *argument[ARG_OWN + NET_ARGUMENTS];
	double hyper[HYPER_LIMIT];
	uint64_t steps;
} Trial;

static void prepare(lua_State *L, Trial *t, const Entry *e)
{
	Net *net = t->net;
	const Optimizer *o = &net->model->optimizer;
	luaL_checkstack(L, NET_ARGUMENTS + 8, "profile");
	for (int i = 0; i < o->hypers; i++) t->hyper[i] = o->hyper[i].value;
	for (int i = NET_VARS; i <= NET_MEMORIES; i++)
		t->argument[ARG_VARS + i - NET_VARS] = net->memory[i];
	t->argument[ARG_SEED] = &net->seed;
	t->argument[ARG_STEP] = &t->steps;
	t->argument[ARG_HYPER] = t->hyper;
	if (t->trains) {
		t->argument[ARG_VARS] = memory_for(L, net->model->vars, net->element);
		t->argument[ARG_SLOTS] = memory_for(L, net->program->slots, net->element);
		t->argument[ARG_GRADS] = memory_for(L, net->model->weights, net->element);
	}
	for (int i = 0; e && i < e->n; i++) {
		const Argument *arg = &e->part->arg.at[e->order[i]];
		int64_t count = shape_count(arg->shape);
		void *to = memory_for(L, count, arg->type == TYPE_LABEL ? sizeof(int32_t) : net->element);
		if (i < e->inputs) make_up(arg, count, net->program->is_double, to);
		t->argument[ARG_OWN + i] = to;
	}
}

static int call_once(Trial *t)
{
	const Net *net = t->net;
	size_t vars = (size_t)net->model->vars, slots = (size_t)net->program->slots;
	t->steps = net->steps;
	if (t->trains) {
		memcpy(t->argument[ARG_VARS], net->memory[NET_VARS], vars * net->element);
		memcpy(t->argument[ARG_SLOTS], net->memory[NET_SLOTS], slots * net->element);
	}
	return t->call(t->argument);
}

static bool covers(const Trial *t, const Row *r)
{
	return !strcmp(r->entry, t->entry) || (t->second && !strcmp(r->entry, t->second));
}

static void clear(Row *r)
{
	r->calls = 0;
	r->seconds = 0;
}

/* Once to warm up, then for so many seconds, at least once. What other programs took of the wall's
 * time in the calls is taken off all rows alike: the clock of the process's own time is too slow
 * for each step. Time that is lost between calls, as in waiting for that clock, is in no row. */
static void run_entry(lua_State *L, Trial *t, const Entry *e, double seconds, const Profile *p)
{
	int top = lua_gettop(L);
	prepare(L, t, e);
	call_once(t); /* what is slow only at first */
	for (size_t i = 0; i < p->rows; i++)
		if (covers(t, &p->row[i])) clear(&p->row[i]);
	double start = cpu_seconds(), own, inside = 0;
	do {
		double before = wall_seconds();
		if (call_once(t) == NET_NONFINITE)
			lua_fail(L, "profile: results of %s are not finite with these weights", t->entry);
		inside += wall_seconds() - before;
		own = cpu_seconds() - start;
	} while (own < seconds);
	for (size_t i = 0; i < p->rows; i++)
		if (covers(t, &p->row[i])) p->row[i].seconds *= MIN(own / inside, 1);
	lua_settop(L, top);
}

/* The rows of a step: its own, or those of the two entries that it calls. */
static void name_step(const Net *net, Trial *t)
{
	t->second = "update";
	for (int i = 0; i < net->program->part.n; i++) {
		if (net->program->part.at[i]->kind != ENTRY_STEP) continue;
		t->entry = net->program->part.at[i]->name;
		t->second = NULL;
	}
}

static void run_entries(lua_State *L, Net *net, double seconds, const Profile *p)
{
	run_entry(L, &(Trial){.net = net, .call = net->pack, .entry = "pack"}, NULL, seconds / 4, p);
	net->packed_is_old = false;
	const Entry *e[] = {&net->infer, &net->eval, net->step.part ? &net->step : &net->gradients};
	for (int i = 0; i < COUNT(e); i++) {
		if (!e[i]->part) continue;
		Trial t = {.net = net, .call = e[i]->call, .entry = e[i]->part->name, .trains = i == 2};
		if (e[i] == &net->step) name_step(net, &t);
		run_entry(L, &t, e[i], seconds, p);
	}
}

/* --- the table --------------------------------------------------------------------------- */

static void print_share(Text *out, double part, double whole)
{
	if (part > 0 && whole > 0)
		text_printf(out, " %5.1f%%", 100 * part / whole);
	else
		text_add(out, "      -");
}

/* Time, rates and shares of `seconds` for so many operations and bytes; `whole`: of the entry. */
static void print_rates(
    const Profile *p, double seconds, double whole, double flops, double bytes, Text *out)
{
	double flop_rate = seconds > 0 ? flops / seconds : 0, rate = seconds > 0 ? bytes / seconds : 0;
	text_printf(out, "%10.4f", 1e3 * seconds);
	print_share(out, seconds, whole);
	if (flop_rate > 0)
		text_printf(out, " %8.2f", 1e-9 * flop_rate);
	else
		text_add(out, "        -");
	print_share(out, flop_rate, p->flops);
	text_printf(out, " %9.3f %7.2f", 1e-6 * bytes, 1e-9 * rate);
	print_share(out, rate, p->bytes);
}

static void print_head(Text *out, const char *first)
{
	text_printf(out, "%10s %6s %8s %6s %9s %7s %6s  %s\n", "ms", "share", "GF/s", "peak", "MB",
	    "GB/s", "stream", first);
}

static double row_seconds(const Row *r) { return r->calls ? r->seconds / (double)r->calls : 0; }

/* The rows from `from` to `to`, an entry's, by kind: the slowest first. */
typedef struct {
	const char *kind;
	int steps;
	double seconds, flops, bytes;
} Kind;

static int slower_first(const void *x, const void *y)
{
	double a = ((const Kind *)x)->seconds, b = ((const Kind *)y)->seconds;
	return (a < b) - (a > b);
}

static int find_kinds(const Row *row, size_t n, Kind *kind)
{
	int kinds = 0;
	for (size_t i = 0; i < n; i++) {
		int k = 0;
		if (!row[i].calls) continue;
		while (k < kinds && strcmp(kind[k].kind, row[i].kind) != 0) k++;
		if (k == kinds) kind[kinds++] = (Kind){.kind = row[i].kind};
		kind[k].steps++;
		kind[k].seconds += row_seconds(&row[i]);
		kind[k].flops += (double)row[i].flops;
		kind[k].bytes += (double)row[i].bytes;
	}
	qsort(kind, (size_t)kinds, sizeof *kind, slower_first);
	return kinds;
}

static void print_entry(const Profile *p, const Row *row, size_t n, Text *out)
{
	Kind *kind = NEWS(out->arena, Kind, n + 1), all = {.steps = 0};
	int kinds = find_kinds(row, n, kind);
	for (int k = 0; k < kinds; k++) {
		all.steps += kind[k].steps;
		all.seconds += kind[k].seconds;
		all.flops += kind[k].flops;
		all.bytes += kind[k].bytes;
	}
	text_printf(out, "\n%s: a mean of %llu calls\n\n", row->entry, (unsigned long long)row->calls);
	print_head(out, "step");
	for (size_t i = 0; i < n; i++) {
		if (!row[i].calls) continue; /* a step makes no check of the update's own */
		print_rates(
		    p, row_seconds(&row[i]), all.seconds, (double)row[i].flops, (double)row[i].bytes, out);
		text_printf(out, "  %s: %s\n", row[i].kind, row[i].step);
	}
	text_add(out, "\n");
	print_head(out, "kind of step");
	for (int k = 0; k < kinds; k++) {
		print_rates(p, kind[k].seconds, all.seconds, kind[k].flops, kind[k].bytes, out);
		text_printf(out, "  %s, %d\n", kind[k].kind, kind[k].steps);
	}
	print_rates(p, all.seconds, all.seconds, all.flops, all.bytes, out);
	text_printf(out, "  all, %d\n", all.steps);
}

static const char *print_profile(const Net *net, const Profile *p, Text *out)
{
	text_printf(out,
	    "%s on one thread, %s, %s: at most %.1f GF/s, and %.2f GB/s from and to memory.\n"
	    "MB: what a step reads and writes, each number once; more than the stream comes from "
	    "caches.\n",
	    net->model->name, p->target, net->compiler, 1e-9 * p->flops, 1e-9 * p->bytes);
	for (size_t from = 0, to; from < p->rows; from = to) {
		for (to = from + 1; to < p->rows && !strcmp(p->row[to].entry, p->row[from].entry);) to++;
		if (p->row[from].calls) print_entry(p, p->row + from, to - from, out);
	}
	return out->data;
}

/* --- the method -------------------------------------------------------------------------- */

/* NULL: memory ran out. The machine, or *error; then the table. */
static const char *measured(Net *net, Profile *p, const char **error)
{
	jmp_buf out;
	if (setjmp(out)) return NULL;
	arena_guard(net->arena, &out);
	*error = measure_machine(net, p);
	return "";
}

static const char *table(Net *net, const Profile *p)
{
	jmp_buf out;
	Text text;
	if (setjmp(out)) return NULL;
	arena_guard(net->arena, &out);
	text_init(&text, net->arena);
	return print_profile(net, p, &text);
}

int net_profile(lua_State *L) /* text = net:profile([SECONDS]) */
{
	Net *net = net_check(L, 1);
	double seconds = luaL_optnumber(L, 2, 1);
	Profile p = {.rows = 0};
	const char *error = NULL;
	if (!net->options.profile)
		return lua_fail(L, "profile: load the network with {profile = true}");
	lua_settop(L, 1);
	Row *(*rows)(size_t *);
	void *address = jit_symbol(net->jit, lua_pushfstring(L, "%s_profile", net->model->name));
	if (!address) bug("a profile without a table");
	memcpy(&rows, &address, sizeof rows);
	p.row = rows(&p.rows);
	for (size_t i = 0; i < p.rows; i++) clear(&p.row[i]);
	if (!measured(net, &p, &error)) return lua_fail(L, "out of memory");
	if (error) return lua_fail(L, "profile: %s", error);
	run_entries(L, net, seconds, &p);
	const char *text = table(net, &p);
	if (!text) return lua_fail(L, "out of memory");
	lua_pushstring(L, text);
	return 1;
}
