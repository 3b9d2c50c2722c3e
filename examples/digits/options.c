/* options: the command line, by one table. */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum { TEXT, WHOLE, REAL, SCHEDULE } Kind;

static const struct {
	const char *name, *value;
	Kind kind;
	size_t place; /* in Options */
	double least, most;
	const char *help;
} table[OPTIONS] = {
    [OPTION_DATA] = {"--data", "DIR", TEXT, offsetof(Options, data), 0, 0,
        "IDX files under MNIST's names, plain or .gz: MNIST, Fashion-MNIST"},
    [OPTION_EPOCHS] = {"--epochs", "N", WHOLE, offsetof(Options, epochs), 0, 1e6,
        "times through the training images; 0: only test"},
    [OPTION_STEPS] = {"--steps", "N", WHOLE, offsetof(Options, steps), 1, 1e15,
        "stop early, when N steps are done in all"},
    [OPTION_BATCH] = {"--batch", "N", WHOLE, offsetof(Options, batch), 1, 1e6,
        "images a step, one of the compiled sizes (make BATCH=N)"},
    [OPTION_RATE] = {"--rate", "X", REAL, offsetof(Options, rate), 0, 1e6, "learning rate"},
    [OPTION_SCHEDULE] = {"--schedule", "NAME", SCHEDULE, offsetof(Options, schedule), 0, 0,
        "of the rate: constant, step (a fifth after each third), cosine"},
    [OPTION_MOMENTUM] = {"--momentum", "X", REAL, offsetof(Options, momentum), 0, 1, "of SGD"},
    [OPTION_DECAY] = {"--decay", "X", REAL, offsetof(Options, decay), 0, 1e3, "of the weights"},
    [OPTION_PAD] = {"--pad", "N", WHOLE, offsetof(Options, pad), 0, 32,
        "move training images by up to N pixels, at random"},
    [OPTION_FLIP] = {"--flip", "N", WHOLE, offsetof(Options, flip), 0, 1,
        "1: mirror half of the training images; for clothes, not for digits"},
    [OPTION_SEED] = {"--seed", "N", WHOLE, offsetof(Options, seed), 0, 1e18,
        "for first weights, and for order and places of images"},
    [OPTION_CHECKPOINT] = {"--checkpoint", "FILE", TEXT, offsetof(Options, checkpoint), 0, 0,
        "go on from FILE if it exists; keep it up to date"},
    [OPTION_WEIGHTS] = {"--weights", "FILE", TEXT, offsetof(Options, weights), 0, 0,
        "write the weights as safetensors at the end"},
    [OPTION_LOAD] = {"--load", "FILE", TEXT, offsetof(Options, load), 0, 0,
        "start from these weights"},
    [OPTION_THREADS] = {"--threads", "N", WHOLE, offsetof(Options, threads), 0, 1024,
        "0: one a processor"},
};

static int complain(const char *program, const char *format, const char *a, const char *b)
{
	fprintf(stderr, "%s: ", program);
	fprintf(stderr, format, a, b);
	fprintf(stderr, "; see --help\n");
	return 2;
}

static void print_help(const Options *o, const char *program)
{
	printf("Usage: %s [OPTION]...\nTrains a compiled network on images of digits and tests it.\n\n",
	    program);
	for (int i = 0; i < OPTIONS; i++) {
		const char *at = (const char *)o + table[i].place;
		char left[40];
		snprintf(left, sizeof left, "%s %s", table[i].name, table[i].value);
		printf("  %-19s %s", left, table[i].help);
		switch (table[i].kind) {
		case TEXT:
			if (*(const char *const *)(const void *)at)
				printf(" [%s]", *(const char *const *)(const void *)at);
			break;
		case WHOLE:
			if (*(const uint64_t *)(const void *)at)
				printf(" [%" PRIu64 "]", *(const uint64_t *)(const void *)at);
			break;
		case REAL: printf(" [%g]", (double)*(const float *)(const void *)at); break;
		case SCHEDULE: printf(" [%s]", rate_name(*(const RateKind *)(const void *)at)); break;
		}
		printf("\n");
	}
	printf("  %-19s this text\n\nCtrl-C stops after the step, with the checkpoint written.\n",
	    "--help");
}

static bool set_whole(int i, const char *text, uint64_t *value)
{
	char *end;
	errno = 0;
	uintmax_t v = strtoumax(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno) return false;
	*value = v;
	return (double)v >= table[i].least && (double)v <= table[i].most;
}

static bool set_real(int i, const char *text, float *value)
{
	char *end;
	double v = strtod(text, &end);
	*value = (float)v;
	return end != text && !*end && v >= table[i].least && v <= table[i].most;
}

static bool set_option(Options *o, int i, const char *text)
{
	void *at = (char *)o + table[i].place;
	o->given[i] = true;
	switch (table[i].kind) {
	case TEXT: *(const char **)at = text; return *text != '\0';
	case WHOLE: return set_whole(i, text, at);
	case REAL: return set_real(i, text, at);
	case SCHEDULE: return rate_kind(text, at);
	}
	return false;
}

/* The option that `word` names, up to a '='; OPTIONS when there is none. */
static int find_option(const char *word)
{
	size_t n = strcspn(word, "=");
	int i = 0;
	while (i < OPTIONS && (strlen(table[i].name) != n || strncmp(word, table[i].name, n) != 0)) i++;
	return i;
}

int options_parse(Options *o, int argc, char **argv)
{
	const char *program = argc ? argv[0] : "digits";
	for (int k = 1; k < argc; k++) {
		if (!strcmp(argv[k], "--help")) {
			print_help(o, program);
			return 0;
		}
		int i = find_option(argv[k]);
		if (i == OPTIONS) return complain(program, "no option '%s'%s", argv[k], "");
		const char *value = strchr(argv[k], '=');
		if (value)
			value++;
		else if (++k < argc)
			value = argv[k];
		else
			return complain(program, "%s needs %s", table[i].name, table[i].value);
		if (!set_option(o, i, value))
			return complain(program, "%s cannot be '%s'", table[i].name, value);
	}
	return -1;
}
