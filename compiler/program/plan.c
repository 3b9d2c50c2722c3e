/* plan: where every work buffer lies in the arena.
 *
 * A buffer lives from the first step that mentions it to the last. Buffers are placed one by one,
 * each at the lowest offset where it meets no buffer that lives at the same time (first fit). What
 * comes of it hangs on who is placed first: the largest, those that live longest, those for which
 * the product of both is largest; and then, from the best of these, whoever sticks out at the top
 * is placed earlier, again and again, until the arena is as small as the bytes that live at the
 * worst step or the work allowed is done. Offsets are multiples of a cache line. */
#include "internal.h"

#include <stdlib.h>

enum { LINE_BYTES = 64 };

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
}

static bool overlap_in_time(const Life *a, const Life *b)
{
	return a->first <= b->last && b->first <= a->last;
}

static int64_t lower_bound(Arena *a, const Part *p, const Life *life, const int64_t *bytes)
{
	int64_t most = 0, live = 0, *change = NEWS(a, int64_t, p->step.n + 1);
	for (int i = 0; i < p->buffer.n; i++) {
		if (!bytes[i]) continue;
		change[life[i].first] += bytes[i];
		change[life[i].last + 1] -= bytes[i];
	}
	for (int s = 0; s < p->step.n; s++) {
		live += change[s];
		most = MAX(most, live);
	}
	return most;
}

/* An order in which buffers are placed, and what came of it. */
typedef struct {
	const Life *life; /* by buffer, as these: */
	const int64_t *bytes;
	int64_t *at;
	int n, *order, *placed; /* placed: in the order of their offsets */
	int64_t height;
	int64_t looks; /* at placed buffers, in all placements: the work done */
} Placement;

/* The lowest offset at which `b` meets none of the n placed buffers that live with it. */
static int64_t lowest(Placement *p, int n, int b)
{
	int64_t offset = 0;
	int k = 0;
	for (; k < n; k++) {
		int o = p->placed[k];
		if (p->at[o] + p->bytes[o] <= offset || !overlap_in_time(&p->life[o], &p->life[b]))
			continue;
		if (offset + p->bytes[b] <= p->at[o]) break;
		offset = p->at[o] + p->bytes[o];
	}
	p->looks += k + 1;
	return offset;
}

static void insert_placed(Placement *p, int n, int b)
{
	int lo = 0, hi = n;
	while (lo < hi) {
		int middle = (lo + hi) / 2;
		if (p->at[p->placed[middle]] <= p->at[b])
			lo = middle + 1;
		else
			hi = middle;
	}
	memmove(&p->placed[lo + 1], &p->placed[lo], (size_t)(n - lo) * sizeof *p->placed);
	p->placed[lo] = b;
}

static void place(Placement *p)
{
	p->height = 0;
	for (int i = 0; i < p->n; i++) {
		int b = p->order[i];
		p->at[b] = lowest(p, i, b);
		insert_placed(p, i, b);
		p->height = MAX(p->height, p->at[b] + p->bytes[b]);
	}
}

typedef enum { BY_SIZE, BY_SIZE_AND_TIME, BY_TIME, RULES } Rule;

/* Greater keys first, those of one key in their own order. */
typedef struct {
	int64_t key;
	int buffer;
} Ranked;

static int by_key(const void *x, const void *y)
{
	const Ranked *a = x, *b = y;
	if (a->key != b->key) return a->key > b->key ? -1 : 1;
	return a->buffer < b->buffer ? -1 : 1;
}

static void rank_by(Placement *p, Rule rule, Ranked *rank)
{
	for (int i = 0; i < p->n; i++) {
		int b = p->order[i];
		int64_t time = p->life[b].last - p->life[b].first + 1, key = p->bytes[b];
		if (rule == BY_TIME) key = time;
		if (rule == BY_SIZE_AND_TIME && !mul_fits(p->bytes[b], time, &key)) key = INT64_MAX;
		rank[i] = (Ranked){key, b};
	}
	qsort(rank, (size_t)p->n, sizeof *rank, by_key);
	for (int i = 0; i < p->n; i++) p->order[i] = rank[i].buffer;
}

/* The one that reaches the top goes half way to the front; from there to the front at once if it
 * was moved in the round before. */
static void raise_top(Placement *p, int *last)
{
	int i = 0;
	while (p->at[p->order[i]] + p->bytes[p->order[i]] < p->height) i++;
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
} Best;

static void keep_better(const Placement *p, Best *best, int buffers)
{
	if (p->height >= best->height) return;
	best->height = p->height;
	memcpy(best->order, p->order, (size_t)p->n * sizeof *best->order);
	memcpy(best->at, p->at, (size_t)buffers * sizeof *best->at);
}

enum { LOOKS = 6000000, ROUNDS = 400 };

static Best search_offsets(Arena *a, Placement *p, int buffers, int64_t bound)
{
	Best best = {INT64_MAX, NEWS(a, int, p->n + 1), NEWS(a, int64_t, buffers + 1)};
	Ranked *rank = NEWS(a, Ranked, p->n + 1);
	if (!p->n) best.height = 0;
	for (int rule = 0; rule < RULES && best.height > bound; rule++) {
		rank_by(p, (Rule)rule, rank);
		place(p);
		keep_better(p, &best, buffers);
	}
	memcpy(p->order, best.order, (size_t)p->n * sizeof *p->order);
	memcpy(p->at, best.at, (size_t)buffers * sizeof *p->at);
	p->height = best.height;
	int last = -1;
	for (int i = 0; i < ROUNDS && p->looks < LOOKS && best.height > bound; i++) {
		raise_top(p, &last);
		place(p);
		keep_better(p, &best, buffers);
	}
	return best;
}

void plan_memory(Arena *a, Part *p, int64_t element_bytes)
{
	int n = p->buffer.n;
	Life *life = NEWS(a, Life, n + 1);
	int64_t *bytes = NEWS(a, int64_t, n + 1);
	Placement placement = {.life = life,
	    .bytes = bytes,
	    .at = NEWS(a, int64_t, n + 1),
	    .order = NEWS(a, int, n + 1),
	    .placed = NEWS(a, int, n + 1)};
	part_lives(p, life);
	for (int i = 0; i < n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (b->place != PLACE_WORK || life[i].first < 0) continue;
		int64_t size;
		if (!mul_fits(b->size, element_bytes, &size) || !add_fits(size, LINE_BYTES - 1, &size))
			bug("buffer %s does not fit", b->name);
		bytes[i] = size / LINE_BYTES * LINE_BYTES;
		placement.order[placement.n++] = i;
	}
	p->element_bytes = element_bytes;
	p->work_lower_bound = lower_bound(a, p, life, bytes);
	Best best = search_offsets(a, &placement, n, p->work_lower_bound);
	p->work = best.height;
	for (int i = 0; i < placement.n; i++) {
		int b = placement.order[i];
		p->buffer.at[b]->offset = best.at[b] / element_bytes;
	}
}
