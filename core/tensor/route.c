#include "core/tensor/route.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Each score is computed in double and rounded once: a tie is a tie of float32 scores. */
static void scores_of(float *s, const float *logits, const struct route *r)
{
    int64_t n = r->n_experts;
    if (r->sigmoid) {
        for (int64_t i = 0; i < n; i++)
            s[i] = (float)(1 / (1 + exp(-(double)logits[i])));
        return;
    }
    float max = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        max = fmaxf(max, logits[i]);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    for (int64_t i = 0; i < n; i++)
        s[i] = (float)(exp((double)logits[i] - max) / sum);
}

/* Puts i into ids[0..*n), the up to k best of v so far, best first and the earlier among equals. */
static void take(int32_t *ids, int64_t *n, int64_t k, const float *v, int64_t i)
{
    if (*n == k && !(v[i] > v[ids[k - 1]]))
        return;
    int64_t at = *n < k ? (*n)++ : k - 1;
    for (; at > 0 && v[i] > v[ids[at - 1]]; at--)
        ids[at] = ids[at - 1];
    ids[at] = (int32_t)i;
}

static float group_score(const float *choice, int64_t n, bool top2)
{
    float first = -INFINITY, second = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        float x = choice[i], less = x < first ? x : first;
        second = less > second ? less : second;
        first = x > first ? x : first;
    }
    return top2 && n > 1 ? first + second : first;
}

/* Marks the experts of the topk_group best groups. */
static void choose_groups(bool *kept, const float *choice, const struct route *r)
{
    float score[ROUTE_MAX_EXPERTS];
    int32_t ids[ROUTE_MAX_EXPERTS];
    int64_t per = r->n_experts / r->n_group, n = 0;
    for (int64_t g = 0; g < r->n_group; g++) {
        score[g] = group_score(choice + g * per, per, r->group_top2);
        take(ids, &n, r->topk_group, score, g);
    }
    for (int64_t i = 0; i < n; i++)
        memset(kept + ids[i] * per, true, (size_t)per);
}

void route_row(int32_t *ids, float *weights, const float *logits, const struct route *r)
{
    float s[ROUTE_MAX_EXPERTS], choice[ROUTE_MAX_EXPERTS];
    bool kept[ROUTE_MAX_EXPERTS] = {false};
    bool is_broken = false;
    int64_t n = 0;
    assert(r->n_experts <= ROUTE_MAX_EXPERTS && r->n_experts % r->n_group == 0);
    assert(r->topk_group <= r->n_group);
    assert(r->top_k <= r->topk_group * (r->n_experts / r->n_group));
    scores_of(s, logits, r);
    for (int64_t i = 0; i < r->n_experts; i++) {
        choice[i] = r->bias ? s[i] + r->bias[i] : s[i];
        is_broken |= isnan(choice[i]);
    }
    choose_groups(kept, choice, r);
    for (int64_t i = 0; i < r->n_experts; i++)
        if (kept[i])
            take(ids, &n, r->top_k, choice, i);
    float sum = 0;
    for (int64_t i = 0; i < n; i++) {
        weights[i] = s[ids[i]];
        sum += weights[i];
    }
    float scale = r->norm_topk ? r->scale / (sum + 1e-20f) : r->scale;
    if (is_broken) /* in no order: whoever was chosen, the row has to be seen to be wrong */
        scale = NAN;
    for (int64_t i = 0; i < r->top_k; i++)
        weights[i] *= scale;
}
