/* safetensors, reading: the header's JSON becomes a table of tensors that is proven to cover the
 * data. */
#include "safetensors.h"

#include <jansson.h>
#include <stdlib.h>

/* What a Safetensors keeps alive: names and metadata are strings of the JSON. */
struct SafetensorsInside {
	json_t *root;
	const SafetensorsTensor **by_name; /* sorted */
	unsigned char *owned;              /* the file, when it was read here */
};

static const struct {
	const char *name;
	int bytes;
} type_table[SAFETENSORS_TYPES] = {
    [SAFETENSORS_BOOL] = {"BOOL", 1},
    [SAFETENSORS_U8] = {"U8", 1},
    [SAFETENSORS_I8] = {"I8", 1},
    [SAFETENSORS_I16] = {"I16", 2},
    [SAFETENSORS_U16] = {"U16", 2},
    [SAFETENSORS_F16] = {"F16", 2},
    [SAFETENSORS_BF16] = {"BF16", 2},
    [SAFETENSORS_I32] = {"I32", 4},
    [SAFETENSORS_U32] = {"U32", 4},
    [SAFETENSORS_F32] = {"F32", 4},
    [SAFETENSORS_I64] = {"I64", 8},
    [SAFETENSORS_U64] = {"U64", 8},
    [SAFETENSORS_F64] = {"F64", 8},
};

const char *safetensors_type_name(SafetensorsType t) { return type_table[t].name; }
int safetensors_type_bytes(SafetensorsType t) { return type_table[t].bytes; }

/* --- one entry of the header -------------------------------------------------------------- */

/* A JSON integer that is a size: no sign, no fraction, fits size_t. */
static bool get_size(const json_t *number, size_t *size)
{
	if (!json_is_integer(number)) return false;
	json_int_t v = json_integer_value(number);
	if (v < 0 || (uintmax_t)v > SIZE_MAX) return false;
	*size = (size_t)v;
	return true;
}

static bool parse_type(const json_t *dtype, SafetensorsTensor *t, const char *path, FormatError *e)
{
	const char *name = json_string_value(dtype);
	if (!name) return format_fail(e, "%s: tensor '%.200s': dtype is not a string", path, t->name);
	for (int i = 0; i < SAFETENSORS_TYPES; i++)
		if (!strcmp(type_table[i].name, name)) {
			t->type = (SafetensorsType)i;
			return true;
		}
	return format_fail(
	    e, "%s: tensor '%.200s': dtype '%.40s' is not supported", path, t->name, name);
}

static bool parse_shape(const json_t *shape, SafetensorsTensor *t, const char *path, FormatError *e)
{
	if (!json_is_array(shape))
		return format_fail(e, "%s: tensor '%.200s': shape is not a list", path, t->name);
	size_t rank = json_array_size(shape);
	if (rank > SAFETENSORS_RANK)
		return format_fail(e, "%s: tensor '%.200s': %zu dimensions, at most %d are supported", path,
		    t->name, rank, SAFETENSORS_RANK);
	t->rank = (int)rank;
	t->count = 1;
	for (size_t i = 0; i < rank; i++) {
		if (!get_size(json_array_get(shape, i), &t->dim[i]))
			return format_fail(
			    e, "%s: tensor '%.200s': dimension %zu is not a size", path, t->name, i);
		if (!format_multiply(t->count, t->dim[i], &t->count))
			return format_fail(e, "%s: tensor '%.200s': too many elements", path, t->name);
	}
	return true;
}

/* The place of the data: inside the file, and of the length that shape and type ask for. */
static bool parse_place(const json_t *offsets, SafetensorsTensor *t, const unsigned char *data,
    size_t size, const char *path, FormatError *e)
{
	size_t begin, end, bytes;
	if (json_array_size(offsets) != 2 || !get_size(json_array_get(offsets, 0), &begin) ||
	    !get_size(json_array_get(offsets, 1), &end) || begin > end)
		return format_fail(
		    e, "%s: tensor '%.200s': data_offsets are not a begin and an end", path, t->name);
	if (end > size)
		return format_fail(e,
		    "%s: tensor '%.200s': data end at %zu, but the file holds %zu bytes of data", path,
		    t->name, end, size);
	if (!format_multiply(t->count, (size_t)safetensors_type_bytes(t->type), &bytes) ||
	    bytes != end - begin)
		return format_fail(e, "%s: tensor '%.200s': %zu elements of %s do not fill %zu bytes", path,
		    t->name, t->count, safetensors_type_name(t->type), end - begin);
	t->data = data + begin;
	return true;
}

static bool parse_tensor(const char *name, const json_t *entry, SafetensorsTensor *t,
    const unsigned char *data, size_t size, const char *path, FormatError *e)
{
	t->name = name;
	if (!json_is_object(entry) || json_object_size(entry) != 3 ||
	    !json_object_get(entry, "dtype") || !json_object_get(entry, "shape") ||
	    !json_object_get(entry, "data_offsets"))
		return format_fail(e,
		    "%s: tensor '%.200s': needs dtype, shape and data_offsets, and nothing else", path,
		    name);
	return parse_type(json_object_get(entry, "dtype"), t, path, e) &&
	       parse_shape(json_object_get(entry, "shape"), t, path, e) &&
	       parse_place(json_object_get(entry, "data_offsets"), t, data, size, path, e);
}

/* --- the header --------------------------------------------------------------------------- */

static bool check_metadata(json_t *metadata, const char *path, FormatError *e)
{
	if (!metadata) return true;
	if (!json_is_object(metadata)) return format_fail(e, "%s: __metadata__ is not a map", path);
	const char *key;
	json_t *value;
	json_object_foreach(metadata, key, value)
	{
		if (!json_is_string(value))
			return format_fail(e, "%s: __metadata__ '%.200s' is not a string", path, key);
	}
	return true;
}

static size_t bytes_of(const SafetensorsTensor *t)
{
	return t->count * (size_t)safetensors_type_bytes(t->type);
}

/* By place; of two at one place the empty one first. */
static int compare_place(const void *left, const void *right)
{
	const SafetensorsTensor *a = left, *b = right;
	if (a->data != b->data) return a->data < b->data ? -1 : 1;
	if (bytes_of(a) != bytes_of(b)) return bytes_of(a) < bytes_of(b) ? -1 : 1;
	return strcmp(a->name, b->name);
}

static int compare_name(const void *left, const void *right)
{
	const SafetensorsTensor *const *a = left, *const *b = right;
	return strcmp((*a)->name, (*b)->name);
}

/* Sorted tensors must follow each other without hole or overlap, to the last byte. */
static bool check_cover(
    const Safetensors *s, const unsigned char *data, size_t size, const char *path, FormatError *e)
{
	size_t at = 0;
	for (size_t i = 0; i < s->tensors; i++) {
		const SafetensorsTensor *t = &s->tensor[i];
		size_t begin = (size_t)(t->data - data);
		if (begin < at)
			return format_fail(e, "%s: data of tensor '%.200s' overlap those of '%.200s'", path,
			    t->name, s->tensor[i - 1].name);
		if (begin > at)
			return format_fail(e, "%s: %zu bytes before tensor '%.200s' belong to no tensor", path,
			    begin - at, t->name);
		at += bytes_of(t);
	}
	if (at != size)
		return format_fail(e, "%s: %zu bytes at the end belong to no tensor", path, size - at);
	return true;
}

static bool parse_header(
    Safetensors *s, const unsigned char *data, size_t size, const char *path, FormatError *e)
{
	json_t *root = s->inside->root;
	if (!check_metadata(json_object_get(root, "__metadata__"), path, e)) return false;
	size_t n = json_object_size(root), i = 0;
	s->tensor = calloc(n ? n : 1, sizeof *s->tensor);
	s->inside->by_name = calloc(n ? n : 1, sizeof *s->inside->by_name);
	if (!s->tensor || !s->inside->by_name)
		return format_fail(e, "%s: no memory for a table of %zu tensors", path, n);
	const char *key;
	json_t *entry;
	json_object_foreach(root, key, entry)
	{
		if (!strcmp(key, "__metadata__")) continue;
		if (!parse_tensor(key, entry, &s->tensor[i], data, size, path, e)) return false;
		i++;
	}
	s->tensors = i;
	qsort(s->tensor, s->tensors, sizeof *s->tensor, compare_place);
	for (i = 0; i < s->tensors; i++) s->inside->by_name[i] = &s->tensor[i];
	qsort(s->inside->by_name, s->tensors, sizeof *s->inside->by_name, compare_name);
	return check_cover(s, data, size, path, e);
}

bool safetensors_parse(
    const unsigned char *data, size_t size, const char *path, Safetensors *s, FormatError *e)
{
	*s = (Safetensors){0};
	if (size < 8) return format_fail(e, "%s: too short for a safetensors file", path);
	uint64_t header = format_get(data, 8);
	if (!memcmp(data, "PK\3\4", 4))
		return format_fail(e,
		    "%s: a zip archive, as PyTorch writes .pth files, not safetensors; "
		    "docs/pth_to_safetensors.py makes one of the other",
		    path);
	if (header > SAFETENSORS_HEADER_LIMIT)
		return format_fail(e, "%s: a header of %llu bytes, at most %d are allowed", path,
		    (unsigned long long)header, SAFETENSORS_HEADER_LIMIT);
	if (header > size - 8)
		return format_fail(
		    e, "%s: ends inside its header of %llu bytes", path, (unsigned long long)header);
	const char *text = (const char *)data + 8;
	if (!header || text[0] != '{')
		return format_fail(e, "%s: the header does not start with '{'", path);
	json_error_t fault;
	json_t *root = json_loadb(text, (size_t)header, JSON_REJECT_DUPLICATES, &fault);
	if (!root) return format_fail(e, "%s: header, byte %d: %s", path, fault.position, fault.text);
	s->inside = calloc(1, sizeof *s->inside);
	if (!s->inside) {
		json_decref(root);
		return format_fail(e, "%s: no memory", path);
	}
	s->inside->root = root;
	if (parse_header(s, data + 8 + header, size - 8 - (size_t)header, path, e)) return true;
	safetensors_free(s);
	return false;
}

bool safetensors_read(const char *path, Safetensors *s, FormatError *e)
{
	*s = (Safetensors){0};
	unsigned char *data;
	size_t size;
	if (!format_read_file(path, SIZE_MAX / 2, &data, &size, e)) return false;
	if (!safetensors_parse(data, size, path, s, e)) {
		free(data);
		return false;
	}
	s->inside->owned = data;
	return true;
}

void safetensors_free(Safetensors *s)
{
	if (s->inside) {
		json_decref(s->inside->root);
		free(s->inside->by_name);
		free(s->inside->owned);
		free(s->inside);
	}
	free(s->tensor);
	*s = (Safetensors){0};
}

const SafetensorsTensor *safetensors_find(const Safetensors *s, const char *name)
{
	if (!s->tensors) return NULL;
	const SafetensorsTensor wanted = {.name = name}, *key = &wanted;
	const SafetensorsTensor **found =
	    bsearch(&key, s->inside->by_name, s->tensors, sizeof *s->inside->by_name, compare_name);
	return found ? *found : NULL;
}

const char *safetensors_metadata(const Safetensors *s, const char *key)
{
	if (!s->inside) return NULL;
	return json_string_value(
	    json_object_get(json_object_get(s->inside->root, "__metadata__"), key));
}
