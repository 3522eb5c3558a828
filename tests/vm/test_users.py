"""A guest that has taken over its QEMU: what the user that this process is can reach of the host. Beside the guest runs another machine, whose things are to be out of reach."""
import glob
import hashlib
import os
import signal
import subprocess

import guests
from cloud import wait_for

FIRST_USER = 1879048192


def runtime_of(cloud):
    return '/dev/shm/amid-' + hashlib.sha256(os.path.realpath(cloud.data).encode()).hexdigest()[:10]


def process_of(cloud, guest):
    return guests.machine_pid(f'{cloud.data}/regions/us-east-1/instances/{guest.id}')


def run_as(user, program, *arguments):
    """Whether a process of that user, confined as QEMU is but for the system calls, ends well. Its program: lines of Python."""
    wrapper = ['setpriv', f'--reuid={user}', f'--regid={user}', '--clear-groups', '--no-new-privs', '--bounding-set=-all', '--inh-caps=-all', '--']
    finished = subprocess.run([*wrapper, '/usr/bin/python3', '-I', '-c', program, *map(str, arguments)], cwd='/', capture_output=True, text=True)
    assert finished.returncode == 0 or 'PermissionError' in finished.stderr or 'FileNotFoundError' in finished.stderr, finished.stderr
    return finished.returncode == 0


def connects(user, path):
    return run_as(user, 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])', path)


def opens(user, path):
    return run_as(user, 'import os, sys; os.open(sys.argv[1], os.O_RDONLY)', path)


def server_pid(runtime, volume):
    with open(f'{runtime}/s/{volume}.pid', encoding='ascii') as file:
        return int(file.read())


def check_confined(cloud, guest):
    """The user of its process."""
    pid = process_of(cloud, guest)
    status = {key: value.strip() for key, value in guests.status_of(pid).items()}
    assert all(int(status['Cap' + kind], 16) == 0 for kind in ('Inh', 'Prm', 'Eff', 'Bnd', 'Amb'))
    assert (status['NoNewPrivs'], status['Seccomp'], status['Groups']) == ('1', '2', '')
    check_network(pid)
    user = guests.user_of(pid)
    assert user >= FIRST_USER
    return user


def check_network(pid):
    """One of its own, with nothing in it but a loopback that is down."""
    def shown(process, name):
        with open(f'/proc/{process}/net/{name}', encoding='ascii') as file:
            return file.read()
    assert '127.0.0.1' in shown('self', 'fib_trie') and '127.0.0.1' not in shown(pid, 'fib_trie')
    devices = [line.split(':')[0].strip() for line in shown(pid, 'dev').splitlines()[2:]]
    assert devices == ['lo'] and len(shown(pid, 'route').splitlines()) <= 1


def check_reach(cloud, user, own, others, pids):
    """Of all sockets, the user reaches those of its own disks; of files, none; of processes, no other one."""
    runtime = runtime_of(cloud)
    assert all(connects(user, f'{runtime}/s/{volume}.nbd') for volume in own)
    assert not any(connects(user, f'{runtime}/s/{volume}.nbd') for volume in others)
    sockets = glob.glob(f'{runtime}/s/*.ctl') + glob.glob(f'{runtime}/m/*') + [f'{runtime}/upload']
    assert len(sockets) >= len(own) + len(others) + 2 * 3
    assert not any(connects(user, path) for path in sockets)
    for folder in (cloud.data, runtime, f'{runtime}/s', f'{runtime}/m', f'{runtime}/maps'):
        assert not opens(user, folder)
    files = glob.glob(f'{runtime}/s/*.pid') + glob.glob(f'{runtime}/maps/*') + glob.glob(f'{cloud.data}/*')
    assert len(files) > 5 and not any(opens(user, path) for path in files)
    for pid in pids:
        assert not run_as(user, 'import os, sys; os.kill(int(sys.argv[1]), 0)', pid)
        assert not opens(user, f'/proc/{pid}/mem') and not opens(user, f'/proc/{pid}/fd')


def test_what_a_taken_over_machine_reaches(cloud, guest):
    other = cloud.launch(cloud.tiny, wait=False)
    other.wait_state('running')
    user, other_user = check_confined(cloud, guest), check_confined(cloud, other)
    assert user != other_user
    runtime, others = runtime_of(cloud), list(other.volumes().values())
    root = guest.volumes()[guest.describe()['RootDeviceName']]
    volume = cloud.ec2.create_volume(AvailabilityZone=guest.describe()['Placement']['AvailabilityZone'], Size=1)['VolumeId']
    cloud.ec2.get_waiter('volume_available').wait(VolumeIds=[volume], WaiterConfig={'Delay': 1})
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guest.id, Device='/dev/sdf')
    serial = volume.replace('-', '')[:20]
    wait_for(lambda: guest.ssh(f'grep -l {serial} /sys/block/vd*/serial', check=False).stdout, 'the disk in the guest')

    pids = [cloud.process.pid, process_of(cloud, other), server_pid(runtime, root), server_pid(runtime, others[0])]
    check_reach(cloud, user, [root, volume], others, pids)
    check_reach(cloud, other_user, others, [root, volume], [process_of(cloud, guest)])
    # and somebody of the host who is no machine reaches nothing
    check_reach(cloud, 65534, [], [root, volume, *others], pids)

    # a volume server that is started again makes its socket anew
    server = server_pid(runtime, root)
    os.kill(server, signal.SIGKILL)
    guest.ssh('echo 3 >/proc/sys/vm/drop_caches; echo more >/root/more; sync', timeout=120)
    assert server_pid(runtime, root) != server
    # so does one that died while no amid ran; machines stay who they are
    cloud.stop(signal.SIGKILL)
    os.kill(server_pid(runtime, volume), signal.SIGKILL)
    cloud.start()
    guest.ssh('echo 3 >/proc/sys/vm/drop_caches; for d in /dev/vd?; do head -c 4096 $d; done >/dev/null', timeout=120)
    assert (check_confined(cloud, guest), check_confined(cloud, other)) == (user, other_user)
    check_reach(cloud, user, [root, volume], others, [])

    # a volume that has gone to another machine is out of reach
    cloud.ec2.detach_volume(VolumeId=volume)
    cloud.ec2.get_waiter('volume_available').wait(VolumeIds=[volume], WaiterConfig={'Delay': 1})
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=other.id, Device='/dev/sdf')
    wait_for(lambda: connects(other_user, f'{runtime}/s/{volume}.nbd'), 'the volume to be attached')
    assert not connects(user, f'{runtime}/s/{volume}.nbd')
    cloud.terminate(other)
    wait_for(lambda: cloud.ec2.describe_volumes(VolumeIds=[volume])['Volumes'][0]['State'] == 'available', 'the volume to be free')
    cloud.ec2.delete_volume(VolumeId=volume)
