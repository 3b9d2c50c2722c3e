/* scheduled: a network as the compiler schedules it, for tests that look at its parts. */
#ifndef CNNC_TESTS_SCHEDULED_H
#define CNNC_TESTS_SCHEDULED_H

#include "../compiler/driver.h"

/* Fails the test itself; returns how many things it looked at. */
typedef int Check(const char *file, const Program *program, const Part *p);

/* The sum over the parts for one image in inference and `batch` in training. */
int check_network(
    const char *file, const char *target, WinogradUse winograd, int64_t batch, Check *check);
/* The same of a description's text. */
int check_text(const char *text, const char *target, int64_t batch, Check *check);

#endif
