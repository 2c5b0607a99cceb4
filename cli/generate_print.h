/* What generate-traces prints when it is done. */
#ifndef DECANT_CLI_GENERATE_PRINT_H
#define DECANT_CLI_GENERATE_PRINT_H

#include "distill/generate.h"

void generate_print_json(const struct generate_summary *s);
void generate_print_text(const struct generate_options *o, const struct generate_summary *s);

#endif
