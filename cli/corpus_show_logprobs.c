/* The log-probabilities of a trace's tokens, for decant corpus show. */
#include "cli/corpus_show.h"
#include "core/base/json.h"
#include "core/lm/logprobs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct showing {
    const struct corpus_row *row;
    bool json;
    struct buf *b;
};

/* The text in quotes: the token's own, or the piece of the trace that it stands for; else its id.
 */
static err_code put_token(struct buf *b, const struct corpus_row *row, const struct logprob *t,
                          const struct logprobs_place *place, struct err *e)
{
    bool in_answer = place && place->part == LOGPROBS_ANSWER;
    if (t->bytes)
        return json_quote(b, t->bytes, t->n_bytes, e);
    if (place && place->part != LOGPROBS_NOWHERE)
        return json_quote(b, (in_answer ? row->answer : row->reasoning) + place->at, place->n, e);
    return t->id >= 0 ? buf_printf(b, e, "\"#%lld\"", (long long)t->id) : buf_str(b, "\"\"", e);
}

static err_code put_number(struct buf *b, const char *before, float x, bool json, struct err *e)
{
    if (isfinite(x))
        return buf_printf(b, e, "%s%.4f", before, (double)x);
    return buf_printf(b, e, "%s%s", before, json ? "null" : isnan(x) ? "?" : "-inf");
}

static err_code put_candidate(struct showing *s, const struct logprob *t,
                              const struct logprobs_place *place, struct err *e)
{
    err_code rc = s->json ? buf_str(s->b, "{\"token\":", e) : ERR_OK;
    if (!rc)
        rc = put_token(s->b, s->row, t, place, e);
    if (!rc && s->json && t->id >= 0)
        rc = buf_printf(s->b, e, ",\"id\":%lld", (long long)t->id);
    return rc ? rc : put_number(s->b, s->json ? ",\"logprob\":" : " ", t->logprob, s->json, e);
}

/* A line a token: "text" -0.1234   "candidate" -0.1234  "another" -3.2 */
static err_code put_line(struct showing *s, const struct logprobs_token *t, struct err *e)
{
    static const char *const parts[] = {"null", "\"reasoning\"", "\"answer\""};
    err_code rc = put_candidate(s, &t->chosen, &t->place, e);
    if (!rc && s->json)
        rc = buf_printf(s->b, e, ",\"part\":%s,\"top\":[", parts[t->place.part]);
    for (size_t i = 0; i < t->n_top && !rc; i++) {
        rc = buf_str(s->b, s->json ? (i ? "," : "") : i ? "  " : "   ", e);
        if (!rc)
            rc = put_candidate(s, &t->top[i], i + 1 == t->rank ? &t->place : NULL, e);
        if (!rc && s->json)
            rc = buf_str(s->b, "}", e);
    }
    return rc ? rc : buf_str(s->b, s->json ? "]}" : "\n", e);
}

static err_code put_tokens(struct showing *s, const struct buf *data, struct err *e)
{
    struct logprobs_reader r;
    struct logprobs_token t;
    err_code rc = logprobs_open(&r, data->data, data->len, e);
    if (rc)
        return rc;
    if (r.n_reasoning > s->row->n_reasoning || r.n_answer > s->row->n_answer)
        rc = err_set(e, ERR_FORMAT, "log-probabilities of another text");
    for (bool first = true; !rc && logprobs_next(&r, &t); first = false) {
        rc = s->json && !first ? buf_str(s->b, ",", e) : ERR_OK;
        if (!rc)
            rc = put_line(s, &t, e);
    }
    logprobs_close(&r);
    return rc;
}

static err_code put_stored(struct showing *s, const struct corpus_logprobs *l, struct err *e)
{
    if (strcmp(l->format, LOGPROBS_FORMAT) != 0)
        return err_set(e, ERR_UNSUPPORTED, "log-probabilities in the format \"%s\"; \"%s\" is read",
                       l->format, LOGPROBS_FORMAT);
    err_code rc = s->json ? buf_str(s->b, "[", e) : ERR_OK;
    if (!rc)
        rc = put_tokens(s, &l->data, e);
    return rc || !s->json ? rc : buf_str(s->b, "]", e);
}

err_code show_logprobs(struct corpus *c, const struct corpus_row *row, bool json, struct buf *b,
                       struct err *e)
{
    struct corpus_logprobs l = {0};
    struct showing s = {row, json, b};
    bool found = false;
    err_code rc = corpus_logprobs_of(c, row->id, &l, &found, e);
    if (!rc && found) {
        rc = put_stored(&s, &l, e);
        if (rc)
            err_context(e, "%s: trace %lld", corpus_path(c), (long long)row->id);
    } else if (!rc)
        rc = buf_str(b, json ? "null" : "none; generate-traces --logprobs K asks for them\n", e);
    buf_dispose(&l.data);
    return rc;
}
