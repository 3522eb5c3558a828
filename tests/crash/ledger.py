"""A client that keeps a ledger: what it asked for, what was acknowledged, and what must therefore be found after a crash.

Each client owns its things, so what others do never excuses a loss. A thing is *certain* when its creation was acknowledged or has
been seen since. A call that got no answer leaves a doubt: either outcome is right, but only one of them, and after the restart the
client finds out which (with the client token again, where there is one). Every thing bears a tag or a name of its own, by which
doubles are found.
"""
import hashlib
import random
import uuid

import botocore.exceptions

from harness import BLOCK_SIZE, REGION, put_block, read_snapshot, wait_for

NO_ANSWER = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError, botocore.parsers.ResponseParserError)
# Refusals that a client can earn: it acts on things that are on their way to another state.
REFUSALS = {'IncorrectState', 'IncorrectInstanceState', 'InvalidAMIID.Unavailable', 'VolumeInUse', 'InvalidVolume.ZoneMismatch',
    'InvalidSnapshot.InUse', 'InvalidParameterValue.IncorrectState', 'IncorrectInstanceState', 'InstanceLimitExceeded', 'VolumeInUse',
    'InvalidSnapshot.NotFound', 'ServerShuttingDown', 'ServiceUnavailable'}
LIMITS = {'snapshot': 6, 'image': 4, 'instance': 3, 'volume': 4}


class Crashed(Exception):
    """The server is gone; the ledger says what was in doubt."""


class Thing:
    def __init__(self, kind, content):
        self.kind, self.mark, self.id = kind, uuid.uuid4().hex, None
        self.content = content  # {block index: SHA-256}, None: unknown
        self.repeat = None  # repeats the creation with its client token
        self.deletion = None  # None, 'doubt', 'done'
        self.tags = {}  # key: set of the values that may be found
        self.states = set()  # instance: states that may be found
        self.attachment = {None}  # volume: instances that it may be attached to
        self.pending_blocks = {}  # upload in progress: blocks that may or may not have arrived
        self.complete = True

    def __repr__(self):
        return f'{self.kind} {self.id or self.mark}'


RUNNING, STOPPED, GONE = {'pending', 'running'}, {'stopping', 'stopped'}, {'shutting-down', 'terminated'}


class Client:
    def __init__(self, server, seed):
        self.random = random.Random(seed)
        self.ec2, self.ebs = server.client('ec2'), server.client('ebs')
        self.things, self.acknowledged, self.doubts = [], 0, 0

    # -- calls

    def call(self, function, **arguments):
        """The answer; None: refused, as it may be."""
        try:
            answer = function(**arguments)
        except NO_ANSWER as error:
            self.doubts += 1
            raise Crashed from error
        except botocore.exceptions.ClientError as error:
            if error.response['Error']['Code'] not in REFUSALS:
                raise
            return None
        self.acknowledged += 1
        return answer

    def create(self, thing, function, identify, has_token, **arguments):
        """Creates a thing; what is left in doubt is in the ledger."""
        if has_token:
            arguments['ClientToken'] = thing.mark
        self.things.append(thing)
        thing.repeat = (function, identify, arguments) if has_token else None
        answer = self.call(function, **arguments)
        if answer is None:
            self.things.remove(thing)
            return None
        thing.id = identify(answer)
        return thing

    def of(self, kind, condition=lambda thing: True):
        found = [thing for thing in self.things if thing.kind == kind and thing.id and not thing.deletion and condition(thing)]
        return self.random.choice(found) if found else None

    def has_room(self, kind):
        return sum(thing.kind == kind and thing.deletion != 'done' for thing in self.things) < LIMITS[kind]

    @staticmethod
    def tag(kind, thing):
        return [{'ResourceType': kind, 'Tags': [{'Key': 'mark', 'Value': thing.mark}]}]

    # -- steps: each does one thing that a client does, if there is anything to do it to

    def upload(self):
        thing = self.of('snapshot', lambda thing: not thing.complete)
        if not thing and self.has_room('snapshot'):
            thing = Thing('snapshot', {})
            thing.complete = False
            self.create(thing, self.ebs.start_snapshot, lambda answer: answer['SnapshotId'], True, VolumeSize=1,
                Tags=[{'Key': 'mark', 'Value': thing.mark}])
        if not thing:
            return
        for _ in range(self.random.randint(1, 4)):
            index = self.random.choice((0, 1, 127, 128, 2047, self.random.randrange(2048)))
            data = self.random.randbytes(4096) * (BLOCK_SIZE // 4096)
            digest = hashlib.sha256(data).hexdigest()
            thing.pending_blocks[index] = {digest, thing.content.get(index)} | thing.pending_blocks.get(index, set())
            self.call(put_block_of(self.ebs), SnapshotId=thing.id, index=index, data=data)
            thing.content[index] = digest
            del thing.pending_blocks[index]
        if thing.content and not thing.pending_blocks and self.random.random() < 0.8:
            thing.complete = 'doubt'
            self.call(self.ebs.complete_snapshot, SnapshotId=thing.id, ChangedBlocksCount=len(thing.content))
            thing.complete = True

    def register_image(self):
        source = self.of('snapshot', lambda thing: thing.complete is True)
        if source and self.has_room('image'):
            thing = Thing('image', source.content)
            self.create(thing, self.ec2.register_image, lambda answer: answer['ImageId'], False, Name=thing.mark, RootDeviceName='/dev/xvda',
                Architecture='x86_64', VirtualizationType='hvm',
                BlockDeviceMappings=[{'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': source.id}}])

    def run_instance(self):
        source = self.of('image')
        if source and self.has_room('instance'):
            thing = Thing('instance', source.content)
            thing.states = set(RUNNING)
            self.create(thing, self.ec2.run_instances, lambda answer: answer['Instances'][0]['InstanceId'], True, ImageId=source.id,
                MinCount=1, MaxCount=1, InstanceType='t3.nano', Placement={'AvailabilityZone': REGION + 'a'},
                TagSpecifications=self.tag('instance', thing))

    def create_volume(self):
        source = self.of('snapshot', lambda thing: thing.complete is True) if self.random.random() < 0.7 else None
        if self.has_room('volume'):
            thing = Thing('volume', source.content if source else {})
            self.create(thing, self.ec2.create_volume, lambda answer: answer['VolumeId'], True, AvailabilityZone=REGION + 'a',
                TagSpecifications=self.tag('volume', thing), **({'SnapshotId': source.id} if source else {'Size': 1}))

    def attach(self):
        volume = self.of('volume', lambda thing: thing.attachment == {None})
        instance = self.of('instance', lambda thing: not thing.states & GONE)
        if not volume or not instance:
            return
        volume.attachment = {None, instance.id}
        device = '/dev/sd' + self.random.choice('fghijklmnop')
        try:
            if self.call(self.ec2.attach_volume, VolumeId=volume.id, InstanceId=instance.id, Device=device):
                volume.attachment = {instance.id}
            else:
                volume.attachment = {None}
        except botocore.exceptions.ClientError as error:
            if 'in use' not in str(error):
                raise
            volume.attachment = {None}

    def detach(self):
        volume = self.of('volume', lambda thing: None not in thing.attachment)
        if volume:
            before, volume.attachment = volume.attachment, volume.attachment | {None}
            # acknowledged: it is detached at some time, which the end of the test waits for
            if not self.call(self.ec2.detach_volume, VolumeId=volume.id):
                volume.attachment = before

    def create_snapshot(self):
        source = self.of('volume')
        if source and self.has_room('snapshot'):
            thing = Thing('snapshot', source.content)
            self.create(thing, self.ec2.create_snapshot, lambda answer: answer['SnapshotId'], False, VolumeId=source.id,
                TagSpecifications=self.tag('snapshot', thing))

    def create_image(self):
        source = self.of('instance', lambda thing: not thing.states & GONE)
        if source and self.has_room('image'):
            thing = Thing('image', source.content)
            self.create(thing, self.ec2.create_image, lambda answer: answer['ImageId'], False, InstanceId=source.id, Name=thing.mark,
                NoReboot=self.random.random() < 0.5, TagSpecifications=self.tag('image', thing))

    def copy_image(self):
        source = self.of('image')
        if source and self.has_room('image'):
            thing = Thing('image', source.content)
            self.create(thing, self.ec2.copy_image, lambda answer: answer['ImageId'], True, SourceRegion=REGION, SourceImageId=source.id,
                Name=thing.mark)

    def set_tag(self):
        thing = self.of(self.random.choice(list(LIMITS)))
        if thing:
            key, value = self.random.choice('abc'), uuid.uuid4().hex
            thing.tags[key] = thing.tags.get(key, {None}) | {value}
            if self.call(self.ec2.create_tags, Resources=[thing.id], Tags=[{'Key': key, 'Value': value}]):
                thing.tags[key] = {value}

    def change_state(self):
        instance = self.of('instance', lambda thing: not thing.states & GONE)
        if not instance:
            return
        function, states = self.random.choice(((self.ec2.stop_instances, STOPPED), (self.ec2.start_instances, RUNNING),
            (self.ec2.reboot_instances, instance.states)))
        before, instance.states = instance.states, instance.states | states
        instance.states = set(states) if self.call(function, InstanceIds=[instance.id]) else before

    def delete(self):
        thing = self.of(self.random.choice(list(LIMITS)))
        if not thing:
            return
        arguments = {'snapshot': (self.ec2.delete_snapshot, {'SnapshotId': thing.id}),
            'image': (self.ec2.deregister_image, {'ImageId': thing.id}),
            'volume': (self.ec2.delete_volume, {'VolumeId': thing.id}),
            'instance': (self.ec2.terminate_instances, {'InstanceIds': [thing.id]})}[thing.kind]
        thing.deletion = 'doubt'
        if thing.kind == 'instance':
            for volume in self.things:
                if thing.id in volume.attachment:
                    volume.attachment |= {None}
        thing.deletion = 'done' if self.call(arguments[0], **arguments[1]) else None

    def work(self):
        """Steps, until the server is gone."""
        steps = [self.upload, self.upload, self.register_image, self.run_instance, self.create_volume, self.attach, self.detach,
            self.create_snapshot, self.create_image, self.copy_image, self.set_tag, self.change_state, self.delete]
        try:
            while True:
                self.random.choice(steps)()
        except Crashed:
            pass

    # -- after a restart

    def find(self, kind, mark):
        by_mark = [{'Name': 'tag:mark', 'Values': [mark]}]
        if kind == 'snapshot':
            return self.ec2.describe_snapshots(Filters=by_mark)['Snapshots']
        if kind == 'image':
            return self.ec2.describe_images(Filters=[{'Name': 'name', 'Values': [mark]}])['Images']
        if kind == 'volume':
            return self.ec2.describe_volumes(Filters=by_mark)['Volumes']
        return [instance for reservation in self.ec2.describe_instances(Filters=by_mark)['Reservations']
            for instance in reservation['Instances']]

    def resolve_creation(self, thing):
        """Repeats or looks for a creation that got no answer; whether there is a thing now."""
        found = self.find(thing.kind, thing.mark)
        if thing.repeat:
            function, identify, arguments = thing.repeat
            try:
                thing.id = identify(function(**arguments))
            except botocore.exceptions.ClientError as error:
                # the source may have gone meanwhile, but what was made before cannot be refused
                assert not found, f'{thing} was made, but its token is refused: {error}'
                return False
            assert identify(function(**arguments)) == thing.id, f'{thing}: a token was answered with two things'
        elif found:
            thing.id = found[0][thing.kind.capitalize() + 'Id']
        return thing.id is not None

    def check_thing(self, thing):
        found = self.find(thing.kind, thing.mark)
        assert len(found) <= 1, f'{thing} exists {len(found)} times'
        if thing.kind == 'instance' and found and thing.deletion:
            state = found[0]['State']['Name']
            assert thing.deletion == 'doubt' or state in GONE, f'{thing} was terminated, but is {state}'
            found = [] if state in GONE else found
        if thing.kind == 'volume' and thing.deletion and found and found[0]['State'] == 'deleting':
            found = []
        if thing.deletion == 'done':
            assert not found, f'{thing} was deleted, but is there'
            return
        if thing.deletion == 'doubt':
            thing.deletion = None if found else 'done'
            if not found:
                return
        assert found, f'{thing} was acknowledged, but is not there'
        self.check_found(thing, found[0])

    def check_found(self, thing, found):
        tags = {tag['Key']: tag['Value'] for tag in found.get('Tags', [])}
        for key, values in thing.tags.items():
            assert tags.get(key) in values, f'{thing}: tag {key} is {tags.get(key)}, not one of {values}'
            thing.tags[key] = {tags.get(key)}
        if thing.kind == 'instance':
            state = found['State']['Name']
            assert state in thing.states, f'{thing} is {state}, not one of {thing.states}'
            thing.states = next(set(states) for states in (RUNNING, STOPPED, GONE) if state in states)
        if thing.kind == 'volume':
            instance = found['Attachments'][0]['InstanceId'] if found['Attachments'] else None
            assert instance in thing.attachment, f'{thing} is attached to {instance}, not one of {thing.attachment}'
        if thing.complete == 'doubt':
            thing.complete = True if found['State'] == 'completed' else False

    def check(self):
        """What was acknowledged is there, as it was promised or legitimately further on."""
        for thing in list(self.things):
            if not thing.id and not self.resolve_creation(thing):
                self.things.remove(thing)
        for thing in self.things:
            self.check_thing(thing)

    # -- at the end

    def finish(self):
        """Uploads are completed, deleted things forgotten, and everything reaches a state to stay in."""
        for thing in self.things:
            if thing.kind == 'snapshot' and not thing.complete and not thing.deletion:
                self.finish_upload(thing)
        self.things = [thing for thing in self.things if thing.deletion != 'done']
        for thing in self.things:
            wait_for(lambda thing=thing: self.is_settled(thing), 60, lambda thing=thing: f'{thing}: {self.find(thing.kind, thing.mark)}')

    def finish_upload(self, thing):
        for index in thing.pending_blocks:
            put_block(self.ebs, thing.id, index, bytes(4096 - 1) + b'!' + bytes(BLOCK_SIZE - 4096))
            thing.content[index] = hashlib.sha256(bytes(4096 - 1) + b'!' + bytes(BLOCK_SIZE - 4096)).hexdigest()
        thing.pending_blocks = {}
        self.ebs.complete_snapshot(SnapshotId=thing.id, ChangedBlocksCount=len(thing.content))

    def is_settled(self, thing):
        found = self.find(thing.kind, thing.mark)
        assert len(found) == 1, f'{thing}: found {found}'
        state = found[0]['State']
        if thing.kind == 'instance':
            return state['Name'] in ('running', 'stopped')
        assert state not in ('error', 'failed'), f'{thing} failed: {found[0]}'
        return state in {'snapshot': ('completed',), 'image': ('available',), 'volume': ('available', 'in-use')}[thing.kind]

    def check_content(self):
        for thing in self.things:
            if thing.kind == 'snapshot':
                snapshot = thing.id
            elif thing.kind == 'image':
                mapping = self.find('image', thing.mark)[0]['BlockDeviceMappings']
                snapshot = next(device['Ebs']['SnapshotId'] for device in mapping if device['DeviceName'] == '/dev/xvda')
            else:
                continue
            if self.ec2.describe_snapshots(Filters=[{'Name': 'snapshot-id', 'Values': [snapshot]}])['Snapshots']:
                found = read_snapshot(self.ebs, snapshot)
                assert found == thing.content, f'{thing}: blocks {sorted(found)}, not {sorted(thing.content)}, or other bytes in them'


def put_block_of(ebs):
    return lambda SnapshotId, index, data: put_block(ebs, SnapshotId, index, data) or True


def delete_everything(ec2):
    """Terminates, deregisters and deletes all that there is in the account."""
    for image in ec2.describe_images(Owners=['self'])['Images']:
        ec2.deregister_image(ImageId=image['ImageId'])
    instances = [instance['InstanceId'] for reservation in ec2.describe_instances()['Reservations']
        for instance in reservation['Instances'] if instance['State']['Name'] not in GONE]
    if instances:
        ec2.terminate_instances(InstanceIds=instances)

    def instances_are_gone():
        return all(instance['State']['Name'] == 'terminated' for reservation in ec2.describe_instances()['Reservations']
            for instance in reservation['Instances'])

    wait_for(instances_are_gone, 60, 'the end of all instances')
    for volume in ec2.describe_volumes()['Volumes']:
        if volume['State'] != 'deleting':
            ec2.delete_volume(VolumeId=volume['VolumeId'])
    for snapshot in ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']:
        ec2.delete_snapshot(SnapshotId=snapshot['SnapshotId'])
    wait_for(lambda: not ec2.describe_volumes()['Volumes'], 60, lambda: f'the end of {ec2.describe_volumes()["Volumes"]}')
