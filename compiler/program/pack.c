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
	Map moved;  /* nests of the pack part by signature */
	Map twin;   /* an inference buffer's like */
	Map source; /* weights and tables of the pack part, by source_key */
	Map copy;   /* of weights that are read as they are */
	int64_t packed;
} Packing;

static Buffer *twin_of(const Packing *k, const Buffer *b)
{
	return map_get(&k->twin, &b, sizeof b);
}

static void add_twin(Packing *k, const Buffer *b, Buffer *in_pack)
{
	map_put(&k->twin, &b, sizeof b, in_pack);
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

/* What tells a source, which other batch sizes may have as well: its weight, or its numbers. */
static Text source_key(const Packing *k, const Buffer *b)
{
	Text key;
	text_init(&key, k->arena);
	text_addn(&key, (const char *)&b->state, sizeof b->state);
	text_addn(&key, (const char *)b->shape, (size_t)b->rank * sizeof *b->shape);
	if (b->table) text_addn(&key, (const char *)b->table, (size_t)b->size * sizeof *b->table);
	return key;
}

static Buffer *source_twin(Packing *k, const Buffer *b)
{
	Buffer *t = twin_of(k, b);
	if (t) return t;
	bool told = b->state || b->table;
	Text key = source_key(k, b);
	if (told) t = map_get(&k->source, key.data, key.len);
	if (!t) t = clone(k, b, b->place);
	if (told) map_put(&k->source, key.data, key.len, t);
	add_twin(k, b, t);
	return t;
}

static bool is_source(const Buffer *b) { return b->place == PLACE_VARS || b->place == PLACE_TABLE; }

/* `made`: by steps that move; `stays`: what a step that does not writes to, too. By buffer id. */
static bool may_move(const Nest *n, const bool *made, const bool *stays)
{
	bool weights = false;
	for (int i = 0; i < n->nload; i++) {
		const Buffer *b = n->load[i].buffer;
		if (!is_source(b) && !made[b->id]) return false;
		weights |= b->place != PLACE_TABLE;
	}
	for (int i = 0; i < n->nstore; i++) {
		const Buffer *b = n->store[i].to.buffer;
		if (b->place != PLACE_WORK || stays[b->id]) return false;
		weights |= made[b->id]; /* the rest of a moved result */
	}
	return weights;
}

/* By step: whether it moves. A buffer is made in one place: where one of its parts stays, so does
 * the rest, and what reads it. */
static bool *find_moving(Arena *a, const Part *p)
{
	bool *moves = NEWS(a, bool, p->step.n + 1), *stays = NEWS(a, bool, p->buffer.n + 1);
	for (bool again = true; again;) {
		bool *made = NEWS(a, bool, p->buffer.n + 1);
		again = false;
		for (int s = 0; s < p->step.n; s++) {
			const Nest *n = p->step.at[s].nest;
			moves[s] = may_move(n, made, stays);
			for (int i = 0; i < n->nstore; i++) {
				int b = n->store[i].to.buffer->id;
				again |= !moves[s] && made[b];
				made[b] |= moves[s];
				stays[b] |= !moves[s];
			}
		}
	}
	return moves;
}

/* What a nest computes, of which sources, into what. */
static Text signature(Packing *k, const Nest *n)
{
	Text t;
	text_init(&t, k->arena);
	nest_form(n, &t);
	for (int i = 0; i < n->nload; i++)
		text_printf(&t, " r%d", source_twin(k, n->load[i].buffer)->id);
	for (int i = 0; i < n->nstore; i++) {
		const Buffer *begun = twin_of(k, n->store[i].to.buffer);
		text_printf(&t, " w%d", begun ? begun->id : -1);
	}
	return t;
}

static void move_step(Packing *k, const Step *step)
{
	const Nest *n = step->nest;
	Text key = signature(k, n);
	const Nest *moved_before = map_get(&k->moved, key.data, key.len);
	if (moved_before) {
		for (int s = 0; s < n->nstore; s++)
			if (!twin_of(k, n->store[s].to.buffer))
				add_twin(k, n->store[s].to.buffer, moved_before->store[s].to.buffer);
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
	map_put(&k->moved, key.data, key.len, copy);
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
	Buffer *to = map_get(&k->copy, &from, sizeof from);
	if (to) return to;
	to = clone(k, from, PLACE_WORK);
	map_put(&k->copy, &from, sizeof from, to);
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
	const Use *use = part_uses(k->arena, p);
	for (int i = 0; i < p->buffer.n; i++) {
		Buffer *b = p->buffer.at[i];
		bool read = use[b->id].load.n > 0;
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
	map_init(&k.moved, a);
	map_init(&k.twin, a);
	map_init(&k.source, a);
	map_init(&k.copy, a);
	k.pack->kind = ENTRY_PACK;
	k.pack->name = "pack";
	k.pack->batch = 1;
	for (int i = 0; i < n; i++) {
		int kept = 0;
		Part *p = infer[i];
		const bool *moves = find_moving(a, p);
		for (int s = 0; s < p->step.n; s++) {
			if (moves[s])
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
