/* Lists, sets, tuples and matrices, element by element. */
#include "dataset/answer_tree.h"

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
    if (!part_is_set(p))
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
        return part_wrong(m, "another number of elements");
    for (int i = 0; i < a->n; i++) {
        enum answer_verdict v = part_compare(m, a->part[i], b->part[i]);
        if (v == ANSWER_WRONG)
            return part_wrong(m, "an element differs");
        if (v == ANSWER_UNKNOWN) {
            all = v;
            doubt = m->why;
        }
    }
    return all == ANSWER_CORRECT ? part_correct(m) : part_unknown(m, doubt);
}

static bool in_braces(struct part p)
{
    return part_kind(p) == EXPR_SEQUENCE && part_node(p)->open == '{';
}

/* One of a set with one of another. Here a set is not its one element: {{1}, 2} is not {1, 2}. */
static enum answer_verdict compare_elements(struct matcher *m, struct part a, struct part b)
{
    if (in_braces(a) != in_braces(b) && part_kind(a) != EXPR_ASSIGNMENT &&
        part_kind(b) != EXPR_ASSIGNMENT)
        return part_unknown(m, "a set against its element");
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
                return part_wrong(m, "an element is missing or too many");
            doubt = true;
        }
    }
    if (doubt)
        return part_unknown(m, "elements that cannot be told apart");
    if (!braces && (a->n != b->n || !repeat_alike(m, a, b)))
        return part_unknown(m, "elements repeat");
    return part_correct(m);
}

/* Letters of a choice, which may also be written in one word: ABD. */
static bool are_letters(const struct items *all)
{
    for (int i = 0; i < all->n; i++)
        if (!part_is_capital(all->part[i]))
            return false;
    return all->n > 1;
}

/* ACD against A, C, D: the letters of the word are the items. */
static void spell(struct items *word, const struct items *letters)
{
    struct part p = word->part[0];
    if (word->n != 1 || part_kind(p) != EXPR_MULTIPLY || !are_letters(letters))
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
        if (part_kind(all->part[i]) == EXPR_IN_UNIT)
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

struct part part_restricted(struct part p)
{
    struct part value = part_child(p, 0), condition = part_child(p, 1);
    bool pair = part_kind(p) == EXPR_SEQUENCE && !part_node(p)->open && part_n_children(p) == 2;
    if (!pair || part_kind(condition) != EXPR_RELATION || part_n_children(condition) != 2 ||
        part_node(part_child(condition, 1))->relation != 'n')
        return part_at(p, 0);
    struct part x = part_child(condition, 0);
    bool expression = part_kind(value) != EXPR_RELATION && part_kind(x) == EXPR_VARIABLE &&
                      has_variable(value, part_node(x)->name);
    return expression ? value : part_at(p, 0);
}

enum answer_verdict part_lists(struct matcher *m, struct part a, struct part b)
{
    struct items x = {.n = 0}, y = {.n = 0};
    bool rising_a, rising_b;
    if (!flatten(a, &x) || !flatten(b, &y))
        return part_unknown(m, "too many elements");
    bool named_a = are_named(&x, &rising_a), named_b = are_named(&y, &rising_b);
    if (named_a != named_b) /* x = 1, y = 2 against 1, 2 */
        return (named_a ? rising_a : rising_b) && ordered(m, &x, &y) == ANSWER_CORRECT
                   ? part_correct(m)
                   : part_unknown(m, "values without names");
    if (x.n != y.n && (has_units(&x) || has_units(&y))) /* 5 apples and 3 pears */
        return part_unknown(m, "another number of quantities");
    spell(&x, &y);
    if ((x.n == 1 && are_letters(&y)) || (y.n == 1 && are_letters(&x)))
        return part_is_capital(x.part[0]) && part_is_capital(y.part[0])
                   ? part_wrong(m, "another number of letters")
                   : part_unknown(m, "letters against another kind of answer");
    if (part_is_set(a) != part_is_set(b) && part_is_structure(part_is_set(a) ? b : a) &&
        !part_signs(part_is_set(a) ? b : a)) /* the set that holds a set is not that set */
        return part_unknown(m, "a set against its element");
    bool braces = part_node(a)->open == '{' && part_node(b)->open == '{';
    bool forms = part_node(x.n > y.n ? a : b)->op == 'o'; /* "x + 1 or 1 + x" */
    return unordered(m, &x, &y, braces || forms);
}

/* A list or set against a tuple: only x = 1, y = 2 is known to be (1, 2). */
enum answer_verdict part_list_to_tuple(struct matcher *m, struct part list, struct part tuple)
{
    struct items x = {.n = 0}, y = {.n = 0};
    bool rising;
    if (!flatten(list, &x))
        return part_unknown(m, "too many elements");
    for (uint16_t c = part_node(tuple)->first; c && y.n < PART_MAX_ITEMS;
         c = tuple.t->nodes[c].next)
        y.part[y.n++] = part_at(tuple, c);
    if (are_named(&x, &rising) && rising && part_node(tuple)->open == '(' &&
        part_node(tuple)->close == ')')
        return ordered(m, &x, &y);
    if (unordered(m, &x, &y, false) == ANSWER_WRONG)
        return part_wrong(m, "other elements");
    return part_unknown(m, "an order or brackets are missing");
}

enum answer_verdict part_children(struct matcher *m, struct part a, struct part b)
{
    uint16_t i = part_node(a)->first, k = part_node(b)->first;
    bool doubt = false;
    for (; i && k; i = a.t->nodes[i].next, k = b.t->nodes[k].next) {
        enum answer_verdict v = part_compare(m, part_at(a, i), part_at(b, k));
        if (v == ANSWER_WRONG)
            return part_wrong(m, "an element differs");
        doubt = doubt || v == ANSWER_UNKNOWN;
    }
    if (i || k)
        return part_wrong(m, "another number of elements");
    return doubt ? part_unknown(m, "elements that cannot be told apart") : part_correct(m);
}

enum answer_verdict part_tuples(struct matcher *m, struct part a, struct part b)
{
    const struct expr_node *x = part_node(a), *y = part_node(b);
    enum answer_verdict v = part_children(m, a, b);
    if (v == ANSWER_CORRECT && (x->open != y->open || x->close != y->close))
        return part_wrong(m, "an end is open in one and closed in the other");
    return v;
}

enum answer_verdict part_matrices(struct matcher *m, struct part a, struct part b)
{
    if (part_node(a)->name != part_node(b)->name)
        return part_wrong(m, "another shape");
    return part_children(m, a, b);
}
