/* turns: what a turn of a group works in lies in one piece.
 *
 * Buffers that only a group mentions hold nothing from one turn to the next (see group.c), and most
 * are read by the very next member. So a task has one piece of memory, as large as it must be: in
 * it, buffers that no member needs at once have one place. The pieces of all tasks lie side by
 * side, and are one buffer to the planner, which no nest mentions:
 *
 *   task 0: | R, then M | V, then Z |  task 1: | R, then M | V, then Z |  ...
 *
 * needs: layouts.  effect: such buffers have Buffer.within, and the piece as their tasks' stride.
 * checked by: verify_turns. */
#include "internal.h"

enum { SHARERS = 32 };

/* The buffers of a group, and what each takes of a piece. */
typedef struct {
	const Part *part;
	int from, to; /* steps */
	int64_t tasks, line;
	int n;
	Buffer *buffer[SHARERS];
	Life life[SHARERS];
	int64_t size[SHARERS], at[SHARERS];
} Sharers;

/* Whether tasks are the outermost loop of its layout: a task's elements lie together. */
static bool has_tasks_outside(const Buffer *b, int64_t tasks)
{
	const Component *c = &b->comp[0];
	return b->ncomp && c->dim == 0 && c->div == 1 && !c->mod && c->extent == tasks;
}

static void add_sharer(Sharers *g, Buffer *b, const Life *whole)
{
	Life life = {-1, -1, -1, -1, -1};
	if (b->place != PLACE_WORK || b->fixed || !has_tasks_outside(b, g->tasks)) return;
	if (whole->first != g->from || whole->last != g->to - 1 || g->n == SHARERS) return;
	for (int s = g->from; s < g->to; s++) {
		const Nest *n = g->part->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Access *x = nest_access(n, k);
			if (x->buffer != b) continue;
			if (!index_is_task(&x->at[0]) && g->tasks > 1) return;
			if (life.first < 0) life.first = s;
			life.last = s;
		}
	}
	int64_t size = b->size / g->tasks;
	g->buffer[g->n] = b;
	g->life[g->n] = life;
	g->size[g->n++] = (size + g->line - 1) / g->line * g->line;
}

static bool meet(const Life *x, const Life *y)
{
	return x->first <= y->last && y->first <= x->last;
}

/* The largest first, each as low as those before it let it. Returns the size of a piece. */
static int64_t place_sharers(Sharers *g)
{
	int64_t high = 0;
	bool done[SHARERS] = {false};
	for (int i = 0; i < g->n; i++) {
		int b = -1;
		for (int k = 0; k < g->n; k++)
			if (!done[k] && (b < 0 || g->size[k] > g->size[b])) b = k;
		g->at[b] = 0;
		for (int k = 0; k < g->n; k++) {
			bool apart = g->at[b] + g->size[b] <= g->at[k] || g->at[k] + g->size[k] <= g->at[b];
			if (!done[k] || apart || !meet(&g->life[k], &g->life[b])) continue;
			g->at[b] = g->at[k] + g->size[k];
			k = -1; /* it has moved: all are asked again */
		}
		done[b] = true;
		high = MAX(high, g->at[b] + g->size[b]);
	}
	return high;
}

static void share(Arena *a, Part *p, Sharers *g)
{
	int64_t sum = 0, high = place_sharers(g);
	for (int i = 0; i < g->n; i++) sum += g->size[i];
	if (high == sum) return;
	Buffer *piece =
	    part_buffer(a, p, "turns", TYPE_REAL, 1, (int64_t[]){g->tasks * high}, PLACE_WORK);
	for (int i = 0; i < g->n; i++) {
		Buffer *b = g->buffer[i];
		int64_t own = b->size / g->tasks;
		b->within = piece;
		b->at = g->at[i];
		b->comp[0].stride = high;
		b->size = (g->tasks - 1) * high + own;
	}
}

void share_turns(Arena *a, Part *p, int64_t element_bytes)
{
	int n = p->buffer.n;
	Life *life = NEWS(a, Life, n + 1);
	part_lives(p, life);
	for (int s = 0, end; s < p->step.n; s = end) {
		end = group_end(p, s);
		if (end == s + 1) continue;
		Sharers g = {.part = p, .from = s, .to = end, .line = LINE_BYTES / element_bytes};
		g.tasks = p->step.at[s].nest->dim[0].extent;
		for (int i = 0; i < n; i++) add_sharer(&g, p->buffer.at[i], &life[i]);
		share(a, p, &g);
	}
}

/* --- proof --------------------------------------------------------------------------------- */

static const char *verify_within(Arena *a, const Part *p, const Life *life, const Buffer *b)
{
	const Buffer *piece = b->within;
	int64_t tasks = b->comp[0].extent, stride = b->comp[0].stride;
	int64_t own = b->size - (tasks - 1) * stride;
	bool inside = b->at >= 0 && own > 0 && b->at + own <= stride && tasks * stride <= piece->size;
	if (!has_tasks_outside(b, tasks) || !inside || b->lent != piece->lent ||
	    b->offset != piece->offset + b->at || life->first != life->first_store)
		return arena_printf(a, "%s lies outside of its tasks' pieces", b->name);
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		bool other = p->step.at[s].group != p->step.at[life->first].group;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Access *x = nest_access(n, k);
			if (x->buffer == piece) return arena_printf(a, "%s is mentioned", piece->name);
			if (x->buffer != b) continue;
			if (other || !n->join || n->dim[0].extent != tasks ||
			    (tasks > 1 && !index_is_task(&x->at[0])))
				return arena_printf(a, "%s is not a task's own", b->name);
		}
	}
	return NULL;
}

/* Without what groups make of lives: by members. */
static void member_lives(const Part *p, Life *life)
{
	for (int i = 0; i < p->buffer.n; i++) life[i] = (Life){-1, -1, -1, -1, -1};
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			Life *x = &life[nest_access(n, k)->buffer->id];
			if (x->first < 0) x->first = s;
			if (k >= n->nload && x->first_store < 0) x->first_store = s;
			x->last = s;
		}
	}
}

const char *verify_turns(Arena *a, const Part *p)
{
	Life *life = NEWS(a, Life, p->buffer.n + 1);
	const char *fault = NULL;
	member_lives(p, life);
	for (int i = 0; i < p->buffer.n && !fault; i++) {
		const Buffer *x = p->buffer.at[i];
		if (!x->within || life[i].first < 0) continue;
		fault = verify_within(a, p, &life[i], x);
		for (int k = 0; k < i && !fault; k++) {
			const Buffer *y = p->buffer.at[k];
			if (y->within != x->within || life[k].first < 0) continue;
			int64_t stride = x->comp[0].stride;
			int64_t rest = (x->comp[0].extent - 1) * stride;
			bool apart = x->at + x->size - rest <= y->at || y->at + y->size - rest <= x->at;
			if (y->comp[0].stride != stride || (!apart && meet(&life[i], &life[k])))
				fault = arena_printf(a, "%s and %s meet in a turn", x->name, y->name);
		}
	}
	return fault;
}
