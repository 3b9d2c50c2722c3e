/* sums_images: a sum over images, or over a matrix's rows, of results that are much smaller than
 * what it reads, is made in parts; each has some of the images, or of the rows.
 *
 *   dw[oc][ic] = sum n oh ow: dy[n][oc]... * x[n][ic]...
 *
 *   becomes   sum[oc + p*apart][ic] = sum n' oh ow: dy[n' + p*by][oc]... * x[n' + p*by][ic]...
 *             dw[oc][ic]           = sum[oc][ic] + sum[oc + apart][ic] + ...
 *
 * or sum[p][oc][ic], where lanes run along channels of which a part's would begin inside a block.
 *
 * Tasks that have a part of the channels each would all read the other operand, whole and from far
 * away. Parts of the images read nothing twice. How many there are follows from the form alone.
 *
 * needs: fused maps; Winograd's groups, which are left alone; for rows the products that matrix.c
 * leaves.
 * checked by: verify_part; test_ops, test_entries. */
#include "internal.h"

typedef struct {
	Arena *arena;
	const Nest *nest;
	int dim;           /* one that is summed */
	int64_t parts, by; /* of its values */
	int64_t apart;     /* results of one part from the next's, in the first dim; 0: in one more */
} Parts;

static int64_t bytes_read(const Nest *n)
{
	Product c = contraction_of(n);
	return 4 * (n->load[c.load[0]].buffer->size + n->load[c.load[1]].buffer->size);
}

/* Rows are parted as well, unless a guard asks where they are. */
static bool may_part(const Nest *n, int d)
{
	for (int g = 0; g < n->nguard; g++)
		if (affine_k(&n->guard[g].e[0].a, d) || affine_k(&n->guard[g].e[1].a, d)) return false;
	return n->dim[d].reduce;
}

/* One sum that is stored at one place, which it does not read. */
static bool is_one_sum(const Nest *n)
{
	return n->nstore == 1 && n->nacc == 1 && !n->inplace && !n->join &&
	       nest_load_of(n, n->store[0].to.buffer) < 0;
}

/* Lanes run along the first dim of results, and a part's would begin inside a block of them. */
static bool splits_blocks(const Nest *n)
{
	const Access *to = &n->store[0].to;
	int lane = lane_dim(n);
	return lane >= 0 && access_position(to, lane) == 0 && to->buffer->shape[0] % NARROW_BLOCK;
}

/* As many parts as divide dim `first` evenly, or one behind it, if their results are few beside
 * what is read. */
static bool find_parts(Parts *s, int first, int64_t read)
{
	enum { FEW = 4 };
	static const int8_t parts[] = {4, 2, 3, 5, 7};
	const Nest *n = s->nest;
	const Buffer *to = n->store[0].to.buffer;
	for (int k = 0; k < COUNT(parts); k++) {
		s->parts = parts[k];
		for (s->dim = first; s->dim < n->ndim; s->dim++)
			if (n->dim[s->dim].extent % s->parts == 0 && may_part(n, s->dim)) break;
		if (s->dim == n->ndim || 4 * FEW * s->parts * to->size > read) continue;
		s->by = n->dim[s->dim].extent / s->parts;
		s->apart = splits_blocks(n) ? 0 : to->shape[0];
		return true;
	}
	return false;
}

/* One image is in the second-level cache, where tasks read it again for less than it costs to add
 * up parts: 1x1 convolutions of 192 channels take a tenth to a quarter less on two threads. */
static bool find_images(Parts *s)
{
	enum { LEAST_BYTES = 1 << 18 };
	const Nest *n = s->nest;
	const Buffer *to = n->store[0].to.buffer;
	int image = image_dim(n);
	if (image < 0 || n->dim[image].extent == 1 || !is_one_sum(n)) return false;
	if (to->rank < 3 || to->rank == BUFFER_RANK) return false;
	int64_t read = bytes_read(n);
	return read >= LEAST_BYTES && find_parts(s, image, read);
}

/* Of a matrix that lies row by row a task with some of the columns has a piece of each row, and the
 * processor brings what lies beside it, too; a task with some of the rows has a stream, and the
 * same part of the cache in every call: 1.3 to 2.1 times as fast on two threads with 16 images, and
 * twice with one if the matrix is in their caches; of a larger one a twentieth slower. */
static bool find_rows(Parts *s)
{
	enum { LEAST_BYTES = 300 * 1024, MOST_BYTES = 1 << 22, LEAST_ROWS = 64 };
	const Nest *n = s->nest;
	MatrixProduct m;
	if (!is_one_sum(n) || !matrix_product(n, &m) || m.x != n->nload || m.columns != 1) return false;
	if (n->dim[m.row].extent < LEAST_ROWS) return false;
	int64_t read = 4 * n->load[m.w].buffer->size;
	if (read < LEAST_BYTES || (m.images == 1 && read > MOST_BYTES)) return false;
	return find_parts(s, m.row, read) && s->dim == m.row;
}

/* Rows of weights as the user has them, if a kernel writes these without a copy. */
static bool keeps_rows(const Nest *n)
{
	int lane = lane_dim(n);
	return lane >= 0 && stores_blocks(n, lane) && n->dim[lane].extent % CHANNEL_BLOCK == 0;
}

/* The dims of s that are summed, or those that are not, in `to`. */
static void take_dims(const Parts *s, Nest *to, bool reduce, Affine *of)
{
	for (int d = 0; d < s->nest->ndim; d++) {
		const Dim *dim = &s->nest->dim[d];
		if (dim->reduce != reduce) continue;
		int64_t extent = d == s->dim ? s->by : dim->extent;
		of[d] = affine_var(nest_dim(to, dim->name, extent, reduce));
	}
}

/* Where the results of a part are. */
static void place_of(const Parts *s, const Affine *of, Affine part, Affine *at)
{
	const Access *x = &s->nest->store[0].to;
	int more = !s->apart;
	for (int i = 0; i < x->buffer->rank; i++) at[i + more] = affine_subst(&x->at[i].a, of);
	at[0] = more ? part : affine_add(at[0], affine_scale(part, s->apart));
}

static Nest *part_sums(const Parts *s, Buffer *sum)
{
	Nest *to = nest_part(s->arena, s->nest, s->nest->name);
	Affine of[NEST_DIMS], at[BUFFER_RANK];
	Affine part = affine_var(nest_dim(to, "part", s->parts, false));
	take_dims(s, to, false, of);
	take_dims(s, to, true, of);
	of[s->dim] = affine_add(of[s->dim], affine_scale(part, s->by));
	nest_take_guards(to, s->nest, of);
	nest_take_sums(to, s->nest, of);
	place_of(s, of, part, at);
	nest_store(to, "sum", sum, at, e_acc(s->arena, 0));
	return to;
}

/* A map: it is a copy between layouts as well. */
static Nest *whole_sums(const Parts *s, Buffer *sum)
{
	Nest *to = nest_part(s->arena, s->nest, "parts");
	Affine of[NEST_DIMS], at[BUFFER_RANK];
	Index from[BUFFER_RANK];
	Expr *whole = NULL;
	take_dims(s, to, false, of);
	for (int64_t part = 0; part < s->parts; part++) {
		place_of(s, of, affine_number(part), at);
		for (int i = 0; i < sum->rank; i++) from[i] = index_of(at[i]);
		Expr *x = e_load(s->arena, nest_load(to, "sum", sum, from));
		whole = whole ? e_op(s->arena, E_ADD, whole, x) : x;
	}
	nest_take_stores(to, s->nest, of, &whole);
	return to;
}

static void part_step(Parts *s, Part *p, int at, bool laid)
{
	Step *step = &p->step.at[at];
	const Buffer *to = s->nest->store[0].to.buffer;
	int64_t shape[BUFFER_RANK];
	int more = !s->apart;
	for (int d = 0; d < to->rank; d++) shape[d + more] = to->shape[d];
	shape[0] = s->parts * (more ? 1 : s->apart);
	Buffer *sum = part_buffer(s->arena, p, "sum", TYPE_REAL, to->rank + more, shape, PLACE_WORK);
	sum->laid = laid;
	const Nest *parts = part_sums(s, sum);
	const char *comment =
	    arena_printf(s->arena, "%s, %lld parts", step->comment, (long long)s->parts);
	step->nest = whole_sums(s, sum);
	part_insert(s->arena, p, at, parts, comment);
}

void sums_of_images_part(Arena *a, Part *p)
{
	for (int i = 0; i < p->step.n; i++) {
		Parts s = {.arena = a, .nest = p->step.at[i].nest};
		if (!p->step.at[i].group && find_images(&s)) part_step(&s, p, i++, keeps_rows(s.nest));
	}
}

void sums_of_rows_part(Arena *a, Part *p)
{
	for (int i = 0; i < p->step.n; i++) {
		Parts s = {.arena = a, .nest = p->step.at[i].nest};
		MatrixProduct m;
		if (p->step.at[i].group || !keeps_matrix(p, s.nest, &m)) continue;
		if (find_rows(&s)) part_step(&s, p, i++, true);
	}
}
