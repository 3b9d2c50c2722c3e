/* Names that users give: whatever an input, an output or a file is called, the C that comes out
 * compiles without a warning. */
#define _XOPEN_SOURCE 700
#include "machine.h"
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const struct {
	const char *program, *command;
} compilers[] = {
    {"gcc", "gcc -std=c11 -fsyntax-only"},
    {"gcc", "gcc -std=gnu17 -fopenmp -fsyntax-only"},
    {"g++", "g++ -x c++ -std=c++17 -fsyntax-only"},
    {"clang", "clang -std=c11 -fsyntax-only"},
    {"clang++", "clang++ -x c++ -std=c++17 -fsyntax-only"},
};

static void compile(Spawn *s, const char *files)
{
	for (size_t i = 0; i < sizeof compilers / sizeof *compilers; i++)
		if (have_program(compilers[i].program))
			expect(s, 0,
			    "for f in %s; do %s -Wall -Wextra -Wshadow -Wconversion -Werror -c \"$f\" -o f.o "
			    "|| "
			    "exit 1; done",
			    files, compilers[i].command);
}

/* --- arguments ----------------------------------------------------------------------------- */

/* Every word of an emitted text, of the macros that its compiler knows there, and of what comes to
 * mind, in networks of some inputs and outputs each. What the frontend refuses is left out. */
static const char name_all[] =
    "local known, words = {label = true}, {}\n"
    "local function add(word)\n"
    "  if known[word] or #word > 60 then return end\n"
    "  known[word] = true words[#words + 1] = word\n"
    "end\n"
    "for _, file in ipairs{'net.c', 'net.h', 'macros'} do\n"
    "  local text = io.open(file):read 'a'\n"
    "  for word in text:gmatch '%f[%w_][%a_][%w_]*' do add(word) end\n"
    "end\n"
    "for word in ([[one aligned update_all all_finite labels_fit NULL NAN INFINITY INT32_MAX main\n"
    "  f32x8 f32x8u i32x8 kernels_avx2 run pick kernels kernel job scratch linux unix errno y0 y1\n"
    "  signgam stdin I complex float_t max_align_t div_t memcpy exp tanh sqrtf index gamma j1 "
    "time\n"
    "  _ _X X x a b m p k key status rest hyper arg block i int8_t table_0 fc_weight]]):gmatch "
    "'%S+'\n"
    "  do add(word) end\n"
    "local refused = {}\n"
    "for word in io.open 'refused':read 'a':gmatch \"'(.-)'\" do refused[word] = true end\n"
    "local good = {}\n"
    "for _, word in ipairs(words) do\n"
    "  if not refused[word] and word:sub(1, 2) ~= '__' and word:sub(1, 5) ~= 'cnnc_' then\n"
    "    good[#good + 1] = word end\n"
    "end\n"
    "local each, half = 28, (#good + 1) // 2\n"
    "for from = 1, half, each do\n"
    "  local file = io.open(('n%03d.lua'):format(from // each), 'w')\n"
    "  file:write \"local label, output, y = class('label', 3), {}\\n\"\n"
    "  for k = from, math.min(from + each - 1, half) do\n"
    "    file:write(('y = image(%q, 1, 2, 2) output[%q] = y:relu()\\n'):format(good[k],\n"
    "      good[half + k] or 'last'))\n"
    "  end\n"
    "  file:write('y = y:flatten():dense(param.fc, 3)\\nreturn network{output = output,\\n',\n"
    "    '  loss = y:cross_entropy(label), optimizer = adam{}}\\n') file:close()\n"
    "end\n";

static void arguments_may_be_called_anything(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "net.lua",
	    "local x, label = image('x', 1, 8, 8), class('label', 3)\n"
	    "local y = x:conv(param.conv, 3, {kernel = 3}):tanh():max_pool{2}:flatten()\n"
	    "y = y:dense(param.fc, 3)\n"
	    "return network{output = {y = y:softmax()}, loss = y:cross_entropy(label),\n"
	    "  optimizer = adam{}}\n");
	spawn_write(s, "names.lua", name_all);
	expect(s, 0, "cnnc net.lua -b infer=2,4 -b train=2 && : >refused && : >macros");
	if (have_program("gcc"))
		expect(s, 0,
		    "gcc -std=gnu17 -fopenmp -dM -E net.c | sed 's/#define \\([^ (]*\\).*/\\1/' >macros");
	/* Once to hear what is refused, then in earnest. */
	expect(s, 0,
	    "cnnc --run names.lua && for f in n???.lua; do cnnc $f --target=generic; done "
	    ">refused 2>&1; rm -f n???.*; grep -v 'C text uses it' refused >other; "
	    "cnnc --run names.lua");
	compile(s, "net.c");
	expect(s, 0, "for f in n???.lua; do cnnc $f -b infer=2,4 -b train=2 || exit 1; done");
	compile(s, "n???.c");
}

/* --- files and titles ---------------------------------------------------------------------- */

static void files_and_titles_may_hold_anything(void **state)
{
	Spawn *s = *state;
	static const char *const name[] = {"a'b\"", "a\nb", "a\\b", "a b", "-- ?\?-x", "a?\?!b", "*",
	    "%s", "\xc3\xa4", "\xff", "\xe2\x80\xae x", "$(false)", "#"};
	static const char *const title[] = {"?\?/", "\\", "ends *\\", "a */ b /* c *?\?/", "\xff\xff/",
	    "\xe2\x80\xae x", "*\xff/", "\x01\x7f\t*\x02/"};
	enum { NAMES = sizeof name / sizeof *name, TITLES = sizeof title / sizeof *title };
	char text[400];
	for (size_t i = 0; i < NAMES + TITLES; i++) {
		snprintf(text, sizeof text,
		    "-- %s\nlocal x = image('x', 1, 2, 2)\n"
		    "return network{output = {y = x:flatten():dense(param.fc, 2)}}\n",
		    i < NAMES ? "A title" : title[i - NAMES]);
		spawn_write(s, "net.lua", text);
		spawn_write(s, "name", i < NAMES ? name[i] : "net");
		expect(s, 0,
		    "name=$(cat name; echo .) name=${name%%.}; [ -e \"$name.lua\" ] || cp -- net.lua "
		    "\"$name.lua\"; "
		    "rm -rf out; mkdir out && cnnc --target=generic -o \"out/$name.c\" -- \"$name.lua\"");
		compile(s, "out/*.c");
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, spawn_setup, spawn_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(arguments_may_be_called_anything),
	    TEST(files_and_titles_may_hold_anything),
	};
	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
