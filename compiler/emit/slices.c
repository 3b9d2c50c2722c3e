/* slices: what the next chunk of a sum over images will read, and the next block of weights.
 *
 * In a chunk many tiles read the same block of an operand. Each of them asks for a part of the same
 * block of the next chunk, as their number among these says, so that every line is asked for once
 * and memory is never idle:
 *
 *   tile0(x, dy, dw, dw_0, dy_0, x_0, x_next);
 *   x_next = (oh == 1 ? 98784 : 1568) + 16 * (256 * oc * 98 / 1024)
 *
 *   for (ow = 0; ow < 14; ow++) {
 *           if (ow % 8 == 0) CNNC_PREFETCH_FAR(x, x_1 + x_next);
 *
 * Lines of a block lie side by side, pixel by pixel, or in runs: of an image or, where a window
 * steps over pixels, of a row.
 *
 * So it is with weights that tiles over pixels read block by block: each has its slice of the next.
 */
#include "internal.h"

/* The one dim of space that moves this operand alone, and that of the other one; what moves both,
 * as parts and groups do, is a task's. */
static bool find_space(const Nest *n, const Access *x, const Access *other, int *own, int *across)
{
	*own = *across = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce || n->dim[d].extent == 1) continue;
		bool moves = access_moves(x, d), both = moves && access_moves(other, d);
		int *found = moves ? own : across;
		if (both) continue;
		if (*found >= 0 || moves == access_moves(other, d)) return false;
		*found = d;
	}
	return *own >= 0 && *across >= 0;
}

/* The tile's loops, one in the other, from the outermost; 0: there is more to it. */
static int loops_of(const Tile *t, const Tree **loop)
{
	int n = 0;
	for (const Tree *at = t->tree; at->kind != TREE_LEAF; at = at->kid.at[0]) {
		if (at->kid.n != 1 || n > NEST_DIMS) return 0;
		if (at->kind == TREE_LOOP) loop[n++] = at;
	}
	return n;
}

/* Lines that lie evenly apart in turns of the innermost loop, and perhaps of those around it. */
static bool find_run(const Tile *t, const Access *x, int64_t line, Slice *s)
{
	const Tree *loop[NEST_DIMS + 1];
	int n = loops_of(t, loop);
	if (!n) return false;
	s->run = 1;
	s->outside = n;
	s->step = access_step(x, loop[n - 1]->dim);
	while (s->outside && access_step(x, loop[s->outside - 1]->dim) == s->step * s->run)
		s->run *= loop[--s->outside]->count;
	return s->step > 0 && s->step % line == 0;
}

/* --- which slice --------------------------------------------------------------------------- */

/* Of a dim's first value in the tile, what loops within the chunk add: those deeper than `chunk`,
 * and of these by less than `most`. Tasks have `*of` values of it. */
static Affine within_chunk(
    const Scope *s, const Tile *t, int d, int chunk, int64_t most, int64_t *of)
{
	const Kernel *k = s->k;
	Affine sub = t->tree->sub[d], part;
	*of = k->nest->dim[d].extent;
	for (int r = 0; r < t->nreg; r++)
		if (t->reg[r].dim == d) sub = affine_fix(&sub, t->reg[r].var, 0);
	part = affine_number(0);
	for (int i = 0; i < sub.n; i++) {
		if (k->depth[sub.t[i].var] <= chunk)
			*of = MIN(*of, sub.t[i].k);
		else if (sub.t[i].k < most)
			part = affine_add(part, affine_scale(affine_var(sub.t[i].var), sub.t[i].k));
	}
	part.c = sub.c % MIN(*of, most);
	return part;
}

/* Tiles that read the same lines are counted by the other operand's dim, then by what moves less
 * than a line in this one: in products of both. */
static void find_start(
    const Scope *s, const Tile *t, int own, int across, int chunk, int64_t line, Slice *slice)
{
	int64_t width = t->tree->span[across] + 1, rows = t->tree->span[own] + 1, of, unused;
	Affine other = within_chunk(s, t, across, chunk, INT64_MAX, &of);
	Affine part = within_chunk(s, t, own, chunk, line, &unused);
	slice->number = affine_add(affine_scale(other, line), affine_scale(part, width));
	slice->of = of * line;
	slice->lines = MIN((slice->run * width * MIN(rows, line) - 1) / slice->of + 1, slice->run);
}

/* --- which chunk --------------------------------------------------------------------------- */

/* From this chunk to the next in order: rows, then images. */
static bool find_next(const Scope *s, const Tile *t, const Access *x, int *chunk, Slice *slice)
{
	const Nest *n = s->k->nest;
	int inner = -1, outer = -1;
	for (int i = s->depth - 1; i >= 0; i--) {
		if (!n->dim[s->dim[i]].reduce || s->turns[i] < 2) continue;
		if (inner < 0)
			inner = i;
		else if (outer < 0)
			outer = i;
		else
			return false;
	}
	if (inner < 0) return false;
	*chunk = inner;
	int row = s->dim[inner];
	int64_t first = 0, each = 0;
	const Affine *base = &t->tree->sub[row];
	for (int i = 0; i < base->n; i++)
		if (s->k->depth[base->t[i].var] == inner) each = base->t[i].k;
	first = each * (s->turns[inner] - 1);
	slice->turn = inner;
	slice->last = s->turns[inner] - 1;
	slice->near = each * access_step(x, row);
	slice->far = slice->near;
	if (outer >= 0) slice->far = access_step(x, s->dim[outer]) - first * access_step(x, row);
	return each > 0;
}

static void find_slice(Scope *s, Tile *t, int l, int other)
{
	const Nest *n = t->k->nest;
	const Access *x = &n->load[l];
	int64_t line = line_of(t->k);
	Slice slice = {.load = l};
	int own, across, chunk;
	if (!x->prefetch || !x->far || line < 1 || t->lane_var < 0 || t->lane_reduces) return;
	if (!find_space(n, x, &n->load[other], &own, &across)) return;
	if (!find_next(s, t, x, &chunk, &slice) || !find_run(t, x, line, &slice)) return;
	find_start(s, t, own, across, chunk, line, &slice);
	t->slice[t->nslice++] = slice;
	t->unasked |= UINT32_C(1) << l;
}

/* A chunk that no loop goes to, as the last rows of an image: nothing is known to come after it. */
static bool is_last_chunk(const Scope *s)
{
	for (int i = 0; i < s->depth; i++)
		if (s->k->nest->dim[s->dim[i]].reduce && s->turns[i] > 1) return false;
	return true;
}

void slices_find(Scope *s, Tile *t)
{
	const Nest *n = t->k->nest;
	Product p = nest_product(n);
	if (!p.is || n->nguard || n->join) return;
	for (int i = 0; i < 2 && is_last_chunk(s); i++)
		if (n->load[p.load[i]].far) t->unasked |= UINT32_C(1) << p.load[i];
	if (n->load[p.load[0]].buffer == n->load[p.load[1]].buffer) return;
	for (int i = 0; i < 2; i++) find_slice(s, t, p.load[i], p.load[1 - i]);
}

/* --- the next block of weights ------------------------------------------------------------- */

/* What a turn of the loop over this var adds to a leaf's place in x. */
static int64_t moved_by(const Scope *s, const Tile *t, const Tree *leaf, const Access *x, int var)
{
	Address from = address_in_turn(s, t, leaf, x, 0, var, 0);
	Address to = address_in_turn(s, t, leaf, x, 0, var, 1);
	return key_same(&from.key, &to.key) ? to.c - from.c : 0;
}

static bool is_innermost(const Tree *loop)
{
	return loop->kind == TREE_LOOP && loop->kid.n == 1 && loop->kid.at[0]->kind == TREE_LEAF;
}

/* Counts the innermost loops, if all have as many turns as *first. false: they have not. */
static bool count_loops(const Tree *at, const Tree **first, int *count)
{
	if (is_innermost(at)) {
		if (!*first) *first = at;
		++*count;
		return at->count == (*first)->count;
	}
	for (int i = 0; i < at->kid.n; i++)
		if (at->kind == TREE_LEAF || !count_loops(at->kid.at[i], first, count)) return false;
	return at->kind != TREE_LEAF;
}

/* The first of a tile's innermost loops, where all are alike, and few: each is to ask for lines.
 * NULL: there is more to it, as where a table links some channels. */
static const Tree *innermost(const Tile *t)
{
	enum { FEW = 32 };
	const Tree *first = NULL;
	int count = 0;
	return count_loops(t->tree, &first, &count) && count <= FEW ? first : NULL;
}

/* The loop over blocks of lanes around the tile, and how far it is from one to the next. */
static bool find_block(const Scope *s, const Tile *t, const Tree *leaf, const Access *x, int lanes,
    int *block, Slice *slice)
{
	Affine sub[NEST_DIMS];
	instance_fix(t->reg, t->nreg, 0, t->tree->sub, t->k->nest->ndim, sub);
	Affine base = affine_fix(&sub[lanes], t->lane_var, 0);
	*block = -1;
	for (int i = 0; i < s->depth; i++)
		if (s->dim[i] == lanes && s->turns[i] > 1) *block = i;
	for (int i = 0; i < base.n && *block >= 0; i++)
		if (s->k->depth[base.t[i].var] == *block)
			slice->near = slice->far = moved_by(s, t, leaf, x, base.t[i].var);
	return slice->near > 0;
}

/* The dim along the lanes, if it alone moves the weights, and no other operand, but for dims that
 * move both, as each of Winograd's products. -1: there is more. */
static int weights_dim(const Tile *t, const Access *x, const Access *other)
{
	const Nest *n = t->k->nest;
	int lanes = -1;
	for (int d = 0; d < n->ndim; d++) {
		if (n->dim[d].reduce || n->dim[d].extent == 1 || !access_moves(x, d)) continue;
		if (access_moves(other, d)) continue;
		if (lanes >= 0) return -1;
		lanes = d;
	}
	return lanes;
}

/* Whether windows are larger than the image: of their taps a tile reads but some, others than the
 * next one's. */
static bool windows_outgrow(const Nest *n, const Access *image)
{
	for (int d = 0; d < n->ndim; d++)
		for (int p = 0; p < image->buffer->rank && n->dim[d].reduce; p++)
			if (affine_k(&image->at[p].a, d) && n->dim[d].extent > image->buffer->shape[p])
				return true;
	return false;
}

/* Tiles over pixels read the same block of weights, and each has its slice of the next one, as
 * large as its part of the pixels: these are counted tile by tile, along the rows of each. Every
 * innermost loop asks for some lines, one after the other, a stream that processors see: a line at
 * least, which where tiles are small is up to four times what they need. */
static void find_weights(Scope *s, Tile *t, int l, int other)
{
	const Nest *n = t->k->nest;
	const Access *x = &n->load[l];
	const Tree *loop = innermost(t);
	int64_t line = line_of(t->k), tile = 1;
	int lanes = weights_dim(t, x, &n->load[other]), block;
	Slice slice = {.load = l, .step = line, .of = 1, .each_loop = true};
	if (!x->prefetch || x->far || x->early || !loop || lanes < 0) return;
	if (windows_outgrow(n, &n->load[other])) return;
	if (!find_block(s, t, loop->kid.at[0], x, lanes, &block, &slice)) return;
	slice.turn_lines = loop->count * moved_by(s, t, loop->kid.at[0], x, loop->var) / line;
	slice.run = 1;
	slice.number = affine_number(0);
	for (int d = 0; d < n->ndim; d++) {
		int64_t of;
		if (n->dim[d].reduce) slice.run *= n->dim[d].extent;
		if (n->dim[d].reduce || n->dim[d].extent == 1 || d == lanes) continue;
		Affine part = within_chunk(s, t, d, block, INT64_MAX, &of);
		slice.number = affine_add(affine_scale(slice.number, of), affine_scale(part, tile));
		slice.of *= of;
		tile *= t->tree->span[d] + 1;
	}
	slice.lines = (slice.turn_lines * tile - 1) / slice.of + 1;
	if (tile >= slice.of || 4 * tile * slice.turn_lines < slice.of) return;
	t->slice[t->nslice++] = slice;
	t->streamed |= UINT32_C(1) << l;
}

void slices_of_weights(Scope *s, Tile *t)
{
	const Nest *n = t->k->nest;
	Product p = nest_product(n);
	if (!p.is || n->join || line_of(t->k) < 1 || t->lane_var < 0 || t->lane_reduces) return;
	for (int g = 0; g < n->nguard; g++)
		if (n->guard[g].kind != GUARD_RANGE) return;
	for (int i = 0; i < 2; i++) find_weights(s, t, p.load[i], p.load[1 - i]);
}

/* --- text ---------------------------------------------------------------------------------- */

static const char *slice_array(const Kernel *k, const Slice *s)
{
	return k->array[kernel_buffer(k, k->nest->load[s->load].buffer)];
}

void print_slice_parameters(const Tile *t, Text *out)
{
	for (int i = 0; i < t->nslice; i++)
		text_printf(out, ", ptrdiff_t %s_next", slice_array(t->k, &t->slice[i]));
}

void print_slice_arguments(Scope *s, const Tile *t)
{
	for (int i = 0; i < t->nslice; i++) {
		const Slice *slice = &t->slice[i];
		Affine number = over_loops(t->k, &slice->number);
		if (slice->far == slice->near)
			text_printf(s->out, ", %lld", (long long)slice->near);
		else
			text_printf(s->out, ", (%s == %lld ? %lld : %lld)", s->loop[slice->turn],
			    (long long)slice->last, (long long)slice->far, (long long)slice->near);
		if (!number.n && !number.c) continue;
		text_printf(s->out, " + %lld * (", (long long)slice->step);
		text_add(s->out, number.n > 1 || (number.n && number.c) ? "(" : "");
		print_index(s, &number, number.c);
		text_add(s->out, number.n > 1 || (number.n && number.c) ? ")" : "");
		text_printf(s->out, " * %lld / %lld)", (long long)slice->run, (long long)slice->of);
	}
}

/* The first lines of the blocks that the tile reads. */
enum { MOST_BLOCKS = 16 };

static int blocks_of(const Scope *s, const Tile *t, const Access *x, Address *list)
{
	int64_t line = line_of(t->k);
	const Nest *n = t->k->nest;
	int count = 0;
	for (int i = 0; i < t->instances && count < MOST_BLOCKS; i++) {
		Affine sub[NEST_DIMS];
		instance_fix(t->reg, t->nreg, i, t->tree->sub, n->ndim, sub);
		Address a = address_of(s, x, sub, t->lane_var);
		bool known = false;
		for (int k = 0; k < count; k++) known |= floor_div(list[k].c, line) == floor_div(a.c, line);
		if (!known) list[count++] = a;
	}
	return count;
}

static void print_slice_ask(Scope *s, const Access *x, const Address *a)
{
	print_indent(s);
	text_add(s->out, "CNNC_PREFETCH_FAR(");
	print_place(s, a, 0, ", ");
	text_printf(s->out, " + %s_next);\n", s->k->array[kernel_buffer(s->k, x->buffer)]);
}

/* A few lines are asked for all at once. */
static void ask_at_start(Scope *s, const Access *x, const Slice *slice, const Address *block, int n)
{
	for (int i = 0; i < n; i++) {
		Address a = block[i];
		for (int64_t k = 0; k < slice->lines; k++, a.c += slice->step) print_slice_ask(s, x, &a);
	}
}

/* Turns of the innermost loop from one ask to the next. */
static int64_t turns_apart(const Scope *s, const Slice *slice)
{
	int64_t apart = 1;
	while (2 * apart <= MIN(line_of(s->k), slice->run / slice->lines)) apart *= 2;
	return apart;
}

/* In each `apart` turns of the innermost loop one line of each block; 0: before that loop, which
 * has no more turns. Returns where it lies in the slice: loops of a run count lines, others go to
 * the next run. */
static Affine line_in_turn(const Scope *s, const Access *x, const Slice *slice, int64_t apart)
{
	Affine place = affine_number(0);
	int64_t step = slice->step;
	for (int i = s->depth - 1; i >= s->outer; i--) {
		bool innermost = apart && i == s->depth - 1, in_run = i - s->outer >= slice->outside;
		int64_t each = innermost ? step / apart : in_run ? step : access_step(x, s->dim[i]);
		place = affine_add(place, affine_scale(affine_var(i), each));
		step *= innermost ? (s->turns[i] - 1) / apart + 1 : s->turns[i];
	}
	return place;
}

static void ask_in_turns(
    Scope *s, const Access *x, const Slice *slice, const Address *block, int n, int64_t apart)
{
	Affine place = line_in_turn(s, x, slice, apart);
	if (apart > 1) {
		print_line(s, "if (%s %% %lld == 0) {", s->loop[s->depth - 1], (long long)apart);
		s->indent++;
	}
	for (int i = 0; i < n; i++) {
		Address a = block[i];
		a.key.form = affine_add(a.key.form, place);
		print_slice_ask(s, x, &a);
	}
	if (apart < 2) return;
	s->indent--;
	print_line(s, "}");
}

/* Of what a tile reads of weights where a loop begins, the same part of its slice. */
static Address place_in_slice(const Scope *s, const Slice *slice, Address start, const Address *at)
{
	start.c += (at->c - start.c) / slice->turn_lines * slice->lines;
	for (int i = 0; i < at->key.form.n; i++) {
		const Term *term = &at->key.form.t[i];
		if (term->var < s->outer) continue;
		Affine more =
		    affine_scale(affine_var(term->var), term->k / slice->turn_lines * slice->lines);
		start.key.form = affine_add(start.key.form, more);
	}
	return start;
}

/* The lines that a loop's first turn begins with, of each block once: where the next block's are.
 */
static int places_of_loop(
    const Scope *s, const Tile *t, const Tree *loop, const Slice *slice, Address *list)
{
	const Nest *n = t->k->nest;
	const Access *x = &n->load[slice->load];
	Affine sub[NEST_DIMS];
	int count = 0;
	for (int i = 0; i < t->instances && count < MOST_BLOCKS; i++) {
		instance_fix(t->reg, t->nreg, i, t->tree->sub, n->ndim, sub);
		for (int d = 0; d < n->ndim; d++)
			if (n->dim[d].reduce) sub[d] = affine_number(0);
		Address start = address_of(s, x, sub, t->lane_var), at;
		at = address_in_turn(s, t, loop->kid.at[0], x, i, loop->var, 0);
		Address place = place_in_slice(s, slice, start, &at);
		bool known = false;
		for (int k = 0; k < count; k++)
			known |= floor_div(list[k].c, slice->step) == floor_div(place.c, slice->step);
		if (!known) list[count++] = place;
	}
	return count;
}

/* Turns of a loop ask for the lines one after the other: what is asked for all at once fills a
 * core's few buffers, and what it multiplies with has to wait for one, a twentieth of the time of
 * 7x7 layers of one image. Turns that asked for most lines again cost other layers as much. */
static void ask_by_turns(
    Scope *s, const Access *x, const Slice *slice, const Address *block, int n, int64_t turns)
{
	int64_t each = (slice->lines - 1) / turns + 1, step = each * slice->step;
	int64_t apart = MAX(turns / slice->lines, 1);
	if (each == 1) step = (slice->lines * slice->step - 1) / turns + 1;
	bool some = apart > 1;
	if (some) print_line(s, "if (%s %% %lld == 0) {", s->loop[s->depth - 1], (long long)apart);
	s->indent += some;
	for (int i = 0; i < n; i++) {
		Address a = block[i];
		a.key.form = affine_add(a.key.form, affine_scale(affine_var(s->depth - 1), step));
		for (int64_t k = 0; k < each; k++, a.c += slice->step) print_slice_ask(s, x, &a);
	}
	s->indent -= some;
	if (some) print_line(s, "}");
}

/* A few lines of each block before the loop, or more inside of it. */
void ask_slices_of_loop(Scope *s, const Tile *t, const Tree *loop, bool inside)
{
	enum { FEW = 2 };
	for (int i = 0; i < t->nslice && is_innermost(loop); i++) {
		Address list[MOST_BLOCKS];
		const Slice *slice = &t->slice[i];
		const Access *x = &s->k->nest->load[slice->load];
		if (!slice->each_loop || inside != (slice->lines > FEW)) continue;
		int n = places_of_loop(s, t, loop, slice, list);
		if (inside)
			ask_by_turns(s, x, slice, list, n, loop->count);
		else
			ask_at_start(s, x, slice, list, n);
	}
}

/* Where a tile starts, before an innermost loop, or in its turns. */
void ask_slices(Scope *s, const Tile *t, const Tree *loop, bool inside)
{
	enum { FEW = 16 };
	if (loop && !is_innermost(loop)) return;
	for (int i = 0; i < t->nslice; i++) {
		const Slice *slice = &t->slice[i];
		const Access *x = &s->k->nest->load[slice->load];
		Address block[MOST_BLOCKS];
		if (slice->each_loop) continue;
		int n = blocks_of(s, t, x, block);
		bool at_start = !slice->outside && slice->lines * n <= FEW;
		int64_t apart = turns_apart(s, slice);
		bool once = loop && apart >= loop->count;
		if (at_start && !loop) ask_at_start(s, x, slice, block, n);
		if (!at_start && loop && inside != once)
			ask_in_turns(s, x, slice, block, n, once ? 0 : apart);
	}
}
