"""What the machine tests share: volume servers, the machine_tool, and a guest with a shell on its serial console."""
import json
import os
import select
import shutil
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def machine_tool_path():
	return os.environ.get("AMID_MACHINE_TOOL") or os.path.join(ROOT, "build", "tests", "vm", "machine_tool")


def tiny_image(cache):
	"""The path of the tiny image: AMID_TINY_IMAGE, or built (once a cache folder) by images/build-tiny.sh. None: there is no way."""
	given = os.environ.get("AMID_TINY_IMAGE")
	builder = os.path.join(ROOT, "images", "build-tiny.sh")
	if given or not os.path.exists(builder):
		return given
	path = os.path.join(cache, "tiny.raw")
	if not os.path.exists(path):
		subprocess.run(["bash", builder, path, os.path.join(cache, "packages")], check=True, timeout=300)
	return path


def make_shell_image(tiny, path):
	"""A copy of the tiny image that asks no metadata service and has a shell on the serial console."""
	subprocess.run(["cp", "--sparse=always", tiny, path], check=True)
	files = {
		"/etc/inittab": "::sysinit:/usr/lib/amid/boot\nttyS0::respawn:/usr/lib/amid/shell\n"
			"::respawn:/usr/lib/amid/guest-agent\n::respawn:/usr/lib/amid/power-button\n"
			"::shutdown:/usr/lib/amid/shutdown\n",
		"/usr/lib/amid/imds.sh": "imds_wait() { return 1; }\nimds_host=none\n",
		"/usr/lib/amid/shell": "#!/bin/sh\necho shell-is-ready\nexec /bin/sh\n",
	}
	for name, text in files.items():
		local = path + ".file"
		with open(local, "w", encoding="ascii") as file:
			file.write(text)
		for command in (f"rm {name}", f"write {local} {name}", f"set_inode_field {name} mode 0100755"):
			subprocess.run(["/sbin/debugfs", "-w", "-R", command, path + "?offset=1048576"], check=True,
				capture_output=True)
		os.unlink(local)


class VolumeServer:
	"""An nbdkit process that serves a raw file to a user, in a folder that others may pass. It gets its socket listening, so there is nothing to wait for."""

	def __init__(self, folder, name, path, user):
		self.name, self.path, self.socket, self.user = name, path, f"{folder}/{name}.nbd", user
		self.start()

	def start(self):
		with socket.socket(socket.AF_UNIX) as listener:
			os.fchmod(listener.fileno(), 0o600)
			listener.bind(self.socket)
			self.give_to(self.user)
			listener.listen(8)
			# systemd's socket activation: the descriptor is number 3, and the process says that it is meant (sh knows no descriptor above 9)
			self.process = subprocess.Popen(["bash", "-c", 'exec 3<&"$0"; LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"',
				str(listener.fileno()), "nbdkit", "-f", "--exit-with-parent", "-e", self.name, "file", self.path],
				pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)

	def give_to(self, user):
		self.user = user
		os.chown(self.socket, user, -1)

	def kill(self):
		self.process.kill()
		self.process.wait()
		os.unlink(self.socket)

	def disk(self, **more):
		return {"id": self.name, "socket": self.socket, "export": self.name, **more}


class Failed(Exception):
	"""A command of the driver failed: the code and the message."""

	def __init__(self, answer):
		super().__init__(f"{answer['error']}: {answer['message']}")
		self.code, self.message = answer["error"], answer["message"]


class Tool:
	"""A process that holds a compute driver, as amid does."""

	def __init__(self, folder, driver="qemu", wrapper=()):
		self.folder, self.events, self.pending = folder, [], b""
		self.process = subprocess.Popen([*wrapper, machine_tool_path(), driver, f"{folder}/state", f"{folder}/run"],
			stdin=subprocess.PIPE, stdout=subprocess.PIPE)

	def read_line(self, seconds):
		deadline = time.monotonic() + seconds
		while b"\n" not in self.pending:
			left = deadline - time.monotonic()
			if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
				return None
			piece = os.read(self.process.stdout.fileno(), 1 << 16)
			if not piece:
				raise EOFError("machine_tool has ended")
			self.pending += piece
		line, self.pending = self.pending.split(b"\n", 1)
		return json.loads(line)

	def send(self, do, **arguments):
		self.process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
		self.process.stdin.flush()

	def receive(self, seconds=60):
		while True:
			line = self.read_line(seconds)
			if line is None:
				raise TimeoutError("no answer from machine_tool")
			if "event" not in line:
				break
			self.events.append((line["event"], line["id"]))
		if "error" in line:
			raise Failed(line)
		return line

	def call(self, do, **arguments):
		self.send(do, **arguments)
		return self.receive()

	def wait_event(self, name, machine, seconds=30):
		deadline = time.monotonic() + seconds
		while (name, machine) not in self.events:
			line = self.read_line(deadline - time.monotonic())
			if line is None:
				raise TimeoutError(f"no event {name} of {machine}; there were {self.events}")
			self.events.append((line["event"], line["id"]))
		self.events.remove((name, machine))

	def kill(self):
		self.process.kill()
		self.process.wait()
		self.process.stdin.close()
		self.process.stdout.close()

	def end(self):
		if self.process.poll() is None:
			self.process.stdin.close()
			assert self.process.wait(30) == 0
			self.process.stdout.close()


class Shell:
	"""The guest's serial console, with a shell on it."""

	def __init__(self, path):
		self.socket = socket.socket(socket.AF_UNIX)
		self.socket.connect(path)
		self.text, self.count = "", 0

	def wait(self, mark, seconds):
		deadline = time.monotonic() + seconds
		while mark not in self.text:
			left = deadline - time.monotonic()
			if left <= 0 or not select.select([self.socket], [], [], left)[0]:
				raise TimeoutError(f"no {mark!r} on the console; it ends in:\n{self.text[-1500:]}")
			piece = self.socket.recv(1 << 16)
			if not piece:
				raise EOFError("the machine has ended")
			self.text += piece.decode(errors="replace")
		before, self.text = self.text.split(mark, 1)
		return before

	def ready(self, seconds=120):
		self.wait("shell-is-ready", seconds)

	def run(self, command, seconds=30):
		"""The command's output; AssertionError if it fails."""
		self.count += 1
		# what is typed is echoed: the marks are written so that the echo does not hold them
		self.socket.sendall(f'echo beg"in"-{self.count}; {command}; echo e"nd"-{self.count}-$?-\n'.encode())
		self.wait(f"begin-{self.count}", seconds)
		output = self.wait(f"end-{self.count}-", seconds)
		status = self.wait("-", seconds)
		assert status == "0", f"{command!r} ended with {status}: {output}"
		return output.replace("\r", "").strip()

	def close(self):
		self.socket.close()


def machine_pid(folder):
	"""The pid of the process that holds the lock in a machine's folder; None if nobody does."""
	identity = os.path.join(folder, "process")
	if subprocess.run(["flock", "-n", os.path.join(folder, "lock"), "true"], check=False).returncode == 0:
		return None
	with open(identity, encoding="ascii") as file:
		return int(file.read().split()[0])


def status_of(pid):
	"""/proc/PID/status."""
	with open(f"/proc/{pid}/status", encoding="ascii") as file:
		return dict(line.split(":", 1) for line in file.read().replace("\t", " ").splitlines())


def user_of(pid):
	"""The one user that a process is."""
	users, groups = (set(status_of(pid)[key].split()) for key in ("Uid", "Gid"))
	assert len(users) == len(groups) == 1 and (users == groups or "0" in users)
	return int(users.pop())


def wait_unused(user, seconds=30):
	"""Until no process is that user; one that has ended is for as long as nobody has waited for it."""
	deadline = time.monotonic() + seconds
	while True:
		try:
			os.getpriority(os.PRIO_USER, user)
		except ProcessLookupError:
			return
		assert time.monotonic() < deadline, f"a process is user {user} for {seconds} s"
		time.sleep(0.05)


def remove(folder):
	shutil.rmtree(folder, ignore_errors=True)
