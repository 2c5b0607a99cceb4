#include "distill/generate_request.h"

#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/rng.h"
#include "teacher/http/body.h"

#include <stdio.h>
#include <string.h>

/* ,"key":"text" */
static err_code add_text(struct buf *b, const char *key, const char *text, struct err *e)
{
    if (!text)
        return ERR_OK;
    err_code rc = buf_printf(b, e, ",\"%s\":", key);
    return rc ? rc : json_quote(b, text, strlen(text), e);
}

static err_code add_common(const struct generate_options *o, struct buf *b, struct err *e)
{
    err_code rc =
        buf_printf(b, e,
                   ",\"temperature\":%.7g,\"top_p\":%.7g,\"top_k\":%d,\"max_tokens\":"
                   "%lld,\"seed\":%llu",
                   (double)o->sampling.temperature, (double)o->sampling.top_p, o->sampling.top_k,
                   (long long)o->max_tokens, (unsigned long long)o->seed);
    if (!rc)
        rc = add_text(b, "system", o->system, e);
    return rc ? rc : add_text(b, "instruction", o->instruction, e);
}

err_code request_local(const struct generate_options *o, const struct model *m, struct buf *b,
                       char name[256], struct err *e)
{
    uint64_t mark;
    err_code rc = model_fingerprint(o->teacher, &mark, e);
    if (rc)
        return rc;
    char *path = mem_strdup(o->teacher, e);
    if (!path)
        return ERR_NOMEM;
    for (size_t n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = 0;
    snprintf(name, 256, "%s", o->teacher_name ? o->teacher_name : path_base(path));
    mem_free(path);
    if (!(rc = buf_str(b, "{\"teacher\":", e)) && !(rc = json_quote(b, name, strlen(name), e)))
        rc = buf_printf(b, e, ",\"fingerprint\":\"%016llx\",\"chat\":\"%s\"",
                        (unsigned long long)mark, chat_form_name(m->chat.form));
    if (!rc && m->chat.system && !(o->system && *o->system)) { /* what its template says instead */
        rc = buf_str(b, ",\"default_system\":", e);
        if (!rc)
            rc = json_quote(b, m->chat.system, m->chat.n_system, e);
    }
    if (!rc)
        rc = add_common(o, b, e);
    return rc ? rc : buf_str(b, "}", e);
}

static err_code add_extra(const struct generate_options *o, struct buf *b, struct err *e)
{
    struct json j;
    err_code rc = json_parse(&j, "--extra", o->extra_json, strlen(o->extra_json), e);
    if (rc)
        return rc == ERR_FORMAT ? err_set(e, ERR_USAGE, "--extra %s: not valid JSON", o->extra_json)
                                : rc;
    if (!cJSON_IsObject(j.root))
        rc = err_set(e, ERR_USAGE, "--extra %s: give a JSON object, {\"name\": value, ...}",
                     o->extra_json);
    json_close(&j);
    if (!rc)
        rc = buf_str(b, ",\"extra\":", e);
    return rc ? rc : buf_str(b, o->extra_json, e);
}

/* The template's text, so that two files of one content are one request. */
static err_code add_template(const struct generate_options *o, struct buf *b, struct err *e)
{
    struct prompt_form f;
    err_code rc = prompt_form_open(o, &f, e);
    if (!rc)
        rc = add_text(b, "template", f.template, e);
    prompt_form_close(&f);
    return rc;
}

err_code request_http(const struct generate_options *o, const char *name, struct buf *b,
                      struct err *e)
{
    err_code rc = buf_str(b, "{\"teacher\":", e);
    if (!rc)
        rc = json_quote(b, name, strlen(name), e);
    if (!rc)
        rc = buf_printf(b, e, ",\"api\":\"%s\"", o->raw ? "completions" : "chat");
    if (!rc)
        rc = add_common(o, b, e);
    if (!rc && o->raw)
        rc = add_template(o, b, e);
    if (!rc && o->n_logprobs)
        rc = buf_printf(b, e, ",\"logprobs\":%lld", (long long)o->n_logprobs);
    if (!rc && o->stop_loops)
        rc = buf_str(b, ",\"stop_loops\":true", e);
    if (!rc && o->no_think_bytes)
        rc = buf_printf(b, e, ",\"no_think_limit\":%lld", (long long)o->no_think_bytes);
    if (!rc && o->extra_json)
        rc = add_extra(o, b, e);
    return rc ? rc : buf_str(b, "}", e);
}

/* R1's form without its first token, which servers put in front of a prompt themselves. */
static const char r1_form[] = "{system}<｜User｜>{prompt}<｜Assistant｜><think>\n";

err_code prompt_form_open(const struct generate_options *o, struct prompt_form *f, struct err *e)
{
    *f = (struct prompt_form){.instruction = o->instruction, .system = o->system};
    if (!o->raw)
        return ERR_OK;
    struct buf text = {0}, trial = {0};
    err_code rc = !strcmp(o->template, "r1") ? buf_str(&text, r1_form, e)
                                             : file_read(o->template, 1 << 20, &text, e);
    if (!rc && (rc = body_form_prompt(text.data, o->system, "", 0, &trial, e)))
        err_context(e, "--prompt-template %s", o->template);
    size_t n = text.len;
    while (!rc && n && strchr(" \n", text.data[n - 1]))
        n--;
    f->thinking_open = !rc && n >= 7 && !strncmp(text.data + n - 7, "<think>", 7);
    if (rc)
        buf_dispose(&text);
    f->template = text.data;
    buf_dispose(&trial);
    return rc;
}

void prompt_form_close(struct prompt_form *f)
{
    mem_free(f->template);
    f->template = NULL;
    buf_dispose(&f->user);
}

err_code prompt_form_fill(struct prompt_form *f, const char *prompt, size_t n, struct buf *out,
                          struct err *e)
{
    struct buf *user = f->template ? &f->user : out;
    buf_clear(out);
    buf_clear(user);
    err_code rc = buf_add(user, prompt, n, e);
    if (!rc && f->instruction && !(rc = buf_str(user, "\n\n", e)))
        rc = buf_str(user, f->instruction, e);
    if (!rc && f->template)
        rc = body_form_prompt(f->template, f->system, user->data, user->len, out, e);
    return rc;
}

uint64_t request_seed(uint64_t seed, const char *prompt, size_t n_prompt, int64_t sample_index)
{
    struct rng r = rng_make(seed, rng_hash(prompt, n_prompt), (uint64_t)sample_index);
    return rng_u64(&r) >> 33;
}

static err_code add_difference(struct buf *out, const cJSON *there, const cJSON *here,
                               struct err *e)
{
    char *a = there ? cJSON_PrintUnformatted(there) : NULL;
    char *b = here ? cJSON_PrintUnformatted(here) : NULL;
    const char *key = there ? there->string : here->string;
    err_code rc = ERR_OK;
    if (!a || !b || strcmp(a, b))
        rc = buf_printf(out, e, "%s%s %.60s there, %.60s here", out->len ? "; " : "", key,
                        a ? a : "not set", b ? b : "not set");
    cJSON_free(a);
    cJSON_free(b);
    return rc;
}

err_code request_difference(const char *there, const char *here, struct buf *out, struct err *e)
{
    struct json a, b = {0};
    err_code rc = json_parse(&a, "request", there, strlen(there), e);
    if (!rc)
        rc = json_parse(&b, "request", here, strlen(here), e);
    const cJSON *m;
    if (!rc)
        cJSON_ArrayForEach(m, a.root) if (!rc) rc =
            add_difference(out, m, cJSON_GetObjectItemCaseSensitive(b.root, m->string), e);
    if (!rc)
        cJSON_ArrayForEach(m,
                           b.root) if (!rc && !cJSON_GetObjectItemCaseSensitive(a.root, m->string))
            rc = add_difference(out, NULL, m, e);
    json_close(&b);
    json_close(&a);
    return rc;
}
