/* pack: what depends on weights alone is done once, by `pack`, and not in every inference.
 *
 * Steps of the inference parts that read only weights, tables and each other's results move to one
 * part of their own; what the rest of the network reads of them lies in packed memory. Equal steps
 * of several batch sizes are the same step. Weights that are still read directly are copied, since
 * inference gets nothing but `packed`. */
#include "internal.h"

typedef struct {
	Arena *arena;
	Part *pack;
	Vec(struct Moved {
		const char *signature;
		const Nest *nest;
	}) moved;
	Vec(struct Twin {
		const Buffer *of;
		Buffer *in_pack;
	}) twin; /* an inference buffer and its like */
	int64_t packed;
} Packing;

static Buffer *twin_of(const Packing *k, const Buffer *b)
{
	for (int i = 0; i < k->twin.n; i++)
		if (k->twin.at[i].of == b) return k->twin.at[i].in_pack;
	return NULL;
}

static void add_twin(Packing *k, const Buffer *b, Buffer *in_pack)
{
	struct Twin t = {b, in_pack};
	vec_push(k->arena, k->twin, t);
}

/* The pack part's own buffer for weights, tables and results of moved steps. */
static Buffer *clone(Packing *k, const Buffer *b, Place place)
{
	Buffer *new = NEW(k->arena, Buffer);
	*new = *b;
	new->place = place;
	new->id = k->pack->buffer.n;
	vec_push(k->arena, k->pack->buffer, new);
	return new;
}

static Buffer *source_twin(Packing *k, const Buffer *b)
{
	Buffer *t = twin_of(k, b);
	if (t) return t;
	for (int i = 0; i < k->pack->buffer.n;
	     i++) { /* the same state or table of another batch size */
		Buffer *x = k->pack->buffer.at[i];
		if (x->place == b->place &&
		    ((b->state && x->state == b->state) || (b->table && x->table == b->table)))
			t = x;
	}
	if (!t) t = clone(k, b, b->place);
	add_twin(k, b, t);
	return t;
}

static bool is_source(const Buffer *b) { return b->place == PLACE_VARS || b->place == PLACE_TABLE; }

static bool may_move(const Packing *k, const Nest *n)
{
	bool weights = false;
	for (int i = 0; i < n->nload; i++) {
		const Buffer *b = n->load[i].buffer;
		if (!is_source(b) && !twin_of(k, b)) return false;
		weights |= b->place != PLACE_TABLE;
	}
	for (int i = 0; i < n->nstore; i++) {
		if (n->store[i].to.buffer->place != PLACE_WORK) return false;
		weights |= twin_of(k, n->store[i].to.buffer) != NULL; /* the rest of a moved result */
	}
	return weights;
}

static const char *signature(Packing *k, const Nest *n)
{
	Text t;
	text_init(&t, k->arena);
	nest_print(n, &t);
	for (int i = 0; i < n->nload; i++)
		text_printf(&t, " r%d", source_twin(k, n->load[i].buffer)->id);
	for (int i = 0; i < n->nstore; i++) {
		const Buffer *begun = twin_of(k, n->store[i].to.buffer);
		text_printf(&t, " w%d ", begun ? begun->id : -1);
		buffer_layout_text(n->store[i].to.buffer, &t);
	}
	return t.data;
}

static void move_step(Packing *k, const Step *step)
{
	const Nest *n = step->nest;
	const char *text = signature(k, n);
	for (int i = 0; i < k->moved.n; i++) {
		if (strcmp(k->moved.at[i].signature, text)) continue;
		for (int s = 0; s < n->nstore; s++)
			if (!twin_of(k, n->store[s].to.buffer))
				add_twin(k, n->store[s].to.buffer, k->moved.at[i].nest->store[s].to.buffer);
		return;
	}
	Nest *copy = nest_copy(k->arena, n);
	for (int i = 0; i < n->nload; i++) copy->load[i].buffer = source_twin(k, n->load[i].buffer);
	for (int i = 0; i < n->nstore; i++) {
		Buffer *b = twin_of(k, n->store[i].to.buffer);
		if (!b) {
			b = clone(k, n->store[i].to.buffer, PLACE_WORK);
			add_twin(k, n->store[i].to.buffer, b);
		}
		copy->store[i].to.buffer = b;
	}
	struct Moved m = {text, copy};
	vec_push(k->arena, k->moved, m);
	Step moved = *step;
	moved.nest = copy;
	vec_push(k->arena, k->pack->step, moved);
}

/* Gives a result of the pack part its place in packed memory, once. */
static void make_packed(Packing *k, Buffer *b)
{
	enum { LINE = 16 };
	if (b->place == PLACE_PACKED) return;
	b->place = PLACE_PACKED;
	b->offset = k->packed;
	int64_t size = (b->size + LINE - 1) / LINE * LINE;
	if (!add_fits(k->packed, size, &k->packed)) bug("packed weights do not fit");
}

/* Weights read as they are: a copy of them in packed memory. */
static Buffer *copied_weight(Packing *k, const Buffer *b)
{
	static const char *const name[] = {"a", "b", "c", "d"};
	Buffer *from = source_twin(k, b);
	for (int s = 0; s < k->pack->step.n; s++) {
		const Nest *n = k->pack->step.at[s].nest;
		if (!strcmp(n->name, "copy") && n->load[0].buffer == from) return n->store[0].to.buffer;
	}
	Buffer *to = clone(k, from, PLACE_WORK);
	to->state = NULL;
	make_packed(k, to);
	Nest *n = nest_new(k->arena, "copy");
	n->layer = b->name;
	Affine at[BUFFER_RANK];
	Index source[BUFFER_RANK];
	for (int d = 0; d < b->rank; d++) {
		at[d] = affine_var(nest_dim(n, name[d], b->shape[d], false));
		source[d] = index_of(at[d]);
	}
	nest_store(n, "y", to, at, e_load(k->arena, nest_load(n, "x", from, source)));
	Step step = {.nest = n, .comment = arena_printf(k->arena, "%s: as it is", b->name)};
	vec_push(k->arena, k->pack->step, step);
	return to;
}

static void repoint(Packing *k, Part *p)
{
	for (int i = 0; i < p->buffer.n; i++) {
		Buffer *b = p->buffer.at[i];
		bool read = false;
		for (int s = 0; s < p->step.n; s++) read |= nest_load_of(p->step.at[s].nest, b) >= 0;
		Buffer *in_pack = read && b->place == PLACE_VARS ? copied_weight(k, b)
		                  : b->place == PLACE_WORK       ? twin_of(k, b)
		                                                 : NULL;
		if (!read || !in_pack) continue;
		make_packed(k, in_pack);
		b->place = PLACE_PACKED;
		b->offset = in_pack->offset;
		b->state = NULL;
		b->fixed = true;
	}
}

Part *hoist_pack(Arena *a, Part *const *infer, int n, int64_t *packed)
{
	Packing k = {.arena = a, .pack = NEW(a, Part)};
	k.pack->kind = ENTRY_PACK;
	k.pack->name = "pack";
	k.pack->batch = 1;
	for (int i = 0; i < n; i++) {
		int kept = 0;
		Part *p = infer[i];
		for (int s = 0; s < p->step.n; s++) {
			if (may_move(&k, p->step.at[s].nest))
				move_step(&k, &p->step.at[s]);
			else
				p->step.at[kept++] = p->step.at[s];
		}
		p->step.n = kept;
		repoint(&k, p);
	}
	*packed = k.packed;
	return k.pack->step.n ? k.pack : NULL;
}
