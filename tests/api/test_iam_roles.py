"""IAM's roles, service-linked roles and instance profiles, by stock clients."""

import json

import pytest

ACCOUNT = "123456789012"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"},
    }
)


@pytest.fixture
def iam(server):
    return server.client("iam")


def fails(iam, code, match=""):
    return pytest.raises(getattr(iam.exceptions, code), match=match)


def test_a_role_is_made_changed_and_deleted(iam):
    made = iam.create_role(
        RoleName="Worker",
        Path="/jobs/",
        AssumeRolePolicyDocument=TRUST,
        Description="works",
        MaxSessionDuration=7200,
        PermissionsBoundary="arn:aws:iam::aws:policy/PowerUserAccess",
        Tags=[{"Key": "k", "Value": "v"}],
    )["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/jobs/Worker" and made["RoleId"].startswith("AROA")
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert iam.get_role(RoleName="Worker")["Role"]["MaxSessionDuration"] == 7200

    iam.update_role(RoleName="Worker", MaxSessionDuration=3600)
    assert iam.get_role(RoleName="Worker")["Role"]["Description"] == "works"
    assert iam.update_role_description(RoleName="Worker", Description="")["Role"].get("Description", "") == ""
    other = TRUST.replace("ec2.amazonaws.com", "lambda.amazonaws.com")
    iam.update_assume_role_policy(RoleName="Worker", PolicyDocument=other)
    assert iam.get_role(RoleName="Worker")["Role"]["AssumeRolePolicyDocument"] == json.loads(other)
    iam.tag_role(RoleName="Worker", Tags=[{"Key": "l", "Value": "w"}])
    iam.untag_role(RoleName="Worker", TagKeys=["k"])
    assert iam.list_role_tags(RoleName="Worker")["Tags"] == [{"Key": "l", "Value": "w"}]

    with fails(iam, "EntityAlreadyExistsException", "Role with name worker already exists"):
        iam.create_role(RoleName="worker", AssumeRolePolicyDocument=TRUST)
    with fails(iam, "MalformedPolicyDocumentException"):
        iam.create_role(RoleName="r2", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]')
    with fails(iam, "MalformedPolicyDocumentException"):  # a trust policy names no resource
        iam.update_assume_role_policy(
            RoleName="Worker",
            PolicyDocument='{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}}',
        )
    iam.delete_role(RoleName="Worker")
    assert iam.list_roles()["Roles"] == []


def test_a_trusted_user_is_not_whoever_gets_its_name_later(iam):
    def trust(*names):
        users = [f"arn:aws:iam::{ACCOUNT}:user/{name}" for name in names]
        allowed = {"Effect": "Allow", "Principal": {"AWS": users}, "Action": "sts:AssumeRole"}
        return json.dumps({"Version": "2012-10-17", "Statement": [allowed]})

    def trusted():
        policy = iam.get_role(RoleName="target")["Role"]["AssumeRolePolicyDocument"]
        return policy["Statement"][0]["Principal"]["AWS"]

    first = iam.create_user(UserName="pat")["User"]
    iam.create_user(UserName="quinn", Path="/x/")
    with fails(iam, "MalformedPolicyDocumentException", "Invalid principal in policy.*user/nobody"):
        iam.create_role(RoleName="target", AssumeRolePolicyDocument=trust("pat", "nobody"))
    with fails(iam, "MalformedPolicyDocumentException", "Invalid principal"):  # with another path
        iam.create_role(RoleName="target", AssumeRolePolicyDocument=trust("quinn"))
    iam.create_role(RoleName="target", AssumeRolePolicyDocument=trust("pat", "x/quinn"))
    assert trusted() == [first["Arn"], f"arn:aws:iam::{ACCOUNT}:user/x/quinn"]
    iam.update_user(UserName="quinn", NewUserName="robin")
    iam.delete_user(UserName="pat")
    iam.create_user(UserName="pat")
    assert trusted() == [first["UserId"], f"arn:aws:iam::{ACCOUNT}:user/x/robin"]


def test_an_instance_profile_has_one_role(iam):
    profile = iam.create_instance_profile(InstanceProfileName="web", Path="/x/")["InstanceProfile"]
    assert profile["Roles"] == [] and profile["InstanceProfileId"].startswith("AIPA")
    assert profile["Arn"] == f"arn:aws:iam::{ACCOUNT}:instance-profile/x/web"
    for name in ("one", "two"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    with fails(iam, "NoSuchEntityException", "role with name three"):
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="three")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="one")
    with fails(iam, "LimitExceededException"):
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="two")
    shown = iam.get_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    assert [role["RoleName"] for role in shown["Roles"]] == ["one"]
    listed = iam.list_instance_profiles_for_role(RoleName="one")["InstanceProfiles"]
    assert [each["InstanceProfileName"] for each in listed] == ["web"]
    assert iam.list_instance_profiles_for_role(RoleName="two")["InstanceProfiles"] == []
    iam.tag_instance_profile(InstanceProfileName="web", Tags=[{"Key": "k", "Value": "v"}])
    assert iam.list_instance_profile_tags(InstanceProfileName="web")["Tags"] == [{"Key": "k", "Value": "v"}]
    iam.untag_instance_profile(InstanceProfileName="web", TagKeys=["k"])

    with fails(iam, "DeleteConflictException", "instance profile"):
        iam.delete_role(RoleName="one")
    with fails(iam, "DeleteConflictException", "remove roles"):
        iam.delete_instance_profile(InstanceProfileName="web")
    with fails(iam, "NoSuchEntityException"):
        iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="two")
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="one")
    iam.delete_role(RoleName="one")
    iam.delete_instance_profile(InstanceProfileName="web")
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


def test_a_service_linked_role_is_its_service_s(iam):
    role = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", Description="scales")["Role"]
    name = role["RoleName"]
    assert role["Path"] == "/aws-service-role/autoscaling.amazonaws.com/" and name == "AWSServiceRoleForAutoScaling"
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AutoScalingServiceRolePolicy"]
    with fails(iam, "InvalidInputException", "has been taken"):
        iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    second = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="two")["Role"]
    assert second["RoleName"] == f"{name}_two"
    with fails(iam, "InvalidInputException"):
        iam.create_service_linked_role(AWSServiceName="nothing.amazonaws.com")
    for change in (
        lambda: iam.delete_role(RoleName=name),
        lambda: iam.update_assume_role_policy(RoleName=name, PolicyDocument=TRUST),
        lambda: iam.detach_role_policy(RoleName=name, PolicyArn=attached[0]["PolicyArn"]),
        lambda: iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=TRUST),
    ):
        with fails(iam, "UnmodifiableEntityException"):
            change()
    iam.update_role_description(RoleName=name, Description="other words")
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    with fails(iam, "NoSuchEntityException"):
        iam.get_role(RoleName=name)
    with fails(iam, "NoSuchEntityException"):
        iam.get_service_linked_role_deletion_status(DeletionTaskId="made/up")
