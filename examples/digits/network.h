/* network: what the compiled network offers this program, in one table. The same text serves all
 * three networks: the Makefile says which net.h is meant, and which batch sizes cnnc was asked for.
 */
#ifndef DIGITS_NETWORK_H
#define DIGITS_NETWORK_H

#include "net.h"

/* DIGITS_BATCHES is BATCH(64) BATCH(128): cnnc's -b train=64,128. */
#ifndef DIGITS_BATCHES
#define DIGITS_BATCHES BATCH(64)
#endif

#ifdef DIGITS_1998
#define NETWORK_NAME "LeNet-5 of 1998"
enum {
	EPOCHS = 30,
	ABSENT = 36 * 5 * 5,
	PAD = 0
}; /* C3 has 60 of 96 possible links; the rest stays 0 */
static const float default_rate = 0.003f, default_momentum = 0.9f, default_decay = 0;
#elif defined DIGITS_RESNET
#define NETWORK_NAME "ResNet-20"
enum { EPOCHS = 10, ABSENT = 0, PAD = 4 };
static const float default_rate = 0.1f, default_momentum = 0.9f, default_decay = 5e-4f;
#else
#define NETWORK_NAME "LeNet-5, modern"
enum { EPOCHS = 40, ABSENT = 0, PAD = 0 };
static const float default_rate = 0.02f, default_momentum = 0.9f, default_decay = 5e-4f;
#endif

enum { SIDE = 32, CLASSES = 10, TEST_BATCH = 64 };

/* A batch size of training that is compiled in. */
typedef struct {
	size_t batch, work; /* images; bytes */
	int (*step)(struct net_train *t, const float *x, const int32_t *label, float *loss,
	    float *scores, void *work, const struct cnnc_pool *pool);
} TrainSize;

#define BATCH(n) {n, NET_STEP_B##n##_WORK, net_step_b##n},
static const TrainSize train_size[] = {DIGITS_BATCHES};
#undef BATCH
enum { TRAIN_SIZES = sizeof train_size / sizeof *train_size };

#endif
