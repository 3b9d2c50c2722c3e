/* outputs: the names of what a compilation writes, and the text of the depfile. */
#include "options.h"

/* `name` without its extension, if the last part of the path has one. */
static char *stem(Arena *a, const char *name)
{
	char *s = arena_copy(a, name);
	char *slash = strrchr(s, '/'), *dot = strrchr(s, '.');
	if (dot && dot != s && (!slash || dot > slash + 1)) *dot = '\0';
	return s;
}

const char *options_output(Arena *a, const Options *o)
{
	if (o->output) return o->output;
	const char *slash = strrchr(o->file, '/');
	return arena_printf(a, "%s.c", stem(a, slash ? slash + 1 : o->file));
}

const char *options_header(Arena *a, const Options *o)
{
	return arena_printf(a, "%s.h", stem(a, options_output(a, o)));
}

const char *options_depfile(Arena *a, const Options *o)
{
	if (o->depfile_name) return o->depfile_name;
	return arena_printf(a, "%s.d", stem(a, options_output(a, o)));
}

/* As gcc writes names and make and ninja read them: a space or tab gets a backslash, and so does
 * each backslash before it; '#' gets a backslash; '$' is doubled. */
static void add_name(Text *out, const char *name)
{
	int slashes = 0;
	for (const char *c = name; *c; c++) {
		if (*c == ' ' || *c == '\t') {
			for (int i = 0; i <= slashes; i++) text_add(out, "\\");
		} else if (*c == '$') {
			text_add(out, "$");
		} else if (*c == '#') {
			text_add(out, "\\");
		}
		slashes = *c == '\\' ? slashes + 1 : 0;
		text_addn(out, c, 1);
	}
}

void options_depfile_text(
    const Options *o, const char *target, const char *const *read, int n, Text *out)
{
	if (o->depfile_target)
		text_add(out, o->depfile_target);
	else
		add_name(out, target);
	text_add(out, ":");
	for (int i = 0; i < n; i++) {
		text_add(out, i ? " \\\n  " : " ");
		add_name(out, read[i]);
	}
	text_add(out, "\n");
	for (int i = 1; i < n && o->depfile_phony; i++) {
		text_add(out, "\n");
		add_name(out, read[i]);
		text_add(out, ":\n");
	}
}
