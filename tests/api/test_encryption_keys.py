"""What KMS allows and refuses decides about disks: keys that are disabled, being deleted or not granted; other accounts."""

import concurrent.futures
import json

import pytest
from botocore.exceptions import ClientError
from conftest import World, poll
from test_ebs_direct import read, refused, write
from test_encryption import BLOCKS, copy_of, shown_snapshot, shown_volume, snapshot_of, volume_of


@pytest.fixture
def kms(server):
    return server.client("kms")


@pytest.fixture
def key(kms):
    return kms.create_key()["KeyMetadata"]["Arn"]


def grants(kms, key):
    return kms.list_grants(KeyId=key)["Grants"]


def sealed_root(key):
    return [{"DeviceName": "/dev/sda1", "Ebs": {"Encrypted": True, "KmsKeyId": key}}]


def reason(world, instance):
    return world.shown(instance).get("StateReason", {})


def wait_refused(world, instance, state):
    poll(lambda: world.state(instance) == state and reason(world, instance).get("Code", "").startswith("Client.In"), 60)
    return reason(world, instance)["Code"]


def test_instance_whose_key_is_disabled_runs_on_but_does_not_start(ec2, world, kms, key, ebs):
    instance = world.instance(image=world.image(snapshot=write(ebs, BLOCKS)), BlockDeviceMappings=sealed_root(key))
    kms.disable_key(KeyId=key)
    ec2.reboot_instances(InstanceIds=[instance])
    assert world.state(instance) == "running"
    ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped", 60)
    ec2.start_instances(InstanceIds=[instance])
    assert wait_refused(world, instance, "stopped") == "Client.InvalidKMSKey.InvalidState"
    kms.enable_key(KeyId=key)
    ec2.start_instances(InstanceIds=[instance])
    world.wait_state(instance, "running", 60)
    assert "InvalidKMSKey" not in str(reason(world, instance))


def test_instance_whose_key_is_being_deleted_does_not_start(ec2, world, kms, key):
    instance = world.instance(BlockDeviceMappings=sealed_root(key))
    ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped", 60)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    ec2.start_instances(InstanceIds=[instance])
    assert wait_refused(world, instance, "stopped") == "Client.InvalidKMSKey.InvalidState"


def test_instance_whose_grant_was_revoked_does_not_start(ec2, world, kms, key):
    instance = world.instance(BlockDeviceMappings=sealed_root(key))
    volume = world.devices(instance)["/dev/sda1"]["VolumeId"]
    mine = [grant for grant in grants(kms, key) if volume in grant["GranteePrincipal"]]
    assert [grant["Operations"] for grant in mine] == [["Decrypt"]]
    ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped", 60)
    kms.revoke_grant(KeyId=key, GrantId=mine[0]["GrantId"])
    ec2.start_instances(InstanceIds=[instance])
    assert wait_refused(world, instance, "stopped") == "Client.InternalError"


def test_launch_under_a_disabled_key_ends_with_the_reason(ec2, world, kms, key):
    kms.disable_key(KeyId=key)
    instance = world.run(wait="terminated", BlockDeviceMappings=sealed_root(key))[0]
    assert reason(world, instance)["Code"] == "Client.InvalidKMSKey.InvalidState"
    assert shown_volume(ec2, volume_of(ec2, Encrypted=True, KmsKeyId=key))["State"] == "error"


def test_grants_go_with_what_they_were_for(ec2, ebs, kms, key):
    """Also those of copies, uploads and twins, once these are made."""
    sealed = copy_of(ec2, write(ebs, BLOCKS), Encrypted=True, KmsKeyId=key)
    write(ebs, BLOCKS, Encrypted=True, KmsKeyArn=key)
    poll(lambda: not grants(kms, key), 30)
    volumes = [volume_of(ec2, sealed), volume_of(ec2, write(ebs, BLOCKS), Encrypted=True, KmsKeyId=key)]
    poll(lambda: len(grants(kms, key)) == 2, 30)
    for volume in volumes:
        ec2.delete_volume(VolumeId=volume)
    poll(lambda: not grants(kms, key), 30)


def test_blocks_of_a_snapshot_are_not_read_without_its_key(ebs, kms, key):
    snapshot = write(ebs, BLOCKS, Encrypted=True, KmsKeyArn=key)
    block = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]
    kms.disable_key(KeyId=key)
    refused("ValidationException", ebs.get_snapshot_block, SnapshotId=snapshot, **block)
    kms.enable_key(KeyId=key)
    assert read(ebs, snapshot) == BLOCKS


def test_asymmetric_key_is_no_key_for_disks(ec2, kms):
    rsa = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["Arn"]
    refused("InvalidParameterValue", ec2.modify_ebs_default_kms_key_id, KmsKeyId=rsa)
    assert shown_volume(ec2, volume_of(ec2, Encrypted=True, KmsKeyId=rsa))["State"] == "error"


def test_root_volume_of_an_encrypted_instance_is_replaced(ec2, ebs, world, key):
    instance = world.instance(image=world.image(snapshot=write(ebs, BLOCKS)), BlockDeviceMappings=sealed_root(key))

    def root():
        return world.devices(instance)["/dev/sda1"]["VolumeId"]

    def replace(**source):
        old = root()
        ec2.create_replace_root_volume_task(InstanceId=instance, **source)
        poll(lambda: root() != old and world.state(instance) == "running", 60)
        shown = shown_volume(ec2, root())
        assert shown["Encrypted"] and shown["KmsKeyId"] == key
        made = snapshot_of(ec2, root())
        assert read(ebs, made) == BLOCKS
        return made

    replace()
    replace(SnapshotId=replace())


def test_aliases_and_ids_name_keys(ec2, kms, key):
    kms.create_alias(AliasName="alias/disks", TargetKeyId=key)
    for name in ("alias/disks", key.split("/")[1], key.rsplit(":", 1)[0] + ":alias/disks"):
        assert shown_volume(ec2, volume_of(ec2, Encrypted=True, KmsKeyId=name))["KmsKeyId"] == key


@pytest.fixture
def owner(iam_server):
    return iam_server.client("ec2")


@pytest.fixture
def other(iam_server, second_key):
    """The second account: clients by service."""
    return {service: iam_server.client(service, key=second_key) for service in ("ec2", "ebs", "kms", "sts")}


def allow(kms, key, account, *actions):
    """The key's policy as it was, with a statement for another account."""
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    principal = {"AWS": f"arn:aws:iam::{account}:root"}
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*"}
    policy["Statement"] = [*policy["Statement"][:1], statement]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))


def test_shared_encrypted_image_needs_its_key_and_becomes_the_others(iam_server, owner, other):
    """Shared, it does not launch without the key; with it, its disk is the launcher's, under a key of theirs."""
    kms, ebs, account = iam_server.client("kms"), iam_server.client("ebs"), other["sts"].get_caller_identity()["Account"]
    key = kms.create_key()["KeyMetadata"]["Arn"]
    mine, theirs = World(owner), World(other["ec2"])
    snapshot = write(ebs, BLOCKS, Encrypted=True, KmsKeyArn=key)
    image = mine.image(f"sealed {snapshot}", snapshot=snapshot)
    owner.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": account}]})
    owner.modify_snapshot_attribute(
        SnapshotId=snapshot, CreateVolumePermission={"Add": [{"UserId": account}]}
    )
    refused_launch = theirs.run(image=image, wait="terminated")[0]
    assert reason(theirs, refused_launch)["Code"] == "Client.InternalError"
    assert shown_volume(other["ec2"], volume_of(other["ec2"], snapshot))["State"] == "error"
    allow(kms, key, account, "kms:DescribeKey", "kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
    instance = theirs.instance(image=image)
    volume = theirs.devices(instance)["/dev/sda1"]["VolumeId"]
    managed = other["kms"].describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["Arn"]
    assert shown_volume(other["ec2"], volume)["KmsKeyId"] == managed != key
    copy = copy_of(other["ec2"], snapshot)
    assert shown_snapshot(other["ec2"], copy)["KmsKeyId"] == managed and read(other["ebs"], copy) == BLOCKS
    # the key is taken away: what is theirs stays, nothing new is made
    allow(kms, key, account, "kms:DescribeKey")
    again = theirs.run(image=image, wait="terminated")[0]
    assert reason(theirs, again)["Code"] == "Client.InternalError"
    assert read(other["ebs"], snapshot_of(other["ec2"], volume)) == BLOCKS
    owner.deregister_image(ImageId=image)
    owner.delete_snapshot(SnapshotId=snapshot)
    assert read(other["ebs"], copy) == BLOCKS
    other["ec2"].terminate_instances(InstanceIds=[instance])
    theirs.wait_state(instance, "terminated", 60)


def test_what_is_under_the_managed_key_is_not_shared(iam_server, owner, other):
    account = other["sts"].get_caller_identity()["Account"]
    snapshot = write(iam_server.client("ebs"), BLOCKS, Encrypted=True)
    image = World(owner).image(f"managed {snapshot}", snapshot=snapshot)
    permission = {"Add": [{"UserId": account}]}
    refused("InvalidParameter", owner.modify_snapshot_attribute, SnapshotId=snapshot, CreateVolumePermission=permission)
    refused("InvalidParameter", owner.modify_image_attribute, ImageId=image, LaunchPermission=permission)


def test_caller_needs_rights_to_the_key_of_its_own_account(iam_server, owner):
    """A user who may do everything with EC2, and nothing with KMS."""
    iam, kms = iam_server.client("iam"), iam_server.client("kms")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    iam.create_user(UserName="disks")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="disks", PolicyName="ec2", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName="disks")["AccessKey"]
    ec2 = iam_server.client("ec2", key=(made["AccessKeyId"], made["SecretAccessKey"]))
    assert shown_volume(ec2, volume_of(ec2, Encrypted=True, KmsKeyId=key))["State"] == "error"
    assert shown_volume(ec2, volume_of(ec2, Encrypted=True))["State"] == "available"  # aws/ebs is for all of the account
    failed = copy_of(ec2, snapshot_of(ec2, volume_of(ec2, Encrypted=True)), Encrypted=True, KmsKeyId=key)
    assert "Given key ID is not accessible" in shown_snapshot(ec2, failed)["StateMessage"]
    policy["Statement"][0]["Action"] = ["ec2:*", "kms:GenerateDataKeyWithoutPlaintext", "kms:CreateGrant"]
    iam.put_user_policy(UserName="disks", PolicyName="ec2", PolicyDocument=json.dumps(policy))
    assert shown_volume(ec2, volume_of(ec2, Encrypted=True, KmsKeyId=key))["State"] == "available"


def test_to_read_blocks_one_must_be_allowed_to_decrypt(iam_server):
    """... and nothing else: a right to make grants is none to see what is in a snapshot, and reading leaves no grant behind."""
    iam, kms, root = (iam_server.client(name) for name in ("iam", "kms", "ebs"))
    key = kms.create_key()["KeyMetadata"]["Arn"]
    snapshot = write(root, BLOCKS, Encrypted=True, KmsKeyArn=key)
    iam.create_user(UserName="blocks")
    made = iam.create_access_key(UserName="blocks")["AccessKey"]
    ebs = iam_server.client("ebs", key=(made["AccessKeyId"], made["SecretAccessKey"]))

    def permit(*actions):
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
        iam.put_user_policy(UserName="blocks", PolicyName="p", PolicyDocument=json.dumps(policy))

    before = kms.list_grants(KeyId=key)["Grants"]
    permit("ebs:*", "kms:CreateGrant")
    block = ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"][0]
    refused("AccessDeniedException", ebs.get_snapshot_block, SnapshotId=snapshot, **block)
    permit("ebs:*", "kms:Decrypt")
    assert read(ebs, snapshot) == BLOCKS
    assert kms.list_grants(KeyId=key)["Grants"] == before


def test_a_call_that_is_run_again_leaves_no_grant_behind(iam_server):
    """Many at once ask for the same snapshot: one makes it, and only that one's grant stays."""
    kms, ebs = iam_server.client("kms"), iam_server.client("ebs")
    key = kms.create_key()["KeyMetadata"]["Arn"]

    def begin(token):
        return ebs.start_snapshot(VolumeSize=1, ClientToken=token, Encrypted=True, KmsKeyArn=key)["SnapshotId"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        made = {start.result() for start in [pool.submit(begin, f"{key}-{i}") for i in range(6) for _ in range(8)]}
    assert len(made) == 6
    grantees = [grant["GranteePrincipal"].split("/")[-1] for grant in kms.list_grants(KeyId=key)["Grants"]]
    assert sorted(grantees) == sorted(made)
