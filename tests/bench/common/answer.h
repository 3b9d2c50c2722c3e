/* answer: how a peer of tests/bench/bench.py answers the lines of its standard input, one line
 * each:
 *
 *   info           what it is
 *   open WORDS     of peers that take one layer after the other: makes this one ready
 *   check PATH     writes floats to PATH: what it computes; "ok"
 *   run SECONDS    a call's seconds of wall clock and of processor time, means over calls that take
 *                  at least SECONDS together, after one that is not timed where it is short */
#ifndef CNNC_BENCH_ANSWER_H
#define CNNC_BENCH_ANSWER_H

typedef struct {
	const char *name; /* of the program, for messages */
	const char *info;
	const char *(*open)(void *self, const char *words); /* the answer; NULL: nothing is opened */
	void (*check)(void *self, const char *path);
	void (*call)(void *self);
	void *self;
} Answers;

/* Until the input ends; anything else that it says ends the program. */
void answer_all(const Answers *a);

#endif
