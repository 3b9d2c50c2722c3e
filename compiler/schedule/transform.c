/* transform: schedules of small constant matrices times vectors, as Winograd's method has them: a
 * sum whose factors are a table's entries, with a summed dim among its indices. */
#include "internal.h"

typedef struct {
	const Choice *c;
	int dim;
	bool found;
} TableLook;

static bool look_table(void *self, const Expr *e)
{
	TableLook *l = self;
	if (e->kind == E_TABLE)
		for (int i = 0; i < 2; i++) l->found |= affine_k(&e->index[i], l->dim) != 0;
	return true;
}

bool is_tabled(const Choice *c, int d)
{
	TableLook l = {c, d, false};
	for (int k = 0; k < c->nest->nacc; k++) expr_visit(c->nest->acc[k].update, look_table, &l);
	return l.found;
}

bool is_transform(const Choice *c)
{
	bool summed = false;
	for (int d = 0; d < c->nest->ndim && c->nest->nacc == 1; d++) {
		bool tabled = is_tabled(c, d);
		if (is_space(c, d) && is_masked(c, d) && !tabled) return false; /* no register decides it */
		summed |= is_reduced(c, d) && tabled;
	}
	return summed;
}

/* A row for a small constant matrix times a row of vectors: all that it makes in registers, each
 * term in straight text. The first and the last tile of an image, which reach beyond it, are no
 * pieces of their own: guards at a few terms cost no time, but pieces much text. */
void transform_row(Choice *c, int64_t lane_block, int64_t room)
{
	const Nest *n = c->nest;
	fill_lanes(c);
	row_line(c, LINE_FOR, c->lane, lane_block);
	for (int d = 0; d < n->ndim; d++) {
		if (!is_space(c, d) || d == c->lane) continue;
		if (!is_tabled(c, d))
			row_line(c, LINE_FOR, d, 1);
		else if ((room /= n->dim[d].extent) < 1)
			c->full = true;
	}
	for (int d = 0; d < n->ndim; d++)
		if (is_space(c, d) && is_tabled(c, d)) row_line(c, LINE_REG, d, 1);
	if (lane_block > c->lanes) row_line(c, LINE_REG, c->lane, c->lanes);
	row_line(c, LINE_VEC, c->lane, c->lanes);
	for (int d = 0; d < n->ndim; d++)
		if (is_reduced(c, d)) row_line(c, LINE_UNROLL, d, 1);
}
