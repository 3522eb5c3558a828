"""ModifyVolume and DescribeVolumesModifications, by stock clients."""

import json

import botocore.awsrequest
import pytest
from botocore.exceptions import ClientError

HOUR_MS = 3600 * 1000


def shown(ec2, volume):
    return ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]


def modification(ec2, volume):
    return ec2.describe_volumes_modifications(VolumeIds=[volume])["VolumesModifications"][0]


def completed(ec2, wait_for, volume):
    wait_for(lambda: modification(ec2, volume)["ModificationState"] == "completed")
    return modification(ec2, volume)


def advance(server, ms):
    request = botocore.awsrequest.AWSRequest("POST", f"{server.endpoint}/_amid/clock", data=json.dumps({"advance_ms": ms}).encode())
    status, body = server.send(request)
    assert status == 200, body


def test_volume_grows_and_changes_its_type(ec2, world, wait_for):
    volume = world.volume(size=2)
    answer = ec2.modify_volume(VolumeId=volume, Size=10, VolumeType="gp3", Iops=4000, Throughput=300)["VolumeModification"]
    assert (answer["ModificationState"], answer["Progress"]) == ("modifying", 0)
    assert (answer["OriginalSize"], answer["OriginalVolumeType"]) == (2, "gp2")
    assert (answer["TargetSize"], answer["TargetVolumeType"], answer["TargetIops"], answer["TargetThroughput"]) == (10, "gp3", 4000, 300)
    done = completed(ec2, wait_for, volume)
    assert done["Progress"] == 100 and done["EndTime"] >= done["StartTime"] and done["VolumeId"] == volume
    now = shown(ec2, volume)
    assert (now["Size"], now["VolumeType"], now["Iops"], now["Throughput"], now["State"]) == (10, "gp3", 4000, 300, "available")
    # the bytes are there too: a snapshot of it has the size
    assert ec2.create_snapshot(VolumeId=volume)["VolumeSize"] == 10


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_attached_volume_is_modified(ec2, world, wait_for, state):
    instance = world.instance()
    if state == "stopped":
        ec2.stop_instances(InstanceIds=[instance])
        world.wait_state(instance, "stopped")
    root = world.devices(instance)["/dev/sda1"]["VolumeId"]
    ec2.modify_volume(VolumeId=root, Size=20)
    completed(ec2, wait_for, root)
    assert (shown(ec2, root)["Size"], shown(ec2, root)["State"]) == (20, "in-use")


def test_modification_is_finished_after_a_crash(own_server, wait_for):
    """Killed at once after the answer: what was promised happens at the next start."""
    ec2 = own_server.client("ec2")
    volumes = [ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"] for _ in range(8)]
    for volume in volumes:
        wait_for(lambda: shown(ec2, volume)["State"] == "available")
        ec2.modify_volume(VolumeId=volume, Size=3)
    own_server.kill()
    own_server.start()
    ec2 = own_server.client("ec2")
    for volume in volumes:
        completed(ec2, wait_for, volume)
        assert shown(ec2, volume)["Size"] == 3
    own_server.stop()
    assert own_server.fsck().returncode == 0


def test_what_is_not_named_stays(ec2, world, wait_for):
    volume = world.volume(size=20, VolumeType="gp3", Iops=5000, Throughput=200)
    ec2.modify_volume(VolumeId=volume, Size=30)
    completed(ec2, wait_for, volume)
    now = shown(ec2, volume)
    assert (now["Size"], now["VolumeType"], now["Iops"], now["Throughput"]) == (30, "gp3", 5000, 200)


def test_gp2_that_becomes_gp3_is_not_slower(ec2, world, wait_for):
    volume = world.volume(size=2000)
    ec2.modify_volume(VolumeId=volume, VolumeType="gp3")
    done = completed(ec2, wait_for, volume)
    assert (done["TargetIops"], done["TargetThroughput"]) == (6000, 250)


def test_six_hours_lie_between_modifications(own_server, wait_for):
    ec2 = own_server.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    wait_for(lambda: shown(ec2, volume)["State"] == "available")
    ec2.modify_volume(VolumeId=volume, Size=2)
    with pytest.raises(ClientError, match="VolumeModificationRateExceeded|IncorrectModificationState"):
        ec2.modify_volume(VolumeId=volume, Size=3)
    completed(ec2, wait_for, volume)
    advance(own_server, 5 * HOUR_MS)
    with pytest.raises(ClientError, match="VolumeModificationRateExceeded"):
        ec2.modify_volume(VolumeId=volume, Size=3)
    advance(own_server, HOUR_MS)
    ec2.modify_volume(VolumeId=volume, Size=3)
    done = completed(ec2, wait_for, volume)
    assert (done["OriginalSize"], done["TargetSize"]) == (2, 3)


@pytest.mark.parametrize(
    "parameters,code",
    [
        ({}, "MissingParameter"),
        ({"Size": 4}, "InvalidParameterValue.*New size cannot be smaller than existing size"),
        ({"Size": 16385}, "InvalidParameterValue"),
        ({"VolumeType": "st1"}, "InvalidParameterValue"),
        ({"VolumeType": "io1"}, "MissingParameter"),
        ({"VolumeType": "io1", "Iops": 251}, "InvalidParameterValue"),
        ({"VolumeType": "gp3", "Iops": 3000, "Throughput": 751}, "InvalidParameterValue.*ratio"),
        ({"Iops": 300}, "InvalidParameterCombination"),
        ({"Throughput": 300}, "InvalidParameterCombination"),
        ({"MultiAttachEnabled": True}, "UnsupportedOperation"),
    ],
)
def test_modification_that_cannot_be_is_refused(ec2, world, parameters, code):
    volume = world.volume(size=5)
    before = shown(ec2, volume)
    with pytest.raises(ClientError, match=code):
        ec2.modify_volume(VolumeId=volume, **parameters)
    assert shown(ec2, volume) == before
    with pytest.raises(ClientError, match="InvalidVolumeModification.NotFound"):
        ec2.describe_volumes_modifications(VolumeIds=[volume])


def test_largest_volumes_of_each_type(ec2, world, wait_for):
    largest = {"gp3": 65536, "gp2": 16384, "io1": 16384, "io2": 65536, "st1": 16384, "sc1": 16384, "standard": 1024}
    for kind, size in largest.items():
        more = {"Iops": 100} if kind.startswith("io") else {}
        volume = world.volume(size=size, VolumeType=kind, **more)
        assert shown(ec2, volume)["Size"] == size
        with pytest.raises(ClientError, match="InvalidParameterValue"):
            ec2.create_volume(AvailabilityZone="us-east-1a", Size=size + 1, VolumeType=kind, **more)
    small = world.volume(size=1, VolumeType="gp3")
    ec2.modify_volume(VolumeId=small, Size=65536)
    completed(ec2, wait_for, small)
    assert shown(ec2, small)["Size"] == 65536


def test_limits_hold_wherever_a_volume_is_described(ec2, world):
    wrong = {"VolumeType": "gp3", "VolumeSize": 65537}
    snapshot, instance = world.snapshot(), world.instance()
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        world.image(snapshot=snapshot, mappings=[{"DeviceName": "/dev/sdb", "Ebs": wrong}])
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        world.run(wait=None, BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "Ebs": wrong}])
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.create_image(InstanceId=instance, Name="wrong", BlockDeviceMappings=[{"DeviceName": "/dev/sdb", "Ebs": wrong}])


def test_modifications_are_filtered_and_paged(ec2, world, wait_for):
    volumes = sorted(world.volume() for _ in range(3))
    untouched = world.volume()
    for number, volume in enumerate(volumes):
        ec2.modify_volume(VolumeId=volume, Size=2 + number)
        completed(ec2, wait_for, volume)
    expected = {"target-size": "3", "volume-id": volumes[1]}
    for name, value in expected.items():
        found = ec2.describe_volumes_modifications(Filters=[{"Name": name, "Values": [value]}])["VolumesModifications"]
        assert [each["VolumeId"] for each in found] == [volumes[1]], name
    everywhere = {"modification-state": "completed", "original-size": "1", "original-volume-type": "gp2", "target-volume-type": "gp2"}
    for name, value in everywhere.items():
        found = ec2.describe_volumes_modifications(Filters=[{"Name": name, "Values": [value]}])["VolumesModifications"]
        assert [each["VolumeId"] for each in found] == volumes, name
    first = ec2.describe_volumes_modifications(MaxResults=2)
    second = ec2.describe_volumes_modifications(MaxResults=2, NextToken=first["NextToken"])
    assert [each["VolumeId"] for page in (first, second) for each in page["VolumesModifications"]] == volumes
    with pytest.raises(ClientError, match="InvalidVolumeModification.NotFound"):
        ec2.describe_volumes_modifications(VolumeIds=[untouched])


def test_cli_modifies_a_volume(aws, ec2, world, wait_for):
    volume = world.volume()
    aws("ec2", "modify-volume", "--volume-id", volume, "--size", 4)
    completed(ec2, wait_for, volume)
    shown_by_cli = aws("ec2", "describe-volumes-modifications", "--volume-ids", volume)["VolumesModifications"][0]
    assert shown_by_cli["TargetSize"] == 4
