"""A host's disk that fills up under a running guest: the guest waits, and loses nothing."""
import os
import pathlib
import shutil

import pytest

import guest
from harness import wait_for

pytestmark = pytest.mark.skipif(not shutil.which('qemu-system-x86_64') or os.geteuid() != 0 or not pathlib.Path('/dev/net/tun').exists(),
    reason='needs QEMU, root and /dev/net/tun')
MIB = 1 << 20


def test_guest_waits_for_room_and_goes_on(make_server, tiny_disk):
    server = make_server('qemu', disk_size=512 * MIB)
    place = guest.Place(server, tiny_disk)
    machine = place.guest
    boot = machine.wait_ssh()
    ballast = server.data / 'ballast'
    with open(ballast, 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(server.data).free - 16 * MIB)
    machine.ssh("cat >/fill <<'E'\ndd if=/dev/urandom of=/big bs=1M count=64 conv=fsync 2>/dev/null; sha256sum </big >/digest\nE\n"
        'setsid sh /fill >/dev/null 2>&1 </dev/null &')
    wait_for(lambda: 'event=disk-full' in server.log.read_text(errors='replace'), guest.LIMIT, lambda: f'a full disk: {server.log_tail()}')
    ballast.unlink()
    digest = wait_for(lambda: machine.ssh('cat /digest', check=False), guest.LIMIT, lambda: f'the end of the writing: {server.log_tail()}')
    machine.ssh('sync; echo 3 >/proc/sys/vm/drop_caches')
    assert machine.ssh('stat -c %s /big') == str(64 * MIB)
    assert machine.ssh('sha256sum </big') == digest
    machine.check_kernel()
    assert machine.wait_ssh() == boot
    place.check_at_rest()
