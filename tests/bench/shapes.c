/* shapes: the convolutions and dense layers of a network, each shape once.
 *
 *   shapes NET.lua [NAME=VALUE]...
 *
 * A line is the path of the first that has the shape, and what common/layer.h reads. Layers that
 * such a line cannot say (uneven pads or strides, dilation) are left out, and named. */
#include "../../compiler/frontend/frontend.h"
#include "../../compiler/ops/window.h"
#include "common/layer.h"

#include <stdlib.h>

/* false: not a layer that a line can say. */
static bool layer_of(const Node *n, Layer *y)
{
	Shape x = n->in[0]->shape, w = n->in[1]->shape;
	*y = (Layer){.ic = x.dim[1], .oc = n->out[0]->shape.dim[1], .in = {1, 1}, .kernel = {1, 1}};
	y->stride = y->groups = 1;
	if (n->op == &op_dense) return x.rank == 2;
	if (x.rank != 4) return false;
	Window window = window_of(n, x.dim + 2, NULL);
	y->groups = x.dim[1] / w.dim[1];
	y->stride = window.stride[0];
	for (int d = 0; d < 2; d++) {
		y->in[d] = window.in[d];
		y->kernel[d] = window.kernel[d];
		y->pad[d] = window.pad[d];
		if (window.stride[d] != y->stride || window.dilation[d] != 1 || window.flip ||
		    layer_out(y, d) != n->out[0]->shape.dim[2 + d])
			return false;
	}
	return true;
}

static void print_layers(Arena *a, const Graph *g)
{
	Vec(const char *) seen = {0};
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		Layer y;
		bool again = false;
		if (n->kind != NODE_OP || (n->op != &op_conv && n->op != &op_dense)) continue;
		const char *name = n->layer ? n->layer : n->op->name;
		if (!layer_of(n, &y)) {
			fprintf(stderr, "shapes: %s is left out\n", name);
			continue;
		}
		const char *shape = layer_text(a, &y);
		for (int k = 0; k < seen.n; k++) again = again || !strcmp(seen.at[k], shape);
		if (again) continue;
		vec_push(a, seen, shape);
		printf("%s %s\n", name, shape);
	}
}

int main(int argc, char **argv)
{
	jmp_buf out_of_memory;
	Options options = {.file = argc > 1 ? argv[1] : ""};
	Diag diag;
	Text messages;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) return 1;
	arena_guard(a, &out_of_memory);
	diag_init(&diag, a);
	for (int i = 2; i < argc; i++) options_set(a, &diag, &options, "-D", argv[i]);
	Model *m = diag.errors ? NULL : frontend_load(a, &diag, &options);
	if (m) print_layers(a, m->graph);
	text_init(&messages, a);
	diag_print(&diag, &messages);
	fputs(messages.data ? messages.data : "", stderr);
	arena_free(a);
	return m ? 0 : 1;
}
