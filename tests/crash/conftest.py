"""Options of the crash tests: AMID_TEST_SEED repeats a run's random choices, AMID_TEST_CRASHES sets the number of rounds."""
import os
import pathlib
import random
import shutil
import subprocess
import tempfile

import pytest

import harness


@pytest.fixture
def seed(request):
    """A generator of random numbers; its seed is printed with a failure."""
    value = int(os.environ.get('AMID_TEST_SEED', random.SystemRandom().randrange(1 << 32)))
    print(f'repeat with AMID_TEST_SEED={value}')
    return random.Random(value)


@pytest.fixture
def crashes():
    return int(os.environ.get('AMID_TEST_CRASHES', 4))


@pytest.fixture
def make_server(request):
    """Starts servers with a driver; what they were is removed afterwards, but for the log of a failed test, which is printed."""
    servers = []

    def make(compute, disk_size=None):
        folder = tempfile.mkdtemp(prefix='amid-crash-')
        if disk_size:  # a disk of its own for the data
            pathlib.Path(folder, 'data').mkdir(mode=0o700)
            subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={disk_size}', 'amid-test', f'{folder}/data'], check=True)
        servers.append(harness.Server(folder, compute))
        return servers[-1].start()

    yield make
    for server in servers:
        server.clean_up()
        print(server.log_tail(60))
        if server.data.is_mount():
            subprocess.run(['umount', '-l', server.data], check=True)
        shutil.rmtree(server.folder)


@pytest.fixture(scope='session')
def tiny_disk():
    """The tiny image's disk, built once a build folder."""
    path = pathlib.Path(os.environ.get('AMID_TINY_IMAGE', harness.BUILD / 'tiny.raw'))
    if not path.exists():
        subprocess.run([harness.ROOT / 'images' / 'build-tiny.sh', path, harness.BUILD / 'tiny-cache'], check=True, timeout=300)
    return path
