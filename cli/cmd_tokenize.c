/* decant tokenize: bytes to token ids and back, for looking at prompts and for comparing with other
 * programs. */
#include "cli/cli.h"

#include "core/base/file.h"
#include "core/text/tokenizer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const struct command cmd_tokenize;

static const size_t max_bytes = (size_t)1 << 31;

static err_code read_input(const char *path, struct buf *in, struct err *e)
{
    if (path)
        return file_read(path, max_bytes, in, e);
    char piece[65536];
    size_t n;
    err_code rc = ERR_OK;
    while (!rc && (n = fread(piece, 1, sizeof piece, stdin)) > 0)
        rc = in->len + n > max_bytes ? err_set(e, ERR_FORMAT, "standard input is longer than 2 GB")
                                     : buf_add(in, piece, n, e);
    if (!rc && ferror(stdin))
        rc = err_errno(e, "cannot read", "standard input");
    return rc;
}

/* Ids of a vocabulary of n, with white space or commas between; brackets around are fine. */
static err_code parse_ids(const struct buf *in, int64_t n, struct token_list *ids, struct err *e)
{
    static const char between[] = " \t\r\n,[]";
    const char *s = in->len ? in->data : "";
    for (s += strspn(s, between); *s; s += strspn(s, between)) {
        char *end;
        errno = 0;
        long long v = strtoll(s, &end, 10);
        if (end == s || errno || v < 0 || v > INT32_MAX || (*end && !strchr(between, *end)))
            return err_set(e, ERR_FORMAT, "--decode reads token ids; \"%.*s\" is none",
                           (int)strcspn(s, between) > 40 ? 40 : (int)strcspn(s, between), s);
        if (v >= n)
            return err_set(e, ERR_FORMAT, "token %lld is outside the vocabulary of %lld tokens", v,
                           (long long)n);
        err_code rc = token_list_add(ids, (int32_t)v, e);
        if (rc)
            return rc;
        s = end;
    }
    if (in->len && s != in->data + in->len)
        return err_set(e, ERR_FORMAT, "--decode reads token ids; there is a NUL byte at %zu",
                       (size_t)(s - in->data));
    return ERR_OK;
}

static err_code write_out(const struct buf *out, struct err *e)
{
    cli_put_text(out->data, out->len);
    if (fflush(stdout) || ferror(stdout))
        return err_errno(e, "cannot write", "standard output");
    return ERR_OK;
}

static err_code tokenize(const char *model, const char *file, bool decode, struct err *e)
{
    struct tokenizer *t = NULL;
    struct buf in = {0}, out = {0};
    struct token_list ids = {0};
    err_code rc = tokenizer_open(model, &t, e);
    if (!rc)
        rc = read_input(file, &in, e);
    if (!rc && decode) {
        rc = parse_ids(&in, tokenizer_size(t), &ids, e);
        if (!rc)
            rc = tokenizer_decode(t, ids.ids, ids.n, false, &out, e);
    } else if (!rc) {
        rc = tokenizer_encode(t, in.len ? in.data : "", in.len, TOK_SPECIAL, &ids, e);
        for (int64_t i = 0; i < ids.n && !rc; i++)
            rc = buf_printf(&out, e, i ? " %d" : "%d", ids.ids[i]);
        if (!rc)
            rc = buf_str(&out, "\n", e);
    }
    if (!rc)
        rc = write_out(&out, e);
    tokenizer_close(t);
    buf_dispose(&in);
    buf_dispose(&out);
    token_list_dispose(&ids);
    return rc;
}

static int run(int argc, char **argv)
{
    const char *model = NULL, *file = NULL;
    bool decode = false;
    struct cli_option options[] = {
        {"model", CLI_STR, &model, "DIR|GGUF", "whose tokenizer; a tokenizer.json will do",
         .required = true},
        {"file", CLI_STR, &file, "FILE", "what to read; standard input without it"},
        {"decode", CLI_FLAG, &decode, NULL, "read ids and write their text"},
        {0}};
    int usage = cli_parse(&cmd_tokenize, options, argc, argv);
    if (usage)
        return usage;
    struct err e = {0};
    err_code rc = tokenize(model, file, decode, &e);
    return cli_end(rc, &e);
}

const struct command cmd_tokenize = {
    "tokenize",
    "text to token ids, and back",
    "decant tokenize --model models/r1 --file prompt.txt\n"
    "decant tokenize --model student.gguf --file ids.txt --decode",
    run,
    "Writes the ids of the file's bytes on one line, with spaces between. Special tokens in the\n"
    "text are recognised; none are added. Bytes that are no UTF-8 become the tokens of single\n"
    "bytes. With --decode it reads ids and writes exactly their bytes, without a newline of its\n"
    "own; on a terminal, control characters are left out.",
};
