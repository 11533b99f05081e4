# SPDX-License-Identifier: Apache-2.0
"""Brings policies in: loads and warms them up beside the control path, refuses bad ones."""

from __future__ import annotations

import threading

from lwd_actor.errors import ActorError
from lwd_actor.policies.base import ChunkPolicy
from lwd_actor.policies.source import Source
from lwd_policy.errors import PolicyError

POLL = 0.05
"""s between looks at the shelf: each is one `stat` while nothing changes."""
_RETRY_POLLS = 40
_SHELF = 'shelf'


class Supply:
    """Follows a source in a thread of its own."""

    def __init__(self, source: Source, *, retry: bool = False, poll: float = POLL) -> None:
        """Start.

        Args:
            source: Where policies come from.
            retry: Whether a refused one is tried again after a while, as a server that may come
                back; otherwise only another one is.
            poll: s between looks.
        """
        self.refused: dict[str, str] = {}
        """By name: why a policy was refused."""
        self.loading = ''
        """What is being loaded; empty if nothing."""
        self._source, self._retry, self._poll = source, retry, poll
        # Guards the names and what is ready.
        self._lock = threading.Lock()
        self._ready: ChunkPolicy | None = None
        self._tried = ''
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name='policy supply', daemon=True)
        self._thread.start()

    def take(self) -> ChunkPolicy | None:
        """Return a policy that has become ready, once."""
        with self._lock:
            ready, self._ready = self._ready, None
        return ready

    @property
    def pending(self) -> bool:
        """Whether a policy is ready to be taken."""
        return self._ready is not None

    def refuse(self, name: str, reason: str) -> None:
        """Note a policy that failed in use; it comes again only if another was named meanwhile."""
        with self._lock:
            self.refused[name] = reason

    def stop(self) -> None:
        """End the thread, after what it is loading."""
        self._end.set()
        self._thread.join(10.0)
        ready = self.take()
        if ready is not None:
            ready.close()

    def _run(self) -> None:
        looks = 0
        while not self._end.is_set():
            self._look()
            looks += 1
            if self._retry and looks % _RETRY_POLLS == 0 and self.refused:
                with self._lock:
                    self._tried = ''
            self._end.wait(self._poll)

    def _look(self) -> None:
        try:
            name = self._source.current()
        except (OSError, PolicyError, ActorError) as error:
            self.refuse(_SHELF, str(error))
            return
        with self._lock:
            self.refused.pop(_SHELF, None)
            if name is None or name == self._tried:
                return
            self._tried = self.loading = name
        try:
            policy = self._source.load(name)
        except Exception as error:  # noqa: BLE001  whatever is wrong with it, others may be right
            self.refuse(name, str(error) or type(error).__name__)
            return
        finally:
            self.loading = ''
        with self._lock:
            self.refused.pop(name, None)
            if self._retry:
                self.refused.clear()
            before, self._ready = self._ready, policy
        if before is not None:
            before.close()
