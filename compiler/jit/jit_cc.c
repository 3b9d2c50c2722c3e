/* jit_cc: a system compiler makes a shared object, dlopen brings it in. For the tests, which
 * compare compilers, and for tuning, which measures what users will run. The temporary directory is
 * gone before the first call: the loaded object stays mapped. No shell sees the command. */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "jit_private.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* A temporary directory and the three files in it. */
typedef struct {
	char folder[1024];
	char source[1100], object[1100], log[1100];
} Workshop;

static const char *workshop_open(Arena *a, Workshop *w)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(w->folder, sizeof w->folder, "%s/cnnc-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (n < 0 || (size_t)n >= sizeof w->folder) return "TMPDIR is too long";
	if (!mkdtemp(w->folder))
		return arena_printf(a, "cannot make %s: %s", w->folder, strerror(errno));
	snprintf(w->source, sizeof w->source, "%s/network.c", w->folder);
	snprintf(w->object, sizeof w->object, "%s/network.so", w->folder);
	snprintf(w->log, sizeof w->log, "%s/log", w->folder);
	return NULL;
}

static void workshop_close(const Workshop *w)
{
	unlink(w->source);
	unlink(w->object);
	unlink(w->log);
	rmdir(w->folder);
}

/* false with errno set. */
static bool write_source(const Workshop *w, const char *text)
{
	FILE *f = fopen(w->source, "w");
	if (!f) return false;
	bool ok = fputs(text, f) >= 0;
	if (fclose(f) != 0) ok = false;
	return ok;
}

enum { WORDS = 64 };

/* The command's words, then what makes a shared object of the source. `words` is cut up. */
static bool command_line(const Workshop *w, char *words, const char **argv)
{
	int n = 0;
	for (char *word = words; *word;) {
		word += strspn(word, " ");
		if (!*word) break;
		if (n == WORDS - 8) return false;
		argv[n++] = word;
		word += strcspn(word, " ");
		if (*word) *word++ = '\0';
	}
	if (n == 0) return false;
	argv[n++] = "-shared";
	argv[n++] = "-fPIC";
	argv[n++] = "-o";
	argv[n++] = w->object;
	argv[n++] = w->source;
	argv[n++] = "-lm";
	argv[n] = NULL;
	return true;
}

/* Runs it with its output in the log. 0: done; else errno, or -1 when it ran and failed. */
static int run(const Workshop *w, const char *const *argv)
{
	posix_spawn_file_actions_t actions;
	int error = posix_spawn_file_actions_init(&actions);
	if (error) return error;
	pid_t pid;
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, w->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	posix_spawn_file_actions_adddup2(&actions, 1, 2);
	/* posix_spawn changes nothing in argv; its type is older than const. */
	error = posix_spawnp(&pid, argv[0], &actions, NULL, (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error) return error;
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR) return errno;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

/* The beginning of what the compiler said. */
static void read_log(const Workshop *w, char *text, size_t size)
{
	FILE *f = fopen(w->log, "r");
	size_t n = f ? fread(text, 1, size - 1, f) : 0;
	text[n] = '\0';
	if (f) fclose(f);
}

static void *symbol(void *handle, const char *name) { return dlsym(handle, name); }
static void close_object(void *handle) { dlclose(handle); }

/* All that happens while the directory exists: no arena here, so that it is always removed. */
static void *build(
    const Workshop *w, const char *text, const char *const *argv, char *error, size_t size)
{
	if (!write_source(w, text)) {
		snprintf(error, size, "cannot write %s: %s", w->source, strerror(errno));
		return NULL;
	}
	int status = run(w, argv);
	if (status > 0) snprintf(error, size, "cannot run %s: %s", argv[0], strerror(status));
	if (status < 0) read_log(w, error, size);
	if (status) return NULL;
	void *handle = dlopen(w->object, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		const char *why = dlerror();
		snprintf(error, size, "%s", why ? why : "dlopen failed");
	}
	return handle;
}

Jit *jit_cc(Arena *a, const char *text, const char *compiler, const char **error)
{
	Workshop w;
	const char *argv[WORDS];
	char *words = arena_copy(a, compiler);
	char *message = arena_alloc(a, 4096, 1);
	*error = workshop_open(a, &w);
	if (*error) return NULL;
	void *handle = NULL;
	if (command_line(&w, words, argv))
		handle = build(&w, text, argv, message, 4096);
	else
		snprintf(message, 4096, "the command is empty or too long");
	workshop_close(&w);
	if (!handle) {
		*error =
		    arena_printf(a, "%s: %s", compiler, *message ? message : "failed without a message");
		return NULL;
	}
	Jit *j = jit_new(handle, symbol, close_object);
	if (!j) *error = "out of memory";
	return j;
}
