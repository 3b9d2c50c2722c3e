/* file: what every format stands on: error texts, whole files read with a limit, files replaced
 * whole, and little-endian numbers whatever the machine.
 *
 * The folder formats/ stands on nothing else of the project. Nothing here prints, exits or keeps
 * state: a function that can fail returns false and leaves one readable sentence in a FormatError.
 */
#ifndef CNNC_FORMATS_FILE_H
#define CNNC_FORMATS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined __GNUC__
#define FORMAT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define FORMAT_CHECKED __attribute__((warn_unused_result))
#else
#define FORMAT_PRINTF(f, a)
#define FORMAT_CHECKED
#endif

/* Always terminated after a failure; unchanged after a success. Control characters, which may come
 * from hostile files, are shown as '?'. Every function takes NULL for "no text, please". */
typedef struct {
	char text[4096];
} FormatError;

/* Sets the text; always false, so that a check is one line: return format_fail(e, ...). */
bool format_fail(FormatError *e, const char *format, ...) FORMAT_PRINTF(2, 3);

/* The whole file, at most `limit` bytes; *data is malloc'd, never NULL on success. Pipes are fine.
 */
FORMAT_CHECKED bool format_read_file(
    const char *path, size_t limit, unsigned char **data, size_t *size, FormatError *e);

/* A file written beside its target and renamed over it at the end, so that readers see the old file
 * or the new one, whole. A failure at any point, a full disk above all, leaves the old file alone.
 */
typedef struct {
	FILE *stream;
	char *target, *beside;
} SafeFile;
FORMAT_CHECKED bool safe_file_open(SafeFile *f, const char *path, FormatError *e);
/* After a failed write the file is discarded already. */
FORMAT_CHECKED bool safe_file_write(SafeFile *f, const void *data, size_t size, FormatError *e);
/* Flushes to the disk, then renames. */
FORMAT_CHECKED bool safe_file_commit(SafeFile *f, FormatError *e);
void safe_file_discard(SafeFile *f);

/* a*b, false when it does not fit. */
static inline bool format_multiply(size_t a, size_t b, size_t *product)
{
	if (b && a > SIZE_MAX / b) return false;
	*product = a * b;
	return true;
}

/* Numbers of 1 to 8 bytes, least significant first. */
static inline uint64_t format_get(const unsigned char *p, int bytes)
{
	uint64_t v = 0;
	for (int i = 0; i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static inline void format_put(unsigned char *p, int bytes, uint64_t v)
{
	for (int i = 0; i < bytes; i++) p[i] = (unsigned char)(v >> (8 * i));
}

static inline float format_float(uint32_t bits)
{
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

static inline double format_double(uint64_t bits)
{
	double x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

/* Writes n host numbers of 1, 4 or 8 bytes (uint8_t, float, int32_t, double, int64_t)
 * little-endian. */
FORMAT_CHECKED bool safe_file_numbers(
    SafeFile *f, const void *values, size_t n, int bytes, FormatError *e);

#endif
