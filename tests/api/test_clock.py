"""The virtual clock: moved forward by the operator of a test server, and what waits for a time follows."""

import json

import botocore.awsrequest


def clock(server, method="GET", **body):
    request = botocore.awsrequest.AWSRequest(
        method, f"{server.endpoint}/_amid/clock", data=json.dumps(body).encode(), headers={"Content-Type": "application/json"}
    )
    status, answer = server.send(request)
    return status, json.loads(answer)


def test_terminated_instance_is_forgotten_after_an_hour_of_the_clock(own_server, wait_for):
    server = own_server
    ec2 = server.client("ec2")
    volume = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    wait_for(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available")
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"] == "completed")
    image = ec2.register_image(
        Name="clock",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot}}],
    )["ImageId"]
    instance = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType="t3.nano")["Instances"][0]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance])
    wait_for(lambda: ec2.describe_instances()["Reservations"][0]["Instances"][0]["State"]["Name"] == "terminated")
    before = clock(server)[1]["now_ms"]
    assert clock(server, "POST", advance_ms=59 * 60 * 1000)[1]["now_ms"] >= before + 59 * 60 * 1000
    assert ec2.describe_instances()["Reservations"], "an hour is not over"
    clock(server, "POST", advance_ms=2 * 60 * 1000)
    wait_for(lambda: not ec2.describe_instances()["Reservations"])


def test_clock_goes_forward_only_and_by_numbers(server):
    for wrong in ({"advance_ms": -1}, {"advance_ms": "1"}, {}, {"advance_ms": 10**18}):
        status, answer = clock(server, "POST", **wrong)
        assert status == 400, answer


def test_clock_is_not_moved_where_signatures_count(iam_server):
    status, _ = clock(iam_server, "POST", advance_ms=1000)
    assert status == 403
