"""kill -9 of the server, of volume servers and of everything, under real guests that write durable records all the while."""
import os
import pathlib
import shutil
import time

import pytest

import guest
from harness import is_alive, kill_and_wait, wait_for

pytestmark = pytest.mark.skipif(not shutil.which('qemu-system-x86_64') or os.geteuid() != 0 or not pathlib.Path('/dev/net/tun').exists(),
    reason='needs QEMU, root and /dev/net/tun')


@pytest.fixture
def place(make_server, tiny_disk):
    return guest.Place(make_server('qemu'), tiny_disk)


def direct_writes(machine, name):
    """Writes past the guest's cache, but flushes nothing; the digest of what was written."""
    machine.ssh(f'dd if=/dev/urandom of=/run/{name} bs=64k count=32 2>/dev/null')
    machine.ssh(f'dd if=/run/{name} of=/{name} bs=64k oflag=direct 2>/dev/null')
    return machine.ssh(f'sha256sum </run/{name}')


def test_guest_outlives_server_and_volume_servers(place, seed, crashes):
    server, machine = place.server, place.guest
    boot = machine.wait_ssh()
    machine.start_writer()
    qemu = server.machines()
    for number in range(max(3, crashes // 2)):
        victims = ('server', 'volume server', 'both')[number % 3]
        digest = direct_writes(machine, 'blob')
        time.sleep(seed.uniform(0, 0.5))  # the moment of the crash
        if victims != 'volume server':
            server.kill()
            if victims == 'server':
                machine.wait_records(3)  # the guest runs on
                machine.freeze_file_systems()
        if victims != 'server':
            gone = server.volume_servers()
            assert gone
            kill_and_wait(gone)
        if victims != 'volume server':
            server.start()
        wait_for(server.volume_servers, guest.LIMIT, 'a volume server')
        machine.wait_state('running')
        machine.wait_records(3)
        assert machine.wait_ssh() == boot, 'the guest was restarted'
        machine.check_records(machine.last_record())
        assert machine.ssh('sha256sum </blob') == digest, 'writes that had been answered are lost'
    assert server.machines() == qemu and all(is_alive(pid) for pid in qemu)
    place.check_at_rest()


def test_guest_comes_back_after_everything_was_killed(place, seed):
    """First all processes, then as after a power cut: the live maps are gone, too."""
    server, machine = place.server, place.guest
    for lose in (lambda: None, server.lose_runtime_folder):
        boot = machine.wait_ssh()
        machine.start_writer()
        time.sleep(seed.uniform(0, 1))  # the moment of the crash
        server.kill_everything()
        durable = machine.last_record()
        lose()
        server.start()
        machine.wait_state('running')
        assert machine.wait_ssh() != boot
        machine.check_records(durable)
    place.check_at_rest()


def kill_server(server):
    server.kill()
    server.start()


def kill_everything(server):
    server.kill_everything()
    server.start()


def kill_volume_servers(server):
    kill_and_wait(server.volume_servers())


def test_create_image_is_finished_after_a_crash(place, seed, crashes):
    server, machine, ec2 = place.server, place.guest, place.ec2
    for number in range(max(1, crashes // 4)):
        crash = seed.choice((kill_server, kill_everything, kill_volume_servers))
        reboot, marker = seed.random() < 0.7, f'{seed.randrange(1 << 64):x}'
        print(f'{crash.__name__} in create-image, reboot {reboot}')
        machine.ssh(f'echo {marker} >/marker && sync')
        image = ec2.create_image(InstanceId=machine.id, Name=f'captured-{number}', NoReboot=not reboot)['ImageId']
        # the moment of the crash: with a reboot from before the shutdown to after the new start
        time.sleep(seed.uniform(0, 6 if reboot else 0.5))
        crash(server)
        wait_for(lambda image=image: place.image_state(image) != 'pending', guest.LIMIT * 2, lambda: f'the image; {server.log_tail()}')
        assert place.image_state(image) == 'available'  # a crash is no reason to fail
        machine.wait_state('running')
        machine.wait_ssh()
        machine.check_kernel()
        clone = place.launch(image)
        clone.wait_ssh()
        assert clone.ssh('cat /marker') == marker
        clone.check_kernel()
        ec2.terminate_instances(InstanceIds=[clone.id])
        clone.wait_state('terminated')
    place.check_at_rest()
