/* arena: memory of one compilation, in blocks, freed whole.
 *
 * Why: a compilation makes many small things that all die together, and out of memory must not leak
 * or be checked at each call. Invariants: every pointer handed out is zeroed and 16-byte aligned;
 * the sum of the blocks never passes `limit`; when memory is short nothing was changed and control
 * goes to the guard's setjmp.
 *
 * Blocks come zeroed from calloc(), which for large ones costs nothing until they are touched, and
 * no byte is handed out twice. They grow with the arena, so that there are never many.
 *
 * A scratch arena is a child of another: its blocks count as the parent's and go with it, and the
 * guard is the parent's. What arena_reset() takes back is handed out again, zeroed. */
#define _DEFAULT_SOURCE
#include "base.h"

#include <stdlib.h>
#if defined __linux__
#include <sys/mman.h>
#endif

enum { ALIGNMENT = 16 };

/* With the address sanitizer each allocation has a block of its own, so that running past one is
 * seen. */
#if defined __SANITIZE_ADDRESS__
enum { BLOCK_BYTES = 0 };
#elif defined __has_feature
#if __has_feature(address_sanitizer)
enum { BLOCK_BYTES = 0 };
#else
enum { BLOCK_BYTES = 1 << 16 };
#endif
#else
enum { BLOCK_BYTES = 1 << 16 };
#endif

typedef struct Block {
	struct Block *next;
	char *start;       /* aligned */
	size_t used, room; /* multiples of ALIGNMENT */
} Block;

struct Arena {
	Block *block; /* the newest first: the only one with free room */
	size_t total, limit;
	size_t again; /* room of the next block: what was in use before a reset */
	jmp_buf *out_of_memory;
	Arena *parent, *child, *next; /* children are a list */
};

void bug_at(const char *file, int line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "cnnc: internal error at %s:%d: ", file, line);
	vfprintf(stderr, format, args);
	fputs("\nPlease report this with the network file.\n", stderr);
	va_end(args);
	abort();
}

Arena *arena_new(size_t limit)
{
	Arena *a = calloc(1, sizeof *a);
	if (a) a->limit = limit ? limit : SIZE_MAX;
	return a;
}

static void free_blocks(Arena *a)
{
	for (Block *b = a->block, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	a->block = NULL;
	if (a->parent) a->parent->total -= a->total;
	a->total = 0;
}

void arena_free(Arena *a)
{
	if (!a) return;
	for (Arena *child = a->child; child; child = child->next) free_blocks(child);
	free_blocks(a);
	free(a);
}

Arena *arena_scratch(Arena *parent)
{
	if (parent->parent) bug("a scratch arena of a scratch arena");
	Arena *a = NEW(parent, Arena);
	*a = (Arena){.limit = SIZE_MAX, .parent = parent, .next = parent->child};
	parent->child = a;
	return a;
}

/* One block is kept, or the next one has room for all that was in use. */
void arena_reset(Arena *a)
{
	Block *b = a->block;
	if (!a->parent) bug("reset of an arena that is no scratch");
	if (!b) return;
	if (BLOCK_BYTES > 0 && !b->next) {
		memset(b->start, 0, b->used);
		b->used = 0;
		return;
	}
	for (a->again = 0; b; b = b->next) a->again += BLOCK_BYTES > 0 ? b->used : 0;
	free_blocks(a);
}

jmp_buf *arena_guard(Arena *a, jmp_buf *out_of_memory)
{
	jmp_buf *former = a->out_of_memory;
	a->out_of_memory = out_of_memory;
	return former;
}

NORETURN static void out_of_memory(Arena *a)
{
	const Arena *owner = a->parent ? a->parent : a;
	if (!owner->out_of_memory) bug("out of memory outside of arena_guard()");
	longjmp(*owner->out_of_memory, 1);
}

/* Room of a block for small things: an eighth of what there is already, or what there was, within
 * the owner's limit. */
static size_t block_room(const Arena *a, const Arena *owner)
{
	size_t least = BLOCK_BYTES, more = MAX(a->total / 8 / ALIGNMENT * ALIGNMENT, a->again);
	bool fits = owner->total < owner->limit / 2 && more < owner->limit / 2 - owner->total;
	return least > 0 && fits ? MAX(least, more) : least;
}

/* Large blocks come in large pages, where there are some: a sixth of a large network's compilation
 * went to faults of pages of 4 KB. A wish, on which nothing depends. */
static void ask_for_large_pages(void *block, size_t bytes)
{
#if defined __linux__ && defined MADV_HUGEPAGE
	enum { PAGE = 2 << 20 };
	uintptr_t from = ((uintptr_t)block + PAGE - 1) / PAGE * PAGE, to = (uintptr_t)block + bytes;
	if (to > from && to - from >= PAGE)
		madvise((void *)from, (to - from) / PAGE * PAGE, MADV_HUGEPAGE);
#else
	(void)block;
	(void)bytes;
#endif
}

/* A new block with room for `bytes`, a multiple of ALIGNMENT. */
static Block *block_add(Arena *a, size_t bytes)
{
	Arena *owner = a->parent ? a->parent : a;
	size_t room = block_room(a, owner);
	bool big = bytes > room / 4;
	if (big) room = bytes;
	size_t whole = sizeof(Block) + ALIGNMENT + room;
	if (whole < room || whole > owner->limit || owner->total > owner->limit - whole)
		out_of_memory(a);
	Block *b = calloc(1, whole);
	if (!b) out_of_memory(a);
	ask_for_large_pages(b, whole);
	uintptr_t start = ((uintptr_t)(b + 1) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	*b = (Block){a->block, (char *)start, 0, room};
	/* A big block goes behind the newest one, so that what is free there is not lost. */
	if (a->block && big) {
		b->next = a->block->next;
		a->block->next = b;
	} else {
		a->block = b;
	}
	a->total += whole;
	if (owner != a) owner->total += whole;
	return b;
}

void *arena_alloc(Arena *a, size_t count, size_t size)
{
	if (size && count > (SIZE_MAX - 4 * ALIGNMENT) / size) out_of_memory(a);
	size_t bytes = MAX(count * size, 1);
	bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	Block *b = a->block;
	if (!b || b->room - b->used < bytes) b = block_add(a, bytes);
	char *p = b->start + b->used;
	b->used += bytes;
	return p;
}

void *arena_grow(Arena *a, void *old, size_t old_count, size_t new_count, size_t size)
{
	if (new_count < old_count) bug("arena_grow from %zu to %zu", old_count, new_count);
	void *p = arena_alloc(a, new_count, size);
	if (old && old_count) memcpy(p, old, old_count * size);
	return p;
}

char *arena_copy(Arena *a, const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(arena_alloc(a, n, 1), s, n);
}

char *arena_printf(Arena *a, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0) bug("vsnprintf cannot print '%s'", format);
	char *s = arena_alloc(a, (size_t)n + 1, 1);
	vsnprintf(s, (size_t)n + 1, format, again);
	va_end(again);
	return s;
}
