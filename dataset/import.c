#include "dataset/import.h"
#include "core/base/file.h"
#include "dataset/problems.h"

#include <string.h>

static err_code import_one(struct corpus *c, const struct problem *problem, const char *source,
                           bool want, struct import_summary *sum, struct err *e)
{
    int64_t id;
    bool added, conflict;
    struct corpus_prompt prompt = {.text = problem->prompt,
                                   .n_text = problem->n_prompt,
                                   .gold = problem->gold,
                                   .n_gold = problem->n_gold,
                                   .source = source,
                                   .extra_json = problem->extra};
    err_code rc = corpus_add_prompt(c, &prompt, &id, &added, &conflict, e);
    if (!rc && want)
        rc = corpus_want(c, id, e);
    sum->n_lines++;
    sum->n_added += added;
    sum->n_conflicts += conflict;
    sum->n_no_gold += !problem->gold;
    return rc;
}

err_code corpus_import(struct corpus *c, const char *path, const struct import_options *opt,
                       struct import_summary *sum, struct err *e)
{
    struct problems *p;
    struct problem problem;
    bool more = false;
    const char *source = opt->source ? opt->source : path_base(path);
    memset(sum, 0, sizeof *sum);
    err_code rc = problems_open(path, &p, e);
    if (rc)
        return rc;
    rc = corpus_begin(c, e);
    while (!rc && (!opt->limit || sum->n_lines < opt->limit) &&
           !(rc = problems_next(p, &problem, &more, e)) && more)
        rc = import_one(c, &problem, source, opt->want, sum, e);
    if (!rc && !sum->n_lines)
        rc = err_set(e, ERR_FORMAT, "%s: holds no prompts", path);
    if (!rc)
        rc = corpus_commit(c, e);
    if (rc)
        corpus_rollback(c);
    problems_close(p);
    return rc;
}
