#include "dataset/answer_tree.h"
#include "dataset/answer_value.h"

#include <string.h>

static enum answer_verdict unknown(struct matcher *m, const char *why)
{
    m->why = why;
    return ANSWER_UNKNOWN;
}

static enum answer_verdict wrong(struct matcher *m, const char *why)
{
    m->why = why;
    return ANSWER_WRONG;
}

static enum answer_verdict correct(struct matcher *m)
{
    m->why = "equal";
    return ANSWER_CORRECT;
}

static int kind_of(struct part p)
{
    return part_node(p)->kind;
}

static bool is_set(struct part p)
{
    return kind_of(p) == EXPR_SEQUENCE && (part_node(p)->open == '{' || !part_node(p)->open);
}

static bool is_tuple(struct part p)
{
    return kind_of(p) == EXPR_SEQUENCE && !is_set(p);
}

static bool is_capital(struct part p)
{
    uint32_t name = part_node(p)->name;
    return kind_of(p) == EXPR_VARIABLE && name >= 'A' && name <= 'J';
}

/* Values that no expression can equal. */
static bool is_structure(struct part p)
{
    int kind = kind_of(p);
    return kind == EXPR_SEQUENCE || kind == EXPR_JOIN || kind == EXPR_MATRIX ||
           kind == EXPR_WITHOUT || kind == EXPR_SUCH_THAT ||
           (kind == EXPR_CONSTANT && part_node(p)->op >= EXPR_REALS);
}

/* Is there a matrix, set or tuple within what is none itself: A + B, 2(1, 3)? */
static bool holds_structure(struct matcher *m, struct part p)
{
    if (--m->steps < 0 || is_structure(p))
        return true;
    for (uint16_t c = part_node(p)->first; c; c = p.t->nodes[c].next)
        if (holds_structure(m, part_at(p, c)))
            return true;
    return false;
}

/* ---- lists and sets ---- */

struct items {
    struct part part[PART_MAX_ITEMS];
    int n;
};

/* One item for each choice of the signs in p. */
static bool add_signs(struct items *all, struct part p)
{
    unsigned mask = part_signs(p);
    for (unsigned s = 0; s <= mask; s++) {
        if (s & ~mask)
            continue;
        if (all->n == PART_MAX_ITEMS)
            return false;
        all->part[all->n++] = (struct part){p.t, p.node, s};
    }
    return true;
}

static bool flatten(struct part p, struct items *all)
{
    if (!is_set(p))
        return add_signs(all, p);
    for (uint16_t c = part_node(p)->first; c; c = p.t->nodes[c].next)
        if (!add_signs(all, part_at(p, c)))
            return false;
    return true;
}

/* Do the items name different variables: x = 1, y = 2? *rising: in the order of the alphabet. */
static bool are_named(const struct items *all, bool *rising)
{
    int n_numbered = 0; /* x_1 = 1, x_2 = 2 are the values of one variable */
    *rising = true;
    for (int i = 0; i < all->n; i++) {
        const struct expr_node *n = part_node(all->part[i]);
        if (n->kind != EXPR_ASSIGNMENT || !n->name)
            return false;
        for (int k = 0; k < i; k++)
            if (part_node(all->part[k])->name == n->name)
                return false;
        if (n->open && n->open == part_node(all->part[0])->open)
            n_numbered++;
        if (n->op != 'v' || n->name > 'z' || (i && part_node(all->part[i - 1])->name > n->name))
            *rising = false;
    }
    return all->n > 1 && n_numbered < all->n;
}

/* Items in order. */
static enum answer_verdict ordered(struct matcher *m, const struct items *a, const struct items *b)
{
    enum answer_verdict all = ANSWER_CORRECT;
    const char *doubt = "";
    if (a->n != b->n)
        return wrong(m, "another number of elements");
    for (int i = 0; i < a->n; i++) {
        enum answer_verdict v = part_compare(m, a->part[i], b->part[i]);
        if (v == ANSWER_WRONG)
            return wrong(m, "an element differs");
        if (v == ANSWER_UNKNOWN) {
            all = v;
            doubt = m->why;
        }
    }
    return all == ANSWER_CORRECT ? correct(m) : unknown(m, doubt);
}

static bool in_braces(struct part p)
{
    return kind_of(p) == EXPR_SEQUENCE && part_node(p)->open == '{';
}

/* One of a set with one of another. Here a set is not its one element: {{1}, 2} is not {1, 2}. */
static enum answer_verdict compare_elements(struct matcher *m, struct part a, struct part b)
{
    if (in_braces(a) != in_braces(b) && kind_of(a) != EXPR_ASSIGNMENT &&
        kind_of(b) != EXPR_ASSIGNMENT)
        return unknown(m, "a set against its element");
    return part_compare(m, a, b);
}

/* Can each element of a have one of b to itself? Both have as many, and each is in the other. */
static bool repeat_alike(struct matcher *m, const struct items *a, const struct items *b)
{
    bool taken[PART_MAX_ITEMS] = {false};
    for (int i = 0; i < a->n; i++) {
        int k = 0;
        while (k < b->n &&
               (taken[k] || compare_elements(m, a->part[i], b->part[k]) != ANSWER_CORRECT))
            k++;
        if (k == b->n)
            return false;
        taken[k] = true;
    }
    return true;
}

/* As sets: each in the other. Elements that repeat count once in {}; elsewhere, as in roots with
 * their multiplicity, nothing is claimed. */
static enum answer_verdict unordered(struct matcher *m, const struct items *a,
                                     const struct items *b, bool braces)
{
    bool doubt = false;
    for (int side = 0; side < 2; side++) {
        const struct items *from = side ? b : a, *to = side ? a : b;
        for (int i = 0; i < from->n; i++) {
            enum answer_verdict v = ANSWER_WRONG;
            bool unsure = false;
            for (int k = 0; k < to->n && v != ANSWER_CORRECT; k++) {
                v = side ? compare_elements(m, to->part[k], from->part[i])
                         : compare_elements(m, from->part[i], to->part[k]);
                unsure = unsure || v == ANSWER_UNKNOWN;
            }
            if (v == ANSWER_CORRECT)
                continue;
            if (!unsure)
                return wrong(m, "an element is missing or too many");
            doubt = true;
        }
    }
    if (doubt)
        return unknown(m, "elements that cannot be told apart");
    if (!braces && (a->n != b->n || !repeat_alike(m, a, b)))
        return unknown(m, "elements repeat");
    return correct(m);
}

/* Letters of a choice, which may also be written in one word: ABD. */
static bool are_letters(const struct items *all)
{
    for (int i = 0; i < all->n; i++)
        if (!is_capital(all->part[i]))
            return false;
    return all->n > 1;
}

/* ACD against A, C, D: the letters of the word are the items. */
static void spell(struct items *word, const struct items *letters)
{
    struct part p = word->part[0];
    if (word->n != 1 || kind_of(p) != EXPR_MULTIPLY || !are_letters(letters))
        return;
    struct items all = {.n = 0};
    for (uint16_t c = part_node(p)->first; c && all.n < PART_MAX_ITEMS; c = p.t->nodes[c].next)
        all.part[all.n++] = part_at(p, c);
    if (are_letters(&all))
        *word = all;
}

static bool has_units(const struct items *all)
{
    for (int i = 0; i < all->n; i++)
        if (kind_of(all->part[i]) == EXPR_IN_UNIT)
            return true;
    return false;
}

static bool has_variable(struct part p, uint32_t name)
{
    uint32_t names[16];
    int n = part_variables(p, names);
    for (int i = 0; i < n; i++)
        if (names[i] == name)
            return true;
    return false;
}

/* "(x + 1)/(x - 2), x \ne 2": the expression, without the values that its variable does not take.
 * Node 0: p is something else. */
static struct part restricted(struct part p)
{
    struct part value = part_child(p, 0), condition = part_child(p, 1);
    bool pair = kind_of(p) == EXPR_SEQUENCE && !part_node(p)->open && part_n_children(p) == 2;
    if (!pair || kind_of(condition) != EXPR_RELATION || part_n_children(condition) != 2 ||
        part_node(part_child(condition, 1))->relation != 'n')
        return part_at(p, 0);
    struct part x = part_child(condition, 0);
    bool expression = kind_of(value) != EXPR_RELATION && kind_of(x) == EXPR_VARIABLE &&
                      has_variable(value, part_node(x)->name);
    return expression ? value : part_at(p, 0);
}

static enum answer_verdict compare_lists(struct matcher *m, struct part a, struct part b)
{
    struct items x = {.n = 0}, y = {.n = 0};
    bool rising_a, rising_b;
    if (!flatten(a, &x) || !flatten(b, &y))
        return unknown(m, "too many elements");
    bool named_a = are_named(&x, &rising_a), named_b = are_named(&y, &rising_b);
    if (named_a != named_b) /* x = 1, y = 2 against 1, 2 */
        return (named_a ? rising_a : rising_b) && ordered(m, &x, &y) == ANSWER_CORRECT
                   ? correct(m)
                   : unknown(m, "values without names");
    if (x.n != y.n && (has_units(&x) || has_units(&y))) /* 5 apples and 3 pears */
        return unknown(m, "another number of quantities");
    spell(&x, &y);
    if ((x.n == 1 && are_letters(&y)) || (y.n == 1 && are_letters(&x)))
        return is_capital(x.part[0]) && is_capital(y.part[0])
                   ? wrong(m, "another number of letters")
                   : unknown(m, "letters against another kind of answer");
    if (is_set(a) != is_set(b) && is_structure(is_set(a) ? b : a) &&
        !part_signs(is_set(a) ? b : a)) /* the set that holds a set is not that set */
        return unknown(m, "a set against its element");
    bool braces = part_node(a)->open == '{' && part_node(b)->open == '{';
    bool forms = part_node(x.n > y.n ? a : b)->op == 'o'; /* "x + 1 or 1 + x" */
    return unordered(m, &x, &y, braces || forms);
}

/* A list or set against a tuple: only x = 1, y = 2 is known to be (1, 2). */
static enum answer_verdict compare_list_to_tuple(struct matcher *m, struct part list,
                                                 struct part tuple)
{
    struct items x = {.n = 0}, y = {.n = 0};
    bool rising;
    if (!flatten(list, &x))
        return unknown(m, "too many elements");
    for (uint16_t c = part_node(tuple)->first; c && y.n < PART_MAX_ITEMS;
         c = tuple.t->nodes[c].next)
        y.part[y.n++] = part_at(tuple, c);
    if (are_named(&x, &rising) && rising && part_node(tuple)->open == '(' &&
        part_node(tuple)->close == ')')
        return ordered(m, &x, &y);
    if (unordered(m, &x, &y, false) == ANSWER_WRONG)
        return wrong(m, "other elements");
    return unknown(m, "an order or brackets are missing");
}

static enum answer_verdict compare_children(struct matcher *m, struct part a, struct part b)
{
    uint16_t i = part_node(a)->first, k = part_node(b)->first;
    bool doubt = false;
    for (; i && k; i = a.t->nodes[i].next, k = b.t->nodes[k].next) {
        enum answer_verdict v = part_compare(m, part_at(a, i), part_at(b, k));
        if (v == ANSWER_WRONG)
            return wrong(m, "an element differs");
        doubt = doubt || v == ANSWER_UNKNOWN;
    }
    if (i || k)
        return wrong(m, "another number of elements");
    return doubt ? unknown(m, "elements that cannot be told apart") : correct(m);
}

static enum answer_verdict compare_tuples(struct matcher *m, struct part a, struct part b)
{
    const struct expr_node *x = part_node(a), *y = part_node(b);
    enum answer_verdict v = compare_children(m, a, b);
    if (v == ANSWER_CORRECT && (x->open != y->open || x->close != y->close))
        return wrong(m, "an end is open in one and closed in the other");
    return v;
}

static enum answer_verdict compare_matrices(struct matcher *m, struct part a, struct part b)
{
    if (part_node(a)->name != part_node(b)->name)
        return wrong(m, "another shape");
    return compare_children(m, a, b);
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
        return unknown(m, "a percentage against a number");
    if (ratio_make(x.num, x.den, &share) && x.den < ((__int128)1 << 100) &&
        ratio_make(x.num, x.den * 100, &share) && share.num == y.num && share.den == y.den)
        return correct(m);
    if (x.num == y.num && x.den == y.den)
        return x.num > x.den || -x.num > x.den ? correct(m)
                                               : unknown(m, "a percentage against a number");
    return wrong(m, "another value");
}

/* Is it a residue, 3 \pmod{7}, which others of its class equal? */
static bool is_residue(const struct stripped *s)
{
    return s->unit && memmem(s->unit, s->n_unit, "mod", 3);
}

/* "1:03 PM", which is no ratio? */
static bool is_clock(const struct stripped *s)
{
    return s->unit && kind_of(s->part) == EXPR_RATIO &&
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
        return unknown(m, "a percentage against a quantity");
    if ((is_clock(a) || is_clock(b)) && kind_of(a->part) != kind_of(b->part))
        return unknown(m, "a time against a number");
    if (a->percent != b->percent)
        return a->percent ? compare_percent(m, a->part, b->part)
                          : compare_percent(m, b->part, a->part);
    enum answer_verdict v = part_compare(m, a->part, b->part);
    if (v == ANSWER_WRONG && a->degrees != b->degrees &&
        same_angle(m, a->degrees ? a->part : b->part, a->degrees ? b->part : a->part))
        return unknown(m, "degrees against radians");
    if (v == ANSWER_WRONG && (is_residue(a) || is_residue(b)))
        return unknown(m, "residues");
    bool unit_a = a->unit || a->degrees, unit_b = b->unit || b->degrees;
    if (v == ANSWER_CORRECT && unit_a && unit_b &&
        (a->degrees != b->degrees || (a->unit && b->unit && !same_units(a, b))))
        return unknown(m, "the units differ");
    return v;
}

static enum answer_verdict compare_bases(struct matcher *m, struct part a, struct part b)
{
    bool in_a = kind_of(a) == EXPR_IN_BASE, in_b = kind_of(b) == EXPR_IN_BASE;
    struct expr_ratio x, y;
    if (!part_exact(m, in_a ? part_child(a, 0) : a, &x) ||
        !part_exact(m, in_b ? part_child(b, 0) : b, &y))
        return unknown(m, "a number in a base");
    if (!in_a || !in_b)
        return unknown(m, "a number with a base against one without");
    if (part_node(a)->op != part_node(b)->op)
        return unknown(m, "another base");
    return x.num == y.num ? correct(m) : wrong(m, "another value");
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
    if (kind_of(a) == kind_of(b)) {
        enum answer_verdict v = compare_children(m, a, b);
        bool known = v == ANSWER_WRONG && ratio_value(m, a, &x) && ratio_value(m, b, &y);
        if (known && x.num == y.num && x.den == y.den)
            return unknown(m, "the ratio in other terms");
        return v;
    }
    struct part ratio = kind_of(a) == EXPR_RATIO ? a : b, other = kind_of(a) == EXPR_RATIO ? b : a;
    if (!ratio_value(m, ratio, &x) || !part_exact(m, other, &y))
        return unknown(m, "a ratio against another kind of answer");
    bool same = x.num == y.num && x.den == y.den;
    bool lowest = part_exact(m, part_child(ratio, 1), &y) && y.num == x.den;
    if (!same)
        return unknown(m, "a ratio against a number");
    return lowest ? correct(m) : unknown(m, "the ratio in other terms");
}

/* "(B) 12" against B, against 12, against "(B) 13". A letter against a value says nothing. */
static enum answer_verdict compare_choices(struct matcher *m, struct part a, struct part b)
{
    uint32_t letter_a = part_node(a)->name, letter_b = part_node(b)->name;
    bool choice_a = kind_of(a) == EXPR_CHOICE, choice_b = kind_of(b) == EXPR_CHOICE;
    if ((choice_a || is_capital(a)) && (choice_b || is_capital(b))) {
        struct part x = part_child(a, 0), y = part_child(b, 0);
        if (letter_a != letter_b)
            return wrong(m, "another letter");
        return x.node && y.node && part_compare(m, x, y) == ANSWER_WRONG
                   ? unknown(m, "another value beside the letter")
                   : correct(m);
    }
    struct part value = part_child(choice_a ? a : b, 0);
    if ((choice_a || choice_b) && value.node &&
        part_compare(m, choice_a ? value : a, choice_b ? value : b) == ANSWER_CORRECT)
        return correct(m);
    return unknown(m, "a letter against a value");
}

/* ---- equations and inequalities ---- */

static bool either(struct part a, struct part b, int kind)
{
    return kind_of(a) == kind || kind_of(b) == kind;
}

static bool is_equation(struct part p)
{
    if (kind_of(p) != EXPR_RELATION)
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
        return correct(m);
    return unknown(m, "relations that cannot be compared");
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
        return correct(m);
    enum answer_verdict v = part_compare(m, va, vb);
    return v == ANSWER_WRONG ? v : unknown(m, "other variables");
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
    bool named = kind_of(left) == EXPR_CALL || kind_of(left) == EXPR_LOG_BASE; /* |z| = 2 */
    if ((part_variables(left, names) == 1 && !named) || part_variables(right, names) != 0)
        return unknown(m, "an equation against a value");
    return part_compare(m, right, other);
}

static bool are_points(struct part p)
{
    if (kind_of(p) == EXPR_VARIABLE)
        return part_node(p)->name >= 'A' && part_node(p)->name <= 'Z';
    for (int i = 0; i < part_n_children(p); i++)
        if (!are_points(part_child(p, i)))
            return false;
    return kind_of(p) == EXPR_MULTIPLY;
}

/* "|AB| = 3" and "S_1 : S_2 = 3 : 4" name a length and a ratio, and no set of values. */
static bool is_named_measure(struct part p)
{
    struct part left = part_child(p, 0);
    if (!is_equation(p) || part_n_children(p) != 2)
        return false;
    if (kind_of(left) == EXPR_RATIO)
        return true;
    return kind_of(left) == EXPR_CALL && part_node(left)->op == EXPR_ABSOLUTE &&
           are_points(part_child(left, 0));
}

/* ---- by kind ---- */

static bool is_solved_kind(struct part p)
{
    return kind_of(p) != EXPR_RELATION && kind_of(p) != EXPR_ASSIGNMENT;
}

static enum answer_verdict compare_equations(struct matcher *m, struct part a, struct part b)
{
    if (kind_of(a) == EXPR_ASSIGNMENT && kind_of(b) == EXPR_ASSIGNMENT)
        return compare_assignments(m, a, b);
    if (kind_of(a) == EXPR_ASSIGNMENT && is_solved_kind(b))
        return part_compare(m, part_child(a, 0), b);
    if (kind_of(b) == EXPR_ASSIGNMENT && is_solved_kind(a))
        return part_compare(m, a, part_child(b, 0));
    if (is_equation(a) && is_solved_kind(b))
        return compare_solved(m, a, b);
    if (is_named_measure(b) && is_solved_kind(a))
        return part_compare(m, a, part_child(b, 1));
    return compare_relations(m, a, b);
}

static enum answer_verdict compare_structures(struct matcher *m, struct part a, struct part b)
{
    if (is_tuple(a) && is_tuple(b))
        return compare_tuples(m, a, b);
    if (kind_of(a) == EXPR_MATRIX && kind_of(b) == EXPR_MATRIX)
        return compare_matrices(m, a, b);
    if (holds_structure(m, a) && holds_structure(m, b))
        return unknown(m, "another kind of answer");
    return wrong(m, "another kind of answer");
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
    if (kind_of(a) == EXPR_ASSIGNMENT && is_structure(b)) /* S = {1, 2} */
        return part_compare(m, part_child(a, 0), b);
    if (kind_of(b) == EXPR_ASSIGNMENT && is_structure(a))
        return part_compare(m, a, part_child(b, 0));
    if (part_is_region(a) || part_is_region(b)) {
        bool readable;
        enum answer_verdict v = part_regions(m, a, b, &readable);
        if (readable)
            return v == ANSWER_CORRECT && other_names(a, b) ? unknown(m, "other variables") : v;
        if (either(a, b, EXPR_SUCH_THAT) || either(a, b, EXPR_WITHOUT))
            return unknown(m, "a set that is not read");
        if (is_solved_kind(a) && is_solved_kind(b) && !is_set(a) && !is_set(b))
            return unknown(m, "a set against another kind of answer");
    }
    struct part less_a = restricted(a), less_b = restricted(b);
    if ((less_a.node != 0) != (less_b.node != 0))
        return part_compare(m, less_a.node ? less_a : a, less_b.node ? less_b : b);
    if ((is_set(a) && is_tuple(b)) || (is_set(b) && is_tuple(a)))
        return is_set(a) ? compare_list_to_tuple(m, a, b) : compare_list_to_tuple(m, b, a);
    if (is_set(a) || is_set(b))
        return compare_lists(m, a, b);
    if (!is_solved_kind(a) || !is_solved_kind(b))
        return compare_equations(m, a, b);
    if (either(a, b, EXPR_CHOICE) || is_capital(a) || is_capital(b))
        return compare_choices(m, a, b);
    struct stripped x = strip(a), y = strip(b);
    if (x.part.node != a.node || y.part.node != b.node)
        return compare_stripped(m, &x, &y);
    if (either(a, b, EXPR_IN_BASE))
        return compare_bases(m, a, b);
    if (either(a, b, EXPR_RATIO))
        return compare_ratios(m, a, b);
    if (is_structure(a) || is_structure(b))
        return compare_structures(m, a, b);
    return part_values(m, a, b);
}

enum answer_verdict part_compare(struct matcher *m, struct part a, struct part b)
{
    if (--m->steps < 0)
        return unknown(m, "too complex");
    enum answer_verdict v = compare_kinds(m, a, b);
    return m->steps < 0 ? unknown(m, "too complex") : v;
}

/* With \pm within. (\pm 5, 0) are the tuples (5, 0) and (-5, 0). */
static enum answer_verdict compare_signed(struct matcher *m, struct part a, struct part b)
{
    if (part_is_region(a) || part_is_region(b)) {
        bool readable;
        enum answer_verdict v = part_regions(m, a, b, &readable);
        if (!readable)
            return unknown(m, "signs within a set");
        return v == ANSWER_CORRECT && other_names(a, b) ? unknown(m, "other variables") : v;
    }
    bool tuples_a = is_tuple(a) || (is_set(a) && is_tuple(part_child(a, 0)));
    bool tuples_b = is_tuple(b) || (is_set(b) && is_tuple(part_child(b, 0)));
    return tuples_a != tuples_b ? unknown(m, "signs within a tuple") : compare_lists(m, a, b);
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
        v = correct(&m);
    else if (part_signs(a) || part_signs(b))
        v = compare_signed(&m, a, b);
    else
        v = part_compare(&m, a, b);
    bool identical = part_identical(&m, a, b);
    if (m.steps < 0)
        v = unknown(&m, "too complex");
    else if (!identical && (given->ambiguous || gold->ambiguous))
        v = unknown(&m, "written so that it can be read in two ways");
    else if (v == ANSWER_CORRECT &&
             other_domains(given->domain, gold->domain, part_is_region(a) || part_is_region(b)))
        v = unknown(&m, "variables of another kind");
    *why = m.why;
    return v;
}
