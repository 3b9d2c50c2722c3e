/* sets: values of affine forms as sets, for proofs about which points a tree visits.
 *
 * Most sets a schedule makes are one arithmetic progression; two of these are compared by
 * arithmetic. Others are mixed radix numbers, where membership is decided digit by digit from the
 * largest. */
#include "internal.h"

enum { ENUMERATED = 1 << 20 }; /* values tried one by one before giving up */

bool set_of(const Affine *a, const int64_t *count_of_var, Digit *room, Set *out)
{
	*out = (Set){.base = a->c, .count = 1, .digit = room};
	int n = 0;
	for (int i = 0; i < a->n; i++) {
		int64_t k = a->t[i].k, count = count_of_var[a->t[i].var];
		if (count == 1) continue;
		if (k < 0) {
			out->base += k * (count - 1);
			k = -k;
		}
		int at = n++;
		for (; at > 0 && room[at - 1].k > k; at--) room[at] = room[at - 1];
		room[at] = (Digit){k, count};
	}
	out->last = out->base;
	for (int i = 0; i < n; i++) {
		Digit d = room[i];
		if (d.k <= out->last - out->base) return false;
		out->last += d.k * (d.n - 1);
		out->count *= d.n;
		Digit *below = out->n ? &room[out->n - 1] : NULL;
		if (below && d.k == below->k * below->n)
			below->n *= d.n;
		else
			room[out->n++] = d;
	}
	return true;
}

bool set_same(const Set *a, const Set *b)
{
	if (a->base != b->base || a->n != b->n) return false;
	for (int i = 0; i < a->n; i++)
		if (a->digit[i].k != b->digit[i].k || a->digit[i].n != b->digit[i].n) return false;
	return true;
}

/* Each digit's factor exceeds what all below it reach, so the largest possible digit is the only
 * one. */
static bool set_holds(const Set *s, int64_t value)
{
	if (value < s->base || value > s->last) return false;
	value -= s->base;
	for (int i = s->n - 1; i >= 0; i--)
		value -= MIN(value / s->digit[i].k, s->digit[i].n - 1) * s->digit[i].k;
	return value == 0;
}

static int64_t set_value(const Set *s, int64_t number)
{
	int64_t value = s->base;
	for (int i = 0; i < s->n; i++) {
		value += number % s->digit[i].n * s->digit[i].k;
		number /= s->digit[i].n;
	}
	return value;
}

/* x with a*x = 1 mod m, for a and m without common divisor, and their greatest common divisor. */
static int64_t inverse(int64_t a, int64_t m, int64_t *common)
{
	int64_t r0 = m, r1 = a % m, x0 = 0, x1 = 1;
	while (r1) {
		int64_t q = r0 / r1, r = r0 - q * r1, x = x0 - q * x1;
		r0 = r1, r1 = r;
		x0 = x1, x1 = x;
	}
	*common = r0;
	return x0 < 0 ? x0 + m : x0;
}

/* a.base + s*i == b.base + t*j: i is known modulo t/gcd; the first common value from the larger
 * base on must not lie past the end of either. */
static bool progressions_meet(const Set *a, const Set *b)
{
	int64_t s = a->digit[0].k, t = b->digit[0].k, common, unused;
	if (t > INT32_MAX || s > INT32_MAX) return true;
	inverse(s, t, &common);
	if ((b->base - a->base) % common) return false;
	int64_t m = t / common, need = (b->base - a->base) / common % m;
	if (need < 0) need += m;
	int64_t i = m == 1 ? 0 : need * inverse(s / common, m, &unused) % m;
	int64_t value = a->base + s * i, period = s * m;
	if (value < b->base) value += ((b->base - value - 1) / period + 1) * period;
	return value <= MIN(a->last, b->last);
}

bool sets_meet(const Set *a, const Set *b)
{
	if (a->last < b->base || b->last < a->base) return false;
	if (a->n == 1 && b->n == 1) return progressions_meet(a, b);
	const Set *few = a->count < b->count ? a : b, *many = few == a ? b : a;
	if (few->count > ENUMERATED) return true;
	for (int64_t i = 0; i < few->count; i++)
		if (set_holds(many, set_value(few, i))) return true;
	return false;
}

bool space_apart(const Scheduled *s, const Affine *x, const Affine *y)
{
	for (int d = 0; d < s->nest->ndim; d++) {
		Digit room[2][AFFINE_TERMS];
		Set a, b;
		if (s->nest->dim[d].reduce || affine_same(&x[d], &y[d])) continue;
		if (set_of(&x[d], s->count, room[0], &a) && set_of(&y[d], s->count, room[1], &b) &&
		    !sets_meet(&a, &b))
			return true;
	}
	return false;
}
