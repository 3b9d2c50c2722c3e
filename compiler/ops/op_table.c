/* op_table: the list of operators, made from ops.def, and what every descriptor needs: attributes
 * by name, and infer's way to report a mistake or to set a result. */
#include "../op.h"

static const int64_t ELEMENT_LIMIT = INT64_C(1)
                                     << 40; /* of one value: index arithmetic stays far from 2^63 */

#define OP(upper, lower) &op_##lower,
const OpDesc *const op_table[] = {
#include "../ops.def"
};
#undef OP
const int op_count = COUNT(op_table);

const OpDesc *op_find(const char *name)
{
	for (int i = 0; name && i < op_count; i++)
		if (!strcmp(op_table[i]->name, name)) return op_table[i];
	return NULL;
}

const OpDesc *op_signed(const char *sign)
{
	for (int i = 0; i < op_count; i++)
		if (op_table[i]->sign && !strcmp(op_table[i]->sign, sign)) return op_table[i];
	return NULL;
}

/* --- attributes ---------------------------------------------------------------------------- */

static int find_attr(const OpDesc *op, const char *name)
{
	for (int i = 0; op->attr && op->attr[i].name; i++)
		if (!strcmp(op->attr[i].name, name)) return i;
	return -1;
}

bool attr_exists(const OpDesc *op, const char *name) { return find_attr(op, name) >= 0; }

int attr_index(const OpDesc *op, const char *name)
{
	int i = find_attr(op, name);
	if (i < 0) bug("%s has no attribute %s", op->name, name);
	return i;
}

int op_argument(const OpDesc *op, int k)
{
	for (int i = 0; op->attr && op->attr[i].name; i++)
		if (op->attr[i].argument && !op->attr[i].optional && k-- == 0) return i;
	return -1;
}

int op_arguments(const OpDesc *op)
{
	int n = 0;
	while (op_argument(op, n) >= 0) n++;
	return n;
}

/* The place of an attribute of this type in a table parallel to op->attr. */
static AttrValue *attr_at(const OpDesc *op, AttrValue *table, const char *name, AttrType type)
{
	int i = attr_index(op, name);
	if (op->attr[i].type != type) bug("%s: attribute %s is of another type", op->name, name);
	return &table[i];
}

int64_t attr_int(const Node *n, const char *name)
{
	return attr_at(n->op, n->attr, name, ATTR_INT)->i;
}

double attr_real(const Node *n, const char *name)
{
	return attr_at(n->op, n->attr, name, ATTR_REAL)->r;
}

bool attr_bool(const Node *n, const char *name)
{
	return attr_at(n->op, n->attr, name, ATTR_BOOL)->b;
}

const int64_t *attr_pair(const Node *n, const char *name)
{
	return attr_at(n->op, n->attr, name, ATTR_PAIR)->pair;
}

const Pads *attr_pads(const Node *n, const char *name)
{
	return &attr_at(n->op, n->attr, name, ATTR_PADS)->pads;
}

const char *attr_name(const Node *n, const char *name)
{
	return attr_at(n->op, n->attr, name, ATTR_NAME)->s;
}

const LinkTable *attr_links(const Node *n, const char *name)
{
	return attr_at(n->op, n->attr, name, ATTR_LINKS)->links;
}

static size_t word_length(const char *s) { return strcspn(s, " "); }

static AttrValue default_value(Arena *a, const Attr *attr)
{
	AttrValue v = {0};
	switch (attr->type) {
	case ATTR_INT: v.i = (int64_t)attr->value; break;
	case ATTR_REAL: v.r = attr->value; break;
	case ATTR_BOOL: v.b = attr->value != 0; break;
	case ATTR_PAIR: v.pair[0] = v.pair[1] = (int64_t)attr->value; break;
	case ATTR_PADS:
		for (int s = 0; s < 2; s++) v.pads.before[s] = v.pads.after[s] = (int64_t)attr->value;
		break;
	case ATTR_AXES: v.axes = attr->value != 0 ? (uint32_t)attr->value : ~UINT32_C(1); break;
	case ATTR_NAME:
		v.s = arena_printf(a, "%.*s", (int)word_length(attr->choices), attr->choices);
		break;
	case ATTR_LINKS:
	case ATTR_MAP: break;
	}
	return v;
}

AttrValue *graph_attrs(Arena *a, const OpDesc *op)
{
	int n = 0;
	while (op->attr && op->attr[n].name) n++;
	AttrValue *table = NEWS(a, AttrValue, MAX(n, 1));
	for (int i = 0; i < n; i++) table[i] = default_value(a, &op->attr[i]);
	return table;
}

AttrValue *attrs_like(Arena *a, const OpDesc *op, const Node *n)
{
	AttrValue *table = graph_attrs(a, op);
	for (int i = 0; op->attr && op->attr[i].name; i++) {
		int from = find_attr(n->op, op->attr[i].name);
		if (from >= 0 && n->op->attr[from].type == op->attr[i].type) table[i] = n->attr[from];
	}
	return table;
}

void attr_set_int(const OpDesc *op, AttrValue *attr, const char *name, int64_t i)
{
	attr_at(op, attr, name, ATTR_INT)->i = i;
}

void attr_set_bool(const OpDesc *op, AttrValue *attr, const char *name, bool b)
{
	attr_at(op, attr, name, ATTR_BOOL)->b = b;
}

void attr_set_pair(const OpDesc *op, AttrValue *attr, const char *name, int64_t h, int64_t w)
{
	AttrValue *v = attr_at(op, attr, name, ATTR_PAIR);
	v->pair[0] = h;
	v->pair[1] = w;
}

void attr_set_pads(const OpDesc *op, AttrValue *attr, const char *name, int64_t h, int64_t w)
{
	Pads *pads = &attr_at(op, attr, name, ATTR_PADS)->pads;
	pads->before[0] = pads->after[0] = h;
	pads->before[1] = pads->after[1] = w;
}

/* --- infer --------------------------------------------------------------------------------- */

bool infer_error(Graph *g, Node *n, const char *format, ...)
{
	bool silent = n->poisoned;
	for (int i = 0; i < n->nin; i++) silent = silent || (n->in[i] && n->in[i]->node->poisoned);
	n->poisoned = true;
	if (silent) return false;
	Text t;
	va_list args;
	va_start(args, format);
	text_init(&t, g->arena);
	text_vprintf(&t, format, args);
	va_end(args);
	diag_error(g->diag, n->where, "%s: %s", n->layer ? n->layer : n->op->name, t.data);
	return false;
}

bool infer_size(Graph *g, Node *n, const char *what, Shape shape)
{
	int64_t count = 1;
	for (int d = 0; d < shape.rank; d++) {
		if (shape.dim[d] < 1)
			return infer_error(
			    g, n, "%s would be %s, no size may be below 1", what, shape_text(g->arena, shape));
		if (!mul_fits(count, shape.dim[d], &count) || count > ELEMENT_LIMIT)
			return infer_error(
			    g, n, "%s would be %s, too many elements", what, shape_text(g->arena, shape));
	}
	return true;
}

bool infer_out(Graph *g, Node *n, int k, Shape shape, Type type)
{
	if (k < 0 || k >= MAX_OUT) bug("%s: result %d", n->op->name, k);
	if (!infer_size(g, n, "the result", shape)) return false;
	Value *v =
	    NEW(g->arena, Value); /* always a new one: the verifier infers again on a copy of n */
	v->node = n;
	v->index = k;
	v->shape = shape;
	v->type = type;
	n->out[k] = v;
	n->nout = MAX(n->nout, k + 1);
	return true;
}

static bool in_range(const Attr *a, double x)
{
	return a->min > a->max || x == a->value || (x >= a->min && x <= a->max);
}

static bool is_choice(const char *choices, const char *word)
{
	for (const char *c = choices; word && *c; c += word_length(c), c += *c == ' ')
		if (word_length(c) == strlen(word) && !strncmp(c, word, strlen(word))) return true;
	return false;
}

static bool attr_valid(Graph *g, Node *n, const Attr *a, const AttrValue *v)
{
	double x[4];
	int count = 0;
	if (a->type == ATTR_INT) x[count++] = (double)v->i;
	if (a->type == ATTR_REAL) x[count++] = v->r;
	if (a->type == ATTR_PAIR)
		for (; count < 2; count++) x[count] = (double)v->pair[count];
	if (a->type == ATTR_PADS)
		for (; count < 4; count++)
			x[count] = (double)(count < 2 ? v->pads.before : v->pads.after)[count % 2];
	for (int k = 0; k < count; k++) {
		if (a->required && a->min <= a->max && x[k] == a->value && x[k] < a->min)
			return infer_error(g, n, "%s is missing", a->name);
		if (!in_range(a, x[k]))
			return infer_error(
			    g, n, "%s is %.15g, must be %.15g to %.15g", a->name, x[k], a->min, a->max);
	}
	if (a->type == ATTR_NAME && !is_choice(a->choices, v->s))
		return infer_error(
		    g, n, "%s is '%s', must be one of: %s", a->name, v->s ? v->s : "", a->choices);
	return true;
}

static const char *const type_words[] = {
    [TYPE_REAL] = "numbers", [TYPE_LABEL] = "labels", [TYPE_SEED] = "a seed"};

/* What the descriptor calls operand i says what it holds: `label`, `seed`, else numbers. */
static Type wanted_type(const OpDesc *op, int i)
{
	const char *word = op->operands ? op->operands : "";
	for (; i > 0 && *word; i--) {
		word += word_length(word);
		word += *word == ' ';
	}
	if (word_length(word) == 5 && !strncmp(word, "label", 5)) return TYPE_LABEL;
	return word_length(word) == 4 && !strncmp(word, "seed", 4) ? TYPE_SEED : TYPE_REAL;
}

bool infer_begin(Graph *g, Node *n)
{
	for (int i = 0; i < n->nin; i++) {
		if (!n->in[i]) bug("%s: operand %d is nothing", n->op->name, i);
		Type want = wanted_type(n->op, i);
		if (n->in[i]->type == want) continue;
		return infer_error(g, n, "operand %d holds %s, not %s", i + 1, type_words[n->in[i]->type],
		    type_words[want]);
	}
	for (int i = 0; n->op->attr && n->op->attr[i].name; i++)
		if (!attr_valid(g, n, &n->op->attr[i], &n->attr[i])) return false;
	return true;
}
