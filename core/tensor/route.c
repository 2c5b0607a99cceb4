#include "core/tensor/route.h"

#include <assert.h>
#include <math.h>

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

/* Index of the best allowed value not yet taken, the lowest among equals; -1 when all are
 * taken. */
static int64_t best_of(const float *v, const bool *taken, int64_t n)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++)
        if (!taken[i] && (best < 0 || v[i] > v[best]))
            best = i;
    return best;
}

static float group_score(const float *choice, int64_t n, bool top2)
{
    float first = -INFINITY, second = -INFINITY;
    for (int64_t i = 0; i < n; i++) {
        if (choice[i] > first) {
            second = first;
            first = choice[i];
        } else if (choice[i] > second) {
            second = choice[i];
        }
    }
    return top2 && n > 1 ? first + second : first;
}

/* Marks the experts outside the topk_group best groups as taken. */
static void keep_groups(bool *taken, const float *choice, const struct route *r)
{
    float score[ROUTE_MAX_EXPERTS];
    bool kept[ROUTE_MAX_EXPERTS] = {false};
    int64_t per = r->n_experts / r->n_group;
    for (int64_t g = 0; g < r->n_group; g++)
        score[g] = group_score(choice + g * per, per, r->group_top2);
    for (int64_t i = 0; i < r->topk_group; i++)
        kept[best_of(score, kept, r->n_group)] = true;
    for (int64_t i = 0; i < r->n_experts; i++)
        taken[i] = !kept[i / per];
}

void route_row(int32_t *ids, float *weights, const float *logits, const struct route *r)
{
    float s[ROUTE_MAX_EXPERTS], choice[ROUTE_MAX_EXPERTS];
    bool taken[ROUTE_MAX_EXPERTS] = {false};
    assert(r->n_experts <= ROUTE_MAX_EXPERTS && r->n_experts % r->n_group == 0);
    assert(r->topk_group <= r->n_group);
    assert(r->top_k <= r->topk_group * (r->n_experts / r->n_group));
    scores_of(s, logits, r);
    for (int64_t i = 0; i < r->n_experts; i++)
        choice[i] = r->bias ? s[i] + r->bias[i] : s[i];
    if (r->n_group > 1)
        keep_groups(taken, choice, r);
    float sum = 0;
    for (int64_t i = 0; i < r->top_k; i++) {
        int64_t best = best_of(choice, taken, r->n_experts);
        taken[best] = true;
        ids[i] = (int32_t)best;
        weights[i] = s[best];
        sum += s[best];
    }
    float scale = r->norm_topk ? r->scale / (sum + 1e-20f) : r->scale;
    for (int64_t i = 0; i < r->top_k; i++)
        weights[i] *= scale;
}
