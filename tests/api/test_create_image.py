"""CreateImage, by stock clients.

The volumes hold nothing here; that the image has the bytes of the disk is tested in tests/vm.
"""

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def instance(world):
    """A running instance with a root volume of 2 GiB and a data volume of 1 GiB at /dev/sdb."""
    data = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "VolumeType": "gp2", "DeleteOnTermination": False}}
    return world.instance(image=world.image("parent", mappings=[data], size=2))


def create(ec2, world, wait_for, instance, name="child", **more):
    image = ec2.create_image(InstanceId=instance, Name=name, **more)["ImageId"]
    wait_for(lambda: world.shown_image(image)["State"] == "available")
    return world.shown_image(image)


def mapped(image):
    return {mapping["DeviceName"]: mapping["Ebs"] for mapping in image["BlockDeviceMappings"]}


@pytest.mark.parametrize("no_reboot", [False, True])
def test_image_has_every_volume_of_the_instance(ec2, world, wait_for, instance, no_reboot):
    image = create(ec2, world, wait_for, instance, NoReboot=no_reboot, Description="of a test")
    devices = mapped(image)
    assert {device: ebs["VolumeSize"] for device, ebs in devices.items()} == {"/dev/sda1": 2, "/dev/sdb": 1}
    assert (devices["/dev/sdb"]["VolumeType"], devices["/dev/sdb"]["DeleteOnTermination"]) == ("gp2", False)
    assert (image["Name"], image["Description"], image["RootDeviceName"]) == ("child", "of a test", "/dev/sda1")
    assert image["Architecture"] == "x86_64" and image["VirtualizationType"] == "hvm"
    for device, ebs in devices.items():
        snapshot = ec2.describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"][0]
        assert (snapshot["State"], snapshot["Progress"]) == ("completed", "100%")
        assert snapshot["VolumeId"] == world.devices(instance)[device]["VolumeId"]
        assert image["ImageId"] in snapshot["Description"] and instance in snapshot["Description"]


def test_instance_runs_on_afterwards(ec2, world, wait_for, instance):
    before = world.shown(instance)
    create(ec2, world, wait_for, instance)
    world.wait_state(instance, "running")
    assert world.shown(instance)["PrivateIpAddress"] == before["PrivateIpAddress"]


def test_image_of_a_stopped_instance(ec2, world, wait_for, instance):
    ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped")
    assert len(mapped(create(ec2, world, wait_for, instance))) == 2
    assert world.state(instance) == "stopped"


def test_instances_start_from_the_image(ec2, world, wait_for, instance):
    image = create(ec2, world, wait_for, instance)
    child = world.instance(image=image["ImageId"])
    assert set(world.devices(child)) == {"/dev/sda1", "/dev/sdb"}


def test_images_asked_for_at_once_are_all_made(ec2, world, wait_for, instance):
    names = [f"child {number}" for number in range(3)]
    made = [ec2.create_image(InstanceId=instance, Name=name, NoReboot=name != names[0])["ImageId"] for name in names]
    for image in made:
        wait_for(lambda image=image: world.shown_image(image)["State"] == "available")
    snapshots = {ebs["SnapshotId"] for image in made for ebs in mapped(world.shown_image(image)).values()}
    assert len(snapshots) == 6


def test_mappings_drop_add_and_resize(ec2, world, wait_for, instance):
    mappings = [
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 8, "DeleteOnTermination": False}},
        {"DeviceName": "/dev/sdb", "NoDevice": ""},
        {"DeviceName": "/dev/sdc", "Ebs": {"VolumeSize": 3}},
    ]
    devices = mapped(create(ec2, world, wait_for, instance, BlockDeviceMappings=mappings))
    assert {device: ebs["VolumeSize"] for device, ebs in devices.items()} == {"/dev/sda1": 8, "/dev/sdc": 3}
    assert devices["/dev/sda1"]["SnapshotId"] and "SnapshotId" not in devices["/dev/sdc"]
    assert devices["/dev/sda1"]["DeleteOnTermination"] is False
    assert [
        s["VolumeSize"]
        for s in ec2.describe_snapshots(Filters=[{"Name": "description", "Values": ["Created by CreateImage*"]}])[
            "Snapshots"
        ]
    ] == [2]


def test_added_mapping_has_a_snapshot(ec2, world, wait_for, instance):
    snapshot = world.snapshot(size=3)
    added = [{"DeviceName": f"/dev/sd{letter}", "Ebs": {"SnapshotId": snapshot}} for letter in "cd"]
    devices = mapped(create(ec2, world, wait_for, instance, BlockDeviceMappings=added))
    assert [(devices[d]["SnapshotId"], devices[d]["VolumeSize"]) for d in ("/dev/sdc", "/dev/sdd")] == [
        (snapshot, 3)
    ] * 2
    with pytest.raises(ClientError, match="InvalidSnapshot.InUse"):
        ec2.delete_snapshot(SnapshotId=snapshot)


@pytest.mark.parametrize(
    "mapping,code",
    [
        ({"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}, "InvalidBlockDeviceMapping.*expect size>= 2GB"),
        ({"DeviceName": "/dev/sda1", "NoDevice": ""}, "InvalidBlockDeviceMapping.*root"),
        ({"DeviceName": "/dev/sdc", "Ebs": {}}, "MissingParameter|InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-0123456789abcdef0"}}, "InvalidParameterCombination"),
    ],
)
def test_mapping_that_cannot_be_is_refused(ec2, instance, mapping, code):
    with pytest.raises(ClientError, match=code):
        ec2.create_image(InstanceId=instance, Name="child", BlockDeviceMappings=[mapping])
    assert [image["Name"] for image in ec2.describe_images()["Images"]] == ["parent"]


def test_tags_are_given_to_image_and_snapshots(ec2, world, wait_for, instance):
    specifications = [{"ResourceType": kind, "Tags": [{"Key": "for", "Value": kind}]} for kind in ("image", "snapshot")]
    image = create(ec2, world, wait_for, instance, TagSpecifications=specifications)
    assert image["Tags"] == [{"Key": "for", "Value": "image"}]
    for ebs in mapped(image).values():
        assert ec2.describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"][0]["Tags"] == [
            {"Key": "for", "Value": "snapshot"}
        ]


def test_name_is_taken_once(ec2, instance):
    with pytest.raises(ClientError, match="InvalidAMIName.Duplicate.*parent"):
        ec2.create_image(InstanceId=instance, Name="parent")
    assert len(ec2.describe_images()["Images"]) == 1


def test_name_outside_the_rules_is_malformed(ec2, instance):
    with pytest.raises(ClientError, match="InvalidAMIName.Malformed"):
        ec2.create_image(InstanceId=instance, Name="a?")


def test_terminated_instance_has_no_image(ec2, world, instance):
    ec2.terminate_instances(InstanceIds=[instance])
    world.wait_state(instance, "terminated")
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.create_image(InstanceId=instance, Name="child")


def test_unknown_instance_is_not_found(ec2):
    with pytest.raises(ClientError, match="InvalidInstanceID.NotFound"):
        ec2.create_image(InstanceId="i-0123456789abcdef0", Name="child")


def test_image_tells_where_it_comes_from(ec2, world, wait_for, instance, raw_call):
    image = create(ec2, world, wait_for, instance)
    shown = raw_call("DescribeImages", **{"ImageId.1": image["ImageId"]})
    assert shown.findtext(".//sourceInstanceId") == instance
    assert shown.findtext(".//sourceImageId") == world.shown(instance)["ImageId"]
    found = raw_call("DescribeImages", **{"Filter.1.Name": "source-instance-id", "Filter.1.Value.1": instance})
    assert [element.text for element in found.iter("imageId")] == [image["ImageId"]]


def test_image_outlives_its_instance(ec2, world, wait_for, instance):
    image = ec2.create_image(InstanceId=instance, Name="child", NoReboot=True)["ImageId"]
    ec2.terminate_instances(InstanceIds=[instance])
    world.wait_state(instance, "terminated")
    wait_for(lambda: world.shown_image(image)["State"] == "available")


def test_pending_image_cannot_be_launched(ec2, world, instance):
    image = ec2.create_image(InstanceId=instance, Name="child")["ImageId"]
    try:
        ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidAMIID.Unavailable"
    else:
        assert world.shown_image(image)["State"] == "available"


def test_waiter_of_boto_waits_for_the_image(ec2, instance):
    image = ec2.create_image(InstanceId=instance, Name="child")["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1})


def test_cli_creates_an_image(aws, world, wait_for, instance):
    image = aws("ec2", "create-image", "--instance-id", instance, "--name", "by cli", "--no-reboot")["ImageId"]
    wait_for(lambda: world.shown_image(image)["State"] == "available")
