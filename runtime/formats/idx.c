/* idx: the MNIST files. */
#define ZLIB_CONST /* next_in points to const */
#include "idx.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

/* Bytes of a file, through inflate where it is a gzip file. */
typedef struct {
	const unsigned char *data;
	size_t size;
	const char *path;
	bool packed, ended; /* ended: the gzip stream came to its end, its checksum was right */
	z_stream z;
} Source;

static bool source_open(
    Source *s, const unsigned char *data, size_t size, const char *path, FormatError *e)
{
	*s = (Source){.data = data, .size = size, .path = path};
	s->packed = size >= 2 && data[0] == 0x1f && data[1] == 0x8b;
	if (s->packed && inflateInit2(&s->z, 15 + 16) != Z_OK)
		return format_fail(e, "%s: cannot start to unpack", path);
	return true;
}

static void source_close(Source *s)
{
	if (s->packed) inflateEnd(&s->z);
}

/* Unpacks up to n bytes; *got tells how many there were before the stream's end. */
static bool unpack(Source *s, unsigned char *out, size_t n, size_t *got, FormatError *e)
{
	*got = 0;
	while (*got < n && !s->ended) {
		uInt in = s->size < UINT_MAX ? (uInt)s->size : UINT_MAX;
		uInt room = n - *got < UINT_MAX ? (uInt)(n - *got) : UINT_MAX;
		s->z.next_in = s->data;
		s->z.avail_in = in;
		s->z.next_out = out + *got;
		s->z.avail_out = room;
		int status = inflate(&s->z, Z_NO_FLUSH);
		s->data += in - s->z.avail_in;
		s->size -= in - s->z.avail_in;
		*got += room - s->z.avail_out;
		if (status == Z_STREAM_END)
			s->ended = true;
		else if (status == Z_BUF_ERROR)
			return format_fail(e, "%s: the gzip stream is cut short", s->path);
		else if (status != Z_OK)
			return format_fail(e, "%s: the gzip stream is damaged: %s", s->path,
			    s->z.msg ? s->z.msg : "no memory or a dictionary");
	}
	return true;
}

/* Exactly n bytes. */
static bool source_take(Source *s, unsigned char *out, size_t n, FormatError *e)
{
	size_t got = n < s->size ? n : s->size;
	if (s->packed) {
		if (!unpack(s, out, n, &got, e)) return false;
	} else {
		memcpy(out, s->data, got);
		s->data += got;
		s->size -= got;
	}
	return got == n || format_fail(e, "%s: ends early: %zu bytes are missing", s->path, n - got);
}

/* Nothing may follow. In gzip this also reaches the checksum at the end. */
static bool source_end(Source *s, FormatError *e)
{
	unsigned char more;
	size_t got = 0;
	if (s->packed && !unpack(s, &more, 1, &got, e)) return false;
	if (got || s->size) return format_fail(e, "%s: more bytes follow than the sizes say", s->path);
	return true;
}

static bool read_sizes(Source *s, Idx *a, FormatError *e)
{
	unsigned char head[4], size[4];
	if (!source_take(s, head, sizeof head, e)) return false;
	if (head[0] || head[1]) return format_fail(e, "%s: not an IDX file", s->path);
	if (head[2] != 8)
		return format_fail(
		    e, "%s: elements of type 0x%02x; only unsigned bytes are read", s->path, head[2]);
	if (!head[3] || head[3] > IDX_RANK)
		return format_fail(e, "%s: %d dimensions; 1 to %d are read", s->path, head[3], IDX_RANK);
	a->rank = head[3];
	a->count = 1;
	for (int i = 0; i < a->rank; i++) {
		if (!source_take(s, size, sizeof size, e)) return false;
		a->dim[i] = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
		if (!format_multiply(a->count, a->dim[i], &a->count))
			return format_fail(e, "%s: the sizes are too large", s->path);
	}
	return true;
}

static bool read_all(Source *s, Idx *a, FormatError *e)
{
	enum { DEFLATE_LIMIT = 1032 }; /* no deflate stream is denser than 1032 to 1 */
	size_t packed = s->size;
	if (!read_sizes(s, a, e)) return false;
	bool lies = s->packed ? a->count / DEFLATE_LIMIT > packed : a->count > s->size;
	if (lies)
		return format_fail(
		    e, "%s: ends early: its sizes ask for %zu bytes of data", s->path, a->count);
	a->data = malloc(a->count ? a->count : 1);
	if (!a->data) return format_fail(e, "%s: no memory for %zu bytes", s->path, a->count);
	return source_take(s, a->data, a->count, e) && source_end(s, e);
}

bool idx_parse(const unsigned char *data, size_t size, const char *path, Idx *array, FormatError *e)
{
	*array = (Idx){0};
	Source s;
	if (!source_open(&s, data, size, path, e)) return false;
	bool ok = read_all(&s, array, e);
	source_close(&s);
	if (!ok) idx_free(array);
	return ok;
}

bool idx_read(const char *path, Idx *array, FormatError *e)
{
	*array = (Idx){0};
	unsigned char *data;
	size_t size;
	if (!format_read_file(path, SIZE_MAX / 2, &data, &size, e)) return false;
	bool ok = idx_parse(data, size, path, array, e);
	free(data);
	return ok;
}

void idx_free(Idx *array)
{
	free(array->data);
	*array = (Idx){0};
}
