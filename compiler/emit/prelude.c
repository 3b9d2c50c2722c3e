/* prelude: what kernels stand on: vector types, and the functions that C lacks on vectors or that
 * would make results depend on a libm.
 *
 * One text serves scalars and vectors: @V is the type, @I its integers, @C what a comparison
 * yields, @E the element, @L the lanes, @N the suffix of names, @F the start of a function, @{x} a
 * number spread over the lanes. Only what the kernels use is printed.
 *
 * exp, log, tanh in float, largest error over all floats, without FMA and with it, in ulp:
 *   exp 0.99 1.02   log 0.84 0.76   tanh 1.34 1.34   pow below 0.52 (48 million pairs)
 * tests/test_prelude.c measures them. NaN stays NaN, infinities, zeros and denormals go where C
 * says. In double they are libm's, lane by lane. */
#include "internal.h"

#include <ctype.h>

/* --- names --------------------------------------------------------------------------------- */

int target_lanes(const Target *t, bool is_double) { return t->vector_bytes / (is_double ? 8 : 4); }

const char *type_suffix(int lanes, bool is_double, char room[16])
{
	if (lanes)
		snprintf(room, 16, "f%dx%d", is_double ? 64 : 32, lanes);
	else
		snprintf(room, 16, "f%d", is_double ? 64 : 32);
	return room;
}

void target_word(const Target *t, Text *out)
{
	for (const char *c = t->name; *c; c++) text_addn(out, isalnum((unsigned char)*c) ? c : "_", 1);
}

void target_attribute(const Target *t, Text *out)
{
	if (!t->attribute) return;
	size_t from = out->len;
	text_add(out, "CNNC_");
	target_word(t, out);
	for (char *c = out->data + from; *c; c++) *c = (char)toupper((unsigned char)*c);
	text_add(out, " ");
}

/* --- the text ------------------------------------------------------------------------------ */

static const char macros[] =
    "#if defined __GNUC__ && !defined __TINYC__\n"
    "#if defined __has_builtin\n"
    "#if __has_builtin(__builtin_shufflevector)\n"
    "#define CNNC_SHUFFLES\n"
    "#endif\n"
    "#endif\n"
    "#define CNNC_UNUSED __attribute__((unused))\n"
    "#define CNNC_TILE __attribute__((noinline, unused))\n"
    "#define CNNC_RESTRICT __restrict\n"
    "/* As a number, since it may lie beyond the array, where no pointer may point. */\n"
    "#define CNNC_PLACE(array, at) \\\n"
    "\t((const void *)((uintptr_t)(array) + sizeof *(array) * (size_t)(at)))\n"
    "#define CNNC_PREFETCH(array, at) __builtin_prefetch(CNNC_PLACE(array, at), 0, 3)\n"
    "/* past the first-level cache */\n"
    "#define CNNC_PREFETCH_FAR(array, at) __builtin_prefetch(CNNC_PLACE(array, at), 0, 2)\n"
    "#define CNNC_PREFETCH_STORE(array, at) __builtin_prefetch(CNNC_PLACE(array, at), 1, 3)\n"
    "/* What is read at this offset is not known any more: keeps values out of registers that the\n"
    " * accumulators need. */\n"
    "#define CNNC_KEEP(offset) __asm__(\"\" : \"+r\"(offset))\n"
    "#if defined __x86_64__\n"
    "#define CNNC_ROUND(x) __asm__(\"\" : \"+v\"(x))\n"
    "#elif defined __aarch64__\n"
    "#define CNNC_ROUND(x) __asm__(\"\" : \"+w\"(x))\n"
    "#else\n"
    "#define CNNC_ROUND(x) __asm__(\"\" : \"+m\"(x))\n"
    "#endif\n"
    "#else\n"
    "#define CNNC_UNUSED\n"
    "#define CNNC_TILE\n"
    "#define CNNC_RESTRICT\n"
    "#define CNNC_PREFETCH(array, at)\n"
    "#define CNNC_PREFETCH_FAR(array, at)\n"
    "#define CNNC_PREFETCH_STORE(array, at)\n"
    "#define CNNC_KEEP(offset)\n"
    "#define CNNC_ROUND(x)\n"
    "#endif\n";

/* -std=c11 forbids gcc to make one operation of a * b + c; clang does it anyway within an
 * expression. */
static const char contraction[] =
    "#if defined __GNUC__ && !defined __clang__ && !defined __TINYC__\n"
    "#pragma GCC optimize(\"fp-contract=fast\")\n"
    "#endif\n";

/* gcc's passes that find nothing in loops over vectors, and are a third of its time. For all of the
 * text, since gcc does not make functions of other options inline; plain C loses a few percent. */
static const char passes[] =
    "#if defined __GNUC__ && !defined __clang__ && !defined __TINYC__\n"
    "#pragma GCC optimize(\"no-tree-pre\", \"no-tree-vrp\", \"no-gcse\", \"no-code-hoisting\")\n"
    "#pragma GCC optimize(\"no-tree-slsr\", \"no-tree-tail-merge\", \"no-schedule-insns2\")\n"
    "#pragma GCC optimize(\"no-tree-bit-ccp\", \"no-tree-dominator-opts\", "
    "\"no-tree-slp-vectorize\")\n"
    "#endif\n";

/* gcc's builtins for 64 bytes take masks of a type that differs from one to the next. */
static const char quiet[] = "#if !defined __clang__\n"
                            "#pragma GCC diagnostic push\n"
                            "#pragma GCC diagnostic ignored \"-Wconversion\"\n"
                            "#pragma GCC diagnostic ignored \"-Wsign-conversion\"\n"
                            "#endif\n";
static const char loud[] = "#if !defined __clang__\n"
                           "#pragma GCC diagnostic pop\n"
                           "#endif\n";

static const char vector_types[] =
    "typedef @E @V __attribute__((vector_size(@B), may_alias));\n"
    "typedef @E @Vu __attribute__((vector_size(@B), aligned(@S), may_alias)); /* anywhere */\n"
    "typedef @J @I __attribute__((vector_size(@B)));\n\n";

static const char splat[] = "@F@V splat_@N(@E x) { return x - (@V){0}; }\n\n";

static const char scalar_select[] = "@F@V select_@N(int c, @V x, @V y) { return c ? x : y; }\n\n";
static const char vector_select[] = "@F@V select_@N(@I c, @V x, @V y)\n"
                                    "{\n"
                                    "\treturn (@V)((c & (@I)x) | (~c & (@I)y));\n"
                                    "}\n\n";

/* x > y ? x : y, NaN and zeros included, is what x86's instruction does. */
static const char scalar_max[] = "@F@V max_@N(@V x, @V y) { return x > y ? x : y; }\n\n";
static const char scalar_min[] = "@F@V min_@N(@V x, @V y) { return x < y ? x : y; }\n\n";
static const char vector_max[] = "/* x > y ? x : y, exactly */\n"
                                 "@F@V max_@N(@V x, @V y)\n"
                                 "{\n"
                                 "#if defined __x86_64__ && !defined __clang__\n"
                                 "\treturn @Xmax@Y;\n"
                                 "#else\n"
                                 "\treturn select_@N((@I)(x > y), x, y);\n"
                                 "#endif\n"
                                 "}\n\n";
static const char vector_min[] = "/* x < y ? x : y, exactly */\n"
                                 "@F@V min_@N(@V x, @V y)\n"
                                 "{\n"
                                 "#if defined __x86_64__ && !defined __clang__\n"
                                 "\treturn @Xmin@Y;\n"
                                 "#else\n"
                                 "\treturn select_@N((@I)(x < y), x, y);\n"
                                 "#endif\n"
                                 "}\n\n";

static const char across[] = "@F@E sum_@N(@V x)\n"
                             "{\n"
                             "#if defined CNNC_SHUFFLES\n"
                             "@H"
                             "#else\n"
                             "\treturn @+;\n"
                             "#endif\n"
                             "}\n\n"
                             "@F@E largest_@N(@V x)\n"
                             "{\n"
                             "\treturn @>;\n"
                             "}\n\n";

static const char scalar_bits[] = "@F@I bits_@N(@V x)\n"
                                  "{\n"
                                  "\t@I i;\n"
                                  "\tmemcpy(&i, &x, sizeof i);\n"
                                  "\treturn i;\n"
                                  "}\n\n"
                                  "@F@V real_@N(@I i)\n"
                                  "{\n"
                                  "\t@V x;\n"
                                  "\tmemcpy(&x, &i, sizeof x);\n"
                                  "\treturn x;\n"
                                  "}\n\n";
static const char vector_bits[] = "@F@I bits_@N(@V x) { return (@I)x; }\n"
                                  "@F@V real_@N(@I i) { return (@V)i; }\n\n";

/* e^x = 2^n e^r, n = round(x / ln 2), |r| <= ln 2 / 2, e^r = 1 + r + r^2 p(r). Adding 1.5 * 2^23
 * rounds to a whole number and leaves it in the low bits. 2^n is two factors, so that results below
 * the normal range are rounded once. NaN passes the limits since comparisons with it are false. */
static const char exp_text[] =
    "/* e^x within 1.02 ulp: 2^n e^r, |r| <= ln 2 / 2, e^r by a polynomial */\n"
    "@F@V exp_@N(@V x)\n"
    "{\n"
    "\t@V y = select_@N((@C)(x > @{89.0f}), @{89.0f}, x);\n"
    "\ty = select_@N((@C)(y < @{-104.0f}), @{-104.0f}, y);\n"
    "\tconst @I shifted = bits_@N(y * 1.44269504f + 12582912.0f);\n"
    "\tconst @I n = shifted - 0x4B400000, half = n >> 1;\n"
    "\tconst @V whole = real_@N(shifted) - 12582912.0f;\n"
    "\tconst @V r = (y - whole * 0.693359375f) - whole * -2.12194440e-4f;\n"
    "\t@V p = r * 1.3814467e-3f + 8.368781e-3f;\n"
    "\tp = p * r + 4.1668393e-2f;\n"
    "\tp = p * r + 1.666652e-1f;\n"
    "\tp = p * r + 4.9999994e-1f;\n"
    "\tp = (p * (r * r) + r) + 1.0f;\n"
    "\tp = p * real_@N(((half + 127) & 255) << 23);\n"
    "\treturn p * real_@N(((n - half + 127) & 255) << 23);\n"
    "}\n\n";

/* x = 2^k m, sqrt(1/2) <= m < sqrt(2), f = m - 1, s = f / (2 + f): log m = 2 atanh s
 * = f - f^2/2 + s (f^2/2 + s^2 q(s^2)). Denormals are scaled by 2^23 first. */
static const char log_text[] =
    "/* the natural logarithm within 1 ulp: k ln 2 + 2 atanh(f / (2 + f)) */\n"
    "@F@V log_@N(@V x)\n"
    "{\n"
    "\tconst @C small = (@C)(x < @{1.17549435e-38f});\n"
    "\tconst @I i = bits_@N(select_@N(small, x * 8388608.0f, x)) - 0x3F3504F3;\n"
    "\tconst @V exponent = real_@N((i >> 23) + 0x4B400000) - 12582912.0f;\n"
    "\tconst @V k = exponent - select_@N(small, @{23.0f}, @{0.0f});\n"
    "\tconst @V f = real_@N((i & 0x007FFFFF) + 0x3F3504F3) - 1.0f;\n"
    "\tconst @V s = f / (f + 2.0f), z = s * s, h = 0.5f * f * f;\n"
    "\t@V q = z * 2.3596331e-1f + 2.8536603e-1f;\n"
    "\tq = q * z + 4.0000346e-1f;\n"
    "\tq = q * z + 6.666666e-1f;\n"
    "\tconst @V y = k * 6.9313812e-1f - ((h - (s * (h + z * q) + k * 9.0580006e-6f)) - f);\n"
    "\tconst @V finite = select_@N((@C)(x < @{INFINITY}), y, x);\n"
    "\tconst @V beyond = select_@N((@C)(x == @{0.0f}), @{-INFINITY}, @{NAN});\n"
    "\treturn select_@N((@C)(x > @{0.0f}), finite, beyond);\n"
    "}\n\n";

static const char scalar_abs[] = "@F@V abs_@N(@V x) { return @M(x); }\n\n";
static const char vector_abs[] = "@F@V abs_@N(@V x) { return (@V)((@I)x & @O); }\n\n";

/* Near 0 an odd polynomial, elsewhere 1 - 2 / (e^2|x| + 1) with the sign of x. */
static const char tanh_text[] =
    "/* within 1.5 ulp: an odd polynomial below 0.625, else from exp */\n"
    "@F@V tanh_@N(@V x)\n"
    "{\n"
    "\tconst @V size = abs_@N(x), z = x * x;\n"
    "\t@V p = z * 2.1475398e-3f - 8.182677e-3f;\n"
    "\tp = p * z + 2.170297e-2f;\n"
    "\tp = p * z - 5.3947203e-2f;\n"
    "\tp = p * z + 1.333321e-1f;\n"
    "\tp = p * z - 3.333333e-1f;\n"
    "\tconst @V near = x + x * (z * p);\n"
    "\tconst @V far = 1.0f - 2.0f / (exp_@N(size + size) + 1.0f);\n"
    "\tconst @V signed_far = real_@N(bits_@N(far) | (bits_@N(x) & INT32_MIN));\n"
    "\treturn select_@N((@C)(size < @{0.625f}), near, signed_far);\n"
    "}\n\n";

static const char scalar_sqrt[] = "@F@V sqrt_@N(@V x) { return @Q(x); }\n\n";
static const char vector_sqrt[] = "@F@V sqrt_@N(@V x)\n"
                                  "{\n"
                                  "#if defined __x86_64__ && !defined __clang__\n"
                                  "\treturn @Z;\n"
                                  "#else\n"
                                  "\t@V y = {0};\n"
                                  "\tfor (int i = 0; i < @L; i++) y[i] = @Q(x[i]);\n"
                                  "\treturn y;\n"
                                  "#endif\n"
                                  "}\n\n";

/* x^y = 2^(y log2 x) in double, whose 53 bits leave a float's 24 exact but for the last rounding:
 * log2 by the series of atanh, 2^f by that of exp. Taylor's coefficients do: |s| < 0.172, |f| <=
 * 1/2. */
static const char scalar_pow[] =
    "/* x^y, as C's pow: in double, 2^(y log2 x) */\n"
    "@Fdouble pow_core(double x, double y)\n"
    "{\n"
    "\tint64_t i;\n"
    "\tmemcpy(&i, &x, sizeof i);\n"
    "\ti -= INT64_C(0x3FE6A09E667F3BCD);\n"
    "\tconst int64_t k = i >> 52;\n"
    "\ti = (i & INT64_C(0x000FFFFFFFFFFFFF)) + INT64_C(0x3FE6A09E667F3BCD);\n"
    "\tdouble m;\n"
    "\tmemcpy(&m, &i, sizeof m);\n"
    "\tconst double s = (m - 1.0) / (m + 1.0), z = s * s;\n"
    "\tdouble p = 1.0 / 17.0;\n"
    "\tfor (int odd = 15; odd > 0; odd -= 2) p = p * z + 1.0 / (double)odd;\n"
    "\tconst double e = y * ((double)k + 2.8853900817779268 * s * p);\n"
    "\tif (e >= 128.5) return (double)INFINITY;\n"
    "\tif (e <= -151.0) return 0.0;\n"
    "\tconst int64_t n = (int64_t)(e + (e < 0.0 ? -0.5 : 0.5));\n"
    "\tconst double f = (e - (double)n) * 0.69314718055994531;\n"
    "\tp = 1.0;\n"
    "\tfor (int j = 12; j > 0; j--) p = p * f / (double)j + 1.0;\n"
    "\ti = (n + 1023) << 52;\n"
    "\tmemcpy(&m, &i, sizeof m);\n"
    "\treturn p * m;\n"
    "}\n\n"
    "@F@V pow_@N(@V x, @V y)\n"
    "{\n"
    "\tif (y == 0.0f || x == 1.0f) return 1.0f;\n"
    "\tif (x != x || y != y) return x + y;\n"
    "\tconst float size = fabsf(x), power = fabsf(y);\n"
    "\tconst int whole = power >= 8388608.0f || power == (float)(int32_t)power;\n"
    "\tconst int odd = whole && power < 16777216.0f && ((int32_t)power & 1);\n"
    "\tfloat z;\n"
    "\tif (size == 1.0f)\n"
    "\t\tz = 1.0f;\n"
    "\telse if (size == 0.0f || size > 3.40282347e38f || power > 3.40282347e38f)\n"
    "\t\tz = (size > 1.0f) == (y > 0.0f) ? INFINITY : 0.0f;\n"
    "\telse\n"
    "\t\tz = (float)pow_core((double)size, (double)y);\n"
    "\tif (x < 0.0f && !whole) return size > 3.40282347e38f ? z : NAN;\n"
    "\treturn odd && bits_@N(x) < 0 ? -z : z;\n"
    "}\n\n";
static const char vector_pow[] = "@F@V pow_@N(@V x, @V y)\n"
                                 "{\n"
                                 "\t@V z = {0};\n"
                                 "\tfor (int i = 0; i < @L; i++) z[i] = pow_@n(x[i], y[i]);\n"
                                 "\treturn z;\n"
                                 "}\n\n";

static const char double_calls[] = "@F@V exp_@N(@V x) { return exp(x); }\n"
                                   "@F@V log_@N(@V x) { return log(x); }\n"
                                   "@F@V tanh_@N(@V x) { return tanh(x); }\n\n";
static const char double_pow[] = "@F@V pow_@N(@V x, @V y) { return pow(x, y); }\n\n";
static const char double_lanes[] = "@F@V exp_@N(@V x)\n"
                                   "{\n"
                                   "\tfor (int i = 0; i < @L; i++) x[i] = exp(x[i]);\n"
                                   "\treturn x;\n"
                                   "}\n\n"
                                   "@F@V log_@N(@V x)\n"
                                   "{\n"
                                   "\tfor (int i = 0; i < @L; i++) x[i] = log(x[i]);\n"
                                   "\treturn x;\n"
                                   "}\n\n"
                                   "@F@V tanh_@N(@V x)\n"
                                   "{\n"
                                   "\tfor (int i = 0; i < @L; i++) x[i] = tanh(x[i]);\n"
                                   "\treturn x;\n"
                                   "}\n\n";

/* The same numbers everywhere: integers, until the last step, which is exact. */
static const char hash_text[] =
    "/* Uniform in [0, 1) with 24 bits, of {seed, step}, a key and an element's number: "
    "splitmix64's\n"
    " * finaliser over the four. */\n"
    "@Fuint64_t mix_bits(uint64_t z)\n"
    "{\n"
    "\tz = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);\n"
    "\tz = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);\n"
    "\treturn z ^ (z >> 31);\n"
    "}\n\n"
    "@F@V hash_@N(const uint64_t *seed, uint64_t key, uint64_t element)\n"
    "{\n"
    "\tuint64_t h = mix_bits(seed[0] + UINT64_C(0x9E3779B97F4A7C15));\n"
    "\th = mix_bits(h ^ key);\n"
    "\th = mix_bits(h ^ (seed[1] * UINT64_C(0xD1B54A32D192ED03) + 1));\n"
    "\th = mix_bits(h ^ (element * UINT64_C(0x9E3779B97F4A7C15) + 1));\n"
    "\treturn (@V)(int32_t)(h >> 40) * (@V)5.9604644775390625e-8;\n"
    "}\n\n";

static const char rounded[] = "/* x: nobody knows any more that it was a product */\n"
                              "@F@V rounded_@N(@V x)\n"
                              "{\n"
                              "\tCNNC_ROUND(x);\n"
                              "\treturn x;\n"
                              "}\n\n";

enum { IN_FLOAT = 1, IN_DOUBLE = 2 };

typedef struct {
	unsigned uses;
	int in; /* IN_FLOAT, IN_DOUBLE */
	const char *scalar, *vector;
} Piece;

enum { USE_LIBRARY = USE_EXP | USE_LOG | USE_TANH };

/* In an order in which each stands on those before it. */
static const Piece pieces[] = {
    {USE_SPLAT, IN_FLOAT | IN_DOUBLE, NULL, splat},
    {USE_SELECT, IN_FLOAT | IN_DOUBLE, scalar_select, vector_select},
    {USE_MAX, IN_FLOAT | IN_DOUBLE, scalar_max, vector_max},
    {USE_MIN, IN_FLOAT | IN_DOUBLE, scalar_min, vector_min},
    {USE_ACROSS, IN_FLOAT | IN_DOUBLE, NULL, across},
    {USE_EXP | USE_LOG | USE_TANH | USE_POW, IN_FLOAT, scalar_bits, vector_bits},
    {USE_ABS, IN_FLOAT | IN_DOUBLE, scalar_abs, vector_abs},
    {USE_SQRT, IN_FLOAT | IN_DOUBLE, scalar_sqrt, vector_sqrt},
    {USE_EXP, IN_FLOAT, exp_text, exp_text},
    {USE_LOG, IN_FLOAT, log_text, log_text},
    {USE_TANH, IN_FLOAT, tanh_text, tanh_text},
    {USE_POW, IN_FLOAT, scalar_pow, vector_pow},
    {USE_LIBRARY, IN_DOUBLE, double_calls, double_lanes},
    {USE_POW, IN_DOUBLE, double_pow, vector_pow},
    {USE_HASH, IN_FLOAT | IN_DOUBLE, hash_text, NULL},
    {USE_ROUND, IN_FLOAT | IN_DOUBLE, rounded, rounded},
};

/* What a function stands on. */
static unsigned with_needs(unsigned uses, bool is_double)
{
	if (uses & USE_TANH && !is_double) uses |= USE_EXP | USE_ABS;
	if (uses & (USE_EXP | USE_LOG | USE_TANH | USE_MAX | USE_MIN)) uses |= USE_SELECT | USE_SPLAT;
	if (uses & USE_ACROSS) uses |= USE_MAX | USE_SELECT;
	return uses | USE_SPLAT;
}

/* --- filling in ---------------------------------------------------------------------------- */

typedef struct {
	const Target *target; /* NULL: scalars */
	bool is_double;
	int lanes;
	char suffix[16], scalar[16];
} Filler;

static int width_of(const Filler *f) { return f->lanes * (f->is_double ? 8 : 4); }

/* gcc's builtins: __builtin_ia32_maxps256(x, y), and with 512 bits a mask and a rounding. */
static void print_builtin(const Filler *f, Text *out, char part)
{
	int bytes = width_of(f);
	const char *width = bytes == 16 ? "" : "256", *type = f->is_double ? "pd" : "ps";
	bool wide = bytes == 64;
	if (wide) width = "512_mask";
	if (part == 'X') text_add(out, "__builtin_ia32_");
	if (part == 'Y') text_printf(out, "%s%s(x, y", type, width);
	if (part == 'Z') text_printf(out, "__builtin_ia32_sqrt%s%s(x", type, width);
	if (part != 'X' && wide) text_add(out, ", x, -1, 4"); /* all lanes */
	if (part != 'X') text_add(out, ")");
}

static void print_start(const Filler *f, Text *out)
{
	text_add(out, "static inline CNNC_UNUSED ");
	if (f->target) target_attribute(f->target, out);
}

static void print_placeholder(const Filler *f, Text *out, char what)
{
	const char *integer = f->is_double ? "int64_t" : "int32_t",
	           *real = f->is_double ? "double" : "float";
	switch (what) {
	case 'V': text_add(out, f->target ? f->suffix : real); return;
	case 'E': text_add(out, real); return;
	case 'J': text_add(out, integer); return;
	case 'I':
		if (f->target)
			text_printf(out, "i%s", f->suffix + 1);
		else
			text_add(out, integer);
		return;
	case 'C':
		if (f->target)
			text_printf(out, "i%s", f->suffix + 1);
		else
			text_add(out, "int");
		return;
	case 'N': text_add(out, f->suffix); return;
	case 'n': text_add(out, f->scalar); return;
	case 'L': text_printf(out, "%d", f->lanes); return;
	case 'B': text_printf(out, "%d", width_of(f)); return;
	case 'S': text_add(out, f->is_double ? "8" : "4"); return;
	case 'M': text_add(out, f->is_double ? "fabs" : "fabsf"); return;
	case 'Q': text_add(out, f->is_double ? "sqrt" : "sqrtf"); return;
	case 'O': text_add(out, f->is_double ? "INT64_MAX" : "INT32_MAX"); return;
	case 'F': print_start(f, out); return;
	case 'H': print_halves(out, f->suffix, f->is_double, f->lanes); return;
	case '+':
	case '>': print_across(out, what == '+', f->is_double, f->lanes); return;
	default: print_builtin(f, out, what); return;
	}
}

static void print_filled(const Filler *f, Text *out, const char *text)
{
	for (; *text; text++) {
		if (*text != '@') {
			text_addn(out, text, 1);
			continue;
		}
		text++;
		if (*text != '{') {
			print_placeholder(f, out, *text);
			continue;
		}
		size_t n = strcspn(++text, "}");
		if (f->target) text_printf(out, "splat_%s(", f->suffix);
		text_addn(out, text, n);
		if (f->target) text_add(out, ")");
		text += n;
	}
}

static void print_pieces(const Filler *f, Text *out, unsigned uses)
{
	for (int i = 0; i < COUNT(pieces); i++) {
		const char *text = f->target ? pieces[i].vector : pieces[i].scalar;
		if (!(pieces[i].uses & uses) || !(pieces[i].in & (f->is_double ? IN_DOUBLE : IN_FLOAT)))
			continue;
		if (!text) continue;
		Text filled;
		text_init(&filled, out->arena);
		print_filled(f, &filled, text);
		text_wrapped(out, filled.data);
	}
}

static void print_vectors(Text *out, const Target *t, int lanes, bool is_double, unsigned uses)
{
	Filler f = {.target = t, .is_double = is_double, .lanes = lanes};
	type_suffix(lanes, is_double, f.suffix);
	type_suffix(0, is_double, f.scalar);
	print_filled(&f, out, vector_types);
	if (width_of(&f) == 64) text_add(out, quiet);
	print_pieces(&f, out, uses);
	if (width_of(&f) == 64) text_add(out, loud);
}

/* Whether these fewer lanes than target number t has are another one's text, on the same machines:
 * one's that has just so many or, of those that only wider ones need, the plainest one's. */
static bool printed_by_other(const Target *const *target, int n, int t, int lanes, bool is_double)
{
	for (int other = 0; other < n; other++) {
		int its = target_lanes(target[other], is_double);
		if ((its == lanes || (other > t && its > lanes)) &&
		    !strcmp(target[other]->guard, target[t]->guard))
			return true;
	}
	return false;
}

static void print_target(
    Text *out, const Target *const *target, int n, int number, bool is_double, unsigned uses)
{
	const Target *t = target[number];
	int lanes = target_lanes(t, is_double);
	text_add(out, "\n");
	if (t->guard) text_printf(out, "#if %s\n", t->guard);
	if (t->attribute) {
		bool wide = t->vector_bytes == 64; /* else clang may split these vectors into halves */
		if (wide) text_add(out, "#if defined __clang__\n");
		for (int clang = wide; clang >= 0; clang--) {
			text_add(out, "#define ");
			target_attribute(t, out);
			text_printf(out, "__attribute__((target(\"%s\")%s))\n", t->attribute,
			    clang ? ", min_vector_width(512)" : "");
			if (clang) text_add(out, "#else\n");
		}
		if (wide) text_add(out, "#endif\n");
	}
	if (lanes) print_vectors(out, t, lanes, is_double, uses);
	while (uses & USE_NARROW && (lanes /= 2) >= LEAST_LANES)
		if (!printed_by_other(target, n, number, lanes, is_double))
			print_vectors(out, t, lanes, is_double, uses);
	if (t->guard) text_add(out, "#endif\n");
}

static bool has_vectors(const Target *const *target, int n)
{
	for (int t = 0; t < n; t++)
		if (target[t]->vector_bytes) return true;
	return false;
}

void prelude_print(Text *out, const Target *const *target, int n, bool is_double, unsigned uses)
{
	Filler scalar = {.is_double = is_double};
	uses = with_needs(uses, is_double);
	type_suffix(0, is_double, scalar.suffix);
	type_suffix(0, is_double, scalar.scalar);
	text_add(out, macros);
	text_add(out, contraction);
	if (has_vectors(target, n)) text_add(out, passes);
	text_add(out, "\n");
	print_pieces(&scalar, out, uses);
	for (int t = 0; t < n; t++) print_target(out, target, n, t, is_double, uses);
}

void emit_prelude(Text *out, const Target *const *target, int n, bool is_double)
{
	prelude_print(out, target, n, is_double, USE_ALL);
}

/* --- what nests use ------------------------------------------------------------------------ */

static unsigned uses_of(const Expr *e)
{
	static const unsigned by_function[] = {[FN_EXP] = USE_EXP,
	    [FN_LOG] = USE_LOG,
	    [FN_SQRT] = USE_SQRT,
	    [FN_TANH] = USE_TANH,
	    [FN_ABS] = USE_ABS,
	    [FN_POW] = USE_POW};
	unsigned uses = 0;
	if (e->kind == E_CALL) uses = by_function[e->fn];
	if (e->kind == E_MAX) uses = USE_MAX;
	if (e->kind == E_MIN) uses = USE_MIN;
	if (e->kind == E_SELECT) uses = USE_SELECT;
	if (e->kind == E_HASH) uses = USE_HASH;
	if (e->kind == E_ROUND) uses = USE_ROUND;
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) uses |= uses_of(e->arg[i]);
	return uses;
}

unsigned prelude_uses(const Nest *n)
{
	unsigned uses = 0;
	for (int k = 0; k < n->nacc; k++) {
		uses |= uses_of(n->acc[k].update) | USE_ACROSS;
		if (n->acc[k].combine == COMBINE_MAX) uses |= USE_MAX;
	}
	for (int k = 0; k < n->nstore; k++) uses |= uses_of(n->store[k].value);
	return uses;
}
