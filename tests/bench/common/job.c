/* job: layer to graph, to a part, to C; and its memory. */
#define _POSIX_C_SOURCE 200809L
#include "job.h"
#include "../../../compiler/emit/emit.h"
#include "../../../compiler/op.h"
#include "../../../compiler/program/internal.h"
#include "../../../compiler/repl/peak.h"
#include "../../../compiler/schedule/internal.h"

#include <stdlib.h>

_Noreturn void job_fail(const Job *j, const char *why)
{
	fprintf(stderr, "%s: %s %s: %s\n", j->program, j->layer ? j->layer->name : "",
	    j->layer ? pass_names[j->pass] : "", why);
	exit(1);
}

/* --- the graph of one layer ------------------------------------------------------------------ */

/* What another layer made: a map's result, so that its layout is the compiler's to choose. Images
 * come from outside. */
static Value *operand(Graph *g, const char *name, int slot, Shape shape, bool image)
{
	graph_at(g, "feed", (Where){0});
	Value *v = graph_input(g, name, slot, TYPE_REAL, shape);
	if (!image) v = graph_op(g, &op_relu, &v, 1, NULL)->out[0];
	graph_at(g, "layer", (Where){0});
	return v;
}

static void set_window(const OpDesc *op, AttrValue *attr, const Layer *y)
{
	attr_set_pair(op, attr, "stride", y->stride, y->stride);
	attr_set_pads(op, attr, "pad", y->pad[0], y->pad[1]);
	attr_set_int(op, attr, "groups", y->groups);
}

static Value *convolution(Job *j, Graph *g, Value *w)
{
	const Layer *y = j->layer;
	Shape in = shape_of(4, j->batch, y->ic, y->in[0], y->in[1]);
	Shape out = shape_of(4, j->batch, y->oc, layer_out(y, 0), layer_out(y, 1));
	const OpDesc *op = j->pass == FORWARD   ? &op_conv
	                   : j->pass == BY_DATA ? &op_conv_dx
	                                        : &op_conv_dw;
	AttrValue *attr = graph_attrs(j->arena, op);
	set_window(op, attr, y);
	if (j->pass == BY_DATA) {
		attr_set_pair(op, attr, "size", y->in[0], y->in[1]);
		return graph_op(g, op, (Value *[]){operand(g, "dy", 0, out, false), w}, 2, attr)->out[0];
	}
	attr_set_pair(op, attr, "kernel", y->kernel[0], y->kernel[1]);
	Value *x = operand(g, "x", 0, in, layer_is_image(y));
	if (j->pass == BY_WEIGHTS)
		return graph_op(g, op, (Value *[]){x, operand(g, "dy", 1, out, false)}, 2, attr)->out[0];
	attr_set_int(op, attr, "out", y->oc);
	attr_set_bool(op, attr, "bias", false);
	return graph_op(g, op, (Value *[]){x, w}, 2, attr)->out[0];
}

static Value *dense(Job *j, Graph *g, Value *w)
{
	const Layer *y = j->layer;
	Shape in = shape_of(2, j->batch, y->ic), out = shape_of(2, j->batch, y->oc);
	if (j->pass == BY_DATA)
		return graph_op(g, &op_dense_dx, (Value *[]){operand(g, "dy", 0, out, false), w}, 2, NULL)
		    ->out[0];
	Value *x = operand(g, "x", 0, in, false);
	if (j->pass == BY_WEIGHTS)
		return graph_op(g, &op_dense_dw, (Value *[]){x, operand(g, "dy", 1, out, false)}, 2, NULL)
		    ->out[0];
	AttrValue *attr = graph_attrs(j->arena, &op_dense);
	attr_set_int(&op_dense, attr, "out", y->oc);
	attr_set_bool(&op_dense, attr, "bias", false);
	return graph_op(g, &op_dense, (Value *[]){x, w}, 2, attr)->out[0];
}

static Graph *layer_graph(Job *j)
{
	const Layer *y = j->layer;
	diag_init(&j->diag, j->arena);
	Graph *g = graph_new(j->arena, &j->diag, j->batch, MODE_TRAIN);
	Shape w = layer_is_dense(y) ? shape_of(2, y->oc, y->ic)
	                            : shape_of(4, y->oc, y->ic / y->groups, y->kernel[0], y->kernel[1]);
	j->weight = (State){.name = "weight", .kind = STATE_WEIGHT, .shape = w};
	Value *weight = j->pass == BY_WEIGHTS ? NULL : graph_read(g, &j->weight);
	Value *v = layer_is_dense(y) ? dense(j, g, weight) : convolution(j, g, weight);
	if (j->pass == BY_WEIGHTS) {
		graph_output(g, "weight", OUT_GRADIENT, 0, &j->weight, v);
		return g;
	}
	Value *next = graph_op(g, &op_relu, &v, 1, NULL)->out[0];
	graph_output(g, "y", OUT_TENSOR, 0, NULL, next);
	return g;
}

/* --- through the compiler ----------------------------------------------------------------- */

static void override_schedule(Job *j)
{
	Step *s = &j->part->step.at[j->step];
	Schedule schedule;
	const char *wrong = schedule_parse(j->arena, s->nest, j->schedule, &schedule);
	Scheduled *made = wrong ? NULL : tree_build(j->arena, s->nest, &schedule, &wrong);
	if (made) wrong = check_all(j->arena, made);
	if (wrong) job_fail(j, wrong);
	made->nest = ask_ahead(j->arena, s->nest, j->target);
	s->tree[0] = made;
}

bool job_is_copy(const Job *j, int step)
{
	static const char *const copy[] = {"pack", "unpack", "zero", "copy"};
	for (int i = 0; i < COUNT(copy); i++)
		if (!strcmp(j->part->step.at[step].nest->name, copy[i])) return true;
	return false;
}

bool job_is_layer(const Job *j, int step)
{
	const char *layer = j->part->step.at[step].nest->layer;
	return !job_is_copy(j, step) && layer && !strcmp(layer, "layer");
}

void job_compile(Job *j)
{
	Graph *g = layer_graph(j);
	Decisions decisions = {.arena = j->arena};
	const char *wrong = j->diag.errors ? j->diag.message.at[0].text : graph_verify(g);
	if (wrong) job_fail(j, wrong);
	j->part = lower_graph(j->arena, g, ENTRY_GRADIENTS, "layer");
	simplify_part(j->arena, j->part, true);
	form_part(j->arena, j->part, &j->target, 1, false, false);
	inplace_part(j->arena, j->part);
	plan_memory(j->arena, j->part, sizeof(float));
	schedule_part(j->arena, j->part, &j->target, 1, false, &decisions);
	j->step = j->last = -1;
	for (int s = 0; s < j->part->step.n; s++) {
		if (!job_is_layer(j, s)) continue;
		if (strcmp(j->part->step.at[s].nest->name, "parts") != 0) j->step = s;
		j->last = s;
	}
	if (j->step < 0) job_fail(j, "no step is the layer's own");
	if (j->schedule) override_schedule(j);
	wrong = verify_part(j->arena, j->part);
	if (wrong) job_fail(j, wrong);
}

static const char includes[] =
    "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n";

const char *job_text(Job *j)
{
	Text out;
	text_init(&out, j->arena);
	text_add(&out, includes);
	emit_prelude(&out, &j->target, 1, false);
	peak_text(j->target, false, &out);
	for (int s = 0; s < j->part->step.n; s++) {
		const Step *step = &j->part->step.at[s];
		emit_kernel(j->arena, step->tree[0], j->target, false,
		    arena_printf(j->arena, "kernel_%d", s), &out);
		text_printf(&out, "void step_%d(const void *const *arg, size_t block);\n", s);
		text_printf(&out, "void step_%d(const void *const *arg, size_t block)\n{\n", s);
		text_printf(&out, "\tkernel_%d(arg, block);\n}\n", s);
	}
	return out.data;
}

/* --- memory ------------------------------------------------------------------------------- */

void *job_memory(const Job *j, size_t bytes)
{
	enum { LINE = 64 };
	void *p = NULL;
	if (bytes > SIZE_MAX - LINE || posix_memalign(&p, LINE, (bytes / LINE + 1) * LINE))
		job_fail(j, "out of memory");
	memset(p, 0, bytes);
	return p;
}

/* Which of the layer's operands a buffer of the caller's is; -1: none. */
static int operand_of(const Buffer *b)
{
	enum { INPUT, WEIGHTS, RESULT };
	if (b->place == PLACE_VARS) return WEIGHTS;
	return b->place != PLACE_INPUT ? -1 : !strcmp(b->name, "x") ? INPUT : RESULT;
}

const float *job_buffer(const Job *j, const Buffer *b)
{
	if (j->own[b->id]) return j->own[b->id];
	return (const float *)(b->lent ? j->lent : j->work) + b->offset;
}

/* WORK lies in one arena as planned; all else has memory of its own. */
void job_place(Job *j)
{
	const Part *p = j->part;
	j->work = job_memory(j, (size_t)p->work);
	j->lent = job_memory(j, (size_t)p->gradients);
	j->own = NEWS(j->arena, void *, p->buffer.n);
	for (int i = 0; i < p->buffer.n; i++) {
		const Buffer *b = p->buffer.at[i];
		if (b->place == PLACE_WORK) continue;
		j->own[i] = job_memory(j, (size_t)b->size * sizeof(float));
		if (operand_of(b) >= 0) layer_numbers(j->layer, operand_of(b), j->own[i], b->size);
	}
	j->arg = NEWS(j->arena, const void **, p->step.n);
	for (int s = 0; s < p->step.n; s++) {
		const Buffer *buffer[NEST_LOADS + NEST_STORES];
		int n = kernel_buffers(p->step.at[s].nest, buffer);
		j->arg[s] = NEWS(j->arena, const void *, n);
		for (int k = 0; k < n; k++) j->arg[s][k] = job_buffer(j, buffer[k]);
	}
}

void job_free(Job *j)
{
	free(j->work);
	free(j->lent);
	for (int i = 0; i < j->part->buffer.n; i++) free(j->own[i]);
}
