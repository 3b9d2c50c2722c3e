/* attribute: the options of a call, checked against an operator's descriptor: names, types, ranges,
 * choices, positions, and what is missing. No operator is known here by name. */
#include "front.h"

#include <math.h>

enum { LINK_ROWS = 1 << 16, LINK_CELLS = 1 << 24, WORD_COUNT = 64 };

typedef struct {
	Front *f;
	lua_State *L;
	AttrCall *call;
	const Attr *attr;
	AttrValue *to;
} Reading;

const char *front_describe(Front *f, int i)
{
	lua_State *L = f->sandbox.L;
	i = lua_absindex(L, i);
	const char *text;
	switch (lua_type(L, i)) {
	case LUA_TSTRING: text = arena_printf(f->arena, "'%.60s'", lua_tostring(L, i)); break;
	case LUA_TNUMBER:
		if (lua_tonumber(L, i) != lua_tonumber(L, i)) return "nan"; /* whatever its sign */
		text = lua_isinteger(L, i) ? arena_printf(f->arena, "%lld", (long long)lua_tointeger(L, i))
		                           : arena_printf(f->arena, "%.15g", (double)lua_tonumber(L, i));
		break;
	case LUA_TBOOLEAN: text = lua_toboolean(L, i) ? "true" : "false"; break;
	case LUA_TNIL: text = "nil"; break;
	case LUA_TUSERDATA:
		text = path_at(L, i) ? "a path" : tensor_at(L, i) ? "a tensor" : "an object";
		break;
	default: text = arena_printf(f->arena, "a %s", luaL_typename(L, i)); break;
	}
	return text;
}

int front_words(Front *f, const char *list, const char ***words)
{
	int n = 0;
	*words = NEWS(f->arena, const char *, WORD_COUNT);
	while (*list && n < WORD_COUNT) {
		size_t length = strcspn(list, " ");
		if (length) (*words)[n++] = arena_printf(f->arena, "%.*s", (int)length, list);
		list += length;
		list += *list == ' ';
	}
	return n;
}

static bool wrong(const Reading *r, int i, const char *expected)
{
	front_error(r->f, "%s: %s is %s, must be %s", r->call->who, r->attr->name,
	    front_describe(r->f, i), expected);
	return false;
}

static bool in_range(const Reading *r, double x)
{
	const Attr *a = r->attr;
	if (a->min > a->max || (x >= a->min && x <= a->max)) return true;
	if (a->max >= 1 << 16)
		front_error(r->f, "%s: %s is %.15g, must be at least %.15g%s", r->call->who, a->name, x,
		    a->min, x > a->max ? arena_printf(r->f->arena, " and at most %.15g", a->max) : "");
	else
		front_error(r->f, "%s: %s is %.15g, must be from %.15g to %.15g", r->call->who, a->name, x,
		    a->min, a->max);
	return false;
}

/* --- one function a type ---------------------------------------------------------------------- */

static bool whole_number(lua_State *L, int i, int64_t *x)
{
	int whole;
	if (lua_type(L, i) != LUA_TNUMBER) return false;
	*x = lua_tointegerx(L, i, &whole);
	return whole;
}

static bool read_int(Reading *r, int i)
{
	if (!whole_number(r->L, i, &r->to->i)) return wrong(r, i, "a whole number");
	return in_range(r, (double)r->to->i);
}

static bool read_real(Reading *r, int i)
{
	if (lua_type(r->L, i) != LUA_TNUMBER) return wrong(r, i, "a number");
	r->to->r = (double)lua_tonumber(r->L, i);
	if (!isfinite(r->to->r)) return wrong(r, i, "a finite number");
	return in_range(r, r->to->r);
}

static bool read_bool(Reading *r, int i)
{
	if (!lua_isboolean(r->L, i)) return wrong(r, i, "true or false");
	r->to->b = lua_toboolean(r->L, i);
	return true;
}

static bool read_pair(Reading *r, int i)
{
	static const char expected[] = "a whole number or {height, width}";
	bool good = true;
	if (!lua_istable(r->L, i)) {
		if (!whole_number(r->L, i, &r->to->pair[0])) return wrong(r, i, expected);
		r->to->pair[1] = r->to->pair[0];
		return in_range(r, (double)r->to->pair[0]);
	}
	if (sandbox_sorted_keys(r->L, i) != 2) good = false;
	lua_pop(r->L, 1);
	for (int k = 0; k < 2 && good; k++) {
		lua_rawgeti(r->L, i, k + 1);
		good = whole_number(r->L, -1, &r->to->pair[k]);
		lua_pop(r->L, 1);
	}
	if (!good) return wrong(r, i, expected);
	return in_range(r, (double)r->to->pair[0]) && in_range(r, (double)r->to->pair[1]);
}

/* The zeros of one side: a number, for both its ends, or {before, after}. */
static bool read_ends(Reading *r, int i, int64_t *before, int64_t *after)
{
	if (!lua_istable(r->L, i)) {
		bool good = whole_number(r->L, i, before);
		*after = *before;
		return good;
	}
	int keys = sandbox_sorted_keys(r->L, i);
	lua_pop(r->L, 1);
	if (keys != 2) return false;
	lua_rawgeti(r->L, i, 1);
	lua_rawgeti(r->L, i, 2);
	bool good = whole_number(r->L, -2, before) && whole_number(r->L, -1, after);
	lua_pop(r->L, 2);
	return good;
}

static bool read_pad_mode(Reading *r, int i, Pads *p)
{
	static const struct {
		const char *name;
		PadMode mode;
	} modes[] = {{"valid", PAD_GIVEN}, {"same", PAD_SAME}, {"full", PAD_FULL}};
	const char *names[COUNT(modes)], *s = lua_tostring(r->L, i);
	for (int k = 0; k < COUNT(modes); k++) {
		names[k] = modes[k].name;
		p->mode = modes[k].mode;
		if (!strcmp(s, modes[k].name)) return true;
	}
	front_error(r->f, "%s: %s is '%.60s', must be numbers or one of: valid same full%s",
	    r->call->who, r->attr->name, s, front_hint(r->f, s, names, COUNT(modes)));
	return false;
}

/* One entry of a table is for both sides, as a number is: {{before, after}}. */
static bool read_pads(Reading *r, int i)
{
	static const char expected[] = "a whole number, {height, width} of numbers or of {before, "
	                               "after}, or one of: valid same full";
	Pads *p = &r->to->pads;
	*p = (Pads){.mode = PAD_GIVEN};
	if (lua_type(r->L, i) == LUA_TSTRING) return read_pad_mode(r, i, p);
	int sides = 1;
	bool good = true, table = lua_istable(r->L, i);
	if (table) {
		sides = sandbox_sorted_keys(r->L, i);
		lua_pop(r->L, 1);
		good = sides == 1 || sides == 2;
	}
	for (int s = 0; s < sides && good; s++) {
		if (table) lua_rawgeti(r->L, i, s + 1);
		good = read_ends(r, table ? lua_gettop(r->L) : i, &p->before[s], &p->after[s]);
		if (table) lua_pop(r->L, 1);
	}
	if (!good) return wrong(r, i, expected);
	if (sides == 1) p->before[1] = p->before[0], p->after[1] = p->after[0];
	for (int s = 0; s < 2; s++)
		if (!in_range(r, (double)p->before[s]) || !in_range(r, (double)p->after[s])) return false;
	return true;
}

static bool read_name(Reading *r, int i)
{
	const char **words;
	int n = front_words(r->f, r->attr->choices, &words);
	if (lua_type(r->L, i) != LUA_TSTRING)
		return wrong(r, i, arena_printf(r->f->arena, "one of: %s", r->attr->choices));
	const char *s = lua_tostring(r->L, i);
	for (int k = 0; k < n; k++) {
		if (strcmp(words[k], s) != 0) continue;
		r->to->s = words[k];
		return true;
	}
	front_error(r->f, "%s: %s is '%.60s', must be one of: %s%s", r->call->who, r->attr->name, s,
	    r->attr->choices, front_hint(r->f, s, words, n));
	return false;
}

/* --- axes ------------------------------------------------------------------------------------- */

static int axis_of(Reading *r, int i)
{
	static const struct {
		const char *name;
		int axis;
	} names[] = {{"batch", 0}, {"channels", 1}, {"features", 1}, {"height", 2}, {"width", 3}};
	int64_t x;
	if (whole_number(r->L, i, &x)) return x >= 0 && x < MAX_RANK ? (int)x : -1;
	for (int k = 0; lua_type(r->L, i) == LUA_TSTRING && k < COUNT(names); k++) {
		if (strcmp(names[k].name, lua_tostring(r->L, i)) != 0) continue;
		bool plane = names[k].axis >= 2; /* lines have no height: their width is axis 2 */
		return r->call->line && plane ? (names[k].axis == 3 ? 2 : -1) : names[k].axis;
	}
	return -1;
}

static bool read_axes(Reading *r, int i)
{
	static const char expected[] =
	    "batch, channels, height, width, their numbers from 0, or a list of these";
	uint32_t axes = 0;
	if (!lua_istable(r->L, i)) {
		int axis = axis_of(r, i);
		if (axis < 0) return wrong(r, i, expected);
		r->to->axes = UINT32_C(1) << axis;
		return true;
	}
	lua_Unsigned n = lua_rawlen(r->L, i);
	for (lua_Unsigned k = 1; k <= n && k <= MAX_RANK + 1; k++) {
		lua_rawgeti(r->L, i, (lua_Integer)k);
		int axis = axis_of(r, lua_absindex(r->L, -1));
		lua_pop(r->L, 1);
		if (axis < 0 || axes >> axis & 1) return wrong(r, i, expected);
		axes |= UINT32_C(1) << axis;
	}
	if (!axes) return wrong(r, i, expected);
	r->to->axes = axes;
	return true;
}

/* --- links ------------------------------------------------------------------------------------ */

/* A list without names or holes; its length, or -1. */
static int64_t list_length(lua_State *L, int i)
{
	if (!lua_istable(L, i)) return -1;
	int64_t n = (int64_t)lua_rawlen(L, i);
	int keys = sandbox_sorted_keys(L, i);
	lua_pop(L, 1);
	return n == keys ? n : -1;
}

/* Calls `each` for every link; false: one is no whole number from 0, or each() said so. */
static bool for_links(
    Reading *r, int i, int64_t rows, bool (*each)(void *, int64_t, int64_t), void *self)
{
	lua_State *L = r->L;
	for (int64_t row = 0; row < rows; row++) {
		lua_rawgeti(L, i, row + 1);
		int64_t n = list_length(L, lua_absindex(L, -1)), input;
		bool good = n >= 0;
		for (int64_t k = 1; good && k <= n; k++) {
			lua_rawgeti(L, -1, k);
			good = whole_number(L, -1, &input) && input >= 0 && each(self, row, input);
			lua_pop(L, 1);
		}
		lua_pop(L, 1);
		if (!good) return false;
	}
	return true;
}

static bool widen(void *self, int64_t row, int64_t input)
{
	(void)row;
	int64_t *cols = self;
	*cols = MAX(*cols, input < INT32_MAX ? input + 1 : INT32_MAX);
	return true;
}

static bool set_link(void *self, int64_t row, int64_t input)
{
	LinkTable *t = self;
	uint8_t *at = &t->at[row * t->cols + input];
	if (*at) return false;
	*at = 1;
	t->links++;
	return true;
}

static bool read_links(Reading *r, int i)
{
	static const char expected[] =
	    "a list that gives each output its list of inputs, each once, from 0: {{0, 1}, {1, 2}}";
	int64_t rows = list_length(r->L, i), cols = 1;
	if (rows < 1 || rows > LINK_ROWS || !for_links(r, i, rows, widen, &cols))
		return wrong(r, i, expected);
	int64_t channels = r->call->channels;
	if (channels && cols > channels) {
		front_error(r->f, "%s: %s names input %lld, the inputs are 0 to %lld", r->call->who,
		    r->attr->name, (long long)(cols - 1), (long long)(channels - 1));
		return false;
	}
	if (channels && channels <= INT32_MAX) cols = channels;
	if (rows * cols > LINK_CELLS) return wrong(r, i, "a smaller table");
	sandbox_charge(r->L, (double)(rows * cols) / 16);
	LinkTable *t = NEW(r->f->arena, LinkTable);
	*t = (LinkTable){.rows = (int)rows, .cols = (int)cols};
	t->at = NEWS(r->f->arena, uint8_t, rows * cols);
	if (!for_links(r, i, rows, set_link, t)) return wrong(r, i, expected);
	r->to->links = t;
	return true;
}

/* --- one attribute ---------------------------------------------------------------------------- */

static bool read_value(Reading *r, int i)
{
	switch (r->attr->type) {
	case ATTR_INT: return read_int(r, i);
	case ATTR_REAL: return read_real(r, i);
	case ATTR_BOOL: return read_bool(r, i);
	case ATTR_PAIR: return read_pair(r, i);
	case ATTR_PADS: return read_pads(r, i);
	case ATTR_LINKS: return read_links(r, i);
	case ATTR_AXES: return read_axes(r, i);
	case ATTR_NAME: return read_name(r, i);
	case ATTR_MAP: break; /* never from Lua: see is_offered */
	}
	bug("%s: attribute %s has no type", r->call->op->name, r->attr->name);
}

static bool is_offered(const Attr *a) { return a->type != ATTR_MAP; }

static void read_attribute(Front *f, AttrCall *call, int index, int i)
{
	const Attr *a = &call->op->attr[index];
	Reading r = {f, f->sandbox.L, call, a, &call->attr[index]};
	if (index >= ATTR_LIMIT) bug("%s has too many attributes", call->op->name);
	i = lua_absindex(r.L, i);
	const Tensor *t = tensor_at(r.L, i);
	if (call->given[index]) {
		front_error(f, "%s: %s is given twice", call->who, a->name);
		call->bad = true;
	} else if (t && tensor_poisoned(t)) {
		call->bad = true;
	} else if (!read_value(&r, i)) {
		call->bad = true;
	}
	call->given[index] = true;
}

static int at_position(const OpDesc *op, int position)
{
	for (int k = 0; op->attr && op->attr[k].name; k++)
		if (op->attr[k].position == position && is_offered(&op->attr[k])) return k;
	return -1;
}

bool attribute_position(Front *f, AttrCall *call, int position, int i)
{
	int index = at_position(call->op, position);
	if (index < 0) return false;
	read_attribute(f, call, index, i);
	return true;
}

/* --- the option table ------------------------------------------------------------------------- */

static bool is_extra(const AttrCall *call, const char *key)
{
	for (int k = 0; k < call->extras; k++)
		if (!strcmp(call->extra[k], key)) return true;
	return false;
}

static void unknown_key(Front *f, AttrCall *call, const char *key)
{
	const char *known[ATTR_LIMIT + 8];
	int n = 0;
	for (int k = 0; call->op->attr && call->op->attr[k].name && n < ATTR_LIMIT; k++)
		if (is_offered(&call->op->attr[k])) known[n++] = call->op->attr[k].name;
	for (int k = 0; k < call->extras && n < COUNT(known); k++) known[n++] = call->extra[k];
	front_error(f, "%s: %s has no option '%.60s'%s", call->who, call->op->name, key,
	    front_hint(f, key, known, n));
	call->bad = true;
}

/* One key of the table, on top of the stack. */
static void read_key(Front *f, AttrCall *call)
{
	lua_State *L = f->sandbox.L;
	int key = lua_absindex(L, -1), index = -1;
	int64_t position;
	lua_pushvalue(L, key);
	lua_rawget(L, call->table);
	if (whole_number(L, key, &position) && position > 0 && position < ATTR_LIMIT) {
		index = at_position(call->op, (int)position);
	} else if (lua_type(L, key) == LUA_TSTRING) {
		const char *name = lua_tostring(L, key);
		for (int k = 0; index < 0 && call->op->attr && call->op->attr[k].name; k++)
			if (is_offered(&call->op->attr[k]) && !strcmp(call->op->attr[k].name, name)) index = k;
		if (index < 0 && is_extra(call, name)) {
			lua_pop(L, 1);
			return;
		}
	}
	if (index >= 0) {
		read_attribute(f, call, index, -1);
	} else if (lua_type(L, key) == LUA_TSTRING) {
		unknown_key(f, call, lua_tostring(L, key));
	} else {
		front_error(
		    f, "%s: %s has no option [%s]", call->who, call->op->name, front_describe(f, key));
		call->bad = true;
	}
	lua_pop(L, 1);
}

void attributes_read(Front *f, AttrCall *call)
{
	lua_State *L = f->sandbox.L;
	int n = call->table ? sandbox_sorted_keys(L, call->table) : 0;
	for (int k = 1; k <= n; k++) {
		lua_rawgeti(L, -1, k);
		read_key(f, call);
		lua_pop(L, 1);
	}
	if (call->table) lua_pop(L, 1);
	if (call->bad) return; /* what is missing may be what was wrong */
	for (int k = 0; call->op->attr && call->op->attr[k].name; k++) {
		const Attr *a = &call->op->attr[k];
		if (!a->required || call->given[k] || !is_offered(a)) continue;
		front_error(f, "%s: %s is missing%s%s", call->who, a->name, a->doc ? ": " : "",
		    a->doc ? a->doc : "");
		call->bad = true;
	}
}
