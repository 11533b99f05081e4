# SPDX-License-Identifier: Apache-2.0
"""Waiting, for a tick, for those who are to be heard, and for nobody else."""

from __future__ import annotations

from collections.abc import Mapping


class Rendezvous:
    """Keeps who is there, how far each has come, and whom a tick went on without.

    Who is there is waited for at every tick, also if they let the last one pass: in lockstep a
    slow one must not be left behind. So they answer every tick, if only with nothing.
    """

    def __init__(self) -> None:
        """Begin with nobody there."""
        self._there: set[str] = set()
        self._heard: dict[str, int] = {}
        self._late: set[str] = set()
        self.missed: dict[str, int] = {}
        """How often each was waited for in vain."""

    @property
    def silent(self) -> list[str]:
        """Those who are there and have not been heard since they were waited for in vain."""
        return sorted(self._late & self._there)

    def expect(self, name: str, there: bool) -> None:
        """Say whether somebody is there to be waited for, as by counting publishers."""
        if there:
            self._there.add(name)
        else:
            self._there.discard(name)

    def hear(self, name: str, number: int) -> None:
        """Take that somebody has spoken, for a number that counts up: a tick, a stamp."""
        self._there.add(name)
        self._late.discard(name)
        self._heard[name] = number

    def missing(self, wanted: Mapping[str, int]) -> list[str]:
        """Return those who are there and were not heard for the wanted number."""
        return [name for name, number in wanted.items()
                if name in self._there and self._heard.get(name, number - 1) < number]

    def go_on(self, wanted: Mapping[str, int]) -> None:
        """Go on without those who are missing."""
        for name in self.missing(wanted):
            self._late.add(name)
            self.missed[name] = self.missed.get(name, 0) + 1

    def start_over(self) -> None:
        """Forget how far everybody has come, as when numbers begin anew."""
        self._heard.clear()
