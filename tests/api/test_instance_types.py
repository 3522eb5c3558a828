"""Instance types, by stock clients."""

import pytest
from botocore.exceptions import ClientError


def test_type_has_the_memory_and_processors_of_aws(ec2):
    found = ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"][0]
    assert found["MemoryInfo"]["SizeInMiB"] == 1024
    assert found["VCpuInfo"] == {"DefaultVCpus": 2, "DefaultCores": 1, "DefaultThreadsPerCore": 2}
    assert found["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]


def test_old_types_take_paravirtual_images(ec2):
    filters = [{"Name": "supported-virtualization-type", "Values": ["paravirtual"]}]
    names = {found["InstanceType"] for found in ec2.describe_instance_types(Filters=filters)["InstanceTypes"]}
    assert {"m1.small", "t1.micro"} <= names
    assert "t3.micro" not in names


def test_filters_compare_numbers_as_text(ec2):
    filters = [{"Name": "memory-info.size-in-mib", "Values": ["512"]}]
    names = {found["InstanceType"] for found in ec2.describe_instance_types(Filters=filters)["InstanceTypes"]}
    assert {"t2.nano", "t3.nano"} <= names and "t3.micro" not in names


def test_unknown_type_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidInstanceType"):
        ec2.describe_instance_types(InstanceTypes=["t3.enormous"])


def test_pages_hold_every_type_once(ec2):
    pages = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 5}))
    names = [found["InstanceType"] for page in pages for found in page["InstanceTypes"]]
    assert len(pages) > 2
    assert names == sorted(set(names))


def test_token_that_is_made_up_is_refused(ec2):
    with pytest.raises(ClientError, match="InvalidNextToken"):
        ec2.describe_instance_types(NextToken="bWFkZSB1cA==")


def test_types_are_offered_in_the_region(ec2):
    filters = [{"Name": "instance-type", "Values": ["t3.micro"]}]
    offers = ec2.describe_instance_type_offerings(Filters=filters)["InstanceTypeOfferings"]
    assert offers == [{"InstanceType": "t3.micro", "LocationType": "region", "Location": ec2.meta.region_name}]


def test_types_are_offered_in_every_zone(ec2):
    filters = [{"Name": "instance-type", "Values": ["t3.micro"]}]
    offers = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=filters)
    zones = [zone["ZoneName"] for zone in ec2.describe_availability_zones()["AvailabilityZones"]]
    assert [offer["Location"] for offer in offers["InstanceTypeOfferings"]] == zones


def test_cli_shows_a_type(aws):
    found = aws("ec2", "describe-instance-types", "--instance-types", "m1.small")["InstanceTypes"][0]
    assert found["InstanceStorageInfo"]["TotalSizeInGB"] == 160
