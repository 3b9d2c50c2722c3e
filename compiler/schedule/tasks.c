/* tasks: which loops of a schedule run at once. */
#include "internal.h"

/* Fewer tasks than these, and threads wait for each other. */
enum { FEW_TASKS = 8 };

static int64_t iterations(const Choice *c, const Line *l)
{
	return (c->nest->dim[l->dim].extent - 1) / MAX(l->by, 1) + 1;
}

/* The leading lines whose iterations may be tasks: two of a contraction, else one. */
static int task_lines(const Choice *c, int64_t *tasks)
{
	int lines = 0, most = MIN(c->s.n, c->contraction.is ? 2 : 1);
	*tasks = 1;
	for (; lines < most && *tasks < FEW_TASKS; lines++) {
		const Line *l = &c->s.line[lines];
		if (l->kind != LINE_FOR || !is_space(c, l->dim)) break;
		*tasks *= iterations(c, l);
	}
	return lines;
}

/* Blocks of lanes inside other loops of a contraction, as tiles or phases of one image are, come
 * first where these make few tasks. That was measured to cost one thread nothing. */
static void bring_blocks_out(Choice *c)
{
	int at = 0;
	int64_t tasks;
	task_lines(c, &tasks);
	if (!c->contraction.is || c->lane < 0 || !is_space(c, c->lane) || tasks >= FEW_TASKS) return;
	for (; at < c->s.n; at++) {
		const Line *l = &c->s.line[at];
		if (l->kind == LINE_FOR && l->dim == c->lane) break;
		if (!is_space(c, l->dim) || l->dim == c->lane) return;
	}
	if (at == c->s.n) return;
	Line blocks = c->s.line[at];
	memmove(&c->s.line[1], &c->s.line[0], (size_t)at * sizeof blocks);
	c->s.line[0] = blocks;
}

/* Where tiles over a dim are the outermost loop there is, some of them are a task: of little work a
 * few, since threads that take each other's find nothing in their own caches. */
static void bring_tiles_out(Choice *c)
{
	enum { SOME = 1 << 18, MUCH = 1 << 22, LEAST_TASKS = 4 };
	int64_t points = nest_points(c->nest);
	Line l = c->s.line[0];
	if (!c->contraction.is || c->s.n < 1 || l.kind != LINE_TILE || !is_space(c, l.dim)) return;
	int64_t tasks = LEAST_TASKS;
	while (tasks < FEW_TASKS && points / tasks > MUCH) tasks *= 2;
	int64_t tiles = iterations(c, &l), each = (tiles - 1) / tasks + 1;
	if (points < SOME || each == tiles) return;
	row_line(c, LINE_FOR, l.dim, each * l.by);
	Line task = c->s.line[c->s.n - 1];
	memmove(&c->s.line[1], &c->s.line[0], (size_t)(c->s.n - 1) * sizeof task);
	c->s.line[0] = task;
}

/* Steps of so few points take some microseconds at the most, and as long as threads take to meet:
 * of sums, several of which vectors make in a cycle, and of maps, which read and write. Chosen by
 * LeNet-5 at batch 1, which two threads made slower. They have tasks nevertheless, since whoever
 * compiles the text may have threads that meet sooner (CNNC_SHARE_SHORT). */
bool is_short(const Nest *n)
{
	enum { SUMS = 60000, MAPS = 12000 };
	return nest_points(n) <= (n->nacc ? SUMS : MAPS);
}

/* What is done before any other thread has begun: by vectors in half a microsecond or so. It is one
 * task. */
static bool is_little(const Nest *n)
{
	enum { LITTLE = 1 << 14, CALL = 16 };
	bool calls = nest_uses(n, E_CALL) || nest_uses(n, E_HASH);
	return nest_points(n) < LITTLE / (calls ? CALL : 1);
}

/* The outermost space dims may run their iterations at once. */
void make_parallel(Choice *c)
{
	int64_t tasks;
	if (c->nest->join || is_little(c->nest)) return;
	bring_blocks_out(c);
	bring_tiles_out(c);
	for (int i = task_lines(c, &tasks); i > 0; i--) c->s.line[i - 1].kind = LINE_PAR;
}
