#include "dataset/answer_tree.h"
#include "dataset/answer_value.h"

#include <string.h>

/* Is there a matrix, set or tuple within what is none itself: A + B, 2(1, 3)? */
static bool holds_structure(struct matcher *m, struct part p)
{
    if (--m->steps < 0 || part_is_structure(p))
        return true;
    for (uint16_t c = part_node(p)->first; c; c = p.t->nodes[c].next)
        if (holds_structure(m, part_at(p, c)))
            return true;
    return false;
}

/* ---- units, per cent, bases, ratios, choices ---- */

struct stripped {
    struct part part;
    const char *unit;
    size_t n_unit;
    bool percent, degrees;
};

static struct stripped strip(struct part p)
{
    struct stripped s = {.part = p};
    for (;; s.part = part_child(s.part, 0)) {
        const struct expr_node *n = part_node(s.part);
        if (n->kind == EXPR_IN_UNIT) {
            s.unit = p.t->text + n->at;
            s.n_unit = n->n;
        } else if (n->kind == EXPR_IN_PERCENT)
            s.percent = true;
        else if (n->kind == EXPR_IN_DEGREES)
            s.degrees = true;
        else
            return s;
    }
}

static bool same_units(const struct stripped *a, const struct stripped *b)
{
    return unit_is_same(a->unit, a->n_unit, b->unit, b->n_unit);
}

/* p per cent against a bare number. The sign is often left out, but 1% for 1 may be a mistake. */
static enum answer_verdict compare_percent(struct matcher *m, struct part p, struct part bare)
{
    struct expr_ratio x, y, share;
    if (!part_exact(m, p, &x) || !part_exact(m, bare, &y))
        return part_unknown(m, "a percentage against a number");
    if (ratio_make(x.num, x.den, &share) && x.den < ((__int128)1 << 100) &&
        ratio_make(x.num, x.den * 100, &share) && share.num == y.num && share.den == y.den)
        return part_correct(m);
    if (x.num == y.num && x.den == y.den)
        return x.num > x.den || -x.num > x.den ? part_correct(m)
                                               : part_unknown(m, "a percentage against a number");
    return part_wrong(m, "another value");
}

/* Is it a residue, 3 \pmod{7}, which others of its class equal? */
static bool is_residue(const struct stripped *s)
{
    return s->unit && memmem(s->unit, s->n_unit, "mod", 3);
}

/* "1:03 PM", which is no ratio? */
static bool is_clock(const struct stripped *s)
{
    return s->unit && part_kind(s->part) == EXPR_RATIO &&
           (unit_is_same(s->unit, s->n_unit, "am", 2) || unit_is_same(s->unit, s->n_unit, "pm", 2));
}

/* 60^\circ against \pi / 3 */
static bool same_angle(struct matcher *m, struct part degrees, struct part radians)
{
    long double x, y;
    if (!part_real(m, degrees, &x) || !part_real(m, radians, &y))
        return false;
    long double off = x * 3.14159265358979323846264338328L / 180 - y;
    return off < 1e-12L && off > -1e-12L;
}

static enum answer_verdict compare_stripped(struct matcher *m, const struct stripped *a,
                                            const struct stripped *b)
{
    const struct stripped *bare = a->percent ? b : a;
    if (a->percent != b->percent && (bare->unit || bare->degrees))
        return part_unknown(m, "a percentage against a quantity");
    if ((is_clock(a) || is_clock(b)) && part_kind(a->part) != part_kind(b->part))
        return part_unknown(m, "a time against a number");
    if (a->percent != b->percent)
        return a->percent ? compare_percent(m, a->part, b->part)
                          : compare_percent(m, b->part, a->part);
    enum answer_verdict v = part_compare(m, a->part, b->part);
    if (v == ANSWER_WRONG && a->degrees != b->degrees &&
        same_angle(m, a->degrees ? a->part : b->part, a->degrees ? b->part : a->part))
        return part_unknown(m, "degrees against radians");
    if (v == ANSWER_WRONG && (is_residue(a) || is_residue(b)))
        return part_unknown(m, "residues");
    bool unit_a = a->unit || a->degrees, unit_b = b->unit || b->degrees;
    if (v == ANSWER_CORRECT && unit_a && unit_b &&
        (a->degrees != b->degrees || (a->unit && b->unit && !same_units(a, b))))
        return part_unknown(m, "the units differ");
    return v;
}

static enum answer_verdict compare_bases(struct matcher *m, struct part a, struct part b)
{
    bool in_a = part_kind(a) == EXPR_IN_BASE, in_b = part_kind(b) == EXPR_IN_BASE;
    struct expr_ratio x, y;
    if (!part_exact(m, in_a ? part_child(a, 0) : a, &x) ||
        !part_exact(m, in_b ? part_child(b, 0) : b, &y))
        return part_unknown(m, "a number in a base");
    if (!in_a || !in_b)
        return part_unknown(m, "a number with a base against one without");
    if (part_node(a)->op != part_node(b)->op)
        return part_unknown(m, "another base");
    return x.num == y.num ? part_correct(m) : part_wrong(m, "another value");
}

static bool ratio_value(struct matcher *m, struct part p, struct expr_ratio *q)
{
    struct expr_ratio a, b;
    return part_n_children(p) == 2 && part_exact(m, part_child(p, 0), &a) &&
           part_exact(m, part_child(p, 1), &b) && a.den == 1 && b.den == 1 &&
           ratio_make(a.num, b.num, q);
}

static enum answer_verdict compare_ratios(struct matcher *m, struct part a, struct part b)
{
    struct expr_ratio x, y;
    if (part_kind(a) == part_kind(b)) {
        enum answer_verdict v = part_children(m, a, b);
        bool known = v == ANSWER_WRONG && ratio_value(m, a, &x) && ratio_value(m, b, &y);
        if (known && x.num == y.num && x.den == y.den)
            return part_unknown(m, "the ratio in other terms");
        return v;
    }
    struct part ratio = part_kind(a) == EXPR_RATIO ? a : b,
                other = part_kind(a) == EXPR_RATIO ? b : a;
    if (!ratio_value(m, ratio, &x) || !part_exact(m, other, &y))
        return part_unknown(m, "a ratio against another kind of answer");
    bool same = x.num == y.num && x.den == y.den;
    bool lowest = part_exact(m, part_child(ratio, 1), &y) && y.num == x.den;
    if (!same)
        return part_unknown(m, "a ratio against a number");
    return lowest ? part_correct(m) : part_unknown(m, "the ratio in other terms");
}

/* "(B) 12" against B, against 12, against "(B) 13". A letter against a value says nothing. */
static enum answer_verdict compare_choices(struct matcher *m, struct part a, struct part b)
{
    uint32_t letter_a = part_node(a)->name, letter_b = part_node(b)->name;
    bool choice_a = part_kind(a) == EXPR_CHOICE, choice_b = part_kind(b) == EXPR_CHOICE;
    if ((choice_a || part_is_capital(a)) && (choice_b || part_is_capital(b))) {
        struct part x = part_child(a, 0), y = part_child(b, 0);
        if (letter_a != letter_b)
            return part_wrong(m, "another letter");
        return x.node && y.node && part_compare(m, x, y) == ANSWER_WRONG
                   ? part_unknown(m, "another value beside the letter")
                   : part_correct(m);
    }
    struct part value = part_child(choice_a ? a : b, 0);
    if ((choice_a || choice_b) && value.node &&
        part_compare(m, choice_a ? value : a, choice_b ? value : b) == ANSWER_CORRECT)
        return part_correct(m);
    return part_unknown(m, "a letter against a value");
}

/* ---- equations and inequalities ---- */

static bool either(struct part a, struct part b, int kind)
{
    return part_kind(a) == kind || part_kind(b) == kind;
}

static bool is_equation(struct part p)
{
    if (part_kind(p) != EXPR_RELATION)
        return false;
    for (int i = 1; part_child(p, i).node; i++)
        if (part_node(part_child(p, i))->relation != '=')
            return false;
    return true;
}

/* left - right of an equation or assignment, or of an inequality, turned to "left < right". */
static bool difference_of(struct part p, struct difference *d, char *relation)
{
    const struct expr_node *n = part_node(p);
    if (n->kind == EXPR_ASSIGNMENT) {
        *d = (struct difference){part_at(p, 0), part_child(p, 0), n->name};
        *relation = '=';
        return n->op == 'v' && n->name;
    }
    if (n->kind != EXPR_RELATION || part_n_children(p) != 2)
        return false;
    struct part left = part_child(p, 0), right = part_child(p, 1);
    *relation = part_node(right)->relation;
    bool turn = *relation == '>' || *relation == 'g';
    *d = turn ? (struct difference){right, left, 0} : (struct difference){left, right, 0};
    *relation = *relation == '>' ? '<' : *relation == 'g' ? 'l' : *relation;
    return strchr("=<ln", *relation) != NULL;
}

/* Equal up to a factor: 2x + 2 = 4y and x + 1 = 2y. Else nothing is claimed: equations may be
 * transformed in too many ways. Without variables all would be: \log 100 = 2 and \log 100 = 3. */
static enum answer_verdict compare_relations(struct matcher *m, struct part a, struct part b)
{
    struct difference x, y;
    char op_x, op_y;
    uint32_t names[16];
    bool varies = either(a, b, EXPR_ASSIGNMENT) || part_variables(a, names);
    if (varies && difference_of(a, &x, &op_x) && difference_of(b, &y, &op_y) && op_x == op_y &&
        part_proportional(m, &x, &y, op_x == '<' || op_x == 'l'))
        return part_correct(m);
    return part_unknown(m, "relations that cannot be compared");
}

static enum answer_verdict compare_assignments(struct matcher *m, struct part a, struct part b)
{
    const struct expr_node *x = part_node(a), *y = part_node(b);
    struct part va = part_child(a, 0), vb = part_child(b, 0);
    bool loose_a = !x->name || x->op == 'f', loose_b = !y->name || y->op == 'f';
    if (x->name == y->name || (loose_a && (loose_b || y->name == 'y' || !x->name)) ||
        (loose_b && (x->name == 'y' || !y->name)))
        return part_compare(m, va, vb);
    if (compare_relations(m, a, b) == ANSWER_CORRECT)
        return part_correct(m);
    enum answer_verdict v = part_compare(m, va, vb);
    return v == ANSWER_WRONG ? v : part_unknown(m, "other variables");
}

/* Given "a + b = 12" may answer a question whose gold answer is 12 (but not the reverse: a gold
 * answer "x + y = 12" is a line, which 12 is not): what stands before "=" has no value of its own
 * to solve for when it is a number or holds several variables. "2x = 6" is not solved. */
static enum answer_verdict compare_solved(struct matcher *m, struct part equation,
                                          struct part other)
{
    uint32_t names[16];
    struct part left = part_child(equation, 0), right = left;
    for (int i = 1; part_child(equation, i).node; i++)
        right = part_child(equation, i);
    bool named = part_kind(left) == EXPR_CALL || part_kind(left) == EXPR_LOG_BASE; /* |z| = 2 */
    if ((part_variables(left, names) == 1 && !named) || part_variables(right, names) != 0)
        return part_unknown(m, "an equation against a value");
    return part_compare(m, right, other);
}

static bool are_points(struct part p)
{
    if (part_kind(p) == EXPR_VARIABLE)
        return part_node(p)->name >= 'A' && part_node(p)->name <= 'Z';
    for (int i = 0; i < part_n_children(p); i++)
        if (!are_points(part_child(p, i)))
            return false;
    return part_kind(p) == EXPR_MULTIPLY;
}

/* "|AB| = 3" and "S_1 : S_2 = 3 : 4" name a length and a ratio, and no set of values. */
static bool is_named_measure(struct part p)
{
    struct part left = part_child(p, 0);
    if (!is_equation(p) || part_n_children(p) != 2)
        return false;
    if (part_kind(left) == EXPR_RATIO)
        return true;
    return part_kind(left) == EXPR_CALL && part_node(left)->op == EXPR_ABSOLUTE &&
           are_points(part_child(left, 0));
}

/* ---- by kind ---- */

static bool is_solved_kind(struct part p)
{
    return part_kind(p) != EXPR_RELATION && part_kind(p) != EXPR_ASSIGNMENT;
}

static enum answer_verdict compare_equations(struct matcher *m, struct part a, struct part b)
{
    if (part_kind(a) == EXPR_ASSIGNMENT && part_kind(b) == EXPR_ASSIGNMENT)
        return compare_assignments(m, a, b);
    if (part_kind(a) == EXPR_ASSIGNMENT && is_solved_kind(b))
        return part_compare(m, part_child(a, 0), b);
    if (part_kind(b) == EXPR_ASSIGNMENT && is_solved_kind(a))
        return part_compare(m, a, part_child(b, 0));
    if (is_equation(a) && is_solved_kind(b))
        return compare_solved(m, a, b);
    if (is_named_measure(b) && is_solved_kind(a))
        return part_compare(m, a, part_child(b, 1));
    return compare_relations(m, a, b);
}

static enum answer_verdict compare_structures(struct matcher *m, struct part a, struct part b)
{
    if (part_is_tuple(a) && part_is_tuple(b))
        return part_tuples(m, a, b);
    if (part_kind(a) == EXPR_MATRIX && part_kind(b) == EXPR_MATRIX)
        return part_matrices(m, a, b);
    if (holds_structure(m, a) && holds_structure(m, b))
        return part_unknown(m, "another kind of answer");
    return part_wrong(m, "another kind of answer");
}

/* x > 3 and y > 3; in {x | x > 3} any name would do. */
static bool other_names(struct part a, struct part b)
{
    uint32_t names_a[16], names_b[16];
    return !either(a, b, EXPR_SUCH_THAT) && part_variables(a, names_a) == 1 &&
           part_variables(b, names_b) == 1 && names_a[0] != names_b[0];
}

static enum answer_verdict compare_kinds(struct matcher *m, struct part a, struct part b)
{
    if (part_kind(a) == EXPR_ASSIGNMENT && part_is_structure(b)) /* S = {1, 2} */
        return part_compare(m, part_child(a, 0), b);
    if (part_kind(b) == EXPR_ASSIGNMENT && part_is_structure(a))
        return part_compare(m, a, part_child(b, 0));
    if (part_is_region(a) || part_is_region(b)) {
        bool readable;
        enum answer_verdict v = part_regions(m, a, b, &readable);
        if (readable)
            return v == ANSWER_CORRECT && other_names(a, b) ? part_unknown(m, "other variables")
                                                            : v;
        if (either(a, b, EXPR_SUCH_THAT) || either(a, b, EXPR_WITHOUT))
            return part_unknown(m, "a set that is not read");
        if (is_solved_kind(a) && is_solved_kind(b) && !part_is_set(a) && !part_is_set(b))
            return part_unknown(m, "a set against another kind of answer");
    }
    struct part less_a = part_restricted(a), less_b = part_restricted(b);
    if ((less_a.node != 0) != (less_b.node != 0))
        return part_compare(m, less_a.node ? less_a : a, less_b.node ? less_b : b);
    if ((part_is_set(a) && part_is_tuple(b)) || (part_is_set(b) && part_is_tuple(a)))
        return part_is_set(a) ? part_list_to_tuple(m, a, b) : part_list_to_tuple(m, b, a);
    if (part_is_set(a) || part_is_set(b))
        return part_lists(m, a, b);
    if (!is_solved_kind(a) || !is_solved_kind(b))
        return compare_equations(m, a, b);
    if (either(a, b, EXPR_CHOICE) || part_is_capital(a) || part_is_capital(b))
        return compare_choices(m, a, b);
    struct stripped x = strip(a), y = strip(b);
    if (x.part.node != a.node || y.part.node != b.node)
        return compare_stripped(m, &x, &y);
    if (either(a, b, EXPR_IN_BASE))
        return compare_bases(m, a, b);
    if (either(a, b, EXPR_RATIO))
        return compare_ratios(m, a, b);
    if (part_is_structure(a) || part_is_structure(b))
        return compare_structures(m, a, b);
    return part_values(m, a, b);
}

enum answer_verdict part_compare(struct matcher *m, struct part a, struct part b)
{
    if (--m->steps < 0)
        return part_unknown(m, "too complex");
    enum answer_verdict v = compare_kinds(m, a, b);
    return m->steps < 0 ? part_unknown(m, "too complex") : v;
}

/* With \pm within. (\pm 5, 0) are the tuples (5, 0) and (-5, 0). */
static enum answer_verdict compare_signed(struct matcher *m, struct part a, struct part b)
{
    if (part_is_region(a) || part_is_region(b)) {
        bool readable;
        enum answer_verdict v = part_regions(m, a, b, &readable);
        if (!readable)
            return part_unknown(m, "signs within a set");
        return v == ANSWER_CORRECT && other_names(a, b) ? part_unknown(m, "other variables") : v;
    }
    bool tuples_a = part_is_tuple(a) || (part_is_set(a) && part_is_tuple(part_child(a, 0)));
    bool tuples_b = part_is_tuple(b) || (part_is_set(b) && part_is_tuple(part_child(b, 0)));
    return tuples_a != tuples_b ? part_unknown(m, "signs within a tuple") : part_lists(m, a, b);
}

static bool is_told(char domain)
{
    return domain && domain != '?';
}

/* k \in \mathbb{Z} and k \in \mathbb{R}. One side may say nothing, unless the values of k are the
 * answer: then it means the real numbers. */
static bool other_domains(char a, char b, bool regions)
{
    if (is_told(a) && is_told(b))
        return a != b;
    return regions && ((is_told(a) && a != 'R') || (is_told(b) && b != 'R'));
}

enum answer_verdict answer_trees(const struct expr_tree *given, const struct expr_tree *gold,
                                 const char **why)
{
    struct matcher m = {.steps = ANSWER_STEPS, .why = ""};
    struct part a = {given, given->root, 0}, b = {gold, gold->root, 0};
    enum answer_verdict v;
    if (part_identical(&m, a, b))
        v = part_correct(&m);
    else if (part_signs(a) || part_signs(b))
        v = compare_signed(&m, a, b);
    else
        v = part_compare(&m, a, b);
    bool identical = part_identical(&m, a, b);
    if (m.steps < 0)
        v = part_unknown(&m, "too complex");
    else if (!identical && (given->ambiguous || gold->ambiguous))
        v = part_unknown(&m, "written so that it can be read in two ways");
    else if (v == ANSWER_CORRECT &&
             other_domains(given->domain, gold->domain, part_is_region(a) || part_is_region(b)))
        v = part_unknown(&m, "variables of another kind");
    *why = m.why;
    return v;
}
