/* entries_c: a network's entries by emitted C: see entries.h. */
#include "../compiler/emit/emit.h"
#include "../compiler/jit/jit.h"
#include "../runtime/pool.h"
#include "entries_private.h"

#include <ctype.h>
#include <math.h>

enum { USE_STEP = -1, GUARD = 64 }; /* bytes about what is written, which must stay */

/* `numbers` are those of struct NET_train. */
typedef int Use(
    int entry, void *const *p, const double *numbers, void *work, const struct cnnc_pool *pool);

typedef struct {
	const Net *net;
	Arena *arena;
	Use *use;
	const size_t *bytes; /* of packed, of a step's work, then of the work of every part */
	char *pack;
	const struct cnnc_pool *pool;
	bool step; /* gradients are a whole step, and the update does nothing */
	const char *wrong;
} Emitted;

/* --- the text ----------------------------------------------------------------------------- */

static const char *upper(Arena *a, const char *s)
{
	char *u = arena_copy(a, s);
	for (char *c = u; *c; c++) *c = (char)toupper((unsigned char)*c);
	return u;
}

/* Inputs, gradients if there are any, the loss, other outputs: as the header has them. */
static void print_arguments(const Part *p, const Frame *f, bool grads, Text *out)
{
	for (int pass = 0; pass < 3; pass++) {
		if (pass == 1 && grads) text_printf(out, ", p[%d]", GRADS);
		for (int k = 0; k < p->arg.n; k++) {
			const Argument *arg = &p->arg.at[k];
			int field = frame_field(f, arg->name), group = !arg->output ? 0 : field == LOSS ? 1 : 2;
			if (arg->type != TYPE_SEED && group == pass) text_printf(out, ", p[%d]", field);
		}
	}
	text_add(out, ", work, pool);\n");
}

/* One line of the switch that calls the entry. */
static void print_use(const Part *p, int number, const char *net, const Frame *f, Text *out)
{
	text_printf(out, "\tcase %d: ", number);
	if (p->kind == ENTRY_INIT)
		text_printf(out, "%s_init(p[%d], p[%d], %d); return 0;\n", net, VARS, SLOTS, (int)NET_SEED);
	if (p->kind == ENTRY_PACK)
		text_printf(out, "%s_pack(p[%d], p[%d]); return 0;\n", net, VARS, PACKED);
	if (p->kind == ENTRY_UPDATE) text_printf(out, "return %s_update(&t, p[%d]);\n", net, GRADS);
	if (p->kind == ENTRY_INFER || p->kind == ENTRY_EVAL) {
		text_printf(out, "return %s_%s(p[%d]", net, p->name, p->kind == ENTRY_EVAL ? VARS : PACKED);
		print_arguments(p, f, false, out);
	}
	if (p->kind == ENTRY_GRADIENTS) {
		text_printf(out, "return %s_%s(p[%d], t.seed, t.step", net, p->name, VARS);
		print_arguments(p, f, true, out);
		text_printf(out, "\tcase %d: return %s_step_b%lld(&t", USE_STEP, net, (long long)p->batch);
		print_arguments(p, f, false, out);
	}
}

static void print_bytes(const Net *net, const char *big, Arena *a, Text *out)
{
	static const char *const word[] = {
	    [ENTRY_INFER] = "INFER", [ENTRY_EVAL] = "EVAL", [ENTRY_GRADIENTS] = "GRADIENTS"};
	text_printf(
	    out, "extern const size_t bytes[];\nconst size_t bytes[] = {%s_PACKED_BYTES, ", big);
	text_printf(out, "%s_STEP_B%lld_WORK", big, (long long)net->train);
	for (int i = 0; i < net->program->part.n; i++) {
		const Part *p = net->program->part.at[i];
		bool has = p->kind == ENTRY_INFER || p->kind == ENTRY_EVAL || p->kind == ENTRY_GRADIENTS;
		text_add(out, ", ");
		text_add(
		    out, has ? arena_printf(a, "%s_%s_B%lld_WORK", big, word[p->kind], (long long)p->batch)
		             : "0");
	}
	text_add(out, "};\n");
}

static const char *net_text(const Net *net, Arena *a)
{
	Text text, header;
	Frame f;
	const char *name = net->model->name, *real = net->options.is_double ? "double" : "float";
	text_init(&text, a);
	text_init(&header, a);
	frame_new(net, a, &f);
	text_add(&text, "#define CNNC_SHARE_SHORT 1\n");
	emit_program(a, net->program, NULL, &text, &header);
	print_bytes(net, upper(a, name), a, &text);
	static const char use[] =
	    "int use(int entry, void *const *p, const double *numbers, void *work, "
	    "const struct cnnc_pool *pool)";
	text_printf(&text, "%s;\n%s\n{\n", use, use);
	text_printf(&text, "\tstruct %s_train t = {(%s *)p[%d], (%s *)p[%d], %d, %d", name, real, VARS,
	    real, SLOTS, (int)NET_SEED, (int)NET_STEP);
	for (int i = 0; i < net->hypers - 1; i++) text_printf(&text, ", (%s)numbers[%d]", real, i);
	text_add(&text, "};\n\t(void)numbers;\n\tswitch (entry) {\n");
	for (int i = 0; i < net->program->part.n; i++)
		print_use(net->program->part.at[i], i, name, &f, &text);
	text_add(&text, "\tdefault: return -1;\n\t}\n}\n");
	return text.data;
}

/* --- calls -------------------------------------------------------------------------------- */

/* Memory without alignment, between guards, all of it NaN. */
static char *guarded(Arena *a, size_t bytes, size_t skew)
{
	char *memory = arena_alloc(a, 1, bytes + 2 * GUARD + 16);
	memset(memory, 0x5a, bytes + 2 * GUARD + 16);
	return memset(memory + GUARD + skew, 0xff, bytes);
}

static bool is_guarded(const char *memory, size_t bytes)
{
	for (int i = 1; i <= GUARD; i++)
		if (memory[-i] != 0x5a || memory[bytes + (size_t)i - 1] != 0x5a) return false;
	return true;
}

static bool is_input(const Emitted *w, int field)
{
	return field >= FIELDS && field < FIELDS + w->net->model->input.n;
}

static bool is_label(const Emitted *w, int field)
{
	return is_input(w, field) && w->net->model->input.at[field - FIELDS]->classes;
}

static size_t element(const Emitted *w, int field)
{
	return is_label(w, field) || !w->net->options.is_double ? 4 : 8;
}

/* Numbers as the program has them. */
static char *to_real(Emitted *w, const Frame *f, int field)
{
	size_t size = element(w, field);
	char *memory = guarded(w->arena, (size_t)f->count[field] * size, size);
	for (int64_t i = 0; i < f->count[field]; i++) {
		double x = f->of[field][i];
		if (is_label(w, field))
			((int32_t *)(void *)memory)[i] = (int32_t)x;
		else if (size == 8)
			((double *)(void *)memory)[i] = x;
		else
			((float *)(void *)memory)[i] = (float)x;
	}
	return memory;
}

static void from_real(Emitted *w, const char *memory, Frame *f, int field)
{
	for (int64_t i = 0; i < f->count[field]; i++) {
		double x = is_label(w, field)       ? ((const int32_t *)(const void *)memory)[i]
		           : element(w, field) == 8 ? ((const double *)(const void *)memory)[i]
		                                    : (double)((const float *)(const void *)memory)[i];
		bool same = memcmp(&x, &f->of[field][i], sizeof x) == 0;
		if (is_input(w, field) && !same && !isnan(x) && !w->wrong)
			w->wrong = arena_printf(w->arena, "the input %s is written to", f->name[field]);
		f->of[field][i] = x;
	}
	if (!is_guarded(memory, (size_t)f->count[field] * element(w, field)) && !w->wrong)
		w->wrong = arena_printf(w->arena, "something is written beside %s",
		    f->name[field]   ? f->name[field]
		    : field == GRADS ? "grads"
		                     : "vars or slots");
}

static void emitted_run(void *self, EntryKind kind, int64_t batch, Frame *f)
{
	Emitted *w = self;
	Arena *a = w->arena;
	char **p = NEWS(a, char *, f->fields);
	int number = 0;
	if (w->step && kind == ENTRY_UPDATE) return;
	if (!program_part(w->net->program, kind, batch, &number)) return;
	size_t bytes = w->bytes[2 + number];
	if (w->step && kind == ENTRY_GRADIENTS) {
		number = USE_STEP;
		bytes = w->bytes[1];
	}
	for (int i = 0; i < f->fields; i++)
		if (i != HYPER) p[i] = i == PACKED ? w->pack : to_real(w, f, i);
	char *work = guarded(a, bytes, 4);
	int status = w->use(number, (void *const *)(void *)p, f->of[HYPER], work, w->pool);
	if (status && !w->wrong)
		w->wrong =
		    arena_printf(a, "entry %d of batch %lld returns %d", kind, (long long)batch, status);
	bool kept = is_guarded(work, bytes) && is_guarded(w->pack, w->bytes[0]);
	if (!kept && !w->wrong)
		w->wrong = arena_printf(a, "entry %d writes beside its work", (int)kind);
	for (int i = 0; i < f->fields; i++)
		if (i != HYPER && i != PACKED) from_real(w, p[i], f, i);
}

/* Bits of everything, but gradients, which a step keeps to itself. */
static const char *same_bits(Arena *a, const Results *x, const Results *y, const char *what)
{
	for (int i = 0; i < x->tensor.n; i++) {
		const Tensor *t = &x->tensor.at[i], *u = &y->tensor.at[i];
		if (!strncmp(t->name, "gradient of", 11) && isnan(u->at[0])) continue;
		if (memcmp(t->at, u->at, (size_t)t->count * sizeof *t->at) != 0)
			return arena_printf(a, "%s: %s changes", what, t->name);
	}
	return NULL;
}

/* Counts how often work was shared. */
typedef struct {
	struct cnnc_pool pool;
	int runs;
} Counted;

static void counted_run(void *self, void (*task)(void *, size_t), void *arg, size_t n)
{
	Counted *c = self;
	c->runs++;
	c->pool.run(c->pool.self, task, arg, n);
}

static const char *use_c(Emitted *w, Results *results, bool *shared)
{
	Arena *a = w->arena;
	*results = entries_go(w->net, a, (Way){w, emitted_run});
	w->step = true;
	Results step = entries_go(w->net, a, (Way){w, emitted_run});
	w->step = false;
	Pool *two = pool_new(2);
	if (!two) return "no pool";
	Counted counted = {pool_shared(two), 0};
	struct cnnc_pool pool = {counted_run, &counted};
	w->pool = &pool;
	Results threads = entries_go(w->net, a, (Way){w, emitted_run});
	pool_free(two);
	if (w->wrong) return w->wrong;
	if (shared) *shared = counted.runs > 0;
	const char *wrong = same_bits(a, results, &step, "a step for gradients and update");
	return wrong ? wrong : same_bits(a, results, &threads, "two threads");
}

const char *net_c(const Net *net, Arena *a, const char *compiler, Results *results, bool *shared)
{
	const char *error = NULL, *text = net_text(net, a);
	Jit *jit = compiler ? jit_cc(a, text, compiler, &error) : jit_tcc(a, text, &error);
	if (!jit) return error;
	Emitted w = {.net = net, .arena = a, .bytes = jit_symbol(jit, "bytes")};
	void *use = jit_symbol(jit, "use");
	memcpy(&w.use, &use, sizeof use);
	if (w.bytes && use) {
		w.pack = guarded(a, w.bytes[0], 4);
		error = use_c(&w, results, shared);
	} else {
		error = "a symbol is missing";
	}
	jit_free(jit);
	return error;
}
