/* The Lua API and the interactive loop, through the program: scripts, piped lines, and a terminal.
 */
#define _XOPEN_SOURCE 700
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

static const char network[] =
    "local hidden = option{'hidden', 4, min = 1}\n"
    "local x, label = image('x', 1, 2, 3), class('label', 3)\n"
    "local y = x:flatten():dense(param.fc1, hidden):tanh():dense(param.fc2, 3)\n"
    "return network{output = {scores = y}, loss = y:cross_entropy(label), optimizer = sgd{momentum "
    "= 0.9}}\n";

/* What every script begins with. fails(f, text): f raises an error that contains the text. */
static const char prelude[] = "function fails(text, f)\n"
                              "  local ok, message = pcall(f)\n"
                              "  if ok then error('no error where one says: ' .. text, 2) end\n"
                              "  if not tostring(message):find(text, 1, true) then error('it says: "
                              "' .. message .. '\\nnot: ' .. text, 2) end\n"
                              "end\n"
                              "function near(a, b, t) if not (math.abs(a - b) <= (t or 1e-6)) then "
                              "error(a .. ' is not near ' .. b, 2) end end\n"
                              "function same(a, b) if a ~= b then error(tostring(a) .. ' is not ' "
                              ".. tostring(b), 2) end end\n";

static int setup(void **state)
{
	Spawn *s = malloc(sizeof *s);
	*state = s;
	if (!s || !spawn_open(s)) return -1;
	spawn_write(s, "net.lua", network);
	spawn_write(s, "prelude.lua", prelude);
	return 0;
}

static int teardown(void **state)
{
	spawn_close(*state);
	free(*state);
	return 0;
}

/* Runs a script behind the prelude; it must succeed. */
static void run(Spawn *s, const char *script)
{
	spawn_write(s, "script.lua", script);
	if (spawn(s, "cnnc -e 'dofile \"prelude.lua\"' --run script.lua one two") != 0)
		fail_msg("status %d\n%s%s", s->status, s->out, s->err);
}

static void tensors_are_arrays_with_views(void **state)
{
	run(*state, "local t = cnnc.tensor{{1, 2, 3}, {4, 5, 6}}\n"
	            "same(#t, 2) same(#t.shape, 2) same(t.shape[2], 3)\n"
	            "same(t[2][3], 6) same(t:at(1, 2), 2) same(t:at(2)[1], 4)\n"
	            "local row = t[1] row[2] = 20 same(t[1][2], 20)\n"
	            "t[2] = {7, 8, 9} same(t:at(2, 1), 7)\n"
	            "t[2] = 0 same(t:at(2, 3), 0)\n"
	            "t[2] = cnnc.tensor{1, 1, 2} same(t:argmax()[1], 1) same(t:argmax()[2], 2)\n"
	            "same(t:reshape(6)[4], 1) same(t:reshape{3, 2}[2][1], 3)\n"
	            "local c = t:copy() c[1][1] = -1 same(t[1][1], 1)\n"
	            "local d = cnnc.tensor(t) d:fill(5) same(d[2][2], 5) same(t[1][1], 1)\n"
	            "same(tostring(cnnc.tensor{1, 2.5, 1/0}), 'cnnc.tensor{1, 2.5, math.huge}')\n"
	            "same(#tostring(cnnc.zeros(100, 100, 100)) < 2000, true)\n"
	            "local z = cnnc.zeros(2, 3, 4) same(z:at(2, 3, 4), 0) same(#z.shape, 3)\n"
	            "local view do local big = cnnc.zeros(1000) big[10] = 3 view = big:reshape(10, "
	            "100)[1] end\n"
	            "collectgarbage() collectgarbage() same(view[10], 3)\n"
	            "for i = 1, 2000 do local x = cnnc.zeros(100000) end\n");
}

static void misuse_of_tensors_is_explained(void **state)
{
	run(*state, "local t = cnnc.tensor{{1, 2, 3}, {4, 5, 6}}\n"
	            "fails('index 3 is outside of 1 to 2', function() return t[3] end)\n"
	            "fails('index 0 is outside', function() return t[0] end)\n"
	            "fails('is an integer', function() return t[1.5] end)\n"
	            "fails(\"has no 'foo'\", function() return t.foo end)\n"
	            "fails('shape 2 cannot be put where 3', function() t[1] = {1, 2} end)\n"
	            "fails('is a number, not a string', function() t[1][1] = 'x' end)\n"
	            "fails('only elements', function() t.x = 1 end)\n"
	            "fails('at: 1 to 2 indices', function() t:at(1, 2, 3) end)\n"
	            "fails('4 does not have the 6 elements', function() t:reshape(4) end)\n"
	            "fails('does not have', function() t:reshape(1 << 33, 1 << 33, 6) end)\n"
	            "fails('sizes', function() cnnc.zeros() end)\n"
	            "fails('positive integer', function() cnnc.zeros(2, 0) end)\n"
	            "fails('too large', function() cnnc.zeros(1 << 40, 1 << 40) end)\n"
	            "fails('empty table', function() cnnc.tensor{} end)\n"
	            "fails('expected a number', function() cnnc.tensor{1, {2}} end)\n"
	            "fails('unequal length', function() cnnc.tensor{{1}, {2, 3}} end)\n"
	            "fails('expected a number', function() cnnc.tensor{'1'} end)\n"
	            "fails('one table', function() cnnc.tensor(1, 2) end)\n"
	            "local deep = {} for i = 1, 20 do deep = {deep} end\n"
	            "fails('deeper', function() cnnc.tensor(deep) end)\n"
	            "local loop = {} loop[1] = loop\n"
	            "fails('deeper', function() cnnc.tensor(loop) end)\n"
	            "fails('expected', function() t.at(1, 2) end)\n"
	            "fails('expected', function() t.save(1, 'x') end)\n");
}

static void tensors_go_to_files_and_back(void **state)
{
	Spawn *s = *state;
	run(s, "local t = cnnc.tensor{{1, 2, 3}, {0.1, 5, 1e300}} t:save('t.npy')\n"
	       "local u = cnnc.tensor.load('t.npy')\n"
	       "same(tostring(t), tostring(u)) same(u[2][1], 0.1)\n"
	       "fails('No such file', function() cnnc.tensor.load('missing.npy') end)\n"
	       "fails('.npy', function() cnnc.tensor.load('script.lua') end)\n"
	       "fails('cannot write', function() t:save('no/folder.npy') end)\n");
	assert_true(spawn_exists(s, "t.npy"));
}

static void a_network_runs_as_arithmetic_says(void **state)
{
	run(*state, "local net = cnnc.load('net.lua', {hidden = 1})\n"
	            "same(net.name, 'net') same(net.batch, 1)\n"
	            "net:set('fc1.weight', {{1, 0, 0, 0, 0, 2}}) net:set('fc1.bias', {0.5})\n"
	            "net:set('fc2.weight', {{1}, {-2}, {3}}) net:set('fc2.bias', {0, 1, 0})\n"
	            "local h = (math.exp(2 * 1.5) - 1) / (math.exp(2 * 1.5) + 1)\n"
	            "local y = net:forward{{{{-1, 9, 9}, {9, 9, 1}}}}\n"
	            "near(y[1][1], h) near(y[1][2], 1 - 2 * h) near(y[1][3], 3 * h)\n"
	            "local again = net:forward(cnnc.tensor{{{-1, 9, 9}, {9, 9, 1}}})\n" /* no batch:
	                                                                                   fine for 1 */
	            "same(again[1][3], y[1][3])\n"
	            "local sum = math.exp(h) + math.exp(1 - 2 * h) + math.exp(3 * h)\n"
	            "local loss, scores = net:eval(cnnc.tensor{{{-1, 9, 9}, {9, 9, 1}}}, 1)\n"
	            "near(loss, math.log(sum) - (1 - 2 * h)) near(scores[1][1], h)\n"
	            "local l, g = net:gradients({{{{-1, 9, 9}, {9, 9, 1}}}}, {1})\n"
	            "near(l, loss) near(g['fc2.bias'][1], math.exp(h) / sum) near(g['fc2.bias'][2], "
	            "math.exp(1 - 2 * h) / sum - 1)\n"
	            "same(#g['fc1.weight'].shape, 2)\n"
	            "local ok, why = pcall(cnnc.load, 'net.lua', {winograd = 'maybe'})\n"
	            "assert(not ok and why:find('all, inference, none', 1, true), why)\n"
	            "cnnc.load('net.lua', {winograd = 'none'})\n"
	            "local part = cnnc.load('net.lua', {hidden = 1, freeze = {'fc1.*'}})\n"
	            "for name in pairs(g) do part:set(name, net:get(name)) end\n"
	            "local _, f = part:gradients({{{{-1, 9, 9}, {9, 9, 1}}}}, {1})\n"
	            "near(f['fc2.bias'][1], g['fc2.bias'][1])\n"
	            "same(f['fc1.weight'] == nil or f['fc1.weight'][1][1] == 0, true)\n");
}

static void gradients_agree_with_differences(void **state)
{
	run(*state, "local net = cnnc.load('net.lua', {real = 'double', batch = 3}) net:init(5)\n"
	            "local x = cnnc.zeros(3, 1, 2, 3)\n"
	            "for i = 1, 18 do x:reshape(18)[i] = math.sin(i) end\n"
	            "local label, e = {0, 2, 1}, 1e-5\n"
	            "local loss, g = net:gradients(x, label)\n"
	            "local checked = 0\n"
	            "for name, dw in pairs(g) do\n"
	            "  local w, flat = net:get(name), nil\n"
	            "  flat = w:reshape(#dw:reshape(dw.shape[1] * (dw.shape[2] or 1)))\n"
	            "  local d = dw:reshape(#flat)\n"
	            "  for i = 1, #flat do\n"
	            "    local old = flat[i]\n"
	            "    flat[i] = old + e net:set(name, w) local up = net:eval(x, label)\n"
	            "    flat[i] = old - e net:set(name, w) local down = net:eval(x, label)\n"
	            "    flat[i] = old net:set(name, w)\n"
	            "    near(d[i], (up - down) / (2 * e), 1e-8) checked = checked + 1\n"
	            "  end\n"
	            "end\n"
	            "same(checked, 6 * 4 + 4 + 4 * 3 + 3)\n");
}

static void steps_learn_and_files_keep_what_was_learnt(void **state)
{
	Spawn *s = *state;
	run(s, "local net = cnnc.load('net.lua', {batch = 2}) net:init(1)\n"
	       "local x = cnnc.tensor{{{{1, 0, 1}, {0, 1, 0}}}, {{{0, 1, 0}, {1, 0, 1}}}}\n"
	       "local first = net:step(x, {0, 1}, {rate = 0.1})\n"
	       "local last for i = 1, 100 do last = net:step(x, {0, 1}, {rate = 0.1, momentum = 0.5, "
	       "decay = 0}) end\n"
	       "same(last < first / 10, true) same(net.steps, 101)\n"
	       "local best = net:forward(x):argmax() same(best[1], 0) same(best[2], 1)\n"
	       "local y = tostring(net:forward(x)) net:save('net.safetensors')\n"
	       "net:init(2) same(tostring(net:forward(x)) ~= y, true) same(net.steps, 0)\n"
	       "net:load('net.safetensors') same(tostring(net:forward(x)), y)\n"
	       "local other = cnnc.load('net.lua', {hidden = 5})\n"
	       "local before = tostring(other:get('fc1.weight'))\n"
	       "fails('fc1.weight', function() other:load('net.safetensors') end)\n"
	       "same(tostring(other:get('fc1.weight')), before)\n"
	       "fails('No such file', function() net:load('missing') end)\n"
	       "fails('cannot write', function() net:save('no/such/folder') end)\n"
	       "local wide = cnnc.load('net.lua', {real = 'double', batch = 2}) "
	       "wide:load('net.safetensors')\n"
	       "near(wide:forward(x)[1][1], net:forward(x)[1][1], 1e-5)\n");
	/* The same seed, the same numbers. */
	run(s,
	    "local a, b = cnnc.load('net.lua'), cnnc.load('net.lua') a:init(3) b:init(3)\n"
	    "same(tostring(a:get('fc1.weight')), tostring(b:get('fc1.weight')))\n"
	    "b:init(4) same(tostring(a:get('fc1.weight')) ~= tostring(b:get('fc1.weight')), true)\n");
}

/* Weights as PyTorch's users have them, in halves and doubles, into networks of five and of three
 * classes: tests/reference/foreign.py. */
static void weights_of_others_are_loaded(void **state)
{
	Spawn *s = *state;
	char here[4096];
	assert_non_null(getcwd(here, sizeof here));
	assert_int_equal(spawn(s, "cp '%s/tests/reference/foreign.safetensors' .", here), 0);
	spawn_write(s, "foreign.lua",
	    "local classes = option{'classes', 5}\n"
	    "local x, label = image('x', 1, 3, 3), class('label', classes)\n"
	    "local y = x:conv(param.conv, 2, {kernel = 2, bias = false}):batch_norm(param.bn)\n"
	    "local y = y:relu():global_avg_pool():flatten():dense(param.fc, classes)\n"
	    "return network{output = {scores = y}, loss = y:cross_entropy(label), optimizer = "
	    "sgd{}}\n");
	run(s,
	    "for _, real in ipairs{'float', 'double'} do\n"
	    "  local net, file = cnnc.load('foreign.lua', {batch = 2, real = real}), "
	    "'foreign.safetensors'\n"
	    "  same(select('#', net:load(file)), 1)\n"
	    "  local w = net:get('conv.weight'):reshape(8)\n"
	    "  for i, x in ipairs{1, -2, 65504, 2^-24, 1023 * 2^-24, 2^-14, -0.0, 0x1.554p-2} do\n"
	    "    same(w[i], x) end\n"
	    "  same(1 / w[7], -math.huge) same(net:get('bn.weight')[2], -3.140625)\n"
	    "  near(net:get('bn.running_mean')[1], 0.1, 1e-8) same(net:get('fc.weight')[5][2], 2.25)\n"
	    "  local other = cnnc.load('foreign.lua', {batch = 2, classes = 3, real = real})\n"
	    "  other:init(7)\n"
	    "  local fc, first = tostring(other:get('fc.weight')), tostring(other:get('conv.weight'))\n"
	    "  fails('differing: fc.weight is [5,2], not [3,2], fc.bias is [5], not [3]', function() "
	    "other:load(file) end)\n"
	    "  same(tostring(other:get('conv.weight')), first)\n"
	    "  local this, kept = other:load(file, {allow_missing = 'fc.*'})\n"
	    "  same(this, other) same(#kept, 2) same(kept[1], 'fc.weight') same(kept[2], 'fc.bias')\n"
	    "  same(tostring(kept), 'kept: fc.weight, fc.bias')\n"
	    "  same(tostring(other:get('fc.weight')), fc) same(other:get('conv.weight')[1][1][1][2], "
	    "-2)\n"
	    "  local _, nothing = net:load(file, {allow_missing = {'fc.*', 'bn.*'}})\n"
	    "  same(tostring(nothing), 'kept: nothing')\n"
	    "  fails(\"allow_missing 'f' meets no tensor\", function() net:load(file, {allow_missing = "
	    "'f'}) end)\n"
	    "  fails('unknown option allow', function() net:load(file, {allow = 'fc.*'}) end)\n"
	    "  fails('is a number, expected a pattern', function() net:load(file, {allow_missing = 3}) "
	    "end)\n"
	    "  fails('has a table, expected patterns', function() net:load(file, {allow_missing = "
	    "{{}}}) end)\n"
	    "  fails('is a table, as', function() net:load(file, 'fc.*') end)\n"
	    "  local many = {} for i = 1, 65 do many[i] = 'fc.*' end\n"
	    "  fails('more than 64', function() net:load(file, {allow_missing = many}) end)\n"
	    "end\n");
	spawn_write(s, "bare.lua",
	    "local x = image('x', 1, 3, 3)\n"
	    "local y = x:conv(param.conv, 2, {kernel = 2, bias = false}):batch_norm(param.bn)\n"
	    "return network{output = {y = y}}\n");
	run(s,
	    "local net, file = cnnc.load('bare.lua'), 'foreign.safetensors'\n"
	    "fails('left over: fc.weight, fc.bias', function() net:load(file, {allow_missing = '*'}) "
	    "end)\n"
	    "net:load(file, {allow_left_over = 'fc.*'}) same(net:get('bn.weight')[1], 1)\n");
}

static void misuse_of_networks_is_explained(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "bad.lua",
	    "local x = image('x', 1, 2, 2)\nreturn network{output = {y = x:nonsense()}}\n");
	spawn_write(
	    s, "plain.lua", "local x = image('x', 1, 2, 2)\nreturn network{output = {y = x:relu()}}\n");
	run(s, "local net = cnnc.load('net.lua', {batch = 2})\n"
	       "local x = cnnc.zeros(2, 1, 2, 3)\n"
	       "fails('takes x (1), not 0 values', function() net:forward() end)\n"
	       "fails('takes x and label (2), not 1 values', function() net:gradients(x) end)\n"
	       "fails('x has batch 1, but the network is compiled for batch 2', function() "
	       "net:forward(cnnc.zeros(1, 1, 2, 3)) end)\n"
	       "fails('x has shape 2x1x3x3, expected 2x1x2x3', function() net:forward(cnnc.zeros(2, 1, "
	       "3, 3)) end)\n"
	       "fails('x has shape 12, expected 2x1x2x3', function() net:forward(x:reshape(12)) end)\n"
	       "fails('label 2 is 3', function() net:gradients(x, {0, 3}) end)\n"
	       "fails('from 0 to 2', function() net:gradients(x, {0, -1}) end)\n"
	       "fails('label 1 is 0.5', function() net:step(x, {0.5, 0}) end)\n"
	       "fails('label 1 is nan', function() net:step(x, {-(0/0), 0}) end)\n"
	       "fails('1 labels', function() net:step(x, 1) end)\n"
	       "fails('did you mean rate', function() net:step(x, {0, 1}, {ratee = 1}) end)\n"
	       "fails('expected a number', function() net:step(x, {0, 1}, {rate = 'x'}) end)\n"
	       "fails('as {rate = 0.02}', function() net:step(x, {0, 1}, 0.1) end)\n"
	       "fails(\"has no 'fordward'\", function() net:fordward(x) end)\n"
	       "fails('no field', function() net.x = 1 end)\n"
	       "fails('did you mean fc1.weight', function() net:get('fc1.wieght') end)\n"
	       "fails('shape 4x6, not 2', function() net:set('fc1.weight', {1, 2}) end)\n"
	       "fails('bad.lua:2: error: ', function() cnnc.load('bad.lua') end)\n"
	       "fails('missing.lua', function() cnnc.load('missing.lua') end)\n"
	       "fails('hidden', function() cnnc.load('net.lua', {hiden = 2}) end)\n"
	       "fails('batch size', function() cnnc.load('net.lua', {batch = 0}) end)\n"
	       "fails('one batch size', function() cnnc.load('net.lua', {batch = '1,2'}) end)\n"
	       "fails('half', function() cnnc.load('net.lua', {real = 'half'}) end)\n"
	       "fails('cnnc.compiler', function() cnnc.load('net.lua', {target = 'avx2'}) end)\n"
	       "fails('expected a number, a string or a boolean', function() cnnc.load('net.lua', "
	       "{hidden = {}}) end)\n"
	       "fails('are named', function() cnnc.load('net.lua', {1}) end)\n"
	       "fails('no loss', function() cnnc.load('plain.lua'):step(cnnc.zeros(1, 1, 2, 2)) end)\n"
	       "fails('expected', function() net.forward(x) end)\n"
	       "fails(\"no operator 'conf'\", function() help('conf') end)\n"
	       "cnnc.compiler = 'no-such-compiler -O2'\n"
	       "fails('cannot run no-such-compiler', function() cnnc.load('net.lua') end)\n"
	       "cnnc.compiler = 3 fails('command', function() cnnc.load('net.lua') end)\n");
}

static void a_system_compiler_gives_the_same_numbers(void **state)
{
	run(*state, "local x = cnnc.zeros(2, 1, 2, 3) for i = 1, 12 do x:reshape(12)[i] = i / 10 end\n"
	            "local function all(compiler)\n"
	            "  cnnc.compiler = compiler\n"
	            "  local net = cnnc.load('net.lua', {batch = 2}) net:init(9)\n"
	            "  local loss for i = 1, 10 do loss = net:step(x, {2, 0}, {rate = 0.1}) end\n"
	            "  return loss, net:forward(x)\n"
	            "end\n"
	            "local l1, y1 = all('tcc') local l2, y2 = all('cc -O2')\n"
	            "near(l1, l2, 1e-4) for i = 1, 3 do near(y1[2][i], y2[2][i], 1e-4) end\n");
	Spawn *s = *state;
	assert_int_equal(
	    spawn(s, "ls -d ${TMPDIR:-/tmp}/cnnc-?????? 2>/dev/null | grep -v test | wc -l"), 0);
}

static void many_networks_come_and_go(void **state)
{
	run(*state, "for i = 1, 60 do local net = cnnc.load('net.lua') net:forward(cnnc.zeros(1, 1, 2, "
	            "3)) end\n"
	            "collectgarbage()\n");
}

static void scripts_have_arguments_and_statuses(void **state)
{
	Spawn *s = *state;
	spawn_write(s, "a.lua",
	    "print(arg[0], arg[1], arg[2], ...)\nif arg[1] == 'fail' then error('sorry') end\n");
	assert_int_equal(spawn(s, "cnnc --run a.lua --help -x"), 0);
	assert_string_equal(s->out, "a.lua\t--help\t-x\t--help\t-x\n");
	assert_int_equal(spawn(s, "cnnc --run a.lua fail"), 1);
	assert_non_null(strstr(s->err, "a.lua:2: sorry"));
	assert_int_equal(spawn(s, "cnnc --run missing.lua"), 1);
	assert_int_equal(spawn(s, "cnnc -e 'os.exit(7)'"), 7);
	assert_int_equal(spawn(s, "cnnc -e 'x = 4' -e 'print(x, require(\"cnnc\") == cnnc)'"), 0);
	assert_string_equal(s->out, "4\ttrue\n");
	assert_int_equal(spawn(s, "cnnc -e 'x ='"), 1);
	assert_int_equal(spawn(s, "cnnc -i net.lua -Dhidden=3 -b 2 -e 'print(net.batch, "
	                          "net:get(\"fc1.weight\").shape[1])'"),
	    0);
	assert_string_equal(s->out, "2\t3\n");
	assert_int_equal(spawn(s, "cnnc --target avx2 -i net.lua -e 'print(1)'"), 1);
	assert_non_null(strstr(s->err, "libtcc makes plain code only"));
	assert_int_equal(spawn(s, "cnnc -i missing.lua -e 'print(1)'"), 1);
	assert_string_equal(s->out, "");
}

static void piped_lines_are_a_session(void **state)
{
	Spawn *s = *state;
	spawn_write(
	    s, "in.txt", "1 + 1\nx = 3\nx, 'y'\nfor i = 1, 2 do\nprint(i)\nend\nnil\nnet.batch\n");
	assert_int_equal(spawn(s, "cnnc -i net.lua <in.txt"), 0);
	assert_string_equal(s->out, "2\n3\ty\n1\n2\nnil\n1\n");
	assert_string_equal(s->err, "");
	spawn_write(s, "in.txt", "error('first')\nprint('goes on')\nx = = 1\nfor");
	assert_int_equal(spawn(s, "cnnc -i net.lua <in.txt"), 1);
	assert_string_equal(s->out, "goes on\n");
	assert_non_null(strstr(s->err, "stdin:1: first"));
	assert_non_null(strstr(s->err, "unexpected symbol near '='"));
	assert_non_null(strstr(s->err, "near <eof>"));
	assert_int_equal(
	    spawn(s, "echo 'help()' | cnnc -i net.lua && echo 'help(\"conv\")' | cnnc -i net.lua"), 0);
	assert_non_null(strstr(s->out, "net:gradients"));
	assert_non_null(strstr(s->out, "stride"));
}

/* --- a terminal -------------------------------------------------------------------------- */

/* What is left to read until cnnc ends; kills what goes on for ten seconds. */
static int wait_end(pid_t child, int fd)
{
	int status;
	char seen[256];
	for (int i = 0; i < 1000; i++) {
		if (waitpid(child, &status, WNOHANG) == child) return status;
		struct pollfd p = {fd, POLLIN, 0};
		if (poll(&p, 1, 10) > 0 && read(fd, seen, sizeof seen) < 0) poll(NULL, 0, 10);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	fail_msg("cnnc did not end");
	return status;
}

/* Starts cnnc on a terminal of its own; returns its process and the other end. */
static pid_t open_terminal(Spawn *s, int *fd)
{
	*fd = posix_openpt(O_RDWR | O_NOCTTY);
	assert_true(*fd >= 0);
	assert_int_equal(grantpt(*fd), 0);
	assert_int_equal(unlockpt(*fd), 0);
	assert_int_equal(fcntl(*fd, F_SETFD, FD_CLOEXEC), 0); /* cnnc is to see it close */
	const char *name = ptsname(*fd);
	assert_non_null(name);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child > 0) return child;
	setsid();
	int end = open(name, O_RDWR);
	if (end < 0 || chdir(s->folder) != 0) _exit(127);
	for (int i = 0; i < 3; i++) dup2(end, i);
	setenv("HOME", s->folder, 1);
	setenv("TERM", "dumb", 1);
	execl(".bin/cnnc", "cnnc", (char *)NULL);
	_exit(127);
}

static bool seen_both(const char *seen, const char *text, const char *prompt)
{
	const char *at = strstr(seen, text);
	return at && strstr(at + strlen(text), prompt);
}

/* libedit shows its prompt before it takes the terminal over; a key in between would be lost. */
static void wait_for_keys(int fd)
{
	struct termios t;
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(tcgetattr(fd, &t), 0);
		if (!(t.c_lflag & ICANON)) return;
		poll(NULL, 0, 10);
	}
	fail_msg("cnnc does not read keys");
}

/* Reads until the text and then the prompt are seen; gives up after ten seconds. */
static void wait_for(int fd, const char *text, const char *prompt)
{
	char seen[65536] = "";
	size_t n = 0;
	while (!seen_both(seen, text, prompt)) {
		struct pollfd p = {fd, POLLIN, 0};
		if (poll(&p, 1, 10000) <= 0) fail_msg("no '%s' in: %s", text, seen);
		ssize_t got = read(fd, seen + n, sizeof seen - 1 - n);
		if (got <= 0) fail_msg("the end, and no '%s' in: %s", text, seen);
		n += (size_t)got;
		seen[n] = '\0';
	}
	if (*prompt) wait_for_keys(fd);
}

static void type(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void a_terminal_has_prompts_interrupts_and_history(void **state)
{
	Spawn *s = *state;
	int fd;
	pid_t child = open_terminal(s, &fd);
	wait_for(fd, "", "> ");
	type(fd, "6 * 7\n");
	wait_for(fd, "42", "> ");
	type(fd, "for i = 1, 1 do\n");
	wait_for(fd, "", ">> ");
	type(fd, "print('in' .. 'side') end\n");
	wait_for(fd, "inside", "> ");
	type(fd, "print('bu' .. 'sy') while true do end\n");
	wait_for(fd, "busy", "");
	assert_int_equal(kill(child, SIGINT), 0);
	wait_for(fd, "interrupted", "> ");
	type(fd, "print('al' .. 'ive')\n");
	wait_for(fd, "alive", "> ");
	type(fd, "\004");
	int status = wait_end(child, fd);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(fd);
	const char *history = spawn_read(s, ".cnnc_history");
	assert_non_null(history);
	assert_non_null(strstr(history, "6\\040*\\0407"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(tensors_are_arrays_with_views),
	    TEST(misuse_of_tensors_is_explained),
	    TEST(tensors_go_to_files_and_back),
	    TEST(a_network_runs_as_arithmetic_says),
	    TEST(gradients_agree_with_differences),
	    TEST(steps_learn_and_files_keep_what_was_learnt),
	    TEST(weights_of_others_are_loaded),
	    TEST(misuse_of_networks_is_explained),
	    TEST(a_system_compiler_gives_the_same_numbers),
	    TEST(many_networks_come_and_go),
	    TEST(scripts_have_arguments_and_statuses),
	    TEST(piped_lines_are_a_session),
	    TEST(a_terminal_has_prompts_interrupts_and_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
