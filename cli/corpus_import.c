/* decant corpus import */
#include "cli/corpus.h"
#include "core/base/log.h"
#include "dataset/import.h"

#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
extern const struct command corpus_import_command;
const struct command corpus_import_command = {
    "corpus import",
    "read prompts, or traces made elsewhere, from JSONL, JSON or CSV files",
    "decant corpus import --corpus math.db --prompts train.jsonl\n"
    "  decant corpus import --corpus math.db --prompts aime.csv --prompt-field Problem "
    "--gold-field "
    "Answer\n"
    "  decant corpus import --corpus math.db --traces openr1.jsonl --teacher deepseek-r1",
    run,
    "A record is an object with \"prompt\" (or \"question\", \"problem\", \"instruction\", "
    "\"messages\",\n"
    "\"conversations\") and, when known, \"answer\" (or \"gold\", \"final_answer\", ...); "
    "GSM8K's and MATH's\n"
    "files work as they are. A field's name may reach inward: reward_model.ground_truth.\n"
    "With --traces, records also hold what a teacher said: \"reasoning\" and \"answer\", or one "
    "text with\n"
    "<think>...</think> in \"completion\", \"generations\", \"response\", \"output\" or "
    "\"messages\"; what\n"
    "decant exported comes back with its texts, request, sample index, counts, cost, time and "
    "marks\n"
    "(corpus merge joins corpora whole). Each trace is judged as it comes.\n"
    "What is there already is not added again. A file with a bad record adds nothing, unless "
    "--skip-bad.",
};

static void add_up(struct import_summary *all, const struct import_summary *one)
{
    if (!all->n_bad)
        memcpy(all->first_bad, one->first_bad, sizeof all->first_bad);
    all->n_lines += one->n_lines;
    all->n_added += one->n_added;
    if (!all->n_conflicts)
        memcpy(all->first_conflict, one->first_conflict, sizeof all->first_conflict);
    all->n_conflicts += one->n_conflicts;
    all->n_no_gold += one->n_no_gold;
    all->n_traces += one->n_traces;
    all->n_traces_there += one->n_traces_there;
    all->n_regold += one->n_regold;
    all->n_many_turns += one->n_many_turns;
    all->n_bad += one->n_bad;
}

static void print_summary(const struct import_summary *s, bool traces, int64_t n_prompts)
{
    printf("%lld record%s read, %lld new prompt%s", (long long)s->n_lines, plural(s->n_lines),
           (long long)s->n_added, plural(s->n_added));
    if (traces)
        printf(", %lld new trace%s (%lld there already)", (long long)s->n_traces,
               plural(s->n_traces), (long long)s->n_traces_there);
    printf("; the corpus holds %lld prompt%s\n", (long long)n_prompts, plural(n_prompts));
}

static void print_json(const struct import_summary *s, int64_t n_prompts)
{
    printf("{\"read\":%lld,\"added\":%lld,\"conflicts\":%lld,\"without_gold\":%lld,\"traces\":%lld,"
           "\"traces_there\":%lld,\"bad\":%lld,\"prompts\":%lld}\n",
           (long long)s->n_lines, (long long)s->n_added, (long long)s->n_conflicts,
           (long long)s->n_no_gold, (long long)s->n_traces, (long long)s->n_traces_there,
           (long long)s->n_bad, (long long)n_prompts);
}

static void print_notes(const struct import_summary *s)
{
    if (s->n_conflicts)
        log_warn("%lld record%s came with another gold answer than the prompt has already; the "
                 "older was kept; the first: %s",
                 (long long)s->n_conflicts, plural(s->n_conflicts), s->first_conflict);
    if (s->n_bad)
        log_warn("%lld record%s passed over; the first: %s", (long long)s->n_bad, plural(s->n_bad),
                 s->first_bad);
    if (s->n_many_turns)
        log_warn("%lld conversation%s of several turns: only the first answer was taken",
                 (long long)s->n_many_turns, plural(s->n_many_turns));
    if (s->n_regold)
        log_info("%lld prompt%s there already got a gold answer; decant corpus verify judges "
                 "the traces they had",
                 (long long)s->n_regold, plural(s->n_regold));
    if (s->n_no_gold)
        log_info("%lld record%s without a gold answer: answers to %s cannot be verified",
                 (long long)s->n_no_gold, plural(s->n_no_gold), s->n_no_gold == 1 ? "it" : "them");
}

static err_code import_all(struct corpus *c, const struct cli_strs *files,
                           struct import_options *opt, struct import_summary *all, struct err *e)
{
    err_code rc = ERR_OK;
    for (int i = 0; i < files->n && !rc; i++) {
        struct import_summary one;
        struct progress p;
        progress_begin(&p, "import", 0);
        opt->progress_ctx = &p;
        rc = corpus_import(c, files->items[i], opt, &one, e);
        if (rc)
            progress_drop(&p);
        else
            progress_end(&p, "%lld record%s of %s", (long long)one.n_lines, plural(one.n_lines),
                         files->items[i]);
        bool first = rc && one.ended_bad && one.n_lines <= 1 && !opt->format;
        if (rc && one.ended_bad)
            err_add(e, first ? " (--format csv or json, if it is that; --skip-bad passes over such "
                               "records)"
                             : " (--skip-bad passes over such records)");
        if (!rc)
            add_up(all, &one);
    }
    return rc;
}

static int run(int argc, char **argv)
{
    const char *path = NULL, *format = NULL;
    struct cli_strs prompts = {0}, traces = {0};
    struct import_options opt = {.on_progress = corpus_on_progress};
    int64_t n_threads = 0;
    bool json = false;
    struct cli_option options[] = {
        {"corpus", CLI_STR, &path, "FILE.db", "the corpus; made when absent", .required = true},
        {"prompts", CLI_STRS, &prompts, "FILE", "prompts; may be given several times"},
        {"traces", CLI_STRS, &traces, "FILE", "prompts with traces; may be given several times"},
        {"format", CLI_STR, &format, "NAME", "jsonl, json, csv or tsv (default: the file tells)"},
        {"prompt-field", CLI_STR, &opt.names.prompt, "NAME", "holds the prompt"},
        {"gold-field", CLI_STR, &opt.names.gold, "NAME", "holds the right answer"},
        {"answer-field", CLI_STR, &opt.names.answer, "NAME",
         "holds what the teacher answered; without\n--traces the right answer"},
        {"reasoning-field", CLI_STR, &opt.names.reasoning, "NAME", "holds the chain of thought"},
        {"teacher-field", CLI_STR, &opt.names.teacher, "NAME", "names the teacher"},
        {"teacher", CLI_STR, &opt.teacher, "NAME", "the teacher of traces that do not name theirs"},
        {"source", CLI_STR, &opt.source, "NAME",
         "stored with new prompts (default: the record's, or\nthe file's name)"},
        {"limit", CLI_INT, &opt.limit, "N", "read at most N records of each file; 0: all", .min = 0,
         .max = INT64_MAX},
        {"skip-bad", CLI_FLAG, &opt.skip_bad, "", "pass over records that do not fit"},
        {"threads", CLI_INT, &n_threads, "N", "threads; 0: all cores", .min = 0, .max = 1024},
        JSON_OPTION(json),
        {0}};
    int usage = cli_parse(&corpus_import_command, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct corpus *c = NULL;
    struct import_summary all = {0};
    int64_t n_prompts = 0;
    opt.traces = traces.n > 0;
    opt.n_threads = (int)n_threads;
    err_code rc = ERR_OK;
    if (!opt.traces && opt.names.answer && !opt.names.gold)
        opt.names.gold = opt.names.answer;
    if (!prompts.n == !traces.n)
        rc = err_set(&e, ERR_USAGE, "give either --prompts FILE or --traces FILE");
    else if (format && !records_format_of(format, &opt.format))
        rc = err_set(&e, ERR_USAGE, "--format %s: there are jsonl, json, csv and tsv", format);
    if (!rc)
        rc = corpus_open(path, CORPUS_CREATE, &c, &e);
    stop_install();
    if (!rc)
        rc = import_all(c, opt.traces ? &traces : &prompts, &opt, &all, &e);
    if (!rc && all.n_bad && all.n_bad == all.n_lines)
        rc = err_set(&e, ERR_FORMAT, "none of the %lld record%s could be read; the first: %s",
                     (long long)all.n_bad, plural(all.n_bad), all.first_bad);
    if (!rc)
        rc = corpus_count_prompts(c, &n_prompts, &e);
    if (rc) {
        corpus_discard(c);
        return cli_end(rc, &e);
    }
    corpus_close(c);
    if (json)
        print_json(&all, n_prompts);
    else
        print_summary(&all, opt.traces, n_prompts);
    print_notes(&all);
    return CLI_DONE;
}
