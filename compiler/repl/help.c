#include "help.h"
#include "../op.h"
#include "lua_error.h"

static const char overview[] =
    "net = cnnc.load(FILE [, {batch = 1, real = \"float\", ...}])   compile into memory; the rest "
    "is -D\n"
    "net:init(SEED)  net:load(FILE)  net:save(FILE)              weights; files are safetensors\n"
    "net:load(FILE, {allow_missing = \"fc.*\"})                   fc keeps what it has where the "
    "file\n"
    "                                                            lacks it or has another shape\n"
    "y = net:forward(x)                                          every output, in order\n"
    "loss, y = net:eval(x, label)\n"
    "loss, grads = net:gradients(x, label)                       grads[\"conv1.weight\"]\n"
    "{expose = {\"conv1\"}} in load: forward gives conv1, too; gradients a table e at its end, "
    "with\n"
    "e.conv1 and e.conv1_grad. {freeze = \"conv1.*\"}: weights that stay. {recompute = true}: "
    "gradients "
    "in\n"
    "least memory. {winograd = \"none\"}: plain convolutions\n"
    "loss = net:step(x, label [, {rate = 0.02}])                 help(\"sgd\") names the numbers\n"
    "w = net:get(\"conv1.weight\")  net:set(\"conv1.weight\", w)     one weight or buffer\n"
    "net:summary()  net.name  net.batch  net.steps\n"
    "net:profile()   {profile = true} in load: how long each step takes, beside what this machine "
    "can do\n"
    "\n"
    "t = cnnc.tensor{{1, 2}, {3, 4}}  cnnc.zeros(2, 3)  cnnc.tensor.load(FILE)  t:save(FILE)   "
    ".npy\n"
    "t[i]  t[i][j]  t:at(i, j)  t[i] = x  #t  t.shape  t:reshape(...)  t:copy()  t:fill(x)  "
    "t:argmax()\n"
    "Indices count from 1; labels and argmax from 0.\n"
    "\n"
    "cnnc.compiler = \"cc -O2\"   compile with this instead of libtcc: slow to start, fast to run\n"
    "help(\"conv\")              an operator of network files:\n";

static void add_default(luaL_Buffer *b, const Attr *a)
{
	char text[64];
	if (a->required) {
		luaL_addstring(b, "required");
		return;
	}
	if (a->type == ATTR_BOOL)
		snprintf(text, sizeof text, "default %s", a->value != 0 ? "true" : "false");
	else if (a->type == ATTR_INT || a->type == ATTR_REAL || a->type == ATTR_PAIR ||
	         a->type == ATTR_PADS)
		snprintf(text, sizeof text,
		    a->min <= a->max && (a->value < a->min || a->value > a->max) ? "optional"
		                                                                 : "default %g",
		    a->value);
	else if (a->type == ATTR_NAME && a->choices)
		snprintf(text, sizeof text, "one of %.40s", a->choices);
	else
		snprintf(text, sizeof text, "optional");
	luaL_addstring(b, text);
}

static int help_operator(lua_State *L, const OpDesc *op)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	luaL_addstring(&b, op->name);
	luaL_addstring(&b, ": ");
	luaL_addstring(&b, op->doc);
	for (const Attr *a = op->attr; a && a->name; a++) {
		if (a->type == ATTR_MAP) continue;
		luaL_addstring(&b, "\n  ");
		luaL_addstring(&b, a->name);
		luaL_addstring(&b, " (");
		add_default(&b, a);
		luaL_addstring(&b, ") ");
		luaL_addstring(&b, a->doc ? a->doc : "");
	}
	luaL_pushresult(&b);
	return 1;
}

static bool offered(const OpDesc *op) { return op->flags & (OP_METHOD | OP_OPTIMIZER); }

static void push_overview(lua_State *L)
{
	luaL_Buffer b;
	luaL_buffinit(L, &b);
	luaL_addstring(&b, overview);
	size_t column = 0;
	for (int i = 0; i < op_count; i++) {
		const char *name = op_table[i]->name;
		if (!offered(op_table[i])) continue;
		if (column + strlen(name) > 90) {
			luaL_addchar(&b, '\n');
			column = 0;
		}
		luaL_addchar(&b, ' ');
		luaL_addstring(&b, name);
		column += strlen(name) + 1;
	}
	luaL_pushresult(&b);
}

/* Prints through Lua's own print, so that what redirects that redirects this. */
int help(lua_State *L)
{
	lua_settop(L, 1);
	lua_getglobal(L, "print");
	if (lua_isnil(L, 1)) {
		push_overview(L);
	} else {
		const OpDesc *op = op_find(luaL_checkstring(L, 1));
		if (!op || !offered(op))
			return lua_fail(L, "there is no operator '%s'; help() lists them", lua_tostring(L, 1));
		help_operator(L, op);
	}
	lua_call(L, 1, 0);
	return 0;
}
