#!/usr/bin/python3
"""Where the time goes: flame graphs of an import and of random reads through a volume server.

    tests/bench/profile_store.py BUILD_FOLDER TARGET_FOLDER

Writes flame-import.svg and flame-random-read.svg. The build should have frame pointers: `make flame-graph` makes one. Needs perf, and the right to use it.
"""
import argparse
import os
import pathlib
import shutil
import select
import signal
import subprocess
import sys
import tempfile

from bench_store import GIB, MIB, ROOT, StoreBench, fio


def start_profile(data, *pids):
    """perf, at work when this returns: it opens its counters, is told to enable them, and acknowledges that."""
    control, answer = f'{data}.control', f'{data}.answer'
    for fifo in (control, answer):
        os.mkfifo(fifo)
    told, heard = (os.open(fifo, os.O_RDWR) for fifo in (control, answer))
    profile = subprocess.Popen(
        ['perf', 'record', '-q', '-g', '-F', '999', '-e', 'cpu-clock', '-D', '-1', '--control', f'fifo:{control},{answer}', '-o', data, '-p', ','.join(map(str, pids))],
        stderr=subprocess.DEVNULL,
    )
    os.write(told, b'enable\n')
    if not select.select([heard], [], [], 60)[0]:
        raise RuntimeError('perf does not answer')
    for fifo in (control, answer):
        os.unlink(fifo)
    os.close(told)
    os.close(heard)
    return profile


def end_profile(profile, data, target, title):
    profile.send_signal(signal.SIGINT)
    profile.wait()
    script = subprocess.run(['perf', 'script', '-i', data], check=True, capture_output=True, text=True, errors='replace').stdout
    graph = subprocess.run([ROOT / 'tools' / 'flame-graph', '--title', title], input=script, check=True, capture_output=True, text=True).stdout
    target.write_text(graph, encoding='utf-8')
    print(f'{target}: {len(graph) >> 10} KiB')


def profile_import(bench, target):
    disk, data = bench.path / 'disk', bench.path / 'perf.data'
    shutil.rmtree(bench.real_disk(disk, 4 * GIB, 2600 * MIB))
    server = bench.server('import')
    profile = start_profile(data, server.process.pid)
    bench.import_command(server, disk, 'disk')
    end_profile(profile, data, target / 'flame-import.svg', 'amid serve, while a disk with real files is imported')
    server.stop()
    disk.unlink()


def profile_reads(bench, target):
    size, data = bench.size, bench.path / 'perf.data'
    bench.prepare_store()
    bench.run_tool('create', f'{bench.folder}/sealed', str(size << 20))
    server = bench.serve_volume('sealed')
    fio(server.socket, 'write', '1m', 4, size)
    bench.snapshot('sealed')
    fio(server.socket, 'read', '1m', 4, size)  # verified, once
    profile = start_profile(data, server.process.pid)
    fio(server.socket, 'randread', '4k', 32, size, bench.seconds)
    end_profile(profile, data, target / 'flame-random-read.svg', 'a volume server, while 4 KiB are read at random from a sealed volume, depth 32')
    server.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('build')
    parser.add_argument('target')
    options = parser.parse_args()
    if not shutil.which('perf'):
        sys.exit('profile_store.py: there is no perf')
    with tempfile.TemporaryDirectory(prefix='amid-bench-', dir=os.environ.get('TMPDIR', '/var/tmp')) as folder:
        bench = StoreBench(os.path.abspath(options.build), folder, 512, 5)
        try:
            profile_import(bench, pathlib.Path(options.target))
            profile_reads(bench, pathlib.Path(options.target))
        finally:
            shutil.rmtree(bench.runtime)


if __name__ == '__main__':
    main()
