/* fuse: maps go into the nests that produce their inputs. Knows no operators; fuse_map() decides
 * about the form, this file about the order: the fused nest takes the map's place, so nothing
 * between the two may write what the producer reads, nor read or write what it stores. */
#include "internal.h"

typedef struct {
	Arena *arena;
	Part *part;
	Use *use; /* steps that went away or do not mention the buffer any more may be in the lists */
} Fuser;

/* The nest of a step, NULL when it went into another. */
static const Nest *nest_at(const Fuser *f, int s) { return f->part->step.at[s].nest; }

static bool reads(const Fuser *f, int s, const Buffer *b)
{
	return nest_at(f, s) && nest_load_of(nest_at(f, s), b) >= 0;
}

static bool writes(const Fuser *f, int s, const Buffer *b)
{
	return nest_at(f, s) && nest_store_of(nest_at(f, s), b) >= 0;
}

static int readers(const Fuser *f, const Buffer *b)
{
	const Steps *list = &f->use[b->id].load;
	int n = 0;
	for (int i = 0; i < list->n; i++) n += reads(f, list->at[i], b);
	return n;
}

/* How many steps write b; the last of those before `at` is *producer, -1: none. */
static int writers(const Fuser *f, const Buffer *b, int at, int *producer)
{
	const Steps *list = &f->use[b->id].store;
	int n = 0;
	*producer = -1;
	for (int i = 0; i < list->n; i++) {
		if (!writes(f, list->at[i], b)) continue;
		if (list->at[i] < at) *producer = MAX(*producer, list->at[i]);
		n++;
	}
	return n;
}

static bool is_read_between(const Fuser *f, const Buffer *b, int from, int to)
{
	const Steps *list = &f->use[b->id].load;
	for (int i = 0; i < list->n; i++)
		if (from < list->at[i] && list->at[i] < to && reads(f, list->at[i], b)) return true;
	return false;
}

static bool is_written_between(const Fuser *f, const Buffer *b, int from, int to)
{
	const Steps *list = &f->use[b->id].store;
	for (int i = 0; i < list->n; i++)
		if (from < list->at[i] && list->at[i] < to && writes(f, list->at[i], b)) return true;
	return false;
}

/* Whether the producer at `from` may run as late as `to`. */
static bool may_sink(const Fuser *f, int from, int to)
{
	const Nest *n = nest_at(f, from);
	for (int k = 0; k < n->nload; k++)
		if (is_written_between(f, n->load[k].buffer, from, to)) return false;
	for (int k = 0; k < n->nstore; k++) {
		const Buffer *b = n->store[k].to.buffer;
		if (is_read_between(f, b, from, to) || is_written_between(f, b, from, to)) return false;
	}
	return true;
}

static bool is_map(const Nest *n)
{
	if (n->nacc || n->nguard) return false;
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce) return false;
	return true;
}

/* What the map at step `at` did not mention before it became `made`. */
static void note_uses(Fuser *f, int at, const Nest *map, const Nest *made)
{
	for (int k = 0; k < made->nload; k++) {
		const Buffer *b = made->load[k].buffer;
		if (nest_load_of(map, b) < 0) vec_push(f->arena, f->use[b->id].load, at);
	}
	for (int k = 0; k < made->nstore; k++) {
		const Buffer *b = made->store[k].to.buffer;
		if (nest_store_of(map, b) < 0) vec_push(f->arena, f->use[b->id].store, at);
	}
}

/* Random numbers are integers, one by one: a sum that makes them at its end would not run in
 * vectors. */
static bool spoils_sum(const Nest *into, const Nest *map)
{
	return into->nacc && stores_use(map, E_HASH);
}

/* In a step gradients are made by the kernels that make them elsewhere, and weights move behind
 * them. But a matrix is read and written in the time that its gradient takes, which a few images
 * make. */
static bool may_move_weights(const Fuser *f, const Nest *made)
{
	MatrixProduct m;
	if (f->part->kind != ENTRY_STEP || !moves_weights(made)) return true;
	return keeps_matrix(f->part, made, &m) && m.w == made->nload;
}

/* One attempt for the map at step `at`, reading b. */
static bool try_fuse(Fuser *f, int at, const Buffer *b)
{
	Arena *a = f->arena;
	int from;
	if (b->place != PLACE_WORK || readers(f, b) != 1 || writers(f, b, at, &from) != 1) return false;
	if (from < 0 || !may_sink(f, from, at)) return false;
	const Nest *into = nest_at(f, from), *map = nest_at(f, at);
	if (spoils_sum(into, map)) return false;
	Nest *made = fuse_map(a, into, map, false);
	if (!made || nest_verify(a, made) || !may_move_weights(f, made)) return false;
	for (int k = 0; k < made->nload; k++) /* in place only at the same index */
		for (int s = 0; s < made->nstore; s++)
			if (made->load[k].buffer == made->store[s].to.buffer &&
			    !nest_reads_in_place(made, made->load[k].buffer, made->store[s].to.buffer))
				return false;
	Step *step = &f->part->step.at[at], *gone = &f->part->step.at[from];
	made->layer = into->layer;
	step->comment = arena_printf(a, "%s + %s", gone->comment, step->comment);
	note_uses(f, at, map, made);
	step->nest = made;
	gone->nest = NULL;
	return true;
}

void fuse_part(Arena *a, Part *p)
{
	Fuser f = {a, p, part_uses(a, p)};
	int kept = 0;
	for (int s = 0; s < p->step.n; s++) {
		const Nest *n = p->step.at[s].nest;
		if (!is_map(n)) continue;
		for (int k = 0; k < n->nload; k++) {
			if (!try_fuse(&f, s, n->load[k].buffer)) continue;
			s--; /* the fused nest may be a map itself: look again */
			break;
		}
	}
	for (int s = 0; s < p->step.n; s++)
		if (p->step.at[s].nest) p->step.at[kept++] = p->step.at[s];
	p->step.n = kept;
}
