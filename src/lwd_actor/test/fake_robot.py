# SPDX-License-Identifier: Apache-2.0
"""A robot's messages without a robot: ticks with all their parts, in CDR."""

from __future__ import annotations

import array

from sensor_msgs.msg import CompressedImage, JointState

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from g1_sim.features import SIZE
from lwd_actor.recording.streams import streams
from lwd_data.cdr import serialize
from lwd_msgs.msg import ControlStep, ExecutedCommand, Reward, SceneFeatures, Task, Tick
from lwd_ros.convert import to_time

PERIOD_NS = 33_333_333
STREAMS = {stream.name: stream for stream in streams(['head'])}
HEAD = 'head/image_raw/compressed'


def stamped(message, stamp_ns):
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = 'base_link'
    return message


class FakeRobot:
    """Feeds an Episodes as the nodes of a robot would."""

    def __init__(self, episodes):
        self.episodes = episodes
        self.number, self.reset_count = -1, 0
        self.skip = set()
        """Streams that lose their messages."""
        self.steps = 0
        self.heard_of = None
        """The episode that whoever gives commands knows of; None: the one that there is."""
        self.camera_ahead_ns = 0
        """By how much the camera's clock is ahead of the robot's."""

    def send(self, name, message):
        if name not in self.skip:
            self.episodes.take(STREAMS[name], serialize(message))

    @property
    def stamp_ns(self):
        return 1_000_000_000 + self.number * PERIOD_NS

    def task(self, **more):
        self.send('task', stamped(Task(
            task='restock', instruction='do it', distribution='train', seed=7,
            reset_count=self.reset_count, **more), self.stamp_ns))

    def reset(self):
        self.reset_count += 1
        self.task()

    def observe(self):
        """A tick and what is seen at it."""
        self.number += 1
        now = self.stamp_ns
        self.send('joint_states', stamped(JointState(
            name=list(STATE_NAMES), position=array.array('d', [0.0] * 20)), now - 1000))
        image_ns = now - 2000 + self.camera_ahead_ns
        self.send(HEAD, stamped(CompressedImage(
            format='jpeg', data=array.array('B', bytes(3000))), image_ns))
        self.send('scene_features', stamped(SceneFeatures(
            tick=self.number, layout='scene-1', values=array.array('f', [1.0] * SIZE)), now))
        self.send('tick', stamped(Tick(
            tick=self.number, reset_count=self.reset_count, joint_state_stamp=to_time(now - 1000),
            cameras=['head'], image_stamps=[to_time(image_ns)]), now))

    def answer(self):
        """What is done at the tick."""
        state = self.episodes.state
        running = state is not None and state.state == 1
        known = state.episode_id if running else ''
        self.send('control_step', stamped(ControlStep(
            tick=self.number, episode_id=known if self.heard_of is None else self.heard_of,
            source=ControlStep.SOURCE_EXPERT, joint_names=list(COMMAND_NAMES),
            positions=array.array('d', [0.0] * 16)), self.stamp_ns))
        self.send('executed_command', stamped(ExecutedCommand(
            tick=self.number, joint_names=list(COMMAND_NAMES),
            requested=array.array('d', [0.0] * 16), positions=array.array('d', [0.0] * 16),
            clips=array.array('B', [0] * 16)), self.stamp_ns))

    def step(self, count=1):
        for _ in range(count):
            self.observe()
            self.answer()

    def judge(self, terminal=Reward.TERMINAL_SUCCESS, tick=None, **more):
        tick = self.number if tick is None else tick
        success = terminal == Reward.TERMINAL_SUCCESS
        self.send('reward', stamped(Reward(
            tick=tick, terminal=terminal, reward=float(success), score=float(success),
            detail='looked', **more), self.stamp_ns))
