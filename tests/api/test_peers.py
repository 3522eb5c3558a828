"""Copies between regions of two amids: what travels, who may, what happens when either side dies."""

import concurrent.futures
import json
import os
import socket
import subprocess
import threading

import botocore.awsrequest
import pytest
from botocore.exceptions import ClientError
from conftest import Server, World
from test_clock import clock
from test_ebs_direct import block_of, put, read, start, write

BLOCK = 512 * 1024
BLOCKS = {0: block_of("a"), 1: bytes(BLOCK), 2047: block_of("b")}


def content():
    return {index: data for index, data in BLOCKS.items() if any(data)}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def key_file(path, data=None):
    path.write_bytes(data or os.urandom(32))
    path.chmod(0o600)
    return path


def pass_on(source, sink):
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Gate:
    """Lets so many connections through (a request has one of its own); others it closes at once. `None`: all."""

    def __init__(self, port):
        self.port, self.left, self.refused = port, None, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            if self.left == 0:
                self.refused.set()
                client.close()
                continue
            if self.left:
                self.left -= 1
            try:
                server = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                client.close()
                continue
            for ends in ((client, server), (server, client)):
                threading.Thread(target=pass_on, args=ends, daemon=True).start()

    def let(self, count):
        self.refused.clear()
        self.left = count


class Pair:
    """`here` has us-east-1 and copies from `there`, which has eu-west-1. Both let everybody in, as the same account."""

    def __init__(self, folder, wrong_key=False):
        port = free_port()
        self.gate = Gate(port)
        key = key_file(folder / "key")
        other = key_file(folder / "other") if wrong_key else key
        self.there = Server(folder / "there", options=["--peer-key", key], regions="eu-west-1", port=port)
        options = ["--peer", f"eu-west-1={self.gate.url}", "--peer-key", other]
        self.here = Server(folder / "here", options=options, regions="us-east-1")
        self.ec2, self.ebs = self.here.client("ec2"), self.here.client("ebs")

    def source(self, service="ec2"):
        return self.there.client(service, "eu-west-1")

    def copy(self, snapshot, **more):
        return self.ec2.copy_snapshot(SourceRegion="eu-west-1", SourceSnapshotId=snapshot, **more)["SnapshotId"]

    def close(self):
        self.gate.listener.close()
        for server in (self.here, self.there):
            if server.process.poll() is None:
                server.stop()
            server.remove()


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    made = Pair(tmp_path_factory.mktemp("peers"))
    yield made
    made.close()


@pytest.fixture
def own_pair(tmp_path):
    made = Pair(tmp_path)
    yield made
    made.close()


def shown(server, region, thing):
    request = botocore.awsrequest.AWSRequest("GET", f"{server.endpoint}/_amid/show/{thing}")
    status, body = server.send(request, region=region)
    assert status == 200, body
    return json.loads(body)


def described(ec2, snapshot):
    return ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]


def completed(ec2, snapshot):
    found = described(ec2, snapshot)
    assert found["State"] != "error", found
    return found["State"] == "completed"


def failed(ec2, snapshot):
    found = described(ec2, snapshot)
    assert found["State"] != "completed"
    return found["State"] == "error" and found["StateMessage"]


def test_copy_has_the_bytes_and_the_root_of_its_source(pair, wait_for):
    source = write(pair.source("ebs"), BLOCKS)
    copy = pair.copy(source)
    wait_for(lambda: completed(pair.ec2, copy))
    assert read(pair.ebs, copy) == content()
    there, here = shown(pair.there, "eu-west-1", source), shown(pair.here, "us-east-1", copy)
    assert here["root"] == there["root"]
    assert (here["source"], here["source_region"]) == (source, "eu-west-1")


def test_only_what_is_lacking_travels_and_is_metered(pair, wait_for):
    ebs = pair.source("ebs")
    first = write(ebs, {index: block_of(("lack", index)) for index in range(20)})
    second = write(ebs, {3: block_of("changed")}, ParentSnapshotId=first)
    figures = []
    for source in (first, second, second):
        copy = pair.copy(source)
        wait_for(lambda copy=copy: completed(pair.ec2, copy))
        figures.append(shown(pair.here, "us-east-1", copy))
    assert [each["travelled_blocks"] for each in figures] == [20, 1, 0]
    assert 20 * BLOCK < figures[0]["travelled_bytes"] < 21 * BLOCK  # and a page or two
    assert BLOCK < figures[1]["travelled_bytes"] < 2 * BLOCK
    assert figures[2]["travelled_bytes"] == 0  # its pages are here, too


def test_pages_come_together(pair, wait_for):
    """Blocks so far apart that each has a leaf of its own: 40 leaves that differ from the parent's, one block each."""
    ebs = pair.source("ebs")
    first = write(ebs, {index * 128: block_of(("wide", index)) for index in range(0, 48, 8)}, VolumeSize=3)
    second = write(ebs, {index * 128 + 5: block_of("the same") for index in range(40)}, VolumeSize=3, ParentSnapshotId=first)
    for source in (first, second):
        pair.gate.let(1000)
        copy = pair.copy(source)
        wait_for(lambda copy=copy: completed(pair.ec2, copy))
        asked, pair.gate.left = 1000 - pair.gate.left, None
        shown_here, shown_there = shown(pair.here, "us-east-1", copy), shown(pair.there, "eu-west-1", source)
        assert shown_here["root"] == shown_there["root"]
    assert asked <= 9  # describe; lease, root, page over the leaves, 32 leaves, 8, a block; release: 8, and one should a step be made again


def test_image_is_copied_and_launched(pair, wait_for):
    world = World(pair.source())
    image = world.image(snapshot=write(pair.source("ebs"), BLOCKS))
    copy = pair.ec2.copy_image(Name="from-afar", SourceRegion="eu-west-1", SourceImageId=image)["ImageId"]
    wait_for(lambda: pair.ec2.describe_images(ImageIds=[copy])["Images"][0]["State"] == "available")
    described_copy = pair.ec2.describe_images(ImageIds=[copy])["Images"][0]
    snapshot = described_copy["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert read(pair.ebs, snapshot) == content()
    World(pair.ec2).instance(image=copy)


def test_copy_may_be_encrypted_on_arrival(pair, wait_for):
    source = write(pair.source("ebs"), BLOCKS)
    copy = pair.copy(source, Encrypted=True)
    wait_for(lambda: completed(pair.ec2, copy))
    found = described(pair.ec2, copy)
    assert found["Encrypted"] and found["KmsKeyId"]
    assert read(pair.ebs, copy) == content()
    assert shown(pair.here, "us-east-1", copy)["root"] != shown(pair.there, "eu-west-1", source)["root"]


def test_what_is_encrypted_is_not_copied(pair):
    source = write(pair.source("ebs"), BLOCKS, Encrypted=True)
    with pytest.raises(ClientError, match="UnsupportedOperation.*Keys do not cross"):
        pair.copy(source)


def test_what_is_not_there_is_not_found(pair):
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        pair.copy("snap-0123456789abcdef0")
    with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
        pair.ec2.copy_image(Name="none", SourceRegion="eu-west-1", SourceImageId="ami-0123456789abcdef0")
    with pytest.raises(ClientError, match="InvalidSnapshotID.Malformed"):
        pair.copy("vol-0123456789abcdef0")


def test_sharing_is_decided_where_the_source_is(pair, wait_for):
    account, key = pair.here.account("other")
    other = pair.here.client("ec2", key=key)
    source = write(pair.source("ebs"), BLOCKS)
    arguments = {"SourceRegion": "eu-west-1", "SourceSnapshotId": source}
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        other.copy_snapshot(**arguments)
    pair.source().modify_snapshot_attribute(
        SnapshotId=source, Attribute="createVolumePermission", OperationType="add", UserIds=[account]
    )
    copy = other.copy_snapshot(**arguments)["SnapshotId"]
    wait_for(lambda: completed(other, copy))
    assert read(pair.here.client("ebs", key=key), copy) == content()


def test_regions_of_peers_are_listed(pair):
    regions = {region["RegionName"]: region for region in pair.ec2.describe_regions()["Regions"]}
    assert set(regions) == {"us-east-1", "eu-west-1"}
    assert regions["eu-west-1"]["Endpoint"] == pair.gate.url.removeprefix("http://")
    assert regions["eu-west-1"]["OptInStatus"] == "opt-in-not-required"
    assert len(pair.ec2.describe_regions(RegionNames=["eu-west-1"])["Regions"]) == 1


def test_peers_paths_are_closed_to_others(pair):
    """Not even an operator's signature opens them."""
    for what in ("snapshot", "image", "lease", "pages", "blocks", "release"):
        request = botocore.awsrequest.AWSRequest("POST", f"{pair.there.endpoint}/_amid/peer/eu-west-1/{what}", data=b"{}")
        status, body = pair.there.send(request, region="eu-west-1", key=pair.there.credentials("root"))
        assert status == 403 and "peer" in body


def test_wrong_key_is_refused(tmp_path, wait_for):
    pair = Pair(tmp_path, wrong_key=True)
    try:
        source = write(pair.source("ebs"), BLOCKS)
        with pytest.raises(ClientError, match="refuses"):
            pair.copy(source)
    finally:
        pair.close()


COUNT = 90


def half_way(pair, wait_for):
    """A copy that has come to its second step (of 64 blocks each), and gets no further until the gate is opened."""
    ebs = pair.source("ebs")
    source = start(ebs)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda index: put(ebs, source, index, block_of(("big", index))), range(COUNT)))
    ebs.complete_snapshot(SnapshotId=source, ChangedBlocksCount=COUNT)
    pair.gate.let(17)  # describe; lease, root, two pages, 8 times blocks; lease, root, two pages
    copy = pair.copy(source)
    assert pair.gate.refused.wait(30)
    wait_for(lambda: described(pair.ec2, copy)["Progress"] == "70%")
    assert described(pair.ec2, copy)["State"] == "pending"
    return source, copy


def test_copy_goes_on_after_this_side_was_killed(own_pair, wait_for):
    source, copy = half_way(own_pair, wait_for)
    own_pair.source().delete_snapshot(SnapshotId=source)  # the lease keeps it
    own_pair.here.kill()
    own_pair.gate.let(None)
    own_pair.here.start()
    wait_for(lambda: completed(own_pair.here.client("ec2"), copy), 60)
    figures = shown(own_pair.here, "us-east-1", copy)
    assert (figures["blocks"], figures["travelled_blocks"]) == (COUNT, COUNT)  # none came twice
    own_pair.there.wait_empty()  # the lease has ended with the copy
    for server in (own_pair.here, own_pair.there):
        server.stop()
        assert server.fsck().returncode == 0


def test_copy_goes_on_after_the_other_side_was_killed(own_pair, wait_for):
    source, copy = half_way(own_pair, wait_for)
    own_pair.there.kill()
    own_pair.gate.let(None)
    own_pair.there.start()
    wait_for(lambda: completed(own_pair.ec2, copy), 60)
    here, there = shown(own_pair.here, "us-east-1", copy), shown(own_pair.there, "eu-west-1", source)
    assert here["root"] == there["root"] and here["travelled_blocks"] == COUNT


def test_copy_whose_source_is_gone_says_so(own_pair, wait_for):
    source, copy = half_way(own_pair, wait_for)
    with pytest.raises(ClientError, match="Unavailable.*cannot reach region eu-west-1"):
        own_pair.copy(source)
    clock(own_pair.there, "POST", advance_ms=2 * 3600 * 1000)  # the lease has not been renewed
    own_pair.source().delete_snapshot(SnapshotId=source)
    own_pair.there.wait_empty()
    own_pair.gate.let(None)
    assert source in wait_for(lambda: failed(own_pair.ec2, copy), 60)
    own_pair.here.wait_empty()


def test_copy_from_a_peer_that_stays_away_fails_after_a_day(own_pair, wait_for):
    _, copy = half_way(own_pair, wait_for)
    own_pair.gate.let(0)
    clock(own_pair.here, "POST", advance_ms=23 * 3600 * 1000)
    assert own_pair.gate.refused.wait(30)
    own_pair.gate.let(0)
    clock(own_pair.here, "POST", advance_ms=1000)  # waits no longer than for the next look
    assert own_pair.gate.refused.wait(30)
    assert described(own_pair.ec2, copy)["State"] == "pending" and own_pair.here.status()["store_objects"] > 0
    clock(own_pair.here, "POST", advance_ms=2 * 3600 * 1000)
    message = wait_for(lambda: failed(own_pair.ec2, copy), 60)
    assert "region eu-west-1 for 24 hours" in message and "cannot reach region eu-west-1" in message
    own_pair.here.wait_empty()  # what had come
    own_pair.here.stop()
    assert own_pair.here.fsck().returncode == 0


def test_copy_that_gets_something_each_day_goes_on(own_pair, wait_for):
    _, copy = half_way(own_pair, wait_for)
    clock(own_pair.here, "POST", advance_ms=23 * 3600 * 1000)
    own_pair.gate.let(None)
    clock(own_pair.here, "POST", advance_ms=1000)
    wait_for(lambda: completed(own_pair.ec2, copy), 60)


def test_only_one_region_of_a_name(tmp_path, amid):
    key = key_file(tmp_path / "key")
    command = [amid, "serve", "--compute", "dry", "--listen", "127.0.0.1:0", "--data", tmp_path / "data"]
    for wrong, why in (
        (["--peer", "us-east-1=http://127.0.0.1:1", "--peer-key", key], "served here"),
        (["--peer", "eu-west-1=ftp://127.0.0.1:1", "--peer-key", key], "no http"),
        (["--peer", "eu-west-1=http://127.0.0.1:1"], "needs a --peer-key"),
        (["--peer-key", key_file(tmp_path / "short", b"too short")], "9 bytes"),
    ):
        ended = subprocess.run([*command, *wrong], capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode != 0 and why in ended.stderr, ended.stderr
    key.chmod(0o640)
    ended = subprocess.run([*command, "--peer-key", key], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode != 0 and "others may read" in ended.stderr
