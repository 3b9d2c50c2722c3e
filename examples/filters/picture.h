/* picture: grey PNG files, by libpng. Rows from the top, 0 black to 1 white. */
#ifndef FILTERS_PICTURE_H
#define FILTERS_PICTURE_H

#include <stdbool.h>
#include <stddef.h>

/* Reads a picture of any kind as grey, rows * columns numbers; false: error says what is wrong, the
 * size included. */
bool picture_read(
    const char *path, size_t rows, size_t columns, float *grey, char *error, size_t room);
/* Writes bytes of grey; the file is there whole or not at all. */
bool picture_write(const char *path, size_t rows, size_t columns, const unsigned char *grey,
    char *error, size_t room);

#endif
