#!/usr/bin/python3
"""test-boot.py [--image tiny|debian-12] [--memory MIB] [--keep] DISK.raw: boots a Quick Start disk and looks at it.

A developer's check, under TCG, on a throw-away overlay: first boot, reboot, power button, the same disk as another
instance, kill -9 in the middle of writing, no metadata service. Ends with "N passed, N failed".
"""
import argparse
import base64
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid

from guest import Guest

IMAGES = {
	"tiny": {"user": "root", "sudo": "", "ready": rb"amid: ready after [0-9.]+ s", "second_user": "ec2-user",
		"seconds": 60, "memory": 96, "tb_size": 32, "before_reboot": "true"},
	"debian-12": {"user": "debian", "sudo": "sudo ", "ready": rb"Cloud-init v\. \S+ finished", "second_user": None,
		"seconds": 300, "memory": 512, "tb_size": 64,
		# so that the reboot goes by the grub.cfg that Debian writes, not by the builder's
		"before_reboot": "update-grub"},
}
SCRIPT = "#!/bin/sh\necho run >>/var/tmp/runs\necho hello from the script\nsleep 3600 &\n"


class Check:
	def __init__(self):
		self.passed = self.failed = 0

	def that(self, name, ok, detail=""):
		if ok:
			self.passed += 1
			print(f"ok      {name}")
		else:
			self.failed += 1
			print(f"FAILED  {name}: {detail}")
		sys.stdout.flush()
		return ok


class Bench:
	"""The scratch folder: overlay disk, keys, metadata, and the guest that runs on them."""

	def __init__(self, arguments):
		self.kind = IMAGES[arguments.image]
		self.memory = arguments.memory or self.kind["memory"]
		self.folder = tempfile.mkdtemp(prefix="amid-test-boot.")
		self.disk, self.state = f"{self.folder}/disk.qcow2", f"{self.folder}/imds.json"
		subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b",
			os.path.abspath(arguments.disk), self.disk, "3G"], check=True)
		for name in ("first", "second"):
			subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f",
				f"{self.folder}/{name}"], check=True)
		self.guest = None

	def key(self, name):
		return f"{self.folder}/{name}"

	def set_metadata(self, instance, hostname, key, user_data, enabled=True):
		with open(f"{self.key(key)}.pub", encoding="ascii") as file:
			public = file.read().strip()
		values = {"meta-data/instance-id": instance, "meta-data/local-hostname": hostname,
			"meta-data/hostname": hostname, "meta-data/ami-id": "ami-00000000000000001",
			"meta-data/instance-type": "t3.micro", "meta-data/local-ipv4": "172.31.0.10",
			"meta-data/public-keys": f"0={key}", "meta-data/public-keys/0/openssh-key": public,
			"meta-data/placement/availability-zone": "us-east-1a", "meta-data/placement/region": "us-east-1",
			"meta-data/mac": "52:54:00:12:34:56",
			"dynamic/instance-identity/document": json.dumps({"region": "us-east-1", "instanceId": instance})}
		for leaf, value in {"device-number": "0", "local-ipv4s": "172.31.0.10", "mac": "52:54:00:12:34:56",
				"subnet-ipv4-cidr-block": "172.31.0.0/20"}.items():
			values[f"meta-data/network/interfaces/macs/52:54:00:12:34:56/{leaf}"] = value
		binary = {"user-data": base64.b64encode(user_data).decode()} if user_data is not None else {}
		with open(self.state, "w", encoding="utf-8") as file:
			json.dump({"enabled": enabled, "values": values, "binary": binary}, file)

	def boot(self):
		"""Starts QEMU on the disk and waits for the ready line: the seconds it took."""
		uid = "ec2" + str(uuid.uuid4())[3:]
		self.guest = Guest(self.folder, self.disk, self.state, self.memory, uid, self.kind["tb_size"])
		self.guest.wait_console(self.kind["ready"], self.kind["seconds"])
		return time.monotonic() - self.guest.started

	def sh(self, command, key="first", user=None, **more):
		sudo = self.kind["sudo"] if user is None else ""
		done = self.guest.ssh(user or self.kind["user"], self.key(key), sudo + command, **more)
		return done.stdout.strip() if done.returncode == 0 else f"exit {done.returncode}: {done.stderr.strip()}"

	def host_keys(self, name):
		"""The host keys that the console shows, as a known_hosts file."""
		text = self.guest.console.decode(errors="replace").replace("\r", "")
		part = re.search(r"BEGIN SSH HOST KEY KEYS-----\n(.*?)-----END SSH HOST KEY KEYS", text, re.S)
		keys = re.findall(r"(?:ssh-|ecdsa-)\S+ AAAA\S+", part[1]) if part else []
		path = f"{self.folder}/known_hosts.{name}"
		with open(path, "w", encoding="ascii") as file:
			file.writelines(f"[127.0.0.1]:{self.guest.port} {key}\n" for key in keys)
		return path, keys

	def power_off(self):
		self.guest.qmp("system_powerdown")
		return self.guest.wait_end(self.kind["seconds"])

	def close(self, keep):
		if self.guest:
			self.guest.kill()
		if keep:
			print(f"kept: {self.folder}")
		else:
			shutil.rmtree(self.folder)


def check_first_boot(check, bench):
	bench.set_metadata("i-0aaaaaaaaaaaaaaa1", "ip-172-31-0-10.ec2.internal", "first", SCRIPT.encode())
	print(f"        ready after {bench.boot():.1f} s, {bench.guest.resident_mib()} MiB resident")
	console = bench.guest.console.decode(errors="replace")
	if bench.kind["second_user"]:
		check.that("the console shows the instance id", "i-0aaaaaaaaaaaaaaa1" in console, console[-800:])
	check.that("the console shows what the user data printed", "hello from the script" in console, console[-800:])
	known, keys = bench.host_keys("first")
	check.that("the console shows the host keys", len(keys) >= 2, keys)
	check.that("log in with the key, host key as on the console", bench.sh("id -u", known_hosts=known) == "0",
		bench.sh("id -u", known_hosts=known))
	if bench.kind["second_user"]:
		name = bench.sh("id -un", user=bench.kind["second_user"])
		check.that("log in as the second user", name == bench.kind["second_user"], name)
	check.that("another key is refused", "Permission denied" in bench.sh("true", key="second"))
	done = bench.guest.ssh(bench.kind["user"], bench.key("second"), "true",
		options=("-o", "PreferredAuthentications=password,keyboard-interactive"))
	check.that("no passwords are asked for", done.stderr.strip().endswith("Permission denied (publickey)."), done.stderr)
	check.that("host name", bench.sh("hostname") == "ip-172-31-0-10", bench.sh("hostname"))
	check.that("user data ran once", bench.sh("cat /var/tmp/runs") == "run", bench.sh("cat /var/tmp/runs"))
	size = bench.sh("df -k / | tail -n 1").split()
	check.that("root grown to the disk", len(size) == 6 and int(size[1]) > 2_800_000, size)
	scheme = bench.sh("cat /proc/mounts")
	check.that("root mounted with errors=remount-ro", re.search(r" / ext4 \S*errors=remount-ro", scheme), scheme)
	copied = subprocess.run(["sftp", "-F", "/dev/null", "-q", "-i", bench.key("first"), "-o", "IdentitiesOnly=yes", "-P",
		str(bench.guest.port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-b", "-",
		f"{bench.kind['user']}@127.0.0.1"], input=f"put {bench.state} /var/tmp/copied\n", capture_output=True,
		text=True, timeout=60, check=False)
	check.that("files can be copied in by sftp", copied.returncode == 0 and bench.sh("wc -c /var/tmp/copied").split()[0]
		== str(os.path.getsize(bench.state)), copied.stderr)
	return known, keys


def check_agent(check, bench):
	agent = bench.guest.agent()
	info = agent.call("guest-info")
	check.that("the guest agent answers", "version" in info, info)
	begin = time.monotonic()
	frozen = agent.call("guest-fsfreeze-freeze")
	freeze = time.monotonic() - begin
	status = agent.call("guest-fsfreeze-status")
	thawed = agent.call("guest-fsfreeze-thaw")
	check.that("file systems freeze and thaw", frozen >= 1 and status == "frozen" and thawed == frozen,
		(frozen, status, thawed))
	print(f"        freeze {freeze * 1000:.0f} ms")
	check.that("writing goes on after the thaw", bench.sh("sh -c 'echo x >/var/tmp/x; sync; cat /var/tmp/x'") == "x")


def check_hot_plug(check, bench):
	for port, driver, node in (("rp1", "virtio-blk-pci", "vdb"), ("rp2", "nvme", "nvme0n1")):
		bench.guest.qmp("blockdev-add", **{"driver": "null-co", "node-name": node, "size": 1 << 26, "read-zeroes": True})
		bench.guest.qmp("device_add", driver=driver, drive=node, bus=port, serial=node, id=node)
		seen = bench.sh(f"sh -c 'for i in $(seq 200); do [ -b /dev/{node} ] && break; sleep 0.05; done; "
			f"cat /sys/block/{node}/size'")
		check.that(f"a disk plugged in as {driver} shows up", seen == "131072", seen)


def check_reboot(check, bench, known):
	prepared = bench.guest.ssh(bench.kind["user"], bench.key("first"), bench.kind["sudo"] + bench.kind["before_reboot"])
	check.that(f"{bench.kind['before_reboot']} before the reboot", prepared.returncode == 0, prepared.stderr)
	start = len(bench.guest.console)
	bench.sh("reboot")
	bench.guest.wait_console(bench.kind["ready"], bench.kind["seconds"], start)
	check.that("up after a reboot, host keys kept", bench.sh("id -u", known_hosts=known) == "0")
	check.that("a reboot does not run the user data again", bench.sh("cat /var/tmp/runs") == "run",
		bench.sh("cat /var/tmp/runs"))


def check_planted_link(bench):
	"""The second user points its key file at one it may not read; check_other_instance looks what came of it."""
	bench.sh("ln -sf /etc/shadow .ssh/authorized_keys", user=bench.kind["second_user"])


def check_power_button(check, bench):
	seconds = bench.power_off()
	check.that("the power button ends it", bench.guest.process.returncode == 0, bench.guest.process.returncode)
	print(f"        off after {seconds:.1f} s")
	raw = f"{bench.folder}/flat.raw"
	subprocess.run(["qemu-img", "convert", "-O", "raw", bench.disk, raw], check=True)
	head = subprocess.run(["/usr/sbin/dumpe2fs", "-h", f"{raw}?offset=1048576"], capture_output=True, text=True, check=False)
	check.that("the file system was left clean", "needs_recovery" not in head.stdout and
		re.search(r"Filesystem state:\s+clean", head.stdout), head.stdout + head.stderr)
	test = subprocess.run(["/usr/sbin/e2fsck", "-f", "-n", f"{raw}?offset=1048576"], capture_output=True, text=True,
		check=False)
	check.that("e2fsck finds nothing", test.returncode == 0, test.stdout + test.stderr)
	os.unlink(raw)


def check_other_instance(check, bench, known, keys):
	bench.set_metadata("i-0bbbbbbbbbbbbbbb2", "ip-172-31-0-22.ec2.internal", "second", gzip.compress(SCRIPT.encode()))
	print(f"        ready after {bench.boot():.1f} s")
	_, others = bench.host_keys("second")
	check.that("another instance makes host keys of its own", others and not set(others) & set(keys), others)
	if bench.kind["second_user"]:
		# cloud-init only adds keys, on Debian as on AWS
		check.that("the old launch key is out", "Permission denied" in bench.sh("true", key="first"))
		keys = bench.sh("cat .ssh/authorized_keys", key="second", user=bench.kind["second_user"])
		check.that("a link in place of the key file leads nowhere", keys.startswith("ssh-") and "root:" not in keys, keys)
	check.that("the new launch key is in", bench.sh("id -u", key="second") == "0", bench.sh("id -u", key="second"))
	check.that("it takes its own host name", bench.sh("hostname", key="second") == "ip-172-31-0-22")
	runs = bench.sh("cat /var/tmp/runs", key="second")
	check.that("its user data (gzip) ran, once", runs == "run\nrun", runs)


def check_kill(check, bench):
	bench.sh("sh -c 'for i in $(seq 40); do echo $i >/var/tmp/kill.$i; done; sync; echo 1 >/var/tmp/synced; sync; "
		"(while :; do dd if=/dev/zero of=/var/tmp/fill bs=64k count=64; done) >/dev/null 2>&1 & "
		"sleep 1'", key="second")
	bench.guest.kill()
	bench.boot()
	synced = bench.sh("sh -c 'cat /var/tmp/synced /var/tmp/kill.40'", key="second")
	check.that("boots after kill -9 under writes, what was synced is there", synced == "1\n40", synced)
	runs = bench.sh("cat /var/tmp/runs", key="second")
	check.that("no user data again", runs == "run\nrun", runs)
	bench.power_off()


def check_service_off(check, bench):
	bench.set_metadata("i-0ccccccccccccccc3", "ip-172-31-0-33.ec2.internal", "first", SCRIPT.encode(), enabled=False)
	bench.boot()
	name = bench.sh("hostname", key="second")
	check.that("without metadata it stays what it was", name == "ip-172-31-0-22", name)


def main():
	parser = argparse.ArgumentParser(description=__doc__)
	parser.add_argument("disk")
	parser.add_argument("--image", choices=IMAGES, default="tiny")
	parser.add_argument("--memory", type=int, help="MiB of the guest")
	parser.add_argument("--keep", action="store_true", help="leave the scratch folder")
	arguments = parser.parse_args()
	check, bench = Check(), Bench(arguments)
	try:
		known, keys = check_first_boot(check, bench)
		check_agent(check, bench)
		check_hot_plug(check, bench)
		check_reboot(check, bench, known)
		if bench.kind["second_user"]:
			check_planted_link(bench)
		check_power_button(check, bench)
		check_other_instance(check, bench, known, keys)
		check_kill(check, bench)
		if arguments.image == "tiny":
			check_service_off(check, bench)
	except (TimeoutError, RuntimeError, ValueError, OSError, subprocess.SubprocessError) as error:
		check.that("the run went to its end", False, f"{type(error).__name__}: {error}")
	finally:
		if bench.guest:
			with open(f"{bench.folder}/console.log", "wb") as file:
				file.write(bench.guest.console)
		bench.close(arguments.keep)
	print(f"{check.passed} passed, {check.failed} failed")
	return 1 if check.failed else 0


if __name__ == "__main__":
	sys.exit(main())
