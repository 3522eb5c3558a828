"""`amid scrub`: a flipped bit is found, named by snapshot, image, device and offset, never handed out, and mended by the same content."""
import json
import os
import random
import re
import subprocess

import pytest
from botocore.exceptions import ClientError

from conftest import World, poll

BLOCK = 512 * 1024
MIB = 1024 * 1024
PLACE = 6 * BLOCK


def command(amid, server, *words):
    environment = {**os.environ, 'AWS_ACCESS_KEY_ID': 'AKIAIOSFODNN7EXAMPLE', 'AWS_SECRET_ACCESS_KEY': 'secret', 'AWS_ENDPOINT_URL': server.endpoint,
                   'AWS_REGION': 'us-east-1'}
    return subprocess.run([str(amid), *map(str, words)], env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def disk(tmp_path):
    """(file, the block that is to be damaged)"""
    bytes_of = random.Random(11).randbytes
    data = bytes_of(BLOCK)
    with open(tmp_path / 'disk', 'wb') as file:
        file.truncate(8 * MIB)
        file.write(bytes_of(BLOCK))
        file.seek(PLACE)
        file.write(data)
    return tmp_path / 'disk', data


def flip_bit(server, data):
    """In the middle of where these bytes lie in a pack."""
    for pack in (server.data / 'regions' / 'us-east-1' / 'store' / 'packs').iterdir():
        content = pack.read_bytes()
        at = content.find(data[:64])
        if at >= 0:
            with open(pack, 'r+b') as file:
                file.seek(at + 1000)
                file.write(bytes([data[1000] ^ 4]))
            return
    raise AssertionError('the bytes are in no pack')


def import_disk(amid, server, disk, name):
    done = command(amid, server, 'import', disk, '--name', name)
    assert done.returncode == 0, done.stderr
    image = done.stdout.split()[-1]
    shown = server.client('ec2').describe_images(ImageIds=[image])['Images'][0]
    return image, shown['RootDeviceName'], shown['BlockDeviceMappings'][0]['Ebs']['SnapshotId']


def status_of(ec2, volume):
    return ec2.describe_volume_status(VolumeIds=[volume])['VolumeStatuses'][0]['VolumeStatus']['Status']


def test_damage_is_named_never_handed_out_and_mended(amid, own_server, disk):
    path, data = disk
    ec2, ebs = own_server.client('ec2'), own_server.client('ebs')
    image, device, snapshot = import_disk(amid, own_server, path, 'first')
    volume = ec2.create_volume(AvailabilityZone='us-east-1a', SnapshotId=snapshot)['VolumeId']
    World(ec2).snapshot()  # one that is not affected
    assert status_of(ec2, volume) == 'ok'
    clean = command(amid, own_server, 'scrub', '--now')
    assert clean.returncode == 0 and ' 0 objects damaged' in clean.stdout, clean.stdout + clean.stderr

    flip_bit(own_server, data)
    found = command(amid, own_server, 'scrub', '--now', '--rate', 1000)
    assert found.returncode == 1, found.stdout + found.stderr
    damaged = re.findall(r'damaged: (\S+) offset (\d+), (\d+) bytes(.*)', found.stdout)
    assert (snapshot, str(PLACE), str(BLOCK), f'; image {image} {device}') in damaged
    assert {line[0] for line in damaged} == {snapshot, volume}
    assert f'image={image} device={device}' in own_server.log()
    assert command(amid, own_server, 'status', '--field', 'damaged').stdout == '1\n'
    shown = ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots'][0]
    assert str(PLACE) in shown['StateMessage'] and shown['State'] == 'completed'
    assert status_of(ec2, volume) == 'impaired'
    block = next(b for b in ebs.list_snapshot_blocks(SnapshotId=snapshot)['Blocks'] if b['BlockIndex'] == 6)
    with pytest.raises(ClientError) as error:
        ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=6, BlockToken=block['BlockToken'])
    assert error.value.response['ResponseMetadata']['HTTPStatusCode'] == 500

    # known again after a restart, and mended by an import of the same content
    own_server.restart()
    assert command(amid, own_server, 'scrub').returncode == 1
    import_disk(amid, own_server, path, 'second')
    mended = command(amid, own_server, 'scrub', '--now')
    assert mended.returncode == 0 and 'damaged: ' not in mended.stdout, mended.stdout
    ec2, ebs = own_server.client('ec2'), own_server.client('ebs')
    assert not ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots'][0].get('StateMessage')
    assert status_of(ec2, volume) == 'ok'
    block = next(b for b in ebs.list_snapshot_blocks(SnapshotId=snapshot)['Blocks'] if b['BlockIndex'] == 6)
    assert ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=6, BlockToken=block['BlockToken'])['BlockData'].read() == data


def test_the_background_verifies_of_its_own_accord(amid, own_server, disk):
    import_disk(amid, own_server, disk[0], 'first')
    own_server.restart()

    def passed():
        regions = json.loads(command(amid, own_server, 'scrub', '--json').stdout)['regions']
        return all(region['pass'] >= 1 and not region['running'] for region in regions)

    poll(passed)


@pytest.mark.parametrize('words', [('--rate', '5'), ('--now', '--rate', 'fast'), ('--now', '--rate', '-1')])
def test_wrong_use(amid, own_server, words):
    assert command(amid, own_server, 'scrub', *words).returncode == 2


@pytest.mark.parametrize('method, path, body, status', [
    ('POST', '/_amid/scrub', '{"rate_mib":-1}', 400),
    ('POST', '/_amid/scrub', '{"rate_mib":"x"}', 400),
    ('POST', '/_amid/scrub', '[', 400),
    ('GET', '/_amid/scrubs', '', 404),
    ('DELETE', '/_amid/scrub', '', 404),
])
def test_wrong_requests(server, method, path, body, status):
    from botocore.awsrequest import AWSRequest
    answered, text = server.send(AWSRequest(method, server.endpoint + path, data=body))
    assert answered == status, text
