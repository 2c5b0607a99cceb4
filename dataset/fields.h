/* What the fields of a record mean: a prompt with its gold answer, and traces that were made
 * elsewhere. Inside the dataset; docs/corpus.md lists the names that are known.
 *
 *     struct item item = {0};
 *     rc = item_read(&item, json.root, place, &names, true, e);   // strings belong to json and
 * item
 *     ...
 *     item_dispose(&item);
 *
 * A field's name may reach inward: "reward.ground_truth", "messages.0.content". Conversations
 * ("messages", "conversations": role and content, or from and value) are read too. */
#ifndef DECANT_DATASET_FIELDS_H
#define DECANT_DATASET_FIELDS_H

#include "core/base/json.h"

/* NULL: the usual names are tried. */
struct field_names {
    const char *prompt, *gold, *reasoning, *answer, *teacher;
};

struct item_trace {
    const char *reasoning, *answer; /* outer white space trimmed */
    size_t n_reasoning, n_answer;
    const char *think_rule; /* "field", "tag" or "none" */
    bool cut;               /* the thinking does not end */
};
enum { ITEM_TRACES = 64 };
struct item {
    const char *prompt, *gold; /* gold NULL: none */
    size_t n_prompt, n_gold;
    const char *extra;  /* JSON object of the other fields; NULL: none */
    const char *system; /* of a conversation; NULL: none */
    bool many_turns;    /* of which only the first is taken */
    /* with traces */
    int n_traces;
    const char *source, *teacher, *served_model, *finish_reason; /* NULL: not said */
    /* of decant's own export only */
    const char *created_at, *program;
    const cJSON *marks; /* an array; NULL: none */
    const cJSON *request; /* an object that names a teacher, as decant's own export has it */
    int64_t sample_index, n_prompt_tokens, n_cached_tokens, n_reasoning_tokens, n_completion_tokens;
    double cost_usd, latency_ms; /* as all counts: -1 when not said */
    struct item_trace traces[ITEM_TRACES];
    struct buf gold_buf, extra_buf, prompt_buf;
};
/* ERR_FORMAT with place in front: no prompt, an empty one, a value of the wrong kind, with_traces
 * and no completion. */
err_code item_read(struct item *item, const cJSON *root, const char *place,
                   const struct field_names *names, bool with_traces, struct err *e);
void item_dispose(struct item *item);

#endif
