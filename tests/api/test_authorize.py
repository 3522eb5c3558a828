"""What users may do, by stock clients: IAM policies on every call, conditions on resources, requests and callers."""

import configparser
import datetime
import json
import subprocess
import urllib.error
import uuid

import boto3
import botocore.awsrequest
import botocore.config
import pytest
from botocore.exceptions import ClientError
from conftest import World, poll

REGION = "us-east-1"
SCP = "SERVICE_CONTROL_POLICY"


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class User:
    """A user with an inline policy, of the operator's account unless a root's key says otherwise."""

    def __init__(self, server, *statements, key=None, **more):
        self.server, self.name = server, f"user-{uuid.uuid4().hex[:12]}"
        self.iam = server.client("iam", key=key)
        self.arn = self.iam.create_user(UserName=self.name, **more)["User"]["Arn"]
        self.account = self.arn.split(":")[4]
        key = self.iam.create_access_key(UserName=self.name)["AccessKey"]
        self.key = key["AccessKeyId"], key["SecretAccessKey"]
        self.policy(*statements)

    def policy(self, *statements, name="policy"):
        if statements:
            self.iam.put_user_policy(UserName=self.name, PolicyName=name, PolicyDocument=document(*statements))

    def client(self, service, region=REGION):
        return self.server.client(service, region, key=self.key)


@pytest.fixture(scope="module")
def root(iam_server):
    return iam_server.client("ec2")


@pytest.fixture(scope="module")
def image(root):
    """An image of the operator's, with no tags."""
    return World(root).image(name=f"image {uuid.uuid4().hex}")


@pytest.fixture
def user(iam_server):
    return lambda *statements, **more: User(iam_server, *statements, **more)


def refused(call, *arguments, code="UnauthorizedOperation", **parameters):
    """The message of a denial."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **parameters)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return caught.value.response["Error"]["Message"]


def decode(server, message):
    encoded = message.split("Encoded authorization failure message: ")[1]
    return json.loads(server.client("sts").decode_authorization_message(EncodedMessage=encoded)["DecodedMessage"])


def conditions(decoded):
    return {
        item["key"]: [value["value"] for value in item["values"]["items"]]
        for item in decoded["context"]["conditions"]["items"]
    }


def launch(ec2, image, **more):
    return ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.nano", **more)["Instances"][0]


def approved_only(account):
    """As the EC2 User Guide has it: images with a tag; the other resources of a launch without condition."""
    return (
        allow(
            "ec2:RunInstances",
            f"arn:aws:ec2:{REGION}::image/ami-*",
            Condition={"StringEquals": {"ec2:ResourceTag/Approved": "true"}},
        ),
        allow(
            "ec2:RunInstances",
            [
                f"arn:aws:ec2:{REGION}:{account}:{kind}/*"
                for kind in ("instance", "subnet", "volume", "network-interface", "key-pair", "security-group")
            ],
        ),
    )


def test_new_user_may_nothing(user, iam_server):
    bob = user()
    message = refused(bob.client("ec2").describe_images)
    assert f"User: {bob.arn} is not authorized to perform: ec2:DescribeImages on resource: *" in message
    assert "because no identity-based policy allows the ec2:DescribeImages action" in message
    assert bob.client("sts").get_caller_identity()["Arn"] == bob.arn
    refused(bob.client("iam").list_users, code="AccessDenied")
    refused(bob.client("ebs").list_snapshot_blocks, SnapshotId="snap-0123456789abcdef0", code="AccessDeniedException")


def test_only_approved_images_are_launched(user, iam_server, root):
    """The story: refused and told why; approved by somebody who may; launched."""
    bob = user(*approved_only(iam_server.client("sts").get_caller_identity()["Account"]))
    image = World(root).image(name="for approval")
    message = refused(launch, bob.client("ec2"), image)
    decoded = decode(iam_server, message)
    assert decoded["allowed"] is False and decoded["explicitDeny"] is False
    assert decoded["context"]["principal"]["arn"] == bob.arn
    assert decoded["context"]["action"] == "ec2:RunInstances"
    assert decoded["context"]["resource"] == f"arn:aws:ec2:{REGION}::image/{image}"
    seen = conditions(decoded)
    assert seen["ec2:ImageType"] == ["machine"] and seen["ec2:Public"] == ["false"]
    assert seen["ec2:RootDeviceType"] == ["ebs"] and seen["ec2:Owner"] == [bob.account]
    assert seen["aws:SourceIp"] == ["127.0.0.1"]
    refused(bob.client("ec2").create_tags, Resources=[image], Tags=[{"Key": "Approved", "Value": "true"}])
    root.create_tags(Resources=[image], Tags=[{"Key": "Approved", "Value": "true"}])
    assert launch(bob.client("ec2"), image)["ImageId"] == image
    root.delete_tags(Resources=[image], Tags=[{"Key": "Approved"}])
    refused(launch, bob.client("ec2"), image)


def test_dry_run_tells_what_would_be(user, image):
    bob = user(*approved_only("*"))
    refused(launch, bob.client("ec2"), image, DryRun=True)
    bob.policy(allow("ec2:RunInstances"), name="all")
    with pytest.raises(ClientError, match="DryRunOperation"):
        launch(bob.client("ec2"), image, DryRun=True)


def test_the_denial_of_a_launch_lists_its_gates(user, image, iam_server):
    bob, carol = user(*approved_only("*")), user()
    explanation = decode(iam_server, refused(launch, bob.client("ec2"), image))["explanation"]
    assert explanation["mend"] == "approved-image policy"
    results = {gate["gate"]: gate["result"] for gate in explanation["gates"]}
    assert results["image exists here"] == results["launch permission"] == results["IAM policies"] == "passed"
    explanation = decode(iam_server, refused(launch, carol.client("ec2"), image))["explanation"]
    assert explanation["mend"] == "IAM policies" and explanation["gates"][-1]["result"] == "not reached"
    assert "explanation" not in decode(iam_server, refused(bob.client("ec2").create_volume, AvailabilityZone="us-east-1a", Size=1))


def test_denial_is_told_only_to_those_who_may_decode(user, iam_server):
    bob = user(allow("ec2:DescribeVpcs"))
    message = refused(bob.client("ec2").describe_images)
    encoded = message.split("Encoded authorization failure message: ")[1]
    refused(bob.client("sts").decode_authorization_message, EncodedMessage=encoded, code="AccessDenied")
    bob.policy(allow("sts:DecodeAuthorizationMessage"), name="decode")
    assert "DecodedMessage" in bob.client("sts").decode_authorization_message(EncodedMessage=encoded)


def test_groups_and_managed_policies_count(user, iam_server):
    bob = user()
    iam, group = iam_server.client("iam"), f"group-{uuid.uuid4().hex[:12]}"
    iam.create_group(GroupName=group)
    policy = iam.create_policy(PolicyName=group, PolicyDocument=document(allow("ec2:DescribeVpcs")))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName=group, PolicyArn=policy)
    refused(bob.client("ec2").describe_vpcs)
    iam.add_user_to_group(GroupName=group, UserName=bob.name)
    assert bob.client("ec2").describe_vpcs()["Vpcs"]
    iam.remove_user_from_group(GroupName=group, UserName=bob.name)
    refused(bob.client("ec2").describe_vpcs)
    iam.attach_user_policy(UserName=bob.name, PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    assert bob.client("ec2").describe_vpcs()["Vpcs"]
    refused(bob.client("ec2").create_volume, AvailabilityZone="us-east-1a", Size=1)


def test_source_address(user):
    elsewhere = {"NotIpAddress": {"aws:SourceIp": ["198.51.100.0/24", "203.0.113.7"]}}
    bob = user(allow("ec2:Describe*"), deny("*", Condition=elsewhere))
    assert "with an explicit deny in an identity-based policy" in refused(bob.client("ec2").describe_vpcs)
    bob.policy(allow("ec2:Describe*"), deny("*", Condition={"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}))
    assert bob.client("ec2").describe_vpcs()["Vpcs"]


def test_time_window(user):
    def window(first, last):
        now = datetime.datetime.now(datetime.timezone.utc)
        text = [(now + datetime.timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (first, last)]
        return {"DateGreaterThan": {"aws:CurrentTime": text[0]}, "DateLessThan": {"aws:CurrentTime": text[1]}}

    bob = user(allow("ec2:DescribeVpcs", Condition=window(1, 3)))
    refused(bob.client("ec2").describe_vpcs)
    bob.policy(allow("ec2:DescribeVpcs", Condition=window(-1, 1)))
    assert bob.client("ec2").describe_vpcs()["Vpcs"]


def test_new_volumes_must_have_their_tags(user):
    """RequestTag and TagKeys; tags that come with something new need ec2:CreateTags for that."""
    must = {"StringEquals": {"aws:RequestTag/team": "blue"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}}
    with_create = {"StringEquals": {"ec2:CreateAction": "CreateVolume"}}
    bob = user(allow("ec2:CreateVolume", Condition=must))
    ec2 = bob.client("ec2")

    def create(**tags):
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        specifications = [{"ResourceType": "volume", "Tags": listed}] if tags else []
        return ec2.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=specifications)["VolumeId"]

    refused(create)
    refused(create, team="red")
    refused(create, team="blue", cost="1")
    assert "ec2:CreateTags" in refused(create, team="blue")
    bob.policy(allow("ec2:CreateTags", "arn:aws:ec2:*:*:volume/*", Condition=with_create), name="tags")
    volume = create(team="blue")
    refused(ec2.create_tags, Resources=[volume], Tags=[{"Key": "team", "Value": "red"}])


def test_own_things_by_principal_tag(user, root):
    """Attribute-based access: a user changes what has its own team's tag."""
    mine = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    bob = user(allow("ec2:DeleteVolume", Condition=mine), Tags=[{"Key": "team", "Value": "blue"}])
    volumes = {}
    for team in ("blue", "red"):
        tags = [{"ResourceType": "volume", "Tags": [{"Key": "team", "Value": team}]}]
        volumes[team] = root.create_volume(AvailabilityZone="us-east-1a", Size=1, TagSpecifications=tags)["VolumeId"]
        root.get_waiter("volume_available").wait(
            VolumeIds=[volumes[team]], WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
    refused(bob.client("ec2").delete_volume, VolumeId=volumes["red"])
    bob.client("ec2").delete_volume(VolumeId=volumes["blue"])


def test_launches_are_limited_by_what_they_would_make(user, image):
    small = {"NumericGreaterThan": {"ec2:VolumeSize": "8"}}
    imds = {"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}}
    zone_b = {"StringEquals": {"ec2:AvailabilityZone": "us-east-1b"}}
    bob = user(
        allow("ec2:RunInstances"),
        deny("ec2:RunInstances", "arn:aws:ec2:*:*:volume/*", Condition=small),
        deny("ec2:RunInstances", "arn:aws:ec2:*:*:instance/*", Condition=imds),
        deny("ec2:RunInstances", "arn:aws:ec2:*:*:subnet/*", Condition=zone_b),
    )
    tokens = {"MetadataOptions": {"HttpTokens": "required"}, "DryRun": True}
    large = [{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 9}}]
    with pytest.raises(ClientError, match="DryRunOperation"):
        launch(bob.client("ec2"), image, **tokens)
    assert ":instance/*" in refused(launch, bob.client("ec2"), image, DryRun=True)
    assert ":volume/*" in refused(launch, bob.client("ec2"), image, BlockDeviceMappings=large, **tokens)
    zone = {"AvailabilityZone": "us-east-1b"}
    assert ":subnet/" in refused(launch, bob.client("ec2"), image, Placement=zone, **tokens)


def test_regions_can_be_denied(user):
    bob = user(allow("ec2:Describe*", Condition={"StringEquals": {"aws:RequestedRegion": REGION}}))
    assert bob.client("ec2").describe_vpcs()["Vpcs"]
    refused(bob.client("ec2", "us-west-2").describe_vpcs)


def test_boundary_limits(user, iam_server):
    bob = user(allow("ec2:*"))
    policy = iam_server.client("iam").create_policy(
        PolicyName=f"boundary-{bob.name}", PolicyDocument=document(allow("ec2:Describe*"))
    )["Policy"]["Arn"]
    iam_server.client("iam").put_user_permissions_boundary(UserName=bob.name, PermissionsBoundary=policy)
    assert bob.client("ec2").describe_vpcs()["Vpcs"]
    message = refused(bob.client("ec2").create_volume, AvailabilityZone="us-east-1a", Size=1)
    assert "because no permissions boundary allows the ec2:CreateVolume action" in message


def session_client(server, credentials, service, region=REGION):
    return boto3.client(
        service,
        region,
        endpoint_url=server.endpoint,
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["SessionToken"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )


def test_role_session_is_limited_by_its_policy(user, iam_server):
    bob = user(allow("sts:AssumeRole"))
    iam, name = iam_server.client("iam"), f"role-{uuid.uuid4().hex[:12]}"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": bob.account}}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(allow("ec2:Describe*")))
    whole = bob.client("sts").assume_role(RoleArn=role, RoleSessionName="whole")["Credentials"]
    assert session_client(iam_server, whole, "ec2").describe_vpcs()["Vpcs"]
    refused(session_client(iam_server, whole, "ec2").delete_volume, VolumeId="vol-0123456789abcdef0")
    part = bob.client("sts").assume_role(
        RoleArn=role, RoleSessionName="part", Policy=document(allow("ec2:DescribeImages"))
    )["Credentials"]
    session_client(iam_server, part, "ec2").describe_images(Owners=["self"])
    message = refused(session_client(iam_server, part, "ec2").describe_vpcs)
    assert f"assumed-role/{name}/part" in message and "because no session policy allows" in message


@pytest.fixture(scope="module")
def member(amid, iam_server):
    """An organization, a unit of it, and what makes clients for the administrator of an account in the unit."""
    made = subprocess.run(
        [amid, "account", "create", "management", "--data", iam_server.data, "--endpoint", iam_server.endpoint],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    parser = configparser.ConfigParser()
    parser.read_string(made.stdout)
    key = parser["management"]["aws_access_key_id"], parser["management"]["aws_secret_access_key"]
    organizations = iam_server.client("organizations", key=key)
    organizations.create_organization(FeatureSet="ALL")
    top = organizations.list_roots()["Roots"][0]["Id"]
    organizations.enable_policy_type(RootId=top, PolicyType=SCP)
    unit = organizations.create_organizational_unit(ParentId=top, Name="unit")["OrganizationalUnit"]["Id"]
    made = organizations.create_account(Email="governed@example.com", AccountName="governed")["CreateAccountStatus"]
    account = made["AccountId"]
    organizations.move_account(AccountId=account, SourceParentId=top, DestinationParentId=unit)
    admin = User(iam_server, allow("*"), key=key)
    role = f"arn:aws:iam::{account}:role/OrganizationAccountAccessRole"
    credentials = admin.client("sts").assume_role(RoleArn=role, RoleSessionName="admin")["Credentials"]
    return organizations, unit, lambda service, **more: session_client(iam_server, credentials, service, **more)


def test_organization_denies_whatever_iam_allows(amid, member, iam_server):
    organizations, unit, client = member
    ec2 = client("ec2")
    assert ec2.describe_vpcs()["Vpcs"]
    guard = document(
        deny("ec2:*Snapshot*"),
        deny("ec2:*", Condition={"StringNotEquals": {"aws:RequestedRegion": REGION}}),
        deny("ec2:RunInstances", "arn:aws:ec2:*::image/ami-*", Condition={"StringNotEquals": {"ec2:Owner": "amazon"}}),
    )
    made = organizations.create_policy(Name="guard", Description="", Type=SCP, Content=guard)
    policy = made["Policy"]["PolicySummary"]
    organizations.attach_policy(PolicyId=policy["Id"], TargetId=unit)
    assert ec2.describe_vpcs()["Vpcs"]
    assert "with an explicit deny in a service control policy" in refused(ec2.describe_snapshots, OwnerIds=["self"])
    refused(client("ec2", region="us-west-2").describe_vpcs)
    role = f"arn:aws:iam::{client('sts').get_caller_identity()['Account']}:role/OrganizationAccountAccessRole"
    image = World(iam_server.client("ec2")).image(name="for the member")
    sharing = {"LaunchPermission": {"Add": [{"UserId": role.split(":")[4]}]}}
    iam_server.client("ec2").modify_image_attribute(ImageId=image, **sharing)
    answer, _ = explain(amid, iam_server, iam_server.credentials(), "--image", image, "--as", role)
    assert answer["mend"] == "organization policies" and policy["Arn"] in answer["gates"][-2]["detail"]
    organizations.detach_policy(PolicyId=policy["Id"], TargetId=unit)
    assert client("ec2", region="us-west-2").describe_vpcs()["Vpcs"]


def test_own_key_is_named_by_nobody(user):
    """Without a name, the caller's user is the resource."""
    own = "arn:aws:iam::*:user/${aws:username}"
    bob, eve = user(allow("iam:ListAccessKeys", own)), user()
    assert bob.client("iam").list_access_keys()["AccessKeyMetadata"][0]["AccessKeyId"] == bob.key[0]
    refused(bob.client("iam").list_access_keys, UserName=eve.name, code="AccessDenied")


def ask(server, method, path, key, body=b""):
    """A signed request below /_amid/."""
    request = botocore.awsrequest.AWSRequest(method, f"{server.endpoint}{path}", data=body)
    credentials = botocore.credentials.Credentials(*key)
    botocore.auth.SigV4Auth(credentials, "ec2", REGION).add_auth(request)
    prepared = request.prepare()
    plain = urllib.request.Request(
        prepared.url, data=body or None, headers=dict(prepared.headers), method=prepared.method
    )
    try:
        with urllib.request.urlopen(plain, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_operators_paths_are_the_operators(user, iam_server, image):
    bob = user(allow("*"))
    for method, path in (("GET", "/_amid/status"), ("GET", "/_amid/scrub"), ("POST", "/_amid/scrub")):
        assert ask(iam_server, method, path, bob.key)[0] == 403, path
        assert ask(iam_server, method, path, iam_server.credentials("platform"))[0] == 403, path
    assert ask(iam_server, "GET", "/_amid/status", iam_server.credentials())[0] == 200
    assert ask(iam_server, "GET", f"/_amid/show/{image}", bob.key)[0] == 200
    assert ask(iam_server, "GET", f"/_amid/show/{image}", user().key)[0] == 403
    assert ask(iam_server, "POST", "/_amid/du", user().key, b"{}")[0] == 403


def explain(amid, server, key, *arguments):
    environment = {"PATH": "/usr/bin:/bin", "AWS_ENDPOINT_URL": server.endpoint, "AWS_REGION": REGION}
    environment.update(AWS_ACCESS_KEY_ID=key[0], AWS_SECRET_ACCESS_KEY=key[1])
    command = [amid, "explain", "launch", "--json", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if not done.stdout:
        raise RuntimeError(done.stderr)
    answer = json.loads(done.stdout)
    assert done.returncode == (0 if answer["allowed"] else 1)
    return answer, {gate["gate"]: gate["result"] for gate in answer["gates"]}


def test_explain_names_the_gate_to_mend(amid, user, iam_server, root):
    bob = user(*approved_only("*"))
    image = World(root).image(name="to explain")
    operator = iam_server.credentials()
    answer, gates = explain(amid, iam_server, operator, "--image", image, "--as", bob.arn)
    assert answer["mend"] == "approved-image policy" and not answer["allowed"]
    assert list(gates.values()) == ["passed"] * 9 + ["failed"]
    failed = [gate["detail"] for gate in answer["gates"] if gate["result"] == "failed"][0]
    assert f"::image/{image}" in failed and "no identity-based policy allows" in failed
    root.create_tags(Resources=[image], Tags=[{"Key": "Approved", "Value": "true"}])
    answer, gates = explain(amid, iam_server, operator, "--image", image, "--as", bob.arn)
    assert answer["allowed"] and answer["mend"] is None and set(gates.values()) == {"passed"}
    answer, _ = explain(amid, iam_server, operator, "--image", image, "--as", bob.arn, "--region", "us-west-2")
    assert answer["mend"] == "image exists here" and "is in us-east-1" in answer["gates"][0]["detail"]
    answer, _ = explain(amid, iam_server, operator, "--image", image, "--as", "arn:aws:iam::137112412989:root")
    assert answer["mend"] == "launch permission"


def test_explain_tells_of_keys(amid, iam_server, root):
    """An encrypted image that is shared, and its key that is not; then it is; then it is disabled."""
    kms, other = iam_server.client("kms"), "arn:aws:iam::137112412989:root"
    account = iam_server.client("sts").get_caller_identity()["Account"]
    key = kms.create_key()["KeyMetadata"]["Arn"]
    world = World(root)
    volume = world.volume(Encrypted=True, KmsKeyId=key)
    snapshot = root.create_snapshot(VolumeId=volume)["SnapshotId"]
    poll(lambda: world.snapshot_state(snapshot) == "completed")
    image = world.image(name="sealed", snapshot=snapshot)
    root.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": "137112412989"}]})
    asked = amid, iam_server, iam_server.credentials(), "--image", image, "--as", other
    answer, _ = explain(*asked)
    assert answer["mend"] == "key policy and grants"
    assert "kms:CreateGrant" in [gate["detail"] for gate in answer["gates"] if gate["result"] == "failed"][0]
    statements = [
        {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Principal": {"AWS": f"arn:aws:iam::{number}:root"}}
        for number in (account, "137112412989")
    ]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=document(*statements))
    assert explain(*asked)[0]["allowed"]
    assert all("137112412989" not in grant["GranteePrincipal"] for grant in kms.list_grants(KeyId=key)["Grants"])
    kms.disable_key(KeyId=key)
    assert explain(*asked)[0]["mend"] == "key state"


def test_explain_is_for_those_who_may(amid, user, iam_server, image):
    bob, eve = user(allow("iam:SimulatePrincipalPolicy")), user()
    assert not explain(amid, iam_server, bob.key, "--image", image, "--as", eve.arn)[0]["allowed"]
    with pytest.raises(RuntimeError, match="iam:SimulatePrincipalPolicy"):
        explain(amid, iam_server, eve.key, "--image", image, "--as", bob.arn)
    with pytest.raises(RuntimeError, match="another account"):
        explain(amid, iam_server, bob.key, "--image", image, "--as", "arn:aws:iam::137112412989:root")
    # what is another account's and not shared is not there for anybody but the operator
    answer, _ = explain(
        amid, iam_server, iam_server.credentials("platform"), "--image", image, "--as", "arn:aws:iam::137112412989:root"
    )
    assert answer["mend"] == "image exists here"
