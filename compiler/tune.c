/* tune: schedules by measuring, on the machine that cnnc runs on.
 *
 *   compile ─▶ program ─ its heavy nests ─ candidates ─ race ─▶ FILE ─ compile, following FILE ─▶
 * program
 *
 * The pipeline knows nothing of it: it is run once for the nests and once more with the record of
 * decisions that came of them. The record is written after each nest, so that tuning that was
 * interrupted goes on where it was. */
#include "tune.h"
#include "here.h"
#include "jit/jit.h"
#include "schedule/schedule.h"

#include <errno.h>

static const char compiler[] = "cc -O2"; /* what users will most likely compile with */

/* A form of nest worth measuring. */
enum { CANDIDATES = 10 };
typedef struct {
	const char *key;
	const Part *part; /* the first that has it, and the first of its steps */
	const Step *step;
	int steps;
	const Scheduled *runner[1 + CANDIDATES]; /* the compiler's choice, then others */
	int runners;
} Heavy;

typedef struct {
	Arena *arena;
	Diag *diag;
	const Options *options;
	const Program *program;
	int target; /* of the program's */
	Map known;  /* keys in the file */
	Text file;
	Map by_key;
	Vec(Heavy *) heavy;
	int changed;
	double before, after; /* seconds that all steps of the heavy nests take */
} Tuning;

static bool fail(const Tuning *u, const char *error)
{
	diag_error(u->diag, (Where){0}, "--tune: %s", error);
	return false;
}

static void tell(const Tuning *u, const char *line)
{
	if (u->options->progress)
		u->options->progress(line);
	else
		diag_note(u->diag, (Where){0}, "%s", line);
}

/* --- the file ----------------------------------------------------------------------------- */

static bool is_missing(const char *path)
{
	FILE *f = fopen(path, "r");
	if (f) fclose(f);
	return !f && errno == ENOENT;
}

/* The compiler has read it before, so that its lines are known to be good. */
static bool read_file(Tuning *u)
{
	enum { FILE_LIMIT = 1 << 24 };
	Decisions d = {.arena = u->arena};
	char *data;
	size_t size;
	text_init(&u->file, u->arena);
	map_init(&u->known, u->arena);
	if (is_missing(u->options->tune)) return true;
	if (!decisions_read(&d, u->diag, u->options->tune)) return false;
	const char *error = file_read(u->arena, u->options->tune, FILE_LIMIT, &data, &size);
	if (error) return fail(u, error);
	for (int i = 0; i < d.item.n; i++)
		map_put(&u->known, d.item.at[i].key, strlen(d.item.at[i].key), &d);
	text_addn(&u->file, data, size);
	if (size && data[size - 1] != '\n') text_add(&u->file, "\n");
	return true;
}

static bool write_file(const Tuning *u)
{
	const char *error = file_write(u->arena, u->options->tune, u->file.data, u->file.len, true);
	return !error || fail(u, error);
}

/* --- what is measured ---------------------------------------------------------------------- */

/* The widest target that runs here; where no compiler does, that is said. */
static bool find_target(Tuning *u)
{
	const char *error;
	Jit *probe = jit_cc(u->arena, "int here;\n", compiler, &error);
	if (!probe) return fail(u, error);
	jit_free(probe);
	for (u->target = 0; u->target < u->program->ntarget; u->target++)
		if (runs_here(u->arena, u->program->target[u->target], compiler)) return true;
	return fail(u, "this machine has none of the targets");
}

/* Its kernel is that of a narrower target, by whose key it is decided. */
static bool is_borrowed(const Tuning *u, const Step *s)
{
	for (int t = u->target + 1; t < u->program->ntarget; t++)
		if (tree_built(s->tree[t]) == tree_built(s->tree[u->target])) return true;
	return false;
}

/* Few blocks keep few threads busy, which a race on one thread does not see. */
static bool keeps_threads(const Scheduled *s, const Scheduled *chosen)
{
	enum { ENOUGH = 16 };
	return tree_blocks(s) >= MIN(tree_blocks(chosen), ENOUGH);
}

static void line_up(const Tuning *u, Heavy *h)
{
	Scheduled *list[CANDIDATES], *chosen = h->step->tree[u->target];
	const Program *p = u->program;
	int n = schedule_candidates(
	    u->arena, h->step->nest, p->target[u->target], p->is_double, list, CANDIDATES);
	h->runner[h->runners++] = chosen;
	for (int i = 0; i < n; i++)
		if (!schedule_same(&list[i]->schedule, &chosen->schedule) && keeps_threads(list[i], chosen))
			h->runner[h->runners++] = list[i];
}

/* The nest of a step; the first time it is met it is a race, if there is something to choose. */
static void add_step(Tuning *u, const Part *p, const Step *s)
{
	enum { LEAST_MACS = 1 << 18 }; /* some ten microseconds */
	if (s->macs < LEAST_MACS || is_borrowed(u, s)) return;
	const char *key = schedule_key(u->arena, s->nest, u->program->target[u->target]);
	if (map_get(&u->known, key, strlen(key))) return;
	Heavy *h = map_get(&u->by_key, key, strlen(key));
	if (!h) {
		h = NEW(u->arena, Heavy);
		*h = (Heavy){.key = key, .part = p, .step = s};
		line_up(u, h);
		map_put(&u->by_key, key, strlen(key), h);
		if (h->runners > 1) vec_push(u->arena, u->heavy, h);
	}
	h->steps++;
}

static void find_heavy(Tuning *u)
{
	map_init(&u->by_key, u->arena);
	for (int i = 0; i < u->program->part.n; i++) {
		const Part *p = u->program->part.at[i];
		for (int k = 0; k < p->step.n; k++) add_step(u, p, &p->step.at[k]);
	}
}

/* --- a nest ------------------------------------------------------------------------------- */

static const char *schedule_text(Arena *a, const Scheduled *s)
{
	Text t;
	text_init(&t, a);
	schedule_print(s->nest, &s->schedule, &t);
	return t.data;
}

static void tell_race(const Tuning *u, const Heavy *h, int number, const Race *r)
{
	Text t;
	const Nest *n = h->step->nest;
	text_init(&t, u->arena);
	text_printf(&t, "[%d/%d] %s (%s): ", number, u->heavy.n,
	    h->step->comment ? h->step->comment : n->name, n->name);
	if (!r->best)
		text_printf(&t, "%.4g ms, the best of %d", r->first * 1e3, r->n);
	else
		text_printf(&t, "%.4g ms instead of %.4g, %.2f times as fast: %s -> %s", r->time * 1e3,
		    r->first * 1e3, r->first / r->time, schedule_text(u->arena, r->runner[0]),
		    schedule_text(u->arena, r->runner[r->best]));
	tell(u, t.data);
}

static bool tune_nest(Tuning *u, const Heavy *h, int number)
{
	Race r = {.program = u->program,
	    .part = h->part,
	    .target = u->program->target[u->target],
	    .compiler = compiler,
	    .runner = h->runner,
	    .n = h->runners};
	const char *error = race_run(u->arena, &r);
	if (error) return fail(u, error);
	u->changed += r.best > 0;
	u->before += r.first * h->steps;
	u->after += r.time * h->steps;
	text_printf(&u->file, "%s = %s\n", h->key, schedule_text(u->arena, h->runner[r.best]));
	tell_race(u, h, number, &r);
	return write_file(u);
}

static bool tune_program(Tuning *u)
{
	if (!find_target(u) || !read_file(u) || !write_file(u)) return false;
	find_heavy(u);
	for (int i = 0; i < u->heavy.n; i++)
		if (!tune_nest(u, u->heavy.at[i], i + 1)) return false;
	const char *name = u->program->target[u->target]->name;
	if (!u->heavy.n)
		tell(u, arena_printf(u->arena, "%s: nothing to measure for %s", u->options->tune, name));
	else
		tell(u, arena_printf(u->arena,
		            "%s: %d nest%s measured for %s, %d changed; steps of these take %.4g ms "
		            "instead of %.4g",
		            u->options->tune, u->heavy.n, u->heavy.n == 1 ? "" : "s", name, u->changed,
		            u->after * 1e3, u->before * 1e3));
	return true;
}

/* The second compilation would only repeat the messages of the first. */
Program *tune_model(Arena *a, Diag *d, const Options *opt, Text *dump)
{
	Options *with = NEW(a, Options);
	Diag again;
	*with = *opt;
	with->decisions = is_missing(opt->tune) ? NULL : opt->tune;
	Tuning u = {.arena = a, .diag = d, .options = opt, .program = compile_model(a, d, with, NULL)};
	if (!u.program || !tune_program(&u)) return NULL;
	with->decisions = opt->tune;
	diag_init(&again, a);
	return compile_model(a, &again, with, dump);
}
