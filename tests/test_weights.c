/* Weight files of others: numbers of 16 and 64 bits, a file that the ecosystem's writer made, and
 * what may differ from what is expected. */
#include "../runtime/formats/pattern.h"
#include "../runtime/formats/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* One tensor "x" of n numbers of that many bytes; the file is freed by close_file. */
static void open_file(const char *type, int bytes, const unsigned char *data, size_t n,
    unsigned char **file, Safetensors *s)
{
	char header[200];
	size_t length = n * (size_t)bytes;
	FormatError e = {""};
	int head = snprintf(header, sizeof header,
	    "{\"x\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", type, n, length);
	*file = malloc(8 + (size_t)head + length);
	assert_non_null(*file);
	format_put(*file, 8, (uint64_t)head);
	memcpy(*file + 8, header, (size_t)head);
	memcpy(*file + 8 + head, data, length);
	if (!safetensors_parse(*file, 8 + (size_t)head + length, "file", s, &e)) fail_msg("%s", e.text);
}

static void close_file(unsigned char *file, Safetensors *s)
{
	safetensors_free(s);
	free(file);
}

/* What the bits of a 16-bit float mean, by powers of two: `fraction` bits of fraction. */
static double meaning(unsigned bits, int fraction)
{
	int exponents = 15 - fraction, most = (1 << exponents) - 1, bias = most >> 1;
	int exponent = (int)(bits >> fraction & (unsigned)most);
	double part = (double)(bits & ((1u << fraction) - 1)), one = ldexp(1, fraction), x;
	if (exponent == most)
		x = part != 0 ? (double)NAN : (double)INFINITY;
	else if (exponent)
		x = ldexp(one + part, exponent - bias - fraction);
	else
		x = ldexp(part, 1 - bias - fraction);
	return bits >> 15 ? -x : x;
}

/* Every one of the 65536 halves and brain floats: subnormals, zeros, infinities and NaN. */
static void widens_all_sixteen_bits_exactly(void **state)
{
	(void)state;
	enum { ALL = 65536 };
	static unsigned char data[2 * ALL];
	static float x[ALL];
	static double wide[ALL];
	const struct {
		const char *type;
		int fraction;
	} kind[] = {{"F16", 10}, {"BF16", 7}};
	FormatError e = {""};
	for (size_t i = 0; i < ALL; i++) format_put(data + 2 * i, 2, i);
	for (int k = 0; k < 2; k++) {
		Safetensors s;
		unsigned char *file;
		open_file(kind[k].type, 2, data, ALL, &file, &s);
		assert_true(safetensors_floats(s.tensor, x, &e) && safetensors_doubles(s.tensor, wide, &e));
		for (unsigned i = 0; i < ALL; i++) {
			double want = meaning(i, kind[k].fraction);
			bool same = isnan(want) ? isnan(x[i]) && isnan(wide[i])
			                        : (double)x[i] == want && wide[i] == want;
			if (!same || !signbit(x[i]) != !(i >> 15) || !signbit(wide[i]) != !(i >> 15))
				fail_msg(
				    "%s 0x%04x is %a and %a, not %a", kind[k].type, i, (double)x[i], wide[i], want);
		}
		close_file(file, &s);
	}
}

static bool narrows(double from, float *x)
{
	unsigned char data[8], *file;
	uint64_t bits;
	Safetensors s;
	FormatError e = {""};
	memcpy(&bits, &from, sizeof bits);
	format_put(data, 8, bits);
	open_file("F64", 8, data, 1, &file, &s);
	bool ok = safetensors_floats(s.tensor, x, &e);
	assert_true(ok || strstr(e.text, "element 0 of type F64 does not fit a float"));
	close_file(file, &s);
	return ok;
}

/* Doubles become the nearest float, halfway the even one, up to the last that rounds to a float. */
static void narrows_doubles_to_the_nearest_float(void **state)
{
	(void)state;
	const struct {
		double from;
		float to;
	} good[] = {{0.1, 0.1f}, {1 + 0x1p-24, 1}, {1 + 0x1.8p-23, 1 + 0x1p-22f}, {0x1p-149, 0x1p-149f},
	    {0x1p-150, 0}, {0x1.8p-150, 0x1p-149f}, {-0x1p-1074, -0.0f},
	    {0x1.fffffep127, 0x1.fffffep127f}, {0x1.fffffefffffffp127, 0x1.fffffep127f}};
	const double bad[] = {0x1.ffffffp127, -0x1.ffffffp127, 0x1p128, 0x1.fffffffffffffp1023};
	float x;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(narrows(good[i].from, &x));
		assert_memory_equal(&x, &good[i].to, sizeof x);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(narrows(bad[i], &x));
}

/* A file that the ecosystem's own writer made: tests/reference/foreign.py. */
static void reads_what_others_write(void **state)
{
	(void)state;
	FormatError e = {""};
	Safetensors s;
	assert_true(safetensors_read("tests/reference/foreign.safetensors", &s, &e));
	assert_string_equal(safetensors_metadata(&s, "format"), "pt");
	const SafetensorsExpected all[] = {{"conv.weight", 4, {2, 1, 2, 2}}, {"bn.weight", 1, {2}},
	    {"bn.bias", 1, {2}}, {"bn.running_mean", 1, {2}}, {"bn.running_var", 1, {2}},
	    {"fc.weight", 2, {5, 2}}, {"fc.bias", 1, {5}}};
	const size_t n = sizeof all / sizeof *all;
	assert_true(safetensors_check(&s, "foreign", all, n, ".num_batches_tracked", &e));
	assert_false(safetensors_check(&s, "foreign", all, n, NULL, &e));
	assert_non_null(strstr(e.text, "left over: bn.num_batches_tracked"));
	const float halves[8] = {1, -2, 65504, 0x1p-24f, 0x1.ff8p-15f, 0x1p-14f, -0.0f, 0x1.554p-2f};
	float x[10];
	assert_true(safetensors_floats(safetensors_find(&s, "conv.weight"), x, &e));
	assert_memory_equal(x, halves, sizeof halves);
	assert_true(safetensors_floats(safetensors_find(&s, "bn.weight"), x, &e));
	assert_true(x[0] == 1 && x[1] == -3.140625f);
	assert_true(safetensors_floats(safetensors_find(&s, "bn.running_mean"), x, &e));
	assert_true(x[0] == 0.1f && x[1] == -1e-3f);
	assert_true(safetensors_floats(safetensors_find(&s, "fc.weight"), x, &e));
	for (int i = 0; i < 10; i++) assert_true((double)x[i] == ldexp(1 + i % 8 * 0.125, i / 8));
	safetensors_free(&s);
}

/* What may be missing is named by patterns: absent, or there in another shape. */
static void a_match_keeps_what_may_be_missing(void **state)
{
	(void)state;
	const char header[] = "{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
	                      "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8]}}";
	unsigned char file[8 + sizeof header - 1 + 8] = {0};
	FormatError e = {""};
	Safetensors s;
	format_put(file, 8, sizeof header - 1);
	memcpy(file + 8, header, sizeof header - 1);
	assert_true(safetensors_parse(file, sizeof file, "net", &s, &e));
	const SafetensorsExpected want[] = {
	    {"x", 1, {4}}, {"y", 1, {5}}, {"fc.weight", 2, {3, 4}}, {"fc.bias", 1, {3}}};
	const char *const fc[] = {"fc.*", NULL}, *const fc_y[] = {"fc.*", "?", NULL},
	                  *const none[] = {NULL}, *const typo[] = {"fc.*", "fcc.*", NULL},
	                  *const bare[] = {"fc", NULL};
	const SafetensorsAllow strict = {none, none}, some = {fc, NULL}, more = {fc_y, NULL};
	bool kept[4] = {true, true, false, false};
	assert_false(safetensors_match(&s, "net", want, 4, NULL, &strict, kept, &e));
	assert_string_equal(e.text, "net: these are not the expected tensors\n  missing: fc.weight, "
	                            "fc.bias\n  differing: y is [4], not [5]");
	assert_false(safetensors_match(&s, "net", want, 4, NULL, &some, kept, &e));
	assert_string_equal(
	    e.text, "net: these are not the expected tensors\n  differing: y is [4], not [5]");
	assert_true(safetensors_match(&s, "net", want, 4, NULL, &more, kept, &e));
	assert_true(!kept[0] && kept[1] && kept[2] && kept[3]); /* x fits the pattern, and the file */
	assert_true(safetensors_match(&s, "net", want, 4, NULL, &more, NULL, &e));
	const SafetensorsAllow misspelt = {typo, NULL}, without_dot = {bare, NULL};
	assert_false(safetensors_match(&s, "net", want, 4, NULL, &misspelt, kept, &e));
	assert_string_equal(e.text, "net: allow_missing 'fcc.*' meets no tensor of the network");
	assert_false(safetensors_match(&s, "net", want, 4, NULL, &without_dot, kept, &e));
	assert_string_equal(
	    e.text, "net: allow_missing 'fc' meets no tensor of the network; did you mean 'fc.*'?");
	/* what is left over has patterns of its own; those of `missing` do not excuse it */
	const char *const any[] = {"*", NULL}, *const y[] = {"aux*", "y", NULL};
	const SafetensorsAllow missing = {any, NULL}, left_over = {NULL, y};
	assert_false(safetensors_match(&s, "net", want, 1, NULL, &missing, kept, &e));
	assert_string_equal(e.text, "net: these are not the expected tensors\n  left over: y");
	assert_true(safetensors_match(&s, "net", want, 1, NULL, &left_over, kept, &e));
	safetensors_free(&s);
}

static void patterns_meet_whole_names(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *name;
		bool meets;
	} row[] = {{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a.b", true},
	    {"?", "", false}, {"fc.*", "fc.weight", true}, {"fc.*", "fc", false},
	    {"fc.*", "afc.weight", false}, {"*fc.*", "afc.weight", true}, {"a*b*c", "a1b2b3c", true},
	    {"a*b*c", "a1b2b3", false}, {"layer?.1", "layer3.1", true},
	    {"layer?.1", "layer12.1", false}, {"**", "x", true},
	    {"*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};
	for (size_t i = 0; i < sizeof row / sizeof *row; i++)
		if (pattern_meets(row[i].pattern, row[i].name) != row[i].meets)
			fail_msg("'%s' and '%s'", row[i].pattern, row[i].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(widens_all_sixteen_bits_exactly),
	    cmocka_unit_test(narrows_doubles_to_the_nearest_float),
	    cmocka_unit_test(reads_what_others_write),
	    cmocka_unit_test(a_match_keeps_what_may_be_missing),
	    cmocka_unit_test(patterns_meet_whole_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
