#!/bin/bash
# make-boot-disk.sh OUT SIZE_MIB TREE [MKE2FS_OPTION...]: a raw disk that a BIOS boots.
#
# The disk: the master boot record with GRUB's boot.img; GRUB's core image in the gap up to 1 MiB; one primary
# partition from there to the end, ext4 with the label cloudimg-rootfs, filled from TREE. GRUB reads
# /boot/grub/grub.cfg of the disk it was itself loaded from, whatever other disks with that label are attached.
# Needs no mount, no loop device and no root; as an ordinary user all files come out owned by root.
# OUT is written in place: the caller chooses a temporary name.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

[ $# -ge 3 ] || { echo "usage: make-boot-disk.sh OUT SIZE_MIB TREE [MKE2FS_OPTION...]" >&2; exit 2; }
out=$1 mib=$2 tree=$3
shift 3
grub=/usr/lib/grub/i386-pc
scratch=$(mktemp -d "${TMPDIR:-/tmp}/amid-disk.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

rm -f "$out"
truncate -s "${mib}M" "$out"
echo "start=2048, type=83, bootable" | sfdisk -q --no-reread --no-tell-kernel "$out"

# Inode tables are written as zeros now (holes, in a file), so that no guest does it in the background later.
mke2fs -q -F -t ext4 -L cloudimg-rootfs -b 4096 -d "$tree" \
	-E offset=1048576,root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0 "$@" "$out" $(((mib - 1) * 1024))k

if [ "$(id -u)" != 0 ]; then
	(cd "$tree" && find . -mindepth 1 -printf 'sif "/%P" uid 0\nsif "/%P" gid 0\n') >"$scratch/owners"
	debugfs -w -f "$scratch/owners" "$out?offset=1048576" >"$scratch/owners.log" 2>&1
fi

# "(,msdos1)": partition 1 of the drive that the BIOS booted.
grub-mkimage -d "$grub" -O i386-pc -C xz -p '(,msdos1)/boot/grub' -o "$scratch/core.img" \
	biosdisk part_msdos ext2 normal configfile linux serial terminal echo test minicmd ls cat search \
	search_label search_fs_uuid
[ "$(stat -c %s "$scratch/core.img")" -lt $((2047 * 512)) ] || { echo "GRUB's core image is too big" >&2; exit 1; }
dd if="$grub/boot.img" of="$out" bs=440 count=1 conv=notrunc status=none
dd if="$scratch/core.img" of="$out" bs=512 seek=1 conv=notrunc status=none

# mke2fs and dd write zeros here and there: make them holes again.
fallocate --dig-holes "$out" 2>/dev/null || true
