/* safetensors, writing. */
#include "safetensors.h"

#include <jansson.h>
#include <stdlib.h>

/* Adds one tensor's entry at *offset and moves it past the data. */
static bool add_entry(
    json_t *root, const SafetensorsOutput *t, size_t *offset, const char *path, FormatError *e)
{
	if (t->type != SAFETENSORS_F32 && t->type != SAFETENSORS_F64)
		return format_fail(e, "%s: tensor '%.200s': only F32 and F64 are written", path, t->name);
	if (t->rank < 0 || t->rank > SAFETENSORS_RANK)
		return format_fail(e, "%s: tensor '%.200s': %d dimensions", path, t->name, t->rank);
	if (!strcmp(t->name, "__metadata__") || json_object_get(root, t->name))
		return format_fail(e, "%s: two entries of the name '%.200s'", path, t->name);
	size_t bytes = (size_t)safetensors_type_bytes(t->type);
	json_t *shape = json_array();
	bool ok = shape != NULL;
	for (int i = 0; i < t->rank; i++) {
		if (!format_multiply(bytes, t->dim[i], &bytes) || bytes > INT64_MAX - *offset) {
			json_decref(shape);
			return format_fail(e, "%s: tensor '%.200s' is too large", path, t->name);
		}
		/* a set_new takes its value whether it fails or not */
		ok = json_array_append_new(shape, json_integer((json_int_t)t->dim[i])) == 0 && ok;
	}
	json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", safetensors_type_name(t->type),
	    "shape", shape, "data_offsets", (json_int_t)*offset, (json_int_t)(*offset + bytes));
	*offset += bytes;
	if (json_object_set_new(root, t->name, entry) == 0 && ok) return true;
	return format_fail(e, "%s: tensor '%.200s': not a name in UTF-8, or no memory", path, t->name);
}

/* {"__metadata__": {...}}, or an empty map where there is none. */
static bool add_metadata(
    json_t *root, const SafetensorsPair *pair, size_t n, const char *path, FormatError *e)
{
	if (!n) return true;
	json_t *metadata = json_object();
	bool ok = json_object_set_new(root, "__metadata__", metadata) == 0;
	for (size_t i = 0; i < n; i++) {
		if (ok && json_object_get(metadata, pair[i].key))
			return format_fail(e, "%s: two metadata of the name '%.200s'", path, pair[i].key);
		if (!ok || json_object_set_new(metadata, pair[i].key, json_string(pair[i].value)) != 0)
			return format_fail(
			    e, "%s: metadata '%.200s': not UTF-8, or no memory", path, pair[i].key);
	}
	return ok;
}

/* The header's text, malloc'd. */
static char *make_header(const char *path, const SafetensorsOutput *tensor, size_t tensors,
    const SafetensorsPair *metadata, size_t pairs, FormatError *e)
{
	json_t *root = json_object();
	if (!root) {
		format_fail(e, "%s: no memory", path);
		return NULL;
	}
	size_t offset = 0;
	bool ok = add_metadata(root, metadata, pairs, path, e);
	for (size_t i = 0; ok && i < tensors; i++) ok = add_entry(root, &tensor[i], &offset, path, e);
	char *text = NULL;
	if (ok) {
		text = json_dumps(root, JSON_COMPACT);
		if (!text) format_fail(e, "%s: no memory", path);
	}
	json_decref(root);
	return text;
}

/* Length, header, and spaces up to a multiple of 8. */
static bool write_header(SafeFile *f, const char *text, const char *path, FormatError *e)
{
	size_t length = strlen(text), pad = (8 - length % 8) % 8;
	if (length + pad > SAFETENSORS_HEADER_LIMIT) {
		safe_file_discard(f);
		return format_fail(e, "%s: a header of %zu bytes, at most %d are allowed", path, length,
		    SAFETENSORS_HEADER_LIMIT);
	}
	unsigned char size[8];
	format_put(size, 8, length + pad);
	return safe_file_write(f, size, sizeof size, e) && safe_file_write(f, text, length, e) &&
	       safe_file_write(f, "       ", pad, e);
}

bool safetensors_write(const char *path, const SafetensorsOutput *tensor, size_t tensors,
    const SafetensorsPair *metadata, size_t pairs, FormatError *e)
{
	char *text = make_header(path, tensor, tensors, metadata, pairs, e);
	if (!text) return false;
	SafeFile f;
	bool ok = safe_file_open(&f, path, e);
	if (!ok) {
		free(text);
		return false;
	}
	ok = write_header(&f, text, path, e);
	free(text);
	for (size_t i = 0; ok && i < tensors; i++) {
		size_t count = 1; /* add_entry has shown that it fits */
		for (int k = 0; k < tensor[i].rank; k++) count *= tensor[i].dim[k];
		ok = safe_file_numbers(
		    &f, tensor[i].values, count, safetensors_type_bytes(tensor[i].type), e);
	}
	return ok && safe_file_commit(&f, e);
}
