/* inline: a map's value goes into a nest that reads it, whose loads of it give way to the map's own
 * at the index that was read. The other direction is fuse.c: there a map goes to who makes its
 * input.
 */
#include "internal.h"

typedef struct {
	Arena *arena;
	Nest *to;
	Affine dim[NEST_DIMS];    /* of the map, at the index that is read */
	int map_load[NEST_LOADS]; /* in `to` */
	int load[NEST_LOADS];     /* the reader's in `to`; -1: it is the map's value */
	Expr *value[NEST_LOADS];
} Inlining;

/* The map's dims are the indices that its value is read at. */
static bool match_dims(Inlining *f, const Nest *map, const Access *read)
{
	const Access *to = &map->store[0].to;
	bool known[NEST_DIMS] = {false};
	for (int i = 0; i < to->buffer->rank; i++) {
		const Affine *a = &to->at[i].a;
		if (read->at[i].q != 1) return false;
		if (a->n == 0 && a->c == 0 && to->buffer->shape[i] == 1) continue;
		if (a->n != 1 || a->t[0].k != 1 || a->c != 0 || known[a->t[0].var]) return false;
		if (map->dim[a->t[0].var].extent != to->buffer->shape[i]) return false;
		f->dim[a->t[0].var] = read->at[i].a;
		known[a->t[0].var] = true;
	}
	for (int d = 0; d < map->ndim; d++) {
		if (!known[d] && map->dim[d].extent != 1) return false;
		if (!known[d]) f->dim[d] = affine_number(0);
	}
	return true;
}

static Expr *map_leaf(void *self, const Expr *e)
{
	const Inlining *f = self;
	return e->kind == E_LOAD ? e_load(f->arena, f->map_load[e->id]) : NULL;
}

/* The map's loads, and its value of them, for this load of the reader's. */
static bool put_value(Inlining *f, const Nest *map, const Access *read, Expr **value)
{
	if (!match_dims(f, map, read)) return false;
	for (int k = 0; k < map->nload; k++) {
		const Access *x = &map->load[k];
		Index at[BUFFER_RANK];
		for (int i = 0; i < x->buffer->rank; i++) {
			at[i].q = x->at[i].q;
			if (!affine_try_subst(&x->at[i].a, f->dim, &at[i].a)) return false;
		}
		if (f->to->nload == NEST_LOADS) return false;
		f->map_load[k] = nest_load(f->to, x->as, x->buffer, at);
	}
	Rewriting at_index = expr_rewriting(f->arena, map_leaf, f);
	*value = e_stored(f->arena, expr_rewrite(&at_index, map->store[0].value));
	return true;
}

/* The reader's loads, of `to`. */
static Expr *reader_leaf(void *self, const Expr *e)
{
	const Inlining *f = self;
	if (e->kind == E_LOAD && f->load[e->id] < 0) return f->value[e->id];
	if (e->kind == E_LOAD) return e_load(f->arena, f->load[e->id]);
	if (e->kind != E_HASH) return NULL;
	Expr *copy = NEW(f->arena, Expr);
	*copy = *e;
	copy->id = f->load[e->id];
	return copy;
}

static bool fits(const Expr *e) { return expr_size(e, FUSED_EXPR) <= FUSED_EXPR; }

static bool has_no_index(void *self, const Expr *e)
{
	(void)self;
	return !e->index;
}

/* Loads of the reader in `to`, the map's for those of its value. */
static bool put_loads(Inlining *f, const Nest *map, const Nest *reader)
{
	for (int l = 0; l < reader->nload; l++) {
		const Access *x = &reader->load[l];
		bool is_value = x->buffer == map->store[0].to.buffer;
		f->load[l] = -1;
		if (f->to->nload == NEST_LOADS) return false;
		if (!is_value) f->load[l] = nest_load(f->to, x->as, x->buffer, x->at);
		if (is_value && !put_value(f, map, x, &f->value[l])) return false;
	}
	return true;
}

Nest *inline_map(Arena *a, const Nest *map, const Nest *reader)
{
	Inlining f = {.arena = a};
	bool good = !map->nguard && !map->nacc && map->nstore == 1;
	if (!good || !expr_visit(map->store[0].value, has_no_index, NULL)) return NULL;
	f.to = nest_copy(a, reader);
	f.to->nload = 0;
	Rewriting rewrite = expr_rewriting(a, reader_leaf, &f);
	if (!put_loads(&f, map, reader)) return NULL;
	for (int k = 0; k < reader->nacc; k++) {
		f.to->acc[k].update = expr_rewrite(&rewrite, reader->acc[k].update);
		good &= fits(f.to->acc[k].update);
	}
	for (int k = 0; k < reader->nstore; k++) {
		f.to->store[k].value = expr_rewrite(&rewrite, reader->store[k].value);
		good &= fits(f.to->store[k].value);
	}
	return good ? f.to : NULL;
}
