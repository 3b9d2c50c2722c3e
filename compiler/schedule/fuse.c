/* fuse: maps go into the nests that produce their inputs. Knows no operators; fuse_map() decides
 * about the form, this file about the order: the fused nest takes the map's place, so nothing
 * between the two may write what the producer reads, nor read or write what it stores. */
#include "../program/internal.h"
#include "schedule.h"

static int readers(const Part *p, const Buffer *b)
{
	int n = 0;
	for (int s = 0; s < p->step.n; s++) n += nest_load_of(p->step.at[s].nest, b) >= 0;
	return n;
}

static int writers(const Part *p, const Buffer *b)
{
	int n = 0;
	for (int s = 0; s < p->step.n; s++) n += nest_store_of(p->step.at[s].nest, b) >= 0;
	return n;
}

/* Whether the producer at `from` may run as late as `to`. */
static bool may_sink(const Part *p, int from, int to)
{
	const Nest *n = p->step.at[from].nest;
	for (int s = from + 1; s < to; s++) {
		const Nest *x = p->step.at[s].nest;
		for (int k = 0; k < n->nload; k++)
			if (nest_store_of(x, n->load[k].buffer) >= 0) return false;
		for (int k = 0; k < n->nstore; k++)
			if (nest_load_of(x, n->store[k].to.buffer) >= 0 ||
			    nest_store_of(x, n->store[k].to.buffer) >= 0)
				return false;
	}
	return true;
}

static bool is_map(const Nest *n)
{
	if (n->nacc || n->nguard) return false;
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce) return false;
	return true;
}

/* The step before `at` that stores b, -1: none. */
static int producer(const Part *p, const Buffer *b, int at)
{
	for (int s = at - 1; s >= 0; s--)
		if (nest_store_of(p->step.at[s].nest, b) >= 0) return s;
	return -1;
}

/* One attempt for the map at step `at`, reading b. */
static bool try_fuse(Arena *a, Part *p, int at, const Buffer *b)
{
	if (b->place != PLACE_WORK || readers(p, b) != 1 || writers(p, b) != 1) return false;
	int from = producer(p, b, at);
	if (from < 0 || !may_sink(p, from, at)) return false;
	const Nest *into = p->step.at[from].nest, *map = p->step.at[at].nest;
	Nest *made = fuse_map(a, into, map, false);
	if (!made || nest_verify(a, made)) return false;
	for (int k = 0; k < made->nload; k++) /* in place only at the same index */
		for (int s = 0; s < made->nstore; s++)
			if (made->load[k].buffer == made->store[s].to.buffer) return false;
	Step *step = &p->step.at[at];
	made->layer = into->layer;
	step->comment = arena_printf(a, "%s + %s", p->step.at[from].comment, step->comment);
	step->nest = made;
	for (int s = from; s + 1 < p->step.n; s++) p->step.at[s] = p->step.at[s + 1];
	p->step.n--;
	return true;
}

void fuse_part(Arena *a, Part *p)
{
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		if (!is_map(n)) continue;
		for (int k = 0; k < n->nload; k++) {
			if (!try_fuse(a, p, s, n->load[k].buffer)) continue;
			s -= 2; /* the fused nest may be a map itself: look again */
			if (s < -1) s = -1;
			break;
		}
	}
}
