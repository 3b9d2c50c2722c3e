/* types: what every emitted header declares, for programs and libraries that see no emitted header,
 * or several. The text between the guards is the same in each of them. */
#ifndef CNNC_RUNTIME_TYPES_H
#define CNNC_RUNTIME_TYPES_H

#include <stddef.h>
#include <stdint.h>

#ifndef CNNC_TYPES
#define CNNC_TYPES
enum { CNNC_OK = 0, CNNC_NONFINITE = 1, CNNC_BAD_LABEL = 2, CNNC_BAD_BATCH = 3 };
struct cnnc_tensor {
	const char *name;
	size_t offset, count;
	uint32_t dim[4]; /* the first `rank` */
	uint8_t rank, kind;
};
/* run calls task(arg, 0) to task(arg, n - 1) once each, in any order, on any threads with
 * STACK_BYTES of stack, and returns when all are done; what they wrote is then seen by whoever
 * called it. */
struct cnnc_pool {
	void (*run)(void *self, void (*task)(void *arg, size_t i), void *arg, size_t n);
	void *self;
};
#endif

#endif
