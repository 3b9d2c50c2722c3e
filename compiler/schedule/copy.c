/* copy: the lines of maps between one layout and another.
 *
 * Block by block and row by row, so that lines of both sides stay in the first-level cache until
 * all of them is used. A vector is what is written side by side along a dim, made of numbers from
 * all over where these are not read so: storing one number at a time takes three times as long.
 * Where nothing is written so, a vector is what is read side by side, and its numbers go all over:
 * out of a layout in blocks that takes 0.7 of the time of one number at a time. */
#include "internal.h"

/* The innermost dim that lies in no block. */
static int run_dim(const Choice *c)
{
	for (int d = c->nest->ndim - 1; d >= 0; d--)
		if (is_space(c, d) && blocked(c, d) == 1) return d;
	return -1;
}

/* A map that something is laid out in blocks for. */
static bool is_copy(const Choice *c)
{
	const Nest *n = c->nest;
	bool blocks = false;
	if (n->nacc || n->nguard) return false;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce) return false;
		blocks |= is_space(c, d) && blocked(c, d) > 1;
	}
	return blocks;
}

static void block_lines(Choice *c, int but)
{
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && d != but) row_line(c, LINE_FOR, d, blocked(c, d));
}

static void inner_lines(Choice *c, int but)
{
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && d != but && blocked(c, d) > 1) row_line(c, LINE_FOR, d, 1);
}

bool copy_row(Choice *c)
{
	int run = run_dim(c);
	if (!is_copy(c)) return false;
	block_lines(c, run);
	inner_lines(c, run);
	if (run >= 0) row_line(c, LINE_FOR, run, 1);
	return true;
}

/* Whole vectors of dim d lie side by side in x. */
static bool has_vectors(const Choice *c, const Access *x, int d)
{
	int at = access_position(x, d);
	return at >= 0 && is_space(c, d) && c->nest->dim[d].extent % c->lanes == 0 &&
	       buffer_run(x->buffer, at) >= c->lanes;
}

/* The innermost such dim; -1: none. */
static int vector_dim(const Choice *c, const Access *x)
{
	int d = c->nest->ndim - 1;
	while (d >= 0 && !has_vectors(c, x, d)) d--;
	return d;
}

/* Block by block, but for what is outside of all blocks: so that what lines of both sides hold is
 * used before they go. */
static void block_by_block(Choice *c, int64_t block)
{
	int ndim = c->nest->ndim, first = 0;
	for (; first < ndim && first != c->lane && blocked(c, first) == 1; first++)
		if (is_space(c, first)) row_line(c, LINE_FOR, first, 1);
	for (int d = first; d < ndim; d++)
		if (is_space(c, d) && (d == c->lane || blocked(c, d) > 1))
			row_line(c, LINE_FOR, d, d == c->lane ? block : blocked(c, d));
	for (int d = first; d < ndim; d++)
		if (is_space(c, d) && d != c->lane) row_line(c, LINE_FOR, d, 1);
}

/* In the order in which what is read lies, as a stream: whole lines are written anyway. Kernels of
 * 3x3 took twice as long block by block with 16-byte vectors, and 0.95 with 64-byte ones. */
static void as_it_lies(Choice *c, int64_t block)
{
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d)) row_line(c, LINE_FOR, d, d == c->lane ? block : 1);
}

/* A load, or a sum of some. */
static bool adds_loads(const Expr *e)
{
	return e->kind == E_LOAD ||
	       (e->kind == E_ADD && adds_loads(e->arg[0]) && adds_loads(e->arg[1]));
}

static bool reads_one_buffer(const Nest *n)
{
	for (int k = 1; k < n->nload; k++)
		if (n->load[k].buffer != n->load[0].buffer) return false;
	return n->nload > 0;
}

bool copy_vectors(Choice *c)
{
	const Nest *n = c->nest;
	if (!is_copy(c) || n->nstore != 1 || !reads_one_buffer(n) || !adds_loads(n->store[0].value))
		return false;
	c->lane = vector_dim(c, &n->store[0].to);
	if (c->lane < 0) c->lane = vector_dim(c, &n->load[0]);
	if (c->lane < 0) return false;
	const Access *from = &n->load[0];
	int64_t block = MAX(blocked(c, c->lane), c->lanes);
	if (from->buffer->ncomp > from->buffer->rank || has_vectors(c, from, c->lane))
		block_by_block(c, block);
	else
		as_it_lies(c, block);
	if (block > c->lanes) row_line(c, LINE_REG, c->lane, c->lanes);
	row_line(c, LINE_VEC, c->lane, c->lanes);
	return true;
}
