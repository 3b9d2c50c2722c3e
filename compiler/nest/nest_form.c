/* nest_form: all of a nest that schedules, proofs and texts stand on, as bytes: nests of one form
 * have the same trees and compute the same, whatever their buffers are called and wherever they
 * lie. No address is among them: a form is the same in every run.
 */
#include "internal.h"

static void put(Text *t, int64_t x) { text_addn(t, (const char *)&x, sizeof x); }

static void put_word(Text *t, const char *s) { text_addn(t, s ? s : "", s ? strlen(s) + 1 : 1); }

static void put_affine(Text *t, const Affine *a)
{
	put(t, a->c);
	put(t, a->n);
	for (int i = 0; i < a->n; i++) {
		put(t, a->t[i].var);
		put(t, a->t[i].k);
	}
}

/* The rows of a table that the nest may ask for, by their numbers: an equal one may lie elsewhere.
 */
static void put_table(
    Text *t, const Nest *n, const void *table, size_t number, const Affine *row, int64_t cols)
{
	int64_t extent[NEST_DIMS], first, last;
	nest_extents(n, extent);
	affine_range(row, extent, &first, &last);
	put(t, cols);
	text_addn(t, table, (size_t)((last + 1) * cols) * number);
}

/* Parts of expressions by the order in which they are met: those met again are named in texts. */
typedef struct {
	const Nest *nest;
	Vec(const Expr *) part;
} Met;

/* Whether it was met before, which is all that there is to say. */
static bool put_part(Text *t, Met *met, const Expr *e)
{
	int number = 0;
	while (number < met->part.n && met->part.at[number] != e) number++;
	put(t, number);
	if (number < met->part.n) return true;
	vec_push(t->arena, met->part, e);
	return false;
}

static void put_expr(Text *t, Met *met, const Expr *e)
{
	int64_t bits;
	if ((e->arg[0] || e->kind == E_HASH) && put_part(t, met, e)) return;
	memcpy(&bits, &e->number, sizeof bits);
	put(t, e->kind);
	put(t, e->id);
	put(t, bits);
	put(t, e->fn);
	put(t, (int64_t)e->key);
	if (e->table) put_table(t, met->nest, e->table, sizeof *e->table, &e->index[0], e->cols);
	put(t, e->index != NULL);
	for (int i = 0; i < 2 && e->index; i++) put_affine(t, &e->index[i]);
	for (int i = 0; i < 3; i++) {
		put(t, e->arg[i] != NULL);
		if (e->arg[i]) put_expr(t, met, e->arg[i]);
	}
}

static void put_buffer(Text *t, const Buffer *b)
{
	put(t, b->type);
	put(t, b->place);
	put(t, b->fixed);
	put(t, b->rank);
	for (int d = 0; d < b->rank; d++) put(t, b->shape[d]), put(t, b->room[d]);
	put(t, b->size);
	put(t, b->ncomp);
	for (int i = 0; i < b->ncomp; i++) {
		put(t, b->comp[i].dim);
		put(t, b->comp[i].div);
		put(t, b->comp[i].mod);
		put(t, b->comp[i].extent);
		put(t, b->comp[i].stride);
	}
}

static void put_access(Text *t, const Access *x, const Buffer *const *buffer, int n)
{
	int number = 0;
	while (number < n && buffer[number] != x->buffer) number++;
	put(t, number);
	put_word(t, x->as);
	put(t, x->prefetch);
	put(t, x->far);
	put(t, x->seen);
	put(t, x->early);
	for (int i = 0; i < x->buffer->rank; i++) {
		put(t, x->at[i].q);
		put_affine(t, &x->at[i].a);
	}
}

static int distinct_buffers(const Nest *n, const Buffer **buffer)
{
	int count = 0;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = nest_access(n, k);
		int b = 0;
		while (b < count && buffer[b] != x->buffer) b++;
		if (b == count) buffer[count++] = x->buffer;
	}
	return count;
}

void nest_form(const Nest *n, Text *t)
{
	const Buffer *buffer[NEST_LOADS + NEST_STORES];
	int count = distinct_buffers(n, buffer);
	Met met = {.nest = n};
	put_word(t, n->name);
	put(t, n->join);
	put(t, n->ndim);
	for (int d = 0; d < n->ndim; d++) {
		put_word(t, n->dim[d].name);
		put(t, n->dim[d].extent);
		put(t, n->dim[d].reduce);
	}
	put(t, count);
	for (int b = 0; b < count; b++) put_buffer(t, buffer[b]);
	put(t, n->nload);
	for (int l = 0; l < n->nload; l++) put_access(t, &n->load[l], buffer, count);
	put(t, n->nguard);
	for (int g = 0; g < n->nguard; g++) {
		const Guard *guard = &n->guard[g];
		put(t, guard->kind);
		for (int i = 0; i < 2; i++) put(t, guard->e[i].q), put_affine(t, &guard->e[i].a);
		put(t, guard->lo);
		put(t, guard->hi);
		put(t, guard->q);
		if (guard->table)
			put_table(t, n, guard->table, sizeof *guard->table, &guard->e[0].a, guard->cols);
	}
	put(t, n->nacc);
	for (int k = 0; k < n->nacc; k++) {
		int64_t bits;
		memcpy(&bits, &n->acc[k].init, sizeof bits);
		put(t, bits);
		put(t, n->acc[k].combine);
		put_expr(t, &met, n->acc[k].update);
	}
	put(t, n->nstore);
	for (int k = 0; k < n->nstore; k++) {
		put_access(t, &n->store[k].to, buffer, count);
		put_expr(t, &met, n->store[k].value);
	}
	put(t, n->ordered + 2 * n->inplace);
}
