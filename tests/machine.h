/* machine: what this machine can do, for tests that go as far as it goes. */
#ifndef CNNC_TESTS_MACHINE_H
#define CNNC_TESTS_MACHINE_H

#include <stdbool.h>

bool have_program(const char *name); /* in the path */
bool check_is_full(void);            /* CNNC_CHECK=full: what is left out else, for its time */
/* Sanitizers watch this program, and slow it down several times: lanes of floats will do. */
bool check_is_sanitized(void);
/* The compiler, or a quick one of its kind where only cnnc is watched: what it makes of emitted C
 * is for the checks without sanitizers. NULL, libtcc, stays. */
const char *check_compiler(const char *compiler);
bool target_runs(const char *target); /* kernels for this target */

#endif
