/* include: further Lua files, below the root file's folder and nowhere else.
 *
 * `include "blocks/inception.lua"` runs the file once and gives what it returned; a second include
 * of the same file gives the same values. Names are relative to the root file's folder, whoever
 * includes. A name that leads outside, by "..", from the root of the disk or over a symbolic link,
 * is refused: what is opened is the resolved name, and the resolved name is what was checked. */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "front.h"

#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_BYTES = 4096 };

static int raise(lua_State *L, const char *format, ...) PRINTF_LIKE(2, 3);
static int raise(lua_State *L, const char *format, ...)
{
	va_list args;
	Text t;
	text_init(&t, front_of(L)->arena);
	va_start(args, format);
	text_vprintf(&t, format, args);
	va_end(args);
	lua_pushstring(L, t.data);
	return lua_error(L);
}

/* --- names ------------------------------------------------------------------------------------ */

static bool has_parent_step(const char *name)
{
	for (const char *s = name; *s; s += strcspn(s, "/"), s += *s == '/')
		if (!strncmp(s, "..", 2) && (s[2] == '/' || s[2] == '\0')) return true;
	return false;
}

/* The resolved name of a file that may be included. */
static const char *resolve(lua_State *L, const char *name)
{
	Front *f = front_of(L);
	if (!*name || *name == '/' || strchr(name, '\\') || has_parent_step(name))
		raise(L, "include '%.100s': the name must lead below the folder of %s", name,
		    f->options->file);
	if (!f->folder)
		raise(L, "include '%.100s': the folder of %s is not known", name, f->options->file);
	char *found = realpath(arena_printf(f->arena, "%s%s", f->folder, name), NULL);
	if (!found) raise(L, "include '%.100s': no such file in %s", name, f->folder_shown);
	char copy[PATH_BYTES]; /* the arena may jump and Lua may raise: nothing may be held then */
	int length = snprintf(copy, sizeof copy, "%s", found);
	free(found);
	if (length < 0 || length >= PATH_BYTES)
		raise(L, "include '%.100s': the name is too long", name);
	if (strncmp(copy, f->folder, strlen(f->folder)) != 0)
		raise(L, "include '%.100s': a link leads outside of the folder of %s", name,
		    f->options->file);
	struct stat s;
	if (stat(copy, &s) || !S_ISREG(s.st_mode)) raise(L, "include '%.100s' is no plain file", name);
	return arena_copy(f->arena, copy);
}

int include_add(Front *f, const char *shown, const char *real, Where from)
{
	Source s = {.shown = shown, .real = real, .values = LUA_NOREF, .from = from};
	vec_push(f->arena, f->source, s);
	vec_push(f->arena, f->model->file_read, shown);
	return f->source.n - 1;
}

/* --- text ------------------------------------------------------------------------------------- */

/* Text only; a byte order mark and a first line for the shell are passed over, its line break kept.
 */
void include_load(Front *f, lua_State *L, int n)
{
	const char *shown = f->source.at[n].shown;
	const char *path = n == 0 ? f->options->file : f->source.at[n].real;
	char *data, chunk[32];
	size_t size;
	const char *error = file_read(f->arena, path, FILE_BYTES, &data, &size);
	if (error) raise(L, "%s", error);
	if (size && memchr(data, '\x1b', 1))
		raise(L, "%s is a compiled chunk; only text is read", shown);
	const char *text = data;
	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) text += 3, size -= 3;
	if (size && *text == '#') {
		size_t line = 0;
		while (line < size && text[line] != '\n') line++;
		text += line, size -= line;
	}
	if (n == 0) f->text = data;
	snprintf(chunk, sizeof chunk, CHUNK_NAME, n);
	if (luaL_loadbufferx(L, text, size, chunk, "t") != LUA_OK) lua_error(L);
}

/* --- include ---------------------------------------------------------------------------------- */

static int find_source(const Front *f, const char *real)
{
	for (int i = 0; i < f->source.n; i++)
		if (f->source.at[i].real && !strcmp(f->source.at[i].real, real)) return i;
	return -1;
}

static int push_values(lua_State *L, int reference)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
	int n = (int)lua_rawlen(L, -1), t = lua_gettop(L);
	luaL_checkstack(L, n, "too many results");
	for (int i = 1; i <= n; i++) lua_rawgeti(L, t, i);
	return n;
}

static void refuse_cycle(lua_State *L, int n)
{
	Front *f = front_of(L);
	if (n == 0) raise(L, "%s includes itself", f->source.at[0].shown);
	front_error(f, "%s is included while it is running", f->source.at[n].shown);
	front_note(f, f->source.at[n].from, "first included here");
	lua_pushlightuserdata(L, f);
	lua_error(L);
}

static int include(lua_State *L)
{
	Front *f = front_of(L);
	size_t length;
	if (lua_type(L, 1) != LUA_TSTRING)
		return luaL_error(L, "include takes a file's name: include \"blocks.lua\"");
	const char *name = lua_tolstring(L, 1, &length);
	if (strlen(name) != length) return luaL_error(L, "include: the name holds a zero byte");
	const char *real = resolve(L, name);
	int n = find_source(f, real);
	if (n >= 0 && f->source.at[n].running) refuse_cycle(L, n);
	if (n >= 0 && f->source.at[n].values != LUA_NOREF)
		return push_values(L, f->source.at[n].values);
	if (f->source.n >= FILE_LIMIT) return luaL_error(L, "more than %d files", FILE_LIMIT);
	n = include_add(f, arena_printf(f->arena, "%s%s", f->folder_shown, name), real, front_where(f));
	f->source.at[n].running = true;
	lua_settop(L, 0);
	include_load(f, L, n);
	lua_call(L, 0, LUA_MULTRET);
	int values = lua_gettop(L);
	lua_createtable(L, values, 0);
	for (int i = 1; i <= values; i++) {
		lua_pushvalue(L, i);
		lua_rawseti(L, -2, i);
	}
	f->source.at[n].values = luaL_ref(L, LUA_REGISTRYINDEX);
	f->source.at[n].running = false;
	return values;
}

void include_open(lua_State *L)
{
	lua_pushcfunction(L, include);
	lua_setglobal(L, "include");
}
