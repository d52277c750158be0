/* SPDX-License-Identifier: MIT */
/* The compiled DSDT (vmm/x86/dsdt.asl), as bytes: acpi_dsdt[] and its size. */
    .section .rodata
    .balign 8
    .globl acpi_dsdt, acpi_dsdt_end
acpi_dsdt:
    .incbin "dsdt.aml"
acpi_dsdt_end:
    .section .note.GNU-stack, "", @progbits
