"""Exact accounting: `amid du` says what deleting would give back, and deleting gives back just that."""

import base64
import hashlib
import json
import os
import subprocess

import pytest

from conftest import BUILD, World, poll

BLOCK = 512 * 1024


def block_of(seed):
    return hashlib.sha256(str(seed).encode()).digest() * (BLOCK // 32)


class Store:
    """A server of its own, since its store's bytes are compared exactly."""

    def __init__(self, server):
        self.server = server

    def amid(self, *arguments):
        key, secret = self.server.credentials()
        environment = dict(
            os.environ,
            AWS_ACCESS_KEY_ID=key,
            AWS_SECRET_ACCESS_KEY=secret,
            AWS_REGION="us-east-1",
            AWS_ENDPOINT_URL=self.server.endpoint,
        )
        command = [str(BUILD / "amid"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def bytes(self):
        return int(self.amid("status", "--field", "store_bytes").stdout)

    def du(self, *ids):
        """By id; waits until the references are counted."""

        def known():
            done = self.amid("du", "--json", *ids)
            assert done.returncode == 0, done.stderr
            found = {resource["id"]: resource for resource in json.loads(done.stdout)["resources"]}
            return found if all(resource["alone_bytes"] is not None for resource in found.values()) else None

        return poll(known, timeout=60)

    def snapshot(self, blocks, parent=None):
        ebs = self.server.client("ebs")
        more = {"ParentSnapshotId": parent} if parent else {}
        made = ebs.start_snapshot(VolumeSize=1, **more)["SnapshotId"]
        for index, seed in blocks.items():
            data = block_of(seed)
            digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
            ebs.put_snapshot_block(
                SnapshotId=made,
                BlockIndex=index,
                BlockData=data,
                DataLength=len(data),
                Checksum=digest,
                ChecksumAlgorithm="SHA256",
            )
        ebs.complete_snapshot(SnapshotId=made, ChangedBlocksCount=len(blocks))
        World(self.server.client("ec2")).ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[made])
        return made

    def wait_bytes(self, expected):
        """Within the minute that is promised."""
        poll(lambda: self.bytes() == expected, timeout=60)


@pytest.fixture
def store(own_server):
    return Store(own_server)


def test_deleting_a_snapshot_gives_back_what_du_said(store):
    ec2 = store.server.client("ec2")
    parent = store.snapshot({0: "a", 1: "b", 1500: "c"})
    child = store.snapshot({1: "changed"}, parent=parent)
    found = store.du(parent, child)
    assert BLOCK < found[child]["alone_bytes"] < 2 * BLOCK
    assert found[child]["added_bytes"] == found[child]["alone_bytes"]
    assert found[parent]["added_bytes"] is None
    for resource in found.values():
        assert resource["alone_bytes"] + resource["shared_bytes"] == resource["full_bytes"]
        assert 3 * BLOCK < resource["full_bytes"] < 4 * BLOCK
    before = store.bytes()
    ec2.delete_snapshot(SnapshotId=parent)
    store.wait_bytes(before - found[parent]["alone_bytes"])
    # now nothing of the child is shared any more
    alone = store.du(child)[child]
    assert (alone["alone_bytes"], alone["shared_bytes"]) == (alone["full_bytes"], 0)
    assert alone["alone_bytes"] == store.bytes()
    ec2.delete_snapshot(SnapshotId=child)
    store.wait_bytes(0)
    assert "by=marks" not in store.server.log()


def test_a_deregistered_image_gives_back_its_exclusive_space(store):
    ec2 = store.server.client("ec2")
    base = store.snapshot({index: f"base {index}" for index in range(4)})
    root = store.snapshot({0: "upgraded"}, parent=base)
    data = store.snapshot({0: "upgraded", 5: "of the image's own"})
    mappings = [
        {"DeviceName": device, "Ebs": {"SnapshotId": snapshot}} for device, snapshot in (("/dev/sda1", root), ("/dev/sdb", data))
    ]
    image = ec2.register_image(
        Name="exclusive", RootDeviceName="/dev/sda1", VirtualizationType="hvm", BlockDeviceMappings=mappings
    )["ImageId"]
    found = store.du()
    assert set(found) == {base, root, data, image} and found[image]["name"] == "exclusive"
    # the block that both snapshots have goes only with both
    together = found[root]["alone_bytes"] + found[data]["alone_bytes"]
    assert found[image]["alone_bytes"] == together + BLOCK + 4096
    before = store.bytes()
    ec2.deregister_image(ImageId=image)
    for snapshot in (root, data):
        ec2.delete_snapshot(SnapshotId=snapshot)
    store.wait_bytes(before - found[image]["alone_bytes"])
    assert store.du(base)[base]["alone_bytes"] == store.bytes()


def test_what_a_volume_is_made_of_is_not_freed_before_it_goes(store):
    world = World(store.server.client("ec2"))
    snapshot = store.snapshot({0: "a", 9: "b"})
    volume = world.ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=snapshot)["VolumeId"]
    poll(lambda: world.volume_state(volume) == "available")
    found = store.du(snapshot)[snapshot]
    assert found["alone_bytes"] == 0 and found["shared_bytes"] == found["full_bytes"] == store.bytes()
    world.ec2.delete_snapshot(SnapshotId=snapshot)
    # another deletion, which is done when the first one has been looked at
    other = store.snapshot({0: "other"})
    world.ec2.delete_snapshot(SnapshotId=other)
    store.wait_bytes(found["full_bytes"])
    world.delete_volume(volume)
    store.wait_bytes(0)


def test_what_only_a_volume_is_still_made_of_goes_with_it(store):
    world = World(store.server.client("ec2"))
    volume = world.volume()
    snapshot = world.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    poll(lambda: world.snapshot_state(snapshot) == "completed")
    root = store.bytes()
    world.ec2.delete_snapshot(SnapshotId=snapshot)
    world.ec2.delete_snapshot(SnapshotId=store.snapshot({0: "other"}))
    store.wait_bytes(root)
    assert root > 0
    world.delete_volume(volume)
    store.wait_bytes(0)


def test_figures_survive_a_restart_and_are_counted_anew_after_a_crash(store):
    parent = store.snapshot({0: "a", 1: "b"})
    child = store.snapshot({1: "c"}, parent=parent)
    before = store.du(parent, child)
    store.server.restart()
    assert store.du(parent, child) == before
    assert "by=marks" not in store.server.log()
    store.server.kill()
    store.server.start()
    assert store.du(parent, child) == before
    store.server.client("ec2").delete_snapshot(SnapshotId=child)
    store.wait_bytes(before[parent]["full_bytes"])
    store.server.stop()
    check = store.server.fsck()
    assert check.returncode == 0, check.stdout + check.stderr


def test_full_size_is_told_by_describe_snapshots(server, raw_call):
    snapshot = Store(server).snapshot({0: "a", 1: "a", 1500: "b"})
    shown = raw_call("DescribeSnapshots", **{"SnapshotId.1": snapshot})
    assert shown.findtext(".//fullSnapshotSizeInBytes") == str(3 * BLOCK)


def test_the_table_and_what_is_unknown(store):
    snapshot = store.snapshot({0: "a"})
    table = store.amid("du", snapshot).stdout.splitlines()
    assert table[0].split() == ["id", "full", "alone", "shared", "added", "name"]
    assert table[1].split()[:1] == [snapshot] and table[1].split()[4] == "-"
    for unknown, code in (("snap-0123456789abcdef0", "InvalidSnapshot.NotFound"), ("ami-0123456789abcdef0", "InvalidAMIID.NotFound")):
        failed = store.amid("du", unknown)
        assert failed.returncode == 1 and code in failed.stderr
