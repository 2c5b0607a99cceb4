/* key: the secret that an endpoint asks for. It goes into one Authorization header and nowhere
 * else: not into arguments, messages, logs or the corpus. Errors name where a key was looked for,
 * never what was found.
 *
 *     struct key key = {0};
 *     if ((rc = key_read(&key, env_name, file_path, e))) return rc;
 *     ...key.text...
 *     key_scrub(&key, message, strlen(message));   // before a server's words go anywhere
 *     key_close(&key);                             // wipes the memory
 */
#ifndef DECANT_TEACHER_HTTP_KEY_H
#define DECANT_TEACHER_HTTP_KEY_H

#include "core/base/mem.h"

struct key {
    char *text; /* NULL: no key */
    size_t n;
};
/* From the environment variable env_name or from the file path (one of both, or none: no key).
 * White space around it is trimmed. ERR_NOTFOUND when the variable is not set or the file not
 * there, ERR_STATE when others than its owner may read the file, ERR_FORMAT when the key is empty
 * or holds anything but visible ASCII; ERR_USAGE when the key itself is given for a name, or both.
 */
err_code key_read(struct key *k, const char *env_name, const char *path, struct err *e);
/* Servers repeat a wrong key in their error messages, often in part: every run of 6 or more bytes
 * of text that stands in the key becomes '*'. */
void key_scrub(const struct key *k, char *text, size_t n);
/* The same for texts that are not only for people: '*' for the whole key alone, where it stands,
 * and for keys of 8 bytes or more. */
void key_hide(const struct key *k, char *text, size_t n);
/* "Authorization: Bearer KEY"; NULL when there is no memory (or no key). */
char *key_header(const struct key *k, struct err *e);
/* Overwrites n bytes in a way that the compiler keeps. */
void key_wipe(void *secret, size_t n);
void key_close(struct key *k);

#endif
