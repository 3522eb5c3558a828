"""Who may call at all (--auth iam), and what a first start leaves."""

import datetime
import stat
import urllib.error
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from botocore.exceptions import ClientError


def signed_at(server, moment, monkeypatch):
    """The answer to a request that was signed at another moment."""

    class Clock(datetime.datetime):
        @classmethod
        def utcnow(cls):
            return moment

    monkeypatch.setattr(botocore.auth.datetime, "datetime", Clock)
    request = botocore.awsrequest.AWSRequest(
        "POST", f"{server.endpoint}/", data="Action=DescribeRegions&Version=2016-11-15"
    )
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    return server.send(request)


def test_credentials_are_for_their_owner_only(iam_server):
    for name in ("root", "platform"):
        assert stat.S_IMODE((iam_server.data / f"{name}-credentials").stat().st_mode) == 0o600
    assert stat.S_IMODE(iam_server.data.stat().st_mode) == 0o700


def test_callers_are_told_apart(iam_server):
    root = iam_server.client("sts").get_caller_identity()
    platform = iam_server.client("sts", key=iam_server.credentials("platform")).get_caller_identity()
    assert root["Account"] != platform["Account"]
    assert root["Arn"] == f"arn:aws:iam::{root['Account']}:root"


def test_unknown_key_is_refused(iam_server):
    for service, call in (("ec2", "describe_regions"), ("sts", "get_caller_identity")):
        client = iam_server.client(service, key=("AKIAUNKNOWNUNKNOWN00", "secret"))
        with pytest.raises(ClientError, match="AuthFailure|InvalidClientTokenId"):
            getattr(client, call)()


def test_wrong_secret_is_refused(iam_server):
    key, _ = iam_server.credentials()
    with pytest.raises(ClientError, match="AuthFailure|SignatureDoesNotMatch"):
        iam_server.client("ec2", key=(key, "wrong")).describe_regions()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        iam_server.client("sts", key=(key, "wrong")).get_caller_identity()


def test_unsigned_request_is_refused(iam_server):
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{iam_server.endpoint}/?Action=DescribeRegions&Version=2016-11-15", timeout=20)
    assert refusal.value.code in (401, 403) and b"MissingAuthenticationToken" in refusal.value.read()


@pytest.mark.parametrize("minutes", [-16, 16])
def test_clock_that_is_far_off_is_refused(iam_server, monkeypatch, minutes):
    status, body = signed_at(iam_server, datetime.datetime.utcnow() + datetime.timedelta(minutes=minutes), monkeypatch)
    assert status in (400, 403) and (
        "RequestExpired" in body or "SignatureDoesNotMatch" in body or "AuthFailure" in body
    )


@pytest.mark.parametrize("minutes", [-14, 14])
def test_clock_that_is_a_little_off_is_taken(iam_server, monkeypatch, minutes):
    status, body = signed_at(iam_server, datetime.datetime.utcnow() + datetime.timedelta(minutes=minutes), monkeypatch)
    assert status == 200, body


def test_presigned_url_is_good_until_it_expires(iam_server):
    url = iam_server.client("ec2").generate_presigned_url("describe_regions", ExpiresIn=60, HttpMethod="GET")
    with urllib.request.urlopen(url, timeout=20) as answer:
        assert b"us-west-2" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(url.replace("DescribeRegions", "DescribeVpcs"), timeout=20)
    assert refusal.value.code in (401, 403)


def test_reset_is_refused_where_signatures_count(iam_server):
    request = botocore.awsrequest.AWSRequest("POST", f"{iam_server.endpoint}/_amid/reset", data=b"")
    status, body = iam_server.send(request)
    assert status == 403 and "only with --auth any" in body


def test_health_needs_no_signature_but_status_does(iam_server):
    with urllib.request.urlopen(f"{iam_server.endpoint}/_amid/health", timeout=20) as answer:
        assert b"ok" in answer.read()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{iam_server.endpoint}/_amid/status", timeout=20)
    assert refusal.value.code in (401, 403)


def test_any_credentials_pass_where_they_do_not_count(server):
    client = server.client("sts", key=("AKIASOMEBODYSOMEBODY", "nonsense"))
    assert client.get_caller_identity()["Account"] == "123456789012"
