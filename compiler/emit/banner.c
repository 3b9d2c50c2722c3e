/* banner: the comment that opens the text: what it is, what it was made from, what it takes. */
#include "internal.h"

#include "../options.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static void print_quoted(Text *out, const char *option, const char *value)
{
	text_printf(out, " %s '", option);
	print_comment_text(out, value);
	text_add(out, "'");
}

static void print_batches(Text *out, const char *kind, const int64_t *batch, int n)
{
	if (n) text_printf(out, " -b %s=", kind);
	for (int i = 0; i < n; i++) text_printf(out, "%s%lld", i ? "," : "", (long long)batch[i]);
}

/* All that decides about the text, so that it can be made again; but schedules of a file, which are
 * seen in the kernels: where they are those that would be chosen, so is the text. */
static void print_given(const Options *o, Text *out)
{
	static const char *const winograd[] = {
	    [WINOGRAD_INFERENCE] = "inference", [WINOGRAD_NONE] = "none"};
	text_printf(out, " --target=%s", o->target ? o->target : "auto");
	if (o->inference_only) text_add(out, " --inference");
	if (o->profile) text_add(out, " --profile");
	if (o->prefix) text_printf(out, " --prefix=%s", o->prefix);
	if (o->winograd != WINOGRAD_ALL) text_printf(out, " --winograd=%s", winograd[o->winograd]);
	for (int i = 0; i < o->expose.n; i++) print_quoted(out, "--expose", o->expose.at[i]);
	if (o->recompute == RECOMPUTE_NONE) text_add(out, " --recompute=none");
	if (o->recompute == RECOMPUTE_ALL) text_add(out, " --recompute");
	if (o->recompute_bytes) text_printf(out, "=%lld", (long long)o->recompute_bytes);
	print_batches(out, "infer", o->infer_batch, o->infer_batches);
	print_batches(out, "train", o->train_batch, o->train_batches);
	for (int i = 0; i < o->freeze.n; i++) print_quoted(out, "--freeze", o->freeze.at[i]);
}

static void print_options(const Emission *e, Text *out)
{
	const Model *m = e->program->model;
	text_printf(out, " * Options: --real=%s", e->real);
	if (e->program->options) print_given(e->program->options, out);
	for (int i = 0; i < m->option.n; i++) {
		text_printf(out, "%s", i % 4 ? " -D " : "\n *   -D ");
		print_comment_text(out, m->option.at[i].name);
		text_add(out, "=");
		print_comment_text(out, m->option.at[i].value ? m->option.at[i].value : "");
	}
	text_add(out, "\n");
}

static void print_states(const Emission *e, Text *out)
{
	static const char *const kinds[] = {
	    [STATE_WEIGHT] = "weight", [STATE_BUFFER] = "buffer", [STATE_SLOT] = "slot"};
	const Model *m = e->program->model;
	if (!m->state.n) return;
	text_add(out, " *\n * Tensors in vars: offset, count, kind, shape, name\n");
	for (int kind = STATE_WEIGHT; kind <= STATE_BUFFER; kind++)
		for (int i = 0; i < m->state.n; i++) {
			const State *s = m->state.at[i];
			if ((int)s->kind != kind) continue;
			text_printf(out, " *   %10lld %9lld  %s%s  %-20s ", (long long)s->offset,
			    (long long)shape_count(s->shape), kinds[s->kind], s->frozen ? " (frozen)" : "",
			    shape_words(e->arena, s->shape));
			print_comment_text(out, s->name);
			text_add(out, "\n");
		}
}

static void print_memory(const Emission *e, Text *out)
{
	const Model *m = e->program->model;
	text_printf(out, " *\n * Memory in bytes: vars %s, slots %s, packed %s\n",
	    grouped(e->arena, bytes_of(e, m->vars)), grouped(e->arena, bytes_of(e, e->program->slots)),
	    grouped(e->arena, bytes_of(e, e->packed_elements)));
	for (int i = 0; i < e->program->part.n; i++) {
		const Part *p = e->program->part.at[i];
		int64_t macs = 0;
		for (int s = 0; s < p->step.n; s++)
			if (!add_fits(macs, p->step.at[s].macs, &macs)) macs = INT64_MAX;
		text_printf(out, " *   %-16s %d steps, %s multiply-adds, work %s (never below %s)\n",
		    p->name, p->step.n, grouped(e->arena, macs), grouped(e->arena, p->work),
		    grouped(e->arena, p->work_lower_bound));
		if (p->recomputed)
			text_printf(out, " *   %-16s %d operators run twice; work %s if all were kept\n", "",
			    p->recomputed, grouped(e->arena, p->work_kept));
	}
}

void print_banner(const Emission *e, Text *out)
{
	const Program *p = e->program;
	const Model *m = p->model;
	text_printf(out, "/* %s", e->prefix);
	if (m->title) {
		text_add(out, ": ");
		print_comment_text(out, m->title);
	}
	text_add(out, "\n *\n * Made by cnnc " CNNC_VERSION);
	if (m->file) {
		text_add(out, " from ");
		print_comment_text(out, base_name(m->file));
	}
	text_add(out, ". It belongs to whoever had it made: use it, change it, pass it on.\n");
	text_add(out,
	    " * Compile with optimisation (cc -O2) and link with libm; OpenMP or a pool of threads are "
	    "optional.\n");
	print_options(e, out);
	text_printf(out, " * %s weights, %s other variables, %d kernels for",
	    grouped(e->arena, m->weights), grouped(e->arena, m->buffers), e->kernel.n);
	for (int t = 0; t < p->ntarget; t++)
		text_printf(out, "%s %s", t ? "," : "", p->target[t]->name);
	text_add(out, "\n");
	print_memory(e, out);
	print_states(e, out);
	text_add(out, " */\n");
}
