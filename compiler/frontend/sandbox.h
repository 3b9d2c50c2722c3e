/* sandbox: a Lua state for files that nobody trusts.
 *
 * What is inside cannot reach a file, a clock, an address or the machine's own randomness, so that
 * the same text gives the same network; and it ends: memory, the volume of all allocations,
 * instructions and time are capped. Library functions that do much work in one instruction
 * (patterns, rep, concat, sort, ...) pay for it with charge().
 *
 * The state's memory is a list of blocks of its own, thrown away whole: no finalizer of a script
 * ever runs, and a jump out of the middle of Lua (the arena's out of memory) leaks nothing. */
#ifndef CNNC_FRONTEND_SANDBOX_H
#define CNNC_FRONTEND_SANDBOX_H

#include <lua.h>
#include <lauxlib.h>

#include "../base.h"

/* The caps; fields of Sandbox may be lowered by tests. */
#define SANDBOX_MEMORY ((size_t)64 << 20)
#define SANDBOX_VOLUME ((size_t)8 << 30)
#define SANDBOX_STRING ((size_t)1 << 20)
enum {
	SANDBOX_STEP = 1000,              /* instructions between two looks at the caps */
	SANDBOX_INSTRUCTIONS = 100000000, /* about a second; the largest networks need a thousandth */
	SANDBOX_SECONDS = 20
};

typedef struct Sandbox {
	lua_State *L;
	struct SandboxBlock *blocks;
	size_t used, memory_limit;
	size_t volume, volume_limit;
	int64_t instructions, instruction_limit;
	int64_t started, second_limit; /* monotonic clock, seconds */
	const char *refused;           /* why memory was refused the last time, and where */
	int refused_chunk, refused_line;
	void (*print)(lua_State *L, const char *text); /* what print() says; NULL: nothing */
} Sandbox;

/* Chunk n of a sandbox is named so for lua_load; messages and debug information carry it. */
#define CHUNK_NAME "=cnnc#%d"

/* Makes the state with nothing in it. false: no memory. */
bool sandbox_open(Sandbox *s);
void sandbox_close(Sandbox *s);
Sandbox *sandbox_of(lua_State *L);
/* Adds work done outside of the count, in instructions' worth; raises an error past a cap. */
void sandbox_charge(lua_State *L, double work);
/* The number in a chunk's name ("=cnnc#3"): 3; -1: not one of ours. */
int sandbox_chunk(const char *source);
/* The innermost line of Lua on the stack at or after level *level (which moves there); false: none.
 */
bool sandbox_place(lua_State *L, int *level, int *chunk, int *line);

/* safelib.c: fills the globals; to be called protected. */
int sandbox_libraries(lua_State *L);
/* Pushes tostring() of the value without ever showing an address; may call __tostring. */
const char *sandbox_tostring(lua_State *L, int i);

/* sorted.c: the keys of the table at `t` in order (numbers, strings, booleans), pushed as an array;
 * returns how many. Other keys have no order: an error. */
int sandbox_sorted_keys(lua_State *L, int t);

#endif
