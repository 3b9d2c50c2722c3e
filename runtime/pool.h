/* pool: a fixed number of threads that share the tasks of an emitted entry.
 *
 *   Pool *p = pool_new(4);
 *   struct cnnc_pool shared = pool_shared(p);
 *   lenet_step_b64(&train, x, label, &loss, scores, work, &shared);
 *   pool_free(p);
 *
 * What a network computes does not depend on the number of threads: the emitted text cuts the work,
 * the pool only hands it out. */
#ifndef CNNC_RUNTIME_POOL_H
#define CNNC_RUNTIME_POOL_H

#include "types.h"

typedef struct Pool Pool;

/* `threads` counts the caller of run, who works too: 1 makes no thread at all; 0 asks for one a
 * processor. NULL when threads or memory cannot be had. */
Pool *pool_new(int threads);
void pool_free(Pool *p); /* NULL is fine; no run may be going on */
int pool_threads(const Pool *p);
/* What the emitted entries take. Valid as long as the pool.
 *
 * run(self, task, arg, n) calls task(arg, 0) ... task(arg, n - 1) once each, in any order and on
 * any thread, and returns when all have returned; what they wrote is then visible to the caller. A
 * run while another one goes on, from inside a task of it or from another thread, does its tasks
 * alone, without waiting. Tasks return: no longjmp and no pthread_exit out of them. */
struct cnnc_pool pool_shared(Pool *p);

#endif
