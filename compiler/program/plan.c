/* plan: where every work buffer lies in the arena.
 *
 * A buffer lives from the first step that mentions it to the last. Buffers are placed largest
 * first, each at the lowest offset where it meets no buffer that lives at the same time (first fit
 * by decreasing size). Offsets are multiples of a cache line. */
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

/* The lowest offset at which `b` meets none of the placed buffers that live with it; these are in
 * the order of their offsets. */
static int64_t lowest(const Life *life, const int64_t *bytes, const int64_t *at, const int *placed,
    int nplaced, int b)
{
	int64_t offset = 0;
	for (int k = 0; k < nplaced; k++) {
		int o = placed[k];
		if (at[o] + bytes[o] <= offset || !overlap_in_time(&life[o], &life[b])) continue;
		if (offset + bytes[b] <= at[o]) break;
		offset = at[o] + bytes[o];
	}
	return offset;
}

static void insert_placed(int *placed, int n, const int64_t *at, int b)
{
	int lo = 0, hi = n;
	while (lo < hi) {
		int middle = (lo + hi) / 2;
		if (at[placed[middle]] <= at[b])
			lo = middle + 1;
		else
			hi = middle;
	}
	memmove(&placed[lo + 1], &placed[lo], (size_t)(n - lo) * sizeof *placed);
	placed[lo] = b;
}

/* Larger ones first, those of one size in their own order. */
typedef struct {
	int64_t bytes;
	int buffer;
} Sized;

static int by_size(const void *x, const void *y)
{
	const Sized *a = x, *b = y;
	if (a->bytes != b->bytes) return a->bytes > b->bytes ? -1 : 1;
	return a->buffer < b->buffer ? -1 : 1;
}

void plan_memory(Arena *a, Part *p, int64_t element_bytes)
{
	int n = p->buffer.n, norder = 0;
	Life *life = NEWS(a, Life, n + 1);
	int64_t *bytes = NEWS(a, int64_t, n + 1), *at = NEWS(a, int64_t, n + 1);
	Sized *order = NEWS(a, Sized, n + 1);
	int *placed = NEWS(a, int, n + 1);
	part_lives(p, life);
	for (int i = 0; i < n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (b->place != PLACE_WORK || life[i].first < 0) continue;
		int64_t size;
		if (!mul_fits(b->size, element_bytes, &size) || !add_fits(size, LINE_BYTES - 1, &size))
			bug("buffer %s does not fit", b->name);
		bytes[i] = size / LINE_BYTES * LINE_BYTES;
		order[norder++] = (Sized){bytes[i], i};
	}
	qsort(order, (size_t)norder, sizeof *order, by_size);
	p->work = 0;
	p->element_bytes = element_bytes;
	for (int i = 0; i < norder; i++) {
		int b = order[i].buffer;
		at[b] = lowest(life, bytes, at, placed, i, b);
		insert_placed(placed, i, at, b);
		p->buffer.at[b]->offset = at[b] / element_bytes;
		p->work = MAX(p->work, at[b] + bytes[b]);
	}
	p->work_lower_bound = lower_bound(a, p, life, bytes);
}
