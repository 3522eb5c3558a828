"""KMS over time and restarts: deletion and rotation when the clock says so, multi-Region keys, the root key, and what lies on the disk."""

import base64
import json
import os
import subprocess
import urllib.request

import botocore.awsrequest
import botocore.exceptions
import pytest

DAY_MS = 24 * 3600 * 1000


def move_clock(server, days):
    request = urllib.request.Request(
        f"{server.endpoint}/_amid/clock",
        data=json.dumps({"advance_ms": int(days * DAY_MS)}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def call_json(server, operation, **members):
    """An operation that Debian's botocore may not know: the answer, or the error's code."""
    request = botocore.awsrequest.AWSRequest(
        "POST",
        f"{server.endpoint}/",
        data=json.dumps(members).encode(),
        headers={"X-Amz-Target": f"TrentService.{operation}", "Content-Type": "application/x-amz-json-1.1"},
    )
    status, body = server.send(request, service="kms")
    answer = json.loads(body or "{}")
    return answer if status == 200 else answer["__type"]


def code_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def new_key(kms, **more):
    return kms.create_key(**more)["KeyMetadata"]["KeyId"]


def exists(kms, key):
    try:
        kms.describe_key(KeyId=key)
        return True
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == "NotFoundException"
        return False


def test_a_key_is_deleted_when_its_time_has_come(own_server, wait_for):
    kms = own_server.client("kms")
    key, kept = new_key(kms), new_key(kms)
    kms.create_alias(AliasName="alias/gone", TargetKeyId=key)
    kms.create_grant(KeyId=key, GranteePrincipal="arn:aws:iam::123456789012:user/a", Operations=["Decrypt"])
    blob = kms.encrypt(KeyId=key, Plaintext=b"lost")["CiphertextBlob"]
    assert kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=8)["KeyId"].endswith(key)
    kms.schedule_key_deletion(KeyId=kept, PendingWindowInDays=7)
    kms.cancel_key_deletion(KeyId=kept)
    move_clock(own_server, 7.9)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"
    own_server.restart()  # the clock goes back, the date stays
    kms = own_server.client("kms")
    move_clock(own_server, 8.1)
    wait_for(lambda: not exists(kms, key))
    assert exists(kms, kept)
    assert kms.list_aliases()["Aliases"] == []
    assert code_of(kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"


def test_rotation_by_the_clock_and_on_demand(own_server, wait_for):
    kms = own_server.client("kms")
    key = new_key(kms)
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    blobs = [kms.encrypt(KeyId=key, Plaintext=b"0")["CiphertextBlob"]]
    assert call_json(own_server, "RotateKeyOnDemand", KeyId=key)["KeyId"].endswith(key)
    blobs.append(kms.encrypt(KeyId=key, Plaintext=b"1")["CiphertextBlob"])
    call_json(own_server, "EnableKeyRotation", KeyId=key, RotationPeriodInDays=90)
    status = call_json(own_server, "GetKeyRotationStatus", KeyId=key)
    assert status["KeyRotationEnabled"] and status["RotationPeriodInDays"] == 90
    move_clock(own_server, 91)

    def rotations():
        return [each["RotationType"] for each in call_json(own_server, "ListKeyRotations", KeyId=key)["Rotations"]]

    wait_for(lambda: rotations() == ["ON_DEMAND", "AUTOMATIC"])
    blobs.append(kms.encrypt(KeyId=key, Plaintext=b"2")["CiphertextBlob"])
    assert call_json(own_server, "GetKeyRotationStatus", KeyId=key)["NextRotationDate"] > status["NextRotationDate"]
    assert [kms.decrypt(CiphertextBlob=blob)["Plaintext"] for blob in blobs] == [b"0", b"1", b"2"]
    everything = call_json(own_server, "ListKeyRotations", KeyId=key, IncludeKeyMaterial="ALL_KEY_MATERIAL")["Rotations"]
    assert [each["KeyMaterialState"] for each in everything] == ["NON_CURRENT", "NON_CURRENT", "CURRENT"]
    assert len({each["KeyMaterialId"] for each in everything}) == 3
    kms.disable_key_rotation(KeyId=key)
    assert kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is False
    mac = new_key(kms, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    assert code_of(kms.enable_key_rotation, KeyId=mac) == "UnsupportedOperationException"


def test_multi_region_keys(own_server, wait_for):
    east, west = own_server.client("kms"), own_server.client("kms", "us-west-2")
    key = new_key(east, MultiRegion=True)
    assert key.startswith("mrk-")
    early = east.encrypt(KeyId=key, Plaintext=b"early")["CiphertextBlob"]
    made = east.replicate_key(KeyId=key, ReplicaRegion="us-west-2", Description="west")["ReplicaKeyMetadata"]
    assert made["Arn"] == f"arn:aws:kms:us-west-2:123456789012:key/{key}"
    assert made["MultiRegionConfiguration"]["MultiRegionKeyType"] == "REPLICA"
    primary = east.describe_key(KeyId=key)["KeyMetadata"]["MultiRegionConfiguration"]
    assert primary["MultiRegionKeyType"] == "PRIMARY" and primary["ReplicaKeys"] == [{"Arn": made["Arn"], "Region": "us-west-2"}]
    assert west.decrypt(CiphertextBlob=early)["Plaintext"] == b"early"
    call_json(own_server, "RotateKeyOnDemand", KeyId=key)
    late = east.encrypt(KeyId=key, Plaintext=b"late")["CiphertextBlob"]
    assert west.decrypt(CiphertextBlob=late)["Plaintext"] == b"late"
    assert east.decrypt(CiphertextBlob=west.encrypt(KeyId=key, Plaintext=b"back")["CiphertextBlob"])["Plaintext"] == b"back"
    assert code_of(east.replicate_key, KeyId=key, ReplicaRegion="us-west-2") == "AlreadyExistsException"
    assert code_of(west.enable_key_rotation, KeyId=key) == "UnsupportedOperationException"
    plain = new_key(east)
    assert code_of(east.replicate_key, KeyId=plain, ReplicaRegion="us-west-2") == "UnsupportedOperationException"
    single = east.encrypt(KeyId=plain, Plaintext=b"x")["CiphertextBlob"]
    assert code_of(west.decrypt, CiphertextBlob=single) == "AccessDeniedException"
    # the primary waits for its replica
    assert east.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)["KeyState"] == "PendingReplicaDeletion"
    east.cancel_key_deletion(KeyId=key)
    east.enable_key(KeyId=key)
    east.update_primary_region(KeyId=key, PrimaryRegion="us-west-2")
    shown = east.describe_key(KeyId=key)["KeyMetadata"]["MultiRegionConfiguration"]
    assert shown["MultiRegionKeyType"] == "REPLICA" and shown["ReplicaKeys"][0]["Region"] == "us-east-1"
    west.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    east.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    move_clock(own_server, 7.1)
    wait_for(lambda: not exists(east, key))
    wait_for(lambda: west.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion")
    move_clock(own_server, 7.1)
    wait_for(lambda: not exists(west, key))


def everything_on_disk(data):
    for folder, _, files in os.walk(data):
        for name in files:
            path = os.path.join(folder, name)
            if not os.path.islink(path) and os.path.isfile(path):
                with open(path, "rb") as file:
                    yield path, file.read()


def test_no_secret_lies_in_the_data_folder(own_server, amid):
    """A copy of the folder without the root key gives nothing away; with it, nothing is lost."""
    kms = own_server.client("kms")
    key = new_key(kms)
    pair = kms.generate_data_key_pair(KeyId=key, KeyPairSpec="RSA_2048")
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")
    blob = kms.encrypt(KeyId=key, Plaintext=b"the marker of this test")["CiphertextBlob"]
    signer = new_key(kms, KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    user = own_server.client("iam").create_user(UserName="somebody") and own_server.client("iam").create_access_key(UserName="somebody")
    secret = user["AccessKey"]["SecretAccessKey"].encode()
    own_server.stop()
    der_of_private_keys = base64.b64decode("MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg")[3:]
    wanted = [b"the marker of this test", data_key["Plaintext"], pair["PrivateKeyPlaintext"][100:132], secret, der_of_private_keys]
    wanted += [base64.b64encode(each)[:40] for each in wanted if each is not secret]
    for path, content in everything_on_disk(own_server.data):
        for each in wanted:
            assert each not in content, path
    credentials = (own_server.data / "root-credentials").read_text(encoding="ascii").split()[-1].encode()
    for path, content in everything_on_disk(own_server.data):
        assert credentials not in content or path.endswith("root-credentials"), path
    # without the root key the server refuses to start, and says which file is missing
    root_key = own_server.data / "root-key"
    assert root_key.stat().st_mode & 0o777 == 0o600
    moved = own_server.data.with_suffix(".root-key")
    root_key.rename(moved)
    serve = [amid, "serve", "--data", own_server.data, "--listen", "127.0.0.1:0", "--compute", "dry"]
    done = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and str(root_key) in done.stderr and not root_key.exists()
    root_key.write_bytes(bytes(32))
    root_key.chmod(0o600)
    done = subprocess.run(serve, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and str(root_key) in done.stderr
    moved.rename(root_key)
    own_server.start()
    kms = own_server.client("kms")
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"the marker of this test"
    assert kms.sign(KeyId=signer, Message=b"m", SigningAlgorithm="ECDSA_SHA_256")["Signature"]
