# SPDX-License-Identifier: Apache-2.0
"""An operator takes over from a policy and hands back, at random instants, at real time.

The commands of every tick around a change are held to the driver's limit of velocity, also where
the arbiter waited in vain for an answer, repeated the last one and had to catch up. The delay is
counted in ticks, from the newest tick when the button went down to the first one that was answered
by the operator.
"""

from __future__ import annotations

import array
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Joy

from benchmarks.actor import make_policy
from benchmarks.harness import quick, report
from g1_description.joints import ARM_INDICES, GRIPPER_INDICES
from g1_driver.safety.config import SafetyConfig
from lwd_actor.teleop.pad_file import load_pad
from lwd_bringup.config import load_robot
from lwd_bringup.domains import free_domain
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_msgs.msg import ControlStep, ExecutedCommand, Tick
from lwd_msgs.srv import Reset
from lwd_policy.config import PolicyConfig
from lwd_ros.qos import RECORD

ROUNDS = 10 if quick() else 100
_AROUND = 15
_PATIENCE = 120.0
_JOY_PERIOD = 0.01
_HOLD, _HEARD = 0.15, 2.0
_RATE = 30.0


class Operator:
    """A pad and a listener on the robot."""

    def __init__(self) -> None:
        """Join the robot's graph."""
        rclpy.init()
        self.node = rclpy.create_node('meter', namespace='/g1_01')
        self.steps: dict[int, ControlStep] = {}
        self.executed: dict[int, ExecutedCommand] = {}
        self.tick = -1
        self.last: ControlStep | None = None
        self.pad = load_pad('gamepad')
        self.axes: list[float] = [0.0] * self.pad.axes
        self.down: set[int] = set()
        self.again = 0
        self.vain: dict[str, int] = {}
        """How often the arbiter waited in vain, by whom for."""
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)
        self.reset = self.node.create_client(Reset, 'reset')
        self._joy = self.node.create_publisher(Joy, 'joy', RECORD)
        self.node.create_subscription(ControlStep, 'control_step', self._on_step, RECORD)
        self.node.create_subscription(
            ExecutedCommand, 'executed_command',
            lambda message: self.executed.update({message.tick: message}), RECORD)
        self.node.create_subscription(Tick, 'tick', self._on_tick, RECORD)
        self.node.create_timer(_JOY_PERIOD, self.send)

    def _on_step(self, message: ControlStep) -> None:
        self.steps[message.tick] = self.last = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith('/arbiter'):
                self.vain = {item.key: int(item.value) for item in status.values
                             if item.key.endswith('waited for in vain')}

    def _on_tick(self, message: Tick) -> None:
        self.tick = message.tick

    def send(self) -> None:
        """Say how the pad is held."""
        self._joy.publish(Joy(
            axes=array.array('f', self.axes),
            buttons=array.array('i', [int(i in self.down) for i in range(self.pad.buttons)])))

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Listen until a condition holds.

        Raises:
            TimeoutError: It does not.
        """
        end = time.monotonic() + _PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f'{what} did not happen in {_PATIENCE:g} s')
            rclpy.spin_once(self.node, timeout_sec=0.01)

    def wait(self, seconds: float) -> None:
        """Listen for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.01)

    def driven_by(self, source: int) -> bool:
        """Return whether somebody is in control, by the newest step."""
        return self.last is not None and self.last.source == source

    def first(self, tick: int, fits: Callable[[int], bool]) -> int:
        """Return the first tick from one on that was answered by whom a condition fits."""
        return min(number for number, step in self.steps.items()
                   if number >= tick and fits(step.source))

    def answered(self, tick: int, done: Callable[[], bool]) -> bool:
        """Return whether something is done, by a step from a tick on.

        Of a press that was heard too late, the step would else answer the next one.
        """
        return self.last is not None and self.last.tick >= tick and done()

    def press(self, button: int, done: Callable[[], bool], what: str) -> int:
        """Press a button, and again if it was not heard; returns the newest tick at its press.

        A pad that was lost for a moment on a busy machine is believed only after its dead man was
        let go of; what is pressed before that counts for nobody.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            self.down.add(self.pad.enable_button)
            self.wait(_HOLD)
            at = self.tick
            self.down.add(button)
            self.send()
            heard = time.monotonic() + _HEARD
            while time.monotonic() < heard and not self.answered(at, done):
                rclpy.spin_once(self.node, timeout_sec=0.01)
            self.down.discard(button)
            if self.answered(at, done):
                return at
            self.again += 1
            self.down.clear()
            self.wait(_HOLD)
        raise TimeoutError(f'{what} did not happen in {_PATIENCE:g} s')


def main() -> int:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_policy(folder / 'policy', PolicyConfig(), scale=0.05)
        config = load_robot('sim_robot', {
            'policy': str(folder / 'policy'), 'pad': 'gamepad', 'domain': free_domain(),
            'driver.cameras.names': []})
        variables = environment(config)
        os.environ.update(variables)
        with Supervised(plan(config), folder, environment=variables).running():
            return _measure(config.driver.safety)


def _measure(safety: SafetyConfig) -> int:
    operator, random = Operator(), np.random.default_rng(0)
    delays: list[int] = []
    holds: list[int] = []
    changes: list[int] = []
    policy, teleop = ControlStep.SOURCE_POLICY, ControlStep.SOURCE_TELEOP
    for i in range(ROUNDS):
        if i % 10 == 0:
            # A policy of random weights wanders; it begins anew before it comes to its limits.
            # A reset sets the robot elsewhere at once: not among the ticks of the last change.
            operator.wait(2.0 * _AROUND / _RATE)
            operator.until(operator.reset.service_is_ready, 'the driver')
            future = operator.reset.call_async(Reset.Request(seed=i))
            operator.until(future.done, 'the reset')
            operator.wait(1.0)
        operator.until(lambda: operator.driven_by(policy), 'the policy')
        operator.wait(0.3 + random.uniform(0.0, 1.0))
        pressed = operator.press(
            operator.pad.take_over_button, lambda: operator.driven_by(teleop), 'the take-over')
        begun = operator.first(pressed, lambda source: source == teleop)
        delays.append(begun - pressed)
        operator.axes[:2] = random.uniform(-1.0, 1.0, 2).tolist()
        operator.wait(0.3 + random.uniform(0.0, 0.7))
        handed = operator.press(
            operator.pad.hand_back_button, lambda: operator.driven_by(policy), 'the hand-back')
        operator.axes[:2] = [0.0, 0.0]
        operator.down.clear()
        over = operator.first(handed, lambda source: source != teleop)
        back = operator.first(over, lambda source: source == policy)
        holds.append(back - over)
        changes += [begun, over, back]
    operator.wait(2.0)
    velocity, acceleration, clipped = _roughness(operator, changes, safety)
    operator.node.destroy_node()
    rclpy.try_shutdown()
    return report('takeover', {
        'take_overs': float(len(delays)),
        'presses_not_heard': float(operator.again),
        'take_over_ticks_p50': float(np.median(delays)),
        'take_over_ticks_max': float(max(delays)),
        'hold_after_hand_back_ticks_p50': float(np.median(holds)),
        'hold_after_hand_back_ticks_max': float(max(holds)),
        **{key.replace(' ', '_'): float(count) for key, count in sorted(operator.vain.items())},
        'ticks': float(len(operator.steps)),
        'velocity_of_limit_max': velocity,
        'acceleration_of_limit_max': acceleration,
        'ticks_clipped_around_changes': float(clipped),
    }, {'take_over_ticks_max': ('<=', 2.0), 'velocity_of_limit_max': ('<=', 1.0)})


def _roughness(
    operator: Operator, changes: list[int], safety: SafetyConfig,
) -> tuple[float, float, int]:
    """Return the largest velocity and acceleration asked for, of the limits, and clipped ticks."""
    limit = np.zeros(16)
    limit[ARM_INDICES], limit[GRIPPER_INDICES] = safety.arm_velocity, safety.gripper_velocity
    pull = np.zeros(16)
    pull[ARM_INDICES] = safety.arm_acceleration
    pull[GRIPPER_INDICES] = safety.gripper_acceleration
    fastest = hardest = 0.0
    clipped: set[int] = set()
    clips = (ExecutedCommand.CLIP_VELOCITY | ExecutedCommand.CLIP_ACCELERATION
             | ExecutedCommand.CLIP_BLEND)
    for change in changes:
        ticks = range(change - 3, change + _AROUND)
        if not all(tick in operator.steps and len(operator.steps[tick].positions)
                   for tick in ticks):
            continue
        asked = np.array([operator.steps[tick].positions for tick in ticks])
        speed = np.diff(asked, axis=0) * _RATE
        fastest = max(fastest, float(np.max(np.abs(speed) / limit)))
        change_of_speed = np.abs(np.diff(speed, axis=0)) * _RATE / pull
        hardest = max(hardest, float(np.max(change_of_speed[:, ARM_INDICES])))
        clipped |= {tick for tick in ticks if tick in operator.executed and any(
            clip & clips for clip in operator.executed[tick].clips)}
    return fastest, hardest, len(clipped)


if __name__ == '__main__':
    sys.exit(main())
