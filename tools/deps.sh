#!/usr/bin/env bash
# Installs the Debian and npm packages that are missing; does nothing, and asks no server, when none is.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
    # toolchain
    clang-19 clang-tidy-19 clang-format-19 clang-tools-19 libclang-rt-19-dev lld-19 g++ cmake ninja-build ccache pkg-config git
    # libraries
    libboost1.81-dev libboost-json1.81-dev libboost-url1.81-dev libsecp256k1-dev libcrypto++-dev libssl-dev libsqlite3-dev
    libcli11-dev libtomlplusplus-dev libspdlog-dev libfmt-dev libzstd-dev libseccomp-dev libnl-3-dev libnl-route-3-dev libnftables-dev libyaml-dev libarchive-dev libcrypt-dev libgtest-dev libgmock-dev
    # machines and the tiny guest
    qemu-system-x86 qemu-utils ovmf busybox-static cpio lz4 binutils kmod apt ca-certificates
    # networks
    dnsmasq-base nftables iproute2
    # the Debian guest
    mmdebstrap e2fsprogs fdisk grub-pc-bin grub-common
    # tests and checks
    python3 python3-pytest python3-pycryptodome curl nodejs npm codespell shellcheck man-db groff-base procps
    wireguard-go wireguard-tools openssh-client
)

missing=()
for package in "${packages[@]}"; do
    [ "$package" = npm ] && command -v npm >/dev/null && continue
    [ "$package" = nodejs ] && command -v node >/dev/null && continue
    status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    echo "deps: installing ${#missing[@]} packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq -o Dpkg::Use-Pty=0 install -y --no-install-recommends "${missing[@]}" >/dev/null
fi
if [ ! -e tests/js/node_modules/.package-lock.json ] || [ tests/js/package-lock.json -nt tests/js/node_modules/.package-lock.json ]; then
    echo "deps: installing npm packages for the tests"
    (cd tests/js && npm ci --silent --no-audit --no-fund --ignore-scripts)
fi
# The guest's build looks its kernel up in apt's lists.
if ! apt-cache depends linux-image-cloud-amd64 >/dev/null 2>&1; then
    apt-get -qq update
fi
