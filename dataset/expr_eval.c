#include "dataset/expr.h"

#include <math.h>

typedef __int128 i128;
typedef long double complex value;

enum { MAX_EXPONENT = 400, MAX_FACTORIAL = 33, MAX_CHOOSE = 1000, MAX_SQUARED = 64 };

/* ---- exact fractions ---- */

static i128 gcd(i128 a, i128 b)
{
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    while (b) {
        i128 r = a % b;
        a = b;
        b = r;
    }
    return a;
}

bool ratio_make(i128 num, i128 den, struct expr_ratio *out)
{
    const i128 lowest = -((i128)1 << 126) * 2; /* has no negative */
    if (!den || num == lowest || den == lowest)
        return false;
    i128 g = gcd(num, den);
    g *= den < 0 ? -1 : 1;
    *out = (struct expr_ratio){num / g, den / g};
    return true;
}

static bool ratio_add(const struct expr_ratio *a, const struct expr_ratio *b,
                      struct expr_ratio *out)
{
    i128 x, y, den;
    return !__builtin_mul_overflow(a->num, b->den, &x) &&
           !__builtin_mul_overflow(b->num, a->den, &y) && !__builtin_add_overflow(x, y, &x) &&
           !__builtin_mul_overflow(a->den, b->den, &den) && ratio_make(x, den, out);
}

static bool ratio_multiply(const struct expr_ratio *a, const struct expr_ratio *b,
                           struct expr_ratio *out)
{
    i128 num, den;
    return !__builtin_mul_overflow(a->num, b->num, &num) &&
           !__builtin_mul_overflow(a->den, b->den, &den) && ratio_make(num, den, out);
}

static bool ratio_power(const struct expr_ratio *base, const struct expr_ratio *e,
                        struct expr_ratio *out)
{
    if (e->den != 1 || e->num > MAX_EXPONENT || e->num < -MAX_EXPONENT ||
        (!base->num && e->num <= 0))
        return false;
    struct expr_ratio x = *base, power = {1, 1};
    int n = (int)(e->num < 0 ? -e->num : e->num);
    if (e->num < 0 && !ratio_make(base->den, base->num, &x))
        return false;
    for (int i = 0; i < n; i++) /* over by 127 steps, unless the base is 0 or 1 */
        if (!ratio_multiply(&power, &x, &power))
            return false;
    *out = power;
    return true;
}

/* The n-th root of a whole number that has one. */
static bool whole_root(i128 x, int n, i128 *root)
{
    if (x < 0 && n % 2 == 0)
        return false;
    i128 r = (i128)roundl(powl(fabsl((long double)x), 1.0L / n)), power = 1;
    for (int i = 0; i < n; i++)
        if (__builtin_mul_overflow(power, r, &power))
            return false;
    *root = x < 0 ? -r : r;
    return power == (x < 0 ? -x : x);
}

static bool ratio_root(const struct expr_ratio *x, const struct expr_ratio *order,
                       struct expr_ratio *out)
{
    i128 num, den;
    return order->den == 1 && order->num >= 2 && order->num <= 60 &&
           whole_root(x->num, (int)order->num, &num) && whole_root(x->den, (int)order->num, &den) &&
           ratio_make(num, den, out);
}

static bool ratio_choose(const struct expr_ratio *n, const struct expr_ratio *k,
                         struct expr_ratio *out)
{
    struct expr_ratio c = {1, 1};
    if (n->den != 1 || k->den != 1 || n->num < 0 || k->num < 0 || n->num > MAX_CHOOSE)
        return false;
    if (k->num > n->num) {
        *out = (struct expr_ratio){0, 1};
        return true;
    }
    int m = (int)(k->num > n->num - k->num ? n->num - k->num : k->num);
    for (int i = 1; i <= m; i++) {
        struct expr_ratio factor;
        if (!ratio_make(n->num - m + i, i, &factor) || !ratio_multiply(&c, &factor, &c))
            return false;
    }
    *out = c;
    return true;
}

static i128 floor_of(const struct expr_ratio *q)
{
    return q->num / q->den - (q->num % q->den < 0);
}

static bool exact_call(enum expr_function f, struct expr_ratio q, struct expr_ratio *out)
{
    static const struct expr_ratio two = {2, 1}, three = {3, 1};
    *out = q;
    switch (f) {
    case EXPR_SQRT:
        return q.num >= 0 && ratio_root(&q, &two, out);
    case EXPR_CBRT:
        return ratio_root(&q, &three, out);
    case EXPR_ABSOLUTE:
        out->num = q.num < 0 ? -q.num : q.num;
        return true;
    case EXPR_FLOOR:
        *out = (struct expr_ratio){floor_of(&q), 1};
        return true;
    case EXPR_CEILING:
        *out = (struct expr_ratio){floor_of(&q) + (q.den != 1), 1};
        return true;
    case EXPR_FACTORIAL:
        if (q.den != 1 || q.num < 0 || q.num > MAX_FACTORIAL)
            return false;
        *out = (struct expr_ratio){1, 1};
        for (int i = 2; i <= (int)q.num; i++)
            out->num *= i;
        return true;
    default:
        return false;
    }
}

static bool is_minus(const struct expr_env *env, const struct expr_node *n)
{
    return (env->signs >> (n->op & 127) & 1) != (n->op >= 128);
}

bool expr_exact(struct expr_env *env, uint16_t i, struct expr_ratio *q)
{
    const struct expr_node *nodes = env->tree->nodes, *n = &nodes[i];
    struct expr_ratio a, b;
    if (!i || --*env->steps < 0)
        return false;
    switch ((enum expr_kind)n->kind) {
    case EXPR_NUMBER:
        *q = n->q;
        return n->exact;
    case EXPR_ADD:
    case EXPR_MULTIPLY:
        if (!expr_exact(env, n->first, q))
            return false;
        for (uint16_t c = nodes[n->first].next; c; c = nodes[c].next)
            if (!expr_exact(env, c, &a) ||
                !(n->kind == EXPR_ADD ? ratio_add(q, &a, q) : ratio_multiply(q, &a, q)))
                return false;
        return true;
    case EXPR_NEGATE:
    case EXPR_PLUS_MINUS:
        if (!expr_exact(env, n->first, q))
            return false;
        if (n->kind == EXPR_NEGATE || is_minus(env, n))
            q->num = -q->num;
        return true;
    case EXPR_CALL:
        return expr_exact(env, n->first, &a) && exact_call(n->op, a, q);
    case EXPR_DIVIDE:
    case EXPR_POWER:
    case EXPR_ROOT_OF:
    case EXPR_CHOOSE:
        if (!expr_exact(env, n->first, &a) || !expr_exact(env, nodes[n->first].next, &b))
            return false;
        if (n->kind == EXPR_POWER)
            return ratio_power(&a, &b, q);
        if (n->kind == EXPR_ROOT_OF)
            return ratio_root(&a, &b, q);
        if (n->kind == EXPR_CHOOSE)
            return ratio_choose(&a, &b, q);
        return b.num && ratio_make(b.den, b.num, &b) && ratio_multiply(&a, &b, q);
    default:
        return false;
    }
}

/* ---- floating point ---- */

long double expr_sample(uint32_t name, int i_point)
{
    uint64_t x = ((uint64_t)name << 8 ^ (unsigned)i_point) * 0x9E3779B97F4A7C15u; /* splitmix64 */
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    long double v = 0.3L + 2.7L * ((long double)(x >> 12) * 0x1p-52L);
    return i_point >= 4 && x & 1 ? -v : v; /* the first four are positive */
}

static bool is_real(value z)
{
    return cimagl(z) == 0;
}

/* Real where a real value is usual: odd roots of negative numbers, as in (-8)^{1/3} = -2. */
static value real_power(long double x, const struct expr_ratio *e)
{
    long double p = powl(fabsl(x), (long double)e->num / (long double)e->den);
    return x < 0 && e->num % 2 ? -p : p;
}

/* By squaring: faster than powl, and as exact. */
static value whole_power(value base, int n)
{
    value power = 1;
    for (int m = n < 0 ? -n : n; m; m >>= 1) {
        if (m & 1)
            power = is_real(power) && is_real(base) ? creall(power) * creall(base) : power * base;
        base = is_real(base) ? creall(base) * creall(base) : base * base;
    }
    return n < 0 ? 1 / power : power;
}

static value power_of(struct expr_env *env, const struct expr_node *n, value base, value e)
{
    struct expr_ratio q;
    long double x = creall(e);
    if (is_real(e) && fabsl(x) <= MAX_SQUARED && x == truncl(x))
        return whole_power(base, (int)x);
    if (is_real(base) && creall(base) < 0 && expr_exact(env, env->tree->nodes[n->first].next, &q) &&
        q.den % 2)
        return real_power(creall(base), &q);
    if (is_real(base) && is_real(e) && (creall(base) >= 0))
        return powl(creall(base), creall(e));
    env->left_reals |= is_real(base);
    return cpowl(base, e);
}

static value root_of(struct expr_env *env, value x, value order)
{
    long double n = creall(order);
    if (!is_real(order) || n < 2 || n != floorl(n) || n > 1000)
        return NAN;
    struct expr_ratio e = {1, (i128)n};
    if (is_real(x) && (creall(x) >= 0 || e.den % 2))
        return real_power(creall(x), &e);
    env->left_reals |= is_real(x);
    return cpowl(x, 1 / n);
}

static value factorial(value z)
{
    long double x = creall(z);
    return is_real(z) && x > -1700 && x < 1700 ? tgammal(x + 1) : NAN;
}

static value choose(value n, value k)
{
    long double a = creall(n), b = creall(k);
    if (!is_real(n) || !is_real(k))
        return NAN;
    if (fabsl(a) < 800 && fabsl(b) < 800) /* no number where the gamma function has a pole */
        return tgammal(a + 1) / tgammal(b + 1) / tgammal(a - b + 1);
    if (a < 0 || b < 0 || b > a || a > 1e6L)
        return NAN;
    int sign; /* lgammal would write to a global */
    return expl(lgammal_r(a + 1, &sign) - lgammal_r(b + 1, &sign) - lgammal_r(a - b + 1, &sign));
}

static value call(struct expr_env *env, const struct expr_node *n, value z)
{
    long double x = creall(z);
    bool negative = is_real(z) && x < 0;
    switch ((enum expr_function)n->op) {
    case EXPR_SIN:
        return is_real(z) ? sinl(x) : csinl(z);
    case EXPR_COS:
        return is_real(z) ? cosl(x) : ccosl(z);
    case EXPR_TAN:
        return is_real(z) ? tanl(x) : ctanl(z);
    case EXPR_COT:
        return 1 / ctanl(z);
    case EXPR_SEC:
        return 1 / ccosl(z);
    case EXPR_CSC:
        return 1 / csinl(z);
    case EXPR_ARCSIN:
        return casinl(z);
    case EXPR_ARCCOS:
        return cacosl(z);
    case EXPR_ARCTAN:
        return catanl(z);
    case EXPR_ARCCOT:
        return M_PIl / 2 - catanl(z);
    case EXPR_ARCSEC:
        return cacosl(1 / z);
    case EXPR_ARCCSC:
        return casinl(1 / z);
    case EXPR_SINH:
        return csinhl(z);
    case EXPR_COSH:
        return ccoshl(z);
    case EXPR_TANH:
        return ctanhl(z);
    case EXPR_LN:
    case EXPR_LOG:
        env->left_reals |= negative;
        z = is_real(z) && x > 0 ? logl(x) : clogl(z);
        return n->op == EXPR_LOG && env->log_ten ? z / M_LN10l : z;
    case EXPR_EXP:
        return cexpl(z);
    case EXPR_CIS:
        return ccosl(z) + I * csinl(z);
    case EXPR_SQRT:
        env->left_reals |= negative;
        return is_real(z) && x >= 0 ? sqrtl(x) : csqrtl(z);
    case EXPR_CBRT:
        return root_of(env, z, 3);
    case EXPR_ABSOLUTE:
        return cabsl(z);
    case EXPR_FLOOR:
        return is_real(z) ? floorl(x) : NAN;
    case EXPR_CEILING:
        return is_real(z) ? ceill(x) : NAN;
    case EXPR_FACTORIAL:
        return factorial(z);
    case EXPR_BAR: /* any injective function will do */
        return z * (1.37L + 0.11L * (long double)n->name) + 0.4142L * (long double)n->name;
    }
    return NAN;
}

static bool is_trigonometric(const struct expr_node *n)
{
    return n->op <= EXPR_CSC || n->op == EXPR_CIS;
}

static bool pair_value(struct expr_env *env, const struct expr_node *n, value *z)
{
    value a, b;
    if (!expr_value(env, n->first, &a) || !expr_value(env, env->tree->nodes[n->first].next, &b))
        return false;
    switch ((enum expr_kind)n->kind) {
    case EXPR_DIVIDE:
        *z = is_real(a) && is_real(b) ? creall(a) / creall(b) : a / b;
        return b != 0;
    case EXPR_POWER:
        *z = power_of(env, n, a, b);
        return true;
    case EXPR_ROOT_OF:
        *z = root_of(env, a, b);
        return true;
    case EXPR_LOG_BASE:
        *z = is_real(a) && is_real(b) && creall(a) > 0 && creall(b) > 0
                 ? logl(creall(a)) / logl(creall(b))
                 : clogl(a) / clogl(b);
        return b != 1;
    default:
        *z = choose(a, b);
        return true;
    }
}

static bool series_value(struct expr_env *env, const struct expr_node *n, value *z)
{
    const struct expr_node *nodes = env->tree->nodes;
    value a;
    if (!expr_value(env, n->first, z))
        return false;
    for (uint16_t c = nodes[n->first].next; c; c = nodes[c].next) {
        if (!expr_value(env, c, &a))
            return false;
        if (n->kind == EXPR_ADD)
            *z += a;
        else
            *z = is_real(*z) && is_real(a) ? creall(*z) * creall(a) : *z * a;
    }
    return true;
}

static bool node_value(struct expr_env *env, const struct expr_node *n, value *z)
{
    switch ((enum expr_kind)n->kind) {
    case EXPR_NUMBER:
        *z = n->exact ? (long double)n->q.num / (long double)n->q.den : n->approx;
        return true;
    case EXPR_VARIABLE:
        *z = expr_sample(n->name, env->i_point);
        return true;
    case EXPR_CONSTANT:
        *z = n->op == EXPR_PI ? M_PIl : n->op == EXPR_E ? M_El : I;
        return n->op <= EXPR_I;
    case EXPR_ADD:
    case EXPR_MULTIPLY:
        return series_value(env, n, z);
    case EXPR_NEGATE:
    case EXPR_PLUS_MINUS:
        if (!expr_value(env, n->first, z))
            return false;
        if (n->kind == EXPR_NEGATE || is_minus(env, n))
            *z = -*z;
        return true;
    case EXPR_IN_DEGREES:
        if (!expr_value(env, n->first, z))
            return false;
        *z *= env->in_angle ? M_PIl / 180 : 1;
        return true;
    case EXPR_CALL: {
        bool in_angle = env->in_angle;
        value a;
        env->in_angle = is_trigonometric(n);
        bool ok = expr_value(env, n->first, &a);
        env->in_angle = in_angle;
        *z = ok ? call(env, n, a) : 0;
        return ok;
    }
    case EXPR_DIVIDE:
    case EXPR_POWER:
    case EXPR_ROOT_OF:
    case EXPR_LOG_BASE:
    case EXPR_CHOOSE:
        return pair_value(env, n, z);
    default:
        return false;
    }
}

bool expr_value(struct expr_env *env, uint16_t i, value *z)
{
    if (!i || --*env->steps < 0 || !node_value(env, &env->tree->nodes[i], z))
        return false;
    if (cimagl(*z) == 0)
        *z = creall(*z); /* -0i would choose the other side of a branch cut */
    long double size = cabsl(*z);
    env->largest = fmaxl(env->largest, size);
    return isfinite(size);
}
