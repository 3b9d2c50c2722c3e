/* Hostile weight and data files: good ones of every format, damaged at random, for as many seconds
 * as asked. A reader may accept or refuse, but what it accepts must be readable to the last
 * element, and a refusal must say why. Built with sanitizers, this finds reads out of place, leaks
 * and overflows.
 *
 *   fuzz_formats SECONDS [SEED]     prints the round to repeat when something is wrong */
#define _POSIX_C_SOURCE 200809L
#include "../../runtime/formats/idx.h"
#include "../../runtime/formats/npy.h"
#include "../../runtime/formats/safetensors.h"

#include <stdlib.h>
#include <time.h>
#include <zlib.h>

enum { ROOM = 4096, DAMAGES = 6 };

typedef struct {
	unsigned char data[ROOM];
	size_t size;
} File;

typedef struct {
	uint64_t random;
	size_t accepted, refused;
} Fuzz;

static uint64_t draw(Fuzz *z, uint64_t below)
{
	z->random = z->random * 6364136223846793005u + 1442695040888963407u;
	return (z->random >> 33) % below;
}

/* --- good files --------------------------------------------------------------------------- */

static void make_safetensors(File *f)
{
	static const char header[] =
	    "{\"__metadata__\":{\"format\":\"pt\"},\"a.weight\":{\"dtype\":\"F16\",\"shape\":[2,3],"
	    "\"data_offsets\":[0,12]},\"a.bias\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[12,"
	    "28]},"
	    "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[28,36]}}";
	size_t n = sizeof header - 1;
	format_put(f->data, 8, n);
	memcpy(f->data + 8, header, n);
	for (size_t i = 0; i < 36; i++) f->data[8 + n + i] = (unsigned char)(i * 37);
	f->size = 8 + n + 36;
}

static void make_npy(File *f)
{
	static const char dict[] = "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 5), }     \n";
	size_t n = sizeof dict - 1;
	memcpy(f->data, "\x93NUMPY\1\0", 8);
	format_put(f->data + 8, 2, n);
	memcpy(f->data + 10, dict, n);
	memset(f->data + 10 + n, 7, 40);
	f->size = 10 + n + 40;
}

static void make_idx(File *f)
{
	static const unsigned char head[] = {0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 8, 0, 0, 0, 8};
	memcpy(f->data, head, sizeof head);
	for (size_t i = 0; i < 192; i++) f->data[sizeof head + i] = (unsigned char)(i * i);
	f->size = sizeof head + 192;
}

static void make_packed_idx(File *f)
{
	File plain;
	make_idx(&plain);
	z_stream z = {0};
	if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) abort();
	z.next_in = plain.data;
	z.avail_in = (uInt)plain.size;
	z.next_out = f->data;
	z.avail_out = ROOM;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END) abort();
	f->size = z.total_out;
	deflateEnd(&z);
}

/* --- readers: true when accepted; every element is touched --------------------------------- */

/* Keeps a sum of what was read from being optimised away. */
static volatile double sink;

static bool try_safetensors(const unsigned char *data, size_t size, FormatError *e)
{
	Safetensors s;
	if (!safetensors_parse(data, size, "file", &s, e)) return false;
	for (size_t i = 0; i < s.tensors; i++) {
		const SafetensorsTensor *t = &s.tensor[i];
		if (safetensors_find(&s, t->name) != t) abort();
		double *x = malloc((t->count + 1) * sizeof *x);
		float *y = malloc((t->count + 1) * sizeof *y);
		if (!x || !y) abort();
		bool whole = safetensors_doubles(t, x, e);
		if (safetensors_floats(t, y, e) && !whole) abort();
		free(x);
		free(y);
	}
	const SafetensorsExpected expected = {"a.weight", 2, {2, 3}};
	sink = safetensors_check(&s, "file", &expected, 1, ".bias", e);
	safetensors_free(&s);
	return true;
}

static bool try_npy(const unsigned char *data, size_t size, FormatError *e)
{
	static const size_t bytes[NPY_TYPES] = {4, 8, 4, 8, 1};
	Npy a;
	if (!npy_parse(data, size, "file", &a, e)) return false;
	const unsigned char *p = a.data;
	for (size_t i = 0; i < a.count * bytes[a.type]; i++) sink += p[i];
	npy_free(&a);
	return true;
}

static bool try_idx(const unsigned char *data, size_t size, FormatError *e)
{
	Idx a;
	if (!idx_parse(data, size, "file", &a, e)) return false;
	for (size_t i = 0; i < a.count; i++) sink += a.data[i];
	idx_free(&a);
	return true;
}

static const struct {
	const char *name;
	void (*make)(File *f);
	bool (*try)(const unsigned char *data, size_t size, FormatError *e);
} format[] = {
    {"safetensors", make_safetensors, try_safetensors},
    {"npy", make_npy, try_npy},
    {"idx", make_idx, try_idx},
    {"idx.gz", make_packed_idx, try_idx},
};
enum { FORMATS = sizeof format / sizeof *format };

/* --- damage ------------------------------------------------------------------------------- */

/* Flips, overwrites, cuts, doubles or moves a piece. */
static void damage(Fuzz *z, File *f)
{
	static const char spice[] = "{}[](),:'\"\\0129-.eE \xff\x80\n";
	if (!f->size) return;
	size_t at = draw(z, f->size), to = draw(z, f->size), n = 1 + draw(z, 16);
	if (n > f->size - at) n = f->size - at;
	switch (draw(z, 6)) {
	case 0: f->data[at] ^= (unsigned char)(1u << draw(z, 8)); break;
	case 1: f->data[at] = (unsigned char)draw(z, 256); break;
	case 2: f->data[at] = (unsigned char)spice[draw(z, sizeof spice - 1)]; break;
	case 3: f->size = at; break;
	case 4:
		if (f->size + n > ROOM) break;
		memmove(f->data + at + n, f->data + at, f->size - at);
		f->size += n;
		break;
	default:
		if (n > f->size - to) n = f->size - to;
		memmove(f->data + to, f->data + at, n);
	}
}

static void play(Fuzz *z, uint64_t round, bool harmed)
{
	size_t kind = round % FORMATS;
	File f = {.size = 0};
	format[kind].make(&f);
	for (uint64_t k = harmed ? 1 + draw(z, DAMAGES) : 0; k; k--) damage(z, &f);
	unsigned char *exact = malloc(f.size ? f.size : 1); /* a sanitizer sees a byte too far */
	if (!exact) abort();
	memcpy(exact, f.data, f.size);
	FormatError e = {""};
	bool ok = format[kind].try(exact, f.size, &e);
	free(exact);
	if ((!ok && !*e.text) || (!ok && !harmed)) {
		fprintf(stderr, "%s, round %llu: refused: '%s'\n", format[kind].name,
		    (unsigned long long)round, e.text);
		abort();
	}
	z->accepted += ok;
	z->refused += !ok;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 10;
	Fuzz z = {.random = argc > 2 ? strtoull(argv[2], NULL, 10) : 1};
	for (uint64_t k = 0; k < FORMATS; k++) play(&z, k, false);
	uint64_t round = 0;
	for (time_t end = time(NULL) + (time_t)seconds; time(NULL) < end;)
		for (int k = 0; k < 1000; k++) play(&z, round++, true);
	printf("fuzz_formats: %llu files, %zu accepted, %zu refused\n", (unsigned long long)round,
	    z.accepted, z.refused);
	return z.accepted && z.refused ? 0 : 1;
}
