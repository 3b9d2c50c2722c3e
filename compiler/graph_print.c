/* graph_print: --dump=graph. One node a line: results, operator, operands, attributes, layer. */
#include "ir.h"
#include "op.h"

/* " pad=1x2", or " pad=0+1x2" where more is added behind than before. */
static void print_pads(Text *out, const char *name, const Pads *p)
{
	static const char *const mode[] = {[PAD_SAME] = "same", [PAD_FULL] = "full"};
	text_printf(out, " %s=%s", name, p->mode == PAD_GIVEN ? "" : mode[p->mode]);
	for (int s = 0; s < 2 && p->mode == PAD_GIVEN; s++) {
		text_printf(out, "%s%lld", s ? "x" : "", (long long)p->before[s]);
		if (p->after[s] != p->before[s]) text_printf(out, "+%lld", (long long)p->after[s]);
	}
}

static void print_attr(Text *out, const Attr *a, AttrValue v)
{
	switch (a->type) {
	case ATTR_INT: text_printf(out, " %s=%lld", a->name, (long long)v.i); break;
	case ATTR_REAL: text_printf(out, " %s=%.17g", a->name, v.r); break;
	case ATTR_BOOL: text_printf(out, " %s=%s", a->name, v.b ? "true" : "false"); break;
	case ATTR_PAIR:
		text_printf(out, " %s=%lldx%lld", a->name, (long long)v.pair[0], (long long)v.pair[1]);
		break;
	case ATTR_PADS: print_pads(out, a->name, &v.pads); break;
	case ATTR_LINKS:
		if (v.links) text_printf(out, " %s=%lld", a->name, (long long)v.links->links);
		break;
	case ATTR_AXES: text_printf(out, " %s=%#x", a->name, v.axes); break;
	case ATTR_NAME:
		if (v.s) text_printf(out, " %s=%s", a->name, v.s);
		break;
	case ATTR_MAP:
		if (v.map) text_printf(out, " %s=%s", a->name, v.map->name);
		break;
	}
}

static void print_head(Text *out, const Node *n)
{
	static const char *const kind[] = {"op", "input", "constant", "read", "assign", "output"};
	static const char *const output[] = {"tensor", "loss", "gradient", "exposed"};
	if (n->kind == NODE_OP) {
		text_add(out, n->op->name);
		return;
	}
	text_printf(out, "%s %s", kind[n->kind], n->name ? n->name : "");
	if (n->kind == NODE_OUTPUT) text_printf(out, " (%s)", output[n->output]);
}

void graph_print(const Graph *g, Text *out)
{
	text_printf(out, "graph: batch %lld, %s, %d nodes\n", (long long)g->batch,
	    g->mode == MODE_TRAIN ? "training" : "inference", g->node.n);
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		for (int k = 0; k < n->nout; k++) {
			const char *type = n->out[k]->type == TYPE_REAL ? "" : ":int";
			text_printf(out, "%s%%%d", k ? ", " : "  ", n->id);
			if (k) text_printf(out, ".%d", k);
			text_printf(out, "[%s]%s", shape_text(g->arena, n->out[k]->shape), type);
		}
		text_add(out, n->nout ? " = " : "  ");
		print_head(out, n);
		for (int k = 0; k < n->nin; k++) {
			text_printf(out, "%s%%%d", k ? ", " : " ", n->in[k]->node->id);
			if (n->in[k]->index) text_printf(out, ".%d", n->in[k]->index);
		}
		for (int k = 0; n->kind == NODE_OP && n->op->attr && n->op->attr[k].name; k++)
			if (!n->op->attr[k].argument) print_attr(out, &n->op->attr[k], n->attr[k]);
		if (n->layer) text_printf(out, "  # %s", n->layer);
		text_add(out, "\n");
	}
}
