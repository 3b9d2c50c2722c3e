/* frontend: one run of a network file, from its text to a Model.
 *
 *   sandbox ─ libraries, the language ─ the file runs, protected ─ finish ─▶ Model
 *
 * Everything that can raise an error of Lua happens inside the one lua_pcall below. Lack of memory
 * in the arena jumps out of that call; it is caught here to throw the sandbox away, and passed on.
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "front.h"

#include <stdlib.h>

enum { PRINT_LIMIT = 100, PRINT_BYTES = 1000 };

/* print() in a description is a note with its line. */
static void print_note(lua_State *L, const char *text)
{
	Front *f = front_of(L);
	if (f->prints++ >= PRINT_LIMIT) return;
	Where w = front_where(f);
	w.caller_file = NULL;
	diag_note(f->diag, w, "%.*s", PRINT_BYTES, text);
}

/* The folder that includes are looked for in, resolved, with a slash; NULL when there is none. */
static void find_folder(Front *f)
{
	const char *file = f->options->file, *slash = strrchr(file, '/');
	f->folder_shown = slash ? arena_printf(f->arena, "%.*s", (int)(slash - file + 1), file) : "";
	char *real = realpath(slash ? f->folder_shown : ".", NULL);
	if (!real) return;
	char copy[4096];
	int n = snprintf(copy, sizeof copy, "%s%s", real, strcmp(real, "/") ? "/" : "");
	free(real);
	if (n > 0 && n < (int)sizeof copy) f->folder = arena_copy(f->arena, copy);
}

/* The root file's resolved name, so that a file that includes it is found out; or NULL. */
static const char *find_root(Front *f)
{
	char copy[4096];
	char *real = realpath(f->options->file, NULL);
	int n = real ? snprintf(copy, sizeof copy, "%s", real) : -1;
	free(real);
	return n > 0 && n < (int)sizeof copy ? arena_copy(f->arena, copy) : NULL;
}

static int run_protected(lua_State *L)
{
	Front *f = front_of(L);
	sandbox_libraries(L);
	method_open(L);
	front_tensor_open(L);
	params_open(L);
	rules_open(L);
	option_open(L);
	input_open(L);
	include_open(L);
	network_open(L);
	f->source.at[0].running = true;
	include_load(f, L, 0);
	lua_call(L, 0, 0);
	return 0;
}

static Value *make_poison(Arena *a)
{
	Node *n = NEW(a, Node);
	Value *v = NEW(a, Value);
	n->kind = NODE_CONSTANT;
	n->name = "poison";
	n->poisoned = true;
	n->nout = 1;
	n->out[0] = v;
	v->node = n;
	return v;
}

static void prepare(Front *f, Arena *a, Diag *d, const Options *opt)
{
	f->arena = a;
	f->diag = d;
	f->options = opt;
	f->graph = graph_new(a, d, 1, MODE_TRAIN);
	f->poison = make_poison(a);
	Model *m = f->model = NEW(a, Model);
	m->arena = a;
	m->diag = d;
	m->file = opt->file;
	m->graph = f->graph;
	find_folder(f);
	include_add(f, opt->file, find_root(f), (Where){0});
}

static Model *load(Front *f)
{
	if (!sandbox_open(&f->sandbox)) {
		diag_error(f->diag, (Where){0}, "out of memory");
		return NULL;
	}
	lua_State *L = f->sandbox.L;
	f->sandbox.print = print_note;
	lua_pushcfunction(L, front_handler);
	lua_pushcfunction(L, run_protected);
	int status = lua_pcall(L, 0, 0, 1);
	front_fault(f, L, status);
	return status == LUA_OK && front_finish(f) && !f->diag->errors ? f->model : NULL;
}

Model *frontend_load(Arena *a, Diag *d, const Options *opt)
{
	Front *f = NEW(a, Front);
	jmp_buf here, *outer = arena_guard(a, &here);
	if (setjmp(here)) {
		sandbox_close(&f->sandbox);
		arena_guard(a, outer);
		if (!outer) bug("out of memory without a guard");
		longjmp(*outer, 1);
	}
	prepare(f, a, d, opt);
	Model *m = load(f);
	sandbox_close(&f->sandbox);
	arena_guard(a, outer);
	return m;
}
