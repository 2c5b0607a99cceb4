#include "dataset/answer_tree.h"
#include "dataset/answer_value.h"

#include <math.h>
#include <string.h>

/* Values in floating point: equal within 1e-12 of their size, different beyond 1e-9; between the
 * two nothing is claimed. Long doubles have 64 bits, 5e-20, so what rounding alone can do to a
 * value whose largest intermediate is L stays far under ROUNDING * L. */
#define EQUAL 1e-12L
#define DIFFERENT 1e-9L
#define ROUNDING 1e-17L

enum { N_POINTS = 8, MIN_POINTS = 4, MAX_NAMES = 16 };

struct part part_child(struct part p, int i)
{
    uint16_t c = part_node(p)->first;
    while (c && i-- > 0)
        c = p.t->nodes[c].next;
    return part_at(p, c);
}

int part_n_children(struct part p)
{
    int n = 0;
    for (uint16_t c = part_node(p)->first; c; c = p.t->nodes[c].next)
        n++;
    return n;
}

unsigned part_signs(struct part p)
{
    const struct expr_node *n = part_node(p);
    unsigned mask = n->kind == EXPR_PLUS_MINUS ? 1u << (n->op & 127) : 0;
    for (uint16_t c = n->first; c; c = p.t->nodes[c].next)
        mask |= part_signs(part_at(p, c));
    return mask;
}

static bool same_number(const struct expr_node *a, const struct expr_node *b)
{
    if (a->exact != b->exact)
        return false;
    return a->exact ? a->q.num == b->q.num && a->q.den == b->q.den : false;
}

bool part_identical(struct matcher *m, struct part a, struct part b)
{
    const struct expr_node *x = part_node(a), *y = part_node(b);
    if (--m->steps < 0 || x->kind != y->kind || x->op != y->op || x->name != y->name ||
        x->open != y->open || x->close != y->close || x->relation != y->relation || x->n != y->n)
        return false;
    if (x->kind == EXPR_NUMBER && !same_number(x, y))
        return false;
    if (x->kind == EXPR_PLUS_MINUS && a.signs != b.signs)
        return false;
    if (x->kind == EXPR_IN_UNIT && memcmp(a.t->text + x->at, b.t->text + y->at, x->n))
        return false;
    uint16_t i = x->first, j = y->first;
    for (; i && j; i = a.t->nodes[i].next, j = b.t->nodes[j].next)
        if (!part_identical(m, part_at(a, i), part_at(b, j)))
            return false;
    return i == j; /* both 0 */
}

static void collect(const struct expr_tree *t, uint16_t i, uint32_t *names, int *n)
{
    const struct expr_node *node = &t->nodes[i];
    if (node->kind == EXPR_VARIABLE && *n >= 0) {
        for (int k = 0; k < *n; k++)
            if (names[k] == node->name)
                return;
        if (*n == MAX_NAMES)
            *n = -1;
        else
            names[(*n)++] = node->name;
    }
    for (uint16_t c = node->first; c; c = t->nodes[c].next)
        collect(t, c, names, n);
}

int part_variables(struct part p, uint32_t names[16])
{
    int n = 0;
    collect(p.t, p.node, names, &n);
    return n;
}

int part_infinity(struct part p)
{
    const struct expr_node *n = part_node(p);
    if (n->kind == EXPR_NEGATE)
        return -part_infinity(part_child(p, 0));
    return n->kind == EXPR_CONSTANT && n->op == EXPR_INFINITY;
}

static struct expr_env env_of(struct matcher *m, struct part p, int i_point, bool log_ten)
{
    return (struct expr_env){
        .tree = p.t, .signs = p.signs, .i_point = i_point, .log_ten = log_ten, .steps = &m->steps};
}

bool part_exact(struct matcher *m, struct part p, struct expr_ratio *q)
{
    struct expr_env env = env_of(m, p, 0, false);
    return expr_exact(&env, p.node, q);
}

bool part_real(struct matcher *m, struct part p, long double *x)
{
    struct expr_env env = env_of(m, p, 0, false);
    long double complex z;
    uint32_t names[MAX_NAMES];
    if (p.t->bare_log || part_variables(p, names) || !expr_value(&env, p.node, &z) || cimagl(z))
        return false;
    *x = creall(z);
    return true;
}

/* The digits behind the point of a decimal number; 0 for all else. */
static int decimals(struct part p)
{
    const struct expr_node *n = part_node(p);
    if (n->kind == EXPR_NEGATE)
        return decimals(part_child(p, 0));
    return n->kind == EXPR_NUMBER && n->exact ? n->n_decimals : 0;
}

/* value_rounded for an irrational number x, which is known to noise. same: what else is known. */
static int rounded(const struct expr_ratio *d, int n_decimals, long double x, long double noise,
                   int same)
{
    long double unit = powl(10, -n_decimals), value = (long double)d->num / (long double)d->den;
    long double off = fabsl(value - x) / unit;
    if (n_decimals < 2 || 1e3L * noise > unit)
        return same;
    if (off > 1.000001L)
        return -1;
    bool fine = n_decimals >= VALUE_MIN_DECIMALS && fabsl(value) / unit >= 1e5L;
    return fine && off <= 0.500001L;
}

static enum answer_verdict verdict(struct matcher *m, int same, const char *doubt)
{
    m->why = same > 0 ? "equal" : same < 0 ? "another value" : doubt;
    return same > 0 ? ANSWER_CORRECT : same < 0 ? ANSWER_WRONG : ANSWER_UNKNOWN;
}

static enum answer_verdict exact_values(struct matcher *m, struct part a, struct part b,
                                        const struct expr_ratio *x, const struct expr_ratio *y)
{
    if (x->num == y->num && x->den == y->den)
        return verdict(m, 1, NULL);
    int same = -1;
    if (decimals(a) && !decimals(b)) /* 0.333333 for 1/3 */
        same = value_rounded(x->num, x->den, decimals(a), y->num, y->den);
    else if (decimals(b) && !decimals(a))
        same = value_rounded(y->num, y->den, decimals(b), x->num, x->den);
    return verdict(m, same, "equal only when rounded");
}

/* Two values at one point: 1 equal, -1 different, 0 cannot be told. */
static int compare_point(long double complex x, long double complex y, long double largest)
{
    long double off = cabsl(x - y), size = fmaxl(cabsl(x), cabsl(y)), noise = ROUNDING * largest;
    if (off <= EQUAL * size)
        return noise > EQUAL * size ? 0 : 1;
    return off > DIFFERENT * size && off > 1e4L * noise ? -1 : 0;
}

/* Numbers beyond 127 bits, 2^{1008} and 4^{504}: equal modulo two large primes? 0: not readable. */
static int compare_residues(struct matcher *m, struct part a, struct part b)
{
    static const uint64_t primes[] = {2305843009213693951u, 9223372036854775783u};
    int same = 1;
    for (int i = 0; i < 2; i++) {
        struct expr_env ea = env_of(m, a, 0, false), eb = env_of(m, b, 0, false);
        uint64_t x, y;
        if (!expr_residue(&ea, a.node, primes[i], &x) || !expr_residue(&eb, b.node, primes[i], &y))
            return 0;
        same = x == y ? same : -1;
    }
    return same;
}

static enum answer_verdict constants(struct matcher *m, struct part a, struct part b, bool log_ten)
{
    struct expr_env ea = env_of(m, a, 0, log_ten), eb = env_of(m, b, 0, log_ten);
    struct expr_ratio q;
    long double complex x, y;
    if (!expr_value(&ea, a.node, &x) || !expr_value(&eb, b.node, &y))
        return verdict(m, 0, "no value that could be computed");
    long double largest = fmaxl(ea.largest, eb.largest);
    int same = compare_point(x, y, largest);
    bool by_a = same <= 0 && decimals(a) && part_exact(m, a, &q) && !cimagl(y);
    bool by_b = same <= 0 && !by_a && decimals(b) && part_exact(m, b, &q) && !cimagl(x);
    if (by_a || by_b) {
        long double of = by_a ? creall(y) : creall(x);
        same = rounded(&q, decimals(by_a ? a : b), of, ROUNDING * largest, same);
        return verdict(m, same, "equal only when rounded");
    }
    if (same == 0 || (same > 0 && (cabsl(x) > 1e15L || x == 0 || y == 0)))
        return verdict(m, compare_residues(m, a, b), "too close to tell apart");
    return verdict(m, same, "");
}

static bool same_names(const uint32_t *a, int n_a, const uint32_t *b, int n_b)
{
    for (int i = 0; i < n_a; i++) {
        bool found = false;
        for (int k = 0; k < n_b; k++)
            found = found || a[i] == b[k];
        if (!found)
            return false;
    }
    return n_a == n_b;
}

/* "5\sqrt{2} m": the letter may be a unit. */
static bool may_have_unit(struct part p)
{
    const struct expr_node *n = part_node(p);
    uint16_t last = 0;
    if (n->kind != EXPR_MULTIPLY)
        return false;
    for (uint16_t c = n->first; c; c = p.t->nodes[c].next)
        last = c;
    return p.t->nodes[last].kind == EXPR_VARIABLE;
}

struct tally {
    int n_same, n_other;
};

static void count(struct tally *t, int same)
{
    t->n_same += same > 0;
    t->n_other += same < 0;
}

/* Where both leave the real numbers they need not agree: \sqrt[4]{x^3} and x^{3/4} differ for x <
 * 0. Where only one does, as of \ln x and \ln |x|, they have to. */
static enum answer_verdict functions(struct matcher *m, struct part a, struct part b, bool log_ten)
{
    uint32_t na[MAX_NAMES], nb[MAX_NAMES];
    int n_a = part_variables(a, na), n_b = part_variables(b, nb);
    struct tally all = {0, 0}, real = {0, 0};
    if (n_a < 0 || n_b < 0)
        return verdict(m, 0, "too many variables");
    for (int i = 0; i < N_POINTS; i++) {
        struct expr_env ea = env_of(m, a, i, log_ten), eb = env_of(m, b, i, log_ten);
        long double complex x, y;
        if (!expr_value(&ea, a.node, &x) || !expr_value(&eb, b.node, &y))
            continue;
        int same = compare_point(x, y, fmaxl(ea.largest, eb.largest));
        count(&all, same);
        if (!ea.left_reals || !eb.left_reals)
            count(&real, ea.left_reals == eb.left_reals ? same : -1);
    }
    if (real.n_same >= MIN_POINTS && !real.n_other)
        return verdict(m, 1, NULL);
    int n_same = all.n_same, n_other = all.n_other;
    if (n_same >= MIN_POINTS && !n_other)
        return verdict(m, 1, NULL);
    if (n_same || n_other < MIN_POINTS)
        return verdict(m, 0, "equal at some points only");
    if (!same_names(na, n_a, nb, n_b)) {
        if (n_a == n_b)
            return verdict(m, 0, "other variables");
        if ((!n_a && may_have_unit(b)) || (!n_b && may_have_unit(a)))
            return verdict(m, 0, "a letter that may be a unit");
    }
    return verdict(m, -1, NULL);
}

static enum answer_verdict values(struct matcher *m, struct part a, struct part b, bool log_ten)
{
    uint32_t names[MAX_NAMES];
    bool constant = !part_variables(a, names) && !part_variables(b, names);
    return constant ? constants(m, a, b, log_ten) : functions(m, a, b, log_ten);
}

enum answer_verdict part_values(struct matcher *m, struct part a, struct part b)
{
    struct expr_ratio x, y;
    int inf_a = part_infinity(a), inf_b = part_infinity(b);
    if (inf_a || inf_b)
        return verdict(m, inf_a == inf_b ? 1 : -1, NULL);
    if (part_exact(m, a, &x) && part_exact(m, b, &y))
        return exact_values(m, a, b, &x, &y);
    enum answer_verdict v = values(m, a, b, false);
    if (!a.t->bare_log && !b.t->bare_log)
        return v;
    if (v == values(m, a, b, true))
        return v;
    return verdict(m, 0, "depends on the base of the logarithm");
}

static bool difference_value(struct matcher *m, const struct difference *d, int i_point,
                             long double complex *z, long double *largest)
{
    struct part side = d->left.node ? d->left : d->right;
    struct expr_env env = env_of(m, side, i_point, false);
    long double complex x, y;
    if (d->left.node) {
        if (!expr_value(&env, d->left.node, &x))
            return false;
    } else
        x = expr_sample(d->left_name, i_point);
    env.tree = d->right.t;
    env.signs = d->right.signs;
    if (!expr_value(&env, d->right.node, &y))
        return false;
    *largest = fmaxl(env.largest, cabsl(x));
    *z = x - y;
    return true;
}

bool part_proportional(struct matcher *m, const struct difference *a, const struct difference *b,
                       bool positive)
{
    long double complex ratio = 0;
    int n = 0;
    for (int i = 0; i < N_POINTS; i++) {
        long double complex x, y;
        long double lx, ly;
        if (!difference_value(m, a, i, &x, &lx) || !difference_value(m, b, i, &y, &ly))
            continue;
        if (cabsl(x) <= 1e-4L * lx || cabsl(y) <= 1e-4L * ly) /* near a root: rounding shows */
            continue;
        if (n++ == 0)
            ratio = x / y;
        else if (cabsl(x / y - ratio) > 1e-11L * cabsl(ratio))
            return false;
    }
    return n >= MIN_POINTS && (!positive || (creall(ratio) > 0 && fabsl(cimagl(ratio)) < 1e-11L));
}
