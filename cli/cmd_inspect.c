/* decant inspect: what a model on disk is made of. Reads headers only. */
#include "cli/cli.h"
#include "core/format/gguf.h"
#include "core/format/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct command cmd_inspect;

enum { MAX_TYPES = 64, MAX_JSON_ARRAY = 64, MAX_TEXT_ARRAY = 4, MAX_TEXT_STRING = 200 };

/* Totals of one dtype. */
struct total {
    const char *dtype;
    uint64_t n_tensors, n_params, n_bytes;
};
struct totals {
    struct total all, mtp, by[MAX_TYPES]; /* mtp: of all, what predicts further tokens */
    int n;
};

static bool is_scale(const char *name)
{
    static const char end[] = "_scale_inv";
    size_t n = strlen(name), m = sizeof end - 1;
    return n > m && !strcmp(name + n - m, end);
}

static void add_total(struct total *t, const char *name, const struct tensor *x, uint64_t n_bytes)
{
    t->n_tensors++;
    t->n_params += is_scale(name) ? 0 : (uint64_t)tensor_n(x); /* FP8's scales are none */
    t->n_bytes += n_bytes;
}

/* Multi-token prediction modules stand as layers after the last one, as DeepSeek-V3's config
 * announces them. Decoding one token at a time does without. Returns the first one's number. */
static int64_t first_mtp_layer(const struct weights *w)
{
    const struct json *j = weights_config(w);
    int64_t n_layers = INT64_MAX, n_mtp = 0;
    if (!j || json_opt_int(j, j->root, "num_nextn_predict_layers", 0, 1 << 20, &n_mtp, NULL) ||
        !n_mtp || json_opt_int(j, j->root, "num_hidden_layers", 0, 1 << 20, &n_layers, NULL))
        return INT64_MAX;
    return n_layers;
}

static bool is_layer_from(const char *name, int64_t first)
{
    static const char start[] = "model.layers.";
    size_t n = sizeof start - 1;
    return !strncmp(name, start, n) && name[n] >= '0' && name[n] <= '9' &&
           strtoll(name + n, NULL, 10) >= first;
}

static void sum_up(const struct weights *w, struct totals *sums)
{
    int64_t first_mtp = first_mtp_layer(w);
    for (int64_t i = 0; i < weights_count(w); i++) {
        const char *name;
        struct tensor t;
        struct weights_stored s;
        weights_at(w, i, &name, &t);
        weights_stored_at(w, i, &s);
        add_total(&sums->all, name, &t, s.n_bytes);
        if (is_layer_from(name, first_mtp))
            add_total(&sums->mtp, name, &t, s.n_bytes);
        int k = 0;
        while (k < sums->n && strcmp(sums->by[k].dtype, s.dtype))
            k++;
        if (k == MAX_TYPES)
            continue;
        if (k == sums->n)
            sums->by[sums->n++].dtype = s.dtype;
        add_total(&sums->by[k], name, &t, s.n_bytes);
    }
}

/* The model's kind, as a JSON string literal, or "null". */
static err_code add_architecture(struct buf *b, const struct weights *w, struct err *e)
{
    const char *s = NULL;
    size_t n = 0;
    err_code rc = ERR_OK;
    struct gguf_value v;
    if (weights_is_gguf(w) && gguf_find(weights_gguf(w), "general.architecture", &v))
        rc = gguf_str(weights_gguf(w), "general.architecture", &s, &n, e);
    else if (weights_config(w)) {
        const struct json *j = weights_config(w);
        rc = json_opt_str(j, j->root, "model_type", &s, e);
        n = s ? strlen(s) : 0;
    }
    return rc ? rc : s ? json_quote(b, s, n, e) : buf_str(b, "null", e);
}

/* Element i of a value that holds no strings. */
static err_code add_number(struct buf *b, const struct gguf_value *v, uint64_t i, struct err *e)
{
    if (v->type == GGUF_BOOL)
        return buf_str(b, gguf_elem_int(v, i) ? "true" : "false", e);
    if (v->type == GGUF_U64)
        return buf_printf(b, e, "%llu", (unsigned long long)gguf_elem_int(v, i));
    if (v->type != GGUF_F32 && v->type != GGUF_F64)
        return buf_printf(b, e, "%lld", (long long)gguf_elem_int(v, i));
    double d = gguf_elem_num(v, i);
    return d - d == 0 ? buf_printf(b, e, "%.9g", d) : buf_str(b, "null", e);
}

/* A metadata value as JSON; at most max_array elements of an array, max_string bytes of a string.
 */
static err_code add_value(struct buf *b, const struct gguf_value *v, uint64_t max_array,
                          size_t max_string, struct err *e)
{
    uint64_t at = 0;
    const char *s;
    size_t n;
    err_code rc = v->is_array ? buf_str(b, "[", e) : ERR_OK;
    for (uint64_t i = 0; i < v->n && i < max_array && !rc; i++) {
        if (i && (rc = buf_str(b, ", ", e)))
            break;
        if (v->type != GGUF_STR)
            rc = add_number(b, v, i, e);
        else if (gguf_next_str(v, &at, &s, &n))
            rc = json_quote(b, s, n < max_string ? n : max_string, e);
    }
    return rc ? rc : v->is_array ? buf_str(b, "]", e) : ERR_OK;
}

/* "1.54 GB": three digits, a decimal prefix and the unit. */
static const char *short_number(char out[32], uint64_t n, const char *unit)
{
    static const char *const prefix[] = {"", "k", "M", "G", "T", "P", "E"};
    double x = (double)n;
    int i = 0;
    for (; x >= 999.5; i++)
        x /= 1000;
    int digits = !i || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2;
    snprintf(out, 32, "%.*f%s%s%s", digits, x, i || *unit ? " " : "", prefix[i], unit);
    return out;
}

static err_code text_metadata(struct buf *b, const struct gguf *g, struct err *e)
{
    err_code rc = buf_str(b, "\nmetadata\n", e);
    for (int64_t i = 0; i < gguf_n_keys(g) && !rc; i++) {
        const char *key;
        size_t n;
        struct gguf_value v;
        gguf_key_at(g, i, &key, &n, &v);
        rc = buf_printf(b, e, "  %-44.*s ", (int)n, key);
        if (!rc)
            rc = add_value(b, &v, MAX_TEXT_ARRAY, MAX_TEXT_STRING, e);
        if (!rc && v.is_array && v.n > MAX_TEXT_ARRAY)
            rc = buf_printf(b, e, " ... %llu in all", (unsigned long long)v.n);
        if (!rc)
            rc = buf_str(b, "\n", e);
    }
    return rc;
}

static err_code text_tensors(struct buf *b, const struct weights *w, struct err *e)
{
    err_code rc = buf_str(b, "\ntensors\n", e);
    for (int64_t i = 0; i < weights_count(w) && !rc; i++) {
        const char *name;
        struct tensor t;
        struct weights_stored s;
        weights_at(w, i, &name, &t);
        weights_stored_at(w, i, &s);
        char shape[100] = "";
        size_t at = 0;
        for (int k = 0; k < t.n_dims; k++)
            at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%lld", k ? ", " : "",
                                   (long long)t.shape[k]);
        rc = buf_printf(b, e, "  %-56s %-8s %14llu  [%s]\n", name, s.dtype,
                        (unsigned long long)s.n_bytes, shape);
    }
    return rc;
}

static err_code text_report(struct buf *b, const struct weights *w, const struct totals *sums,
                            struct err *e)
{
    char a[32], c[32], d[32];
    err_code rc = buf_printf(b, e, "%s\n  architecture  ", weights_path(w));
    if (!rc)
        rc = add_architecture(b, w, e);
    if (!rc)
        rc = buf_printf(
            b, e, "\n  parameters    %s (%llu)\n  bytes         %s in %llu tensor%s\n",
            short_number(a, sums->all.n_params, ""), (unsigned long long)sums->all.n_params,
            short_number(c, sums->all.n_bytes, "B"), (unsigned long long)sums->all.n_tensors,
            plural((int64_t)sums->all.n_tensors));
    const struct total *mtp = &sums->mtp;
    if (!rc && mtp->n_tensors)
        rc = buf_printf(b, e,
                        "  of these      %s (%llu), %s in %llu tensor%s: multi-token prediction\n"
                        "  without it    %s (%llu)\n",
                        short_number(a, mtp->n_params, ""), (unsigned long long)mtp->n_params,
                        short_number(c, mtp->n_bytes, "B"), (unsigned long long)mtp->n_tensors,
                        plural((int64_t)mtp->n_tensors),
                        short_number(d, sums->all.n_params - mtp->n_params, ""),
                        (unsigned long long)(sums->all.n_params - mtp->n_params));
    for (int i = 0; i < sums->n && !rc; i++) {
        const struct total *t = &sums->by[i];
        rc = buf_printf(b, e, "  %-12s  %llu tensor%s, %s parameters, %s\n", t->dtype,
                        (unsigned long long)t->n_tensors, plural((int64_t)t->n_tensors),
                        short_number(a, t->n_params, ""), short_number(c, t->n_bytes, "B"));
    }
    if (!rc && weights_is_gguf(w))
        rc = text_metadata(b, weights_gguf(w), e);
    if (!rc)
        rc = text_tensors(b, w, e);
    if (b->len)
        err_clean(b->data, b->len, '\n'); /* names come from the file */
    return rc;
}

static err_code json_metadata(struct buf *b, const struct gguf *g, struct err *e)
{
    err_code rc = buf_str(b, ", \"metadata\": {", e);
    for (int64_t i = 0; i < gguf_n_keys(g) && !rc; i++) {
        const char *key;
        size_t n;
        struct gguf_value v;
        gguf_key_at(g, i, &key, &n, &v);
        rc = buf_str(b, i ? ", " : "", e);
        if (!rc)
            rc = json_quote(b, key, n, e);
        if (!rc)
            rc = buf_str(b, ": ", e);
        if (!rc)
            rc = v.is_array && v.n > MAX_JSON_ARRAY
                     ? buf_printf(b, e, "{\"elements\": %llu}", (unsigned long long)v.n)
                     : add_value(b, &v, MAX_JSON_ARRAY, SIZE_MAX, e);
    }
    return rc ? rc : buf_str(b, "}", e);
}

static err_code json_tensor(struct buf *b, const struct weights *w, int64_t i, struct err *e)
{
    const char *name;
    struct tensor t;
    struct weights_stored s;
    weights_at(w, i, &name, &t);
    weights_stored_at(w, i, &s);
    err_code rc = buf_str(b, i ? ", {\"name\": " : "{\"name\": ", e);
    if (!rc)
        rc = json_quote(b, name, strlen(name), e);
    if (!rc)
        rc = buf_str(b, ", \"dtype\": ", e);
    if (!rc)
        rc = json_quote(b, s.dtype, strlen(s.dtype), e);
    if (!rc)
        rc = buf_str(b, ", \"shape\": [", e);
    for (int k = 0; k < t.n_dims && !rc; k++)
        rc = buf_printf(b, e, "%s%lld", k ? ", " : "", (long long)t.shape[k]);
    if (!rc)
        rc = buf_printf(b, e, "], \"bytes\": %llu, \"file\": ", (unsigned long long)s.n_bytes);
    if (!rc)
        rc = json_quote(b, s.file, strlen(s.file), e);
    return rc ? rc : buf_str(b, "}", e);
}

static err_code json_report(struct buf *b, const struct weights *w, const struct totals *sums,
                            struct err *e)
{
    err_code rc = buf_str(b, "{\"model\": ", e);
    if (!rc)
        rc = json_quote(b, weights_path(w), strlen(weights_path(w)), e);
    if (!rc)
        rc = buf_printf(b, e, ", \"format\": \"%s\", \"architecture\": ",
                        weights_is_gguf(w) ? "gguf" : "safetensors");
    if (!rc)
        rc = add_architecture(b, w, e);
    if (!rc)
        rc = buf_printf(b, e,
                        ", \"parameters\": %llu, \"mtp_parameters\": %llu, \"bytes\": %llu, "
                        "\"by_dtype\": {",
                        (unsigned long long)sums->all.n_params,
                        (unsigned long long)sums->mtp.n_params,
                        (unsigned long long)sums->all.n_bytes);
    for (int i = 0; i < sums->n && !rc; i++) {
        const struct total *t = &sums->by[i];
        rc = buf_str(b, i ? ", " : "", e);
        if (!rc)
            rc = json_quote(b, t->dtype, strlen(t->dtype), e);
        if (!rc)
            rc = buf_printf(b, e, ": {\"tensors\": %llu, \"parameters\": %llu, \"bytes\": %llu}",
                            (unsigned long long)t->n_tensors, (unsigned long long)t->n_params,
                            (unsigned long long)t->n_bytes);
    }
    if (!rc)
        rc = buf_str(b, "}", e);
    if (!rc && weights_is_gguf(w))
        rc = json_metadata(b, weights_gguf(w), e);
    if (!rc)
        rc = buf_str(b, ", \"tensors\": [", e);
    for (int64_t i = 0; i < weights_count(w) && !rc; i++)
        rc = json_tensor(b, w, i, e);
    return rc ? rc : buf_str(b, "]}\n", e);
}

static int run(int argc, char **argv)
{
    const char *model = NULL;
    bool json = false;
    struct cli_option options[] = {{"model", CLI_STR, &model, "DIR|FILE",
                                    "an HF directory, a .safetensors file or a GGUF file",
                                    .required = true},
                                   {"json", CLI_FLAG, &json, NULL, "print one JSON object"},
                                   {0}};
    int usage = cli_parse(&cmd_inspect, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    struct weights *w = NULL;
    struct buf b = {0};
    struct totals sums = {0};
    err_code rc = weights_open(model, &w, &e);
    if (!rc) {
        sum_up(w, &sums);
        rc = json ? json_report(&b, w, &sums, &e) : text_report(&b, w, &sums, &e);
    }
    if (!rc)
        fwrite(b.data, 1, b.len, stdout);
    buf_dispose(&b);
    weights_close(w);
    return cli_end(rc, &e);
}

const struct command cmd_inspect = {
    "inspect", "shows a model's architecture, tensors and metadata",
    "decant inspect --model examples/tiny-r1/model\n"
    "decant inspect --model student.gguf --json",
    run,
    "Reads headers only, so it is instant for a model of any size. Parameters do not count the\n"
    "scales of FP8 weights. In --json, metadata arrays of more than 64 elements give their number\n"
    "alone; without it, the first few elements. mtp_parameters are those of multi-token\n"
    "prediction modules, which the parameters count and eval, which does not use them, does not."};
