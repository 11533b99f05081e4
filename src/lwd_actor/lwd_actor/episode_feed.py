# SPDX-License-Identifier: Apache-2.0
"""What of a robot's messages begins, fills and ends its episodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rclpy.serialization import deserialize_message

from lwd_actor.episode_life import EpisodeLife, Phase
from lwd_actor.recording.bounds import TickInfo
from lwd_actor.recording.last_heard import LastHeard
from lwd_actor.recording.state import Label, Verdict
from lwd_actor.recording.streams import Item, Stream, item
from lwd_msgs.msg import Reward

_JUDGES = {
    Reward.JUDGE_SIMULATOR: 'simulator', Reward.JUDGE_OPERATOR: 'operator',
    Reward.JUDGE_CLASSIFIER: 'classifier'}


@dataclass(frozen=True)
class EpisodeRules:
    """What holds for every episode of a robot."""

    time_limit: float = 0.0
    """s of the robot's time after which one ends with label timeout; 0 for none."""
    silence: float = 30.0
    """s of wall time without a tick after which one ends without a label."""


class EpisodeFeed:
    """Takes a robot's messages, for the episode that runs or is to begin."""

    def __init__(
        self, life: EpisodeLife, robot: LastHeard, rules: EpisodeRules, *,
        clock: Callable[[], float],
    ) -> None:
        """Take messages.

        Args:
            life: Of the episodes.
            robot: Keeps what was heard.
            rules: See EpisodeRules.
            clock: Wall time, s.
        """
        self.heard_at = -1e9
        """When the last tick came, by the clock."""
        self._life, self._robot, self._rules, self._clock = life, robot, rules, clock

    def take(self, stream: Stream, data: bytes) -> None:
        """Take a message of the robot.

        Raises:
            RecordingError: It is damaged.
        """
        life = self._life
        got = item(stream, data)
        name = stream.name
        if name == 'tick':
            self._on_tick(got)
            return
        self._robot.heard(got)
        # An episode that begins with this message takes it from the history.
        tape = life.tape
        if name == 'task':
            life.begin_if_ready()
        elif name == 'control_step' and life.phase is Phase.AWAITED:
            if life.name.encode() in got.data:
                life.claimed.append(got.tick)
            self._begin()
        if tape is not None and name != 'task':
            tape.take(got)
            if name == 'reward':
                self._on_reward(deserialize_message(data, Reward))
            life.check()

    def _on_tick(self, got: Item) -> None:
        life = self._life
        before = self._robot.tick
        info = self._robot.began(got)
        self.heard_at = self._clock()
        if before is not None and info.tick <= before.tick:
            life.claimed.clear()
            if life.phase is Phase.RUNNING:
                life.cut(before.tick, life.interruption(
                    f'tick {info.tick} came after tick {before.tick}: the driver was started '
                    'again, or a second one publishes'))
            if life.phase is Phase.ENDING:
                life.finish()
        if life.tape is not None:
            self._record_tick(got, info)
        elif life.phase is Phase.AWAITED:
            if (before is not None and info.reset_count != before.reset_count
                    and life.after_reset_of not in (None, info.reset_count)):
                self._robot.history.pin()
            self._begin()

    def _record_tick(self, got: Item, info: TickInfo) -> None:
        life = self._life
        tape = life.tape
        assert tape is not None  # noqa: S101  the caller has looked
        first, limit = tape.bounds.first, self._rules.time_limit
        if life.phase is Phase.RUNNING and info.reset_count != first.reset_count:
            life.cut(info.tick - 1, life.interruption('the robot was reset'))
        elif life.phase is Phase.RUNNING and 0.0 < limit < (
                info.stamp_ns - first.stamp_ns) / 1e9:
            life.cut(info.tick - 1, Verdict(
                Label.TIMEOUT, 0.0, 'recorder', f'the limit of {limit:g} s is over'))
        tape.take(got)
        tape.see(info)
        life.check()

    def _begin(self) -> None:
        """Begin with the first step that carries the episode's id: of the next scene, if asked.

        Usually that is the scene's first step. Whoever gives commands may hear of the episode a
        little later, from a recorder that was just started; what he said before is not of it.
        """
        life = self._life
        if life.first is not None:
            return
        for number in life.claimed:
            # A step may be heard of before its tick.
            info = self._robot.tick_of(number)
            if info is not None and info.reset_count != life.after_reset_of:
                life.first = info
                life.begin_if_ready()
                return

    def _on_reward(self, message: Reward) -> None:
        life = self._life
        if (life.phase is not Phase.RUNNING or message.terminal == Reward.TERMINAL_NONE
                or message.episode_id not in ('', life.name)
                or message.terminal not in tuple(Label)
                or life.tape is None or message.tick < life.tape.bounds.first.tick):
            return
        judged = Verdict(
            Label(message.terminal), message.score, _JUDGES.get(message.judge, 'unknown judge'),
            message.detail)
        life.judged = judged
        life.cut(message.tick, life.verdict or judged)
