#include "core/tensor/device.h"
#include "core/tensor/cpu/cpu.h"
#include "core/tensor/ref/ref.h"

#include <string.h>

err_code device_open(const char *name, int n_threads, struct device **out, struct err *e)
{
    *out = NULL;
    if (n_threads < 0)
        return err_set(e, ERR_USAGE, "%d threads: must be 0 (all cores) or more", n_threads);
    if (!strcmp(name, "cpu"))
        return cpu_open(n_threads, out, e);
    if (!strcmp(name, "ref"))
        return ref_open(out, e);
    return err_set(e, ERR_USAGE, "device \"%s\" is not known here; known: cpu", name);
}

void device_close(struct device *d)
{
    if (d)
        d->close(d);
}
