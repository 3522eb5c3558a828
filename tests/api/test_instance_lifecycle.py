"""Start, stop, reboot, terminate, what protects an instance, its attributes and console, by stock clients."""

import base64

import pytest
from botocore.exceptions import ClientError

UNKNOWN = "i-0123456789abcdef0"


def change(answer, member):
    """(id, previous state, current state) of an answer's only state change."""
    (entry,) = answer[member]
    return entry["InstanceId"], entry["PreviousState"]["Name"], entry["CurrentState"]["Name"]


def stop(ec2, world, instance, **more):
    ec2.stop_instances(InstanceIds=[instance], **more)
    world.wait_state(instance, "stopped")


def terminate(ec2, world, instance):
    ec2.terminate_instances(InstanceIds=[instance])
    world.wait_state(instance, "terminated")


# --- states


def test_stopped_instance_keeps_its_private_address_and_gives_up_the_public_one(ec2, world):
    instance = world.instance()
    before = world.shown(instance)
    assert change(ec2.stop_instances(InstanceIds=[instance]), "StoppingInstances") == (instance, "running", "stopping")
    world.wait_state(instance, "stopped")
    after = world.shown(instance)
    assert after["State"] == {"Code": 80, "Name": "stopped"}
    assert after["StateTransitionReason"].startswith("User initiated (20")
    assert after["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert "PublicIpAddress" not in after
    assert after["BlockDeviceMappings"][0]["Ebs"]["VolumeId"] == before["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]


def test_started_instance_runs_again_with_a_public_address(ec2, world):
    instance = world.instance()
    stop(ec2, world, instance)
    assert change(ec2.start_instances(InstanceIds=[instance]), "StartingInstances") == (instance, "stopped", "pending")
    world.wait_state(instance, "running")
    shown = world.shown(instance)
    assert shown["PublicIpAddress"] and shown["StateTransitionReason"] == "" and "StateReason" not in shown


def test_starting_what_runs_and_stopping_what_is_stopped_changes_nothing(ec2, world):
    instance = world.instance()
    assert change(ec2.start_instances(InstanceIds=[instance]), "StartingInstances") == (instance, "running", "running")
    stop(ec2, world, instance)
    assert change(ec2.stop_instances(InstanceIds=[instance]), "StoppingInstances") == (instance, "stopped", "stopped")


def test_instance_can_be_stopped_by_force(ec2, world):
    instance = world.instance()
    stop(ec2, world, instance, Force=True)


def test_rebooted_instance_stays_what_it_is(ec2, world):
    instance = world.instance()
    before = world.shown(instance)
    ec2.reboot_instances(InstanceIds=[instance])
    world.wait_state(instance, "running")
    after = world.shown(instance)
    for member in ("PrivateIpAddress", "PublicIpAddress", "LaunchTime", "BlockDeviceMappings"):
        assert after[member] == before[member]


def test_terminated_instance_can_still_be_seen(ec2, world):
    instance = world.instance()
    assert change(ec2.terminate_instances(InstanceIds=[instance]), "TerminatingInstances") == (
        instance,
        "running",
        "shutting-down",
    )
    world.wait_state(instance, "terminated")
    shown = world.shown(instance)
    assert shown["State"] == {"Code": 48, "Name": "terminated"}
    assert "PrivateIpAddress" not in shown and "VpcId" not in shown and shown["BlockDeviceMappings"] == []
    assert change(ec2.terminate_instances(InstanceIds=[instance]), "TerminatingInstances") == (
        instance,
        "terminated",
        "terminated",
    )


def test_volumes_go_with_the_instance_if_they_are_told_to(ec2, world, wait_for):
    mapping = {"DeviceName": "/dev/sdb", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}}
    instance = world.instance(BlockDeviceMappings=[mapping])
    kept, gone = (world.devices(instance)[device]["VolumeId"] for device in ("/dev/sdb", "/dev/sda1"))
    terminate(ec2, world, instance)
    wait_for(lambda: [v["VolumeId"] for v in ec2.describe_volumes()["Volumes"]] == [kept])
    assert world.volume_state(kept) == "available"
    with pytest.raises(ClientError, match="InvalidVolume.NotFound"):
        ec2.describe_volumes(VolumeIds=[gone])


def test_instance_that_is_not_up_yet_is_terminated(ec2, world, wait_for):
    (instance,) = world.run(wait=None)
    terminate(ec2, world, instance)
    wait_for(lambda: ec2.describe_volumes()["Volumes"] == [])


def test_address_of_a_terminated_instance_is_free(ec2, world):
    image = world.image()
    terminate(ec2, world, world.instance(image=image, PrivateIpAddress="172.31.0.77"))
    world.instance(image=image, PrivateIpAddress="172.31.0.77")


@pytest.mark.parametrize("verb", ["start", "stop", "reboot"])
def test_terminated_instance_does_nothing_more(ec2, world, verb):
    instance = world.instance()
    terminate(ec2, world, instance)
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        getattr(ec2, f"{verb}_instances")(InstanceIds=[instance])


def test_stopped_instance_cannot_be_rebooted(ec2, world):
    instance = world.instance()
    stop(ec2, world, instance)
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.reboot_instances(InstanceIds=[instance])


@pytest.mark.parametrize("verb", ["start", "stop", "reboot", "terminate"])
def test_unknown_instance_is_not_found(ec2, world, verb):
    with pytest.raises(ClientError, match=f"InvalidInstanceID.NotFound.*{UNKNOWN}"):
        getattr(ec2, f"{verb}_instances")(InstanceIds=[UNKNOWN])
    with pytest.raises(ClientError, match="InvalidInstanceID.Malformed"):
        getattr(ec2, f"{verb}_instances")(InstanceIds=["web"])


def test_one_unknown_instance_leaves_the_others_alone(ec2, world):
    instance = world.instance()
    with pytest.raises(ClientError, match="InvalidInstanceID.NotFound"):
        ec2.stop_instances(InstanceIds=[instance, UNKNOWN])
    assert world.state(instance) == "running"


def test_waiters_of_boto_follow_the_states(ec2, world):
    instance = world.run(wait=None)
    ec2.get_waiter("instance_running").wait(InstanceIds=instance, WaiterConfig={"Delay": 1})
    ec2.stop_instances(InstanceIds=instance)
    ec2.get_waiter("instance_stopped").wait(InstanceIds=instance, WaiterConfig={"Delay": 1})
    ec2.terminate_instances(InstanceIds=instance)
    ec2.get_waiter("instance_terminated").wait(InstanceIds=instance, WaiterConfig={"Delay": 1})


def test_cli_stops_an_instance(aws, world):
    instance = world.instance()
    answer = aws("ec2", "stop-instances", "--instance-ids", instance)
    assert change(answer, "StoppingInstances")[2] == "stopping"
    world.wait_state(instance, "stopped")


# --- protection


def test_termination_protection_holds_until_it_is_taken_off(ec2, world):
    instance = world.instance(DisableApiTermination=True)
    with pytest.raises(ClientError, match="OperationNotPermitted.*disableApiTermination"):
        ec2.terminate_instances(InstanceIds=[instance])
    assert world.state(instance) == "running"
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    terminate(ec2, world, instance)


def test_one_protected_instance_saves_all_of_a_call(ec2, world):
    image = world.image()
    one, two = world.instance(image=image), world.instance(image=image, DisableApiTermination=True)
    with pytest.raises(ClientError, match="OperationNotPermitted"):
        ec2.terminate_instances(InstanceIds=[one, two])
    assert world.state(one) == "running"


def test_stop_protection_holds_until_it_is_taken_off(ec2, world):
    instance = world.instance(DisableApiStop=True)
    with pytest.raises(ClientError, match="OperationNotPermitted.*disableApiStop"):
        ec2.stop_instances(InstanceIds=[instance])
    ec2.modify_instance_attribute(InstanceId=instance, DisableApiStop={"Value": False})
    stop(ec2, world, instance)


# --- attributes


def attribute(ec2, instance, name):
    answer = ec2.describe_instance_attribute(InstanceId=instance, Attribute=name)
    return answer[{"kernel": "KernelId", "groupSet": "Groups"}.get(name, name[0].upper() + name[1:])]


def test_attributes_have_defaults(ec2, world):
    instance = world.instance()
    expected = {
        "instanceType": {"Value": "t3.nano"},
        "disableApiTermination": {"Value": False},
        "disableApiStop": {"Value": False},
        "instanceInitiatedShutdownBehavior": {"Value": "stop"},
        "rootDeviceName": {"Value": "/dev/sda1"},
        "sourceDestCheck": {"Value": True},
        "ebsOptimized": {"Value": False},
        "enaSupport": {"Value": True},
        "userData": {},
        "productCodes": [],
    }
    assert {name: attribute(ec2, instance, name) for name in expected} == expected


def test_shutdown_behavior_is_chosen_at_launch_and_changed_later(ec2, world):
    instance = world.instance(InstanceInitiatedShutdownBehavior="terminate")
    assert attribute(ec2, instance, "instanceInitiatedShutdownBehavior") == {"Value": "terminate"}
    ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "stop"})
    assert attribute(ec2, instance, "instanceInitiatedShutdownBehavior") == {"Value": "stop"}
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "explode"})


def test_type_is_changed_while_stopped_only(ec2, world):
    instance = world.instance()
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.micro"})
    stop(ec2, world, instance)
    ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t3.micro"})
    assert world.shown(instance)["InstanceType"] == "t3.micro"
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": "t9.huge"})


def test_user_data_is_changed_while_stopped_only(ec2, world):
    instance = world.instance(UserData="old")
    with pytest.raises(ClientError, match="IncorrectInstanceState"):
        ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": b"new"})
    stop(ec2, world, instance)
    ec2.modify_instance_attribute(InstanceId=instance, UserData={"Value": b"new"})
    assert base64.b64decode(attribute(ec2, instance, "userData")["Value"]) == b"new"


def test_security_groups_are_exchanged(ec2, world):
    group = ec2.create_security_group(GroupName="one", Description="d")["GroupId"]
    instance = world.instance()
    ec2.modify_instance_attribute(InstanceId=instance, Groups=[group])
    assert attribute(ec2, instance, "groupSet") == [{"GroupId": group, "GroupName": "one"}]
    with pytest.raises(ClientError, match="InvalidGroup.NotFound"):
        ec2.modify_instance_attribute(InstanceId=instance, Groups=["sg-0123456789abcdef0"])


def test_volume_is_told_to_outlive_its_instance(ec2, world, wait_for):
    instance = world.instance()
    volume = world.devices(instance)["/dev/sda1"]["VolumeId"]
    mapping = {"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}
    ec2.modify_instance_attribute(InstanceId=instance, BlockDeviceMappings=[mapping])
    assert world.devices(instance)["/dev/sda1"]["DeleteOnTermination"] is False
    terminate(ec2, world, instance)
    wait_for(lambda: world.volume_state(volume) == "available")


def test_device_that_is_not_there_cannot_be_modified(ec2, world):
    mapping = {"DeviceName": "/dev/sdx", "Ebs": {"DeleteOnTermination": False}}
    with pytest.raises(ClientError, match="InvalidBlockDeviceMapping|InvalidInstanceAttributeValue"):
        ec2.modify_instance_attribute(InstanceId=world.instance(), BlockDeviceMappings=[mapping])


def test_older_form_changes_an_attribute(ec2, world):
    instance = world.instance()
    ec2.modify_instance_attribute(InstanceId=instance, Attribute="disableApiTermination", Value="true")
    assert attribute(ec2, instance, "disableApiTermination") == {"Value": True}
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.modify_instance_attribute(InstanceId=instance, Attribute="disableApiTermination", Value="perhaps")


def test_attribute_that_is_none_is_refused(ec2, world):
    with pytest.raises(ClientError, match="InvalidParameterValue"):
        ec2.describe_instance_attribute(InstanceId=world.instance(), Attribute="colour")


# --- console


def test_console_of_an_instance_that_says_nothing_is_empty(ec2, world):
    instance = world.instance()
    answer = ec2.get_console_output(InstanceId=instance)
    assert answer["InstanceId"] == instance and answer["Timestamp"]
    assert isinstance(answer.get("Output", ""), str)


def test_console_of_an_unknown_instance_is_not_found(ec2):
    with pytest.raises(ClientError, match="InvalidInstanceID.NotFound"):
        ec2.get_console_output(InstanceId=UNKNOWN)
