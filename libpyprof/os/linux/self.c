/*
 * self: what this process has loaded, and what its processor can do. Neither
 * changes while the process runs.
 */
#include "os/os.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

void *pp_os_symbol(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

#if defined(__x86_64__)
/* The counter runs at one rate, in all power states. */
static bool is_invariant(void)
{
    unsigned a;
    unsigned b;
    unsigned c;
    unsigned d;
    return __get_cpuid(0x80000007, &a, &b, &c, &d) != 0 && (d & 1U << 8) != 0;
}

/* The kernel stops using the counter when it finds that processors differ. */
static bool is_kernels_clock(void)
{
    static const char path[] =
        "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    char text[8] = "";
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t n = read(file, text, sizeof(text));
    (void)close(file);
    return n >= 4 && memcmp(text, "tsc\n", 4) == 0;
}
#endif

bool pp_os_ticks_steady(void)
{
#if defined(__x86_64__)
    return is_invariant() && is_kernels_clock();
#else
    return true; /* architected to be so; or it is pp_os_now itself */
#endif
}
