/* diag: collects what is said to the user, in order. Nothing here prints or exits.
 *
 * Invariants: at most DIAG_LIMIT errors are kept, and the notes of errors that were not kept are
 * dropped with them; `errors` counts all. */
#include "diag.h"

void diag_init(Diag *d, Arena *a) { *d = (Diag){.arena = a}; }

static void add(Diag *d, Severity severity, Where where, const char *format, va_list args)
{
	Text text;
	text_init(&text, d->arena);
	text_vprintf(&text, format, args);
	vec_push(d->arena, d->message, ((Message){severity, where, text.data}));
}

void diag_error(Diag *d, Where where, const char *format, ...)
{
	d->errors++;
	if (d->errors > DIAG_LIMIT) {
		if (d->errors > DIAG_LIMIT + 1) return;
		vec_push(d->arena, d->message, ((Message){DIAG_NOTE, {0}, "more errors are not shown"}));
		return;
	}
	va_list args;
	va_start(args, format);
	add(d, DIAG_ERROR, where, format, args);
	va_end(args);
}

void diag_warning(Diag *d, Where where, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	add(d, DIAG_WARNING, where, format, args);
	va_end(args);
}

void diag_note(Diag *d, Where where, const char *format, ...)
{
	if (d->errors > DIAG_LIMIT) return;
	va_list args;
	va_start(args, format);
	add(d, DIAG_NOTE, where, format, args);
	va_end(args);
}

/* One line. Names come from strangers' files: control characters must not reach a terminal. */
static void print_line(Text *out, const char *file, int line, const char *word, const char *text)
{
	size_t start = out->len;
	if (file && line > 0)
		text_printf(out, "%s:%d: ", file, line);
	else if (file)
		text_printf(out, "%s: ", file);
	else
		text_add(out, "cnnc: ");
	text_printf(out, "%s: %s", word, text);
	for (size_t i = start; i < out->len; i++) {
		unsigned char c = (unsigned char)out->data[i];
		if ((c < ' ' && c != '\n' && c != '\t') || c == 0x7f) out->data[i] = '?';
	}
	text_add(out, "\n");
}

void diag_print(const Diag *d, Text *out)
{
	static const char *const word[] = {"error", "warning", "note"};
	for (int i = 0; i < d->message.n; i++) {
		const Message *m = &d->message.at[i];
		print_line(out, m->where.file, m->where.line, word[m->severity], m->text);
		if (m->where.caller_file && m->severity != DIAG_NOTE)
			print_line(out, m->where.caller_file, m->where.caller_line, "note", "called from here");
	}
}

enum { WORD_LIMIT = 48 };

/* Edit distance (insert, delete, replace, swap of neighbours) of words up to WORD_LIMIT, case
 * ignored. */
static int distance(const char *a, const char *b)
{
	int na = (int)strlen(a), nb = (int)strlen(b);
	int row[3][WORD_LIMIT + 1];
	for (int j = 0; j <= nb; j++) row[0][j] = j;
	for (int i = 1; i <= na; i++) {
		int *now = row[i % 3], *above = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = i;
		for (int j = 1; j <= nb; j++) {
			bool same = (a[i - 1] | 32) == (b[j - 1] | 32);
			now[j] = MIN(MIN(now[j - 1], above[j]) + 1, above[j - 1] + !same);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
	}
	return row[na % 3][nb];
}

const char *diag_nearest(const char *word, const char *const *choices, int n)
{
	size_t length = strlen(word);
	if (length == 0 || length > WORD_LIMIT) return NULL;
	int best =
	    (int)(length + 2) / 3 + 1; /* two letters off in four, three in seven: no wild guesses */
	const char *nearest = NULL;
	for (int i = 0; i < n; i++) {
		if (strlen(choices[i]) > WORD_LIMIT) continue;
		int d = distance(word, choices[i]);
		if (d < best) {
			best = d;
			nearest = choices[i];
		}
	}
	return nearest;
}
