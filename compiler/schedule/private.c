/* private: parts of a sum in accumulators of their own, where a tile's vectors share no others.
 *
 * Each addition, or multiply-add, waits for the one before it in the same accumulator: of one image
 * two vectors of a dense layer's outputs are two such chains, where some processors have eight
 * multiply-adds on their way.
 *
 *   par oc 16 | reg ih 1 | reg oc 8 | vec oc 8 | iw 1 | ic 4 | unroll ic 1
 *   task        parts     their vectors          what each part sums
 *
 * What the parts have is added up before it is stored. How many there are follows from the form
 * alone.
 *
 * checked by: verify; test_registers, test_ops. */
#include "internal.h"

static const Private none = {-1, 0};

/* Sums over many points of one channel. Each accumulator has a quarter of the outermost dim that is
 * long enough, and so a stream of its own: with quarters of a row, processors would see none in
 * what jumps to and fro. */
static Private private_sums(const Choice *c)
{
	enum { PARTS = 4 };
	const Nest *n = c->nest;
	for (int d = 0; d < n->ndim; d++) {
		int64_t extent = n->dim[d].extent;
		if (is_reduced(c, d) && extent >= 2 * PARTS && blocked(c, d) == 1)
			return (Private){d, (extent - 1) / PARTS + 1};
	}
	return none;
}

/* As many parts, from the outermost dim that divides evenly, as make a tile busy: 400 inputs and
 * 120 outputs take 2.1 microseconds with AVX2, and 3.7 without. Of what is larger than a
 * second-level cache a chain takes as much as comes. */
static Private private_products(const Choice *c, int64_t vectors)
{
	enum { NEAR_BYTES = 1 << 19 };
	const Nest *n = c->nest;
	for (int k = 0; k < n->nload; k++)
		if (4 * n->load[k].buffer->size > NEAR_BYTES) return none;
	for (int d = 0; d < n->ndim; d++) {
		int64_t extent = n->dim[d].extent, block = blocked(c, d), parts = 1;
		if (!is_reduced(c, d) || is_tabled(c, d) || extent % block) continue;
		for (int64_t p = 2; p * vectors <= register_room(c) && parts * vectors < BUSY_TILE; p++)
			if (extent / block % p == 0) parts = p;
		if (parts > 1) return (Private){d, extent / parts};
	}
	return none;
}

Private private_accumulators(const Choice *c, int64_t vectors)
{
	const Nest *n = c->nest;
	if (!n->nacc || n->ordered || n->nguard) return none;
	for (int k = 0; k < n->nacc; k++)
		if (n->acc[k].combine != COMBINE_SUM || n->acc[k].init != 0) return none;
	return c->contraction.is ? private_products(c, vectors) : private_sums(c);
}

int64_t private_parts(const Choice *c, Private own)
{
	return own.dim < 0 ? 1 : (c->nest->dim[own.dim].extent - 1) / own.by + 1;
}
