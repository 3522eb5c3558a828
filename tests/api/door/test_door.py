#!/usr/bin/python3
"""The door as stock clients meet it: boto3, the aws CLI and bare sockets against tests/api/door/server.c.

    tests/api/door/test_door.py DOOR-SERVER [-k NAME]
"""
import base64
import datetime
import hashlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import types
import unittest
import unittest.mock
import urllib.parse
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions

SERVER = None
KEY, SECRET, ACCOUNT = 'AKIATESTTESTTEST', 'test/secret+KEY', '111122223333'


class Server:
    """A running door-server; ends with the `with` block, and then its log is complete."""

    def __init__(self, mode='iam', *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.log_path, self.last_log = os.path.join(self.folder.name, 'log'), None
        with open(self.log_path, 'wb') as log:
            self.process = subprocess.Popen([SERVER, mode, *map(str, arguments)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)
        self.endpoint = self.process.stdout.readline().strip()
        self.address = (lambda url: (url.hostname, url.port))(urllib.parse.urlsplit(self.endpoint))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        status = self.process.wait(timeout=30)
        self.process.stdout.close()
        self.last_log = self.log()
        self.folder.cleanup()
        if status != 0 and not any(failure):
            raise AssertionError(f'the server ended with {status}:\n{self.log()}')

    def log(self):
        if self.last_log is not None:
            return self.last_log
        with open(self.log_path, encoding='utf-8') as file:
            return file.read()

    def client(self, service, key=KEY, secret=SECRET, token=None, region='us-east-1', **options):
        config = botocore.config.Config(retries={'total_max_attempts': 1}, parameter_validation=False,
                                        **options.pop('config', {}))
        return boto3.client(service, endpoint_url=self.endpoint, aws_access_key_id=key, aws_secret_access_key=secret,
                            aws_session_token=token, region_name=region, config=config, **options)

    def connect(self):
        return socket.create_connection(self.address, timeout=20)

    def request(self, method, path, body=None, headers={}):
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode('utf-8', 'replace'), answer.headers
        finally:
            connection.close()

    def signed(self, service, method, path, body=b'', headers={}, key=KEY, secret=SECRET, region='us-east-1'):
        """The headers of a request, signed by botocore."""
        request = botocore.awsrequest.AWSRequest(method, self.endpoint + path, headers=dict(headers), data=body)
        signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, secret), service, region)
        signer.add_auth(request)
        return dict(request.headers)


class Clock:
    """Makes botocore sign as if it were another time, with either of its signers (the one in C lives in botocore.crt)."""

    def __init__(self, now):
        self.now = now
        self.modules = [module for name, module in sys.modules.items() if name in ('botocore.auth', 'botocore.crt.auth')]

    def __enter__(self):
        now = self.now

        class Moved(datetime.datetime):
            @classmethod
            def utcnow(cls):
                return now
        module = types.SimpleNamespace(datetime=Moved, timedelta=datetime.timedelta, timezone=datetime.timezone)
        for signer in self.modules:
            signer.datetime = module

    def __exit__(self, *failure):
        for signer in self.modules:
            signer.datetime = datetime


class DoorTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server('iam').__enter__()
        cls.any = Server('any').__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.any.__exit__()

    def refused(self, code, status, call, *arguments, **parameters):
        """The message of the ClientError that the call must end with."""
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(*arguments, **parameters)
        answer = caught.exception.response
        self.assertEqual((answer['Error']['Code'], answer['ResponseMetadata']['HTTPStatusCode']), (code, status))
        self.assertRegex(answer['ResponseMetadata']['RequestId'], '^[0-9a-f-]{36}$')
        return answer['Error']['Message']


class SignedCalls(DoorTest):
    def test_header_signed_calls_of_all_services(self):
        regions = self.server.client('ec2').describe_regions(RegionNames=['a b', 'c&d=é+'])
        self.assertEqual([r['RegionName'] for r in regions['Regions']], ['us-east-1', 'a b', 'c&d=é+'])
        self.assertEqual(regions['Regions'][0]['Endpoint'], '127.0.0.1')
        self.assertEqual(regions['ResponseMetadata']['HTTPHeaders']['x-amzn-requestid'],
                         regions['ResponseMetadata']['RequestId'])
        identity = self.server.client('sts').get_caller_identity()
        self.assertEqual((identity['Account'], identity['Arn']), (ACCOUNT, f'arn:aws:iam::{ACCOUNT}:root'))

    def test_region_comes_from_the_signature(self):
        ec2 = self.server.client('ec2', region='eu-west-1')
        self.assertEqual(ec2.describe_regions()['Regions'][0]['RegionName'], 'eu-west-1')
        message = self.refused('AuthFailure', 401, self.server.client('ec2', region='us-west-2').describe_regions)
        self.assertIn('us-west-2', message)
        self.refused('SignatureDoesNotMatch', 403, self.server.client('sts', region='us-west-2').get_caller_identity)

    def test_blocks_with_binary_bodies_and_signed_headers(self):
        ebs, data = self.server.client('ebs'), os.urandom(512 * 1024)
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        answer = ebs.put_snapshot_block(SnapshotId='snap-0123456789abcdef0', BlockIndex=3, BlockData=data,
                                        DataLength=len(data), Checksum=checksum, ChecksumAlgorithm='SHA256')
        self.assertEqual(answer['Checksum'], checksum)
        answer = ebs.get_snapshot_block(SnapshotId='snap-0123456789abcdef0', BlockIndex=65, BlockToken='a+b/c=')
        self.assertEqual(answer['BlockData'].read(), b'A' * 512 * 1024)
        self.assertEqual(answer['Checksum'], 'a+b/c=')

    def test_presigned_url(self):
        for service, operation in (('ec2', 'describe_regions'), ('sts', 'get_caller_identity')):
            url = self.server.client(service).generate_presigned_url(operation, ExpiresIn=60, HttpMethod='GET')
            with urllib.request.urlopen(url) as answer:
                self.assertEqual(answer.status, 200)
            url = self.server.client(service).generate_presigned_url(operation, ExpiresIn=60)
            with urllib.request.urlopen(url, b'') as answer:  # boto3's default for these is a POST without a body
                self.assertEqual(answer.status, 200)
            with self.assertRaises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=61'))
            caught.exception.close()
            self.assertIn(caught.exception.code, (401, 403))

    def test_presigned_url_expires(self):
        with Clock(datetime.datetime.utcnow() - datetime.timedelta(seconds=120)):
            expired = self.server.client('ec2').generate_presigned_url('describe_regions', ExpiresIn=60, HttpMethod='GET')
            valid = self.server.client('ec2').generate_presigned_url('describe_regions', ExpiresIn=3600, HttpMethod='GET')
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(expired)
        self.assertIn(b'<Code>RequestExpired</Code>', caught.exception.read())
        caught.exception.close()
        with urllib.request.urlopen(valid) as answer:
            self.assertEqual(answer.status, 200)

    def test_temporary_credentials_need_their_token(self):
        temporary = {'key': 'ASIATESTTESTTEST', 'secret': 'other-secret'}
        identity = self.server.client('sts', token='the/session+token==', **temporary).get_caller_identity()
        self.assertEqual(identity['UserId'], 'AROATEST:s')
        for token in ('wrong', None):
            client = self.server.client('sts', token=token, **temporary)
            self.refused('InvalidClientTokenId', 403, client.get_caller_identity)
        client = self.server.client('sts', token='the/session+token==')
        self.refused('InvalidClientTokenId', 403, client.get_caller_identity)

    def test_curl_signs_so_too(self):
        run = subprocess.run(['curl', '-sS', '--aws-sigv4', 'aws:amz:us-east-1:sts', '-u', f'{KEY}:{SECRET}', '-d',
                              'Action=GetCallerIdentity&Version=2011-06-15', self.server.endpoint + '/'],
                             capture_output=True, text=True, check=True)
        self.assertIn(f'<Account>{ACCOUNT}</Account>', run.stdout)


class RefusedCalls(DoorTest):
    def calls(self, **client):
        return (self.server.client('ec2', **client).describe_regions,
                self.server.client('sts', **client).get_caller_identity,
                lambda: self.server.client('ebs', **client).list_snapshot_blocks(SnapshotId='snap-0123456789abcdef0'))

    def test_wrong_secret(self):
        ec2, sts, ebs = self.calls(secret='wrong')
        self.refused('AuthFailure', 401, ec2)
        self.refused('SignatureDoesNotMatch', 403, sts)
        self.refused('InvalidSignatureException', 403, ebs)

    def test_unknown_key(self):
        ec2, sts, ebs = self.calls(key='AKIAUNKNOWNUNKNOWN')
        self.refused('AuthFailure', 401, ec2)
        self.refused('InvalidClientTokenId', 403, sts)
        self.refused('UnrecognizedClientException', 403, ebs)

    def test_failed_lookup_is_not_an_unknown_key(self):
        self.refused('Unavailable', 503, self.calls(key='AKIABROKENBROKEN')[0])

    def test_stale_and_future_dates(self):
        now = datetime.datetime.utcnow()
        for minutes, ok in ((-14, True), (14, True), (-16, False), (16, False)):
            with Clock(now + datetime.timedelta(minutes=minutes)):
                ec2, sts, ebs = self.calls()
                if ok:
                    ec2()
                    continue
                self.refused('RequestExpired', 400, ec2)
                self.assertIn('Signature', self.refused('SignatureDoesNotMatch', 403, sts))
                self.refused('InvalidSignatureException', 403, ebs)

    def test_unsigned(self):
        for service, code in (('ec2', 'MissingAuthenticationToken'), ('sts', 'MissingAuthenticationToken')):
            action = {'ec2': 'DescribeRegions', 'sts': 'GetCallerIdentity'}[service]
            status, body, _ = self.server.request('POST', '/', f'Action={action}')
            self.assertEqual((status, re.search('<Code>(.*)</Code>', body)[1]), (403, code))
        status, _, headers = self.server.request('GET', '/snapshots/snap-0123456789abcdef0/blocks')
        self.assertEqual((status, headers['x-amzn-ErrorType']), (403, 'MissingAuthenticationTokenException'))

    def test_malformed_signature(self):
        headers = {'Authorization': 'AWS4-HMAC-SHA256 Credential=nonsense', 'X-Amz-Date': '20261121T070000Z'}
        status, body, _ = self.server.request('POST', '/', 'Action=DescribeRegions', headers)
        self.assertEqual(status, 400)
        self.assertIn('<Code>IncompleteSignature</Code>', body)

    def test_what_was_changed_on_the_way(self):
        form = b'Action=DeleteKeyPair&Version=2016-11-15&KeyName=mine'
        headers = self.server.signed('ec2', 'POST', '/', form)
        self.assertEqual(self.server.request('POST', '/', form, headers)[0], 200)
        for method, path, body, more in (('POST', '/', form.replace(b'mine', b'your'), {}),
                                         ('POST', '/?KeyPairId=key-1', form, {}), ('PUT', '/', form, {}),
                                         ('POST', '/', form, {'X-Amz-Target': 'x'}),
                                         ('POST', '/', form, {'X-Amz-Security-Token': 'x'})):
            status, answer, _ = self.server.request(method, path, body, {**headers, **more})
            self.assertEqual((status, 'AuthFailure' in answer), (401, True), (method, path, body, more))

    def test_unsigned_payloads_are_for_uploads_alone(self):
        path, body = '/snapshots/snap-0123456789abcdef0/blocks/0', b'block'
        claim = {'X-Amz-Content-SHA256': 'UNSIGNED-PAYLOAD'}
        needed = {'x-amz-Data-Length': '5', 'x-amz-Checksum': 'x', 'x-amz-Checksum-Algorithm': 'SHA256', **claim}
        headers = self.server.signed('ebs', 'PUT', path, body, needed)
        self.assertEqual(self.server.request('PUT', path, body, headers)[0], 201)
        status, _, answer = self.server.request('PUT', path, body, {**headers, 'x-amz-Checksum': 'y'})
        self.assertEqual((status, answer['x-amzn-ErrorType']), (403, 'InvalidSignatureException'))
        body = b'{"VolumeSize": 1}'
        headers = self.server.signed('ebs', 'POST', '/snapshots', body, claim)
        status, _, answer = self.server.request('POST', '/snapshots', body, headers)
        self.assertEqual((status, answer['x-amzn-ErrorType']), (403, 'InvalidSignatureException'))

    def test_unknown_and_unimplemented_actions(self):
        form = b'Action=%s&Version=2016-11-15'
        for action, code, named in ((b'DescribeUnicorns', 'InvalidAction', 'DescribeUnicorns'),
                                    (b'CreateVpcPeeringConnection', 'UnsupportedOperation', 'CreateVpcPeeringConnection')):
            body = form % action
            status, answer, _ = self.server.request('POST', '/', body, self.server.signed('ec2', 'POST', '/', body))
            self.assertEqual((status, re.search('<Code>(.*)</Code>', answer)[1]), (400, code))
            self.assertIn(named, re.search('<Message>(.*)</Message>', answer)[1])
        message = self.refused('UnsupportedOperation', 400, self.server.client('ec2').describe_vpc_peering_connections)
        self.assertIn('DescribeVpcPeeringConnections', message)
        status, _, headers = self.server.request('GET', '/nothing', None, self.server.signed('ebs', 'GET', '/nothing'))
        self.assertEqual((status, headers['x-amzn-ErrorType']), (404, 'UnknownOperationException'))

    def test_services_that_are_not_there(self):
        self.assertIn("'s3'", self.refused('UnsupportedOperation', 400, self.server.client('s3').list_buckets))
        self.assertIn("'iam'", self.refused('UnsupportedOperation', 400, self.server.client('iam').list_users))
        with self.assertRaisesRegex(botocore.exceptions.ClientError, "'kms' is not implemented"):
            self.server.client('kms').list_keys()

    def test_wrong_parameters_are_refused_before_the_handler(self):
        ec2 = self.server.client('ec2')
        self.refused('MissingParameter', 400, ec2.run_instances, MinCount=1)
        self.refused('Unsupported', 400, ec2.describe_vpcs)


class Handlers(DoorTest):
    def test_dry_run(self):
        message = self.refused('DryRunOperation', 412, self.server.client('ec2').describe_regions, DryRun=True)
        self.assertEqual(message, 'Request would have succeeded, but DryRun flag is set.')
        self.refused('AuthFailure', 401, self.server.client('ec2', secret='wrong').describe_regions, DryRun=True)

    def test_handler_is_run_again_after_a_conflict(self):
        form = b'Action=DeleteKeyPair&Version=2016-11-15&KeyName=conflict-4'
        status, body, _ = self.server.request('POST', '/', form, self.server.signed('ec2', 'POST', '/', form))
        self.assertEqual((status, int(re.search('<keyPairId>run-(.*)</keyPairId>', body)[1]) % 4), (200, 0))
        self.refused('Unavailable', 503, self.server.client('ec2').delete_key_pair, KeyName='conflict-1000000')

    def test_inner_errors_stay_inside(self):
        with Server() as server:
            message = self.refused('InternalError', 500, server.client('ec2').delete_key_pair, KeyName='internal')
            self.assertNotIn('inner detail', message)
        self.assertIn('inner detail', server.log())
        self.assertIn(re.search('[0-9a-f-]{36}', message)[0], server.log())

    def test_one_log_line_a_call_and_no_secrets(self):
        with Server() as server:
            server.client('ec2').describe_regions()
            server.client('sts').get_caller_identity()
            self.refused('AuthFailure', 401, server.client('ec2', secret='wrong').describe_regions)
            url = server.client('sts').generate_presigned_url('get_caller_identity', HttpMethod='GET')
            urllib.request.urlopen(url).close()
        lines = [line for line in server.log().splitlines() if 'event=call ' in line]
        self.assertEqual(len(lines), 4)
        self.assertRegex(lines[0], f'request=[0-9a-f-]{{36}} service=ec2 operation=DescribeRegions account={ACCOUNT} '
                                   'region=us-east-1 status=200 code=- ms=[0-9]+ peer=127.0.0.1')
        self.assertIn('account=- region=us-east-1 status=401 code=AuthFailure', lines[2])
        for secret in (SECRET, 'Signature', 'AWS4'):
            self.assertNotIn(secret, server.log())


class AnyCredentials(DoorTest):
    def test_any_and_no_credentials_pass(self):
        for client in (dict(key='x', secret='y'), dict(key='a@b', secret='y', token='z')):
            identity = self.any.client('sts', **client).get_caller_identity()
            self.assertEqual((identity['Account'], identity['UserId']), ('123456789012', '123456789012'))
        with Clock(datetime.datetime(2001, 1, 1)):
            self.any.client('sts', key='x', secret='y').get_caller_identity()
        for headers in ({}, {'Authorization': 'Bearer nonsense'}):
            status, body, _ = self.any.request('POST', '/', 'Action=GetCallerIdentity&Version=2011-06-15', headers)
            self.assertEqual((status, '<Account>123456789012</Account>' in body), (200, True))

    def test_known_keys_are_verified(self):
        self.assertEqual(self.any.client('sts').get_caller_identity()['Account'], ACCOUNT)
        self.refused('SignatureDoesNotMatch', 403, self.any.client('sts', secret='x').get_caller_identity)

    def test_unsigned_requests_find_their_service(self):
        cases = (('POST', '/', 'Action=DescribeRegions', {}, '<regionName>us-east-1<'),
                 ('GET', '/?Action=DescribeRegions&Version=2016-11-15', None, {}, '<regionName>us-east-1<'),
                 ('GET', '/?Action=DescribeRegions', None, {'Host': 'ec2.eu-west-1.example.com:80'},
                  '<regionName>eu-west-1<'),
                 ('GET', '/?Action=Nonsense&Version=2016-11-15', None, {}, '<Code>InvalidAction<'),
                 ('GET', '/?Action=Nonsense', None, {}, 'UnknownOperationException'),
                 ('GET', '/', None, {}, 'UnknownOperationException'),
                 ('GET', '/snapshots/snap-0123456789abcdef0/blocks/1?blockToken=t', None, {}, '\1' * 512 * 1024))
        for method, path, body, headers, expected in cases:
            self.assertIn(expected, self.any.request(method, path, body, headers)[1], path)


class ExtraPaths(DoorTest):
    def test_extra_paths_get_the_caller(self):
        path = '/_amid/whoami'
        self.assertEqual(self.server.request('GET', path)[:2], (200, 'nobody us-east-1'))
        signed = self.server.signed('amid', 'GET', path, region='eu-west-1')
        self.assertEqual(self.server.request('GET', path, None, signed)[:2], (200, f'{ACCOUNT} eu-west-1'))
        self.assertEqual(self.any.request('GET', path)[:2], (200, '123456789012 us-east-1'))
        wrong = self.server.signed('amid', 'GET', path, secret='wrong')
        self.assertEqual(self.server.request('GET', path, None, wrong)[0], 403)
        status, body, _ = self.server.request('GET', '/_amid/other')
        self.assertEqual((status, json.loads(body)['Message']), (404, 'there is nothing here'))


class Connections(DoorTest):
    def test_keep_alive(self):
        connection = http.client.HTTPConnection(*self.server.address)
        ports = set()
        for _ in range(20):
            body = b'Action=DescribeRegions&Version=2016-11-15'
            connection.request('POST', '/', body, self.server.signed('ec2', 'POST', '/', body))
            answer = connection.getresponse()
            answer.read()
            self.assertEqual(answer.status, 200)
            ports.add(connection.sock.getsockname())
        connection.close()
        self.assertEqual(len(ports), 1)

    def test_expect_100_continue(self):
        body = b'Action=DescribeRegions&Version=2016-11-15'
        headers = self.server.signed('ec2', 'POST', '/', body)
        lines = [f'{name}: {value}' for name, value in headers.items()]
        with self.server.connect() as connection:
            connection.sendall('\r\n'.join(['POST / HTTP/1.1', 'Host: %s:%d' % self.server.address,
                                            f'Content-Length: {len(body)}', 'Expect: 100-continue', *lines, '', ''])
                               .encode())
            self.assertIn(b' 100 Continue', connection.recv(1000))
            connection.sendall(body)
            self.assertIn(b' 200 OK', connection.recv(1000))

    def test_oversized_bodies(self):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.server.client('ec2').describe_regions(RegionNames=['x' * (2 << 20)])
        self.assertEqual(caught.exception.response['Error']['Code'], 'RequestEntityTooLarge')
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.server.client('ebs').put_snapshot_block(
                SnapshotId='snap-0123456789abcdef0', BlockIndex=3, BlockData=bytes(2 << 20), DataLength=524288,
                Checksum='x', ChecksumAlgorithm='SHA256')
        self.assertEqual(caught.exception.response['Error']['Code'], 'RequestEntityTooLarge')

    def test_long_headers(self):
        query = '/?Action=DescribeRegions' + ''.join(f'&RegionName.{i}=r{i}' for i in range(1, 1501))
        status, body, _ = self.any.request('GET', query)
        self.assertEqual((status, body.count('<regionName>')), (200, 1501))
        for size, status in ((31000, 200), (33000, 431)):
            self.assertEqual(self.any.request('GET', '/?Action=DescribeRegions', None, {'X-Long': 'x' * size})[0], status)

    def test_slow_clients_and_too_many(self):
        with Server('iam', '-', '-', 3, 1) as server:
            slow = [server.connect() for _ in range(3)]
            for connection in slow:
                connection.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nA')
            first = server.client('sts', config={'connect_timeout': 1, 'read_timeout': 20})
            started, served = time.monotonic(), False
            while not served:  # closed or kept waiting while the three hold all places, served once they are cut off
                try:
                    first.get_caller_identity()
                    served = True
                except (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError):
                    self.assertLess(time.monotonic() - started, 10)
            self.assertGreater(time.monotonic() - started, 0.5)
            for connection in slow:
                try:
                    self.assertEqual(connection.recv(1000), b'')
                except ConnectionResetError:
                    pass
                connection.close()

    def test_many_at_once(self):
        failures = []

        def work():
            client = self.server.client('sts')
            try:
                for _ in range(20):
                    client.get_caller_identity()
            except Exception as failure:  # pylint: disable=broad-except
                failures.append(failure)
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


class Tls(DoorTest):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.key, self.certificate = (os.path.join(self.folder.name, name) for name in ('key.pem', 'certificate.pem'))
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days',
                        '2', '-subj', '/CN=amid', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', self.key, '-out',
                        self.certificate], check=True, capture_output=True)

    def tearDown(self):
        self.folder.cleanup()

    def https(self, server, method, path, body, headers):
        """The status of the answer."""
        connection = http.client.HTTPSConnection(*server.address, timeout=20,
                                                 context=ssl.create_default_context(cafile=self.certificate))
        connection.request(method, path, body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    def test_tls(self):
        with Server('iam', self.certificate, self.key) as server:
            self.assertTrue(server.endpoint.startswith('https://'))
            client = server.client('ec2', verify=self.certificate)
            self.assertEqual(client.describe_regions()['Regions'][0]['RegionName'], 'us-east-1')
            data = os.urandom(512 * 1024)
            answer = server.client('ebs', verify=self.certificate).put_snapshot_block(
                SnapshotId='snap-0123456789abcdef0', BlockIndex=3, BlockData=data, DataLength=len(data),
                Checksum=base64.b64encode(hashlib.sha256(data).digest()).decode(), ChecksumAlgorithm='SHA256')
            self.assertEqual(answer['Checksum'], base64.b64encode(hashlib.sha256(data).digest()).decode())
            path, body = '/snapshots/snap-0123456789abcdef0/blocks/0', b'block'
            needed = {'x-amz-Data-Length': '5', 'x-amz-Checksum': 'x', 'x-amz-Checksum-Algorithm': 'SHA256'}
            claim = {'X-Amz-Content-SHA256': 'UNSIGNED-PAYLOAD'}
            for headers in (needed, {**needed, **claim}):
                with unittest.mock.patch.object(botocore.auth.SigV4Auth, 'payload', lambda *_: 'UNSIGNED-PAYLOAD'):
                    headers = server.signed('ebs', 'PUT', path, body, headers)
                self.assertEqual(self.https(server, 'PUT', path, body, headers), 201)
            form = b'Action=DescribeRegions&Version=2016-11-15'
            self.assertEqual(self.https(server, 'POST', '/', form, server.signed('ec2', 'POST', '/', form)), 200)
            self.assertEqual(self.https(server, 'POST', '/', form, server.signed('ec2', 'POST', '/', form, claim)), 401)
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.set_ciphers('DEFAULT@SECLEVEL=0')
            old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
            with self.assertRaises(OSError), server.connect() as plain:
                old.wrap_socket(plain)

    def test_certificate_that_cannot_be_used(self):
        for certificate, key in ((self.certificate, self.certificate), (self.certificate, '/nonexistent'), ('/etc/hostname', self.key)):
            run = subprocess.run([SERVER, 'iam', certificate, key], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual((run.returncode, run.stdout), (1, ''))
            self.assertTrue(run.stderr.strip())


class Cli(DoorTest):
    def aws(self, *arguments, **environment):
        environment = {'PATH': os.environ['PATH'], 'HOME': '/nonexistent', 'AWS_ENDPOINT_URL': self.server.endpoint,
                       'AWS_ACCESS_KEY_ID': KEY, 'AWS_SECRET_ACCESS_KEY': SECRET, 'AWS_REGION': 'us-east-1',
                       'AWS_MAX_ATTEMPTS': '1', **environment}
        return subprocess.run(['/usr/bin/aws', '--endpoint-url', self.server.endpoint, '--output', 'json', *arguments],
                              env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def test_cli(self):
        run = self.aws('sts', 'get-caller-identity')
        self.assertEqual((run.returncode, json.loads(run.stdout or 'null')),
                         (0, {'UserId': ACCOUNT, 'Account': ACCOUNT, 'Arn': f'arn:aws:iam::{ACCOUNT}:root'}), run.stderr)
        run = self.aws('ec2', 'describe-regions', '--region', 'eu-west-1', '--region-names', 'x')
        self.assertEqual([r['RegionName'] for r in json.loads(run.stdout)['Regions']], ['eu-west-1', 'x'], run.stderr)

    def test_cli_uploads_a_block(self):
        data = os.urandom(512 * 1024)
        checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            run = self.aws('ebs', 'put-snapshot-block', '--snapshot-id', 'snap-0123456789abcdef0', '--block-index', '1',
                           '--data-length', str(len(data)), '--checksum', checksum, '--checksum-algorithm', 'SHA256',
                           '--block-data', file.name)
        self.assertEqual((run.returncode, json.loads(run.stdout or '{}').get('Checksum')), (0, checksum), run.stderr)

    def test_cli_errors(self):
        self.assertIn('(DryRunOperation)', self.aws('ec2', 'describe-regions', '--dry-run').stderr)
        self.assertIn('(AuthFailure)', self.aws('ec2', 'describe-regions', AWS_SECRET_ACCESS_KEY='wrong').stderr)
        run = self.aws('ec2', 'describe-vpc-peering-connections')
        self.assertRegex(run.stderr, r'\(UnsupportedOperation\).*DescribeVpcPeeringConnections')


if __name__ == '__main__':
    SERVER = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2, warnings='ignore')
