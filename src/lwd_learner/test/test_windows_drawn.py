# SPDX-License-Identifier: Apache-2.0
"""Which steps of an episode may begin a window of imitation."""

from types import SimpleNamespace

import numpy as np
import pytest
from episodes import write_episode
from small import CONFIG

from lwd_data.replay.catalogue import Catalogue
from lwd_learner.algorithms.base import Facts
from lwd_learner.algorithms.hg_dagger import HgDagger, HgDaggerConfig
from lwd_learner.algorithms.lwd import Lwd, LwdConfig
from lwd_learner.algorithms.sft import Sft, SftConfig
from lwd_learner.data import (
    HELD_OUT_EVERY,
    POLICY,
    SUCCESS,
    TELEOP,
    UNDOING,
    Replay,
    _corrections,
    _good,
    _held_out,
    _rescues,
    _seen,
)
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.errors import ConfigError
from lwd_learner.td import TdConfig

CHUNK = np.array([1, 1, 1, 2, 2, 0, 0, 3, 3])
SOURCE = np.array([POLICY] * 5 + [TELEOP] * 2 + [POLICY] * 2)


NOBODY = {'corrections': 0, 'rescues': 0}


def test_a_policy_is_imitated_from_where_its_chunks_begin():
    success = SimpleNamespace(outcome=SUCCESS, chunk_id=CHUNK[:5], source=SOURCE[:5])
    assert _good(success).tolist() == [True, False, False, True, False]


def test_a_policy_that_was_corrected_is_imitated_after_the_last_correction():
    success = SimpleNamespace(outcome=SUCCESS, chunk_id=CHUNK, source=SOURCE)
    assert np.flatnonzero(_good(success)).tolist() == [7]


def test_what_somebody_else_brought_to_an_end_is_not_the_policys():
    success = SimpleNamespace(outcome=SUCCESS, chunk_id=CHUNK[:7], source=SOURCE[:7])
    assert not _good(success).any()


def test_of_a_failure_only_the_corrections_are_imitated_by_those_who_ask_for_them():
    failure = SimpleNamespace(outcome=SUCCESS + 1, chunk_id=CHUNK, source=SOURCE)
    assert not _good(failure).any()
    assert _corrections(failure).tolist() == (SOURCE == TELEOP).tolist()
    assert not _rescues(failure).any()


def test_a_rescue_is_what_led_to_a_success_after_the_human_had_backed_out():
    source = np.repeat([POLICY, TELEOP, POLICY, TELEOP, POLICY, TELEOP],
                       [5, UNDOING + 3, 4, UNDOING, 1, UNDOING + 1])
    success = SimpleNamespace(outcome=SUCCESS, chunk_id=np.zeros(len(source)), source=source)
    first, last = 5 + UNDOING, len(source) - 1
    assert np.flatnonzero(_rescues(success)).tolist() == [*range(first, first + 3), last]


def test_a_human_who_was_in_control_from_the_start_is_imitated_after_the_same_time():
    source = np.full(UNDOING + 2, TELEOP)
    shown = SimpleNamespace(outcome=SUCCESS, chunk_id=np.zeros(len(source)), source=source)
    assert np.flatnonzero(_rescues(shown)).tolist() == [UNDOING, UNDOING + 1]


def test_of_humans_only_windows_that_can_be_drawn_are_counted(tmp_path):
    horizon, engine = CONFIG.policy.horizon, Engine(CONFIG.engine)

    def human(**outcome):
        # Taken over at 20 for 100 steps: a window is a chunk long.
        name = f'episode{len(list(tmp_path.iterdir()))}'
        write_episode(tmp_path / name, steps=140, segment_seconds=1.0,
                      source={20: TELEOP, 120: POLICY}, **outcome)
        with Catalogue(tmp_path / 'store') as catalogue:
            catalogue.add_folder(tmp_path / name, origin='online')
            snapshot = catalogue.snapshot()
        return Replay(snapshot, CONFIG.policy, engine, TdConfig()).facts.human

    whole = 100 - horizon + 1
    assert human(label='failure', terminal=SUCCESS + 1) == {'corrections': whole, 'rescues': 0}
    assert human() == {'corrections': 2 * whole, 'rescues': whole - UNDOING}


def named(name):
    return SimpleNamespace(record=SimpleNamespace(name=name), source=SOURCE)


def test_one_episode_in_twenty_is_held_out_whole_and_always_the_same():
    held = [_held_out(named(f'episode-{number}')) for number in range(4000)]
    assert all(one.all() or not one.any() for one in held)
    share = np.mean([one.all() for one in held])
    assert share == pytest.approx(1 / HELD_OUT_EVERY, abs=0.012)
    assert all((_seen(named(f'episode-{number}')) == ~one).all()
               for number, one in enumerate(held))


def test_nothing_is_held_out_where_nothing_else_is_left(tmp_path):
    kept = next(name for name in map('episode-{}'.format, range(1000))
                if not _held_out(named(name)).any())
    out = next(name for name in map('episode-{}'.format, range(1000))
               if _held_out(named(name)).all())

    def facts(name):
        write_episode(tmp_path / name, steps=80, segment_seconds=1.0)
        with Catalogue(tmp_path / 'store') as catalogue:
            catalogue.add_folder(tmp_path / name, origin='offline')
            snapshot = catalogue.snapshot()
        return Replay(snapshot, CONFIG.policy, Engine(CONFIG.engine), TdConfig()).facts

    assert facts(out).held_out == 0
    assert facts(kept).held_out > 0


@pytest.mark.parametrize('held_out', [0, 7])
def test_a_critic_is_trained_on_no_window_that_is_held_out(held_out):
    facts = Facts({'restock': 3.0}, NOBODY, TdConfig(), held_out)
    algorithm = Lwd(LwdConfig(), CONFIG.policy, Engine(EngineConfig(device='cpu')))
    for stage in ('offline', 'online'):
        for phase in algorithm.phases(stage, facts):
            if 'all' in phase.feeds:
                assert phase.feeds['all'].windows == ('seen' if held_out else 'all')
                assert ('held_out' in phase.feeds) == bool(held_out)


@pytest.mark.parametrize(('human', 'fed'), [
    ({'corrections': 9, 'rescues': 0}, {'rescues': False, 'corrections': True}),
    ({'corrections': 9, 'rescues': 5}, {'rescues': True, 'corrections': True})])
@pytest.mark.parametrize('kind', ['rescues', 'corrections'])
def test_who_asks_for_rescues_waits_for_some(human, fed, kind):
    facts, engine = Facts({'restock': 3.0}, human, TdConfig()), Engine(EngineConfig(device='cpu'))
    for algorithm in (
            HgDagger(HgDaggerConfig(learn_from=kind), CONFIG.policy, engine),
            Lwd(LwdConfig(refresh_on=kind), CONFIG.policy, engine)):
        drawn = {feed.windows for phase in algorithm.phases('online', facts)
                 for feed in phase.feeds.values()} & {'rescues', 'corrections'}
        assert drawn == ({kind} if fed[kind] else set())


def test_a_demonstrator_is_imitated_from_any_step():
    shown = SimpleNamespace(
        outcome=SUCCESS, chunk_id=np.zeros(4, int), source=np.full(4, POLICY + 100))
    assert _good(shown).all()


def test_offline_all_that_anybody_did_may_be_imitated_online_never():
    sft = Sft(SftConfig(windows='all'), CONFIG.policy, Engine(EngineConfig(device='cpu')))
    facts = Facts({'restock': 3.0}, NOBODY, TdConfig())
    drawn = {stage: [feed.windows for phase in sft.phases(stage, facts)
                     for feed in phase.feeds.values()] for stage in ('offline', 'online')}
    assert drawn == {'offline': ['all'], 'online': ['good']}


def test_the_fleets_part_of_a_batch_is_a_setting():
    sft = Sft(SftConfig(online_ratio=0.25), CONFIG.policy, Engine(EngineConfig(device='cpu')))
    phase, = sft.phases('online', Facts({'restock': 3.0}, NOBODY, TdConfig()))
    assert [feed.online_ratio for feed in phase.feeds.values()] == [0.25]
    with pytest.raises(ConfigError, match=r'online_ratio is 1\.5'):
        SftConfig(online_ratio=1.5)


@pytest.mark.parametrize(('part', 'feeds'), [
    (0.0, {'good': 32}), (0.75, {'good': 8, 'rescues': 24}), (1.0, {'rescues': 32})])
def test_any_part_of_a_batch_may_be_corrections(part, feeds):
    config = HgDaggerConfig(batch_size=32, corrections=part)
    algorithm = HgDagger(config, CONFIG.policy, Engine(EngineConfig(device='cpu')))
    facts = Facts({}, {'corrections': 9, 'rescues': 5}, TdConfig())
    (phase,) = algorithm.phases('online', facts)
    assert {name: feed.batch_size for name, feed in phase.feeds.items()} == feeds
    (phase,) = algorithm.phases('online', Facts({}, NOBODY, TdConfig()))
    assert {name: feed.batch_size for name, feed in phase.feeds.items()} == {'good': 32}


def test_no_more_than_all_of_a_batch_can_be_corrections():
    with pytest.raises(ConfigError, match=r'corrections is 1\.2; it must be from 0 to 1'):
        HgDaggerConfig(corrections=1.2)
