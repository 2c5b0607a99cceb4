/* Exact equality beyond 127 bits: values modulo a prime. */
#include "dataset/expr.h"

typedef unsigned __int128 u128;

enum { MAX_LOOP = 1000, POWER_STEPS = 10 /* what a power costs more than a sum */ };

static uint64_t multiply(uint64_t a, uint64_t b, uint64_t prime)
{
    return (uint64_t)((u128)a * b % prime);
}

static uint64_t power(uint64_t base, uint64_t e, uint64_t prime)
{
    uint64_t r = 1;
    for (; e; e >>= 1) {
        r = e & 1 ? multiply(r, base, prime) : r;
        base = multiply(base, base, prime);
    }
    return r;
}

static uint64_t residue_of(__int128 x, uint64_t prime)
{
    __int128 r = x % (__int128)prime;
    return (uint64_t)(r < 0 ? r + (__int128)prime : r);
}

/* a over b; false for a b that the prime divides. */
static bool divide(struct expr_env *env, uint64_t a, uint64_t b, uint64_t prime, uint64_t *r)
{
    *env->steps -= b == 1 ? 0 : POWER_STEPS;
    *r = b == 1 ? a : multiply(a, power(b, prime - 2, prime), prime);
    return b != 0;
}

/* The value of node, a whole number from 0 to most. */
static bool whole(struct expr_env *env, uint16_t node, int64_t most, int64_t *n)
{
    struct expr_ratio q;
    if (!expr_exact(env, node, &q) || q.den != 1 || q.num < 0 || q.num > most)
        return false;
    *n = (int64_t)q.num;
    return true;
}

static bool raise(struct expr_env *env, const struct expr_node *n, uint64_t prime, uint64_t *r)
{
    int64_t e;
    if (!expr_residue(env, n->first, prime, r) ||
        !whole(env, env->tree->nodes[n->first].next, INT64_MAX, &e))
        return false;
    *env->steps -= POWER_STEPS;
    *r = power(*r, (uint64_t)e, prime);
    return true;
}

static bool factorial(struct expr_env *env, uint16_t node, uint64_t prime, uint64_t *r)
{
    int64_t n;
    if (!whole(env, node, MAX_LOOP, &n))
        return false;
    *env->steps -= (int)n / 4;
    *r = 1;
    for (; n > 1; n--)
        *r = multiply(*r, (uint64_t)n, prime);
    return true;
}

static bool series(struct expr_env *env, const struct expr_node *n, uint64_t prime, uint64_t *r)
{
    uint64_t x;
    *r = n->kind == EXPR_MULTIPLY;
    for (uint16_t c = n->first; c; c = env->tree->nodes[c].next) {
        if (!expr_residue(env, c, prime, &x))
            return false;
        *r = n->kind == EXPR_MULTIPLY ? multiply(*r, x, prime) : (uint64_t)(((u128)*r + x) % prime);
    }
    return true;
}

bool expr_residue(struct expr_env *env, uint16_t node, uint64_t prime, uint64_t *r)
{
    const struct expr_node *n = &env->tree->nodes[node];
    uint64_t den;
    if (--*env->steps < 0)
        return false;
    switch ((enum expr_kind)n->kind) {
    case EXPR_NUMBER:
        return n->exact &&
               divide(env, residue_of(n->q.num, prime), residue_of(n->q.den, prime), prime, r);
    case EXPR_NEGATE:
        if (!expr_residue(env, n->first, prime, r))
            return false;
        *r = *r ? prime - *r : 0;
        return true;
    case EXPR_ADD:
    case EXPR_MULTIPLY:
        return series(env, n, prime, r);
    case EXPR_DIVIDE:
        return expr_residue(env, n->first, prime, r) &&
               expr_residue(env, env->tree->nodes[n->first].next, prime, &den) &&
               divide(env, *r, den, prime, r);
    case EXPR_POWER:
        return raise(env, n, prime, r);
    case EXPR_CALL:
        return n->op == EXPR_FACTORIAL && factorial(env, n->first, prime, r);
    default:
        return false;
    }
}
