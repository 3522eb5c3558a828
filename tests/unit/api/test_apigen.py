#!/usr/bin/python3
"""tools/apigen and the syntax of .api files: what is refused, how names look in C, that recursive shapes compile."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / 'tools'))
import api_model  # noqa: E402


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def read(self, text):
        path = self.path / 'test.api'
        path.write_text(text)
        return api_model.Reader(path).read()


class Syntax(Folder):
    def test_members_keep_what_is_said_of_them(self):
        model = self.read('service t\nstructure S\n\tName string wire=name required token\n\tIds list of string flattened\n')
        name, ids = model.shapes['S'].members
        self.assertEqual((name.wire, name.required, name.token, name.flattened), ('name', True, True, False))
        self.assertEqual((ids.type_name, ids.flattened), ('string_list', True))

    def test_a_pattern_may_hold_spaces(self):
        model = self.read('service t\nstring S max=3 pattern=^a b=c$\n\tx y\n')
        self.assertEqual((model.shapes['S'].pattern, model.shapes['S'].max, model.shapes['S'].enum), ('^a b=c$', '3', ['x', 'y']))

    def test_mistakes_are_refused_with_their_line(self):
        for text, message in (('nonsense\n', ':1: unknown declaration'),
                              ('structure S\n\tA Nothing\n', 'unknown type Nothing'),
                              ('structure S\nstructure S\n', ':2: S is declared twice'),
                              ('structure S\n\tFooBar string\n\tFoo-Bar string\n', 'same C name'),
                              ('structure S\n\tA string location=moon\n', ':2: location=moon'),
                              ('list L string\n\tA string\n', 'takes no indented lines'),
                              ('record r\n\ta string\n\tindex i b\n', 'no member b'),
                              ('record r\n\ta list of string\n\tindex i a uniq\n', 'index NAME PATH'),
                              ('record r\n\ts t\n\tindex i s\nstructure t\n\ta string\n', 'does not end at a plain value'),
                              ('operation O POST / input=string\n', 'not a structure'),
                              ('\tA string\n', 'belongs to nothing')):
            with self.subTest(text), self.assertRaises(api_model.ModelError) as caught:
                self.read(text)
            self.assertIn(message, str(caught.exception))

    def test_index_paths_go_through_lists(self):
        model = self.read('record r\n\ts list of t\n\tindex i s.a unique\nstructure t\n\ta string\n')
        self.assertEqual(model.shapes['r'].indexes, [('i', 's.a', True)])

    def test_c_names(self):
        for name, expected in (('ImageIds', 'image_ids'), ('SSEType', 'sse_type'), ('Ipv6Address', 'ipv6_address'),
                               ('Default', 'default_'), ('VCpuInfo', 'vcpu_info'), ('x-y', 'x_y'), ('KMSKeyId', 'kms_key_id')):
            self.assertEqual(api_model.snake(name), expected)


class Generated(Folder):
    API = '''service t
protocol rest-json
version 1
operation GetThing GET /things input=Node
operation Ping POST /ping
structure Node
	Child Node
	Children list of Node
	Named map of Node
	Deep map of Node_list
	Text string wire=a"b\\c
	Default Kind
string Kind pattern=what??( is "this"
	x
unimplemented
	Other
'''

    def generate(self, ops):
        (self.path / 't.api').write_text(self.API)
        (self.path / 't.ops').write_text(ops)
        (self.path / 'api').mkdir(exist_ok=True)
        return subprocess.run([ROOT / 'tools/apigen', 'service', self.path / 't.api', self.path / 't.ops', self.path / 'api'],
                              capture_output=True, text=True, check=False)

    def test_recursive_shapes_and_odd_names_compile(self):
        self.assertEqual(self.generate('GetThing read\nPing write a b\n').returncode, 0)
        for source in ('t_shapes.c', 't_operations.c'):
            subprocess.run(['cc', '-std=gnu17', '-Wall', '-Wextra', '-Werror', '-Wno-unused-parameter', '-Wno-missing-field-initializers',
                            f'-I{ROOT}/src', f'-I{self.path}', '-fsyntax-only', self.path / 'api' / source], check=True)

    def test_a_json_service_has_its_target(self):
        self.API = self.API.replace('protocol rest-json', 'protocol json\ntarget Thing_2020\njson 1.0')
        self.assertEqual(self.generate('GetThing read\nPing write\n').returncode, 0)
        source = (self.path / 'api' / 't_operations.c').read_text()
        for line in ('.protocol = PROTOCOL_JSON,', '.target = "Thing_2020",', '.json_version = "1.0",'):
            self.assertIn(line, source)

    def test_operations_and_ops_must_agree(self):
        result = self.generate('GetThing read\n')
        self.assertNotEqual(result.returncode, 0)
        self.assertIn('Ping', result.stderr)

    def test_access_must_be_known(self):
        self.assertIn('t.ops:1', self.generate('GetThing look\n').stderr)


unittest.main()
