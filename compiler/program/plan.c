/* plan: where every work buffer lies in the arena.
 *
 * A buffer lives from the first step that mentions it to the last. Buffers are placed largest
 * first, each at the lowest offset where it meets no buffer that lives at the same time (first fit
 * by decreasing size). Offsets are multiples of a cache line. */
#include "internal.h"

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

static int64_t lower_bound(const Part *p, const Life *life, const int64_t *bytes)
{
	int64_t most = 0;
	for (int s = 0; s < p->step.n; s++) {
		int64_t live = 0;
		for (int i = 0; i < p->buffer.n; i++)
			if (bytes[i] && life[i].first <= s && s <= life[i].last) live += bytes[i];
		most = MAX(most, live);
	}
	return most;
}

/* The lowest offset at which `b` meets none of the placed buffers that live with it. */
static int64_t lowest(const Part *p, const Life *life, const int64_t *bytes, const int64_t *at,
    const int *placed, int nplaced, int b)
{
	int64_t offset = 0;
	for (bool moved = true; moved;) {
		moved = false;
		for (int k = 0; k < nplaced; k++) {
			int o = placed[k];
			if (!overlap_in_time(&life[o], &life[b])) continue;
			if (offset < at[o] + bytes[o] && at[o] < offset + bytes[b]) {
				offset = at[o] + bytes[o];
				moved = true;
			}
		}
	}
	(void)p;
	return offset;
}

void plan_memory(Arena *a, Part *p, int64_t element_bytes)
{
	int n = p->buffer.n, nplaced = 0;
	Life *life = NEWS(a, Life, n + 1);
	int64_t *bytes = NEWS(a, int64_t, n + 1), *at = NEWS(a, int64_t, n + 1);
	int *order = NEWS(a, int, n + 1), norder = 0;
	part_lives(p, life);
	for (int i = 0; i < n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (b->place != PLACE_WORK || life[i].first < 0) continue;
		int64_t size;
		if (!mul_fits(b->size, element_bytes, &size) || !add_fits(size, LINE_BYTES - 1, &size))
			bug("buffer %s does not fit", b->name);
		bytes[i] = size / LINE_BYTES * LINE_BYTES;
		int k = norder++;
		for (; k > 0 && bytes[order[k - 1]] < bytes[i]; k--) order[k] = order[k - 1];
		order[k] = i;
	}
	p->work = 0;
	p->element_bytes = element_bytes;
	for (; nplaced < norder; nplaced++) {
		int b = order[nplaced];
		at[b] = lowest(p, life, bytes, at, order, nplaced, b);
		p->buffer.at[b]->offset = at[b] / element_bytes;
		p->work = MAX(p->work, at[b] + bytes[b]);
	}
	p->work_lower_bound = lower_bound(p, life, bytes);
}
