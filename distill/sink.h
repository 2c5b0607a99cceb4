/* What a run of generate-traces has made, on its way into the corpus: traces share commits, are
 * judged as they arrive, and count as made once their transaction is on disk.
 *
 *     struct sink s = {.corpus = c, .sum = &summary};
 *     rc = sink_trace(&s, &trace, &id, &v, &added, e);
 *     rc = sink_tick(&s, e);          // now and then: keeps the promise of SINK_SECONDS
 *     rc = sink_commit(&s, e);        // at the end, and before anything is waited for
 */
#ifndef DECANT_DISTILL_SINK_H
#define DECANT_DISTILL_SINK_H

#include "dataset/corpus.h"
#include "distill/generate.h"

/* A commit takes a flush to disk: several traces share one, for at most this long. */
enum { SINK_TRACES = 1024 };
#define SINK_SECONDS 0.5

struct sink {
    struct corpus *corpus;
    struct generate_summary *sum;
    bool in_transaction;
    struct generate_summary uncommitted; /* what will be added to sum once it is on disk */
    double t_commit;                     /* when the open transaction is to be committed */
    double grace_seconds; /* after Ctrl-C another process that writes is waited for so long */
    double t_give_up;     /* then; 0: Ctrl-C has not come */
};
/* Nothing is marked against it, and its answer is right. */
bool sink_is_good(const struct verdicts *v);
/* Stores a trace with its verdicts, to be counted in sum. *added false: another process was
 * quicker.
 */
err_code sink_trace(struct sink *s, const struct corpus_trace *t, int64_t *id, struct verdicts *v,
                    bool *added, struct err *e);
/* Opens the transaction that the next additions share; waits for another process that writes, until
 * Ctrl-C and its grace. */
err_code sink_begin(struct sink *s, struct err *e);
err_code sink_tick(struct sink *s, struct err *e);
err_code sink_commit(struct sink *s, struct err *e);

#endif
