"""CopyImage: within a region, to another one, of another account's image; what the copy has and what it has not."""

import concurrent.futures
import json
import uuid

import botocore.awsrequest
import pytest
from botocore.exceptions import ClientError
from conftest import World
from test_ebs_direct import block_of, put, read, write

BLOCKS = {0: block_of("image"), 700: block_of("copied")}
TAGS = [{"Key": "team", "Value": "web"}]


def shown(server, thing, region="us-east-1", key=None):
    request = botocore.awsrequest.AWSRequest("GET", f"{server.endpoint}/_amid/show/{thing}")
    code, body = server.send(request, region=region, key=key)
    assert code == 200, body
    return json.loads(body)


def wait_image(world, image, wait_for, state="available", limit=60):
    wait_for(lambda: world.shown_image(image)["State"] == state, limit)
    return world.shown_image(image)


def copy(world, source, wait_for, region="us-east-1", **more):
    more.setdefault("Name", f"copy {uuid.uuid4().hex}")
    made = world.ec2.copy_image(SourceRegion=region, SourceImageId=source, **more)["ImageId"]
    wait_image(world, made, wait_for)
    return made


def snapshots_of(image):
    return [mapping["Ebs"].get("SnapshotId") for mapping in image["BlockDeviceMappings"]]


@pytest.fixture
def source(world, ebs, ec2):
    """An image with two disks of one snapshot, an empty one, tags and attributes of its own."""
    snapshot = write(ebs, BLOCKS)
    mappings = [
        {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp2", "VolumeSize": 3}},
        {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 2, "DeleteOnTermination": False}},
    ]
    image = world.image("source", snapshot, mappings, BootMode="uefi", EnaSupport=True, SriovNetSupport="simple")
    ec2.modify_image_attribute(ImageId=image, Attribute="imdsSupport", Value="v2.0")
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    ec2.create_tags(Resources=[image], Tags=TAGS)
    return image


def raw_image(server, image, region="us-east-1"):
    return server.query("DescribeImages", region=region, **{"ImageId.1": image}).find("imagesSet/item")


def test_copy_within_a_region_is_its_sources_equal(empty_server, world, source, wait_for):
    before = empty_server.status()["store_bytes"]
    made = copy(world, source, wait_for, Name="copy", Description="mine")
    assert empty_server.status()["store_bytes"] == before, "no byte is copied"
    one, other = world.shown_image(source), world.shown_image(made)
    for name in ("Architecture", "RootDeviceName", "VirtualizationType", "BootMode", "EnaSupport", "SriovNetSupport"):
        assert one[name] == other[name], name
    assert (other["Name"], other["Description"], other["Public"]) == ("copy", "mine", False)
    raw = raw_image(empty_server, made)
    assert [raw.findtext(name) for name in ("sourceImageId", "sourceImageRegion", "imdsSupport")] == [source, "us-east-1", "v2.0"]
    without = [
        [{**mapping["Ebs"], "SnapshotId": None, "DeviceName": mapping["DeviceName"]} for mapping in image["BlockDeviceMappings"]]
        for image in (one, other)
    ]
    assert without[0] == without[1]
    root, data, empty = snapshots_of(other)
    assert root == data != snapshots_of(one)[0] and empty is None
    assert shown(empty_server, made)["devices"][0]["root"] == shown(empty_server, source)["devices"][0]["root"]
    snapshot = world.ec2.describe_snapshots(SnapshotIds=[root])["Snapshots"][0]
    assert made in snapshot["Description"] and source in snapshot["Description"]


def test_what_is_not_carried_over(world, source, wait_for):
    made = copy(world, source, wait_for)
    attribute = world.ec2.describe_image_attribute(ImageId=made, Attribute="launchPermission")
    assert attribute["LaunchPermissions"] == [] and not world.shown_image(made).get("Tags")
    assert not world.shown_image(made).get("Description")


def test_tags_of_a_copy(raw_call, world, source, wait_for):
    more = {
        "TagSpecification.1.ResourceType": "image",
        "TagSpecification.1.Tag.1.Key": "team",
        "TagSpecification.1.Tag.1.Value": "new",
        "TagSpecification.2.ResourceType": "snapshot",
        "TagSpecification.2.Tag.1.Key": "of",
        "TagSpecification.2.Tag.1.Value": "copy",
    }
    call = {"SourceRegion": "us-east-1", "SourceImageId": source, "CopyImageTags": "true"}
    kept = raw_call("CopyImage", Name="kept", **call).findtext("imageId")
    named = raw_call("CopyImage", Name="named", **call, **more).findtext("imageId")
    assert wait_image(world, kept, wait_for)["Tags"] == TAGS
    image = wait_image(world, named, wait_for)
    assert image["Tags"] == [{"Key": "team", "Value": "new"}]
    snapshot = world.ec2.describe_snapshots(SnapshotIds=snapshots_of(image)[:1])["Snapshots"][0]
    assert snapshot["Tags"] == [{"Key": "of", "Value": "copy"}]


def test_copy_to_another_region_outlives_its_source(empty_server, world, source, ec2_west, wait_for):
    west = World(ec2_west)
    roots = [device.get("root") for device in shown(empty_server, source)["devices"]]
    made = copy(west, source, wait_for)
    assert raw_image(empty_server, made, "us-west-2").findtext("sourceImageRegion") == "us-east-1"
    assert [device.get("root") for device in shown(empty_server, made, "us-west-2")["devices"]] == roots
    before = empty_server.status("us-west-2")["store_bytes"]
    copy(west, source, wait_for)
    assert empty_server.status("us-west-2")["store_bytes"] == before, "the region has all blocks"
    snapshot = snapshots_of(world.shown_image(source))[0]
    world.ec2.deregister_image(ImageId=source)
    world.ec2.delete_snapshot(SnapshotId=snapshot)
    assert read(empty_server.client("ebs", "us-west-2"), snapshots_of(west.shown_image(made))[0]) == BLOCKS
    west.instance(image=made)


def test_token_makes_one_copy(world, source, wait_for):
    first = copy(world, source, wait_for, Name="once", ClientToken="t")
    assert copy(world, source, wait_for, Name="once", ClientToken="t") == first
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        copy(world, source, wait_for, Name="twice", ClientToken="t")


def test_what_cannot_be_copied(world, source, ebs, ec2, raw_call):
    unused = "ami-0123456789abcdef0"
    wrong = [
        ("InvalidAMIID.NotFound", {"SourceImageId": unused}),
        ("InvalidAMIID.Malformed", {"SourceImageId": "snap-0123456789abcdef0"}),
        ("InvalidAMIID.NotFound", {"SourceRegion": "us-west-2"}),
        ("InvalidParameterValue", {"SourceRegion": "mars-north-1"}),
        ("InvalidAMIName.Malformed", {"Name": "x"}),
        ("InvalidAMIName.Duplicate", {"Name": "source"}),
        ("InvalidParameterDependency", {"KmsKeyId": "alias/mine"}),
    ]
    for code, change in wrong:
        with pytest.raises(ClientError, match=f"\\({code}\\)"):
            ec2.copy_image(**{"SourceRegion": "us-east-1", "SourceImageId": source, "Name": "new one", **change})
    raw_call("DisableImage", ImageId=source)
    with pytest.raises(ClientError, match="InvalidAMIID.Unavailable"):
        ec2.copy_image(SourceRegion="us-east-1", SourceImageId=source, Name="new one")
    assert [image["ImageId"] for image in ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["new*"]}])["Images"]] == []


def test_copy_that_is_deregistered_under_way_leaves_snapshots_like_others(world, source, ec2_west, wait_for):
    made = World(ec2_west).ec2.copy_image(SourceRegion="us-east-1", SourceImageId=source, Name="gone")["ImageId"]
    ec2_west.deregister_image(ImageId=made)
    wait_for(lambda: not [s for s in ec2_west.describe_snapshots(OwnerIds=["self"])["Snapshots"] if s["State"] == "pending"], 60)
    for snapshot in ec2_west.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        ec2_west.delete_snapshot(SnapshotId=snapshot["SnapshotId"])


def test_copy_of_a_shared_image_is_the_copiers(iam_server, second_key, wait_for):
    owner = World(iam_server.client("ec2"))
    other = World(iam_server.client("ec2", key=second_key))
    name = f"shared {uuid.uuid4().hex}"
    snapshot = write(iam_server.client("ebs"), {1: block_of(name)})
    image = owner.image(name, snapshot)
    owner.ec2.create_tags(Resources=[image], Tags=TAGS)
    me = other.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["OwnerId"]
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        copy(other, image, wait_for)
    owner.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": me}]})
    with pytest.raises(ClientError, match="InvalidRequest.*permission to access the storage"):
        copy(other, image, wait_for)
    owner.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=[me]
    )
    made = copy(other, image, wait_for, Name=name)
    assert other.shown_image(made)["OwnerId"] == me
    owner.ec2.deregister_image(ImageId=image)
    owner.ec2.delete_snapshot(SnapshotId=snapshot)
    instance = other.instance(image=made)
    other.ec2.terminate_instances(InstanceIds=[instance])
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        owner.shown_image(made)
    other.ec2.deregister_image(ImageId=made)


def test_copy_goes_on_after_a_crash(own_server, wait_for):
    ebs, east = own_server.client("ebs"), World(own_server.client("ec2"))
    blocks = {index: block_of(("image crash", index)) for index in range(280)}
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: put(ebs, snapshot, *item), blocks.items()))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(blocks))
    image = east.image("source", snapshot)
    root = shown(own_server, image)["devices"][0]["root"]
    west = own_server.client("ec2", "us-west-2")
    made = west.copy_image(SourceRegion="us-east-1", SourceImageId=image, Name="copy")["ImageId"]
    east.ec2.deregister_image(ImageId=image)
    east.ec2.delete_snapshot(SnapshotId=snapshot)
    own_server.kill()
    own_server.start()
    world = World(own_server.client("ec2", "us-west-2"))
    wait_image(world, made, wait_for)
    assert shown(own_server, made, "us-west-2")["devices"][0]["root"] == root
    world.instance(image=made)
    wait_for(lambda: own_server.status()["store_objects"] == 0, 60)
    own_server.stop()
    checked = own_server.fsck()
    assert checked.returncode == 0, checked.stdout
