# SPDX-License-Identifier: Apache-2.0
"""Makes the next batches in the background while one is trained on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

from lwd_data.errors import SampleError

Item = TypeVar('Item')


class Prefetcher(Generic[Item]):
    """Yields make(first), make(first + 1), ... in order, and keeps some of them ready.

    Threads are enough: reading files and decoding images leave the interpreter free.
    """

    def __init__(
        self, make: Callable[[int], Item], *, first: int = 0, count: int | None = None,
        depth: int = 2, threads: int = 1,
    ) -> None:
        """Begin to make items.

        Args:
            make: For example WindowSampler.batch; with several threads it must allow them.
            first: Step of the first item.
            count: How many to make; without end by default.
            depth: How many to keep ready.
            threads: That make them.

        Raises:
            SampleError: depth or threads is below 1.
        """
        for name, value in (('depth', depth), ('threads', threads)):
            if value < 1:
                raise SampleError(f'{name} is {value}; it must be at least 1')
        self._make, self._step = make, first
        self._end = None if count is None else first + count
        self._executor = ThreadPoolExecutor(threads, 'prefetch')
        self._pending: deque[tuple[int, Future[Item]]] = deque()
        self._closed = False
        for _ in range(depth):
            self._submit()

    def _submit(self) -> None:
        if self._end is not None and self._step >= self._end:
            return
        self._pending.append((self._step, self._executor.submit(self._make, self._step)))
        self._step += 1

    def __iter__(self) -> Iterator[Item]:
        """Return the prefetcher."""
        return self

    def __next__(self) -> Item:
        """Return the next item; waits for it.

        Raises:
            SampleError: It could not be made; the message names its step. Nothing follows it.
        """
        if self._closed or not self._pending:
            raise StopIteration
        step, future = self._pending.popleft()
        try:
            item = future.result()
        except Exception as error:
            self.close()
            raise SampleError(f'the batch of step {step} cannot be made: {error}') from error
        self._submit()
        return item

    def close(self) -> None:
        """Stop; waits for what is being made, and drops it."""
        self._closed = True
        self._pending.clear()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Prefetcher[Item]:
        """Return the prefetcher."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.close()
