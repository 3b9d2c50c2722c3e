/* A fault seeded into each stage of a whole network is caught by the verifier of that stage, in
 * words: into the graph, the nests, the schedules, the plan. What a network comes out as without
 * the fault is accepted, so that a verifier that refuses all fails here too. */
#define _POSIX_C_SOURCE 200809L
#include "../compiler/op.h"
#include "../compiler/program/internal.h"
#include "entries.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
	Arena *arena;
	Net net; /* the toy, fresh for every test */
} Toy;

static int setup(void **state)
{
	static jmp_buf out_of_memory;
	Toy *t = calloc(1, sizeof *t);
	t->arena = arena_new(0);
	*state = t;
	if (!t->arena || setjmp(out_of_memory)) return -1;
	arena_guard(t->arena, &out_of_memory);
	const char *wrong = net_open(
	    &t->net, t->arena, &(NetSpec){"tests/networks/toy.lua", NULL, "avx2", .is_double = false});
	if (wrong) fail_msg("%s", wrong);
	return 0;
}

static int teardown(void **state)
{
	Toy *t = *state;
	arena_free(t->arena);
	free(t);
	return 0;
}

static void expect_words(const char *said, const char *words)
{
	if (!said) fail_msg("accepted; expected: %s", words);
	if (!strstr(said, words)) fail_msg("it says: %s\nexpected: %s", said, words);
}

/* --- the graph ---------------------------------------------------------------------------- */

/* The training graph: forward, losses, gradients. */
static Graph *training_graph(Toy *t)
{
	Graph *g = graph_instance(t->net.model, 2, MODE_TRAIN, true);
	graph_backward(g, t->net.model);
	assert_null(graph_verify(g));
	return g;
}

static int find_node(const Graph *g, NodeKind kind, const char *op)
{
	for (int i = 0; i < g->node.n; i++)
		if (g->node.at[i]->kind == kind && (!op || !strcmp(g->node.at[i]->op->name, op))) return i;
	fail_msg("no such node");
	return -1;
}

static void a_node_before_its_operand_is_caught(void **state)
{
	Graph *g = training_graph(*state);
	int at = find_node(g, NODE_OP, "conv");
	Node *conv = g->node.at[at];
	for (; at > 0; at--) g->node.at[at] = g->node.at[at - 1];
	g->node.at[0] = conv;
	expect_words(graph_verify(g), "before it is made");
}

static void a_shape_that_infer_would_not_give_is_caught(void **state)
{
	Graph *g = training_graph(*state);
	g->node.at[find_node(g, NODE_OP, "max_pool")]->out[0]->shape.dim[3]++;
	expect_words(graph_verify(g), "max_pool is 2x16x4x5, infers 2x16x4x4");
}

static void a_state_assigned_twice_is_caught(void **state)
{
	Graph *g = training_graph(*state);
	const Node *n = g->node.at[find_node(g, NODE_ASSIGN, NULL)];
	graph_assign(g, n->state, n->in[0]);
	expect_words(graph_verify(g), "is assigned twice");
}

static void a_result_of_another_graph_is_caught(void **state)
{
	Graph *g = training_graph(*state), *other = training_graph(*state);
	int at = find_node(g, NODE_OP, "relu");
	g->node.at[at]->in[0] = other->node.at[at]->in[0];
	assert_non_null(graph_verify(g));
}

/* --- nests -------------------------------------------------------------------------------- */

static Part *part_of(Toy *t, EntryKind kind)
{
	for (int i = 0; i < t->net.program->part.n; i++) {
		Part *p = t->net.program->part.at[i];
		if (p->kind != kind) continue;
		assert_null(verify_part(t->arena, p));
		return p;
	}
	fail_msg("no such part");
	return NULL;
}

static int find_step(const Part *p, const char *comment)
{
	for (int s = 0; s < p->step.n; s++)
		if (strstr(p->step.at[s].comment, comment)) return s;
	fail_msg("no step %s", comment);
	return -1;
}

/* The step's nest, open to changes that its trees see as well. */
static Nest *open_nest(Toy *t, Part *p, int s)
{
	Step *step = &p->step.at[s];
	Nest *n = nest_copy(t->arena, step->nest);
	step->nest = n;
	for (int k = 0; k < TARGET_LIMIT; k++)
		if (step->tree[k]) step->tree[k]->nest = n;
	return n;
}

static void a_wrong_bound_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_EVAL);
	Nest *n = open_nest(t, p, find_step(p, "side: conv"));
	n->dim[n->ndim - 1].extent++; /* of the reduction: reads past the weights */
	expect_words(verify_part(t->arena, p), "side: conv");
}

static void a_read_one_past_the_end_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_EVAL);
	Nest *n = open_nest(t, p, find_step(p, "side: conv"));
	n->load[0].at[3].a = affine_plus(n->load[0].at[3].a, 1);
	expect_words(verify_part(t->arena, p), "side: conv");
}

static void a_store_that_several_points_share_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_EVAL);
	int s = find_step(p, "side: conv");
	Nest *n = open_nest(t, p, s);
	n->store[0].to.at[2].a = affine_number(0); /* every row goes to the first */
	assert_non_null(check_stores(t->arena, p->step.at[s].tree[0]));
	assert_non_null(verify_part(t->arena, p));
}

/* Gradients of windows that stand apart leave the rest to nests of zeros: each of these is missed,
 * and so is the gradient itself. */
static void a_part_of_a_gradient_that_nobody_writes_is_caught(void **state)
{
	Toy *t = *state;
	Net net;
	int caught = 0;
	assert_null(net_open(&net, t->arena,
	    &(NetSpec){"tests/networks/strides.lua", NULL, "generic", .is_double = false}));
	t->net = net;
	Part *p = part_of(t, ENTRY_GRADIENTS);
	for (int s = 0; s < p->step.n; s++) {
		Step step = p->step.at[s];
		const Buffer *b = step.nest->store[0].to.buffer;
		if (b->place != PLACE_WORK || !strstr(step.comment, "_dx") || step.nest->inplace) continue;
		Part without = *p;
		without.step.at = NEWS(t->arena, Step, p->step.n);
		without.step.n = 0;
		for (int i = 0; i < p->step.n; i++)
			if (i != s) without.step.at[without.step.n++] = p->step.at[i];
		expect_words(verify_part(t->arena, &without), "before it is written");
		caught += !strcmp(step.nest->name, "zero");
	}
	assert_int_equal(caught, 10);
}

/* --- schedules ---------------------------------------------------------------------------- */

static const Tree *first_par(const Scheduled *s)
{
	for (int i = 0; i < s->root.n; i++)
		if (s->root.at[i]->kind == TREE_LOOP && s->root.at[i]->line == LINE_PAR)
			return s->root.at[i];
	return NULL;
}

/* A parallel loop over what all its blocks write: the store loses the dim of the loop. */
static void a_racing_store_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_GRADIENTS);
	int races = 0;
	for (int s = 0; s < p->step.n && !races; s++) {
		const Tree *par = first_par(p->step.at[s].tree[0]);
		if (!par) continue;
		Nest *n = open_nest(t, p, s);
		for (int k = 0; k < n->nstore; k++)
			for (int d = 0; d < n->store[k].to.buffer->rank; d++)
				if (affine_k(&n->store[k].to.at[d].a, par->dim))
					n->store[k].to.at[d].a = affine_number(0);
		races++;
		assert_non_null(check_stores(t->arena, p->step.at[s].tree[0]));
		assert_non_null(verify_part(t->arena, p));
	}
	assert_int_equal(races, 1);
}

static void a_loop_one_too_short_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_EVAL);
	Scheduled *s = p->step.at[find_step(p, "side: conv")].tree[0];
	for (int v = 0; v < s->nvar; v++) {
		if (s->count[v] < 2) continue;
		s->count[v]--;
		assert_non_null(verify_part(t->arena, p));
		s->count[v]++;
	}
	assert_null(verify_part(t->arena, p));
}

/* --- order and plan ----------------------------------------------------------------------- */

static void swap_steps(Part *p, int a, int b)
{
	Step step = p->step.at[a];
	p->step.at[a] = p->step.at[b];
	p->step.at[b] = step;
}

/* A map that writes over its operand shows no trace of what was there before: the order of such is
 * proven where it is made. */
static bool is_in_place(const Step *s) { return s->nest->inplace; }

/* Neighbours change places: what is still accepted computes the same, and most is not. */
static void steps_out_of_order_are_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_GRADIENTS);
	Results want = net_trees(&t->net, t->arena, 0);
	int caught = 0;
	for (int s = 0; s + 1 < p->step.n; s++) {
		if (is_in_place(&p->step.at[s]) || is_in_place(&p->step.at[s + 1])) continue;
		swap_steps(p, s, s + 1);
		if (verify_part(t->arena, p)) {
			caught++;
		} else {
			Results got = net_trees(&t->net, t->arena, 0);
			const char *differs = results_differ(t->arena, &got, &want, 0);
			if (differs)
				fail_msg(
				    "%s before %s: %s", p->step.at[s].comment, p->step.at[s + 1].comment, differs);
		}
		swap_steps(p, s, s + 1);
	}
	assert_true(caught > 10);
}

/* w is read by the update and by an output; both orders of the two in the part. */
static void a_weight_updated_before_its_last_reader_is_caught(void **state)
{
	Toy *t = *state;
	Arena *a = t->arena;
	State *w = NEW(a, State);
	*w = (State){.name = "w", .shape = shape_of(1, (int64_t)8)};
	Graph *g = graph_new(a, &t->net.diag, 1, MODE_TRAIN);
	const OpDesc *scale =
	    g ? t->net.model->graph->node.at[find_node(t->net.model->graph, NODE_OP, "relu")]->op
	      : NULL;
	Value *old = graph_read(g, w);
	graph_assign(g, w, graph_op(g, scale, &old, 1, NULL)->out[0]); /* stands before the reader */
	graph_output(g, "y", OUT_TENSOR, 0, NULL, graph_op(g, scale, &old, 1, NULL)->out[0]);
	assert_null(graph_verify(g));
	Part *p = lower_graph(a, g, ENTRY_UPDATE, "update");
	plan_memory(a, p, 4);
	assert_null(verify_part(a, p)); /* lowering put the reader first */
	assert_true(p->step.n >= 2);
	int last = p->step.n - 1;
	assert_int_equal(p->step.at[last].nest->store[0].to.buffer->place, PLACE_VARS);
	swap_steps(p, last - 1, last);
	expect_words(verify_part(a, p), "w is written before its last reader");
}

/* The last step that stores one comes behind the last weight. */
static void an_output_behind_moved_weights_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_STEP);
	int at = first_update(p) - 1;
	assert_true(at >= 0 && at + 1 < p->step.n);
	while (p->step.at[at].nest->store[0].to.buffer->place != PLACE_OUTPUT) at--;
	for (int s = at; s + 1 < p->step.n; s++) swap_steps(p, s, s + 1);
	int64_t end = 0; /* none meets another */
	for (int i = 0; i < p->buffer.n; i++) {
		Buffer *b = p->buffer.at[i];
		if (b->place != PLACE_WORK || b->within) continue;
		b->offset = end;
		end += b->size;
	}
	p->work = end * p->element_bytes;
	for (int s = 0; s < p->step.n; s++) /* rows, too, that stand for tensors */
		for (int k = 0; k < p->step.at[s].nest->nload + p->step.at[s].nest->nstore; k++) {
			Buffer *b = nest_access(p->step.at[s].nest, k)->buffer;
			b->offset = p->buffer.at[b->id]->offset;
		}
	expect_words(verify_part(t->arena, p), " is written after weights have moved");
}

/* Every row that stands for a tensor, moved away from it, or walked but for its end. */
static void a_row_beside_its_tensor_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_STEP);
	int caught = 0;
	for (int s = 0; s < p->step.n; s++) {
		Nest *n = (Nest *)p->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			Buffer *row = nest_access(n, k)->buffer;
			if (row == p->buffer.at[row->id]) continue;
			row->offset++;
			expect_words(verify_part(t->arena, p), "a row does not stand for all of ");
			row->offset--;
			n->dim[0].extent--;
			expect_words(verify_part(t->arena, p), "a row does not stand for all of ");
			n->dim[0].extent++;
			caught++;
		}
	}
	assert_true(caught > 5);
	assert_null(verify_part(t->arena, p));
}

/* What asks ahead in the place of the step's own nest may not do anything else. */
static void a_tree_of_another_nest_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_STEP);
	for (int k = 0; k < 6; k++) {
		Step *step = &p->step.at[p->step.n - 1];
		while (!step->nest->nacc || !step->nest->nload || step->nest->store[0].to.buffer->rank < 1)
			step--;
		Scheduled *tree = (Scheduled *)step->tree[0];
		const Nest *own = tree->nest;
		Nest *other = nest_copy(t->arena, own);
		tree->nest = other;
		other->load[0].prefetch++;
		assert_null(verify_part(t->arena, p));
		switch (k) {
		case 0: other->store[0].value = e_num(t->arena, 1); break;
		case 1: other->acc[0].init++; break;
		case 2: other->acc[0].update = e_acc(t->arena, 0); break;
		case 3: other->store[0].to.at[0].a.c++; break;
		case 4: other->nacc--; break;
		default: other->dim[0].reduce = !other->dim[0].reduce;
		}
		expect_words(verify_part(t->arena, p), "a tree is of another nest");
		tree->nest = own;
	}
	assert_null(verify_part(t->arena, p));
}

static void a_state_written_by_the_wrong_entry_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_GRADIENTS);
	p->kind = ENTRY_EVAL; /* the running statistics are written */
	expect_words(verify_part(t->arena, p), "writes the state");
}

/* Every pair of work buffers that live at the same time, moved one onto the other. */
static void live_buffers_that_overlap_are_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_GRADIENTS);
	int caught = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload; k++) {
			Buffer *x = n->load[k].buffer, *y = n->store[0].to.buffer;
			if (x == y || x->place != PLACE_WORK || y->place != PLACE_WORK) continue;
			if (x->lent || y->lent) continue;
			int64_t was = x->offset;
			x->offset = y->offset + y->size - 1;
			p->work += x->size * p->element_bytes;
			expect_words(verify_part(t->arena, p), "are alive together and overlap");
			p->work -= x->size * p->element_bytes;
			x->offset = was;
			caught++;
		}
	}
	assert_true(caught > 10);
	assert_null(verify_part(t->arena, p));
}

/* Work in the gradients' memory that is still needed when a gradient is written over it, meets
 * other work there, or does not end in it. */
static void lent_memory_that_is_not_free_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_GRADIENTS);
	int caught = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		const Buffer *y = n->store[0].to.buffer;
		if (y->place != PLACE_GRADS && !(y->place == PLACE_WORK && y->lent)) continue;
		for (int k = 0; k < n->nload; k++) {
			Buffer *x = n->load[k].buffer;
			if (x == y || x->place != PLACE_WORK || !x->lent) continue;
			int64_t was = x->offset, end = p->gradients / p->element_bytes;
			if (y->offset + x->size + LINE_BYTES / p->element_bytes <= end) {
				x->offset = y->offset;
				expect_words(verify_part(t->arena, p), "are alive together and overlap");
				caught++;
			}
			x->offset = end - x->size;
			expect_words(verify_part(t->arena, p), "lies outside of the gradients");
			x->offset = was;
		}
	}
	assert_true(caught > 5);
	assert_null(verify_part(t->arena, p));
}

static void an_arena_too_small_is_caught(void **state)
{
	Toy *t = *state;
	Part *p = part_of(t, ENTRY_GRADIENTS);
	p->work -= 64;
	expect_words(verify_part(t->arena, p), "lies past the arena's end");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(a_node_before_its_operand_is_caught),
	    TEST(a_shape_that_infer_would_not_give_is_caught),
	    TEST(a_state_assigned_twice_is_caught),
	    TEST(a_result_of_another_graph_is_caught),
	    TEST(a_wrong_bound_is_caught),
	    TEST(a_read_one_past_the_end_is_caught),
	    TEST(a_store_that_several_points_share_is_caught),
	    TEST(a_part_of_a_gradient_that_nobody_writes_is_caught),
	    TEST(a_racing_store_is_caught),
	    TEST(a_loop_one_too_short_is_caught),
	    TEST(steps_out_of_order_are_caught),
	    TEST(a_weight_updated_before_its_last_reader_is_caught),
	    TEST(an_output_behind_moved_weights_is_caught),
	    TEST(a_row_beside_its_tensor_is_caught),
	    TEST(a_tree_of_another_nest_is_caught),
	    TEST(a_state_written_by_the_wrong_entry_is_caught),
	    TEST(live_buffers_that_overlap_are_caught),
	    TEST(lent_memory_that_is_not_free_is_caught),
	    TEST(an_arena_too_small_is_caught),
	};
	return cmocka_run_group_tests_name("faults", tests, NULL, NULL);
}
