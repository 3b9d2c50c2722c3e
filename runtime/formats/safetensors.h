/* safetensors: named tensors in one file, the ecosystem's format for weights.
 *
 *   u64 N | N bytes of JSON: {"name": {"dtype": "F32", "shape": [6,1,5,5], "data_offsets": [0,
 * 600]}, ...,
 *   "__metadata__": {"key": "value"}} | the data, to the end of the file
 *
 * Reading is strict, since weight files come from strangers: every size is checked against the file
 * before memory is taken, the tensors must cover the data exactly, without overlap, hole or rest,
 * keys must not repeat, and the header is held to the format's 100 MB. Fields that the format does
 * not have are refused. Numbers are little-endian, in any machine. */
#ifndef CNNC_FORMATS_SAFETENSORS_H
#define CNNC_FORMATS_SAFETENSORS_H

#include "file.h"

enum { SAFETENSORS_RANK = 8, SAFETENSORS_HEADER_LIMIT = 100000000 };

typedef enum {
	SAFETENSORS_BOOL,
	SAFETENSORS_U8,
	SAFETENSORS_I8,
	SAFETENSORS_I16,
	SAFETENSORS_U16,
	SAFETENSORS_F16,
	SAFETENSORS_BF16,
	SAFETENSORS_I32,
	SAFETENSORS_U32,
	SAFETENSORS_F32,
	SAFETENSORS_I64,
	SAFETENSORS_U64,
	SAFETENSORS_F64,
	SAFETENSORS_TYPES
} SafetensorsType;

const char *safetensors_type_name(SafetensorsType t); /* "F32" */
int safetensors_type_bytes(SafetensorsType t);

typedef struct {
	const char *name;
	SafetensorsType type;
	int rank; /* 0: one number */
	size_t dim[SAFETENSORS_RANK];
	size_t count;              /* product of the dims; 0 is legal */
	const unsigned char *data; /* count little-endian numbers, at any alignment */
} SafetensorsTensor;

/* A file that was read. Everything in it lives until safetensors_free. */
typedef struct {
	SafetensorsTensor *tensor; /* in order of their data */
	size_t tensors;
	struct SafetensorsInside *inside;
} Safetensors;

FORMAT_CHECKED bool safetensors_read(const char *path, Safetensors *s, FormatError *e);
/* The same from memory, which must outlive *s; `path` is for the messages. */
FORMAT_CHECKED bool safetensors_parse(
    const unsigned char *data, size_t size, const char *path, Safetensors *s, FormatError *e);
void safetensors_free(Safetensors *s); /* a zeroed one is fine */

const SafetensorsTensor *safetensors_find(const Safetensors *s, const char *name); /* or NULL */
const char *safetensors_metadata(const Safetensors *s, const char *key);           /* or NULL */

/* All t->count numbers, of whatever type; F16 and BF16 are widened. False when a number does not
 * survive: a finite F64 beyond float, an integer that is not exact. */
FORMAT_CHECKED bool safetensors_floats(const SafetensorsTensor *t, float *out, FormatError *e);
FORMAT_CHECKED bool safetensors_doubles(const SafetensorsTensor *t, double *out, FormatError *e);

/* What a program expects of a file. */
typedef struct {
	const char *name;
	int rank;
	size_t dim[SAFETENSORS_RANK];
} SafetensorsExpected;

/* True when the file holds exactly these names, with these shapes. If not, one message lists what
 * is missing, what is left over and what differs. Left-over names that end in `passed_over` (NULL:
 * none) do not count: PyTorch's ".num_batches_tracked". */
FORMAT_CHECKED bool safetensors_check(const Safetensors *s, const char *path,
    const SafetensorsExpected *expected, size_t n, const char *passed_over, FormatError *e);

/* What may be otherwise. Lists of patterns (pattern.h), with NULL at the end; NULL: none. */
typedef struct {
	const char *const
	    *missing; /* expected tensors that the file may lack, or have in another shape */
	const char *const *left_over; /* tensors of the file that nobody need expect */
} SafetensorsAllow;

/* The same, but for what `allow` (NULL: nothing) says. kept[i] (NULL: not asked for) becomes true
 * where expected[i] is not in the file, or in another shape, and may be so: whoever reads the file
 * keeps what he has there. A pattern of `missing` that meets no expected tensor is an error. */
FORMAT_CHECKED bool safetensors_match(const Safetensors *s, const char *path,
    const SafetensorsExpected *expected, size_t n, const char *passed_over,
    const SafetensorsAllow *allow, bool *kept, FormatError *e);

/* What goes into a file: floats for F32, doubles for F64; no other type is written. */
typedef struct {
	const char *name;
	SafetensorsType type;
	int rank;
	size_t dim[SAFETENSORS_RANK];
	const void *values;
} SafetensorsOutput;

typedef struct {
	const char *key, *value;
} SafetensorsPair;

/* Tensors are laid down in the order given; the data start at a multiple of 8 bytes. The same input
 * gives the same bytes. The file is replaced whole or not at all. */
FORMAT_CHECKED bool safetensors_write(const char *path, const SafetensorsOutput *tensor,
    size_t tensors, const SafetensorsPair *metadata, size_t pairs, FormatError *e);

#endif
