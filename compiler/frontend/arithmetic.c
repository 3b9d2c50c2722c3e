/* arithmetic: + - * / ^ and unary minus on tensors and numbers.
 *
 * Sums, differences and multiples of scalars are kept as weighted terms and enter the graph only
 * when something else is done with them: so the loss knows the parts it is made of. All else
 * becomes nodes at once. Which operators these are is said by their descriptors. */
#include "front.h"

#include <math.h>

enum { TERM_LIMIT = 1000 };

typedef enum { ADD, SUB, MUL, DIV, POW, NEG } Sign;

static const struct {
	const char *meta, *sign;
} arithmetic[] = {
    [ADD] = {"__add", "+"},
    [SUB] = {"__sub", "-"},
    [MUL] = {"__mul", "*"},
    [DIV] = {"__div", "/"},
    [POW] = {"__pow", "^"},
    [NEG] = {"__unm", "-"},
};

/* Either a tensor or a number. */
typedef struct {
	const Tensor *tensor;
	double number;
} Operand;

/* The operator of that sign on in..., with its first attributes of type number set. */
static Value *build(Front *f, const char *sign, Value *const *in, int nin, const double *p, int np)
{
	const OpDesc *op = op_signed(sign);
	if (!op) bug("no operator has the sign %s", sign);
	AttrValue *attr = graph_attrs(f->arena, op);
	int set = 0;
	for (int k = 0; op->attr && op->attr[k].name && set < np; k++)
		if (op->attr[k].type == ATTR_REAL) attr[k].r = p[set++];
	if (set != np) bug("%s has not %d numbers", op->name, np);
	return front_node(f, op, NULL, in, nin, attr)->out[0];
}

static Value *scaled(Front *f, Value *x, double factor, double offset)
{
	return build(f, "a*x+b", &x, 1, (const double[]){factor, offset}, 2);
}

/* --- weighted sums ---------------------------------------------------------------------------- */

static int term_count(const Tensor *t) { return t->value ? 1 : t->terms; }

/* Adds the terms of t, times w, to `sum`; the same value twice is one term. */
static void add_terms(Tensor *sum, const Tensor *t, double w)
{
	for (int i = 0; i < term_count(t); i++) {
		LossTerm term = t->value ? (LossTerm){t->value, 1} : t->term[i];
		term.weight *= w;
		int k = 0;
		while (k < sum->terms && sum->term[k].value != term.value) k++;
		if (k == sum->terms)
			sum->term[sum->terms++] = term;
		else
			sum->term[k].weight += term.weight;
	}
}

/* a*wa + b*wb of scalars, on the stack; b may be NULL. */
static int push_sum(lua_State *L, const Tensor *a, double wa, const Tensor *b, double wb)
{
	int room = term_count(a) + (b ? term_count(b) : 0);
	if (room > TERM_LIMIT) return luaL_error(L, "a sum of more than %d terms", TERM_LIMIT);
	if (!isfinite(wa) || !isfinite(wb))
		return luaL_error(L, "a number in a network must be finite");
	sandbox_charge(L, (double)room * room / 8);
	Tensor *sum = front_tensor_new(L, room);
	sum->terms = 0;
	add_terms(sum, a, wa);
	if (b) add_terms(sum, b, wb);
	return 1;
}

Value *tensor_value(Front *f, const Tensor *t)
{
	if (t->value) return t->value;
	Value *sum = NULL;
	for (int i = 0; i < t->terms; i++) {
		Value *v = t->term[i].value;
		if (t->term[i].weight != 1) v = scaled(f, v, t->term[i].weight, 0);
		sum = sum ? build(f, "+", (Value *[]){sum, v}, 2, NULL, 0) : v;
	}
	return sum;
}

/* A sum or multiple of scalars: pushes it, true. */
static bool push_linear(lua_State *L, Sign sign, Operand a, Operand b)
{
	bool scalar_a = a.tensor && tensor_is_scalar(a.tensor),
	     scalar_b = b.tensor && tensor_is_scalar(b.tensor);
	if (sign == NEG && scalar_a) return push_sum(L, a.tensor, -1, NULL, 0);
	if (sign == ADD && scalar_a && scalar_b) return push_sum(L, a.tensor, 1, b.tensor, 1);
	if (sign == SUB && scalar_a && scalar_b) return push_sum(L, a.tensor, 1, b.tensor, -1);
	if (sign == MUL && scalar_a && !b.tensor) return push_sum(L, a.tensor, b.number, NULL, 0);
	if (sign == MUL && !a.tensor && scalar_b) return push_sum(L, b.tensor, a.number, NULL, 0);
	if (sign == DIV && scalar_a && !b.tensor) return push_sum(L, a.tensor, 1 / b.number, NULL, 0);
	return false;
}

/* --- nodes ------------------------------------------------------------------------------------ */

/* One side is a number. */
static Value *with_number(Front *f, Sign sign, Operand a, Operand b)
{
	Value *x = tensor_value(f, a.tensor ? a.tensor : b.tensor);
	double c = a.tensor ? b.number : a.number;
	if (!isfinite(c)) luaL_error(f->sandbox.L, "a number in a network must be finite");
	switch (sign) {
	case ADD: return scaled(f, x, 1, c);
	case SUB: return a.tensor ? scaled(f, x, 1, -c) : scaled(f, x, -1, c);
	case MUL: return scaled(f, x, c, 0);
	case DIV:
		if (a.tensor && c == 0) luaL_error(f->sandbox.L, "division by zero");
		if (a.tensor) return scaled(f, x, 1 / c, 0);
		return build(f, "/", (Value *[]){tensor_number(f, c), x}, 2, NULL, 0);
	case POW:
		if (a.tensor) return build(f, "^", &x, 1, &c, 1);
		break;
	case NEG: return scaled(f, x, -1, 0);
	}
	front_error(f, "the exponent of ^ must be a number");
	return f->poison;
}

static bool read_operand(lua_State *L, int i, const char *sign, Operand *o)
{
	Front *f = front_of(L);
	o->tensor = tensor_at(L, i);
	o->number = 0;
	if (!o->tensor && lua_type(L, i) != LUA_TNUMBER) {
		front_error(f, "%s takes tensors and numbers, not %s", sign, front_describe(f, i));
		return false;
	}
	if (!o->tensor) o->number = (double)lua_tonumber(L, i);
	if (!o->tensor || !o->tensor->value || o->tensor->value->type == TYPE_REAL) return true;
	front_error(f, "%s has no meaning for labels", sign);
	return false;
}

static bool is_poison(lua_State *L, int i)
{
	const Tensor *t = tensor_at(L, i);
	return t && tensor_poisoned(t);
}

/* Upvalue: the sign. Lua gives unary minus its operand twice. */
static int operate(lua_State *L)
{
	Front *f = front_of(L);
	Sign sign = (Sign)lua_tointeger(L, lua_upvalueindex(1));
	Operand a, b;
	luaL_checkstack(L, 32, NULL);
	sandbox_charge(L, CALL_COST);
	if (is_poison(L, 1) || is_poison(L, 2)) return tensor_push_poison(L);
	if (!read_operand(L, 1, arithmetic[sign].sign, &a) ||
	    !read_operand(L, 2, arithmetic[sign].sign, &b))
		return tensor_push_poison(L);
	if (push_linear(L, sign, a, b)) return 1;
	Value *v;
	if (sign == NEG)
		v = with_number(f, NEG, a, (Operand){0});
	else if (!a.tensor || !b.tensor)
		v = with_number(f, sign, a, b);
	else if (sign == POW)
		v = (front_error(f, "the exponent of ^ must be a number"), f->poison);
	else
		v = build(f, arithmetic[sign].sign,
		    (Value *[]){tensor_value(f, a.tensor), tensor_value(f, b.tensor)}, 2, NULL, 0);
	tensor_push(L, v);
	return 1;
}

/* --- what tensors cannot do ------------------------------------------------------------------- */

/* Upvalue: what it is called. Silent for the poisoned tensor; the result suits where it is used. */
static int refuse(lua_State *L)
{
	Front *f = front_of(L);
	const char *what = lua_tostring(L, lua_upvalueindex(1));
	if (!is_poison(L, 1) && !is_poison(L, 2)) { front_error(f, "tensors have no %s", what); }
	if (!strcmp(what, "length")) return lua_pushinteger(L, 0), 1;
	if (!strcmp(what, "..")) return lua_pushliteral(L, "?"), 1;
	if (!strcmp(what, "order")) return lua_pushboolean(L, 0), 1;
	return tensor_push_poison(L);
}

void arithmetic_open(lua_State *L)
{
	static const struct {
		const char *meta, *what;
	} refused[] = {{"__mod", "%"}, {"__idiv", "//"}, {"__concat", ".."}, {"__len", "length"},
	    {"__lt", "order"}, {"__le", "order"}, {"__call", "call; is a colon missing?"},
	    {"__newindex", "fields to set"}, {"__band", "&"}, {"__bor", "|"}, {"__bxor", "~"},
	    {"__bnot", "~"}, {"__shl", "<<"}, {"__shr", ">>"}};
	for (int i = 0; i < COUNT(arithmetic); i++) {
		lua_pushinteger(L, i);
		lua_pushcclosure(L, operate, 1);
		lua_setfield(L, -2, arithmetic[i].meta);
	}
	for (int i = 0; i < COUNT(refused); i++) {
		lua_pushstring(L, refused[i].what);
		lua_pushcclosure(L, refuse, 1);
		lua_setfield(L, -2, refused[i].meta);
	}
}
