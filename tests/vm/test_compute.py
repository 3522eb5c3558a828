"""The qemu driver with real machines: boot, console, hot-plug, agent, power, restarts and crashes of the controlling process.

Guests have no network. Run with: /usr/bin/python3 -m pytest tests/vm/test_compute.py
"""
import contextlib
import ctypes
import fcntl
import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

import pytest

import guests

DISK = "vol-0123456789abcdef0"
FIRST_USER = 1879048192
PIDFD_GETFD = 438  # the system call, on every architecture

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="users are told apart as root only")


@contextlib.contextmanager
def process_of(user):
	"""A process that is this user, and says so when it is."""
	process = subprocess.Popen(["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "sh", "-c", "echo; exec sleep 600"],
		stdout=subprocess.PIPE)
	process.stdout.read(1)
	yield process
	process.kill()
	process.wait()
	process.stdout.close()


@pytest.fixture(scope="module")
def folder():
	# sockets want a short path
	with tempfile.TemporaryDirectory(prefix="amid-vm-", dir="/tmp") as path:
		os.chmod(path, 0o711)  # machines, users of their own, pass through it to their disks' sockets
		yield path


@pytest.fixture(scope="module")
def image(folder):
	cache = os.environ.get("AMID_TEST_CACHE") or folder
	tiny = guests.tiny_image(cache)
	if not tiny:
		pytest.skip("there is no tiny image (AMID_TINY_IMAGE or images/build-tiny.sh)")
	path = f"{folder}/shell.raw"
	guests.make_shell_image(tiny, path)
	return path


class World:
	"""A booted machine, the process that controls it, and the volume servers."""

	def __init__(self, folder, image):
		self.folder, self.servers = folder, []
		self.tool = guests.Tool(folder)
		self.machine = {"id": "i-0123456789abcdef0", "folder": f"{folder}/i-0123456789abcdef0"}
		os.mkdir(self.machine["folder"], 0o700)
		self.user = self.tool.call("user", **self.machine)["user"]
		self.root = self.serve(DISK, image)
		self.tool.call("start", **self.machine, memory=128, disks=[self.root.disk(boot=True)])
		self.shell = None
		self.open_shell()
		self.shell.ready()

	def serve(self, name, path):
		self.servers.append(guests.VolumeServer(self.folder, name, path, self.user))
		return self.servers[-1]

	def new_disk(self, name, mib):
		path = f"{self.folder}/{name}.raw"
		with open(path, "wb") as file:
			file.truncate(mib << 20)
		return self.serve(name, path)

	def open_shell(self):
		if self.shell:
			self.shell.close()
		self.shell = guests.Shell(f"{self.folder}/run/{self.machine['id']}.serial")

	def restart_tool(self):
		self.tool.kill()
		self.tool = guests.Tool(self.folder)
		return self.tool.call("state", **self.machine)["state"]

	def end(self):
		self.shell.close()
		self.tool.call("destroy", **self.machine)
		self.tool.end()
		for server in self.servers:
			server.kill()


@pytest.fixture(scope="module")
def world(folder, image):
	world = World(folder, image)
	yield world
	world.end()


@pytest.fixture
def bare(folder):
	"""A machine without disks, not started; what is left of it is removed."""
	machine = {"id": "i-bare", "folder": f"{folder}/i-bare"}
	os.mkdir(machine["folder"], 0o700)
	yield machine
	tool = guests.Tool(folder)
	tool.call("destroy", **machine)
	tool.end()
	guests.remove(machine["folder"])


@pytest.fixture
def tool(folder):
	tool = guests.Tool(folder)
	yield tool
	tool.end()


def guest_disk(shell, serial, seconds=20):
	"""The name of the guest's disk with that serial number."""
	name = shell.run(f"n=; t=0; while [ -z \"$n\" -a $t -lt {seconds * 20} ]; do for d in /sys/block/vd* /sys/block/nvme*; do"
		f" grep -qs {serial} $d/serial $d/device/serial && test -b /dev/${{d##*/}} && n=${{d##*/}}; done; t=$((t+1)); usleep 50000; done; echo =$n=",
		seconds * 2)
	return name.split("=")[1]


def test_boots_and_keeps_the_console(world):
	assert world.tool.call("state", **world.machine)["state"] == "running"
	answer = world.tool.call("console", **world.machine)
	assert "amid: " in answer["console"] and "shell-is-ready" in answer["console"]
	assert abs(answer["modified_ms"] / 1000 - time.time()) < 300


def test_looks_like_an_ec2_machine(world):
	dmi = "/sys/class/dmi/id/"
	assert world.shell.run(f"cat {dmi}sys_vendor") == "Amazon EC2"
	assert world.shell.run(f"cat {dmi}product_name") == "t3.micro"
	assert world.shell.run(f"cat {dmi}board_asset_tag") == world.machine["id"]
	uuid = world.shell.run(f"cat {dmi}product_uuid")
	assert uuid.startswith("ec2") and uuid == world.shell.run(f"cat {dmi}product_serial")
	assert guest_disk(world.shell, DISK.replace("-", "")) == "vda"


def test_starting_a_running_machine_changes_nothing(world):
	pid = guests.machine_pid(world.machine["folder"])
	world.tool.call("start", **world.machine, memory=128, disks=[world.root.disk(boot=True)])
	assert guests.machine_pid(world.machine["folder"]) == pid


def test_qemu_is_confined(world):
	pid = guests.machine_pid(world.machine["folder"])
	status = {key: value.strip() for key, value in guests.status_of(pid).items()}
	assert status["Seccomp"] == "2"
	assert int(status["SigIgn"], 16) >> (signal.SIGXFSZ - 1) & 1
	if os.geteuid() == 0:
		for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
			assert int(status["Cap" + kind], 16) == 0
		assert status["NoNewPrivs"] == "1" and status["Groups"] == ""
		assert guests.user_of(pid) == world.user >= FIRST_USER
		assert world.tool.call("user", **world.machine)["user"] == world.user
	assert os.readlink(f"/proc/{pid}/cwd") == "/"
	with open(f"/proc/{pid}/limits", encoding="ascii") as file:
		limits = file.read()
	assert "Max file size             16777216" in limits and "Max core file size        0 " in limits


@as_root
def test_machines_are_users_of_their_own(world):
	"""Running ones keep theirs, whoever asks; the number of one that was destroyed is free again, and not while a process has it."""
	folders = [f"{world.folder}/i-user{number}" for number in range(2)]
	machines = [{"id": os.path.basename(folder), "folder": folder} for folder in folders]
	try:
		for machine in machines:
			os.mkdir(machine["folder"], 0o700)
			world.tool.call("start", **machine)
		users = [guests.user_of(guests.machine_pid(folder)) for folder in folders]
		assert len({world.user, *users}) == 3 and min(users) >= FIRST_USER
		assert world.restart_tool() == "running"
		for machine, user in zip([world.machine, *machines], [world.user, *users]):
			assert world.tool.call("user", **machine)["user"] == user
		for machine in machines:
			world.tool.call("destroy", **machine)
		with process_of(users[0]):
			world.tool.call("start", **machines[0])
			assert guests.user_of(guests.machine_pid(folders[0])) not in (0, world.user, *users)
			world.tool.call("destroy", **machines[0])
		guests.wait_unused(users[0])
		assert world.tool.call("user", **machines[0])["user"] == users[0]
	finally:
		for machine in machines:
			world.tool.call("destroy", **machine)
			guests.remove(machine["folder"])


@as_root
def test_machine_that_lets_its_lock_go_is_ended_all_the_same(bare, tool):
	"""A guest that has taken over its QEMU can do that."""
	tool.call("start", **bare)
	pid = guests.machine_pid(bare["folder"])
	lock = next(number for number in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{number}") == f"{bare['folder']}/lock")
	process = os.pidfd_open(pid)
	same = ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, process, int(lock), 0)
	assert same >= 0, os.strerror(ctypes.get_errno())
	fcntl.flock(same, fcntl.LOCK_UN)
	os.close(same)
	assert guests.machine_pid(bare["folder"]) is None
	tool.call("destroy", **bare)
	assert select.select([process], [], [], 0)[0]  # it has ended
	os.close(process)


@as_root
def test_machine_of_an_amid_that_had_no_users_goes_on(folder, bare):
	"""Such a machine is root without capabilities: its disks stay root's, until it is started anew."""
	earlier = guests.Tool(folder, wrapper=["setpriv", "--bounding-set=-setuid", "--inh-caps=-setuid"])
	earlier.call("start", **bare)
	earlier.end()
	later = guests.Tool(folder)
	assert later.call("state", **bare)["state"] == "running"
	assert later.call("user", **bare)["user"] == 0 == guests.user_of(guests.machine_pid(bare["folder"]))
	later.call("destroy", **bare)
	user = later.call("user", **bare)["user"]
	later.call("start", **bare)
	assert FIRST_USER <= user == guests.user_of(guests.machine_pid(bare["folder"]))
	later.end()


@pytest.mark.parametrize("nvme", [False, True], ids=["virtio", "nvme"])
def test_hot_plug(world, nvme):
	name = "vol-0000000000000001" + ("b" if nvme else "a")
	server = world.new_disk(name, 32)
	begin = time.monotonic()
	answer = world.tool.call("attach", id=world.machine["id"], disk=server.disk(nvme=nvme))
	world.tool.call("attach", id=world.machine["id"], disk=server.disk(nvme=nvme))
	disk = guest_disk(world.shell, name.replace("-", ""))
	print(f"attach {answer['us']} us, seen after {(time.monotonic() - begin) * 1000:.0f} ms")
	assert disk.startswith("nvme" if nvme else "vd")
	world.shell.run(f"echo written-in-the-guest >/dev/{disk}; sync")
	with open(server.path, "rb") as file:
		assert file.read(20) == b"written-in-the-guest"
	answer = world.tool.call("detach", id=world.machine["id"], device=name)
	print(f"detach {answer['us']} us")
	world.shell.run(f"test ! -e /sys/block/{disk}")
	world.tool.call("detach", id=world.machine["id"], device=name)
	# and once more, on the same port
	world.tool.call("attach", id=world.machine["id"], disk=server.disk(nvme=nvme))
	disk = guest_disk(world.shell, name.replace("-", ""))
	assert world.shell.run(f"head -n 1 /dev/{disk}") == "written-in-the-guest"
	world.tool.call("detach", id=world.machine["id"], device=name)


def test_more_disks_than_ports_are_refused_and_nothing_is_left(world):
	servers = [world.new_disk(f"vol-many{i}", 1) for i in range(7)]
	for server in servers[:6]:
		world.tool.call("attach", id=world.machine["id"], disk=server.disk())
	with pytest.raises(guests.Failed, match="no room"):
		world.tool.call("attach", id=world.machine["id"], disk=servers[6].disk())
	guest_disk(world.shell, "volmany5")
	for server in servers:
		world.tool.call("detach", id=world.machine["id"], device=server.name)


def test_attach_without_a_volume_server_fails_and_can_be_repeated(world):
	name = "vol-absent"
	with pytest.raises(guests.Failed):
		world.tool.call("attach", id=world.machine["id"],
			disk={"id": name, "socket": f"{world.folder}/{name}.nbd", "export": name})
	server = world.new_disk(name, 1)
	world.tool.call("attach", id=world.machine["id"], disk=server.disk())
	assert guest_disk(world.shell, "volabsent")
	world.tool.call("detach", id=world.machine["id"], device=name)


def test_resize(world):
	name = "vol-grows"
	server = world.new_disk(name, 16)
	world.tool.call("attach", id=world.machine["id"], disk=server.disk())
	disk = guest_disk(world.shell, "volgrows")
	for mib in (24, 48):
		os.truncate(server.path, mib << 20)
		world.tool.call("resize", id=world.machine["id"], device=name, size=mib << 20)
		assert world.shell.run(f"cat /sys/block/{disk}/size") == str(mib * 2048)
	with pytest.raises(guests.Failed):
		world.tool.call("resize", id=world.machine["id"], device=name, size=100 << 20)
	world.shell.run(f"dd if=/dev/zero of=/dev/{disk} bs=1M seek=40 count=8 conv=fsync")
	world.tool.call("detach", id=world.machine["id"], device=name)
	with pytest.raises(guests.Failed, match="NotFound"):
		world.tool.call("resize", id=world.machine["id"], device=name, size=100 << 20)


def test_limits_hold_change_and_outlast_a_resize(world):
	name = "vol-slow"
	server = world.new_disk(name, 16)
	world.tool.call("attach", id=world.machine["id"], disk=server.disk())
	disk = guest_disk(world.shell, "volslow")

	def set_limits(**limits):
		for _ in range(2):
			world.tool.call("limit", id=world.machine["id"], device=name, **limits)

	def seconds(command):
		# by the guest's clock; a slow host makes it longer, never shorter
		begun, ended = map(float, world.shell.run(f"a=$(cut -d' ' -f1 /proc/uptime); {command}; echo $a $(cut -d' ' -f1 /proc/uptime)").splitlines()[-1].split())
		return ended - begun

	reads = f"dd if=/dev/{disk} of=/dev/null bs=4k count=100 iflag=direct 2>/dev/null"
	set_limits(iops=50)
	assert seconds(reads) > 1.5
	os.truncate(server.path, 24 << 20)
	world.tool.call("resize", id=world.machine["id"], device=name, size=24 << 20)
	assert seconds(reads) > 1.5
	# requests of more than 256 KiB count as several
	assert seconds(f"dd if=/dev/{disk} of=/dev/null bs=1M count=16 iflag=direct 2>/dev/null") > 0.8
	set_limits(iops=100000, bytes_per_second=4 << 20)
	assert seconds(f"dd if=/dev/{disk} of=/dev/null bs=256k count=40 iflag=direct 2>/dev/null") > 1.5
	set_limits(iops=100, burst_iops=3000, burst_seconds=1800, bytes_per_second=128 << 20)
	set_limits()
	world.shell.run(reads)
	world.tool.call("detach", id=world.machine["id"], device=name)
	with pytest.raises(guests.Failed, match="NotFound"):
		world.tool.call("limit", id=world.machine["id"], device=name, iops=50)


def test_freeze_and_thaw(world):
	world.tool.wait_event("agent", world.machine["id"])
	answer = world.tool.call("freeze", id=world.machine["id"])
	print(f"freeze {answer['us']} us, {answer['count']} file systems")
	assert answer["count"] >= 1
	# the root file system takes no writes now: the write ends only after the thaw
	world.shell.socket.sendall(b"echo x >/root/frozen; echo wr\"itten\"-now\n")
	with pytest.raises(TimeoutError):
		world.shell.wait("written-now", 1.5)
	answer = world.tool.call("thaw", id=world.machine["id"])
	print(f"thaw {answer['us']} us")
	world.shell.wait("written-now", 10)


def test_killed_volume_server_goes_unnoticed(world):
	world.root.kill()
	result = []
	thread = threading.Thread(target=lambda: result.append(
		world.shell.run("dd if=/dev/zero of=/root/file bs=64k count=16 conv=fsync 2>/dev/null; sync; echo fine", 60)))
	thread.start()
	world.root.start()
	thread.join()
	assert result == ["fine"]


def test_controlling_process_is_killed_and_started_again(world):
	pid = guests.machine_pid(world.machine["folder"])
	assert world.restart_tool() == "running"
	assert guests.machine_pid(world.machine["folder"]) == pid
	# an agent that was there already is told again, and the guest is under control as before
	world.tool.wait_event("agent", world.machine["id"])
	assert world.tool.call("freeze", id=world.machine["id"])["count"] >= 1
	world.tool.call("thaw", id=world.machine["id"])
	server = world.new_disk("vol-later", 1)
	world.tool.call("attach", id=world.machine["id"], disk=server.disk())
	assert world.restart_tool() == "running"
	assert guest_disk(world.shell, "vollater")
	world.tool.call("detach", id=world.machine["id"], device="vol-later")


def test_guest_reboot_is_reported(world):
	world.shell.socket.sendall(b"reboot -f\n")
	world.tool.wait_event("reset", world.machine["id"])
	world.shell.ready()
	world.tool.wait_event("agent", world.machine["id"])


def test_hardware_reset(world):
	world.tool.call("reset", id=world.machine["id"])
	world.shell.ready()
	assert world.tool.call("state", **world.machine)["state"] == "running"


def test_power_button_shuts_down_and_that_is_remembered(world):
	world.tool.wait_event("agent", world.machine["id"])
	world.shell.run("echo something >/root/kept; i=0; until grep -q '[a]cpid' /proc/*/comm || [ $i = 200 ]; do i=$((i+1)); usleep 50000; done")
	world.tool.call("power-button", id=world.machine["id"])
	world.tool.wait_event("shut-down", world.machine["id"])
	assert world.tool.call("state", **world.machine)["state"] == "shut-down"
	assert world.restart_tool() == "shut-down"
	disks = [world.root.disk(boot=True)]
	with pytest.raises(guests.Failed, match="Conflict"):
		world.tool.call("start", **world.machine, disks=disks)
	world.tool.call("destroy", **world.machine)
	world.root.give_to(world.tool.call("user", **world.machine)["user"])
	assert world.tool.call("state", **world.machine)["state"] == "absent"
	world.tool.call("destroy", **world.machine)
	assert "shell-is-ready" in world.tool.call("console", **world.machine)["console"]
	world.tool.call("start", **world.machine, disks=disks)
	world.open_shell()
	world.shell.ready()
	assert world.shell.run("cat /root/kept") == "something"
	assert world.tool.events.count(("gone", world.machine["id"])) == 0


def test_end_of_the_process_is_reported(bare, tool):
	tool.call("start", **bare)
	os.kill(guests.machine_pid(bare["folder"]), signal.SIGKILL)
	tool.wait_event("gone", bare["id"])
	assert tool.call("state", **bare)["state"] == "absent"
	with pytest.raises(guests.Failed, match="NotFound"):
		tool.call("reset", id=bare["id"])
	tool.call("start", **bare)
	assert tool.call("state", **bare)["state"] == "running"


def test_hanging_process_is_killed(bare, tool):
	tool.call("start", **bare)
	os.kill(guests.machine_pid(bare["folder"]), signal.SIGSTOP)
	tool.call("destroy", **bare)
	assert tool.call("state", **bare)["state"] == "absent"


def test_start_that_fails_leaves_no_process(bare, tool):
	with pytest.raises(guests.Failed, match="nowhere"):
		tool.call("start", **bare, disks=[{"id": "vol-1", "socket": "/nowhere", "export": "vol-1", "boot": True}])
	assert guests.machine_pid(bare["folder"]) is None
	assert tool.call("state", **bare)["state"] == "absent"
	tool.call("start", **bare)


@pytest.mark.parametrize("delay_ms", [0, 2, 4, 7, 10, 15, 25, 50, 90])
def test_killed_while_starting(folder, bare, delay_ms):
	"""At whatever point the controlling process dies, the next one knows whether there is a machine, and never starts a second."""
	first = guests.Tool(folder)
	with pytest.raises(guests.Failed):
		first.call("reset", id=bare["id"])  # it is up
	first.send("start", **bare)
	select.select([first.process.stdout], [], [], delay_ms / 1000)
	first.kill()
	second = guests.Tool(folder)
	state = second.call("state", **bare)["state"]
	before = guests.machine_pid(bare["folder"])
	assert (state == "running") == (before is not None)
	second.call("start", **bare)
	after = guests.machine_pid(bare["folder"])
	assert before in (None, after)
	second.call("destroy", **bare)
	assert guests.machine_pid(bare["folder"]) is None
	second.end()


def test_two_processes_start_one_machine(folder, bare):
	tools = [guests.Tool(folder), guests.Tool(folder)]
	for tool in tools:
		tool.send("start", **bare)
	done = 0
	for tool in tools:
		try:
			tool.receive()
			done += 1
		except guests.Failed as failure:
			assert failure.code in ("Conflict", "Unavailable", "RequestTimeout")
	assert done >= 1
	for tool in tools:
		tool.end()
	pid = guests.machine_pid(bare["folder"])
	same = [p for p in os.listdir("/proc") if p.isdigit() and p != str(pid) and is_machine(p, bare["folder"])]
	assert pid and not same


def is_machine(pid, folder):
	try:
		with open(f"/proc/{pid}/cmdline", "rb") as file:
			return f"guest={os.path.basename(folder)},".encode() in file.read()
	except FileNotFoundError:
		return False


def test_uefi_machine_runs_its_firmware(bare, tool):
	tool.call("start", **bare, uefi=True, memory=128)
	serial = guests.Shell(f"{tool.folder}/run/{bare['id']}.serial")
	serial.wait("BdsDxe", 60)
	serial.close()
	assert os.path.getsize(f"{bare['folder']}/uefi-variables") > 100000


def test_serial_socket_may_be_left_and_taken_again(bare, tool):
	tool.call("start", **bare)
	for _ in range(3):
		with socket.socket(socket.AF_UNIX) as client:
			client.connect(f"{tool.folder}/run/{bare['id']}.serial")
	assert tool.call("state", **bare)["state"] == "running"


def test_speed_of_start_and_destroy(bare, tool):
	starts, ends = [], []
	for _ in range(10):
		starts.append(tool.call("start", **bare)["us"] / 1000)
		ends.append(tool.call("destroy", **bare)["us"] / 1000)
	print(f"start to monitor p50 {sorted(starts)[5]:.0f} ms, destroy p50 {sorted(ends)[5]:.0f} ms")
	assert sorted(starts)[5] < 1000 and sorted(ends)[5] < 1000
