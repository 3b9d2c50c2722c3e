/* passes: graph to graph, each in a file of its own. Each leaves a graph that graph_verify accepts.
 */
#ifndef CNNC_PASSES_H
#define CNNC_PASSES_H

#include "../op.h"

#define PASS(name) void pass_##name(Graph *g);
#include "../passes.def"
#undef PASS

typedef struct {
	const char *name;
	void (*run)(Graph *g);
} Pass;

extern const Pass pass_table[];
extern const int pass_count;
/* Runs all in order; a fault that graph_verify finds after one is a bug of that pass. */
void run_passes(Graph *g);

#endif
