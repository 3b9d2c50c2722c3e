/* plan: where every work buffer lies.
 *
 * A buffer lives from the first step that mentions it to the last. Buffers are placed one by one,
 * each at the lowest offset where it meets no buffer that lives at the same time (first fit). What
 * comes of it hangs on who is placed first: the largest, those that live longest, those for which
 * the product of both is largest, those that live at the worst step; and then, from the best of
 * these, whoever sticks out at the top is placed earlier, again and again, until the arena is as
 * small as it must be or the work allowed is done. Offsets are multiples of a cache line.
 *
 * The gradients' memory belongs to whoever calls, is as long as the weights, and holds nothing
 * until the backward pass writes it, weight by weight. Until then it is lent: what fits there lies
 * there, and the arena is for what does not. */
#include "internal.h"

#include <stdlib.h>

/* Turns of a group come again: what one step mentions is there for all of them. */
static void live_through(const Part *p, int from, int to, Life *life)
{
	for (int s = from; s < to; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Buffer *b = nest_access(n, k)->buffer;
			life[b->id].first = MIN(life[b->id].first, from);
			life[b->id].last = MAX(life[b->id].last, to - 1);
		}
	}
}

/* What lies in another buffer lives there. */
static void live_within(const Part *p, Life *life)
{
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (!b->within || life[i].first < 0) continue;
		Life *x = &life[b->within->id];
		x->first = x->first_store = x->first < 0 ? life[i].first : MIN(x->first, life[i].first);
		x->last = x->last_store = x->last_load = MAX(x->last, life[i].last);
		life[i] = (Life){-1, -1, -1, -1, -1};
	}
}

void part_lives(const Part *p, Life *life)
{
	for (int i = 0; i < p->buffer.n; i++) life[i] = (Life){-1, -1, -1, -1, -1};
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			bool store = k >= n->nload;
			Life *x = &life[(store ? n->store[k - n->nload].to.buffer : n->load[k].buffer)->id];
			if (x->first < 0) x->first = s;
			x->last = s;
			if (store && x->first_store < 0) x->first_store = s;
			if (store)
				x->last_store = s;
			else
				x->last_load = s;
		}
	}
	for (int s = 0, end; s < p->step.n; s = end) {
		end = group_end(p, s);
		if (end > s + 1) live_through(p, s, end, life);
	}
	live_within(p, life);
}

bool part_makes_gradient(const Part *p, const Buffer *b)
{
	return p->kind == ENTRY_GRADIENTS && b->place == PLACE_GRADS;
}

static bool overlap_in_time(const Life *a, const Life *b)
{
	return a->first <= b->last && b->first <= a->last;
}

/* One memory: the arena, or the gradients'. */
typedef struct {
	int64_t room;       /* bytes; what does not fit goes elsewhere */
	int nfixed, *fixed; /* what lies there and cannot be moved, in the order of their offsets */
	int n, *placed;     /* with what was placed, in the same order */
} Room;

/* An order in which buffers are placed, and what came of it. */
typedef struct {
	const Part *part;
	Life *life; /* by buffer, as these: */
	int64_t *bytes, *at;
	bool *lent;
	int n, *order;
	Room lender, arena;
	int worst;      /* the step at which most bytes live */
	int64_t height; /* of the arena */
	int64_t looks;  /* at placed buffers, in all placements: the work done */
} Placement;

/* The bytes that live at the worst step, gradients included, beyond what these take in any case. */
static int64_t lower_bound(Arena *a, Placement *p, int64_t gradients)
{
	int64_t most = 0, live = 0, *change = NEWS(a, int64_t, p->part->step.n + 1);
	for (int i = 0; i < p->part->buffer.n; i++) {
		const Buffer *b = p->part->buffer.at[i];
		if (p->life[i].first < 0) continue;
		int64_t bytes =
		    part_makes_gradient(p->part, b) ? b->size * p->part->element_bytes : p->bytes[i];
		change[p->life[i].first] += bytes;
		change[p->life[i].last + 1] -= bytes;
	}
	for (int s = 0; s < p->part->step.n; s++) {
		live += change[s];
		if (live - gradients <= most) continue;
		most = live - gradients;
		p->worst = s;
	}
	return most;
}

/* The lowest offset in a memory at which `b` meets nobody who lives with it. */
static int64_t lowest(Placement *p, const Room *r, int b)
{
	int64_t offset = 0;
	int k = 0;
	for (; k < r->n; k++) {
		int o = r->placed[k];
		if (p->at[o] + p->bytes[o] <= offset || !overlap_in_time(&p->life[o], &p->life[b]))
			continue;
		if (offset + p->bytes[b] <= p->at[o]) break;
		offset = (p->at[o] + p->bytes[o] + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
	}
	p->looks += k + 1;
	return offset;
}

static void insert_placed(const Placement *p, Room *r, int b)
{
	int lo = 0, hi = r->n;
	while (lo < hi) {
		int middle = (lo + hi) / 2;
		if (p->at[r->placed[middle]] <= p->at[b])
			lo = middle + 1;
		else
			hi = middle;
	}
	memmove(&r->placed[lo + 1], &r->placed[lo], (size_t)(r->n++ - lo) * sizeof *r->placed);
	r->placed[lo] = b;
}

static void clear(Room *r)
{
	memcpy(r->placed, r->fixed, (size_t)r->nfixed * sizeof *r->placed);
	r->n = r->nfixed;
}

static void place(Placement *p)
{
	p->height = 0;
	clear(&p->lender);
	clear(&p->arena);
	for (int i = 0; i < p->n; i++) {
		int b = p->order[i];
		p->at[b] = lowest(p, &p->lender, b);
		p->lent[b] = p->bytes[b] <= p->lender.room - p->at[b];
		if (!p->lent[b]) p->at[b] = lowest(p, &p->arena, b);
		insert_placed(p, p->lent[b] ? &p->lender : &p->arena, b);
		if (!p->lent[b]) p->height = MAX(p->height, p->at[b] + p->bytes[b]);
	}
}

typedef enum { BY_SIZE, BY_SIZE_AND_TIME, BY_TIME, WORST_FIRST, RULES } Rule;

/* The first ones, then the others, each with greater keys first, those of one key in their own
 * order. */
typedef struct {
	bool first;
	int64_t key;
	int buffer;
} Ranked;

static int by_key(const void *x, const void *y)
{
	const Ranked *a = x, *b = y;
	if (a->first != b->first) return a->first ? -1 : 1;
	if (a->key != b->key) return a->key > b->key ? -1 : 1;
	return a->buffer < b->buffer ? -1 : 1;
}

static void rank_by(Placement *p, Rule rule, Ranked *rank)
{
	for (int i = 0; i < p->n; i++) {
		int b = p->order[i];
		const Life *life = &p->life[b];
		int64_t time = life->last - life->first + 1, key = p->bytes[b];
		bool first = rule == WORST_FIRST && life->first <= p->worst && p->worst <= life->last;
		bool by_both = rule == BY_SIZE_AND_TIME || (rule == WORST_FIRST && !first);
		if (rule == BY_TIME) key = time;
		if (by_both && !mul_fits(p->bytes[b], time, &key)) key = INT64_MAX;
		rank[i] = (Ranked){first, key, b};
	}
	qsort(rank, (size_t)p->n, sizeof *rank, by_key);
	for (int i = 0; i < p->n; i++) p->order[i] = rank[i].buffer;
}

/* The one that reaches the top goes half way to the front; from there to the front at once if it
 * was moved in the round before. */
static void raise_top(Placement *p, int *last)
{
	int i = 0;
	while (p->lent[p->order[i]] || p->at[p->order[i]] + p->bytes[p->order[i]] < p->height) i++;
	int b = p->order[i], to = b == *last ? 0 : i / 2;
	memmove(&p->order[to + 1], &p->order[to], (size_t)(i - to) * sizeof *p->order);
	p->order[to] = b;
	*last = b;
}

/* Best so far: its order and its offsets. */
typedef struct {
	int64_t height;
	int *order;
	int64_t *at;
	bool *lent;
} Best;

static void keep_better(const Placement *p, Best *best)
{
	if (p->height >= best->height) return;
	best->height = p->height;
	memcpy(best->order, p->order, (size_t)p->n * sizeof *best->order);
	memcpy(best->at, p->at, (size_t)p->part->buffer.n * sizeof *best->at);
	memcpy(best->lent, p->lent, (size_t)p->part->buffer.n * sizeof *best->lent);
}

enum { LOOKS = 6000000, ROUNDS = 400 };

static Best search_offsets(Arena *a, Placement *p, int64_t bound)
{
	int n = p->part->buffer.n, last = -1;
	Best best = {INT64_MAX, NEWS(a, int, n + 1), NEWS(a, int64_t, n + 1), NEWS(a, bool, n + 1)};
	Ranked *rank = NEWS(a, Ranked, p->n + 1);
	for (int rule = 0; rule < RULES && best.height > bound; rule++) {
		rank_by(p, (Rule)rule, rank);
		place(p);
		keep_better(p, &best);
	}
	memcpy(p->order, best.order, (size_t)p->n * sizeof *p->order);
	place(p);
	for (int i = 0; i < ROUNDS && p->looks < LOOKS && best.height > bound; i++) {
		raise_top(p, &last);
		place(p);
		keep_better(p, &best);
	}
	return best;
}

/* Work buffers are to be placed; gradients stand where they are, from their first number to the
 * end. The lender begins at the first multiple of a line in their memory: up to a line less one
 * byte behind it, so that each of them may begin so much earlier there. Returns their bytes. */
static int64_t take_buffers(Placement *p, int64_t element_bytes)
{
	const Part *part = p->part;
	int64_t gradients = 0;
	for (int i = 0; i < part->buffer.n; i++) {
		const Buffer *b = part->buffer.at[i];
		int64_t size;
		bool gradient = part_makes_gradient(part, b);
		if ((b->place != PLACE_WORK && !gradient) || p->life[i].first < 0) continue;
		if (!mul_fits(b->size, element_bytes, &size) || !add_fits(size, LINE_BYTES - 1, &size))
			bug("buffer %s does not fit", b->name);
		p->bytes[i] = gradient ? size : size / LINE_BYTES * LINE_BYTES;
		if (gradient) {
			p->at[i] = b->offset * element_bytes - (LINE_BYTES - 1);
			p->life[i].last = part->step.n - 1;
			gradients = MAX(gradients, p->at[i] + size);
			insert_placed(p, &p->lender, i);
		} else {
			p->order[p->n++] = i;
		}
	}
	p->lender.nfixed = p->lender.n;
	memcpy(p->lender.fixed, p->lender.placed, (size_t)p->lender.n * sizeof *p->lender.fixed);
	p->lender.room = gradients - (LINE_BYTES - 1);
	return gradients;
}

void plan_memory(Arena *a, Part *p, int64_t element_bytes)
{
	share_turns(a, p, element_bytes);
	int n = p->buffer.n;
	Placement placement = {.part = p,
	    .life = NEWS(a, Life, n + 1),
	    .bytes = NEWS(a, int64_t, n + 1),
	    .at = NEWS(a, int64_t, n + 1),
	    .lent = NEWS(a, bool, n + 1),
	    .order = NEWS(a, int, n + 1),
	    .lender = {0, 0, NEWS(a, int, n + 1), 0, NEWS(a, int, n + 1)},
	    .arena = {INT64_MAX, 0, NEWS(a, int, 1), 0, NEWS(a, int, n + 1)}};
	part_lives(p, placement.life);
	p->element_bytes = element_bytes;
	p->gradients = take_buffers(&placement, element_bytes);
	p->work_lower_bound = lower_bound(a, &placement, p->gradients);
	Best best = search_offsets(a, &placement, p->work_lower_bound);
	p->work = best.height;
	for (int i = 0; i < placement.n; i++) {
		Buffer *b = p->buffer.at[placement.order[i]];
		b->offset = best.at[b->id] / element_bytes;
		b->lent = best.lent[b->id];
	}
	for (int i = 0; i < n; i++) {
		Buffer *b = p->buffer.at[i];
		if (!b->within) continue;
		b->offset = b->within->offset + b->at;
		b->lent = b->within->lent;
	}
}
