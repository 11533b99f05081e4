# SPDX-License-Identifier: Apache-2.0
"""The scripted operator through a pad: in one process, and the same over topics."""

import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message

from g1_driver.expert_node import ExpertNode
from g1_sim.experts.flaws import Flaws
from g1_sim.operator import OperatorConfig
from g1_sim.tasks.base import Terminal
from lwd_actor.operator_node import OperatorNode
from lwd_actor.teleop_node import TeleopNode
from lwd_data.reader import EpisodeReader
from lwd_msgs.msg import ControlStep, Intervention, Reward
from lwd_rollout.runner import Setting, expert, run_episode
from lwd_ros.convert import to_ns

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'lwd_actor' / 'test'))
from station import PATIENCE, Station

OPERATOR = {'operator__patience': 0.3, 'operator__reaction': 0.3, 'operator__budget': 0.9}
SETTING = Setting('restock')


@pytest.fixture
def station(ros_domain):
    made = []

    def make(**driver):
        made.append(Station(ros_domain, **driver))
        return made[0]

    yield make
    for found in made:
        found.graph.close()


def test_an_experts_episode_is_its_own_from_the_first_tick_to_the_last(station):
    found = station()
    found.add(ExpertNode)
    found.until(lambda: found.source() == ControlStep.SOURCE_EXPERT, 'the expert')
    count = found.reset(3)
    found.finish(count)
    steps = found.episode(count)
    assert {step.source for step in steps} == {ControlStep.SOURCE_EXPERT}
    assert [step.step_index for step in steps] == list(range(len(steps)))
    outcome = run_episode(SETTING, 3, expert())
    assert len(steps) == outcome.steps
    assert found.rewards[-1].terminal == Reward.TERMINAL_SUCCESS


@pytest.mark.timeout(1800)
@pytest.mark.parametrize('seed', [2, 4, 5])
def test_a_failing_policy_is_rescued_through_joy_as_in_one_process(station, seed, tmp_path):
    """Bit for bit: the operator's joy, teleoperation and arbitration over topics."""
    found = station()
    found.add(OperatorNode, **OPERATOR)
    teleop = found.add(TeleopNode, pad='operator', operator_id='oracle', wait=PATIENCE)
    found.add(ExpertNode, flaws__weak_grip=1.0)
    found.until(lambda: found.source() == ControlStep.SOURCE_EXPERT and found.interventions
                and not teleop.teleop.controls.lost(teleop._now_ns), 'all nodes')
    count = found.reset(seed)
    found.finish(count)
    steps = found.episode(count)
    sources = {step.source for step in steps}
    assert sources == {ControlStep.SOURCE_EXPERT, ControlStep.SOURCE_TELEOP}
    reward = next(r for r in found.rewards if r.tick == steps[-1].tick)
    assert reward.terminal == Reward.TERMINAL_SUCCESS
    begun = next(i for i, step in enumerate(steps) if step.source == ControlStep.SOURCE_TELEOP)
    told = next(m for m in found.interventions
                if m.active and to_ns(m.begin) == to_ns(steps[begun].header.stamp))
    assert told.reason in (Intervention.REASON_STUCK, Intervention.REASON_DROPPED)
    assert (told.operator_id, told.device) == ('oracle', 'operator')

    flawed = expert(Flaws(weak_grip=1.0))
    assert run_episode(SETTING, seed, flawed).verdict.reward == 0.0
    outcome = run_episode(
        SETTING, seed, flawed, operator=OperatorConfig(
            patience=0.3, reaction=0.3, budget=0.9),
        through_joy=True, folder=tmp_path / 'one')
    asked = [deserialize_message(raw.data, ControlStep)
             for raw in EpisodeReader(tmp_path / 'one').messages({'control_step'})]
    assert [step.source for step in asked] == [step.source for step in steps]
    assert np.array([step.positions for step in asked]).tobytes() == (
        np.array([step.positions for step in steps]).tobytes())
    assert sum(step.source == ControlStep.SOURCE_TELEOP for step in steps) == (
        outcome.operator_steps)


def test_hands_at_a_pad_do_what_joint_targets_do_and_the_filter_has_less_to_change():
    config = OperatorConfig(patience=1.0, budget=0.9)
    for seed in (0, 3):
        flawed = expert(Flaws(weak_grip=1.0))
        by_joy = run_episode(SETTING, seed, flawed, operator=config, through_joy=True)
        assert by_joy.verdict.terminal is Terminal.SUCCESS
        assert by_joy.interventions == 1
        assert by_joy.operator_steps > 60
        # What is clipped is the flawed expert's start, not the take-over.
        assert by_joy.clipped_steps < 30
