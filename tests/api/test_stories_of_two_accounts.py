"""Whose image is it: the stories of an image that goes from one account to another, each told from the first call to the last.

Two stock clients tell them: the owner of the image has boto3, whoever it is shared with has the aws CLI, each in a new account of its own. Requests that
Debian's clients are too old for are signed by hand (Server.query). Policies are those of AWS's user guides, with regions and accounts filled in.
"""

import json
import subprocess
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import World, cli, poll
from test_clock import clock
from test_ebs_direct import block_of, read, write

REGION = "us-east-1"
BLOCKS = {0: block_of("whose"), 7: block_of("image")}
# what the user guide of EBS lists for the users of somebody else's key
FIVE = ["kms:DescribeKey", "kms:ReEncrypt*", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"]
DAYS = 24 * 3600 * 1000
LIMIT = 90  # of waiting, in seconds


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Owner:
    """The account that has the image; boto3."""

    def __init__(self, server):
        self.server = server
        self.id, self.key = server.account(f"owner {uuid.uuid4().hex[:8]}")
        self.ec2, self.kms, self.ebs = (self.client(service) for service in ("ec2", "kms", "ebs"))
        self.world = World(self.ec2)

    def client(self, service):
        return self.server.client(service, key=self.key)

    def image(self, name="golden", blocks=None, **encryption):
        return self.world.image(name, write(self.ebs, blocks or BLOCKS, **encryption))

    def snapshot_of(self, image):
        return self.world.shown_image(image)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    def share(self, image, **permission):
        self.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [permission]})

    def share_snapshot(self, image, account):
        permission = {"Add": [{"UserId": account}]}
        self.ec2.modify_snapshot_attribute(SnapshotId=self.snapshot_of(image), CreateVolumePermission=permission)

    def give_key(self, key, account, *actions, **condition):
        """The key's policy: the owner's account as before, and the other."""
        statements = [("Enable IAM User Permissions", self.id, ["kms:*"], {})]
        if actions:
            statements.append(("Allow an external account to use this KMS key", account, list(actions), condition))
        policy = document(
            *(
                {
                    "Sid": name,
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{number}:root"},
                    "Action": action,
                    "Resource": "*",
                    **more,
                }
                for name, number, action, more in statements
            )
        )
        self.kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)


class User:
    """A user of the account that the image is shared with, who may do everything with EC2 and nothing with KMS; the aws CLI."""

    def __init__(self, account, name, policy="arn:aws:iam::aws:policy/AmazonEC2FullAccess"):
        self.account, self.name = account, name
        self.arn = account.iam.create_user(UserName=name)["User"]["Arn"]
        account.iam.attach_user_policy(UserName=name, PolicyArn=policy)
        key = account.iam.create_access_key(UserName=name)["AccessKey"]
        self.aws = cli(account.server, account.home, (key["AccessKeyId"], key["SecretAccessKey"]))

    def policy(self, text, name="own"):
        self.account.iam.put_user_policy(UserName=self.name, PolicyName=name, PolicyDocument=text)

    def launch(self, image, *more):
        run = ("ec2", "run-instances", "--image-id", image, "--instance-type", "t3.nano", *more)
        return self.aws(*run)["Instances"][0]["InstanceId"]

    def shown(self, instance):
        return self.aws("ec2", "describe-instances", "--instance-ids", instance)["Reservations"][0]["Instances"][0]

    def settled(self, instance, state):
        """The instance, when it has got there."""
        self.account.world.wait_state(instance, state, LIMIT)
        return self.account.world.shown(instance)

    def refusal(self, instance, state="terminated"):
        """Why it did not start."""
        self.settled(instance, state)
        reason = self.shown(instance)["StateReason"]
        return reason["Code"], reason["Message"]

    def sees(self, image, *more):
        images = self.aws("ec2", "describe-images", "--filters", f"Name=image-id,Values={image}", *more)["Images"]
        return [shown["ImageId"] for shown in images] == [image]


class Account:
    """The account of those that the image is shared with: its root's CLI. Users are made, and things are waited for, by boto3: the CLI takes
    a second to start."""

    def __init__(self, amid, server, home):
        self.amid, self.server, self.home = amid, server, home
        self.id, self.key = server.account(f"user {uuid.uuid4().hex[:8]}")
        self.root = cli(server, home, self.key)
        self.iam, self.ebs = server.client("iam", key=self.key), server.client("ebs", key=self.key)
        self.world = World(server.client("ec2", key=self.key))

    def query(self, action, **parameters):
        return self.server.query(action, key=self.key, **parameters)

    def explain(self, image, principal):
        """What `amid explain launch` prints, and its exit status."""
        environment = {"AWS_ENDPOINT_URL": self.server.endpoint, "AWS_REGION": REGION}
        environment.update(AWS_ACCESS_KEY_ID=self.key[0], AWS_SECRET_ACCESS_KEY=self.key[1])
        command = [self.amid, "explain", "launch", "--image", image, "--as", principal]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert not done.stderr, done.stderr
        return done.stdout, done.returncode

    def to_mend(self, image, principal):
        """The gate that `amid explain launch` names, and what it says of it."""
        text, status = self.explain(image, principal)
        failed = [line for line in text.splitlines() if " failed " in line]
        assert status == 1 and len(failed) == 1, text
        gate = text.rsplit("to mend: ", 1)[1].strip()
        assert failed[0].startswith(gate)
        return gate, failed[0].split(" failed ", 1)[1].strip()

    def may_launch(self, image, principal):
        text, status = self.explain(image, principal)
        return status == 0 and " failed " not in text and " not reached " not in text

    def wait_image(self, image, state="available"):
        poll(lambda: self.world.shown_image(image)["State"] == state, LIMIT)
        return self.world.shown_image(image)

    def copy(self, image, *more, state="available"):
        request = ("ec2", "copy-image", "--source-region", REGION, "--source-image-id", image)
        made = self.root(*request, "--name", f"copy {uuid.uuid4().hex[:8]}", *more)["ImageId"]
        return self.wait_image(made, state)


@pytest.fixture
def owner(iam_server):
    return Owner(iam_server)


@pytest.fixture
def other(amid, iam_server, tmp_path):
    return Account(amid, iam_server, tmp_path)


@pytest.fixture
def key(owner):
    return owner.kms.create_key(Description="for golden images")["KeyMetadata"]["Arn"]


@pytest.fixture
def sealed(owner, other, key):
    """An image under the owner's key, shared with the other account in everything but the key."""
    image = owner.image(Encrypted=True, KmsKeyArn=key)
    owner.share(image, UserId=other.id)
    return image


def may_use(key, actions, **more):
    return document({"Effect": "Allow", "Action": actions, "Resource": key, **more})


def test_encrypted_image_is_launched_by_those_who_may_use_its_key(owner, other, key, sealed):
    """Key policy and IAM, as the user guide of EBS has it. An administrator of the other account asks amid why not, each time."""
    bob = User(other, "bob")
    code, message = bob.refusal(bob.launch(sealed))
    assert code == "Client.InternalError" and key in message and "kms:" in message
    gate, why = other.to_mend(sealed, bob.arn)
    assert gate == "key policy and grants" and key in why and "no resource-based policy allows" in why

    owner.give_key(key, other.id, *FIVE)
    gate, why = other.to_mend(sealed, bob.arn)
    assert gate == "key policy and grants" and "no identity-based policy allows" in why, "his account may, he may not"
    for action in FIVE:
        bob.policy(may_use(key, [other_one for other_one in FIVE if other_one != action]))
        gate, why = other.to_mend(sealed, bob.arn)
        assert gate == "key policy and grants" and action.rstrip("*") in why and key in why
    code, message = bob.refusal(bob.launch(sealed))
    assert code == "Client.InternalError" and FIVE[-1] in message and key in message
    bob.policy(may_use(key, FIVE))
    assert other.may_launch(sealed, bob.arn)

    instance = bob.launch(sealed)
    disk = bob.settled(instance, "running")["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    volume = other.world.ec2.describe_volumes(VolumeIds=[disk])["Volumes"][0]
    assert volume["Encrypted"] and f":{other.id}:" in volume["KmsKeyId"], "under his account's default key"


def test_grants_are_made_for_resources_only_if_the_policy_says_so(owner, other, key, sealed):
    """kms:GrantIsForAWSResource: EC2 makes grants for the user, the user makes none. The grant is seen by the key's owner."""
    bob = User(other, "bob")
    owner.give_key(key, other.id, *FIVE)
    only = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    bob.policy(may_use(key, [action for action in FIVE if action != "kms:CreateGrant"]), "use")
    bob.policy(may_use(key, "kms:CreateGrant", Condition=only), "attach")
    grant = ("kms", "create-grant", "--key-id", key, "--grantee-principal", bob.arn, "--operations", "Decrypt")
    with pytest.raises(RuntimeError, match="AccessDeniedException.*kms:CreateGrant"):
        bob.aws(*grant)
    root = f"DeviceName=/dev/sda1,Ebs={{Encrypted=true,KmsKeyId={key}}}"
    instance = bob.launch(sealed, "--block-device-mappings", root)
    disk = bob.settled(instance, "running")["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    mine = [grant for grant in owner.kms.list_grants(KeyId=key)["Grants"] if disk in grant["GranteePrincipal"]]
    assert [(grant["Operations"], grant["IssuingAccount"].split(":")[4]) for grant in mine] == [(["Decrypt"], other.id)]
    assert f"::{other.id}:" in mine[0]["GranteePrincipal"]


def test_grant_alone_lets_somebody_launch(owner, other, key, sealed):
    """As the user guide of Auto Scaling has it for keys of other accounts: the key policy lets the account make grants and nothing else, and its
    administrator grants the one who launches all that it takes. Nobody writes an IAM policy."""
    robot = User(other, "robot")
    owner.give_key(key, other.id, "kms:CreateGrant")
    gate, why = other.to_mend(sealed, robot.arn)
    assert gate == "key policy and grants" and "no identity-based policy allows the kms:CreateGrant" in why
    assert robot.refusal(robot.launch(sealed))[0] == "Client.InternalError"
    operations = "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext DescribeKey CreateGrant"
    create = ("kms", "create-grant", "--key-id", key, "--grantee-principal", robot.arn)
    grant = other.root(*create, "--operations", *operations.split())["GrantId"]
    assert other.may_launch(sealed, robot.arn)
    robot.settled(robot.launch(sealed), "running")
    owner.kms.revoke_grant(KeyId=key, GrantId=grant)
    code, message = robot.refusal(robot.launch(sealed))
    assert code == "Client.InternalError" and key in message


def test_copy_under_ones_own_key_outlives_the_source_and_its_key(amid, own_server, tmp_path):
    """Owner and key change; then source image, snapshot and key are deleted, and the copy has all that the source had."""
    owner, other = Owner(own_server), Account(amid, own_server, tmp_path)
    key = owner.kms.create_key()["KeyMetadata"]["Arn"]
    image = owner.image(Encrypted=True, KmsKeyArn=key)
    snapshot = owner.snapshot_of(image)
    owner.share(image, UserId=other.id)
    with pytest.raises(RuntimeError, match="do not have permission to access the storage of this ami"):
        other.copy(image)
    owner.share_snapshot(image, other.id)
    own = other.root("kms", "create-key", "--description", "own")["KeyMetadata"]["Arn"]
    anew = ("--encrypted", "--kms-key-id", own)
    failed = other.copy(image, *anew, state="failed")
    assert "Given key ID is not accessible" in json.dumps(failed) and key in json.dumps(failed)

    owner.give_key(key, other.id, *FIVE)
    copied = other.copy(image, *anew)
    assert copied["OwnerId"] == other.id != owner.world.shown_image(image)["OwnerId"]
    disk = copied["BlockDeviceMappings"][0]["Ebs"]
    copy = other.world.ec2.describe_snapshots(SnapshotIds=[disk["SnapshotId"]])["Snapshots"][0]
    assert (copy["OwnerId"], copy["Encrypted"], copy["KmsKeyId"]) == (other.id, True, own)
    assert owner.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["KmsKeyId"] == key

    owner.ec2.deregister_image(ImageId=image)
    owner.ec2.delete_snapshot(SnapshotId=snapshot)
    owner.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    clock(own_server, "POST", advance_ms=8 * DAYS)
    poll(lambda: key not in [shown["KeyArn"] for shown in owner.kms.list_keys()["Keys"]], LIMIT)
    with pytest.raises(ClientError, match="NotFoundException"):
        owner.kms.describe_key(KeyId=key)

    bob = User(other, "bob")
    bob.policy(may_use(own, FIVE))
    assert other.may_launch(copied["ImageId"], bob.arn)
    bob.settled(bob.launch(copied["ImageId"]), "running")
    assert read(other.ebs, disk["SnapshotId"]) == BLOCKS


# "Launch instances (RunInstances)", AMIs, in the example policies of the EC2 User Guide
APPROVED = """
{
   "Version": "2012-10-17",
   "Statement": [{
      "Effect": "Allow",
      "Action": "ec2:RunInstances",
      "Resource": [
         "arn:aws:ec2:us-east-1::image/ami-*"
      ],
      "Condition": {
         "StringEquals": {
            "ec2:ResourceTag/department": "dev"
         }
      }
   },
   {
      "Effect": "Allow",
      "Action": "ec2:RunInstances",
      "Resource": [
         "arn:aws:ec2:us-east-1:111122223333:instance/*",
         "arn:aws:ec2:us-east-1:111122223333:subnet/*",
         "arn:aws:ec2:us-east-1:111122223333:volume/*",
         "arn:aws:ec2:us-east-1:111122223333:network-interface/*",
         "arn:aws:ec2:us-east-1:111122223333:key-pair/*",
         "arn:aws:ec2:us-east-1:111122223333:security-group/*"
         ]
      }
   ]
}
"""


def test_user_launches_approved_images_only(owner, other):
    """Approval is the own account's: the owner of a shared image cannot approve it for others."""
    bob = User(other, "bob", "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    bob.policy(APPROVED.replace("111122223333", other.id))
    image = owner.image()
    owner.share(image, UserId=other.id)
    owner.share_snapshot(image, other.id)
    tag = ("ec2", "create-tags", "--tags", "Key=department,Value=dev", "--resources")
    owner.ec2.create_tags(Resources=[image], Tags=[{"Key": "department", "Value": "dev"}])
    with pytest.raises(RuntimeError, match="UnauthorizedOperation") as refused:
        bob.launch(image)
    encoded = str(refused.value).split("Encoded authorization failure message: ")[1].split()[0]
    opened = other.root("sts", "decode-authorization-message", "--encoded-message", encoded)["DecodedMessage"]
    told = json.loads(opened)["context"]
    assert (told["principal"]["arn"], told["action"]) == (bob.arn, "ec2:RunInstances")
    assert told["resource"] == f"arn:aws:ec2:{REGION}::image/{image}"

    copy = other.copy(image)["ImageId"]
    gate, why = other.to_mend(copy, bob.arn)
    assert gate == "approved-image policy" and copy in why
    with pytest.raises(RuntimeError, match="UnauthorizedOperation"):
        bob.aws(*tag, copy)
    other.root(*tag, copy)
    assert other.may_launch(copy, bob.arn)
    bob.settled(bob.launch(copy), "running")
    with pytest.raises(RuntimeError, match="UnauthorizedOperation"):
        bob.launch(image)


def test_image_is_made_public_when_the_account_lets_it(owner, other):
    """A new account blocks that; what is public then stays so when it blocks again, and nothing else becomes it."""
    image, second = owner.image("first"), owner.image("second")
    owned = ("--owners", owner.id, "--executable-users", "all")
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        owner.share(image, Group="all")
    bob = User(other, "bob")
    with pytest.raises(RuntimeError, match="InvalidAMIID.NotFound"):
        bob.launch(image)
    off = owner.server.query("DisableImageBlockPublicAccess", key=owner.key)
    assert off.findtext("imageBlockPublicAccessState") == "unblocked"
    owner.share(image, Group="all")
    assert bob.sees(image, *owned) and owner.world.shown_image(image)["Public"] is True
    blocked = {"ImageBlockPublicAccessState": "block-new-sharing"}
    owner.server.query("EnableImageBlockPublicAccess", key=owner.key, **blocked)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        owner.share(second, Group="all")
    assert not bob.sees(second, *owned) and bob.sees(image, *owned)
    bob.settled(bob.launch(image), "running")


def test_account_allows_images_of_those_it_trusts(owner, other):
    """Allowed images settings of the account that launches: tried out in audit mode, then enforced, then widened."""
    image, bob = owner.image(), User(other, "bob")
    owner.share(image, UserId=other.id)
    other.query("ReplaceImageCriteriaInAllowedImagesSettings", **{"ImageCriterion.1.ImageProvider.1": "amazon"})
    other.query("EnableAllowedImagesSettings", AllowedImagesSettingsState="audit-mode")
    shown = other.query("DescribeImages", **{"ImageId.1": image})
    assert shown.findtext("imagesSet/item/imageAllowed") == "false"
    assert other.may_launch(image, bob.arn)
    other.query("EnableAllowedImagesSettings", AllowedImagesSettingsState="enabled")
    assert not bob.sees(image)
    with pytest.raises(RuntimeError, match="InvalidAMIID.NotFound.*Allowed AMIs"):
        bob.launch(image)
    gate, why = other.to_mend(image, bob.arn)
    assert gate == "allowed images" and owner.id in why
    criteria = {"ImageCriterion.1.ImageProvider.1": "amazon", "ImageCriterion.2.ImageProvider.1": owner.id}
    other.query("ReplaceImageCriteriaInAllowedImagesSettings", **criteria)
    assert bob.sees(image) and other.may_launch(image, bob.arn)
    bob.settled(bob.launch(image), "running")


def test_disk_under_somebody_elses_key_starts_as_long_as_that_is_enabled(owner, other, key, sealed):
    """Whoever owns the key decides: what runs goes on, nothing starts while it is disabled."""
    owner.give_key(key, other.id, *FIVE)
    bob = User(other, "bob")
    bob.policy(may_use(key, FIVE))
    root = f"DeviceName=/dev/sda1,Ebs={{Encrypted=true,KmsKeyId={key}}}"
    instance = bob.launch(sealed, "--block-device-mappings", root)
    bob.settled(instance, "running")
    owner.kms.disable_key(KeyId=key)
    assert other.world.state(instance) == "running"
    bob.aws("ec2", "stop-instances", "--instance-ids", instance)
    bob.settled(instance, "stopped")
    start = ("ec2", "start-instances", "--instance-ids", instance)
    bob.aws(*start)
    poll(lambda: other.world.shown(instance).get("StateReason", {}).get("Code") == "Client.InvalidKMSKey.InvalidState", LIMIT)
    code, message = bob.refusal(instance, "stopped")
    assert code == "Client.InvalidKMSKey.InvalidState" and key in message
    assert other.to_mend(sealed, bob.arn)[0] == "key state"
    owner.kms.enable_key(KeyId=key)
    bob.aws(*start)
    bob.settled(instance, "running")
