"""A guest's tokens of its metadata, and its credentials of its instance profile's role."""
import json

import boto3
from cloud import wait_for

TRUST = {'Version': '2012-10-17',
         'Statement': [{'Effect': 'Allow', 'Principal': {'Service': 'ec2.amazonaws.com'}, 'Action': 'sts:AssumeRole'}]}


def ask(guest, method, path, header=''):
    """Status and body of a request to the metadata service; busybox nc sends what it is given."""
    lines = f"printf '{method} /latest/{path} HTTP/1.0\\r\\nHost: x\\r\\n{header}\\r\\n' | nc 169.254.169.254 80"
    head, body = guest.ssh(lines).replace('\r\n', '\n').split('\n\n', 1)
    return int(head.split()[1]), body


def metadata(guest, path):
    return ask(guest, 'GET', f'meta-data/{path}')


def test_guest_gets_a_token_whose_hop_limit_is_one(guest):
    status, token = ask(guest, 'PUT', 'api/token', 'X-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n')
    assert status == 200
    assert ask(guest, 'GET', 'meta-data/instance-id', f'X-aws-ec2-metadata-token: {token}\\r\\n') == (200, guest.id)
    assert ask(guest, 'GET', 'meta-data/instance-id', 'X-aws-ec2-metadata-token: 1-2\\r\\n')[0] == 401


def test_guest_finds_credentials_of_its_role_until_the_profile_loses_it(cloud, guest):
    iam = cloud.session.client('iam', endpoint_url=cloud.endpoint)
    assert metadata(guest, 'iam/info')[0] == 404
    iam.create_role(RoleName='worker', AssumeRolePolicyDocument=json.dumps(TRUST))
    profile = iam.create_instance_profile(InstanceProfileName='workers')['InstanceProfile']
    iam.add_role_to_instance_profile(InstanceProfileName='workers', RoleName='worker')
    association = cloud.ec2.associate_iam_instance_profile(
        InstanceId=guest.id, IamInstanceProfile={'Name': 'workers'})['IamInstanceProfileAssociation']['AssociationId']
    assert json.loads(metadata(guest, 'iam/info')[1])['InstanceProfileArn'] == profile['Arn']
    assert metadata(guest, 'iam/security-credentials/') == (200, 'worker')
    found = json.loads(metadata(guest, 'iam/security-credentials/worker')[1])
    assert (found['Code'], found['Type']) == ('Success', 'AWS-HMAC')
    caller = boto3.client('sts', region_name='us-east-1', endpoint_url=cloud.endpoint,
                          aws_access_key_id=found['AccessKeyId'], aws_secret_access_key=found['SecretAccessKey'],
                          aws_session_token=found['Token']).get_caller_identity()
    assert caller['Arn'].endswith(f':assumed-role/worker/{guest.id}')
    iam.remove_role_from_instance_profile(InstanceProfileName='workers', RoleName='worker')
    assert metadata(guest, 'iam/security-credentials/worker')[0] == 404
    cloud.ec2.disassociate_iam_instance_profile(AssociationId=association)
    assert metadata(guest, 'iam/info')[0] == 404
    iam.delete_instance_profile(InstanceProfileName='workers')
    iam.delete_role(RoleName='worker')
