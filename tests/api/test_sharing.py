"""What one account sees and uses of another's: public, shared and private images and snapshots, the other's owner alias.

Signatures count here (--auth iam).
"""

import uuid
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

from conftest import ApiError, World, cli
from test_ebs_direct import block_of, read, write


@pytest.fixture
def root(iam_server):
    iam_server.query("DisableImageBlockPublicAccess")
    return World(iam_server.client("ec2"))


@pytest.fixture
def other(iam_server, second_key):
    return World(iam_server.client("ec2", key=second_key))


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


def test_private_image_is_not_there_for_others(root, other, image):
    assert visible(root, image) and not visible(other, image)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        other.ec2.describe_images(ImageIds=[image])
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        other.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        other.ec2.deregister_image(ImageId=image)


def test_shared_image_is_seen_and_launched_but_not_changed(root, other, image):
    share(root, image, UserId=account(other))
    assert visible(other, image) and visible(other, image, ExecutableUsers=["self"])
    assert not visible(other, image, ExecutableUsers=["all"]) and not visible(other, image, Owners=["self"])
    assert visible(other, image, Owners=[account(root)])
    instance = other.instance(image=image)
    other.ec2.terminate_instances(InstanceIds=[instance])
    for call in (
        lambda: other.ec2.deregister_image(ImageId=image),
        lambda: other.ec2.modify_image_attribute(ImageId=image, Description={"Value": "mine"}),
        lambda: other.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission"),
        lambda: other.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission"),
    ):
        with pytest.raises(ClientError, match="AuthFailure"):
            call()


def last_launched(server, image):
    """By DescribeImageAttribute, and by DescribeImages; clients of before 2024 do not know the member."""
    attribute = server.query("DescribeImageAttribute", ImageId=image, Attribute="lastLaunchedTime")
    shown = server.query("DescribeImages", **{"ImageId.1": image})
    found = attribute.findtext("lastLaunchedTime/value")
    assert shown.findtext("imagesSet/item/lastLaunchedTime") == found
    return found


def test_the_owner_sees_when_an_image_was_last_launched(iam_server, root, other, second_key, image):
    assert last_launched(iam_server, image) is None
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        root.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=2, MaxCount=1)
    assert last_launched(iam_server, image) is None
    instance = root.instance(image=image)
    first = last_launched(iam_server, image)
    assert abs(datetime.fromisoformat(first) - datetime.now(timezone.utc)) < timedelta(minutes=10)
    share(root, image, UserId=account(other))
    theirs = other.instance(image=image)
    assert last_launched(iam_server, image) > first
    shown = iam_server.query("DescribeImages", key=second_key, **{"ImageId.1": image})
    assert shown.findtext("imagesSet/item/lastLaunchedTime") is None
    root.ec2.terminate_instances(InstanceIds=[instance])
    other.ec2.terminate_instances(InstanceIds=[theirs])


def test_public_image_is_seen_by_all(root, other, image):
    share(root, image, Group="all")
    assert visible(other, image) and visible(other, image, ExecutableUsers=["all"])
    assert visible(other, image, Filters=[{"Name": "is-public", "Values": ["true"]}])
    root.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert not visible(other, image)


def test_sharing_an_image_does_not_share_its_snapshot(root, other, image):
    share(root, image, Group="all")
    snapshot = root.shown_image(image)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        other.ec2.describe_snapshots(SnapshotIds=[snapshot])
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        other.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)


def test_tags_are_the_owners_alone(root, other, image):
    share(root, image, Group="all")
    assert root.shown_image(image)["Tags"] and not other.shown_image(image).get("Tags")
    by_tag = [{"Name": "tag:secret", "Values": ["plan"]}]
    assert visible(root, image, Filters=by_tag) and not visible(other, image, Filters=by_tag)


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


def test_names_are_unique_in_their_account_only(root, other):
    name = f"same {uuid.uuid4().hex}"
    for world in (root, other):
        world.ec2.deregister_image(ImageId=world.image(name))


@pytest.mark.parametrize("kind", ["instance", "volume", "snapshot"])
def test_resources_of_another_account_are_not_there(root, other, kind):
    if kind == "instance":
        made = root.instance(image=root.image(f"own {uuid.uuid4().hex}"))
        with pytest.raises(ClientError, match="InvalidInstanceID.NotFound"):
            other.ec2.terminate_instances(InstanceIds=[made])
        root.ec2.terminate_instances(InstanceIds=[made])
    elif kind == "volume":
        made = root.volume()
        with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
            other.ec2.delete_volume(VolumeId=made)
    else:
        made = root.snapshot()
        with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
            other.ec2.delete_snapshot(SnapshotId=made)
    with pytest.raises(ClientError, match="NotFound"):
        other.ec2.create_tags(Resources=[made], Tags=[{"Key": "a", "Value": "b"}])


def launch(world, image):
    return world.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)


def test_story_of_sharing_with_the_cli(iam_server, second_key, other, image, tmp_path):
    owner, user = cli(iam_server, tmp_path), cli(iam_server, tmp_path, second_key)
    permission = f"[{{UserId={account(other)}}}]"
    change = ("ec2", "modify-image-attribute", "--image-id", image, "--launch-permission")
    run = ("ec2", "run-instances", "--image-id", image, "--instance-type", "t3.nano")
    owner(*change, f"Add={permission}")
    instance = user(*run)["Instances"][0]["InstanceId"]
    owner(*change, f"Remove={permission}")
    with pytest.raises(RuntimeError, match="InvalidAMIID.NotFound"):
        user(*run)
    other.wait_state(instance, "running")
    other.ec2.terminate_instances(InstanceIds=[instance])


def test_launch_permission_is_reset(root, other, image):
    share(root, image, UserId=account(other))
    root.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert not visible(other, image)


def test_an_account_gives_up_what_is_shared_with_it(root, other, image):
    user = account(other)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        other.ec2.cancel_image_launch_permission(ImageId=image)
    share(root, image, UserId=user)
    assert other.ec2.cancel_image_launch_permission(ImageId=image)["Return"] is True
    assert not visible(other, image)
    share(root, image, Group="all")
    with pytest.raises(ClientError, match="InvalidRequest"):
        other.ec2.cancel_image_launch_permission(ImageId=image)
    with pytest.raises(ClientError, match="InvalidRequest"):
        root.ec2.cancel_image_launch_permission(ImageId=image)


def test_with_whom_else_an_image_is_shared_is_its_owners_business(root, other, image):
    share(root, image, UserId=account(other))
    share(root, image, UserId="111122223333")
    assert visible(root, image, ExecutableUsers=["111122223333"])
    assert not visible(other, image, ExecutableUsers=["111122223333"])
    assert visible(other, image, ExecutableUsers=[account(other)])
    with pytest.raises(ClientError, match="AuthFailure"):
        other.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")


ORGANIZATION = "arn:aws:organizations::111122223333:organization/o-abcdefghij"
UNIT = "arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-root-abcdefgh"


def permissions(root, image):
    return root.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]


def test_permissions_of_organizations_are_kept_and_taken_away(root, other, image):
    share(root, image, OrganizationArn=ORGANIZATION)
    root.ec2.modify_image_attribute(
        ImageId=image, Attribute="launchPermission", OperationType="add", OrganizationalUnitArns=[UNIT]
    )
    assert permissions(root, image) == [{"OrganizationArn": ORGANIZATION}, {"OrganizationalUnitArn": UNIT}]
    assert not visible(other, image), "it is in no organization"
    root.ec2.modify_image_attribute(
        ImageId=image, LaunchPermission={"Remove": [{"OrganizationArn": ORGANIZATION}, {"OrganizationalUnitArn": UNIT}]}
    )
    assert permissions(root, image) == []


@pytest.mark.parametrize(
    "permission",
    [
        {"OrganizationArn": "o-abcdefghij"},
        {"OrganizationArn": UNIT},
        {"OrganizationalUnitArn": ORGANIZATION},
        {"OrganizationArn": ORGANIZATION + "/x"},
        {"OrganizationArn": ORGANIZATION.replace("111122223333", "1")},
        {"OrganizationArn": ORGANIZATION, "UserId": "111122223333"},
    ],
)
def test_permission_for_no_organization_is_refused(root, image, permission):
    with pytest.raises(ClientError, match="InvalidAMIAttributeItemValue|InvalidParameterCombination"):
        share(root, image, **permission)
    assert permissions(root, image) == []


def test_lists_without_an_operation_mean_nothing_beside_the_newer_form(root, image):
    """Packer sends both."""
    user = "111122223333"
    root.ec2.modify_image_attribute(ImageId=image, UserIds=[user], LaunchPermission={"Add": [{"UserId": user}]})
    assert permissions(root, image) == [{"UserId": user}]
    with pytest.raises(ClientError, match="MissingParameter"):
        root.ec2.modify_image_attribute(ImageId=image, UserIds=[user])


def test_one_attribute_is_changed_at_a_time(root, image):
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        root.ec2.modify_image_attribute(
            ImageId=image, Description={"Value": "d"}, LaunchPermission={"Add": [{"UserId": "111122223333"}]}
        )
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        root.ec2.modify_image_attribute(ImageId=image)
    root.ec2.modify_image_attribute(ImageId=image, Attribute="description", Value="d")
    assert (root.shown_image(image)["Description"], permissions(root, image)) == ("d", [])


def change_snapshot(root, snapshot, operation, **who):
    root.ec2.modify_snapshot_attribute(
        SnapshotId=snapshot, Attribute="createVolumePermission", OperationType=operation, **who
    )


def test_shared_snapshot_is_used_as_long_as_it_is_shared(iam_server, second_key, root, other):
    root_ebs, ebs = iam_server.client("ebs"), iam_server.client("ebs", key=second_key)
    snapshot = write(root_ebs, {3: block_of("shared")})
    user = {"UserIds": [account(other)]}
    change_snapshot(root, snapshot, "add", **user)
    assert other.ec2.describe_snapshots(RestorableByUserIds=["self"])["Snapshots"][0]["SnapshotId"] == snapshot
    assert read(ebs, snapshot) == {3: block_of("shared")}
    volume = other.volume(SnapshotId=snapshot)
    image = other.image(f"of another's {uuid.uuid4().hex}", snapshot)
    instance = other.instance(image=image)
    change_snapshot(root, snapshot, "remove", **user)
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        other.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        ebs.list_snapshot_blocks(SnapshotId=snapshot)
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        launch(other, image)
    root.ec2.delete_snapshot(SnapshotId=snapshot)  # somebody else's image does not hold it
    other.wait_state(instance, "running")
    other.ec2.terminate_instances(InstanceIds=[instance])
    other.ec2.deregister_image(ImageId=image)
    other.delete_volume(volume)


def test_public_snapshot_makes_volumes_and_is_not_read_directly(iam_server, second_key, root, other):
    root_ebs, ebs = iam_server.client("ebs"), iam_server.client("ebs", key=second_key)
    snapshot = write(root_ebs, {3: block_of("public")})
    change_snapshot(root, snapshot, "add", GroupNames=["all"])
    other.delete_volume(other.volume(SnapshotId=snapshot))
    with pytest.raises(ClientError, match="ResourceNotFound"):
        ebs.list_snapshot_blocks(SnapshotId=snapshot)
    root.ec2.delete_snapshot(SnapshotId=snapshot)


def test_mapping_of_a_launch_takes_shared_snapshots_only(root, other, image):
    share(root, image, UserId=account(other))
    snapshot = root.snapshot()
    data = [{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot}}]
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        other.run(image, BlockDeviceMappings=data)
    change_snapshot(root, snapshot, "add", UserIds=[account(other)])
    instance = other.instance(image=image, BlockDeviceMappings=data)
    other.ec2.terminate_instances(InstanceIds=[instance])


def access(server, action, **parameters):
    answer = server.query(f"{action}ImageBlockPublicAccess{'State' if action == 'Get' else ''}", **parameters)
    return answer.findtext("imageBlockPublicAccessState")


@pytest.fixture
def new_access(iam_server):
    """The account's setting for images, to be left as it was."""
    yield lambda action, **parameters: access(iam_server, action, **parameters)
    access(iam_server, "Disable")


def test_blocked_account_makes_nothing_public(root, other, image, new_access):
    public = root.image(f"public {uuid.uuid4().hex}")
    share(root, public, Group="all")
    blocked = "block-new-sharing"
    assert new_access("Enable", ImageBlockPublicAccessState=blocked) == new_access("Get") == blocked
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        share(root, image, Group="all")
    share(root, image, UserId="111122223333")
    assert visible(other, public) and not visible(other, image), "what is public stays so"
    share(root, public, UserId="111122223333")
    root.ec2.reset_image_attribute(ImageId=public, Attribute="launchPermission")
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        share(root, public, Group="all")
    assert new_access("Disable") == "unblocked"
    share(root, image, Group="all")
    assert visible(other, image)
    root.ec2.deregister_image(ImageId=public)


def test_new_account_is_blocked_by_default(raw_call, world, ec2):
    assert raw_call("GetImageBlockPublicAccessState").findtext("imageBlockPublicAccessState") == "block-new-sharing"
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.modify_image_attribute(ImageId=world.image(), LaunchPermission={"Add": [{"Group": "all"}]})
    with pytest.raises(ApiError, match="InvalidParameterValue"):
        raw_call("EnableImageBlockPublicAccess", ImageBlockPublicAccessState="block-all-sharing")


def test_five_public_images_are_the_most(raw_call, world, ec2):
    raw_call("DisableImageBlockPublicAccess")
    snapshot = world.snapshot()
    images = [world.image(f"public {number}", snapshot) for number in range(6)]
    for image in images[:5]:
        ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]})
    with pytest.raises(ClientError, match="ResourceLimitExceeded"):
        ec2.modify_image_attribute(ImageId=images[5], LaunchPermission={"Add": [{"Group": "all"}]})
    ec2.reset_image_attribute(ImageId=images[0], Attribute="launchPermission")
    ec2.modify_image_attribute(ImageId=images[5], LaunchPermission={"Add": [{"Group": "all"}]})


@pytest.fixture
def organization(iam_server):
    """An account with a new organization: (its EC2, its client of organizations, the organization's ARN, its id)."""
    number, key = iam_server.account(f"manager {uuid.uuid4().hex[:8]}")
    orgs = iam_server.client("organizations", key=key)
    made = orgs.create_organization(FeatureSet="ALL")["Organization"]
    return World(iam_server.client("ec2", key=key)), orgs, made["Arn"], number


def test_organization_and_units_open_an_image_to_those_in_them(root, image, organization):
    member, orgs, arn, number = organization
    top = orgs.list_roots()["Roots"][0]["Id"]
    outer = orgs.create_organizational_unit(ParentId=top, Name="outer")["OrganizationalUnit"]
    inner = orgs.create_organizational_unit(ParentId=outer["Id"], Name="inner")["OrganizationalUnit"]
    assert not visible(member, image)
    share(root, image, OrganizationArn=arn)
    assert visible(member, image, ExecutableUsers=["self"]) and not visible(member, image, ExecutableUsers=["all"])
    member.ec2.terminate_instances(InstanceIds=[launch(member, image)["Instances"][0]["InstanceId"]])
    root.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert not visible(member, image)
    share(root, image, OrganizationalUnitArn=outer["Arn"])
    assert not visible(member, image)
    orgs.move_account(AccountId=number, SourceParentId=top, DestinationParentId=inner["Id"])
    assert visible(member, image), "the unit is above its own"
    orgs.move_account(AccountId=number, SourceParentId=inner["Id"], DestinationParentId=top)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        launch(member, image)
