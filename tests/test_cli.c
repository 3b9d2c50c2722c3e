/* The command line as users meet it: options, messages, statuses, and what is written where. */
#define _XOPEN_SOURCE 700
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

static const char network[] =
    "-- A small classifier.\n"
    "local hidden = option{'hidden', 4, min = 1}\n"
    "local x, label = image('x', 1, 4, 4), class('label', 3)\n"
    "local y = x:flatten():dense(param.fc1, hidden):relu():dense(param.fc2, 3)\n"
    "return network{output = {scores = y}, loss = y:cross_entropy(label), optimizer = sgd{momentum "
    "= 0.9}}\n";

static int setup(void **state)
{
	if (spawn_setup(state) != 0) return -1;
	spawn_write(*state, "net.lua", network);
	return 0;
}

static void help_and_version_go_to_the_output(void **state)
{
	Spawn *s = *state;
	static const char *const option[] = {"-o", "-D", "-b", "--inference", "--real", "--target",
	    "--prefix", "--freeze", "--expose", "--recompute", "--winograd", "--decisions", "--tune",
	    "--dump", "--summary", "--profile", "--if-changed", "-MD", "-MP", "-MF", "-MT", "-i", "-e",
	    "--run", "--help", "--version"};
	expect(s, 0, "cnnc --help");
	for (size_t i = 0; i < sizeof option / sizeof *option; i++) contains(s->out, option[i]);
	assert_string_equal(s->err, "");
	expect(s, 0, "cnnc --version");
	assert_memory_equal(s->out, "cnnc ", 5);
	expect(s, 1, "cnnc --help >/dev/full");
	contains(s->err, "No space");
}

static void wrong_options_are_all_named(void **state)
{
	Spawn *s = *state;
	expect(s, 2,
	    "cnnc --taget=avx2 -b 0 -D hidden --inference=yes --real=half -o out.txt -MP net.lua "
	    "two.lua");
	contains(s->err, "unknown option '--taget=avx2'; did you mean '--target'?");
	contains(s->err, "-b 0: a batch size is 1 to");
	contains(s->err, "-D wants name=value, not 'hidden'");
	contains(s->err, "--inference takes no value");
	contains(s->err, "--real knows float, double, not 'half'");
	contains(s->err, "-o out.txt: the name must end in .c");
	contains(s->err, "-MP wants -MD");
	contains(s->err, "more than one network: two.lua");
	assert_string_equal(s->out, "");
	assert_false(spawn_exists(s, "net.c"));
}

static void each_wrong_command_line_is_a_usage_error(void **state)
{
	Spawn *s = *state;
	static const char *const line[] = {"-o", "-o net.c", "--dump=grpah net.lua",
	    "--target avx3 net.lua", "-b '' net.lua", "-b 1, net.lua", "-b 1,,2 net.lua",
	    "-b infer= net.lua", "-b -3 net.lua", "-b 99999999999999999999 net.lua",
	    "-b 1,2,3,4,5,6,7,8,9 net.lua", "-b train=2 --inference net.lua", "--prefix 9x net.lua",
	    "--prefix '' net.lua", "--summary=xml net.lua", "-x net.lua", "--run", "-e",
	    "-MT x net.lua", "--recompute=0 net.lua", "--recompute=12Q net.lua",
	    "--recompute=1MM net.lua", "--recompute=99999999999G net.lua", "--recompute= net.lua",
	    "--recompute=al net.lua", "--recompute --inference net.lua",
	    "--recompute=none --inference net.lua", "net.lua -e 'x = 1'", "--", "-D =3 net.lua"};
	for (size_t i = 0; i < sizeof line / sizeof *line; i++) {
		expect(s, 2, "cnnc %s", line[i]);
		contains(s->err, "cnnc: error: ");
		contains(s->err, "Try 'cnnc --help'.");
	}
	expect(s, 2, "cnnc --dump=grpah net.lua");
	contains(s->err, "did you mean 'graph'?");
}

static void a_network_becomes_two_files_here(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "mkdir sub && mv net.lua sub && cnnc sub/net.lua");
	assert_string_equal(s->out, "");
	assert_string_equal(s->err, "");
	contains(spawn_read(s, "net.c"), "#include \"net.h\"");
	contains(spawn_read(s, "net.h"), "net_infer_b1");
	expect(s, 0, "cc -std=c11 -Wall -Wextra -Werror -c net.c");
	expect(s, 0, "cnnc sub/net.lua -o sub/other.c --prefix lib_net && ls sub");
	contains(s->out, "other.c");
	contains(s->out, "other.h");
	contains(spawn_read(s, "sub/other.c"), "#include \"other.h\"");
	contains(spawn_read(s, "sub/other.h"), "lib_net_infer_b1");
}

static void spellings_of_an_option_mean_the_same(void **state)
{
	Spawn *s = *state;
	expect(s, 0,
	    "cnnc net.lua -o a.c --prefix n -Dhidden=7 --real=double -b2 -b infer=3 && mv a.c 1.c");
	expect(s, 0,
	    "cnnc --prefix=n --real double -b 2 -binfer=3 -D hidden=7 -oa.c -- net.lua && mv a.c 2.c");
	expect(s, 0, "cmp 1.c 2.c");
	expect(s, 0,
	    "cp net.lua ./-odd.lua && cnnc -o - --prefix n -- -odd.lua | cc -std=c11 -xc -c - -o "
	    "odd.o");
	expect(s, 0, "cnnc -o a.c --prefix n net.lua && ! cmp -s a.c 1.c");
}

static void batches_and_inference_choose_the_entries(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "cnnc net.lua -b infer=1,16 -b train=8");
	const char *h = spawn_read(s, "net.h");
	contains(h, "net_infer_b1(");
	contains(h, "net_infer_b16(");
	contains(h, "net_gradients_b8(");
	contains(h, "net_step_b8(");
	assert_null(strstr(h, "net_step_b1("));
	expect(s, 0, "cnnc net.lua --inference");
	h = spawn_read(s, "net.h");
	contains(h, "net_infer_b1(");
	assert_null(strstr(h, "_gradients"));
	assert_null(strstr(h, "_step"));
}

/* Nothing is kept for a training that there is not. */
static void inference_has_no_slots(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "main.c",
	    "#include \"net.h\"\nstatic float vars[NET_VARS];\nint main(void)\n{\n"
	    "\tnet_init(vars, NULL, 1);\n\treturn NET_SLOTS != 0 || vars[0] == 0;\n}\n");
	expect(
	    s, 0, "cnnc net.lua --inference --target=generic && cc -std=c11 main.c net.c -lm -o main");
	expect(s, 0, "./main && cnnc net.lua --inference --summary");
	contains(s->out, "slots");
	assert_null(strstr(spawn_read(s, "net.c"), "momentum_buffer"));
}

static void a_faulty_network_leaves_the_files_alone(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "cnnc net.lua && cp net.c old.c && cp net.h old.h");
	spawn_write(s, "net.lua",
	    "local x = image('x', 1, 4, 4)\nreturn network{output = {y = x:nonsense()}}\n");
	expect(s, 1, "cnnc net.lua");
	contains(s->err, "net.lua:2: error: ");
	expect(s, 0, "cmp net.c old.c && cmp net.h old.h");
	expect(s, 1, "cnnc net.lua -o new.c");
	assert_false(spawn_exists(s, "new.c"));
	assert_false(spawn_exists(s, "new.h"));
	expect(s, 1, "cnnc missing.lua");
	contains(s->err, "missing.lua");
	expect(s, 1, "cnnc -D hiden=3 net.lua");
	spawn_write(s, "net.lua", network);
	expect(s, 1, "cnnc -D hiden=3 net.lua");
	contains(s->err, "hidden");
}

static void a_full_disk_leaves_the_files_alone(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "cnnc net.lua && cp net.c old.c && cp net.h old.h");
	/* One block a file: the .c does not fit. */
	expect(s, 1, "(ulimit -f 1; cnnc -b 2 net.lua)");
	contains(s->err, "cannot write net.");
	expect(s, 0, "cmp net.c old.c && cmp net.h old.h && ls -A | wc -l");
	assert_int_equal(atoi(s->out), 8); /* . . net.lua, two old, two new, .bin, .out, .err */
	expect(s, 0, "ln -s /dev/full full.c");
	expect(s, 1, "cnnc net.lua -o full.c");
	contains(s->err, "No space");
	assert_false(spawn_exists(s, "full.h"));
	expect(s, 1, "cnnc net.lua -o no/such/folder.c");
	contains(s->err, "no/such/folder");
	expect(s, 1, "cnnc net.lua -o - >/dev/full");
}

static void a_depfile_survives_odd_names(void **state)
{
	Spawn *s = *state;
	expect(s, 0,
	    "mkdir 'a b' && mv net.lua 'a b/n#e$t.lua' && cnnc 'a b/n#e$t.lua' -o 'o $#.c' -MD "
	    "--prefix n");
	assert_string_equal(spawn_read(s, "o $#.d"), "o\\ $$\\#.c: a\\ b/n\\#e$$t.lua\n");
	/* And make reads it back: the output is up to date until the network is touched. */
	spawn_write(s, "Makefile", "include deps.d\no\\ $$\\#.c:\n\t@false\n");
	expect(s, 0, "cp 'o $#.d' deps.d && make -q 'o $#.c'");
	expect(s, 1, "touch -d '1 hour' 'a b/n#e$t.lua' && make -q 'o $#.c'");
	expect(s, 0, "cnnc 'a b/n#e$t.lua' -o x.c -MF y.d -MT '$(OUT)' -MP");
	assert_memory_equal(spawn_read(s, "y.d"), "$(OUT): a\\ b/", 13);
}

static void included_files_enter_the_depfile(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "part.lua", "return 3\n");
	spawn_write(s, "net.lua",
	    "local n = include 'part.lua'\nlocal x = image('x', 1, 4, 4)\n"
	    "return network{output = {y = x:flatten():dense(param.fc, n)}}\n");
	expect(s, 0, "cnnc net.lua -MD -MP");
	contains(spawn_read(s, "net.d"), "net.c: net.lua \\\n  part.lua\n\npart.lua:\n");
}

static void if_changed_keeps_the_time(void **state)
{
	Spawn *s = *state;
	expect(s, 0,
	    "cnnc net.lua && touch -d 2001-01-01 net.c net.h && cnnc net.lua --if-changed && "
	    "find . -name 'net.[ch]' -not -newermt 2002-01-01 | wc -l");
	assert_int_equal(atoi(s->out), 2);
	expect(s, 0,
	    "cnnc net.lua --if-changed -D hidden=5 && find . -name 'net.[ch]' -newermt 2002-01-01 | wc "
	    "-l");
	assert_int_equal(atoi(s->out), 2);
	expect(s, 0,
	    "touch -d 2001-01-01 net.c && cnnc net.lua -D hidden=5 && find net.c -newermt 2002-01-01");
	contains(s->out, "net.c");
}

static void the_same_network_gives_the_same_bytes_anywhere(void **state)
{
	Spawn *s = *state;
	expect(s, 0,
	    "mkdir -p x/y && cp net.lua x/y && cnnc net.lua && cd x/y && cnnc net.lua && cmp net.c "
	    "../../net.c && cmp net.h ../../net.h");
}

static void a_summary_is_printed_and_nothing_written(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "cnnc net.lua --summary");
	contains(s->out, "fc1");
	contains(s->out, "dense");
	contains(s->out, "83"); /* 16*4+4 + 4*3+3 parameters */
	contains(s->out, " bytes of work, 1.0000 of the ");
	assert_false(spawn_exists(s, "net.c"));
	expect(s, 0, "cnnc net.lua --summary=json");
	json_error_t e;
	json_t *j = json_loads(s->out, 0, &e);
	if (!j) fail_msg("line %d: %s\n%s", e.line, e.text, s->out);
	assert_int_equal(
	    json_integer_value(json_object_get(json_object_get(j, "total"), "parameters")), 83);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "total"), "macs")), 76);
	assert_int_equal(json_integer_value(json_object_get(j, "weights")), 83);
	json_t *entries = json_object_get(j, "entries");
	assert_true(json_array_size(entries) >= 3);
	for (size_t i = 0; i < json_array_size(entries); i++)
		assert_true(
		    json_real_value(json_object_get(json_array_get(entries, i), "work_ratio")) == 1);
	json_decref(j);
}

static void every_stage_can_be_dumped(void **state)
{
	Spawn *s = *state;
	static const char *const stage[] = {
	    "model", "graph", "passes", "nests", "fused", "layouts", "trees", "plan", "decisions"};
	for (size_t i = 0; i < sizeof stage / sizeof *stage; i++) {
		expect(s, 0, "cnnc net.lua --dump=%s", stage[i]);
		if (strlen(s->out) < 20) fail_msg("--dump=%s says '%s'", stage[i], s->out);
	}
	/* Decisions go out, come back, and lead to the same program. */
	expect(s, 0,
	    "cnnc net.lua --dump=decisions >d.txt && cnnc net.lua && cp net.c one.c && "
	    "cnnc net.lua --decisions d.txt && cmp net.c one.c");
	spawn_write(s, "d.txt", "# fine\nnot a decision\n");
	expect(s, 1, "cnnc net.lua --decisions d.txt");
	contains(s->err, "d.txt:2: error: ");
}

/* Prefetches reach beyond arrays, where no pointer may: they are asked for by numbers. */
static void large_weights_are_asked_for_ahead(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua",
	    "return network{output = {y = image('x', 512, 1, 1):flatten():dense(param.fc, 640)}}\n");
	expect(s, 0, "cnnc net.lua && grep 'CNNC_PREFETCH(w, ' net.c | wc -l");
	assert_true(atoi(s->out) > 0);
	assert_null(strstr(spawn_read(s, "net.c"), "CNNC_PREFETCH(&"));
	expect(s, 0, "cc -std=c11 -Wall -Wextra -Wconversion -Wsign-conversion -Werror -c net.c");
}

/* A sum over images asks for both operands' next chunk, a convolution for pixels, once a line, and
 * for what its sums are stored with. */
static void large_images_are_asked_for_ahead(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua",
	    "local x, label = image('x', 64, 56, 56), class('label', 64)\n"
	    "local y = x:conv(param.a, 64, {kernel = 1}):relu()\n"
	    "local z = y:conv(param.b, 64, {kernel = 1}):relu():global_avg_pool():flatten()\n"
	    "return network{output = {z = z}, loss = z:cross_entropy(label), "
	    "optimizer = sgd{momentum = 0.9}}\n");
	expect(s, 0, "cnnc net.lua -b 4 --target=avx2 && grep 'CNNC_PREFETCH_FAR(x, ' net.c | wc -l");
	assert_true(atoi(s->out) > 0);
	expect(s, 0, "grep 'CNNC_PREFETCH_FAR(dy, ' net.c | wc -l");
	assert_true(atoi(s->out) > 0);
	expect(s, 0, "grep 'CNNC_PREFETCH(x, ' net.c | wc -l");
	assert_true(atoi(s->out) > 0);
	expect(s, 0, "grep -A4 'CNNC_TILE.* conv_dx_tile' net.c | grep 'CNNC_PREFETCH(y, ' | wc -l");
	assert_true(atoi(s->out) > 0); /* the ReLU's mask */
	expect(s, 0, "cc -std=c11 -Wall -Wextra -Wconversion -Wsign-conversion -Werror -c net.c");
}

/* What a compiler puts into the one function that calls it must not alarm it: one output, whose
 * check for infinities is expanded with the number of its elements. */
static void one_output_compiles_without_a_word(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua",
	    "local o = option{'o', 8, min = 1}\n"
	    "return network{output = {y = input('x', 10):dense(param.fc, o)}}\n");
	for (int o = 1; o <= 20; o++) {
		expect(s, 0, "cnnc --inference net.lua -b %d -D o=%d", o % 2 * 15 + 1, o);
		expect(s, 0, "cc -std=c11 -O2 -Wall -Wextra -Wconversion -Werror -c net.c");
	}
}

/* A network that cannot learn from one image says how to go on. */
static void training_on_too_few_says_what_to_do(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua",
	    "local x, label = image('x', 1, 4, 4), class('label', 3)\n"
	    "local y = x:global_avg_pool():batch_norm(param.bn):flatten():dense(param.fc, 3)\n"
	    "return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{}}\n");
	expect(s, 1, "cnnc net.lua -b infer=1");
	contains(s->err,
	    "net.lua:2: error: bn: input is 1x1x1x1: batch norm in training needs more than "
	    "one number");
	contains(s->err,
	    "note: training is compiled for batch 1, since -b names no other; -b train=2 gives "
	    "a larger one, --inference none\n");
	expect(s, 1, "cnnc net.lua -b 1");
	contains(s->err, "note: training is compiled for batch 1; -b train=2 ");
	expect(s, 0, "cnnc net.lua -b infer=1 -b train=2 && cnnc net.lua --inference");
}

/* Steps that take turns can be decided, too, but not what their turns are. */
static void decisions_keep_turns(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "wide.lua",
	    "local x = image('x', 16, 24, 32)\n"
	    "return network{output = {y = x:conv(param.a, 16, {kernel = 3, pad = 1})}}\n");
	expect(s, 0, "cnnc wide.lua -o a.c --dump=decisions >given && grep -c '^wino/' given");
	expect(s, 0,
	    "cnnc wide.lua --decisions given -o b.c && sed 's/a[.]h/b.h/' a.c | cmp - b.c && "
	    "sed '/^wino.avx2/s/ t 6/ t 5/' given >d && cnnc wide.lua --decisions d -o b.c");
	assert_string_equal(s->err, "");
	expect(s, 1,
	    "sed '/^wino.avx2/s/par task 1/par e 1/; /^wino.avx2/s/| e 1 /| task 1 /' given >d "
	    "&& rm b.c && cnnc wide.lua --decisions d -o b.c");
	contains(s->err, "par task 1: missing, as steps take turns");
	assert_false(spawn_exists(s, "b.c"));
	expect(s, 2, "cnnc wide.lua --winograd maybe");
	contains(s->err, "--winograd knows all, inference, none, not 'maybe'");
	expect(s, 0, "cnnc wide.lua --winograd none -o b.c && ! grep wino_ b.c");
}

/* What a record asks for is done or said; nothing is passed over in silence. */
static void bad_decisions_are_told_with_their_line(void **state)
{
	Spawn *s = *state;
	static const struct {
		const char *edit; /* of the line "copy/generic a64 @........ = a 1" */
		const char *says, *says_too;
	} wrong[] = {
	    {"s/= .*/= q 3/", "d:9: error: copy/generic a64 @", ": nest copy has no dim 'q'\n"},
	    {"s/= .*/= a x/", "d:9: error: copy/generic a64 @", ": 'x' is not a positive number\n"},
	    {"s/= .*/= a 3 | b/", "d:9: error: copy/generic a64 @", ""},
	    {"s/= .*/= b | par a/", "d:9: error: copy/generic a64 @", ""},
	    {"s/= .*/=/", "d:9: error: copy/generic a64 @", ""},
	    {"s/generic/genric/", "d:9: error: 'copy/genric a64 @", "' is no key: "},
	    {"s/@./@/", "d:9: error: 'copy/generic a64 @", "' is no key: "},
	    {"p", "d:10: error: copy/generic a64 @", " was decided in line 9\n"},
	    {"s/copy/copied/", "d:9: warning: copied/generic a64 @", ": no nest has this key\n"},
	    {"s/a64/a65/", "d:9: warning: copy/generic a65 @", ": no nest has this key\n"},
	    {"s/generic/avx2/", "", ""},
	};
	expect(s, 0, "cnnc net.lua --target=generic --dump=decisions >given");
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		bool bad = strstr(wrong[i].says, "error") != NULL;
		expect(s, bad ? 1 : 0,
		    "sed '9%s' given >d; rm -f net.c; cnnc net.lua --target=generic --decisions d",
		    wrong[i].edit);
		contains(s->err, wrong[i].says);
		contains(s->err, wrong[i].says_too);
		assert_true(spawn_exists(s, "net.c") == !bad);
		assert_true(strlen(wrong[i].says) > 0 || !*s->err);
	}
	/* A record says what was done, not what was wished. */
	expect(s, 0,
	    "sed 9s/copy/copied/ given >d; cnnc net.lua --target=generic --decisions d "
	    "--dump=decisions | sort >done; sort given | cmp - done");
	expect(s, 0,
	    "sed '9s/= .*/= a 8 | a/' given >d; cnnc net.lua --target=generic --decisions d "
	    "--dump=decisions | grep -c '^copy/generic a64 @........ = a 8 | a$'");
	/* Nor do keys of other networks hide that two lines decide one nest. */
	expect(s, 1,
	    "for i in $(seq 30); do sed -n \"9s/a64/a$((i + 100))/p\" given; done >d; cat given >>d; "
	    "sed -n 9p given >>d; cnnc net.lua --target=generic --decisions d");
	contains(s->err, " was decided in line 39\n");
	contains(s->err, ": note: 10 more decisions were not used\n");
	/* Mistakes in several parts are told in one run. */
	expect(s, 1, "sed 's/= .*/= q 3/' given >d; cnnc net.lua --target=generic --decisions d");
	contains(s->err, "d:1: error: init/");
	contains(s->err, "d:9: error: copy/");
}

/* --- mistakes, disks and broken files ---------------------------------------------------- */

/* What is in the folder, of ours and of others. */
static void only_the_network_is_there(Spawn *s)
{
	expect(s, 0, "ls -A");
	assert_string_equal(s->out, ".bin\n.err\n.out\nnet.lua\n");
}

static void mistakes_are_told_with_their_line(void **state)
{
	Spawn *s = *state;
#define X "local x, label = image('x', 3, 8, 8), class('label', 3)\n"
	static const struct {
		const char *text, *says;
	} mistake[] = {
	    {X "return network{output = {y = x:conv(param.c1, 4, {kernel = 9})}}\n",
	        "net.lua:2: error: c1: input is 8x8 with 0x0 of padding, too small for "
	        "a kernel of 9x9\n"},
	    {X "local a = x:conv(param.c1, 4, {kernel = 3})\n"
	       "local b = x:conv(param.c2, 4, {kernel = 5})\nreturn network{output = {y = a + b}}\n",
	        "net.lua:4: error: add: 1x4x6x6 and 1x4x4x4 do not go together: axis 2 is 6 in one and "
	        "4 in the other\n"},
	    {X "local w = share(param.w)\nlocal a = x:conv(w, 4, {kernel = 3})\n"
	       "return network{output = {y = a:conv(w, 4, {kernel = 3})}}\n",
	        "net.lua:4: error: w: input has 4 channels, weight expects 3\n"},
	    {X "return network{output = {y = x:conv(param.c1, 4, {kernal = 3})}}\n",
	        "net.lua:2: error: c1: conv has no option 'kernal'; did you mean kernel?\n"},
	    {X "return network{output = {y = x:konv(param.c1, 4)}}\n", "net.lua:2: error: "},
	    {X "return network{output = {y = x:flatten():dense(param.d, 4000000000)}}\n",
	        "net.lua:2: error: d: out is 4000000000, must be at least 1 and at most "},
	    {"local x = image('x', 3, 2000, 2000)\n"
	     "return network{output = {y = x:flatten():dense(param.d, 1000000)}}\n",
	        "net.lua:2: error: d: the weight would be 1000000x12000000, too many elements\n"},
	    {X "\nwhile true do end\n", "net.lua:3: error: too many instructions"},
	    {X "local t = {}\nfor i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end\n",
	        "net.lua:3: error: not enough memory"},
	    {X "for i = 1, 1e6 do x = x:relu() end\nreturn network{output = {y = x}}\n",
	        "net.lua:2: error: a network of more than"},
	};
	for (size_t i = 0; i < sizeof mistake / sizeof *mistake; i++) {
		spawn_write(s, "net.lua", mistake[i].text);
		expect(s, 1, "timeout 100 cnnc net.lua -MD");
		assert_string_equal(s->out, "");
		if (strncmp(s->err, mistake[i].says, strlen(mistake[i].says)) != 0)
			fail_msg("expected: %s\nit says:  %s", mistake[i].says, s->err);
		assert_null(strstr(strchr(s->err, '\n'), "error: "));
		only_the_network_is_there(s);
	}
}

/* Strides that phases would cut into thousands of pieces: whatever the window, there is C, and not
 * much of it. */
static void large_windows_and_strides_stay_small(void **state)
{
	Spawn *s = *state;
	static const char *const layer[] = {"avg_pool{28}", "max_pool{28}", "max_pool{24}",
	    "max_pool{20}", "max_pool{16}", "max_pool{3, stride = 64}", "max_pool{3, stride = {64, 1}}",
	    "max_pool{30, stride = 24, pad = 2}", "max_pool{16, stride = 10, pad = 2}",
	    "avg_pool{9, stride = 8, pad = 1, count_pad = false}",
	    "conv(param.c1, 32, {kernel = 24, stride = 24})",
	    "conv(param.c1, 32, {kernel = 3, stride = 64})",
	    "conv(param.c1, 32, {kernel = 24, stride = 20, pad = 4})",
	    "conv(param.c1, 32, {kernel = 5, stride = 30, dilation = 7})"};
	for (size_t i = 0; i < sizeof layer / sizeof *layer; i++) {
		char text[1024];
		snprintf(text, sizeof text,
		    "local x, label = image('x', 1, 90, 90), class('label', 10)\n"
		    "local y = x:conv(param.c0, 16, {kernel = 1}):%s\n"
		    "y = y:flatten():dense(param.fc, 10)\n"
		    "return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{}}\n",
		    layer[i]);
		spawn_write(s, "net.lua", text);
		expect(s, 0, "cnnc net.lua");
		size_t bytes = strlen(spawn_read(s, "net.c"));
		if (bytes > 1500000) fail_msg("%s: %zu bytes", layer[i], bytes);
	}
}

/* Forty thousand pairs of maps, a third of them linked. */
static void a_large_link_table_is_a_table(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua",
	    "local x, label = image('x', 1, 5, 5), class('label', 10)\n"
	    "local links = {}\n"
	    "for o = 1, 200 do\n"
	    "  links[o] = {}\n"
	    "  for i = 0, 199 do if (o + i) % 3 == 0 then links[o][#links[o] + 1] = i end end\n"
	    "end\n"
	    "local y = x:conv(param.c0, 200, {kernel = 1}):conv(param.c1, 200, {kernel = 3, links = "
	    "links})\n"
	    "y = y:flatten():dense(param.fc, 10)\n"
	    "return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = sgd{}}\n");
	expect(s, 0, "cnnc net.lua");
	size_t bytes = strlen(spawn_read(s, "net.c"));
	if (bytes > 1000000) fail_msg("%zu bytes", bytes);
}

static void what_cannot_be_written_leaves_nothing(void **state)
{
	Spawn *s = *state;
	expect(s, 1, "cnnc net.lua -MF no/such/net.d");
	contains(s->err, "cnnc: error: cannot write no/such/net.d: No such file or directory\n");
	expect(s, 1, "cnnc net.lua -o net.lua/net.c");
	contains(s->err, "Not a directory\n");
	expect(s, 1, "mkdir net.c && cnnc net.lua; a=$?; rmdir net.c && exit $a");
	contains(s->err, "cnnc: error: cannot write net.c: Is a directory\n");
	static const char *const option[] = {"--dump=trees", "--dump=decisions", "--summary", "-o -"};
	for (size_t i = 0; i < sizeof option / sizeof *option; i++) {
		expect(s, 1, "cnnc net.lua %s >/dev/full", option[i]);
		contains(s->err, "No space left on device\n");
	}
	only_the_network_is_there(s);
}

static void broken_weights_and_labels_are_refused(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "cut.lua",
	    "local net = cnnc.load('net.lua')\nnet:save('whole')\n"
	    "local file = io.open('whole', 'rb') local all = file:read('a') file:close()\n"
	    "for _, n in ipairs{0, 7, 8, 50, #all // 2, #all - 1} do\n"
	    "  file = io.open('cut', 'wb') file:write(all:sub(1, n)) file:close()\n"
	    "  local before = tostring(net:get('fc1.weight'))\n"
	    "  local ok, why = pcall(net.load, net, 'cut')\n"
	    "  assert(not ok and why:find('cut: ', 1, true), why)\n"
	    "  assert(before == tostring(net:get('fc1.weight')))\nend\n");
	expect(s, 0, "cnnc --run cut.lua");
	static const struct {
		const char *code, *says;
	} mistake[] = {
	    {"net:load 'cut'", "cut: "},
	    {"net:save '/dev/full'", "/dev/full"},
	    {"net:save 'no/such/file'", "no/such/file: cannot write: No such file or directory"},
	    {"net:step(cnnc.zeros(1, 1, 4, 4), 3)",
	        "step: label 1 is 3.0, expected a whole number from 0 to 2"},
	    {"net:gradients(cnnc.zeros(1, 1, 4, 4), -1)",
	        "gradients: label 1 is -1.0, expected a whole number from 0 to 2"},
	    {"net:forward(cnnc.zeros(1, 1, 4, 5))", "x has shape 1x1x4x5, expected 1x1x4x4"},
	};
	for (size_t i = 0; i < sizeof mistake / sizeof *mistake; i++) {
		expect(s, 1, "cnnc -i net.lua -e \"%s\"", mistake[i].code);
		contains(s->err, mistake[i].says);
		assert_string_equal(s->out, "");
	}
	assert_false(spawn_exists(s, "no"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, spawn_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(help_and_version_go_to_the_output),
	    TEST(wrong_options_are_all_named),
	    TEST(each_wrong_command_line_is_a_usage_error),
	    TEST(a_network_becomes_two_files_here),
	    TEST(spellings_of_an_option_mean_the_same),
	    TEST(batches_and_inference_choose_the_entries),
	    TEST(inference_has_no_slots),
	    TEST(a_faulty_network_leaves_the_files_alone),
	    TEST(a_full_disk_leaves_the_files_alone),
	    TEST(a_depfile_survives_odd_names),
	    TEST(included_files_enter_the_depfile),
	    TEST(if_changed_keeps_the_time),
	    TEST(the_same_network_gives_the_same_bytes_anywhere),
	    TEST(a_summary_is_printed_and_nothing_written),
	    TEST(every_stage_can_be_dumped),
	    TEST(large_weights_are_asked_for_ahead),
	    TEST(large_images_are_asked_for_ahead),
	    TEST(one_output_compiles_without_a_word),
	    TEST(training_on_too_few_says_what_to_do),
	    TEST(decisions_keep_turns),
	    TEST(bad_decisions_are_told_with_their_line),
	    TEST(mistakes_are_told_with_their_line),
	    TEST(large_windows_and_strides_stay_small),
	    TEST(a_large_link_table_is_a_table),
	    TEST(what_cannot_be_written_leaves_nothing),
	    TEST(broken_weights_and_labels_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
