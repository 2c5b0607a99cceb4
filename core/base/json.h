/* JSON, over cJSON: parsing with a place in the error, and typed look-ups that name the file and
 * the key. A path may reach into objects: "rope_scaling.factor".
 *
 *     struct json j;
 *     if ((rc = json_open(&j, "model/config.json", 16 << 20, e))) return rc;
 *     rc = json_int(&j, j.root, "hidden_size", 1, 1 << 20, &hidden, e);
 *     json_close(&j);
 */
#ifndef DECANT_BASE_JSON_H
#define DECANT_BASE_JSON_H

#include "core/base/mem.h"

#include <cjson/cJSON.h>

struct json {
    cJSON *root;
    char *name; /* for errors: the file, or what the caller called the text */
};

err_code json_open(struct json *j, const char *path, size_t max_bytes, struct err *e);
/* Text of n bytes. On a syntax error: ERR_FORMAT with line and column. Text that nests deeper than
 * cJSON allows (1000), or that goes on after its value, is refused. */
err_code json_parse(struct json *j, const char *name, const char *text, size_t n, struct err *e);
void json_close(struct json *j);

/* The value at a dotted path below node, or NULL when it is absent or null. */
const cJSON *json_at(const cJSON *node, const char *path);

/* Required values. Absent or of another kind or out of [min, max]: ERR_FORMAT naming file and key.
 * Strings belong to j. */
err_code json_int(const struct json *j, const cJSON *node, const char *path, int64_t min,
                  int64_t max, int64_t *out, struct err *e);
err_code json_num(const struct json *j, const cJSON *node, const char *path, double *out,
                  struct err *e);
err_code json_str(const struct json *j, const cJSON *node, const char *path, const char **out,
                  struct err *e);
err_code json_bool(const struct json *j, const cJSON *node, const char *path, bool *out,
                   struct err *e);

/* Optional values: absent or null leaves *out as it is; another kind or out of range is an error.
 */
err_code json_opt_int(const struct json *j, const cJSON *node, const char *path, int64_t min,
                      int64_t max, int64_t *out, struct err *e);
err_code json_opt_num(const struct json *j, const cJSON *node, const char *path, double *out,
                      struct err *e);
err_code json_opt_str(const struct json *j, const cJSON *node, const char *path, const char **out,
                      struct err *e);
err_code json_opt_bool(const struct json *j, const cJSON *node, const char *path, bool *out,
                       struct err *e);

/* Adds s as a JSON string literal, quotes included; invalid UTF-8 becomes U+FFFD. */
err_code json_quote(struct buf *b, const char *s, size_t n, struct err *e);

#endif
