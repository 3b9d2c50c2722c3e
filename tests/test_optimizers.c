/* Every optimiser of ops.def in a whole network: all entries against naive nests, and some steps at
 * the prompt against PyTorch's formulas, which stand here as plain Lua in double. */
#define _XOPEN_SOURCE 700
#include "../compiler/op.h"
#include "entries.h"
#include "machine.h"
#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct {
	Arena *arena;
	Spawn spawn;
} Fixture;

static int setup(void **state)
{
	static jmp_buf out_of_memory;
	Fixture *f = calloc(1, sizeof *f);
	*state = f;
	f->arena = arena_new(0);
	if (!f->arena || !spawn_open(&f->spawn) || setjmp(out_of_memory)) return -1;
	arena_guard(f->arena, &out_of_memory);
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;
	spawn_close(&f->spawn);
	arena_free(f->arena);
	free(f);
	return 0;
}

/* --- all entries --------------------------------------------------------------------------- */

static void all_ways(Arena *a, const char *define, bool is_double)
{
	Net net;
	Results got;
	const char *wrong = net_open(
	    &net, a, &(NetSpec){"tests/networks/small.lua", define, "auto", .is_double = is_double});
	if (wrong) fail_msg("%s: %s", define, wrong);
	Results want = net_naive(&net, a);
	for (int t = 0; t < net.program->ntarget; t++) {
		got = net_trees(&net, a, t);
		wrong = results_differ(a, &got, &want, 1e-11);
		if (wrong) fail_msg("%s, %s: %s", define, net.program->target[t]->name, wrong);
	}
	static const char *const compiler[] = {NULL,
	    "gcc -std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Wundef -Wdouble-promotion -Werror",
	    "clang -std=c11 -O2 -Wall -Wextra -Wconversion -Wshadow -Wundef -Wdouble-promotion "
	    "-Werror"};
	static const char *const program[] = {NULL, "gcc", "clang"};
	for (int c = 0; c < COUNT(compiler); c++) {
		if (program[c] && !have_program(program[c])) continue;
		wrong = net_c(&net, a, compiler[c], &got, NULL);
		if (!wrong) wrong = results_differ(a, &got, &want, is_double ? 1e-11 : 1e-3);
		if (wrong) fail_msg("%s, %s: %s", define, compiler[c] ? compiler[c] : "tcc", wrong);
	}
}

static void every_optimiser_trains_a_whole_network(void **state)
{
	Fixture *f = *state;
	int found = 0;
	for (int i = 0; i < op_count; i++) {
		if (!(op_table[i]->flags & OP_OPTIMIZER)) continue;
		const char *define = arena_printf(f->arena, "optimizer=%s", op_table[i]->name);
		all_ways(f->arena, define, true);
		all_ways(f->arena, define, false);
		all_ways(f->arena, arena_printf(f->arena, "%s.clip_norm", define), true);
		all_ways(f->arena, arena_printf(f->arena, "%s.clip_norm", define), false);
		all_ways(f->arena, arena_printf(f->arena, "%s.clip_value", define), false);
		found++;
	}
	assert_true(found >= 2);
}

/* --- some steps ---------------------------------------------------------------------------- */

/* follow(kind, options, numbers): a network that learns so takes steps as the formula does, with
 * gradients clipped before, as clip_grad_norm_ and clip_grad_value_ do. */
static const char steps[] =
    "local formula = {}\n"
    "function formula.sgd(o, h, t, w, g, s)\n"
    "  g = g + h.decay * w\n"
    "  s.v = h.momentum * (s.v or 0) + g\n"
    "  return w - h.rate * (o.nesterov and g + h.momentum * s.v or s.v)\n"
    "end\n"
    "function formula.adam(o, h, t, w, g, s)\n"
    "  if o.decoupled then w = w * (1 - h.rate * h.decay) else g = g + h.decay * w end\n"
    "  s.m = h.beta1 * (s.m or 0) + (1 - h.beta1) * g\n"
    "  s.v = h.beta2 * (s.v or 0) + (1 - h.beta2) * g * g\n"
    "  local m, v = s.m / (1 - h.beta1 ^ t), s.v / (1 - h.beta2 ^ t)\n"
    "  return w - h.rate * m / (math.sqrt(v) + (o.eps or 1e-8))\n"
    "end\n"
    "local counts = {}\n"
    "local function clip(grads, options, numbers)\n"
    "  local function number(name) return options[name] and (numbers[name] or options[name]) or 0 "
    "end\n"
    "  local norm, value, sum, factor = number('clip_norm'), number('clip_value'), 0, 1\n"
    "  for _, g in pairs(grads) do for i = 1, #g do sum = sum + g[i] ^ 2 end end\n"
    "  if norm > 0 then factor = math.min(1, norm / (math.sqrt(sum) + 1e-6)) end\n"
    "  local how = norm > 0 and (factor < 1 and 'shorter' or 'as long') or 'as it is'\n"
    "  for _, g in pairs(grads) do for i = 1, #g do\n"
    "    g[i] = g[i] * factor\n"
    "    if value > 0 then how = 'held' g[i] = math.max(-value, math.min(value, g[i])) end\n"
    "  end end\n"
    "  counts[how] = (counts[how] or 0) + 1\n"
    "end\n"
    "local names = {'conv.weight', 'conv.bias', 'fc.weight', 'fc.bias'}\n"
    "local function flat(t) local n = 1 for i = 1, #t.shape do n = n * t.shape[i] end\n"
    "  return t:reshape(n) end\n"
    "local function words(t) local s = '' for k, v in pairs(t) do\n"
    "  s = s .. k .. ' = ' .. tostring(v) .. ', ' end return s end\n"
    "local function follow(kind, options, numbers, real, tolerance)\n"
    "  local file = io.open('net.lua', 'w')\n"
    "  file:write(\"local x, label = image('x', 1, 5, 5), class('label', 3)\\n\",\n"
    "    'local y = x:conv(param.conv, 3, {kernel = 2}):tanh():flatten():dense(param.fc, 3)\\n',\n"
    "    'return network{output = {y = y}, loss = y:cross_entropy(label), optimizer = ', kind,\n"
    "    '{', words(options), '}}') file:close()\n"
    "  local net = cnnc.load('net.lua', {batch = 2, real = real}) net:init(3)\n"
    "  local x = cnnc.zeros(2, 1, 5, 5)\n"
    "  for i = 1, 50 do flat(x)[i] = math.sin(i * i) end\n"
    "  local kept = {}\n"
    "  for t = 1, 6 do\n"
    "    local label = {t % 3, (t + 1) % 3}\n"
    "    local _, grads = net:gradients(x, label)\n"
    "    local want, clipped = {}, {}\n"
    "    for _, name in ipairs(names) do\n"
    "      local g = flat(grads[name]) clipped[name] = {}\n"
    "      for i = 1, #g do clipped[name][i] = g[i] end\n"
    "    end\n"
    "    clip(clipped, options, numbers)\n"
    "    for _, name in ipairs(names) do\n"
    "      local w, g = flat(net:get(name)), clipped[name]\n"
    "      want[name], kept[name] = {}, kept[name] or {}\n"
    "      for i = 1, #w do\n"
    "        kept[name][i] = kept[name][i] or {}\n"
    "        want[name][i] = formula[kind](options, numbers, t, w[i], g[i], kept[name][i])\n"
    "      end\n"
    "    end\n"
    "    net:step(x, label, numbers)\n"
    "    for _, name in ipairs(names) do\n"
    "      local w = flat(net:get(name))\n"
    "      for i = 1, #w do\n"
    "        if not (math.abs(w[i] - want[name][i]) <= tolerance) then\n"
    "          error(kind .. ', step ' .. t .. ': ' .. name .. ' is ' .. w[i] .. ', not ' ..\n"
    "            want[name][i])\n"
    "        end\n"
    "      end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "for _, real in ipairs{'double', 'float'} do\n"
    "  local function both(kind, options, numbers)\n"
    "    follow(kind, options, numbers, real, real == 'double' and 1e-13 or 2e-5) end\n"
    "  both('sgd', {}, {rate = 0.1, momentum = 0, decay = 0})\n"
    "  both('sgd', {}, {rate = 0.1, momentum = 0.9, decay = 0.01})\n"
    "  both('sgd', {nesterov = true}, {rate = 0.1, momentum = 0.9, decay = 0.01})\n"
    "  both('adam', {}, {rate = 0.01, beta1 = 0.9, beta2 = 0.999, decay = 0})\n"
    "  both('adam', {}, {rate = 0.01, beta1 = 0.8, beta2 = 0.9, decay = 0.1})\n"
    "  both('adam', {eps = 0.1}, {rate = 0.1, beta1 = 0, beta2 = 0.5, decay = 0})\n"
    "  both('adam', {decoupled = true}, {rate = 0.1, beta1 = 0.9, beta2 = 0.99, decay = 0.5})\n"
    "  both('sgd', {clip_norm = 0.1}, {rate = 0.1, momentum = 0.9, decay = 0.01})\n"
    "  both('sgd', {clip_norm = 1e3}, {rate = 0.1, momentum = 0.9, decay = 0.01})\n"
    "  both('sgd', {clip_norm = 0}, {rate = 0.1, momentum = 0.9, decay = 0.01})\n"
    "  both('sgd', {clip_norm = 5}, {rate = 0.1, momentum = 0, decay = 0, clip_norm = 0.02})\n"
    "  both('sgd', {clip_norm = 0.02}, {rate = 0.1, momentum = 0, decay = 0, clip_norm = 0})\n"
    "  both('sgd', {clip_norm = 0.02}, {rate = 0.1, momentum = 0, decay = 0, clip_norm = 1/0})\n"
    "  both('sgd', {clip_value = 0.01, nesterov = true}, {rate = 1, momentum = 0.9, decay = 0})\n"
    "  both('adam', {clip_norm = 0.1}, {rate = 0.01, beta1 = 0.9, beta2 = 0.999, decay = 0.1})\n"
    "  both('adam', {clip_value = 0.01}, {rate = 0.01, beta1 = 0.5, beta2 = 0.5, decay = 0})\n"
    "end\n"
    "for _, how in ipairs{'shorter', 'as long', 'as it is', 'held'} do\n"
    "  assert((counts[how] or 0) >= 6, 'no gradient is ' .. how) end\n"
    "for _, kind in ipairs(arg) do assert(formula[kind], 'no formula for ' .. kind) end\n";

static void steps_are_those_of_pytorch(void **state)
{
	Fixture *f = *state;
	Text names;
	text_init(&names, f->arena);
	for (int i = 0; i < op_count; i++)
		if (op_table[i]->flags & OP_OPTIMIZER) text_printf(&names, " %s", op_table[i]->name);
	spawn_write(&f->spawn, "steps.lua", steps);
	if (spawn(&f->spawn, "cnnc --run steps.lua%s", names.data) != 0)
		fail_msg("status %d\n%s%s", f->spawn.status, f->spawn.out, f->spawn.err);
}

/* The numbers have the optimiser's own names, here and in C, and the description's values where a
 * step does not say. */
static void numbers_go_by_their_names(void **state)
{
	Fixture *f = *state;
	spawn_write(&f->spawn, "net.lua",
	    "local x, label = input('x', 4), class('label', 3)\n"
	    "local y = x:dense(param.fc, 3)\n"
	    "return network{output = {y = y}, loss = y:cross_entropy(label),\n"
	    "  optimizer = adam{rate = 0.5, beta1 = 0.25}}\n");
	spawn_write(&f->spawn, "names.lua",
	    "local net = cnnc.load('net.lua') net:init(1)\n"
	    "local x = cnnc.tensor{{1, 2, 3, 4}}\n"
	    "local function says(text, numbers)\n"
	    "  local ok, why = pcall(net.step, net, x, 1, numbers)\n"
	    "  assert(not ok and why:find(text, 1, true), why) end\n"
	    "says('unknown option momentum: there are rate, beta1, beta2, decay', {momentum = 0.9})\n"
	    "says('unknown option beta3; did you mean beta1?', {beta3 = 0.9})\n"
	    "local before = net:get('fc.bias')\n"
	    "net:step(x, 1)\n" /* the first step of Adam moves by the rate, whatever the gradient */
	    "assert(math.abs(net:get('fc.bias')[1] - before[1] + 0.5) < 1e-4)\n");
	if (spawn(&f->spawn, "cnnc --run names.lua && cnnc net.lua && cat net.h") != 0)
		fail_msg("status %d\n%s%s", f->spawn.status, f->spawn.out, f->spawn.err);
	assert_non_null(strstr(f->spawn.out, "\tfloat rate, beta1, beta2, decay;\n"));
	assert_non_null(strstr(f->spawn.out, "rate 0.5, beta1 0.25, beta2 0.999, decay 0.0."));
}

/* Frozen weights are no part of the norm; what is clipped follows the optimiser's own numbers; only
 * one way can be asked for. */
static void clipping_is_asked_for(void **state)
{
	Fixture *f = *state;
	spawn_write(&f->spawn, "net.lua",
	    "local how = option{'how', 'clip_norm'}\n"
	    "local x, label = input('x', 80), class('label', 3)\n"
	    "freeze(param.first)\n"
	    "local y = x:dense(param.first, 50):tanh():dense(param.second, 3)\n"
	    "return network{output = {y = y}, loss = y:cross_entropy(label),\n"
	    "  optimizer = sgd{rate = 1, [how] = 0.125}}\n");
	spawn_write(&f->spawn, "both.lua",
	    "local x = input('x', 4):dense(param.fc, 3)\n"
	    "return network{output = {y = x}, loss = x:mean(), optimizer = sgd{\n"
	    "  clip_value = 1, clip_norm = 1}}\n");
	spawn_write(&f->spawn, "steep.lua",
	    "local y = input('x', 3):dense(param.fc, 1)\n"
	    "return network{output = {y = y}, loss = y:mean(), optimizer = sgd{clip_norm = 1}}\n");
	spawn_write(&f->spawn, "moves.lua",
	    "local x = cnnc.zeros(1, 80) for i = 1, 80 do x[1][i] = i % 7 end\n"
	    "local names = {'second.weight', 'second.bias'}\n"
	    "local net = cnnc.load('net.lua', {real = 'double'}) net:init(1)\n"
	    "local before, square = {}, 0\n"
	    "local first = tostring(net:get('first.weight'))\n"
	    "for _, name in ipairs(names) do before[name] = net:get(name) end\n"
	    "net:step(x, 1)\n"
	    "for _, name in ipairs(names) do\n"
	    "  local a, b = before[name], net:get(name)\n"
	    "  local n = #a.shape == 2 and a.shape[1] * a.shape[2] or a.shape[1]\n"
	    "  for i = 1, n do square = square + (a:reshape(n)[i] - b:reshape(n)[i]) ^ 2 end end\n"
	    "assert(math.abs(math.sqrt(square) - 0.125) < 1e-6, math.sqrt(square))\n"
	    "assert(tostring(net:get('first.weight')) == first)\n"
	    "local ok, why = pcall(net.step, net, x, 1, {clip = 1})\n"
	    "assert(why:find('unknown option clip', 1, true), why)\n"
	    "help('sgd')\n"
	    /* squares of 1e25 are no floats: the gradient counts for nothing */
	    "for _, big in ipairs{1e25, 1} do\n"
	    "  local s = cnnc.load('steep.lua') s:init(1) local w = tostring(s:get('fc.weight'))\n"
	    "  s:step(cnnc.tensor{{big, -big, big}})\n"
	    "  assert((tostring(s:get('fc.weight')) == w) == (big > 1), big)\n"
	    "end\n");
	if (spawn(&f->spawn, "cnnc --run moves.lua && cnnc net.lua && cat net.h && cnnc net.lua -D "
	                     "how=clip_value -o - | grep -A3 '^struct net_train'") != 0)
		fail_msg("status %d\n%s%s", f->spawn.status, f->spawn.out, f->spawn.err);
	assert_non_null(strstr(f->spawn.out, "clip_norm (optional) how long all gradients"));
	assert_non_null(strstr(f->spawn.out, "\tfloat rate, momentum, decay, clip_norm;\n"));
	assert_non_null(strstr(f->spawn.out, "decay 0.0, clip_norm 0.125. */"));
	assert_non_null(strstr(f->spawn.out, "\tfloat rate, momentum, decay, clip_value;\n"));
	assert_int_equal(spawn(&f->spawn, "cnnc both.lua"), 1);
	assert_non_null(
	    strstr(f->spawn.err, "both.lua:2: error: sgd: clip_norm and clip_value: one of"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(every_optimiser_trains_a_whole_network),
	    TEST(steps_are_those_of_pytorch),
	    TEST(numbers_go_by_their_names),
	    TEST(clipping_is_asked_for),
	};
	return cmocka_run_group_tests_name("optimizers", tests, NULL, NULL);
}
