/* sums: a long sum of few results is made in parts, so that threads share it.
 *
 *   y[c] = f(sum n h w: x[n][c][h][w])   becomes   sum[p][c] = sum n' h w: x[n' + p*by][c][h][w]
 *                                                  y[c] = f(sum p: sum[p][c])
 *
 * Statistics of a batch norm and its gradients have a result for each channel, which are few where
 * images are large: one task or two. How many parts there are follows from the form alone, so that
 * results are the same on any number of threads.
 *
 * needs: fused maps, since what becomes of a sum goes with the second nest.
 * checked by: verify_part; test_ops has sums that are long enough. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Nest *nest;
	int dim;           /* one that is summed */
	int64_t parts, by; /* of its values */
} Sum;

static bool is_plain_sum(const Nest *n)
{
	if (!n->nacc || n->nacc > NEST_STORES || n->nguard || n->ordered || n->inplace || n->join)
		return false;
	for (int k = 0; k < n->nacc; k++)
		if (n->acc[k].combine != COMBINE_SUM || n->acc[k].init != 0) return false;
	return !contraction_of(n).is;
}

enum { FEW_PARTS = 8, MANY_PARTS = 64, LEAST_PART = 1024 };

/* The outermost dim that has some values, or the longest; and how many parts divide it evenly: no
 * fewer than wanted, if they have enough points. Of a prime number of values there may be none. */
static void choose_parts(Sum *s, int64_t want, int64_t points)
{
	const Nest *n = s->nest;
	s->dim = -1;
	for (int d = 0; d < n->ndim; d++) {
		int64_t most = s->dim < 0 ? 1 : n->dim[s->dim].extent;
		bool enough = most >= MIN(want, FEW_PARTS);
		if (n->dim[d].reduce && !enough && n->dim[d].extent > most) s->dim = d;
	}
	if (s->dim < 0) return;
	int64_t extent = n->dim[s->dim].extent;
	s->parts = MIN(want, extent);
	while (extent % s->parts) s->parts++;
	if (points / s->parts < LEAST_PART)
		for (s->parts = MIN(want, extent); extent % s->parts;) s->parts--;
	s->by = extent / s->parts;
	if (s->parts == 1) s->dim = -1;
}

/* If there are few tasks, enough parts to make many: short sums are more exact as well. */
static bool find_parts(Sum *s)
{
	enum { VALUES = 2 * CHANNEL_BLOCK, LEAST = 8192 };
	const Nest *n = s->nest;
	int64_t results = 1, points = 1;
	for (int d = 0; d < n->ndim; d++) {
		if (!mul_fits(points, n->dim[d].extent, &points)) return false;
		if (!n->dim[d].reduce) results *= n->dim[d].extent;
	}
	int64_t tasks = (results - 1) / VALUES + 1;
	int64_t want = MIN((MANY_PARTS - 1) / tasks + 1, points / LEAST);
	if (tasks >= FEW_PARTS || want < 2) return false;
	choose_parts(s, want, points);
	return s->dim >= 0;
}

/* The dims of s that have results, in `to`; `at` are these alone. Returns their number. */
static int result_dims(const Sum *s, Nest *to, Affine *of, Affine *at)
{
	int rank = 0;
	for (int d = 0; d < s->nest->ndim; d++) {
		const Dim *dim = &s->nest->dim[d];
		if (dim->reduce) continue;
		at[rank++] = of[d] = affine_var(nest_dim(to, dim->name, dim->extent, false));
	}
	return rank;
}

/* Parts before results: a thread then has what lies together. */
static Nest *part_sums(const Sum *s, Buffer *const *sum)
{
	const Nest *n = s->nest;
	Nest *to = nest_part(s->arena, n, arena_printf(s->arena, "%s_parts", n->name));
	Affine of[NEST_DIMS], at[BUFFER_RANK] = {affine_var(nest_dim(to, "part", s->parts, false))};
	result_dims(s, to, of, &at[1]);
	for (int d = 0; d < n->ndim; d++) {
		if (!n->dim[d].reduce) continue;
		int64_t extent = d == s->dim ? s->by : n->dim[d].extent;
		of[d] = affine_var(nest_dim(to, n->dim[d].name, extent, true));
		if (d == s->dim) of[d] = affine_add(of[d], affine_scale(at[0], s->by));
	}
	nest_take_sums(to, n, of);
	for (int k = 0; k < n->nacc; k++) nest_store(to, "sum", sum[k], at, e_acc(s->arena, k));
	return to;
}

static Nest *whole_sums(const Sum *s, Buffer *const *sum)
{
	Arena *a = s->arena;
	Nest *to = nest_part(s->arena, s->nest, s->nest->name);
	Affine of[NEST_DIMS], at[BUFFER_RANK];
	Index from[BUFFER_RANK];
	int rank = result_dims(s, to, of, at);
	from[0] = index_of(affine_var(nest_dim(to, "part", s->parts, true)));
	for (int i = 0; i < rank; i++) from[i + 1] = index_of(at[i]);
	for (int k = 0; k < s->nest->nacc; k++) {
		Expr *part = e_load(a, nest_load(to, "sum", sum[k], from));
		nest_acc(to, 0, COMBINE_SUM, e_op(a, E_ADD, e_acc(a, k), part));
	}
	nest_take_stores(to, s->nest, of, NULL);
	return to;
}

/* Their shape: parts, then the results' dims. false: too many. */
static bool make_buffers(const Sum *s, Part *p, Buffer **sum)
{
	int rank = 1;
	int64_t shape[BUFFER_RANK] = {s->parts};
	for (int d = 0; d < s->nest->ndim; d++) {
		if (s->nest->dim[d].reduce) continue;
		if (rank == BUFFER_RANK) return false;
		shape[rank++] = s->nest->dim[d].extent;
	}
	for (int k = 0; k < s->nest->nacc; k++)
		sum[k] = part_buffer(s->arena, p, "sum", TYPE_REAL, rank, shape, PLACE_WORK);
	return true;
}

void sums_part(Arena *a, Part *p)
{
	for (int s = 0; s < p->step.n; s++) {
		Step *step = &p->step.at[s];
		Sum sum = {.arena = a, .nest = step->nest};
		Buffer *buffer[NEST_ACCS];
		if (!is_plain_sum(step->nest) || !find_parts(&sum) || !make_buffers(&sum, p, buffer))
			continue;
		step->nest = whole_sums(&sum, buffer);
		part_insert(a, p, s++, part_sums(&sum, buffer),
		    arena_printf(a, "%s, %lld parts", step->comment, (long long)sum.parts));
	}
}
