/* images: the loops of sums over images and their pixels, which gradients by weights are.
 *
 * Both operands are large and come from memory, the result is small:
 *
 *   par oc 64 | n 1 | oh 4 | oc 16 | ic 16 | tile ic 6 | ...
 *   task        chunk        both blocks of a chunk stay in the first-level cache
 *
 * A task has a part of the channels of one operand, the larger one if that leaves threads an even
 * number of tasks, and reads all of the other. It goes through a chunk of pixels once for all its
 * blocks of channels, and asks meanwhile for what comes from far away of the next chunk. The
 * accumulators wait in the result between chunks. */
#include "internal.h"

/* Which pixels a chunk has: `images` or, of one image, `rows`. */
typedef struct {
	int image, row;
	int64_t images, rows; /* rows 0: all of them */
} Chunking;

static int other_load(const Choice *c, int x)
{
	return c->contraction.load[0] == x ? c->contraction.load[1] : c->contraction.load[0];
}

/* Of an operand, less what windows step over. */
static int64_t bytes_of(const Choice *c, int load)
{
	const Access *x = &c->nest->load[load];
	int64_t points = 1;
	for (int d = 0; d < c->nest->ndim; d++)
		if (access_moves(x, d) && !mul_fits(points, c->nest->dim[d].extent, &points))
			return 4 * x->buffer->size;
	return 4 * MIN(points, x->buffer->size);
}

/* Pixels that an operand takes of the first-level cache for each that is summed: a strided window
 * passes over rows of them or, where it leaves out what it steps over, has one set of lines in so
 * many. */
static int64_t room_of_pixel(const Choice *c)
{
	enum { MOST = 64 };
	int64_t stride = 1, room = 1;
	for (int k = 0; k < 2; k++) {
		const Access *x = &c->nest->load[c->contraction.load[k]];
		for (int d = 0; d < c->nest->ndim; d++)
			for (int i = 0; i < x->buffer->rank && c->nest->dim[d].reduce; i++)
				stride = MAX(stride, affine_k(&x->at[i].a, d));
		bool all = bytes_of(c, c->contraction.load[k]) >= 4 * x->buffer->size;
		room = MAX(room, all ? stride * stride : stride);
	}
	return MIN(room, MOST);
}

/* Whether windows reach into rows beyond a chunk's, which the next one reads again. */
static bool rows_overlap(const Choice *c, int row)
{
	for (int k = 0; k < 2; k++) {
		const Access *x = &c->nest->load[c->contraction.load[k]];
		for (int i = 0; i < x->buffer->rank; i++)
			for (int d = 0; d < c->nest->ndim; d++)
				if (is_space(c, d) && affine_k(&x->at[i].a, row) && affine_k(&x->at[i].a, d))
					return true;
	}
	return false;
}

/* The channels of the operand that lanes do not run along. -1: none. */
static int across_dim(const Choice *c, int x)
{
	int best = -1;
	for (int d = 0; d < c->nest->ndim; d++) {
		if (!is_space(c, d) || blocked(c, d) == 1) continue;
		if (d != c->lane && access_position(&c->nest->load[x], d) == 1) best = d;
	}
	return best;
}

/* Operands that are worth chunks, which a second-level cache holds otherwise. Where windows step it
 * is not near enough, if threads share blocks of channels evenly: 16 to 32 channels of 32x32 pixels
 * took a quarter longer. */
static int64_t least_bytes(const Choice *c, int x)
{
	enum { LEAST = 400 * 1024, LEAST_OF_STEPS = 64 * 1024, EVEN = 2 * CHANNEL_BLOCK };
	int across = across_dim(c, x);
	if (room_of_pixel(c) == 1 || across < 0) return LEAST;
	bool even = lane_extent(c) % EVEN == 0 || c->nest->dim[across].extent % EVEN == 0;
	return even ? LEAST_OF_STEPS : LEAST;
}

/* A block of channels of each operand fits the first-level cache, of lanes so many; windows that
 * step pass over more pixels of one than there are of the other. What is summed must be stored as
 * it is. false: one chunk is all, or it is near anyway. */
static bool find_chunks(const Choice *c, int64_t lane_block, Chunking *k)
{
	enum { POINTS = 224, LANES = 2 * CHANNEL_BLOCK };
	const Nest *n = c->nest;
	int x = broadcast_load(c);
	int64_t points = 1, row_points = 1;
	*k = (Chunking){image_dim(n), -1, 0, 0};
	if (k->image < 0 || x < 0 || n->nstore != 1 || n->store[0].value->kind != E_ACC) return false;
	if (bytes_of(c, x) + bytes_of(c, other_load(c, x)) < least_bytes(c, x)) return false;
	for (int d = k->image + 1; d < n->ndim; d++) {
		if (!is_reduced(c, d)) continue;
		if (k->row < 0)
			k->row = d;
		else
			row_points *= n->dim[d].extent;
		points *= n->dim[d].extent;
	}
	int64_t most = 2 * POINTS / (1 + room_of_pixel(c));
	most = most * LANES / MAX(lane_block, LANES);
	most = MAX(c->departure.chunks < 0 ? most / 2 : most << c->departure.chunks, 1);
	k->images = MIN(MAX(1, (most + points / 4) / points), n->dim[k->image].extent);
	if (k->row >= 0 && 4 * points > (rows_overlap(c, k->row) ? 6 : 5) * most) {
		int64_t rows = n->dim[k->row].extent, parts = (rows - 1) / MAX(1, most / row_points) + 1;
		k->rows = (rows - 1) / parts + 1;
	}
	return k->rows || k->images < n->dim[k->image].extent;
}

/* --- tasks --------------------------------------------------------------------------------- */

static bool moves_both(const Choice *c, int d)
{
	return access_moves(&c->nest->load[c->contraction.load[0]], d) &&
	       access_moves(&c->nest->load[c->contraction.load[1]], d);
}

/* Parts of the images, and groups: each has its own tasks. */
static int64_t count_parts(const Choice *c)
{
	int64_t parts = 1;
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && moves_both(c, d)) parts *= c->nest->dim[d].extent;
	return parts;
}

/* Threads get nearly the same of so many tasks. */
static bool shares_evenly(int64_t tasks)
{
	enum { MANY = 8 };
	return tasks % 2 == 0 || tasks >= MANY;
}

/* Values of a task, whole blocks: four tasks or some more are left for threads in all parts
 * together, an even number where there are few. Each task reads all of the other operand: vectors
 * of 64 bytes would wait for it with a single block of channels. What a task stores waits in the
 * second-level cache between chunks. */
static int64_t task_unit(const Choice *c, int64_t extent, int64_t block, int64_t parts)
{
	enum { TASKS = 4, STORED = 1 << 20 };
	int64_t most = (extent / MAX(TASKS / parts, 1) + block - 1) / block, best = 1;
	int64_t stored = 4 * c->nest->store[0].to.buffer->size / (parts * extent) * block;
	if (extent % block) return block;
	bool waits = block <= CHANNEL_BLOCK && c->target->vector_bytes >= WIDE_BLOCK;
	if (most == 1 && waits && extent > 2 * block) most = 2;
	most = MIN(most, MAX(STORED / MAX(stored, 1), 1));
	for (int64_t blocks = 1; blocks <= most; blocks++) {
		int64_t tasks = extent / (blocks * block) * parts;
		if (extent % (blocks * block) == 0 && shares_evenly(tasks)) best = blocks;
	}
	return best * block;
}

/* The channels that each task has a part of, those of the larger operand unless threads share the
 * other one's alone evenly; -1: both have but one block. */
static int task_channels(const Choice *c, int64_t lane_block)
{
	int x = broadcast_load(c), across = across_dim(c, x);
	int64_t lanes = (lane_extent(c) - 1) / lane_block + 1, blocks = 1, parts = count_parts(c);
	bool larger = bytes_of(c, x) > bytes_of(c, other_load(c, x));
	if (across >= 0) blocks = (c->nest->dim[across].extent - 1) / blocked(c, across) + 1;
	if (shares_evenly(blocks * parts) != shares_evenly(lanes * parts))
		larger = shares_evenly(blocks * parts);
	if (blocks > 1 && (larger || lanes == 1)) return across;
	return lanes > 1 ? c->lane : -1;
}

/* The loop over tasks: parts of the larger operand's channels; where there is but one block of
 * these, what comes first of channels and taps. Returns that dim, if its loop is over and done; -1.
 */
static int task_loop(Choice *c, int64_t lane_block, const Share *share, int nshare)
{
	int d = task_channels(c, lane_block);
	if (d >= 0) {
		bool lanes = d == c->lane;
		int64_t extent = lanes ? lane_extent(c) : c->nest->dim[d].extent;
		int64_t block = lanes ? lane_block : blocked(c, d);
		int64_t unit = task_unit(c, extent, block, lanes ? 1 : count_parts(c));
		if (lanes || unit < extent) row_line(c, LINE_FOR, d, unit);
		return -1;
	}
	for (d = 0; d < c->nest->ndim; d++) {
		if (!is_space(c, d) || d == c->lane || moves_both(c, d) || blocked(c, d) > 1) continue;
		if (is_shared(d, share, nshare)) continue;
		outer_loop(c, d, false);
		return d;
	}
	return -1;
}

/* Whether something else than channels moves one operand alone, as taps do. */
static bool has_taps(const Choice *c, int across)
{
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && d != c->lane && d != across && !moves_both(c, d)) return true;
	return false;
}

/* Lanes of a tile: four vectors, else three; of one image three as well where four would leave an
 * odd number of tasks. */
static int64_t wide_block(const Choice *c)
{
	enum { THREE = 3 * CHANNEL_BLOCK };
	int64_t lanes = lane_extent(c);
	int image = image_dim(c->nest);
	bool one = image >= 0 && c->nest->dim[image].extent == 1;
	if (lanes % WIDE_BLOCK) return THREE;
	return one && lanes / WIDE_BLOCK % 2 && lanes % (2 * THREE) == 0 ? THREE : WIDE_BLOCK;
}

/* Vectors of 64 bytes: as many for a few values of the other operand's channels, if these alone
 * share them. Returns lanes of a tile; 0: as elsewhere. */
int64_t sums_block(const Choice *c)
{
	Chunking k;
	if (c->target->vector_bytes < WIDE_BLOCK) return 0;
	int x = broadcast_load(c), across = x < 0 ? -1 : across_dim(c, x);
	int64_t block = wide_block(c);
	if (c->whole || across < 0 || lane_extent(c) % block || !find_chunks(c, block, &k)) return 0;
	return has_taps(c, across) ? 0 : block;
}

/* Few channels, as those of a picture: with all of their taps, 3x3 of 3, they fill the registers
 * beside one vector along the lanes. A tile for each channel would read all gradients again, which
 * matters where these come from far away; and without it there would be one task alone if they are
 * a single vector. */
int window_shares(const Choice *c, int64_t room, Share *share)
{
	int n = 0, x = broadcast_load(c);
	if (image_dim(c->nest) < 0 || x < 0 || c->nest->dim[c->lane].extent <= c->lanes) return 0;
	if (bytes_of(c, other_load(c, x)) < LEAST_STREAM) return 0;
	for (int d = 0; d < c->nest->ndim && room; d++) {
		if (!shares(c, d)) continue;
		if (n == MOST_SHARES) return 0;
		share[n++] = share_of(c, d, c->nest->dim[d].extent);
		room /= c->nest->dim[d].extent;
		if (!share[n - 1].whole) return 0;
	}
	return room && n == MOST_SHARES ? n : 0;
}

/* Whether a tile of so many lanes would leave one task: a block of each operand's channels is all.
 */
bool is_one_task(const Choice *c, int64_t lane_block)
{
	Chunking k;
	if (c->whole || lane_extent(c) > lane_block || !find_chunks(c, lane_block, &k)) return false;
	int across = across_dim(c, broadcast_load(c));
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && moves_both(c, d)) return false;
	return across >= 0 && c->nest->dim[across].extent <= blocked(c, across);
}

bool image_loops(Choice *c, int64_t lane_block, const Share *share, int nshare)
{
	Chunking k;
	if (c->whole || !find_chunks(c, lane_block, &k)) return false;
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && moves_both(c, d)) outer_loop(c, d, false);
	int done = task_loop(c, lane_block, share, nshare);
	if (c->nest->dim[k.image].extent > 1) row_line(c, LINE_FOR, k.image, k.images);
	if (k.rows) row_line(c, LINE_FOR, k.row, k.rows);
	if (lane_extent(c) > lane_block) row_line(c, LINE_FOR, c->lane, lane_block);
	for (int d = 0; d < c->nest->ndim; d++)
		if (is_space(c, d) && d != c->lane && d != done && !moves_both(c, d))
			outer_loop(c, d, is_shared(d, share, nshare));
	for (int s = nshare - 1; s >= 0; s--)
		if (!share[s].whole) row_line(c, LINE_TILE, share[s].dim, share[s].by);
	return true;
}

/* --- prefetches ---------------------------------------------------------------------------- */

/* Elements by which an operand moves with so many steps of dim d; 0: not known, or too many. */
static int distance(const Access *x, int d, int64_t steps)
{
	int64_t sum = access_step(x, d);
	bool fits = mul_fits(sum, steps, &sum) && sum < INT32_MAX / 4 && sum > -INT32_MAX / 4;
	return fits ? (int)sum : 0;
}

/* Whole blocks of its channels lie side by side. */
static bool is_blocked(const Access *x)
{
	const Component *last = &x->buffer->comp[x->buffer->ncomp - 1];
	return x->buffer->ncomp && last->mod >= NARROW_BLOCK;
}

/* From a pixel to the same one in the next block of x's channels; 0: there are no more, or no other
 * pixels between. */
static int64_t block_step(const Access *x)
{
	enum { CHANNEL = 1 };
	const Buffer *b = x->buffer;
	int64_t block = b->ncomp ? b->comp[b->ncomp - 1].mod : 0;
	for (int i = 0; i < b->ncomp; i++) {
		const Component *c = &b->comp[i];
		if (c->dim == CHANNEL && !c->mod && c->extent > 1 && c->stride > block)
			return c->stride < INT32_MAX / 4 ? c->stride : 0;
	}
	return 0;
}

/* The longest dim of channels of x that is summed, in blocks: not those of another group. */
static int64_t summed_blocks(const Nest *n, const Access *x)
{
	enum { CHANNEL = 1 };
	int64_t most = 0;
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce && access_position(x, d) == CHANNEL)
			most = MAX(most, n->dim[d].extent);
	return most / CHANNEL_BLOCK;
}

static bool sums_windows(const Nest *n)
{
	int sums = 0;
	for (int d = 0; d < n->ndim; d++) sums += n->dim[d].reduce && n->dim[d].extent > 1;
	return sums > 1;
}

/* Of an image the same pixels of a later block of channels, asked for as long before they are due
 * as memory takes; of the last blocks these are useless. That saves 2 to 3 percent of 1x1
 * convolutions of 16 images, up to a fifth where outputs are few, and 1 to 2 percent of windows,
 * which stay with a block for longer. Of few blocks, pixels further on that the next tile takes;
 * but where windows step over some, these would be asked for, too. */
static int pixels_ahead(const Nest *n, const Access *x)
{
	enum { PIXELS = 8, BLOCKS = 3, OF_ONE_IMAGE = 2, LEAST = 8, LEAST_OF_WINDOWS = 4 };
	bool windows = sums_windows(n), steps = false;
	int64_t step = block_step(x);
	int64_t ahead = windows ? 1 : x->buffer->shape[0] == 1 ? OF_ONE_IMAGE : BLOCKS;
	if (summed_blocks(n, x) >= (windows ? LEAST_OF_WINDOWS : LEAST) && step)
		return (int)(ahead * step);
	for (int d = n->ndim - 1; d >= 0; d--) {
		if (n->dim[d].reduce || n->dim[d].extent == 1 || !access_moves(x, d)) continue;
		for (int i = 0; i < x->buffer->rank; i++) steps |= affine_k(&x->at[i].a, d) > 1;
		return steps && step ? (int)step : distance(x, d, PIXELS);
	}
	return 0;
}

/* Weights that lie row by row, if they are not small: those further on in each row, or the next
 * strip of it, or of the next rows. Into the first-level cache, unless they come from memory: a
 * core waits for few lines at a time itself, and what is near already has no need of the second
 * level. Long rows of one image's matrix are streams, which some processors see: on these, asking
 * takes a tenth on one thread and a quarter on two; of shorter ones and of a smaller matrix it
 * helps them, too. Where tiles go along whole rows that are pages apart, all of these, and the next
 * ones, would meet in the same few lines of the first-level cache: those further on in each row
 * take a twentieth less on one thread and a seventh on two. Where images are lanes, a tile takes
 * single elements of whole rows, and asks for those of the next one. */
static void ask_for_rows(const Choice *c, const MatrixProduct *m, Nest *copy)
{
	enum { AHEAD_ROW = 128, LEAST_BYTES = 1 << 20, NEAR = 1 << 25 };
	enum { SEEN_BYTES = 1 << 23, SEEN_COLUMNS = 2048, PAGE = 4096 };
	Access *w = &copy->load[m->w];
	int64_t bytes = bytes_of(c, m->w);
	bool strips = m->x == c->nest->nload, one = strips && m->images == 1, several = strips && !one;
	bool is_near = bytes <= NEAR, of_images = !access_moves(w, c->lane);
	bool meet = m->part >= 0 && 4 * access_step(w, m->row) % PAGE == 0;
	if (bytes < LEAST_BYTES || (of_images && !is_near)) return;
	if (several)
		w->prefetch = PRODUCT_STRIP;
	else if (one && is_near && !meet)
		w->prefetch = distance(w, m->row, PRODUCT_ROWS);
	else
		w->prefetch = AHEAD_ROW;
	w->far = of_images || !(is_near || several);
	w->seen = one && bytes >= SEEN_BYTES && lane_extent(c) >= SEEN_COLUMNS;
}

/* A matrix that a sum over a few images moves: it, and what goes along with it, is a stream in each
 * row of a tile, and more of these than a processor sees. */
static const Nest *ask_for_moved(Arena *a, const Nest *n, const Choice *c)
{
	enum { AHEAD = 128 };
	MatrixProduct m;
	if (!matrix_product(n, &m) || m.w != n->nload) return n;
	Nest *copy = nest_copy(a, n);
	for (int l = 0; l < n->nload; l++) {
		Access *x = &copy->load[l];
		if (load_in_update(n, l) || !access_moves(x, m.row) || bytes_of(c, l) < LEAST_STREAM)
			continue;
		x->early = true;
		x->prefetch = AHEAD;
	}
	return copy;
}

/* Whether a tile of one vector has all sums of a pixel, and reads it once. */
static bool is_one_tile(const Choice *c)
{
	int64_t sums = 1, room = register_room(c);
	for (int d = 0; d < c->nest->ndim && sums <= room; d++)
		if (is_space(c, d) && d != c->lane && !moves_both(c, d)) sums *= c->nest->dim[d].extent;
	return sums <= room;
}

/* Of a sum over images the next chunk, which the second-level cache holds until it is due. What all
 * tasks read is there already, if it is small: asking for it again costs 1x1 convolutions up
 * to 5 percent. So it does where each channel's taps have a tile, and all of these would ask for
 * the same lines: rows are streams that a processor sees, without a word of ours. */
static void ask_for_chunks(const Choice *c, int64_t lane_block, const Chunking *k, Nest *copy)
{
	enum { NEAR = 1 << 19 };
	int d = task_channels(c, lane_block), across = across_dim(c, broadcast_load(c));
	if (has_taps(c, across) && !is_one_tile(c)) return;
	for (int i = 0; i < 2; i++) {
		int load = c->contraction.load[i];
		Access *x = &copy->load[load];
		bool again = d >= 0 && !access_moves(x, d);
		if (again && bytes_of(c, load) / count_parts(c) <= NEAR) continue;
		x->prefetch = distance(x, k->rows ? k->row : k->image, k->rows ? k->rows : k->images);
		x->far = true;
	}
}

/* Weights larger than that cache, and pixels: a tile takes a few of each block of channels, no
 * stream that a processor would see. Weights of one image, or of all Winograd's tiles in one turn,
 * come from memory, smaller ones too, and are asked for sooner, unless they lie row by row, where
 * this would be another row; 16 images were some 2 percent slower by that. So is what the sums are
 * stored with, as a residual is. */
static void ask_for_operands(const Choice *c, int x, Nest *copy)
{
	enum { AHEAD_WEIGHTS = 512, LEAST_WEIGHTS = 1 << 20 };
	MatrixProduct m;
	int w = other_load(c, x);
	bool once = c->nest->load[x].buffer->shape[0] == 1;
	bool by_rows = matrix_product(c->nest, &m) && m.w < c->nest->nload;
	if (by_rows) ask_for_rows(c, &m, copy);
	if (bytes_of(c, w) >= (once ? LEAST_WEIGHTS / 8 : LEAST_WEIGHTS) && !(by_rows && m.w == w))
		copy->load[w].prefetch = once ? 2 * AHEAD_WEIGHTS : AHEAD_WEIGHTS;
	if (bytes_of(c, x) >= LEAST_STREAM && is_blocked(&copy->load[x]))
		copy->load[x].prefetch = pixels_ahead(c->nest, &copy->load[x]);
	for (int l = 0; l < copy->nload; l++)
		copy->load[l].early = !load_in_update(c->nest, l) &&
		                      access_moves(&copy->load[l], c->lane) &&
		                      bytes_of(c, l) >= LEAST_STREAM;
}

/* The dim that windows go down along in x, over an image's rows: its index has taps as well; -1:
 * none. */
static int window_row(const Nest *n, const Access *x)
{
	enum { ROW = 2 };
	for (int i = ROW; i < x->buffer->rank - 1; i++) {
		int row = -1, tap = -1;
		for (int d = 0; d < n->ndim; d++) {
			if (!affine_k(&x->at[i].a, d) || n->dim[d].extent == 1) continue;
			*(n->dim[d].reduce ? &tap : &row) = d;
		}
		if (row >= 0 && tap >= 0) return row;
	}
	return -1;
}

/* What maps write to: processors see streams of loads, but not of stores. Asking for these lines
 * made a map over 50 MB half as fast again. */
static const Nest *ask_for_stores(Arena *a, const Nest *n)
{
	enum { AHEAD_STORE = 128 };
	Nest *copy = NULL;
	for (int i = 0; i < n->nstore; i++) {
		if (4 * n->store[i].to.buffer->size < LEAST_STREAM) continue;
		if (!copy) copy = nest_copy(a, n);
		copy->store[i].to.prefetch = AHEAD_STORE;
	}
	return copy ? copy : n;
}

/* Rows from one that a phase of strides takes to its next. */
static int64_t row_stride(const Nest *n, int row)
{
	int64_t stride = 1;
	for (int g = 0; g < n->nguard; g++)
		if (n->guard[g].kind == GUARD_DIVIDES && affine_k(&n->guard[g].e[0].a, row))
			stride = MAX(stride, n->guard[g].q);
	return stride;
}

/* Windows without weights: the same place of the next row of windows, and of what their results are
 * stored with. Taps pass over each line several times, in an order that no processor sees: a
 * pooling of 50 MB took three times as long without. */
static const Nest *ask_for_windows(Arena *a, const Nest *n)
{
	enum { LEAST_AHEAD = 256 };
	Nest *copy = NULL;
	int row = -1;
	for (int l = 0; l < n->nload && row < 0; l++)
		if (load_in_update(n, l)) row = window_row(n, &n->load[l]);
	for (int l = 0; l < n->nload && row >= 0; l++) {
		const Access *x = &n->load[l];
		int ahead = distance(x, row, load_in_update(n, l) ? 1 : row_stride(n, row));
		if (4 * x->buffer->size < LEAST_STREAM || ahead < LEAST_AHEAD) continue;
		if (!copy) copy = nest_copy(a, n);
		copy->load[l].prefetch = ahead;
	}
	return copy ? copy : n;
}

/* What comes from far away is asked for ahead, and so is where the sums go. Distances were
 * measured: 1x1 convolutions that step over every other pixel take a fifth less when they ask for
 * blocks. */
const Nest *ask_ahead(Arena *a, const Nest *n, const Target *t)
{
	Choice c = {.nest = n, .target = t, .contraction = contraction_of(n), .lane = lane_dim(n)};
	int x = c.lane < 0 ? -1 : broadcast_load(&c);
	if (x < 0) return ask_for_stores(a, c.contraction.is ? n : ask_for_windows(a, n));
	Chunking k;
	int64_t lane_block = MAX(sums_block(&c), CHANNEL_BLOCK);
	bool chunks = find_chunks(&c, lane_block, &k);
	if (!chunks && image_dim(n) >= 0) return ask_for_moved(a, n, &c);
	Nest *copy = nest_copy(a, n);
	if (chunks)
		ask_for_chunks(&c, lane_block, &k, copy);
	else
		ask_for_operands(&c, x, copy);
	for (int i = 0; i < n->nstore; i++)
		copy->store[i].to.early = 4 * n->store[i].to.buffer->size >= LEAST_STREAM;
	return copy;
}
