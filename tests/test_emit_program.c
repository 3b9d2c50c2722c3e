/* Whole programs as text: a small network, made by hand down to nests and places, printed, compiled
 * as C and as C++ by every compiler there is, and used as a user would use it. */
#define _XOPEN_SOURCE 700
#include "../compiler/emit/emit.h"
#include "../compiler/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

enum { CHANNELS = 32, CLASSES = 5 };

typedef struct {
	Arena *arena;
	jmp_buf out;
	char folder[64];
} Fixture;

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	f->arena = arena_new(0);
	if (setjmp(f->out)) return -1;
	arena_guard(f->arena, &f->out);
	strcpy(f->folder, "/tmp/cnnc-program-XXXXXX");
	*state = f;
	return mkdtemp(f->folder) ? 0 : -1;
}

static int teardown(void **state)
{
	Fixture *f = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
	int status = system(command);
	arena_free(f->arena);
	free(f);
	return status;
}

/* --- the network: score[n] = sum w[c] x[n,c] / 4 + b;  loss = mean (score - label)^2 ------- */

typedef struct {
	Arena *arena;
	Program *program;
	Part *part;
	State *weight, *bias;
} Maker;

static State *new_state(Maker *m, const char *name, StateKind kind, int64_t count, int64_t offset)
{
	State *s = NEW(m->arena, State);
	*s = (State){.name = name, .kind = kind, .offset = offset};
	s->shape = shape_of(1, count);
	return s;
}

static Part *new_part(Maker *m, EntryKind kind, const char *name, int64_t batch)
{
	Part *p = NEW(m->arena, Part);
	p->kind = kind;
	p->name = name;
	p->batch = batch;
	vec_push(m->arena, m->program->part, p);
	return m->part = p;
}

static int new_argument(Maker *m, const char *name, Type type, Shape shape, bool output)
{
	Argument arg = {.name = name, .type = type, .shape = shape, .output = output};
	arg.classes = type == TYPE_LABEL ? CLASSES : 0;
	arg.of_step = m->part->kind == ENTRY_UPDATE;
	vec_push(m->arena, m->part->arg, arg);
	return m->part->arg.n - 1;
}

static Buffer *new_buffer(Maker *m, const char *name, Type type, Place place, int slot,
    int64_t offset, int rank, int64_t rows, int64_t cols)
{
	Buffer *b = buffer_new(m->arena, name, type, rank, (int64_t[]){rows, cols});
	b->place = place;
	b->slot = slot;
	b->offset = offset;
	b->id = m->part->buffer.n;
	vec_push(m->arena, m->part->buffer, b);
	return b;
}

static void add_step(Maker *m, Nest *n, const char *comment, const char *vector, const char *scalar)
{
	Step s = {.nest = n, .comment = comment, .macs = 64, .is_short = true};
	assert_null(nest_verify(m->arena, n));
	for (int t = 0; t < m->program->ntarget; t++) {
		int lanes = m->program->target[t]->vector_bytes / (m->program->is_double ? 8 : 4);
		Schedule schedule;
		const char *wrong, *text = lanes ? vector : scalar;
		Text filled;
		text_init(&filled, m->arena);
		for (; *text; text++) {
			if (*text == 'V')
				text_printf(&filled, "%d", lanes);
			else
				text_addn(&filled, text, 1);
		}
		wrong = schedule_parse(m->arena, n, filled.data, &schedule);
		if (!wrong) s.tree[t] = tree_build(m->arena, n, &schedule, &wrong);
		if (!wrong) wrong = check_all(m->arena, s.tree[t]);
		if (wrong) fail_msg("%s: %s", comment, wrong);
	}
	vec_push(m->arena, m->part->step, s);
}

static Index at(int var) { return index_of(affine_var(var)); }

static Expr *load1(Maker *m, Nest *n, const char *as, Buffer *b, Index i)
{
	return e_load(m->arena, nest_load(n, as, b, (Index[]){i, i}));
}

static Expr *op(Maker *m, ExprKind kind, Expr *x, Expr *y) { return e_op(m->arena, kind, x, y); }

static void add_scores(Maker *m, Buffer *x, Buffer *w, Buffer *b, Buffer *score)
{
	Nest *n = nest_new(m->arena, "dense");
	int i = nest_dim(n, "n", m->part->batch, false), c = nest_dim(n, "c", CHANNELS, true);
	Expr *vx = e_load(m->arena, nest_load(n, "x", x, (Index[]){at(i), at(c)}));
	Expr *vw = load1(m, n, "w", w, at(c));
	nest_acc(n, 0, COMBINE_SUM, op(m, E_ADD, e_acc(m->arena, 0), op(m, E_MUL, vx, vw)));
	Expr *vb = load1(m, n, "b", b, index_of(affine_number(0)));
	Buffer *table = new_buffer(m, "quarter", TYPE_REAL, PLACE_TABLE, 0, 0, 1, 1, 1);
	static const double quarter[] = {0.25};
	table->table = quarter;
	Expr *scale = load1(m, n, "scale", table, index_of(affine_number(0)));
	nest_store(n, "y", score, (Affine[]){affine_var(i)},
	    op(m, E_ADD, op(m, E_MUL, e_acc(m->arena, 0), scale), vb));
	add_step(m, n, "score */ 1x32 -> 1", "par n 3 | n | c V | vec c V", "par n 3 | n | c");
}

static void make_inference(Maker *m, const char *name, int64_t batch)
{
	new_part(m, ENTRY_INFER, name, batch);
	int x = new_argument(m, "x", TYPE_REAL, shape_of(2, batch, (int64_t)CHANNELS), false);
	int y = new_argument(m, "score", TYPE_REAL, shape_of(1, batch), true);
	Buffer *w = new_buffer(m, "w", TYPE_REAL, PLACE_PACKED, 0, 3, 1, CHANNELS, 1);
	Buffer *b = new_buffer(m, "b", TYPE_REAL, PLACE_VARS, 0, CHANNELS, 1, 1, 1);
	add_scores(m, new_buffer(m, "x", TYPE_REAL, PLACE_INPUT, x, 0, 2, batch, CHANNELS), w, b,
	    new_buffer(m, "score", TYPE_REAL, PLACE_OUTPUT, y, 0, 1, batch, 1));
}

/* loss[0] = mean (score - label)^2 */
static void add_loss(Maker *m, Buffer *score, Buffer *label, Buffer *loss)
{
	Nest *n = nest_new(m->arena, "loss");
	int i = nest_dim(n, "n", m->part->batch, true);
	Expr *d = op(m, E_SUB, load1(m, n, "score", score, at(i)), load1(m, n, "label", label, at(i)));
	nest_acc(n, 0, COMBINE_SUM, op(m, E_ADD, e_acc(m->arena, 0), op(m, E_MUL, d, d)));
	Expr *mean = op(m, E_MUL, e_acc(m->arena, 0), e_num(m->arena, 1.0 / (double)m->part->batch));
	nest_store(n, "loss", loss, (Affine[]){affine_number(0)}, mean);
	add_step(m, n, "loss", "n", "n");
}

/* dw[c] = 2/N sum (score - label) x / 4, db = 2/N sum (score - label) */
static void add_gradients(Maker *m, Buffer *x, Buffer *score, Buffer *label)
{
	for (int bias = 0; bias < 2; bias++) {
		Nest *n = nest_new(m->arena, bias ? "bias_grad" : "weight_grad");
		int c = nest_dim(n, "c", bias ? 1 : CHANNELS, false),
		    i = nest_dim(n, "n", m->part->batch, true);
		Expr *d =
		    op(m, E_SUB, load1(m, n, "score", score, at(i)), load1(m, n, "label", label, at(i)));
		if (!bias)
			d = op(m, E_MUL, d, e_load(m->arena, nest_load(n, "x", x, (Index[]){at(i), at(c)})));
		nest_acc(n, 0, COMBINE_SUM, op(m, E_ADD, e_acc(m->arena, 0), d));
		double share = (bias ? 2.0 : 0.5) / (double)m->part->batch;
		Buffer *g = new_buffer(
		    m, "g", TYPE_REAL, PLACE_GRADS, 0, bias ? CHANNELS : 0, 1, bias ? 1 : CHANNELS, 1);
		nest_store(n, "g", g, (Affine[]){affine_var(c)},
		    op(m, E_MUL, e_acc(m->arena, 0), e_num(m->arena, share)));
		add_step(
		    m, n, "gradient", bias ? "n" : "par c V | vec c V | n", bias ? "n" : "par c 5 | c | n");
	}
}

static void make_training(Maker *m, EntryKind kind, const char *name, int64_t batch)
{
	new_part(m, kind, name, batch);
	m->part->work = batch * 8;
	m->part->work_lower_bound = batch * 4;
	if (kind == ENTRY_GRADIENTS) new_argument(m, "seed", TYPE_SEED, shape_of(1, (int64_t)2), false);
	int x = new_argument(m, "x", TYPE_REAL, shape_of(2, batch, (int64_t)CHANNELS), false);
	int label = new_argument(m, "label", TYPE_LABEL, shape_of(1, batch), false);
	int y = new_argument(m, "score", TYPE_REAL, shape_of(1, batch), true);
	int loss = new_argument(m, "loss", TYPE_REAL, shape_of(0), true);
	Buffer *bx = new_buffer(m, "x", TYPE_REAL, PLACE_INPUT, x, 0, 2, batch, CHANNELS);
	Buffer *bl = new_buffer(m, "label", TYPE_LABEL, PLACE_INPUT, label, 0, 1, batch, 1);
	Buffer *w = new_buffer(m, "w", TYPE_REAL, PLACE_VARS, 0, 0, 1, CHANNELS, 1);
	Buffer *b = new_buffer(m, "b", TYPE_REAL, PLACE_VARS, 0, CHANNELS, 1, 1, 1);
	Buffer *mine = new_buffer(m, "score", TYPE_REAL, PLACE_WORK, 0, 0, 1, batch, 1);
	Buffer *score = new_buffer(m, "score", TYPE_REAL, PLACE_OUTPUT, y, 0, 1, batch, 1);
	add_scores(m, bx, w, b, mine);
	add_loss(m, mine, bl, new_buffer(m, "loss", TYPE_REAL, PLACE_OUTPUT, loss, 0, 1, 1, 1));
	if (kind == ENTRY_GRADIENTS) add_gradients(m, bx, mine, bl);
	Nest *copy = nest_new(m->arena, "copy");
	int i = nest_dim(copy, "n", batch, false);
	nest_store(copy, "y", score, (Affine[]){affine_var(i)}, load1(m, copy, "x", mine, at(i)));
	add_step(m, copy, "score", "n", "n");
}

/* v = momentum v + (g + decay w); w -= rate v */
static void make_update(Maker *m)
{
	new_part(m, ENTRY_UPDATE, "update", 1);
	int hyper = new_argument(m, "hyper", TYPE_REAL, shape_of(1, (int64_t)4), false);
	Nest *n = nest_new(m->arena, "sgd");
	int c = nest_dim(n, "c", CHANNELS + 1, false);
	Buffer *w = new_buffer(m, "w", TYPE_REAL, PLACE_VARS, 0, 0, 1, CHANNELS + 1, 1);
	Buffer *v = new_buffer(m, "v", TYPE_REAL, PLACE_SLOTS, 0, 0, 1, CHANNELS + 1, 1);
	Buffer *g = new_buffer(m, "g", TYPE_REAL, PLACE_GRADS, 0, 0, 1, CHANNELS + 1, 1);
	Buffer *h = new_buffer(m, "hyper", TYPE_REAL, PLACE_INPUT, hyper, 0, 1, 4, 1);
	Expr *ew = load1(m, n, "w", w, at(c)), *eg = load1(m, n, "g", g, at(c)),
	     *ev = load1(m, n, "v", v, at(c));
	Expr *rate = load1(m, n, "hyper", h, index_of(affine_number(0)));
	Expr *momentum = load1(m, n, "hyper", h, index_of(affine_number(1)));
	Expr *decay = load1(m, n, "hyper", h, index_of(affine_number(2)));
	Expr *next =
	    op(m, E_ADD, op(m, E_MUL, momentum, ev), op(m, E_ADD, eg, op(m, E_MUL, decay, ew)));
	nest_store(n, "w", w, (Affine[]){affine_var(c)}, op(m, E_SUB, ew, op(m, E_MUL, rate, next)));
	nest_store(n, "v", v, (Affine[]){affine_var(c)}, next);
	n->inplace = true;
	add_step(m, n, "sgd", "par c 9 | c", "par c 9 | c");
}

static void make_init(Maker *m)
{
	new_part(m, ENTRY_INIT, "init", 1);
	int seed = new_argument(m, "seed", TYPE_SEED, shape_of(1, (int64_t)2), false);
	Buffer *s = new_buffer(m, "seed", TYPE_SEED, PLACE_INPUT, seed, 0, 1, 2, 1);
	for (int slots = 0; slots < 2; slots++) {
		Nest *n = nest_new(m->arena, slots ? "zero" : "uniform");
		int c = nest_dim(n, "c", CHANNELS + 1, false);
		Expr *e = e_num(m->arena, 0);
		if (!slots) {
			int load = nest_load(n, "seed", s, (Index[]){index_of(affine_number(0))});
			e = e_hash(m->arena, load, hash_str("fc.weight"), affine_var(c));
		}
		Buffer *to = new_buffer(
		    m, "to", TYPE_REAL, slots ? PLACE_SLOTS : PLACE_VARS, 0, 0, 1, CHANNELS + 1, 1);
		nest_store(n, "w", to, (Affine[]){affine_var(c)}, e);
		add_step(m, n, "init", "c", "c");
	}
}

static void make_pack(Maker *m)
{
	new_part(m, ENTRY_PACK, "pack", 1);
	Nest *n = nest_new(m->arena, "copy");
	int c = nest_dim(n, "c", CHANNELS, false);
	Buffer *w = new_buffer(m, "w", TYPE_REAL, PLACE_VARS, 0, 0, 1, CHANNELS, 1);
	Buffer *p = new_buffer(m, "w", TYPE_REAL, PLACE_PACKED, 0, 3, 1, CHANNELS, 1);
	nest_store(n, "y", p, (Affine[]){affine_var(c)}, load1(m, n, "x", w, at(c)));
	add_step(m, n, "pack", "c V | vec c V", "c");
}

static Program *make_program(
    Arena *a, const char *name, bool is_double, const char *const *target, int n)
{
	static Options options;
	Model *model = NEW(a, Model);
	Maker m = {.arena = a, .program = NEW(a, Program)};
	*model = (Model){
	    .arena = a, .name = name, .title = "A line */ through points", .file = "/tmp/dir/line.lua"};
	model->optimizer = (Optimizer){
	    .kind = "sgd", .hyper = {{"rate", 0.1}, {"momentum", 0.9}, {"decay", 0}}, .hypers = 3};
	m.program->model = model;
	m.program->options = &options;
	m.program->is_double = is_double;
	for (int t = 0; t < n; t++) m.program->target[m.program->ntarget++] = target_find(target[t]);
	m.weight = new_state(&m, "fc.weight", STATE_WEIGHT, CHANNELS, 0);
	m.bias = new_state(&m, "fc.\"bias\"", STATE_WEIGHT, 1, CHANNELS);
	vec_push(a, model->state, m.weight);
	vec_push(a, model->state, m.bias);
	model->vars = model->weights = CHANNELS + 1;
	State *slot = new_state(&m, "velocity", STATE_SLOT, CHANNELS + 1, 0);
	vec_push(a, m.program->slot, slot);
	m.program->slots = CHANNELS + 1;
	m.program->packed = CHANNELS + 3;
	make_init(&m);
	make_pack(&m);
	make_inference(&m, "infer_b4", 4);
	make_inference(&m, "infer_b1", 1);
	make_training(&m, ENTRY_EVAL, "eval_b4", 4);
	make_training(&m, ENTRY_GRADIENTS, "gradients_b4", 4);
	make_update(&m);
	return m.program;
}

/* --- using it ------------------------------------------------------------------------------ */

static const char *const all_targets[] = {"avx512", "avx2", "x86-64", "generic"};

static void put_file(Fixture *f, const char *name, const char *text)
{
	const char *file = arena_printf(f->arena, "%s/%s", f->folder, name);
	assert_null(file_write(f->arena, file, text, strlen(text), false));
}

static void write_program(Fixture *f, const Program *p, const char *name)
{
	Text c, h;
	text_init(&c, f->arena);
	text_init(&h, f->arena);
	emit_program(f->arena, p, arena_printf(f->arena, "%s.h", name), &c, &h);
	put_file(f, arena_printf(f->arena, "%s.c", name), c.data);
	put_file(f, arena_printf(f->arena, "%s.h", name), h.data);
}

/* Checks the interface's promises; REAL is float or double. */
static const char user[] =
    "#include \"line.h\"\n"
    "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <math.h>\n"
    "#define CHECK(c) do { if (!(c)) { printf(\"line %d: %s\\n\", __LINE__, #c); exit(1); } } "
    "while (0)\n"
    "static void backwards(void *self, void (*task)(void *, size_t), void *arg, size_t n)\n"
    "{ ++*(int *)self; while (n) task(arg, --n); }\n"
    "static REAL x[9 * 32], score[9], more[9], loss, loss2;\n"
    "static REAL vars[LINE_VARS], slots[LINE_SLOTS], vars2[LINE_VARS], slots2[LINE_SLOTS], "
    "grads[LINE_WEIGHTS];\n"
    "static char packed[LINE_PACKED_BYTES + 8], work[LINE_STEP_B4_WORK + 8];\n"
    "int main(void)\n{\n"
    "	int calls = 0; struct cnnc_pool pool = {backwards, &calls}; int32_t label[4] = {0, 4, 2, "
    "1};\n"
    "	CHECK(LINE_TENSORS == 3 && LINE_WEIGHTS == 33 && LINE_BUFFERS == 0 && LINE_SLOTS == 33);\n"
    "	CHECK(!strcmp(line_tensors[1].name, \"fc.\\\"bias\\\"\") && line_tensors[1].offset == "
    "32);\n"
    "	CHECK(line_tensors[2].kind == 2 && line_tensors[0].dim[0] == 32 && line_tensors[0].rank == "
    "1);\n"
    "	line_init(vars, slots, 7); line_init(vars2, slots2, 8);\n"
    "	CHECK(vars[0] != vars2[0] && vars[0] != vars[1] && vars[3] >= 0 && vars[3] < 1 && "
    "slots[32] == 0);\n"
    "	line_init(vars2, slots2, 7); CHECK(!memcmp(vars, vars2, sizeof vars));\n"
    "	for (int i = 0; i < 9 * 32; i++) x[i] = (REAL)((i * 7) % 11) - 5;\n"
    "	line_pack(vars, packed + 4);\n"
    "	CHECK(line_infer_b4(packed + 4, x, score, work, NULL) == CNNC_OK);\n"
    "	for (int n = 0; n < 4; n++) { double want = vars[32]; for (int c = 0; c < 32; c++)\n"
    "		want += (double)vars[c] * (double)x[n * 32 + c] / 4; CHECK(fabs(want - "
    "(double)score[n]) < 1e-5); }\n"
    "	CHECK(line_infer(9, packed + 4, x, more, work, &pool) == CNNC_OK && (calls > 0) == "
    "SHARES);\n"
    "	CHECK(!memcmp(score, more, 4 * sizeof *score) && more[8] != 0);\n"
    "	CHECK(line_infer(0, packed + 4, x, more, work, NULL) == CNNC_OK);\n"
    "	CHECK(line_eval_b4(vars, x, label, &loss, more, work + 4, NULL) == CNNC_OK);\n"
    "	CHECK(fabs((double)more[2] - (double)score[2]) < 1e-5);\n"
    "	double want = 0; for (int n = 0; n < 4; n++) want += pow((double)more[n] - label[n], 2) / "
    "4;\n"
    "	CHECK(fabs(want - (double)loss) < 1e-4 * want);\n"
    "	label[2] = 5; loss = 77;\n"
    "	CHECK(line_eval_b4(vars, x, label, &loss, more, work, NULL) == CNNC_BAD_LABEL && loss == "
    "77);\n"
    "	label[2] = -1;\n"
    "	struct line_train t = {vars, slots, 1, 0, (REAL)0.01, (REAL)0.9, (REAL)0.1}, t2 = t;\n"
    "	t2.vars = vars2; t2.slots = slots2;\n"
    "	CHECK(line_step_b4(&t, x, label, &loss, more, work, NULL) == CNNC_BAD_LABEL && t.step == "
    "0);\n"
    "	label[2] = 2;\n"
    "	for (int i = 0; i < 20; i++) {\n"
    "		REAL before = loss;\n"
    "		CHECK(line_step_b4(&t, x, label, &loss, score, work + 4, i & 1 ? &pool : NULL) == "
    "CNNC_OK);\n"
    "		CHECK(line_gradients_b4(vars2, t2.seed, t2.step, x, label, grads, &loss2, more, work, "
    "NULL) == 0);\n"
    "		CHECK(line_update(&t2, grads) == CNNC_OK);\n"
    "		CHECK(!memcmp(vars, vars2, sizeof vars) && !memcmp(slots, slots2, sizeof slots));\n"
    "		CHECK(t.step == t2.step && t.step == (uint64_t)(i + 1) && loss == loss2);\n"
    "		if (i == 19) CHECK(loss < before);\n"
    "	}\n"
    "	grads[5] = (REAL)NAN; CHECK(line_update(&t2, grads) == CNNC_NONFINITE && t2.step == 20);\n"
    "	x[40] = (REAL)INFINITY;\n"
    "	CHECK(line_step_b4(&t, x, label, &loss, score, work, NULL) == CNNC_NONFINITE && t.step == "
    "20);\n"
    "	CHECK(!memcmp(vars, vars2, sizeof vars) && !memcmp(slots, slots2, sizeof slots));\n"
    "	CHECK(line_infer_b4(packed + 4, x, score, work, NULL) == CNNC_NONFINITE);\n"
    "	for (int i = 0; i < LINE_WEIGHTS; i++) grads[i] = 0;\n"
    "	for (int i = 0; i < LINE_WEIGHTS; i++) {\n"
    "		grads[i] = i & 1 ? (REAL)-INFINITY : (REAL)INFINITY;\n"
    "		CHECK(line_update(&t2, grads) == CNNC_NONFINITE);\n"
    "		grads[i] = (REAL)(i & 1 ? 3e38 : -3e38);\n"
    "	}\n"
    "	CHECK(line_update(&t2, grads) == CNNC_OK);\n"
    "#ifdef CNNC_PROFILE\n"
    "	size_t rows; struct cnnc_profile *row = line_profile(&rows); CHECK(rows > 10);\n"
    "	for (size_t i = 0; i < rows; i++) CHECK(row[i].calls > 0 && row[i].seconds >= 0);\n"
    "#endif\n"
    "	puts(\"fine\"); return 0;\n}\n";

static bool have(const char *compiler)
{
	char command[128];
	snprintf(command, sizeof command, "command -v %s >/dev/null 2>&1", compiler);
	return system(command) == 0;
}

static const struct {
	const char *program, *command;
} compilers[] = {
    {"gcc", "gcc -std=c11 -O2"},
    {"gcc", "gcc -std=gnu11 -O1 -fopenmp"},
    {"gcc", "gcc -std=c11 -O1 -fsanitize=address,undefined -fno-sanitize-recover=all"},
    {"g++", "g++ -x c++ -std=c++17 -O2"},
    {"clang", "clang -std=c11 -O2"},
    {"clang++", "clang++ -x c++ -std=c++17 -O1"},
    {"tcc", "tcc"},
};

static void use_program(Fixture *f, bool is_double, bool profile, const char *const *target, int n)
{
	const Options options = {.profile = profile};
	Program *program = make_program(f->arena, "line", is_double, target, n);
	program->options = &options;
	write_program(f, program, "line");
	put_file(f, "user.c",
	    arena_printf(f->arena, "#define REAL %s\n%s", is_double ? "double" : "float", user));
	int ran = 0;
	for (int i = 0; i < COUNT(compilers); i++) {
		if (!have(compilers[i].program)) continue;
		ran++;
		bool tcc = !strcmp(compilers[i].program, "tcc");
		int shares = i % 2 == 0; /* these short steps; every other compiler leaves them alone */
		const char *warnings =
		    tcc ? "-Wall -Werror"
		        : "-Wall -Wextra -Wconversion -Wshadow -Wundef -Wdouble-promotion -Werror";
		const char *link = strstr(compilers[i].command, "-x c++") ? "-x none" : "";
		const char *line = arena_printf(f->arena,
		    "cd %s && rm -f line.o && %s %s -DCNNC_SHARE_SHORT=%d -c line.c -o line.o && "
		    "%s -DSHARES=%d -c user.c -o user.o && %s %s line.o user.o -o user -lm && ./user",
		    f->folder, compilers[i].command, warnings, shares, compilers[i].command, shares,
		    compilers[i].command, link);
		if (system(line) != 0) fail_msg("%s", line);
	}
	if (!ran) skip();
}

static void a_program_keeps_the_promises_of_its_header(void **state)
{
	use_program(*state, false, false, all_targets, COUNT(all_targets));
}

static void so_does_one_in_double(void **state)
{
	use_program(*state, true, false, all_targets, COUNT(all_targets));
}

static void and_one_that_times_its_steps(void **state)
{
	use_program(*state, false, true, all_targets, COUNT(all_targets));
	use_program(*state, true, true, all_targets, COUNT(all_targets));
}

static void and_one_for_a_named_target(void **state)
{
	static const char *const only[] = {"generic"};
	use_program(*state, false, false, only, 1);
}

static void two_headers_go_into_one_file(void **state)
{
	Fixture *f = *state;
	write_program(f, make_program(f->arena, "line", false, all_targets, 4), "line");
	write_program(f, make_program(f->arena, "other", true, all_targets, 4), "other");
	put_file(f, "both.c",
	    "#include \"line.h\"\n#include \"other.h\"\n#include \"line.h\"\n"
	    "int main(void) { struct other_train t = {0}; return (int)t.step + (int)LINE_HASH * 0; "
	    "}\n");
	int ran = 0;
	for (int i = 0; i < COUNT(compilers); i++) {
		if (!have(compilers[i].program)) continue;
		ran++;
		assert_int_equal(system(arena_printf(f->arena, "cd %s && %s -c both.c -o both.o", f->folder,
		                     compilers[i].command)),
		    0);
	}
	if (!ran) skip();
}

static void fast_math_is_refused_unless_allowed(void **state)
{
	Fixture *f = *state;
	write_program(f, make_program(f->arena, "line", false, all_targets, 4), "line");
	if (!have("gcc")) skip();
	const char *compile =
	    arena_printf(f->arena, "cd %s && gcc -ffast-math -c line.c -o line.o", f->folder);
	assert_int_not_equal(system(arena_printf(f->arena, "%s 2>/dev/null", compile)), 0);
	assert_int_equal(system(arena_printf(f->arena, "%s -DCNNC_ALLOW_FAST_MATH", compile)), 0);
}

static void a_named_target_needs_its_compiler(void **state)
{
	Fixture *f = *state;
	static const char *const only[] = {"avx2"};
	write_program(f, make_program(f->arena, "line", false, only, 1), "line");
	if (!have("tcc")) skip();
	assert_int_not_equal(
	    system(arena_printf(f->arena, "cd %s && tcc -c line.c -o line.o 2>/dev/null", f->folder)),
	    0);
}

/* Whatever the arena's limit: a jump to the guard or the same text, and nothing lost (the sanitizer
 * looks). */
static void running_out_of_memory_leaks_nothing(void **state)
{
	Fixture *f = *state;
	Text whole, h;
	volatile int jumped = 0, finished = 0;
	text_init(&whole, f->arena);
	text_init(&h, f->arena);
	emit_program(f->arena, make_program(f->arena, "line", false, all_targets, 4), NULL, &whole, &h);
	for (volatile size_t limit = 20000; limit < 40000000; limit += limit / 3) {
		jmp_buf out;
		Arena *a = arena_new(limit);
		arena_guard(a, &out);
		if (setjmp(out)) {
			jumped++;
		} else {
			Text c;
			text_init(&c, a);
			text_init(&h, a);
			emit_program(a, make_program(a, "line", false, all_targets, 4), NULL, &c, &h);
			assert_string_equal(c.data, whole.data);
			finished++;
		}
		arena_free(a);
	}
	assert_true(jumped > 5);
	assert_true(finished > 0);
}

static void the_text_holds_no_path_and_equal_kernels_once(void **state)
{
	Fixture *f = *state;
	Text c, h, c2, h2;
	text_init(&c, f->arena);
	text_init(&h, f->arena);
	text_init(&c2, f->arena);
	text_init(&h2, f->arena);
	emit_program(f->arena, make_program(f->arena, "line", false, all_targets, 4), NULL, &c, &h);
	emit_program(f->arena, make_program(f->arena, "line", false, all_targets, 4), NULL, &c2, &h2);
	assert_string_equal(c.data, c2.data);
	assert_string_equal(h.data, h2.data);
	assert_null(strstr(c.data, "/tmp/dir"));
	assert_non_null(strstr(c.data, "line.lua"));
	assert_non_null(strstr(c.data, h.data)); /* no header's name: its text is inside */
	assert_non_null(strstr(h.data, "belongs to whoever"));
	int tables = 0;
	for (const char *s = c.data; (s = strstr(s, "static const float table_")) != NULL; s++)
		tables++;
	assert_int_equal(tables, 1);
	int kernels = 0; /* eval scores as infer does, gradients score and lose as eval does */
	for (const char *s = c.data; (s = strstr(s, "\tstruct kernel ")) != NULL; s++) kernels++;
	assert_int_equal(
	    kernels, 2 + 1 + 2 + 0 + 2 + 2 + 1); /* init pack infer eval loss, copy grads update */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        a_program_keeps_the_promises_of_its_header, setup, teardown),
	    cmocka_unit_test_setup_teardown(so_does_one_in_double, setup, teardown),
	    cmocka_unit_test_setup_teardown(and_one_that_times_its_steps, setup, teardown),
	    cmocka_unit_test_setup_teardown(and_one_for_a_named_target, setup, teardown),
	    cmocka_unit_test_setup_teardown(two_headers_go_into_one_file, setup, teardown),
	    cmocka_unit_test_setup_teardown(fast_math_is_refused_unless_allowed, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_named_target_needs_its_compiler, setup, teardown),
	    cmocka_unit_test_setup_teardown(running_out_of_memory_leaks_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(
	        the_text_holds_no_path_and_equal_kernels_once, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
