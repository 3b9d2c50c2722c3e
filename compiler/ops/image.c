/* image: see image.h. */
#include "image.h"

/* Whether both sides have the same numbers. */
static bool is_square(const Attr *a, const AttrValue *v)
{
	const Pads *p = &v->pads;
	if (a->type == ATTR_PAIR) return v->pair[0] == v->pair[1];
	return a->type != ATTR_PADS || (p->before[0] == p->before[1] && p->after[0] == p->after[1]);
}

bool image_check(Graph *g, Node *n, int i, const char *what)
{
	const Value *v = n->in[i];
	if (v->shape.rank != 4 && v->shape.rank != 3)
		return infer_error(g, n,
		    "input is %s, %s expects batch x channels x height x width, or of lines "
		    "batch x channels x width",
		    shape_text(g->arena, v->shape), what);
	for (int k = 0; is_line(v) && n->op->attr && n->op->attr[k].name; k++)
		if (!is_square(&n->op->attr[k], &n->attr[k]))
			return infer_error(g, n, "input is %s, a line: %s is one number%s, there is no height",
			    shape_text(g->arena, v->shape), n->op->attr[k].name,
			    n->op->attr[k].type == ATTR_PADS ? " or {{before, after}}" : "");
	return true;
}

void attr_set_plane(const OpDesc *op, AttrValue *attr, const char *name, const Value *v)
{
	Plane p = plane_of(v);
	attr_set_pair(op, attr, name, p.side[is_line(v) ? 1 : 0], p.side[1]);
}

void attr_set_image(const OpDesc *op, AttrValue *attr, const Value *v)
{
	attr_set_int(op, attr, "channels", v->shape.dim[1]);
	attr_set_plane(op, attr, "size", v);
	attr_set_bool(op, attr, "line", is_line(v));
}

bool image_of_attrs(Graph *g, Node *n, int64_t batch, Shape *shape)
{
	const int64_t *size = attr_pair(n, "size"), channels = attr_int(n, "channels");
	*shape = shape_of(4, batch, channels, size[0], size[1]);
	if (!attr_bool(n, "line")) return true;
	*shape = shape_of(3, batch, channels, size[1]);
	if (size[0] == size[1]) return true;
	return infer_error(
	    g, n, "size is %lldx%lld, a line has one", (long long)size[0], (long long)size[1]);
}

int image_load(
    Lower *l, Nest *nest, const char *as, const Value *v, Index a, Index b, Index h, Index w)
{
	Index image[] = {a, b, h, w}, line[] = {a, b, w};
	return lower_load(l, nest, as, v, is_line(v) ? line : image);
}

void image_store(Lower *l, Nest *nest, const char *as, const Value *v, Affine a, Affine b, Affine h,
    Affine w, Expr *e)
{
	Affine image[] = {a, b, h, w}, line[] = {a, b, w};
	lower_store(l, nest, as, v, is_line(v) ? line : image, e);
}
