"""Blocks that go into a snapshot through memory shared with the server, as `amid import` on the same machine does it: they are read back as they were written, and nothing is granted that PutSnapshotBlock would not."""

import fcntl
import json
import mmap
import os
import socket
import subprocess
import uuid

import botocore.awsrequest
import pytest
from botocore.exceptions import ClientError
from conftest import Server, poll
from test_ebs_direct import BLOCK, block_of, put, read, start
from test_import import assert_same_bytes, disk, imported  # disk is a fixture

assert disk


def ask(server, method, path, body=None, key=None):
    request = botocore.awsrequest.AWSRequest(method, server.endpoint + path, data=json.dumps(body).encode() if body else b"")
    status, answer = server.send(request, service="ebs", key=key)
    return status, json.loads(answer)


def socket_of(server, key=None):
    status, answer = ask(server, "GET", "/_amid/upload", key=key)
    assert status == 200
    return answer["socket"]


def hand_over(path, descriptor, byte=b"A"):
    """What the server answers, and the connection."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    connection.settimeout(20)
    socket.send_fds(connection, [byte], [descriptor] if descriptor is not None else [])
    return connection.recv(128), connection


class Area:
    def __init__(self, path, places=4):
        self.fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, places * BLOCK)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self.memory = mmap.mmap(self.fd, places * BLOCK)
        answer, self.connection = hand_over(path, self.fd)
        self.token = answer.decode().strip()
        assert len(self.token) == 32, answer

    def fill(self, place, data):
        self.memory[place * BLOCK : (place + 1) * BLOCK] = data

    def close(self):
        self.connection.close()
        os.close(self.fd)


@pytest.fixture
def area(server):
    made = Area(socket_of(server))
    yield made
    made.close()


def put_places(server, snapshot, area, *blocks, key=None, token=None):
    return ask(server, "POST", f"/_amid/upload/{snapshot}", {"area": token or area.token, "blocks": [list(pair) for pair in blocks]}, key)


def test_what_is_shared_is_read(server, area, ebs):
    written = {0: block_of("a"), 7: block_of("b"), 2047: block_of("c"), 9: bytes(BLOCK)}
    snapshot = start(ebs)
    for place, data in enumerate(written.values()):
        area.fill(place, data)
    assert put_places(server, snapshot, area, (0, 0), (7, 1)) == (200, {"put": 2})
    assert put_places(server, snapshot, area, (2047, 2), (9, 3)) == (200, {"put": 2})
    area.fill(0, block_of("later"))  # has been copied
    put(ebs, snapshot, 8, block_of("d"))  # one of the ordinary way among them
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=5)
    del written[9]
    assert read(ebs, snapshot) == {**written, 8: block_of("d")}


def test_an_encrypted_snapshot(server, area, ebs):
    snapshot = start(ebs, Encrypted=True)
    area.fill(1, block_of("secret"))
    assert put_places(server, snapshot, area, (3, 1), (4, 1)) == (200, {"put": 2})
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=2)
    assert read(ebs, snapshot) == {3: block_of("secret"), 4: block_of("secret")}


def test_a_later_block_replaces_an_earlier_one(server, area, ebs):
    snapshot = start(ebs)
    area.fill(0, block_of(1))
    area.fill(1, block_of(2))
    assert put_places(server, snapshot, area, (5, 0), (5, 1)) == (200, {"put": 2})
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=1)
    assert read(ebs, snapshot) == {5: block_of(2)}


@pytest.mark.parametrize(
    "body",
    [
        {"blocks": [[0, 0]]},
        {"area": "TOKEN"},
        {"area": "TOKEN", "blocks": []},
        {"area": "TOKEN", "blocks": [[0]]},
        {"area": "TOKEN", "blocks": [[0, "0"]]},
        {"area": "TOKEN", "blocks": [[0, 0]] * 257},
        {"area": "TOKEN", "blocks": {"0": 0}},
        {"area": "TOKEN", "blocks": [[-1, 0]]},
        {"area": "TOKEN", "blocks": [[2048, 0]]},
        {"area": "TOKEN", "blocks": [[0, 4]]},
        {"area": "TOKEN", "blocks": [[0, -1]]},
        {"area": "TOKEN", "blocks": [[0, 2**40]]},
    ],
    ids=lambda body: json.dumps(body)[:40],
)
def test_a_wrong_body_writes_nothing(server, area, ebs, body):
    snapshot = start(ebs)
    if "area" in body:
        body["area"] = area.token
    status, answer = ask(server, "POST", f"/_amid/upload/{snapshot}", body)
    assert status == 400 and answer["Message"], answer
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
    assert read(ebs, snapshot) == {}


def test_an_area_is_there_as_long_as_its_connection(server, area, ebs):
    snapshot = start(ebs)
    second = Area(socket_of(server))
    assert put_places(server, snapshot, second, (0, 0))[0] == 200
    second.close()
    poll(lambda: put_places(server, snapshot, second, (0, 0))[0] == 404)
    assert put_places(server, snapshot, area, (0, 0), token="0" * 32)[0] == 404
    assert put_places(server, snapshot, area, (0, 0))[0] == 200


def memfd(size, *seals):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    for seal in seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal)
    return fd


def test_what_could_harm_the_server_is_refused(server, tmp_path):
    path = socket_of(server)
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    (tmp_path / "file").write_bytes(bytes(BLOCK))
    for descriptor in (memfd(BLOCK), memfd(0, fcntl.F_SEAL_SHRINK), memfd((256 << 20) + 1, fcntl.F_SEAL_SHRINK), os.open(tmp_path / "file", os.O_RDONLY), os.pipe()[0]):
        answer, connection = hand_over(path, descriptor)
        assert answer.startswith(b"-"), answer
        connection.close()
        os.close(descriptor)
    for descriptor, byte in ((None, b"A"), (memfd(BLOCK, fcntl.F_SEAL_SHRINK), b"B")):
        answer, connection = hand_over(path, descriptor, byte)
        assert answer == b""
        connection.close()
    # whoever takes all the places keeps others waiting, but not for longer than they are held
    silent = [socket.socket(socket.AF_UNIX) for _ in range(16)]
    for connection in silent:
        connection.connect(path)
    for connection in silent:
        connection.close()
    Area(path).close()


def test_only_pending_snapshots_of_the_caller_are_written(server, area, ebs):
    snapshot = start(ebs)
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=0)
    for name, status in ((snapshot, 400), ("snap-0123456789abcdef0", 404), ("nonsense", 400), ("", 400)):
        assert put_places(server, name, area, (0, 0))[0] == status, name


def test_the_permission_is_that_of_put_snapshot_block(iam_server):
    iam = iam_server.client("iam")
    user = "uploader-" + uuid.uuid4().hex[:8]
    iam.create_user(UserName=user)
    made = iam.create_access_key(UserName=user)["AccessKey"]
    key = made["AccessKeyId"], made["SecretAccessKey"]
    ebs = iam_server.client("ebs")
    snapshots = [start(ebs, Tags=[{"Key": "for", "Value": value}]) for value in ("uploads", "others")]
    area = Area(socket_of(iam_server, key))

    def allow(action):
        statement = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": {"StringEquals": {"aws:ResourceTag/for": "uploads"}}}
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    assert put_places(iam_server, snapshots[0], area, (0, 0), key=key)[0] == 403
    allow("ebs:GetSnapshotBlock")
    assert put_places(iam_server, snapshots[0], area, (0, 0), key=key)[0] == 403
    allow("ebs:PutSnapshotBlock")
    assert put_places(iam_server, snapshots[0], area, (0, 0), key=key)[0] == 200
    assert put_places(iam_server, snapshots[1], area, (0, 0), key=key)[0] == 403
    area.close()
    for snapshot, count in zip(snapshots, (1, 0)):
        ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=count)


def test_a_stranger_writes_nothing(iam_server, second_key):
    snapshot = start(iam_server.client("ebs"))
    area = Area(socket_of(iam_server, second_key))
    assert put_places(iam_server, snapshot, area, (0, 0), key=second_key)[0] == 404
    area.close()


def data_blocks(path):
    with open(path, "rb") as file:
        return sum(data.count(0) < len(data) for data in iter(lambda: file.read(BLOCK), b""))


def carried(server, since):
    return server.log()[since:].count("operation=PutSnapshotBlock")


def test_import_shares_memory_here_and_carries_blocks_elsewhere(amid, server, ec2, ebs, disk):
    begun = len(server.log())
    image = imported(amid, server.endpoint, ec2, disk, "--name", "shared-" + uuid.uuid4().hex)
    assert carried(server, begun) == 0
    assert_same_bytes(ebs, image, disk)
    # the same address by a name that says nothing of where it is
    image = imported(amid, server.endpoint.replace("127.0.0.1", "127.1"), ec2, disk, "--name", "carried-" + uuid.uuid4().hex)
    assert carried(server, begun) == data_blocks(disk)
    assert_same_bytes(ebs, image, disk)


def test_import_goes_on_when_the_memory_is_not_taken(amid, own_server, disk):
    """Somebody else has all the places, and says nothing."""
    path = socket_of(own_server)
    silent = [socket.socket(socket.AF_UNIX) for _ in range(16 + 5)]  # and all that may be in line
    for connection in silent:
        connection.connect(path)
    image = imported(amid, own_server.endpoint, own_server.client("ec2"), disk, "--name", "patient-import")
    assert carried(own_server, 0) == data_blocks(disk)
    assert_same_bytes(own_server.client("ebs"), image, disk)


def test_a_shared_upload_survives_a_restart(own_server):
    ebs = own_server.client("ebs")
    snapshot = start(ebs)
    area = Area(socket_of(own_server))
    for place in range(4):
        area.fill(place, block_of(place))
    assert put_places(own_server, snapshot, area, *((place, place) for place in range(4)))[0] == 200
    own_server.kill()
    own_server.start()
    assert put_places(own_server, snapshot, area, (9, 0))[0] == 404
    ebs = own_server.client("ebs")
    put(ebs, snapshot, 9, block_of(9))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=5)
    assert read(ebs, snapshot) == {**{place: block_of(place) for place in range(4)}, 9: block_of(9)}
    area.close()


@pytest.fixture
def small_trail(tmp_path):
    """A server whose audit trail lies on a file system of its own, and a function that fills that."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    folder = tmp_path / "data" / "audit"
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", folder], check=True)
    server = Server(tmp_path / "data")

    def fill():
        with open(folder / "ballast", "wb", 0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    yield server, fill
    (folder / "ballast").unlink()
    server.stop()
    subprocess.run(["umount", folder], check=True)
    server.remove()


def test_what_cannot_be_recorded_is_not_done(small_trail):
    server, fill = small_trail
    ebs = server.client("ebs")
    snapshot = start(ebs)
    area = Area(socket_of(server))
    fill()
    with pytest.raises(ClientError):
        while True:  # until the trail has no room left
            start(ebs)
    with pytest.raises(ClientError, match="cannot be recorded"):
        put(ebs, snapshot, 0, block_of(0))
    status, answer = put_places(server, snapshot, area, (0, 0))
    assert status == 507 and "cannot be recorded" in answer["Message"], answer
    status, answer = ask(server, "POST", "/_amid/accounts", {"name": "unrecorded"}, server.credentials("root"))
    assert status == 507 and "cannot be recorded" in answer["Message"], answer
    status, answer = ask(server, "GET", "/_amid/accounts", key=server.credentials("root"))
    assert status == 200 and "unrecorded" not in json.dumps(answer)
    area.close()
