/* model: where every state lies. Weights first, then buffers, so that a gradient has its weight's
 * offset. */
#include "ir.h"
#include "op.h"

static bool place_kind(Model *m, StateKind kind, int64_t *at)
{
	for (int i = 0; i < m->state.n; i++) {
		State *s = m->state.at[i];
		if (s->kind != kind) continue;
		s->offset = *at;
		if (!add_fits(*at, shape_count(s->shape), at)) {
			diag_error(m->diag, s->where, "the network's weights do not fit 64 bits");
			return false;
		}
	}
	return true;
}

/* Slot k of a weight, as the optimiser asks for it; NULL: it asks for fewer. */
static State *slot_of(Model *m, const OpDesc *op, State *weight, int k)
{
	Graph *g = graph_new(m->arena, m->diag, 1, MODE_TRAIN);
	Value *w = graph_read(g, weight);
	Node probe = {.kind = NODE_OP,
	    .op = op,
	    .attr = m->optimizer.attr,
	    .in = &w,
	    .nin = 1,
	    .where = m->optimizer.where};
	StateSpec spec[MAX_STATES];
	int n = op->state_specs ? op->state_specs(g, &probe, spec) : 0;
	if (k >= n) return NULL;
	State *s = NEW(m->arena, State);
	s->name = arena_printf(m->arena, "%s.%s", weight->name, spec[k].name);
	s->kind = STATE_SLOT;
	s->shape = spec[k].shape;
	s->init = spec[k].init;
	s->of = weight;
	s->where = weight->where;
	return s;
}

/* The k-th slots of all weights behind each other, then the next: rows for the update. */
static bool place_slots(Model *m, const OpDesc *op)
{
	for (int k = 0; k < MAX_STATES; k++)
		for (int i = 0; i < m->state.n; i++) {
			State *weight = m->state.at[i];
			if (weight->kind != STATE_WEIGHT || weight->frozen) continue;
			State *s = slot_of(m, op, weight, k);
			if (!s) continue;
			s->offset = m->slots;
			if (!add_fits(m->slots, shape_count(s->shape), &m->slots)) {
				diag_error(m->diag, s->where, "the optimiser's slots do not fit 64 bits");
				return false;
			}
			vec_push(m->arena, m->slot, s);
		}
	return true;
}

bool model_layout(Model *m, bool trains)
{
	m->vars = 0;
	if (!place_kind(m, STATE_WEIGHT, &m->vars)) return false;
	m->weights = m->vars;
	if (!place_kind(m, STATE_BUFFER, &m->vars)) return false;
	m->buffers = m->vars - m->weights;
	m->slot.n = 0;
	m->slots = 0;
	if (!m->optimizer.kind || !trains) return true;
	const OpDesc *op = op_find(m->optimizer.kind);
	if (!op) bug("no optimiser named %s", m->optimizer.kind);
	return place_slots(m, op);
}
