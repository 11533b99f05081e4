# SPDX-License-Identifier: Apache-2.0
"""Episode after episode without a human: which task and scene comes next, and what to do now."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lwd_actor.episode_life import Phase
from lwd_actor.episodes import Episodes
from lwd_actor.errors import EpisodeError
from lwd_actor.recording.state import Label

FILE = 'session.json'
_BACK_OFF = 2.0
_PATIENCE = 40.0
_ATTEMPTS = 3


@dataclass(frozen=True)
class SessionConfig:
    """What a robot does by itself; simulated robots only: a real scene has to be set up."""

    tasks: tuple[str, ...] = ()
    """Taken in turn; empty for the one that the robot is set to."""
    distribution: str = ''
    """train or deploy; empty for the robot's own."""
    first_seed: int = field(default=0, metadata={'range': (0, 2**31 - 1)})
    """Of the scenes: each task gets this one, the next, and so on."""
    seeds: int = field(default=0, metadata={'range': (0, 2**31 - 1)})
    """How many before the first one comes again; 0 for no end."""
    episodes: int = field(default=0, metadata={'range': (0, 2**31 - 1)})
    """How many to record; 0 for no end."""


class Act(enum.Enum):
    """What a session wants done."""

    SET_TASK = 'set_task'
    RESET = 'reset'


@dataclass(frozen=True)
class Wish:
    """A service call that a session waits for; `Session.answered` takes the answer."""

    act: Act
    task: str = ''
    distribution: str = ''
    seed: int = -1


class _Stage(enum.Enum):
    WAITING = 'waiting'
    ASKED = 'waiting for an answer'
    RECORDING = 'recording'


class Session:
    """Sets the task, resets, records until the verdict, and so on. Call `poll` often.

    How far it is stands in a file: after a crash it goes on there.
    """

    def __init__(
        self, config: SessionConfig, episodes: Episodes, folder: Path, *,
        obstacle: Callable[[], str], clock: Callable[[], float],
    ) -> None:
        """Begin, or go on.

        Args:
            config: What to record.
            episodes: Records it.
            folder: Where the file is kept.
            obstacle: Says why no episode can begin now; empty if one can.
            clock: Wall time, s.
        """
        self.config = config
        self.reason = ''
        """Why it waits."""
        self._episodes, self._obstacle, self._clock = episodes, obstacle, clock
        self._file = folder / FILE
        self._stage = _Stage.WAITING
        self._asked: Wish | None = None
        self._since = self._not_before = -1e9
        self._attempts = 0
        self.done = self._read()

    @property
    def over(self) -> bool:
        """Whether all episodes are recorded."""
        return 0 < self.config.episodes <= self.done

    @property
    def scene(self) -> tuple[str, int]:
        """Return task and seed of the present or next episode."""
        tasks = self.config.tasks or ('',)
        turn, place = divmod(self.done, len(tasks))
        return tasks[place], self.config.first_seed + (
            turn % self.config.seeds if self.config.seeds else turn)

    def poll(self) -> Wish | None:
        """Go on; returns what to ask the robot, once."""
        now = self._clock()
        if self._stage is _Stage.RECORDING and self._episodes.phase is Phase.IDLE:
            self._ended()
        if self._stage is _Stage.ASKED and now - self._since > _PATIENCE:
            self._retry(f'{self._wanted.act.value} was not answered in {_PATIENCE:g} s')
        if self.over or self._stage is not _Stage.WAITING or now < self._not_before:
            return None
        self.reason = self._obstacle()
        if self.reason:
            return None
        return self._next()

    @property
    def _wanted(self) -> Wish:
        assert self._asked is not None  # noqa: S101  it has asked
        return self._asked

    def _next(self) -> Wish | None:
        task, seed = self.scene
        known = self._episodes.robot.task
        wanted = (task, self.config.distribution)
        own = ('', '') if known is None else (known.task, known.distribution)
        if any(asked not in ('', has) for asked, has in zip(wanted, own)):
            # The robot's own task where only the distribution is another.
            return self._ask(Wish(Act.SET_TASK, task or own[0], self.config.distribution))
        try:
            self._episodes.start(after_reset=True)
        except EpisodeError as error:
            self._retry(str(error))
            return None
        return self._ask(Wish(Act.RESET, seed=seed))

    def _ask(self, wish: Wish) -> Wish:
        self._stage, self._asked, self._since = _Stage.ASKED, wish, self._clock()
        return wish

    def answered(self, wish: Wish, *, success: bool, message: str) -> None:
        """Take the answer to a wish; an answer that comes too late counts no more."""
        if self._stage is not _Stage.ASKED or wish is not self._asked:
            return
        if not success:
            self._retry(f'{wish.act.value} was refused: {message}')
        elif wish.act is Act.RESET:
            self._stage = _Stage.RECORDING
        else:
            self._stage = _Stage.WAITING

    def _retry(self, why: str) -> None:
        self._episodes.cancel(why)
        self.reason = why
        self._stage, self._asked = _Stage.WAITING, None
        self._not_before = self._clock() + _BACK_OFF

    def _ended(self) -> None:
        verdict = self._episodes.verdict
        self._stage = _Stage.WAITING
        self._attempts += 1
        judged = verdict is not None and verdict.label in (
            Label.SUCCESS, Label.FAILURE, Label.TIMEOUT)
        if not judged and self._attempts < _ATTEMPTS:
            # Not what the scene is for: the driver fell, or somebody stopped it.
            self.reason = f'again: {verdict.detail if verdict is not None else "no verdict"}'
            self._not_before = self._clock() + _BACK_OFF
            return
        self._attempts = 0
        self.done += 1
        self._write()

    def _read(self) -> int:
        try:
            content: dict[str, Any] = json.loads(self._file.read_text(encoding='utf-8'))
            plan, done = content['config'], int(content['done'])
        except (OSError, ValueError, KeyError, TypeError):
            return 0
        same = plan == json.loads(json.dumps(asdict(self.config)))
        # A finished session that is started again is a new one.
        return done if same and not 0 < self.config.episodes <= done else 0

    def _write(self) -> None:
        temporary = self._file.with_suffix('.part')
        temporary.write_text(json.dumps(
            {'config': asdict(self.config), 'done': self.done}), encoding='utf-8')
        os.replace(temporary, self._file)
