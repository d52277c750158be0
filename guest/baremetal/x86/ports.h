/* SPDX-License-Identifier: MIT */
/* I/O ports and the instructions for them. For x86's own tests and start code. */
#ifndef BAREMETAL_X86_PORTS_H
#define BAREMETAL_X86_PORTS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PORT_KEYBOARD_COMMAND = 0x64,
    KEYBOARD_PULSE_RESET = 0xfe,
    PORT_CMOS_INDEX = 0x70,
    PORT_CMOS_DATA = 0x71,
    PORT_SERIAL = 0x3f8,
    PORT_PVPANIC = 0x505,
    PORT_PM1_CONTROL = 0x604,
    PM1_SLEEP_S5 = 1 << 13, /* SLP_EN; the machine's \_S5 has SLP_TYP 0 */
    PORT_CONFIG_ADDRESS = 0xcf8,
    CONFIG_ENABLE = 0x80000000,
    PORT_RESET_CONTROL = 0xcf9,
    RESET_FULL = 0x06,
    PORT_CONFIG_DATA = 0xcfc,
};

#define DEFINE_PORT(type, suffix)                                                                  \
    static inline type in##suffix(uint16_t port)                                                   \
    {                                                                                              \
        type value;                                                                                \
        __asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");            \
        return value;                                                                              \
    }                                                                                              \
    static inline void out##suffix(uint16_t port, type value)                                      \
    {                                                                                              \
        __asm__ volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory");           \
    }                                                                                              \
    /* `count` transfers, with the direction flag as given. Address of the next element. */        \
    static inline void *rep_ins##suffix(uint16_t port, void *to, uint64_t count, bool down)        \
    {                                                                                              \
        if (down) {                                                                                \
            __asm__ volatile("std; rep ins" #suffix "; cld"                                        \
                             : "+D"(to), "+c"(count)                                               \
                             : "d"(port)                                                           \
                             : "memory");                                                          \
        } else {                                                                                   \
            __asm__ volatile("rep ins" #suffix : "+D"(to), "+c"(count) : "d"(port) : "memory");    \
        }                                                                                          \
        return to;                                                                                 \
    }                                                                                              \
    static inline const void *rep_outs##suffix(uint16_t port, const void *from, uint64_t count,    \
                                               bool down)                                          \
    {                                                                                              \
        if (down) {                                                                                \
            __asm__ volatile("std; rep outs" #suffix "; cld"                                       \
                             : "+S"(from), "+c"(count)                                             \
                             : "d"(port)                                                           \
                             : "memory");                                                          \
        } else {                                                                                   \
            __asm__ volatile("rep outs" #suffix : "+S"(from), "+c"(count) : "d"(port) : "memory"); \
        }                                                                                          \
        return from;                                                                               \
    }
DEFINE_PORT(uint8_t, b)
DEFINE_PORT(uint16_t, w)
DEFINE_PORT(uint32_t, l)
#undef DEFINE_PORT

#endif
