# SPDX-License-Identifier: Apache-2.0
"""A robot whose every message a test decides: driver and arbiter in one, a tick at a time."""

from __future__ import annotations

import array
import sys
from pathlib import Path

import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, JointState

from g1_description.joints import COMMAND_NAMES, HOME, STATE_NAMES
from g1_driver.images import to_jpeg
from lwd_actor.policy_node import PolicyNode
from lwd_msgs.msg import ActionChunk, ControlStep, ExecutedCommand, Task, Tick
from lwd_ros.convert import to_time
from lwd_ros.qos import LATCHED, RECORD

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'g1_driver' / 'test'))
from graph import Graph

PERIOD = 33_333_333
EVERY = QoSProfile(depth=5000)
SIZE = 32


class Puppet:
    """Publishes a tick and all that belongs to it, then waits for the policy's answer."""

    def __init__(self, domain, cameras=()):
        self.graph = Graph(domain)
        self.cameras = dict.fromkeys(cameras, SIZE)
        """Sizes of the images that are sent."""
        self.shift = dict.fromkeys(cameras, 0)
        """ns by which a camera's stamps are off."""
        self.silent = set()
        """Topics that say nothing."""
        self.number, self.resets, self.now = -1, 0, 0
        self.command = HOME.copy()
        self.source = None
        """Who is in control: the policy if it proposes, unless a test says otherwise."""
        self.proposals, self._stamps = {}, {}
        client = self.graph.client
        self._out = {
            topic: client.create_publisher(kind, topic, qos) for topic, kind, qos in (
                ('tick', Tick, RECORD), ('joint_states', JointState, RECORD),
                ('executed_command', ExecutedCommand, RECORD),
                ('control_step', ControlStep, RECORD), ('task', Task, LATCHED),
                *((f'{name}/image_raw/compressed', CompressedImage, RECORD)
                  for name in cameras))}
        client.create_subscription(ControlStep, 'policy_command', self._heard, EVERY)
        self.chunks = self.graph.listen(ActionChunk, 'action_chunk', EVERY)
        self._say_task()

    def _heard(self, message):
        with self.graph._changed:
            self.proposals[message.tick] = message
            self.graph._changed.notify_all()

    def _say_task(self):
        self._out['task'].publish(Task(
            task='test', instruction='wave', seed=5, reset_count=self.resets))

    def start(self, **parameters):
        """Run a policy node and wait until it has its policy and hears the robot."""
        self.node = self.graph.add(PolicyNode, **parameters)
        out = list(self._out.values())
        self.graph.until(lambda: self.node.pilot.policy is not None
                         or self.node.supply.pending or self.node.supply.refused, 'a policy')
        self.tick()
        self.graph.until(lambda: all(one.get_subscription_count() for one in out[:5]), 'topics')
        if self.node.pilot.policy is not None:
            needed = [self._out[f'{name}/image_raw/compressed']
                      for name in self.cameras]
            self.graph.until(lambda: all(one.get_subscription_count() for one in needed), 'eyes')
        return self.node

    def reset(self):
        self.resets += 1
        self._say_task()

    def tick(self):
        """Play one tick; returns the policy's proposal for it."""
        before = self.proposals.get(self.number)
        if before is not None:
            self._close(before)
            # As in the 29 ms that a robot leaves for it.
            self.graph.until(lambda: self.node.control.tick >= self.number,
                             f'word of tick {self.number}')
        self.number += 1
        self.now += PERIOD
        if 'joint_states' not in self.silent:
            joints = JointState(name=list(STATE_NAMES))
            joints.header.stamp = to_time(self.now)
            joints.position = array.array('d', [*self.command, 0.0, 0.0, 0.0, 0.0])
            self._out['joint_states'].publish(joints)
        for name, size in self.cameras.items():
            topic = f'{name}/image_raw/compressed'
            if topic in self.silent:
                continue
            self._stamps[name] = self.now + self.shift[name]
            image = CompressedImage(format='jpeg')
            image.header.stamp = to_time(self._stamps[name])
            rgb = np.full((size, size, 3), self.number % 200, np.uint8)
            image.data = array.array('B', to_jpeg(rgb, 90))
            self._out[topic].publish(image)
        tick = Tick(tick=self.number, reset_count=self.resets, cameras=list(self._stamps),
                    image_stamps=[to_time(stamp) for stamp in self._stamps.values()])
        tick.header.stamp = to_time(self.now)
        tick.joint_state_stamp = to_time(self.now)
        self._out['tick'].publish(tick)
        self.graph.until(lambda: self.number in self.proposals, f'an answer to {self.number}')
        return self.proposals[self.number]

    def _close(self, proposal):
        """Follow a proposal as the driver would, and tell of it."""
        step = ControlStep(tick=self.number, source=self.source if self.source is not None else (
            ControlStep.SOURCE_POLICY if len(proposal.positions) else ControlStep.SOURCE_HOLD))
        if len(proposal.positions) and self.source is None:
            self.command = np.array(proposal.positions)
            step.policy_version = proposal.policy_version
            step.chunk_id, step.chunk_index = proposal.chunk_id, proposal.chunk_index
        executed = ExecutedCommand(tick=self.number, joint_names=list(COMMAND_NAMES),
                                   positions=array.array('d', self.command))
        if 'executed_command' not in self.silent:
            self._out['executed_command'].publish(executed)
        self._out['control_step'].publish(step)

    def settle(self):
        """Wait until what was said of the last tick is known, and no inference runs."""
        node = self.node

        def quiet():
            worker = node.pilot._worker
            thinks = worker is not None and worker._question is not None
            # What was silenced is not waited for.
            return not thinks and (bool(self.silent) or not node._wants_sight)

        self.graph.until(quiet, 'an inference')

    def heard(self):
        """Wait until the node knows what was executed last."""
        self.graph.until(lambda: self.node.feed.executed.tick == self.number - 1, 'news')

    def play(self, count):
        """Play ticks, never faster than the policy thinks; returns its proposals."""
        found = []
        for _ in range(count):
            found.append(self.tick())
            if self.node.pilot.queue.left < 6:
                self.settle()
        return found

    def until(self, condition, what, ticks=300):
        """Play ticks until a condition holds of the last proposal."""
        for _ in range(ticks):
            proposal = self.tick()
            self.settle()
            if condition(proposal):
                return proposal
        raise AssertionError(f'{what} did not come true in {ticks} ticks')

    def driven(self):
        return self.until(lambda proposal: len(proposal.positions), 'driving')

    def health(self):
        return self.node.health()

    def close(self):
        self.graph.close()
