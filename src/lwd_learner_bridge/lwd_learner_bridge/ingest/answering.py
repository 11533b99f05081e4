# SPDX-License-Identifier: Apache-2.0
"""Gives answers that a power cut does not take back, beside the registering.

A learner may sample a segment as soon as it is registered; a robot may delete its own only when
the one here is on disk. Waiting for a disk would hold up the segments behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

from lwd_learner_bridge.errors import TransferError
from lwd_learner_bridge.store.notice import Answer, encode
from lwd_learner_bridge.store.objects import Objects


class Answerer:
    """Writes answers and takes their notices out of the inbox, in a thread of its own."""

    def __init__(self, objects: Objects, executor: Executor | None = None) -> None:
        """Answer in a store.

        Args:
            objects: The store.
            executor: Where it is done; one thread by default.
        """
        self._objects = objects
        self._executor = executor or ThreadPoolExecutor(1, thread_name_prefix='answers')
        self._running: dict[str, Future[None]] = {}

    def give(
        self, answer: Answer, path: Path | None, first: Callable[[], None] | None = None,
    ) -> None:
        """Answer when a segment is on disk.

        Args:
            answer: To its notice.
            path: The segment; None if there is none.
            first: What is to be done before.
        """
        self._running[answer.notice.key] = self._executor.submit(self._give, answer, path, first)

    def is_giving(self, key: str) -> bool:
        """Return whether the notice of a key is being answered."""
        return key in self._running

    def failures(self) -> dict[str, TransferError]:
        """Return which notices could not be answered since the last call, and why.

        Raises:
            Exception: Whatever else went wrong.
        """
        failed = {}
        for key, future in list(self._running.items()):
            if future.done():
                del self._running[key]
                try:
                    future.result()
                except TransferError as error:
                    failed[key] = error
        return failed

    def close(self) -> None:
        """Finish the answer that is being given; the other notices stay in the inbox."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _give(
        self, answer: Answer, path: Path | None, first: Callable[[], None] | None,
    ) -> None:
        if first is not None:
            first()
        if path is not None:
            make_durable(path)
        self._objects.write(answer.notice.answer_key, encode(answer))
        if (written := self._objects.local(answer.notice.answer_key)) is not None:
            make_durable(written)
        self._objects.delete(answer.notice.key)


def make_durable(path: Path) -> None:
    """Wait until a file and its name are on disk.

    Raises:
        TransferError: The disk refuses, or the file is gone.
    """
    try:
        for place in (path, path.parent):
            descriptor = os.open(place, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
    except OSError as error:
        raise TransferError(f'{path} cannot be made durable: {error.strerror}') from error
