"""Every operation there is, asked by those who may not: a user without policies of the same account, and strangers of another account with
full rights in theirs, who name what is not theirs. The requests are made of api/*.api, so new operations are asked too."""

import base64
import json
import uuid

import pytest
import refusals
from conftest import World, poll

REGION = "us-east-1"
SERVICES = ("ec2", "ebs", "rbin", "iam", "sts", "kms", "organizations", "cloudtrail")
DENIED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
# Nobody needs a permission for these: they tell of the caller only.
FREE = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
# With ids that are not there they answer without an error, as AWS does: what failed is in the answer, or there is nothing to do.
QUIET = {"DeleteKeyPair", "EnableFastSnapshotRestores", "DisableFastSnapshotRestores"}
IDS = {"ImageId", "InstanceId", "VolumeId", "GroupId", "SnapshotId", "KeyPairId", "SourceImageId", "SourceSnapshotId",
       "ParentSnapshotId", "FirstSnapshotId", "SecondSnapshotId", "Identifier", "ResourceArn"}  # fmt: skip


def allow(action="*"):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]})


def trust(principal):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Things:
    """One of everything in an account (the operator's, unless a key says otherwise), and what names it in requests."""

    # other ways to name the same, or things that there are not
    unwanted = ("GroupName", "KeyName", "BlockDeviceMappings", "NetworkInterfaces", "Placement", "IamInstanceProfile")

    def __init__(self, server, key=None):
        self.server, self.key = server, key
        self.ec2, self.iam, self.kms = (server.client(name, key=key) for name in ("ec2", "iam", "kms"))
        self.account = server.client("sts", key=key).get_caller_identity()["Account"]
        self.given = {**refusals.block_values()}
        self._make_machines()
        self._make_identities()
        self._make_keys()

    def _make_machines(self):
        world, name = World(self.ec2), uuid.uuid4().hex
        group = self.ec2.create_security_group(GroupName=name, Description="x")["GroupId"]
        pair = self.ec2.create_key_pair(KeyName=name)["KeyPairId"]
        snapshot, instance = world.snapshot(), world.instance()
        image, volume = world.image(name=f"image {name}"), world.volume()
        rule = self.server.client("rbin", key=self.key).create_rule(
            RetentionPeriod={"RetentionPeriodValue": 1, "RetentionPeriodUnit": "DAYS"}, ResourceType="EBS_SNAPSHOT"
        )
        arn = f"arn:aws:rbin:{REGION}:{self.account}:rule/{rule['Identifier']}"
        self.given |= {
            "ImageId": image, "SourceImageId": image, "InstanceId": instance, "VolumeId": volume, "GroupId": group,
            "SnapshotId": snapshot, "SourceSnapshotId": snapshot, "ParentSnapshotId": snapshot, "KeyPairId": pair,
            "FirstSnapshotId": snapshot, "SecondSnapshotId": snapshot, "BlockToken": "AAAA", "BlockIndex": 0,
            "Identifier": rule["Identifier"], "ResourceArn": arn, "SourceRegion": REGION, "Name": "a name",
            "Tags": [{"Key": "key", "Value": "value"}], "AvailabilityZone": f"{REGION}a", "LockDuration": 1,
            "AvailabilityZones": f"{REGION}a", "PermanentRestore": True, "ChecksumAggregationMethod": "LINEAR",
            "PublicKeyMaterial": base64.b64encode(b"ssh-ed25519 AAAA").decode(),
        }  # fmt: skip
        self.lists = {
            "ImageIds": image, "InstanceIds": instance, "VolumeIds": volume, "SnapshotIds": snapshot, "Resources": image,
            "SourceSnapshotIds": snapshot, "GroupIds": group, "KeyPairIds": pair, "SecurityGroupIds": group,
        }  # fmt: skip
        self.given |= self.lists

    def _make_identities(self):
        name = f"thing-{uuid.uuid4().hex[:12]}"
        user = self.iam.create_user(UserName=name)["User"]["Arn"]
        self.iam.create_group(GroupName=name)
        self.role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(user))["Role"]["Arn"]
        self.iam.create_instance_profile(InstanceProfileName=name)
        policy = self.iam.create_policy(PolicyName=name, PolicyDocument=allow())["Policy"]["Arn"]
        key = self.iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
        self.given |= {
            "UserName": name, "GroupName": name, "RoleName": name, "InstanceProfileName": name, "PolicyArn": policy,
            "PolicyName": name, "PolicyDocument": allow(), "AssumeRolePolicyDocument": trust(user), "RoleArn": self.role,
            "AccessKeyId": key, "PermissionsBoundary": policy, "PolicySourceArn": user, "VersionId": "v1",
            "RoleSessionName": "session", "Status": "Inactive",
        }  # fmt: skip

    def _make_keys(self):
        self.symmetric = self.kms.create_key(MultiRegion=True)["KeyMetadata"]["Arn"]
        self.signing = self.kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
        self.mac = self.kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["Arn"]
        self.alias = f"alias/{uuid.uuid4().hex}"
        self.kms.create_alias(AliasName=self.alias, TargetKeyId=self.symmetric)
        blob = self.kms.encrypt(KeyId=self.symmetric, Plaintext=b"secret")["CiphertextBlob"]
        message = base64.b64encode(b"message").decode()
        sign = {"KeyId": self.signing, "Message": b"message", "SigningAlgorithm": "ECDSA_SHA_256"}
        mac = {"KeyId": self.mac, "Message": b"message", "MacAlgorithm": "HMAC_SHA_256"}
        grant = self.kms.create_grant(
            KeyId=self.symmetric, GranteePrincipal=f"arn:aws:iam::{self.account}:root", Operations=["Decrypt"]
        )
        self.policy = self.kms.get_key_policy(KeyId=self.symmetric, PolicyName="default")["Policy"]
        self.given_kms = {
            "KeyId": self.symmetric, "TargetKeyId": self.symmetric, "DestinationKeyId": self.symmetric,
            "AliasName": self.alias, "CiphertextBlob": base64.b64encode(blob).decode(), "Plaintext": message,
            "Message": message, "GrantId": grant["GrantId"], "Policy": self.policy, "PolicyName": "default",
            "GranteePrincipal": f"arn:aws:iam::{self.account}:root", "ReplicaRegion": "us-west-2",
            "PrimaryRegion": "us-west-2", "NumberOfBytes": 32, "TagKey": "key", "TagValue": "value", "TagKeys": "key",
            "Signature": base64.b64encode(self.kms.sign(**sign)["Signature"]).decode(),
            "Mac": base64.b64encode(self.kms.generate_mac(**mac)["Mac"]).decode(),
            "RetiringPrincipal": f"arn:aws:iam::{self.account}:root",
        }  # fmt: skip
        self.tuned = {
            "Sign": {"KeyId": self.signing, "SigningAlgorithm": "ECDSA_SHA_256"},
            "Verify": {"KeyId": self.signing, "SigningAlgorithm": "ECDSA_SHA_256"},
            "GetPublicKey": {"KeyId": self.signing},
            "GenerateMac": {"KeyId": self.mac, "MacAlgorithm": "HMAC_SHA_256"},
            "VerifyMac": {"KeyId": self.mac, "MacAlgorithm": "HMAC_SHA_256"},
            "CreateAlias": {"AliasName": f"alias/{uuid.uuid4().hex}"},
            "CreateKey": {"Policy": None},
        }

    def request(self, service, operation):
        """What the operation takes, naming these things wherever it can name one."""
        if service.name != "kms":
            values = service.request(operation, self.given)
            if service.name != "ec2":
                return values
            for member in service.members(operation):
                if member.name in self.unwanted and not member.required:
                    values.pop(member.name, None)
            if operation == "ResetSnapshotAttribute":
                values["Attribute"] = "createVolumePermission"
            return values
        given = {**self.given_kms, **self.tuned.get(operation, {})}
        if operation in ("Encrypt", "ReEncrypt", "Decrypt", "GenerateDataKey"):
            given.pop("Message")
        values = service.request(operation, {name: value for name, value in given.items() if value is not None})
        for name in ("GrantTokens", "Recipient", "DryRunModifiers", "KeySpec"):
            values.pop(name, None)
        return values

    def state(self):
        """What there is of all this, as its owner sees it."""
        ec2, iam, kms = self.ec2, self.iam, self.kms
        user, group, role = self.given["UserName"], self.given["GroupName"], self.given["RoleName"]
        seen = [
            ec2.describe_images(Owners=["self"])["Images"], ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"],
            ec2.describe_volumes()["Volumes"], ec2.describe_instances()["Reservations"], ec2.describe_tags()["Tags"],
            ec2.describe_security_groups()["SecurityGroups"], ec2.describe_key_pairs()["KeyPairs"],
            ec2.describe_image_attribute(ImageId=self.given["ImageId"], Attribute="launchPermission")["LaunchPermissions"],
            iam.list_users()["Users"], iam.list_groups()["Groups"], iam.list_roles()["Roles"],
            iam.list_policies(Scope="Local")["Policies"], iam.list_access_keys(UserName=user)["AccessKeyMetadata"],
            iam.list_instance_profiles()["InstanceProfiles"], iam.get_group(GroupName=group)["Users"],
            iam.list_user_policies(UserName=user)["PolicyNames"], iam.list_role_policies(RoleName=role)["PolicyNames"],
            kms.list_aliases()["Aliases"], kms.list_grants(KeyId=self.symmetric)["Grants"],
        ]  # fmt: skip
        for key in self.symmetric, self.signing, self.mac:
            seen += [kms.describe_key(KeyId=key)["KeyMetadata"], kms.list_resource_tags(KeyId=key)["Tags"]]
            seen += [kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]]
        return json.loads(json.dumps(seen, default=str))


@pytest.fixture(scope="module")
def things(iam_server):
    return Things(iam_server)


@pytest.fixture(scope="module")
def nobody(iam_server):
    """The key of a user of the operator's account who has no policies."""
    iam, name = iam_server.client("iam"), f"nobody-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


@pytest.fixture(scope="module")
def stranger(iam_server):
    """The key of a user of another account who may do everything there."""
    iam = iam_server.client("iam", key=iam_server.account("stranger")[1])
    iam.create_user(UserName="stranger")
    iam.put_user_policy(UserName="stranger", PolicyName="p", PolicyDocument=allow())
    made = iam.create_access_key(UserName="stranger")["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def settle(things):
    """The state, when nothing is under way in it."""
    state = things.state()

    def still():
        nonlocal state
        before, state = state, things.state()
        return before == state

    poll(still)
    return state


@pytest.mark.parametrize("name", SERVICES)
def test_a_user_without_policies_is_refused_everything(iam_server, things, nobody, name):
    service, before, wrong = refusals.Service(name), settle(things), []
    for operation in service.operations:
        if (name, operation) in FREE:
            continue
        status, code, body = service.send(iam_server, operation, things.request(service, operation), nobody)
        if code not in DENIED:
            wrong.append((operation, status, code, body[:300]))
    assert not wrong, "\n".join(map(str, wrong))
    assert things.state() == before


@pytest.mark.parametrize("name", SERVICES)
def test_nobody_asks_without_a_signature(iam_server, things, name):
    service, before, wrong = refusals.Service(name), settle(things), []
    for operation in service.operations:
        unknown = ("AKIAUNKNOWNUNKNOWN00", "secret")
        status, code, _ = service.send(iam_server, operation, things.request(service, operation), unknown)
        if code not in ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException", "AccessDeniedException"):
            wrong.append((operation, status, code))
    assert not wrong, wrong
    assert things.state() == before


def test_a_stranger_can_do_nothing_with_keys(iam_server, things, stranger):
    """Full rights in one's own account are none on the keys of another, by ARN, alias or ciphertext."""
    service, before, wrong = refusals.Service("kms"), settle(things), []
    own = {"CreateKey", "GenerateRandom", "ListKeys", "ListAliases", "ListRetirableGrants"}
    for operation in service.operations:
        if operation in own:
            continue
        status, code, body = service.send(iam_server, operation, things.request(service, operation), stranger)
        if code not in ("AccessDeniedException", "NotFoundException"):
            wrong.append((operation, status, code, body[:300]))
    assert not wrong, "\n".join(map(str, wrong))
    assert things.state() == before


def test_a_stranger_assumes_no_role(iam_server, things, stranger):
    service = refusals.Service("sts")
    _, code, _ = service.send(iam_server, "AssumeRole", things.request(service, "AssumeRole"), stranger)
    assert code == "AccessDenied"


def ids_of(service, operation, things):
    """The members of a request that name things by their ids."""
    return [member.name for member in service.members(operation) if member.name in IDS | set(things.lists)]


@pytest.mark.parametrize("name", ["ec2", "ebs", "rbin"])
def test_what_belongs_to_another_account_is_not_there(iam_server, things, stranger, name):
    """Whoever may do everything in one account finds nothing of another, whatever operation is tried."""
    service, before, wrong = refusals.Service(name), settle(things), []
    for operation in service.operations:
        if not ids_of(service, operation, things):
            continue
        status, code, body = service.send(iam_server, operation, things.request(service, operation), stranger)
        empty = operation in QUIET or operation.startswith(("Describe", "List", "Get"))
        if not ("NotFound" in code or code in DENIED if code else empty):
            wrong.append((operation, status, code, body[:400]))
    assert not wrong, "\n".join(map(str, wrong))
    assert things.state() == before


def test_one_thing_of_another_account_among_ones_own(iam_server, things, stranger):
    """... also if all else that a request names is one's own."""
    service, before, wrong, tried = refusals.Service("ec2"), settle(things), [], 0
    own = Things(iam_server, stranger)
    for operation in service.operations:
        ids = ids_of(service, operation, things)
        for name in ids if len(ids) > 1 else ():
            values = {**own.request(service, operation), name: things.request(service, operation)[name]}
            tried += 1
            status, code, body = service.send(iam_server, operation, values, stranger)
            if not code and operation not in QUIET and not operation.startswith("Describe"):
                wrong.append((operation, name, status, body[:400]))
    assert not wrong, "\n".join(map(str, wrong))
    assert tried > 5
    assert things.state() == before
