# SPDX-License-Identifier: Apache-2.0
"""A policy under ROS, in lockstep, gives the episode that it gives in process."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from g1_description.joints import ARM_INDICES
from g1_driver.safety.config import SafetyConfig
from lwd_actor.policy_node import PolicyNode
from lwd_actor.teleop_node import TeleopNode
from lwd_data.reader import EpisodeReader
from lwd_msgs.msg import ActionChunk, ControlStep
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import load_policy
from lwd_rollout.policy_controller import PolicyController
from lwd_rollout.runner import Setting, run_episode

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'lwd_actor' / 'test'))
from small_policy import save
from station import EVERY, Pad, Station

SAFETY = SafetyConfig()
SEED = 200_000_000
STEPS = 75


@pytest.fixture
def station(ros_domain):
    found = Station(ros_domain)
    yield found
    found.graph.close()


def in_process(tmp_path, folder, execute):
    policy, _, card = load_policy(folder)
    run_episode(Setting('restock', max_seconds=STEPS / 30), SEED, lambda world: PolicyController(
        world, policy, RuntimeConfig(), seed=SEED, version=card.version, execute=execute),
        folder=tmp_path / 'episode')
    return EpisodeReader(tmp_path / 'episode').steps()


@pytest.mark.parametrize('execute', [0, 11])
def test_an_episode_of_a_policy_is_the_same_under_ros_as_in_process(tmp_path, station, execute):
    version = save(tmp_path / 'policy')
    node = station.add(PolicyNode, mode='lockstep', policy=str(tmp_path / 'policy'),
                       pilot__execute=execute)
    station.until(lambda: station.source() == ControlStep.SOURCE_POLICY, 'the policy')
    reset_count = station.reset(SEED)

    def first():
        return next((tick.tick for tick in list(station.ticks)
                     if tick.reset_count == reset_count), None)

    station.until(lambda: first() is not None and station.executed
                  and station.executed[-1].tick >= first() + STEPS, 'the episode')
    steps = {step.tick: step for step in station.steps}
    answers = {message.tick: message for message in station.executed}
    alone = in_process(tmp_path, tmp_path / 'policy', execute)
    ticks = range(first(), first() + STEPS)
    asked = np.array([steps[tick].positions for tick in ticks])
    assert asked.tobytes() == alone.requested.tobytes()
    sent = np.array([answers[tick].positions for tick in ticks])
    assert sent.tobytes() == alone.executed.tobytes()
    assert [steps[tick].chunk_index for tick in ticks] == [
        i % (execute or 30) for i in range(STEPS)]
    assert {steps[tick].policy_version for tick in ticks} == {version}
    assert len({steps[tick].chunk_id for tick in ticks}) == -(-STEPS // (execute or 30))
    assert node.pilot.queue.starved == 0


def test_an_operator_takes_over_from_a_policy_and_hands_back(tmp_path, station):
    """Stale chunks are never played on, changes are bumpless, the record says who it was."""
    version = save(tmp_path / 'policy')
    station.add(PolicyNode, mode='lockstep', policy=str(tmp_path / 'policy'))
    station.teleop = station.add(TeleopNode, pad='gamepad', control__joy_timeout=5.0)
    chunks = station.graph.listen(ActionChunk, 'action_chunk', EVERY)
    pad = Pad(station)
    station.until(lambda: station.source() == ControlStep.SOURCE_POLICY, 'the policy')
    for _ in range(2):
        pad.take_over()
        pad.axes[1] = 1.0
        far = len(station.steps) + 20
        station.until(lambda far=far: len(station.steps) > far)
        pad.axes[1] = 0.0
        pad.hand_back()
        station.until(lambda: station.source() == ControlStep.SOURCE_POLICY, 'the policy again')
        far = len(station.steps) + 10
        station.until(lambda far=far: len(station.steps) > far)
    steps = list(station.steps)
    made = {chunk.chunk_id: chunk for chunk in list(chunks)}
    returns = 0
    for before, after in itertools.pairwise(steps):
        leap = np.abs(np.subtract(after.positions, before.positions))
        assert np.max(leap[ARM_INDICES]) <= SAFETY.arm_velocity / 30 + 1e-9
        if after.source != ControlStep.SOURCE_POLICY:
            assert (after.policy_version, after.chunk_id) == ('', 0)
            continue
        assert after.policy_version == version
        if before.source != ControlStep.SOURCE_POLICY:
            # What it does first was inferred from what there is now.
            returns += 1
            assert after.chunk_index == 0
            assert after.chunk_id not in made or made[after.chunk_id].first_tick == after.tick
    assert returns >= 2
    sources = [step.source for step in steps]
    held = [sources[i - 1:i + 2] for i in range(1, len(sources) - 1)
            if sources[i - 1] == ControlStep.SOURCE_TELEOP != sources[i]]
    # One tick goes by before the policy knows that it may drive again.
    assert all(one == [ControlStep.SOURCE_TELEOP, ControlStep.SOURCE_HOLD,
                       ControlStep.SOURCE_POLICY] for one in held)
