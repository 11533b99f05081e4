# SPDX-License-Identifier: Apache-2.0
"""Arbiter and teleoperation as nodes, with a simulated robot in lockstep."""

import array
import sys
from pathlib import Path

import numpy as np
import pytest
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from g1_description.joints import ARM_INDICES, COMMAND_NAMES
from g1_driver.expert_node import ExpertNode
from g1_driver.safety.config import SafetyConfig
from lwd_actor.teleop_node import TeleopNode
from lwd_msgs.msg import ControlStep, ExecutedCommand, Intervention, Reward, Tick
from lwd_ros.convert import to_ns
from lwd_ros.errors import ParameterError
from lwd_ros.qos import COMMAND, RECORD

sys.path.insert(0, str(Path(__file__).parent))
from station import Graph, Pad, Station

SAFETY = SafetyConfig()


@pytest.fixture
def station(ros_domain):
    made = []

    def make(**driver):
        made.append(Station(ros_domain, **driver))
        return made[0]

    yield make
    for found in made:
        found.graph.close()


def driven(station, **driver):
    """Return a station with an expert, teleoperation and a pad."""
    found = station(**driver)
    found.expert = found.add(ExpertNode)
    found.teleop = found.add(TeleopNode, pad='gamepad', control__joy_timeout=5.0)
    pad = Pad(found)
    found.until(lambda: found.source() == ControlStep.SOURCE_EXPERT, 'the expert')
    return found, pad


def test_every_tick_is_answered_once_even_if_nobody_drives(station):
    found = station(lockstep_timeout=1.0)
    found.until(lambda: len(found.steps) > 30)
    numbers = [step.tick for step in found.steps]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert {step.source for step in found.steps} == {ControlStep.SOURCE_HOLD}
    held = found.steps[-1]
    assert list(held.joint_names) == list(COMMAND_NAMES)
    found.until(lambda: found.executed[-1].tick > held.tick)
    answer = next(one for one in found.executed if one.tick == held.tick)
    assert answer.state == ExecutedCommand.STATE_ACTIVE
    np.testing.assert_allclose(answer.positions, held.positions, atol=1e-6)


def test_take_over_and_hand_back_are_bumpless_and_told(station):
    found, pad = driven(station)
    for _ in range(2):
        pad.take_over()
        first = len(found.steps)
        pad.axes[1] = 1.0
        found.until(lambda first=first: len(found.steps) > first + 20)
        pad.axes[1] = 0.0
        pad.hand_back()
        first = len(found.steps)
        found.until(lambda first=first: len(found.steps) > first + 30)
    steps = list(found.steps)
    changes = [i for i in range(1, len(steps)) if steps[i].source != steps[i - 1].source
               and ControlStep.SOURCE_HOLD not in (steps[i].source, steps[i - 1].source)]
    assert len(changes) == 4
    for i in changes:
        leap = np.abs(np.subtract(steps[i].positions, steps[i - 1].positions))
        assert np.max(leap[ARM_INDICES]) <= SAFETY.arm_velocity / 30 + 1e-9
        assert np.max(leap[[7, 15]]) <= SAFETY.gripper_velocity / 30 + 1e-9
    told = list(found.interventions)
    assert {message.intervention_id for message in told} >= {1, 2}
    one = next(message for message in told if message.active)
    begun = next(step for step in steps if step.source == ControlStep.SOURCE_TELEOP)
    assert to_ns(one.begin) == to_ns(begun.header.stamp)
    assert (one.operator_id, one.device) == ('operator', 'gamepad')
    assert one.reason == Intervention.REASON_OPERATOR
    over = next(message for message in told if message.intervention_id and not message.active)
    assert to_ns(over.end) > to_ns(over.begin)
    # An expert's facts are not the operator's.
    assert all(step.policy_version == '' and step.chunk_id == 0 for step in steps)


def test_control_changes_hands_in_the_tick_after_the_button(station):
    """Counted in the robot's time from the tick at which the pressed button was heard."""
    found, pad = driven(station)
    heard = []
    controls = found.teleop.teleop.controls
    take = controls.take

    def watched(axes, buttons, now_ns):
        take(axes, buttons, now_ns)
        heard.append((now_ns, controls.wants_control))

    controls.take = watched
    pad.take_over()
    pressed = next(now for now, wants in heard if wants)
    begun = next(step for step in found.steps if step.source == ControlStep.SOURCE_TELEOP)
    assert 0 <= to_ns(begun.header.stamp) - pressed <= 2 * 33_400_000


def test_an_emergency_stop_is_nobodys_and_is_over_when_released(station):
    found, pad = driven(station)
    pad.tap(pad.pad.estop_button, lambda: found.source() == ControlStep.SOURCE_ESTOP, 'the stop')
    found.until(lambda: found.executed[-1].state == ExecutedCommand.STATE_ESTOP, 'the driver')
    stopped = len(found.steps)
    found.until(lambda: len(found.steps) > stopped + 40)
    assert {step.source for step in found.steps[stopped:]} == {ControlStep.SOURCE_ESTOP}
    answer = found.graph.call(Trigger, 'release_estop')
    assert answer.success, answer.message
    found.until(lambda: found.source() == ControlStep.SOURCE_EXPERT, 'the expert again')
    last = max(i for i, step in enumerate(found.steps)
               if step.source == ControlStep.SOURCE_ESTOP)
    leap = np.subtract(found.steps[last + 1].positions, found.steps[last].positions)
    assert np.max(np.abs(leap[ARM_INDICES])) <= SAFETY.arm_velocity / 30


def test_the_stop_topic_stops_the_arbiter_before_the_driver_has_said_so(station):
    found = station(lockstep_timeout=1.0)
    publisher = found.graph.client.create_publisher(Bool, 'emergency_stop', RECORD)
    found.until(lambda: publisher.get_subscription_count() == 2 and len(found.steps) > 5)
    publisher.publish(Bool(data=True))
    found.until(lambda: found.source() == ControlStep.SOURCE_ESTOP, 'the stop')


def test_buttons_label_the_episode_and_reset_the_robot(station):
    found, pad = driven(station)
    pad.down = {pad.pad.enable_button}
    for button, terminal in ((pad.pad.success_button, Reward.TERMINAL_SUCCESS),
                             (pad.pad.failure_button, Reward.TERMINAL_FAILURE)):
        pad.tap(button, lambda terminal=terminal: any(
            reward.judge == Reward.JUDGE_OPERATOR and reward.terminal == terminal
            for reward in list(found.rewards)), 'the label')
    before = found.ticks[-1].reset_count
    pad.tap(pad.pad.reset_button, lambda: found.ticks[-1].reset_count > before, 'the reset')
    pad.down = set()
    found.until(lambda: found.steps[-1].step_index > 5)
    said = [reward for reward in found.rewards if reward.judge == Reward.JUDGE_OPERATOR]
    assert {(reward.reward, reward.score, reward.terminal) for reward in said} == {
        (1.0, 1.0, Reward.TERMINAL_SUCCESS), (0.0, 0.0, Reward.TERMINAL_FAILURE)}
    assert all(0 < reward.tick <= found.teleop._tick.tick for reward in said)


def test_a_policy_that_proposes_nonsense_is_not_followed(station):
    found = station(lockstep_timeout=1.0)
    publisher = found.graph.client.create_publisher(ControlStep, 'policy_command', COMMAND)

    def answer(tick):
        message = ControlStep(tick=tick.tick, source=ControlStep.SOURCE_POLICY,
                              joint_names=list(COMMAND_NAMES), policy_version='abc', chunk_id=4)
        message.positions = array.array('d', [float('nan')] * 16)
        publisher.publish(message)

    found.graph.client.create_subscription(Tick, 'tick', answer, RECORD)
    found.until(lambda: 'proposes nan' in found.arbiter._refused, 'the refusal')
    found.until(lambda: len(found.steps) > 20)
    assert {step.source for step in found.steps} == {ControlStep.SOURCE_HOLD}
    assert found.arbiter._health().level == b'\x02'


@pytest.mark.parametrize('name', ['policy_command', 'teleop_command'])
def test_two_who_would_drive_by_one_topic_are_named(station, name):
    found = station()
    both = [found.graph.client.create_publisher(ControlStep, name, COMMAND) for _ in range(2)]
    said = f'2 publishers on /g1_01/{name}; stop all but one'
    found.until(lambda: said in found.arbiter._health().message, 'the complaint')
    assert found.arbiter._health().level == b'\x02'
    found.graph.client.destroy_publisher(both.pop())
    found.until(lambda: said not in found.arbiter._health().message, 'the end of it')


@pytest.mark.parametrize(('pad', 'reason'), [
    ('gamepod', "unknown pad 'gamepod'; did you mean 'gamepad'"),
    ('/nowhere/pad.yaml', 'there is no file')])
def test_a_node_refuses_a_pad_that_is_not_there(ros_domain, pad, reason):
    graph = Graph(ros_domain)
    try:
        with pytest.raises(ParameterError, match=reason):
            graph.add(TeleopNode, pad=pad)
    finally:
        graph.close()
