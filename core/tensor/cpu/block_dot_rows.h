/* The loops over rows that the vector versions of block_dot share, each compiling them for its own
 * target. Before it stand TARGET, INLINE, TILE, CHUNK, struct group, unpack, dot_group and
 * sum_lanes; VEC, its VEC_ZERO, and BLOCK_DOT, the function's name. No include guard: one inclusion
 * a version. */
/* One weight row with nt <= TILE activation rows. */
INLINE void dot_row(enum dtype t, const struct block_job *job, int64_t n, int64_t t0, int nt)
{
    const uint8_t *row = job->weights + (uint64_t)n * job->row_bytes;
    const struct act_block *a = job->acts + t0 * job->n_groups;
    const int group_bytes = t == DT_Q4_K   ? (int)sizeof(struct block_q4_k)
                            : t == DT_Q6_K ? (int)sizeof(struct block_q6_k)
                            : t == DT_Q4_0 ? 8 * (int)sizeof(struct block_q4_0)
                            : t == DT_Q5_0 ? 8 * (int)sizeof(struct block_q5_0)
                                           : 8 * (int)sizeof(struct block_q8_0);
    VEC acc[TILE];
    for (int i = 0; i < nt; i++)
        acc[i] = VEC_ZERO;
    struct group g;
    for (int64_t b = 0; b < job->n_groups; b++, row += group_bytes, a++) {
        unpack(t, row, b + 1 < job->n_groups ? 8 : (int)job->n_last, &g);
        for (int i = 0; i < nt; i++)
            acc[i] = dot_group(t, &g, a + i * job->n_groups, acc[i]);
    }
    for (int i = 0; i < nt; i++) {
        float *y = job->y + (t0 + i) * job->ld_y + n, v = sum_lanes(acc[i]);
        *y = job->add ? *y + v : v;
    }
}

/* A chunk of activations stays in the cache while all weight rows pass by. */
INLINE void dot_all(enum dtype t, const struct block_job *job)
{
    for (int64_t c = 0; c < job->T; c += CHUNK)
        for (int64_t n = 0; n < job->n_rows; n++) {
            int64_t end = c + CHUNK < job->T ? c + CHUNK : job->T, t0 = c;
            for (; t0 + TILE <= end; t0 += TILE)
                dot_row(t, job, n, t0, TILE);
            if (end - t0 == 1)
                dot_row(t, job, n, t0, 1);
            else if (end > t0)
                dot_row(t, job, n, t0, (int)(end - t0));
        }
}

TARGET static void dot_q4_0(const struct block_job *job)
{
    dot_all(DT_Q4_0, job);
}

TARGET static void dot_q5_0(const struct block_job *job)
{
    dot_all(DT_Q5_0, job);
}

TARGET static void dot_q8_0(const struct block_job *job)
{
    dot_all(DT_Q8_0, job);
}

TARGET static void dot_q4_k(const struct block_job *job)
{
    dot_all(DT_Q4_K, job);
}

TARGET static void dot_q6_k(const struct block_job *job)
{
    dot_all(DT_Q6_K, job);
}

void BLOCK_DOT(enum dtype w, const struct block_job *job)
{
    switch (w) {
    case DT_Q4_0:
        dot_q4_0(job);
        break;
    case DT_Q5_0:
        dot_q5_0(job);
        break;
    case DT_Q8_0:
        dot_q8_0(job);
        break;
    case DT_Q4_K:
        dot_q4_k(job);
        break;
    case DT_Q6_K:
        dot_q6_k(job);
        break;
    default:
        break;
    }
}
