/* rules: what is said of many states at once: freeze(path), init(path, how), and --freeze PATTERN.
 *
 * A rule holds for the path and all below it, for layers made before and after; of two init rules
 * the later one wins. Naming a rule of the layers' own (init(param, "lecun")) works on layers made
 * after it, since these compute the spread from their fan-in. A rule that meets nothing is a
 * mistake. */
#include "front.h"

#include <math.h>

enum { RULE_LIMIT = 10000 };

/* Is `name` the path or below it? */
static bool is_below(const char *name, const char *path)
{
	size_t n = strlen(path);
	return n == 0 || (!strncmp(name, path, n) && (name[n] == '\0' || name[n] == '.'));
}

static const Path *path_argument(lua_State *L, int i, const char *usage)
{
	const Path *p = path_at(L, i);
	if (!p) luaL_error(L, "%s", usage);
	if (front_of(L)->freeze.n + front_of(L)->init.n >= RULE_LIMIT) luaL_error(L, "too many rules");
	return p;
}

static int freeze(lua_State *L)
{
	Front *f = front_of(L);
	int n = lua_gettop(L);
	if (n == 0) return luaL_error(L, "freeze takes paths, as in freeze(param.layer1)");
	for (int i = 1; i <= n; i++) {
		const Path *p = path_argument(L, i, "freeze takes paths, as in freeze(param.layer1)");
		if (p->poisoned) continue;
		Rule r = {.path = arena_copy(f->arena, p->name), .where = front_where(f)};
		vec_push(f->arena, f->freeze, r);
	}
	lua_settop(L, 1);
	return 1;
}

/* --- init ------------------------------------------------------------------------------------- */

static const char init_usage[] = "init takes a path and how its weights begin: init(param.fc, "
                                 "{normal = 0.01}), uniform, constant, "
                                 "or the name of a rule: init(param, 'lecun')";

static const Attr *init_attribute(const OpDesc *op)
{
	for (const Attr *a = op->attr; a && a->name; a++)
		if (a->type == ATTR_NAME && !strcmp(a->name, "init")) return a;
	return NULL;
}

static bool has_word(Front *f, const char *list, const char *word)
{
	const char **words;
	int n = front_words(f, list, &words);
	for (int i = 0; i < n; i++)
		if (!strcmp(words[i], word)) return true;
	return false;
}

/* Some operator must know the rule's name. */
static bool is_rule(Front *f, const char *name)
{
	const char **words = NULL;
	int n = 0;
	for (int i = 0; i < op_count; i++) {
		const Attr *a = init_attribute(op_table[i]);
		if (!a) continue;
		n = front_words(f, a->choices, &words);
		if (has_word(f, a->choices, name)) return true;
	}
	front_error(f, "init: there is no rule '%s'%s", name, front_hint(f, name, words, n));
	return false;
}

/* {uniform = 0.1} and the like. */
static bool init_from_table(Front *f, int t, Init *init)
{
	static const char *const key[] = {"constant", "uniform", "normal"};
	static const InitKind kind[] = {INIT_CONSTANT, INIT_UNIFORM, INIT_NORMAL};
	lua_State *L = f->sandbox.L;
	int keys = sandbox_sorted_keys(L, t);
	lua_rawgeti(L, -1, 1);
	const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
	if (keys != 1 || !*name) {
		front_error(f, "%s", init_usage);
		return false;
	}
	for (int i = 0; i < COUNT(key); i++) {
		if (strcmp(name, key[i]) != 0) continue;
		double x = lua_getfield(L, t, name) == LUA_TNUMBER ? (double)lua_tonumber(L, -1) : NAN;
		*init = (Init){kind[i], x};
		if (isfinite(x) && (kind[i] == INIT_CONSTANT || x >= 0)) return true;
		front_error(f, "init: %s is %s, must be a number%s", name, front_describe(f, -1),
		    kind[i] == INIT_CONSTANT ? "" : " not below 0");
		return false;
	}
	front_error(f, "init has no option %s%s", name, front_hint(f, name, key, COUNT(key)));
	return false;
}

static int init(lua_State *L)
{
	Front *f = front_of(L);
	const Path *p = path_argument(L, 1, init_usage);
	Rule r = {.path = arena_copy(f->arena, p->name), .where = front_where(f)};
	bool good;
	if (lua_type(L, 2) == LUA_TSTRING) {
		r.rule = arena_copy(f->arena, lua_tostring(L, 2));
		good = is_rule(f, r.rule);
	} else if (lua_istable(L, 2)) {
		good = init_from_table(f, 2, &r.value);
	} else {
		return luaL_error(L, "%s", init_usage);
	}
	if (good && !p->poisoned) vec_push(f->arena, f->init, r);
	lua_settop(L, 1);
	return 1;
}

const char *rules_init(Front *f, const char *path)
{
	for (int i = f->init.n - 1; i >= 0; i--) {
		Rule *r = &f->init.at[i];
		if (!r->rule || !is_below(path, r->path)) continue;
		r->used = true;
		return r->rule;
	}
	return NULL;
}

void rules_open(lua_State *L)
{
	lua_pushcfunction(L, freeze);
	lua_setglobal(L, "freeze");
	lua_pushcfunction(L, init);
	lua_setglobal(L, "init");
}

/* --- after the run ---------------------------------------------------------------------------- */

static void report_unused(Front *f, const Rule *r, const char *verb)
{
	int n = 0;
	const char **path = NEWS(f->arena, const char *, f->layer.n + 1);
	for (int i = 0; i < f->layer.n; i++) path[n++] = f->layer.at[i].path;
	for (int i = 0; r->rule && i < n; i++)
		if (is_below(path[i], r->path)) {
			diag_error(f->diag, r->where, "%s: '%s' must be said before the layers are made", verb,
			    r->rule);
			return;
		}
	diag_error(f->diag, r->where, "%s: nothing lives at param%s%s%s", verb, *r->path ? "." : "",
	    r->path, front_hint(f, r->path, path, n));
}

static void apply_rules(Front *f)
{
	for (int s = 0; s < f->model->state.n; s++) {
		State *state = f->model->state.at[s];
		for (int i = 0; i < f->freeze.n; i++) {
			Rule *r = &f->freeze.at[i];
			if (!is_below(state->name, r->path)) continue;
			state->frozen = r->used = true;
		}
		for (int i = 0; i < f->init.n; i++) {
			Rule *r = &f->init.at[i];
			if (r->rule || state->kind != STATE_WEIGHT || !is_below(state->name, r->path)) continue;
			state->init = r->value;
			r->used = true;
		}
	}
}

bool front_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *from = NULL; /* the last star, and where its text ends so far */
	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*') pattern++;
	return *pattern == '\0';
}

static bool freeze_pattern(Front *f, const char *pattern, bool dry)
{
	bool any = false;
	for (int s = 0; s < f->model->state.n; s++) {
		State *state = f->model->state.at[s];
		if (!front_glob(pattern, state->name)) continue;
		any = true;
		if (!dry) state->frozen = true;
	}
	return any;
}

void rules_finish(Front *f)
{
	apply_rules(f);
	for (int i = 0; i < f->freeze.n; i++)
		if (!f->freeze.at[i].used) report_unused(f, &f->freeze.at[i], "freeze");
	for (int i = 0; i < f->init.n; i++)
		if (!f->init.at[i].used) report_unused(f, &f->init.at[i], "init");
	for (int i = 0; i < f->options->freeze.n; i++) {
		const char *pattern = f->options->freeze.at[i];
		if (freeze_pattern(f, pattern, false)) continue;
		const char *below = arena_printf(f->arena, "%s.*", pattern);
		diag_error(f->diag, (Where){0}, "--freeze '%s' meets no weight%s", pattern,
		    freeze_pattern(f, below, true) ? arena_printf(f->arena, "; did you mean '%s'?", below)
		                                   : "");
	}
}
