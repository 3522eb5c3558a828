"""Archive tier and fast restores: the states, what an archived snapshot is good for, and amid's clock."""

import sqlite3

import pytest
from botocore.exceptions import ClientError
from conftest import poll
from test_clock import clock
from test_ebs_direct import block_of, read, write

DAY = 24 * 3600 * 1000
BLOCKS = {index: block_of(("tier", index)) for index in range(0, 2048, 128)}


def tier(ec2, snapshot):
    statuses = ec2.describe_snapshot_tier_status(Filters=[{"Name": "snapshot-id", "Values": [snapshot]}])
    return statuses["SnapshotTierStatuses"][0]


def wait_operation(ec2, snapshot, operation):
    poll(lambda: tier(ec2, snapshot).get("LastTieringOperationStatus") == operation)
    return tier(ec2, snapshot)


def archive(ec2, snapshot):
    assert ec2.modify_snapshot_tier(SnapshotId=snapshot, StorageTier="archive")["TieringStartTime"]
    return wait_operation(ec2, snapshot, "archival-completed")


def unusable(ec2, ebs, snapshot):
    for call in (
        lambda: ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot),
        lambda: ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot),
        lambda: ec2.modify_snapshot_tier(SnapshotId=snapshot),
        lambda: ec2.modify_snapshot_attribute(SnapshotId=snapshot, OperationType="add", UserIds=["111122223333"]),
        lambda: ec2.register_image(
            Name="archived",
            RootDeviceName="/dev/sda1",
            BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}],
        ),
    ):
        with pytest.raises(ClientError, match="IncorrectState"):
            call()
    with pytest.raises(ClientError, match="ValidationException"):
        ebs.list_snapshot_blocks(SnapshotId=snapshot)


def test_archived_and_restored_for_good(ec2, ebs):
    snapshot = write(ebs, BLOCKS)
    assert tier(ec2, snapshot)["StorageTier"] == "standard"
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, OperationType="add", UserIds=["111122223333"])
    shown = archive(ec2, snapshot)
    assert (shown["StorageTier"], shown["LastTieringProgress"]) == ("archive", 100) and shown["ArchivalCompleteTime"]
    assert ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["StorageTier"] == "archive"
    permissions = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert permissions["CreateVolumePermissions"] == []
    unusable(ec2, ebs, snapshot)
    answer = ec2.restore_snapshot_tier(SnapshotId=snapshot, PermanentRestore=True)
    assert answer["IsPermanentRestore"] is True
    assert wait_operation(ec2, snapshot, "permanent-restore-completed")["StorageTier"] == "standard"
    assert read(ebs, snapshot) == BLOCKS
    with pytest.raises(ClientError, match="IncorrectState"):
        ec2.restore_snapshot_tier(SnapshotId=snapshot, PermanentRestore=True)


def test_restored_for_some_days(ec2, ebs, server, wait_for):
    snapshot = write(ebs, BLOCKS)
    archive(ec2, snapshot)
    ec2.restore_snapshot_tier(SnapshotId=snapshot, TemporaryRestoreDays=2)
    assert wait_operation(ec2, snapshot, "temporary-restore-completed")["RestoreExpiryTime"]
    assert read(ebs, snapshot) == BLOCKS
    clock(server, "POST", advance_ms=DAY)
    ec2.restore_snapshot_tier(SnapshotId=snapshot, TemporaryRestoreDays=3)
    clock(server, "POST", advance_ms=2 * DAY)
    assert read(ebs, snapshot) == BLOCKS
    clock(server, "POST", advance_ms=DAY)
    unusable(ec2, ebs, snapshot)
    assert wait_operation(ec2, snapshot, "archival-completed")["StorageTier"] == "archive"
    ec2.restore_snapshot_tier(SnapshotId=snapshot, TemporaryRestoreDays=1)
    wait_operation(ec2, snapshot, "temporary-restore-completed")
    ec2.restore_snapshot_tier(SnapshotId=snapshot, PermanentRestore=True)
    wait_operation(ec2, snapshot, "permanent-restore-completed")
    clock(server, "POST", advance_ms=2 * DAY)
    assert read(ebs, snapshot) == BLOCKS


def test_damaged_snapshot_is_not_archived(own_server):
    ec2, ebs = own_server.client("ec2"), own_server.client("ebs")
    good, bad = write(ebs, {0: block_of("good")}), write(ebs, {0: block_of("bad")})
    pack = next(
        path for path in own_server.data.glob("regions/us-east-1/store/packs/*.pack") if block_of("bad") in path.read_bytes()
    )
    at = pack.read_bytes().index(block_of("bad"))
    with open(pack, "r+b") as file:
        file.seek(at + 1000)
        file.write(b"\0")
    own_server.damaged = True
    for snapshot in good, bad:
        ec2.modify_snapshot_tier(SnapshotId=snapshot)
    assert wait_operation(ec2, good, "archival-completed")["StorageTier"] == "archive"
    shown = wait_operation(ec2, bad, "archival-failed")
    assert shown["StorageTier"] == "standard" and shown["LastTieringOperationStatusDetail"]


def test_what_cannot_be_archived_or_restored(ec2, ebs, world):
    snapshot = world.snapshot()
    world.image(snapshot=snapshot)
    with pytest.raises(ClientError, match="InvalidSnapshot.InUse"):
        ec2.modify_snapshot_tier(SnapshotId=snapshot)
    with pytest.raises(ClientError, match="IncorrectState"):
        ec2.modify_snapshot_tier(SnapshotId=ebs.start_snapshot(VolumeSize=1)["SnapshotId"])
    archived = world.snapshot()
    archive(ec2, archived)
    for code, parameters in (
        ("MissingParameter", {}),
        ("InvalidParameterCombination", {"PermanentRestore": True, "TemporaryRestoreDays": 1}),
        ("InvalidParameterValue", {"TemporaryRestoreDays": 181}),
    ):
        with pytest.raises(ClientError, match=f"\\({code}\\)"):
            ec2.restore_snapshot_tier(SnapshotId=archived, **parameters)


def restores(ec2, **filters):
    given = [{"Name": name, "Values": [value]} for name, value in filters.items()]
    shown = ec2.describe_fast_snapshot_restores(Filters=given)["FastSnapshotRestores"]
    return {(item["SnapshotId"], item["AvailabilityZone"]): item for item in shown}


def states(ec2):
    return {key: item["State"] for key, item in restores(ec2).items()}


def test_fast_restore_is_enabled_zone_by_zone(ec2, ebs, wait_for):
    snapshot = write(ebs, {index: block_of(index % 7) for index in range(70)})
    zones = ["us-east-1b", "us-east-1a"]
    answer = ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[snapshot], AvailabilityZones=zones)
    assert [item["State"] for item in answer["Successful"]] == ["enabling", "enabling"] and not answer["Unsuccessful"]
    wait_for(lambda: set(states(ec2).values()) == {"enabled"})
    item = restores(ec2, **{"availability-zone": "us-east-1a"})[snapshot, "us-east-1a"]
    assert item["EnablingTime"] <= item["OptimizingTime"] <= item["EnabledTime"] and item["OwnerId"] == "123456789012"
    ec2.disable_fast_snapshot_restores(SourceSnapshotIds=[snapshot], AvailabilityZones=["us-east-1b"])
    wait_for(lambda: states(ec2) == {(snapshot, "us-east-1a"): "enabled", (snapshot, "us-east-1b"): "disabled"})
    archive(ec2, snapshot)
    assert states(ec2) == {}


def test_fast_restore_of_what_is_restored_for_some_days(ec2, ebs, server, wait_for):
    snapshot = write(ebs, {1: block_of(1)})
    archive(ec2, snapshot)
    ec2.restore_snapshot_tier(SnapshotId=snapshot, TemporaryRestoreDays=1)
    wait_operation(ec2, snapshot, "temporary-restore-completed")
    ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[snapshot], AvailabilityZones=["us-east-1a"])
    wait_for(lambda: states(ec2) == {(snapshot, "us-east-1a"): "enabled"})
    clock(server, "POST", advance_ms=DAY)
    wait_operation(ec2, snapshot, "archival-completed")
    assert states(ec2) == {}


def test_fast_restore_of_what_cannot_be(ec2, ebs, world):
    good, pending = world.snapshot(), ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    unknown = "snap-0123456789abcdef0"
    answer = ec2.enable_fast_snapshot_restores(
        SourceSnapshotIds=[unknown, good, pending], AvailabilityZones=["us-east-1a", "us-east-1c"]
    )
    assert [item["SnapshotId"] for item in answer["Successful"]] == [good, good]
    failed = {
        item["SnapshotId"]: [error["Error"]["Code"] for error in item["FastSnapshotRestoreStateErrors"]]
        for item in answer["Unsuccessful"]
    }
    assert failed == {unknown: ["InvalidSnapshot.NotFound"] * 2, pending: ["IncorrectState"] * 2}
    never = ec2.disable_fast_snapshot_restores(SourceSnapshotIds=[good], AvailabilityZones=["us-east-1a", "us-east-1b"])
    assert [item["AvailabilityZone"] for item in never["Successful"]] == ["us-east-1a"]
    assert never["Unsuccessful"][0]["FastSnapshotRestoreStateErrors"][0]["AvailabilityZone"] == "us-east-1b"
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[good], AvailabilityZones=["us-west-2a"])


def test_reading_begins_again_when_the_machine_was_booted(own_server):
    ec2, ebs = own_server.client("ec2"), own_server.client("ebs")
    snapshot = write(ebs, {index: block_of(index) for index in range(70)})
    zone = snapshot, "us-east-1a"
    ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[snapshot], AvailabilityZones=["us-east-1a"])
    poll(lambda: states(ec2) == {zone: "enabled"})
    first = restores(ec2)[zone]
    own_server.restart()
    ec2 = own_server.client("ec2")
    assert restores(ec2)[zone] == first
    own_server.stop()
    with sqlite3.connect(own_server.data / "meta.db") as database:  # as if it had been another boot in which it was read
        changed = database.execute("UPDATE records SET body = json_set(body, '$.read_boot', 'another') WHERE kind = 'snapshot'")
        assert changed.rowcount == 1
    database.close()
    own_server.start()
    ec2 = own_server.client("ec2")
    again = poll(lambda: states(ec2) == {zone: "enabled"} and restores(ec2)[zone]["EnabledTime"] > first["EnabledTime"] and restores(ec2)[zone])
    assert first["EnablingTime"] == again["EnablingTime"] and first["EnabledTime"] < again["OptimizingTime"]


def test_reading_goes_on_after_a_crash(own_server):
    ec2, ebs = own_server.client("ec2"), own_server.client("ebs")
    snapshot = write(ebs, {index: block_of(index) for index in range(70)})
    ec2.enable_fast_snapshot_restores(SourceSnapshotIds=[snapshot], AvailabilityZones=["us-east-1a"])
    own_server.kill()
    own_server.start()
    ec2 = own_server.client("ec2")
    poll(lambda: states(ec2) == {(snapshot, "us-east-1a"): "enabled"})
