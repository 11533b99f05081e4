# SPDX-License-Identifier: Apache-2.0
"""Which steps of an episode may begin a window of imitation."""

from types import SimpleNamespace

import numpy as np
from small import CONFIG

from lwd_learner.algorithms.base import Facts
from lwd_learner.algorithms.sft import Sft, SftConfig
from lwd_learner.data import POLICY, SUCCESS, TELEOP, _good
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.td import TdConfig

CHUNK = np.array([1, 1, 1, 2, 2, 0, 0, 3, 3])
SOURCE = np.array([POLICY] * 5 + [TELEOP] * 2 + [POLICY] * 2)


def test_a_policy_is_imitated_from_where_its_chunks_begin():
    success = SimpleNamespace(outcome=SUCCESS, chunk_id=CHUNK, source=SOURCE)
    assert _good(success).tolist() == [
        True, False, False, True, False, True, True, True, False]


def test_of_a_failure_only_the_corrections_are_imitated():
    failure = SimpleNamespace(outcome=SUCCESS + 1, chunk_id=CHUNK, source=SOURCE)
    assert _good(failure).tolist() == (SOURCE == TELEOP).tolist()


def test_a_demonstrator_is_imitated_from_any_step():
    shown = SimpleNamespace(
        outcome=SUCCESS, chunk_id=np.zeros(4, int), source=np.full(4, POLICY + 100))
    assert _good(shown).all()


def test_offline_all_that_anybody_did_may_be_imitated_online_never():
    sft = Sft(SftConfig(windows='all'), CONFIG.policy, Engine(EngineConfig(device='cpu')))
    facts = Facts({'restock': 3.0}, 0, TdConfig())
    drawn = {stage: [feed.windows for phase in sft.phases(stage, facts)
                     for feed in phase.feeds.values()] for stage in ('offline', 'online')}
    assert drawn == {'offline': ['all'], 'online': ['good']}
