/* stages: what makes of lowered nests those that are scheduled, in its order; the one list of it.
 */
#include "internal.h"

void simplify_part(Arena *a, Part *p, bool fuses)
{
	prune_part(a, p);
	if (fuses) {
		fuse_part(a, p);
		inline_part(a, p);
	}
	early_part(a, p);
}

void form_part(
    Arena *a, Part *p, const Target *const *target, int ntarget, bool is_double, bool winograd)
{
	unmask_part(a, p);
	sums_part(a, p);
	if (winograd) winograd_part(a, p);
	sums_of_images_part(a, p);
	matrix_part(a, p);
	sums_of_rows_part(a, p);
	near_part(a, p);
	layout_part(a, p, target, ntarget, is_double);
}
