/* file: error texts, whole files, and files replaced whole. */
#define _XOPEN_SOURCE 700 /* POSIX 2008 with realpath */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool format_fail(FormatError *e, const char *format, ...)
{
	if (!e) return false;
	va_list args;
	va_start(args, format);
	vsnprintf(e->text, sizeof e->text, format, args);
	va_end(args);
	for (char *p = e->text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if ((c < ' ' && c != '\n') || c == 0x7f) *p = '?';
	}
	return false;
}

/* --- reading ------------------------------------------------------------------------------ */

/* Reads to the end of the stream into a block that grows from `room` bytes to limit + 1: the byte
 * more tells a file of just the limit from a longer one. */
static bool read_stream(FILE *in, const char *path, size_t room, size_t limit, unsigned char **data,
    size_t *size, FormatError *e)
{
	unsigned char *block = malloc(room);
	size_t n = 0;
	while (block) {
		n += fread(block + n, 1, room - n, in);
		if (ferror(in)) {
			free(block);
			return format_fail(e, "%s: cannot read: %s", path, strerror(errno));
		}
		if (n > limit) {
			free(block);
			return format_fail(e, "%s: larger than the limit of %zu bytes", path, limit);
		}
		if (n < room) {
			*data = block;
			*size = n;
			return true;
		}
		room = room > limit / 2 ? limit + 1 : 2 * room;
		unsigned char *more = realloc(block, room);
		if (!more) free(block);
		block = more;
	}
	return format_fail(e, "%s: no memory for %zu bytes", path, room);
}

bool format_read_file(
    const char *path, size_t limit, unsigned char **data, size_t *size, FormatError *e)
{
	if (limit == SIZE_MAX) limit--;
	FILE *in = fopen(path, "rb");
	if (!in) return format_fail(e, "%s: cannot open: %s", path, strerror(errno));
	struct stat about;
	size_t room = 65536;
	if (fstat(fileno(in), &about) == 0) {
		if (S_ISDIR(about.st_mode)) {
			fclose(in);
			return format_fail(e, "%s: is a directory", path);
		}
		if (S_ISREG(about.st_mode)) {
			if ((uintmax_t)about.st_size > limit) {
				fclose(in);
				return format_fail(e, "%s: larger than the limit of %zu bytes", path, limit);
			}
			room = (size_t)about.st_size + 1;
		}
	}
	if (room > limit + 1) room = limit + 1;
	bool ok = read_stream(in, path, room, limit, data, size, e);
	fclose(in);
	return ok;
}

/* --- writing ------------------------------------------------------------------------------ */

static char *copy_text(const char *s)
{
	size_t n = strlen(s) + 1;
	char *copy = malloc(n);
	if (copy) memcpy(copy, s, n);
	return copy;
}

/* Opens a new file "target.tmp-PID-K"; an old one of that name, left by a crash, is passed over. */
static int open_beside(SafeFile *f)
{
	enum { TRIES = 100 };
	size_t room = strlen(f->target) + 48;
	f->beside = malloc(room);
	if (!f->beside) {
		errno = ENOMEM;
		return -1;
	}
	for (int k = 0; k < TRIES; k++) {
		snprintf(f->beside, room, "%s.tmp-%ld-%d", f->target, (long)getpid(), k);
		int fd = open(f->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		if (fd >= 0 || errno != EEXIST) return fd;
	}
	return -1;
}

bool safe_file_open(SafeFile *f, const char *path, FormatError *e)
{
	*f = (SafeFile){0};
	/* through symbolic links, which a rename would replace */
	f->target = realpath(path, NULL);
	if (!f->target) f->target = copy_text(path);
	if (!f->target) return format_fail(e, "%s: no memory", path);
	struct stat about;
	bool old = stat(f->target, &about) == 0;
	if (old && !S_ISREG(about.st_mode)) {
		free(f->target);
		return format_fail(e, "%s: not a regular file, and would be replaced by one", path);
	}
	int fd = open_beside(f);
	f->stream = fd < 0 ? NULL : fdopen(fd, "wb");
	if (!f->stream) {
		format_fail(e, "%s: cannot write: %s", path, strerror(errno));
		if (fd >= 0) {
			close(fd);
			unlink(f->beside);
		}
		free(f->beside);
		free(f->target);
		*f = (SafeFile){0};
		return false;
	}
	/* the new file is as readable as the old; where that is not allowed, the umask's mode is fine
	 */
	if (old) (void)fchmod(fd, about.st_mode & 07777);
	return true;
}

void safe_file_discard(SafeFile *f)
{
	if (f->stream) fclose(f->stream);
	if (f->beside) unlink(f->beside);
	free(f->beside);
	free(f->target);
	*f = (SafeFile){0};
}

/* Reports errno, with the user's file in mind, and discards. */
static bool give_up(SafeFile *f, FormatError *e)
{
	format_fail(e, "%s: cannot write: %s", f->target, strerror(errno));
	safe_file_discard(f);
	return false;
}

bool safe_file_write(SafeFile *f, const void *data, size_t size, FormatError *e)
{
	return !size || fwrite(data, 1, size, f->stream) == size || give_up(f, e);
}

bool safe_file_numbers(SafeFile *f, const void *values, size_t n, int bytes, FormatError *e)
{
	enum { ROOM = 512 };
	unsigned char block[8 * ROOM];
	const unsigned char *from = values;
	size_t width = (size_t)bytes;
	for (size_t i = 0; i < n;) {
		size_t count = n - i < ROOM ? n - i : ROOM;
		for (size_t k = 0; k < count; k++, i++) {
			uint64_t eight;
			uint32_t four;
			if (bytes == 8)
				memcpy(&eight, from + i * width, 8);
			else if (bytes == 4) {
				memcpy(&four, from + i * width, 4);
				eight = four;
			} else
				eight = from[i];
			format_put(block + k * width, bytes, eight);
		}
		if (!safe_file_write(f, block, count * width, e)) return false;
	}
	return true;
}

/* Makes the rename itself last. Some file systems cannot sync a folder: the file is whole all the
 * same, so their refusal is no failure. */
static void sync_folder(const char *file)
{
	char *copy = copy_text(file);
	if (!copy) return;
	int fd = open(dirname(copy), O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

bool safe_file_commit(SafeFile *f, FormatError *e)
{
	if (fflush(f->stream) != 0 || fsync(fileno(f->stream)) != 0) return give_up(f, e);
	FILE *stream = f->stream;
	f->stream = NULL;
	if (fclose(stream) != 0 || rename(f->beside, f->target) != 0) return give_up(f, e);
	sync_folder(f->target);
	free(f->beside);
	free(f->target);
	*f = (SafeFile){0};
	return true;
}
