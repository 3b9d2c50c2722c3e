/* rows: the lines of a schedule, written down from the form of the nest.
 *
 * A row of registers holds accumulators: vectors along the channels (lanes) times positions that
 * share what is loaded for them (pixels in a convolution, taps and input channels in its gradient
 * by weights, images in a dense layer). */
#include "internal.h"

void row_line(Choice *c, LineKind kind, int dim, int64_t by)
{
	if (c->s.n == SCHEDULE_LINES) {
		c->full = true;
		return;
	}
	c->s.line[c->s.n++] = (Line){kind, dim, by};
}

/* Joined dims have their lines: see choice_begin. */
bool is_space(const Choice *c, int d)
{
	return d >= c->nest->join && !c->nest->dim[d].reduce && c->nest->dim[d].extent > 1;
}
bool is_reduced(const Choice *c, int d)
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

bool is_masked(const Choice *c, int d)
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
	return is_masked(c, d);
}

/* The block in which dim d lies in memory anywhere, 1: in none. */
int64_t blocked(const Choice *c, int d)
{
	int64_t block = 1;
	const Nest *n = c->nest;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = nest_access(n, k);
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
			row_line(c, LINE_PHASE, d, c->nest->dim[d].extent);
		else if (phases > 1)
			row_line(c, LINE_PHASE, d, phases);
		row_line(c, LINE_FOR, d, 1);
	}
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
		if (c->nest->dim[d].extent > 1) row_line(c, LINE_PAR, d, 1);
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
	int64_t phases = is_tabled(c, d) ? c->nest->dim[d].extent : phase_of(c, d);
	if (phases > 1) row_line(c, LINE_PHASE, d, phases);
	if (c->nest->ordered) /* no cut may take its taps out of order */
		row_line(c, unrolls(c, d) ? LINE_UNROLL : LINE_FOR, d, 1);
	else
		row_line(c, is_guarded(c, d) ? LINE_CUT : LINE_FOR, d, 1);
}

/* Lines for reduction dims, channels in blocks outside, the rest, then a few channels unrolled. */
static void reductions(Choice *c, Private own)
{
	const Nest *n = c->nest;
	int channel = -1;
	for (int d = 0; d < n->ndim && !n->ordered && c->contraction.is; d++)
		if (is_reduced(c, d) && !is_guarded(c, d) && blocked(c, d) >= NARROW_BLOCK) channel = d;
	int64_t channels = channel < 0 ? 0 : channel == own.dim ? own.by : n->dim[channel].extent;
	if (channels > CHANNEL_BLOCK) row_line(c, LINE_FOR, channel, CHANNEL_BLOCK);
	for (int d = 0; d < n->ndim; d++)
		if (is_reduced(c, d) && d != channel && (d != own.dim || own.by > 1)) sum_over(c, d);
	if (channel < 0) return;
	row_line(c, LINE_FOR, channel, c->unroll);
	if (c->unroll > 1) row_line(c, LINE_UNROLL, channel, 1);
}

/* The load that the lanes do not move, -1. */
int broadcast_load(const Choice *c)
{
	for (int k = 0; k < 2 && c->contraction.is; k++)
		if (!access_moves(&c->nest->load[c->contraction.load[k]], c->lane))
			return c->contraction.load[k];
	return -1;
}

/* Whether d counts images in what is stored: weights are then read again for each of them. */
static bool over_images(const Choice *c, int d)
{
	return access_position(&c->nest->store[0].to, d) == 0;
}

/* Dims whose instances share the vectors loaded along the lanes; where there are none of these, a
 * tile's instances only hide the latency of each other, and should lie side by side. */
bool shares(const Choice *c, int d)
{
	if (!is_space(c, d) || d == c->lane || is_masked(c, d)) return false;
	if (c->strides == STRIDES_NARROW) return false;
	if (c->strides == STRIDES_ASKED && divisor_of(c, d) > 1) return false;
	int x = broadcast_load(c);
	if (!c->contraction.is) return c->nest->nacc > 0 && !over_images(c, d);
	if (x < 0) return false;
	int w = c->contraction.load[0] == x ? c->contraction.load[1] : c->contraction.load[0];
	return access_moves(&c->nest->load[x], d) && !access_moves(&c->nest->load[w], d);
}

Share share_of(const Choice *c, int d, int64_t most)
{
	int64_t extent = (c->nest->dim[d].extent - 1) / phase_of(c, d) + 1, block = blocked(c, d);
	if (block > 1) extent = MIN(extent, block);
	int64_t units = (extent - 1) / most + 1, by = (extent - 1) / units + 1;
	return (Share){d, by, units == 1 && block == 1, extent, units};
}

enum { IN_FLIGHT = 8 };

/* Half cycles that a tile of so many instances takes for one product each: what the machine can
 * multiply, at least the latency of an addition, and what it can load; one more for the loop. */
static int64_t tile_cost(int64_t instances, int64_t vectors)
{
	return MAX(MAX(instances * vectors, IN_FLIGHT), instances + vectors) + 1;
}

/* Of all tiles over these dims; over all points of the two, if there are two. */
static int64_t shares_cost(const Share *share, int n, int64_t instances, int64_t vectors)
{
	if (n == 0) return tile_cost(instances, vectors);
	const Share *s = &share[n - 1];
	int64_t large = s->extent - s->units * (s->by - 1);
	int64_t cost = large * shares_cost(share, n - 1, instances * s->by, vectors);
	if (large == s->units) return cost;
	return cost + (s->units - large) * shares_cost(share, n - 1, instances * (s->by - 1), vectors);
}

/* The cost of a product of vectors, in thousandths of a half cycle. */
static int64_t point_cost(const Share *share, int n, int64_t vectors)
{
	int64_t points = vectors;
	for (int k = 0; k < n; k++) points *= share[k].extent;
	return shares_cost(share, n, 1, vectors) * 1000 / points;
}

/* Of a contraction, the load that moves with the lanes. */
static const Access *lane_load(const Choice *c)
{
	int x = broadcast_load(c);
	return &c->nest->load[c->contraction.load[c->contraction.load[0] == x]];
}

int64_t lane_extent(const Choice *c)
{
	return c->s.extent[c->lane] ? c->s.extent[c->lane] : c->nest->dim[c->lane].extent;
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

/* Instances over dim d that the first-level cache holds a line of: what is read for them may lie on
 * the same few of its sets, as rows of a matrix do that are pages apart. */
static int64_t most_lines(const Choice *c, int d)
{
	enum { SETS = 4096, LINE = 64, WAYS = 8 };
	int x = broadcast_load(c);
	int64_t bytes = x < 0 ? 0 : 4 * access_step(&c->nest->load[x], d), apart = SETS;
	if (bytes < LINE) return INT64_MAX;
	while (bytes % apart) apart /= 2;
	return MAX(WAYS * (SETS / apart), 1);
}

/* Whether each tile of the one image there is reads its weights from the second-level cache: what
 * lies along so many lanes is too much for the first. Larger tiles leave fewer tasks, and there
 * should be some without rows. */
static bool reads_far_weights(const Choice *c, int64_t width)
{
	enum { NEAR = 24 << 10, TASKS = 6 };
	if (lane_bytes(c) / lane_extent(c) * width <= NEAR || lane_extent(c) < TASKS * width)
		return false;
	bool images = image_dim(c->nest) >= 0;
	for (int d = 0; d < c->nest->ndim; d++) images |= over_images(c, d) && is_space(c, d);
	return !images;
}

/* Instances over one dim or two, which fill the registers. From the innermost dim outwards, unless
 * others are faster: a row of 7 pixels makes tiles of 4 and 3, which wait for additions, but 16
 * images make 6, 5, 5; three taps leave room for two, but 16 channels fill it. Weights that come
 * from further away are worth larger tiles. None of it over dim `but`. Where
 * instances share nothing, as windows without weights, they lie in one row, if it keeps the machine
 * busy: the next row of windows is asked for (images.c). */
static int best_shares(const Choice *c, int64_t room, int64_t vectors, int but, Share *share)
{
	int64_t margin = reads_far_weights(c, vectors * c->lanes) ? 98 : 97;
	int dim[NEST_DIMS], ndim = 0, n = 0;
	int64_t least = INT64_MAX;
	for (int d = c->nest->ndim - 1; d >= 0; d--)
		if (shares(c, d) && d != but) dim[ndim++] = d;
	if (ndim && !c->contraction.is && c->nest->dim[dim[0]].extent >= IN_FLIGHT) ndim = 1;
	for (int i = 0; i < ndim && room > 1; i++)
		for (int64_t most = MIN(room, most_lines(c, dim[i])); most > 1; most--)
			for (int j = i; j < ndim; j++) {
				Share pair[2] = {share_of(c, dim[i], most)};
				int count = 1;
				if (j > i && room / pair[0].by < 2) break;
				if (j > i)
					pair[count++] =
					    share_of(c, dim[j], MIN(room / pair[0].by, most_lines(c, dim[j])));
				int64_t cost = point_cost(pair, count, vectors);
				if (n && cost * 100 >= least * margin) continue;
				least = cost;
				n = count;
				memcpy(share, pair, sizeof pair);
			}
	return n;
}

static int choose_shares(const Choice *c, int64_t room, int64_t vectors, Share *share)
{
	int n = vectors == 1 ? window_shares(c, room, share) : 0;
	if (n) return n;
	n = best_shares(c, room, vectors, -1, share);
	if (!n || !c->departure.other_tile) return n;
	return best_shares(c, room, vectors, share[0].dim, share);
}

int64_t row_cost(const Choice *c, int64_t room, int64_t vectors, int *nshare)
{
	Share share[MOST_SHARES];
	*nshare = choose_shares(c, room, vectors, share);
	return point_cost(share, *nshare, vectors);
}

bool is_shared(int d, const Share *share, int nshare)
{
	for (int k = 0; k < nshare; k++)
		if (share[k].dim == d) return true;
	return false;
}

void outer_loop(Choice *c, int d, bool shared)
{
	int64_t phases = phase_of(c, d);
	if (phases > 1) row_line(c, LINE_PHASE, d, phases);
	if (shared && blocked(c, d) == 1) return;
	if (is_masked(c, d)) row_line(c, LINE_PHASE, d, c->nest->dim[d].extent);
	row_line(c, LINE_FOR, d, shared ? blocked(c, d) : 1);
}

/* Where tiles share images, so many of these go through all lanes before others come, as the
 * second-level cache holds; else each block of lanes would fetch all of them again. What lies along
 * the lanes is then fetched for each such part. 0: in one part, as rows of a matrix that one block
 * of lanes reads once. */
static int64_t near_images(const Choice *c, const Share *s, int64_t lane_block)
{
	enum { BYTES = 800 * 1024 };
	int x = broadcast_load(c);
	if (x < 0 || !over_images(c, s->dim) || access_position(&c->nest->load[x], s->dim)) return 0;
	int64_t extent = c->nest->dim[s->dim].extent, bytes = 4 * c->nest->load[x].buffer->size;
	int64_t images = MAX(BYTES / (bytes / extent + 1) / s->by, 1) * s->by;
	int64_t parts = (extent - 1) / images + 1, passes = lane_extent(c) / lane_block;
	MatrixProduct m;
	bool once = passes == 1 && matrix_product(c->nest, &m) && m.row == s->dim;
	return parts > 1 && !once && parts * lane_bytes(c) < passes * bytes ? images : 0;
}

/* What lies along the lanes is larger than a part of the second-level cache; but then each block of
 * lanes reads an image again, which should not be larger still. Of many products, as Winograd's,
 * each has weights of its own, which come from far away if they all are many. */
static bool is_lanes_first(const Choice *c)
{
	enum { LANES = 300 * 1024, FAR = 1 << 20 };
	int x = broadcast_load(c);
	if (x < 0) return false;
	const Buffer *b = c->nest->load[x].buffer;
	int64_t lanes = lane_bytes(c), weights = 4 * lane_load(c)->buffer->size;
	bool image = 4 * b->size / b->shape[0] > FAR && lanes < FAR;
	bool products = weights > FAR && weights > lanes;
	return (products || (lanes > LANES && !image)) != c->departure.other_order;
}

/* Outer loops: dims in order, phases where strides ask for them. The blocks of lanes come before
 * the pixels when what lies along the lanes is larger than a part of the second-level cache, else
 * last. In a sum over images alone the result is largest, and written in order; so are pooling and
 * its like, which do little more than read and write. */
static void outer_loops(Choice *c, int64_t lane_block, const Share *share, int nshare)
{
	const Nest *n = c->nest;
	bool blocks = lane_extent(c) > lane_block, lanes_first = is_lanes_first(c);
	bool in_order = image_dim(n) >= 0 || !c->contraction.is;
	for (int k = 0; k < nshare; k++) {
		int64_t images = near_images(c, &share[k], lane_block);
		if (images) row_line(c, LINE_FOR, share[k].dim, images);
	}
	for (int d = 0; d < n->ndim; d++) {
		if (!is_space(c, d) || d == c->lane) continue;
		bool near = lanes_first && !over_images(c, d) && !access_moves(lane_load(c), d);
		if (blocks && (in_order ? d > c->lane : near)) {
			row_line(c, LINE_FOR, c->lane, lane_block);
			blocks = false;
		}
		outer_loop(c, d, is_shared(d, share, nshare));
	}
	if (blocks && lanes_first && !in_order) { /* dense: images share tiles */
		row_line(c, LINE_FOR, c->lane, lane_block);
		blocks = false;
	}
	for (int k = nshare - 1; k >= 0; k--)
		if (!share[k].whole) row_line(c, LINE_TILE, share[k].dim, share[k].by);
	if (blocks) row_line(c, LINE_FOR, c->lane, lane_block);
}

/* Whether the last vector may be a whole one, `more` values longer: what it reads there is in the
 * buffer's room, and what it writes is behind all that counts. */
static bool has_room(const Choice *c, int64_t more)
{
	const Nest *n = c->nest;
	int64_t count[NEST_DIMS], lo, hi;
	for (int d = 0; d < n->ndim; d++) count[d] = n->dim[d].extent;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = nest_access(n, k);
		int at = access_position(x, c->lane);
		if (at < 0) continue;
		affine_range(&x->at[at].a, count, &lo, &hi);
		if (hi + more >= x->buffer->room[at]) return false;
		if (k >= n->nload && hi != x->buffer->shape[at] - 1) return false;
	}
	return true;
}

void fill_lanes(Choice *c)
{
	int64_t rest = c->nest->dim[c->lane].extent % c->lanes;
	if (rest && has_room(c, c->lanes - rest))
		c->s.extent[c->lane] = c->nest->dim[c->lane].extent + c->lanes - rest;
}

/* A tile of that many accumulators keeps the machine busy by itself, but where a core is shared, as
 * two threads of it do, or takes four instructions a cycle: there a loop's own instructions, five
 * beside some twenty, take their part. Two channels a turn were 1.1 times as fast then in the mean
 * of layers, 1.01 alone; four were hardly better and the larger part of the text. Where taps are
 * cut it is the same with vectors of 32 bytes; with 64 gcc runs out of registers, and with 16,
 * where a product takes three instructions, it is a fiftieth. Without weights, taps are what this
 * is about: of 32 bytes poolings took 1.03 times as long alone, and as long on a shared core, with
 * more than twice the text. */
static int64_t busy_unroll(const Choice *c)
{
	int bytes = c->target->vector_bytes;
	if (!c->contraction.is) return bytes > 32 && !c->nest->nguard ? 2 : 1;
	return bytes == 32 || !c->nest->nguard ? 2 : 1;
}

static void limit_unroll(Choice *c, int64_t instances, const Share *share, int nshare)
{
	for (int k = 0; k < nshare; k++) instances *= share[k].by;
	if (instances >= BUSY_TILE) c->unroll = MIN(c->unroll, busy_unroll(c));
}

/* One row: `vectors` vectors along the lanes and `room` instances that share them. */
void vector_row(Choice *c, int64_t lane_block, int64_t room)
{
	Share share[MOST_SHARES];
	if (moved_row(c)) return;
	int64_t vectors = lane_block / c->lanes;
	int nshare = choose_shares(c, room, vectors, share);
	Private own = {-1, 0};
	fill_lanes(c);
	if (!image_loops(c, lane_block, share, nshare) &&
	    !product_loops(c, lane_block, share, nshare)) {
		outer_loops(c, lane_block, share, nshare);
		if (!nshare) own = private_accumulators(c, vectors);
	}
	limit_unroll(c, vectors * private_parts(c, own), share, nshare);
	for (int k = nshare - 1; k >= 0; k--) row_line(c, LINE_REG, share[k].dim, 1);
	if (own.dim >= 0) row_line(c, LINE_REG, own.dim, own.by);
	if (lane_block > c->lanes) row_line(c, LINE_REG, c->lane, c->lanes);
	row_line(c, LINE_VEC, c->lane, c->lanes);
	reductions(c, own);
}

/* Few channels, all of them, and from the innermost dim what there is room for. */
static int sum_shares(const Choice *c, int64_t room, Share *share)
{
	const Nest *n = c->nest;
	int count = 0, innermost = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (!is_space(c, d) || is_masked(c, d) || phase_of(c, d) > 1) continue;
		bool few = n->dim[d].extent <= MIN(room, NARROW_BLOCK) && !over_images(c, d);
		if (!count && few)
			share[count++] = (Share){.dim = d, .by = n->dim[d].extent, .whole = true};
		else
			innermost = d;
	}
	if (count) room /= share[0].by;
	if (innermost < 0 || room < 2) return count;
	int64_t extent = n->dim[innermost].extent, units = (extent + room - 1) / room;
	share[count++] =
	    (Share){.dim = innermost, .by = (extent + units - 1) / units, .whole = units == 1};
	return count;
}

/* Vectors run through what is summed, block by block. */
void sum_row(Choice *c, int64_t room)
{
	const Nest *n = c->nest;
	Share share[2];
	MatrixProduct m;
	bool product = matrix_product(n, &m);
	int nshare = product ? product_shares(c, &m, room, share) : sum_shares(c, room, share);
	int64_t runs = n->dim[c->lane].extent / c->lanes, block = MIN(CHANNEL_BLOCK / c->lanes, runs);
	c->unroll = 1;
	if (product && blocked(c, m.row) == 1) row_line(c, LINE_FOR, m.row, CHANNEL_BLOCK);
	for (int d = 0; d < n->ndim; d++)
		if (is_space(c, d)) outer_loop(c, d, is_shared(d, share, nshare));
	for (int k = nshare - 1; k >= 0; k--)
		if (!share[k].whole) row_line(c, LINE_TILE, share[k].dim, share[k].by);
	for (int k = 0; k < nshare; k++) row_line(c, LINE_REG, share[k].dim, 1);
	row_line(c, LINE_VEC, c->lane, c->lanes);
	if (runs > block) row_line(c, LINE_FOR, c->lane, block);
	for (int d = 0; d < n->ndim; d++)
		if (is_reduced(c, d) && d != c->lane) sum_over(c, d);
	if (block > 1) row_line(c, LINE_UNROLL, c->lane, 1);
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
	if (chunk < extent) row_line(c, LINE_PAR, dim, chunk);
	row_line(c, LINE_FOR, dim, vectors ? c->lanes : 1);
	if (vectors) row_line(c, LINE_VEC, dim, c->lanes);
	return true;
}

/* Accumulators that fit beside the operands, and beside products where these are not fused. With
 * twelve of 16 bytes instead of eight clang has some on the stack and takes 1.3 times as long, and
 * gcc 0.99. */
int64_t register_room(const Choice *c)
{
	enum { OPERANDS = 4, PRODUCTS = 4 };
	int64_t accs = MAX(c->nest->nacc, 1);
	int64_t room = c->target->registers - OPERANDS + c->departure.registers;
	if (!c->target->fuses) room -= PRODUCTS;
	if (!c->contraction.is) room = c->target->registers / 2;
	return MAX(room / accs, 1);
}
