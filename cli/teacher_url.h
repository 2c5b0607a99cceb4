/* The endpoints that --teacher names: URL[,weight=W][,model=NAME][,key-env=VAR][,key-file=FILE]
 * [,prices=FILE]. */
#ifndef DECANT_CLI_TEACHER_URL_H
#define DECANT_CLI_TEACHER_URL_H

#include "cli/cli.h"
#include "teacher/http/http.h"

enum { TEACHER_URLS_MAX = CLI_STRS_MAX };
struct teacher_urls {
    struct http_endpoint_options items[TEACHER_URLS_MAX]; /* strings belong to texts */
    char *texts[TEACHER_URLS_MAX];
    int n;
};
/* Does the word name an HTTP teacher? */
bool teacher_is_url(const char *s);
/* Does it look like one whose http:// was forgotten: HOST:PORT/..., or a.host/v1? */
bool teacher_lacks_scheme(const char *s);
/* Adds one. ERR_USAGE naming what does not fit; a prices file is read. */
err_code teacher_urls_add(struct teacher_urls *u, const char *spec, struct err *e);
void teacher_urls_dispose(struct teacher_urls *u);

#endif
