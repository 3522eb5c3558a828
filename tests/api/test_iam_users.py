"""IAM's users, their access keys and groups, by stock clients."""

import json

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"
ALLOW = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}'


@pytest.fixture
def iam(server):
    return server.client("iam")


def fails(iam, code, match=""):
    return pytest.raises(getattr(iam.exceptions, code), match=match)


def test_a_user_is_made_renamed_and_deleted(iam):
    made = iam.create_user(UserName="Bob", Path="/dev/", Tags=[{"Key": "team", "Value": ""}])["User"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/dev/Bob"
    assert made["UserId"].startswith("AIDA") and len(made["UserId"]) == 21
    assert made["Tags"] == [{"Key": "team", "Value": ""}]
    assert iam.get_user(UserName="Bob")["User"] == made

    with fails(iam, "EntityAlreadyExistsException", "User with name BOB already exists"):
        iam.create_user(UserName="BOB")
    with fails(iam, "NoSuchEntityException", "The user with name eve cannot be found"):
        iam.get_user(UserName="eve")
    with pytest.raises(iam.exceptions.ClientError, match="ValidationError.*userName"):
        iam.create_user(UserName="a b")
    with pytest.raises(iam.exceptions.ClientError, match="ValidationError.*path"):
        iam.create_user(UserName="eve", Path="/no-end")

    iam.update_user(UserName="Bob", NewUserName="Robert", NewPath="/ops/")
    renamed = iam.get_user(UserName="Robert")["User"]
    assert renamed["UserId"] == made["UserId"] and renamed["Arn"].endswith(":user/ops/Robert")
    iam.create_user(UserName="bob")
    with fails(iam, "EntityAlreadyExistsException"):
        iam.update_user(UserName="bob", NewUserName="ROBERT")
    iam.delete_user(UserName="bob")
    iam.delete_user(UserName="Robert")
    assert iam.list_users()["Users"] == []


def test_the_caller_is_the_user_that_is_not_named(iam):
    assert iam.get_user()["User"]["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_lists_of_users_come_in_pages_and_by_path(iam):
    for number in range(7):
        iam.create_user(UserName=f"user-{number}", Path="/even/" if number % 2 == 0 else "/odd/")
    names, marker, pages = [], {}, 0
    while marker is not None:
        answer = iam.list_users(MaxItems=3, **marker)
        names += [user["UserName"] for user in answer["Users"]]
        marker = {"Marker": answer["Marker"]} if answer["IsTruncated"] else None
        pages += 1
    assert names == [f"user-{number}" for number in range(7)] and pages == 3
    assert len(iam.list_users(PathPrefix="/even/")["Users"]) == 4
    assert iam.list_users(PathPrefix="/o")["Users"][0]["UserName"] == "user-1"
    with pytest.raises(iam.exceptions.ClientError, match="ValidationError"):
        iam.list_users(Marker="made-up")


def test_a_user_with_anything_left_is_not_deleted(iam):
    iam.create_user(UserName="carl")
    iam.create_group(GroupName="crew")
    key = iam.create_access_key(UserName="carl")["AccessKey"]["AccessKeyId"]
    iam.put_user_policy(UserName="carl", PolicyName="own", PolicyDocument=ALLOW)
    iam.attach_user_policy(UserName="carl", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.add_user_to_group(UserName="carl", GroupName="crew")
    undo = [
        ("detach all policies", lambda: iam.detach_user_policy(UserName="carl", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")),
        ("delete policies", lambda: iam.delete_user_policy(UserName="carl", PolicyName="own")),
        ("delete access keys", lambda: iam.delete_access_key(UserName="carl", AccessKeyId=key)),
        ("groups", lambda: iam.remove_user_from_group(UserName="carl", GroupName="crew")),
    ]
    for why, remove in undo:
        with fails(iam, "DeleteConflictException", why):
            iam.delete_user(UserName="carl")
        remove()
    iam.delete_user(UserName="carl")


def test_a_user_has_at_most_two_access_keys(iam):
    iam.create_user(UserName="dora")
    first = iam.create_access_key(UserName="dora")["AccessKey"]
    second = iam.create_access_key(UserName="dora")["AccessKey"]
    assert first["AccessKeyId"].startswith("AKIA") and len(first["AccessKeyId"]) == 20
    assert len(first["SecretAccessKey"]) == 40 and first["SecretAccessKey"] != second["SecretAccessKey"]
    with fails(iam, "LimitExceededException", "AccessKeysPerUser: 2"):
        iam.create_access_key(UserName="dora")

    iam.update_access_key(UserName="dora", AccessKeyId=first["AccessKeyId"], Status="Inactive")
    iam.update_user(UserName="dora", NewUserName="dorothea")
    shown = iam.list_access_keys(UserName="dorothea")["AccessKeyMetadata"]
    assert {key["AccessKeyId"]: key["Status"] for key in shown} == {
        first["AccessKeyId"]: "Inactive",
        second["AccessKeyId"]: "Active",
    }
    assert all(key["UserName"] == "dorothea" and "SecretAccessKey" not in key for key in shown)
    used = iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])
    assert used["UserName"] == "dorothea" and used["AccessKeyLastUsed"]["ServiceName"] == "N/A"

    iam.create_user(UserName="dora")  # the name is free again, the keys are not hers
    assert iam.list_access_keys(UserName="dora")["AccessKeyMetadata"] == []
    with fails(iam, "NoSuchEntityException"):
        iam.delete_access_key(UserName="dora", AccessKeyId=first["AccessKeyId"])
    for key in (first, second):
        iam.delete_access_key(UserName="dorothea", AccessKeyId=key["AccessKeyId"])


def test_secrets_are_not_in_the_metadata_in_the_clear(server, iam):
    iam.create_user(UserName="fay")
    key = iam.create_access_key(UserName="fay")["AccessKey"]
    stored = b"".join(path.read_bytes() for path in server.data.glob("meta.db*"))
    assert key["AccessKeyId"].encode() in stored
    assert key["SecretAccessKey"].encode() not in stored
    iam.delete_access_key(UserName="fay", AccessKeyId=key["AccessKeyId"])


def test_groups_have_members_and_keep_them_when_renamed(iam):
    group = iam.create_group(GroupName="Admins", Path="/g/")["Group"]
    assert group["GroupId"].startswith("AGPA") and group["Arn"].endswith(":group/g/Admins")
    for name in ("ann", "ben"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="Admins", UserName=name)
    iam.add_user_to_group(GroupName="Admins", UserName="ann")  # again: nothing changes
    iam.update_group(GroupName="Admins", NewGroupName="Owners")
    members = iam.get_group(GroupName="Owners")
    assert members["Group"]["GroupId"] == group["GroupId"]
    assert [user["UserName"] for user in members["Users"]] == ["ann", "ben"]
    assert [shown["GroupName"] for shown in iam.list_groups_for_user(UserName="ann")["Groups"]] == ["Owners"]
    with fails(iam, "NoSuchEntityException"):
        iam.get_group(GroupName="Admins")
    with fails(iam, "DeleteConflictException", "remove users"):
        iam.delete_group(GroupName="Owners")
    for name in ("ann", "ben"):
        iam.remove_user_from_group(GroupName="Owners", UserName=name)
    iam.delete_group(GroupName="Owners")
    assert iam.list_groups()["Groups"] == []


def test_a_user_is_in_at_most_ten_groups(iam):
    iam.create_user(UserName="gus")
    for number in range(11):
        iam.create_group(GroupName=f"g{number}")
    for number in range(10):
        iam.add_user_to_group(GroupName=f"g{number}", UserName="gus")
    with fails(iam, "LimitExceededException", "GroupsPerUser: 10"):
        iam.add_user_to_group(GroupName="g10", UserName="gus")


def test_tags_of_users(iam):
    iam.create_user(UserName="hal")
    iam.tag_user(UserName="hal", Tags=[{"Key": "Stage", "Value": "test"}, {"Key": "b", "Value": "2"}])
    iam.tag_user(UserName="hal", Tags=[{"Key": "stage", "Value": "live"}])
    assert iam.list_user_tags(UserName="hal")["Tags"] == [{"Key": "b", "Value": "2"}, {"Key": "stage", "Value": "live"}]
    with fails(iam, "InvalidInputException", "Duplicate tag keys"):
        iam.tag_user(UserName="hal", Tags=[{"Key": "x", "Value": ""}, {"Key": "X", "Value": ""}])
    with fails(iam, "InvalidInputException", "aws:"):
        iam.tag_user(UserName="hal", Tags=[{"Key": "aws:x", "Value": ""}])
    iam.tag_user(UserName="hal", Tags=[{"Key": f"k{number}", "Value": ""} for number in range(48)])
    with fails(iam, "LimitExceededException"):
        iam.tag_user(UserName="hal", Tags=[{"Key": "one more", "Value": ""}])
    iam.untag_user(UserName="hal", TagKeys=["STAGE", *[f"k{number}" for number in range(48)]])
    assert iam.list_user_tags(UserName="hal")["Tags"] == [{"Key": "b", "Value": "2"}]


def test_the_cli_makes_users(aws):
    assert aws("iam", "create-user", "--user-name", "cli")["User"]["UserName"] == "cli"
    with pytest.raises(RuntimeError, match="EntityAlreadyExists"):
        aws("iam", "create-user", "--user-name", "cli")


def test_what_a_restart_keeps(own_server):
    own_server.client("iam").create_user(UserName="ida", Path="/x/")
    own_server.restart()
    assert own_server.client("iam").get_user(UserName="ida")["User"]["Path"] == "/x/"


def test_a_new_name_needs_the_permission_for_both(iam_server):
    """Whoever may change users below one path does not move them out of it, or others' names over to them."""
    iam = iam_server.client("iam")
    iam.create_user(UserName="renamer")
    iam.create_user(UserName="low", Path="/low/")
    iam.create_group(GroupName="low", Path="/low/")
    account = iam.get_user(UserName="renamer")["User"]["Arn"].split(":")[4]
    statement = {
        "Effect": "Allow",
        "Action": ["iam:UpdateUser", "iam:UpdateGroup"],
        "Resource": [f"arn:aws:iam::{account}:user/low/*", f"arn:aws:iam::{account}:group/low/*"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="renamer", PolicyName="p", PolicyDocument=document)
    made = iam.create_access_key(UserName="renamer")["AccessKey"]
    renamer = iam_server.client("iam", key=(made["AccessKeyId"], made["SecretAccessKey"]))
    for call in (
        lambda: renamer.update_user(UserName="low", NewPath="/admin/"),
        lambda: renamer.update_user(UserName="low", NewPath="/", NewUserName="high"),
        lambda: renamer.update_group(GroupName="low", NewPath="/admin/"),
    ):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "AccessDenied"
    renamer.update_user(UserName="low", NewUserName="lower")
    renamer.update_group(GroupName="low", NewPath="/low/er/", NewGroupName="lower")
