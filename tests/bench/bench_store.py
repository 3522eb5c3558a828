#!/usr/bin/python3
"""How fast and thrifty blocks are, beside peers in the same run: one table for each question.

    tests/bench/bench_store.py BUILD_FOLDER [--sections io,freeze,clone,import,space,diff,memory,boot] [--seconds S] [--size MIB] [--scale FACTOR]

io       NBD, 4 KiB and 1 MiB, of a fresh volume, a sealed one and a clone of a clone; nbdkit file on raw, qemu-nbd on a qcow2 overlay
freeze   of a volume under load, by its size; qemu-img snapshot and a qcow2 overlay of an idle disk
clone    a volume made from a root, by its size; a qcow2 overlay
import   a file system of 4 GiB with real files; qemu-img convert, cp, SHA-256 alone
space    ten successive images of a system whose files are replaced: imported, and captured from a volume that the same was written to; ten qcow2 files, restic
diff     of two trees of nearly 16 TiB
memory   of an idle server with a client; nbdkit file
boot     first reads of a clone whose blocks are not in memory, with and without a boot trace, and compressed; needs root, to empty the page cache

Figures only: nothing here fails because something is slow. A peer that is not installed is left out.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import bench_volume
from bench_volume import Control, Server, fio, percentile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MIB, GIB = 1 << 20, 1 << 30


class NbdWriter:
    """As much of NBD as writing takes."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')
        self.file.read(18)
        self.socket.sendall(struct.pack('>I', 3) + b'IHAVEOPT' + struct.pack('>II', 1, 0))  # NBD_OPT_EXPORT_NAME
        self.file.read(10)

    def command(self, kind, offset, data=b'', size=None):
        self.socket.sendall(struct.pack('>IHHQQI', 0x25609513, 0, kind, 0, offset, len(data) if size is None else size) + data)
        magic, error, _ = struct.unpack('>IIQ', self.file.read(16))
        if magic != 0x67446698 or error:
            sys.exit(f'NBD: command {kind} at {offset}: error {error}')

    def write_differences(self, old, new):
        """What a guest would have written that made `new` of `old` (None: zeros)."""
        piece = 64 << 10
        for offset in range(0, os.path.getsize(new.name), piece):
            data = new.read(piece)
            if data != (old.read(piece) if old else bytes(len(data))):
                self.command(1, offset, data)
        self.command(3, 0)

    def close(self):
        self.socket.sendall(struct.pack('>IHHQQI', 0x25609513, 0, 2, 0, 0, 0))
        self.socket.close()


def row(*cells):
    print(f'{cells[0]:50}' + ''.join(f'{cell:>16}' for cell in cells[1:]), flush=True)


def seconds_of(function, *arguments):
    begun = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - begun


def run(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, **options).stdout


def allocated(path):
    path = pathlib.Path(path)
    files = path.rglob('*') if path.is_dir() else [path]
    return sum(file.stat().st_blocks * 512 for file in files if file.is_file())


SIZES = GIB, 64 * GIB, 1 << 40, 16 << 40, 64 << 40  # of disks, to the largest that there may be


def size_name(size):
    return f'{size / 2 ** 40:.0f} TiB' if size >= 1 << 40 else f'{size >> 30} GiB'


class StoreBench(bench_volume.Bench):
    """One folder with a store; `section` methods print their tables."""

    def __init__(self, build, folder, size_mib, seconds):
        super().__init__(build, folder, size_mib, seconds)
        self.path = pathlib.Path(folder)

    def prepare_store(self):
        (self.path / 'store').mkdir(exist_ok=True)
        return self.run_tool('tree', self.folder + '/store', str(GIB))[0]

    # io

    def clone_of_clone(self):
        """Half of it lies in the tree of the volume's parent's parent, some in that of its parent, all of it sealed."""
        size = str(self.size << 20)
        self.run_tool('create', f'{self.folder}/first', size)
        root = None
        for name, part in (('first', 1), ('second', 2)):
            if root:
                self.run_tool('create', f'{self.folder}/{name}', size, root)
            server = self.serve_volume(name)
            fio(server.socket, 'write', '1m', 4, self.size // part)
            root = self.snapshot(name)[0]
            server.stop()
        self.run_tool('create', f'{self.folder}/third', size, root)
        return self.serve_volume('third')

    def io(self):
        servers = self.servers()
        try:
            servers['clone of clone'] = self.clone_of_clone()
            for name, server in servers.items():
                if name != 'clone of clone':
                    fio(server.socket, 'write', '1m', 4, self.size)
            self.snapshot('sealed')
            names = list(servers)
            row('operations, or MiB, a second', *names, 'sealed/raw', 'clone/raw', 'amid/qcow2')
            for title, rw, block, depth in bench_volume.JOBS:
                best = dict.fromkeys(names, 0)
                for _ in range(5):  # in turn, so that noise meets all of them
                    for name in names:
                        best[name] = max(best[name], fio(servers[name].socket, rw, block, depth, self.size, self.seconds))
                row(title, *(f'{best[name]:,.0f}' for name in names), *(f'{best[name] / best[peer]:.2f}' for name, peer in (
                    ('amid sealed', 'raw file'), ('clone of clone', 'raw file'), ('amid', 'qcow2'))))
            self.first_writes(servers)
        finally:
            for server in servers.values():
                server.stop()

    def first_writes(self, servers):
        """Onto a layer that a freeze has just made, beside a raw file that has no blocks yet: space has to be found for each byte."""
        best = {'raw file': 0, 'amid sealed': 0}
        control = Control(f'{self.folder}/sealed.ctl')
        for turn in range(3):
            empty = self.path / f'empty-{turn}'
            with open(empty, 'wb') as file:
                file.truncate(self.size * MIB)
            raw = Server(self.folder, f'empty-{turn}-raw', ['nbdkit', '-f', '-U', '@SOCKET@', 'file', str(empty)])
            best['raw file'] = max(best['raw file'], fio(raw.socket, 'write', '1m', 4, self.size))
            raw.stop()
            empty.unlink()
            control.ask(f'sync {control.ask("freeze")[0]}')
            best['amid sealed'] = max(best['amid sealed'], fio(servers['amid sealed'].socket, 'write', '1m', 4, self.size))
        row('1M sequential write, where nothing was', f'{best["raw file"]:,.0f}', '-', '-', f'{best["amid sealed"]:,.0f}', '-',
            f'{best["amid sealed"] / best["raw file"]:.2f}', '-', '-')

    # freeze and clone

    def freeze_times(self, name, server):
        stop, rates = threading.Event(), []

        def load():
            while not stop.is_set():
                rates.append(fio(server.socket, 'randwrite', '4k', 32, self.size, 2))

        thread = threading.Thread(target=load)
        thread.start()
        control, times, started = Control(f'{self.folder}/{name}.ctl'), [], time.perf_counter()
        while time.perf_counter() - started < 10 * self.seconds:  # some hundreds, so that there is a 99th percentile
            begun = time.perf_counter()
            layer = control.ask('freeze')[0]
            if time.perf_counter() - started > 1:  # fio has begun by then
                times.append((time.perf_counter() - begun) * 1000)
            control.ask(f'sync {layer}')
            time.sleep(0.02)  # the load, not a state that is waited for
        stop.set()
        thread.join()
        return times, sum(rates) / len(rates)

    def freeze(self):
        self.prepare_store()
        row('freeze under random writes, ms', 'p50', 'p99', 'longest', 'writes/s', 'qemu-img snap', 'qcow2 overlay')
        for size in SIZES:
            name = f'freeze-{size}'
            self.run_tool('create', f'{self.folder}/{name}', str(size))
            server = self.serve_volume(name)
            times, rate = self.freeze_times(name, server)
            server.stop()
            snapshot = self.qcow2_times(size, lambda disk, turn: ('qemu-img', 'snapshot', '-c', f's{turn}', disk))
            overlay = self.qcow2_times(size, self.overlay_command)
            row(size_name(size), *(f'{value:.2f}' for value in (percentile(times, .5), percentile(times, .99), max(times))), f'{rate:,.0f}',
                f'{snapshot:.1f}', f'{overlay:.1f}')

    def overlay_command(self, disk, turn):
        return 'qemu-img', 'create', '-q', '-f', 'qcow2', '-b', disk, '-F', 'qcow2', self.path / f'overlay-{turn}'

    def qcow2_times(self, size, command):
        """Median milliseconds, with the start of qemu-img."""
        disk = self.path / 'peer.qcow2'
        run('qemu-img', 'create', '-q', '-f', 'qcow2', disk, size)
        times = [seconds_of(run, *command(disk, turn)) * 1000 for turn in range(7)]
        disk.unlink()
        return statistics.median(times)

    def clone(self):
        self.prepare_store()
        row('clone', 'ms', 'KiB on disk', 'qcow2, ms', 'qcow2, KiB')
        for size in SIZES:
            root = self.run_tool('tree', self.folder + '/store', str(size))[0]
            folders = [f'{self.folder}/clone-{size}-{turn}' for turn in range(9)]
            times = [int(self.run_tool('create', folder, str(size), root)[0]) / 1000 for folder in folders]
            peer = self.qcow2_times(size, self.overlay_command)
            row(size_name(size), f'{statistics.median(times):.2f}', f'{allocated(folders[0]) / 1024:.0f}', f'{peer:.1f}',
                f'{allocated(self.path / "overlay-0") / 1024:.0f}')

    # import and space

    def real_disk(self, path, size, limit):
        """A file system with files of this machine's /usr, about `limit` bytes of them."""
        tree, copied = self.path / 'files', 0
        shuffled = [file for file in sorted(pathlib.Path('/usr').rglob('*')) if file.is_file() and not file.is_symlink()]
        random.Random(1).shuffle(shuffled)
        for file in shuffled:
            if copied > limit:
                break
            target = tree / file.relative_to('/usr')
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
            copied += target.stat().st_size
        with open(path, 'wb') as disk:
            disk.truncate(size)
        run('/sbin/mke2fs', '-q', '-t', 'ext4', '-d', tree, path)
        run('sync', path)
        return tree

    def import_command(self, server, disk, name):
        environment = dict(os.environ, AWS_ENDPOINT_URL=server.endpoint, AWS_ACCESS_KEY_ID='test', AWS_SECRET_ACCESS_KEY='test', AWS_REGION='us-east-1')
        run(f'{self.build}/amid', 'import', disk, '--name', name, env=environment)

    def server(self, name):
        os.environ['AMID_BUILD'] = self.build
        sys.path.insert(0, str(ROOT / 'tests' / 'crash'))
        import harness  # it reads AMID_BUILD
        (self.path / name).mkdir()
        return harness.Server(self.path / name, 'dry').start()

    @staticmethod
    def synced(*command):
        run(*command)
        run('sync', command[-1])

    def import_(self):
        disk, copy = self.path / 'disk', self.path / 'copy'
        shutil.rmtree(self.real_disk(disk, int(4 * GIB * self.scale), 2600 * MIB * self.scale))
        used = allocated(disk)
        best = {}

        def note(name, seconds):
            best[name] = min(best.get(name, seconds), seconds)

        for turn in range(2):  # in turn, so that noise meets all of them; into a new store each time, as known blocks are not written again
            note('qemu-img convert', seconds_of(self.synced, 'qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', disk, copy))
            note('cp', seconds_of(self.synced, 'cp', '--sparse=always', disk, copy))
            copy.unlink()
            server = self.server(f'import-{turn}')
            note('amid import', seconds_of(self.import_command, server, disk, 'disk'))
            server.stop()
            shutil.rmtree(server.folder)
        data = os.urandom(64 * MIB)
        rate = 64 / seconds_of(lambda: hashlib.sha256(data).digest())
        row(f'import of a disk of {4 * self.scale:.1f} GiB, {used / GIB:.1f} GiB of it data', 's', 'MiB/s of data', 'times amid')
        for name, seconds in best.items():
            row(name, f'{seconds:.2f}', f'{used / MIB / seconds:,.0f}', f'{seconds / best["amid import"]:.2f}')
        row('SHA-256, one core', '-', f'{rate:,.0f}', '-')
        disk.unlink()

    def upgrade(self, disk, tree, turn):
        """Replaces some 60 MiB of files by files of the same names and other content, as an upgrade of packages does."""
        picked, changed, commands = random.Random(turn), 0, []
        files = sorted(file for file in tree.rglob('*') if file.is_file() and 0 < file.stat().st_size < 8 * MIB)
        folder = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
        while changed < 60 * MIB * self.scale:
            file = picked.choice(files)
            fresh = folder / f'{len(commands)}'
            data = bytearray(file.read_bytes())
            for at in range(0, len(data), 4096):  # a version here, an address there
                data[at:at + 8] = picked.randbytes(min(8, len(data) - at))
            fresh.write_bytes(data)
            commands += [f'rm "/{file.relative_to(tree)}"', f'write {fresh} "/{file.relative_to(tree)}"']
            changed += len(data)
        script = folder / 'commands'
        script.write_text('\n'.join(commands) + '\n')
        run('/sbin/debugfs', '-w', '-f', script, disk)
        shutil.rmtree(folder)

    def write_to_volume(self, name, old, disk):
        """What has changed since the last image, as its guest would write it; no part of what is measured."""
        writer = NbdWriter(f'{self.folder}/{name}.nbd')
        with open(disk, 'rb') as new:
            if old.exists():
                with open(old, 'rb') as before:
                    writer.write_differences(before, new)
            else:
                writer.write_differences(None, new)
        writer.close()
        run('cp', '--sparse=always', disk, old)
        run('sync', old)  # what the bench itself has written is in nobody's way

    def restic_keepers(self, disk):
        environment = dict(os.environ, RESTIC_PASSWORD='bench', RESTIC_CACHE_DIR=f'{self.folder}/restic-cache')
        keepers = {}
        for name, compression in (('restic', 'auto'), ('restic, plain', 'off')) if shutil.which('restic') else ():
            options = ('restic', '-q', '-r', f'{self.folder}/restic-{compression}', '--compression', compression)
            run(*options, 'init', '--repository-version', 2, env=environment)
            keepers[name] = lambda turn, options=options: run(*options, 'backup', disk, env=environment)
        return keepers

    def space(self):
        disk = self.path / 'disk'
        tree = self.real_disk(disk, int(2 * GIB * self.scale), 1000 * MIB * self.scale)
        server, roots = self.server('space'), []
        self.prepare_store()
        self.run_tool('create', f'{self.folder}/running', str(disk.stat().st_size))
        volume = self.serve_volume('running')
        keepers = {'amid, captured': lambda turn: roots.append(self.snapshot('running')[0]),
            'amid, imported': lambda turn: self.import_command(server, disk, f'image-{turn}'),
            'qcow2': lambda turn: self.synced('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', disk, self.path / f'image-{turn}.qcow2'),
            **self.restic_keepers(disk)}
        times = dict.fromkeys(keepers, 0)
        for turn in range(10):
            if turn:
                self.upgrade(disk, tree, turn)
            self.write_to_volume('running', self.path / 'written', disk)
            for name, keep in keepers.items():
                times[name] += seconds_of(keep, turn)
        server.stop()
        volume.stop()
        sizes = {'amid, captured': allocated(self.path / 'store'), 'amid, imported': allocated(server.region_folder('store')),
            'qcow2': sum(allocated(file) for file in self.path.glob('image-*.qcow2')),
            'restic': allocated(self.path / 'restic-auto'), 'restic, plain': allocated(self.path / 'restic-off')}
        compression = int(self.run_tool('compress', f'{self.folder}/store', *roots)[0]) / 1000
        after = allocated(self.path / 'store')
        row(f'ten images of a system, {60 * self.scale:.0f} MiB replaced each time', 'MiB', 's', 'MiB / restic', 's / restic')
        for name in keepers:
            row(name, f'{sizes[name] / MIB:,.0f}', f'{times[name]:.1f}', *(f'{mine[name] / mine["restic"]:.2f}' if 'restic' in keepers else '-' for mine in (sizes, times)))
        row('amid, once compressed in the background', f'{after / MIB:,.0f}', f'{compression:.1f}', f'{after / sizes["restic"]:.2f}' if 'restic' in keepers else '-', '-')

    # diff and memory

    def diff(self):
        self.prepare_store()
        row('diff of two trees of 16 TiB, 1,000 blocks changed', 'first, ms', 'again, ms', 'found')
        for title, spread in (('side by side', 1), ('every 100th block', 100), ('one under each page', 128), ('every 1,024th block', 1024), ('anywhere', 0)):
            found, first, best = self.run_tool('diff', self.folder + '/store', str(16 << 40), '1000', str(spread))
            row(title, f'{int(first) / 1000:.2f}', f'{int(best) / 1000:.2f}', found)

    @staticmethod
    def memory_of(pid):
        fields = dict(line.split(':') for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text(encoding='ascii').splitlines()[1:])
        value = lambda name: int(fields[name].split()[0]) / 1024
        return value('Pss'), value('Private_Dirty') + value('Private_Clean')

    def memory(self):
        size, disk = 8 * GIB, self.path / 'raw-memory'
        with open(disk, 'wb') as file:
            file.truncate(size)
        root = self.prepare_store()
        self.run_tool('create', f'{self.folder}/idle', str(size), root)
        raw = Server(self.folder, 'raw-memory', ['nbdkit', '-f', '-U', '@SOCKET@', 'file', str(disk)])
        servers = {'nbdkit file': raw, 'amid': self.serve_volume('idle')}
        row('an idle server with a client, MiB', 'Pss', 'private', 'Pss / file')
        figures = {}
        for name, server in servers.items():
            fio(server.socket, 'randwrite', '4k', 1, 16, 1)  # a connection that came, did something and stays without requests
            client = subprocess.Popen(['qemu-io', '-f', 'raw', f'nbd+unix:///?socket={server.socket}'], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True)
            client.stdin.write('read 2G 4k\n')
            client.stdin.flush()
            while 'bytes' not in client.stdout.readline():
                pass
            figures[name] = self.memory_of(server.process.pid)
            client.communicate('quit\n')
            server.stop()
        for name, (pss, private) in figures.items():
            row(name, f'{pss:.1f}', f'{private:.1f}', f'{pss / figures["nbdkit file"][0]:.2f}')

    # boot

    def first_reads(self, name, root, prefetch):
        """One read in each block, with a pause as a booting guest makes; milliseconds: mean, longest, all together."""
        self.run_tool('create', f'{self.folder}/{name}', str(256 * MIB), root)
        subprocess.run(['sync'], check=True)
        pathlib.Path('/proc/sys/vm/drop_caches').write_text('3', encoding='ascii')
        server = Server(self.folder, name, [*self.volume_command(name), f'traces={self.folder}/traces'])
        if prefetch:
            Control(f'{self.folder}/{name}.ctl').ask(f'prefetch 8192 {root}')
        out = run('fio', '--name=j', '--ioengine=nbd', f'--uri=nbd+unix:///?socket={server.socket}', '--rw=read:508k', '--bs=4k', '--size=256m', '--io_size=2m',
            '--thinktime=5000', '--output-format=json')
        server.stop()
        times = json.loads(out[out.index('{'):])['jobs'][0]['read']['clat_ns']
        return times['mean'] / 1e6, times['max'] / 1e6, times['mean'] * times['N'] / 1e6

    def boot(self):
        if os.geteuid():
            return
        self.prepare_store()
        (self.path / 'traces').mkdir()
        self.run_tool('create', f'{self.folder}/image', str(256 * MIB))
        server = self.serve_volume('image')
        fio(server.socket, 'write', '1m', 4, 256)
        root = self.snapshot('image')[0]
        server.stop()
        self.write_trace(root, range(512))
        row('512 first reads of a clone, nothing in memory, ms', 'mean', 'longest', 'all')
        for turn in range(2):
            for title, prefetch in (('without a trace', False), ('read ahead by a trace', True)):
                row(title, *(f'{value:.2f}' for value in self.first_reads(f'boot-{turn}-{prefetch}', root, prefetch)))
        self.run_tool('compress', f'{self.folder}/store', root)
        for turn in range(2):
            row('compressed', *(f'{value:.2f}' for value in self.first_reads(f'boot-{turn}-compressed', root, False)))

    def write_trace(self, root, blocks):
        """docs/design/volume.md"""
        rest = bytes.fromhex(root) + struct.pack('<II', len(blocks), 0) + struct.pack(f'<{len(blocks)}I', *blocks)
        (self.path / 'traces' / f'{root}.trace').write_bytes(b'AMIDTRAC' + struct.pack('<II', 1, crc32c(rest)) + rest)


def crc32c(data):
    value = 0xffffffff
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82f63b78 if value & 1 else 0)
    return value ^ 0xffffffff


def main():
    names = ('io', 'freeze', 'clone', 'import', 'space', 'diff', 'memory', 'boot')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build')
    parser.add_argument('--sections', default=','.join(names))
    parser.add_argument('--seconds', type=int, default=2, help='for each measurement of io')
    parser.add_argument('--scale', type=float, default=1, help='of the disks of import and space')
    parser.add_argument('--size', type=int, default=512, help='MiB of the disks of io')
    options = parser.parse_args()
    for name in options.sections.split(','):
        if name not in names:
            parser.error(f'there is no section {name}')
        with tempfile.TemporaryDirectory(prefix='amid-bench-', dir=os.environ.get('TMPDIR', '/var/tmp')) as folder:
            bench = StoreBench(os.path.abspath(options.build), folder, options.size, options.seconds)
            bench.scale = options.scale
            try:
                getattr(bench, 'import_' if name == 'import' else name)()
            finally:
                shutil.rmtree(bench.runtime)
        print(flush=True)


if __name__ == '__main__':
    main()
