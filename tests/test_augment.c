/* Augmentation and colours in the loader: exact, seeded, and the same whatever the order. */
#define _POSIX_C_SOURCE 200809L
#include "../runtime/dataset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 6, CHANNELS = 3, PLANE = SIDE * SIDE, IMAGE = CHANNELS * PLANE, IMAGES = 25 };

/* Every pixel of every image is another number, as far as bytes go. */
static Dataset make_set(void)
{
	Dataset d = {.images = IMAGES,
	    .channels = CHANNELS,
	    .height = SIDE,
	    .width = SIDE,
	    .classes = IMAGES,
	    .pixel = malloc(IMAGES * IMAGE),
	    .label = malloc(IMAGES)};
	assert_true(d.pixel && d.label);
	for (size_t i = 0; i < IMAGES * IMAGE; i++) d.pixel[i] = (unsigned char)(i * 7 % 251 + 1);
	for (size_t i = 0; i < IMAGES; i++) d.label[i] = (unsigned char)i;
	return d;
}

/* --- one plane ---------------------------------------------------------------------------- */

/* As it is said: a border around the plane, a crop of it, and that turned around. */
static void plainly(const Move *m, int pad, float black, const float *from, float *to)
{
	float wide[(SIDE + 8) * (SIDE + 8)];
	int size = SIDE + 2 * pad;
	for (int i = 0; i < size * size; i++) wide[i] = black;
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) wide[(y + pad) * size + x + pad] = from[y * SIDE + x];
	for (int y = 0; y < SIDE; y++)
		for (int x = 0; x < SIDE; x++) {
			int column = m->mirror ? SIDE - 1 - x : x;
			to[y * SIDE + x] = wide[(y + pad + (int)m->down) * size + column + pad + (int)m->right];
		}
}

static void a_plane_is_padded_cropped_and_mirrored(void **state)
{
	(void)state;
	float from[PLANE], got[PLANE], want[PLANE];
	for (int i = 0; i < PLANE; i++) from[i] = (float)(i + 1);
	for (int pad = 0; pad <= 4; pad++)
		for (Move m = {.down = -pad}; m.down <= pad; m.down++)
			for (m.right = -pad; m.right <= pad; m.right++)
				for (int mirror = 0; mirror < 2; mirror++) {
					m.mirror = mirror;
					augment_plane(&m, SIDE, -0.5f, from, got);
					plainly(&m, pad, -0.5f, from, want);
					assert_memory_equal(got, want, sizeof want);
				}
	const Move away = {.down = SIDE, .right = 0}, aside = {.right = -100};
	augment_plane(&away, SIDE, 3, from, got);
	for (int i = 0; i < PLANE; i++) assert_true(got[i] == 3);
	augment_plane(&aside, SIDE, 3, from, got);
	for (int i = 0; i < PLANE; i++) assert_true(got[i] == 3);
}

/* --- draws -------------------------------------------------------------------------------- */

static bool same_move(Move a, Move b)
{
	return a.down == b.down && a.right == b.right && a.mirror == b.mirror;
}

/* Each of 5 x 5 x 2 moves comes up as often as the others, within five standard deviations; over
 * images of one epoch, and over epochs of one image. */
static void draws_are_fair(void **state)
{
	(void)state;
	enum { ROUNDS = 50000, MEAN = ROUNDS / 50, MOST = 160 };
	const Augment a = {.pad = 2, .flip = true};
	for (int over_epochs = 0; over_epochs < 2; over_epochs++) {
		int count[50] = {0};
		for (uint64_t i = 0; i < ROUNDS; i++) {
			Move m = augment_draw(&a, 1, over_epochs ? i : 3, over_epochs ? 3 : i);
			assert_true(m.down >= -2 && m.down <= 2 && m.right >= -2 && m.right <= 2);
			count[(m.down + 2) * 10 + (m.right + 2) * 2 + m.mirror]++;
		}
		for (int i = 0; i < 50; i++) assert_in_range(count[i], MEAN - MOST, MEAN + MOST);
	}
}

static void draws_are_of_seed_epoch_and_image(void **state)
{
	(void)state;
	const Augment both = {.pad = 3, .flip = true}, crop = {.pad = 3}, flip = {.flip = true},
	              none = {0};
	int other_seed = 0, other_epoch = 0, other_image = 0, mirrored = 0;
	for (uint64_t i = 0; i < 200; i++) {
		Move m = augment_draw(&both, 5, 6, i);
		assert_true(same_move(m, augment_draw(&both, 5, 6, i)));
		other_seed += same_move(m, augment_draw(&both, 6, 6, i));
		other_epoch += same_move(m, augment_draw(&both, 5, 7, i));
		other_image += same_move(m, augment_draw(&both, 5, 6, i + 1));
		/* what is not asked for is not done, and does not change the rest */
		assert_true(same_move(augment_draw(&crop, 5, 6, i), (Move){m.down, m.right, false}));
		assert_true(same_move(augment_draw(&flip, 5, 6, i), (Move){0, 0, m.mirror}));
		assert_true(same_move(augment_draw(&none, 5, 6, i), (Move){0, 0, false}));
		mirrored += m.mirror;
	}
	assert_in_range(mirrored, 65, 135);
	assert_true(other_seed < 12 && other_epoch < 12 && other_image < 12); /* of 98 moves */
	/* the moves are a promise to every checkpoint that exists */
	const Move first[4] = {{1, 0, true}, {1, 2, true}, {-1, 1, true}, {0, 1, false}};
	for (uint64_t i = 0; i < 4; i++) assert_true(same_move(augment_draw(&both, 1, 0, i), first[i]));
}

/* --- batches ------------------------------------------------------------------------------ */

/* What the feed hands out as image `label` in this epoch, by the parts it is made of. */
static void check_image(const Dataset *d, const Fit *f, const Augment *a, uint64_t seed,
    uint64_t epoch, const float *x, int32_t label)
{
	float plain[IMAGE], want[PLANE];
	Move m = augment_draw(a, seed, epoch, (uint64_t)label);
	fit_image(f, d->pixel + label * IMAGE, plain);
	for (int c = 0; c < CHANNELS; c++) {
		float black = (0 - f->mean[c]) * f->scale[c];
		plainly(&m, (int)a->pad, black, plain + c * PLANE, want);
		assert_memory_equal(x + c * PLANE, want, sizeof want);
	}
}

/* Batches of any size, from any place on, hand out the same images; another epoch others. */
static void the_feed_augments_whatever_the_order(void **state)
{
	(void)state;
	static Fit f;
	static float x[IMAGES * IMAGE];
	int32_t label[IMAGES];
	FormatError e = {""};
	const float mean[CHANNELS] = {0.5f, 0.25f, 0.125f}, deviation[CHANNELS] = {0.5f, 0.3f, 2};
	const Augment augments[] = {{0}, {.pad = 4}, {.flip = true}, {.pad = 1, .flip = true}};
	Dataset d = make_set();
	assert_true(fit_make(&f, &d, SIDE, &e) && fit_normalise(&f, mean, deviation, &e));
	for (size_t k = 0; k < sizeof augments / sizeof *augments; k++)
		for (size_t batch = 1; batch <= IMAGES; batch += 6)
			for (uint64_t epoch = 0; epoch < 3; epoch++) {
				Feed feed;
				size_t from = (size_t)epoch * 5;
				assert_true(feed_open(&feed, &d, &f, 9, epoch ? epoch - 1 : 0, from, &e));
				feed.augment = augments[k];
				if (epoch) {
					feed_next_epoch(&feed);
					assert_int_equal(feed.place, 0);
				}
				size_t seen = 0;
				for (; feed_next(&feed, batch, x, label); seen += batch)
					for (size_t i = 0; i < batch; i++)
						check_image(&d, &f, &augments[k], 9, epoch, x + i * IMAGE, label[i]);
				assert_int_equal(seen, IMAGES / batch * batch);
				feed_close(&feed);
			}
	dataset_free(&d);
}

/* --- colours ------------------------------------------------------------------------------ */

static void channels_are_normalised_each_by_itself(void **state)
{
	(void)state;
	static Fit f;
	static float x[IMAGES * IMAGE];
	int32_t label[IMAGES];
	FormatError e = {""};
	const float mean[CHANNELS] = {0.485f, 0.456f, 0.406f},
	            deviation[CHANNELS] = {0.229f, 0.224f, 0.225f};
	Dataset d = make_set();
	for (size_t i = 0; i < IMAGES; i++) /* blue is all alike */
		memset(d.pixel + i * IMAGE + 2 * PLANE, 51, PLANE);
	assert_true(fit_make(&f, &d, SIDE, &e));
	fit_measure(&f, &d);
	dataset_batch(&d, &f, 0, IMAGES, x, label);
	for (int c = 0; c < CHANNELS; c++) {
		double sum = 0, squares = 0;
		for (int i = 0; i < IMAGES; i++)
			for (int p = 0; p < PLANE; p++) {
				double v = (double)x[i * IMAGE + c * PLANE + p];
				sum += v;
				squares += v * v;
			}
		assert_true(fabs(sum / (IMAGES * PLANE)) < 1e-5);
		assert_true(fabs(squares / (IMAGES * PLANE) - (c < 2)) < 1e-5);
	}
	assert_true(f.scale[2] == 1 && fabs((double)f.mean[2] - 0.2) < 1e-6);
	assert_true(fit_normalise(&f, mean, deviation, &e));
	dataset_batch(&d, &f, 3, 1, x, label);
	for (int c = 0; c < CHANNELS; c++)
		for (int p = 0; p < PLANE; p++) {
			double v = (double)d.pixel[3 * IMAGE + c * PLANE + p] / 255;
			double want = (v - (double)mean[c]) / (double)deviation[c];
			assert_true(fabs((double)x[c * PLANE + p] - want) < 1e-6);
		}
	const float bad[][2] = {{0, 0}, {0, -1}, {0, NAN}, {NAN, 1}, {INFINITY, 1}, {0, 1e-45f}};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		float m[CHANNELS] = {0, bad[i][0], 0}, s[CHANNELS] = {1, bad[i][1], 1};
		assert_false(fit_normalise(&f, m, s, &e));
		assert_non_null(strstr(e.text, "channel 1: "));
		assert_true(f.mean[0] == mean[0]);
	}
	dataset_free(&d);
}

static void write_file(const char *folder, const char *name, const unsigned char *data, size_t size)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void drop_file(const char *folder, const char *name)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	assert_int_equal(unlink(path), 0);
}

static void coloured_images_are_read(void **state)
{
	(void)state;
	char folder[] = "/tmp/cnnc-augment-XXXXXX";
	unsigned char images[20 + 2 * 3 * 2] = {
	    0, 0, 8, 4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2};
	const unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
	FormatError e = {""};
	Dataset d;
	for (int i = 0; i < 12; i++) images[20 + i] = (unsigned char)(10 + i);
	assert_non_null(mkdtemp(folder));
	write_file(folder, "train-images-idx4-ubyte", images, sizeof images);
	assert_false(dataset_read(&d, folder, "train", 2, &e));
	assert_non_null(strstr(e.text, "no train-labels-idx1-ubyte"));
	write_file(folder, "train-labels-idx1-ubyte", labels, sizeof labels);
	assert_true(dataset_read(&d, folder, "train", 2, &e));
	assert_true(d.images == 2 && d.channels == 3 && d.height == 1 && d.width == 2);
	assert_true(d.pixel[0] == 10 && d.pixel[11] == 21 && d.label[0] == 1);
	dataset_free(&d);
	images[11] = 6; /* channels, of one image */
	images[7] = 1;
	write_file(folder, "train-images-idx4-ubyte", images, sizeof images);
	assert_false(dataset_read(&d, folder, "train", 2, &e));
	assert_non_null(strstr(e.text, "images have 6 channels, at most 4 are supported"));
	write_file(folder, "train-images-idx4-ubyte", images, 19);
	assert_false(dataset_read(&d, folder, "train", 2, &e));
	assert_non_null(strstr(e.text, "train-images-idx4-ubyte"));
	drop_file(folder, "train-images-idx4-ubyte");
	drop_file(folder, "train-labels-idx1-ubyte");
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_plane_is_padded_cropped_and_mirrored),
	    cmocka_unit_test(draws_are_fair),
	    cmocka_unit_test(draws_are_of_seed_epoch_and_image),
	    cmocka_unit_test(the_feed_augments_whatever_the_order),
	    cmocka_unit_test(channels_are_normalised_each_by_itself),
	    cmocka_unit_test(coloured_images_are_read),
	};
	return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
