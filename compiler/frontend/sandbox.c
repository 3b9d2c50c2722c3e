/* sandbox: the state, its memory and its meter. See sandbox.h. */
#define _POSIX_C_SOURCE 200809L
#include "sandbox.h"

#include <stdlib.h>
#include <time.h>

/* --- memory ----------------------------------------------------------------------------------- */

/* In front of every piece of the state's memory; a multiple of the strictest alignment. */
typedef struct SandboxBlock {
	_Alignas(16) struct SandboxBlock *next;
	struct SandboxBlock *before;
} Block;

static void unlink_block(Sandbox *s, Block *b)
{
	if (b->before)
		b->before->next = b->next;
	else
		s->blocks = b->next;
	if (b->next) b->next->before = b->before;
}

static void link_block(Sandbox *s, Block *b)
{
	b->before = NULL;
	b->next = s->blocks;
	if (s->blocks) s->blocks->before = b;
	s->blocks = b;
}

/* Lua reports lack of memory without asking the message handler, so the place is noted here.
 * Nothing in this may allocate. */
static void *refuse(Sandbox *s, const char *why)
{
	int level = 0;
	s->refused = why;
	s->refused_chunk = -1;
	if (s->L) sandbox_place(s->L, &level, &s->refused_chunk, &s->refused_line);
	return NULL;
}

static const char *over_a_cap(const Sandbox *s, size_t more, bool is_string)
{
	if (is_string && more > SANDBOX_STRING) return "a string of more than a million bytes";
	if (more > s->memory_limit - s->used) return "more memory than a network file may use";
	if (more > s->volume_limit - s->volume) return "too much work with memory";
	return NULL;
}

/* lua_Alloc. Shrinking never fails, as Lua demands. */
static void *allocate(void *self, void *old, size_t old_size, size_t size)
{
	Sandbox *s = self;
	bool is_string = !old && old_size == LUA_TSTRING; /* then old_size says what it is for */
	Block *b = old ? (Block *)old - 1 : NULL;
	if (!old) old_size = 0;
	if (size == 0) {
		if (b) unlink_block(s, b);
		free(b);
		s->used -= old_size;
		return NULL;
	}
	if (size > old_size) {
		const char *why = over_a_cap(s, size - old_size, is_string);
		if (why || size > SIZE_MAX - sizeof *b) return refuse(s, why ? why : "too much memory");
	}
	if (b) unlink_block(s, b);
	Block *moved = realloc(b, sizeof *b + size);
	if (!moved) {
		if (b) link_block(s, b);
		return size <= old_size ? old : refuse(s, "more memory than the machine has");
	}
	link_block(s, moved);
	s->used = s->used - old_size + size;
	if (size > old_size) s->volume += size;
	if (s->volume > s->volume_limit) s->volume = s->volume_limit;
	return moved + 1;
}

/* --- the meter -------------------------------------------------------------------------------- */

static int64_t seconds(void)
{
	struct timespec now;
	return clock_gettime(CLOCK_MONOTONIC, &now) ? 0 : (int64_t)now.tv_sec;
}

static void check_meter(lua_State *L, Sandbox *s)
{
	const char *why = NULL;
	if (s->instructions > s->instruction_limit) why = "too many instructions";
	if (seconds() - s->started > s->second_limit) why = "too much time";
	if (!why) return;
	lua_pushfstring(L, "%s: does this file come to an end?", why);
	lua_error(L);
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	Sandbox *s = sandbox_of(L);
	s->instructions += SANDBOX_STEP;
	check_meter(L, s);
}

void sandbox_charge(lua_State *L, double work)
{
	Sandbox *s = sandbox_of(L);
	double left = (double)(s->instruction_limit - s->instructions);
	s->instructions += work > left ? s->instruction_limit - s->instructions + 1 : (int64_t)work;
	check_meter(L, s);
}

/* --- the state -------------------------------------------------------------------------------- */

Sandbox *sandbox_of(lua_State *L) { return *(Sandbox **)lua_getextraspace(L); }

/* Never reached: everything runs protected. */
static int panic(lua_State *L)
{
	(void)L;
	bug("an error of Lua outside of a protected call");
}

bool sandbox_open(Sandbox *s)
{
	*s = (Sandbox){
	    .memory_limit = SANDBOX_MEMORY,
	    .volume_limit = SANDBOX_VOLUME,
	    .instruction_limit = SANDBOX_INSTRUCTIONS,
	    .second_limit = SANDBOX_SECONDS,
	    .started = seconds(),
	    .refused_chunk = -1,
	};
	lua_State *L = lua_newstate(allocate, s);
	if (!L) return false;
	s->L = L;
	*(Sandbox **)lua_getextraspace(L) = s;
	lua_atpanic(L, panic);
	lua_sethook(L, count_hook, LUA_MASKCOUNT, SANDBOX_STEP);
	return true;
}

void sandbox_close(Sandbox *s)
{
	for (Block *b = s->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	s->blocks = NULL;
	s->L = NULL;
}

/* --- places ----------------------------------------------------------------------------------- */

int sandbox_chunk(const char *source)
{
	static const char start[] = "=cnnc#";
	if (strncmp(source, start, sizeof start - 1) != 0) return -1;
	int n = 0;
	const char *digit = source + sizeof start - 1;
	if (*digit < '0' || *digit > '9') return -1;
	for (; *digit >= '0' && *digit <= '9' && n < 1000000; digit++) n = 10 * n + (*digit - '0');
	return n;
}

bool sandbox_place(lua_State *L, int *level, int *chunk, int *line)
{
	lua_Debug ar;
	for (; lua_getstack(L, *level, &ar); ++*level) {
		if (!lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0) continue;
		int n = sandbox_chunk(ar.source);
		if (n < 0) continue;
		*chunk = n;
		*line = ar.currentline;
		return true;
	}
	return false;
}
