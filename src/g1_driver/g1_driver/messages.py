# SPDX-License-Identifier: Apache-2.0
"""Between the loop's types and ROS messages."""

from __future__ import annotations

import array
from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from g1_description.cameras import camera
from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from g1_driver.commands import Command, Executed
from g1_driver.images import to_jpeg
from g1_driver.robot import Frame, JointSample, SceneInfo
from g1_sim.features import LAYOUT
from g1_sim.tasks.base import Verdict
from lwd_msgs.msg import ExecutedCommand, Reward, SceneFeatures, SimState, Task, Tick
from lwd_ros.convert import to_ns, to_time

Array = NDArray[np.float64]

BASE = 'base_link'


def joint_state(sample: JointSample) -> JointState:
    """Return the joint_states message of a sample."""
    message = JointState(name=list(STATE_NAMES))
    message.header.stamp = to_time(sample.stamp_ns)
    message.header.frame_id = BASE
    message.position = array.array('d', sample.positions)
    message.velocity = array.array('d', sample.velocities)
    message.effort = array.array('d', sample.efforts)
    return message


def image(frame: Frame, quality: int) -> CompressedImage:
    """Return the JPEG message of a frame."""
    message = CompressedImage(format='rgb8; jpeg compressed bgr8')
    message.header.stamp = to_time(frame.stamp_ns)
    message.header.frame_id = camera(frame.camera).frame
    message.data = array.array('B', to_jpeg(frame.rgb, quality))
    return message


def camera_info(frame: Frame) -> CameraInfo:
    """Return the pinhole model of a frame: the description's, for its crop and size."""
    height, width = frame.rgb.shape[:2]
    fx, fy, cx, cy = camera(frame.camera).intrinsics(width, height)
    message = CameraInfo(height=height, width=width, distortion_model='plumb_bob')
    message.header.stamp = to_time(frame.stamp_ns)
    message.header.frame_id = camera(frame.camera).frame
    message.d = [0.0] * 5
    message.k = [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def tick(
    number: int, stamp_ns: int, reset_count: int, joint_stamp_ns: int, images: Mapping[str, int],
) -> Tick:
    """Return the tick message; images maps cameras to the stamps of their newest images, ns."""
    message = Tick(tick=number, reset_count=reset_count)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    message.joint_state_stamp = to_time(joint_stamp_ns)
    message.cameras = list(images)
    message.image_stamps = [to_time(stamp) for stamp in images.values()]
    return message


def joint_command(positions: Array, stamp_ns: int) -> JointTrajectory:
    """Return the joint_command message of a command, (16,), that answers a tick's stamp."""
    message = JointTrajectory(joint_names=list(COMMAND_NAMES))
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    message.points = [JointTrajectoryPoint(positions=array.array('d', positions))]
    return message


def command(message: JointTrajectory) -> Command:
    """Return the command of a joint_command message; the filter checks it."""
    # A trajectory of several points is no command: their numbers together do not fit the layout.
    numbers = [number for point in message.points for number in point.positions]
    positions = np.asarray(numbers, dtype=np.float64)
    return Command(positions, to_ns(message.header.stamp), tuple(message.joint_names))


def executed_command(number: int, stamp_ns: int, executed: Executed) -> ExecutedCommand:
    """Return the answer to a tick."""
    message = ExecutedCommand(tick=number, joint_names=list(COMMAND_NAMES))
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    message.command_stamp = to_time(executed.command_stamp_ns)
    if executed.requested is not None:
        message.requested = array.array('d', executed.requested)
    message.positions = array.array('d', executed.positions)
    message.clips = array.array('B', executed.clips)
    message.state = int(executed.state)
    message.hold_reason = int(executed.hold)
    message.min_distance = executed.min_distance
    message.detail = executed.detail
    return message


def reward(number: int, stamp_ns: int, verdict: Verdict, subtasks: tuple[str, ...]) -> Reward:
    """Return the reward message of a simulated judge's verdict."""
    message = Reward(
        tick=number, reward=verdict.reward, score=verdict.score, terminal=int(verdict.terminal),
        judge=Reward.JUDGE_SIMULATOR, subtasks=list(subtasks),
        subtask_scores=array.array('d', verdict.subtask_scores), detail=verdict.detail)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    return message


def task(info: SceneInfo, stamp_ns: int, reset_count: int) -> Task:
    """Return the task message of a scene."""
    message = Task(
        task=info.task, instruction=info.instruction, distribution=info.distribution,
        seed=info.seed, reset_count=reset_count, time_limit=info.time_limit)
    message.header.stamp = to_time(stamp_ns)
    return message


def scene_features(number: int, stamp_ns: int, values: NDArray[np.float32]) -> SceneFeatures:
    """Return the features of a simulated scene, (F,), as a message."""
    message = SceneFeatures(tick=number, layout=LAYOUT)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    message.values = array.array('f', values)
    return message


def sim_state(
    number: int, stamp_ns: int, reset_count: int, info: SceneInfo, state: Array, memory: Array,
) -> SimState:
    """Return the privileged state of a simulated world."""
    message = SimState(
        tick=number, reset_count=reset_count, task=info.task, distribution=info.distribution,
        seed=info.seed, mujoco_version=mujoco.__version__)
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = BASE
    message.state = array.array('d', state)
    message.judge = array.array('d', memory)
    return message
