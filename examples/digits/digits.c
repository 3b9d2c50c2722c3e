/* digits: trains and tests a network that cnnc has compiled to C: a LeNet or a ResNet.
 *
 * Everything about the network is in net.c, which needs no library; this program adds data, a
 * learning rate, a progress bar and files, from the runtime. Ctrl-C ends a training after the step
 * in hand, and --checkpoint takes it up again later, to the same bits as if it had never stopped.
 */
#define _POSIX_C_SOURCE 200809L
#include "trainer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef DIGITS_DATA
#define DIGITS_DATA "examples/digits/data"
#endif

/* The one thing that a signal handler may touch. */
static volatile sig_atomic_t stop_asked;

static void ask_stop(int signal)
{
	(void)signal;
	stop_asked = 1;
}

/* A second Ctrl-C ends the program at once. */
static void listen(void)
{
	struct sigaction action = {.sa_handler = ask_stop, .sa_flags = (int)SA_RESETHAND};
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

static void introduce(const Trainer *t)
{
	size_t dropped = feed_dropped(&t->train, t->size->batch);
	printf("%s: %d parameters, %d thread%s\n", NETWORK_NAME, (int)NET_WEIGHTS - ABSENT,
	    pool_threads(t->pool), pool_threads(t->pool) == 1 ? "" : "s");
	printf("%zu images to train with, %zu to test with; %zux%zu fitted to %dx%d\n", t->train.images,
	    t->test.images, t->train.height, t->train.width, SIDE, SIDE);
	if (dropped && t->epochs)
		printf("batches of %zu: each epoch leaves out %zu images, other ones every time\n",
		    t->size->batch, dropped);
	if (t->net.step)
		printf("going on from %s: epoch %" PRIu64 ", image %zu, step %" PRIu64 "\n",
		    t->option->checkpoint, t->feed.epoch + 1, t->feed.place, t->net.step);
	fflush(stdout);
}

/* The share of test images that were answered rightly, or -1. */
static double test_share(Trainer *t, FormatError *e)
{
	Confusion c;
	if (!confusion_open(&c, CLASSES)) {
		format_fail(e, "no memory");
		return -1;
	}
	double share = -1;
	if (trainer_test(t, &c, e)) share = (double)confusion_right(&c) / (double)confusion_total(&c);
	confusion_close(&c);
	return share;
}

/* All epochs that are left; a line for each. */
static bool train(Trainer *t, FormatError *e)
{
	bool enough = t->option->given[OPTION_STEPS] && t->net.step >= t->option->steps;
	EpochEnd end = EPOCH_DONE;
	while (t->feed.epoch < t->epochs && end == EPOCH_DONE && !stop_asked && !enough) {
		char label[32], more[80];
		uint64_t whole = t->train.images - feed_dropped(&t->train, t->size->batch);
		snprintf(label, sizeof label, "epoch %2" PRIu64 "/%" PRIu64, t->feed.epoch + 1, t->epochs);
		progress_begin(&t->progress, label, t->feed.place, whole);
		end = trainer_epoch(t, e);
		if (end == EPOCH_FAILED) {
			progress_end(&t->progress, "  failed");
			return false;
		}
		double share = test_share(t, e);
		if (share < 0) return false;
		snprintf(more, sizeof more, "  rate %.3g  test %6.2f%%%s", (double)t->net.rate, 100 * share,
		    end == EPOCH_STOPPED ? "  stopped" : "");
		progress_end(&t->progress, more);
		if (!trainer_save(t, e)) return false;
	}
	return true;
}

static bool report(Trainer *t, FormatError *e)
{
	Confusion c;
	if (!confusion_open(&c, CLASSES)) return format_fail(e, "no memory");
	bool ok = trainer_test(t, &c, e);
	if (ok) {
		uint64_t right = confusion_right(&c), total = confusion_total(&c);
		printf("\n");
		confusion_print(&c, stdout);
		printf("\ntest accuracy %.2f%%: %" PRIu64 " of %" PRIu64 "\n",
		    100.0 * (double)right / (double)total, right, total);
	}
	confusion_close(&c);
	return ok;
}

/* Finds out before the training, not after, whether a file can be written. */
static bool writable(const char *path, FormatError *e)
{
	SafeFile trial;
	if (!path) return true;
	if (!safe_file_open(&trial, path, e)) return false;
	safe_file_discard(&trial);
	return true;
}

static bool run(Trainer *t, const Options *o, FormatError *e)
{
	if (!writable(o->weights, e) || !writable(o->checkpoint, e)) return false;
	if (!trainer_open(t, o, e)) return false;
	t->stop = &stop_asked;
	progress_open(&t->progress, stdout);
	introduce(t);
	listen();
	if (!train(t, e) || !report(t, e)) return false;
	return !o->weights || weights_write(o->weights, net_tensors, NET_TENSORS, t->net.vars, e);
}

int main(int argc, char **argv)
{
	Options option = {.data = DIGITS_DATA,
	    .epochs = EPOCHS,
	    .seed = 1,
	    .rate = default_rate,
	    .momentum = default_momentum,
	    .decay = default_decay,
	    .pad = PAD,
	    .schedule = RATE_COSINE};
	int status = options_parse(&option, argc, argv);
	if (status >= 0) return status;
	static Trainer t;
	static FormatError e;
	bool ok = run(&t, &option, &e);
	if (!ok) fprintf(stderr, "%s: %s\n", argv[0], e.text);
	trainer_close(&t);
	return ok && fflush(stdout) == 0 ? 0 : 1;
}
