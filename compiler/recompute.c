/* recompute: what the backward pass reads of the forward pass is made again, not kept.
 *
 * A node that the backward pass reads and nobody keeps is copied, with what it takes from the
 * nearest kept values, just before its first reader there: so it comes back when its gradients are
 * computed. A forward node is copied at most once. Copies compute the same numbers to the bit:
 * dropout is a function of the layer and the element, and states are assigned by the forward nodes
 * alone. Two rules say what is not kept:
 *
 * What is cheap. Operators say which of their results cost no more than a pass over the operands.
 * Such a one is made again if all its operands are at hand in the backward pass anyway: because
 * that reads them, or because they are made again themselves. A convolution, batch norm and ReLU
 * so keep one image instead of two, for a pass over it.
 *
 * Segments. The forward nodes are cut into segments that hold about as many numbers each. What
 * crosses a cut is kept, and so is all of the last segment, whose backward pass comes at once. What
 * else the backward pass reads is made again segment by segment, and is gone before the next
 * one's is. All copies together cost less than a second forward pass.
 *
 *   %1 = conv x   %2 = relu %1   %3 = conv %2   | %4 = ...   backward: ... %9 = conv_dw %2 %8
 *   becomes, with a cut at | and %3 kept: ... %10 = conv x   %11 = relu %10   %9 = conv_dw %11 %8
 */
#include "ir.h"
#include "op.h"

enum {
	SMALL = 16, /* one number in so many of what they were made of is kept: statistics */
	CHAIN = 6   /* results that come back at once because each is made of the one before */
};

typedef struct {
	Graph *graph;
	int forward;  /* nodes: those before the backward pass */
	int *at;      /* by node id: where it stands; of the backward pass: forward */
	int *last;    /* by node id * MAX_OUT + result: its last reader in the forward pass, or -1 */
	bool *wanted; /* by the same: the backward pass reads it */
	bool *kept;   /* by the same */
	int *chain;  /* by the same: not kept as it is cheap; how many come back for it, one for another
	              */
	Node **copy; /* by node id */
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

/* Whether result k has no more numbers than one in so many of the largest operand. */
static bool is_small(const Node *n, int k, int64_t part)
{
	int64_t most = 0;
	for (int i = 0; i < n->nin; i++) most = MAX(most, shape_count(n->in[i]->shape));
	return shape_count(n->out[k]->shape) <= most / part;
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

/* Kept are the last segment, what is small, and what those that make results again read of them. */
static void keep(Recompute *r, int segments)
{
	int last = segments > 1 ? cut(r, segments) : 0;
	for (int i = 0; i < r->forward; i++) {
		const Node *n = r->graph->node.at[i];
		for (int k = 0; n->kind == NODE_OP && k < n->nout; k++)
			if (i >= last || is_small(n, k, SMALL) || (n->op->cheap && k >= n->op->cheap))
				r->kept[key_of(n->out[k])] = true;
	}
}

/* Results that must come back before n can be made again for a pass over its operands, one for
 * another and n itself included; 0: something would have to be kept for it. */
static int chain_of(const Recompute *r, const Node *n)
{
	int longest = 0;
	for (int k = 0; k < n->nin; k++) {
		int v = key_of(n->in[k]);
		bool is_there = r->kept[v] && r->wanted[v] && !(n->op->flags & OP_JOINS);
		if (is_forward(r, n->in[k]) && !is_there && !r->chain[v]) return 0;
		longest = MAX(longest, r->chain[v] + r->wanted[v]);
	}
	return MAX(longest, 1);
}

/* What lies in a kept result is kept, and the whole stays as long as a part of it. */
static void hold_parts(Recompute *r, const Node *n)
{
	for (int k = 0; n->op->flags & OP_JOINS && k < n->nin; k++) {
		r->kept[key_of(n->in[k])] = true;
		if (n->in[k]->node->kind == NODE_OP) hold_parts(r, n->in[k]->node);
		if (r->wanted[key_of(n->in[k])]) r->wanted[key_of(n->out[0])] = true;
	}
}

/* What is cheap is not kept, unless it has no more numbers than one in `part` of an operand. */
static void let_go(Recompute *r, int part)
{
	for (int i = 0; i < r->forward; i++) {
		const Node *n = r->graph->node.at[i];
		if (n->kind != NODE_OP || !n->op->cheap) continue;
		int chain = chain_of(r, n);
		for (int k = 0; k < MIN(n->nout, n->op->cheap); k++)
			if (chain && chain < CHAIN && !is_small(n, k, part)) {
				r->chain[key_of(n->out[k])] = chain;
				r->kept[key_of(n->out[k])] = false;
			}
		if (r->kept[key_of(n->out[0])]) hold_parts(r, n);
	}
}

static Value *again(Recompute *r, Value *v);

static Node *copy_of(Recompute *r, const Node *n)
{
	Graph *g = r->graph;
	Value **in = NEWS(g->arena, Value *, MAX(n->nin, 1));
	for (int k = 0; k < n->nin; k++) in[k] = again(r, n->in[k]);
	graph_at(g, n->layer, n->where);
	return n->op->again ? n->op->again(g, n, in) : graph_op(g, n->op, in, n->nin, n->attr);
}

/* The value itself if it is kept, else its copy, made with all it needs at the end of the nodes. */
static Value *again(Recompute *r, Value *v)
{
	const Node *n = v->node;
	if (!is_forward(r, v) || r->kept[key_of(v)]) return v;
	if (!r->copy[n->id]) {
		r->copy[n->id] = copy_of(r, n);
		r->copies++;
	}
	return r->copy[n->id]->out[v->index];
}

int graph_recompute(Graph *g, int forward, Recomputed what)
{
	int ids = g->next_id + 1, n = g->node.n;
	Arena *a = g->arena;
	if (what.segments < 2 && !what.cheap) return 0;
	Recompute r = {.graph = g, .forward = forward, .at = NEWS(a, int, ids)};
	r.last = NEWS(a, int, ids *MAX_OUT);
	r.wanted = NEWS(a, bool, ids *MAX_OUT);
	r.kept = NEWS(a, bool, ids *MAX_OUT);
	r.chain = NEWS(a, int, ids *MAX_OUT);
	r.copy = NEWS(a, Node *, ids);
	find_readers(&r);
	keep(&r, what.segments);
	if (what.cheap) let_go(&r, what.cheap);
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
