/* What the two ways share. */
#ifndef CNNC_JIT_PRIVATE_H
#define CNNC_JIT_PRIVATE_H

#include "jit.h"

struct Jit {
	void *handle;
	void *(*symbol)(void *handle, const char *name);
	void (*close)(void *handle);
};

/* NULL when memory is short; `handle` is closed then. */
Jit *jit_new(void *handle, void *(*symbol)(void *, const char *), void (*close)(void *));

#endif
