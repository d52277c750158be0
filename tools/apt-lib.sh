# SPDX-License-Identifier: MIT
#
# To be sourced by bash: reads Debian packages of any architecture without installing them.
#
# APT runs with a configuration, state and cache of its own in a temporary folder, so that neither
# the list of architectures nor the package lists of this machine change and no privilege is needed.
# Where the packages come from, and the keys they are checked with, is what this machine is set up
# for: APT's own sources.

# Debian's name for the architecture that this project calls $1.
debian_arch() {
    case $1 in
        x86) echo amd64 ;;
        arm64) echo arm64 ;;
        *) return 1 ;;
    esac
}

# Makes apt-get and apt-cache of this shell read the archive for architecture $1 (this project's
# name) and for this machine's own. $2 is an existing folder for APT's state; the caller removes it.
apt_begin() {
    local arch work=$2
    arch=$(debian_arch "$1")
    mkdir -p "$work"/{state/lists/partial,cache/archives/partial,debs}
    : >"$work/status"
    cat >"$work/apt.conf" <<END
APT::Architecture "$arch";
APT::Architectures { "$arch"; "$(dpkg --print-architecture)"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$work/state";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
END
    export APT_CONFIG=$work/apt.conf
    apt_work=$work
    apt-get -qq update
}

# Prints the names of the packages that package $1 depends on.
apt_depends() {
    apt-cache --no-all-versions show "$1" | sed -n 's/^Depends: //p' | tr ',|' '\n\n' |
        sed 's/^ *\([^ ]*\).*/\1/'
}

# Downloads packages $2... and unpacks them into folder $1, made if need be.
apt_unpack() {
    local dir=$1 deb
    shift
    rm -f "$apt_work"/debs/*.deb
    (cd "$apt_work/debs" && apt-get -qq download "$@")
    mkdir -p "$dir"
    for deb in "$apt_work"/debs/*.deb; do
        dpkg-deb -x "$deb" "$dir"
    done
}
