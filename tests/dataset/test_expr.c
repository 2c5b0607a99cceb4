/* Mathematical notation: what is read, what it is worth, what is refused. */
#include "dataset/expr_words.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static bool parse(const char *s, struct expr_tree *t)
{
    return expr_parse(s, strlen(s), t);
}

static void test_exact_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        long long num, den;
    } cases[] = {
        {"3", 3, 1},
        {"-3", -3, 1},
        {"1,234,567", 1234567, 1},
        {"1{,}234", 1234, 1},
        {"1\\,234", 1234, 1},
        {"0.125", 1, 8},
        {".5", 1, 2},
        {"0.\\overline{3}", 1, 3},
        {"0.1\\overline{6}", 1, 6},
        {"1.\\overline{27}", 14, 11},
        {"\\frac{3}{4}", 3, 4},
        {"\\frac34", 3, 4},
        {"\\frac 3{4}", 3, 4},
        {"\\dfrac{-3}{4}", -3, 4},
        {"3/4", 3, 4},
        {"2\\frac{1}{2}", 5, 2},
        {"-2\\frac12", -5, 2},
        {"2 1/2", 5, 2},
        {"2^{10}", 1024, 1},
        {"2^10", 1024, 1},
        {"2**10", 1024, 1},
        {"2^{-3}", 1, 8},
        {"(-2)^3", -8, 1},
        {"-2^2", -4, 1},
        {"2^{2^3}", 256, 1},
        {"\\sqrt{16}", 4, 1},
        {"\\sqrt{\\frac{9}{4}}", 3, 2},
        {"\\sqrt[3]{-8}", -2, 1},
        {"5!", 120, 1},
        {"\\frac{11!}{2!2!}", 9979200, 1},
        {"\\binom{10}{3}", 120, 1},
        {"|-5|", 5, 1},
        {"\\lfloor -2.5 \\rfloor", -3, 1},
        {"\\lceil -2.5 \\rceil", -2, 1},
        {"2 \\cdot -3", -6, 1},
        {"(1+2)(3+4)", 21, 1},
        {"7(2)", 14, 1},
        {"8 \\div 2 + 1", 5, 1},
        {"6/2*3", 9, 1},
        {"3 - (-2)", 5, 1},
        {"\\left(\\frac{1}{2}\\right)^2", 1, 4},
        {"2.5 \\times 10^{3}", 2500, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct expr_tree t;
        struct expr_ratio q = {0, 0};
        int steps = 1000;
        if (!parse(cases[i].text, &t))
            fail_msg("not read: %s", cases[i].text);
        struct expr_env env = {.tree = &t, .steps = &steps};
        if (!expr_exact(&env, t.root, &q) || q.num != cases[i].num || q.den != cases[i].den)
            fail_msg("%s: %lld / %lld", cases[i].text, (long long)q.num, (long long)q.den);
    }
}

static void test_values(void **state)
{
    (void)state;
    const double pi = 3.14159265358979323846, e = 2.71828182845904523536;
    const struct {
        const char *text;
        double re, im;
    } cases[] = {
        {"\\pi", pi, 0},
        {"2\\pi r", 0, 0}, /* below: r is a sample */
        {"\\sqrt2", sqrt(2), 0},
        {"\\sqrt{-4}", 0, 2},
        {"\\frac{\\sqrt{3}}{2}", sqrt(3) / 2, 0},
        {"(-8)^{1/3}", -2, 0},
        {"3+4i", 3, 4},
        {"\\frac{1}{i}", 0, -1},
        {"e^{i\\pi}", -1, 0},
        {"e^{2}", e * e, 0},
        {"\\sin 30^\\circ", 0.5, 0},
        {"\\sin 2\\pi", 0, 0},
        {"\\sin^2 1 + \\cos^2 1", 1, 0},
        {"\\sin^{-1} 1", pi / 2, 0},
        {"\\sin\\frac{\\pi}{6} \\cos 0", 0.5, 0},
        {"\\cos(0) + 1", 2, 0},
        {"\\tan 45^{\\circ}", 1, 0},
        {"\\log_2 8", 3, 0},
        {"\\log_{10}{1000}", 3, 0},
        {"\\ln e^3", 3, 0},
        {"\\ln|-1|", 0, 0},
        {"2\\text{cis} 90^\\circ", 0, 2},
        {"\\operatorname{arctan} 1", pi / 4, 0},
        {"\\sqrt[4]{2}", pow(2, 0.25), 0},
        {"sqrt(2) + 1", sqrt(2) + 1, 0},
        {"60^\\circ", 60, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct expr_tree t;
        long double complex z = 0;
        int steps = 1000;
        if (!parse(cases[i].text, &t))
            fail_msg("not read: %s", cases[i].text);
        struct expr_env env = {.tree = &t, .steps = &steps};
        double re = cases[i].re;
        if (strchr(cases[i].text, 'r') == cases[i].text + 5)
            re = (double)(2 * pi * expr_sample('r', 0));
        if (!expr_value(&env, t.root, &z) || fabs((double)creall(z) - re) > 1e-14 ||
            fabs((double)cimagl(z) - cases[i].im) > 1e-14)
            fail_msg("%s: %.15g %.15g", cases[i].text, (double)creall(z), (double)cimagl(z));
    }
}

static void test_what_has_no_value(void **state)
{
    (void)state;
    const char *texts[] = {"1/0",     "9^{9^{9^9}}",  "0^{-1}",    "(-1)!",
                           "\\infty", "10^{5000}",    "\\log_1 5", "(1,2)",
                           "9999!",   "\\sqrt[0]{2}", "x = 3"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct expr_tree t;
        struct expr_ratio q;
        long double complex z;
        int steps = 1000;
        if (!parse(texts[i], &t))
            fail_msg("not read: %s", texts[i]);
        struct expr_env env = {.tree = &t, .steps = &steps};
        if (expr_exact(&env, t.root, &q) || expr_value(&env, t.root, &z))
            fail_msg("%s has a value", texts[i]);
    }
}

static void test_budget_ends(void **state)
{
    (void)state;
    struct expr_tree t;
    long double complex z;
    int steps = 5;
    assert_true(parse("x+x+x+x+x+x+x", &t));
    struct expr_env env = {.tree = &t, .steps = &steps};
    assert_false(expr_value(&env, t.root, &z));
    steps = 8;
    assert_true(expr_value(&env, t.root, &z));
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum expr_kind kind;
    } cases[] = {
        {"(1, 2)", EXPR_SEQUENCE},
        {"[2, \\infty)", EXPR_SEQUENCE},
        {"\\{1, 2\\}", EXPR_SEQUENCE},
        {"1, 2 and 3", EXPR_SEQUENCE},
        {"x=1 \\text{ or } x=2", EXPR_SEQUENCE},
        {"(-\\infty,1)\\cup(2,3]", EXPR_JOIN},
        {"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}", EXPR_MATRIX},
        {"\\left(\\begin{array}{cc} 1 & 2 \\end{array}\\right)", EXPR_MATRIX},
        {"x = 3", EXPR_ASSIGNMENT},
        {"f(x) = x^2", EXPR_ASSIGNMENT},
        {"f^{-1}(x) = x^2", EXPR_ASSIGNMENT},
        {"(x, y) = (1, 2)", EXPR_ASSIGNMENT},
        {"\\text{Area} = 12\\pi", EXPR_ASSIGNMENT},
        {"\\angle ABC = 30^\\circ", EXPR_ASSIGNMENT},
        {"x \\in [1, 2]", EXPR_ASSIGNMENT},
        {"2x + y = 3", EXPR_RELATION},
        {"1 \\le x < 2", EXPR_RELATION},
        {"3:4", EXPR_RATIO},
        {"1011_2", EXPR_IN_BASE},
        {"1011_{2}", EXPR_IN_BASE},
        {"50\\%", EXPR_IN_PERCENT},
        {"5\\sqrt{2}\\text{ cm}^2", EXPR_IN_UNIT},
        {"5 km/h", EXPR_IN_UNIT},
        {"25\\pi square units", EXPR_IN_UNIT},
        {"90^\\circ", EXPR_IN_DEGREES},
        {"(B)", EXPR_VARIABLE},
        {"\\text{B}", EXPR_VARIABLE},
        {"(B) 12", EXPR_CHOICE},
        {"B) 12", EXPR_CHOICE},
        {"B. 12", EXPR_CHOICE},
        {"\\textbf{(B) } 12", EXPR_CHOICE},
        {"a_{n+1}", EXPR_VARIABLE},
        {"\\$5", EXPR_NUMBER},
        {"\\pm 3", EXPR_PLUS_MINUS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct expr_tree t;
        if (!parse(cases[i].text, &t) || t.nodes[t.root].kind != cases[i].kind)
            fail_msg("%s: %d", cases[i].text, t.root ? t.nodes[t.root].kind : -1);
    }
}

static void test_what_is_refused(void **state)
{
    (void)state;
    const char *texts[] = {"",
                           " ",
                           "+",
                           "1 +",
                           "(1",
                           "1)",
                           "{1",
                           "1}",
                           "\\frac{1}",
                           "\\frac",
                           "\\sqrt",
                           "7 2",
                           "x 2",
                           "1/2/3",
                           "1...9",
                           "\\unknown{1}",
                           "^2",
                           "_2",
                           "2^",
                           "(1, 2",
                           "[1, 2}",
                           "\\{1, 2)",
                           "|1",
                           "1 < ",
                           "= 3",
                           "x = ",
                           "\\begin{pmatrix} 1 & 2 \\\\ 3 \\end{pmatrix}",
                           "\\begin{cases} 1",
                           "about 5",
                           "5 dozen",
                           "It is 5",
                           "1 & 2",
                           "\\text{5",
                           "1,",
                           ",1",
                           "\x01",
                           "5 \xff"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct expr_tree t;
        if (parse(texts[i], &t))
            fail_msg("read as %d: %s", t.nodes[t.root].kind, texts[i]);
    }
}

/* bsearch needs them sorted. */
static void test_every_command_is_found(void **state)
{
    (void)state;
    char names[] =
        "max min lim gcd deg dim det arg sup "
        "Big Bigg Biggl Biggr Bigl Bigr Longrightarrow angle approx arccos arccot arccsc "
        "arcsec arcsin arctan ast bar begin bf big bigcup bigg biggl biggr bigl bigr "
        "binom bm boldsymbol boxed cap cdot cfrac circ colon cos cosh cot csc cup dbinom "
        "degree dfrac displaystyle div emptyset end exp fbox frac ge geq geqslant gt hat "
        "hbox hspace in infty it langle lbrace lbrack lceil le left leq leqslant lfloor "
        "lg limits ln log lt lvert mathbb mathbf mathcal mathit mathrm mathsf mbox mid "
        "middle mp ne neq operatorname overline overrightarrow phantom pi pm qquad quad "
        "rangle rbrace rbrack rceil rfloor right rm rvert sec sin sinh sqrt star tan tanh "
        "tbinom text textbf textit textnormal textrm textsf textstyle tfrac tilde times "
        "to triangle underline varnothing vec vert";
    for (char *s = names, *name; (name = strsep(&s, " "));) {
        const struct expr_command *c = expr_find_command(name);
        if (!c || strcmp(c->name, name))
            fail_msg("%s is not found", name);
    }
    assert_null(expr_find_command("nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact_values),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_what_has_no_value),
        cmocka_unit_test(test_budget_ends),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_every_command_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
