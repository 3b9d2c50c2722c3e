/* What every room stands on: the arena, texts, numbers, hashes, files and diagnostics. */
#define _XOPEN_SOURCE 700
#include "../compiler/base.h"
#include "../compiler/diag.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

/* A fresh arena for each test; running out of memory where a test does not expect it fails the
 * test. */
typedef struct {
	Arena *arena;
	jmp_buf out;
	char folder[64];
} Fixture;

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	f->arena = arena_new(0);
	strcpy(f->folder, "/tmp/cnnc-test-XXXXXX");
	*state = f;
	return mkdtemp(f->folder) ? 0 : -1;
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

static void arena_gives_zeroed_aligned_memory(void **state)
{
	Arena *a = ((Fixture *)*state)->arena;
	for (size_t n = 0; n < 3000; n += 7) {
		unsigned char *p = arena_alloc(a, n, 3);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < 3 * n; i++) assert_int_equal(p[i], 0);
		memset(p, 0xff, 3 * n);
	}
	unsigned char *big = arena_alloc(a, 1, 1000000);
	assert_int_equal(big[999999], 0);
}

static void arena_jumps_when_the_limit_is_reached(void **state)
{
	(void)state;
	Arena *a = arena_new(1 << 20);
	jmp_buf out;
	volatile int blocks = 0;
	if (setjmp(out) == 0) {
		arena_guard(a, &out);
		for (;; blocks++) arena_alloc(a, 100, 1000);
	}
	assert_in_range(blocks, 5, 10);
	/* Small pieces may still be had, and a product that wraps jumps too. */
	if (setjmp(out) == 0) {
		arena_alloc(a, SIZE_MAX / 2, 3);
		fail();
	}
	arena_free(a);
	arena_free(NULL);
}

/* Whether one block or several were in use, what comes after a reset is zeroed and aligned. */
static void scratch_is_used_again(void **state)
{
	Arena *a = ((Fixture *)*state)->arena, *scratch = arena_scratch(a);
	char *kept = arena_copy(a, "kept");
	for (size_t turn = 0; turn < 40; turn++) {
		for (size_t n = 0; n < 10 + turn * 20; n++) {
			size_t size = n % 17 * 40 + 1;
			unsigned char *p = arena_alloc(scratch, size, 1);
			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t i = 0; i < size; i++) assert_int_equal(p[i], 0);
			memset(p, 0xff, size);
		}
		if (turn % 3 == 0) memset(arena_alloc(scratch, 300, 1000), 0xff, 300000);
		arena_reset(scratch);
		arena_reset(scratch);
	}
	assert_string_equal(kept, "kept");
}

/* Its blocks count as the parent's while it has them, and the jump is to the parent's guard. */
static void scratch_is_within_its_parents_limit(void **state)
{
	(void)state;
	Arena *a = arena_new(1 << 20), *volatile scratch = NULL;
	jmp_buf out;
	volatile int blocks = 0, turns = 0;
	if (setjmp(out) == 0) {
		arena_guard(a, &out);
		scratch = arena_scratch(a);
		for (; turns < 100; turns++) {
			for (int i = 0; i < 6; i++) arena_alloc(scratch, 100, 1000);
			arena_reset(scratch);
		}
		for (;; blocks++) arena_alloc(scratch, 100, 1000);
	}
	assert_int_equal(turns, 100);
	assert_in_range(blocks, 5, 10);
	if (setjmp(out) == 0) {
		for (int i = 0; i < 6; i++) arena_alloc(a, 100, 1000);
		fail();
	}
	arena_reset(scratch);
	if (setjmp(out) != 0) fail();
	for (int i = 0; i < 4; i++) arena_alloc(a, 100, 1000);
	arena_free(a);
}

static void vectors_grow_and_keep_their_elements(void **state)
{
	Arena *a = ((Fixture *)*state)->arena;
	Vec(int) v = {0};
	for (int i = 0; i < 5000; i++) vec_push(a, v, i * i);
	assert_int_equal(v.n, 5000);
	for (int i = 0; i < 5000; i++) assert_int_equal(v.at[i], i * i);
}

static void texts_grow_past_every_boundary(void **state)
{
	Arena *a = ((Fixture *)*state)->arena;
	for (int n = 60; n < 70; n++) {
		Text t;
		text_init(&t, a);
		text_printf(&t, "%*d", n, 7);
		text_add(&t, "x");
		text_addn(&t, "yz", 1);
		assert_int_equal(t.len, n + 2);
		assert_string_equal(t.data + n - 1, "7xy");
	}
	assert_string_equal(arena_printf(a, "%d-%s", 3, "abc"), "3-abc");
}

/* Formats that are taken apart here, and those that are left to C, as C prints them. */
static void formats_mean_what_they_mean_in_c(void **state)
{
	Text t;
	text_init(&t, ((Fixture *)*state)->arena);
	text_printf(&t, "%s %d,%lld%c", "one", -7, (long long)INT64_MIN, '!');
	text_printf(&t, " %d %lld %d", INT_MIN, (long long)INT64_MAX, 0);
	text_printf(&t, " %s %05d %%", "two", 42);
	text_printf(&t, "%s", "");
	text_printf(&t, " %d%x%s", 10, 255U, "three");
	assert_string_equal(t.data, "one -7,-9223372036854775808! -2147483648 9223372036854775807 0"
	                            " two 00042 % 10ffthree");
	assert_int_equal(t.len, strlen(t.data));
}

static const char *number(Arena *a, double x, bool is_double)
{
	Text t;
	text_init(&t, a);
	text_number(&t, x, is_double);
	return t.data;
}

static void numbers_are_short_and_read_back(void **state)
{
	Arena *a = ((Fixture *)*state)->arena;
	assert_string_equal(number(a, 1, false), "1.0f");
	assert_string_equal(number(a, -0.0, false), "-0.0f");
	assert_string_equal(number(a, 0.1, false), "0.1f");
	assert_string_equal(number(a, 0.1, true), "0.1");
	assert_string_equal(number(a, 1e10, true), "1e+10");
	assert_string_equal(number(a, INFINITY, false), "INFINITY");
	assert_string_equal(number(a, -INFINITY, true), "(-HUGE_VAL)");
	assert_string_equal(number(a, 1e300, false), "INFINITY");
	assert_string_equal(number(a, (double)NAN, false), "NAN");
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t bits = (uint32_t)hash_bytes(&i, sizeof i, 1);
		float x, y;
		memcpy(&x, &bits, 4);
		if (isnan(x) || isinf(x)) continue;
		y = strtof(number(a, (double)x, false), NULL);
		assert_memory_equal(&x, &y, 4);
		uint64_t wide = hash_bytes(&i, sizeof i, 2);
		double d, e;
		memcpy(&d, &wide, 8);
		if (isnan(d) || isinf(d)) continue;
		e = strtod(number(a, d, true), NULL);
		assert_memory_equal(&d, &e, 8);
	}
}

static void checked_arithmetic_refuses_to_wrap(void **state)
{
	(void)state;
	static const int64_t edge[] = {INT64_MIN, INT64_MIN + 1, -3037000500, -2, -1, 0, 1, 2, 3,
	    3037000499, 3037000500, INT64_MAX / 2, INT64_MAX - 1, INT64_MAX};
	for (int i = 0; i < COUNT(edge); i++)
		for (int j = 0; j < COUNT(edge); j++) {
			int64_t got = 42, expected;
			bool fits = !__builtin_mul_overflow(edge[i], edge[j], &expected);
			assert_int_equal(mul_fits(edge[i], edge[j], &got), fits);
			assert_true(got == (fits ? expected : 42));
			got = 42;
			fits = !__builtin_add_overflow(edge[i], edge[j], &expected);
			assert_int_equal(add_fits(edge[i], edge[j], &got), fits);
			assert_true(got == (fits ? expected : 42));
		}
}

/* Initial weights depend on these hashes: they must never change. */
static void hashes_are_fixed_for_ever(void **state)
{
	(void)state;
	assert_true(hash_str("") == UINT64_C(0xf52a15e9a9b5e89b));
	assert_true(hash_str("conv1.weight") == UINT64_C(0x518adaf9dfb88fbe));
	assert_true(hash_bytes("a", 1, 0) != hash_bytes("a", 1, 1));
}

static const char *in(Fixture *f, const char *name)
{
	return arena_printf(f->arena, "%s/%s", f->folder, name);
}

static int files_in(Fixture *f)
{
	FILE *p = popen(arena_printf(f->arena, "ls -A '%s' | wc -l", f->folder), "r");
	int n = -1;
	assert_int_equal(fscanf(p, "%d", &n), 1);
	pclose(p);
	return n;
}

static void maps_find_what_was_put(void **state)
{
	Arena *a = ((Fixture *)*state)->arena;
	enum { N = 5000 };
	static int value[N];
	Map m;
	map_init(&m, a);
	assert_null(map_get(&m, "x", 1));
	for (int i = 0; i < N; i++) map_put(&m, &i, sizeof i, &value[i]);
	for (int i = 0; i < N; i++) assert_ptr_equal(map_get(&m, &i, sizeof i), &value[i]);
	for (int i = N; i < 2 * N; i++) assert_null(map_get(&m, &i, sizeof i));
	assert_null(map_get(&m, "", 0));
	map_put(&m, "", 0, &value[1]);
	map_put(&m, "", 0, &value[2]);
	assert_ptr_equal(map_get(&m, "", 0), &value[2]);
	assert_int_equal(m.n, N + 1);
}

static void files_come_back_as_written(void **state)
{
	Fixture *f = *state;
	char *data, *read;
	size_t size;
	data = arena_alloc(f->arena, 100000, 1);
	for (int i = 0; i < 100000; i++) data[i] = (char)(i * 7);
	assert_null(file_write(f->arena, in(f, "a"), data, 100000, false));
	assert_null(file_read(f->arena, in(f, "a"), 100000, &read, &size));
	assert_int_equal(size, 100000);
	assert_memory_equal(read, data, 100000);
	assert_int_equal(read[size], 0);
	assert_non_null(
	    strstr(file_read(f->arena, in(f, "a"), 99999, &read, &size), "larger than 99999"));
	assert_non_null(strstr(file_read(f->arena, in(f, "b"), 9, &read, &size), "/b: No such file"));
	assert_non_null(strstr(file_read(f->arena, f->folder, 9, &read, &size), "directory"));
	assert_null(file_write(f->arena, in(f, "a"), "", 0, false));
	assert_null(file_read(f->arena, in(f, "a"), 10, &read, &size));
	assert_int_equal(size, 0);
	assert_int_equal(files_in(f), 1);
}

static void an_unchanged_file_keeps_its_time(void **state)
{
	Fixture *f = *state;
	const char *path = in(f, "a");
	assert_null(file_write(f->arena, path, "text", 4, true));
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	assert_int_equal(utimensat(-100, path, old, 0), 0);
	struct stat st;
	assert_null(file_write(f->arena, path, "text", 4, true));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mtime, 1000);
	assert_null(file_write(f->arena, path, "texts", 5, true));
	assert_int_equal(stat(path, &st), 0);
	assert_int_not_equal(st.st_mtime, 1000);
}

static void a_full_disk_leaves_every_old_file(void **state)
{
	Fixture *f = *state;
	Arena *a = f->arena;
	char *big = arena_alloc(a, 1, 1 << 20), *read;
	size_t size;
	assert_null(file_write(a, in(f, "x.h"), "old h", 5, false));
	assert_null(file_write(a, in(f, "x.c"), "old c", 5, false));
	/* No file may grow past 64 KB: what a full disk does, without one. */
	struct rlimit before, small;
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = 65536;
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	FileText file[] = {{in(f, "x.h"), "new h", 5}, {in(f, "x.c"), big, 1 << 20}};
	const char *error = file_write_all(a, file, 2, false);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_non_null(error);
	assert_non_null(strstr(error, "cannot write"));
	assert_non_null(strstr(error, "x.c"));
	assert_null(file_read(a, in(f, "x.h"), 100, &read, &size));
	assert_string_equal(read, "old h");
	assert_null(file_read(a, in(f, "x.c"), 100, &read, &size));
	assert_string_equal(read, "old c");
	assert_int_equal(files_in(f), 2);
	if (access("/dev/full", W_OK) == 0)
		assert_non_null(strstr(file_write(a, "/dev/full", "x", 1, false), "No space"));
}

static void links_stay_links_and_modes_stay(void **state)
{
	Fixture *f = *state;
	assert_null(file_write(f->arena, in(f, "real"), "1", 1, false));
	assert_int_equal(chmod(in(f, "real"), 0640), 0);
	assert_int_equal(symlink("real", in(f, "link")), 0);
	assert_null(file_write(f->arena, in(f, "link"), "22", 2, false));
	struct stat st;
	assert_int_equal(lstat(in(f, "link"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(in(f, "real"), &st), 0);
	assert_int_equal(st.st_size, 2);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_non_null(file_write(f->arena, in(f, "no/such/folder"), "1", 1, false));
	assert_non_null(file_write(f->arena, f->folder, "1", 1, false));
}

static void messages_name_their_place(void **state)
{
	Fixture *f = *state;
	Diag d;
	Text t;
	diag_init(&d, f->arena);
	diag_error(&d, (Where){"net.lua", 12, "net.lua", 30}, "conv1: %d channels", 3);
	diag_note(&d, (Where){"net.lua", 4, NULL, 0}, "declared here");
	diag_warning(&d, (Where){0}, "odd\033[31m");
	text_init(&t, f->arena);
	diag_print(&d, &t);
	assert_string_equal(t.data, "net.lua:12: error: conv1: 3 channels\n"
	                            "net.lua:30: note: called from here\n"
	                            "net.lua:4: note: declared here\n"
	                            "cnnc: warning: odd?[31m\n");
	assert_int_equal(d.errors, 1);
}

static void errors_stop_after_the_limit(void **state)
{
	Fixture *f = *state;
	Diag d;
	diag_init(&d, f->arena);
	for (int i = 0; i < 100; i++) {
		diag_error(&d, (Where){0}, "%d", i);
		diag_note(&d, (Where){0}, "note %d", i);
	}
	assert_int_equal(d.errors, 100);
	assert_int_equal(d.message.n, 2 * DIAG_LIMIT + 1);
	assert_int_equal(d.message.at[2 * DIAG_LIMIT].severity, DIAG_NOTE);
}

static void the_nearest_word_is_near(void **state)
{
	(void)state;
	static const char *const word[] = {"stride", "kernel", "pad", "bias", "dilation", "groups"};
	assert_string_equal(diag_nearest("strid", word, COUNT(word)), "stride");
	assert_string_equal(diag_nearest("kernle", word, COUNT(word)), "kernel");
	assert_string_equal(diag_nearest("PAD", word, COUNT(word)), "pad");
	assert_string_equal(diag_nearest("diltaion", word, COUNT(word)), "dilation");
	assert_null(diag_nearest("momentum", word, COUNT(word)));
	assert_null(diag_nearest("", word, COUNT(word)));
	char giant[5000];
	memset(giant, 'a', sizeof giant - 1);
	giant[sizeof giant - 1] = '\0';
	assert_null(diag_nearest(giant, word, COUNT(word)));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(arena_gives_zeroed_aligned_memory),
	    TEST(arena_jumps_when_the_limit_is_reached),
	    TEST(scratch_is_used_again),
	    TEST(scratch_is_within_its_parents_limit),
	    TEST(vectors_grow_and_keep_their_elements),
	    TEST(texts_grow_past_every_boundary),
	    TEST(formats_mean_what_they_mean_in_c),
	    TEST(numbers_are_short_and_read_back),
	    TEST(checked_arithmetic_refuses_to_wrap),
	    TEST(hashes_are_fixed_for_ever),
	    TEST(maps_find_what_was_put),
	    TEST(files_come_back_as_written),
	    TEST(an_unchanged_file_keeps_its_time),
	    TEST(a_full_disk_leaves_every_old_file),
	    TEST(links_stay_links_and_modes_stay),
	    TEST(messages_name_their_place),
	    TEST(errors_stop_after_the_limit),
	    TEST(the_nearest_word_is_near),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
