/* safetensors, values: numbers of every type as float or double. */
#include "safetensors.h"

#include <math.h>

/* IEEE 754 binary16: 1 sign, 5 exponent, 10 fraction bits. Every value is a float. */
static float half_to_float(uint32_t h)
{
	uint32_t sign = (h & 0x8000u) << 16, exponent = h >> 10 & 31u, fraction = h & 0x3ffu;
	if (exponent == 31) return format_float(sign | 0x7f800000u | fraction << 13);
	if (exponent) return format_float(sign | (exponent + 112u) << 23 | fraction << 13);
	float small = (float)fraction * 0x1p-24f; /* subnormal: fraction * 2^-24, exact */
	return sign ? -small : small;
}

static int64_t signed_from(uint64_t bits, int bytes)
{
	int unused = 64 - 8 * bytes;
	uint64_t sign = (uint64_t)1 << (8 * bytes - 1);
	/* two's complement without relying on a shift of negative numbers */
	if (!(bits & sign)) return (int64_t)bits;
	uint64_t magnitude = (~bits + 1) & (UINT64_MAX >> unused);
	return magnitude > INT64_MAX ? INT64_MIN : -(int64_t)magnitude;
}

/* Integers up to 2^53 are doubles; beyond, a number that is not exact is refused. */
static bool integer_to_double(bool is_signed, uint64_t bits, int bytes, double *x)
{
	const double two63 = 9223372036854775808.0;
	if (is_signed) {
		int64_t v = signed_from(bits, bytes);
		*x = (double)v;
		return *x < two63 && (int64_t)*x == v;
	}
	*x = (double)bits;
	return *x < 2 * two63 && (uint64_t)*x == bits;
}

static bool number_at(const SafetensorsTensor *t, size_t i, double *x)
{
	int bytes = safetensors_type_bytes(t->type);
	uint64_t bits = format_get(t->data + i * (size_t)bytes, bytes);
	switch (t->type) {
	case SAFETENSORS_F64: *x = format_double(bits); return true;
	case SAFETENSORS_F32: *x = (double)format_float((uint32_t)bits); return true;
	case SAFETENSORS_F16: *x = (double)half_to_float((uint32_t)bits); return true;
	case SAFETENSORS_BF16: *x = (double)format_float((uint32_t)bits << 16); return true;
	case SAFETENSORS_I8:
	case SAFETENSORS_I16:
	case SAFETENSORS_I32:
	case SAFETENSORS_I64: return integer_to_double(true, bits, bytes, x);
	default: return integer_to_double(false, bits, bytes, x);
	}
}

static bool refuse(const SafetensorsTensor *t, size_t i, const char *type, FormatError *e)
{
	return format_fail(e, "tensor '%.200s': element %zu of type %s does not fit a %s", t->name, i,
	    safetensors_type_name(t->type), type);
}

bool safetensors_doubles(const SafetensorsTensor *t, double *out, FormatError *e)
{
	for (size_t i = 0; i < t->count; i++)
		if (!number_at(t, i, &out[i])) return refuse(t, i, "double", e);
	return true;
}

bool safetensors_floats(const SafetensorsTensor *t, float *out, FormatError *e)
{
	if (t->type == SAFETENSORS_F32) { /* bit for bit: a signalling NaN stays one */
		for (size_t i = 0; i < t->count; i++) {
			uint32_t bits = (uint32_t)format_get(t->data + 4 * i, 4);
			memcpy(&out[i], &bits, sizeof bits);
		}
		return true;
	}
	bool whole =
	    t->type != SAFETENSORS_F64 && t->type != SAFETENSORS_F16 && t->type != SAFETENSORS_BF16;
	for (size_t i = 0; i < t->count; i++) {
		double x;
		if (!number_at(t, i, &x)) return refuse(t, i, "float", e);
		/* the cast of a finite double beyond float is undefined where infinities are not IEEE's */
		if (isfinite(x) && fabs(x) >= 0x1.ffffffp127) return refuse(t, i, "float", e);
		out[i] = (float)x;
		if (whole && (double)out[i] != x) return refuse(t, i, "float", e);
	}
	return true;
}
