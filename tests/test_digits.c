/* examples/digits as users meet it: broken data, weights and options, and disks that are full. */
#define _XOPEN_SOURCE 700
#include "spawn.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

/* examples/digits as a user builds it, of plain C so that it compiles at once. */
static void build_digits(Spawn *s)
{
	char *source = realpath(".", NULL);
	assert_non_null(source);
	expect(s, 0,
	    "ln -s '%s' source && cnnc source/networks/lenet.lua -D variant=modern --target=generic "
	    "--prefix net -o net.c -b infer=1,64 -b train=64 && cc -std=c11 -I. "
	    "source/examples/digits/*.c "
	    "source/runtime/*.c source/runtime/formats/*.c net.c -ljansson -lz -lm -lpthread -o "
	    "digits "
	    "&& mkdir data && for f in source/examples/digits/data/*.gz; "
	    "do gzip -dc $f >data/$(basename $f .gz) || exit 1; done",
	    source);
	free(source);
}

static void the_example_refuses_what_is_broken(void **state)
{
	Spawn *s = *state;
	static const struct {
		const char *first, *options, *says;
	} broken[] = {
	    {"head -c 70000 data/train-images-idx3-ubyte >bad/train-images-idx3-ubyte", "--data bad",
	        "bad/train-images-idx3-ubyte: "},
	    {"head -c 3 data/t10k-labels-idx1-ubyte >bad/t10k-labels-idx1-ubyte", "--data bad",
	        "bad/t10k-labels-idx1-ubyte: "},
	    {"rm bad/t10k-labels-idx1-ubyte", "--data bad", "bad: no t10k-labels-idx1-ubyte there"},
	    {"printf '\\012' | dd of=bad/train-labels-idx1-ubyte bs=1 seek=13 conv=notrunc",
	        "--data bad", "bad: train: label 5 is 10, but there are 10 classes\n"},
	    {"./digits --data data --epochs 0 --weights whole && head -c 200000 whole >cut",
	        "--load cut", "cut: "},
	    {":", "--weights no/such/file", "no/such/file: cannot write: No such file or directory\n"},
	    {":", "--weights /dev/full", "/dev/full: not a regular file"},
	    {":", "--checkpoint data", "data: "},
	    {":", "--batch 32", "batch size 32 is not compiled in; there is 64."},
	    {":", "--rate 1e6", "the loss is not finite; try a lower --rate\n"},
	};
	build_digits(s);
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		expect(s, 1,
		    "rm -rf bad && cp -r data bad && { %s; } >/dev/null 2>&1 || exit 9; "
		    "./digits --data data %s",
		    broken[i].first, broken[i].options);
		contains(s->err, broken[i].says);
		assert_ptr_equal(strchr(s->err, '\n'), s->err + strlen(s->err) - 1);
	}
	expect(s, 1, "(trap '' XFSZ; ulimit -f 100; ./digits --data data --epochs 0 --weights big)");
	contains(s->err, "big: cannot write: File too large\n");
	expect(s, 2, "./digits --rate x");
	contains(s->err, "--rate cannot be 'x'");
	expect(s, 0, "ls");
	assert_null(strstr(s->out, "big"));
	assert_null(strstr(s->out, "tmp"));
	expect(s, 1, "./digits --data data --epochs 0 >/dev/full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(
	    the_example_refuses_what_is_broken, spawn_setup, spawn_teardown)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
