#include "tests/server/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct config config = {
    .answer = {.min_tokens = 24, .max_tokens = 40, .loop_tokens = 20000},
    .chunk_tokens = 4,
    .burst = 1,
    .slow_ms = 300,
    .big_bytes = 50 << 20,
    .retry_after_s = 1,
    .price_hit = 0.14,
    .price_miss = 0.55,
    .price_output = 2.19,
};
static volatile sig_atomic_t stop;

/* Sleeping exchanges, the earliest first (a heap). */
static struct exchange **sleepers;
static size_t n_sleepers, cap_sleepers;

static void place(size_t i, struct exchange *x)
{
    sleepers[i] = x;
}

void sleep_exchange(struct exchange *x, int64_t ms)
{
    if (n_sleepers == cap_sleepers) {
        cap_sleepers = cap_sleepers ? 2 * cap_sleepers : 1024;
        sleepers = realloc(sleepers, cap_sleepers * sizeof *sleepers);
        if (!sleepers)
            die("no memory for sleepers");
    }
    x->due_ms = now_ms() + ms;
    MHD_suspend_connection(x->connection);
    size_t i = n_sleepers++;
    for (; i && sleepers[(i - 1) / 2]->due_ms > x->due_ms; i = (i - 1) / 2)
        place(i, sleepers[(i - 1) / 2]);
    place(i, x);
}

static struct exchange *pop_sleeper(void)
{
    struct exchange *first = sleepers[0], *last = sleepers[--n_sleepers];
    size_t i = 0;
    for (size_t c; (c = 2 * i + 1) < n_sleepers; i = c) {
        c += c + 1 < n_sleepers && sleepers[c + 1]->due_ms < sleepers[c]->due_ms;
        if (sleepers[c]->due_ms >= last->due_ms)
            break;
        place(i, sleepers[c]);
    }
    place(i, last);
    return first;
}

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

/* As much in flight as a network would hold, not megabytes a stream. */
static void on_connection(void *cls, struct MHD_Connection *c, void **socket_state,
                          enum MHD_ConnectionNotificationCode code)
{
    (void)cls, (void)socket_state;
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    int bytes = 1 << 16;
    if (code == MHD_CONNECTION_NOTIFY_STARTED && i)
        setsockopt(i->connect_fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

static void run(struct MHD_Daemon *d)
{
    int fd = MHD_get_daemon_info(d, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (!stop) {
        MHD_UNSIGNED_LONG_LONG mhd_ms;
        int64_t wait = 1000;
        if (n_sleepers) {
            wait = sleepers[0]->due_ms - now_ms();
            wait = wait < 0 ? 0 : wait > 1000 ? 1000 : wait;
        }
        if (MHD_get_timeout(d, &mhd_ms) == MHD_YES && (int64_t)mhd_ms < wait)
            wait = (int64_t)mhd_ms;
        if (wait)
            ledger_flush();
        if (poll(&p, 1, (int)wait) < 0 && errno != EINTR)
            die("poll: %s", strerror(errno));
        int64_t now = now_ms();
        while (n_sleepers && sleepers[0]->due_ms <= now)
            MHD_resume_connection(pop_sleeper()->connection);
        MHD_run(d);
    }
    /* Answers whose reader has gone are in the ledger also when their server did not see that yet. */
    while (n_sleepers)
        MHD_resume_connection(pop_sleeper()->connection);
    MHD_stop_daemon(d);
    ledger_flush();
}

static char *read_key(const char *path)
{
    static char key[4096];
    FILE *f = fopen(path, "r");
    if (!f || !fgets(key, sizeof key, f))
        die("--key-file %s: %s", path, f ? "empty" : strerror(errno));
    fclose(f);
    key[strcspn(key, "\r\n")] = 0;
    return key;
}

enum {
    SHARE = 256,
    DIALECT,
    TAGS,
    OPEN_TAG,
    SEED,
    TOKENS,
    LOOP_TOKENS,
    CHUNK_TOKENS,
    LATENCY,
    CHUNK,
    BURST,
    SLOW,
    RETRY_AFTER,
    BIG,
    CAPACITY,
    TRIES,
    NO_SEED,
    NO_LOGPROBS,
    PRICE,
    MODEL,
    REDIRECT,
    KEY_FILE,
    LEDGER,
    FAULT,
    PORT,
    LIST,
    HELP
};
static const struct option names[] = {{"dialect", 1, 0, DIALECT},
                                      {"tags", 0, 0, TAGS},
                                      {"open-tag", 0, 0, OPEN_TAG},
                                      {"seed", 1, 0, SEED},
                                      {"tokens", 1, 0, TOKENS},
                                      {"loop-tokens", 1, 0, LOOP_TOKENS},
                                      {"chunk-tokens", 1, 0, CHUNK_TOKENS},
                                      {"latency-ms", 1, 0, LATENCY},
                                      {"burst", 1, 0, BURST},
                                      {"chunk-ms", 1, 0, CHUNK},
                                      {"slow-ms", 1, 0, SLOW},
                                      {"retry-after", 1, 0, RETRY_AFTER},
                                      {"big-bytes", 1, 0, BIG},
                                      {"capacity", 1, 0, CAPACITY},
                                      {"fault-tries", 1, 0, TRIES},
                                      {"ignore-seed", 0, 0, NO_SEED},
                                      {"no-logprobs", 0, 0, NO_LOGPROBS},
                                      {"price", 1, 0, PRICE},
                                      {"model", 1, 0, MODEL},
                                      {"redirect", 1, 0, REDIRECT},
                                      {"key-file", 1, 0, KEY_FILE},
                                      {"ledger", 1, 0, LEDGER},
                                      {"fault", 1, 0, FAULT},
                                      {"port", 1, 0, PORT},
                                      {"share", 1, 0, SHARE},
                                      {"list", 0, 0, LIST},
                                      {"help", 0, 0, HELP},
                                      {0}};
static const char help[] =
    "teacher: an OpenAI-compatible test server that breaks on request\n"
    "  --dialect NAME       one of --list (deepseek)   --tags  reasoning in the content, </think>\n"
    "  --open-tag           ... with <think>            --model NAME     --seed N\n"
    "  --tokens A-B         of reasoning (24-40)        --loop-tokens N  --chunk-tokens N (4)\n"
    "  --share KIND=P       wrong, no_think, loop, truncated, filtered, answerless\n"
    "  --fault RULE         WHAT=P, WHAT@N, WHAT@N-M, WHAT@N-, WHAT~TEXT; may be repeated\n"
    "  --fault-tries N      after N tries of the same a request meets no fault\n"
    "  --latency-ms A-B     before each answer          --chunk-ms N     between chunks\n"
    "  --burst N            chunks between two such pauses (1)\n"
    "  --slow-ms N --retry-after S --big-bytes N --capacity N (more at once: 429)\n"
    "  --ignore-seed --no-logprobs --redirect URL\n"
    "  --price HIT,MISS,OUT USD per million tokens      --key-file FILE  --ledger FILE\n"
    "  --port N             0: the OS chooses           --list           dialects and faults\n";

static int64_t whole(const char *s, const char *what)
{
    char *end;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end || v < 0)
        die("--%s %s: a whole number is needed", what, s);
    return v;
}

/* A-B, or A */
static void range(const char *s, const char *what, int64_t *from, int64_t *to)
{
    if (sscanf(s, "%" SCNd64 "-%" SCNd64, from, to) != 2)
        *from = *to = whole(s, what);
    if (*from < 0 || *to < *from)
        die("--%s %s: A-B with A <= B is needed", what, s);
}

static void set_share(const char *s)
{
    for (int k = 1; k < N_KINDS; k++) {
        size_t n = strlen(kind_name((enum kind)k));
        if (!strncmp(s, kind_name((enum kind)k), n) && s[n] == '=') {
            config.answer.share[k] = strtod(s + n + 1, NULL);
            return;
        }
    }
    die("--share %s: wrong, no_think, loop, truncated, filtered or answerless =P", s);
}

static void set_option(int c, const char *v, int *port)
{
    struct answer_options *a = &config.answer;
    switch (c) {
    case DIALECT:
        if (!(config.dialect = dialect_find(v)))
            die("--dialect %s is not known; see --list", v);
        break;
    case TAGS:
        config.tags = true;
        break;
    case OPEN_TAG:
        config.tags = config.open_tag = true;
        break;
    case SEED:
        config.seed = (uint64_t)whole(v, "seed");
        break;
    case TOKENS:
        range(v, "tokens", &a->min_tokens, &a->max_tokens);
        break;
    case LOOP_TOKENS:
        a->loop_tokens = whole(v, "loop-tokens");
        break;
    case CHUNK_TOKENS:
        config.chunk_tokens = whole(v, "chunk-tokens");
        break;
    case LATENCY:
        range(v, "latency-ms", &config.min_latency_ms, &config.max_latency_ms);
        break;
    case CHUNK:
        config.chunk_ms = whole(v, "chunk-ms");
        break;
    case BURST:
        config.burst = whole(v, "burst");
        break;
    case SLOW:
        config.slow_ms = whole(v, "slow-ms");
        break;
    case RETRY_AFTER:
        config.retry_after_s = whole(v, "retry-after");
        break;
    case BIG:
        config.big_bytes = whole(v, "big-bytes");
        break;
    case CAPACITY:
        config.capacity = whole(v, "capacity");
        break;
    case TRIES:
        config.fault_tries = (int)whole(v, "fault-tries");
        break;
    case NO_SEED:
        config.ignore_seed = true;
        break;
    case NO_LOGPROBS:
        config.no_logprobs = true;
        break;
    case PRICE:
        if (sscanf(v, "%lf,%lf,%lf", &config.price_hit, &config.price_miss, &config.price_output) !=
            3)
            die("--price %s: HIT,MISS,OUT", v);
        break;
    case MODEL:
        config.model = v;
        break;
    case REDIRECT:
        config.redirect = v;
        break;
    case KEY_FILE:
        config.key = read_key(v);
        break;
    case LEDGER:
        ledger_open(v);
        break;
    case FAULT:
        fault_rule_add(v);
        break;
    case SHARE:
        set_share(v);
        break;
    case PORT:
        *port = (int)whole(v, "port");
        break;
    case LIST:
        dialect_list(stdout);
        fault_list(stdout);
        exit(0);
    case HELP:
        fputs(help, stdout);
        exit(0);
    default:
        exit(2);
    }
}

int main(int argc, char **argv)
{
    int port = 0, c;
    config.dialect = dialect_find("deepseek");
    while ((c = getopt_long(argc, argv, "", names, NULL)) != -1)
        set_option(c, optarg, &port);
    if (optind < argc || !config.chunk_tokens || !config.burst)
        die("%s", optind < argc ? "only --options are taken" : "--chunk-tokens and --burst: at least 1");
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(
        config.nonce, sizeof config.nonce, "srv-%08x",
        (unsigned)mix((uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec, (uint64_t)getpid()));
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *d = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, (uint16_t)port, NULL, NULL, exchange_handle, NULL,
        MHD_OPTION_SOCK_ADDR, &at, MHD_OPTION_NOTIFY_COMPLETED, exchange_done, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL, MHD_OPTION_CONNECTION_LIMIT, 16000u,
        MHD_OPTION_LISTEN_BACKLOG_SIZE, 4096u, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)65536,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!d)
        die("cannot listen on 127.0.0.1:%d: %s", port, strerror(errno));
    printf("http://127.0.0.1:%d/v1\n", MHD_get_daemon_info(d, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    run(d);
    return 0;
}
