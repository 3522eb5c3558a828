"""The default network, by stock clients."""

import pytest
from botocore.exceptions import ClientError


def test_account_has_a_default_vpc(ec2):
    vpcs = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    assert len(vpcs) == 1
    assert vpcs[0]["CidrBlock"] == "172.31.0.0/16"
    assert vpcs[0]["State"] == "available"


def test_each_zone_has_a_default_subnet(ec2):
    subnets = ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert {subnet["AvailabilityZone"] for subnet in subnets} == {zone["ZoneName"] for zone in zones}
    assert {subnet["CidrBlock"] for subnet in subnets} == {"172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"}
    assert all(subnet["MapPublicIpOnLaunch"] for subnet in subnets)


def test_subnets_are_those_of_the_vpc(ec2):
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert len(ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]) == 3


def test_five_addresses_of_a_subnet_are_never_free(ec2):
    for subnet in ec2.describe_subnets()["Subnets"]:
        assert subnet["AvailableIpAddressCount"] <= 4096 - 5


def test_unknown_vpc_is_not_found(ec2):
    with pytest.raises(ClientError, match="InvalidVpcID.NotFound"):
        ec2.describe_vpcs(VpcIds=["vpc-0123456789abcdef0"])


def test_unknown_subnet_is_not_found(ec2):
    with pytest.raises(ClientError, match="InvalidSubnetID.NotFound"):
        ec2.describe_subnets(SubnetIds=["subnet-0123456789abcdef0"])


def test_unknown_filter_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidParameterValue.*colour"):
        ec2.describe_vpcs(Filters=[{"Name": "colour", "Values": ["red"]}])


def test_cli_shows_the_default_vpc(aws):
    assert aws("ec2", "describe-vpcs", "--filters", "Name=isDefault,Values=true")["Vpcs"][0]["IsDefault"] is True
