# SPDX-License-Identifier: Apache-2.0
"""A simulated robot in lockstep with its arbiter, as real nodes in this process; a human's pad."""

from __future__ import annotations

import array
import sys
from pathlib import Path

from sensor_msgs.msg import Joy

from g1_driver.node import DriverNode
from lwd_actor.arbiter_node import ArbiterNode
from lwd_actor.teleop.pad_file import load_pad
from lwd_msgs.msg import ControlStep, ExecutedCommand, Intervention, Reward, Tick
from lwd_msgs.srv import Reset
from lwd_ros.qos import RECORD

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'g1_driver' / 'test'))
from graph import Graph

PATIENCE = 15.0


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
