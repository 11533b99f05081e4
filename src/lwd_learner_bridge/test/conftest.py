# SPDX-License-Identifier: Apache-2.0
"""Lets the tests import the helpers beside them and the synthetic episodes of lwd_data's."""

import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
for _folder in (_HERE.parents[1] / 'lwd_data' / 'test', _HERE):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))


@pytest.fixture(scope='session')
def s3(tmp_path_factory):
    """Return a real S3 server, one for all tests."""
    from s3_server import running
    with running(tmp_path_factory.mktemp('s3')) as server:
        yield server
