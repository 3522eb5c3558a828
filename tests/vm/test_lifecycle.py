"""Real guests from launch to termination: what an instance finds, and what an image of it holds."""
import signal

from cloud import wait_for


def test_launch_gives_key_host_name_and_user_data(cloud, guest):
    described = guest.describe()
    assert guest.ssh('hostname').strip() == 'ip-' + described['PrivateIpAddress'].replace('.', '-')
    assert guest.ssh('cat /root/runs').split() == ['run']
    assert guest.id in wait_for(lambda: guest.console() if 'amid: ready' in guest.console() else None, 'the console to say ready')
    assert described['PrivateIpAddress'] in guest.ssh('ip -4 addr show eth0')


def test_root_file_system_has_grown_to_the_volume(cloud, guest):
    assert int(guest.ssh("df -m / | awk 'NR==2 {print $2}'")) > 900


def test_metadata_needs_a_token_when_required(cloud, guest):
    # busybox nc sends what it is given: a plain IMDSv1 request
    ask = "printf 'GET /latest/meta-data/instance-id HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n' | nc 169.254.169.254 80"
    assert guest.id in guest.ssh(ask)
    strict = cloud.launch(cloud.tiny, MetadataOptions={'HttpTokens': 'required'})
    assert '401' in strict.ssh(ask).splitlines()[0]
    cloud.terminate(strict)


def test_guest_reaches_nothing_of_the_host(cloud, guest):
    port = cloud.endpoint.rsplit(':', 1)[1]
    gateway = guest.ssh("ip route | awk '/default/ {print $3}'").strip()
    for address in (gateway, '169.254.169.254', '127.100.0.1'):
        assert guest.ssh(f'nc -w 3 {address} {port} </dev/null', check=False).returncode != 0


def test_image_with_reboot_holds_the_disk_and_new_instances_are_themselves(cloud, guest):
    guest.ssh('echo marker >/root/marker')
    boot, host_key = guest.boot_id(), guest.ssh('cat /etc/dropbear/*.pub 2>/dev/null; ls -l /etc/dropbear')
    image = cloud.ec2.create_image(InstanceId=guest.id, Name='with-reboot')['ImageId']
    cloud.wait_image(image)
    guest.wait_ready()
    assert guest.boot_id() != boot
    one, two = cloud.launch(image, count=2, user_data='#!/bin/sh\necho run >>/root/runs\n')
    for other in (one, two):
        assert other.ssh('cat /root/marker').strip() == 'marker'
        assert other.ssh('cat /root/runs').split() == ['run', 'run']
        assert other.ssh('hostname').strip() == 'ip-' + other.describe()['PrivateIpAddress'].replace('.', '-')
        assert other.ssh('cat /etc/dropbear/*.pub 2>/dev/null; ls -l /etc/dropbear') != host_key
    one.ssh('echo other >/root/marker')
    assert two.ssh('cat /root/marker').strip() == 'marker'
    assert guest.ssh('cat /root/marker').strip() == 'marker'
    cloud.terminate(one, two)


def test_image_without_reboot_leaves_the_guest_running_and_its_copy_boots(cloud, guest):
    boot = guest.boot_id()
    guest.ssh('echo fresh >/root/fresh; sync')
    image = cloud.ec2.create_image(InstanceId=guest.id, Name='no-reboot', NoReboot=True)['ImageId']
    cloud.wait_image(image)
    assert guest.boot_id() == boot
    copied = cloud.ec2.copy_image(SourceRegion='us-east-1', SourceImageId=image, Name='copied')['ImageId']
    cloud.wait_image(copied)
    devices = cloud.ec2.describe_images(ImageIds=[image])['Images'][0]['BlockDeviceMappings']
    cloud.ec2.deregister_image(ImageId=image)
    for device in devices:
        cloud.ec2.delete_snapshot(SnapshotId=device['Ebs']['SnapshotId'])
    copy = cloud.launch(copied)
    assert copy.ssh('cat /root/fresh').strip() == 'fresh'
    cloud.terminate(copy)


def test_volume_is_plugged_unplugged_and_keeps_its_bytes(cloud, guest):
    zone = guest.describe()['Placement']['AvailabilityZone']
    volume = cloud.ec2.create_volume(AvailabilityZone=zone, Size=1)['VolumeId']
    cloud.ec2.get_waiter('volume_available').wait(VolumeIds=[volume], WaiterConfig={'Delay': 1})
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guest.id, Device='/dev/sdf')
    disk = wait_for(lambda: guest.ssh('ls /dev/vd? | grep -v vda').strip() if guest.ssh('ls /dev/vd? | grep -v vda', check=False).returncode == 0 else None,
                    'the disk in the guest')
    guest.ssh(f'echo precious | dd of={disk} bs=512 conv=sync,fsync 2>/dev/null')
    cloud.ec2.detach_volume(VolumeId=volume)
    cloud.ec2.get_waiter('volume_available').wait(VolumeIds=[volume], WaiterConfig={'Delay': 1})
    assert guest.ssh(f'test -e {disk}', check=False).returncode != 0
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)['SnapshotId']
    cloud.ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[snapshot], WaiterConfig={'Delay': 1})
    copy = cloud.ec2.create_volume(AvailabilityZone=zone, SnapshotId=snapshot)['VolumeId']
    cloud.ec2.get_waiter('volume_available').wait(VolumeIds=[copy], WaiterConfig={'Delay': 1})
    cloud.ec2.attach_volume(VolumeId=copy, InstanceId=guest.id, Device='/dev/sdg')
    wait_for(lambda: guest.ssh(f'head -c 8 {disk}', check=False).stdout == 'precious', 'the copy in the guest')
    cloud.ec2.detach_volume(VolumeId=copy)
    cloud.ec2.get_waiter('volume_available').wait(VolumeIds=[copy], WaiterConfig={'Delay': 1})
    for made in (volume, copy):
        cloud.ec2.delete_volume(VolumeId=made)


def test_image_takes_all_volumes(cloud, guest):
    two_disks = cloud.launch(cloud.tiny, BlockDeviceMappings=[{'DeviceName': '/dev/sdb', 'Ebs': {'VolumeSize': 1}}])
    two_disks.ssh('echo second-disk | dd of=/dev/vdb bs=512 conv=sync,fsync 2>/dev/null')
    image = cloud.ec2.create_image(InstanceId=two_disks.id, Name='two-disks')['ImageId']
    cloud.wait_image(image)
    mappings = cloud.ec2.describe_images(ImageIds=[image])['Images'][0]['BlockDeviceMappings']
    assert len(mappings) == 2
    copy = cloud.launch(image)
    assert copy.ssh('head -c 11 /dev/vdb') == 'second-disk'
    cloud.terminate(copy, two_disks)


def test_stop_and_start_keeps_the_disk_and_changes_the_public_address(cloud, guest):
    before = guest.describe()
    guest.ssh('echo kept >/root/kept')
    cloud.ec2.stop_instances(InstanceIds=[guest.id])
    guest.wait_state('stopped')
    stopped = guest.describe()
    assert 'PublicIpAddress' not in stopped and stopped['PrivateIpAddress'] == before['PrivateIpAddress']
    cloud.ec2.start_instances(InstanceIds=[guest.id])
    guest.wait_ready()
    after = guest.describe()
    assert after['PublicIpAddress'] != before['PublicIpAddress']
    assert guest.ssh('cat /root/kept').strip() == 'kept'
    assert guest.ssh('cat /root/runs').split() == ['run']


def test_reboot_keeps_address_and_process_of_state(cloud, guest):
    before, boot = guest.describe()['PublicIpAddress'], guest.boot_id()
    cloud.ec2.reboot_instances(InstanceIds=[guest.id])
    wait_for(lambda: guest.boot_id() not in ('', boot), 'a new boot')
    assert guest.describe()['PublicIpAddress'] == before


def test_guest_runs_on_while_amid_restarts(cloud, guest):
    boot = guest.boot_id()
    for number in (signal.SIGTERM, signal.SIGKILL):
        cloud.stop(number)
        cloud.start()
        wait_for(guest.answers, 'the guest to be reachable again')
        assert guest.boot_id() == boot
        assert guest.state() == 'running'


def test_guest_that_powers_off_is_stopped_or_terminated_as_told(cloud):
    guest = cloud.launch(cloud.tiny, InstanceInitiatedShutdownBehavior='terminate')
    volume = next(iter(guest.volumes().values()))
    guest.ssh('poweroff', check=False)
    guest.wait_state('terminated')
    wait_for(lambda: not cloud.ec2.describe_volumes(Filters=[{'Name': 'volume-id', 'Values': [volume]}])['Volumes'], 'the root volume to be deleted')


def test_security_group_decides_who_reaches_a_guest(cloud, guest):
    default = guest.describe()['SecurityGroups'][0]['GroupId']
    cloud.ec2.revoke_security_group_ingress(GroupName='default', IpProtocol='tcp', FromPort=22, ToPort=22, CidrIp='0.0.0.0/0')
    wait_for(lambda: guest.ssh('true', check=False).returncode != 0, 'SSH to be refused')
    other = cloud.ec2.create_security_group(GroupName='ssh', Description='SSH from anywhere')['GroupId']
    cloud.ec2.authorize_security_group_ingress(GroupId=other, IpProtocol='tcp', FromPort=22, ToPort=22, CidrIp='0.0.0.0/0')
    assert guest.ssh('true', check=False).returncode != 0
    cloud.ec2.modify_instance_attribute(InstanceId=guest.id, Groups=[other])
    wait_for(guest.answers, 'SSH to be allowed by the other group')
    cloud.ec2.modify_instance_attribute(InstanceId=guest.id, Groups=[default])
    wait_for(lambda: guest.ssh('true', check=False).returncode != 0, 'SSH to be refused again')
    cloud.ec2.authorize_security_group_ingress(GroupName='default', IpProtocol='tcp', FromPort=22, ToPort=22, CidrIp='0.0.0.0/0')
    wait_for(guest.answers, 'SSH to be allowed by the default group')


def test_data_is_clean_after_all_of_this(cloud, guest):
    cloud.stop()
    checked = cloud.fsck()
    assert checked.returncode == 0, checked.stdout
    cloud.start()
    wait_for(guest.answers, 'the guest to be reachable again')
