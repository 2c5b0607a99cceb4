/* A sharded HF model: model.safetensors.index.json, which says what tensor is in which file, and
 * those files. */
#ifndef DECANT_FORMAT_SHARDS_H
#define DECANT_FORMAT_SHARDS_H

#include "core/base/names.h"
#include "core/format/safetensors.h"

#define SHARDS_INDEX "model.safetensors.index.json"

/* The place of a tensor in one number, for names: entry i of shard k. */
static inline int64_t shards_place(int64_t k, int64_t i)
{
    return k << 32 | i;
}

/* Opens the index in dir and every shard that it names, each thread some of them. The index has to
 * list exactly what the shards hold, every tensor once and in its file, and no file outside dir;
 * else ERR_FORMAT names the index, the tensor and the shard. *shards (n, in order of their files'
 * names) and *names (to places) are the caller's to close, also after an error; the names belong to
 * the shards. */
err_code shards_open(const char *dir, struct safetensors **shards, int64_t *n, struct names *names,
                     struct err *e);

#endif
