#!/usr/bin/python3
"""Benchmarks through the APIs that users have; prints one table: measure, amid, peer, ratio (amid/peer), aim.

    tests/bench/run.py [--build build] [--sections start,requests,upload,guests,volumes,accounting,policy,authorize,iam,audit]

start, requests   beside moto_server, where there is one
upload            `amid import` (StartSnapshot, blocks in shared memory, CompleteSnapshot) beside qemu-img and cp of the same file, each to the disk
guests            real guests of the tiny image: launch, capture, and what both add in bytes; needs root and QEMU
volumes           bench_volume.py: NBD beside nbdkit's file plugin and qemu-nbd; prints a table of its own
accounting        bench_accounting.c: a store of 1,000,000 snapshots (AMID_BENCH_SNAPSHOTS: how many); takes about 2 GB of disk and a minute
iam               bench_iam.c: a user with 20 policies, collected and evaluated
policy            bench_policy.c: decisions about a user with 20 policies; there is no peer in Debian to put beside it
authorize         bench_authorize.c: what asking for permission costs a call
audit             bench_audit.c: what recording costs a call; LookupEvents over 1,000,000 records (AMID_BENCH_RECORDS: how many); takes about 1.5 GB of disk

Figures only: nothing here fails because something is slow.
"""
import argparse
import datetime
import http.client
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MIB = 1 << 20
SIGNED = {'Authorization': 'AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/{}/aws4_request, SignedHeaders=host, Signature=' + '0' * 64,
    'Content-Type': 'application/x-www-form-urlencoded'}


class Table:
    def __init__(self):
        self.row('measure', 'amid', 'peer', 'ratio', 'aim')
        self.row('-' * 62, '-' * 14, '-' * 26, '-' * 6, '-' * 16)

    @staticmethod
    def row(measure, amid, peer='-', ratio='-', aim='-'):
        print(f'| {measure:62} | {amid:>14} | {peer:>26} | {ratio:>6} | {aim:>16} |', flush=True)

    def compare(self, measure, amid, peer, unit, aim='-', peer_name='', digits=0):
        """`peer` None: there is none here."""
        text = 'no peer here' if peer is None else f'{peer_name} {peer:,.{digits}f} {unit}'
        self.row(measure, f'{amid:,.{digits}f} {unit}', text, f'{amid / peer:.2f}' if peer else '-', aim)


def resident_mib(pid):
    status = pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii')
    return int(re.search(r'VmRSS:\s+(\d+)', status).group(1)) / 1024


def allocated(folder):
    return sum(path.stat().st_blocks * 512 for path in pathlib.Path(folder).rglob('*') if path.is_file())


def wait_answer(port, path, process, limit=60):
    """Seconds until the first answer; None: the process ended or does not answer."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < limit and process.poll() is None:
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=5)
        try:
            connection.request('GET', path)
            connection.getresponse().read()
            return time.perf_counter() - begun
        except OSError:
            time.sleep(0.0005)
        finally:
            connection.close()
    return None


class Started:
    """A server process, from its start to its first answer."""

    def __init__(self, make_command, path, folder=None):
        self.own_folder = None if folder else tempfile.mkdtemp(prefix='amid-bench-')
        self.folder, self.port = folder or self.own_folder, harness.free_port()
        begun = time.perf_counter()
        self.process = subprocess.Popen(make_command(self.folder, self.port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.answers = wait_answer(self.port, path, self.process) is not None
        self.seconds = time.perf_counter() - begun

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        if self.own_folder:
            shutil.rmtree(self.own_folder)


def start_amid(build, folder=None):
    return Started(lambda folder, port: [build / 'amid', 'serve', '--data', folder + '/data', '--listen', f'127.0.0.1:{port}', '--auth', 'any'],
        '/_amid/health', folder)


def start_moto():
    """None if it is not installed, or does not run."""
    program = shutil.which('moto_server')
    if not program:
        return None
    moto = Started(lambda folder, port: [program, '-H', '127.0.0.1', '-p', str(port)], '/')
    if moto.answers:
        return moto
    moto.__exit__()
    return None


def bench_start(build, table):
    first, again = [], []
    for _ in range(5):
        with tempfile.TemporaryDirectory(prefix='amid-bench-') as folder:
            with start_amid(build, folder) as amid:
                first.append(amid.seconds * 1000)
            with start_amid(build, folder) as amid:
                again.append(amid.seconds * 1000)
                time.sleep(1)  # idle
                memory = resident_mib(amid.process.pid)
    moto_time = moto_memory = None
    moto = start_moto()
    if moto:
        with moto:
            moto_time, moto_memory = moto.seconds * 1000, resident_mib(moto.process.pid)
    table.compare('start to first answer, empty store (median of 5)', statistics.median(again), moto_time, 'ms', '<= 30 ms', 'moto')
    table.row('... the very first, which makes the data folder', f'{statistics.median(first):.0f} ms')
    table.compare('idle resident memory', memory, moto_memory, 'MiB', '<= 16 MiB', 'moto', 1)


def requests_a_second(port, service, body, seconds=3):
    headers = dict(SIGNED, Authorization=SIGNED['Authorization'].format(service))
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        connection.request('POST', '/', body, headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f'{body}: status {answer.status}')
        count += 1
    connection.close()
    return count / seconds


def bench_requests(build, table):
    requests = (('GetCallerIdentity', 'sts', 'Action=GetCallerIdentity&Version=2011-06-15'),
        ('DescribeImages, own (none)', 'ec2', 'Action=DescribeImages&Version=2016-11-15&Owner.1=self'))
    moto = start_moto()
    with start_amid(build) as amid:
        for name, service, body in requests:
            rate = requests_a_second(amid.port, service, body)
            peer = requests_a_second(moto.port, service, body) if moto else None
            table.compare(f'{name}: one Python client, keep-alive', rate, peer, '/s', '-', 'moto')
    if moto:
        moto.__exit__()


def run_amid(server, *words):
    environment = dict(os.environ, AWS_ENDPOINT_URL=server.endpoint, AWS_ACCESS_KEY_ID='test', AWS_SECRET_ACCESS_KEY='test', AWS_REGION=harness.REGION)
    done = subprocess.run([harness.BUILD / 'amid', *words], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.split()[-1]


def random_file(path, size):
    with open(path, 'wb') as file:
        for _ in range(size // MIB):
            file.write(os.urandom(MIB))
        os.fsync(file.fileno())
    return path


def bench_upload(server, table):
    """Everything to the disk: what amid has acknowledged is durable, so the peers are synced as well."""
    size, folder = 256 * MIB, server.folder
    disk = random_file(folder / 'random', size)

    def timed(function):
        begun = time.perf_counter()
        function()
        return size / MIB / (time.perf_counter() - begun)

    def copied(*command):
        subprocess.run([*command, disk, folder / 'copy'], check=True)
        subprocess.run(['sync', folder / 'copy'], check=True)
        os.unlink(folder / 'copy')

    rates = {'amid': [], 'qemu-img': [], 'cp': []}
    for turn in range(3):  # in turn, so that noise meets all of them
        rates['qemu-img'].append(timed(lambda: copied('qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2')))
        rates['cp'].append(timed(lambda: copied('cp')))
        # other bytes each time: known blocks are not written again
        random_file(disk, size)
        rates['amid'].append(timed(lambda: run_amid(server, 'import', str(disk), '--name', f'random-{turn}')))
    best = {name: max(values) for name, values in rates.items()}
    for peer in ('qemu-img', 'cp'):
        table.compare('import of 256 MiB (`amid import`), best of 3', best['amid'], best[peer], 'MiB/s', '-', peer)
    os.unlink(disk)


class Log:
    """The server's log, as (time in s, event, fields)."""

    def __init__(self, server):
        self.path = server.log

    def lines(self, event, **fields):
        found = []
        for line in self.path.read_text(errors='replace').splitlines():
            got = dict(re.findall(r'(\w+)=(\S+)', line))
            if got.get('event') == event and all(got.get(name) == value for name, value in fields.items()):
                stamp = datetime.datetime.strptime(got['time'], '%Y-%m-%dT%H:%M:%S.%fZ').replace(tzinfo=datetime.timezone.utc)
                found.append((stamp.timestamp(), got))
        return found

    def wait(self, event, **fields):
        return harness.wait_for(lambda: self.lines(event, **fields), 300, f'{event} {fields}')[0]


def bench_launch(place, table):
    """The machines that are launched; one at a time boots, as otherwise they wait for each other."""
    log, times, bare, booted = Log(place.server), [], [], []
    for _ in range(3):
        begun = time.time()
        clone = place.launch(place.image)
        times.append((log.wait('machine-started', id=clone.id)[0] - begun) * 1000)
        volume = clone.describe()['BlockDeviceMappings'][0]['Ebs']['VolumeId']
        folder = place.server.region_folder('volumes') / volume
        bare.append(allocated(folder))
        clone.wait_ssh()
        booted.append(allocated(folder))
        place.ec2.terminate_instances(InstanceIds=[clone.id])
        clone.wait_state('terminated')
    table.row('run-instances: call to QEMU started (median of 3)', f'{statistics.median(times):.0f} ms', aim='<= 150 ms')
    table.row('a further launch adds, QEMU started (median)', f'{statistics.median(bare) / MIB:.2f} MiB', aim='< 1 MiB')
    table.row('... and once it has booted (its own first writes)', f'{statistics.median(booted) / MIB:.2f} MiB')


def store_bytes(server):
    return server.status()['store_bytes']


def create_image(place, name, **options):
    """The image's two log lines: captured and settled."""
    image = place.ec2.create_image(InstanceId=place.guest.id, Name=name, **options)['ImageId']
    log = Log(place.server)
    settled = log.wait('image-settled', image=image)
    return log.wait('image-captured', image=image), settled


def bench_capture(place, table):
    write = 'dd if=/dev/urandom of=/{} bs=1M count={} 2>/dev/null && sync'
    create_image(place, 'base', NoReboot=True)
    place.guest.ssh(write.format('fresh', 256))
    captured, settled = create_image(place, 'fresh', NoReboot=True)
    table.row('create-image, 256 MiB of fresh data: freeze to available', f'{settled[0] - captured[0]:.2f} s', aim='<= 1.5 s')
    before = store_bytes(place.server)
    place.guest.ssh(write.format('changed', 64))
    create_image(place, 'changed', NoReboot=True)
    added = store_bytes(place.server) - before
    table.row('an image after 64 MiB were written adds', f'{added / MIB:.1f} MiB', ratio=f'{added / 64 / MIB:.2f}', aim='<= 1.10 x 64 MiB')


def bench_freeze(place, table):
    place.guest.ssh('setsid sh -c "while :; do dd if=/dev/zero of=/load bs=64k count=256 conv=fsync; done" >/dev/null 2>&1 </dev/null &')
    times = [int(create_image(place, f'load-{number}', NoReboot=True)[0][1]['freeze_ms']) for number in range(20)]
    place.guest.ssh('pkill -f "sh -c while"; true')
    table.row('freeze of a disk that a guest writes to: median, worst of 20', f'{statistics.median(times):.0f}, {max(times)} ms', aim='<= 20 ms (p99)')


def bench_guests(server, table):
    disk = pathlib.Path(os.environ.get('AMID_TINY_IMAGE', harness.BUILD / 'tiny.raw'))
    if not disk.exists():
        subprocess.run([ROOT / 'images' / 'build-tiny.sh', disk, harness.BUILD / 'tiny-cache'], check=True)
    place = guest.Place(server, disk)
    bench_launch(place, table)
    bench_capture(place, table)
    bench_freeze(place, table)


def with_server(compute, function, table):
    server = harness.Server(tempfile.mkdtemp(prefix='amid-bench-'), compute).start()
    try:
        function(server, table)
    finally:
        server.clean_up()
        shutil.rmtree(server.folder)


def bench_accounting(build, table):
    snapshots = os.environ.get('AMID_BENCH_SNAPSHOTS', '1000000')
    with tempfile.TemporaryDirectory(prefix='amid-bench-') as folder:
        done = subprocess.run([build / 'tests/bench/bench-accounting', folder + '/store', snapshots], check=True, capture_output=True, text=True)
    figures = {name: float(value) for name, value, _ in (line.split() for line in done.stdout.splitlines())}
    beside = f'beside {int(snapshots):,} snapshots'
    table.row(f'open a store, {beside}', f'{figures["open"]:.1f} ms', aim='< 1 s')
    for name, what in (('account', 'what is one alone'), ('delete', 'delete one')):
        table.row(f'{what}, {beside} (median, worst of 40)', f'{figures[name + "-median"]:.1f}, {figures[name + "-max"]:.1f} ms', aim='<= 5 ms')
    table.row(f'delete 40 at once, each, {beside}', f'{figures["delete-together"]:.2f} ms')
    table.row('count all references anew, as after a crash', f'{figures["count-all"] / 1000:.1f} s')
    table.row('mark and sweep of everything', f'{figures["sweep-everything"] / 1000:.1f} s')
    for name, what in (('together', 'side by side'), ('scattered', 'each in another page')):
        table.row(f'diff of two full 16 TiB trees, 1,000 changes {what}', f'{figures["diff-" + name + "-median"]:.1f} ms', aim='<= 10 ms')


def bench_iam(build, table):
    with tempfile.TemporaryDirectory(prefix='amid-bench-') as folder:
        done = subprocess.run([build / 'tests/bench/bench-iam', folder + '/meta'], check=True, capture_output=True, text=True)
    figures = {name: float(value) / 1000 for name, value, _ in (line.split() for line in done.stdout.splitlines())}
    table.row('20 policies of a user, collected (median)', f'{figures["collect"]:.2f} us')
    table.row('... and evaluated', f'{figures["collect-evaluate"]:.2f} us', aim='<= 20 us')
    table.row('... collected after the user has changed', f'{figures["changed"]:.0f} us')
    table.row('... collected for the first time, compiled', f'{figures["first"]:.0f} us')


def bench_policy(build, table):
    done = subprocess.run([build / 'tests/bench/bench-policy'], check=True, capture_output=True, text=True)
    figures = {name: float(value) for name, value, _ in (line.split() for line in done.stdout.splitlines())}
    for name, what in (('allowed-by-last', 'the last allows'), ('conditions-of-all', 'conditions of all'), ('nothing-matches', 'none is about it')):
        table.row(f'decide by 20 policies, {what} (median)', f'{figures[name]:.2f} us', aim='< 20 us')
    table.row('compile a policy of five statements (median)', f'{figures["compile"]:.1f} us')


def bench_authorize(build, table):
    done = subprocess.run([build / 'tests' / 'bench' / 'bench-authorize'], check=True, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        name, microseconds = line.split('\t')
        table.row(f'permission for {name}', f'{microseconds} us', aim='<= 20 us' if 'Describe' in name else '-')


def bench_audit(build, table):
    records = os.environ.get('AMID_BENCH_RECORDS', '1000000')
    done = subprocess.run([build / 'tests' / 'bench' / 'bench-audit', records], check=True, stdout=subprocess.PIPE, text=True)
    for line in done.stdout.splitlines():
        name, figure, unit = line.split('\t')
        table.row(f'audit trail: {name}', f'{figure} {unit}', aim='< 1000 ms' if name.startswith('LookupEvents') else '-')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default=ROOT / 'build', type=pathlib.Path)
    parser.add_argument('--sections', default='start,requests,upload,guests,volumes,accounting,policy,authorize,iam,audit')
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    os.environ['AMID_BUILD'] = str(build)
    sys.path.insert(0, str(ROOT / 'tests' / 'crash'))
    global harness, guest
    import harness
    import guest
    wanted, table = arguments.sections.split(','), Table()
    sections = {
        'start': lambda: bench_start(build, table),
        'requests': lambda: bench_requests(build, table),
        'upload': lambda: with_server('dry', bench_upload, table),
        'guests': lambda: with_server('qemu', bench_guests, table),
        'accounting': lambda: bench_accounting(build, table),
        'iam': lambda: bench_iam(build, table),
        'policy': lambda: bench_policy(build, table),
        'authorize': lambda: bench_authorize(build, table),
        'audit': lambda: bench_audit(build, table),
    }
    for name, section in sections.items():
        if name in wanted:
            section()
    if 'volumes' in wanted:
        print(flush=True)
        subprocess.run([sys.executable, ROOT / 'tests' / 'bench' / 'bench_volume.py', build], check=True)


if __name__ == '__main__':
    main()
