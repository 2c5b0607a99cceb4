/* Data files into a corpus: formats, fields, traces made elsewhere, hostile files. */
#include "dataset/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

static err_code import(struct fixture *f, const char *name, const char *text,
                       const struct import_options *opt, struct import_summary *sum)
{
    snprintf(f->file, sizeof f->file, "%s/%s", f->dir, name);
    write_file(f->file, text, strlen(text));
    if (!f->c)
        open_new(f);
    f->e.msg[0] = 0;
    return corpus_import(f->c, f->file, opt, sum, &f->e);
}

static void refused(struct fixture *f, const char *name, const char *text, const char *part)
{
    struct import_options opt = {0};
    struct import_summary sum;
    err_code rc = import(f, name, text, &opt, &sum);
    if (rc != ERR_FORMAT || !strstr(f->e.msg, part) || !strstr(f->e.msg, f->file))
        fail_msg("%s: got %d %s; wanted \"%s\"", text, rc, f->e.msg, part);
    assert_string_equal(ask(f, "SELECT count(*) FROM prompts WHERE text LIKE 'bad%'"), "0");
}

static const char prompts[] =
    "SELECT text || '=' || coalesce(gold, '-') || coalesce(extra, '') FROM prompts ORDER BY id";

static void test_arrays(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {0};
    struct import_summary sum;
    assert_int_equal(import(f, "a.json",
                            "\xEF\xBB\xBF [\n{\"prompt\": \"a } ] \\\" [\", \"answer\": 1},\r\n"
                            "  {\"question\": \"b\",\n \"x\": [{\"y\": \"]\"}, 2]} ]\n\n",
                            &opt, &sum),
                     0);
    assert_int_equal(sum.n_added, 2);
    assert_string_equal(ask(f, prompts), "a } ] \" [=1; b=-{\"x\":[{\"y\":\"]\"},2]}");
    assert_int_equal(import(f, "a.jsonl", "[{\"prompt\":\"c\"},{\"prompt\":\"d\"}]", &opt, &sum),
                     0);
    assert_int_equal(sum.n_added, 2);
    assert_int_equal(import(f, "e.json", " [ ] ", &opt, &sum), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "holds no prompts"));
    refused(f, "b.json", "[{\"prompt\":\"bad\"}", "the array does not end");
    refused(f, "b.json", "[{\"prompt\":\"bad\"},", "does not end");
    refused(f, "b.json", "[{\"prompt\":\"bad\"},]", "a comma before the array's end");
    refused(f, "b.json", "[{\"prompt\":\"bad\"} {\"prompt\":\"b\"}]", "a comma is missing");
    refused(f, "b.json", "[{\"prompt\":\"bad\"}] x", "text after the array");
    refused(f, "b.json", "[{\"prompt\":\"bad\"}\n,{\"prompt\":\"b",
            "b.json:2: an object that does");
    refused(f, "b.json", "[{\"prompt\":\"bad\"},3]", "should hold objects");
    refused(f, "b.json", "[{\"prompt\":\"bad\"},\n\n{\"prompt\" 3}]", "b.json:3: not valid JSON");
    refused(f, "b.json", "[,{\"prompt\":\"bad\"}]", "should hold objects");
}

static void test_csv(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {0};
    struct import_summary sum;
    assert_int_equal(import(f, "a.csv",
                            "\xEF\xBB\xBFprompt,answer,\"the \"\"level\"\"\"\r\n"
                            "\"two\nlines, \"\"quoted\"\"\",12,\r\n\r\nplain,\"1,024\",x\r\n"
                            "last,,\xC3\xA9",
                            &opt, &sum),
                     0);
    assert_true(sum.n_added == 3 && sum.n_no_gold == 1);
    assert_string_equal(ask(f, prompts), "two\nlines, \"quoted\"=12{\"the \\\"level\\\"\":\"\"}; "
                                         "plain=1,024{\"the \\\"level\\\"\":\"x\"}; "
                                         "last=-{\"the \\\"level\\\"\":\"\xC3\xA9\"}");
    assert_int_equal(import(f, "b.tsv", "problem\tgold\nwhat, now\t7\n", &opt, &sum), 0);
    opt.format = RECORDS_CSV;
    opt.names.prompt = "Q";
    opt.names.gold = "A";
    assert_int_equal(import(f, "c.txt", "A,Q\n9,ask\n", &opt, &sum), 0);
    assert_string_equal(ask(f, "SELECT gold FROM prompts WHERE text = 'ask'"), "9");
    opt = (struct import_options){.skip_bad = true};
    assert_int_equal(import(f, "d.csv",
                            "prompt,answer\nhow long is a 5\" pipe,3\nsecond,4\n\"b\" \"c,5\n"
                            "third,6\na 6\" thing,7\n",
                            &opt, &sum),
                     0);
    assert_true(sum.n_lines == 5 && sum.n_bad == 3 && sum.n_added == 2);
    refused(f, "b.csv", "prompt,answer\nbad,1\n\"bad,2\n", "b.csv:3: a quoted field that does not");
    refused(f, "b.csv", "prompt,answer\nbad,1,2\n", "b.csv:2: more than the header's 2 fields");
    refused(f, "b.csv", "prompt,answer\nbad\n", "1 of the header's 2 fields");
    refused(f, "b.csv", "prompt,answer\nbad\"x\"y,1\n", "a quote within a field");
    refused(f, "b.csv", "prompt,answer\n\"bad\"x,1\n", "text after a field's closing quote");
    refused(f, "b.csv", "prompt,prompt\nbad,1\n", "two columns are called");
    refused(f, "b.csv", "prompt,,x\nbad,1,2\n", "column 2 has no name");
    refused(f, "b.csv", "", "empty file");
    refused(f, "b.csv", "x,y\n1,2\n", "has none of");
    refused(f, "b.csv", "x,y\n1,2\n",
            "\"conversations\", \"instruction\"; its fields are \"x\", \"y\"; --prompt-field NAME "
            "takes");
    refused(f, "b.csv", "prompt;answer\nbad;2\n", "b.csv:1: one column, \"prompt;answer\"");
    refused(f, "b.csv", "prompt\tanswer\nbad\t2\n", "tabs are read from a file called .tsv");
    refused(f, "b.csv", "prompt\nbad\xff\n", "not valid UTF-8");
}

static void test_fields(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {0};
    struct import_summary sum;
    assert_int_equal(
        import(f, "a.jsonl",
               "{\"instruction\":\"Add.\",\"input\":\"1+1\",\"output\":\"2\"}\n"
               "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\","
               "\"content\":[{\"type\":\"text\",\"text\":\"hello\"}]}],\"final_answer\":\"3\"}\n"
               "{\"conversations\":[{\"from\":\"human\",\"value\":\"hi\"},{\"from\":\"gpt\","
               "\"value\":\"ho\"}]}\n"
               "{\"problem\":\"m\",\"solution\":\"so \\\\boxed{\\\\frac12}.\"}\n"
               "{\"problem\":\"n\",\"solution\":\"so what\"}\n",
               &opt, &sum),
        0);
    assert_string_equal(
        ask(f, "SELECT text || '=' || coalesce(gold, '-') FROM prompts ORDER BY id"),
        "Add.\n\n1+1=-; hello=3; hi=-; m=\\frac12; n=-");
    assert_int_equal(import(f, "n.jsonl",
                            "{\"prompt\":\"n1\",\"answer\":9007199254740991}\n"
                            "{\"prompt\":\"n2\",\"answer\":1234567.123456789}\n"
                            "{\"prompt\":\"n3\",\"answer\":-0.1}\n"
                            "{\"prompt\":\"n4\",\"answer\":1e15}\n",
                            &opt, &sum),
                     0);
    assert_string_equal(ask(f, "SELECT gold FROM prompts WHERE source = 'n.jsonl' ORDER BY id"),
                        "9007199254740991; 1234567.123456789; -0.1; 1000000000000000");
    opt.names.prompt = "in.q.1";
    opt.names.gold = "reward.truth";
    assert_int_equal(import(f, "b.jsonl",
                            "{\"in\":{\"q\":[\"no\",\"deep\"]},\"reward\":{\"truth\":\"5\"}}\n",
                            &opt, &sum),
                     0);
    assert_string_equal(ask(f, "SELECT gold FROM prompts WHERE text = 'deep'"), "5");
    opt.names.prompt = "nope";
    assert_int_equal(import(f, "b.jsonl", "{\"prompt\":\"x\"}\n", &opt, &sum), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "has no \"nope\"; its fields are \"prompt\""));
    assert_true(sum.ended_bad);
}

static void test_names_in_capitals(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {.traces = true, .teacher = "t"};
    struct import_summary sum;
    assert_int_equal(
        import(f, "a.csv", "Problem,ANSWER,answer,Completion\np,2,1,x</think>1\n", &opt, &sum), 0);
    assert_string_equal(ask(f, "SELECT prompt || gold || answer || verdict || extra FROM v_traces"),
                        "p11correct{\"ANSWER\":\"2\"}");
    assert_int_equal(
        import(
            f, "b.jsonl",
            "{\"Messages\":[{\"Role\":\"user\",\"Content\":\"q\"}],\"Answer\":\"the "
            "end\"}\n",
            &(struct import_options){.traces = true, .teacher = "t", .names = {.answer = "answer"}},
            &sum),
        0);
    assert_string_equal(ask(f, "SELECT answer || coalesce(gold, '-') FROM v_traces WHERE prompt = "
                               "'q'"),
                        "the end-");
}

/* Names are cut, and only some are listed. */
static void test_names_of_a_wide_record(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {0};
    struct import_summary sum;
    struct buf b = {0};
    buf_str(&b, "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\u00e9\u00e9\":1", NULL);
    for (int i = 0; i < 300; i++)
        buf_printf(&b, NULL, ",\"k%d\":1", i);
    buf_str(&b, "}", NULL);
    assert_int_equal(import(f, "a.jsonl", b.data, &opt, &sum), ERR_FORMAT);
    assert_non_null(
        strstr(f->e.msg, "are \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...\", \"k0\", "));
    assert_non_null(strstr(f->e.msg, "\"k6\", ...; --prompt-field NAME"));
    buf_dispose(&b);
}

static const char traces[] =
    "SELECT prompt || sample_index || '|' || reasoning || '|' || answer || '|' || finish_reason || "
    "'|' || coalesce(verdict, '-') || '|' || think_rule || '|' || teacher FROM v_traces ORDER BY "
    "id";

static void test_traces(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {.traces = true, .teacher = "r1"};
    struct import_summary sum;
    const char *text =
        "{\"prompt\":\"a\",\"reasoning\":\"hm\",\"answer\":\"\\\\boxed{1}\",\"gold\":\"1\"}\n"
        "{\"problem\":\"b\",\"answer\":\"2\",\"generations\":[\"<think>\\nx\\n</think>\\n\\n2\","
        "\"y</think>3\",\"<think>z\"],\"model\":\"u\"}\n"
        "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
        "\"c\"},{\"role\":\"assistant\",\"reasoning_content\":\"w\",\"content\":\"v\"}]}\n"
        "{\"conversations\":[{\"from\":\"human\",\"value\":\"d\"},{\"from\":\"gpt\",\"value\":"
        "\"<|begin_of_thought|>\\nt\\n<|end_of_thought|>\\n\\n<|begin_of_solution|>\\nu\\n"
        "<|end_of_solution|>\"},{\"from\":\"human\",\"value\":\"e\"}]}\n"
        "{\"prompt\":\"f\",\"response\":\"no thought\",\"finish_reason\":\"length\"}\n";
    assert_int_equal(import(f, "t.jsonl", text, &opt, &sum), 0);
    assert_true(sum.n_traces == 7 && sum.n_added == 5 && sum.n_many_turns == 1);
    assert_string_equal(ask(f, traces),
                        "a0|hm|\\boxed{1}|imported|correct|field|r1; "
                        "b0|x|2|imported|correct|tag|u; b1|y|3|imported|wrong|tag|u; "
                        "b2|z||cut|unknown|tag|u; c0|w|v|imported|unknown|field|r1; "
                        "d0|t|u|imported|unknown|tag|r1; f0||no thought|length|unknown|none|r1");
    assert_string_equal(ask(f, "SELECT DISTINCT request FROM v_traces ORDER BY 1"),
                        "{\"origin\":\"imported\",\"system\":\"s\",\"teacher\":\"r1\"}; "
                        "{\"origin\":\"imported\",\"teacher\":\"r1\"}; "
                        "{\"origin\":\"imported\",\"teacher\":\"u\"}");
    assert_string_equal(
        ask(f, "SELECT marks FROM v_traces WHERE prompt = 'b' AND sample_index = 2"), "truncated");
    /* again: nothing is doubled; something new gets the next index */
    assert_int_equal(import(f, "t.jsonl", text, &opt, &sum), 0);
    assert_true(sum.n_traces == 0 && sum.n_traces_there == 7 && sum.n_added == 0);
    assert_int_equal(import(f, "u.jsonl",
                            "{\"prompt\":\"b\",\"completion\":\"w</think>2\",\"teacher\":\"u\"}",
                            &opt, &sum),
                     0);
    assert_string_equal(selected(f, "reasoning = 'w' and prompt = 'b'", NULL), "b.3");
    /* the gold answer that the corpus has is what counts */
    assert_string_equal(ask(f, "SELECT verdict FROM v_traces WHERE prompt = 'b' AND sample_index = "
                               "3"),
                        "correct");
    assert_int_equal(import(f, "v.jsonl",
                            "{\"prompt\":\"b\",\"completion\":\"q</think>7\",\"gold\":\"7\"}\n"
                            "{\"prompt\":\"c\",\"completion\":\"q</think>7\",\"gold\":\"7\"}\n",
                            &opt, &sum),
                     0);
    assert_true(sum.n_conflicts == 1 && sum.n_regold == 1);
    assert_non_null(strstr(sum.first_conflict, "/v.jsonl:1"));
    assert_string_equal(
        ask(f, "SELECT verdict FROM v_traces WHERE reasoning = 'q' ORDER BY prompt"),
        "wrong; correct");
    /* of "b" a gold answer is known */
    assert_int_equal(import(f, "w.jsonl",
                            "{\"prompt\":\"b\",\"completion\":\"w</think>4\"}\n"
                            "{\"prompt\":\"d\",\"completion\":\"w</think>4\"}\n"
                            "{\"prompt\":\"new\",\"completion\":\"w</think>4\"}\n",
                            &opt, &sum),
                     0);
    assert_int_equal(sum.n_no_gold, 2);
    opt.teacher = NULL;
    assert_int_equal(import(f, "w.jsonl", "{\"prompt\":\"g\",\"completion\":\"x\"}", &opt, &sum),
                     ERR_USAGE);
    assert_non_null(strstr(f->e.msg, "--teacher"));
    assert_int_equal(import(f, "w.jsonl", "{\"prompt\":\"g\",\"answer\":\"1\"}", &opt, &sum),
                     ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "has no completion"));
}

/* What decant exports comes back as it was, in each form. */
static void test_there_and_back(void **state)
{
    struct fixture *f = *state;
    struct import_options in = {.traces = true};
    struct import_summary sum;
    char out[96];
    int64_t n;
    open_new(f);
    int64_t r = add_request(f, "{\"teacher\":\"t\",\"system\":\"be \\\"good\\\"\",\"seed\":3}");
    int64_t a = add_prompt(f, "a \xE2\x86\x92 \"b\"\n\\c", "1", NULL),
            b = add_prompt(f, "b", NULL, NULL);
    add_trace(f, a, r, 2, "one\n\ttwo", "\\boxed{1}");
    add_trace(f, a, r, 5, "", "\\boxed{2}");
    add_trace_as(f, b, r, 0, "x", "", "length", NULL);
    sql(f, "INSERT INTO verdicts (trace_id, kind, value, version, created_at) VALUES "
           "(1, 'duplicate', 'yes', 1, ''), (1, 'odd', 'yes', 1, ''), (3, 'odd', 'yes', 1, '')");
    sql(f,
        "UPDATE traces SET created_at = '2026-01-0' || id || 'T00:00:00.500Z', program = 'then'");
    char *want = strdup(ask(
        f,
        "SELECT group_concat(prompt || request || sample_index || reasoning "
        "|| answer || finish_reason || verdict || coalesce(marks, '') || "
        "n_completion_tokens || created_at || program || (coalesce(extra, '') LIKE '%created%'), "
        "char(10)) FROM v_traces"));
    snprintf(out, sizeof out, "%s/out.jsonl", f->dir);
    static const char *const names[] = {"messages", "sharegpt", "prompt-completion"};
    for (int i = 0; i < 3; i++) {
        struct export_options o = {.selection = "all", .n_threads = 1 + i};
        assert_true(export_format_of(names[i], &o.format));
        ok(f, corpus_export(f->c, &o, out, &n, &f->e));
        assert_int_equal(n, 3);
        struct fixture g = *f;
        g.c = NULL;
        snprintf(g.db, sizeof g.db, "%s/%d.db", f->dir, i);
        open_new(&g);
        ok(&g, corpus_import(g.c, out, &in, &sum, &g.e));
        assert_int_equal(sum.n_traces, 3);
        assert_string_equal(
            ask(&g, "SELECT group_concat(prompt || request || sample_index || "
                    "reasoning || answer || finish_reason || verdict || "
                    "coalesce(marks, '') || n_completion_tokens || created_at || "
                    "program || (coalesce(extra, '') LIKE '%created%'), char(10)) FROM v_traces"),
            want);
        ok(&g, corpus_import(g.c, out, &in, &sum, &g.e));
        assert_int_equal(sum.n_traces, 0);
        corpus_close(g.c);
    }
    free(want);
    struct export_options bare = {.selection = "sample_index = 2", .bare = true};
    struct buf text = {0};
    ok(f, corpus_export(f->c, &bare, out, &n, &f->e));
    ok(f, file_read(out, 1 << 20, &text, &f->e));
    assert_string_equal(text.data,
                        "{\"messages\":[{\"role\":\"system\",\"content\":\"be \\\"good\\\"\"},"
                        "{\"role\":\"user\",\"content\":\"a \xE2\x86\x92 \\\"b\\\"\\n\\\\c\"},"
                        "{\"role\":\"assistant\",\"content\":\"<think>\\none\\n\\ttwo\\n</think>"
                        "\\n\\n\\\\boxed{1}\"}]}\n");
    buf_dispose(&text);
}

/* Two machines' exports of one prompt, request and sample: another text is not lost. */
static void test_a_place_that_is_taken(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {.traces = true};
    struct import_summary sum;
    static const char line[] = "{\"prompt\":\"p\",\"completion\":\"%s\",\"sample_index\":0,"
                               "\"request\":{\"teacher\":\"t\"}}\n";
    char text[400];
    int n = snprintf(text, sizeof text, line, "one");
    snprintf(text + n, sizeof text - (size_t)n, line, "two");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(import(f, "t.jsonl", text, &opt, &sum), 0);
        assert_true(sum.n_traces == (i ? 0 : 2) && sum.n_traces_there == (i ? 2 : 0));
        assert_string_equal(ask(f, "SELECT answer || sample_index FROM traces ORDER BY id"),
                            "one0; two1");
    }
}

/* A file of some megabytes over three threads: the same as over one; bad records are counted. */
static void test_many_records(void **state)
{
    struct fixture *f = *state;
    struct import_options opt = {.traces = true, .teacher = "t", .n_threads = 3};
    struct import_summary sum;
    struct buf b = {0};
    char *pad = malloc(3001);
    memset(pad, 'x', 3000);
    pad[3000] = 0;
    for (int i = 0; i < 2000; i++) {
        if (i == 1500)
            buf_str(&b, "{\"prompt\": 3}\n", NULL);
        buf_printf(&b, NULL,
                   "{\"prompt\":\"q%d\",\"reasoning\":\"%d %s\",\"response\":\"%d\","
                   "\"answer\":\"%d\"}\n",
                   i / 2, i, pad, i, i / 2);
    }
    assert_int_equal(import(f, "m.jsonl", b.data, &opt, &sum), ERR_FORMAT);
    assert_non_null(strstr(f->e.msg, "m.jsonl:1501: \"prompt\" should be a string"));
    assert_string_equal(ask(f, "SELECT count(*) FROM prompts"), "0");
    opt.skip_bad = true;
    assert_int_equal(import(f, "m.jsonl", b.data, &opt, &sum), 0);
    assert_true(sum.n_traces == 2000 && sum.n_added == 1000 && sum.n_bad == 1);
    assert_non_null(strstr(sum.first_bad, ":1501:"));
    assert_string_equal(ask(f, "SELECT count(*) FROM v_traces t WHERE CAST(reasoning AS INTEGER) "
                               "<> 2 * substr(prompt, 2) + sample_index"),
                        "0");
    opt.limit = 10;
    assert_int_equal(import(f, "m.jsonl", b.data, &opt, &sum), 0);
    assert_true(sum.n_lines == 10 && sum.n_traces_there == 10);
    ok(f, corpus_check(f->c, &f->e));
    free(pad);
    buf_dispose(&b);
}

static void test_random_bytes(void **state)
{
    struct fixture *f = *state;
    static const char *const good[] = {
        ("[{\"prompt\": \"a \\u00e9\", \"messages\": [{\"role\": \"user\", \"content\": \"x\"}, "
         "{\"role\": \"assistant\", \"content\": \"<think>a</think>b\"}], \"answer\": \"7\"}, "
         "{\"problem\": \"b\", \"generations\": [\"c</think>d\", \"e\"], \"answer\": 4}]"),
        "prompt,answer,completion\n\"a \"\"q\"\"\",7,\"x</think>\n7\"\nb,c,d\n",
        /* in parentheses, lest it look like a forgotten comma */
        ("{\"conversations\": [{\"from\": \"human\", \"value\": \"q\"}, {\"from\": \"gpt\", "
         "\"value\": \"r\"}], \"request\": {\"teacher\": \"t\"}, \"sample_index\": 3}\n")};
    unsigned seed = 9;
    open_new(f);
    for (int i = 0; i < 600; i++) {
        struct import_options opt = {
            .traces = i % 2, .teacher = "t", .skip_bad = i % 5 == 0, .format = RECORDS_AUTO};
        struct import_summary sum;
        char text[600], name[16];
        strcpy(text, good[i % 3]);
        size_t n = strlen(text);
        for (int k = i % 7; k >= 0; k--)
            text[(size_t)rand_r(&seed) % n] = (char)(1 + rand_r(&seed) % 255);
        text[n - (size_t)rand_r(&seed) % (n / 2)] = 0;
        snprintf(name, sizeof name, "r.%s", i % 3 == 1 ? "csv" : "json");
        err_code rc = import(f, name, text, &opt, &sum);
        if (rc && !strlen(f->e.msg))
            fail_msg("no message for %s", text);
    }
    ok(f, corpus_check(f->c, &f->e));
}

static void test_an_empty_corpus_is_not_left_behind(void **state)
{
    struct fixture *f = *state;
    open_new(f);
    corpus_discard(f->c);
    assert_int_not_equal(access(f->db, F_OK), 0);
    open_new(f);
    add_prompt(f, "x", NULL, NULL);
    corpus_discard(f->c); /* holds something */
    assert_int_equal(access(f->db, F_OK), 0);
    open_new(f);
    corpus_discard(f->c); /* was there before */
    assert_int_equal(access(f->db, F_OK), 0);
    f->c = NULL;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_arrays),
        T(test_csv),
        T(test_fields),
        T(test_names_in_capitals),
        T(test_names_of_a_wide_record),
        T(test_traces),
        T(test_there_and_back),
        T(test_a_place_that_is_taken),
        T(test_many_records),
        T(test_random_bytes),
        T(test_an_empty_corpus_is_not_left_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
