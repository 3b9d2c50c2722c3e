/* driver: the pipeline as a readable list.
 *
 *   frontend ─▶ model ─ for each entry: instance, autodiff ─ lower, fuse, lay out, plan,
 *   schedule, verify
 *
 * Each stage is a pure function of the one before and of the decisions. */
#include "driver.h"
#include "emit/emit.h"
#include "frontend/frontend.h"
#include "op.h"
#include "passes/passes.h"
#include "program/internal.h"
#include "schedule/schedule.h"

typedef struct {
	Arena *arena;
	Diag *diag;
	const Options *options;
	Program *program;
	Decisions decisions;
	Text *dump; /* NULL: nobody looks */
} Compilation;

static bool dumps(const Compilation *c, const char *stage)
{
	return c->dump && c->options->dump && strcmp(c->options->dump, stage) == 0;
}

/* auto: every x86 target and the plain one, each behind its guard and test; else the one named. */
static void choose_targets(Program *p, const char *name)
{
	if (name && strcmp(name, "auto") != 0) {
		p->target[p->ntarget++] = target_find(name);
		if (!p->target[0]) bug("no target named %s", name);
		return;
	}
	static const char *const all[] = {"avx512", "avx2", "x86-64", "generic"};
	for (int i = 0; i < COUNT(all); i++) p->target[p->ntarget++] = target_find(all[i]);
}

/* --- one entry --------------------------------------------------------------------------- */

static void dump_nests(const Part *p, Text *out)
{
	text_printf(out, "# %s\n", p->name);
	for (int i = 0; i < p->step.n; i++) nest_print(p->step.at[i].nest, out);
}

static void dump_layouts(const Part *p, Text *out)
{
	text_printf(out, "# %s\n", p->name);
	for (int i = 0; i < p->buffer.n; i++) {
		text_printf(out, "%s: ", p->buffer.at[i]->name);
		buffer_layout_text(p->buffer.at[i], out);
		text_add(out, "\n");
	}
}

static void dump_trees(const Program *program, const Part *p, Text *out)
{
	for (int t = 0; t < program->ntarget; t++) {
		text_printf(out, "# %s, %s\n", p->name, program->target[t]->name);
		for (int i = 0; i < p->step.n; i++)
			if (p->step.at[i].tree[t]) tree_print(p->step.at[i].tree[t], out);
	}
}

static void dump_plan(Arena *a, const Part *p, Text *out)
{
	Life *life = NEWS(a, Life, p->buffer.n + 1);
	part_lives(p, life);
	text_printf(out, "# %s: %lld bytes of work, at least %lld\n", p->name, (long long)p->work,
	    (long long)p->work_lower_bound);
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (b->place == PLACE_WORK && life[i].first >= 0)
			text_printf(out, "%10lld +%-10lld %4d to %4d  %s%s\n", (long long)b->offset,
			    (long long)b->size, life[i].first, life[i].last, b->name,
			    b->lent ? ", in the gradients" : "");
	}
}

static bool takes_winograd(const Compilation *c, EntryKind kind)
{
	WinogradUse use = c->options->winograd;
	if (c->options->is_double) return false;
	return use == WINOGRAD_ALL || (use == WINOGRAD_INFERENCE && kind == ENTRY_INFER);
}

/* An entry's graph, checked and simplified, becomes nests, fused and laid out. NULL after errors.
 */
static Part *lower_entry(Compilation *c, Graph *g, EntryKind kind, const char *name)
{
	if (c->diag->errors) return NULL;
	const char *fault = graph_verify(g);
	if (fault) bug("%s: %s", name, fault);
	if (dumps(c, "graph")) {
		text_printf(c->dump, "# %s\n", name);
		graph_print(g, c->dump);
	}
	run_passes(g);
	if (dumps(c, "passes")) {
		text_printf(c->dump, "# %s\n", name);
		graph_print(g, c->dump);
	}
	Part *p = lower_graph(c->arena, g, kind, name);
	if (dumps(c, "nests")) dump_nests(p, c->dump);
	simplify_part(c->arena, p, !(c->options->without & STAGE_FUSE));
	if (dumps(c, "fused")) dump_nests(p, c->dump);
	const Program *program = c->program;
	form_part(c->arena, p, program->target, program->ntarget, program->is_double,
	    takes_winograd(c, kind));
	if (dumps(c, "layouts")) dump_layouts(p, c->dump);
	return p;
}

/* The order of a part that is laid out, and where its buffers lie. */
static void place_part(Compilation *c, Part *p)
{
	if (!(c->options->without & STAGE_ORDER)) order_part(c->arena, p);
	inplace_part(c->arena, p);
	plan_memory(c->arena, p, c->program->is_double ? 8 : 4);
}

/* Schedules and verifies a part that is placed. */
static void finish_placed(Compilation *c, Part *p)
{
	Program *program = c->program;
	schedule_part(
	    c->arena, p, program->target, program->ntarget, program->is_double, &c->decisions);
	if (c->diag->errors) return;
	if (dumps(c, "trees")) dump_trees(program, p, c->dump);
	if (dumps(c, "plan")) dump_plan(c->arena, p, c->dump);
	const char *fault = verify_part(c->arena, p);
	if (fault) bug("%s: %s", p->name, fault);
	vec_push(c->arena, program->part, p);
}

static void finish_part(Compilation *c, Part *p)
{
	if (!p || c->diag->errors) return;
	place_part(c, p);
	finish_placed(c, p);
}

static void add_part(Compilation *c, Graph *g, EntryKind kind, const char *name)
{
	finish_part(c, lower_entry(c, g, kind, name));
}

/* --- all entries ------------------------------------------------------------------------- */

static const char *entry_name(Compilation *c, const char *stem, int64_t batch)
{
	return arena_printf(c->arena, "%s_b%lld", stem, (long long)batch);
}

static void add_inference(Compilation *c, const Model *m)
{
	static const int64_t one[] = {1};
	const Options *o = c->options;
	int n = o->infer_batches ? o->infer_batches : 1;
	const int64_t *batch = o->infer_batches ? o->infer_batch : one;
	Part *part[BATCH_LIMIT] = {NULL};
	for (int i = 0; i < n; i++)
		part[i] = lower_entry(c, graph_instance(m, batch[i], MODE_INFER, false), ENTRY_INFER,
		    entry_name(c, "infer", batch[i]));
	if (c->diag->errors) return;
	finish_part(c, hoist_pack(c->arena, part, n, &c->program->packed));
	for (int i = 0; i < n; i++) finish_part(c, part[i]);
}

/* The graph of gradients, with activations made again. */
static Graph *gradients_graph(
    Compilation *c, const Model *m, int64_t batch, Recomputed again, int *made)
{
	int errors = c->diag->errors;
	Graph *g = graph_instance(m, batch, MODE_TRAIN, true);
	if (c->diag->errors > errors && batch == 1)
		diag_note(c->diag, (Where){0},
		    "training is compiled for batch 1%s; -b train=2 gives a larger one, --inference none",
		    c->options->train_batches ? "" : ", since -b names no other");
	int forward = g->node.n;
	graph_backward(g, m);
	*made = c->diag->errors ? 0 : graph_recompute(g, forward, again);
	return g;
}

/* Gradients in one of the ways there are to save memory: the part, placed, in memory of its own,
 * and what --dump shows of its making. */
typedef struct {
	Arena *arena;
	Part *part;
	Recomputed again;
	Text *dump;
} Trial;

static Trial try_gradients(
    Compilation *c, Arena *arena, const Model *m, int64_t batch, Recomputed again)
{
	int made;
	Compilation trial = *c;
	trial.arena = arena;
	if (c->dump) text_init(trial.dump = NEW(c->arena, Text), c->arena);
	Graph *g = gradients_graph(&trial, m, batch, again, &made);
	Trial t = {arena, NULL, again, trial.dump};
	t.part = lower_entry(&trial, g, ENTRY_GRADIENTS, entry_name(c, "gradients", batch));
	if (!t.part) return t;
	t.part->recomputed = made;
	place_part(&trial, t.part);
	return t;
}

/* What is made again: of what is cheap that which does not shrink, all of it, and segments. The
 * later ones do more twice. */
static const Recomputed ways[] = {{0, 1}, {2, 1}, {16, 1}, {16, 2}, {16, 3}, {16, 4}, {16, 6},
    {16, 8}, {16, 11}, {16, 16}, {16, 23}, {16, 32}};
static const int ways_of[] = {
    [RECOMPUTE_NONE] = 1, [RECOMPUTE_CHEAP] = 3, [RECOMPUTE_ALL] = COUNT(ways)};

/* The way that takes least memory or, with a limit, the first that keeps to it. */
static Trial best_gradients(Compilation *c, const Model *m, int64_t batch)
{
	int64_t limit = c->options->recompute_bytes;
	Arena *next = arena_scratch(c->arena);
	Trial best = try_gradients(c, arena_scratch(c->arena), m, batch, ways[0]);
	if (!best.part) return best;
	int64_t kept = best.part->work;
	for (int i = 1; i < ways_of[c->options->recompute] && !(limit && best.part->work <= limit);
	     i++) {
		Trial t = try_gradients(c, next, m, batch, ways[i]);
		if (t.part && t.part->work < best.part->work) {
			next = best.arena;
			best = t;
		}
		arena_reset(next);
	}
	best.part->work_kept = kept;
	if (limit && best.part->work > limit)
		diag_error(c->diag, (Where){0},
		    "--recompute: gradients of batch %lld work in no less than %lld bytes, not in %lld",
		    (long long)batch, (long long)best.part->work, (long long)limit);
	return best;
}

static void add_step(Compilation *c, const Model *m, int64_t batch, Recomputed again)
{
	int made;
	Graph *g = gradients_graph(c, m, batch, again, &made);
	if (c->diag->errors) return;
	graph_step(g, m);
	add_part(c, g, ENTRY_STEP, entry_name(c, "step", batch));
}

static void add_gradients(Compilation *c, const Model *m, int64_t batch)
{
	Trial best = best_gradients(c, m, batch);
	if (!best.part || c->diag->errors) return;
	if (c->dump) text_add(c->dump, best.dump->data);
	finish_placed(c, best.part);
	if (may_step_at_once(m) && !(c->options->without & STAGE_EARLY))
		add_step(c, m, batch, best.again);
}

static void add_training(Compilation *c, const Model *m)
{
	static const int64_t one[] = {1};
	const Options *o = c->options;
	int n = o->train_batches ? o->train_batches : 1;
	const int64_t *batch = o->train_batches ? o->train_batch : one;
	for (int i = 0; i < n; i++) {
		add_part(c, graph_instance(m, batch[i], MODE_INFER, true), ENTRY_EVAL,
		    entry_name(c, "eval", batch[i]));
		add_gradients(c, m, batch[i]);
	}
	if (m->optimizer.kind) add_part(c, graph_update(m), ENTRY_UPDATE, "update");
}

Program *compile_program(Arena *a, Diag *d, const Options *opt, Model *m, Text *dump)
{
	Program *p = NEW(a, Program);
	Compilation c = {.arena = a, .diag = d, .options = opt, .program = p, .dump = dump};
	p->model = m;
	p->options = opt;
	p->is_double = opt->is_double;
	c.decisions.diag = d;
	c.decisions.whole = opt->without & STAGE_CHUNKS;
	c.decisions.waits = opt->without & STAGE_AHEAD;
	choose_targets(p, opt->target);
	c.decisions.arena = a;
	if (!decisions_read(&c.decisions, d, opt->decisions) || !model_layout(m, !opt->inference_only))
		return NULL;
	for (int i = 0; i < m->slot.n; i++) vec_push(a, p->slot, m->slot.at[i]);
	p->slots = m->slots;
	if (dumps(&c, "model")) graph_print(m->graph, dump);
	finish_part(&c, lower_init(a, m));
	add_inference(&c, m);
	if (m->loss.n > 0 && !opt->inference_only) add_training(&c, m);
	if (!d->errors) decisions_check(&c.decisions, d, p->target, p->ntarget, opt->tune);
	if (dumps(&c, "decisions")) decisions_print(&c.decisions, dump);
	return d->errors ? NULL : p;
}

Program *compile_model(Arena *a, Diag *d, const Options *opt, Text *dump)
{
	Model *m = frontend_load(a, d, opt);
	return m ? compile_program(a, d, opt, m, dump) : NULL;
}
