# SPDX-License-Identifier: Apache-2.0
"""The life of one episode after another: announced, begun, cut, closed.

An episode is announced first, so that control steps carry its id, and begins with a control step.
It ends with the step that a verdict is on, and is closed when all parts of that step have come.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lwd_actor.recording import custom
from lwd_actor.recording.bounds import TickInfo
from lwd_actor.recording.last_heard import LastHeard
from lwd_actor.recording.sink import Progress, Sink
from lwd_actor.recording.spool import Spool
from lwd_actor.recording.state import EpisodeState, Label, Verdict, reward
from lwd_actor.recording.tape import Tape
from lwd_data.cdr import serialize
from lwd_msgs.msg import Episode

_CLAIMED = 64
"""More steps are never heard of before their ticks."""


class Phase(enum.Enum):
    """Where an episode stands."""

    IDLE = 'no episode'
    AWAITED = 'waiting for its first control step'
    RUNNING = 'running'
    ENDING = 'waiting for the parts of its last control step'
    CLOSING = 'being written to disk'


class EpisodeLife:
    """Leads episodes from one phase to the next. Everything in one thread."""

    def __init__(
        self, robot_name: str, spool: Spool, sink: Sink, robot: LastHeard, *,
        on_change: Callable[[EpisodeState], None], clock: Callable[[], float],
    ) -> None:
        """Begin without an episode.

        Args:
            robot_name: Topics are recorded under it.
            spool: Where episodes go.
            sink: What writes them.
            robot: What was heard of the robot.
            on_change: Told of every change.
            clock: Wall time, s.
        """
        self.phase = Phase.IDLE
        self.since = 0.0
        """When the phase began, by the clock."""
        self.state: EpisodeState | None = None
        """Of the current or last episode."""
        self.verdict: Verdict | None = None
        """On the current or last episode."""
        self.judged: Verdict | None = None
        """The verdict that came as a reward, if one did."""
        self.finished = 0
        self.lost: Counter[str] = Counter()
        """By stream, over all episodes: messages that never came."""
        self.tape: Tape | None = None
        """Of the episode that is being recorded."""
        self.first: TickInfo | None = None
        """The tick with which an announced episode begins, once it is known."""
        self.claimed: deque[int] = deque(maxlen=_CLAIMED)
        """Newest ticks whose control steps carry the id of the announced episode."""
        self.after_reset_of: int | None = None
        """Reset count behind which the announced episode begins; None if it begins at once."""
        self._robot_name, self._spool, self._sink, self._robot = robot_name, spool, sink, robot
        self._on_change, self._clock = on_change, clock
        self._operator = ''

    @property
    def name(self) -> str:
        """The id of the current or last episode; empty if there was none."""
        return '' if self.state is None else self.state.episode_id

    def announce(
        self, tick: TickInfo, task: str, instruction: str, operator_id: str, *, after_reset: bool,
    ) -> str:
        """Announce an episode, to begin now or with the robot's next reset; returns its id."""
        self.verdict, self.judged = None, None
        self.first, self._operator = None, operator_id
        self.claimed.clear()
        self.after_reset_of = tick.reset_count if after_reset else None
        self.enter(Phase.AWAITED)
        self.state = EpisodeState(
            self._spool.new_id(), self._robot_name, task, instruction, stamp_ns=tick.stamp_ns)
        self._on_change(self.state)
        return self.state.episode_id

    def cancel(self, why: str) -> None:
        """Give up an announced episode that has not begun."""
        if self.phase is Phase.AWAITED:
            self.verdict = Verdict(Label.DISCARD, 0.0, 'recorder', why)
            self._robot.history.unpin()
            self.enter(Phase.IDLE)
            self.change(state=Episode.STATE_ENDED, label=Label.DISCARD, detail=why)

    def check(self) -> None:
        """See whether what came ends the episode, or was the last that it waited for."""
        tape = self.tape
        if tape is None:
            return
        if self.phase is Phase.RUNNING and tape.doubled:
            self.cut(tape.newest.tick, Verdict(Label.DISCARD, 0.0, 'recorder', tape.doubled))
        if self.phase is Phase.ENDING and tape.whole:
            self.finish()

    def begin_if_ready(self) -> None:
        """Begin the announced episode if its first tick, and what the scene is, are known."""
        first, task = self.first, self._robot.task
        if self.phase is not Phase.AWAITED or first is None or self.state is None:
            return
        if self.after_reset_of is not None and (
                task is None or task.reset_count != first.reset_count):
            # The scene is announced by a topic of its own, which may come a little later.
            return
        if task is not None:
            self.state = replace(
                self.state, task=task.task, instruction=task.instruction)
        self._sink.begin(self._spool.path(self.name), custom.at_the_beginning(
            self.state, self._robot, self._operator))
        scene = ['scene_features'] if self._robot.newest('scene_features') is not None else []
        self.tape = Tape(self._sink, '/' + self._robot_name, first,
                          ['control_step', 'executed_command', *scene])
        self.enter(Phase.RUNNING)
        self.change(first_tick=first.tick, begin_ns=first.stamp_ns, stamp_ns=first.stamp_ns)
        self._open_tape(self.tape, first)

    def _open_tape(self, tape: Tape, first: TickInfo) -> None:
        assert self.state is not None  # noqa: S101  an episode begins
        # What came before, and holds at the first step.
        for name in ('task', *(['action_chunk'] if self.after_reset_of is None else [])):
            before = self._robot.newest(name)
            if before is not None and before.stamp_ns <= first.stamp_ns:
                tape.put(name, before.stream.type_name, before.data, first.stamp_ns)
        self._put_state(tape)
        for got in self._robot.history:
            if got.stream.name != 'task':
                tape.take(got)
            info = self._robot.tick_of(got.tick) if got.stream.name == 'tick' else None
            if info is not None and info.tick >= first.tick:
                tape.see(info)
        self._robot.history.unpin()

    def interruption(self, detail: str) -> Verdict:
        """Return the verdict of an episode that is cut off: what was said before, or none."""
        return self.verdict or Verdict(Label.NONE, 0.0, 'recorder', detail)

    def cut(self, tick: int, verdict: Verdict) -> None:
        """End the running episode with a tick; its last parts are still awaited."""
        assert self.tape is not None  # noqa: S101  it runs
        last = self.tape.cut(tick)
        self.verdict = verdict
        self.enter(Phase.ENDING)
        assert self.state is not None  # noqa: S101  it runs
        self.state = replace(
            self.state, state=Episode.STATE_ENDED, last_tick=last.tick, end_ns=last.stamp_ns,
            stamp_ns=last.stamp_ns)
        self.check()

    def finish(self) -> None:
        """Have the ended episode closed, with what has come of it."""
        tape, verdict = self.tape, self.verdict
        assert tape is not None  # noqa: S101  it was cut
        assert verdict is not None  # noqa: S101
        assert self.state is not None  # noqa: S101
        lost = tape.finish()
        self.lost += lost
        last = tape.bounds.last
        assert last is not None  # noqa: S101
        said = reward(verdict, self.name, last.tick, last.stamp_ns)
        if verdict is not self.judged and said is not None:
            # For the learner, which looks at rewards and not at labels.
            tape.put('reward', 'lwd_msgs/msg/Reward', serialize(said), last.stamp_ns)
        self.state = replace(
            self.state, label=verdict.label, score=verdict.score, detail=verdict.detail)
        self._put_state(tape)
        self._sink.end(custom.at_the_end(tape, verdict, lost))
        self.tape = None
        self.enter(Phase.CLOSING)

    def _put_state(self, tape: Tape) -> None:
        assert self.state is not None  # noqa: S101  an episode is current
        tape.put('episode', 'lwd_msgs/msg/Episode', serialize(self.state.message()),
                 self.state.stamp_ns)

    def progressed(self, progress: Progress) -> None:
        """Take what became of an episode on disk."""
        if self.state is None or progress.episode_id != self.state.episode_id:
            return
        if not progress.closed:
            self.change(segments=progress.segments)
            return
        if progress.error:
            self.verdict = Verdict(Label.NONE, 0.0, 'recorder', progress.error)
        assert self.verdict is not None  # noqa: S101  it was closed by a verdict
        self.tape = None
        self.finished += 1
        self.enter(Phase.IDLE)
        self.change(
            state=Episode.STATE_ENDED, segments=progress.segments, label=self.verdict.label,
            score=self.verdict.score, detail=self.verdict.detail)

    def enter(self, phase: Phase) -> None:
        """Go over to a phase."""
        self.phase, self.since = phase, self._clock()

    def change(self, **changes: Any) -> None:
        """Change what is said of the current or last episode, and say it."""
        assert self.state is not None  # noqa: S101  an episode is current
        self.state = replace(self.state, **changes)
        self._on_change(self.state)
