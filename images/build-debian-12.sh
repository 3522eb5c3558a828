#!/bin/bash
# build-debian-12.sh OUT.raw CACHE_DIR: the "debian-12" Quick Start disk. Debian 12 with cloud-init (Ec2 data
# source), OpenSSH and qemu-guest-agent, on a disk that a BIOS boots.
#
# debootstrap makes the base system; apt inside it brings security updates and the rest, so each package is
# installed once, in its newest version. The mirrors are those of the host's apt. Needs root (chroot); the chroot
# runs in mount and pid namespaces of its own, so whatever ends the build leaves no mount and no process.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source=common.sh
. "$here/common.sh"

disk_mib=2048

# host_sources: the lines of a sources.list for Debian 12, as the host's apt has them.
host_sources()
{
	# shellcheck disable=SC2016  # the names are apt's, not the shell's
	apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
		grep -E '^deb [^ ]+ bookworm(-updates|-security)? main$' | sort -u
}

make_base()
{
	local mirror proxy
	host_sources >"$SCRATCH/sources" || true
	mirror=$(awk '$3 == "bookworm" { print $2; exit }' "$SCRATCH/sources")
	[ -n "$mirror" ] || die "apt's sources have no Debian 12 (bookworm) here, or 'apt-get update' never ran"
	proxy=$(apt-config dump Acquire::http::Proxy | sed -n 's/^Acquire::http::Proxy "\(.*\)";$/\1/p')
	[ -z "$proxy" ] || export http_proxy=$proxy
	say "base system from $mirror"
	mkdir -p "$CACHE/debian-12"
	contained debootstrap --variant=minbase --include=ca-certificates \
		--cache-dir="$CACHE/debian-12" bookworm "$tree" "$mirror" >"$log" 2>&1 || failed "debootstrap"
	cp "$SCRATCH/sources" "$tree/etc/apt/sources.list"
	[ -z "$proxy" ] || printf 'Acquire::http::Proxy "%s";\n' "$proxy" >"$tree/etc/apt/apt.conf.d/00amid-build"
}

failed()
{
	tail -n 15 "$log" >&2
	die "$1 failed (above: the end of its log)"
}

# install_packages: the cache serves as apt's archive, by hard links where it can. apt checks each file.
install_packages()
{
	local archives=$tree/var/cache/apt/archives
	say "updates and packages"
	cp -lf "$CACHE"/debian-12/*.deb "$archives/" 2>/dev/null || cp -f "$CACHE"/debian-12/*.deb "$archives/"
	install -m 755 "$here/debian-12/inside.sh" "$tree/tmp/inside.sh"
	contained chroot "$tree" /tmp/inside.sh >>"$log" 2>&1 ||
		failed "installing packages"
	# the cache keeps what this build used, and only that
	rm -f "$CACHE"/debian-12/*.deb
	mv -f "$archives"/*.deb "$CACHE/debian-12/"
}

configure()
{
	local etc=$tree/etc
	echo 'LABEL=cloudimg-rootfs / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1' >"$etc/fstab"
	install -m 644 "$here/debian-12/95_amid.cfg" "$etc/cloud/cloud.cfg.d/95_amid.cfg"
	mkdir -p "$etc/default/grub.d"
	cat >"$etc/default/grub.d/50-amid.cfg" <<-E
		GRUB_TIMEOUT=0
		GRUB_TERMINAL=serial
		GRUB_SERIAL_COMMAND="serial --unit=0 --speed=115200"
		GRUB_CMDLINE_LINUX_DEFAULT=""
		GRUB_CMDLINE_LINUX="$arguments"
	E
}

# The first grub.cfg; the first update-grub in the guest writes Debian's own, which wants GRUB's modules on the disk.
make_boot_files()
{
	local kernel
	kernel=$(basename "$(realpath "$tree"/boot/vmlinuz-*)")
	kernel=${kernel#vmlinuz-}
	[ -s "$tree/boot/initrd.img-$kernel" ] || die "no initramfs for the kernel $kernel"
	mkdir -p "$tree/boot/grub/i386-pc"
	cp /usr/lib/grub/i386-pc/*.{mod,lst} "$tree/boot/grub/i386-pc/"
	cat >"$tree/boot/grub/grub.cfg" <<-E
		set timeout=0
		serial --unit=0 --speed=115200
		terminal_output serial
		menuentry 'Debian GNU/Linux 12' {
		  linux /boot/vmlinuz-$kernel root=LABEL=cloudimg-rootfs ro $arguments
		  initrd /boot/initrd.img-$kernel
		}
	E
	say "kernel $kernel"
}

# scrub: nothing of the build or the builder, and nothing that two instances must not share.
scrub()
{
	rm -f "$tree"/etc/ssh/ssh_host_* "$tree"/etc/apt/apt.conf.d/00amid-build "$tree"/tmp/inside.sh
	rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin "$tree"/var/cache/apt/archives/* \
		"$tree"/var/lib/dpkg/*-old "$tree"/var/cache/debconf/*-old "$tree"/var/cache/ldconfig/* \
		"$tree"/var/lib/cloud/* "$tree"/root/.bash_history "$tree"/var/lib/systemd/random-seed "$tree"/tmp/*
	find "$tree/var/log" -type f -delete
	rm -f "$tree/etc/resolv.conf" "$tree/var/lib/dbus/machine-id"
	: >"$tree/etc/resolv.conf"
	: >"$tree/etc/machine-id"
	echo debian >"$tree/etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' >"$tree/etc/hosts"
	grep -q '^root:[*!]' "$tree/etc/shadow" || die "root has a password"
}

builder_start "$@"
[ "$(id -u)" = 0 ] || die "debootstrap needs root"
need apt-get apt-config debootstrap sfdisk mke2fs grub-mkimage unshare chroot
tree=$SCRATCH/tree log=$SCRATCH/log
arguments="console=ttyS0,115200 quiet tsc=reliable no_timer_check cryptomgr.notests net.ifnames=0"
chmod 755 "$SCRATCH"
make_base
install_packages
configure
make_boot_files
scrub
say "writing the disk"
"$here/make-boot-disk.sh" "$OUT.tmp" "$disk_mib" "$tree"
disk_publish
