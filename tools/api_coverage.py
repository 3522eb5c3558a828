"""The page docs/api-coverage.md: which operations of which AWS service amid answers."""
import textwrap

from api_model import Ops, Reader

INTRODUCTION = '''# API coverage

Generated from `api/` by `tools/apigen coverage`; `tools/import-api` brings the lists of operations in.
An operation that is not implemented is answered with a well-formed error that says so.

| service | protocol | API version | implemented | of |
|---|---|---|---:|---:|
'''


def page(folder):
    text, details = INTRODUCTION, ''
    for path in sorted(folder.glob('*.ops')):
        model, ops = Reader(path.with_suffix('.api')).read(), Ops(path)
        total = len(ops.operations) + len(model.unimplemented)
        text += f'| {model.service} | {model.protocol} | {model.version} | {len(ops.operations)} | {total} |\n'
        details += service(model, ops)
    return text + details


def service(model, ops):
    lines = ['', f'## {model.service}', '', '| operation | access | resource types |', '|---|---|---|']
    for name in sorted(ops.operations):
        access, resources = ops.operations[name]
        lines.append(f'| {name} | {access} | {", ".join(resources)} |')
    if model.unimplemented:
        lines += ['', f'Not implemented ({len(model.unimplemented)}):', '']
        lines += textwrap.wrap(', '.join(sorted(model.unimplemented)), 120, break_on_hyphens=False)
    return '\n'.join(lines) + '\n'
