/* Loops over rows: norms, activations, softmax, optimizer. */

static void axpy(float *y, const float *x, float a, int64_t n)
{
    vf av = v_set1(a);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_fma(av, v_load(x + i), v_load(y + i)));
    if (i < n)
        v_store_n(y + i, v_fma(av, v_load_n(x + i, n - i), v_load_n(y + i, n - i)), n - i);
}

static void scale_row(float *y, float a, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_load(y + i) * a);
    if (i < n)
        v_store_n(y + i, v_load_n(y + i, n - i) * a, n - i);
}

/* Sums in float over stretches of 16 vectors, then in double: an error of few eps whatever n. */
#define STRETCH (16 * LANES)

/* Sum over n of a * b * c; b and c may be NULL. */
INLINE double sum3(const float *a, const float *b, const float *c, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i += STRETCH) {
        vf s = {0};
        for (int64_t j = i; j < i + STRETCH && j < n; j += LANES) {
            int64_t l = n - j;
            vf v = l >= LANES ? v_load(a + j) : v_load_n(a + j, l);
            vf u = b ? l >= LANES ? v_load(b + j) : v_load_n(b + j, l) : v_set1(1);
            if (c)
                v *= l >= LANES ? v_load(c + j) : v_load_n(c + j, l);
            s = v_fma(v, u, s);
        }
        sum += v_sum(s);
    }
    return sum;
}

static double dot(const float *a, const float *b, int64_t n)
{
    return sum3(a, b, NULL, n);
}

static double sum_squares(const float *x, int64_t n)
{
    return sum3(x, x, NULL, n);
}

static float rmsnorm(float *y, const float *x, const float *w, int64_t n, float eps)
{
    float r = (float)(1 / sqrt(sum3(x, x, NULL, n) / (double)n + eps));
    vf rv = v_set1(r);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(y + i, v_load(x + i) * rv * v_load(w + i));
    if (i < n)
        v_store_n(y + i, v_load_n(x + i, n - i) * rv * v_load_n(w + i, n - i), n - i);
    return r;
}

static void rmsnorm_grad(float *dx, float *dw, const float *dy, const float *x, const float *w,
                         float rstd, int64_t n)
{
    double s = sum3(dy, w, x, n);
    vf r = v_set1(rstd), by = v_set1((float)((double)rstd * rstd * rstd * s / (double)n));
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf g = v_load(dy + i) * r, xv = v_load(x + i);
        v_store(dx + i, v_load(dx + i) + (g * v_load(w + i) - xv * by));
        v_store(dw + i, v_fma(g, xv, v_load(dw + i)));
    }
    if (i < n) {
        int64_t l = n - i;
        vf g = v_load_n(dy + i, l) * r, xv = v_load_n(x + i, l);
        v_store_n(dx + i, v_load_n(dx + i, l) + (g * v_load_n(w + i, l) - xv * by), l);
        v_store_n(dw + i, v_fma(g, xv, v_load_n(dw + i, l)), l);
    }
}

static void swiglu(float *y, const float *gate, const float *up, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf g = v_load(gate + i);
        v_store(y + i, g * v_sigmoid(g) * v_load(up + i));
    }
    if (i < n) {
        vf g = v_load_n(gate + i, n - i);
        v_store_n(y + i, g * v_sigmoid(g) * v_load_n(up + i, n - i), n - i);
    }
}

/* dgate into *dg, dup into *du */
INLINE void swiglu_back(vf *dg, vf *du, vf dy, vf g, vf u)
{
    vf s = v_sigmoid(g);
    *dg = dy * u * s * (1 + g * (1 - s));
    *du = dy * g * s;
}

static void swiglu_grad(float *dgate, float *dup, const float *dy, const float *gate,
                        const float *up, int64_t n)
{
    vf dg, du;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        swiglu_back(&dg, &du, v_load(dy + i), v_load(gate + i), v_load(up + i));
        v_store(dgate + i, dg);
        v_store(dup + i, du);
    }
    if (i < n) {
        int64_t l = n - i;
        swiglu_back(&dg, &du, v_load_n(dy + i, l), v_load_n(gate + i, l), v_load_n(up + i, l));
        v_store_n(dgate + i, dg, l);
        v_store_n(dup + i, du, l);
    }
}

static float max_of(const float *x, int64_t n)
{
    vf m = v_set1(-INFINITY);
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        m = v_max(v_load(x + i), m);
    float best = v_max_all(m);
    for (; i < n; i++)
        best = x[i] > best ? x[i] : best;
    return best;
}

static double sum_exp(const float *x, float max, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i += STRETCH) {
        vf s = {0};
        for (int64_t j = i; j < i + STRETCH && j < n; j += LANES) {
            int64_t l = n - j;
            if (l >= LANES)
                s += v_exp(v_load(x + j) - max);
            else
                s += v_sel(v_iota() < (int32_t)l, v_exp(v_load_n(x + j, l) - max), v_set1(0));
        }
        sum += v_sum(s);
    }
    return sum;
}

static void softmax(float *x, float max, float by, int64_t n)
{
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        v_store(x + i, v_exp(v_load(x + i) - max) * by);
    if (i < n)
        v_store_n(x + i, v_exp(v_load_n(x + i, n - i) - max) * by, n - i);
}

INLINE vi v_between(int64_t first, int64_t lo, int64_t hi)
{
    vi at = v_iota() + (int32_t)first;
    return (at >= (int32_t)lo) & (at < (int32_t)hi);
}

static float softmax_row(float *s, int64_t n, int64_t lo, int64_t hi, float scale, float *max,
                         float *sum)
{
    vf top = v_set1(-INFINITY), total = {0};
    if (lo >= hi) {
        memset(s, 0, (size_t)n * sizeof *s);
        return 1;
    }
    bool all = lo == 0 && hi == n;
    for (int64_t i = 0; i < n; i += LANES) {
        vf v = v_load(s + i) * scale;
        if (!all) {
            v = v_sel(v_between(i, lo, hi), v, v_set1(-INFINITY));
            v_store(s + i, v);
        }
        top = v_max(v, top);
    }
    float new_max = v_max_all(top);
    new_max = *max > new_max ? *max : new_max;
    float by = all ? scale : 1;
    for (int64_t i = 0; i < n; i += LANES) {
        vf p = v_exp(v_load(s + i) * by - new_max);
        v_store(s + i, p);
        total += p;
    }
    float shrink = new_max == *max ? 1 : expf(*max - new_max);
    *sum = *sum * shrink + v_sum(total);
    *max = new_max;
    return shrink;
}

static void softmax_row_grad(float *s, float *dp, int64_t n, int64_t lo, int64_t hi, float scale,
                             float lse, float delta)
{
    bool all = lo == 0 && hi == n;
    for (int64_t i = 0; i < n; i += LANES) {
        vf p = v_exp(v_load(s + i) * scale - lse);
        vf ds = (v_load(dp + i) - delta) * p * scale;
        if (!all) {
            vi in = v_between(i, lo, hi);
            p = v_sel(in, p, v_set1(0));
            ds = v_sel(in, ds, v_set1(0));
        }
        v_store(s + i, p);
        v_store(dp + i, ds);
    }
}

INLINE vf adamw_step(vf p, vf g, vf *m, vf *v, const struct adamw *a, float step_size, float c2)
{
    g *= a->grad_scale;
    *m = *m * a->beta1 + (1 - a->beta1) * g;
    *v = *v * a->beta2 + (1 - a->beta2) * g * g;
    return p * (1 - a->lr * a->weight_decay) - step_size * *m / (v_sqrt(*v) * c2 + a->eps);
}

static void adamw(float *p, const float *grad, float *m, float *v, int64_t n, const struct adamw *a)
{
    float step_size = (float)(a->lr / (1 - pow(a->beta1, (double)a->step)));
    float c2 = (float)(1 / sqrt(1 - pow(a->beta2, (double)a->step)));
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        vf mv = v_load(m + i), vv = v_load(v + i);
        vf pv = adamw_step(v_load(p + i), v_load(grad + i), &mv, &vv, a, step_size, c2);
        v_store(p + i, pv);
        v_store(m + i, mv);
        v_store(v + i, vv);
    }
    if (i < n) {
        int64_t l = n - i;
        vf mv = v_load_n(m + i, l), vv = v_load_n(v + i, l);
        vf pv = adamw_step(v_load_n(p + i, l), v_load_n(grad + i, l), &mv, &vv, a, step_size, c2);
        v_store_n(p + i, pv, l);
        v_store_n(m + i, mv, l);
        v_store_n(v + i, vv, l);
    }
}
