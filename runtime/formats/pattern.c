/* pattern: see pattern.h. */
#include "pattern.h"

#include <stddef.h>

bool pattern_meets(const char *pattern, const char *text)
{
	const char *star = NULL, *from = NULL; /* the last star, and where its text ends so far */
	while (*text) {
		if (*pattern == '*') {
			star = pattern++;
			from = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*pattern == '*') pattern++;
	return *pattern == '\0';
}
