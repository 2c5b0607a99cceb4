#include "teacher/http/sse.h"

#include <string.h>

enum { KEEP = 8 << 10 };

static bool is(const char *line, size_t n_name, const char *name)
{
    return n_name == strlen(name) && !memcmp(line, name, n_name);
}

static bool fail(struct sse *s, enum sse_problem problem)
{
    s->problem = problem;
    return false;
}

static int64_t whole_number(const char *p, size_t n)
{
    int64_t x = 0;
    if (n == 0 || n > 18)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -1;
        x = x * 10 + (p[i] - '0');
    }
    return x;
}

/* Gives the event to the taker. Its fields are forgotten, also when it had no data. */
static bool dispatch(struct sse *s, const char *data, size_t n, bool last_part)
{
    struct sse_event ev = {data, n, s->error, last_part, s->id};
    bool has_data = s->has_data, go_on = true;
    s->has_data = s->error = false;
    s->id = -1;
    if (has_data) {
        s->n_events++;
        go_on = s->event(s->ctx, &ev);
        text_clear(&s->data, KEEP);
    }
    return go_on;
}

static bool add_data(struct sse *s, const char *value, size_t n)
{
    if (n > s->max_bytes || s->data.len > s->max_bytes - n)
        return fail(s, SSE_TOO_LONG);
    if ((s->has_data && text_add(&s->data, "\n", 1, NULL)) || text_add(&s->data, value, n, NULL))
        return fail(s, SSE_NO_MEMORY);
    s->has_data = true;
    return true;
}

/* One line without its end. blank_next: the byte behind its end ends the next line too, so that an
 * event of this one line can be given without a copy. *took_blank: it was. */
static bool take_line(struct sse *s, const char *line, size_t n, bool blank_next, bool *took_blank)
{
    if (n == 0)
        return dispatch(s, s->data.data, s->data.len, false);
    if (line[0] == ':')
        return true;
    const char *colon = line[0] == '{' ? NULL : memchr(line, ':', n);
    size_t n_name = colon ? (size_t)(colon - line) : n;
    const char *value = colon ? colon + 1 : line + n;
    value += value < line + n && *value == ' ';
    size_t n_value = (size_t)(line + n - value);
    if (line[0] == '{') {
        value = line;
        n_value = n;
    } else if (is(line, n_name, "event")) {
        s->error = is(value, n_value, "error");
        return true;
    } else if (is(line, n_name, "id")) {
        s->id = whole_number(value, n_value);
        return true;
    } else if (!is(line, n_name, "data") && !is(line, n_name, "error")) {
        bool cut = n < 5 && !memcmp(line, "data:", n); /* at the end of a broken stream */
        if (!s->n_other && !cut && !is(line, n_name, "retry")) {
            s->n_other = n < sizeof s->other ? n : sizeof s->other;
            memcpy(s->other, line, s->n_other);
        }
        return true;
    }
    if (!s->has_data && blank_next) {
        *took_blank = s->has_data = true;
        return dispatch(s, value, n_value, false);
    }
    return add_data(s, value, n_value);
}

/* A line's last piece has come: alone, or behind what line holds. */
static bool end_line(struct sse *s, const char *piece, size_t n, bool blank_next, bool *took_blank)
{
    if (n > s->max_bytes || s->line.len > s->max_bytes - n)
        return fail(s, SSE_TOO_LONG);
    if (s->line.len == 0)
        return take_line(s, piece, n, blank_next, took_blank);
    if (text_add(&s->line, piece, n, NULL))
        return fail(s, SSE_NO_MEMORY);
    bool go_on = take_line(s, s->line.data, s->line.len, blank_next, took_blank);
    text_clear(&s->line, KEEP);
    return go_on;
}

bool sse_feed(struct sse *s, const char *p, size_t n)
{
    const char *end = p + n, *lf = NULL;
    if (s->problem)
        return false;
    while (p < end) {
        if (s->after_cr && *p == '\n')
            p++;
        s->after_cr = false;
        if (p == end)
            break;
        /* the next LF is looked for once, whatever number of CRs stand before it */
        if (!lf || lf < p) {
            lf = memchr(p, '\n', (size_t)(end - p));
            lf = lf ? lf : end;
        }
        const char *eol = memchr(p, '\r', (size_t)(lf - p));
        eol = eol ? eol : lf;
        size_t len = (size_t)(eol - p);
        if (eol == end) {
            if (len > s->max_bytes || s->line.len > s->max_bytes - len)
                return fail(s, SSE_TOO_LONG);
            return !text_add(&s->line, p, len, NULL) || fail(s, SSE_NO_MEMORY);
        }
        const char *next = eol + 1;
        bool took_blank = false, blank_next = *eol == '\n' && next < end && *next == '\n';
        s->after_cr = *eol == '\r';
        if (!end_line(s, p, len, blank_next, &took_blank))
            return false;
        p = next + took_blank;
    }
    return true;
}

void sse_end(struct sse *s)
{
    bool unused;
    if (s->problem)
        return;
    if (s->line.len && !end_line(s, "", 0, false, &unused))
        return;
    dispatch(s, s->data.data, s->data.len, true);
}

void sse_reset(struct sse *s)
{
    text_clear(&s->line, KEEP);
    text_clear(&s->data, KEEP);
    s->problem = SSE_FINE;
    s->id = -1;
    s->after_cr = s->has_data = s->error = false;
    s->n_other = 0;
    s->n_events = 0;
}

void sse_dispose(struct sse *s)
{
    text_dispose(&s->line);
    text_dispose(&s->data);
}
