"""CreateReplaceRootVolumeTask and DescribeReplaceRootVolumeTasks, by stock clients."""

import pytest
from botocore.exceptions import ClientError

ROOT = "/dev/sda1"


def root_of(world, instance):
    return world.devices(instance)[ROOT]["VolumeId"]


def shown(ec2, task):
    return ec2.describe_replace_root_volume_tasks(ReplaceRootVolumeTaskIds=[task])["ReplaceRootVolumeTasks"][0]


def replace(ec2, wait_for, instance, **more):
    task = ec2.create_replace_root_volume_task(InstanceId=instance, **more)["ReplaceRootVolumeTask"]
    assert task["TaskState"] == "pending" and task["InstanceId"] == instance and task["StartTime"]
    wait_for(lambda: shown(ec2, task["ReplaceRootVolumeTaskId"])["TaskState"] in ("succeeded", "failed"))
    done = shown(ec2, task["ReplaceRootVolumeTaskId"])
    assert done["TaskState"] == "succeeded" and done["CompleteTime"] >= done["StartTime"]
    return done


def snapshot_of(ec2, world, wait_for, volume):
    made = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_for(lambda: world.snapshot_state(made) == "completed")
    return made


def volume(ec2, name):
    return ec2.describe_volumes(VolumeIds=[name])["Volumes"][0]


def test_launch_state_comes_back_and_the_old_volume_stays(ec2, world, wait_for):
    snapshot = world.snapshot()
    instance = world.instance(image=world.image(snapshot=snapshot))
    old, before = root_of(world, instance), world.shown(instance)
    done = replace(ec2, wait_for, instance)
    assert done["SnapshotId"] == snapshot and done["DeleteReplacedRootVolume"] is False
    new, after = root_of(world, instance), world.shown(instance)
    assert new != old and volume(ec2, new)["SnapshotId"] == snapshot and volume(ec2, new)["State"] == "in-use"
    assert volume(ec2, old)["State"] == "available" and volume(ec2, old)["Attachments"] == []
    assert after["State"]["Name"] == "running"
    for same in ("PrivateIpAddress", "ImageId", "InstanceType", "LaunchTime"):
        assert after[same] == before[same], same
    keeps = {name: volume(ec2, new)[name] for name in ("Size", "VolumeType", "Iops", "AvailabilityZone")}
    assert keeps == {name: volume(ec2, old)[name] for name in keeps}


def test_launch_state_outlives_its_image_its_snapshot_and_its_volume(ec2, world, wait_for):
    snapshot = world.snapshot()
    image = world.image(snapshot=snapshot)
    instance = world.instance(image=image)
    later = snapshot_of(ec2, world, wait_for, root_of(world, instance))
    replace(ec2, wait_for, instance, SnapshotId=later, DeleteReplacedRootVolume=True)
    ec2.deregister_image(ImageId=image)
    ec2.delete_snapshot(SnapshotId=snapshot)
    done = replace(ec2, wait_for, instance)
    assert done["SnapshotId"] == snapshot


def test_snapshot_of_the_root_volume_is_taken_and_the_old_volume_goes(ec2, world, wait_for):
    instance = world.instance()
    old = root_of(world, instance)
    snapshot = snapshot_of(ec2, world, wait_for, old)
    done = replace(ec2, wait_for, instance, SnapshotId=snapshot, DeleteReplacedRootVolume=True)
    assert (done["SnapshotId"], done["DeleteReplacedRootVolume"]) == (snapshot, True)
    assert volume(ec2, root_of(world, instance))["SnapshotId"] == snapshot
    wait_for(lambda: old not in [each["VolumeId"] for each in ec2.describe_volumes()["Volumes"]])
    # a snapshot of a volume that it once had is still one of its own
    replace(ec2, wait_for, instance, SnapshotId=snapshot)


def test_image_gives_its_root_volume(raw_call, ec2, world, wait_for):
    instance, snapshot = world.instance(), world.snapshot(size=3)
    image = world.image(snapshot=snapshot)
    answer = raw_call("CreateReplaceRootVolumeTask", InstanceId=instance, ImageId=image, DeleteReplacedRootVolume="true")
    task = answer.findtext(".//replaceRootVolumeTaskId")
    assert answer.findtext(".//imageId") == image
    wait_for(lambda: shown(ec2, task)["TaskState"] == "succeeded")
    new = volume(ec2, root_of(world, instance))
    assert (new["SnapshotId"], new["Size"]) == (snapshot, 3)


def test_what_cannot_be_is_refused(raw_call, ec2, world, wait_for):
    instance = world.instance()
    other = snapshot_of(ec2, world, wait_for, world.volume())
    with pytest.raises(ClientError, match="InvalidParameterValue.*is not one of the root volume"):
        ec2.create_replace_root_volume_task(InstanceId=instance, SnapshotId=other)
    with pytest.raises(ClientError, match="InvalidInstanceID.NotFound"):
        ec2.create_replace_root_volume_task(InstanceId="i-0123456789abcdef0")
    with pytest.raises(ClientError, match="InvalidReplaceRootVolumeTaskId.NotFound"):
        shown(ec2, "replacevol-0123456789abcdef0")
    for parameters in ({"ImageId": world.image(Architecture="arm64")}, {"ImageId": world.image(), "SnapshotId": other}):
        with pytest.raises(Exception, match="InvalidParameter"):
            raw_call("CreateReplaceRootVolumeTask", InstanceId=instance, **parameters)
    ec2.stop_instances(InstanceIds=[instance])
    world.wait_state(instance, "stopped")
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.create_replace_root_volume_task(InstanceId=instance)
    assert ec2.describe_replace_root_volume_tasks()["ReplaceRootVolumeTasks"] == []


def test_tasks_are_idempotent_tagged_and_filtered(ec2, world, wait_for):
    one, two = world.run(count=2)
    tags = [{"Key": "why", "Value": "test"}]
    specification = [{"ResourceType": "replace-root-volume-task", "Tags": tags}]
    more = {"InstanceId": one, "ClientToken": "once", "TagSpecifications": specification}
    ids = {ec2.create_replace_root_volume_task(**more)["ReplaceRootVolumeTask"]["ReplaceRootVolumeTaskId"] for _ in range(2)}
    assert len(ids) == 1
    (task,) = ids
    wait_for(lambda: shown(ec2, task)["TaskState"] == "succeeded")
    replace(ec2, wait_for, two)
    found = ec2.describe_replace_root_volume_tasks(Filters=[{"Name": "instance-id", "Values": [one]}])["ReplaceRootVolumeTasks"]
    assert [each["ReplaceRootVolumeTaskId"] for each in found] == [task] and found[0]["Tags"] == tags
    pages = ec2.get_paginator("describe_replace_root_volume_tasks").paginate(PaginationConfig={"PageSize": 1})
    assert [len(page["ReplaceRootVolumeTasks"]) for page in pages] == [1, 1]


def test_task_is_finished_after_a_crash_or_ends_with_its_instance(own_server, wait_for):
    ec2 = own_server.client("ec2")
    source = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    wait_for(lambda: volume(ec2, source)["State"] == "available")
    snapshot = ec2.create_snapshot(VolumeId=source)["SnapshotId"]
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"] == "completed")
    image = ec2.register_image(
        Name="crash",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName=ROOT,
        BlockDeviceMappings=[{"DeviceName": ROOT, "Ebs": {"SnapshotId": snapshot}}],
    )["ImageId"]
    made = ec2.run_instances(ImageId=image, MinCount=6, MaxCount=6, InstanceType="t3.nano")["Instances"]
    instances = [each["InstanceId"] for each in made]

    def states():
        return {
            each["InstanceId"]: each["State"]["Name"]
            for reservation in ec2.describe_instances()["Reservations"]
            for each in reservation["Instances"]
        }

    wait_for(lambda: set(states().values()) == {"running"})
    tasks = {
        each: ec2.create_replace_root_volume_task(InstanceId=each)["ReplaceRootVolumeTask"]["ReplaceRootVolumeTaskId"]
        for each in instances
    }
    ec2.terminate_instances(InstanceIds=instances[:1])
    own_server.kill()
    own_server.start()
    ec2 = own_server.client("ec2")
    for instance, task in tasks.items():
        wait_for(lambda: shown(ec2, task)["TaskState"] in ("succeeded", "failed"))
        if instance != instances[0]:
            assert shown(ec2, task)["TaskState"] == "succeeded" and states()[instance] == "running"
            roots = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])["Volumes"]
            assert len(roots) == 1 and roots[0]["State"] == "in-use"
    wait_for(lambda: states()[instances[0]] == "terminated")
    own_server.stop()
    checked = own_server.fsck()
    assert checked.returncode == 0, checked.stdout
