/* net_adapter: a function `int cnnc_call_<entry>(void *const *p)` for each entry, in C, compiled
 * with the emitted text. p[] begins as ARG_* says; the entry's inputs and outputs follow in its own
 * order. */
#include "net.h"

#include <ctype.h>

bool entry_of(const Part *p, Entry *e)
{
	int loss = -1;
	*e = (Entry){.part = p};
	if (p->arg.n > NET_ARGUMENTS) return false;
	for (int i = 0; i < p->arg.n; i++) {
		const Argument *arg = &p->arg.at[i];
		bool named_loss = p->kind != ENTRY_INFER && arg->output && strcmp(arg->name, "loss") == 0;
		if (named_loss && loss < 0) loss = i;
		if (!arg->output && arg->type != TYPE_SEED) e->order[e->n++] = i;
	}
	e->inputs = e->n;
	e->has_loss = loss >= 0;
	if (loss >= 0) e->order[e->n++] = loss;
	for (int i = 0; i < p->arg.n; i++)
		if (p->arg.at[i].output && i != loss) e->order[e->n++] = i;
	return true;
}

static const char *upper(Arena *a, const char *s)
{
	char *u = arena_copy(a, s);
	for (char *c = u; *c; c++) *c = (char)toupper((unsigned char)*c);
	return u;
}

static void add_call(Text *out, const Net *net, const Entry *e, const char *name, const char *first,
    const char *grads)
{
	text_printf(out, "%s_%s(%s", net->model->name, name, first);
	for (int i = 0; i < e->inputs; i++) text_printf(out, ", p[%d]", ARG_OWN + i);
	text_add(out, grads);
	for (int i = e->inputs; i < e->n; i++) text_printf(out, ", p[%d]", ARG_OWN + i);
	text_printf(out, ", p[%d], 0)", ARG_WORK);
}

static void add_head(Text *out, const char *name)
{
	text_printf(out, "int cnnc_call_%s(void *const *p);\nint cnnc_call_%s(void *const *p)\n{\n",
	    name, name);
}

static void add_entry(Text *out, const Net *net, const Entry *e, const char *name)
{
	if (!e->part) return;
	const char *first =
	    e == &net->infer ? arena_printf(out->arena, "p[%d]", ARG_PACKED)
	    : e == &net->eval
	        ? arena_printf(out->arena, "p[%d]", ARG_VARS)
	        : arena_printf(out->arena, "p[%d], *(const uint64_t *)p[%d], *(const uint64_t *)p[%d]",
	              ARG_VARS, ARG_SEED, ARG_STEP);
	const char *grads = e == &net->gradients ? arena_printf(out->arena, ", p[%d]", ARG_GRADS) : "";
	add_head(out, name);
	text_add(out, "\treturn ");
	add_call(out, net, e, e->part->name, first, grads);
	text_add(out, ";\n}\n");
}

static const char *step_name(Arena *a, const Net *net)
{
	return arena_printf(a, "step_b%lld", (long long)net->step.part->batch);
}

/* The step counter comes back through p[ARG_STEP]. */
static void add_step(Text *out, const Net *net)
{
	const Optimizer *o = &net->model->optimizer;
	if (!net->step.part) return;
	add_head(out, "step");
	text_printf(out,
	    "\tstruct %s_train t = {0};\n"
	    "\tconst double *hyper = p[%d];\n\tint status;\n"
	    "\tt.vars = p[%d];\n\tt.slots = p[%d];\n"
	    "\tt.seed = *(uint64_t *)p[%d];\n\tt.step = *(uint64_t *)p[%d];\n"
	    "\t(void)hyper;\n",
	    net->model->name, ARG_HYPER, ARG_VARS, ARG_SLOTS, ARG_SEED, ARG_STEP);
	for (int i = 0; i < o->hypers; i++)
		text_printf(out, "\tt.%s = (%s)hyper[%d];\n", o->hyper[i].name,
		    net->program->is_double ? "double" : "float", i);
	text_add(out, "\tstatus = ");
	add_call(out, net, &net->step, step_name(out->arena, net), "&t", "");
	text_printf(out, ";\n\t*(uint64_t *)p[%d] = t.step;\n\treturn status;\n}\n", ARG_STEP);
}

const char *adapter_sizes_name(void) { return "cnnc_sizes"; }

/* Bytes of packed weights and of the largest work arena, from the emitted macros. */
static void add_sizes(Text *out, const Net *net)
{
	const char *prefix = upper(out->arena, net->model->name);
	const Entry *entry[] = {&net->infer, &net->eval, &net->gradients};
	text_printf(out, "void %s(size_t *s);\nvoid %s(size_t *s)\n{\n\tsize_t n;\n",
	    adapter_sizes_name(), adapter_sizes_name());
	text_printf(out, "\ts[0] = %s_PACKED_BYTES;\n\ts[1] = 0;\n", prefix);
	for (int i = 0; i < COUNT(entry); i++)
		if (entry[i]->part)
			text_printf(out, "\tn = %s_%s_WORK;\n\tif (n > s[1]) s[1] = n;\n", prefix,
			    upper(out->arena, entry[i]->part->name));
	if (net->step.part)
		text_printf(out, "\tn = %s_%s_WORK;\n\tif (n > s[1]) s[1] = n;\n", prefix,
		    upper(out->arena, step_name(out->arena, net)));
	text_add(out, "}\n");
}

void adapter_text(const Net *net, Text *out)
{
	const char *name = net->model->name;
	add_sizes(out, net);
	add_head(out, "init");
	if (net->has_init)
		text_printf(out, "\t%s_init(p[%d], p[%d], *(const uint64_t *)p[%d]);\n", name, ARG_VARS,
		    ARG_SLOTS, ARG_SEED);
	else
		text_add(out, "\t(void)p;\n");
	text_add(out, "\treturn 0;\n}\n");
	add_head(out, "pack");
	text_printf(out, "\t%s_pack(p[%d], p[%d]);\n\treturn 0;\n}\n", name, ARG_VARS, ARG_PACKED);
	add_entry(out, net, &net->infer, "infer");
	add_entry(out, net, &net->eval, "eval");
	add_entry(out, net, &net->gradients, "gradients");
	add_step(out, net);
}

static bool find(Net *net, const char *name, Adapter *f)
{
	void *address = jit_symbol(net->jit, name);
	memcpy(f, &address, sizeof *f);
	return address != NULL;
}

bool adapter_find(Net *net)
{
	return find(net, "cnnc_call_init", &net->init) && find(net, "cnnc_call_pack", &net->pack) &&
	       (!net->infer.part || find(net, "cnnc_call_infer", &net->infer.call)) &&
	       (!net->eval.part || find(net, "cnnc_call_eval", &net->eval.call)) &&
	       (!net->gradients.part || find(net, "cnnc_call_gradients", &net->gradients.call)) &&
	       (!net->step.part || find(net, "cnnc_call_step", &net->step.call));
}
