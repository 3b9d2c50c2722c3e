/* foreign: names and titles as users wrote them, where C text can bear them. What would end a
 * comment, join lines, turn the reading direction or be no character at all goes in as something
 * harmless. */
#include "internal.h"

/* The bytes of the character at s; 0: none that a comment may hold. */
static size_t character(const char *s)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *u = (const unsigned char *)s;
	if (*u < 0x80) return *u >= ' ' && *u != 0x7f && *u != '\\';
	size_t n = *u < 0xc2 ? 0 : *u < 0xe0 ? 2 : *u < 0xf0 ? 3 : *u < 0xf5 ? 4 : 0;
	uint32_t code = n ? *u & (0x7fu >> n) : 0;
	for (size_t i = 1; i < n; i++) {
		if ((u[i] & 0xc0) != 0x80) return 0;
		code = code << 6 | (u[i] & 0x3f);
	}
	bool none = n && (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000));
	bool control = code >= 0x80 && code < 0xa0;
	bool turns = code == 0x61c || code == 0x200e || code == 0x200f ||
	             (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
	return none || control || turns ? 0 : n;
}

void print_comment_text(Text *out, const char *s)
{
	for (size_t n; *s; s += MAX(n, 1)) {
		n = character(s);
		bool apart = (s[0] == '*' && s[1] == '/') || (s[0] == '/' && s[1] == '*') ||
		             (s[0] == '?' && s[1] == '?'); /* ends it, begins one, a trigraph */
		text_addn(out, n ? s : " ", MAX(n, 1));
		if (apart) text_add(out, " ");
	}
}

void print_string(Text *out, const char *s)
{
	text_add(out, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < ' ' || c >= 0x7f)
			text_printf(out, "\\%03o", c);
		else
			text_printf(out, "%s%c", strchr("\"\\?", c) ? "\\" : "", c);
	}
	text_add(out, "\"");
}

/* What stands between the quotes has no escapes. */
bool is_includable(const char *name)
{
	for (size_t n; *name; name += n) {
		n = character(name);
		if (n == 0 || strchr("\"'", *name) || (name[0] == '?' && name[1] == '?')) return false;
	}
	return true;
}
