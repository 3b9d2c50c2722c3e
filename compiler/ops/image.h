/* image: what convolution, pooling and their kind work on: images, batch x channels x height x
 * width, and lines, batch x channels x width, which are images of height 1 without saying so. Nests
 * are written for both at once: a line has dims of extent 1 where an image has rows. */
#ifndef CNNC_OPS_IMAGE_H
#define CNNC_OPS_IMAGE_H

#include "../op.h"

/* Height and width; the height of a line is 1. Of weights, the kernel's. */
typedef struct {
	int64_t side[2];
} Plane;

static inline bool is_line(const Value *v) { return v->shape.rank == 3; }
static inline Plane plane_of(const Value *v)
{
	const int64_t *dim = v->shape.dim;
	return is_line(v) ? (Plane){{1, dim[2]}} : (Plane){{dim[2], dim[3]}};
}
/* [a, b, height, width], without the height where v is a line. */
static inline Shape image_shape(const Value *v, int64_t a, int64_t b, const int64_t *plane)
{
	return is_line(v) ? shape_of(3, a, b, plane[1]) : shape_of(4, a, b, plane[0], plane[1]);
}
/* Attributes that tell what a row of features was: `channels` and `size`, and that it was a line.
 */
#define ATTR_LINE                                                                                  \
	{                                                                                              \
		.name = "line", .type = ATTR_BOOL,                                                         \
		.doc = "it is a line, batch x channels x width, and size is its width"                     \
	}
void attr_set_image(const OpDesc *op, AttrValue *attr, const Value *v);
/* The shape that they tell, of that batch; an error where a line has two sizes. */
bool image_of_attrs(Graph *g, Node *n, int64_t batch, Shape *shape);
/* Operand i is an image or a line, and the numbers that its operator has for height and width are
 * one and the same where it is a line. Else reports, as something that `what` expects; false. */
bool image_check(Graph *g, Node *n, int i, const char *what);
/* Sets an attribute of two sides to the size of v; of a line, both to its width. */
void attr_set_plane(const OpDesc *op, AttrValue *attr, const char *name, const Value *v);
/* lower_load and lower_store at [a, b, h, w] of an image or of a line. */
int image_load(
    Lower *l, Nest *nest, const char *as, const Value *v, Index a, Index b, Index h, Index w);
void image_store(Lower *l, Nest *nest, const char *as, const Value *v, Affine a, Affine b, Affine h,
    Affine w, Expr *e);

/* For accesses: the dim's own index. */
static inline Index index_var(int dim) { return index_of(affine_var(dim)); }

#endif
