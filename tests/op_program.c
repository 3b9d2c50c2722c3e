/* op_program: see op_program.h. */
#include "op_program.h"
#include "../compiler/emit/emit.h"
#include "../compiler/jit/jit.h"
#include "../compiler/options.h"

#include <math.h>
#include <stdlib.h>

/* As the emitted header has it. */
struct cnnc_pool {
	void (*run)(void *self, void (*task)(void *arg, size_t i), void *arg, size_t n);
	void *self;
};

typedef int Call(void *const *arg, void *vars, void *work, const struct cnnc_pool *pool);

struct OpProgram {
	const Compiled *at;
	bool is_double;
	Jit *jit;
	Call *const *call;
};

/* --- text --------------------------------------------------------------------------------- */

static void print_values(const Part *p, const char *real, Text *out)
{
	bool random = p->kind == ENTRY_GRADIENTS;
	text_printf(out, "(%s%s *)vars", random ? "" : "const ", real);
	if (random) text_printf(out, ", %d, %d", SAMPLE_SEED, SAMPLE_STEP);
	for (int output = 0; output < 2; output++) {
		for (int k = 0; k < p->arg.n; k++)
			if (p->arg.at[k].output == output && p->arg.at[k].type != TYPE_SEED)
				text_printf(out, ", (%s%s *)arg[%d]", output ? "" : "const ",
				    p->arg.at[k].type == TYPE_LABEL ? "int32_t" : real, k);
		if (random && !output) text_add(out, ", 0"); /* grads */
	}
}

/* One function with one signature for each case, and a table of them. */
static void print_calls(const Compiled *c, int n, const char *real, Text *out)
{
	text_printf(out,
	    "typedef int call(void *const *, void *, void *, const struct cnnc_pool *);\n"
	    "extern call *const calls[%d];\n",
	    n);
	for (int i = 0; i < n; i++) {
		const Part *p = c[i].part;
		text_printf(out,
		    "static int call_%d(void *const *arg, void *vars, void *work, "
		    "const struct cnnc_pool *pool)\n{\n\treturn ops_%s(",
		    i, p->name);
		print_values(p, real, out);
		text_add(out, ", work, pool);\n}\n");
	}
	text_printf(out, "call *const calls[%d] = {", n);
	for (int i = 0; i < n; i++) text_printf(out, "%s\n\tcall_%d", i ? "," : "", i);
	text_add(out, "};\n");
}

static const char *program_text(
    Arena *a, const Compiled *c, int n, const Target *target, bool is_double)
{
	static const Options options;
	Model *m = NEW(a, Model);
	Program *p = NEW(a, Program);
	Text text, header;
	*m = (Model){.arena = a, .name = "ops", .file = "ops.lua"};
	*p = (Program){.model = m, .options = &options, .is_double = is_double, .ntarget = 1};
	p->target[0] = target;
	for (int i = 0; i < n; i++) {
		m->vars = MAX(m->vars, c[i].of->vars);
		vec_push(a, p->part, (Part *)c[i].part);
	}
	text_init(&text, a);
	text_init(&header, a);
	text_add(&text, "#define CNNC_SHARE_SHORT 1\n");
	emit_program(a, p, NULL, &text, &header);
	print_calls(c, n, is_double ? "double" : "float", &text);
	return text.data;
}

OpProgram *op_program_new(Arena *a, const Compiled *c, int n, const Target *target, bool is_double,
    const char *compiler, const char **error)
{
	const char *text = program_text(a, c, n, target, is_double);
	OpProgram *p = NEW(a, OpProgram);
	*p = (OpProgram){.at = c, .is_double = is_double};
	p->jit = compiler ? jit_cc(a, text, compiler, error) : jit_tcc(a, text, error);
	if (!p->jit) return NULL;
	p->call = jit_symbol(p->jit, "calls");
	if (!p->call) *error = "the table of calls is missing";
	return p->call ? p : NULL;
}

void op_program_free(OpProgram *p) { jit_free(p->jit); }

/* --- memory ------------------------------------------------------------------------------- */

/* Numbers with a wall on both sides, as unaligned as a float or double may be. */
typedef struct {
	char *at;
	int64_t count;
	size_t element;
} Walled;

enum { WALL = 256 };

static Walled walled(Arena *a, int64_t count, size_t element)
{
	Walled w = {.count = count, .element = element};
	char *memory = arena_alloc(a, (size_t)count * element + 2 * WALL + 64, 1);
	memset(memory, 0xa5, (size_t)count * element + 2 * WALL + 64);
	w.at = memory + WALL + element - (uintptr_t)memory % 64 % element;
	return w;
}

static bool wall_stands(const Walled *w)
{
	const unsigned char *before = (unsigned char *)w->at - WALL / 2;
	const unsigned char *after = (unsigned char *)w->at + (size_t)w->count * w->element;
	for (int i = 0; i < WALL / 2; i++)
		if (before[i] != 0xa5 || after[i] != 0xa5) return false;
	return true;
}

static void put(const Walled *w, Type type, bool is_double, const double *x)
{
	for (int64_t i = 0; i < w->count; i++) {
		double value = x ? x[i] : NAN;
		if (type == TYPE_LABEL)
			((int32_t *)(void *)w->at)[i] = (int32_t)value;
		else if (is_double)
			((double *)(void *)w->at)[i] = value;
		else
			((float *)(void *)w->at)[i] = (float)value;
	}
}

static double get(const Walled *w, bool is_double, int64_t i)
{
	return is_double ? ((double *)(void *)w->at)[i] : (double)((float *)(void *)w->at)[i];
}

static bool still(const Walled *w, Type type, bool is_double, const double *x)
{
	for (int64_t i = 0; i < w->count; i++) {
		bool label = type == TYPE_LABEL;
		double now = label ? ((int32_t *)(void *)w->at)[i] : get(w, is_double, i);
		if (now != x[i]) return false;
	}
	return true;
}

static void backwards(void *self, void (*task)(void *, size_t), void *arg, size_t n)
{
	(void)self;
	while (n) task(arg, --n);
}

const char *op_program_run(
    Arena *a, const OpProgram *p, int i, const CaseNumbers *n, bool from_behind, double **out)
{
	const OpCase *c = p->at[i].of;
	const Part *part = p->at[i].part;
	const struct cnnc_pool pool = {backwards, NULL};
	size_t real = p->is_double ? sizeof(double) : sizeof(float);
	Walled arg[2 * SAMPLE_OPERANDS];
	void *pointer[2 * SAMPLE_OPERANDS];
	double *numbers = NEWS(a, double, c->vars + 1);
	if (part->arg.n > COUNT(arg)) return "more arguments than room";
	for (int k = 0; k < part->arg.n; k++) {
		const Argument *x = &part->arg.at[k];
		arg[k] = walled(a, shape_count(x->shape), x->type == TYPE_LABEL ? sizeof(int32_t) : real);
		put(&arg[k], x->type, p->is_double, x->output ? NULL : n->in[case_argument(c, k)]);
		pointer[k] = arg[k].at;
	}
	Walled vars = walled(a, c->vars, real), work = walled(a, part->work + 63, 1);
	case_fill_vars(c, n, numbers);
	put(&vars, TYPE_REAL, p->is_double, numbers);
	memset(work.at, 0xff, (size_t)work.count); /* NaN */
	int status = p->call[i](pointer, vars.at, work.at, from_behind ? &pool : NULL);
	if (!wall_stands(&work) || !wall_stands(&vars)) return "writes beyond its work or vars";
	if (!still(&vars, TYPE_REAL, p->is_double, numbers)) return "changes vars";
	for (int k = 0; k < part->arg.n; k++) {
		const Argument *x = &part->arg.at[k];
		if (!wall_stands(&arg[k])) return arena_printf(a, "writes beyond argument %d", k);
		if (!x->output && !still(&arg[k], x->type, p->is_double, n->in[case_argument(c, k)]))
			return arena_printf(a, "changes argument %d", k);
		if (!x->output) continue;
		*out = NEWS(a, double, arg[k].count + 1);
		for (int64_t e = 0; e < arg[k].count; e++) (*out)[e] = get(&arg[k], p->is_double, e);
		out++;
	}
	return status ? arena_printf(a, "returns status %d", status) : NULL;
}
