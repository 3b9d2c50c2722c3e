/* rate: learning-rate schedules. */
#include "rate.h"

#include <math.h>
#include <string.h>

static const char *const names[RATE_KINDS] = {"constant", "step", "cosine"};

const char *rate_name(RateKind kind) { return names[kind]; }

bool rate_kind(const char *name, RateKind *kind)
{
	for (int i = 0; i < RATE_KINDS; i++)
		if (!strcmp(names[i], name)) {
			*kind = (RateKind)i;
			return true;
		}
	return false;
}

float rate_at(const RateSchedule *s, uint64_t step)
{
	double base = (double)s->base;
	if (step < s->warm_up) return (float)(base * (double)(step + 1) / (double)s->warm_up);
	if (s->kind == RATE_STEP && s->every)
		return (float)(base * pow((double)s->factor, (double)(step / s->every)));
	if (s->kind == RATE_COSINE) {
		if (step >= s->total || s->total <= s->warm_up) return s->last;
		double way = (double)(step - s->warm_up) / (double)(s->total - s->warm_up);
		double last = (double)s->last;
		return (float)(last + (base - last) * 0.5 * (1.0 + cos(3.14159265358979323846 * way)));
	}
	return s->base;
}
