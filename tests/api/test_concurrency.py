"""Calls at the same time: none fails because of another, none undoes another."""

import concurrent.futures

from botocore.exceptions import ClientError


def at_once(calls):
    """The results of all calls, made at the same time; exceptions are results too."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [done.exception() or done.result() for done in [pool.submit(call) for call in calls]]


def test_launches_get_addresses_of_their_own(ec2, world):
    image = world.image()
    launch = lambda: ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=5, MaxCount=5)["Instances"]
    instances = [instance for launched in at_once([launch] * 8) for instance in launched]
    assert len({instance["PrivateIpAddress"] for instance in instances}) == 40
    assert len({instance["PublicIpAddress"] for instance in instances}) == 40


def test_tags_of_one_resource_are_all_set(ec2, world):
    image = world.image()
    answers = at_once(
        [lambda n=n: ec2.create_tags(Resources=[image], Tags=[{"Key": f"k{n}", "Value": str(n)}]) for n in range(12)]
    )
    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    assert {tag["Key"]: tag["Value"] for tag in world.shown_image(image)["Tags"]} == {
        f"k{n}": str(n) for n in range(12)
    }


def test_one_address_goes_to_one_launch(ec2, world):
    image = world.image()
    parameters = {
        "ImageId": image,
        "InstanceType": "t3.nano",
        "MinCount": 1,
        "MaxCount": 1,
        "PrivateIpAddress": "172.31.0.77",
    }
    answers = at_once([lambda: ec2.run_instances(**parameters)] * 6)
    refused = [answer for answer in answers if isinstance(answer, ClientError)]
    assert len(refused) == 5
    assert {error.response["Error"]["Code"] for error in refused} == {"InvalidIPAddress.InUse"}


def test_one_name_goes_to_one_image(ec2, world):
    snapshot = world.snapshot()
    answers = at_once([lambda: world.image("golden", snapshot)] * 6)
    refused = [answer for answer in answers if isinstance(answer, ClientError)]
    assert len(refused) == 5
    assert {error.response["Error"]["Code"] for error in refused} == {"InvalidAMIName.Duplicate"}


def test_one_token_makes_one_launch(ec2, world):
    image = world.image()
    parameters = {"ImageId": image, "InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 1, "ClientToken": "once"}
    answers = at_once([lambda: ec2.run_instances(**parameters)] * 6)
    assert len({answer["ReservationId"] for answer in answers}) == 1
    assert len(ec2.describe_instances()["Reservations"]) == 1


def test_one_device_goes_to_one_volume(ec2, world):
    instance = world.instance(Placement={"AvailabilityZone": "us-east-1a"})
    volumes = [world.volume() for _ in range(4)]
    answers = at_once(
        [lambda v=v: ec2.attach_volume(VolumeId=v, InstanceId=instance, Device="/dev/sdf") for v in volumes]
    )
    assert sum(isinstance(answer, dict) for answer in answers) == 1
    world.wait_attached(instance, "/dev/sdf")
    assert len(world.devices(instance)) == 2


def test_snapshot_is_deleted_or_becomes_an_image_but_not_both(ec2, world):
    for number in range(5):
        snapshot = world.snapshot()
        register, delete = at_once(
            [lambda: world.image(f"race {number}", snapshot), lambda: ec2.delete_snapshot(SnapshotId=snapshot)]
        )
        assert isinstance(register, Exception) != isinstance(delete, Exception), (register, delete)


def test_snapshots_of_many_volumes_at_once(ec2, world, wait_for):
    volumes = [world.volume() for _ in range(4)]
    made = at_once([lambda v=v: ec2.create_snapshot(VolumeId=v)["SnapshotId"] for v in volumes * 3])
    for snapshot in made:
        wait_for(lambda snapshot=snapshot: world.snapshot_state(snapshot) == "completed")
