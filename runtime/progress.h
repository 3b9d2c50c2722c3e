/* progress: how far an epoch is, and how well it goes.
 *
 * On a terminal one line is redrawn in place, ten times a second at most; elsewhere only the
 * closing line of each epoch is printed, so logs stay readable. Closing lines are the same in both.
 */
#ifndef CNNC_RUNTIME_PROGRESS_H
#define CNNC_RUNTIME_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
	FILE *out;
	bool live;             /* a terminal that can redraw a line */
	char label[32];        /* "epoch 3/10" */
	uint64_t total;        /* images of the epoch */
	uint64_t before, done; /* images handled before a resume; since */
	uint64_t right;        /* correctly classified, of `done` */
	double loss;           /* sum over `done` */
	double start, last;    /* seconds of the monotonic clock: of the beginning, of the last batch */
	double drawn;
} Progress;

void progress_open(Progress *p, FILE *out);
void progress_begin(Progress *p, const char *label, uint64_t before, uint64_t total);
/* A batch of n images is done: its mean loss, and how many were right. */
void progress_add(Progress *p, uint64_t n, double loss, uint64_t right);
/* The closing line: label, mean loss, accuracy, images a second and the seconds up to the last
 * batch, so that a test in between does not count; `more` is put at its end. */
void progress_end(Progress *p, const char *more);

/* The line that stands there after `seconds`, never longer than `columns` - 1 characters: the bar
 * takes what the numbers leave, and is left out where that is too little. */
void progress_line(const Progress *p, double seconds, int columns, char *line, size_t room);

#endif
