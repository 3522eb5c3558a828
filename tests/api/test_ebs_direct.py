"""The EBS direct APIs, spoken by boto3: what is written block by block is what is read, and what is refused and how."""
import base64
import concurrent.futures
import hashlib
import uuid

import pytest
from botocore.exceptions import ClientError
from test_clock import clock

BLOCK = 512 * 1024


def block_of(seed):
    return hashlib.sha256(str(seed).encode()).digest() * (BLOCK // 32)


def checksum(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def put(ebs, snapshot, index, data, **other):
    parameters = dict(SnapshotId=snapshot, BlockIndex=index, BlockData=data, DataLength=len(data), Checksum=checksum(data),
                      ChecksumAlgorithm='SHA256')
    parameters.update(other)
    return ebs.put_snapshot_block(**parameters)


def start(ebs, **parameters):
    return ebs.start_snapshot(**{'VolumeSize': 1, **parameters})['SnapshotId']


def write(ebs, blocks, **parameters):
    snapshot = start(ebs, **parameters)
    for index, data in blocks.items():
        put(ebs, snapshot, index, data)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(blocks))
    return snapshot


def read(ebs, snapshot):
    blocks = {}
    for block in ebs.list_snapshot_blocks(SnapshotId=snapshot)['Blocks']:
        got = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=block['BlockIndex'], BlockToken=block['BlockToken'])
        data = got['BlockData'].read()
        assert got['DataLength'] == len(data) == BLOCK
        assert got['Checksum'] == checksum(data) and got['ChecksumAlgorithm'] == 'SHA256'
        blocks[block['BlockIndex']] = data
    return blocks


def refused(code, call, *arguments, **parameters):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    assert caught.value.response['Error']['Code'] == code, caught.value
    return caught.value.response


def test_what_is_written_is_read(ebs, ec2):
    blocks = {0: block_of('a'), 7: block_of('b'), 2047: block_of('c')}
    answer = ebs.start_snapshot(VolumeSize=1, Description='by hand', Tags=[{'Key': 'k', 'Value': 'v'}])
    snapshot = answer['SnapshotId']
    assert answer['Status'] == 'pending' and answer['VolumeSize'] == 1 and answer['BlockSize'] == BLOCK
    assert answer['Tags'] == [{'Key': 'k', 'Value': 'v'}] and answer['Description'] == 'by hand'
    for index, data in blocks.items():
        assert put(ebs, snapshot, index, data)['Checksum'] == checksum(data)
    seen = ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots'][0]
    assert seen['State'] == 'pending' and seen['Tags'] == [{'Key': 'k', 'Value': 'v'}]
    assert ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=3)['Status'] in ('pending', 'completed')
    ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[snapshot])
    assert read(ebs, snapshot) == blocks


def test_the_aggregated_checksum_is_checked(ebs):
    blocks = {9: block_of(1), 3: block_of(2)}
    total = hashlib.sha256(b''.join(hashlib.sha256(blocks[i]).digest() for i in sorted(blocks))).digest()
    claim = dict(ChangedBlocksCount=2, ChecksumAlgorithm='SHA256', ChecksumAggregationMethod='LINEAR')
    snapshot = start(ebs)
    for index, data in blocks.items():
        put(ebs, snapshot, index, data)
    refused('ValidationException', ebs.complete_snapshot, SnapshotId=snapshot, Checksum=checksum(b'other'), **claim)
    ebs.complete_snapshot(SnapshotId=snapshot, Checksum=base64.b64encode(total).decode(), **claim)


def test_zeros_are_not_listed(ebs):
    snapshot = write(ebs, {1: bytes(BLOCK), 2: block_of(2)})
    assert sorted(read(ebs, snapshot)) == [2]


def test_a_child_has_what_its_parent_had(ebs, ec2):
    parent = write(ebs, {1: block_of(1), 2: block_of(2)})
    child = start(ebs, ParentSnapshotId=parent, VolumeSize=2)
    ec2.delete_snapshot(SnapshotId=parent)
    put(ebs, child, 2, bytes(BLOCK))
    put(ebs, child, 4095, block_of(3))
    ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=2)
    assert read(ebs, child) == {1: block_of(1), 4095: block_of(3)}


def test_changed_blocks(ebs):
    first = write(ebs, {1: block_of(1), 2: block_of(2), 3: block_of(3)})
    second = write(ebs, {2: block_of('new'), 3: bytes(BLOCK), 9: block_of(9)}, ParentSnapshotId=first)
    changed = ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=second)['ChangedBlocks']
    assert [c['BlockIndex'] for c in changed] == [2, 3, 9]
    tokens = {c['BlockIndex']: (c.get('FirstBlockToken'), c.get('SecondBlockToken')) for c in changed}
    assert all(tokens[2]) and tokens[3][0] and not tokens[3][1] and not tokens[9][0] and tokens[9][1]

    def get(snapshot, index, token):
        return ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=token)['BlockData'].read()
    assert get(first, 2, tokens[2][0]) == block_of(2)
    assert get(second, 2, tokens[2][1]) == block_of('new')
    assert [c['BlockIndex'] for c in ebs.list_changed_blocks(SecondSnapshotId=second)['ChangedBlocks']] == [1, 2, 9]


def test_lists_come_in_pages(ebs):
    wanted = list(range(0, 500, 2))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        snapshot = start(ebs)
        list(pool.map(lambda index: put(ebs, snapshot, index, block_of(index % 5)), wanted))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(wanted))
    found, token, pages = [], None, 0
    while pages == 0 or token:
        page = ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=100, **({'NextToken': token} if token else {}))
        found += [block['BlockIndex'] for block in page['Blocks']]
        token, pages = page.get('NextToken'), pages + 1
    assert found == wanted and pages == 3
    later = ebs.list_snapshot_blocks(SnapshotId=snapshot, StartingBlockIndex=301)['Blocks']
    assert [block['BlockIndex'] for block in later] == [index for index in wanted if index >= 301]
    other = write(ebs, {0: block_of(0)})
    first = ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=100)['NextToken']
    refused('ValidationException', ebs.list_snapshot_blocks, SnapshotId=other, NextToken=first)


def test_a_token_is_for_one_block_of_one_snapshot(ebs):
    one, two = write(ebs, {1: block_of(1), 2: block_of(2)}), write(ebs, {1: block_of(1)})
    token = ebs.list_snapshot_blocks(SnapshotId=one)['Blocks'][0]['BlockToken']
    refused('ValidationException', ebs.get_snapshot_block, SnapshotId=one, BlockIndex=2, BlockToken=token)
    refused('ValidationException', ebs.get_snapshot_block, SnapshotId=two, BlockIndex=1, BlockToken=token)
    forged = bytearray(base64.b64decode(token))
    forged[20] ^= 1
    refused('ValidationException', ebs.get_snapshot_block, SnapshotId=one, BlockIndex=1, BlockToken=base64.b64encode(forged).decode())


def test_wrong_blocks_are_refused(ebs):
    snapshot, data = start(ebs), block_of('x')
    refused('ValidationException', put, ebs, snapshot, 0, data, Checksum=checksum(b'other'))
    refused('ValidationException', put, ebs, snapshot, 0, data, ChecksumAlgorithm='MD5')
    refused('ValidationException', put, ebs, snapshot, 0, data[:-1])
    refused('ValidationException', put, ebs, snapshot, 2048, data)
    refused('ResourceNotFoundException', put, ebs, 'snap-00000000000000000', 0, data)
    refused('ValidationException', put, ebs, 'snap-0', 0, data)


def test_a_completed_snapshot_takes_no_more_blocks(ebs):
    snapshot = write(ebs, {0: block_of(0)})
    refused('ValidationException', put, ebs, snapshot, 1, block_of(1))


def test_the_count_of_blocks_is_checked(ebs):
    snapshot = start(ebs)
    put(ebs, snapshot, 1, block_of(1))
    put(ebs, snapshot, 1, block_of(2))
    refused('ValidationException', ebs.complete_snapshot, SnapshotId=snapshot, ChangedBlocksCount=2)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
    assert read(ebs, snapshot) == {1: block_of(2)}


def test_a_pending_snapshot_cannot_be_read(ebs):
    snapshot = start(ebs)
    put(ebs, snapshot, 1, block_of(1))
    refused('ValidationException', ebs.list_snapshot_blocks, SnapshotId=snapshot)
    refused('ValidationException', ebs.start_snapshot, VolumeSize=1, ParentSnapshotId=snapshot)


def test_a_client_token_starts_one_snapshot(ebs):
    token = str(uuid.uuid4())
    one = ebs.start_snapshot(VolumeSize=1, ClientToken=token)['SnapshotId']
    assert ebs.start_snapshot(VolumeSize=1, ClientToken=token)['SnapshotId'] == one
    refused('ConflictException', ebs.start_snapshot, VolumeSize=2, ClientToken=token)


def test_what_cannot_be_started(ebs):
    refused('ValidationException', ebs.start_snapshot, VolumeSize=65537)
    refused('ValidationException', ebs.start_snapshot, VolumeSize=1, KmsKeyArn='alias/none')
    refused('ValidationException', ebs.start_snapshot, VolumeSize=1, Tags=[{'Key': 'aws:x', 'Value': ''}])
    refused('ResourceNotFoundException', ebs.start_snapshot, VolumeSize=1, ParentSnapshotId='snap-00000000000000000')
    parent = write(ebs, {}, VolumeSize=3)
    refused('ValidationException', ebs.start_snapshot, VolumeSize=2, ParentSnapshotId=parent)


def test_a_deleted_snapshot_takes_no_blocks(ebs, ec2):
    snapshot = start(ebs)
    put(ebs, snapshot, 1, block_of(1))
    ec2.delete_snapshot(SnapshotId=snapshot)
    refused('ResourceNotFoundException', put, ebs, snapshot, 2, block_of(2))
    refused('ResourceNotFoundException', ebs.complete_snapshot, SnapshotId=snapshot, ChangedBlocksCount=1)


def minutes(server, count):
    clock(server, 'POST', advance_ms=count * 60 * 1000)


def state(ec2, snapshot):
    shown = ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots'][0]
    return shown['State'], shown.get('StateMessage')


def test_an_upload_that_is_left_alone_fails_in_its_time(ebs, ec2, server, wait_for):
    snapshot = start(ebs, Timeout=10)
    for index in range(3):
        minutes(server, 9)
        put(ebs, snapshot, index, block_of(index))
    minutes(server, 11)
    wait_for(lambda: state(ec2, snapshot)[0] == 'error')
    assert 'timeout' in state(ec2, snapshot)[1]
    refused('ValidationException', put, ebs, snapshot, 3, block_of(3))
    refused('ValidationException', ebs.complete_snapshot, SnapshotId=snapshot, ChangedBlocksCount=3)


def test_space_of_an_upload_is_given_back_with_its_snapshot(ebs, ec2, empty_server):
    snapshot = start(ebs)
    put(ebs, snapshot, 0, block_of('given up'))
    assert empty_server.status()['store_objects'] == 1
    ec2.delete_snapshot(SnapshotId=snapshot)
    empty_server.wait_empty()


def test_tokens_outlive_a_restart_and_expire(own_server):
    ebs = own_server.client('ebs')
    blocks = {index: block_of(0) for index in range(101)}
    snapshot = write(ebs, blocks)
    page = ebs.list_snapshot_blocks(SnapshotId=snapshot, MaxResults=100)
    block = {'BlockIndex': 0, 'BlockToken': page['Blocks'][0]['BlockToken']}
    own_server.restart()
    assert (own_server.data / 'token-key').stat().st_mode & 0o777 == 0o600
    ebs = own_server.client('ebs')
    assert ebs.get_snapshot_block(SnapshotId=snapshot, **block)['BlockData'].read() == block_of(0)
    more = {'MaxResults': 100, 'NextToken': page['NextToken']}
    assert [b['BlockIndex'] for b in ebs.list_snapshot_blocks(SnapshotId=snapshot, **more)['Blocks']] == [100]
    minutes(own_server, 61)
    answer = refused('ValidationException', ebs.list_snapshot_blocks, SnapshotId=snapshot, **more)
    assert answer['Reason'] == 'INVALID_PAGE_TOKEN'
    assert ebs.get_snapshot_block(SnapshotId=snapshot, **block)['DataLength'] == BLOCK
    minutes(own_server, 7 * 24 * 60)
    answer = refused('ValidationException', ebs.get_snapshot_block, SnapshotId=snapshot, **block)
    assert answer['Reason'] == 'INVALID_BLOCK_TOKEN'


def test_only_so_many_uploads_are_pending(ebs, ec2):
    pending = [start(ebs) for _ in range(100)]
    refused('ConcurrentLimitExceededException', start, ebs)
    ec2.delete_snapshot(SnapshotId=pending[0])
    ebs.complete_snapshot(SnapshotId=pending[1], ChangedBlocksCount=0)
    start(ebs), start(ebs)
    refused('ConcurrentLimitExceededException', start, ebs)


def test_errors_say_their_reason(ebs):
    snapshot = start(ebs)
    for reason, call, parameters in (
        ('SNAPSHOT_NOT_FOUND', ebs.list_snapshot_blocks, {'SnapshotId': 'snap-00000000000000000'}),
        ('INVALID_SNAPSHOT_ID', ebs.list_snapshot_blocks, {'SnapshotId': 'snap-xyz'}),
        ('INVALID_SNAPSHOT_ID', ebs.list_snapshot_blocks, {'SnapshotId': snapshot}),
        ('INVALID_VOLUME_SIZE', ebs.start_snapshot, {'VolumeSize': 65537}),
        ('INVALID_TAG', ebs.start_snapshot, {'VolumeSize': 1, 'Tags': [{'Key': 'aws:x', 'Value': ''}]}),
        ('INVALID_CUSTOMER_KEY', ebs.start_snapshot, {'VolumeSize': 1, 'Encrypted': True, 'KmsKeyArn': 'alias/none'}),
        ('INVALID_PARAMETER_VALUE', ebs.list_snapshot_blocks, {'SnapshotId': snapshot, 'MaxResults': 10001}),
        ('INVALID_PARAMETER_VALUE', ebs.start_snapshot, {'VolumeSize': 1, 'Timeout': 4321}),
    ):
        with pytest.raises(ClientError) as caught:
            call(**parameters)
        assert caught.value.response['Reason'] == reason, caught.value
    with pytest.raises(ClientError) as caught:
        put(ebs, snapshot, 0, block_of(1), Checksum=checksum(b'other'))
    assert caught.value.response['Reason'] == 'INVALID_BLOCK'
