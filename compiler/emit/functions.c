/* functions: the functions of a text, target by target, each text once.
 *
 * Scalar text comes out alike for several targets, and narrow vectors do. It is printed for the
 * plainest of them, when its results are the same bits there: where a product may go into a sum, a
 * machine that fuses the two rounds once, and one that does not rounds twice. */
#include "internal.h"

void functions_open(Functions *f, Arena *a, const Target *t)
{
	*f = (Functions){.arena = a, .target = t, .suffix = ""};
	map_init(&f->by_text, a);
	map_init(&f->literal, a);
	text_init(&f->body, a);
	text_init(&f->text, a);
}

static CFunction *find_in(const Functions *f, uint64_t hash, const char *text)
{
	CFunction *x = map_get(&f->by_text, &hash, sizeof hash);
	return x && !strcmp(x->text, text) ? x : NULL;
}

/* Text of u may run where t's kernels do, and gives the same numbers. */
static bool serves(const Target *u, const Target *t, bool fuses)
{
	if (u->guard && (!t->guard || strcmp(u->guard, t->guard) != 0)) return false;
	return !fuses || u->fuses == t->fuses;
}

CFunction *function_find(Functions *f, const char *text, uint64_t hash, bool fuses)
{
	for (Functions *g = f; g; g = g->plainer) {
		if (!serves(g->target, f->target, fuses)) continue;
		CFunction *x = find_in(g, hash, text);
		if (!x) continue;
		x->users |= UINT32_C(1) << f->number;
		return x;
	}
	return NULL;
}

CFunction *function_add(Functions *f, const char *name, const char *text, uint64_t hash)
{
	CFunction *x = NEW(f->arena, CFunction);
	*x = (CFunction){.name = name, .text = text, .users = UINT32_C(1) << f->number};
	if (!map_get(&f->by_text, &hash, sizeof hash)) map_put(&f->by_text, &hash, sizeof hash, x);
	vec_push(f->arena, f->at, x);
	return x;
}

void function_print(Functions *f, const CFunction *x, Text *out)
{
	Text *head = &f->text;
	head->len = 0;
	text_add(head, x->is_tile ? "static CNNC_TILE " : "static CNNC_UNUSED ");
	target_attribute(f->target, head);
	text_printf(head, "void %s", x->name);
	if (x->is_tile) {
		size_t parameters = strcspn(x->text, "\n") + 1;
		text_addn(head, x->text, parameters);
		text_wrapped(out, head->data);
		text_wrapped(out, x->text + parameters);
		text_add(out, "\n");
	} else { /* the long name stays on one line with what follows */
		text_add(out, head->data);
		text_add(out, x->text);
		text_add(out, "\n");
	}
}

/* --- products in sums ---------------------------------------------------------------------- */

static bool has_product(const Expr *e)
{
	if (e->kind == E_MUL || e->kind == E_CALL) return true;
	for (int i = 0; i < 3; i++)
		if (e->arg[i] && has_product(e->arg[i])) return true;
	return false;
}

/* A sum over a product, however far below; functions of the prelude have both. */
static bool fuses(const Expr *e)
{
	if (e->kind == E_CALL) return true;
	if ((e->kind == E_ADD || e->kind == E_SUB) && has_product(e)) return true;
	for (int i = 0; i < 3; i++)
		if (e->arg[i] && fuses(e->arg[i])) return true;
	return false;
}

/* What an accumulator holds may be a product or take part in a sum: with accumulators, either of
 * the two is enough. */
bool nest_fuses(const Nest *n)
{
	for (int k = 0; k < n->nacc; k++)
		if (fuses(n->acc[k].update) || has_product(n->acc[k].update)) return true;
	for (int k = 0; k < n->nstore; k++)
		if (fuses(n->store[k].value) || (n->nacc && has_product(n->store[k].value))) return true;
	return false;
}
