/* summary: what a network is and costs. Layers are the operators of the description that count
 * something; numbers are per image, memory is per entry. */
#include "driver.h"
#include "op.h"

typedef struct {
	const char *layer, *op;
	Shape shape; /* without the batch */
	Cost cost;
} Row;

/* The weights of a layer that is used twice are counted once. */
static bool seen_before(const Model *m, const Node *n, int position)
{
	for (int k = 0; k < n->nin; k++) {
		const State *s = n->in[k]->node->state;
		if (!s || s->kind != STATE_WEIGHT) continue;
		for (int i = 0; i < position; i++) {
			const Node *other = m->graph->node.at[i];
			if (other->kind != NODE_OP) continue;
			for (int j = 0; j < other->nin; j++)
				if (other->in[j]->node->state == s) return true;
		}
		return false;
	}
	return false;
}

static Shape image_shape(Shape s)
{
	Shape image = {.rank = MAX(s.rank - 1, 0)};
	for (int i = 0; i < image.rank; i++) image.dim[i] = s.dim[i + 1];
	return image;
}

typedef Vec(Row) Rows;

static Rows collect(Arena *a, const Model *m)
{
	Rows rows = {0};
	for (int i = 0; i < m->graph->node.n; i++) {
		const Node *n = m->graph->node.at[i];
		if (n->kind != NODE_OP) continue;
		Row r = {n->layer ? n->layer : "", n->op->name, image_shape(n->out[0]->shape), {0}};
		if (n->op->cost) r.cost = n->op->cost(n);
		if (seen_before(m, n, i)) r.cost.parameters = 0;
		vec_push(a, rows, r);
	}
	return rows;
}

static Cost total(const Rows *rows)
{
	Cost sum = {0};
	for (int i = 0; i < rows->n; i++) {
		const Cost *c = &rows->at[i].cost;
		if (!add_fits(sum.connections, c->connections, &sum.connections) ||
		    !add_fits(sum.macs, c->macs, &sum.macs) ||
		    !add_fits(sum.parameters, c->parameters, &sum.parameters))
			bug("the cost of the network does not fit 64 bits");
	}
	return sum;
}

static int64_t part_macs(const Part *p)
{
	int64_t macs = 0;
	for (int i = 0; i < p->step.n; i++) macs += p->step.at[i].macs;
	return macs;
}

/* 1234567 as "1,234,567". */
static const char *grouped(Arena *a, int64_t x)
{
	char digits[32], *s = arena_alloc(a, 48, 1), *to = s;
	int n = snprintf(digits, sizeof digits, "%lld", (long long)x);
	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0 && digits[i - 1] != '-') *to++ = ',';
		*to++ = digits[i];
	}
	return s;
}

static void print_text(Arena *a, const Program *p, const Rows *rows, Text *out)
{
	const Model *m = p->model;
	Cost sum = total(rows);
	int width = 12;
	for (int i = 0; i < rows->n; i++) width = MAX(width, (int)strlen(rows->at[i].layer) + 2);
	text_printf(out, "%s%s%s\n", m->name, m->title ? ": " : "", m->title ? m->title : "");
	text_printf(out, "%-*s%-18s%-16s%14s%16s%16s\n", width, "layer", "operator", "shape",
	    "parameters", "connections", "multiply-adds");
	for (int i = 0; i < rows->n; i++) {
		const Row *r = &rows->at[i];
		text_printf(out, "%-*s%-18s%-16s%14s%16s%16s\n", width, r->layer, r->op,
		    shape_text(a, r->shape), grouped(a, r->cost.parameters),
		    grouped(a, r->cost.connections), grouped(a, r->cost.macs));
	}
	text_printf(out, "%-*s%-18s%-16s%14s%16s%16s\n\n", width, "total", "", "",
	    grouped(a, sum.parameters), grouped(a, sum.connections), grouped(a, sum.macs));
	int64_t bytes = p->is_double ? 8 : 4;
	text_printf(out, "weights   %16s  %16s bytes\n", grouped(a, m->weights),
	    grouped(a, bytes * m->weights));
	text_printf(out, "buffers   %16s  %16s bytes\n", grouped(a, m->buffers),
	    grouped(a, bytes * m->buffers));
	text_printf(
	    out, "slots     %16s  %16s bytes\n", grouped(a, p->slots), grouped(a, bytes * p->slots));
	text_printf(
	    out, "packed    %16s  %16s bytes\n", grouped(a, p->packed), grouped(a, bytes * p->packed));
	for (int i = 0; i < p->part.n; i++) {
		const Part *part = p->part.at[i];
		text_printf(out, "%-20s  %16s bytes of work (at least %s), %s multiply-adds\n", part->name,
		    grouped(a, part->work), grouped(a, part->work_lower_bound),
		    grouped(a, part_macs(part)));
	}
}

static void add_json_string(Text *out, const char *s)
{
	text_add(out, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			text_printf(out, "\\%c", c);
		else if (c < ' ')
			text_printf(out, "\\u%04x", c);
		else
			text_addn(out, s, 1);
	}
	text_add(out, "\"");
}

static void add_json_shape(Text *out, Shape s)
{
	text_add(out, "[");
	for (int i = 0; i < s.rank; i++) text_printf(out, "%s%lld", i ? ", " : "", (long long)s.dim[i]);
	text_add(out, "]");
}

static void add_json_cost(Text *out, const Cost *c)
{
	text_printf(out, "\"parameters\": %lld, \"connections\": %lld, \"macs\": %lld",
	    (long long)c->parameters, (long long)c->connections, (long long)c->macs);
}

static void print_json(const Program *p, const Rows *rows, Text *out)
{
	const Model *m = p->model;
	Cost sum = total(rows);
	text_add(out, "{\"name\": ");
	add_json_string(out, m->name);
	text_add(out, ",\n \"layers\": [");
	for (int i = 0; i < rows->n; i++) {
		const Row *r = &rows->at[i];
		text_add(out, i ? ",\n  {\"layer\": " : "\n  {\"layer\": ");
		add_json_string(out, r->layer);
		text_printf(out, ", \"operator\": \"%s\", \"shape\": ", r->op);
		add_json_shape(out, r->shape);
		text_add(out, ", ");
		add_json_cost(out, &r->cost);
		text_add(out, "}");
	}
	text_add(out, "],\n \"total\": {");
	add_json_cost(out, &sum);
	text_printf(out, "},\n \"element_bytes\": %d, \"weights\": %lld, \"buffers\": %lld, ",
	    p->is_double ? 8 : 4, (long long)m->weights, (long long)m->buffers);
	text_printf(out, "\"slots\": %lld, \"packed\": %lld,\n \"entries\": [", (long long)p->slots,
	    (long long)p->packed);
	for (int i = 0; i < p->part.n; i++) {
		const Part *part = p->part.at[i];
		text_printf(out, "%s\n  {\"name\": \"%s\", \"batch\": %lld, \"work_bytes\": %lld, ",
		    i ? "," : "", part->name, (long long)part->batch, (long long)part->work);
		text_printf(out, "\"work_bytes_at_least\": %lld, \"macs\": %lld}",
		    (long long)part->work_lower_bound, (long long)part_macs(part));
	}
	text_add(out, "]}\n");
}

void summary_print(const Program *p, bool json, Text *out)
{
	Arena *a = out->arena;
	Rows rows = collect(a, p->model);
	if (json)
		print_json(p, &rows, out);
	else
		print_text(a, p, &rows, out);
}
