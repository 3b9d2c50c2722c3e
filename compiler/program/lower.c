/* lower: the only place where nodes become nests.
 *
 * Every value gets a view: a buffer and, for each of its dims, where the value begins in it. Slices
 * and concatenations are views of one buffer; outputs, gradients and assigned states take the place
 * of the buffer that holds them where the order of the nests allows it, else a copy is added at the
 * end. */
#include "../op.h"
#include "internal.h"

typedef struct {
	Buffer *buffer; /* NULL: not lowered yet */
	int64_t offset[BUFFER_RANK];
} View;

/* Who mentions a buffer: steps in order, and views; some may have changed to another by now. */
typedef struct {
	Steps step;
	Vec(int) view;
} Mentions;

struct Lower {
	Arena *arena;
	Part *part;
	const Graph *graph;
	Vec(Mentions) of; /* by buffer id */
	Map state;        /* buffers of states, by StateKey */
	Vec(View) view;   /* by node id * MAX_OUT + result; temporaries behind the graph's */
	int temps;
};

Arena *lower_arena(Lower *l) { return l->arena; }

Buffer *part_buffer(
    Arena *a, Part *p, const char *name, Type type, int rank, const int64_t *shape, Place place)
{
	Buffer *b = buffer_new(a, name, type, rank, shape);
	b->place = place;
	b->fixed = place != PLACE_WORK && place != PLACE_PACKED;
	b->id = p->buffer.n;
	vec_push(a, p->buffer, b);
	return b;
}

void part_insert(Arena *a, Part *p, int at, const Nest *n, const char *comment)
{
	Step made = {.nest = n, .comment = comment};
	vec_push(a, p->step, made);
	for (int s = p->step.n - 1; s > at; s--) p->step.at[s] = p->step.at[s - 1];
	p->step.at[at] = made;
}

void part_remove(Part *p, int at)
{
	p->step.n--;
	for (int s = at; s < p->step.n; s++) p->step.at[s] = p->step.at[s + 1];
}

static View *view_of(Lower *l, const Value *v)
{
	int at = v->node->id * MAX_OUT + v->index;
	while (l->view.n <= at) vec_push(l->arena, l->view, (View){0});
	return &l->view.at[at];
}

static Buffer *new_buffer(Lower *l, const Value *v, const char *name, Place place)
{
	return part_buffer(l->arena, l->part, name, v->type, v->shape.rank, v->shape.dim, place);
}

static Mentions *mentions_of(Lower *l, const Buffer *b)
{
	while (l->of.n <= b->id) vec_push(l->arena, l->of, (Mentions){0});
	return &l->of.at[b->id];
}

static void set_view(Lower *l, const Value *v, const View *view)
{
	*view_of(l, v) = *view;
	vec_push(l->arena, mentions_of(l, view->buffer)->view, v->node->id * MAX_OUT + v->index);
}

/* The nest, one of the last steps, mentions b. */
static void note_mention(Lower *l, const Nest *nest, const Buffer *b)
{
	Steps *list = &mentions_of(l, b)->step;
	int s = l->part->step.n - 1;
	while (l->part->step.at[s].nest != nest) s--;
	if (!list->n || list->at[list->n - 1] != s) vec_push(l->arena, *list, s);
}

/* A value that nobody placed yet lies in work memory of its own. */
static View *placed_view(Lower *l, const Value *v)
{
	View *view = view_of(l, v);
	if (!view->buffer) {
		const Node *n = v->node;
		const char *name = n->layer ? n->layer : n->op ? n->op->name : n->name ? n->name : "value";
		set_view(l, v, &(View){.buffer = new_buffer(l, v, name, PLACE_WORK)});
		view = view_of(l, v);
	}
	return view;
}

static const char *step_comment(Lower *l, const Node *n)
{
	const char *from = n->nin ? shape_text(l->arena, n->in[0]->shape) : "";
	const char *to = n->nout ? shape_text(l->arena, n->out[0]->shape) : "";
	const char *op = n->op ? n->op->name : n->name;
	return arena_printf(
	    l->arena, "%s%s%s %s -> %s", n->layer ? n->layer : "", n->layer ? ": " : "", op, from, to);
}

static Nest *add_step(Arena *a, Part *p, const char *name, const char *layer, const char *comment)
{
	Nest *nest = nest_new(a, name);
	nest->layer = layer;
	Step s = {.nest = nest, .comment = comment};
	vec_push(a, p->step, s);
	return nest;
}

Nest *lower_nest(Lower *l, const Node *n, const char *name)
{
	Nest *nest = add_step(l->arena, l->part, name, n->layer, step_comment(l, n));
	nest->where = n->where;
	return nest;
}

/* The row-major number of at[] in a tensor of this shape. */
static Affine flat_index(const Affine *at, int rank, const int64_t *shape)
{
	Affine flat = affine_number(0);
	for (int d = 0; d < rank; d++) flat = affine_add(affine_scale(flat, shape[d]), at[d]);
	return flat;
}

/* Whether a buffer keeps tensors of this rank as one row: states of the update do. */
static bool is_flat(const Buffer *b, int rank) { return b->rank == 1 && rank > 1; }

int lower_load(Lower *l, Nest *nest, const char *as, const Value *v, const Index *at)
{
	View *view = placed_view(l, v);
	Index moved[BUFFER_RANK];
	note_mention(l, nest, view->buffer);
	if (is_flat(view->buffer, v->shape.rank)) {
		Affine plain[MAX_RANK];
		for (int d = 0; d < v->shape.rank; d++) {
			if (at[d].q != 1) bug("%s reads a row of numbers by quotients", nest->name);
			plain[d] = at[d].a;
		}
		moved[0] = index_of(flat_index(plain, v->shape.rank, v->shape.dim));
		return nest_load(nest, as, view->buffer, moved);
	}
	for (int d = 0; d < view->buffer->rank; d++) {
		moved[d] = d < v->shape.rank ? at[d] : index_of(affine_number(0));
		if (moved[d].q == 1)
			moved[d].a = affine_plus(moved[d].a, view->offset[d]);
		else if (view->offset[d])
			moved[d].a = affine_plus(moved[d].a, view->offset[d] * moved[d].q);
	}
	return nest_load(nest, as, view->buffer, moved);
}

void lower_store(Lower *l, Nest *nest, const char *as, const Value *v, const Affine *at, Expr *e)
{
	View *view = placed_view(l, v);
	Affine moved[BUFFER_RANK];
	for (int d = 0; d < view->buffer->rank; d++)
		moved[d] = affine_plus(d < v->shape.rank ? at[d] : affine_number(0), view->offset[d]);
	note_mention(l, nest, view->buffer);
	nest_store(nest, as, view->buffer, moved, e);
}

Value *lower_temp(Lower *l, const char *name, Shape shape)
{
	Node *n = NEW(l->arena, Node);
	n->kind = NODE_OP;
	n->id = l->graph->next_id + l->temps++;
	n->layer = name;
	Value *v = NEW(l->arena, Value);
	v->node = n;
	v->shape = shape;
	n->out[n->nout++] = v;
	return v;
}

void lower_alias(Lower *l, const Value *window, const Value *whole, const int64_t *offset)
{
	View from = *placed_view(l, whole);
	for (int d = 0; d < whole->shape.rank; d++) from.offset[d] += offset[d];
	set_view(l, window, &from);
}

static void move_access(Arena *a, Access *x, const Buffer *from, Buffer *to, const int64_t *offset)
{
	Index at[BUFFER_RANK];
	if (x->buffer != from) return;
	if (is_flat(to, from->rank)) {
		Affine plain[BUFFER_RANK];
		for (int d = 0; d < from->rank; d++) plain[d] = x->at[d].a;
		at[0] = index_of(flat_index(plain, from->rank, from->shape));
	} else {
		for (int d = 0; d < to->rank; d++) {
			at[d] = d < from->rank ? x->at[d] : index_of(affine_number(0));
			at[d].a = affine_plus(at[d].a, offset[d] * at[d].q);
		}
	}
	access_put(a, x, to, at);
}

/* Into a list in order, mostly near its end. */
static void insert_step(Arena *a, Steps *list, int step)
{
	int at = list->n;
	while (at > 0 && list->at[at - 1] > step) at--;
	if (at > 0 && list->at[at - 1] == step) return;
	vec_push(a, *list, step);
	memmove(&list->at[at + 1], &list->at[at], (size_t)(list->n - 1 - at) * sizeof *list->at);
	list->at[at] = step;
}

/* All that mentions `from` mentions `to` instead, shifted by offset[to->rank]. */
static void replace_buffer(Lower *l, const Buffer *from, Buffer *to, const int64_t *offset)
{
	mentions_of(l, to);
	const Mentions of = *mentions_of(l, from);
	for (int i = 0; i < of.step.n; i++) {
		Nest *n = (Nest *)l->part->step.at[of.step.at[i]].nest; /* ours until lowering ends */
		for (int k = 0; k < n->nload; k++) move_access(l->arena, &n->load[k], from, to, offset);
		for (int k = 0; k < n->nstore; k++)
			move_access(l->arena, &n->store[k].to, from, to, offset);
		insert_step(l->arena, &mentions_of(l, to)->step, of.step.at[i]);
	}
	for (int i = 0; i < of.view.n; i++) {
		View *view = &l->view.at[of.view.at[i]];
		if (view->buffer != from) continue;
		view->buffer = to;
		for (int d = 0; d < to->rank; d++) view->offset[d] += offset[d];
		vec_push(l->arena, mentions_of(l, to)->view, of.view.at[i]);
	}
}

static bool is_whole(const View *view, const Value *v)
{
	if (view->buffer->rank != v->shape.rank) return false;
	for (int d = 0; d < v->shape.rank; d++)
		if (view->offset[d] || view->buffer->shape[d] != v->shape.dim[d]) return false;
	return true;
}

bool lower_merge(Lower *l, const Value *part, const Value *whole, const int64_t *offset)
{
	View *view = placed_view(l, part);
	if (view->buffer->place != PLACE_WORK || view->buffer->fixed || !is_whole(view, part))
		return false;
	Buffer *from = view->buffer;
	View *to = placed_view(l, whole);
	if (to->buffer == from) return false;
	int64_t total[BUFFER_RANK];
	for (int d = 0; d < to->buffer->rank; d++) total[d] = to->offset[d] + offset[d];
	replace_buffer(l, from, to->buffer, total);
	return true;
}

/* --- sources ------------------------------------------------------------------------------ */

static int add_argument(Lower *l, const Node *n, const Value *v, bool output)
{
	Argument arg = {.name = n->name,
	    .type = v->type,
	    .shape = v->shape,
	    .output = output,
	    .of_step = !output && n->slot < 0 && v->type == TYPE_REAL,
	    .classes = n->classes};
	vec_push(l->arena, l->part->arg, arg);
	return l->part->arg.n - 1;
}

typedef struct {
	uintptr_t state, place;
} StateKey;

static Buffer *state_buffer(Lower *l, State *s, Place place)
{
	const StateKey key = {(uintptr_t)s, place};
	Buffer *known = map_get(&l->state, &key, sizeof key);
	if (known) return known;
	int64_t count = shape_count(s->shape);
	bool row =
	    l->part->kind == ENTRY_UPDATE && s->shape.rank > 1; /* elementwise: its form is no matter */
	Buffer *b = part_buffer(l->arena, l->part, s->name, TYPE_REAL, row ? 1 : s->shape.rank,
	    row ? &count : s->shape.dim, place);
	b->state = s;
	b->offset = s->offset;
	map_put(&l->state, &key, sizeof key, b);
	return b;
}

static void lower_source(Lower *l, const Node *n)
{
	const Value *v = n->out[0];
	Buffer *b;
	if (n->kind == NODE_READ) {
		b = state_buffer(l, n->state, n->state->kind == STATE_SLOT ? PLACE_SLOTS : PLACE_VARS);
	} else if (n->kind == NODE_INPUT && n->state) {
		b = state_buffer(l, n->state, PLACE_GRADS);
	} else if (n->kind == NODE_INPUT) {
		b = new_buffer(l, v, n->name, PLACE_INPUT);
		b->slot = add_argument(l, n, v, false);
	} else {
		b = new_buffer(l, v, n->name ? n->name : "constant", PLACE_TABLE);
		b->table = n->table;
	}
	set_view(l, v, &(View){.buffer = b});
}

/* --- sinks -------------------------------------------------------------------------------- */

int nest_load_of(const Nest *n, const Buffer *b)
{
	for (int k = 0; k < n->nload; k++)
		if (n->load[k].buffer == b) return k;
	return -1;
}

int nest_store_of(const Nest *n, const Buffer *b)
{
	for (int k = 0; k < n->nstore; k++)
		if (n->store[k].to.buffer == b) return k;
	return -1;
}

bool nest_reads_in_place(const Nest *n, const Buffer *load, const Buffer *store)
{
	int s = nest_store_of(n, store);
	if (s < 0) return false;
	for (int k = s + 1; k < n->nstore; k++)
		if (n->store[k].to.buffer == store) return false;
	Affine to[BUFFER_RANK];
	for (int d = 0; d < store->rank; d++) to[d] = n->store[s].to.at[d].a;
	if (is_flat(load, store->rank)) to[0] = flat_index(to, store->rank, store->shape);
	for (int k = 0; k < n->nload; k++) {
		if (n->load[k].buffer != load) continue;
		if (nest_update_loads(n) >> k & 1) return false;
		for (int d = 0; d < load->rank; d++)
			if (n->load[k].at[d].q != 1 || !affine_same(&n->load[k].at[d].a, &to[d])) return false;
	}
	return true;
}

/* The old value of the state is not read at or after the first nest that stores `b`, but in place,
 * and nobody reads the next value from `b`: a state is written once, behind all its readers. */
static bool may_become(Lower *l, const Buffer *b, const Buffer *state)
{
	mentions_of(l, state);
	const Steps of_b = mentions_of(l, b)->step, of_state = mentions_of(l, state)->step;
	const Step *step = l->part->step.at;
	const Nest *over = NULL; /* which writes over what it reads */
	int first = -1;
	for (int i = 0; i < of_b.n; i++) {
		int s = of_b.at[i];
		if (first < 0 && nest_store_of(step[s].nest, b) >= 0) first = s;
		if (first >= 0 && nest_load_of(step[s].nest, b) >= 0) return false;
	}
	if (first < 0) return false;
	for (int i = 0; i < of_state.n; i++) {
		int s = of_state.at[i];
		const Nest *n = step[s].nest;
		if (s < first) continue;
		if (nest_store_of(n, state) >= 0) return false;
		if (nest_load_of(n, state) < 0) continue;
		if (s > first || !nest_reads_in_place(n, state, b)) return false;
		over = n;
	}
	if (over) ((Nest *)over)->inplace = true;
	return true;
}

static void copy_view(Lower *l, const Value *v, Buffer *to, const int64_t *offset, const char *name)
{
	if (is_flat(to, v->shape.rank)) bug("%s cannot be assigned in place", name);
	Nest *nest =
	    add_step(l->arena, l->part, "copy", name, arena_printf(l->arena, "%s: copied", name));
	Index from[BUFFER_RANK];
	Affine at[BUFFER_RANK];
	static const char *const dim[] = {"a", "b", "c", "d"};
	for (int d = 0; d < v->shape.rank; d++) {
		at[d] = affine_var(nest_dim(nest, dim[d], v->shape.dim[d], false));
		from[d] = index_of(at[d]);
	}
	for (int d = v->shape.rank; d < to->rank; d++) at[d] = affine_number(0);
	for (int d = 0; d < to->rank; d++) at[d] = affine_plus(at[d], offset[d]);
	int x = lower_load(l, nest, "x", v, from);
	note_mention(l, nest, to);
	nest_store(nest, "y", to, at, e_load(l->arena, x));
}

/* Made by several nests and read by some: who needs the part that is there must not see the rest.
 */
static bool is_read_in_parts(Lower *l, const Buffer *b)
{
	const Steps *of = &mentions_of(l, b)->step;
	int writers = 0, readers = 0;
	for (int i = 0; i < of->n; i++) {
		writers += nest_store_of(l->part->step.at[of->at[i]].nest, b) >= 0;
		readers += nest_load_of(l->part->step.at[of->at[i]].nest, b) >= 0;
	}
	return writers > 1 && readers;
}

/* v goes to `to`, by writing it there in the first place if that can be. What is ours may be laid
 * out as its readers like it; in the user's form they read a copy, which is made once. */
static void deliver(Lower *l, const Value *v, Buffer *to, const int64_t *offset, const char *name)
{
	View *view = placed_view(l, v);
	bool free = view->buffer->place == PLACE_WORK && !view->buffer->fixed && is_whole(view, v);
	free = free && !is_read_in_parts(l, view->buffer);
	if (free && to->state && to->place != PLACE_GRADS) free = may_become(l, view->buffer, to);
	if (free)
		replace_buffer(l, view->buffer, to, offset);
	else
		copy_view(l, v, to, offset, name);
}

static void lower_output(Lower *l, const Node *n, Buffer **loss)
{
	const Value *v = n->in[0];
	int64_t offset[BUFFER_RANK] = {0};
	Buffer *b;
	if (n->output == OUT_GRADIENT) {
		b = state_buffer(l, n->state, PLACE_GRADS);
	} else if (n->output == OUT_LOSS) {
		b = *loss;
		if (b->rank) offset[0] = n->slot;
	} else {
		b = new_buffer(l, v, n->name, PLACE_OUTPUT);
		b->slot = add_argument(l, n, v, true);
	}
	deliver(l, v, b, offset, n->name);
}

/* One argument `loss` for all terms: a number, or the total and then its terms. */
static Buffer *loss_buffer(Lower *l)
{
	int64_t n = 0;
	const Node *first = NULL;
	for (int i = 0; i < l->graph->node.n; i++) {
		const Node *node = l->graph->node.at[i];
		if (node->kind != NODE_OUTPUT || node->output != OUT_LOSS) continue;
		if (!first) first = node;
		n++;
	}
	if (!first) return NULL;
	Buffer *b = part_buffer(l->arena, l->part, "loss", TYPE_REAL, n > 1, &n, PLACE_OUTPUT);
	Argument arg = {.name = "loss", .type = TYPE_REAL, .output = true};
	if (n > 1) arg.shape = shape_of(1, n);
	vec_push(l->arena, l->part->arg, arg);
	b->slot = l->part->arg.n - 1;
	return b;
}

static void lower_sinks(Lower *l)
{
	Buffer *loss = loss_buffer(l);
	for (int i = 0; i < l->graph->node.n; i++)
		if (l->graph->node.at[i]->kind == NODE_OUTPUT) lower_output(l, l->graph->node.at[i], &loss);
	for (int i = 0; i < l->graph->node.n; i++) {
		Node *n = l->graph->node.at[i];
		int64_t offset[BUFFER_RANK] = {0};
		if (n->kind != NODE_ASSIGN) continue;
		deliver(l, n->in[0],
		    state_buffer(l, n->state, n->state->kind == STATE_SLOT ? PLACE_SLOTS : PLACE_VARS),
		    offset, n->name);
	}
}

Part *lower_graph(Arena *a, const Graph *g, EntryKind kind, const char *name)
{
	Part *p = NEW(a, Part);
	p->kind = kind;
	p->name = name;
	p->batch = g->batch;
	Lower l = {.arena = a, .part = p, .graph = g};
	map_init(&l.state, a);
	for (int i = 0; i < g->node.n; i++) {
		const Node *n = g->node.at[i];
		if (n->kind == NODE_OP)
			n->op->lower(&l, n);
		else if (n->kind != NODE_OUTPUT && n->kind != NODE_ASSIGN)
			lower_source(&l, n);
	}
	lower_sinks(&l);
	for (int s = 0; s < p->step.n; s++) {
		const char *fault = nest_verify(a, p->step.at[s].nest);
		if (fault) bug("%s, step %d (%s): %s", name, s, p->step.at[s].comment, fault);
	}
	return p;
}
