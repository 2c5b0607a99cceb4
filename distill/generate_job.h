/* What both kinds of teachers share in a run of generate-traces: the prompts, the corpus, what is
 * missing in it.
 *
 *     struct generate_job j = {.o = o, .sum = sum};
 *     rc = job_check_prompts(o, e);              // before anything is made or opened
 *     ... j.request: the canonical request, by request_local or request_http ...
 *     rc = job_open(&j, e);
 *     ... missing_next(j.missing), sink_trace(&j.sink), missing_done(j.missing) ...
 *     job_close(&j);                             // counts what is still missing
 */
#ifndef DECANT_DISTILL_GENERATE_JOB_H
#define DECANT_DISTILL_GENERATE_JOB_H

#include "dataset/missing.h"
#include "distill/generate_request.h"
#include "distill/sink.h"

struct generate_job {
    const struct generate_options *o;
    struct generate_summary *sum;
    struct buf request;
    struct corpus *corpus;
    int64_t request_id;
    struct missing *missing;
    struct missing_counts counts; /* when it was opened */
    struct sink sink;
};
/* Reads the prompts once when the corpus is not there yet, so that a bad file leaves no corpus. */
err_code job_check_prompts(const struct generate_options *o, struct err *e);
err_code job_open(struct generate_job *j, struct err *e);
void job_close(struct generate_job *j);

err_code generate_local(const struct generate_options *o, struct generate_summary *sum,
                        struct err *e);
err_code generate_http(const struct generate_options *o, struct generate_summary *sum,
                       struct err *e);

#endif
