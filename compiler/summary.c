/* summary: what a network is and what it costs, as a table for people and as JSON for programs.
 *
 * Every figure comes from a formula over the graph, so another input size or number of classes
 * gives other figures. A row is a layer: what has a name of its own (its path), or changes the
 * number of elements (pooling, concatenation, a loss). Operators without a name that keep it
 * (activations, flatten, a residual sum) belong to the row before. Figures of rows are for one
 * image, memory is for an entry. */
#include <jansson.h>
#include <stdlib.h>

#include "driver.h"
#include "op.h"

typedef struct {
	const char *name, *op;
	Shape shape; /* without the batch */
	int64_t neurons, activation_bytes;
	Cost cost;
} Row;

typedef Vec(Row) Rows;

typedef struct {
	Arena *arena;
	const Program *program;
	Rows rows;
	bool *counted; /* by node id of a read: its state's parameters are in a row already */
} Summary;

static int64_t sum(int64_t a, int64_t b)
{
	int64_t c;
	return add_fits(a, b, &c) ? c : INT64_MAX;
}

static int64_t product(int64_t a, int64_t b)
{
	int64_t c;
	return mul_fits(a, b, &c) ? c : INT64_MAX;
}

static int64_t element_bytes(const Summary *s) { return s->program->is_double ? 8 : 4; }

/* --- rows ------------------------------------------------------------------------------------- */

static Shape image_shape(Shape s)
{
	Shape image = {.rank = MAX(s.rank - 1, 0)};
	for (int i = 0; i < image.rank; i++) image.dim[i] = s.dim[i + 1];
	return image;
}

/* What an operator costs; the weights of a layer that is used twice are counted once. */
static Cost cost_of(Summary *s, const Node *n)
{
	Cost c = n->op->cost ? n->op->cost(n) : (Cost){0};
	bool again = false;
	for (int k = 0; k < n->nin; k++) {
		const Node *read = n->in[k]->node;
		if (read->kind != NODE_READ) continue;
		again = again || s->counted[read->id];
		s->counted[read->id] = true;
	}
	if (again) c.parameters = 0;
	return c;
}

static bool folds(const Summary *s, const Node *n)
{
	return s->rows.n > 0 && !n->layer && n->nin > 0 && !(n->op->flags & OP_LOSS) &&
	       shape_count(n->in[0]->shape) == shape_count(n->out[0]->shape);
}

/* The layer's path, or the operator's name, numbered from the second on. */
static const char *row_name(const Summary *s, const Node *n)
{
	const char *stem = n->layer ? n->layer : n->op->name, *name = stem;
	for (int count = 1;; name = arena_printf(s->arena, "%s_%d", stem, ++count)) {
		bool taken = false;
		for (int i = 0; i < s->rows.n; i++) taken = taken || !strcmp(s->rows.at[i].name, name);
		if (!taken) return name;
	}
}

static void add_row(Summary *s, const Node *n)
{
	Row r = {.name = row_name(s, n), .op = n->op->name, .shape = image_shape(n->out[0]->shape)};
	r.neurons = shape_count(r.shape);
	r.activation_bytes = product(r.neurons, element_bytes(s));
	vec_push(s->arena, s->rows, r);
}

static Summary collect(Arena *a, const Program *p)
{
	Summary s = {.arena = a, .program = p};
	const Graph *g = p->model->graph;
	s.counted = NEWS(a, bool, g->next_id + 1);
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		if (n->kind != NODE_OP) continue;
		if (!folds(&s, n)) add_row(&s, n);
		Cost c = cost_of(&s, n), *row = &s.rows.at[s.rows.n - 1].cost;
		row->parameters = sum(row->parameters, c.parameters);
		row->connections = sum(row->connections, c.connections);
		row->macs = sum(row->macs, c.macs);
	}
	return s;
}

static Row total_of(const Summary *s)
{
	Row t = {.name = "total", .op = ""};
	for (int i = 0; i < s->rows.n; i++) {
		const Row *r = &s->rows.at[i];
		t.neurons = sum(t.neurons, r->neurons);
		t.activation_bytes = sum(t.activation_bytes, r->activation_bytes);
		t.cost.parameters = sum(t.cost.parameters, r->cost.parameters);
		t.cost.connections = sum(t.cost.connections, r->cost.connections);
		t.cost.macs = sum(t.cost.macs, r->cost.macs);
	}
	return t;
}

/* --- entries ---------------------------------------------------------------------------------- */

/* Bytes of work of the hungriest entry of this kind; -1: the program has none. */
static int64_t work_of(const Program *p, EntryKind kind)
{
	int64_t work = -1;
	for (int i = 0; i < p->part.n; i++)
		if (p->part.at[i]->kind == kind) work = MAX(work, p->part.at[i]->work);
	return work;
}

static int64_t work_training(const Program *p)
{
	return MAX(work_of(p, ENTRY_GRADIENTS), work_of(p, ENTRY_STEP));
}

static int64_t part_macs(const Part *p)
{
	int64_t macs = 0;
	for (int i = 0; i < p->step.n; i++) macs = sum(macs, p->step.at[i].macs);
	return macs;
}

/* The arena to the bytes that live at the worst step, both with the gradients; 1: the plan wastes
 * nothing. */
static double work_ratio(const Part *p)
{
	int64_t least = sum(p->work_lower_bound, p->gradients);
	return least ? (double)sum(p->work, p->gradients) / (double)least : 1;
}

/* --- for people ------------------------------------------------------------------------------- */

static void print_row(
    const Summary *s, const int *width, const Row *r, const char *shape, Text *out)
{
	Arena *a = s->arena;
	text_printf(out, "%-*s  %-*s  %-*s %13s %13s %15s %15s %15s\n", width[0], r->name, width[1],
	    r->op, width[2], shape, grouped(a, r->neurons), grouped(a, r->cost.parameters),
	    grouped(a, r->cost.connections), grouped(a, r->cost.macs), grouped(a, r->activation_bytes));
}

static void print_table(const Summary *s, Text *out)
{
	int width[3] = {5, 8, 6};
	for (int i = 0; i < s->rows.n; i++) {
		const Row *r = &s->rows.at[i];
		width[0] = MAX(width[0], (int)strlen(r->name));
		width[1] = MAX(width[1], (int)strlen(r->op));
		width[2] = MAX(width[2], (int)strlen(shape_text(s->arena, r->shape)));
	}
	text_printf(out, "%-*s  %-*s  %-*s %13s %13s %15s %15s %15s\n", width[0], "layer", width[1],
	    "operator", width[2], "output", "neurons", "parameters", "connections", "multiply-adds",
	    "activation B");
	for (int i = 0; i < s->rows.n; i++)
		print_row(s, width, &s->rows.at[i], shape_text(s->arena, s->rows.at[i].shape), out);
	Row t = total_of(s);
	print_row(s, width, &t, "", out);
}

static void print_memory(
    const Summary *s, const char *what, int64_t bytes, const char *of, Text *out)
{
	if (bytes < 0)
		text_printf(out, "%-18s %16s\n", what, "none");
	else
		text_printf(out, "%-18s %16s bytes%s\n", what, grouped(s->arena, bytes), of);
}

static void print_text(const Summary *s, Text *out)
{
	const Program *p = s->program;
	const Model *m = p->model;
	Arena *a = s->arena;
	int64_t bytes = element_bytes(s);
	text_printf(out, "%s%s%s\n\n", m->name, m->title ? ": " : "", m->title ? m->title : "");
	print_table(s, out);
	text_add(out, "\n");
	const char *of = arena_printf(a, ", %s weights and %s numbers of running statistics",
	    grouped(a, m->weights), grouped(a, m->buffers));
	print_memory(s, "vars", product(bytes, m->vars), of, out);
	print_memory(s, "slots", product(bytes, p->slots), "", out);
	print_memory(s, "work, inference", work_of(p, ENTRY_INFER), "", out);
	print_memory(s, "work, training", work_training(p), "", out);
	for (int i = 0; i < p->part.n; i++) {
		const Part *part = p->part.at[i];
		const char *with =
		    part->gradients ? arena_printf(a, " and %s of gradients", grouped(a, part->gradients))
		                    : "";
		text_printf(out,
		    "  %-16s %16s bytes of work%s, %.4f of the %s that live at once, %s multiply-adds\n",
		    part->name, grouped(a, part->work), with, work_ratio(part),
		    grouped(a, sum(part->work_lower_bound, part->gradients)), grouped(a, part_macs(part)));
		if (part->recomputed)
			text_printf(out,
			    "  %-16s %16s bytes of work if all were kept; %d operators run twice, %.1f %% "
			    "less\n",
			    "", grouped(a, part->work_kept), part->recomputed,
			    100 - 100 * (double)part->work / (double)part->work_kept);
	}
}

/* --- for programs ----------------------------------------------------------------------------- */

static void set_number(json_t *object, const char *key, int64_t x)
{
	json_object_set_new(object, key, x < 0 ? json_null() : json_integer(x));
}

static void set_string(json_t *object, const char *key, const char *text)
{
	json_t *s = json_string(text);
	json_object_set_new(object, key, s ? s : json_string("?")); /* not UTF-8 */
}

static void set_costs(json_t *object, const Row *r)
{
	set_number(object, "neurons", r->neurons);
	set_number(object, "parameters", r->cost.parameters);
	set_number(object, "connections", r->cost.connections);
	set_number(object, "macs", r->cost.macs);
	set_number(object, "activation_bytes", r->activation_bytes);
}

static json_t *row_json(const Row *r)
{
	json_t *layer = json_object(), *output = json_array();
	for (int d = 0; d < r->shape.rank; d++)
		json_array_append_new(output, json_integer(r->shape.dim[d]));
	set_string(layer, "name", r->name);
	set_string(layer, "op", r->op);
	json_object_set_new(layer, "output", output);
	set_costs(layer, r);
	return layer;
}

static json_t *entry_json(const Part *part)
{
	json_t *entry = json_object();
	set_string(entry, "name", part->name);
	set_number(entry, "batch", part->batch);
	set_number(entry, "work", part->work);
	set_number(entry, "work_lower_bound", part->work_lower_bound);
	set_number(entry, "gradients", part->gradients);
	set_number(entry, "recomputed", part->recomputed);
	set_number(entry, "work_kept", part->recomputed ? part->work_kept : part->work);
	json_object_set_new(entry, "work_ratio", json_real(work_ratio(part)));
	set_number(entry, "macs", part_macs(part));
	return entry;
}

/* Work of a kind of entry that the program does not have is null. */
static json_t *summary_json(const Summary *s)
{
	const Program *p = s->program;
	int64_t bytes = element_bytes(s);
	json_t *root = json_object(), *layers = json_array(), *entries = json_array();
	json_t *total = json_object();
	Row t = total_of(s);
	set_costs(total, &t);
	for (int i = 0; i < s->rows.n; i++) json_array_append_new(layers, row_json(&s->rows.at[i]));
	for (int i = 0; i < p->part.n; i++) json_array_append_new(entries, entry_json(p->part.at[i]));
	set_string(root, "name", p->model->name);
	json_object_set_new(root, "layers", layers);
	set_costs(root, &t);
	json_object_set_new(root, "total", total);
	set_number(root, "element_bytes", bytes);
	set_number(root, "weights", p->model->weights);
	set_number(root, "buffers", p->model->buffers);
	set_number(root, "slots", p->slots);
	set_number(root, "packed", p->packed);
	set_number(root, "vars_bytes", product(bytes, p->model->vars));
	set_number(root, "slots_bytes", product(bytes, p->slots));
	set_number(root, "work_inference", work_of(p, ENTRY_INFER));
	set_number(root, "work_training", work_training(p));
	json_object_set_new(root, "entries", entries);
	return root;
}

/* The text is jansson's until it is copied; should the arena jump meanwhile, it is freed on the
 * way. */
static void print_json(const Summary *s, Text *out)
{
	json_t *root = summary_json(s);
	char *text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	jmp_buf here, *outer = arena_guard(s->arena, &here);
	bool jumped = setjmp(here) != 0;
	if (!jumped && text) {
		text_add(out, text);
		text_add(out, "\n");
	}
	arena_guard(s->arena, outer);
	free(text);
	if ((jumped || !text) && outer) longjmp(*outer, 1);
}

void summary_print(const Program *p, bool json, Text *out)
{
	Summary s = collect(out->arena, p);
	if (json)
		print_json(&s, out);
	else
		print_text(&s, out);
}
