# SPDX-License-Identifier: Apache-2.0
import itertools

import numpy as np
import pytest
from rclpy.serialization import deserialize_message

from g1_sim import tasks
from g1_sim.errors import SceneError
from g1_sim.experts.flaws import Flaws, draw
from g1_sim.features import SIZE, SceneFeatures
from g1_sim.operator import Operator, OperatorConfig, Reason
from g1_sim.seeds import SPLIT_SIZE, seeds, split_of, split_range
from g1_sim.tasks.base import Terminal, Verdict
from g1_sim.world import World
from lwd_data.reader import EpisodeReader
from lwd_msgs.msg import ControlStep, Intervention, Reward
from lwd_rollout.runner import Film, Setting, expert, player, run_episode

SETTING = Setting('restock')
DROPS = Flaws(weak_grip=1.0)
"""Never closes its hand, and so never gets anything done."""


def test_an_episode_is_recorded_step_by_step(tmp_path):
    outcome = run_episode(SETTING, 3, expert(), folder=tmp_path / 'one', custom={'kind': 'expert'})
    assert outcome.verdict.terminal is Terminal.SUCCESS
    reader = EpisodeReader(tmp_path / 'one')
    steps = reader.steps()
    assert len(steps) == outcome.steps
    np.testing.assert_array_equal(np.diff(steps.tick), 1)
    assert np.all(np.abs(np.diff(steps.stamp_ns) - 1e9 / 30) <= 1)
    assert steps.state.shape == (outcome.steps, 20)
    assert steps.scene.shape == (outcome.steps, SIZE)
    assert np.all(steps.source == ControlStep.SOURCE_EXPERT)
    assert steps.reward.sum() == steps.reward[-1] == 1.0
    assert steps.terminal[-1] == Reward.TERMINAL_SUCCESS
    assert not steps.terminal[:-1].any()
    custom = reader.metadata.custom
    assert (custom['task'], custom['seed'], custom['label'], custom['kind']) == (
        'restock', '3', 'success', 'expert')


def test_what_was_asked_and_what_was_sent_are_both_there(tmp_path):
    run_episode(SETTING, 3, expert(), folder=tmp_path / 'one')
    steps = EpisodeReader(tmp_path / 'one').steps()
    free = ~steps.clipped.any(axis=1)
    assert free.mean() > 0.5
    np.testing.assert_allclose(steps.executed[free], steps.requested[free], atol=1e-8)


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    for name in 'ab':
        run_episode(SETTING, 5, expert(draw(np.random.default_rng(1), 1.0, steps=6)),
                    folder=tmp_path / name / 'one')
    first, second = (sorted((tmp_path / name / 'one').iterdir()) for name in 'ab')
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second):
        assert one.read_bytes() == other.read_bytes()


def test_images_are_recorded_as_they_are_seen(tmp_path):
    setting = Setting('restock', cameras=('head',), image_size=48, max_seconds=0.2)
    run_episode(setting, 0, expert(), folder=tmp_path / 'one')
    reader = EpisodeReader(tmp_path / 'one')
    assert reader.metadata.topics['/sim/head/image_raw/compressed'].endswith('CompressedImage')
    assert sum('head' in raw.topic for raw in reader.messages()) == 6
    steps = [deserialize_message(raw.data, ControlStep)
             for raw in reader.messages({'control_step'})]
    assert all(list(step.cameras) == ['head'] for step in steps)


def test_a_film_is_taken_of_an_episode():
    pictures = []
    outcome = run_episode(
        Setting('restock', max_seconds=1.0), 0, expert(),
        film=Film(lambda world: pictures.append(world.time) or np.zeros((2, 2, 3), np.uint8), 0.5))
    assert len(outcome.film) == 3
    assert pictures == pytest.approx([0.0, 0.5, 1.0], abs=0.05)


def test_play_moves_and_ends_when_told():
    outcome = run_episode(Setting('restock', max_seconds=3.0), 1, player(1))
    assert outcome.steps == 90
    assert outcome.verdict.terminal is Terminal.NONE


def test_an_operator_saves_an_episode_that_goes_wrong(tmp_path):
    alone = run_episode(SETTING, 2, expert(DROPS))
    assert alone.verdict.terminal is not Terminal.SUCCESS
    helped = run_episode(SETTING, 2, expert(DROPS), folder=tmp_path / 'one',
                         operator=OperatorConfig(patience=1.0, budget=0.9))
    assert helped.verdict.terminal is Terminal.SUCCESS
    assert helped.interventions == 1
    reader = EpisodeReader(tmp_path / 'one')
    steps = reader.steps()
    assert np.sum(steps.source == ControlStep.SOURCE_TELEOP) == helped.operator_steps
    events = [deserialize_message(raw.data, Intervention)
              for raw in reader.messages({'intervention'})]
    assert events[0].active
    assert events[0].operator_id == 'oracle'
    assert events[0].reason != Intervention.REASON_NONE
    assert events[0].intervention_id == 1


def test_an_operator_keeps_to_the_budget_and_leaves_a_good_policy_alone():
    config = OperatorConfig(patience=1.0, budget=0.1)
    helped = run_episode(SETTING, 2, expert(DROPS), operator=config)
    limit = tasks.get('restock').time_limit
    assert 0 < helped.operator_steps <= 0.1 * limit * 30 + 1
    assert run_episode(SETTING, 2, expert(), operator=OperatorConfig()).interventions == 0


def test_an_operator_needs_time_to_react():
    starts = []
    for reaction in (0.0, 1.0):
        world = World(tasks.get('restock').scene(2))
        operator = Operator(world, OperatorConfig(reaction=reaction, patience=0.5))
        while not operator.active:
            operator.watch(Verdict(Terminal.NONE, 0.0, (0.0,)))
            world.advance(8)
        starts.append(world.time)
        assert operator.reason is Reason.STUCK
    assert starts[1] - starts[0] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize('make', [
    lambda: OperatorConfig(reaction=-1.0), lambda: OperatorConfig(budget=1.5),
    lambda: Flaws(weak_grip=2.0), lambda: Flaws(slowness=0.0)])
def test_settings_that_cannot_be_are_refused(make):
    with pytest.raises(SceneError, match=r'must|is a share'):
        make()


def test_flaws_make_an_expert_fail_more_the_worse_they_are():
    def rate(severity):
        rng = np.random.default_rng(0)
        return np.mean([
            run_episode(SETTING, seed, expert(draw(rng, severity, steps=6))).verdict.score
            for seed in range(12)])

    assert rate(0.0) == 1.0
    assert rate(1.5) < 0.9


def test_features_follow_what_moves_and_do_not_tell_the_target():
    scene = tasks.get('restock').scene(4)
    world = World(scene)
    features = SceneFeatures(world)
    before = features.values()
    assert before.shape == (SIZE,)
    assert np.all(np.isfinite(before))
    joint = world.model.joint(next(iter(scene.placements)))
    world.data.qpos[joint.qposadr[0]] += 0.1
    changed = np.flatnonzero(features.values() != before)
    assert len(changed) == 1
    assert features.values()[changed[0]] == pytest.approx(before[changed[0]] + 0.1, abs=1e-6)


def test_splits_cannot_overlap():
    ranges = [split_range(name) for name in ('pool', 'online', 'tune', 'test')]
    for first, second in itertools.pairwise(ranges):
        assert first.stop <= second.start
    assert split_of(seeds('test', 5, 1)[0]) == 'test'
    with pytest.raises(SceneError, match="unknown split 'tets'; did you mean 'test'"):
        seeds('tets', 0, 1)
    with pytest.raises(SceneError, match='do not lie in split'):
        seeds('tune', SPLIT_SIZE - 1, 2)
    with pytest.raises(SceneError, match='belongs to no split'):
        split_of(-1)
