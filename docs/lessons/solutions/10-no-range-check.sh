#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Takes the check of a copy's ranges out of vmm/dma_copy.c: for the exercise of lesson 10, in a tree to throw
# away.

set -e
cd "$(dirname "$0")/../../.."
sed -i '/^static bool range_is_valid/,/^}/s/return .*/return address.raw + length + 1 > 0;/' vmm/dma_copy.c
