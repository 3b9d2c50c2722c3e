/* passes: the list, run in order and verified after each. */
#include "passes.h"

const Pass pass_table[] = {
#define PASS(name) {#name, pass_##name},
#include "../passes.def"
#undef PASS
};
const int pass_count = COUNT(pass_table);

void run_passes(Graph *g)
{
	for (int i = 0; i < pass_count; i++) {
		pass_table[i].run(g);
		const char *fault = graph_verify(g);
		if (fault) bug("after the pass %s: %s", pass_table[i].name, fault);
	}
}
