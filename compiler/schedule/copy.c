/* copy: the lines of maps between one layout and another.
 *
 * Block by block and row by row, so that lines of both sides stay in the first-level cache until
 * all of them is used. Where what is written lies side by side along a dim and what is read does
 * not, a vector is made of numbers from all over, and written at once: storing one number at a time
 * takes three times as long. */
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

/* Whole vectors of dim d lie side by side where it is stored. */
static bool stores_vectors(const Choice *c, int d)
{
	const Access *to = &c->nest->store[0].to;
	int at = access_position(to, d);
	return at >= 0 && is_space(c, d) && c->nest->dim[d].extent % c->lanes == 0 &&
	       buffer_run(to->buffer, at) >= c->lanes;
}

/* Out of a layout in blocks: so that what a line of it holds is used before it goes. */
static void gather_from_blocks(Choice *c, int64_t block)
{
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && (d == c->lane || blocked(c, d) > 1))
			row_line(c, LINE_FOR, d, d == c->lane ? block : blocked(c, d));
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && d != c->lane) row_line(c, LINE_FOR, d, 1);
}

/* In the order in which it lies, as a stream: whole lines are written anyway. */
static void gather_in_order(Choice *c, int64_t block)
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

bool gather_row(Choice *c)
{
	const Nest *n = c->nest;
	int lane = n->ndim - 1;
	if (!is_copy(c) || n->nstore != 1 || !reads_one_buffer(n) || !adds_loads(n->store[0].value))
		return false;
	while (lane >= 0 && !stores_vectors(c, lane)) lane--;
	if (lane < 0) return false;
	c->lane = lane;
	int64_t block = MAX(blocked(c, lane), c->lanes);
	const Buffer *from = n->load[0].buffer;
	if (from->ncomp > from->rank)
		gather_from_blocks(c, block);
	else
		gather_in_order(c, block);
	if (block > c->lanes) row_line(c, LINE_REG, lane, c->lanes);
	row_line(c, LINE_VEC, lane, c->lanes);
	return true;
}
