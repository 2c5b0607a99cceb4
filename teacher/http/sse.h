/* sse.h: server-sent events out of bytes as they come (WHATWG HTML, section 9.2.6).
 *
 *     struct sse s = {.max_bytes = 64 << 20, .event = take, .ctx = me};
 *     while (bytes come)
 *         if (!sse_feed(&s, data, n)) break;        // s.problem, or the taker said stop
 *     sse_end(&s);                                  // what a missing last blank line held back
 *     sse_dispose(&s);
 *
 * Lines end in LF, CRLF or CR. The data lines of an event are joined by LF. Comments and fields
 * other than data, event and id are passed over. Three liberties, for what proxies do: a line that
 * begins with { is data (an error that was written between events), a field "error" is data (old
 * llama-server), and what stands behind the last blank line is an event too, told as the last. */
#ifndef DECANT_TEACHER_HTTP_SSE_H
#define DECANT_TEACHER_HTTP_SSE_H

#include "teacher/http/text.h"

/* What a taker is given; strings live during the call. */
struct sse_event {
    const char *data;
    size_t n;
    bool error;     /* its event field said "error" */
    bool last_part; /* the stream ended before the event did: data may be cut */
    int64_t id;     /* its id field where that is a whole number, else -1 */
};
enum sse_problem { SSE_FINE, SSE_TOO_LONG, SSE_NO_MEMORY };

struct sse {
    size_t max_bytes;                                     /* of a line, and of an event's data */
    bool (*event)(void *ctx, const struct sse_event *ev); /* false: stop */
    void *ctx;
    /* the rest is sse.c's */
    enum sse_problem problem;
    struct text line, data;
    int64_t id;
    bool after_cr, has_data, error;
    char other[200]; /* the start of the first line that is no field at all, for messages */
    size_t n_other;
    uint64_t n_events;
};
/* false: the taker said stop, or there is a problem; no more is to be fed. */
bool sse_feed(struct sse *s, const char *data, size_t n);
void sse_end(struct sse *s);
/* For the next stream; memory is kept, but for large blocks. */
void sse_reset(struct sse *s);
void sse_dispose(struct sse *s);

#endif
