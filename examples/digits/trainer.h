/* trainer: the memory of a training, and what is done with it: an epoch, a test, a checkpoint. */
#ifndef DIGITS_TRAINER_H
#define DIGITS_TRAINER_H

#include "network.h"
#include "options.h"

#include "../../runtime/checkpoint.h"
#include "../../runtime/confusion.h"
#include "../../runtime/dataset.h"
#include "../../runtime/pool.h"
#include "../../runtime/progress.h"

#include <signal.h>

typedef struct {
	const Options *option;
	const TrainSize *size;
	Dataset train, test;
	Fit fit;
	Feed feed;
	struct net_train net;
	RateSchedule schedule;
	Augment augment;
	uint64_t epochs;   /* to train in all */
	float *x, *scores; /* [batch, 1, 32, 32], [batch, 10] */
	int32_t *label;    /* [batch] */
	void *work, *packed;
	Pool *pool;
	struct cnnc_pool shared;
	Progress progress;
	const volatile sig_atomic_t *stop; /* set when the user has had enough */
} Trainer;

typedef enum { EPOCH_DONE, EPOCH_STOPPED, EPOCH_FAILED } EpochEnd;

/* Reads the data, takes all memory, sets the first weights or goes on from a checkpoint. The
 * trainer is closed in any case. */
FORMAT_CHECKED bool trainer_open(Trainer *t, const Options *o, FormatError *e);
void trainer_close(Trainer *t);
/* From where the feed stands to the epoch's end. */
EpochEnd trainer_epoch(Trainer *t, FormatError *e);
/* Counts the answers to all test images into c. */
FORMAT_CHECKED bool trainer_test(Trainer *t, Confusion *c, FormatError *e);
FORMAT_CHECKED bool trainer_save(Trainer *t, FormatError *e);

#endif
