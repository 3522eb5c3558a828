"""The upkeep of stores: what nothing boots from is compressed after a while, and brought back when something does. A reader made from the documents finds all of it on the disk."""

import base64
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import sys

import botocore.awsrequest

from test_clock import clock

BLOCK = 512 * 1024
HOUR_MS = 3600 * 1000
READER = pathlib.Path(__file__).resolve().parents[1] / "format_reader.py"


def upload(ebs, blocks):
    snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    for index, data in blocks.items():
        ebs.put_snapshot_block(
            SnapshotId=snapshot,
            BlockIndex=index,
            BlockData=data,
            DataLength=BLOCK,
            Checksum=base64.b64encode(hashlib.sha256(data).digest()).decode(),
            ChecksumAlgorithm="SHA256",
        )
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(blocks))
    return snapshot


def content(ebs, snapshot):
    found = {}
    for block in ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]:
        answer = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=block["BlockIndex"], BlockToken=block["BlockToken"])
        found[block["BlockIndex"]] = answer["BlockData"].read()
    return found


def compressible(number):
    return (os.urandom(1024) + bytes([number]) * 3072) * (BLOCK // 4096)


def read_formats(server):
    """Only when it is stopped: the reader is of what is on the disk."""
    server.stop()
    region = server.data / "regions" / "us-east-1"
    read = subprocess.run([sys.executable, READER, region], capture_output=True, text=True)
    assert read.returncode == 0, read.stdout + read.stderr
    checked = server.fsck()
    assert checked.returncode == 0, checked.stdout
    return dict(word.split("=") for word in read.stdout.split())


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def leave_boot_trace(server, snapshot, blocks):
    """As a boot that read these blocks would: docs/design/volume.md."""
    status, answer = server.send(botocore.awsrequest.AWSRequest("GET", f"{server.endpoint}/_amid/show/{snapshot}"))
    assert status == 200, answer
    root = json.loads(answer)["root"]
    rest = bytes.fromhex(root) + struct.pack(f"<{2 + len(blocks)}I", len(blocks), 0, *blocks)
    path = server.data / "regions" / "us-east-1" / "traces" / f"{root}.trace"
    path.write_bytes(b"AMIDTRAC" + struct.pack("<II", 1, crc32c(rest)) + rest)


def test_cold_blocks_are_compressed_and_brought_back_for_a_volume(own_server, wait_for):
    server = own_server
    ebs, ec2 = server.client("ebs"), server.client("ec2")
    shared = compressible(1)
    cold_blocks = {0: shared, 3: compressible(2), 1500: compressible(3), 7: os.urandom(BLOCK)}
    cold = upload(ebs, cold_blocks)
    warm = upload(ebs, {0: shared, 1: compressible(4), 2: compressible(5)})
    leave_boot_trace(server, warm, [1, 0])
    ec2.register_image(
        Name="warm",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/sda1",
        BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": warm}}],
    )
    before = server.status()

    def compressed_when_time_goes_by():
        clock(server, "POST", advance_ms=2 * HOUR_MS)
        now = server.status()
        return now["compressed_blocks"] and now

    # a look sees that it is cold, and one after the time has passed compresses it
    after = wait_for(compressed_when_time_goes_by)
    assert after["compressed_blocks"] == 3, "neither what boots of an image have read nor what does not get smaller"
    assert before["store_bytes"] - after["store_bytes"] == after["compression_saved_bytes"] > BLOCK
    assert content(ebs, cold) == cold_blocks
    found = read_formats(server)
    assert found["compressed"] == "3" and int(found["plain"]) > 4
    server.start()
    assert content(server.client("ebs"), cold) == cold_blocks
    server.client("ec2").create_volume(AvailabilityZone="us-east-1a", SnapshotId=cold)
    wait_for(lambda: server.status()["warmed_blocks"] == 2)
    found = read_formats(server)
    assert found["compressed"] == "1" and found["volumes"] == "1"
    # and the reader does see what is wrong
    server.damaged = True
    packs = sorted((server.data / "regions" / "us-east-1" / "store" / "packs").iterdir())
    with open(packs[0], "r+b") as pack:
        pack.seek(packs[0].stat().st_size - 100)
        byte = pack.read(1)
        pack.seek(-1, os.SEEK_CUR)
        pack.write(bytes([byte[0] ^ 1]))
    damaged = subprocess.run([sys.executable, READER, packs[0].parents[2]], capture_output=True, text=True)
    assert damaged.returncode == 1 and "digest" in damaged.stderr


def test_archiving_compresses_and_restoring_brings_back(own_server, wait_for):
    server = own_server
    ebs, ec2 = server.client("ebs"), server.client("ec2")
    blocks = {0: compressible(1), 900: compressible(2)}
    snapshot = upload(ebs, blocks)
    before = server.status()
    ec2.modify_snapshot_tier(SnapshotId=snapshot, StorageTier="archive")
    # without waiting for it to have gone cold
    after = wait_for(lambda: server.status()["compressed_blocks"] == 2 and server.status())
    assert before["store_bytes"] - after["store_bytes"] == after["compression_saved_bytes"] > BLOCK // 2
    ec2.restore_snapshot_tier(SnapshotId=snapshot, PermanentRestore=True)
    wait_for(lambda: server.status()["warmed_blocks"] == 2)
    assert server.status()["store_bytes"] == before["store_bytes"]
    assert content(ebs, snapshot) == blocks
