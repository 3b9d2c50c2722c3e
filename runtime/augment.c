/* augment: see augment.h. */
#include "augment.h"

#include "random.h"

static int64_t draw_shift(uint64_t *state, uint64_t pad)
{
	return (int64_t)random_below(state, 2 * pad + 1) - (int64_t)pad;
}

/* Numbers are drawn whether they are asked for or not, so that flips do not change with the pad. */
Move augment_draw(const Augment *a, uint64_t seed, uint64_t epoch, uint64_t image)
{
	uint64_t state = random_mix(~random_epoch(seed, epoch)) ^ random_mix(image + 1);
	Move m;
	m.mirror = random_next(&state) >> 63 && a->flip;
	m.down = draw_shift(&state, a->pad);
	m.right = draw_shift(&state, a->pad);
	return m;
}

void augment_plane(const Move *m, size_t side, float black, const float *from, float *to)
{
	int64_t n = (int64_t)side;
	for (int64_t row = 0; row < n; row++) {
		int64_t y = row + m->down;
		for (int64_t column = 0; column < n; column++) {
			int64_t x = (m->mirror ? n - 1 - column : column) + m->right;
			bool inside = y >= 0 && y < n && x >= 0 && x < n;
			*to++ = inside ? from[y * n + x] : black;
		}
	}
}
