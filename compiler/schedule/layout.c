/* layout: a layout for every buffer that is ours, and copies where a fixed buffer must be read or
 * written in another form.
 *
 * Channels are blocked: 16 side by side, so that a block is one vector of the widest target and two
 * or four of the others; 5 to 8 are a block of 8, since the rest of 16 would be read and written
 * for nothing, unless no target has vectors that short. Where somebody begins inside of a block (a
 * slice, a part of a concatenation, groups of a few channels), all of a pixel's channels lie side
 * by side instead. Up to four channels stay plain. A ragged last block has room for whole vectors:
 * copies fill it with zeros, everything else may leave rubbish there, and sums run over the logical
 * extent only.
 *
 * What the user owns (weights, images, gradients, outputs) is row-major. A nest that wants it
 * otherwise reads a copy: one for each buffer and layout, made just before its first reader. */
#include "internal.h"

typedef struct {
	Arena *arena;
	Part *part;
	const Use *use; /* as it was before copies were put in */
	Map copy;       /* Copies by what copy_key() says */
	bool narrow;    /* a target has vectors for the narrow block */
} Layout;

typedef struct {
	Buffer *to;
	int used; /* by which step last */
} Copy;

/* A copy that nobody read for so many steps is made again, and not kept: weights of a layer that is
 * computed twice. */
enum { FAR = 64 };

int64_t channel_block(int64_t channels)
{
	if (channels <= PLAIN_CHANNELS) return 1;
	return channels <= NARROW_BLOCK ? NARROW_BLOCK : CHANNEL_BLOCK;
}

static int64_t block_of(const Layout *l, int64_t channels)
{
	int64_t block = channel_block(channels);
	return block == NARROW_BLOCK && !l->narrow ? CHANNEL_BLOCK : block;
}

static bool has_narrow_vectors(const Target *const *target, int ntarget, bool is_double)
{
	for (int t = 0; t < ntarget; t++) {
		int lanes = target[t]->vector_bytes / (is_double ? 8 : 4);
		if (lanes > 1 && lanes <= NARROW_BLOCK) return true;
	}
	return false;
}

/* The index at `position` keeps whole blocks together: one dim that steps by one at the most, all
 * else multiples of the block. */
static bool fits_block(const Nest *n, const Access *x, int position, int64_t block)
{
	const Affine *a = &x->at[position].a;
	int units = 0;
	if (x->at[position].q != 1 || a->c % block) return false;
	for (int t = 0; t < a->n; t++) {
		if (a->t[t].k % block == 0 || n->dim[a->t[t].var].extent == 1) continue;
		if (a->t[t].k != 1) return false;
		units++;
	}
	return units <= 1;
}

static bool all_fit(const Layout *l, const Buffer *b, int position, int64_t block)
{
	const Use *use = &l->use[b->id];
	for (int i = 0; i < use->load.n; i++) {
		const Nest *n = l->part->step.at[use->load.at[i]].nest;
		for (int k = 0; k < n->nload; k++)
			if (n->load[k].buffer == b && !fits_block(n, &n->load[k], position, block))
				return false;
	}
	for (int i = 0; i < use->store.n; i++) {
		const Nest *n = l->part->step.at[use->store.at[i]].nest;
		for (int k = 0; k < n->nstore; k++)
			if (n->store[k].to.buffer == b && !fits_block(n, &n->store[k].to, position, block))
				return false;
	}
	return true;
}

/* "a b/16 c d b%16": dim `lane` innermost, in blocks; `second`, when blocked too, just outside of
 * it: "b/16 a/16 c d a%16 b%16", as all that one block of lanes sums over lies together. It is read
 * again and again, and its pieces must not fall on a few sets of the caches. */
static const char *blocked_text(Arena *a, int rank, int lane, int64_t block, int second)
{
	Text t;
	const int64_t second_block = CHANNEL_BLOCK;
	text_init(&t, a);
	if (second >= 0) text_printf(&t, "%c/%lld ", 'a' + lane, (long long)block);
	for (int d = 0; d < rank; d++) {
		int64_t by = d == lane ? block : d == second ? second_block : 1;
		if (d == lane && second >= 0) continue;
		text_printf(&t, "%c", 'a' + d);
		if (by > 1) text_printf(&t, "/%lld", (long long)by);
		text_add(&t, " ");
	}
	if (second >= 0) text_printf(&t, "%c%%%lld ", 'a' + second, (long long)second_block);
	text_printf(&t, "%c%%%lld", 'a' + lane, (long long)block);
	return t.data;
}

/* "a c d b": one dim innermost, whole: wherever a vector of it begins. */
static const char *last_text(Arena *a, int rank, int lane)
{
	Text t;
	text_init(&t, a);
	for (int d = 0; d < rank; d++)
		if (d != lane) text_printf(&t, "%c ", 'a' + d);
	text_printf(&t, "%c", 'a' + lane);
	return t.data;
}

static void apply(Buffer *b, const char *layout)
{
	if (!buffer_layout(b, layout, 0)) bug("layout '%s' does not fit %s", layout, b->name);
}

/* --- our own buffers ----------------------------------------------------------------------- */

/* Planes of a multiple of 4096 bytes would fall on one set of the first-level cache: a line more.
 */
static void lay_blocks(Buffer *b, const char *layout, int position)
{
	enum { PAGE = 1024, LINE = 16 }; /* elements of 4 bytes */
	int64_t plane = CHANNEL_BLOCK;
	apply(b, layout);
	for (int d = 2; d < b->rank; d++) plane *= b->shape[d];
	if (position == 1 && b->rank > 2 && b->shape[1] > CHANNEL_BLOCK && plane % PAGE == 0)
		buffer_layout(b, layout, LINE);
}

/* Whether a pixel's images would stand apart by pixels: a sum over images and their pixels. */
static bool sums_pixels(const Nest *n, int image)
{
	for (int d = 0; d < n->ndim; d++)
		if (d != image && n->dim[d].reduce && n->dim[d].extent > 1) return true;
	return false;
}

/* The reduced dim that should stand next to the lanes in weights: the channels that are summed.
 * Images do where they have no pixels. Else an image's pixels would lie a block of images apart:
 * gradients by weights were slower by a quarter. */
static int second_position(const Nest *n, const Refined *r, int lane)
{
	int image = image_dim(n);
	for (int d = 0; d < n->ndim; d++) {
		if (d == image && sums_pixels(n, d)) continue;
		int at =
		    n->dim[d].reduce && n->dim[d].extent >= CHANNEL_BLOCK ? refined_position(r, d) : -1;
		if (at >= 0 && at != lane && r->shape[at] % CHANNEL_BLOCK == 0 && at <= 1) return at;
	}
	return -1;
}

/* The position in which a contraction has its lanes in x: outputs of weights or channels of images,
 * never columns; -1. */
static int lane_position(const Nest *n, const Access *x)
{
	int d = contraction_of(n).is ? lane_dim(n) : -1;
	int at = d >= 0 ? access_position(x, d) : -1;
	return at <= 1 ? at : -1;
}

/* Which dim of b those who write it would have along the lanes; else those who sum over it, as over
 * weights that a batch norm was folded into: then `second` is the summed one beside it, or -1. */
static int wanted_position(const Layout *l, const Buffer *b, int *second)
{
	const Use *use = &l->use[b->id];
	int at;
	*second = -1;
	for (int i = 0; i < use->store.n; i++) {
		const Nest *n = l->part->step.at[use->store.at[i]].nest;
		int k = nest_store_of(n, b);
		if (k >= 0 && (at = lane_position(n, &n->store[k].to)) >= 0) return at;
	}
	for (int i = 0; i < use->load.n; i++) {
		const Nest *n = l->part->step.at[use->load.at[i]].nest;
		for (int k = 0; k < n->nload; k++) {
			Refined r;
			if (n->load[k].buffer != b || !load_in_update(n, k)) continue;
			if ((at = lane_position(n, &n->load[k])) < 0) continue;
			if (refine(n, &n->load[k], &r) && r.rank == b->rank)
				*second = second_position(n, &r, at);
			return at;
		}
	}
	return MIN(b->rank - 1, 1); /* channels */
}

static bool meets_matrix(const Layout *l, const Steps *steps)
{
	MatrixProduct m;
	for (int i = 0; i < steps->n; i++)
		if (keeps_matrix(l->part, l->part->step.at[steps->at[i]].nest, &m) && m.images > 1)
			return true;
	return false;
}

static void lay_out(Layout *l, Buffer *b)
{
	if (b->type != TYPE_REAL || b->rank == 0 || b->laid) return;
	int second, position = wanted_position(l, b, &second);
	int64_t block = position < 0 ? 1 : block_of(l, b->shape[position]);
	if (block == 1) return;
	if (!all_fit(l, b, position, block)) {
		apply(b, last_text(l->arena, b->rank, position));
		return;
	}
	if (b->rank == 2 && position == 1 &&
	    (meets_matrix(l, &l->use[b->id].load) || meets_matrix(l, &l->use[b->id].store))) {
		apply(b, "b/16 a b%16"); /* whose images are not a page apart, as rows often are */
		return;
	}
	if (second >= 0 && !all_fit(l, b, second, CHANNEL_BLOCK)) second = -1;
	lay_blocks(b, blocked_text(l->arena, b->rank, position, block, second), position);
}

/* --- copies of what is fixed --------------------------------------------------------------- */

static const char *const copy_dims[] = {"a", "b", "c", "d", "e", "f"};

/* A nest that moves numbers of b for that of `reader`. */
static Nest *copying(Layout *l, const Nest *reader, const Buffer *b, const char *name)
{
	Nest *n = nest_part(l->arena, reader, name);
	n->layer = b->name;
	return n;
}

/* to[i...] = from[its place] */
static Nest *copy_nest(
    Layout *l, const Nest *reader, const Buffer *from, const Refined *r, Buffer *to)
{
	Nest *n = copying(l, reader, from, "pack");
	Affine at[BUFFER_RANK];
	Index source[BUFFER_RANK];
	for (int d = 0; d < from->rank; d++) source[d] = index_of(affine_number(0));
	for (int d = 0; d < to->rank; d++) {
		at[d] = affine_var(nest_dim(n, copy_dims[d], to->shape[d], false));
		source[r->position[d]].a =
		    affine_add(source[r->position[d]].a, affine_scale(at[d], r->weight[d]));
	}
	nest_store(n, "y", to, at, e_load(l->arena, nest_load(n, "x", (Buffer *)from, source)));
	return n;
}

/* Zeros in the room that dim `padded` has beyond its shape. */
static Nest *zero_nest(Layout *l, const Nest *reader, Buffer *to, int padded)
{
	Nest *n = copying(l, reader, to, "zero");
	Affine at[BUFFER_RANK];
	for (int d = 0; d < to->rank; d++) {
		int64_t extent = d == padded  ? to->room[d] - to->shape[d]
		                 : d < padded ? to->shape[d]
		                              : to->room[d];
		at[d] = affine_plus(
		    affine_var(nest_dim(n, copy_dims[d], extent, false)), d == padded ? to->shape[d] : 0);
	}
	nest_store(n, "y", to, at, e_num(l->arena, 0));
	return n;
}

/* Before step `at`, or before its group. */
static void insert_before(Layout *l, int at, const Nest *n, const char *comment)
{
	const Step *step = l->part->step.at;
	while (at && step[at].group && step[at].group == step[at - 1].group) at--;
	part_insert(l->arena, l->part, at, n, comment);
}

/* Which buffer, in which digits and layout. */
static const char *copy_key(Layout *l, const Buffer *from, const Refined *r, const char *layout)
{
	Text t;
	text_init(&t, l->arena);
	text_printf(&t, "%d ", from->id);
	for (int d = 0; d < r->rank; d++)
		text_printf(
		    &t, "%d*%lld:%lld ", r->position[d], (long long)r->weight[d], (long long)r->shape[d]);
	text_add(&t, layout);
	return t.data;
}

/* The copy of a fixed buffer in this form that is there already for step `at`; NULL. */
static Buffer *copy_there(
    Layout *l, const Buffer *from, const Refined *r, const char *layout, int at)
{
	const char *key = copy_key(l, from, r, layout);
	Copy *copy = map_get(&l->copy, key, strlen(key));
	if (!copy || at - copy->used > FAR) return NULL;
	copy->used = at;
	return copy->to;
}

/* The copy of a fixed buffer in this form; made before step *at, which then moves on by one. */
static Buffer *copied(Layout *l, const Buffer *from, const Refined *r, const char *layout, int *at)
{
	Buffer *to = copy_there(l, from, r, layout, *at);
	const Nest *reader = l->part->step.at[*at].nest;
	if (to) return to;
	to = part_buffer(l->arena, l->part, from->name, TYPE_REAL, r->rank, r->shape, PLACE_WORK);
	apply(to, layout);
	Nest *n = copy_nest(l, reader, from, r, to);
	insert_before(l, (*at)++, n, arena_printf(l->arena, "%s: packed for the kernels", from->name));
	for (int d = 0; d < to->rank; d++)
		if (to->room[d] > to->shape[d])
			insert_before(l, (*at)++, zero_nest(l, reader, to, d),
			    arena_printf(l->arena, "%s: the last block's end", from->name));
	const char *key = copy_key(l, from, r, layout);
	Copy *copy = NEW(l->arena, Copy);
	*copy = (Copy){to, *at};
	map_put(&l->copy, key, strlen(key), copy);
	return to;
}

/* Sums and functions gain more by vectors than copies cost; another map is as quick as the copy. */
static bool is_worth_copies(const Nest *n)
{
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce) return true;
	return stores_use(n, E_CALL);
}

/* A copy would be the same numbers in the same order; or, with a second dim in blocks, of weights
 * of a dense layer, which are used so seldom that it costs more than it gains. */
static bool lies_so(const Buffer *b, const Refined *r, int position, int64_t block)
{
	return r->rank == b->rank && b->shape[position] % block == 0 && buffer_run(b, position) > 1;
}

/* A load's indices of their own dims, one of which is to be in blocks. */
typedef struct {
	Refined r;
	int position;
	int64_t block;
} Blocks;

/* Values along the lanes, where they do not lie side by side, or the last block has no room. */
static bool blocks_of_lanes(const Layout *l, const Nest *n, const Access *x, int lanes, Blocks *to)
{
	const Buffer *b = x->buffer;
	int position = access_position(x, lanes);
	to->block = block_of(l, n->dim[lanes].extent);
	if (to->block == 1) return false;
	if (n->dim[lanes].reduce && position >= 0 && buffer_run(b, position) > 1) return false;
	if (b->rank == 1 && buffer_run(b, 0) > 1 && b->shape[0] % to->block == 0) return false;
	if (!refine(n, x, &to->r)) return false;
	to->position = refined_position(&to->r, lanes);
	return to->position >= 0;
}

/* Channels of images that have many, which a contraction's lanes all read. */
static bool blocks_of_channels(const Layout *l, const Nest *n, const Access *x, Blocks *to)
{
	enum { CHANNELS = 1 };
	const Buffer *b = x->buffer;
	if (!contraction_of(n).is || b->place != PLACE_INPUT || b->rank <= CHANNELS) return false;
	to->position = CHANNELS;
	to->block = block_of(l, b->shape[CHANNELS]);
	return b->shape[CHANNELS] > PLAIN_CHANNELS && refine(n, x, &to->r) && to->r.rank == b->rank;
}

/* A load that lies otherwise than lanes would have it reads a copy. */
static void relay_load(Layout *l, Nest *n, int k, int lanes, int *step)
{
	Access *x = &n->load[k];
	const Buffer *b = x->buffer;
	Blocks to;
	if (!b->fixed || b->type != TYPE_REAL || nest_store_of(n, b) >= 0) return;
	bool moves = access_moves(x, lanes);
	if (!(moves ? blocks_of_lanes(l, n, x, lanes, &to) : blocks_of_channels(l, n, x, &to))) return;
	Access probe = *x;
	probe.at = to.r.at;
	if (!fits_block(n, &probe, to.position, to.block)) return;
	bool is_weights = moves && contraction_of(n).is && load_in_update(n, k);
	int second = is_weights ? second_position(n, &to.r, to.position) : -1;
	if ((second < 0 || b->rank == 2) && lies_so(b, &to.r, to.position, to.block)) return;
	const char *layout = blocked_text(l->arena, to.r.rank, to.position, to.block, second);
	if (b->rank > 1 && !is_worth_copies(n) && !copy_there(l, b, &to.r, layout, *step)) return;
	access_put(l->arena, x, copied(l, b, &to.r, layout, step), to.r.at);
}

/* A store along whose lanes values do not lie side by side goes to a buffer of ours, and from
 * there. */
static void relay_store(Layout *l, Nest *n, int k, int lanes, int step)
{
	Access *x = &n->store[k].to;
	Buffer *b = x->buffer;
	int64_t block = block_of(l, n->dim[lanes].extent);
	int position = access_position(x, lanes);
	if (!b->fixed || block == 1 || position < 0 || !fits_block(n, x, position, block)) return;
	if (buffer_run(b, position) > 1 && n->dim[lanes].extent % block == 0 &&
	    b->shape[position] % block == 0)
		return;
	if (nest_load_of(n, b) >= 0) return;
	Buffer *own = part_buffer(l->arena, l->part, b->name, TYPE_REAL, b->rank, b->shape, PLACE_WORK);
	apply(own, blocked_text(l->arena, b->rank, position, block, -1));
	x->buffer = own;
	Nest *copy = copying(l, n, b, "unpack");
	Affine at[BUFFER_RANK];
	Index from[BUFFER_RANK];
	for (int d = 0; d < b->rank; d++) {
		at[d] = affine_var(nest_dim(copy, copy_dims[d], b->shape[d], false));
		from[d] = index_of(at[d]);
	}
	nest_store(copy, "y", b, at, e_load(l->arena, nest_load(copy, "x", own, from)));
	part_insert(l->arena, l->part, group_end(l->part, step), copy,
	    arena_printf(l->arena, "%s: back to row-major", b->name));
}

/* A store to a fixed buffer that covers it, and nobody else writes it. */
static bool sole_writer(const Layout *l, const Nest *n, const Buffer *b)
{
	int64_t points = 1, elements = 1;
	if (l->use[b->id].store.n > 1) return false;
	for (int d = 0; d < n->ndim; d++) points *= n->dim[d].reduce ? 1 : n->dim[d].extent;
	for (int d = 0; d < b->rank; d++) elements *= b->shape[d];
	return points == elements;
}

/* The dim along the lanes when it is channels, or outputs of weights; -1: columns, or a plain map.
 */
static int lanes_of_channels(const Nest *n)
{
	int lanes = lane_dim(n);
	if (lanes < 0 || (!is_worth_copies(n) && n->nload == 1)) return -1;
	const Access *to = &n->store[0].to;
	return access_position(to, lanes) > 1 && !to->buffer->laid ? -1 : lanes;
}

/* The dim along the lanes of a product with a matrix that stays as it is: never rows. */
static int lanes_of_product(const Nest *n, const MatrixProduct *m)
{
	int lanes = lane_dim(n);
	return lanes == m->row ? m->column[0] : lanes;
}

static void relay_step(Layout *l, int *step)
{
	const Nest *old = l->part->step.at[*step].nest;
	MatrixProduct m;
	EntryKind kind = l->part->kind;
	if (kind == ENTRY_UPDATE || kind == ENTRY_INIT) return;
	if (moves_weights(old) && !old->nacc) return;
	bool kept = keeps_matrix(l->part, old, &m) && m.columns == 1;
	int lanes = kept ? lanes_of_product(old, &m) : lanes_of_channels(old);
	if (lanes < 0) return;
	Nest *n = nest_copy(l->arena, old);
	l->part->step.at[*step].nest = n;
	for (int k = 0; k < n->nload; k++)
		if (!kept || k != m.w) relay_load(l, n, k, lanes, step);
	for (int k = 0; k < n->nstore; k++)
		if ((!kept || m.w < n->nload) && is_worth_copies(n) &&
		    sole_writer(l, n, n->store[k].to.buffer))
			relay_store(l, n, k, lanes, *step);
}

void layout_part(Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double)
{
	Layout l = {.arena = a, .part = p, .narrow = has_narrow_vectors(target, ntarget, is_double)};
	l.use = part_uses(a, p);
	map_init(&l.copy, a);
	for (int i = 0; i < p->buffer.n; i++)
		if (!p->buffer.at[i]->fixed) lay_out(&l, p->buffer.at[i]);
	const Part old = *p;
	int done = 0;
	p->step.at =
	    NULL; /* steps and groups come back one by one, so that copies are put near the end */
	p->step.n = p->step.room = 0;
	for (int i = 0; i < old.step.n;) {
		for (int end = group_end(&old, i); i < end; i++) vec_push(a, p->step, old.step.at[i]);
		for (; done < p->step.n; done++) relay_step(&l, &done);
	}
}
