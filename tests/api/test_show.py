"""amid show: snapshots and images with their root digests, by the command and by its path."""

import os
import subprocess

import pytest
from conftest import BUILD
from test_ebs_direct import block_of, write


@pytest.fixture
def show(server):
    def run(*arguments):
        key, secret = server.credentials()
        environment = {**os.environ, "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1"}
        command = [BUILD / "amid", "show", "--endpoint", server.endpoint, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    return run


def fields(done):
    assert done.returncode == 0, done.stderr
    return dict(line.split(None, 1) for line in done.stdout.splitlines() if line)


def test_snapshot_is_shown_with_its_root_and_parents(ebs, show):
    parent = write(ebs, {1: block_of("p")})
    child = write(ebs, {2: block_of("c")}, ParentSnapshotId=parent)
    shown = fields(show(child))
    assert (shown["id"], shown["state"], shown["parents"]) == (child, "completed", parent)
    assert (shown["blocks"], shown["bytes"], shown["size_bytes"]) == ("2", str(1024 * 1024), str(1 << 30))
    assert len(shown["root"]) == 64 and fields(show(parent))["root"] != shown["root"]


def test_copies_have_the_same_root(ebs, ec2_west, show, wait_for):
    source = write(ebs, {1: block_of("p")})
    copy = ec2_west.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source)["SnapshotId"]
    wait_for(lambda: fields(show(copy))["state"] == "completed")
    shown = fields(show(copy))
    assert shown["root"] == fields(show(source))["root"]
    assert (shown["region"], shown["source"], shown["source_region"]) == ("us-west-2", source, "us-east-1")


def test_image_is_shown_with_its_devices(world, show):
    image = world.image("shown")
    shown = show(image)
    assert "shown" in shown.stdout and "/dev/sda1" in shown.stdout and "root " in shown.stdout
    assert '"root": "' in show("--json", image).stdout


@pytest.mark.parametrize("unknown", ["snap-0123456789abcdef0", "ami-0123456789abcdef0", "vol-0123456789abcdef0", "../status"])
def test_what_is_not_there_is_not_shown(show, unknown):
    done = show(unknown)
    assert done.returncode == 1 and unknown in done.stderr


def test_wrong_use(show):
    assert show().returncode == 2
