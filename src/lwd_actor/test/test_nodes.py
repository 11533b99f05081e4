# SPDX-License-Identifier: Apache-2.0
"""Arbiter, teleoperation and scripted operator as nodes, with a simulated robot in lockstep."""

import array
import sys
from pathlib import Path

import numpy as np
import pytest
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Joy
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from g1_description.joints import ARM_INDICES, COMMAND_NAMES
from g1_driver.expert_node import ExpertNode
from g1_driver.node import DriverNode
from g1_driver.safety.config import SafetyConfig
from g1_sim.experts.flaws import Flaws
from g1_sim.operator import OperatorConfig
from lwd_actor.arbiter_node import ArbiterNode
from lwd_actor.operator_node import OperatorNode
from lwd_actor.teleop.pad_file import load_pad
from lwd_actor.teleop_node import TeleopNode
from lwd_data.reader import EpisodeReader
from lwd_msgs.msg import ControlStep, ExecutedCommand, Intervention, Reward, Tick
from lwd_msgs.srv import Reset
from lwd_rollout.runner import Setting, expert, run_episode
from lwd_ros.convert import to_ns
from lwd_ros.errors import ParameterError
from lwd_ros.qos import COMMAND, RECORD

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'g1_driver' / 'test'))
from graph import Graph

SAFETY = SafetyConfig()
PATIENCE = 15.0
OPERATOR = {'operator__patience': 1.0, 'operator__budget': 0.9}


class Station:
    """A robot in lockstep with its arbiter, and what they say."""

    def __init__(self, domain, **driver):
        self.graph = graph = Graph(domain)
        self.steps = graph.listen(ControlStep, 'control_step', RECORD)
        self.executed = graph.listen(ExecutedCommand, 'executed_command', RECORD)
        self.ticks = graph.listen(Tick, 'tick', RECORD)
        self.rewards = graph.listen(Reward, 'reward', RECORD)
        self.interventions = graph.listen(Intervention, 'intervention', RECORD)
        self.arbiter = graph.add(ArbiterNode, wait=PATIENCE)
        driver = {'mode': 'lockstep', 'lockstep_timeout': PATIENCE, 'cameras__names': [''],
                  **driver}
        self.driver = graph.add(DriverNode, **driver)

    def until(self, condition, what='a condition'):
        self.graph.until(condition, what)

    def source(self):
        return self.steps[-1].source if self.steps else None

    def reset(self, seed):
        """Draw a scene; returns its reset count."""
        return self.graph.call(Reset, 'reset', Reset.Request(seed=seed)).reset_count

    def ended(self, reset_count):
        """Return whether an episode has its verdict, and all its steps have come."""
        first = next((tick.tick for tick in list(self.ticks)
                      if tick.reset_count == reset_count), None)
        return first is not None and any(
            reward.tick >= first and reward.judge == Reward.JUDGE_SIMULATOR
            and self.steps[-1].tick >= reward.tick for reward in list(self.rewards))

    def episode(self, reset_count):
        """Return the control steps of an ended episode."""
        ticks = [tick.tick for tick in self.ticks if tick.reset_count == reset_count]
        end = next(reward.tick for reward in self.rewards if reward.tick >= ticks[0])
        steps = {step.tick: step for step in self.steps}
        return [steps[i] for i in range(ticks[0], end + 1)]


@pytest.fixture
def station(ros_domain):
    made = []

    def make(**driver):
        made.append(Station(ros_domain, **driver))
        return made[0]

    yield make
    for found in made:
        found.graph.close()


class Pad:
    """A human at a gamepad."""

    def __init__(self, station, name='gamepad'):
        self.pad = load_pad(name)
        self.axes, self.down = [0.0] * self.pad.axes, set()
        self.station = station
        self._publisher = station.graph.client.create_publisher(Joy, 'joy', RECORD)
        self._timer = station.graph.client.create_timer(0.02, self.send)

    def send(self):
        down = set(self.down)
        self._publisher.publish(Joy(
            axes=array.array('f', self.axes),
            buttons=array.array('i', [int(i in down) for i in range(self.pad.buttons)])))

    def take_over(self):
        self.station.until(lambda: self._publisher.get_subscription_count() > 0, 'teleoperation')
        controls = self.station.teleop.teleop.controls
        self.station.until(lambda: not controls._locked, 'a pad with its dead man released')
        self.down = {self.pad.enable_button}
        self.station.until(lambda: controls._enabled, 'the dead man')
        self.down = {self.pad.enable_button, self.pad.take_over_button}
        self.station.until(lambda: self.station.source() == ControlStep.SOURCE_TELEOP, 'control')
        self.down = {self.pad.enable_button}


def driven(station, **driver):
    """Return a station with an expert, teleoperation and a pad."""
    found = station(**driver)
    found.expert = found.graph.add(ExpertNode)
    found.teleop = found.graph.add(TeleopNode, pad='gamepad', teleop__joy_timeout=5.0)
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


def test_an_experts_episode_is_its_own_from_the_first_tick_to_the_last(station):
    found = station()
    found.graph.add(ExpertNode)
    found.until(lambda: found.source() == ControlStep.SOURCE_EXPERT, 'the expert')
    count = found.reset(3)
    found.until(lambda: found.ended(count), 'the end of the episode')
    steps = found.episode(count)
    assert {step.source for step in steps} == {ControlStep.SOURCE_EXPERT}
    assert [step.step_index for step in steps] == list(range(len(steps)))
    outcome = run_episode(Setting('restock'), 3, expert())
    assert len(steps) == outcome.steps
    assert found.rewards[-1].terminal == Reward.TERMINAL_SUCCESS


def test_take_over_and_hand_back_are_bumpless_and_told(station):
    found, pad = driven(station)
    for _ in range(2):
        pad.take_over()
        first = len(found.steps)
        pad.axes[1] = 1.0
        found.until(lambda first=first: len(found.steps) > first + 20)
        pad.axes[1] = 0.0
        pad.down.add(pad.pad.hand_back_button)
        found.until(lambda: found.source() == ControlStep.SOURCE_EXPERT, 'hand-back')
        pad.down = set()
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
        heard.append((now_ns, buttons[pad.pad.take_over_button]))

    controls.take = watched
    pad.take_over()
    pressed = next(now for now, button in heard if button)
    begun = next(step for step in found.steps if step.source == ControlStep.SOURCE_TELEOP)
    assert 0 <= to_ns(begun.header.stamp) - pressed <= 2 * 33_400_000


def test_an_emergency_stop_is_nobodys_and_is_over_when_released(station):
    found, pad = driven(station)
    pad.down = {pad.pad.estop_button}
    found.until(lambda: found.source() == ControlStep.SOURCE_ESTOP, 'the stop')
    pad.down = set()
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
    found.until(lambda: found.teleop.teleop.controls._enabled, 'the dead man')
    for button, terminal in ((pad.pad.success_button, Reward.TERMINAL_SUCCESS),
                             (pad.pad.failure_button, Reward.TERMINAL_FAILURE)):
        pad.down.add(button)
        found.until(lambda terminal=terminal: any(
            reward.judge == Reward.JUDGE_OPERATOR and reward.terminal == terminal
            for reward in list(found.rewards)), 'the label')
    before = found.ticks[-1].reset_count
    pad.down.add(pad.pad.reset_button)
    found.until(lambda: found.ticks[-1].reset_count > before, 'the reset')
    found.until(lambda: found.steps[-1].step_index > 5)
    said = [reward for reward in found.rewards if reward.judge == Reward.JUDGE_OPERATOR]
    assert [reward.reward for reward in said] == [1.0, 0.0]


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
    first = len(found.steps)
    found.arbiter._rendezvous.expect('policy', False)
    found.until(lambda: len(found.steps) > first + 3)
    assert {step.source for step in found.steps} == {ControlStep.SOURCE_HOLD}
    assert found.arbiter._health().level == b'\x02'


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


@pytest.mark.parametrize('seed', [2, 4, 5])
def test_a_failing_policy_is_rescued_through_joy_as_in_one_process(station, seed, tmp_path):
    """Bit for bit: the operator's joy, teleoperation and arbitration over topics."""
    found = station()
    found.graph.add(OperatorNode, **OPERATOR)
    found.graph.add(TeleopNode, pad='operator', operator_id='oracle', wait=PATIENCE)
    found.graph.add(ExpertNode, flaws__weak_grip=1.0)
    found.until(lambda: found.source() == ControlStep.SOURCE_EXPERT and found.interventions,
                'all nodes')
    count = found.reset(seed)
    found.until(lambda: found.ended(count), 'the end of the episode')
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
    assert run_episode(Setting('restock'), seed, flawed).verdict.reward == 0.0
    outcome = run_episode(
        Setting('restock'), seed, flawed, operator=OperatorConfig(patience=1.0, budget=0.9),
        through_joy=True, folder=tmp_path / 'one')
    asked = [deserialize_message(raw.data, ControlStep)
             for raw in EpisodeReader(tmp_path / 'one').messages({'control_step'})]
    assert [step.source for step in asked] == [step.source for step in steps]
    assert np.array([step.positions for step in asked]).tobytes() == (
        np.array([step.positions for step in steps]).tobytes())
    assert sum(step.source == ControlStep.SOURCE_TELEOP for step in steps) == (
        outcome.operator_steps)
