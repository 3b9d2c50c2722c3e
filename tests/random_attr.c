/* random_attr: values for attributes, from what their descriptors say of type and range, and from
 * samples; and how Lua says them. */
#include <math.h>
#include <stdlib.h>

#include "random_private.h"

static double clamp(const Attr *at, double x)
{
	return at->min > at->max ? x : fmin(fmax(x, at->min), at->max);
}

/* Small, a usual number of channels, or one that has to do with the operand's. */
static int64_t random_int(Maker *m, const Attr *at, const Value *x)
{
	static const int channels[] = {1, 2, 3, 5, 8, 12, 16, 17, 20, 24, 32, 33, 48};
	int64_t of = x->shape.rank > 1 ? x->shape.dim[1] : 1, n = pick(m, 0, 4);
	if (chance(m, 40)) n = channels[pick(m, 0, COUNT(channels) - 1)];
	if (chance(m, 25)) n = pick(m, 1, of);
	if (chance(m, 25)) /* a divisor */
		for (n = pick(m, 1, MIN(of, 8)); of % n;) n--;
	return (int64_t)clamp(at, (double)n);
}

static void random_pair(Maker *m, const Attr *at, const Value *x, int64_t *pair)
{
	int most = chance(m, 25) ? 6 : 3;
	pair[0] = pick(m, 0, most);
	pair[1] = chance(m, 60) ? pair[0] : pick(m, 0, most);
	for (int s = 0; s < 2 && x->shape.rank == 4; s++)
		if (chance(m, 8)) pair[s] = x->shape.dim[2 + s];
	for (int s = 0; s < 2; s++) pair[s] = (int64_t)clamp(at, (double)pair[s]);
}

/* Few zeros, of one number, of one for each side, or of one for each end; or a mode. */
static Pads random_pads(Maker *m, const Attr *at)
{
	Pads p = {.mode = chance(m, 12) ? PAD_SAME : chance(m, 8) ? PAD_FULL : PAD_GIVEN};
	int64_t all = pick(m, 0, 3);
	bool sides = chance(m, 50), ends = chance(m, 30);
	for (int s = 0; s < 2 && p.mode == PAD_GIVEN; s++) {
		p.before[s] = (int64_t)clamp(at, (double)(s && sides ? pick(m, 0, 3) : all));
		p.after[s] = ends ? (int64_t)clamp(at, (double)pick(m, 0, 3)) : p.before[s];
	}
	return p;
}

static double random_real(Maker *m, const Attr *at)
{
	static const double some[] = {0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, -0.5, -1};
	static const double whole[] = {1, 2, 3, -1, 0};
	double x = m->whole ? whole[pick(m, 0, COUNT(whole) - 1)] : some[pick(m, 0, COUNT(some) - 1)];
	return clamp(at, x);
}

static const char *random_name(Maker *m, const Attr *at)
{
	int words = 1;
	for (const char *c = at->choices; *c; c++) words += *c == ' ';
	const char *word = at->choices;
	for (int64_t k = pick(m, 0, words - 1); k > 0; k--) word = strchr(word, ' ') + 1;
	return arena_printf(m->arena, "%.*s", (int)strcspn(word, " "), word);
}

static LinkTable *random_links(Maker *m, const Value *x, int64_t rows)
{
	LinkTable *t = NEW(m->arena, LinkTable);
	*t = (LinkTable){.rows = (int)rows, .cols = (int)x->shape.dim[1]};
	t->at = NEWS(m->arena, uint8_t, t->rows * t->cols);
	for (int r = 0; r < t->rows; r++) {
		t->at[r * t->cols + pick(m, 0, t->cols - 1)] = 1;
		for (int c = 0; c < t->cols; c++) t->at[r * t->cols + c] |= (uint8_t)chance(m, 40);
	}
	for (int i = 0; i < t->rows * t->cols; i++) t->links += t->at[i];
	return t;
}

/* false: this is not for chance, or not for this operand. `first`: the first attribute. */
static bool random_value(
    Maker *m, const Attr *at, const Value *x, const AttrValue *first, AttrValue *to)
{
	switch (at->type) {
	case ATTR_INT: to->i = random_int(m, at, x); return true;
	case ATTR_REAL: to->r = random_real(m, at); return true;
	case ATTR_BOOL: to->b = chance(m, 50); return true;
	case ATTR_PAIR: random_pair(m, at, x, to->pair); return true;
	case ATTR_PADS: to->pads = random_pads(m, at); return true;
	case ATTR_NAME: to->s = random_name(m, at); return true;
	case ATTR_AXES:
		to->axes = (uint32_t)pick(m, 1, (1 << MAX(x->shape.rank, 1)) - 1);
		if (chance(m, 80)) to->axes &= ~UINT32_C(1);
		return to->axes != 0;
	case ATTR_LINKS: /* as many rows as the first attribute says */
		if (x->shape.rank < 2 || x->shape.dim[1] > 20 || first->i < 1 || first->i > 20)
			return false;
		to->links = random_links(m, x, first->i);
		return chance(m, 60);
	default: return false;
	}
}

static bool same_pads(const Pads *x, const Pads *y)
{
	bool same = x->mode == y->mode;
	for (int s = 0; s < 2; s++)
		same = same && x->before[s] == y->before[s] && x->after[s] == y->after[s];
	return same;
}

/* Whether two values of an attribute are the same, of types that samples give. */
static bool same_value(const Attr *at, const AttrValue *x, const AttrValue *y)
{
	switch (at->type) {
	case ATTR_INT: return x->i == y->i;
	case ATTR_REAL: return x->r == y->r;
	case ATTR_BOOL: return x->b == y->b;
	case ATTR_PAIR: return x->pair[0] == y->pair[0] && x->pair[1] == y->pair[1];
	case ATTR_PADS: return same_pads(&x->pads, &y->pads);
	case ATTR_NAME: return x->s == y->s || (x->s && y->s && !strcmp(x->s, y->s));
	case ATTR_AXES: return x->axes == y->axes;
	default: return x->links == y->links;
	}
}

Call random_call(Maker *m, const OpDesc *op, const Sample *sample, const Value *x, int like)
{
	Call c = {op, graph_attrs(m->arena, op), NULL, x->shape.rank == 3};
	int n = 0;
	while (op->attr && op->attr[n].name) n++;
	c.given = NEWS(m->arena, bool, n + 1);
	for (int k = 0; k < n; k++) {
		const Attr *at = &op->attr[k];
		if (at->type == ATTR_MAP) continue;
		bool differs = !same_value(at, &sample->attr[k], &c.attr[k]);
		if (chance(m, like) || (chance(m, 25) && differs)) {
			c.given[k] = at->required || differs;
			c.attr[k] = sample->attr[k];
		} else if (at->required || chance(m, like ? 10 : 35)) {
			AttrValue v = c.attr[k];
			c.given[k] = random_value(m, at, x, &c.attr[0], &v);
			if (c.given[k]) c.attr[k] = v;
		}
	}
	return c;
}

/* --- text --------------------------------------------------------------------------------- */

static void axes_text(Maker *m, uint32_t axes, bool line, Text *out)
{
	static const char *const names[] = {"'batch'", "'channels'", "'height'", "'width'"};
	const char *between = "{";
	for (int d = 0; d < MAX_RANK; d++) {
		if (!(axes >> d & 1)) continue;
		text_add(out, between);
		if (chance(m, 50))
			text_add(out, names[line && d == 2 ? 3 : d]);
		else
			text_printf(out, "%d", d);
		between = ", ";
	}
	text_add(out, "}");
}

static void links_text(const LinkTable *t, Text *out)
{
	text_add(out, "{");
	for (int r = 0; r < t->rows; r++) {
		const char *between = "";
		text_add(out, r ? ", {" : "{");
		for (int c = 0; c < t->cols; c++) {
			if (!t->at[r * t->cols + c]) continue;
			text_printf(out, "%s%d", between, c);
			between = ", ";
		}
		text_add(out, "}");
	}
	text_add(out, "}");
}

static void pads_text(const Pads *p, Text *out)
{
	static const char *const modes[] = {NULL, "'same'", "'full'"};
	if (p->mode != PAD_GIVEN) {
		text_add(out, modes[p->mode]);
		return;
	}
	bool plain =
	    p->before[0] == p->before[1] && p->after[0] == p->after[1] && p->before[0] == p->after[0];
	for (int s = 0; s < (plain ? 1 : 2); s++) {
		text_add(out, plain ? "" : s ? ", " : "{");
		if (p->before[s] == p->after[s])
			text_printf(out, "%lld", (long long)p->before[s]);
		else
			text_printf(out, "{%lld, %lld}", (long long)p->before[s], (long long)p->after[s]);
	}
	if (!plain) text_add(out, "}");
}

static void value_in_lua(Maker *m, const Call *c, int k, Text *out)
{
	const Attr *at = &c->op->attr[k];
	const AttrValue *v = &c->attr[k];
	switch (at->type) {
	case ATTR_INT: text_printf(out, "%lld", (long long)v->i); break;
	case ATTR_REAL: text_printf(out, "%.15g", v->r); break;
	case ATTR_BOOL: text_add(out, v->b ? "true" : "false"); break;
	case ATTR_NAME: text_printf(out, "'%s'", v->s); break;
	case ATTR_AXES: axes_text(m, v->axes, c->line, out); break;
	case ATTR_LINKS: links_text(v->links, out); break;
	case ATTR_PADS: pads_text(&v->pads, out); break;
	case ATTR_PAIR:
		if (v->pair[0] == v->pair[1])
			text_printf(out, "%lld", (long long)v->pair[0]);
		else
			text_printf(out, "{%lld, %lld}", (long long)v->pair[0], (long long)v->pair[1]);
		break;
	default: bug("attribute %s has no text", at->name);
	}
}

/* The attribute of that position, when it can be said as an argument; -1: it cannot. A table as the
 * last argument holds options. */
static int plain_argument(const Call *c, int position)
{
	for (int k = 0; c->op->attr[k].name; k++) {
		const Attr *at = &c->op->attr[k];
		bool table = at->type == ATTR_AXES || at->type == ATTR_LINKS || at->type == ATTR_PADS ||
		             (at->type == ATTR_PAIR && c->attr[k].pair[0] != c->attr[k].pair[1]);
		if (at->position == position && c->given[k] && !table) return k;
	}
	return -1;
}

void call_text(Maker *m, const Call *c, bool first, Text *out)
{
	const Attr *attr = c->op->attr;
	const char *between = first ? "" : ", ";
	bool plain = !(c->op->flags & OP_OPTIMIZER) && chance(m, 70), open = false;
	int said = 0;
	if (!attr) return;
	for (int k; plain && (k = plain_argument(c, said + 1)) >= 0; said++) {
		text_add(out, between);
		value_in_lua(m, c, k, out);
		between = ", ";
	}
	for (int k = 0; attr[k].name; k++) {
		if (!c->given[k] || (attr[k].position && attr[k].position <= said)) continue;
		text_add(out, between);
		if (!open) text_add(out, "{");
		if (attr[k].position == 1 && chance(m, 50))
			text_add(out, "[1] = ");
		else
			text_printf(out, "%s = ", attr[k].name);
		value_in_lua(m, c, k, out);
		between = ", ";
		open = true;
	}
	if (open) text_add(out, "}");
}
