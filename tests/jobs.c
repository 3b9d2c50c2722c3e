/* jobs: see jobs.h. */
#define _POSIX_C_SOURCE 200809L
#include "jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SAID = 8192 };

/* The file is shared with the process: first SAID bytes of what the job is at, then the verdict,
 * then what the process wrote to its standard error. */
struct Job {
	pid_t pid;
	int file;
};

static void put(const Job *job, const char *text, off_t at)
{
	size_t n = MIN(strlen(text), SAID - 1);
	char line[SAID] = {0};
	memcpy(line, text, n);
	if (pwrite(job->file, line, SAID, at) != SAID) _exit(99);
}

void job_at(Job *job, const char *what) { put(job, what, 0); }

static void work(Job *job, const JobSpec *spec)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) {
		put(job, "out of memory", SAID);
		_exit(1);
	}
	arena_guard(a, &out_of_memory);
	const char *wrong = spec->run(job, a, spec->self);
	put(job, wrong ? wrong : "", SAID);
	fflush(NULL);
	_exit(wrong != NULL);
}

static bool start(Job *job, const JobSpec *spec)
{
	char path[] = "/tmp/cnnc-job-XXXXXX";
	job->file = mkstemp(path);
	if (job->file < 0) return false;
	unlink(path);
	put(job, "", 0);
	put(job, "", SAID);
	fflush(NULL);
	job->pid = fork();
	if (job->pid == 0) {
		lseek(job->file, 2 * SAID, SEEK_SET);
		dup2(job->file, STDERR_FILENO);
		work(job, spec);
	}
	return job->pid > 0;
}

/* NULL: it went well. */
static const char *verdict(Arena *a, const Job *job, const JobSpec *spec, int status)
{
	char *said = arena_alloc(a, 3 * SAID + 1, 1);
	ssize_t n = pread(job->file, said, 3 * SAID, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return NULL;
	if (n < 0) return arena_printf(a, "%s: %s\n", spec->name, strerror(errno));
	if (WIFSIGNALED(status))
		return arena_printf(a, "%s: killed by signal %d at %s\n%s\n", spec->name, WTERMSIG(status),
		    said, said + 2 * SAID);
	return arena_printf(a, "%s: %s\n%s", spec->name, said + SAID, said + 2 * SAID);
}

const char *jobs_run(Arena *a, const JobSpec *spec, int n)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	int most = processors > 2 ? (int)processors : 2, running = 0, begun = 0;
	Job *job = NEWS(a, Job, n + 1);
	Text wrong;
	text_init(&wrong, a);
	while (begun < n || running) {
		if (begun < n && running < most) {
			if (!start(&job[begun], &spec[begun])) return "cannot start a process";
			begun++;
			running++;
			continue;
		}
		int status, i = 0;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno == EINTR) continue;
		if (pid < 0) return "lost a process";
		while (i < begun && job[i].pid != pid) i++;
		if (i == begun) continue;
		running--;
		const char *said = verdict(a, &job[i], &spec[i], status);
		if (said) text_add(&wrong, said);
		close(job[i].file);
	}
	return wrong.len ? wrong.data : NULL;
}
