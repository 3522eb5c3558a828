"""KMS: who may do what with a key. Two accounts, users with and without policies, key policies, grants and their constraints."""

import json
import urllib.error
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import botocore.exceptions
import botocore.httpsession
import pytest


def code_of(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


class Person:
    def __init__(self, server, key, arn):
        self.server, self.key, self.arn = server, key, arn
        self.kms = server.client("kms", key=key)

    @property
    def account(self):
        return self.arn.split(":")[4]


class Cast:
    """The operator's account and another one, with users made as they are needed."""

    def __init__(self, server):
        self.server, self.count = server, 0
        self.owner = self.root(server.credentials())
        request = botocore.awsrequest.AWSRequest(
            "POST",
            f"{server.endpoint}/_amid/accounts",
            data=json.dumps({"name": "kms-partner"}).encode(),
            headers={"Content-Type": "application/json"},
        )
        status, body = server.send(request)
        assert status == 200, body
        made = json.loads(body)
        self.partner = self.root((made["access_key_id"], made["secret_access_key"]))

    def root(self, key):
        return Person(self.server, key, self.server.client("sts", key=key).get_caller_identity()["Arn"])

    def user(self, root, *statements):
        """A user of that account, with an inline policy of these statements."""
        self.count += 1
        iam = self.server.client("iam", key=root.key)
        name = f"kms-user-{self.count}"
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
        made = iam.create_access_key(UserName=name)["AccessKey"]
        return Person(self.server, (made["AccessKeyId"], made["SecretAccessKey"]), arn)


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions, resource="*", **more):
    return {"Effect": "Allow", "Action": actions, "Resource": resource, **more}


def deny(actions, resource="*", **more):
    return {**allow(actions, resource, **more), "Effect": "Deny"}


@pytest.fixture(scope="module")
def cast(iam_server):
    return Cast(iam_server)


@pytest.fixture
def owner(cast):
    return cast.owner


@pytest.fixture
def arn(owner):
    """A key of the owner with the default policy."""
    return owner.kms.create_key()["KeyMetadata"]["Arn"]


def enables(root):
    """The statement that hands a key over to an account's IAM policies."""
    return allow("kms:*", Principal={"AWS": root.arn})


def test_who_calls_is_asked_in_the_words_of_json(iam_server):
    def code(**key):
        return code_of(iam_server.client("kms", **key).list_keys)

    identity, _ = iam_server.credentials()
    assert code(key=("AKIANOBODYNOBODY0000", "x")) == "UnrecognizedClientException"
    assert code(key=(identity, "wrong")) == "InvalidSignatureException"
    request = urllib.request.Request(f"{iam_server.endpoint}/", data=b"{}", headers={"X-Amz-Target": "TrentService.ListKeys"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    assert caught.value.code == 400
    assert json.loads(caught.value.read())["__type"] == "MissingAuthenticationTokenException"


def test_the_default_policy_leaves_it_to_iam(cast, owner, arn):
    policy = json.loads(owner.kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
    assert policy["Statement"][0]["Principal"] == {"AWS": owner.arn} and policy["Statement"][0]["Action"] == "kms:*"
    assert owner.kms.list_key_policies(KeyId=arn)["PolicyNames"] == ["default"]
    nobody = cast.user(owner)
    assert code_of(nobody.kms.encrypt, KeyId=arn, Plaintext=b"x") == "AccessDeniedException"
    writer = cast.user(owner, allow("kms:Encrypt", arn))
    blob = writer.kms.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    assert code_of(writer.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"
    reader = cast.user(owner, allow("kms:Decrypt"), deny("kms:Decrypt", Condition={"Null": {"kms:EncryptionContext:stage": "true"}}))
    assert code_of(reader.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"
    blob = writer.kms.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"stage": "1"})["CiphertextBlob"]
    assert reader.kms.decrypt(CiphertextBlob=blob, EncryptionContext={"stage": "1"})["Plaintext"] == b"x"


def test_a_key_policy_alone_can_allow_and_shut_out(cast, owner):
    user, other = cast.user(owner), cast.user(owner, allow("kms:*"))
    made = owner.kms.create_key(
        Policy=document(
            allow(["kms:PutKeyPolicy", "kms:GetKeyPolicy", "kms:DescribeKey", "kms:ScheduleKeyDeletion"], Principal={"AWS": owner.arn}),
            allow(["kms:Encrypt", "kms:Decrypt"], Principal={"AWS": user.arn}),
        )
    )["KeyMetadata"]["Arn"]
    blob = user.kms.encrypt(KeyId=made, Plaintext=b"mine")["CiphertextBlob"]
    assert user.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"mine"
    assert code_of(owner.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"  # root, too
    assert code_of(other.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"  # IAM was not asked
    assert other.kms.describe_key(KeyId=made)["KeyMetadata"]["Arn"] == made  # for that it was


def test_nobody_is_locked_out_by_mistake(cast, owner, arn):
    user = cast.user(owner)
    locked = document(allow("kms:Decrypt", Principal={"AWS": user.arn}))
    assert code_of(owner.kms.put_key_policy, KeyId=arn, PolicyName="default", Policy=locked) == "MalformedPolicyDocumentException"
    assert code_of(owner.kms.create_key, Policy=locked) == "MalformedPolicyDocumentException"
    for malformed in ("{}", "not json", document({"Effect": "Maybe", "Action": "kms:*", "Resource": "*", "Principal": "*"})):
        assert code_of(owner.kms.put_key_policy, KeyId=arn, PolicyName="default", Policy=malformed) == "MalformedPolicyDocumentException"
    assert code_of(owner.kms.get_key_policy, KeyId=arn, PolicyName="other") == "NotFoundException"
    owner.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=locked, BypassPolicyLockoutSafetyCheck=True)
    assert code_of(owner.kms.get_key_policy, KeyId=arn, PolicyName="default") == "AccessDeniedException"


def test_condition_keys(cast, owner, arn):
    user = cast.user(owner, allow("kms:*"))

    def put(*statements):
        owner.kms.put_key_policy(KeyId=arn, PolicyName="default", Policy=document(enables(owner), *statements))

    everyone = {"Principal": {"AWS": "*"}}
    owner.kms.create_alias(AliasName="alias/conditions", TargetKeyId=arn)
    put(deny("kms:Encrypt", **everyone, Condition={"StringNotEquals": {"kms:RequestAlias": "alias/conditions"}}))
    assert code_of(user.kms.encrypt, KeyId=arn, Plaintext=b"x") == "AccessDeniedException"
    user.kms.encrypt(KeyId="alias/conditions", Plaintext=b"x")
    put(deny("kms:Encrypt", **everyone, Condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/conditions"}}))
    assert code_of(user.kms.encrypt, KeyId=arn, Plaintext=b"x") == "AccessDeniedException"
    put(deny("kms:Encrypt", **everyone, Condition={"ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["a", "b"]}}))
    assert code_of(user.kms.encrypt, KeyId=arn, Plaintext=b"x", EncryptionContext={"a": "1"}) == "AccessDeniedException"
    user.kms.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"a": "1", "c": "1"})
    put(deny("kms:GenerateDataKey", **everyone, Condition={"StringEquals": {"kms:KeySpec": "SYMMETRIC_DEFAULT", "kms:CallerAccount": owner.account}}))
    assert code_of(user.kms.generate_data_key, KeyId=arn, KeySpec="AES_256") == "AccessDeniedException"
    put(deny("kms:*", **everyone, Condition={"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}}))
    user.kms.generate_data_key(KeyId=arn, KeySpec="AES_256")  # not through EC2
    assert code_of(user.kms.tag_resource, KeyId=arn, Tags=[{"TagKey": "aws:a", "TagValue": ""}]) == "TagException"
    user.kms.tag_resource(KeyId=arn, Tags=[{"TagKey": "stage", "TagValue": "live"}])
    put(deny("kms:Encrypt", **everyone, Condition={"StringEquals": {"aws:ResourceTag/stage": "live"}}))
    assert code_of(user.kms.encrypt, KeyId=arn, Plaintext=b"x") == "AccessDeniedException"
    put(deny("kms:ScheduleKeyDeletion", **everyone, Condition={"NumericLessThan": {"kms:ScheduleKeyDeletionPendingWindowInDays": "20"}}))
    assert code_of(user.kms.schedule_key_deletion, KeyId=arn, PendingWindowInDays=7) == "AccessDeniedException"
    maker = cast.user(owner, allow("kms:CreateKey", Condition={"StringEquals": {"kms:KeySpec": "HMAC_256"}}))
    maker.kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")
    assert code_of(maker.kms.create_key) == "AccessDeniedException"


def test_a_dry_run_tells_what_would_be(cast, owner, arn):
    nobody = cast.user(owner)
    body = json.dumps({"KeyId": arn, "Plaintext": "eA==", "DryRun": True}).encode()

    def code(person):
        request = botocore.awsrequest.AWSRequest(
            "POST", f"{person.server.endpoint}/", data=body, headers={"X-Amz-Target": "TrentService.Encrypt", "Content-Type": "application/x-amz-json-1.1"}
        )
        botocore.auth.SigV4Auth(botocore.credentials.Credentials(*person.key), "kms", "us-east-1").add_auth(request)
        return json.loads(botocore.httpsession.URLLib3Session().send(request.prepare()).content)["__type"]

    assert code(owner) == "DryRunOperationException"
    assert code(nobody) == "AccessDeniedException"


def test_another_account_needs_both_sides(cast, owner, arn):
    partner, user = cast.partner, cast.user(cast.partner)
    key_id = arn.split("/")[1]
    assert code_of(partner.kms.describe_key, KeyId=arn) == "AccessDeniedException"
    assert code_of(partner.kms.describe_key, KeyId=key_id) == "NotFoundException"  # of its own account
    owner.kms.put_key_policy(
        KeyId=arn,
        PolicyName="default",
        Policy=document(
            enables(owner),
            allow(["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"], Principal={"AWS": partner.arn}),
        ),
    )
    blob = partner.kms.encrypt(KeyId=arn, Plaintext=b"shared")["CiphertextBlob"]
    assert owner.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"shared"
    assert partner.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"shared"
    assert code_of(user.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"  # their own IAM does not say so
    helped = cast.user(cast.partner, allow("kms:Decrypt", arn))
    assert helped.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"shared"
    assert code_of(partner.kms.disable_key, KeyId=arn) == "AccessDeniedException"  # not across accounts
    mine = partner.kms.create_key()["KeyMetadata"]["Arn"]
    moved = partner.kms.re_encrypt(CiphertextBlob=blob, DestinationKeyId=mine)["CiphertextBlob"]
    assert partner.kms.decrypt(CiphertextBlob=moved)["Plaintext"] == b"shared"
    assert code_of(owner.kms.decrypt, CiphertextBlob=moved) == "AccessDeniedException"


def test_a_grant_allows_what_it_lists(cast, owner, arn):
    user = cast.user(owner)
    blob = owner.kms.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    made = owner.kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt", "DescribeKey"])
    assert user.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert user.kms.describe_key(KeyId=arn, GrantTokens=[made["GrantToken"]])["KeyMetadata"]["Arn"] == arn
    assert code_of(user.kms.encrypt, KeyId=arn, Plaintext=b"x") == "AccessDeniedException"
    assert code_of(user.kms.decrypt, CiphertextBlob=blob, GrantTokens=["made up"]) == "InvalidGrantTokenException"
    grant = owner.kms.list_grants(KeyId=arn)["Grants"][0]
    assert (grant["GrantId"], grant["GranteePrincipal"], grant["Operations"]) == (made["GrantId"], user.arn, ["Decrypt", "DescribeKey"])
    assert grant["IssuingAccount"] == owner.arn and grant["KeyId"] == arn
    owner.kms.revoke_grant(KeyId=arn, GrantId=made["GrantId"])
    assert code_of(user.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"
    assert code_of(owner.kms.revoke_grant, KeyId=arn, GrantId=made["GrantId"]) == "NotFoundException"
    assert code_of(owner.kms.revoke_grant, KeyId=arn, GrantId="x") == "InvalidGrantIdException"


def test_an_explicit_deny_beats_a_grant(cast, owner, arn):
    user = cast.user(owner, deny("kms:Decrypt"))
    blob = owner.kms.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    owner.kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt", "Encrypt"])
    user.kms.encrypt(KeyId=arn, Plaintext=b"x")
    assert code_of(user.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"


def test_constraints_bind_a_grant_to_an_encryption_context(cast, owner, arn):
    exactly, atleast = cast.user(owner), cast.user(owner)
    context = {"app": "a"}
    owner.kms.create_grant(
        KeyId=arn, GranteePrincipal=exactly.arn, Operations=["Encrypt"], Constraints={"EncryptionContextEquals": context}
    )
    owner.kms.create_grant(
        KeyId=arn, GranteePrincipal=atleast.arn, Operations=["Encrypt"], Constraints={"EncryptionContextSubset": context}
    )
    exactly.kms.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext=context)
    atleast.kms.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={**context, "more": "1"})
    for person, wrong in ((exactly, {**context, "more": "1"}), (exactly, {}), (atleast, {"app": "b"}), (atleast, {})):
        assert code_of(person.kms.encrypt, KeyId=arn, Plaintext=b"x", EncryptionContext=wrong) == "AccessDeniedException"
    mac = owner.kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"]
    assert code_of(owner.kms.create_grant, KeyId=mac, GranteePrincipal=exactly.arn, Operations=["Decrypt"]) == "ValidationException"


def test_a_grant_with_a_name_is_made_once(cast, owner, arn):
    user = cast.user(owner)
    asked = {"KeyId": arn, "GranteePrincipal": user.arn, "Operations": ["Decrypt"], "Name": "once"}
    first, again = owner.kms.create_grant(**asked), owner.kms.create_grant(**asked)
    assert first["GrantId"] == again["GrantId"] and first["GrantToken"] != again["GrantToken"]
    other = owner.kms.create_grant(**{**asked, "Operations": ["Encrypt"]})
    unnamed = {name: value for name, value in asked.items() if name != "Name"}
    ids = {first["GrantId"], other["GrantId"], owner.kms.create_grant(**unnamed)["GrantId"], owner.kms.create_grant(**unnamed)["GrantId"]}
    assert len(ids) == 4
    pages = owner.kms.get_paginator("list_grants").paginate(KeyId=arn, PaginationConfig={"PageSize": 3})
    assert {grant["GrantId"] for page in pages for grant in page["Grants"]} == ids


def test_who_may_retire_a_grant(cast, owner, arn):
    user, retirer = cast.user(owner), cast.user(owner, allow("kms:ListRetirableGrants"))
    made = owner.kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt"], RetiringPrincipal=retirer.arn)
    assert code_of(user.kms.retire_grant, GrantToken=made["GrantToken"]) == "AccessDeniedException"
    shown = retirer.kms.list_retirable_grants(RetiringPrincipal=retirer.arn)["Grants"]
    assert [grant["GrantId"] for grant in shown] == [made["GrantId"]]
    assert code_of(cast.partner.kms.list_retirable_grants, RetiringPrincipal=retirer.arn) == "AccessDeniedException"
    retirer.kms.retire_grant(GrantToken=made["GrantToken"])
    assert owner.kms.list_grants(KeyId=arn)["Grants"] == []
    made = owner.kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt", "RetireGrant"])
    user.kms.retire_grant(KeyId=arn, GrantId=made["GrantId"])
    assert code_of(owner.kms.retire_grant, GrantToken=made["GrantToken"]) == "NotFoundException"
    assert code_of(owner.kms.retire_grant, GrantId=made["GrantId"]) == "ValidationException"


def test_a_grant_hands_on_no_more_than_it_has(cast, owner, arn):
    user, friend = cast.user(owner), cast.user(owner)
    constraints = {"EncryptionContextSubset": {"app": "a"}}
    owner.kms.create_grant(
        KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt", "Encrypt", "CreateGrant"], Constraints=constraints
    )
    asked = {"KeyId": arn, "GranteePrincipal": friend.arn}
    assert code_of(user.kms.create_grant, **asked, Operations=["Decrypt"]) == "AccessDeniedException"
    assert code_of(user.kms.create_grant, **asked, Operations=["GenerateDataKey"], Constraints=constraints) == "AccessDeniedException"
    user.kms.create_grant(**asked, Operations=["Encrypt"], Constraints={"EncryptionContextSubset": {"app": "a", "more": "1"}})
    friend.kms.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"app": "a", "more": "1"})
    assert code_of(friend.kms.encrypt, KeyId=arn, Plaintext=b"x", EncryptionContext={"app": "a"}) == "AccessDeniedException"


def test_a_grant_to_another_account(cast, owner, arn):
    user = cast.user(cast.partner, allow("kms:Decrypt"))
    blob = owner.kms.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    assert code_of(user.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"
    owner.kms.create_grant(KeyId=arn, GranteePrincipal=cast.partner.arn, Operations=["Decrypt"])
    assert user.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert code_of(owner.kms.create_grant, KeyId=arn, GranteePrincipal="somebody", Operations=["Decrypt"]) == "InvalidArnException"


def test_a_grant_to_a_user_of_another_account_needs_no_policy_there(cast, owner, arn):
    user = cast.user(cast.partner)
    blob = owner.kms.encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    grant = owner.kms.create_grant(KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt"])["GrantId"]
    assert user.kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    assert code_of(user.kms.describe_key, KeyId=arn) == "AccessDeniedException", "it is not among the operations"
    owner.kms.revoke_grant(KeyId=arn, GrantId=grant)
    assert code_of(user.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"
    denied = cast.user(cast.partner, {"Effect": "Deny", "Action": "kms:*", "Resource": "*"})
    owner.kms.create_grant(KeyId=arn, GranteePrincipal=denied.arn, Operations=["Decrypt"])
    assert code_of(denied.kms.decrypt, CiphertextBlob=blob) == "AccessDeniedException"


def test_the_key_that_amid_manages_is_for_ec2_only(cast, owner):
    shown = owner.kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]
    assert shown["KeyManager"] == "AWS" and shown["KeyState"] == "Enabled"
    assert code_of(owner.kms.encrypt, KeyId="alias/aws/ebs", Plaintext=b"x") == "AccessDeniedException"
    assert code_of(owner.kms.disable_key, KeyId=shown["KeyId"]) == "AccessDeniedException"
    assert code_of(owner.kms.schedule_key_deletion, KeyId=shown["KeyId"]) == "AccessDeniedException"
    assert code_of(cast.partner.kms.describe_key, KeyId=shown["Arn"]) == "AccessDeniedException"
    assert owner.kms.get_key_rotation_status(KeyId=shown["KeyId"])["KeyRotationEnabled"] is True
    assert owner.kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"] == shown
    policy = json.loads(owner.kms.get_key_policy(KeyId=shown["KeyId"], PolicyName="default")["Policy"])
    assert policy["Statement"][0]["Condition"]["StringEquals"]["kms:ViaService"] == "ec2.us-east-1.amazonaws.com"


def test_a_grant_to_a_role_is_for_its_sessions(cast, owner, arn):
    iam = cast.server.client("iam", key=owner.key)
    user = cast.user(owner, allow("sts:AssumeRole"))
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": owner.arn}}
    role = iam.create_role(RoleName="kms-role", AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]

    def session(**more):
        made = cast.server.client("sts", key=user.key).assume_role(RoleArn=role, RoleSessionName="work", **more)["Credentials"]
        return boto3.client(
            "kms",
            "us-east-1",
            endpoint_url=cast.server.endpoint,
            aws_access_key_id=made["AccessKeyId"],
            aws_secret_access_key=made["SecretAccessKey"],
            aws_session_token=made["SessionToken"],
        )

    assert code_of(session().encrypt, KeyId=arn, Plaintext=b"x") == "AccessDeniedException"
    owner.kms.create_grant(KeyId=arn, GranteePrincipal=role, Operations=["Encrypt", "Decrypt"])
    blob = session().encrypt(KeyId=arn, Plaintext=b"x")["CiphertextBlob"]
    assert session().decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    narrowed = session(Policy=document(allow("kms:Encrypt")))
    narrowed.encrypt(KeyId=arn, Plaintext=b"x")
    assert code_of(narrowed.decrypt, CiphertextBlob=blob) == "AccessDeniedException"


def test_a_key_through_ec2_only(cast, owner, arn, wait_for):
    """The permissions that AWS documents for users who make encrypted volumes, and no more."""
    via = {"StringEquals": {"kms:ViaService": "ec2.us-east-1.amazonaws.com"}}
    user = cast.user(
        owner,
        allow("ec2:*"),
        allow(["kms:GenerateDataKeyWithoutPlaintext", "kms:Decrypt", "kms:ReEncrypt*", "kms:DescribeKey"], arn, Condition=via),
        allow("kms:CreateGrant", arn, Condition={"Bool": {"kms:GrantIsForAWSResource": "true"}}),
    )
    ec2 = cast.server.client("ec2", key=user.key)
    volume = {"AvailabilityZone": "us-east-1a", "Size": 1, "Encrypted": True}
    made = ec2.create_volume(**volume, KmsKeyId=arn)
    assert made["KmsKeyId"] == arn and made["Encrypted"]
    grant = owner.kms.list_grants(KeyId=arn)["Grants"][0]
    assert grant["GranteePrincipal"] == f"arn:aws:sts::{owner.account}:assumed-role/aws:ec2-infrastructure/{made['VolumeId']}"
    assert grant["Constraints"] == {"EncryptionContextSubset": {"aws:ebs:id": made["VolumeId"]}} and grant["Operations"] == ["Decrypt"]
    assert code_of(user.kms.generate_data_key_without_plaintext, KeyId=arn, KeySpec="AES_256") == "AccessDeniedException"
    assert code_of(user.kms.create_grant, KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt"]) == "AccessDeniedException"
    partner = cast.server.client("ec2", key=cast.partner.key)
    refused = partner.create_volume(**volume, KmsKeyId=arn)["VolumeId"]  # EBS asks KMS when it has answered
    wait_for(lambda: partner.describe_volumes(VolumeIds=[refused])["Volumes"][0]["State"] == "error", 60)
    assert len(owner.kms.list_grants(KeyId=arn)["Grants"]) == 1


def remake(server, root, person):
    """Somebody else who is given a user's name, when that is gone."""
    iam, name = server.client("iam", key=root.key), person.arn.split("/")[-1]
    iam.delete_access_key(UserName=name, AccessKeyId=person.key[0])
    for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
        iam.delete_user_policy(UserName=name, PolicyName=policy)
    iam.delete_user(UserName=name)
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    made = iam.create_access_key(UserName=name)["AccessKey"]
    assert arn == person.arn
    return Person(server, (made["AccessKeyId"], made["SecretAccessKey"]), arn)


def test_a_user_made_again_has_not_the_keys_of_the_first(iam_server, cast, owner):
    """Key policies and grants mean who was there, not who is called so."""
    user = cast.user(owner)
    policy = document(enables(owner), allow(["kms:Encrypt", "kms:DescribeKey"], Principal={"AWS": user.arn}))
    key = owner.kms.create_key(Policy=policy)["KeyMetadata"]["Arn"]
    other = owner.kms.create_key()["KeyMetadata"]["Arn"]
    grant = owner.kms.create_grant(KeyId=other, GranteePrincipal=user.arn, RetiringPrincipal=user.arn, Operations=["Encrypt"])
    shown = json.loads(owner.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    assert shown == json.loads(policy)
    for each in key, other:
        user.kms.encrypt(KeyId=each, Plaintext=b"x")
    again = remake(iam_server, owner, user)
    for each in key, other:
        assert code_of(again.kms.encrypt, KeyId=each, Plaintext=b"x") == "AccessDeniedException"
    assert code_of(again.kms.retire_grant, GrantToken=grant["GrantToken"]) == "AccessDeniedException"
    gone = json.loads(owner.kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    assert gone["Statement"][1]["Principal"]["AWS"].startswith("AIDA")
    nobody = document(enables(owner), allow("kms:Encrypt", Principal={"AWS": f"arn:aws:iam::{owner.account}:user/not-there"}))
    assert code_of(owner.kms.put_key_policy, KeyId=key, PolicyName="default", Policy=nobody) == "MalformedPolicyDocumentException"


def test_who_may_retire_a_grant_may_be_denied_it(iam_server, cast, owner, arn):
    """A Deny holds against the grant; and a federated user is not the one that it comes from."""
    user, retirer = cast.user(owner), cast.user(owner, deny("kms:RetireGrant"))
    guest = cast.user(owner, allow("sts:GetFederationToken"))
    for retiring in retirer, guest:
        made = owner.kms.create_grant(
            KeyId=arn, GranteePrincipal=user.arn, Operations=["Decrypt"], RetiringPrincipal=retiring.arn
        )
        client = retiring.kms
        if retiring is guest:
            given = iam_server.client("sts", key=guest.key).get_federation_token(Name="guest")["Credentials"]
            client = boto3.client(
                "kms", "us-east-1", endpoint_url=iam_server.endpoint, aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
            )  # fmt: skip
        assert code_of(client.retire_grant, GrantToken=made["GrantToken"]) == "AccessDeniedException"
        assert made["GrantId"] in [grant["GrantId"] for grant in owner.kms.list_grants(KeyId=arn)["Grants"]]


def test_tags_of_a_replica_need_their_permission(cast, owner):
    user = cast.user(owner, allow(["kms:ReplicateKey", "kms:CreateKey"]))
    key = owner.kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
    tagged = {"KeyId": key, "ReplicaRegion": "us-west-2", "Tags": [{"TagKey": "team", "TagValue": "blue"}]}
    assert code_of(user.kms.replicate_key, **tagged) == "AccessDeniedException"
    del tagged["Tags"]
    user.kms.replicate_key(**tagged)


def test_an_encryption_context_has_a_limit(owner, arn):
    owner.kms.encrypt(KeyId=arn, Plaintext=b"x", EncryptionContext={"a": "b" * 8191})
    too_long = {"KeyId": arn, "Plaintext": b"x", "EncryptionContext": {"a": "b" * 8192}}
    assert code_of(owner.kms.encrypt, **too_long) == "ValidationException"
