/* Tokenizing: MB/s of encode on one thread over GSM8K, and how many times HF tokenizers' rate that
 * is (when a python3 with it is here), in the same run; seconds to open. Real tokenizers and GSM8K
 * come from DECANT_SHARED or ../shared; without them the small tokenizer of the tests reads text
 * made here, and memcpy's rate stands in for the peer. */
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_ROUNDS = 3 };

/* HF's MB/s on the same file, best of as many rounds; 0 when it cannot be had. */
static double hf_rate(const char *dir, const char *file)
{
    char command[2048], line[64] = "";
    snprintf(command, sizeof command,
             "TOKENIZERS_PARALLELISM=false \"${PYTHON:-python3}\" -c '\n"
             "import sys,time\n"
             "from tokenizers import Tokenizer\n"
             "t=Tokenizer.from_file(sys.argv[1]+\"/tokenizer.json\")\n"
             "s=open(sys.argv[2],encoding=\"utf-8\",newline=\"\").read()\n"
             "best=1e9\n"
             "for _ in range(%d):\n"
             "    t0=time.perf_counter(); t.encode(s,add_special_tokens=False)\n"
             "    best=min(best,time.perf_counter()-t0)\n"
             "print(len(s.encode())/best/1e6)' '%s' '%s' 2>/dev/null",
             N_ROUNDS, dir, file);
    FILE *p = popen(command, "r");
    if (p && !fgets(line, sizeof line, p))
        line[0] = 0;
    if (p)
        pclose(p);
    return atof(line);
}

static double memcpy_rate(const struct buf *text)
{
    char *to = malloc(text->len);
    double best = 1e9;
    for (int i = 0; i < N_ROUNDS && to; i++) {
        double t0 = clock_now();
        memcpy(to, text->data, text->len);
        __asm__ volatile("" : : "r"(to) : "memory"); /* or the copy would be left out */
        double took = clock_now() - t0;
        best = took < best ? took : best;
    }
    free(to);
    return (double)text->len / best / 1e6;
}

static err_code bench(const char *name, const char *dir, const char *file, const struct buf *text,
                      struct err *e)
{
    struct tokenizer *t = NULL;
    struct token_list ids = {0};
    double t0 = clock_now(), best = 1e9;
    err_code rc = tokenizer_open(dir, &t, e);
    double opened = clock_now() - t0;
    for (int i = 0; i < N_ROUNDS && !rc; i++) {
        token_list_clear(&ids);
        t0 = clock_now();
        rc = tokenizer_encode(t, text->data, text->len, TOK_SPECIAL, &ids, e);
        double took = clock_now() - t0;
        best = took < best ? took : best;
    }
    if (!rc) {
        double rate = (double)text->len / best / 1e6, peer = file ? hf_rate(dir, file) : 0;
        printf("tokenize %-12s open %.2f s, %.1f MB/s, %lld tokens", name, opened, rate,
               (long long)ids.n);
        if (peer > 0)
            printf(", %.1f times HF tokenizers (%.2f MB/s)\n", rate / peer, peer);
        else
            printf(", memcpy is %.0f times faster\n", memcpy_rate(text) / rate);
    }
    token_list_dispose(&ids);
    tokenizer_close(t);
    return rc;
}

static err_code bench_small(struct err *e)
{
    struct buf text = {0};
    err_code rc = ERR_OK;
    for (int i = 0; i < 40000 && !rc; i++)
        rc = buf_printf(&text, e, "Anna has %d apples, and Ben gives her %d more; it's %d now.\n",
                        i, i * 7, i * 8);
    if (!rc)
        rc = bench("deepseek-v3 (small)", "tests/vectors/text/deepseek-v3", NULL, &text, e);
    buf_dispose(&text);
    return rc;
}

static err_code bench_real(const char *shared, struct err *e)
{
    static const char *const names[] = {"deepseek-v3", "qwen2.5"};
    struct buf text = {0};
    char file[512], dir[512];
    snprintf(file, sizeof file, "%s/data/gsm8k/train.jsonl", shared);
    err_code rc = file_read(file, 1 << 28, &text, e);
    for (int i = 0; i < 2 && !rc; i++) {
        snprintf(dir, sizeof dir, "%s/tokenizers/%s", shared, names[i]);
        rc = bench(names[i], dir, file, &text, e);
    }
    buf_dispose(&text);
    return rc;
}

int main(void)
{
    struct err e = {0};
    const char *shared = getenv("DECANT_SHARED");
    shared = shared ? shared : "../shared";
    err_code rc = file_is_dir(shared) ? bench_real(shared, &e) : bench_small(&e);
    if (rc)
        fprintf(stderr, "%s\n", e.msg);
    return rc != 0;
}
