/* A budget in dollars that is never passed: what was spent, and the worst that what is in flight
 * can come to.
 *
 *     struct budget b = {.limit = 20, .spent = spent_before};
 *     double worst = budget_worst(prices, n_prices, n_prompt_bytes, max_tokens);
 *     if (!budget_take(&b, worst)) ...wait for something to end, or stop...
 *     budget_settle(&b, worst, what_it_cost);
 *
 * The worst of a request: what price_most says of its prompt and max_tokens of answer, at the
 * dearest endpoint. */
#ifndef DECANT_DISTILL_BUDGET_H
#define DECANT_DISTILL_BUDGET_H

#include "teacher/http/http.h"

struct budget {
    double limit;           /* < 0: none */
    double spent, reserved; /* USD */
};

double budget_worst(const struct http_endpoint_options *endpoints, int n, size_t n_prompt_bytes,
                    int64_t max_tokens);
bool budget_take(struct budget *b, double worst);
void budget_settle(struct budget *b, double worst, double cost);

#endif
