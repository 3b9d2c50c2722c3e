#define _GNU_SOURCE
#include "scheduled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

int check_network(
    const char *file, const char *target, WinogradUse winograd, int64_t batch, Check *check)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	Diag d;
	Text said;
	Options o = {.file = file, .target = target, .infer_batches = 1, .train_batches = 1};
	o.infer_batch[0] = 1;
	o.train_batch[0] = batch;
	o.winograd = winograd;
	if (!a || setjmp(out_of_memory)) fail_msg("out of memory");
	arena_guard(a, &out_of_memory);
	diag_init(&d, a);
	text_init(&said, a);
	Program *program = compile_model(a, &d, &o, &said);
	diag_print(&d, &said);
	if (!program) fail_msg("%s: %s", file, said.data);
	int seen = 0;
	for (int i = 0; i < program->part.n; i++) seen += check(file, program, program->part.at[i]);
	arena_free(a);
	return seen;
}

int check_text(const char *text, const char *target, int64_t batch, Check *check)
{
	char file[] = "/tmp/cnnc-net-XXXXXX.lua";
	int fd = mkstemps(file, 4);
	if (fd < 0) fail_msg("no file in /tmp");
	dprintf(fd, "%s", text);
	close(fd);
	int seen = check_network(file, target, WINOGRAD_ALL, batch, check);
	remove(file);
	return seen;
}
