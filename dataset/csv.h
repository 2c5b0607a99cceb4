/* CSV as RFC 4180 has it: fields in quotes may hold separators, line ends and doubled quotes.
 * Inside the dataset; records.h splits a file into rows. */
#ifndef DECANT_DATASET_CSV_H
#define DECANT_DATASET_CSV_H

#include "core/base/json.h"

struct csv_header {
    char **names;
    int n;
    char separator;
};
/* place: "file:line", for errors. Every column needs a name, and no name may stand twice. */
err_code csv_read_header(struct csv_header *h, const char *place, const char *text, size_t n,
                         char separator, struct err *e);
/* One row (without its line end) as an object of strings; closed by the caller. A row must have as
 * many fields as the header. */
err_code csv_read_row(const struct csv_header *h, const char *place, const char *text, size_t n,
                      struct json *json, struct err *e);
void csv_dispose_header(struct csv_header *h);

#endif
