"""The audit trail: what stock clients find in it, and what must not be there."""

import base64
import datetime
import json
import re
import signal
import subprocess
import threading

import boto3
import botocore.config
import pytest
from botocore.exceptions import ClientError

PLANTED = "pl4nted-s3cret-"


def command(amid, server, *arguments):
    return subprocess.run(
        [amid, "audit", *arguments, "--data", server.data], capture_output=True, text=True, timeout=60, check=False
    )


def log_files(server):
    return sorted((server.data / "audit").glob("*.log"))


def records(server):
    lines = b"".join(path.read_bytes() for path in log_files(server)).splitlines()
    return [json.loads(line)["event"] for line in lines]


def lookup(client, key, value, **more):
    pages = client.get_paginator("lookup_events").paginate(
        LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}], **more
    )
    return [event for page in pages for event in page["Events"]]


def record(event):
    return json.loads(event["CloudTrailEvent"])


def refused(code, call, **parameters):
    with pytest.raises(ClientError) as error:
        call(**parameters)
    assert error.value.response["Error"]["Code"] == code, error.value


@pytest.fixture
def account(iam_server, request):
    """A new account: its number and the key of its root."""
    return iam_server.account(request.node.name[:50])


@pytest.fixture
def trail(iam_server, account):
    return iam_server.client("cloudtrail", key=account[1])


def user_of(server, account, name, policy=None):
    iam = server.client("iam", key=account[1])
    iam.create_user(UserName=name)
    if policy:
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return made["AccessKeyId"], made["SecretAccessKey"]


def allow(*actions):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Nothing", "Effect": "Deny", "Action": "s3:*", "Resource": "*"},
            {"Sid": "Some", "Effect": "Allow", "Action": actions, "Resource": "*"},
        ],
    }


def test_call_of_a_user_is_found_with_the_statement_that_allowed_it(iam_server, account, trail):
    key = user_of(iam_server, account, "bob", allow("ec2:Describe*", "ec2:CreateVolume"))
    ec2 = iam_server.client("ec2", key=key)
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    ec2.describe_volumes(VolumeIds=[volume])
    found = lookup(trail, "ResourceName", volume)
    assert [event["EventName"] for event in found] == ["DescribeVolumes", "CreateVolume"], "the newest first"
    event = found[1]
    assert event["Username"] == "bob" and event["ReadOnly"] == "false" and event["AccessKeyId"] == key[0]
    assert {"ResourceType": "AWS::EC2::Volume", "ResourceName": volume} in event["Resources"]
    detail = record(event)
    assert detail["eventVersion"] == "1.09" and detail["eventSource"] == "ec2.amazonaws.com"
    assert detail["eventID"] == event["EventId"] and detail["eventType"] == "AwsApiCall"
    assert detail["userIdentity"]["type"] == "IAMUser"
    assert detail["userIdentity"]["arn"] == f"arn:aws:iam::{account[0]}:user/bob"
    assert detail["recipientAccountId"] == account[0] and detail["sourceIPAddress"] == "127.0.0.1"
    assert detail["requestParameters"]["size"] == 1 and detail["responseElements"]["volumeId"] == volume
    assert "Boto3" in detail["userAgent"] and detail["requestID"] and detail["awsRegion"] == "us-east-1"
    decided = detail["additionalEventData"]["amid"]
    assert (decided["decision"], decided["source"], decided["statement"]) == ("allowed", "identity", 1)
    assert decided["sid"] == "Some" and "only" in decided["policy"] and decided["action"] == "ec2:CreateVolume"
    assert record(found[0])["responseElements"] is None and found[0]["ReadOnly"] == "true"


def test_denied_call_and_wrong_signature_are_there(iam_server, account, trail):
    key = user_of(iam_server, account, "eve", allow("ec2:Describe*"))
    refused(
        "UnauthorizedOperation",
        iam_server.client("ec2", key=key).create_volume,
        AvailabilityZone="us-east-1a",
        Size=1,
    )
    refused("AuthFailure", iam_server.client("ec2", key=(key[0], "wrong")).describe_images)
    (forged, denied) = lookup(trail, "AccessKeyId", key[0])
    detail = record(denied)
    assert detail["errorCode"] == "Client.UnauthorizedOperation" and "ec2:CreateVolume" in detail["errorMessage"]
    decided = detail["additionalEventData"]["amid"]
    assert decided["decision"] == "implicitDeny" and "policy" not in decided
    assert detail["responseElements"] is None
    detail = record(forged)
    assert detail["errorCode"] == "Client.AuthFailure" and forged["EventName"] == "DescribeImages"
    assert detail["userIdentity"] == {"type": "Unknown", "accountId": account[0], "accessKeyId": key[0]}
    assert "Username" not in forged


def test_session_of_a_role_of_another_account_is_in_both_trails(iam_server, account, trail):
    other, other_key = iam_server.account("audit-owner-of-the-role")
    iam = iam_server.client("iam", key=other_key)
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account[0]}:root"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="reader", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    iam.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=json.dumps(allow("ec2:*")))
    user = user_of(iam_server, account, "carol", allow("sts:AssumeRole"))
    given = iam_server.client("sts", key=user).assume_role(RoleArn=role, RoleSessionName="visit")["Credentials"]
    boto3.client(
        "ec2",
        "us-east-1",
        endpoint_url=iam_server.endpoint,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    ).describe_images(Owners=["self"])
    theirs = iam_server.client("cloudtrail", key=other_key)
    (mine,) = lookup(trail, "EventName", "AssumeRole")
    (shared,) = lookup(theirs, "EventName", "AssumeRole")
    assert record(mine)["sharedEventID"] == record(shared)["sharedEventID"]
    assert record(shared)["recipientAccountId"] == other and mine["EventId"] != shared["EventId"]
    (event,) = lookup(theirs, "Username", "visit")
    identity = record(event)["userIdentity"]
    assert identity["type"] == "AssumedRole" and identity["accessKeyId"] == given["AccessKeyId"]
    issuer = identity["sessionContext"]["sessionIssuer"]
    assert issuer["arn"] == role and issuer["userName"] == "reader"
    text = b"".join(path.read_bytes() for path in log_files(iam_server)).decode()
    assert given["SecretAccessKey"] not in text and given["SessionToken"] not in text


def test_nothing_secret_is_in_the_log(iam_server, account, trail):
    ec2 = iam_server.client("ec2", key=account[1])
    kms = iam_server.client("kms", key=account[1])
    iam = iam_server.client("iam", key=account[1])
    pair = ec2.create_key_pair(KeyName="pair")["KeyMaterial"]
    refused(  # it is recorded all the same
        "InvalidAMIID.NotFound",
        ec2.run_instances,
        ImageId="ami-00000000000000000",
        MinCount=1,
        MaxCount=1,
        UserData=PLANTED + "user-data",
    )
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    cipher = kms.encrypt(KeyId=key, Plaintext=(PLANTED + "plain").encode())["CiphertextBlob"]
    kms.decrypt(CiphertextBlob=cipher)
    data_key = kms.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"]
    iam.create_user(UserName="dave")
    access = iam.create_access_key(UserName="dave")["AccessKey"]
    launch = record(lookup(trail, "EventName", "RunInstances")[0])
    assert launch["requestParameters"]["userData"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    made = record(lookup(trail, "ResourceName", access["AccessKeyId"])[0])
    assert made["responseElements"]["accessKey"]["secretAccessKey"] == "HIDDEN_DUE_TO_SECURITY_REASONS"
    text = b"".join(path.read_bytes() for path in log_files(iam_server)).decode()
    for secret in (
        PLANTED,
        base64.b64encode(PLANTED.encode()).decode()[:16],
        pair.splitlines()[3],
        base64.b64encode(data_key).decode(),
        access["SecretAccessKey"],
        account[1][1],
    ):
        assert secret not in text
    assert all(oct(path.stat().st_mode)[-3:] == "600" for path in log_files(iam_server))


def test_events_come_in_pages_and_of_the_time_asked_for(iam_server, account, trail):
    ec2 = iam_server.client("ec2", key=account[1])
    west = iam_server.client("ec2", key=account[1], region="us-west-2")
    for _ in range(7):
        ec2.describe_key_pairs()
    west.describe_key_pairs()
    found = lookup(trail, "EventName", "DescribeKeyPairs", PaginationConfig={"PageSize": 3})
    assert len(found) == 7 and len({event["EventId"] for event in found}) == 7
    page = trail.lookup_events(MaxResults=2)
    assert len(page["Events"]) == 2 and page["NextToken"]
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    assert trail.lookup_events(StartTime=now - 2 * hour, EndTime=now - hour)["Events"] == []
    (one,) = lookup(trail, "EventId", found[3]["EventId"])
    assert one == found[3]
    assert lookup(trail, "EventName", "NoSuchEvent") == []
    refused("InvalidTimeRangeException", trail.lookup_events, StartTime=now, EndTime=now - hour)
    refused("InvalidNextTokenException", trail.lookup_events, NextToken="made-up")
    refused(
        "InvalidLookupAttributesException",
        trail.lookup_events,
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "x"}] * 2,
    )
    stranger = iam_server.client("cloudtrail", key=iam_server.account("audit-stranger")[1])
    assert lookup(stranger, "EventId", found[3]["EventId"]) == [], "of their own account only"
    user = user_of(iam_server, account, "mallory", allow("ec2:*"))
    refused("AccessDeniedException", iam_server.client("cloudtrail", key=user).lookup_events)


def test_every_acknowledged_write_is_in_the_log_after_a_kill(own_server, amid):
    acknowledged = []
    stop = threading.Event()

    def write(number):
        config = botocore.config.Config(retries={"total_max_attempts": 1}, read_timeout=30)
        client = boto3.client(
            "ec2",
            "us-east-1",
            endpoint_url=own_server.endpoint,
            aws_access_key_id="AKIAANYANYANYANYANY0",
            aws_secret_access_key="any",
            config=config,
        )
        for i in range(10000):
            name = f"group-{number}-{i}"
            try:
                made = client.create_security_group(GroupName=name, Description="d")["GroupId"]
            except Exception:  # the server was killed under it
                return
            acknowledged.append(made)
            if len(acknowledged) >= 40:
                stop.set()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    assert stop.wait(60)
    own_server.process.send_signal(signal.SIGKILL)
    own_server.process.wait()
    own_server.process.stdout.close()
    for thread in threads:
        thread.join()
    names = [path.name for path in log_files(own_server)]
    own_server.start()
    text = "".join(path.read_text(encoding="utf-8") for path in log_files(own_server))
    assert len(acknowledged) >= 40 and names
    assert not [made for made in acknowledged if made not in text]
    done = command(amid, own_server, "verify")
    assert done.returncode == 0 and done.stdout.startswith("whole: "), done.stdout + done.stderr


def test_tampering_is_found(own_server, amid):
    ec2 = own_server.client("ec2")
    for i in range(5):
        ec2.create_security_group(GroupName=f"g{i}", Description="d")
    done = command(amid, own_server, "tail", "--lines", "3")
    assert done.returncode == 0 and done.stdout.count("CreateSecurityGroup") == 3, done.stdout + done.stderr
    own_server.stop()
    assert command(amid, own_server, "verify").returncode == 0
    (path,) = log_files(own_server)
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    third = next(i for i, line in enumerate(lines) if b'"g2"' in line)

    def fault(data):
        path.write_bytes(data)
        done = command(amid, own_server, "verify")
        assert done.returncode == 1, done.stdout
        return done.stdout

    changed = lines[:third] + [lines[third].replace(b'"g2"', b'"h2"')] + lines[third + 1 :]
    assert f"line {third + 2} " in fault(b"".join(changed))
    assert f"line {third + 1} " in fault(b"".join(lines[:third] + lines[third + 1 :]))
    assert "cut off" in fault(b"".join(lines[:-1])), "the end of the trail"
    assert "line 1 " in fault(b"".join(lines[1:]))
    own_server.start()  # on a trail whose first line is gone: it goes on, and the fault stays
    ec2 = own_server.client("ec2")
    ec2.create_security_group(GroupName="after", Description="d")
    assert command(amid, own_server, "verify").returncode == 1
    own_server.stop()
    path.write_bytes(whole[: len(whole) // 2])
    own_server.start()
    own_server.client("ec2").create_security_group(GroupName="again", Description="d")
    done = command(amid, own_server, "verify")
    assert done.returncode == 1 and re.search(r"line \d+ does not follow", done.stdout), done.stdout
