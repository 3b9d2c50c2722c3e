/* interface: functions, types and sizes as the user sees them: the header's text.
 *
 * The canonical layout is the only interface: vars, grads and slots are numbers in the table's
 * order, whatever the kernels make of them behind `packed` and `work`. */
#include "internal.h"

enum { ALIGN = 64 }; /* bytes: work and packed are rounded up to this inside */

static const char ownership[] = "It belongs to whoever had it made: use it, change it, pass it on.";

/* --- sizes --------------------------------------------------------------------------------- */

int64_t bytes_of(const Emission *e, int64_t elements)
{
	int64_t bytes;
	if (!mul_fits(elements, e->program->is_double ? 8 : 4, &bytes))
		bug("%lld elements do not fit", (long long)elements);
	return bytes;
}

static int64_t rounded(int64_t bytes) { return (bytes + ALIGN - 1) / ALIGN * ALIGN; }

int64_t part_work(const Part *p) { return p->work ? p->work + ALIGN - 1 : 0; }

/* Of a step that is not a part of its own: the gradients first, then their own work. */
int64_t step_work(const Emission *e, const Part *gradients)
{
	const Part *step = find_part(e, ENTRY_STEP, gradients->batch);
	if (step) return part_work(step);
	return rounded(bytes_of(e, e->program->model->weights)) + gradients->work + ALIGN - 1;
}

static int64_t packed_bytes(const Emission *e)
{
	return e->packed_elements ? bytes_of(e, e->packed_elements) + ALIGN - 1 : 0;
}

const Part *find_part(const Emission *e, EntryKind kind, int64_t batch)
{
	for (int i = 0; i < e->program->part.n; i++) {
		const Part *p = e->program->part.at[i];
		if (p->kind == kind && (!batch || p->batch == batch)) return p;
	}
	return NULL;
}

int64_t scratch_bytes(const Emission *e)
{
	const Part *update = find_part(e, ENTRY_UPDATE, 0);
	int64_t bytes = update ? part_work(update) : 0;
	if (bytes > 1024) bug("the update wants %lld bytes on the stack", (long long)bytes);
	return bytes;
}

/* --- words --------------------------------------------------------------------------------- */

const char *shape_words(Arena *a, Shape s)
{
	const char *text = s.rank ? "" : "one number";
	for (int i = 0; i < s.rank; i++)
		text = arena_printf(a, "%s%s%lld", text, i ? " x " : "", (long long)s.dim[i]);
	return text;
}

/* --- arguments ----------------------------------------------------------------------------- */

static bool is_hidden(const Part *p, int i)
{
	const Argument *arg = &p->arg.at[i];
	if (arg->type == TYPE_SEED) return true;
	return arg->of_step;
}

static bool is_loss(const Part *p, int i)
{
	return p->kind != ENTRY_INFER && p->arg.at[i].output && !strcmp(p->arg.at[i].name, "loss");
}

int user_arguments(const Part *p, int *order)
{
	int n = 0, loss = -1;
	for (int i = 0; i < p->arg.n && loss < 0; i++)
		if (is_loss(p, i)) loss = i;
	for (int i = 0; i < p->arg.n; i++)
		if (!p->arg.at[i].output && !is_hidden(p, i)) order[n++] = i;
	if (loss >= 0) order[n++] = loss;
	for (int i = 0; i < p->arg.n; i++)
		if (p->arg.at[i].output && i != loss) order[n++] = i;
	return n;
}

static void print_arguments(const Emission *e, const Part *p, EntryKind kind, Text *out)
{
	int *order = NEWS(e->arena, int, p->arg.n + 1), n = user_arguments(p, order);
	bool grads = kind == ENTRY_GRADIENTS;
	for (int i = 0; i < n; i++) {
		const Argument *arg = &p->arg.at[order[i]];
		if (arg->output && grads) text_printf(out, ", %s *grads", e->real);
		if (arg->output) grads = false;
		text_printf(out, ", %s%s *%s", arg->output ? "" : "const ",
		    arg->type == TYPE_LABEL ? "int32_t" : e->real, argument_name(e, p, order[i]));
	}
	if (grads) text_printf(out, ", %s *grads", e->real);
	text_add(out, ", void *work, const struct cnnc_pool *pool)");
}

void print_signature(const Emission *e, const Part *p, EntryKind kind, Text *out)
{
	Text line;
	const char *net = e->prefix, *real = e->real;
	text_init(&line, e->arena);
	switch (kind) {
	case ENTRY_INIT:
		text_printf(&line, "void %s_init(%s *vars, %s *slots, uint64_t seed)", net, real, real);
		break;
	case ENTRY_PACK:
		text_printf(&line, "void %s_pack(const %s *vars, void *packed)", net, real);
		break;
	case ENTRY_INFER:
		text_printf(&line, "int %s_%s(const void *packed", net, p->name);
		print_arguments(e, p, kind, &line);
		break;
	case ENTRY_EVAL:
		text_printf(&line, "int %s_%s(const %s *vars", net, p->name, real);
		print_arguments(e, p, kind, &line);
		break;
	case ENTRY_GRADIENTS:
		text_printf(&line, "int %s_%s(%s *vars, uint64_t seed, uint64_t step", net, p->name, real);
		print_arguments(e, p, kind, &line);
		break;
	case ENTRY_UPDATE:
		text_printf(&line, "int %s_update(struct %s_train *t, const %s *grads)", net, net, real);
		break;
	case ENTRY_STEP:
		text_printf(&line, "int %s_step_b%lld(struct %s_train *t", net, (long long)p->batch, net);
		print_arguments(e, p, kind, &line);
		break;
	}
	text_wrapped(out, line.data);
	out->data[--out->len] = '\0'; /* the newline: ; or { follows */
}

/* --- comments over functions --------------------------------------------------------------- */

static void describe_arguments(const Emission *e, const Part *p, EntryKind kind, Text *out)
{
	int *order = NEWS(e->arena, int, p->arg.n + 1), n = user_arguments(p, order);
	for (int i = 0; i < n; i++) {
		const Argument *arg = &p->arg.at[order[i]];
		text_printf(
		    out, " *   %-8s %s", argument_name(e, p, order[i]), shape_words(e->arena, arg->shape));
		if (arg->type == TYPE_LABEL)
			text_printf(out, ", each 0 to %lld", (long long)arg->classes - 1);
		else if (is_loss(p, order[i]) && arg->shape.rank)
			text_add(out, ": the total, then its terms");
		text_add(out, arg->output ? ", written\n" : "\n");
	}
	if (kind == ENTRY_GRADIENTS)
		text_printf(out,
		    " *   grads    %s_WEIGHTS numbers in the weights' order, written;\n"
		    " *            memory to work in before\n",
		    e->upper);
}

static void describe_work(const Emission *e, const Part *p, EntryKind kind, Text *out)
{
	static const char *const word[] = {[ENTRY_INFER] = "INFER",
	    [ENTRY_EVAL] = "EVAL",
	    [ENTRY_GRADIENTS] = "GRADIENTS",
	    [ENTRY_STEP] = "STEP"};
	text_printf(out, " *   work     %s_%s_B%lld_WORK bytes, which hold nothing between calls\n",
	    e->upper, word[kind], (long long)p->batch);
	text_add(out,
	    " *   pool     runs the blocks; NULL: OpenMP where compiled with it, else this thread\n");
}

static bool has_buffers(const Emission *e)
{
	const Model *m = e->program->model;
	for (int i = 0; i < m->state.n; i++)
		if (m->state.at[i]->kind == STATE_BUFFER) return true;
	return false;
}

static bool has_labels(const Part *p)
{
	for (int i = 0; i < p->arg.n; i++)
		if (p->arg.at[i].type == TYPE_LABEL) return true;
	return false;
}

static void describe_status(const Part *p, const char *nonfinite, Text *out)
{
	text_add(out, " * CNNC_OK");
	if (has_labels(p)) text_add(out, "; CNNC_BAD_LABEL: one is out of range, nothing was written");
	text_printf(out, ";\n * CNNC_NONFINITE: %s */\n", nonfinite);
}

static void describe_step_status(const Emission *e, const Part *p, Text *out)
{
	Text t;
	text_init(&t, e->arena);
	text_add(&t, p->kind == ENTRY_STEP ? "the loss or an output holds NaN or infinity; "
	                                   : "as from the gradients; ");
	text_add(&t, "no weight, slot or step changed");
	if (has_buffers(e))
		text_add(&t,
		    ",\n * but buffers (running statistics) have, and may hold NaN: keep a copy to go "
		    "on from");
	if (p->kind == ENTRY_STEP)
		text_add(&t, ".\n * Gradients are not looked at: each is gone when its weight has moved");
	describe_status(p, t.data, out);
}

static void declare_entry(const Emission *e, const Part *p, EntryKind kind, Text *out)
{
	long long batch = p->batch;
	switch (kind) {
	case ENTRY_INFER:
		text_printf(out, "/* Inference on %lld:\n", batch);
		text_printf(out, " *   packed   what %s_pack made\n", e->prefix);
		describe_arguments(e, p, kind, out);
		describe_work(e, p, kind, out);
		describe_status(p, "an output holds NaN or infinity; all is written", out);
		break;
	case ENTRY_EVAL:
		text_printf(
		    out, "/* Outputs and loss on %lld, as inference computes them; no gradient:\n", batch);
		text_printf(out, " *   vars     %s_VARS numbers\n", e->upper);
		describe_arguments(e, p, kind, out);
		describe_work(e, p, kind, out);
		describe_status(p, "the loss or an output holds NaN or infinity; all is written", out);
		break;
	case ENTRY_GRADIENTS:
		text_printf(out, "/* The gradient of the mean loss over %lld by every weight:\n", batch);
		text_printf(out,
		    " *   vars     %s_VARS numbers; buffers among them (running statistics) advance\n",
		    e->upper);
		text_add(out, " *   seed, step  decide the random numbers of this step\n");
		describe_arguments(e, p, kind, out);
		describe_work(e, p, kind, out);
		describe_status(p, "loss, outputs or gradients hold NaN or infinity; all is written", out);
		break;
	case ENTRY_STEP:
		text_printf(out,
		    "/* One step of training on %lld: the gradients, then the update, to the bit:\n",
		    batch);
		describe_arguments(e, p, kind, out);
		describe_work(e, p, kind, out);
		describe_step_status(e, p, out);
		break;
	default: bug("entry kind %d", (int)kind);
	}
	print_signature(e, p, kind, out);
	text_add(out, ";\n\n");
}

/* --- any number of images ------------------------------------------------------------------ */

int infer_parts(const Emission *e, const Part **part, bool *any)
{
	int n = 0;
	*any = true;
	for (int i = 0; i < e->program->part.n; i++) {
		const Part *p = e->program->part.at[i];
		if (p->kind != ENTRY_INFER) continue;
		int at = n++;
		for (; at > 0 && part[at - 1]->batch < p->batch; at--) part[at] = part[at - 1];
		part[at] = p;
		for (int k = 0; k < p->arg.n; k++)
			*any &= p->arg.at[k].shape.rank > 0 && p->arg.at[k].shape.dim[0] == p->batch;
	}
	*any &= n > 0;
	return n;
}

static void declare_any(const Emission *e, Text *out)
{
	const Part **part = NEWS(e->arena, const Part *, e->program->part.n + 1);
	bool any;
	int n = infer_parts(e, part, &any);
	if (!any) return;
	text_add(out, "/* Inference on n images, the largest batches first. work: ");
	text_printf(out, "%s_INFER_WORK bytes. The status\n * is the worst of the batches'", e->upper);
	if (part[n - 1]->batch > 1)
		text_add(out, "; CNNC_BAD_BATCH: some are left then, nothing was written");
	text_add(out, ". */\n");
	Text line, rest;
	text_init(&line, e->arena);
	text_init(&rest, e->arena);
	print_arguments(e, part[0], ENTRY_INFER, &rest);
	text_printf(&line, "int %s_infer(size_t n, const void *packed%s;", e->prefix, rest.data);
	text_wrapped(out, line.data);
	text_add(out, "\n");
}

/* --- the header ---------------------------------------------------------------------------- */

/* The same text as in runtime/types.h, so that headers of several networks agree. */
static const char types[] =
    "#ifndef CNNC_TYPES\n"
    "#define CNNC_TYPES\n"
    "enum { CNNC_OK = 0, CNNC_NONFINITE = 1, CNNC_BAD_LABEL = 2, CNNC_BAD_BATCH = 3 };\n"
    "struct cnnc_tensor {\n"
    "\tconst char *name;\n"
    "\tsize_t offset, count;\n"
    "\tuint32_t dim[4]; /* the first `rank` */\n"
    "\tuint8_t rank, kind;\n"
    "};\n"
    "/* run calls task(arg, 0) to task(arg, n - 1) once each, in any order, on any threads with "
    "STACK_BYTES\n"
    " * of stack, and returns when all are done; what they wrote is then seen by whoever called "
    "it. */\n"
    "struct cnnc_pool {\n"
    "\tvoid (*run)(void *self, void (*task)(void *arg, size_t i), void *arg, size_t n);\n"
    "\tvoid *self;\n"
    "};\n"
    "#endif\n\n";

static void define(const Emission *e, Text *h, const char *what, int64_t value)
{
	text_printf(h, "#define %s_%s %lld\n", e->upper, what, (long long)value);
}

/* Of names, kinds, shapes and places: two texts with one hash take the same vars and slots. */
static uint64_t layout_hash(const Emission *e)
{
	const Model *m = e->program->model;
	Text t;
	text_init(&t, e->arena);
	text_printf(&t, "%s %lld %lld;", e->real, (long long)m->vars, (long long)e->program->slots);
	for (int i = 0; i < m->state.n + e->program->slot.n; i++) {
		const State *s = i < m->state.n ? m->state.at[i] : e->program->slot.at[i - m->state.n];
		text_printf(&t, "%s %d %lld", s->name, (int)s->kind, (long long)s->offset);
		for (int d = 0; d < s->shape.rank; d++)
			text_printf(&t, " %lld", (long long)s->shape.dim[d]);
		text_add(&t, ";");
	}
	return hash_bytes(t.data, t.len, 0);
}

static void print_sizes(const Emission *e, Text *h)
{
	const Model *m = e->program->model;
	int64_t largest = 0;
	text_printf(h,
	    "/* Sizes: WEIGHTS, BUFFERS, VARS (both), SLOTS in numbers of type %s, TENSORS in entries "
	    "of the\n * table; all others in bytes. */\n",
	    e->real);
	define(e, h, "WEIGHTS", m->weights);
	define(e, h, "BUFFERS", m->buffers);
	define(e, h, "VARS", m->vars);
	define(e, h, "SLOTS", e->program->slots);
	define(e, h, "TENSORS", m->state.n + e->program->slot.n);
	define(e, h, "PACKED_BYTES", packed_bytes(e));
	for (int i = 0; i < e->program->part.n; i++) {
		const Part *p = e->program->part.at[i];
		static const char *const word[] = {[ENTRY_INFER] = "INFER",
		    [ENTRY_EVAL] = "EVAL",
		    [ENTRY_GRADIENTS] = "GRADIENTS",
		    [ENTRY_STEP] = NULL};
		if (p->kind != ENTRY_INFER && p->kind != ENTRY_EVAL && p->kind != ENTRY_GRADIENTS) continue;
		const char *what =
		    arena_printf(e->arena, "%s_B%lld_WORK", word[p->kind], (long long)p->batch);
		define(e, h, what, part_work(p));
		if (p->kind == ENTRY_INFER) largest = MAX(largest, part_work(p));
		if (p->kind == ENTRY_GRADIENTS && find_part(e, ENTRY_UPDATE, 0))
			define(e, h, arena_printf(e->arena, "STEP_B%lld_WORK", (long long)p->batch),
			    step_work(e, p));
	}
	if (find_part(e, ENTRY_INFER, 0)) define(e, h, "INFER_WORK", largest);
	/* what an entry's own lists take comes on top of its deepest kernel */
	text_printf(h, "/* Of stack, in each thread, at most, when compiled with optimisation. */\n");
	define(e, h, "STACK_BYTES", rounded(e->stack + 1024 + scratch_bytes(e)));
	text_printf(h, "/* Changes when vars or slots are laid out otherwise. */\n");
	text_printf(
	    h, "#define %s_HASH UINT64_C(0x%016llx)\n\n", e->upper, (unsigned long long)layout_hash(e));
}

static void print_training(const Emission *e, Text *h)
{
	const Model *m = e->program->model;
	if (!find_part(e, ENTRY_UPDATE, 0)) return;
	const Optimizer *o = &m->optimizer;
	text_printf(h,
	    "/* Where a training by %s stands: vars has %s_VARS numbers, slots %s_SLOTS; step counts\n"
	    " * updates.",
	    o->kind, e->upper, e->upper);
	for (int i = 0; i < o->hypers; i++) {
		text_printf(h, "%s %s ", i ? "," : " The description says", o->hyper[i].name);
		text_number(h, o->hyper[i].value, true);
	}
	text_printf(h, "%s */\n", o->hypers ? "." : "");
	text_printf(
	    h, "struct %s_train {\n\t%s *vars, *slots;\n\tuint64_t seed, step;\n", e->prefix, e->real);
	for (int i = 0; i < o->hypers; i++)
		text_printf(h, "%s%s %s", i ? "," : "\t", i ? "" : e->real, o->hyper[i].name);
	text_printf(h, "%s};\n\n", o->hypers ? ";\n" : "");
}

static void declare_states(const Emission *e, Text *h)
{
	if (find_part(e, ENTRY_INIT, 0)) {
		text_add(h, "/* Fills vars and slots as the layers ask, the same for one seed everywhere. "
		            "slots may be "
		            "NULL where\n * there are none. */\n");
		print_signature(e, NULL, ENTRY_INIT, h);
		text_add(h, ";\n\n");
	}
	if (find_part(e, ENTRY_INFER, 0)) {
		text_printf(h,
		    "/* Makes of vars what inference reads: %s_PACKED_BYTES at `packed`, with batch norms "
		    "folded in.\n * Again after vars change, or after packed moved. */\n",
		    e->upper);
		print_signature(e, NULL, ENTRY_PACK, h);
		text_add(h, ";\n\n");
	}
}

static void declare_entries(const Emission *e, Text *h)
{
	bool update = find_part(e, ENTRY_UPDATE, 0) != NULL;
	declare_states(e, h);
	for (int i = 0; i < e->program->part.n; i++)
		if (e->program->part.at[i]->kind == ENTRY_INFER)
			declare_entry(e, e->program->part.at[i], ENTRY_INFER, h);
	declare_any(e, h);
	for (int i = 0; i < e->program->part.n; i++) {
		const Part *p = e->program->part.at[i];
		if (p->kind == ENTRY_EVAL || p->kind == ENTRY_GRADIENTS) declare_entry(e, p, p->kind, h);
		const Part *step = find_part(e, ENTRY_STEP, p->batch);
		if (p->kind == ENTRY_GRADIENTS && update) declare_entry(e, step ? step : p, ENTRY_STEP, h);
	}
	if (!update) return;
	text_printf(h,
	    "/* Moves the weights against grads (%s_WEIGHTS numbers) and counts the step. CNNC_OK;\n"
	    " * CNNC_NONFINITE: a gradient is NaN or infinite, nothing changed. */\n",
	    e->upper);
	print_signature(e, NULL, ENTRY_UPDATE, h);
	text_add(h, ";\n\n");
}

void print_header(const Emission *e, const char *guard, Text *h)
{
	const Model *m = e->program->model;
	text_printf(h, "/* %s: made by cnnc " CNNC_VERSION ". %s */\n", e->prefix, ownership);
	if (guard) text_printf(h, "#ifndef %s\n#define %s\n\n", guard, guard);
	text_add(h, "#include <stddef.h>\n#include <stdint.h>\n\n#ifdef __cplusplus\nextern \"C\" "
	            "{\n#endif\n\n");
	text_add(h, types);
	text_add(h,
	    "/* Arrays are dense and row-major, in the order of their shapes. work and packed may lie "
	    "anywhere;\n * what is written overlaps nothing else; pool may be NULL.");
	if (!e->profile)
		text_add(h,
		    " Functions keep no state: calls that\n * write to different memory may run at once.");
	text_add(h, " */\n");
	print_sizes(e, h);
	if (m->state.n + e->program->slot.n) {
		text_add(h, "/* Every tensor by name: kind 0 a weight, 1 a buffer, at `offset` in vars; 2 "
		            "a slot, in "
		            "slots. */\n");
		text_printf(
		    h, "extern const struct cnnc_tensor %s_tensors[%s_TENSORS];\n\n", e->prefix, e->upper);
	}
	print_training(e, h);
	declare_entries(e, h);
	if (e->profile) declare_profile(e, h);
	text_add(h, "#ifdef __cplusplus\n}\n#endif\n");
	if (guard) text_add(h, "\n#endif\n");
}
