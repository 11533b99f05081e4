# SPDX-License-Identifier: Apache-2.0
"""The episodes of one robot: when they begin and end, what they are called, what they hold.

An episode is announced first, so that control steps carry its id, and begins with a control step:
the first one that carries it, or the first of the next scene. It ends with the step that a verdict
is on, and is closed when all parts of that step have come.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from lwd_actor.episode_feed import EpisodeFeed, EpisodeRules
from lwd_actor.episode_life import EpisodeLife, Phase
from lwd_actor.errors import EpisodeError
from lwd_actor.recording.last_heard import LastHeard
from lwd_actor.recording.sink import Sink
from lwd_actor.recording.spool import Spool
from lwd_actor.recording.state import EpisodeState, Verdict
from lwd_actor.recording.streams import Stream

_BEGIN_PATIENCE = 30.0
_END_PATIENCE = 3.0
_QUIET = 0.4
_DISK_EVERY = 1.0


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
        self.robot = LastHeard(clock)
        self._life = EpisodeLife(robot, spool, sink, self.robot, on_change=on_change, clock=clock)
        self._rules = rules or EpisodeRules()
        self._feed = EpisodeFeed(self._life, self.robot, self._rules, clock=clock)
        self._spool, self._sink = spool, sink
        self._obstacle, self._clock = obstacle, clock
        self._looked_at_disk = 0.0

    @property
    def phase(self) -> Phase:
        """Where the current episode stands."""
        return self._life.phase

    @property
    def state(self) -> EpisodeState | None:
        """Of the current or last episode."""
        return self._life.state

    @property
    def verdict(self) -> Verdict | None:
        """On the current or last episode."""
        return self._life.verdict

    @property
    def finished(self) -> int:
        """How many episodes were closed."""
        return self._life.finished

    @property
    def lost(self) -> Counter[str]:
        """By stream, over all episodes: messages that never came."""
        return self._life.lost

    @property
    def heard_at(self) -> float:
        """When the last tick came, by the clock."""
        return self._feed.heard_at

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
        return self._life.announce(
            tick, task, instruction, operator_id, after_reset=after_reset)

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
            assert self._life.tape is not None  # noqa: S101  it runs
            self._life.cut(self._life.tape.newest.tick, self.verdict or verdict)
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
            self._life.verdict = verdict
            return
        self._spool.relabel(episode_id, {
            'label': verdict.label.word, 'score': f'{verdict.score:g}',
            'labelled_by': verdict.by, 'detail': verdict.detail})
        if self.state is not None and episode_id == self.state.episode_id:
            self._life.verdict = verdict
            self._life.change(label=verdict.label, score=verdict.score, detail=verdict.detail)

    def cancel(self, why: str) -> None:
        """Give up an announced episode that has not begun."""
        self._life.cancel(why)

    def close(self, verdict: Verdict) -> None:
        """End what runs at once, with what has come of it; nothing is awaited any more."""
        if self.phase is Phase.AWAITED:
            self.cancel(verdict.detail)
        if self.phase is Phase.RUNNING and self._life.tape is not None:
            self._life.cut(self._life.tape.newest.tick, self.verdict or verdict)
        if self.phase is Phase.ENDING:
            self._life.finish()

    # What comes in.

    def take(self, stream: Stream, data: bytes) -> None:
        """Take a message of the robot.

        Raises:
            RecordingError: It is damaged.
        """
        self._feed.take(stream, data)

    def poll(self) -> None:
        """Do what time asks for. To be called some twenty times a second."""
        now, tape = self._clock(), self._life.tape
        for progress in self._sink.progress():
            self._life.progressed(progress)
        if self.phase is Phase.AWAITED:
            if self.robot.history.overflowed or now - self._life.since > _BEGIN_PATIENCE:
                self.cancel(
                    'no control step took it up: is the arbiter running, and was the robot reset?')
        elif self.phase is Phase.RUNNING and tape is not None:
            if now - self.heard_at > _QUIET:
                tape.release()
            if now - self.heard_at > self._rules.silence:
                self._life.cut(tape.newest.tick, self._life.interruption(
                    f'no tick for {self._rules.silence:g} s: is the driver running?'))
            elif now - self._looked_at_disk > _DISK_EVERY:
                self._looked_at_disk = now
                if (trouble := self._spool.trouble()):
                    self._life.cut(tape.newest.tick, self._life.interruption(trouble))
        elif self.phase is Phase.ENDING and now - self._life.since > _END_PATIENCE:
            self._life.finish()

    @property
    def _name(self) -> str:
        return self._life.name
