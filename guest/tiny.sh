#!/usr/bin/env bash
# Builds the tiny guest from Debian packages alone: guest/tiny.sh OUT
# OUT becomes a folder that serves as images_dir; the image is OUT/tiny (see docs/images.md).
# The agent comes from the build: $GUEST_AGENT, or build/release/bin/vmm-guest-agent.
# Needs: apt (package lists fetched), dpkg-deb, lz4, cpio, kmod, binutils, busybox-static, python3.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
cache=${GUEST_CACHE:-$(dirname "$out")/guest}
mkdir -p "$cache"

say() { printf 'guest: %s\n' "$*"; }

package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-6/ {print $2; exit}')
if [ -z "$package" ]; then
    echo "guest: the package list does not name a cloud kernel; run 'apt-get update' first" >&2
    exit 1
fi
agent=${GUEST_AGENT:-$here/../build/release/bin/vmm-guest-agent}
recipe=$(cat "$agent" "$here/tiny.sh" "$here/init" "$here/udhcpc.sh" "$here/image.json" | sha256sum | cut -c1-16)
stamp="$package $recipe"
if [ "$(cat "$out/tiny/.built-from" 2>/dev/null || true)" = "$stamp" ]; then
    say "up to date ($package)"
    exit 0
fi

scratch=$(mktemp -d "$cache/work.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

if ! ls "$cache/$package"_*.deb >/dev/null 2>&1; then
    say "fetching $package"
    # apt's own user cannot write to every folder; fetched unsandboxed into the scratch folder.
    (cd "$scratch" && apt-get -o APT::Sandbox::User=root -qq download "$package")
    mv "$scratch/$package"_*.deb "$cache/"
fi
say "unpacking $package"
dpkg-deb -x "$(ls "$cache/$package"_*.deb | head -n 1)" "$scratch/kernel"
version=$(ls "$scratch/kernel/lib/modules")
depmod -b "$scratch/kernel" "$version"

say "extracting vmlinux"
# vmlinuz carries the kernel as an lz4 stream followed by four bytes that lz4 calls an error.
python3 - "$scratch/kernel/boot/vmlinuz-$version" "$scratch/vmlinux.lz4" <<'PY'
import sys
data = open(sys.argv[1], "rb").read()
start = data.find(b"\x02\x21\x4c\x18")
if start < 0:
    sys.exit("guest: no lz4 stream in the kernel image")
open(sys.argv[2], "wb").write(data[start:])
PY
lz4 -dcq "$scratch/vmlinux.lz4" >"$scratch/vmlinux" 2>/dev/null || true
if [ "$(head -c 4 "$scratch/vmlinux" | od -An -tx1 | tr -d ' ')" != 7f454c46 ]; then
    echo "guest: the unpacked kernel is not an ELF file" >&2
    exit 1
fi

say "packing the initial file system"
root="$scratch/root"
mkdir -p "$root"/{bin,proc,sys,dev,mod,etc,tmp,run,root}
cp "$(command -v busybox)" "$root/bin/busybox"
install -m 755 "$here/init" "$root/init"
install -m 755 "$here/udhcpc.sh" "$root/etc/udhcpc.sh"
install -m 755 "$agent" "$root/bin/vmm-guest-agent"
echo "root:x:0:0:root:/root:/bin/sh" >"$root/etc/passwd"
python3 - "$scratch/kernel/lib/modules/$version" "$root/mod" <<'PY'
"""Copies the wanted modules and writes their load order, dependencies first."""
import os, shutil, subprocess, sys
modules, out = sys.argv[1:]
wanted = ("virtio_pci virtio_mmio virtio_blk virtio_net virtio_rng virtio_console virtio_balloon virtio_scsi sd_mod sr_mod isofs "
          "button evdev").split()
path, needs = {}, {}
for line in open(os.path.join(modules, "modules.dep")):
    file, _, rest = line.partition(":")
    name = lambda f: os.path.basename(f)[:-3].replace("-", "_")
    path[name(file)] = file
    needs[name(file)] = [name(f) for f in rest.split()]
order = []
def add(name):
    if name not in needs or name in order:
        return
    for need in needs[name]:
        add(need)
    # virtio itself uses virtio_ring in some builds of this kernel without saying so.
    if name == "virtio":
        add("virtio_ring")
    if name not in order:
        order.append(name)
for name in wanted:
    add(name)
for name in order:
    target = os.path.join(out, name + ".ko")
    shutil.copy(os.path.join(modules, path[name]), target)
    subprocess.run(["strip", "-g", target], check=True)
open(os.path.join(out, "order"), "w").write("\n".join(order) + "\n")
PY
# The same input gives the same archive: fixed times, fixed order, fixed owner.
find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio -o0 -H newc -R 0:0 --reproducible --quiet) >"$scratch/initrd.cpio"
lz4 -l -9 -q -f "$scratch/initrd.cpio" "$scratch/initrd"

new="$scratch/tiny"
mkdir -p "$new"
install -m 644 "$scratch/vmlinux" "$scratch/initrd" "$here/image.json" "$new/"
printf '%s\n' "$stamp" >"$new/.built-from"
rm -rf "$out/tiny"
mv "$new" "$out/tiny"
say "tiny is ready in $out (kernel $version, $(du -sh "$out/tiny" | cut -f1))"
