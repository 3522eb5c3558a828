"""What IAM says of an account, and simulations, by stock clients."""

import json

import pytest

ACCOUNT = "123456789012"
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=1)


def statement(effect, action, resource="*", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


@pytest.fixture
def iam(server):
    return server.client("iam")


def test_an_account_has_one_alias(iam, server):
    for alias in ("-begins", "ends-", "two--hyphens", "Capital"):
        with pytest.raises(iam.exceptions.ClientError, match="ValidationError|Invalid"):
            iam.create_account_alias(AccountAlias=alias)
    iam.create_account_alias(AccountAlias="first")
    iam.create_account_alias(AccountAlias="second")
    assert iam.list_account_aliases()["AccountAliases"] == ["second"]
    with pytest.raises(iam.exceptions.EntityAlreadyExistsException):
        iam.create_account_alias(AccountAlias="amazon")  # the platform's
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.delete_account_alias(AccountAlias="first")
    iam.delete_account_alias(AccountAlias="second")
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_summary_and_authorization_details(iam):
    iam.create_group(GroupName="crew")
    iam.create_user(UserName="bob", Tags=[{"Key": "k", "Value": "v"}])
    iam.add_user_to_group(UserName="bob", GroupName="crew")
    iam.put_user_policy(UserName="bob", PolicyName="own", PolicyDocument=document(statement("Allow", "ec2:*")))
    iam.attach_group_policy(GroupName="crew", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    summary = iam.get_account_summary()["SummaryMap"]
    assert summary["Users"] == 1 and summary["Groups"] == 1 and summary["Roles"] == 0
    assert summary["UsersQuota"] == 5000 and summary["VersionsPerPolicyQuota"] == 5

    details = iam.get_account_authorization_details()
    bob = details["UserDetailList"][0]
    assert bob["GroupList"] == ["crew"] and bob["Tags"] == [{"Key": "k", "Value": "v"}]
    assert bob["UserPolicyList"][0]["PolicyDocument"]["Statement"][0]["Action"] == "ec2:*"
    assert details["GroupDetailList"][0]["AttachedManagedPolicies"][0]["PolicyName"] == "ReadOnlyAccess"
    assert [policy["PolicyName"] for policy in details["Policies"]] == ["ReadOnlyAccess"]
    only = iam.get_account_authorization_details(Filter=["User"])
    assert only["UserDetailList"] and not only["GroupDetailList"] and not only["Policies"]
    pages = iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 1})
    assert [len(page["UserDetailList"]) for page in pages] == [0, 0, 1]


def test_a_principal_s_policies_are_simulated(iam):
    iam.create_user(UserName="bob", Tags=[{"Key": "team", "Value": "blue"}])
    iam.create_group(GroupName="crew")
    iam.add_user_to_group(UserName="bob", GroupName="crew")
    iam.put_group_policy(GroupName="crew", PolicyName="look", PolicyDocument=document(statement("Allow", "ec2:Describe*")))
    iam.put_user_policy(
        UserName="bob",
        PolicyName="launch",
        PolicyDocument=document(
            statement("Allow", "ec2:RunInstances", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}),
            statement("Deny", "ec2:TerminateInstances"),
            statement("Allow", "ec2:StopInstances", Condition={"StringEquals": {"ec2:ResourceTag/stage": "test"}}),
        ),
    )

    def decide(action, source=BOB, **more):
        return iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=[action], **more)["EvaluationResults"][0]

    found = decide("ec2:DescribeImages")
    assert found["EvalDecision"] == "allowed" and found["EvalResourceName"] == "*"
    assert [match["SourcePolicyType"] for match in found["MatchedStatements"]] == ["group"]
    assert decide("ec2:RunInstances")["EvalDecision"] == "allowed"
    denied = decide("ec2:TerminateInstances")
    assert denied["EvalDecision"] == "explicitDeny"
    match = denied["MatchedStatements"][0]
    assert match["SourcePolicyId"] == "user_bob_launch"
    text = document(
        statement("Allow", "ec2:RunInstances", Condition={"StringEquals": {"aws:PrincipalTag/team": "blue"}}),
        statement("Deny", "ec2:TerminateInstances"),
    ).split("\n")
    begin = next(number for number, line in enumerate(text) if '"Deny"' in line)  # from 0: the line of the brace, from 1
    assert match["StartPosition"]["Line"] == begin and match["EndPosition"]["Line"] > begin
    unknown = decide("ec2:StopInstances")
    assert unknown["EvalDecision"] == "implicitDeny" and unknown["MissingContextValues"] == ["ec2:ResourceTag/stage"]
    context = [{"ContextKeyName": "ec2:ResourceTag/stage", "ContextKeyValues": ["test"], "ContextKeyType": "string"}]
    assert decide("ec2:StopInstances", ContextEntries=context)["EvalDecision"] == "allowed"
    assert set(iam.get_context_keys_for_principal_policy(PolicySourceArn=BOB)["ContextKeyNames"]) == {
        "aws:PrincipalTag/team",
        "ec2:ResourceTag/stage",
    }

    arn = iam.create_policy(PolicyName="Bound", PolicyDocument=document(statement("Allow", "s3:*")))["Policy"]["Arn"]
    iam.put_user_permissions_boundary(UserName="bob", PermissionsBoundary=arn)
    bounded = decide("ec2:DescribeImages")
    assert bounded["EvalDecision"] == "implicitDeny"
    assert bounded["PermissionsBoundaryDecisionDetail"] == {"AllowedByPermissionsBoundary": False}
    iam.delete_user_permissions_boundary(UserName="bob")
    assert "PermissionsBoundaryDecisionDetail" not in decide("ec2:DescribeImages")

    assert decide("ec2:DescribeImages", f"arn:aws:iam::{ACCOUNT}:group/crew")["EvalDecision"] == "allowed"
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        decide("ec2:DescribeImages", f"arn:aws:iam::{ACCOUNT}:user/eve")
    with pytest.raises(iam.exceptions.InvalidInputException):
        decide("DescribeImages")


def test_documents_are_simulated(iam):
    policy = document(
        statement("Allow", "ec2:RunInstances", "arn:aws:ec2:*::image/ami-1"),
        statement("Allow", "s3:*", Condition={"Bool": {"aws:SecureTransport": "true"}}),
    )
    resources = ["arn:aws:ec2:us-east-1::image/ami-1", "arn:aws:ec2:us-east-1::image/ami-2"]
    answer = iam.simulate_custom_policy(
        PolicyInputList=[policy], ActionNames=["ec2:RunInstances", "s3:GetObject"], ResourceArns=resources
    )
    decisions = [(each["EvalActionName"], each["EvalDecision"]) for each in answer["EvaluationResults"]]
    assert decisions == [
        ("ec2:RunInstances", "allowed"),
        ("ec2:RunInstances", "implicitDeny"),
        ("s3:GetObject", "implicitDeny"),
        ("s3:GetObject", "implicitDeny"),
    ]
    first = answer["EvaluationResults"][0]
    assert first["MatchedStatements"][0]["SourcePolicyId"] == "PolicyInputList.1"
    assert first["ResourceSpecificResults"][0]["EvalResourceName"] == resources[0]
    pages = iam.get_paginator("simulate_custom_policy").paginate(
        PolicyInputList=[policy], ActionNames=["ec2:RunInstances"], ResourceArns=resources, PaginationConfig={"PageSize": 1}
    )
    assert [page["EvaluationResults"][0]["EvalDecision"] for page in pages] == ["allowed", "implicitDeny"]
    keys = iam.get_context_keys_for_custom_policy(PolicyInputList=[policy])["ContextKeyNames"]
    assert keys == ["aws:SecureTransport"]
    with pytest.raises(iam.exceptions.InvalidInputException, match="PolicyInputList.1"):
        iam.simulate_custom_policy(PolicyInputList=["{}"], ActionNames=["ec2:RunInstances"])


def test_a_resource_policy_takes_part(iam):
    resource = "arn:aws:s3:::bucket"
    shared = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Principal": {"AWS": BOB}, "Action": "s3:ListBucket", "Resource": resource},
        }
    )
    arguments = {
        "PolicyInputList": [document(statement("Allow", "ec2:*"))],
        "ActionNames": ["s3:ListBucket"],
        "ResourceArns": [resource],
        "ResourcePolicy": shared,
    }
    with pytest.raises(iam.exceptions.InvalidInputException, match="CallerArn"):
        iam.simulate_custom_policy(**arguments)
    found = iam.simulate_custom_policy(**arguments, CallerArn=BOB)["EvaluationResults"][0]
    assert found["EvalDecision"] == "allowed"
    assert [match["SourcePolicyId"] for match in found["MatchedStatements"]] == ["ResourcePolicy"]
    foreign = iam.simulate_custom_policy(**arguments, CallerArn=BOB, ResourceOwner="arn:aws:iam::111111111111:root")
    assert foreign["EvaluationResults"][0]["EvalDecision"] == "implicitDeny"


def test_the_cli_simulates(aws):
    answer = aws(
        "iam",
        "simulate-custom-policy",
        "--policy-input-list",
        document(statement("Allow", "ec2:*")),
        "--action-names",
        "ec2:RunInstances",
    )
    assert answer["EvaluationResults"][0]["EvalDecision"] == "allowed"
