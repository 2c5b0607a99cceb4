/* Reading HTTP teachers' streams, on one thread: nanoseconds a chunk, beside cJSON parsing the same
 * chunks' JSON and doing nothing with it; and the memory of 1,000 streams of 120 kB of text each
 * (30,000 tokens) that arrive side by side, beside the text itself. */
#include "core/base/log.h"
#include "teacher/http/body.h"
#include "teacher/http/reply.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_CHUNKS = 20000, N_ROUNDS = 5, N_STREAMS = 1000, N_PIECES = 3000, FED = 16 << 10 };

#define HEAD                                                                                       \
    "{\"id\":\"chatcmpl-9f86d081884c7d65\",\"object\":\"chat.completion.chunk\",\"created\":"      \
    "1745000002,\"model\":\"deepseek-ai/DeepSeek-R1\",\"choices\":[{\"index\":0,\"delta\":{"

/* One token's chunk as vLLM sends it; words differ, so that nothing is a loop. */
static int chunk(char *out, size_t size, int i, bool logprobs)
{
    char entry[900] = "null";
    if (logprobs) {
        int n = snprintf(entry, sizeof entry,
                         "{\"content\":[{\"token\":\"w%03d\",\"logprob\":-0.3217453,\"bytes\":"
                         "[119,48,48,48],\"top_logprobs\":[",
                         i % 1000);
        for (int k = 0; k < 5; k++)
            n +=
                snprintf(entry + n, sizeof entry - (size_t)n,
                         "%s{\"token\":\"w%03d\",\"logprob\":-%d.3217453,\"bytes\":[119,48,48,48]}",
                         k ? "," : "", (i + 37 * k) % 1000, k);
        snprintf(entry + n, sizeof entry - (size_t)n, "]}]}");
    }
    return snprintf(out, size,
                    HEAD
                    "\"reasoning_content\":\"%03d%s\"},\"logprobs\":%s,\"finish_reason\":null}]}",
                    i * 7919 % 1000, i % 9 ? " " : "\\n", entry);
}

static void stream(struct buf *b, size_t *at, bool logprobs)
{
    char text[1400];
    for (int i = 0; i < N_CHUNKS; i++) {
        int n = chunk(text, sizeof text, i, logprobs);
        buf_str(b, "data: ", NULL);
        at[i] = b->len;
        buf_add(b, text, (size_t)n, NULL);
        buf_str(b, "\n\n", NULL);
    }
    at[N_CHUNKS] = b->len;
}

static double read_once(struct http_reply *r, const struct buf *b)
{
    double t0 = clock_now();
    http_reply_begin(r, NULL);
    for (size_t i = 0; i < b->len; i += FED)
        if (http_reply_feed(r, b->data + i, b->len - i < FED ? b->len - i : FED) != REPLY_READING)
            abort();
    return clock_now() - t0;
}

static double cjson_once(const struct buf *b, const size_t *at)
{
    double t0 = clock_now();
    for (int i = 0; i < N_CHUNKS; i++) {
        cJSON *j = cJSON_ParseWithLength(b->data + at[i], at[i + 1] - at[i]);
        if (!j)
            abort();
        cJSON_Delete(j);
    }
    return clock_now() - t0;
}

static void bench_chunks(const char *name, bool logprobs)
{
    static size_t at[N_CHUNKS + 1];
    struct buf b = {0};
    struct http_reply *r;
    struct reply_rules rules = {.chat = true, .n_top = logprobs ? 5 : 0, .stop_loops = true};
    double ours = 1e9, theirs = 1e9;
    stream(&b, at, logprobs);
    if (http_reply_new(&rules, &r, NULL))
        abort();
    for (int i = 0; i < N_ROUNDS; i++) {
        double x = read_once(r, &b), y = cjson_once(&b, at);
        ours = x < ours ? x : ours;
        theirs = y < theirs ? y : theirs;
    }
    printf("%s: %.0f ns a chunk of %zu bytes, %.2f x cJSON's parsing alone (%.0f ns)\n", name,
           ours / N_CHUNKS * 1e9, b.len / N_CHUNKS, ours / theirs, theirs / N_CHUNKS * 1e9);
    http_reply_free(r);
    buf_dispose(&b);
}

/* Answers of 8 chunks, each with what a request costs here: body, stream, view. */
static void bench_short(void)
{
    struct body_options o = {.chat = true,
                             .stream = true,
                             .model = "r1",
                             .temperature = 0.6,
                             .top_p = 0.95,
                             .max_tokens = 100};
    struct body_ask ask = {"What is six times seven? Please reason step by step.", 52, true, 7};
    struct reply_rules rules = {.chat = true, .stop_loops = true};
    struct http_reply *r;
    struct reply_view v;
    struct buf b = {0}, body = {0};
    char text[1400];
    double best = 1e9;
    for (int i = 0; i < 8; i++) {
        chunk(text, sizeof text, i, false);
        buf_printf(&b, NULL, "data: %s\n\n", text);
    }
    buf_str(&b,
            "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
            "data: [DONE]\n\n",
            NULL);
    if (http_reply_new(&rules, &r, NULL))
        abort();
    for (int k = 0; k < N_ROUNDS; k++) {
        double t0 = clock_now();
        for (int i = 0; i < 10000; i++) {
            buf_clear(&body);
            if (body_write(&o, &ask, &body, NULL))
                abort();
            http_reply_begin(r, NULL);
            if (http_reply_feed(r, b.data, b.len) != REPLY_COMPLETE)
                abort();
            http_reply_view(r, &v);
        }
        best = clock_now() - t0 < best ? clock_now() - t0 : best;
    }
    printf("short answers of 8 chunks: %.1f us each, %.0f %% of a core at 5,000 a second\n",
           best * 1e2, best / 10000 * 5000 * 100);
    http_reply_free(r);
    buf_dispose(&b);
    buf_dispose(&body);
}

static double resident_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * 4096 / 1e6;
}

static void bench_memory(void)
{
    static struct http_reply *r[N_STREAMS];
    struct reply_rules rules = {.chat = true, .stop_loops = true};
    struct reply_view v;
    char text[1400];
    double before = resident_mb(), bytes = 0, t0 = clock_now();
    for (int i = 0; i < N_STREAMS; i++)
        if (http_reply_new(&rules, &r[i], NULL))
            abort();
    for (int k = 0; k < N_PIECES; k++) {
        int n = snprintf(text, sizeof text, HEAD "\"content\":\"%039d \"}}]}\n\n", k * 7919);
        for (int i = 0; i < N_STREAMS; i++) {
            http_reply_feed(r[i], "data: ", 6);
            http_reply_feed(r[i], text, (size_t)n);
        }
    }
    for (int i = 0; i < N_STREAMS; i++) {
        http_reply_view(r[i], &v);
        bytes += (double)v.n_answer + 1;
    }
    double used = resident_mb() - before;
    printf("%d streams of %d chunks: %.0f MB, %.2f x their text (%.0f MB), %.0f ns a chunk\n",
           N_STREAMS, N_PIECES, used, used / (bytes / 1e6), bytes / 1e6,
           (clock_now() - t0) / N_STREAMS / N_PIECES * 1e9);
    for (int i = 0; i < N_STREAMS; i++)
        http_reply_free(r[i]);
}

int main(void)
{
    bench_chunks("chunks", false);
    bench_chunks("chunks with 5 log-probabilities", true);
    bench_short();
    bench_memory();
    return 0;
}
