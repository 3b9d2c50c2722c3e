/* text: a growable string, numbers as C literals, checked arithmetic and hashes. The same input
 * gives the same bytes on every machine and in every locale. */
#include "base.h"

#include <math.h>
#include <stdlib.h>

void text_init(Text *t, Arena *a)
{
	*t = (Text){.arena = a, .room = 64};
	t->data = arena_alloc(a, t->room, 1);
}

void text_reserve(Text *t, size_t n)
{
	size_t room = t->room;
	while (room - t->len <= n) {
		if (room > SIZE_MAX / 2) bug("a text of more than %zu bytes", room);
		room *= 2;
	}
	if (room == t->room) return;
	t->data = arena_grow(t->arena, t->data, t->len + 1, room, 1);
	t->room = room;
}

void text_addn(Text *t, const char *s, size_t n)
{
	text_reserve(t, n);
	memcpy(t->data + t->len, s, n);
	t->len += n;
	t->data[t->len] = '\0';
}

void text_add(Text *t, const char *s) { text_addn(t, s, strlen(s)); }

static void add_integer(Text *t, long long x)
{
	char digits[24], *end = digits + sizeof digits, *first = end;
	unsigned long long rest = x < 0 ? 0 - (unsigned long long)x : (unsigned long long)x;
	do {
		*--first = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (x < 0) *--first = '-';
	text_addn(t, first, (size_t)(end - first));
}

/* Formats of %s, %d, %lld and %c alone, which nearly all are; C's printf takes several times as
 * long. false: there is something else in it. */
static bool print_plain(Text *t, const char *format, va_list args)
{
	size_t len = t->len;
	for (const char *s = format;;) {
		size_t n = 0;
		while (s[n] && s[n] != '%') n++;
		text_addn(t, s, n);
		s += n;
		if (!*s++) return true;
		if (*s == 's') {
			text_add(t, va_arg(args, const char *));
		} else if (*s == 'd') {
			add_integer(t, va_arg(args, int));
		} else if (*s == 'c') {
			char c = (char)va_arg(args, int);
			text_addn(t, &c, 1);
		} else if (!strncmp(s, "lld", 3)) {
			add_integer(t, va_arg(args, long long));
			s += 2;
		} else {
			t->data[t->len = len] = '\0';
			return false;
		}
		s++;
	}
}

void text_vprintf(Text *t, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	bool done = print_plain(t, format, again);
	va_end(again);
	if (done) return;
	va_copy(again, args);
	int n = vsnprintf(t->data + t->len, t->room - t->len, format, args);
	if (n < 0) bug("vsnprintf cannot print '%s'", format);
	/* Most texts fit into what is there. */
	if ((size_t)n >= t->room - t->len) {
		text_reserve(t, (size_t)n);
		vsnprintf(t->data + t->len, t->room - t->len, format, again);
	}
	va_end(again);
	t->len += (size_t)n;
}

void text_printf(Text *t, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	text_vprintf(t, format, args);
	va_end(args);
}

/* The fewest digits that read back to x, in a buffer of at least 40 bytes. */
static void shortest(char *s, size_t size, double x, bool is_double)
{
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(s, size, "%.*g", digits, x);
		if (is_double ? strtod(s, NULL) == x : strtof(s, NULL) == (float)x) return;
	}
}

void text_number(Text *t, double x, bool is_double)
{
	if (!is_double) x = (double)(float)x;
	if (isnan(x)) {
		text_add(t, is_double ? "((double)NAN)" : "NAN");
		return;
	}
	if (isinf(x)) {
		const char *infinity = is_double ? "HUGE_VAL" : "INFINITY";
		text_printf(t, x < 0 ? "(-%s)" : "%s", infinity);
		return;
	}
	char s[48];
	shortest(s, sizeof s, x, is_double);
	bool whole = true;
	for (char *c = s; *c; c++) {
		/* Whatever the locale's decimal point is, C's is a point. */
		if (!strchr("0123456789+-e", *c)) *c = '.';
		if (*c == '.' || *c == 'e') whole = false;
	}
	text_printf(t, "%s%s%s", s, whole ? ".0" : "", is_double ? "" : "f");
}

bool mul_fits(int64_t a, int64_t b, int64_t *product)
{
	if (a > 0 ? (b > INT64_MAX / a || b < INT64_MIN / a)
	          : (a < -1 ? (b > INT64_MIN / a || b < INT64_MAX / a) : (a == -1 && b == INT64_MIN)))
		return false;
	*product = a * b;
	return true;
}

bool add_fits(int64_t a, int64_t b, int64_t *sum)
{
	if (b > 0 ? a > INT64_MAX - b : a < INT64_MIN - b) return false;
	*sum = a + b;
	return true;
}

/* FNV-1a over the bytes, then splitmix64's finisher, so that all 64 bits depend on all bytes. */
uint64_t hash_bytes(const void *data, size_t n, uint64_t seed)
{
	const unsigned char *byte = data;
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed;
	for (size_t i = 0; i < n; i++) h = (h ^ byte[i]) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
	return h ^ (h >> 31);
}

uint64_t hash_here(const void *data, size_t n)
{
	const char *byte = data;
	uint64_t h = n, word;
	for (; n >= sizeof word; n -= sizeof word, byte += sizeof word) {
		memcpy(&word, byte, sizeof word);
		h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return hash_bytes(byte, n, h);
}

uint64_t hash_str(const char *s) { return hash_bytes(s, strlen(s), 0); }

bool is_keyword(const char *s)
{
	static const char words[] =
	    " alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t "
	    "char32_t char8_t class co_await co_return co_yield compl concept const const_cast "
	    "consteval "
	    "constexpr constinit continue decltype default delete do double dynamic_cast else enum "
	    "explicit export extern false final float for friend goto if import inline int long module "
	    "mutable namespace new noexcept not not_eq nullptr operator or or_eq override private "
	    "protected public register reinterpret_cast requires restrict return short signed sizeof "
	    "static static_assert static_cast struct switch template this thread_local throw true try "
	    "typedef typeid typename typeof typeof_unqual union unsigned using virtual void volatile "
	    "wchar_t while xor xor_eq ";
	size_t n = strlen(s);
	for (const char *at = words; n && (at = strstr(at, s)); at++)
		if (at[-1] == ' ' && at[n] == ' ') return true;
	return false;
}

const char *grouped(Arena *a, int64_t n)
{
	if (n < 1000) return arena_printf(a, "%lld", (long long)n);
	return arena_printf(a, "%s,%03d", grouped(a, n / 1000), (int)(n % 1000));
}
