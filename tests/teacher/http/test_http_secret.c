/* Keys on the wire and nowhere else; redirects; lists of models; TLS that can't be trusted. */
#include "core/base/file.h"
#include "tests/teacher/http/client_common.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char secret[] = "sk-test-5e1f9c3a7b2d4e6f8a90";

static void open_with_key(struct client *c, const char *url)
{
    setenv("DECANT_TEST_KEY", secret, 1);
    client_options(c, url);
    c->endpoints[0].key_env = "DECANT_TEST_KEY";
    c->o.down_seconds = 0.5; /* overload is not waited out */
    client_open(c);
}

/* No run of 6 bytes of the key stands in text. */
static void has_no_key(const char *what, const char *text, size_t n)
{
    for (size_t i = 0; i + 6 < sizeof secret; i++)
        if (memmem(text, n, secret + i, 6))
            fail_msg("%s holds a part of the key: %.*s", what, (int)n, text);
}

static bool answer_by_key(struct script_request *q)
{
    char want[100];
    snprintf(want, sizeof want, "\r\nAuthorization: Bearer %s", secret);
    if (!strstr(q->head, want) || strstr(q->body, secret) || strstr(strchr(q->head, '\n'), "key"))
        return script_status(q, 400);
    return send_sse(q);
}

static void test_key_is_sent(void **state)
{
    (void)state;
    struct script s = {.answer = answer_by_key};
    struct client c;
    script_start(&s);
    open_with_key(&c, s.url);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 3);
    is_trace(&a);
    has_no_key("params", a.params_json, strlen(a.params_json));
    client_close(&c);
    script_stop(&s);
}

/* A server that repeats all that it was sent, in every way. */
struct echo {
    int status;
    const char *format; /* with one %s for the key */
    const char *type;
};
static bool answer_echo(struct script_request *q)
{
    const struct echo *x = q->server->user;
    char body[1000], key[100] = "";
    const char *at = strstr(q->head, "Bearer ");
    if (at)
        sscanf(at + 7, "%99[^\r]", key);
    snprintf(body, sizeof body, x->format, key);
    return script_reply(q, x->status, "", x->type, body);
}

static void test_echoed_keys(void **state)
{
    (void)state;
    const struct echo cases[] = {
        {401, "{\"error\":{\"message\":\"Incorrect API key provided: %s\"}}", "application/json"},
        {400, "{\"error\":{\"message\":\"bad header Authorization: Bearer %s, sorry\"}}",
         "application/json"},
        {400, "{\"detail\":[{\"msg\":\"field required\",\"input\":\"%s\"}]}", "application/json"},
        {403, "%s is not allowed", "text/plain"},
        {422, "<html><title>%s</title></html>", "text/html"},
        {500, "{\"error\":\"%s\"}", "application/json"},
        {429, "{\"error\":{\"message\":\"%s has no quota\"}}", "application/json"},
        {200, "{\"error\":{\"message\":\"no such key: %s\",\"code\":401}}", "application/json"},
        {200, "%s", "text/plain"},
        {200, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: %s\n\n",
         "text/event-stream"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct script s = {.answer = answer_echo, .user = (void *)&cases[i]};
        struct client c;
        script_start(&s);
        open_with_key(&c, s.url);
        struct http_ask ask = {.prompt = "x", .n_prompt = 1, .endpoint = 0, .n_tries = 2};
        assert_int_equal(http_teacher_ask(c.t, &ask, &c.e), 0);
        struct http_answer a = client_next(&c, 3);
        assert_true(a.outcome != HTTP_TRACE);
        assert_true(strlen(a.message) > strlen(s.url) + 5);
        has_no_key("message", a.message, strlen(a.message));
        if (a.reply.message)
            has_no_key("the reply's message", a.reply.message, strlen(a.reply.message));
        struct http_endpoint_stats st;
        http_teacher_endpoint(c.t, 0, &st);
        has_no_key("last message", st.last_message, strlen(st.last_message));
        char **names;
        int n;
        if (http_teacher_models(c.t, 0, &names, &n, &c.e))
            has_no_key("error", c.e.msg, strlen(c.e.msg));
        else
            fail_msg("case %zu: models were listed", i);
        client_close(&c);
        script_stop(&s);
    }
}

/* An answer that holds the key is kept, the key is not. */
static void test_echo_in_the_answer(void **state)
{
    (void)state;
    const struct echo x = {
        200,
        "{\"model\":\"%s\",\"choices\":[{\"message\":{\"reasoning_content\":\"so "
        "sk-test-5e1f9c3a7b2d4e6f8a90 it is\",\"content\":\"sk-test-5e1f9c3a7b2d4e6f8a90"
        "sk-test-5e1f9c3a7b2d4e6f8a90.\"},\"finish_reason\":\"stop\"}]}",
        "application/json"};
    struct script s = {.answer = answer_echo, .user = (void *)&x};
    struct client c;
    script_start(&s);
    open_with_key(&c, s.url);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 3);
    assert_int_equal(a.outcome, HTTP_TRACE);
    is_text("reasoning", a.reply.reasoning, a.reply.n_reasoning,
            "so **************************** it is");
    has_no_key("answer", a.reply.answer, a.reply.n_answer);
    assert_int_equal(a.reply.n_answer, 57);
    has_no_key("model", a.reply.model, strlen(a.reply.model));
    client_close(&c);
    script_stop(&s);
}

static bool answer_echo_and_break(struct script_request *q)
{
    char chunk[300];
    snprintf(chunk, sizeof chunk,
             "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"it is %s, so\"}}]}\n\n",
             secret);
    return script_puts(q, SCRIPT_SSE_HEAD) && script_chunk(q, chunk) && false;
}

static bool answer_402(struct script_request *q)
{
    return script_status(q, 402);
}

/* The text of a try that broke off at one endpoint is given with another one's failure. */
static void test_echo_in_a_broken_answer(void **state)
{
    (void)state;
    struct script s = {.answer = answer_echo_and_break}, other = {.answer = answer_402};
    struct client c;
    script_start(&s);
    script_start(&other);
    setenv("DECANT_TEST_KEY", secret, 1);
    setenv("DECANT_TEST_OTHER_KEY", "sk-other-0123456789", 1);
    client_options(&c, s.url);
    c.endpoints[0].key_env = "DECANT_TEST_KEY";
    c.endpoints[1] = (struct http_endpoint_options){
        .url = other.url, .weight = 1e-3, .key_env = "DECANT_TEST_OTHER_KEY"};
    c.o.n_endpoints = 2;
    client_open(&c);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 3);
    assert_int_equal(a.outcome, HTTP_FATAL);
    assert_string_equal(a.endpoint, other.url);
    is_text("answer", a.reply.answer, a.reply.n_answer, "it is ****************************, so");
    client_close(&c);
    script_stop(&s);
    script_stop(&other);
}

static bool answer_redirect(struct script_request *q)
{
    const char *const *url = q->server->user;
    char header[200];
    snprintf(header, sizeof header, "Location: %s/chat/completions\r\n", *url);
    return script_reply(q, 307, header, "text/plain", "");
}

static void test_redirects_are_not_followed(void **state)
{
    (void)state;
    struct script thief = {.answer = answer_by_key}, s = {.answer = answer_redirect};
    struct client c;
    script_start(&thief);
    const char *url = thief.url;
    s.user = &url;
    script_start(&s);
    open_with_key(&c, s.url);
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 3);
    assert_int_equal(a.outcome, HTTP_FATAL);
    has_words(&a, "HTTP 307; redirects are not followed");
    char **names;
    int n;
    assert_int_equal(http_teacher_models(c.t, 0, &names, &n, &c.e), ERR_NETWORK);
    assert_int_equal(thief.n_connections, 0);
    client_close(&c);
    script_stop(&s);
    script_stop(&thief);
}

/* ---- lists of models ---- */

static bool answer_models(struct script_request *q)
{
    const char *const *body = q->server->user;
    if (strncmp(q->head, "GET /v1/models HTTP/1.1\r\n", 25) != 0 || !strstr(q->head, secret))
        return script_status(q, 404);
    return script_reply(q, 200, "", "application/json", *body);
}

static void test_models(void **state)
{
    (void)state;
    const struct {
        const char *body;
        int n; /* -1: refused */
        const char *first, *words;
    } cases[] = {
        {"{\"object\":\"list\",\"data\":[{\"id\":\"r1\"},{\"id\":\"r1-distill\"}]}", 2, "r1", NULL},
        {"{\"data\":[]}", 0, NULL, NULL},
        {"{\"data\":[{\"id\":7},{\"x\":1},3,{\"id\":\"a\"}]}", 1, "a", NULL},
        {"{\"data\":{}}", -1, NULL, "no list of models"},
        {"hello", -1, NULL, "not JSON"},
        {"", -1, NULL, "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *body = cases[i].body;
        struct script s = {.answer = answer_models, .user = &body};
        struct client c;
        script_start(&s);
        open_with_key(&c, s.url);
        char **names;
        int n;
        err_code rc = http_teacher_models(c.t, 0, &names, &n, &c.e);
        if ((rc != 0) != (cases[i].n < 0))
            fail_msg("case %zu: %s", i, c.e.msg);
        if (rc && (!strstr(c.e.msg, cases[i].words) || !strstr(c.e.msg, s.url)))
            fail_msg("case %zu: %s", i, c.e.msg);
        if (!rc) {
            assert_int_equal(n, cases[i].n);
            if (n)
                assert_string_equal(names[0], cases[i].first);
            for (int k = 0; k < n; k++)
                mem_free(names[k]);
            mem_free(names);
        }
        client_close(&c);
        script_stop(&s);
    }
}

/* ---- TLS ---- */

struct tls {
    char dir[64], cert[96], url[64];
    pid_t server;
};

static int make_certificate(struct tls *x)
{
    char command[1024];
    snprintf(
        command, sizeof command,
        "cd %s && mkdir v1 && printf 'HTTP/1.0 200 OK\\r\\nContent-Type: application/json\\r\\n"
        "\\r\\n{\"data\":[{\"id\":\"safe\"}]}' >v1/models && "
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 "
        "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 >/dev/null 2>&1",
        x->dir);
    return system(command);
}

/* openssl s_server as a web server of files that are whole responses. */
static bool start_tls(struct tls *x)
{
    strcpy(x->dir, "/tmp/decant-tls-XXXXXX");
    if (!mkdtemp(x->dir) || make_certificate(x))
        return false;
    snprintf(x->cert, sizeof x->cert, "%s/cert.pem", x->dir);
    struct script probe = {0};
    script_listen(&probe, 0); /* a free port */
    close(probe.fd);
    char port[16];
    snprintf(port, sizeof port, "%d", probe.port);
    snprintf(x->url, sizeof x->url, "https://127.0.0.1:%d/v1", probe.port);
    x->server = fork();
    if (x->server == 0) {
        if (chdir(x->dir) || !freopen("/dev/null", "w", stdout) ||
            !freopen("/dev/null", "w", stderr))
            _exit(1);
        execlp("openssl", "openssl", "s_server", "-accept", port, "-cert", "cert.pem", "-key",
               "key.pem", "-HTTP", "-quiet", (char *)NULL);
        _exit(1);
    }
    for (int i = 0; i < 200; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)probe.port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool up = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
        close(fd);
        if (up)
            return true;
        script_sleep(0.02);
    }
    return false;
}

static void stop_tls(struct tls *x)
{
    if (x->server > 0) {
        kill(x->server, SIGKILL);
        waitpid(x->server, NULL, 0);
    }
    file_remove_tree(x->dir, NULL);
}

static void test_tls_is_verified(void **state)
{
    (void)state;
    struct tls x = {0};
    if (system("openssl version >/dev/null 2>&1")) {
        print_message("no openssl binary\n");
        skip();
    }
    if (!start_tls(&x)) {
        stop_tls(&x);
        fail_msg("openssl s_server can't be started");
    }
    struct client c;
    char **names;
    int n;
    open_with_key(&c, x.url); /* nobody vouches for it */
    assert_int_equal(http_teacher_models(c.t, 0, &names, &n, &c.e), ERR_NETWORK);
    assert_non_null(strstr(c.e.msg, "--ca-file"));
    client_ask(&c, 1);
    struct http_answer a = client_next(&c, 5);
    assert_int_equal(a.outcome, HTTP_FATAL);
    has_words(&a, "certificate can't be trusted");
    has_words(&a, "--ca-file");
    client_close(&c);
    c.o.ca_file = x.cert;
    client_open(&c);
    if (http_teacher_models(c.t, 0, &names, &n, &c.e))
        fail_msg("%s", c.e.msg);
    assert_int_equal(n, 1);
    assert_string_equal(names[0], "safe");
    mem_free(names[0]);
    mem_free(names);
    client_close(&c);
    /* the certificate names 127.0.0.1 and no other */
    char *at = strstr(x.url, "127.0.0.1");
    memmove(at + 9, at + 9, strlen(at + 9) + 1);
    memcpy(at, "localhost", 9);
    client_open(&c);
    assert_int_equal(http_teacher_models(c.t, 0, &names, &n, &c.e), ERR_NETWORK);
    client_close(&c);
    c.o.ca_file = "/nowhere/ca.pem";
    c.o.endpoints = c.endpoints;
    assert_int_equal(http_teacher_open(&c.o, &c.t, &c.e), ERR_NOTFOUND);
    assert_non_null(strstr(c.e.msg, "/nowhere/ca.pem"));
    stop_tls(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_is_sent),
        cmocka_unit_test(test_echoed_keys),
        cmocka_unit_test(test_echo_in_the_answer),
        cmocka_unit_test(test_echo_in_a_broken_answer),
        cmocka_unit_test(test_redirects_are_not_followed),
        cmocka_unit_test(test_models),
        cmocka_unit_test(test_tls_is_verified),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
