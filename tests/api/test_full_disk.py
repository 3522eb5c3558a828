"""A disk that is full: calls fail with an error that says so, and what was there stays whole."""

import base64
import hashlib
import os
import subprocess

import botocore.config
import boto3
import pytest
from botocore.exceptions import ClientError

from conftest import ANY_KEY, ANY_SECRET, BUILD, Server

BLOCK = 512 * 1024


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", mounted], check=True)
    yield mounted
    subprocess.run(["umount", mounted], check=True)


def put(ebs, snapshot, index, data):
    ebs.put_snapshot_block(
        SnapshotId=snapshot,
        BlockIndex=index,
        BlockData=data,
        DataLength=BLOCK,
        Checksum=base64.b64encode(hashlib.sha256(data).digest()).decode(),
        ChecksumAlgorithm="SHA256",
    )


def test_upload_onto_a_full_disk_fails_and_leaves_the_data_clean(small_disk):
    server = Server(small_disk / "data")
    try:
        ebs = boto3.client(
            "ebs",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ANY_KEY,
            aws_secret_access_key=ANY_SECRET,
            config=botocore.config.Config(retries={"max_attempts": 1}),
        )
        whole = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
        kept = os.urandom(BLOCK)
        put(ebs, whole, 0, kept)
        assert ebs.complete_snapshot(SnapshotId=whole, ChangedBlocksCount=1)["Status"] == "completed"
        snapshot = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
        with pytest.raises(ClientError) as failure:
            for index in range(1024):
                put(ebs, snapshot, index, os.urandom(BLOCK))
        assert "space" in str(failure.value), "the error says what is missing"
        token = ebs.list_snapshot_blocks(SnapshotId=whole)["Blocks"][0]["BlockToken"]
        assert ebs.get_snapshot_block(SnapshotId=whole, BlockIndex=0, BlockToken=token)["BlockData"].read() == kept
    finally:
        server.stop()
    checked = subprocess.run([BUILD / "amid", "fsck", "--data", small_disk / "data"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
