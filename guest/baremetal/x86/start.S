/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C.
 *
 * The x86/HVM direct boot ABI (PVH) enters at pvh_start: 32-bit protected mode, flat segments, paging
 * off, interrupts off, %ebx -> struct hvm_start_info. Other processors come out of INIT-SIPI at the
 * copy of ap_trampoline in real mode and join at protected_mode. The page tables are data, made by
 * the assembler: on a KVM that emulates instructions, filling them at run time would take longer
 * than most tests.
 */
    .set CODE64, 0x08
    .set DATA, 0x10
    .set CODE32, 0x18
    .set TRAMPOLINE, 0x8000

/* The PVH entry point, where a loader finds it: owner "Xen", type 18 XEN_ELFNOTE_PHYS32_ENTRY. */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long pvh_start

    .text
    .code32
    .globl pvh_start
pvh_start:
    cli
    cld
    movl $boot_stack_end, %esp
    movl %esp, ap_stack
    lgdtl gdt_pointer
    ljmpl $CODE32, $protected_mode

/* To long mode, SDM volume 3, "Initializing IA-32e Mode". %ebx is kept. */
protected_mode:
    movl $DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $0x20, %eax            /* CR4.PAE */
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx      /* EFER.LME */
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl $0x80000011, %eax      /* CR0.PG, ET, PE; caches on */
    movl %eax, %cr0
    ljmpl $CODE64, $long_mode

    .code64
long_mode:
    movq ap_stack, %rsp
    xorl %ebp, %ebp
    movl %ebx, %edi
    testl %edi, %edi
    jz 1f
    call boot_main              /* does not return */
1:  call ap_main
2:  cli
    hlt
    jmp 2b

/* Position-independent but for TRAMPOLINE, where it is copied to. */
    .code16
    .globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    cld
    xorl %ebx, %ebx             /* says to long_mode that this is not the first processor */
    movw %bx, %ds
    lgdtl trampoline_gdt - ap_trampoline + TRAMPOLINE
    movl $0x11, %eax
    movl %eax, %cr0
    ljmpl $CODE32, $protected_mode
    .balign 4
trampoline_gdt:
    .word gdt_end - gdt - 1
    .long gdt
ap_trampoline_end:

/* Each stub: the vector on top of an error code, whether the processor pushes one or not. */
    .code64
    .globl interrupt_stubs, spurious_stub
    .balign 16
interrupt_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr
    .set vector, 0x30
    .rept 48
    .balign 16
    pushq $0
    pushq $vector
    jmp interrupt_common
    .set vector, vector + 1
    .endr
spurious_stub:
    iretq

interrupt_common:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rbx
    pushq %rbp
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call interrupt_dispatch
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rbp
    popq %rbx
    popq %rdx
    popq %rcx
    popq %rax
    addq $16, %rsp
    iretq

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff    /* CODE64 */
    .quad 0x00cf93000000ffff    /* DATA */
    .quad 0x00cf9b000000ffff    /* CODE32 */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
    .globl ap_stack
    .balign 8
ap_stack:
    .quad 0

/* 0 to 5 GiB identity-mapped by 2 MiB pages; uncached where a q35 has no RAM below 4 GiB. */
    .balign 4096
pml4:
    .quad pdpt + 0x03           /* present, writable */
    .fill 511, 8, 0
pdpt:
    .quad pd + 0x0003, pd + 0x1003, pd + 0x2003, pd + 0x3003, pd + 0x4003
    .fill 507, 8, 0
    .set page, 0
pd:
    .rept 0xb0000000 / 0x200000
    .quad page + 0x83           /* present, writable, 2 MiB */
    .set page, page + 0x200000
    .endr
    .rept (0x140000000 - 0xb0000000) / 0x200000
    .quad page + 0x9b           /* the same, write-through, cache disabled */
    .set page, page + 0x200000
    .endr

    .bss
    .balign 16
    .fill 16384
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
