"""The recycle bin: its rules (rbin), what goes in, comes back, and goes for good when its time is over."""

import json
import urllib.parse

import botocore.awsrequest
import pytest
from botocore.exceptions import ClientError
from test_clock import clock
from test_ebs_direct import block_of, read, write

DAY = 24 * 3600 * 1000
GONE = "InvalidSnapshot.NotFound"


@pytest.fixture
def rbin(server):
    return server.client("rbin")


@pytest.fixture
def rest(server):
    """rest("PATCH", "/rules/ID/lock", body) -> (status, answer): for what Debian's botocore does not know."""

    def call(method, path, **body):
        request = botocore.awsrequest.AWSRequest(
            method,
            server.endpoint + path,
            data=json.dumps(body).encode() if body else b"",
            headers={"Content-Type": "application/json"},
        )
        status, answer = server.send(request, "rbin")
        return status, json.loads(answer) if answer else {}

    return call


def rule(rbin, kind="EBS_SNAPSHOT", days=7, **more):
    period = {"RetentionPeriodValue": days, "RetentionPeriodUnit": "DAYS"}
    return rbin.create_rule(ResourceType=kind, RetentionPeriod=period, **more)["Identifier"]


def in_bin(ec2):
    return [shown["SnapshotId"] for shown in ec2.list_snapshots_in_recycle_bin()["Snapshots"]]


def images_in_bin(ec2):
    return [shown["ImageId"] for shown in ec2.list_images_in_recycle_bin()["Images"]]


def refused(code, call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def test_rule_is_made_shown_changed_and_deleted(rbin):
    tags = [{"ResourceTagKey": "team", "ResourceTagValue": "a"}]
    made = rule(rbin, Description="keep", ResourceTags=tags, Tags=[{"Key": "k", "Value": "v"}])
    shown = rbin.get_rule(Identifier=made)
    assert (shown["Description"], shown["ResourceTags"], shown["Status"]) == ("keep", tags, "available")
    assert shown["RetentionPeriod"] == {"RetentionPeriodValue": 7, "RetentionPeriodUnit": "DAYS"}
    other = rule(rbin, "EC2_IMAGE")
    assert [r["Identifier"] for r in rbin.list_rules(ResourceType="EBS_SNAPSHOT")["Rules"]] == [made]
    assert [r["Identifier"] for r in rbin.list_rules(ResourceType="EC2_IMAGE")["Rules"]] == [other]
    assert not rbin.list_rules(ResourceType="EBS_SNAPSHOT", ResourceTags=[{"ResourceTagKey": "other"}])["Rules"]
    rbin.update_rule(Identifier=made, RetentionPeriod={"RetentionPeriodValue": 9, "RetentionPeriodUnit": "DAYS"})
    assert rbin.get_rule(Identifier=made)["RetentionPeriod"]["RetentionPeriodValue"] == 9
    rbin.delete_rule(Identifier=made)
    for call in (rbin.get_rule, rbin.delete_rule):
        answer = refused("ResourceNotFoundException", call, Identifier=made)
        assert answer["Reason"] == "RULE_NOT_FOUND"


def test_rules_come_in_pages(rbin):
    made = sorted(rule(rbin, days=day) for day in range(1, 4))
    first = rbin.list_rules(ResourceType="EBS_SNAPSHOT", MaxResults=2)
    second = rbin.list_rules(ResourceType="EBS_SNAPSHOT", MaxResults=2, NextToken=first["NextToken"])
    assert [r["Identifier"] for r in first["Rules"] + second["Rules"]] == made and "NextToken" not in second
    answer = refused("ValidationException", rbin.list_rules, ResourceType="EBS_SNAPSHOT", NextToken="abcd")
    assert answer["Reason"] == "INVALID_PAGE_TOKEN"


def test_tags_of_a_rule(rbin, rest):
    made = rule(rbin, Tags=[{"Key": "a", "Value": "1"}])
    arn = f"arn:aws:rbin:us-east-1:123456789012:rule/{made}"
    path = "/tags/" + urllib.parse.quote(arn, safe="")
    rbin.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b c", "Value": "3"}])
    assert rbin.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "b c", "Value": "3"}]
    rbin.untag_resource(ResourceArn=arn, TagKeys=["b c", "none"])
    assert rest("GET", path) == (200, {"Tags": [{"Key": "a", "Value": "2"}]})
    refused("ResourceNotFoundException", rbin.list_tags_for_resource, ResourceArn=arn[:-1] + "?")


def test_locked_rule_is_unlocked_only_after_its_delay(rbin, rest, server):
    delay = {"UnlockDelay": {"UnlockDelayValue": 7, "UnlockDelayUnit": "DAYS"}}
    made = rule(rbin)
    status, answer = rest("PATCH", f"/rules/{made}/lock", LockConfiguration=delay)
    assert status == 200 and answer["LockState"] == "locked"
    assert refused("ConflictException", rbin.delete_rule, Identifier=made)["Reason"] == "INVALID_RULE_STATE"
    refused("ConflictException", rbin.update_rule, Identifier=made, Description="no")
    status, answer = rest("PATCH", f"/rules/{made}/unlock")
    assert status == 200 and answer["LockState"] == "pending_unlock" and answer["LockEndTime"]
    clock(server, "POST", advance_ms=7 * DAY - 3600_000)
    refused("ConflictException", rbin.delete_rule, Identifier=made)
    clock(server, "POST", advance_ms=3600_000)
    rbin.delete_rule(Identifier=made)
    tagged = rule(rbin, ResourceTags=[{"ResourceTagKey": "team"}])
    assert rest("PATCH", f"/rules/{tagged}/lock", LockConfiguration=delay)[0] == 400


def test_what_is_no_rule(rbin, rest):
    period = {"RetentionPeriodValue": 7, "RetentionPeriodUnit": "DAYS"}
    tag = [{"ResourceTagKey": "k"}]
    for wrong in (
        {"ResourceType": "EC2_INSTANCE", "RetentionPeriod": period},
        {"ResourceType": "EBS_VOLUME", "RetentionPeriod": period},
        {"ResourceType": "EBS_SNAPSHOT", "RetentionPeriod": {**period, "RetentionPeriodValue": 3651}},
        {"ResourceType": "EBS_SNAPSHOT", "RetentionPeriod": {**period, "RetentionPeriodUnit": "WEEKS"}},
        {"ResourceType": "EBS_SNAPSHOT"},
        {"ResourceType": "EBS_SNAPSHOT", "RetentionPeriod": {"RetentionPeriodValue": 7}},
        {"ResourceType": "EBS_SNAPSHOT", "RetentionPeriod": {"RetentionPeriodUnit": "DAYS"}},
        {"ResourceType": "EBS_SNAPSHOT", "RetentionPeriod": period, "LockConfiguration": {}},
        {"ResourceType": "EBS_SNAPSHOT", "RetentionPeriod": period, "ResourceTags": [{}]},
        {"ResourceType": "EBS_SNAPSHOT", "RetentionPeriod": period, "ResourceTags": tag, "ExcludeResourceTags": tag},
    ):
        status, answer = rest("POST", "/rules", **wrong)
        assert status == 400 and answer["Reason"] == "INVALID_PARAMETER_VALUE", wrong


def test_deleted_snapshot_comes_back_whole(ec2, ebs, rbin, server):
    rule(rbin)
    source = write(ebs, {5: block_of("bin")})
    ec2.delete_snapshot(SnapshotId=source)
    for call in (
        lambda: ec2.describe_snapshots(SnapshotIds=[source]),
        lambda: ec2.delete_snapshot(SnapshotId=source),
        lambda: ec2.create_volume(AvailabilityZone="us-east-1a", SnapshotId=source),
        lambda: ec2.create_tags(Resources=[source], Tags=[{"Key": "k", "Value": "v"}]),
        lambda: ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=source),
    ):
        with pytest.raises(ClientError, match=GONE):
            call()
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        ebs.list_snapshot_blocks(SnapshotId=source)
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == [] and in_bin(ec2) == [source]
    shown = ec2.list_snapshots_in_recycle_bin(SnapshotIds=[source])["Snapshots"][0]
    kept = shown["RecycleBinExitTime"] - shown["RecycleBinEnterTime"]
    assert kept.days == 7
    answer = ec2.restore_snapshot_from_recycle_bin(SnapshotId=source)
    assert answer["State"] == "completed" and in_bin(ec2) == []
    assert read(ebs, source) == {5: block_of("bin")}
    with pytest.raises(ClientError, match=GONE):
        ec2.restore_snapshot_from_recycle_bin(SnapshotId=source)


def test_bin_is_emptied_in_time_and_space_is_given_back(own_server, wait_for):
    ec2, ebs = own_server.client("ec2"), own_server.client("ebs")
    rule(own_server.client("rbin"), days=3)

    source = write(ebs, {5: block_of("bin")})
    ec2.delete_snapshot(SnapshotId=source)
    clock(own_server, "POST", advance_ms=2 * DAY)
    own_server.restart()  # the clock begins anew: by it nothing is over yet
    ec2 = own_server.client("ec2")
    assert in_bin(ec2) == [source] and own_server.status()["store_objects"] == 4  # a block, two pages, a root
    clock(own_server, "POST", advance_ms=3 * DAY)
    wait_for(lambda: in_bin(ec2) == [])
    wait_for(lambda: own_server.status()["store_objects"] == 0)


def test_which_rules_hold(ec2, rbin, world):
    team = [{"ResourceType": "snapshot", "Tags": [{"Key": "team", "Value": "a"}]}]
    other = [{"ResourceType": "snapshot", "Tags": [{"Key": "team", "Value": "b"}]}]
    tagged = rule(rbin, days=5, ResourceTags=[{"ResourceTagKey": "team", "ResourceTagValue": "a"}])
    kept, lost = world.snapshot(TagSpecifications=team), world.snapshot(TagSpecifications=other)
    for snapshot in kept, lost:
        ec2.delete_snapshot(SnapshotId=snapshot)
    assert in_bin(ec2) == [kept]
    rule(rbin, days=9)
    both = world.snapshot(TagSpecifications=team)
    ec2.delete_snapshot(SnapshotId=both)
    shown = ec2.list_snapshots_in_recycle_bin(SnapshotIds=[both])["Snapshots"][0]
    assert (shown["RecycleBinExitTime"] - shown["RecycleBinEnterTime"]).days == 9
    rbin.delete_rule(Identifier=tagged)
    assert sorted(in_bin(ec2)) == sorted([kept, both])


def test_excluded_tags_are_not_kept(ec2, rest, world):
    period = {"RetentionPeriodValue": 7, "RetentionPeriodUnit": "DAYS"}
    exclude = [{"ResourceTagKey": "scratch"}]
    assert rest("POST", "/rules", ResourceType="EBS_SNAPSHOT", RetentionPeriod=period, ExcludeResourceTags=exclude)[0] == 201
    scratch = world.snapshot(TagSpecifications=[{"ResourceType": "snapshot", "Tags": [{"Key": "scratch", "Value": "1"}]}])
    plain = world.snapshot()
    for snapshot in scratch, plain:
        ec2.delete_snapshot(SnapshotId=snapshot)
    assert in_bin(ec2) == [plain]


def test_unfinished_snapshot_goes_at_once(ec2, ebs, rbin):
    rule(rbin)
    ec2.delete_snapshot(SnapshotId=ebs.start_snapshot(VolumeSize=1)["SnapshotId"])
    assert in_bin(ec2) == []


def test_deregistered_image_comes_back_under_its_name(ec2, rbin, world):
    rule(rbin, "EC2_IMAGE")
    image = world.image("golden")
    ec2.deregister_image(ImageId=image)
    assert images_in_bin(ec2) == [image] and not ec2.describe_images(Owners=["self"])["Images"]
    for call in (
        lambda: ec2.describe_images(ImageIds=[image]),
        lambda: ec2.deregister_image(ImageId=image),
        lambda: world.instance(image=image),
        lambda: ec2.create_tags(Resources=[image], Tags=[{"Key": "k", "Value": "v"}]),
    ):
        with pytest.raises(ClientError, match="InvalidAMIID.NotFound"):
            call()
    second = world.image("golden")
    with pytest.raises(ClientError, match="InvalidAMIName.Duplicate"):
        ec2.restore_image_from_recycle_bin(ImageId=image)
    ec2.deregister_image(ImageId=second)
    assert sorted(images_in_bin(ec2)) == sorted([image, second])
    assert ec2.restore_image_from_recycle_bin(ImageId=image)["Return"] is True
    assert world.shown_image(image)["Name"] == "golden" and images_in_bin(ec2) == [second]
    world.instance(image=image)


def test_image_needs_its_snapshots_back_first(ec2, rbin, world):
    rule(rbin, "EC2_IMAGE")
    rule(rbin)
    snapshot = world.snapshot()
    image = world.image(snapshot=snapshot)
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=snapshot)
    with pytest.raises(ClientError, match=GONE):
        ec2.restore_image_from_recycle_bin(ImageId=image)
    ec2.restore_snapshot_from_recycle_bin(SnapshotId=snapshot)
    ec2.restore_image_from_recycle_bin(ImageId=image)
    with pytest.raises(ClientError, match="InvalidSnapshot.InUse"):
        ec2.delete_snapshot(SnapshotId=snapshot)


def test_image_leaves_the_bin_in_time(ec2, rbin, world, server, wait_for):
    rule(rbin, "EC2_IMAGE", days=1)
    image = world.image()
    ec2.deregister_image(ImageId=image)
    clock(server, "POST", advance_ms=DAY)
    wait_for(lambda: images_in_bin(ec2) == [])


def test_snapshots_deleted_with_their_image_go_into_the_bin(ec2, rbin, world, raw_call):
    rule(rbin)
    snapshot = world.snapshot()
    raw_call("DeregisterImage", ImageId=world.image(snapshot=snapshot), DeleteAssociatedSnapshots="true")
    assert in_bin(ec2) == [snapshot]


def test_rules_by_the_aws_cli(aws, rbin):
    period = "RetentionPeriodValue=3,RetentionPeriodUnit=DAYS"
    made = aws("rbin", "create-rule", "--resource-type", "EBS_SNAPSHOT", "--retention-period", period, "--tags", "Key=a,Value=b")
    arn = f"arn:aws:rbin:us-east-1:123456789012:rule/{made['Identifier']}"
    aws("rbin", "untag-resource", "--resource-arn", arn, "--tag-keys", "a")
    assert rbin.list_tags_for_resource(ResourceArn=arn)["Tags"] == []
    aws("rbin", "delete-rule", "--identifier", made["Identifier"])
    assert rbin.list_rules(ResourceType="EBS_SNAPSHOT")["Rules"] == []
