#include "distill/generate.h"

void generate_defaults(struct generate_options *o)
{
    *o = (struct generate_options){
        .n_samples = 1,
        .max_tokens = 32768,
        .i_shard = 1,
        .n_shards = 1,
        .sampling = {0.6f, 0.95f, 0},
        .stop_loops = true,
        .n_canary = 3,
        .n_tries = 8,
        .idle_seconds = 900,
        .total_seconds = 7200,
        .grace_seconds = 10,
        .budget_usd = -1,
    };
}
