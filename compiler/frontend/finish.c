/* finish: from what the script said to a model that is whole: what no output and no loss reaches
 * goes away, names are settled, states have their places. Runs only when the script made no
 * mistake. */
#include "front.h"

enum { TITLE_BYTES = 160 };

static int count_lines(const char *text)
{
	int n = 1;
	for (; text && *text; text++) n += *text == '\n' && text[1] != '\0';
	return n;
}

/* --- what is reached -------------------------------------------------------------------------- */

/* By node id: whether an output or a loss term is made of it. */
static bool *find_reached(Front *f)
{
	const Model *m = f->model;
	bool *reached = NEWS(f->arena, bool, f->graph->next_id + 1);
	for (int i = 0; i < m->output.n; i++) reached[m->output.at[i].value->node->id] = true;
	for (int i = 0; i < m->loss.n; i++) reached[m->loss.at[i].value->node->id] = true;
	for (int i = f->graph->node.n - 1; i >= 0; i--) {
		const Node *n = f->graph->node.at[i];
		for (int k = 0; reached[n->id] && k < n->nin; k++) reached[n->in[k]->node->id] = true;
	}
	return reached;
}

static void check_inputs(Front *f, const bool *reached)
{
	for (int i = 0; i < f->model->input.n; i++) {
		const Node *n = f->model->input.at[i];
		if (!reached[n->id])
			diag_error(f->diag, n->where, "input %s reaches no output and no loss", n->name);
	}
}

/* An output must depend on an input, so that it has a batch. */
static void check_outputs(Front *f)
{
	bool *depends = NEWS(f->arena, bool, f->graph->next_id + 1);
	for (int i = 0; i < f->graph->node.n; i++) {
		const Node *n = f->graph->node.at[i];
		depends[n->id] = n->kind == NODE_INPUT;
		for (int k = 0; k < n->nin; k++)
			depends[n->id] = depends[n->id] || depends[n->in[k]->node->id];
	}
	for (int i = 0; i < f->model->output.n; i++) {
		const Named *o = &f->model->output.at[i];
		if (!depends[o->value->node->id])
			diag_error(f->diag, f->network.where, "output %s depends on no input", o->name);
	}
}

static void warn_of_layers(Front *f, const bool *reached)
{
	for (int i = 0; i < f->layer.n; i++) {
		const Layer *layer = &f->layer.at[i];
		bool used = false;
		for (int k = 0; k < layer->states; k++) used = used || reached[layer->read[k]->node->id];
		if (!used)
			diag_warning(f->diag, layer->where,
			    "%s reaches no output and no loss; its weights are left out", layer->path);
	}
}

/* Labels, when nothing but losses asks for them and losses are left out. */
static void drop_inputs(Model *m, const bool *reached)
{
	int inputs = 0;
	for (int i = 0; i < m->input.n; i++)
		if (reached[m->input.at[i]->id]) m->input.at[inputs++] = m->input.at[i];
	m->input.n = inputs;
}

/* What was described and is not used, and the weights of such layers, are not part of the network.
 */
static void drop_layers(Front *f, const bool *reached)
{
	Model *m = f->model;
	int states = 0, nodes = 0;
	for (int i = 0; i < f->layer.n; i++) {
		const Layer *layer = &f->layer.at[i];
		for (int k = 0; k < layer->states; k++)
			if (reached[layer->read[k]->node->id]) m->state.at[states++] = layer->state[k];
	}
	m->state.n = states;
	for (int i = 0; i < f->graph->node.n; i++)
		if (reached[f->graph->node.at[i]->id]) f->graph->node.at[nodes++] = f->graph->node.at[i];
	f->graph->node.n = nodes;
}

/* --- names ------------------------------------------------------------------------------------ */

/* "networks/my-net.lua": my_net. */
static const char *file_stem(Front *f)
{
	const char *slash = strrchr(f->options->file, '/'),
	           *base = slash ? slash + 1 : f->options->file;
	size_t n = strlen(base);
	if (n > 4 && !strcmp(base + n - 4, ".lua")) n -= 4;
	if (n > NAME_LIMIT) n = NAME_LIMIT;
	bool bare = n == 0 || (*base >= '0' && *base <= '9');
	char *name = arena_printf(f->arena, "%s%.*s", bare ? "net_" : "", (int)n, base);
	for (char *s = name; *s; s++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", *s)) *s = '_';
	return name;
}

static void settle_name(Front *f)
{
	const char *prefix = f->options->prefix;
	f->model->name = prefix ? prefix : f->network.name ? f->network.name : file_stem(f);
	if (prefix && !front_is_name(prefix))
		diag_error(f->diag, (Where){0}, "--prefix '%.60s' must be letters, digits and _", prefix);
}

/* The first line of the comment that opens the file. It goes into comments of C: no comment marks,
 * no control characters, no line that goes on. */
static const char *find_title(Front *f)
{
	const char *s = f->text ? f->text : "";
	if (!strncmp(s, "\xef\xbb\xbf", 3)) s += 3;
	if (*s == '#') s += strcspn(s, "\n");
	s += strspn(s, " \t\r\n");
	if (strncmp(s, "--", 2) != 0 || s[2] == '[') return NULL;
	s += strspn(s, "-");
	s += strspn(s, " \t");
	size_t n = strcspn(s, "\r\n");
	char *title = arena_printf(f->arena, "%.*s", (int)MIN(n, TITLE_BYTES), s);
	for (char *c = title; *c; c++) {
		bool mark = !strncmp(c, "/*", 2) || !strncmp(c, "*/", 2);
		if (mark) c[1] = ' ';
		if (mark || (unsigned char)*c < ' ' || *c == 0x7f || *c == '\\') *c = ' ';
	}
	for (n = strlen(title); n > 0 && title[n - 1] == ' '; n--) title[n - 1] = '\0';
	return *title ? title : NULL;
}

bool front_finish(Front *f)
{
	if (!f->network.given && !f->diag->errors) {
		Where end = {f->options->file, count_lines(f->text), NULL, 0};
		diag_error(f->diag, end, "the file ends without network{...}");
	}
	option_finish(f);
	if (f->diag->errors) return false;
	rules_finish(f);
	const bool *reached = find_reached(f);
	check_inputs(f, reached);
	check_outputs(f);
	settle_name(f);
	if (f->diag->errors) return false;
	warn_of_layers(f, reached);
	if (f->options->inference_only) {
		f->model->loss.n = 0;
		reached = find_reached(f);
		drop_inputs(f->model, reached);
	}
	expose_finish(f, reached);
	if (f->diag->errors) return false;
	drop_layers(f, reached);
	f->model->title = find_title(f);
	return model_layout(f->model, !f->options->inference_only);
}
