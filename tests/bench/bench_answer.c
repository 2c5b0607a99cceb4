/* The answer checker: microseconds an answer on one thread, over the labelled pairs and over answer
 * parts of 10 kB, where finding the answer is the work. The limit beside the latter is one memrchr
 * over the text. `make check-interop` runs math-verify over the same pairs. */
#include "core/base/file.h"
#include "core/base/log.h"
#include "dataset/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_ROUNDS = 20, MAX_PAIRS = 1500, LONG_BYTES = 10000, N_LONG = 200 };

struct pair {
    char *text, *gold;
};

static int read_pairs(const char *file, struct pair *pairs, int n, struct buf *text)
{
    struct err e;
    char path[128];
    snprintf(path, sizeof path, "tests/vectors/answers/%s", file);
    if (file_read(path, 1 << 20, text, &e)) {
        fprintf(stderr, "%s\n", e.msg);
        exit(1);
    }
    for (char *next = text->data, *line; (line = strsep(&next, "\n")) && n < MAX_PAIRS;) {
        char *given = strchr(line, '\t'), *gold = given ? strchr(given + 1, '\t') : NULL;
        if (*line == '#' || !gold)
            continue;
        *gold = 0;
        pairs[n++] = (struct pair){given + 1, gold + 1};
    }
    return n;
}

static double seconds_of(const char *text, const char *gold)
{
    double best = 1e9;
    for (int i = 0; i < N_ROUNDS; i++) {
        double t0 = clock_now();
        answer_check(text, strlen(text), gold, strlen(gold), NULL);
        double took = clock_now() - t0;
        best = took < best ? took : best;
    }
    return best;
}

static double scan_seconds(const char *text)
{
    double t0 = clock_now();
    for (int i = 0; i < N_LONG; i++)
        __asm__ volatile("" : : "r"(memrchr(text, 1, strlen(text))) : "memory");
    return (clock_now() - t0) / N_LONG;
}

/* Prose of LONG_BYTES that ends in tail. */
static void bench_long(const char *name, const char *tail)
{
    static const char prose[] =
        "We add the numbers and obtain 48 + 24 = 72, and a second look at each of the equations "
        "\\(x + 2y = 7\\) shows that nothing else can happen.\n";
    char text[LONG_BYTES + 256];
    size_t n = 0;
    while (n < LONG_BYTES)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s", prose);
    n = LONG_BYTES - strlen(tail);
    snprintf(text + n, sizeof text - n, "%s", tail);
    double took = seconds_of(text, "72"), scan = scan_seconds(text);
    printf("  %-28s %6.2f us, %.1f times a scan\n", name, 1e6 * took, took / scan);
}

int main(void)
{
    static struct pair pairs[MAX_PAIRS];
    struct buf text[6] = {{0}};
    static const char *const files[] = {"pairs_a.tsv", "pairs_b.tsv", "pairs_c.tsv",
                                        "pairs_d.tsv", "pairs_e.tsv", "pairs_f.tsv"};
    int n = 0, i_slow = 0;
    double sum = 0, slowest = 0;
    for (int i = 0; i < 6; i++)
        n = read_pairs(files[i], pairs, n, &text[i]);
    for (int i = 0; i < n; i++) {
        double took = seconds_of(pairs[i].text, pairs[i].gold);
        sum += took;
        if (took > slowest) {
            slowest = took;
            i_slow = i;
        }
    }
    printf("%d labelled pairs: %.2f us each; slowest %.2f us: %s\n", n, 1e6 * sum / n,
           1e6 * slowest, pairs[i_slow].text);
    printf("answers of 10 kB:\n");
    bench_long("a box at the end", "\\[\\boxed{72}\\]");
    bench_long("\"answer is\" at the end", "So the answer is 72.");
    bench_long("a number in the last line", "\nSo there are 72 of them.");
    bench_long("none", " and so on.");
    for (int i = 0; i < 6; i++)
        buf_dispose(&text[i]);
    return 0;
}
