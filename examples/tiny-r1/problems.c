/* problems: writes grade-school word problems of two to four steps, one JSON
 * object a line. With --solutions each carries the chain of single steps that
 * leads to its answer; only the teacher is ever trained on those.
 *
 * Train and test are disjoint by construction: a problem's theme and numbers
 * are hashed, and the hash decides its split. A test problem is therefore never
 * a training problem with other names, things or wording. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1024, TEST_SHARE = 5 /* one in five is a test problem */ };

/* ---- random numbers: splitmix64 ---- */

static uint64_t mix64(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

struct rng {
    uint64_t state;
};

static uint64_t rng_next(struct rng *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix64(r->state);
}

/* A whole number from low to high, both included. */
static int between(struct rng *r, int low, int high)
{
    return low + (int)(rng_next(r) % (uint64_t)(high - low + 1));
}

static bool coin(struct rng *r)
{
    return between(r, 0, 1) == 1;
}

/* ---- a problem and the writing of its texts ---- */

struct text {
    char bytes[TEXT_BYTES];
    size_t n;
};

struct problem {
    struct text prompt, reasoning, response;
    int answer;
    uint64_t key; /* of theme and numbers: what decides the split */
    bool hard;    /* a step is not easy: draw again */
};

static void say(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->bytes + t->n, TEXT_BYTES - t->n, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= TEXT_BYTES - t->n) {
        fprintf(stderr, "problems: a text is longer than %d bytes\n", TEXT_BYTES - 1);
        exit(1);
    }
    t->n += (size_t)n;
}

/* Each quantity of the problem goes through here, in the order of the text. */
static int note(struct problem *p, int number)
{
    p->key = mix64(p->key * 31 + (uint64_t)number + 1);
    return number;
}

/* Each single step must be easy for a tiny model: results below 100, and no
 * carry or borrow beyond the sums of two digits. */
static int plus(struct problem *p, int a, int b)
{
    if (a + b > 99 || ((a > 9 || b > 9) && a % 10 + b % 10 > 9)) p->hard = true;
    return a + b;
}

static int minus(struct problem *p, int a, int b)
{
    if (a > 99 || a - b < 2 || (a > 18 && a % 10 < b % 10) || (a <= 18 && b > 9 && a % 10 < b % 10)) p->hard = true;
    return a - b;
}

static void finish(struct problem *p, int answer, const char *before, const char *after)
{
    p->answer = answer;
    say(&p->reasoning, " The answer is %d.", answer);
    say(&p->response, "%s \\boxed{%d}%s.", before, answer, after);
}

static void finish_for(struct problem *p, int answer, const char *name, const char *verb, const char *after)
{
    char before[64];
    snprintf(before, sizeof before, "%s %s", name, verb);
    finish(p, answer, before, after);
}

/* ---- people and things ---- */

struct person {
    const char *name, *they;
};

static const struct person people[] = {
    {"Mia", "She"},   {"Ben", "He"},    {"Lena", "She"},  {"Omar", "He"},
    {"Anna", "She"},  {"Tom", "He"},    {"Zoe", "She"},   {"Leo", "He"},
    {"Sara", "She"},  {"Max", "He"},    {"Nina", "She"},  {"Paul", "He"},
    {"Ella", "She"},  {"Sam", "He"},    {"Ruth", "She"},  {"Ivan", "He"},
    {"Clara", "She"}, {"Hugo", "He"},   {"Maya", "She"},  {"Noah", "He"},
    {"Rosa", "She"},  {"Felix", "He"},  {"Iris", "She"},  {"Karl", "He"},
};
static const char *const things[] = {"apples",  "plums",  "marbles", "stickers", "shells", "cards",
                                     "buttons", "stamps", "nuts",    "coins",    "beads",  "pears"};
static const char *const goods[] = {"pens", "books", "cups", "toys", "hats", "maps", "kites", "balls"};
static const char *const flowers[] = {"tulips", "roses", "lilies", "daisies", "poppies", "asters"};

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))
#define PICK(r, a) ((a)[between((r), 0, COUNT(a) - 1)])

/* Three different people. */
static void cast(struct rng *r, const struct person *who[3])
{
    for (int i = 0; i < 3; i++) {
        bool taken;
        do {
            who[i] = &PICK(r, people);
            taken = false;
            for (int j = 0; j < i; j++) taken = taken || who[j] == who[i];
        } while (taken);
    }
}

static void two_different(struct rng *r, const char *const *list, int n, const char **a, const char **b)
{
    int i = between(r, 0, n - 1), j = between(r, 0, n - 2);
    *a = list[i];
    *b = list[j < i ? j : j + 1];
}

/* A divisor of n from low to high whose quotient is from 2 to 12, or 0. */
static int divisor(struct rng *r, int n, int low, int high)
{
    int fits[16], n_fits = 0;
    for (int d = low; d <= high && n_fits < COUNT(fits); d++)
        if (n % d == 0 && n / d >= 2 && n / d <= 12) fits[n_fits++] = d;
    return n_fits ? fits[between(r, 0, n_fits - 1)] : 0;
}

/* ---- the themes: each draws numbers, then tells the problem and its chain ---- */

static void theme_collection(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    cast(r, who);
    const char *thing = PICK(r, things), *name = who[0]->name, *they = who[0]->they;
    int n = note(p, between(r, 5, 40)), n_events = between(r, 1, 2), i_bags = between(r, 0, n_events);
    say(&p->prompt, coin(r) ? "%s has %d %s." : "%s starts with %d %s.", name, n, thing);
    say(&p->reasoning, "%s has %d %s.", name, n, thing);
    for (int i = 0; i <= n_events; i++) {
        if (i == i_bags) {
            int k = note(p, between(r, 2, 9)), m = note(p, between(r, 2, 9)), sum = plus(p, n, k * m);
            say(&p->prompt, " %s buys %d bags with %d %s each.", they, k, m, thing);
            say(&p->reasoning, " %d bags with %d each is %d * %d = %d. %d + %d = %d.", k, m, k, m, k * m, n, k * m,
                sum);
            n = sum;
        } else if (coin(r)) {
            int m = note(p, between(r, 2, 60)), rest = minus(p, n, m);
            note(p, 0);
            if (coin(r))
                say(&p->prompt, " %s gives %d %s to %s.", they, m, thing, who[1]->name);
            else
                say(&p->prompt, " %s loses %d %s.", they, m, thing);
            say(&p->reasoning, " %d - %d = %d.", n, m, rest);
            n = rest;
        } else {
            int m = note(p, between(r, 3, 40)), sum = plus(p, n, m);
            say(&p->prompt, " %s finds %d more %s.", they, m, thing);
            say(&p->reasoning, " %d + %d = %d.", n, m, sum);
            n = sum;
        }
    }
    int k = n_events == 1 && coin(r) ? divisor(r, n, 2, 9) : 0;
    if (k) {
        note(p, k);
        say(&p->prompt, " %s puts all of them equally into %d boxes. How many %s are in each box?", they, k, thing);
        say(&p->reasoning, " %d / %d = %d.", n, k, n / k);
        finish(p, n / k, "Each box has", "");
    } else {
        say(&p->prompt, " How many %s does %s have now?", thing, name);
        finish_for(p, n, name, "has", "");
    }
}

static void theme_shop(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    const char *first, *second;
    cast(r, who);
    two_different(r, goods, COUNT(goods), &first, &second);
    int k = note(p, between(r, 2, 7)), a = note(p, between(r, 2, 9));
    int m = note(p, between(r, 2, 6)), b = note(p, between(r, 2, 9));
    int sum = plus(p, k * a, m * b);
    bool pays = coin(r);
    int has = pays ? note(p, between(r, 12, 99)) : 0, rest = pays ? minus(p, has, sum) : 0;
    if (pays) say(&p->prompt, "%s has %d dollars. ", who[0]->name, has);
    say(&p->prompt, "%s buys %d %s for %d dollars each and %d %s for %d dollars each.",
        pays ? who[0]->they : who[0]->name, k, first, a, m, second, b);
    say(&p->reasoning, "The %s cost %d * %d = %d. The %s cost %d * %d = %d. %d + %d = %d.", first, k, a, k * a, second,
        m, b, m * b, k * a, m * b, sum);
    if (pays) {
        say(&p->prompt, " How much money is left?");
        say(&p->reasoning, " %d - %d = %d.", has, sum, rest);
        finish(p, rest, "The rest is", " dollars");
    } else {
        say(&p->prompt, " How much does %s pay?", who[0]->name);
        finish(p, sum, "The price is", " dollars");
    }
}

static void theme_share(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    const char *thing = PICK(r, things);
    cast(r, who);
    int k = note(p, between(r, 3, 9)), each = between(r, 3, 12), sum = k * each;
    int a = note(p, between(r, 2, sum - 2)), b = sum - a;
    plus(p, a, b);
    say(&p->prompt, "%s picks %d %s and %s picks %d %s. They put them equally into %d %s.", who[0]->name, a, thing,
        who[1]->name, b, thing, k, coin(r) ? "boxes" : "bags");
    say(&p->reasoning, "Together they have %d + %d = %d %s. %d / %d = %d.", a, b, sum, thing, sum, k, each);
    int step = between(r, 0, 2), m;
    if (step == 0) {
        say(&p->prompt, " How many %s are in each?", thing);
        finish(p, each, "Each has", "");
    } else if (step == 1) {
        m = note(p, between(r, 2, 60));
        int has = plus(p, each, m);
        say(&p->prompt, " %s gets one of them and already has %d %s. How many %s does %s have now?", who[2]->name, m,
            thing, thing, who[2]->name);
        say(&p->reasoning, " %d + %d = %d.", each, m, has);
        finish_for(p, has, who[2]->name, "has", "");
    } else {
        m = note(p, between(r, 2, k - 1));
        note(p, 0);
        say(&p->prompt, " %s gets %d of them. How many %s does %s get?", who[2]->name, m, thing, who[2]->name);
        say(&p->reasoning, " %d * %d = %d.", each, m, each * m);
        finish_for(p, each * m, who[2]->name, "gets", "");
    }
}

static void theme_age(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    cast(r, who);
    const char *a = who[0]->name, *b = who[1]->name, *c = who[2]->name;
    int age = note(p, between(r, 3, 12)), k = note(p, between(r, 2, 6)), older = age * k;
    say(&p->prompt, "%s is %d years old. %s is %d times as old as %s.", a, age, b, k, a);
    say(&p->reasoning, "%s is %d * %d = %d.", b, age, k, older);
    bool younger = coin(r);
    int m = note(p, between(r, 2, 40)), third = younger ? minus(p, older, m) : plus(p, older, m);
    note(p, younger);
    say(&p->prompt, " %s is %d years %s than %s.", c, m, younger ? "younger" : "older", b);
    say(&p->reasoning, " %s is %d %c %d = %d.", c, older, younger ? '-' : '+', m, third);
    if (coin(r)) {
        say(&p->prompt, " How old is %s?", c);
        finish_for(p, third, c, "is", " years old");
    } else {
        int later = note(p, between(r, 2, 20)), then = plus(p, third, later);
        say(&p->prompt, " How old will %s be in %d years?", c, later);
        say(&p->reasoning, " In %d years: %d + %d = %d.", later, third, later, then);
        finish_for(p, then, c, "will be", " years old");
    }
}

static void theme_trip(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    cast(r, who);
    int h = note(p, between(r, 2, 6)), v = note(p, between(r, 7, 12));
    int g = note(p, between(r, 2, 6)), w = note(p, between(r, 2, 6)), sum = plus(p, h * v, g * w);
    say(&p->prompt, "%s rides %d hours at %d miles an hour and walks %d hours at %d miles an hour.", who[0]->name, h, v,
        g, w);
    say(&p->reasoning, "Riding: %d * %d = %d miles. Walking: %d * %d = %d miles. %d + %d = %d.", h, v, h * v, g, w,
        g * w, h * v, g * w, sum);
    if (coin(r)) {
        int way = note(p, between(r, 20, 99)), rest = minus(p, way, sum);
        say(&p->prompt, " The whole way is %d miles. How many miles are left?", way);
        say(&p->reasoning, " %d - %d = %d.", way, sum, rest);
        finish(p, rest, "The rest is", " miles");
    } else {
        say(&p->prompt, " How many miles is that?");
        finish(p, sum, "The way is", " miles");
    }
}

static void theme_book(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    cast(r, who);
    int pages = note(p, between(r, 3, 12)), days = note(p, between(r, 2, 9)), done = pages * days;
    if (coin(r)) {
        int more = note(p, between(r, 2, 9)), each = between(r, 2, 9), all = note(p, done + more * each);
        int rest = minus(p, all, done);
        say(&p->prompt,
            "A book has %d pages. %s reads %d pages a day for %d days. %s reads the rest in %d days, the same each "
            "day. How many pages a day is that?",
            all, who[0]->name, pages, days, who[0]->they, more);
        say(&p->reasoning, "%d * %d = %d pages are read. %d - %d = %d are left. %d / %d = %d.", pages, days, done, all,
            done, rest, rest, more, each);
        finish(p, each, "That is", " pages a day");
    } else {
        int sunday = note(p, between(r, 3, 40)), sum = plus(p, done, sunday);
        int all = note(p, between(r, 20, 99)), rest = minus(p, all, sum);
        say(&p->prompt,
            "A book has %d pages. %s reads %d pages a day for %d days and then %d pages on Sunday. How many pages are "
            "left?",
            all, who[0]->name, pages, days, sunday);
        say(&p->reasoning, "%d * %d = %d pages. %d + %d = %d are read. %d - %d = %d.", pages, days, done, done, sunday,
            sum, all, sum, rest);
        finish(p, rest, "The rest is", " pages");
    }
}

static void theme_garden(struct rng *r, struct problem *p)
{
    const char *first, *second;
    two_different(r, flowers, COUNT(flowers), &first, &second);
    int k = note(p, between(r, 2, 9)), a = note(p, between(r, 3, 9));
    int m = note(p, between(r, 2, 7)), b = note(p, between(r, 3, 9)), sum = plus(p, k * a, m * b);
    say(&p->prompt, "A garden has %d rows of %d %s and %d rows of %d %s.", k, a, first, m, b, second);
    say(&p->reasoning, "%d * %d = %d %s. %d * %d = %d %s. %d + %d = %d.", k, a, k * a, first, m, b, m * b, second,
        k * a, m * b, sum);
    if (coin(r)) {
        int dry = note(p, between(r, 2, 60)), rest = minus(p, sum, dry);
        say(&p->prompt, " %d flowers dry up. How many flowers are left?", dry);
        say(&p->reasoning, " %d - %d = %d.", sum, dry, rest);
        finish(p, rest, "The rest is", " flowers");
    } else {
        say(&p->prompt, " How many flowers are there?");
        finish(p, sum, "There are", " flowers");
    }
}

static void theme_work(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    cast(r, who);
    int pay = note(p, between(r, 3, 9)), a = note(p, between(r, 2, 6)), b = note(p, between(r, 2, 6));
    int hours = plus(p, a, b), earned = pay * hours, other = between(r, 2, 60), step = between(r, 0, 2);
    say(&p->prompt, "%s earns %d dollars an hour. %s works %d hours on Monday and %d hours on Friday.", who[0]->name,
        pay, who[0]->they, a, b);
    say(&p->reasoning, "%d + %d = %d hours. %d * %d = %d dollars.", a, b, hours, hours, pay, earned);
    if (step == 0) {
        int rest = minus(p, earned, note(p, other));
        say(&p->prompt, " Then %s spends %d dollars. How much money is left?", who[0]->name, other);
        say(&p->reasoning, " %d - %d = %d.", earned, other, rest);
        finish(p, rest, "The rest is", " dollars");
    } else if (step == 1) {
        int sum = plus(p, earned, note(p, other));
        say(&p->prompt, " %s already saved %d dollars. How much money does %s have now?", who[0]->they, other,
            who[0]->name);
        say(&p->reasoning, " %d + %d = %d.", earned, other, sum);
        finish_for(p, sum, who[0]->name, "has", " dollars");
    } else {
        say(&p->prompt, " How much does %s earn?", who[0]->name);
        finish(p, earned, "The pay is", " dollars");
    }
}

static void theme_compare(struct rng *r, struct problem *p)
{
    const struct person *who[3];
    const char *thing = PICK(r, things);
    cast(r, who);
    const char *a = who[0]->name, *b = who[1]->name, *c = who[2]->name;
    int n = note(p, between(r, 3, 12)), k = note(p, between(r, 2, 7)), times = n * k;
    say(&p->prompt, "%s has %d %s. %s has %d times as many as %s.", a, n, thing, b, k, a);
    say(&p->reasoning, "%s has %d * %d = %d.", b, n, k, times);
    if (coin(r)) {
        int more = note(p, between(r, 2, 40)), third = plus(p, times, more), sum = plus(p, n, third);
        say(&p->prompt, " %s has %d more than %s. How many %s do %s and %s have together?", c, more, b, thing, a, c);
        say(&p->reasoning, " %s has %d + %d = %d. %d + %d = %d.", c, times, more, third, n, third, sum);
        finish(p, sum, "Together they have", "");
    } else {
        int sum = plus(p, n, times), away = note(p, between(r, 2, 60)), rest = minus(p, sum, away);
        say(&p->prompt, " Together they give %d %s to %s. How many %s are left?", away, thing, c, thing);
        say(&p->reasoning, " Together: %d + %d = %d. %d - %d = %d.", n, times, sum, sum, away, rest);
        finish(p, rest, "The rest is", "");
    }
}

static void theme_bus(struct rng *r, struct problem *p)
{
    int n = note(p, between(r, 10, 60)), n_stops = between(r, 1, 2);
    say(&p->prompt, "A bus starts with %d people.", n);
    say(&p->reasoning, "The bus has %d people.", n);
    for (int i = 0; i < n_stops; i++) {
        int off = note(p, between(r, 2, 40)), rest = minus(p, n, off);
        int on = note(p, between(r, 2, 40)), sum = plus(p, rest, on);
        say(&p->prompt, " At the %s stop %d get off and %d get on.", i ? "second" : "first", off, on);
        say(&p->reasoning, " %d - %d = %d. %d + %d = %d.", n, off, rest, rest, on, sum);
        n = sum;
    }
    say(&p->prompt, " How many people are on the bus now?");
    finish(p, n, "The bus has", " people");
}

static void (*const themes[])(struct rng *, struct problem *) = {
    theme_collection, theme_shop, theme_share, theme_age,     theme_trip,
    theme_book,       theme_garden, theme_work, theme_compare, theme_bus,
};

static void problem_draw(struct rng *r, struct problem *p)
{
    static const char *const openings[] = {"", "", "Okay. ", "Let me see. "};
    int i_theme = between(r, 0, COUNT(themes) - 1); /* drawn once: every theme is as frequent */
    do {
        memset(p, 0, sizeof *p);
        note(p, i_theme);
        say(&p->reasoning, "%s", PICK(r, openings));
        themes[i_theme](r, p);
    } while (p->hard);
}

static bool is_test(const struct problem *p)
{
    return mix64(p->key) % TEST_SHARE == 0;
}

/* ---- no prompt twice in one output: a table of prompt hashes ---- */

struct seen {
    uint64_t *hashes; /* 0: free */
    size_t n_slots;   /* a power of two, at least twice the problems */
};

static bool seen_add(struct seen *s, const char *prompt)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (; *prompt; prompt++) h = (h ^ (unsigned char)*prompt) * UINT64_C(0x100000001b3);
    h = mix64(h) | 1;
    size_t i = (size_t)(h >> 1) & (s->n_slots - 1);
    for (; s->hashes[i]; i = (i + 1) & (s->n_slots - 1))
        if (s->hashes[i] == h) return false;
    s->hashes[i] = h;
    return true;
}

/* ---- output and options ---- */

static void print_json_string(const char *s)
{
    putchar('"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') putchar('\\');
        putchar(*s);
    }
    putchar('"');
}

static void print_problem(const struct problem *p, bool solutions)
{
    printf("{\"prompt\": ");
    print_json_string(p->prompt.bytes);
    printf(", \"answer\": \"%d\"", p->answer);
    if (solutions) {
        printf(", \"reasoning\": ");
        print_json_string(p->reasoning.bytes);
        printf(", \"response\": ");
        print_json_string(p->response.bytes);
    }
    printf("}\n");
}

static int usage(const char *complaint, const char *on)
{
    if (complaint) fprintf(stderr, "problems: %s%s\n", complaint, on);
    fprintf(complaint ? stderr : stdout,
            "usage: problems --split train|test --n N [--seed S] [--solutions]\n"
            "  --split      train and test have no problem in common, whatever the seeds\n"
            "  --n          how many problems, at most 2000000\n"
            "  --seed       the same seed gives the same problems (default 0)\n"
            "  --solutions  add \"reasoning\" and \"response\" to each\n"
            "example: problems --split test --n 500 --seed 1 > test.jsonl\n");
    return complaint ? 2 : 0;
}

static bool parse_count(const char *s, uint64_t max, uint64_t *out)
{
    char *end;
    if (*s < '0' || *s > '9') return false;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno || *end || v > max) return false;
    *out = v;
    return true;
}

int main(int argc, char **argv)
{
    uint64_t n = 0, seed = 0;
    bool test = false, have_split = false, solutions = false;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(name, "--help")) return usage(NULL, NULL);
        if (!strcmp(name, "--solutions")) {
            solutions = true;
            continue;
        }
        if (!strcmp(name, "--split")) {
            test = !strcmp(value, "test");
            have_split = test || !strcmp(value, "train");
            if (!have_split) return usage("--split is train or test, not ", value);
        } else if (!strcmp(name, "--n")) {
            if (!parse_count(value, 2000000, &n) || !n) return usage("--n is a number from 1 to 2000000, not ", value);
        } else if (!strcmp(name, "--seed")) {
            if (!parse_count(value, UINT64_MAX, &seed)) return usage("--seed is a whole number, not ", value);
        } else {
            return usage("unknown option ", name);
        }
        i++;
    }
    if (!have_split) return usage("--split is missing", "");
    if (!n) return usage("--n is missing", "");

    struct seen seen = {.n_slots = 16};
    while (seen.n_slots < 2 * n) seen.n_slots *= 2;
    seen.hashes = calloc(seen.n_slots, sizeof *seen.hashes);
    if (!seen.hashes) {
        fprintf(stderr, "problems: no memory for %" PRIu64 " problems\n", n);
        return 1;
    }
    struct rng r = {mix64(seed ^ (test ? UINT64_C(0x7e57) : 0))};
    static struct problem p;
    for (uint64_t done = 0; done < n;) {
        problem_draw(&r, &p);
        if (is_test(&p) != test || !seen_add(&seen, p.prompt.bytes)) continue;
        print_problem(&p, solutions);
        done++;
    }
    free(seen.hashes);
    if (fflush(stdout) || ferror(stdout)) {
        fprintf(stderr, "problems: cannot write: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}
