/* choose: a schedule for each nest and target, from the form of the nest.
 *
 * A row of registers holds accumulators: vectors along the channels (lanes) times positions that share
 * what is loaded for them (pixels in a convolution, taps and input channels in its gradient by weights,
 * images in a dense layer). Candidates are tried from the fastest to the plainest; the first that builds
 * and passes every check is taken. The plainest, loops in order, always does. */
#include "internal.h"

typedef struct {
	const Nest *nest;
	const Target *target;
	int lanes;         /* of the target's vectors */
	int lane;          /* the dim along them */
	int64_t block;     /* values of it that lie side by side */
	Contraction contraction;
	int64_t unroll;    /* channels summed in one piece of straight text */
	Schedule s;
	bool full;         /* more lines than a schedule holds */
} Choice;

static void line(Choice *c, LineKind kind, int dim, int64_t by)
{
	if (c->s.n == SCHEDULE_LINES) {
		c->full = true;
		return;
	}
	c->s.line[c->s.n++] = (Line){kind, dim, by};
}

static bool is_space(const Choice *c, int d) { return !c->nest->dim[d].reduce && c->nest->dim[d].extent > 1; }
static bool is_reduced(const Choice *c, int d) { return c->nest->dim[d].reduce && c->nest->dim[d].extent > 1; }

/* --- what the form asks for -------------------------------------------------------------------------- */

/* The stride by which a DIVIDES guard splits dim d; 1: none. */
static int64_t phase_of(const Choice *c, int d)
{
	for (int g = 0; g < c->nest->nguard; g++) {
		const Guard *guard = &c->nest->guard[g];
		int64_t k = affine_k(&guard->e[0].a, d);
		if (guard->kind == GUARD_DIVIDES && k % guard->q) return MIN(guard->q, c->nest->dim[d].extent);
	}
	return 1;
}

static bool is_masked(const Choice *c, int d)
{
	for (int g = 0; g < c->nest->nguard; g++) {
		const Guard *guard = &c->nest->guard[g];
		if (guard->kind == GUARD_MASK && (affine_k(&guard->e[0].a, d) || affine_k(&guard->e[1].a, d))) return true;
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
			if (x->buffer->comp[i].dim == at && x->buffer->comp[i].mod) block = MAX(block, x->buffer->comp[i].mod);
	}
	return block;
}

/* --- the plain schedule ------------------------------------------------------------------------------- */

static void plain_dims(Choice *c, bool reduce)
{
	for (int d = 0; d < c->nest->ndim; d++) {
		if (c->nest->dim[d].reduce != reduce || c->nest->dim[d].extent == 1) continue;
		int64_t phases = phase_of(c, d);
		if (is_masked(c, d)) line(c, LINE_PHASE, d, c->nest->dim[d].extent);
		else if (phases > 1) line(c, LINE_PHASE, d, phases);
		line(c, LINE_FOR, d, 1);
	}
}

static void plain(Choice *c)
{
	plain_dims(c, false);
	plain_dims(c, true);
}

/* The outermost space dim may run its iterations at once, when they are worth a thread's while. */
static void make_parallel(Choice *c)
{
	Line *first = &c->s.line[0];
	if (c->s.n && first->kind == LINE_FOR && is_space(c, first->dim)) first->kind = LINE_PAR;
}

/* --- vectors ------------------------------------------------------------------------------------------ */

/* Lines for reduction dims, channels in blocks outside, the rest, then a few channels unrolled. */
static void reductions(Choice *c)
{
	const Nest *n = c->nest;
	int channel = -1;
	for (int d = 0; d < n->ndim && !n->ordered && c->contraction.is; d++)
		if (is_reduced(c, d) && !is_guarded(c, d) && blocked(c, d) == CHANNEL_BLOCK) channel = d;
	if (channel >= 0 && n->dim[channel].extent > CHANNEL_BLOCK) line(c, LINE_FOR, channel, CHANNEL_BLOCK);
	for (int d = 0; d < n->ndim; d++) {
		if (!is_reduced(c, d) || d == channel) continue;
		int64_t phases = phase_of(c, d);
		if (phases > 1) line(c, LINE_PHASE, d, phases);
		if (n->ordered) line(c, LINE_UNROLL, d, 1);
		else line(c, is_guarded(c, d) ? LINE_CUT : LINE_FOR, d, 1);
	}
	if (channel < 0) return;
	line(c, LINE_FOR, channel, c->unroll);
	if (c->unroll > 1) line(c, LINE_UNROLL, channel, 1);
}

/* The load that the lanes do not move, -1. */
static int broadcast_load(const Choice *c)
{
	for (int k = 0; k < 2 && c->contraction.is; k++)
		if (!access_moves(&c->nest->load[c->contraction.load[k]], c->lane)) return c->contraction.load[k];
	return -1;
}

/* Dims whose instances share the vectors loaded along the lanes. */
static bool shares(const Choice *c, int d)
{
	if (!is_space(c, d) || d == c->lane || is_masked(c, d)) return false;
	int x = broadcast_load(c);
	if (!c->contraction.is) return c->nest->nacc > 0;
	if (x < 0) return false;
	int w = c->contraction.load[0] == x ? c->contraction.load[1] : c->contraction.load[0];
	return access_moves(&c->nest->load[x], d) && !access_moves(&c->nest->load[w], d);
}

typedef struct {
	int dim;
	int64_t by;    /* instances */
	bool whole;    /* all of the dim */
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
		if (block > 1) while (block % by) by--;
		else by = (extent - 1) / units + 1;
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

/* Bytes of a vector-side operand that a tile runs through: decides whether blocks of lanes go outside. */
static int64_t lane_bytes(const Choice *c)
{
	int x = broadcast_load(c);
	if (x < 0) return 0;
	int w = c->contraction.load[0] == x ? c->contraction.load[1] : c->contraction.load[0];
	return 4 * c->nest->load[w].buffer->size;
}

/* Outer loops: dims in order, phases where strides ask for them; the blocks of lanes outermost when what
 * lies along the lanes is larger than a part of the second-level cache, else innermost. */
static void outer_loops(Choice *c, int64_t lane_block, const Share *share, int nshare)
{
	const Nest *n = c->nest;
	bool lanes_first = lane_bytes(c) > 300 * 1024;
	int64_t extent = c->s.extent[c->lane] ? c->s.extent[c->lane] : n->dim[c->lane].extent;
	bool blocks = extent > lane_block;
	if (blocks && lanes_first) line(c, LINE_FOR, c->lane, lane_block);
	for (int d = 0; d < n->ndim; d++) {
		int64_t phases = phase_of(c, d), by = 1;
		bool shared = false;
		if (!is_space(c, d) || d == c->lane) continue;
		for (int k = 0; k < nshare; k++) shared |= share[k].dim == d;
		if (phases > 1) line(c, LINE_PHASE, d, phases);
		if (shared && blocked(c, d) == 1) continue;
		if (shared) by = blocked(c, d);
		if (is_masked(c, d)) line(c, LINE_PHASE, d, n->dim[d].extent);
		line(c, LINE_FOR, d, by);
	}
	for (int k = nshare - 1; k >= 0; k--)
		if (!share[k].whole) line(c, LINE_TILE, share[k].dim, share[k].by);
	if (blocks && !lanes_first) line(c, LINE_FOR, c->lane, lane_block);
}

/* One row: `vectors` vectors along the lanes and `room` instances that share them. */
static void vector_row(Choice *c, int64_t lane_block, int64_t room)
{
	Share share[2];
	int nshare = choose_shares(c, room, share);
	int64_t whole = c->nest->dim[c->lane].extent;
	if (whole % c->lanes && c->block == CHANNEL_BLOCK) /* blocks have room for whole vectors */
		c->s.extent[c->lane] = (whole + c->lanes - 1) / c->lanes * c->lanes;
	outer_loops(c, lane_block, share, nshare);
	for (int k = nshare - 1; k >= 0; k--) line(c, LINE_REG, share[k].dim, 1);
	bool reduces = c->nest->nacc > 0;
	if (reduces && !nshare && !c->contraction.is) private_sums(c);
	if (lane_block > c->lanes) line(c, LINE_REG, c->lane, c->lanes);
	line(c, LINE_VEC, c->lane, c->lanes);
	reductions(c);
}

/* Elements of a task of a flat map: worth a thread's while, and few enough tasks. */
static int64_t flat_chunk(int64_t extent, int64_t width)
{
	enum { LEAST = 8192, TASKS = 64 };
	int64_t chunk = MAX((extent + TASKS - 1) / TASKS, LEAST);
	return (chunk + width - 1) / width * width;
}

/* A map of one dim: chunks for threads, vectors inside; numbers from a hash stay scalar. */
static bool flat_row(Choice *c)
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
	int64_t extent = n->dim[dim].extent, chunk = flat_chunk(extent, MAX(c->lanes, 1));
	if (chunk < extent) line(c, LINE_PAR, dim, chunk);
	line(c, LINE_FOR, dim, vectors ? c->lanes : 1);
	if (vectors) line(c, LINE_VEC, dim, c->lanes);
	return true;
}

/* Accumulators that fit beside the operands. */
static int64_t register_room(const Choice *c)
{
	int64_t accs = MAX(c->nest->nacc, 1);
	int64_t room = c->target->registers - (c->target->registers > 16 ? 4 : 4);
	if (!c->contraction.is) room = c->target->registers / 2;
	return MAX(room / accs, 1);
}

/* --- candidates --------------------------------------------------------------------------------------- */

static Scheduled *attempt(Arena *a, Choice *c, const char **error)
{
	if (c->full) {
		*error = "more lines than a schedule holds";
		return NULL;
	}
	Scheduled *made = tree_build(a, c->nest, &c->s, error);
	if (made) *error = check_all(a, made);
	return made && !*error ? made : NULL;
}

/* Updates that the text spells out, over all tiles: what the unroll budget counts. */
static int64_t text_of(const Tree *t, int64_t instances)
{
	if (t->kind == TREE_LEAF) return t->dead ? 0 : instances * instance_count(t->reg, t->nreg);
	if (t->kind == TREE_TILE) instances = instance_count(t->reg, t->nreg);
	int64_t sum = t->kid.n ? 0 : instances;
	for (int i = 0; i < t->kid.n; i++) sum += text_of(t->kid.at[i], instances);
	return sum;
}

static bool in_budget(const Scheduled *s)
{
	enum { UPDATES = 2400 }; /* about 100 KB for each kernel and target */
	int64_t sum = 0;
	for (int i = 0; i < s->root.n; i++) sum += text_of(s->root.at[i], 1);
	return sum <= UPDATES;
}

static Choice choice_new(const Nest *n, const Target *t, int lanes)
{
	Choice c = {.nest = n, .target = t, .lanes = lanes, .lane = lane_dim(n), .contraction = contraction_of(n)};
	return c;
}

/* Values of the lane dim that lie side by side in everything that moves with it. */
static int64_t common_block(const Choice *c)
{
	const Nest *n = c->nest;
	int64_t block = INT64_MAX;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = k < n->nload ? &n->load[k] : &n->store[k - n->nload].to;
		int at = access_position(x, c->lane);
		if (at >= 0) block = MIN(block, buffer_run(x->buffer, at));
	}
	return block == INT64_MAX ? 1 : block;
}

static bool no_hash(void *self, const Expr *e)
{
	(void)self;
	return e->kind != E_HASH;
}

static bool hashes(const Nest *n)
{
	for (int k = 0; k < n->nstore; k++)
		if (!expr_visit(n->store[k].value, no_hash, NULL)) return true;
	return false;
}

static Scheduled *try_vectors(Arena *a, const Nest *n, const Target *t, int lanes, const char **error)
{
	static const int vectors[] = {4, 2, 1};
	Choice probe = choice_new(n, t, lanes);
	*error = "no dim fits the lanes";
	if (probe.lane < 0 || lanes < 2) return NULL;
	probe.block = common_block(&probe);
	if (hashes(n)) return NULL;
	Choice flat = probe;
	if (flat_row(&flat)) return attempt(a, &flat, error);
	Scheduled *large = NULL;
	for (int v = 0; v < COUNT(vectors); v++)
		for (int64_t unroll = 4; unroll; unroll /= 4) {
			Choice c = probe;
			int64_t width = vectors[v] * lanes, extent = n->dim[c.lane].extent;
			int64_t most = c.target->registers > 16 ? 2 * CHANNEL_BLOCK : CHANNEL_BLOCK;
			if (width > most || (width > c.block && c.block < CHANNEL_BLOCK)) continue;
			if (width > CHANNEL_BLOCK && (extent % width || !c.contraction.is)) continue;
			c.unroll = unroll;
			vector_row(&c, width, MAX(register_room(&c) / vectors[v], 1));
			make_parallel(&c);
			Scheduled *made = attempt(a, &c, error);
			if (made && in_budget(made)) return made;
			if (made) large = made;
		}
	return large;
}

static Scheduled *try_plain(Arena *a, const Nest *n, const Target *t)
{
	const char *error = NULL;
	Choice c = choice_new(n, t, 0);
	if (!flat_row(&c)) {
		plain(&c);
		make_parallel(&c);
	}
	Scheduled *made = attempt(a, &c, &error);
	if (!made) bug("%s has no schedule: %s", n->name, error);
	return made;
}

/* --- decisions ---------------------------------------------------------------------------------------- */

/* Tells nests of one class and shape apart: accesses, layouts and bodies, not names. */
static uint32_t form_hash(Arena *a, const Nest *n)
{
	Text t;
	text_init(&t, a);
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = k < n->nload ? &n->load[k] : &n->store[k - n->nload].to;
		text_printf(&t, "%d:", (int)x->buffer->place);
		buffer_layout_text(x->buffer, &t);
		for (int d = 0; d < x->buffer->rank; d++) {
			const Affine *at = &x->at[d].a;
			text_printf(&t, " %lld/%lld+%lld", (long long)x->buffer->room[d], (long long)x->at[d].q, (long long)at->c);
			for (int i = 0; i < at->n; i++) text_printf(&t, " %d*%lld", at->t[i].var, (long long)at->t[i].k);
		}
		text_add(&t, ";");
	}
	for (int g = 0; g < n->nguard; g++)
		text_printf(&t, "%d %lld %lld %lld;", (int)n->guard[g].kind, (long long)n->guard[g].lo,
			(long long)n->guard[g].hi, (long long)n->guard[g].q);
	return (uint32_t)hash_bytes(t.data, t.len, 0);
}

static const char *nest_key(Arena *a, const Nest *n, const Target *t)
{
	Text key;
	text_init(&key, a);
	text_printf(&key, "%s/%s", n->name, t->name);
	for (int d = 0; d < n->ndim; d++) text_printf(&key, " %s%lld", n->dim[d].name, (long long)n->dim[d].extent);
	text_printf(&key, " @%08x", (unsigned)form_hash(a, n));
	return key.data;
}

static void record(Decisions *d, const Scheduled *s, const char *key)
{
	Text text;
	text_init(&text, d->arena);
	schedule_print(s->nest, &s->schedule, &text);
	for (int i = 0; i < d->item.n; i++)
		if (!strcmp(d->item.at[i].key, key)) return;
	struct Decision item = {key, text.data, false};
	vec_push(d->arena, d->item, item);
}

/* A given decision, when it fits this nest. */
static Scheduled *follow(Arena *a, const Nest *n, const Decisions *d, const char *key)
{
	for (int i = 0; i < d->item.n; i++) {
		Schedule s;
		const char *error;
		if (!d->item.at[i].given || strcmp(d->item.at[i].key, key)) continue;
		if (schedule_parse(a, n, d->item.at[i].text, &s)) return NULL;
		Scheduled *made = tree_build(a, n, &s, &error);
		return made && !check_all(a, made) ? made : NULL;
	}
	return NULL;
}

/* Of a contraction over its whole domain, less what a link table leaves out. */
static int64_t multiply_adds(const Nest *n)
{
	int64_t points = contraction_of(n).is;
	for (int d = 0; d < n->ndim; d++)
		if (!mul_fits(points, n->dim[d].extent, &points)) return INT64_MAX;
	for (int g = 0; g < n->nguard; g++) {
		const Guard *guard = &n->guard[g];
		if (guard->kind != GUARD_MASK || guard->e[0].a.n != 1 || guard->e[1].a.n != 1) continue;
		int64_t rows = n->dim[guard->e[0].a.t[0].var].extent, links = 0;
		for (int64_t i = 0; i < rows * guard->cols; i++) links += guard->table[i] != 0;
		points = points / (rows * guard->cols) * links;
	}
	return points;
}

void schedule_part(Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, Decisions *d)
{
	for (int i = 0; i < p->step.n; i++)
		for (int t = 0; t < ntarget; t++) {
			const Nest *n = p->step.at[i].nest;
			if (t == 0) p->step.at[i].nest = n = merge_dims(a, n);
			const char *key = nest_key(a, n, target[t]), *error;
			Scheduled *made = follow(a, n, d, key);
			int lanes = target[t]->vector_bytes / (is_double ? 8 : 4);
			if (!made) made = try_vectors(a, n, target[t], lanes, &error);
			if (!made) made = try_plain(a, n, target[t]);
			p->step.at[i].tree[t] = made;
			p->step.at[i].macs = multiply_adds(n);
			record(d, made, key);
		}
}
