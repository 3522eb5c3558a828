"""Snapshot locks: what they keep from being deleted, and until when by amid's clock."""

import pytest
from botocore.exceptions import ClientError
from conftest import ApiError
from test_clock import clock

HOUR = 3600 * 1000
DAY = 24 * HOUR


@pytest.fixture
def lock(raw_call):
    def call(snapshot, mode="governance", **parameters):
        return raw_call("LockSnapshot", SnapshotId=snapshot, LockMode=mode, **parameters)

    return call


def locked(raw_call, **parameters):
    shown = raw_call("DescribeLockedSnapshots", **parameters).findall("snapshotSet/item")
    return {item.findtext("snapshotId"): item.findtext("lockState") for item in shown}


def undeletable(ec2, snapshot):
    with pytest.raises(ClientError, match="SnapshotLocked"):
        ec2.delete_snapshot(SnapshotId=snapshot)


def test_locked_in_governance_mode_until_unlocked(ec2, world, raw_call, lock):
    snapshot, other = world.snapshot(), world.snapshot()
    answer = lock(snapshot, LockDuration=30)
    assert answer.findtext("lockState") == "governance" and answer.findtext("lockDuration") == "30"
    undeletable(ec2, snapshot)
    assert locked(raw_call) == {snapshot: "governance"}
    assert locked(raw_call, **{"SnapshotId.1": other}) == {}
    assert locked(raw_call, **{"Filter.1.Name": "lock-state", "Filter.1.Value.1": "compliance"}) == {}
    lock(snapshot, LockDuration=1)
    raw_call("UnlockSnapshot", SnapshotId=snapshot)
    with pytest.raises(ApiError, match="SnapshotLock.NotFound"):
        raw_call("UnlockSnapshot", SnapshotId=snapshot)
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_lock_ends_when_its_time_is_over(ec2, world, raw_call, lock, server):
    snapshot = world.snapshot()
    lock(snapshot, LockDuration=2)
    clock(server, "POST", advance_ms=2 * DAY - HOUR)
    undeletable(ec2, snapshot)
    clock(server, "POST", advance_ms=HOUR)
    assert locked(raw_call) == {snapshot: "expired"}
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_compliance_mode_binds_after_its_cooling_off(ec2, world, raw_call, lock, server):
    snapshot = world.snapshot()
    answer = lock(snapshot, "compliance", LockDuration=10, CoolOffPeriod=5)
    assert answer.findtext("lockState") == "compliance-cooloff" and answer.findtext("coolOffPeriod") == "5"
    raw_call("UnlockSnapshot", SnapshotId=snapshot)
    lock(snapshot, "compliance", LockDuration=10, CoolOffPeriod=5)
    clock(server, "POST", advance_ms=5 * HOUR)
    assert locked(raw_call) == {snapshot: "compliance"}
    with pytest.raises(ApiError, match="SnapshotLocked"):
        raw_call("UnlockSnapshot", SnapshotId=snapshot)
    for mode, change in (
        ("governance", {"LockDuration": 20}),
        ("compliance", {"LockDuration": 9}),
        ("compliance", {"LockDuration": 20, "CoolOffPeriod": 1}),
    ):
        with pytest.raises(ApiError, match="InvalidParameter"):
            lock(snapshot, mode, **change)
    lock(snapshot, "compliance", LockDuration=20)
    clock(server, "POST", advance_ms=11 * DAY)
    undeletable(ec2, snapshot)
    clock(server, "POST", advance_ms=9 * DAY)
    ec2.delete_snapshot(SnapshotId=snapshot)


def test_lock_until_a_date(ec2, world, raw_call, lock, server):
    snapshot = world.snapshot()
    with pytest.raises(ApiError, match="InvalidParameterValue"):
        lock(snapshot, ExpirationDate="2020-01-01T00:00:00Z")
    answer = lock(snapshot, ExpirationDate="2100-01-01T00:00:00Z")
    assert answer.findtext("lockExpiresOn").startswith("2100-01-01T00:00:00") and int(answer.findtext("lockDuration")) > 20000
    undeletable(ec2, snapshot)


def test_what_a_lock_must_say(world, lock):
    snapshot = world.snapshot()
    for code, mode, parameters in (
        ("MissingParameter", "governance", {}),
        ("InvalidParameterCombination", "governance", {"LockDuration": 1, "ExpirationDate": "2100-01-01T00:00:00Z"}),
        ("InvalidParameterCombination", "governance", {"LockDuration": 1, "CoolOffPeriod": 1}),
        ("InvalidParameterValue", "compliance", {"LockDuration": 1, "CoolOffPeriod": 73}),
        ("InvalidParameterValue", "governance", {"LockDuration": 36501}),
        ("InvalidParameterValue", "forever", {"LockDuration": 1}),
    ):
        with pytest.raises(ApiError) as caught:
            lock(snapshot, mode, **parameters)
        assert caught.value.code == code
    with pytest.raises(ApiError, match="InvalidSnapshot.NotFound"):
        lock("snap-0123456789abcdef0", LockDuration=1)


def test_pending_snapshot_is_locked_from_when_it_is_completed(ebs, ec2, raw_call, lock, server):
    snapshot = ebs.start_snapshot(VolumeSize=1, Timeout=60)["SnapshotId"]
    answer = lock(snapshot, LockDuration=1)
    assert answer.findtext("lockState") == "governance" and answer.findtext("lockDurationStartTime") is None
    clock(server, "POST", advance_ms=HOUR // 2)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
    clock(server, "POST", advance_ms=DAY - HOUR // 4)
    undeletable(ec2, snapshot)
    clock(server, "POST", advance_ms=HOUR // 4)
    ec2.delete_snapshot(SnapshotId=snapshot)
