/* NFC: canonical decomposition, canonical order, composition. utf8proc composes; the order is made
 * here by a counting sort within each run of marks, because utf8proc's own takes quadratic time on
 * a long run. */
#include "core/text/tok.h"

#include <stdlib.h>
#include <utf8proc.h>

struct mark {
    utf8proc_int32_t cp;
    uint32_t order; /* class << 24 | place in the run */
};

static int by_order(const void *a, const void *b)
{
    uint32_t x = ((const struct mark *)a)->order, y = ((const struct mark *)b)->order;
    return x < y ? -1 : x > y;
}

/* Sorts the runs of marks (class > 0) in cps by class, stable. */
static err_code order_marks(utf8proc_int32_t *cps, size_t n, struct err *e)
{
    struct mark *marks = NULL;
    size_t cap = 0;
    err_code rc = ERR_OK;
    for (size_t i = 0; i < n && !rc; i++) {
        size_t first = i;
        bool sorted = true;
        int last = 0;
        for (; i < n; i++) {
            int c = utf8proc_get_property(cps[i])->combining_class;
            if (!c)
                break;
            sorted = sorted && c >= last;
            last = c;
        }
        if (sorted)
            continue;
        /* 2^24 marks in one run are more than any text has: left unordered past that */
        size_t len = i - first < 1u << 24 ? i - first : 1u << 24;
        if (len > cap) {
            rc = mem_grow((void **)&marks, len, sizeof *marks, e);
            if (rc)
                break;
            cap = len;
        }
        for (size_t k = 0; k < len; k++) {
            uint32_t c = (uint32_t)utf8proc_get_property(cps[first + k])->combining_class;
            marks[k] = (struct mark){cps[first + k], c << 24 | (uint32_t)k};
        }
        qsort(marks, len, sizeof *marks, by_order);
        for (size_t k = 0; k < len; k++)
            cps[first + k] = marks[k].cp;
    }
    mem_free(marks);
    return rc;
}

/* Appends NFC of valid UTF-8 that has no inert code point. */
static err_code compose(const char *text, size_t n, utf8proc_int32_t **cps, size_t *cap,
                        struct buf *out, struct err *e)
{
    size_t n_cps = 0;
    for (size_t i = 0; i < n;) {
        uint32_t cp = 0;
        int boundary = 0;
        i += tok_utf8(text + i, n - i, &cp);
        if (n_cps + 32 > *cap) {
            size_t more = n_cps + 32 + *cap / 2;
            err_code rc = mem_grow((void **)cps, more, sizeof **cps, e);
            if (rc)
                return rc;
            *cap = more;
        }
        utf8proc_ssize_t k = utf8proc_decompose_char((utf8proc_int32_t)cp, *cps + n_cps,
                                                     (utf8proc_ssize_t)(*cap - n_cps),
                                                     UTF8PROC_DECOMPOSE, &boundary);
        if (k < 0 || n_cps + (size_t)k > *cap)
            return err_set(e, ERR_FORMAT, "NFC: U+%04X cannot be decomposed: %s", cp,
                           k < 0 ? utf8proc_errmsg(k) : "too long");
        n_cps += (size_t)k;
    }
    err_code rc = order_marks(*cps, n_cps, e);
    if (rc)
        return rc;
    utf8proc_ssize_t k =
        utf8proc_normalize_utf32(*cps, (utf8proc_ssize_t)n_cps, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (k < 0)
        return err_set(e, ERR_FORMAT, "NFC: %s", utf8proc_errmsg(k));
    rc = buf_reserve(out, (size_t)k * 4, e);
    for (utf8proc_ssize_t i = 0; i < k && !rc; i++)
        out->len += tok_utf8_put((uint32_t)(*cps)[i], out->data + out->len);
    return rc;
}

err_code tok_nfc(struct tok_scratch *s, const char **text, size_t *n, struct err *e)
{
    const unsigned char *b = (const unsigned char *)*text;
    size_t at = 0;
    while (at < *n && b[at] < 0xCC) /* below U+0300 everything is NFC */
        at++;
    if (at == *n)
        return ERR_OK;
    buf_clear(&s->normal);
    utf8proc_int32_t *cps = NULL;
    size_t cap = 0, from = 0;
    err_code rc = ERR_OK;
    for (at = 0; at < *n && !rc;) {
        uint32_t cp = 0;
        size_t len = tok_utf8(*text + at, *n - at, &cp);
        at += len;
        if (cp < 0x300 || !tok_unicode_nfc_inert(cp))
            continue;
        rc = compose(*text + from, at - len - from, &cps, &cap, &s->normal, e);
        if (!rc)
            rc = buf_add(&s->normal, *text + at - len, len, e);
        from = at;
    }
    if (!rc)
        rc = compose(*text + from, *n - from, &cps, &cap, &s->normal, e);
    mem_free(cps);
    if (!rc) {
        *text = s->normal.len ? s->normal.data : *text;
        *n = s->normal.len;
    }
    return rc;
}
