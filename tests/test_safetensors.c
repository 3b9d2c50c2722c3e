/* safetensors: round trips, and files that lie in every way. */
#define _POSIX_C_SOURCE 200809L
#include "../runtime/formats/safetensors.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* --- helpers ------------------------------------------------------------------------------ */

/* A folder of the test's own, in the working state of one test program. */
static int make_folder(void **state)
{
	static char folder[] = "/tmp/cnnc-safetensors-XXXXXX";
	*state = mkdtemp(folder);
	return *state ? 0 : -1;
}

static int drop_folder(void **state) { return rmdir(*state); }

static const char *in_folder(void **state, const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", (const char *)*state, name);
	return path;
}

/* A file in memory from a header and `rest` bytes of data, numbered 0, 1, 2 ... */
static unsigned char *make_file(const char *header, size_t rest, size_t *size)
{
	size_t n = strlen(header);
	unsigned char *file = malloc(8 + n + rest);
	assert_non_null(file);
	format_put(file, 8, n);
	memcpy(file + 8, header, n);
	for (size_t i = 0; i < rest; i++) file[8 + n + i] = (unsigned char)i;
	*size = 8 + n + rest;
	return file;
}

static bool parses(const char *header, size_t rest, FormatError *e)
{
	size_t size;
	unsigned char *file = make_file(header, rest, &size);
	Safetensors s;
	bool ok = safetensors_parse(file, size, "file", &s, e);
	safetensors_free(&s);
	free(file);
	return ok;
}

/* --- round trips -------------------------------------------------------------------------- */

static void writes_and_reads_back(void **state)
{
	const float a[6] = {1, -2.5f, 0.1f, -0.0f, INFINITY, 1e-45f};
	const double b[2] = {0.1, -1e300}, scalar = 7;
	const SafetensorsOutput out[] = {
	    {"conv1.weight", SAFETENSORS_F32, 3, {1, 2, 3}, a},
	    {"b \"quoted\" \xc3\xa9", SAFETENSORS_F64, 1, {2}, b},
	    {"scalar", SAFETENSORS_F64, 0, {0}, &scalar},
	    {"empty", SAFETENSORS_F32, 2, {0, 5}, NULL},
	};
	const SafetensorsPair meta[] = {{"seed", "1"}, {"note", "two\nlines"}};
	const char *path = in_folder(state, "a.safetensors");
	FormatError e = {""};
	assert_true(safetensors_write(path, out, 4, meta, 2, &e));
	Safetensors s;
	assert_true(safetensors_read(path, &s, &e));
	assert_int_equal(s.tensors, 4);
	const SafetensorsTensor *t = safetensors_find(&s, "conv1.weight");
	assert_non_null(t);
	assert_int_equal(t->rank, 3);
	assert_int_equal(t->dim[2], 3);
	assert_int_equal((t->data - s.tensor[0].data) % 8, 0);
	float back[6];
	assert_true(safetensors_floats(t, back, &e));
	assert_memory_equal(back, a, sizeof a);
	double wide[2];
	assert_true(safetensors_doubles(safetensors_find(&s, out[1].name), wide, &e));
	assert_memory_equal(wide, b, sizeof b);
	assert_true(safetensors_doubles(safetensors_find(&s, "scalar"), wide, &e));
	assert_true(wide[0] == 7);
	assert_int_equal(safetensors_find(&s, "empty")->count, 0);
	assert_null(safetensors_find(&s, "conv1"));
	assert_string_equal(safetensors_metadata(&s, "note"), "two\nlines");
	assert_null(safetensors_metadata(&s, "absent"));
	safetensors_free(&s);
	unlink(path);
}

static void same_input_same_bytes_and_no_tensors_is_fine(void **state)
{
	FormatError e = {""};
	const char *path = in_folder(state, "none");
	assert_true(safetensors_write(path, NULL, 0, NULL, 0, &e));
	unsigned char *data;
	size_t size;
	assert_true(format_read_file(path, 100, &data, &size, &e));
	assert_int_equal(size, 16);
	assert_memory_equal(data, "\10\0\0\0\0\0\0\0{}      ", 16);
	free(data);
	Safetensors s;
	assert_true(safetensors_read(path, &s, &e));
	assert_int_equal(s.tensors, 0);
	assert_null(safetensors_find(&s, "x"));
	assert_null(safetensors_metadata(&s, "x"));
	safetensors_free(&s);
	unlink(path);
}

static void refuses_to_write_nonsense(void **state)
{
	FormatError e = {""};
	const float x[2] = {1, 2};
	const char *path = in_folder(state, "no");
	const SafetensorsOutput twice[] = {
	    {"x", SAFETENSORS_F32, 1, {2}, x}, {"x", SAFETENSORS_F32, 1, {2}, x}};
	assert_false(safetensors_write(path, twice, 2, NULL, 0, &e));
	assert_non_null(strstr(e.text, "two entries of the name 'x'"));
	const SafetensorsOutput meta = {"__metadata__", SAFETENSORS_F32, 1, {2}, x};
	assert_false(safetensors_write(path, &meta, 1, NULL, 0, &e));
	const SafetensorsOutput latin = {"\xe9", SAFETENSORS_F32, 1, {2}, x};
	assert_false(safetensors_write(path, &latin, 1, NULL, 0, &e));
	const SafetensorsOutput half = {"x", SAFETENSORS_F16, 1, {2}, x};
	assert_false(safetensors_write(path, &half, 1, NULL, 0, &e));
	const SafetensorsOutput huge = {"x", SAFETENSORS_F32, 2, {SIZE_MAX / 2, 3}, x};
	assert_false(safetensors_write(path, &huge, 1, NULL, 0, &e));
	const SafetensorsPair pair[] = {{"k", "1"}, {"k", "2"}};
	assert_false(safetensors_write(path, twice, 1, pair, 2, &e));
	assert_int_equal(access(path, F_OK), -1);
	assert_false(safetensors_write("/no/such/folder/x", twice, 1, NULL, 0, &e));
}

/* --- numbers ------------------------------------------------------------------------------ */

/* One tensor "x" of `type` over the little-endian numbers. */
static bool floats_of(
    const char *type, int bytes, const uint64_t *bits, size_t n, float *out, FormatError *e)
{
	char header[200];
	snprintf(header, sizeof header,
	    "{\"x\":{\"dtype\":\"%s\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}", type, n,
	    n * (size_t)bytes);
	size_t size;
	unsigned char *file = make_file(header, n * (size_t)bytes, &size);
	for (size_t i = 0; i < n; i++)
		format_put(file + 8 + strlen(header) + i * (size_t)bytes, bytes, bits[i]);
	Safetensors s;
	assert_true(safetensors_parse(file, size, "file", &s, e));
	bool ok = safetensors_floats(&s.tensor[0], out, e);
	safetensors_free(&s);
	free(file);
	return ok;
}

static void widens_every_type(void **state)
{
	(void)state;
	FormatError e = {""};
	float x[8];
	const uint64_t half[] = {0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00, 0x3555, 0x03ff};
	assert_true(floats_of("F16", 2, half, 8, x, &e));
	assert_true(x[0] == 1 && x[1] == -2 && x[2] == 65504 && x[3] == 0x1p-24f && isinf(x[5]));
	assert_true(x[4] == 0 && signbit(x[4]) && x[6] == 0x1.554p-2f && x[7] == 0x1.ff8p-15f);
	const uint64_t nan16 = 0x7e01, brain[] = {0x3f80, 0xc049, 0x7f80};
	assert_true(floats_of("F16", 2, &nan16, 1, x, &e));
	assert_true(isnan(x[0]));
	assert_true(floats_of("BF16", 2, brain, 3, x, &e));
	assert_true(x[0] == 1 && x[1] == -3.140625f && isinf(x[2]));
	const uint64_t small[] = {0xff, 0x80, 0x7f};
	assert_true(floats_of("I8", 1, small, 3, x, &e));
	assert_true(x[0] == -1 && x[1] == -128 && x[2] == 127);
	assert_true(floats_of("U8", 1, small, 3, x, &e));
	assert_true(x[0] == 255 && x[1] == 128);
	const uint64_t wide[] = {UINT64_MAX, (uint64_t)1 << 63, 5};
	assert_true(floats_of("I64", 8, wide, 3, x, &e));
	assert_true(x[0] == -1 && x[1] == -0x1p63f && x[2] == 5);
	const uint64_t real[] = {0x3ff0000000000000, 0x7ff0000000000000, 0x3fb999999999999a};
	assert_true(floats_of("F64", 8, real, 3, x, &e));
	assert_true(x[0] == 1 && isinf(x[1]) && x[2] == 0.1f);
}

static void refuses_numbers_that_do_not_survive(void **state)
{
	(void)state;
	FormatError e = {""};
	float x[2];
	const uint64_t big[] = {0, 0x7fe0000000000000}; /* 2^1023 */
	assert_false(floats_of("F64", 8, big, 2, x, &e));
	assert_non_null(strstr(e.text, "element 1 of type F64 does not fit a float"));
	const uint64_t odd = ((uint64_t)1 << 24) + 1, odder = UINT64_MAX;
	assert_false(floats_of("I64", 8, &odd, 1, x, &e));
	assert_false(floats_of("U64", 8, &odder, 1, x, &e));
	assert_false(floats_of("I32", 4, &odd, 1, x, &e));
}

/* --- hostile files ------------------------------------------------------------------------ */

#define X(offsets) "\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets "}"
#define Y(offsets) "\"y\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":" offsets "}"

/* Headers, the bytes of data behind them, and a piece of the complaint; NULL: good. */
static const struct {
	const char *header;
	size_t rest;
	const char *complaint;
} hostile[] = {
    {"{" X("[0,4]") "}", 4, NULL},
    {"{" X("[0,4]") "}   ", 4, NULL},
    {"{" Y("[4,8]") "," X("[0,4]") "}", 8, NULL},
    {"{\"__metadata__\":{\"a\":\"b\"}," X("[0,4]") "}", 4, NULL},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}", 1, NULL},
    {"{" X("[0,4]") "}", 3, "data end at 4"},
    {"{" X("[0,4]") "}", 5, "1 bytes at the end"},
    {"{}", 1, "1 bytes at the end"},
    {"{" X("[1,5]") "}", 5, "1 bytes before tensor 'x'"},
    {"{" X("[0,4]") "," Y("[5,9]") "}", 9, "1 bytes before tensor 'y'"},
    {"{" X("[0,4]") "," Y("[3,7]") "}", 7, "overlap"},
    {"{" X("[0,4]") "," Y("[0,4]") "}", 4, "overlap"},
    {"{" X("[0,4]") "," X("[4,8]") "}", 8, "duplicate"},
    {"{\"__metadata__\":{\"a\":\"b\",\"a\":\"c\"}}", 0, "duplicate"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "'a' is not a string"},
    {"{\"__metadata__\":[]}", 0, "__metadata__ is not a map"},
    {"{" X("[0,5]") "}", 5, "4 elements of U8 do not fill 5"},
    {"{" X("[4,0]") "}", 4, "not a begin and an end"},
    {"{" X("[-4,0]") "}", 4, "not a begin and an end"},
    {"{" X("[0,4.0]") "}", 4, "not a begin and an end"},
    {"{" X("[0]") "}", 4, "not a begin and an end"},
    {"{" X("[0,4,8]") "}", 4, "not a begin and an end"},
    {"{" X("{}") "}", 4, "not a begin and an end"},
    {"{" X("[0,99999999999999999999]") "}", 4, "too big integer"},
    {"{" X("[0,9223372036854775807]") "}", 4, "data end at"},
    {"{" X("[NaN,4]") "}", 4, "header, byte"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[NaN],\"data_offsets\":[0,4]}}", 4, "header, byte"},
    {"{\"x\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "'F8_E4M3' is not"},
    {"{\"x\":{\"dtype\":7,\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "dtype is not a string"},
    {"{\"x\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, "do not fill"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":4,\"data_offsets\":[0,4]}}", 4, "shape is not a list"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[-4],\"data_offsets\":[0,4]}}", 4, "dimension 0"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[\"4\"],\"data_offsets\":[0,4]}}", 4, "dimension 0"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,4]}}", 4,
        "9 dimensions"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4294967296,4294967297],\"data_offsets\":[0,4]}}", 4,
        "too many elements"},
    {"{\"x\":{\"dtype\":\"F64\",\"shape\":[2305843009213693952],\"data_offsets\":[0,0]}}", 0,
        "do not fill"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4]}}", 4, "needs dtype, shape"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"offsets\":[0,4]}}", 4, "needs dtype, shape"},
    {"{\"x\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"z\":1}}", 4, "nothing else"},
    {"{\"x\":[]}", 0, "needs dtype, shape"},
    {"{\"x\":null}", 0, "needs dtype, shape"},
    {"[]", 0, "does not start with '{'"},
    {" {}", 0, "does not start with '{'"},
    {"", 0, "does not start with '{'"},
    {"{", 0, "header, byte"},
    {"{}{}", 0, "header, byte"},
    {"{\"\\u0000\":{}}", 0, "header, byte"},
    {"{\"\xff\":{}}", 0, "header, byte"},
};

static void hostile_headers_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		FormatError e = {""};
		bool ok = parses(hostile[i].header, hostile[i].rest, &e);
		const char *wanted = hostile[i].complaint;
		if (ok != !wanted || (wanted && !strstr(e.text, wanted)))
			fail_msg("%s\n  gives '%s', not '%s'", hostile[i].header, e.text, wanted ? wanted : "");
	}
}

static void header_lengths_that_lie_are_refused(void **state)
{
	(void)state;
	FormatError e = {""};
	Safetensors s;
	const unsigned char past[] = {3, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
	assert_false(safetensors_parse(past, sizeof past, "file", &s, &e));
	assert_non_null(strstr(e.text, "ends inside its header"));
	const unsigned char huge[] = {255, 255, 255, 255, 255, 255, 255, 255, '{', '}'};
	assert_false(safetensors_parse(huge, sizeof huge, "file", &s, &e));
	assert_non_null(strstr(e.text, "at most 100000000"));
	unsigned char over[8];
	format_put(over, 8, SAFETENSORS_HEADER_LIMIT + 1);
	assert_false(safetensors_parse(over, sizeof over, "file", &s, &e));
	for (size_t n = 0; n < 8; n++) assert_false(safetensors_parse(past, n, "file", &s, &e));
}

static void no_prefix_of_a_file_is_a_file(void **state)
{
	(void)state;
	size_t size;
	FormatError e = {""};
	unsigned char *file = make_file("{" X("[0,4]") "," Y("[4,8]") "}", 8, &size);
	for (size_t n = 0; n < size; n++) {
		Safetensors s;
		unsigned char *part = malloc(n ? n : 1); /* of just this size, for the sanitizers */
		memcpy(part, file, n);
		assert_false(safetensors_parse(part, n, "file", &s, &e));
		free(part);
	}
	free(file);
}

static void control_characters_do_not_reach_the_terminal(void **state)
{
	(void)state;
	FormatError e = {""};
	assert_false(parses("{\"\\u001b[31m\":1}", 0, &e));
	assert_non_null(strstr(e.text, "'?[31m'"));
}

/* Random damage to a good file: whatever is still accepted must be readable whole. */
static void damaged_files_are_survived(void **state)
{
	(void)state;
	size_t size;
	unsigned char *good =
	    make_file("{\"__metadata__\":{\"k\":\"v\"}," X("[0,4]") "," Y("[4,8]") "}", 8, &size);
	unsigned char *bad = malloc(size);
	uint64_t random = 1;
	for (int round = 0; round < 20000; round++) {
		memcpy(bad, good, size);
		for (int k = 0; k <= round % 4; k++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			bad[(random >> 33) % size] = (unsigned char)(random >> 25);
		}
		Safetensors s;
		FormatError e;
		float x[64];
		if (!safetensors_parse(bad, size, "file", &s, &e)) continue;
		for (size_t i = 0; i < s.tensors; i++) {
			assert_in_range(s.tensor[i].count, 0, 8);
			if (!safetensors_floats(&s.tensor[i], x, &e)) continue;
		}
		safetensors_free(&s);
	}
	free(bad);
	free(good);
}

/* --- expectations ------------------------------------------------------------------------- */

static void a_check_lists_all_that_is_wrong(void **state)
{
	(void)state;
	size_t size;
	FormatError e = {""};
	unsigned char *file = make_file("{" X("[0,4]") "," Y("[4,8]") "}", 8, &size);
	Safetensors s;
	assert_true(safetensors_parse(file, size, "net.safetensors", &s, &e));
	const SafetensorsExpected right[] = {{"x", 1, {4}}, {"y", 1, {4}}};
	assert_true(safetensors_check(&s, "net.safetensors", right, 2, NULL, &e));
	const SafetensorsExpected wrong[] = {{"x", 2, {2, 2}}, {"z", 1, {4}}};
	assert_false(safetensors_check(&s, "net.safetensors", wrong, 2, NULL, &e));
	assert_string_equal(e.text, "net.safetensors: these are not the expected tensors\n"
	                            "  missing: z\n  left over: y\n  differing: x is [4], not [2,2]");
	assert_false(safetensors_check(&s, "net.safetensors", right, 1, ".y", &e));
	assert_true(safetensors_check(&s, "net.safetensors", right, 1, "y", &e));
	SafetensorsExpected many[20];
	char name[20][16];
	for (int i = 0; i < 20; i++) {
		snprintf(name[i], sizeof name[i], "m%d", i);
		many[i] = (SafetensorsExpected){.name = name[i]};
	}
	assert_false(safetensors_check(&s, "net.safetensors", many, 20, NULL, &e));
	assert_non_null(strstr(e.text, "m6, m7 and 12 more\n  left over: x, y"));
	safetensors_free(&s);
	free(file);
}

/* --- whole or not at all ------------------------------------------------------------------ */

static void a_full_disk_leaves_the_old_file(void **state)
{
	static float many[100000];
	const SafetensorsOutput small = {"x", SAFETENSORS_F32, 1, {2}, many};
	const SafetensorsOutput large = {"x", SAFETENSORS_F32, 1, {100000}, many};
	const char *path = in_folder(state, "kept");
	FormatError e = {""};
	assert_true(safetensors_write(path, &small, 1, NULL, 0, &e));
	struct rlimit old, tight;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	tight = old;
	tight.rlim_cur = 65536;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	bool ok = safetensors_write(path, &large, 1, NULL, 0, &e);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_false(ok);
	assert_non_null(strstr(e.text, "cannot write"));
	Safetensors s;
	assert_true(safetensors_read(path, &s, &e));
	assert_int_equal(s.tensor[0].count, 2);
	safetensors_free(&s);
	unlink(path); /* the folder is empty now, or drop_folder fails */
}

static void replaces_the_file_behind_a_link_and_keeps_its_mode(void **state)
{
	const float x[2] = {1, 2};
	const SafetensorsOutput out = {"x", SAFETENSORS_F32, 1, {2}, x};
	char real[256];
	FormatError e = {""};
	snprintf(real, sizeof real, "%s", in_folder(state, "real"));
	const char *link = in_folder(state, "link");
	assert_true(safetensors_write(real, &out, 1, NULL, 0, &e));
	assert_int_equal(chmod(real, 0640), 0);
	assert_int_equal(symlink(real, link), 0);
	assert_true(safetensors_write(link, &out, 1, NULL, 0, &e));
	struct stat about;
	assert_int_equal(lstat(link, &about), 0);
	assert_true(S_ISLNK(about.st_mode));
	assert_int_equal(stat(real, &about), 0);
	assert_int_equal(about.st_mode & 0777, 0640);
	unlink(link);
	unlink(real);
}

static void refuses_to_replace_what_is_no_file(void **state)
{
	FormatError e = {""};
	assert_false(safetensors_write(*state, NULL, 0, NULL, 0, &e));
	assert_non_null(strstr(e.text, "not a regular file"));
	assert_false(safetensors_write("/dev/null", NULL, 0, NULL, 0, &e));
	Safetensors s;
	assert_false(safetensors_read(*state, &s, &e));
	assert_false(safetensors_read("/no/such/file", &s, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(writes_and_reads_back),
	    cmocka_unit_test(same_input_same_bytes_and_no_tensors_is_fine),
	    cmocka_unit_test(refuses_to_write_nonsense),
	    cmocka_unit_test(widens_every_type),
	    cmocka_unit_test(refuses_numbers_that_do_not_survive),
	    cmocka_unit_test(hostile_headers_are_named),
	    cmocka_unit_test(header_lengths_that_lie_are_refused),
	    cmocka_unit_test(no_prefix_of_a_file_is_a_file),
	    cmocka_unit_test(control_characters_do_not_reach_the_terminal),
	    cmocka_unit_test(damaged_files_are_survived),
	    cmocka_unit_test(a_check_lists_all_that_is_wrong),
	    cmocka_unit_test(a_full_disk_leaves_the_old_file),
	    cmocka_unit_test(replaces_the_file_behind_a_link_and_keeps_its_mode),
	    cmocka_unit_test(refuses_to_replace_what_is_no_file),
	};
	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
