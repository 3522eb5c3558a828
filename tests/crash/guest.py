"""A guest of the tiny image, as a user sees it: SSH, and the console."""
import json
import re
import socket
import subprocess

from harness import REGION, upload_disk, wait_for

BOOT_LIMIT, LIMIT = 180, 90
# Appends numbered records; each is told on the console once it is durable.
WRITER = """
n=$(tail -n 1 /records 2>/dev/null); n=${n:-0}
while :; do
	n=$((n + 1)); usleep 20000; echo $n >>/records && sync && echo "durable record $n" >/dev/console
done
"""


class Guest:
    def __init__(self, server, instance, key):
        self.server, self.id, self.key = server, instance, key
        self.ec2 = server.client('ec2')

    def describe(self):
        return self.ec2.describe_instances(InstanceIds=[self.id])['Reservations'][0]['Instances'][0]

    def wait_state(self, state):
        wait_for(lambda: self.describe()['State']['Name'] == state, LIMIT,
            lambda: f'{state}, not {self.describe()["State"]}; {self.server.log_tail()}; console: {self.console()[-2000:]}')
        return self

    def ssh(self, command, check=True):
        address = self.describe()['PublicIpAddress']
        done = subprocess.run(['ssh', '-i', self.key, '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR',
            '-o', 'ConnectTimeout=5', '-o', 'BatchMode=yes', f'root@{address}', command], capture_output=True, text=True, timeout=LIMIT,
            stdin=subprocess.DEVNULL, check=False)
        assert not check or done.returncode == 0, f'{command}: {done.returncode} {done.stdout}{done.stderr}'
        return done.stdout.strip() if done.returncode == 0 else None

    def wait_ssh(self):
        """Until the guest can be logged into; its boot's id."""
        return wait_for(lambda: self.ssh('cat /proc/sys/kernel/random/boot_id', check=False), BOOT_LIMIT,
            lambda: f'SSH into {self.id}; console: {self.console()[-2000:]}')

    def console(self):
        """Read from the machine's folder: the server may be dead."""
        path = self.server.region_folder('instances') / self.id / 'console.log'
        return path.read_text(errors='replace') if path.exists() else ''

    def last_record(self):
        records = re.findall(r'durable record (\d+)\r?\n', self.console())
        return int(records[-1]) if records else 0

    def freeze_file_systems(self):
        """As an amid that dies in the middle of a capture leaves them. There must be none: the agent's channel takes one client."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(LIMIT)
            channel.connect(str(self.server.runtime / 'm' / f'{self.id}.agent'))
            channel.sendall(b'{"execute":"guest-fsfreeze-freeze"}\n')
            answer = channel.makefile().readline()
        assert json.loads(answer.lstrip('\xff'))['return'] > 0, answer

    def start_writer(self):
        self.ssh(f"cat >/writer <<'E'\n{WRITER}E\nsetsid sh /writer >/dev/null 2>&1 </dev/null &")
        self.wait_records(3)

    def wait_records(self, more):
        """Until so many more records are durable."""
        goal = self.last_record() + more
        wait_for(lambda: self.last_record() >= goal, LIMIT, lambda: f'record {goal}, at {self.last_record()}: {self.console()[-1500:]}')

    def check_records(self, durable):
        """All records up to `durable` (and perhaps more) are on the disk, each once, and the guest's kernel has seen no error."""
        self.ssh('sync; echo 3 >/proc/sys/vm/drop_caches')
        records = [int(line) for line in self.ssh('cat /records').split()]
        assert records == list(range(1, len(records) + 1)), f'records are missing or damaged: {records}'
        assert len(records) >= durable, f'{durable} records were durable, {len(records)} are there'
        self.check_kernel()

    def check_kernel(self):
        errors = self.ssh("dmesg | grep -iE 'I/O error|ext4-fs error|ext4-fs warning|remount.*read-only|aborted journal' || true")
        assert not errors, f'the guest saw: {errors}'
        assert 'rw' in self.ssh("awk '$2 == \"/\" { print $4 }' /proc/mounts | head -n 1").split(',')[0]


def launch(server, image, key_name, key):
    run = server.client('ec2').run_instances(ImageId=image, MinCount=1, MaxCount=1, InstanceType='t3.nano', KeyName=key_name,
        Placement={'AvailabilityZone': REGION + 'a'})
    return Guest(server, run['Instances'][0]['InstanceId'], key).wait_state('running')


def open_ssh(ec2):
    """The default security group lets nobody in, as in AWS."""
    group = ec2.describe_security_groups(Filters=[{'Name': 'group-name', 'Values': ['default']}])['SecurityGroups'][0]['GroupId']
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {'IpProtocol': 'tcp', 'FromPort': 22, 'ToPort': 22, 'IpRanges': [{'CidrIp': '0.0.0.0/0'}]}])


def make_key(server, name):
    path = server.folder / f'{name}.pem'
    material = server.client('ec2').create_key_pair(KeyName=name, KeyType='ed25519')['KeyMaterial']
    path.touch(mode=0o600)
    path.write_text(material, encoding='ascii')
    return path


class Place:
    """A server with the tiny image and one guest that can be logged into."""

    def __init__(self, server, disk):
        self.server, self.ec2 = server, server.client('ec2')
        self.image = upload_disk(server, disk, 'tiny')
        self.key = make_key(server, 'crash')
        self.guest = self.launch(self.image)
        open_ssh(self.ec2)
        self.guest.wait_ssh()

    def launch(self, image):
        return launch(self.server, image, 'crash', self.key)

    def image_state(self, image):
        return self.ec2.describe_images(ImageIds=[image])['Images'][0]['State']

    def check_at_rest(self):
        """Guests shut down, everything is found whole."""
        self.ec2.stop_instances(InstanceIds=[self.guest.id])
        self.guest.wait_state('stopped')
        assert not self.server.volume_servers() and not self.server.machines()
        self.server.check_clean()
