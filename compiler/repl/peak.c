#include "peak.h"
#include "../here.h"

/* "double peak(long rounds)\n{\n" with the target's attribute. */
static void begin_function(const Target *t, const char *name, Text *out)
{
	text_printf(out, "double %s(long rounds);\n", name);
	if (t->attribute) text_printf(out, "__attribute__((target(\"%s\"))) ", t->attribute);
	text_printf(out, "double %s(long rounds)\n{\n", name);
}

static const char *type_of(Arena *a, int lanes, bool is_double)
{
	if (!lanes) return is_double ? "double" : "float";
	return arena_printf(a, "f%dx%d", is_double ? 64 : 32, lanes);
}

/* Twelve accumulators: more than latency times ports of the machines of today, less than registers.
 */
void peak_text(const Target *t, bool is_double, Text *out)
{
	enum { ACCUMULATORS = 12 };
	const char *real = is_double ? "double" : "float";
	int lanes = t->vector_bytes / (is_double ? 8 : 4);
	begin_function(t, "peak", out);
	text_printf(out, "\t%s m = {0}, c = {0}", type_of(out->arena, lanes, is_double));
	for (int k = 0; k < ACCUMULATORS; k++) text_printf(out, ", a%d = {%d}", k, k);
	text_add(out, ";\n\tm += 0.5f;\n\tc += 0.25f;\n\tfor (long i = 0; i < rounds; i++) {\n");
	for (int k = 0; k < ACCUMULATORS; k++) text_printf(out, "\t\ta%d = a%d * m + c;\n", k, k);
	text_printf(out, "\t}\n\t%s sum = 0, lane[sizeof m / sizeof(%s)];\n", real, real);
	for (int k = 0; k < ACCUMULATORS; k++)
		text_printf(out, "\tmemcpy(lane, &a%d, sizeof m);\n\tsum += lane[0];\n", k);
	text_printf(out, "\treturn sum < 0 ? -1 : %d.0 * (double)rounds;\n}\n",
	    2 * ACCUMULATORS * MAX(lanes, 1));
}

/* What was never written lies in one page of zeros, so b is filled first. The arrays are
 * everybody's, as a compiler drops what it sees nobody read. */
void stream_text(const Target *t, bool is_double, Text *out)
{
	enum { BYTES = 1 << 26 }; /* of each */
	static const char name[] = "ab";
	const char *real = is_double ? "double" : "float";
	const char *type = type_of(out->arena, t->vector_bytes / (is_double ? 8 : 4), is_double);
	const char *aligned = t->vector_bytes ? "__attribute__((aligned(64))) " : "";
	int count = BYTES / (is_double ? 8 : 4);
	for (int k = 0; k < 2; k++)
		text_printf(out, "%s%s stream_%c[%d];\n", aligned, real, name[k], count);
	begin_function(t, "stream", out);
	for (int k = 0; k < 2; k++)
		text_printf(out, "\t%s *%c = (%s *)stream_%c;\n", type, name[k], type, name[k]);
	text_printf(out,
	    "\tconst size_t n = sizeof stream_a / sizeof *a;\n\t%s s = {0};\n\ts += 0.5f;\n"
	    "\tfor (size_t i = 0; i < %d && rounds == 0; i++)\n"
	    "\t\tstream_a[i] = stream_b[i] = 1;\n"
	    "\tfor (long k = 0; k < rounds; k++)\n"
	    "\t\tfor (size_t i = 0; i < n; i++) a[i] += s * b[i];\n"
	    "\treturn 3.0 * %d.0 * (double)rounds;\n}\n",
	    type, count, BYTES);
}

double peak_rate(Peak peak, long rounds)
{
	double start = cpu_seconds(), operations = peak(rounds);
	return operations / (cpu_seconds() - start);
}
