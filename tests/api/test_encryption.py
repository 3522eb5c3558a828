"""Encrypted volumes, snapshots and images: which key they get, that copies and twins hold what their sources hold, and
that the store has nothing plain. What KMS allows and refuses: test_encryption_keys.py."""

import base64
import concurrent.futures
import hashlib
import os

import pytest
from botocore.exceptions import ClientError
from conftest import poll
from test_ebs_direct import block_of, checksum, put, read, start, write

BLOCKS = {0: block_of("boot"), 1: bytes(1000) + block_of("half")[1000:], 2047: block_of("end")}
ABSENT = "1234abcd-0000-0000-0000-1234567890ab"


@pytest.fixture
def kms(server):
    return server.client("kms")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def shown_volume(ec2, volume):
    return ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]


def shown_snapshot(ec2, snapshot):
    return ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]


def volume_of(ec2, snapshot=None, **more):
    source = {"SnapshotId": snapshot} if snapshot else {"Size": 1}
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", **source, **more)["VolumeId"]
    poll(lambda: shown_volume(ec2, volume)["State"] in ("available", "error"), 60)
    return volume


def snapshot_of(ec2, volume):
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    poll(lambda: shown_snapshot(ec2, snapshot)["State"] == "completed", 60)
    return snapshot


def copy_of(ec2, snapshot, region="us-east-1", **more):
    copy = ec2.copy_snapshot(SourceRegion=region, SourceSnapshotId=snapshot, **more)["SnapshotId"]
    poll(lambda: shown_snapshot(ec2, copy)["State"] in ("completed", "error"), 60)
    return copy


def lies_in(folder, *markers):
    """Which of some byte strings are in a file below a folder. Holes are not read."""
    found = set()
    for path, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(path, name), "rb", 0) as file:
                at = 0
                while True:
                    try:
                        at = os.lseek(file.fileno(), at, os.SEEK_DATA)
                    except OSError:
                        break
                    chunk = os.pread(file.fileno(), 1 << 24, at)
                    found |= {marker for marker in markers if marker in chunk}
                    if len(chunk) < 1 << 24:
                        break
                    at += len(chunk) - 64
    return found


def refused(code, call, *arguments, **parameters):
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    assert caught.value.response["Error"]["Code"] == code, caught.value


def test_empty_volume_is_encrypted_and_so_are_its_snapshots_and_their_volumes(ec2, key):
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, Encrypted=True, KmsKeyId=key)
    assert made["Encrypted"] and made["KmsKeyId"] == key
    volume = made["VolumeId"]
    poll(lambda: shown_volume(ec2, volume)["State"] == "available")
    snapshot = snapshot_of(ec2, volume)
    shown = shown_snapshot(ec2, snapshot)
    assert shown["Encrypted"] and shown["KmsKeyId"] == key
    child = volume_of(ec2, snapshot)
    assert shown_volume(ec2, child)["Encrypted"] and shown_volume(ec2, child)["KmsKeyId"] == key
    grandchild = shown_snapshot(ec2, snapshot_of(ec2, child))
    assert grandchild["DataEncryptionKeyId"] == shown["DataEncryptionKeyId"]  # a lineage has one data key


def test_without_a_key_the_managed_one_is_taken(ec2, kms):
    volume = shown_volume(ec2, volume_of(ec2, Encrypted=True))
    managed = kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]
    assert volume["KmsKeyId"] == managed["Arn"] and managed["KeyManager"] == "AWS"


def test_plain_things_stay_plain(ec2):
    volume = volume_of(ec2)
    assert not shown_volume(ec2, volume)["Encrypted"] and "KmsKeyId" not in shown_volume(ec2, volume)
    snapshot = shown_snapshot(ec2, snapshot_of(ec2, volume))
    assert not snapshot["Encrypted"] and "KmsKeyId" not in snapshot and "DataEncryptionKeyId" not in snapshot
    refused("InvalidParameterDependency", volume_of, ec2, KmsKeyId="alias/x")
    refused("InvalidParameterDependency", volume_of, ec2, Encrypted=False, KmsKeyId="alias/x")


def test_plain_snapshot_becomes_an_encrypted_volume(ec2, ebs, key):
    source = write(ebs, BLOCKS)
    volume = volume_of(ec2, source, Encrypted=True, KmsKeyId=key)
    assert shown_volume(ec2, volume)["State"] == "available"
    snapshot = snapshot_of(ec2, volume)
    assert read(ebs, snapshot) == BLOCKS and shown_snapshot(ec2, snapshot)["KmsKeyId"] == key


def test_encrypted_snapshot_becomes_a_volume_under_another_key(ec2, ebs, kms, key):
    other = kms.create_key()["KeyMetadata"]["Arn"]
    source = write(ebs, BLOCKS, Encrypted=True, KmsKeyArn=key)
    volume = volume_of(ec2, source, Encrypted=True, KmsKeyId=other)
    ec2.delete_snapshot(SnapshotId=source)
    snapshot = snapshot_of(ec2, volume)
    assert read(ebs, snapshot) == BLOCKS and shown_snapshot(ec2, snapshot)["KmsKeyId"] == other


def test_second_volume_of_a_source_uses_its_twin_and_both_go(empty_server, ec2, ebs, key):
    source = write(ebs, BLOCKS)
    first = volume_of(ec2, source, Encrypted=True, KmsKeyId=key)
    objects = empty_server.status()["store_objects"]
    second = volume_of(ec2, source, Encrypted=True, KmsKeyId=key)
    assert empty_server.status()["store_objects"] == objects
    assert len({shown_snapshot(ec2, snapshot_of(ec2, v))["DataEncryptionKeyId"] for v in (first, second)}) == 1
    ec2.delete_snapshot(SnapshotId=source)
    for snapshot in ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    for volume in (first, second):
        ec2.delete_volume(VolumeId=volume)
    empty_server.wait_empty()


def test_store_has_nothing_plain_of_an_encrypted_snapshot(own_server):
    ec2, ebs, kms = (own_server.client(service) for service in ("ec2", "ebs", "kms"))
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    snapshot = write(ebs, BLOCKS, Encrypted=True, KmsKeyArn=arn)
    copy = copy_of(ec2, snapshot, Encrypted=True, KmsKeyId=kms.create_key()["KeyMetadata"]["Arn"])
    volume = volume_of(ec2, snapshot)
    markers = [data[2000:2032] for data in BLOCKS.values()]
    markers += [hashlib.sha256(data).digest() for data in BLOCKS.values()]  # nor what names the plain blocks
    assert not lies_in(own_server.data, *markers)
    assert read(ebs, snapshot) == read(ebs, copy) == read(ebs, snapshot_of(ec2, volume)) == BLOCKS
    own_server.restart()
    ec2, ebs = own_server.client("ec2"), own_server.client("ebs")
    assert read(ebs, copy) == BLOCKS and shown_snapshot(ec2, copy)["Encrypted"]
    plain = write(ebs, BLOCKS)
    assert lies_in(own_server.data, *markers) == set(markers), plain  # what is there is found
    own_server.stop()
    checked = own_server.fsck()
    assert checked.returncode == 0, checked.stdout


def test_blocks_are_sent_and_seen_plain(ebs, ec2, key):
    answer = ebs.start_snapshot(VolumeSize=1, Encrypted=True, KmsKeyArn=key)
    assert answer["KmsKeyArn"] == key
    snapshot = answer["SnapshotId"]
    blocks = {**BLOCKS, 5: bytes(512 * 1024)}
    for index, data in blocks.items():
        assert put(ebs, snapshot, index, data)["Checksum"] == checksum(data)
    total = hashlib.sha256(b"".join(hashlib.sha256(blocks[i]).digest() for i in sorted(blocks))).digest()
    claim = {"ChangedBlocksCount": 4, "ChecksumAlgorithm": "SHA256", "ChecksumAggregationMethod": "LINEAR"}
    refused("ValidationException", ebs.complete_snapshot, SnapshotId=snapshot, Checksum=checksum(b"x"), **claim)
    ebs.complete_snapshot(SnapshotId=snapshot, Checksum=base64.b64encode(total).decode(), **claim)
    assert read(ebs, snapshot) == BLOCKS
    child = write(ebs, {3: block_of("child")}, ParentSnapshotId=snapshot)
    assert read(ebs, child) == {**BLOCKS, 3: block_of("child")}
    parent, shown = shown_snapshot(ec2, snapshot), shown_snapshot(ec2, child)
    assert shown["KmsKeyId"] == key and shown["DataEncryptionKeyId"] == parent["DataEncryptionKeyId"]
    changed = ebs.list_changed_blocks(FirstSnapshotId=snapshot, SecondSnapshotId=child)["ChangedBlocks"]
    assert [block["BlockIndex"] for block in changed] == [3]


def test_start_snapshot_refuses_what_the_tables_refuse(ebs, ec2, key):
    plain, sealed = write(ebs, BLOCKS), write(ebs, BLOCKS, Encrypted=True)
    refused("ValidationException", start, ebs, ParentSnapshotId=plain, Encrypted=True)
    refused("ValidationException", start, ebs, ParentSnapshotId=sealed, Encrypted=True)
    refused("ValidationException", start, ebs, ParentSnapshotId=sealed, KmsKeyArn=key)
    refused("ValidationException", start, ebs, KmsKeyArn=key)
    refused("ValidationException", start, ebs, Encrypted=True, KmsKeyArn=key[:-36] + ABSENT)
    ec2.enable_ebs_encryption_by_default()
    refused("ValidationException", start, ebs, ParentSnapshotId=plain)
    assert shown_snapshot(ec2, start(ebs))["Encrypted"]


def test_copies(ec2, ec2_west, ebs, server, kms, key):
    plain = write(ebs, BLOCKS)
    sealed = copy_of(ec2, plain, Encrypted=True, KmsKeyId=key)
    assert shown_snapshot(ec2, sealed)["KmsKeyId"] == key and read(ebs, sealed) == BLOCKS
    by_reference = copy_of(ec2, sealed, Encrypted=True, KmsKeyId=key)
    ids = [shown_snapshot(ec2, each)["DataEncryptionKeyId"] for each in (sealed, by_reference)]
    assert ids[0] == ids[1] and read(ebs, by_reference) == BLOCKS
    default = copy_of(ec2, sealed)
    managed = kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]
    assert shown_snapshot(ec2, default)["KmsKeyId"] == managed and read(ebs, default) == BLOCKS
    west = copy_of(ec2_west, sealed)
    assert ":us-west-2:" in shown_snapshot(ec2_west, west)["KmsKeyId"]
    assert read(server.client("ebs", "us-west-2"), west) == BLOCKS
    refused("InvalidParameterValue", copy_of, ec2, sealed, Encrypted=False)
    refused("InvalidParameterDependency", copy_of, ec2, plain, KmsKeyId=key)
    failed = shown_snapshot(ec2, copy_of(ec2, plain, Encrypted=True, KmsKeyId=ABSENT))
    assert failed["State"] == "error" and "Given key ID is not accessible" in failed["StateMessage"]


def test_encryption_by_default_of_an_account_and_region(ec2, ec2_west, ebs, key):
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    plain = write(ebs, BLOCKS)
    assert ec2.enable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    assert ec2.modify_ebs_default_kms_key_id(KmsKeyId=key)["KmsKeyId"] == key
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    assert ec2_west.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    for volume in (volume_of(ec2), volume_of(ec2, plain), volume_of(ec2, Encrypted=False)):
        assert shown_volume(ec2, volume)["KmsKeyId"] == key
    assert shown_snapshot(ec2, copy_of(ec2, plain))["KmsKeyId"] == key
    assert ec2.reset_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    assert shown_volume(ec2, volume_of(ec2))["KmsKeyId"] != key
    assert ec2.disable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert not shown_volume(ec2, volume_of(ec2))["Encrypted"]
    refused("InvalidParameterValue", ec2.modify_ebs_default_kms_key_id, KmsKeyId=ABSENT)


def test_volume_of_a_key_that_is_not_there_fails_afterwards(ec2):
    assert shown_volume(ec2, volume_of(ec2, Encrypted=True, KmsKeyId=ABSENT))["State"] == "error"


def test_instance_of_a_plain_image_with_encrypted_disks(ec2, ebs, world, key):
    root = {"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "KmsKeyId": key}}
    data = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "Encrypted": True}}
    image = world.image(snapshot=write(ebs, BLOCKS))
    ids = world.run(image=image, count=2, BlockDeviceMappings=[root, data])
    for instance in ids:
        volumes = [shown_volume(ec2, ebs["VolumeId"]) for ebs in world.devices(instance).values()]
        assert [v["Encrypted"] for v in volumes] == [True, True]
        assert key in [v["KmsKeyId"] for v in volumes]
    captured = ec2.create_image(InstanceId=ids[0], Name="captured", NoReboot=True)["ImageId"]
    poll(lambda: world.shown_image(captured)["State"] == "available", 60)
    mappings = {m["DeviceName"]: m["Ebs"] for m in world.shown_image(captured)["BlockDeviceMappings"]}
    assert all(mapping["Encrypted"] for mapping in mappings.values())
    assert read(ebs, mappings["/dev/sda1"]["SnapshotId"]) == BLOCKS
    again = world.instance(image=captured)
    assert shown_volume(ec2, world.devices(again)["/dev/sda1"]["VolumeId"])["KmsKeyId"] == key


def test_image_mappings_refuse_what_is_for_launches(ec2, world, ebs, key):
    snapshot = write(ebs, BLOCKS)

    def register(**more):
        mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, **more}}
        return ec2.register_image(Name="refused", RootDeviceName="/dev/sda1", BlockDeviceMappings=[mapping])

    refused("InvalidBlockDeviceMapping", register, Encrypted=True)
    refused("InvalidBlockDeviceMapping", register, Encrypted=False)
    refused("InvalidBlockDeviceMapping", register, Encrypted=True, KmsKeyId=key)
    empty = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "Encrypted": True}}
    image = world.image(snapshot=snapshot, mappings=[empty])
    instance = world.instance(image=image)
    assert shown_volume(ec2, world.devices(instance)["/dev/sdb"]["VolumeId"])["Encrypted"]
    mapping = [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True}}]
    refused("InvalidBlockDeviceMapping", ec2.create_image, InstanceId=instance, Name="refused", BlockDeviceMappings=mapping)


def test_launch_with_a_key_that_is_not_there_ends_with_the_reason(ec2, world):
    root = {"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "KmsKeyId": ABSENT}}
    instance = world.run(wait="terminated", BlockDeviceMappings=[root])[0]
    assert world.shown(instance)["StateReason"]["Code"] == "Client.InternalError"


def test_twin_goes_on_after_a_crash(own_server):
    ec2, ebs, kms = (own_server.client(service) for service in ("ec2", "ebs", "kms"))
    arn = kms.create_key()["KeyMetadata"]["Arn"]
    blocks = {index: block_of(("crash", index)) for index in range(280)}  # more than one step brings
    source = start(ebs)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: put(ebs, source, *item), blocks.items()))
    ebs.complete_snapshot(SnapshotId=source, ChangedBlocksCount=len(blocks))
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=source, Encrypted=True, KmsKeyId=arn)["VolumeId"]
    ec2.delete_snapshot(SnapshotId=source)
    own_server.kill()
    checked = own_server.fsck()
    assert checked.returncode == 0, checked.stdout  # what is still to be encrypted is there
    own_server.start()
    ec2, ebs = own_server.client("ec2"), own_server.client("ebs")
    poll(lambda: shown_volume(ec2, volume)["State"] == "available", 60)
    snapshot = snapshot_of(ec2, volume)
    listed = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
    assert [block["BlockIndex"] for block in listed] == list(blocks)
    for block in (listed[0], listed[260], listed[-1]):
        index = block["BlockIndex"]
        got = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockToken=block["BlockToken"])
        assert got["BlockData"].read() == blocks[index]
    own_server.stop()
    checked = own_server.fsck()
    assert checked.returncode == 0, checked.stdout
