#!/bin/bash
# Runs inside the new system (chroot): brings its packages up to date and installs the rest of the image.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin

packages=(systemd-sysv udev dbus cloud-init cloud-initramfs-growroot openssh-server qemu-guest-agent
	linux-image-cloud-amd64 grub-pc iproute2 ifupdown isc-dhcp-client netbase ca-certificates curl sudo
	python3-cffi-backend zstd e2fsprogs)

mount -t proc proc /proc
# No daemon is started, and nothing is synced for each package: what counts is the finished disk.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
echo force-unsafe-io >/etc/dpkg/dpkg.cfg.d/amid-build
echo 'grub-pc grub-pc/install_devices_empty boolean true' | debconf-set-selections

apt-get -q update
apt-get -q -y -o APT::Keep-Downloaded-Packages=true dist-upgrade
apt-get -q -y -o APT::Keep-Downloaded-Packages=true --no-install-recommends install "${packages[@]}"

rm -f /usr/sbin/policy-rc.d /etc/dpkg/dpkg.cfg.d/amid-build
