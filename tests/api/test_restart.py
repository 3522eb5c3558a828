"""What was answered is there after a restart, whether the server was stopped or killed, and nothing is half made."""

import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import World, poll


def test_everything_survives_an_orderly_restart(own_server):
    world = World(own_server.client("ec2"))
    instance = world.instance()
    image = world.ec2.create_image(InstanceId=instance, Name="child")["ImageId"]
    volume = world.volume()
    group = world.ec2.create_security_group(GroupName="one", Description="d")["GroupId"]
    before = world.shown(instance)
    own_server.restart()
    world = World(own_server.client("ec2"))
    poll(lambda: world.shown_image(image)["State"] == "available")
    world.wait_state(instance, "running")
    assert world.shown(instance)["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert world.volume_state(volume) == "available"
    assert world.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["GroupName"] == "one"
    own_server.stop()
    check = own_server.fsck()
    assert check.returncode == 0, check.stdout + check.stderr


def test_token_of_a_page_is_refused_politely_after_a_restart(own_server):
    ec2 = own_server.client("ec2")
    for _ in range(6):
        ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)
    token = ec2.describe_volumes(MaxResults=5)["NextToken"]
    own_server.restart()
    try:
        assert len(own_server.client("ec2").describe_volumes(MaxResults=5, NextToken=token)["Volumes"]) == 1
    except ClientError as error:
        assert error.response["Error"]["Code"] == "InvalidNextToken"


class Caller(threading.Thread):
    """Makes and changes things until the server is gone; `promised` holds what was answered."""

    def __init__(self, server, image, number):
        super().__init__()
        self.ec2, self.image, self.number = server.client("ec2"), image, number
        self.promised, self.failure = [], None

    def step(self, count):
        name = f"{self.number}-{count}"
        volume = self.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        self.promised.append(("volume", volume))
        snapshot = self.ec2.create_snapshot(VolumeId=volume)["SnapshotId"] if self.available(volume) else None
        if snapshot:
            self.promised.append(("snapshot", snapshot))
        instance = self.ec2.run_instances(ImageId=self.image, InstanceType="t3.nano", MinCount=1, MaxCount=1)[
            "Instances"
        ][0]["InstanceId"]
        self.promised.append(("instance", instance))
        if self.running(instance):
            self.promised.append(("image", self.ec2.create_image(InstanceId=instance, Name=name)["ImageId"]))
            self.ec2.terminate_instances(InstanceIds=[instance])
            self.promised.append(("terminated", instance))

    def available(self, volume):
        return self.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available"

    def running(self, instance):
        shown = self.ec2.describe_instances(InstanceIds=[instance])
        return shown["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"

    def run(self):
        try:
            for count in range(10000):
                self.step(count)
        except (BotoCoreError, ClientError) as error:
            self.failure = error


SETTLED = {
    "volume": {"available", "in-use"},
    "snapshot": {"completed"},
    "image": {"available"},
    "instance": {"running"},
    "terminated": {"terminated"},
}


def state(world, kind, identity):
    if kind == "volume":
        return world.volume_state(identity)
    if kind == "snapshot":
        return world.snapshot_state(identity)
    return world.shown_image(identity)["State"] if kind == "image" else world.state(identity)


@pytest.mark.parametrize("calls", [3, 12, 30])
def test_everything_answered_survives_a_kill_in_the_midst_of_calls(own_server, calls):
    """Killed after so many answers. Each thing that was answered comes to rest in the state that was promised."""
    image = World(own_server.client("ec2")).image()
    callers = [Caller(own_server, image, number) for number in range(3)]
    for caller in callers:
        caller.start()
    poll(lambda: sum(len(caller.promised) for caller in callers) >= calls)
    own_server.kill()
    for caller in callers:
        caller.join()
        assert isinstance(caller.failure, BotoCoreError), f"a call failed before the kill: {caller.failure}"
    own_server.start()
    world = World(own_server.client("ec2"))
    promised = [promise for caller in callers for promise in caller.promised]
    terminated = {identity for kind, identity in promised if kind == "terminated"}
    for kind, identity in promised:
        # a call that was cut off may have been carried out or not
        states = SETTLED[kind] | ({"terminated"} if kind == "instance" else set())
        if kind == "instance" and identity in terminated:
            continue
        poll(lambda kind=kind, identity=identity, states=states: state(world, kind, identity) in states, timeout=40)
    instances = {
        instance["InstanceId"]: instance
        for r in world.ec2.describe_instances()["Reservations"]
        for instance in r["Instances"]
    }
    for identity, instance in instances.items():
        assert instance["State"]["Name"] == "terminated" or set(world.devices(identity)) == {"/dev/sda1"}, instance
    own_server.stop()
    check = own_server.fsck()
    assert check.returncode == 0, check.stdout + check.stderr
