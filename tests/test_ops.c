/* Every operator, every sample of its descriptor, on the whole way: lowered, fused, laid out,
 * scheduled, planned and verified for every target, run by the interpreter and as C of every
 * compiler there is, against its oracle. In double to 1e-12 of a tensor's largest number; in float
 * against double; and whole numbers bit for bit, wherever the operator only adds, multiplies and
 * compares. Gradients by the same way against central differences.
 *
 * CNNC_OPS="conv dense" in the environment looks at these operators alone. */
#define _POSIX_C_SOURCE 200809L
#include "graph_oracle.h"
#include "jobs.h"
#include "machine.h"
#include "op_program.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SAID = 12 }; /* faults reported by one job */

typedef struct {
	OpCase *of;
	CaseNumbers numbers, whole;
	bool exact[FORMS];
} Case;

typedef struct {
	Arena *arena;
	Vec(Case) at;
} Cases;

static const char *const target_names[] = {"avx512", "avx2", "x86-64", "generic"};
enum { TARGETS = COUNT(target_names) };

static void find_targets(const Target **target)
{
	for (int t = 0; t < TARGETS; t++) target[t] = target_find(target_names[t]);
}

static bool is_asked_for(const OpDesc *op)
{
	const char *asked = getenv("CNNC_OPS");
	size_t n = strlen(op->name);
	if (!asked) return true;
	for (const char *s = asked; (s = strstr(s, op->name)) != NULL; s += n)
		if ((s == asked || s[-1] == ' ') && (s[n] == ' ' || !s[n])) return true;
	return false;
}

static void find_cases(Cases *c)
{
	for (int i = 0; i < op_count; i++) {
		Sample s;
		if (!is_asked_for(op_table[i])) continue;
		for (const char *line = op_table[i]->samples;
		     sample_next(c->arena, op_table[i], &line, &s);) {
			OpCase *of = case_new(c->arena, op_table[i], &s);
			if (!of) fail_msg("%s: infer refuses %s", op_table[i]->name, s.text);
			uint64_t seed = hash_str(of->name);
			Case made = {
			    of, case_numbers(c->arena, of, seed), case_whole_numbers(c->arena, of, seed), {0}};
			vec_push(c->arena, c->at, made);
		}
	}
}

static int setup(void **state)
{
	static jmp_buf out_of_memory;
	Cases *c = calloc(1, sizeof *c);
	c->arena = arena_new(0);
	*state = c;
	if (!c->arena || setjmp(out_of_memory)) return -1;
	arena_guard(c->arena, &out_of_memory);
	find_cases(c);
	return 0;
}

static int teardown(void **state)
{
	Cases *c = *state;
	arena_free(c->arena);
	free(c);
	return 0;
}

/* --- comparing ---------------------------------------------------------------------------- */

typedef struct {
	Text text;
	int faults;
} Report;

static void report(Report *r, const char *name, const char *how, const char *what)
{
	if (r->faults++ < SAID) text_printf(&r->text, "\n  %s, %s: %s", name, how, what);
}

static const char *verdict(Report *r)
{
	if (r->faults > SAID) text_printf(&r->text, "\n  and %d more", r->faults - SAID);
	return r->faults ? r->text.data : NULL;
}

/* The outputs of a part (those of FORM_SHARED twice, with another sign) against what is wanted. */
static void compare(Report *r, const Case *c, Form form, const char *how, const CaseNumbers *n,
    double *const *out, double tolerance)
{
	const OpCase *of = c->of;
	for (int k = 0; k < of->nout * (form == FORM_SHARED ? 2 : 1); k++) {
		const double *want = n->want[k % of->nout];
		int64_t count = shape_count(of->out[k % of->nout]), worst = 0;
		double *got = out[k];
		for (int64_t e = 0; e < count; e++) {
			if (k >= of->nout) got[e] = -got[e];
			if (!(fabs(got[e] - want[e]) <= fabs(got[worst] - want[worst]))) worst = e;
		}
		double far = tensor_distance(got, want, count);
		if (far <= tolerance) continue;
		report(r, of->name, how,
		    arena_printf(r->text.arena, "result %d, element %lld is %.17g, not %.17g (%.3g)", k,
		        (long long)worst, got[worst], want[worst], far));
	}
}

/* --- the interpreter ---------------------------------------------------------------------- */

static double **interpret(
    Arena *a, const OpCase *c, const Part *p, const CaseNumbers *n, int target)
{
	double **arg = NEWS(a, double *, p->arg.n + 1), **out = NEWS(a, double *, p->arg.n + 1);
	Memory m = {
	    .vars = NEWS(a, double, c->vars + 1), .arg = arg, .seed = SAMPLE_SEED, .step = SAMPLE_STEP};
	int outs = 0;
	case_fill_vars(c, n, m.vars);
	for (int k = 0; k < p->arg.n; k++) {
		int64_t count = shape_count(p->arg.at[k].shape);
		arg[k] = p->arg.at[k].output ? NEWS(a, double, count) : n->in[case_argument(c, k)];
		for (int64_t e = 0; e < count && p->arg.at[k].output; e++) arg[k][e] = NAN;
		if (p->arg.at[k].output) out[outs++] = arg[k];
	}
	if (!part_run(a, p, &m, target)) bug("%s has no tree", c->name);
	return out;
}

typedef struct {
	Cases *cases;
	Form form;
	bool is_double; /* whose lanes the schedules are for */
} InterpreterJob;

static void interpret_case(Report *r, const InterpreterJob *job, Case *c, Arena *a)
{
	const Target *target[TARGETS];
	const char *error;
	find_targets(target);
	Part *p = case_part(a, c->of, job->form, "case", target, TARGETS, job->is_double, &error);
	if (error) {
		report(r, c->of->name, form_names[job->form], error);
		return;
	}
	bool exact = case_is_exact(a, c->of, p, &c->whole);
	for (int t = -1; t < TARGETS; t++) {
		const char *how = arena_printf(r->text.arena, "%s, %s of %s", form_names[job->form],
		    t < 0 ? "naive nests" : target[t]->name, job->is_double ? "double" : "float");
		compare(r, c, job->form, how, &c->numbers, interpret(a, c->of, p, &c->numbers, t), 1e-12);
		if (exact)
			compare(r, c, job->form, how, &c->whole, interpret(a, c->of, p, &c->whole, t), 0);
	}
}

/* An arena for each case: they are many. */
static Arena *own_arena(jmp_buf *out_of_memory)
{
	Arena *a = arena_new(0);
	if (!a) bug("out of memory");
	arena_guard(a, out_of_memory);
	return a;
}

static const char *interpreter_job(Job *job, Arena *a, void *self)
{
	InterpreterJob *work = self;
	Report r = {.faults = 0};
	jmp_buf out_of_memory;
	text_init(&r.text, a);
	if (setjmp(out_of_memory)) return "out of memory";
	for (int i = 0; i < work->cases->at.n; i++) {
		Case *c = &work->cases->at.at[i];
		Arena *own = own_arena(&out_of_memory);
		job_at(job, c->of->name);
		interpret_case(&r, work, c, own);
		arena_free(own);
	}
	return verdict(&r);
}

static void by_the_interpreter(void **state)
{
	Cases *c = *state;
	InterpreterJob job[2 * FORMS];
	JobSpec spec[2 * FORMS];
	int n = check_is_sanitized() ? FORMS : 2 * FORMS;
	for (int i = 0; i < n; i++) {
		job[i] = (InterpreterJob){c, (Form)(i % FORMS), i / FORMS};
		spec[i] = (JobSpec){"interpreter", &job[i], interpreter_job};
	}
	const char *wrong = jobs_run(c->arena, spec, n);
	if (wrong) fail_msg("%s", wrong);
}

/* --- as C --------------------------------------------------------------------------------- */

typedef struct {
	Cases *cases;
	const char *compiler; /* NULL: libtcc */
	const char *target;
	bool is_double;
	int number; /* of the job */
	bool all;   /* every case in every form; else in one, another in the next job */
} CompilerJob;

#define WARNINGS " -Wall -Wextra -Wconversion -Wshadow -Wundef -Wdouble-promotion -Werror"

static void run_case(Report *r, const CompilerJob *job, const OpProgram *p, int i, Case *c,
    Form form, bool exact, Arena *a)
{
	const char *how = arena_printf(r->text.arena, "%s", form_names[form]);
	for (int whole = 0; whole <= exact; whole++) {
		const CaseNumbers *n = whole ? &c->whole : &c->numbers;
		double *out[2 * MAX_OUT], *again[2 * MAX_OUT];
		const char *wrong = op_program_run(a, p, i, n, false, out);
		if (!wrong) wrong = op_program_run(a, p, i, n, true, again);
		if (wrong) {
			report(r, c->of->name, how, wrong);
			return;
		}
		for (int k = 0; k < c->of->nout; k++)
			if (memcmp(out[k], again[k], (size_t)shape_count(c->of->out[k]) * sizeof(double)) != 0)
				report(r, c->of->name, how, "blocks run backwards give other bits");
		compare(r, c, form, how, n, out, whole ? 0 : job->is_double ? 1e-12 : 1e-5);
	}
}

/* The forms of case i that the job compiles: from .. from + n - 1. */
static int forms_of(const CompilerJob *work, int i, int *from)
{
	*from = work->all ? 0 : (i + work->number) % FORMS;
	return work->all ? FORMS : 1;
}

/* The parts of all cases, each named by its number. NULL after *error. */
static Compiled *compile_parts(
    Job *job, Arena *a, const CompilerJob *work, int *n, const char **error)
{
	const Target *target = target_find(work->target);
	Compiled *made = NEWS(a, Compiled, work->cases->at.n * FORMS + 1);
	*n = 0;
	for (int i = 0; i < work->cases->at.n; i++) {
		const OpCase *c = work->cases->at.at[i].of;
		int from, forms = forms_of(work, i, &from);
		job_at(job, c->name);
		for (int f = from; f < from + forms; f++) {
			const char *name = arena_printf(a, "case_b%d", *n + 1);
			Part *p = case_part(a, c, (Form)f, name, &target, 1, work->is_double, error);
			if (*error) return NULL;
			p->batch = *n + 1; /* names its macros */
			made[(*n)++] = (Compiled){c, p};
		}
	}
	return made;
}

static const char *compiler_job(Job *job, Arena *a, void *self)
{
	CompilerJob *work = self;
	Report r = {.faults = 0};
	const char *error = NULL;
	int n, k = 0;
	text_init(&r.text, a);
	Compiled *made = compile_parts(job, a, work, &n, &error);
	if (!made) return error;
	job_at(job, "the compiler");
	OpProgram *p = op_program_new(
	    a, made, n, target_find(work->target), work->is_double, work->compiler, &error);
	if (!p) return error;
	for (int i = 0; i < work->cases->at.n; i++) {
		Case *c = &work->cases->at.at[i];
		int from, forms = forms_of(work, i, &from);
		job_at(job, c->of->name);
		for (int f = from; f < from + forms; f++, k++)
			run_case(
			    &r, work, p, k, c, (Form)f, case_is_exact(a, c->of, made[k].part, &c->whole), a);
	}
	op_program_free(p);
	return verdict(&r);
}

typedef struct {
	const char *compiler, *target;
	bool is_double;
} Choice;

/* Jobs for these choices, as far as this machine runs them. Several compile every case only once
 * each: together they see all forms, and CNNC_CHECK=full makes each of them see all. */
static void compile_all(Cases *c, const Choice *choice, int nchoice)
{
	CompilerJob *job = NEWS(c->arena, CompilerJob, nchoice);
	JobSpec *spec = NEWS(c->arena, JobSpec, nchoice);
	int n = 0;
	for (int i = 0; i < nchoice; i++) {
		const Choice *x = &choice[i];
		const char *compiler = check_compiler(x->compiler);
		if (!target_runs(x->target)) continue;
		job[n] =
		    (CompilerJob){c, compiler, x->target, x->is_double, i, !compiler || check_is_full()};
		const char *name = arena_printf(c->arena, "%s, %s, %s", compiler ? compiler : "tcc",
		    x->target, x->is_double ? "double" : "float");
		spec[n] = (JobSpec){name, &job[n], compiler_job};
		n++;
	}
	const char *wrong = jobs_run(c->arena, spec, n);
	if (wrong) fail_msg("%s", wrong);
}

#define GCC "gcc -std=c11 -O2"
#define CLANG "clang -std=c11 -O1"

static void as_c_by_gcc(void **state)
{
	static const Choice choices[] = {
	    {GCC, "avx512", false},
	    {GCC, "avx512", true},
	    {GCC WARNINGS, "avx2", false},
	    {GCC, "avx2", true},
	    {GCC, "x86-64", false},
	    {GCC, "x86-64", true},
	    {GCC, "generic", false},
	    {GCC WARNINGS, "generic", true},
	};
	if (!have_program("gcc")) skip();
	compile_all(*state, choices, COUNT(choices));
}

static void as_c_by_clang(void **state)
{
	static const Choice choices[] = {
	    {CLANG WARNINGS, "avx2", false},
	    {CLANG, "x86-64", true},
	};
	if (!have_program("clang")) skip();
	compile_all(*state, choices, COUNT(choices));
}

static void as_c_by_tcc(void **state)
{
	static const Choice choices[] = {{NULL, "generic", false}, {NULL, "generic", true}};
	compile_all(*state, choices, COUNT(choices));
}

/* --- gradients ----------------------------------------------------------------------------- */

/* Gradients by every operand, into grads at the states' offsets. */
static double *lowered_gradients(
    Arena *a, const OracleNetwork *net, const Part *p, int nin, int target)
{
	double **arg = NEWS(a, double *, p->arg.n + 1), *grads = NEWS(a, double, net->vars + 1), loss;
	Memory m = {.vars = NEWS(a, double, net->vars + 1),
	    .grads = grads,
	    .arg = arg,
	    .seed = SAMPLE_SEED,
	    .step = SAMPLE_STEP};
	int args = 0;
	for (int i = 0; i < net->graph->node.n; i++) { /* the loss comes after all inputs */
		const Node *n = net->graph->node.at[i];
		if (n->kind == NODE_INPUT) arg[args++] = net->memory[n->slot];
	}
	arg[args] = &loss;
	for (int i = 0; i < nin; i++)
		memcpy(m.vars + net->state[i].offset, net->memory[i],
		    (size_t)shape_count(net->state[i].shape) * sizeof(double));
	for (int64_t e = 0; e < net->vars; e++) grads[e] = NAN;
	if (!part_run(a, p, &m, target)) bug("no tree");
	return grads;
}

/* The naive nests against differences; the trees of the targets against the naive nests. */
static void differentiate_case(Report *r, Arena *a, const OpCase *c)
{
	const Target *target[TARGETS];
	const char *error;
	uint64_t seed = hash_str(c->name);
	OracleNetwork *net = NEW(a, OracleNetwork);
	find_targets(target);
	error = oracle_network(net, a, c->op, &c->sample, &seed);
	Part *p = error ? NULL
	                : part_compile(a, net->graph, ENTRY_GRADIENTS, "gradients", target, TARGETS,
	                      true, &error);
	double *want = p ? lowered_gradients(a, net, p, c->sample.nin, -1) : NULL;
	for (int i = 0; i < net->model.state.n && !error; i++) {
		const State *s = net->model.state.at[i];
		if (s->kind == STATE_WEIGHT)
			error = oracle_differences(net, a, (int)(s - net->state), want + s->offset);
	}
	if (error) report(r, c->name, "gradients", error);
	for (int t = 0; t < TARGETS && !error; t++) {
		double *got = lowered_gradients(a, net, p, c->sample.nin, t);
		for (int i = 0; i < net->model.state.n; i++) {
			const State *s = net->model.state.at[i];
			if (s->kind != STATE_WEIGHT) continue;
			double far = tensor_distance(got + s->offset, want + s->offset, shape_count(s->shape));
			if (!(far <= 1e-12))
				report(r, c->name, target[t]->name,
				    arena_printf(a, "the gradient by operand %d is %.3g off", i, far));
		}
	}
}

static const char *gradient_job(Job *job, Arena *a, void *self)
{
	Cases *cases = self;
	Report r = {.faults = 0};
	jmp_buf out_of_memory;
	text_init(&r.text, a);
	if (setjmp(out_of_memory)) return "out of memory";
	for (int i = 0; i < cases->at.n; i++) {
		const OpCase *c = cases->at.at[i].of;
		if (!c->op->gradient) continue;
		Arena *own = own_arena(&out_of_memory);
		job_at(job, c->name);
		differentiate_case(&r, own, c);
		arena_free(own);
	}
	return verdict(&r);
}

static void gradients_are_differences(void **state)
{
	Cases *c = *state;
	JobSpec spec = {"gradients", c, gradient_job};
	const char *wrong = jobs_run(c->arena, &spec, 1);
	if (wrong) fail_msg("%s", wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(by_the_interpreter),
	    cmocka_unit_test(gradients_are_differences),
	    cmocka_unit_test(as_c_by_tcc),
	    cmocka_unit_test(as_c_by_gcc),
	    cmocka_unit_test(as_c_by_clang),
	};
	size_t first = check_is_full() ? COUNT(tests) - 2 : 0; /* gcc and clang take longest */
	return _cmocka_run_group_tests("ops", tests + first, COUNT(tests) - first, setup, teardown);
}
