/* dataset: reading, fitting and handing out labelled images. */
#include "dataset.h"

#include "formats/idx.h"
#include "shuffle.h"

#include <math.h>
#include <stdlib.h>

/* --- reading ------------------------------------------------------------------------------ */

static bool exists(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (f) fclose(f);
	return f != NULL;
}

/* FOLDER/PART-WHAT, or the same with .gz. */
static bool read_part(
    const char *folder, const char *part, const char *what, Idx *array, FormatError *e)
{
	size_t room = strlen(folder) + strlen(part) + strlen(what) + 8;
	char *path = malloc(room);
	if (!path) return format_fail(e, "%s: no memory", folder);
	snprintf(path, room, "%s/%s-%s", folder, part, what);
	bool ok;
	if (exists(path))
		ok = idx_read(path, array, e);
	else {
		strcat(path, ".gz");
		ok = exists(path)
		         ? idx_read(path, array, e)
		         : format_fail(e, "%s: no %s-%s there, nor the same with .gz", folder, part, what);
	}
	free(path);
	return ok;
}

static bool check_pair(const Idx *image, const Idx *label, const char *folder, const char *part,
    int classes, FormatError *e)
{
	if (image->rank != 3 || label->rank != 1)
		return format_fail(e, "%s: %s: images have %d dimensions and labels %d, not 3 and 1",
		    folder, part, image->rank, label->rank);
	if (image->dim[0] != label->dim[0])
		return format_fail(
		    e, "%s: %s: %zu images, but %zu labels", folder, part, image->dim[0], label->dim[0]);
	if (!image->count) return format_fail(e, "%s: %s: there are no images", folder, part);
	for (size_t i = 0; i < label->count; i++)
		if (label->data[i] >= classes)
			return format_fail(e, "%s: %s: label %zu is %d, but there are %d classes", folder, part,
			    i, label->data[i], classes);
	return true;
}

bool dataset_read(Dataset *d, const char *folder, const char *part, int classes, FormatError *e)
{
	*d = (Dataset){0};
	Idx image = {0}, label = {0};
	bool ok = read_part(folder, part, "images-idx3-ubyte", &image, e) &&
	          read_part(folder, part, "labels-idx1-ubyte", &label, e) &&
	          check_pair(&image, &label, folder, part, classes, e);
	if (!ok) {
		idx_free(&image);
		idx_free(&label);
		return false;
	}
	*d = (Dataset){image.dim[0], image.dim[1], image.dim[2], classes, image.data, label.data};
	return true;
}

void dataset_free(Dataset *d)
{
	free(d->pixel);
	free(d->label);
	*d = (Dataset){0};
}

/* --- fitting ------------------------------------------------------------------------------ */

/* Output line i of `side` reads stored lines around (i + 1/2) * from/side - 1/2, held inside. */
static void scale_taps(FitTap *tap, size_t from, size_t side)
{
	for (size_t i = 0; i < side; i++) {
		double at = ((double)i + 0.5) * (double)from / (double)side - 0.5;
		if (at < 0) at = 0;
		size_t low = (size_t)at, high = low + 1 < from ? low + 1 : low;
		tap[i] = (FitTap){(int32_t)low, (int32_t)high, (float)(at - (double)low)};
	}
}

static void border_taps(FitTap *tap, size_t from, size_t side)
{
	size_t border = (side - from) / 2;
	for (size_t i = 0; i < side; i++) {
		bool inside = i >= border && i < border + from;
		int32_t line = inside ? (int32_t)(i - border) : -1;
		tap[i] = (FitTap){line, line, 0};
	}
}

static bool takes_border(size_t from, size_t side)
{
	return 4 * from >= 3 * side && (side - from) % 2 == 0;
}

bool fit_make(Fit *f, const Dataset *d, size_t side, FormatError *e)
{
	*f = (Fit){.height = d->height, .width = d->width, .side = side, .scale = 1};
	if (side > FIT_SIDE)
		return format_fail(e, "%zux%zu is more than the %dx%d that images are fitted to", side,
		    side, FIT_SIDE, FIT_SIDE);
	if (d->height > side || d->width > side)
		return format_fail(e, "images of %zux%zu do not fit the network's %zux%zu", d->height,
		    d->width, side, side);
	bool border = takes_border(d->height, side) && takes_border(d->width, side);
	(border ? border_taps : scale_taps)(f->row, d->height, side);
	(border ? border_taps : scale_taps)(f->column, d->width, side);
	return true;
}

/* One output line from two stored ones. A border line or column is black. */
static void fit_line(const Fit *f, const unsigned char *pixel, const FitTap *row, float *out)
{
	for (size_t i = 0; i < f->side; i++) {
		const FitTap *c = &f->column[i];
		float v = 0;
		if (row->low >= 0 && c->low >= 0) {
			const unsigned char *a = pixel + (size_t)row->low * f->width;
			const unsigned char *b = pixel + (size_t)row->high * f->width;
			float above = (float)a[c->low] + c->part * (float)(a[c->high] - a[c->low]);
			float below = (float)b[c->low] + c->part * (float)(b[c->high] - b[c->low]);
			v = above + row->part * (below - above);
		}
		out[i] = (v / 255.0f - f->mean) * f->scale;
	}
}

void fit_image(const Fit *f, const unsigned char *pixel, float *out)
{
	for (size_t i = 0; i < f->side; i++) fit_line(f, pixel, &f->row[i], out + i * f->side);
}

void fit_measure(Fit *f, const Dataset *d)
{
	float line[FIT_SIDE];
	double sum = 0, squares = 0;
	f->mean = 0;
	f->scale = 1;
	for (size_t i = 0; i < d->images; i++)
		for (size_t k = 0; k < f->side; k++) {
			fit_line(f, d->pixel + i * d->height * d->width, &f->row[k], line);
			for (size_t j = 0; j < f->side; j++) {
				sum += (double)line[j];
				squares += (double)line[j] * (double)line[j];
			}
		}
	double n = (double)d->images * (double)f->side * (double)f->side;
	/* values are in [0, 1] and images are not all alike, so the difference is not a cancellation */
	double mean = sum / n, variance = squares / n - mean * mean;
	f->mean = (float)mean;
	f->scale = variance > 1e-12 ? (float)(1 / sqrt(variance)) : 1;
}

/* --- batches ------------------------------------------------------------------------------ */

static void take_image(
    const Dataset *d, const Fit *f, size_t image, size_t i, float *x, int32_t *label)
{
	fit_image(f, d->pixel + image * d->height * d->width, x + i * f->side * f->side);
	label[i] = d->label[image];
}

void dataset_batch(const Dataset *d, const Fit *f, size_t first, size_t n, float *x, int32_t *label)
{
	for (size_t i = 0; i < n; i++) take_image(d, f, first + i, i, x, label);
}

bool feed_open(Feed *f, const Dataset *d, const Fit *fit, uint64_t seed, uint64_t epoch,
    size_t place, FormatError *e)
{
	*f = (Feed){.data = d, .fit = fit, .seed = seed, .epoch = epoch, .place = place};
	if (place > d->images) return format_fail(e, "image %zu of an epoch of %zu", place, d->images);
	size_t bytes;
	f->order = d->images <= UINT32_MAX && format_multiply(d->images, sizeof *f->order, &bytes)
	               ? malloc(bytes)
	               : NULL;
	if (!f->order) return format_fail(e, "no memory for the order of %zu images", d->images);
	shuffle_order(f->order, d->images, seed, epoch);
	return true;
}

void feed_close(Feed *f)
{
	free(f->order);
	*f = (Feed){0};
}

bool feed_next(Feed *f, size_t n, float *x, int32_t *label)
{
	if (n > f->data->images - f->place) return false;
	for (size_t i = 0; i < n; i++) take_image(f->data, f->fit, f->order[f->place + i], i, x, label);
	f->place += n;
	return true;
}

void feed_next_epoch(Feed *f)
{
	f->epoch++;
	f->place = 0;
	shuffle_order(f->order, f->data->images, f->seed, f->epoch);
}

size_t feed_dropped(const Dataset *d, size_t n) { return d->images % n; }
