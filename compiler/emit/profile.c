/* profile: a text that times its own steps (--profile): a clock, a table with a row a step, and
 * what stands around calls.
 *
 * The table is the one thing that emitted code keeps between calls, so such code is not reentrant;
 * texts without --profile hold nothing of it. */
#include "internal.h"

/* --- what a step moves ----------------------------------------------------------------------- */

static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a; }

/* What a dim has place for: its last block is read and written whole. */
static int64_t room_of(const Buffer *b, int d) { return MAX(b->shape[d], b->room[d]); }

/* How many values below `room` the index may take: all between its ends in steps of what its
 * factors have in common, without those that padding puts outside. */
static int64_t values_of(const Index *at, const int64_t *extent, int64_t room)
{
	int64_t low, high, step = 0;
	affine_range(&at->a, extent, &low, &high);
	for (int i = 0; i < at->a.n; i++)
		if (extent[at->a.t[i].var] > 1)
			step = gcd(step, at->a.t[i].k < 0 ? -at->a.t[i].k : at->a.t[i].k);
	step = MAX(step / at->q, 1);
	low = MAX(floor_div(low, at->q), 0);
	high = MIN(floor_div(high, at->q), room - 1);
	return high < low ? 0 : (high - low) / step + 1;
}

static int64_t elements_of(const Nest *n, const Access *x)
{
	int64_t extent[NEST_DIMS], count = 1;
	for (int d = 0; d < n->ndim; d++) extent[d] = n->dim[d].extent;
	for (int r = 0; r < x->buffer->rank; r++)
		count *= values_of(&x->at[r], extent, room_of(x->buffer, r));
	return count;
}

/* What some accesses touch of a buffer: their elements, at most all of it. */
static int64_t touched(const Nest *n, const Buffer *b, bool stores)
{
	int64_t count = 0, all = 1;
	for (int r = 0; r < b->rank; r++) all *= room_of(b, r);
	for (int i = 0; i < (stores ? n->nstore : n->nload); i++) {
		const Access *x = stores ? &n->store[i].to : &n->load[i];
		if (x->buffer == b) count += elements_of(n, x);
	}
	return MIN(count, all);
}

static int64_t step_bytes(const Emission *e, const Nest *n)
{
	const Buffer *buffer[KERNEL_BUFFERS];
	int count = kernel_buffers(n, buffer);
	int64_t bytes = 0;
	for (int b = 0; b < count; b++) {
		int64_t element = buffer[b]->type == TYPE_LABEL  ? 4
		                  : buffer[b]->type == TYPE_SEED ? 8
		                                                 : bytes_of(e, 1);
		bytes += element * (touched(n, buffer[b], false) + touched(n, buffer[b], true));
	}
	return bytes;
}

/* --- what a step computes -------------------------------------------------------------------- */

static uint32_t dims_of(const Affine *a)
{
	uint32_t dims = 0;
	for (int i = 0; i < a->n; i++) dims |= UINT32_C(1) << a->t[i].var;
	return dims;
}

static uint32_t guard_dims(const Guard *g)
{
	return dims_of(&g->e[0].a) | (g->kind == GUARD_MASK ? dims_of(&g->e[1].a) : 0);
}

static bool holds(const Guard *g, const int64_t *at)
{
	int64_t x = affine_eval(&g->e[0].a, at);
	if (g->kind == GUARD_RANGE) {
		x = floor_div(x, g->e[0].q);
		return x >= g->lo && x < g->hi;
	}
	if (g->kind == GUARD_DIVIDES) return x % g->q == 0;
	return g->table[x * g->cols + affine_eval(&g->e[1].a, at)] != 0;
}

/* How many points over these dims the guards that speak of them let through. */
static int64_t points_over(const Nest *n, uint32_t dims)
{
	int64_t at[NEST_DIMS] = {0}, count = 0;
	for (int d = 0; d < n->ndim;) {
		bool all = true;
		for (int g = 0; g < n->nguard; g++)
			if (guard_dims(&n->guard[g]) & dims) all = all && holds(&n->guard[g], at);
		count += all;
		for (d = 0; d < n->ndim; d++) { /* the next point */
			if (!(dims >> d & 1)) continue;
			if (++at[d] < n->dim[d].extent) break;
			at[d] = 0;
		}
	}
	return count;
}

/* Multiplications and additions of a contraction: of points that guards let through, so that
 * padding and strides' gaps do not count. Dims are taken apart into sets that no guard links. */
static int64_t step_flops(const Step *s)
{
	const Nest *n = s->nest;
	uint32_t done = 0;
	int64_t flops = 2;
	if (!s->macs) return 0;
	for (int d = 0; d < n->ndim; d++) {
		uint32_t dims = UINT32_C(1) << d, before = 0;
		if (done & dims) continue;
		bool guarded = false;
		while (dims != before) {
			before = dims;
			for (int g = 0; g < n->nguard; g++) {
				if (!(guard_dims(&n->guard[g]) & dims)) continue;
				dims |= guard_dims(&n->guard[g]);
				guarded = true;
			}
		}
		done |= dims;
		int64_t points = guarded ? points_over(n, dims) : n->dim[d].extent;
		if (!mul_fits(flops, points, &flops)) return INT64_MAX;
	}
	return flops;
}

/* --- rows: each part's steps, then its checks for NaN; last, the copy in pack --------------- */

/* Arguments that a part checks, numbers; GRADS: the gradients. */
enum { GRADS = -1 };

static int checks_of(const Part *p, int *argument)
{
	int n = 0;
	bool results = p->kind != ENTRY_INIT && p->kind != ENTRY_PACK && p->kind != ENTRY_UPDATE;
	for (int i = 0; i < p->arg.n && results; i++)
		if (p->arg.at[i].output) argument[n++] = i;
	if (p->kind == ENTRY_GRADIENTS || p->kind == ENTRY_UPDATE) argument[n++] = GRADS;
	return n;
}

static int rows_of(const Emission *e, const Part *p)
{
	return p->step.n + checks_of(p, NEWS(e->arena, int, p->arg.n + 1));
}

int profile_row(const Emission *e, const Part *p, int step)
{
	int row = 0;
	for (int i = 0; i < e->program->part.n && e->program->part.at[i] != p; i++)
		row += rows_of(e, e->program->part.at[i]);
	return row + step;
}

int profile_copy_row(const Emission *e) { return profile_row(e, NULL, 0); }

static int profile_rows(const Emission *e) { return profile_copy_row(e) + e->packs_vars; }

static void print_row(const char *entry, const char *what, const char *kind, const char *kernel,
    int64_t flops, int64_t bytes, Text *out)
{
	text_add(out, "\t{");
	print_string(out, entry);
	text_add(out, ", ");
	print_string(out, what);
	text_printf(out, ", \"%s\", \"%s\", UINT64_C(%lld), UINT64_C(%lld), 0, 0},\n", kind, kernel,
	    (long long)flops, (long long)bytes);
}

static void print_checks(const Emission *e, const Part *p, Text *out)
{
	int *argument = NEWS(e->arena, int, p->arg.n + 1), n = checks_of(p, argument);
	for (int i = 0; i < n; i++) {
		const Argument *arg = argument[i] == GRADS ? NULL : &p->arg.at[argument[i]];
		int64_t count = arg ? shape_count(arg->shape) : e->program->model->weights;
		print_row(
		    p->name, arg ? arg->name : "grads", "check", "all_finite", 0, bytes_of(e, count), out);
	}
}

static void print_rows(const Emission *e, Text *out)
{
	for (int i = 0; i < e->program->part.n; i++) {
		const Part *p = e->program->part.at[i];
		for (int s = 0; s < p->step.n; s++) {
			const Step *step = &p->step.at[s];
			print_row(p->name, step->comment ? step->comment : step->nest->name, step->nest->name,
			    e->of_step[i][s]->name, step_flops(step), step_bytes(e, step->nest), out);
		}
		print_checks(e, p, out);
	}
	if (e->packs_vars)
		print_row("pack", "vars as they are", "copy", "memcpy", 0,
		    2 * bytes_of(e, e->program->model->vars), out);
}

/* --- text ------------------------------------------------------------------------------------ */

static const char type_text[] =
    "#ifndef CNNC_PROFILE\n"
    "#define CNNC_PROFILE\n"
    "struct cnnc_profile {\n"
    "\tconst char *entry, *step; /* infer_b1; the layer and its shapes */\n"
    "\tconst char *kind, *kernel; /* conv; the function */\n"
    "\tuint64_t flops, bytes; /* of a call: twice its multiply-adds, and what it reads and "
    "writes,\n"
    "\t                        * each number once */\n"
    "\tuint64_t calls;\n"
    "\tdouble seconds; /* of all calls */\n"
    "};\n"
    "#endif\n\n";

void declare_profile(const Emission *e, Text *h)
{
	text_add(h, type_text);
	text_printf(h,
	    "/* What the steps of all entries have taken so far, in the order in which they run; may "
	    "be\n"
	    " * set to 0. As every call adds to this one table, two must not run at once. */\n"
	    "struct cnnc_profile *%s_profile(size_t *rows);\n\n",
	    e->prefix);
}

static const char clock_text[] = "/* Seconds. Compile with -DCNNC_CLOCK=name where there is a "
                                 "better one: double name(void). */\n"
                                 "#ifdef CNNC_CLOCK\n"
                                 "#ifdef __cplusplus\n"
                                 "extern \"C\"\n"
                                 "#endif\n"
                                 "double CNNC_CLOCK(void);\n"
                                 "#else\n"
                                 "#define CNNC_CLOCK profile_clock\n"
                                 "static CNNC_UNUSED double profile_clock(void)\n"
                                 "{\n"
                                 "#ifdef TIME_UTC\n"
                                 "\tstruct timespec now;\n"
                                 "\tif (!timespec_get(&now, TIME_UTC)) return 0;\n"
                                 "\treturn (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;\n"
                                 "#else\n"
                                 "\treturn (double)clock() / (double)CLOCKS_PER_SEC;\n"
                                 "#endif\n"
                                 "}\n"
                                 "#endif\n\n";

static const char timed_text[] =
    "static CNNC_UNUSED void add_time(struct cnnc_profile *row, double start)\n"
    "{\n"
    "\trow->seconds += CNNC_CLOCK() - start;\n"
    "\trow->calls++;\n"
    "}\n"
    "\n"
    "static CNNC_UNUSED void run_timed(struct cnnc_profile *row, const struct cnnc_pool *pool,\n"
    "\tconst struct kernel *kernel, const void *const *arg)\n"
    "{\n"
    "\tconst double start = CNNC_CLOCK();\n"
    "\trun(pool, kernel, arg);\n"
    "\tadd_time(row, start);\n"
    "}\n"
    "\n"
    "static CNNC_UNUSED int all_finite_timed(struct cnnc_profile *row, const %s *x, size_t n)\n"
    "{\n"
    "\tconst double start = CNNC_CLOCK();\n"
    "\tconst int fine = all_finite(x, n);\n"
    "\tadd_time(row, start);\n"
    "\treturn fine;\n"
    "}\n\n";

/* A group's members, turn by turn, one after the other: their rows follow each other. */
static const char group_text[] =
    "static CNNC_UNUSED void run_group_timed(struct cnnc_profile *row, const struct group *group,\n"
    "\tsize_t tasks)\n"
    "{\n"
    "\tfor (size_t turn = 0; turn < tasks * group->turns; turn++)\n"
    "\t\tfor (size_t i = 0; i < group->members; i++) {\n"
    "\t\t\tconst double start = CNNC_CLOCK();\n"
    "\t\t\tgroup->member[i].run(group->member[i].arg, turn);\n"
    "\t\t\trow[i].seconds += CNNC_CLOCK() - start;\n"
    "\t\t}\n"
    "\tfor (size_t i = 0; i < group->members; i++) row[i].calls++;\n"
    "}\n\n";

void print_profile(const Emission *e, Text *out)
{
	int rows = profile_rows(e);
	text_add(out, clock_text);
	text_printf(out, "static struct cnnc_profile profile[%d] = {\n", MAX(rows, 1));
	print_rows(e, out);
	if (!rows) text_add(out, "\t{0, 0, 0, 0, 0, 0, 0, 0},\n");
	text_add(out, "};\n\n");
	text_printf(out,
	    "struct cnnc_profile *%s_profile(size_t *rows)\n{\n\t*rows = %d;\n\treturn profile;\n}\n\n",
	    e->prefix, rows);
	text_printf(out, timed_text, e->real);
	if (has_groups(e->program)) text_add(out, group_text);
}
