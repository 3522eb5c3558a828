"""Volumes, by stock clients."""

import pytest
from botocore.exceptions import ClientError

UNKNOWN = "vol-0123456789abcdef0"


def shown(ec2, volume):
    return ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]


def filtered(ec2, **filters):
    names = {name: name.replace("__", ".").replace("_", "-") for name in filters}
    given = [{"Name": names[name], "Values": [value]} for name, value in filters.items()]
    return [volume["VolumeId"] for volume in ec2.describe_volumes(Filters=given)["Volumes"]]


@pytest.fixture
def instance(world):
    return world.instance(Placement={"AvailabilityZone": "us-east-1a"})


def attach(ec2, world, volume, instance, device="/dev/sdf"):
    answer = ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    world.wait_attached(instance, device)
    return answer


# --- creating


def test_volume_is_created_and_becomes_available(ec2, world, wait_for):
    made = ec2.create_volume(AvailabilityZone="us-east-1a", Size=3)
    assert made["State"] == "creating" and made["VolumeId"].startswith("vol-")
    wait_for(lambda: world.volume_state(made["VolumeId"]) == "available")
    volume = shown(ec2, made["VolumeId"])
    assert (volume["Size"], volume["VolumeType"], volume["AvailabilityZone"]) == (3, "gp2", "us-east-1a")
    assert (volume["Encrypted"], volume["SnapshotId"], volume["Attachments"]) == (False, "", [])


def test_type_decides_iops_and_throughput(ec2, world):
    volume = shown(ec2, world.volume(VolumeType="gp3"))
    assert (volume["Iops"], volume["Throughput"]) == (3000, 125)
    volume = shown(ec2, world.volume(size=100, VolumeType="gp3", Iops=4000, Throughput=250))
    assert (volume["Iops"], volume["Throughput"]) == (4000, 250)
    assert shown(ec2, world.volume(size=10, VolumeType="io1", Iops=500))["Iops"] == 500


def test_volume_of_a_snapshot_has_its_size_unless_more_is_asked_for(ec2, world):
    snapshot = world.snapshot(size=2)
    ids = [
        ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot, **more)["VolumeId"]
        for more in ({}, {"Size": 5})
    ]
    assert [shown(ec2, volume)["Size"] for volume in ids] == [2, 5]
    assert {shown(ec2, volume)["SnapshotId"] for volume in ids} == {snapshot}
    with pytest.raises(ClientError, match="InvalidParameterValue.*smaller than the snapshot"):
        ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot, Size=1)


@pytest.mark.parametrize(
    "parameters,code",
    [
        ({}, "MissingParameter"),
        ({"Size": 0}, "InvalidParameterValue"),
        ({"Size": 17000}, "InvalidParameterValue"),
        ({"Size": 1, "AvailabilityZone": "us-west-2a"}, "InvalidParameterValue|InvalidZone.NotFound"),
        ({"Size": 1, "VolumeType": "tape"}, "InvalidParameterValue"),
        ({"Size": 1, "VolumeType": "st1"}, "InvalidParameterValue"),
        ({"Size": 1, "VolumeType": "gp2", "Iops": 500}, "InvalidParameterCombination"),
        ({"Size": 10, "VolumeType": "io1"}, "MissingParameter"),
        ({"Size": 1, "VolumeType": "gp3", "Throughput": 5000}, "InvalidParameterValue"),
        ({"SnapshotId": "snap-0123456789abcdef0"}, "InvalidSnapshot.NotFound"),
        ({"SnapshotId": "snap-1"}, "InvalidSnapshotID.Malformed"),
        ({"Size": 1, "KmsKeyId": "alias/mine"}, "InvalidParameterDependency"),
        (
            {"Size": 1, "VolumeType": "io2", "Iops": 100, "MultiAttachEnabled": True},
            "UnsupportedOperation|InvalidParameter",
        ),
    ],
)
def test_volume_that_cannot_be_is_refused(ec2, parameters, code):
    with pytest.raises(ClientError, match=code):
        ec2.create_volume(**{"AvailabilityZone": "us-east-1a", **parameters})
    assert ec2.describe_volumes()["Volumes"] == []


def test_repeated_call_makes_nothing_new(ec2):
    ids = {ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, ClientToken="once")["VolumeId"] for _ in range(2)}
    assert len(ids) == 1 and len(ec2.describe_volumes()["Volumes"]) == 1
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=2, ClientToken="once")


def test_tags_come_with_the_volume(ec2, world):
    tags = [{"Key": "Name", "Value": "data"}]
    assert shown(ec2, world.volume(TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]))["Tags"] == tags


# --- attaching and detaching


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_volume_is_attached_and_detached(ec2, world, wait_for, instance, state):
    if state == "stopped":
        ec2.stop_instances(InstanceIds=[instance])
        world.wait_state(instance, "stopped")
    volume = world.volume()
    answer = attach(ec2, world, volume, instance)
    assert (answer["State"], answer["Device"], answer["InstanceId"]) == ("attaching", "/dev/sdf", instance)
    (attachment,) = shown(ec2, volume)["Attachments"]
    assert shown(ec2, volume)["State"] == "in-use"
    assert (attachment["State"], attachment["Device"], attachment["DeleteOnTermination"]) == (
        "attached",
        "/dev/sdf",
        False,
    )
    assert ec2.detach_volume(VolumeId=volume)["State"] == "detaching"
    wait_for(lambda: world.volume_state(volume) == "available")
    assert shown(ec2, volume)["Attachments"] == [] and "/dev/sdf" not in world.devices(instance)


def test_attached_volume_is_not_attached_again(ec2, world, instance):
    volume = world.volume()
    attach(ec2, world, volume, instance)
    with pytest.raises(ClientError, match="VolumeInUse"):
        ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdg")


def test_device_is_taken_once(ec2, world, instance):
    attach(ec2, world, world.volume(), instance)
    for device in ("/dev/sdf", "/dev/sda1"):
        with pytest.raises(ClientError, match="InvalidParameterValue.*already in use"):
            ec2.attach_volume(VolumeId=world.volume(), InstanceId=instance, Device=device)


@pytest.mark.parametrize("device", ["/dev/", "../etc", "/dev/SDF", "x" * 64])
def test_device_must_have_a_name_of_a_device(ec2, world, instance, device):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.attach_volume(VolumeId=world.volume(), InstanceId=instance, Device=device)


def test_volume_and_instance_are_in_one_zone(ec2, world, instance):
    with pytest.raises(ClientError, match="InvalidVolume.ZoneMismatch"):
        ec2.attach_volume(VolumeId=world.volume(zone="us-east-1b"), InstanceId=instance, Device="/dev/sdf")


def test_nothing_is_attached_to_a_terminated_instance(ec2, world, instance):
    ec2.terminate_instances(InstanceIds=[instance])
    world.wait_state(instance, "terminated")
    with pytest.raises(ClientError, match="IncorrectState"):
        ec2.attach_volume(VolumeId=world.volume(), InstanceId=instance, Device="/dev/sdf")


def test_instance_takes_so_many_volumes(ec2, world):
    data = [
        {"DeviceName": f"/dev/xvd{chr(97 + n)}{letter}", "Ebs": {"VolumeSize": 1}}
        for n in range(2)
        for letter in "abcdefghijklm"
    ]
    instance = world.instance(BlockDeviceMappings=data, Placement={"AvailabilityZone": "us-east-1a"})
    with pytest.raises(ClientError, match="VolumeLimitExceeded|AttachmentLimitExceeded"):
        ec2.attach_volume(VolumeId=world.volume(), InstanceId=instance, Device="/dev/sdf")


def test_what_is_not_attached_cannot_be_detached(ec2, world):
    with pytest.raises(ClientError, match="IncorrectState"):
        ec2.detach_volume(VolumeId=world.volume())


def test_detaching_from_another_place_is_refused(ec2, world, instance):
    volume = world.volume()
    attach(ec2, world, volume, instance)
    with pytest.raises(ClientError, match="InvalidAttachment.NotFound"):
        ec2.detach_volume(VolumeId=volume, Device="/dev/sdg")
    with pytest.raises(ClientError, match="InvalidAttachment.NotFound"):
        ec2.detach_volume(VolumeId=volume, InstanceId="i-0123456789abcdef0")


def test_root_volume_is_detached_while_stopped_only(ec2, world, wait_for, instance):
    root = world.devices(instance)["/dev/sda1"]["VolumeId"]
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.detach_volume(VolumeId=root)
    ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped")
    ec2.detach_volume(VolumeId=root)
    wait_for(lambda: world.volume_state(root) == "available")


# --- deleting


def test_deleted_volume_is_gone(ec2, world):
    volume = world.volume()
    world.delete_volume(volume)
    with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
        ec2.describe_volumes(VolumeIds=[volume])


def test_attached_volume_is_not_deleted(ec2, world, instance):
    volume = world.volume()
    attach(ec2, world, volume, instance)
    with pytest.raises(ClientError, match="VolumeInUse"):
        ec2.delete_volume(VolumeId=volume)


@pytest.mark.parametrize("call", ["delete_volume", "detach_volume"])
def test_unknown_volume_is_not_found(ec2, call):
    with pytest.raises(ClientError, match=f"InvalidVolume.NotFound.*The volume '{UNKNOWN}' does not exist"):
        getattr(ec2, call)(VolumeId=UNKNOWN)
    with pytest.raises(ClientError, match="InvalidVolumeID.Malformed|InvalidParameterValue"):
        getattr(ec2, call)(VolumeId="disk")


# --- looking


def test_every_member_that_has_a_filter_is_found_by_it(ec2, world, instance):
    snapshot = world.snapshot()
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot, Size=7, VolumeType="gp3")["VolumeId"]
    world.volume(zone="us-east-1b")
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "stage", "Value": "test"}])
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})
    attach(ec2, world, volume, instance)
    attachment = shown(ec2, volume)["Attachments"][0]
    expected = {
        "attachment__delete_on_termination": "false",
        "attachment__device": "/dev/sdf",
        "size": "7",
        "snapshot_id": snapshot,
        "volume_id": volume,
        "tag:stage": "t*",
        "tag_key": "stage",
        "tag_value": "test",
    }
    for name, value in expected.items():
        assert filtered(ec2, **{name: value}) == [volume], name
    of_instance = {
        "attachment__attach_time": f"{attachment['AttachTime']:%Y-%m-%dT}*",
        "attachment__instance_id": instance,
        "attachment__status": "attached",
        "availability_zone": "us-east-1a",
        "status": "in-use",
        "volume_type": "gp3",
    }
    for name, value in of_instance.items():
        found = filtered(ec2, **{name: value})
        assert volume in found and len(found) == 2, name
    for name in ("create_time", "encrypted", "multi_attach_enabled"):
        assert len(filtered(ec2, **{name: "*"})) == 3, name


def test_pages_hold_every_volume_once(ec2):
    made = {ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"] for _ in range(6)}
    pages = list(ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Volumes"]) for page in pages] == [5, 1]
    assert {volume["VolumeId"] for page in pages for volume in page["Volumes"]} == made


def test_volumes_of_another_region_are_not_seen(ec2_west, world):
    volume = world.volume()
    with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
        ec2_west.describe_volumes(VolumeIds=[volume])
    assert ec2_west.describe_volumes()["Volumes"] == []


def test_cli_creates_and_attaches_a_volume(aws, world, instance, wait_for):
    volume = aws("ec2", "create-volume", "--availability-zone", "us-east-1a", "--size", 1)["VolumeId"]
    wait_for(lambda: world.volume_state(volume) == "available")
    aws("ec2", "attach-volume", "--volume-id", volume, "--instance-id", instance, "--device", "/dev/sdf")
    world.wait_attached(instance, "/dev/sdf")
