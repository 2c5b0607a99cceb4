/* decant eval on a student that was taught to answer 7 to everything: pass@1 and its standard error
 * are those of the share of problems whose answer is 7, over the HF directory and over a GGUF. */
#include "tests/distill/train_fixture.h"

#include <math.h>

enum { N_PROMPTS = 32 };

static char dir[] = "/tmp/decant-evaluate-XXXXXX";

/* Every prompt has the one trace that ends in \boxed{7}. */
static void make_corpus(const char *db)
{
    struct err e = {0};
    struct corpus *c;
    int64_t request, id;
    bool added;
    check(corpus_open(db, CORPUS_CREATE, &c, &e), &e);
    check(corpus_request(c, "{\"teacher\": \"test\"}", &request, &e), &e);
    for (int i = 0; i < N_PROMPTS; i++) {
        char prompt[40];
        snprintf(prompt, sizeof prompt, "Problem %d?", i);
        struct corpus_prompt p = {
            .text = prompt, .gold = "7", .n_text = strlen(prompt), .n_gold = 1};
        struct corpus_trace t = {.request_id = request,
                                 .reasoning = "Seven.",
                                 .n_reasoning = 6,
                                 .answer = "\\boxed{7}",
                                 .n_answer = 9,
                                 .finish_reason = "stop"};
        check(corpus_add_prompt(c, &p, &t.prompt_id, &added, NULL, &e), &e);
        check(corpus_add_trace(c, &t, &id, &added, NULL, &e), &e);
    }
    corpus_close(c);
}

static double number(const struct json *j, const char *key)
{
    struct err e = {0};
    double x;
    check(json_num(j, j->root, key, &x, &e), &e);
    return x;
}

/* Runs eval over the problems; the caller closes j. */
static void run_eval(const char *model, const char *log, int samples, int64_t max_tokens,
                     struct json *j)
{
    struct err e = {0};
    struct buf b = {0};
    char args[600];
    snprintf(args, sizeof args,
             "eval --model %s --problems %s/problems.jsonl --samples %d --temperature 0 "
             "--max-tokens %lld --threads 1 --json",
             model, dir, samples, (long long)max_tokens);
    fixture_succeed(args, log);
    fixture_text(log, &b);
    const char *json = strchr(b.data, '{');
    assert_non_null(json);
    check(json_parse(j, log, json, strcspn(json, "\n"), &e), &e);
    buf_dispose(&b);
}

/* Ten problems: seven of them 7, two others, one with an answer that nobody can check (left out).
 * Returns the tokens of an answer. */
static int64_t check_eval(const char *model, const char *log, int samples)
{
    struct json j;
    run_eval(model, log, samples, 60, &j);
    double p = 7.0 / 9, se = sqrt((7 * pow(1 - p, 2) + 2 * p * p) / 8 / 9);
    assert_true(number(&j, "problems") == 9 && number(&j, "no_gold") == 1);
    assert_true(number(&j, "samples") == samples && number(&j, "answers") == 9 * samples);
    assert_true(number(&j, "correct") == 7 * samples && number(&j, "wrong") == 2 * samples);
    assert_true(fabs(number(&j, "accuracy") - p) < 1e-6);
    assert_true(fabs(number(&j, "standard_error") - se) < 1e-6);
    int64_t n = (int64_t)(number(&j, "tokens") / number(&j, "answers"));
    json_close(&j);
    return n;
}

/* Room for all of an answer but its end of text: it is cut, and not correct although it can be
 * read. */
static void check_cut(const char *model, const char *log, int64_t n_tokens)
{
    struct json j;
    run_eval(model, log, 1, n_tokens, &j);
    assert_true(number(&j, "truncated") == 9 && number(&j, "correct") == 0);
    assert_true(number(&j, "accuracy") == 0 && number(&j, "standard_error") == 0);
    json_close(&j);
}

static void test_share_and_error(void **state)
{
    (void)state;
    fixture_binary();
    struct err e = {0};
    struct buf b = {0};
    char args[900], log[200], path[200];
    assert_non_null(mkdtemp(dir));
    snprintf(log, sizeof log, "%s/log", dir);
    snprintf(path, sizeof path, "%s/c.db", dir);
    make_corpus(path);
    snprintf(args, sizeof args,
             "distill --student tests/vectors/train/config.json --corpus %s --out %s/run "
             "--epochs 60 --batch-tokens 512 --lr 0.02 --dtype f32 --threads 1",
             path, dir);
    fixture_succeed(args, log);
    for (int i = 0; i < 10; i++)
        check(buf_printf(&b, &e, "{\"prompt\": \"Problem %d?\", \"answer\": \"%s\"}\n", i,
                         i == 4   ? "???"
                         : i == 6 ? "8"
                         : i == 9 ? "-7"
                                  : "7"),
              &e);
    snprintf(path, sizeof path, "%s/problems.jsonl", dir);
    check(file_replace(path, b.data, b.len, &e), &e);
    buf_dispose(&b);
    snprintf(path, sizeof path, "%s/run/final", dir);
    check_cut(path, log, check_eval(path, log, 1));
    check_eval(path, log, 4);
    snprintf(args, sizeof args, "quantize-and-export --model %s --out %s/x.gguf --type f16", path,
             dir);
    fixture_succeed(args, log);
    snprintf(path, sizeof path, "%s/x.gguf", dir);
    check_eval(path, log, 1);
    check(file_remove_tree(dir, &e), &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share_and_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
