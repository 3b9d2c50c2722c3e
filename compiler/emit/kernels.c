/* kernels: the kernels as text, target by target, and the choice among the targets.
 *
 * A kernel is chosen by a table for each target, so that an entry looks at the machine once a call.
 */
#include "internal.h"

/* The condition under which target t's kernels are compiled: its own guard, and none before it that
 * is always there. Empty: no condition. */
static void target_condition(const Emission *e, int t, Text *out)
{
	const Program *p = e->program;
	const char *and = "";
	if (p->target[t]->guard) {
		text_add(out, p->target[t]->guard);
		and = " && ";
	}
	for (int u = 0; u < t; u++) {
		if (p->target[u]->test || !p->target[u]->guard) continue;
		text_printf(out, "%s!(%s)", and, p->target[u]->guard);
		and = " && ";
	}
}

/* `shared`: what other targets' kernels need, too. */
static bool begin_target(const Emission *e, int t, bool shared, Text *out)
{
	Text condition;
	const char *guard = e->program->target[t]->guard;
	text_init(&condition, e->arena);
	if (!shared)
		target_condition(e, t, &condition);
	else if (guard)
		text_add(&condition, guard);
	if (!condition.len) return false;
	text_printf(out, "#if %s\n", condition.data);
	return true;
}

/* The layers that call it; steps of several entries, or alike, are told once. */
static void print_uses(const Emission *e, const UniqueKernel *k, Text *out)
{
	enum { SHOWN = 40 };
	int shown = 0, more = 0;
	Map told;
	map_init(&told, e->arena);
	for (int i = 0; i < k->use.n; i++) {
		const char *comment = k->use.at[i]->comment ? k->use.at[i]->comment : k->nest->name;
		if (map_get(&told, comment, strlen(comment))) continue;
		map_put(&told, comment, strlen(comment), (void *)k->use.at[i]);
		if (shown++ >= SHOWN) {
			more++;
			continue;
		}
		text_add(out, " *   ");
		print_comment_text(out, comment);
		text_add(out, "\n");
	}
	if (more) text_printf(out, " *   and %d more\n", more);
}

/* The layers are told once for all targets. */
static void print_kernel_comment(const Emission *e, UniqueKernel *k, int t, Text *out)
{
	const KernelCost *cost = &k->by_target[t].cost;
	text_printf(out, "/* %s: %s multiply-adds a call, called %d times", k->name,
	    grouped(e->arena, k->macs), k->use.n);
	text_add(out, k->told ? ", see above\n" : ":\n");
	if (!k->told) print_uses(e, k, out);
	k->told = true;
	text_add(out, " * ");
	schedule_print(k->nest, &k->by_target[t].tree->schedule, out);
	text_printf(out, "\n * tiles %lld, functions %lld, blocks %lld, text %s bytes */\n",
	    (long long)cost->tiles, (long long)cost->functions, (long long)k->by_target[t].blocks,
	    grouped(e->arena, cost->bytes));
}

/* Those functions of target t that others use as well, or the rest. */
static void print_some(Emission *e, int t, bool shared, Text *out)
{
	Functions *f = &e->functions[t];
	bool begun = false, conditional = false;
	for (int i = 0; i < f->at.n; i++) {
		const CFunction *x = f->at.at[i];
		if (shared != (x->users != UINT32_C(1) << t)) continue;
		if (!begun) {
			text_printf(out, "/* --- kernels: %s%s --- */\n\n", e->program->target[t]->name,
			    shared ? ", and others where they come out the same" : "");
			conditional = begin_target(e, t, shared, out);
			begun = true;
		}
		for (int k = 0; k < x->kernel.n; k++) print_kernel_comment(e, x->kernel.at[k], t, out);
		function_print(f, x, out);
	}
	if (conditional) text_add(out, "#endif\n\n");
}

/* Room at once for all that is coming, or somewhat less. */
static void reserve_functions(const Emission *e, Text *out)
{
	size_t bytes = 0;
	for (int t = 0; t < e->program->ntarget; t++)
		for (int i = 0; i < e->functions[t].at.n; i++)
			bytes += strlen(e->functions[t].at.at[i]->text);
	text_reserve(out, bytes + bytes / 4);
}

/* The plainest first, as the others stand on what they have in common with it. */
void print_kernels(Emission *e, Text *out)
{
	reserve_functions(e, out);
	for (int t = e->program->ntarget - 1; t >= 0; t--) {
		print_some(e, t, true, out);
		print_some(e, t, false, out);
	}
}

void print_kernel_names(const Emission *e, Text *out)
{
	for (int t = 0; t < e->program->ntarget; t++)
		for (int i = 0; i < e->functions[t].at.n; i++)
			text_printf(out, "void %s();\n", e->functions[t].at.at[i]->name);
}

static void print_pick(const Emission *e, Text *out)
{
	const Program *p = e->program;
	text_add(out, "/* The best kernels that this machine can run. */\n");
	text_add(out, "static const struct kernels *pick(void)\n{\n");
	for (int t = 0; t < p->ntarget; t++) {
		bool conditional = begin_target(e, t, false, out),
		     asks = p->target[t]->test && t + 1 < p->ntarget;
		if (asks) {
			Text test;
			text_init(&test, e->arena);
			text_printf(&test, "\tif (%s)\n", p->target[t]->test);
			text_wrapped(out, test.data);
		}
		text_printf(out, "%s\treturn &kernels_", asks ? "\t" : "");
		target_word(p->target[t], out);
		text_add(out, ";\n");
		if (conditional) text_add(out, "#endif\n");
	}
	text_add(out, "}\n\n");
}

void print_kernel_tables(const Emission *e, Text *out)
{
	text_add(out, "struct kernel {\n\tvoid (*run)(const void *const *arg, size_t block);\n"
	              "\tsize_t blocks;\n\tint is_short; /* not worth a second thread */\n};\n\n"
	              "struct kernels {\n\tconst char *target;\n");
	for (int i = 0; i < e->kernel.n; i++)
		text_printf(out, "\tstruct kernel %s;\n", e->kernel.at[i]->name);
	text_add(out, "};\n\n");
	for (int t = 0; t < e->program->ntarget; t++) {
		bool conditional = begin_target(e, t, false, out);
		text_add(out, "static const struct kernels kernels_");
		target_word(e->program->target[t], out);
		text_printf(out, " = {\n\t\"%s\",\n", e->program->target[t]->name);
		for (int i = 0; i < e->kernel.n; i++) {
			const UniqueKernel *k = e->kernel.at[i];
			text_printf(out, "\t{%s, %lld, %d},\n", k->by_target[t].function->name,
			    (long long)k->by_target[t].blocks, k->is_short);
		}
		text_add(out, "};\n");
		if (conditional) text_add(out, "#endif\n");
		text_add(out, "\n");
	}
	print_pick(e, out);
}
