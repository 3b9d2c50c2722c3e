/* vector: A convolution with vectors: register tiles, their functions, the blocks of a pool.
 *
 * Made by cnnc 1.0.0 from vector.lua. It belongs to whoever had it made: use it, change it, pass it on.
 * Compile with optimisation (cc -O2) and link with libm; OpenMP or a pool of threads are optional.
 * Options: --real=float --target=avx2 --inference -b infer=1 -b train=1
 * 272 weights, 0 other variables, 6 kernels for avx2
 *
 * Memory in bytes: vars 1,088, slots 0, packed 1,088
 *   init             2 steps, 0 multiply-adds, work 0 (never below 0)
 *   pack             2 steps, 0 multiply-adds, work 0 (never below 0)
 *   infer_b1         2 steps, 10,752 multiply-adds, work 2,688 (never below 2,688)
 *
 * Tensors in vars: offset, count, kind, shape, name
 *            0       256  weight  16 x 16 x 1 x 1      conv.weight
 *          256        16  weight  16                   conv.bias
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* vector: made by cnnc 1.0.0. It belongs to whoever had it made: use it, change it, pass it on. */
#ifndef VECTOR_H
#define VECTOR_H

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
#define VECTOR_WEIGHTS 272
#define VECTOR_BUFFERS 0
#define VECTOR_VARS 272
#define VECTOR_SLOTS 0
#define VECTOR_TENSORS 2
#define VECTOR_PACKED_BYTES 1151
#define VECTOR_INFER_B1_WORK 2751
#define VECTOR_INFER_WORK 2751
/* Of stack, in each thread, at most, when compiled with optimisation. */
#define VECTOR_STACK_BYTES 2432
/* Changes when vars or slots are laid out otherwise. */
#define VECTOR_HASH UINT64_C(0xb809db2055807b58)

/* Every tensor by name: kind 0 a weight, 1 a buffer, at `offset` in vars; 2 a slot, in slots. */
extern const struct cnnc_tensor vector_tensors[VECTOR_TENSORS];

/* Fills vars and slots as the layers ask, the same for one seed everywhere. slots may be NULL where
 * there are none. */
void vector_init(float *vars, float *slots, uint64_t seed);

/* Makes of vars what inference reads: VECTOR_PACKED_BYTES at `packed`, with batch norms folded in.
 * Again after vars change, or after packed moved. */
void vector_pack(const float *vars, void *packed);

/* Inference on 1:
 *   packed   what vector_pack made
 *   x        1 x 16 x 6 x 7
 *   y        1 x 16 x 6 x 7, written
 *   work     VECTOR_INFER_B1_WORK bytes, which hold nothing between calls
 *   pool     runs the blocks; NULL: OpenMP where compiled with it, else this thread
 * CNNC_OK;
 * CNNC_NONFINITE: an output holds NaN or infinity; all is written */
int vector_infer_b1(const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool);

/* Inference on n images, the largest batches first. work: VECTOR_INFER_WORK bytes. The status
 * is the worst of the batches'. */
int vector_infer(size_t n, const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool);

#ifdef __cplusplus
}
#endif

#endif

#if defined __FAST_MATH__ && !defined CNNC_ALLOW_FAST_MATH
#error "-ffast-math changes results and hides NaN: define CNNC_ALLOW_FAST_MATH to have it"
#endif

#if !(defined __GNUC__ && !defined __TINYC__ && defined __x86_64__)
#error "these kernels are for avx2: they need gcc or clang for that machine"
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
#if defined __GNUC__ && !defined __clang__ && !defined __TINYC__
#pragma GCC optimize("no-tree-pre", "no-tree-vrp", "no-gcse", "no-code-hoisting")
#pragma GCC optimize("no-tree-slsr", "no-tree-tail-merge", "no-schedule-insns2")
#pragma GCC optimize("no-tree-bit-ccp", "no-tree-dominator-opts", "no-tree-slp-vectorize")
#endif

static inline CNNC_UNUSED float select_f32(int c, float x, float y) { return c ? x : y; }

static inline CNNC_UNUSED float max_f32(float x, float y) { return x > y ? x : y; }

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


#if defined __GNUC__ && !defined __TINYC__ && defined __x86_64__
#define CNNC_AVX2 __attribute__((target("avx2,fma")))
typedef float f32x8 __attribute__((vector_size(32), may_alias));
typedef float f32x8u __attribute__((vector_size(32), aligned(4), may_alias)); /* anywhere */
typedef int32_t i32x8 __attribute__((vector_size(32)));

static inline CNNC_UNUSED CNNC_AVX2 f32x8 splat_f32x8(float x) { return x - (f32x8){0}; }

static inline CNNC_UNUSED CNNC_AVX2 f32x8 select_f32x8(i32x8 c, f32x8 x, f32x8 y)
{
	return (f32x8)((c & (i32x8)x) | (~c & (i32x8)y));
}

/* x > y ? x : y, exactly */
static inline CNNC_UNUSED CNNC_AVX2 f32x8 max_f32x8(f32x8 x, f32x8 y)
{
#if defined __x86_64__ && !defined __clang__
	return __builtin_ia32_maxps256(x, y);
#else
	return select_f32x8((i32x8)(x > y), x, y);
#endif
}

static inline CNNC_UNUSED CNNC_AVX2 float sum_f32x8(f32x8 x)
{
#if defined CNNC_SHUFFLES
	typedef float half4 __attribute__((vector_size(16)));
	const half4 x4 = __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5,
		6, 7);
	const half4 y = x4 + __builtin_shufflevector(x4, x4, 2, 3, 0, 1);
	return y[0] + y[1];
#else
	return (((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7])));
#endif
}

static inline CNNC_UNUSED CNNC_AVX2 float largest_f32x8(f32x8 x)
{
	return max_f32(max_f32(max_f32(x[0], x[4]), max_f32(x[2], x[6])), max_f32(max_f32(x[1], x[5]),
		max_f32(x[3], x[7])));
}

#endif

static const float table_0[1] = {
	0.5f,
};

/* --- kernels: avx2 --- */

#if defined __GNUC__ && !defined __TINYC__ && defined __x86_64__
/* init_256_ff05: 0 multiply-adds a call, called 1 times:
 *   conv.weight: 16x16x1x1
 * n 1
 * tiles 1, functions 0, blocks 1, text 346 bytes */
static CNNC_UNUSED CNNC_AVX2 void init_256_ff05_avx2(const void *const *arg, size_t block)
{
	const uint64_t *seed = (const uint64_t *)arg[0];
	const float *scale = (const float *)arg[1];
	float *w = (float *)arg[2];
	(void)block;
	for (ptrdiff_t n = 0; n < 256; n++) {
		ptrdiff_t w_0 = n;
		const float scale0 = scale[0];
		w[w_0] = (hash_f32(seed, seed[2], (uint64_t)(n)) - 0.5f) * scale0;
	}
}

/* init_16_a451: 0 multiply-adds a call, called 1 times:
 *   conv.bias: 16
 * n 1
 * tiles 1, functions 0, blocks 1, text 345 bytes */
static CNNC_UNUSED CNNC_AVX2 void init_16_a451_avx2(const void *const *arg, size_t block)
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

/* pack_16x16_6487: 0 multiply-adds a call, called 1 times:
 *   conv.weight: packed for the kernels
 * a 16 | b 1 | reg a 8 | vec a 8
 * tiles 1, functions 0, blocks 1, text 531 bytes */
static CNNC_UNUSED CNNC_AVX2 void pack_16x16_6487_avx2(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t b = 0; b < 16; b++) {
		ptrdiff_t x_0 = b;
		ptrdiff_t y_0 = 16 * b;
		const f32x8 x0 = {x[x_0], x[x_0 + 16], x[x_0 + 32], x[x_0 + 48], x[x_0 + 64], x[x_0 + 80],
			x[x_0 + 96], x[x_0 + 112]};
		*(f32x8 *)&y[y_0] = x0;
		const f32x8 x1 = {x[x_0 + 128], x[x_0 + 144], x[x_0 + 160], x[x_0 + 176], x[x_0 + 192],
			x[x_0 + 208], x[x_0 + 224], x[x_0 + 240]};
		*(f32x8 *)&y[y_0 + 8] = x1;
	}
}

/* copy_16_7728: 0 multiply-adds a call, called 1 times:
 *   conv.bias: as it is
 * a 8 | vec a 8
 * tiles 1, functions 0, blocks 1, text 293 bytes */
static CNNC_UNUSED CNNC_AVX2 void copy_16_7728_avx2(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t a_ = 0; a_ < 2; a_++) {
		ptrdiff_t x_0 = 8 * a_;
		ptrdiff_t y_0 = 8 * a_;
		const f32x8 x0 = *(const f32x8u *)&x[x_0];
		*(f32x8 *)&y[y_0] = x0;
	}
}

static CNNC_TILE CNNC_AVX2 void conv_tile0_avx2(const float *x, const float *w, const float *b,
	float *CNNC_RESTRICT y, ptrdiff_t w_0, ptrdiff_t x_0, ptrdiff_t b_0, ptrdiff_t y_0)
{
	f32x8 a0_0_0 = {0}, a0_0_1 = {0}, a0_1_0 = {0}, a0_1_1 = {0}, a0_2_0 = {0}, a0_2_1 = {0},
		a1_0_0 = {0}, a1_0_1 = {0}, a1_1_0 = {0}, a1_1_1 = {0}, a1_2_0 = {0}, a1_2_1 = {0};
	for (ptrdiff_t ic = 0; ic < 8; ic++) {
		ptrdiff_t w_1 = w_0 + 32 * ic;
		ptrdiff_t x_1 = x_0 + 84 * ic;
		{
			const f32x8 w0 = *(const f32x8 *)&w[w_1];
			const float x0 = x[x_1];
			a0_0_0 += w0 * x0;
			const f32x8 w1 = *(const f32x8 *)&w[w_1 + 8];
			a0_0_1 += w1 * x0;
			const float x1 = x[x_1 + 1];
			a0_1_0 += w0 * x1;
			a0_1_1 += w1 * x1;
			const float x2 = x[x_1 + 2];
			a0_2_0 += w0 * x2;
			a0_2_1 += w1 * x2;
			const float x3 = x[x_1 + 7];
			a1_0_0 += w0 * x3;
			a1_0_1 += w1 * x3;
			const float x4 = x[x_1 + 8];
			a1_1_0 += w0 * x4;
			a1_1_1 += w1 * x4;
			const float x5 = x[x_1 + 9];
			a1_2_0 += w0 * x5;
			a1_2_1 += w1 * x5;
		}
		{
			const f32x8 w0 = *(const f32x8 *)&w[w_1 + 16];
			const float x0 = x[x_1 + 42];
			a0_0_0 += w0 * x0;
			const f32x8 w1 = *(const f32x8 *)&w[w_1 + 24];
			a0_0_1 += w1 * x0;
			const float x1 = x[x_1 + 43];
			a0_1_0 += w0 * x1;
			a0_1_1 += w1 * x1;
			const float x2 = x[x_1 + 44];
			a0_2_0 += w0 * x2;
			a0_2_1 += w1 * x2;
			const float x3 = x[x_1 + 49];
			a1_0_0 += w0 * x3;
			a1_0_1 += w1 * x3;
			const float x4 = x[x_1 + 50];
			a1_1_0 += w0 * x4;
			a1_1_1 += w1 * x4;
			const float x5 = x[x_1 + 51];
			a1_2_0 += w0 * x5;
			a1_2_1 += w1 * x5;
		}
	}
	const f32x8 b0 = *(const f32x8 *)&b[b_0];
	*(f32x8 *)&y[y_0] = max_f32x8(splat_f32x8(0.0f), a0_0_0 + b0);
	const f32x8 b1 = *(const f32x8 *)&b[b_0 + 8];
	*(f32x8 *)&y[y_0 + 8] = max_f32x8(splat_f32x8(0.0f), a0_0_1 + b1);
	*(f32x8 *)&y[y_0 + 16] = max_f32x8(splat_f32x8(0.0f), a0_1_0 + b0);
	*(f32x8 *)&y[y_0 + 24] = max_f32x8(splat_f32x8(0.0f), a0_1_1 + b1);
	*(f32x8 *)&y[y_0 + 32] = max_f32x8(splat_f32x8(0.0f), a0_2_0 + b0);
	*(f32x8 *)&y[y_0 + 40] = max_f32x8(splat_f32x8(0.0f), a0_2_1 + b1);
	*(f32x8 *)&y[y_0 + 112] = max_f32x8(splat_f32x8(0.0f), a1_0_0 + b0);
	*(f32x8 *)&y[y_0 + 120] = max_f32x8(splat_f32x8(0.0f), a1_0_1 + b1);
	*(f32x8 *)&y[y_0 + 128] = max_f32x8(splat_f32x8(0.0f), a1_1_0 + b0);
	*(f32x8 *)&y[y_0 + 136] = max_f32x8(splat_f32x8(0.0f), a1_1_1 + b1);
	*(f32x8 *)&y[y_0 + 144] = max_f32x8(splat_f32x8(0.0f), a1_2_0 + b0);
	*(f32x8 *)&y[y_0 + 152] = max_f32x8(splat_f32x8(0.0f), a1_2_1 + b1);
}

static CNNC_TILE CNNC_AVX2 void conv_tile1_avx2(const float *x, const float *w, const float *b,
	float *CNNC_RESTRICT y, ptrdiff_t w_0, ptrdiff_t x_0, ptrdiff_t b_0, ptrdiff_t y_0)
{
	f32x8 a0_0_0 = {0}, a0_0_1 = {0}, a0_1_0 = {0}, a0_1_1 = {0}, a1_0_0 = {0}, a1_0_1 = {0},
		a1_1_0 = {0}, a1_1_1 = {0};
	for (ptrdiff_t ic = 0; ic < 8; ic++) {
		ptrdiff_t w_1 = w_0 + 32 * ic;
		ptrdiff_t x_1 = x_0 + 84 * ic;
		{
			const f32x8 w0 = *(const f32x8 *)&w[w_1];
			const float x0 = x[x_1];
			a0_0_0 += w0 * x0;
			const f32x8 w1 = *(const f32x8 *)&w[w_1 + 8];
			a0_0_1 += w1 * x0;
			const float x1 = x[x_1 + 1];
			a0_1_0 += w0 * x1;
			a0_1_1 += w1 * x1;
			const float x2 = x[x_1 + 7];
			a1_0_0 += w0 * x2;
			a1_0_1 += w1 * x2;
			const float x3 = x[x_1 + 8];
			a1_1_0 += w0 * x3;
			a1_1_1 += w1 * x3;
		}
		{
			const f32x8 w0 = *(const f32x8 *)&w[w_1 + 16];
			const float x0 = x[x_1 + 42];
			a0_0_0 += w0 * x0;
			const f32x8 w1 = *(const f32x8 *)&w[w_1 + 24];
			a0_0_1 += w1 * x0;
			const float x1 = x[x_1 + 43];
			a0_1_0 += w0 * x1;
			a0_1_1 += w1 * x1;
			const float x2 = x[x_1 + 49];
			a1_0_0 += w0 * x2;
			a1_0_1 += w1 * x2;
			const float x3 = x[x_1 + 50];
			a1_1_0 += w0 * x3;
			a1_1_1 += w1 * x3;
		}
	}
	const f32x8 b0 = *(const f32x8 *)&b[b_0];
	*(f32x8 *)&y[y_0] = max_f32x8(splat_f32x8(0.0f), a0_0_0 + b0);
	const f32x8 b1 = *(const f32x8 *)&b[b_0 + 8];
	*(f32x8 *)&y[y_0 + 8] = max_f32x8(splat_f32x8(0.0f), a0_0_1 + b1);
	*(f32x8 *)&y[y_0 + 16] = max_f32x8(splat_f32x8(0.0f), a0_1_0 + b0);
	*(f32x8 *)&y[y_0 + 24] = max_f32x8(splat_f32x8(0.0f), a0_1_1 + b1);
	*(f32x8 *)&y[y_0 + 112] = max_f32x8(splat_f32x8(0.0f), a1_0_0 + b0);
	*(f32x8 *)&y[y_0 + 120] = max_f32x8(splat_f32x8(0.0f), a1_0_1 + b1);
	*(f32x8 *)&y[y_0 + 128] = max_f32x8(splat_f32x8(0.0f), a1_1_0 + b0);
	*(f32x8 *)&y[y_0 + 136] = max_f32x8(splat_f32x8(0.0f), a1_1_1 + b1);
}

/* conv_16x6x7_16_5dfb: 10,752 multiply-adds a call, called 1 times:
 *   conv: conv 1x16x6x7 -> 1x16x6x7 + relu 1x16x6x7 -> 1x16x6x7
 * tile oh 2 | tile ow 3 | reg oh 1 | reg ow 1 | reg oc 8 | vec oc 8 | ic 2 | unroll ic 1
 * tiles 2, functions 2, blocks 1, text 4,809 bytes */
static CNNC_UNUSED CNNC_AVX2 void conv_16x6x7_16_5dfb_avx2(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	const float *w = (const float *)arg[1];
	const float *b = (const float *)arg[2];
	float *y = (float *)arg[3];
	(void)block;
	for (ptrdiff_t oh = 0; oh < 3; oh++) {
		ptrdiff_t x_0 = 14 * oh;
		ptrdiff_t y_0 = 224 * oh;
		conv_tile0_avx2(x, w, b, y, 0, x_0, 0, y_0);
		for (ptrdiff_t ow = 0; ow < 2; ow++) {
			ptrdiff_t x_1 = x_0 + 2 * ow;
			ptrdiff_t y_1 = y_0 + 32 * ow;
			conv_tile1_avx2(x, w, b, y, 0, x_1 + 3, 0, y_1 + 48);
		}
	}
}

/* unpack_16x6x7_e45c: 0 multiply-adds a call, called 1 times:
 *   y: back to row-major
 * b 16 | c 1 | d 1 | reg b 8 | vec b 8
 * tiles 1, functions 0, blocks 1, text 808 bytes */
static CNNC_UNUSED CNNC_AVX2 void unpack_16x6x7_e45c_avx2(const void *const *arg, size_t block)
{
	const float *x = (const float *)arg[0];
	float *y = (float *)arg[1];
	(void)block;
	for (ptrdiff_t c = 0; c < 6; c++) {
		ptrdiff_t x_1 = 112 * c;
		ptrdiff_t y_1 = 7 * c;
		for (ptrdiff_t d = 0; d < 7; d++) {
			ptrdiff_t x_0 = x_1 + 16 * d;
			ptrdiff_t y_0 = y_1 + d;
			const f32x8 x0 = *(const f32x8 *)&x[x_0];
			y[y_0] = x0[0];
			y[y_0 + 42] = x0[1];
			y[y_0 + 84] = x0[2];
			y[y_0 + 126] = x0[3];
			y[y_0 + 168] = x0[4];
			y[y_0 + 210] = x0[5];
			y[y_0 + 252] = x0[6];
			y[y_0 + 294] = x0[7];
			const f32x8 x1 = *(const f32x8 *)&x[x_0 + 8];
			y[y_0 + 336] = x1[0];
			y[y_0 + 378] = x1[1];
			y[y_0 + 420] = x1[2];
			y[y_0 + 462] = x1[3];
			y[y_0 + 504] = x1[4];
			y[y_0 + 546] = x1[5];
			y[y_0 + 588] = x1[6];
			y[y_0 + 630] = x1[7];
		}
	}
}

#endif

struct kernel {
	void (*run)(const void *const *arg, size_t block);
	size_t blocks;
	int is_short; /* not worth a second thread */
};

struct kernels {
	const char *target;
	struct kernel init_256_ff05;
	struct kernel init_16_a451;
	struct kernel pack_16x16_6487;
	struct kernel copy_16_7728;
	struct kernel conv_16x6x7_16_5dfb;
	struct kernel unpack_16x6x7_e45c;
};

#if defined __GNUC__ && !defined __TINYC__ && defined __x86_64__
static const struct kernels kernels_avx2 = {
	"avx2",
	{init_256_ff05_avx2, 1, 1},
	{init_16_a451_avx2, 1, 1},
	{pack_16x16_6487_avx2, 1, 1},
	{copy_16_7728_avx2, 1, 1},
	{conv_16x6x7_16_5dfb_avx2, 1, 1},
	{unpack_16x6x7_e45c_avx2, 1, 1},
};
#endif

/* The best kernels that this machine can run. */
static const struct kernels *pick(void)
{
#if defined __GNUC__ && !defined __TINYC__ && defined __x86_64__
	return &kernels_avx2;
#endif
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

const struct cnnc_tensor vector_tensors[VECTOR_TENSORS] = {
	{"conv.weight", 0, 256, {16, 16, 1, 1}, 4, 0},
	{"conv.bias", 256, 16, {16, 0, 0, 0}, 1, 0},
};

/* --- entries --- */

void vector_init(float *vars, float *slots, uint64_t seed)
{
	const struct kernels *k = pick();
	const struct cnnc_pool *pool = NULL;
	const uint64_t step = 0;
	(void)slots;
	{
		const uint64_t own[3] = {seed, step, UINT64_C(0x6bbac2a58d9d723c)};
		const void *const a[] = {own, table_0, vars};
		run(pool, &k->init_256_ff05, a);
	} /* conv.weight: 16x16x1x1 */
	{
		const uint64_t own[3] = {seed, step, UINT64_C(0x46e37f5435c2da7c)};
		const void *const a[] = {own, table_0, vars + 256};
		run(pool, &k->init_16_a451, a);
	} /* conv.bias: 16 */
}

void vector_pack(const float *vars, void *packed)
{
	const struct kernels *k = pick();
	const struct cnnc_pool *pool = NULL;
	float *p = (float *)aligned(packed);
	{
		const void *const a[] = {vars, p + 16};
		run(pool, &k->pack_16x16_6487, a);
	} /* conv.weight: packed for the kernels */
	{
		const void *const a[] = {vars + 256, p};
		run(pool, &k->copy_16_7728, a);
	} /* conv.bias: as it is */
}

int vector_infer_b1(const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool)
{
	const struct kernels *k = pick();
	const float *p = (const float *)aligned(packed);
	float *m = (float *)aligned(work);
	{
		const void *const a[] = {x, p + 16, p, m};
		run(pool, &k->conv_16x6x7_16_5dfb, a);
	} /* conv: conv 1x16x6x7 -> 1x16x6x7 + relu 1x16x6x7 -> 1x16x6x7 */
	{
		const void *const a[] = {m, y};
		run(pool, &k->unpack_16x6x7_e45c, a);
	} /* y: back to row-major */
	if (!all_finite(y, 672)) return CNNC_NONFINITE;
	return CNNC_OK;
}

int vector_infer(size_t n, const void *packed, const float *x, float *y, void *work,
	const struct cnnc_pool *pool)
{
	int status = CNNC_OK;
	for (; n >= 1; n -= 1) {
		const int one = vector_infer_b1(packed, x, y, work, pool);
		if (one) status = one;
		x += 672;
		y += 672;
	}
	return status;
}

