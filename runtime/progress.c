/* progress: a line that knows whether it is looked at. */
#define _DEFAULT_SOURCE /* TIOCGWINSZ */
#define _POSIX_C_SOURCE 200809L
#include "progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 256, BAR = 40, NARROWEST_BAR = 8 };

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void progress_open(Progress *p, FILE *out)
{
	const char *terminal = getenv("TERM");
	*p = (Progress){.out = out};
	p->live = isatty(fileno(out)) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

static int columns_of(FILE *out)
{
	struct winsize size;
	return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* 0:07, 12:34, 1:02:03 */
static void show_time(char *text, size_t room, double seconds)
{
	const double most = 359999; /* 99:59:59 */
	unsigned long s = (unsigned long)(seconds < 0 ? 0 : seconds > most ? most : seconds + 0.5);
	if (s >= 3600)
		snprintf(text, room, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
	else
		snprintf(text, room, "%lu:%02lu", s / 60, s % 60);
}

/* "loss 0.1234  acc  96.20%": empty before the first batch. */
static void show_quality(const Progress *p, char *text, size_t room)
{
	double loss = p->done ? p->loss / (double)p->done : 0;
	double share = p->done ? 100 * (double)p->right / (double)p->done : 0;
	*text = '\0';
	if (p->done)
		snprintf(text, room, loss < 1e4 ? "  loss %.4f  acc %6.2f%%" : "  loss %.3e  acc %6.2f%%",
		    loss, share);
}

/* [=====>    ] of n characters, brackets included. */
static void show_bar(char *text, int n, double share)
{
	int inside = n - 2, full = (int)(share * inside);
	text[0] = '[';
	for (int i = 0; i < inside; i++) text[1 + i] = i < full ? '=' : i == full ? '>' : ' ';
	text[n - 1] = ']';
	text[n] = '\0';
}

void progress_line(const Progress *p, double seconds, int columns, char *line, size_t room)
{
	char quality[64], speed[64] = "", left[24], bar[BAR + 1] = "", numbers[LINE];
	double share = p->total ? (double)(p->before + p->done) / (double)p->total : 1;
	if (share > 1) share = 1;
	show_quality(p, quality, sizeof quality);
	if (p->done && seconds > 0) {
		double rate = (double)p->done / seconds;
		show_time(left, sizeof left, (1 - share) * (double)p->total / rate);
		snprintf(speed, sizeof speed, "  %.0f images/s  ETA %s", rate, left);
	}
	snprintf(numbers, sizeof numbers, " %3d%%%s%s", (int)(100 * share), quality, speed);
	int free_columns = columns - 1 - (int)strlen(p->label) - 1 - (int)strlen(numbers);
	if (free_columns >= NARROWEST_BAR)
		show_bar(bar, free_columns < BAR ? free_columns : BAR, share);
	snprintf(line, room, "%s %s%s", p->label, bar, numbers);
	if (columns >= 1 && strlen(line) >= (size_t)columns) line[columns - 1] = '\0';
}

static void draw(Progress *p, double at)
{
	char line[LINE];
	progress_line(p, at - p->start, columns_of(p->out), line, sizeof line);
	fprintf(p->out, "\r%s\033[K", line); /* erase to the end of the line */
	fflush(p->out);
	p->drawn = at;
}

void progress_begin(Progress *p, const char *label, uint64_t before, uint64_t total)
{
	*p = (Progress){.out = p->out, .live = p->live, .total = total, .before = before};
	snprintf(p->label, sizeof p->label, "%s", label);
	p->start = p->last = now();
	if (p->live) draw(p, p->start);
}

void progress_add(Progress *p, uint64_t n, double loss, uint64_t right)
{
	p->done += n;
	p->right += right;
	p->loss += loss * (double)n;
	p->last = now();
	if (p->live && p->last - p->drawn >= 0.1) draw(p, p->last);
}

void progress_end(Progress *p, const char *more)
{
	char quality[64];
	double seconds = p->last - p->start;
	show_quality(p, quality, sizeof quality);
	fprintf(p->out, "%s%s%s", p->live ? "\r\033[K" : "", p->label, quality);
	if (p->done && seconds > 0) fprintf(p->out, "  %.0f images/s", (double)p->done / seconds);
	fprintf(p->out, "  %.1f s%s\n", seconds, more);
	fflush(p->out);
}
