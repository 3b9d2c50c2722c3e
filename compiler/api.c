/* api: the compiler as a library. Each call that may run out of memory is a setjmp; a state owns
 * one arena for its options and one for its newest compilation. */
#include "cnnc.h"
#include "driver.h"
#include "emit/emit.h"
#include "tune.h"

#include <stdlib.h>

struct cnnc_state {
	Arena *option_arena, *arena;
	Options own;            /* what cnnc_option() collects */
	const Options *options; /* of the newest compilation */
	Diag option_diag;
	Program *program; /* NULL: nothing compiled */
	Text messages, c_text, h_text, report;
};

static const char no_memory[] = "cnnc: error: out of memory\n";

/* The text of a compilation that did not take place, or was cut short. */
static int out_of_memory(cnnc_state *c)
{
	c->program = NULL;
	c->messages = (Text){.data = (char *)(uintptr_t)no_memory};
	return CNNC_INPUT_ERROR;
}

cnnc_state *cnnc_new(void)
{
	cnnc_state *c = calloc(1, sizeof *c);
	if (!c) return NULL;
	c->option_arena = arena_new(0);
	if (!c->option_arena) return free(c), NULL;
	diag_init(&c->option_diag, c->option_arena);
	return c;
}

void cnnc_free(cnnc_state *c)
{
	if (!c) return;
	arena_free(c->arena);
	arena_free(c->option_arena);
	free(c);
}

int cnnc_option(cnnc_state *c, const char *name, const char *value)
{
	jmp_buf out;
	if (setjmp(out)) return out_of_memory(c);
	arena_guard(c->option_arena, &out);
	diag_init(&c->option_diag, c->option_arena);
	if (options_set(c->option_arena, &c->option_diag, &c->own, name, value)) return CNNC_DONE;
	text_init(&c->messages, c->option_arena);
	diag_print(&c->option_diag, &c->messages);
	return CNNC_USAGE_ERROR;
}

/* Fills c's texts; the arena's guard is set. */
static int compile(cnnc_state *c, const Options *opt)
{
	Arena *a = c->arena;
	Diag diag;
	diag_init(&diag, a);
	text_init(&c->report, a);
	text_init(&c->messages, a);
	if (!options_check(&diag, opt)) {
		diag_print(&diag, &c->messages);
		return CNNC_USAGE_ERROR;
	}
	Program *p = opt->tune ? tune_model(a, &diag, opt, &c->report)
	                       : compile_model(a, &diag, opt, &c->report);
	diag_print(&diag, &c->messages);
	if (!p && diag.errors == 0) bug("the compilation failed without a message");
	if (!p || diag.errors > 0) return CNNC_INPUT_ERROR;
	if (opt->summary) summary_print(p, opt->summary_json, &c->report);

	bool one_text = opt->output && strcmp(opt->output, "-") == 0;
	const char *header = options_header(a, opt), *slash = strrchr(header, '/');
	text_init(&c->c_text, a);
	text_init(&c->h_text, a);
	emit_program(a, p, one_text ? NULL : slash ? slash + 1 : header, &c->c_text, &c->h_text);
	c->program = p;
	c->options = opt;
	return CNNC_DONE;
}

int cnnc_compile_options(cnnc_state *c, const Options *opt)
{
	c->program = NULL;
	arena_free(c->arena);
	c->arena = arena_new(0);
	jmp_buf out;
	if (!c->arena || setjmp(out)) return out_of_memory(c);
	arena_guard(c->arena, &out);
	return compile(c, opt);
}

int cnnc_compile_file(cnnc_state *c, const char *path)
{
	jmp_buf out;
	if (setjmp(out)) return out_of_memory(c);
	arena_guard(c->option_arena, &out);
	c->own.file = arena_copy(c->option_arena, path);
	return cnnc_compile_options(c, &c->own);
}

const char *cnnc_messages(const cnnc_state *c) { return c->messages.data ? c->messages.data : ""; }
const char *cnnc_c_text(const cnnc_state *c) { return c->program ? c->c_text.data : NULL; }
const char *cnnc_h_text(const cnnc_state *c) { return c->program ? c->h_text.data : NULL; }
const char *cnnc_report(const cnnc_state *c) { return c->program ? c->report.data : ""; }
const char *cnnc_version(void) { return CNNC_VERSION; }

/* The header first: when Make sees a new .c, its .h is new as well. */
static const char *write_outputs(cnnc_state *c)
{
	Arena *a = c->arena;
	const Options *opt = c->options;
	FileText file[3];
	int n = 0;
	if (!opt->output || strcmp(opt->output, "-") != 0) {
		file[n++] = (FileText){options_header(a, opt), c->h_text.data, c->h_text.len};
		file[n++] = (FileText){options_output(a, opt), c->c_text.data, c->c_text.len};
	}
	if (opt->depfile) {
		const Model *m = c->program->model;
		Text rule;
		text_init(&rule, a);
		options_depfile_text(opt, options_output(a, opt), m->file_read.at, m->file_read.n, &rule);
		file[n++] = (FileText){options_depfile(a, opt), rule.data, rule.len};
	}
	return file_write_all(a, file, n, opt->if_changed);
}

int cnnc_write(cnnc_state *c)
{
	if (!c->program) return CNNC_USAGE_ERROR;
	jmp_buf out;
	if (setjmp(out)) return out_of_memory(c);
	arena_guard(c->arena, &out);
	const char *error = write_outputs(c);
	if (!error) return CNNC_DONE;
	text_printf(&c->messages, "cnnc: error: %s\n", error);
	return CNNC_INPUT_ERROR;
}
