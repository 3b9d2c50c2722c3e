/* What the pages promise: examples are run as they stand there, options exist, every operator is
 * described.
 *
 * A block of a page that follows a line `<!-- test: NAME -->` is taken out of it. */
#define _XOPEN_SOURCE 700
#include "../compiler/op.h"
#include "spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { PAGE = 1 << 16 };

typedef struct {
	Spawn spawn;
	char page[PAGE], block[PAGE];
} Fixture;

static void read_page(Fixture *f, const char *path)
{
	FILE *file = fopen(path, "rb");
	if (!file) fail_msg("cannot read %s", path);
	size_t n = fread(f->page, 1, PAGE - 1, file);
	f->page[n] = '\0';
	fclose(file);
	assert_true(n > 0 && n < PAGE - 1);
}

static int setup(void **state)
{
	Fixture *f = calloc(1, sizeof *f);
	char here[4096];
	*state = f;
	if (!f || !spawn_open(&f->spawn) || !getcwd(here, sizeof here)) return -1;
	if (spawn(&f->spawn, "ln -s '%s/networks' networks", here) != 0) return -1;
	return 0;
}

static int teardown(void **state)
{
	Fixture *f = *state;
	spawn_close(&f->spawn);
	free(f);
	return 0;
}

/* The page's block of this name, in f->block. */
static const char *block_of(Fixture *f, const char *page, const char *name)
{
	char mark[64];
	read_page(f, page);
	snprintf(mark, sizeof mark, "<!-- test: %s -->\n```", name);
	const char *start = strstr(f->page, mark);
	if (!start) fail_msg("no block %s in %s", name, page);
	start = strchr(start + strlen(mark), '\n') + 1;
	const char *end = strstr(start, "\n```\n");
	if (!end) fail_msg("the block %s has no end", name);
	snprintf(f->block, sizeof f->block, "%.*s", (int)(end + 1 - start), start);
	return f->block;
}

static const char *block(Fixture *f, const char *name) { return block_of(f, "README.md", name); }

static void run(Fixture *f, const char *command)
{
	if (spawn(&f->spawn, "%s", command) != 0)
		fail_msg("status %d of: %s\n%s%s", f->spawn.status, command, f->spawn.out, f->spawn.err);
}

static void the_program_around_emitted_c_is_true(void **state)
{
	Fixture *f = *state;
	spawn_write(&f->spawn, "bars.c", block(f, "bars.c"));
	char commands[2048];
	snprintf(commands, sizeof commands, "set -e\n%s", block(f, "sh"));
	run(f, commands);
	assert_string_equal(f->spawn.out, block(f, "output"));
	run(f, "cc -std=c11 -Wall -Wextra -Wconversion -Werror -fsyntax-only bars.c");
	run(f, "c++ -std=c++17 -Wall -Wextra -Werror -fsyntax-only -x c++ lenet.c");
}

static void the_makefile_builds_it(void **state)
{
	Fixture *f = *state;
	spawn_write(&f->spawn, "bars.c", block(f, "bars.c"));
	spawn_write(&f->spawn, "Makefile", block_of(f, "docs/building.md", "make"));
	run(f, "rm -f lenet.* && unset MAKEFLAGS && make -s && ./bars");
	assert_string_equal(f->spawn.out, block(f, "output"));
	run(f, "unset MAKEFLAGS && make -q"); /* nothing is left to be done */
}

static void the_network_compiles(void **state)
{
	Fixture *f = *state;
	spawn_write(&f->spawn, "net.lua", block(f, "net.lua"));
	run(f, "cnnc net.lua && cc -c net.c");
	/* And the message about a mistake is the one that is shown. */
	run(f, "sed -i 's/kernel = 5}):relu():max_pool{2}$/kernel = 5, paddig = 2}):relu()/; 3,$d' "
	       "net.lua");
	assert_int_equal(spawn(&f->spawn, "cnnc net.lua"), 1);
	read_page(f, "README.md");
	char *end = strchr(f->spawn.err, '\n');
	assert_non_null(end);
	*end = '\0';
	if (!strstr(f->page, f->spawn.err)) fail_msg("README.md has no '%s'", f->spawn.err);
}

static void the_language_s_example_compiles(void **state)
{
	Fixture *f = *state;
	spawn_write(&f->spawn, "classifier.lua", block_of(f, "docs/language.md", "classifier.lua"));
	run(f, "cnnc classifier.lua -D width=5 && cc -c classifier.c");
}

static bool is_word(char c) { return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static bool has_word(const char *text, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
		if ((at == text || !is_word(at[-1])) && !is_word(at[n])) return true;
	return false;
}

/* Whether the page somewhere has `x:NAME(...)` or `NAME{...}` with all its options. */
static bool shows_call(const char *page, const OpDesc *op)
{
	char name[64], call[1024];
	snprintf(name, sizeof name, "%s%s", op->flags & OP_OPTIMIZER ? "`" : ":", op->name);
	for (const char *at = page; (at = strstr(at, name)) != NULL; at++) {
		bool good = strchr("({", at[strlen(name)]) != NULL;
		snprintf(call, sizeof call, "%.*s", (int)strcspn(at + 1, "`"), at + 1);
		for (const Attr *a = op->attr; good && a && a->name; a++)
			good = a->type == ATTR_MAP || has_word(call, a->name);
		if (good) return true;
	}
	return false;
}

static void the_language_has_every_operator(void **state)
{
	Fixture *f = *state;
	int operators = 0;
	read_page(f, "docs/language.md");
	for (int i = 0; i < op_count; i++) {
		const OpDesc *op = op_table[i];
		if (!(op->flags & (OP_METHOD | OP_OPTIMIZER))) continue;
		if (!shows_call(f->page, op))
			fail_msg("docs/language.md does not show how %s is called, with all options", op->name);
		operators++;
	}
	assert_true(operators > 40);
}

/* Lines behind "> " go in; all others are what comes out. */
static void the_prompt_answers_as_shown(void **state)
{
	Fixture *f = *state;
	char in[4096] = "", out[4096] = "";
	for (char *line = (char *)block(f, "repl"); *line;) {
		char *end = strchr(line, '\n') + 1, *to = strncmp(line, "> ", 2) ? out : in;
		if (to == in) line += 2;
		strncat(to, line, (size_t)(end - line));
		line = end;
	}
	spawn_write(&f->spawn, "in.txt", in);
	run(f, "cnnc <in.txt && test -s lenet.safetensors");
	assert_string_equal(f->spawn.out, out);
	assert_string_equal(f->spawn.err, "");
}

/* Roff writes the dash of an option as \-. */
static void without_escapes(char *s)
{
	char *to = s;
	for (; *s; s++)
		if (*s != '\\') *to++ = *s;
	*to = '\0';
}

static void the_manual_knows_every_option(void **state)
{
	Fixture *f = *state;
	int options = 0;
	run(f, "cnnc --help");
	read_page(f, "docs/cnnc.1");
	without_escapes(f->page);
	for (char *line = strtok(f->spawn.out, "\n"); line; line = strtok(NULL, "\n")) {
		if (strncmp(line, "  -", 3)) continue;
		line[2 + strcspn(line + 2, " =[")] = '\0';
		if (!strstr(f->page, line + 2)) fail_msg("docs/cnnc.1 has no %s", line + 2);
		options++;
	}
	assert_true(options > 15);
}

/* The other way round: long options named in the pages are understood. */
static void every_option_in_the_pages_exists(void **state)
{
	static const char *const page[] = {"README.md", "docs/cnnc.1", "docs/language.md"};
	Fixture *f = *state;
	run(f, "cnnc --help");
	for (int i = 0; i < 3; i++) {
		read_page(f, page[i]);
		without_escapes(f->page);
		for (const char *at = f->page; (at = strstr(at, "--")) != NULL;) {
			char option[32];
			size_t n = 2 + strspn(at + 2, "abcdefghijklmnopqrstuvwxyz-");
			bool word =
			    n > 3 && n < sizeof option && at[2] != '-' && (at == f->page || at[-1] != '!');
			snprintf(option, sizeof option, "%.*s", word ? (int)n : 0, at);
			if (word && !strstr(f->spawn.out, option)) fail_msg("%s: no %s", page[i], option);
			at += n;
		}
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(the_program_around_emitted_c_is_true),
	    TEST(the_makefile_builds_it),
	    TEST(the_network_compiles),
	    TEST(the_language_s_example_compiles),
	    TEST(the_language_has_every_operator),
	    TEST(the_prompt_answers_as_shown),
	    TEST(the_manual_knows_every_option),
	    TEST(every_option_in_the_pages_exists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
