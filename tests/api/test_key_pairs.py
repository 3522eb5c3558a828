"""Key pairs, by stock clients."""

import base64
import hashlib
import subprocess
import uuid

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def name(ec2):
    """A key name that is free, and free again afterwards."""
    name = f"key-{uuid.uuid4().hex[:12]}"
    yield name
    ec2.delete_key_pair(KeyName=name)


def ssh_keygen(folder, kind, *options):
    path = folder / f"made-{kind}"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "me@host", "-f", path, *options], check=True)
    return path


def private_file(folder, material):
    path = folder / "private"
    path.touch(mode=0o600)
    path.write_text(material)
    return path


@pytest.mark.parametrize("kind,header", [("rsa", "RSA PRIVATE KEY"), ("ed25519", "OPENSSH PRIVATE KEY")])
def test_created_private_key_fits_the_public_key(ec2, name, tmp_path, kind, header):
    created = ec2.create_key_pair(KeyName=name, KeyType=kind)
    assert created["KeyMaterial"].startswith(f"-----BEGIN {header}-----\n")
    path = private_file(tmp_path, created["KeyMaterial"])
    derived = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True).stdout
    shown = ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    assert derived.split()[:2] == shown.split()[:2]


def test_rsa_fingerprint_is_sha1_of_the_pkcs8_private_key(ec2, name, tmp_path):
    created = ec2.create_key_pair(KeyName=name)
    path = private_file(tmp_path, created["KeyMaterial"])
    command = ["openssl", "pkcs8", "-in", path, "-inform", "PEM", "-outform", "DER", "-topk8", "-nocrypt"]
    der = subprocess.run(command, check=True, capture_output=True).stdout
    assert created["KeyFingerprint"].replace(":", "") == hashlib.sha1(der).hexdigest()


def test_imported_rsa_fingerprint_is_md5_of_the_public_key(ec2, name, tmp_path):
    path = ssh_keygen(tmp_path, "rsa", "-b", "2048")
    imported = ec2.import_key_pair(KeyName=name, PublicKeyMaterial=path.with_suffix(".pub").read_bytes())
    command = ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"]
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "", "-m", "PEM", "-f", path], check=True)
    der = subprocess.run(command, check=True, capture_output=True).stdout
    assert imported["KeyFingerprint"].replace(":", "") == hashlib.md5(der).hexdigest()


def test_imported_ed25519_fingerprint_is_that_of_ssh_keygen(ec2, name, tmp_path):
    public = ssh_keygen(tmp_path, "ed25519").with_suffix(".pub")
    imported = ec2.import_key_pair(KeyName=name, PublicKeyMaterial=public.read_bytes())
    listed = subprocess.run(["ssh-keygen", "-l", "-f", public], check=True, capture_output=True, text=True).stdout
    assert imported["KeyFingerprint"].rstrip("=") == listed.split()[1].removeprefix("SHA256:")


def test_rfc4716_file_is_imported(ec2, name, tmp_path):
    public = ssh_keygen(tmp_path, "rsa", "-b", "2048").with_suffix(".pub")
    material = subprocess.run(["ssh-keygen", "-e", "-f", public], check=True, capture_output=True).stdout
    ec2.import_key_pair(KeyName=name, PublicKeyMaterial=material)
    shown = ec2.describe_key_pairs(KeyNames=[name], IncludePublicKey=True)["KeyPairs"][0]["PublicKey"]
    assert shown.split()[1] == public.read_text().split()[1]


@pytest.mark.parametrize("material", [b"", b"junk", b"ssh-rsa AAAA me@host", base64.b64encode(b"no key")])
def test_what_is_no_key_is_not_imported(ec2, name, material):
    with pytest.raises(ClientError) as refused:
        ec2.import_key_pair(KeyName=name, PublicKeyMaterial=material)
    assert refused.value.response["Error"]["Code"] in ("InvalidKey.Format", "MissingParameter")


def test_name_is_taken_once(ec2, name):
    ec2.create_key_pair(KeyName=name, KeyType="ed25519")
    with pytest.raises(ClientError, match="InvalidKeyPair.Duplicate"):
        ec2.create_key_pair(KeyName=name, KeyType="ed25519")


def test_ppk_is_refused(ec2, name):
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        ec2.create_key_pair(KeyName=name, KeyFormat="ppk")
    assert not ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [name]}])["KeyPairs"]


def test_tags_come_with_the_key_and_filter_it(ec2, name):
    tags = [{"Key": "team", "Value": name}]
    created = ec2.create_key_pair(
        KeyName=name, KeyType="ed25519", TagSpecifications=[{"ResourceType": "key-pair", "Tags": tags}]
    )
    assert created["Tags"] == tags
    found = ec2.describe_key_pairs(Filters=[{"Name": "tag:team", "Values": [name]}])["KeyPairs"]
    assert [pair["KeyPairId"] for pair in found] == [created["KeyPairId"]]


def test_tags_of_another_type_are_refused(ec2, name):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.create_key_pair(
            KeyName=name, TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "1"}]}]
        )


def test_missing_key_is_not_found(ec2, name):
    with pytest.raises(ClientError, match="InvalidKeyPair.NotFound"):
        ec2.describe_key_pairs(KeyNames=[name])


def test_deleting_a_missing_key_succeeds(ec2, name):
    ec2.delete_key_pair(KeyName=name)
    ec2.delete_key_pair(KeyPairId="key-0123456789abcdef0")


def test_key_is_deleted_by_id(ec2, name):
    created = ec2.create_key_pair(KeyName=name, KeyType="ed25519")
    ec2.delete_key_pair(KeyPairId=created["KeyPairId"])
    assert not ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [name]}])["KeyPairs"]


def test_cli_shows_what_boto3_made(ec2, aws, name):
    ec2.create_key_pair(KeyName=name, KeyType="ed25519")
    shown = aws("ec2", "describe-key-pairs", "--key-names", name)["KeyPairs"][0]
    assert shown["KeyType"] == "ed25519"
    assert "PublicKey" not in shown
