/* Products for inference: a row of the result depends on its own row of x alone, to the bit. The
 * kernels nt and nn promise that for any tile, so tiles and threads are cut as speed likes. */
#include "core/tensor/cpu/cpu.h"
#include "core/tensor/cpu/block_dot.h"

/* One tile: N_TILE weight rows x K_TILE columns, as float32 (16 KB), against T_TILE rows of x. */
#define N_TILE 8
#define K_TILE 512
#define T_TILE 64

static void rowwise_rows(const struct cpu_kernels *k, struct tensor *y, const struct tensor *x,
                         const struct tensor *w, int64_t first, int64_t last, bool add, float *tile)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    float *acc = tile + N_TILE * K_TILE;
    /* Many rows repay even a copy of float32: its rows then stand a tile apart, and not, as those
     * of a wide matrix, where they push each other out of the cache. */
    bool direct = w->dtype == DT_F32 && (rows < 16 || w->ld <= 1024);
    for (int64_t t = 0; t < rows; t += T_TILE) {
        int64_t m = rows - t < T_TILE ? rows - t : T_TILE;
        for (int64_t n = first; n < last; n += N_TILE) {
            int64_t n_tile = last - n < N_TILE ? last - n : N_TILE;
            for (int64_t c = 0; c == 0 || c < cols; c += K_TILE) {
                int64_t len = cols - c < K_TILE ? cols - c : K_TILE;
                if (!direct)
                    cpu_rows_part(k, w, n, n_tile, c, len, tile, K_TILE);
                unsigned part = (c == 0 ? SUM_FIRST : 0) | (c + len == cols ? SUM_LAST : 0) |
                                (add ? SUM_ADD : 0);
                k->nt(m, n_tile, len, cpu_row(x, t) + c, x->ld, direct ? cpu_row(w, n) + c : tile,
                      direct ? w->ld : K_TILE, cpu_row(y, t) + n, y->ld, acc, part);
            }
        }
    }
}

/* FP8 weights stand as a panel of float32, PANEL_COLS x PANEL_ROWS, their rows side by side:
 * transposed four at a time they cost no more than row by row, and sums end where they belong
 * instead of in lanes that have to be folded. Each panel's sums begin at 0, so that long rows keep
 * their precision. A panel has to fit into a first cache: 32 KB with AVX-512, 16 with AVX2. */
#define PANEL_ROWS 64
#define PANEL_COLS(k) (8 * (k)->lanes)
#define T_PANEL 256

static void panel_rows(const struct cpu_kernels *k, struct tensor *y, const struct tensor *x,
                       const struct tensor *w, int64_t first, int64_t last, bool add, float *panel)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x);
    for (int64_t t = 0; t < rows; t += T_PANEL) {
        int64_t m = rows - t < T_PANEL ? rows - t : T_PANEL;
        for (int64_t n = first; n < last; n += PANEL_ROWS) {
            int64_t n_panel = last - n < PANEL_ROWS ? last - n : PANEL_ROWS;
            for (int64_t c = 0; c == 0 || c < cols; c += PANEL_COLS(k)) {
                int64_t len = cols - c < PANEL_COLS(k) ? cols - c : PANEL_COLS(k);
                cpu_columns_part(k, w, n, n_panel, c, len, panel, PANEL_ROWS);
                k->nn(m, n_panel, len, cpu_row(x, t) + c, x->ld, 1, panel, PANEL_ROWS,
                      cpu_row(y, t) + n, y->ld, add || c > 0);
            }
        }
    }
}

/* Few rows of x repay no tile of 16-bit weights, which one or two instructions convert in
 * registers, again for every 4 rows. */
static bool convert_in_registers(const struct tensor *w, int64_t rows)
{
    return rows <= 16 && (w->dtype == DT_F16 || w->dtype == DT_BF16);
}

struct product {
    const struct cpu_kernels *k;
    struct tensor *y;
    const struct tensor *x, *w;
    bool add, few;
    float *scratch; /* [thread][part] */
    int64_t part;
};

static void product_columns(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct product *p = ctx;
    if (p->few && last > first)
        p->k->nt_weights(tensor_rows(p->x), last - first, tensor_cols(p->x), p->x->data, p->x->ld,
                         p->w->dtype, tensor_row(p->w, first), 2 * p->w->ld,
                         (float *)p->y->data + first, p->y->ld, p->add);
    else if (last > first && p->w->dtype == DT_F8_E4M3)
        panel_rows(p->k, p->y, p->x, p->w, first, last, p->add, p->scratch + i * p->part);
    else if (last > first)
        rowwise_rows(p->k, p->y, p->x, p->w, first, last, p->add, p->scratch + i * p->part);
}

void cpu_matmul_rowwise(struct device *d, struct tensor *y, const struct tensor *x,
                        const struct tensor *w, unsigned flags)
{
    struct product p = {cpu_kernels_of(d), y, x, w, flags & MATMUL_ADD, false, NULL, 0};
    p.few = convert_in_registers(w, tensor_rows(x));
    int64_t tile = N_TILE * (K_TILE + T_TILE * p.k->lanes), panel = PANEL_ROWS * PANEL_COLS(p.k);
    p.scratch = cpu_scratch_parts(d, tile > panel ? tile : panel, &p.part);
    cpu_split(cpu_threads(d, tensor_n(w) * tensor_rows(x)), tensor_rows(w), N_TILE, product_columns,
              &p);
}

/* A tile of w for dx: rows to sum over x columns of dx. */
#define SUM_TILE 64
#define COL_TILE 256

struct product_dx {
    const struct cpu_kernels *k;
    struct tensor *dx;
    const struct tensor *dy, *w;
    bool add;
    float *scratch;
    int64_t part;
};

static void dx_columns(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct product_dx *p = ctx;
    const struct tensor *w = p->w, *dx = p->dx, *dy = p->dy;
    int64_t n_sum = tensor_rows(w);
    bool direct = w->dtype == DT_F32;
    float *tile = p->scratch + i * p->part;
    for (int64_t c = first; c < last; c += COL_TILE) {
        int64_t len = last - c < COL_TILE ? last - c : COL_TILE;
        for (int64_t n = 0; n == 0 || n < n_sum; n += SUM_TILE) {
            int64_t m = n_sum - n < SUM_TILE ? n_sum - n : SUM_TILE;
            if (!direct)
                cpu_rows_part(p->k, w, n, m, c, len, tile, COL_TILE);
            p->k->nn(tensor_rows(dx), len, m, (float *)dy->data + n, dy->ld, 1,
                     direct ? cpu_row(w, n) + c : tile, direct ? w->ld : COL_TILE,
                     (float *)dx->data + c, dx->ld, n > 0 || p->add);
        }
    }
}

void cpu_matmul_dx_rowwise(struct device *d, struct tensor *dx, const struct tensor *dy,
                           const struct tensor *w, unsigned flags)
{
    struct product_dx p = {cpu_kernels_of(d), dx, dy, w, flags & MATMUL_ADD, NULL, 0};
    p.scratch = cpu_scratch_parts(d, SUM_TILE * COL_TILE, &p.part);
    cpu_split(cpu_threads(d, tensor_n(dx) * tensor_rows(w)), tensor_cols(dx), 64, dx_columns, &p);
}

/* Block-quantized weights: x is rounded once, then rows of w are split over threads. */
struct block_product {
    struct tensor *y;
    const struct tensor *x, *w;
    char *acts; /* x as w's type wants it, act_bytes a row */
    int64_t act_bytes;
    bool add;
};

static void encode_rows(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct block_product *p = ctx;
    (void)i;
    for (int64_t t = first; t < last; t++)
        block_act_encode(p->w->dtype, cpu_row(p->x, t), p->acts + t * p->act_bytes,
                         tensor_cols(p->x));
}

static void block_columns(const void *ctx, int64_t first, int64_t last, int i)
{
    const struct block_product *p = ctx;
    (void)i;
    if (last > first)
        block_dot_rows(p->w->dtype, tensor_row(p->w, first), last - first, p->acts,
                       tensor_rows(p->x), tensor_cols(p->x), (float *)p->y->data + first, p->y->ld,
                       p->add);
}

void cpu_matmul_blocks(struct device *d, struct tensor *y, const struct tensor *x,
                       const struct tensor *w, unsigned flags)
{
    int64_t rows = tensor_rows(x), cols = tensor_cols(x), n = tensor_rows(w);
    struct block_product p = {y, x, w, NULL, 0, flags & MATMUL_ADD};
    p.act_bytes = (int64_t)block_act_bytes(w->dtype, cols);
    p.acts = cpu_scratch(d, (size_t)(p.act_bytes * rows));
    cpu_split(cpu_threads(d, rows * cols), rows, 1, encode_rows, &p);
    cpu_split(cpu_threads(d, rows * cols * n / 2), n, 16, block_columns, &p);
}
