/* tiny: The whole text of a network as small as they come, plain C.
 *
 * Made by cnnc 1.0.0 from tiny.lua. It belongs to whoever had it made: use it, change it, pass it on.
 * Compile with optimisation (cc -O2) and link with libm; OpenMP or a pool of threads are optional.
 * Options: --real=float --target=generic -b infer=1 -b train=1
 * 38 weights, 0 other variables, 28 kernels for generic
 *
 * Memory in bytes: vars 152, slots 152, packed 320
 *   init             8 steps, 0 multiply-adds, work 0 (never below 0)
 *   pack             4 steps, 0 multiply-adds, work 0 (never below 0)
 *   infer_b1         3 steps, 304 multiply-adds, work 192 (never below 192)
 *   eval_b1          6 steps, 304 multiply-adds, work 192 (never below 192)
 *   gradients_b1     13 steps, 608 multiply-adds, work 384 (never below 304)
 *   step_b1          17 steps, 608 multiply-adds, work 448 (never below 448)
 *   update           1 steps, 0 multiply-adds, work 0 (never below 0)
 *
 * Tensors in vars: offset, count, kind, shape, name
 *            0        18  weight  2 x 1 x 3 x 3        conv.weight
 *           18         2  weight  2                    conv.bias
 *           20        16  weight  2 x 8                fc.weight
 *           36         2  weight  2                    fc.bias
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* tiny: made by cnnc 1.0.0. It belongs to whoever had it made: use it, change it, pass it on. */
#ifndef TINY_H
#define TINY_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef CNNC_TYPES
#define CNNC_TYPES
enum { CNNC_OK = 0, CNNC_NONFINITE = 1, CNNC_BAD_LABEL = 2, CNNC_BAD_BATCH = 3 };
struct cnnc_tensor {
	const char *name;
	size_t offset, count;
	uint32_t dim[4]; /* the first `rank` */
	uint8_t rank, kind;
};
/* run calls task(arg, 0) to task(arg, n - 1) once each, in any order, on any threads with STACK_BYTES
 * of stack, and returns when all are done; what they wrote is then seen by whoever called it. */
struct cnnc_pool {
	void (*run)(void *self, void (*task)(void *arg, size_t i), void *arg, size_t n);
	void *self;
};
#endif

/* Arrays are dense and row-major, in the order of their shapes. work and packed may lie anywhere;
 * what is written overlaps nothing else; pool may be NULL. Functions keep no state: calls that
 * write to different memory may run at once. */
/* Sizes: WEIGHTS, BUFFERS, VARS (both), SLOTS in numbers of type float, TENSORS in entries of the
 * table; all others in bytes. */
#define TINY_WEIGHTS 38
#define TINY_BUFFERS 0
#define TINY_VARS 38
#define TINY_SLOTS 38
#define TINY_TENSORS 8
#define TINY_PACKED_BYTES 383
#define TINY_INFER_B1_WORK 255
#define TINY_EVAL_B1_WORK 255
#define TINY_GRADIENTS_B1_WORK 447
#define TINY_STEP_B1_WORK 511
#define TINY_INFER_WORK 255
/* Of stack, in each thread, at most, when compiled with optimisation. */
#define TINY_STACK_BYTES 1280
/* Changes when vars or slots are laid out otherwise. */
#define TINY_HASH UINT64_C(0x69ed2be75f51f64b)

/* Every tensor by name: kind 0 a weight, 1 a buffer, at `offset` in vars; 2 a slot, in slots. */
extern const struct cnnc_tensor tiny_tensors[TINY_TENSORS];

/* Where a training by sgd stands: vars has TINY_VARS numbers, slots TINY_SLOTS; step counts
 * updates. The description says rate 0.01, momentum 0.9, decay 0.0. */
struct tiny_train {
	float *vars, *slots;
	uint64_t seed, step;
	float rate, momentum, decay;
};

/* Fills vars and slots as the layers ask, the same for one seed everywhere. slots may be NULL where
 * there are none. */
void tiny_init(float *vars, float *slots, uint64_t seed);

/* Makes of vars what inference reads: TINY_PACKED_BYTES at `packed`, with batch norms folded in.
 * Again after vars change, or after packed moved. */
void tiny_pack(const float *vars, void *packed);

/* Inference on 1:
 *   packed   what tiny_pack made
 *   x        1 x 1 x 4 x 4
 *   y        1 x 2, written
 *   work     TINY_INFER_B1_WORK bytes, which hold nothing between calls
 *   pool     runs the blocks; NULL: OpenMP where compiled with it, else this thread
 * CNNC_OK;
 * CNNC_NONFINITE: an output holds NaN or infinity; all is written */
int tiny_infer_b1(const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool);

/* Inference on n images, the largest batches first. work: TINY_INFER_WORK bytes. The status
 * is the worst of the batches'. */
int tiny_infer(size_t n, const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool);

/* Outputs and loss on 1, as inference computes them; no gradient:
 *   vars     TINY_VARS numbers
 *   x        1 x 1 x 4 x 4
 *   label    1, each 0 to 1
 *   loss     one number, written
 *   y        1 x 2, written
 *   work     TINY_EVAL_B1_WORK bytes, which hold nothing between calls
 *   pool     runs the blocks; NULL: OpenMP where compiled with it, else this thread
 * CNNC_OK; CNNC_BAD_LABEL: one is out of range, nothing was written;
 * CNNC_NONFINITE: the loss or an output holds NaN or infinity; all is written */
int tiny_eval_b1(const float *vars, const float *x, const int32_t *label, float *loss, float *y,
	void *work, const struct cnnc_pool *pool);

/* The gradient of the mean loss over 1 by every weight:
 *   vars     TINY_VARS numbers; buffers among them (running statistics) advance
 *   seed, step  decide the random numbers of this step
 *   x        1 x 1 x 4 x 4
 *   label    1, each 0 to 1
 *   loss     one number, written
 *   y        1 x 2, written
 *   grads    TINY_WEIGHTS numbers in the weights' order, written;
 *            memory to work in before
 *   work     TINY_GRADIENTS_B1_WORK bytes, which hold nothing between calls
 *   pool     runs the blocks; NULL: OpenMP where compiled with it, else this thread
 * CNNC_OK; CNNC_BAD_LABEL: one is out of range, nothing was written;
 * CNNC_NONFINITE: loss, outputs or gradients hold NaN or infinity; all is written */
int tiny_gradients_b1(float *vars, uint64_t seed, uint64_t step, const float *x,
	const int32_t *label, float *grads, float *loss, float *y, void *work,
	const struct cnnc_pool *pool);

/* One step of training on 1: the gradients, then the update, to the bit:
 *   x        1 x 1 x 4 x 4
 *   label    1, each 0 to 1
 *   loss     one number, written
 *   y        1 x 2, written
 *   work     TINY_STEP_B1_WORK bytes, which hold nothing between calls
 *   pool     runs the blocks; NULL: OpenMP where compiled with it, else this thread
 * CNNC_OK; CNNC_BAD_LABEL: one is out of range, nothing was written;
 * CNNC_NONFINITE: the loss or an output holds NaN or infinity; no weight, slot or step changed.
 * Gradients are not looked at: each is gone when its weight has moved */
int tiny_step_b1(struct tiny_train *t, const float *x, const int32_t *label, float *loss, float *y,
	void *work, const struct cnnc_pool *pool);

/* Moves the weights against grads (TINY_WEIGHTS numbers) and counts the step. CNNC_OK;
 * CNNC_NONFINITE: a gradient is NaN or infinite, nothing changed. */
int tiny_update(struct tiny_train *t, const float *grads);

#ifdef __cplusplus
}
#endif

#endif

#if defined __FAST_MATH__ && !defined CNNC_ALLOW_FAST_MATH
#error "-ffast-math changes results and hides NaN: define CNNC_ALLOW_FAST_MATH to have it"
#endif

#if defined __GNUC__ && !defined __TINYC__
#if defined __has_builtin
#if __has_builtin(__builtin_shufflevector)
#define CNNC_SHUFFLES
#endif
#endif
#define CNNC_UNUSED __attribute__((unused))
#define CNNC_TILE __attribute__((noinline, unused))
#define CNNC_RESTRICT __restrict
/* As a number, since it may lie beyond the array, where no pointer may point. */
#define CNNC_PLACE(array, at) \
	((const void *)((uintptr_t)(array) + sizeof *(array) * (size_t)(at)))
#define CNNC_PREFETCH(array, at) __builtin_prefetch(CNNC_PLACE(array, at), 0, 3)
/* past the first-level cache */
#define CNNC_PREFETCH_FAR(array, at) __builtin_prefetch(CNNC_PLACE(array, at), 0, 2)
#define CNNC_PREFETCH_STORE(array, at) __builtin_prefetch(CNNC_PLACE(array, at), 1, 3)
/* What is read at this offset is not known any more: keeps values out of registers that the
 * accumulators need. */
#define CNNC_KEEP(offset) __asm__("" : "+r"(offset))
#if defined __x86_64__
#define CNNC_ROUND(x) __asm__("" : "+v"(x))
#elif defined __aarch64__
#define CNNC_ROUND(x) __asm__("" : "+w"(x))
#else
#define CNNC_ROUND(x) __asm__("" : "+m"(x))
#endif
#else
#define CNNC_UNUSED
#define CNNC_TILE
#define CNNC_RESTRICT
#define CNNC_PREFETCH(array, at)
#define CNNC_PREFETCH_FAR(array, at)
#define CNNC_PREFETCH_STORE(array, at)
#define CNNC_KEEP(offset)
#define CNNC_ROUND(x)
#endif
#if defined __GNUC__ && !defined __clang__ && !defined __TINYC__
#pragma GCC optimize("fp-contract=fast")
#endif

static inline CNNC_UNUSED float select_f32(int c, float x, float y) { return c ? x : y; }

static inline CNNC_UNUSED float max_f32(float x, float y) { return x > y ? x : y; }

static inline CNNC_UNUSED int32_t bits_f32(float x)
{
	int32_t i;
	memcpy(&i, &x, sizeof i);
	return i;
}

static inline CNNC_UNUSED float real_f32(int32_t i)
{
	float x;
	memcpy(&x, &i, sizeof x);
	return x;
}

/* e^x within 1.02 ulp: 2^n e^r, |r| <= ln 2 / 2, e^r by a polynomial */
static inline CNNC_UNUSED float exp_f32(float x)
{
	float y = select_f32((int)(x > 89.0f), 89.0f, x);
	y = select_f32((int)(y < -104.0f), -104.0f, y);
	const int32_t shifted = bits_f32(y * 1.44269504f + 12582912.0f);
	const int32_t n = shifted - 0x4B400000, half = n >> 1;
	const float whole = real_f32(shifted) - 12582912.0f;
	const float r = (y - whole * 0.693359375f) - whole * -2.12194440e-4f;
	float p = r * 1.3814467e-3f + 8.368781e-3f;
	p = p * r + 4.1668393e-2f;
	p = p * r + 1.666652e-1f;
	p = p * r + 4.9999994e-1f;
	p = (p * (r * r) + r) + 1.0f;
	p = p * real_f32(((half + 127) & 255) << 23);
	return p * real_f32(((n - half + 127) & 255) << 23);
}

/* the natural logarithm within 1 ulp: k ln 2 + 2 atanh(f / (2 + f)) */
static inline CNNC_UNUSED float log_f32(float x)
{
	const int small = (int)(x < 1.17549435e-38f);
	const int32_t i = bits_f32(select_f32(small, x * 8388608.0f, x)) - 0x3F3504F3;
	const float exponent = real_f32((i >> 23) + 0x4B400000) - 12582912.0f;
	const float k = exponent - select_f32(small, 23.0f, 0.0f);
	const float f = real_f32((i & 0x007FFFFF) + 0x3F3504F3) - 1.0f;
	const float s = f / (f + 2.0f), z = s * s, h = 0.5f * f * f;
	float q = z * 2.3596331e-1f + 2.8536603e-1f;
	q = q * z + 4.0000346e-1f;
	q = q * z + 6.666666e-1f;
	const float y = k * 6.9313812e-1f - ((h - (s * (h + z * q) + k * 9.0580006e-6f)) - f);
	const float finite = select_f32((int)(x < INFINITY), y, x);
	const float beyond = select_f32((int)(x == 0.0f), -INFINITY, NAN);
	return select_f32((int)(x > 0.0f), finite, beyond);
}

/* Uniform in [0, 1) with 24 bits, of {seed, step}, a key and an element's number: splitmix64's
 * finaliser over the four. */
static inline CNNC_UNUSED uint64_t mix_bits(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static inline CNNC_UNUSED float hash_f32(const uint64_t *seed, uint64_t key, uint64_t element)
{
	uint64_t h = mix_bits(seed[0] + UINT64_C(0x9E3779B97F4A7C15));
	h = mix_bits(h ^ key);
	h = mix_bits(h ^ (seed[1] * UINT64_C(0xD1B54A32D192ED03) + 1));
	h = mix_bits(h ^ (element * UINT64_C(0x9E3779B97F4A7C15) + 1));
	return (float)(int32_t)(h >> 40) * (float)5.9604644775390625e-8;
}



static const float table_0[1] = {
	0.6666667f,
};

static const float table_1[1] = {
	0.70710677f,
};

/* --- kernels: generic --- */

/* init_18_bbf0: 0 multiply-adds a call, called 1 times:
 *   conv.weight: 2x1x3x3
 * n 1
 * tiles 1, functions 0, blocks 1, text 345 bytes */
static CNNC_UNUSED void init_18_bbf0_generic(const void *const *arg, size_t block)
{
	const uint64_t *seed = (const uint64_t *)arg[0];
	const float *scale = (const float *)arg[1];
	float *w = (float *)arg[2];
	(void)block;
	for (ptrdiff_t n = 0; n < 18; n++) {
		ptrdiff_t w_0 = n;
		const float scale0 = scale[0];
		w[w_0] = (hash_f32(seed, seed[2], (uint64_t)(n)) - 0.5f) * scale0;
	}
}

/* init_2_4b58: 0 multiply-adds a call, called 2 times:
 *   conv.bias: 2
 *   fc.bias: 2
 * n 1
 * tiles 1, functions 0, blocks 1, text 344 bytes */
static CNNC_UNUSED void init_2_4b58_generic(const void *const *arg, size_t block)
{
	const uint64_t *seed = (const uint64_t *)arg[0];
	const float *scale = (const float *)arg[1];
	float *w = (float *)arg[2];
	(void)block;
	for (ptrdiff_t n = 0; n < 2; n++) {
		ptrdiff_t w_0 = n;
		const float scale0 = scale[0];
		w[w_0] = (hash_f32(seed, seed[2], (uint64_t)(n)) - 0.5f) * scale0;
	}
}

/* init_16_a451: 0 multiply-adds a call, called 1 times:
 *   fc.weight: 2x8
 * n 1
 * tiles 1, functions 0, blocks 1, text 345 bytes */
static CNNC_UNUSED void init_16_a451_generic(const void *const *arg, size_t block)
{
	const uint64_t *seed = (const uint64_t *)arg[0];
	const float *scale = (const float *)arg[1];
	float *w = (float *)arg[2];
	(void)block;
	for (ptrdiff_t n = 0; n < 16; n++) {
		ptrdiff_t w_0 = n;
		const float scale0 = scale[0];
		w[w_0] = (hash_f32(seed, seed[2], (uint64_t)(n)) - 0.5f) * scale0;
	}
}

/* init_18_9e46: 0 multiply-adds a call, called 1 times:
 *   conv.weight.momentum_buffer: 2x1x3x3
 * n 1
 * tiles 1, functions 0, blocks 1, text 165 bytes */
static CNNC_UNUSED void init_18_9e46_generic(const void *const *arg, size_t block)
{
	float *w = (float *)arg[0];
	(void)block;
	for (ptrdiff_t n = 0; n < 18; n++) {
		ptrdiff_t w_0 = n;
		w[w_0] = 0.0f;
	}
}

/* init_2_0af6: 0 multiply-adds a call, called 2 times:
 *   conv.bias.momentum_buffer: 2
 *   fc.bias.momentum_buffer: 2
 * n 1
 * tiles 1, functions 0, blocks 1, text 164 bytes */
static CNNC_UNUSED void init_2_0af6_generic(const void *const *arg, size_t block)
{
	float *w = (float *)arg[0];
	(void)block;
	for (ptrdiff_t n = 0; n < 2; n++) {
		ptrdiff_t w_0 = n;
		w[w_0] = 0.0f;
	}
}

/* init_16_7281: 0 multiply-adds a call, called 1 times:
 *   fc.weight.momentum_buffer: 2x8
 * n 1
 * tiles 1, functions 0, blocks 1, text 165 bytes */
static CNNC_UNUSED void init_16_7281_generic(const void *const *arg, size_t block)
{
	float *w = (float *)arg[0];
	(void)block;
	for (ptrdiff_t n = 0; n < 16; n++) {
		ptrdiff_t w_0 = n;
		w[w_0] = 0.0f;
	}
}

/* copy_18_7016: 0 multiply-adds a call, called 1 times:
 *   conv.weight: as it is
 * a 1
 * tiles 1, functions 0, blocks 1, text 257 bytes */
static CNNC_UNUSED void copy_18_7016_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t a_ = 0; a_ < 18; a_++) {
		ptrdiff_t x_0 = a_;
		ptrdiff_t y_0 = a_;
		const float x0 = x[x_0];
		y[y_0] = x0;
	}
}

/* copy_2_4eef: 0 multiply-adds a call, called 2 times:
 *   conv.bias: as it is
 *   fc.bias: as it is
 * a 1
 * tiles 1, functions 0, blocks 1, text 256 bytes */
static CNNC_UNUSED void copy_2_4eef_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t a_ = 0; a_ < 2; a_++) {
		ptrdiff_t x_0 = a_;
		ptrdiff_t y_0 = a_;
		const float x0 = x[x_0];
		y[y_0] = x0;
	}
}

/* copy_16_b5c4: 0 multiply-adds a call, called 1 times:
 *   fc.weight: as it is
 * a 1
 * tiles 1, functions 0, blocks 1, text 257 bytes */
static CNNC_UNUSED void copy_16_b5c4_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t a_ = 0; a_ < 16; a_++) {
		ptrdiff_t x_0 = a_;
		ptrdiff_t y_0 = a_;
		const float x0 = x[x_0];
		y[y_0] = x0;
	}
}

static CNNC_TILE void conv_tile0_generic(const float *x, const float *w, const float *b,
	float *CNNC_RESTRICT y, ptrdiff_t i_0, ptrdiff_t i_1, ptrdiff_t w_0, ptrdiff_t x_0,
	ptrdiff_t b_0, ptrdiff_t y_0)
{
	float a = 0.0f;
	for (ptrdiff_t kh = 0; kh < 3; kh++) {
		ptrdiff_t w_2 = w_0 + 3 * kh;
		ptrdiff_t x_2 = x_0 + 4 * kh;
		if (i_0 + kh >= 0 && i_0 + kh < 4) {
			for (ptrdiff_t kw = 0; kw < 3; kw++) {
				ptrdiff_t w_1 = w_2 + kw;
				ptrdiff_t x_1 = x_2 + kw;
				if (i_1 + kw >= 0 && i_1 + kw < 4) {
					const float w0 = w[w_1];
					const float x0 = x[x_1];
					a += w0 * x0;
				}
			}
		}
	}
	const float b0 = b[b_0];
	y[y_0] = max_f32(0.0f, a + b0);
}

/* conv_2x4x4_3x3_75f2: 288 multiply-adds a call, called 4 times:
 *   conv: conv 1x1x4x4 -> 1x2x4x4 + relu 1x2x4x4 -> 1x2x4x4
 * oc 1 | oh 1 | ow 1 | kh 1 | kw 1
 * tiles 1, functions 1, blocks 1, text 1,241 bytes */
static CNNC_UNUSED void conv_2x4x4_3x3_75f2_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *w = (const float *)arg[1];
	const float *b = (const float *)arg[2];
	float *y = (float *)arg[3];
	(void)block;
	for (ptrdiff_t oc = 0; oc < 2; oc++) {
		ptrdiff_t y_2 = 16 * oc;
		ptrdiff_t w_0 = 9 * oc;
		ptrdiff_t b_0 = oc;
		for (ptrdiff_t oh = 0; oh < 4; oh++) {
			ptrdiff_t x_1 = 4 * oh;
			ptrdiff_t y_1 = y_2 + 4 * oh;
			for (ptrdiff_t ow = 0; ow < 4; ow++) {
				ptrdiff_t x_0 = x_1 + ow;
				ptrdiff_t y_0 = y_1 + ow;
				conv_tile0_generic(x, w, b, y, oh - 1, ow - 1, w_0, x_0 - 5, b_0, y_0);
			}
		}
	}
}

static CNNC_TILE void max_pool_tile1_generic(const float *x, float *CNNC_RESTRICT y, ptrdiff_t x_0,
	ptrdiff_t y_0)
{
	float a = (-INFINITY);
	for (ptrdiff_t kh = 0; kh < 2; kh++) {
		ptrdiff_t x_2 = x_0 + 4 * kh;
		for (ptrdiff_t kw = 0; kw < 2; kw++) {
			ptrdiff_t x_1 = x_2 + kw;
			const float x0 = x[x_1];
			a = (((x0 > a) || (x0 != x0)) ? x0 : a);
		}
	}
	y[y_0] = a;
}

/* max_pool_2x2x2_2x2_a0dc: 0 multiply-adds a call, called 2 times:
 *   max_pool 1x2x4x4 -> 1x2x2x2
 * c 1 | oh 1 | ow 1 | kh 1 | kw 1
 * tiles 1, functions 1, blocks 1, text 817 bytes */
static CNNC_UNUSED void max_pool_2x2x2_2x2_a0dc_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_2 = 16 * c;
		ptrdiff_t y_2 = 4 * c;
		for (ptrdiff_t oh = 0; oh < 2; oh++) {
			ptrdiff_t x_1 = x_2 + 8 * oh;
			ptrdiff_t y_1 = y_2 + 2 * oh;
			for (ptrdiff_t ow = 0; ow < 2; ow++) {
				ptrdiff_t x_0 = x_1 + 2 * ow;
				ptrdiff_t y_0 = y_1 + ow;
				max_pool_tile1_generic(x, y, x_0, y_0);
			}
		}
	}
}

static CNNC_TILE void dense_tile2_generic(const float *x, const float *w, const float *b,
	float *CNNC_RESTRICT y, ptrdiff_t w_0, ptrdiff_t x_0, ptrdiff_t b_0, ptrdiff_t y_0)
{
	float a = 0.0f;
	for (ptrdiff_t ic = 0; ic < 2; ic++) {
		ptrdiff_t w_3 = w_0 + 4 * ic;
		ptrdiff_t x_3 = x_0 + 4 * ic;
		for (ptrdiff_t ih = 0; ih < 2; ih++) {
			ptrdiff_t w_2 = w_3 + 2 * ih;
			ptrdiff_t x_2 = x_3 + 2 * ih;
			for (ptrdiff_t iw = 0; iw < 2; iw++) {
				ptrdiff_t w_1 = w_2 + iw;
				ptrdiff_t x_1 = x_2 + iw;
				const float w0 = w[w_1];
				const float x0 = x[x_1];
				a += w0 * x0;
			}
		}
	}
	const float b0 = b[b_0];
	y[y_0] = a + b0;
}

/* dense_2_2x2x2_f463: 16 multiply-adds a call, called 4 times:
 *   fc: dense 1x2x2x2 -> 1x2
 * oc 1 | ic 1 | ih 1 | iw 1
 * tiles 1, functions 1, blocks 1, text 974 bytes */
static CNNC_UNUSED void dense_2_2x2x2_f463_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *w = (const float *)arg[1];
	const float *b = (const float *)arg[2];
	float *y = (float *)arg[3];
	(void)block;
	for (ptrdiff_t oc = 0; oc < 2; oc++) {
		ptrdiff_t w_0 = 8 * oc;
		ptrdiff_t b_0 = oc;
		ptrdiff_t y_0 = oc;
		dense_tile2_generic(x, w, b, y, w_0, 0, b_0, y_0);
	}
}

static CNNC_TILE void row_max_tile3_generic(const float *x, float *CNNC_RESTRICT peak,
	ptrdiff_t x_0, ptrdiff_t peak_0)
{
	float a = (-INFINITY);
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_1 = x_0 + c;
		const float x0 = x[x_1];
		a = max_f32(x0, a);
	}
	peak[peak_0] = a;
}

/* row_max_2_7ca5: 0 multiply-adds a call, called 3 times:
 *   cross_entropy 1x2 -> scalar
 * c 1
 * tiles 1, functions 1, blocks 1, text 409 bytes */
static CNNC_UNUSED void row_max_2_7ca5_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *peak = (float *)arg[1];
	(void)block;
	row_max_tile3_generic(x, peak, 0, 0);
}

static CNNC_TILE void row_loss_tile4_generic(const float *x, const float *peak,
	const int32_t *label, float *CNNC_RESTRICT loss, ptrdiff_t x_0, ptrdiff_t peak_0,
	ptrdiff_t label_0, ptrdiff_t loss_0)
{
	float a0 = 0.0f;
	float a1 = 0.0f;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_1 = x_0 + c;
		const float x0 = x[x_1];
		const float peak0 = peak[peak_0];
		const float e0 = x0 - peak0;
		const float label0 = (float)label[label_0];
		const float e1 = (((float)(c) == label0) ? e0 : 0.0f);
		a0 += exp_f32(e0);
		a1 += e1;
	}
	loss[loss_0] = log_f32(a0) - a1;
}

/* row_loss_2_83db: 0 multiply-adds a call, called 1 times:
 *   cross_entropy 1x2 -> scalar
 * c 1
 * tiles 1, functions 1, blocks 1, text 808 bytes */
static CNNC_UNUSED void row_loss_2_83db_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *peak = (const float *)arg[1];
	const int32_t *label = (const int32_t *)arg[2];
	float *loss = (float *)arg[3];
	(void)block;
	row_loss_tile4_generic(x, peak, label, loss, 0, 0, 0, 0);
}

/* loss_mean_7ee1: 0 multiply-adds a call, called 3 times:
 *   cross_entropy 1x2 -> scalar
 * 
 * tiles 1, functions 0, blocks 1, text 215 bytes */
static CNNC_UNUSED void loss_mean_7ee1_generic(const void *const *arg, size_t block)
{
	const float *each = (const float *)arg[0];
	float *loss = (float *)arg[1];
	(void)block;
	float a = 0.0f;
	{
		const float each0 = each[0];
		a += each0;
	}
	loss[0] = a;
}

static CNNC_TILE void max_pool_tile5_generic(const float *x, float *CNNC_RESTRICT y,
	float *CNNC_RESTRICT arg_b, ptrdiff_t x_0, ptrdiff_t y_0, ptrdiff_t arg_b_0)
{
	float a0 = (-INFINITY);
	float a1 = -1.0f;
	for (ptrdiff_t kh = 0; kh < 2; kh++) {
		ptrdiff_t x_2 = x_0 + 4 * kh;
		for (ptrdiff_t kw = 0; kw < 2; kw++) {
			ptrdiff_t x_1 = x_2 + kw;
			const float x0 = x[x_1];
			const int e0 = (x0 > a0) || (x0 != x0);
			const float e1 = (e0 ? x0 : a0);
			const float e2 = ((e0 || (a1 == -1.0f)) ? (float)(2 * kh + kw) : a1);
			a0 = e1;
			a1 = e2;
		}
	}
	y[y_0] = a0;
	arg_b[arg_b_0] = a1;
}

/* max_pool_2x2x2_2x2_99a4: 0 multiply-adds a call, called 2 times:
 *   max_pool 1x2x4x4 -> 1x2x2x2
 * c 1 | oh 1 | ow 1 | kh 1 | kw 1
 * tiles 1, functions 1, blocks 1, text 1,196 bytes */
static CNNC_UNUSED void max_pool_2x2x2_2x2_99a4_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	float *arg_b = (float *)arg[2];
	(void)block;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_2 = 16 * c;
		ptrdiff_t y_2 = 4 * c;
		ptrdiff_t arg_b_2 = 4 * c;
		for (ptrdiff_t oh = 0; oh < 2; oh++) {
			ptrdiff_t x_1 = x_2 + 8 * oh;
			ptrdiff_t y_1 = y_2 + 2 * oh;
			ptrdiff_t arg_b_1 = arg_b_2 + 2 * oh;
			for (ptrdiff_t ow = 0; ow < 2; ow++) {
				ptrdiff_t x_0 = x_1 + 2 * ow;
				ptrdiff_t y_0 = y_1 + ow;
				ptrdiff_t arg_b_0 = arg_b_1 + ow;
				max_pool_tile5_generic(x, y, arg_b, x_0, y_0, arg_b_0);
			}
		}
	}
}

static CNNC_TILE void row_loss_tile6_generic(const float *x, const float *peak,
	const int32_t *label, float *CNNC_RESTRICT log_sum, float *CNNC_RESTRICT loss, ptrdiff_t x_0,
	ptrdiff_t peak_0, ptrdiff_t label_0, ptrdiff_t log_sum_0, ptrdiff_t loss_0)
{
	float a0 = 0.0f;
	float a1 = 0.0f;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_1 = x_0 + c;
		const float x0 = x[x_1];
		const float peak0 = peak[peak_0];
		const float e0 = x0 - peak0;
		const float label0 = (float)label[label_0];
		const float e1 = (((float)(c) == label0) ? e0 : 0.0f);
		a0 += exp_f32(e0);
		a1 += e1;
	}
	const float e0 = log_f32(a0);
	const float e1 = e0 - a1;
	log_sum[log_sum_0] = e0;
	loss[loss_0] = e1;
}

/* row_loss_2_8c39: 0 multiply-adds a call, called 2 times:
 *   cross_entropy 1x2 -> scalar
 * c 1
 * tiles 1, functions 1, blocks 1, text 976 bytes */
static CNNC_UNUSED void row_loss_2_8c39_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *peak = (const float *)arg[1];
	const int32_t *label = (const int32_t *)arg[2];
	float *log_sum = (float *)arg[3];
	float *loss = (float *)arg[4];
	(void)block;
	row_loss_tile6_generic(x, peak, label, log_sum, loss, 0, 0, 0, 0, 0);
}

/* cross_entropy_dx_2_ffee: 0 multiply-adds a call, called 2 times:
 *   cross_entropy_dx 1x2 -> 1x2
 * c 1
 * tiles 1, functions 0, blocks 1, text 595 bytes */
static CNNC_UNUSED void cross_entropy_dx_2_ffee_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *peak = (const float *)arg[1];
	const float *log_sum = (const float *)arg[2];
	const int32_t *label = (const int32_t *)arg[3];
	float *dx = (float *)arg[4];
	(void)block;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_0 = c;
		ptrdiff_t dx_0 = c;
		const float x0 = x[x_0];
		const float peak0 = peak[0];
		const float log_sum0 = log_sum[0];
		const float label0 = (float)label[0];
		const float e0 = (((float)(c) == label0) ? 1.0f : 0.0f);
		dx[dx_0] = exp_f32(x0 - peak0 - log_sum0) - e0;
	}
}

static CNNC_TILE void dense_dx_tile7_generic(const float *dy, const float *w,
	float *CNNC_RESTRICT dx, ptrdiff_t w_0, ptrdiff_t dy_0, ptrdiff_t dx_0)
{
	float a = 0.0f;
	for (ptrdiff_t oc = 0; oc < 2; oc++) {
		ptrdiff_t w_1 = w_0 + 8 * oc;
		ptrdiff_t dy_1 = dy_0 + oc;
		const float w0 = w[w_1];
		const float dy0 = dy[dy_1];
		a += w0 * dy0;
	}
	dx[dx_0] = a;
}

/* dense_dx_2x2x2_2_ba68: 16 multiply-adds a call, called 2 times:
 *   fc: dense_dx 1x2 -> 1x2x2x2
 * ic 1 | ih 1 | iw 1 | oc 1
 * tiles 1, functions 1, blocks 1, text 862 bytes */
static CNNC_UNUSED void dense_dx_2x2x2_2_ba68_generic(const void *const *arg, size_t block)
{
	const float *dy = (const float *)arg[0];
	const float *w = (const float *)arg[1];
	float *dx = (float *)arg[2];
	(void)block;
	for (ptrdiff_t ic = 0; ic < 2; ic++) {
		ptrdiff_t w_2 = 4 * ic;
		ptrdiff_t dx_2 = 4 * ic;
		for (ptrdiff_t ih = 0; ih < 2; ih++) {
			ptrdiff_t w_1 = w_2 + 2 * ih;
			ptrdiff_t dx_1 = dx_2 + 2 * ih;
			for (ptrdiff_t iw = 0; iw < 2; iw++) {
				ptrdiff_t w_0 = w_1 + iw;
				ptrdiff_t dx_0 = dx_1 + iw;
				dense_dx_tile7_generic(dy, w, dx, w_0, 0, dx_0);
			}
		}
	}
}

/* dense_dw_2x2x2x2_1e06: 0 multiply-adds a call, called 2 times:
 *   fc: dense_dw 1x2x2x2 -> 2x8
 * oc 1 | ic 1 | ih 1 | iw 1
 * tiles 1, functions 0, blocks 1, text 740 bytes */
static CNNC_UNUSED void dense_dw_2x2x2x2_1e06_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *dy = (const float *)arg[1];
	float *dw = (float *)arg[2];
	(void)block;
	for (ptrdiff_t oc = 0; oc < 2; oc++) {
		ptrdiff_t dw_3 = 8 * oc;
		ptrdiff_t dy_0 = oc;
		for (ptrdiff_t ic = 0; ic < 2; ic++) {
			ptrdiff_t x_2 = 4 * ic;
			ptrdiff_t dw_2 = dw_3 + 4 * ic;
			for (ptrdiff_t ih = 0; ih < 2; ih++) {
				ptrdiff_t x_1 = x_2 + 2 * ih;
				ptrdiff_t dw_1 = dw_2 + 2 * ih;
				for (ptrdiff_t iw = 0; iw < 2; iw++) {
					ptrdiff_t x_0 = x_1 + iw;
					ptrdiff_t dw_0 = dw_1 + iw;
					float a = 0.0f;
					{
						const float dy0 = dy[dy_0];
						const float x0 = x[x_0];
						a += dy0 * x0;
					}
					dw[dw_0] = a;
				}
			}
		}
	}
}

/* channel_sum_2_c46f: 0 multiply-adds a call, called 2 times:
 *   fc: channel_sum 1x2 -> 2
 * c 1
 * tiles 1, functions 0, blocks 1, text 289 bytes */
static CNNC_UNUSED void channel_sum_2_c46f_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_0 = c;
		ptrdiff_t y_0 = c;
		float a = 0.0f;
		{
			const float x0 = x[x_0];
			a += x0;
		}
		y[y_0] = a;
	}
}

/* max_pool_dx_2x2x2x2x2_86a7: 0 multiply-adds a call, called 2 times:
 *   max_pool_dx 1x2x2x2 -> 1x2x4x4 + map_grad 1x2x4x4 -> 1x2x4x4
 * c 1 | oh 1 | kh 1 | ow 1 | kw 1
 * tiles 1, functions 0, blocks 1, text 1,259 bytes */
static CNNC_UNUSED void max_pool_dx_2x2x2x2x2_86a7_generic(const void *const *arg, size_t block)
{
	const float *dy = (const float *)arg[0];
	const float *arg_b = (const float *)arg[1];
	const float *y = (const float *)arg[2];
	float *dx = (float *)arg[3];
	(void)block;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t y_4 = 16 * c;
		ptrdiff_t dx_4 = 16 * c;
		ptrdiff_t arg_b_2 = 4 * c;
		ptrdiff_t dy_2 = 4 * c;
		for (ptrdiff_t oh = 0; oh < 2; oh++) {
			ptrdiff_t y_3 = y_4 + 8 * oh;
			ptrdiff_t dx_3 = dx_4 + 8 * oh;
			ptrdiff_t arg_b_1 = arg_b_2 + 2 * oh;
			ptrdiff_t dy_1 = dy_2 + 2 * oh;
			for (ptrdiff_t kh = 0; kh < 2; kh++) {
				ptrdiff_t y_2 = y_3 + 4 * kh;
				ptrdiff_t dx_2 = dx_3 + 4 * kh;
				for (ptrdiff_t ow = 0; ow < 2; ow++) {
					ptrdiff_t y_1 = y_2 + 2 * ow;
					ptrdiff_t dx_1 = dx_2 + 2 * ow;
					ptrdiff_t arg_b_0 = arg_b_1 + ow;
					ptrdiff_t dy_0 = dy_1 + ow;
					for (ptrdiff_t kw = 0; kw < 2; kw++) {
						ptrdiff_t y_0 = y_1 + kw;
						ptrdiff_t dx_0 = dx_1 + kw;
						float a = 0.0f;
						{
							const float arg_b0 = arg_b[arg_b_0];
							const float dy0 = dy[dy_0];
							const float e0 = ((arg_b0 == (float)(2 * kh + kw)) ? dy0 : 0.0f);
							a += e0;
						}
						const float y0 = y[y_0];
						dx[dx_0] = ((y0 > 0.0f) ? a : 0.0f);
					}
				}
			}
		}
	}
}

static CNNC_TILE void conv_dw_tile8_generic(const float *x, const float *dy,
	float *CNNC_RESTRICT dw, ptrdiff_t i_0, ptrdiff_t i_1, ptrdiff_t dy_0, ptrdiff_t x_0,
	ptrdiff_t dw_0)
{
	float a = 0.0f;
	for (ptrdiff_t oh = 0; oh < 4; oh++) {
		ptrdiff_t dy_2 = dy_0 + 4 * oh;
		ptrdiff_t x_2 = x_0 + 4 * oh;
		if (i_0 + oh >= 0 && i_0 + oh < 4) {
			for (ptrdiff_t ow = 0; ow < 4; ow++) {
				ptrdiff_t dy_1 = dy_2 + ow;
				ptrdiff_t x_1 = x_2 + ow;
				if (i_1 + ow >= 0 && i_1 + ow < 4) {
					const float dy0 = dy[dy_1];
					const float x0 = x[x_1];
					a += dy0 * x0;
				}
			}
		}
	}
	dw[dw_0] = a;
}

/* conv_dw_2x3x3_4x4_9221: 288 multiply-adds a call, called 2 times:
 *   conv: conv_dw 1x1x4x4 -> 2x1x3x3
 * oc 1 | kh 1 | kw 1 | oh 1 | ow 1
 * tiles 1, functions 1, blocks 1, text 1,122 bytes */
static CNNC_UNUSED void conv_dw_2x3x3_4x4_9221_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *dy = (const float *)arg[1];
	float *dw = (float *)arg[2];
	(void)block;
	for (ptrdiff_t oc = 0; oc < 2; oc++) {
		ptrdiff_t dw_2 = 9 * oc;
		ptrdiff_t dy_0 = 16 * oc;
		for (ptrdiff_t kh = 0; kh < 3; kh++) {
			ptrdiff_t x_1 = 4 * kh;
			ptrdiff_t dw_1 = dw_2 + 3 * kh;
			for (ptrdiff_t kw = 0; kw < 3; kw++) {
				ptrdiff_t x_0 = x_1 + kw;
				ptrdiff_t dw_0 = dw_1 + kw;
				conv_dw_tile8_generic(x, dy, dw, kh - 1, kw - 1, dy_0, x_0 - 5, dw_0);
			}
		}
	}
}

static CNNC_TILE void channel_sum_tile9_generic(const float *x, float *CNNC_RESTRICT y,
	ptrdiff_t x_0, ptrdiff_t y_0)
{
	float a = 0.0f;
	for (ptrdiff_t h_ = 0; h_ < 4; h_++) {
		ptrdiff_t x_2 = x_0 + 4 * h_;
		for (ptrdiff_t w = 0; w < 4; w++) {
			ptrdiff_t x_1 = x_2 + w;
			const float x0 = x[x_1];
			a += x0;
		}
	}
	y[y_0] = a;
}

/* channel_sum_2_4x4_2aff: 0 multiply-adds a call, called 2 times:
 *   conv: channel_sum 1x2x4x4 -> 2
 * c 1 | h 1 | w 1
 * tiles 1, functions 1, blocks 1, text 549 bytes */
static CNNC_UNUSED void channel_sum_2_4x4_2aff_generic(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t c = 0; c < 2; c++) {
		ptrdiff_t x_0 = 16 * c;
		ptrdiff_t y_0 = c;
		channel_sum_tile9_generic(x, y, x_0, y_0);
	}
}

/* sgd_16_86b6: 0 multiply-adds a call, called 1 times:
 *   fc.weight: sgd 2x8 -> 2x8
 * n 1
 * tiles 1, functions 0, blocks 1, text 605 bytes */
static CNNC_UNUSED void sgd_16_86b6_generic(const void *const *arg, size_t block)
{
	const float *hyper = (const float *)arg[0];
	float *w = (float *)arg[1];
	const float *g = (const float *)arg[2];
	float *v = (float *)arg[3];
	(void)block;
	for (ptrdiff_t n = 0; n < 16; n++) {
		ptrdiff_t w_0 = n;
		ptrdiff_t v_0 = n;
		ptrdiff_t g_0 = n;
		const float w0 = w[w_0];
		const float hyper0 = hyper[0];
		const float hyper1 = hyper[1];
		const float v0 = v[v_0];
		const float g0 = g[g_0];
		const float hyper2 = hyper[2];
		const float e0 = hyper1 * v0 + (g0 + hyper2 * w0);
		const float e1 = w0 - hyper0 * e0;
		w[w_0] = e1;
		v[v_0] = e0;
	}
}

/* sgd_2_8d73: 0 multiply-adds a call, called 2 times:
 *   fc.bias: sgd 2 -> 2
 *   conv.bias: sgd 2 -> 2
 * a 1
 * tiles 1, functions 0, blocks 1, text 610 bytes */
static CNNC_UNUSED void sgd_2_8d73_generic(const void *const *arg, size_t block)
{
	const float *hyper = (const float *)arg[0];
	float *w = (float *)arg[1];
	const float *g = (const float *)arg[2];
	float *v = (float *)arg[3];
	(void)block;
	for (ptrdiff_t a_ = 0; a_ < 2; a_++) {
		ptrdiff_t w_0 = a_;
		ptrdiff_t v_0 = a_;
		ptrdiff_t g_0 = a_;
		const float w0 = w[w_0];
		const float hyper0 = hyper[0];
		const float hyper1 = hyper[1];
		const float v0 = v[v_0];
		const float g0 = g[g_0];
		const float hyper2 = hyper[2];
		const float e0 = hyper1 * v0 + (g0 + hyper2 * w0);
		const float e1 = w0 - hyper0 * e0;
		w[w_0] = e1;
		v[v_0] = e0;
	}
}

/* sgd_18_512a: 0 multiply-adds a call, called 1 times:
 *   conv.weight: sgd 2x1x3x3 -> 2x1x3x3
 * n 1
 * tiles 1, functions 0, blocks 1, text 605 bytes */
static CNNC_UNUSED void sgd_18_512a_generic(const void *const *arg, size_t block)
{
	const float *hyper = (const float *)arg[0];
	float *w = (float *)arg[1];
	const float *g = (const float *)arg[2];
	float *v = (float *)arg[3];
	(void)block;
	for (ptrdiff_t n = 0; n < 18; n++) {
		ptrdiff_t w_0 = n;
		ptrdiff_t v_0 = n;
		ptrdiff_t g_0 = n;
		const float w0 = w[w_0];
		const float hyper0 = hyper[0];
		const float hyper1 = hyper[1];
		const float v0 = v[v_0];
		const float g0 = g[g_0];
		const float hyper2 = hyper[2];
		const float e0 = hyper1 * v0 + (g0 + hyper2 * w0);
		const float e1 = w0 - hyper0 * e0;
		w[w_0] = e1;
		v[v_0] = e0;
	}
}

/* sgd_38_01ea: 0 multiply-adds a call, called 1 times:
 *   conv.weight to fc.bias: sgd 38 -> 38
 * a 1
 * tiles 1, functions 0, blocks 1, text 611 bytes */
static CNNC_UNUSED void sgd_38_01ea_generic(const void *const *arg, size_t block)
{
	const float *hyper = (const float *)arg[0];
	float *w = (float *)arg[1];
	const float *g = (const float *)arg[2];
	float *v = (float *)arg[3];
	(void)block;
	for (ptrdiff_t a_ = 0; a_ < 38; a_++) {
		ptrdiff_t w_0 = a_;
		ptrdiff_t v_0 = a_;
		ptrdiff_t g_0 = a_;
		const float w0 = w[w_0];
		const float hyper0 = hyper[0];
		const float hyper1 = hyper[1];
		const float v0 = v[v_0];
		const float g0 = g[g_0];
		const float hyper2 = hyper[2];
		const float e0 = hyper1 * v0 + (g0 + hyper2 * w0);
		const float e1 = w0 - hyper0 * e0;
		w[w_0] = e1;
		v[v_0] = e0;
	}
}

struct kernel {
	void (*run)(const void *const *arg, size_t block);
	size_t blocks;
	int is_short; /* not worth a second thread */
};

struct kernels {
	const char *target;
	struct kernel init_18_bbf0;
	struct kernel init_2_4b58;
	struct kernel init_16_a451;
	struct kernel init_18_9e46;
	struct kernel init_2_0af6;
	struct kernel init_16_7281;
	struct kernel copy_18_7016;
	struct kernel copy_2_4eef;
	struct kernel copy_16_b5c4;
	struct kernel conv_2x4x4_3x3_75f2;
	struct kernel max_pool_2x2x2_2x2_a0dc;
	struct kernel dense_2_2x2x2_f463;
	struct kernel row_max_2_7ca5;
	struct kernel row_loss_2_83db;
	struct kernel loss_mean_7ee1;
	struct kernel max_pool_2x2x2_2x2_99a4;
	struct kernel row_loss_2_8c39;
	struct kernel cross_entropy_dx_2_ffee;
	struct kernel dense_dx_2x2x2_2_ba68;
	struct kernel dense_dw_2x2x2x2_1e06;
	struct kernel channel_sum_2_c46f;
	struct kernel max_pool_dx_2x2x2x2x2_86a7;
	struct kernel conv_dw_2x3x3_4x4_9221;
	struct kernel channel_sum_2_4x4_2aff;
	struct kernel sgd_16_86b6;
	struct kernel sgd_2_8d73;
	struct kernel sgd_18_512a;
	struct kernel sgd_38_01ea;
};

static const struct kernels kernels_generic = {
	"generic",
	{init_18_bbf0_generic, 1, 1},
	{init_2_4b58_generic, 1, 1},
	{init_16_a451_generic, 1, 1},
	{init_18_9e46_generic, 1, 1},
	{init_2_0af6_generic, 1, 1},
	{init_16_7281_generic, 1, 1},
	{copy_18_7016_generic, 1, 1},
	{copy_2_4eef_generic, 1, 1},
	{copy_16_b5c4_generic, 1, 1},
	{conv_2x4x4_3x3_75f2_generic, 1, 1},
	{max_pool_2x2x2_2x2_a0dc_generic, 1, 1},
	{dense_2_2x2x2_f463_generic, 1, 1},
	{row_max_2_7ca5_generic, 1, 1},
	{row_loss_2_83db_generic, 1, 1},
	{loss_mean_7ee1_generic, 1, 1},
	{max_pool_2x2x2_2x2_99a4_generic, 1, 1},
	{row_loss_2_8c39_generic, 1, 1},
	{cross_entropy_dx_2_ffee_generic, 1, 1},
	{dense_dx_2x2x2_2_ba68_generic, 1, 1},
	{dense_dw_2x2x2x2_1e06_generic, 1, 1},
	{channel_sum_2_c46f_generic, 1, 1},
	{max_pool_dx_2x2x2x2x2_86a7_generic, 1, 1},
	{conv_dw_2x3x3_4x4_9221_generic, 1, 1},
	{channel_sum_2_4x4_2aff_generic, 1, 1},
	{sgd_16_86b6_generic, 1, 1},
	{sgd_2_8d73_generic, 1, 1},
	{sgd_18_512a_generic, 1, 1},
	{sgd_38_01ea_generic, 1, 1},
};

/* The best kernels that this machine can run. */
static const struct kernels *pick(void)
{
	return &kernels_generic;
}

#ifndef CNNC_SHARE_SHORT
#define CNNC_SHARE_SHORT 0 /* 1: threads share short steps, too, as tests want them to */
#endif

struct job {
	void (*run)(const void *const *arg, size_t block);
	const void *const *arg;
};

static void run_block(void *self, size_t block)
{
	const struct job *job = (const struct job *)self;
	job->run(job->arg, block);
}

/* All blocks of a kernel, in any order: by the pool, by OpenMP, or one after the other. */
static CNNC_UNUSED void run(const struct cnnc_pool *pool, const struct kernel *kernel,
	const void *const *arg)
{
	struct job job = {kernel->run, arg};
	if (kernel->blocks == 1 || (kernel->is_short && !CNNC_SHARE_SHORT)) {
		for (size_t block = 0; block < kernel->blocks; block++) kernel->run(arg, block);
		return;
	}
	if (pool) {
		pool->run(pool->self, run_block, &job, kernel->blocks);
		return;
	}
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
	for (ptrdiff_t block = 0; block < (ptrdiff_t)kernel->blocks; block++)
		run_block(&job, (size_t)block);
}

/* The next multiple of 64 bytes. */
static CNNC_UNUSED void *aligned(const void *memory)
{
	return (char *)memory + (64 - (uintptr_t)memory % 64) % 64;
}

static CNNC_UNUSED int labels_fit(const int32_t *label, size_t n, int32_t classes)
{
	for (size_t i = 0; i < n; i++)
		if (label[i] < 0 || label[i] >= classes) return 0;
	return 1;
}

#if defined __GNUC__ && !defined __TINYC__
typedef uint64_t finite_word __attribute__((vector_size(16)));
#else
typedef uint64_t finite_word;
#endif

/* Of an infinity or NaN the exponent is all ones, and one more carries into the sign. */
static CNNC_UNUSED int all_finite(const float *x, size_t n)
{
	const uint64_t exponent = UINT64_C(0x0080000000800000), sign = UINT64_C(0x8000000080000000);
	const size_t step = 4 * sizeof(finite_word) / sizeof *x, whole = n - n % step;
	uint64_t one, carried = 0, part[sizeof(finite_word) / sizeof one];
	finite_word word[4], carries = {0};
	for (size_t i = 0; i < whole; i += step) {
		memcpy(word, &x[i], sizeof word);
		carries |= ((word[0] & ~sign) + exponent) | ((word[1] & ~sign) + exponent) |
			((word[2] & ~sign) + exponent) | ((word[3] & ~sign) + exponent);
	}
	memcpy(part, &carries, sizeof part);
	for (size_t k = 0; k < sizeof part / sizeof *part; k++) carried |= part[k];
	for (size_t i = whole; i < n; i++) {
		one = 0;
		memcpy(&one, &x[i], sizeof *x);
		carried |= (one & ~sign) + exponent;
	}
	return !(carried & sign);
}

const struct cnnc_tensor tiny_tensors[TINY_TENSORS] = {
	{"conv.weight", 0, 18, {2, 1, 3, 3}, 4, 0},
	{"conv.bias", 18, 2, {2, 0, 0, 0}, 1, 0},
	{"fc.weight", 20, 16, {2, 8, 0, 0}, 2, 0},
	{"fc.bias", 36, 2, {2, 0, 0, 0}, 1, 0},
	{"conv.weight.momentum_buffer", 0, 18, {2, 1, 3, 3}, 4, 2},
	{"conv.bias.momentum_buffer", 18, 2, {2, 0, 0, 0}, 1, 2},
	{"fc.weight.momentum_buffer", 20, 16, {2, 8, 0, 0}, 2, 2},
	{"fc.bias.momentum_buffer", 36, 2, {2, 0, 0, 0}, 1, 2},
};

/* --- entries --- */

void tiny_init(float *vars, float *slots, uint64_t seed)
{
	const struct kernels *k = pick();
	const struct cnnc_pool *pool = NULL;
	const uint64_t step = 0;
	{
		const uint64_t own[3] = {seed, step, UINT64_C(0x6bbac2a58d9d723c)};
		const void *const a[] = {own, table_0, vars};
		run(pool, &k->init_18_bbf0, a);
	} /* conv.weight: 2x1x3x3 */
	{
		const uint64_t own[3] = {seed, step, UINT64_C(0x46e37f5435c2da7c)};
		const void *const a[] = {own, table_0, vars + 18};
		run(pool, &k->init_2_4b58, a);
	} /* conv.bias: 2 */
	{
		const uint64_t own[3] = {seed, step, UINT64_C(0xecbcf2782a42137e)};
		const void *const a[] = {own, table_1, vars + 20};
		run(pool, &k->init_16_a451, a);
	} /* fc.weight: 2x8 */
	{
		const uint64_t own[3] = {seed, step, UINT64_C(0xd76e3720db5d7c78)};
		const void *const a[] = {own, table_1, vars + 36};
		run(pool, &k->init_2_4b58, a);
	} /* fc.bias: 2 */
	{
		const void *const a[] = {slots};
		run(pool, &k->init_18_9e46, a);
	} /* conv.weight.momentum_buffer: 2x1x3x3 */
	{
		const void *const a[] = {slots + 18};
		run(pool, &k->init_2_0af6, a);
	} /* conv.bias.momentum_buffer: 2 */
	{
		const void *const a[] = {slots + 20};
		run(pool, &k->init_16_7281, a);
	} /* fc.weight.momentum_buffer: 2x8 */
	{
		const void *const a[] = {slots + 36};
		run(pool, &k->init_2_0af6, a);
	} /* fc.bias.momentum_buffer: 2 */
}

void tiny_pack(const float *vars, void *packed)
{
	const struct kernels *k = pick();
	const struct cnnc_pool *pool = NULL;
	float *p = (float *)aligned(packed);
	{
		const void *const a[] = {vars, p};
		run(pool, &k->copy_18_7016, a);
	} /* conv.weight: as it is */
	{
		const void *const a[] = {vars + 18, p + 32};
		run(pool, &k->copy_2_4eef, a);
	} /* conv.bias: as it is */
	{
		const void *const a[] = {vars + 20, p + 48};
		run(pool, &k->copy_16_b5c4, a);
	} /* fc.weight: as it is */
	{
		const void *const a[] = {vars + 36, p + 64};
		run(pool, &k->copy_2_4eef, a);
	} /* fc.bias: as it is */
}

static void update_all(struct tiny_train *t, const float *grads, const struct cnnc_pool *pool)
{
	const struct kernels *k = pick();
	const float hyper[4] = {t->rate, t->momentum, t->decay, (float)(t->step + 1)};
	{
		const void *const a[] = {hyper, t->vars, grads, t->slots};
		run(pool, &k->sgd_38_01ea, a);
	} /* conv.weight to fc.bias: sgd 38 -> 38 */
	t->step++;
}

int tiny_update(struct tiny_train *t, const float *grads)
{
	if (!all_finite(grads, TINY_WEIGHTS)) return CNNC_NONFINITE;
	update_all(t, grads, NULL);
	return CNNC_OK;
}

int tiny_infer_b1(const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool)
{
	const struct kernels *k = pick();
	const float *p = (const float *)aligned(packed);
	float *m = (float *)aligned(work);
	{
		const void *const a[] = {x, p, p + 32, m};
		run(pool, &k->conv_2x4x4_3x3_75f2, a);
	} /* conv: conv 1x1x4x4 -> 1x2x4x4 + relu 1x2x4x4 -> 1x2x4x4 */
	{
		const void *const a[] = {m, m + 32};
		run(pool, &k->max_pool_2x2x2_2x2_a0dc, a);
	} /* max_pool 1x2x4x4 -> 1x2x2x2 */
	{
		const void *const a[] = {m + 32, p + 48, p + 64, y};
		run(pool, &k->dense_2_2x2x2_f463, a);
	} /* fc: dense 1x2x2x2 -> 1x2 */
	if (!all_finite(y, 2)) return CNNC_NONFINITE;
	return CNNC_OK;
}

int tiny_eval_b1(const float *vars, const float *x, const int32_t *label, float *loss, float *y,
	void *work, const struct cnnc_pool *pool)
{
	const struct kernels *k = pick();
	float *m = (float *)aligned(work);
	if (!labels_fit(label, 1, 2)) return CNNC_BAD_LABEL;
	{
		const void *const a[] = {x, vars, vars + 18, m};
		run(pool, &k->conv_2x4x4_3x3_75f2, a);
	} /* conv: conv 1x1x4x4 -> 1x2x4x4 + relu 1x2x4x4 -> 1x2x4x4 */
	{
		const void *const a[] = {m, m + 32};
		run(pool, &k->max_pool_2x2x2_2x2_a0dc, a);
	} /* max_pool 1x2x4x4 -> 1x2x2x2 */
	{
		const void *const a[] = {m + 32, vars + 20, vars + 36, y};
		run(pool, &k->dense_2_2x2x2_f463, a);
	} /* fc: dense 1x2x2x2 -> 1x2 */
	{
		const void *const a[] = {y, m};
		run(pool, &k->row_max_2_7ca5, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {y, m, label, m + 16};
		run(pool, &k->row_loss_2_83db, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {m + 16, loss};
		run(pool, &k->loss_mean_7ee1, a);
	} /* cross_entropy 1x2 -> scalar */
	if (!all_finite(loss, 1)) return CNNC_NONFINITE;
	if (!all_finite(y, 2)) return CNNC_NONFINITE;
	return CNNC_OK;
}

int tiny_gradients_b1(float *vars, uint64_t seed, uint64_t step, const float *x,
	const int32_t *label, float *grads, float *loss, float *y, void *work,
	const struct cnnc_pool *pool)
{
	const struct kernels *k = pick();
	float *m = (float *)aligned(work);
	float *g = (float *)aligned(grads);
	(void)seed;
	(void)step;
	if (!labels_fit(label, 1, 2)) return CNNC_BAD_LABEL;
	{
		const void *const a[] = {x, vars, vars + 18, m};
		run(pool, &k->conv_2x4x4_3x3_75f2, a);
	} /* conv: conv 1x1x4x4 -> 1x2x4x4 + relu 1x2x4x4 -> 1x2x4x4 */
	{
		const void *const a[] = {m, m + 48, m + 32};
		run(pool, &k->max_pool_2x2x2_2x2_99a4, a);
	} /* max_pool 1x2x4x4 -> 1x2x2x2 */
	{
		const void *const a[] = {m + 48, vars + 20, vars + 36, y};
		run(pool, &k->dense_2_2x2x2_f463, a);
	} /* fc: dense 1x2x2x2 -> 1x2 */
	{
		const void *const a[] = {y, g};
		run(pool, &k->row_max_2_7ca5, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {y, g, label, m + 80, m + 64};
		run(pool, &k->row_loss_2_8c39, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {m + 64, loss};
		run(pool, &k->loss_mean_7ee1, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {y, g, m + 80, label, m + 64};
		run(pool, &k->cross_entropy_dx_2_ffee, a);
	} /* cross_entropy_dx 1x2 -> 1x2 */
	{
		const void *const a[] = {m + 64, vars + 20, m + 80};
		run(pool, &k->dense_dx_2x2x2_2_ba68, a);
	} /* fc: dense_dx 1x2 -> 1x2x2x2 */
	{
		const void *const a[] = {m + 48, m + 64, grads + 20};
		run(pool, &k->dense_dw_2x2x2x2_1e06, a);
	} /* fc: dense_dw 1x2x2x2 -> 2x8 */
	{
		const void *const a[] = {m + 64, grads + 36};
		run(pool, &k->channel_sum_2_c46f, a);
	} /* fc: channel_sum 1x2 -> 2 */
	{
		const void *const a[] = {m + 80, m + 32, m, m + 48};
		run(pool, &k->max_pool_dx_2x2x2x2x2_86a7, a);
	} /* max_pool_dx 1x2x2x2 -> 1x2x4x4 + map_grad 1x2x4x4 -> 1x2x4x4 */
	{
		const void *const a[] = {x, m + 48, grads};
		run(pool, &k->conv_dw_2x3x3_4x4_9221, a);
	} /* conv: conv_dw 1x1x4x4 -> 2x1x3x3 */
	{
		const void *const a[] = {m + 48, grads + 18};
		run(pool, &k->channel_sum_2_4x4_2aff, a);
	} /* conv: channel_sum 1x2x4x4 -> 2 */
	if (!all_finite(loss, 1)) return CNNC_NONFINITE;
	if (!all_finite(y, 2)) return CNNC_NONFINITE;
	if (!all_finite(grads, TINY_WEIGHTS)) return CNNC_NONFINITE;
	return CNNC_OK;
}

int tiny_step_b1(struct tiny_train *t, const float *x, const int32_t *label, float *loss, float *y,
	void *work, const struct cnnc_pool *pool)
{
	const struct kernels *k = pick();
	float *m = (float *)aligned(work);
	const float hyper[4] = {t->rate, t->momentum, t->decay, (float)(t->step + 1)};
	if (!labels_fit(label, 1, 2)) return CNNC_BAD_LABEL;
	{
		const void *const a[] = {x, t->vars, t->vars + 18, m};
		run(pool, &k->conv_2x4x4_3x3_75f2, a);
	} /* conv: conv 1x1x4x4 -> 1x2x4x4 + relu 1x2x4x4 -> 1x2x4x4 */
	{
		const void *const a[] = {m, m + 32, m + 64};
		run(pool, &k->max_pool_2x2x2_2x2_99a4, a);
	} /* max_pool 1x2x4x4 -> 1x2x2x2 */
	{
		const void *const a[] = {m + 32, t->vars + 20, t->vars + 36, y};
		run(pool, &k->dense_2_2x2x2_f463, a);
	} /* fc: dense 1x2x2x2 -> 1x2 */
	{
		const void *const a[] = {y, m + 48};
		run(pool, &k->row_max_2_7ca5, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {y, m + 48, label, m + 80, m + 96};
		run(pool, &k->row_loss_2_8c39, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {m + 96, loss};
		run(pool, &k->loss_mean_7ee1, a);
	} /* cross_entropy 1x2 -> scalar */
	{
		const void *const a[] = {y, m + 48, m + 80, label, m + 96};
		run(pool, &k->cross_entropy_dx_2_ffee, a);
	} /* cross_entropy_dx 1x2 -> 1x2 */
	{
		const void *const a[] = {m + 96, t->vars + 20, m + 80};
		run(pool, &k->dense_dx_2x2x2_2_ba68, a);
	} /* fc: dense_dx 1x2 -> 1x2x2x2 */
	{
		const void *const a[] = {m + 32, m + 96, m + 48};
		run(pool, &k->dense_dw_2x2x2x2_1e06, a);
	} /* fc: dense_dw 1x2x2x2 -> 2x8 */
	if (!all_finite(loss, 1)) return CNNC_NONFINITE;
	if (!all_finite(y, 2)) return CNNC_NONFINITE;
	{
		const void *const a[] = {hyper, t->vars + 20, m + 48, t->slots + 20};
		run(pool, &k->sgd_16_86b6, a);
	} /* fc.weight: sgd 2x8 -> 2x8 */
	{
		const void *const a[] = {m + 96, m + 32};
		run(pool, &k->channel_sum_2_c46f, a);
	} /* fc: channel_sum 1x2 -> 2 */
	{
		const void *const a[] = {hyper, t->vars + 36, m + 32, t->slots + 36};
		run(pool, &k->sgd_2_8d73, a);
	} /* fc.bias: sgd 2 -> 2 */
	{
		const void *const a[] = {m + 80, m + 64, m, m + 32};
		run(pool, &k->max_pool_dx_2x2x2x2x2_86a7, a);
	} /* max_pool_dx 1x2x2x2 -> 1x2x4x4 + map_grad 1x2x4x4 -> 1x2x4x4 */
	{
		const void *const a[] = {x, m + 32, m};
		run(pool, &k->conv_dw_2x3x3_4x4_9221, a);
	} /* conv: conv_dw 1x1x4x4 -> 2x1x3x3 */
	{
		const void *const a[] = {hyper, t->vars, m, t->slots};
		run(pool, &k->sgd_18_512a, a);
	} /* conv.weight: sgd 2x1x3x3 -> 2x1x3x3 */
	{
		const void *const a[] = {m + 32, m};
		run(pool, &k->channel_sum_2_4x4_2aff, a);
	} /* conv: channel_sum 1x2x4x4 -> 2 */
	{
		const void *const a[] = {hyper, t->vars + 18, m, t->slots + 18};
		run(pool, &k->sgd_2_8d73, a);
	} /* conv.bias: sgd 2 -> 2 */
	t->step++;
	return CNNC_OK;
}

int tiny_infer(size_t n, const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool)
{
	int status = CNNC_OK;
	for (; n >= 1; n -= 1) {
		const int one = tiny_infer_b1(packed, x, y, work, pool);
		if (one) status = one;
		x += 16;
		y += 2;
	}
	return status;
}

