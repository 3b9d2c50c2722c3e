/* group: steps that run turn by turn, and what makes that the same as one step after the other.
 *
 * A turn is one value of the dims that the members join. In the order of steps every turn of a
 * member comes before all turns of the next; turn by turn, it comes before the next member's own
 * turn only. That is the same if a member reads, of what its group writes, what its own turn wrote.
 * Where a buffer's layout leaves a dim out, the places of its values are one: the index there must
 * be told by the turn alone, and be the same for all who mention the buffer. Tasks, the values of
 * the first joined dim, may run at once: such a buffer has a dim for it. */
#include "internal.h"

int group_end(const Part *p, int s)
{
	int end = s + 1;
	if (!p->step.at[s].group) return end;
	while (end < p->step.n && p->step.at[end].group == p->step.at[s].group) end++;
	return end;
}

typedef struct {
	Arena *arena;
	const Part *part;
	int from, to;
	const Nest *nest; /* the first member's */
	Map place;        /* the Access that a buffer handed on was met with first */
} Group;

static const char *fault_of(const Group *g, int s, const char *what)
{
	return arena_printf(g->arena, "step %d (%s): %s", s, g->part->step.at[s].nest->name, what);
}

/* Blocks of the tree are the turns: it is one par loop for each joined dim, in their order. */
static bool walks_turns(const Scheduled *s)
{
	const Nest *n = s->nest;
	Tree *const *node = s->root.at;
	int count = s->root.n;
	for (int d = 0; d < n->join; d++) {
		if (n->dim[d].extent == 1) continue;
		const Tree *loop = count == 1 ? node[0] : NULL;
		if (!loop || loop->kind != TREE_LOOP || loop->line != LINE_PAR || loop->dim != d ||
		    loop->count != n->dim[d].extent)
			return false;
		node = loop->kid.at;
		count = loop->kid.n;
	}
	return tree_blocks(s) == nest_turns(n);
}

/* All members walk the same turns, and so do their trees. */
static const char *same_turns(const Group *g, int s)
{
	const Step *step = &g->part->step.at[s];
	const Nest *n = step->nest;
	if (n->join < 1 || n->join != g->nest->join) return fault_of(g, s, "joins other dims");
	for (int d = 0; d < n->join; d++)
		if (n->dim[d].reduce || n->dim[d].extent != g->nest->dim[d].extent)
			return fault_of(g, s, "joins other dims");
	for (int t = 0; t < TARGET_LIMIT; t++)
		if (step->tree[t] && !walks_turns(step->tree[t]))
			return fault_of(g, s, "has other blocks than turns");
	return NULL;
}

/* The index is the turn's: the same all through one of them. */
static bool told_by_turn(const Group *g, const Index *at)
{
	if (at->q != 1 || (!at->a.n && at->a.c)) return false;
	for (int t = 0; t < at->a.n; t++)
		if (at->a.t[t].var >= g->nest->join) return false;
	return true;
}

/* Whether these indices grow from turn to turn, the first that differs deciding: then no two turns
 * have the same ones. */
static bool tells_turns(const Group *g, const Access *x)
{
	int64_t at[NEST_DIMS] = {0}, old[BUFFER_RANK];
	int64_t turns = nest_turns(g->nest);
	for (int64_t turn = 0; turn < turns; turn++) {
		int64_t rest = turn;
		int order = turn ? 0 : 1;
		for (int d = g->nest->join - 1; d >= 0; d--) {
			at[d] = rest % g->nest->dim[d].extent;
			rest /= g->nest->dim[d].extent;
		}
		for (int i = 0; i < x->buffer->rank; i++) {
			if (!told_by_turn(g, &x->at[i])) continue;
			int64_t value = affine_eval(&x->at[i].a, at);
			if (!order) order = (value > old[i]) - (value < old[i]);
			old[i] = value;
		}
		if (order <= 0) return false;
	}
	return true;
}

bool index_is_task(const Index *at)
{
	return at->q == 1 && at->a.c == 0 && at->a.n == 1 && at->a.t[0].var == 0 && at->a.t[0].k == 1;
}

/* An access to what one member hands to another: the turn's own part of the buffer, the same for
 * all of them. Where the parts of all turns lie in one place, tasks have one each. */
static const char *handed_access(Group *g, int s, const Access *x)
{
	const Buffer *b = x->buffer;
	const Access *first = map_get(&g->place, &b, sizeof b);
	bool task = g->nest->dim[0].extent == 1 || !b->folded;
	if (!first) map_put(&g->place, &b, sizeof b, (void *)x);
	if (!first && !tells_turns(g, x)) return fault_of(g, s, "hands on what is not its turn's");
	for (int i = 0; i < b->rank; i++) {
		bool told = told_by_turn(g, &x->at[i]);
		task |= index_is_task(&x->at[i]) && !(b->folded >> i & 1);
		if ((b->folded >> i & 1) && !told) return fault_of(g, s, "folds what no turn tells");
		if (first && told_by_turn(g, &first->at[i]) &&
		    !(told && affine_same(&first->at[i].a, &x->at[i].a)))
			return fault_of(g, s, "mentions another turn");
	}
	return task ? NULL : fault_of(g, s, "shares a place with other tasks");
}

/* Another member mentions what this access writes, or writes what it mentions. */
static bool is_handed(const Group *g, int s, const Access *x, bool stored)
{
	const Nest *n = g->part->step.at[s].nest;
	for (int o = g->from; o < g->to; o++) {
		const Nest *m = g->part->step.at[o].nest;
		for (int k = 0; k < m->nload + m->nstore && o != s; k++) {
			const Access *y = nest_access(m, k);
			bool both = stored && k >= m->nload;
			if (y->buffer != x->buffer || !(stored || k >= m->nload)) continue;
			if (!both || !accesses_apart(n, x, m, y)) return true;
		}
	}
	return false;
}

static const char *verify_member(Group *g, int s)
{
	const Nest *n = g->part->step.at[s].nest;
	const char *fault = same_turns(g, s);
	for (int k = 0; k < n->nload + n->nstore && !fault; k++) {
		const Access *x = nest_access(n, k);
		if (x->buffer->folded || is_handed(g, s, x, k >= n->nload)) fault = handed_access(g, s, x);
	}
	return fault;
}

/* Folded buffers are at home in one group. */
static const char *verify_homes(Arena *a, const Part *p)
{
	int *home = NEWS(a, int, p->buffer.n + 1);
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		for (int k = 0; k < n->nload + n->nstore; k++) {
			const Buffer *b = nest_access(n, k)->buffer;
			int group = p->step.at[s].group;
			if (!b->folded) continue;
			if (!group || b->place != PLACE_WORK || (home[b->id] && home[b->id] != group))
				return arena_printf(a, "%s is folded and leaves its group", b->name);
			home[b->id] = group;
		}
	}
	return NULL;
}

const char *verify_groups(Arena *a, const Part *p)
{
	const char *fault = verify_homes(a, p);
	for (int s = 0, end; s < p->step.n && !fault; s = end) {
		end = group_end(p, s);
		Group g = {.arena = a, .part = p, .from = s, .to = end, .nest = p->step.at[s].nest};
		map_init(&g.place, a);
		for (int o = s; o < end && !fault; o++)
			if (p->step.at[o].group)
				fault = verify_member(&g, o);
			else if (p->step.at[o].nest->join)
				fault = fault_of(&g, o, "joins nobody");
		for (int o = end; o < p->step.n && !fault; o++)
			if (p->step.at[o].group && p->step.at[o].group == p->step.at[s].group)
				fault = fault_of(&g, o, "stands apart from its group");
	}
	return fault;
}
