#!/usr/bin/python3
"""The codecs against botocore: for every operation that amid has, random requests that botocore writes are read back the same, and random
answers that amid writes are read back the same by botocore.

    test_codec_botocore.py CODEC_TOOL OPS-FILE... [--seed N] [--rounds N]
"""
import argparse
import base64
import datetime
import json
import pathlib
import random
import subprocess
import sys
import urllib.parse

try:
    import botocore.parsers
    import botocore.serialize
    import botocore.session
except ImportError:
    sys.exit(77)  # skipped

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / 'tools'))
import api_model  # noqa: E402

ALPHABET = 'abcXYZ019 _-./:=+&?%<>"\'\\\u00e9\u20ac\U0001f600\n\t'
HEADER_ALPHABET = 'abcXYZ019-_./+='


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *fields):
        words = [field if isinstance(field, str) else base64.b64encode(field).decode() or '-' for field in fields]
        self.process.stdin.write(' '.join(words) + '\n')
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip('\n')
        if not answer:
            raise AssertionError(f'the codec tool died of {words[:3]}')
        return answer.split(' ')

    def close(self):
        self.process.stdin.close()
        if self.process.wait() != 0:
            raise AssertionError('the codec tool failed')


def unfield(text):
    return b'' if text == '-' else base64.b64decode(text)


class Generator:
    """Random values of a botocore shape, within its limits. What amid's (maybe newer) model requires is always there."""

    def __init__(self, chance, model):
        self.random = chance
        self.required = {(shape.name, member.name) for shape in model.shapes.values() for member in shape.members if member.required}

    def value(self, shape, depth=0, outside=False):
        return getattr(self, shape.type_name if shape.type_name != 'long' else 'integer')(shape, depth, outside)

    def structure(self, shape, depth, outside):
        found = {}
        for name, member in shape.members.items():
            required = name in shape.required_members or (shape.name, name) in self.required
            deep = member.type_name in ('structure', 'list') and depth > 4
            if required or (not deep and self.random.random() < (0.6 if depth < 3 else 0.3)):
                found[name] = self.value(member, depth + 1, 'location' in member.serialization)
        scalars = [name for name in shape.members if shape.members[name].type_name not in ('structure', 'list')]
        if depth and not found and scalars:  # an empty structure cannot be told from an absent one
            name = self.random.choice(scalars)
            found[name] = self.value(shape.members[name], depth + 1)
        return found

    def list(self, shape, depth, outside):
        count = self.random.randint(1, 3)
        return [self.value(shape.member, depth + 1, outside) for _ in range(count)]

    def map(self, shape, depth, outside):
        return {self.string(shape.key, depth, outside): self.value(shape.value, depth + 1) for _ in range(self.random.randint(1, 3))}

    def string(self, shape, depth, outside):
        if shape.enum:
            return self.random.choice(shape.enum)
        low = max(1, shape.metadata.get('min', 1))
        size = self.random.randint(low, max(low, min(shape.metadata.get('max', 12), low + 12)))
        alphabet = HEADER_ALPHABET if outside else ALPHABET
        return 'x' + ''.join(self.random.choice(alphabet) for _ in range(size - 1))

    def integer(self, shape, depth, outside):
        low = int(shape.metadata.get('min', -5))
        return self.random.randint(low, int(min(shape.metadata.get('max', low + 99), low + 99)))

    def double(self, shape, depth, outside):
        return self.random.choice([0.5, 1.0, 3.25, 1e6, 0.1])

    float = double

    def boolean(self, shape, depth, outside):
        return self.random.random() < 0.5

    def timestamp(self, shape, depth, outside):
        return datetime.datetime.fromtimestamp(self.random.randint(0, 2 * 10**9), datetime.timezone.utc)

    def blob(self, shape, depth, outside):
        return bytes(self.random.randrange(256) for _ in range(self.random.randint(1, 9)))


def is_empty(value):
    return value is None or value == {} or value == []


def as_json(value, shape, request):
    """The JSON form that src/shape/json.h defines, by wire names. In requests what is empty cannot be told from what is absent."""
    if shape.type_name == 'structure':
        found = {}
        for name, member in value.items():
            target = shape.members[name]
            if 'location' in target.serialization or shape.serialization.get('payload') == name:
                continue
            wire = as_json(member, target, request)
            if not (request and is_empty(wire)):
                found[target.serialization.get('name', name)] = wire
        return found
    if shape.type_name == 'list':
        return [as_json(item, shape.member, request) for item in value]
    if shape.type_name == 'map':
        return {key: as_json(item, shape.value, request) for key, item in value.items()}
    if shape.type_name == 'timestamp':
        return int(value.timestamp())
    if shape.type_name == 'blob':
        return base64.b64encode(value).decode()
    return value


def plain(value):
    """An answer as botocore reads it, without what differs only in form."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if not is_empty(plain(item))}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    return value.read() if hasattr(value, 'read') else value


class Service:
    def __init__(self, ops, tool, chance):
        self.name = ops.stem
        self.tool, self.generator = tool, Generator(chance, api_model.Reader(ops.with_suffix('.api')).read())
        self.model = botocore.session.get_session().get_service_model(self.name)
        self.names = sorted(api_model.Ops(ops).operations)
        protocol = self.model.metadata['protocol']
        self.serializer = botocore.serialize.create_serializer(protocol)
        self.parser = botocore.parsers.create_parser(protocol)

    def outside(self, params, shape):
        return {name: value for name, value in params.items() if 'location' in shape.members[name].serialization}

    def request(self, operation):
        shape = operation.input_shape
        if shape is None:
            return
        params = self.generator.value(shape)
        request = self.serializer.serialize_to_request(params, operation)
        body, query = request['body'], request.get('query_string') or ''
        if isinstance(body, dict):
            body = urllib.parse.urlencode(body, quote_via=urllib.parse.quote)
        if isinstance(query, dict):
            query = urllib.parse.urlencode(query, doseq=True)
        headers = ''.join(f'{name}: {value}\n' for name, value in request['headers'].items())
        path, _, more = request['url_path'].partition('?')
        answer = self.tool.ask('decode', self.name, request['method'], path.encode(), (query or more).encode(), headers.encode(),
                               body.encode() if isinstance(body, str) else body)
        assert answer[0] == 'ok', (operation.name, answer, params)
        assert answer[1] == operation.name, answer
        got = json.loads(unfield(answer[2]))
        assert got == as_json(params, shape, True), (operation.name, got, as_json(params, shape, True))
        got = [tuple(line.split('=', 1)) for line in unfield(answer[3]).decode().splitlines()]
        for name, value in self.outside(params, shape).items():
            wanted = [str(item) for item in (value if isinstance(value, list) else [value])]
            found = [text for key, text in got if key == name]
            assert found == wanted, (operation.name, name, found, value)

    def answer(self, operation):
        shape = operation.output_shape
        if shape is None or shape.serialization.get('payload'):
            return
        output = self.generator.value(shape)
        answer = self.tool.ask('encode', self.name, operation.name, json.dumps(as_json(output, shape, False)).encode(),
                               urllib.parse.urlencode(self.outside(output, shape)).encode())
        assert answer[0] == 'ok', (operation.name, answer)
        headers = dict(line.split(': ', 1) for line in unfield(answer[2]).decode().splitlines())
        response = {'status_code': int(answer[1]), 'headers': botocore.compat.HTTPHeaders.from_dict(headers),
                    'body': unfield(answer[3])}
        parsed = self.parser.parse(response, shape)
        parsed.pop('ResponseMetadata', None)
        assert plain(parsed) == plain(output), (operation.name, plain(parsed), plain(output), response['body'])

    def run(self, rounds):
        for name in self.names:
            if name not in self.model.operation_names:
                continue  # newer than this botocore
            operation = self.model.operation_model(name)
            for _ in range(rounds):
                self.request(operation)
                self.answer(operation)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('tool')
    parser.add_argument('ops', nargs='+', type=pathlib.Path)
    parser.add_argument('--seed', type=int, default=random.randrange(2**32))
    parser.add_argument('--rounds', type=int, default=20)
    arguments = parser.parse_args()
    print(f'seed {arguments.seed}')
    tool = Tool(arguments.tool)
    for ops in arguments.ops:
        service = Service(ops, tool, random.Random(arguments.seed))
        service.run(arguments.rounds)
        print(f'{service.name}: {len(service.names)} operations, {arguments.rounds} rounds')
    tool.close()


main()
