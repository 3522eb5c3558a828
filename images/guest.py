"""One QEMU guest of test-boot.py: start, console, SSH, monitor, guest agent, end.

User-mode networking only: the guest reaches nothing but the fake metadata service, and the host reaches the guest's
SSH through a forwarded port on 127.0.0.1.
"""
import json
import os
import re
import selectors
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def free_port():
	with socket.socket() as probe:
		probe.bind(("127.0.0.1", 0))
		return probe.getsockname()[1]


class JsonSocket:
	"""A line-wise JSON conversation: QEMU's monitor and the guest agent both speak it."""

	def __init__(self, path, timeout):
		self.socket = socket.socket(socket.AF_UNIX)
		self.socket.settimeout(timeout)
		self.socket.connect(path)
		self.file = self.socket.makefile("rw", encoding="utf-8")

	def receive(self):
		line = self.file.readline()
		if not line:
			raise ConnectionError("the other side closed")
		return json.loads(line.lstrip("\xff\ufffd"))

	def call(self, command, **arguments):
		request = {"execute": command}
		if arguments:
			request["arguments"] = arguments
		self.file.write(json.dumps(request) + "\n")
		self.file.flush()
		while True:
			reply = self.receive()
			if "error" in reply:
				raise RuntimeError(f"{command}: {reply['error'].get('desc')}")
			if "return" in reply:
				return reply["return"]


class Guest:
	def __init__(self, folder, disk, imds_state, memory, uuid, tb_size=32):
		self.folder, self.port, self.console = folder, free_port(), b""
		for name in ("qmp", "qga"):
			if os.path.exists(f"{folder}/{name}"):
				os.unlink(f"{folder}/{name}")
		net = ("user,id=net0,restrict=on,net=160.0.0.0/4,host=172.31.0.1,dns=172.31.0.2,dhcpstart=172.31.0.10,"
			f"hostfwd=tcp:127.0.0.1:{self.port}-:22,"
			f"guestfwd=tcp:169.254.169.254:80-cmd:{sys.executable} {HERE}/fake_imds.py {imds_state}")
		command = ["qemu-system-x86_64", "-M", "q35", "-accel", f"tcg,tb-size={tb_size}", "-cpu", "max", "-m", str(memory),
			"-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
			"-smbios", "type=0,vendor=Amazon",
			"-smbios", f"type=1,manufacturer=Amazon,product=t3.micro,uuid={uuid},serial={uuid}",
			"-qmp", f"unix:{folder}/qmp,server=on,wait=off",
			"-blockdev", f"driver=qcow2,node-name=root,discard=unmap,file.driver=file,file.filename={disk}",
			"-device", "virtio-blk-pci,drive=root,serial=vol-1",
			"-netdev", net, "-device", "virtio-net-pci,netdev=net0",
			"-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
			"-chardev", f"socket,id=qga,path={folder}/qga,server=on,wait=off",
			"-device", "virtserialport,chardev=qga,name=org.qemu.guest_agent.0",
			"-device", "pcie-root-port,id=rp1,chassis=1", "-device", "pcie-root-port,id=rp2,chassis=2"]
		self.started = time.monotonic()
		self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
		os.set_blocking(self.process.stdout.fileno(), False)
		self.selector = selectors.DefaultSelector()
		self.selector.register(self.process.stdout, selectors.EVENT_READ)
		self.monitor = None

	def read_console(self, seconds):
		"""Takes in what comes on the console within SECONDS, at most one piece; False when QEMU is gone."""
		if self.selector.select(max(0, seconds)):
			piece = self.process.stdout.read()
			if piece == b"":
				return False
			self.console += piece or b""
		return True

	def wait_console(self, pattern, seconds, start=0):
		"""Waits until PATTERN is on the console at or after START: the match. TimeoutError with the tail if not."""
		deadline = time.monotonic() + seconds
		while True:
			found = re.search(pattern, self.console[start:])
			if found:
				return found
			left = deadline - time.monotonic()
			if left <= 0 or not self.read_console(left):
				raise TimeoutError(f"no {pattern!r} on the console; it ends in:\n"
					+ self.console[-1500:].decode(errors="replace"))

	def wait_end(self, seconds):
		"""Waits for QEMU to end by itself: the seconds it took."""
		begin = time.monotonic()
		while self.read_console(begin + seconds - time.monotonic()):
			if time.monotonic() - begin >= seconds:
				raise TimeoutError("QEMU still runs")
		self.process.wait(5)
		return time.monotonic() - begin

	def qmp(self, command, **arguments):
		if not self.monitor:
			self.monitor = JsonSocket(f"{self.folder}/qmp", 20)
			self.monitor.receive()
			self.monitor.call("qmp_capabilities")
		return self.monitor.call(command, **arguments)

	def agent(self):
		"""A guest agent conversation, synchronised."""
		agent = JsonSocket(f"{self.folder}/qga", 30)
		if agent.call("guest-sync", id=4711) != 4711:
			raise RuntimeError("guest-sync answered another id")
		return agent

	def ssh(self, user, key, command, known_hosts=None, options=()):
		"""Runs COMMAND in the guest: the finished process, output as text."""
		check = ["-o", f"UserKnownHostsFile={known_hosts or '/dev/null'}",
			"-o", f"StrictHostKeyChecking={'yes' if known_hosts else 'no'}"]
		return subprocess.run(["ssh", "-F", "/dev/null", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
			"-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR", "-p", str(self.port), *check, *options,
			f"{user}@127.0.0.1", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
			check=False)

	def resident_mib(self):
		with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
			return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) // 1024

	def kill(self):
		if self.process.poll() is None:
			self.process.kill()
		self.process.wait()
