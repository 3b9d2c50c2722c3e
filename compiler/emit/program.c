/* program: a whole program as one C text and its header.
 *
 * Order of the text: banner, includes, refusals, prelude, tables of numbers, kernels target by
 * target, the choice among targets, entries. The same program gives the same bytes. */
#include "internal.h"

#include "../options.h"

static const char *upper_of(Arena *a, const char *s)
{
	char *upper = arena_copy(a, s);
	for (char *c = upper; *c; c++) {
		if (*c >= 'a' && *c <= 'z')
			*c = (char)(*c - 'a' + 'A');
		else if (!(*c >= 'A' && *c <= 'Z') && !(*c >= '0' && *c <= '9'))
			*c = '_';
	}
	return upper;
}

static int64_t in_lines(const Emission *e, int64_t elements)
{
	int64_t line = e->program->is_double ? 8 : 16;
	return (elements + line - 1) / line * line;
}

/* Behind `packed`: what pack makes, then vars as they are where inference reads some of them so,
 * then room for pack's own temporaries. */
static void lay_out_packed(Emission *e)
{
	const Program *p = e->program;
	const Part *pack = find_part(e, ENTRY_PACK, 0);
	for (int i = 0; i < p->part.n; i++) {
		const Part *part = p->part.at[i];
		if (part->kind != ENTRY_INFER) continue;
		for (int s = 0; s < part->step.n; s++) {
			const Buffer *buffer[KERNEL_BUFFERS];
			int n = kernel_buffers(part->step.at[s].nest, buffer);
			for (int b = 0; b < n; b++) e->packs_vars |= buffer[b]->place == PLACE_VARS;
		}
	}
	e->packed_elements = p->packed;
	e->vars_at = in_lines(e, e->packed_elements);
	if (e->packs_vars) e->packed_elements = e->vars_at + p->model->vars;
	e->pack_work_at = in_lines(e, e->packed_elements);
	int64_t work = pack ? pack->work / bytes_of(e, 1) : 0;
	if (work) e->packed_elements = e->pack_work_at + work;
}

static void print_tensors(const Emission *e, Text *out)
{
	const Model *m = e->program->model;
	int states = m->state.n, n = states + e->program->slot.n;
	if (!n) return;
	text_printf(out, "const struct cnnc_tensor %s_tensors[%s_TENSORS] = {\n", e->prefix, e->upper);
	for (int i = 0; i < n; i++) {
		const State *s = i < states ? m->state.at[i] : e->program->slot.at[i - states];
		text_add(out, "\t{");
		print_string(out, s->name);
		text_printf(out, ", %lld, %lld, {", (long long)s->offset, (long long)shape_count(s->shape));
		for (int d = 0; d < MAX_RANK; d++)
			text_printf(
			    out, "%s%lld", d ? ", " : "", (long long)(d < s->shape.rank ? s->shape.dim[d] : 0));
		text_printf(out, "}, %d, %d},\n", s->shape.rank, (int)s->kind);
	}
	text_add(out, "};\n\n");
}

/* Compilers and machines for which there are no kernels, and address spaces that are too small. */
static void print_limits(const Emission *e, Text *out)
{
	const Program *p = e->program;
	const Model *m = p->model;
	int64_t largest = bytes_of(e, MAX(MAX(m->vars, p->slots), e->packed_elements));
	for (int i = 0; i < p->part.n; i++) {
		int64_t work = p->part.at[i]->work;
		if (p->part.at[i]->kind == ENTRY_GRADIENTS) work = step_work(e, p->part.at[i]);
		largest = MAX(largest, work);
	}
	if (largest >= 32767)
		text_printf(out,
		    "#if PTRDIFF_MAX < %lld\n#error \"this network does not fit the address "
		    "space\"\n#endif\n",
		    (long long)largest);
	bool always = false;
	for (int t = 0; t < p->ntarget; t++) always |= !p->target[t]->guard;
	if (always) return;
	text_add(out, "#if ");
	for (int t = 0; t < p->ntarget; t++)
		text_printf(out, "%s!(%s)", t ? " && " : "", p->target[t]->guard);
	text_printf(out,
	    "\n#error \"these kernels are for %s: they need gcc or clang for that machine\"\n#endif\n",
	    p->target[0]->name);
}

static void print_program(Emission *e, const char *header_name, Text *c, Text *h)
{
	const Program *p = e->program;
	print_header(e, arena_printf(e->arena, "%s_H", e->upper), h);
	print_banner(e, c);
	if (header_name) text_printf(c, "#include \"%s\"\n\n", header_name);
	text_add(
	    c, "#include <math.h>\n#include <stddef.h>\n#include <stdint.h>\n#include <string.h>\n");
	text_add(c, e->profile ? "#include <time.h>\n\n" : "\n");
	if (!header_name) {
		text_add(c, h->data);
		text_add(c, "\n");
	}
	print_refusals(c);
	print_limits(e, c);
	prelude_print(c, p->target, p->ntarget, p->is_double, e->uses);
	text_add(c, "\n");
	print_tables(e, c);
	if (e->argument)
		print_kernels(e, c);
	else
		print_kernel_names(e, c);
	print_kernel_tables(e, c);
	print_runtime(e, c);
	print_tensors(e, c);
	if (e->profile) print_profile(e, c);
	if (!e->argument) take_words(e, c->data, false);
	size_t entries = c->len;
	print_entries(e, c);
	if (!e->argument) take_words(e, c->data + entries, true);
}

void emit_program(Arena *a, const Program *p, const char *header_name, Text *c, Text *h)
{
	Emission e = {.arena = a, .program = p, .real = p->is_double ? "double" : "float"};
	Text draft_c, draft_h;
	e.prefix = p->model->name;
	e.upper = upper_of(a, e.prefix);
	e.profile = p->options && p->options->profile;
	find_kernels(&e);
	lay_out_packed(&e);
	text_init(&draft_c, a);
	text_init(&draft_h, a);
	print_program(&e, NULL, &draft_c, &draft_h);
	name_arguments(&e);
	if (header_name && !is_includable(header_name)) header_name = NULL;
	print_program(&e, header_name, c, h);
}
