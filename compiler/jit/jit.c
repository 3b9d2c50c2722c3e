/* jit: the face of both ways. */
#include "jit_private.h"

#include <stdlib.h>

Jit *jit_new(void *handle, void *(*symbol)(void *, const char *), void (*close)(void *))
{
	Jit *j = malloc(sizeof *j);
	if (j)
		*j = (Jit){handle, symbol, close};
	else
		close(handle);
	return j;
}

void *jit_symbol(const Jit *j, const char *name) { return j->symbol(j->handle, name); }

void jit_free(Jit *j)
{
	if (!j) return;
	j->close(j->handle);
	free(j);
}
