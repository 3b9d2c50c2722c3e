/* npy, IDX and whole files: round trips, and files that lie. */
#define _POSIX_C_SOURCE 200809L
#include "../runtime/formats/idx.h"
#include "../runtime/formats/npy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static int make_folder(void **state)
{
	static char folder[] = "/tmp/cnnc-formats-XXXXXX";
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

static void write_file(const char *path, const void *data, size_t size)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

/* --- npy ---------------------------------------------------------------------------------- */

static void npy_writes_and_reads_every_type(void **state)
{
	const struct {
		NpyType type;
		size_t bytes;
		const void *data;
	} all[] = {
	    {NPY_F4, 4, (const float[]){1, -0.5f, 3e38f, 0, 5, 6}},
	    {NPY_F8, 8, (const double[]){0.1, -1e300, 0, 1, 2, 3}},
	    {NPY_I4, 4, (const int32_t[]){-1, INT32_MIN, INT32_MAX, 0, 1, 2}},
	    {NPY_I8, 8, (const int64_t[]){-1, INT64_MIN, INT64_MAX, 0, 1, 2}},
	    {NPY_U1, 1, (const uint8_t[]){0, 1, 127, 128, 254, 255}},
	};
	const char *path = in_folder(state, "a.npy");
	FormatError e = {""};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		for (int rank = 0; rank <= 3; rank++) {
			Npy in = {.type = all[i].type, .rank = rank, .dim = {rank == 1 ? 6 : 2, 3, 1}}, out;
			size_t count = rank ? 6 : 1;
			in.data = (void *)(uintptr_t)all[i].data; /* writing only reads it */
			assert_true(npy_write(path, &in, &e));
			assert_true(npy_read(path, &out, &e));
			assert_int_equal(out.type, in.type);
			assert_int_equal(out.rank, rank);
			assert_int_equal(out.count, count);
			assert_memory_equal(out.data, in.data, count * all[i].bytes);
			npy_free(&out);
		}
	unlink(path);
}

static void npy_header_ends_where_numpy_wants_it(void **state)
{
	const float x[3] = {1, 2, 3};
	const Npy in = {.type = NPY_F4, .rank = 1, .dim = {3}, .data = (void *)(uintptr_t)x};
	const char *path = in_folder(state, "b.npy");
	FormatError e = {""};
	unsigned char *data;
	size_t size;
	assert_true(npy_write(path, &in, &e));
	assert_true(format_read_file(path, 1000, &data, &size, &e));
	assert_int_equal(size, 128 + 12);
	assert_memory_equal(data,
	    "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, "
	    "'shape': (3,), }",
	    67);
	assert_int_equal(data[127], '\n');
	free(data);
	unlink(path);
}

/* A version 1.0 or 2.0 file in memory, with `rest` bytes of data. */
static bool npy_parses(int major, const char *dict, size_t rest, FormatError *e)
{
	size_t n = strlen(dict), start = major == 1 ? 10 : 12;
	unsigned char *file = calloc(1, start + n + rest);
	memcpy(file, "\x93NUMPY", 6);
	file[6] = (unsigned char)major;
	format_put(file + 8, major == 1 ? 2 : 4, n);
	memcpy(file + start, dict, n);
	Npy a;
	bool ok = npy_parse(file, start + n + rest, "file", &a, e);
	npy_free(&a);
	free(file);
	return ok;
}

#define DICT(d, o, s) "{'descr': '" d "', 'fortran_order': " o ", 'shape': " s "}"

static const struct {
	int major;
	const char *dict;
	size_t rest;
	const char *complaint;
} npy_cases[] = {
    {1, DICT("<f4", "False", "(2, 3)"), 24, NULL},
    {2, DICT("<f4", "False", "(2, 3)") "    \n", 24, NULL},
    {1, "{ 'shape':(3,),'descr':\"|u1\",'fortran_order':False,}\n", 3, NULL},
    {1, DICT("<f8", "False", "()"), 8, NULL},
    {1, DICT("<f8", "False", "(0, 7)"), 0, NULL},
    {3, DICT("<f4", "False", "(2, 3)"), 24, "version 3.0"},
    {1, DICT("<f4", "False", "(2, 3)"), 23, "asks for 24 bytes of data, the file holds 23"},
    {1, DICT("<f4", "False", "(2, 3)"), 25, "asks for 24"},
    {1, DICT("<f4", "True", "(2, 3)"), 24, "Fortran order"},
    {1, DICT("<f4", "Maybe", "(2, 3)"), 24, "neither True nor False"},
    {1, DICT(">f4", "False", "(2, 3)"), 24, "type '>f4' is not supported"},
    {1, DICT("|O", "False", "(2, 3)"), 24, "type '|O'"},
    {1, DICT("<f4", "False", "(3)"), 12, "not a tuple"},
    {1, DICT("<f4", "False", "(2, -3)"), 24, "not a tuple of sizes"},
    {1, DICT("<f4", "False", "(2 3)"), 24, "not a tuple of sizes"},
    {1, DICT("<f4", "False", "(,)"), 0, "not a tuple of sizes"},
    {1, DICT("<f4", "False", "(2, 3"), 24, "not a tuple of sizes"},
    {1, DICT("<f4", "False", "[2, 3]"), 24, "not a tuple"},
    {1, DICT("<f4", "False", "(1,1,1,1,1,1,1,1,1)"), 4, "more than 8"},
    {1, DICT("<f4", "False", "(4294967296, 4294967296)"), 0, "too many elements"},
    {1, DICT("<f8", "False", "(2305843009213693952,)"), 0, "too many elements"},
    {1, DICT("<f4", "False", "(99999999999999999999,)"), 0, "not a tuple of sizes"},
    {1, "{'descr': '<f4', 'descr': '<f4'}", 0, "given twice"},
    {1, "{'descr': '<f4', 'shape': (1,)}", 4, "needs descr"},
    {1, "{'evil': '<f4'}", 0, "'evil' is not one of"},
    {1, "{'descr': __import__('os')}", 0, "not the name of a type"},
    {1, "{'descr': '<f4' 'shape': (1,)}", 4, "malformed"},
    {1, "{'descr' '<f4'}", 4, "malformed"},
    {1, DICT("<f4", "False", "(1,)") "x", 4, "text after"},
    {1, "[]", 0, "not a dict"},
    {1, "", 0, "not a dict"},
    {1, "{", 0, "malformed"},
    {1, "{'descr': '<f4", 0, "not the name of a type"},
};

static void npy_files_that_lie_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof npy_cases / sizeof *npy_cases; i++) {
		FormatError e = {""};
		const char *wanted = npy_cases[i].complaint;
		bool ok = npy_parses(npy_cases[i].major, npy_cases[i].dict, npy_cases[i].rest, &e);
		if (ok != !wanted || (wanted && !strstr(e.text, wanted)))
			fail_msg("%s\n  gives '%s', not '%s'", npy_cases[i].dict, e.text, wanted ? wanted : "");
	}
	const unsigned char lie[] = "\x93NUMPY\2\0\xff\xff\xff\xff{}";
	Npy a;
	FormatError e = {""};
	for (size_t n = 0; n < sizeof lie; n++) {
		unsigned char *part = malloc(n ? n : 1);
		memcpy(part, lie, n);
		assert_false(npy_parse(part, n, "file", &a, &e));
		free(part);
	}
}

static void npy_refuses_to_write_nonsense(void **state)
{
	const float x = 0;
	const Npy deep = {.type = NPY_F4, .rank = 9, .data = (void *)(uintptr_t)&x};
	const Npy huge = {.rank = 2, .dim = {SIZE_MAX, 2}, .data = (void *)(uintptr_t)&x};
	const char *path = in_folder(state, "no.npy");
	assert_false(npy_write(path, &deep, NULL));
	assert_false(npy_write(path, &huge, NULL));
	assert_int_equal(access(path, F_OK), -1);
}

/* --- idx ---------------------------------------------------------------------------------- */

/* 2x2x3 numbers 0..11. */
static const unsigned char small[] = {
    0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

/* `data` in gzip, malloc'd. */
static unsigned char *pack(const unsigned char *data, size_t size, size_t *packed)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	uLong room = deflateBound(&z, (uLong)size);
	unsigned char *out = malloc(room), *copy = malloc(size);
	memcpy(copy, data, size);
	z.next_in = copy;
	z.avail_in = (uInt)size;
	z.next_out = out;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	*packed = z.total_out;
	deflateEnd(&z);
	free(copy);
	return out;
}

static bool idx_parses(const unsigned char *data, size_t size, FormatError *e)
{
	Idx a;
	unsigned char *exact = malloc(size ? size : 1);
	memcpy(exact, data, size);
	bool ok = idx_parse(exact, size, "file", &a, e);
	if (!ok) assert_null(a.data);
	idx_free(&a);
	free(exact);
	return ok;
}

static void idx_reads_plain_and_gzip(void **state)
{
	size_t packed;
	unsigned char *gz = pack(small, sizeof small, &packed);
	const char *path = in_folder(state, "images");
	for (int k = 0; k < 2; k++) {
		Idx a;
		FormatError e = {""};
		write_file(path, k ? gz : small, k ? packed : sizeof small);
		assert_true(idx_read(path, &a, &e));
		assert_int_equal(a.rank, 3);
		assert_int_equal(a.dim[0], 2);
		assert_int_equal(a.dim[2], 3);
		assert_int_equal(a.count, 12);
		assert_memory_equal(a.data, small + 16, 12);
		idx_free(&a);
	}
	unlink(path);
	free(gz);
}

static void idx_cut_anywhere_is_refused(void **state)
{
	(void)state;
	size_t packed;
	FormatError e = {""};
	unsigned char *gz = pack(small, sizeof small, &packed);
	for (size_t n = 0; n < sizeof small; n++) assert_false(idx_parses(small, n, &e));
	/* also without the last bytes, where only checksum and length stand */
	for (size_t n = 0; n < packed; n++) assert_false(idx_parses(gz, n, &e));
	assert_non_null(strstr(e.text, "cut short"));
	assert_true(idx_parses(gz, packed, &e));
	free(gz);
}

static void idx_with_more_behind_is_refused(void **state)
{
	(void)state;
	unsigned char more[sizeof small + 1] = {0};
	size_t packed;
	FormatError e = {""};
	memcpy(more, small, sizeof small);
	assert_false(idx_parses(more, sizeof more, &e));
	unsigned char *gz = pack(more, sizeof more, &packed); /* more inside the stream */
	assert_false(idx_parses(gz, packed, &e));
	assert_non_null(strstr(e.text, "more bytes follow"));
	free(gz);
	gz = pack(small, sizeof small, &packed); /* more behind the stream */
	gz = realloc(gz, packed + 1);
	gz[packed] = 0;
	assert_false(idx_parses(gz, packed + 1, &e));
	assert_non_null(strstr(e.text, "more bytes follow"));
	free(gz);
}

static void idx_damaged_gzip_is_refused(void **state)
{
	(void)state;
	size_t packed;
	FormatError e = {""};
	unsigned char *gz = pack(small, sizeof small, &packed);
	gz[packed - 6] ^= 1; /* checksum */
	assert_false(idx_parses(gz, packed, &e));
	assert_non_null(strstr(e.text, "damaged"));
	gz[packed - 6] ^= 1;
	/* any one bit behind the gzip header: refused, or one of those that fill the last byte */
	for (size_t bit = 8 * 10; bit < 8 * packed; bit++) {
		Idx a;
		gz[bit / 8] ^= (unsigned char)(1u << bit % 8);
		if (idx_parse(gz, packed, "file", &a, &e)) assert_memory_equal(a.data, small + 16, 12);
		idx_free(&a);
		gz[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
	free(gz);
}

static void idx_headers_that_lie_take_no_memory(void **state)
{
	(void)state;
	const struct {
		unsigned char head[20];
		size_t size;
		const char *complaint;
	} cases[] = {
	    {{0, 0, 8, 1, 0x7f, 0xff, 0xff, 0xff}, 20, "ends early: its sizes ask for 2147483647"},
	    {{0, 0, 8, 4, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
	         255},
	        20, "too large"},
	    {{0, 0, 13, 1, 0, 0, 0, 1}, 12, "type 0x0d"},
	    {{0, 0, 8, 0}, 4, "0 dimensions"},
	    {{0, 0, 8, 5}, 20, "5 dimensions"},
	    {{1, 0, 8, 1, 0, 0, 0, 0}, 8, "not an IDX file"},
	    {{0, 0, 8, 1, 0, 0, 0}, 7, "1 bytes are missing"},
	    {{0, 0, 8, 1, 0, 0, 0, 0}, 8, NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int k = 0; k < 2; k++) { /* plain, then in gzip */
			FormatError e = {""};
			size_t packed = cases[i].size;
			unsigned char *gz = k ? pack(cases[i].head, packed, &packed) : NULL;
			bool ok = idx_parses(k ? gz : cases[i].head, packed, &e);
			free(gz);
			const char *wanted = cases[i].complaint;
			if (ok != !wanted || (wanted && !strstr(e.text, wanted)))
				fail_msg("case %zu: '%s', not '%s'", i, e.text, wanted ? wanted : "");
		}
}

/* --- whole files -------------------------------------------------------------------------- */

static void a_limit_is_a_limit(void **state)
{
	const char *path = in_folder(state, "ten");
	unsigned char *data;
	size_t size;
	FormatError e = {""};
	write_file(path, "0123456789", 10);
	assert_true(format_read_file(path, 10, &data, &size, &e));
	assert_int_equal(size, 10);
	assert_memory_equal(data, "0123456789", 10);
	free(data);
	assert_false(format_read_file(path, 9, &data, &size, &e));
	assert_non_null(strstr(e.text, "larger than the limit of 9"));
	write_file(path, "", 0);
	assert_true(format_read_file(path, 0, &data, &size, &e));
	assert_int_equal(size, 0);
	free(data);
	unlink(path);
	assert_false(format_read_file("/dev/zero", 300000, &data, &size, &e));
}

static void a_file_given_up_leaves_no_trace(void **state)
{
	const char *path = in_folder(state, "old");
	unsigned char *data;
	size_t size;
	FormatError e = {""};
	SafeFile f;
	write_file(path, "old", 3);
	assert_true(safe_file_open(&f, path, &e));
	assert_true(safe_file_write(&f, "new", 3, &e));
	safe_file_discard(&f);
	assert_true(format_read_file(path, 10, &data, &size, &e));
	assert_memory_equal(data, "old", 3);
	free(data);
	assert_true(safe_file_open(&f, path, &e));
	assert_true(safe_file_write(&f, "newer", 5, &e));
	assert_true(safe_file_commit(&f, &e));
	assert_true(format_read_file(path, 10, &data, &size, &e));
	assert_int_equal(size, 5);
	free(data);
	unlink(path); /* or the folder is not empty, and drop_folder fails */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(npy_writes_and_reads_every_type),
	    cmocka_unit_test(npy_header_ends_where_numpy_wants_it),
	    cmocka_unit_test(npy_files_that_lie_are_named),
	    cmocka_unit_test(npy_refuses_to_write_nonsense),
	    cmocka_unit_test(idx_reads_plain_and_gzip),
	    cmocka_unit_test(idx_cut_anywhere_is_refused),
	    cmocka_unit_test(idx_with_more_behind_is_refused),
	    cmocka_unit_test(idx_damaged_gzip_is_refused),
	    cmocka_unit_test(idx_headers_that_lie_take_no_memory),
	    cmocka_unit_test(a_limit_is_a_limit),
	    cmocka_unit_test(a_file_given_up_leaves_no_trace),
	};
	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
