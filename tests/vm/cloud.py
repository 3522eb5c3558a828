"""A running amid with real guests, and what tests do with it: launch, wait, run commands in a guest."""
import os
import pathlib
import signal
import subprocess
import time

import boto3
import botocore.config

REGION = 'us-east-1'
BOOT_SECONDS = 180  # under TCG, beside other guests; nothing here measures speed


def wait_for(function, what, timeout=BOOT_SECONDS):
    """The first true value of function(); fails after `timeout` seconds."""
    end = time.monotonic() + timeout
    while True:
        value = function()
        if value:
            return value
        assert time.monotonic() < end, f'waited {timeout} s in vain for {what}'
        time.sleep(0.2)


class Guest:
    def __init__(self, cloud, instance_id):
        self.cloud, self.id = cloud, instance_id

    def describe(self):
        return self.cloud.ec2.describe_instances(InstanceIds=[self.id])['Reservations'][0]['Instances'][0]

    def state(self):
        return self.describe()['State']['Name']

    def wait_state(self, state):
        wait_for(lambda: self.state() == state, f'{self.id} to be {state}')

    def console(self):
        return self.cloud.ec2.get_console_output(InstanceId=self.id).get('Output', '')

    def ssh(self, command, check=True, timeout=60):
        """Runs a shell command in the guest as root; its standard output."""
        address = self.describe()['PublicIpAddress']
        finished = subprocess.run(['ssh', '-i', self.cloud.key, '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
                                   '-o', 'LogLevel=ERROR', '-o', 'ConnectTimeout=10', '-o', 'BatchMode=yes', f'root@{address}', command],
                                  capture_output=True, text=True, timeout=timeout)
        assert not check or finished.returncode == 0, f'{command}: {finished.stderr}'
        return finished.stdout if check else finished

    def answers(self):
        return self.state() == 'running' and self.ssh('true', check=False).returncode == 0

    def wait_ready(self):
        wait_for(self.answers, f'{self.id} to answer SSH')
        wait_for(lambda: self.ssh('cat /proc/uptime', check=False).returncode == 0, 'a second answer')
        return self

    def boot_id(self):
        """Empty while the guest does not answer."""
        return self.ssh('cat /proc/sys/kernel/random/boot_id', check=False).stdout.strip()

    def volumes(self):
        return {device['DeviceName']: device['Ebs']['VolumeId'] for device in self.describe()['BlockDeviceMappings']}


class Cloud:
    def __init__(self, build, folder):
        self.amid, self.folder = build / 'amid', pathlib.Path(folder)
        self.data, self.key = self.folder / 'data', str(self.folder / 'key.pem')
        self.process, self.endpoint, self.tiny = None, None, None

    def start(self):
        """Starts amid, on the same address each time."""
        listen = self.endpoint.removeprefix('http://') if self.endpoint else '127.0.0.1:0'
        log = open(self.folder / 'log', 'ab')
        self.process = subprocess.Popen([self.amid, 'serve', '--data', self.data, '--listen', listen], stdout=subprocess.PIPE, stderr=log, text=True)
        log.close()
        first = self.process.stdout.readline()
        assert first.startswith('endpoint '), (self.folder / 'log').read_text()
        self.endpoint = first.split()[1]
        os.environ['AWS_SHARED_CREDENTIALS_FILE'] = str(self.data / 'root-credentials')
        config = botocore.config.Config(retries={'max_attempts': 1}, connect_timeout=5, read_timeout=60)
        self.session = boto3.session.Session(region_name=REGION)
        self.ec2 = self.session.client('ec2', endpoint_url=self.endpoint, config=config)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(60)

    def import_tiny(self, image):
        environment = dict(os.environ, AWS_ENDPOINT_URL=self.endpoint, AWS_REGION=REGION)
        finished = subprocess.run([self.amid, 'import', image, '--name', 'tiny'], env=environment, capture_output=True, text=True, timeout=120)
        assert finished.returncode == 0, finished.stderr
        self.tiny = finished.stdout.splitlines()[-1]
        key = self.ec2.create_key_pair(KeyName='test', KeyType='ed25519')['KeyMaterial']
        pathlib.Path(self.key).write_text(key, encoding='ascii')
        os.chmod(self.key, 0o600)
        self.ec2.authorize_security_group_ingress(GroupName='default', IpProtocol='tcp', FromPort=22, ToPort=22, CidrIp='0.0.0.0/0')

    def launch(self, image, count=1, user_data='', wait=True, **more):
        request = dict(ImageId=image, MinCount=count, MaxCount=count, InstanceType='t3.nano', KeyName='test', **more)
        if user_data:
            request['UserData'] = user_data
        guests = [Guest(self, instance['InstanceId']) for instance in self.ec2.run_instances(**request)['Instances']]
        if wait:
            for guest in guests:
                guest.wait_ready()
        return guests[0] if count == 1 else guests

    def image_state(self, image):
        return self.ec2.describe_images(ImageIds=[image])['Images'][0]['State']

    def wait_image(self, image):
        state = wait_for(lambda: self.image_state(image) if self.image_state(image) != 'pending' else None, f'{image} to settle')
        assert state == 'available', self.ec2.describe_images(ImageIds=[image])['Images'][0].get('StateReason')

    def terminate(self, *guests):
        self.ec2.terminate_instances(InstanceIds=[guest.id for guest in guests])
        for guest in guests:
            guest.wait_state('terminated')

    def fsck(self):
        return subprocess.run([self.amid, 'fsck', '--data', self.data], capture_output=True, text=True)

    def end_guests(self):
        live = [Guest(self, instance['InstanceId']) for reservation in self.ec2.describe_instances()['Reservations']
                for instance in reservation['Instances'] if instance['State']['Name'] not in ('terminated', 'shutting-down')]
        for guest in live:
            self.ec2.modify_instance_attribute(InstanceId=guest.id, DisableApiTermination={'Value': False})
        if live:
            self.terminate(*live)

    def remove_all(self):
        """The account's images, volumes and snapshots."""
        for image in self.ec2.describe_images(Owners=['self'])['Images']:
            self.ec2.deregister_image(ImageId=image['ImageId'])
        # those of guests that were terminated may still be going
        wait_for(lambda: all(volume['State'] in ('available', 'error') for volume in self.ec2.describe_volumes()['Volumes']), 'volumes to settle')
        for volume in self.ec2.describe_volumes()['Volumes']:
            self.ec2.delete_volume(VolumeId=volume['VolumeId'])
        for snapshot in self.ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']:
            self.ec2.delete_snapshot(SnapshotId=snapshot['SnapshotId'])

    def check_empty(self):
        """After everybody's things were removed, nothing of them is left on the disk, and `amid fsck` finds nothing wrong."""
        status = [str(self.amid), 'status', '--field', 'store_objects']
        environment = dict(os.environ, AWS_ENDPOINT_URL=self.endpoint, AWS_REGION=REGION)
        wait_for(lambda: subprocess.run(status, env=environment, capture_output=True, text=True, check=True).stdout.strip() == '0', 'an empty store')
        assert not list((self.data / 'regions' / REGION / 'volumes').iterdir())
        self.stop()
        checked = self.fsck()
        assert checked.returncode == 0, checked.stdout

    def end(self):
        """Ends every guest, so that nothing of the test stays behind."""
        if self.process.poll() is not None:
            self.start()
        self.end_guests()
        self.remove_all()
        self.check_empty()
