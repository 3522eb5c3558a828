"""Security groups and their ingress rules, by stock clients."""

import uuid

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def group(ec2):
    """The id of a new group, which is gone afterwards."""
    created = ec2.create_security_group(GroupName=f"group-{uuid.uuid4().hex[:12]}", Description="of a test")["GroupId"]
    yield created
    try:
        ec2.delete_security_group(GroupId=created)
    except ClientError as error:
        if error.response["Error"]["Code"] != "InvalidGroup.NotFound":
            raise


def described(ec2, group):
    return ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]


def tcp(port, cidr="0.0.0.0/0", **more):
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "IpRanges": [{"CidrIp": cidr, **more}]}


def test_default_group_lets_itself_in_and_everything_out(ec2):
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]
    assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]
    assert group["IpPermissionsEgress"][0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]


def test_default_group_cannot_be_deleted(ec2):
    with pytest.raises(ClientError, match="CannotDelete"):
        ec2.delete_security_group(GroupName="default")


def test_new_group_lets_nothing_in(ec2, group):
    assert described(ec2, group)["IpPermissions"] == []
    assert described(ec2, group)["IpPermissionsEgress"][0]["IpProtocol"] == "-1"


def test_name_is_taken_once(ec2, group):
    with pytest.raises(ClientError, match="InvalidGroup.Duplicate"):
        ec2.create_security_group(GroupName=described(ec2, group)["GroupName"], Description="again")


def test_flat_parameters_authorize_a_rule(ec2, group):
    answer = ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="10.0.0.0/8"
    )
    assert answer["Return"] is True
    rule = answer["SecurityGroupRules"][0]
    assert rule["SecurityGroupRuleId"].startswith("sgr-")
    assert (rule["IpProtocol"], rule["FromPort"], rule["CidrIpv4"], rule["IsEgress"]) == ("tcp", 22, "10.0.0.0/8", False)


def test_rules_of_the_same_ports_are_shown_as_one_permission(ec2, group):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, "10.0.0.0/8")])
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, "192.168.0.0/16"), tcp(443)])
    permissions = described(ec2, group)["IpPermissions"]
    assert [len(permission["IpRanges"]) for permission in permissions] == [2, 1]


def test_addresses_are_made_canonical(ec2, group):
    answer = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, "100.68.0.18/18")])
    assert answer["SecurityGroupRules"][0]["CidrIpv4"] == "100.68.0.0/18"


def test_descriptions_are_kept(ec2, group):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, Description="office")])
    assert described(ec2, group)["IpPermissions"][0]["IpRanges"][0]["Description"] == "office"


def test_same_rule_twice_is_refused(ec2, group):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80)])
    with pytest.raises(ClientError, match="InvalidPermission.Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(443), tcp(80)])
    assert len(described(ec2, group)["IpPermissions"]) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"CidrIp": "10.0.0.0"},
        {"CidrIp": "10.0.0.0/33"},
        {"FromPort": 70000, "ToPort": 70000},
        {"FromPort": 23, "ToPort": 22},
        {"IpProtocol": "carrier-pigeon"},
    ],
)
def test_rules_that_are_wrong_are_refused(ec2, group, wrong):
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0", **wrong}
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.authorize_security_group_ingress(GroupId=group, **rule)


def test_rule_is_revoked_by_id(ec2, group):
    answer = ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80), tcp(443)])
    rule = answer["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    assert ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule])["Return"] is True
    assert [permission["FromPort"] for permission in described(ec2, group)["IpPermissions"]] == [443]


def test_rule_is_revoked_by_what_it_allows(ec2, group):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(80, Description="office")])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(80)])
    assert described(ec2, group)["IpPermissions"] == []


def test_revoking_a_missing_rule_is_an_error(ec2, group):
    with pytest.raises(ClientError, match="InvalidPermission.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[tcp(80)])


def test_group_that_a_rule_names_cannot_be_deleted(ec2, group):
    other = ec2.create_security_group(GroupName=f"other-{uuid.uuid4().hex[:12]}", Description="names it")["GroupId"]
    permission = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=other, IpPermissions=[permission])
    with pytest.raises(ClientError, match="DependencyViolation"):
        ec2.delete_security_group(GroupId=group)
    ec2.delete_security_group(GroupId=other)
    ec2.delete_security_group(GroupId=group)


def test_rule_tags_are_answered_and_described(ec2, group):
    tags = [{"Key": "why", "Value": group}]
    answer = ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[tcp(80)],
        TagSpecifications=[{"ResourceType": "security-group-rule", "Tags": tags}],
    )
    assert answer["SecurityGroupRules"][0]["Tags"] == tags
    shown = ec2.describe_tags(Filters=[{"Name": "value", "Values": [group]}])["Tags"]
    assert [tag["ResourceType"] for tag in shown] == ["security-group-rule"]


def test_filters_look_into_permissions(ec2, group):
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[tcp(8123, "198.51.100.0/24")])
    filters = [{"Name": "ip-permission.cidr", "Values": ["198.51.100.*"]}, {"Name": "group-id", "Values": [group]}]
    assert len(ec2.describe_security_groups(Filters=filters)["SecurityGroups"]) == 1
    filters[0]["Values"] = ["203.0.113.*"]
    assert ec2.describe_security_groups(Filters=filters)["SecurityGroups"] == []


def test_unknown_group_is_not_found(ec2):
    with pytest.raises(ClientError, match="InvalidGroup.NotFound"):
        ec2.describe_security_groups(GroupIds=["sg-0123456789abcdef0"])


def test_pages_hold_every_group_once(ec2):
    made = {
        ec2.create_security_group(GroupName=f"page-{uuid.uuid4().hex[:12]}", Description="page")["GroupId"]
        for _ in range(6)
    }
    filters = [{"Name": "group-name", "Values": ["page-*"]}]
    pages = list(ec2.get_paginator("describe_security_groups").paginate(Filters=filters, PaginationConfig={"PageSize": 5}))
    seen = [group["GroupId"] for page in pages for group in page["SecurityGroups"]]
    assert len(pages) >= 2
    assert len(seen) == len(set(seen)) and made <= set(seen)
    for group in made:
        ec2.delete_security_group(GroupId=group)


def test_cli_takes_a_port_and_an_address(ec2, aws, group):
    aws("ec2", "authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", "22",
        "--cidr", "203.0.113.0/24")
    assert described(ec2, group)["IpPermissions"][0]["FromPort"] == 22
