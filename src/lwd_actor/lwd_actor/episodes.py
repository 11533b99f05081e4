# SPDX-License-Identifier: Apache-2.0
"""The episodes of one robot: when they begin and end, what they are called, what they hold.

An episode is announced first, so that control steps carry its id, and begins with a control step:
the first one that carries it, or the first of the next scene. It ends with the step that a verdict
is on, and is closed when all parts of that step have come.
"""

from __future__ import annotations

import enum
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rclpy.serialization import deserialize_message

from lwd_actor.errors import EpisodeError
from lwd_actor.recording import custom
from lwd_actor.recording.bounds import TickInfo
from lwd_actor.recording.last_heard import LastHeard
from lwd_actor.recording.sink import Progress, Sink
from lwd_actor.recording.spool import Spool
from lwd_actor.recording.state import EpisodeState, Label, Verdict, reward
from lwd_actor.recording.streams import Item, Stream, item
from lwd_actor.recording.tape import Tape
from lwd_data.cdr import serialize
from lwd_msgs.msg import Episode, Reward

_BEGIN_PATIENCE = 30.0
_END_PATIENCE = 3.0
_QUIET = 0.3
_DISK_EVERY = 1.0
_JUDGES = {
    Reward.JUDGE_SIMULATOR: 'simulator', Reward.JUDGE_OPERATOR: 'operator',
    Reward.JUDGE_CLASSIFIER: 'classifier'}


class Phase(enum.Enum):
    """Where an episode stands."""

    IDLE = 'no episode'
    AWAITED = 'waiting for its first control step'
    RUNNING = 'running'
    ENDING = 'waiting for the parts of its last control step'
    CLOSING = 'being written to disk'


@dataclass(frozen=True)
class EpisodeRules:
    """What holds for every episode of a robot."""

    time_limit: float = 0.0
    """s of the robot's time after which one ends with label timeout; 0 for none."""
    silence: float = 30.0
    """s of wall time without a tick after which one ends without a label."""


class Episodes:
    """Starts, labels and ends the episodes of a robot. Everything in one thread."""

    def __init__(
        self, robot: str, spool: Spool, sink: Sink, *, rules: EpisodeRules | None = None,
        on_change: Callable[[EpisodeState], None] = lambda _: None,
        obstacle: Callable[[], str] = lambda: '', clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without an episode.

        Args:
            robot: Its name; topics are recorded under it.
            spool: Where episodes go.
            sink: What writes them.
            rules: See EpisodeRules.
            on_change: Told of every change.
            obstacle: Says why the robot cannot be recorded now; empty if it can.
            clock: Wall time, s.
        """
        self.phase = Phase.IDLE
        self.state: EpisodeState | None = None
        """Of the current or last episode."""
        self.verdict: Verdict | None = None
        """On the current or last episode."""
        self.finished = 0
        self.lost: Counter[str] = Counter()
        """By stream, over all episodes: messages that never came."""
        self.robot = LastHeard(clock)
        self.heard_at = -1e9
        """When the last tick came, by the clock."""
        self._name_of_robot, self._spool, self._sink = robot, spool, sink
        self._rules = rules or EpisodeRules()
        self._on_change, self._obstacle, self._clock = on_change, obstacle, clock
        self._tape: Tape | None = None
        self._first: TickInfo | None = None
        self._after_reset_of: int | None = None
        self._judged: Verdict | None = None
        self._operator = ''
        self._since = 0.0
        self._looked_at_disk = 0.0

    # What is asked of it.

    def start(
        self, task: str = '', instruction: str = '', operator_id: str = '', *,
        after_reset: bool = False,
    ) -> str:
        """Announce an episode; returns its id.

        Args:
            task: Empty for the one that the robot is set to.
            instruction: Empty for the task's own.
            operator_id: Who starts it.
            after_reset: Whether it begins with the robot's next reset, and not at once.

        Raises:
            EpisodeError: One is running, there is no room, or the robot cannot be recorded.
        """
        if self.phase is not Phase.IDLE:
            raise EpisodeError(
                f'{self._name} is {self.phase.value}; end it before another one is started')
        for why in (self._spool.trouble(), self._obstacle()):
            if why:
                raise EpisodeError(f'no episode can be started: {why}')
        tick = self.robot.tick
        if tick is None:
            raise EpisodeError('no episode can be started: no tick was heard of the driver yet')
        if not after_reset:
            task, instruction = self._checked(task, instruction)
        self.verdict, self._judged = None, None
        self._first, self._operator = None, operator_id
        self._after_reset_of = tick.reset_count if after_reset else None
        self._enter(Phase.AWAITED)
        self.state = EpisodeState(
            self._spool.new_id(), self._name_of_robot, task, instruction,
            stamp_ns=tick.stamp_ns)
        self._on_change(self.state)
        return self.state.episode_id

    def _checked(self, task: str, instruction: str) -> tuple[str, str]:
        """Return task and instruction; a simulated robot has its own."""
        known = self.robot.task
        if known is None:
            if not task or not instruction:
                raise EpisodeError(
                    'this robot does not say which task it is set to: start the episode with task '
                    f'and instruction (task is {task!r}, instruction {instruction!r})')
            return task, instruction
        for name, asked, own in (('task', task, known.task),
                                 ('instruction', instruction, known.instruction)):
            if asked not in ('', own):
                raise EpisodeError(
                    f'{name} is {asked!r}, but the robot is set to {own!r}; call set_task first')
        return known.task, known.instruction

    def end(self, episode_id: str, verdict: Verdict) -> str:
        """End the running episode; returns its id.

        Args:
            episode_id: Its id; empty for whichever runs.
            verdict: Its label.

        Raises:
            EpisodeError: It has ended already, or there is no such episode.
        """
        self._expect(episode_id)
        assert self.state is not None  # noqa: S101  it is current
        if self.phase is Phase.AWAITED:
            self.cancel(f'ended by {verdict.by} before its first control step')
        else:
            assert self._tape is not None  # noqa: S101  it runs
            self._cut(self._tape.newest.tick, self.verdict or verdict)
        return self.state.episode_id

    def _expect(self, episode_id: str) -> None:
        """Raise EpisodeError if an episode is not the running one."""
        state = self.state
        if self.phase in (Phase.AWAITED, Phase.RUNNING):
            if episode_id not in ('', self._name):
                raise EpisodeError(
                    f'{episode_id!r} is not running; the running episode is {self._name}')
        elif state is None:
            raise EpisodeError('no episode is running, and none was since the recorder started')
        else:
            last = self.verdict
            how = '' if last is None else f', with label {last.label.word}, by {last.by}'
            if episode_id in ('', state.episode_id):
                raise EpisodeError(f'{state.episode_id} has ended already{how}')
            raise EpisodeError(
                f'{episode_id!r} is not running; the last episode was {state.episode_id}')

    def label(self, episode_id: str, verdict: Verdict) -> None:
        """Label an episode: the running one, for when it ends, or one in the spool.

        Raises:
            EpisodeError: There is no such episode.
        """
        if self.phase is not Phase.IDLE and episode_id == self._name:
            if self.phase is Phase.CLOSING:
                raise EpisodeError(f'{episode_id} is {self.phase.value}; label it in a moment')
            self.verdict = verdict
            return
        self._spool.relabel(episode_id, {
            'label': verdict.label.word, 'score': f'{verdict.score:g}',
            'labelled_by': verdict.by, 'detail': verdict.detail})
        if self.state is not None and episode_id == self.state.episode_id:
            self.verdict = verdict
            self._change(label=verdict.label, score=verdict.score, detail=verdict.detail)

    def cancel(self, why: str) -> None:
        """Give up an announced episode that has not begun."""
        if self.phase is Phase.AWAITED:
            self.verdict = Verdict(Label.DISCARD, 0.0, 'recorder', why)
            self.robot.history.unpin()
            self._enter(Phase.IDLE)
            self._change(state=Episode.STATE_ENDED, label=Label.DISCARD, detail=why)

    def close(self, verdict: Verdict) -> None:
        """End what runs at once, with what has come of it; nothing is awaited any more."""
        if self.phase is Phase.AWAITED:
            self.cancel(verdict.detail)
        if self.phase is Phase.RUNNING and self._tape is not None:
            self._cut(self._tape.newest.tick, self.verdict or verdict)
        if self.phase is Phase.ENDING:
            self._finish()

    # What comes in.

    def take(self, stream: Stream, data: bytes) -> None:
        """Take a message of the robot.

        Raises:
            RecordingError: It is damaged.
        """
        got = item(stream, data)
        name = stream.name
        if name == 'tick':
            self._on_tick(got)
            return
        self.robot.heard(got)
        # An episode that begins with this message takes it from the history.
        tape = self._tape
        if name == 'task':
            self._begin_if_ready()
        elif name == 'control_step' and self.phase is Phase.AWAITED:
            self._on_first_step(got)
        if tape is not None and name != 'task':
            tape.take(got)
            if name == 'reward':
                self._on_reward(deserialize_message(data, Reward))
            self._check()

    def _on_tick(self, got: Item) -> None:
        before = self.robot.tick
        info = self.robot.began(got)
        self.heard_at = self._clock()
        if before is not None and info.tick <= before.tick:
            if self.phase is Phase.RUNNING:
                self._cut(before.tick, self._abort(
                    f'tick {info.tick} came after tick {before.tick}: the driver was started '
                    'again, or a second one publishes'))
            if self.phase is Phase.ENDING:
                self._finish()
        if self._tape is not None:
            self._record_tick(got, info)
        elif (self.phase is Phase.AWAITED and self._first is None
              and self._after_reset_of not in (None, info.reset_count)):
            self._first = info
            self.robot.history.pin()
            self._begin_if_ready()

    def _record_tick(self, got: Item, info: TickInfo) -> None:
        tape = self._tape
        assert tape is not None  # noqa: S101  the caller has looked
        first, limit = tape.bounds.first, self._rules.time_limit
        if self.phase is Phase.RUNNING and info.reset_count != first.reset_count:
            self._cut(info.tick - 1, self._abort('the robot was reset'))
        elif self.phase is Phase.RUNNING and 0.0 < limit < (
                info.stamp_ns - first.stamp_ns) / 1e9:
            self._cut(info.tick - 1, Verdict(
                Label.TIMEOUT, 0.0, 'recorder', f'the limit of {limit:g} s is over'))
        tape.take(got)
        tape.see(info)
        self._check()

    def _on_first_step(self, got: Item) -> None:
        if self._after_reset_of is None and self._name.encode() in got.data:
            self._first = self.robot.tick_of(got.tick)
            self._begin_if_ready()

    def _on_reward(self, message: Reward) -> None:
        if (self.phase is not Phase.RUNNING or message.terminal == Reward.TERMINAL_NONE
                or message.episode_id not in ('', self._name)
                or message.terminal not in tuple(Label)
                or self._tape is None or message.tick < self._tape.bounds.first.tick):
            return
        judged = Verdict(
            Label(message.terminal), message.score, _JUDGES.get(message.judge, 'unknown judge'),
            message.detail)
        self._judged = judged
        self._cut(message.tick, self.verdict or judged)

    def _check(self) -> None:
        tape = self._tape
        if tape is None:
            return
        if self.phase is Phase.RUNNING and tape.doubled:
            self._cut(tape.newest.tick, Verdict(Label.DISCARD, 0.0, 'recorder', tape.doubled))
        if self.phase is Phase.ENDING and tape.whole:
            self._finish()

    # What follows from it.

    def _begin_if_ready(self) -> None:
        first, task = self._first, self.robot.task
        if self.phase is not Phase.AWAITED or first is None or self.state is None:
            return
        if self._after_reset_of is not None and (
                task is None or task.reset_count != first.reset_count):
            # The scene is announced by a topic of its own, which may come a little later.
            return
        if task is not None:
            self.state = replace(
                self.state, task=task.task, instruction=task.instruction)
        self._sink.begin(self._spool.path(self._name), custom.at_the_beginning(
            self.state, self.robot, self._operator))
        scene = ['scene_features'] if self.robot.newest('scene_features') is not None else []
        self._tape = Tape(self._sink, '/' + self._name_of_robot, first,
                          ['control_step', 'executed_command', *scene])
        self._enter(Phase.RUNNING)
        self._change(first_tick=first.tick, begin_ns=first.stamp_ns, stamp_ns=first.stamp_ns)
        self._open_tape(self._tape, first)

    def _open_tape(self, tape: Tape, first: TickInfo) -> None:
        assert self.state is not None  # noqa: S101  an episode begins
        # What came before, and holds at the first step.
        for name in ('task', *(['action_chunk'] if self._after_reset_of is None else [])):
            before = self.robot.newest(name)
            if before is not None and before.stamp_ns <= first.stamp_ns:
                tape.put(name, before.stream.type_name, before.data, first.stamp_ns)
        self._put_state(tape)
        for got in self.robot.history:
            if got.stream.name != 'task':
                tape.take(got)
            info = self.robot.tick_of(got.tick) if got.stream.name == 'tick' else None
            if info is not None and info.tick >= first.tick:
                tape.see(info)
        self.robot.history.unpin()

    def _abort(self, detail: str) -> Verdict:
        return self.verdict or Verdict(Label.NONE, 0.0, 'recorder', detail)

    def _cut(self, tick: int, verdict: Verdict) -> None:
        assert self._tape is not None  # noqa: S101  it runs
        last = self._tape.cut(tick)
        self.verdict = verdict
        self._enter(Phase.ENDING)
        assert self.state is not None  # noqa: S101  it runs
        self.state = replace(
            self.state, state=Episode.STATE_ENDED, last_tick=last.tick, end_ns=last.stamp_ns,
            stamp_ns=last.stamp_ns)
        self._check()

    def _finish(self) -> None:
        tape, verdict = self._tape, self.verdict
        assert tape is not None  # noqa: S101  it was cut
        assert verdict is not None  # noqa: S101
        assert self.state is not None  # noqa: S101
        lost = tape.finish()
        self.lost += lost
        last = tape.bounds.last
        assert last is not None  # noqa: S101
        said = reward(verdict, self._name, last.tick, last.stamp_ns)
        if verdict is not self._judged and said is not None:
            # For the learner, which looks at rewards and not at labels.
            tape.put('reward', 'lwd_msgs/msg/Reward', serialize(said), last.stamp_ns)
        self.state = replace(
            self.state, label=verdict.label, score=verdict.score, detail=verdict.detail)
        self._put_state(tape)
        self._sink.end(custom.at_the_end(tape, verdict, lost))
        self._tape = None
        self._enter(Phase.CLOSING)

    def _put_state(self, tape: Tape) -> None:
        assert self.state is not None  # noqa: S101  an episode is current
        tape.put('episode', 'lwd_msgs/msg/Episode', serialize(self.state.message()),
                 self.state.stamp_ns)

    def poll(self) -> None:
        """Do what time asks for. To be called some twenty times a second."""
        now, tape = self._clock(), self._tape
        for progress in self._sink.progress():
            self._on_progress(progress)
        if self.phase is Phase.AWAITED:
            if self.robot.history.overflowed or now - self._since > _BEGIN_PATIENCE:
                self.cancel(
                    'no control step took it up: is the arbiter running, and was the robot reset?')
        elif self.phase is Phase.RUNNING and tape is not None:
            if now - self.heard_at > _QUIET:
                tape.release()
            if now - self.heard_at > self._rules.silence:
                self._cut(tape.newest.tick, self._abort(
                    f'no tick for {self._rules.silence:g} s: is the driver running?'))
            elif now - self._looked_at_disk > _DISK_EVERY:
                self._looked_at_disk = now
                if (trouble := self._spool.trouble()):
                    self._cut(tape.newest.tick, self._abort(trouble))
        elif self.phase is Phase.ENDING and now - self._since > _END_PATIENCE:
            self._finish()

    def _on_progress(self, progress: Progress) -> None:
        if self.state is None or progress.episode_id != self.state.episode_id:
            return
        if not progress.closed:
            self._change(segments=progress.segments)
            return
        if progress.error:
            self.verdict = Verdict(Label.NONE, 0.0, 'recorder', progress.error)
        assert self.verdict is not None  # noqa: S101  it was closed by a verdict
        self._tape = None
        self.finished += 1
        self._enter(Phase.IDLE)
        self._change(
            state=Episode.STATE_ENDED, segments=progress.segments, label=self.verdict.label,
            score=self.verdict.score, detail=self.verdict.detail)

    @property
    def _name(self) -> str:
        return '' if self.state is None else self.state.episode_id

    def _enter(self, phase: Phase) -> None:
        self.phase, self._since = phase, self._clock()

    def _change(self, **changes: Any) -> None:
        assert self.state is not None  # noqa: S101  an episode is current
        self.state = replace(self.state, **changes)
        self._on_change(self.state)
