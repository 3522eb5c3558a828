"""Snapshots, by stock clients."""

import pytest
from botocore.exceptions import ClientError

UNKNOWN = "snap-0123456789abcdef0"


def filtered(ec2, **filters):
    names = {name: name.replace("_", "-") for name in filters}
    given = [{"Name": names[name], "Values": [value]} for name, value in filters.items()]
    return [snapshot["SnapshotId"] for snapshot in ec2.describe_snapshots(Filters=given)["Snapshots"]]


@pytest.fixture
def instance(world):
    """A running instance with a root volume and two data volumes."""
    data = [{"DeviceName": f"/dev/sd{letter}", "Ebs": {"VolumeSize": 1}} for letter in "bc"]
    return world.instance(BlockDeviceMappings=data)


def test_snapshot_is_pending_and_becomes_complete(ec2, world, wait_for):
    volume = world.volume(size=2)
    made = ec2.create_snapshot(VolumeId=volume, Description="nightly")
    assert made["State"] == "pending" and made["SnapshotId"].startswith("snap-")
    wait_for(lambda: world.snapshot_state(made["SnapshotId"]) == "completed")
    shown = ec2.describe_snapshots(SnapshotIds=[made["SnapshotId"]])["Snapshots"][0]
    assert (shown["VolumeId"], shown["VolumeSize"], shown["Description"]) == (volume, 2, "nightly")
    assert (shown["Progress"], shown["OwnerId"], shown["Encrypted"]) == ("100%", "123456789012", False)


def test_snapshot_of_an_attached_volume(ec2, world, wait_for, instance):
    volume = world.devices(instance)["/dev/sdb"]["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_for(lambda: world.snapshot_state(snapshot) == "completed")


def test_snapshots_of_one_volume_asked_for_at_once_are_all_made(ec2, world, wait_for):
    volume = world.volume()
    made = [ec2.create_snapshot(VolumeId=volume)["SnapshotId"] for _ in range(5)]
    for snapshot in made:
        wait_for(lambda snapshot=snapshot: world.snapshot_state(snapshot) == "completed")


def test_snapshot_outlives_its_volume(ec2, world, wait_for):
    volume = world.volume()
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    world.delete_volume(volume)
    wait_for(lambda: world.snapshot_state(snapshot) == "completed")


def test_tags_come_with_the_snapshot(ec2, world):
    tags = [{"Key": "Name", "Value": "nightly"}]
    snapshot = world.snapshot(TagSpecifications=[{"ResourceType": "snapshot", "Tags": tags}])
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"] == tags


def test_unknown_volume_is_not_found(ec2):
    with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
        ec2.create_snapshot(VolumeId="vol-0123456789abcdef0")


# --- of all volumes of an instance


def test_snapshots_of_an_instance_are_one_for_each_volume(ec2, world, wait_for, instance):
    made = ec2.create_snapshots(InstanceSpecification={"InstanceId": instance}, Description="all")["Snapshots"]
    assert {s["VolumeId"] for s in made} == {device["VolumeId"] for device in world.devices(instance).values()}
    assert {(s["State"], s["Description"]) for s in made} == {("pending", "all")}
    for snapshot in made:
        wait_for(lambda snapshot=snapshot: world.snapshot_state(snapshot["SnapshotId"]) == "completed")


def test_volumes_are_left_out(ec2, world, raw_call, instance):
    devices = world.devices(instance)
    without_boot = ec2.create_snapshots(InstanceSpecification={"InstanceId": instance, "ExcludeBootVolume": True})[
        "Snapshots"
    ]
    assert {s["VolumeId"] for s in without_boot} == {devices[d]["VolumeId"] for d in ("/dev/sdb", "/dev/sdc")}
    excluded = {"InstanceSpecification.ExcludeDataVolumeId.1": devices["/dev/sdb"]["VolumeId"]}
    answer = raw_call("CreateSnapshots", **{"InstanceSpecification.InstanceId": instance}, **excluded)
    assert {e.text for e in answer.iter("volumeId")} == {devices[d]["VolumeId"] for d in ("/dev/sda1", "/dev/sdc")}


def test_tags_are_copied_from_the_volumes(ec2, world, instance):
    volume = world.devices(instance)["/dev/sdb"]["VolumeId"]
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "data", "Value": "yes"}])
    tags = [{"ResourceType": "snapshot", "Tags": [{"Key": "run", "Value": "1"}]}]
    made = ec2.create_snapshots(
        InstanceSpecification={"InstanceId": instance}, CopyTagsFromSource="volume", TagSpecifications=tags
    )["Snapshots"]
    by_volume = {s["VolumeId"]: {tag["Key"]: tag["Value"] for tag in s["Tags"]} for s in made}
    assert by_volume.pop(volume) == {"data": "yes", "run": "1"}
    assert all(tags == {"run": "1"} for tags in by_volume.values())


def test_unknown_instance_is_not_found(ec2):
    with pytest.raises(ClientError, match="InvalidInstanceID.NotFound"):
        ec2.create_snapshots(InstanceSpecification={"InstanceId": "i-0123456789abcdef0"})


# --- deleting


def test_deleted_snapshot_is_gone(ec2, world):
    snapshot = world.snapshot()
    ec2.delete_snapshot(SnapshotId=snapshot)
    with pytest.raises(ClientError, match=f"InvalidSnapshot.NotFound.*The snapshot '{snapshot}' does not exist"):
        ec2.describe_snapshots(SnapshotIds=[snapshot])


def test_snapshot_of_an_image_is_not_deleted(ec2, world):
    snapshot = world.snapshot()
    image = world.image(snapshot=snapshot)
    with pytest.raises(
        ClientError, match=f"InvalidSnapshot.InUse.*The snapshot {snapshot} is currently in use by {image}"
    ):
        ec2.delete_snapshot(SnapshotId=snapshot)
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_volume_outlives_its_snapshot(ec2, world):
    snapshot = world.snapshot()
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)["VolumeId"]
    ec2.delete_snapshot(SnapshotId=snapshot)
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})


@pytest.mark.parametrize(
    "snapshot,code", [(UNKNOWN, "InvalidSnapshot.NotFound"), ("snap-1", "InvalidSnapshotID.Malformed")]
)
def test_snapshot_must_be_there(ec2, snapshot, code):
    for call in (
        lambda: ec2.delete_snapshot(SnapshotId=snapshot),
        lambda: ec2.describe_snapshots(SnapshotIds=[snapshot]),
    ):
        with pytest.raises(ClientError, match=code):
            call()


# --- looking


def test_every_member_that_has_a_filter_is_found_by_it(ec2, world, wait_for):
    volume = world.volume(size=2)
    snapshot = ec2.create_snapshot(VolumeId=volume, Description="nightly 1")["SnapshotId"]
    other = world.snapshot(Description="weekly")
    wait_for(lambda: world.snapshot_state(snapshot) == "completed")
    ec2.create_tags(Resources=[snapshot], Tags=[{"Key": "stage", "Value": "test"}])
    expected = {
        "description": "nightly*",
        "snapshot_id": snapshot,
        "volume_id": volume,
        "volume_size": "2",
        "tag:stage": "test",
        "tag_key": "stage",
        "tag_value": "?est",
    }
    for name, value in expected.items():
        assert filtered(ec2, **{name: value}) == [snapshot], name
    both = {
        "encrypted": "false",
        "owner_id": "123456789012",
        "progress": "100%",
        "start_time": "20*",
        "status": "completed",
        "storage_tier": "standard",
    }
    for name, value in both.items():
        assert sorted(filtered(ec2, **{name: value})) == sorted([snapshot, other]), name
    assert filtered(ec2, owner_alias="*") == []


def test_owners_are_told_apart(ec2, world):
    snapshot = world.snapshot()
    for owner, expected in {"self": [snapshot], "123456789012": [snapshot], "amazon": [], "111122223333": []}.items():
        assert [s["SnapshotId"] for s in ec2.describe_snapshots(OwnerIds=[owner])["Snapshots"]] == expected, owner


def test_pages_hold_every_snapshot_once(ec2, world):
    volume = world.volume()
    made = {ec2.create_snapshot(VolumeId=volume)["SnapshotId"] for _ in range(6)}
    pages = list(ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], PaginationConfig={"PageSize": 5}))
    assert [len(page["Snapshots"]) for page in pages] == [5, 1]
    assert {snapshot["SnapshotId"] for page in pages for snapshot in page["Snapshots"]} == made


def test_cli_makes_a_snapshot(aws, world, wait_for):
    snapshot = aws("ec2", "create-snapshot", "--volume-id", world.volume(), "--description", "by cli")["SnapshotId"]
    wait_for(lambda: world.snapshot_state(snapshot) == "completed")
