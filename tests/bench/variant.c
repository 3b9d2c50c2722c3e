/* variant: cnnc with stages left out, for tests/bench/ablation.py, which asks what they bring.
 *
 *   variant fuse|order|chunks|ahead|none ARGUMENT OF CNNC... */
#include "../../compiler/cnnc.h"
#include "../../compiler/driver.h"

static int compile(const Options *o)
{
	cnnc_state *c = cnnc_new();
	if (!c) return CNNC_INPUT_ERROR;
	int status = cnnc_compile_options(c, o);
	if (status == CNNC_DONE) status = cnnc_write(c);
	fputs(cnnc_messages(c), stderr);
	cnnc_free(c);
	return status;
}

static int run(Arena *a, int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned stage;
	} known[] = {{"fuse", STAGE_FUSE}, {"order", STAGE_ORDER}, {"chunks", STAGE_CHUNKS},
	    {"ahead", STAGE_AHEAD}, {"early", STAGE_EARLY}, {"none", 0}};
	Command command;
	Diag diag;
	Text messages;
	int k = 0;
	while (argc > 1 && k < COUNT(known) && strcmp(known[k].name, argv[1]) != 0) k++;
	if (argc < 2 || k == COUNT(known)) {
		fputs("usage: variant fuse|order|chunks|ahead|none ARGUMENT OF CNNC...\n", stderr);
		return CNNC_USAGE_ERROR;
	}
	diag_init(&diag, a);
	if (!command_parse(a, &diag, argc - 1, argv + 1, &command)) {
		text_init(&messages, a);
		diag_print(&diag, &messages);
		fputs(messages.data, stderr);
		return CNNC_USAGE_ERROR;
	}
	command.options.without = known[k].stage;
	return compile(&command.options);
}

int main(int argc, char **argv)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) return CNNC_INPUT_ERROR;
	arena_guard(a, &out_of_memory);
	int status = run(a, argc, argv);
	arena_free(a);
	return status;
}
