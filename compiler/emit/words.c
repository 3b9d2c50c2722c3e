/* words: what arguments are called in C.
 *
 * Users name inputs and outputs; the text has names of its own, in the same scopes. So that none of
 * those is forgotten here, the text is first drafted without the users' names, and every word that
 * it declares or says where they can be seen is taken. A name that is taken gets a '_' behind. */
#include "internal.h"

/* --- a set of words -------------------------------------------------------------------------- */

static bool has(const Words *w, const char *s, size_t n, size_t *at)
{
	for (*at = hash_bytes(s, n, 0) & (w->room - 1); w->at[*at]; *at = (*at + 1) & (w->room - 1))
		if (!strncmp(w->at[*at], s, n) && !w->at[*at][n]) return true;
	return false;
}

static void put(Arena *a, Words *w, const char *s, size_t n)
{
	size_t at;
	if (2 * w->n >= w->room) {
		Words more = {.room = w->room ? 2 * w->room : 256};
		more.at = NEWS(a, const char *, more.room);
		for (size_t i = 0; i < w->room; i++)
			if (w->at[i]) put(a, &more, w->at[i], strlen(w->at[i]));
		*w = more;
	}
	if (has(w, s, n, &at)) return;
	w->at[at] = arena_printf(a, "%.*s", (int)n, s);
	w->n++;
}

/* --- a text's words -------------------------------------------------------------------------- */

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
static const char digits_too[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

/* Letters, digits and '_' from s on. */
static size_t word_length(const char *s)
{
	size_t n = 0;
	while (s[n] == '_' || (s[n] >= '0' && s[n] <= '9') || (s[n] >= 'a' && s[n] <= 'z') ||
	       (s[n] >= 'A' && s[n] <= 'Z'))
		n++;
	return n;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Behind a comment, a string, a character or a number at s; s itself: there is none. */
static const char *skip(const char *s)
{
	if (s[0] == '/' && s[1] == '*') {
		const char *end = strstr(s + 2, "*/");
		return end ? end + 2 : s + strlen(s);
	}
	if (*s == '"' || *s == '\'') {
		char quote = *s++;
		while (*s && *s != quote) s += *s == '\\' && s[1] ? 2 : 1;
		return *s ? s + 1 : s;
	}
	if (is_digit(*s)) return s + word_length(s);
	return s;
}

/* A line of the preprocessor: what it defines. */
static const char *take_directive(Emission *e, const char *s)
{
	const char *define = "#define ";
	if (!strncmp(s, define, strlen(define))) {
		s += strlen(define);
		put(e->arena, &e->taken, s, word_length(s));
	}
	while (*s && *s != '\n') s += s[0] == '\\' && s[1] ? 2 : 1;
	return s;
}

void take_words(Emission *e, const char *text, bool bodies)
{
	const char *s = text;
	int depth = 0;
	char last = '\n'; /* before s, spaces left out; '"' for a string */
	while (*s) {
		const char *behind = skip(s);
		size_t n = is_digit(*s) ? 0 : word_length(s);
		if (behind != s) {
			if (*s != '/') last = *s;
			s = behind;
			continue;
		}
		if (*s == '#' && last == '\n') {
			s = take_directive(e, s);
			continue;
		}
		bool member = last == '.' || (last == '>' && s > text + 1 && s[-2] == '-');
		if (n && (depth == 0 || bodies) && !member) put(e->arena, &e->taken, s, n);
		if (*s == '(' || (*s == '{' && last != '"')) depth++; /* not of extern "C" { */
		if ((*s == ')' || *s == '}') && depth > 0) depth--;
		if (n || !strchr(" \t", *s)) last = *s;
		s += n ? n : 1;
	}
}

/* --- names ----------------------------------------------------------------------------------- */

/* What the headers of C define beside what the text mentions: macros, which are in capitals, types,
 * which end in _t, and these; the dialects of compilers have some, too. */
static bool is_foreign(const char *s)
{
	static const char *const words[] = {"I", "complex", "errno", "i386", "imaginary", "linux",
	    "math_errhandling", "noreturn", "signgam", "stderr", "stdin", "stdout", "unix"};
	size_t n = strlen(s);
	if (s[n - 1] == '_') return false; /* so that a '_' behind always ends it */
	if (n > 1 && s[strcspn(s, "abcdefghijklmnopqrstuvwxyz")] == '\0') return true;
	if (n > 2 && !strcmp(s + n - 2, "_t")) return true;
	for (int i = 0; i < COUNT(words); i++)
		if (!strcmp(words[i], s)) return true;
	return is_keyword(s);
}

static bool is_taken(const Emission *e, const char *s)
{
	size_t at;
	return is_foreign(s) || has(&e->taken, s, strlen(s), &at);
}

/* _X and __x are C's own. */
static char *word_of(Arena *a, const char *name)
{
	while (name[0] == '_' && (name[1] == '_' || (name[1] >= 'A' && name[1] <= 'Z'))) name++;
	char *word = arena_printf(a, "%s%s", strspn(name, letters) ? "" : "_", name);
	for (char *c = word; *c; c++)
		if (!strchr(digits_too, *c)) *c = '_';
	return word;
}

void name_arguments(Emission *e)
{
	const Program *program = e->program;
	e->argument = NEWS(e->arena, const char **, program->part.n + 1);
	for (int i = 0; i < program->part.n; i++) {
		const Part *p = program->part.at[i];
		const char **name = e->argument[i] = NEWS(e->arena, const char *, p->arg.n + 1);
		for (int k = 0; k < p->arg.n; k++) {
			char *word = word_of(e->arena, p->arg.at[k].name);
			bool taken = is_taken(e, word);
			for (int j = 0; j < k || taken; j++) {
				if (!taken && strcmp(name[j], word) != 0) continue;
				word = arena_printf(e->arena, "%s_", word);
				taken = is_taken(e, word);
				j = -1;
			}
			name[k] = word;
		}
	}
}

int part_number(const Emission *e, const Part *p)
{
	int i = 0;
	while (e->program->part.at[i] != p) i++;
	return i;
}

const char *argument_name(const Emission *e, const Part *p, int argument)
{
	return e->argument ? e->argument[part_number(e, p)][argument] : "0"; /* no word: a draft */
}
