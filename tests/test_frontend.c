/* The description language: what a file becomes, what mistakes say, and that hostile files end.
 *
 * tests/error/NAME.lua carry what is expected of them in comments: `-- expect: TEXT` must be in the
 * messages, `-- expect-not: TEXT` must not; `-- define: N=V` and `-- freeze: P` are -D and
 * --freeze. */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <setjmp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../compiler/driver.h"
#include "../compiler/frontend/frontend.h"
#include "../compiler/op.h"

#include <cmocka.h>
#include <jansson.h>

typedef struct {
	Arena *arena;
	jmp_buf out;
	Diag diag;
	Options options;
	Text messages;
	char folder[64];
} Fixture;

static void renew(Fixture *f)
{
	arena_free(f->arena);
	f->arena = arena_new(0);
	arena_guard(f->arena, &f->out);
	diag_init(&f->diag, f->arena);
	f->options = (Options){0};
	text_init(&f->messages, f->arena);
}

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	strcpy(f->folder, "/tmp/cnnc-front-XXXXXX");
	*state = f;
	if (!mkdtemp(f->folder)) return -1;
	renew(f);
	return 0;
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

static Model *load(Fixture *f, const char *file)
{
	f->options.file = file;
	Model *m = frontend_load(f->arena, &f->diag, &f->options);
	diag_print(&f->diag, &f->messages);
	assert_true((m != NULL) == (f->diag.errors == 0));
	return m;
}

static Model *load_good(Fixture *f, const char *file)
{
	Model *m = load(f, file);
	if (!m) fail_msg("%s:\n%s", file, f->messages.data);
	const char *fault = graph_verify(m->graph);
	if (fault) fail_msg("%s: %s", file, fault);
	return m;
}

static const char *write_file(Fixture *f, const char *name, const char *text)
{
	const char *path = arena_printf(f->arena, "%s/%s", f->folder, name);
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static Model *load_text(Fixture *f, const char *text)
{
	return load_good(f, write_file(f, "net.lua", text));
}

static void contains(const char *text, const char *part)
{
	if (!strstr(text, part)) fail_msg("no '%s' in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
	if (strstr(text, part)) fail_msg("'%s' in:\n%s", part, text);
}

/* --- mistakes --------------------------------------------------------------------------------- */

/* Calls `use` with what follows `-- word: ` on each line of the text. */
static void each_directive(
    Fixture *f, const char *text, const char *word, void (*use)(Fixture *, const char *))
{
	const char *mark = arena_printf(f->arena, "-- %s: ", word);
	for (const char *s = text; (s = strstr(s, mark));) {
		s += strlen(mark);
		use(f, arena_printf(f->arena, "%.*s", (int)strcspn(s, "\r\n"), s));
	}
}

static int expectations;

static void expect_text(Fixture *f, const char *text)
{
	contains(f->messages.data, text);
	expectations++;
}
static void expect_no_text(Fixture *f, const char *text) { lacks(f->messages.data, text); }
static void add_define(Fixture *f, const char *text)
{
	vec_push(f->arena, f->options.define, text);
}
static void add_freeze(Fixture *f, const char *text)
{
	vec_push(f->arena, f->options.freeze, text);
}

static void check_error_file(Fixture *f, const char *name)
{
	char *text;
	size_t size;
	renew(f);
	const char *path = arena_printf(f->arena, "tests/error/%s", name);
	assert_null(file_read(f->arena, path, 1 << 20, &text, &size));
	for (size_t i = 0; i < size; i++) text[i] = text[i] ? text[i] : ' ';
	each_directive(f, text, "define", add_define);
	each_directive(f, text, "freeze", add_freeze);
	Model *m = load(f, path);
	if (m) fail_msg("%s is accepted", path);
	expectations = 0;
	each_directive(f, text, "expect", expect_text);
	each_directive(f, text, "expect-not", expect_no_text);
	if (!expectations && size) fail_msg("%s expects nothing", path);
	lacks(f->messages.data, "cnnc#");
	lacks(f->messages.data, "0x");
	assert_true(f->diag.errors <= DIAG_LIMIT);
}

static void mistakes_are_told_with_their_lines(void **state)
{
	struct dirent **entry;
	int n = scandir("tests/error", &entry, NULL, alphasort), files = 0;
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		size_t length = strlen(entry[i]->d_name);
		if (length > 4 && !strcmp(entry[i]->d_name + length - 4, ".lua")) {
			check_error_file(*state, entry[i]->d_name);
			files++;
		}
		free(entry[i]);
	}
	free(entry);
	assert_true(files >= 70);
}

static void twenty_mistakes_end_the_run(void **state)
{
	Fixture *f = *state;
	assert_null(load(f, "tests/error/too-many.lua"));
	assert_int_equal(f->diag.errors, DIAG_LIMIT);
}

static void a_missing_file_is_said(void **state)
{
	Fixture *f = *state;
	assert_null(load(f, "tests/error/no-such-file.lua"));
	contains(f->messages.data, "cannot open tests/error/no-such-file.lua");
	renew(f);
	assert_null(load(f, "tests/error"));
	assert_true(f->diag.errors == 1);
}

static void a_prefix_must_be_a_name(void **state)
{
	Fixture *f = *state;
	f->options.prefix = "my-net";
	assert_null(load(f, "networks/lenet.lua"));
	contains(f->messages.data, "--prefix 'my-net' must be letters, digits and _");
}

static void links_may_not_lead_outside(void **state)
{
	Fixture *f = *state;
	const char *outside = write_file(f, "outside.lua", "return 1\n");
	assert_int_equal(mkdir(arena_printf(f->arena, "%s/in", f->folder), 0700), 0);
	assert_int_equal(symlink(outside, arena_printf(f->arena, "%s/in/link.lua", f->folder)), 0);
	assert_int_equal(symlink("..", arena_printf(f->arena, "%s/in/up", f->folder)), 0);
	assert_null(load(f, write_file(f, "in/net.lua", "include 'link.lua'\n")));
	contains(f->messages.data,
	    "net.lua:1: error: include 'link.lua': a link leads outside of the folder");
	renew(f);
	assert_null(load(f, write_file(f, "in/net.lua", "include 'up/outside.lua'\n")));
	contains(f->messages.data, "a link leads outside of the folder");
}

/* --- what a file becomes ---------------------------------------------------------------------- */

typedef struct {
	const char *name;
	int64_t neurons, parameters, connections;
} Figures;

static json_t *summary(Fixture *f, const Model *m)
{
	Program p = {.model = m, .options = &f->options};
	Text text;
	json_error_t e;
	text_init(&text, f->arena);
	summary_print(&p, true, &text);
	json_t *j = json_loads(text.data, 0, &e);
	if (!j) fail_msg("line %d: %s\n%s", e.line, e.text, text.data);
	return j;
}

static int64_t number(const json_t *object, const char *key)
{
	const json_t *x = json_object_get(object, key);
	if (!json_is_integer(x)) fail_msg("%s is no whole number", key);
	return json_integer_value(x);
}

/* The paper's own figures, II.B. */
static void lenet_has_the_figures_of_its_paper(void **state)
{
	static const Figures paper[] = {{"c1", 4704, 156, 122304}, {"s2", 1176, 12, 5880},
	    {"c3", 1600, 1516, 151600}, {"s4", 400, 32, 2000}, {"c5", 120, 48120, 48120},
	    {"f6", 84, 10164, 10164}};
	Fixture *f = *state;
	json_t *j = summary(f, load_good(f, "networks/lenet.lua")),
	       *layers = json_object_get(j, "layers");
	for (size_t i = 0; i < sizeof paper / sizeof *paper; i++) {
		const json_t *l = json_array_get(layers, i);
		assert_string_equal(json_string_value(json_object_get(l, "name")), paper[i].name);
		assert_int_equal(number(l, "neurons"), paper[i].neurons);
		assert_int_equal(number(l, "parameters"), paper[i].parameters);
		assert_int_equal(number(l, "connections"), paper[i].connections);
		assert_int_equal(number(l, "activation_bytes"), 4 * paper[i].neurons);
	}
	assert_int_equal(number(j, "parameters"), 60000);
	json_decref(j);
}

static void modern_lenet_has_61706_parameters(void **state)
{
	Fixture *f = *state;
	add_define(f, "variant=modern");
	Model *m = load_good(f, "networks/lenet.lua");
	assert_int_equal(m->weights, 61706);
	assert_string_equal(m->option.at[0].value, "modern");
	assert_true(m->option.at[0].given);
	json_t *j = summary(f, m);
	assert_int_equal(number(j, "parameters"), 61706);
	assert_int_equal(number(j, "macs"), 416520); /* 117,600 + 240,000 + 48,000 + 10,080 + 840 */
	json_decref(j);
}

static void the_summary_is_in_order_and_follows_the_sizes(void **state)
{
	static const char *const keys[] = {
	    "name", "op", "output", "neurons", "parameters", "connections", "macs", "activation_bytes"};
	Fixture *f = *state;
	json_t *four = summary(f, load_good(f, "tests/networks/toy.lua"));
	const json_t *layers = json_object_get(four, "layers");
	const char *key;
	json_t *value;
	int k = 0;
	json_object_foreach(json_array_get(layers, 0), key, value) assert_string_equal(key, keys[k++]);
	assert_int_equal(k, 8);
	int64_t shared = 0, rows = 0;
	for (size_t i = 0; i < json_array_size(layers); i++) {
		const json_t *l = json_array_get(layers, i);
		const char *name = json_string_value(json_object_get(l, "name"));
		lacks(name, "relu");
		if (strncmp(name, "tower.conv", 10) != 0) continue;
		shared += number(l, "parameters");
		rows++;
	}
	assert_int_equal(rows, 2);
	assert_int_equal(shared, 5 * 2 * 9 + 5); /* once */
	assert_int_equal(number(four, "parameters"), 2801);
	json_decref(four);
	renew(f);
	add_define(f, "classes=7");
	json_t *seven = summary(f, load_good(f, "tests/networks/toy.lua"));
	assert_int_equal(number(seven, "parameters"), 2801 + 3 * (16 + 1) + 3 * (60 + 1));
	json_decref(seven);
}

static void the_summary_is_a_table_too(void **state)
{
	Fixture *f = *state;
	Program p = {.model = load_good(f, "networks/lenet.lua"), .options = &f->options};
	Text text;
	text_init(&text, f->arena);
	summary_print(&p, false, &text);
	contains(text.data, "LeNet-5");
	contains(text.data, "122,304");
	contains(text.data, "60,000");
	contains(text.data, "work, training");
}

static const State *state_named(const Model *m, const char *name)
{
	for (int i = 0; i < m->state.n; i++)
		if (!strcmp(m->state.at[i]->name, name)) return m->state.at[i];
	fail_msg("no state %s", name);
	return NULL;
}

static void states_have_the_names_of_their_paths(void **state)
{
	static const char *const names[] = {"stem.weight", "norm.weight", "norm.bias",
	    "norm.running_mean", "norm.running_var", "tower.conv.weight", "tower.conv.bias",
	    "side.weight", "side.bias", "block.conv1.weight", "block.bn1.weight", "block.bn1.bias",
	    "block.bn1.running_mean", "block.bn1.running_var", "fc.weight", "fc.bias", "aux.weight",
	    "aux.bias"};
	Fixture *f = *state;
	Model *m = load_good(f, "tests/networks/toy.lua");
	assert_int_equal(m->state.n, COUNT(names));
	for (int i = 0; i < COUNT(names); i++) assert_string_equal(m->state.at[i]->name, names[i]);
	assert_int_equal(m->weights, 2801);
	assert_int_equal(m->buffers, 36);
	assert_int_equal(m->vars, 2837);
	assert_int_equal(state_named(m, "norm.running_mean")->kind, STATE_BUFFER);
	assert_int_equal(state_named(m, "norm.running_mean")->offset, 2801);
	assert_string_equal(m->name, "toy");
	contains(m->title, "A toy with what breaks designs");
}

static void the_loss_is_taken_apart(void **state)
{
	Fixture *f = *state;
	Model *m = load_good(f, "tests/networks/toy.lua");
	assert_int_equal(m->loss.n, 2);
	assert_string_equal(m->loss.at[0].name, "cross_entropy");
	assert_string_equal(m->loss.at[1].name, "auxiliary");
	assert_true(m->loss.at[0].weight == 1 && m->loss.at[1].weight == 0.3);
	assert_string_equal(m->optimizer.kind, "sgd");
	assert_true(m->optimizer.hyper[1].value == 0.9 && m->optimizer.hyper[2].value == 1e-4);
	renew(f);
	m = load_text(f,
	    "local x, c = input('x', 3), class('c', 3)\n"
	    "local a, b = x:dense(param.a, 3):cross_entropy(c), x:dense(param.b, 3):cross_entropy(c)\n"
	    "local total = (a * 2 + 0.5 * b - a / 2) / 2\n"
	    "return network{output = {y = x:relu()}, loss = total + (a * a) - -b}\n");
	assert_int_equal(m->loss.n, 3);
	assert_string_equal(m->loss.at[0].name, "cross_entropy");
	assert_string_equal(m->loss.at[1].name, "cross_entropy_2");
	assert_true(
	    m->loss.at[0].weight == 0.75 && m->loss.at[1].weight == 1.25 && m->loss.at[2].weight == 1);
	assert_int_equal(m->loss.at[2].value->shape.rank, 0);
}

static void inputs_and_outputs_keep_their_order(void **state)
{
	Fixture *f = *state;
	Model *m =
	    load_text(f, "local z, a, l = image('z', 1, 4, 4), input('a', 5), class('l', 3)\n"
	                 "local first = z:relu()\n"
	                 "local second = a:dense(param.fc, 3)\n"
	                 "return network{output = {alpha = second, omega = first}, name = 'pair',\n"
	                 "  loss = second:cross_entropy(l)}\n");
	assert_int_equal(m->input.n, 3);
	for (int i = 0; i < 3; i++) assert_int_equal(m->input.at[i]->slot, i);
	assert_string_equal(m->input.at[1]->name, "a");
	assert_int_equal(m->input.at[2]->classes, 3);
	assert_string_equal(m->output.at[0].name, "omega");
	assert_string_equal(m->output.at[1].name, "alpha");
	assert_string_equal(m->name, "pair");
	assert_null(m->optimizer.kind);
	renew(f);
	m = load_text(f, "local z = image('z', 1, 4, 4)\nlocal a, b = z:relu(), z:relu()\n"
	                 "return network{output = {{'second', b}, {'first', a}}}\n");
	assert_string_equal(m->output.at[0].name, "second");
	assert_string_equal(m->name, "net");
}

static void freezing_is_by_path_and_by_pattern(void **state)
{
	Fixture *f = *state;
	add_freeze(f, "block.*");
	add_freeze(f, "*.bias");
	Model *m = load_good(f, "tests/networks/toy.lua");
	assert_true(state_named(m, "block.bn1.running_mean")->frozen);
	assert_true(state_named(m, "fc.bias")->frozen);
	assert_false(state_named(m, "fc.weight")->frozen);
	renew(f);
	m = load_text(f,
	    "local x = input('x', 4)\nfreeze(param.a[0])\n"
	    "local y = x:dense(param.a[0], 4):dense(param.a[01], 4):dense(param.a['02'], 4)\n"
	    "return network{output = {y = y}}\n");
	assert_true(state_named(m, "a.0.weight")->frozen);
	assert_false(state_named(m, "a.1.weight")->frozen);
	assert_false(state_named(m, "a.02.weight")->frozen);
}

static void initial_values_can_be_said(void **state)
{
	Fixture *f = *state;
	Model *m = load_text(f,
	    "init(param.a, 'lecun')\nlocal x = input('x', 6)\n"
	    "local y = x:dense(param.a, 4):dense(param.b, 4):dense(param.c, 4, {init = 'he'})\n"
	    "init(param.b.weight, {normal = 0.5}) init(param.b.bias, {constant = -1})\n"
	    "return network{output = {y = y}}\n");
	const State *a = state_named(m, "a.weight"), *b = state_named(m, "b.weight");
	assert_true(a->init.kind == INIT_UNIFORM && a->init.value > 0.399 && a->init.value < 0.401);
	assert_true(b->init.kind == INIT_NORMAL && b->init.value == 0.5);
	assert_true(state_named(m, "b.bias")->init.kind == INIT_CONSTANT);
	assert_true(state_named(m, "b.bias")->init.value == -1);
}

static void what_nothing_reaches_is_left_out(void **state)
{
	Fixture *f = *state;
	Model *m = load_text(f,
	    "local x = input('x', 4)\nlocal y = x:dense(param.a, 4)\n"
	    "local z = x:dense(param.unused, 4):relu()\nreturn network{output = {y = y}}\n");
	assert_int_equal(m->state.n, 2);
	contains(f->messages.data,
	    ":3: warning: unused reaches no output and no loss; its weights are left out");
	for (int i = 0; i < m->graph->node.n; i++)
		assert_true(
		    !m->graph->node.at[i]->layer || strcmp(m->graph->node.at[i]->layer, "unused") != 0);
}

static void files_are_included(void **state)
{
	Fixture *f = *state;
	assert_int_equal(mkdir(arena_printf(f->arena, "%s/parts", f->folder), 0700), 0);
	write_file(f, "parts/block.lua",
	    "\xef\xbb\xbfruns = (rawget(_G, 'runs') or 0) + 1\n"
	    "return function(x) return x:relu() end, 'two', nil, 4\n");
	assert_int_equal(
	    symlink("block.lua", arena_printf(f->arena, "%s/parts/same.lua", f->folder)), 0);
	Model *m = load_text(f,
	    "#!/usr/bin/env cnnc\n-- A title */ of /* sorts\\\n"
	    "local block, two, none, four = include 'parts/block.lua'\n"
	    "local again = include 'parts/./same.lua'\n"
	    "assert(block == again and two == 'two' and none == nil and four == 4 and runs == 1)\n"
	    "return network{output = {y = block(input('x', 4))}}\n");
	assert_int_equal(m->file_read.n, 2);
	assert_string_equal(m->file_read.at[0], f->options.file);
	assert_string_equal(
	    m->file_read.at[1], arena_printf(f->arena, "%s/parts/block.lua", f->folder));
	assert_string_equal(m->title, "A title    of    sorts");
}

/* --- the sandbox ------------------------------------------------------------------------------ */

/* Loads a file that declares an option whose default is an expression, and returns its text. */
static const char *evaluate(Fixture *f, const char *expression)
{
	renew(f);
	Model *m = load_text(
	    f, arena_printf(f->arena,
	           "option{'it', tostring(%s)}\nreturn network{output = {y = input('x', 4):relu()}}\n",
	           expression));
	return m->option.at[0].value;
}

static void the_same_file_gives_the_same_answers(void **state)
{
	static const struct {
		const char *expression, *answer;
	} cases[] = {
	    {"{}", "table"},
	    {"print", "function"},
	    {"string.format('%s %s', {}, print)", "table function"},
	    {"param.a[0].b", "param.a.0.b"},
	    {"image('p', 3, 4, 5)", "tensor 1x3x4x5"},
	    {"(function() local s = '' for k, v in pairs{b = 1, a = 2, [2] = 3, 'x', [1.5] = 4, [true] "
	     "= 5, "
	     "[-1] = 6, B = 7} do s = s .. tostring(k) .. '=' .. tostring(v) .. ' ' end return s "
	     "end)()",
	        "-1=6 1=x 1.5=4 2=3 B=7 a=2 b=1 true=5 "},
	    {"(function() local t, n = {a = 1, b = 2, c = 3}, 0 for k in pairs(t) do t.b = nil n = n + "
	     "1 end "
	     "return n end)()",
	        "2"},
	    {"getmetatable('')", "false"},
	    {"('x'):rep(3, '-')", "x-x-x"},
	    {"('a.b.c'):gsub('%.', '_')", "a_b_c"},
	    {"string.dump or string.pack or string.unpack", "nil"},
	    {"table.concat({1, 2, 3}, ',')", "1,2,3"},
	    {"select('#', table.unpack({1, 2, nil, 4}, 1, 4))", "4"},
	    {"image('q', 3, 4, 5).shape[3]", "5"},
	    {"input('r', 3, 4, 5).features * class('k', 7).classes", "420"},
	};
	for (int i = 0; i < COUNT(cases); i++) {
		Fixture *f = *state;
		renew(f);
		const char *text =
		    arena_printf(f->arena, "print('[' .. tostring((%s)) .. ']')\n", cases[i].expression);
		load(f, write_file(f, "net.lua", text));
		contains(f->messages.data, arena_printf(f->arena, "[%s]", cases[i].answer));
	}
}

static void random_numbers_are_the_same_each_time(void **state)
{
	Fixture *f = *state;
	char first[64];
	snprintf(first, sizeof first, "%s", evaluate(f, "math.random(1 << 50)"));
	assert_string_equal(evaluate(f, "math.random(1 << 50)"), first);
	assert_string_equal(
	    evaluate(
	        f, "(function() math.random() math.randomseed() return math.random(1 << 50) end)()"),
	    first);
	assert_string_not_equal(
	    evaluate(f, "(function() math.randomseed(7) return math.random(1 << 50) end)()"), first);
}

static void print_is_a_note(void **state)
{
	Fixture *f = *state;
	load_text(f,
	    "local x = input('x', 4)\nprint(x, 'is', {}, 1.5)\nfor i = 1, 1000 do print(i) end\n"
	    "return network{output = {y = x:relu()}}\n");
	contains(f->messages.data, ":2: note: tensor 1x4\tis\ttable\t1.5");
	lacks(f->messages.data, "note: 500");
}

/* Whatever the arena's limit: a jump to the guard or a result, and nothing lost (the sanitizer
 * looks). */
static void running_out_of_memory_leaks_nothing(void **state)
{
	(void)state;
	static const char *const files[] = {
	    "tests/networks/toy.lua", "tests/error/types-and-ranges.lua"};
	volatile int jumped = 0, finished = 0;
	for (volatile size_t limit = 2000; limit < 400000; limit += limit / 16 + 97) {
		jmp_buf out;
		Arena *a = arena_new(limit);
		arena_guard(a, &out);
		if (setjmp(out)) {
			jumped++;
		} else {
			Diag d;
			diag_init(&d, a);
			Options o = {.file = files[limit % 2]};
			frontend_load(a, &d, &o);
			finished++;
		}
		arena_free(a);
	}
	assert_true(jumped > 5);
	assert_true(finished > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(mistakes_are_told_with_their_lines),
	    TEST(twenty_mistakes_end_the_run),
	    TEST(a_missing_file_is_said),
	    TEST(a_prefix_must_be_a_name),
	    TEST(links_may_not_lead_outside),
	    TEST(lenet_has_the_figures_of_its_paper),
	    TEST(modern_lenet_has_61706_parameters),
	    TEST(the_summary_is_in_order_and_follows_the_sizes),
	    TEST(the_summary_is_a_table_too),
	    TEST(states_have_the_names_of_their_paths),
	    TEST(the_loss_is_taken_apart),
	    TEST(inputs_and_outputs_keep_their_order),
	    TEST(freezing_is_by_path_and_by_pattern),
	    TEST(initial_values_can_be_said),
	    TEST(what_nothing_reaches_is_left_out),
	    TEST(files_are_included),
	    TEST(the_same_file_gives_the_same_answers),
	    TEST(random_numbers_are_the_same_each_time),
	    TEST(print_is_a_note),
	    TEST(running_out_of_memory_leaks_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
