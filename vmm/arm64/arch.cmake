# SPDX-License-Identifier: MIT
# What the arm64 build needs besides its C files: libfdt, which writes the device tree, and zlib,
# for gzip-compressed kernels. Static ones where there are, as the program may be linked statically.
find_library(FDT_LIBRARY NAMES libfdt.a fdt)
find_path(FDT_INCLUDE libfdt.h)
find_library(ZLIB_LIBRARY NAMES libz.a z)
find_path(ZLIB_INCLUDE zlib.h)
if(NOT FDT_LIBRARY OR NOT FDT_INCLUDE OR NOT ZLIB_LIBRARY OR NOT ZLIB_INCLUDE)
    message(FATAL_ERROR "libfdt or zlib is missing (Debian's packages libfdt-dev and zlib1g-dev; "
        "for a cross build tools/demo --arch arm64 --prepare fetches them)")
endif()
target_include_directories(minivmm_core PUBLIC ${FDT_INCLUDE} ${ZLIB_INCLUDE})
target_link_libraries(minivmm_core PUBLIC ${FDT_LIBRARY} ${ZLIB_LIBRARY})
