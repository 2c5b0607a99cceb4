/* Settings as a table: one list serves config.json, --config files and the comparison on resume. */
#include "distill/train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define STR(name, free, words)                                                                     \
    {                                                                                              \
#name, TRAIN_STR, offsetof(struct train_settings, name), free, 0, 0, words                 \
    }
#define INT(name, free, min, max)                                                                  \
    {                                                                                              \
#name, TRAIN_INT, offsetof(struct train_settings, name), free, min, max, NULL              \
    }
#define NUM(name, min, max)                                                                        \
    {                                                                                              \
#name, TRAIN_NUM, offsetof(struct train_settings, name), false, min, max, NULL             \
    }

const struct train_field train_fields[TRAIN_N_FIELDS] = {
    STR(student, false, NULL),
    STR(tokenizer, false, NULL),
    STR(corpus, true, NULL), /* moved, perhaps: what it holds is compared (corpus.hash) */
    STR(select, false, NULL),
    STR(target, false, "traces|answers"),
    STR(over, false, "skip|cut"),
    STR(device, false, NULL),
    STR(dtype, false, "f32|bf16|f16"),
    INT(epochs, false, 1, 10000),
    INT(batch_tokens, false, 8, 1 << 28),
    INT(accumulation, false, 1, 1 << 16),
    INT(max_length, false, 0, 1 << 28),
    INT(seed, false, 0, 9007199254740992.0),
    INT(threads, false, 0, 4096),
    INT(recompute, true, 0, 1 << 20),
    INT(checkpoint_every, true, 0, 1 << 30),
    INT(keep, true, 1, 1 << 20),
    NUM(lr, 0, 100),
    NUM(lr_floor, 0, 1),
    NUM(warmup, 0, 1),
    NUM(weight_decay, 0, 100),
    NUM(beta1, 0, 0.999999),
    NUM(beta2, 0, 0.9999999),
    NUM(eps, 1e-20, 1),
    NUM(clip, 0, 1e9),
    NUM(eval_fraction, 0, 0.9),
    STR(out, true, NULL),
};

void train_defaults(struct train_settings *s)
{
    *s = (struct train_settings){.select = "correct",
                                 .target = "traces",
                                 .over = "skip",
                                 .device = "cpu",
                                 .dtype = "bf16",
                                 .epochs = 3,
                                 .batch_tokens = 4096,
                                 .accumulation = 1,
                                 .checkpoint_every = 200,
                                 .keep = 2,
                                 .lr = 4e-5,
                                 .lr_floor = 0.1,
                                 .warmup = 0.03,
                                 .weight_decay = 0,
                                 .beta1 = 0.9,
                                 .beta2 = 0.95,
                                 .eps = 1e-8,
                                 .clip = 1};
}

int train_field_find(const char *name)
{
    for (int i = 0; i < TRAIN_N_FIELDS; i++) {
        const char *a = train_fields[i].name, *b = name;
        while (*a && (*a == *b || (*a == '_' && *b == '-')))
            a++, b++;
        if (!*a && !*b)
            return i;
    }
    return -1;
}

static void *field_at(const struct train_settings *s, int i)
{
    return (char *)s + train_fields[i].offset;
}

static err_code read_field(struct train_settings *s, int i, const struct json *j, const cJSON *o,
                           struct err *e)
{
    const struct train_field *f = &train_fields[i];
    switch (f->kind) {
    case TRAIN_STR:
        return json_opt_str(j, o, f->name, field_at(s, i), e);
    case TRAIN_INT:
        return json_opt_int(j, o, f->name, (int64_t)f->min, (int64_t)f->max, field_at(s, i), e);
    case TRAIN_NUM:
        return json_opt_num(j, o, f->name, field_at(s, i), e);
    }
    return ERR_OK;
}

static bool word_fits(const char *words, const char *w)
{
    size_t n = strlen(w);
    for (const char *p = words; *p;) {
        size_t len = strcspn(p, "|");
        if (len == n && !memcmp(p, w, n))
            return true;
        p += len + (p[len] == '|');
    }
    return false;
}

static void value_text(const struct train_settings *s, int i, char *out, size_t size)
{
    const char *str;
    switch (train_fields[i].kind) {
    case TRAIN_STR:
        str = *(const char **)field_at(s, i);
        snprintf(out, size, "%s", str ? str : "(none)");
        break;
    case TRAIN_INT:
        snprintf(out, size, "%lld", (long long)*(int64_t *)field_at(s, i));
        break;
    case TRAIN_NUM:
        snprintf(out, size, "%.9g", *(double *)field_at(s, i));
        break;
    }
}

static err_code check_field(const struct train_settings *s, int i, struct err *e)
{
    const struct train_field *f = &train_fields[i];
    const void *at = field_at(s, i);
    char text[200];
    value_text(s, i, text, sizeof text);
    if (f->kind == TRAIN_STR) {
        const char *w = *(const char *const *)at;
        return f->words && !word_fits(f->words, w ? w : "")
                   ? err_set(e, ERR_USAGE, "%s is \"%s\"; it can be %s", f->name, text, f->words)
                   : ERR_OK;
    }
    double v = f->kind == TRAIN_INT ? (double)*(const int64_t *)at : *(const double *)at;
    if (!(v >= f->min && v <= f->max))
        return err_set(e, ERR_USAGE, "%s is %s; it should be from %.9g to %.9g", f->name, text,
                       f->min, f->max);
    if (at == &s->lr && v == 0)
        return err_set(e, ERR_USAGE, "lr is 0: nothing would be learnt");
    return ERR_OK;
}

err_code train_settings_blame(const struct train_settings *s, const char *name, err_code rc,
                              struct err *e)
{
    if (rc != ERR_USAGE || !(s->from_file >> train_field_find(name) & 1))
        return rc;
    err_context(e, "%s: \"%s\"", s->file, name);
    if (e)
        e->code = ERR_FORMAT;
    return ERR_FORMAT;
}

err_code train_settings_read(struct train_settings *s, const struct json *j, const cJSON *o,
                             struct err *e)
{
    const cJSON *item;
    if (!cJSON_IsObject(o))
        return err_set(e, ERR_FORMAT, "%s: should be an object of settings", j->name);
    s->file = j->name;
    cJSON_ArrayForEach(item, o)
    {
        int i = train_field_find(item->string);
        if (i < 0)
            return err_set(e, ERR_FORMAT,
                           "%s: there is no setting \"%.80s\"; decant distill --help lists them",
                           j->name, item->string);
        if (strcmp(item->string, train_fields[i].name))
            return err_set(e, ERR_FORMAT, "%s: write \"%s\" for \"%.80s\"", j->name,
                           train_fields[i].name, item->string);
        if (s->given >> i & 1 || cJSON_IsNull(item))
            continue;
        err_code rc = read_field(s, i, j, o, e);
        s->given |= (uint64_t)1 << i;
        s->from_file |= (uint64_t)1 << i;
        if (rc || (rc = train_settings_blame(s, item->string, check_field(s, i, e), e)))
            return rc;
    }
    return ERR_OK;
}

err_code train_settings_check(const struct train_settings *s, struct err *e)
{
    err_code rc = ERR_OK;
    for (int i = 0; i < TRAIN_N_FIELDS && !rc; i++)
        rc = train_settings_blame(s, train_fields[i].name, check_field(s, i, e), e);
    return rc;
}

err_code train_settings_write(const struct train_settings *s, cJSON *o, struct err *e)
{
    for (int i = 0; i < TRAIN_N_FIELDS; i++) {
        const struct train_field *f = &train_fields[i];
        const char *str = f->kind == TRAIN_STR ? *(const char **)field_at(s, i) : NULL;
        bool ok;
        if (f->kind == TRAIN_STR)
            ok = str ? cJSON_AddStringToObject(o, f->name, str) : cJSON_AddNullToObject(o, f->name);
        else if (f->kind == TRAIN_INT)
            ok = cJSON_AddNumberToObject(o, f->name, (double)*(int64_t *)field_at(s, i));
        else
            ok = cJSON_AddNumberToObject(o, f->name, *(double *)field_at(s, i));
        if (!ok)
            return err_set(e, ERR_NOMEM, "out of memory while writing the settings");
    }
    return ERR_OK;
}

static bool same_value(const struct train_settings *a, const struct train_settings *b, int i)
{
    if (train_fields[i].kind == TRAIN_INT)
        return *(int64_t *)field_at(a, i) == *(int64_t *)field_at(b, i);
    if (train_fields[i].kind == TRAIN_NUM)
        return *(double *)field_at(a, i) == *(double *)field_at(b, i);
    const char *x = *(const char **)field_at(a, i), *y = *(const char **)field_at(b, i);
    return x == y || (x && y && !strcmp(x, y));
}

err_code train_settings_join(struct train_settings *s, const struct json *j, const cJSON *o,
                             struct err *e)
{
    struct train_settings run = *s;
    run.given = 0;
    err_code rc = train_settings_read(&run, j, o, e);
    for (int i = 0; i < TRAIN_N_FIELDS && !rc; i++) {
        const struct train_field *f = &train_fields[i];
        bool given = s->given >> i & 1;
        char mine[200], theirs[200];
        value_text(s, i, mine, sizeof mine);
        value_text(&run, i, theirs, sizeof theirs);
        if (given && !f->free && !same_value(s, &run, i))
            return err_set(
                e, ERR_USAGE,
                "%s: this run was started with %s = %s, not %s; leave the setting out to "
                "continue it, or start another run in another directory",
                j->name, f->name, theirs, mine);
        if (!given)
            memcpy(field_at(s, i), field_at(&run, i),
                   f->kind == TRAIN_STR ? sizeof(char *) : sizeof(int64_t));
    }
    return rc;
}

double train_lr(const struct train_settings *s, int64_t step, int64_t n_steps)
{
    int64_t n_warm = (int64_t)ceil(s->warmup * (double)n_steps);
    if (step <= n_warm)
        return s->lr * (double)step / (double)n_warm;
    double t = n_steps > n_warm ? (double)(step - n_warm) / (double)(n_steps - n_warm) : 1;
    return s->lr * (s->lr_floor + (1 - s->lr_floor) * 0.5 * (1 + cos(M_PI * t)));
}
