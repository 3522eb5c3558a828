"""kill -9 of the server at random moments, while several stock clients work: nothing acknowledged is lost, nothing is half-made.

The dry driver, so that there are many rounds; volumes, snapshots, uploads and the store are the real ones.
"""
import threading
import time

import harness
import ledger
from harness import wait_for

CLIENTS = 3


def work_until_killed(server, clients, seconds):
    failures = []

    def work(client):
        try:
            client.work()
        except Exception as error:  # told by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(seconds)  # the moment of the crash, not a wait for anything
    server.kill()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def check_nothing_unowned(server, ec2):
    """Folders belong to something that the API shows."""
    def unowned():
        volumes = {volume['VolumeId'] for volume in ec2.describe_volumes()['Volumes']}
        instances = {instance['InstanceId'] for reservation in ec2.describe_instances()['Reservations']
            for instance in reservation['Instances']}
        uploads = {snapshot['SnapshotId'] for snapshot in ec2.describe_snapshots(OwnerIds=['self'])['Snapshots']
            if snapshot['State'] == 'pending'}
        left = []
        for name, owners in (('volumes', volumes), ('instances', instances), ('uploads', uploads)):
            left += [path for path in server.region_folder(name).iterdir() if not any(path.name.startswith(owner) for owner in owners)]
        return left

    wait_for(lambda: not unowned(), 30, lambda: f'owners of {unowned()}')


def crash_rounds(server, seed, crashes, crash):
    """Works, crashes and checks, for so many rounds. The clients, with everything in a state to stay in."""
    clients = [ledger.Client(server, seed.randrange(1 << 32)) for _ in range(CLIENTS)]
    for _ in range(crashes):
        work_until_killed(server, clients, seed.uniform(0.2, 2.5))
        crash(server)
        server.start()
        for client in clients:
            client.check()
    for client in clients:
        client.finish()
    done, doubts = sum(client.acknowledged for client in clients), sum(client.doubts for client in clients)
    print(f'{crashes} crashes, {done} calls acknowledged, {doubts} without an answer')
    assert done > 10 * crashes, f'only {done} calls were acknowledged: nothing was tested'
    return clients


def check_at_rest(server, clients):
    """Everything is whole, and can be given back to the last byte."""
    ec2 = server.client('ec2')
    check_nothing_unowned(server, ec2)
    server.check_clean()
    for client in clients:
        client.check()
        client.check_content()
    ledger.delete_everything(ec2)
    wait_for(lambda: server.status()['store_objects'] == 0, 30, lambda: f'an empty store: {server.status()}')
    assert server.status()['store_bytes'] == 0
    check_nothing_unowned(server, ec2)
    server.check_clean()


def test_killed_server_keeps_its_promises(make_server, seed, crashes):
    server = make_server('dry')
    check_at_rest(server, crash_rounds(server, seed, crashes, lambda server: None))


def test_fsck_is_clean_straight_after_a_kill(make_server, seed, crashes):
    server = make_server('dry')
    crash_rounds(server, seed, max(1, crashes // 2), harness.Server.fsck)


def test_power_loss_keeps_promises(make_server, seed, crashes):
    """As after a power cut, the runtime folder with the live maps is gone at each restart."""
    server = make_server('dry')
    check_at_rest(server, crash_rounds(server, seed, max(1, crashes // 2), harness.Server.lose_runtime_folder))
