#!/bin/bash
# build-tiny.sh OUT.raw CACHE_DIR: the "tiny" Quick Start disk. Debian's cloud kernel, busybox, dropbear,
# qemu-guest-agent and the scripts of tiny/, on a disk that a BIOS boots.
#
# The packages are unpacked, not installed, and only the files named here are taken; the shared libraries that the
# programs need are found with the loader of the unpacked libc. Root is not needed.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
# shellcheck source=common.sh
. "$here/common.sh"

disk_mib=128
packages=(busybox-static dropbear-bin qemu-guest-agent openssh-sftp-server e2fsprogs libext2fs2 libcom-err2
	libblkid1 libuuid1 libc6 libcrypt1 libtomcrypt1 libtommath1 libgmp10 zlib1g libglib2.0-0 libnuma1 libudev1
	liburing2 libpcre2-8-0)
programs=(usr/sbin/dropbear usr/bin/dropbearkey usr/sbin/qemu-ga usr/lib/openssh/sftp-server sbin/resize2fs
	sbin/mke2fs)
# In the initramfs: what it takes to see the root disk. The rest is loaded from the root file system.
early_modules=(virtio_pci virtio_blk)
late_modules=(virtio_net virtio_console virtio-rng button evdev)

# modules_order MODULE...: the files to insmod, in order, for these modules: what each depends on comes first.
modules_order()
{
	local module line
	for module in "$@"; do
		line=$(grep -E "/${module//[-_]/[-_]}\.ko:" "$modules/modules.dep") || {
			grep -qE "/${module//[-_]/[-_]}\.ko$" "$modules/modules.builtin" && continue
			die "the kernel $kernel has no module $module"
		}
		# "module: nearest-dependency ... farthest-dependency"
		tr ' ' '\n' <<<"${line/:/}" | sed '/^$/d' | tac
	done | awk '!seen[$0]++'
}

unpack_packages()
{
	local file kernel_package list=()
	kernel_package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	[ -n "$kernel_package" ] || die "apt does not know linux-image-cloud-amd64: run 'apt-get update' first"
	packages_fetch "$kernel_package" "${packages[@]}" >"$SCRATCH/files"
	mapfile -t list <"$SCRATCH/files"
	mkdir "$unpacked" "$unpacked/usr" "$unpacked"/usr/{bin,sbin,lib,lib64}
	ln -s usr/{bin,sbin,lib,lib64} "$unpacked/"
	for file in "${list[@]}"; do
		# as tar, so that bin/ of a package follows the link to usr/bin
		dpkg-deb --fsys-tarfile "$file" | tar -x -C "$unpacked" --keep-directory-symlink --no-same-owner \
			--exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale
		dpkg-deb -f "$file" Package Version | awk '{ printf "%s%s", $2, NR == 2 ? "\n" : " " }' \
			>>"$SCRATCH/manifest"
	done
	kernel=${kernel_package#linux-image-}
	modules=$unpacked/usr/lib/modules/$kernel
	depmod -b "$unpacked" "$kernel"
}

# copy_modules DIR MODULE_FILE...
copy_modules()
{
	local dir=$1 file
	shift
	for file in "$@"; do
		install -D -m 644 "$modules/$file" "$dir/$file"
	done
}

make_busybox_links()
{
	local path
	"$unpacked/bin/busybox" --list-full | while read -r path; do
		case ${path##*/} in
		busybox | mke2fs | dpkg | dpkg-deb | rpm | rpm2cpio) continue ;;
		esac
		ln -sf /usr/bin/busybox "$tree/usr/${path#usr/}"
	done
}

# copy_programs: the programs, and each library that the loader names for them.
copy_programs()
{
	local program library loader=/lib64/ld-linux-x86-64.so.2
	local libraries=$unpacked/usr/lib/x86_64-linux-gnu
	for program in "${programs[@]}"; do
		install -D -m 755 "$unpacked/$program" "$tree/usr/${program#usr/}"
		"$unpacked$loader" --inhibit-cache --library-path "$libraries" --list "$unpacked/$program" \
			>"$SCRATCH/libraries" || die "a library for ${program##*/} is in none of the packages"
		while read -r library; do
			[ -e "$tree/usr/lib/x86_64-linux-gnu/$library" ] ||
				install -D -m 644 "$libraries/$library" "$tree/usr/lib/x86_64-linux-gnu/$library"
		done < <(sed -n "s|^.* => $libraries/\([^ ]*\) .*|\1|p" "$SCRATCH/libraries")
	done
	install -D -m 755 "$(realpath "$unpacked$loader")" "$tree/usr/lib64/${loader##*/}"
}

write_etc()
{
	local etc=$tree/etc
	cat >"$etc/passwd" <<-'E'
		root:x:0:0:root:/root:/bin/sh
		ec2-user:x:1000:1000:EC2 user:/home/ec2-user:/bin/sh
		nobody:x:65534:65534:nobody:/nonexistent:/usr/bin/false
	E
	printf '%s:*:19000:0:99999:7:::\n' root ec2-user nobody >"$etc/shadow"
	printf '%s\n' root:x:0: tty:x:5: ec2-user:x:1000: nogroup:x:65534: >"$etc/group"
	chmod 600 "$etc/shadow"
	echo /bin/sh >"$etc/shells"
	echo localhost >"$etc/hostname"
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$etc/hosts"
	printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >"$etc/nsswitch.conf"
	ln -s /run/resolv.conf "$etc/resolv.conf"
	ln -s /proc/mounts "$etc/mtab"
	echo 'export PATH=/usr/sbin:/usr/bin:/sbin:/bin' >"$etc/profile"
	printf '%s\n' 'NAME="amid tiny"' 'PRETTY_NAME="amid tiny (Debian 12 kernel, busybox)"' ID=amid-tiny \
		ID_LIKE=debian VERSION_ID=12 >"$etc/os-release"
	install -m 644 "$here/tiny/inittab" "$etc/inittab"
	install -m 644 "$unpacked/etc/mke2fs.conf" "$etc/mke2fs.conf"
	install -D -m 755 /dev/stdin "$etc/acpi/PWRF/00000080" <<-'E'
		#!/bin/sh
		exec /sbin/poweroff
	E
}

make_tree()
{
	local script
	mkdir -p "$tree"/{boot/grub,dev,etc/dropbear,home,mnt,proc,root,run,sys,tmp} "$tree"/usr/{bin,sbin,lib,lib64,share} \
		"$tree"/usr/lib/amid "$tree"/usr/share/amid "$tree"/var/{lib/cloud/{data,instances},log,tmp}
	ln -s usr/{bin,sbin,lib,lib64} "$tree/"
	ln -s /run "$tree/var/run"
	chmod 1777 "$tree/tmp" "$tree/var/tmp"
	chmod 700 "$tree/root"
	mkdir -m 700 "$tree/home/ec2-user"
	install -m 755 "$unpacked/bin/busybox" "$tree/usr/bin/busybox"
	make_busybox_links
	copy_programs
	ln -s openssh/sftp-server "$tree/usr/lib/sftp-server"
	ln -s mke2fs "$tree/usr/sbin/mkfs.ext4"
	write_etc
	for script in boot dhcp-event finish ssh-server guest-agent power-button shutdown; do
		install -m 755 "$here/tiny/$script" "$tree/usr/lib/amid/$script"
	done
	install -m 644 "$here"/tiny/{common,imds,identity}.sh "$tree/usr/lib/amid/"
	for script in poweroff reboot shutdown; do
		rm -f "$tree/usr/sbin/$script"
		install -m 755 "$here/tiny/power-command" "$tree/usr/sbin/$script"
	done
	install -m 644 "$SCRATCH/manifest" "$tree/usr/share/amid/packages"
}

make_modules()
{
	local order=()
	modules_order "${early_modules[@]}" "${late_modules[@]}" >"$SCRATCH/all"
	modules_order "${early_modules[@]}" >"$SCRATCH/early"
	grep -vxFf "$SCRATCH/early" "$SCRATCH/all" >"$tree/etc/modules-order"
	mapfile -t order <"$SCRATCH/all"
	copy_modules "$tree/usr/lib/modules/$kernel" "${order[@]}"
	cp "$modules"/modules.{builtin,builtin.modinfo,order} "$tree/usr/lib/modules/$kernel/"
	depmod -b "$tree" "$kernel"
}

make_initramfs()
{
	local applet order=() initramfs=$SCRATCH/initramfs
	mkdir -p "$initramfs"/{bin,dev,modules,proc,root,run,sys}
	install -m 755 "$unpacked/bin/busybox" "$initramfs/bin/busybox"
	for applet in sh blockdev cat dd hexdump insmod mount poweroff readlink sort switch_root tr usleep wc; do
		ln -s busybox "$initramfs/bin/$applet"
	done
	install -m 755 "$here/tiny/initramfs-init" "$initramfs/init"
	mapfile -t order <"$SCRATCH/early"
	copy_modules "$initramfs/modules" "${order[@]}"
	cp "$SCRATCH/early" "$initramfs/modules/order"
	# Not compressed: reading 2 MiB more from the disk is quicker than unpacking them.
	(cd "$initramfs" && find . | "$unpacked/bin/busybox" cpio -o -H newc -R 0:0 2>/dev/null) \
		>"$tree/boot/initrd.img-$kernel"
}

make_boot_files()
{
	install -m 644 "$unpacked/boot/vmlinuz-$kernel" "$tree/boot/vmlinuz-$kernel"
	cat >"$tree/boot/grub/grub.cfg" <<-E
		set timeout=0
		serial --unit=0 --speed=115200
		terminal_output serial
		menuentry 'amid tiny' {
		  linux /boot/vmlinuz-$kernel root=LABEL=cloudimg-rootfs console=ttyS0,115200 quiet tsc=reliable no_timer_check cryptomgr.notests net.ifnames=0
		  initrd /boot/initrd.img-$kernel
		}
	E
}

need apt-get apt-cache dpkg-deb depmod sfdisk mke2fs debugfs grub-mkimage tar
builder_start "$@"
unpacked=$SCRATCH/unpacked tree=$SCRATCH/tree kernel='' modules=''
unpack_packages
say "kernel $kernel"
make_tree
make_modules
make_initramfs
make_boot_files
# One inode for 32 KiB: the tables of a grown disk stay small. A journal of 4 MiB is the least that mke2fs takes.
"$here/make-boot-disk.sh" "$OUT.tmp" "$disk_mib" "$tree" -i 32768 -J size=4 -m 1
disk_publish
