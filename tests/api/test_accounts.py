"""Many accounts: made by the operator, kept apart, told who they are."""

import configparser
import json
import os
import stat
import subprocess
import uuid

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def account(amid, iam_server):
    """Runs `amid account`; the credentials in use are not the operator's."""

    def run(*arguments, data=iam_server.data, check=True):
        command = [amid, "account", *arguments, "--endpoint", iam_server.endpoint]
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        done = subprocess.run(
            [*command, "--data", data] if data else command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


def key_of(path, profile):
    parser = configparser.ConfigParser()
    parser.read(path)
    return parser[profile]["aws_access_key_id"], parser[profile]["aws_secret_access_key"]


def test_new_account_is_its_own_world(account, iam_server, tmp_path):
    path = tmp_path / "credentials"
    number = account("create", "vendor", "--output", path).stdout.strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    identity = iam_server.client("sts", key=key_of(path, "vendor")).get_caller_identity()
    assert identity["Account"] == number and identity["Arn"] == f"arn:aws:iam::{number}:root"
    assert identity["UserId"] == number
    for region in ("us-east-1", "us-west-2"):
        ec2 = iam_server.client("ec2", region, key=key_of(path, "vendor"))
        vpc = ec2.describe_vpcs()["Vpcs"][0]
        assert vpc["IsDefault"] and vpc["OwnerId"] == number
        assert len(ec2.describe_subnets()["Subnets"]) == 3
    group = iam_server.client("ec2", key=key_of(path, "vendor")).create_security_group(
        GroupName="ours", Description="of the vendor"
    )["GroupId"]
    with pytest.raises(ClientError, match="InvalidGroup.NotFound"):
        iam_server.client("ec2").describe_security_groups(GroupIds=[group])


def test_second_account_is_appended_and_no_profile_is_made_twice(account, iam_server, tmp_path):
    path = tmp_path / "credentials"
    first = account("create", "first", "--output", path).stdout.strip()
    second = account("create", "second", "--output", path).stdout.strip()
    assert first != second
    for name, number in (("first", first), ("second", second)):
        assert iam_server.client("sts", key=key_of(path, name)).get_caller_identity()["Account"] == number
    before = path.read_text(encoding="utf-8"), len(account("list").stdout.splitlines())
    refused = account("create", "first", "--output", path, check=False)
    assert refused.returncode == 1 and "profile [first]" in refused.stderr
    assert before == (path.read_text(encoding="utf-8"), len(account("list").stdout.splitlines()))


def test_keys_go_into_no_file_that_others_can_read(account, tmp_path):
    path = tmp_path / "open"
    path.write_text("")
    path.chmod(0o644)
    refused = account("create", "careless", "--output", path, check=False)
    assert refused.returncode == 1 and "0600" in refused.stderr and path.read_text() == ""


def test_accounts_are_listed_and_printed(account, iam_server):
    printed = account("create", "printed", "--email", "printed@example.com").stdout
    parser = configparser.ConfigParser()
    parser.read_string(printed)
    key = parser["printed"]["aws_access_key_id"], parser["printed"]["aws_secret_access_key"]
    number = iam_server.client("sts", key=key).get_caller_identity()["Account"]
    shown = account("list").stdout
    assert any(line.startswith(number) and line.endswith("printed") for line in shown.splitlines())
    assert "root (operator)" in shown
    assert key[1] not in shown and iam_server.credentials()[1] not in shown


@pytest.mark.parametrize("name", ["", "two\nlines", "a]b", "x" * 51, " x"])
def test_name_that_is_no_profile_is_refused(account, name):
    refused = account("create", name, check=False)
    assert refused.returncode == 1 and "InvalidParameterValue" in refused.stderr


def test_accounts_are_the_operators_only(account, iam_server, tmp_path):
    path = tmp_path / "credentials"
    account("create", "curious", "--output", path)
    for key in (key_of(path, "curious"), iam_server.credentials("platform")):
        (tmp_path / "root-credentials").write_text(
            f"[default]\naws_access_key_id = {key[0]}\naws_secret_access_key = {key[1]}\n", encoding="utf-8"
        )
        for arguments in (["list"], ["create", "stolen"], ["key", "curious"]):
            refused = account(*arguments, data=tmp_path, check=False)
            assert refused.returncode == 1 and "AccessDenied" in refused.stderr
    assert "stolen" not in account("list").stdout


def test_account_joins_no_organization_that_is_not_there(amid, own_iam_server):
    command = [amid, "account", "create", "joiner", "--organization", "--endpoint", own_iam_server.endpoint]
    done = subprocess.run(
        [*command, "--data", own_iam_server.data], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and "manages no organization" in done.stderr


def test_root_key_still_works_after_a_restart(own_server, amid):
    done = subprocess.run(
        [amid, "account", "create", "lasting", "--data", own_server.data, "--endpoint", own_server.endpoint],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    parser = configparser.ConfigParser()
    parser.read_string(done.stdout)
    key = parser["lasting"]["aws_access_key_id"], parser["lasting"]["aws_secret_access_key"]
    number = own_server.client("sts", key=key).get_caller_identity()["Account"]
    own_server.kill()
    own_server.start()
    assert own_server.client("sts", key=key).get_caller_identity()["Account"] == number
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        own_server.client("sts", key=(key[0], "wrong")).get_caller_identity()


def test_root_gets_another_key_and_loses_one(account, iam_server, tmp_path):
    path = tmp_path / "credentials"
    number = account("create", "forgetful", "--output", path).stdout.strip()
    lost = key_of(path, "forgetful")
    refused = account("key", number, "--output", path, check=False)
    assert refused.returncode == 1 and "profile [forgetful]" in refused.stderr
    assert account("key", "forgetful", "--output", tmp_path / "second").stdout.strip() == number
    second = key_of(tmp_path / "second", "forgetful")
    for key in lost, second:
        assert iam_server.client("sts", key=key).get_caller_identity()["Arn"] == f"arn:aws:iam::{number}:root"
    refused = account("key", number, check=False)
    assert refused.returncode == 1 and "LimitExceeded" in refused.stderr
    assert lost[0] in refused.stderr and second[0] in refused.stderr
    assert account("key", number, "--revoke", lost[0]).stdout.strip() == lost[0]
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        iam_server.client("sts", key=lost).get_caller_identity()
    assert iam_server.client("sts", key=second).get_caller_identity()["Account"] == number
    listed = json.loads(account("list", "--json").stdout)["accounts"]
    assert [one["root_keys"] for one in listed if one["id"] == number] == [[second[0]]]
    refused = account("key", number, "--revoke", lost[0], check=False)
    assert refused.returncode == 1 and "NotFound" in refused.stderr


def test_keys_of_others_are_not_the_operators_to_revoke_as_roots(account, iam_server):
    own = iam_server.credentials()
    iam = iam_server.client("iam")
    name = f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    operator = iam_server.client("sts").get_caller_identity()["Account"]
    for revoked, code in (key, "NotFound"), (own[0], "OperationNotPermitted"):
        refused = account("key", operator, "--revoke", revoked, check=False)
        assert refused.returncode == 1 and code in refused.stderr
    refused = account("key", "none-such", check=False)
    assert refused.returncode == 1 and "none-such" in refused.stderr
    refused = account("create", "x", "--revoke", key, check=False)
    assert refused.returncode == 2
