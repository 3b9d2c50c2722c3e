/* affine: integer linear forms c + sum k*var over few variables.
 *
 * Terms are sorted by variable and have no zero factor, so equal forms are equal term by term. All
 * functions are pure. Whoever cannot be sure that a sum keeps within AFFINE_TERMS (schedules, which
 * add loop variables) uses affine_accumulate(); for the others too many terms are a fault of cnnc.
 */
#include "internal.h"

/* Interpreters live on this: by one is no division, and of short numbers is a short one. */
int64_t floor_div(int64_t a, int64_t b)
{
	if (b == 1) return a;
	if ((a | b) >> 31 == 0) return (uint32_t)a / (uint32_t)b;
	int64_t q = a / b;
	return a % b < 0 ? q - 1 : q;
}

Affine affine_number(int64_t c)
{
	Affine a = {.c = c};
	return a;
}

Affine affine_var(int var)
{
	Affine a = {.n = 1};
	a.t[0] = (Term){var, 1};
	return a;
}

/* In place, where there is room for one more term. */
static void add_term(Affine *to, int var, int64_t k)
{
	int i = to->n;
	while (i > 0 && to->t[i - 1].var > var) i--;
	if (i > 0 && to->t[i - 1].var == var) {
		to->t[i - 1].k += k;
		if (to->t[i - 1].k) return;
		for (to->n--; i <= to->n; i++) to->t[i - 1] = to->t[i];
		return;
	}
	for (int j = to->n++; j > i; j--) to->t[j] = to->t[j - 1];
	to->t[i] = (Term){var, k};
}

/* A merge of two sorted lists; terms that cancel drop out. */
static bool merge_terms(Affine *to, const Affine *from, int64_t k)
{
	Affine sum = {.c = to->c + k * from->c};
	int i = 0, j = 0;
	while (i < to->n || j < from->n) {
		Term t;
		if (j == from->n || (i < to->n && to->t[i].var < from->t[j].var)) {
			t = to->t[i++];
		} else if (i == to->n || from->t[j].var < to->t[i].var) {
			t = (Term){from->t[j].var, k * from->t[j].k};
			j++;
		} else {
			t = (Term){to->t[i].var, to->t[i].k + k * from->t[j].k};
			i++, j++;
		}
		if (!t.k) continue;
		if (sum.n == AFFINE_TERMS) return false;
		sum.t[sum.n++] = t;
	}
	*to = sum;
	return true;
}

bool affine_accumulate(Affine *to, const Affine *from, int64_t k)
{
	if (!k) return true;
	if (to->n + from->n > AFFINE_TERMS) return merge_terms(to, from, k);
	to->c += k * from->c;
	for (int i = 0; i < from->n; i++) add_term(to, from->t[i].var, k * from->t[i].k);
	return true;
}

/* For callers whose forms are small by construction. */
static Affine sum_of(Affine a, const Affine *b, int64_t k)
{
	if (!affine_accumulate(&a, b, k)) bug("an affine form with more than %d terms", AFFINE_TERMS);
	return a;
}

Affine affine_add(Affine a, Affine b) { return sum_of(a, &b, 1); }
Affine affine_sub(Affine a, Affine b) { return sum_of(a, &b, -1); }

Affine affine_scale(Affine a, int64_t k)
{
	if (!k) return affine_number(0);
	a.c *= k;
	for (int i = 0; i < a.n; i++) a.t[i].k *= k;
	return a;
}

Affine affine_plus(Affine a, int64_t c)
{
	a.c += c;
	return a;
}

int64_t affine_k(const Affine *a, int var)
{
	for (int i = 0; i < a->n; i++)
		if (a->t[i].var == var) return a->t[i].k;
	return 0;
}

bool affine_same_terms(const Affine *a, const Affine *b)
{
	if (a->n != b->n) return false;
	for (int i = 0; i < a->n; i++)
		if (a->t[i].var != b->t[i].var || a->t[i].k != b->t[i].k) return false;
	return true;
}

bool affine_same(const Affine *a, const Affine *b)
{
	return a->c == b->c && affine_same_terms(a, b);
}

bool affine_try_subst(const Affine *a, const Affine *of_var, Affine *out)
{
	Affine sum; /* terms past n are nobody's */
	sum.c = a->c;
	sum.n = 0;
	for (int i = 0; i < a->n; i++)
		if (!affine_accumulate(&sum, &of_var[a->t[i].var], a->t[i].k)) return false;
	*out = sum;
	return true;
}

Affine affine_subst(const Affine *a, const Affine *of_var)
{
	Affine out;
	if (!affine_try_subst(a, of_var, &out))
		bug("an affine form with more than %d terms", AFFINE_TERMS);
	return out;
}

/* The var becomes a number; its term moves into the constant. */
Affine affine_fix(const Affine *a, int var, int64_t value)
{
	Affine out = *a;
	for (int i = 0; i < a->n; i++) {
		if (a->t[i].var != var) continue;
		out.c += a->t[i].k * value;
		for (out.n--; i < out.n; i++) out.t[i] = out.t[i + 1];
	}
	return out;
}

int64_t affine_eval(const Affine *a, const int64_t *value_of_var)
{
	int64_t sum = a->c;
	for (int i = 0; i < a->n; i++) sum += a->t[i].k * value_of_var[a->t[i].var];
	return sum;
}

/* Exact: every var moves by itself, so both ends are reached. */
void affine_range(const Affine *a, const int64_t *count_of_var, int64_t *lo, int64_t *hi)
{
	*lo = *hi = a->c;
	for (int i = 0; i < a->n; i++) {
		int64_t reach = a->t[i].k * (count_of_var[a->t[i].var] - 1);
		*(reach > 0 ? hi : lo) += reach;
	}
}

/* a = q*d + r with all terms of d divisible; floor(a/q) = d + floor(r/q), which is affine when
 * floor(r/q) is one number over r's whole range. */
bool affine_div(const Affine *a, int64_t q, const int64_t *count_of_var, Affine *quotient)
{
	if (q == 1) {
		*quotient = *a;
		return true;
	}
	Affine exact = {0}, rest = {.c = a->c};
	for (int i = 0; i < a->n; i++) {
		Term t = a->t[i];
		if (t.k % q)
			rest.t[rest.n++] = t;
		else
			exact.t[exact.n++] = (Term){t.var, t.k / q};
	}
	int64_t lo, hi;
	affine_range(&rest, count_of_var, &lo, &hi);
	exact.c = floor_div(lo, q);
	if (exact.c != floor_div(hi, q)) return false;
	*quotient = exact;
	return true;
}

/* 2*oh+kh-1: as C would have it, without spaces. */
void affine_print(const Affine *a, const char *const *name_of_var, Text *out)
{
	for (int i = 0; i < a->n; i++) {
		int64_t k = a->t[i].k;
		const char *name = name_of_var[a->t[i].var];
		if (i && k > 0) text_add(out, "+");
		if (k == -1)
			text_printf(out, "-%s", name);
		else if (k == 1)
			text_add(out, name);
		else
			text_printf(out, "%lld*%s", (long long)k, name);
	}
	if (!a->n)
		text_printf(out, "%lld", (long long)a->c);
	else if (a->c)
		text_printf(out, "%+lld", (long long)a->c);
}

Index index_of(Affine a) { return index_div(a, 1); }

Index index_div(Affine a, int64_t q)
{
	if (q < 1) bug("an index divided by %lld", (long long)q);
	return (Index){a, q};
}
