# SPDX-License-Identifier: MIT
# bash completion for minivmm. Options come from --help, devices and events from the program itself, so
# that this file knows none of them; tests/unit/completions.sh tries it.

# Complete what comes behind the last comma of the word from the list in $1.
_minivmm_behind_comma() {
    local start=
    [[ $cur == *,* ]] && start=${cur%,*},
    mapfile -t COMPREPLY < <(compgen -P "$start" -W "$1" -- "${cur##*,}")
}

_minivmm_devices() {
    "$program" --device help 2>/dev/null | sed -n 's/^  \([a-z][a-z0-9-]*\) .*/\1/p'
}

_minivmm_events() {
    "$program" --trace help 2>/dev/null | sed -n 's/^\([a-z0-9_]*\)  *o[nf].*/\1/p'
}

_minivmm_device() {
    if [[ $cur == *,* ]]; then
        local properties
        properties=$("$program" --device "${cur%%,*},help" 2>/dev/null |
            sed -n 's/^  \([a-z][a-z0-9-]*=\).*/\1/p')
        _minivmm_behind_comma "$properties help"
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
    else
        mapfile -t COMPREPLY < <(compgen -W "$(_minivmm_devices) help" -- "$cur")
        compopt -o nospace 2>/dev/null
    fi
}

_minivmm() {
    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]}
    # --name=value is three words to bash: the name, =, and the value.
    if [[ $cur == = ]]; then
        cur=
    elif [[ $option == = ]]; then
        option=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    case $option in
        --kernel | --initrd | --disk | --trace-file | --dump-machine | --dump-dtb)
            compopt -o filenames 2>/dev/null
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            ;;
        --trace) _minivmm_behind_comma "$(_minivmm_events) help" ;;
        --trace-format) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$cur") ;;
        --device) _minivmm_device ;;
        --net) mapfile -t COMPREPLY < <(compgen -W "user tap=" -- "$cur") ;;
        --iommu) mapfile -t COMPREPLY < <(compgen -W "smmuv3" -- "$cur") ;;
        --machine) _minivmm_behind_comma "help" ;;
        --append | --memory | -m | --smp | --dma-engine | --gdb | --monitor | --qmp) ;;
        *)
            local options
            options=$("$program" --help 2>/dev/null |
                sed -n 's/^  \(-[a-z], \)\{0,1\}\(--[a-z-]*\).*/\2/p')
            mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
            ;;
    esac
}

complete -F _minivmm minivmm
