/* map: from keys, which are bytes, to pointers. Open addressing; nothing is ever taken out, and
 * nobody walks over it, so that the order of what is written never depends on a hash. */
#include "base.h"

struct MapItem {
	uint64_t hash;
	const void *key;
	size_t size;
	void *value; /* NULL: free */
};

void map_init(Map *m, Arena *a) { *m = (Map){.arena = a}; }

/* The item of this key, or the free one where it belongs. */
static struct MapItem *item_of(const Map *m, uint64_t hash, const void *key, size_t size)
{
	size_t mask = m->room - 1;
	for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
		struct MapItem *x = &m->item[i];
		if (!x->value) return x;
		if (x->hash == hash && x->size == size && !memcmp(x->key, key, size)) return x;
	}
}

void *map_get(const Map *m, const void *key, size_t size)
{
	return m->n ? item_of(m, hash_here(key, size), key, size)->value : NULL;
}

/* At most half full, so that a free item is near. */
static void make_room(Map *m)
{
	struct MapItem *old = m->item;
	size_t room = m->room;
	if (2 * (m->n + 1) <= room) return;
	m->room = room ? 2 * room : 16;
	m->item = NEWS(m->arena, struct MapItem, m->room);
	for (size_t i = 0; i < room; i++)
		if (old[i].value) *item_of(m, old[i].hash, old[i].key, old[i].size) = old[i];
}

void map_put(Map *m, const void *key, size_t size, void *value)
{
	if (!value) bug("a map holds no NULL");
	make_room(m);
	uint64_t hash = hash_here(key, size);
	struct MapItem *x = item_of(m, hash, key, size);
	if (!x->value) {
		void *copy = arena_alloc(m->arena, size, 1);
		memcpy(copy, key, size);
		*x = (struct MapItem){hash, copy, size, NULL};
		m->n++;
	}
	x->value = value;
}
