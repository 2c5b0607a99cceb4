#include "core/tensor/ref/ref.h"
#include "core/base/mem.h"

#include <math.h>

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

/* One query over n keys and values; p[n] and acc[dv] are scratch. Returns the log-sum-exp. */
static double attend(float *out, const float *q, const float *k, int64_t ld_k, const float *v,
                     int64_t ld_v, int64_t n, const struct attn_dims *a, double *p, double *acc)
{
    double max = -INFINITY, sum = 0;
    for (int64_t j = 0; j < n; j++) {
        p[j] = a->scale * dot(q, k + j * ld_k, a->dk);
        max = fmax(max, p[j]);
    }
    for (int64_t j = 0; j < n; j++)
        sum += exp(p[j] - max);
    for (int64_t i = 0; i < a->dv; i++)
        acc[i] = 0;
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < a->dv; i++)
            acc[i] += exp(p[j] - max) / sum * v[j * ld_v + i];
    for (int64_t i = 0; i < a->dv; i++)
        out[i] = (float)acc[i];
    return max + log(sum);
}

void ref_attention(struct device *d, struct tensor *out, float *lse, const struct tensor *q,
                   const struct tensor *k, const struct tensor *v, const int32_t *doc_start,
                   const struct attn_dims *a)
{
    (void)d;
    int64_t n_rows = tensor_rows(q), per = a->n_heads / a->n_kv_heads;
    double *p = ref_doubles(n_rows), *acc = ref_doubles(a->dv);
    for (int64_t t = 0; t < n_rows; t++)
        for (int64_t h = 0; h < a->n_heads; h++) {
            int64_t s = doc_start[t], g = h / per;
            double l = attend(ref_row(out, t) + h * a->dv, ref_row(q, t) + h * a->dk,
                              ref_row(k, s) + g * a->dk, k->ld, ref_row(v, s) + g * a->dv, v->ld,
                              t - s + 1, a, p, acc);
            if (lse)
                lse[t * a->n_heads + h] = (float)l;
        }
    mem_free(p);
    mem_free(acc);
}

void ref_attention_cached(struct device *d, struct tensor *out, const struct tensor *q,
                          const struct attn_span *spans, const struct attn_dims *a)
{
    (void)d;
    int64_t per = a->n_heads / a->n_kv_heads;
    double *acc = ref_doubles(a->dv);
    for (int64_t t = 0; t < tensor_rows(q); t++) {
        double *p = ref_doubles(spans[t].n);
        for (int64_t h = 0; h < a->n_heads; h++)
            attend(ref_row(out, t) + h * a->dv, ref_row(q, t) + h * a->dk,
                   spans[t].k + h / per * a->dk, a->ld_k, spans[t].v + h / per * a->dv, a->ld_v,
                   spans[t].n, a, p, acc);
        mem_free(p);
    }
    mem_free(acc);
}

static void add_rows(struct tensor *y, const double *sum)
{
    for (int64_t t = 0; t < tensor_rows(y); t++)
        for (int64_t c = 0; c < tensor_cols(y); c++)
            ref_row(y, t)[c] += (float)sum[t * tensor_cols(y) + c];
}

/* With P = exp(scale q.k - lse): dV = P^T dO; dP = dO V^T; dS = P (dP - sum_d dO*O); dQ = scale dS
 * K; dK = scale dS^T Q (Dao et al. 2022, FlashAttention, appendix B). */
void ref_attention_grad(struct device *d, struct tensor *dq, struct tensor *dk, struct tensor *dv,
                        const struct tensor *dout, const struct tensor *q, const struct tensor *k,
                        const struct tensor *v, const struct tensor *out, const float *lse,
                        const int32_t *doc_start, const struct attn_dims *a)
{
    (void)d;
    int64_t n_rows = tensor_rows(q), per = a->n_heads / a->n_kv_heads;
    int64_t wq = a->n_heads * a->dk, wk = a->n_kv_heads * a->dk, wv = a->n_kv_heads * a->dv;
    double *sq = ref_doubles(n_rows * wq), *sk = ref_doubles(n_rows * wk);
    double *sv = ref_doubles(n_rows * wv);
    for (int64_t t = 0; t < n_rows; t++)
        for (int64_t h = 0; h < a->n_heads; h++) {
            int64_t g = h / per;
            const float *qt = ref_row(q, t) + h * a->dk, *dot_t = ref_row(dout, t) + h * a->dv;
            double delta = dot(dot_t, ref_row(out, t) + h * a->dv, a->dv);
            for (int64_t j = doc_start[t]; j <= t; j++) {
                const float *kj = ref_row(k, j) + g * a->dk, *vj = ref_row(v, j) + g * a->dv;
                double p = exp(a->scale * dot(qt, kj, a->dk) - lse[t * a->n_heads + h]);
                double ds = a->scale * p * (dot(dot_t, vj, a->dv) - delta);
                for (int64_t i = 0; i < a->dv; i++)
                    sv[j * wv + g * a->dv + i] += p * dot_t[i];
                for (int64_t i = 0; i < a->dk; i++) {
                    sq[t * wq + h * a->dk + i] += ds * kj[i];
                    sk[j * wk + g * a->dk + i] += ds * qt[i];
                }
            }
        }
    add_rows(dq, sq);
    add_rows(dk, sk);
    add_rows(dv, sv);
    mem_free(sq);
    mem_free(sk);
    mem_free(sv);
}
