/* file: checked reading and writing of whole files.
 *
 * Invariant of writing: whoever looks at a target sees the old file or the new one, whole. All
 * files of one call are first written beside their targets and closed; only then are they renamed,
 * in order. Devices, pipes and the like cannot be renamed over: they are written to
 * directly. */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *message(Arena *a, const char *verb, const char *path)
{
	return arena_printf(a, "cannot %s %s: %s", verb, path, strerror(errno));
}

/* Reads to the end or past the limit; the size of a pipe is not known before. When memory is short
 * the arena jumps away and the stream is lost with the compilation. */
static bool read_all(Arena *a, FILE *f, size_t limit, char **data, size_t *size)
{
	size_t room = 1 << 14, n = 0;
	char *s = arena_alloc(a, room, 1);
	for (;;) {
		n += fread(s + n, 1, room - 1 - n, f);
		if (ferror(f)) return false;
		if (feof(f) || n > limit) break;
		if (n == room - 1) {
			s = arena_grow(a, s, n, 2 * room, 1);
			room *= 2;
		}
	}
	s[n] = '\0';
	*data = s;
	*size = n;
	return true;
}

const char *file_read(Arena *a, const char *path, size_t limit, char **data, size_t *size)
{
	FILE *f = fopen(path, "rb");
	if (!f) return message(a, "open", path);
	bool ok = read_all(a, f, limit, data, size);
	const char *error = ok ? NULL : message(a, "read", path);
	fclose(f);
	if (ok && *size > limit) return arena_printf(a, "%s is larger than %zu bytes", path, limit);
	return error;
}

/* A file on its way. `beside` is NULL when the target is written directly or needs no writing. */
typedef struct {
	const char *target, *beside;
	bool done;
} Draft;

static bool write_all(int fd, const char *data, size_t size)
{
	while (size > 0) {
		ssize_t n = write(fd, data, size);
		if (n < 0 && errno == EINTR) continue;
		if (n < 0) return false;
		data += n;
		size -= (size_t)n;
	}
	return true;
}

static bool equals(Arena *a, const char *path, const char *data, size_t size)
{
	char *old;
	size_t old_size;
	if (file_read(a, path, size, &old, &old_size)) return false;
	return old_size == size && memcmp(old, data, size) == 0;
}

/* The file behind symbolic links, so that a link stays a link. */
static const char *resolve(Arena *a, const char *path)
{
	char *real = realpath(path, NULL);
	if (!real) return path;
	/* The arena copy may jump: realpath's memory would be lost, once, when the process is out of
	 * it. */
	const char *copy = arena_copy(a, real);
	free(real);
	return copy;
}

static const char *draft_direct(Arena *a, const FileText *file)
{
	int fd = open(file->path, O_WRONLY | O_CLOEXEC);
	if (fd < 0) return message(a, "open", file->path);
	bool ok = write_all(fd, file->data, file->size);
	const char *error = ok ? NULL : message(a, "write", file->path);
	if (close(fd) != 0 && !error) error = message(a, "write", file->path);
	return error;
}

/* Writes one file beside its target. */
static const char *draft_write(Arena *a, const FileText *file, bool if_changed, Draft *draft)
{
	struct stat st;
	mode_t mode = 0;
	*draft = (Draft){.target = file->path};
	if (stat(file->path, &st) == 0) {
		if (S_ISDIR(st.st_mode)) {
			errno = EISDIR;
			return message(a, "write", file->path);
		}
		if (!S_ISREG(st.st_mode)) return draft->done = true, draft_direct(a, file);
		draft->target = resolve(a, file->path);
		mode = st.st_mode & 07777;
		if (if_changed && equals(a, file->path, file->data, file->size))
			return draft->done = true, NULL;
	}
	const char *name = arena_printf(a, "%s.%ld.tmp", draft->target, (long)getpid());
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0) return message(a, "write", file->path);
	draft->beside = name;
	bool ok = write_all(fd, file->data, file->size);
	if (ok && mode) ok = fchmod(fd, mode) == 0;
	const char *error = ok ? NULL : message(a, "write", file->path);
	if (close(fd) != 0 && !error) error = message(a, "write", file->path);
	return error;
}

const char *file_write_all(Arena *a, const FileText *file, int n, bool if_changed)
{
	const char *error = NULL;
	Draft *draft = NEWS(a, Draft, MAX(n, 1));
	for (int i = 0; i < n && !error; i++) error = draft_write(a, &file[i], if_changed, &draft[i]);
	for (int i = 0; i < n && !error; i++) {
		if (draft[i].done) continue;
		if (rename(draft[i].beside, draft[i].target) != 0)
			error = message(a, "write", file[i].path);
		else
			draft[i].done = true;
	}
	for (int i = 0; i < n; i++)
		if (draft[i].beside && !draft[i].done) unlink(draft[i].beside);
	return error;
}

const char *file_write(Arena *a, const char *path, const char *data, size_t size, bool if_changed)
{
	return file_write_all(a, &(FileText){path, data, size}, 1, if_changed);
}
