/* interp: the meaning of a nest, in double, and of its tree, which must be the same.
 *
 * run_naive is the definition: plain loops over the dims. run_tree runs what the printer prints:
 * tiles with an accumulator for each instance and lane, chunks whose raw accumulators wait in
 * memory, private accumulators combined before the stores. Both leave out pad points, whose results
 * nobody reads. An access outside of its buffer's room is a fault of cnnc here, never a stray read.
 */
#include "internal.h"

#include <math.h>

typedef struct {
	const Nest *nest;
	const Machine *machine;
	const double *acc;
	int64_t at[NEST_DIMS]; /* the point */
} Point;

/* Where the access lies in the machine's memory. */
static double *place(const Point *p, const Access *x)
{
	const Buffer *b = x->buffer;
	int64_t at[BUFFER_RANK];
	for (int i = 0; i < b->rank; i++) {
		at[i] = floor_div(affine_eval(&x->at[i].a, p->at), x->at[i].q);
		if (at[i] < 0 || at[i] >= b->room[i])
			bug("nest %s: %s dim %d is %lld", p->nest->name, b->name, i, (long long)at[i]);
	}
	return p->machine->memory[b->id] + buffer_offset(b, at);
}

static double call(Function fn, double x, double y)
{
	switch (fn) {
	case FN_EXP: return exp(x);
	case FN_LOG: return log(x);
	case FN_SQRT: return sqrt(x);
	case FN_TANH: return tanh(x);
	case FN_ABS: return fabs(x);
	case FN_POW: return pow(x, y);
	}
	bug("function %d", (int)fn);
}

static double eval(const Point *p, const Expr *e);

static double eval_table(const Point *p, const Expr *e)
{
	int64_t row = affine_eval(&e->index[0], p->at), col = affine_eval(&e->index[1], p->at);
	return e->table[row * e->cols + col];
}

static double eval_hash(const Point *p, const Expr *e)
{
	uint64_t element = (uint64_t)affine_eval(&e->index[0], p->at);
	uint64_t key = p->nest->load[e->id].buffer->key + e->key;
	return hash_uniform(p->machine->seed, p->machine->step, key, element);
}

static double eval(const Point *p, const Expr *e)
{
	double x, y;
	switch (e->kind) {
	case E_ACC: return p->acc[e->id];
	case E_LOAD: return *place(p, &p->nest->load[e->id]);
	case E_NUM: return e->number;
	case E_INDEX: return (double)affine_eval(&e->index[0], p->at);
	case E_TABLE: return eval_table(p, e);
	case E_HASH: return eval_hash(p, e);
	case E_SELECT: return eval(p, e->arg[eval(p, e->arg[0]) != 0 ? 1 : 2]);
	case E_ROUND: return eval(p, e->arg[0]);
	case E_CALL: return call(e->fn, eval(p, e->arg[0]), e->arg[1] ? eval(p, e->arg[1]) : 0);
	default: break;
	}
	x = eval(p, e->arg[0]);
	y = eval(p, e->arg[1]);
	switch (e->kind) {
	case E_ADD: return x + y;
	case E_SUB: return x - y;
	case E_MUL: return x * y;
	case E_DIV: return x / y;
	case E_MAX: return x > y ? x : y;
	case E_MIN: return x < y ? x : y;
	case E_GT: return x > y;
	case E_EQ: return x == y;
	case E_NE: return x != y;
	case E_OR: return x != 0 || y != 0;
	case E_AND: return x != 0 && y != 0;
	default: bug("expression kind %d", (int)e->kind);
	}
}

static bool guards_hold(const Point *p)
{
	for (int g = 0; g < p->nest->nguard; g++) {
		const Guard *guard = &p->nest->guard[g];
		int64_t x = affine_eval(&guard->e[0].a, p->at), q = guard->e[0].q;
		switch (guard->kind) {
		case GUARD_RANGE:
			x = floor_div(x, q);
			if (x < guard->lo || x >= guard->hi) return false;
			break;
		case GUARD_DIVIDES:
			if (x % guard->q) return false;
			break;
		case GUARD_MASK:
			if (!guard->table[x * guard->cols + affine_eval(&guard->e[1].a, p->at)]) return false;
			break;
		}
	}
	return true;
}

/* All accumulators at once: each update sees the old values of all. */
static void update(Point *p, double *acc)
{
	double next[NEST_ACCS];
	if (!guards_hold(p)) return;
	p->acc = acc;
	for (int k = 0; k < p->nest->nacc; k++) next[k] = eval(p, p->nest->acc[k].update);
	memcpy(acc, next, (size_t)p->nest->nacc * sizeof *acc);
}

/* All values first, so that a store in place does not change what the next one reads. */
static void store_all(Point *p, const double *acc)
{
	double value[NEST_STORES];
	p->acc = acc;
	for (int k = 0; k < p->nest->nstore; k++) value[k] = eval(p, p->nest->store[k].value);
	for (int k = 0; k < p->nest->nstore; k++) *place(p, &p->nest->store[k].to) = value[k];
}

static void init(const Nest *n, double *acc)
{
	for (int k = 0; k < n->nacc; k++) acc[k] = n->acc[k].init;
}

/* --- naive -------------------------------------------------------------------------------- */

/* Runs all points of the dims from d on that are (or are not) reduction dims. */
static void naive_dims(Point *p, int d, bool reduce, double *acc)
{
	while (d < p->nest->ndim && p->nest->dim[d].reduce != reduce) d++;
	if (d < p->nest->ndim) {
		for (p->at[d] = 0; p->at[d] < p->nest->dim[d].extent; p->at[d]++)
			naive_dims(p, d + 1, reduce, acc);
		p->at[d] = 0;
	} else if (reduce) {
		update(p, acc);
	} else {
		init(p->nest, acc);
		if (p->nest->nacc) naive_dims(p, 0, true, acc);
		store_all(p, acc);
	}
}

void run_naive(const Nest *n, const Machine *m)
{
	Point p = {.nest = n, .machine = m};
	double acc[NEST_ACCS];
	naive_dims(&p, 0, false, acc);
}

int64_t nest_turns(const Nest *n)
{
	int64_t turns = 1;
	for (int d = 0; d < n->join; d++) turns *= n->dim[d].extent;
	return turns;
}

void run_naive_turn(const Nest *n, const Machine *m, int64_t turn)
{
	Point p = {.nest = n, .machine = m};
	double acc[NEST_ACCS];
	for (int d = n->join - 1; d >= 0; d--) {
		p.at[d] = turn % n->dim[d].extent;
		turn /= n->dim[d].extent;
	}
	naive_dims(&p, n->join, false, acc);
}

/* --- tree --------------------------------------------------------------------------------- */

typedef struct {
	const Scheduled *tree;
	const Machine *machine;
	int64_t value[TREE_VARS]; /* of every loop var and reg */
} Run;

typedef struct {
	const Tree *tile;
	int instances;             /* lanes counted */
	bool live[TILE_INSTANCES]; /* no pad point */
	double acc[TILE_INSTANCES][NEST_ACCS];
} TileRun;

/* Gives the regs the values of instance k, lanes included, the last reg fastest. Returns whether
 * all regs of reduction dims are at 0. */
static bool set_regs(Run *r, const Reg *reg, int nreg, int k)
{
	bool leads = true;
	for (int i = nreg - 1; i >= 0; i--) {
		r->value[reg[i].var] = k % reg[i].count;
		k = (int)(k / reg[i].count);
		if (r->tree->nest->dim[reg[i].dim].reduce && r->value[reg[i].var]) leads = false;
	}
	return leads;
}

static int count_regs(const Reg *reg, int nreg)
{
	int64_t n = 1;
	for (int i = 0; i < nreg; i++) n *= reg[i].count;
	if (n > TILE_INSTANCES) bug("%lld instances", (long long)n);
	return (int)n;
}

/* The point of a tile's or leaf's current instance; false for a pad point. */
static bool locate(const Run *r, const Affine *sub, Point *p)
{
	bool inside = true;
	p->nest = r->tree->nest;
	p->machine = r->machine;
	for (int d = 0; d < p->nest->ndim; d++) {
		p->at[d] = affine_eval(&sub[d], r->value);
		inside &= p->at[d] < p->nest->dim[d].extent;
	}
	return inside;
}

/* Copies outside, instances inside, as they are printed. */
static void run_leaf(Run *r, TileRun *t, const Tree *leaf)
{
	int copies = count_regs(leaf->reg, leaf->nreg);
	if (leaf->dead) return;
	for (int c = 0; c < copies; c++) {
		set_regs(r, leaf->reg, leaf->nreg, c);
		for (int k = 0; k < t->instances; k++) {
			Point p;
			if (!t->live[k]) continue;
			set_regs(r, t->tile->reg, t->tile->nreg, k);
			locate(r, leaf->sub, &p);
			update(&p, t->acc[k]);
		}
	}
}

/* Loops inside of the tile. */
static void run_reduction(Run *r, TileRun *t, const Tree *node)
{
	if (node->kind == TREE_LEAF) {
		run_leaf(r, t, node);
		return;
	}
	for (int64_t i = 0; i < node->count; i++) {
		r->value[node->var] = i;
		for (int k = 0; k < node->kid.n; k++) run_reduction(r, t, node->kid.at[k]);
	}
}

/* Instance k with its reduction regs at 0. */
static int leader_of(const Run *r, const Tree *tile, int k)
{
	int leader = 0, weight = 1;
	for (int i = tile->nreg - 1; i >= 0; i--) {
		int count = (int)tile->reg[i].count;
		if (!r->tree->nest->dim[tile->reg[i].dim].reduce) leader += k % count * weight;
		k /= count;
		weight *= count;
	}
	return leader;
}

static void combine(const Nest *n, double *into, const double *from)
{
	for (int k = 0; k < n->nacc; k++) {
		if (n->acc[k].combine == COMBINE_SUM)
			into[k] += from[k];
		else
			into[k] = into[k] > from[k] ? into[k] : from[k];
	}
}

/* Chunks: whether this is the first, the last. */
static void chunk_now(Run *r, const Tree *tile, bool *first, bool *last)
{
	Chunk chunk[NEST_DIMS];
	int n = tile_chunks(r->tree, tile, chunk);
	*first = *last = true;
	for (int i = 0; i < n; i++) {
		int64_t base = affine_eval(&chunk[i].base, r->value);
		*first &= base == 0;
		*last &= base == chunk[i].last;
	}
}

/* Accumulators of every instance at `init`, or those that wait in memory since the last chunk. */
static void start_tile(Run *r, TileRun *t, bool first)
{
	const Nest *n = r->tree->nest;
	for (int k = 0; k < t->instances; k++) {
		Point p;
		bool leads = set_regs(r, t->tile->reg, t->tile->nreg, k);
		t->live[k] = locate(r, t->tile->sub, &p);
		init(n, t->acc[k]);
		if (first || !leads || !t->live[k]) continue;
		for (int i = 0; i < n->nacc; i++) t->acc[k][i] = *place(&p, &n->store[i].to);
	}
}

/* Private accumulators into their leader, then the stores, or back to wait for the next chunk. */
static void end_tile(Run *r, TileRun *t, bool last)
{
	const Nest *n = r->tree->nest;
	for (int k = 0; k < t->instances; k++) {
		int leader = leader_of(r, t->tile, k);
		if (leader != k && t->live[k]) combine(n, t->acc[leader], t->acc[k]);
	}
	for (int k = 0; k < t->instances; k++) {
		Point p;
		if (!set_regs(r, t->tile->reg, t->tile->nreg, k) || !t->live[k]) continue;
		locate(r, t->tile->sub, &p);
		if (last)
			store_all(&p, t->acc[k]);
		else
			for (int i = 0; i < n->nacc; i++) *place(&p, &n->store[i].to) = t->acc[k][i];
	}
}

static void run_tile(Run *r, const Tree *tile)
{
	TileRun t; /* large: start_tile sets what is used of it */
	bool first, last;
	t.tile = tile;
	t.instances = count_regs(tile->reg, tile->nreg);
	chunk_now(r, tile, &first, &last);
	start_tile(r, &t, first);
	if (r->tree->nest->nacc)
		for (int k = 0; k < tile->kid.n; k++) run_reduction(r, &t, tile->kid.at[k]);
	end_tile(r, &t, last);
}

/* Loops around tiles; leaves outside of tiles are dead. */
static void run_node(Run *r, const Tree *node)
{
	if (node->kind == TREE_TILE) run_tile(r, node);
	if (node->kind != TREE_LOOP) return;
	for (int64_t i = 0; i < node->count; i++) {
		r->value[node->var] = i;
		for (int k = 0; k < node->kid.n; k++) run_node(r, node->kid.at[k]);
	}
}

void run_tree(const Scheduled *s, const Machine *m)
{
	Run r = {.tree = s, .machine = m};
	if (s->nvar > TREE_VARS) bug("%d loop variables", s->nvar);
	for (int i = 0; i < s->root.n; i++) run_node(&r, s->root.at[i]);
}

/* The block of the par loops that joined dims are: each is one piece. */
void run_tree_turn(const Scheduled *s, const Machine *m, int64_t turn)
{
	Run r = {.tree = s, .machine = m};
	Tree *const *node = s->root.at;
	int n = s->root.n;
	int64_t blocks = nest_turns(s->nest);
	if (s->nvar > TREE_VARS) bug("%d loop variables", s->nvar);
	while (blocks > 1) {
		if (n != 1 || node[0]->kind != TREE_LOOP || node[0]->line != LINE_PAR)
			bug("nest %s does not begin with its joined dims", s->nest->name);
		blocks /= node[0]->count;
		r.value[node[0]->var] = turn / blocks;
		turn %= blocks;
		n = node[0]->kid.n;
		node = node[0]->kid.at;
	}
	for (int i = 0; i < n; i++) run_node(&r, node[i]);
}

/* --- random numbers ----------------------------------------------------------------------- */

/* The finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
 * 2014). */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

double hash_uniform(uint64_t seed, uint64_t step, uint64_t key, uint64_t element)
{
	uint64_t h = mix(seed + UINT64_C(0x9E3779B97F4A7C15));
	h = mix(h ^ key);
	h = mix(h ^ (step * UINT64_C(0xD1B54A32D192ED03) + 1));
	h = mix(h ^ (element * UINT64_C(0x9E3779B97F4A7C15) + 1));
	return (double)(h >> 40) * (1.0 / 16777216);
}
