#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What bash completes for minivmm: completions.sh PROGRAM BASH-COMPLETION ZSH-COMPLETION MAN-PAGE
# Also tries whether zsh and a formatter of manual pages can read theirs, where there are such.
# Ends with status 0 and "N passed, N failed, N skipped".

set -u
program=$1
passed=0
failed=0
skipped=0

# shellcheck source=/dev/null
. "$2"

pass() {
    echo "PASS $1"
    passed=$((passed + 1))
}

fail() {
    echo "FAIL $1"
    failed=$((failed + 1))
}

skip() {
    echo "SKIP $1"
    skipped=$((skipped + 1))
}

# $1: what must be offered, or with ! in front must not; the rest: the words, the last of them unfinished
offers() {
    local wanted=$1
    shift
    COMP_WORDS=("$program" "$@")
    COMP_CWORD=$#
    COMPREPLY=()
    _minivmm 2>/dev/null
    if [[ $wanted == !* && " ${COMPREPLY[*]} " != *" ${wanted#!} "* ]] ||
        [[ $wanted != !* && " ${COMPREPLY[*]} " == *" $wanted "* ]]; then
        pass "$wanted for '$*'"
    else
        fail "$wanted for '$*': it offers ${COMPREPLY[*]}"
    fi
}

for option in $("$program" --help | sed -n 's/^  \(-[a-z], \)\{0,1\}\(--[a-z-]*\).*/\2/p'); do
    offers "$option" "${option%?}"
done
offers '!--kernel' --s
offers dma-engine --device dma-
offers help --device he
offers '!--dump-machine' --device -
offers dma-engine,inline-max= --device dma-engine,inl
offers dma-engine,id=x,bus= --device dma-engine,id=x,b
offers root-port --device = roo
offers irq_level --trace irq_l
offers 'pci_*,irq_level' --trace 'pci_*,irq_l'
offers '!an' --trace a
offers json --trace-format j
offers "$2" --kernel "${2%?}"

if command -v zsh >/dev/null; then
    if zsh -n "$3"; then pass "zsh reads its file"; else fail "zsh cannot read its file"; fi
else
    skip "zsh reads its file: zsh is not installed"
fi
if command -v groff >/dev/null; then
    said=$(groff -man -Tutf8 -ww "$4" 2>&1 >/dev/null)
    if [ -z "$said" ]; then pass "the manual page can be formatted"; else fail "manual page: $said"; fi
else
    skip "the manual page can be formatted: groff is not installed"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
