"""STS, by stock clients."""


def test_caller_is_told_its_account(sts):
    identity = sts.get_caller_identity()
    assert identity["Account"] == "123456789012"
    assert identity["Arn"].startswith("arn:aws:iam::123456789012:")
    assert identity["UserId"]


def test_cli_is_told_its_account(aws):
    assert aws("sts", "get-caller-identity")["Account"] == "123456789012"
