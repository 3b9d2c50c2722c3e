/* main: the command line. The only place that prints and decides the exit status. */
#define _POSIX_C_SOURCE 200809L
#include "cnnc.h"
#include "driver.h"
#include "repl/repl.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* bug() has said what is wrong; the status tells scripts that it was not the input's fault. */
static void on_abort(int number)
{
	(void)number;
	_exit(CNNC_INTERNAL_ERROR);
}

/* Standard output may be a full disk: a status of 0 promises that all was written. */
static int flush_stdout(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout)) return status;
	perror("cnnc: error: cannot write the standard output");
	return CNNC_INPUT_ERROR;
}

static void say(const char *line) { fprintf(stderr, "%s\n", line); }

static int compile(Options *opt)
{
	opt->progress = say;
	cnnc_state *c = cnnc_new();
	if (!c) {
		fputs("cnnc: error: out of memory\n", stderr);
		return CNNC_INPUT_ERROR;
	}
	int status = cnnc_compile_options(c, opt);
	bool is_stdout = opt->output && strcmp(opt->output, "-") == 0;
	/* A report replaces the files, unless they are asked for by name. */
	bool wanted = opt->output || !(opt->dump || opt->summary);
	if (status == CNNC_DONE) {
		fputs(cnnc_report(c), stdout);
		if (is_stdout) fputs(cnnc_c_text(c), stdout);
		if (wanted) status = cnnc_write(c);
	}
	fputs(cnnc_messages(c), stderr);
	cnnc_free(c);
	return flush_stdout(status);
}

static int run(Arena *a, Diag *d, int argc, char **argv)
{
	Command command;
	Text text;
	text_init(&text, a);
	if (!command_parse(a, d, argc, argv, &command)) {
		diag_print(d, &text);
		fprintf(stderr, "%sTry 'cnnc --help'.\n", text.data);
		return CNNC_USAGE_ERROR;
	}
	switch (command.action) {
	case ACTION_COMPILE: return compile(&command.options);
	case ACTION_REPL:
	case ACTION_SCRIPT: return flush_stdout(repl_main(&command));
	case ACTION_HELP: options_help(&text); break;
	case ACTION_VERSION: text_printf(&text, "cnnc %s\n", cnnc_version()); break;
	}
	fputs(text.data, stdout);
	return flush_stdout(CNNC_DONE);
}

int main(int argc, char **argv)
{
	signal(SIGABRT, on_abort);
#ifdef SIGXFSZ
	signal(SIGXFSZ, SIG_IGN); /* a write past the limit is an error to report, not a death */
#endif
	Arena *a = arena_new(0);
	jmp_buf out;
	int status = CNNC_INPUT_ERROR;
	if (a && setjmp(out) == 0) {
		Diag diag;
		arena_guard(a, &out);
		diag_init(&diag, a);
		status = run(a, &diag, argc, argv);
	} else {
		fputs("cnnc: error: out of memory\n", stderr);
	}
	arena_free(a);
	return status;
}
