"""Instance profiles of instances, by stock clients; what the guest finds is tested in tests/unit/svc and tests/vm."""

import json
import uuid

import pytest
from botocore.exceptions import ClientError
from conftest import World

TRUST = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
def iam(server):
    return server.client("iam")


@pytest.fixture
def profile(iam):
    return make_profile(iam)


def make_profile(iam, role=True, path="/"):
    name = f"profile-{uuid.uuid4().hex[:8]}"
    made = iam.create_instance_profile(InstanceProfileName=name, Path=path)["InstanceProfile"]
    if role:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(TRUST))
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return made


def named(profile):
    return {"Name": profile["InstanceProfileName"]}


def associations(ec2, **more):
    found = ec2.describe_iam_instance_profile_associations(**more)["IamInstanceProfileAssociations"]
    return [(one["InstanceId"], one["IamInstanceProfile"]["Arn"], one["State"]) for one in found]


def refused(code, call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_launch_with_a_profile_by_name_and_by_arn(ec2, iam, world):
    profile = make_profile(iam, path="/web/")
    for asked in named(profile), {"Arn": profile["Arn"]}, {"Name": profile["InstanceProfileName"].upper()}:
        instance = world.instance(IamInstanceProfile=asked)
        shown = world.shown(instance)["IamInstanceProfile"]
        assert shown == {"Arn": profile["Arn"], "Id": profile["InstanceProfileId"]}
        assert associations(ec2, Filters=[{"Name": "instance-id", "Values": [instance]}]) == [
            (instance, profile["Arn"], "associated")
        ]
    found = ec2.describe_instances(Filters=[{"Name": "iam-instance-profile.arn", "Values": [profile["Arn"]]}])
    assert sum(len(one["Instances"]) for one in found["Reservations"]) == 3
    assert len({one["AssociationId"] for one in
                ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]}) == 3


def test_launch_with_a_profile_that_will_not_do(ec2, iam, world, profile):
    def launch(**asked):
        ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile=asked)

    image = world.image()
    assert "Invalid IAM Instance Profile name" in refused("InvalidParameterValue", launch, Name="none-such")
    elsewhere = profile["Arn"].replace("instance-profile/", "instance-profile/other/")
    for arn in elsewhere, profile["Arn"].replace("123456789012", "111122223333"), "nonsense":
        assert "Invalid IAM Instance Profile ARN" in refused("InvalidParameterValue", launch, Arn=arn)
    refused("InvalidParameterCombination", launch, Arn=profile["Arn"], **named(profile))
    empty = make_profile(iam, role=False)
    assert "has no associated IAM Roles" in refused("InvalidParameterValue", launch, **named(empty))
    assert ec2.describe_instances()["Reservations"] == []


def test_association_is_made_replaced_and_ended(ec2, iam, world, profile):
    instance, other = world.instance(), make_profile(iam)
    associate = ec2.associate_iam_instance_profile
    made = associate(InstanceId=instance, IamInstanceProfile=named(profile))["IamInstanceProfileAssociation"]
    assert made["State"] == "associating" and made["AssociationId"].startswith("iip-assoc-")
    assert made["InstanceId"] == instance and made["IamInstanceProfile"]["Id"] == profile["InstanceProfileId"]
    assert instance in refused("IncorrectState", associate, InstanceId=instance, IamInstanceProfile=named(other))
    again = ec2.replace_iam_instance_profile_association(
        AssociationId=made["AssociationId"], IamInstanceProfile=named(other)
    )["IamInstanceProfileAssociation"]
    assert again["AssociationId"] != made["AssociationId"]
    assert associations(ec2) == [(instance, other["Arn"], "associated")]
    assert associations(ec2, AssociationIds=[again["AssociationId"]]) == [(instance, other["Arn"], "associated")]
    for call in ec2.disassociate_iam_instance_profile, ec2.describe_iam_instance_profile_associations:
        asked = made["AssociationId"]
        name = "AssociationIds" if "describe" in call.__name__ else "AssociationId"
        refused("InvalidAssociationID.NotFound", call, **{name: [asked] if name.endswith("s") else asked})
    ended = ec2.disassociate_iam_instance_profile(AssociationId=again["AssociationId"])
    assert ended["IamInstanceProfileAssociation"]["State"] == "disassociating"
    assert associations(ec2) == [] and "IamInstanceProfile" not in world.shown(instance)
    refused("InvalidInstanceID.NotFound", associate, InstanceId="i-0123456789abcdef0", IamInstanceProfile=named(other))
    refused("MissingParameter", associate, InstanceId=instance, IamInstanceProfile={})


def test_association_outlives_a_stop_and_ends_with_the_instance(ec2, iam, world, profile):
    instance = world.instance(IamInstanceProfile=named(profile))
    ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped")
    assert associations(ec2) == [(instance, profile["Arn"], "associated")]
    ec2.terminate_instances(InstanceIds=[instance])
    world.wait_state(instance, "terminated")
    assert associations(ec2) == [] and "IamInstanceProfile" not in world.shown(instance)
    refused("IncorrectInstanceState", ec2.associate_iam_instance_profile, InstanceId=instance,
            IamInstanceProfile=named(profile))


def test_caller_needs_to_pass_the_role_and_to_act_on_the_instance(iam_server):
    iam, root = iam_server.client("iam"), iam_server.client("ec2")
    world, profile, other = World(root), make_profile(iam), make_profile(iam)
    instance = world.instance()
    user = f"user-{uuid.uuid4().hex[:8]}"
    iam.create_user(UserName=user)
    key = iam.create_access_key(UserName=user)["AccessKey"]
    ec2 = iam_server.client("ec2", key=(key["AccessKeyId"], key["SecretAccessKey"]))
    actions = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    role = iam.get_role(RoleName=profile["InstanceProfileName"])["Role"]["Arn"]
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role,
               "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}}

    def may(*statements):
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=document(*statements))

    may(actions)
    asked = {"InstanceId": instance, "IamInstanceProfile": named(profile)}
    assert "iam:PassRole" in refused("UnauthorizedOperation", ec2.associate_iam_instance_profile, **asked)
    may(actions, passing)
    made = ec2.associate_iam_instance_profile(**asked)["IamInstanceProfileAssociation"]["AssociationId"]
    refused("UnauthorizedOperation", ec2.replace_iam_instance_profile_association, AssociationId=made,
            IamInstanceProfile=named(other))
    # the instance of an association is what the action is on, and the profile that it has is a condition key
    may({**actions, "Condition": {"ArnNotEquals": {"ec2:InstanceProfile": profile["Arn"]}}})
    refused("UnauthorizedOperation", ec2.disassociate_iam_instance_profile, AssociationId=made)
    may({**actions, "Resource": f"arn:aws:ec2:us-east-1:*:instance/{instance}",
         "Condition": {"ArnEquals": {"ec2:InstanceProfile": profile["Arn"]}}})
    ec2.disassociate_iam_instance_profile(AssociationId=made)
    root.terminate_instances(InstanceIds=[instance])
