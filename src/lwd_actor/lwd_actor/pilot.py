# SPDX-License-Identifier: Apache-2.0
"""Flies the robot by a policy's chunks: when to infer, what to play meanwhile.

In lockstep time waits, so that a chunk is inferred when it is needed and the same seed gives the
same episode. In real time it is inferred by a worker while the last one plays.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from lwd_actor.action_queue import Action, ActionQueue, Chunk, Mark
from lwd_actor.inference import Answer, Question, Thinker, Worker
from lwd_actor.policies.base import ChunkPolicy
from lwd_actor.policy_config import PilotConfig
from lwd_actor.sight import Sight
from lwd_policy.continuation import Committed

_RATE = 30.0
_DELAYS = 10
_TIMES = 100


class Pilot:
    """Answers ticks from the queue and keeps the queue filled. Used from one thread."""

    def __init__(
        self, config: PilotConfig, *, synchronous: bool, answered: Callable[[Answer], None],
    ) -> None:
        """Begin without a policy.

        Args:
            config: How chunks follow each other.
            synchronous: Whether time waits for an inference.
            answered: Called with each inference that has ended, before it is played.
        """
        self.config = config
        self.queue = ActionQueue()
        self.policy: ChunkPolicy | None = None
        self.chunks = 0
        """Chunks so far; the number of the last."""
        self.delays: deque[int] = deque(maxlen=_DELAYS)
        """Actions consumed while each of the last inferences ran."""
        self.times: deque[float] = deque(maxlen=_TIMES)
        """Wall time of the last inferences, s."""
        self.last_chunk: Chunk | None = None
        self._answered = answered
        self._thinker = Thinker()
        self._worker = None if synchronous else Worker(self._thinker)
        self._mark: Mark | None = None

    def change(self, policy: ChunkPolicy | None) -> None:
        """Fly by another policy from the next chunk on; the present chunk is played meanwhile."""
        self.policy = policy
        self.delays.clear()
        if policy is None:
            self.interrupt()

    def interrupt(self) -> None:
        """Forget what was planned: somebody else is in control, or the scene is another."""
        self.queue.clear()
        self._mark = None

    def tick(self, unknown: int = 0) -> bool:
        """Begin a tick; returns whether the policy is to be shown what there is to see at it.

        Args:
            unknown: Of how many ticks before this one `queue.followed` has not told yet; below 0
                if it has told of this one.
        """
        if unknown <= 0:
            self.queue.resume()
        if self._worker is not None:
            answer = self._worker.take()
            if answer is not None:
                self._receive(answer)
        self._mark = None
        if self.policy is None or (self._worker is not None and self._worker.busy):
            return False
        horizon = self.policy.horizon
        execute = self.config.execute or (horizon if self._worker is None else horizon // 3)
        if self.queue.left and self.queue.taken < min(execute, horizon):
            return False
        if self._worker is not None and unknown and self.queue.left > self._forecast():
            # The chunk's first action would stand in a place that is guessed; the next tick's need
            # not.
            return False
        self._mark = self.queue.mark()
        return True

    def show(self, sight: Sight) -> None:
        """Infer the next chunk from what there was to see at the tick that was begun."""
        mark, self._mark = self._mark, None
        if mark is None or self.policy is None:
            return
        committed = None
        if self._worker is not None and self.config.chunking == 'continue' and len(mark.left):
            committed = Committed(mark.left, min(self._forecast(), len(mark.left)))
        question = Question(
            self.policy, sight, self.config.seed + max(0, sight.scene_seed), mark, committed)
        if self._worker is None:
            self._receive(self._thinker.answer(question))
        else:
            self._worker.ask(question)

    def act(self) -> Action | None:
        """Return what answers the tick; None holds."""
        return self.queue.pop()

    def close(self) -> None:
        """End the worker and let go of the policy."""
        if self._worker is not None:
            self._worker.stop()
        if self.policy is not None:
            self.policy.close()

    def _forecast(self) -> int:
        """Return how many actions will be played until the next chunk is there.

        The most that the last inferences took, and one: only how much is conditioned depends on
        it, not where the new chunk begins.
        """
        assert self.policy is not None  # noqa: S101  show() has looked
        first = math.ceil(self.policy.seconds * _RATE) + 1
        return 1 + max(self.delays, default=first)

    def _receive(self, answer: Answer) -> None:
        self._answered(answer)
        if answer.error is not None:
            return
        self.times.append(answer.seconds)
        question, self.chunks = answer.question, self.chunks + 1
        fixed = 0 if question.committed is None or not question.policy.continues else (
            question.committed.fixed)
        chunk = Chunk(answer.commands, self.chunks, question.policy.version, fixed)
        self.last_chunk = chunk
        if self._worker is None:
            self.queue.replace(chunk)
            return
        before = self.queue.delay(question.mark)
        smooth = 0 if fixed or not len(question.mark.left) else self.config.blend
        if self.queue.merge(chunk, question.mark, blend=smooth):
            self.delays.append(before)

    def seconds(self, quantile: float) -> float:
        """Return a quantile of the last inferences' wall times, s; NaN before the first."""
        return float(np.quantile(self.times, quantile)) if self.times else math.nan

