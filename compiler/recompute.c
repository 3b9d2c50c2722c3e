/* recompute: what the backward pass reads of the forward pass is made again, not kept.
 *
 * The forward nodes are cut into segments that hold about as many numbers each. What crosses a cut
 * is kept, and so is all of the last segment, whose backward pass comes at once. Of the others a
 * node that the backward pass reads is copied, with what it takes from the nearest kept
 * values, just before its first reader there: so a segment comes back when its gradients are
 * computed, and is gone before the next one's are. A forward node is copied at most once, so that
 * all copies together cost less than a second forward pass. Copies compute the same numbers to the
 * bit: dropout is a function of the layer and the element, and states are assigned by the forward
 * nodes alone.
 *
 *   %1 = conv x   %2 = relu %1   %3 = conv %2   | %4 = ...   backward: ... %9 = conv_dw %2 %8
 *   becomes, with a cut at | and %3 kept: ... %10 = conv x   %11 = relu %10   %9 = conv_dw %11 %8
 */
#include "ir.h"

/* Numbers as few as a sixteenth of what they were made of are kept: statistics, pooled images. */
enum { SMALL = 16 };

typedef struct {
	Graph *graph;
	int forward;  /* nodes: those before the backward pass */
	int *at;      /* by node id: where it stands; of copies and the backward pass: forward */
	int *last;    /* by node id * MAX_OUT + result: its last reader in the forward pass, or -1 */
	bool *wanted; /* by the same: the backward pass reads it */
	bool *kept;   /* by the same */
	Node **copy;  /* by node id */
	int copies;
} Recompute;

static int key_of(const Value *v) { return v->node->id * MAX_OUT + v->index; }

static bool is_forward(const Recompute *r, const Value *v)
{
	return v->node->kind == NODE_OP && r->at[v->node->id] < r->forward;
}

static void find_readers(Recompute *r)
{
	const Graph *g = r->graph;
	for (int i = 0; i < (g->next_id + 1) * MAX_OUT; i++) r->last[i] = -1;
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		r->at[n->id] = MIN(i, r->forward);
		for (int k = 0; k < n->nin; k++) {
			if (i >= r->forward)
				r->wanted[key_of(n->in[k])] = true;
			else if (n->kind == NODE_OP)
				r->last[key_of(n->in[k])] = i;
		}
	}
}

static bool is_small(const Node *n, int k)
{
	int64_t most = 0;
	for (int i = 0; i < n->nin; i++) most = MAX(most, shape_count(n->in[i]->shape));
	return shape_count(n->out[k]->shape) <= most / SMALL;
}

/* Numbers that node n makes for the backward pass. */
static int64_t saved_by(const Recompute *r, const Node *n)
{
	int64_t saved = 0;
	for (int k = 0; n->kind == NODE_OP && k < n->nout; k++)
		if (r->wanted[key_of(n->out[k])]) saved += shape_count(n->out[k]->shape);
	return saved;
}

/* By place: numbers made there or before and read behind. */
static int64_t *crossings(const Recompute *r)
{
	int64_t *across = NEWS(r->graph->arena, int64_t, r->forward + 1), live = 0;
	for (int i = 0; i < r->forward; i++) {
		const Node *n = r->graph->node.at[i];
		for (int k = 0; n->kind == NODE_OP && k < n->nout; k++) {
			int last = r->last[key_of(n->out[k])];
			if (last <= i) continue;
			across[i] += shape_count(n->out[k]->shape);
			across[last] -= shape_count(n->out[k]->shape);
		}
	}
	for (int i = 0; i < r->forward; i++) across[i] = live += across[i];
	return across;
}

/* Keeps what crosses a cut behind the node at `cut`. */
static void keep_across(Recompute *r, int cut)
{
	for (int i = 0; i <= cut; i++) {
		const Node *n = r->graph->node.at[i];
		for (int k = 0; n->kind == NODE_OP && k < n->nout; k++)
			if (r->last[key_of(n->out[k])] > cut) r->kept[key_of(n->out[k])] = true;
	}
}

/* Cuts where a segment has between half of its share and all of it, and least is read across.
 * Returns where the last segment begins. */
static int cut(Recompute *r, int segments)
{
	const int64_t *across = crossings(r);
	int64_t all = 0, saved = 0;
	int begin = 0, best = -1;
	for (int i = 0; i < r->forward; i++) all += saved_by(r, r->graph->node.at[i]);
	for (int i = 0; i < r->forward; i++) {
		saved += saved_by(r, r->graph->node.at[i]);
		if (saved >= all / segments && best >= 0) {
			keep_across(r, best);
			begin = best + 1;
			i = best;
			saved = 0;
			best = -1;
			continue;
		}
		if (saved >= all / segments / 2 && (best < 0 || across[i] <= across[best])) best = i;
	}
	return begin;
}

static void keep(Recompute *r, int segments)
{
	int last = cut(r, segments);
	for (int i = 0; i < r->forward; i++) {
		const Node *n = r->graph->node.at[i];
		for (int k = 0; n->kind == NODE_OP && k < n->nout; k++)
			if (i >= last || is_small(n, k)) r->kept[key_of(n->out[k])] = true;
	}
}

/* The value itself if it is kept, else its copy, made with all it needs at the end of the nodes. */
static Value *again(Recompute *r, Value *v)
{
	Graph *g = r->graph;
	if (!is_forward(r, v) || r->kept[key_of(v)]) return v;
	Node *n = v->node;
	if (!r->copy[n->id]) {
		Node *copy = NEW(g->arena, Node);
		*copy = *n;
		copy->in = NEWS(g->arena, Value *, MAX(n->nin, 1));
		for (int k = 0; k < n->nin; k++) copy->in[k] = again(r, n->in[k]);
		for (int k = 0; k < n->nout; k++) {
			copy->out[k] = NEW(g->arena, Value);
			*copy->out[k] = *n->out[k];
			copy->out[k]->node = copy;
		}
		copy->id = g->next_id++;
		copy->place = g->node.n;
		vec_push(g->arena, g->node, copy);
		r->copy[n->id] = copy;
		r->copies++;
	}
	return r->copy[n->id]->out[v->index];
}

int graph_recompute(Graph *g, int forward, int segments)
{
	int ids = g->next_id + 1, n = g->node.n;
	Arena *a = g->arena;
	if (segments < 2) return 0;
	Recompute r = {.graph = g, .forward = forward, .at = NEWS(a, int, ids)};
	r.last = NEWS(a, int, ids *MAX_OUT);
	r.wanted = NEWS(a, bool, ids *MAX_OUT);
	r.kept = NEWS(a, bool, ids *MAX_OUT);
	r.copy = NEWS(a, Node *, ids);
	find_readers(&r);
	keep(&r, segments);
	Node **old = g->node.at;
	g->node.at = NULL; /* nodes come back one by one, copies between them */
	g->node.n = g->node.room = 0;
	for (int i = 0; i < n; i++) {
		for (int k = 0; i >= forward && k < old[i]->nin; k++)
			old[i]->in[k] = again(&r, old[i]->in[k]);
		old[i]->place = g->node.n;
		vec_push(a, g->node, old[i]);
	}
	return r.copies;
}
