/* line: lines from a terminal, with editing and a history that outlives the program; or from a
 * pipe. */
#ifndef CNNC_LINE_H
#define CNNC_LINE_H

#include <stdbool.h>

bool line_terminal(void); /* both ends are a terminal */
void line_open(void);     /* reads ~/.cnnc_history; only for a terminal, as the next two */
void line_close(void);    /* writes it */
void line_remember(const char *text);
char *line_read(
    bool terminal, const char *prompt); /* malloc'd, without its newline; NULL at the end */

#endif
