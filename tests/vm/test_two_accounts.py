"""An encrypted image goes from one account to another, with real guests: what a guest of the first has written is read by one of the second, from a copy
under the second's own key, when nothing of the first is left."""
import configparser
import json
import pathlib
import subprocess

import boto3
import pytest
from botocore.exceptions import ClientError
from cloud import REGION, Cloud, wait_for

NEEDED = ['kms:DescribeKey', 'kms:CreateGrant', 'kms:Decrypt', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:ReEncrypt*']


class Account:
    """A new account of a cloud, and its guests."""
    launch, terminate, end_guests, wait_image, image_state = Cloud.launch, Cloud.terminate, Cloud.end_guests, Cloud.wait_image, Cloud.image_state
    remove_all = Cloud.remove_all

    def __init__(self, cloud, name):
        made = subprocess.run([cloud.amid, 'account', 'create', name, '--data', cloud.data, '--endpoint', cloud.endpoint], capture_output=True, text=True,
                              check=True, timeout=60)
        parser = configparser.ConfigParser()
        parser.read_string(made.stdout)
        self.cloud, self.session = cloud, boto3.session.Session(parser[name]['aws_access_key_id'], parser[name]['aws_secret_access_key'], region_name=REGION)
        self.ec2, self.kms, sts = (self.client(service) for service in ('ec2', 'kms', 'sts'))
        self.id = sts.get_caller_identity()['Account']
        self.key = f'{cloud.folder}/{name}.pem'
        pathlib.Path(self.key).touch(0o600)
        pathlib.Path(self.key).write_text(self.ec2.create_key_pair(KeyName='test', KeyType='ed25519')['KeyMaterial'], encoding='ascii')
        self.ec2.authorize_security_group_ingress(GroupName='default', IpProtocol='tcp', FromPort=22, ToPort=22, CidrIp='0.0.0.0/0')

    def client(self, service):
        return self.session.client(service, endpoint_url=self.cloud.endpoint)

    def disk_of(self, image):
        return self.ec2.describe_images(ImageIds=[image])['Images'][0]['BlockDeviceMappings'][0]['Ebs']['SnapshotId']

    def copy(self, image, key):
        return self.ec2.copy_image(SourceRegion=REGION, SourceImageId=image, Name='mine', Encrypted=True, KmsKeyId=key)['ImageId']

    def refusal(self, image):
        """Why a launch came to nothing; the guest never was."""
        guest = self.launch(image, wait=False)
        guest.wait_state('terminated')
        return guest.describe()['StateReason']


@pytest.fixture
def accounts(cloud):
    """Two of them; their guests are ended and their images removed, whatever becomes of the test."""
    made = [Account(cloud, name) for name in ('owner', 'other')]
    yield made
    for account in made:
        account.end_guests()
        account.remove_all()


def make_image(owner, image, key):
    """An image under the key, of a guest that has written something; (the image, what was written)."""
    root = owner.ec2.describe_images(ImageIds=[image])['Images'][0]['RootDeviceName']
    guest = owner.launch(image, BlockDeviceMappings=[{'DeviceName': root, 'Ebs': {'Encrypted': True, 'KmsKeyId': key}}])
    written = guest.ssh('head -c 16 /dev/urandom | md5sum >/root/whose; sync; cat /root/whose')
    made = owner.ec2.create_image(InstanceId=guest.id, Name='golden', NoReboot=True)['ImageId']
    owner.wait_image(made)
    owner.terminate(guest)
    return made, written


def share(owner, other, image, key):
    """Image and snapshot; what gives the key as well is returned."""
    permission = {'Add': [{'UserId': other.id}]}
    owner.ec2.modify_image_attribute(ImageId=image, LaunchPermission=permission)
    owner.ec2.modify_snapshot_attribute(SnapshotId=owner.disk_of(image), CreateVolumePermission=permission)
    statements = [{'Effect': 'Allow', 'Principal': {'AWS': f'arn:aws:iam::{account.id}:root'}, 'Action': actions, 'Resource': '*'}
                  for account, actions in ((owner, 'kms:*'), (other, NEEDED))]
    return {'KeyId': key, 'PolicyName': 'default', 'Policy': json.dumps({'Version': '2012-10-17', 'Statement': statements})}


def test_what_one_accounts_guest_wrote_is_read_by_anothers(cloud, accounts):
    owner, other = accounts
    cloud.ec2.modify_image_attribute(ImageId=cloud.tiny, LaunchPermission={'Add': [{'UserId': owner.id}]})
    key, own = (account.kms.create_key()['KeyMetadata']['Arn'] for account in (owner, other))
    image, written = make_image(owner, cloud.tiny, key)
    policy = share(owner, other, image, key)
    reason = other.refusal(image)
    assert reason['Code'] == 'Client.InternalError' and key in reason['Message']
    owner.kms.put_key_policy(**policy)
    copied = other.copy(image, own)
    other.wait_image(copied)
    snapshot = owner.disk_of(image)
    owner.ec2.deregister_image(ImageId=image)
    owner.ec2.delete_snapshot(SnapshotId=snapshot)
    owner.kms.disable_key(KeyId=key)
    owner.kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    with pytest.raises(ClientError, match='InvalidAMIID.NotFound'):
        other.ec2.describe_images(ImageIds=[image])
    guest = other.launch(copied)
    assert guest.ssh('cat /root/whose') == written
    volume = other.ec2.describe_volumes(VolumeIds=list(guest.volumes().values()))['Volumes'][0]
    assert volume['Encrypted'] and volume['KmsKeyId'] == own
    other.terminate(guest)
    wait_for(lambda: not other.ec2.describe_volumes()['Volumes'], 'its disk to go')
