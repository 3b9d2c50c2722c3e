/* net: a network that is compiled into this process, as a Lua value.
 *
 * A Net owns its arena (model and program) and its code; its memories are userdata, kept alive as
 * user values, so that Lua's collector sees their size. The emitted functions have as many
 * arguments as the network has inputs and outputs; adapters, C text of our own behind the emitted
 * one, give them all the form of one array of pointers. */
#ifndef CNNC_NET_H
#define CNNC_NET_H

#include "../driver.h"
#include "../jit/jit.h"
#include "tensor.h"

#include <lua.h>

/* The emitted status codes. */
enum { NET_OK = 0, NET_NONFINITE = 1, NET_BAD_LABEL = 2 };

typedef int (*Adapter)(void *const *argument);

enum { NET_ARGUMENTS = 192 }; /* of one entry */

/* An entry that can be called: its part of the program and its adapter. order[] are the numbers of
 * the arguments that a caller gives or gets, in the order of the C function's: inputs, then
 * outputs, the loss first. */
typedef struct {
	const Part *part; /* NULL: the network has no such entry */
	Adapter call;
	int order[NET_ARGUMENTS];
	int inputs, n;
	bool has_loss; /* order[inputs] is the loss */
} Entry;

/* User values: 1 vars, 2 slots, 3 packed, 4 work. */
enum { NET_VARS = 1, NET_SLOTS, NET_PACKED, NET_WORK, NET_MEMORIES = NET_WORK };

typedef struct {
	Arena *arena;
	Jit *jit;
	const char *file, *compiler;
	Options options;
	Program *program; /* NULL until compiled */
	const Model *model;
	size_t element; /* bytes of a real */
	void *memory[NET_MEMORIES + 1];
	Entry infer, eval, gradients, step; /* step.part is the gradients' part */
	Adapter init, pack;
	bool has_init;      /* there is something to initialise */
	bool packed_is_old; /* vars have changed since pack */
	uint64_t seed, steps;
} Net;

/* Where the adapters' pointer arrays begin; the entry's own arguments follow, then what is said
 * there. */
enum {
	ARG_VARS,
	ARG_SLOTS,
	ARG_PACKED,
	ARG_WORK,
	ARG_SEED,
	ARG_STEP,
	ARG_GRADS,
	ARG_HYPER,
	ARG_OWN
};

Net *net_check(lua_State *L, int index);

/* net_adapter.c: C text that calls the emitted functions of `net` through arrays of pointers, and
 * tells how many bytes pack and work take. */
void adapter_text(const Net *net, Text *out);
bool adapter_find(Net *net); /* looks all of them up; false: the emitted text lacks one */
const char *adapter_sizes_name(void);
bool entry_of(const Part *p, Entry *e); /* false: more arguments than NET_ARGUMENTS */

/* net_call.c, net_file.c, net_profile.c: methods. */
int net_forward(lua_State *L);
int net_eval(lua_State *L);
int net_gradients(lua_State *L);
int net_step(lua_State *L);
int net_load(lua_State *L);
int net_save(lua_State *L);
int net_get(lua_State *L);
int net_set(lua_State *L);
int net_profile(lua_State *L);

/* net.c: adds load to the table on top of the stack. load(FILE, TABLE or nil, Options as light
 * userdata) begins with options from the command line. */
void net_open(lua_State *L);

#endif
