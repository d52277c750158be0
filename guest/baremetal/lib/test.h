/* SPDX-License-Identifier: MIT */
/*
 * A test guest: a table of tests that main() in test.c runs in order, one line of output each, and
 * a closing line:
 *
 *     PASS name
 *     FAIL name: file:line: what expected 0x1 got 0x2
 *     SKIP name: reason
 *     RESULT 2 passed, 1 failed, 1 skipped
 *
 * then it powers the machine off. tests/baremetal/run believes these lines and nothing else. With
 * only=N on the command line the Nth test is run alone.
 */
#ifndef BAREMETAL_TEST_H
#define BAREMETAL_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "arch.h"
#include "print.h"

struct test {
    const char *name;
    void (*run)(void);
};

/* Each test program defines it; ends with a name of NULL. */
extern const struct test tests[];

/* Checks: the first that fails makes the test fail, and leaves the function it stands in. */
#define CHECK_EQ(actual, expected)                                                                 \
    do {                                                                                           \
        if (!test_check_equal(__FILE_NAME__, __LINE__, #actual, (uint64_t)(actual),                \
                              (uint64_t)(expected)))                                               \
            return;                                                                                \
    } while (0)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!test_check(__FILE_NAME__, __LINE__, #condition, (condition)))                         \
            return;                                                                                \
    } while (0)

#define SKIP(reason)                                                                               \
    do {                                                                                           \
        test_skip(reason);                                                                         \
        return;                                                                                    \
    } while (0)

/* Poll until `condition` holds, for two seconds at most; its last value. */
#define WAIT_UNTIL(condition)                                                                      \
    ({                                                                                             \
        const uint64_t wait_start = arch_ticks();                                                  \
        bool wait_result;                                                                          \
        while (!(wait_result = (condition)) &&                                                     \
               arch_ticks() - wait_start < 2000 * arch_ticks_per_ms) {                             \
            arch_relax();                                                                          \
        }                                                                                          \
        wait_result;                                                                               \
    })

bool test_check_equal(const char *file, unsigned line, const char *what, uint64_t actual,
                      uint64_t expected);
bool test_check(const char *file, unsigned line, const char *what, bool condition);
void test_skip(const char *reason);

/* True once the running test has failed or was skipped. */
bool test_over(void);

/* Let `microseconds` pass, about. */
void test_delay(unsigned microseconds);

/* The number in "key=number" of the command line, or `fallback`. */
uint64_t test_parameter(const char *key, uint64_t fallback);

/*
 * Is it right that a level-triggered interrupt was taken so often? With level-repeats=1 on the
 * command line each may have come twice: there are KVMs without hardware support that deliver one
 * more after the end of interrupt, although the wire is down by then.
 */
bool test_taken(unsigned taken, unsigned expected);

/* The next of a sequence of random numbers, the same in each run. */
uint64_t test_random(void);

/* For the architecture's start code: run the tests and power off. */
_Noreturn void test_main(void);

#endif
