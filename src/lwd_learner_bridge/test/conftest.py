# SPDX-License-Identifier: Apache-2.0
"""Lets tests import the helpers beside them, and those of other packages."""

import sys
import uuid
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), *(
    str(_SOURCES / package / 'test')
    for package in ('lwd_policy', 'lwd_actor', 'lwd_data', 'g1_driver'))]


@pytest.fixture(scope='session')
def s3(tmp_path_factory):
    """Return a real S3 server, one for all tests."""
    from s3_server import running
    with running(tmp_path_factory.mktemp('s3')) as server:
        yield server


@pytest.fixture(params=['folder', 's3'])
def any_site(request, tmp_path):
    """Return a site whose store is a folder, and one with a real S3 server."""
    from site_helpers import Site
    if request.param == 'folder':
        return Site(tmp_path)
    return Site(tmp_path, request.getfixturevalue('s3').store(prefix=uuid.uuid4().hex))
