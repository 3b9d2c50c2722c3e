/* cnnc: the compiler as a library. Opaque state, status codes; nothing is printed and nothing
 * exits, but for a bug of cnnc itself, which prints a line to stderr and calls abort().
 *
 * States share nothing: threads may have one each. Strings belong to the state and live until its
 * next call. Linked with -lcnnc -lcnnc_rt -llua5.4 -ltcc -ledit -ljansson -lz -ldl -lm -lpthread.
 */
#ifndef CNNC_H
#define CNNC_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* INPUT_ERROR: the network, a file or memory; USAGE_ERROR: an option, or a call out of order.
 * INTERNAL_ERROR: no function's, but the program's exit status after a bug. */
enum { CNNC_DONE = 0, CNNC_INPUT_ERROR = 1, CNNC_USAGE_ERROR = 2, CNNC_INTERNAL_ERROR = 70 };

typedef struct cnnc_state cnnc_state;

cnnc_state *cnnc_new(void);    /* NULL when memory is short */
void cnnc_free(cnnc_state *c); /* NULL is fine */
/* Options as on the command line: cnnc_option(c, "-b", "infer=1,64"); value NULL for flags. */
int cnnc_option(cnnc_state *c, const char *name, const char *value);
/* Reads a network file and compiles it. Returns a status; messages by cnnc_messages. */
int cnnc_compile_file(cnnc_state *c, const char *path);
const char *cnnc_messages(
    const cnnc_state *c); /* "file:line: error: ..." lines; "" when there are none */
const char *cnnc_c_text(const cnnc_state *c); /* after success; owned by c */
const char *cnnc_h_text(const cnnc_state *c);
/* What --dump and --summary ask for: "" when they were not given. After success; owned by c. */
const char *cnnc_report(const cnnc_state *c);
/* Writes the .c and .h (and depfile) that the options name; header first, whole or not at all. */
int cnnc_write(cnnc_state *c);
const char *cnnc_version(void);

#ifdef __cplusplus
}
#endif
#endif
