/* SPDX-License-Identifier: MIT */
/* The beginning of a target that uses a fixture of the unit tests. */
#include "tests/fuzz/fuzz.h"

/* An assertion of a fixture ends the program, as must() does. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    return 0;
}
