"""Who may make volumes of a snapshot, and block public access: stored, shown, and followed by what others see."""

import pytest
from botocore.exceptions import ClientError
from conftest import ApiError, World

OTHER = "111122223333"


def permissions(ec2, snapshot):
    shown = ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert shown["SnapshotId"] == snapshot
    return shown["CreateVolumePermissions"]


def change(ec2, snapshot, **what):
    ec2.modify_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission", **what)


def test_permissions_are_added_shown_and_removed(ec2, world):
    snapshot = world.snapshot()
    assert permissions(ec2, snapshot) == []
    change(ec2, snapshot, CreateVolumePermission={"Add": [{"UserId": OTHER}, {"Group": "all"}, {"UserId": OTHER}]})
    assert permissions(ec2, snapshot) == [{"Group": "all"}, {"UserId": OTHER}]
    change(ec2, snapshot, CreateVolumePermission={"Remove": [{"Group": "all"}]})
    assert permissions(ec2, snapshot) == [{"UserId": OTHER}]
    change(ec2, snapshot, OperationType="add", UserIds=["444455556666"], GroupNames=["all"])
    assert {"Group": "all"} in permissions(ec2, snapshot) and {"UserId": "444455556666"} in permissions(ec2, snapshot)
    ec2.reset_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
    assert permissions(ec2, snapshot) == []


def test_there_are_no_product_codes(ec2, world):
    assert ec2.describe_snapshot_attribute(SnapshotId=world.snapshot(), Attribute="productCodes")["ProductCodes"] == []


def test_snapshots_are_found_by_who_may_restore_them(ec2, world):
    private, shared, public = (world.snapshot() for _ in range(3))
    change(ec2, shared, OperationType="add", UserIds=[OTHER])
    change(ec2, public, OperationType="add", GroupNames=["all"])

    def found(user):
        return [s["SnapshotId"] for s in ec2.describe_snapshots(RestorableByUserIds=[user], OwnerIds=["self"])["Snapshots"]]

    assert found(OTHER) == [shared] and found("all") == [public] and private not in found("self")


@pytest.mark.parametrize(
    "what",
    [
        {"OperationType": "add", "UserIds": ["12"]},
        {"OperationType": "add", "GroupNames": ["some"]},
        {"CreateVolumePermission": {"Add": [{"UserId": OTHER, "Group": "all"}]}},
        {"UserIds": [OTHER]},
    ],
)
def test_wrong_permissions_are_refused(ec2, world, what):
    snapshot = world.snapshot()
    with pytest.raises(ClientError, match="InvalidParameter|MissingParameter"):
        change(ec2, snapshot, **what)
    assert permissions(ec2, snapshot) == []


def access(raw_call, action, **parameters):
    return raw_call(f"{action}SnapshotBlockPublicAccess{'State' if action == 'Get' else ''}", **parameters).findtext("state")


def test_new_public_sharing_is_blocked(ec2, world, raw_call):
    snapshot, public = world.snapshot(), world.snapshot()
    assert access(raw_call, "Get") == "unblocked"
    change(ec2, public, OperationType="add", GroupNames=["all"])
    assert access(raw_call, "Enable", State="block-new-sharing") == "block-new-sharing"
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        change(ec2, snapshot, OperationType="add", GroupNames=["all"])
    change(ec2, snapshot, OperationType="add", UserIds=[OTHER])
    change(ec2, public, OperationType="add", UserIds=[OTHER])
    assert access(raw_call, "Disable") == access(raw_call, "Get") == "unblocked"
    change(ec2, snapshot, OperationType="add", GroupNames=["all"])
    with pytest.raises(ApiError, match="InvalidParameterValue"):
        access(raw_call, "Enable", State="unblocked")


def test_what_is_public_is_not_seen_while_all_sharing_is_blocked(iam_server, raw_call):
    import botocore.awsrequest

    root = iam_server.client("ec2")
    platform = iam_server.client("ec2", key=iam_server.credentials("platform"))
    snapshot = World(root).snapshot()

    def seen():
        return snapshot in [s["SnapshotId"] for s in platform.describe_snapshots()["Snapshots"]]

    def setting(action):
        request = botocore.awsrequest.AWSRequest(
            "POST",
            f"{iam_server.endpoint}/",
            data=f"Action={action}&Version=2016-11-15" + ("&State=block-all-sharing" if action[0] == "E" else ""),
            headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
        )
        assert iam_server.send(request)[0] == 200

    assert not seen()
    change(root, snapshot, OperationType="add", GroupNames=["all"])
    assert seen()
    copy = platform.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot)["SnapshotId"]
    setting("EnableSnapshotBlockPublicAccess")
    assert not seen() and permissions(root, snapshot) == [{"Group": "all"}]
    with pytest.raises(ClientError, match="InvalidSnapshot.NotFound"):
        platform.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=snapshot)
    setting("DisableSnapshotBlockPublicAccess")
    assert seen()
    platform.delete_snapshot(SnapshotId=copy)
    root.delete_snapshot(SnapshotId=snapshot)
