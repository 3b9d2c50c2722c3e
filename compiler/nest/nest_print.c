/* nest_print: nests for people, --dump=nests.
 *
 *   conv "conv1"
 *     n 1, oc 6, oh 28, ow 28 | ic 1, kh 5, kw 5
 *     where 0 <= oh+kh-2 < 32
 *     a0: sum from 0 of a0 + w[oc,ic,kh,kw]*x[n,ic,oh+kh-2,ow+kw-2]
 *     y[n,oc,oh,ow] = max(a0 + b[oc], 0)                                                        */
#include "internal.h"

/* A quotient of several terms needs parentheses: (ih-kh+1)/2. */
static void print_index(const Index *i, const char *const *name, Text *out)
{
	if (i->q > 1 && i->a.n + (i->a.c != 0) > 1) text_add(out, "(");
	affine_print(&i->a, name, out);
	if (i->q > 1 && i->a.n + (i->a.c != 0) > 1) text_add(out, ")");
	if (i->q > 1) text_printf(out, "/%lld", (long long)i->q);
}

void access_print(const Access *x, const char *const *name_of_dim, Text *out)
{
	text_printf(out, "%s[", x->as ? x->as : x->buffer->name);
	for (int i = 0; i < x->buffer->rank; i++) {
		if (i) text_add(out, ",");
		print_index(&x->at[i], name_of_dim, out);
	}
	text_add(out, "]");
}

static void print_dims(const Nest *n, bool reduce, Text *out)
{
	const char *comma = "";
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce != reduce) continue;
		text_printf(out, "%s%s %lld", comma, n->dim[d].name, (long long)n->dim[d].extent);
		comma = ", ";
	}
}

static void print_guard(const Guard *g, const char *const *name, Text *out)
{
	text_add(out, "\n  where ");
	switch (g->kind) {
	case GUARD_RANGE:
		text_printf(out, "%lld <= ", (long long)g->lo);
		print_index(&g->e[0], name, out);
		text_printf(out, " < %lld", (long long)g->hi);
		return;
	case GUARD_DIVIDES:
		text_printf(out, "%lld divides ", (long long)g->q);
		affine_print(&g->e[0].a, name, out);
		return;
	case GUARD_MASK:
		text_add(out, "mask[");
		affine_print(&g->e[0].a, name, out);
		text_add(out, ",");
		affine_print(&g->e[1].a, name, out);
		text_add(out, "]");
		return;
	}
}

void nest_print(const Nest *n, Text *out)
{
	static const char *const combine[] = {"sum", "max", "in order"};
	const char *name[NEST_DIMS] = {0};
	for (int d = 0; d < n->ndim; d++) name[d] = n->dim[d].name;
	text_add(out, n->name);
	if (n->layer) text_printf(out, " \"%s\"", n->layer);
	if (n->ordered) text_add(out, " ordered");
	if (n->inplace) text_add(out, " in place");
	text_add(out, "\n  ");
	print_dims(n, false, out);
	text_add(out, " | ");
	print_dims(n, true, out);
	for (int g = 0; g < n->nguard; g++) print_guard(&n->guard[g], name, out);
	for (int k = 0; k < n->nacc; k++) {
		const Acc *acc = &n->acc[k];
		text_printf(out, "\n  a%d: %s from %g of ", k, combine[acc->combine], acc->init);
		expr_print_in(acc->update, n, name, out);
	}
	for (int k = 0; k < n->nstore; k++) {
		text_add(out, "\n  ");
		access_print(&n->store[k].to, name, out);
		text_add(out, " = ");
		expr_print_in(n->store[k].value, n, name, out);
	}
	text_add(out, "\n");
}
