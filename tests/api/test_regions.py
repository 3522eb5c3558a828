"""Regions, zones and what an account has in them, by stock clients."""

import pytest
from botocore.exceptions import ClientError


def test_region_of_the_client_is_served(ec2):
    names = [region["RegionName"] for region in ec2.describe_regions()["Regions"]]
    assert ec2.meta.region_name in names


def test_endpoint_is_where_the_server_listens(ec2):
    region = ec2.describe_regions(RegionNames=[ec2.meta.region_name])["Regions"][0]
    assert region["Endpoint"] == ec2.meta.endpoint_url.split("//")[1].rstrip("/")


def test_regions_are_filtered(ec2):
    filters = [{"Name": "region-name", "Values": ["nowhere-*"]}]
    assert ec2.describe_regions(Filters=filters)["Regions"] == []


def test_unknown_region_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.describe_regions(RegionNames=["mars-north-1"])


def test_region_has_three_zones(ec2):
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert [zone["ZoneName"] for zone in zones] == [ec2.meta.region_name + letter for letter in "abc"]
    assert all(zone["State"] == "available" for zone in zones)


def test_zone_ids_are_those_of_aws(ec2):
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    by_region = {"us-east-1": "use1", "us-west-2": "usw2", "eu-central-1": "euc1"}
    prefix = by_region[ec2.meta.region_name]
    assert [zone["ZoneId"] for zone in zones] == [f"{prefix}-az{number}" for number in (1, 2, 3)]


def test_zone_of_another_region_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.describe_availability_zones(ZoneNames=["mars-north-1a"])


def test_account_attributes_name_the_default_vpc(ec2):
    attributes = ec2.describe_account_attributes(AttributeNames=["default-vpc"])["AccountAttributes"]
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    assert attributes == [{"AttributeName": "default-vpc", "AttributeValues": [{"AttributeValue": vpc}]}]


def test_cli_lists_zones(ec2, aws):
    zones = aws("ec2", "describe-availability-zones", "--query", "AvailabilityZones[].ZoneName")
    assert zones == [ec2.meta.region_name + letter for letter in "abc"]
