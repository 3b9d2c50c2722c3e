/* npy: NumPy's format for one array, versions 1.0 and 2.0, C order, little-endian.
 *
 *   "\x93NUMPY" | major, minor | u16 (2.0: u32) N | N bytes: a Python dict | the data, to the end
 *   {'descr': '<f4', 'fortran_order': False, 'shape': (64, 10), }
 *
 * The dict is read by a small parser of just this form: three keys, each once, in any order. Types
 * are
 * '<f4' '<f8' '<i4' '<i8' '|u1'; Fortran order and other types are refused with their name. */
#ifndef CNNC_FORMATS_NPY_H
#define CNNC_FORMATS_NPY_H

#include "file.h"

enum { NPY_RANK = 8, NPY_HEADER_LIMIT = 65536 };

typedef enum { NPY_F4, NPY_F8, NPY_I4, NPY_I8, NPY_U1, NPY_TYPES } NpyType;

typedef struct {
	NpyType type;
	int rank; /* 0: one number */
	size_t dim[NPY_RANK];
	size_t count; /* product of the dims */
	void *data;   /* float, double, int32_t, int64_t or uint8_t; malloc'd */
} Npy;

FORMAT_CHECKED bool npy_read(const char *path, Npy *array, FormatError *e);
/* The same from memory; `path` is for the messages. */
FORMAT_CHECKED bool npy_parse(
    const unsigned char *data, size_t size, const char *path, Npy *array, FormatError *e);
void npy_free(Npy *array); /* a zeroed one is fine */

/* Version 1.0, data at a multiple of 64 bytes. Uses type, rank, dim and data; count is worked out.
 * The file is replaced whole or not at all. */
FORMAT_CHECKED bool npy_write(const char *path, const Npy *array, FormatError *e);

#endif
