/* partial: long sums in parts.
 *
 * A sum of n numbers in one accumulator carries some sqrt(n) of its roundings, and n/2 where the
 * numbers have one sign. So a tile that adds up many sums each turn of one of its loops apart, from
 * 0, and the parts to a total:
 *
 *   for (h = 0; h < 112; h++) {
 *           const f32x16 none = {0}, t0 = a0;
 *           a0 = none;
 *           for (w = 0; w < 112; w++) a0 += x;
 *           a0 += t0;
 *   }
 *
 * A turn must have so many numbers that the detour over the totals is a few percent. Sums of
 * products, as convolutions are, have no time for it unless they are very long. */
#include "internal.h"

enum { LONG = 64, LONG_PRODUCTS = 2048, TURN = 20, OUTSIDE_WEIGHT = 4 };

/* Accumulators are all sums or, in no long nest, maxima. */
static bool sums(const Tile *t, int acc) { return t->k->nest->acc[acc].combine == COMBINE_SUM; }

static int64_t list_terms(Tree *const *node, int n);

/* What each accumulator takes in. */
static int64_t terms(const Tree *node)
{
	if (node->kind == TREE_LEAF) return node->dead ? 0 : instance_count(node->reg, node->nreg);
	return node->count * list_terms(node->kid.at, node->kid.n);
}

static int64_t list_terms(Tree *const *node, int n)
{
	int64_t sum = 0;
	for (int i = 0; i < n; i++) sum += terms(node[i]);
	return sum;
}

/* The loop below `node` with the least of what it sums inside and, weighed, outside. */
static void find_best(const Tree *node, int64_t outside, const Tree **best, int64_t *least)
{
	if (node->kind != TREE_LOOP) return;
	int64_t inside = list_terms(node->kid.at, node->kid.n);
	outside *= node->count;
	int64_t weight = inside + OUTSIDE_WEIGHT * outside;
	if (inside >= TURN && node->count > 1 && weight < *least) {
		*best = node;
		*least = weight;
	}
	for (int i = 0; i < node->kid.n; i++) find_best(node->kid.at[i], outside, best, least);
}

void partial_choose(Tile *t)
{
	int64_t most = nest_product(t->k->nest).is ? LONG_PRODUCTS : LONG;
	for (int i = 0; i < t->tree->kid.n; i++) {
		const Tree *best = NULL;
		int64_t least = INT64_MAX;
		if (terms(t->tree->kid.at[i]) < most) continue;
		find_best(t->tree->kid.at[i], 1, &best, &least);
		if (best && sums(t, 0)) vec_push(t->k->arena, t->partial, best);
	}
}

bool partial_at(const Tile *t, const Tree *loop)
{
	for (int i = 0; i < t->partial.n; i++)
		if (t->partial.at[i] == loop) return true;
	return false;
}

/* Prints something for each accumulator that sums, whose total has its name with a t for the a. */
static void for_each_sum(Scope *s, const Tile *t, void (*print)(Scope *s, const char *sum))
{
	for (int acc = 0; acc < t->k->nest->nacc; acc++)
		for (int i = 0; i < t->instances && sums(t, acc); i++) {
			char name[48];
			accumulator_name(t, acc, i, name);
			print(s, name);
		}
}

static void declare_total(Scope *s, const char *sum)
{
	text_printf(s->out, ", t%s = %s", sum + 1, sum);
}

static void assign(Scope *s, const char *sum) { text_printf(s->out, "%s = ", sum); }

static void add_total(Scope *s, const char *sum) { print_line(s, "%s += t%s;", sum, sum + 1); }

void partial_begin(Scope *s, const Tile *t)
{
	const Kernel *k = t->k;
	bool vector = t->lane_var >= 0;
	print_indent(s);
	text_printf(s->out, "const %s none = %s", vector ? k->vector : k->real, vector ? "{0}" : "0");
	for_each_sum(s, t, declare_total);
	text_add(s->out, ";\n");
	print_indent(s);
	for_each_sum(s, t, assign);
	text_add(s->out, "none;\n");
	k->cost->stack +=
	    (int64_t)t->instances * k->nest->nacc * (vector ? k->target->vector_bytes : 8);
}

void partial_end(Scope *s, const Tile *t) { for_each_sum(s, t, add_total); }
