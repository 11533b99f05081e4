# SPDX-License-Identifier: Apache-2.0
"""Where policies come from: a folder, a robot's shelf, a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lwd_actor.policies import flow_file
from lwd_actor.policies.base import ChunkPolicy
from lwd_actor.policy_config import PolicyNodeConfig
from lwd_policy.shelf import Shelf
from lwd_ros.errors import ParameterError


class Source(Protocol):
    """Where policies come from."""

    def current(self) -> str | None:
        """Return the name of the policy that should run; None if there is none."""

    def load(self, name: str) -> ChunkPolicy:
        """Return it, loaded and warm.

        Raises:
            PolicyError, ActorError: It cannot be used here.
        """


class ShelfSource:
    """What a robot's shelf says is to run; before it says anything, a policy to begin with."""

    def __init__(
        self, shelf: Shelf, first: Path | None, load: Callable[[Path], ChunkPolicy],
    ) -> None:
        """Load from a shelf, and from the folder `first` while it names none."""
        self._shelf, self._first, self._load = shelf, first, load

    def current(self) -> str | None:
        """Return the version to run, or the folder to begin with."""
        return self._shelf.current() or (None if self._first is None else str(self._first))

    def load(self, name: str) -> ChunkPolicy:
        """Return a version, or the policy to begin with."""
        first = self._first is not None and name == str(self._first)
        return self._load(Path(name) if first else self._shelf.path(name))


class Folder:
    """One policy, in a folder."""

    def __init__(self, folder: Path, load: Callable[[Path], ChunkPolicy]) -> None:
        """Load from a folder."""
        self._folder, self._load = folder, load

    def current(self) -> str | None:
        """Return the folder."""
        return str(self._folder)

    def load(self, name: str) -> ChunkPolicy:
        """Return its policy."""
        del name
        return self._load(self._folder)


def source_of(config: PolicyNodeConfig) -> Source:
    """Return where a node's policies come from.

    Raises:
        ParameterError: Nothing is named, or too much.
    """
    if config.remote:
        if config.policy or config.shelf:
            raise ParameterError(
                f'remote is {config.remote!r}, but there is a policy or a shelf too; name either '
                'a server or folders')
        from lwd_actor.policies.remote import Server
        return Server(config.remote)
    first = Path(config.policy) if config.policy else None
    if config.shelf:
        return ShelfSource(Shelf(Path(config.shelf)), first, flow_file.load)
    if first is None:
        raise ParameterError(
            'there is no policy: give the folder of one (policy), a shelf, or a server (remote)')
    return Folder(first, flow_file.load)
