/* Fuzzing harness: a safetensors file. clang -fsanitize=fuzzer,address builds it as it is; the
 * ordinary test (test_safetensors.c) runs it on deterministic mutations. */
#include "tests/fuzz/memory_file.h"
#include "tests/fuzz/read_all.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct memory_file file;
    struct safetensors s;
    struct err e;
    memory_file_set(&file, data, size);
    if (st_open(&s, file.path, &e) == ERR_OK)
        read_safetensors(&s);
    st_close(&s);
    return 0;
}
