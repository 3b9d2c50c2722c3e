/* net_file: weights and buffers as safetensors, under their names. Optimiser slots do not travel.
 */
#include "net.h"
#include "lua_error.h"
#include "../../runtime/formats/safetensors.h"

#include <stdlib.h>

_Static_assert((int)MAX_RANK <= (int)SAFETENSORS_RANK, "a state's shape fits a file's");

/* What a file must hold, in a userdata that is pushed. */
static SafetensorsExpected *push_expected(lua_State *L, const Model *m)
{
	SafetensorsExpected *e = lua_newuserdatauv(L, (size_t)MAX(m->state.n, 1) * sizeof *e, 0);
	for (int i = 0; i < m->state.n; i++) {
		const State *s = m->state.at[i];
		e[i] = (SafetensorsExpected){.name = s->name, .rank = s->shape.rank};
		for (int d = 0; d < s->shape.rank; d++) e[i].dim[d] = (size_t)s->shape.dim[d];
	}
	return e;
}

/* Everything into `memory`, which is not the network's yet: a file that is wrong changes nothing.
 */
static bool read_all(const Net *net, const char *path, const SafetensorsExpected *expected,
    char *memory, FormatError *e)
{
	Safetensors file = {0};
	if (!safetensors_read(path, &file, e)) return false;
	const Model *m = net->model;
	bool ok =
	    safetensors_check(&file, path, expected, (size_t)m->state.n, ".num_batches_tracked", e);
	for (int i = 0; i < m->state.n && ok; i++) {
		const SafetensorsTensor *t = safetensors_find(&file, m->state.at[i]->name);
		char *to = memory + (size_t)m->state.at[i]->offset * net->element;
		ok = net->program->is_double ? safetensors_doubles(t, (double *)(void *)to, e)
		                             : safetensors_floats(t, (float *)(void *)to, e);
	}
	safetensors_free(&file);
	return ok;
}

int net_load(lua_State *L) /* net:load(FILE) */
{
	Net *net = net_check(L, 1);
	const char *path = luaL_checkstring(L, 2);
	FormatError e;
	size_t bytes = (size_t)net->model->vars * net->element;
	const SafetensorsExpected *expected = push_expected(L, net->model);
	char *memory = lua_newuserdatauv(L, MAX(bytes, 1), 0);
	memset(memory, 0, bytes);
	if (!read_all(net, path, expected, memory, &e)) return lua_fail(L, "%s", e.text);
	memcpy(net->memory[NET_VARS], memory, bytes);
	net->packed_is_old = true;
	lua_settop(L, 1);
	return 1;
}

int net_save(lua_State *L) /* net:save(FILE) */
{
	Net *net = net_check(L, 1);
	const char *path = luaL_checkstring(L, 2);
	const Model *m = net->model;
	SafetensorsOutput *out = lua_newuserdatauv(L, (size_t)MAX(m->state.n, 1) * sizeof *out, 0);
	for (int i = 0; i < m->state.n; i++) {
		const State *s = m->state.at[i];
		out[i] = (SafetensorsOutput){.name = s->name,
		    .rank = s->shape.rank,
		    .type = net->program->is_double ? SAFETENSORS_F64 : SAFETENSORS_F32};
		for (int d = 0; d < s->shape.rank; d++) out[i].dim[d] = (size_t)s->shape.dim[d];
		out[i].values = (char *)net->memory[NET_VARS] + (size_t)s->offset * net->element;
	}
	SafetensorsPair pair = {"network", m->name};
	FormatError e;
	if (!safetensors_write(path, out, (size_t)m->state.n, &pair, 1, &e))
		return lua_fail(L, "%s", e.text);
	lua_settop(L, 1);
	return 1;
}
