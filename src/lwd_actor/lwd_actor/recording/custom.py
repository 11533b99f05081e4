# SPDX-License-Identifier: Apache-2.0
"""What an episode's metadata.yaml says of it in custom_data."""

from __future__ import annotations

from collections import Counter

from rclpy.serialization import deserialize_message

from lwd_actor.recording.last_heard import LastHeard
from lwd_actor.recording.state import EpisodeState, Verdict
from lwd_actor.recording.tape import Tape
from lwd_msgs.msg import ControlStep, SceneFeatures


def at_the_beginning(state: EpisodeState, robot: LastHeard, operator: str) -> dict[str, str]:
    """Return what is known of an episode when it begins."""
    custom = {
        'episode_id': state.episode_id, 'robot': state.robot, 'task': state.task,
        'instruction': state.instruction, 'kind': 'recorded'}
    if robot.task is not None:
        custom |= {'distribution': robot.task.distribution, 'seed': str(robot.task.seed)}
    if (scene := robot.newest('scene_features')) is not None:
        custom['features'] = deserialize_message(scene.data, SceneFeatures).layout
    if operator:
        custom['operator'] = operator
    return custom


def at_the_end(tape: Tape, verdict: Verdict, lost: Counter[str]) -> dict[str, str]:
    """Return what is known when it has ended; a label says that it has."""
    custom = {
        'label': verdict.label.word, 'score': f'{verdict.score:g}', 'steps': str(tape.steps),
        'ended_by': verdict.by, 'detail': verdict.detail}
    if tape.last_step is not None:
        custom['policy'] = deserialize_message(tape.last_step.data, ControlStep).policy_version
    if lost:
        custom['lost'] = ', '.join(f'{name} {count}' for name, count in sorted(lost.items()))
    if tape.dropped:
        custom['dropped'] = str(tape.dropped)
    return custom
