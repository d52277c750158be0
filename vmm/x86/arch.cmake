# SPDX-License-Identifier: MIT
# What the x86 build needs besides its C files: the DSDT, compiled by iasl from vmm/x86/dsdt.asl.
# vmm/x86/dsdt.S puts the result into the program.
find_program(IASL iasl)
if(NOT IASL)
    message(FATAL_ERROR "iasl, the ACPI compiler, is missing (Debian's package acpica-tools)")
endif()

set(DSDT_SOURCE ${CMAKE_SOURCE_DIR}/vmm/x86/dsdt.asl)
set(DSDT_AML ${CMAKE_BINARY_DIR}/generated/dsdt.aml)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/generated)
# -we makes warnings errors; -vs and -vi keep it to one line a message.
add_custom_command(OUTPUT ${DSDT_AML}
    COMMAND ${IASL} -vs -vi -we -p ${CMAKE_BINARY_DIR}/generated/dsdt ${DSDT_SOURCE}
    DEPENDS ${DSDT_SOURCE}
    COMMENT "Compiling the DSDT"
    VERBATIM)
set(DSDT_ASSEMBLY ${CMAKE_SOURCE_DIR}/vmm/x86/dsdt.S)
set_source_files_properties(${DSDT_ASSEMBLY} PROPERTIES
    OBJECT_DEPENDS ${DSDT_AML}
    COMPILE_OPTIONS "-Wa,-I${CMAKE_BINARY_DIR}/generated")
target_sources(minivmm_core PRIVATE ${DSDT_ASSEMBLY})
