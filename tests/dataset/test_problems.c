/* Problem files: the forms that are read, and hostile ones. Import and export over them. */
#include "dataset/problems.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "dataset/import.h"
#include "dataset/missing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

struct fixture {
    char dir[64], db[96], file[96], out[96];
    struct corpus *c;
    struct err e;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/decant-problems-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->db, sizeof f->db, "%s/c.db", f->dir);
    snprintf(f->file, sizeof f->file, "%s/p.jsonl", f->dir);
    snprintf(f->out, sizeof f->out, "%s/out.jsonl", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    corpus_close(f->c);
    file_remove_tree(f->dir, NULL);
    free(f);
    return 0;
}

#define ok(f, call)                                                                                \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s", (f)->e.msg);                                                            \
    } while (0)

static void write_n(struct fixture *f, const char *text, size_t n)
{
    FILE *file = fopen(f->file, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void test_named_fields(void **state)
{
    struct fixture *f = *state;
    struct problem_fields names = {.prompt = "Aufgabe", .gold = "x.y"};
    struct problems *p;
    struct problem q;
    bool more;
    const char *text =
        "{\"prompt\": \"not this\", \"Aufgabe\": \"a\", \"x\": {\"y\": 7}}\n{\"prompt\": \"p\"}";
    write_n(f, text, strlen(text));
    ok(f, problems_open(f->file, &names, &p, &f->e));
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_true(more);
    assert_string_equal(q.prompt, "a");
    assert_string_equal(q.gold, "7");
    assert_int_equal(problems_next(p, &q, &more, &f->e), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "has no \"Aufgabe\""));
    problems_close(p);
}

static void test_forms(void **state)
{
    struct fixture *f = *state;
    struct problems *p;
    struct problem q;
    bool more;
    const char *text =
        "\xEF\xBB\xBF{\"question\": \"How many?\", \"answer\": \"48/2=24\\n#### 1,024\"}\r\n"
        "\n  \t\n"
        "{\"problem\": \"\\u00e9\\n?\", \"answer\": 12.5, \"level\": 3, \"tags\": [\"a\"]}\n"
        "{\"prompt\": \"Say.\", \"answer\": null}\n"
        "{\"prompt\": \"p\", \"question\": \"q\", \"answer\": \"\\\\boxed{7} \"}"; /* no \n */
    write_n(f, text, strlen(text));
    ok(f, problems_open(f->file, NULL, &p, &f->e));
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_true(more && q.line == 1);
    assert_string_equal(q.prompt, "How many?");
    assert_string_equal(q.gold, "1,024");
    assert_string_equal(q.extra, "{\"answer\":\"48/2=24\\n#### 1,024\"}");
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_int_equal(q.line, 4);
    assert_string_equal(q.prompt, "\u00e9\n?");
    assert_string_equal(q.gold, "12.5");
    assert_string_equal(q.extra, "{\"level\":3,\"tags\":[\"a\"]}");
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_null(q.gold);
    assert_null(q.extra);
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_string_equal(q.prompt, "p");
    assert_string_equal(q.gold, "7");
    assert_true(more);
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_false(more);
    problems_close(p);
}

struct bad {
    const char *text, *part; /* part of the message */
    size_t n;                /* 0: strlen */
};

static void test_bad_lines_are_named(void **state)
{
    struct fixture *f = *state;
    static const char good[] = "{\"prompt\": \"a\"}\n";
    const struct bad bad[] = {
        {"{\"prompt\": \"cut", "not valid JSON", 0},
        {"{\"prompt\": \"a\"} x", "not valid JSON", 0},
        {"[1]", "not a JSON object", 0},
        {"\"text\"", "not a JSON object", 0},
        {"text", "not valid JSON", 0},
        {"{}", "has none of", 0},
        {"{\"Aufgabe\": \"a\"}", "its fields are \"Aufgabe\"; --prompt-field NAME takes another",
         0},
        {"{\"prompt\": 3}", "should be a string", 0},
        {"{\"prompt\": null}", "should be a string", 0},
        {"{\"prompt\": [\"a\"]}", "should be a string", 0},
        {"{\"prompt\": \" \\n\\t\"}", "is empty", 0},
        {"{\"prompt\": \"a\", \"answer\": [1]}", "\"answer\" should be", 0},
        {"{\"prompt\": \"a\", \"answer\": true}", "\"answer\" should be", 0},
        {"{\"prompt\": \"a\", \"answer\": 1e300}", "write it as a string", 0},
        {"{\"prompt\": \"a\xff\"}", "byte 14 is not valid UTF-8", 0},
        {"{\"prompt\": \"\xed\xa0\x80\"}", "not valid UTF-8", 0},
        {"{\"prompt\": \"a\\u0000b\"}", "\\u0000", 0},
        {"{\"prompt\": \"a\0b\"}", "NUL", 16},
        {"\0", "NUL", 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct problems *p;
        struct problem q;
        struct buf text = {0};
        char place[128];
        bool more;
        ok(f, buf_str(&text, good, &f->e));
        ok(f, buf_add(&text, bad[i].text, bad[i].n ? bad[i].n : strlen(bad[i].text), &f->e));
        ok(f, buf_str(&text, "\n", &f->e));
        write_n(f, text.data, text.len);
        buf_dispose(&text);
        ok(f, problems_open(f->file, NULL, &p, &f->e));
        ok(f, problems_next(p, &q, &more, &f->e));
        err_code rc = problems_next(p, &q, &more, &f->e);
        snprintf(place, sizeof place, "%s:2: ", f->file);
        if (rc != ERR_FORMAT || !strstr(f->e.msg, bad[i].part) || !strstr(f->e.msg, place))
            fail_msg("case %zu: %d %s", i, rc, f->e.msg);
        problems_close(p);
    }
    /* an escaped backslash before u0000 is text */
    struct problems *p;
    struct problem q;
    bool more;
    write_n(f, "{\"prompt\": \"\\\\u0000\"}", 21);
    ok(f, problems_open(f->file, NULL, &p, &f->e));
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_string_equal(q.prompt, "\\u0000");
    problems_close(p);
    assert_int_equal(problems_open("/nonexistent/x.jsonl", NULL, &p, &f->e), ERR_NOTFOUND);
    assert_int_equal(problems_open("/tmp", NULL, &p, &f->e), ERR_IO);
}

static void test_a_huge_line(void **state)
{
    struct fixture *f = *state;
    struct problems *p;
    struct problem q;
    bool more;
    size_t n = (size_t)6 << 20;
    char *text = malloc(n);
    memset(text, 'a', n);
    memcpy(text, "{\"prompt\": \"", 12);
    write_n(f, text, n);
    assert_int_equal(truncate(f->file, (65 << 20) + 1), 0); /* a hole, read as zeros */
    ok(f, problems_open(f->file, NULL, &p, &f->e));
    assert_int_equal(problems_next(p, &q, &more, &f->e), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "64 MiB"));
    problems_close(p);
    memcpy(text + (5 << 20), "\"}\n", 3); /* a line of 5 MiB is fine */
    write_n(f, text, (5 << 20) + 3);
    ok(f, problems_open(f->file, NULL, &p, &f->e));
    ok(f, problems_next(p, &q, &more, &f->e));
    assert_int_equal(q.n_prompt, (5 << 20) - 12);
    problems_close(p);
    /* nested too deep */
    memset(text, '[', 5000);
    write_n(f, text, 5000);
    ok(f, problems_open(f->file, NULL, &p, &f->e));
    assert_int_equal(problems_next(p, &q, &more, &f->e), ERR_FORMAT);
    problems_close(p);
    free(text);
}

static void test_random_bytes(void **state)
{
    struct fixture *f = *state;
    const char *good =
        "{\"prompt\": \"a \\u00e9 \\\\ b\", \"answer\": \"#### 7\", \"x\": {\"y\": [1, 2]}}\n";
    unsigned seed = 5;
    for (int i = 0; i < 400; i++) {
        char text[512] = "";
        struct problems *p;
        struct problem q;
        bool more;
        for (int k = 0; k < 4; k++)
            strcat(text, good);
        size_t n = strlen(text);
        for (int k = i % 9; k >= 0; k--)
            text[(size_t)rand_r(&seed) % n] = (char)rand_r(&seed);
        write_n(f, text, n - (size_t)rand_r(&seed) % n);
        ok(f, problems_open(f->file, NULL, &p, &f->e));
        while (!problems_next(p, &q, &more, &f->e) && more)
            assert_int_equal(strlen(q.prompt), q.n_prompt);
        problems_close(p);
    }
}

static int64_t n_wanted(struct fixture *f)
{
    struct missing_options o = {.n_samples = 3};
    struct missing_counts k;
    struct missing *m;
    ok(f, missing_open(f->c, &o, &m, &f->e));
    missing_count(m, &k);
    missing_close(m);
    assert_int_equal(k.n_wanted, 3 * k.n_prompts);
    return k.n_prompts;
}

static void test_import(void **state)
{
    struct fixture *f = *state;
    struct import_summary sum;
    struct import_options opt = {.want = true, .limit = 2};
    int64_t n;
    const char *text =
        "{\"prompt\": \"a\", \"answer\": \"1\"}\n{\"prompt\": \"b\"}\n"
        "{\"prompt\": \" a\", \"answer\": \"2\"}\n{\"prompt\": \"c\", \"answer\": \"3\"}\n";
    write_n(f, text, strlen(text));
    ok(f, corpus_open(f->db, CORPUS_CREATE, &f->c, &f->e));
    ok(f, corpus_import(f->c, f->file, &opt, &sum, &f->e));
    assert_true(sum.n_lines == 2 && sum.n_added == 2 && sum.n_no_gold == 1);
    assert_int_equal(n_wanted(f), 2);
    opt = (struct import_options){0};
    ok(f, corpus_import(f->c, f->file, &opt, &sum, &f->e));
    assert_true(sum.n_lines == 4 && sum.n_added == 1 && sum.n_conflicts == 1);
    assert_int_equal(n_wanted(f), 2); /* "c" is not wanted */
    /* a bad line takes the whole file back */
    text = "{\"prompt\": \"d\"}\n{\"prompt\": 4}\n";
    write_n(f, text, strlen(text));
    assert_int_equal(corpus_import(f->c, f->file, &opt, &sum, &f->e), ERR_FORMAT);
    ok(f, corpus_count_prompts(f->c, &n, &f->e));
    assert_int_equal(n, 3);
    write_n(f, "\n\n", 2);
    assert_int_equal(corpus_import(f->c, f->file, &opt, &sum, &f->e), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "no prompts"));
}

static void add(struct fixture *f, int64_t sample, const char *reasoning, const char *answer)
{
    int64_t id;
    struct corpus_trace t = {.prompt_id = 1,
                             .request_id = 1,
                             .sample_index = sample,
                             .reasoning = reasoning,
                             .n_reasoning = strlen(reasoning),
                             .answer = answer,
                             .n_answer = strlen(answer),
                             .finish_reason = "stop",
                             .served_model = "R1 \"x\"",
                             .n_completion_tokens = 5,
                             .n_prompt_tokens = -1};
    ok(f, corpus_add_trace(f->c, &t, &id, NULL, NULL, &f->e));
}

static void test_export(void **state)
{
    struct export_options all = {.selection = "all"}, correct = {.selection = "correct"},
                          nonsense = {.selection = "nonsense("};
    struct fixture *f = *state;
    struct corpus_prompt p = {.text = "1+1?\n\"", .n_text = 6, .gold = "2", .n_gold = 1};
    struct buf text = {0};
    struct json j;
    int64_t id, n;
    bool added;
    const char *s;
    ok(f, corpus_open(f->db, CORPUS_CREATE, &f->c, &f->e));
    ok(f, corpus_add_prompt(f->c, &p, &id, &added, NULL, &f->e));
    ok(f, corpus_request(f->c, "{\"teacher\":\"t\"}", &id, &f->e));
    add(f, 0, "one\nand one", "\\boxed{2}");
    add(f, 1, "", "\\boxed{2}");
    add(f, 2, "hm", "\\boxed{3}\x01\u00e9");
    ok(f, corpus_export(f->c, &all, f->out, &n, &f->e));
    assert_int_equal(n, 3);
    ok(f, file_read(f->out, 1 << 20, &text, &f->e));
    char *next = text.data;
    const char *want[] = {"<think>\none\nand one\n</think>\n\n\\boxed{2}", "\\boxed{2}",
                          "<think>\nhm\n</think>\n\n\\boxed{3}\x01\u00e9"};
    for (int i = 0; i < 3; i++) {
        char *line = strsep(&next, "\n");
        ok(f, json_parse(&j, "line", line, strlen(line), &f->e));
        const cJSON *m = cJSON_GetArrayItem(json_at(j.root, "messages"), 0);
        ok(f, json_str(&j, m, "role", &s, &f->e));
        assert_string_equal(s, "user");
        ok(f, json_str(&j, m, "content", &s, &f->e));
        assert_string_equal(s, "1+1?\n\"");
        m = cJSON_GetArrayItem(json_at(j.root, "messages"), 1);
        ok(f, json_str(&j, m, "content", &s, &f->e));
        assert_string_equal(s, want[i]);
        ok(f, json_str(&j, j.root, "verdict", &s, &f->e));
        assert_string_equal(s, i == 2 ? "wrong" : "correct");
        ok(f, json_str(&j, j.root, "served_model", &s, &f->e));
        assert_string_equal(s, "R1 \"x\"");
        ok(f, json_str(&j, j.root, "request.teacher", &s, &f->e));
        assert_null(json_at(j.root, "n_prompt_tokens"));
        json_close(&j);
    }
    assert_string_equal(next, "");
    buf_dispose(&text);
    /* a selection that fails leaves the old file */
    assert_int_equal(corpus_export(f->c, &nonsense, f->out, &n, &f->e), ERR_USAGE);
    ok(f, corpus_export(f->c, &correct, f->out, &n, &f->e));
    assert_int_equal(n, 1);
    FILE *full = fopen("/dev/full", "w");
    assert_int_equal(corpus_export_stream(f->c, &all, full, "full", &n, &f->e), ERR_IO);
    fclose(full);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_named_fields), T(test_forms),        T(test_bad_lines_are_named),
        T(test_a_huge_line),  T(test_random_bytes), T(test_import),
        T(test_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
