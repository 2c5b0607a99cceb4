/* Filters: mixed languages, long paragraphs and code blocks on labelled examples; bounds and SQL
 * conditions as marks in a corpus. */
#include "dataset/filter.h"
#include "dataset/scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>
#include <cmocka.h>
#include "tests/dataset/fixture.h"

/* ---- mixed languages ---- */

#define EN_PROMPT "Natalia sold clips to 48 of her friends in April. How many did she sell in May?"
#define ZH_PROMPT "小明有48个苹果，他把一半给了小红，还剩下多少个苹果？请一步一步地推理。"
#define JA_PROMPT                                                                                  \
    "太郎くんはりんごを48個持っています。半分を花子さんにあげました。残りはいくつですか？"
#define KO_PROMPT "철수는 사과를 48개 가지고 있습니다. 절반을 영희에게 주면 몇 개가 남습니까?"
#define RU_PROMPT "У Наташи было 48 яблок, и она отдала половину подруге. Сколько яблок осталось?"
#define EN                                                                                         \
    "Okay, so Natalia sold 48 clips in April, and then half as many in May. Let me think about "   \
    "what that means: half of 48 is 24, so in May she sold 24 clips. Wait, let me check again. "   \
    "Adding both months gives 48 + 24 = 72, and that is the number that we are looking for. "
#define ZH                                                                                                                                  \
    "小明一开始有48个苹果，他把一半给了小红，所以给出去的是24个。那么剩下的就是48减去24，等于24个" \
    "苹果。让我再检查一遍：24加24等于48，没有问题，所以答案是24个。"

static const struct {
    const char *name, *prompt, *reasoning;
    bool mixed;
} chains[] = {
    /* consistent */
    {"English", EN_PROMPT, EN, false},
    {"Chinese", ZH_PROMPT, ZH, false},
    {"Japanese", JA_PROMPT,
     "太郎くんは最初に48個のりんごを持っていました。その半分は24個ですから、花子さんに24個をあげた"
     "ことになり"
     "ます。残りは48から24を引いて24個です。もう一度確認すると、24と24を足すと48になります。",
     false},
    {"Korean", KO_PROMPT,
     "철수는 처음에 사과를 48개 가지고 있었다. 절반은 24개이므로 영희에게 24개를 주었다. 따라서 "
     "남은 사과는 "
     "48에서 24를 뺀 24개이다. 다시 확인해 보면 24와 24를 더하면 48이 된다. 답은 24이다.",
     false},
    {"Russian", RU_PROMPT,
     "У Наташи было 48 яблок. Половина от 48 это 24, значит она отдала 24 яблока. Осталось 48 - 24 "
     "= "
     "24 яблока. Проверим ещё раз: 24 плюс 24 равно 48, всё верно. Ответ 24.",
     false},
    {"Greek letters in formulas", "Find the area of a circle whose radius is r.",
     "The area is π r², with π ≈ 3.14159, and the angle θ runs from 0 to 2π. Let α = θ/2, then sin "
     "α "
     "and cos β follow; Δx → 0, Σ of all terms, μ and σ² stay as they are. Also λ₁ + λ₂ = ω.",
     false},
    {"Greek letters run together", "What is the moment of inertia?",
     "We have ΔE = ℏω, and αβγ are Euler's angles; then ρV = m gives the mass of the whole body.",
     false},
    {"a Greek word quoted", "Who was Socrates?",
     EN "His name was Σωκράτης in Greek, that much is known from Plato's dialogues.", false},
    {"a foreign name", "Who wrote War and Peace?",
     EN "The author is Лев Николаевич Толстой, as his name is written in Russian, born in 1828.",
     false},
    {"a name in brackets", "What is the capital of China?",
     EN "The capital is Beijing (北京市，中华人民共和国的首都), the seat of the government.",
     false},
    {"a quotation", "How does one greet in China?",
     EN "People would say \"你好，很高兴认识你\" when they meet for the first time.", false},
    {"corner brackets", "How does one greet in Japan?",
     EN "People would say 「はじめまして、よろしくお願いします」 when they first meet.", false},
    {"Chinese in the prompt", "Translate into English: 今天天气很好，我们去公园吧。",
     "The sentence is 今天天气很好，我们去公园吧。 Word by word: 今天 is today, 天气 is weather, "
     "很好 is very "
     "good, 我们 is we, 去公园 is go to the park. So: the weather is fine today, let us go to the "
     "park.",
     false},
    {"Chinese with formulas and terms", ZH_PROMPT,
     "设苹果的总数为 $x$，那么 $\\frac{x}{2} = 24$，由 Cauchy-Schwarz 不等式可知 sin 和 cos "
     "的平方和为 1。这里用 "
     "Python 或者 Excel 也可以计算，GDP 与此无关，长度是 3 cm，最后得到 "
     "\\boxed{24}。所以答案是二十四个苹果。",
     false},
    {"Chinese with code", ZH_PROMPT,
     ZH "\n```python\ndef half(number of apples):\n    return the number that is left after all of "
        "them were given away\n```\n所以代码的结果也是24。",
     false},
    {"Chinese with a long formula", ZH_PROMPT,
     ZH "$$\\text{the number of apples that are left over after half were given away} = 24$$",
     false},
    {"Chinese with an English prompt in it",
     "请翻译并解答下面的题目：Natalia sold clips to 48 of her friends in April, and then she sold "
     "half as "
     "many clips in May. How many clips did she sell altogether?",
     "题目说 Natalia sold clips to 48 of her friends in "
     "April，也就是四月份卖了48个，五月份卖了一半，就是24个，"
     "总共是72个。",
     false},
    {"a bare formula, English", "2x + 3 = 7", EN, false},
    {"a bare formula, Chinese", "$2x + 3 = 7$", ZH, false},
    {"a formula with names", "sin x + cos y = log z", ZH, false},
    {"French and English share a script", EN_PROMPT,
     "Natalia a vendu 48 pinces en avril, puis la moitié en mai. Cela fait 24, donc 72 au total.",
     false},
    {"nothing", EN_PROMPT, "", false},
    {"only numbers", EN_PROMPT, "48 / 2 = 24; 48 + 24 = 72", false},
    {"Chinese about files", ZH_PROMPT,
     ZH "配置文件有vite.main.config.js、vite.preload.config.js、vite.renderer.config.js，"
        "语言有Java、Python、Go、Rust、Ruby、Perl、Lua、Swift、Kotlin等等。",
     false},
    {"Chinese with a list of names", ZH_PROMPT,
     ZH "例如 Newton, Leibniz, Euler, Gauss, Riemann, Cauchy, Fourier, Laplace, Lagrange "
        "都研究过这个问题。",
     false},
    {"Chinese with one English word", ZH_PROMPT,
     ZH "最后，语气要 empathetic，让他感受到被理解和支持。", false},
    {"a Chinese question with English in it", "分析这个告警: CPU usage 85% on web-01",
     "这个告警的标题是服务器的使用率过高，内容说明使用率已经超过了阈值，需要先检查负载，再找出原因"
     "并处理。",
     false},
    {"an English question about Chinese", "Summarise this poem: 红藕香残玉簟秋，轻解罗裳",
     "这首词写的是秋天的景象，表达了对远方亲人的思念，摘要应当突出离愁和秋景这两点，字数不能太多。",
     false},
    {"two Chinese characters", EN_PROMPT, EN EN "The character 木 is a tree, 林 is a grove.",
     false},
    {"an address", ZH_PROMPT, ZH "见 https://example.com/this/is/a/very/long/path/to/some/page 。",
     false},
    {"units and names", KO_PROMPT,
     "철수는 사과를 48개 가지고 있었다. 무게는 5 kg 이고 길이는 30 cm 이다. Newton 의 법칙을 "
     "사용하면 답은 24이다.",
     false},
    {"accents", "Combien de pinces a-t-elle vendues?",
     "Elle a vendu e\u0301te\u0301 et hiver, cafe\u0301s et the\u0301s, 24 en tout, c'est-à-dire "
     "vingt-quatre.",
     false},
    {"Japanese with much kanji", JA_PROMPT,
     "最初の総数は四十八個。半分の二十四個を花子が受け取った。残りの個数は四十八引く二十四で二十四"
     "個となる。確認"
     "すると合計は四十八個であり、問題文の条件を全て満たすので正しい。",
     false},
    /* mixed */
    {"a Chinese sentence in English", EN_PROMPT,
     EN "所以她一共卖了七十二个夹子。 That is the answer.", true},
    {"Chinese words here and there", EN_PROMPT,
     "Okay, so 首先 she sold 48 clips in April, 然后 half as many in May, 所以 that is 24 clips.",
     true},
    {"from English to Chinese", EN_PROMPT, EN ZH, true},
    {"all Chinese to an English prompt", EN_PROMPT, ZH, true},
    {"two words of English, then Chinese", "What is 5 + 3?",
     "五加三等于八，因为五个手指再加三个就是八个。", true},
    {"all English to a Chinese prompt", ZH_PROMPT, EN, true},
    {"an English sentence in Chinese", ZH_PROMPT,
     ZH "Wait, let me check that again, because something is wrong here. 没有问题，答案是24。",
     true},
    {"a French sentence in Chinese", ZH_PROMPT,
     ZH "Donc il lui reste vingt-quatre pommes, et c'est la réponse que nous cherchons ici. 完毕。",
     true},
    {"half English", ZH_PROMPT,
     "首先 we have 48 apples，然后 half are given away，所以 the rest is 24，答案 is twenty four。",
     true},
    {"Cyrillic words in English", EN_PROMPT,
     EN "Теперь проверим ещё раз наше решение. So the answer is 72.", true},
    {"one Russian clause", EN_PROMPT, "She sold half, то есть двадцать четыре штуки, so 72.", true},
    {"Arabic in English", EN_PROMPT, EN "إذن الجواب هو اثنان وسبعون مشبكا and we are done.", true},
    {"Hindi in English", EN_PROMPT, EN "तो कुल मिलाकर उसने बहत्तर क्लिप बेचे and we are done.", true},
    {"Thai in English", EN_PROMPT, EN "ดังนั้นคำตอบคือเจ็ดสิบสอง and we are done.", true},
    {"Korean in English", EN_PROMPT, EN "그래서 그녀는 모두 일흔두 개를 팔았다. Done.", true},
    {"Japanese in Chinese", ZH_PROMPT, ZH "つまり、残りは二十四個になります。", true},
    {"Chinese in Korean", KO_PROMPT,
     "철수는 처음에 사과를 48개 가지고 있었다. 所以剩下的苹果是二十四个. 답은 24이다.", true},
    {"all Chinese to a Japanese prompt", JA_PROMPT, ZH, true},
    {"all English to a Japanese prompt", JA_PROMPT, EN, true},
    {"all English to a Russian prompt", RU_PROMPT, EN, true},
    {"all Russian to an English prompt", EN_PROMPT,
     "У Наташи было 48 яблок. Половина от 48 это 24, значит она отдала 24 яблока. Осталось 48 - 24 "
     "= "
     "24 яблока. Проверим ещё раз: 24 плюс 24 равно 48, всё верно. Ответ 24.",
     true},
    {"a Greek sentence in English", EN_PROMPT, EN "Άρα πούλησε συνολικά εβδομήντα δύο. Done.",
     true},
    {"Hebrew in English", EN_PROMPT, EN "ולכן היא מכרה שבעים ושתיים סיכות. Done.", true},
    {"a bare formula, and a switch", "2x + 3 = 7", EN ZH, true},
    {"a Chinese chain ends in English", ZH_PROMPT, ZH ZH EN, true},
    {"a few Chinese slips in a long chain", EN_PROMPT,
     EN EN "因此 we are done. " EN "但是 that is not all. " EN, true},
    {"Chinese outside of a closed quotation", EN_PROMPT,
     EN "She said \"yes\" 然后她就把所有的夹子都卖掉了 and left.", true},
};

static void test_mixed_languages(void **state)
{
    (void)state;
    int n_wrong = 0;
    for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
        char reason[SCRIPTS_REASON] = "";
        bool mixed = scripts_mixed(chains[i].prompt, strlen(chains[i].prompt), chains[i].reasoning,
                                   strlen(chains[i].reasoning), 0.005, reason);
        if (mixed != chains[i].mixed) {
            print_error("%s: %s\n", chains[i].name, mixed ? reason : "not found to be mixed");
            n_wrong++;
        }
        assert_true(!mixed || strlen(reason) > 20);
    }
    assert_int_equal(n_wrong, 0);
    /* a stricter share finds a single word, a looser one lets some pass */
    char reason[SCRIPTS_REASON];
    const char *slip = EN EN "The character 木 is a tree.", *more = EN EN "因此 we go on. 但是 no.";
    assert_true(scripts_mixed(EN_PROMPT, strlen(EN_PROMPT), slip, strlen(slip), 0, reason));
    assert_string_equal(reason, "1 of 103 words in Han; the prompt is in Latin");
    assert_true(scripts_mixed(EN_PROMPT, strlen(EN_PROMPT), more, strlen(more), 0.03, reason));
    assert_false(scripts_mixed(EN_PROMPT, strlen(EN_PROMPT), more, strlen(more), 0.05, reason));
    assert_true(scripts_mixed(ZH_PROMPT, strlen(ZH_PROMPT), EN, strlen(EN), 0.005, reason));
    assert_string_equal(reason, "49 of 49 words in Latin; the prompt is in Han");
}

static void test_scripts(void **state)
{
    (void)state;
    const struct {
        uint32_t cp;
        enum script script;
    } cases[] = {
        {'a', SCRIPT_LATIN},      {'Z', SCRIPT_LATIN},    {'5', SCRIPT_NONE},
        {' ', SCRIPT_NONE},       {0xE9, SCRIPT_LATIN},   {0xD7, SCRIPT_NONE},
        {0xB5, SCRIPT_NONE},      {0x3B1, SCRIPT_GREEK},  {0x3F6, SCRIPT_NONE},
        {0x416, SCRIPT_CYRILLIC}, {0x5D0, SCRIPT_HEBREW}, {0x627, SCRIPT_ARABIC},
        {0x60C, SCRIPT_NONE},     {0x905, SCRIPT_INDIC},  {0xE01, SCRIPT_THAI},
        {0x3042, SCRIPT_KANA},    {0x30A2, SCRIPT_KANA},  {0x3001, SCRIPT_NONE},
        {0x4E00, SCRIPT_HAN},     {0x9FFF, SCRIPT_HAN},   {0x20000, SCRIPT_HAN},
        {0xAC00, SCRIPT_HANGUL},  {0x1E9E, SCRIPT_LATIN}, {0x1F00, SCRIPT_GREEK},
        {0x2115, SCRIPT_NONE},    {0x1D400, SCRIPT_NONE}, {0xFF21, SCRIPT_LATIN},
        {0xFF11, SCRIPT_NONE},    {0x10A0, SCRIPT_OTHER}, {0x1F600, SCRIPT_NONE},
        {0x10FFFF, SCRIPT_NONE},  {0x2126, SCRIPT_NONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (script_of(cases[i].cp) != cases[i].script)
            fail_msg("U+%04X is %s", cases[i].cp, script_name(script_of(cases[i].cp)));
}

/* Any bytes, unclosed quotes, brackets, formulas and fences. */
static void test_hostile_text(void **state)
{
    (void)state;
    static const char *const pieces[] = {"$",  "$$", "`",       "```",  "\\(",      "\\[",
                                         "\"", "(",  "「",      "\xff", "\xe4\xb8", "a",
                                         "木", "\\", "http://", "\n",   "“",        "\xcc\x81"};
    enum { N = sizeof pieces / sizeof *pieces };
    char text[4096], reason[FILTER_REASON];
    for (unsigned i = 0; i < 20000; i++) {
        size_t n = 0;
        for (unsigned k = i * 2654435761u; k; k /= N)
            n += (size_t)sprintf(text + n, "%s", pieces[k % N]);
        char *exact = malloc(n + 1); /* so that a byte too far is found */
        memcpy(exact, text, n);
        scripts_mixed(exact, n, exact, n, 0.005, reason);
        filter_long_paragraph(exact, n, 10, reason);
        filter_code_block(exact, n, reason);
        free(exact);
    }
}

/* ---- paragraphs and code ---- */

static void test_paragraphs_and_code(void **state)
{
    (void)state;
    char reason[FILTER_REASON];
    const struct {
        const char *text;
        bool code, longer; /* than 40 bytes */
    } cases[] = {
        {"", false, false},
        {"short\nlines\n\nonly", false, false},
        {"0123456789012345678901234567890123456789", false, false},
        {"01234567890123456789012345678901234567890", false, true},
        {"0123456789012345678901234567890123456789\n0123456789", false, false},
        {"小明有48个苹果，他把一半给了小红", false, true},
        {"```\nx = 1\n```", true, false},
        {"  ```python\nx = 1", true, false},
        {"~~~\nx\n~~~", true, false},
        {"text\n```\n01234567890123456789012345678901234567890\n```\nend", true, false},
        {"text\n```\n~~~\n01234567890123456789012345678901234567890\n```\nend", true, false},
        {"```\nx\n```\n01234567890123456789012345678901234567890", true, true},
        {"use `x = 1` or ```x``` inline", false, false},
        {"``\n~~\n``", false, false},
        {"a line\n\t```\n", true, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *t = cases[i].text;
        if (filter_code_block(t, strlen(t), reason) != cases[i].code ||
            filter_long_paragraph(t, strlen(t), 40, reason) != cases[i].longer)
            fail_msg("%s", t);
    }
    assert_true(filter_long_paragraph("0123456789", 10, 9, reason));
    assert_string_equal(reason, "a paragraph of 10 bytes; at most 9");
    assert_true(filter_code_block("a\nb\n```\n", 8, reason));
    assert_string_equal(reason, "a code block at line 3");
}

/* ---- in a corpus ---- */

static struct filter_options no_rules(void)
{
    return (struct filter_options){.max_foreign = 0.005,
                                   .max_paragraph = 3000,
                                   .min_tokens = -1,
                                   .max_tokens = -1,
                                   .min_bytes = -1,
                                   .max_bytes = -1};
}

static struct filter_summary filter(struct fixture *f, struct filter_options opt)
{
    struct filter_summary sum;
    ok(f, corpus_filter(f->c, &opt, NULL, NULL, &sum, &f->e));
    return sum;
}

#define MARKS                                                                                      \
    "SELECT trace_id || ' ' || kind FROM verdicts WHERE kind NOT IN ('answer', 'no_think') ORDER " \
    "BY trace_id, kind"

static void fill(struct fixture *f)
{
    open_new(f);
    int64_t en = add_prompt(f, EN_PROMPT, "72", NULL), zh = add_prompt(f, ZH_PROMPT, "24", NULL);
    int64_t r = add_request(f, "{\"teacher\":\"t\"}");
    add_trace(f, en, r, 0, EN, "\\boxed{72}");
    add_trace(f, en, r, 1, EN ZH, "\\boxed{72}");
    add_trace(f, en, r, 2, EN "\n```\nx\n```", "\\boxed{72}");
    add_trace(f, zh, r, 0, ZH, "\\boxed{24}");
    add_trace(f, zh, r, 1, EN, "\\boxed{24}");
    add_trace(f, zh, r, 2, "", "\\boxed{25}");
}

static void test_marks(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct filter_options opt = no_rules();
    opt.use[FILTER_MIXED_LANGUAGE] = opt.use[FILTER_CODE_BLOCK] = opt.use[FILTER_LONG_PARAGRAPH] =
        true;
    opt.max_paragraph = 300;
    struct filter_summary sum = filter(f, opt);
    assert_string_equal(ask(f, MARKS), "2 long_paragraph; 2 mixed_language; 3 code_block; "
                                       "5 mixed_language");
    assert_int_equal(sum.n_traces, 6);
    assert_int_equal(sum.rules[FILTER_MIXED_LANGUAGE].n_new, 2);
    assert_string_equal(selected(f, "correct", NULL), EN_PROMPT ".0 " ZH_PROMPT ".0");
    /* a rule alone is recomputed; the others stay */
    opt = no_rules();
    opt.use[FILTER_LONG_PARAGRAPH] = true;
    sum = filter(f, opt);
    assert_int_equal(sum.rules[FILTER_LONG_PARAGRAPH].n_cleared, 1);
    assert_string_equal(ask(f, MARKS), "2 mixed_language; 3 code_block; 5 mixed_language");
    /* verify leaves them alone, and good stays what it was */
    struct corpus_verified v;
    ok(f, corpus_verify(f->c, 1, NULL, NULL, &v, &f->e));
    assert_string_equal(ask(f, MARKS), "2 mixed_language; 3 code_block; 5 mixed_language");
    struct marks_summary marks;
    ok(f, corpus_marks_clear(f->c, "mixed_language", CORPUS_MARK_TRACES, &marks, &f->e));
    assert_string_equal(ask(f, MARKS), "3 code_block");
}

static void test_bounds(void **state)
{
    struct fixture *f = *state;
    fill(f);
    sql(f, "UPDATE traces SET n_completion_tokens = id * 100");
    sql(f, "UPDATE traces SET n_completion_tokens = NULL WHERE id = 5");
    struct filter_options opt = no_rules();
    opt.use[FILTER_LENGTH] = true;
    opt.min_tokens = 200;
    opt.max_tokens = 400;
    opt.min_bytes = 11;
    struct filter_summary sum = filter(f, opt);
    assert_int_equal(sum.n_uncounted, 1);
    assert_string_equal(
        ask(f, "SELECT trace_id || ' ' || reason FROM verdicts WHERE kind = 'length'"),
        "1 100 tokens; at least 200; 6 600 tokens; at most 400");
    opt.max_tokens = -1;
    filter(f, opt);
    assert_string_equal(
        ask(f, "SELECT trace_id || ' ' || reason FROM verdicts WHERE kind = 'length'"),
        "1 100 tokens; at least 200; 6 10 bytes; at least 11");
}

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    struct marks_summary marks;
    fill(f);
    ok(f, corpus_filter_where(f->c, "sample_index = 1", "second", &marks, &f->e));
    assert_int_equal(marks.n_new, 2);
    assert_string_equal(ask(f, MARKS), "2 second; 5 second");
    assert_string_equal(ask(f, "SELECT DISTINCT reason FROM verdicts WHERE kind = 'second'"),
                        "sample_index = 1");
    /* a condition on good means the same in a second run, though its own marks change good */
    for (int i = 0; i < 3; i++) {
        ok(f, corpus_filter_where(f->c, "good AND prompt_id = 1", "chosen", &marks, &f->e));
        assert_string_equal(ask(f, MARKS), "1 chosen; 2 second; 3 chosen; 5 second");
    }
    /* what is no condition changes nothing; nor can one write */
    static const char *const bad[] = {"no_such_column = 1",
                                      "1; DELETE FROM traces",
                                      "good AND (",
                                      "1)); DELETE FROM traces; --",
                                      "id IN (DELETE FROM traces RETURNING id)",
                                      "load_extension('x')",
                                      "id = ?1",
                                      "id = :id",
                                      "\"verdct\" = 'wrong'"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(corpus_filter_where(f->c, bad[i], "chosen", &marks, &f->e), ERR_USAGE);
    assert_string_equal(ask(f, MARKS), "1 chosen; 2 second; 3 chosen; 5 second");
    /* one that fails on the way leaves the marks as they were */
    assert_int_equal(corpus_filter_where(f->c, "good AND abs(-9223372036854775807 - id) > 0",
                                         "chosen", &marks, &f->e),
                     ERR_USAGE);
    assert_int_equal(corpus_filter_where(f->c, "1", "truncated", &marks, &f->e), ERR_USAGE);
    assert_int_equal(corpus_filter_where(f->c, "1", "No Good", &marks, &f->e), ERR_USAGE);
    ok(f, corpus_filter_where(f->c, "0", "chosen", &marks, &f->e));
    assert_int_equal(marks.n_cleared, 2);
}

static bool stop(void *ctx, int64_t done, int64_t total)
{
    (void)ctx;
    return done < total && false;
}

static void test_a_stop_changes_nothing(void **state)
{
    struct fixture *f = *state;
    fill(f);
    struct filter_options opt = no_rules();
    struct filter_summary sum;
    opt.use[FILTER_CODE_BLOCK] = true;
    sql(f, "INSERT INTO verdicts VALUES (1, 'code_block', 'yes', 'old', 1, '2026')");
    assert_int_equal(corpus_filter(f->c, &opt, stop, NULL, &sum, &f->e), ERR_STOPPED);
    assert_string_equal(ask(f, MARKS), "1 code_block");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mixed_languages),
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_paragraphs_and_code),
        cmocka_unit_test_setup_teardown(test_marks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stop_changes_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
