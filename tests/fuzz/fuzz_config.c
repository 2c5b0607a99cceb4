/* Fuzzing harness: config.json as student and teacher read it. What they accept should be usable:
 * the rotary tables are computed. */
#include "core/base/json.h"
#include "student/config.h"
#include "teacher/config.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct student_config s;
    struct teacher_config t;
    struct json j;
    struct err e;
    memset(&s, 0, sizeof s);
    memset(&t, 0, sizeof t);
    if (json_parse(&j, "config.json", (const char *)data, size, &e) == ERR_OK) {
        float scale;
        float *freqs;
        if (student_config_json(&s, &j, &e) == ERR_OK && student_n_params(&s) > 0 &&
            (freqs = mem_new((size_t)s.head_dim / 2, sizeof *freqs, &e))) {
            student_rope_freqs(&s, freqs, &scale);
            mem_free(freqs);
        }
        teacher_config_read(&t, &j, &e);
    }
    json_close(&j);
    return 0;
}
