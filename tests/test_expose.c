/* What layers give, as further outputs: held against the same values as declared outputs, and their
 * gradients against those of biases, which are sums of them. */
#define _XOPEN_SOURCE 700
#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A layer that is used twice, batch norm (folded into its convolution in inference), a layer that
 * no loss depends on, and one that only the loss does. */
static const char network[] =
    "local shown = option{'shown', false}\n"
    "local x, label = image('x', 2, 6, 5), class('label', 3)\n"
    "local tower, same = share(param.tower), {kernel = 3, pad = 1}\n"
    "local a = x:conv(param.block[0].conv1, 4, same)\n"
    "local n = a:batch_norm(param.block[0].norm)\n"
    "local b = n:relu():conv(tower.conv, 4, same)\n"
    "local c = (b * b):conv(tower.conv, 4, same)\n"
    "local y = (c + n):relu():max_pool{2}:flatten():dense(param.fc, 3)\n"
    "local side, deep = y:dense(param.side, 2), n:flatten():dense(param.deep, 3)\n"
    "local output = {{'scores', y}, {'other', side}}\n"
    "if shown then output = {{'scores', y}, {'other', side}, {'first', a}, {'second', n}, "
    "{'third', b}, {'fourth', c}} end\n"
    "return network{output = output, loss = y:cross_entropy(label) + 0.5 * "
    "deep:cross_entropy(label, "
    "{name = 'second'}), optimizer = sgd{}}\n";

static const char prelude[] =
    "function same(a, b) if a ~= b then error(tostring(a) .. ' is not ' .. tostring(b), 2) end "
    "end\n"
    "function equal(a, b)\n"
    "  if not (math.abs(a - b) <= 1e-11 * (1 + math.abs(b))) then error(a .. ' is not ' .. b, 2) "
    "end\n"
    "end\n"
    "function flat(t) local n = 1 for _, d in ipairs(t.shape) do n = n * d end return "
    "t:reshape(n), n end\n"
    "function all_equal(a, b)\n"
    "  local x, n = flat(a) local y, m = flat(b) same(n, m)\n"
    "  for i = 1, n do equal(x[i], y[i]) end\n"
    "end\n"
    /* The sum over all but the channels, as a bias's gradient is one. */
    "function by_channel(t)\n"
    "  local sum, rows = {}, t:reshape(t.shape[1], t.shape[2], #flat(t) // t.shape[1] // "
    "t.shape[2])\n"
    "  for c = 1, t.shape[2] do sum[c] = 0 for n = 1, #rows do for i = 1, #rows[n][c] do\n"
    "    sum[c] = sum[c] + rows[n][c][i] end end end\n"
    "  return cnnc.tensor(sum)\n"
    "end\n"
    "function image(n)\n"
    "  local x = cnnc.zeros(n, 2, 6, 5) local f, count = flat(x)\n"
    "  for i = 1, count do f[i] = math.sin(i * i) end return x\n"
    "end\n";

static int setup(void **state)
{
	if (spawn_setup(state) != 0) return -1;
	spawn_write(*state, "net.lua", network);
	spawn_write(*state, "prelude.lua", prelude);
	return 0;
}

static void run(Spawn *s, const char *script)
{
	spawn_write(s, "script.lua", script);
	if (spawn(s, "cnnc -e 'dofile \"prelude.lua\"' --run script.lua") != 0)
		fail_msg("status %d\n%s%s", s->status, s->out, s->err);
}

static void layers_give_what_they_give_as_outputs(void **state)
{
	run(*state, "local options = {real = 'double', batch = 2}\n"
	            "options.expose = {'block.0.*', 'tower.conv'}\n"
	            "local net = cnnc.load('net.lua', options):init(3)\n"
	            "options.expose, options.shown = nil, true\n"
	            "local want = cnnc.load('net.lua', options):init(3)\n"
	            "local x = image(2)\n"
	            "local got, other = {net:forward(x)}, {want:forward(x)}\n"
	            "same(#got, 6) same(#other, 6)\n"
	            "for i = 1, 6 do all_equal(got[i], other[i]) end\n"
	            "got, other = {net:eval(x, {1, 2})}, {want:eval(x, {1, 2})}\n"
	            "equal(got[1], other[1]) same(#got, 7)\n"
	            "for i = 2, 7 do all_equal(got[i], other[i]) end\n");
}

static void gradients_sum_to_those_of_biases(void **state)
{
	run(*state,
	    "for _, again in ipairs{false, true} do\n"
	    "local net = cnnc.load('net.lua', {real = 'double', batch = 2, recompute = again,\n"
	    "  expose = {'block.0.*', 'tower.conv', 'fc', 'side', 'deep'}}):init(3)\n"
	    "local loss, grads, terms, e = net:gradients(image(2), {1, 2})\n"
	    "same(type(terms.second), 'number')\n"
	    "all_equal(by_channel(e.block_0_conv1_grad), grads['block.0.conv1.bias'])\n"
	    "all_equal(by_channel(e.block_0_norm_grad), grads['block.0.norm.bias'])\n"
	    "all_equal(by_channel(e.fc_grad), grads['fc.bias'])\n"
	    "all_equal(by_channel(e.deep_grad), grads['deep.bias'])\n"
	    "local once, twice = by_channel(e.tower_conv_grad), by_channel(e.tower_conv_2_grad)\n"
	    "for c = 1, 4 do equal(once[c] + twice[c], grads['tower.conv.bias'][c]) end\n"
	    "same(tostring(e.side_grad), tostring(cnnc.zeros(2, 2)))\n" /* no loss sees it */
	    "same(#e.block_0_conv1.shape, 4)\n"
	    "local most = 0\n" /* they are not all zero */
	    "for c = 1, 4 do most = math.max(most, math.abs(once[c])) end\n"
	    "same(most > 1e-6, true)\n"
	    "end\n");
}

/* Losses and gradients are what they were; gradients by layers are the same with frozen ones below,
 * whose own are not computed. */
static void looking_changes_nothing(void **state)
{
	Spawn *s = *state;
	run(s, "local options = {real = 'double', batch = 2}\n"
	       "local plain = cnnc.load('net.lua', options):init(5)\n"
	       "options.expose = 'tower.*'\n"
	       "local seen = cnnc.load('net.lua', options):init(5)\n"
	       "local loss, grads, terms, none = plain:gradients(image(2), {0, 2})\n"
	       "local again, equals = seen:gradients(image(2), {0, 2})\n"
	       "equal(loss, again) same(none, nil)\n"
	       "for name, g in pairs(grads) do all_equal(equals[name], g) end\n");
	spawn_write(s, "script.lua",
	    "dofile 'prelude.lua' net:init(5)\n"
	    "local _, grads, _, e = net:gradients(image(2), {0, 2})\n"
	    "print(e.tower_conv_grad, grads['tower.conv.bias'])\n");
	expect(s, 0, "cnnc --real double -b 2 --expose tower.conv -i net.lua --run script.lua");
	char *frozen = strdup(s->out);
	char *bias = frozen ? strchr(frozen, '\t') : NULL;
	expect(s, 0,
	    "cnnc --real double -b 2 --expose tower.conv --freeze 'tower.*' -i net.lua --run "
	    "script.lua");
	contains(s->out, "\tnil");
	if (bias) *bias = '\0';
	bool same = bias && strlen(frozen) > 1000 && !strncmp(frozen, s->out, strlen(frozen));
	free(frozen);
	assert_true(same);
}

static void c_has_further_arguments(void **state)
{
	Spawn *s = *state;
	expect(s, 0, "cnnc net.lua -b 2 --expose 'block.0.conv1' --expose 'tower.*'");
	contains(spawn_read(s, "net.h"), "float *block_0_conv1, float *tower_conv,");
	contains(spawn_read(s, "net.h"), "float *tower_conv_2_grad");
	contains(spawn_read(s, "net.c"), "--expose 'block.0.conv1' --expose 'tower.*'");
	expect(s, 0, "cc -std=c11 -Wall -Wextra -Werror -c net.c");
}

static void what_is_no_layer_is_reported(void **state)
{
	Spawn *s = *state;
	expect(s, 1, "cnnc net.lua -b 2 --expose block.0.con1 --expose block --expose nothing");
	contains(s->err, "--expose 'block.0.con1' meets no layer; did you mean block.0.conv1?");
	contains(s->err, "--expose 'block' meets no layer; did you mean 'block.*'?");
	contains(s->err, "--expose 'nothing' meets no layer\n");
	assert_false(spawn_exists(s, "net.c"));
	expect(s, 1, "cnnc net.lua --inference --expose deep"); /* only losses need it */
	contains(s->err, "--expose 'deep' meets no layer");
	run(s, "local ok, message = pcall(cnnc.load, 'net.lua', {batch = 2, expose = {3, {}}})\n"
	       "same(ok, false) same(message:find('option expose: names', 1, true) ~= nil, true)\n"
	       "ok, message = pcall(cnnc.load, 'net.lua', {batch = 2, expose = 'fcc'})\n"
	       "same(ok, false) same(message:find('did you mean fc?', 1, true) ~= nil, true)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
	        layers_give_what_they_give_as_outputs, setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(gradients_sum_to_those_of_biases, setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(looking_changes_nothing, setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(c_has_further_arguments, setup, spawn_teardown),
	    cmocka_unit_test_setup_teardown(what_is_no_layer_is_reported, setup, spawn_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
