# SPDX-License-Identifier: Apache-2.0
"""Synthetic episodes for tests, written by the same writer as real ones."""

import array
from dataclasses import dataclass, field

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CompressedImage, JointState

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from lwd_data.cdr import serialize
from lwd_data.scene_layout import SCENE_1
from lwd_data.writer import EpisodeWriter
from lwd_msgs.msg import ControlStep, ExecutedCommand, Reward, SceneFeatures, Tick

PERIOD = 33_333_333
MS = 1_000_000
POLICY, TELEOP, EXPERT, HOLD = (
    ControlStep.SOURCE_POLICY, ControlStep.SOURCE_TELEOP, ControlStep.SOURCE_EXPERT,
    ControlStep.SOURCE_HOLD)
SUCCESS, FAILURE = Reward.TERMINAL_SUCCESS, Reward.TERMINAL_FAILURE


@dataclass
class Script:
    """What happens in an episode."""

    steps: int = 60
    seed: int = 0
    task: str = 'restock'
    instruction: str = 'put the can on the shelf'
    robot: str = 'g1_01'
    label: str = 'success'
    terminal: int = SUCCESS
    """Of the last step; 0: no verdict."""
    source: dict = field(default_factory=dict)
    """From this step on: SOURCE_*; policy before the first."""
    version: dict = field(default_factory=dict)
    """From this step on; 'a' * 64 before the first."""
    driver: dict = field(default_factory=dict)
    """Of this step: ExecutedCommand.STATE_*."""
    rewards: dict = field(default_factory=dict)
    """Of this step: more reward events."""
    lost: set = field(default_factory=set)
    """Pairs of step and topic that are not recorded."""
    cameras: tuple = ()
    image_size: int = 16
    image_every: int = 1
    """A camera gives an image every so many ticks; between, the policy sees the last one."""
    scene: bool = True
    layout: str = SCENE_1.name
    first_tick: int = 100
    segment_seconds: float = 10.0
    custom: dict = field(default_factory=dict)
    change: object = None
    """Called with topic, step and message before each is written."""


def time(ns):
    return Time(sec=ns // 1_000_000_000, nanosec=ns % 1_000_000_000)


def jpeg(camera, step, size, seed=0):
    """Return the JPEG of a camera at a step: a picture that says which it is."""
    rng = np.random.default_rng([seed, step, len(camera)])
    image = np.full((size, size, 3), rng.integers(0, 256, 3), np.uint8)
    return cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


def latest(changes, step, default):
    return changes.get(max((at for at in changes if at <= step), default=None), default)


def write_episode(folder, script=None, **changes):
    """Write an episode; returns its folder.

    The messages of a tick are spread over its 33 ms, so that segments are cut within ticks.
    """
    script = script or Script(**changes)
    rng = np.random.default_rng(script.seed)
    writer = EpisodeWriter(folder, {
        'episode_id': folder.name, 'robot': script.robot, 'task': script.task,
        'instruction': script.instruction, 'kind': 'test', **script.custom},
        segment_seconds=script.segment_seconds, durable=False)
    images = {}

    def write(name, message, stamp, step):
        if (step, name) in script.lost:
            return
        if script.change is not None:
            script.change(name, step, message)
        kind = type(message)
        writer.write(f'/{script.robot}/{name}',
                     f'{kind.__module__.partition(".")[0]}/msg/{kind.__name__}',
                     serialize(message), stamp)

    for step in range(script.steps):
        stamp, tick = 1_000_000_000 + step * PERIOD, script.first_tick + step
        joints = JointState(name=list(STATE_NAMES))
        joints.header.stamp = time(stamp - MS)
        joints.position = array.array('d', rng.normal(size=20))
        joints.velocity = array.array('d', rng.normal(size=20))
        write('joint_states', joints, stamp - MS, step)
        for camera in script.cameras:
            if step % script.image_every == 0:
                image = CompressedImage(format='rgb8; jpeg compressed bgr8')
                image.header.stamp = time(stamp - MS)
                image.data = array.array(
                    'B', jpeg(camera, step, script.image_size, script.seed))
                images[camera] = stamp - MS
                write(f'{camera}/image_raw/compressed', image, stamp - MS, step)
        message = Tick(tick=tick, cameras=list(images))
        message.header.stamp, message.joint_state_stamp = time(stamp), time(stamp - MS)
        message.header.frame_id = 'base_link'
        message.image_stamps = [time(one) for one in images.values()]
        write('tick', message, stamp, step)
        if script.scene:
            features = SceneFeatures(tick=tick, layout=script.layout)
            features.values = array.array('f', rng.normal(size=SCENE_1.size))
            write('scene_features', features, stamp + 2 * MS, step)
        source = latest(script.source, step, POLICY)
        asked = ControlStep(
            tick=tick, step_index=step, source=source, chunk_id=1 + step // 30,
            chunk_index=step % 30, joint_names=list(COMMAND_NAMES), cameras=list(images),
            policy_version=latest(script.version, step, 'a' * 64) if source == POLICY else '')
        asked.header.stamp, asked.joint_state_stamp = time(stamp), time(stamp - MS)
        asked.image_stamps = [time(one) for one in images.values()]
        command = rng.normal(size=16)
        asked.positions = array.array('d', command)
        write('control_step', asked, stamp + 10 * MS, step)
        sent = ExecutedCommand(
            tick=tick, joint_names=list(COMMAND_NAMES), state=script.driver.get(step, 0))
        sent.requested = array.array('d', command if rng.random() < 0.9 else [])
        sent.positions = array.array('d', command + rng.normal(size=16) * 0.01)
        sent.clips = array.array('B', rng.integers(0, 4, 16).astype(np.uint8))
        sent.detail = 'clipped' * int(rng.integers(0, 3))
        write('executed_command', sent, stamp + 11 * MS, step)
        last = step == script.steps - 1 and script.terminal
        if last or step in script.rewards:
            reward = Reward(
                tick=tick, terminal=script.terminal if last else 0,
                reward=float(last == SUCCESS) if last else script.rewards[step])
            write('reward', reward, stamp + 30 * MS, step)
    writer.close({'label': script.label} if script.label else {})
    return folder
