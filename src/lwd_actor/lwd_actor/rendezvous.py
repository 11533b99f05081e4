# SPDX-License-Identifier: Apache-2.0
"""Waiting, for a tick, for those who are to be heard, and for nobody else."""

from __future__ import annotations

from collections.abc import Mapping


class Rendezvous:
    """Keeps who speaks, how far they have come, and whom it is no use to wait for.

    Who let a tick pass is not waited for again until they speak: one that hangs must not slow
    every tick down.
    """

    def __init__(self) -> None:
        """Begin with nobody there."""
        self._there: set[str] = set()
        self._silent: set[str] = set()
        self._heard: dict[str, int] = {}
        self.missed: dict[str, int] = {}
        """How often each was waited for in vain."""

    @property
    def silent(self) -> list[str]:
        """Those who are there and say nothing."""
        return sorted(self._silent & self._there)

    def expect(self, name: str, there: bool) -> None:
        """Say whether somebody is there to be waited for, as by counting publishers."""
        if there:
            self._there.add(name)
        else:
            self._there.discard(name)
            self._silent.discard(name)

    def hear(self, name: str, number: int) -> None:
        """Take that somebody has spoken, for a number that counts up: a tick, a stamp."""
        self._there.add(name)
        self._silent.discard(name)
        self._heard[name] = number

    def missing(self, wanted: Mapping[str, int]) -> list[str]:
        """Return those to wait for: there, not silent, and not heard for the wanted number."""
        return [name for name, number in wanted.items()
                if name in self._there and name not in self._silent
                and self._heard.get(name, number - 1) < number]

    def give_up(self, wanted: Mapping[str, int]) -> None:
        """Wait no longer for those who are missing."""
        for name in self.missing(wanted):
            self._silent.add(name)
            self.missed[name] = self.missed.get(name, 0) + 1

    def start_over(self) -> None:
        """Forget how far everybody has come, as when numbers begin anew."""
        self._heard.clear()
