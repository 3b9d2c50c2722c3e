/* Random convolutions of all three kinds under random layouts and schedules: whatever builds must
 * pass every check and equal the nest bit for bit on integers. A schedule may be refused; a share
 * must not. */
#include "nests.h"

typedef struct {
	uint64_t state;
	Arena *arena;
	Text text;
	bool phases; /* for strided gradients; without, their quotients are left to run time */
} Random;

/* A number in 0..n-1. */
static int64_t pick(Random *r, int64_t n)
{
	r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (int64_t)((r->state >> 33) % (uint64_t)n);
}

static bool chance(Random *r, int64_t percent) { return pick(r, 100) < percent; }

static const char *pick_text(Random *r, const char *const *choices, int n)
{
	return choices[pick(r, n)];
}

static Conv random_conv(Random *r)
{
	static const char *const images[] = {
	    NULL, "a b/4 c d b%4", "b c d a", "a c d b", "a b/2 d c b%2"};
	static const char *const weights[] = {NULL, "a/4 b/4 c d b%4 a%4", "b/4 a/2 c d a%2 b%4",
	    "a/4 b c d a%4", "c%2 d%2 a/2 b c/2 d/2 a%2"};
	static uint8_t links[24 * 24];
	Conv c = {.N = 1 + pick(r, 2), .KH = 1 + pick(r, 3), .KW = 1 + pick(r, 4)};
	c.groups = chance(r, 30) ? 2 : 1;
	c.IC = c.groups * (1 + pick(r, 6));
	c.OC = c.groups * (chance(r, 50) ? 4 * (1 + pick(r, 2)) : 1 + pick(r, 7));
	c.stride = 1 + pick(r, 3);
	c.dilation = 1 + pick(r, 2);
	c.pad = pick(r, 4);
	int64_t reach_h = c.dilation * (c.KH - 1) + 1, reach_w = c.dilation * (c.KW - 1) + 1;
	c.IH = MAX(reach_h - 2 * c.pad, 1) + pick(r, 5);
	c.IW = MAX(reach_w - 2 * c.pad, 1) + pick(r, 7);
	c.x = pick_text(r, images, COUNT(images));
	c.w = pick_text(r, weights, COUNT(weights));
	c.y = pick_text(r, images, COUNT(images));
	c.skew = chance(r, 30) ? 3 : 0;
	if (chance(r, 20)) /* room for pad_line() */
		c.groups = 1, c.OC = 5 + pick(r, 3), c.w = "a/4 b c d a%4", c.y = "a b/4 c d b%4";
	else if (c.groups == 1 && chance(r, 20)) {
		for (int i = 0; i < COUNT(links); i++) links[i] = chance(r, 60);
		c.links = links;
	}
	return c;
}

PRINTF_LIKE(2, 3) static void add(Random *r, const char *format, ...)
{
	va_list args;
	if (r->text.len) text_add(&r->text, " | ");
	va_start(args, format);
	text_vprintf(&r->text, format, args);
	va_end(args);
}

static int shuffled(Random *r, const Nest *n, bool reduce, int *dim)
{
	int count = 0;
	for (int d = 0; d < n->ndim; d++)
		if (n->dim[d].reduce == reduce) dim[count++] = d;
	for (int i = count - 1; i > 0; i--) {
		int j = (int)pick(r, i + 1), swap = dim[i];
		dim[i] = dim[j];
		dim[j] = swap;
	}
	return count;
}

static bool has_quotient(const Nest *n, int d)
{
	for (int g = 0; g < n->nguard; g++)
		if (n->guard[g].kind == GUARD_DIVIDES && affine_k(&n->guard[g].e[0].a, d)) return true;
	return false;
}

static bool has_mask(const Nest *n, int d)
{
	for (int g = 0; g < n->nguard; g++)
		if (n->guard[g].kind == GUARD_MASK &&
		    (affine_k(&n->guard[g].e[0].a, d) || affine_k(&n->guard[g].e[1].a, d)))
			return true;
	return false;
}

/* Outer lines of the space dims, with a reduction dim among them now and then. */
static void outer_lines(Random *r, const Nest *n, const Conv *c)
{
	int dim[NEST_DIMS], reduce[NEST_DIMS];
	int count = shuffled(r, n, false, dim);
	shuffled(r, n, true, reduce);
	for (int i = 0; i < count; i++) {
		const char *name = n->dim[dim[i]].name;
		if (i == 0 && chance(r, 30)) add(r, "par %s %d", name, (int)(1 + pick(r, 4)));
		if (has_quotient(n, dim[i]) && r->phases) add(r, "phase %s %d", name, (int)c->stride);
		if (has_mask(n, dim[i]) && chance(r, 50)) add(r, "phase %s", name);
		if (chance(r, 30)) add(r, "%s %d", name, (int)(2 + pick(r, 5)));
		if (chance(r, 30)) add(r, "tile %s %d", name, (int)(1 + pick(r, 5)));
		if (chance(r, 15) && !has_quotient(n, reduce[0]))
			add(r, "%s %d", n->dim[reduce[0]].name, (int)(1 + pick(r, 4)));
	}
}

/* Every space dim ends as a loop, a register line or lanes, of which some are left in the end. */
static void register_lines(Random *r, const Nest *n, int padded)
{
	int dim[NEST_DIMS], reduce[NEST_DIMS];
	int count = shuffled(r, n, false, dim), lanes = -1, by = 4;
	bool ends[NEST_DIMS] = {false};
	for (int i = 0; i < count; i++) {
		const Dim *d = &n->dim[dim[i]];
		bool fits = d->extent % 4 == 0 || dim[i] == padded || chance(r, 50);
		if (lanes < 0 && fits && chance(r, 40))
			lanes = dim[i];
		else if (!has_mask(n, dim[i]) && chance(r, 50))
			add(r, "%s", d->name), ends[dim[i]] = true;
	}
	if (lanes >= 0 && lanes != padded && chance(r, 40)) by = 8 << pick(r, 2);
	if (lanes >= 0) add(r, "%s %d", n->dim[lanes].name, by);
	for (int i = 0; i < count; i++)
		if (!ends[dim[i]] && dim[i] != lanes) add(r, "reg %s", n->dim[dim[i]].name);
	shuffled(r, n, true, reduce);
	if (chance(r, 20) && !has_quotient(n, reduce[0]))
		add(r, "reg %s %d", n->dim[reduce[0]].name, (int)(1 + pick(r, 3)));
	if (lanes >= 0) add(r, "vec %s %d", n->dim[lanes].name, by);
}

static void reduction_lines(Random *r, const Nest *n, const Conv *c)
{
	static const char *const kinds[] = {"", "", "cut ", "tile "};
	int dim[NEST_DIMS];
	int count = shuffled(r, n, true, dim);
	for (int i = 0; i < count; i++) {
		const char *name = n->dim[dim[i]].name;
		if (has_quotient(n, dim[i]) && r->phases) add(r, "phase %s %d", name, (int)c->stride);
		if (chance(r, 30)) add(r, "%s %d", name, (int)(2 + pick(r, 3)));
		if (has_mask(n, dim[i]))
			add(r, "%s %s", chance(r, 50) ? "cut" : "unroll", name);
		else if (chance(r, 20))
			add(r, "unroll %s", name);
		else
			add(r, "%s%s", pick_text(r, kinds, COUNT(kinds)), name);
	}
}

/* `pad oc 4` where the output and the weights have room for it; the dim or -1. */
static int pad_line(Random *r, const Nest *n, const Conv *c)
{
	bool room = c->y && strstr(c->y, "b/4") && c->w && strstr(c->w, "a/4") && c->groups == 1;
	if (strcmp(n->name, "conv") || !room || c->links || n->dim[1].extent % 4 == 0 || chance(r, 20))
		return -1;
	add(r, "pad oc 4");
	return 1;
}

/* Whether some tile has less than all lanes. */
static bool has_narrow(const Tree *t, int64_t lanes)
{
	for (int i = 0; i < t->nreg && t->kind == TREE_TILE; i++)
		if (t->reg[i].lanes && t->reg[i].count < lanes) return true;
	for (int i = 0; i < t->kid.n; i++)
		if (has_narrow(t->kid.at[i], lanes)) return true;
	return false;
}

/* The lanes of the schedule's vec line; 0: it has none. */
static int64_t lanes_of(const Schedule *s)
{
	for (int i = 0; i < s->n; i++)
		if (s->line[i].kind == LINE_VEC) return s->line[i].by;
	return 0;
}

static void whatever_builds_is_right(void **state)
{
	(void)state;
	enum { ROUNDS = 900 };
	int built = 0, padded = 0, asked = 0, narrow = 0;
	Random r = {.state = 2024};
	for (int i = 0; i < ROUNDS; i++) {
		Arena *a = r.arena = arena_new(0);
		Conv c = random_conv(&r);
		Nest *n = i % 3 == 0   ? nests_conv(a, &c)
		          : i % 3 == 1 ? nests_conv_dx(a, &c)
		                       : nests_conv_dw(a, &c);
		Schedule s;
		text_init(&r.text, a);
		r.phases = chance(&r, 60);
		int pad = pad_line(&r, n, &c);
		outer_lines(&r, n, &c);
		register_lines(&r, n, pad);
		reduction_lines(&r, n, &c);
		const char *error = schedule_parse(a, n, r.text.data, &s);
		if (error) fail_msg("%s: %s", r.text.data, error);
		const Scheduled *tree = tree_build(a, n, &s, &error);
		if (tree) {
			built++;
			for (int k = 0; k < tree->root.n; k++)
				if (has_narrow(tree->root.at[k], lanes_of(&s))) {
					narrow++;
					break;
				}
			padded += pad >= 0;
			asked += !r.phases && c.stride > 1 && i % 3 == 1;
			nests_same(a, n, r.text.data);
		} else {
			assert_non_null(error);
		}
		arena_free(a);
	}
	print_message(
	    "%d of %d random schedules built, %d padded, %d ask for divisors, %d end in fewer "
	    "lanes\n",
	    built, ROUNDS, padded, asked, narrow);
	assert_true(built > ROUNDS / 2);
	assert_true(padded > ROUNDS / 50);
	assert_true(asked > ROUNDS / 20);
	assert_true(narrow > ROUNDS / 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_builds_is_right)};
	return cmocka_run_group_tests_name("nest_random", tests, NULL, NULL);
}
