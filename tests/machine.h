/* machine: what this machine can do, for tests that go as far as it goes. */
#ifndef CNNC_TESTS_MACHINE_H
#define CNNC_TESTS_MACHINE_H

#include <stdbool.h>

bool have_program(const char *name);  /* in the path */
bool check_is_full(void);             /* CNNC_CHECK=full: time does not matter */
bool target_runs(const char *target); /* kernels for this target */

#endif
