#!/usr/bin/python3
"""Runs the tests and ends with a line "N passed, N failed".

    tests/run.py --build build [--only NAME] [--layers unit,api,...]

Layers, in order: unit (C, with ASan and UBSan), threads (store and volume with TSan), api (stock clients, dry compute),
crash (kill -9 and power loss), torture (crashes at every operation of a simulated disk), vm (real guests), fuzz (each target for some seconds). A layer stops at nothing: all failures
are listed at the end.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = '/usr/bin/python3'
LAYERS = ['unit', 'threads', 'api', 'crash', 'torture', 'vm', 'fuzz']


class Results:
    def __init__(self):
        self.passed, self.failures, self.skipped = 0, [], 0

    def add(self, name, ok, detail=''):
        if ok:
            self.passed += 1
        else:
            self.failures.append((name, detail))


def run(command, **options):
    print('+', ' '.join(str(part) for part in command), flush=True)
    return subprocess.run(command, cwd=ROOT, **options)


def sanitized_build(name, sanitizers, *options, compiler='clang'):
    """A build folder of its own for a set of sanitizers."""
    build = ROOT / name
    if not (build / 'build.ninja').exists():
        run(['meson', 'setup', name, f'-Db_sanitize={sanitizers}', '-Db_lundef=false', *options], check=True, stdout=subprocess.DEVNULL,
            env=dict(os.environ, CC=compiler))
    run(['ninja', '-C', name, '--quiet'], check=True)
    return build


def meson_tests(build, results, arguments, label):
    log = build / 'meson-logs' / 'testlog.json'
    log.unlink(missing_ok=True)
    environment = dict(os.environ, ASAN_OPTIONS='detect_leaks=1', UBSAN_OPTIONS='halt_on_error=1:print_stacktrace=1')
    # the limits of tests are those of a quiet machine
    run(['meson', 'test', '-C', build.name, '--no-rebuild', '--quiet', '--print-errorlogs', '-t', '8', *arguments], env=environment)
    if not log.exists():
        return
    for line in log.read_text(encoding='utf-8').splitlines():
        test = json.loads(line)
        if test['result'] == 'SKIP':
            results.skipped += 1
        else:
            results.add(f'{label}/{test["name"]}', test['result'] == 'OK', f'see {build.name}/meson-logs/testlog.txt')


def meson_selection(build, suite, only):
    """Names of a suite's tests that have `only` in them; None: all."""
    listed = subprocess.run(['meson', 'test', '-C', build.name, '--list', '--suite', suite], cwd=ROOT, capture_output=True, text=True)
    names = [line.rsplit(' / ', 1)[-1].strip() for line in listed.stdout.splitlines() if line.strip()]
    return [name for name in names if only in name]


def layer_unit(arguments, results):
    build = sanitized_build('build-asan', 'address,undefined')
    selection = meson_selection(build, 'unit', arguments.only) if arguments.only else []
    if not arguments.only or selection:
        meson_tests(build, results, ['--suite', 'unit', *selection], 'unit')
    plain = ROOT / arguments.build
    for suite in ('api', 'plain'):
        selection = meson_selection(plain, suite, arguments.only) if arguments.only else []
        if not arguments.only or selection:
            meson_tests(plain, results, ['--suite', suite, *selection], 'unit')


def layer_threads(arguments, results):
    if arguments.only and 'thread' not in arguments.only:
        return
    build = sanitized_build('build-tsan', 'thread')
    names = [name for name in meson_selection(build, 'unit', '') if name.startswith(('store', 'volume', 'work', 'meta-batches', 'svc-iam_policies', 'svc-identities'))]
    meson_tests(build, results, names, 'threads')


def tiny_image(build):
    """The tiny Quick Start disk, built once: what the guests of the vm and crash layers boot."""
    cache = build / 'cache'
    disk = cache / 'tiny.raw'
    newest = max(path.stat().st_mtime for path in (ROOT / 'images').rglob('*') if path.is_file())
    if not disk.exists() or disk.stat().st_mtime < newest:
        cache.mkdir(exist_ok=True)
        run([ROOT / 'images' / 'build-tiny.sh', disk, cache / 'packages'], check=True)
    return disk


def layer_clients(folder, arguments, results):
    if folder == 'crash':
        build = ROOT / arguments.build
        selection = meson_selection(build, 'crash', arguments.only) if arguments.only else []
        if not arguments.only or selection:
            meson_tests(build, results, ['--suite', 'crash', *selection], 'crash')
    pytest_layer(folder, arguments, results)


def pytest_layer(folder, arguments, results):
    path = ROOT / 'tests' / folder
    if not list(path.rglob('test_*.py')):
        return
    report = ROOT / arguments.build / f'{folder}.xml'
    report.unlink(missing_ok=True)
    command = [PYTHON, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', f'--junitxml={report}', str(path)]
    if arguments.only:
        command += ['-k', arguments.only]
    environment = dict(os.environ, AMID_BUILD=str(ROOT / arguments.build), PYTHONDONTWRITEBYTECODE='1')
    if folder != 'api':
        environment['AMID_TINY_IMAGE'] = str(tiny_image(ROOT / arguments.build))
    finished = run(command, env=environment)
    if finished.returncode not in (0, 1, 5) or not report.exists():
        results.add(folder, False, f'pytest ended with status {finished.returncode}')
        return
    for case in xml.etree.ElementTree.parse(report).iter('testcase'):
        bad = case.find('failure') if case.find('failure') is not None else case.find('error')
        if case.find('skipped') is not None:
            results.skipped += 1
        else:
            name = f'{folder}/{case.get("classname", "").rsplit(".", 1)[-1]}::{case.get("name")}'
            results.add(name, bad is None, '' if bad is None else bad.get('message', '')[:200])


def layer_torture(arguments, results):
    """10,000 crash points or more, of the same seed each time: what it finds is a bug of the change that is tested."""
    if arguments.only and arguments.only not in 'torture':
        return
    tool = ROOT / arguments.build / 'tests' / 'torture' / 'torture'
    finished = run([tool, '--seed', '1', '--points', '10000'], stdout=subprocess.PIPE, text=True)
    print(finished.stdout, end='', flush=True)
    results.add('torture', finished.returncode == 0, 'the lines above say how to repeat it')


def layer_fuzz(arguments, results):
    build = sanitized_build('build-fuzz', 'address,undefined', '-Dfuzz=true', compiler='clang')
    selection = meson_selection(build, 'fuzz', arguments.only) if arguments.only else []
    if not arguments.only or selection:
        meson_tests(build, results, ['--suite', 'fuzz', *selection], 'fuzz')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    parser.add_argument('--only', default='')
    parser.add_argument('--layers', default=','.join(LAYERS))
    arguments = parser.parse_args()
    results = Results()
    for layer in arguments.layers.split(','):
        begun = time.monotonic()
        passed, failed = results.passed, len(results.failures)
        print(f'== {layer}', flush=True)
        try:
            if layer in ('api', 'crash', 'vm'):
                layer_clients(layer, arguments, results)
            else:
                {'unit': layer_unit, 'threads': layer_threads, 'torture': layer_torture, 'fuzz': layer_fuzz}[layer](arguments, results)
        except subprocess.CalledProcessError as error:
            results.add(layer, False, str(error))
        print(f'== {layer}: {results.passed - passed} passed, {len(results.failures) - failed} failed, {time.monotonic() - begun:.0f} s', flush=True)
    for name, detail in results.failures:
        print(f'FAILED {name} {detail}')
    if not results.passed and not results.failures:
        print('no test was run')
        results.add('nothing', False)
    print(f'{results.passed} passed, {len(results.failures)} failed' + (f', {results.skipped} skipped' if results.skipped else ''))
    sys.exit(1 if results.failures else 0)


main()
