#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "spawn.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	abort();
}

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f) return NULL;
	size_t n = 0, room = 1 << 16;
	char *text = malloc(room);
	while (text) {
		n += fread(text + n, 1, room - 1 - n, f);
		if (n < room - 1) break;
		room *= 2;
		text = realloc(text, room);
	}
	if (!text) die("read_file");
	text[n] = '\0';
	fclose(f);
	return text;
}

static void path_of(const Spawn *s, const char *name, char *path, size_t size)
{
	if ((size_t)snprintf(path, size, "%s/%s", s->folder, name) >= size) die(name);
}

bool spawn_open(Spawn *s)
{
	const char *build = getenv("BUILD");
	char cnnc[4096], link[256], *real;
	memset(s, 0, sizeof *s);
	strcpy(s->folder, "/tmp/cnnc-test-XXXXXX");
	if (!mkdtemp(s->folder)) return false;
	snprintf(cnnc, sizeof cnnc, "%s/cnnc", build ? build : "build");
	real = realpath(cnnc, NULL);
	if (!real) return perror(cnnc), false;
	/* A folder of its own in $PATH, so that test commands read as users write them. */
	path_of(s, ".bin", link, sizeof link);
	char command[5000];
	snprintf(command, sizeof command, "mkdir '%s' && ln -s '%s' '%s/cnnc'", link, real, link);
	free(real);
	return system(command) == 0;
}

void spawn_close(Spawn *s)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", s->folder);
	if (system(command) != 0) perror(s->folder);
	free(s->out);
	free(s->err);
	free(s->read);
}

int spawn(Spawn *s, const char *format, ...)
{
	va_list args;
	char path[256], line[8192], *at = line;
	at += snprintf(at, sizeof line, "cd '%s' && { ", s->folder);
	va_start(args, format);
	int n = vsnprintf(at, sizeof line - 200, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof line - 400) die("spawn: the command is too long");
	strcat(line, "\n} >.out 2>.err");
	/* HOME is ours, so that no test sees or changes a user's history. */
	snprintf(path, sizeof path, "%s/.bin:/usr/local/bin:/usr/bin:/bin", s->folder);
	pid_t child = fork();
	if (child < 0) die("fork");
	if (child == 0) {
		setenv("PATH", path, 1);
		setenv("HOME", s->folder, 1);
		execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	int status;
	if (waitpid(child, &status, 0) < 0) die("waitpid");
	s->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	free(s->out);
	free(s->err);
	path_of(s, ".out", path, sizeof path);
	s->out = read_file(path);
	path_of(s, ".err", path, sizeof path);
	s->err = read_file(path);
	if (!s->out || !s->err) die("spawn: no output");
	return s->status;
}

void spawn_write(Spawn *s, const char *name, const char *text)
{
	char path[512];
	path_of(s, name, path, sizeof path);
	FILE *f = fopen(path, "wb");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0) die(path);
}

const char *spawn_read(Spawn *s, const char *name)
{
	char path[512];
	path_of(s, name, path, sizeof path);
	free(s->read);
	s->read = read_file(path);
	return s->read;
}

bool spawn_exists(Spawn *s, const char *name)
{
	char path[512];
	path_of(s, name, path, sizeof path);
	return access(path, F_OK) == 0;
}

int spawn_setup(void **state)
{
	Spawn *s = malloc(sizeof *s);
	*state = s;
	return s && spawn_open(s) ? 0 : -1;
}

int spawn_teardown(void **state)
{
	spawn_close(*state);
	free(*state);
	return 0;
}
