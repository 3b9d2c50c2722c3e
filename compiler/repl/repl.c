/* repl: the loop, scripts and -e. What happens to a line follows lua's own program: an expression
 * is tried first, an unfinished statement goes on in the next line, Ctrl-C stops what runs.
 *
 * The one mutable global of cnnc is here, because a signal handler knows nothing else. */
#define _POSIX_C_SOURCE 200809L
#include "repl.h"
#include "../cnnc.h"
#include "help.h"
#include "line.h"
#include "lua_error.h"
#include "net.h"
#include "tensor.h"

#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdlib.h>

static lua_State *volatile running; /* the state that a Ctrl-C stops; NULL between chunks */

static void stop(lua_State *L, lua_Debug *where)
{
	(void)where;
	lua_sethook(L, NULL, 0, 0);
	luaL_error(L, "interrupted");
}

/* lua_sethook is the one function of Lua that a signal handler may call. */
static void on_interrupt(int number)
{
	signal(number, SIG_DFL); /* a second Ctrl-C ends the program */
	if (running)
		lua_sethook(running, stop, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static int add_traceback(lua_State *L)
{
	luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
	return 1;
}

static int plain_message(lua_State *L) { return luaL_tolstring(L, 1, NULL), 1; }

/* Calls the function below `n` arguments. false: the error is on the stack. */
static bool call(lua_State *L, int n, int results, bool traceback)
{
	int base = lua_gettop(L) - n;
	lua_pushcfunction(L, traceback ? add_traceback : plain_message);
	lua_insert(L, base);
	running = L;
	signal(SIGINT, on_interrupt);
	int status = lua_pcall(L, n, results, base);
	signal(SIGINT, SIG_DFL);
	running = NULL;
	lua_remove(L, base);
	return status == LUA_OK;
}

static bool report(lua_State *L)
{
	const char *message = lua_tostring(L, -1);
	fflush(stdout);
	fprintf(stderr, "cnnc: %s\n", message ? message : "an error without a message");
	lua_pop(L, 1);
	return false;
}

/* --- lines ------------------------------------------------------------------------------- */

/* Pushes one more line. false at the end of the input. */
static bool push_line(lua_State *L, bool terminal, bool first)
{
	char *line = line_read(terminal, first ? "> " : ">> ");
	if (!line) return false;
	lua_pushstring(L, line);
	free(line);
	return true;
}

/* Did the text end too early to be Lua? The error is on top of the stack. */
static bool unfinished(lua_State *L, int status)
{
	static const char mark[] = "<eof>";
	size_t n;
	const char *message = lua_tolstring(L, -1, &n);
	return status == LUA_ERRSYNTAX && n >= sizeof mark - 1 &&
	       strcmp(message + n - (sizeof mark - 1), mark) == 0;
}

/* Replaces the first line, at index 1, by its function, reading more lines while it is unfinished;
 * the whole text is left at index 1. false: an error is on the stack instead. */
static bool load_lines(lua_State *L, bool terminal)
{
	lua_pushfstring(L, "return %s", lua_tostring(L, 1));
	int status = luaL_loadbufferx(L, lua_tostring(L, -1), lua_rawlen(L, -1), "=stdin", "t");
	lua_remove(L, 2);
	if (status == LUA_OK) return true;
	lua_pop(L, 1);
	for (;;) {
		status = luaL_loadbufferx(L, lua_tostring(L, 1), lua_rawlen(L, 1), "=stdin", "t");
		if (status == LUA_OK) return true;
		if (!unfinished(L, status) || !push_line(L, terminal, false)) return false;
		lua_remove(L, -2); /* the error */
		lua_pushfstring(L, "%s\n%s", lua_tostring(L, 1), lua_tostring(L, 2));
		lua_replace(L, 1);
		lua_settop(L, 1);
	}
}

static void print_results(lua_State *L, int n)
{
	if (n == 0) return;
	luaL_checkstack(L, n + 4, "too many results to print");
	lua_getglobal(L, "print");
	lua_insert(L, -n - 1);
	if (!call(L, n, 0, false)) report(L);
}

/* Returns 0, or 1 when the input was no terminal and a chunk of it failed. */
static int loop(lua_State *L)
{
	bool terminal = line_terminal();
	int status = CNNC_DONE;
	if (terminal) {
		printf(
		    "cnnc %s, %s. help() tells what there is; Ctrl-D ends.\n", cnnc_version(), LUA_RELEASE);
		line_open();
	}
	for (;;) {
		lua_settop(L, 0);
		if (!push_line(L, terminal, true)) break;
		bool ok = load_lines(L, terminal);
		if (terminal && lua_rawlen(L, 1) > 0) line_remember(lua_tostring(L, 1));
		if (ok) ok = call(L, 0, LUA_MULTRET, false);
		if (ok)
			print_results(L, lua_gettop(L) - 1);
		else
			report(L);
		if (!ok && !terminal) status = CNNC_INPUT_ERROR;
	}
	if (terminal) {
		putchar('\n');
		line_close();
	}
	return status;
}

/* --- scripts ----------------------------------------------------------------------------- */

static bool run_code(lua_State *L, const char *code)
{
	if (luaL_loadbufferx(L, code, strlen(code), "=(command line)", "t") != LUA_OK) return report(L);
	return call(L, 0, 0, true) || report(L);
}

static bool run_script(lua_State *L, const Command *command)
{
	const char *file = strcmp(command->script, "-") == 0 ? NULL : command->script;
	if (luaL_loadfilex(L, file, "t") != LUA_OK) return report(L);
	luaL_checkstack(L, command->argc + 4, "too many arguments");
	for (int i = 0; i < command->argc; i++) lua_pushstring(L, command->argv[i]);
	return call(L, command->argc, 0, true) || report(L);
}

static void set_arguments(lua_State *L, const Command *command)
{
	lua_createtable(L, command->argc, 1);
	if (command->script) {
		lua_pushstring(L, command->script);
		lua_rawseti(L, -2, 0);
	}
	for (int i = 0; i < command->argc; i++) {
		lua_pushstring(L, command->argv[i]);
		lua_rawseti(L, -2, i + 1);
	}
	lua_setglobal(L, "arg");
}

/* net = cnnc.load(FILE), with the options of the command line. */
static bool load_network(lua_State *L, const Command *command)
{
	lua_getglobal(L, "cnnc");
	lua_getfield(L, -1, "load");
	lua_remove(L, -2);
	lua_pushstring(L, command->options.file);
	lua_pushnil(L);
	/* Lua has no const pointers; load only reads. */
	lua_pushlightuserdata(L, (void *)(uintptr_t)&command->options);
	if (!call(L, 3, 1, false)) return report(L);
	lua_setglobal(L, "net");
	return true;
}

static void open_cnnc(lua_State *L)
{
	lua_newtable(L);
	lua_pushstring(L, cnnc_version());
	lua_setfield(L, -2, "version");
	lua_pushliteral(L, "tcc");
	lua_setfield(L, -2, "compiler");
	tensor_open(L);
	net_open(L);
	lua_pushcfunction(L, help);
	lua_setglobal(L, "help");
	luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
	lua_pushvalue(L, -2);
	lua_setfield(L, -2, "cnnc"); /* require "cnnc" works too */
	lua_pop(L, 1);
	lua_setglobal(L, "cnnc");
}

/* Runs protected: argument 1 is the Command; returns the status. */
static int protected_main(lua_State *L)
{
	const Command *command = lua_touserdata(L, 1);
	lua_settop(L, 0);
	luaL_openlibs(L);
	open_cnnc(L);
	set_arguments(L, command);
	bool ok = !command->options.file || load_network(L, command);
	if (ok && command->code) ok = run_code(L, command->code);
	if (ok && command->script) ok = run_script(L, command);
	int status = ok ? CNNC_DONE : CNNC_INPUT_ERROR;
	if (ok && command->action == ACTION_REPL) status = loop(L);
	lua_pushinteger(L, status);
	return 1;
}

int repl_main(const Command *command)
{
	lua_State *L = luaL_newstate();
	if (!L) {
		fputs("cnnc: error: out of memory\n", stderr);
		return CNNC_INPUT_ERROR;
	}
	lua_pushcfunction(L, protected_main);
	lua_pushlightuserdata(L, (void *)(uintptr_t)command);
	int status = CNNC_INPUT_ERROR;
	if (lua_pcall(L, 1, 1, 0) == LUA_OK)
		status = (int)lua_tointeger(L, -1);
	else
		report(L);
	lua_close(L);
	return status;
}
