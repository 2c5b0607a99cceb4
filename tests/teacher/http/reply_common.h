/* What the tests of answers share: one that is read to its end, and chunks to make it of. */
#ifndef DECANT_TESTS_REPLY_COMMON_H
#define DECANT_TESTS_REPLY_COMMON_H

#include "teacher/http/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static inline void same_string(const char *what, const char *file, const char *a, const char *b)
{
    if ((!a) != (!b) || (a && strcmp(a, b)))
        fail_msg("%s: %s is %s; should be %s", file, what, a ? a : "NULL", b ? b : "NULL");
}

static inline void same_text(const char *what, const char *file, const char *a, size_t n,
                             const char *b)
{
    if (n != strlen(b) || memcmp(a, b, n))
        fail_msg("%s: %s is [%.*s]; should be [%s]", file, what, (int)n, a, b);
}

static inline struct http_reply *reply_for(const struct reply_rules *rules)
{
    struct http_reply *r;
    struct err e;
    assert_int_equal(http_reply_new(rules, &r, &e), ERR_OK);
    return r;
}

static inline struct reply_view view_of(struct http_reply *r, const char *text)
{
    struct reply_view v;
    http_reply_begin(r, NULL);
    http_reply_feed(r, text, strlen(text));
    http_reply_end(r);
    http_reply_view(r, &v);
    return v;
}

#define CHUNK(members) "data: {\"choices\":[{\"index\":0," members "}]}\n\n"
#define DELTA(members) CHUNK("\"delta\":{" members "}")
#define CONTENT(text) DELTA("\"content\":\"" text "\"")
#define THINKING(texts) DELTA("\"content\":[{\"type\":\"thinking\",\"thinking\":" texts "}]")
#define STOP CHUNK("\"delta\":{},\"finish_reason\":\"stop\"")
#define DONE "data: [DONE]\n\n"

#endif
