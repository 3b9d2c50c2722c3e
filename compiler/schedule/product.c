/* product: loops over products of a matrix of weights, which lies row by row as the user has it,
 * and images.
 *
 * A block of lanes by itself would take one line from each row: rows are pages apart, often on the
 * same few sets of the caches, and nobody sees a stream in it. So some rows are gone through at a
 * time, along all of a task's columns:
 *
 *   par ic 2304 | oc 8 | ic 128 | tile n 6 | ic 16 | ...
 *   task          rows    strip   images share it while it is in the first-level cache
 *
 * What is summed waits in the result meanwhile. */
#include "internal.h"

/* A task's columns: half of them, if its rows are not a part, or as many as lie well in memory. */
static int64_t task_columns(int64_t extent, bool parts)
{
	enum { TASKS = 4, LEAST = 256, MOST = 2048 };
	int64_t columns = MAX(MIN(parts ? extent : (extent + 1) / 2, MOST), LEAST);
	columns = MAX(columns, (extent - 1) / TASKS + 1);
	return (columns - 1) / PRODUCT_STRIP * PRODUCT_STRIP + PRODUCT_STRIP;
}

bool product_loops(Choice *c, int64_t lane_block, const Share *share, int nshare)
{
	enum { LEAST_BYTES = 300 * 1024 };
	const Nest *n = c->nest;
	MatrixProduct m;
	if (!matrix_product(n, &m) || m.x != n->nload || m.columns != 1 || c->lane != m.column[0])
		return false;
	if (n->inplace || nest_load_of(n, n->store[0].to.buffer) >= 0) return false;
	if (n->dim[m.row].extent <= PRODUCT_ROWS || 4 * n->load[m.w].buffer->size < LEAST_BYTES)
		return false;
	if (m.part >= 0) outer_loop(c, m.part, false);
	row_line(c, LINE_FOR, c->lane, task_columns(lane_extent(c), m.part >= 0));
	row_line(c, LINE_FOR, m.row, PRODUCT_ROWS);
	if (m.images > 1) row_line(c, LINE_FOR, c->lane, PRODUCT_STRIP);
	for (int d = 0; d < n->ndim; d++)
		if (is_space(c, d) && d != c->lane && d != m.part)
			outer_loop(c, d, is_shared(d, share, nshare));
	for (int k = nshare - 1; k >= 0; k--)
		if (!share[k].whole) row_line(c, LINE_TILE, share[k].dim, share[k].by);
	row_line(c, LINE_FOR, c->lane, lane_block);
	return true;
}

/* A gradient that moves its matrix at once. Of that, each row of a tile is a stream in and out, so
 * these are few where it does not fit a cache; and images wait for all rows of a task in the
 * first-level cache:
 *
 *   par oc 16 | ic 256 | tile oc 2 | ic 32 | reg oc 1 | reg ic 8 | vec ic 8 | n 1 */
bool moved_row(Choice *c)
{
	enum { ROWS = 16, STRIP = 256, SHARE = 2, VECTORS = 4 };
	const Nest *n = c->nest;
	MatrixProduct m;
	if (!n->inplace || !matrix_product(n, &m) || m.w != n->nload || m.images == 1 ||
	    m.columns != 1 || c->lane != m.column[0] ||
	    n->store[0].to.buffer->size < LEAST_STREAM / (int)sizeof(float))
		return false;
	int64_t columns = n->dim[c->lane].extent, width = (int64_t)VECTORS * c->lanes;
	if (columns % width) width = c->lanes;
	row_line(c, LINE_FOR, m.row, ROWS);
	if (columns > STRIP) row_line(c, LINE_FOR, c->lane, STRIP);
	row_line(c, LINE_TILE, m.row, SHARE);
	row_line(c, LINE_FOR, c->lane, width);
	row_line(c, LINE_REG, m.row, 1);
	if (width > c->lanes) row_line(c, LINE_REG, c->lane, c->lanes);
	row_line(c, LINE_VEC, c->lane, c->lanes);
	row_line(c, LINE_FOR, m.image, 1);
	return true;
}

/* Some images, and rows that share them: as many as are read at once like streams. */
int product_shares(const Choice *c, const MatrixProduct *m, int64_t room, Share *share)
{
	enum { IMAGES = 4 };
	int count = 0;
	if (m->images > 1) share[count++] = share_of(c, m->image, IMAGES);
	if (count) room /= share[0].by;
	int64_t rows = MIN(room, PRODUCT_ROWS);
	if (rows < PRODUCT_ROWS) rows = MIN(rows, PRODUCT_ROWS / 2);
	share[count++] = share_of(c, m->row, rows);
	return count;
}
