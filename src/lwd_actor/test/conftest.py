# SPDX-License-Identifier: Apache-2.0
"""Lets tests import the helpers beside them, and those of lwd_policy."""

import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).parent),
                str(Path(__file__).parents[2] / 'lwd_policy' / 'test')]


@pytest.fixture(scope='module')
def learner(tmp_path_factory):
    from learner_side import LearnerSide
    return LearnerSide(tmp_path_factory.mktemp('learner'), count=4)


@pytest.fixture
def robot(tmp_path, learner):
    from learner_side import Receiving
    found = Receiving(tmp_path / 'shelf', learner)
    yield found
    found.close()
    assert not list((tmp_path / 'shelf').glob('.*.part')), 'nothing half done is left behind'
