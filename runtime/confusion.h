/* confusion: what a classifier took for what. */
#ifndef CNNC_RUNTIME_CONFUSION_H
#define CNNC_RUNTIME_CONFUSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct {
	int classes;
	uint64_t *count; /* [truth, answer] */
} Confusion;

bool confusion_open(Confusion *c, int classes);          /* false: no memory */
void confusion_close(Confusion *c);                      /* a zeroed one is fine */
void confusion_add(Confusion *c, int truth, int answer); /* both below classes */
uint64_t confusion_right(const Confusion *c);
uint64_t confusion_total(const Confusion *c);
/* Rows are the truth, columns the answers; the last column is the share of a row that was right. */
void confusion_print(const Confusion *c, FILE *out);

/* The place of the largest of n scores, the first of equals; a NaN never wins. */
int confusion_answer(const float *score, int n);

#endif
