# SPDX-License-Identifier: Apache-2.0
"""How the privileged scene features are laid out: groups of tokens, each with its fields.

Simulation writes them, networks read them; what a field means is said once, here. All in
base_link, m and rad:

- hands: TCP position 3, first two columns of its orientation 6;
- bodies: present 1, position 3, orientation 6, velocity 3, half size 3, colour 3, round 1;
- joints of doors, drawers and lids: present 1, position 1, velocity 1;
- fixtures: present 1, centre 3, half size 3, colour 3.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """So many tokens of one kind, one after the other."""

    name: str
    count: int
    size: int
    """Numbers a token."""
    present: int | None
    """Where a token says 1 if it is there, 0 if its place is empty; None: always there."""
    position: int | None
    """Where its position, 3 numbers, begins; None if it has none."""
    extent: int | None = None
    """Where its half size, 3 numbers, begins; None if it has none."""
    colour: int | None = None
    """Where its colour, RGB in 0 .. 1, begins; None if it has none."""
    round: int | None = None
    """Where a token says 1 if it is round as a can is, 0 if it has corners; None: it does not."""


@dataclass(frozen=True)
class SceneLayout:
    """A named layout: its groups in order."""

    name: str
    groups: tuple[Group, ...]

    @property
    def size(self) -> int:
        """Numbers of the whole scene."""
        return sum(group.count * group.size for group in self.groups)

    def start(self, name: str) -> int:
        """Return where a group begins."""
        at = 0
        for group in self.groups:
            if group.name == name:
                return at
            at += group.count * group.size
        known = ', '.join(group.name for group in self.groups)
        raise KeyError(f'layout {self.name} has no group {name!r}; it has {known}')


SCENE_1 = SceneLayout('scene-1', (
    Group('hands', 2, 9, present=None, position=0),
    Group('bodies', 10, 20, present=0, position=1, extent=13, colour=16, round=19),
    Group('joints', 4, 3, present=0, position=None),
    Group('fixtures', 8, 10, present=0, position=1, extent=4, colour=7),
))
LAYOUTS = {SCENE_1.name: SCENE_1}
