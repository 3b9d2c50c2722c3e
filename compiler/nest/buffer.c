/* buffer: logical shapes and their layouts.
 *
 * A layout is a list of components, outer to inner, each (i[dim]/div) % mod. Only this file knows
 * how logical indices become addresses; every layout made here is a bijection of the room of its
 * dims onto distinct offsets, which is what lets proofs about accesses speak of logical indices
 * alone. */
#include "internal.h"

static int64_t size_mul(int64_t a, int64_t b, const char *name)
{
	int64_t product;
	if (!mul_fits(a, b, &product)) bug("the size of buffer %s does not fit", name);
	return product;
}

Buffer *buffer_new(Arena *a, const char *name, Type type, int rank, const int64_t *shape)
{
	if (rank < 0 || rank > BUFFER_RANK) bug("buffer %s has rank %d", name, rank);
	Buffer *b = NEW(a, Buffer);
	b->name = name;
	b->type = type;
	b->rank = rank;
	for (int d = 0; d < rank; d++) {
		if (shape[d] < 1) bug("buffer %s has an empty dim %d", name, d);
		b->shape[d] = shape[d];
	}
	buffer_row_major(b);
	return b;
}

/* Dims in order, the last one contiguous, no room beyond the shape. */
void buffer_row_major(Buffer *b)
{
	b->size = 1;
	b->ncomp = b->rank;
	for (int d = b->rank - 1; d >= 0; d--) {
		b->comp[d] = (Component){d, 1, 0, b->shape[d], b->size};
		b->room[d] = b->shape[d];
		b->size = size_mul(b->size, b->shape[d], b->name);
	}
}

/* A positive number; false when there is none or it does not fit. */
static bool read_number(const char **p, int64_t *n)
{
	*n = 0;
	if (**p < '0' || **p > '9') return false;
	for (; **p >= '0' && **p <= '9'; ++*p)
		if (!mul_fits(*n, 10, n) || !add_fits(*n, **p - '0', n)) return false;
	return *n > 0;
}

/* One word: a letter, then /div, then %mod. */
static bool read_component(const char **p, Component *c)
{
	*c = (Component){.dim = **p - 'a', .div = 1};
	++*p;
	if (**p == '/' && (++*p, !read_number(p, &c->div))) return false;
	if (**p == '%' && (++*p, !read_number(p, &c->mod))) return false;
	return !**p || **p == ' ';
}

/* The components of dim d must be digits of one mixed-radix number: divs 1, m0, m0*m1, ..., each
 * but the last with its modulus, the last without. Sets the room. */
static bool covers_dim(Buffer *b, int d)
{
	int64_t div = 1;
	int seen = 0, total = 0;
	bool closed = false;
	for (int i = 0; i < b->ncomp; i++) total += b->comp[i].dim == d;
	if (b->folded >> d & 1) {
		b->room[d] = b->shape[d];
		return total == 0;
	}
	while (!closed) {
		int at = 0;
		while (at < b->ncomp && (b->comp[at].dim != d || b->comp[at].div != div)) at++;
		if (at == b->ncomp) return false;
		Component *c = &b->comp[at];
		seen++;
		if (c->mod == 1 || seen > total) return false;
		c->extent = c->mod ? c->mod : (b->shape[d] - 1) / c->div + 1;
		closed = !c->mod;
		if (closed) return seen == total && mul_fits(c->extent, c->div, &b->room[d]);
		if (!mul_fits(div, c->mod, &div)) return false;
	}
	return false;
}

/* Works on a copy: a text that is refused leaves the buffer as it was. */
bool buffer_layout(Buffer *b, const char *layout, int64_t skew)
{
	Buffer made = *b;
	made.ncomp = 0;
	for (const char *p = layout; *p;) {
		if (*p == ' ') {
			p++;
			continue;
		}
		if (made.ncomp == COMPONENTS || !read_component(&p, &made.comp[made.ncomp])) return false;
		int dim = made.comp[made.ncomp++].dim;
		if (dim < 0 || dim >= b->rank) return false;
	}
	for (int d = 0; d < b->rank; d++)
		if (!covers_dim(&made, d)) return false;
	int64_t stride = 1;
	for (int i = made.ncomp - 1; i >= 0; i--) {
		Component *c = &made.comp[i];
		if (c->div > 1 && !c->mod && !add_fits(stride, skew, &stride)) return false;
		c->stride = stride;
		if (!mul_fits(stride, c->extent, &stride)) return false;
	}
	made.size = stride;
	*b = made;
	return true;
}

void buffer_layout_text(const Buffer *b, Text *out)
{
	for (int i = 0; i < b->ncomp; i++) {
		const Component *c = &b->comp[i];
		text_printf(out, "%s%c", i ? " " : "", 'a' + c->dim);
		if (c->div > 1) text_printf(out, "/%lld", (long long)c->div);
		if (c->mod) text_printf(out, "%%%lld", (long long)c->mod);
	}
}

/* The digit of a component is floor(i/div) - mod*floor(i/div/mod), affine where both quotients are.
 */
bool buffer_address(const Buffer *b, const Affine *at, const int64_t *count_of_var, Affine *address)
{
	Affine sum = {0};
	for (int i = 0; i < b->ncomp; i++) {
		const Component *c = &b->comp[i];
		Affine digit, above;
		if (!affine_div(&at[c->dim], c->div, count_of_var, &digit)) return false;
		if (c->mod) {
			if (!affine_div(&digit, c->mod, count_of_var, &above)) return false;
			if (!affine_accumulate(&digit, &above, -c->mod)) return false;
		}
		if (!affine_accumulate(&sum, &digit, c->stride)) return false;
	}
	*address = sum;
	return true;
}

int64_t buffer_stride(const Buffer *b, int d)
{
	for (int i = 0; i < b->ncomp; i++)
		if (b->comp[i].dim == d && b->comp[i].div == 1 && b->comp[i].mod == 0)
			return b->comp[i].stride;
	return 0;
}

/* The same by numbers; indices below 0 are rounded down as above. */
int64_t buffer_offset(const Buffer *b, const int64_t *at)
{
	int64_t sum = 0;
	for (int i = 0; i < b->ncomp; i++) {
		const Component *c = &b->comp[i];
		int64_t digit = floor_div(at[c->dim], c->div);
		if (c->mod) digit -= c->mod * floor_div(digit, c->mod);
		sum += digit * c->stride;
	}
	return sum;
}

bool seed_keyed(const Buffer *b) { return b->type == TYPE_SEED && b->shape[0] == 3; }
