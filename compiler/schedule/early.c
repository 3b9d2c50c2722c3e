/* early: in a training step weights move as soon as they may, so that their gradients go.
 *
 * needs: a fused part. Updates come last, since a map between two others would keep them from being
 * fused: nobody may read a weight that has moved.
 * effect: outputs that are copied are copied as soon as they are there; then a weight moves behind
 * the last step that reads it or makes its gradient, but never before all outputs are there, since
 * whether these are finite is asked before. A gradient lies as its weight does, which reads it at
 * once; so it is made as it is where nobody moves weights, by the same kernels.
 * checked by: verify_part. */
#include "internal.h"

typedef struct {
	Arena *arena;
	Part *part;
	const Use *use;
	int *behind; /* by step that moves: the one that it goes behind, -1: before all; else itself */
	int outputs; /* the last step that writes one */
} Early;

/* Behind the last of these steps, where it went to; not behind step s itself. */
static void go_behind(Early *e, int s, const Steps *steps)
{
	for (int i = 0; i < steps->n; i++)
		if (steps->at[i] < s) e->behind[s] = MAX(e->behind[s], e->behind[steps->at[i]]);
}

static void move_up(Early *e, int s)
{
	const Nest *n = e->part->step.at[s].nest;
	e->behind[s] = moves_weights(n) ? e->outputs : -1;
	for (int k = 0; k < n->nload; k++) go_behind(e, s, &e->use[n->load[k].buffer->id].store);
	for (int k = 0; k < n->nstore; k++) {
		const Use *use = &e->use[n->store[k].to.buffer->id];
		go_behind(e, s, &use->load);
		go_behind(e, s, &use->store);
	}
}

static bool copies_output(const Nest *n)
{
	return n->store[0].to.buffer->place == PLACE_OUTPUT && n->nload == 1 && !n->nacc;
}

static void place_gradient(const Nest *n)
{
	for (int k = 0; k < n->nload; k++) {
		Buffer *b = n->load[k].buffer;
		b->fixed |= b->place == PLACE_WORK && nest_reads_in_place(n, b, n->store[0].to.buffer);
	}
}

/* Steps that move stand behind the one that they go behind, weights last. */
static void reorder(Early *e)
{
	Part *p = e->part;
	int n = p->step.n, done = 0;
	Step *step = NEWS(e->arena, Step, n + 1);
	Steps *list = NEWS(e->arena, Steps, n + 1);
	for (int weights = 0; weights < 2; weights++)
		for (int s = 0; s < n; s++)
			if (moves_weights(p->step.at[s].nest) == weights)
				vec_push(e->arena, list[e->behind[s] + 1], s);
	for (int at = 0; at <= n; at++)
		for (int i = 0; i < list[at].n; i++) step[done++] = p->step.at[list[at].at[i]];
	memcpy(p->step.at, step, (size_t)n * sizeof *step);
}

void early_part(Arena *a, Part *p)
{
	Early e = {a, p, part_uses(a, p), NEWS(a, int, p->step.n + 1), -1};
	if (p->kind != ENTRY_STEP) return;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		e.behind[s] = s;
		if (copies_output(n)) move_up(&e, s);
		if (n->store[0].to.buffer->place == PLACE_OUTPUT) e.outputs = MAX(e.outputs, e.behind[s]);
	}
	for (int s = 0; s < p->step.n; s++) {
		if (!moves_weights(p->step.at[s].nest)) continue;
		move_up(&e, s);
		place_gradient(p->step.at[s].nest);
	}
	reorder(&e);
}
