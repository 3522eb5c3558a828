"""DescribeVolumeStatus, EnableVolumeIO and the attributes of volumes, by stock clients."""

import pytest
from botocore.exceptions import ClientError


def status(ec2, volume):
    return ec2.describe_volume_status(VolumeIds=[volume])["VolumeStatuses"][0]


def test_sound_volume_is_ok(ec2, world):
    volume = world.volume()
    shown = status(ec2, volume)
    assert (shown["VolumeId"], shown["AvailabilityZone"], shown["VolumeStatus"]["Status"]) == (volume, "us-east-1a", "ok")
    details = {detail["Name"]: detail["Status"] for detail in shown["VolumeStatus"]["Details"]}
    assert details["io-enabled"] == "passed" and (shown["Events"], shown["Actions"]) == ([], [])


def test_damage_makes_a_volume_impaired_until_its_owner_takes_note(server, ec2, world, wait_for):
    """A volume whose frozen layer cannot be read is found out when it is sealed."""
    sound, volume = world.volume(), world.volume()
    (layer,) = (server.data / "regions" / "us-east-1" / "volumes" / volume).glob("*1.map")
    layer.write_bytes(b"not a map at all" * 512)
    with pytest.raises(ClientError):
        ec2.create_snapshot(VolumeId=volume)
    wait_for(lambda: status(ec2, volume)["VolumeStatus"]["Status"] == "impaired")
    shown = status(ec2, volume)
    (event,), (action,) = shown["Events"], shown["Actions"]
    assert event["EventType"] == "potential-data-inconsistency" and action["Code"] == "enable-volume-io"
    assert action["EventId"] == event["EventId"] and event["NotBefore"]
    impaired = ec2.describe_volume_status(Filters=[{"Name": "volume-status.status", "Values": ["impaired"]}])["VolumeStatuses"]
    assert [each["VolumeId"] for each in impaired] == [volume]
    assert status(ec2, sound)["VolumeStatus"]["Status"] == "ok"
    ec2.enable_volume_io(VolumeId=volume)
    assert status(ec2, volume)["VolumeStatus"]["Status"] == "ok" and status(ec2, volume)["Events"] == []
    with pytest.raises(ClientError):
        ec2.create_snapshot(VolumeId=volume)
    wait_for(lambda: status(ec2, volume)["VolumeStatus"]["Status"] == "impaired")
    ec2.modify_volume_attribute(VolumeId=volume, AutoEnableIO={"Value": True})
    shown = status(ec2, volume)
    assert (shown["VolumeStatus"]["Status"], len(shown["Events"]), shown["Actions"]) == ("ok", 1, [])


def test_attributes_are_kept(ec2, world):
    volume = world.volume()
    attribute = lambda: ec2.describe_volume_attribute(VolumeId=volume, Attribute="autoEnableIO")  # noqa: E731
    assert attribute()["AutoEnableIO"] == {"Value": False} and attribute()["VolumeId"] == volume
    ec2.modify_volume_attribute(VolumeId=volume, AutoEnableIO={"Value": True})
    assert attribute()["AutoEnableIO"] == {"Value": True}
    assert ec2.describe_volume_attribute(VolumeId=volume, Attribute="productCodes")["ProductCodes"] == []
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.describe_volume_attribute(VolumeId=volume, Attribute="colour")
    with pytest.raises(ClientError, match="MissingParameter"):
        ec2.modify_volume_attribute(VolumeId=volume)


def test_unknown_volume_is_not_found(ec2):
    unknown = "vol-0123456789abcdef0"
    for call in (
        lambda: ec2.describe_volume_status(VolumeIds=[unknown]),
        lambda: ec2.enable_volume_io(VolumeId=unknown),
        lambda: ec2.describe_volume_attribute(VolumeId=unknown, Attribute="autoEnableIO"),
        lambda: ec2.modify_volume(VolumeId=unknown, Size=2),
        lambda: ec2.describe_volumes_modifications(VolumeIds=[unknown]),
    ):
        with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
            call()
