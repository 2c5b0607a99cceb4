/* Duplicates: prompts that ask the same, and traces that say the same to the same prompt. They are
 * marked (kind "duplicate", reason "the same words as trace 17" or "Jaccard 0.87 with trace 17"),
 * never deleted.
 *
 * Of those alike one is kept, the best: texts come in an order of preference, and one becomes a
 * duplicate when a text that was kept before it is alike. So every duplicate is itself alike to the
 * text that its mark names, and that text is no duplicate: nothing is merged through a chain of
 * resemblances. The order:
 *
 * - prompts: those with a good trace, then with any trace, then with a gold answer, then by id;
 * - traces: the good ones of kept prompts, the good ones of duplicate prompts, the rest; by id.
 *
 * Good is what v_traces calls so, but without regard to older marks of this kind: a second run says
 * the same as the first. Alike is
 *
 * - exact: the same words between white space, whatever their case (compared by 128-bit hashes), or
 * - near: a Jaccard index of the sets of 5-word runs (dataset/minhash.h) of at least the threshold.
 *   Candidates come from MinHash signatures; the index itself is then computed from the texts, so
 *   nothing is marked by an estimate. Of pairs just at the threshold one in 300 may be missed, of
 *   closer ones fewer.
 *
 * Prompts that are near, but whose gold answers are known and differ, are variants with other
 * numbers: not marked. Traces are compared by reasoning and answer, within a prompt and its
 * duplicates; with any_prompt all with all.
 *
 * Memory: bytes_per_text for each text, 16 MiB of texts at a time, and SQLite's cache.
 * Deterministic; threads only compute signatures. Readers and writers of the corpus are not kept
 * waiting. */
#ifndef DECANT_DATASET_DEDUP_H
#define DECANT_DATASET_DEDUP_H

#include "dataset/corpus.h"

#define DEDUP_VERSION 1
#define DEDUP_KIND "duplicate"

struct dedup_options {
    bool prompts, traces; /* which of them are marked */
    bool any_prompt;
    bool exact_only;
    double threshold; /* 0.5 to 1 */
};
struct dedup_count {
    int64_t n_texts, n_exact, n_near;
    int64_t n_variants; /* near, with another gold answer: not marked */
    int64_t n_cut;      /* texts for which a search had to stop at LSH_MAX_CHAIN */
    struct marks_summary marks;
};
struct dedup_summary {
    struct dedup_count prompts, traces; /* prompts are looked at for the traces' sake as well */
    int64_t bytes_per_text, peak_bytes; /* of the index */
    int n_bands, n_rows;                /* 0: exact only */
};
/* on_progress (may be NULL): when it returns false the work stops with ERR_STOPPED and nothing is
 * changed. Must not be called within corpus_begin. */
err_code corpus_dedup(struct corpus *c, const struct dedup_options *opt,
                      bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                      struct dedup_summary *out, struct err *e);

#endif
