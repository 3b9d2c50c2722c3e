/* sample: see sample.h. */
#define _POSIX_C_SOURCE 200809L
#include "sample.h"

#include <math.h>
#include <stdlib.h>

static LinkTable *parse_links(Arena *a, const char *s)
{
	LinkTable *t = NEW(a, LinkTable);
	t->rows = 1;
	for (const char *c = s; *c; c += *c != 0) {
		t->rows += *c == '/';
		if (*c < '0' || *c > '9') continue;
		char *end;
		t->cols = MAX(t->cols, (int)strtol(c, &end, 10) + 1);
		c = end - 1;
	}
	t->at = NEWS(a, uint8_t, t->rows * t->cols);
	int row = 0;
	for (const char *c = s; *c; c++) {
		row += *c == '/';
		if (*c < '0' || *c > '9') continue;
		char *end;
		t->at[row * t->cols + strtol(c, &end, 10)] = 1;
		t->links++;
		c = end - 1;
	}
	return t;
}

/* "1", "1x2", "0+1x2+3": before and after; "same", "full". Returns where the text ends. */
static const char *parse_pads(const char *s, Pads *p)
{
	static const char *const word[] = {[PAD_SAME] = "same", [PAD_FULL] = "full"};
	*p = (Pads){.mode = PAD_GIVEN};
	for (int m = PAD_SAME; m <= PAD_FULL; m++)
		if (!strcmp(s, word[m])) return p->mode = (PadMode)m, s + strlen(s);
	char *end = (char *)s;
	for (int k = 0; k < 2; k++) {
		if (k && *end != 'x') {
			p->before[1] = p->before[0];
			p->after[1] = p->after[0];
			break;
		}
		p->before[k] = p->after[k] = strtoll(end + k, &end, 10);
		if (*end == '+') p->after[k] = strtoll(end + 1, &end, 10);
	}
	return end;
}

static AttrValue parse_attr(Arena *a, AttrType type, const char *s)
{
	AttrValue v = {0};
	const char *end = s + strlen(s);
	char *stop = NULL;
	if (type == ATTR_INT) v.i = strtoll(s, &stop, 10);
	if (type == ATTR_REAL) v.r = strtod(s, &stop);
	if (type == ATTR_BOOL) v.b = !strcmp(s, "true");
	if (type == ATTR_NAME) v.s = arena_copy(a, s);
	if (type == ATTR_LINKS) v.links = parse_links(a, s);
	if (type == ATTR_AXES)
		for (v.axes = 0, stop = (char *)s; *stop; stop += *stop == ',')
			v.axes |= UINT32_C(1) << strtol(stop, &stop, 10);
	if (type == ATTR_PAIR) {
		v.pair[0] = v.pair[1] = strtoll(s, &stop, 10);
		if (*stop == 'x') v.pair[1] = strtoll(stop + 1, &stop, 10);
	}
	if (stop) end = stop;
	if (type == ATTR_PADS) end = parse_pads(s, &v.pads);
	if (*end) bug("no value of an attribute: %s", s);
	return v;
}

static void parse_operand(Sample *s, const char *text)
{
	int k = s->nin++;
	if (k >= SAMPLE_OPERANDS) bug("a sample of too many operands");
	Shape *shape = &s->shape[k];
	char *end = (char *)text;
	while (*end >= '0' && *end <= '9') {
		if (shape->rank == MAX_RANK) bug("no shape: %s", text);
		shape->dim[shape->rank++] = strtoll(end, &end, 10);
		if (*end == 'x') end++;
	}
	if (*end == '%' || *end == '<') {
		if (*end == '<') s->type[k] = TYPE_LABEL;
		s->whole[k] = strtoll(end + 1, &end, 10);
	} else if (!strcmp(end, ">0")) {
		s->positive[k] = true;
		end += 2;
	} else if (*end == '+') {
		s->offset[k] = strtod(end + 1, &end);
	}
	if (*end) bug("no operand: %s", text);
}

Sample sample_parse(Arena *a, const OpDesc *op, const char *line)
{
	Sample s = {.attr = graph_attrs(a, op)};
	s.text = arena_printf(a, "%.*s", (int)strcspn(line, "\n"), line);
	char *rest = arena_copy(a, s.text);
	bool operands = true;
	for (char *word; (word = strtok_r(rest, " ", &rest));) {
		if (!strcmp(word, "|")) {
			operands = false;
			continue;
		}
		char *value = strchr(word, '=');
		if (!value) bug("no name=value: %s", word);
		*value++ = 0;
		if (operands) {
			parse_operand(&s, value);
			if (!strcmp(word, "seed")) s.type[s.nin - 1] = TYPE_SEED;
		} else {
			int at = attr_index(op, word);
			s.attr[at] = parse_attr(a, op->attr[at].type, value);
		}
	}
	return s;
}

bool sample_next(Arena *a, const OpDesc *op, const char **samples, Sample *sample)
{
	const char *line = *samples;
	if (!*line) return false;
	*sample = sample_parse(a, op, line);
	line += strcspn(line, "\n");
	*samples = line + (*line == '\n');
	return true;
}

double sample_uniform(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (double)(*seed >> 11) / (double)(UINT64_C(1) << 52) - 1;
}

double *sample_numbers(Arena *a, const Sample *s, int k, uint64_t *seed)
{
	int64_t count = shape_count(s->shape[k]);
	double *x = NEWS(a, double, count);
	for (int64_t i = 0; i < count; i++) {
		double u = sample_uniform(seed);
		x[i] = u + s->offset[k];
		if (s->positive[k]) x[i] = 0.25 + 0.7 * fabs(u);
		if (s->type[k] == TYPE_SEED) x[i] = i ? SAMPLE_STEP : SAMPLE_SEED;
		if (s->whole[k]) x[i] = floor((u + 1) / 2 * (double)s->whole[k]);
	}
	return x;
}
