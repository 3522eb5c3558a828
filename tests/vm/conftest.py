"""A cloud with real guests for the tests of this folder: one server for all of them, with the tiny image in it."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cloud import Cloud  # noqa: E402


@pytest.fixture(scope='session')
def cloud(tmp_path_factory):
    image = os.environ.get('AMID_TINY_IMAGE')
    if os.geteuid() != 0 or not image:
        pytest.skip('needs root, and the tiny image in AMID_TINY_IMAGE (make test builds it)')
    build = pathlib.Path(os.environ.get('AMID_BUILD', 'build')).resolve()
    made = Cloud(build, tmp_path_factory.mktemp('cloud'))
    made.start()
    try:
        made.import_tiny(image)
        yield made
    finally:
        made.end()


@pytest.fixture(scope='session')
def guest(cloud):
    """An instance that several tests use; they leave it running."""
    return cloud.launch(cloud.tiny, user_data='#!/bin/sh\necho "count $(cat /root/runs 2>/dev/null)" >/dev/null\necho run >>/root/runs\n')


