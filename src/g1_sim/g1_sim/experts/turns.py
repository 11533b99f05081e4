# SPDX-License-Identifier: Apache-2.0
"""Two hands that take turns: one ends what it was at while the other one begins the next thing."""

from __future__ import annotations

from g1_sim.experts.skills import Expert, Script, together


class Turns:
    """What each hand still has to do, or may do, while it is the other one's turn."""

    def __init__(self, expert: Expert) -> None:
        """Begin with both hands free."""
        self._expert = expert
        self._later: dict[int, Script] = {}
        self._away: set[int] = set()

    def leave(self, side: int, script: Script) -> None:
        """Put something off until it is the other hand's turn, or this one's again."""
        self._later[side] = script

    def stay(self, side: int) -> None:
        """Let a hand stay where it has let go; it goes to rest when it is the other one's turn."""
        self._away.add(side)

    def take(self, side: int, script: Script) -> Script:
        """Do something with one hand, while the other one ends what it was at."""
        if side in self._later:
            yield from self._later.pop(side)
        self._away.discard(side)
        yield from together(script, self.end(1 - side))

    def end(self, side: int) -> Script:
        """Do what a hand still has to do, and bring it to rest."""
        if side in self._later:
            yield from self._later.pop(side)
        if side in self._away:
            self._away.discard(side)
            yield from self._expert.rest(side)
