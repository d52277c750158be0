/* SPDX-License-Identifier: MIT */
/*
 * Errors that a person reads.
 *
 * A function that can fail while the machine is being set up returns a negative errno and describes
 * the failure once, where all the facts are at hand, in the caller's `struct error`. Callers pass
 * it on untouched; only main() prints it, as a single line.
 */
#ifndef VMM_ERROR_H
#define VMM_ERROR_H

struct error {
    char text[512]; /* one line, without a newline; empty while nothing has failed */
};

/*
 * Describe a failure. `code` is a negative errno and is returned, so that a caller can write
 * `return error_set(err, -EINVAL, "--smp %u: ...", n);`. `err` may be NULL: the text is dropped.
 */
__attribute__((format(printf, 3, 4))) int error_set(struct error *err, int code, const char *format,
                                                    ...);

#endif
