"""The secret gate: what is shared is looked through for secrets first, and the account's policy decides.

Signatures count here (--auth iam). Disks are made by mke2fs -d, in a partition, and come in by `amid import`.
"""

import json
import os
import pathlib
import re
import struct
import subprocess
import uuid

import pytest
from botocore.exceptions import ClientError

from conftest import BUILD, ROOT, poll

MIB = 1024 * 1024
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)
SECRETS = {
    "etc/hostname": "machine\n",
    "etc/ssh/ssh_host_ed25519_key": KEY,
    "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA\n",
    "root/.bash_history": "mysql -phunter2\n",
    "home/ann/id": KEY,
}
FOUND = {
    ("ssh-host-key", "/etc/ssh/ssh_host_ed25519_key"),
    ("shell-history", "/root/.bash_history"),
    ("private-key", "/home/ann/id"),
}
CLEAN = {"etc/hostname": "machine\n", "root/.bash_history": "", "etc/key.pub": "ssh-ed25519 AAAA\n"}


def make_disk(folder, files):
    """A disk with one ext4 partition at 1 MiB that holds these files."""
    tree, part, disk = folder / "tree", folder / "part", folder / "disk.raw"
    for name, content in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(content)
    subprocess.run(["/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, part, "6M"], check=True)
    sector = bytearray(512)
    sector[446:462] = struct.pack("<B3sB3sII", 0, b"", 0x83, b"", MIB // 512, 6 * MIB // 512)
    sector[510:] = b"\x55\xaa"
    disk.write_bytes(bytes(sector).ljust(MIB, b"\0") + part.read_bytes())
    return disk


@pytest.fixture(scope="module")
def secret_disk(tmp_path_factory):
    return make_disk(tmp_path_factory.mktemp("secret"), SECRETS)


@pytest.fixture(scope="module")
def clean_disk(tmp_path_factory):
    return make_disk(tmp_path_factory.mktemp("clean"), CLEAN)


@pytest.fixture(scope="module")
def luks_disk(tmp_path_factory):
    disk = tmp_path_factory.mktemp("luks") / "disk.raw"
    disk.write_bytes(b"LUKS\xba\xbe\0\1".ljust(MIB, b"x"))
    return disk


class Account:
    """An account of its own on iam_server."""

    def __init__(self, server):
        self.server = server
        self.id, self.key = server.account(f"gate {uuid.uuid4().hex[:8]}")
        self.ec2, self.kms = server.client("ec2", key=self.key), server.client("kms", key=self.key)

    def amid(self, *arguments, check=True):
        environment = {
            **os.environ,
            "AWS_ENDPOINT_URL": self.server.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": self.key[0],
            "AWS_SECRET_ACCESS_KEY": self.key[1],
        }
        done = subprocess.run(
            [BUILD / "amid", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def image(self, disk):
        return self.amid("import", disk, "--name", uuid.uuid4().hex).stdout.split()[-1]

    def snapshot_of(self, image):
        return self.ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    def policy(self, *words):
        self.amid("secrets", *words)

    def share(self, image, account):
        self.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": account}]})

    def share_snapshot(self, snapshot, account):
        self.ec2.modify_snapshot_attribute(
            SnapshotId=snapshot,
            Attribute="createVolumePermission",
            CreateVolumePermission={"Add": [{"UserId": account}]},
        )

    def permissions(self, image):
        return self.ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]

    def secrets(self, image, *words):
        return json.loads(self.amid("secrets", "--json", *words, image).stdout)["snapshots"]

    def scans(self, root):
        """How often a tree has been scanned by this server."""
        return len(re.findall(rf"event=secret-scan .*root={root}", self.server.log()))

    def root_of(self, snapshot):
        return json.loads(self.amid("show", "--json", snapshot).stdout)["root"]


@pytest.fixture(scope="module")
def owner(iam_server):
    return Account(iam_server)


@pytest.fixture(scope="module")
def friend(iam_server):
    return Account(iam_server)


@pytest.fixture(autouse=True)
def default_policy(owner):
    yield
    owner.policy("--policy", "warn", "--unreadable", "warn")


@pytest.fixture(scope="module")
def secret_image(owner, secret_disk):
    return owner.image(secret_disk)


def refused(function, *arguments):
    with pytest.raises(ClientError) as caught:
        function(*arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def found(scan):
    assert all(finding["partition"] == 1 and finding["advice"] for finding in scan["findings"])
    return {(finding["rule"], finding["path"]) for finding in scan["findings"]}


def test_warns_unless_told_otherwise_and_keeps_what_it_found(owner, friend, secret_image):
    assert owner.amid("secrets").stdout.split() == ["policy", "warn", "unreadable", "warn"]
    owner.share(secret_image, friend.id)
    assert owner.permissions(secret_image) == [{"UserId": friend.id}]
    (scan,) = owner.secrets(secret_image)
    assert scan["scanned"] and scan["device"] == "/dev/sda1" and found(scan) == FOUND
    assert re.search(rf"event=secrets-shared .*account={owner.id} id={secret_image} findings=3", owner.server.log())
    shown = json.loads(owner.amid("show", "--json", secret_image).stdout)
    assert shown["devices"][0]["secret_findings"] == 3
    listed = owner.amid("secrets", secret_image).stdout
    assert "1:/root/.bash_history" in listed and "hunter2" not in listed and "hunter2" not in owner.server.log()


def test_block_refuses_and_names_what_it_found(owner, friend, secret_disk):
    image = owner.image(secret_disk)
    owner.policy("--policy", "block")
    code, message = refused(owner.share, image, friend.id)
    assert code == "OperationNotPermitted" and "3 findings" in message and f"amid secrets {image}" in message
    assert any(path in message for _, path in FOUND) and owner.permissions(image) == []
    code, message = refused(owner.share_snapshot, owner.snapshot_of(image), friend.id)
    assert code == "OperationNotPermitted"
    owner.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Remove": [{"UserId": friend.id}]})
    owner.ec2.modify_image_attribute(ImageId=image, Description={"Value": "still mine"})
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        owner.ec2.modify_image_attribute(
            ImageId=image, Attribute="launchPermission", OperationType="add", UserIds=[friend.id]
        )


def test_public_sharing_is_gated_too(owner, secret_image):
    owner.server.query("DisableImageBlockPublicAccess", key=owner.key)
    owner.policy("--policy", "block")
    with pytest.raises(ClientError, match="OperationNotPermitted.*findings"):
        owner.ec2.modify_image_attribute(ImageId=secret_image, LaunchPermission={"Add": [{"Group": "all"}]})


def test_clean_image_is_shared_under_block(owner, friend, clean_disk):
    image = owner.image(clean_disk)
    owner.policy("--policy", "block", "--unreadable", "block")
    owner.share(image, friend.id)
    owner.share_snapshot(owner.snapshot_of(image), friend.id)
    assert owner.permissions(image) == [{"UserId": friend.id}]


def test_off_looks_at_nothing(owner, friend, clean_disk, tmp_path):
    image = owner.image(make_disk(tmp_path, {"etc/hostname": uuid.uuid4().hex, "root/key": KEY}))
    owner.policy("--policy", "off")
    owner.share(image, friend.id)
    assert [scan["scanned"] for scan in owner.secrets(image)] == [False]
    (scan,) = owner.secrets(image, "--scan")
    assert found(scan) == {("private-key", "/root/key")}


def test_equal_trees_are_scanned_once(owner, friend, secret_disk):
    snapshots = [owner.snapshot_of(owner.image(secret_disk)) for _ in range(2)]
    root = owner.root_of(snapshots[0])
    assert root == owner.root_of(snapshots[1])
    for snapshot in snapshots:
        owner.share_snapshot(snapshot, friend.id)
    assert owner.scans(root) == 1


def test_what_cannot_be_looked_into_blocks_only_where_the_account_says_so(owner, friend, luks_disk):
    image = owner.image(luks_disk)
    owner.policy("--policy", "block")
    owner.share(image, friend.id)
    (scan,) = owner.secrets(image)
    assert [(f["rule"], f["detail"]) for f in scan["findings"]] == [("unreadable", "a LUKS container")]
    owner.policy("--unreadable", "block")
    code, message = refused(owner.share_snapshot, owner.snapshot_of(image), friend.id)
    assert code == "OperationNotPermitted" and "a LUKS container" in message


def test_encrypted_snapshot_is_decrypted_for_the_scan(owner, friend, secret_image):
    key = owner.kms.create_key()["KeyMetadata"]["Arn"]
    copy = owner.ec2.copy_snapshot(
        SourceRegion="us-east-1", SourceSnapshotId=owner.snapshot_of(secret_image), Encrypted=True, KmsKeyId=key
    )["SnapshotId"]
    poll(lambda: owner.ec2.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]["State"] == "completed", 60)
    owner.policy("--policy", "block")
    code, _ = refused(owner.share_snapshot, copy, friend.id)
    assert code == "OperationNotPermitted"
    (scan,) = owner.secrets(copy)
    assert found(scan) == FOUND
    assert owner.kms.list_grants(KeyId=key)["Grants"] == []


def test_key_that_cannot_be_used_makes_a_disk_unreadable(owner, friend, clean_disk):
    key = owner.kms.create_key()["KeyMetadata"]["Arn"]
    source = owner.snapshot_of(owner.image(clean_disk))
    copy = owner.ec2.copy_snapshot(
        SourceRegion="us-east-1", SourceSnapshotId=source, Encrypted=True, KmsKeyId=key
    )["SnapshotId"]
    poll(lambda: owner.ec2.describe_snapshots(SnapshotIds=[copy])["Snapshots"][0]["State"] == "completed", 60)
    owner.kms.disable_key(KeyId=key)
    owner.policy("--policy", "block", "--unreadable", "block")
    code, message = refused(owner.share_snapshot, copy, friend.id)
    assert code == "OperationNotPermitted" and "its key cannot be used" in message
    owner.kms.enable_key(KeyId=key)
    owner.share_snapshot(copy, friend.id)


def test_findings_and_policy_are_the_owners(owner, friend, secret_disk):
    image = owner.image(secret_disk)
    owner.share(image, friend.id)
    assert "AccessDenied" in friend.amid("secrets", image, check=False).stderr
    assert "secret_findings" not in json.loads(friend.amid("show", "--json", image).stdout)["devices"][0]
    assert "InvalidAMIID.NotFound" in friend.amid("secrets", "ami-00000000000000000", check=False).stderr
    iam = owner.server.client("iam", key=owner.key)
    user = f"u{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    iam.put_user_policy(
        UserName=user,
        PolicyName="all",
        PolicyDocument='{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}',
    )
    key = iam.create_access_key(UserName=user)["AccessKey"]
    as_user = Account.__new__(Account)
    as_user.server, as_user.key = owner.server, (key["AccessKeyId"], key["SecretAccessKey"])
    assert "AccessDenied" in as_user.amid("secrets", "--policy", "off", check=False).stderr
    assert "policy      warn" in as_user.amid("secrets").stdout


@pytest.mark.parametrize("words", [("--policy", "maybe"), ("--unreadable", "off")])
def test_other_policies_are_refused(owner, words):
    assert "InvalidParameterValue" in owner.amid("secrets", *words, check=False).stderr


def test_images_of_the_platform_are_not_scanned(iam_server, secret_disk):
    platform = Account.__new__(Account)
    platform.server, platform.key = iam_server, iam_server.credentials("platform")
    platform.ec2 = iam_server.client("ec2", key=platform.key)
    image = platform.image(secret_disk)
    platform.share(image, "123456789012")
    platform.ec2.deregister_image(ImageId=image)


def test_the_page_of_rules_has_them_all():
    rules = re.findall(r'\{ \{ "([a-z-]+)"', (ROOT / "src/gate/rules.c").read_text())
    page = (ROOT / "docs/design/secret-gate.md").read_text()
    assert len(rules) > 15 and all(f"| `{rule}` |" in page for rule in rules)


def test_no_scanner_stays(owner, friend, tmp_path):
    image = owner.image(make_disk(tmp_path, {"etc/hostname": uuid.uuid4().hex}))
    owner.share(image, friend.id)
    program = str((BUILD / "amid-gate").resolve())
    left = [
        process.name
        for process in pathlib.Path("/proc").glob("[0-9]*")
        if os.path.islink(process / "exe") and is_program(process / "exe", program)
    ]
    assert not left


def is_program(link, program):
    try:
        return os.readlink(link) == program
    except OSError:
        return False
