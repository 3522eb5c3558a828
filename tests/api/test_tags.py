"""Tags, by stock clients."""

import uuid

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def volume(ec2):
    """The id of a new volume, which is gone afterwards."""
    zone = ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    created = ec2.create_volume(AvailabilityZone=zone, Size=1)["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[created], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    yield created
    ec2.delete_volume(VolumeId=created)


@pytest.fixture
def group(ec2):
    created = ec2.create_security_group(GroupName=f"tags-{uuid.uuid4().hex[:12]}", Description="of a test")["GroupId"]
    yield created
    ec2.delete_security_group(GroupId=created)


def shown(ec2, resource):
    tags = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])["Tags"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_tags_are_set_and_replaced(ec2, group):
    ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "2"}])
    assert shown(ec2, group) == {"a": "2", "b": ""}


def test_tags_are_seen_on_the_resource(ec2, volume):
    ec2.create_tags(Resources=[volume], Tags=[{"Key": "Name", "Value": "disk"}])
    assert ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["Tags"] == [{"Key": "Name", "Value": "disk"}]


def test_several_resources_are_tagged_at_once(ec2, volume, group):
    ec2.create_tags(Resources=[volume, group], Tags=[{"Key": "a", "Value": "1"}])
    assert shown(ec2, volume) == shown(ec2, group) == {"a": "1"}


def test_one_missing_resource_leaves_the_others_untagged(ec2, group):
    with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
        ec2.create_tags(Resources=[group, "vol-0123456789abcdef0"], Tags=[{"Key": "a", "Value": "1"}])
    assert shown(ec2, group) == {}


def test_deleting_with_another_value_keeps_the_tag(ec2, group):
    ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "1"}])
    ec2.delete_tags(Resources=[group], Tags=[{"Key": "a", "Value": "2"}])
    assert shown(ec2, group) == {"a": "1"}


def test_deleting_with_an_empty_value_deletes_only_an_empty_tag(ec2, group):
    ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}])
    ec2.delete_tags(Resources=[group], Tags=[{"Key": "a", "Value": ""}, {"Key": "b", "Value": ""}])
    assert shown(ec2, group) == {"a": "1"}


def test_deleting_without_a_value_deletes_the_tag(ec2, group):
    ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "1"}])
    ec2.delete_tags(Resources=[group], Tags=[{"Key": "a"}])
    assert shown(ec2, group) == {}


def test_deleting_without_tags_deletes_all(ec2, group):
    ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    ec2.delete_tags(Resources=[group])
    assert shown(ec2, group) == {}


def test_keys_of_aws_are_reserved(ec2, group):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.create_tags(Resources=[group], Tags=[{"Key": "aws:x", "Value": "1"}])


def test_resource_has_fifty_tags_at_most(ec2, group):
    ec2.create_tags(Resources=[group], Tags=[{"Key": f"k{i}", "Value": "1"} for i in range(50)])
    with pytest.raises(ClientError, match="TagLimitExceeded"):
        ec2.create_tags(Resources=[group], Tags=[{"Key": "one more", "Value": "1"}])


def test_what_is_no_resource_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidID"):
        ec2.create_tags(Resources=["rock-0123456789abcdef0"], Tags=[{"Key": "a", "Value": "1"}])


def test_tags_are_filtered_by_key_and_value(ec2, group):
    value = uuid.uuid4().hex
    ec2.create_tags(Resources=[group], Tags=[{"Key": "a", "Value": value}, {"Key": "b", "Value": value}])
    found = ec2.describe_tags(Filters=[{"Name": "value", "Values": [value]}, {"Name": "key", "Values": ["b"]}])["Tags"]
    assert found == [{"Key": "b", "ResourceId": group, "ResourceType": "security-group", "Value": value}]


def test_pages_hold_every_tag_once(ec2, group):
    ec2.create_tags(Resources=[group], Tags=[{"Key": f"k{i}", "Value": "1"} for i in range(12)])
    filters = [{"Name": "resource-id", "Values": [group]}]
    pages = list(ec2.get_paginator("describe_tags").paginate(Filters=filters, PaginationConfig={"PageSize": 5}))
    assert [len(page["Tags"]) for page in pages] == [5, 5, 2]
    assert len({tag["Key"] for page in pages for tag in page["Tags"]}) == 12


def test_cli_sets_tags(ec2, aws, group):
    aws("ec2", "create-tags", "--resources", group, "--tags", "Key=Name,Value=by the cli")
    assert shown(ec2, group) == {"Name": "by the cli"}
