/* input: what enters a network: image, input, class; and the constants that come with the language.
 *
 * The batch is implicit and leads: image("x", 3, 32, 32) is [N, 3, 32, 32]. The order of
 * declaration is the order of the C arguments. */
#include "front.h"

enum { INPUT_LIMIT = 64 };

static const int64_t SIZE_LIMIT = INT64_C(1) << 24; /* of one axis */

/* The name, checked, in the arena; NULL: reported. */
static const char *input_name(Front *f, lua_State *L, const char *usage)
{
	if (lua_type(L, 1) != LUA_TSTRING) luaL_error(L, "%s", usage);
	const char *name = lua_tostring(L, 1);
	if (f->model->input.n >= INPUT_LIMIT) luaL_error(L, "more than %d inputs", INPUT_LIMIT);
	if (!front_is_name(name)) {
		front_error(f, "'%.60s' cannot be a name: letters, digits and _ only", name);
		return NULL;
	}
	if (front_is_taken(name)) {
		front_error(f, "'%s' cannot be the name of an input: the C text uses it", name);
		return NULL;
	}
	for (int i = 0; i < f->model->input.n; i++) {
		const Node *other = f->model->input.at[i];
		if (strcmp(other->name, name) != 0) continue;
		front_error(f, "two inputs are named %s", name);
		front_note(f, other->where, "first declared here");
		return NULL;
	}
	return arena_copy(f->arena, name);
}

/* Arguments 2... as sizes behind the batch. false: reported. */
static bool read_sizes(Front *f, lua_State *L, Shape *s)
{
	s->dim[0] = f->graph->batch;
	bool good = true;
	for (int d = 1; d < s->rank; d++) {
		int whole;
		const Tensor *t = tensor_at(L, d + 1);
		if (t && tensor_poisoned(t)) {
			good = false;
			continue;
		}
		s->dim[d] = lua_tointegerx(L, d + 1, &whole);
		bool fits =
		    lua_type(L, d + 1) == LUA_TNUMBER && whole && s->dim[d] >= 1 && s->dim[d] <= SIZE_LIMIT;
		if (!fits)
			front_error(f, "size %d of the input is %s, must be a whole number from 1 to %lld", d,
			    front_describe(f, d + 1), (long long)SIZE_LIMIT);
		good = good && fits;
	}
	int64_t count = 1;
	for (int d = 1; good && d < s->rank; d++)
		if (!mul_fits(count, s->dim[d], &count) || count > INT64_C(1) << 40) {
			front_error(
			    f, "an input of %s, the batch included, is too large", shape_text(f->arena, *s));
			good = false;
		}
	return good;
}

static int add_input(lua_State *L, Type type, int rank, int64_t classes, const char *usage)
{
	Front *f = front_of(L);
	const char *name = input_name(f, L, usage);
	Shape s = {.rank = rank};
	bool good = type == TYPE_LABEL || read_sizes(f, L, &s);
	if (!name || !good) return tensor_push_poison(L);
	s.dim[0] = f->graph->batch;
	graph_at(f->graph, NULL, front_where(f));
	Value *v = graph_input(f->graph, name, f->model->input.n, type, s);
	v->node->classes = classes;
	vec_push(f->arena, f->model->input, v->node);
	tensor_push(L, v);
	return 1;
}

static int image(lua_State *L)
{
	static const char usage[] =
	    "image takes a name, channels, height and width: image(\"x\", 3, 32, 32)";
	if (lua_gettop(L) != 4) return luaL_error(L, "%s", usage);
	return add_input(L, TYPE_REAL, 4, 0, usage);
}

static int input(lua_State *L)
{
	static const char usage[] =
	    "input takes a name and sizes: input(\"z\", 100) of features, input(\"s\", 2, 500) of "
	    "lines, "
	    "their channels and width, or those of images, input(\"x\", 3, 32, 32)";
	int sizes = lua_gettop(L) - 1;
	if (sizes < 1 || sizes > 3) return luaL_error(L, "%s", usage);
	return add_input(L, TYPE_REAL, sizes + 1, 0, usage);
}

static int class(lua_State *L)
{
	static const char usage[] =
	    "class takes a name and the number of classes: class(\"label\", 10)";
	Front *f = front_of(L);
	int whole;
	if (lua_gettop(L) != 2) return luaL_error(L, "%s", usage);
	const Tensor *t = tensor_at(L, 2);
	if (t && tensor_poisoned(t)) return tensor_push_poison(L);
	int64_t classes = lua_tointegerx(L, 2, &whole);
	if (lua_type(L, 2) != LUA_TNUMBER || !whole || classes < 2 || classes > SIZE_LIMIT) {
		front_error(f, "the number of classes is %s, must be a whole number from 2 to %lld",
		    front_describe(f, 2), (long long)SIZE_LIMIT);
		return tensor_push_poison(L);
	}
	return add_input(L, TYPE_LABEL, 1, classes, usage);
}

/* bitmaps.digits: a constant [10, 84], made when it is first asked for. */
static int bitmaps_index(lua_State *L)
{
	static const char *const known[] = {"digits"};
	Front *f = front_of(L);
	const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : "";
	if (strcmp(name, known[0]) != 0) {
		front_error(
		    f, "there are no bitmaps '%.60s'%s", name, front_hint(f, name, known, COUNT(known)));
		return tensor_push_poison(L);
	}
	if (!f->digits) {
		graph_at(f->graph, NULL, front_where(f));
		Shape s = shape_of(2, (int64_t)10, (int64_t)84);
		f->digits = graph_constant(f->graph, "digits", s, bitmap_digits(f->arena));
	}
	tensor_push(L, f->digits);
	return 1;
}

void input_open(lua_State *L)
{
	lua_pushcfunction(L, image);
	lua_setglobal(L, "image");
	lua_pushcfunction(L, input);
	lua_setglobal(L, "input");
	lua_pushcfunction(L, class);
	lua_setglobal(L, "class");
	lua_newtable(L);
	lua_newtable(L);
	lua_pushcfunction(L, bitmaps_index);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_setglobal(L, "bitmaps");
}
