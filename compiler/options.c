/* options: the command line as a table. A row is one option: how it is written, what it takes, what
 * the help says, and the function that sets it. Mistakes are collected, so that one run shows all.
 */
#include "options.h"
#include "targets/target.h"

#include <errno.h>
#include <stdlib.h>

const char *const option_stages[] = {
    "model", "graph", "passes", "nests", "fused", "layouts", "trees", "plan", "decisions"};
const int option_stage_count = COUNT(option_stages);

/* --- setters: each gets the option's name for messages, and its value -------------------- */

typedef struct {
	Arena *arena;
	Diag *diag;
	const char *name;
} Setting;

#define complain(s, ...) (diag_error((s)->diag, (Where){0}, __VA_ARGS__), false)

/* One of `choices`, or an error that names them and the nearest. */
static bool choose(const Setting *s, const char *value, const char *const *choices, int n)
{
	Text list;
	text_init(&list, s->arena);
	for (int i = 0; i < n; i++) {
		if (strcmp(value, choices[i]) == 0) return true;
		text_printf(&list, "%s%s", i ? ", " : "", choices[i]);
	}
	const char *nearest = diag_nearest(value, choices, n);
	if (nearest)
		return complain(
		    s, "%s knows %s, not '%s'; did you mean '%s'?", s->name, list.data, value, nearest);
	return complain(s, "%s knows %s, not '%s'", s->name, list.data, value);
}

static bool set_output(const Setting *s, Options *o, const char *value)
{
	(void)s;
	o->output = value;
	return true;
}

static bool set_define(const Setting *s, Options *o, const char *value)
{
	if (!strchr(value, '=') || value[0] == '=')
		return complain(s, "-D wants name=value, not '%s'", value);
	vec_push(s->arena, o->define, value);
	return true;
}

enum { BATCH_MAX = 1 << 16 };

static bool add_batch(const Setting *s, int64_t *list, int *n, int64_t batch)
{
	for (int i = 0; i < *n; i++)
		if (list[i] == batch) return true;
	if (*n == BATCH_LIMIT) return complain(s, "-b takes at most %d batch sizes", BATCH_LIMIT);
	list[(*n)++] = batch;
	return true;
}

/* "32", "1,64", "infer=1,64", "train=64". A list without a word is for both. */
static bool set_batch(const Setting *s, Options *o, const char *value)
{
	bool infer = true, train = true;
	const char *list = value;
	if (strncmp(value, "infer=", 6) == 0)
		train = false, list += 6;
	else if (strncmp(value, "train=", 6) == 0)
		infer = false, list += 6;
	for (const char *at = list;; at++) {
		char *end;
		long batch = strtol(at, &end, 10);
		if (end == at || *at < '0' || *at > '9' || (*end && *end != ','))
			return complain(s, "-b wants N, infer=N,... or train=N,..., not '%s'", value);
		if (batch < 1 || batch > BATCH_MAX)
			return complain(s, "-b %s: a batch size is 1 to %d", value, BATCH_MAX);
		if (infer && !add_batch(s, o->infer_batch, &o->infer_batches, batch)) return false;
		if (train && !add_batch(s, o->train_batch, &o->train_batches, batch)) return false;
		at = end;
		if (!*at) return true;
	}
}

static bool set_real(const Setting *s, Options *o, const char *value)
{
	static const char *const choice[] = {"float", "double"};
	o->is_double = strcmp(value, "double") == 0;
	return choose(s, value, choice, COUNT(choice));
}

static bool set_winograd(const Setting *s, Options *o, const char *value)
{
	static const char *const choice[] = {"all", "inference", "none"};
	for (int i = 0; i < COUNT(choice); i++)
		if (strcmp(value, choice[i]) == 0) o->winograd = (WinogradUse)i;
	return choose(s, value, choice, COUNT(choice));
}

static bool set_target(const Setting *s, Options *o, const char *value)
{
	const char *choice[TARGET_LIMIT + 1] = {"auto"};
	for (int i = 0; i < target_count; i++) choice[1 + i] = target_table[i]->name;
	o->target = value;
	return choose(s, value, choice, 1 + target_count);
}

static bool set_dump(const Setting *s, Options *o, const char *value)
{
	o->dump = value;
	return choose(s, value, option_stages, option_stage_count);
}

static bool set_summary(const Setting *s, Options *o, const char *value)
{
	static const char *const choice[] = {"text", "json"};
	o->summary = true;
	o->summary_json = value && strcmp(value, "json") == 0;
	return !value || choose(s, value, choice, COUNT(choice));
}

static bool set_prefix(const Setting *s, Options *o, const char *value)
{
	bool ok = value[0] != '\0' && (value[0] < '0' || value[0] > '9');
	for (const char *c = value; *c; c++)
		ok =
		    ok && (*c == '_' || (*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z'));
	o->prefix = value;
	return ok || complain(s, "--prefix wants a C identifier, not '%s'", value);
}

static bool set_freeze(const Setting *s, Options *o, const char *value)
{
	vec_push(s->arena, o->freeze, value);
	return true;
}

static bool set_expose(const Setting *s, Options *o, const char *value)
{
	vec_push(s->arena, o->expose, value);
	return true;
}

/* "1500000", "600k", "600M", "2G": powers of 1024. */
static bool read_bytes(const char *text, int64_t *bytes)
{
	static const char units[] = "kMG";
	char *end;
	errno = 0;
	long long count = strtoll(text, &end, 10);
	if (*text < '0' || *text > '9' || errno || count < 1) return false;
	*bytes = count;
	const char *unit = *end ? strchr(units, *end) : NULL;
	if (!unit) return !*end;
	for (const char *u = units; u <= unit; u++)
		if (!mul_fits(*bytes, 1024, bytes)) return false;
	return !end[1];
}

static bool set_recompute(const Setting *s, Options *o, const char *value)
{
	static const char *const choice[] = {"cheap", "none", "all"};
	o->recompute = RECOMPUTE_ALL;
	o->recompute_bytes = 0;
	if (!value) return true;
	for (int i = 0; i < COUNT(choice); i++)
		if (strcmp(value, choice[i]) == 0) return o->recompute = (RecomputeUse)i, true;
	return read_bytes(value, &o->recompute_bytes) ||
	       complain(
	           s, "--recompute wants cheap, none, all or bytes, as 600M or 2G, not '%s'", value);
}

/* Setters of one plain field. */
#define SETTER(function, statement)                                                                \
	static bool function(const Setting *s, Options *o, const char *value)                          \
	{                                                                                              \
		(void)s, (void)value;                                                                      \
		statement;                                                                                 \
		return true;                                                                               \
	}
SETTER(set_inference, o->inference_only = true)
SETTER(set_profile, o->profile = true)
SETTER(set_decisions, o->decisions = value)
SETTER(set_tune, o->tune = value)
SETTER(set_depfile, o->depfile = true)
SETTER(set_phony, o->depfile_phony = true)
SETTER(set_depfile_name, (o->depfile_name = value, o->depfile = true))
SETTER(set_depfile_target, o->depfile_target = value)
SETTER(set_if_changed, o->if_changed = true)

/* --- the table --------------------------------------------------------------------------- */

typedef enum { TAKES_NOTHING, TAKES_VALUE, MAY_TAKE_VALUE } Takes;
typedef enum { ROW_SET, ROW_HELP, ROW_VERSION, ROW_RUN, ROW_CODE, ROW_INTERACTIVE } RowKind;

typedef struct {
	const char *name;  /* short ones may be followed by their value: -Dname=value */
	const char *value; /* the help's word for what it takes */
	Takes takes;
	RowKind kind;
	bool (*set)(const Setting *s, Options *o, const char *value);
	const char *help;
} Row;

static const Row table[] = {
    {"-o", "NET.c", TAKES_VALUE, ROW_SET, set_output,
        "write NET.c and NET.h (default: as NET.lua is called, here); '-': to standard output"},
    {"-D", "NAME=VALUE", TAKES_VALUE, ROW_SET, set_define, "set an option{} of the network"},
    {"-b", "LIST", TAKES_VALUE, ROW_SET, set_batch,
        "batch sizes (default 1): 64, or infer=1,64, or train=64; may be repeated"},
    {"--inference", NULL, TAKES_NOTHING, ROW_SET, set_inference, "no gradients and no training"},
    {"--real", "TYPE", TAKES_VALUE, ROW_SET, set_real, "float (default) or double"},
    {"--target", "NAME", TAKES_VALUE, ROW_SET, set_target,
        "auto (each x86-64, and plain C), avx512, avx2, x86-64, neon or generic"},
    {"--prefix", "NAME", TAKES_VALUE, ROW_SET, set_prefix,
        "what C names begin with; else the network's name, else the file's"},
    {"--freeze", "PATTERN", TAKES_VALUE, ROW_SET, set_freeze,
        "weights that are not trained: 'layer1.*'; may be repeated"},
    {"--expose", "PATTERN", TAKES_VALUE, ROW_SET, set_expose,
        "layers' outputs and gradients as further outputs: layer1.0.conv1; may be repeated"},
    {"--recompute", "WHAT", MAY_TAKE_VALUE, ROW_SET, set_recompute,
        "what training computes again to save memory: cheap (default), none, all, or what 600M "
        "takes"},
    {"--winograd", "WHERE", TAKES_VALUE, ROW_SET, set_winograd,
        "fewer multiplications in: all (default), inference or none"},
    {"--decisions", "FILE", TAKES_VALUE, ROW_SET, set_decisions,
        "schedules to follow, as --dump=decisions prints them"},
    {"--tune", "FILE", TAKES_VALUE, ROW_SET, set_tune,
        "measure schedules here, add the best to FILE, and follow them"},
    {"--dump", "STAGE", TAKES_VALUE, ROW_SET, set_dump,
        "print model, graph, passes, nests, fused, layouts, trees, plan or decisions"},
    {"--summary", "json", MAY_TAKE_VALUE, ROW_SET, set_summary,
        "print layers, parameters, work and memory"},
    {"--profile", NULL, TAKES_NOTHING, ROW_SET, set_profile,
        "print how long each step of the network takes here; with -o, write C that tells"},
    {"--if-changed", NULL, TAKES_NOTHING, ROW_SET, set_if_changed,
        "leave an unchanged output alone, time stamp and all"},
    {"-MD", NULL, TAKES_NOTHING, ROW_SET, set_depfile,
        "write the files read as a rule of Make, to NET.d"},
    {"-MP", NULL, TAKES_NOTHING, ROW_SET, set_phony, "with an empty rule for each of them"},
    {"-MF", "FILE", TAKES_VALUE, ROW_SET, set_depfile_name, "to this file; stands for -MD too"},
    {"-MT", "TARGET", TAKES_VALUE, ROW_SET, set_depfile_target,
        "with this target instead of NET.c"},
    {"-i", "NET.lua", TAKES_VALUE, ROW_INTERACTIVE, NULL, "the interactive loop with `net` loaded"},
    {"-e", "CODE", TAKES_VALUE, ROW_CODE, NULL, "run this Lua text; may be repeated"},
    {"--run", "SCRIPT", TAKES_VALUE, ROW_RUN, NULL, "run a Lua script; what follows is its `arg`"},
    {"--help", NULL, TAKES_NOTHING, ROW_HELP, NULL, "print this text"},
    {"--version", NULL, TAKES_NOTHING, ROW_VERSION, NULL, "print the version"},
};

void options_help(Text *out)
{
	text_add(out, "usage: cnnc [OPTION...] NET.lua    compile a network to C\n"
	              "       cnnc [-i NET.lua]           the interactive loop\n"
	              "       cnnc --run SCRIPT.lua ARG...\n"
	              "       cnnc -e CODE\n\n");
	for (int i = 0; i < COUNT(table); i++) {
		const Row *r = &table[i];
		const char *form = r->takes == TAKES_NOTHING    ? "%s%s%s"
		                   : r->takes == MAY_TAKE_VALUE ? "%s[=%s]%s"
		                   : r->name[1] == '-'          ? "%s=%s%s"
		                                                : "%s %s%s";
		const char *left = arena_printf(out->arena, form, r->name, r->value ? r->value : "", "");
		text_printf(out, "  %-20s %s\n", left, r->help);
	}
	text_add(
	    out, "\nStatus: 0 done, 1 the input's fault, 2 a wrong command line, 70 a bug of cnnc.\n");
}

/* The row that `word` names: exactly, before a '=' (long), or as a short option with its value
 * behind. *value is what follows, or NULL. */
static const Row *row_find(const char *word, const char **value)
{
	*value = NULL;
	const Row *best = NULL;
	for (int i = 0; i < COUNT(table); i++) {
		const Row *r = &table[i];
		size_t n = strlen(r->name);
		if (strcmp(word, r->name) == 0) return *value = NULL, r;
		if (strncmp(word, r->name, n) != 0 || r->takes == TAKES_NOTHING) continue;
		if (r->kind == ROW_INTERACTIVE || r->kind == ROW_CODE) continue; /* -inference is no -i */
		bool is_long = r->name[1] == '-';
		if (is_long && word[n] != '=') continue;
		if (!best || n > strlen(best->name)) {
			best = r;
			*value = word + n + is_long;
		}
	}
	return best;
}

static bool unknown(Arena *a, Diag *d, const char *word)
{
	const char *name[COUNT(table)];
	for (int i = 0; i < COUNT(table); i++) name[i] = table[i].name;
	char *stem = arena_copy(a, word);
	stem[strcspn(stem, "=")] = '\0';
	const char *nearest =
	    stem[0] == '-' && stem[1] == '-' ? diag_nearest(stem, name, COUNT(name)) : NULL;
	const char *takes_none = NULL;
	for (int i = 0; i < COUNT(table); i++)
		if (strcmp(name[i], stem) == 0 && table[i].takes == TAKES_NOTHING) takes_none = name[i];
	if (takes_none)
		diag_error(d, (Where){0}, "%s takes no value: '%s'", takes_none, word);
	else if (nearest)
		diag_error(d, (Where){0}, "unknown option '%s'; did you mean '%s'?", word, nearest);
	else
		diag_error(d, (Where){0}, "unknown option '%s'", word);
	return false;
}

bool options_set(Arena *a, Diag *d, Options *o, const char *name, const char *value)
{
	const char *joined;
	const Row *r = row_find(name, &joined);
	Setting s = {a, d, name};
	if (!r || joined || r->kind != ROW_SET) return unknown(a, d, name);
	if (r->takes == TAKES_VALUE && !value)
		return complain(&s, "%s wants a value: %s", name, r->value);
	if (r->takes == TAKES_NOTHING && value) return complain(&s, "%s takes no value", name);
	Options trial = *o; /* a wrong value leaves no trace */
	if (!r->set(&s, &trial, value ? arena_copy(a, value) : NULL)) return false;
	*o = trial;
	return true;
}

/* --- the command line -------------------------------------------------------------------- */

/* One option at argv[i]; returns how many words it took. */
static int parse_option(Arena *a, Diag *d, Command *c, int argc, char **argv, int i)
{
	const char *value;
	const Row *r = row_find(argv[i], &value);
	if (!r) return unknown(a, d, argv[i]), 1;
	int took = 1;
	if (r->takes == TAKES_VALUE && !value) {
		if (i + 1 >= argc) {
			diag_error(d, (Where){0}, "%s wants a value: %s", r->name, r->value);
			return 1;
		}
		value = argv[i + 1];
		took = 2;
	}
	switch (r->kind) {
	case ROW_SET: {
		Setting s = {a, d, r->name};
		r->set(&s, &c->options, value);
		break;
	}
	case ROW_HELP: c->action = ACTION_HELP; break;
	case ROW_VERSION: c->action = ACTION_VERSION; break;
	case ROW_CODE: c->code = c->code ? arena_printf(a, "%s\n%s", c->code, value) : value; break;
	case ROW_INTERACTIVE:
		c->interactive = true;
		if (c->options.file) diag_error(d, (Where){0}, "more than one network: %s", value);
		c->options.file = value;
		break;
	case ROW_RUN:
		c->script = value;
		c->argc = argc - i - took;
		c->argv = argv + i + took;
		took = argc - i;
		break;
	}
	return took;
}

static void parse_file(Diag *d, Command *c, const char *word)
{
	if (c->options.file)
		diag_error(d, (Where){0}, "more than one network: %s", word);
	else
		c->options.file = word;
}

/* A profile without a place to write it to is printed, as other reports are. */
static bool asks_profile(const Command *c)
{
	const Options *o = &c->options;
	return o->profile && o->file && !o->output && !o->dump && !o->summary && !c->interactive &&
	       !c->script && !c->code;
}

bool command_parse(Arena *a, Diag *d, int argc, char **argv, Command *c)
{
	*c = (Command){.action = ACTION_COMPILE};
	for (int i = 1; i < argc;) {
		if (strcmp(argv[i], "--") == 0) {
			for (i++; i < argc; i++) parse_file(d, c, argv[i]);
		} else if (argv[i][0] == '-' && argv[i][1]) {
			i += parse_option(a, d, c, argc, argv, i);
		} else {
			parse_file(d, c, argv[i++]);
		}
	}
	if (c->action != ACTION_COMPILE) return d->errors == 0;
	if (asks_profile(c)) {
		c->interactive = true;
		c->code = "io.write(net:profile())";
	}
	if (c->script || c->code)
		c->action = ACTION_SCRIPT;
	else if (c->interactive || argc <= 1)
		c->action = ACTION_REPL;
	else if (!c->options.file && d->errors == 0)
		diag_error(d, (Where){0}, "no network file given");
	if (c->action == ACTION_SCRIPT && c->options.file && !c->interactive)
		diag_error(d, (Where){0}, "%s: give the network to a script with -i", c->options.file);
	if (c->options.tune && c->action != ACTION_COMPILE)
		diag_error(d, (Where){0}, "--tune is for networks that are written as C");
	options_check(d, &c->options);
	return d->errors == 0;
}

bool options_check(Diag *d, const Options *o)
{
	int before = d->errors;
	const char *dot = o->output ? strrchr(o->output, '.') : NULL;
	bool is_stdout = o->output && strcmp(o->output, "-") == 0;
	if (o->output && !is_stdout && (!dot || strcmp(dot, ".c") != 0 || dot == o->output))
		diag_error(d, (Where){0}, "-o %s: the name must end in .c", o->output);
	if (o->inference_only && o->train_batches > 0 && o->infer_batches == 0)
		diag_error(d, (Where){0}, "-b train= and --inference exclude each other");
	if (o->recompute != RECOMPUTE_CHEAP && o->inference_only)
		diag_error(d, (Where){0}, "--recompute and --inference exclude each other");
	if (o->tune && o->decisions)
		diag_error(d, (Where){0}, "--tune and --decisions exclude each other");
	if (o->depfile && is_stdout && (!o->depfile_name || !o->depfile_target))
		diag_error(d, (Where){0}, "-MD with -o - wants -MF and -MT");
	if ((o->depfile_phony || o->depfile_target) && !o->depfile)
		diag_error(d, (Where){0}, "%s wants -MD", o->depfile_phony ? "-MP" : "-MT");
	return d->errors == before;
}
