#!/usr/bin/python3
"""Volumes over NBD beside `nbdkit file` on a raw file and `qemu-nbd` on a qcow2 overlay, in one run.

    tests/bench/bench_volume.py BUILD_FOLDER [--size MIB] [--seconds S] [--only compare|freeze|seal]

Prints operations (or MiB) a second and the ratios; then freeze latency under load, and the time to seal 256 MiB.
"""
import argparse, json, os, shutil, socket, subprocess, sys, tempfile, threading, time

JOBS = [("4k random read, depth 1", "randread", "4k", 1), ("4k random read, depth 32", "randread", "4k", 32),
        ("1M sequential read", "read", "1m", 4),  # reads first: what is written is not sealed any more
        ("4k random write, depth 1", "randwrite", "4k", 1), ("4k random write, depth 32", "randwrite", "4k", 32),
        ("1M sequential write", "write", "1m", 4)]


def wait_for_socket(path, process):
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(path)
                return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"{process.args[0]} ended with {process.returncode}")
            time.sleep(0.01)


class Server:
    """A process that serves NBD on a socket."""

    def __init__(self, folder, name, command, descriptors=()):
        self.socket = f"{folder}/{name}.nbd"
        self.process = subprocess.Popen([a.replace("@SOCKET@", self.socket) for a in command], pass_fds=descriptors,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_socket(self.socket, self.process)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def fio(path, rw, block, depth, size_mib, seconds=None):
    uri = f"nbd+unix:///?socket={path}"
    command = ["fio", "--name=j", "--ioengine=nbd", f"--uri={uri}", f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}",
               f"--size={size_mib}m", "--output-format=json", "--randrepeat=1", "--norandommap=1"]
    if seconds:
        command += ["--time_based", f"--runtime={seconds}"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    job = json.loads(out[out.index("{"):])["jobs"][0]
    side = job["write"] if "write" in rw else job["read"]
    return side["bw"] / 1024 if block == "1m" else side["iops"]


class Control:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("r")

    def ask(self, command):
        self.socket.sendall((command + "\n").encode())
        answer = self.file.readline().split()
        if not answer or answer[0] != "ok":
            sys.exit(f"{command}: {' '.join(answer)}")
        return answer[1:]


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


class Bench:
    def __init__(self, build, folder, size_mib, seconds):
        self.build, self.folder, self.size, self.seconds = build, folder, size_mib, seconds
        self.tool = f"{build}/tests/bench/bench-volume-tool"
        self.runtime = tempfile.mkdtemp(prefix="amid-bench-", dir="/dev/shm")

    def run_tool(self, *words):
        return subprocess.run([self.tool, *words], check=True, capture_output=True, text=True).stdout.split()

    def serve_volume(self, name, key=None):
        """With `key`, an encrypted one: the server reads it from an inherited pipe."""
        if not key:
            return Server(self.folder, name, self.volume_command(name))
        reading, writing = os.pipe()
        os.write(writing, key)
        os.close(writing)
        try:
            return Server(self.folder, name, [*self.volume_command(name), f"key-fd={reading}"], [reading])
        finally:
            os.close(reading)

    def volume_command(self, name):
        return ["nbdkit", "-f", "-U", "@SOCKET@", f"{self.build}/amid-volume.so", f"volume={self.folder}/{name}",
                f"runtime={self.runtime}", f"store={self.folder}/store", f"control={self.folder}/{name}.ctl", "id="]

    def snapshot(self, name):
        """Freezes, seals and rebases; the root and the seal's own figures."""
        control = Control(f"{self.folder}/{name}.ctl")
        layer = control.ask("freeze")[0]
        control.ask(f"sync {layer}")
        root, blocks, added, taken = self.run_tool("seal", f"{self.folder}/store", f"{self.folder}/{name}", layer)
        control.ask(f"rebase {layer} {root}")
        return root, int(blocks), int(added), int(taken)

    def servers(self):
        size = self.size << 20
        raw, backing, overlay = (f"{self.folder}/{n}" for n in ("raw", "backing", "overlay.qcow2"))
        for path in (raw, backing):
            with open(path, "wb") as file:
                file.truncate(size)
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", "raw", overlay], check=True)
        os.mkdir(f"{self.folder}/store")
        self.run_tool("create", f"{self.folder}/fresh", str(size))
        self.run_tool("create", f"{self.folder}/sealed", str(size))
        self.run_tool("create", f"{self.folder}/encrypted", str(size))
        # the store has to be there before a volume server opens it
        self.run_tool_store()
        return {"raw file": Server(self.folder, "raw", ["nbdkit", "-f", "-U", "@SOCKET@", "file", raw]),
                "qcow2": Server(self.folder, "qcow2", ["qemu-nbd", "-t", "-e", "8", "-f", "qcow2", "--cache=writeback",
                                                       "--discard=unmap", "-k", "@SOCKET@", overlay]),
                "amid": self.serve_volume("fresh"), "amid sealed": self.serve_volume("sealed"),
                "encrypted": self.serve_volume("encrypted", os.urandom(64))}

    def run_tool_store(self):
        subprocess.run([self.tool, "seal", f"{self.folder}/store", f"{self.folder}/fresh", "999"], capture_output=True)

    def compare(self, servers):
        for name, server in servers.items():
            fio(server.socket, "write", "1m", 4, self.size)
        self.snapshot("sealed")
        names = list(servers)
        print(f"{'':28}" + "".join(f"{n:>14}" for n in names) + f"{'amid/raw':>10}{'sealed/raw':>12}{'amid/qcow2':>12}{'encrypted/amid':>16}")
        for title, rw, block, depth in JOBS:
            best = {n: 0 for n in names}
            for _ in range(3):  # in turn, so that noise meets all of them
                for n in names:
                    best[n] = max(best[n], fio(servers[n].socket, rw, block, depth, self.size, self.seconds))
            print(f"{title:28}" + "".join(f"{best[n]:14,.0f}" for n in names) +
                  f"{best['amid'] / best['raw file']:10.2f}{best['amid sealed'] / best['raw file']:12.2f}"
                  f"{best['amid'] / best['qcow2']:12.2f}{best['encrypted'] / best['amid']:16.2f}", flush=True)

    def freezes(self, servers):
        stop = threading.Event()

        def load():
            while not stop.is_set():
                rates.append(fio(servers["amid"].socket, "randwrite", "4k", 32, self.size, 5))

        rates = []
        thread = threading.Thread(target=load)
        thread.start()
        control, times = Control(f"{self.folder}/fresh.ctl"), []
        started = time.perf_counter()
        while time.perf_counter() - started < 10:
            begun = time.perf_counter()
            control.ask("hold 5000")
            layer = control.ask("freeze")[0]
            control.ask("release")
            if time.perf_counter() - started > 2:  # fio has begun by then
                times.append((time.perf_counter() - begun) * 1000)
            control.ask(f"sync {layer}")  # as everybody does; it also makes the next layer ready
            time.sleep(0.02)
        stop.set()
        thread.join()
        print(f"freeze under load (ms): p50 {percentile(times, .5):.2f}  p99 {percentile(times, .99):.2f}  "
              f"max {max(times):.2f}  ({len(times)} freezes; {sum(rates) / len(rates):,.0f} 4k writes a second meanwhile)")

    def seals(self):
        self.run_tool("create", f"{self.folder}/big", str(1 << 30))
        server = self.serve_volume("big")
        source = f"{self.folder}/random"
        with open(source, "wb") as file:
            for _ in range(256):
                file.write(os.urandom(1 << 20))
        subprocess.run(["nbdcopy", "--destination-is-zero", source, f"nbd+unix:///?socket={server.socket}"], check=True)
        begun = time.perf_counter()
        _, blocks, added, taken = self.snapshot("big")
        total = time.perf_counter() - begun
        print(f"seal of 256 MiB: {taken} ms; freeze, sync, seal, rebase together {total * 1000:.0f} ms; "
              f"{blocks} blocks, {added / (256 << 20):.4f} of their size added")
        server.stop()

    def run(self, parts):
        servers = self.servers()
        try:
            for part in parts:
                {"compare": lambda: self.compare(servers), "freeze": lambda: self.freezes(servers), "seal": self.seals}[part]()
        finally:
            for server in servers.values():
                server.stop()
            shutil.rmtree(self.runtime)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("build")
    parser.add_argument("--size", type=int, default=512, help="MiB of each disk")
    parser.add_argument("--seconds", type=int, default=2, help="for each measurement")
    parser.add_argument("--only", choices=["compare", "freeze", "seal"])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="amid-bench-", dir=os.environ.get("TMPDIR")) as folder:
        Bench(os.path.abspath(options.build), folder, options.size, options.seconds).run([options.only] if options.only else ["compare", "freeze", "seal"])


if __name__ == "__main__":
    main()
