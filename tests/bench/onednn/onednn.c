/* onednn: single layers by oneDNN, as a peer of tests/bench/layers.py; built by it, with whatever
 * oneDNN 3 it finds.
 *
 *   onednn
 *
 * Opens "PASS BATCH LAYER", the layer as in common/layer.h. Operands have the layouts that oneDNN
 * asks for (`any`), and are brought into them before anything is timed, as inside of a network.
 * Convolutions are direct. Dense layers are timed as an inner product and as a 1x1 convolution, and
 * the faster of the two is kept. Works for every run time of the library, SYCL's as well: memory is
 * reached by mapping it. */
#define _POSIX_C_SOURCE 200809L
#include "../../../compiler/here.h"
#include "../common/answer.h"
#include "../common/layer.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>

enum { X, W, Y, OPERANDS }; /* the layer's input, weights and result, or their gradients */
enum { DIMS = 5 };

static const int argument[PASSES][OPERANDS] = {
    {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
    {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
    {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST},
};

typedef struct {
	dnnl_primitive_t primitive;
	dnnl_memory_t memory[OPERANDS];
	dnnl_exec_arg_t arg[OPERANDS];
} Call;

typedef struct {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	Layer layer;
	int pass;
	int64_t batch;
	int result; /* which operand it makes */
	Call call;
} Peer;

static void must(dnnl_status_t status, const char *what)
{
	if (status == dnnl_success) return;
	fprintf(stderr, "onednn: %s: status %d\n", what, (int)status);
	exit(1);
}
#define MUST(call) must(call, #call)

/* --- shapes ------------------------------------------------------------------------------- */

static int shape_of(const Peer *p, int operand, bool dense, dnnl_dims_t to)
{
	const Layer *y = &p->layer;
	int64_t g = y->groups;
	int64_t shape[OPERANDS][DIMS] = {{p->batch, y->ic, y->in[0], y->in[1]},
	    {y->oc, y->ic, y->kernel[0], y->kernel[1]},
	    {p->batch, y->oc, layer_out(y, 0), layer_out(y, 1)}};
	int rank = dense ? 2 : 4;
	if (operand == W && g > 1) {
		int64_t grouped[DIMS] = {g, y->oc / g, y->ic / g, y->kernel[0], y->kernel[1]};
		memcpy(shape[W], grouped, sizeof grouped);
		rank = DIMS;
	}
	for (int d = 0; d < rank; d++) to[d] = shape[operand][d];
	return rank;
}

/* Its elements one after the other, or in whatever layout is best. */
static dnnl_memory_desc_t describe(const Peer *p, int operand, bool dense, bool any)
{
	static const dnnl_format_tag_t plain[] = {[2] = dnnl_ab, [4] = dnnl_abcd, [5] = dnnl_abcde};
	dnnl_memory_desc_t md;
	dnnl_dims_t dims;
	int rank = shape_of(p, operand, dense, dims);
	MUST(dnnl_memory_desc_create_with_tag(
	    &md, rank, dims, dnnl_f32, any ? dnnl_format_tag_any : plain[rank]));
	return md;
}

/* --- primitives --------------------------------------------------------------------------- */

static dnnl_primitive_desc_t convolution(Peer *p, dnnl_memory_desc_t md[OPERANDS])
{
	const Layer *y = &p->layer;
	dnnl_dims_t stride = {y->stride, y->stride}, dilation = {0, 0}, pad = {y->pad[0], y->pad[1]};
	dnnl_primitive_desc_t forward, pd;
	const dnnl_alg_kind_t direct = dnnl_convolution_direct;
	MUST(dnnl_convolution_forward_primitive_desc_create(&forward, p->engine, dnnl_forward_training,
	    direct, md[X], md[W], NULL, md[Y], stride, dilation, pad, pad, NULL));
	if (p->pass == FORWARD) return forward;
	if (p->pass == BY_DATA)
		MUST(dnnl_convolution_backward_data_primitive_desc_create(&pd, p->engine, direct, md[X],
		    md[W], md[Y], stride, dilation, pad, pad, forward, NULL));
	else
		MUST(dnnl_convolution_backward_weights_primitive_desc_create(&pd, p->engine, direct, md[X],
		    md[W], NULL, md[Y], stride, dilation, pad, pad, forward, NULL));
	MUST(dnnl_primitive_desc_destroy(forward));
	return pd;
}

static dnnl_primitive_desc_t inner_product(Peer *p, dnnl_memory_desc_t md[OPERANDS])
{
	dnnl_primitive_desc_t forward, pd;
	MUST(dnnl_inner_product_forward_primitive_desc_create(
	    &forward, p->engine, dnnl_forward_training, md[X], md[W], NULL, md[Y], NULL));
	if (p->pass == FORWARD) return forward;
	if (p->pass == BY_DATA)
		MUST(dnnl_inner_product_backward_data_primitive_desc_create(
		    &pd, p->engine, md[X], md[W], md[Y], forward, NULL));
	else
		MUST(dnnl_inner_product_backward_weights_primitive_desc_create(
		    &pd, p->engine, md[X], md[W], NULL, md[Y], forward, NULL));
	MUST(dnnl_primitive_desc_destroy(forward));
	return pd;
}

static void execute(Peer *p, const Call *c)
{
	MUST(dnnl_primitive_execute(c->primitive, p->stream, OPERANDS, c->arg));
	MUST(dnnl_stream_wait(p->stream));
}

/* --- memory ------------------------------------------------------------------------------- */

static dnnl_memory_t allocate(Peer *p, const_dnnl_memory_desc_t md)
{
	dnnl_memory_t m;
	MUST(dnnl_memory_create(&m, md, p->engine, DNNL_MEMORY_ALLOCATE));
	return m;
}

static void copy(Peer *p, dnnl_memory_t from, dnnl_memory_t to)
{
	const_dnnl_memory_desc_t source, target;
	dnnl_primitive_desc_t pd;
	dnnl_primitive_t reorder;
	dnnl_exec_arg_t arg[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
	MUST(dnnl_memory_get_memory_desc(from, &source));
	MUST(dnnl_memory_get_memory_desc(to, &target));
	MUST(dnnl_reorder_primitive_desc_create(&pd, source, p->engine, target, p->engine, NULL));
	MUST(dnnl_primitive_create(&reorder, pd));
	MUST(dnnl_primitive_execute(reorder, p->stream, COUNT(arg), arg));
	MUST(dnnl_stream_wait(p->stream));
	MUST(dnnl_primitive_destroy(reorder));
	MUST(dnnl_primitive_desc_destroy(pd));
}

static int64_t count_of(const Peer *p, int operand)
{
	dnnl_dims_t dims;
	int rank = shape_of(p, operand, false, dims);
	int64_t n = 1;
	for (int d = 0; d < rank; d++) n *= dims[d];
	return n;
}

static void fill(Peer *p, dnnl_memory_t m, int operand, bool dense)
{
	dnnl_memory_desc_t md = describe(p, operand, dense, false);
	dnnl_memory_t plain = allocate(p, md);
	void *data;
	MUST(dnnl_memory_map_data(plain, &data));
	layer_numbers(&p->layer, operand, data, count_of(p, operand));
	MUST(dnnl_memory_unmap_data(plain, data));
	copy(p, plain, m);
	MUST(dnnl_memory_destroy(plain));
	MUST(dnnl_memory_desc_destroy(md));
}

static Call make_call(Peer *p, bool as_inner_product)
{
	static const dnnl_query_t query[PASSES][OPERANDS] = {
	    {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
	    {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
	    {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
	dnnl_memory_desc_t md[OPERANDS];
	Call c;
	for (int k = 0; k < OPERANDS; k++) md[k] = describe(p, k, as_inner_product, true);
	dnnl_primitive_desc_t pd = as_inner_product ? inner_product(p, md) : convolution(p, md);
	MUST(dnnl_primitive_create(&c.primitive, pd));
	for (int k = 0; k < OPERANDS; k++) {
		c.memory[k] = allocate(p, dnnl_primitive_desc_query_md(pd, query[p->pass][k], 0));
		c.arg[k] = (dnnl_exec_arg_t){argument[p->pass][k], c.memory[k]};
		if (k != p->result) fill(p, c.memory[k], k, as_inner_product);
		MUST(dnnl_memory_desc_destroy(md[k]));
	}
	MUST(dnnl_primitive_desc_destroy(pd));
	return c;
}

static void free_call(Call *c)
{
	if (!c->primitive) return;
	MUST(dnnl_primitive_destroy(c->primitive));
	for (int k = 0; k < OPERANDS; k++) MUST(dnnl_memory_destroy(c->memory[k]));
	c->primitive = NULL;
}

/* --- answers ------------------------------------------------------------------------------ */

/* The fastest of some calls, in seconds. */
static double quickest(Peer *p, const Call *c)
{
	enum { TRIES = 9 };
	double best = 0;
	execute(p, c);
	for (int i = 0; i < TRIES; i++) {
		double start = wall_seconds();
		execute(p, c);
		double took = wall_seconds() - start;
		best = i ? MIN(best, took) : took;
	}
	return best;
}

static const char *open_layer(void *self, const char *words)
{
	static const int made[PASSES] = {Y, X, W};
	Peer *p = self;
	free_call(&p->call);
	if (!layer_read_case(words, &p->layer, &p->pass, &p->batch)) return "not a layer";
	p->result = made[p->pass];
	p->call = make_call(p, false);
	if (layer_is_dense(&p->layer)) {
		Call other = make_call(p, true), *slow = &other;
		if (quickest(p, &other) < quickest(p, &p->call)) {
			Call swap = p->call;
			p->call = other;
			other = swap;
		}
		free_call(slow);
	}
	return "ok";
}

static void check(void *self, const char *path)
{
	Peer *p = self;
	bool dense = false;
	const_dnnl_memory_desc_t md;
	int rank;
	execute(p, &p->call);
	MUST(dnnl_memory_get_memory_desc(p->call.memory[p->result], &md));
	MUST(dnnl_memory_desc_query(md, dnnl_query_ndims_s32, &rank));
	dense = rank == 2;
	dnnl_memory_desc_t plain_md = describe(p, p->result, dense, false);
	dnnl_memory_t plain = allocate(p, plain_md);
	copy(p, p->call.memory[p->result], plain);
	void *data;
	MUST(dnnl_memory_map_data(plain, &data));
	size_t n = (size_t)count_of(p, p->result);
	FILE *f = fopen(path, "wb");
	if (!f || fwrite(data, sizeof(float), n, f) != n || fclose(f)) {
		fprintf(stderr, "onednn: %s cannot be written\n", path);
		exit(1);
	}
	MUST(dnnl_memory_unmap_data(plain, data));
	MUST(dnnl_memory_destroy(plain));
	MUST(dnnl_memory_desc_destroy(plain_md));
}

static void call(void *self) { execute(self, &((Peer *)self)->call); }

int main(void)
{
	Peer p = {.batch = 0};
	char info[64];
	const dnnl_version_t *v = dnnl_version();
	MUST(dnnl_engine_create(&p.engine, dnnl_cpu, 0));
	MUST(dnnl_stream_create(&p.stream, p.engine, dnnl_stream_default_flags));
	snprintf(info, sizeof info, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
	answer_all(&(Answers){"onednn", info, open_layer, check, call, &p});
	free_call(&p.call);
	MUST(dnnl_stream_destroy(p.stream));
	MUST(dnnl_engine_destroy(p.engine));
	return 0;
}
