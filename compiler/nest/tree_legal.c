/* tree_legal: what a schedule may ask of a nest, found while the tree is built. Each function
 * returns NULL or why not, as text. The rules about memory are check_stores' and are only asked
 * here. */
#include "internal.h"

/* See nest.h above TreeKind. */
int schedule_close(const Nest *n, const Schedule *s)
{
	int i = 0;
	while (i < s->n && s->line[i].kind != LINE_REG && s->line[i].kind != LINE_VEC) i++;
	if (i < s->n) {
		while (i < s->n && (s->line[i].kind == LINE_REG || s->line[i].kind == LINE_VEC)) i++;
		return i;
	}
	while (i > 0 && n->dim[s->line[i - 1].dim].reduce) i--;
	return i;
}

/* --- the schedule by itself --------------------------------------------------------------- */

/* What can be said of line i without building. */
static const char *legal_line(Arena *a, const Nest *n, const Schedule *s, int i, int close)
{
	Line line = s->line[i];
	if (line.dim < 0 || line.dim >= n->ndim) return "a line over a dim that the nest has not";
	const char *name = n->dim[line.dim].name;
	bool reduce = n->dim[line.dim].reduce;
	if (line.by < 0) return arena_printf(a, "%s: units of %lld", name, (long long)line.by);
	switch (line.kind) {
	case LINE_PAR:
		if (reduce) return arena_printf(a, "par %s: a reduction dim", name);
		if (i && s->line[i - 1].kind != LINE_PAR)
			return arena_printf(a, "par %s: not a leading line", name);
		return NULL;
	case LINE_REG:
	case LINE_VEC:
		if (i >= close) return arena_printf(a, "%s: reg and vec lines must stand together", name);
		if (reduce && n->ordered) return arena_printf(a, "%s: its order matters", name);
		return reduce ? accs_allow_private(n) : NULL;
	case LINE_PHASE:
		if (reduce && n->ordered) return arena_printf(a, "phase %s: its order matters", name);
		if (reduce && i < close)
			return arena_printf(a, "phase %s: a reduction dim above the tile", name);
		return NULL;
	case LINE_UNROLL:
		if (!reduce || i < close)
			return arena_printf(a, "unroll %s: not a reduction dim inside the tile", name);
		return NULL;
	default: return NULL;
	}
}

/* An ordered nest visits its reduction dims in order: lines sorted by dim, and no loop below a
 * copy. */
static const char *legal_order(Arena *a, const Nest *n, const Schedule *s)
{
	int last = -1;
	bool copies = false;
	for (int i = 0; i < s->n; i++) {
		Line line = s->line[i];
		if (!n->dim[line.dim].reduce || n->dim[line.dim].extent == 1) continue;
		if (line.dim < last || (copies && line.kind != LINE_UNROLL))
			return arena_printf(a, "%s: out of order", n->dim[line.dim].name);
		copies |= line.kind == LINE_UNROLL;
		last = line.dim;
	}
	return NULL;
}

/* Turns of a group are blocks: a line for each joined dim comes first, and no other par line. */
static const char *legal_join(Arena *a, const Nest *n, const Schedule *s)
{
	int i = 0;
	for (int d = 0; d < n->join; d++) {
		if (n->dim[d].extent == 1) continue;
		if (i >= s->n || s->line[i].kind != LINE_PAR || s->line[i].dim != d || s->line[i].by > 1)
			return arena_printf(a, "par %s 1: missing, as steps take turns", n->dim[d].name);
		i++;
	}
	if (n->join && i < s->n && s->line[i].kind == LINE_PAR)
		return arena_printf(
		    a, "par %s: steps that take turns have no other", n->dim[s->line[i].dim].name);
	return NULL;
}

/* Every dim has a line, lines are where they may be, padding has room. */
const char *legal_schedule(Arena *a, const Nest *n, const Schedule *s)
{
	if (s->n < 0 || s->n > SCHEDULE_LINES) return "too many lines";
	bool named[NEST_DIMS] = {false};
	int lanes = 0;
	for (int i = 0; i < s->n; i++)
		if (s->line[i].dim < 0 || s->line[i].dim >= n->ndim)
			return "a line over no dim of the nest";
	int close = schedule_close(n, s);
	for (int i = 0; i < s->n; i++) {
		const char *wrong = legal_line(a, n, s, i, close);
		if (wrong) return wrong;
		named[s->line[i].dim] = true;
		lanes += s->line[i].kind == LINE_VEC;
	}
	if (lanes > 1) return "more than one vec line";
	int64_t extent[NEST_DIMS];
	bool padded = false;
	for (int d = 0; d < n->ndim; d++) {
		extent[d] = s->extent[d] ? s->extent[d] : n->dim[d].extent;
		if (extent[d] < n->dim[d].extent || (extent[d] > n->dim[d].extent && n->dim[d].reduce))
			return arena_printf(a, "pad %s: not a larger space dim", n->dim[d].name);
		padded |= extent[d] > n->dim[d].extent;
		if (extent[d] > 1 && !named[d]) return arena_printf(a, "%s: no line", n->dim[d].name);
	}
	const char *wrong = padded ? stores_allow_pad(n, extent) : NULL;
	if (!wrong) wrong = legal_join(a, n, s);
	return !wrong && n->ordered ? legal_order(a, n, s) : wrong;
}

/* --- addresses ---------------------------------------------------------------------------- */

/* Indices resolve, and the layout makes one affine address of them. A quotient that only its guard
 * knows to be exact enters the address by itself, where the layout leaves its dim whole. */
static bool access_fits(const Scheduled *s, const Access *x, const Affine *sub)
{
	Affine at[BUFFER_RANK], address;
	for (int i = 0; i < x->buffer->rank; i++) {
		if (index_resolve(&x->at[i], sub, &at[i])) continue;
		if (!buffer_stride(x->buffer, i) || !index_guarded(s->nest, &x->at[i])) return false;
		if (!affine_try_subst(&x->at[i].a, sub, &at[i])) return false;
		at[i] = affine_number(0);
	}
	return buffer_address(x->buffer, at, s->count, &address);
}

/* The first access, of `loads` and when asked the stores, whose address is no affine form; or NULL.
 */
static const Access *misfit(const Scheduled *s, uint32_t loads, bool stores, const Affine *sub)
{
	const Nest *n = s->nest;
	for (int l = 0; l < n->nload; l++)
		if (loads >> l & 1 && n->load[l].buffer->type != TYPE_SEED &&
		    !access_fits(s, &n->load[l], sub))
			return &n->load[l];
	for (int k = 0; stores && k < n->nstore; k++)
		if (!access_fits(s, &n->store[k].to, sub)) return &n->store[k].to;
	return NULL;
}

static const char *not_affine(Arena *a, const Scheduled *s, const Access *x)
{
	const char *name[NEST_DIMS];
	Text t;
	for (int d = 0; d < s->nest->ndim; d++) name[d] = s->nest->dim[d].name;
	text_init(&t, a);
	access_print(x, name, &t);
	text_add(&t, ": not affine under the layout ");
	buffer_layout_text(x->buffer, &t);
	return t.data;
}

/* --- expressions that must be known when printed ------------------------------------------ */

typedef struct {
	const Affine *sub;
	bool tables; /* whether any table was seen */
	bool known;  /* tables have constant coefficients and indices fit */
} Knowledge;

static bool look(void *self, const Expr *e)
{
	Knowledge *k = self;
	Affine i;
	int indices = e->kind == E_TABLE ? 2 : e->kind == E_INDEX || e->kind == E_HASH ? 1 : 0;
	k->tables |= e->kind == E_TABLE;
	for (int x = 0; x < indices; x++)
		if (!affine_try_subst(&e->index[x], k->sub, &i) || (e->kind == E_TABLE && i.n))
			k->known = false;
	return true;
}

/* Store values or updates under this substitution. */
static Knowledge look_at(const Nest *n, bool stores, const Affine *sub)
{
	Knowledge k = {.sub = sub, .known = true};
	if (stores)
		for (int i = 0; i < n->nstore; i++) expr_visit(n->store[i].value, look, &k);
	else
		for (int i = 0; i < n->nacc; i++) expr_visit(n->acc[i].update, look, &k);
	return k;
}

/* Addresses and expressions with the regs open, which settles nearly every tile and leaf at once;
 * where that does not do, instance by instance, leaving out those that no guard lets live. */
static const char *legal_body(
    Arena *a, const Scheduled *s, const Reg *reg, int nreg, const Affine *sub, bool stores)
{
	const Nest *n = s->nest;
	uint32_t loads = stores ? nest_store_loads(n) : nest_update_loads(n);
	if (!misfit(s, loads, stores, sub) && look_at(n, stores, sub).known) return NULL;
	for (int k = 0; k < instance_count(reg, nreg); k++) {
		Affine one[NEST_DIMS];
		instance_fix(reg, nreg, k, sub, n->ndim, one);
		if (!stores && !guards_may_hold(n, one, s->count)) continue;
		const Access *bad = misfit(s, loads, stores, one);
		if (bad) return not_affine(a, s, bad);
		Knowledge known = look_at(n, stores, one);
		if (!known.known)
			return known.tables ? "a table coefficient is not constant: unroll or phase its dims"
			                    : "an index over too many loops";
	}
	return NULL;
}

/* Instances with lanes counted, or -1 above TILE_INSTANCES. */
static int64_t instances(const Reg *reg, int nreg)
{
	int64_t n = 1;
	for (int r = 0; r < nreg; r++)
		if (!mul_fits(n, reg[r].count, &n) || n > TILE_INSTANCES) return -1;
	return n;
}

/* The stores, and what they read, in every instance; and chunks, where the reduction is not whole.
 */
const char *legal_tile(Arena *a, const Scheduled *s, const Tree *tile)
{
	Chunk chunk[NEST_DIMS];
	if (instances(tile->reg, tile->nreg) < 0)
		return arena_printf(a, "a tile of more than %d instances", TILE_INSTANCES);
	const char *wrong = legal_body(a, s, tile->reg, tile->nreg, tile->sub, true);
	if (!wrong && tile_chunks(s, tile, chunk)) wrong = stores_allow_chunks(s->nest);
	return wrong;
}

/* The guard can be asked at run time: no mask, which is no arithmetic. */
static bool askable(const Guard *g, const Affine *sub)
{
	Affine unused;
	return g->kind != GUARD_MASK && affine_try_subst(&g->e[0].a, sub, &unused);
}

/* Each guard is decided, or can be asked, in every instance that may live. */
static bool guards_printable(const Scheduled *s, const Reg *reg, int nreg, const Affine *sub)
{
	const Nest *n = s->nest;
	for (int g = 0; g < n->nguard; g++) {
		const Guard *guard = &n->guard[g];
		if (askable(guard, sub) || guard_truth(guard, sub, s->count) != MAYBE) continue;
		for (int k = 0; k < instance_count(reg, nreg); k++) {
			Affine one[NEST_DIMS];
			instance_fix(reg, nreg, k, sub, n->ndim, one);
			if (!askable(guard, one) && guard_truth(guard, one, s->count) == MAYBE &&
			    guards_may_hold(n, one, s->count))
				return false;
		}
	}
	return true;
}

/* The updates in every copy and instance that may live. */
const char *legal_leaf(Arena *a, const Scheduled *s, const Tree *tile, const Tree *leaf)
{
	Reg reg[2 * TILE_REGS];
	int nreg = leaf_regs(tile, leaf, reg);
	if (instances(leaf->reg, leaf->nreg) < 0)
		return arena_printf(a, "more than %d copies in a leaf", TILE_INSTANCES);
	if (!guards_printable(s, reg, nreg, leaf->sub))
		return "a mask is not decided: phase or reg its space dim, phase, cut or unroll its "
		       "reduction dim";
	if (guard_on_lane(s, tile, leaf)) return "a guard depends on a lane";
	return legal_body(a, s, reg, nreg, leaf->sub, false);
}
