/* peak: what a profile and the benchmarks measure against: how fast this machine adds and
 * multiplies when nothing is in the way, and how fast memory comes. */
#ifndef CNNC_PEAK_H
#define CNNC_PEAK_H

#include "../base.h"
#include "../targets/target.h"

/* The C text of `double peak(long rounds)`: multiply-adds that do not wait for each other, with the
 * target's vectors, which emit_prelude() must have named before. Returns how many operations it
 * did. */
void peak_text(const Target *t, bool is_double, Text *out);
/* Of `double stream(long rounds)`: a += s b, over arrays that no cache holds, once filled by
 * stream(0). Returns the bytes that it read and wrote: of a twice, of b once. Nothing is written
 * that was not read before, which would fetch it unseen. */
void stream_text(const Target *t, bool is_double, Text *out);
typedef double (*Peak)(long rounds);
double peak_rate(Peak peak, long rounds); /* operations, or bytes, a second */

#endif
