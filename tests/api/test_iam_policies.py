"""IAM's policies: inline, managed with versions, attached, boundaries; by stock clients."""

import json
import urllib.parse

import pytest

ACCOUNT = "123456789012"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def allow(action="ec2:*", **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*", **more}]})


@pytest.fixture
def iam(server):
    client = server.client("iam")
    client.create_user(UserName="bob")
    client.create_group(GroupName="crew")
    client.create_role(
        RoleName="worker",
        AssumeRolePolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
            }
        ),
    )
    return client


def fails(iam, code, match=""):
    return pytest.raises(getattr(iam.exceptions, code), match=match)


@pytest.mark.parametrize("kind,name", [("user", "bob"), ("group", "crew"), ("role", "worker")])
def test_inline_policies(iam, kind, name):
    def call(verb, ending="policy", **parameters):
        return getattr(iam, f"{verb}_{kind}_{ending}")(**{f"{kind.capitalize()}Name": name, **parameters})

    call("put", PolicyName="two", PolicyDocument=allow("s3:*"))
    call("put", PolicyName="one", PolicyDocument=allow("s3:*"))
    call("put", PolicyName="one", PolicyDocument=allow("ec2:Describe*"))
    assert call("list", "policies")["PolicyNames"] == ["one", "two"]
    assert call("get", PolicyName="one")["PolicyDocument"]["Statement"][0]["Action"] == "ec2:Describe*"
    with fails(iam, "NoSuchEntityException", f"The {kind} policy with name three cannot be found"):
        call("get", PolicyName="three")
    with fails(iam, "MalformedPolicyDocumentException"):
        call("put", PolicyName="bad", PolicyDocument='{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps"}]}')
    with fails(iam, "LimitExceededException", "Maximum policy size"):
        call("put", PolicyName="big", PolicyDocument=allow([f"ec2:Action{number}" for number in range(800)]))
    call("delete", PolicyName="two")
    call("delete", PolicyName="one")
    assert call("list", "policies")["PolicyNames"] == []


def test_documents_are_percent_encoded_in_answers(server, iam):
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=allow())
    import botocore.awsrequest

    body = urllib.parse.urlencode(
        {"Action": "GetUserPolicy", "Version": "2010-05-08", "UserName": "bob", "PolicyName": "p"}
    )
    request = botocore.awsrequest.AWSRequest(
        "POST", f"{server.endpoint}/", data=body, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    status, text = server.send(request, "iam")
    assert status == 200
    assert urllib.parse.quote(allow(), safe="") in text


def test_a_managed_policy_and_its_versions(iam):
    policy = iam.create_policy(
        PolicyName="Launch", Path="/p/", PolicyDocument=allow(), Description="launches", Tags=[{"Key": "k", "Value": "v"}]
    )["Policy"]
    arn = policy["Arn"]
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/p/Launch" and policy["PolicyId"].startswith("ANPA")
    assert policy["DefaultVersionId"] == "v1" and policy["AttachmentCount"] == 0
    with fails(iam, "EntityAlreadyExistsException"):
        iam.create_policy(PolicyName="LAUNCH", PolicyDocument=allow())
    with fails(iam, "MalformedPolicyDocumentException", "2012-10-17"):
        iam.create_policy(PolicyName="old", PolicyDocument=allow().replace("2012-10-17", "2008-10-17"))

    for number in range(2, 6):
        made = iam.create_policy_version(
            PolicyArn=arn, PolicyDocument=allow(f"ec2:A{number}"), SetAsDefault=number == 3
        )["PolicyVersion"]
        assert made["VersionId"] == f"v{number}" and made["IsDefaultVersion"] == (number == 3)
    with fails(iam, "LimitExceededException", "up to 5 versions"):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow())
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [version["VersionId"] for version in versions] == ["v5", "v4", "v3", "v2", "v1"]
    document = iam.get_policy_version(PolicyArn=arn, VersionId="v4")["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Action"] == "ec2:A4"

    with fails(iam, "DeleteConflictException", "default version"):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    for version in ("v2", "v3", "v4"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow())["PolicyVersion"]["VersionId"] == "v6"
    with fails(iam, "NoSuchEntityException"):
        iam.get_policy_version(PolicyArn=arn, VersionId="v2")
    with fails(iam, "DeleteConflictException", "more than one version"):
        iam.delete_policy(PolicyArn=arn)
    for version in ("v5", "v6"):
        iam.delete_policy_version(PolicyArn=arn, VersionId=version)
    iam.delete_policy(PolicyArn=arn)
    with fails(iam, "NoSuchEntityException"):
        iam.get_policy(PolicyArn=arn)


def test_policies_are_attached_and_found(iam):
    arn = iam.create_policy(PolicyName="Mine", PolicyDocument=allow())["Policy"]["Arn"]
    iam.attach_user_policy(UserName="bob", PolicyArn=arn)
    iam.attach_user_policy(UserName="bob", PolicyArn=arn)
    iam.attach_group_policy(GroupName="crew", PolicyArn=arn)
    iam.attach_role_policy(RoleName="worker", PolicyArn=READ_ONLY)
    iam.put_role_permissions_boundary(RoleName="worker", PermissionsBoundary=arn)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 2
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 1

    found = iam.list_entities_for_policy(PolicyArn=arn)
    assert [user["UserName"] for user in found["PolicyUsers"]] == ["bob"]
    assert [group["GroupName"] for group in found["PolicyGroups"]] == ["crew"]
    assert [role["RoleName"] for role in found["PolicyRoles"]] == ["worker"]
    found = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")
    assert not found["PolicyUsers"] and found["PolicyRoles"][0]["RoleName"] == "worker"
    found = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="Group")
    assert not found["PolicyUsers"] and not found["PolicyRoles"] and found["PolicyGroups"]
    pages = iam.get_paginator("list_entities_for_policy").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 1})
    assert len(list(pages)) == 3

    assert [policy["PolicyName"] for policy in iam.list_policies(Scope="Local")["Policies"]] == ["Mine"]
    attached = iam.list_policies(OnlyAttached=True)["Policies"]
    assert [policy["PolicyName"] for policy in attached] == ["Mine", "ReadOnlyAccess"]
    boundaries = iam.list_policies(PolicyUsageFilter="PermissionsBoundary")["Policies"]
    assert [policy["PolicyName"] for policy in boundaries] == ["Mine"]

    with fails(iam, "DeleteConflictException", "attached"):
        iam.delete_policy(PolicyArn=arn)
    iam.detach_user_policy(UserName="bob", PolicyArn=arn)
    with fails(iam, "NoSuchEntityException"):
        iam.detach_user_policy(UserName="bob", PolicyArn=arn)
    iam.detach_group_policy(GroupName="crew", PolicyArn=arn)
    with fails(iam, "DeleteConflictException", "attached"):
        iam.delete_policy(PolicyArn=arn)
    iam.delete_role_permissions_boundary(RoleName="worker")
    iam.delete_policy(PolicyArn=arn)


def test_at_most_ten_policies_are_attached(iam):
    arns = [iam.create_policy(PolicyName=f"p{number}", PolicyDocument=allow())["Policy"]["Arn"] for number in range(11)]
    for arn in arns[:10]:
        iam.attach_group_policy(GroupName="crew", PolicyArn=arn)
    with fails(iam, "LimitExceededException", "PoliciesPerGroup: 10"):
        iam.attach_group_policy(GroupName="crew", PolicyArn=arns[10])
    assert len(iam.list_attached_group_policies(GroupName="crew", MaxItems=7)["AttachedPolicies"]) == 7


def test_boundaries_of_users(iam):
    iam.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=READ_ONLY)
    shown = iam.get_user(UserName="bob")["User"]["PermissionsBoundary"]
    assert shown["PermissionsBoundaryArn"] == READ_ONLY
    iam.delete_user_permissions_boundary(UserName="bob")
    assert "PermissionsBoundary" not in iam.get_user(UserName="bob")["User"]
    with fails(iam, "NoSuchEntityException"):
        iam.delete_user_permissions_boundary(UserName="bob")
    with fails(iam, "NoSuchEntityException", "not attachable"):
        iam.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=f"arn:aws:iam::{ACCOUNT}:policy/none")
    with fails(iam, "InvalidInputException"):
        iam.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=f"arn:aws:iam::{ACCOUNT}:user/bob")


def test_the_policies_of_aws(iam):
    policies = iam.list_policies(Scope="AWS")["Policies"]
    arns = {policy["Arn"] for policy in policies}
    assert {
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyForBackup",
        "arn:aws:iam::aws:policy/job-function/ViewOnlyAccess",
        "arn:aws:iam::aws:policy/EC2InstanceProfileForImageBuilder",
    } <= arns
    for arn in arns:
        version = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
        # each of them compiles
        iam.simulate_custom_policy(PolicyInputList=[json.dumps(version["Document"])], ActionNames=["ec2:RunInstances"])
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    for change in (
        lambda: iam.create_policy_version(PolicyArn=admin, PolicyDocument=allow()),
        lambda: iam.delete_policy(PolicyArn=admin),
        lambda: iam.tag_policy(PolicyArn=admin, Tags=[{"Key": "k", "Value": "v"}]),
    ):
        with pytest.raises(iam.exceptions.ClientError, match="AccessDenied"):
            change()
    with fails(iam, "PolicyNotAttachableException"):
        iam.attach_role_policy(
            RoleName="worker", PolicyArn="arn:aws:iam::aws:policy/aws-service-role/AutoScalingServiceRolePolicy"
        )


def test_tags_of_policies(iam):
    arn = iam.create_policy(PolicyName="Tagged", PolicyDocument=allow())["Policy"]["Arn"]
    iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert iam.list_policy_tags(PolicyArn=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    iam.untag_policy(PolicyArn=arn, TagKeys=["k"])
    assert iam.get_policy(PolicyArn=arn)["Policy"].get("Tags", []) == []


def test_a_change_of_any_policy_holds_with_the_next_call(iam_server):
    iam = iam_server.client("iam")
    iam.create_user(UserName="quick")
    iam.create_group(GroupName="quick")
    key = iam.create_access_key(UserName="quick")["AccessKey"]
    credentials = (key["AccessKeyId"], key["SecretAccessKey"])
    ec2, own = (iam_server.client(service, key=credentials) for service in ("ec2", "iam"))

    def allowed():
        try:
            ec2.describe_volumes()
            return True
        except ec2.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "UnauthorizedOperation"
            return False

    arn = iam.create_policy(PolicyName="quick", PolicyDocument=allow("s3:*"))["Policy"]["Arn"]
    deny = allow().replace("Allow", "Deny")
    steps = [
        (lambda: None, False),
        (lambda: iam.attach_user_policy(UserName="quick", PolicyArn=arn), False),
        (lambda: iam.create_policy_version(PolicyArn=arn, PolicyDocument=allow("ec2:Describe*"), SetAsDefault=True), True),
        (lambda: iam.set_default_policy_version(PolicyArn=arn, VersionId="v1"), False),
        (lambda: iam.put_group_policy(GroupName="quick", PolicyName="p", PolicyDocument=allow()), False),
        (lambda: iam.add_user_to_group(GroupName="quick", UserName="quick"), True),
        (lambda: iam.put_user_policy(UserName="quick", PolicyName="p", PolicyDocument=deny), False),
        (lambda: iam.delete_user_policy(UserName="quick", PolicyName="p"), True),
        (lambda: iam.put_user_permissions_boundary(UserName="quick", PermissionsBoundary=arn), False),
        (lambda: iam.set_default_policy_version(PolicyArn=arn, VersionId="v2"), True),
        (lambda: iam.delete_user_permissions_boundary(UserName="quick"), True),
        (lambda: iam.update_user(UserName="quick", NewUserName="quicker"), True),
        (lambda: iam.put_group_policy(GroupName="quick", PolicyName="p", PolicyDocument=allow("iam:*")), True),
        (lambda: iam.detach_user_policy(UserName="quicker", PolicyArn=arn), False),
    ]
    for number, (change, wanted) in enumerate(steps):
        change()
        assert allowed() == wanted, f"step {number}"
    assert own.get_user()["User"]["UserName"] == "quicker"  # the caller
    second = own.create_access_key()["AccessKey"]
    assert second["UserName"] == "quicker"
    assert len(own.list_access_keys()["AccessKeyMetadata"]) == 2
    own.update_access_key(AccessKeyId=key["AccessKeyId"], Status="Inactive")
    with pytest.raises(own.exceptions.ClientError, match="InvalidClientTokenId"):
        own.get_user()


def test_policies_for_looking_do_not_read_disks_or_secrets(iam):
    """What AWS's policies for readers leave out: whoever may look at everything does not read what is on disks, or decrypt."""
    reading = ["ebs:GetSnapshotBlock", "kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant", "ec2:CreateSnapshot", "sts:AssumeRole"]
    for name in ("ReadOnlyAccess", "job-function/ViewOnlyAccess", "SecurityAudit", "AmazonEC2ReadOnlyAccess"):
        arn = f"arn:aws:iam::aws:policy/{name}"
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        document = json.dumps(iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"])
        for action, expected in [(action, "implicitDeny") for action in reading] + [("ec2:DescribeImages", "allowed")]:
            answer = iam.simulate_custom_policy(PolicyInputList=[document], ActionNames=[action])
            assert answer["EvaluationResults"][0]["EvalDecision"] == expected, (name, action)
