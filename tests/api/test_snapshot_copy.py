"""CopySnapshot: within a region and to another one, and what is refused."""

import concurrent.futures

import pytest
from botocore.exceptions import ClientError
from conftest import ApiError, World
from test_ebs_direct import block_of, put, read, write

BLOCKS = {0: block_of("a"), 1: bytes(512 * 1024), 2047: block_of("b")}


def content():
    return {index: data for index, data in BLOCKS.items() if any(data)}


def state(ec2, snapshot):
    return ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"]


@pytest.fixture
def copied(wait_for):
    def copy(ec2, source, region="us-east-1", **more):
        made = ec2.copy_snapshot(SourceRegion=region, SourceSnapshotId=source, **more)["SnapshotId"]
        wait_for(lambda: state(ec2, made) == "completed")
        return made

    return copy


def test_copy_within_a_region_outlives_its_source(ec2, ebs, copied, wait_for):
    source = write(ebs, BLOCKS)
    tags = [{"Key": "k", "Value": "v"}]
    copy = copied(ec2, source, Description="mine", TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}])
    shown = ec2.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]
    assert (shown["Description"], shown["VolumeSize"], shown["Progress"]) == ("mine", 1, "100%")
    assert shown["Tags"] == tags and shown["VolumeId"] == "vol-ffffffff"
    ec2.delete_snapshot(SnapshotId=source)
    assert read(ebs, copy) == content()


def test_copy_to_another_region_has_the_same_bytes(server, ebs, ec2_west, ec2, copied):
    source = write(ebs, BLOCKS)
    copy = copied(ec2_west, source)
    ec2.delete_snapshot(SnapshotId=source)
    assert read(server.client("ebs", "us-west-2"), copy) == content()
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        ec2.describe_snapshots(SnapshotIds=[copy])


def test_second_copy_brings_only_what_the_region_lacks(empty_server, ebs, ec2_west, copied):
    first = write(ebs, {index: block_of(("lack", index)) for index in range(8)})
    second = write(ebs, {3: block_of("changed")}, ParentSnapshotId=first)
    copied(ec2_west, first)
    before = empty_server.status("us-west-2")["store_bytes"]
    copy = copied(ec2_west, second)
    added = empty_server.status("us-west-2")["store_bytes"] - before
    assert 512 * 1024 <= added < 2 * 512 * 1024
    assert len(read(empty_server.client("ebs", "us-west-2"), copy)) == 8


def test_empty_snapshot_is_copied(ec2_west, ebs, copied):
    copied(ec2_west, write(ebs, {}))


def test_image_of_a_copied_snapshot_is_launched(server, ebs, ec2_west, copied):
    west = World(ec2_west)
    west.instance(image=west.image(snapshot=copied(ec2_west, write(ebs, BLOCKS))))


def test_copy_goes_on_after_a_crash(own_server, wait_for):
    ebs, west = own_server.client("ebs"), own_server.client("ec2", "us-west-2")
    blocks = {index: block_of(("crash", index)) for index in range(280)}
    source = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: put(ebs, source, *item), blocks.items()))
    ebs.complete_snapshot(SnapshotId=source, ChangedBlocksCount=len(blocks))
    copy = west.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source)["SnapshotId"]
    own_server.client("ec2").delete_snapshot(SnapshotId=source)
    own_server.kill()
    checked = own_server.fsck()
    assert checked.returncode == 0, checked.stdout  # what is still to come is there, in the source's region
    own_server.start()
    west, west_ebs = own_server.client("ec2", "us-west-2"), own_server.client("ebs", "us-west-2")
    wait_for(lambda: state(west, copy) == "completed", 60)
    listed = west_ebs.list_snapshot_blocks(SnapshotId=copy)["Blocks"]
    assert [block["BlockIndex"] for block in listed] == list(blocks)
    for block in (listed[0], listed[260], listed[-1]):
        index = block["BlockIndex"]
        got = west_ebs.get_snapshot_block(SnapshotId=copy, BlockIndex=index, BlockToken=block["BlockToken"])
        assert got["BlockData"].read() == blocks[index]
    wait_for(lambda: own_server.status()["store_objects"] == 0, 60)
    own_server.stop()
    checked = own_server.fsck()
    assert checked.returncode == 0, checked.stdout


def test_deleting_a_copy_that_is_under_way_frees_both_regions(own_server, wait_for):
    ec2, west, ebs = own_server.client("ec2"), own_server.client("ec2", "us-west-2"), own_server.client("ebs")
    source = write(ebs, {index: block_of(("gone", index)) for index in range(40)})
    copy = west.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source)["SnapshotId"]
    ec2.delete_snapshot(SnapshotId=source)
    west.delete_snapshot(SnapshotId=copy)
    own_server.wait_empty()


def test_what_cannot_be_copied(ec2, ebs, world):
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    done = write(ebs, {})
    wrong = [
        ("InvalidSnapshot.NotFound", {"SourceSnapshotId": "snap-0123456789abcdef0"}),
        ("InvalidSnapshotID.Malformed", {"SourceSnapshotId": "vol-0123456789abcdef0"}),
        ("InvalidSnapshot.NotFound", {"SourceRegion": "us-west-2"}),
        ("InvalidParameterValue", {"SourceRegion": "mars-north-1"}),
        ("IncorrectState", {"SourceSnapshotId": pending}),
        ("InvalidParameterDependency", {"KmsKeyId": "alias/mine"}),
    ]
    for code, change in wrong:
        with pytest.raises(ClientError, match=f"\\({code}\\)"):
            ec2.copy_snapshot(**{"SourceRegion": "us-east-1", "SourceSnapshotId": done, **change})


def test_destination_region_is_where_the_request_went(raw_call, ebs):
    with pytest.raises(ApiError, match="InvalidParameterValue"):
        raw_call(
            "CopySnapshot",
            SourceRegion="us-east-1",
            SourceSnapshotId=write(ebs, {}),
            DestinationRegion="us-west-2",
        )
