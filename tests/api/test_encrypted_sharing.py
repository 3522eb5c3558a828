"""Encrypted images of another account: launched and copied only by those who may use the key as well."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import World
from test_copy_image import copy, shown
from test_ebs_direct import block_of, write
from test_sharing import account, launch, share

NEEDED = ["kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]


@pytest.fixture
def owner(iam_server):
    return World(iam_server.client("ec2"))


@pytest.fixture
def user(iam_server, second_key):
    return World(iam_server.client("ec2", key=second_key))


def policy(owner, *others):
    statements = [{"Effect": "Allow", "Principal": {"AWS": owner}, "Action": "kms:*", "Resource": "*"}]
    statements += [{"Effect": "Allow", "Principal": {"AWS": other}, "Action": NEEDED, "Resource": "*"} for other in others]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


class Sealed:
    """An image of the owner whose disk is under a key of the owner, shared with the user in everything but the key."""

    def __init__(self, server, owner, user, wait_for, **encryption):
        self.kms, self.owner, self.user = server.client("kms"), owner, user
        self.plain = owner.image(f"plain {uuid.uuid4().hex}", write(server.client("ebs"), {1: block_of("sealed")}))
        self.image = copy(owner, self.plain, wait_for, Encrypted=True, **encryption)
        self.snapshot = owner.shown_image(self.image)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]

    def share(self):
        share(self.owner, self.image, UserId=account(self.user))
        self.owner.ec2.modify_snapshot_attribute(
            SnapshotId=self.snapshot,
            Attribute="createVolumePermission",
            OperationType="add",
            UserIds=[account(self.user)],
        )

    def remove(self):
        for image in (self.plain, self.image):
            self.owner.ec2.deregister_image(ImageId=image)
        self.owner.ec2.delete_snapshot(SnapshotId=self.snapshot)


def state_of(world, image, wait_for):
    """What becomes of a launch: running, or the reason why not."""
    instance = launch(world, image)["Instances"][0]["InstanceId"]
    wait_for(lambda: world.state(instance) in ("running", "terminated"), 60)
    found = world.shown(instance)
    world.ec2.terminate_instances(InstanceIds=[instance])
    return found["State"]["Name"] if found["State"]["Name"] == "running" else found["StateReason"]["Code"]


def test_image_under_a_shared_key_is_launched_and_copied(iam_server, owner, user, wait_for):
    kms = iam_server.client("kms")
    key = kms.create_key(Policy=policy(account(owner)))["KeyMetadata"]["Arn"]
    sealed = Sealed(iam_server, owner, user, wait_for, KmsKeyId=key)
    mapping = owner.shown_image(sealed.image)["BlockDeviceMappings"][0]["Ebs"]
    assert mapping["Encrypted"] is True and "KmsKeyId" not in mapping
    sealed.share()
    assert state_of(user, sealed.image, wait_for).startswith("Client.")
    failed = user.ec2.copy_image(SourceRegion="us-east-1", SourceImageId=sealed.image, Name=f"failed {uuid.uuid4().hex}")["ImageId"]
    wait_for(lambda: user.shown_image(failed)["State"] == "failed", 60)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy(account(owner), account(user)))
    assert state_of(user, sealed.image, wait_for) == "running"
    made = copy(user, sealed.image, wait_for)
    snapshot = user.shown_image(made)["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    copied = user.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]
    assert copied["Encrypted"] and copied["KmsKeyId"] != key and account(user) in copied["KmsKeyId"]
    sealed.remove()
    kms.disable_key(KeyId=key)
    assert state_of(user, made, wait_for) == "running", "the copy needs nothing of its source any more"


def test_encrypted_image_is_not_made_public(iam_server, owner, user, wait_for):
    iam_server.query("DisableImageBlockPublicAccess")
    key = iam_server.client("kms").create_key()["KeyMetadata"]["Arn"]
    sealed = Sealed(iam_server, owner, user, wait_for, KmsKeyId=key)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        share(owner, sealed.image, Group="all")
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        owner.ec2.modify_snapshot_attribute(
            SnapshotId=sealed.snapshot, Attribute="createVolumePermission", OperationType="add", GroupNames=["all"]
        )
    sealed.remove()


def test_disk_under_the_managed_key_is_not_shared(iam_server, owner, user, wait_for):
    sealed = Sealed(iam_server, owner, user, wait_for)
    with pytest.raises(ClientError, match="InvalidParameter.*default key"):
        share(owner, sealed.image, UserId=account(user))
    with pytest.raises(ClientError, match="InvalidParameter.*default key"):
        sealed.share()
    sealed.remove()
