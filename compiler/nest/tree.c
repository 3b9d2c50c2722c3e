/* tree: questions about a scheduled nest, and its dump. */
#include "internal.h"

static Tree *copy_node(Arena *a, const Tree *t, int ndim)
{
	Tree *out = NEW(a, Tree);
	*out = *t;
	out->kid.room = t->kid.n;
	out->kid.at = NEWS(a, Tree *, t->kid.n);
	for (int i = 0; i < t->kid.n; i++) out->kid.at[i] = copy_node(a, t->kid.at[i], ndim);
	if (!t->sub) return out;
	out->sub = NEWS(a, Affine, ndim);
	memcpy(out->sub, t->sub, (size_t)ndim * sizeof *out->sub);
	return out;
}

Scheduled *tree_copy(Arena *a, const Scheduled *s)
{
	Scheduled *out = NEW(a, Scheduled);
	*out = *s;
	out->root.room = s->root.n;
	out->root.at = NEWS(a, Tree *, s->root.n);
	for (int i = 0; i < s->root.n; i++)
		out->root.at[i] = copy_node(a, s->root.at[i], s->nest->ndim);
	out->count = NEWS(a, int64_t, s->nvar);
	if (s->nvar) memcpy(out->count, s->count, (size_t)s->nvar * sizeof *out->count);
	out->var_name.room = s->var_name.n;
	out->var_name.at = NEWS(a, const char *, s->var_name.n);
	for (int i = 0; i < s->var_name.n; i++) out->var_name.at[i] = arena_copy(a, s->var_name.at[i]);
	return out;
}

/* A dim is whole when the tile starts at its value 0 and spans it to its end, whatever loops are
 * around. */
int tile_chunks(const Scheduled *s, const Tree *tile, Chunk *chunk)
{
	int n = 0;
	for (int d = 0; d < s->nest->ndim; d++) {
		if (!s->nest->dim[d].reduce) continue;
		Affine base = tile->sub[d];
		for (int r = 0; r < tile->nreg; r++)
			if (tile->reg[r].dim == d) base = affine_fix(&base, tile->reg[r].var, 0);
		int64_t last = s->nest->dim[d].extent - 1 - tile->span[d];
		if (base.n || base.c || last) chunk[n++] = (Chunk){d, base, last};
	}
	return n;
}

/* A list of nodes made by a par line holds par loops only; any other list is one block, in order.
 */
static int64_t blocks_of(Tree *const *node, int n)
{
	int64_t blocks = 0;
	for (int i = 0; i < n; i++) {
		if (node[i]->kind != TREE_LOOP || node[i]->line != LINE_PAR) return 1;
		blocks += node[i]->count * blocks_of(node[i]->kid.at, node[i]->kid.n);
	}
	return MAX(blocks, 1);
}

int64_t tree_blocks(const Scheduled *s) { return blocks_of(s->root.at, s->root.n); }

typedef struct {
	const char *(*visit)(void *self, const Path *p);
	void *self;
	Path path;
} Walk;

static const char *walk(Walk *w, const Tree *t);

/* false: more vars than a schedule has lines, so no schedule made this tree. */
static bool push_var(Path *p, int var, int dim, int64_t count)
{
	if (p->nvar == SCHEDULE_LINES) return false;
	p->var[p->nvar++] = (PathVar){var, dim, count};
	return true;
}

static const char *walk_kids(Walk *w, const Tree *t)
{
	const char *wrong = NULL;
	for (int i = 0; i < t->kid.n && !wrong; i++) wrong = walk(w, t->kid.at[i]);
	return wrong;
}

static const char *walk(Walk *w, const Tree *t)
{
	static const char too_long[] = "a path longer than a schedule";
	Path *p = &w->path;
	int nvar = p->nvar;
	const char *wrong = NULL;
	if (t->kind == TREE_LOOP && !push_var(p, t->var, t->dim, t->count)) return too_long;
	for (int r = 0; r < t->nreg; r++)
		if (!push_var(p, t->reg[r].var, t->reg[r].dim, t->reg[r].count)) return too_long;
	if (t->kind == TREE_LEAF) {
		p->leaf = t;
		wrong = w->visit(w->self, p);
	} else if (t->kind == TREE_TILE) {
		const Tree *outer = p->tile;
		p->tile = t;
		p->tiles++;
		wrong = walk_kids(w, t);
		p->tile = outer;
		p->tiles--;
	} else {
		wrong = walk_kids(w, t);
	}
	p->nvar = nvar;
	return wrong;
}

const char *paths_visit(
    const Scheduled *s, const char *(*visit)(void *self, const Path *p), void *self)
{
	Walk w = {.visit = visit, .self = self};
	const char *wrong = NULL;
	for (int i = 0; i < s->root.n && !wrong; i++) wrong = walk(&w, s->root.at[i]);
	return wrong;
}

/* Registers as ow[6], lanes as oc<8>. */
static void print_regs(const Scheduled *s, const Tree *t, Text *out)
{
	for (int r = 0; r < t->nreg; r++)
		text_printf(out, " %s%c%lld%c", s->var_name.at[t->reg[r].var], "[<"[t->reg[r].lanes],
		    (long long)t -> reg[r].count, "]>"[t->reg[r].lanes]);
}

/* What each dim is over the loops; a tile says only where it stores. */
static void print_sub(const Scheduled *s, const Tree *t, Text *out)
{
	const Nest *n = s->nest;
	const char *separator = "  : ";
	for (int d = 0; d < n->ndim; d++) {
		bool plain = t->sub[d].n == 0 && t->sub[d].c == 0;
		if (plain || (t->kind == TREE_TILE && n->dim[d].reduce)) continue;
		text_printf(out, "%s%s = ", separator, n->dim[d].name);
		affine_print(&t->sub[d], s->var_name.at, out);
		separator = ", ";
	}
}

static void print_node(const Scheduled *s, const Tree *t, int depth, Text *out)
{
	static const char *const prefix[] = {
	    [LINE_FOR] = "", [LINE_PAR] = "par ", [LINE_TILE] = "tile ", [LINE_CUT] = "cut "};
	Chunk chunk[NEST_DIMS];
	text_printf(out, "%*s", 2 * depth, "");
	switch (t->kind) {
	case TREE_LOOP:
		text_printf(out, "%s%s %lld", prefix[t->line], s->var_name.at[t->var], (long long)t->count);
		break;
	case TREE_TILE: {
		text_add(out, "tile");
		print_regs(s, t, out);
		int nchunk = tile_chunks(s, t, chunk);
		for (int i = 0; i < nchunk; i++)
			text_printf(out, "%s%s", i ? " " : " in chunks of ", s->nest->dim[chunk[i].dim].name);
		print_sub(s, t, out);
		break;
	}
	case TREE_LEAF:
		text_add(out, t->dead ? "dead" : "leaf");
		print_regs(s, t, out);
		print_sub(s, t, out);
		break;
	}
	text_add(out, "\n");
	for (int i = 0; i < t->kid.n; i++) print_node(s, t->kid.at[i], depth + 1, out);
}

void tree_print(const Scheduled *s, Text *out)
{
	text_printf(out, "%s: ", s->nest->name);
	schedule_print(s->nest, &s->schedule, out);
	text_add(out, "\n");
	for (int i = 0; i < s->root.n; i++) print_node(s, s->root.at[i], 1, out);
}

static int64_t node_lanes(const Tree *t)
{
	int64_t most = 1;
	for (int i = 0; i < t->nreg; i++)
		if (t->reg[i].lanes) most = MAX(most, t->reg[i].count);
	for (int i = 0; i < t->kid.n; i++) most = MAX(most, node_lanes(t->kid.at[i]));
	return most;
}

const void *tree_built(const Scheduled *s) { return s->root.at; }

int64_t tree_lanes(const Scheduled *s)
{
	int64_t most = 1;
	for (int i = 0; i < s->root.n; i++) most = MAX(most, node_lanes(s->root.at[i]));
	return most;
}
