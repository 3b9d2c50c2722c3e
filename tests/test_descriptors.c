/* Every descriptor of the operator table is whole; one that is not would be rejected here. */
#include "../compiler/op.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static bool is_text(const char *s) { return s && *s; }

/* Members of struct NET_train beside the optimiser's numbers. */
static bool is_member(const char *s)
{
	return !strcmp(s, "vars") || !strcmp(s, "slots") || !strcmp(s, "seed") || !strcmp(s, "step");
}

static const char *attr_fault(const OpDesc *op)
{
	if (op_arguments(op) > HYPER_LIMIT) return "too many numbers for a step";
	for (const Attr *at = op->attr; at && at->name; at++) {
		bool number = at->type == ATTR_REAL && op->flags & OP_OPTIMIZER && !is_member(at->name);
		if (at->optional && (!at->argument || at->value >= at->min)) return "an optional argument";
		if (at->argument && !number) return "an attribute that is an argument";
		if (!is_text(at->name) || !is_text(at->doc)) return "an attribute's name or doc";
		if ((at->type == ATTR_NAME) != is_text(at->choices)) return "an attribute's choices";
	}
	return NULL;
}

/* Each line of samples names the operands in order, as many as are allowed. */
static const char *samples_fault(const OpDesc *op)
{
	for (const char *line = op->samples; *line;) {
		const char *word = line, *name = op->operands;
		int n = 0;
		for (; *word && *word != '\n' && *word != '|'; word += strcspn(word, " \n")) {
			if (*word == ' ' && *++word == '|') break;
			size_t length = strcspn(word, "=");
			if (strcspn(name, " ") != length || strncmp(word, name, length) != 0) return "samples";
			name += length + (name[length] == ' ');
			n++;
		}
		if (n < op->min_in || n > op->max_in) return "samples";
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return NULL;
}

/* The field that is missing or contradicts the others; NULL: there is none. */
static const char *descriptor_fault(const OpDesc *op)
{
	unsigned never = OP_GRADIENT_ONLY | OP_OPTIMIZER;
	bool makes_states = op->flags & (OP_STATEFUL | OP_OPTIMIZER);
	if (!is_text(op->name)) return "name";
	if (!is_text(op->doc) || op->doc[strlen(op->doc) - 1] != '.') return "doc";
	if (op->min_in < 1 || op->min_in > op->max_in) return "min_in";
	if (!op->infer) return "infer";
	if (!op->lower) return "lower";
	if (!op->reference) return "reference";
	if (!op->gradient && !(op->flags & never)) return "gradient";
	if (op->flags & OP_GRADIENT_ONLY && op->flags & OP_METHOD) return "flags";
	if (makes_states != (op->state_specs != NULL)) return "state_specs";
	if (makes_states != (op->states > 0)) return "states";
	if (op->sign && op_signed(op->sign) != op) return "sign";
	if (op->cheap < 0 || op->cheap > MAX_OUT) return "cheap";
	if (op->again && !op->cheap) return "again";
	if (!is_text(op->operands)) return "operands";
	if (!is_text(op->samples)) return "samples";
	const char *wrong = attr_fault(op);
	return wrong ? wrong : samples_fault(op);
}

static void every_descriptor_is_whole(void **state)
{
	(void)state;
	for (int i = 0; i < op_count; i++) {
		const char *fault = descriptor_fault(op_table[i]);
		if (fault) fail_msg("%s: %s", op_table[i]->name, fault);
	}
}

static void rejected(const OpDesc *op, const char *field)
{
	const char *fault = descriptor_fault(op);
	if (!fault || strcmp(fault, field) != 0)
		fail_msg("without %s: %s", field, fault ? fault : "fine");
}

/* op_conv with one field changed, which is named for it. */
#define WITHOUT(field, none)                                                                       \
	do {                                                                                           \
		OpDesc copy = op_conv;                                                                     \
		copy.field = none;                                                                         \
		rejected(&copy, #field);                                                                   \
	} while (0)

static void a_descriptor_with_a_field_missing_is_rejected(void **state)
{
	(void)state;
	WITHOUT(name, NULL);
	WITHOUT(name, "");
	WITHOUT(doc, NULL);
	WITHOUT(doc, "No end");
	WITHOUT(min_in, 9);
	WITHOUT(infer, NULL);
	WITHOUT(lower, NULL);
	WITHOUT(reference, NULL);
	WITHOUT(gradient, NULL);
	WITHOUT(states, 0);
	WITHOUT(state_specs, NULL);
	WITHOUT(operands, NULL);
	WITHOUT(samples, NULL);
	WITHOUT(samples, "");
	WITHOUT(samples, "x=1x1x5x5 b=6 w=6x1x5x5 | out=6 kernel=5");
	WITHOUT(samples, "x=1x1x5x5 | out=6 kernel=5");
	WITHOUT(sign, "+"); /* another has it */
	WITHOUT(flags, OP_METHOD | OP_GRADIENT_ONLY);
	static const Attr nameless[] = {{.name = "out", .type = ATTR_INT}, {.name = NULL}};
	OpDesc copy = op_conv;
	copy.attr = nameless;
	rejected(&copy, "an attribute's name or doc");
	static const Attr step[] = {
	    {.name = "step", .type = ATTR_REAL, .argument = true, .doc = "x"}, {.name = NULL}};
	copy = op_sgd;
	copy.attr = step;
	rejected(&copy, "an attribute that is an argument");
	copy = op_batch_norm_train;
	copy.cheap = 0;
	rejected(&copy, "again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_descriptor_is_whole),
	    cmocka_unit_test(a_descriptor_with_a_field_missing_is_rejected),
	};
	return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
