#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Install the Debian packages that are missing: those to build and demonstrate, with "test" those of
# the tests and benchmarks as well. Says nothing when all are there.
set -euo pipefail

packages=(gcc make pkg-config clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev libyaml-dev libjansson-dev
    libcap-ng-dev uthash-dev linux-libc-dev scdoc iproute2 util-linux curl openssl nginx-light)
if [ "${1:-}" = test ]; then
    packages+=(libcmocka-dev libssl-dev libclang-rt-14-dev python3-pytest python3-scapy python3-yaml libnginx-mod-stream
        haproxy sniproxy nftables ethtool procps bash-completion gnutls-bin gnuplot-nox clang-format shellcheck codespell jq)
fi

missing=()
for p in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "missing Debian packages; as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
# A service that a package would start is not wanted: only the programs are.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' > $policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
log=$(mktemp)
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > "$log" 2>&1; then
    cat "$log" >&2
    echo "apt-get could not install: ${missing[*]}" >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"
