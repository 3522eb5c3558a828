"""Organizations, by stock clients: the tree, its accounts, service control policies."""

import configparser
import json
import subprocess

import boto3
import pytest
from botocore.exceptions import ClientError

SCP = "SERVICE_CONTROL_POLICY"
DENY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "ec2:RunInstances", "Resource": "*"}]}
)


def made_account(amid, server, name, *more):
    """The number of a new account, and the key of its root."""
    done = subprocess.run(
        [amid, "account", "create", name, "--data", server.data, "--endpoint", server.endpoint, *more],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parser = configparser.ConfigParser()
    parser.read_string(done.stdout)
    key = parser[name]["aws_access_key_id"], parser[name]["aws_secret_access_key"]
    return server.client("sts", key=key).get_caller_identity()["Account"], key


@pytest.fixture
def key(amid, iam_server, request):
    """The root's key of an account of the test's own, with an organization of all features."""
    _, key = made_account(amid, iam_server, request.node.name[:50])
    iam_server.client("organizations", key=key).create_organization(FeatureSet="ALL")
    return key


@pytest.fixture
def orgs(iam_server, key):
    return iam_server.client("organizations", key=key)


@pytest.fixture
def root(orgs):
    return orgs.list_roots()["Roots"][0]["Id"]


def refused(code, call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["Error"]["Code"] == code, error.value


def unit(orgs, parent, name="unit"):
    return orgs.create_organizational_unit(ParentId=parent, Name=name)["OrganizationalUnit"]


def member(orgs, request, number=1):
    name = f"{request.node.name}-{number}"[:50]
    status = orgs.create_account(Email=f"{name}@example.com"[-64:], AccountName=name)["CreateAccountStatus"]
    assert status["State"] == "SUCCEEDED", status
    return status["AccountId"]


def test_organization_is_of_one_account_at_first(iam_server, orgs, key):
    shown = orgs.describe_organization()["Organization"]
    number = iam_server.client("sts", key=key).get_caller_identity()["Account"]
    assert shown["MasterAccountId"] == number and shown["FeatureSet"] == "ALL"
    assert shown["Arn"] == f"arn:aws:organizations::{number}:organization/{shown['Id']}"
    accounts = orgs.list_accounts()["Accounts"]
    assert [account["Id"] for account in accounts] == [number]
    assert accounts[0]["Status"] == "ACTIVE" and accounts[0]["JoinedTimestamp"]
    refused("AlreadyInOrganizationException", orgs.create_organization)
    root = orgs.list_roots()["Roots"][0]
    assert root["Name"] == "Root" and root["PolicyTypes"] == []
    orgs.delete_organization()
    refused("AWSOrganizationsNotInUseException", orgs.describe_organization)


def test_units_form_a_tree(orgs, root):
    top = unit(orgs, root, "top")
    assert top["Arn"].endswith(f"/{top['Id']}") and top["Id"].startswith(f"ou-{root[2:]}-")
    below = unit(orgs, top["Id"], "below")
    refused("DuplicateOrganizationalUnitException", unit, orgs=orgs, parent=root, name="top")
    refused("ParentNotFoundException", unit, orgs=orgs, parent=f"ou-{root[2:]}-00000000", name="x")
    listed = orgs.list_organizational_units_for_parent(ParentId=root)["OrganizationalUnits"]
    assert [each["Name"] for each in listed] == ["top"]
    assert orgs.list_parents(ChildId=below["Id"])["Parents"] == [{"Id": top["Id"], "Type": "ORGANIZATIONAL_UNIT"}]
    assert orgs.list_parents(ChildId=top["Id"])["Parents"] == [{"Id": root, "Type": "ROOT"}]
    assert orgs.list_children(ParentId=top["Id"], ChildType="ORGANIZATIONAL_UNIT")["Children"] == [
        {"Id": below["Id"], "Type": "ORGANIZATIONAL_UNIT"}
    ]
    renamed = orgs.update_organizational_unit(OrganizationalUnitId=below["Id"], Name="deeper")["OrganizationalUnit"]
    assert renamed["Name"] == "deeper"
    refused("OrganizationalUnitNotEmptyException", orgs.delete_organizational_unit, OrganizationalUnitId=top["Id"])
    parent = below["Id"]
    for depth in (3, 4, 5):
        parent = unit(orgs, parent, f"depth {depth}")["Id"]
    refused("ConstraintViolationException", unit, orgs=orgs, parent=parent, name="too deep")
    leaf = unit(orgs, root, "leaf")["Id"]
    orgs.delete_organizational_unit(OrganizationalUnitId=leaf)
    refused("OrganizationalUnitNotFoundException", orgs.describe_organizational_unit, OrganizationalUnitId=leaf)


def test_pages_hold_what_was_asked_for(orgs, root):
    names = {f"unit {number}" for number in range(5)}
    for name in names:
        unit(orgs, root, name)
    pages = list(
        orgs.get_paginator("list_organizational_units_for_parent").paginate(
            ParentId=root, PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["OrganizationalUnits"]) for page in pages] == [2, 2, 1]
    assert {each["Name"] for page in pages for each in page["OrganizationalUnits"]} == names
    refused("InvalidInputException", orgs.list_accounts, NextToken="forged")


def test_account_is_made_moved_and_closed(iam_server, orgs, root, request):
    made = orgs.create_account(
        Email="moved@example.com", AccountName="member", Tags=[{"Key": "Stage", "Value": "prod"}]
    )["CreateAccountStatus"]
    number = made["AccountId"]
    again = orgs.describe_create_account_status(CreateAccountRequestId=made["Id"])["CreateAccountStatus"]
    assert again["State"] == "SUCCEEDED" and again["AccountId"] == number
    assert orgs.list_tags_for_resource(ResourceId=number)["Tags"] == [{"Key": "Stage", "Value": "prod"}]
    twice = orgs.create_account(Email="Moved@example.com", AccountName="other")["CreateAccountStatus"]
    assert twice["State"] == "FAILED" and twice["FailureReason"] == "EMAIL_ALREADY_EXISTS"
    shown = orgs.describe_account(AccountId=number)["Account"]
    assert (shown["Name"], shown["Email"], shown["Status"]) == ("member", "moved@example.com", "ACTIVE")
    top = unit(orgs, root)["Id"]
    refused(
        "SourceParentNotFoundException",
        orgs.move_account,
        AccountId=number,
        SourceParentId=f"ou-{root[2:]}-00000000",
        DestinationParentId=top,
    )
    orgs.move_account(AccountId=number, SourceParentId=root, DestinationParentId=top)
    assert orgs.list_parents(ChildId=number)["Parents"][0]["Id"] == top
    assert [each["Id"] for each in orgs.list_accounts_for_parent(ParentId=top)["Accounts"]] == [number]
    assert number not in [each["Id"] for each in orgs.list_accounts_for_parent(ParentId=root)["Accounts"]]
    refused("OrganizationNotEmptyException", orgs.delete_organization)
    orgs.close_account(AccountId=number)
    assert orgs.describe_account(AccountId=number)["Account"]["Status"] == "SUSPENDED"
    refused("AccountAlreadyClosedException", orgs.close_account, AccountId=number)
    management = orgs.describe_organization()["Organization"]["MasterAccountId"]
    refused("ConstraintViolationException", orgs.close_account, AccountId=management)
    refused("AccountNotFoundException", orgs.describe_account, AccountId="000000000000")


def test_policies_are_attached_once_they_are_enabled(orgs, root, request):
    policy = orgs.create_policy(Name="no launches", Description="", Type=SCP, Content=DENY)["Policy"]
    identity, number = policy["PolicySummary"]["Id"], member(orgs, request)
    assert policy["Content"] == DENY and not policy["PolicySummary"]["AwsManaged"]
    refused("PolicyTypeNotEnabledException", orgs.attach_policy, PolicyId=identity, TargetId=root)
    enabled = orgs.enable_policy_type(RootId=root, PolicyType=SCP)["Root"]
    assert enabled["PolicyTypes"] == [{"Type": SCP, "Status": "ENABLED"}]
    refused("PolicyTypeAlreadyEnabledException", orgs.enable_policy_type, RootId=root, PolicyType=SCP)
    top = unit(orgs, root)["Id"]

    def attached(target):
        return {each["Name"] for each in orgs.list_policies_for_target(TargetId=target, Filter=SCP)["Policies"]}

    assert attached(root) == attached(top) == attached(number) == {"FullAWSAccess"}
    later = member(orgs, request, 2)
    assert attached(later) == {"FullAWSAccess"}
    for target in (root, top, number):
        orgs.attach_policy(PolicyId=identity, TargetId=target)
        assert attached(target) == {"FullAWSAccess", "no launches"}
    refused("DuplicatePolicyAttachmentException", orgs.attach_policy, PolicyId=identity, TargetId=root)
    targets = orgs.list_targets_for_policy(PolicyId=identity)["Targets"]
    assert {(each["TargetId"], each["Type"]) for each in targets} == {
        (root, "ROOT"),
        (top, "ORGANIZATIONAL_UNIT"),
        (number, "ACCOUNT"),
    }
    refused("PolicyInUseException", orgs.delete_policy, PolicyId=identity)
    orgs.detach_policy(PolicyId="p-FullAWSAccess", TargetId=top)
    refused("ConstraintViolationException", orgs.detach_policy, PolicyId=identity, TargetId=top)
    refused("PolicyNotAttachedException", orgs.detach_policy, PolicyId="p-FullAWSAccess", TargetId=top)
    orgs.disable_policy_type(RootId=root, PolicyType=SCP)
    assert attached(root) == set()
    orgs.delete_policy(PolicyId=identity)
    refused("PolicyNotFoundException", orgs.describe_policy, PolicyId=identity)


def test_policy_documents_are_checked(orgs):
    create = {"Name": "x", "Description": "d", "Type": SCP}
    for wrong in ("{", "{}", '{"Version":"2012-10-17","Statement":[{"Effect":"Perhaps","Action":"*","Resource":"*"}]}'):
        refused("MalformedPolicyDocumentException", orgs.create_policy, Content=wrong, **create)
    refused("ConstraintViolationException", orgs.create_policy, Content=DENY + " " * 5200, **create)
    identity = orgs.create_policy(Content=DENY, **create)["Policy"]["PolicySummary"]["Id"]
    refused("DuplicatePolicyException", orgs.create_policy, Content=DENY, **create)
    orgs.update_policy(PolicyId=identity, Name="y", Description="e")
    shown = orgs.describe_policy(PolicyId=identity)["Policy"]
    assert (shown["PolicySummary"]["Name"], shown["PolicySummary"]["Description"]) == ("y", "e")
    assert shown["Content"] == DENY
    assert {each["Name"] for each in orgs.list_policies(Filter=SCP)["Policies"]} == {"y", "FullAWSAccess"}
    refused("InvalidInputException", orgs.update_policy, PolicyId="p-FullAWSAccess", Name="z")
    refused("PolicyTypeNotAvailableForOrganizationException", orgs.create_policy, **{**create, "Type": "TAG_POLICY"}, Content="{}")


def test_tags_are_kept(orgs, root):
    orgs.tag_resource(ResourceId=root, Tags=[{"Key": "A", "Value": "1"}, {"Key": "B", "Value": ""}])
    orgs.tag_resource(ResourceId=root, Tags=[{"Key": "A", "Value": "2"}])
    orgs.untag_resource(ResourceId=root, TagKeys=["B"])
    assert orgs.list_tags_for_resource(ResourceId=root)["Tags"] == [{"Key": "A", "Value": "2"}]
    refused("InvalidInputException", orgs.tag_resource, ResourceId=root, Tags=[{"Key": "aws:x", "Value": ""}])
    refused("TargetNotFoundException", orgs.list_tags_for_resource, ResourceId="p-00000000")


def test_only_the_management_account_manages(amid, own_iam_server):
    iam_server = own_iam_server
    operator = iam_server.client("organizations")
    operator.create_organization()
    number, key = made_account(amid, iam_server, "joined", "--organization")
    orgs = iam_server.client("organizations", key=key)
    assert orgs.describe_organization()["Organization"]["Id"] == operator.describe_organization()["Organization"]["Id"]
    for call in (orgs.list_accounts, orgs.list_roots, orgs.delete_organization):
        refused("AccessDeniedException", call)
    assert number in [each["Id"] for each in operator.list_accounts()["Accounts"]]
    operator.close_account(AccountId=number)
    with pytest.raises(ClientError, match="UnrecognizedClientException|InvalidClientTokenId"):
        orgs.describe_organization()


def test_account_without_an_organization_is_told(amid, iam_server):
    _, key = made_account(amid, iam_server, "alone")
    orgs = iam_server.client("organizations", key=key)
    for call in (orgs.describe_organization, orgs.list_accounts, orgs.list_roots):
        refused("AWSOrganizationsNotInUseException", call)


def test_service_control_policy_governs_whoever_is_in_the_account(iam_server, key, orgs, root, request):
    number = member(orgs, request)
    role = f"arn:aws:iam::{number}:role/OrganizationAccountAccessRole"
    iam = iam_server.client("iam", key=key)
    iam.create_user(UserName="bob")
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="bob", PolicyName="p", PolicyDocument=document)
    made = iam.create_access_key(UserName="bob")["AccessKey"]
    sts = iam_server.client("sts", key=(made["AccessKeyId"], made["SecretAccessKey"]))
    session = sts.assume_role(RoleArn=role, RoleSessionName="admin")["Credentials"]
    ec2 = boto3.client(
        "ec2",
        "us-east-1",
        endpoint_url=iam_server.endpoint,
        aws_access_key_id=session["AccessKeyId"],
        aws_secret_access_key=session["SecretAccessKey"],
        aws_session_token=session["SessionToken"],
    )
    ec2.create_key_pair(KeyName="before")
    orgs.enable_policy_type(RootId=root, PolicyType=SCP)
    ec2.create_key_pair(KeyName="all is allowed")
    content = DENY.replace("ec2:RunInstances", "ec2:CreateKeyPair")
    policy = orgs.create_policy(Name="no keys", Description="", Type=SCP, Content=content)["Policy"]["PolicySummary"]["Id"]
    top = unit(orgs, root)["Id"]
    orgs.attach_policy(PolicyId=policy, TargetId=top)
    ec2.create_key_pair(KeyName="elsewhere")
    orgs.move_account(AccountId=number, SourceParentId=root, DestinationParentId=top)
    refused("UnauthorizedOperation", ec2.create_key_pair, KeyName="here")
    assert ec2.describe_key_pairs()["KeyPairs"]
    orgs.update_policy(PolicyId=policy, Content=DENY)
    ec2.create_key_pair(KeyName="again")
    management = iam_server.client("ec2", key=key)
    orgs.attach_policy(PolicyId=policy, TargetId=root)
    with pytest.raises(ClientError, match="InvalidAMIID"):  # not refused: policies do not hold for it
        management.run_instances(ImageId="ami-00000000000000000", MinCount=1, MaxCount=1)
    refused("UnauthorizedOperation", ec2.run_instances, ImageId="ami-00000000000000000", MinCount=1, MaxCount=1)
