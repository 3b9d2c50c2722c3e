/* safetensors, matching: a file against what is expected of it. */
#include "pattern.h"
#include "safetensors.h"

#include <stdlib.h>

enum { LISTED = 8 }; /* of each kind; the rest is counted */

/* A list in words: "a, b, c and 4 more". */
typedef struct {
	char text[1200];
	size_t length, n;
} List;

static void list_add(List *l, const char *item)
{
	if (l->n++ >= LISTED) return;
	int n = snprintf(
	    l->text + l->length, sizeof l->text - l->length, "%s%.140s", l->length ? ", " : "", item);
	if (n > 0) l->length += (size_t)n;
	if (l->length >= sizeof l->text) l->length = sizeof l->text - 1;
}

static void list_end(List *l)
{
	if (l->n > LISTED)
		snprintf(l->text + l->length, sizeof l->text - l->length, " and %zu more", l->n - LISTED);
}

static void show_shape(char *text, size_t room, int rank, const size_t *dim)
{
	size_t at = (size_t)snprintf(text, room, "[");
	for (int i = 0; i < rank && at < room; i++)
		at += (size_t)snprintf(text + at, room - at, "%s%zu", i ? "," : "", dim[i]);
	if (at < room) snprintf(text + at, room - at, "]");
}

static bool same_shape(const SafetensorsTensor *t, const SafetensorsExpected *x)
{
	if (t->rank != x->rank) return false;
	for (int i = 0; i < t->rank; i++)
		if (t->dim[i] != x->dim[i]) return false;
	return true;
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = suffix ? strlen(suffix) : 0;
	return k && n >= k && !strcmp(name + n - k, suffix);
}

static bool meets_any(const char *const *pattern, const char *name)
{
	for (; pattern && *pattern; pattern++)
		if (pattern_meets(*pattern, name)) return true;
	return false;
}

typedef struct {
	List missing, left_over, differing;
	bool *known; /* by tensor of the file: it is expected */
} Comparison;

/* Fills the lists of missing and differing tensors, but for those that may be so: they are kept. */
static void compare_expected(Comparison *c, const Safetensors *s,
    const SafetensorsExpected *expected, size_t n, const char *const *may_miss, bool *kept)
{
	for (size_t i = 0; i < n; i++) {
		const SafetensorsTensor *t = safetensors_find(s, expected[i].name);
		if (t) c->known[t - s->tensor] = true;
		bool fits = t && same_shape(t, &expected[i]);
		bool keep = !fits && meets_any(may_miss, expected[i].name);
		if (kept) kept[i] = keep;
		if (fits || keep) continue;
		if (!t) {
			list_add(&c->missing, expected[i].name);
			continue;
		}
		char has[SAFETENSORS_RANK * 22], wants[SAFETENSORS_RANK * 22], item[512];
		show_shape(has, sizeof has, t->rank, t->dim);
		show_shape(wants, sizeof wants, expected[i].rank, expected[i].dim);
		snprintf(item, sizeof item, "%.60s is %.36s, not %.36s", t->name, has, wants);
		list_add(&c->differing, item);
	}
}

/* A pattern that meets nothing is misspelt. */
static bool check_patterns(const char *path, const SafetensorsExpected *expected, size_t n,
    const char *const *pattern, FormatError *e)
{
	for (; pattern && *pattern; pattern++) {
		size_t i = 0, length = strlen(*pattern);
		const char *hint = NULL;
		while (i < n && !pattern_meets(*pattern, expected[i].name)) {
			const char *name = expected[i++].name;
			bool below = !strncmp(name, *pattern, length) && name[length] == '.';
			if (below) hint = *pattern;
		}
		if (i < n) continue;
		return format_fail(e,
		    "%.300s: allow_missing '%.200s' meets no tensor of the network%s%.200s%s", path,
		    *pattern, hint ? "; did you mean '" : "", hint ? hint : "", hint ? ".*'?" : "");
	}
	return true;
}

bool safetensors_match(const Safetensors *s, const char *path, const SafetensorsExpected *expected,
    size_t n, const char *passed_over, const SafetensorsAllow *allow, bool *kept, FormatError *e)
{
	const char *const *missing = allow ? allow->missing : NULL;
	const char *const *left_over = allow ? allow->left_over : NULL;
	if (!check_patterns(path, expected, n, missing, e)) return false;
	Comparison c = {.known = calloc(s->tensors ? s->tensors : 1, sizeof *c.known)};
	if (!c.known) return format_fail(e, "%s: no memory", path);
	compare_expected(&c, s, expected, n, missing, kept);
	for (size_t i = 0; i < s->tensors; i++) {
		const char *name = s->tensor[i].name;
		if (!c.known[i] && !ends_in(name, passed_over) && !meets_any(left_over, name))
			list_add(&c.left_over, name);
	}
	free(c.known);
	if (!c.missing.n && !c.left_over.n && !c.differing.n) return true;
	list_end(&c.missing);
	list_end(&c.left_over);
	list_end(&c.differing);
	return format_fail(e, "%.300s: these are not the expected tensors%s%s%s%s%s%s", path,
	    c.missing.n ? "\n  missing: " : "", c.missing.text, c.left_over.n ? "\n  left over: " : "",
	    c.left_over.text, c.differing.n ? "\n  differing: " : "", c.differing.text);
}

bool safetensors_check(const Safetensors *s, const char *path, const SafetensorsExpected *expected,
    size_t n, const char *passed_over, FormatError *e)
{
	return safetensors_match(s, path, expected, n, passed_over, NULL, NULL, e);
}
