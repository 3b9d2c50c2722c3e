/* offset: where accesses lie, as text.
 *
 * An address is a constant and a form over the loops around. The form is carried: each loop adds
 * its own term to what the loop outside of it holds, in a variable such as x_2, and an access reads
 * x[x_2 + 35]. Offsets, not pointers, because at the borders of padded planes a pointer would leave
 * its array. In a tile's function the part over the kernel's loops is a parameter, and so is a
 * constant: the first one met. Pieces that differ in nothing else then have equal texts.
 *
 * Loops are known by their depth on the path, not by their number in the tree, for the same reason.
 */
#include "internal.h"

#include <ctype.h>

bool key_same(const Key *a, const Key *b)
{
	return a->buffer == b->buffer && affine_same(&a->form, &b->form);
}

bool address_same(const Address *a, const Address *b)
{
	if (a->c != b->c || a->lane != b->lane || a->nquotient != b->nquotient) return false;
	for (int i = 0; i < a->nquotient; i++) {
		const Quotient *x = &a->quotient[i], *y = &b->quotient[i];
		if (x->q != y->q || x->stride != y->stride || !affine_same(&x->form, &y->form))
			return false;
	}
	return key_same(&a->key, &b->key);
}

Affine over_loops(const Kernel *k, const Affine *a)
{
	Affine out = *a;
	bool sorted = true; /* as loops are numbered on the way down, but for those of one turn */
	for (int i = 0; i < a->n; i++) {
		out.t[i].var = k->depth[a->t[i].var];
		sorted &= !i || out.t[i - 1].var < out.t[i].var;
	}
	if (sorted) return out;
	out = affine_number(a->c);
	for (int i = 0; i < a->n; i++)
		out = affine_add(out, affine_scale(affine_var(k->depth[a->t[i].var]), a->t[i].k));
	return out;
}

int kernel_buffer(const Kernel *k, const Buffer *b)
{
	for (int i = 0; i < k->nbuffer; i++)
		if (k->buffer[i] == b) return i;
	bug("nest %s: buffer %s is no argument", k->nest->name, b->name);
}

/* The start of the buffer is aligned to every target's vectors. Gradients in work are taken as the
 * user's, so that they are made by one kernel wherever they go. */
static bool starts_aligned(const Buffer *b, int64_t bytes)
{
	bool ours = (b->place == PLACE_WORK && !b->fixed) || b->place == PLACE_PACKED;
	return ours && b->offset * bytes % 64 == 0;
}

/* Index i is left to run time: its dim has one factor in the address. */
static void add_quotient(const Scope *s, const Access *x, int i, const Affine *sub, Address *a)
{
	const Kernel *k = s->k;
	Quotient *list = NEWS(k->arena, Quotient, a->nquotient + 1);
	Affine form = affine_subst(&x->at[i].a, sub);
	Quotient made = {over_loops(k, &form), x->at[i].q, buffer_stride(x->buffer, i)};
	if (!made.stride || !index_guarded(k->nest, &x->at[i]))
		bug("nest %s: index %d of %s does not divide", k->nest->name, i, x->buffer->name);
	for (int n = 0; n < a->nquotient; n++) list[n] = a->quotient[n];
	list[a->nquotient++] = made;
	a->quotient = list;
}

Address address_of(const Scope *s, const Access *x, const Affine *sub, int lane_var)
{
	const Kernel *k = s->k;
	Address a = {.key.buffer = kernel_buffer(k, x->buffer)};
	Affine at[BUFFER_RANK], form;
	for (int i = 0; i < x->buffer->rank; i++) {
		if (index_resolve(&x->at[i], sub, &at[i])) continue;
		add_quotient(s, x, i, sub, &a);
		at[i] = affine_number(0);
	}
	if (!buffer_address(x->buffer, at, k->tree->count, &form))
		bug("nest %s: the address of %s is not affine", k->nest->name, x->buffer->name);
	a.c = form.c;
	a.lane = lane_var < 0 ? 0 : affine_k(&form, lane_var);
	form.c = 0;
	if (a.lane) form = affine_fix(&form, lane_var, 0);
	a.aligned = k->lanes && a.c % k->lanes == 0 && starts_aligned(x->buffer, k->is_double ? 8 : 4);
	for (int i = 0; i < form.n && a.aligned; i++) a.aligned = form.t[i].k % k->lanes == 0;
	for (int i = 0; i < a.nquotient && a.aligned; i++)
		a.aligned = a.quotient[i].stride % k->lanes == 0;
	a.key.form = over_loops(k, &form);
	return a;
}

/* --- names --------------------------------------------------------------------------------- */

static Affine outer_part(const Scope *s, const Affine *form)
{
	Affine out = {0};
	for (int i = 0; i < form->n; i++)
		if (form->t[i].var < s->outer) out.t[out.n++] = form->t[i];
	return out;
}

static const char *array_of(const Scope *s, int buffer)
{
	return buffer == INDEX_VALUE ? "i" : s->k->array[buffer];
}

static Offset *find(const Offsets *list, const Key *key)
{
	for (int i = 0; i < list->n; i++)
		if (key_same(&list->at[i].key, key)) return &list->at[i];
	return NULL;
}

static Offset *find_or_name(Scope *s, Offsets *list, const Key *key, int64_t base)
{
	Offset *known = find(list, key);
	if (known) return known;
	Offset o = {.key = *key, .base = base};
	int *named = &s->named[key->buffer == INDEX_VALUE ? KERNEL_BUFFERS : key->buffer];
	snprintf(o.name, sizeof o.name, "%s_%d", array_of(s, key->buffer), (*named)++);
	vec_push(s->k->arena, *list, o);
	s->k->cost->stack += (int64_t)sizeof(void *);
	return &list->at[list->n - 1];
}

/* In a tile's function every key stands on a parameter, made at the first use with its constant c.
 */
static Offset *root_of(Scope *s, const Key *key, int64_t c)
{
	Key outer = {key->buffer, outer_part(s, &key->form)};
	return find_or_name(s, &s->root, &outer, c);
}

static bool is_root(const Scope *s, const Key *key)
{
	for (int i = 0; i < key->form.n; i++)
		if (key->form.t[i].var >= s->outer) return false;
	return true;
}

/* The name of the variable that holds a key; NULL in the kernel's own text for a key that is 0. */
static const char *name_of(Scope *s, const Key *key, int64_t c)
{
	if (s->is_tile) {
		Offset *root = root_of(s, key, c);
		if (is_root(s, key)) return root->name;
	} else if (!key->form.n) {
		return NULL;
	}
	return find_or_name(s, &s->local, key, 0)->name;
}

static void add_need(Scope *s, const Key *key)
{
	for (int i = 0; i < s->need.n; i++)
		if (key_same(&s->need.at[i], key)) return;
	vec_push(s->k->arena, s->need, *key);
}

const char *offset_name(Scope *s, const Key *key)
{
	const char *name = name_of(s, key, 0);
	if (name) add_need(s, key);
	return name;
}

/* --- text ---------------------------------------------------------------------------------- */

void print_indent(Scope *s)
{
	for (int i = 0; i < s->indent; i++) text_add(s->out, "\t");
}

void print_line(Scope *s, const char *format, ...)
{
	va_list args;
	print_indent(s);
	va_start(args, format);
	text_vprintf(s->out, format, args);
	va_end(args);
	text_add(s->out, "\n");
}

void text_insert(Text *t, size_t at, const char *s)
{
	size_t n = strlen(s), tail = t->len - at;
	text_addn(t, s, n);
	memmove(t->data + at + n, t->data + at, tail);
	memcpy(t->data + at, s, n);
}

/* ` + 64 * ((i_0 - kh) / 3)`: C rounds to zero, but there is nothing to round. */
static void print_quotient(Scope *s, const Quotient *quotient)
{
	text_add(s->out, " + ");
	if (quotient->stride != 1) text_printf(s->out, "%lld * ", (long long)quotient->stride);
	text_add(s->out, "((");
	print_index(s, &quotient->form, quotient->form.c);
	text_printf(s->out, ") / %lld)", (long long)quotient->q);
}

void print_place(Scope *s, const Address *a, int64_t more, const char *between)
{
	int64_t c = a->c + more;
	const char *name = name_of(s, &a->key, a->c);
	s->arrays |= UINT32_C(1) << a->key.buffer;
	if (name) add_need(s, &a->key);
	if (s->is_tile) c -= root_of(s, &a->key, a->c)->base;
	text_printf(s->out, "%s%s", array_of(s, a->key.buffer), between);
	if (!name)
		text_printf(s->out, "%lld", (long long)c);
	else if (c)
		text_printf(s->out, "%s %c %lld", name, c < 0 ? '-' : '+', (long long)(c < 0 ? -c : c));
	else
		text_add(s->out, name);
	for (int i = 0; i < a->nquotient; i++) print_quotient(s, &a->quotient[i]);
}

void print_address(Scope *s, const Address *a, int64_t more)
{
	print_place(s, a, more, "[");
	text_add(s->out, "]");
}

/* ` + 2 * oh`, or `2 * oh` where nothing stands before it. */
static void print_term(Text *out, int64_t k, const char *name, bool leads)
{
	int64_t size = k < 0 ? -k : k;
	if (leads)
		text_add(out, k < 0 ? "-" : "");
	else
		text_add(out, k < 0 ? " - " : " + ");
	if (size == 1)
		text_add(out, name);
	else
		text_printf(out, "%lld * %s", (long long)size, name);
}

void print_index(Scope *s, const Affine *form, int64_t c)
{
	Key key = {INDEX_VALUE, *form};
	key.form.c = 0;
	Affine outer = outer_part(s, &key.form);
	bool leads = true;
	if (s->is_tile && outer.n) {
		Offset *root = root_of(s, &key, c);
		text_add(s->out, root->name);
		c -= root->base;
		leads = false;
	}
	for (int i = 0; i < form->n; i++) {
		if (s->is_tile && form->t[i].var < s->outer) continue;
		print_term(s->out, form->t[i].k, s->loop[form->t[i].var], leads);
		leads = false;
	}
	if (leads)
		text_printf(s->out, "%lld", (long long)c);
	else if (c)
		text_printf(s->out, " %c %lld", c < 0 ? '-' : '+', (long long)(c < 0 ? -c : c));
}

/* --- loops --------------------------------------------------------------------------------- */

/* `kh`, and in loops inside it over the same dim `kh_1`. */
static void name_loop(Scope *s, int dim)
{
	int same = 0;
	const char *own = s->k->nest->dim[dim].name;
	const char *name = is_word(own) ? arena_printf(s->k->arena, "%s_", own) : own;
	for (int i = s->outer; i < s->depth; i++) same += s->dim[i] == dim;
	if (same)
		snprintf(s->loop[s->depth], sizeof s->loop[0], "%s_%d", name, same);
	else
		snprintf(s->loop[s->depth], sizeof s->loop[0], "%s", name);
}

LoopText loop_begin(Scope *s, const Tree *loop, const char *block)
{
	LoopText l = {.place = s->out->len, .need = s->need, .block = block};
	if (s->depth == LOOP_DEPTH) bug("nest %s: loops too deep", s->k->nest->name);
	s->need = (Keys){0};
	s->dim[s->depth] = loop->dim;
	s->turns[s->depth] = loop->count;
	name_loop(s, loop->dim);
	l.depth = l.var = s->depth++;
	s->k->cost->stack += (int64_t)sizeof(void *);
	if (!block) s->indent++;
	return l;
}

/* `ptrdiff_t x_2 = x_1 + 64 * oh;` */
static void print_carried(Scope *s, const Key *key, int var, int64_t k, Keys *need)
{
	Key outside = *key;
	outside.form = affine_fix(&outside.form, var, 0);
	print_indent(s);
	text_printf(s->out, "ptrdiff_t %s = ", find(&s->local, key)->name);
	const char *base = name_of(s, &outside, 0);
	if (base) {
		text_add(s->out, base);
		Keys inner = s->need;
		s->need = *need;
		add_need(s, &outside);
		*need = s->need;
		s->need = inner;
	}
	print_term(s->out, k, s->loop[var], !base);
	text_add(s->out, ";\n");
}

static bool in_word(char c) { return c == '_' || isalnum((unsigned char)c); }

static bool mentions(const char *text, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = text; (at = strstr(at, word)) != NULL; at += n)
		if ((at == text || !in_word(at[-1])) && !in_word(at[n])) return true;
	return false;
}

/* The value of a block's variable. Where nothing is said of it, as all turns of a group work in one
 * place, there is none: compilers wonder at variables that nobody reads. */
static void print_block_value(Scope *s, const char *name, const char *value, bool used)
{
	if (used)
		print_line(s, "const ptrdiff_t %s = (ptrdiff_t)%s;", name, value);
	else
		print_line(s, "(void)%s; /* %s: one place for all */", value, name);
}

void loop_end(Scope *s, const LoopText *l, int64_t count)
{
	Text head, *out = s->out;
	Keys outside = l->need, inner = s->need;
	text_init(&head, s->k->arena);
	s->out = &head;
	if (!l->block) {
		s->indent--;
		const char *v = s->loop[l->var];
		print_line(s, "for (ptrdiff_t %s = 0; %s < %lld; %s++) {", v, v, (long long)count, v);
		s->indent++;
	}
	for (int i = 0; i < inner.n; i++) {
		int64_t k = affine_k(&inner.at[i].form, l->var);
		if (k) print_carried(s, &inner.at[i], l->var, k, &outside);
	}
	s->need = outside;
	for (int i = 0; i < inner.n; i++)
		if (!affine_k(&inner.at[i].form, l->var)) add_need(s, &inner.at[i]);
	if (l->block) {
		const char *name = s->loop[l->var];
		bool used = mentions(head.data, name) || mentions(out->data + l->place, name);
		Text value;
		text_init(&value, s->k->arena);
		s->out = &value;
		print_block_value(s, name, l->block, used);
		text_add(&value, head.data);
		head = value;
	}
	s->out = out;
	text_insert(out, l->place, head.data);
	if (!l->block) {
		s->indent--;
		print_line(s, "}");
	}
	s->depth = l->depth;
}
