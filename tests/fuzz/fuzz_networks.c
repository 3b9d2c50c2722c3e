/* Networks made at random, whose outputs, losses, gradients and updates must be the same by the
 * oracles of the operators, by schedules in the interpreter, by libtcc and by a C compiler with
 * vectors: in double to 1e-11, gradients to 1e-9, of a tensor's length; or, where all numbers are
 * whole and small enough, in float and equal. Gradients must also be what differences of the loss
 * are.
 *
 *   fuzz_networks N [SEED]           N networks, of seeds from SEED on
 *   fuzz_networks --file F.lua SEED  this one, with the numbers and the ways of that seed
 *   fuzz_networks --show SEED        its text
 *
 * What fails is made smaller and written to $BUILD/fuzz, with the command that runs it again. Each
 * network is run in a process of its own. */
#define _GNU_SOURCE
#include "../network_check.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 300, SHRINKS = 80, KIND = 12 };

/* Shared with the process that runs a network. */
typedef struct {
	NetworkReport report;
	int errors; /* a file that takes the process's standard error */
	char said[4096];
} Shared;

typedef struct {
	Shared *shared;
	char folder[2048], file[2200]; /* where texts are */
	bool *made;                    /* by index in op_table, by any network so far */
	int passed, failed;
	long tensors, loose, exact, differences;
} Fuzz;

static bool write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool good = f && fputs(text, f) >= 0;
	if (f && fclose(f) != 0) good = false;
	if (!good) perror(path);
	return good;
}

static void run_child(Shared *s, const char *file, uint64_t seed)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	alarm(SECONDS);
	dup2(s->errors, STDERR_FILENO);
	if (!a || setjmp(out_of_memory)) _exit(3);
	arena_guard(a, &out_of_memory);
	const char *wrong = network_check(a, file, seed, &s->report);
	snprintf(s->said, sizeof s->said, "%s", wrong ? wrong : "");
	fflush(NULL);
	_exit(wrong != NULL);
}

/* A signal, what was being done, and what was said of it. */
static void describe_death(Shared *s, int signal)
{
	int n = snprintf(s->said, sizeof s->said, "killed by signal %d, %s: ", signal, s->report.stage);
	ssize_t more = pread(s->errors, s->said + n, sizeof s->said - (size_t)n - 1, 0);
	s->said[n + (more > 0 ? (int)more : 0)] = '\0';
}

/* Whether all is well; else s->said says what is not. */
static bool run_file(Shared *s, const char *file, uint64_t seed)
{
	s->report = (NetworkReport){.stage = "starting"};
	snprintf(s->said, sizeof s->said, "no process");
	fflush(NULL);
	if (ftruncate(s->errors, 0) != 0 || lseek(s->errors, 0, SEEK_SET) != 0) return false;
	pid_t child = fork();
	if (child == 0) run_child(s, file, seed);
	int status = 0;
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
	if (child > 0 && WIFSIGNALED(status)) describe_death(s, WTERMSIG(status));
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* --- making it smaller -------------------------------------------------------------------- */

/* Replaces a whole word everywhere from `from` on. */
static char *without_word(Arena *a, const char *text, const char *word, const char *by)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
	size_t n = strlen(word);
	Text out;
	text_init(&out, a);
	for (const char *c = text; *c;) {
		size_t length = strspn(c, letters);
		if (length == n && !strncmp(c, word, n))
			text_add(&out, by);
		else
			text_addn(&out, c, length ? length : 1);
		c += length ? length : 1;
	}
	return out.data;
}

/* The text without its line number k, `local t3 = t2:...`, and t2 where t3 was; NULL: that line
 * makes nothing of a tensor. */
static char *without_line(Arena *a, const char *text, int k)
{
	const char *line = text;
	for (; k > 0 && line; k--) line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL;
	char name[32], from[32];
	if (!line || sscanf(line, "local %31[a-z0-9] = %31[a-z0-9]", name, from) != 2) return NULL;
	if (*from != 't' && *from != 'x') return NULL;
	const char *rest = line + strcspn(line, "\n");
	char *before = arena_printf(a, "%.*s", (int)(line - text), text);
	return arena_printf(a, "%s%s", before, without_word(a, rest + (*rest == '\n'), name, from));
}

/* Whether this text fails as well, and in this way; then it is the file's. */
static bool still_fails(Fuzz *z, Arena *a, const char *text, uint64_t seed, const char *said)
{
	const char *other = arena_printf(a, "%s.try", z->file);
	if (!write_text(other, text)) return false;
	bool fails = !run_file(z->shared, other, seed) && !z->shared->report.refused &&
	             !strncmp(z->shared->said, said, KIND);
	if (fails) write_text(z->file, text);
	remove(other);
	return fails;
}

static void shrink(Fuzz *z, Arena *a, const char *text, uint64_t seed)
{
	int lines = 0, tries = SHRINKS;
	const char *said = arena_copy(a, z->shared->said);
	for (const char *c = text; *c; c++) lines += *c == '\n';
	for (int k = lines - 1; k >= 0 && tries > 0; k--) {
		const char *less = without_line(a, text, k);
		if (!less) continue;
		tries--;
		if (still_fails(z, a, less, seed, said)) text = less;
	}
	run_file(z->shared, z->file, seed);
}

/* --- one and all -------------------------------------------------------------------------- */

static void run_seed(Fuzz *z, Arena *a, uint64_t seed)
{
	RandomNetwork r = random_network(a, seed, network_is_whole(seed), 0);
	snprintf(z->file, sizeof z->file, "%s/%llu.lua", z->folder, (unsigned long long)seed);
	for (int i = 0; i < op_count; i++) z->made[i] |= r.made[i];
	if (!write_text(z->file, r.text)) exit(2);
	if (run_file(z->shared, z->file, seed)) {
		const NetworkReport *t = &z->shared->report;
		z->passed++;
		z->tensors += t->tensors;
		z->loose += t->loose;
		z->exact += t->exact;
		z->differences += t->differences;
		remove(z->file);
		return;
	}
	z->failed++;
	printf("seed %llu: %s\n", (unsigned long long)seed, z->shared->said);
	if (!z->shared->report.refused) shrink(z, a, r.text, seed);
	printf("  made smaller: %s\n  again: %s --file %s %llu\n", z->shared->said, "fuzz_networks",
	    z->file, (unsigned long long)seed);
	fflush(stdout);
}

/* Either a whole run of a seed, or its text. */
static void with_arena(Fuzz *z, uint64_t seed, bool shows)
{
	jmp_buf out_of_memory;
	Arena *a = arena_new(0);
	if (!a || setjmp(out_of_memory)) exit(2);
	arena_guard(a, &out_of_memory);
	if (shows)
		fputs(random_network(a, seed, network_is_whole(seed), 0).text, stdout);
	else
		run_seed(z, a, seed);
	arena_free(a);
}

static void run_all(Fuzz *z, uint64_t n, uint64_t first)
{
	for (uint64_t k = 0; k < n; k++) {
		with_arena(z, first + k, false);
		if (k % 100 == 99)
			printf("%llu networks, %d failed\n", (unsigned long long)k + 1, z->failed);
		fflush(stdout);
	}
	int methods = 0, made = 0;
	for (int i = 0; i < op_count; i++) {
		bool method = op_table[i]->flags & OP_METHOD;
		methods += method;
		made += method && z->made[i];
		if (method && !z->made[i] && n >= 500) {
			printf("no network has the operator %s\n", op_table[i]->name);
			z->failed++;
		}
	}
	printf("%d of %d operators; %ld tensors compared, %ld of them more loosely, as roundings move "
	       "them;"
	       " %ld equal to the bit; %ld differences of losses\n",
	    made, methods, z->tensors, z->loose, z->exact, z->differences);
	printf("%d passed, %d failed\n", z->passed, z->failed);
}

int main(int argc, char **argv)
{
	const char *build = getenv("BUILD");
	Fuzz z = {.made = calloc((size_t)op_count, sizeof(bool))};
	z.shared =
	    mmap(NULL, sizeof *z.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!z.made || z.shared == MAP_FAILED || argc < 2) {
		fprintf(stderr, "usage: fuzz_networks N [SEED] | --file F.lua SEED | --show SEED\n");
		return 2;
	}
	FILE *errors = tmpfile();
	if (!errors) return perror("tmpfile"), 2;
	z.shared->errors = fileno(errors);
	snprintf(z.folder, sizeof z.folder, "%s/fuzz", build ? build : "build");
	if (!strcmp(argv[1], "--show")) {
		with_arena(&z, strtoull(argv[argc - 1], NULL, 10), true);
	} else if (!strcmp(argv[1], "--file") && argc == 4) {
		bool good = run_file(z.shared, argv[2], strtoull(argv[3], NULL, 10));
		printf("%s\n", good ? "passed" : z.shared->said);
		z.failed += !good;
	} else {
		run_all(&z, strtoull(argv[1], NULL, 10), argc > 2 ? strtoull(argv[2], NULL, 10) : 1);
	}
	fclose(errors);
	free(z.made);
	return z.failed > 0;
}
