/* choose: a schedule for each nest and target, from the form of the nest.
 *
 * Candidates are tried from the fastest to the plainest; the first that builds, passes every check
 * and keeps to the unroll budget is taken; where none keeps to it, the last that has vectors. What
 * even loops in order cannot write down is reported. */
#include "internal.h"

/* --- candidates ---------------------------------------------------------------------------- */

/* Of one nest, the best first as far as its form tells. */
typedef struct {
	Arena *arena, *scratch; /* what is tried is in scratch memory, what is good is copied */
	const Nest *nest;
	const Target *target;
	int lanes;
	bool whole, waits;
	Departure departure;
	Scheduled **at;
	int n, most;
	Scheduled *large;  /* the newest past the unroll budget */
	const char *error; /* why the newest attempt failed */
} Candidates;

static Scheduled *attempt(Candidates *l, const Choice *c)
{
	if (c->full) {
		l->error = "more lines than a schedule holds";
		return NULL;
	}
	arena_reset(l->scratch);
	Scheduled *made = tree_build(l->scratch, c->nest, &c->s, &l->error);
	if (made) l->error = check_all(l->scratch, made);
	if (!made || l->error) return NULL;
	made = tree_copy(l->arena, made);
	if (!l->waits) made->nest = ask_ahead(l->arena, l->nest, l->target);
	return made;
}

/* Updates that the text spells out, over all tiles: what the unroll budget counts. A tile costs as
 * much as a few of them. */
static int64_t text_of(const Tree *t, int64_t instances)
{
	enum { TILE = 8 };
	if (t->kind == TREE_LEAF) return t->dead ? 0 : instances * instance_count(t->reg, t->nreg);
	if (t->kind == TREE_TILE) instances = instance_count(t->reg, t->nreg);
	int64_t sum = t->kind == TREE_TILE ? TILE + instances : 0;
	for (int i = 0; i < t->kid.n; i++) sum += text_of(t->kid.at[i], instances);
	return sum;
}

static bool in_budget(const Scheduled *s)
{
	enum { UPDATES = 2400 }; /* about 100 KB for each kernel and target */
	int64_t sum = 0;
	for (int i = 0; i < s->root.n; i++) sum += text_of(s->root.at[i], 1);
	return sum * MAX(s->nest->nacc, 1) <= UPDATES;
}

bool schedule_same(const Schedule *x, const Schedule *y)
{
	return x->n == y->n && !memcmp(x->line, y->line, (size_t)x->n * sizeof *x->line) &&
	       !memcmp(x->extent, y->extent, sizeof x->extent);
}

/* Adds what c wrote down, if it is good and new. true: there are enough. */
static bool offer(Candidates *l, Choice *c)
{
	for (int i = 0; i < l->n && !c->full; i++)
		if (schedule_same(&l->at[i]->schedule, &c->s)) return false;
	Scheduled *made = attempt(l, c);
	if (made && in_budget(made))
		l->at[l->n++] = made;
	else if (made)
		l->large = made;
	return l->n == l->most;
}

static Choice choice_new(const Candidates *l, int lanes, Strides strides)
{
	const Nest *n = l->nest;
	Choice c = {.nest = n,
	    .target = l->target,
	    .lanes = lanes,
	    .strides = strides,
	    .whole = l->whole,
	    .departure = l->departure,
	    .lane = lane_dim(n),
	    .contraction = contraction_of(n)};
	choice_begin(&c);
	return c;
}

/* Values of the dim that lie side by side in everything that moves with it. */
static int64_t common_block(const Nest *n, int dim)
{
	int64_t block = INT64_MAX;
	for (int k = 0; k < n->nload + n->nstore; k++) {
		const Access *x = nest_access(n, k);
		int at = access_position(x, dim);
		if (at >= 0)
			block = MIN(block, buffer_run(x->buffer, at));
		else if (access_moves(x, dim))
			return 1;
	}
	return block == INT64_MAX ? 1 : block;
}

/* Channels, or what else lies side by side: columns, where buffers are row-major; or what is
 * summed.
 */
static void choose_lane(Choice *c)
{
	int summed = summed_lanes(c->nest);
	c->block = c->lane < 0 ? 1 : common_block(c->nest, c->lane);
	for (int d = c->nest->ndim - 1; d >= 0 && c->block < c->lanes; d--) {
		if (!may_be_lanes(c->nest, d)) continue;
		int64_t block = common_block(c->nest, d);
		if (block < c->lanes || c->nest->dim[d].extent < c->lanes) continue;
		c->lane = d;
		c->block = block;
	}
	if (c->block >= c->lanes || summed < 0 || common_block(c->nest, summed) < c->lanes) return;
	c->lane = summed;
	c->block = common_block(c->nest, summed);
}

/* Three vectors, where these are wider than a block: they should leave none alone, and do better
 * than two, which one remains of, or which rows are too short for. Tiles of several rows seldom do
 * as well as their number of instances would have it. */
static bool suits_three(const Choice *c, int64_t all)
{
	int64_t room = register_room(c);
	int of_three, of_two;
	if (all % 2) return all % 3 != 1;
	if (all % 3 && all <= 6) return false;
	int64_t cost = row_cost(c, room / 3, 3, &of_three), other = row_cost(c, room / 2, 2, &of_two);
	return cost * 100 < other * (of_two > 1 ? 100 : 99);
}

/* Of one image, lanes along a matrix's rows: no other sum shares a vector, and each is a chain of
 * multiply-adds that wait for one another, so more vectors go on beside it. */
static bool is_chain(const Choice *c)
{
	MatrixProduct m;
	if (c->nest->dim[c->lane].reduce || !matrix_product(c->nest, &m)) return false;
	return m.x == c->nest->nload && m.images == 1;
}

/* Whether tiles of so many vectors along the lanes suit: registers are for pixels, not for padding.
 */
static bool suits(const Choice *c, int64_t vectors, int64_t sums)
{
	int64_t most = c->target->registers > 16 ? 2 * CHANNEL_BLOCK : CHANNEL_BLOCK;
	int64_t width = vectors * c->lanes, extent = c->nest->dim[c->lane].extent;
	int64_t all = (extent - 1) / c->lanes + 1;
	Share share[MOST_SHARES];
	if (vectors > 1 && window_shares(c, register_room(c), share)) return false;
	if (vectors > 1 && width > CHANNEL_BLOCK && is_one_task(c, width)) return false;
	if (width - c->lanes >= extent || (width > c->block && c->block < CHANNEL_BLOCK)) return false;
	if (width > CHANNEL_BLOCK && !c->contraction.is) return false;
	if (width == sums || is_chain(c)) return true;
	if (vectors == 3) return all == 3 || (width > CHANNEL_BLOCK && suits_three(c, all));
	return width <= most;
}

/* true: there are enough candidates. */
static bool try_vectors(Candidates *l, Strides strides)
{
	static const int vectors[] = {4, 3, 2, 1};
	const Nest *n = l->nest;
	int lanes = l->lanes;
	Choice probe = choice_new(l, lanes, strides);
	l->error = "no dim fits the lanes";
	if (lanes < 2 || stores_use(n, E_HASH)) return false; /* integers, one by one */
	choose_lane(&probe);
	Choice copy = probe;
	if (copy_vectors(&copy)) {
		make_parallel(&copy);
		return offer(l, &copy);
	}
	if (probe.lane < 0) return false;
	Choice flat = probe;
	if (flat_row(&flat)) return offer(l, &flat);
	int64_t sums = sums_block(&probe);
	for (int v = 0; v < COUNT(vectors); v++)
		for (int64_t unroll = 4; unroll; unroll /= 2) {
			Choice c = probe;
			int64_t width = vectors[v] * lanes;
			if (!suits(&c, vectors[v], sums)) continue;
			c.unroll = unroll;
			int64_t room = MAX(register_room(&c) / vectors[v], 1);
			if (n->dim[c.lane].reduce)
				sum_row(&c, register_room(&c));
			else if (is_transform(&c))
				transform_row(&c, width, (c.target->registers - 4) / vectors[v]);
			else
				vector_row(&c, width, room);
			if (c.unroll < unroll) continue; /* its turn comes */
			make_parallel(&c);
			if (offer(l, &c)) return true;
		}
	return false;
}

static Scheduled *try_plain(Candidates *l, Strides strides)
{
	Choice c = choice_new(l, 0, strides);
	if (!flat_row(&c)) {
		if (!copy_row(&c)) plain_row(&c);
		make_parallel(&c);
	}
	return attempt(l, &c);
}

/* More pieces of text than a stride's phases may be. */
enum { PIECES = 1200 };

/* Phases of a stride are exact, but each is a piece of text: where they are too many, divisors are
 * asked for at run time, which always fits. */
static void list_vectors(Candidates *l)
{
	int64_t pieces = phase_pieces(l->nest);
	Strides last = pieces ? STRIDES_ASKED : STRIDES_WIDE;
	for (Strides s = pieces > PIECES ? STRIDES_ASKED : STRIDES_WIDE; s <= last; s++)
		if (try_vectors(l, s)) return;
}

/* The first candidate; else one with too much text, else loops in order. NULL, with *error set:
 * some other limit. */
static Scheduled *choose(
    Arena *a, const Decisions *d, const Nest *n, const Target *t, int lanes, const char **error)
{
	Scheduled *made = NULL;
	Candidates l = {a, d->scratch, n, t, lanes, d->whole, d->waits, .at = &made, .most = 1};
	int64_t pieces = phase_pieces(n);
	list_vectors(&l);
	if (!made) made = l.large;
	if (made) return made;
	if (pieces <= PIECES) made = try_plain(&l, STRIDES_WIDE);
	if (pieces && !(made && in_budget(made))) made = try_plain(&l, STRIDES_ASKED);
	*error = l.error;
	return made;
}

static int lanes_of(const Target *t, bool is_double)
{
	return t->vector_bytes / (is_double ? 8 : 4);
}

int schedule_candidates(
    Arena *a, const Nest *n, const Target *t, bool is_double, Scheduled **list, int most)
{
	static const Departure departure[] = {{.other_tile = true}, {.other_order = true},
	    {.registers = 2}, {.registers = -2}, {.registers = -4}, {.chunks = 1}, {.chunks = -1}};
	Candidates l = {a, arena_scratch(a), n, t, lanes_of(t, is_double), .at = list, .most = most};
	list_vectors(&l);
	for (int i = 0; i < COUNT(departure) && l.n < most; i++) {
		l.departure = departure[i];
		l.most = l.n + 1; /* of each the first that is new */
		list_vectors(&l);
	}
	return l.n;
}

/* --- decisions ----------------------------------------------------------------------------- */

/* Class, target and shape for people; what else tells nests apart is in the form. */
const char *schedule_key(Arena *a, const Nest *n, const Target *t)
{
	Text key;
	text_init(&key, a);
	text_printf(&key, "%s/%s", n->name, t->name);
	for (int d = 0; d < n->ndim; d++)
		text_printf(&key, " %s%lld", n->dim[d].name, (long long)n->dim[d].extent);
	Text form;
	text_init(&form, a);
	nest_form(n, &form);
	text_printf(&key, " @%08x", (unsigned)(uint32_t)hash_bytes(form.data, form.len, 0));
	return key.data;
}

static void record(Decisions *d, const Scheduled *s, const char *key)
{
	Text text;
	if (map_get(&d->recorded, key, strlen(key))) return;
	map_put(&d->recorded, key, strlen(key), (void *)(uintptr_t)key);
	for (int i = 0; i < d->item.n && d->item.at[i].where.line; i++) /* given ones come first */
		if (d->item.at[i].taken && !strcmp(d->item.at[i].key, key)) return;
	text_init(&text, d->arena);
	schedule_print(s->nest, &s->schedule, &text);
	struct Decision item = {.key = key, .text = text.data, .taken = true};
	vec_push(d->arena, d->item, item);
}

/* The given decision for this nest, if there is one and it is good. */
static Scheduled *follow(
    Arena *a, const Nest *n, const Target *target, Decisions *d, const char *key)
{
	for (int i = 0; i < d->item.n && d->item.at[i].where.line; i++) {
		struct Decision *item = &d->item.at[i];
		Schedule s;
		if (strcmp(item->key, key) != 0) continue;
		Scheduled *made = NULL;
		item->fault = schedule_parse(a, n, item->text, &s);
		if (!item->fault) made = tree_build(a, n, &s, &item->fault);
		if (made) item->fault = check_all(a, made);
		item->taken = made && !item->fault;
		if (item->taken && !d->waits) made->nest = ask_ahead(a, n, target);
		return item->taken ? made : NULL;
	}
	return NULL;
}

/* Of a contraction over its whole domain, less what a link table leaves out. */
static int64_t multiply_adds(const Nest *n)
{
	int64_t points = contraction_of(n).is ? nest_points(n) : 0;
	for (int g = 0; g < n->nguard; g++) {
		const Guard *guard = &n->guard[g];
		if (guard->kind != GUARD_MASK || guard->e[0].a.n != 1 || guard->e[1].a.n != 1) continue;
		int64_t rows = n->dim[guard->e[0].a.t[0].var].extent, links = 0;
		for (int64_t i = 0; i < rows * guard->cols; i++) links += guard->table[i] != 0;
		points = points / (rows * guard->cols) * links;
	}
	return points;
}

static void report(const Decisions *d, const Nest *n, const char *error)
{
	const char *layer = n->layer ? n->layer : n->name;
	if (!d->diag) bug("%s: %s has no schedule: %s", layer, n->name, error);
	diag_error(
	    d->diag, n->where, "%s: %s is too large to be written as C: %s", layer, n->name, error);
}

/* Where there are too few values for a target's vectors, those of a narrower target, which a
 * machine has too, are better than none. Unless another schedule was asked for. */
static void use_narrower(
    Step *step, const Target *const *target, int ntarget, bool is_double, const bool *given)
{
	for (int t = 0; t < ntarget; t++) {
		if (tree_lanes(step->tree[t]) == lanes_of(target[t], is_double)) continue;
		for (int u = t + 1; u < ntarget; u++) {
			int64_t lanes = tree_lanes(step->tree[u]);
			if (lanes < 2 || lanes != lanes_of(target[u], is_double)) continue;
			if (given[t] && !schedule_same(&step->tree[t]->schedule, &step->tree[u]->schedule))
				continue;
			step->tree[t] = step->tree[u];
			break;
		}
	}
}

/* false after an error was reported. */
static bool schedule_step(
    Arena *a, Step *step, const Target *const *target, int ntarget, bool is_double, Decisions *d)
{
	const Nest *n = step->nest;
	bool given[TARGET_LIMIT] = {false};
	const char *key[TARGET_LIMIT];
	step->macs = multiply_adds(n);
	for (int t = 0; t < ntarget; t++) {
		const char *error;
		key[t] = schedule_key(a, n, target[t]);
		Scheduled *made = follow(a, n, target[t], d, key[t]);
		given[t] = made != NULL;
		int lanes = lanes_of(target[t], is_double);
		if (!made) made = choose(a, d, n, target[t], lanes, &error);
		if (!made) {
			report(d, n, error);
			return false;
		}
		step->tree[t] = made;
	}
	use_narrower(step, target, ntarget, is_double, given);
	for (int t = 0; t < ntarget; t++) record(d, step->tree[t], key[t]);
	return true;
}

/* The trees of a nest of the same form, over this step's own buffers. A target may have borrowed
 * that of a narrower one. */
static void copy_trees(Arena *a, Step *step, const Step *of, const Target *const *target,
    int ntarget, const Decisions *d)
{
	step->macs = of->macs;
	for (int t = ntarget - 1; t >= 0; t--) {
		for (int u = t + 1; u < ntarget; u++)
			if (of->tree[u] == of->tree[t]) step->tree[t] = step->tree[u];
		if (step->tree[t]) continue;
		Scheduled *s = NEW(a, Scheduled);
		*s = *of->tree[t];
		s->nest = d->waits ? step->nest : ask_ahead(a, step->nest, target[t]);
		step->tree[t] = s;
	}
}

void schedule_part(
    Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, Decisions *d)
{
	Text form;
	text_init(&form, a);
	if (!d->scratch) d->scratch = arena_scratch(a);
	if (!d->made.arena) map_init(&d->made, a);
	if (!d->recorded.arena) map_init(&d->recorded, d->arena);
	for (int i = 0; i < p->step.n; i++) {
		Step *step = &p->step.at[i];
		step->nest = merge_dims(a, flatten_map(a, step->nest));
		step->is_short = is_short(step->nest);
		form.len = 0;
		nest_form(step->nest, &form);
		const Step *of = map_get(&d->made, form.data, form.len);
		if (of) {
			copy_trees(a, step, of, target, ntarget, d);
			continue;
		}
		if (!schedule_step(a, step, target, ntarget, is_double, d)) return;
		Step *first = NEW(a, Step);
		*first = *step;
		map_put(&d->made, form.data, form.len, first);
	}
	arena_reset(d->scratch);
}
