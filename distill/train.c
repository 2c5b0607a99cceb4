/* The training job itself: what is opened in which order, the loop, and the end. */
#include "distill/train.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "distill/train_data.h"
#include "distill/train_dir.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct job {
    struct train_settings *s;
    struct train_result *r;
    struct train_dir dir;
    struct device *device;
    struct student *student;
    struct train_optim optim;
    struct train_data data;
    struct batch *batches; /* [accumulation] */
    struct train_state st;
    char *checkpoint; /* that the run continues from, or NULL */
    char *paths[3];   /* absolute paths that the settings point to */
    int64_t n_steps;
    struct progress progress;
    double t_rate; /* tokens a second, smoothed */
};

/* ---- opening */

/* Settings name files by absolute path, so that a run can be continued from anywhere. */
static err_code make_absolute(const char **setting, char **owned, struct err *e)
{
    if (!*setting)
        return ERR_OK;
    char *real = realpath(*setting, NULL);
    if (!real)
        return err_errno(e, "cannot find", *setting);
    *owned = mem_strdup(real, e);
    free(real);
    *setting = *owned;
    return *owned ? ERR_OK : ERR_NOMEM;
}

static const char *missing_setting(const struct train_settings *s)
{
    return !s->student ? "student" : !s->corpus ? "corpus" : NULL;
}

static err_code check_needed(const struct train_settings *s, struct err *e)
{
    const char *missing = missing_setting(s);
    return missing ? err_set(e, ERR_USAGE, "a new run needs --%s", missing) : ERR_OK;
}

/* --resume may start a run too; without what that needs, the run was meant to be there. */
static err_code check_run_is_there(const struct train_settings *s, struct err *e)
{
    const char *missing = missing_setting(s);
    if (!s->resume || !missing)
        return ERR_OK;
    char *config = path_join(s->out, "config.json", e), *parent = path_dir(s->out, e);
    err_code rc = config && parent ? ERR_OK : ERR_NOMEM;
    if (!rc && !file_exists(config)) {
        rc = err_set(e, ERR_NOTFOUND, "%s: there is no run to continue, and a new one needs --%s",
                     s->out, missing);
        file_suggest_below(parent, "metrics.jsonl", e);
    }
    mem_free(config);
    mem_free(parent);
    return rc;
}

static err_code default_tokenizer(struct job *j, struct err *e)
{
    struct train_settings *s = j->s;
    if (s->tokenizer)
        return make_absolute(&s->tokenizer, &j->paths[2], e);
    const char *slash = strrchr(s->student, '/');
    j->paths[2] =
        file_is_dir(s->student)
            ? mem_strdup(s->student, e)
            : mem_strndup(s->student, (size_t)(slash - s->student) + (slash == s->student), e);
    s->tokenizer = j->paths[2];
    return s->tokenizer ? ERR_OK : ERR_NOMEM;
}

static err_code resolve_settings(struct job *j, struct err *e)
{
    struct train_settings *s = j->s;
    err_code rc = make_absolute(&s->student, &j->paths[0], e);
    if (rc || (rc = make_absolute(&s->corpus, &j->paths[1], e)))
        return rc;
    bool given = s->given >> train_field_find("tokenizer") & 1;
    if (given && (rc = default_tokenizer(j, e)))
        return rc;
    if (!s->threads) /* "as many as there are" asks for nothing */
        s->given &= ~((uint64_t)1 << train_field_find("threads"));
    if (!s->max_length)
        s->given &= ~((uint64_t)1 << train_field_find("max_length"));
    if (j->dir.config.root) {
        const cJSON *old = json_at(j->dir.config.root, "settings");
        if ((rc = train_settings_join(s, &j->dir.config, old, e)))
            return rc;
    }
    if ((rc = check_needed(s, e)) || (rc = s->tokenizer ? ERR_OK : default_tokenizer(j, e)))
        return rc;
    s->out = j->dir.path;
    return train_settings_check(s, e);
}

static double gb(uint64_t bytes)
{
    return (double)bytes * 1e-9;
}

static err_code check_memory(struct job *j, struct err *e)
{
    struct student_options o = {
        .max_tokens = j->s->batch_tokens, .train = true, .n_recompute = j->s->recompute};
    struct student_memory m;
    student_memory_plan(&j->student->config, &o, &m);
    uint64_t moments = 2 * m.params, all = m.params + m.grads + moments + m.kept + m.scratch;
    log_info("memory: parameters %.2f GB, gradients %.2f, moments %.2f, activations of %lld tokens "
             "%.2f, shared %.2f: %.2f GB in all",
             gb(m.params), gb(m.grads), gb(moments), (long long)j->s->batch_tokens, gb(m.kept),
             gb(m.scratch), gb(all));
    uint64_t have = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (all > have)
        return err_set(
            e, ERR_NOMEM,
            "this run needs %.1f GB and the machine has %.1f; fewer batch_tokens (with more "
            "accumulation, for the same step) or more recompute would help",
            gb(all), gb(have));
    return student_reserve(j->student, &o, e);
}

static err_code open_student(struct job *j, struct err *e)
{
    struct train_settings *s = j->s;
    err_code rc = device_open(s->device, (int)s->threads, &j->device, e);
    if (rc)
        return train_settings_blame(s, "device", rc, e);
    s->threads = j->device->n_threads;
    rc = train_dir_latest(&j->dir, &j->checkpoint, &j->st, e);
    if (rc || (rc = student_open(j->checkpoint ? j->checkpoint : s->student, j->device,
                                 (uint64_t)s->seed, &j->student, e)))
        return rc;
    int64_t context = j->student->config.max_positions;
    if (!s->max_length)
        s->max_length = s->batch_tokens < context ? s->batch_tokens : context;
    if (s->max_length > context || s->max_length > s->batch_tokens)
        rc =
            err_set(e, ERR_USAGE,
                    "max_length is %lld; the student's context is %lld and a batch has %lld tokens",
                    (long long)s->max_length, (long long)context, (long long)s->batch_tokens);
    return train_settings_blame(s, "max_length", rc, e);
}

static err_code open_rest(struct job *j, struct err *e)
{
    struct train_settings *s = j->s;
    int64_t last_id = 0; /* of a run that goes on */
    err_code rc = ERR_OK;
    if (j->dir.config.root)
        rc = json_opt_int(&j->dir.config, j->dir.config.root, "corpus.last_id", 0, INT64_MAX,
                          &last_id, e);
    if (!rc)
        rc = train_data_open(&j->data, s, s->tokenizer, j->student->config.n_vocab, last_id, e);
    if (rc == ERR_NOTFOUND && j->dir.config.root && !file_exists(s->corpus))
        return err_set(e, rc,
                       "%s: the run's corpus is not there any more; if it was moved, say where it "
                       "is with --corpus",
                       s->corpus);
    if (rc || (rc = check_memory(j, e)) || (rc = train_optim_init(&j->optim, j->student, e)))
        return rc;
    j->optim.beta1 = (float)s->beta1;
    j->optim.beta2 = (float)s->beta2;
    j->optim.eps = (float)s->eps;
    j->optim.weight_decay = (float)s->weight_decay;
    j->optim.clip = s->clip;
    j->n_steps = train_data_n_steps(&j->data, s);
    j->batches = mem_new((size_t)s->accumulation, sizeof *j->batches, e);
    if (!j->batches)
        return ERR_NOMEM;
    for (int64_t i = 0; i < s->accumulation; i++)
        if ((rc = batch_init(&j->batches[i], s->batch_tokens, e)))
            return rc;
    return ERR_OK;
}

/* ---- config.json */

static err_code add_hash(cJSON *o, uint64_t hash, struct err *e)
{
    char text[20];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)hash);
    return cJSON_AddStringToObject(o, "hash", text) ? ERR_OK
                                                    : err_set(e, ERR_NOMEM, "out of memory");
}

static err_code describe(struct job *j, cJSON *root, struct err *e)
{
    const struct pack_summary *p = &j->data.summary;
    cJSON *settings = cJSON_AddObjectToObject(root, "settings");
    cJSON *student = cJSON_AddObjectToObject(root, "student");
    cJSON *corpus = cJSON_AddObjectToObject(root, "corpus");
    cJSON *plan = cJSON_AddObjectToObject(root, "plan");
    bool ok =
        settings && student && corpus && plan &&
        cJSON_AddStringToObject(root, "program", "decant " DECANT_VERSION) &&
        cJSON_AddStringToObject(student, "arch", student_arch_name(j->student->config.arch)) &&
        cJSON_AddNumberToObject(student, "n_params", (double)j->student->n_params) &&
        cJSON_AddNumberToObject(corpus, "n_documents", (double)p->n_docs) &&
        cJSON_AddNumberToObject(corpus, "last_id", (double)j->data.last_id) &&
        cJSON_AddNumberToObject(corpus, "n_held_out", (double)j->data.eval_summary.n_docs) &&
        cJSON_AddNumberToObject(corpus, "n_skipped", (double)p->n_skipped) &&
        cJSON_AddNumberToObject(corpus, "n_cut", (double)p->n_cut) &&
        cJSON_AddStringToObject(corpus, "chat_form", chat_form_name(j->data.chat.form)) &&
        cJSON_AddNumberToObject(plan, "n_steps", (double)j->n_steps) &&
        cJSON_AddNumberToObject(plan, "tokens_per_epoch", (double)p->n_tokens) &&
        cJSON_AddNumberToObject(plan, "targets_per_epoch", (double)p->n_target_tokens);
    if (!ok)
        return err_set(e, ERR_NOMEM, "out of memory while writing config.json");
    err_code rc = train_settings_write(j->s, settings, e);
    if (rc || (rc = add_hash(student, student_hash(j->student), e)))
        return rc;
    return add_hash(corpus, j->data.hash, e);
}

static err_code same_hash(const struct json *old, const char *key, uint64_t now, const char *what,
                          struct err *e)
{
    const char *was;
    char is[20];
    err_code rc = json_str(old, old->root, key, &was, e);
    snprintf(is, sizeof is, "%016llx", (unsigned long long)now);
    if (!rc && strcmp(was, is))
        rc = err_set(
            e, ERR_STATE,
            "%s: %s since this run was started (hash %s, now %s); start another run in another "
            "directory",
            old->name, what, was, is);
    return rc;
}

/* A new run writes its config; a continued one must find what it was started with. */
static err_code settle_config(struct job *j, struct err *e)
{
    const struct json *old = &j->dir.config;
    err_code rc = ERR_OK;
    if (old->root) {
        rc = same_hash(old, "corpus.hash", j->data.hash,
                       "what the corpus selection holds has changed (verdicts or marks, by corpus "
                       "verify, filter, dedup or decontaminate; traces made later are left out)",
                       e);
        if (!rc && !j->checkpoint)
            rc = same_hash(old, "student.hash", student_hash(j->student), "the student has changed",
                           e);
        return rc;
    }
    cJSON *root = cJSON_CreateObject();
    rc = root ? describe(j, root, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (!rc)
        rc = train_dir_write_config(&j->dir, root, e);
    cJSON_Delete(root);
    return rc;
}

static err_code continue_from(struct job *j, struct err *e)
{
    err_code rc = train_dir_cut_metrics(&j->dir, j->st.metrics_bytes, e);
    if (rc || !j->checkpoint)
        return rc;
    char *path = path_join(j->checkpoint, "optimizer.safetensors", e);
    rc = path ? train_optim_load(&j->optim, j->student, path, e) : ERR_NOMEM;
    mem_free(path);
    if (rc == ERR_FORMAT)
        err_add(e, " (if the checkpoint is damaged: without its directory the run goes on from the "
                   "one before)");
    if (!rc)
        log_info("continuing from step %lld of %lld", (long long)j->st.step, (long long)j->n_steps);
    return rc;
}

/* ---- the loop */

static err_code add_metric(struct job *j, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static err_code add_metric(struct job *j, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    return train_dir_metric(&j->dir, line, (size_t)n, NULL);
}

/* NaN would go on into metrics.jsonl, which then is no JSON, and into the weights. */
static err_code check_loss(const struct job *j, const char *what, double loss, struct err *e)
{
    if (isfinite(loss))
        return ERR_OK;
    return err_set(e, ERR_STATE, "%s after step %lld is not a finite number; %s", what,
                   (long long)j->st.step,
                   j->st.step ? "a lower lr or a lower clip may help"
                              : "nothing was learnt yet: the student's weights are damaged");
}

/* Mean loss over the held-out part; NAN without one, and when the user stops the run meanwhile:
 * then it stays due. */
static err_code evaluate(struct job *j, double *loss, struct err *e)
{
    int64_t n = 0, n_valid = 0;
    double sum = 0;
    *loss = NAN;
    j->st.eval_due = false;
    if (!j->data.eval_pack)
        return ERR_OK;
    err_code rc = pack_n_batches(j->data.eval_pack, 0, &n, e);
    for (int64_t i = 0; i < n && !rc; i++) {
        struct batch *b = &j->batches[0];
        if ((rc = pack_get(j->data.eval_pack, 0, i, b, e)) == ERR_OK)
            rc = student_loss(j->student, b, &sum, e);
        n_valid += b->n_valid;
        if (i + 1 < n && stop_requested()) {
            j->st.eval_due = true;
            return rc;
        }
    }
    if (rc)
        return rc;
    *loss = sum / (double)n_valid;
    if ((rc = check_loss(j, "the held-out loss", *loss, e)))
        return rc;
    if (add_metric(j, "{\"step\": %lld, \"eval_loss\": %.9g, \"eval_tokens\": %lld}\n",
                   (long long)j->st.step, *loss, (long long)n_valid))
        return err_set(e, ERR_IO, "cannot write metrics.jsonl in %s", j->dir.path);
    return ERR_OK;
}

struct step {
    int64_t n, n_tokens, n_valid;
    double loss, norm, lr, seconds;
};

/* Gradients of all micro-batches of the step, each scaled by the targets of all of them. *stopped:
 * the user asked to stop in between; nothing has changed then. */
static err_code gradients(struct job *j, struct step *t, bool *stopped, struct err *e)
{
    int64_t n;
    err_code rc = train_data_step(&j->data, j->s, t->n, j->batches, &n, e);
    for (int64_t i = 0; i < n && !rc; i++) {
        t->n_tokens += j->batches[i].n_tokens;
        t->n_valid += j->batches[i].n_valid;
    }
    if (!rc && !t->n_valid)
        rc = err_set(e, ERR_STATE, "step %lld has no token to learn from", (long long)t->n);
    if (!rc)
        student_zero_grads(j->student);
    for (int64_t i = 0; i < n && !rc; i++) {
        if ((*stopped = stop_requested()))
            return ERR_OK;
        rc = student_backward(j->student, &j->batches[i], (float)(1 / (double)t->n_valid), &t->loss,
                              e);
    }
    t->loss /= (double)t->n_valid;
    return rc ? rc : check_loss(j, "the loss", t->loss, e);
}

/* The steps whose mean loss the summary gives. */
static int64_t n_tail_steps(const struct job *j)
{
    return (j->n_steps + 9) / 10;
}

static err_code record(struct job *j, const struct step *t, struct err *e)
{
    struct train_state *st = &j->st;
    st->step = t->n;
    st->n_tokens += t->n_tokens;
    st->n_valid += t->n_valid;
    st->seconds += t->seconds;
    if (t->n > j->n_steps - n_tail_steps(j))
        st->tail_loss += t->loss;
    double rate = (double)t->n_tokens / t->seconds;
    j->t_rate = j->t_rate > 0 ? 0.9 * j->t_rate + 0.1 * rate : rate;
    progress_set(&j->progress, (uint64_t)t->n, "loss %.4f  %.0f tok/s", t->loss, j->t_rate);
    if (add_metric(j,
                   "{\"step\": %lld, \"loss\": %.9g, \"grad_norm\": %.9g, \"lr\": %.9g, "
                   "\"tokens\": %lld, \"valid_tokens\": %lld, \"tokens_per_second\": %.1f, "
                   "\"seconds\": %.3f}\n",
                   (long long)t->n, t->loss, t->norm, t->lr, (long long)t->n_tokens,
                   (long long)t->n_valid, rate, st->seconds))
        return err_set(e, ERR_IO, "cannot write metrics.jsonl in %s", j->dir.path);
    return ERR_OK;
}

static err_code checkpoint(struct job *j, struct err *e)
{
    return train_dir_checkpoint(&j->dir, j->student, &j->optim, &j->st, j->s->keep, j->s->tokenizer,
                                e);
}

static err_code stop_here(struct job *j, struct err *e)
{
    err_code rc = checkpoint(j, e);
    return rc ? rc
              : err_set(e, ERR_STOPPED,
                        "stopped after step %lld of %lld; continue with: decant distill --out %s "
                        "--resume",
                        (long long)j->st.step, (long long)j->n_steps, j->dir.path);
}

static err_code train_loop(struct job *j, struct err *e)
{
    struct train_state *st = &j->st;
    err_code rc = ERR_OK;
    double ignored;
    if (st->step == 0 && isnan(st->eval_before))
        rc = evaluate(j, &st->eval_before, e);
    else if (st->eval_due && st->step < j->n_steps)
        rc = evaluate(j, &ignored, e);
    while (!rc && st->step < j->n_steps) {
        struct step t = {.n = st->step + 1};
        bool stopped = stop_requested();
        double t0 = clock_now();
        if (!stopped)
            rc = gradients(j, &t, &stopped, e);
        if (!rc && stopped)
            return stop_here(j, e);
        t.lr = train_lr(j->s, t.n, j->n_steps);
        if (!rc)
            rc = train_optim_step(&j->optim, j->student, t.n, t.lr, &t.norm, e);
        t.seconds = clock_now() - t0;
        if (!rc)
            rc = record(j, &t, e);
        if (rc || !j->s->checkpoint_every || st->step % j->s->checkpoint_every ||
            st->step == j->n_steps)
            continue;
        if (!(rc = evaluate(j, &ignored, e)))
            rc = checkpoint(j, e);
    }
    return rc;
}

static enum dtype final_dtype(const char *name)
{
    return !strcmp(name, "f32") ? DT_F32 : !strcmp(name, "f16") ? DT_F16 : DT_BF16;
}

static void fill_result(struct job *j)
{
    struct train_result *r = j->r;
    r->n_steps = j->n_steps;
    r->n_done = j->st.step;
    r->n_tokens = j->st.n_tokens;
    r->n_valid = j->st.n_valid;
    r->n_documents = j->data.summary.n_docs;
    r->n_eval_documents = j->data.eval_summary.n_docs;
    r->n_skipped = j->data.summary.n_skipped;
    r->max_length = j->s->max_length;
    r->n_loss_steps = n_tail_steps(j);
    r->loss = j->st.tail_loss / (double)r->n_loss_steps;
    r->eval_before = j->st.eval_before;
    r->seconds = j->st.seconds;
    r->tokens_per_second = j->st.seconds > 0 ? (double)j->st.n_tokens / j->st.seconds : 0;
}

static err_code train_all(struct job *j, struct err *e)
{
    const struct pack_summary *p = &j->data.summary;
    log_info(
        "%s student of %.3g million parameters; %lld documents, %lld tokens (%lld to learn) an "
        "epoch; %lld skipped and %lld cut (longer than %lld tokens), %lld held out; chat form %s; "
        "%lld step%s",
        student_arch_name(j->student->config.arch), (double)j->student->n_params * 1e-6,
        (long long)p->n_docs, (long long)p->n_tokens, (long long)p->n_target_tokens,
        (long long)p->n_skipped, (long long)p->n_cut, (long long)j->s->max_length,
        (long long)j->data.eval_summary.n_docs, chat_form_name(j->data.chat.form),
        (long long)j->n_steps, j->n_steps == 1 ? "" : "s");
    progress_begin(&j->progress, "distill", (uint64_t)j->n_steps);
    progress_resume(&j->progress, (uint64_t)j->st.step);
    err_code rc = train_loop(j, e);
    fill_result(j);
    if (!rc)
        rc = evaluate(j, &j->r->eval_after, e);
    if (!rc && j->st.eval_due)
        rc = stop_here(j, e);
    if (!rc)
        rc = train_dir_finish(&j->dir, j->student, final_dtype(j->s->dtype), j->s->tokenizer,
                              j->data.tokenizer, e);
    progress_end(&j->progress, "%lld of %lld steps, %lld tokens in %.1f s", (long long)j->st.step,
                 (long long)j->n_steps, (long long)j->st.n_tokens, j->st.seconds);
    return rc;
}

static void job_close(struct job *j)
{
    for (int64_t i = 0; j->batches && i < j->s->accumulation; i++)
        batch_dispose(&j->batches[i]);
    mem_free(j->batches);
    train_data_close(&j->data);
    train_optim_dispose(&j->optim);
    student_close(j->student);
    device_close(j->device);
    mem_free(j->checkpoint);
    train_dir_close(&j->dir);
}

err_code train_run(const struct train_settings *asked, struct train_result *r, struct err *e)
{
    struct train_settings own = *asked, *s = &own;
    struct job j = {.s = s, .r = r};
    *r = (struct train_result){.eval_before = NAN, .eval_after = NAN};
    if (!s->out)
        return err_set(e, ERR_USAGE, "a run needs --out, its directory");
    err_code rc = train_settings_check(s, e);
    if (rc || (rc = check_run_is_there(s, e)) ||
        (rc = train_dir_open(&j.dir, s->out, s->resume, e)))
        goto done;
    snprintf(r->final_dir, sizeof r->final_dir, "%s/final", j.dir.path);
    if ((rc = resolve_settings(&j, e)))
        goto done;
    if (train_dir_finished(&j.dir)) {
        r->was_finished = j.dir.config.root;
        if (!r->was_finished)
            rc = err_set(e, ERR_STATE, "%s: is there, but no run that made it; give another --out",
                         r->final_dir);
        goto done;
    }
    if (!(rc = open_student(&j, e)) && !(rc = open_rest(&j, e)) && !(rc = settle_config(&j, e)) &&
        !(rc = continue_from(&j, e)))
        rc = train_all(&j, e);
done:
    job_close(&j);
    for (int i = 0; i < 3; i++)
        mem_free(j.paths[i]);
    return rc;
}
