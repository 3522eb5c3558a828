"""Fixtures of the API tests: one server for all of them, with the dry driver, and stock clients of it.

The account is emptied before each test, so that tests neither see nor need each other's resources. AMID_BUILD names
the build folder.
"""

import configparser
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
import xml.etree.ElementTree

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import pytest

collect_ignore = ["door"]  # has a server of its own and is run by meson
ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("AMID_BUILD", "build")
REGIONS = "us-east-1,us-west-2"
SANITIZERS = re.compile(
    r"ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion .* failed"
)
ANY_KEY, ANY_SECRET = "AKIAANYANYANYANYANY0", "any"
AWS = "/usr/bin/aws"
STOP_SECONDS = 60


class Server:
    """A running `amid serve`. `restart` and `kill` are for tests of what survives."""

    def __init__(self, data, auth="any", options=(), regions=REGIONS, port=0):
        self.data, self.auth, self.log_path = pathlib.Path(data), auth, pathlib.Path(data).with_suffix(".log")
        self.options, self.regions, self.port = options, regions, port
        self.process = None
        self.damaged = False  # by the test, on purpose
        self.start()

    def start(self):
        command = [BUILD / "amid", "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"]
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1")
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*command, "--auth", self.auth, "--compute", "dry", "--region", self.regions, *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
            )
        word, _, self.endpoint = self.process.stdout.readline().strip().partition(" ")
        assert word == "endpoint", f"the server did not start:\n{self.log()}"

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """Ends the server as an operator does, and looks through what it has said."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=STOP_SECONDS)
        self.process.stdout.close()
        found = SANITIZERS.search(self.log())
        assert not found, self.log()[max(found.start() - 2000, 0) : found.start() + 6000]
        assert status == 0, f"the server ended with {status}:\n{self.log()[-4000:]}"

    def restart(self):
        self.stop()
        self.start()

    def remove(self):
        """Forgets the data, and what lies on the tmpfs under a name derived from their path (src/svc/server.c)."""
        digest = hashlib.sha256(os.path.realpath(self.data).encode()).hexdigest()
        shutil.rmtree(f"/dev/shm/amid-{digest[:10]}", ignore_errors=True)
        shutil.rmtree(self.data)

    def fsck(self):
        return subprocess.run(
            [BUILD / "amid", "fsck", "--data", self.data], capture_output=True, text=True, check=False
        )

    def expect_sound(self):
        """After the end: `amid fsck` finds nothing wrong."""
        checked = self.fsck()
        assert checked.returncode == 0 or self.damaged, checked.stdout + checked.stderr

    def status(self, region="us-east-1"):
        """A region's figures in GET /_amid/status."""
        code, answer = self.send(botocore.awsrequest.AWSRequest("GET", f"{self.endpoint}/_amid/status"))
        assert code == 200, answer
        return next(each for each in json.loads(answer)["regions"] if each["region"] == region)

    def wait_empty(self):
        """Until nothing is in the stores: to be so a minute after the last record of something went."""
        for region in self.regions.split(","):
            poll(lambda region=region: self.status(region)["store_objects"] == 0, 60)

    def credentials(self, name=None):
        """An access key that a first start has left in the data folder: the operator's ("root") or the platform's. Without
        a name: who calls unless a test says otherwise."""
        if not name and self.auth == "any":
            return ANY_KEY, ANY_SECRET
        parser = configparser.ConfigParser()
        parser.read(self.data / f"{name or 'root'}-credentials")
        return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]

    def client(self, service, region="us-east-1", key=None):
        """A boto3 client that never repeats a call by itself: what the server answers first is what a test sees."""
        identity, secret = key or self.credentials()
        config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=60)
        return boto3.client(
            service,
            region,
            endpoint_url=self.endpoint,
            aws_access_key_id=identity,
            aws_secret_access_key=secret,
            config=config,
        )

    def send(self, request, service="ec2", region="us-east-1", key=None):
        """Signs and sends an AWSRequest; (status, body)."""
        credentials = botocore.credentials.Credentials(*(key or self.credentials()))
        botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
        prepared = request.prepare()
        body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body
        plain = urllib.request.Request(prepared.url, data=body, headers=dict(prepared.headers), method=prepared.method)
        try:
            with urllib.request.urlopen(plain, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def query(self, action, key=None, region="us-east-1", **parameters):
        """An EC2 query with parameters as they go over the wire, also those that Debian's botocore does not know. The
        answer's XML, without its name space; an error raises ApiError."""
        fields = {"Action": action, "Version": "2016-11-15", **{name: str(value) for name, value in parameters.items()}}
        request = botocore.awsrequest.AWSRequest(
            "POST",
            f"{self.endpoint}/",
            data=urllib.parse.urlencode(fields),
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )
        status, body = self.send(request, region=region, key=key)
        if status != 200:
            raise ApiError(status, body)
        return without_namespace(body)

    def account(self, name):
        """A new account: its id and its root's access key."""
        body = json.dumps({"name": name}).encode()
        request = botocore.awsrequest.AWSRequest("POST", f"{self.endpoint}/_amid/accounts", data=body)
        status, answer = self.send(request, key=self.credentials("root"))
        assert status == 200, answer
        made = json.loads(answer)
        return made["id"], (made["access_key_id"], made["secret_access_key"])

    def reset(self):
        request = botocore.awsrequest.AWSRequest("POST", f"{self.endpoint}/_amid/reset", data=b"")
        status, body = self.send(request)
        assert status == 200, body


class ApiError(Exception):
    """An error answer to raw_call."""

    def __init__(self, status, body):
        document = xml.etree.ElementTree.fromstring(body)
        self.status, self.code = status, document.findtext(".//Code")
        super().__init__(f"{self.code}: {document.findtext('.//Message')}")


def without_namespace(body):
    """An answer's document, by plain element names."""
    return xml.etree.ElementTree.fromstring(re.sub(r'\sxmlns="[^"]*"', "", body, count=1))


@pytest.fixture(scope="session")
def amid():
    """The program under test."""
    return BUILD / "amid"


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("shared") / "data")
    yield server
    server.reset()
    server.wait_empty()  # whatever the tests did
    server.stop()
    server.expect_sound()
    server.remove()


@pytest.fixture
def server(shared_server):
    """The shared server, with nothing in the account."""
    shared_server.reset()
    return shared_server


@pytest.fixture
def empty_server(server):
    """The same when the space of what was there before has been given back."""
    server.wait_empty()
    return server


@pytest.fixture
def own_server(tmp_path):
    """A server of the test's own, to be stopped, killed and started again."""
    server = Server(tmp_path / "data")
    yield server
    if server.process.poll() is None:
        server.stop()
    server.expect_sound()
    server.remove()


@pytest.fixture(scope="session")
def iam_server(tmp_path_factory):
    """A server that checks signatures; it has the accounts "root" and "platform". It is not emptied between tests."""
    server = Server(tmp_path_factory.mktemp("iam") / "data", auth="iam")
    yield server
    server.stop()
    server.expect_sound()
    server.remove()


@pytest.fixture(scope="session")
def second_key(iam_server):
    """The root of another account of iam_server: somebody that things are shared with."""
    return iam_server.account("second")[1]


@pytest.fixture
def own_iam_server(tmp_path):
    """One of the test's own that checks signatures."""
    server = Server(tmp_path / "data", auth="iam")
    yield server
    server.stop()
    server.expect_sound()
    server.remove()


@pytest.fixture
def endpoint(server):
    return server.endpoint


@pytest.fixture
def ec2(server):
    return server.client("ec2")


@pytest.fixture
def ec2_west(server):
    return server.client("ec2", "us-west-2")


@pytest.fixture
def ebs(server):
    return server.client("ebs")


@pytest.fixture
def sts(server):
    return server.client("sts")


def cli(server, home, key=None):
    """A function that runs the aws CLI: run("ec2", "describe-images") is its answer, parsed. A failure raises with what
    it has written."""
    identity, secret = key or server.credentials()
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": identity,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_DEFAULT_OUTPUT": "json",
        "AWS_PAGER": "",
        "AWS_MAX_ATTEMPTS": "1",
    }

    def run(*arguments):
        command = [AWS, "--endpoint-url", server.endpoint, *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


@pytest.fixture
def aws(server, tmp_path):
    """The aws CLI, see cli."""
    return cli(server, tmp_path)


@pytest.fixture
def raw_call(server):
    """raw_call("DescribeImages", **{"Owner.1": "self"}): see Server.query."""
    return server.query


def poll(function, timeout=20):
    """Calls `function` until it gives something true, which is returned; fails when `timeout` seconds have passed."""
    deadline = time.monotonic() + timeout
    while True:
        found = function()
        if found:
            return found
        assert time.monotonic() < deadline, f"still nothing after {timeout} s"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def wait_for():
    return poll


class World:
    """What most tests begin with: volumes, snapshots, images and instances, made by plain API calls."""

    def __init__(self, ec2):
        self.ec2 = ec2

    def volume_state(self, volume):
        return self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"]

    def volume(self, size=1, zone="us-east-1a", **more):
        made = self.ec2.create_volume(AvailabilityZone=zone, Size=size, **more)["VolumeId"]
        poll(lambda: self.volume_state(made) == "available")
        return made

    def snapshot_state(self, snapshot):
        return self.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"]

    def snapshot(self, size=1, **more):
        """A completed snapshot of an empty volume, which is gone."""
        volume = self.volume(size, zone=f"{self.ec2.meta.region_name}a")
        made = self.ec2.create_snapshot(VolumeId=volume, **more)["SnapshotId"]
        poll(lambda: self.snapshot_state(made) == "completed")
        self.delete_volume(volume)
        return made

    def delete_volume(self, volume):
        self.ec2.delete_volume(VolumeId=volume)
        poll(lambda: volume not in [shown["VolumeId"] for shown in self.ec2.describe_volumes()["Volumes"]])

    def image(self, name=None, snapshot=None, mappings=(), size=1, **more):
        """An image whose root device is /dev/sda1."""
        root = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot or self.snapshot(size)}}
        parameters = {"Architecture": "x86_64", "VirtualizationType": "hvm", "RootDeviceName": "/dev/sda1", **more}
        name = name or f"image {uuid.uuid4().hex[:12]}"
        return self.ec2.register_image(Name=name, BlockDeviceMappings=[root, *mappings], **parameters)["ImageId"]

    def shown_image(self, image):
        return self.ec2.describe_images(ImageIds=[image])["Images"][0]

    def run(self, image=None, count=1, wait="running", **more):
        """The ids of new instances, in the state `wait` (None: whatever it is)."""
        more.setdefault("InstanceType", "t3.nano")
        answer = self.ec2.run_instances(ImageId=image or self.image(), MinCount=count, MaxCount=count, **more)
        ids = [instance["InstanceId"] for instance in answer["Instances"]]
        for each in ids if wait else ():
            self.wait_state(each, wait)
        return ids

    def instance(self, **more):
        return self.run(**more)[0]

    def shown(self, instance):
        return self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    def state(self, instance):
        return self.shown(instance)["State"]["Name"]

    def wait_state(self, instance, state, timeout=20):
        poll(lambda: self.state(instance) == state, timeout)

    def devices(self, instance):
        """The instance's volumes by device name."""
        return {mapping["DeviceName"]: mapping["Ebs"] for mapping in self.shown(instance)["BlockDeviceMappings"]}

    def wait_attached(self, instance, device):
        poll(lambda: self.devices(instance).get(device, {}).get("Status") == "attached")


@pytest.fixture
def world(ec2):
    return World(ec2)
