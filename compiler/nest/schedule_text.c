/* schedule_text: schedules as text, one line of a table: "pad oc 16 | par oc 16 | oh | reg ow |
 * ic". The text may come from a file of decisions, so everything wrong with it is said, not assumed
 * away. */
#include "internal.h"

static const char *const kind_names[] = {
    [LINE_FOR] = "for",
    [LINE_PAR] = "par",
    [LINE_TILE] = "tile",
    [LINE_PHASE] = "phase",
    [LINE_REG] = "reg",
    [LINE_VEC] = "vec",
    [LINE_CUT] = "cut",
    [LINE_UNROLL] = "unroll",
};

enum { WORDS = 3, WORD_ROOM = 64 };

/* Splits one line at spaces. Returns how many words, or -1 for too many or too long ones. */
static int read_words(const char **p, char word[WORDS][WORD_ROOM])
{
	int n = 0;
	for (;;) {
		while (**p == ' ' || **p == '\t') ++*p;
		if (!**p || **p == '|') return n;
		if (n == WORDS) return -1;
		size_t len = strcspn(*p, " \t|");
		if (len >= WORD_ROOM) return -1;
		memcpy(word[n], *p, len);
		word[n++][len] = 0;
		*p += len;
	}
}

static int dim_named(const Nest *n, const char *word)
{
	for (int d = 0; d < n->ndim; d++)
		if (!strcmp(n->dim[d].name, word)) return d;
	return -1;
}

static bool read_by(const char *word, int64_t *by)
{
	*by = 0;
	for (; *word; word++)
		if (*word < '0' || *word > '9' || !mul_fits(*by, 10, by) || !add_fits(*by, *word - '0', by))
			return false;
	return *by > 0;
}

/* Not a line: the extent rounded up to a multiple of `by`. */
static const char *add_pad(Arena *a, const Nest *n, int dim, int64_t by, Schedule *s)
{
	if (n->dim[dim].reduce) return arena_printf(a, "pad %s: not a space dim", n->dim[dim].name);
	int64_t blocks = (n->dim[dim].extent - 1) / (by ? by : 1) + 1;
	if (!mul_fits(blocks, by ? by : 1, &s->extent[dim]))
		return arena_printf(a, "pad %s: too large", n->dim[dim].name);
	return NULL;
}

/* One line of words: [kind] dim [by], or pad dim by. */
static const char *add_line(
    Arena *a, const Nest *n, char word[WORDS][WORD_ROOM], int nword, Schedule *s)
{
	int kind = -1, at = 0;
	bool pad = nword > 1 && !strcmp(word[0], "pad");
	for (int k = 0; k < COUNT(kind_names); k++)
		if (nword > 1 && !strcmp(word[0], kind_names[k])) kind = k;
	if (kind >= 0 || pad) at = 1;
	int dim = dim_named(n, word[at]);
	if (dim < 0) return arena_printf(a, "nest %s has no dim '%s'", n->name, word[at]);
	int64_t by = 0;
	if (at + 1 < nword && !read_by(word[at + 1], &by))
		return arena_printf(a, "'%s' is not a positive number", word[at + 1]);
	if (at + 2 < nword) return arena_printf(a, "'%s' is not understood", word[at + 2]);
	if (pad) return add_pad(a, n, dim, by, s);
	if (s->n == SCHEDULE_LINES) return arena_printf(a, "more than %d lines", SCHEDULE_LINES);
	s->line[s->n++] = (Line){kind < 0 ? LINE_FOR : (LineKind)kind, dim, by};
	return NULL;
}

const char *schedule_parse(Arena *a, const Nest *n, const char *text, Schedule *s)
{
	*s = (Schedule){0};
	for (const char *p = text;; p++) {
		char word[WORDS][WORD_ROOM];
		int nword = read_words(&p, word);
		if (nword < 0) return arena_printf(a, "a line of the schedule is too long: %s", text);
		const char *wrong = nword ? add_line(a, n, word, nword, s) : NULL;
		if (wrong) return wrong;
		if (!*p) return NULL;
	}
}

/* Padding comes first and gives the extent itself, which reads back as a multiple of itself. */
void schedule_print(const Nest *n, const Schedule *s, Text *out)
{
	const char *bar = "";
	for (int d = 0; d < n->ndim; d++) {
		if (s->extent[d] <= n->dim[d].extent) continue;
		text_printf(out, "%spad %s %lld", bar, n->dim[d].name, (long long)s->extent[d]);
		bar = " | ";
	}
	for (int i = 0; i < s->n; i++) {
		const Line *line = &s->line[i];
		text_add(out, bar);
		if (line->kind != LINE_FOR) text_printf(out, "%s ", kind_names[line->kind]);
		text_add(out, n->dim[line->dim].name);
		if (line->by) text_printf(out, " %lld", (long long)line->by);
		bar = " | ";
	}
}
