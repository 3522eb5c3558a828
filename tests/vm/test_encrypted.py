"""A guest on an encrypted disk made of a plain image: what it writes is there after a reboot, in a snapshot, and nowhere else."""
import hashlib
import os
import re
import signal

from cloud import wait_for

CHUNK, WINDOW, PAGE = 1 << 22, 1 << 28, os.sysconf('SC_PAGESIZE')


def processes(cloud):
    """Command lines of the processes that belong to this cloud, by pid."""
    runtime = '/dev/shm/amid-' + hashlib.sha256(os.path.realpath(cloud.data).encode()).hexdigest()[:10]
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                line = file.read().decode(errors='replace')
        except OSError:
            continue  # it has ended
        if int(pid) != os.getpid() and (str(cloud.data) in line or runtime in line):
            found[int(pid)] = line
    return found


def pieces(pagemap, begin, end):
    """The parts of a range that are in memory or swapped out. To read others would bring them in."""
    for at in range(begin, end, WINDOW):
        entries = os.pread(pagemap.fileno(), (min(WINDOW, end - at) // PAGE) * 8, at // PAGE * 8)
        for run in re.finditer(b'[\x40-\xff]+', entries[7::8]):  # the topmost bits of each entry: present, swapped
            yield at + run.start() * PAGE, at + run.end() * PAGE


def search_memory(pid, markers):
    """Memory that is of no program or library file."""
    found = set()
    with open(f'/proc/{pid}/maps', encoding='ascii', errors='replace') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as memory, \
            open(f'/proc/{pid}/pagemap', 'rb', 0) as pagemap:
        for line in maps:
            words = line.split()
            if 'r' not in words[1] or words[-1].startswith(('/usr/', '/lib', '[v')):
                continue
            for begin, end in pieces(pagemap, *(int(word, 16) for word in words[0].split('-'))):
                for at in range(begin, end, CHUNK):
                    try:
                        chunk = os.pread(memory.fileno(), min(CHUNK + 64, end - at), at)
                    except OSError:
                        break
                    found |= {marker for marker in markers if marker in chunk}
    return found


def search_files(folder, markers):
    found = set()
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            if not os.path.isfile(full):
                continue
            with open(full, 'rb') as file:
                while True:
                    try:  # holes need not be read
                        file.seek(os.lseek(file.fileno(), file.tell(), os.SEEK_DATA))
                    except OSError:
                        break
                    chunk = file.read(CHUNK)
                    found |= {marker for marker in markers if marker in chunk}
                    if len(chunk) < CHUNK:
                        break
                    file.seek(-64, os.SEEK_CUR)
    return found


def server_of(cloud, volume):
    pids = [pid for pid, line in processes(cloud).items() if f'id={volume}\0' in line]
    return pids[0] if pids else None


def key_of(cloud):
    kms = cloud.session.client('kms', endpoint_url=cloud.endpoint)
    return kms, kms.create_key()['KeyMetadata']['Arn']


def write_marker(guest):
    """A random text that only the guest, and this process, know; and a well-known one. Both many times, on the root disk."""
    random = guest.ssh('head -c 16 /dev/urandom | md5sum | cut -c1-32').strip()
    known = 'known plaintext of a file, ' + hashlib.md5(b'amid').hexdigest()
    guest.ssh(f'for i in $(seq 2000); do echo {random}; done >/root/random; for i in $(seq 2000); do echo {known}; done >/root/known; sync')
    return random.encode(), known.encode()


def test_what_a_guest_writes_is_found_nowhere_else(cloud, guest):
    kms, key = key_of(cloud)
    root = cloud.ec2.describe_images(ImageIds=[cloud.tiny])['Images'][0]['RootDeviceName']
    sealed = cloud.launch(cloud.tiny, BlockDeviceMappings=[{'DeviceName': root, 'Ebs': {'Encrypted': True, 'KmsKeyId': key}}])
    volume = sealed.volumes()[root]
    shown = cloud.ec2.describe_volumes(VolumeIds=[volume])['Volumes'][0]
    assert shown['Encrypted'] and shown['KmsKeyId'] == key
    markers = write_marker(sealed)
    boot = sealed.boot_id()
    cloud.ec2.reboot_instances(InstanceIds=[sealed.id])
    wait_for(lambda: sealed.boot_id() not in ('', boot), 'a new boot')
    for marker, name in zip(markers, ('random', 'known')):
        assert sealed.ssh(f'sort -u /root/{name}').strip().encode() == marker
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)['SnapshotId']
    cloud.ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[snapshot], WaiterConfig={'Delay': 1})
    all_processes = processes(cloud)
    own = {pid for pid, line in all_processes.items() if volume in line or sealed.id in line}
    others = set(all_processes) - own
    assert len(own) >= 2 and len(others) >= 3  # its QEMU and volume server; amid, and those of the other guest
    assert set().union(*(search_memory(pid, markers) for pid in own)) == set(markers)  # the search finds what is there
    for pid in others:
        assert not search_memory(pid, markers), all_processes[pid].replace('\0', ' ')
    assert not search_files(cloud.data, markers)
    assert not search_files('/dev/shm/amid-' + hashlib.sha256(os.path.realpath(cloud.data).encode()).hexdigest()[:10], markers)

    # a volume of the snapshot has it
    copy = cloud.ec2.create_volume(AvailabilityZone=sealed.describe()['Placement']['AvailabilityZone'], SnapshotId=snapshot)['VolumeId']
    wait_for(lambda: cloud.ec2.describe_volumes(VolumeIds=[copy])['Volumes'][0]['State'] == 'available', 'the copy')
    cloud.ec2.attach_volume(VolumeId=copy, InstanceId=sealed.id, Device='/dev/sdf')
    serial = copy.replace('-', '')[:20]
    disk = wait_for(lambda: sealed.ssh(f'grep -l {serial} /sys/block/vd*/serial', check=False).stdout.strip(), 'the disk').split('/')[3]
    assert sealed.ssh(f'mkdir -p /mnt; mount -o ro /dev/{disk}1 /mnt && sort -u /mnt/root/random; umount /mnt').strip().encode() == markers[0]

    # the key is disabled: what runs goes on, a killed volume server and amid itself are started again
    kms.disable_key(KeyId=key)
    server = server_of(cloud, volume)
    os.kill(server, signal.SIGKILL)
    sealed.ssh('echo 3 >/proc/sys/vm/drop_caches; sort -u /root/random; echo more >/root/more; sync', timeout=120)
    assert server_of(cloud, volume) not in (None, server)
    cloud.stop(signal.SIGKILL)
    cloud.start()
    sealed.ssh('echo 3 >/proc/sys/vm/drop_caches; cat /root/more; sync', timeout=120)
    # but nothing starts
    cloud.ec2.stop_instances(InstanceIds=[sealed.id])
    sealed.wait_state('stopped')
    cloud.ec2.start_instances(InstanceIds=[sealed.id])
    wait_for(lambda: sealed.state() == 'stopped' and sealed.describe()['StateReason']['Code'] == 'Client.InvalidKMSKey.InvalidState', 'the refusal')
    cloud.terminate(sealed)
    wait_for(lambda: cloud.ec2.describe_volumes(VolumeIds=[copy])['Volumes'][0]['State'] == 'available', 'the copy to be free')
    cloud.ec2.delete_volume(VolumeId=copy)
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)
