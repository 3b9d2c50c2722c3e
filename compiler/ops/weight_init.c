/* weight_init: see weight_init.h. A table row a rule, so that a rule is one line here and one word
 * in ATTR_INIT. */
#include <math.h>

#include "weight_init.h"

static double bound_default(double in, double out) { return (void)out, 1 / sqrt(in); }
static double bound_lecun(double in, double out) { return (void)out, 2.4 / in; }
static double bound_glorot(double in, double out) { return sqrt(6 / (in + out)); }
static double bound_he(double in, double out) { return (void)out, sqrt(6 / in); }
static double deviation_he(double in, double out) { return (void)out, sqrt(2 / in); }

static const struct {
	const char *name;
	InitKind kind;
	double (*value)(double fan_in, double fan_out);
	bool random_bias; /* drawn as a weight of the same fan-in; else 0 */
} rules[] = {
    {"default", INIT_UNIFORM, bound_default, true},
    {"lecun", INIT_UNIFORM, bound_lecun, true},
    {"glorot", INIT_UNIFORM, bound_glorot, false},
    {"he", INIT_UNIFORM, bound_he, false},
    {"he_normal", INIT_NORMAL, deviation_he, false},
};

static int rule_of(const Node *n)
{
	const char *name = attr_name(n, "init");
	for (int i = 0; i < COUNT(rules); i++)
		if (!strcmp(rules[i].name, name)) return i;
	bug("%s: no initial rule %s", n->op->name, name);
}

Init weight_init(const Node *n, double fan_in, double fan_out)
{
	int r = rule_of(n);
	return (Init){rules[r].kind, rules[r].value(MAX(fan_in, 1), fan_out)};
}

Init bias_init(const Node *n, double fan_in)
{
	int r = rule_of(n);
	if (!rules[r].random_bias) return (Init){INIT_CONSTANT, 0};
	return (Init){rules[r].kind, rules[r].value(MAX(fan_in, 1), 0)};
}
