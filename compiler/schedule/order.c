/* order: in which order the steps of a part run.
 *
 * needs: buffers with layouts, so that their sizes are known; nothing in place yet, so that every
 * value has a buffer of its own and steps depend on each other by writing and reading alone.
 * effect: the steps in another order where that lowers the bytes that live at the worst step; else
 * as they were.
 *
 * Whatever order there is, the worst step can be relieved only by runs of steps that change sides:
 * what is before it and holds more than it frees goes behind, what is behind and frees more than it
 * takes goes before. So two neighbouring runs A B, one of them with the worst step in it, become B
 * A wherever nothing in B depends on A and the worst of both becomes less; of all these pairs the
 * best is taken, until there is none. Branches of a network are such runs: the one that needs most
 * goes first, when nothing of the others is there yet.
 *
 * checked by: verify_part (nobody reads what is not yet written, states are written last). */
#include "internal.h"

enum {
	LINE = 16,      /* elements that a buffer is rounded up to, as the plan does */
	REACH = 64,     /* steps on either side of the worst one that change places with each other */
	LOOKS = 2000000 /* at steps of runs tried: the work done in a part */
};

/* A step, or the steps of a group, which stay together. */
typedef struct {
	int from, to; /* steps of the part */
	Steps touch;  /* buffers that lie in work memory, each once */
	Steps after;  /* steps that must run after */
	Steps over;   /* buffers that what is stored may lie over, where they die */
} StepNode;

typedef struct {
	Arena *arena;
	const Part *part;
	int n;
	StepNode *step;           /* in the order of the part, as all step numbers here */
	int *node;                /* of each step of the part */
	int64_t *size;            /* by buffer */
	int *order, *place;       /* the steps in order, and where each is there */
	int *first, *last;        /* by buffer: where in the order it is mentioned */
	int64_t *during, *behind; /* by place: what lives while the step runs, and when it is done */
	int *left, *stamp, now;   /* by buffer: mentions left in the run that is tried */
	int64_t looks;
} Order;

/* --- what depends on what ------------------------------------------------------------------ */

static void add_edge(Order *o, int from, int to)
{
	if (from != to) vec_push(o->arena, o->step[from].after, to);
}

/* Parts of one buffer that are stored by two steps may be stored in either order when they are
 * apart. */
static bool stores_apart(const Order *o, int s, int t, const Buffer *b)
{
	const Nest *n = o->part->step.at[s].nest, *m = o->part->step.at[t].nest;
	for (int i = 0; i < n->nstore; i++)
		for (int k = 0; k < m->nstore; k++)
			if (n->store[i].to.buffer == b && m->store[k].to.buffer == b &&
			    !accesses_apart(n, &n->store[i].to, m, &m->store[k].to))
				return false;
	return true;
}

static void add_edges(Order *o, const Use *use, const Buffer *b)
{
	for (int i = 0; i < use->store.n; i++) {
		int s = use->store.at[i];
		for (int k = 0; k < use->load.n; k++) {
			int r = use->load.at[k];
			add_edge(o, o->node[MIN(s, r)], o->node[MAX(s, r)]);
		}
		for (int k = 0; k < i; k++) {
			int r = use->store.at[k];
			if (!stores_apart(o, r, s, b)) add_edge(o, o->node[r], o->node[s]);
		}
	}
}

/* Outputs are looked at before the first weight of a step moves. */
static void add_outputs(Order *o, const Use *use)
{
	const Part *p = o->part;
	for (int i = 0; i < p->buffer.n && p->kind == ENTRY_STEP; i++) {
		if (p->buffer.at[i]->place != PLACE_OUTPUT) continue;
		for (int k = 0; k < use[i].store.n; k++)
			for (int s = 0; s < p->step.n; s++)
				if (moves_weights(p->step.at[s].nest))
					add_edge(o, o->node[use[i].store.at[k]], o->node[s]);
	}
}

static void add_places(Order *o, const Use *use, StepNode *node)
{
	const Nest *n = o->part->step.at[node->from].nest;
	const Buffer *to = n->store[0].to.buffer;
	if (node->to > node->from + 1 || n->nstore != 1 || use[to->id].store.n != 1) return;
	for (int k = 0; k < n->nload; k++)
		if (writes_over(n, n->load[k].buffer, to))
			vec_push(o->arena, node->over, n->load[k].buffer->id);
}

static void add_touch(Order *o, const Steps *steps, int buffer)
{
	for (int i = 0; i < steps->n; i++) {
		Steps *touch = &o->step[o->node[steps->at[i]]].touch;
		if (!touch->n || touch->at[touch->n - 1] != buffer) vec_push(o->arena, *touch, buffer);
	}
}

/* Steps become nodes. */
static void find_nodes(Order *o)
{
	for (int s = 0, end; s < o->part->step.n; s = end) {
		end = group_end(o->part, s);
		o->step[o->n].from = s;
		o->step[o->n].to = end;
		for (int k = s; k < end; k++) o->node[k] = o->n;
		o->n++;
	}
}

static Order *order_new(Arena *a, const Part *p)
{
	Order *o = NEW(a, Order);
	int n = p->step.n, m = p->buffer.n;
	const Use *use = part_uses(a, p);
	*o = (Order){.arena = a, .part = p, .step = NEWS(a, StepNode, n + 1)};
	o->node = NEWS(a, int, n + 1);
	find_nodes(o);
	o->size = NEWS(a, int64_t, m + 1);
	o->order = NEWS(a, int, n + 1);
	o->place = NEWS(a, int, n + 1);
	o->first = NEWS(a, int, m + 1);
	o->last = NEWS(a, int, m + 1);
	o->during = NEWS(a, int64_t, n + 1);
	o->behind = NEWS(a, int64_t, n + 1);
	o->left = NEWS(a, int, m + 1);
	o->stamp = NEWS(a, int, m + 1);
	for (int i = 0; i < m; i++) {
		const Buffer *b = p->buffer.at[i];
		add_edges(o, &use[i], b);
		if (b->place != PLACE_WORK) continue;
		o->size[i] = (b->size + LINE - 1) / LINE * LINE;
		add_touch(o, &use[i].load, i);
		add_touch(o, &use[i].store, i);
	}
	for (int s = 0; s < o->n; s++) add_places(o, use, &o->step[s]);
	add_outputs(o, use);
	return o;
}

/* --- what lives ---------------------------------------------------------------------------- */

/* Runs the n steps that stand at the places from `from` on in the order `run`. Writes what lives
 * during and behind each, if asked to; returns the most, or something from `enough` on when it is
 * no less than that. */
static int64_t live_in(
    Order *o, const int *run, int n, int from, int64_t enough, int64_t *during, int64_t *behind)
{
	int64_t live = from ? o->behind[from - 1] : 0, most = 0;
	o->now++;
	o->looks += n;
	for (int i = 0; i < n; i++) {
		const Steps *touch = &o->step[run[i]].touch;
		for (int k = 0; k < touch->n; k++) {
			int b = touch->at[k];
			if (o->stamp[b] != o->now) o->left[b] = 0, o->stamp[b] = o->now;
			o->left[b]++;
		}
	}
	o->now++; /* a buffer of the run gets this stamp when it is alive */
	for (int i = 0; i < n && most < enough; i++) {
		const StepNode *s = &o->step[run[i]];
		int64_t freed = 0, taken = 0, inherited = 0;
		for (int k = 0; k < s->touch.n; k++) {
			int b = s->touch.at[k];
			if (o->stamp[b] != o->now && o->first[b] >= from) taken += o->size[b];
			o->stamp[b] = o->now;
			if (!--o->left[b] && o->last[b] < from + n) freed += o->size[b];
		}
		for (int k = 0; k < s->over.n && !inherited; k++) {
			int x = s->over.at[k];
			if (!o->left[x] && o->last[x] < from + n) inherited = o->size[x];
		}
		most = MAX(most, live + taken - inherited);
		if (during) during[i] = live + taken - inherited;
		live += taken - freed;
		if (behind) behind[i] = live;
	}
	return most;
}

/* Places, lives and levels of the order that stands in o->order. */
static void note_order(Order *o)
{
	for (int b = 0; b < o->part->buffer.n; b++) o->first[b] = o->last[b] = -1;
	for (int i = 0; i < o->n; i++) {
		const Steps *touch = &o->step[o->order[i]].touch;
		o->place[o->order[i]] = i;
		for (int k = 0; k < touch->n; k++) {
			if (o->first[touch->at[k]] < 0) o->first[touch->at[k]] = i;
			o->last[touch->at[k]] = i;
		}
	}
	live_in(o, o->order, o->n, 0, INT64_MAX, o->during, o->behind);
}

/* --- neighbouring runs change places ------------------------------------------------------- */

typedef struct {
	int from, middle, to; /* runs [from, middle) and [middle, to) */
	int64_t most;
} Swap;

static void write_swapped(const Order *o, const Swap *w, int *run)
{
	int n = w->to - w->middle;
	memcpy(run, &o->order[w->middle], (size_t)n * sizeof *run);
	memcpy(run + n, &o->order[w->from], (size_t)(w->middle - w->from) * sizeof *run);
}

/* The first place at or behind `middle` whose step depends on the one at `at`. */
static int first_reader(const Order *o, int at, int middle)
{
	const Steps *after = &o->step[o->order[at]].after;
	int first = o->n;
	for (int i = 0; i < after->n; i++) {
		int place = o->place[after->at[i]];
		if (place >= middle) first = MIN(first, place);
	}
	return first;
}

/* The best swap around the worst place with its runs parted at `middle`. */
static void try_middle(Order *o, int worst, int middle, int *run, Swap *best)
{
	int end = MIN(o->n, worst + REACH);
	for (int from = middle - 1; from >= 0 && from > worst - REACH; from--) {
		end = MIN(end, first_reader(o, from, middle));
		if (end <= middle || end <= worst) return;
		if (from > worst) continue;
		for (int to = MAX(middle, worst) + 1; to <= end && o->looks < LOOKS; to++) {
			Swap w = {from, middle, to, 0};
			write_swapped(o, &w, run);
			w.most = live_in(o, run, to - from, from, best->most, NULL, NULL);
			if (w.most < best->most) *best = w;
		}
	}
}

static int worst_place(const Order *o)
{
	int worst = 0;
	for (int i = 1; i < o->n; i++)
		if (o->during[i] > o->during[worst]) worst = i;
	return worst;
}

/* Relieves the worst steps until `least` lives there or nothing helps; returns what lives then. */
static int64_t relieve(Order *o, int64_t least)
{
	int *run = NEWS(o->arena, int, o->n);
	for (;;) {
		int worst = worst_place(o);
		Swap best = {.most = o->during[worst]};
		if (best.most == least) return least;
		for (int m = MAX(1, worst - REACH); m < o->n && m <= worst + REACH; m++)
			try_middle(o, worst, m, run, &best);
		if (best.most == o->during[worst]) return best.most;
		write_swapped(o, &best, run);
		memcpy(&o->order[best.from], run, (size_t)(best.to - best.from) * sizeof *run);
		note_order(o);
	}
}

/* No order needs less: what the hungriest step mentions. */
static int64_t floor_of(const Order *o)
{
	int64_t most = 0;
	for (int s = 0; s < o->n; s++) {
		const StepNode *step = &o->step[s];
		int64_t needs = step->over.n ? -o->size[step->over.at[0]] : 0;
		for (int k = 0; k < step->touch.n; k++) needs += o->size[step->touch.at[k]];
		most = MAX(most, needs);
	}
	return most;
}

void order_part(Arena *a, Part *p)
{
	int n = 0;
	if (!p->step.n) return;
	Order *o = order_new(a, p);
	for (int i = 0; i < o->n; i++) o->order[i] = i;
	note_order(o);
	int64_t as_it_was = o->during[worst_place(o)], least = floor_of(o);
	if (as_it_was == least || relieve(o, least) == as_it_was) return;
	Step *step = NEWS(a, Step, p->step.n);
	for (int i = 0; i < o->n; i++) {
		const StepNode *node = &o->step[o->order[i]];
		for (int s = node->from; s < node->to; s++) step[n++] = p->step.at[s];
	}
	memcpy(p->step.at, step, (size_t)n * sizeof *step);
}
