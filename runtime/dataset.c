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

/* FOLDER/PART-WHAT, or the same with .gz. *found tells whether one of them is there; where none is,
 * that is a failure, too. */
static bool read_part(
    const char *folder, const char *part, const char *what, Idx *array, bool *found, FormatError *e)
{
	size_t room = strlen(folder) + strlen(part) + strlen(what) + 8;
	char *path = malloc(room);
	*found = true;
	if (!path) return format_fail(e, "%s: no memory", folder);
	snprintf(path, room, "%s/%s-%s", folder, part, what);
	if (!exists(path)) strcat(path, ".gz");
	*found = exists(path);
	bool ok = *found
	              ? idx_read(path, array, e)
	              : format_fail(e, "%s: no %s-%s there, nor the same with .gz", folder, part, what);
	free(path);
	return ok;
}

/* Grey images, or those with channels where there are no grey ones. */
static bool read_images(const char *folder, const char *part, Idx *image, FormatError *e)
{
	bool grey, coloured;
	FormatError unused;
	if (read_part(folder, part, "images-idx3-ubyte", image, &grey, e)) return true;
	if (grey) return false;
	if (read_part(folder, part, "images-idx4-ubyte", image, &coloured, &unused)) return true;
	if (coloured && e) *e = unused;
	return false;
}

static bool check_pair(const Idx *image, const Idx *label, const char *folder, const char *part,
    int classes, FormatError *e)
{
	if ((image->rank != 3 && image->rank != 4) || label->rank != 1)
		return format_fail(e, "%s: %s: images have %d dimensions and labels %d, not 3 or 4 and 1",
		    folder, part, image->rank, label->rank);
	if (image->rank == 4 && image->dim[1] > DATASET_CHANNELS)
		return format_fail(e, "%s: %s: images have %zu channels, at most %d are supported", folder,
		    part, image->dim[1], DATASET_CHANNELS);
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
	bool found;
	bool ok = read_images(folder, part, &image, e) &&
	          read_part(folder, part, "labels-idx1-ubyte", &label, &found, e) &&
	          check_pair(&image, &label, folder, part, classes, e);
	if (!ok) {
		idx_free(&image);
		idx_free(&label);
		return false;
	}
	int coloured = image.rank == 4;
	*d = (Dataset){.images = image.dim[0],
	    .channels = coloured ? image.dim[1] : 1,
	    .height = image.dim[1 + coloured],
	    .width = image.dim[2 + coloured],
	    .classes = classes,
	    .pixel = image.data,
	    .label = label.data};
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
	*f = (Fit){.channels = d->channels, .height = d->height, .width = d->width, .side = side};
	for (int c = 0; c < DATASET_CHANNELS; c++) f->scale[c] = 1;
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

/* One output line of channel c from two stored ones. A border line or column is black. */
static void fit_line(
    const Fit *f, size_t c, const unsigned char *plane, const FitTap *row, float *out)
{
	for (size_t i = 0; i < f->side; i++) {
		const FitTap *tap = &f->column[i];
		float v = 0;
		if (row->low >= 0 && tap->low >= 0) {
			const unsigned char *a = plane + (size_t)row->low * f->width;
			const unsigned char *b = plane + (size_t)row->high * f->width;
			float above = (float)a[tap->low] + tap->part * (float)(a[tap->high] - a[tap->low]);
			float below = (float)b[tap->low] + tap->part * (float)(b[tap->high] - b[tap->low]);
			v = above + row->part * (below - above);
		}
		out[i] = (v / 255.0f - f->mean[c]) * f->scale[c];
	}
}

static void fit_plane(const Fit *f, size_t c, const unsigned char *plane, float *out)
{
	for (size_t i = 0; i < f->side; i++) fit_line(f, c, plane, &f->row[i], out + i * f->side);
}

static const unsigned char *stored_plane(const Dataset *d, size_t image, size_t c)
{
	return d->pixel + (image * d->channels + c) * d->height * d->width;
}

void fit_image(const Fit *f, const unsigned char *pixel, float *out)
{
	for (size_t c = 0; c < f->channels; c++)
		fit_plane(f, c, pixel + c * f->height * f->width, out + c * f->side * f->side);
}

static void measure_channel(Fit *f, const Dataset *d, size_t c)
{
	float line[FIT_SIDE];
	double sum = 0, squares = 0;
	f->mean[c] = 0;
	f->scale[c] = 1;
	for (size_t i = 0; i < d->images; i++)
		for (size_t k = 0; k < f->side; k++) {
			fit_line(f, c, stored_plane(d, i, c), &f->row[k], line);
			for (size_t j = 0; j < f->side; j++) {
				sum += (double)line[j];
				squares += (double)line[j] * (double)line[j];
			}
		}
	double n = (double)d->images * (double)f->side * (double)f->side;
	/* values are in [0, 1] and images are not all alike, so the difference is not a cancellation */
	double mean = sum / n, variance = squares / n - mean * mean;
	f->mean[c] = (float)mean;
	f->scale[c] = variance > 1e-12 ? (float)(1 / sqrt(variance)) : 1;
}

void fit_measure(Fit *f, const Dataset *d)
{
	for (size_t c = 0; c < f->channels; c++) measure_channel(f, d, c);
}

bool fit_normalise(Fit *f, const float *mean, const float *deviation, FormatError *e)
{
	for (size_t c = 0; c < f->channels; c++)
		if (!isfinite(mean[c]) || !(deviation[c] > 0) || !isfinite(1 / deviation[c]))
			return format_fail(e, "channel %zu: mean %g and deviation %g do not normalise", c,
			    (double)mean[c], (double)deviation[c]);
	for (size_t c = 0; c < f->channels; c++) {
		f->mean[c] = mean[c];
		f->scale[c] = 1 / deviation[c];
	}
	return true;
}

/* --- batches ------------------------------------------------------------------------------ */

void dataset_batch(const Dataset *d, const Fit *f, size_t first, size_t n, float *x, int32_t *label)
{
	for (size_t i = 0; i < n; i++) {
		fit_image(f, stored_plane(d, first + i, 0), x + i * f->channels * f->side * f->side);
		label[i] = d->label[first + i];
	}
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
	f->plane = malloc(fit->side * fit->side * sizeof *f->plane); /* at most FIT_SIDE squared */
	if (!f->order || !f->plane)
		return format_fail(e, "no memory for the order of %zu images", d->images);
	shuffle_order(f->order, d->images, seed, epoch);
	return true;
}

void feed_close(Feed *f)
{
	free(f->order);
	free(f->plane);
	*f = (Feed){0};
}

static void take_augmented(Feed *f, size_t image, float *x)
{
	const Fit *fit = f->fit;
	Move m = augment_draw(&f->augment, f->seed, f->epoch, image);
	for (size_t c = 0; c < fit->channels; c++, x += fit->side * fit->side) {
		fit_plane(fit, c, stored_plane(f->data, image, c), f->plane);
		augment_plane(&m, fit->side, (0.0f - fit->mean[c]) * fit->scale[c], f->plane, x);
	}
}

bool feed_next(Feed *f, size_t n, float *x, int32_t *label)
{
	bool augments = f->augment.pad || f->augment.flip;
	if (n > f->data->images - f->place) return false;
	size_t floats = f->fit->channels * f->fit->side * f->fit->side; /* of an image */
	for (size_t i = 0; i < n; i++, x += floats) {
		size_t image = f->order[f->place + i];
		if (augments)
			take_augmented(f, image, x);
		else
			fit_image(f->fit, stored_plane(f->data, image, 0), x);
		label[i] = f->data->label[image];
	}
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
