"""What bad requests get, whatever the operation: AWS's codes, as a document that AWS's clients can read."""

import urllib.parse
import urllib.request
import urllib.error
import xml.etree.ElementTree

import pytest
from botocore.exceptions import ClientError

from conftest import ApiError

RUN = {"ImageId": "ami-0123456789abcdef0", "MinCount": 1, "MaxCount": 1}


@pytest.mark.parametrize(
    "action,parameters,code",
    [
        ("RunInstances", {"ImageId": "ami-0123456789abcdef0", "MinCount": 1}, "MissingParameter.*MaxCount"),
        ("TerminateInstances", {}, "MissingParameter.*InstanceId"),
        ("CreateSnapshot", {}, "MissingParameter.*VolumeId"),
        ("DescribeImages", {"Colour": "red"}, "UnknownParameter.*Colour"),
        ("DescribeImages", {"Filter.1.Nam": "name"}, "UnknownParameter.*Filter.1.Nam"),
        ("RunInstances", {**RUN, "Placement.Colour": "red"}, "UnknownParameter.*Placement.Colour"),
        ("RunInstances", {**RUN, "MinCount": "one"}, "InvalidParameterValue.*one"),
        ("RunInstances", {**RUN, "EbsOptimized": "perhaps"}, "InvalidParameterValue.*perhaps"),
        ("RunInstances", {**RUN, "InstanceInitiatedShutdownBehavior": "explode"}, "InvalidParameterValue.*explode"),
        ("CreateVolume", {"AvailabilityZone": "us-east-1a", "Size": "1.5"}, "InvalidParameterValue.*1.5"),
        ("CreateVolume", {"AvailabilityZone": "us-east-1a", "Size": "99999999999999999999"}, "InvalidParameterValue"),
        (
            "DescribeImageAttribute",
            {"ImageId": "ami-0123456789abcdef0", "Attribute": "colour"},
            "InvalidParameterValue.*colour",
        ),
        ("DescribeImages", {"MaxResults": "many"}, "InvalidParameterValue.*many"),
        ("DescribeImages", {"NextToken": "made-up"}, "InvalidNextToken"),
        ("CreateTags", {"ResourceId.1": "ami-0123456789abcdef0"}, "MissingParameter.*Tag"),
        ("Dance", {}, "InvalidAction.*Dance"),
    ],
)
def test_parameters_are_checked_before_anything_is_done(raw_call, action, parameters, code):
    with pytest.raises(ApiError, match=code):
        raw_call(action, **parameters)


@pytest.mark.parametrize("action", ["CreateVpc", "AllocateAddress", "ExportImage", "RequestSpotInstances"])
def test_operation_of_aws_that_amid_does_not_have_says_so(raw_call, action):
    with pytest.raises(ApiError, match=f"(UnsupportedOperation|InvalidAction).*{action}"):
        raw_call(action)


def test_empty_parameters_count_as_absent(raw_call, world):
    image = world.image()
    empty = {"SubnetId": "", "KeyName": "", "PrivateIpAddress": "", "UserData": ""}
    answer = raw_call("RunInstances", ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.nano", **empty)
    assert answer.findtext(".//instanceId").startswith("i-")


@pytest.mark.parametrize(
    "action,parameter,code",
    [
        ("DescribeImages", "ImageId", "InvalidAMIID.Malformed"),
        ("DescribeInstances", "InstanceId", "InvalidInstanceID.Malformed"),
        ("TerminateInstances", "InstanceId", "InvalidInstanceID.Malformed"),
        ("DescribeVolumes", "VolumeId", "InvalidVolumeID.Malformed|InvalidParameterValue"),
        ("DescribeSnapshots", "SnapshotId", "InvalidSnapshotID.Malformed"),
        ("DescribeSecurityGroups", "GroupId", "InvalidGroupId.Malformed"),
    ],
)
def test_empty_id_in_a_list_is_malformed(raw_call, action, parameter, code):
    with pytest.raises(ApiError, match=code):
        raw_call(action, **{f"{parameter}.1": ""})


def test_error_is_a_document_with_the_request_id(server):
    query = urllib.parse.urlencode(
        {"Action": "DescribeImages", "Version": "2016-11-15", "ImageId.1": "ami-0123456789abcdef0"}
    )
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{server.endpoint}/", data=query.encode(), timeout=20)
    document = xml.etree.ElementTree.fromstring(refusal.value.read())
    assert refusal.value.code == 400
    assert document.tag == "Response" and document.findtext("Errors/Error/Code") == "InvalidAMIID.NotFound"
    assert document.findtext("RequestID") == refusal.value.headers["x-amzn-RequestId"]


@pytest.mark.parametrize("text", ["<b>&amp;", "\U0001f600", "a\x01b", "']]>"])
def test_what_is_echoed_stays_a_well_formed_document(raw_call, text):
    with pytest.raises(ApiError, match="Malformed|InvalidParameterValue|NotFound"):
        raw_call("DescribeImages", **{"ImageId.1": text})


def test_dry_run_is_answered_without_doing_anything(ec2, world):
    snapshot = world.snapshot()
    image = world.image(snapshot=snapshot)
    for call in (
        lambda: ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, DryRun=True),
        lambda: ec2.deregister_image(ImageId=image, DryRun=True),
        lambda: ec2.create_tags(Resources=[image], Tags=[{"Key": "a", "Value": "b"}], DryRun=True),
        lambda: ec2.describe_images(DryRun=True),
    ):
        with pytest.raises(ClientError, match="DryRunOperation.*would have succeeded"):
            call()
    assert world.shown_image(image).get("Tags", []) == [] and ec2.describe_volumes()["Volumes"] == []


def test_region_that_is_not_served_is_told(server):
    with pytest.raises(ClientError, match="eu-north-1"):
        server.client("ec2", "eu-north-1").describe_images()


def test_cli_shows_code_and_message(aws):
    with pytest.raises(RuntimeError, match=r"InvalidInstanceID.Malformed.*Invalid id: \"web\" \(expecting \"i-...\"\)"):
        aws("ec2", "terminate-instances", "--instance-ids", "web")


def test_reset_forgets_everything_of_the_account(server, ec2, world):
    world.instance()
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    server.reset()
    assert (
        ec2.describe_images()["Images"]
        == ec2.describe_snapshots()["Snapshots"]
        == ec2.describe_volumes()["Volumes"]
        == []
    )
    assert ec2.describe_instances()["Reservations"] == ec2.describe_key_pairs()["KeyPairs"] == []
    assert len(ec2.describe_subnets()["Subnets"]) == 3


def test_reset_drops_the_keys_of_the_users_that_it_deletes(server):
    iam = server.client("iam")
    iam.create_user(UserName="gone")
    key = iam.create_access_key(UserName="gone")["AccessKey"]
    server.reset()
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.list_access_keys(UserName="gone")
    with pytest.raises(ClientError, match="AccessDenied|NoSuchEntity"):
        iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
