/* options: what the command line or the embedding API asks for. Plain data, filled by main, checked
 * by the driver. */
#ifndef CNNC_OPTIONS_H
#define CNNC_OPTIONS_H

#include "base.h"
#include "diag.h"

enum { BATCH_LIMIT = 8 };
/* Where convolutions may take fewer multiplications. */
typedef enum { WINOGRAD_ALL, WINOGRAD_INFERENCE, WINOGRAD_NONE } WinogradUse;

/* Bits of stages to leave out. For the benchmarks, which say what each brings: no option of the
 * command line. */
enum { STAGE_FUSE = 1, STAGE_ORDER = 2, STAGE_CHUNKS = 4, STAGE_AHEAD = 8, STAGE_EARLY = 16 };
/* Which activations are computed again instead of being kept: where that takes less memory, those
 * that cost next to nothing; none; or as many as it needs. */
typedef enum { RECOMPUTE_CHEAP, RECOMPUTE_NONE, RECOMPUTE_ALL } RecomputeUse;

typedef struct Options {
	const char *file;         /* NET.lua */
	const char *output;       /* NULL: the file's name with .c, here */
	const char *prefix;       /* NULL: from the file's name */
	Vec(const char *) define; /* "name=value", from -D */
	Vec(const char *) freeze; /* patterns over state names, from --freeze: 'layer1.*' */
	Vec(const char *) expose; /* patterns over layers' names, from --expose: 'layer1.0.conv1' */
	int infer_batches, train_batches;
	int64_t infer_batch[BATCH_LIMIT], train_batch[BATCH_LIMIT]; /* none given: 1 */
	RecomputeUse recompute;
	int64_t recompute_bytes; /* no more than this takes; 0: as little as can be */
	WinogradUse winograd;
	unsigned without;      /* stages */
	bool inference_only;   /* no eval, gradients, update, step */
	bool profile;          /* steps that are timed */
	bool is_double;        /* --real=double */
	const char *target;    /* auto (all of x86, else the plain one), or a name of target_table */
	const char *dump;      /* stage, or NULL */
	const char *decisions; /* file of decisions to follow, or NULL */
	const char *tune;      /* file of decisions to add to and follow, or NULL */
	void (*progress)(const char *line); /* hears what takes long; NULL: it goes to the messages */
	bool summary, summary_json;
	bool depfile, depfile_phony; /* -MD, -MP */
	const char *depfile_name;    /* -MF */
	const char *depfile_target;  /* -MT */
	bool if_changed;
} Options;

/* What the command line asks the program to do. */
typedef enum { ACTION_COMPILE, ACTION_REPL, ACTION_SCRIPT, ACTION_HELP, ACTION_VERSION } Action;

typedef struct {
	Action action;
	Options options;
	bool interactive;   /* -i: the REPL with options.file loaded */
	const char *script; /* --run: a Lua file */
	const char *code;   /* -e: Lua text; several are put one below the other */
	int argc;           /* ACTION_SCRIPT: what follows the script is its own */
	char **argv;
} Command;

/* options.c: one row per option; main, the help text, the hints and the API all read it. */

/* Reads a command line (argv[0] is the program). false: d has one message for each mistake. */
bool command_parse(Arena *a, Diag *d, int argc, char **argv, Command *c);
/* One option by its name, "-b" or "--real"; value NULL for flags. */
bool options_set(Arena *a, Diag *d, Options *o, const char *name, const char *value);
/* What only the whole can tell: options that exclude each other, an output that is no .c file. */
bool options_check(Diag *d, const Options *o);
void options_help(Text *out);

/* Where the results go: by -o, else the file's name, here. "-": the standard output, header inside.
 */
const char *options_output(Arena *a, const Options *o);
const char *options_header(Arena *a, const Options *o);  /* beside it, with .h */
const char *options_depfile(Arena *a, const Options *o); /* -MF, else beside it, with .d */
/* The depfile's text: `target: read...`, and with -MP an empty rule for each file but the first. */
void options_depfile_text(
    const Options *o, const char *target, const char *const *read, int n, Text *out);

extern const char *const option_stages[]; /* what --dump knows, in the order of the pipeline */
extern const int option_stage_count;

#endif
