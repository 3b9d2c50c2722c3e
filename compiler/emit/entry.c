/* entry: the entry functions: straight lists of kernel calls, one line and one comment a step.
 *
 * Names in their text: p what is packed, m the work, g the gradients' memory where it is lent, k
 * the kernels of this machine, a the arguments of one call. A training step has a list of its own
 * in which each weight moves behind its gradient; where all gradients must be there first, it is
 * the gradients' function and the update's list. */
#include "internal.h"

typedef struct {
	const Emission *e;
	const Part *part;
	int number;                                       /* of the part */
	const char *vars, *slots, *grads, *packed, *work; /* expressions, NULL: out of place here */
	uint32_t places;                                  /* bits: places that the calls mention */
	bool *used;                                       /* arguments that they mention */
	bool lends;                                       /* some call works in the gradients' memory */
	bool keyed; /* some call has a seed with a key of its own */
	Text *out;
} Entry;

/* --- what is looked at -------------------------------------------------------------------- */

static int64_t argument_count(const Argument *arg)
{
	int64_t n = 1;
	for (int d = 0; d < arg->shape.rank; d++)
		if (!mul_fits(n, arg->shape.dim[d], &n)) bug("argument %s is too large", arg->name);
	return n;
}

static void print_label_checks(const Emission *e, const Part *p, Text *out)
{
	for (int i = 0; i < p->arg.n; i++)
		if (p->arg.at[i].type == TYPE_LABEL)
			text_printf(out, "\tif (!labels_fit(%s, %lld, %lld)) return CNNC_BAD_LABEL;\n",
			    argument_name(e, p, i), (long long)argument_count(&p->arg.at[i]),
			    (long long)p->arg.at[i].classes);
}

/* The check-th of this part. */
static void print_check(
    const Emission *e, const Part *p, int check, const char *name, const char *count, Text *out)
{
	if (e->profile)
		text_printf(out, "\tif (!all_finite_timed(&profile[%d], %s, %s)) return CNNC_NONFINITE;\n",
		    profile_row(e, p, p->step.n + check), name, count);
	else
		text_printf(out, "\tif (!all_finite(%s, %s)) return CNNC_NONFINITE;\n", name, count);
}

/* Returns how many. */
static int print_output_checks(const Emission *e, const Part *p, Text *out)
{
	int check = 0;
	for (int i = 0; i < p->arg.n; i++)
		if (p->arg.at[i].output)
			print_check(e, p, check++, argument_name(e, p, i),
			    arena_printf(e->arena, "%lld", (long long)argument_count(&p->arg.at[i])), out);
	return check;
}

/* --- calls --------------------------------------------------------------------------------- */

static void print_base(Entry *w, const Buffer *b)
{
	const char *base[] = {[PLACE_WORK] = w->work,
	    [PLACE_VARS] = w->vars,
	    [PLACE_SLOTS] = w->slots,
	    [PLACE_GRADS] = w->grads,
	    [PLACE_PACKED] = w->packed};
	const char *name = b->place > PLACE_NONE && b->place <= PLACE_PACKED ? base[b->place] : NULL;
	bool lent = b->place == PLACE_WORK && b->lent;
	if (lent) name = "g";
	int64_t offset = b->offset;
	if (b->place == PLACE_INPUT || b->place == PLACE_OUTPUT) {
		if (b->slot < 0 || b->slot >= w->part->arg.n)
			bug("%s: %s is argument %d", w->part->name, b->name, b->slot);
		const Argument *arg = &w->part->arg.at[b->slot];
		w->used[b->slot] |= !seed_keyed(b);
		w->keyed |= seed_keyed(b);
		name = argument_name(w->e, w->part, b->slot);
		if (arg->type == TYPE_SEED) name = seed_keyed(b) ? "own" : "key";
		if (arg->of_step) name = "hyper";
	} else if (b->place == PLACE_TABLE) {
		name = arena_printf(w->e->arena, "table_%d", find_table(w->e, b));
	}
	if (!name) bug("%s: buffer %s has no place in this entry", w->part->name, b->name);
	w->lends |= lent;
	if (!lent) w->places |= UINT32_C(1) << b->place;
	text_add(w->out, name);
	if (offset) text_printf(w->out, " + %lld", (long long)offset);
}

/* `const void *const a[] = {...};` with the buffers of step s, and the seeds that they ask for. */
static void print_array(Entry *w, int s, const char *name)
{
	const Buffer *buffer[KERNEL_BUFFERS];
	int n = kernel_buffers(w->part->step.at[s].nest, buffer);
	Text line, *out = w->out;
	text_init(&line, w->e->arena);
	text_printf(&line, "\t\tconst void *const %s[] = {", name);
	w->out = &line;
	for (int b = 0; b < n; b++) {
		if (b) text_add(&line, ", ");
		print_base(w, buffer[b]);
	}
	w->out = out;
	text_add(&line, "};\n");
	for (int b = 0; b < n; b++)
		if (seed_keyed(buffer[b]))
			text_printf(out, "\t\tconst uint64_t own[3] = {seed, step, UINT64_C(0x%016llx)};\n",
			    (unsigned long long)buffer[b]->key);
	text_wrapped(out, line.data);
}

static void print_comment(Entry *w, int s)
{
	const Step *step = &w->part->step.at[s];
	text_add(w->out, "\t} /* ");
	print_comment_text(w->out, step->comment ? step->comment : step->nest->name);
	text_add(w->out, " */\n");
}

static const char *kernel_name(const Entry *w, int s) { return w->e->of_step[w->number][s]->name; }

static void print_call(Entry *w, int s)
{
	text_add(w->out, "\t{\n");
	print_array(w, s, "a");
	text_add(w->out, "\t\trun");
	if (w->e->profile)
		text_printf(w->out, "_timed(&profile[%d], ", profile_row(w->e, w->part, s));
	else
		text_add(w->out, "(");
	text_printf(w->out, "pool, &k->%s, a);\n", kernel_name(w, s));
	print_comment(w, s);
}

/* Tasks are the values of the first joined dim; a task's turns are those of the others. */
static void print_group(Entry *w, int from, int to)
{
	const Nest *n = w->part->step.at[from].nest;
	int64_t tasks = n->dim[0].extent, turns = nest_turns(n) / tasks;
	text_add(w->out, "\t{\n");
	for (int s = from; s < to; s++) print_array(w, s, arena_printf(w->e->arena, "a%d", s - from));
	text_add(w->out, "\t\tconst struct member member[] = {\n");
	for (int s = from; s < to; s++)
		text_printf(w->out, "\t\t\t{k->%s.run, a%d},\n", kernel_name(w, s), s - from);
	text_printf(w->out, "\t\t};\n\t\tstruct group group = {member, %d, %lld};\n", to - from,
	    (long long)turns);
	if (w->e->profile)
		text_printf(w->out, "\t\trun_group_timed(&profile[%d], &group, %lld);\n",
		    profile_row(w->e, w->part, from), (long long)tasks);
	else
		text_printf(w->out, "\t\trun_group(pool, &group, %lld);\n", (long long)tasks);
	print_comment(w, to - 1);
}

/* A step looks at its outputs before the first weight moves. */
static void print_calls(Entry *w)
{
	int checked = w->part->kind == ENTRY_STEP ? first_update(w->part) : -1;
	w->used = NEWS(w->e->arena, bool, w->part->arg.n + 1);
	for (int s = 0, end; s < w->part->step.n; s = end) {
		end = group_end(w->part, s);
		if (s == checked) print_output_checks(w->e, w->part, w->out);
		if (w->part->step.at[s].group)
			print_group(w, s, end);
		else
			print_call(w, s);
	}
}

/* Whether some call has to do with the seed. */
static bool is_random(const Entry *w)
{
	bool random = w->keyed;
	for (int i = 0; i < w->part->arg.n; i++)
		random |= w->part->arg.at[i].type == TYPE_SEED && w->used[i];
	return random;
}

static bool places(const Entry *w, Place place) { return w->places >> place & 1; }

static void print_unused(Text *out, bool used, const char *name)
{
	if (!used) text_printf(out, "\t(void)%s;\n", name);
}

/* --- infer, eval, gradients, step ----------------------------------------------------------- */

/* The numbers of this step, and which it is. */
static void print_hyper(const Entry *w, Text *out)
{
	const Optimizer *o = &w->e->program->model->optimizer;
	bool used = false;
	for (int i = 0; i < w->part->arg.n; i++) used |= w->part->arg.at[i].of_step && w->used[i];
	if (!used) return;
	text_printf(out, "\tconst %s hyper[%d] = {", w->e->real, o->hypers + 1);
	for (int i = 0; i < o->hypers; i++) text_printf(out, "t->%s, ", o->hyper[i].name);
	text_printf(out, "(%s)(t->step + 1)};\n", w->e->real);
}

static void print_status(const Emission *e, const Part *p, Text *out)
{
	if (p->kind == ENTRY_STEP) {
		if (first_update(p) == p->step.n) print_output_checks(e, p, out);
		text_add(out, "\tt->step++;\n\treturn CNNC_OK;\n");
		return;
	}
	int check = print_output_checks(e, p, out);
	if (p->kind == ENTRY_GRADIENTS)
		print_check(e, p, check, "grads", arena_printf(e->arena, "%s_WEIGHTS", e->upper), out);
	text_add(out, "\treturn CNNC_OK;\n");
}

static void print_locals(const Entry *w, Text *out)
{
	const Emission *e = w->e;
	bool infers = w->part->kind == ENTRY_INFER;
	if (w->part->step.n) text_add(out, "\tconst struct kernels *k = pick();\n");
	if (infers && (places(w, PLACE_PACKED) || places(w, PLACE_VARS)))
		text_printf(out, "\tconst %s *p = (const %s *)aligned(packed);\n", e->real, e->real);
	if (places(w, PLACE_WORK))
		text_printf(out, "\t%s *m = (%s *)aligned(work);\n", e->real, e->real);
	if (w->lends) /* nothing is there yet */
		text_printf(out, "\t%s *g = (%s *)aligned(grads);\n", e->real, e->real);
	if (w->part->kind == ENTRY_STEP) print_hyper(w, out);
	if (w->part->kind == ENTRY_STEP && is_random(w))
		text_add(out, "\tconst uint64_t seed = t->seed, step = t->step;\n");
	for (int i = 0; i < w->part->arg.n; i++)
		if (w->part->arg.at[i].type == TYPE_SEED && w->used[i])
			text_add(out, "\tconst uint64_t key[2] = {seed, step};\n");
}

static void print_voids(const Entry *w, Text *out)
{
	const Part *p = w->part;
	if (p->kind == ENTRY_INFER)
		print_unused(out, places(w, PLACE_PACKED) || places(w, PLACE_VARS), "packed");
	else if (p->kind != ENTRY_STEP)
		print_unused(out, places(w, PLACE_VARS), "vars");
	for (int i = 0; i < p->arg.n; i++) {
		const Argument *arg = &p->arg.at[i];
		if (!arg->output && arg->type == TYPE_REAL && !arg->of_step)
			print_unused(out, w->used[i], argument_name(w->e, p, i));
	}
	if (p->kind == ENTRY_GRADIENTS) {
		print_unused(out, is_random(w), "seed");
		print_unused(out, is_random(w), "step");
	}
	print_unused(out, places(w, PLACE_WORK), "work");
	print_unused(out, p->step.n > 0, "pool");
}

static void print_entry(const Emission *e, const Part *p, Text *out)
{
	Text body;
	text_init(&body, e->arena);
	const char *vars = "vars";
	if (p->kind == ENTRY_INFER) vars = arena_printf(e->arena, "p + %lld", (long long)e->vars_at);
	Entry w = {
	    .e = e, .part = p, .number = part_number(e, p), .work = "m", .vars = vars, .out = &body};
	if (p->kind == ENTRY_INFER) w.packed = "p";
	if (p->kind == ENTRY_GRADIENTS) w.grads = "grads";
	if (p->kind == ENTRY_STEP) w.vars = "t->vars", w.slots = "t->slots";
	print_calls(&w);
	print_signature(e, p, p->kind, out);
	text_add(out, "\n{\n");
	print_locals(&w, out);
	print_voids(&w, out);
	print_label_checks(e, p, out);
	text_add(out, body.data);
	print_status(e, p, out);
	text_add(out, "}\n\n");
}

/* Inference on any number: the largest batches first. */
static void print_any(const Emission *e, Text *out)
{
	const Part **part = NEWS(e->arena, const Part *, e->program->part.n + 1);
	bool any;
	int n = infer_parts(e, part, &any);
	if (!any) return;
	int *order = NEWS(e->arena, int, part[0]->arg.n + 1), args = user_arguments(part[0], order);
	Text head, signature;
	text_init(&head, e->arena);
	text_init(&signature, e->arena);
	print_signature(e, part[0], ENTRY_INFER, &head);
	const char *from = strchr(head.data, '(') + 1; /* as the batch's own, with n before it */
	text_printf(&signature, "int %s_infer(size_t n, %s", e->prefix, from);
	char *to = signature.data; /* on one line again */
	for (const char *c = signature.data; *c; c++)
		if (*c != '\t') *to++ = *c == '\n' ? ' ' : *c;
	*to = '\0';
	text_wrapped(out, signature.data);
	text_add(out, "{\n\tint status = CNNC_OK;\n");
	if (part[n - 1]->batch > 1) {
		text_add(out, "\tsize_t rest = n;\n");
		for (int i = 0; i < n; i++)
			text_printf(out, "\trest %%= %lld;\n", (long long)part[i]->batch);
		text_add(out, "\tif (rest) return CNNC_BAD_BATCH;\n");
	}
	for (int i = 0; i < n; i++) {
		long long batch = part[i]->batch;
		text_printf(out, "\tfor (; n >= %lld; n -= %lld) {\n", batch, batch);
		text_printf(out, "\t\tconst int one = %s_%s(packed", e->prefix, part[i]->name);
		for (int k = 0; k < args; k++)
			text_printf(out, ", %s", argument_name(e, part[0], order[k]));
		text_add(out, ", work, pool);\n\t\tif (one) status = one;\n");
		for (int k = 0; k < args; k++)
			text_printf(out, "\t\t%s += %lld;\n", argument_name(e, part[0], order[k]),
			    (long long)argument_count(&part[i]->arg.at[order[k]]));
		text_add(out, "\t}\n");
	}
	text_add(out, "\treturn status;\n}\n\n");
}

/* --- init, pack, update, step of both ------------------------------------------------------ */

static void no_work(const Entry *w)
{
	if (places(w, PLACE_WORK)) bug("%s has no memory to work in", w->part->name);
}

static void print_init(const Emission *e, const Part *p, Text *out)
{
	Text body;
	text_init(&body, e->arena);
	Entry w = {.e = e, .part = p, .number = part_number(e, p), .work = "m", .out = &body};
	w.vars = "vars";
	w.slots = "slots";
	print_calls(&w);
	no_work(&w);
	print_signature(e, p, ENTRY_INIT, out);
	text_add(out, "\n{\n");
	if (p->step.n)
		text_add(out, "\tconst struct kernels *k = pick();\n"
		              "\tconst struct cnnc_pool *pool = NULL;\n");
	text_add(out, "\tconst uint64_t step = 0;\n");
	print_locals(&(Entry){.e = e, .part = &(Part){.arg = p->arg}, .used = w.used}, out);
	print_unused(out, is_random(&w), "seed");
	print_unused(out, is_random(&w), "step");
	print_unused(out, places(&w, PLACE_VARS), "vars");
	print_unused(out, places(&w, PLACE_SLOTS), "slots");
	text_add(out, body.data);
	text_add(out, "}\n\n");
}

static void print_pack(const Emission *e, const Part *p, Text *out)
{
	Text body;
	text_init(&body, e->arena);
	Entry w = {.e = e, .part = p, .vars = "vars", .packed = "p", .work = "m", .out = &body};
	if (p) {
		w.number = part_number(e, p);
		print_calls(&w);
	}
	print_signature(e, p, ENTRY_PACK, out);
	text_add(out, "\n{\n");
	bool packs = places(&w, PLACE_PACKED) || places(&w, PLACE_WORK) || e->packs_vars;
	if (p && p->step.n)
		text_add(
		    out, "\tconst struct kernels *k = pick();\n\tconst struct cnnc_pool *pool = NULL;\n");
	if (packs) text_printf(out, "\t%s *p = (%s *)aligned(packed);\n", e->real, e->real);
	if (places(&w, PLACE_WORK))
		text_printf(out, "\t%s *m = p + %lld;\n", e->real, (long long)e->pack_work_at);
	print_unused(out, packs, "packed");
	print_unused(out, e->packs_vars || places(&w, PLACE_VARS), "vars");
	if (e->packs_vars) {
		if (e->profile) text_add(out, "\tconst double start = CNNC_CLOCK();\n");
		text_printf(out, "\tmemcpy(p + %lld, vars, %s_VARS * sizeof *vars);\n",
		    (long long)e->vars_at, e->upper);
		if (e->profile) text_printf(out, "\tadd_time(&profile[%d], start);\n", profile_copy_row(e));
	}
	text_add(out, body.data);
	text_add(out, "}\n\n");
}

static void print_update(const Emission *e, const Part *p, Text *out)
{
	Text body;
	text_init(&body, e->arena);
	Entry w = {.e = e, .part = p, .number = part_number(e, p), .grads = "grads", .out = &body};
	w.vars = "t->vars";
	w.slots = "t->slots";
	w.work = "m";
	print_calls(&w);
	text_printf(out,
	    "static void update_all(struct %s_train *t, const %s *grads, const struct cnnc_pool "
	    "*pool)\n{\n",
	    e->prefix, e->real);
	if (p->step.n) text_add(out, "\tconst struct kernels *k = pick();\n");
	print_hyper(&w, out);
	if (places(&w, PLACE_WORK))
		text_printf(out, "\t%s scratch[%lld];\n\t%s *m = (%s *)aligned(scratch);\n", e->real,
		    (long long)((scratch_bytes(e) + bytes_of(e, 1) - 1) / bytes_of(e, 1)), e->real,
		    e->real);
	print_unused(out, places(&w, PLACE_GRADS), "grads");
	print_unused(out, p->step.n > 0, "pool");
	text_add(out, body.data);
	text_add(out, "\tt->step++;\n}\n\n");
	print_signature(e, p, ENTRY_UPDATE, out);
	text_add(out, "\n{\n");
	print_check(e, p, 0, "grads", arena_printf(e->arena, "%s_WEIGHTS", e->upper), out);
	text_add(out, "\tupdate_all(t, grads, NULL);\n\treturn CNNC_OK;\n}\n\n");
}

static void print_step(const Emission *e, const Part *p, Text *out)
{
	int *order = NEWS(e->arena, int, p->arg.n + 1), n = user_arguments(p, order);
	int64_t element = e->program->is_double ? 8 : 4;
	int64_t grads = (bytes_of(e, e->program->model->weights) + 63) / 64 * 64 / element;
	bool before = true;
	Text call;
	text_init(&call, e->arena);
	print_signature(e, p, ENTRY_STEP, out);
	text_printf(out, "\n{\n\t%s *m = (%s *)aligned(work);\n", e->real, e->real);
	text_printf(&call, "\tconst int status = %s_%s(t->vars, t->seed, t->step", e->prefix, p->name);
	for (int i = 0; i < n; i++) {
		if (p->arg.at[order[i]].output && before) text_add(&call, ", m");
		if (p->arg.at[order[i]].output) before = false;
		text_printf(&call, ", %s", argument_name(e, p, order[i]));
	}
	text_printf(&call, "%s, m + %lld, pool);\n", before ? ", m" : "", (long long)grads);
	text_wrapped(out, call.data);
	text_add(out, "\tif (status == CNNC_OK) update_all(t, m, pool);\n\treturn status;\n}\n\n");
}

void print_entries(const Emission *e, Text *out)
{
	const Part *update = find_part(e, ENTRY_UPDATE, 0), *init = find_part(e, ENTRY_INIT, 0);
	text_add(out, "/* --- entries --- */\n\n");
	if (init) print_init(e, init, out);
	if (find_part(e, ENTRY_INFER, 0)) print_pack(e, find_part(e, ENTRY_PACK, 0), out);
	if (update) print_update(e, update, out);
	for (int i = 0; i < e->program->part.n; i++) {
		const Part *p = e->program->part.at[i];
		if (p->kind != ENTRY_INIT && p->kind != ENTRY_PACK && p->kind != ENTRY_UPDATE)
			print_entry(e, p, out);
		if (p->kind == ENTRY_GRADIENTS && update && !find_part(e, ENTRY_STEP, p->batch))
			print_step(e, p, out);
	}
	print_any(e, out);
}
