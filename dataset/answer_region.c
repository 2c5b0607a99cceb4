#include "dataset/answer_tree.h"

#include <math.h>

enum { MAX_PIECES = 16 };

struct end {
    struct part part;  /* node 0: infinite */
    long double value; /* may be infinite */
    bool closed;
};

struct piece {
    struct end low, high;
};

/* Pieces in order, none touching another, once it is normalised. */
struct region {
    struct piece pieces[MAX_PIECES];
    int n;
};

static bool is_empty(struct end low, struct end high)
{
    return low.value > high.value || (low.value == high.value && !(low.closed && high.closed));
}

static bool add_piece(struct region *r, struct end low, struct end high)
{
    if (is_empty(low, high) || r->n == MAX_PIECES)
        return false;
    r->pieces[r->n++] = (struct piece){low, high};
    return true;
}

static bool make_end(struct matcher *m, struct part p, bool closed, struct end *out)
{
    int infinity = part_infinity(p);
    if (part_signs(p) & ~1u) /* of several signs not all would be seen */
        return false;
    *out = (struct end){p, infinity * HUGE_VALL, closed};
    if (!infinity)
        return part_real(m, p, &out->value);
    out->part.node = 0;
    out->closed = false;
    return true;
}

static struct end infinite(struct part p, int sign)
{
    return (struct end){part_at(p, 0), sign * HUGE_VALL, false};
}

/* What is left of all beyond an end of a piece that is taken away. */
static struct end beyond(struct end e)
{
    e.closed = !e.closed;
    return e;
}

static struct end lesser(struct end a, struct end b)
{
    return a.value < b.value || (a.value == b.value && !a.closed) ? a : b;
}

static struct end greater(struct end a, struct end b)
{
    return a.value > b.value || (a.value == b.value && !a.closed) ? a : b;
}

/* Takes the piece q away from r. */
static bool subtract(struct region *r, const struct piece *q)
{
    struct region rest = {.n = 0};
    for (int i = 0; i < r->n; i++) {
        struct piece p = r->pieces[i];
        struct end high = lesser(p.high, beyond(q->low)), low = greater(p.low, beyond(q->high));
        if ((!is_empty(p.low, high) && !add_piece(&rest, p.low, high)) ||
            (!is_empty(low, p.high) && !add_piece(&rest, low, p.high)))
            return false;
    }
    *r = rest;
    return true;
}

/* Leaves of r what is in one of the pieces of q too. */
static bool intersect(struct region *r, const struct region *q)
{
    struct region both = {.n = 0};
    for (int i = 0; i < r->n; i++)
        for (int k = 0; k < q->n; k++) {
            struct end low = greater(r->pieces[i].low, q->pieces[k].low);
            struct end high = lesser(r->pieces[i].high, q->pieces[k].high);
            if (!is_empty(low, high) && !add_piece(&both, low, high))
                return false;
        }
    *r = both;
    return true;
}

/* In order; pieces that touch or overlap become one. Ends that only nearly touch are left alone. */
static void normalise(struct region *r)
{
    for (int i = 1; i < r->n; i++)
        for (int k = i; k > 0 && r->pieces[k].low.value < r->pieces[k - 1].low.value; k--) {
            struct piece swap = r->pieces[k];
            r->pieces[k] = r->pieces[k - 1];
            r->pieces[k - 1] = swap;
        }
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        struct piece *last = n ? &r->pieces[n - 1] : NULL, next = r->pieces[i];
        bool joined =
            last && (next.low.value < last->high.value || (next.low.value == last->high.value &&
                                                           (next.low.closed || last->high.closed)));
        if (!joined) {
            r->pieces[n++] = next;
            continue;
        }
        if (next.low.value == last->low.value && next.low.closed)
            last->low.closed = true;
        if (next.high.value > last->high.value ||
            (next.high.value == last->high.value && next.high.closed))
            last->high = next.high;
    }
    r->n = n;
}

static bool is_bracket(const struct expr_node *n)
{
    return n->kind == EXPR_SEQUENCE && (n->open == '(' || n->open == '[');
}

static bool add_interval(struct matcher *m, struct part p, struct region *r)
{
    const struct expr_node *n = part_node(p);
    struct end low, high;
    return !part_signs(p) && part_n_children(p) == 2 &&
           make_end(m, part_child(p, 0), n->open == '[', &low) &&
           make_end(m, part_child(p, 1), n->close == ']', &high) && add_piece(r, low, high);
}

static bool add_points(struct matcher *m, struct part p, struct region *r)
{
    for (uint16_t c = part_node(p)->first; c; c = p.t->nodes[c].next) {
        struct end point;
        if (part_signs(part_at(p, c)) || !make_end(m, part_at(p, c), true, &point) ||
            !point.part.node || !add_piece(r, point, point))
            return false;
    }
    return true;
}

/* a op x, seen from x: its lower or upper end. */
static bool bound(struct matcher *m, char op, bool x_is_left, struct part a, struct end *low,
                  struct end *high)
{
    bool upper = (op == '<' || op == 'l') == x_is_left;
    return make_end(m, a, op == 'l' || op == 'g', upper ? high : low);
}

/* Takes the number p away, or the two of "\pm p". */
static bool add_holes(struct matcher *m, struct part p, struct region *r)
{
    unsigned signs = part_signs(p);
    for (unsigned s = 0; s <= signs; s++) {
        struct piece hole;
        p.signs = s;
        if (!make_end(m, p, true, &hole.low) || !hole.low.part.node)
            return false;
        hole.high = hole.low;
        if (!subtract(r, &hole))
            return false;
    }
    return true;
}

/* "x > 3", "3 < x", "1 <= x < 2", "x != 3": one bare variable against numbers. */
static bool add_inequality(struct matcher *m, struct part p, struct region *r)
{
    int n = part_n_children(p), i_x = -1;
    if (n > 3)
        return false;
    for (int i = 0; i < n; i++)
        if (part_node(part_child(p, i))->kind == EXPR_VARIABLE) {
            if (i_x >= 0)
                return false;
            i_x = i;
        }
    if (i_x < 0 || (n == 3 && i_x != 1))
        return false;
    struct end low = infinite(p, -1), high = infinite(p, 1);
    char first = part_node(part_child(p, 1))->relation;
    if (n == 2 && first == 'n')
        return add_piece(r, low, high) && add_holes(m, part_child(p, 1 - i_x), r);
    if (part_signs(p)) /* x > \pm 1 */
        return false;
    if (n == 2)
        return bound(m, first, i_x == 0, part_child(p, 1 - i_x), &low, &high) &&
               add_piece(r, low, high);
    char second = part_node(part_child(p, 2))->relation;
    bool rising = first == '<' || first == 'l';
    return (rising == (second == '<' || second == 'l')) &&
           bound(m, first, false, part_child(p, 0), &low, &high) &&
           bound(m, second, true, part_child(p, 2), &low, &high) && add_piece(r, low, high);
}

/* Is it an inequality, and not an equation? */
static bool is_inequality(struct part p)
{
    if (part_node(p)->kind != EXPR_RELATION)
        return false;
    for (int i = 1; part_child(p, i).node; i++) {
        char op = part_node(part_child(p, i))->relation;
        if (op != '<' && op != '>' && op != 'l' && op != 'g' && op != 'n')
            return false;
    }
    return true;
}

static uint32_t variable_of(struct part p)
{
    uint32_t names[16];
    return part_variables(p, names) == 1 ? names[0] : 0;
}

/* "x < 1 or x > 2", "x > 1 and x < 2" */
static bool is_condition_list(struct part p)
{
    const struct expr_node *n = part_node(p);
    if (n->kind != EXPR_SEQUENCE || n->open || (n->op != 'o' && n->op != 'a'))
        return false;
    uint32_t name = variable_of(part_child(p, 0));
    for (uint16_t c = n->first; c; c = p.t->nodes[c].next)
        if (!is_inequality(part_at(p, c)) || variable_of(part_at(p, c)) != name)
            return false;
    return name != 0;
}

static bool add_region(struct matcher *m, struct part p, struct region *r);

static bool add_conditions(struct matcher *m, struct part p, struct region *r)
{
    const struct expr_node *n = part_node(p);
    if (n->op == 'o') {
        for (uint16_t c = n->first; c; c = p.t->nodes[c].next)
            if (!add_inequality(m, part_at(p, c), r))
                return false;
        return true;
    }
    struct region all = {.n = 0};
    bool ok = add_piece(&all, infinite(p, -1), infinite(p, 1));
    for (uint16_t c = n->first; ok && c; c = p.t->nodes[c].next) {
        struct region one = {.n = 0};
        ok = add_inequality(m, part_at(p, c), &one) && intersect(&all, &one);
    }
    for (int i = 0; ok && i < all.n; i++)
        ok = add_piece(r, all.pieces[i].low, all.pieces[i].high);
    return ok && all.n;
}

/* "A \setminus B" */
static bool add_difference(struct matcher *m, struct part p, struct region *r)
{
    struct region all = {.n = 0}, gone = {.n = 0};
    bool ok = add_region(m, part_child(p, 0), &all) && add_region(m, part_child(p, 1), &gone);
    normalise(&all);
    for (int i = 0; ok && i < gone.n; i++)
        ok = subtract(&all, &gone.pieces[i]);
    for (int i = 0; ok && i < all.n; i++)
        ok = add_piece(r, all.pieces[i].low, all.pieces[i].high);
    return ok;
}

static bool add_region(struct matcher *m, struct part p, struct region *r)
{
    if (part_node(p)->kind == EXPR_ASSIGNMENT) /* x \in ... */
        p = part_child(p, 0);
    const struct expr_node *n = part_node(p);
    if (n->kind == EXPR_CONSTANT && n->op == EXPR_EMPTY)
        return true;
    if (n->kind == EXPR_CONSTANT && n->op == EXPR_REALS)
        return add_piece(r, infinite(p, -1), infinite(p, 1));
    if (is_bracket(n))
        return add_interval(m, p, r);
    if (n->kind == EXPR_SEQUENCE && n->open == '{')
        return add_points(m, p, r);
    if (is_inequality(p))
        return add_inequality(m, p, r);
    if (is_condition_list(p))
        return add_conditions(m, p, r);
    if (n->kind == EXPR_WITHOUT)
        return add_difference(m, p, r);
    if (n->kind == EXPR_SUCH_THAT)
        return variable_of(p) == n->name && add_region(m, part_child(p, 0), r);
    if (n->kind != EXPR_JOIN)
        return false;
    for (uint16_t c = n->first; c; c = p.t->nodes[c].next)
        if (p.t->nodes[c].kind == EXPR_JOIN || !add_region(m, part_at(p, c), r))
            return false;
    return true;
}

bool part_is_region(struct part p)
{
    const struct expr_node *n = part_node(p);
    return n->kind == EXPR_JOIN || n->kind == EXPR_WITHOUT || n->kind == EXPR_SUCH_THAT ||
           is_inequality(p) || is_condition_list(p) ||
           (n->kind == EXPR_CONSTANT && (n->op == EXPR_REALS || n->op == EXPR_EMPTY));
}

static enum answer_verdict compare_ends(struct matcher *m, struct end a, struct end b)
{
    enum answer_verdict v = ANSWER_WRONG;
    if (!a.part.node || !b.part.node)
        v = a.value == b.value ? ANSWER_CORRECT : ANSWER_WRONG;
    else
        v = part_values(m, a.part, b.part);
    if (v == ANSWER_CORRECT && a.closed != b.closed) {
        m->why = "an end is open in one and closed in the other";
        return ANSWER_WRONG;
    }
    return v;
}

enum answer_verdict part_regions(struct matcher *m, struct part a, struct part b, bool *readable)
{
    struct region x = {.n = 0}, y = {.n = 0};
    *readable = add_region(m, a, &x) && add_region(m, b, &y);
    if (!*readable)
        return ANSWER_UNKNOWN;
    normalise(&x);
    normalise(&y);
    m->why = "another set";
    if (x.n != y.n)
        return ANSWER_WRONG;
    enum answer_verdict all = ANSWER_CORRECT;
    for (int i = 0; i < x.n; i++) {
        enum answer_verdict low = compare_ends(m, x.pieces[i].low, y.pieces[i].low);
        enum answer_verdict high = compare_ends(m, x.pieces[i].high, y.pieces[i].high);
        if (low == ANSWER_WRONG || high == ANSWER_WRONG)
            return ANSWER_WRONG;
        if (low == ANSWER_UNKNOWN || high == ANSWER_UNKNOWN)
            all = ANSWER_UNKNOWN;
    }
    if (all == ANSWER_CORRECT)
        m->why = "equal";
    return all;
}
