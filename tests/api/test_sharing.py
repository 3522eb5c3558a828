"""What one account sees of another's: public, shared and private images, the platform's owner alias.

Signatures count here (--auth iam).
"""

import uuid

import pytest
from botocore.exceptions import ClientError

from conftest import World


@pytest.fixture
def root(iam_server):
    iam_server.query("DisableImageBlockPublicAccess")
    return World(iam_server.client("ec2"))


@pytest.fixture
def platform(iam_server):
    return World(iam_server.client("ec2", key=iam_server.credentials("platform")))


def account(world):
    return world.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["OwnerId"]


@pytest.fixture
def image(root):
    """A private image of root's, with a tag; gone afterwards."""
    made = root.image(f"shared {uuid.uuid4().hex}")
    root.ec2.create_tags(Resources=[made], Tags=[{"Key": "secret", "Value": "plan"}])
    yield made
    try:
        root.ec2.deregister_image(ImageId=made)
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("InvalidAMIID"):
            raise


def share(root, image, **permission):
    root.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [permission]})


def visible(world, image, **selection):
    return image in [shown["ImageId"] for shown in world.ec2.describe_images(**selection)["Images"]]


def test_private_image_is_not_there_for_others(root, platform, image):
    assert visible(root, image) and not visible(platform, image)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        platform.ec2.describe_images(ImageIds=[image])
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        platform.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        platform.ec2.deregister_image(ImageId=image)


def test_shared_image_is_seen_and_launched_but_not_changed(root, platform, image):
    share(root, image, UserId=account(platform))
    assert visible(platform, image) and visible(platform, image, ExecutableUsers=["self"])
    assert not visible(platform, image, ExecutableUsers=["all"]) and not visible(platform, image, Owners=["self"])
    assert visible(platform, image, Owners=[account(root)])
    instance = platform.instance(image=image)
    platform.ec2.terminate_instances(InstanceIds=[instance])
    for call in (
        lambda: platform.ec2.deregister_image(ImageId=image),
        lambda: platform.ec2.modify_image_attribute(ImageId=image, Description={"Value": "mine"}),
        lambda: platform.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission"),
        lambda: platform.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission"),
    ):
        with pytest.raises(ClientError, match="AuthFailure"):
            call()


def test_public_image_is_seen_by_all(root, platform, image):
    share(root, image, Group="all")
    assert visible(platform, image) and visible(platform, image, ExecutableUsers=["all"])
    assert visible(platform, image, Filters=[{"Name": "is-public", "Values": ["true"]}])
    root.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert not visible(platform, image)


def test_sharing_an_image_does_not_share_its_snapshot(root, platform, image):
    share(root, image, Group="all")
    snapshot = root.shown_image(image)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        platform.ec2.describe_snapshots(SnapshotIds=[snapshot])
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        platform.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)


def test_tags_are_the_owners_alone(root, platform, image):
    share(root, image, Group="all")
    assert root.shown_image(image)["Tags"] and not platform.shown_image(image).get("Tags")
    by_tag = [{"Name": "tag:secret", "Values": ["plan"]}]
    assert visible(root, image, Filters=by_tag) and not visible(platform, image, Filters=by_tag)


def test_images_of_the_platform_are_amazons(root, platform):
    name = f"quick start {uuid.uuid4().hex}"
    image = platform.image(name)
    share(platform, image, Group="all")
    shown = root.shown_image(image)
    assert (shown["ImageOwnerAlias"], shown["ImageLocation"]) == ("amazon", f"amazon/{name}")
    for selection in ({"Owners": ["amazon"]}, {"Filters": [{"Name": "owner-alias", "Values": ["amazon"]}]}):
        assert visible(root, image, **selection)
    assert not visible(root, image, Owners=["self"])
    platform.ec2.deregister_image(ImageId=image)


def test_names_are_unique_in_their_account_only(root, platform):
    name = f"same {uuid.uuid4().hex}"
    for world in (root, platform):
        world.ec2.deregister_image(ImageId=world.image(name))


@pytest.mark.parametrize("kind", ["instance", "volume", "snapshot"])
def test_resources_of_another_account_are_not_there(root, platform, kind):
    if kind == "instance":
        made = root.instance(image=root.image(f"own {uuid.uuid4().hex}"))
        with pytest.raises(ClientError, match="InvalidInstanceID.NotFound"):
            platform.ec2.terminate_instances(InstanceIds=[made])
        root.ec2.terminate_instances(InstanceIds=[made])
    elif kind == "volume":
        made = root.volume()
        with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
            platform.ec2.delete_volume(VolumeId=made)
    else:
        made = root.snapshot()
        with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
            platform.ec2.delete_snapshot(SnapshotId=made)
    with pytest.raises(ClientError, match="NotFound"):
        platform.ec2.create_tags(Resources=[made], Tags=[{"Key": "a", "Value": "b"}])
