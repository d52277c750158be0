/* SPDX-License-Identifier: MIT */
#include "test.h"

enum outcome { PASSED, FAILED, SKIPPED };

static const char *current;
static enum outcome outcome;

bool test_check_equal(const char *file, unsigned line, const char *what, uint64_t actual,
                      uint64_t expected)
{
    if (actual == expected) {
        return true;
    }
    if (outcome == PASSED) {
        outcome = FAILED;
        print("FAIL %s: %s:%u: %s expected %lx got %lx\n", current, file, line, what, expected,
              actual);
    }
    return false;
}

bool test_check(const char *file, unsigned line, const char *what, bool condition)
{
    if (!condition && outcome == PASSED) {
        outcome = FAILED;
        print("FAIL %s: %s:%u: %s\n", current, file, line, what);
    }
    return condition;
}

void test_skip(const char *reason)
{
    if (outcome == PASSED) {
        outcome = SKIPPED;
        print("SKIP %s: %s\n", current, reason);
    }
}

bool test_over(void)
{
    return outcome != PASSED;
}

void test_delay(unsigned microseconds)
{
    const uint64_t start = arch_ticks();

    while (arch_ticks() - start < microseconds * arch_ticks_per_ms / 1000) {
        arch_relax();
    }
}

uint64_t test_parameter(const char *key, uint64_t fallback)
{
    const char *at = arch_command_line();

    while (*at) {
        const char *k = key;
        while (*k && *at == *k) {
            at++;
            k++;
        }
        if (!*k && *at == '=') {
            uint64_t value = 0;
            for (at++; *at >= '0' && *at <= '9'; at++) {
                value = value * 10 + (uint64_t)(*at - '0');
            }
            return value;
        }
        while (*at && *at++ != ' ') {
        }
    }
    return fallback;
}

bool test_taken(unsigned taken, unsigned expected)
{
    const unsigned most = test_parameter("level-repeats", 0) ? 2 * expected : expected;

    return taken >= expected && taken <= most;
}

/* xorshift64 (Marsaglia, "Xorshift RNGs", 2003). */
uint64_t test_random(void)
{
    static uint64_t state = 0x9e3779b97f4a7c15;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

void test_main(void)
{
    const uint64_t only = test_parameter("only", 0);
    unsigned counts[3] = {0};

    for (const struct test *test = tests; test->name; test++) {
        if (only && only != (uint64_t)(test - tests) + 1) {
            continue;
        }
        current = test->name;
        outcome = PASSED;
        test->run();
        if (outcome == PASSED) {
            print("PASS %s\n", test->name);
        }
        counts[outcome]++;
    }
    print("RESULT %u passed, %u failed, %u skipped\n", counts[PASSED], counts[FAILED],
          counts[SKIPPED]);
    arch_power_off();
}
