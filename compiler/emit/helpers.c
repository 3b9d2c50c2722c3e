/* helpers: functions of the emitted text that entries call: who runs a kernel's blocks, the turns
 * of a group, and what is looked at before a result is given away. */
#include "internal.h"

static const char fast_math[] =
    "#if defined __FAST_MATH__ && !defined CNNC_ALLOW_FAST_MATH\n"
    "#error \"-ffast-math changes results and hides NaN: define CNNC_ALLOW_FAST_MATH to have it\"\n"
    "#endif\n\n";

static const char run_text[] =
    "#ifndef CNNC_SHARE_SHORT\n"
    "#define CNNC_SHARE_SHORT 0 /* 1: threads share short steps, too, as tests want them to */\n"
    "#endif\n"
    "\n"
    "struct job {\n"
    "\tvoid (*run)(const void *const *arg, size_t block);\n"
    "\tconst void *const *arg;\n"
    "};\n"
    "\n"
    "static void run_block(void *self, size_t block)\n"
    "{\n"
    "\tconst struct job *job = (const struct job *)self;\n"
    "\tjob->run(job->arg, block);\n"
    "}\n"
    "\n"
    "/* All blocks of a kernel, in any order: by the pool, by OpenMP, or one after the other. */\n"
    "static CNNC_UNUSED void run(const struct cnnc_pool *pool, const struct kernel *kernel,\n"
    "\tconst void *const *arg)\n"
    "{\n"
    "\tstruct job job = {kernel->run, arg};\n"
    "\tif (kernel->blocks == 1 || (kernel->is_short && !CNNC_SHARE_SHORT)) {\n"
    "\t\tfor (size_t block = 0; block < kernel->blocks; block++) kernel->run(arg, block);\n"
    "\t\treturn;\n"
    "\t}\n"
    "\tif (pool) {\n"
    "\t\tpool->run(pool->self, run_block, &job, kernel->blocks);\n"
    "\t\treturn;\n"
    "\t}\n"
    "#ifdef _OPENMP\n"
    "#pragma omp parallel for schedule(static)\n"
    "#endif\n"
    "\tfor (ptrdiff_t block = 0; block < (ptrdiff_t)kernel->blocks; block++)\n"
    "\t\trun_block(&job, (size_t)block);\n"
    "}\n"
    "\n"
    "/* The next multiple of 64 bytes. */\n"
    "static CNNC_UNUSED void *aligned(const void *memory)\n"
    "{\n"
    "\treturn (char *)memory + (64 - (uintptr_t)memory % 64) % 64;\n"
    "}\n"
    "\n"
    "static CNNC_UNUSED int labels_fit(const int32_t *label, size_t n, int32_t classes)\n"
    "{\n"
    "\tfor (size_t i = 0; i < n; i++)\n"
    "\t\tif (label[i] < 0 || label[i] >= classes) return 0;\n"
    "\treturn 1;\n"
    "}\n"
    "\n";

/* Steps that run turn by turn: all of them for one value of the dims that they join, then for the
 * next. */
static const char group_text[] =
    "struct member {\n"
    "\tvoid (*run)(const void *const *arg, size_t block);\n"
    "\tconst void *const *arg;\n"
    "};\n"
    "\n"
    "struct group {\n"
    "\tconst struct member *member;\n"
    "\tsize_t members, turns; /* turns of one task, one after the other */\n"
    "};\n"
    "\n"
    "static void run_task(void *self, size_t task)\n"
    "{\n"
    "\tconst struct group *g = (const struct group *)self;\n"
    "\tfor (size_t turn = task * g->turns; turn < (task + 1) * g->turns; turn++)\n"
    "\t\tfor (size_t i = 0; i < g->members; i++)\n"
    "\t\t\tg->member[i].run(g->member[i].arg, turn);\n"
    "}\n"
    "\n"
    "/* All tasks of a group, in any order. */\n"
    "static CNNC_UNUSED void run_group(const struct cnnc_pool *pool, struct group *group, size_t "
    "tasks)\n"
    "{\n"
    "\tif (pool && tasks > 1) {\n"
    "\t\tpool->run(pool->self, run_task, group, tasks);\n"
    "\t\treturn;\n"
    "\t}\n"
    "#ifdef _OPENMP\n"
    "#pragma omp parallel for schedule(static)\n"
    "#endif\n"
    "\tfor (ptrdiff_t task = 0; task < (ptrdiff_t)tasks; task++)\n"
    "\t\trun_task(group, (size_t)task);\n"
    "}\n"
    "\n";

bool has_groups(const Program *p)
{
	for (int i = 0; i < p->part.n; i++)
		for (int s = 0; s < p->part.at[i]->step.n; s++)
			if (p->part.at[i]->step.at[s].group) return true;
	return false;
}

/* By the bits, so that no option of the compiler can argue it away; in words of 64, or vectors of
 * them, since every loop of one number at a time is slower than memory. */
static const char finite_text[] =
    "#if defined __GNUC__ && !defined __TINYC__\n"
    "typedef uint64_t finite_word __attribute__((vector_size(16)));\n"
    "#else\n"
    "typedef uint64_t finite_word;\n"
    "#endif\n"
    "\n"
    "/* Of an infinity or NaN the exponent is all ones, and one more carries into the sign. */\n"
    "static CNNC_UNUSED int all_finite(const %s *x, size_t n)\n"
    "{\n"
    "\tconst uint64_t exponent = UINT64_C(%s), sign = UINT64_C(%s);\n"
    "\tconst size_t step = 4 * sizeof(finite_word) / sizeof *x, whole = n - n %% step;\n"
    "\tuint64_t one, carried = 0, part[sizeof(finite_word) / sizeof one];\n"
    "\tfinite_word word[4], carries = {0};\n"
    "\tfor (size_t i = 0; i < whole; i += step) {\n"
    "\t\tmemcpy(word, &x[i], sizeof word);\n"
    "\t\tcarries |= ((word[0] & ~sign) + exponent) | ((word[1] & ~sign) + exponent) |\n"
    "\t\t\t((word[2] & ~sign) + exponent) | ((word[3] & ~sign) + exponent);\n"
    "\t}\n"
    "\tmemcpy(part, &carries, sizeof part);\n"
    "\tfor (size_t k = 0; k < sizeof part / sizeof *part; k++) carried |= part[k];\n"
    "\tfor (size_t i = whole; i < n; i++) {\n"
    "\t\tone = 0;\n"
    "\t\tmemcpy(&one, &x[i], sizeof *x);\n"
    "\t\tcarried |= (one & ~sign) + exponent;\n"
    "\t}\n"
    "\treturn !(carried & sign);\n"
    "}\n"
    "\n";

void print_runtime(const Emission *e, Text *out)
{
	bool wide = e->program->is_double;
	text_add(out, run_text);
	if (has_groups(e->program)) text_add(out, group_text);
	text_printf(out, finite_text, e->real, wide ? "0x0010000000000000" : "0x0080000000800000",
	    wide ? "0x8000000000000000" : "0x8000000080000000");
}

/* `#error` belongs before all else; see program.c. */
void print_refusals(Text *out) { text_add(out, fast_math); }
