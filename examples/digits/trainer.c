/* trainer: training and testing the compiled network. */
#define _POSIX_C_SOURCE 200809L
#include "trainer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* --- opening ------------------------------------------------------------------------------ */

/* The compiled size that --batch names; the first one when it names none. */
static bool choose_size(Trainer *t, uint64_t batch, FormatError *e)
{
	char list[200] = "";
	t->size = &train_size[0];
	for (int i = 0; i < TRAIN_SIZES; i++) {
		size_t n = strlen(list);
		snprintf(list + n, sizeof list - n, "%s%zu", i ? ", " : "", train_size[i].batch);
		if (train_size[i].batch == batch) t->size = &train_size[i];
	}
	if (!batch || t->size->batch == batch) return true;
	return format_fail(e,
	    "batch size %" PRIu64 " is not compiled in; there is %s. `make demo BATCH=%" PRIu64
	    "` compiles another",
	    batch, list, batch);
}

static bool read_data(Trainer *t, FormatError *e)
{
	const char *folder = t->option->data;
	if (!dataset_read(&t->train, folder, "train", CLASSES, e) ||
	    !dataset_read(&t->test, folder, "t10k", CLASSES, e))
		return false;
	if (t->train.height != t->test.height || t->train.width != t->test.width)
		return format_fail(e, "%s: training and test images differ in size", folder);
	if (t->train.images < t->size->batch)
		return format_fail(e, "%s: %zu training images do not make a batch of %zu", folder,
		    t->train.images, t->size->batch);
	if (t->train.channels != 1 || t->test.channels != 1)
		return format_fail(e, "%s: images are not grey", folder);
	if (!fit_make(&t->fit, &t->train, SIDE, e)) return false;
	fit_measure(&t->fit, &t->train);
	return true;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static bool take_memory(Trainer *t, FormatError *e)
{
	size_t batch = larger(t->size->batch, TEST_BATCH);
	size_t work = larger(t->size->work, larger(NET_INFER_B1_WORK, NET_INFER_B64_WORK));
	t->net.vars = malloc((NET_WEIGHTS + NET_BUFFERS + 1) * sizeof(float));
	t->net.slots = malloc((NET_SLOTS + 1) * sizeof(float));
	t->packed = malloc(NET_PACKED_BYTES + 1);
	t->work = malloc(work + 1);
	t->x = malloc(batch * SIDE * SIDE * sizeof *t->x);
	t->scores = malloc(batch * CLASSES * sizeof *t->scores);
	t->label = malloc(batch * sizeof *t->label);
	if (!t->net.vars || !t->net.slots || !t->packed || !t->work || !t->x || !t->scores || !t->label)
		return format_fail(e, "no memory for the network");
	t->pool = pool_new((int)t->option->threads);
	if (!t->pool) return format_fail(e, "cannot start the threads");
	t->shared = pool_shared(t->pool);
	return true;
}

/* The rate over the whole training. The first epoch warms up, unless the rate is to be constant. */
static RateSchedule make_schedule(const Options *o, uint64_t steps_an_epoch)
{
	RateSchedule s = {.kind = o->schedule, .base = o->rate, .factor = 0.2f};
	s.total = o->epochs * steps_an_epoch;
	s.every = s.total / 3 ? s.total / 3 : 1;
	if (s.kind != RATE_CONSTANT && o->epochs > 1) s.warm_up = steps_an_epoch;
	return s;
}

static Checkpoint describe(const Trainer *t)
{
	return (Checkpoint){.tensor = net_tensors,
	    .tensors = NET_TENSORS,
	    .vars = t->net.vars,
	    .slots = t->net.slots,
	    .slot_count = NET_SLOTS,
	    .seed = t->net.seed,
	    .step = t->net.step,
	    .epoch = t->feed.epoch,
	    .place = t->feed.place,
	    .images = t->train.images,
	    .batch = t->size->batch,
	    .momentum = t->net.momentum,
	    .decay = t->net.decay,
	    .pad = t->augment.pad,
	    .flip = t->augment.flip,
	    .schedule = t->schedule};
}

/* Takes the training where the checkpoint left it. What the command line says wins, but for what
 * cannot change in the middle of an epoch. */
static bool resume(Trainer *t, Checkpoint *c, FormatError *e)
{
	const Options *o = t->option;
	if (!checkpoint_read(o->checkpoint, c, e)) return false;
	if (c->images != t->train.images)
		return format_fail(e, "%s: made with %" PRIu64 " training images; %s has %zu",
		    o->checkpoint, c->images, o->data, t->train.images);
	if (c->batch != t->size->batch)
		return format_fail(e, "%s: made with batches of %" PRIu64 ", not %zu", o->checkpoint,
		    c->batch, t->size->batch);
	if (o->given[OPTION_SEED] && c->seed != o->seed)
		return format_fail(e, "%s: made with --seed %" PRIu64, o->checkpoint, c->seed);
	t->net.seed = c->seed;
	t->net.step = c->step;
	if (!o->given[OPTION_PAD]) t->augment.pad = (size_t)c->pad;
	if (!o->given[OPTION_FLIP]) t->augment.flip = c->flip;
	if (!o->given[OPTION_MOMENTUM]) t->net.momentum = c->momentum;
	if (!o->given[OPTION_DECAY]) t->net.decay = c->decay;
	uint64_t an_epoch = t->train.images / t->size->batch;
	if (!o->given[OPTION_EPOCHS]) t->epochs = c->schedule.total / an_epoch;
	if (!o->given[OPTION_RATE] && !o->given[OPTION_SCHEDULE] && !o->given[OPTION_EPOCHS])
		t->schedule = c->schedule;
	else {
		Options merged = *o;
		merged.epochs = t->epochs;
		if (!o->given[OPTION_RATE]) merged.rate = c->schedule.base;
		if (!o->given[OPTION_SCHEDULE]) merged.schedule = c->schedule.kind;
		t->schedule = make_schedule(&merged, an_epoch);
	}
	return true;
}

static bool first_state(Trainer *t, FormatError *e)
{
	const Options *o = t->option;
	t->net.seed = o->seed;
	t->net.momentum = o->momentum;
	t->net.decay = o->decay;
	t->epochs = o->epochs;
	t->schedule = make_schedule(o, t->train.images / t->size->batch);
	net_init(t->net.vars, t->net.slots, t->net.seed);
	t->augment = (Augment){.pad = (size_t)o->pad, .flip = o->flip};
	Checkpoint c = describe(t);
	if (o->checkpoint && access(o->checkpoint, F_OK) == 0) {
		if (o->load) return format_fail(e, "%s is there already, so --load is not", o->checkpoint);
		if (!resume(t, &c, e)) return false;
	} else if (o->load && !weights_read(o->load, net_tensors, NET_TENSORS, t->net.vars, e))
		return false;
	if (!feed_open(&t->feed, &t->train, &t->fit, t->net.seed, c.epoch, (size_t)c.place, e))
		return false;
	t->feed.augment = t->augment;
	return true;
}

bool trainer_open(Trainer *t, const Options *o, FormatError *e)
{
	*t = (Trainer){.option = o};
	return choose_size(t, o->batch, e) && read_data(t, e) && take_memory(t, e) && first_state(t, e);
}

void trainer_close(Trainer *t)
{
	pool_free(t->pool);
	feed_close(&t->feed);
	dataset_free(&t->train);
	dataset_free(&t->test);
	free(t->net.vars);
	free(t->net.slots);
	free(t->packed);
	free(t->work);
	free(t->x);
	free(t->scores);
	free(t->label);
}

/* --- training ----------------------------------------------------------------------------- */

static uint64_t count_right(const Trainer *t, size_t n)
{
	uint64_t right = 0;
	for (size_t i = 0; i < n; i++)
		right += confusion_answer(t->scores + i * CLASSES, CLASSES) == t->label[i];
	return right;
}

EpochEnd trainer_epoch(Trainer *t, FormatError *e)
{
	size_t n = t->size->batch;
	while (feed_next(&t->feed, n, t->x, t->label)) {
		float loss;
		t->net.rate = rate_at(&t->schedule, t->net.step);
		int status = t->size->step(&t->net, t->x, t->label, &loss, t->scores, t->work, &t->shared);
		if (status != CNNC_OK) {
			format_fail(e, "step %" PRIu64 ": %s", t->net.step,
			    status == CNNC_NONFINITE ? "the loss is not finite; try a lower --rate"
			                             : "the network refused the batch");
			return EPOCH_FAILED;
		}
		progress_add(&t->progress, n, (double)loss, count_right(t, n));
		bool last = t->option->given[OPTION_STEPS] && t->net.step >= t->option->steps;
		if (!last && !*t->stop) continue;
		/* a checkpoint at the end of an epoch is one at the start of the next */
		if (t->feed.place + n > t->train.images) feed_next_epoch(&t->feed);
		return EPOCH_STOPPED;
	}
	feed_next_epoch(&t->feed);
	return EPOCH_DONE;
}

bool trainer_test(Trainer *t, Confusion *c, FormatError *e)
{
	net_pack(t->net.vars, t->packed);
	for (size_t i = 0, n; i < t->test.images; i += n) {
		n = t->test.images - i < TEST_BATCH ? t->test.images - i : TEST_BATCH;
		dataset_batch(&t->test, &t->fit, i, n, t->x, t->label);
		if (net_infer(n, t->packed, t->x, t->scores, t->work, &t->shared) != CNNC_OK)
			return format_fail(e, "the network's scores are not finite");
		for (size_t k = 0; k < n; k++)
			confusion_add(c, t->label[k], confusion_answer(t->scores + k * CLASSES, CLASSES));
	}
	return true;
}

bool trainer_save(Trainer *t, FormatError *e)
{
	if (!t->option->checkpoint) return true;
	Checkpoint c = describe(t);
	return checkpoint_write(t->option->checkpoint, &c, e);
}
