/* near: what a step hands to the next ones alone goes from one to the other row by row, where it is
 * large: the steps become a group, whose turns are the rows of an image.
 *
 *   t[n][c][h][w] = ... dy[n][c][h][w];       for each n, h: t[n][c][w] = ... dy[n][c][h][w]
 *   dx[n][c][h][w] = sum j: t[n][c+j][h][w]                  dx[n][c][h][w] = sum j: t[n][c+j][w]
 *
 * Such values are written to memory and fetched again otherwise. Images are tasks: where these are
 * few, steps stay as they are. So do contractions, whose weights would be fetched for each row.
 * Strides over rows are asked for at run time, which took less than the memory did.
 *
 * needs: fused maps; Winograd's groups, which are left alone; before layouts.
 * effect: joined dims come first; buffers that are handed on leave rows out, channels innermost.
 * checked by: verify_groups; test_streams, test_entries. */
#include "internal.h"

enum { IMAGE = 0, CHANNEL = 1, ROW = 2, JOINED = 2, MOST_STEPS = 8, LEAST_IMAGES = 4 };

/* Steps from..to, and of each the dims over images and over rows. */
typedef struct {
	Arena *arena;
	Part *part;
	const Life *life;
	int from, to;
	int dim[MOST_STEPS][JOINED];
	int64_t extent[JOINED];
} Chain;

static bool stays_inside(const Chain *c, const Buffer *b)
{
	const Life *l = &c->life[b->id];
	return b->place == PLACE_WORK && !b->fixed && l->first >= c->from && l->last <= c->to;
}

/* The dim that this index is alone, for all of the buffer's values; -1: it is more. */
static int whole_dim(const Nest *n, const Access *x, int position)
{
	const Index *at = &x->at[position];
	if (at->q != 1 || at->a.c || at->a.n != 1 || at->a.t[0].k != 1) return -1;
	int d = at->a.t[0].var;
	return !n->dim[d].reduce && n->dim[d].extent == x->buffer->shape[position] ? d : -1;
}

/* A turn alone says what this index is, which all of a buffer's accesses then have to agree on. */
static bool is_told(const Index *at, const int *dim)
{
	for (int t = 0; t < at->a.n; t++)
		if (at->a.t[t].var != dim[0] && at->a.t[t].var != dim[1]) return false;
	return true;
}

/* x is at the dims that images and rows are in all of what this step hands on, and nothing else is
 * told by these. */
static bool walks_rows(Chain *c, int s, const Access *x)
{
	static const int8_t position[JOINED] = {IMAGE, ROW};
	const Nest *n = c->part->step.at[s].nest;
	for (int k = 0; k < JOINED; k++) {
		int *dim = &c->dim[s - c->from][k], d = whole_dim(n, x, position[k]);
		if (d < 0 || (*dim >= 0 && *dim != d)) return false;
		if (c->extent[k] && c->extent[k] != n->dim[d].extent) return false;
		*dim = d;
		c->extent[k] = n->dim[d].extent;
	}
	for (int i = 0; i < x->buffer->rank; i++)
		if (i != IMAGE && i != ROW && is_told(&x->at[i], c->dim[s - c->from])) return false;
	return true;
}

/* Written in the chain, and mentioned by more than one of its steps. */
static bool is_handed(const Chain *c, const Buffer *b)
{
	bool stored = false;
	int steps = 0;
	for (int s = c->from; s <= c->to; s++) {
		const Nest *n = c->part->step.at[s].nest;
		bool stores = nest_store_of(n, b) >= 0;
		stored |= stores;
		steps += stores || nest_load_of(n, b) >= 0;
	}
	return stored && steps > 1;
}

/* A mask is decided by phases of the dims that it asks for, and turns leave none to joined ones. */
static bool masks_rows(const Nest *n, const int *dim)
{
	for (int g = 0; g < n->nguard; g++)
		for (int k = 0; k < JOINED; k++)
			if (n->guard[g].kind == GUARD_MASK &&
			    (affine_k(&n->guard[g].e[0].a, dim[k]) || affine_k(&n->guard[g].e[1].a, dim[k])))
				return true;
	return false;
}

/* All that is handed on stays inside and goes by rows. */
static bool hands_rows(Chain *c)
{
	for (int s = c->from; s <= c->to; s++) {
		const Nest *n = c->part->step.at[s].nest;
		int handed = 0;
		c->dim[s - c->from][0] = c->dim[s - c->from][1] = -1;
		if (c->part->step.at[s].group || n->inplace || n->ordered || contraction_of(n).is)
			return false;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Access *x = nest_access(n, k);
			if (!is_handed(c, x->buffer)) continue;
			if (x->buffer->rank <= ROW || !stays_inside(c, x->buffer)) return false;
			if (x->buffer->laid || !walks_rows(c, s, x)) return false;
			handed++;
		}
		if (!handed || masks_rows(n, c->dim[s - c->from])) return false;
	}
	return c->extent[0] >= LEAST_IMAGES && c->extent[1] > 1;
}

/* The chain that begins with step s: up to the last step that mentions what the steps before that
 * one write. */
static bool find_chain(Chain *c, int s)
{
	const Part *p = c->part;
	c->from = c->to = s;
	memset(c->extent, 0, sizeof c->extent);
	for (int at = s; at == s || (at < c->to && c->to - s < MOST_STEPS); at++) {
		const Nest *n = p->step.at[at].nest;
		for (int k = 0; k < n->nstore; k++) {
			const Buffer *b = n->store[k].to.buffer;
			if (b->place == PLACE_WORK && b->rank > ROW) c->to = MAX(c->to, c->life[b->id].last);
		}
	}
	return c->to > s && c->to - s < MOST_STEPS && hands_rows(c);
}

/* Numbers that are handed on, and of these the buffers. */
typedef Vec(Buffer *) Handed;

static int64_t find_handed(const Chain *c, Handed *handed)
{
	int64_t sum = 0;
	for (int i = 0; i < c->part->buffer.n; i++) {
		Buffer *b = c->part->buffer.at[i];
		if (!stays_inside(c, b) || !is_handed(c, b)) continue;
		vec_push(c->arena, *handed, b);
		sum += b->size;
	}
	return sum;
}

/* n with these dims in front. */
static Nest *joined(Arena *a, const Nest *n, const int *front)
{
	Nest *to = nest_part(a, n, n->name);
	Affine of[NEST_DIMS];
	to->join = JOINED;
	for (int k = 0; k < JOINED; k++)
		of[front[k]] =
		    affine_var(nest_dim(to, n->dim[front[k]].name, n->dim[front[k]].extent, false));
	for (int d = 0; d < n->ndim; d++)
		if (d != front[0] && d != front[1])
			of[d] = affine_var(nest_dim(to, n->dim[d].name, n->dim[d].extent, n->dim[d].reduce));
	nest_take_guards(to, n, of);
	nest_take_sums(to, n, of);
	nest_take_stores(to, n, of, NULL);
	return to;
}

static void leave_rows_out(Arena *a, Buffer *b)
{
	Text layout;
	text_init(&layout, a);
	text_add(&layout, "a");
	for (int d = ROW + 1; d < b->rank; d++) text_printf(&layout, " %c", 'a' + d);
	text_add(&layout, " b");
	b->folded = UINT32_C(1) << ROW;
	if (!buffer_layout(b, layout.data, 0)) bug("layout '%s' does not fit", layout.data);
	b->laid = true;
}

void near_part(Arena *a, Part *p)
{
	enum { LEAST_ROW = 1 << 10 }; /* numbers: rows take longer than their calls */
	Life *life = NEWS(a, Life, p->buffer.n + 1);
	int groups = 0;
	part_lives(p, life);
	for (int s = 0; s < p->step.n; s++) groups = MAX(groups, p->step.at[s].group);
	for (int s = 0; s < p->step.n; s++) {
		Chain c = {.arena = a, .part = p, .life = life};
		Handed handed = {0};
		if (!find_chain(&c, s)) continue;
		int64_t numbers = find_handed(&c, &handed);
		if (numbers < FAR_NUMBERS || numbers < LEAST_ROW * c.extent[0] * c.extent[1]) continue;
		groups++;
		for (int k = s; k <= c.to; k++) {
			Step *step = &p->step.at[k];
			step->nest = joined(a, step->nest, c.dim[k - s]);
			step->group = groups;
		}
		for (int k = 0; k < handed.n; k++) leave_rows_out(a, handed.at[k]);
		s = c.to;
	}
}
