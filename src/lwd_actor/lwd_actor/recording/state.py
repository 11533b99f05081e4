# SPDX-License-Identifier: Apache-2.0
"""What is said of an episode: the content of lwd_msgs/Episode, and the words of its label."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from lwd_actor.errors import EpisodeError
from lwd_msgs.msg import Episode, Reward
from lwd_ros.convert import to_time


class Label(enum.IntEnum):
    """The values of lwd_msgs/Episode.LABEL_*; those up to TIMEOUT are Reward.TERMINAL_* too."""

    NONE = 0
    SUCCESS = 1
    FAILURE = 2
    TIMEOUT = 3
    DISCARD = 4

    @property
    def word(self) -> str:
        """As metadata.yaml has it."""
        return self.name.lower()


@dataclass(frozen=True)
class Verdict:
    """How an episode came out, and who says so."""

    label: Label
    score: float
    """In [0, 1]."""
    by: str
    detail: str = ''


def verdict(label: int, score: float, by: str, detail: str = '') -> Verdict:
    """Return a checked verdict; a score that is no number is 1 for a success, else 0.

    Raises:
        EpisodeError: There is no such label, or the score is out of range.
    """
    if label not in tuple(Label):
        known = ', '.join(f'{one.value} {one.word}' for one in Label)
        raise EpisodeError(f'label is {label}; known: {known}')
    if math.isnan(score):
        score = float(label == Label.SUCCESS)
    if not 0.0 <= score <= 1.0:
        raise EpisodeError(f'score is {score}; it must be in 0 .. 1, or NaN for what label says')
    return Verdict(Label(label), score, by, detail)


def reward(verdict: Verdict, episode_id: str, tick: int, stamp_ns: int) -> Reward | None:
    """Return the reward event of a verdict by somebody who publishes none; None if it has none."""
    if verdict.label not in (Label.SUCCESS, Label.FAILURE, Label.TIMEOUT):
        return None
    message = Reward(
        tick=tick, episode_id=episode_id, judge=Reward.JUDGE_OPERATOR, score=verdict.score,
        reward=float(verdict.label is Label.SUCCESS), terminal=int(verdict.label),
        detail=verdict.detail or f'{verdict.by} said so')
    message.header.stamp = to_time(stamp_ns)
    message.header.frame_id = 'base_link'
    return message


@dataclass(frozen=True)
class EpisodeState:
    """A robot's current or last episode."""

    episode_id: str
    robot: str
    task: str
    instruction: str
    state: int = Episode.STATE_RUNNING
    """Episode.STATE_*; running, but without begin_ns, before the first control step."""
    label: Label = Label.NONE
    first_tick: int = 0
    last_tick: int = 0
    stamp_ns: int = 0
    begin_ns: int = 0
    end_ns: int = 0
    score: float = 0.0
    segments: int = 0
    detail: str = ''

    def message(self) -> Episode:
        """Return it as a message."""
        message = Episode(
            episode_id=self.episode_id, robot=self.robot, task=self.task,
            instruction=self.instruction, state=self.state, label=int(self.label),
            first_tick=self.first_tick, last_tick=self.last_tick, score=self.score,
            segments=self.segments, detail=self.detail)
        message.header.stamp = to_time(self.stamp_ns)
        message.begin = to_time(self.begin_ns)
        message.end = to_time(self.end_ns)
        return message
