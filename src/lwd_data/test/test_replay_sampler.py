# SPDX-License-Identifier: Apache-2.0
import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwd_data.errors import SampleError
from lwd_data.reader import EpisodeReader
from lwd_data.replay.catalogue import Catalogue
from lwd_data.replay.draw import Draw
from lwd_data.replay.files import Files
from lwd_data.replay.sampler import WindowSampler
from lwd_msgs.msg import ControlStep, Reward

sys.path.insert(0, str(Path(__file__).parent))
from episodes import SUCCESS, TELEOP, jpeg, write_episode
from sampling import CONFIG, N, fill, pairs


@pytest.fixture(scope='module')
def snapshot(tmp_path_factory):
    return fill(tmp_path_factory.mktemp('store'))


@pytest.fixture(scope='module')
def sampler(snapshot):
    return WindowSampler(snapshot, CONFIG, N)


def concatenated(batches):
    """Return the fields of several batches, one after the other."""
    found = {}
    for name in ('chunk', 'rewards', 'span', 'end', 'to_end', 'outcome', 'source', 'task',
                 'version', 'online', 'episode', 'step'):
        found[name] = np.concatenate([getattr(batch, name) for batch in batches])
    for name in ('observation', 'next_observation'):
        for field in ('state', 'scene', 'instruction'):
            found[name, field] = np.concatenate(
                [getattr(getattr(batch, name), field) for batch in batches])
    return found


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=str(name))


def test_a_batch_is_what_was_recorded(sampler):
    truth = [EpisodeReader(one.record.folder).steps() for one in sampler.episodes]
    seen = set()
    for step in range(20):
        batch = sampler.batch(step)
        for i, (e, t) in enumerate(pairs(batch)):
            seen.add((e, t))
            steps, record = truth[e], sampler.episodes[e].record
            span, end = int(batch.span[i]), int(batch.end[i])
            np.testing.assert_array_equal(
                batch.chunk[i], steps.executed[t:t + 5].astype(np.float32))
            wanted = np.zeros(3 * 5, np.float32)
            wanted[:span] = steps.reward[t:t + span]
            np.testing.assert_array_equal(batch.rewards[i], wanted)
            assert end == steps.terminal[t + span - 1]
            following = t + span - 1 if end else t + span
            for observation, at in ((batch.observation, t), (batch.next_observation, following)):
                np.testing.assert_array_equal(
                    observation.state[i], steps.state[at].astype(np.float32))
                np.testing.assert_array_equal(observation.scene[i], steps.scene[at])
                assert batch.instructions[observation.instruction[i]] == record.instruction
            assert batch.to_end[i] == len(steps) - 1 - t
            assert batch.outcome[i] == steps.terminal[-1]
            assert batch.source[i] == steps.source[t]
            assert batch.tasks[batch.task[i]] == record.task
            assert batch.online[i] == (record.origin == 'online')
            assert span <= N[record.task] * 5
            assert len(np.unique(steps.source[t:t + span])) == 1
    # Every window there is has come up.
    assert len(seen) == len(sampler)


def test_versions_are_those_of_the_chunks(sampler):
    for step in range(5):
        batch = sampler.batch(step)
        for i, (e, t) in enumerate(pairs(batch)):
            columns = sampler.episodes[e]
            names = {columns.versions[code] for code in columns.version[t:t + batch.span[i]]}
            assert names == {batch.versions[batch.version[i]]}
    assert batch.versions == ('', 'a' * 64, 'b' * 64, 'c' * 64)


def test_shapes_and_types_are_those_of_the_interface(sampler):
    batch = sampler.batch(0)
    assert len(batch) == len(batch.observation) == 64
    assert batch.chunk.shape == (64, 5, 16)
    assert batch.rewards.shape == (64, 15)
    assert batch.observation.scene.shape == (64, 310)
    kinds = {name: getattr(batch, name).dtype for name in (
        'chunk', 'rewards', 'span', 'end', 'to_end', 'outcome', 'source', 'task', 'version',
        'online', 'episode', 'step')}
    assert kinds == {
        'chunk': np.float32, 'rewards': np.float32, 'span': np.int64, 'end': np.uint8,
        'to_end': np.int64, 'outcome': np.uint8, 'source': np.uint8, 'task': np.int64,
        'version': np.int64, 'online': np.bool_, 'episode': np.int64, 'step': np.int64}
    for observation in (batch.observation, batch.next_observation):
        assert observation.state.dtype == observation.scene.dtype == np.float32
        assert observation.instruction.dtype == np.int64
        assert observation.images == {}


def test_a_batch_follows_from_seed_and_step_alone(snapshot, sampler):
    again = WindowSampler(snapshot, CONFIG, N)
    for step in (7, 3, 3, 10**12):
        assert_same(concatenated([again.batch(step)]), concatenated([sampler.batch(step)]))
    assert pairs(sampler.batch(0)) != pairs(sampler.batch(1))
    other = WindowSampler(snapshot, dataclasses.replace(CONFIG, seed=1), N)
    assert pairs(other.batch(0)) != pairs(sampler.batch(0))


@pytest.mark.parametrize('world_size', [2, 4, 64])
@pytest.mark.parametrize('balance', [True, False])
def test_ranks_share_the_batch_of_one(snapshot, world_size, balance):
    config = dataclasses.replace(CONFIG, balance_tasks=balance)
    whole = WindowSampler(snapshot, config, N)
    ranks = [WindowSampler(snapshot, dataclasses.replace(
        config, rank=rank, world_size=world_size, batch_size=64 // world_size), N)
        for rank in range(world_size)]
    for step in range(3):
        assert_same(concatenated([rank.batch(step) for rank in ranks]),
                    concatenated([whole.batch(step)]))


def test_threads_and_few_open_files_change_nothing(snapshot, sampler):
    small = WindowSampler(snapshot, CONFIG, N, files=Files(bags=1, indexes=2))
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(small.batch, range(24)))
    for step, batch in enumerate(batches):
        assert_same(concatenated([batch]), concatenated([sampler.batch(step)]))
    # Two indexes mapped and one bag open, though the store has a dozen of each.
    assert small.table.files.opened() == (1, 2)


def test_origins_and_tasks_get_their_shares(snapshot, sampler):
    for ratio in (0.0, 0.25, 0.5, 1.0):
        config = dataclasses.replace(CONFIG, online_ratio=ratio)
        batch = WindowSampler(snapshot, config, N).batch(3)
        assert batch.online.sum() == 64 * ratio
        for online in {False, True} & set(batch.online.tolist()):
            counts = np.bincount(batch.task[batch.online == online])
            assert abs(counts[0] - counts[1]) <= 1
    found = sampler.describe()
    unbalanced = WindowSampler(snapshot, dataclasses.replace(
        CONFIG, balance_tasks=False, batch_size=4000, online_ratio=0.0, scene=False), N)
    share = np.mean(unbalanced.batch(0).task == 1)
    counts = {}
    for one, stretch in ((sampler.episodes[e], k)
                         for k, e in enumerate(sampler.table.episode.tolist())):
        if one.record.origin == 'offline':
            size = np.diff(sampler.table.ends, prepend=0)[stretch]
            counts[one.record.task] = counts.get(one.record.task, 0) + size
    assert share == pytest.approx(counts['tea'] / sum(counts.values()), abs=0.03)
    assert sum(found['task'].values()) == found['windows'] == len(sampler)


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(1, 40), st.floats(0, 1),
       st.booleans(), st.lists(st.tuples(st.integers(0, 1), st.integers(1, 1000)), min_size=1,
                               max_size=6))
def test_any_slice_of_a_draw_is_that_of_the_whole(seed, step, size, ratio, balance, groups):
    origin, count = (np.array(column, np.int64) for column in zip(*groups))
    draw = Draw(origin, count, online_ratio=ratio, balance_tasks=balance)
    group, within = draw(seed, step, 3 * size, 0, 3 * size)
    assert np.all((within >= 0) & (within < count[group]))
    for first in (0, size, 2 * size):
        part = draw(seed, step, 3 * size, first, size)
        np.testing.assert_array_equal(part[0], group[first:first + size])
        np.testing.assert_array_equal(part[1], within[first:first + size])
        if set(origin.tolist()) == {0, 1}:
            assert abs((origin[part[0]] == 1).sum() - ratio * size) <= 1 + 1e-6


def test_every_window_of_a_group_is_as_likely():
    draw = Draw(np.array([0, 0]), np.array([3, 7]), online_ratio=0.5, balance_tasks=True)
    group, within = draw(0, 0, 40_000, 0, 40_000)
    for number, count in ((0, 3), (1, 7)):
        shares = np.bincount(within[group == number], minlength=count) / 20_000
        np.testing.assert_allclose(shares, 1 / count, atol=0.02)


def test_describe_counts_what_can_be_drawn(sampler):
    found = sampler.describe()
    assert found['windows'] == len(sampler) == sum(found['origin'].values())
    assert found['episodes'] == 4
    assert found['left_out'] == 0
    # a: 36 anchors; b: 26; c: b's 16, c's 11, a human's 11; d: 20, its end has no verdict.
    assert found['task'] == {'restock': 36 + 38, 'tea': 26 + 20}
    assert found['origin'] == {'offline': 62, 'online': 58}
    assert found['source'] == {'policy': 109, 'teleop': 11}
    assert found['outcome'] == {'success': 74, 'failure': 26, 'none': 20}
    # c: 16 windows of its first policy, then 11 of the next; a third one made d's 20.
    assert found['staleness'] == pytest.approx((16 * 2 + 11 * 1) / 47)


def test_what_only_experts_did_is_not_stale(tmp_path):
    write_episode(tmp_path / 'offline' / 'a', steps=40, version={0: 'b' * 64, 20: 'c' * 64})
    write_episode(tmp_path / 'online' / 'b', steps=40, source={0: TELEOP})
    with Catalogue(tmp_path) as catalogue:
        catalogue.add_folder(tmp_path / 'offline', origin='offline')
        catalogue.add_folder(tmp_path / 'online', origin='online')
        sampler = WindowSampler(catalogue.snapshot(), CONFIG, {'restock': 2})
    assert sampler.describe()['staleness'] == 0.0


def test_a_selection_leaves_the_rest_out(snapshot):
    def successes(columns):
        return np.full(len(columns), columns.outcome == Reward.TERMINAL_SUCCESS)

    def late_human(columns):
        return (columns.source == ControlStep.SOURCE_TELEOP) & (np.arange(len(columns)) >= 40)

    chosen = WindowSampler(snapshot, CONFIG, N, select=successes)
    assert chosen.describe()['outcome'] == {'success': 74}
    chosen = WindowSampler(snapshot, CONFIG, N, select=late_human)
    batch = chosen.batch(0)
    assert set(batch.source.tolist()) == {TELEOP}
    assert batch.step.min() >= 40
    assert batch.online.all()


@pytest.mark.parametrize('wrong', [
    lambda columns: np.ones(len(columns)), lambda columns: np.ones(3, bool)])
def test_a_selection_that_does_not_fit_is_named(snapshot, wrong):
    with pytest.raises(SampleError, match=r'the selection gives .* for episode a; it'):
        WindowSampler(snapshot, CONFIG, N, select=wrong)


@pytest.mark.parametrize('threads', [1, 3])
def test_images_are_those_that_the_policy_saw(snapshot, threads):
    config = dataclasses.replace(
        CONFIG, cameras=('head',), scene=False, decode_threads=threads, batch_size=32)
    sampler = WindowSampler(snapshot, config, N)
    seeds = {'a': 1, 'b': 2, 'c': 3, 'd': 4}
    batch = sampler.batch(0)
    assert batch.observation.scene.shape == (32, 0)
    for observation, steps in (
            (batch.observation, batch.step),
            (batch.next_observation, batch.step + batch.span - (batch.end > 0))):
        assert observation.images['head'].shape == (32, 16, 16, 3)
        assert observation.images['head'].dtype == np.uint8
        for i, (e, t) in enumerate(zip(batch.episode, steps.tolist())):
            data = jpeg('head', t, 16, seeds[sampler.episodes[e].record.name])
            rgb = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
            np.testing.assert_array_equal(observation.images['head'][i], rgb)


def test_a_new_snapshot_takes_over_what_has_not_changed(tmp_path, monkeypatch):
    from lwd_data.replay import table
    looked_at = []
    real = table.find_anchors
    monkeypatch.setattr(table, 'find_anchors', lambda columns, *rest: (
        looked_at.append(columns.record.name) or real(columns, *rest)))
    write_episode(tmp_path / 'data' / 'a', steps=40)
    write_episode(tmp_path / 'data' / 'b', steps=60, segment_seconds=1.0, label='',
                  terminal=SUCCESS)
    last = tmp_path / 'data' / 'b' / 'b_1.mcap'
    last.rename(tmp_path / 'later')
    n, more = {'restock': 2}, {'restock': 5}
    with Catalogue(tmp_path / 'store') as catalogue:
        catalogue.add_folder(tmp_path / 'data', origin='online')
        first = WindowSampler(catalogue.snapshot(), CONFIG, n)
        (tmp_path / 'later').rename(last)
        write_episode(tmp_path / 'data' / 'c', steps=40, seed=5)
        catalogue.add_folder(tmp_path / 'data', origin='online')
        snapshot = catalogue.snapshot()
    assert looked_at == ['a', 'b']
    second = WindowSampler(snapshot, CONFIG, n, previous=first)
    assert looked_at[2:] == ['b', 'c']
    longer = WindowSampler(snapshot, CONFIG, more, previous=second)
    assert looked_at[4:] == []
    WindowSampler(snapshot, dataclasses.replace(CONFIG, horizon=6), n, previous=second)
    assert looked_at[4:] == ['a', 'b', 'c']
    for sampler, steps in ((second, n), (longer, more)):
        fresh = WindowSampler(snapshot, CONFIG, steps)
        assert fresh.describe() == sampler.describe()
        assert_same(concatenated([fresh.batch(1)]), concatenated([sampler.batch(1)]))


@pytest.mark.parametrize(('changes', 'text'), [
    ({'batch_size': 0}, 'batch_size is 0; it must be at least 1'),
    ({'horizon': 0}, 'horizon is 0'), ({'online_ratio': 1.5}, 'online_ratio is 1.5; it must be'),
    ({'rank': 2, 'world_size': 2}, r'rank is 2; with world_size 2 it must be in 0 \.\. 1')])
def test_settings_out_of_range_are_named(changes, text):
    with pytest.raises(SampleError, match=text):
        dataclasses.replace(CONFIG, **changes)


def test_a_task_without_n_and_chunks_too_long_are_named(snapshot, tmp_path):
    with pytest.raises(SampleError, match=r"n_steps of task 'tea' is None; .*restock, tea"):
        WindowSampler(snapshot, CONFIG, {'restock': 1})
    with pytest.raises(SampleError, match=r'has 4 episodes and not one window of chunks of 90 st'):
        WindowSampler(snapshot, dataclasses.replace(CONFIG, horizon=90, scene=False), N)
    with Catalogue(tmp_path) as catalogue, pytest.raises(SampleError, match='has 0 episodes'):
        WindowSampler(catalogue.snapshot(), CONFIG, N)
