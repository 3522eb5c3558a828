"""STS, by stock clients: who calls, and credentials that end."""

import configparser
import json
import subprocess

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import pytest
from botocore.exceptions import ClientError


def client(server, service, credentials):
    """A client with temporary credentials, as an answer of STS has them."""
    return boto3.client(
        service,
        "us-east-1",
        endpoint_url=server.endpoint,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def root_key(server):
    """The operator's key, also of a server that takes any."""
    parser = configparser.ConfigParser()
    parser.read(server.data / "root-credentials")
    return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]


def refused(codes, call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["Error"]["Code"] in codes, error.value
    return error.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_caller_is_told_its_account(sts):
    identity = sts.get_caller_identity()
    assert identity["Account"] == "123456789012"
    assert identity["Arn"].startswith("arn:aws:iam::123456789012:")
    assert identity["UserId"]


def test_cli_is_told_its_account(aws):
    assert aws("sts", "get-caller-identity")["Account"] == "123456789012"


def test_session_token_stands_for_its_caller(iam_server):
    sts = iam_server.client("sts")
    credentials = sts.get_session_token()["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA")
    session = client(iam_server, "sts", credentials)
    assert session.get_caller_identity()["Arn"] == sts.get_caller_identity()["Arn"]
    assert client(iam_server, "ec2", credentials).describe_vpcs()["Vpcs"]
    assert client(iam_server, "organizations", credentials)
    account = sts.get_caller_identity()["Account"]
    for key in (credentials["AccessKeyId"], iam_server.credentials()[0]):
        assert sts.get_access_key_info(AccessKeyId=key)["Account"] == account
    refused(["AccessDenied"], session.get_session_token)
    refused(["AccessDenied"], session.get_federation_token, Name="guest")


def test_cli_uses_a_session(iam_server, tmp_path):
    credentials = iam_server.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = ["/usr/bin/aws", "--endpoint-url", iam_server.endpoint, "sts", "get-caller-identity"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["Arn"].endswith(":root")


def test_federated_user_has_a_name(iam_server):
    answer = iam_server.client("sts").get_federation_token(Name="guest", Tags=[{"Key": "Team", "Value": ""}])
    arn = answer["FederatedUser"]["Arn"]
    assert arn.endswith(":federated-user/guest")
    assert client(iam_server, "sts", answer["Credentials"]).get_caller_identity()["Arn"] == arn
    refused(["UnauthorizedOperation"], client(iam_server, "ec2", answer["Credentials"]).describe_vpcs)


def test_forged_and_truncated_tokens_are_refused(iam_server):
    sts = iam_server.client("sts")
    good, other = (sts.get_session_token()["Credentials"] for _ in range(2))
    token = good["SessionToken"]
    middle = "A" if token[len(token) // 2] != "A" else "B"
    forged = [
        token[:-4],
        token[: len(token) // 2],
        token[: len(token) // 2] + middle + token[len(token) // 2 + 1 :],
        other["SessionToken"],
        "x",
        "A" * 2000,
    ]
    for wrong in forged:
        bad = {**good, "SessionToken": wrong}
        refused(["InvalidClientTokenId"], client(iam_server, "sts", bad).get_caller_identity)
        refused(["AuthFailure"], client(iam_server, "ec2", bad).describe_vpcs)
    key, secret = good["AccessKeyId"], good["SecretAccessKey"]
    refused(["InvalidClientTokenId"], iam_server.client("sts", key=(key, secret)).get_caller_identity)
    refused(
        ["SignatureDoesNotMatch"],
        client(iam_server, "sts", {**good, "SecretAccessKey": other["SecretAccessKey"]}).get_caller_identity,
    )
    root, root_secret = iam_server.credentials()
    long_term = {"AccessKeyId": root, "SecretAccessKey": root_secret, "SessionToken": token}
    refused(["InvalidClientTokenId"], client(iam_server, "sts", long_term).get_caller_identity)
    assert client(iam_server, "sts", good).get_caller_identity()


def test_session_ends_when_its_time_is_over(own_server):
    server = own_server
    sts = server.client("sts", key=root_key(server))
    short, longer = (sts.get_session_token(DurationSeconds=s)["Credentials"] for s in (900, 3600))
    assert client(server, "sts", short).get_caller_identity()
    request = botocore.awsrequest.AWSRequest(
        "POST", f"{server.endpoint}/_amid/clock", data=b'{"advance_ms":901000}', headers={"Content-Type": "application/json"}
    )
    assert server.send(request)[0] == 200
    assert refused(["ExpiredToken"], client(server, "sts", short).get_caller_identity) == 403
    refused(["RequestExpired"], client(server, "ec2", short).describe_vpcs)
    refused(["ExpiredTokenException"], client(server, "organizations", short).list_roots)
    assert client(server, "sts", longer).get_caller_identity()


def test_session_outlives_a_restart(own_server):
    credentials = own_server.client("sts", key=root_key(own_server)).get_session_token()["Credentials"]
    own_server.kill()
    own_server.start()
    assert client(own_server, "sts", credentials).get_caller_identity()["Arn"].endswith(":root")


def test_what_was_not_encoded_here_is_not_decoded(iam_server):
    sts = iam_server.client("sts")
    token = sts.get_session_token()["Credentials"]["SessionToken"]
    for wrong in ("nothing", "AAAA", token):
        refused(["InvalidAuthorizationMessageException"], sts.decode_authorization_message, EncodedMessage=wrong)


def test_root_assumes_no_role(iam_server):
    sts = iam_server.client("sts")
    account = sts.get_caller_identity()["Account"]
    role = f"arn:aws:iam::{account}:role/any"
    refused(["AccessDenied"], sts.assume_role, RoleArn=role, RoleSessionName="x1")
    refused(["ValidationError"], sts.assume_role, RoleArn=role, RoleSessionName="no spaces")


# ---- roles ----

def trust(principal, *actions, **condition):
    statement = {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions or ["sts:AssumeRole"]}
    if condition:
        statement["Condition"] = {"StringEquals": condition["equals"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def allow(action, resource="*"):
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Account:
    """One of the operator's making: its number, its root's key, a user, roles."""

    def __init__(self, amid, server, name):
        self.server, self.name = server, name
        done = subprocess.run(
            [amid, "account", "create", name, "--data", server.data, "--endpoint", server.endpoint],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        parser = configparser.ConfigParser()
        parser.read_string(done.stdout)
        self.key = parser[name]["aws_access_key_id"], parser[name]["aws_secret_access_key"]
        self.iam = server.client("iam", key=self.key)
        self.number = server.client("sts", key=self.key).get_caller_identity()["Account"]

    def user(self, name, policy=None):
        """An STS client of a new user's."""
        self.iam.create_user(UserName=name, Path="/staff/")
        if policy:
            self.iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        return self.server.client("sts", key=(key["AccessKeyId"], key["SecretAccessKey"]))

    def role(self, name, document, policy=None, **more):
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **more)["Role"]["Arn"]
        if policy:
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return arn


@pytest.fixture
def ours(amid, iam_server, request):
    return Account(amid, iam_server, f"ours {request.node.name}"[:50].strip())


@pytest.fixture
def theirs(amid, iam_server, request):
    return Account(amid, iam_server, f"theirs {request.node.name}"[:50].strip())


def test_user_is_told_its_path(iam_server, ours):
    bob = ours.user("bob")
    assert bob.get_caller_identity()["Arn"] == f"arn:aws:iam::{ours.number}:user/staff/bob"
    assert client(iam_server, "sts", bob.get_session_token()["Credentials"]).get_caller_identity()["Arn"].endswith("/staff/bob")


def test_role_of_another_account_is_assumed(iam_server, ours, theirs):
    role = theirs.role("deploy", trust(f"arn:aws:iam::{ours.number}:root"), allow("ec2:Describe*"))
    refused(["AccessDenied"], ours.user("eve").assume_role, RoleArn=role, RoleSessionName="s1")
    bob = ours.user("bob", allow("sts:AssumeRole", role))
    answer = bob.assume_role(RoleArn=role, RoleSessionName="build-7")
    arn = f"arn:aws:sts::{theirs.number}:assumed-role/deploy/build-7"
    assert answer["AssumedRoleUser"]["Arn"] == arn
    identity = client(iam_server, "sts", answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == arn and identity["UserId"].endswith(":build-7")
    ec2 = client(iam_server, "ec2", answer["Credentials"])
    assert ec2.describe_vpcs()["Vpcs"][0]["OwnerId"] == theirs.number
    refused(["UnauthorizedOperation"], ec2.create_key_pair, KeyName="x")
    theirs.iam.update_assume_role_policy(RoleName="deploy", PolicyDocument=trust(f"arn:aws:iam::{theirs.number}:root"))
    refused(["AccessDenied"], bob.assume_role, RoleArn=role, RoleSessionName="s2")


def test_session_ends_with_its_role(iam_server, ours):
    bob = ours.user("bob")
    arn = f"arn:aws:iam::{ours.number}:user/staff/bob"
    credentials = bob.assume_role(RoleArn=ours.role("short", trust(arn)), RoleSessionName="s1")["Credentials"]
    session = client(iam_server, "sts", credentials)
    assert session.get_caller_identity()
    ours.iam.delete_role(RoleName="short")
    refused(["InvalidClientTokenId"], session.get_caller_identity)


def test_external_id_and_session_policy_restrict(iam_server, ours, theirs):
    document = trust(f"arn:aws:iam::{ours.number}:root", equals={"sts:ExternalId": "ticket-7"})
    role = theirs.role("vendor", document, allow("ec2:*"))
    bob = ours.user("bob", allow("sts:AssumeRole"))
    refused(["AccessDenied"], bob.assume_role, RoleArn=role, RoleSessionName="s1")
    refused(["AccessDenied"], bob.assume_role, RoleArn=role, RoleSessionName="s1", ExternalId="ticket-8")
    answer = bob.assume_role(
        RoleArn=role, RoleSessionName="s1", ExternalId="ticket-7", Policy=allow("ec2:DescribeVpcs")
    )
    assert answer["PackedPolicySize"] >= 1
    ec2 = client(iam_server, "ec2", answer["Credentials"])
    assert ec2.describe_vpcs()["Vpcs"]
    refused(["UnauthorizedOperation"], ec2.describe_subnets)


def test_cli_assumes_a_role_of_its_profile(iam_server, ours, tmp_path):
    ours.user("bob")
    key = ours.iam.create_access_key(UserName="bob")["AccessKey"]
    role = ours.role("profiled", trust(f"arn:aws:iam::{ours.number}:user/staff/bob"))
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    command = ["/usr/bin/aws", "--endpoint-url", iam_server.endpoint, "sts", "assume-role"]
    done = subprocess.run(
        [*command, "--role-arn", role, "--role-session-name", "cli"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert client(iam_server, "sts", answer["Credentials"]).get_caller_identity()["Arn"].endswith("/profiled/cli")


def test_denial_is_decoded_by_its_account_only(iam_server, ours, theirs):
    ours.user("bob", allow("sts:DecodeAuthorizationMessage"))
    key = ours.iam.create_access_key(UserName="bob")["AccessKey"]
    pair = key["AccessKeyId"], key["SecretAccessKey"]
    with pytest.raises(ClientError) as error:
        iam_server.client("ec2", key=pair).create_key_pair(KeyName="x")
    message = error.value.response["Error"]["Message"].rsplit(" ", 1)[1]
    decoded = iam_server.client("sts", key=pair).decode_authorization_message(EncodedMessage=message)
    assert json.loads(decoded["DecodedMessage"])["allowed"] is False
    stranger = iam_server.client("sts", key=theirs.key)
    refused(["InvalidAuthorizationMessageException"], stranger.decode_authorization_message, EncodedMessage=message)


def test_use_of_a_key_is_told(iam_server, ours):
    bob = ours.user("bob")
    key = ours.iam.list_access_keys(UserName="bob")["AccessKeyMetadata"][0]["AccessKeyId"]
    bob.get_caller_identity()
    used = ours.iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
    assert used["ServiceName"] == "sts" and used["Region"] == "us-east-1"
    ours.iam.update_access_key(UserName="bob", AccessKeyId=key, Status="Inactive")
    refused(["InvalidClientTokenId"], bob.get_caller_identity)


def test_federated_user_may_what_policy_and_user_both_allow(iam_server, ours):
    bob = ours.user("bob", allow(["ec2:DescribeVpcs", "ec2:DescribeSubnets", "sts:GetFederationToken"]))
    for policy, vpcs, subnets in ((None, False, False), (allow("ec2:DescribeVpcs"), True, False), (allow("ec2:*"), True, True)):
        given = {"Policy": policy} if policy else {}
        ec2 = client(iam_server, "ec2", bob.get_federation_token(Name="guest", **given)["Credentials"])
        for call, allowed in ((ec2.describe_vpcs, vpcs), (ec2.describe_subnets, subnets), (ec2.describe_key_pairs, False)):
            if allowed:
                call()
            else:
                refused(["UnauthorizedOperation"], call)


def test_sessions_of_users_make_no_lasting_credentials(iam_server):
    """Nothing of IAM, and of STS only what tells who one is and, of GetSessionToken's, AssumeRole: whatever policies say."""
    iam, everything = iam_server.client("iam"), json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    )
    iam.create_user(UserName="sessions")
    iam.put_user_policy(UserName="sessions", PolicyName="p", PolicyDocument=everything)
    made = iam.create_access_key(UserName="sessions")["AccessKey"]
    sts = iam_server.client("sts", key=(made["AccessKeyId"], made["SecretAccessKey"]))
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": sts.get_caller_identity()["Arn"]}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="of-sessions", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    session, guest = (
        given["Credentials"] for given in (sts.get_session_token(), sts.get_federation_token(Name="gg", Policy=everything))
    )
    for credentials in session, guest:
        refused(["AccessDenied"], client(iam_server, "iam", credentials).create_access_key, UserName="sessions")
        refused(["AccessDenied"], client(iam_server, "iam", credentials).list_users)
        refused(["AccessDenied"], client(iam_server, "sts", credentials).get_session_token)
        assert client(iam_server, "sts", credentials).get_caller_identity()
        assert client(iam_server, "ec2", credentials).describe_vpcs()["Vpcs"]
    refused(["AccessDenied"], client(iam_server, "sts", guest).assume_role, RoleArn=role, RoleSessionName="x1")
    assert client(iam_server, "sts", session).assume_role(RoleArn=role, RoleSessionName="x1")["Credentials"]
