/* The "cpu" device. */
#ifndef DECANT_TENSOR_CPU_H
#define DECANT_TENSOR_CPU_H

#include "core/tensor/device.h"

err_code cpu_open(int n_threads, struct device **out, struct err *e);

#endif
