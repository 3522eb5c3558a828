"""RunInstances and DescribeInstances, by stock clients.

No machine runs behind these instances (the dry driver): what a guest sees is tested in tests/vm.
"""

import base64
import uuid

import pytest
from botocore.exceptions import ClientError


def launch(ec2, world, **more):
    """A RunInstances call of one instance; its answer."""
    parameters = {"InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 1, **more}
    return ec2.run_instances(ImageId=parameters.pop("ImageId", None) or world.image(), **parameters)


def refused(ec2, world, code, **more):
    with pytest.raises(ClientError, match=code):
        launch(ec2, world, **more)
    assert ec2.describe_instances()["Reservations"] == [] and ec2.describe_volumes()["Volumes"] == []


def filtered(ec2, **filters):
    names = {name: name.replace("__", ".").replace("_", "-") for name in filters}
    given = [
        {"Name": names[name], "Values": value if isinstance(value, list) else [value]}
        for name, value in filters.items()
    ]
    found = ec2.describe_instances(Filters=given)["Reservations"]
    return [instance["InstanceId"] for reservation in found for instance in reservation["Instances"]]


# --- what is made


def test_answer_is_pending_and_the_instance_comes_to_run(ec2, world):
    answer = launch(ec2, world)
    assert answer["ReservationId"].startswith("r-") and answer["OwnerId"] == "123456789012"
    instance = answer["Instances"][0]
    assert instance["State"] == {"Code": 0, "Name": "pending"}
    world.wait_state(instance["InstanceId"], "running")
    shown = world.shown(instance["InstanceId"])
    assert shown["State"] == {"Code": 16, "Name": "running"}
    assert (shown["InstanceType"], shown["RootDeviceName"], shown["RootDeviceType"]) == ("t3.nano", "/dev/sda1", "ebs")
    assert shown["Placement"]["AvailabilityZone"].startswith("us-east-1")
    assert shown["PrivateIpAddress"].startswith("172.31.") and shown["PublicIpAddress"]
    assert shown["PrivateDnsName"] == f"ip-{shown['PrivateIpAddress'].replace('.', '-')}.ec2.internal"
    assert [group["GroupName"] for group in shown["SecurityGroups"]] == ["default"]
    assert shown["NetworkInterfaces"][0]["PrivateIpAddress"] == shown["PrivateIpAddress"]
    assert world.devices(instance["InstanceId"])["/dev/sda1"]["Status"] == "attached"


def test_several_instances_share_a_reservation_but_nothing_else(ec2, world):
    ids = world.run(count=3)
    found = ec2.describe_instances()["Reservations"]
    assert len(found) == 1
    instances = found[0]["Instances"]
    assert {instance["InstanceId"] for instance in instances} == set(ids)
    assert sorted(instance["AmiLaunchIndex"] for instance in instances) == [0, 1, 2]
    for member in ("PrivateIpAddress", "PublicIpAddress"):
        assert len({instance[member] for instance in instances}) == 3
    assert len({instance["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] for instance in instances}) == 3
    assert len({instance["NetworkInterfaces"][0]["MacAddress"] for instance in instances}) == 3


@pytest.mark.parametrize("least,most", [(0, 1), (2, 1), (-1, 3)])
def test_counts_that_make_no_sense_are_refused(ec2, world, least, most):
    refused(ec2, world, "InvalidParameter(Value|Combination)", MinCount=least, MaxCount=most)


def test_more_instances_than_the_limit_are_refused(ec2, world):
    refused(ec2, world, "InstanceLimitExceeded", MinCount=501, MaxCount=501)


def test_missing_image_is_told(ec2):
    with pytest.raises(ClientError, match="MissingParameter.*ImageId"):
        ec2.run_instances(MinCount=1, MaxCount=1)


@pytest.mark.parametrize(
    "image,code", [("ami-0123456789abcdef0", "InvalidAMIID.NotFound"), ("golden", "InvalidAMIID.Malformed")]
)
def test_image_must_be_there(ec2, world, image, code):
    refused(ec2, world, code, ImageId=image)


def test_type_must_be_known(ec2, world):
    refused(ec2, world, "InvalidParameterValue.*t9.huge|InvalidInstanceType", InstanceType="t9.huge")


def test_architecture_of_the_image_must_fit(ec2, world):
    refused(ec2, world, "Unsupported", ImageId=world.image(Architecture="arm64"))


def test_key_pair_must_be_there(ec2, world):
    refused(ec2, world, "InvalidKeyPair.NotFound.*'nobody'", KeyName="nobody")


def test_key_pair_is_shown(ec2, world):
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    assert world.shown(world.instance(KeyName="mine"))["KeyName"] == "mine"


@pytest.mark.parametrize(
    "member,value",
    [
        ("KernelId", "aki-12345678"),
        ("RamdiskId", "ari-12345678"),
        ("HibernationOptions", {"Configured": True}),
        ("InstanceMarketOptions", {"MarketType": "spot"}),
        ("LaunchTemplate", {"LaunchTemplateName": "web"}),
        ("EnclaveOptions", {"Enabled": True}),
        ("Ipv6AddressCount", 1),
        ("Placement", {"Tenancy": "dedicated"}),
        ("Placement", {"GroupName": "close"}),
    ],
)
def test_what_amid_cannot_do_is_refused_rather_than_ignored(ec2, world, member, value):
    refused(ec2, world, "UnsupportedOperation", **{member: value})


def test_dry_run_makes_nothing(ec2, world):
    refused(ec2, world, "DryRunOperation", DryRun=True)


def test_user_data_is_kept(ec2, world):
    instance = world.instance(UserData="#!/bin/sh\necho hallo\n")
    value = ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(value) == b"#!/bin/sh\necho hallo\n"


def test_user_data_has_a_limit(ec2, world):
    world.instance(UserData="x" * 16384)
    with pytest.raises(ClientError, match="InvalidParameterValue.*16384"):
        launch(ec2, world, UserData="x" * 16385)


def test_user_data_that_is_no_base64_is_malformed(world, raw_call):
    with pytest.raises(Exception, match="InvalidUserData.Malformed|InvalidParameterValue"):
        raw_call("RunInstances", ImageId=world.image(), MinCount=1, MaxCount=1, InstanceType="t3.nano", UserData="%%%")


def test_tags_are_given_to_instance_and_volumes(ec2, world):
    specifications = [
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "web"}]},
        {"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "disk"}]},
    ]
    instance = world.instance(TagSpecifications=specifications)
    assert world.shown(instance)["Tags"] == [{"Key": "Name", "Value": "web"}]
    volume = world.devices(instance)["/dev/sda1"]["VolumeId"]
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Tags"] == [{"Key": "Name", "Value": "disk"}]


# --- block devices


def volumes(ec2, world, instance):
    shown = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])["Volumes"]
    return {volume["Attachments"][0]["Device"]: volume for volume in shown}


def test_mappings_are_laid_over_those_of_the_image(ec2, world):
    data = [{"DeviceName": f"/dev/sd{letter}", "Ebs": {"VolumeSize": 2, "VolumeType": "gp2"}} for letter in "bc"]
    image = world.image(mappings=data)
    changes = [
        {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 4, "DeleteOnTermination": False}},
        {"DeviceName": "/dev/sdb", "NoDevice": ""},
        {"DeviceName": "/dev/sdd", "Ebs": {"VolumeSize": 10, "VolumeType": "io1", "Iops": 200}},
    ]
    instance = world.instance(image=image, BlockDeviceMappings=changes)
    made = volumes(ec2, world, instance)
    assert {device: volume["Size"] for device, volume in made.items()} == {
        "/dev/sda1": 4,
        "/dev/sdc": 2,
        "/dev/sdd": 10,
    }
    assert made["/dev/sda1"]["SnapshotId"] and made["/dev/sda1"]["Attachments"][0]["DeleteOnTermination"] is False
    assert (made["/dev/sdc"]["VolumeType"], made["/dev/sdc"]["Attachments"][0]["DeleteOnTermination"]) == ("gp2", True)
    assert (made["/dev/sdd"]["VolumeType"], made["/dev/sdd"]["Iops"]) == ("io1", 200)


@pytest.mark.parametrize(
    "mapping,code",
    [
        ({"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 1}}, "InvalidBlockDeviceMapping.*expect size>= 2GB"),
        ({"DeviceName": "/dev/sda1", "NoDevice": ""}, "InvalidBlockDeviceMapping.*root"),
        ({"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 70000}}, "InvalidParameterValue"),
        ({"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 0}}, "InvalidParameterValue"),
        ({"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "VolumeType": "tape"}}, "InvalidParameterValue"),
        (
            {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "VolumeType": "gp2", "Iops": 300}},
            "InvalidParameterCombination",
        ),
        ({"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 10, "VolumeType": "io1"}}, "MissingParameter"),
        (
            {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 10, "VolumeType": "io1", "Iops": 1000}},
            "InvalidParameterValue.*ratio",
        ),
        ({"DeviceName": "/dev/sdb", "Ebs": {"VolumeType": "gp3"}}, "MissingParameter"),
        ({"DeviceName": "/dev/sdb"}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "../x", "Ebs": {"VolumeSize": 1}}, "InvalidBlockDeviceMapping"),
        ({"DeviceName": "/dev/sdb", "Ebs": {"SnapshotId": "snap-0123456789abcdef0"}}, "InvalidSnapshot.NotFound"),
        ({"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"}, "UnsupportedOperation.*VirtualName"),
        ({"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "KmsKeyId": "alias/mine"}}, "InvalidParameterDependency"),
    ],
)
def test_mapping_that_cannot_be_is_refused(ec2, world, mapping, code):
    refused(ec2, world, code, ImageId=world.image(size=2), BlockDeviceMappings=[mapping])


# --- network


def test_subnet_decides_the_zone(ec2, world):
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1c"]}])["Subnets"][0]
    shown = world.shown(world.instance(SubnetId=subnet["SubnetId"]))
    assert (shown["SubnetId"], shown["VpcId"]) == (subnet["SubnetId"], subnet["VpcId"])
    assert shown["Placement"]["AvailabilityZone"] == "us-east-1c"
    assert shown["PrivateIpAddress"].startswith("172.31.") and 32 <= int(shown["PrivateIpAddress"].split(".")[2]) < 48


def test_zone_decides_the_subnet(world):
    shown = world.shown(world.instance(Placement={"AvailabilityZone": "us-east-1b"}))
    assert shown["Placement"]["AvailabilityZone"] == "us-east-1b"


def test_zone_must_be_there(ec2, world):
    refused(ec2, world, "InvalidParameterValue", Placement={"AvailabilityZone": "us-east-1z"})


def test_subnet_must_be_there(ec2, world):
    refused(ec2, world, "InvalidSubnetID.NotFound", SubnetId="subnet-0123456789abcdef0")


def test_private_address_is_the_one_asked_for(ec2, world):
    image = world.image()
    assert world.shown(world.instance(image=image, PrivateIpAddress="172.31.0.77"))["PrivateIpAddress"] == "172.31.0.77"
    with pytest.raises(ClientError, match="InvalidIPAddress.InUse.*172.31.0.77"):
        launch(ec2, world, ImageId=image, PrivateIpAddress="172.31.0.77")


@pytest.mark.parametrize("address", ["10.0.0.1", "172.31.0.3", "172.31.15.255", "nowhere"])
def test_private_address_must_be_of_the_subnet(ec2, world, address):
    refused(ec2, world, "InvalidParameterValue", PrivateIpAddress=address)


def test_two_instances_cannot_have_one_address(ec2, world):
    refused(ec2, world, "InvalidParameterCombination", PrivateIpAddress="172.31.0.77", MinCount=2, MaxCount=2)


def test_groups_are_given_by_id_and_name(ec2, world):
    one = ec2.create_security_group(GroupName="one", Description="d")["GroupId"]
    two = ec2.create_security_group(GroupName="two", Description="d")["GroupId"]
    image = world.image()
    shown = world.shown(world.instance(image=image, SecurityGroupIds=[one, two]))
    assert {(group["GroupId"], group["GroupName"]) for group in shown["SecurityGroups"]} == {(one, "one"), (two, "two")}
    assert [
        group["GroupId"] for group in world.shown(world.instance(image=image, SecurityGroups=["two"]))["SecurityGroups"]
    ] == [two]


@pytest.mark.parametrize(
    "group,code", [("sg-0123456789abcdef0", "InvalidGroup.NotFound"), ("web", "InvalidGroupId.Malformed")]
)
def test_group_must_be_there(ec2, world, group, code):
    refused(ec2, world, code, SecurityGroupIds=[group])


def test_interface_says_whether_there_is_a_public_address(ec2, world):
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": False}
    assert "PublicIpAddress" not in world.shown(world.instance(NetworkInterfaces=[interface]))


def test_interface_and_subnet_exclude_each_other(ec2, world):
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    refused(ec2, world, "InvalidParameterCombination", SubnetId=subnet, NetworkInterfaces=[{"DeviceIndex": 0}])


def test_security_group_of_an_instance_cannot_be_deleted(ec2, world):
    group = ec2.create_security_group(GroupName="one", Description="d")["GroupId"]
    world.instance(SecurityGroupIds=[group])
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=group)


# --- metadata options


def test_metadata_options_have_defaults(world):
    shown = world.shown(world.instance())["MetadataOptions"]
    assert (shown["HttpTokens"], shown["HttpPutResponseHopLimit"], shown["HttpEndpoint"]) == ("optional", 1, "enabled")


def test_image_can_require_tokens(world):
    shown = world.shown(world.instance(image=world.image(ImdsSupport="v2.0")))["MetadataOptions"]
    assert (shown["HttpTokens"], shown["HttpPutResponseHopLimit"]) == ("required", 2)


def test_metadata_options_are_those_asked_for(world):
    options = {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 3,
        "HttpEndpoint": "disabled",
        "InstanceMetadataTags": "enabled",
    }
    shown = world.shown(world.instance(MetadataOptions=options))["MetadataOptions"]
    assert {name: shown[name] for name in options} == options


@pytest.mark.parametrize(
    "options", [{"HttpPutResponseHopLimit": 65}, {"HttpPutResponseHopLimit": 0}, {"HttpTokens": "sometimes"}]
)
def test_metadata_options_that_cannot_be_are_refused(ec2, world, options):
    refused(ec2, world, "InvalidParameterValue", MetadataOptions=options)


# --- client tokens


def test_repeated_call_makes_nothing_new(ec2, world):
    image, token = world.image(), uuid.uuid4().hex
    first, second = (launch(ec2, world, ImageId=image, MaxCount=2, ClientToken=token) for _ in range(2))
    assert first["ReservationId"] == second["ReservationId"]
    assert {i["InstanceId"] for i in first["Instances"]} == {i["InstanceId"] for i in second["Instances"]}
    assert len(filtered(ec2, client_token=token)) == 2


def test_token_with_other_parameters_is_refused(ec2, world):
    image, token = world.image(), uuid.uuid4().hex
    launch(ec2, world, ImageId=image, ClientToken=token)
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        launch(ec2, world, ImageId=image, ClientToken=token, InstanceType="t3.micro")


def test_token_of_a_refused_call_is_free(ec2, world):
    image, token = world.image(), uuid.uuid4().hex
    with pytest.raises(ClientError, match="InvalidKeyPair.NotFound"):
        launch(ec2, world, ImageId=image, ClientToken=token, KeyName="nobody")
    launch(ec2, world, ImageId=image, ClientToken=token)


# --- looking


def test_unknown_instance_is_not_found(ec2):
    with pytest.raises(
        ClientError, match="InvalidInstanceID.NotFound.*The instance ID 'i-0123456789abcdef0' does not exist"
    ):
        ec2.describe_instances(InstanceIds=["i-0123456789abcdef0"])


@pytest.mark.parametrize("instance", ["web", "i-1", "ami-0123456789abcdef0"])
def test_id_that_is_none_is_malformed(ec2, instance):
    with pytest.raises(ClientError, match="InvalidInstanceID.Malformed"):
        ec2.describe_instances(InstanceIds=[instance])


def test_every_member_that_has_a_filter_is_found_by_it(ec2, world):
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    image, tag = world.image("web"), [{"ResourceType": "instance", "Tags": [{"Key": "stage", "Value": "test"}]}]
    token = uuid.uuid4().hex
    options = {"HttpTokens": "required", "HttpEndpoint": "disabled"}
    one = world.instance(
        image=image,
        InstanceType="t3.micro",
        KeyName="mine",
        SecurityGroupIds=[group],
        ClientToken=token,
        Placement={"AvailabilityZone": "us-east-1b"},
        MetadataOptions=options,
        TagSpecifications=tag,
        Monitoring={"Enabled": True},
    )
    other = world.instance()
    ec2.stop_instances(InstanceIds=[other])
    world.wait_state(other, "stopped")
    shown = world.shown(one)
    interface, volume = shown["NetworkInterfaces"][0], shown["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    reservation = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["ReservationId"]
    expected = {
        "availability_zone": "us-east-1b",
        "block_device_mapping__volume_id": volume,
        "client_token": token,
        "dns_name": shown["PublicDnsName"],
        "group_id": group,
        "group_name": "web",
        "image_id": image,
        "instance_id": one,
        "instance_state_code": "16",
        "instance_state_name": "run*",
        "instance_type": "t3.micro",
        "instance__group_id": group,
        "instance__group_name": "we?",
        "ip_address": shown["PublicIpAddress"],
        "key_name": "mine",
        "metadata_options__http_endpoint": "disabled",
        "metadata_options__http_tokens": "required",
        "monitoring_state": "enabled",
        "network_interface__group_id": group,
        "network_interface__mac_address": interface["MacAddress"],
        "network_interface__network_interface_id": interface["NetworkInterfaceId"],
        "network_interface__subnet_id": shown["SubnetId"],
        "network_interface__addresses__private_ip_address": shown["PrivateIpAddress"],
        "private_dns_name": shown["PrivateDnsName"],
        "private_ip_address": shown["PrivateIpAddress"],
        "reservation_id": reservation,
        "subnet_id": shown["SubnetId"],
        "tag:stage": "test",
        "tag_key": "stage",
        "tag_value": "t*",
    }
    for name, value in expected.items():
        assert filtered(ec2, **{name: value}) == [one], name
    both = {
        "architecture": "x86_64",
        "block_device_mapping__delete_on_termination": "true",
        "block_device_mapping__device_name": "/dev/sda1",
        "block_device_mapping__status": "attached",
        "hypervisor": "xen",
        "launch_index": "0",
        "launch_time": f"{shown['LaunchTime']:%Y-%m-%dT}*",
        "network_interface__vpc_id": shown["VpcId"],
        "owner_id": "123456789012",
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "tenancy": "default",
        "virtualization_type": "hvm",
        "vpc_id": shown["VpcId"],
    }
    for name, value in both.items():
        assert sorted(filtered(ec2, **{name: value})) == sorted([one, other]), name
    assert (
        filtered(ec2, state_reason_code="Client.UserInitiatedShutdown")
        == filtered(ec2, reason="User initiated*")
        == [other]
    )


def test_pages_are_of_instances_and_keep_their_reservation(ec2, world):
    ids = world.run(count=7, wait=None)
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    assert [sum(len(r["Instances"]) for r in page["Reservations"]) for page in pages] == [5, 2]
    assert len({r["ReservationId"] for page in pages for r in page["Reservations"]}) == 1
    assert {i["InstanceId"] for page in pages for r in page["Reservations"] for i in r["Instances"]} == set(ids)


def test_ids_and_pages_exclude_each_other(ec2, world):
    with pytest.raises(ClientError, match="InvalidParameterCombination"):
        ec2.describe_instances(InstanceIds=[world.instance()], MaxResults=5)


def test_pages_have_at_least_five(ec2):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.describe_instances(MaxResults=4)


def test_status_shows_running_instances_unless_all_are_asked_for(ec2, world):
    one, two = world.run(count=2)
    ec2.stop_instances(InstanceIds=[two])
    world.wait_state(two, "stopped")
    shown = ec2.describe_instance_status()["InstanceStatuses"]
    assert [status["InstanceId"] for status in shown] == [one]
    assert (shown[0]["InstanceStatus"]["Status"], shown[0]["SystemStatus"]["Status"]) == ("ok", "ok")
    shown = ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert {status["InstanceId"] for status in shown} == {one, two}
    stopped = [{"Name": "instance-state-name", "Values": ["stopped"]}]
    assert [
        s["InstanceId"]
        for s in ec2.describe_instance_status(IncludeAllInstances=True, Filters=stopped)["InstanceStatuses"]
    ] == [two]


def test_waiters_of_boto_are_content(ec2, world):
    instance = world.instance()
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[instance], WaiterConfig={"Delay": 1, "MaxAttempts": 10})


def test_cli_runs_and_shows_an_instance(aws, world):
    made = aws(
        "ec2", "run-instances", "--image-id", world.image(), "--instance-type", "t3.nano", "--user-data", "hallo"
    )
    instance = made["Instances"][0]["InstanceId"]
    world.wait_state(instance, "running")
    query = "Reservations[].Instances[].State.Name"
    assert aws("ec2", "describe-instances", "--instance-ids", instance, "--query", query) == ["running"]
