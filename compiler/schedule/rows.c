/* rows: the lines of a schedule, written down from the form of the nest.
 *
 * A row of registers holds accumulators: vectors along the channels (lanes) times positions that
 * share what is loaded for them (pixels in a convolution, taps and input channels in its gradient
 * by weights, images in a dense layer). */
#include "internal.h"

static void line(Choice *c, LineKind kind, int dim, int64_t by)
{
	if (c->s.n == SCHEDULE_LINES) {
		c->full = true;
		return;
	}
	c->s.line[c->s.n++] = (Line){kind, dim, by};
}

/* Joined dims have their lines: see choice_begin. */
static bool is_space(const Choice *c, int d)
{
	return d >= c->nest->join && !c->nest->dim[d].reduce && c->nest->dim[d].extent > 1;
}
static bool is_reduced(const Choice *c, int d)
{
	return c->nest->dim[d].reduce && c->nest->dim[d].extent > 1;
}

/* --- what the form asks for ---------------------------------------------------------------- */

/* The stride by which a DIVIDES guard splits dim d; 1: none. */
static int64_t divisor_of(const Choice *c, int d)
{
	for (int g = 0; g < c->nest->nguard; g++) {
		const Guard *guard = &c->nest->guard[g];
		int64_t k = affine_k(&guard->e[0].a, d);
		if (guard->kind == GUARD_DIVIDES && k % guard->q)
			return MIN(guard->q, c->nest->dim[d].extent);
	}
	return 1;
}

/* The pieces that it becomes. */
static int64_t phase_of(const Choice *c, int d)
{
	return c->strides == STRIDES_ASKED ? 1 : divisor_of(c, d);
}

int64_t phase_pieces(const Nest *n)
{
	Choice c = {.nest = n};
	int64_t tiles = 1, taps = 0;
	for (int d = 0; d < n->ndim; d++) {
		int64_t phases = divisor_of(&c, d);
		if (phases > 1 && n->dim[d].reduce) taps += phases;
		if (phases > 1 && !n->dim[d].reduce && !mul_fits(tiles, phases, &tiles)) return INT64_MAX;
	}
	if (tiles == 1 && !taps) return 0;
	return mul_fits(tiles, MAX(taps, 1), &tiles) ? tiles : INT64_MAX;
}

static bool is_masked(const Choice *c, int d)
{
	for (int g = 0; g < c->nest->nguard; g++) {
		const Guard *guard = &c->nest->guard[g];
		if (guard->kind == GUARD_MASK &&
		    (affine_k(&guard->e[0].a, d) || affine_k(&guard->e[1].a, d)))
			return true;
	}
	return false;
}

static bool is_guarded(const Choice *c, int d)
{
	for (int g = 0; g < c->nest->nguard; g++)
		if (affine_k(&c->nest->guard[g].e[0].a, d)) return true;
	return false;
}

/* The block in which dim d lies in memory anywhere, 1: in none. */
static int64_t blocked(const Choice *c, int d)
{
	int64_t block = 1;
	const Nest *n = c->nest;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = k < n->nload ? &n->load[k] : &n->store[k - n->nload].to;
		int at = access_position(x, d);
		for (int i = 0; at >= 0 && i < x->buffer->ncomp; i++)
			if (x->buffer->comp[i].dim == at && x->buffer->comp[i].mod)
				block = MAX(block, x->buffer->comp[i].mod);
	}
	return block;
}

/* --- the plain schedule -------------------------------------------------------------------- */

static void plain_dims(Choice *c, bool reduce)
{
	for (int d = 0; d < c->nest->ndim; d++) {
		if (!(reduce ? is_reduced(c, d) : is_space(c, d))) continue;
		int64_t phases = phase_of(c, d);
		if (is_masked(c, d))
			line(c, LINE_PHASE, d, c->nest->dim[d].extent);
		else if (phases > 1)
			line(c, LINE_PHASE, d, phases);
		line(c, LINE_FOR, d, 1);
	}
}

/* The innermost dim that lies in no block. */
static int run_dim(const Choice *c)
{
	for (int d = c->nest->ndim - 1; d >= 0; d--)
		if (is_space(c, d) && blocked(c, d) == 1) return d;
	return -1;
}

/* A map between a blocked layout and another: block by block and row by row, so that lines of both
 * sides stay in the first-level cache until all of them is used. false: it is none. */
bool copy_row(Choice *c)
{
	const Nest *n = c->nest;
	int run = run_dim(c);
	bool blocks = false;
	if (n->nacc || n->nguard) return false;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce) return false;
		blocks |= is_space(c, d) && blocked(c, d) > 1;
	}
	if (!blocks) return false;
	for (int d = 0; d < n->ndim; d++)
		if (is_space(c, d) && d != run) line(c, LINE_FOR, d, blocked(c, d));
	for (int d = 0; d < n->ndim; d++)
		if (is_space(c, d) && d != run && blocked(c, d) > 1) line(c, LINE_FOR, d, 1);
	if (run >= 0) line(c, LINE_FOR, run, 1);
	return true;
}

void plain_row(Choice *c)
{
	plain_dims(c, false);
	plain_dims(c, true);
}

/* The turns of a group are blocks of its members, however many of them a task runs. */
void choice_begin(Choice *c)
{
	for (int d = 0; d < c->nest->join; d++)
		if (c->nest->dim[d].extent > 1) line(c, LINE_PAR, d, 1);
}

/* The outermost space dim may run its iterations at once, when they are worth a thread's while. */
void make_parallel(Choice *c)
{
	Line *first = &c->s.line[0];
	if (c->nest->join) return;
	if (c->s.n && first->kind == LINE_FOR && is_space(c, first->dim)) first->kind = LINE_PAR;
}

/* --- vectors ------------------------------------------------------------------------------- */

/* Taps of a window stand in straight text, from dim d inwards, where they are few. */
static bool unrolls(const Choice *c, int d)
{
	enum { TAPS = 64 };
	int64_t taps = 1;
	for (; d < c->nest->ndim && taps <= TAPS; d++)
		if (c->nest->dim[d].reduce) taps *= c->nest->dim[d].extent;
	return c->unroll > 1 && taps <= TAPS;
}

static void sum_over(Choice *c, int d)
{
	int64_t phases = phase_of(c, d);
	if (phases > 1) line(c, LINE_PHASE, d, phases);
	if (c->nest->ordered) /* no cut may take its taps out of order */
		line(c, unrolls(c, d) ? LINE_UNROLL : LINE_FOR, d, 1);
	else
		line(c, is_guarded(c, d) ? LINE_CUT : LINE_FOR, d, 1);
}

/* Lines for reduction dims, channels in blocks outside, the rest, then a few channels unrolled. */
static void reductions(Choice *c)
{
	const Nest *n = c->nest;
	int channel = -1;
	for (int d = 0; d < n->ndim && !n->ordered && c->contraction.is; d++)
		if (is_reduced(c, d) && !is_guarded(c, d) && blocked(c, d) == CHANNEL_BLOCK) channel = d;
	if (channel >= 0 && n->dim[channel].extent > CHANNEL_BLOCK)
		line(c, LINE_FOR, channel, CHANNEL_BLOCK);
	for (int d = 0; d < n->ndim; d++)
		if (is_reduced(c, d) && d != channel) sum_over(c, d);
	if (channel < 0) return;
	line(c, LINE_FOR, channel, c->unroll);
	if (c->unroll > 1) line(c, LINE_UNROLL, channel, 1);
}

/* The load that the lanes do not move, -1. */
static int broadcast_load(const Choice *c)
{
	for (int k = 0; k < 2 && c->contraction.is; k++)
		if (!access_moves(&c->nest->load[c->contraction.load[k]], c->lane))
			return c->contraction.load[k];
	return -1;
}

/* Dims whose instances share the vectors loaded along the lanes. */
static bool shares(const Choice *c, int d)
{
	if (!is_space(c, d) || d == c->lane || is_masked(c, d)) return false;
	if (c->strides == STRIDES_NARROW) return false;
	if (c->strides == STRIDES_ASKED && divisor_of(c, d) > 1) return false;
	int x = broadcast_load(c);
	if (!c->contraction.is) return c->nest->nacc > 0;
	if (x < 0) return false;
	int w = c->contraction.load[0] == x ? c->contraction.load[1] : c->contraction.load[0];
	return access_moves(&c->nest->load[x], d) && !access_moves(&c->nest->load[w], d);
}

typedef struct {
	int dim;
	int64_t by; /* instances */
	bool whole; /* all of the dim */
} Share;

/* Instances from the innermost dim outwards until the registers are full. */
static int choose_shares(const Choice *c, int64_t room, Share *share)
{
	int n = 0;
	for (int d = c->nest->ndim - 1; d >= 0 && room > 1 && n < 2; d--) {
		if (!shares(c, d)) continue;
		int64_t extent = (c->nest->dim[d].extent - 1) / phase_of(c, d) + 1, block = blocked(c, d);
		if (block > 1) extent = MIN(extent, block);
		bool whole = extent <= room && block == 1;
		int64_t by = MIN(extent, room), units = (extent - 1) / by + 1;
		if (block > 1)
			while (block % by) by--;
		else
			by = (extent - 1) / units + 1;
		share[n++] = (Share){d, by, whole};
		room /= by;
		if (!whole) break;
	}
	return n;
}

/* Sums over many points of one channel: private accumulators hide the latency of an addition. */
static void private_sums(Choice *c)
{
	const Nest *n = c->nest;
	if (n->ordered || n->nguard) return;
	for (int k = 0; k < n->nacc; k++)
		if (n->acc[k].combine != COMBINE_SUM || n->acc[k].init != 0) return;
	for (int d = n->ndim - 1; d >= 0; d--) {
		int64_t extent = n->dim[d].extent;
		if (!is_reduced(c, d) || extent < 8 || blocked(c, d) > 1) continue;
		line(c, LINE_REG, d, (extent - 1) / 4 + 1);
		return;
	}
}

/* Of a contraction, the load that moves with the lanes. */
static const Access *lane_load(const Choice *c)
{
	int x = broadcast_load(c);
	return &c->nest->load[c->contraction.load[c->contraction.load[0] == x]];
}

/* Bytes of a vector-side operand that a tile runs through: decides whether blocks of lanes go
 * outside. */
static int64_t lane_bytes(const Choice *c)
{
	int x = broadcast_load(c);
	if (x < 0) return 0;
	int64_t bytes = 4 * lane_load(c)->buffer->size;
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && d != c->lane && access_moves(lane_load(c), d))
			bytes /= c->nest->dim[d].extent;
	return bytes;
}

/* The dim over images: leads in both operands of a sum over them. -1: none. */
static int image_dim(const Choice *c)
{
	for (int d = 0; d < c->nest->ndim && c->contraction.is; d++) {
		bool leads = is_reduced(c, d);
		for (int k = 0; k < 2; k++)
			leads &= access_position(&c->nest->load[c->contraction.load[k]], d) == 0;
		if (leads) return d;
	}
	return -1;
}

/* The largest step that a summed dim makes in load x: a strided window passes over rows. */
static int64_t stride_of(const Nest *n, int x)
{
	int64_t stride = 1;
	for (int d = 0; d < n->ndim; d++)
		for (int i = 0; i < n->load[x].buffer->rank && n->dim[d].reduce; i++)
			stride = MAX(stride, affine_k(&n->load[x].at[i].a, d));
	return MIN(stride, 8);
}

/* How a sum over many images is cut: `images` or, of one image, `rows` at a time. */
typedef struct {
	int image, row;
	int64_t images, rows; /* rows 0: all of them */
} Chunking;

/* Chunks stay in the second-level cache: some rows of one image, or a few small images. A window
 * that steps passes over more than it counts. The accumulators wait in the result in between, so it
 * must be stored as it is. false: in one piece. */
static bool find_chunks(const Choice *c, Chunking *k)
{
	enum { POINTS = 448, LEAST_BYTES = 400 * 1024 };
	const Nest *n = c->nest;
	int64_t points = 1, row_points = 1, bytes = 0;
	*k = (Chunking){image_dim(c), -1, 0, 0};
	if (k->image < 0 || n->nstore != 1 || n->store[0].value->kind != E_ACC) return false;
	for (int i = 0; i < 2; i++) bytes += 4 * n->load[c->contraction.load[i]].buffer->size;
	if (bytes < LEAST_BYTES) return false;
	for (int d = k->image + 1; d < n->ndim; d++) {
		if (!is_reduced(c, d)) continue;
		if (k->row < 0)
			k->row = d;
		else
			row_points *= n->dim[d].extent;
		points *= n->dim[d].extent;
	}
	int x = broadcast_load(c);
	int64_t stride = x < 0 ? 1 : stride_of(n, x);
	int64_t most = stride > 1 ? MAX(POINTS / (2 * stride * stride), 1) : POINTS;
	k->images = MAX(1, POINTS / points);
	if (k->row >= 0 && points > 2 * most) k->rows = MAX(1, most / row_points);
	return true;
}

static void chunks(Choice *c)
{
	Chunking k;
	if (!find_chunks(c, &k)) return;
	line(c, LINE_FOR, k.image, k.images);
	if (k.rows) line(c, LINE_FOR, k.row, k.rows);
}

/* Lanes that one task sums: in chunks several blocks, so that what lies across the lanes is read
 * from far away once for all of them; four tasks are left for threads. */
static int64_t task_lanes(const Choice *c, int64_t extent, int64_t lane_block)
{
	Chunking k;
	int64_t blocks = (extent / 4 + lane_block - 1) / lane_block;
	if (!find_chunks(c, &k) || extent % lane_block) return lane_block;
	while (blocks > 1 && extent % (blocks * lane_block)) blocks--;
	return MAX(blocks, 1) * lane_block;
}

/* What is read once from far away is asked for ahead: the operand that lanes do not run along in a
 * sum over images, weights larger than the second-level cache elsewhere. Distances were measured.
 */
const Nest *ask_ahead(Arena *a, const Nest *n)
{
	enum {
		AHEAD_IMAGES = 1024,
		AHEAD_WEIGHTS = 512,
		LEAST_IMAGES = 400 * 1024,
		LEAST_WEIGHTS = 1 << 20
	};
	Choice c = {.nest = n, .contraction = contraction_of(n), .lane = lane_dim(n)};
	int x = c.lane < 0 ? -1 : broadcast_load(&c);
	if (x < 0) return n;
	int w = c.contraction.load[0] == x ? c.contraction.load[1] : c.contraction.load[0];
	bool images = image_dim(&c) >= 0;
	int64_t bytes = 4 * (n->load[w].buffer->size + (images ? n->load[x].buffer->size : 0));
	if (bytes < (images ? LEAST_IMAGES : LEAST_WEIGHTS)) return n;
	Nest *copy = nest_copy(a, n);
	copy->load[images ? x : w].prefetch =
	    images ? AHEAD_IMAGES * (int)stride_of(n, x) : AHEAD_WEIGHTS;
	return copy;
}

/* Whether d counts images in what is stored: weights are then read again for each of them. */
static bool over_images(const Choice *c, int d)
{
	return access_position(&c->nest->store[0].to, d) == 0;
}

static bool is_shared(int d, const Share *share, int nshare)
{
	for (int k = 0; k < nshare; k++)
		if (share[k].dim == d) return true;
	return false;
}

static void outer_loop(Choice *c, int d, bool shared)
{
	int64_t phases = phase_of(c, d);
	if (phases > 1) line(c, LINE_PHASE, d, phases);
	if (shared && blocked(c, d) == 1) return;
	if (is_masked(c, d)) line(c, LINE_PHASE, d, c->nest->dim[d].extent);
	line(c, LINE_FOR, d, shared ? blocked(c, d) : 1);
}

/* Outer loops: dims in order, phases where strides ask for them. The blocks of lanes come before
 * the pixels when what lies along the lanes is larger than a part of the second-level cache, else
 * last. */
static void outer_loops(Choice *c, int64_t lane_block, const Share *share, int nshare)
{
	const Nest *n = c->nest;
	int64_t extent = c->s.extent[c->lane] ? c->s.extent[c->lane] : n->dim[c->lane].extent;
	bool blocks = extent > lane_block, lanes_first = lane_bytes(c) > 300 * 1024, chunked = false;
	for (int d = 0; d < n->ndim; d++) {
		if (!is_space(c, d) || d == c->lane) continue;
		if (blocks && lanes_first && !over_images(c, d) && !access_moves(lane_load(c), d)) {
			int64_t unit = task_lanes(c, extent, lane_block);
			line(c, LINE_FOR, c->lane, unit);
			chunks(c);
			if (unit > lane_block) line(c, LINE_FOR, c->lane, lane_block);
			blocks = false;
			chunked = true;
		}
		outer_loop(c, d, is_shared(d, share, nshare));
		if (!chunked && !blocks && c->s.n) {
			chunks(c);
			chunked = true;
		}
	}
	for (int k = nshare - 1; k >= 0; k--)
		if (!share[k].whole) line(c, LINE_TILE, share[k].dim, share[k].by);
	if (blocks) line(c, LINE_FOR, c->lane, lane_block);
}

/* Whether the last vector may be a whole one, `more` values longer: what it reads there is in the
 * buffer's room, and what it writes is behind all that counts. */
static bool has_room(const Choice *c, int64_t more)
{
	const Nest *n = c->nest;
	int64_t count[NEST_DIMS], lo, hi;
	for (int d = 0; d < n->ndim; d++) count[d] = n->dim[d].extent;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = k < n->nload ? &n->load[k] : &n->store[k - n->nload].to;
		int at = access_position(x, c->lane);
		if (at < 0) continue;
		affine_range(&x->at[at].a, count, &lo, &hi);
		if (hi + more >= x->buffer->room[at]) return false;
		if (k >= n->nload && hi != x->buffer->shape[at] - 1) return false;
	}
	return true;
}

/* A tile of that many accumulators keeps the machine busy by itself: channels need not be unrolled,
 * which was measured to gain nothing then, and was the larger part of the text. */
static void limit_unroll(Choice *c, int64_t instances, const Share *share, int nshare)
{
	enum { BUSY = 8 };
	for (int k = 0; k < nshare; k++) instances *= share[k].by;
	if (instances >= BUSY) c->unroll = 1;
}

/* One row: `vectors` vectors along the lanes and `room` instances that share them. */
void vector_row(Choice *c, int64_t lane_block, int64_t room)
{
	Share share[2];
	int nshare = choose_shares(c, room, share);
	int64_t whole = c->nest->dim[c->lane].extent;
	if (whole % c->lanes && has_room(c, c->lanes - whole % c->lanes))
		c->s.extent[c->lane] = (whole + c->lanes - 1) / c->lanes * c->lanes;
	limit_unroll(c, lane_block / c->lanes, share, nshare);
	outer_loops(c, lane_block, share, nshare);
	for (int k = nshare - 1; k >= 0; k--) line(c, LINE_REG, share[k].dim, 1);
	bool reduces = c->nest->nacc > 0;
	if (reduces && !nshare && !c->contraction.is) private_sums(c);
	if (lane_block > c->lanes) line(c, LINE_REG, c->lane, c->lanes);
	line(c, LINE_VEC, c->lane, c->lanes);
	reductions(c);
}

/* --- sums with constant factors ------------------------------------------------------------ */

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

/* A table asks for dim d: its value must be known in the text. */
static bool is_tabled(const Choice *c, int d)
{
	TableLook l = {c, d, false};
	for (int k = 0; k < c->nest->nacc; k++) expr_visit(c->nest->acc[k].update, look_table, &l);
	return l.found;
}

bool is_transform(const Choice *c)
{
	bool space = false, summed = false;
	for (int d = 0; d < c->nest->ndim && c->nest->nacc == 1; d++) {
		space |= is_space(c, d) && is_tabled(c, d);
		summed |= is_reduced(c, d) && is_tabled(c, d);
	}
	return space && summed;
}

/* The guards of d are decided by it and by what is summed. */
static bool decides_guards(const Choice *c, int d)
{
	for (int g = 0; g < c->nest->nguard; g++) {
		const Affine *e = &c->nest->guard[g].e[0].a;
		for (int t = 0; t < e->n && affine_k(e, d); t++) {
			int v = e->t[t].var;
			if (v != d && !is_reduced(c, v) && c->nest->dim[v].extent > 1) return false;
		}
	}
	return is_guarded(c, d);
}

/* A row for a small constant matrix times a row of vectors: all that it makes in registers, each
 * term in straight text. */
void transform_row(Choice *c, int64_t lane_block, int64_t room)
{
	const Nest *n = c->nest;
	int64_t whole = n->dim[c->lane].extent;
	if (whole % c->lanes && has_room(c, c->lanes - whole % c->lanes))
		c->s.extent[c->lane] = (whole + c->lanes - 1) / c->lanes * c->lanes;
	line(c, LINE_FOR, c->lane, lane_block);
	for (int d = 0; d < n->ndim; d++) {
		if (!is_space(c, d) || d == c->lane) continue;
		if (!is_tabled(c, d))
			line(c, decides_guards(c, d) ? LINE_TILE : LINE_FOR, d, 1);
		else if ((room /= n->dim[d].extent) < 1)
			c->full = true;
	}
	for (int d = 0; d < n->ndim; d++)
		if (is_space(c, d) && is_tabled(c, d)) line(c, LINE_REG, d, 1);
	if (lane_block > c->lanes) line(c, LINE_REG, c->lane, c->lanes);
	line(c, LINE_VEC, c->lane, c->lanes);
	for (int d = 0; d < n->ndim; d++)
		if (is_reduced(c, d)) line(c, LINE_UNROLL, d, 1);
}

/* Few channels, all of them, and from the innermost dim what there is room for. */
static int sum_shares(const Choice *c, int64_t room, Share *share)
{
	const Nest *n = c->nest;
	int count = 0, innermost = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (!is_space(c, d) || is_masked(c, d) || phase_of(c, d) > 1) continue;
		bool few = n->dim[d].extent <= MIN(room, PLAIN_CHANNELS) && !over_images(c, d);
		if (!count && few)
			share[count++] = (Share){d, n->dim[d].extent, true};
		else
			innermost = d;
	}
	if (count) room /= share[0].by;
	if (innermost < 0 || room < 2) return count;
	int64_t extent = n->dim[innermost].extent, units = (extent + room - 1) / room;
	share[count++] = (Share){innermost, (extent + units - 1) / units, units == 1};
	return count;
}

void sum_row(Choice *c, int64_t lane_block, int64_t room)
{
	const Nest *n = c->nest;
	Share share[2];
	int nshare = sum_shares(c, room, share);
	c->unroll = 1;
	for (int d = 0; d < n->ndim; d++)
		if (is_space(c, d)) outer_loop(c, d, is_shared(d, share, nshare));
	for (int k = 0; k < nshare; k++)
		if (!share[k].whole) line(c, LINE_TILE, share[k].dim, share[k].by);
	for (int k = 0; k < nshare; k++) line(c, LINE_REG, share[k].dim, 1);
	if (lane_block > c->lanes) line(c, LINE_REG, c->lane, c->lanes);
	line(c, LINE_VEC, c->lane, c->lanes);
	if (n->dim[c->lane].extent > lane_block) line(c, LINE_FOR, c->lane, lane_block);
	for (int d = 0; d < n->ndim; d++)
		if (is_reduced(c, d) && d != c->lane) sum_over(c, d);
}

/* Elements of a task of a flat map: worth a thread's while, and few enough tasks. */
static int64_t flat_chunk(int64_t extent, int64_t width)
{
	enum { LEAST = 8192, TASKS = 64 };
	int64_t chunk = MAX((extent + TASKS - 1) / TASKS, LEAST);
	return (chunk + width - 1) / width * width;
}

/* A map of one dim: chunks for threads, vectors inside; numbers from a hash stay scalar. */
bool flat_row(Choice *c)
{
	const Nest *n = c->nest;
	int dim = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].extent == 1) continue;
		if (n->dim[d].reduce || dim >= 0) return false;
		dim = d;
	}
	if (dim < 0 || n->nacc || n->nguard) return false;
	bool vectors = dim == c->lane && c->block >= c->lanes && c->lanes > 1;
	int64_t extent = n->dim[dim].extent;
	int64_t chunk = flat_chunk(extent, MAX(MAX(c->lanes, 1), blocked(c, dim)));
	if (chunk < extent) line(c, LINE_PAR, dim, chunk);
	line(c, LINE_FOR, dim, vectors ? c->lanes : 1);
	if (vectors) line(c, LINE_VEC, dim, c->lanes);
	return true;
}

/* Accumulators that fit beside the operands. */
int64_t register_room(const Choice *c)
{
	int64_t accs = MAX(c->nest->nacc, 1);
	enum { OPERANDS = 4 };
	int64_t room = c->target->registers - OPERANDS;
	if (!c->contraction.is) room = c->target->registers / 2;
	return MAX(room / accs, 1);
}
