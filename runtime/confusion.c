/* confusion: counting and printing answers by truth. */
#include "confusion.h"

#include <stdlib.h>

bool confusion_open(Confusion *c, int classes)
{
	size_t n = classes > 0 ? (size_t)classes : 0;
	*c = (Confusion){.classes = classes};
	if (n && n <= SIZE_MAX / n) c->count = calloc(n * n, sizeof *c->count);
	return c->count != NULL;
}

void confusion_close(Confusion *c)
{
	free(c->count);
	*c = (Confusion){0};
}

static uint64_t *cell(const Confusion *c, int truth, int answer)
{
	return &c->count[(size_t)truth * (size_t)c->classes + (size_t)answer];
}

void confusion_add(Confusion *c, int truth, int answer) { ++*cell(c, truth, answer); }

uint64_t confusion_right(const Confusion *c)
{
	uint64_t n = 0;
	for (int k = 0; k < c->classes; k++) n += *cell(c, k, k);
	return n;
}

static uint64_t row_total(const Confusion *c, int truth)
{
	uint64_t n = 0;
	for (int k = 0; k < c->classes; k++) n += *cell(c, truth, k);
	return n;
}

uint64_t confusion_total(const Confusion *c)
{
	uint64_t n = 0;
	for (int k = 0; k < c->classes; k++) n += row_total(c, k);
	return n;
}

/* Digits of the largest number of the table, and of the largest class. */
static int cell_width(const Confusion *c)
{
	uint64_t most = (uint64_t)c->classes;
	for (int i = 0; i < c->classes; i++)
		for (int k = 0; k < c->classes; k++)
			if (*cell(c, i, k) > most) most = *cell(c, i, k);
	return snprintf(NULL, 0, "%llu", (unsigned long long)most) + 1;
}

void confusion_print(const Confusion *c, FILE *out)
{
	int width = cell_width(c);
	fprintf(out, "truth \\ answer\n%5s", "");
	for (int k = 0; k < c->classes; k++) fprintf(out, "%*d", width, k);
	fprintf(out, "   right\n");
	for (int i = 0; i < c->classes; i++) {
		fprintf(out, "%5d", i);
		for (int k = 0; k < c->classes; k++) {
			if (*cell(c, i, k))
				fprintf(out, "%*llu", width, (unsigned long long)*cell(c, i, k));
			else
				fprintf(out, "%*s", width, ".");
		}
		uint64_t n = row_total(c, i);
		if (n)
			fprintf(out, "  %5.1f%%\n", 100.0 * (double)*cell(c, i, i) / (double)n);
		else
			fprintf(out, "       -\n");
	}
}

int confusion_answer(const float *score, int n)
{
	int best = 0;
	for (int i = 1; i < n; i++)
		if (score[i] > score[best] || score[best] != score[best]) best = i;
	return best;
}
