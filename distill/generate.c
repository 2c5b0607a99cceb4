#include "distill/generate_job.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "dataset/import.h"
#include "dataset/problems.h"

void generate_defaults(struct generate_options *o)
{
    *o = (struct generate_options){
        .n_samples = 1,
        .max_tokens = 32768,
        .i_shard = 1,
        .n_shards = 1,
        .sampling = {0.6f, 0.95f, 0},
        .stop_loops = true,
        .n_canary = 3,
        .n_tries = 8,
        .idle_seconds = 900,
        .total_seconds = 7200,
        .grace_seconds = 10,
        .budget_usd = -1,
    };
}

err_code generate_run(const struct generate_options *o, struct generate_summary *sum, struct err *e)
{
    *sum = (struct generate_summary){.cost_usd = -1, .corpus_usd = -1};
    struct generate_options resolved = *o;
    if (!resolved.concurrency)
        resolved.concurrency = o->n_endpoints ? 256 : 64;
    err_code rc = job_check_prompts(o, e);
    if (rc)
        return rc;
    return o->n_endpoints ? generate_http(&resolved, sum, e) : generate_local(&resolved, sum, e);
}

err_code job_check_prompts(const struct generate_options *o, struct err *e)
{
    if (file_exists(o->corpus))
        return ERR_OK;
    struct problems *p;
    struct problem problem;
    bool more = true;
    int64_t n = 0;
    err_code rc = problems_open(o->prompts, &o->fields, &p, e);
    if (rc)
        return rc;
    while (!rc && more && (!o->limit || n < o->limit) &&
           !(rc = problems_next(p, &problem, &more, e)))
        n += more;
    if (!rc && !n)
        rc = err_set(e, ERR_FORMAT, "%s: holds no prompts", o->prompts);
    problems_close(p);
    return rc;
}

/* A first run with other parameters begins anew: that should not go unnoticed. */
static err_code tell_other_request(struct generate_job *j, struct err *e)
{
    int64_t n;
    struct buf json = {0}, difference = {0};
    err_code rc = missing_other_request(j->corpus, j->request_id, &n, &json, e);
    if (!rc && n)
        rc = request_difference(json.data, j->request.data, &difference, e);
    if (!rc && n)
        log_info("%s already holds %lld traces of %s with other parameters (%s); these are new",
                 j->o->corpus, (long long)n, j->sum->teacher, difference.data);
    buf_dispose(&json);
    buf_dispose(&difference);
    return rc;
}

err_code job_open(struct generate_job *j, struct err *e)
{
    const struct generate_options *o = j->o;
    struct import_options import = {.limit = o->limit, .want = true};
    import.names.prompt = o->fields.prompt;
    import.names.gold = o->fields.gold;
    struct import_summary imported;
    err_code rc = corpus_open(o->corpus, CORPUS_CREATE, &j->corpus, e);
    if (rc || (rc = corpus_import(j->corpus, o->prompts, &import, &imported, e)) ||
        (rc = corpus_request(j->corpus, j->request.data, &j->request_id, e)))
        return rc;
    if (imported.n_conflicts)
        log_warn("%lld prompt%s came with another gold answer than before (in %s, or on an earlier "
                 "line); the older was kept; the first: %s",
                 (long long)imported.n_conflicts, imported.n_conflicts == 1 ? "" : "s", o->corpus,
                 imported.first_conflict);
    struct missing_options missing = {.request_id = j->request_id,
                                      .n_samples = o->n_samples,
                                      .until_good = o->until_good,
                                      .i_shard = o->i_shard,
                                      .n_shards = o->n_shards};
    rc = missing_open(j->corpus, &missing, &j->missing, e);
    if (rc)
        return rc;
    missing_count(j->missing, &j->counts);
    j->sink = (struct sink){.corpus = j->corpus, .sum = j->sum, .grace_seconds = o->grace_seconds};
    j->sum->n_prompts = j->counts.n_prompts;
    j->sum->n_wanted = j->counts.n_wanted;
    j->sum->n_there = j->counts.n_there;
    if (j->counts.n_marked)
        log_info("%lld prompts are marked in %s (duplicate, contaminated, ...) and passed over",
                 (long long)j->counts.n_marked, o->corpus);
    return j->counts.n_there ? ERR_OK : tell_other_request(j, e);
}

void job_close(struct generate_job *j)
{
    if (j->missing) {
        struct missing_counts k;
        missing_count(j->missing, &k);
        j->sum->n_satisfied = k.n_good;
        j->sum->n_missing = k.n_left + j->sink.uncommitted.n_made; /* lost by an error */
    }
    missing_close(j->missing);
    corpus_discard(j->corpus); /* an empty one that was made in vain goes */
    buf_dispose(&j->request);
}
