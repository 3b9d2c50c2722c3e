/* spawn: for tests of the program as users see it. A command runs by the shell in a folder of its
 * own; `cnnc` there is the one that was built. */
#ifndef CNNC_TEST_SPAWN_H
#define CNNC_TEST_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct {
	char folder[64]; /* gone after spawn_close */
	int status;      /* of the newest command; 128 + n: killed by signal n */
	char *out, *err; /* what it said; owned by the Spawn */
	char *read;      /* the newest spawn_read */
} Spawn;

bool spawn_open(Spawn *s);
void spawn_close(Spawn *s);
/* Runs a command line, printf's format, and returns its status. */
int spawn(Spawn *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
void spawn_write(Spawn *s, const char *name, const char *text); /* a file in the folder */
const char *spawn_read(Spawn *s, const char *name);             /* NULL: there is none */
bool spawn_exists(Spawn *s, const char *name);

/* A test's state that is a Spawn. */
int spawn_setup(void **state);
int spawn_teardown(void **state);

/* Runs and expects a status; on another one, says what the command said. */
#define expect(s, wanted, ...)                                                                     \
	do {                                                                                           \
		if (spawn(s, __VA_ARGS__) != (wanted))                                                     \
			fail_msg("status %d, expected %d\n%s%s", (s)->status, wanted, (s)->out, (s)->err);     \
	} while (0)
#define contains(text, part)                                                                       \
	do {                                                                                           \
		if (!strstr(text, part)) fail_msg("no '%s' in:\n%s", part, text);                          \
	} while (0)

#endif
