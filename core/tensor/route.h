/* Which experts a token goes to: one row of device.moe_route, shared by the CPU devices. */
#ifndef DECANT_TENSOR_ROUTE_H
#define DECANT_TENSOR_ROUTE_H

#include "core/tensor/device.h"

/* ids[top_k], weights[top_k] from logits[n_experts]. */
void route_row(int32_t *ids, float *weights, const float *logits, const struct route *r);

#endif
