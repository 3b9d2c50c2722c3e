/* options: what the command line or the embedding API asks for. Plain data, filled by main, checked by
 * the driver. */
#ifndef CNNC_OPTIONS_H
#define CNNC_OPTIONS_H

#include "base.h"

enum { BATCH_LIMIT = 8 };

typedef struct Options {
	const char *file;            /* NET.lua */
	const char *output;          /* NULL: the file's name with .c, here */
	const char *prefix;          /* NULL: from the file's name */
	Vec(const char *) define;    /* "name=value", from -D */
	Vec(const char *) freeze;    /* patterns over state names, from --freeze: 'layer1.*' */
	int infer_batches, train_batches;
	int64_t infer_batch[BATCH_LIMIT], train_batch[BATCH_LIMIT]; /* none given: 1 */
	bool inference_only;         /* no eval, gradients, update, step */
	bool is_double;              /* --real=double */
	const char *target;          /* auto (all of x86, else the plain one), or a name of target_table */
	const char *dump;            /* stage, or NULL */
	const char *decisions;       /* file of decisions to follow, or NULL */
	bool summary, summary_json;
	bool depfile, depfile_phony; /* -MD, -MP */
	const char *depfile_name;    /* -MF */
	const char *depfile_target;  /* -MT */
	bool if_changed;
} Options;

#endif
