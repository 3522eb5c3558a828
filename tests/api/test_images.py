"""RegisterImage, DescribeImages, DeregisterImage and the attributes of images, by stock clients."""

import pytest
from botocore.exceptions import ClientError

from conftest import ApiError


def ids(answer):
    return [image["ImageId"] for image in answer["Images"]]


def filtered(ec2, **filters):
    """Ids of the images that pass filters, whose names have underscores for hyphens and double ones for dots."""
    names = {name: name.replace("__", ".").replace("_", "-") for name in filters}
    given = [
        {"Name": names[name], "Values": value if isinstance(value, list) else [value]}
        for name, value in filters.items()
    ]
    return ids(ec2.describe_images(Filters=given))


# --- registering


def test_registered_image_is_what_was_asked_for(ec2, world):
    snapshot = world.snapshot(size=2)
    data = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 5, "VolumeType": "gp2", "DeleteOnTermination": False}}
    image = world.image(
        "golden",
        snapshot,
        [data],
        Description="a first one",
        BootMode="legacy-bios",
        EnaSupport=True,
        ImdsSupport="v2.0",
    )
    shown = world.shown_image(image)
    assert shown["State"] == "available"
    assert (shown["Name"], shown["Description"], shown["OwnerId"]) == ("golden", "a first one", "123456789012")
    assert (shown["Architecture"], shown["VirtualizationType"], shown["RootDeviceType"]) == ("x86_64", "hvm", "ebs")
    assert (shown["RootDeviceName"], shown["BootMode"], shown["EnaSupport"]) == ("/dev/sda1", "legacy-bios", True)
    assert (shown["ImdsSupport"], shown["ImageType"], shown["Public"]) == ("v2.0", "machine", False)
    root, extra = shown["BlockDeviceMappings"]
    assert root["Ebs"]["SnapshotId"] == snapshot
    assert (root["Ebs"]["VolumeSize"], root["Ebs"]["DeleteOnTermination"]) == (2, True)
    assert extra["DeviceName"] == "/dev/sdb"
    assert (extra["Ebs"]["VolumeSize"], extra["Ebs"]["VolumeType"], extra["Ebs"]["DeleteOnTermination"]) == (
        5,
        "gp2",
        False,
    )


def test_name_is_taken_once(world):
    image = world.image("golden")
    with pytest.raises(
        ClientError, match=rf"InvalidAMIName.Duplicate.*AMI name golden is already in use by AMI {image}"
    ):
        world.image("golden")


def test_name_is_free_again_after_deregistering(ec2, world):
    ec2.deregister_image(ImageId=world.image("golden"))
    world.image("golden")


def test_name_is_unique_in_its_region_only(server, ec2_west, world):
    world.image("golden")
    west = type(world)(ec2_west)
    west.image("golden")


@pytest.mark.parametrize("name", ["ab", "x" * 129, "two\nlines", "semi;colon", "ümlaut"])
def test_name_outside_the_rules_is_malformed(world, name):
    with pytest.raises(ClientError, match="InvalidAMIName.Malformed"):
        world.image(name)


@pytest.mark.parametrize("name", ["abc", "x" * 128, "My (best) [one] ./-'@_ 1"])
def test_name_within_the_rules_is_taken(world, name):
    assert world.shown_image(world.image(name))["Name"] == name


def test_root_device_must_be_mapped_to_a_snapshot(ec2):
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}
    with pytest.raises(ClientError, match="InvalidBlockDeviceMapping"):
        ec2.register_image(Name="golden", RootDeviceName="/dev/sda1", BlockDeviceMappings=[mapping])


def test_volume_cannot_be_smaller_than_its_snapshot(ec2, world):
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": world.snapshot(size=3), "VolumeSize": 2}}
    with pytest.raises(ClientError, match="InvalidBlockDeviceMapping.*expect size>= 3GB"):
        ec2.register_image(Name="golden", RootDeviceName="/dev/sda1", BlockDeviceMappings=[mapping])


def test_two_devices_have_the_same_snapshot(world):
    snapshot = world.snapshot()
    image = world.image(snapshot=snapshot, mappings=[{"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": snapshot}}])
    assert [m["Ebs"]["SnapshotId"] for m in world.shown_image(image)["BlockDeviceMappings"]] == [snapshot, snapshot]
    world.instance(image=image)


def test_device_is_mapped_once(world):
    twice = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}
    with pytest.raises(ClientError, match="InvalidBlockDeviceMapping.*/dev/sda1"):
        world.image(mappings=[twice])


def test_snapshot_that_is_not_there_is_refused(world):
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        world.image(snapshot="snap-0123456789abcdef0")


def test_snapshot_id_that_is_none_is_malformed(world):
    with pytest.raises(ClientError, match="InvalidSnapshotID.Malformed"):
        world.image(snapshot="sn-1")


@pytest.mark.parametrize("parameter", [{"KernelId": "aki-12345678"}, {"BillingProducts": ["bp-1"]}])
def test_what_amid_cannot_do_is_refused_rather_than_ignored(world, parameter):
    with pytest.raises(ClientError, match="UnsupportedOperation.*" + next(iter(parameter))):
        world.image(**parameter)


def test_architecture_is_one_of_the_known(world):
    with pytest.raises(ClientError, match="InvalidParameterValue.*m68k"):
        world.image(Architecture="m68k")


def registration(snapshot, resource_type):
    """Parameters of RegisterImage with a tag specification, which Debian's botocore does not know there."""
    mapping = {"BlockDeviceMapping.1.DeviceName": "/dev/sda1", "BlockDeviceMapping.1.Ebs.SnapshotId": snapshot}
    tag = {"TagSpecification.1.Tag.1.Key": "stage", "TagSpecification.1.Tag.1.Value": "test"}
    return {
        "Name": "golden",
        "RootDeviceName": "/dev/sda1",
        **mapping,
        "TagSpecification.1.ResourceType": resource_type,
        **tag,
    }


def test_tags_come_with_the_image(world, raw_call):
    image = raw_call("RegisterImage", **registration(world.snapshot(), "image")).findtext("imageId")
    assert world.shown_image(image)["Tags"] == [{"Key": "stage", "Value": "test"}]


def test_tags_of_what_is_not_made_are_refused(world, raw_call):
    with pytest.raises(ApiError, match="InvalidParameterValue.*volume"):
        raw_call("RegisterImage", **registration(world.snapshot(), "volume"))


def test_dry_run_makes_nothing(ec2, world):
    with pytest.raises(ClientError, match="DryRunOperation"):
        world.image("golden", DryRun=True)
    assert ec2.describe_images(Owners=["self"])["Images"] == []


# --- looking


def test_unknown_image_is_not_found(ec2):
    with pytest.raises(
        ClientError, match=r"InvalidAMIID.NotFound.*The image id '\[ami-0123456789abcdef0\]' does not exist"
    ):
        ec2.describe_images(ImageIds=["ami-0123456789abcdef0"])


@pytest.mark.parametrize(
    "image", ["ami-1", "ami-0123456789ABCDEF0", "i-0123456789abcdef0", "golden", "ami-0123456789abcdef01"]
)
def test_id_that_is_none_is_malformed(ec2, image):
    with pytest.raises(ClientError, match=r'InvalidAMIID.Malformed.*Invalid id: .* \(expecting "ami-..."\)'):
        ec2.describe_images(ImageIds=[image])


def test_one_unknown_id_fails_the_call(ec2, world):
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        ec2.describe_images(ImageIds=[world.image(), "ami-0123456789abcdef0"])


def test_image_named_twice_is_shown_once(ec2, world):
    image = world.image()
    assert ids(ec2.describe_images(ImageIds=[image, image])) == [image]


def test_image_of_another_region_is_not_found(ec2_west, world):
    image = world.image()
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        ec2_west.describe_images(ImageIds=[image])


def test_owner_self_is_the_caller(ec2, world):
    image = world.image()
    assert ids(ec2.describe_images(Owners=["self"])) == ids(ec2.describe_images(Owners=["123456789012"])) == [image]
    assert ids(ec2.describe_images(Owners=["amazon"])) == ids(ec2.describe_images(Owners=["111122223333"])) == []
    assert ids(ec2.describe_images(Owners=["amazon", "self"])) == [image]


def test_filters_take_wildcards(ec2, world):
    first, second, third = world.image("web-1"), world.image("web-22"), world.image("db-1", Description="what?")
    assert sorted(filtered(ec2, name="web-*")) == sorted([first, second])
    assert filtered(ec2, name="web-?") == [first]
    assert filtered(ec2, description=r"*\?") == [third]
    assert filtered(ec2, name=r"web-\?") == filtered(ec2, name="WEB-*") == filtered(ec2, name="web") == []
    assert sorted(filtered(ec2, name=["web-1", "d*"])) == sorted([first, third])


def test_all_filters_must_match(ec2, world):
    image = world.image("web-1")
    assert filtered(ec2, name="web-1", state="available") == [image]
    assert filtered(ec2, name="web-1", state="failed") == []


def test_every_member_that_has_a_filter_is_found_by_it(ec2, world):
    snapshot = world.snapshot(Description="a root")
    image = world.image(
        "golden",
        snapshot,
        Description="the golden one",
        BootMode="uefi",
        EnaSupport=True,
        ImdsSupport="v2.0",
        SriovNetSupport="simple",
    )
    ec2.create_tags(Resources=[image], Tags=[{"Key": "stage", "Value": "test"}])
    other = world.image(
        "other",
        Architecture="arm64",
        VirtualizationType="paravirtual",
        mappings=[{"DeviceName": "/dev/sdq", "Ebs": {"VolumeSize": 9}}],
    )
    shown = world.shown_image(image)
    expected = {
        "architecture": "x86_64",
        "block_device_mapping__snapshot_id": snapshot,
        "boot_mode": "uefi",
        "description": "*golden*",
        "ena_support": "true",
        "image_id": image,
        "imds_support": "v2.0",
        "name": "golden",
        "sriov_net_support": "simple",
        "tag:stage": "test",
        "tag_key": "stage",
        "tag_value": "te*",
        "virtualization_type": "hvm",
    }
    for name, value in expected.items():
        assert filtered(ec2, **{name: value}) == [image], name
    both = {
        "block_device_mapping__delete_on_termination": "true",
        "block_device_mapping__device_name": "/dev/sda1",
        "block_device_mapping__encrypted": "false",
        "block_device_mapping__volume_size": "1",
        "block_device_mapping__volume_type": "gp3",
        "creation_date": shown["CreationDate"][:10] + "*",
        "hypervisor": "xen",
        "image_type": "machine",
        "is_public": "false",
        "owner_id": "123456789012",
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "state": "available",
    }
    for name, value in both.items():
        assert sorted(filtered(ec2, **{name: value})) == sorted([image, other]), name
    for name in [
        "owner_alias",
        "platform",
        "product_code",
        "kernel_id",
        "ramdisk_id",
        "source_instance_id",
        "state_reason_code",
    ]:
        assert filtered(ec2, **{name: "*"}) == [], name
    assert filtered(ec2, block_device_mapping__device_name="/dev/sdq", block_device_mapping__volume_size="9") == [other]


def test_unknown_filter_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidParameterValue.*The filter 'colour' is invalid"):
        filtered(ec2, colour="red")


def test_filter_without_values_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidParameterValue.*'name'"):
        ec2.describe_images(Filters=[{"Name": "name", "Values": []}])


def page(raw_call, size, token=None, images=()):
    """A page of DescribeImages, for which Debian's botocore knows no pages: (ids, token of the next page)."""
    named = {f"ImageId.{number}": image for number, image in enumerate(images, 1)}
    answer = raw_call("DescribeImages", MaxResults=size, **({"NextToken": token} if token else {}), **named)
    return [element.text for element in answer.iter("imageId")], answer.findtext("nextToken")


@pytest.fixture
def five_images(world):
    """Ids of five images, in the order in which they are described."""
    snapshot = world.snapshot()
    return sorted(world.image(f"image-{number}", snapshot) for number in range(5))


def test_pages_hold_every_image_once(raw_call, five_images):
    first, token = page(raw_call, 2)
    second, token = page(raw_call, 2, token)
    third, token = page(raw_call, 2, token)
    assert [first, second, third] == [five_images[:2], five_images[2:4], five_images[4:]]
    assert token is None


def test_pages_stay_right_while_images_go(ec2, raw_call, five_images):
    _, token = page(raw_call, 2)
    ec2.deregister_image(ImageId=five_images[1])
    ec2.deregister_image(ImageId=five_images[2])
    assert page(raw_call, 2, token) == (five_images[3:], None)


def test_pages_of_named_images_follow_their_ids(raw_call, five_images):
    asked = five_images[3:] + five_images[:1]
    first, token = page(raw_call, 2, images=asked)
    second, _ = page(raw_call, 2, token, asked)
    assert first + second == sorted(asked)


def test_token_of_another_call_is_refused(ec2, raw_call, five_images):
    _, token = page(raw_call, 2)
    with pytest.raises(ApiError, match="InvalidNextToken"):
        page(raw_call, 2, token[:-4] + ("AAAA" if token[-4:] != "AAAA" else "BBBB"))
    with pytest.raises(ClientError, match="InvalidNextToken"):
        ec2.describe_snapshots(MaxResults=5, NextToken=token)


@pytest.mark.parametrize("size", [0, -1])
def test_page_of_nothing_is_refused(raw_call, five_images, size):
    with pytest.raises(ApiError, match="InvalidParameterValue"):
        page(raw_call, size)


def test_cli_filters_images(aws, world):
    image = world.image("web-1")
    world.image("db-1")
    assert aws(
        "ec2",
        "describe-images",
        "--owners",
        "self",
        "--filters",
        "Name=name,Values=web-*",
        "--query",
        "Images[].ImageId",
    ) == [image]


def test_cli_registers_an_image(aws, world):
    mapping = f"DeviceName=/dev/xvda,Ebs={{SnapshotId={world.snapshot()}}}"
    made = aws(
        "ec2",
        "register-image",
        "--name",
        "by-cli",
        "--root-device-name",
        "/dev/xvda",
        "--block-device-mappings",
        mapping,
    )
    assert world.shown_image(made["ImageId"])["RootDeviceName"] == "/dev/xvda"


# --- deregistering


def test_deregistered_image_is_gone_and_its_snapshot_stays(ec2, world):
    snapshot = world.snapshot()
    image = world.image(snapshot=snapshot)
    ec2.deregister_image(ImageId=image)
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        ec2.describe_images(ImageIds=[image])
    assert world.snapshot_state(snapshot) == "completed"


def test_deregistering_again_is_not_found(ec2, world):
    image = world.image()
    ec2.deregister_image(ImageId=image)
    with pytest.raises(ClientError, match="InvalidAMIID"):
        ec2.deregister_image(ImageId=image)


def test_deregistering_with_snapshots_deletes_those_of_no_other_image(ec2, world, raw_call):
    shared, own = world.snapshot(), world.snapshot()
    image = world.image("one", own, [{"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": shared}}])
    world.image("two", shared)
    answer = raw_call("DeregisterImage", ImageId=image, DeleteAssociatedSnapshots="true")
    codes = {item.findtext("snapshotId"): item.findtext("returnCode") for item in answer.iter("item")}
    assert codes == {own: "success", shared: "skipped"}
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        world.snapshot_state(own)
    assert world.snapshot_state(shared) == "completed"


# --- attributes


def attribute(ec2, image, name, member):
    return ec2.describe_image_attribute(ImageId=image, Attribute=name)[member]


def test_description_is_changed(ec2, world):
    image = world.image()
    ec2.modify_image_attribute(ImageId=image, Description={"Value": "new"})
    assert attribute(ec2, image, "description", "Description") == {"Value": "new"}
    ec2.modify_image_attribute(ImageId=image, Attribute="description", Value="newer")
    assert world.shown_image(image)["Description"] == "newer"


def test_mappings_are_an_attribute(ec2, world):
    image = world.image()
    assert (
        attribute(ec2, image, "blockDeviceMapping", "BlockDeviceMappings")
        == world.shown_image(image)["BlockDeviceMappings"]
    )


def test_launch_permissions_are_added_and_removed(ec2, world):
    image = world.image()
    accounts = [{"UserId": "111122223333"}, {"UserId": "444455556666"}]
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": accounts})
    assert attribute(ec2, image, "launchPermission", "LaunchPermissions") == accounts
    ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Remove": accounts[:1]})
    assert attribute(ec2, image, "launchPermission", "LaunchPermissions") == accounts[1:]
    ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert attribute(ec2, image, "launchPermission", "LaunchPermissions") == []


def test_permission_that_is_there_is_not_added_twice(ec2, world):
    image = world.image()
    for _ in range(2):
        ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    assert attribute(ec2, image, "launchPermission", "LaunchPermissions") == [{"UserId": "111122223333"}]


def test_older_form_of_launch_permissions(ec2, world, raw_call):
    raw_call("DisableImageBlockPublicAccess")
    image = world.image()
    ec2.modify_image_attribute(
        ImageId=image, Attribute="launchPermission", OperationType="add", UserIds=["111122223333"], UserGroups=["all"]
    )
    assert {"Group": "all"} in attribute(ec2, image, "launchPermission", "LaunchPermissions")
    assert world.shown_image(image)["Public"] is True
    ec2.modify_image_attribute(ImageId=image, Attribute="launchPermission", OperationType="remove", UserGroups=["all"])
    assert world.shown_image(image)["Public"] is False


@pytest.mark.parametrize("permission", [{"Group": "everybody"}, {"UserId": "me"}, {"UserId": "12345"}])
def test_permission_for_nobody_is_refused(ec2, world, permission):
    with pytest.raises(ClientError, match="InvalidAMIAttributeItemValue|InvalidParameterValue"):
        ec2.modify_image_attribute(ImageId=world.image(), LaunchPermission={"Add": [permission]})


def test_executable_users_find_what_is_shared(ec2, world, raw_call):
    raw_call("DisableImageBlockPublicAccess")
    snapshot = world.snapshot()
    shared, public, _ = [world.image(name, snapshot) for name in ("shared", "public", "private")]
    ec2.modify_image_attribute(ImageId=shared, LaunchPermission={"Add": [{"UserId": "111122223333"}]})
    ec2.modify_image_attribute(ImageId=public, LaunchPermission={"Add": [{"Group": "all"}]})
    assert ids(ec2.describe_images(ExecutableUsers=["111122223333"])) == [shared]
    assert ids(ec2.describe_images(ExecutableUsers=["all"])) == [public]
    assert ids(ec2.describe_images(ExecutableUsers=["self"])) == []
    assert filtered(ec2, is_public="true") == [public]


def test_unknown_attribute_is_refused(ec2, world):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.describe_image_attribute(ImageId=world.image(), Attribute="colour")
