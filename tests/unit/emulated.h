/* SPDX-License-Identifier: MIT */
/* For tests that start their own program anew, which user-mode emulation does not offer. */
#ifndef TESTS_UNIT_EMULATED_H
#define TESTS_UNIT_EMULATED_H

#include <stdlib.h>

/* After <cmocka.h>. CTest sets the variable when it runs tests under an emulator. */
static inline void skip_if_emulated(void)
{
    if (getenv("MINIVMM_EMULATED")) {
        print_message("skipped: a program cannot start itself under user-mode emulation\n");
        skip();
    }
}

#endif
