/* base: what every room stands on: an arena, growable arrays, text, hashes and checked files.
 *
 * One arena lives as long as one compilation and is freed whole. Allocation never returns NULL:
 * when memory is short it jumps to the place that arena_guard() named, which is the API boundary.
 * What dies earlier may be in a scratch arena.
 */
#ifndef CNNC_BASE_H
#define CNNC_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#if defined __GNUC__
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#else
#define PRINTF_LIKE(f, a)
#define NORETURN
#endif

#define CNNC_VERSION "1.0.0"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* A fault of the compiler itself: prints stage and place, then aborts. The only abort in cnnc. */
#define bug(...) bug_at(__FILE__, __LINE__, __VA_ARGS__)
NORETURN void bug_at(const char *file, int line, const char *format, ...) PRINTF_LIKE(3, 4);

/* arena.c */
typedef struct Arena Arena;
Arena *arena_new(size_t limit); /* NULL when memory is short; limit 0: none */
void arena_free(Arena *a);      /* NULL is fine */
/* Must be set before the first allocation. Returns the former guard, so that guards nest. */
jmp_buf *arena_guard(Arena *a, jmp_buf *out_of_memory);
/* A child of `parent`, which is no child itself: within the parent's limit, with its guard, and
 * freed with it. arena_reset() takes back all that was handed out of it. */
Arena *arena_scratch(Arena *parent);
void arena_reset(Arena *scratch);
void *arena_alloc(Arena *a, size_t count, size_t size); /* zeroed, 16-byte aligned, never NULL */
void *arena_grow(Arena *a, void *old, size_t old_count, size_t new_count, size_t size);
char *arena_copy(Arena *a, const char *s);
char *arena_printf(Arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
#define NEW(arena, T) ((T *)arena_alloc(arena, 1, sizeof(T)))
#define NEWS(arena, T, n) ((T *)arena_alloc(arena, (size_t)(n), sizeof(T)))

/* Growable array in an arena: `Vec(Node *) nodes;  vec_push(arena, nodes, n);  nodes.at[i],
 * nodes.n` */
#define Vec(T)                                                                                     \
	struct {                                                                                       \
		T *at;                                                                                     \
		int n, room;                                                                               \
	}
#define vec_push(arena, v, x)                                                                      \
	do {                                                                                           \
		if ((v).n == (v).room) {                                                                   \
			int more_ = (v).room ? 2 * (v).room : 8;                                               \
			(v).at = arena_grow(arena, (v).at, (size_t)(v).n, (size_t)more_, sizeof *(v).at);      \
			(v).room = more_;                                                                      \
		}                                                                                          \
		(v).at[(v).n++] = (x);                                                                     \
	} while (0)

/* text.c: a growable string in an arena. `data` is always terminated and never NULL after
 * text_init. */
typedef struct {
	Arena *arena;
	char *data;
	size_t len, room;
} Text;
void text_init(Text *t, Arena *a);
void text_reserve(Text *t, size_t n); /* room for n more bytes and the terminator */
void text_add(Text *t, const char *s);
void text_addn(Text *t, const char *s, size_t n);
void text_printf(Text *t, const char *format, ...) PRINTF_LIKE(2, 3);
void text_vprintf(Text *t, const char *format, va_list args);
void text_number(
    Text *t, double x, bool is_double); /* a C literal that reads back to the same bits */

/* A word of C, C++ or their usual dialects that cannot be a name. */
bool is_keyword(const char *s);

const char *grouped(Arena *a, int64_t n); /* 1,234,567 */

/* Arithmetic that refuses to wrap: false when the result does not fit. */
bool mul_fits(int64_t a, int64_t b, int64_t *product);
bool add_fits(int64_t a, int64_t b, int64_t *sum);

uint64_t hash_bytes(const void *data, size_t n, uint64_t seed); /* the same on every machine */
uint64_t hash_str(const char *s);
/* Several times as fast and another one on other machines: for tables, in which nobody sees it. */
uint64_t hash_here(const void *data, size_t n);

/* map.c: pointers by keys, which are bytes and are copied. Values are never NULL. */
typedef struct {
	Arena *arena;
	size_t n, room;
	struct MapItem *item;
} Map;
void map_init(Map *m, Arena *a);
void *map_get(const Map *m, const void *key, size_t size);       /* NULL: absent */
void map_put(Map *m, const void *key, size_t size, void *value); /* in the place of a former one */

/* file.c: both return NULL on success, else a message in the arena that names the file. */
const char *file_read(Arena *a, const char *path, size_t limit, char **data, size_t *size);
/* Writes beside the target and renames, so that no half-written file is ever seen. With if_changed
 * an equal file is left alone, time stamp and all. */
const char *file_write(Arena *a, const char *path, const char *data, size_t size, bool if_changed);
/* Several at once: all are written beside their targets before the first is renamed, in this order.
 */
typedef struct {
	const char *path, *data;
	size_t size;
} FileText;
const char *file_write_all(Arena *a, const FileText *file, int n, bool if_changed);

#endif
