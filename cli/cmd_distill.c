/* decant distill: a corpus of traces becomes a trained student. */
#include "cli/cli.h"
#include "core/base/log.h"
#include "distill/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

extern const struct command cmd_distill;

static void add_number(struct buf *b, const char *key, double v)
{
    if (isfinite(v))
        buf_printf(b, NULL, ", \"%s\": %.9g", key, v);
    else
        buf_printf(b, NULL, ", \"%s\": null", key);
}

static void print_json(const struct train_result *r)
{
    struct buf b = {0};
    buf_str(&b, "{\"final\": ", NULL);
    json_quote(&b, r->final_dir, strlen(r->final_dir), NULL);
    buf_printf(&b, NULL, ", \"finished_before\": %s", r->was_finished ? "true" : "false");
    if (!r->was_finished) {
        add_number(&b, "steps", (double)r->n_done);
        add_number(&b, "documents", (double)r->n_documents);
        add_number(&b, "held_out", (double)r->n_eval_documents);
        add_number(&b, "skipped", (double)r->n_skipped);
        add_number(&b, "max_length", (double)r->max_length);
        add_number(&b, "tokens", (double)r->n_tokens);
        add_number(&b, "valid_tokens", (double)r->n_valid);
        add_number(&b, "loss", r->loss); /* in training */
        add_number(&b, "loss_steps", (double)r->n_loss_steps);
        add_number(&b, "eval_loss_before", r->eval_before);
        add_number(&b, "eval_loss", r->eval_after);
        add_number(&b, "seconds", r->seconds);
        add_number(&b, "tokens_per_second", r->tokens_per_second);
    }
    printf("%s}\n", b.data);
    buf_dispose(&b);
}

static void print_text(const struct train_result *r)
{
    if (r->was_finished) {
        printf("this run was finished before\nstudent     %s\n", r->final_dir);
        return;
    }
    printf("steps       %lld\n", (long long)r->n_done);
    printf("documents   %lld (%lld held out)\n", (long long)r->n_documents,
           (long long)r->n_eval_documents);
    if (r->n_skipped)
        printf("skipped     %lld, longer than %lld tokens (--max-length, --batch-tokens; --over "
               "cut takes them)\n",
               (long long)r->n_skipped, (long long)r->max_length);
    printf("tokens      %lld, %lld of them learnt from\n", (long long)r->n_tokens,
           (long long)r->n_valid);
    printf("loss        %.4f in training, mean of the last %lld step%s\n", r->loss,
           (long long)r->n_loss_steps, r->n_loss_steps == 1 ? "" : "s");
    if (isfinite(r->eval_after))
        printf("held out    %.4f loss before, %.4f after\n", r->eval_before, r->eval_after);
    printf("speed       %.0f tokens/s, %.1f s\n", r->tokens_per_second, r->seconds);
    printf("student     %s\n", r->final_dir);
}

/* Marks what the command line named, then lets the file fill in the rest. */
static err_code take_config(struct train_settings *s, const struct cli_option *options,
                            const char *config, struct json *j, struct err *e)
{
    for (const struct cli_option *o = options; o->name; o++) {
        int i = train_field_find(o->name);
        if (i >= 0 && o->given)
            s->given |= (uint64_t)1 << i;
    }
    if (!config)
        return ERR_OK;
    err_code rc = json_open(j, config, 1 << 20, e);
    if (rc == ERR_FORMAT)
        err_add(e, "; --config wants one JSON object of settings");
    return rc ? rc : train_settings_read(s, j, j->root, e);
}

static int run(int argc, char **argv)
{
    struct train_settings s;
    train_defaults(&s);
    const char *config = NULL;
    bool as_json = false;
    struct cli_option options[] = {
        {"student", CLI_STR, &s.student, "DIR|config.json",
         "HF directory of a Qwen2, Qwen3 or Llama model,\nor a config.json to draw weights "
         "for\n(required for a new run)"},
        {"corpus", CLI_STR, &s.corpus, "FILE.db", "the traces (required for a new run)"},
        {"out", CLI_STR, &s.out, "DIR",
         "the run directory; DIR/final is the trained student (required)"},
        {"resume", CLI_FLAG, &s.resume, NULL,
         "continue the run in --out (or start it); settings not given\nare taken from the run, "
         "traces made since it began left out"},
        {"select", CLI_STR, &s.select, "correct|all|SQL",
         "which traces: SQL is a condition on v_traces"},
        {"target", CLI_STR, &s.target, "traces|answers",
         "learn reasoning and answer, or the answer alone"},
        {"tokenizer", CLI_STR, &s.tokenizer, "DIR", "tokenizer, when it is not beside the student"},
        {"epochs", CLI_INT, &s.epochs, "N", "passes over the traces", .min = 1, .max = 10000},
        {"lr", CLI_NUM, &s.lr, "X", "learning rate at its highest", .fmin = 0, .fmax = 100},
        {"lr-floor", CLI_NUM, &s.lr_floor, "X", "the cosine ends at this share of lr", .fmin = 0,
         .fmax = 1},
        {"warmup", CLI_NUM, &s.warmup, "X", "share of the steps that warm up", .fmin = 0,
         .fmax = 1},
        {"batch-tokens", CLI_INT, &s.batch_tokens, "N",
         "tokens that go through the student at once", .min = 8, .max = 1 << 28},
        {"accumulation", CLI_INT, &s.accumulation, "N", "such batches to an optimizer step",
         .min = 1, .max = 1 << 16},
        {"max-length", CLI_INT, &s.max_length, "N", "tokens of a document; 0: the most that fits",
         .min = 0, .max = 1 << 28},
        {"over", CLI_STR, &s.over, "skip|cut", "longer documents: leave out, or cut their end"},
        {"weight-decay", CLI_NUM, &s.weight_decay, "X", "on matrices; norms and biases have none",
         .fmin = 0, .fmax = 100},
        {"beta1", CLI_NUM, &s.beta1, "X", "AdamW", .fmin = 0, .fmax = 0.999999},
        {"beta2", CLI_NUM, &s.beta2, "X", "AdamW", .fmin = 0, .fmax = 0.9999999},
        {"eps", CLI_NUM, &s.eps, "X", "AdamW", .fmin = 1e-20, .fmax = 1},
        {"clip", CLI_NUM, &s.clip, "X", "global norm of the gradient at most; 0: off", .fmin = 0,
         .fmax = 1e9},
        {"eval-fraction", CLI_NUM, &s.eval_fraction, "X",
         "share of the prompts that is held out for evaluation", .fmin = 0, .fmax = 0.9},
        {"checkpoint-every", CLI_INT, &s.checkpoint_every, "STEPS",
         "0: only when stopped by Ctrl-C", .min = 0, .max = 1 << 30},
        {"keep", CLI_INT, &s.keep, "N", "checkpoints that stay", .min = 1, .max = 1 << 20},
        {"recompute", CLI_INT, &s.recompute, "LAYERS",
         "layers that compute their feed-forward again in the\nbackward: less memory, more time",
         .min = 0, .max = 1 << 20},
        {"dtype", CLI_STR, &s.dtype, "f32|bf16|f16", "of DIR/final"},
        {"seed", CLI_INT, &s.seed, "N", "of drawn weights, order and hold-out", .min = 0,
         .max = (int64_t)1 << 53},
        {"device", CLI_STR, &s.device, "cpu", "where to compute"},
        {"threads", CLI_INT, &s.threads, "N",
         "0: one for each core; a run is continued with the number that\nit began with", .min = 0,
         .max = 4096},
        {"config", CLI_STR, &config, "FILE.json",
         "an object of these settings, with '_' for '-' in names;\nthe command line goes first"},
        {"json", CLI_FLAG, &as_json, NULL, "print the result as JSON"},
        {0}};
    int usage = cli_parse(&cmd_distill, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct json j = {0};
    struct train_result r;
    stop_install();
    err_code rc = take_config(&s, options, config, &j, &e);
    if (!rc && !(rc = train_run(&s, &r, &e))) {
        if (as_json)
            print_json(&r);
        else
            print_text(&r);
    }
    json_close(&j);
    return cli_end(rc, &e);
}

const struct command cmd_distill = {
    "distill", "train a student on a corpus of traces",
    "decant distill --student qwen2.5-0.5b/ --corpus traces.db --out run/ --epochs 3 --lr 4e-5\n"
    "decant distill --out run/ --resume",
    run,
    "Full fine-tuning in float32 with AdamW, warm-up and a cosine. Traces are rendered in the\n"
    "student's own chat form and packed; documents do not see each other, and the loss is on the\n"
    "completion alone, divided by the step's number of learnt tokens. The run directory holds\n"
    "config.json, metrics.jsonl, checkpoints/ and, at the end, final/. A run that was killed, or\n"
    "stopped by Ctrl-C (exit 3), continues with --resume to the same weights, bit for bit."};
