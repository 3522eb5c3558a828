"""Volumes of a running guest: grown, held to their limits, plugged and unplugged while it writes. All with one guest."""
from cloud import wait_for

GIB = 1 << 30


def zone(guest):
    return guest.describe()['Placement']['AvailabilityZone']


def state(cloud, volume):
    return cloud.ec2.describe_volumes(VolumeIds=[volume])['Volumes'][0]['State']


def make(cloud, guest, **more):
    volume = cloud.ec2.create_volume(AvailabilityZone=zone(guest), **more)['VolumeId']
    wait_for(lambda: state(cloud, volume) == 'available', f'{volume} to be available')
    return volume


def disk_of(guest, volume):
    """The guest's name of a volume's disk, once it is there."""
    serial = volume.replace('-', '')[:20]
    return wait_for(lambda: guest.ssh(f'grep -l {serial} /sys/block/vd*/serial', check=False).stdout.strip(), f'{volume} in the guest').split('/')[3]


def attach(cloud, guest, volume, device='/dev/sdf'):
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guest.id, Device=device)
    return disk_of(guest, volume)


def detach(cloud, *volumes):
    for volume in volumes:
        cloud.ec2.detach_volume(VolumeId=volume)
    for volume in volumes:
        wait_for(lambda: state(cloud, volume) == 'available', f'{volume} to be detached')
        cloud.ec2.delete_volume(VolumeId=volume)


def modify(cloud, volume, **target):
    cloud.ec2.modify_volume(VolumeId=volume, **target)

    def is_over():
        return cloud.ec2.describe_volumes_modifications(VolumeIds=[volume])['VolumesModifications'][0]['ModificationState'] == 'completed'
    wait_for(is_over, f'{volume} to be modified')


def sectors(guest, disk):
    return int(guest.ssh(f'cat /sys/block/{disk}/size'))


def test_guest_sees_its_disks_grow_while_it_writes(cloud, guest):
    volume = make(cloud, guest, Size=1)
    disk = attach(cloud, guest, volume)
    assert sectors(guest, disk) == GIB // 512
    # writes all along: each round another value, checked at the end
    guest.ssh(f'(n=0; while test ! -e /tmp/enough; do n=$((n+1)); printf "%08d" $n | dd of=/dev/{disk} bs=4096 conv=sync,fsync,notrunc 2>/dev/null || break; '
              'echo $n >/tmp/written; done; touch /tmp/done) >/dev/null 2>&1 </dev/null &')
    modify(cloud, volume, Size=70)
    assert sectors(guest, disk) == 70 * GIB // 512
    guest.ssh(f'echo behind | dd of=/dev/{disk} bs=512 seek={69 * GIB // 512} conv=sync,fsync 2>/dev/null')
    guest.ssh('touch /tmp/enough; while test ! -e /tmp/done; do sleep 1; done; rm /tmp/enough /tmp/done')
    written = guest.ssh('cat /tmp/written').strip()
    guest.ssh('echo 3 >/proc/sys/vm/drop_caches')
    assert int(guest.ssh(f'head -c 8 /dev/{disk}')) == int(written)
    assert guest.ssh(f'dd if=/dev/{disk} bs=512 count=1 skip={69 * GIB // 512} 2>/dev/null').startswith('behind')
    root = guest.volumes()[guest.describe()['RootDeviceName']]
    before, boot = sectors(guest, 'vda'), guest.boot_id()
    modify(cloud, root, Size=before * 512 // GIB + 1)
    assert sectors(guest, 'vda') == before + GIB // 512 and guest.boot_id() == boot
    detach(cloud, volume)


def seconds_of_reads(guest, disk, count):
    """How long `count` reads of 4 KiB past the page cache take, by the guest's clock."""
    script = f"a=$(cut -d' ' -f1 /proc/uptime); dd if=/dev/{disk} of=/dev/null bs=4k count={count} iflag=direct 2>/dev/null; b=$(cut -d' ' -f1 /proc/uptime); echo $a $b"
    begun, ended = map(float, guest.ssh(script).split())
    return ended - begun


def test_disk_is_held_to_the_iops_of_its_volume(cloud, guest):
    """Lower bounds only: a slow machine cannot break them. What QEMU has been told is asked of it in unit tests."""
    volume = make(cloud, guest, Size=4, VolumeType='io1', Iops=200)
    disk = attach(cloud, guest, volume)
    wait_for(lambda: seconds_of_reads(guest, disk, 200) > 0.7, 'the limit to be in force')
    modify(cloud, volume, Iops=100)
    assert seconds_of_reads(guest, disk, 200) > 1.5
    detach(cloud, volume)


def test_volumes_come_and_go_while_the_guest_writes(cloud, guest):
    """One disk is written all along; others are plugged and unplugged, the last while it is written itself."""
    steady = make(cloud, guest, Size=1)
    disk = attach(cloud, guest, steady, '/dev/sdf')
    guest.ssh(f'printf precious | dd of=/dev/{disk} bs=4096 seek=100 conv=sync,fsync 2>/dev/null')
    guest.ssh(f'(n=0; while test ! -e /tmp/enough; do n=$((n+1)); printf "%08d" $n | dd of=/dev/{disk} bs=4096 seek=$((n % 64)) conv=sync,fsync,notrunc 2>/dev/null || break; '
              'echo $n >/tmp/written; done; touch /tmp/done) >/dev/null 2>&1 </dev/null &')
    snapshot = cloud.ec2.create_snapshot(VolumeId=steady)['SnapshotId']
    others = []
    for _ in range(2):
        # made of a snapshot that was completed a moment ago: usable at once
        cloud.ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[snapshot], WaiterConfig={'Delay': 1})
        others.append(make(cloud, guest, SnapshotId=snapshot))
        other = attach(cloud, guest, others[-1], '/dev/sdg')
        assert guest.ssh(f'dd if=/dev/{other} bs=4096 skip=100 count=1 2>/dev/null | head -c 8') == 'precious'
        # opened once: by its name dd would make a plain file of it when the disk has gone
        guest.ssh(f'exec 3<>/dev/{other}; dd if=/dev/zero bs=64k count=4000 >&3 2>/dev/null </dev/null 3>&- &')
        detach(cloud, others[-1])
        snapshot = cloud.ec2.create_snapshot(VolumeId=steady)['SnapshotId']
    guest.ssh('touch /tmp/enough; while test ! -e /tmp/done; do sleep 1; done; rm /tmp/enough /tmp/done')
    written = int(guest.ssh('cat /tmp/written'))
    guest.ssh('echo 3 >/proc/sys/vm/drop_caches')
    assert int(guest.ssh(f'dd if=/dev/{disk} bs=4096 skip={written % 64} count=1 2>/dev/null | head -c 8')) == written
    detach(cloud, steady)


def test_root_volume_is_replaced(cloud, guest):
    root_name = guest.describe()['RootDeviceName']
    old, boot = guest.volumes()[root_name], guest.boot_id()
    guest.ssh('echo old >/root/on-the-old-disk; sync')
    address = guest.describe()['PrivateIpAddress']
    task = cloud.ec2.create_replace_root_volume_task(InstanceId=guest.id)['ReplaceRootVolumeTask']
    assert task['TaskState'] == 'pending'

    def task_state():
        return cloud.ec2.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=[task['ReplaceRootVolumeTaskId']])['ReplaceRootVolumeTasks'][0]['TaskState']
    wait_for(lambda: task_state() == 'succeeded', 'the root volume to be replaced')
    wait_for(lambda: guest.boot_id() not in ('', boot), 'a new boot')
    new = guest.volumes()[root_name]
    assert new != old and state(cloud, old) == 'available' and guest.describe()['PrivateIpAddress'] == address
    assert guest.ssh('test -e /root/on-the-old-disk', check=False).returncode != 0
    cloud.ec2.delete_volume(VolumeId=old)


def first_number(ebs, snapshot):
    """The eight digits at the beginning of a snapshot's disk, read by EBS direct."""
    token = ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=100)['Blocks'][0]['BlockToken']
    return int(ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=0, BlockToken=token)['BlockData'].read()[:8])


def test_snapshots_of_several_volumes_are_of_one_instant(cloud, guest):
    """A counter goes to one disk, then to the other; in no set of snapshots do they differ by more than the one that was on its way."""
    ebs = cloud.session.client('ebs', endpoint_url=cloud.endpoint)
    volumes = [make(cloud, guest, Size=1) for _ in range(2)]
    one, two = (attach(cloud, guest, volume, device) for volume, device in zip(volumes, ('/dev/sdf', '/dev/sdg')))
    write = 'printf "%08d" $n | dd of=/dev/{} bs=4096 conv=sync,fsync,notrunc 2>/dev/null || break'
    guest.ssh(f'(n=0; while test ! -e /tmp/enough; do n=$((n+1)); {write.format(one)}; {write.format(two)}; echo $n >/tmp/written; done; touch /tmp/done) >/dev/null 2>&1 </dev/null &')
    wait_for(lambda: guest.ssh('cat /tmp/written', check=False).stdout.strip(), 'the first round')
    instance = {'InstanceId': guest.id, 'ExcludeBootVolume': True}
    sets, images = [], []
    for number in range(6):
        if number % 3 == 2:
            image = cloud.ec2.create_image(InstanceId=guest.id, Name=f'barrier {number}', NoReboot=True)['ImageId']
            cloud.wait_image(image)
            images.append(image)
            mappings = {each['DeviceName']: each['Ebs'] for each in cloud.ec2.describe_images(ImageIds=[image])['Images'][0]['BlockDeviceMappings']}
            sets.append([mappings[device]['SnapshotId'] for device in ('/dev/sdf', '/dev/sdg')])
        else:
            made = {each['VolumeId']: each['SnapshotId'] for each in cloud.ec2.create_snapshots(InstanceSpecification=instance)['Snapshots']}
            sets.append([made[volume] for volume in volumes])
    cloud.ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[each for pair in sets for each in pair], WaiterConfig={'Delay': 1})
    guest.ssh('touch /tmp/enough; while test ! -e /tmp/done; do sleep 1; done; rm /tmp/enough /tmp/done /tmp/written')
    numbers = [tuple(first_number(ebs, snapshot) for snapshot in pair) for pair in sets]
    print(numbers)
    assert all(first - second in (0, 1) for first, second in numbers), numbers
    assert numbers == sorted(numbers) and numbers[-1] > numbers[0]
    for image in images:
        cloud.ec2.deregister_image(ImageId=image)
    detach(cloud, *volumes)
