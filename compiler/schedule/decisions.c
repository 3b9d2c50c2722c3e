/* decisions: the record of schedules as a file: lines "key = text", '#' begins a comment. A key is
 * a nest's name, a target, the extents and a hash of the rest: "conv/avx2 oh28 ow28 @1a2b3c4d". */
#include "schedule.h"

/* Without spaces around; a comment is none of it. */
static char *trimmed(char *line)
{
	line[strcspn(line, "#\r")] = '\0';
	line += strspn(line, " \t");
	char *end = line + strlen(line);
	while (end > line && strchr(" \t", end[-1])) *--end = '\0';
	return line;
}

/* The target that a key speaks of; NULL: it is no key. */
static const Target *target_of(Arena *a, const char *key)
{
	const char *slash = strchr(key, '/'), *hash = strstr(key, " @");
	if (!slash || slash == key || !hash || strlen(hash) != 10) return NULL;
	if (strspn(hash + 2, "0123456789abcdef") != 8) return NULL;
	return target_find(arena_printf(a, "%.*s", (int)strcspn(slash + 1, " "), slash + 1));
}

static bool read_line(Decisions *d, Diag *diag, char *line, Where where)
{
	line = trimmed(line);
	if (!*line) return true;
	char *end = line + strlen(line), *equals = strstr(line, " = ");
	const char *text = equals ? equals + 3 : end;
	if (!equals && end - line > 2 && strcmp(end - 2, " =") == 0) equals = end - 2; /* no loops */
	if (!equals) {
		diag_error(diag, where, "a decision is 'key = text', not '%s'", line);
		return false;
	}
	*equals = '\0';
	const Target *target = target_of(d->arena, line);
	if (!target) {
		diag_error(diag, where, "'%s' is no key: name/target extents @hash", line);
		return false;
	}
	struct Decision item = {.key = line, .text = text, .where = where, .target = target};
	vec_push(d->arena, d->item, item);
	return true;
}

bool decisions_read(Decisions *d, Diag *diag, const char *path)
{
	enum { FILE_LIMIT = 1 << 24 };
	char *data;
	size_t size;
	if (!path) return true;
	const char *error = file_read(d->arena, path, FILE_LIMIT, &data, &size);
	if (error) {
		diag_error(diag, (Where){0}, "%s", error);
		return false;
	}
	bool ok = true;
	int number = 0;
	for (char *line = data; *line;) {
		size_t n = strcspn(line, "\n");
		bool last = line[n] == '\0';
		line[n] = '\0';
		ok &= read_line(d, diag, line, (Where){path, ++number, NULL, 0});
		line += n + !last;
	}
	return ok;
}

/* An item of the same key that was asked first. */
static const struct Decision *twin(const Decisions *d, int of)
{
	for (int i = 0; i < of; i++)
		if (!strcmp(d->item.at[i].key, d->item.at[of].key)) return &d->item.at[i];
	return NULL;
}

void decisions_check(
    const Decisions *d, Diag *diag, const Target *const *target, int ntarget, bool shared)
{
	enum { SHOWN = 20 };
	int unused = 0;
	for (int i = 0; i < d->item.n; i++) {
		const struct Decision *item = &d->item.at[i];
		bool compiled = false;
		for (int t = 0; t < ntarget; t++) compiled |= target[t] == item->target;
		if (item->fault) diag_error(diag, item->where, "%s: %s", item->key, item->fault);
		if (item->taken || item->fault || !compiled) continue;
		const struct Decision *first = twin(d, i);
		if (first)
			diag_error(
			    diag, item->where, "%s was decided in line %d", item->key, first->where.line);
		else if (!shared && unused++ < SHOWN)
			diag_warning(diag, item->where, "%s: no nest has this key", item->key);
	}
	if (unused > SHOWN)
		diag_note(diag, (Where){0}, "%d more decisions were not used", unused - SHOWN);
}

void decisions_print(const Decisions *d, Text *out)
{
	for (int i = 0; i < d->item.n; i++)
		if (d->item.at[i].taken)
			text_printf(out, "%s = %s\n", d->item.at[i].key, d->item.at[i].text);
}
