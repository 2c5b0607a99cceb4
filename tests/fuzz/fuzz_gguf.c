/* Fuzzing harness: a GGUF file, opened for its metadata and as weights. */
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/read_all.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_file file;
    struct weights *w;
    struct err e;
    memory_file_set(&file, data, size);
    if (weights_open(file.path, &w, &e) == ERR_OK) {
        read_gguf(weights_gguf(w));
        read_weights(w);
    }
    weights_close(w);
    return 0;
}
