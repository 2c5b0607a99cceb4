#include "dataset/problems.h"
#include "dataset/fields.h"
#include "dataset/records.h"

struct problems {
    struct records *records;
    struct json_arena arena;
    struct item item;
    struct field_names names;
};

err_code problems_open(const char *path, const struct problem_fields *fields, struct problems **out,
                       struct err *e)
{
    *out = NULL;
    struct problems *p = mem_new(1, sizeof *p, e);
    if (!p)
        return ERR_NOMEM;
    if (fields)
        p->names = (struct field_names){.prompt = fields->prompt, .gold = fields->gold};
    err_code rc = records_open(path, RECORDS_AUTO, &p->records, e);
    if (rc) {
        problems_close(p);
        return rc;
    }
    *out = p;
    return ERR_OK;
}

void problems_close(struct problems *p)
{
    if (!p)
        return;
    records_close(p->records);
    json_arena_dispose(&p->arena);
    item_dispose(&p->item);
    mem_free(p);
}

err_code problems_next(struct problems *p, struct problem *out, bool *more, struct err *e)
{
    struct record record;
    char place[RECORD_PLACE];
    *out = (struct problem){0};
    err_code rc = records_next(p->records, &record, more, e);
    if (rc || !*more)
        return rc;
    *more = false;
    const cJSON *root;
    rc = record_parse(p->records, &record, place, &p->arena, &root, e);
    if (!rc)
        rc = item_read(&p->item, root, place, &p->names, false, e);
    if (rc)
        return rc;
    *out = (struct problem){.prompt = p->item.prompt,
                            .n_prompt = p->item.n_prompt,
                            .gold = p->item.gold,
                            .n_gold = p->item.n_gold,
                            .extra = p->item.extra,
                            .line = record.line};
    *more = true;
    return ERR_OK;
}
