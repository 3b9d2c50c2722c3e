/* diag: what is said to the user. A mistake of the user is reported with the line of the Lua that
 * made it; several are collected in one run; nothing here prints or exits. */
#ifndef CNNC_DIAG_H
#define CNNC_DIAG_H

#include "base.h"

typedef struct {
	const char *file; /* NULL: the message has no place in a file */
	int line;
	const char
	    *caller_file; /* the call that led there (a block function called 16 times) or NULL */
	int caller_line;
} Where;

typedef enum { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE } Severity;

typedef struct {
	Severity severity;
	Where where;
	const char *text;
} Message;

typedef struct {
	Arena *arena;
	Vec(Message) message;
	int errors;
} Diag;

enum { DIAG_LIMIT = 20 }; /* errors reported in one run */

void diag_init(Diag *d, Arena *a);
/* `file:line: error: text`, then, when known, a note that names the caller's line. */
void diag_error(Diag *d, Where where, const char *format, ...) PRINTF_LIKE(3, 4);
void diag_warning(Diag *d, Where where, const char *format, ...) PRINTF_LIKE(3, 4);
void diag_note(Diag *d, Where where, const char *format, ...) PRINTF_LIKE(3, 4);
void diag_print(const Diag *d, Text *out); /* one message a line, as compilers write them */
const char *diag_nearest(
    const char *word, const char *const *choices, int n); /* or NULL: for hints */

#endif
