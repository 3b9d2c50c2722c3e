/* pattern: names by pattern, as --freeze and allow_missing have them. */
#ifndef CNNC_FORMATS_PATTERN_H
#define CNNC_FORMATS_PATTERN_H

#include <stdbool.h>

/* Whether the whole text fits: '*' is any text, '?' any character. */
bool pattern_meets(const char *pattern, const char *text);

#endif
