/* unique: the kernels of a program. Steps whose nests, layouts and schedules agree share one; what
 * is left is printed for every target, and what comes out equal for all of them is shared too.
 *
 * A kernel is chosen by a table for each target, so that an entry looks at the machine once a call.
 */
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
		put(t, (int64_t)(intptr_t)tree_of(e, s, k)->root.at);
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

static void print_for_targets(Emission *e, UniqueKernel *k, const Step *s, TilePool *pool)
{
	uint64_t hash = 0;
	for (int t = 0; t < e->program->ntarget; t++) {
		Text tiles, text;
		const Scheduled *tree = tree_of(e, s, t);
		text_init(&tiles, e->arena);
		text_init(&text, e->arena);
		pool[t].prefix = arena_printf(e->arena, "%s_tile", s->nest->name);
		pool[t].out = &tiles;
		kernel_print(e->arena, tree, e->program->target[t], e->program->is_double, &pool[t], &text,
		    &k->by_target[t].cost);
		k->by_target[t].tree = tree;
		k->by_target[t].blocks = tree_blocks(tree);
		k->by_target[t].tiles = tiles.data;
		k->by_target[t].text = text.data;
		hash = hash_bytes(text.data, text.len, hash);
		e->stack = MAX(e->stack, k->by_target[t].cost.stack);
	}
	k->hash = hash;
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

static UniqueKernel *kernel_of(Emission *e, const Step *s, TilePool *pool)
{
	Text signature;
	text_init(&signature, e->arena);
	put_step(e, s, &signature);
	UniqueKernel *k = map_get(&e->by_signature, signature.data, signature.len);
	if (k) return k;
	k = NEW(e->arena, UniqueKernel);
	*k = (UniqueKernel){.nest = s->nest, .macs = s->macs};
	print_for_targets(e, k, s, pool);
	Text texts;
	text_init(&texts, e->arena);
	put_texts(e, k, &texts);
	UniqueKernel *same = map_get(&e->by_text, texts.data, texts.len);
	if (same && !same_texts(e, same, k)) same = NULL;
	map_put(&e->by_signature, signature.data, signature.len, same ? same : k);
	if (same) return same;
	name_kernel(e, k);
	map_put(&e->by_name, k->name, strlen(k->name), k);
	map_put(&e->by_text, texts.data, texts.len, k);
	e->uses |= prelude_uses(s->nest);
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
	TilePool pool[TARGET_LIMIT] = {{0}};
	for (int t = 0; t < p->ntarget; t++) {
		Text suffix;
		text_init(&suffix, e->arena);
		text_add(&suffix, "_");
		target_word(p->target[t], &suffix);
		pool[t].suffix = suffix.data;
	}
	map_init(&e->by_signature, e->arena);
	map_init(&e->by_text, e->arena);
	map_init(&e->by_name, e->arena);
	e->of_step = NEWS(e->arena, UniqueKernel **, p->part.n + 1);
	for (int i = 0; i < p->part.n; i++) {
		const Part *part = p->part.at[i];
		e->of_step[i] = NEWS(e->arena, UniqueKernel *, part->step.n + 1);
		for (int s = 0; s < part->step.n; s++) {
			UniqueKernel *k = kernel_of(e, &part->step.at[s], pool);
			vec_push(e->arena, k->use, &part->step.at[s]);
			e->of_step[i][s] = k;
			find_tables(e, part->step.at[s].nest);
		}
	}
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

/* --- kernels as text ----------------------------------------------------------------------- */

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

static bool begin_target(const Emission *e, int t, Text *out)
{
	Text condition;
	text_init(&condition, e->arena);
	target_condition(e, t, &condition);
	if (!condition.len) return false;
	text_printf(out, "#if %s\n", condition.data);
	return true;
}

/* The layers that call it; steps of several entries, or alike, are told once. */
static void print_uses(const UniqueKernel *k, Text *out)
{
	enum { SHOWN = 40 };
	int shown = 0, more = 0;
	for (int i = 0; i < k->use.n; i++) {
		const char *comment = k->use.at[i]->comment ? k->use.at[i]->comment : k->nest->name;
		bool told = false;
		for (int j = 0; j < i && !told; j++)
			told = k->use.at[j]->comment && !strcmp(k->use.at[j]->comment, comment);
		if (told) continue;
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

static void print_kernel_comment(const Emission *e, const UniqueKernel *k, int t, Text *out)
{
	const KernelCost *cost = &k->by_target[t].cost;
	size_t bytes = strlen(k->by_target[t].text) + strlen(k->by_target[t].tiles);
	text_printf(out, "/* %s: %s multiply-adds a call, called %d times:\n", k->name,
	    grouped(e->arena, k->macs), k->use.n);
	print_uses(k, out);
	text_add(out, " * ");
	schedule_print(k->nest, &k->by_target[t].tree->schedule, out);
	text_printf(out, "\n * tiles %lld, functions %lld, blocks %lld, text %s bytes */\n",
	    (long long)cost->tiles, (long long)cost->functions, (long long)k->by_target[t].blocks,
	    grouped(e->arena, (int64_t)bytes));
}

void print_kernels(const Emission *e, Text *out)
{
	for (int t = 0; t < e->program->ntarget; t++) {
		const Target *target = e->program->target[t];
		text_printf(out, "/* --- kernels: %s --- */\n\n", target->name);
		bool conditional = begin_target(e, t, out);
		for (int i = 0; i < e->kernel.n; i++) {
			const UniqueKernel *k = e->kernel.at[i];
			text_add(out, k->by_target[t].tiles);
			print_kernel_comment(e, k, t, out);
			text_add(out, "static CNNC_UNUSED ");
			target_attribute(target, out);
			text_printf(out, "void %s_", k->name);
			target_word(target, out);
			text_add(out, k->by_target[t].text);
			text_add(out, "\n");
		}
		if (conditional) text_add(out, "#endif\n\n");
	}
}

static void print_pick(const Emission *e, Text *out)
{
	const Program *p = e->program;
	text_add(out, "/* The best kernels that this machine can run. */\n");
	text_add(out, "static const struct kernels *pick(void)\n{\n");
	for (int t = 0; t < p->ntarget; t++) {
		bool conditional = begin_target(e, t, out), asks = p->target[t]->test && t + 1 < p->ntarget;
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
	              "\tsize_t blocks;\n};\n\nstruct kernels {\n\tconst char *target;\n");
	for (int i = 0; i < e->kernel.n; i++)
		text_printf(out, "\tstruct kernel %s;\n", e->kernel.at[i]->name);
	text_add(out, "};\n\n");
	for (int t = 0; t < e->program->ntarget; t++) {
		bool conditional = begin_target(e, t, out);
		text_add(out, "static const struct kernels kernels_");
		target_word(e->program->target[t], out);
		text_printf(out, " = {\n\t\"%s\",\n", e->program->target[t]->name);
		for (int i = 0; i < e->kernel.n; i++) {
			const UniqueKernel *k = e->kernel.at[i];
			text_printf(out, "\t{%s_", k->name);
			target_word(e->program->target[t], out);
			text_printf(out, ", %lld},\n", (long long)k->by_target[t].blocks);
		}
		text_add(out, "};\n");
		if (conditional) text_add(out, "#endif\n");
		text_add(out, "\n");
	}
	print_pick(e, out);
}
