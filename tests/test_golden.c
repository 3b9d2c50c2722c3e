/* What stages and the printer make of small networks, word for word. tests/pass and tests/emit hold
 * networks with lines `-- golden: EXTENSION OPTIONS`: cnnc's output with these options is in the
 * file of that extension beside it. `make golden` writes them anew; the diff is to be read. */
#define _XOPEN_SOURCE 700
#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
	Spawn *s = calloc(1, sizeof *s);
	*state = s;
	return s && spawn_open(s) ? 0 : -1;
}

static int teardown(void **state)
{
	spawn_close(*state);
	free(*state);
	return 0;
}

static bool is_writing(void)
{
	const char *golden = getenv("CNNC_GOLDEN");
	return golden && !strcmp(golden, "write");
}

/* The first line that differs, for people. */
static void compare(const char *command, const char *got, const char *want)
{
	int line = 1;
	for (; *got && *got == *want; got++, want++) line += *got == '\n';
	if (*got != *want)
		fail_msg("%s: line %d differs: '%.60s', expected '%.60s'; make golden, if it is meant",
		    command, line, got, want);
}

/* One line of one network: folder/name.lua, `extension` and options. */
static void check_golden(
    Spawn *s, const char *folder, const char *name, const char *extension, const char *options)
{
	char command[1200], from[1200];
	snprintf(command, sizeof command, "cnnc %s.lua %s", name, options);
	snprintf(from, sizeof from, "source/tests/%s/%s.%s", folder, name, extension);
	if (spawn(s, "cd source/tests/%s && %s", folder, command) != 0)
		fail_msg("%s: %s", command, s->err);
	if (is_writing()) {
		assert_int_equal(
		    spawn(s, "cd source/tests/%s && %s >%s.%s", folder, command, name, extension), 0);
		return;
	}
	const char *want = spawn_read(s, from);
	if (!want) fail_msg("there is no %s: make golden", from);
	compare(command, s->out, want);
}

static int check_network(Spawn *s, const char *folder, char *name)
{
	static const char mark[] = "-- golden: ";
	char path[300], line[500];
	int found = 0;
	snprintf(path, sizeof path, "tests/%s/%s", folder, name);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	name[strlen(name) - strlen(".lua")] = '\0';
	while (fgets(line, sizeof line, f)) {
		if (strncmp(line, mark, strlen(mark)) != 0) continue;
		line[strcspn(line, "\n")] = '\0';
		char *extension = line + strlen(mark), *options = extension + strcspn(extension, " ");
		if (*options) *options++ = '\0';
		check_golden(s, folder, name, extension, options);
		found++;
	}
	fclose(f);
	return found;
}

static void check_folder(Spawn *s, const char *folder)
{
	char path[300];
	int found = 0;
	char *source = realpath(".", NULL);
	assert_non_null(source);
	assert_int_equal(spawn(s, "ln -s '%s' source", source), 0);
	free(source);
	snprintf(path, sizeof path, "tests/%s", folder);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(e->d_name);
		if (n > 4 && !strcmp(e->d_name + n - 4, ".lua"))
			found += check_network(s, folder, e->d_name);
	}
	closedir(d);
	assert_true(found > 0);
}

static void stages_make_what_they_made(void **state) { check_folder(*state, "pass"); }

static void the_printer_prints_what_it_printed(void **state) { check_folder(*state, "emit"); }

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(stages_make_what_they_made),
	    TEST(the_printer_prints_what_it_printed),
	};
	return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
