#define _POSIX_C_SOURCE 200809L
#include "line.h"

#include <editline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

bool line_terminal(void) { return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO); }

/* NULL where there is no home. */
static const char *history_file(char *path, size_t size)
{
	const char *home = getenv("HOME");
	int n = home && *home ? snprintf(path, size, "%s/.cnnc_history", home) : -1;
	return n > 0 && (size_t)n < size ? path : NULL;
}

void line_open(void)
{
	enum { HISTORY_LINES = 1000 };
	char path[4096];
	using_history();
	stifle_history(HISTORY_LINES);
	if (history_file(path, sizeof path)) read_history(path); /* the first time there is none */
}

void line_close(void)
{
	char path[4096];
	if (history_file(path, sizeof path)) write_history(path);
}

void line_remember(const char *text) { add_history(text); }

char *line_read(bool terminal, const char *prompt)
{
	if (terminal) {
		fflush(stdout);
		return readline(prompt);
	}
	char *line = NULL;
	size_t room = 0;
	ssize_t n = getline(&line, &room, stdin);
	if (n < 0) {
		free(line);
		return NULL;
	}
	if (n > 0 && line[n - 1] == '\n') line[n - 1] = '\0';
	return line;
}
