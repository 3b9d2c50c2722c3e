/* internal: what the files of the nest core share among themselves and nobody else needs. */
#ifndef CNNC_NEST_INTERNAL_H
#define CNNC_NEST_INTERNAL_H

#include "nest.h"

/* affine.c */
/* to += k*from; false, with `to` unchanged, when it needs more than AFFINE_TERMS terms. */
bool affine_accumulate(Affine *to, const Affine *from, int64_t k);
/* As affine_subst, but false when the result has too many terms. */
bool affine_try_subst(const Affine *a, const Affine *of_var, Affine *out);
bool affine_same_terms(const Affine *a, const Affine *b); /* equal but for the constant */

/* expr.c */
enum { FUSED_EXPR = 256 }; /* nodes; who walks a tree comes to what is shared at each use of it */
uint32_t expr_loads(const Expr *e);      /* bit l: load l is read; seeds of E_HASH count */
int expr_size(const Expr *e, int limit); /* nodes of the tree; stops above limit */
bool expr_is_truth(const Expr *e);
/* Prints loads by their names and indices, as `nest` (NULL: by number) has them. */
void expr_print_in(const Expr *e, const Nest *nest, const char *const *name_of_dim, Text *out);

/* nest.c, nest_print.c */
bool index_same(const Index *a, const Index *b);
bool access_same(const Access *a, const Access *b);
void access_print(const Access *x, const char *const *name_of_dim, Text *out);
void nest_extents(const Nest *n, int64_t *extent);
uint32_t nest_store_loads(const Nest *n);

/* tree_legal.c: whether tiles and leaves can be printed; NULL, or why the schedule does not fit. */
const char *legal_schedule(Arena *a, const Nest *n, const Schedule *s);
int schedule_close(const Nest *n, const Schedule *s); /* the line at which the tile closes */
const char *legal_tile(Arena *a, const Scheduled *s, const Tree *tile);
const char *legal_leaf(Arena *a, const Scheduled *s, const Tree *tile, const Tree *leaf);

/* check_stores.c: rules about memory that builder and check state alike; NULL, or which is broken.
 */
const char *stores_allow_chunks(const Nest *n);
const char *stores_allow_pad(const Nest *n, const int64_t *extent);
const char *accs_allow_private(const Nest *n);
/* Some undecided guard depends on a lane in a live instance of the leaf. */
bool guard_on_lane(const Scheduled *s, const Tree *tile, const Tree *leaf);
/* No guard is false in this instance. */
bool guards_may_hold(const Nest *n, const Affine *sub, const int64_t *count_of_var);
/* Tile and leaf regs together, as instances of the leaf; returns how many regs. */
int leaf_regs(const Tree *tile, const Tree *leaf, Reg *reg /* [2 * TILE_REGS] */);

/* sets.c: the values a dim takes along one path, base + sum k*v: in normal form, base the least
 * value, digits sorted by k > 0, adjacent digits merged where they make one progression. */
typedef struct {
	int64_t k, n;
} Digit;

typedef struct {
	int64_t base, last, count;
	int n;
	const Digit *digit;
} Set;

/* false when some value is taken twice. The digits lie in `room`. */
bool set_of(
    const Affine *a, const int64_t *count_of_var, Digit *room /* [AFFINE_TERMS] */, Set *out);
bool set_same(const Set *a, const Set *b);
bool sets_meet(const Set *a, const Set *b); /* exact, but true for sets too large to be sure of */
/* Whether no space point is reached under both substitutions. */
bool space_apart(const Scheduled *s, const Affine *x, const Affine *y);

/* tree.c: every way from the root to a leaf, in the order in which the tree runs. */
typedef struct {
	int var, dim;
	int64_t count;
} PathVar;

typedef struct {
	const Tree *tile, *leaf; /* tile NULL: a leaf outside of any tile */
	int tiles;               /* on the way */
	int nvar;                /* loops, the tile's regs, loops, copies: outer to inner */
	PathVar var[SCHEDULE_LINES];
} Path;

/* Calls visit until it returns a text, which is returned. A way longer than a schedule has lines is
 * told as such. */
const char *paths_visit(
    const Scheduled *s, const char *(*visit)(void *self, const Path *p), void *self);

#endif
