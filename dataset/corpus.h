/* The corpus: prompts, requests, traces and verdicts in one SQLite file (docs/corpus.md and
 * dataset/schema.sql document it for a person with sqlite3). This room is the only user of SQLite.
 *
 *     struct corpus *c;
 *     if ((rc = corpus_open("traces.db", CORPUS_CREATE, &c, e))) return rc;
 *     rc = corpus_import(c, "train.jsonl", &opt, &sum, e);              // dataset/import.h
 *     rc = corpus_request(c, "{\"teacher\":\"r1\",\"temperature\":0.6}", &request, e);
 *
 *     ...what is still to be made: dataset/missing.h...
 *     corpus_begin, corpus_add_trace ..., corpus_commit
 *
 *     struct corpus_select *s;                                          // for training, export
 *     rc = corpus_select_open(c, "correct", &s, e);
 *     while (!(rc = corpus_select_next(s, &row, &more, e)) && more) ...
 *     corpus_select_close(s);
 *     corpus_close(c);
 *
 * A trace is unique by (prompt, request, sample index): a second run with the same request makes
 * only what is missing, and raising the number of samples makes only the new ones. A trace counts
 * as done when its transaction is committed: commits are durable (WAL with synchronous=FULL, so the
 * log is flushed to disk at each commit; with NORMAL a power cut could take back traces that were
 * reported, and perhaps paid for). Group some tens of traces in one commit when they come quickly.
 *
 * A corpus may be used from one thread at a time. One process writes at a time; others may read.
 * Strings that are not valid UTF-8 are stored with U+FFFD for each bad byte (and for NUL). */
#ifndef DECANT_DATASET_CORPUS_H
#define DECANT_DATASET_CORPUS_H

#include "core/base/mem.h"
#include "dataset/verdict.h"

struct corpus;

enum corpus_mode {
    CORPUS_READ,   /* must exist; never written */
    CORPUS_WRITE,  /* must exist */
    CORPUS_CREATE, /* made when absent */
};
/* Refuses, naming the file and the remedy: a file that is no database, another program's database,
 * a damaged one (ERR_FORMAT), one of a newer decant (ERR_UNSUPPORTED), one that another process is
 * writing for longer than 10 s (ERR_STATE). An older schema is migrated when opened for writing. */
err_code corpus_open(const char *path, enum corpus_mode mode, struct corpus **out, struct err *e);
void corpus_close(struct corpus *c);
/* corpus_close, after an error: a file that this connection made and that holds no prompt goes. */
void corpus_discard(struct corpus *c);
const char *corpus_path(const struct corpus *c);
/* Claims the corpus until it is closed, or the process ends in whatever way: alone, or beside
 * others that claim it too. *claimed false: another process has claimed it, and one of the two
 * wants to be alone. Nobody is kept from reading or writing. */
err_code corpus_claim(struct corpus *c, bool alone, bool *claimed, struct err *e);

/* One transaction around many additions. Without it each addition commits by itself. Closing the
 * corpus within one rolls it back. corpus_import, corpus_verify and corpus_stats bring their own:
 * they must not be called within one. Selections see what is committed. */
err_code corpus_begin(struct corpus *c, struct err *e);
/* After a commit, by who goes on writing at once: where another process waits in corpus_begin, a
 * moment in which it can begin. */
void corpus_give_turn(struct corpus *c);
err_code corpus_commit(struct corpus *c, struct err *e);
void corpus_rollback(struct corpus *c);

/* Prompts are unique by canonical text: CRLF and CR become LF, outer white space (space, \t, \n,
 * \v, \f, \r) goes; nothing else changes. Empty text is ERR_USAGE. */
struct corpus_prompt {
    const char *text, *gold; /* gold: the final answer that is right; NULL when not known */
    size_t n_text, n_gold;
    const char *source;     /* where it came from; may be NULL */
    const char *extra_json; /* the source's other fields, an object; may be NULL */
};
/* *added false: the text was there already; its gold answer is filled in when it had none, and kept
 * when it differs (then *conflict, which may be NULL, is true). */
err_code corpus_add_prompt(struct corpus *c, const struct corpus_prompt *p, int64_t *id,
                           bool *added, bool *conflict, struct err *e);
/* Marks a prompt as wanted by this run (in this connection only; twice is fine). */
err_code corpus_want(struct corpus *c, int64_t prompt_id, struct err *e);

/* The id of a request: a JSON object of everything that decides what a teacher would say: the
 * teacher ("teacher", and for a local one a hash of its config), sampling parameters, max_tokens,
 * chat form, system prompt, seed. Not concurrency, limits, or the number of samples. It is stored
 * in canonical form (sorted keys, no white space, shortest numbers), so key order does not matter.
 * Its "teacher" (a string) is required: views and statistics group by it. */
err_code corpus_request(struct corpus *c, const char *json, int64_t *id, struct err *e);

/* A trace as it is added. Strings are copied; NULL is stored as NULL, except reasoning and answer,
 * which become "". Counts and amounts below 0 are stored as NULL (not known). */
struct corpus_trace {
    int64_t prompt_id, request_id, sample_index;
    const char *reasoning, *answer; /* without the tags; bytes, any content */
    size_t n_reasoning, n_answer;
    const char *finish_reason; /* "stop", "length", "content_filter", ...: required */
    int64_t n_prompt_tokens, n_reasoning_tokens, n_completion_tokens; /* completion: all of it */
    int64_t n_cached_tokens;                                          /* of the prompt's */
    double cost_usd, latency_ms;
    const char *served_model; /* the name that the server returned, or the local path */
    const char *params_json;  /* exactly what was sent */
    const char *think_rule;   /* which rule found the reasoning: "reasoning_content", "tag", ... */
    const char *endpoint;     /* base URL, never with a key; NULL for a local teacher */
    const char *extra_json;   /* whatever else the answer carried; may be NULL */
    const char *created_at;   /* UTC, ISO 8601, and which decant made it: NULL: now, and this one */
    const char *program;
    bool has_seed;
    uint64_t seed; /* stored as the signed number with the same bits */
};
/* Stores the trace and its verdicts (against the prompt's gold answer). *added false: this sample
 * was there already and stays as it was. v and added may be NULL. */
err_code corpus_add_trace(struct corpus *c, const struct corpus_trace *t, int64_t *id, bool *added,
                          struct verdicts *v, struct err *e);

/* Log-probabilities of a trace's tokens (format: core/lm/logprobs.h names it); k candidates a
 * token. To be called in the transaction that adds the trace; what is there already stays. */
err_code corpus_add_logprobs(struct corpus *c, int64_t trace_id, const char *format, int64_t k,
                             int64_t n_tokens, const void *data, size_t n, struct err *e);

/* Those of a trace; *found false: it has none. The caller disposes of data. */
struct corpus_logprobs {
    char format[16];
    int64_t k, n_tokens;
    struct buf data;
};
err_code corpus_logprobs_of(struct corpus *c, int64_t trace_id, struct corpus_logprobs *out,
                            bool *found, struct err *e);

/* A sample that was asked for and gave no trace, or did so only after tries that cost something.
 * One row a sample: added again it adds up tries and money, takes the newer endpoint, status and
 * message, and keeps the longer text. */
struct corpus_failure {
    int64_t prompt_id, request_id, sample_index;
    const char *endpoint; /* base URL, never with a key; may be NULL */
    int status;           /* of the last try; 0: none came */
    const char *message;  /* required */
    int64_t n_tries;
    double cost_usd;                /* of the tries that gave no trace; below 0: not known */
    const char *reasoning, *answer; /* of the try that came furthest; may be NULL */
    size_t n_reasoning, n_answer;
};
/* The message of what is no failure, but has its price all the same. */
#define CORPUS_CANARY_REPEAT "a short repeat of the canary"
err_code corpus_add_failure(struct corpus *c, const struct corpus_failure *f, struct err *e);

/* What was paid so far: the cost of all traces and failures of a request (0: of the whole corpus),
 * as far as it is known. Sees what this connection has added, committed or not. */
err_code corpus_spent(struct corpus *c, int64_t request_id, double *usd, struct err *e);

/* Marks: verdict rows of a kind of one's own (duplicate, contaminated, ...), on traces or on
 * prompts. Marks on a prompt hold for all of its traces, those to come included. A pass over the
 * corpus says all that is to be marked with the kind; what was marked before and is not said again
 * is cleared at the end.
 *
 *     struct corpus_marks *m;
 *     if ((rc = corpus_marks_begin(c, "duplicate", CORPUS_MARK_TRACES, version, &m, e))) return rc;
 *     while (...) if ((rc = corpus_mark(m, row.id, "the same text as trace 17", e))) break;
 *     if (!rc) rc = corpus_marks_commit(m, &sum, e);       // all of it or nothing
 *     corpus_marks_end(m);                                 // without a commit nothing has changed
 *
 * Until the commit they stand in a temporary table (a file when they are many): the corpus is
 * neither locked nor changed, and selections see the marks of before. Must not be called within
 * corpus_begin. Several kinds may be under way at once. */
enum corpus_mark_on { CORPUS_MARK_TRACES, CORPUS_MARK_PROMPTS };
struct corpus_marks;
struct marks_summary {
    int64_t n_marked;  /* rows of the kind there are now */
    int64_t n_new;     /* of them, those that were not there before */
    int64_t n_cleared; /* rows of before that are gone */
};
/* ERR_USAGE for a kind that corpus_verify writes itself; kinds are lower case, digits, _ and :. */
err_code corpus_marks_begin(struct corpus *c, const char *kind, enum corpus_mark_on on, int version,
                            struct corpus_marks **out, struct err *e);
/* reason may be NULL. Marked twice, the last reason stays. */
err_code corpus_mark(struct corpus_marks *m, int64_t id, const char *reason, struct err *e);
err_code corpus_marks_commit(struct corpus_marks *m, struct marks_summary *sum, struct err *e);
/* One mark on a trace that was just added, as another corpus had it; a kind that is decant's own
 * verdict, or no kind's name, is passed over. The next pass of that kind decides anew. */
err_code corpus_add_mark(struct corpus *c, int64_t trace_id, const char *kind, struct err *e);
/* Several kinds in one transaction; NULL ones are passed over. */
err_code corpus_marks_commit_all(struct corpus_marks *const *marks, int n,
                                 struct marks_summary *const *sums, struct err *e);
void corpus_marks_end(struct corpus_marks *m);
/* The marks against a trace, its own and then its prompt's, by kind. Strings (reason may be NULL)
 * are valid during the call of on_mark, whose error ends it. */
struct corpus_mark_row {
    const char *kind, *reason;
    enum corpus_mark_on on;
};
err_code corpus_marks_of(struct corpus *c, int64_t trace_id,
                         err_code (*on_mark)(void *ctx, const struct corpus_mark_row *m,
                                             struct err *e),
                         void *ctx, struct err *e);
/* Takes all marks of the kind away. */
err_code corpus_marks_clear(struct corpus *c, const char *kind, enum corpus_mark_on on,
                            struct marks_summary *sum, struct err *e);

/* Selections: "correct" (the answer is right and nothing is marked against the trace), "all", or
 * an SQL condition on the view v_traces (docs/corpus.md), such as "verdict = 'correct' AND
 * n_completion_tokens < 4000". Runs on a read-only connection that may do nothing but read, in one
 * snapshot: traces added meanwhile are not seen. Order: prompt, request, sample index. */
struct corpus_select;
struct corpus_row {
    int64_t id, prompt_id, request_id, sample_index;
    const char *prompt, *gold, *source, *request, *teacher; /* gold, source may be NULL */
    const char *reasoning, *answer, *finish_reason;
    size_t n_prompt, n_gold, n_reasoning, n_answer;
    int64_t n_prompt_tokens, n_cached_tokens, n_reasoning_tokens, n_completion_tokens; /* -1: not
                                                                                          known */
    double cost_usd, latency_ms; /* -1: not known */
    const char *served_model, *params_json, *think_rule, *endpoint, *created_at, *program;
    const char *verdict; /* "correct", "wrong", "unknown"; NULL: not verified */
    const char *verdict_reason;
    bool truncated, refused, empty, no_think, repetition, lossy;
    const char
        *marks; /* all kinds against the trace or its prompt, "no_think,truncated"; or NULL */
    const char *extra_json; /* may be NULL */
    bool has_seed;
    uint64_t seed;
};
err_code corpus_select_open(struct corpus *c, const char *selection, struct corpus_select **out,
                            struct err *e);
/* Strings of row are valid until the next call. */
err_code corpus_select_next(struct corpus_select *s, struct corpus_row *row, bool *more,
                            struct err *e);
/* A hash of what was read so far (prompts, reasoning, answers, in order): two selections with the
 * same hash train the same. Independent of ids and times. */
uint64_t corpus_select_hash(const struct corpus_select *s);
int64_t corpus_select_count(const struct corpus_select *s); /* rows read so far */
void corpus_select_close(struct corpus_select *s);
/* The traces' ids alone, in no order: only what the condition itself speaks of is read. Verdicts of
 * the kind hidden (NULL: none) are as if they were not there. */
err_code corpus_select_open_ids(struct corpus *c, const char *selection, const char *hidden,
                                struct corpus_select **out, struct err *e);
err_code corpus_select_next_id(struct corpus_select *s, int64_t *id, bool *more, struct err *e);
/* How many traces a selection holds. */
err_code corpus_count(struct corpus *c, const char *selection, int64_t *n, struct err *e);
/* For a selection that holds nothing: what the corpus has instead, and what would help. */
enum { CORPUS_EXPLAIN = 320 };
err_code corpus_explain_none(struct corpus *c, char out[CORPUS_EXPLAIN], struct err *e);
err_code corpus_count_prompts(struct corpus *c, int64_t *n, struct err *e);

/* Recomputes the verdicts of all traces on n_threads threads (0: all cores), each reading over a
 * connection of its own. on_progress (may be NULL) is called now and then, on the caller's thread;
 * when it returns false the work stops with ERR_STOPPED, what was judged stays. Traces whose
 * verdicts come out as they were are not written. */
struct corpus_verified {
    int64_t n_traces, n_changed, n_correct, n_wrong, n_unknown, n_truncated, n_refused, n_empty,
        n_no_think, n_repetition;
};
err_code corpus_verify(struct corpus *c, int n_threads,
                       bool (*on_progress)(void *ctx, int64_t done, int64_t total), void *ctx,
                       struct corpus_verified *out, struct err *e);

/* SQLite's own integrity check and the references between tables. ERR_FORMAT with the first
 * finding. */
err_code corpus_check(struct corpus *c, struct err *e);
/* The same with all findings (at most 100 of a kind), each given to on_finding, whose error ends
 * it; the result is ERR_OK also when there are findings. */
struct corpus_checked {
    int64_t schema_version, n_pages, n_bytes;
    bool has_log; /* a write-ahead log stands beside the file */
    int64_t n_damaged,
        n_dangling; /* findings of either kind; dangling is not looked for in damage */
    int64_t n_traces, n_unjudged; /* unjudged: no answer's verdict, or of another version's rules */
};
err_code corpus_check_all(struct corpus *c,
                          err_code (*on_finding)(void *ctx, const char *text, struct err *e),
                          void *ctx, struct corpus_checked *out, struct err *e);

/* Appends a JSON value in canonical form: keys sorted by bytes, no white space, shortest numbers
 * that read back the same. An object with a key twice is ERR_FORMAT. */
err_code corpus_canonical_json(const char *name, const char *json, size_t n, struct buf *out,
                               struct err *e);

#endif
