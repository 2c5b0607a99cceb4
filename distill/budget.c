#include "distill/budget.h"

static double larger(double a, double b)
{
    return a > b ? a : b;
}

double budget_worst(const struct http_endpoint_options *endpoints, int n, size_t n_prompt_bytes,
                    int64_t max_tokens)
{
    double worst = 0, prompt = (double)n_prompt_bytes + BUDGET_FORM_TOKENS;
    for (int i = 0; i < n; i++) {
        const struct price *p = &endpoints[i].price;
        if (!p->known)
            continue;
        double input = larger(p->input_miss, p->input_hit), output = p->output;
        if (p->off_from != p->off_to) {
            input = larger(input, larger(p->off_input_miss, p->off_input_hit));
            output = larger(output, p->off_output);
        }
        worst = larger(worst, 1e-6 * (prompt * input + (double)max_tokens * output));
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
