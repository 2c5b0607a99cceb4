/* A corpus in a directory of its own, for cmocka tests; test_*.c includes it after cmocka.h. */
#ifndef DECANT_TESTS_DATASET_FIXTURE_H
#define DECANT_TESTS_DATASET_FIXTURE_H

#include "core/base/file.h"
#include "dataset/corpus.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    char dir[64], db[96], file[96];
    struct corpus *c;
    struct err e;
};

static inline int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f)
        return -1;
    strcpy(f->dir, "/tmp/decant-corpus-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->db, sizeof f->db, "%s/c.db", f->dir);
    snprintf(f->file, sizeof f->file, "%s/p.jsonl", f->dir);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    corpus_close(f->c);
    file_remove_tree(f->dir, NULL);
    free(f);
    return 0;
}

#define ok(f, call)                                                                                \
    do {                                                                                           \
        (f)->e.msg[0] = 0;                                                                         \
        if (call)                                                                                  \
            fail_msg("%s", (f)->e.msg);                                                            \
    } while (0)

static inline void open_new(struct fixture *f)
{
    ok(f, corpus_open(f->db, CORPUS_CREATE, &f->c, &f->e));
}

static inline int64_t add_prompt(struct fixture *f, const char *text, const char *gold, bool *added)
{
    struct corpus_prompt p = {
        .text = text, .n_text = strlen(text), .gold = gold, .n_gold = gold ? strlen(gold) : 0};
    int64_t id = -1;
    bool unused;
    ok(f, corpus_add_prompt(f->c, &p, &id, added ? added : &unused, NULL, &f->e));
    return id;
}

static inline int64_t add_request(struct fixture *f, const char *json)
{
    int64_t id = -1;
    ok(f, corpus_request(f->c, json, &id, &f->e));
    return id;
}

/* A trace with the usual fields; finish NULL: "stop". */
static inline int64_t add_trace_as(struct fixture *f, int64_t prompt, int64_t request,
                                   int64_t sample, const char *reasoning, const char *answer,
                                   const char *finish, bool *added)
{
    int64_t id = -1;
    bool unused;
    struct corpus_trace t = {.prompt_id = prompt,
                             .request_id = request,
                             .sample_index = sample,
                             .reasoning = reasoning,
                             .n_reasoning = strlen(reasoning),
                             .answer = answer,
                             .n_answer = strlen(answer),
                             .finish_reason = finish ? finish : "stop",
                             .n_prompt_tokens = 3,
                             .n_reasoning_tokens = -1,
                             .n_completion_tokens = 9,
                             .n_cached_tokens = -1,
                             .cost_usd = -1,
                             .latency_ms = 2.5,
                             .has_seed = true,
                             .seed = UINT64_MAX - (uint64_t)sample};
    ok(f, corpus_add_trace(f->c, &t, &id, added ? added : &unused, NULL, &f->e));
    return id;
}

static inline bool add_trace(struct fixture *f, int64_t prompt, int64_t request, int64_t sample,
                             const char *reasoning, const char *answer)
{
    bool added;
    add_trace_as(f, prompt, request, sample, reasoning, answer, NULL, &added);
    return added;
}

/* What a selection holds, as "prompt.sample prompt.sample ..."; in static memory. */
static inline char *selected(struct fixture *f, const char *selection, uint64_t *hash)
{
    static char text[1024];
    struct corpus_select *s;
    struct corpus_row r;
    bool more;
    size_t n = 0;
    text[0] = 0;
    ok(f, corpus_select_open(f->c, selection, &s, &f->e));
    for (;;) {
        ok(f, corpus_select_next(s, &r, &more, &f->e));
        if (!more)
            break;
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s.%lld", n ? " " : "", r.prompt,
                              (long long)r.sample_index);
    }
    if (hash)
        *hash = corpus_select_hash(s);
    corpus_select_close(s);
    return text;
}

/* SQL past decant, on a connection of its own. */
static inline void sql(struct fixture *f, const char *text)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    char *msg = NULL;
    if (sqlite3_exec(db, text, NULL, NULL, &msg) != SQLITE_OK)
        fail_msg("%s", msg);
    sqlite3_close(db);
}

/* The first column of a query's rows, joined by "; "; in static memory. */
static inline char *ask(struct fixture *f, const char *query)
{
    static char text[16384];
    sqlite3 *db;
    sqlite3_stmt *st;
    size_t n = 0;
    text[0] = 0;
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, query, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", query, sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW && n < sizeof text - 1) {
        const char *s = (const char *)sqlite3_column_text(st, 0);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s", n ? "; " : "", s ? s : "NULL");
    }
    sqlite3_finalize(st);
    sqlite3_close(db);
    return text;
}

static inline void write_file(const char *path, const char *text, size_t n)
{
    struct err e;
    if (file_replace(path, text, n, &e))
        fail_msg("%s", e.msg);
}

#endif
