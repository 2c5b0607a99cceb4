#include "core/lm/sample.h"

#include <math.h>

/* Is id a before id b? Larger p first, the lower id among equals. */
static bool before(const float *p, int32_t a, int32_t b)
{
    return p[a] > p[b] || (p[a] == p[b] && a < b);
}

static void sift_down(const float *p, int32_t *heap, int64_t n, int64_t i)
{
    for (;;) {
        int64_t c = 2 * i + 1;
        if (c >= n)
            return;
        if (c + 1 < n && before(p, heap[c + 1], heap[c]))
            c++;
        if (!before(p, heap[c], heap[i]))
            return;
        int32_t t = heap[i];
        heap[i] = heap[c];
        heap[c] = t;
        i = c;
    }
}

/* Moves the best of a heap of *n behind its end: heap[*n] after the call. */
static int32_t pop(const float *p, int32_t *heap, int64_t *n)
{
    int32_t best = heap[0];
    heap[0] = heap[--*n];
    heap[*n] = best;
    sift_down(p, heap, *n, 0);
    return best;
}

static int32_t greedy(const float *logits, int64_t n)
{
    int32_t best = -1;
    for (int64_t i = 0; i < n; i++) {
        if (isnan(logits[i]))
            return -1;
        if (logits[i] > -INFINITY && (best < 0 || logits[i] > logits[best]))
            best = (int32_t)i;
    }
    return best;
}

/* The nucleus: ids in order of falling p until they hold top_p of what top_k leaves. Only as many
 * as are needed are sorted out of the heap. */
static int32_t draw_from_best(float *p, int32_t *heap, int64_t n, double sum,
                              const struct sampling *s, double u)
{
    for (int64_t i = 0; i < n; i++)
        heap[i] = (int32_t)i;
    for (int64_t i = n / 2; i-- > 0;)
        sift_down(p, heap, n, i);
    int64_t left = n, n_max = s->top_k > 0 && s->top_k < n ? s->top_k : n, n_kept = 0;
    double mass = 0;
    if (n_max < n) { /* top_p is a share of what top_k keeps */
        while (n - left < n_max)
            mass += (double)p[pop(p, heap, &left)];
        sum = mass;
        mass = 0;
    }
    while (n_kept < n_max && (n_kept == 0 || mass < (double)s->top_p * sum)) {
        int32_t id = n_max < n ? heap[n - 1 - n_kept] : pop(p, heap, &left);
        mass += (double)p[id];
        n_kept++;
    }
    double target = u * mass, at = 0;
    for (int64_t i = 0; i < n_kept; i++) {
        at += (double)p[heap[n - 1 - i]];
        if (at > target)
            return heap[n - 1 - i];
    }
    return heap[n - n_kept];
}

int32_t sample_token(const float *logits, int64_t n, const struct sampling *s, struct rng *r,
                     float *scratch_p, int32_t *scratch_i)
{
    int32_t best = greedy(logits, n);
    float inv = 1.0f / s->temperature; /* infinite: so cold that only the best is left */
    if (best < 0 || s->temperature <= 0 || isinf(inv) || isinf(logits[best]))
        return best;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        scratch_p[i] = expf((logits[i] - logits[best]) * inv);
        sum += (double)scratch_p[i];
    }
    double u = rng_uniform(r);
    if (s->top_p < 1 || (s->top_k > 0 && s->top_k < n))
        return draw_from_best(scratch_p, scratch_i, n, sum, s, u);
    double target = u * sum, at = 0;
    for (int64_t i = 0; i < n; i++) {
        at += (double)scratch_p[i];
        if (at > target)
            return (int32_t)i;
    }
    return best;
}

double sample_logprob(const float *logits, int64_t n, int32_t id)
{
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        max = fmax(max, (double)logits[i]);
    for (int64_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - max);
    return (double)logits[id] - max - log(sum);
}
