#include "distill/budget.h"

double budget_worst(const struct http_endpoint_options *endpoints, int n, size_t n_prompt_bytes,
                    int64_t max_tokens)
{
    double worst = 0;
    for (int i = 0; i < n; i++) {
        double most = price_most(&endpoints[i].price, n_prompt_bytes, max_tokens);
        worst = most > worst ? most : worst;
    }
    return worst;
}

bool budget_take(struct budget *b, double worst)
{
    if (b->limit >= 0 && b->spent + b->reserved + worst > b->limit)
        return false;
    b->reserved += worst;
    return true;
}

void budget_settle(struct budget *b, double worst, double cost)
{
    b->reserved -= worst;
    if (b->reserved < 0) /* rounding: nothing is in flight */
        b->reserved = 0;
    b->spent += cost;
}
