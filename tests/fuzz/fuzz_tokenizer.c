/* Fuzzing harness: a tokenizer.json. What opens encodes any text and decodes it again. */
#include "core/text/tokenizer.h"
#include "tests/fuzz/memory_file.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_file file;
    static const char text[] =
        "Hello 12345 w\xC3\xB6rld\n\n  \xE4\xBD\xA0\xE5\xA5\xBD \xFF <think> a\xCC\x81";
    struct tokenizer *t;
    struct token_list ids = {0};
    struct buf b = {0};
    struct err e;
    memory_file_set(&file, data, size);
    if (tokenizer_open(file.path, &t, &e))
        return 0;
    for (unsigned flags = 0; flags <= TOK_SPECIAL; flags++) {
        token_list_clear(&ids);
        if (tokenizer_encode(t, text, sizeof text - 1, flags, &ids, &e) == ERR_OK)
            tokenizer_decode(t, ids.ids, ids.n, false, &b, &e);
    }
    size_t n;
    for (int32_t id = -1; id <= 300; id++)
        tokenizer_text(t, id < tokenizer_size(t) && id >= 0 ? id : 0, &n);
    token_list_dispose(&ids);
    buf_dispose(&b);
    tokenizer_close(t);
    return 0;
}
