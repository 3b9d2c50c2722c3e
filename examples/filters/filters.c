/* filters: blurs a photograph and finds its edges, by a network of convolutions whose kernels are
 * written here, and writes each feature map as a picture.
 *
 *     filters [PHOTO.png [FOLDER]]
 *
 * The network is made for one size of photograph; see the Makefile. */
#include "filters.h"
#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIXELS = HEIGHT * WIDTH, MAPS = 5, ERROR_ROOM = 512 };

/* A map as it comes out, and how it is shown: 0 is black, or if it has signs the middle grey, and
 * its largest number is white. */
typedef struct {
	const char *name;
	bool has_signs;
} Map;

static const Map maps[MAPS] = {
    {"blur", false}, {"across", true}, {"down", true}, {"strength", false}, {"laplace", true}};

static float photo[PIXELS], map[MAPS][PIXELS];
static unsigned char shown[PIXELS], work[FILTERS_INFER_B1_WORK];

/* --- the kernels ----------------------------------------------------------------------------- */

/* The weight of this name, in vars; it has `count` numbers. */
static float *weight(float *vars, const char *name, size_t count)
{
	for (int i = 0; i < FILTERS_TENSORS; i++) {
		const struct cnnc_tensor *t = &filters_tensors[i];
		if (!strcmp(t->name, name) && t->count == count) return vars + t->offset;
	}
	fprintf(stderr, "filters: the network has no %s of %zu numbers\n", name, count);
	exit(1);
}

/* exp(-(x^2 + y^2)/2 sigma^2), with sum 1. */
static void gaussian(float *kernel, int size, double sigma)
{
	double sum = 0;
	for (int pass = 0; pass < 2; pass++)
		for (int i = 0; i < size * size; i++) {
			double x = i % size - size / 2, y = i / size - size / 2;
			double value = exp(-(x * x + y * y) / (2 * sigma * sigma));
			if (pass == 0) sum += value;
			kernel[i] = (float)(value / sum);
		}
}

/* Convolution turns kernels, so those of Sobel have the positive side first: brighter to the right,
 * or below, is positive. */
static void write_kernels(float *vars)
{
	static const float sobel[] = {1, 0, -1, 2, 0, -2, 1, 0, -1, 1, 2, 1, 0, 0, 0, -1, -2, -1};
	static const float laplace[] = {0, 1, 0, 1, -4, 1, 0, 1, 0};
	gaussian(weight(vars, "gaussian.weight", 49), 7, 1.4);
	memcpy(weight(vars, "sobel.weight", 18), sobel, sizeof sobel);
	memcpy(weight(vars, "laplace.weight", 9), laplace, sizeof laplace);
}

/* --- the pictures ---------------------------------------------------------------------------- */

static void show(const float *from, bool has_signs)
{
	float most = 0;
	for (int i = 0; i < PIXELS; i++) most = fmaxf(most, fabsf(from[i]));
	for (int i = 0; i < PIXELS; i++) {
		float grey = most > 0 ? from[i] / most : 0;
		if (has_signs) grey = (grey + 1) / 2;
		shown[i] = (unsigned char)lrintf(255 * fminf(fmaxf(grey, 0), 1));
	}
}

int main(int argc, char **argv)
{
	static float vars[FILTERS_VARS];
	static unsigned char packed[FILTERS_PACKED_BYTES];
	const char *path = argc > 1 ? argv[1] : PHOTO, *folder = argc > 2 ? argv[2] : ".";
	char error[ERROR_ROOM], name[4096];

	if (argc > 3 || (argc > 1 && argv[1][0] == '-')) {
		fprintf(stderr, "usage: filters [PHOTO.png [FOLDER]]\n");
		return 2;
	}
	if (!picture_read(path, HEIGHT, WIDTH, photo, error, sizeof error)) {
		fprintf(stderr, "filters: %s\n", error);
		return 1;
	}
	write_kernels(vars);
	filters_pack(vars, packed);
	if (filters_infer_b1(packed, photo, map[0], map[1], map[2], map[3], map[4], work, NULL) != 0) {
		fprintf(stderr, "filters: the maps hold numbers that are not finite\n");
		return 1;
	}
	for (int i = 0; i < MAPS; i++) {
		show(map[i], maps[i].has_signs);
		int n = snprintf(name, sizeof name, "%s/%s.png", folder, maps[i].name);
		if (n < 0 || (size_t)n >= sizeof name)
			snprintf(error, sizeof error, "too long a folder");
		else if (picture_write(name, HEIGHT, WIDTH, shown, error, sizeof error))
			continue;
		fprintf(stderr, "filters: %s\n", error);
		return 1;
	}
	printf(
	    "%s: blur.png, across.png, down.png, strength.png and laplace.png in %s\n", path, folder);
	return 0;
}
