/* place: mistakes and their lines. Lua knows lines, not columns; the innermost line of Lua is where
 * the mistake is, the lines that called it are why: a block function is called sixteen times. */
#include "front.h"

enum { CALLERS_SHOWN = 6 };

static const char *shown_name(const Front *f, int chunk)
{
	return chunk >= 0 && chunk < f->source.n ? f->source.at[chunk].shown : f->options->file;
}

/* The place at or after *level; moves *level behind it. */
static bool next_place(Front *f, int *level, const char **file, int *line)
{
	int chunk;
	if (!sandbox_place(f->sandbox.L, level, &chunk, line)) return false;
	*file = shown_name(f, chunk);
	++*level;
	return true;
}

static Where where_from(Front *f, int *level)
{
	Where w = {0};
	if (!next_place(f, level, &w.file, &w.line)) return (Where){.file = f->options->file};
	if (!next_place(f, level, &w.caller_file, &w.caller_line)) w.caller_file = NULL;
	return w;
}

Where front_where(Front *f)
{
	int level = 0;
	return where_from(f, &level);
}

/* Notes for the callers of the caller; the nearest one is part of the message. */
static void note_callers(Front *f, int level)
{
	Where w = {0};
	for (int n = 0; n < CALLERS_SHOWN && next_place(f, &level, &w.file, &w.line); n++)
		diag_note(f->diag, w, "called from here");
}

/* Ends the run by an error that says nothing. */
static void stop_when_full(Front *f)
{
	if (f->diag->errors < DIAG_LIMIT) return;
	lua_pushlightuserdata(f->sandbox.L, f);
	lua_error(f->sandbox.L);
}

void front_error(Front *f, const char *format, ...)
{
	Text text;
	va_list args;
	text_init(&text, f->arena);
	va_start(args, format);
	text_vprintf(&text, format, args);
	va_end(args);
	int level = 0;
	Where w = where_from(f, &level);
	diag_error(f->diag, w, "%s", text.data);
	note_callers(f, level);
	stop_when_full(f);
}

void front_reported(Front *f, int errors)
{
	if (f->diag->errors == errors) return;
	int level = 0;
	where_from(f, &level);
	note_callers(f, level);
	stop_when_full(f);
}

void front_note(Front *f, Where where, const char *text)
{
	diag_note(f->diag, where, "%s", text);
	if (where.caller_file)
		diag_note(
		    f->diag, (Where){where.caller_file, where.caller_line, NULL, 0}, "called from here");
}

const char *front_hint(Front *f, const char *word, const char *const *choices, int n)
{
	const char *near = diag_nearest(word, choices, n);
	for (int i = 0; !near && i < n; i++) { /* padding for pad, chan for channels */
		size_t shorter = MIN(strlen(choices[i]), strlen(word));
		if (shorter >= 3 && !strncmp(choices[i], word, shorter)) near = choices[i];
	}
	return near ? arena_printf(f->arena, "; did you mean %s?", near) : "";
}

/* --- errors of Lua itself --------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; } /* whatever the locale */

/* Takes "cnnc#N:LINE: " off the front of a message and gives the place it names. */
static const char *take_prefix(const Front *f, const char *text, Where *w)
{
	char source[32];
	size_t n = strcspn(text, ":");
	if (n >= sizeof source - 1 || text[n] != ':') return text;
	snprintf(source, sizeof source, "=%.*s", (int)n, text);
	int chunk = sandbox_chunk(source), line = 0;
	const char *s = text + n + 1;
	if (chunk < 0 || chunk >= f->source.n || !is_digit(*s)) return text;
	for (; is_digit(*s) && line < 100000000; s++) line = 10 * line + (*s - '0');
	if (s[0] != ':' || s[1] != ' ') return text;
	w->file = f->source.at[chunk].shown;
	w->line = line;
	return s + 2;
}

/* Internal chunk names elsewhere in a message ("(to close 'if' at line 3)" has none) are left
 * alone. */
int front_handler(lua_State *L)
{
	Front *f = front_of(L);
	if (lua_touserdata(L, 1) == f) return 1;
	int level = 0;
	Where w = where_from(f, &level), named = {0};
	const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : NULL;
	if (!text) text = arena_printf(f->arena, "the error is a %s, not a text", luaL_typename(L, 1));
	text = take_prefix(f, text, &named);
	bool elsewhere = named.file && (named.line != w.line || strcmp(named.file, w.file) != 0);
	if (elsewhere && w.line > 0) named.caller_file = w.file, named.caller_line = w.line;
	diag_error(f->diag, elsewhere ? named : w, "%s", text);
	if (!elsewhere) note_callers(f, level);
	lua_pushlightuserdata(L, f);
	return 1;
}

void front_fault(Front *f, lua_State *L, int status)
{
	if (status == LUA_OK || (lua_gettop(L) > 0 && lua_touserdata(L, -1) == f)) return;
	const Sandbox *s = &f->sandbox;
	Where w = {.file = f->options->file};
	if (s->refused && s->refused_chunk >= 0)
		w = (Where){shown_name(f, s->refused_chunk), s->refused_line, NULL, 0};
	if (status == LUA_ERRMEM)
		diag_error(
		    f->diag, w, "not enough memory: %s", s->refused ? s->refused : "the limit is reached");
	else
		diag_error(f->diag, w, "calls are nested too deeply");
}

/* --- names ------------------------------------------------------------------------------------ */

bool front_is_name(const char *s)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	return *s && !is_digit(*s) && strlen(s) <= NAME_LIMIT && s[strspn(s, letters)] == '\0';
}

/* Names of outputs and inputs become names of C arguments, and those of the arguments that are
 * there anyway would read badly twice. */
bool front_is_taken(const char *s)
{
	static const char words[] =
	    " int32_t int64_t ptrdiff_t size_t uint32_t uint64_t uint8_t vars slots "
	    "grads packed work pool seed step loss n t rate momentum decay main ";
	if (is_keyword(s)) return true;
	const char *at = words;
	size_t n = strlen(s);
	while ((at = strstr(at, s))) {
		if (at[-1] == ' ' && at[n] == ' ') return true;
		at += 1;
	}
	return strncmp(s, "cnnc_", 5) == 0 || strncmp(s, "__", 2) == 0;
}
