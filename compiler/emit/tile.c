/* tile: accumulators from their first value to the stores.
 *
 * A tile with a reduction becomes a function of its own, so that its accumulators, all named
 * locals, have the registers to themselves; tiles of equal text share one. A tile without (a map)
 * stays in the loops where it stands. */
#include "internal.h"

static bool reduces(const Nest *n)
{
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce && n->dim[d].extent > 1) return true;
	return false;
}

/* The lanes of the schedule, where they are just the target's vector, or half or a quarter of it.
 * Otherwise they are instances. */
static bool are_vector(const Reg *reg, int lanes)
{
	int64_t n = reg->count;
	bool narrow = n >= LEAST_LANES && (2 * n == lanes || 4 * n == lanes);
	return reg->lanes && (narrow || n == lanes);
}

static void tile_open(Tile *t, Kernel *k, const Tree *tree)
{
	int lanes = target_lanes(k->target, k->is_double);
	*t = (Tile){.k = k, .tree = tree, .nreg = tree->nreg, .lane_var = -1};
	k->lanes = lanes;
	for (int r = 0; r < t->nreg; r++) {
		t->reg[r] = tree->reg[r];
		t->reg[r].lanes = are_vector(&t->reg[r], lanes);
		if (!t->reg[r].lanes) continue;
		k->lanes = (int)t->reg[r].count;
		t->lane_var = t->reg[r].var;
		t->lane_reduces = k->nest->dim[t->reg[r].dim].reduce;
	}
	if (lanes) type_suffix(k->lanes, k->is_double, k->vector);
	k->pool->narrow |= k->lanes < lanes;
	t->instances = instance_count(t->reg, t->nreg);
	partial_choose(t);
}

/* Which instance collects what the private accumulators of this one hold. */
static int leader_of(const Tile *t, int instance)
{
	int leader = 0, weight = 1;
	for (int r = t->nreg - 1; r >= 0; r--) {
		if (t->reg[r].lanes) continue;
		int count = (int)t->reg[r].count;
		if (!t->k->nest->dim[t->reg[r].dim].reduce) leader += instance % count * weight;
		instance /= count;
		weight *= count;
	}
	return leader;
}

static void suffixed_name(const Tile *t, const char *stem, int acc, int instance, char room[48])
{
	int at[TILE_REGS], n = 0;
	for (int r = t->nreg - 1; r >= 0; r--) {
		if (t->reg[r].lanes) continue;
		at[n++] = (int)(instance % t->reg[r].count);
		instance = (int)(instance / t->reg[r].count);
	}
	int len = snprintf(room, 48, "%s", stem);
	bool many = t->k->nest->nacc > 1;
	if (many) len += snprintf(room + len, 48 - (size_t)len, "%d", acc);
	for (int i = n - 1; i >= 0 && len < 40; i--)
		len += snprintf(room + len, 48 - (size_t)len, "%s%d", many || i < n - 1 ? "_" : "", at[i]);
}

void accumulator_name(const Tile *t, int acc, int instance, char room[48])
{
	suffixed_name(t, "a", acc, instance, room);
}

/* What the stores see: the accumulator, or the sum over its lanes. */
static void result_name(const Tile *t, int acc, int instance, char room[48])
{
	suffixed_name(t, t->lane_reduces ? "h" : "a", acc, instance, room);
}

/* Dims at the stores of an instance; reduction dims are over. */
static void store_dims(const Tile *t, int instance, Affine *sub)
{
	const Nest *n = t->k->nest;
	instance_fix(t->reg, t->nreg, instance, t->tree->sub, n->ndim, sub);
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce) sub[d] = affine_number(0);
}

static int store_lanes(const Tile *t) { return t->lane_reduces ? -1 : t->lane_var; }

/* --- the start ----------------------------------------------------------------------------- */

static void print_init(Scope *s, const Tile *t, int acc)
{
	const Kernel *k = t->k;
	double init = k->nest->acc[acc].init;
	bool vector = t->lane_var >= 0;
	print_indent(s);
	text_printf(s->out, "%s ", vector ? k->vector : k->real);
	for (int i = 0; i < t->instances; i++) {
		char name[48];
		accumulator_name(t, acc, i, name);
		text_printf(s->out, "%s%s = ", i ? ", " : "", name);
		if (vector && init == 0) {
			text_add(s->out, "{0}");
			continue;
		}
		if (vector) text_printf(s->out, "splat_%s(", k->vector);
		text_number(s->out, init, k->is_double);
		if (vector) text_add(s->out, ")");
	}
	text_add(s->out, ";\n");
	s->k->cost->stack += (int64_t)t->instances * (vector ? k->target->vector_bytes : 8);
}

/* What a store's place holds. */
static void print_waiting(Scope *s, const Tile *t, int acc, int instance)
{
	const Kernel *k = t->k;
	Affine sub[NEST_DIMS];
	store_dims(t, instance, sub);
	Address a = address_of(s, &k->nest->store[acc].to, sub, store_lanes(t));
	if (a.lane == 0) {
		print_address(s, &a, 0);
	} else if (a.lane == 1) {
		text_printf(s->out, "*(const %s%s *)&", k->vector, a.aligned ? "" : "u");
		print_address(s, &a, 0);
	} else {
		text_printf(s->out, "(%s){", k->vector);
		for (int i = 0; i < k->lanes; i++) {
			if (i) text_add(s->out, ", ");
			print_address(s, &a, i * a.lane);
		}
		text_add(s->out, "}");
	}
}

/* Sums of a chunk begin at 0 and are added to the former ones: a long sum is one of parts. */
static bool adds_up(const Nest *n)
{
	for (int acc = 0; acc < n->nacc; acc++)
		if (n->acc[acc].combine != COMBINE_SUM || n->acc[acc].init != 0) return false;
	return true;
}

/* Not the first chunk: what the former ones left waits in the places of the stores. */
static void print_resume(Scope *s, const Tile *t)
{
	const Nest *n = t->k->nest;
	print_line(s, "if (!first) {");
	s->indent++;
	for (int i = 0; i < t->instances; i++)
		for (int acc = 0; acc < n->nacc && leader_of(t, i) == i; acc++) {
			char name[48];
			accumulator_name(t, acc, i, name);
			print_indent(s);
			text_printf(
			    s->out, "%s%s %s ", name, t->lane_reduces ? "[0]" : "", adds_up(n) ? "+=" : "=");
			print_waiting(s, t, acc, i);
			text_add(s->out, ";\n");
		}
	s->indent--;
	print_line(s, "}");
}

/* --- the end ------------------------------------------------------------------------------- */

static void print_combine(Scope *s, const Tile *t)
{
	const Kernel *k = t->k;
	const char *type = t->lane_var >= 0 ? k->vector : k->suffix;
	char into[48], from[48];
	for (int i = 0; i < t->instances; i++) {
		int leader = leader_of(t, i);
		for (int acc = 0; acc < k->nest->nacc && leader != i; acc++) {
			accumulator_name(t, acc, leader, into);
			accumulator_name(t, acc, i, from);
			if (k->nest->acc[acc].combine == COMBINE_SUM)
				print_line(s, "%s += %s;", into, from);
			else
				print_line(s, "%s = max_%s(%s, %s);", into, type, into, from);
		}
	}
	for (int i = 0; i < t->instances && t->lane_reduces; i++) {
		for (int acc = 0; acc < k->nest->nacc && leader_of(t, i) == i; acc++) {
			bool sum = k->nest->acc[acc].combine == COMBINE_SUM;
			accumulator_name(t, acc, i, from);
			result_name(t, acc, i, into);
			print_line(s, "const %s %s = %s_%s(%s);", k->real, into, sum ? "sum" : "largest",
			    k->vector, from);
		}
	}
}

/* `value` is a name, and with lanes that are not neighbours it is taken apart. */
static void print_store(Scope *s, const Tile *t, const Address *a, const char *value)
{
	const Kernel *k = t->k;
	if (a->lane > 1 || a->lane < 0) {
		for (int i = 0; i < k->lanes; i++) {
			print_indent(s);
			print_address(s, a, i * a->lane);
			text_printf(s->out, " = %s[%d];\n", value, i);
		}
		return;
	}
	print_indent(s);
	if (a->lane == 1) text_printf(s->out, "*(%s%s *)&", k->vector, a->aligned ? "" : "u");
	print_address(s, a, 0);
	text_printf(s->out, " = %s;\n", value);
}

/* Not the last chunk: raw accumulators wait in the places of the first stores. */
static void print_suspend(Scope *s, const Tile *t)
{
	print_line(s, "if (!last) {");
	s->indent++;
	for (int i = 0; i < t->instances; i++)
		for (int k = 0; k < t->k->nest->nacc && leader_of(t, i) == i; k++) {
			Affine sub[NEST_DIMS];
			char name[48];
			store_dims(t, i, sub);
			result_name(t, k, i, name);
			Address a = address_of(s, &t->k->nest->store[k].to, sub, store_lanes(t));
			print_store(s, t, &a, name);
		}
	print_line(s, "return;");
	s->indent--;
	print_line(s, "}");
}

/* The only store, of neighbours: its value needs no name. */
static void print_value_store(Point *p, const Tile *t, const Address *a, Form form)
{
	Scope *s = p->s;
	ask_at_store(s, &t->k->nest->store[0].to, a);
	print_indent(s);
	if (form == VECTOR) text_printf(s->out, "*(%s%s *)&", t->k->vector, a->aligned ? "" : "u");
	print_address(s, a, 0);
	text_add(s->out, " = ");
	print_value(p, t->k->nest->store[0].value, form, BIND_NONE);
	text_add(s->out, ";\n");
}

/* All values of a point before its first store. */
static void print_point_stores(Point *p, const Tile *t)
{
	Scope *s = p->s;
	const Nest *n = t->k->nest;
	Form form = store_lanes(t) >= 0 ? VECTOR : SCALAR;
	Address at[NEST_STORES];
	const char *name[NEST_STORES];
	bool name_it = n->nstore > 1;
	for (int k = 0; k < n->nstore; k++) {
		at[k] = address_of(s, &n->store[k].to, p->sub, p->lane_var);
		name_it |= at[k].lane > 1 || at[k].lane < 0;
		declare_value(p, n->store[k].value);
	}
	if (!name_it) {
		print_value_store(p, t, &at[0], form);
		return;
	}
	for (int k = 0; k < n->nstore; k++) {
		ask_at_store(s, &n->store[k].to, &at[k]);
		name[k] = name_value(p, n->store[k].value, form, false);
	}
	for (int k = 0; k < n->nstore; k++) print_store(s, t, &at[k], name[k]);
}

static void print_stores(Scope *s, const Tile *t)
{
	LoadedList loads = {0};
	int counter[KERNEL_BUFFERS + 1] = {0};
	for (int i = 0; i < t->instances; i++) {
		if (leader_of(t, i) != i) continue;
		Affine sub[NEST_DIMS];
		Point p = {.loads = &loads, .counter = counter};
		p.vector_acc = store_lanes(t) >= 0;
		store_dims(t, i, sub);
		point_begin(&p, s, sub, store_lanes(t));
		for (int k = 0; k < t->k->nest->nacc; k++) result_name(t, k, i, p.acc[k]);
		print_point_stores(&p, t);
	}
	int64_t bytes = t->lane_var >= 0 ? t->k->target->vector_bytes : 8;
	s->k->cost->stack += bytes * loads.n;
}

bool stored_place(const Scope *s, const Tile *t, int instance, const Access *x, Address *a)
{
	Affine sub[NEST_DIMS];
	if (leader_of(t, instance) != instance) return false;
	store_dims(t, instance, sub);
	*a = address_of(s, x, sub, store_lanes(t));
	return true;
}

/* --- the whole ----------------------------------------------------------------------------- */

/* The stores are the raw accumulators themselves: no chunk is special to them. */
static bool stores_raw(const Nest *n)
{
	if (n->nstore != n->nacc) return false;
	for (int k = 0; k < n->nstore; k++)
		if (n->store[k].value->kind != E_ACC || n->store[k].value->id != k) return false;
	return true;
}

static void print_body(Scope *s, const Tile *t, bool chunked)
{
	const Nest *n = t->k->nest;
	ask_early(s, t, NULL);
	ask_slices(s, t, NULL, false);
	for (int k = 0; k < n->nacc; k++) print_init(s, t, k);
	if (chunked && !adds_up(n)) print_resume(s, t);
	if (n->nacc) print_reduction(s, t);
	if (chunked && adds_up(n)) print_resume(s, t);
	print_combine(s, t);
	if (chunked && !stores_raw(n)) print_suspend(s, t);
	print_stores(s, t);
}

static void print_inline(Scope *s, const Tile *t, bool alone)
{
	if (!alone) {
		print_line(s, "{");
		s->indent++;
	}
	print_body(s, t, false);
	if (!alone) {
		s->indent--;
		print_line(s, "}");
	}
}

static void print_parameters(const Scope *f, const Tile *t, bool chunked, Text *out)
{
	const Kernel *k = f->k;
	const char *comma = "";
	text_add(out, "(");
	for (int b = 0; b < k->nbuffer; b++) {
		if (!(f->arrays >> b & 1)) continue;
		text_printf(out, "%s%s%s *%s%s", comma, k->stored >> b & 1 ? "" : "const ",
		    c_type(k, k->buffer[b]), k->disjoint >> b & 1 ? "CNNC_RESTRICT " : "", k->array[b]);
		comma = ", ";
	}
	for (int i = 0; i < f->root.n; i++) {
		text_printf(out, "%sptrdiff_t %s", comma, f->root.at[i].name);
		comma = ", ";
	}
	print_slice_parameters(t, out);
	if (chunked) text_printf(out, "%sint first", comma);
	if (chunked && !stores_raw(k->nest)) text_add(out, ", int last");
	text_add(out, ")\n");
}

/* `oc == 0 && ic == 0`: each chunk's base over the kernel's loops. */
static void print_chunk_test(Scope *s, const Chunk *chunk, int n, bool last)
{
	bool any = false;
	for (int i = 0; i < n; i++) {
		int64_t want = last ? chunk[i].last : 0;
		if (chunk[i].base.n) continue;
		if (chunk[i].base.c == want) continue;
		text_add(s->out, "0");
		return;
	}
	for (int i = 0; i < n; i++) {
		if (!chunk[i].base.n) continue;
		Affine form = over_loops(s->k, &chunk[i].base);
		text_add(s->out, any ? " && " : "");
		print_index(s, &form, form.c);
		text_printf(s->out, " == %lld", (long long)(last ? chunk[i].last : 0));
		any = true;
	}
	if (!any) text_add(s->out, "1");
}

static void print_root(Scope *s, const Offset *root)
{
	if (root->key.buffer == INDEX_VALUE) {
		print_index(s, &root->key.form, root->base);
		return;
	}
	const char *name = offset_name(s, &root->key);
	int64_t c = root->base;
	if (!name)
		text_printf(s->out, "%lld", (long long)c);
	else if (c)
		text_printf(s->out, "%s %c %lld", name, c < 0 ? '-' : '+', (long long)(c < 0 ? -c : c));
	else
		text_add(s->out, name);
}

static void print_call(
    Scope *s, const Scope *f, const Tile *t, const char *name, const Chunk *chunk, int nchunk)
{
	const char *comma = "";
	print_indent(s);
	text_printf(s->out, "%s(", name);
	for (int b = 0; b < s->k->nbuffer; b++) {
		if (!(f->arrays >> b & 1)) continue;
		text_printf(s->out, "%s%s", comma, s->k->array[b]);
		comma = ", ";
	}
	for (int i = 0; i < f->root.n; i++) {
		text_add(s->out, comma);
		print_root(s, &f->root.at[i]);
		comma = ", ";
	}
	print_slice_arguments(s, t);
	for (int last = 0; last < 2 && nchunk; last++) {
		if (last && stores_raw(s->k->nest)) break;
		text_add(s->out, comma);
		print_chunk_test(s, chunk, nchunk, last);
		comma = ", ";
	}
	text_add(s->out, ");\n");
	s->arrays |= f->arrays;
}

/* The name of the tile's function: the one of this text that is there already, or a new one. */
static const char *pooled(Kernel *k, const Text *text)
{
	Functions *pool = k->pool;
	uint64_t hash = hash_here(text->data, text->len);
	CFunction *f = function_find(pool, text->data, hash, k->fuses);
	if (f) return f->name;
	const char *name =
	    arena_printf(pool->arena, "%s%d%s", pool->prefix, pool->tiles++, pool->suffix);
	f = function_add(pool, name, arena_copy(pool->arena, text->data), hash);
	f->is_tile = true;
	k->cost->functions++;
	k->cost->bytes += (int64_t)text->len;
	return name;
}

/* Loads that some of the target's processors need not be asked for, and are slower if they are. */
static uint32_t seen_loads(const Nest *n, const Target *target)
{
	uint32_t seen = 0;
	if (!target->sees_rows) return 0;
	for (int l = 0; l < n->nload; l++)
		if (n->load[l].prefetch && n->load[l].seen) seen |= UINT32_C(1) << l;
	return seen;
}

/* The same without asking for these, where the processor sees them. */
static void print_unasked(Scope f, const Tile *t, bool chunked, uint32_t seen, Text *out)
{
	f.unasked |= seen;
	f.indent++;
	f.out = out;
	text_printf(
	    out, "\tif (%s) { /* sees what it reads here as streams */\n", t->k->target->sees_rows);
	print_body(&f, t, chunked);
	text_add(out, "\t\treturn;\n\t}\n");
}

void tile_print(Scope *s, const Tree *tree, bool alone)
{
	Kernel *k = s->k;
	Tile t;
	Chunk chunk[NEST_DIMS];
	tile_open(&t, k, tree);
	k->cost->tiles++;
	if (!reduces(k->nest)) {
		print_inline(s, &t, alone);
		return;
	}
	int nchunk = k->nest->nacc ? tile_chunks(k->tree, tree, chunk) : 0;
	t.asks_loads = nchunk == 0;
	t.asks_stores = nchunk == 0 || (adds_up(k->nest) && stores_raw(k->nest));
	if (nchunk && t.asks_stores) slices_find(s, &t);
	if (!nchunk) slices_of_weights(s, &t);
	Text *body = &k->pool->body, *text = &k->pool->text;
	body->len = text->len = 0;
	Scope f = {.k = k, .is_tile = true, .outer = s->depth, .depth = s->depth, .indent = 1};
	f.unasked = t.unasked;
	f.streamed = t.streamed;
	uint32_t seen = seen_loads(k->nest, k->target) & ~t.unasked;
	if (seen) print_unasked(f, &t, nchunk > 0, seen, body);
	f.out = body;
	print_body(&f, &t, nchunk > 0);
	print_parameters(&f, &t, nchunk > 0, text);
	text_add(text, "{\n");
	text_addn(text, body->data, body->len);
	text_add(text, "}\n");
	print_call(s, &f, &t, pooled(k, text), chunk, nchunk);
}
