/* across: one number of a vector's lanes, by halves of these: the same tree on every machine. */
#include "internal.h"

typedef struct {
	Text *out;
	const char *before, *between;
	int lanes;
} Across;

static void print_lanes(const Across *a, int first, int step)
{
	if (step == a->lanes) {
		text_printf(a->out, "x[%d]", first);
		return;
	}
	text_add(a->out, a->before);
	print_lanes(a, first, step * 2);
	text_add(a->out, a->between);
	print_lanes(a, first + step, step * 2);
	text_add(a->out, ")");
}

void print_across(Text *out, bool sum, bool is_double, int lanes)
{
	const char *largest = is_double ? "max_f64(" : "max_f32(";
	Across a = {out, sum ? "(" : largest, sum ? " + " : ", ", lanes};
	print_lanes(&a, 0, 1);
}

/* So many lanes from the first on, going round. */
static void print_shuffle(Text *out, const char *x, int first, int n, int lanes)
{
	text_printf(out, "__builtin_shufflevector(%s, %s", x, x);
	for (int i = 0; i < n; i++) text_printf(out, ", %d", (first + i) % lanes);
	text_add(out, ")");
}

/* The sum in vectors of half the size, of half that, down to 16 bytes. */
void print_halves(Text *out, const char *vector, bool is_double, int lanes)
{
	const char *real = is_double ? "double" : "float", *type = vector;
	char from[16] = "x", to[16], half[16];
	int n = lanes, size = is_double ? 8 : 4;
	for (; n * size > 16; n /= 2, type = half, memcpy(from, to, sizeof from)) {
		snprintf(to, sizeof to, "x%d", n / 2);
		snprintf(half, sizeof half, "half%d", n / 2);
		text_printf(
		    out, "\ttypedef %s %s __attribute__((vector_size(%d)));\n", real, half, n / 2 * size);
		text_printf(out, "\tconst %s %s = ", half, to);
		print_shuffle(out, from, 0, n / 2, n);
		text_add(out, " + ");
		print_shuffle(out, from, n / 2, n / 2, n);
		text_add(out, ";\n");
	}
	if (n == 2) {
		text_printf(out, "\treturn %s[0] + %s[1];\n", from, from);
		return;
	}
	text_printf(out, "\tconst %s y = %s + ", type, from);
	print_shuffle(out, from, 2, n, n);
	text_add(out, ";\n\treturn y[0] + y[1];\n");
}
