/* npy: one array in NumPy's format. */
#include "npy.h"

#include <stdlib.h>

static const struct {
	const char *descr;
	int bytes;
} type_table[NPY_TYPES] = {
    [NPY_F4] = {"<f4", 4},
    [NPY_F8] = {"<f8", 8},
    [NPY_I4] = {"<i4", 4},
    [NPY_I8] = {"<i8", 8},
    [NPY_U1] = {"|u1", 1},
};

/* --- the dict ----------------------------------------------------------------------------- */

typedef struct {
	const char *at, *end;
} Cursor;

static void skip_blanks(Cursor *c)
{
	while (c->at < c->end && (*c->at == ' ' || *c->at == '\n')) c->at++;
}

/* The literal `s`, after blanks. */
static bool take(Cursor *c, const char *s)
{
	skip_blanks(c);
	size_t n = strlen(s);
	if ((size_t)(c->end - c->at) < n || memcmp(c->at, s, n)) return false;
	c->at += n;
	return true;
}

/* A quoted word without escapes, shorter than `room`. */
static bool take_word(Cursor *c, char *word, size_t room)
{
	skip_blanks(c);
	if (c->at == c->end || (*c->at != '\'' && *c->at != '"')) return false;
	char quote = *c->at++;
	size_t n = 0;
	while (c->at < c->end && *c->at != quote) {
		if (*c->at == '\\' || n + 1 >= room) return false;
		word[n++] = *c->at++;
	}
	word[n] = '\0';
	return take(c, (char[]){quote, '\0'});
}

static bool take_size(Cursor *c, size_t *size)
{
	skip_blanks(c);
	const char *start = c->at;
	size_t v = 0;
	while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
		size_t digit = (size_t)(*c->at++ - '0');
		if (v > (SIZE_MAX - digit) / 10) return false;
		v = 10 * v + digit;
	}
	*size = v;
	return c->at > start;
}

/* (3, 4) or (3,) or (): a single number needs its comma. */
static bool take_shape(Cursor *c, Npy *a, const char *path, FormatError *e)
{
	if (!take(c, "(")) return format_fail(e, "%s: shape is not a tuple", path);
	bool comma = true;
	while (!take(c, ")")) {
		size_t dim;
		if (!comma || !take_size(c, &dim))
			return format_fail(e, "%s: shape is not a tuple of sizes", path);
		if (a->rank == NPY_RANK)
			return format_fail(e, "%s: more than %d dimensions", path, NPY_RANK);
		a->dim[a->rank++] = dim;
		comma = take(c, ",");
	}
	if (a->rank == 1 && !comma) return format_fail(e, "%s: shape is not a tuple", path);
	return true;
}

static bool take_descr(Cursor *c, Npy *a, const char *path, FormatError *e)
{
	char word[32];
	if (!take_word(c, word, sizeof word))
		return format_fail(e, "%s: descr is not the name of a type", path);
	for (int i = 0; i < NPY_TYPES; i++)
		if (!strcmp(word, type_table[i].descr)) {
			a->type = (NpyType)i;
			return true;
		}
	return format_fail(
	    e, "%s: type '%s' is not supported ('<f4' '<f8' '<i4' '<i8' '|u1' are)", path, word);
}

static bool take_order(Cursor *c, const char *path, FormatError *e)
{
	if (take(c, "False")) return true;
	if (take(c, "True"))
		return format_fail(e, "%s: Fortran order is not supported; save a C-ordered copy", path);
	return format_fail(e, "%s: fortran_order is neither True nor False", path);
}

static bool take_dict(Cursor *c, Npy *a, const char *path, FormatError *e)
{
	enum { DESCR = 1, ORDER = 2, SHAPE = 4 };
	unsigned seen = 0;
	if (!take(c, "{")) return format_fail(e, "%s: the header is not a dict", path);
	while (!take(c, "}")) {
		char key[32];
		if (!take_word(c, key, sizeof key) || !take(c, ":"))
			return format_fail(e, "%s: the header's dict is malformed", path);
		unsigned which = !strcmp(key, "descr")           ? DESCR
		                 : !strcmp(key, "fortran_order") ? ORDER
		                 : !strcmp(key, "shape")         ? SHAPE
		                                                 : 0;
		if (!which || seen & which)
			return format_fail(e, "%s: the key '%s' is %s", path, key,
			    which ? "given twice" : "not one of descr, fortran_order, shape");
		seen |= which;
		bool ok = which == DESCR   ? take_descr(c, a, path, e)
		          : which == ORDER ? take_order(c, path, e)
		                           : take_shape(c, a, path, e);
		if (!ok) return false;
		if (take(c, ",")) continue;
		if (!take(c, "}")) return format_fail(e, "%s: the header's dict is malformed", path);
		break;
	}
	if (seen != (DESCR | ORDER | SHAPE))
		return format_fail(e, "%s: the header needs descr, fortran_order and shape", path);
	skip_blanks(c);
	if (c->at != c->end) return format_fail(e, "%s: text after the header's dict", path);
	return true;
}

/* --- reading ------------------------------------------------------------------------------ */

/* count and the bytes of the data, without overflow. */
static bool measure(Npy *a, size_t *bytes, const char *path, FormatError *e)
{
	a->count = 1;
	bool fits = true;
	for (int i = 0; i < a->rank; i++)
		fits = fits && format_multiply(a->count, a->dim[i], &a->count);
	fits = fits && format_multiply(a->count, (size_t)type_table[a->type].bytes, bytes);
	return fits || format_fail(e, "%s: the shape has too many elements", path);
}

/* Little-endian numbers of the file as numbers of this machine. */
static void decode(void *out, const unsigned char *from, size_t count, int bytes)
{
	unsigned char *to = out;
	size_t width = (size_t)bytes;
	for (size_t i = 0; i < count; i++, to += width, from += width) {
		uint64_t bits = format_get(from, bytes);
		uint32_t four = (uint32_t)bits;
		if (bytes == 8)
			memcpy(to, &bits, 8);
		else if (bytes == 4)
			memcpy(to, &four, 4);
		else
			*to = *from;
	}
}

static bool parse(const unsigned char *data, size_t size, const char *path, Npy *a, FormatError *e)
{
	if (size < 10 || memcmp(data, "\x93NUMPY", 6))
		return format_fail(e, "%s: not a file of NumPy's .npy format", path);
	int major = data[6], wide = major == 1 ? 2 : 4;
	if ((major != 1 && major != 2) || data[7] != 0)
		return format_fail(
		    e, "%s: version %d.%d of the format is not supported", path, major, data[7]);
	size_t start = 8 + (size_t)wide;
	if (size < start) return format_fail(e, "%s: ends inside its header", path);
	uint64_t header = format_get(data + 8, wide);
	if (header > NPY_HEADER_LIMIT) return format_fail(e, "%s: the header is too long", path);
	if (header > size - start) return format_fail(e, "%s: ends inside its header", path);
	const unsigned char *body = data + start + header;
	Cursor c = {(const char *)data + start, (const char *)body};
	size_t bytes, rest = size - start - (size_t)header;
	if (!take_dict(&c, a, path, e) || !measure(a, &bytes, path, e)) return false;
	if (bytes != rest)
		return format_fail(
		    e, "%s: the shape asks for %zu bytes of data, the file holds %zu", path, bytes, rest);
	a->data = malloc(bytes ? bytes : 1);
	if (!a->data) return format_fail(e, "%s: no memory for %zu bytes", path, bytes);
	decode(a->data, body, a->count, type_table[a->type].bytes);
	return true;
}

bool npy_parse(const unsigned char *data, size_t size, const char *path, Npy *array, FormatError *e)
{
	*array = (Npy){0};
	if (parse(data, size, path, array, e)) return true;
	npy_free(array);
	return false;
}

bool npy_read(const char *path, Npy *array, FormatError *e)
{
	*array = (Npy){0};
	unsigned char *data;
	size_t size;
	if (!format_read_file(path, SIZE_MAX / 2, &data, &size, e)) return false;
	bool ok = npy_parse(data, size, path, array, e);
	free(data);
	return ok;
}

void npy_free(Npy *array)
{
	free(array->data);
	*array = (Npy){0};
}

/* --- writing ------------------------------------------------------------------------------ */

bool npy_write(const char *path, const Npy *array, FormatError *e)
{
	Npy a = *array;
	size_t bytes;
	if (a.rank < 0 || a.rank > NPY_RANK || a.type >= NPY_TYPES)
		return format_fail(e, "%s: no such shape or type", path);
	if (!measure(&a, &bytes, path, e)) return false;
	char dict[128 + NPY_RANK * 24];
	size_t room = sizeof dict,
	       at = 10; /* the dict stands after ten bytes; both together fill 64s */
	at += (size_t)snprintf(dict + at, room - at,
	    "{'descr': '%s', 'fortran_order': False, 'shape': (", type_table[a.type].descr);
	for (int i = 0; i < a.rank; i++)
		at += (size_t)snprintf(
		    dict + at, room - at, "%s%zu%s", i ? ", " : "", a.dim[i], a.rank == 1 ? "," : "");
	at += (size_t)snprintf(dict + at, room - at, "), }");
	while (at % 64 != 63) dict[at++] = ' ';
	dict[at++] = '\n';
	memcpy(dict, "\x93NUMPY\1\0", 8);
	format_put((unsigned char *)dict + 8, 2, at - 10);
	SafeFile f;
	return safe_file_open(&f, path, e) && safe_file_write(&f, dict, at, e) &&
	       safe_file_numbers(&f, a.data, a.count, type_table[a.type].bytes, e) &&
	       safe_file_commit(&f, e);
}
