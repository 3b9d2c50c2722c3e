/* unique: the kernels of a program. Steps whose nests, layouts and schedules agree share one; what
 * is left is printed for every target, and what comes out equal for all of them is shared too. */
#include "internal.h"

/* --- signatures: all that a kernel's text is made of ------------------------------------------ */

static void put(Text *t, int64_t x) { text_addn(t, (const char *)&x, sizeof x); }

static const Scheduled *tree_of(const Emission *e, const Step *s, int target)
{
	if (!s->tree[target])
		bug("nest %s is not scheduled for %s", s->nest->name, e->program->target[target]->name);
	return s->tree[target];
}

/* Nests of one form share their trees; beside these only the alignment of buffers shows in a text.
 */
static void put_step(const Emission *e, const Step *s, Text *t)
{
	const Buffer *buffer[KERNEL_BUFFERS];
	int count = kernel_buffers(s->nest, buffer);
	for (int k = 0; k < e->program->ntarget; k++)
		put(t, (int64_t)(intptr_t)tree_built(tree_of(e, s, k)));
	for (int b = 0; b < count; b++) {
		bool ours = buffer[b]->place == PLACE_WORK || buffer[b]->place == PLACE_PACKED;
		put(t, ours && bytes_of(e, buffer[b]->offset) % 64 == 0);
	}
}

/* --- names --------------------------------------------------------------------------------- */

static void add_extents(Text *t, const Nest *n, bool reduce)
{
	char before = '_';
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce != reduce || n->dim[d].extent == 1) continue;
		text_printf(t, "%c%lld", before, (long long)n->dim[d].extent);
		before = 'x';
	}
}

/* Stem, space extents, reduction extents, and as much of the text's hash as keeps it apart. */
static void name_kernel(Emission *e, UniqueKernel *k)
{
	Text t;
	text_init(&t, e->arena);
	text_add(&t, k->nest->name);
	add_extents(&t, k->nest, false);
	add_extents(&t, k->nest, true);
	for (char *c = t.data; *c; c++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *c))
			*c = '_';
	for (int digits = 4; digits <= 16; digits++) {
		uint64_t part = k->hash >> (64 - 4 * digits);
		k->name = arena_printf(e->arena, "%s_%0*llx", t.data, digits, (unsigned long long)part);
		if (!map_get(&e->by_name, k->name, strlen(k->name))) return;
	}
	bug("two kernels are called %s", k->name);
}

/* --- printing each once -------------------------------------------------------------------- */

/* The target after t with the same tree, whose function serves t as well; -1: t has its own. Not
 * one that rounds otherwise, as an update is the same bits whether in a long row or by itself. */
static int served_by(const Emission *e, const Step *s, int t)
{
	const Target *const *target = e->program->target;
	for (int u = t + 1; u < e->program->ntarget; u++)
		if (tree_built(tree_of(e, s, u)) == tree_built(tree_of(e, s, t)) &&
		    (target[u]->fuses == target[t]->fuses || !nest_fuses(s->nest)))
			return u;
	return -1;
}

/* The plainest target first: the others look there for what they need. */
static void print_for_targets(Emission *e, UniqueKernel *k, const Step *s)
{
	k->hash = 0;
	for (int t = e->program->ntarget - 1; t >= 0; t--) {
		Text text;
		const Scheduled *tree = tree_of(e, s, t);
		int other = served_by(e, s, t);
		if (other >= 0) {
			k->by_target[t] = k->by_target[other];
			continue;
		}
		text_init(&text, e->scratch);
		e->functions[t].prefix = arena_printf(e->scratch, "%s_tile", s->nest->name);
		kernel_print(e->scratch, tree, e->program->target[t], e->program->is_double,
		    &e->functions[t], &text, &k->by_target[t].cost);
		k->by_target[t].tree = tree;
		k->by_target[t].blocks = tree_blocks(tree);
		k->by_target[t].text = text.data;
		k->by_target[t].cost.bytes += (int64_t)text.len;
		k->hash = hash_bytes(text.data, text.len, k->hash);
		e->stack = MAX(e->stack, k->by_target[t].cost.stack);
	}
}

static void find_functions(Emission *e, UniqueKernel *k, const Step *s)
{
	for (int t = e->program->ntarget - 1; t >= 0; t--) {
		int other = served_by(e, s, t);
		if (other >= 0) {
			k->by_target[t].function = k->by_target[other].function;
			k->by_target[t].text = k->by_target[other].text;
			continue;
		}
		Functions *own = &e->functions[t];
		const char *text = k->by_target[t].text;
		uint64_t hash = hash_here(text, strlen(text));
		CFunction *f = function_find(own, text, hash, nest_fuses(k->nest));
		if (!f)
			f = function_add(own, arena_printf(e->arena, "%s%s", k->name, own->suffix),
			    arena_copy(e->arena, text), hash);
		k->by_target[t].function = f;
		k->by_target[t].text = f->text;
		if (!f->kernel.n || f->kernel.at[f->kernel.n - 1] != k) vec_push(e->arena, f->kernel, k);
	}
}

/* Class, texts and blocks: what makes two kernels one. */
static void put_texts(const Emission *e, const UniqueKernel *k, Text *out)
{
	text_addn(out, k->nest->name, strlen(k->nest->name) + 1);
	put(out, (int64_t)k->hash);
	for (int t = 0; t < e->program->ntarget; t++) put(out, k->by_target[t].blocks);
}

static bool same_texts(const Emission *e, const UniqueKernel *k, const UniqueKernel *like)
{
	for (int t = 0; t < e->program->ntarget; t++)
		if (strcmp(k->by_target[t].text, like->by_target[t].text) != 0) return false;
	return true;
}

static UniqueKernel *kernel_of(Emission *e, const Step *s)
{
	Text signature, texts;
	arena_reset(e->scratch);
	text_init(&signature, e->scratch);
	put_step(e, s, &signature);
	UniqueKernel *k = map_get(&e->by_signature, signature.data, signature.len);
	if (k) return k;
	k = NEW(e->arena, UniqueKernel);
	*k = (UniqueKernel){.nest = s->nest, .macs = s->macs, .is_short = s->is_short};
	print_for_targets(e, k, s);
	text_init(&texts, e->scratch);
	put_texts(e, k, &texts);
	UniqueKernel *same = map_get(&e->by_text, texts.data, texts.len);
	if (same && !same_texts(e, same, k)) same = NULL;
	map_put(&e->by_signature, signature.data, signature.len, same ? same : k);
	if (same) return same;
	name_kernel(e, k);
	find_functions(e, k, s);
	map_put(&e->by_name, k->name, strlen(k->name), k);
	map_put(&e->by_text, texts.data, texts.len, k);
	e->uses |= prelude_uses(s->nest);
	for (int t = 0; t < e->program->ntarget; t++)
		if (e->functions[t].narrow) e->uses |= USE_NARROW;
	vec_push(e->arena, e->kernel, k);
	return k;
}

static void find_tables(Emission *e, const Nest *n)
{
	const Buffer *buffer[KERNEL_BUFFERS];
	int count = kernel_buffers(n, buffer);
	for (int b = 0; b < count; b++) {
		if (buffer[b]->place != PLACE_TABLE || find_table(e, buffer[b]) >= 0) continue;
		Table t = {buffer[b]->table, buffer[b]->size};
		vec_push(e->arena, e->table, t);
	}
}

void find_kernels(Emission *e)
{
	const Program *p = e->program;
	for (int t = 0; t < p->ntarget; t++) {
		Functions *f = &e->functions[t];
		Text suffix;
		text_init(&suffix, e->arena);
		text_add(&suffix, "_");
		target_word(p->target[t], &suffix);
		functions_open(f, e->arena, p->target[t]);
		f->suffix = suffix.data;
		f->number = t;
		f->plainer = t + 1 < p->ntarget ? f + 1 : NULL;
	}
	e->scratch = arena_scratch(e->arena);
	map_init(&e->by_signature, e->arena);
	map_init(&e->by_text, e->arena);
	map_init(&e->by_name, e->arena);
	e->of_step = NEWS(e->arena, UniqueKernel **, p->part.n + 1);
	for (int i = 0; i < p->part.n; i++) {
		const Part *part = p->part.at[i];
		e->of_step[i] = NEWS(e->arena, UniqueKernel *, part->step.n + 1);
		for (int s = 0; s < part->step.n; s++) {
			UniqueKernel *k = kernel_of(e, &part->step.at[s]);
			vec_push(e->arena, k->use, &part->step.at[s]);
			e->of_step[i][s] = k;
			find_tables(e, part->step.at[s].nest);
		}
	}
	arena_reset(e->scratch);
}

/* --- tables of numbers --------------------------------------------------------------------- */

int find_table(const Emission *e, const Buffer *b)
{
	for (int i = 0; i < e->table.n; i++) {
		const Table *t = &e->table.at[i];
		if (t->count != b->size) continue;
		if (t->number == b->table ||
		    !memcmp(t->number, b->table, (size_t)b->size * sizeof *b->table))
			return i;
	}
	return -1;
}

void print_tables(const Emission *e, Text *out)
{
	enum { PER_LINE = 8 };
	for (int i = 0; i < e->table.n; i++) {
		const Table *t = &e->table.at[i];
		text_printf(out, "static const %s table_%d[%lld] = {", e->real, i, (long long)t->count);
		for (int64_t j = 0; j < t->count; j++) {
			text_add(out, j % PER_LINE ? " " : "\n\t");
			text_number(out, t->number[j], e->program->is_double);
			text_add(out, ",");
		}
		text_add(out, "\n};\n\n");
	}
}
