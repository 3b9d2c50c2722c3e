/* check_partition: proves that a tree visits every point of the nest's domain exactly once.
 *
 * Along one path each dim takes a set of values; loops of different dims are independent, so the
 * path visits the product of these sets. If within a path no value comes twice, every set lies
 * inside the extent, the sizes of all products add up to the domain, and any two paths are disjoint
 * in some dim, then the paths are a partition. Distinct sets are few, so each pair of them is
 * compared once. */
#include "internal.h"

enum { SETS = 2048 }; /* distinct ones of a dim */

typedef struct {
	Arena *arena;
	const Scheduled *tree;
	Vec(Set) set[NEST_DIMS];
	Vec(uint16_t *) path; /* which set of each dim */
	int64_t volume;
} Partition;

static const char *say(Partition *p, int d, const char *what)
{
	return arena_printf(p->arena, "partition: %s: %s", p->tree->nest->dim[d].name, what);
}

/* Every var on the path moves its own dim and no other; a live leaf knows no var beside these. */
static const char *check_vars(Partition *p, const Path *path)
{
	const Scheduled *s = p->tree;
	for (int v = 0; v < path->nvar; v++) {
		PathVar x = path->var[v];
		if (x.var < 0 || x.var >= s->nvar || x.count < 1 || s->count[x.var] != x.count)
			return say(p, x.dim, "a loop with a wrong count");
		for (int d = 0; d < s->nest->ndim; d++)
			if (!affine_k(&path->leaf->sub[d], x.var) != (x.dim != d || x.count == 1))
				return say(p, d, "a loop that does not move its dim alone");
	}
	for (int d = 0; d < s->nest->ndim && !path->leaf->dead; d++)
		for (int t = 0; t < path->leaf->sub[d].n; t++) {
			int v = 0;
			while (v < path->nvar && path->var[v].var != path->leaf->sub[d].t[t].var) v++;
			if (v == path->nvar) return say(p, d, "a variable without its loop");
		}
	return NULL;
}

/* The tile's own account of its dims must agree with the leaf's. */
static const char *check_tile(Partition *p, const Path *path)
{
	const Scheduled *s = p->tree;
	if (path->tiles != 1) return "partition: a leaf that is not in one tile";
	for (int d = 0; d < s->nest->ndim; d++) {
		Affine inside = path->leaf->sub[d];
		int64_t lo, hi;
		if (!affine_accumulate(&inside, &path->tile->sub[d], -1))
			return say(p, d, "tile and leaf disagree");
		for (int r = 0; r < path->tile->nreg; r++)
			if (affine_k(&inside, path->tile->reg[r].var))
				return say(p, d, "tile and leaf disagree");
		affine_range(&inside, s->count, &lo, &hi);
		if (lo < 0 || hi > path->tile->span[d] || (hi && !s->nest->dim[d].reduce))
			return say(p, d, "tile and leaf disagree");
	}
	return NULL;
}

/* Which of the dim's distinct sets this is; a new one is kept. */
static int set_number(Partition *p, int d, const Set *s)
{
	for (int i = 0; i < p->set[d].n; i++)
		if (set_same(&p->set[d].at[i], s)) return i;
	Digit *digit = NEWS(p->arena, Digit, MAX(s->n, 1));
	if (s->n) memcpy(digit, s->digit, (size_t)s->n * sizeof *digit);
	Set kept = *s;
	kept.digit = digit;
	vec_push(p->arena, p->set[d], kept);
	return p->set[d].n - 1;
}

/* Proves what concerns one path alone and keeps its sets for the pairs. */
static const char *add_path(void *self, const Path *path)
{
	Partition *p = self;
	const Scheduled *s = p->tree;
	const char *wrong = check_vars(p, path);
	if (!wrong && !path->leaf->dead) wrong = check_tile(p, path);
	if (wrong) return wrong;
	if (path->leaf->dead && guards_may_hold(s->nest, path->leaf->sub, s->count))
		return "partition: a dead piece is alive";
	uint16_t *number = NEWS(p->arena, uint16_t, MAX(s->nest->ndim, 1));
	int64_t volume = 1;
	for (int d = 0; d < s->nest->ndim; d++) {
		Digit room[AFFINE_TERMS];
		Set set;
		if (!set_of(&path->leaf->sub[d], s->count, room, &set))
			return say(p, d, "a value visited twice on one path");
		if (set.base < 0 || set.last >= s->extent[d]) return say(p, d, "leaves its domain");
		int k = set_number(p, d, &set);
		if (k >= SETS) return say(p, d, "too many pieces to prove");
		number[d] = (uint16_t)k;
		if (!mul_fits(volume, set.count, &volume)) return say(p, d, "overflow");
	}
	if (!add_fits(p->volume, volume, &p->volume)) return "partition: overflow";
	vec_push(p->arena, p->path, number);
	return NULL;
}

/* meet[i*n + j]: sets i and j of dim d have a common value. */
static const uint8_t *meetings(Partition *p, int d)
{
	int n = p->set[d].n;
	uint8_t *meet = NEWS(p->arena, uint8_t, n * n);
	for (int i = 0; i < n; i++)
		for (int j = 0; j <= i; j++)
			meet[i * n + j] = meet[j * n + i] =
			    i == j || sets_meet(&p->set[d].at[i], &p->set[d].at[j]);
	return meet;
}

/* Dims in which all paths have one set tell none apart and are left out. */
static bool all_disjoint(Partition *p)
{
	int order[NEST_DIMS], used = 0;
	const uint8_t *meet[NEST_DIMS];
	for (int d = 0; d < p->tree->nest->ndim; d++) {
		if (p->set[d].n < 2) continue;
		meet[d] = meetings(p, d);
		order[used++] = d;
	}
	for (int i = 0; i < p->path.n; i++)
		for (int j = 0; j < i; j++) {
			const uint16_t *x = p->path.at[i], *y = p->path.at[j];
			int k = 0;
			while (k < used && meet[order[k]][x[order[k]] * p->set[order[k]].n + y[order[k]]]) k++;
			if (k == used) return false;
		}
	return true;
}

const char *check_partition(Arena *a, const Scheduled *s)
{
	Partition p = {.arena = a, .tree = s};
	int64_t domain = 1;
	for (int d = 0; d < s->nest->ndim; d++) {
		if (s->extent[d] < s->nest->dim[d].extent) return say(&p, d, "cut short");
		if (s->extent[d] > s->nest->dim[d].extent && s->nest->dim[d].reduce)
			return say(&p, d, "a padded reduction");
		if (!mul_fits(domain, s->extent[d], &domain)) return "partition: overflow";
	}
	const char *wrong = paths_visit(s, add_path, &p);
	if (wrong) return wrong;
	if (p.volume != domain) return "partition: the pieces do not add up to the domain";
	return all_disjoint(&p) ? NULL : "partition: two pieces overlap";
}
