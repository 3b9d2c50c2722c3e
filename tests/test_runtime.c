/* The runtime: data sets, shuffles, rates, progress, confusion and checkpoints. */
#define _POSIX_C_SOURCE 200809L
#include "../runtime/checkpoint.h"
#include "../runtime/confusion.h"
#include "../runtime/dataset.h"
#include "../runtime/formats/safetensors.h"
#include "../runtime/progress.h"
#include "../runtime/shuffle.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* --- shuffle ------------------------------------------------------------------------------ */

static void shuffle_permutes_and_is_stable(void **state)
{
	(void)state;
	enum { N = 1437 };
	uint32_t a[N], b[N], other[N];
	bool seen[N] = {false};
	shuffle_order(a, N, 7, 3);
	shuffle_order(b, N, 7, 3);
	assert_memory_equal(a, b, sizeof a);
	for (int i = 0; i < N; i++) {
		assert_in_range(a[i], 0, N - 1);
		assert_false(seen[a[i]]);
		seen[a[i]] = true;
	}
	shuffle_order(other, N, 7, 4);
	assert_memory_not_equal(a, other, sizeof a);
	shuffle_order(other, N, 8, 3);
	assert_memory_not_equal(a, other, sizeof a);
	shuffle_order(a, 1, 0, 0);
	assert_int_equal(a[0], 0);
	shuffle_order(a, 0, 0, 0);
	/* the order is a promise to every checkpoint that exists */
	const uint32_t first[8] = {2, 3, 4, 7, 6, 1, 5, 0};
	shuffle_order(a, 8, 1, 0);
	assert_memory_equal(a, first, sizeof first);
}

/* Each of 6 orders of 3 things comes up in a sixth of the epochs, within five standard deviations.
 */
static void shuffle_is_fair(void **state)
{
	(void)state;
	enum { ROUNDS = 60000 };
	int count[27] = {0}, orders = 0;
	uint32_t a[3];
	for (uint64_t epoch = 0; epoch < ROUNDS; epoch++) {
		shuffle_order(a, 3, 1, epoch);
		count[9 * a[0] + 3 * a[1] + a[2]]++;
	}
	for (int i = 0; i < 27; i++) {
		if (!count[i]) continue;
		orders++;
		assert_in_range(count[i], ROUNDS / 6 - 460, ROUNDS / 6 + 460);
	}
	assert_int_equal(orders, 6);
}

/* --- rates -------------------------------------------------------------------------------- */

static bool near(float a, double b) { return fabs((double)a - b) < 1e-6; }

static void rates_follow_their_schedule(void **state)
{
	(void)state;
	RateSchedule s = {.base = 0.1f, .warm_up = 10, .every = 100, .factor = 0.5f, .total = 210};
	RateKind kind;
	assert_true(near(rate_at(&s, 0), 0.01));
	assert_true(near(rate_at(&s, 9), 0.1));
	assert_true(near(rate_at(&s, 100000), 0.1));
	s.kind = RATE_STEP;
	assert_true(near(rate_at(&s, 99), 0.1));
	assert_true(near(rate_at(&s, 100), 0.05));
	assert_true(near(rate_at(&s, 250), 0.025));
	s.every = 0;
	assert_true(near(rate_at(&s, 250), 0.1));
	s.kind = RATE_COSINE;
	s.last = 0.02f;
	assert_true(near(rate_at(&s, 10), 0.1));
	assert_true(near(rate_at(&s, 110), 0.06));
	assert_true(near(rate_at(&s, 210), 0.02));
	assert_true(near(rate_at(&s, 5000), 0.02));
	for (int i = 0; i < RATE_KINDS; i++) {
		assert_true(rate_kind(rate_name((RateKind)i), &kind));
		assert_int_equal(kind, i);
	}
	assert_false(rate_kind("cosin", &kind));
}

/* --- data sets ---------------------------------------------------------------------------- */

/* n images of side x side, image i filled with the value 10 * i, labelled i % 10. */
static Dataset make_set(size_t n, size_t side)
{
	Dataset d = {n, 1, side, side, 10, malloc(n * side * side), malloc(n)};
	assert_true(d.pixel && d.label);
	for (size_t i = 0; i < n; i++) {
		memset(d.pixel + i * side * side, (int)(10 * i % 256), side * side);
		d.label[i] = (unsigned char)(i % 10);
	}
	return d;
}

static void fit_borders_and_scales(void **state)
{
	(void)state;
	static Fit f;
	static float out[32 * 32];
	FormatError e = {""};
	Dataset d = make_set(1, 28);
	for (int i = 0; i < 28 * 28; i++) d.pixel[i] = (unsigned char)(i % 251);
	assert_true(fit_make(&f, &d, 32, &e));
	fit_image(&f, d.pixel, out);
	for (int y = 0; y < 32; y++)
		for (int x = 0; x < 32; x++) {
			bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
			float v = inside ? (float)d.pixel[(y - 2) * 28 + x - 2] / 255.0f : 0;
			assert_true(out[y * 32 + x] == v);
		}
	dataset_free(&d);
	d = make_set(1, 8); /* a slope stays a slope, half a pixel in from each edge */
	for (int i = 0; i < 64; i++) d.pixel[i] = (unsigned char)(16 * (i % 8) + 2 * (i / 8));
	assert_true(fit_make(&f, &d, 32, &e));
	fit_image(&f, d.pixel, out);
	for (int y = 2; y < 30; y++)
		for (int x = 2; x < 30; x++) {
			double v = 16 * ((x + 0.5) / 4 - 0.5) + 2 * ((y + 0.5) / 4 - 0.5);
			assert_true(near(out[y * 32 + x], v / 255));
		}
	assert_true(out[0] == 0 && near(out[1023], 126 / 255.0));
	assert_false(fit_make(&f, &d, 7, &e));
	assert_non_null(strstr(e.text, "do not fit"));
	assert_false(fit_make(&f, &d, 100000, &e));
	dataset_free(&d);
}

static void fit_normalises(void **state)
{
	(void)state;
	static Fit f;
	static float out[20 * 64];
	int32_t label[20];
	FormatError e = {""};
	Dataset d = make_set(20, 8);
	assert_true(fit_make(&f, &d, 8, &e));
	fit_measure(&f, &d);
	dataset_batch(&d, &f, 0, 20, out, label);
	double sum = 0, squares = 0;
	for (int i = 0; i < 20 * 64; i++) {
		sum += (double)out[i];
		squares += (double)(out[i] * out[i]);
	}
	assert_true(fabs(sum / 1280) < 1e-5 && fabs(squares / 1280 - 1) < 1e-5);
	memset(d.pixel, 9, 20 * 64); /* all alike: no division by nothing */
	fit_measure(&f, &d);
	assert_true(f.scale[0] == 1 && near(f.mean[0], 9 / 255.0));
	dataset_free(&d);
}

static void feed_drops_the_short_batch_and_resumes_in_place(void **state)
{
	(void)state;
	static Fit f;
	static float x[8 * 64];
	int32_t label[8], whole[2][24], place = 0;
	FormatError e = {""};
	Dataset d = make_set(26, 8);
	assert_true(fit_make(&f, &d, 8, &e));
	Feed a, b;
	assert_true(feed_open(&a, &d, &f, 5, 0, 0, &e));
	assert_int_equal(feed_dropped(&d, 8), 2);
	for (int epoch = 0; epoch < 2; epoch++, feed_next_epoch(&a)) {
		for (place = 0; feed_next(&a, 8, x, label); place += 8)
			memcpy(whole[epoch] + place, label, sizeof label);
		assert_int_equal(place, 24);
		assert_int_equal(a.place, 24);
	}
	feed_close(&a);
	/* from the middle of epoch 1, as a checkpoint would */
	assert_true(feed_open(&b, &d, &f, 5, 1, 8, &e));
	for (place = 8; feed_next(&b, 8, x, label); place += 8) {
		assert_memory_equal(label, whole[1] + place, sizeof label);
		for (int i = 0; i < 8; i++) /* pixels belong to their labels */
			assert_int_equal((int)lroundf(x[64 * i] * 255) / 10 % 10, label[i] % 10);
	}
	assert_int_equal(place, 24);
	feed_close(&b);
	assert_false(feed_open(&b, &d, &f, 5, 1, 27, &e));
	feed_close(&b);
	dataset_free(&d);
}

static void write_idx(const char *folder, const char *name, const unsigned char *data, size_t size)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static void dataset_refuses_what_does_not_belong_together(void **state)
{
	char folder[] = "/tmp/cnnc-runtime-XXXXXX", path[256];
	const unsigned char images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9};
	const unsigned char none[] = {0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1};
	unsigned char labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 9, 3};
	const char *const image_name = "train-images-idx3-ubyte", *const label_name =
	                                                              "train-labels-idx1-ubyte";
	FormatError e = {""};
	Dataset d;
	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_false(dataset_read(&d, folder, "train", 10, &e));
	assert_non_null(strstr(e.text, "nor the same with .gz"));
	write_idx(folder, image_name, images, sizeof images);
	assert_false(dataset_read(&d, folder, "train", 10, &e));
	write_idx(folder, label_name, labels, sizeof labels);
	assert_true(dataset_read(&d, folder, "train", 10, &e));
	assert_true(d.images == 2 && d.height == 1 && d.label[0] == 9 && d.pixel[1] == 9);
	dataset_free(&d);
	assert_false(dataset_read(&d, folder, "train", 9, &e));
	assert_non_null(strstr(e.text, "label 0 is 9, but there are 9 classes"));
	labels[7] = 1;
	write_idx(folder, label_name, labels, sizeof labels - 1);
	assert_false(dataset_read(&d, folder, "train", 10, &e));
	assert_non_null(strstr(e.text, "2 images, but 1 labels"));
	write_idx(folder, label_name, images, sizeof images);
	assert_false(dataset_read(&d, folder, "train", 10, &e));
	labels[7] = 0;
	write_idx(folder, image_name, none, sizeof none);
	write_idx(folder, label_name, labels, 8);
	assert_false(dataset_read(&d, folder, "train", 10, &e));
	assert_non_null(strstr(e.text, "no images"));
	snprintf(path, sizeof path, "%s/%s", folder, image_name);
	unlink(path);
	snprintf(path, sizeof path, "%s/%s", folder, label_name);
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
}

/* --- confusion and progress --------------------------------------------------------------- */

static void confusion_counts(void **state)
{
	(void)state;
	Confusion c;
	char *text = NULL;
	size_t size;
	assert_true(confusion_open(&c, 3));
	for (int i = 0; i < 10; i++) confusion_add(&c, 0, i % 5 ? 0 : 2);
	confusion_add(&c, 1, 1);
	assert_int_equal(confusion_right(&c), 9);
	assert_int_equal(confusion_total(&c), 11);
	FILE *out = open_memstream(&text, &size);
	confusion_print(&c, out);
	fclose(out);
	assert_string_equal(text, "truth \\ answer\n"
	                          "      0 1 2   right\n"
	                          "    0 8 . 2   80.0%\n"
	                          "    1 . 1 .  100.0%\n"
	                          "    2 . . .       -\n");
	free(text);
	confusion_close(&c);
	assert_false(confusion_open(&c, 0));
	const float score[4] = {NAN, 1, 3, 3}, odd[2] = {1, NAN};
	assert_int_equal(confusion_answer(score, 4), 2);
	assert_int_equal(confusion_answer(odd, 2), 0);
}

static void progress_fits_the_columns(void **state)
{
	(void)state;
	Progress p = {
	    .label = "epoch 2/9", .total = 1000, .before = 100, .done = 400, .loss = 100, .right = 300};
	char line[256];
	progress_line(&p, 2, 80, line, sizeof line);
	assert_string_equal(line,
	    "epoch 2/9 [======>     ]  50%  loss 0.2500  acc  75.00%  200 images/s  "
	    "ETA 0:03");
	for (int columns = 1; columns < 200; columns++) {
		progress_line(&p, 2, columns, line, sizeof line);
		assert_true(strlen(line) < (size_t)columns);
	}
	assert_non_null(strstr(line, "[===================>"));
	p.before = p.total; /* past the end, before the start: still a line */
	progress_line(&p, 2, 80, line, sizeof line);
	p = (Progress){.label = "x"};
	progress_line(&p, 0, 80, line, sizeof line);
	assert_non_null(strstr(line, "100%"));
}

static void progress_is_plain_in_a_file(void **state)
{
	(void)state;
	FILE *out = tmpfile();
	assert_non_null(out);
	Progress p;
	progress_open(&p, out);
	progress_begin(&p, "epoch 1/1", 0, 64);
	progress_add(&p, 32, 1.0, 16);
	progress_add(&p, 32, 0.5, 32);
	progress_end(&p, "  done");
	char text[256] = "";
	rewind(out);
	size_t n = fread(text, 1, sizeof text - 1, out);
	assert_true(n > 0);
	assert_memory_equal(text, "epoch 1/1  loss 0.7500  acc  75.00%  ", 37);
	assert_null(strchr(text, '\r'));
	assert_string_equal(strchr(text, '\n') - 6, "  done\n");
	fclose(out);
}

/* --- checkpoints -------------------------------------------------------------------------- */

static const struct cnnc_tensor table[] = {
    {"fc.weight", 0, 6, {2, 3}, 2, 0},
    {"bn.running_mean", 6, 2, {2}, 1, 1},
    {"fc.weight.velocity", 0, 6, {2, 3}, 2, 2},
};

static Checkpoint make_checkpoint(float *vars, float *slots, size_t tensors)
{
	return (Checkpoint){.tensor = table,
	    .tensors = tensors,
	    .vars = vars,
	    .slots = slots,
	    .slot_count = 6,
	    .seed = UINT64_MAX,
	    .step = 12345678901234567u,
	    .epoch = 3,
	    .place = 64,
	    .images = 1437,
	    .batch = 64,
	    .momentum = 0.9f,
	    .decay = 1e-4f,
	    .pad = 4,
	    .flip = 1,
	    .schedule = {.kind = RATE_COSINE,
	        .base = 0.1f,
	        .warm_up = 5,
	        .every = 7,
	        .factor = 0.3f,
	        .total = 220,
	        .last = 1e-45f}};
}

static void checkpoint_brings_back_every_bit(void **state)
{
	(void)state;
	char path[] = "/tmp/cnnc-checkpoint-XXXXXX";
	close(mkstemp(path));
	FormatError e = {""};
	for (size_t tensors = 2; tensors <= 3; tensors++) { /* slots without and with names */
		float vars[8] = {1, 2, 3, -0.0f, 1e-42f, 0.1f, 7, 8}, slots[6] = {9, 8, 7, 6, 5, 4};
		float vars2[8] = {0}, slots2[6] = {0};
		Checkpoint c = make_checkpoint(vars, slots, tensors);
		Checkpoint d = {
		    .tensor = table, .tensors = tensors, .vars = vars2, .slots = slots2, .slot_count = 6};
		assert_true(checkpoint_write(path, &c, &e));
		assert_true(checkpoint_read(path, &d, &e));
		assert_memory_equal(vars, vars2, sizeof vars);
		assert_memory_equal(slots, slots2, sizeof slots);
		assert_true(d.seed == c.seed && d.step == c.step && d.epoch == c.epoch);
		assert_true(d.place == c.place && d.images == c.images && d.batch == c.batch);
		assert_true(d.momentum == c.momentum && d.decay == c.decay);
		assert_true(d.pad == 4 && d.flip == 1);
		const RateSchedule *s = &c.schedule, *r = &d.schedule;
		assert_true(r->kind == s->kind && r->base == s->base && r->factor == s->factor);
		assert_true(r->warm_up == s->warm_up && r->every == s->every && r->total == s->total);
		assert_true(r->last == s->last);
		assert_true(d.vars == vars2);
	}
	unlink(path);
}

/* Files from before there was augmentation say nothing of it: there was none. */
static void checkpoint_of_before_is_read(void **state)
{
	(void)state;
	static const char *const key[] = {"seed", "step", "epoch", "place", "images", "batch",
	    "rate.warm_up", "rate.every", "rate.total", "momentum", "decay", "rate", "rate.factor",
	    "rate.last", "schedule", "cnnc.checkpoint"};
	enum { KEYS = sizeof key / sizeof *key };
	char path[] = "/tmp/cnnc-checkpoint-XXXXXX";
	close(mkstemp(path));
	FormatError e = {""};
	float vars[8] = {1}, slots[6] = {2};
	Checkpoint c = make_checkpoint(vars, slots, 3), d = make_checkpoint(vars, slots, 3);
	Safetensors s;
	SafetensorsPair pair[KEYS];
	const SafetensorsOutput out[] = {{"fc.weight", SAFETENSORS_F32, 2, {2, 3}, vars},
	    {"bn.running_mean", SAFETENSORS_F32, 1, {2}, vars},
	    {"fc.weight.velocity", SAFETENSORS_F32, 2, {2, 3}, slots}};
	assert_true(checkpoint_write(path, &c, &e) && safetensors_read(path, &s, &e));
	for (int i = 0; i < KEYS; i++)
		pair[i] = (SafetensorsPair){key[i], safetensors_metadata(&s, key[i])};
	assert_true(safetensors_write(path, out, 3, pair, KEYS, &e));
	safetensors_free(&s);
	assert_true(checkpoint_read(path, &d, &e));
	assert_true(d.pad == 0 && d.flip == 0 && d.step == c.step && d.schedule.total == 220);
	c.flip = 2;
	assert_true(checkpoint_write(path, &c, &e));
	assert_false(checkpoint_read(path, &d, &e));
	unlink(path);
}

static void checkpoint_that_does_not_fit_changes_nothing(void **state)
{
	(void)state;
	char path[] = "/tmp/cnnc-checkpoint-XXXXXX";
	close(mkstemp(path));
	FormatError e = {""};
	float vars[8] = {1}, slots[6] = {2}, vars2[8] = {5}, slots2[6] = {6};
	Checkpoint c = make_checkpoint(vars, slots, 3), d = make_checkpoint(vars2, slots2, 2);
	d.step = 77;
	assert_true(checkpoint_write(path, &c, &e));
	assert_false(checkpoint_read(path, &d, &e));
	assert_non_null(strstr(e.text, "missing: optimizer.slots"));
	assert_non_null(strstr(e.text, "left over: fc.weight.velocity"));
	assert_true(d.step == 77 && vars2[0] == 5 && slots2[0] == 6);
	/* weights are no checkpoint, a checkpoint is no weights */
	assert_false(weights_read(path, table, 3, vars2, &e));
	assert_true(weights_write(path, table, 3, vars, &e));
	assert_false(checkpoint_read(path, &d, &e));
	assert_non_null(strstr(e.text, "not a checkpoint"));
	assert_true(weights_read(path, table, 3, vars2, &e));
	assert_memory_equal(vars, vars2, sizeof vars);
	unlink(path);
}

/* Fine-tuning to another class count: the classifier keeps its first values, all else is read. */
static void weights_of_other_classes_are_read_but_for_the_classifier(void **state)
{
	(void)state;
	static const struct cnnc_tensor three[] = {{"conv", 0, 2, {2}, 1, 0},
	    {"fc.weight", 2, 6, {3, 2}, 2, 0}, {"fc.bias", 8, 3, {3}, 1, 0},
	    {"fc.bias.velocity", 0, 3, {3}, 1, 2}},
	                                five[] = {{"conv", 0, 2, {2}, 1, 0},
	                                    {"fc.weight", 2, 10, {5, 2}, 2, 0},
	                                    {"fc.bias", 12, 5, {5}, 1, 0}};
	char path[] = "/tmp/cnnc-checkpoint-XXXXXX";
	close(mkstemp(path));
	FormatError e = {""};
	float from[17], vars[11], before[11];
	bool kept[4] = {true, false, false, true};
	const char *const fc[] = {"fc.*", NULL}, *const bias[] = {"fc.bias", NULL};
	const WeightsAllow allow = {fc, NULL}, too_little = {bias, NULL}, none = {NULL, NULL};
	for (int i = 0; i < 17; i++) from[i] = (float)(100 + i);
	for (int i = 0; i < 11; i++) vars[i] = before[i] = (float)i;
	assert_true(weights_write(path, five, 3, from, &e));
	assert_false(weights_read(path, three, 4, vars, &e));
	assert_false(weights_read_allowing(path, three, 4, vars, &none, kept, &e));
	assert_non_null(
	    strstr(e.text, "differing: fc.weight is [5,2], not [3,2], fc.bias is [5], not [3]"));
	assert_false(weights_read_allowing(path, three, 4, vars, &too_little, kept, &e));
	assert_non_null(strstr(e.text, "differing: fc.weight is [5,2], not [3,2]"));
	assert_memory_equal(vars, before, sizeof vars);
	assert_true(weights_read_allowing(path, three, 4, vars, &allow, kept, &e));
	assert_true(!kept[0] && kept[1] && kept[2] && !kept[3]);
	assert_true(vars[0] == 100 && vars[1] == 101);
	assert_memory_equal(vars + 2, before + 2, 9 * sizeof *vars);
	assert_true(
	    weights_read_allowing(path, five, 3, from, &allow, kept, &e)); /* all of it is there */
	assert_true(!kept[0] && !kept[1] && !kept[2]);
	unlink(path);
}

static void checkpoint_numbers_are_checked(void **state)
{
	(void)state;
	const char *const bad[] = {"", "-1", " 1", "1x", "18446744073709551616", "0x10", "1.5"};
	char path[] = "/tmp/cnnc-checkpoint-XXXXXX";
	close(mkstemp(path));
	FormatError e = {""};
	float vars[8] = {1}, slots[6] = {2};
	const SafetensorsOutput out = {"fc.weight", SAFETENSORS_F32, 2, {2, 3}, vars};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const SafetensorsPair meta[] = {{"cnnc.checkpoint", "1"}, {"seed", bad[i]}};
		Checkpoint c = make_checkpoint(vars, slots, 3);
		assert_true(safetensors_write(path, &out, 1, meta, 2, &e));
		assert_false(checkpoint_read(path, &c, &e));
		assert_non_null(strstr(e.text, "'seed' is not a number"));
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(shuffle_permutes_and_is_stable),
	    cmocka_unit_test(shuffle_is_fair),
	    cmocka_unit_test(rates_follow_their_schedule),
	    cmocka_unit_test(fit_borders_and_scales),
	    cmocka_unit_test(fit_normalises),
	    cmocka_unit_test(feed_drops_the_short_batch_and_resumes_in_place),
	    cmocka_unit_test(dataset_refuses_what_does_not_belong_together),
	    cmocka_unit_test(confusion_counts),
	    cmocka_unit_test(progress_fits_the_columns),
	    cmocka_unit_test(progress_is_plain_in_a_file),
	    cmocka_unit_test(checkpoint_brings_back_every_bit),
	    cmocka_unit_test(checkpoint_of_before_is_read),
	    cmocka_unit_test(checkpoint_that_does_not_fit_changes_nothing),
	    cmocka_unit_test(weights_of_other_classes_are_read_but_for_the_classifier),
	    cmocka_unit_test(checkpoint_numbers_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
