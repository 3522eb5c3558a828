"""The model behind api/*.api, api/*.ops and api/records.api: read from those files, nothing else.

The syntax of .api files is described at the top of tools/apigen.
"""
import re

SCALARS = ('string', 'integer', 'long', 'float', 'double', 'boolean', 'timestamp', 'blob')
ACCESS = ('read', 'write', 'list', 'tagging', 'permissions')
LOCATIONS = ('uri', 'querystring', 'header', 'payload')

# Words that cannot be the name of a C field: keywords, and macros that gcc and clang define in gnu17.
C_RESERVED = set('''auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union unsigned void volatile
    while asm typeof bool true false linux unix i386 errno'''.split())


def snake(name):
    """The C name of a model name: ImageIds -> image_ids, VPCZone -> vpc_zone, Default -> default_."""
    text = name.replace('VCpu', 'Vcpu').replace('MBps', 'Mbps')
    text = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', text)
    text = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', text)
    text = re.sub(r'[^A-Za-z0-9]', '_', text).lower()
    return text + '_' if text in C_RESERVED else text


class ModelError(Exception):
    pass


class Member:
    def __init__(self, name, type_name, options):
        self.name = name
        self.type_name = type_name
        self.wire = options.get('wire', name)
        self.query = options.get('query')
        self.location = options.get('location')
        self.format = options.get('format')
        self.required = 'required' in options
        self.flattened = 'flattened' in options
        self.token = 'token' in options
        self.sensitive = 'sensitive' in options
        self.keep_empty = 'keepempty' in options
        if self.location not in (None,) + LOCATIONS:
            raise ModelError(f'location={self.location} of {name}')


class Shape:
    def __init__(self, kind, name, options):
        self.kind = kind            # one of SCALARS, 'structure', 'list', 'map'
        self.name = name
        self.members = []           # structures
        self.element = None         # lists: type name of an item; maps: of a value
        self.element_name = options.get('element')
        self.flattened = 'flattened' in options
        self.sensitive = 'sensitive' in options
        self.min = options.get('min')
        self.max = options.get('max')
        self.pattern = options.get('pattern')
        self.enum = []
        self.record = False         # a record kind, with ...
        self.indexes = []           # ... (name, path, unique)
        self.generated = False      # stands for a shape that the model does not have


class Operation:
    def __init__(self, name, method, uri, options):
        self.name = name
        self.method = method
        self.uri = uri
        self.status = int(options.get('status', 0))
        self.input = options.get('input')
        self.output = options.get('output')
        self.wrapper = options.get('wrapper')


class Model:
    """What one .api file says."""

    def __init__(self, service):
        self.service = service
        self.protocol = self.version = self.namespace = self.target = self.json = None
        self.operations = {}
        self.unimplemented = []
        self.shapes = {}            # name -> Shape, in file order

    def type(self, name):
        """The shape of a type name: a declared shape, or a plain scalar."""
        if name in self.shapes:
            return self.shapes[name]
        if name in SCALARS:
            return Shape(name, name, {})
        raise ModelError(f'{self.service}: unknown type {name}')

    def check(self):
        for shape in self.shapes.values():
            for member in shape.members:
                self.type(member.type_name)
            if shape.kind in ('list', 'map'):
                self.type(shape.element)
            fields = [snake(member.name) for member in shape.members]
            if len(set(fields)) != len(fields):
                raise ModelError(f'{shape.name}: two members have the same C name')
            for _, path, _ in shape.indexes:
                self._check_path(shape, path)
        for operation in self.operations.values():
            for name in (operation.input, operation.output):
                if name and self.type(name).kind != 'structure':
                    raise ModelError(f'{operation.name}: {name} is not a structure')

    def _check_path(self, shape, path):
        for name in path.split('.'):
            found = [member for member in shape.members if member.name == name]
            if not found:
                raise ModelError(f'index path {path}: {shape.name} has no member {name}')
            shape = self.type(found[0].type_name)
            if shape.kind == 'list':
                shape = self.type(shape.element)
        if shape.kind in ('structure', 'list', 'map', 'blob'):
            raise ModelError(f'index path {path} does not end at a plain value')

    def complete_operations(self):
        """Gives every operation two structures: an empty one for an input or output that the model does not have."""
        for operation in self.operations.values():
            operation.input = operation.input or self._empty(operation.name + 'Request')
            operation.output = operation.output or self._empty(operation.name + 'Result')

    def _empty(self, name):
        if name in self.shapes:
            raise ModelError(f'{name} exists already')
        self.shapes[name] = Shape('structure', name, {})
        self.shapes[name].generated = True
        return name


def parse_options(words):
    options = {}
    for word in words:
        key, equals, value = word.partition('=')
        options[key] = value if equals else True
    return options


def split_pattern(line):
    """A pattern may hold spaces, so it is the last option of its line."""
    before, found, pattern = line.partition(' pattern=')
    options = {'pattern': pattern} if found else {}
    return before.split(), options


class Reader:
    """Reads a .api file: a line that begins in the first column opens a declaration, indented lines belong to it."""

    KEYWORDS = {'service', 'protocol', 'version', 'namespace', 'target', 'json', 'operation', 'unimplemented', 'structure', 'record',
                'list', 'map'} | set(SCALARS)

    def __init__(self, path):
        self.path = path
        self.model = Model(None)
        self.current = None

    def read(self):
        with open(self.path, encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                text = line.rstrip()
                if not text or text.lstrip().startswith('#'):
                    continue
                try:
                    (self.indented if text[0] in '\t ' else self.opening)(text)
                except (ModelError, ValueError, IndexError) as error:
                    raise ModelError(f'{self.path}:{number}: {error}') from error
        self.model.check()
        return self.model

    def opening(self, text):
        words, pattern = split_pattern(text)
        keyword, rest = words[0], words[1:]
        if keyword not in self.KEYWORDS:
            raise ModelError(f'unknown declaration {keyword}')
        self.current = None
        if keyword in ('service', 'protocol', 'version', 'namespace', 'target', 'json'):
            setattr(self.model, keyword, rest[0])
        elif keyword == 'operation':
            operation = Operation(*rest[:3], parse_options(rest[3:]))
            self.model.operations[operation.name] = operation
        elif keyword == 'unimplemented':
            self.current = self.model.unimplemented
        else:
            self.open_shape(keyword, rest, pattern)

    def open_shape(self, keyword, rest, pattern):
        name, rest = rest[0], rest[1:]
        kind = 'structure' if keyword == 'record' else keyword
        element = rest.pop(0) if kind in ('list', 'map') else None
        shape = Shape(kind, name, {**parse_options(rest), **pattern})
        shape.element = element
        shape.record = keyword == 'record'
        self.add(shape)
        self.current = shape

    def add(self, shape):
        if shape.name in self.model.shapes or shape.name in SCALARS:
            raise ModelError(f'{shape.name} is declared twice')
        self.model.shapes[shape.name] = shape

    def indented(self, text):
        words = text.split()
        if self.current is None:
            raise ModelError('indented line belongs to nothing')
        if isinstance(self.current, list):
            self.current.extend(words)
        elif self.current.kind == 'structure':
            self.member(words)
        elif self.current.kind == 'string':
            self.current.enum.extend(words)
        else:
            raise ModelError(f'{self.current.kind} {self.current.name} takes no indented lines')

    def member(self, words):
        shape = self.current
        if words[0] == 'index' and shape.record:
            unique = words[3:] == ['unique']
            if words[3:] and not unique:
                raise ModelError('index NAME PATH [unique]')
            shape.indexes.append((words[1], words[2], unique))
            return
        name, type_name, rest = words[0], words[1], words[2:]
        if type_name in ('list', 'map') and rest[:1] == ['of']:
            type_name, rest = self.collection(type_name, rest[1]), rest[2:]
        shape.members.append(Member(name, type_name, parse_options(rest)))

    def collection(self, kind, element):
        """`list of X` declares the list X_list once."""
        name = f'{element}_{kind}'
        if name not in self.model.shapes:
            shape = Shape(kind, name, {})
            shape.element = element
            self.model.shapes[name] = shape
        return name


class Ops:
    """What one .ops file says."""

    def __init__(self, path):
        self.operations = {}        # name -> (access, [resource types])
        self.open = set()           # shapes whose limits are left out
        self.keep_empty = set()     # "STRUCTURE.MEMBER" whose empty value is not an absent one
        with open(path, encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                words = line.split('#')[0].split()
                if not words:
                    continue
                if words[0] == 'open':
                    self.open.update(words[1:])
                elif words[0] == 'keepempty':
                    self.keep_empty.update(words[1:])
                elif len(words) < 2 or words[1] not in ACCESS or words[0] in self.operations:
                    raise ModelError(f'{path}:{number}: NAME ACCESS RESOURCE-TYPE..., each name once')
                else:
                    self.operations[words[0]] = (words[1], words[2:])
