# SPDX-License-Identifier: Apache-2.0
"""One inference, and a thread in which they are done one after the other."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lwd_actor.action_queue import Mark
from lwd_actor.policies.base import ChunkPolicy
from lwd_actor.sight import Sight, look
from lwd_policy.continuation import Committed
from lwd_policy.observation import Observation

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What a policy is asked."""

    policy: ChunkPolicy
    sight: Sight
    seed: int
    """Of the policy's noise, taken when a scene begins."""
    mark: Mark
    """The moment of the sight in the queue."""
    committed: Committed | None = None


@dataclass(frozen=True)
class Answer:
    """What came of it."""

    question: Question
    commands: Array
    """(H, 16); empty if there is an error."""
    seconds: float
    """Wall time of decoding and inference."""
    error: Exception | None = None
    observation: Observation | None = None
    """The tensors that the policy saw; None if they could not be made."""


class Thinker:
    """Answers questions. Used from one thread."""

    def __init__(self) -> None:
        """Begin before the first question."""
        self._begun: tuple[ChunkPolicy, int, int] | None = None

    def answer(self, question: Question) -> Answer:
        """Return the answer; an error of the policy or of what it was shown comes with it."""
        began = time.perf_counter()
        sight, policy = question.sight, question.policy
        observation = None
        try:
            scene = (policy, sight.scene_seed, sight.reset_count)
            if scene != self._begun:
                policy.reset(question.seed)
                self._begun = scene
            observation = look(sight, policy.needs)
            commands = policy.infer(observation, question.committed)
        except Exception as error:  # noqa: BLE001  whatever fails in a policy, the robot holds
            return Answer(question, np.zeros((0, 16)), time.perf_counter() - began, error,
                          observation)
        return Answer(
            question, commands, time.perf_counter() - began, observation=observation)


class Worker:
    """A thread that thinks while others answer ticks."""

    def __init__(self, thinker: Thinker) -> None:
        """Start it; from now on only the thread uses the thinker."""
        self._thinker = thinker
        # Guards all below; notified when a question comes or the end.
        self._changed = threading.Condition()
        self._question: Question | None = None
        self._answer: Answer | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name='inference', daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a question is being answered, or its answer has not been taken."""
        return self._question is not None or self._answer is not None

    def ask(self, question: Question) -> None:
        """Take a question; the worker must not be busy."""
        with self._changed:
            self._question = question
            self._changed.notify_all()

    def take(self) -> Answer | None:
        """Return the answer if it is there, once."""
        with self._changed:
            answer, self._answer = self._answer, None
        return answer

    def stop(self) -> None:
        """End the thread, after the present inference."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(10.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._question is not None or self._stopping)
                if self._stopping:
                    return
                question = self._question
            assert question is not None  # noqa: S101  just waited for
            answer = self._thinker.answer(question)
            with self._changed:
                self._answer, self._question = answer, None
