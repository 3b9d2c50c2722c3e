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
		found++;
	}
	assert_true(found >= 2);
}

/* --- some steps ---------------------------------------------------------------------------- */

/* follow(kind, options, numbers): a network that learns so takes steps as the formula does. */
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
    "    local want = {}\n"
    "    for _, name in ipairs(names) do\n"
    "      local w, g = flat(net:get(name)), flat(grads[name])\n"
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
    "end\n"
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(every_optimiser_trains_a_whole_network),
	    TEST(steps_are_those_of_pytorch),
	    TEST(numbers_go_by_their_names),
	};
	return cmocka_run_group_tests_name("optimizers", tests, NULL, NULL);
}
