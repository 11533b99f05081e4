# SPDX-License-Identifier: Apache-2.0
"""A simulated robot in lockstep with its arbiter, as real nodes in this process; a human's pad."""

from __future__ import annotations

import array
import sys
from pathlib import Path

from rclpy.qos import QoSProfile
from sensor_msgs.msg import Joy

from g1_driver.node import DriverNode
from lwd_actor.arbiter_node import ArbiterNode
from lwd_actor.teleop.pad_file import load_pad
from lwd_msgs.msg import ControlStep, ExecutedCommand, Intervention, Reward, Tick
from lwd_msgs.srv import Reset
from lwd_ros.qos import RECORD

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'g1_driver' / 'test'))
from graph import Graph

# Of a tick in lockstep: short of what a test waits for, since one may be lost at the start.
PATIENCE = 30.0
# Lockstep waits for nobody who only listens: a whole episode may queue up on a busy machine.
EVERY = QoSProfile(depth=5000)


class Station:
    """A robot in lockstep with its arbiter, and what they say."""

    def __init__(self, domain, **driver):
        self.graph = graph = Graph(domain)
        self.steps = graph.listen(ControlStep, 'control_step', EVERY)
        self.executed = graph.listen(ExecutedCommand, 'executed_command', EVERY)
        self.ticks = graph.listen(Tick, 'tick', EVERY)
        self.rewards = graph.listen(Reward, 'reward', EVERY)
        self.interventions = graph.listen(Intervention, 'intervention', EVERY)
        driver = {'mode': 'lockstep', 'lockstep_timeout': PATIENCE, 'cameras__names': [''],
                  **driver}
        self.driver = graph.add(DriverNode, **driver)
        self.arbiter = graph.add(ArbiterNode, wait=PATIENCE)

    def add(self, kind, **parameters):
        """Run a node that answers ticks."""
        return self.graph.add(kind, together=True, **parameters)

    def until(self, condition, what='a condition', **more):
        self.graph.until(condition, what, **more)

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

    def finish(self, reset_count):
        """Wait for the end of an episode, as long as it goes on at all."""
        while not self.ended(reset_count):
            far = len(self.steps) + 30
            self.until(lambda far=far: len(self.steps) > far or self.ended(reset_count),
                       'a second more of the episode', patience=120.0)

    def episode(self, reset_count):
        """Return the control steps of an ended episode."""
        ticks = [tick.tick for tick in self.ticks if tick.reset_count == reset_count]
        end = next(reward.tick for reward in self.rewards if reward.tick >= ticks[0])
        steps = {step.tick: step for step in self.steps}
        return [steps[i] for i in range(ticks[0], end + 1)]


class Pad:
    """A human at a gamepad, who tries again when nothing happens.

    On a busy machine the pad may be lost for a moment, for robots in lockstep count time fast; it
    then moves nothing until its dead man was let go of.
    """

    def __init__(self, station, name='gamepad'):
        self.pad = load_pad(name)
        self.station = station
        self.axes, self.down, self.taps = [0.0] * self.pad.axes, set(), set()
        self._sent = 0
        self._publisher = station.graph.client.create_publisher(Joy, 'joy', RECORD)
        self._timer = station.graph.client.create_timer(0.02, self.send)

    def send(self):
        self._sent += 1
        down = set(self.down)
        if self._sent % 2:
            down |= self.taps
        if self.station.teleop.teleop.controls._locked:
            down.discard(self.pad.enable_button)
        self._publisher.publish(Joy(
            axes=array.array('f', self.axes),
            buttons=array.array('i', [int(i in down) for i in range(self.pad.buttons)])))

    def tap(self, button, until, what):
        """Press a button again and again until it had its effect."""
        self.taps = {button}
        self.station.until(until, what)
        self.taps = set()

    def take_over(self):
        self.down = {self.pad.enable_button}
        self.tap(self.pad.take_over_button,
                 lambda: self.station.source() == ControlStep.SOURCE_TELEOP, 'control')

    def hand_back(self):
        self.tap(self.pad.hand_back_button,
                 lambda: self.station.source() != ControlStep.SOURCE_TELEOP, 'hand-back')
        self.down = set()
