/* inline: large values that are cheap to make are made by those who read them, and by nobody else.
 *
 *   y[n][c][h][w] = max(0, (x[n][c][h][w] - mean[c])*s[c] + b[c]);
 *   p[n][c][i][j] = max kh kw: y[n][c][2 i + kh][2 j + kw]
 *
 * becomes one sweep over x. It pays where writing and fetching y takes longer than making it for
 * each reading: where memory has to hold it, it is a few operations on one value as large and on
 * channels' numbers, and each of it is read a few times. Contractions, whose operands are read as
 * they lie, and copies make nothing on their way.
 *
 * needs: fused maps, so that what may go to its producer did.
 * guarantees: fewer steps, no buffer that was not there.
 * checked by: test_inline, test_entries; nest_verify. */
#include "internal.h"

typedef struct {
	Arena *arena;
	Part *part;
	const Use *use;
} Inliner;

static bool is_cheap(void *self, const Expr *e)
{
	int *left = self;
	bool leaf = e->kind == E_LOAD || e->kind == E_NUM;
	bool quick = e->kind >= E_ADD && e->kind <= E_SELECT && e->kind != E_DIV;
	leaf |= e->kind == E_ROUND;
	*left -= quick;
	return (leaf || quick) && *left >= 0;
}

/* What n makes its value of is one buffer of ours that is as large, and little else. */
static bool has_one_operand(const Nest *n)
{
	enum { SMALL = 16 };
	const Buffer *to = n->store[0].to.buffer;
	int large = 0;
	for (int k = 0; k < n->nload; k++) {
		const Buffer *b = n->load[k].buffer;
		if (b->size <= to->size / SMALL) continue;
		if (b->size > to->size || b->place != PLACE_WORK || b->fixed) return false;
		large++;
	}
	return large == 1;
}

/* A large value that is cheap to make. */
static bool is_wanted(const Nest *n)
{
	enum { OPERATIONS = 8 };
	int left = OPERATIONS;
	if (n->nacc || n->nguard || n->ordered || n->nstore != 1) return false;
	const Buffer *b = n->store[0].to.buffer;
	if (b->place != PLACE_WORK || b->fixed || b->size < FAR_NUMBERS) return false;
	return has_one_operand(n) && expr_visit(n->store[0].value, is_cheap, &left);
}

/* A step that brings values elsewhere as they are has ways of its own to be quick. */
static bool is_copy(const Nest *n)
{
	return !n->nacc && n->nstore == 1 && n->store[0].value->kind == E_LOAD;
}

/* How often n reads each number of b is a few times. */
static bool reads_few(const Nest *n, const Buffer *b)
{
	enum { READS = 4 };
	int64_t left = READS * b->size;
	for (int k = 0; k < n->nload; k++) {
		int64_t each = 1;
		if (n->load[k].buffer != b) continue;
		for (int d = 0; d < n->ndim; d++)
			if (!n->dim[d].reduce || load_in_update(n, k))
				if (!mul_fits(each, n->dim[d].extent, &each)) return false;
		if (each > left) return false;
		left -= each;
	}
	return true;
}

/* What the step at `from` reads is the same at `to`. */
static bool reads_same(const Inliner *f, int from, int to)
{
	const Nest *n = f->part->step.at[from].nest;
	for (int k = 0; k < n->nload; k++) {
		const Steps *list = &f->use[n->load[k].buffer->id].store;
		for (int i = 0; i < list->n; i++)
			if (from < list->at[i] && list->at[i] <= to) return false;
	}
	return true;
}

/* The reader at step r with the value of the map at step s; NULL: it stays as it is. */
static Nest *inlined(const Inliner *f, int s, int r)
{
	const Nest *map = f->part->step.at[s].nest, *reader = f->part->step.at[r].nest;
	const Buffer *b = map->store[0].to.buffer;
	bool takes = !reader->inplace && !is_copy(reader) && !moves_weights(reader);
	if (r <= s || !takes || contraction_of(reader).is) return NULL;
	if (!reads_few(reader, b) || !reads_same(f, s, r)) return NULL;
	Nest *made = inline_map(f->arena, map, reader);
	return made && !nest_verify(f->arena, made) ? made : NULL;
}

/* All who read it make it, or nobody does. */
static void inline_step(const Inliner *f, int s)
{
	enum { READERS = 4 };
	Nest *made[READERS];
	Step *step = f->part->step.at;
	if (!is_wanted(step[s].nest)) return;
	const Use *use = &f->use[step[s].nest->store[0].to.buffer->id];
	if (use->store.n != 1 || !use->load.n || use->load.n > READERS) return;
	for (int i = 0; i < use->load.n; i++)
		if (!(made[i] = inlined(f, s, use->load.at[i]))) return;
	for (int i = 0; i < use->load.n; i++) {
		Step *reader = &step[use->load.at[i]];
		reader->nest = made[i];
		reader->comment = arena_printf(f->arena, "%s + %s", step[s].comment, reader->comment);
	}
	step[s].nest = NULL;
}

/* From the first to the last. Lists of uses miss who reads a map's operands from now on; but who
 * made these came before, and was asked before. */
void inline_part(Arena *a, Part *p)
{
	Inliner f = {a, p, part_uses(a, p)};
	int kept = 0;
	for (int s = 0; s < p->step.n; s++) inline_step(&f, s);
	for (int s = 0; s < p->step.n; s++)
		if (p->step.at[s].nest) p->step.at[kept++] = p->step.at[s];
	p->step.n = kept;
}
