/* idx: the format of the MNIST files, arrays of bytes with big-endian sizes, plain or in gzip.
 *
 *   0 0 type rank | u32 size of each dimension | the data, to the end
 *
 * Only type 8, unsigned bytes, is read: images [n, height, width] and labels [n]. A file that is
 * shorter or longer than its sizes say is refused, and so is a gzip stream that is cut, damaged or
 * followed by other bytes. No memory is taken for sizes that the file cannot hold. */
#ifndef CNNC_FORMATS_IDX_H
#define CNNC_FORMATS_IDX_H

#include "file.h"

enum { IDX_RANK = 4 };

typedef struct {
	int rank; /* 1 to IDX_RANK */
	size_t dim[IDX_RANK];
	size_t count;        /* product of the dims */
	unsigned char *data; /* malloc'd */
} Idx;

FORMAT_CHECKED bool idx_read(const char *path, Idx *array, FormatError *e);
/* The same from memory; `path` is for the messages. */
FORMAT_CHECKED bool idx_parse(
    const unsigned char *data, size_t size, const char *path, Idx *array, FormatError *e);
void idx_free(Idx *array); /* a zeroed one is fine */

#endif
