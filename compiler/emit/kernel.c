/* kernel: a scheduled nest as a function `void name(const void *const *arg, size_t block)`.
 *
 * arg holds the nest's buffers in the order of kernel_buffers(); block is the number of an
 * iteration of the leading par loops, pieces numbered one after the other. Everything else is a
 * literal. */
#include "internal.h"

/* --- buffers ------------------------------------------------------------------------------- */

static void add_buffer(const Buffer **buffer, int *n, const Buffer *b)
{
	for (int i = 0; i < *n; i++)
		if (buffer[i] == b) return;
	buffer[(*n)++] = b;
}

int kernel_buffers(const Nest *n, const Buffer **buffer)
{
	int count = 0;
	for (int l = 0; l < n->nload; l++) add_buffer(buffer, &count, n->load[l].buffer);
	for (int k = 0; k < n->nstore; k++) add_buffer(buffer, &count, n->store[k].to.buffer);
	return count;
}

/* Names the printer uses itself, and words of C and C++. */
bool is_word(const char *s)
{
	static const char *const words[] = {
	    "a", "e", "h", "i", "u", "arg", "block", "first", "last", "none", "t"};
	for (int i = 0; i < COUNT(words); i++)
		if (!strcmp(words[i], s)) return true;
	return is_keyword(s);
}

/* The access's name, made to differ from loops, other arrays and what the printer names itself.
 * Names of loads are the array's with a number, of offsets with _ and a number: so none ends in a
 * digit or in _. */
static const char *array_name(const Kernel *k, const char *as)
{
	const char *name = as && *as ? as : "m";
	for (;;) {
		size_t n = strlen(name);
		bool taken = is_word(name) || strchr("_0123456789", name[n - 1]);
		for (int i = 0; i < k->nbuffer && !taken; i++)
			taken = k->array[i] && !strcmp(k->array[i], name);
		for (int d = 0; d < k->nest->ndim && !taken; d++)
			taken = !strcmp(k->nest->dim[d].name, name);
		if (!taken) return name;
		name = arena_printf(k->arena, "%s_b", name);
	}
}

static void name_buffers(Kernel *k)
{
	const Nest *n = k->nest;
	k->nbuffer = kernel_buffers(n, k->buffer);
	for (int i = 0; i < n->nload + n->nstore; i++) {
		const Access *x = nest_access(n, i);
		int b = kernel_buffer(k, x->buffer);
		if (!k->array[b]) k->array[b] = array_name(k, x->as);
		if (i >= n->nload) k->stored |= UINT32_C(1) << b;
	}
}

static uint32_t loads_of(const Expr *e)
{
	uint32_t loads = e->kind == E_LOAD ? UINT32_C(1) << e->id : 0;
	for (int i = 0; i < 3; i++)
		if (e->arg[i]) loads |= loads_of(e->arg[i]);
	return loads;
}

/* Stored buffers that may be called restrict: not loaded, and not at the index of something that a
 * store reads, whose place a plan may have given to the result. */
static void find_disjoint(Kernel *k)
{
	const Nest *n = k->nest;
	if (n->inplace || !n->nacc) return;
	k->disjoint = k->stored;
	for (int l = 0; l < n->nload; l++)
		k->disjoint &= ~(UINT32_C(1) << kernel_buffer(k, n->load[l].buffer));
	for (int s = 0; s < n->nstore; s++) {
		uint32_t loads = 0;
		for (int j = 0; j < n->nstore; j++) loads |= loads_of(n->store[j].value);
		for (int l = 0; l < n->nload; l++)
			if (loads >> l & 1 && indices_same(&n->load[l], &n->store[s].to))
				k->disjoint &= ~(UINT32_C(1) << kernel_buffer(k, n->store[s].to.buffer));
	}
}

/* --- loops --------------------------------------------------------------------------------- */

/* A loop of one turn, which par lines make of lone pieces, has no variable and no text. */
static bool is_loop(const Tree *node) { return node->kind == TREE_LOOP && node->count > 1; }

static void number_depths(Kernel *k, const Tree *node, int depth)
{
	if (node->kind == TREE_LOOP) k->depth[node->var] = depth;
	for (int i = 0; i < node->kid.n; i++) number_depths(k, node->kid.at[i], depth + is_loop(node));
}

static void print_nodes(Scope *s, Tree *const *node, int n)
{
	for (int i = 0; i < n; i++) {
		if (node[i]->kind == TREE_TILE) {
			tile_print(s, node[i], n == 1);
		} else if (is_loop(node[i])) {
			LoopText loop = loop_begin(s, node[i], NULL);
			print_nodes(s, node[i]->kid.at, node[i]->kid.n);
			loop_end(s, &loop, node[i]->count);
		} else if (node[i]->kind == TREE_LOOP) {
			print_nodes(s, node[i]->kid.at, node[i]->kid.n);
		}
	}
}

/* --- blocks -------------------------------------------------------------------------------- */

static bool all_par(Tree *const *node, int n)
{
	for (int i = 0; i < n; i++)
		if (node[i]->kind != TREE_LOOP || node[i]->line != LINE_PAR) return false;
	return n > 0;
}

static int64_t blocks_in(Tree *const *node, int n)
{
	int64_t blocks = 0;
	if (!all_par(node, n)) return 1;
	for (int i = 0; i < n; i++)
		blocks += node[i]->count * blocks_in(node[i]->kid.at, node[i]->kid.n);
	return blocks;
}

static void print_blocks(Scope *s, Tree *const *node, int n, const char *block, int level);

/* One piece of a par line; `block` counts from its own first block. */
static void print_block_piece(Scope *s, const Tree *node, const char *block, int level)
{
	Arena *a = s->k->arena;
	int64_t inner = blocks_in(node->kid.at, node->kid.n);
	const char *rest = block;
	if (!is_loop(node)) {
		print_blocks(s, node->kid.at, node->kid.n, block, level + 1);
		return;
	}
	const char *value = block;
	if (inner > 1) value = arena_printf(a, "(%s / %lld)", block, (long long)inner);
	LoopText loop = loop_begin(s, node, value);
	if (inner > 1) {
		rest = arena_printf(a, "rest_%d", level);
		print_line(s, "const size_t %s = %s %% %lld;", rest, block, (long long)inner);
	}
	print_blocks(s, node->kid.at, node->kid.n, rest, level + 1);
	loop_end(s, &loop, node->count);
}

static void print_blocks(Scope *s, Tree *const *node, int n, const char *block, int level)
{
	int64_t start = 0;
	if (!all_par(node, n)) {
		print_nodes(s, node, n);
		return;
	}
	for (int i = 0; i < n; i++) {
		int64_t end = start + blocks_in(&node[i], 1);
		const char *own = block;
		if (n > 1) {
			if (i == 0)
				print_line(s, "if (%s < %lld) {", block, (long long)end);
			else if (i + 1 < n)
				print_line(s, "} else if (%s < %lld) {", block, (long long)end);
			else
				print_line(s, "} else {");
			s->indent++;
			if (start && end - start > 1) {
				own = arena_printf(s->k->arena, "piece_%d", level);
				print_line(s, "const size_t %s = %s - %lld;", own, block, (long long)start);
			}
		}
		print_block_piece(s, node[i], own, level);
		if (n > 1) s->indent--;
		start = end;
	}
	if (n > 1) print_line(s, "}");
}

/* --- the function -------------------------------------------------------------------------- */

const char *c_type(const Kernel *k, const Buffer *b)
{
	return b->type == TYPE_LABEL ? "int32_t" : b->type == TYPE_SEED ? "uint64_t" : k->real;
}

static void print_arrays(Scope *s, int64_t blocks)
{
	const Kernel *k = s->k;
	for (int b = 0; b < k->nbuffer; b++) {
		if (!(s->arrays >> b & 1)) continue;
		const char *type = c_type(k, k->buffer[b]);
		const char *constant = k->stored >> b & 1 ? "" : "const ";
		print_line(
		    s, "%s%s *%s = (%s%s *)arg[%d];", constant, type, k->array[b], constant, type, b);
	}
	if (blocks == 1) print_line(s, "(void)block;");
}

/* What is the same at every point of a map is computed once. */
static void print_uniform(Scope *s)
{
	Kernel *k = s->k;
	Affine zero[NEST_DIMS] = {{0}};
	for (int i = 0; i < k->uniform.n; i++) {
		Point p = {.uniforms = i};
		point_begin(&p, s, zero, -1);
		print_indent(s);
		text_printf(s->out, "const %s u%d = ", k->real, i);
		print_value(&p, k->uniform.at[i], SCALAR, BIND_NONE);
		text_add(s->out, ";\n");
	}
}

static void kernel_open(Kernel *k)
{
	const Scheduled *tree = k->tree;
	k->nest = tree->nest;
	k->real = k->is_double ? "double" : "float";
	type_suffix(0, k->is_double, k->suffix);
	name_buffers(k);
	find_disjoint(k);
	find_shared(k);
	map_init(&k->of_leaf, k->arena);
	k->depth = NEWS(k->arena, int, tree->nvar + 1);
	for (int i = 0; i < tree->root.n; i++) number_depths(k, tree->root.at[i], 0);
}

void kernel_print(Arena *scratch, const Scheduled *tree, const Target *t, bool is_double,
    Functions *pool, Text *out, KernelCost *cost)
{
	Kernel k = {.arena = scratch, .tree = tree, .target = t, .is_double = is_double};
	Text body, head, text;
	*cost = (KernelCost){0};
	k.pool = pool;
	k.fuses = nest_fuses(tree->nest);
	k.cost = cost;
	kernel_open(&k);
	text_init(&body, scratch);
	text_init(&head, scratch);
	text_init(&text, scratch);
	Scope s = {.k = &k, .indent = 1, .out = &body};
	print_uniform(&s);
	print_blocks(&s, tree->root.at, tree->root.n, "block", 1);
	s.out = &head;
	print_arrays(&s, tree_blocks(tree));
	text_printf(&text, "(const void *const *arg, size_t block)\n{\n%s%s}\n", head.data, body.data);
	text_wrapped(out, text.data);
}

void emit_kernel(
    Arena *a, const Scheduled *s, const Target *t, bool is_double, const char *name, Text *out)
{
	Text kernel;
	KernelCost cost;
	Functions pool;
	functions_open(&pool, a, t);
	pool.prefix = arena_printf(a, "%s_tile", name);
	text_init(&kernel, a);
	kernel_print(a, s, t, is_double, &pool, &kernel, &cost);
	for (int i = 0; i < pool.at.n; i++) function_print(&pool, pool.at.at[i], out);
	text_add(out, "static CNNC_UNUSED ");
	target_attribute(t, out);
	text_printf(out, "void %s%s", name, kernel.data);
}

/* --- long lines ---------------------------------------------------------------------------- */

enum { COLUMNS = 100, TAB = 4 };

/* Before an operator with spaces around it. */
static bool before_operator(const char *s)
{
	if (s[0] != ' ') return false;
	return s[2] == ' ' ? strchr("+-*/?:|&", s[1]) != NULL : strchr("|&", s[1]) && s[3] == ' ';
}

/* Where to break a line of n characters that begins in `column`: after the last comma that is not
 * far back, else before an operator. 0: it fits, or nothing can be done. */
static size_t break_at(const char *s, size_t n, size_t column)
{
	size_t comma = 0, sign = 0, end = column;
	for (size_t i = 0; i < n; i++) end += s[i] == '\t' ? TAB : 1;
	if (end <= COLUMNS) return 0;
	for (size_t i = 0; i < n && column <= COLUMNS; i++) {
		if (i && i + 3 < n && s[i] == ' ' && s[i - 1] == ',') comma = i;
		if (i && i + 3 < n && before_operator(&s[i])) sign = i;
		column += s[i] == '\t' ? TAB : 1;
	}
	return comma && comma + COLUMNS / 3 > sign ? comma : sign;
}

void text_wrapped(Text *out, const char *text)
{
	while (*text) {
		const char *end = strchr(text, '\n');
		size_t n = end ? (size_t)(end - text) : strlen(text), indent = 0, column = 0;
		while (text[indent] == '\t') indent++;
		for (size_t at; (at = break_at(text, n, column)) != 0;) {
			text_addn(out, text, at);
			text_add(out, "\n");
			for (size_t i = 0; i <= indent; i++) text_add(out, "\t");
			column = (indent + 1) * TAB;
			text += at + 1;
			n -= at + 1;
		}
		text_addn(out, text, n);
		text_add(out, "\n");
		text += n + (text[n] == '\n');
	}
}
