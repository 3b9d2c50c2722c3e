/* nests: the families of nests that cnnc's operators lower to, small, with any layout, for tests of
 * everything that works on nests. Made here by hand, apart from the operators. */
#ifndef CNNC_TEST_NESTS_H
#define CNNC_TEST_NESTS_H

#include "../compiler/nest/nest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

/* cmocka setup and teardown: *state is an Arena. */
int nests_setup(void **state);
int nests_teardown(void **state);

typedef struct {
	int64_t N, IC, OC, IH, IW, KH, KW;
	int64_t stride, pad, dilation, groups; /* 0: 1, 0, 1, 1 */
	const uint8_t *links;                  /* [OC, IC] or NULL */
	const char *x, *w, *y;                 /* layouts; NULL: row-major */
	int64_t skew;
	bool bias, residual, relu, flip; /* flip: the kernel is turned, as in a true convolution */
} Conv;

int64_t nests_conv_oh(const Conv *c);
int64_t nests_conv_ow(const Conv *c);
/* Dims: n [g] oc oh ow | ic kh kw.  Buffers x w [b] [r] y. */
Nest *nests_conv(Arena *a, const Conv *c);
/* Dims: n [g] ic ih iw | oc kh kw.  Buffers dy w dx. */
Nest *nests_conv_dx(Arena *a, const Conv *c);
/* Dims: [g] oc ic kh kw | n oh ow.  Buffers x dy dw. */
Nest *nests_conv_dw(Arena *a, const Conv *c);

typedef struct {
	int64_t N, C, H, W, K, stride, pad;
	const char *x;
} Pool;

int64_t nests_pool_oh(const Pool *p);
int64_t nests_pool_ow(const Pool *p);
/* Dims: n c oh ow | kh kw; ordered; the first maximum wins. Buffers x y arg. */
Nest *nests_max_pool(Arena *a, const Pool *p);
/* Dims: n c ih iw | kh kw. Buffers dy arg dx. */
Nest *nests_max_pool_dx(Arena *a, const Pool *p);
Nest *nests_avg_pool(Arena *a, const Pool *p);
/* y[n, (c*H + h)*W + w] = x[n,c,h,w]: dims n c h w. */
Nest *nests_flatten(Arena *a, int64_t N, int64_t C, int64_t H, int64_t W, const char *x);
/* Dims: n oc | ic. */
Nest *nests_dense(Arena *a, int64_t N, int64_t I, int64_t O, const char *w);
/* y = max(x + b[c] + r, 0): dims n c p; in place: r is y. */
Nest *nests_bias_relu(Arena *a, int64_t N, int64_t C, int64_t P, const char *x, bool in_place);
/* Dims: c | n p. mu[c] = sum/1, var[c] = sum of (x - mu)^2. */
Nest *nests_mean(Arena *a, int64_t N, int64_t C, int64_t P, const char *x);
Nest *nests_variance(Arena *a, int64_t N, int64_t C, int64_t P, const char *x);
/* m[n] = max of z; s[n], loss[n] from exp(z - m) and the label; dz. Dims: n | c and n c. */
Nest *nests_row_max(Arena *a, int64_t N, int64_t C);
Nest *nests_row_sum(Arena *a, int64_t N, int64_t C);
Nest *nests_softmax_grad(Arena *a, int64_t N, int64_t C);
/* Rows of a Winograd input transform: constant table and mask. Dims: th xi tw c | i. */
Nest *nests_winograd_rows(Arena *a, int64_t tiles, int64_t C);
/* y = x * (hash < 1/2): dims n c. */
Nest *nests_dropout(Arena *a, int64_t N, int64_t C);

extern const uint8_t nests_lenet_links[16 * 6];

/* The distinct buffers of a nest, ids set 0, 1, ... in order of mention, memories filled: what is
 * read with small integers, all different neighbours, what is written with 99. */
Machine nests_machine(Arena *a, Nest *n);
Buffer *nests_buffer(const Nest *n, const char *as);
double *nests_memory(const Nest *n, const Machine *m, const char *as);
Machine nests_copy(Arena *a, const Nest *n, const Machine *m);
bool nests_equal(const Nest *n, const Machine *x, const Machine *y);

/* Schedules the nest by this text; fails the test unless it builds and every check passes. */
Scheduled *nests_schedule(Arena *a, const Nest *n, const char *schedule);
/* Builds, checks, and runs the tree against the naive nest; fails the test unless equal bit for
 * bit. */
Scheduled *nests_same(Arena *a, Nest *n, const char *schedule);
/* Why the schedule does not build; fails the test when it does. */
const char *nests_refusal(Arena *a, const Nest *n, const char *schedule);

#endif
