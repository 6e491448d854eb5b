#!/usr/bin/env bash
# Builds a Debian 12 disk with cloud-init from Debian packages alone: guest/debian.sh OUT
# OUT/debian-12.qcow2 boots by BIOS from a disk of its own, without a loop mount on the way (see docs/images.md).
# Needs: mmdebstrap, e2fsprogs, fdisk, grub-pc-bin, grub-common, qemu-utils, busybox-static, kmod, cpio, lz4.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(mkdir -p "$1" && cd "$1" && pwd)
cache=${GUEST_CACHE:-$(dirname "$out")/guest}
mkdir -p "$cache"
image=$out/debian-12.qcow2

say() { printf 'debian: %s\n' "$*"; }

stamp=$(cat "$here/debian.sh" "$here"/debian/* | sha256sum | cut -c1-16)
if [ -e "$image" ] && [ "$(cat "$cache/debian.built-from" 2>/dev/null || true)" = "$stamp" ]; then
    say "up to date"
    exit 0
fi

scratch=$(mktemp -d "$cache/debian.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
root=$scratch/root

packages=systemd,systemd-sysv,dbus,udev,kmod,iproute2,isc-dhcp-client,ifupdown,cloud-init,cloud-guest-utils,e2fsprogs,openssh-server
packages+=,linux-image-cloud-amd64,qemu-guest-agent,curl,ca-certificates,sudo,python3-minimal,wireguard-tools
say "installing packages (about a minute)"
mmdebstrap --quiet --variant=minbase --mode=root --include=$packages \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Apt::Install-Recommends "false"' bookworm "$root"
version=$(ls "$root/lib/modules")
say "configuring (kernel $version)"
install -m 644 "$here/debian/cloud.cfg" "$root/etc/cloud/cloud.cfg.d/99_vmm.cfg"
install -D -m 644 "$here/debian/system.conf" "$root/etc/systemd/system.conf.d/patient.conf"
echo 'LABEL=rootfs / ext4 defaults,discard 0 1' >"$root/etc/fstab"
: >"$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_* "$root"/var/lib/apt/lists/*_* "$root"/var/cache/apt/*.bin "$root"/boot/initrd.img-*
for unit in e2scrub_reap.service e2scrub_all.timer apt-daily.timer apt-daily-upgrade.timer systemd-hwdb-update.service; do
    ln -sf /dev/null "$root/etc/systemd/system/$unit"
done

say "packing the initial file system"
# A small one of busybox and the disk drivers: it is read by the BIOS, whose reads are slow without hardware virtualisation.
first=$scratch/initrd
mkdir -p "$first"/{bin,proc,sys,dev,mod,root}
cp "$(command -v busybox)" "$first/bin/busybox"
install -m 755 "$here/debian/init" "$first/init"
modules=(virtio_pci virtio_blk virtio_scsi sd_mod ahci ata_piix nvme)
: >"$first/mod/order"
for module in "${modules[@]}"; do
    while read -r kind file _; do
        name=$(basename "$file")
        [ "$kind" = insmod ] || continue
        grep -qxF "$name" "$first/mod/order" && continue
        cp "$file" "$first/mod/"
        strip -g "$first/mod/$name"
        echo "$name" >>"$first/mod/order"
    done < <(modprobe -d "$root" -S "$version" -n --show-depends "$module" 2>/dev/null || true)
done
# virtio uses virtio_ring in some builds of this kernel without saying so.
if grep -qx virtio_ring.ko "$first/mod/order"; then
    { echo virtio_ring.ko; grep -vx virtio_ring.ko "$first/mod/order"; } >"$first/mod/sorted"
    mv "$first/mod/sorted" "$first/mod/order"
fi
(cd "$first" && find . -print0 | LC_ALL=C sort -z | cpio -o0 -H newc -R 0:0 --quiet) | lz4 -l -9 -q >"$root/boot/initrd.img"
ln -sf "vmlinuz-$version" "$root/boot/vmlinuz"
mkdir -p "$root/boot/grub"
install -m 644 "$here/debian/grub.cfg" "$root/boot/grub/grub.cfg"

say "making the disk"
mke2fs -q -t ext4 -L rootfs -m 0 -E lazy_itable_init=1,lazy_journal_init=1 -d "$root" "$scratch/root.img" 1400M
truncate -s 1402M "$scratch/disk.img"
printf 'label: dos\nstart=2048, type=83, bootable\n' | sfdisk -q "$scratch/disk.img"
dd if="$scratch/root.img" of="$scratch/disk.img" bs=1M seek=1 conv=notrunc,sparse status=none
# shellcheck disable=SC2016 # $root is GRUB's
echo 'set root=(hd0,msdos1)
set prefix=($root)/boot/grub' >"$scratch/early.cfg"
grub-mkimage -O i386-pc -c "$scratch/early.cfg" -p '(hd0,msdos1)/boot/grub' -o "$scratch/core.img" \
    biosdisk part_msdos ext2 linux normal configfile boot serial terminal
dd if=/usr/lib/grub/i386-pc/boot.img of="$scratch/disk.img" bs=440 count=1 conv=notrunc status=none
dd if="$scratch/core.img" of="$scratch/disk.img" bs=512 seek=1 conv=notrunc status=none
qemu-img convert -O qcow2 -c -o compression_type=zstd "$scratch/disk.img" "$scratch/debian-12.qcow2"
mv "$scratch/debian-12.qcow2" "$image"
echo "$stamp" >"$cache/debian.built-from"
say "debian-12 is ready in $out ($(du -sh "$image" | cut -f1))"
