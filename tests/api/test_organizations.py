"""Organizations, by stock clients: the tree, its accounts, service control policies."""

import configparser
import datetime
import json
import subprocess

import boto3
import botocore.awsrequest
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


def moved(server, seconds):
    request = botocore.awsrequest.AWSRequest(
        "POST", f"{server.endpoint}/_amid/clock", data=json.dumps({"advance_ms": seconds * 1000}).encode()
    )
    assert server.send(request)[0] == 200


def refused_for(reason, code, call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["Error"]["Code"] == code, error.value
    assert error.value.response["Reason"] == reason


def invited(orgs, account, **more):
    return orgs.invite_account_to_organization(Target={"Type": "ACCOUNT", "Id": account}, **more)["Handshake"]


def test_invited_account_joins_and_leaves(amid, iam_server, orgs, key, root, request):
    orgs.enable_policy_type(RootId=root, PolicyType=SCP)
    account, guest_key = made_account(amid, iam_server, f"guest of {request.node.name}"[:50])
    guest = iam_server.client("organizations", key=guest_key)
    handshake = invited(orgs, account, Notes="come in", Tags=[{"Key": "stage", "Value": "test"}])
    assert (handshake["State"], handshake["Action"]) == ("REQUESTED", "INVITE")
    assert handshake["ExpirationTimestamp"] - handshake["RequestedTimestamp"] == datetime.timedelta(days=15)
    organization = orgs.describe_organization()["Organization"]
    assert {"Type": "ORGANIZATION", "Id": organization["Id"]} in handshake["Parties"]
    assert {"Type": "NOTES", "Value": "come in"} in handshake["Resources"]
    refused("DuplicateHandshakeException", invited, orgs=orgs, account=account)
    assert [one["Id"] for one in guest.list_handshakes_for_account()["Handshakes"]] == [handshake["Id"]]
    assert guest.describe_handshake(HandshakeId=handshake["Id"])["Handshake"]["Arn"] == handshake["Arn"]
    refused("HandshakeNotFoundException", orgs.accept_handshake, HandshakeId=handshake["Id"])
    assert guest.accept_handshake(HandshakeId=handshake["Id"])["Handshake"]["State"] == "ACCEPTED"
    refused("HandshakeAlreadyInStateException", guest.accept_handshake, HandshakeId=handshake["Id"])
    refused("InvalidHandshakeTransitionException", guest.decline_handshake, HandshakeId=handshake["Id"])
    shown = orgs.describe_account(AccountId=account)["Account"]
    assert (shown["JoinedMethod"], shown["Status"]) == ("INVITED", "ACTIVE")
    assert orgs.list_parents(ChildId=account)["Parents"][0]["Id"] == root
    assert orgs.list_tags_for_resource(ResourceId=account)["Tags"] == [{"Key": "stage", "Value": "test"}]
    assert len(orgs.list_policies_for_target(TargetId=account, Filter=SCP)["Policies"]) == 1
    refused_for("ALREADY_IN_AN_ORGANIZATION", "HandshakeConstraintViolationException", invited, orgs=orgs,
                account=account)
    # the organization's policies hold for it from the next call on, and end with its membership
    ec2 = iam_server.client("ec2", key=guest_key)
    deny = DENY.replace("ec2:RunInstances", "ec2:DescribeRegions")
    policy = orgs.create_policy(Name="deny", Description="", Type=SCP, Content=deny)["Policy"]["PolicySummary"]["Id"]
    orgs.attach_policy(PolicyId=policy, TargetId=root)
    refused("UnauthorizedOperation", ec2.describe_regions)
    guest.leave_organization()
    assert ec2.describe_regions()["Regions"]
    refused("AWSOrganizationsNotInUseException", guest.describe_organization)
    refused("AccountNotFoundException", orgs.describe_account, AccountId=account)
    refused("AWSOrganizationsNotInUseException", guest.leave_organization)


def test_member_is_removed_but_not_the_management_account(iam_server, orgs, key, request):
    account = member(orgs, request)
    orgs.remove_account_from_organization(AccountId=account)
    refused("AccountNotFoundException", orgs.remove_account_from_organization, AccountId=account)
    own = iam_server.client("sts", key=key).get_caller_identity()["Account"]
    refused("MasterCannotLeaveOrganizationException", orgs.remove_account_from_organization, AccountId=own)
    refused("MasterCannotLeaveOrganizationException", orgs.leave_organization)
    orgs.delete_organization()


def test_invitation_is_declined_or_canceled(amid, iam_server, orgs, request):
    account, guest_key = made_account(amid, iam_server, f"guest of {request.node.name}"[:50], "--email",
                                      "Guest@example.com")
    guest = iam_server.client("organizations", key=guest_key)
    stranger = iam_server.client("organizations", key=made_account(amid, iam_server, "stranger")[1])
    first = invited(orgs, account)["Id"]
    refused("HandshakeNotFoundException", stranger.describe_handshake, HandshakeId=first)
    refused("HandshakeNotFoundException", stranger.accept_handshake, HandshakeId=first)
    refused("HandshakeNotFoundException", guest.cancel_handshake, HandshakeId=first)
    assert guest.decline_handshake(HandshakeId=first)["Handshake"]["State"] == "DECLINED"
    refused("InvalidHandshakeTransitionException", guest.accept_handshake, HandshakeId=first)
    second = orgs.invite_account_to_organization(Target={"Type": "EMAIL", "Id": "guest@example.com"})["Handshake"]["Id"]
    assert orgs.cancel_handshake(HandshakeId=second)["Handshake"]["State"] == "CANCELED"
    refused("InvalidHandshakeTransitionException", guest.accept_handshake, HandshakeId=second)
    listed = orgs.list_handshakes_for_organization(Filter={"ActionType": "INVITE"})["Handshakes"]
    assert {one["Id"]: one["State"] for one in listed} == {first: "DECLINED", second: "CANCELED"}
    assert orgs.list_handshakes_for_organization(Filter={"ActionType": "APPROVE_ALL_FEATURES"})["Handshakes"] == []
    pages = orgs.get_paginator("list_handshakes_for_organization").paginate(PaginationConfig={"PageSize": 1})
    assert sorted(one["Id"] for page in pages for one in page["Handshakes"]) == sorted((first, second))
    # a member of another organization cannot come
    third = invited(orgs, account)["Id"]
    guest.create_organization()
    refused_for("ALREADY_IN_AN_ORGANIZATION", "HandshakeConstraintViolationException", guest.accept_handshake,
                HandshakeId=third)
    # and an invitation ends with the organization
    orgs.delete_organization()
    refused("HandshakeNotFoundException", guest.describe_handshake, HandshakeId=third)


def test_wrong_targets_are_refused_with_a_reason(orgs, root):
    for target, reason in (
        ({"Type": "ACCOUNT", "Id": "000000000000"}, "INVALID_PATTERN_TARGET_ID"),
        ({"Type": "EMAIL", "Id": "nobody@example.com"}, "INVALID_EMAIL_ADDRESS_TARGET"),
        ({"Type": "ORGANIZATION", "Id": "o-aaaaaaaaaa"}, "INVALID_PARTY_TYPE_TARGET"),
    ):
        refused_for(reason, "InvalidInputException", orgs.invite_account_to_organization, Target=target)
    orgs.enable_policy_type(RootId=root, PolicyType=SCP)
    refused_for("MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED", "ConstraintViolationException", orgs.detach_policy,
                PolicyId="p-FullAWSAccess", TargetId=root)


def test_unanswered_invitation_expires(amid, own_server):
    orgs = own_server.client("organizations")
    orgs.create_organization()
    account, guest_key = made_account(amid, own_server, "guest")
    guest = own_server.client("organizations", key=guest_key)
    handshake = invited(orgs, account)["Id"]
    moved(own_server, 15 * 24 * 3600 + 1)
    assert guest.list_handshakes_for_account()["Handshakes"][0]["State"] == "EXPIRED"
    refused("InvalidHandshakeTransitionException", guest.accept_handshake, HandshakeId=handshake)
    moved(own_server, 30 * 24 * 3600)
    assert orgs.list_handshakes_for_organization()["Handshakes"] == []
    again = invited(orgs, account)["Id"]
    assert guest.accept_handshake(HandshakeId=again)["Handshake"]["State"] == "ACCEPTED"
