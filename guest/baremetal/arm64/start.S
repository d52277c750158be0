/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C.
 *
 * The kernel is entered at its first byte: EL1, MMU and caches off, interrupts masked, x0 -> device
 * tree. Other processors start at secondary_start by PSCI, in the same state, x0 as CPU_ON was told.
 * The MMU is turned on first, for with it off memory is uncached, and a device that copies through
 * the host's caches would not be seen. The page tables are data, made by the assembler.
 */
    .set TEXT_OFFSET, 0x200000      /* as in link.ld */
    .set STACK_SHIFT, 13            /* smp.c: STACK_SIZE */

/* The header of a Linux Image. */
    .section .text.header, "ax"
    b boot_start
    .long 0
    .quad TEXT_OFFSET
    .quad image_size
    .quad 0xa                       /* little-endian, 4 KiB pages, anywhere in RAM */
    .quad 0, 0, 0
    .ascii "ARM\x64"
    .long 0

    .text
boot_start:
    mov x19, x0
    bl mmu_on
    ldr x1, =bss_start
    ldr x2, =bss_end
1:  cmp x1, x2
    b.hs 2f
    stp xzr, xzr, [x1], #16
    b 1b
2:  ldr x1, =boot_stack_end
    mov sp, x1
    mov x0, x19
    bl boot_main                    /* does not return */

/* x0: the number that smp.c gave this processor. */
    .globl secondary_start
secondary_start:
    mov x19, x0
    bl mmu_on
    ldr x1, =cpu_stacks
    add x2, x19, #1
    add x1, x1, x2, lsl #STACK_SHIFT
    mov sp, x1
    mov x0, x19
    bl secondary_main               /* does not return */

/* Arm ARM, D13.2: MAIR_EL1, TCR_EL1, TTBR0_EL1, SCTLR_EL1. Uses x0 to x2. */
mmu_on:
    ldr x0, =exception_vectors
    msr vbar_el1, x0
    mov x0, #0xff04                 /* attribute 0: device nGnRE; 1: memory, write-back */
    msr mair_el1, x0
    ldr x0, =0x803510               /* 48 bits, walks cached and inner shareable, no TTBR1 */
    mrs x1, id_aa64mmfr0_el1
    and x1, x1, #7                  /* PARange, as IPS is coded */
    orr x0, x0, x1, lsl #32
    msr tcr_el1, x0
    ldr x0, =level0
    msr ttbr0_el1, x0
    tlbi vmalle1
    dsb nsh
    isb
    mrs x0, sctlr_el1
    mov x1, #0x1005                 /* I, C, M */
    orr x0, x0, x1
    msr sctlr_el1, x0
    isb
    ret

/*
 * Exceptions: from here with SP_EL0, from here with SP_EL1, from EL0, from EL0 in AArch32; of each
 * synchronous, IRQ, FIQ, SError. What is pushed is struct exception_frame, arm64.h.
 */
    .set FRAME, 272
    .balign 2048
exception_vectors:
    .set vector, 0
    .rept 16
    .balign 128
    sub sp, sp, #FRAME
    stp x0, x1, [sp]
    mov x0, #vector
    b exception_common
    .set vector, vector + 1
    .endr

exception_common:
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x1, elr_el1
    stp x30, x1, [sp, #240]
    mrs x1, spsr_el1
    str x1, [sp, #256]
    mov x1, sp
    bl exception_dispatch
    ldr x1, [sp, #256]
    msr spsr_el1, x1
    ldp x30, x1, [sp, #240]
    msr elr_el1, x1
    ldp x28, x29, [sp, #224]
    ldp x26, x27, [sp, #208]
    ldp x24, x25, [sp, #192]
    ldp x22, x23, [sp, #176]
    ldp x20, x21, [sp, #160]
    ldp x18, x19, [sp, #144]
    ldp x16, x17, [sp, #128]
    ldp x14, x15, [sp, #112]
    ldp x12, x13, [sp, #96]
    ldp x10, x11, [sp, #80]
    ldp x8, x9, [sp, #64]
    ldp x6, x7, [sp, #48]
    ldp x4, x5, [sp, #32]
    ldp x2, x3, [sp, #16]
    ldp x0, x1, [sp]
    add sp, sp, #FRAME
    eret

    .ltorg

/*
 * 0 to 1 TiB identity-mapped by blocks of 1 GiB: devices, then up to 256 GiB memory, then devices
 * again: ECAM and the window for 64-bit BARs.
 */
    .set DEVICE, 0x0060000000000401 /* a block; accessed; never executed */
    .set MEMORY, 0x0000000000000705 /* a block; accessed; inner shareable; attribute 1 */
    .set GIB, 1 << 30
    .data
    .balign 4096
level0:
    .quad level1 + 3, level1 + 0x1003
    .fill 510, 8, 0
level1:
    .quad DEVICE
    .set page, GIB
    .rept 255
    .quad page + MEMORY
    .set page, page + GIB
    .endr
    .rept 768
    .quad page + DEVICE
    .set page, page + GIB
    .endr

    .bss
    .balign 16
    .fill 16384
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
