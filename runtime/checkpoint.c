/* checkpoint: weights and trainings in safetensors files. */
#include "checkpoint.h"

#include "augment.h"
#include "formats/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { KIND_SLOT = 2 };

/* --- the list of tensors ------------------------------------------------------------------ */

/* One tensor of the file and its place in memory. */
typedef struct {
	SafetensorsExpected shape;
	float *values;
	size_t count;
	size_t number; /* in the table */
	bool kept;     /* its values stay: the file does not have them, and need not */
} Place;

typedef struct {
	Place *at;
	size_t n;
} Places;

/* The tensors of a table; slots only when `slots` is there. */
static bool list_places(Places *list, const struct cnnc_tensor *tensor, size_t n, float *vars,
    float *slots, size_t slot_count, FormatError *e)
{
	bool slots_named = false;
	*list = (Places){calloc(n + 1, sizeof(Place)), 0};
	if (!list->at) return format_fail(e, "no memory for a list of %zu tensors", n);
	for (size_t i = 0; i < n; i++) {
		const struct cnnc_tensor *t = &tensor[i];
		float *base = t->kind == KIND_SLOT ? slots : vars;
		slots_named = slots_named || t->kind == KIND_SLOT;
		if (!base) continue;
		Place *p = &list->at[list->n++];
		p->shape = (SafetensorsExpected){.name = t->name, .rank = t->rank};
		for (int k = 0; k < t->rank && k < 4; k++) p->shape.dim[k] = t->dim[k];
		p->values = base + t->offset;
		p->count = t->count;
		p->number = i;
	}
	if (slots && slot_count && !slots_named)
		list->at[list->n++] =
		    (Place){.shape = {.name = "optimizer.slots", .rank = 1, .dim = {slot_count}},
		        .values = slots,
		        .count = slot_count};
	return true;
}

static bool write_places(const char *path, const Places *list, const SafetensorsPair *metadata,
    size_t pairs, FormatError *e)
{
	SafetensorsOutput *out = calloc(list->n + 1, sizeof *out);
	if (!out) return format_fail(e, "%s: no memory", path);
	for (size_t i = 0; i < list->n; i++) {
		const Place *p = &list->at[i];
		out[i] = (SafetensorsOutput){.name = p->shape.name,
		    .type = SAFETENSORS_F32,
		    .rank = p->shape.rank,
		    .values = p->values};
		memcpy(out[i].dim, p->shape.dim, sizeof out[i].dim);
	}
	bool ok = safetensors_write(path, out, list->n, metadata, pairs, e);
	free(out);
	return ok;
}

/* The file against the list; marks what is kept. */
static bool check_places(const char *path, const Safetensors *s, const Places *list,
    const char *passed_over, const SafetensorsAllow *allow, FormatError *e)
{
	SafetensorsExpected *expected = calloc(list->n + 1, sizeof *expected);
	bool *kept = calloc(list->n + 1, sizeof *kept);
	bool ok = expected && kept;
	if (!ok) format_fail(e, "%s: no memory", path);
	for (size_t i = 0; ok && i < list->n; i++) expected[i] = list->at[i].shape;
	ok = ok && safetensors_match(s, path, expected, list->n, passed_over, allow, kept, e);
	for (size_t i = 0; ok && i < list->n; i++) list->at[i].kept = kept[i];
	free(expected);
	free(kept);
	return ok;
}

/* Reads every tensor aside first, so that a value that does not fit leaves the memory as it was. */
static bool fill_places(const char *path, const Safetensors *s, const Places *list, FormatError *e)
{
	size_t total = 0, at = 0;
	for (size_t i = 0; i < list->n; i++) total += list->at[i].count;
	float *aside = calloc(total + 1, sizeof *aside);
	if (!aside) return format_fail(e, "%s: no memory for %zu floats", path, total);
	bool ok = true;
	for (size_t i = 0; ok && i < list->n; at += list->at[i++].count)
		ok = list->at[i].kept ||
		     safetensors_floats(safetensors_find(s, list->at[i].shape.name), aside + at, e);
	at = 0;
	for (size_t i = 0; ok && i < list->n; at += list->at[i++].count)
		if (!list->at[i].kept)
			memcpy(list->at[i].values, aside + at, list->at[i].count * sizeof *aside);
	free(aside);
	return ok;
}

/* --- weights ------------------------------------------------------------------------------ */

bool weights_write(const char *path, const struct cnnc_tensor *tensor, size_t tensors,
    const float *vars, FormatError *e)
{
	Places list;
	/* the list is of writable memory; writing a file only reads it */
	float *memory = (float *)(uintptr_t)vars;
	if (!list_places(&list, tensor, tensors, memory, NULL, 0, e)) return false;
	SafetensorsPair made_for = {"format", "pt"}; /* what PyTorch's own loaders look for */
	bool ok = write_places(path, &list, &made_for, 1, e);
	free(list.at);
	return ok;
}

bool weights_read_allowing(const char *path, const struct cnnc_tensor *tensor, size_t tensors,
    float *vars, const WeightsAllow *allow, bool *kept, FormatError *e)
{
	Places list;
	Safetensors file;
	SafetensorsAllow may = {NULL, NULL};
	if (allow) may = (SafetensorsAllow){allow->missing, allow->left_over};
	if (!list_places(&list, tensor, tensors, vars, NULL, 0, e)) return false;
	bool ok = safetensors_read(path, &file, e);
	if (ok) {
		ok = check_places(path, &file, &list, ".num_batches_tracked", &may, e) &&
		     fill_places(path, &file, &list, e);
		safetensors_free(&file);
	}
	for (size_t i = 0; ok && kept && i < tensors; i++) kept[i] = false; /* slots are in no list */
	for (size_t i = 0; ok && kept && i < list.n; i++) kept[list.at[i].number] = list.at[i].kept;
	free(list.at);
	return ok;
}

bool weights_read(
    const char *path, const struct cnnc_tensor *tensor, size_t tensors, float *vars, FormatError *e)
{
	return weights_read_allowing(path, tensor, tensors, vars, NULL, NULL, e);
}

/* --- metadata ----------------------------------------------------------------------------- */

static const char mark_key[] = "cnnc.checkpoint", mark[] = "1", schedule_key[] = "schedule";

/* The numbers of a checkpoint by name: one list for both ways. The first ones are in every file;
 * the others, which came later, are 0 where they are missing. */
enum { WHOLES = 11, WHOLES_AT_FIRST = 9, REALS = 5, NUMBER_ROOM = 32 };

typedef struct {
	const char *key;
	uint64_t *value;
} Whole;
typedef struct {
	const char *key;
	float *value;
} Real;

static void list_numbers(Checkpoint *c, Whole whole[WHOLES], Real real[REALS])
{
	RateSchedule *s = &c->schedule;
	const Whole wholes[WHOLES] = {{"seed", &c->seed}, {"step", &c->step}, {"epoch", &c->epoch},
	    {"place", &c->place}, {"images", &c->images}, {"batch", &c->batch},
	    {"rate.warm_up", &s->warm_up}, {"rate.every", &s->every}, {"rate.total", &s->total},
	    {"augment.pad", &c->pad}, {"augment.flip", &c->flip}};
	const Real reals[REALS] = {{"momentum", &c->momentum}, {"decay", &c->decay}, {"rate", &s->base},
	    {"rate.factor", &s->factor}, {"rate.last", &s->last}};
	memcpy(whole, wholes, sizeof wholes);
	memcpy(real, reals, sizeof reals);
}

bool checkpoint_write(const char *path, const Checkpoint *c, FormatError *e)
{
	Checkpoint copy = *c;
	Whole whole[WHOLES];
	Real real[REALS];
	list_numbers(&copy, whole, real);
	char text[WHOLES + REALS][NUMBER_ROOM];
	SafetensorsPair pair[WHOLES + REALS + 2];
	size_t n = 0;
	for (int i = 0; i < WHOLES; i++, n++) {
		snprintf(text[n], NUMBER_ROOM, "%" PRIu64, *whole[i].value);
		pair[n] = (SafetensorsPair){whole[i].key, text[n]};
	}
	for (int i = 0; i < REALS; i++, n++) { /* nine digits tell every float from every other */
		snprintf(text[n], NUMBER_ROOM, "%.9g", (double)*real[i].value);
		pair[n] = (SafetensorsPair){real[i].key, text[n]};
	}
	pair[n++] = (SafetensorsPair){schedule_key, rate_name(c->schedule.kind)};
	pair[n++] = (SafetensorsPair){mark_key, mark};
	Places list;
	if (!list_places(&list, c->tensor, c->tensors, c->vars, c->slots, c->slot_count, e))
		return false;
	bool ok = write_places(path, &list, pair, n, e);
	free(list.at);
	return ok;
}

static bool read_whole(const char *text, uint64_t *value)
{
	if (!text || *text < '0' || *text > '9') return false;
	char *end;
	errno = 0;
	uintmax_t v = strtoumax(text, &end, 10);
	*value = (uint64_t)v;
	return !errno && !*end && v <= UINT64_MAX;
}

static bool read_real(const char *text, float *value)
{
	if (!text || !*text) return false;
	char *end;
	*value = strtof(text, &end);
	return !*end && *value - *value == 0; /* finite */
}

static bool read_numbers(const char *path, const Safetensors *s, Checkpoint *c, FormatError *e)
{
	const char *is = safetensors_metadata(s, mark_key);
	if (!is || strcmp(is, mark) != 0)
		return format_fail(e, "%s: not a checkpoint of a training", path);
	Whole whole[WHOLES];
	Real real[REALS];
	list_numbers(c, whole, real);
	for (int i = 0; i < WHOLES; i++) {
		const char *text = safetensors_metadata(s, whole[i].key);
		if (!text && i >= WHOLES_AT_FIRST) text = "0";
		if (!read_whole(text, whole[i].value))
			return format_fail(e, "%s: '%s' is not a number", path, whole[i].key);
	}
	for (int i = 0; i < REALS; i++)
		if (!read_real(safetensors_metadata(s, real[i].key), real[i].value))
			return format_fail(e, "%s: '%s' is not a number", path, real[i].key);
	const char *name = safetensors_metadata(s, schedule_key);
	if (!name || !rate_kind(name, &c->schedule.kind))
		return format_fail(e, "%s: no such schedule", path);
	if (!c->batch || c->place > c->images)
		return format_fail(e, "%s: image %" PRIu64 " of %" PRIu64 ", in batches of %" PRIu64, path,
		    c->place, c->images, c->batch);
	if (c->pad > AUGMENT_PAD || c->flip > 1)
		return format_fail(
		    e, "%s: images moved by %" PRIu64 " pixels, flip %" PRIu64, path, c->pad, c->flip);
	return true;
}

bool checkpoint_read(const char *path, Checkpoint *c, FormatError *e)
{
	Safetensors file;
	Places list;
	Checkpoint copy = *c;
	if (!list_places(&list, c->tensor, c->tensors, c->vars, c->slots, c->slot_count, e))
		return false;
	bool ok = safetensors_read(path, &file, e);
	if (ok) {
		ok = read_numbers(path, &file, &copy, e) &&
		     check_places(path, &file, &list, NULL, NULL, e) && fill_places(path, &file, &list, e);
		safetensors_free(&file);
	}
	free(list.at);
	if (ok) *c = copy;
	return ok;
}
