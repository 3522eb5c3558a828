"""`amid import`: a disk file becomes an image with the same bytes; what cannot be one is refused with a clear message."""
import os
import random
import struct
import subprocess
import uuid

import pytest

BLOCK = 512 * 1024
MIB = 1024 * 1024


def name():
    return 'import-' + uuid.uuid4().hex[:12]


def run(amid, endpoint, *arguments):
    environment = {'AWS_ACCESS_KEY_ID': 'AKIAIOSFODNN7EXAMPLE', 'AWS_SECRET_ACCESS_KEY': 'secret', **os.environ, 'AWS_ENDPOINT_URL': endpoint,
                   'AWS_REGION': 'us-east-1'}
    return subprocess.run([str(amid), 'import', *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=60)


def imported(amid, endpoint, ec2, *arguments):
    result = run(amid, endpoint, *arguments)
    assert result.returncode == 0, result.stderr
    image_id = result.stdout.splitlines()[-1]
    return ec2.describe_images(ImageIds=[image_id])['Images'][0]


def assert_same_bytes(ebs, image, raw):
    snapshot = image['BlockDeviceMappings'][0]['Ebs']['SnapshotId']
    listed = {b['BlockIndex']: b['BlockToken'] for b in ebs.list_snapshot_blocks(SnapshotId=snapshot)['Blocks']}
    with open(raw, 'rb') as file:
        index = 0
        while data := file.read(BLOCK):
            data = data.ljust(BLOCK, b'\0')
            if data.count(0) == BLOCK:
                assert index not in listed
            else:
                assert ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=listed.pop(index))['BlockData'].read() == data
            index += 1
    assert not listed


@pytest.fixture(scope='module')
def disk(tmp_path_factory):
    """A sparse disk: data at its edges and across blocks, written zeros, holes, text that packs well, an odd end."""
    path = tmp_path_factory.mktemp('disk') / 'disk.raw'
    bytes_of = random.Random(7).randbytes
    with open(path, 'wb') as file:
        file.truncate(300 * MIB + 1536)
        for at, data in ((0, bytes_of(700)), (3 * MIB - 100, bytes_of(200)), (10 * MIB, bytes(2 * MIB)), (50 * MIB + 777, b'amid ' * 200000),
                         (100 * MIB, bytes_of(5 * MIB)), (300 * MIB + 1000, bytes_of(536))):
            file.seek(at)
            file.write(data)
    return path


def convert(disk, tmp_path, *options):
    path = tmp_path / 'disk.qcow2'
    subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', *options, str(disk), str(path)], check=True)
    return path


def test_a_raw_disk(amid, endpoint, ec2, ebs, disk, raw_call):
    raw_call('DisableImageBlockPublicAccess')
    image = imported(amid, endpoint, ec2, disk, '--name', name(), '--description', 'a & <b>', '--boot-mode', 'uefi', '--public')
    assert image['State'] == 'available' and image['Public'] and image['Description'] == 'a & <b>'
    assert image['BootMode'] == 'uefi' and image['VirtualizationType'] == 'hvm' and image['Architecture'] == 'x86_64'
    device = image['BlockDeviceMappings'][0]
    assert device['DeviceName'] == image['RootDeviceName'] == '/dev/sda1'
    assert device['Ebs']['VolumeSize'] == 1 and device['Ebs']['VolumeType'] == 'gp3' and device['Ebs']['DeleteOnTermination']
    assert_same_bytes(ebs, image, disk)


@pytest.mark.parametrize('options', [
    (),
    ('-o', 'compat=0.10'),
    ('-c',),
    ('-c', '-o', 'cluster_size=512'),
    ('-o', 'cluster_size=2M'),
    ('-c', '-o', 'cluster_size=2M'),
    ('-o', 'preallocation=metadata'),
], ids=' '.join)
def test_a_qcow2_disk(amid, endpoint, ec2, ebs, disk, tmp_path, options):
    image = imported(amid, endpoint, ec2, convert(disk, tmp_path, *options), '--name', name(), '--size', '2', '--root-device-name', '/dev/xvda')
    assert image['BlockDeviceMappings'][0]['DeviceName'] == '/dev/xvda'
    assert image['BlockDeviceMappings'][0]['Ebs']['VolumeSize'] == 2
    assert_same_bytes(ebs, image, disk)


def refused(amid, endpoint, message, *arguments, status=1):
    result = run(amid, endpoint, *arguments)
    assert result.returncode == status, result
    assert message in result.stderr
    assert result.stdout == ''


def patched(path, at, data):
    with open(path, 'r+b') as file:
        file.seek(at)
        file.write(data)
    return path


@pytest.mark.parametrize('at, data, message', [
    (8, struct.pack('>QI', 512, 11), 'backing file'),
    (32, struct.pack('>I', 1), 'encrypted'),
    (72, struct.pack('>Q', 4), 'external file'),
    (72, struct.pack('>Q', 1 << 40), 'unknown incompatible features'),
    (24, struct.pack('>Q', (64 << 40) + 512), 'more than 64 TiB'),
    (24, struct.pack('>Q', 63 << 40), 'L1 table'),
    (40, struct.pack('>Q', 1 << 50), 'L1 table'),
    (20, struct.pack('>I', 63), 'cluster size'),
    (4, struct.pack('>I', 9), 'version'),
])
def test_a_hostile_qcow2_is_refused(amid, endpoint, disk, tmp_path, at, data, message):
    refused(amid, endpoint, message, patched(convert(disk, tmp_path), at, data), '--name', name())


def test_a_backing_file_is_not_opened(amid, endpoint, tmp_path):
    secret = tmp_path / 'secret'
    secret.write_bytes(b's' * MIB)
    path = tmp_path / 'overlay.qcow2'
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-b', str(secret), '-F', 'raw', str(path)], check=True)
    refused(amid, endpoint, 'backing file', path, '--name', name())


@pytest.mark.parametrize('start, message', [
    (b'KDMV' + bytes(600), 'VMDK'), (b'vhdxfile' + bytes(600), 'VHDX'), (b'conectix' + bytes(600), 'VHD'), (b'\x1f\x8b\x08' + bytes(600), 'gzip'),
])
def test_other_formats_are_named(amid, endpoint, tmp_path, start, message):
    path = tmp_path / 'disk'
    path.write_bytes(start)
    refused(amid, endpoint, message, path, '--name', name())


def test_what_else_is_refused(amid, endpoint, disk, tmp_path, ec2):
    refused(amid, endpoint, 'cannot read', tmp_path / 'missing', '--name', name())
    refused(amid, endpoint, 'cannot read', tmp_path, '--name', name())
    refused(amid, endpoint, '--name is missing', disk, status=2)
    refused(amid, endpoint, 'FILE', '--name', name(), status=2)
    refused(amid, endpoint, 'is not qcow2', disk, '--format', 'qcow2', '--name', name())
    refused(amid, 'http://127.0.0.1:1', 'cannot reach', disk, '--name', name())
    big = tmp_path / 'big'
    with open(big, 'wb') as file:
        file.truncate(1025 * MIB)
    refused(amid, endpoint, 'needs 2 GiB', big, '--size', 1, '--name', name())


def test_a_name_is_taken_once_and_nothing_is_left(amid, endpoint, ec2, disk):
    taken = name()
    imported(amid, endpoint, ec2, disk, '--name', taken)
    before = {s['SnapshotId'] for s in ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']}
    refused(amid, endpoint, taken, disk, '--name', taken)
    refused(amid, endpoint, '3 to 128', disk, '--name', '!!')
    assert {s['SnapshotId'] for s in ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']} == before


def test_help_is_help(amid, endpoint):
    result = run(amid, endpoint, '--help')
    assert result.returncode == 0 and 'Example:' in result.stdout
