/* A scripted HTTP server in a thread of the test, on the loopback: plain sockets, so that a test
 * says every byte and the moment of every reset itself. One thread a connection.
 *
 *     struct script s = {.answer = my_answer, .user = &my};
 *     script_start(&s);
 *     ... s.url, s.n_requests, s.n_connections ...
 *     script_stop(&s);
 */
#ifndef DECANT_TESTS_SCRIPT_H
#define DECANT_TESTS_SCRIPT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SCRIPT_LOG = 4096, SCRIPT_CONNECTIONS = 256 };

struct script;
struct script_request {
    struct script *server;
    int fd;
    int i;             /* number of the request, from 0 */
    int slot;          /* of the connection */
    char *head, *body; /* NUL-terminated */
    double t;          /* when it had come */
};
struct script {
    /* Writes the answer with the functions below; false: the connection is closed after it. */
    bool (*answer)(struct script_request *q);
    void *user;
    char url[64];
    int port;
    atomic_int n_requests, n_connections,
        n_aborted; /* aborted: the client hung up while written to */
    double t_request[SCRIPT_LOG];
    /* inside */
    int fd;
    atomic_bool stop;
    pthread_t thread, workers[SCRIPT_CONNECTIONS];
    int fds[SCRIPT_CONNECTIONS]; /* -1: closed */
    pthread_mutex_t lock;        /* of fds */
    atomic_int n_workers;
};

static inline double script_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline void script_sleep(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

/* False: the client is gone. */
static inline bool script_send(struct script_request *q, const void *data, size_t n)
{
    const char *p = data;
    while (n > 0) {
        ssize_t k = send(q->fd, p, n, MSG_NOSIGNAL);
        if (k <= 0) {
            q->server->n_aborted++;
            return false;
        }
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static inline bool script_puts(struct script_request *q, const char *s)
{
    return script_send(q, s, strlen(s));
}

/* A whole response; headers: more header lines, each with its "\r\n". */
static inline bool script_reply(struct script_request *q, int status, const char *headers,
                                const char *type, const char *body)
{
    char head[1024];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d Some\r\nContent-Type: %s\r\n%sContent-Length: %zu\r\n\r\n",
                     status, type, headers, strlen(body));
    return script_send(q, head, (size_t)n) && script_puts(q, body);
}

static inline bool script_status(struct script_request *q, int status)
{
    char body[100];
    snprintf(body, sizeof body, "{\"error\":{\"message\":\"status %d it is\"}}", status);
    return script_reply(q, status, "", "application/json", body);
}

#define SCRIPT_SSE_HEAD                                                                            \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

static inline bool script_chunk(struct script_request *q, const char *s)
{
    char size[32];
    snprintf(size, sizeof size, "%zx\r\n", strlen(s));
    return script_puts(q, size) && script_puts(q, s) && script_puts(q, "\r\n");
}

/* The connection's end as a reset, with what was not sent yet thrown away. */
static inline bool script_reset(struct script_request *q)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    setsockopt(q->fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
    return false;
}

/* True when the client hangs up within seconds. */
static inline bool script_hangs_up(struct script_request *q, double seconds)
{
    struct pollfd p = {.fd = q->fd, .events = POLLIN};
    char c;
    if (poll(&p, 1, (int)(seconds * 1e3)) <= 0)
        return false;
    return recv(q->fd, &c, 1, MSG_PEEK) <= 0;
}

/* Reads one request; false at the connection's end. */
static inline bool script_read(struct script_request *q, char *buffer, size_t cap)
{
    size_t n = 0, length = 0;
    char *end = NULL;
    while (!end || n < (size_t)(end + 4 - buffer) + length) {
        ssize_t k = n + 1 < cap ? recv(q->fd, buffer + n, cap - 1 - n, 0) : -1;
        if (k <= 0)
            return false;
        n += (size_t)k;
        buffer[n] = 0;
        end = strstr(buffer, "\r\n\r\n");
        const char *l = end ? strstr(buffer, "Content-Length: ") : NULL;
        length = l ? strtoul(l + 16, NULL, 10) : 0;
    }
    *end = 0;
    q->head = buffer;
    q->body = end + 4;
    return true;
}

static inline void *script_connection(void *arg)
{
    struct script_request *first = arg;
    struct script *s = first->server;
    enum { CAP = 1 << 20 };
    char *buffer = malloc(CAP);
    struct script_request q = *first;
    free(first);
    while (buffer && script_read(&q, buffer, CAP)) {
        q.t = script_now();
        q.i = s->n_requests++;
        if (q.i < SCRIPT_LOG)
            s->t_request[q.i] = q.t;
        if (!s->answer(&q))
            break;
    }
    free(buffer);
    pthread_mutex_lock(&s->lock);
    s->fds[q.slot] = -1;
    close(q.fd);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static inline void *script_accept(void *arg)
{
    struct script *s = arg;
    while (!s->stop) {
        int fd = accept(s->fd, NULL, NULL), one = 1;
        if (fd < 0)
            break;
        if (s->stop || s->n_workers == SCRIPT_CONNECTIONS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        s->n_connections++;
        struct script_request *q = calloc(1, sizeof *q);
        q->server = s;
        q->fd = fd;
        q->slot = s->n_workers;
        s->fds[q->slot] = fd;
        pthread_create(&s->workers[s->n_workers], NULL, script_connection, q);
        s->n_workers++;
    }
    return NULL;
}

/* port 0: any. */
static inline void script_listen(struct script *s, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int one = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&a, sizeof a) || listen(s->fd, 1024) ||
        getsockname(s->fd, (struct sockaddr *)&a, &n)) {
        perror("script server");
        abort();
    }
    s->port = ntohs(a.sin_port);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d/v1", s->port);
}

static inline void script_start_at(struct script *s, int port)
{
    s->stop = false;
    s->n_workers = 0;
    pthread_mutex_init(&s->lock, NULL);
    script_listen(s, port);
    pthread_create(&s->thread, NULL, script_accept, s);
}

static inline void script_start(struct script *s)
{
    script_start_at(s, 0);
}

/* Ends all connections too; answer functions must come back then. */
static inline void script_stop(struct script *s)
{
    s->stop = true;
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_workers; i++)
        if (s->fds[i] >= 0)
            shutdown(s->fds[i], SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    for (int i = 0; i < s->n_workers; i++)
        pthread_join(s->workers[i], NULL);
}

#endif
