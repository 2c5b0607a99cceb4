#include "dataset/fields.h"
#include "dataset/answer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_USED = 1024 }; /* fields that come later count as not understood */
struct reading {
    struct item *item;
    const cJSON *root;
    const char *place;
    uint64_t used[MAX_USED / 64]; /* the fields that were understood, a bit each; the others go to
                                     extra */
    bool with_traces;
    uint64_t names; /* name_bit of all fields of root */
    struct err *e;
};

static err_code bad(const struct reading *r, const char *what)
{
    return err_set(r->e, ERR_FORMAT, "%s: %s", r->place, what);
}

/* Puts the names of the record's fields behind the message, some of them when they are many. */
static void add_names(const struct reading *r)
{
    enum { MAX_NAMES = 8, MAX_BYTES = 40 };
    const cJSON *k = r->root->child;
    err_add(r->e, k ? "; its fields are" : "; it has no fields");
    for (int i = 0; k && i < MAX_NAMES; i++, k = k->next) {
        size_t n = strnlen(k->string, MAX_BYTES + 1);
        bool cut = n > MAX_BYTES;
        n -= cut;
        while (cut && n && (k->string[n] & 0xC0) == 0x80) /* not within a character */
            n--;
        err_add(r->e, "%s \"%.*s%s\"", i ? "," : "", (int)n, k->string, cut ? "..." : "");
    }
    if (k)
        err_add(r->e, ", ...");
}

static void use(struct reading *r, const cJSON *v)
{
    unsigned i = 0;
    const cJSON *k = v ? r->root->child : NULL;
    for (; k && k != v; k = k->next)
        i++;
    if (k && i < MAX_USED) /* else it reaches inward */
        r->used[i / 64] |= (uint64_t)1 << i % 64;
}

/* By its name as it stands, else without regard to case. With a glance at the first letter: most
 * keys fail on it. */
static const cJSON *member(const cJSON *node, const char *key)
{
    const cJSON *like = NULL;
    if (!cJSON_IsObject(node))
        return NULL;
    for (const cJSON *k = node->child; k; k = k->next) {
        if (!k->string || (*k->string | 32) != (*key | 32))
            continue;
        if (!strcmp(k->string, key))
            return k;
        if (!like && !strcasecmp(k->string, key))
            like = k;
    }
    return like;
}

/* Of the first two letters: most names that are looked for are told to be missing by it. */
static uint64_t name_bit(const char *s)
{
    unsigned a = (unsigned char)*s | 32, b = *s ? (unsigned char)s[1] | 32 : 0;
    return (uint64_t)1 << ((a + 7 * b) & 63);
}

/* The value under a name: a key as it stands, or a path with dots, numbers reaching into arrays. */
static const cJSON *value_at(const cJSON *node, const char *path)
{
    const cJSON *v = member(node, path);
    char key[256];
    if (!v && !strchr(path, '.'))
        return NULL;
    while (!v && node && *path) {
        size_t n = strcspn(path, ".");
        if (n >= sizeof key)
            return NULL;
        memcpy(key, path, n);
        key[n] = 0;
        if (cJSON_IsArray(node))
            node = strspn(key, "0123456789") == n && n && n < 9
                       ? cJSON_GetArrayItem(node, atoi(key))
                       : NULL;
        else
            node = member(node, key);
        path += n;
        if (!*path)
            v = node;
        path += *path == '.';
    }
    return v && !cJSON_IsNull(v) ? v : NULL;
}

/* The value under a name in the record itself. */
static const cJSON *field(const struct reading *r, const char *path)
{
    bool may_be = (r->names & name_bit(path)) || strchr(path, '.');
    return may_be ? value_at(r->root, path) : NULL;
}

/* The first of the names that is there; marks it as used. */
static const cJSON *first_of(struct reading *r, const char *const *names)
{
    for (; *names; names++) {
        const cJSON *v = field(r, *names);
        if (v) {
            use(r, v);
            return v;
        }
    }
    return NULL;
}

/* ---- conversations ---- */

static const char *turn_role(const cJSON *turn)
{
    const cJSON *v = value_at(turn, "role");
    v = v ? v : value_at(turn, "from");
    const char *s = cJSON_IsString(v) ? v->valuestring : "";
    if (!strcmp(s, "human"))
        return "user";
    return !strcmp(s, "gpt") || !strcmp(s, "model") || !strcmp(s, "bot") ? "assistant" : s;
}

/* A turn's text; parts ([{"type":"text","text":...}]) only when there is just one. */
static const char *turn_text(const cJSON *turn)
{
    const cJSON *v = value_at(turn, "content");
    v = v ? v : value_at(turn, "value");
    if (cJSON_IsArray(v) && cJSON_GetArraySize(v) == 1)
        v = value_at(v, "0.text");
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

struct conversation {
    const char *system, *user;
    const cJSON *assistant; /* the turn */
    bool many_turns;
};

/* The first user turn, the answer to it, and the system's words before them. */
static bool read_conversation(const cJSON *list, struct conversation *c)
{
    *c = (struct conversation){0};
    if (!cJSON_IsArray(list))
        return false;
    for (const cJSON *turn = list->child; turn; turn = turn->next) {
        const char *role = turn_role(turn), *text = turn_text(turn);
        if (!strcmp(role, "system") && !c->user)
            c->system = text && *text ? text : c->system;
        else if (!strcmp(role, "user") && !c->user)
            c->user = text;
        else if (!strcmp(role, "assistant") && c->user && !c->assistant)
            c->assistant = turn;
        else if (c->user)
            c->many_turns = true;
    }
    return c->user != NULL;
}

static const cJSON *conversation_of(struct reading *r, struct conversation *c)
{
    static const char *const names[] = {"messages", "conversations", "conversation"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *v = field(r, names[i]);
        if (read_conversation(v, c))
            return v;
    }
    *c = (struct conversation){0};
    return NULL;
}

static void take_conversation(struct reading *r, const cJSON *list, const struct conversation *c)
{
    if (r->with_traces && !c->many_turns)
        use(r, list); /* else it is kept in extra */
    r->item->system = c->system;
    r->item->many_turns = c->many_turns;
}

/* ---- the prompt ---- */

/* Alpaca's form: an instruction, and perhaps what it is to be done on. */
static err_code join_instruction(struct reading *r, const cJSON *instruction)
{
    struct buf *b = &r->item->prompt_buf;
    const cJSON *input = field(r, "input");
    const char *rest = cJSON_IsString(input) ? input->valuestring : "";
    use(r, input);
    buf_clear(b);
    err_code rc = buf_str(b, instruction->valuestring, r->e);
    if (!rc && *rest)
        rc = buf_str(b, "\n\n", r->e);
    if (!rc)
        rc = buf_str(b, rest, r->e);
    r->item->prompt = b->data;
    return rc;
}

static err_code read_prompt(struct reading *r, const struct field_names *names)
{
    static const char *const usual[] = {"prompt", "question", "problem", NULL};
    static const char *const instruction[] = {"instruction", NULL};
    const char *const own[] = {names->prompt, NULL};
    struct conversation c;
    const char *name;
    const cJSON *v = first_of(r, names->prompt ? own : usual);
    if (!v && !names->prompt) {
        const cJSON *list = conversation_of(r, &c);
        if (list) {
            take_conversation(r, list, &c);
            r->item->prompt = c.user;
        } else if ((v = first_of(r, instruction)) && cJSON_IsString(v)) {
            err_code rc = join_instruction(r, v);
            if (rc)
                return rc;
        }
        name = list ? "messages" : "instruction";
    } else
        name = v && v->string ? v->string : names->prompt ? names->prompt : "prompt";
    if (v && !r->item->prompt) {
        if (read_conversation(v, &c)) { /* {"prompt": [{"role": ...}]} */
            take_conversation(r, v, &c);
            r->item->prompt = c.user;
        } else if (cJSON_IsString(v))
            r->item->prompt = v->valuestring;
        else
            return err_set(r->e, ERR_FORMAT, "%s: \"%s\" should be a string", r->place, name);
    }
    if (!r->item->prompt) {
        for (const char *const *n = names->prompt ? own : usual; *n; n++)
            if (member(r->root, *n)) /* null */
                return err_set(r->e, ERR_FORMAT, "%s: \"%s\" should be a string", r->place, *n);
        if (names->prompt) {
            err_set(r->e, ERR_FORMAT, "%s: has no \"%s\"", r->place, names->prompt);
            add_names(r);
            return ERR_FORMAT;
        }
        bad(r, "has none of \"prompt\", \"question\", \"problem\", \"messages\", "
               "\"conversations\", \"instruction\"");
        add_names(r);
        err_add(r->e, "; --prompt-field NAME takes another one");
        return ERR_FORMAT;
    }
    r->item->n_prompt = strlen(r->item->prompt);
    if (strspn(r->item->prompt, " \t\r\n\v\f") == r->item->n_prompt)
        return err_set(r->e, ERR_FORMAT, "%s: \"%s\" is empty", r->place, name);
    return ERR_OK;
}

/* ---- the gold answer ---- */

/* A number as short as it can be written: whole ones without an exponent, others with as many
 * digits as tell it from its neighbours. */
static void print_number(char *out, size_t size, double x)
{
    int n_digits = 15;
    if (x == trunc(x)) {
        snprintf(out, size, "%.0f", x);
        return;
    }
    do
        snprintf(out, size, "%.*g", n_digits, x);
    while (strtod(out, NULL) != x && n_digits++ < 17);
}

static err_code set_gold(struct reading *r, const cJSON *v, const char *name, bool only_marked)
{
    char number[64];
    const char *text = number;
    struct answer_span span;
    if (cJSON_IsString(v))
        text = v->valuestring;
    else if (!cJSON_IsNumber(v))
        return err_set(r->e, ERR_FORMAT, "%s: \"%s\" should be a string or a number", r->place,
                       name);
    else if (fabs(v->valuedouble) > 9007199254740992.0)
        return err_set(r->e, ERR_FORMAT,
                       "%s: \"%s\" is a number that JSON readers round; write it as a string",
                       r->place, name);
    else
        print_number(number, sizeof number, v->valuedouble);
    bool found = answer_gold(text, strlen(text), &span);
    bool whole = !found || !strcmp(span.rule, "whole");
    if (only_marked && whole)
        return ERR_OK;
    if (whole)
        use(r, v); /* else the rest of it is kept in extra */
    if (!found)
        return ERR_OK;
    struct buf *b = &r->item->gold_buf;
    buf_clear(b);
    err_code rc = buf_add(b, span.text, span.n, r->e);
    r->item->gold = b->data;
    r->item->n_gold = b->len;
    return rc;
}

/* answer_taken: the field "answer" is the teacher's. */
static err_code read_gold(struct reading *r, const struct field_names *names, bool answer_taken)
{
    static const char *const usual[] = {"answer",       "gold",         "gold_answer",
                                        "final_answer", "ground_truth", "expected_answer"};
    if (names->gold) {
        const cJSON *v = field(r, names->gold);
        return v ? set_gold(r, v, names->gold, false) : ERR_OK;
    }
    for (size_t i = answer_taken; i < sizeof usual / sizeof *usual; i++) {
        const cJSON *v = field(r, usual[i]);
        bool fits = cJSON_IsString(v) || cJSON_IsNumber(v);
        if (v && (fits || i == 0))
            return set_gold(r, v, usual[i], false);
    }
    /* MATH's solutions end in a box; others say nothing that can be compared */
    const cJSON *v = field(r, "solution");
    return cJSON_IsString(v) ? set_gold(r, v, "solution", true) : ERR_OK;
}

/* ---- what a teacher said ---- */

static void trim(const char **s, size_t *n)
{
    while (*n && strchr(" \t\r\n", **s) && **s) {
        ++*s;
        --*n;
    }
    while (*n && strchr(" \t\r\n", (*s)[*n - 1]) && (*s)[*n - 1])
        --*n;
}

/* Completion texts with the thinking inside: <think>, or the tags of OpenThoughts. */
static void split_tags(const char *text, struct item_trace *t)
{
    static const struct {
        const char *open, *close, *then, *end;
    } tags[] = {{"<think>", "</think>", "", ""},
                {"<|begin_of_thought|>", "<|end_of_thought|>", "<|begin_of_solution|>",
                 "<|end_of_solution|>"}};
    size_t n = strlen(text);
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        const char *from = text + strspn(text, " \t\r\n");
        bool opened = !strncmp(from, tags[i].open, strlen(tags[i].open));
        from += opened ? strlen(tags[i].open) : 0;
        const char *close = strstr(from, tags[i].close);
        if (!opened && !close)
            continue;
        t->think_rule = "tag";
        t->cut = !close;
        t->reasoning = from;
        t->n_reasoning = close ? (size_t)(close - from) : strlen(from);
        t->answer = close ? close + strlen(tags[i].close) : text + n;
        t->answer += strspn(t->answer, " \t\r\n");
        if (*tags[i].then && !strncmp(t->answer, tags[i].then, strlen(tags[i].then)))
            t->answer += strlen(tags[i].then);
        const char *end = *tags[i].end ? strstr(t->answer, tags[i].end) : NULL;
        t->n_answer = end ? (size_t)(end - t->answer) : (size_t)(text + n - t->answer);
        return;
    }
    t->think_rule = "none";
    t->answer = text;
    t->n_answer = n;
}

static err_code add_trace(struct reading *r, const char *reasoning, const char *answer)
{
    struct item *item = r->item;
    if (item->n_traces == ITEM_TRACES)
        return err_set(r->e, ERR_FORMAT, "%s: over %d completions in one record", r->place,
                       ITEM_TRACES);
    struct item_trace *t = &item->traces[item->n_traces++];
    *t = (struct item_trace){.reasoning = "", .answer = ""};
    if (reasoning && *reasoning) {
        t->think_rule = "field";
        t->reasoning = reasoning;
        t->n_reasoning = strlen(reasoning);
        t->answer = answer;
        t->n_answer = strlen(answer);
    } else
        split_tags(answer, t);
    trim(&t->reasoning, &t->n_reasoning);
    trim(&t->answer, &t->n_answer);
    return ERR_OK;
}

static const char *string_or_null(const cJSON *v)
{
    return cJSON_IsString(v) ? v->valuestring : NULL;
}

static err_code add_turn(struct reading *r, const cJSON *turn, const char *reasoning)
{
    static const char *const names[] = {"reasoning_content", "reasoning", "thinking"};
    const char *text = turn_text(turn);
    for (size_t i = 0; i < sizeof names / sizeof *names && !reasoning; i++)
        reasoning = string_or_null(value_at(turn, names[i]));
    return text || reasoning ? add_trace(r, reasoning, text ? text : "") : ERR_OK;
}

/* A string, a list of strings (several samples), or a conversation's assistant turn. */
static err_code add_completion(struct reading *r, const cJSON *v, const char *reasoning)
{
    err_code rc = ERR_OK;
    if (cJSON_IsString(v))
        return add_trace(r, reasoning, v->valuestring);
    if (!cJSON_IsArray(v))
        return bad(r, "a completion should be a string, a list of strings or of messages");
    for (const cJSON *k = v->child; k && !rc; k = k->next)
        if (cJSON_IsString(k))
            rc = add_trace(r, NULL, k->valuestring);
        else if (!strcmp(turn_role(k), "assistant"))
            return add_turn(r, k, reasoning);
    return rc;
}

static err_code read_traces(struct reading *r, const struct field_names *names, bool *answer_taken)
{
    static const char *const usual_reasoning[] = {"reasoning",
                                                  "reasoning_content",
                                                  "thinking",
                                                  "reasoning_trace",
                                                  "thought",
                                                  "deepseek_reasoning",
                                                  "deepseek_thinking_trajectory",
                                                  NULL};
    static const char *const usual_answer[] = {
        "completion", "generations",      "generation",        "response",
        "output",     "deepseek_attempt", "deepseek_solution", NULL};
    static const char *const answer[] = {"answer", NULL};
    const char *const own_reasoning[] = {names->reasoning, NULL};
    const char *const own_answer[] = {names->answer, NULL};
    const char *reasoning =
        string_or_null(first_of(r, names->reasoning ? own_reasoning : usual_reasoning));
    const cJSON *v = first_of(r, names->answer ? own_answer : usual_answer);
    struct conversation c;
    const cJSON *list = names->answer ? NULL : conversation_of(r, &c);
    if (!v && list && c.assistant) {
        take_conversation(r, list, &c);
        return add_turn(r, c.assistant, reasoning);
    }
    if (!v && reasoning && !names->answer) { /* {"reasoning": ..., "answer": ...} */
        v = first_of(r, answer);
        *answer_taken = v != NULL;
    }
    *answer_taken |= names->answer && !strcasecmp(names->answer, "answer");
    if (!v && reasoning)
        return add_trace(r, reasoning, "");
    if (!v) {
        bad(r,
            "has no completion: none of \"completion\", \"generations\", \"response\", \"output\", "
            "\"messages\", or \"reasoning\" with \"answer\"");
        add_names(r);
        err_add(r->e, "; name them with --answer-field and --reasoning-field");
        return ERR_FORMAT;
    }
    return add_completion(r, v, reasoning);
}

/* ---- where it came from ---- */

static const char *take_text(struct reading *r, const char *name)
{
    const cJSON *v = field(r, name);
    if (!cJSON_IsString(v))
        return NULL;
    use(r, v);
    return v->valuestring;
}

static double take_number(struct reading *r, const char *name)
{
    const cJSON *v = field(r, name);
    if (!cJSON_IsNumber(v) || !(v->valuedouble >= 0) || v->valuedouble > 9007199254740992.0)
        return -1;
    use(r, v);
    return v->valuedouble;
}

/* 2026-11-28T09:30:00.123Z, as decant writes it? */
static bool is_time(const cJSON *v)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    if (!cJSON_IsString(v) || strlen(v->valuestring) != sizeof form - 1)
        return false;
    for (size_t i = 0; form[i]; i++) {
        char c = v->valuestring[i];
        if (form[i] == 'd' ? c < '0' || c > '9' : c != form[i])
            return false;
    }
    int month, day, hour, minute, second;
    sscanf(v->valuestring, "%*4d-%2d-%2dT%2d:%2d:%2d", &month, &day, &hour, &minute, &second);
    return month >= 1 && month <= 12 && day >= 1 && day <= 31 && hour < 24 && minute < 60 &&
           second < 60;
}

/* A version's text? It is shown as it stands. */
static bool is_version(const cJSON *v)
{
    static const char may[] = "0123456789.+-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = cJSON_IsString(v) ? strspn(v->valuestring, may) : 0;
    return n > 0 && n < 40 && !v->valuestring[n];
}

static void read_provenance(struct reading *r, const struct field_names *names)
{
    struct item *item = r->item;
    item->source = take_text(r, "source");
    item->teacher = take_text(r, names->teacher ? names->teacher : "teacher");
    if (!item->teacher && !names->teacher)
        item->teacher = take_text(r, "model");
    item->served_model = take_text(r, "served_model");
    item->finish_reason = take_text(r, "finish_reason");
    const cJSON *request = field(r, "request");
    if (cJSON_IsObject(request) && cJSON_IsString(value_at(request, "teacher"))) {
        use(r, request);
        item->request = request;
    }
    item->sample_index = (int64_t)take_number(r, "sample_index");
    item->n_prompt_tokens = (int64_t)take_number(r, "n_prompt_tokens");
    item->n_cached_tokens = (int64_t)take_number(r, "n_cached_tokens");
    item->n_reasoning_tokens = (int64_t)take_number(r, "n_reasoning_tokens");
    item->n_completion_tokens = (int64_t)take_number(r, "n_completion_tokens");
    item->cost_usd = take_number(r, "cost_usd");
    item->latency_ms = take_number(r, "latency_ms");
    if (item->request && is_time(field(r, "created_at")) && is_version(field(r, "program"))) {
        item->created_at = take_text(r, "created_at");
        item->program = take_text(r, "program");
    }
    if (item->request && cJSON_IsArray(value_at(r->root, "marks")))
        item->marks = value_at(r->root, "marks");
    /* decant's own export: judged again, and numbered anew */
    static const char *const own[] = {"trace_id", "prompt_id", "verdict", "truncated", "refused",
                                      "empty",    "no_think",  "marks",   "repetition"};
    for (size_t i = 0; i < sizeof own / sizeof *own && item->request; i++)
        use(r, field(r, own[i]));
}

/* Would JSON escape nothing in it? */
static bool is_plain(const char *s)
{
    while ((unsigned char)*s >= ' ' && *s != '"' && *s != '\\')
        s++;
    return !*s;
}

static err_code print(const struct reading *r, const cJSON *v, struct buf *b)
{
    if (cJSON_IsString(v) && is_plain(v->valuestring)) { /* mostly */
        err_code rc = buf_str(b, "\"", r->e);
        if (!rc)
            rc = buf_str(b, v->valuestring, r->e);
        return rc ? rc : buf_str(b, "\"", r->e);
    }
    char *text = cJSON_PrintUnformatted(v);
    err_code rc =
        text ? buf_str(b, text, r->e) : err_set(r->e, ERR_NOMEM, "%s: out of memory", r->place);
    cJSON_free(text);
    return rc;
}

/* The other fields, as they came. */
static err_code collect_extra(struct reading *r)
{
    struct buf *b = &r->item->extra_buf;
    int n = 0;
    buf_clear(b);
    err_code rc = buf_str(b, "{", r->e);
    unsigned i = 0;
    for (const cJSON *k = r->root->child; k && !rc; k = k->next, i++) {
        bool used = i < MAX_USED && r->used[i / 64] >> i % 64 & 1;
        if (used || cJSON_IsNull(k))
            continue;
        rc = n++ ? buf_str(b, ",", r->e) : ERR_OK;
        if (!rc)
            rc = json_quote(b, k->string, strlen(k->string), r->e);
        if (!rc)
            rc = buf_str(b, ":", r->e);
        if (!rc)
            rc = print(r, k, b);
    }
    if (!rc)
        rc = buf_str(b, "}", r->e);
    r->item->extra = n ? b->data : NULL;
    return rc;
}

err_code item_read(struct item *item, const cJSON *root, const char *place,
                   const struct field_names *names, bool with_traces, struct err *e)
{
    struct reading r = {
        .item = item, .root = root, .place = place, .with_traces = with_traces, .e = e};
    bool answer_taken = false;
    memset(item, 0, offsetof(struct item, traces)); /* as many of them as it says are valid */
    for (const cJSON *k = cJSON_IsObject(root) ? root->child : NULL; k; k = k->next)
        r.names |= k->string ? name_bit(k->string) : 0;
    err_code rc = read_prompt(&r, names);
    if (!rc && with_traces)
        rc = read_traces(&r, names, &answer_taken);
    if (!rc && with_traces)
        read_provenance(&r, names);
    if (!rc)
        rc = read_gold(&r, names, answer_taken);
    return rc ? rc : collect_extra(&r);
}

void item_dispose(struct item *item)
{
    buf_dispose(&item->gold_buf);
    buf_dispose(&item->extra_buf);
    buf_dispose(&item->prompt_buf);
}
