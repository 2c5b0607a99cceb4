#include "cli/nearest.h"

#include <string.h>

enum { LONGEST = 30, MOST_SLIPS = 2 };

/* Levenshtein's distance; b has at most LONGEST letters. */
static int distance(const char *a, size_t n_a, const char *b)
{
    int row[LONGEST + 1];
    size_t n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n_a; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= n; j++) {
            int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            int insert = row[j - 1] + 1, drop = row[j] + 1;
            row[j] = insert < drop ? insert : drop;
            row[j] = change < row[j] ? change : row[j];
        }
    }
    return row[n];
}

void nearest_try(struct nearest *x, const char *name)
{
    if (x->n > LONGEST || strlen(name) > LONGEST)
        return;
    int slips = distance(x->word, x->n, name);
    if (x->n > 2 && !strncmp(x->word, name, x->n) && slips > MOST_SLIPS)
        slips = MOST_SLIPS; /* only its beginning was typed */
    if (slips > MOST_SLIPS || 2 * (size_t)slips > x->n || (x->best && slips >= x->slips))
        return; /* half of a word in slips is another word */
    x->best = name;
    x->slips = slips;
}
