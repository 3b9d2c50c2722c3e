/* check FOLDER: the maps that filters made of the photograph, against plain loops in double: every
 * pixel within one level of grey. */
#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { PIXELS = HEIGHT * WIDTH };

static double photo[PIXELS], blur[PIXELS], across[PIXELS], down[PIXELS], other[PIXELS];

static double at(const double *x, int row, int column)
{
	return row < 0 || row >= HEIGHT || column < 0 || column >= WIDTH ? 0 : x[row * WIDTH + column];
}

static void smooth(int row, int column)
{
	double sum = 0, weights = 0;
	for (int r = -3; r <= 3; r++)
		for (int c = -3; c <= 3; c++) {
			double w = exp(-(r * r + c * c) / (2 * 1.4 * 1.4));
			weights += w;
			sum += w * at(photo, row + r, column + c);
		}
	blur[row * WIDTH + column] = sum / weights;
}

static void find_edges(int r, int c)
{
	double right = at(blur, r - 1, c + 1) + 2 * at(blur, r, c + 1) + at(blur, r + 1, c + 1);
	double left = at(blur, r - 1, c - 1) + 2 * at(blur, r, c - 1) + at(blur, r + 1, c - 1);
	double below = at(blur, r + 1, c - 1) + 2 * at(blur, r + 1, c) + at(blur, r + 1, c + 1);
	double above = at(blur, r - 1, c - 1) + 2 * at(blur, r - 1, c) + at(blur, r - 1, c + 1);
	across[r * WIDTH + c] = right - left;
	down[r * WIDTH + c] = below - above;
}

static double laplace(int r, int c)
{
	return at(blur, r - 1, c) + at(blur, r + 1, c) + at(blur, r, c - 1) + at(blur, r, c + 1) -
	       4 * at(blur, r, c);
}

static void load(const char *folder, const char *name, float *to)
{
	char path[4096], error[512];
	int n = snprintf(path, sizeof path, "%s/%s.png", folder, name);
	if (n > 0 && (size_t)n < sizeof path &&
	    picture_read(path, HEIGHT, WIDTH, to, error, sizeof error))
		return;
	fprintf(stderr, "check: %s\n", error);
	exit(1);
}

static void compare(const char *folder, const char *name, const double *want, int has_signs)
{
	static float got[PIXELS];
	double most = 0, far = 0;
	load(folder, name, got);
	for (int i = 0; i < PIXELS; i++) most = fmax(most, fabs(want[i]));
	for (int i = 0; i < PIXELS; i++) {
		double grey = has_signs ? (want[i] / most + 1) / 2 : want[i] / most;
		far = fmax(far, fabs(got[i] - grey));
	}
	if (far * 255 <= 1) return;
	fprintf(stderr, "check: %s is %.1f levels off\n", name, far * 255);
	exit(1);
}

int main(int argc, char **argv)
{
	static float grey[PIXELS];
	if (argc != 2) return 2;
	load(PHOTO_FOLDER, "photo", grey);
	for (int i = 0; i < PIXELS; i++) photo[i] = grey[i];
	for (int i = 0; i < PIXELS; i++) smooth(i / WIDTH, i % WIDTH);
	for (int i = 0; i < PIXELS; i++) find_edges(i / WIDTH, i % WIDTH);
	compare(argv[1], "blur", blur, 0);
	compare(argv[1], "across", across, 1);
	compare(argv[1], "down", down, 1);
	for (int i = 0; i < PIXELS; i++) other[i] = hypot(across[i], down[i]);
	compare(argv[1], "strength", other, 0);
	for (int i = 0; i < PIXELS; i++) other[i] = laplace(i / WIDTH, i % WIDTH);
	compare(argv[1], "laplace", other, 1);
	printf("check: five maps are what plain loops make of the photograph\n");
	return 0;
}
