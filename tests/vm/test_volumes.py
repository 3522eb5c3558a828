"""Volumes of a running guest: grown, held to their limits, plugged and unplugged while it writes. All with one guest."""
import pytest

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
