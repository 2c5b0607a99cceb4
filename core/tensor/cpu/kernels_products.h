/* Conversion and matrix products of small tiles. */

INLINE vf load_as_f32(enum dtype t, const void *src, size_t i)
{
    if (t == DT_F32)
        return v_load((const float *)src + i);
    if (t == DT_F16)
        return v_load_f16((const uint16_t *)src + i);
    if (t == DT_F8_E4M3)
        return v_load_f8((const uint8_t *)src + i);
    vh h;
    memcpy(&h, (const uint16_t *)src + i, sizeof h);
    vi v = __builtin_convertvector(h, vi);
    return (vf)(v << 16);
}

INLINE void convert(enum dtype t, const char *src, float *dst, int64_t n, float scale)
{
    int64_t i = 0, size = dtype_info(t)->block_bytes;
    float by = t == DT_F8_E4M3 ? scale * F8_FACTOR : scale; /* a power of 2: the same rounding */
    for (; i + LANES <= n; i += LANES)
        v_store(dst + i, load_as_f32(t, src, (size_t)i) * by);
    if (i < n)
        dtype_to_f32(t, src + i * size, dst + i, (size_t)(n - i));
    for (; i < n; i++)
        dst[i] *= scale;
}

INLINE void convert_rows(enum dtype t, const char *src, int64_t row_bytes, float *dst, int64_t ld,
                         int64_t rows, int64_t n, float scale)
{
    for (int64_t i = 0; i < rows; i++)
        convert(t, src + i * row_bytes, dst + i * ld, n, scale);
}

#ifdef V_F8_PAIR
/* n a multiple of 2 * LANES; false where one is NaN, which then is not one in dst. */
INLINE bool convert_f8(const uint8_t *src, int64_t row_bytes, float *dst, int64_t ld, int64_t rows,
                       int64_t n, float scale)
{
    v_bytes top = {0};
    vf a, b, by = v_set1(scale * F8_FACTOR);
    for (int64_t i = 0; i < rows; i++, src += row_bytes, dst += ld) {
        for (int64_t j = 0; j < n; j += 2 * LANES) {
            v_f8_pair(src + j, &a, &b, &top);
            v_store(dst + j, a * by);
            v_store(dst + j + LANES, b * by);
        }
    }
    return !v_f8_nan(top);
}
#endif

static void to_f32(enum dtype t, const void *src, int64_t row_bytes, float *dst, int64_t ld,
                   int64_t rows, int64_t n, float scale)
{
    const char *from = src;
    switch (t) {
    case DT_F16:
        convert_rows(DT_F16, from, row_bytes, dst, ld, rows, n, scale);
        break;
    case DT_BF16:
        convert_rows(DT_BF16, from, row_bytes, dst, ld, rows, n, scale);
        break;
    case DT_F8_E4M3: {
        int64_t done = 0;
#ifdef V_F8_PAIR
        done = n / (2 * LANES) * (2 * LANES);
        if (!convert_f8(src, row_bytes, dst, ld, rows, done, scale))
            done = 0;
#endif
        if (done < n)
            convert_rows(DT_F8_E4M3, from + done, row_bytes, dst + done, ld, rows, n - done, scale);
        break;
    }
    default:
        convert_rows(DT_F32, from, row_bytes, dst, ld, rows, n, scale);
    }
}

/* Sums of four folded vectors: [sum a, sum b, sum c, sum d], each as (0 + 2) + (1 + 3). */
INLINE v4 v4_sums(v4 a, v4 b, v4 c, v4 d)
{
    v4 ab = V4_PICK(a, b, 0, 4, 1, 5) + V4_PICK(a, b, 2, 6, 3, 7);
    v4 cd = V4_PICK(c, d, 0, 4, 1, 5) + V4_PICK(c, d, 2, 6, 3, 7);
    return V4_PICK(ab, cd, 0, 1, 4, 5) + V4_PICK(ab, cd, 2, 3, 6, 7);
}

INLINE float v_sum(vf v)
{
    v4 f = v_fold4(v);
    return (f[0] + f[2]) + (f[1] + f[3]);
}

/* ---- nt: rows of x times rows of w, up to 4 x NT_COLUMNS at a time: what the registers hold */
#define NT_COLUMNS (LANES == 16 ? 4 : 2)

struct nt_args {
    int64_t k;
    const float *x;
    int64_t ld_x;
    const float *w;
    int64_t ld_w;
    float *y;
    int64_t ld_y;
    float *acc; /* of the tile's first element */
    int64_t ld_acc;
    unsigned part;
};

/* n sums to y. */
INLINE void nt_store(const int n, v4 sums, float *y, bool add)
{
    if (add) {
        v4 old = {0};
        memcpy(&old, y, (size_t)n * sizeof *y);
        sums += old;
    }
    memcpy(y, &sums, (size_t)n * sizeof *y);
}

/* The lanes of a tile's sums, folded, to y. */
INLINE void nt_reduce(const int m, const int n, vf s[4][4], float *y, int64_t ld_y, bool add)
{
#ifdef V_FOLD_TILE
    if (m == 4 && n == 4) {
        v4 rows[4];
        vf all = v_fold_tile(s);
        memcpy(rows, &all, sizeof rows);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            nt_store(4, rows[i], y + i * ld_y, add);
        return;
    }
#endif
#pragma GCC unroll 4
    for (int i = 0; i < m; i++, y += ld_y) {
        v4 f[4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            f[j] = v_fold4(s[i][j % n]);
        nt_store(n, v4_sums(f[0], f[1], f[2], f[3]), y, add);
    }
}

INLINE void nt_tile(const int m, const int n, const struct nt_args *a)
{
    vf s[4][4], wv[4];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
            s[i][j] = a->part & SUM_FIRST ? (vf){0} : v_load(a->acc + i * a->ld_acc + j * LANES);
    int64_t p = 0;
    for (; p + LANES <= a->k; p += LANES) {
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
            wv[j] = v_load(a->w + j * a->ld_w + p);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            vf xv = v_load(a->x + i * a->ld_x + p);
#pragma GCC unroll 4
            for (int j = 0; j < n; j++)
                s[i][j] = v_fma(xv, wv[j], s[i][j]);
        }
    }
    if (p < a->k) {
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
            wv[j] = v_load_n(a->w + j * a->ld_w + p, a->k - p);
#pragma GCC unroll 4
        for (int i = 0; i < m; i++) {
            vf xv = v_load_n(a->x + i * a->ld_x + p, a->k - p);
#pragma GCC unroll 4
            for (int j = 0; j < n; j++)
                s[i][j] = v_fma(xv, wv[j], s[i][j]);
        }
    }
    if (!(a->part & SUM_LAST)) {
#pragma GCC unroll 4
        for (int i = 0; i < m; i++)
#pragma GCC unroll 4
            for (int j = 0; j < n; j++)
                v_store(a->acc + i * a->ld_acc + j * LANES, s[i][j]);
        return;
    }
    nt_reduce(m, n, s, a->y, a->ld_y, a->part & SUM_ADD);
}

INLINE void nt_columns(const int m, int64_t n, const struct nt_args *rows)
{
    struct nt_args a = *rows;
    int64_t j = 0;
    for (; j + NT_COLUMNS <= n; j += NT_COLUMNS) {
        nt_tile(m, NT_COLUMNS, &a);
        a.w += NT_COLUMNS * a.ld_w;
        a.y += NT_COLUMNS;
        a.acc += NT_COLUMNS * LANES;
    }
    for (; j < n; j++) {
        nt_tile(m, 1, &a);
        a.w += a.ld_w;
        a.y++;
        a.acc += LANES;
    }
}

static void nt(int64_t m, int64_t n, int64_t k, const float *x, int64_t ld_x, const float *w,
               int64_t ld_w, float *y, int64_t ld_y, float *acc, unsigned part)
{
    float none[1];
    struct nt_args a = {k, x, ld_x, w, ld_w, y, ld_y, acc ? acc : none, n * LANES, part};
    int64_t i = 0;
    for (; i + 4 <= m; i += 4) {
        nt_columns(4, n, &a);
        a.x += 4 * ld_x;
        a.y += 4 * ld_y;
        a.acc += 4 * a.ld_acc;
    }
    switch (m - i) {
    case 1:
        nt_columns(1, n, &a);
        break;
    case 2:
        nt_columns(2, n, &a);
        break;
    case 3:
        nt_columns(3, n, &a);
        break;
    }
}

/* ---- nt_weights: the same sums with the weights converted in registers */

struct ntw_args {
    int64_t k;
    const float *x;
    int64_t ld_x;
    const char *w;
    int64_t row_bytes;
    float *y;
    int64_t ld_y;
    bool add;
};

/* Up to LANES elements from column p on, 0 past the last. */
INLINE vf load_weights(enum dtype t, const char *row, int64_t p, int64_t left)
{
    uint16_t last[LANES] = {0};
    if (left >= LANES)
        return load_as_f32(t, row, (size_t)p);
    memcpy(last, row + 2 * p, 2 * (size_t)left);
    return load_as_f32(t, last, 0);
}

INLINE void ntw_step(const enum dtype t, const int m, const int n, const struct ntw_args *a,
                     vf s[4][4], int64_t p, int64_t left)
{
    vf wv[4];
#pragma GCC unroll 4
    for (int j = 0; j < n; j++)
        wv[j] = load_weights(t, a->w + j * a->row_bytes, p, left);
#pragma GCC unroll 4
    for (int i = 0; i < m; i++) {
        const float *x = a->x + i * a->ld_x + p;
        vf xv = left < LANES ? v_load_n(x, left) : v_load(x);
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
            s[i][j] = v_fma(xv, wv[j], s[i][j]);
    }
}

INLINE void ntw_tile(const enum dtype t, const int m, const int n, const struct ntw_args *a)
{
    vf s[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
            s[i][j] = (vf){0};
    int64_t p = 0;
    for (; p + LANES <= a->k; p += LANES)
        ntw_step(t, m, n, a, s, p, LANES);
    if (p < a->k)
        ntw_step(t, m, n, a, s, p, a->k - p);
    nt_reduce(m, n, s, a->y, a->ld_y, a->add);
}

INLINE void ntw_rows(const enum dtype t, int64_t m, const int n, const struct ntw_args *columns)
{
    struct ntw_args a = *columns;
    for (; m >= 4; m -= 4) {
        ntw_tile(t, 4, n, &a);
        a.x += 4 * a.ld_x;
        a.y += 4 * a.ld_y;
    }
    switch (m) {
    case 1:
        ntw_tile(t, 1, n, &a);
        break;
    case 2:
        ntw_tile(t, 2, n, &a);
        break;
    case 3:
        ntw_tile(t, 3, n, &a);
        break;
    }
}

INLINE void ntw_columns(const enum dtype t, int64_t m, int64_t n, struct ntw_args *a)
{
    for (; n >= NT_COLUMNS; n -= NT_COLUMNS) {
        ntw_rows(t, m, NT_COLUMNS, a);
        a->w += NT_COLUMNS * a->row_bytes;
        a->y += NT_COLUMNS;
    }
    for (; n > 0; n--) {
        ntw_rows(t, m, 1, a);
        a->w += a->row_bytes;
        a->y++;
    }
}

static void nt_weights(int64_t m, int64_t n, int64_t k, const float *x, int64_t ld_x, enum dtype t,
                       const void *w, int64_t row_bytes, float *y, int64_t ld_y, bool add)
{
    struct ntw_args a = {k, x, ld_x, w, row_bytes, y, ld_y, add};
    if (t == DT_F16)
        ntw_columns(DT_F16, m, n, &a);
    else
        ntw_columns(DT_BF16, m, n, &a);
}

/* ---- nn: up to 6 rows x NN_VECTORS vectors of columns at a time */
#define NN_VECTORS (LANES == 16 ? 4 : 2)

struct nn_args {
    int64_t k;
    const float *a;
    int64_t rs_a, cs_a;
    const float *b;
    int64_t ld_b;
    float *c;
    int64_t ld_c;
    bool add;
};

INLINE void nn_tile(const int m, const int n_vectors, const struct nn_args *g)
{
    vf s[6][4], bv[4];
#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++)
            s[i][j] = (vf){0};
    const float *a = g->a, *b = g->b;
    for (int64_t p = 0; p < g->k; p++, a += g->cs_a, b += g->ld_b) {
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++)
            bv[j] = v_load(b + j * LANES);
#pragma GCC unroll 6
        for (int i = 0; i < m; i++) {
            vf av = v_set1(a[i * g->rs_a]);
#pragma GCC unroll 4
            for (int j = 0; j < n_vectors; j++)
                s[i][j] = v_fma(av, bv[j], s[i][j]);
        }
    }
#pragma GCC unroll 6
    for (int i = 0; i < m; i++)
#pragma GCC unroll 4
        for (int j = 0; j < n_vectors; j++) {
            float *c = g->c + i * g->ld_c + j * LANES;
            v_store(c, g->add ? v_load(c) + s[i][j] : s[i][j]);
        }
}

/* The last columns, fewer than LANES. */
INLINE void nn_edge(int64_t m, int64_t n, const struct nn_args *g)
{
    for (int64_t i = 0; i < m; i++) {
        vf s = (vf){0};
        for (int64_t p = 0; p < g->k; p++)
            s = v_fma(v_set1(g->a[i * g->rs_a + p * g->cs_a]), v_load_n(g->b + p * g->ld_b, n), s);
        v_store_n(g->c + i * g->ld_c, g->add ? v_load_n(g->c + i * g->ld_c, n) + s : s, n);
    }
}

INLINE void nn_rows(int64_t m, const int n_vectors, const struct nn_args *columns)
{
    struct nn_args g = *columns;
    for (int64_t tiles = (m + 5) / 6, rows; tiles > 0; tiles--, m -= rows) {
        rows = (m + tiles - 1) / tiles; /* 8 are 4 and 4, which keep more sums going than 6 and 2 */
        switch (rows) {
        case 1:
            nn_tile(1, n_vectors, &g);
            break;
        case 2:
            nn_tile(2, n_vectors, &g);
            break;
        case 3:
            nn_tile(3, n_vectors, &g);
            break;
        case 4:
            nn_tile(4, n_vectors, &g);
            break;
        case 5:
            nn_tile(5, n_vectors, &g);
            break;
        default:
            nn_tile(6, n_vectors, &g);
        }
        g.a += rows * g.rs_a;
        g.c += rows * g.ld_c;
    }
}

static void nn(int64_t m, int64_t n, int64_t k, const float *a, int64_t rs_a, int64_t cs_a,
               const float *b, int64_t ld_b, float *c, int64_t ld_c, bool add)
{
    struct nn_args g = {k, a, rs_a, cs_a, b, ld_b, c, ld_c, add};
    const int64_t wide = NN_VECTORS * LANES;
    for (; n >= wide; n -= wide, g.b += wide, g.c += wide)
        nn_rows(m, NN_VECTORS, &g);
    if (NN_VECTORS > 2 && n >= 2 * LANES) {
        nn_rows(m, 2, &g);
        n -= 2 * LANES;
        g.b += 2 * LANES;
        g.c += 2 * LANES;
    }
    for (; n >= LANES; n -= LANES, g.b += LANES, g.c += LANES)
        nn_rows(m, 1, &g);
    if (n)
        nn_edge(m, n, &g);
}

static void transpose(float *dst, int64_t ld_dst, const float *src, int64_t ld_src, int64_t rows,
                      int64_t cols)
{
    int64_t i = 0;
    for (; i + 4 <= rows; i += 4) {
        int64_t j = 0;
        for (; j + 4 <= cols; j += 4) {
            v4 r[4];
            for (int l = 0; l < 4; l++)
                memcpy(&r[l], src + (i + l) * ld_src + j, sizeof r[l]);
            v4 a = V4_PICK(r[0], r[1], 0, 4, 1, 5);
            v4 b = V4_PICK(r[0], r[1], 2, 6, 3, 7);
            v4 c = V4_PICK(r[2], r[3], 0, 4, 1, 5);
            v4 d = V4_PICK(r[2], r[3], 2, 6, 3, 7);
            r[0] = V4_PICK(a, c, 0, 1, 4, 5);
            r[1] = V4_PICK(a, c, 2, 3, 6, 7);
            r[2] = V4_PICK(b, d, 0, 1, 4, 5);
            r[3] = V4_PICK(b, d, 2, 3, 6, 7);
            for (int l = 0; l < 4; l++)
                memcpy(dst + (j + l) * ld_dst + i, &r[l], sizeof r[l]);
        }
        for (; j < cols; j++)
            for (int l = 0; l < 4; l++)
                dst[j * ld_dst + i + l] = src[(i + l) * ld_src + j];
    }
    for (; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            dst[j * ld_dst + i] = src[i * ld_src + j];
}
