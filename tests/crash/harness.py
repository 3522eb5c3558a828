"""A server that can be killed: what the crash tests share.

Which processes belong to a server is told by its runtime folder, whose name is derived from the data folder's path as in
src/svc/server.c: QEMU and the volume servers have it on their command lines.
"""
import base64
import hashlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

import boto3
import botocore.config

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get('AMID_BUILD', ROOT / 'build'))
REGION = 'us-east-1'
BLOCK_SIZE = 512 << 10


def wait_for(condition, limit, what):
    """What `condition` returns, once that is true; fails after `limit` seconds."""
    deadline = time.monotonic() + limit
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < deadline, f'waited {limit} s for {what() if callable(what) else what}'
        time.sleep(0.05)


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def process_ids(*words):
    """Processes with all of the words on their command line."""
    found = []
    for entry in pathlib.Path('/proc').iterdir():
        try:
            line = (entry / 'cmdline').read_bytes().decode(errors='replace') if entry.name.isdigit() else ''
        except OSError:
            continue
        if line and all(word in line for word in words):
            found.append(int(entry.name))
    return found


def is_alive(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text(encoding='ascii').rsplit(') ', 1)[1][0] != 'Z'
    except OSError:
        return False


def kill_and_wait(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    wait_for(lambda: not any(is_alive(pid) for pid in pids), 30, f'the end of {pids}')


class Server:
    """`amid serve` on a data folder of its own, always at the same port. Any credentials pass."""

    def __init__(self, folder, compute):
        self.folder, self.compute = pathlib.Path(folder), compute
        self.data = self.folder / 'data'
        self.log = self.folder / 'log'
        self.endpoint = f'http://127.0.0.1:{free_port()}'
        self.process = None

    @property
    def runtime(self):
        return pathlib.Path(f'/dev/shm/amid-{hashlib.sha256(str(self.data.resolve()).encode()).hexdigest()[:10]}')

    def start(self):
        command = [BUILD / 'amid', 'serve', '--data', self.data, '--listen', self.endpoint[len('http://'):], '--auth', 'any',
            '--compute', self.compute, '--region', REGION]
        with open(self.log, 'ab') as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        ready, _, _ = select.select([self.process.stdout], [], [], 60)
        line = self.process.stdout.readline() if ready else b''
        assert line.startswith(b'endpoint '), f'the server does not start: {self.log_tail()}'
        return self

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """As an operator stops it; guests go on."""
        self.process.terminate()
        status = self.process.wait(timeout=60)
        self.process.stdout.close()
        assert status == 0, f'the server ended with {status}: {self.log_tail()}'

    def kill_everything(self):
        """The server, its guests and its volume servers, at once."""
        self.kill()
        kill_and_wait(self.machines() + self.volume_servers())

    def lose_runtime_folder(self):
        """With all processes gone: what a power cut takes, but for the page cache. The live maps lie in it, on a tmpfs."""
        shutil.rmtree(self.runtime)

    def machines(self):
        """Named by their disks' sockets; a search for KVM by its files."""
        return [*process_ids('qemu-system', str(self.runtime)), *process_ids('qemu-system', str(self.data))]

    def volume_servers(self, volume=''):
        return process_ids('nbdkit', str(self.runtime), volume)

    def fsck(self):
        done = subprocess.run([BUILD / 'amid', 'fsck', '--data', self.data], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0 and done.stdout.endswith('clean\n'), done.stdout + done.stderr

    def check_clean(self):
        """Stopped, found clean, started again."""
        self.stop()
        self.fsck()
        self.start()

    def client(self, service):
        config = botocore.config.Config(retries={'total_max_attempts': 1}, read_timeout=120, connect_timeout=10)
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, aws_access_key_id='test', aws_secret_access_key='test',
            config=config)

    def status(self):
        """This region's line of /_amid/status; unsigned requests are not answered, so it is asked for with any signature."""
        request = urllib.request.Request(self.endpoint + '/_amid/status', headers={'Authorization': 'AWS4-HMAC-SHA256 '
            f'Credential=test/20200101/{REGION}/ec2/aws4_request, SignedHeaders=host, Signature=' + '0' * 64})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)['regions'][0]

    def region_folder(self, name):
        return self.data / 'regions' / REGION / name

    def log_tail(self, lines=25):
        """The last lines of the server's log, without the questions that waiting asks."""
        text = self.log.read_text(errors='replace') if self.log.exists() else ''
        return '\n'.join([line for line in text.splitlines() if not re.search(r'operation=Describe\w+ .*status=200', line)][-lines:])

    def clean_up(self):
        if self.process and self.process.poll() is None:
            self.kill()
        kill_and_wait(self.machines() + self.volume_servers())
        shutil.rmtree(self.runtime, ignore_errors=True)
        table = 'amid-' + hashlib.sha256(self.runtime.name.split('-')[1].encode()).hexdigest()[:8]
        subprocess.run(['nft', 'delete', 'table', 'ip', table], check=False, stderr=subprocess.DEVNULL)
        for space in set(re.findall(r'event=vpc-network-made .*namespace=(\S+)', self.log.read_text(errors='replace'))):
            subprocess.run(['ip', 'netns', 'delete', space], check=False, stderr=subprocess.DEVNULL)


def put_block(ebs, snapshot, index, data):
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
    ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=data, DataLength=len(data), Checksum=checksum,
        ChecksumAlgorithm='SHA256')


def read_snapshot(ebs, snapshot):
    """{block index: SHA-256 of its bytes} of a snapshot, from the bytes themselves."""
    blocks, page = {}, {}
    while True:
        answer = ebs.list_snapshot_blocks(SnapshotId=snapshot, **page)
        for block in answer['Blocks']:
            got = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=block['BlockIndex'], BlockToken=block['BlockToken'])
            blocks[block['BlockIndex']] = hashlib.sha256(got['BlockData'].read()).hexdigest()
        if not answer.get('NextToken'):
            return blocks
        page = {'NextToken': answer['NextToken']}


def upload_disk(server, path, name):
    """The image id of a raw disk, uploaded as any client would."""
    ebs, ec2 = server.client('ebs'), server.client('ec2')
    size = os.path.getsize(path)
    snapshot = ebs.start_snapshot(VolumeSize=max(1, -(-size >> 30)))['SnapshotId']
    count = 0
    with open(path, 'rb') as disk:
        for index in range(-(-size // BLOCK_SIZE)):
            data = disk.read(BLOCK_SIZE).ljust(BLOCK_SIZE, b'\0')
            if data.strip(b'\0'):
                put_block(ebs, snapshot, index, data)
                count += 1
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=count)
    wait_for(lambda: ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots'][0]['State'] == 'completed', 60, 'the upload')
    return ec2.register_image(Name=name, RootDeviceName='/dev/xvda', Architecture='x86_64', VirtualizationType='hvm',
        BlockDeviceMappings=[{'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': snapshot}}])['ImageId']
