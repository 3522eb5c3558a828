"""KMS: what keys do, with stock clients: encryption, data keys, signatures, MACs, tampering."""

import base64
import hashlib
import subprocess

import botocore.awsrequest
import botocore.exceptions
import pytest


@pytest.fixture
def kms(server):
    return server.client("kms")


def refused(code, call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response["Error"]["Message"]


def new_key(kms, **more):
    return kms.create_key(**more)["KeyMetadata"]["KeyId"]


def test_a_new_key_is_described(kms):
    made = kms.create_key(Description="disks", Tags=[{"TagKey": "a", "TagValue": ""}])["KeyMetadata"]
    assert made["Arn"] == f"arn:aws:kms:us-east-1:123456789012:key/{made['KeyId']}"
    assert (made["KeyState"], made["Enabled"], made["KeyManager"], made["Origin"]) == ("Enabled", True, "CUSTOMER", "AWS_KMS")
    assert (made["KeySpec"], made["KeyUsage"], made["EncryptionAlgorithms"]) == (
        "SYMMETRIC_DEFAULT",
        "ENCRYPT_DECRYPT",
        ["SYMMETRIC_DEFAULT"],
    )
    assert kms.describe_key(KeyId=made["Arn"])["KeyMetadata"] == made
    assert kms.list_resource_tags(KeyId=made["KeyId"])["Tags"] == [{"TagKey": "a", "TagValue": ""}]
    refused("NotFoundException", kms.describe_key, KeyId="12345678-1234-1234-1234-123456789012")
    refused("NotFoundException", kms.describe_key, KeyId=made["Arn"].replace("us-east-1", "us-west-2"))
    refused("InvalidArnException", kms.describe_key, KeyId="arn:aws:iam::123456789012:user/a")


def test_what_cannot_be_made(kms):
    refused("ValidationException", kms.create_key, KeySpec="RSA_2048")
    refused("ValidationException", kms.create_key, KeySpec="ECC_NIST_P256", KeyUsage="ENCRYPT_DECRYPT")
    refused("ValidationException", kms.create_key, KeySpec="HMAC_256", KeyUsage="SIGN_VERIFY")
    refused("UnsupportedOperationException", kms.create_key, Origin="EXTERNAL")
    refused("UnsupportedOperationException", kms.create_key, KeySpec="SM2", KeyUsage="SIGN_VERIFY")
    refused("TagException", kms.create_key, Tags=[{"TagKey": "aws:x", "TagValue": ""}])


def test_encrypt_and_decrypt(kms):
    key = new_key(kms)
    context = {"purpose": "test", "a": "b"}
    sealed = kms.encrypt(KeyId=key, Plaintext=b"hello", EncryptionContext=context)
    assert sealed["KeyId"].endswith(key)
    blob = sealed["CiphertextBlob"]
    assert b"hello" not in blob
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"hello", sealed["KeyId"])
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=dict(reversed(context.items())), KeyId=key)["Plaintext"] == b"hello"
    assert kms.encrypt(KeyId=key, Plaintext=b"hello", EncryptionContext=context)["CiphertextBlob"] != blob
    for wrong in ({}, {"purpose": "test"}, {**context, "c": "d"}, {"purpose": "Test", "a": "b"}):
        refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=blob, EncryptionContext=wrong)
    other = new_key(kms)
    refused("IncorrectKeyException", kms.decrypt, CiphertextBlob=blob, EncryptionContext=context, KeyId=other)
    refused("ValidationException", kms.encrypt, KeyId=key, Plaintext=b"x" * 4097)
    refused("InvalidKeyUsageException", kms.encrypt, KeyId=key, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_256")


def test_an_altered_ciphertext_does_not_open(kms):
    blob = kms.encrypt(KeyId=new_key(kms), Plaintext=b"secret")["CiphertextBlob"]
    for at in range(len(blob)):
        changed = bytearray(blob)
        changed[at] ^= 1
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            kms.decrypt(CiphertextBlob=bytes(changed))
        # an altered key id is that of a key that nobody has
        assert caught.value.response["Error"]["Code"] in ("InvalidCiphertextException", "AccessDeniedException"), at
    for size in (1, 50, len(blob) - 1):
        refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=blob[:size])


def test_data_keys(kms):
    key = new_key(kms)
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext={"a": "b"})
    assert len(made["Plaintext"]) == 32
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"a": "b"})["Plaintext"]
    assert opened == made["Plaintext"]
    wrapped = kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=64)
    assert "Plaintext" not in wrapped
    assert len(kms.decrypt(CiphertextBlob=wrapped["CiphertextBlob"])["Plaintext"]) == 64
    refused("ValidationException", kms.generate_data_key, KeyId=key)
    refused("ValidationException", kms.generate_data_key, KeyId=key, KeySpec="AES_128", NumberOfBytes=16)
    pair = kms.generate_data_key_pair(KeyId=key, KeyPairSpec="ECC_NIST_P256")
    assert kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"])["Plaintext"] == pair["PrivateKeyPlaintext"]
    assert "PrivateKeyPlaintext" not in kms.generate_data_key_pair_without_plaintext(KeyId=key, KeyPairSpec="RSA_2048")
    assert len(kms.generate_random(NumberOfBytes=24)["Plaintext"]) == 24


def test_re_encryption(kms):
    first, second = new_key(kms), new_key(kms)
    blob = kms.encrypt(KeyId=first, Plaintext=b"moved", EncryptionContext={"a": "1"})["CiphertextBlob"]
    moved = kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext={"a": "1"}, DestinationKeyId=second, DestinationEncryptionContext={"b": "2"}
    )
    assert moved["SourceKeyId"].endswith(first) and moved["KeyId"].endswith(second)
    kms.disable_key(KeyId=first)
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"], EncryptionContext={"b": "2"})["Plaintext"] == b"moved"
    refused("DisabledException", kms.decrypt, CiphertextBlob=blob, EncryptionContext={"a": "1"})


def openssl(tmp_path, *arguments):
    return subprocess.run(["openssl", *arguments], cwd=tmp_path, capture_output=True, check=True)


def write_public_key(kms, key, tmp_path):
    (tmp_path / "public.der").write_bytes(kms.get_public_key(KeyId=key)["PublicKey"])


@pytest.mark.parametrize(
    "spec, algorithm, options",
    [
        ("RSA_2048", "RSASSA_PKCS1_V1_5_SHA_256", []),
        ("RSA_2048", "RSASSA_PSS_SHA_512", ["-sigopt", "rsa_padding_mode:pss"]),
        ("ECC_NIST_P256", "ECDSA_SHA_256", []),
        ("ECC_NIST_P384", "ECDSA_SHA_384", []),
    ],
)
def test_others_verify_signatures(kms, tmp_path, spec, algorithm, options):
    key = new_key(kms, KeySpec=spec, KeyUsage="SIGN_VERIFY")
    bits = algorithm.rsplit("_", 1)[1]
    message = b"an image's digest"
    digest = hashlib.new(f"sha{bits}", message).digest()
    signature = kms.sign(KeyId=key, Message=message, SigningAlgorithm=algorithm)["Signature"]
    write_public_key(kms, key, tmp_path)
    (tmp_path / "message").write_bytes(message)
    (tmp_path / "signature").write_bytes(signature)
    openssl(tmp_path, "dgst", f"-sha{bits}", "-verify", "public.der", "-keyform", "DER", "-signature", "signature", *options, "message")
    assert kms.verify(KeyId=key, Message=digest, MessageType="DIGEST", Signature=signature, SigningAlgorithm=algorithm)[
        "SignatureValid"
    ]
    refused(
        "KMSInvalidSignatureException",
        kms.verify,
        KeyId=key,
        Message=message + b".",
        Signature=signature,
        SigningAlgorithm=algorithm,
    )
    refused("ValidationException", kms.sign, KeyId=key, Message=b"short", MessageType="DIGEST", SigningAlgorithm=algorithm)
    refused("InvalidKeyUsageException", kms.encrypt, KeyId=key, Plaintext=b"x", EncryptionAlgorithm="RSAES_OAEP_SHA_1")


def test_others_encrypt_for_an_rsa_key(kms, tmp_path):
    key = new_key(kms, KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
    write_public_key(kms, key, tmp_path)
    (tmp_path / "plain").write_bytes(b"from outside")
    options = ["-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"]
    openssl(tmp_path, "pkeyutl", "-encrypt", "-pubin", "-keyform", "DER", "-inkey", "public.der", *options, "-in", "plain", "-out", "sealed")
    sealed = (tmp_path / "sealed").read_bytes()
    algorithm = "RSAES_OAEP_SHA_256"
    assert kms.decrypt(KeyId=key, CiphertextBlob=sealed, EncryptionAlgorithm=algorithm)["Plaintext"] == b"from outside"
    back = kms.encrypt(KeyId=key, Plaintext=b"back", EncryptionAlgorithm=algorithm)["CiphertextBlob"]
    assert kms.decrypt(KeyId=key, CiphertextBlob=back, EncryptionAlgorithm=algorithm)["Plaintext"] == b"back"
    refused("ValidationException", kms.encrypt, KeyId=key, Plaintext=b"x" * 191, EncryptionAlgorithm=algorithm)
    refused("InvalidCiphertextException", kms.decrypt, KeyId=key, CiphertextBlob=sealed[::-1], EncryptionAlgorithm=algorithm)


@pytest.mark.parametrize("bits", [224, 256, 384, 512])
def test_macs(kms, bits):
    key = new_key(kms, KeySpec=f"HMAC_{bits}", KeyUsage="GENERATE_VERIFY_MAC")
    algorithm = f"HMAC_SHA_{bits}"
    mac = kms.generate_mac(KeyId=key, Message=b"m", MacAlgorithm=algorithm)["Mac"]
    assert len(mac) == bits // 8
    assert kms.verify_mac(KeyId=key, Message=b"m", MacAlgorithm=algorithm, Mac=mac)["MacValid"]
    refused("KMSInvalidMacException", kms.verify_mac, KeyId=key, Message=b"n", MacAlgorithm=algorithm, Mac=mac)
    wrong = "HMAC_SHA_384" if bits != 384 else "HMAC_SHA_256"
    refused("InvalidKeyUsageException", kms.generate_mac, KeyId=key, Message=b"m", MacAlgorithm=wrong)


def test_aliases(kms):
    first, second = new_key(kms), new_key(kms)
    kms.create_alias(AliasName="alias/app/disks", TargetKeyId=first)
    kms.create_alias(AliasName="alias/team:disks", TargetKeyId=first)
    assert kms.encrypt(KeyId="arn:aws:kms:us-east-1:123456789012:alias/team:disks", Plaintext=b"x")["KeyId"].endswith(first)
    kms.delete_alias(AliasName="alias/team:disks")
    arn = "arn:aws:kms:us-east-1:123456789012:alias/app/disks"
    refused("InvalidArnException", kms.encrypt, KeyId="arn:aws:kms:us-east-1:alias/app/disks", Plaintext=b"x")
    assert kms.describe_key(KeyId="alias/app/disks")["KeyMetadata"]["KeyId"] == first
    assert kms.encrypt(KeyId=arn, Plaintext=b"x")["KeyId"].endswith(first)
    refused("AlreadyExistsException", kms.create_alias, AliasName="alias/app/disks", TargetKeyId=second)
    refused("InvalidAliasNameException", kms.create_alias, AliasName="alias/aws/mine", TargetKeyId=first)
    refused("InvalidAliasNameException", kms.create_alias, AliasName="disks", TargetKeyId=first)
    refused("NotFoundException", kms.create_alias, AliasName="alias/b", TargetKeyId="alias/app/disks")
    refused("NotFoundException", kms.disable_key, KeyId="alias/app/disks")
    kms.update_alias(AliasName="alias/app/disks", TargetKeyId=second)
    assert [(alias["AliasName"], alias["TargetKeyId"]) for alias in kms.list_aliases()["Aliases"]] == [("alias/app/disks", second)]
    assert kms.list_aliases(KeyId=first)["Aliases"] == []
    mac = new_key(kms, KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    refused("ValidationException", kms.update_alias, AliasName="alias/app/disks", TargetKeyId=mac)
    kms.delete_alias(AliasName="alias/app/disks")
    refused("NotFoundException", kms.encrypt, KeyId="alias/app/disks", Plaintext=b"x")


def test_lists_have_pages(kms):
    keys = {new_key(kms) for _ in range(5)}
    found = [key["KeyId"] for page in kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 2}) for key in page["Keys"]]
    assert len(found) == 5 and set(found) == keys
    refused("InvalidMarkerException", kms.list_keys, Marker="made-up")


def test_states(kms):
    key = new_key(kms)
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Enabled"] is False
    refused("DisabledException", kms.encrypt, KeyId=key, Plaintext=b"x")
    refused("DisabledException", kms.enable_key_rotation, KeyId=key)
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    refused("ValidationException", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=6)
    refused("KMSInvalidStateException", kms.cancel_key_deletion, KeyId=key)
    assert kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)["KeyState"] == "PendingDeletion"
    refused("KMSInvalidStateException", kms.decrypt, CiphertextBlob=blob)
    refused("KMSInvalidStateException", kms.enable_key, KeyId=key)
    refused("KMSInvalidStateException", kms.schedule_key_deletion, KeyId=key)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


def test_the_aws_cli_encrypts(kms, aws, tmp_path):
    kms.create_alias(AliasName="alias/cli", TargetKeyId=new_key(kms))
    (tmp_path / "plain").write_bytes(b"by hand")
    sealed = aws("kms", "encrypt", "--key-id", "alias/cli", "--plaintext", f"fileb://{tmp_path}/plain")
    (tmp_path / "sealed").write_bytes(base64.b64decode(sealed["CiphertextBlob"]))
    opened = aws("kms", "decrypt", "--ciphertext-blob", f"fileb://{tmp_path}/sealed")
    assert base64.b64decode(opened["Plaintext"]) == b"by hand"


def test_unknown_operations(kms, server):
    request = botocore.awsrequest.AWSRequest(
        "POST", f"{server.endpoint}/", data=b"{}", headers={"X-Amz-Target": "TrentService.Nonsense", "Content-Type": "application/x-amz-json-1.1"}
    )
    status, body = server.send(request, service="kms")
    assert status == 400 and '"__type":"UnknownOperationException"' in body
