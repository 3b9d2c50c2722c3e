/* value: expressions as text.
 *
 * Two steps: declare_value() gives names to what an expression reads, once for each address and
 * lane step within a copy, and to parts that are used more than once; print_value() writes the
 * expression over these names. Lanes enter with loads and accumulators: a value that no lane
 * changes stays a scalar, and the compiler broadcasts it where it meets a vector.
 *
 * A comparison is an int in scalar text and a mask of integer lanes among vectors; C has no `?:` on
 * vectors that gcc 12 and clang 14 would both take. */
#include "internal.h"

void point_begin(Point *p, Scope *s, const Affine *sub, int lane_var)
{
	p->s = s;
	p->sub = sub;
	p->lane_var = lane_var;
	p->part.n = 0;
	p->uniforms = p->loads ? s->k->uniform.n : p->uniforms;
	for (int l = 0; l < NEST_LOADS; l++) p->load[l] = -1;
}

static Affine index_at(const Point *p, const Affine *index) { return affine_subst(index, p->sub); }

/* Elements from lane to lane. */
static int64_t index_lane(const Point *p, const Affine *at)
{
	return p->lane_var < 0 ? 0 : affine_k(at, p->lane_var);
}

static const struct Named *named_part(const Point *p, const Expr *e)
{
	for (int i = 0; i < p->part.n; i++)
		if (p->part.at[i].e == e) return &p->part.at[i];
	return NULL;
}

static int find_uniform(const Point *p, const Expr *e)
{
	for (int i = 0; i < p->uniforms; i++)
		if (p->s->k->uniform.at[i] == e) return i;
	return -1;
}

static bool is_shared(const Kernel *k, const Expr *e)
{
	for (int i = 0; i < k->shared.n; i++)
		if (k->shared.at[i] == e) return true;
	return false;
}

/* --- form ---------------------------------------------------------------------------------- */

static bool is_truth(const Expr *e) { return e->kind >= E_GT && e->kind <= E_AND; }

static bool has_lanes(const Point *p, const Expr *e)
{
	const struct Named *part = named_part(p, e);
	if (part) return part->form == VECTOR || part->form == MASK;
	if (find_uniform(p, e) >= 0) return false;
	Affine at;
	switch (e->kind) {
	case E_ACC: return p->vector_acc;
	case E_LOAD: return p->loads && p->loads->at[p->load[e->id]].form == VECTOR;
	case E_INDEX:
	case E_HASH: at = index_at(p, &e->index[0]); return index_lane(p, &at) != 0;
	case E_NUM:
	case E_TABLE: return false;
	default: break;
	}
	for (int i = 0; i < 3; i++)
		if (e->arg[i] && has_lanes(p, e->arg[i])) return true;
	return false;
}

Form value_form(const Point *p, const Expr *e)
{
	bool lanes = has_lanes(p, e);
	if (is_truth(e)) return lanes ? MASK : TRUTH;
	return lanes ? VECTOR : SCALAR;
}

/* --- loads --------------------------------------------------------------------------------- */

static void print_label(Point *p, const Address *a, int64_t more)
{
	Kernel *k = p->s->k;
	if (k->buffer[a->key.buffer]->type == TYPE_LABEL) text_printf(p->s->out, "(%s)", k->real);
	print_address(p->s, a, more);
}

static void print_load(Point *p, const Loaded *l)
{
	Scope *s = p->s;
	const Kernel *k = s->k;
	bool real = k->buffer[l->address.key.buffer]->type == TYPE_REAL;
	print_indent(s);
	if (l->form == SCALAR) {
		text_printf(s->out, "const %s %s = ", k->real, l->name);
		print_label(p, &l->address, 0);
	} else if (l->address.lane == 1 && real) {
		text_printf(s->out, "const %s %s = *(const %s%s *)&", k->vector, l->name, k->vector,
		    l->address.aligned ? "" : "u");
		print_address(s, &l->address, 0);
	} else {
		text_printf(s->out, "const %s %s = {", k->vector, l->name);
		for (int i = 0; i < k->lanes; i++) {
			if (i) text_add(s->out, ", ");
			print_label(p, &l->address, i * l->address.lane);
		}
		text_add(s->out, "}");
	}
	text_add(s->out, ";\n");
}

static void declare_load(Point *p, int id)
{
	Kernel *k = p->s->k;
	const Access *x = &k->nest->load[id];
	if (p->load[id] >= 0) return;
	Loaded l = {.address = address_of(p->s, x, p->sub, p->lane_var)};
	for (int i = 0; i < p->loads->n; i++)
		if (address_same(&p->loads->at[i].address, &l.address)) p->load[id] = i;
	if (p->load[id] >= 0) return;
	int buffer = l.address.key.buffer;
	l.form = l.address.lane ? VECTOR : SCALAR;
	snprintf(l.name, sizeof l.name, "%s%d", k->array[buffer], p->counter[buffer]++);
	ask_at_load(p, x, &l.address);
	print_load(p, &l);
	p->load[id] = p->loads->n;
	vec_push(k->arena, *p->loads, l);
}

static void declare_part(Point *p, const Expr *e)
{
	static const char *const prefix[] = {
	    [SCALAR] = "f", [VECTOR] = "f", [TRUTH] = "i", [MASK] = "i"};
	Kernel *k = p->s->k;
	struct Named part = {.e = e, .form = value_form(p, e)};
	snprintf(part.name, sizeof part.name, "e%d", p->counter[KERNEL_BUFFERS]++);
	print_indent(p->s);
	if (part.form == TRUTH)
		text_add(p->s->out, "const int ");
	else if (part.form == SCALAR)
		text_printf(p->s->out, "const %s ", k->real);
	else
		text_printf(p->s->out, "const %s%s ", prefix[part.form], k->vector + 1);
	text_printf(p->s->out, "%s = ", part.name);
	print_value(p, e, part.form, BIND_NONE);
	text_add(p->s->out, ";\n");
	vec_push(k->arena, p->part, part);
	k->cost->stack += k->target->vector_bytes ? k->target->vector_bytes : 8;
}

/* A number that is chosen, in a sum or product. It comes before that: gcc may make a branch of the
 * choice, and of a product before it and a sum behind it not one instruction, where elsewhere it
 * does. */
static void declare_choice(Point *p, const Expr *of, const Expr *e)
{
	bool counts = of->kind >= E_ADD && of->kind <= E_DIV;
	bool chooses = e->kind == E_SELECT || e->kind == E_MAX || e->kind == E_MIN;
	if (!counts || !chooses || named_part(p, e) || find_uniform(p, e) >= 0) return;
	if (value_form(p, e) == SCALAR) declare_part(p, e);
}

void declare_value(Point *p, const Expr *e)
{
	if (named_part(p, e) || find_uniform(p, e) >= 0) return;
	if (e->kind == E_LOAD) {
		declare_load(p, e->id);
		return;
	}
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) declare_value(p, e->arg[i]);
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) declare_choice(p, e, e->arg[i]);
	if (is_shared(p->s->k, e)) declare_part(p, e);
}

/* --- text ---------------------------------------------------------------------------------- */

typedef struct {
	const char *sign, *mask; /* between scalars and vectors; between masks */
	int binding;             /* 0: a function */
} Operator;

static const Operator operators[] = {
    [E_ADD] = {" + ", NULL, BIND_ADD},
    [E_SUB] = {" - ", NULL, BIND_ADD},
    [E_MUL] = {" * ", NULL, BIND_MUL},
    [E_DIV] = {" / ", NULL, BIND_MUL},
    [E_MAX] = {"max", NULL, 0},
    [E_MIN] = {"min", NULL, 0},
    [E_GT] = {" > ", NULL, BIND_COMPARE},
    [E_EQ] = {" == ", NULL, BIND_COMPARE},
    [E_NE] = {" != ", NULL, BIND_COMPARE},
    [E_OR] = {" || ", " | ", BIND_OR},
    [E_AND] = {" && ", " & ", BIND_AND},
    [E_SELECT] = {"select", NULL, 0},
};

static const char *const functions[] = {
    [FN_EXP] = "exp",
    [FN_LOG] = "log",
    [FN_SQRT] = "sqrt",
    [FN_TANH] = "tanh",
    [FN_ABS] = "abs",
    [FN_POW] = "pow",
};

/* The few constants of a matrix come again and again, and the shortest literal takes its time. */
static void print_number(Point *p, double x)
{
	Map *known = &p->s->k->pool->literal;
	const char *literal = map_get(known, &x, sizeof x);
	if (!literal) {
		Text t;
		text_init(&t, known->arena);
		text_number(&t, x, p->s->k->is_double);
		map_put(known, &x, sizeof x, t.data);
		literal = t.data;
	}
	text_add(p->s->out, literal);
}

static void print_one_index(Point *p, const Expr *e, const Affine *at, int64_t more)
{
	Text *out = p->s->out;
	if (e->kind == E_INDEX) {
		text_printf(out, "(%s)(", p->s->k->real);
		print_index(p->s, at, at->c + more);
		text_add(out, ")");
		return;
	}
	const Access *seed = &p->s->k->nest->load[e->id];
	int buffer = kernel_buffer(p->s->k, seed->buffer);
	p->s->arrays |= UINT32_C(1) << buffer;
	const char *array = p->s->k->array[buffer];
	text_printf(out, "hash_%s(%s, ", p->s->k->suffix, array);
	if (!seed_keyed(seed->buffer))
		text_printf(out, "UINT64_C(0x%016llx)", (unsigned long long)e->key);
	else if (e->key)
		text_printf(out, "%s[2] + %llu", array, (unsigned long long)e->key);
	else
		text_printf(out, "%s[2]", array);
	text_add(out, ", (uint64_t)(");
	print_index(p->s, at, at->c + more);
	text_add(out, "))");
}

/* E_INDEX and E_HASH. */
static void print_indexed(Point *p, const Expr *e)
{
	Kernel *k = p->s->k;
	Affine at = index_at(p, &e->index[0]), lanes_off = at;
	int64_t lane = index_lane(p, &at);
	if (!at.n && e->kind == E_INDEX) {
		print_number(p, (double)at.c);
		return;
	}
	if (lane) lanes_off = affine_fix(&at, p->lane_var, 0);
	lanes_off = over_loops(k, &lanes_off);
	if (!lane) {
		print_one_index(p, e, &lanes_off, 0);
		return;
	}
	text_printf(p->s->out, "(%s){", k->vector);
	for (int i = 0; i < k->lanes; i++) {
		if (i) text_add(p->s->out, ", ");
		print_one_index(p, e, &lanes_off, i * lane);
	}
	text_add(p->s->out, "}");
}

static void print_call(Point *p, const Expr *e, const char *name, Form form)
{
	Kernel *k = p->s->k;
	bool lanes = form == VECTOR;
	text_printf(p->s->out, "%s_%s(", name, lanes ? k->vector : k->suffix);
	for (int i = 0; i < 3 && e->arg[i]; i++) {
		bool condition = e->kind == E_SELECT && i == 0;
		if (i) text_add(p->s->out, ", ");
		print_value(p, e->arg[i], condition ? (lanes ? MASK : TRUTH) : form, BIND_NONE);
	}
	text_add(p->s->out, ")");
}

/* Lanes never choose with `?:`, not even if they all choose alike: gcc makes a branch of it, and of
 * a product before it and a sum behind it not one instruction, where elsewhere it does. */
static void print_select(Point *p, const Expr *e, Form form)
{
	if (form == VECTOR) {
		print_call(p, e, "select", form);
		return;
	}
	text_add(p->s->out, "(");
	print_value(p, e->arg[0], TRUTH, BIND_OR);
	text_add(p->s->out, " ? ");
	print_value(p, e->arg[1], form, BIND_OR);
	text_add(p->s->out, " : ");
	print_value(p, e->arg[2], form, BIND_OR);
	text_add(p->s->out, ")");
}

static void print_infix(Point *p, const Expr *e, Form form, int binding)
{
	Text *out = p->s->out;
	const Operator *o = &operators[e->kind];
	bool compares = e->kind >= E_GT && e->kind <= E_NE, masks = form == MASK;
	/* gcc wants parentheses where && stands in ||, and comparisons in bit operations */
	bool parens = o->binding < binding || (is_truth(e) && binding > BIND_NONE);
	if (masks && compares) {
		text_printf(out, "(i%s)", p->s->k->vector + 1);
		parens = true;
	}
	if (parens) text_add(out, "(");
	/* Arithmetic takes a scalar beside a vector; a comparison gets two vectors. */
	Form want = form;
	if (compares) want = masks ? VECTOR : SCALAR;
	for (int i = 0; i < 2; i++) {
		if (i) text_add(out, masks && o->mask ? o->mask : o->sign);
		bool keep = !compares && form == VECTOR && value_form(p, e->arg[i]) == SCALAR;
		print_value(p, e->arg[i], keep ? SCALAR : want, o->binding + i);
	}
	if (parens) text_add(out, ")");
}

static void print_loaded(Point *p, const Expr *e)
{
	if (p->loads) {
		text_add(p->s->out, p->loads->at[p->load[e->id]].name);
		return;
	}
	Address at = address_of(p->s, &p->s->k->nest->load[e->id], p->sub, p->lane_var);
	print_label(p, &at, 0);
}

static void print_bare(Point *p, const Expr *e, Form form, int binding)
{
	const struct Named *part = named_part(p, e);
	int uniform = find_uniform(p, e);
	if (part) {
		text_add(p->s->out, part->name);
		return;
	}
	if (uniform >= 0) {
		text_printf(p->s->out, "u%d", uniform);
		return;
	}
	Affine row, col;
	switch (e->kind) {
	case E_ACC: text_add(p->s->out, p->acc[e->id]); return;
	case E_LOAD: print_loaded(p, e); return;
	case E_NUM: print_number(p, e->number); return;
	case E_INDEX:
	case E_HASH: print_indexed(p, e); return;
	case E_TABLE:
		row = index_at(p, &e->index[0]);
		col = index_at(p, &e->index[1]);
		if (row.n || col.n) bug("nest %s: a table's entry is not constant", p->s->k->nest->name);
		print_number(p, e->table[row.c * e->cols + col.c]);
		return;
	case E_CALL: print_call(p, e, functions[e->fn], form); return;
	case E_ROUND: print_call(p, e, "rounded", form); return;
	case E_MAX:
	case E_MIN: print_call(p, e, operators[e->kind].sign, form); return;
	case E_SELECT: print_select(p, e, form); return;
	default: print_infix(p, e, form, binding); return;
	}
}

void print_value(Point *p, const Expr *e, Form want, int binding)
{
	Form form = value_form(p, e);
	const char *vector = p->s->k->vector;
	if (form == want) {
		print_bare(p, e, form, binding);
	} else if (want == VECTOR && form == SCALAR) {
		text_printf(p->s->out, "splat_%s(", vector);
		print_bare(p, e, form, BIND_NONE);
		text_add(p->s->out, ")");
	} else if (want == MASK && form == TRUTH) {
		text_printf(p->s->out, "((i%s){0} - (", vector + 1);
		print_bare(p, e, form, BIND_NONE);
		text_add(p->s->out, "))");
	} else {
		bug("nest %s: a value of form %d where %d is needed", p->s->k->nest->name, form, want);
	}
}

static const char *known_name(const Point *p, const Expr *e, Form form, bool kept)
{
	const struct Named *part = named_part(p, e);
	if (value_form(p, e) != form) return NULL;
	if (part) return part->name;
	if (e->kind == E_ACC) return kept ? NULL : p->acc[e->id];
	return e->kind == E_LOAD && p->loads ? p->loads->at[p->load[e->id]].name : NULL;
}

const char *name_value(Point *p, const Expr *e, Form form, bool kept)
{
	Scope *s = p->s;
	Kernel *k = s->k;
	const char *name = known_name(p, e, form, kept);
	if (name) return name;
	name = arena_printf(k->arena, "e%d", p->counter[KERNEL_BUFFERS]++);
	print_indent(s);
	text_printf(s->out, "const %s %s = ", form == VECTOR ? k->vector : k->real, name);
	print_value(p, e, form, BIND_NONE);
	text_add(s->out, ";\n");
	k->cost->stack += k->target->vector_bytes ? k->target->vector_bytes : 8;
	return name;
}

/* --- parts worth a name -------------------------------------------------------------------- */

typedef struct {
	Kernel *k;
	Vec(const Expr *) seen;
} Census;

static bool is_plain(const Expr *e) { return e->kind <= E_INDEX || e->kind == E_TABLE; }

static void count_uses(Census *c, const Expr *e)
{
	if (is_plain(e)) return;
	for (int i = 0; i < c->seen.n; i++) {
		if (c->seen.at[i] != e) continue;
		if (!is_shared(c->k, e)) vec_push(c->k->arena, c->k->shared, e);
		return;
	}
	vec_push(c->k->arena, c->seen, e);
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) count_uses(c, e->arg[i]);
}

/* The same at every point: reads no accumulator, no place that moves or is written, no index. */
static bool is_uniform(const Kernel *k, const Expr *e)
{
	if (e->kind == E_ACC || (e->kind == E_INDEX && e->index[0].n)) return false;
	if (e->kind == E_TABLE || e->kind == E_HASH) return false;
	if (e->kind == E_LOAD) {
		const Access *x = &k->nest->load[e->id];
		if (k->stored >> kernel_buffer(k, x->buffer) & 1) return false;
		for (int i = 0; i < x->buffer->rank; i++)
			if (x->at[i].a.n) return false;
	}
	for (int i = 0; i < 3; i++)
		if (e->arg[i] && !is_uniform(k, e->arg[i])) return false;
	return true;
}

/* The largest parts that are the same everywhere and cost something. */
static void find_uniform_parts(Kernel *k, const Expr *e)
{
	if (is_plain(e)) return;
	if (!is_truth(e) && is_uniform(k, e)) {
		bool known = false;
		for (int i = 0; i < k->uniform.n; i++) known |= k->uniform.at[i] == e;
		if (!known) vec_push(k->arena, k->uniform, e);
		return;
	}
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) find_uniform_parts(k, e->arg[i]);
}

void find_shared(Kernel *k)
{
	const Nest *n = k->nest;
	Census updates = {.k = k}, stores = {.k = k};
	for (int i = 0; i < n->nacc; i++) count_uses(&updates, n->acc[i].update);
	for (int i = 0; i < n->nstore; i++) count_uses(&stores, n->store[i].value);
	for (int i = 0; i < n->nstore && !n->nacc; i++) find_uniform_parts(k, n->store[i].value);
}
