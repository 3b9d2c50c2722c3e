/* picture: see picture.h. */
#include "picture.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool picture_read(
    const char *path, size_t rows, size_t columns, float *grey, char *error, size_t room)
{
	png_image image = {.version = PNG_IMAGE_VERSION};
	unsigned char *bytes = NULL;
	bool good = png_image_begin_read_from_file(&image, path) != 0;
	if (!good) {
		snprintf(error, room, "%s: %s", path, image.message);
	} else if (image.height != rows || image.width != columns) {
		snprintf(error, room, "%s: %u rows of %u, the network is made for %zu of %zu", path,
		    (unsigned)image.height, (unsigned)image.width, rows, columns);
		good = false;
	} else {
		image.format = PNG_FORMAT_GRAY;
		bytes = malloc(rows * columns);
		good = bytes && png_image_finish_read(&image, NULL, bytes, 0, NULL);
		if (!good) snprintf(error, room, "%s: %s", path, bytes ? image.message : "out of memory");
	}
	for (size_t i = 0; good && i < rows * columns; i++) grey[i] = (float)bytes[i] / 255;
	free(bytes);
	png_image_free(&image);
	return good;
}

bool picture_write(const char *path, size_t rows, size_t columns, const unsigned char *grey,
    char *error, size_t room)
{
	png_image image = {.version = PNG_IMAGE_VERSION,
	    .width = (png_uint_32)columns,
	    .height = (png_uint_32)rows,
	    .format = PNG_FORMAT_GRAY};
	char beside[4096];
	int n = snprintf(beside, sizeof beside, "%s.part", path);
	if (n < 0 || (size_t)n >= sizeof beside) {
		snprintf(error, room, "%s: too long a name", path);
		return false;
	}
	bool good = png_image_write_to_file(&image, beside, 0, grey, 0, NULL) != 0;
	if (!good) snprintf(error, room, "%s: %s", path, image.message);
	if (good && rename(beside, path) != 0) {
		snprintf(error, room, "%s: cannot be written", path);
		good = false;
	}
	if (!good) remove(beside);
	return good;
}
