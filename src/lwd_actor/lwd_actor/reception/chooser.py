# SPDX-License-Identifier: Apache-2.0
"""Which of the policies on the shelf is to run: the newest that may, or the one chosen by hand."""

from __future__ import annotations

from collections.abc import Callable

from lwd_actor.errors import ReceptionError
from lwd_policy.manifest import Manifest
from lwd_policy.shelf import ShelfWriter


class Chooser:
    """One robot's. Not shared between threads: the receiver holds a lock while it asks."""

    def __init__(
        self, shelf: ShelfWriter, *, rank: int, on_change: Callable[[str], None],
    ) -> None:
        """Choose from a shelf.

        Args:
            shelf: Of the robot.
            rank: Of the robot in its fleet, from 1.
            on_change: Told what happened, for a log.
        """
        self.shelf = shelf
        self.refused = 0
        """Policies refused since start."""
        self.last_refusal = ('', '')
        """(version, reason)"""
        self._rank, self._tell = rank, on_change

    def refuse(self, version: str, reason: str) -> None:
        """Note a refusal; the same one again is none."""
        if self.last_refusal != (version, reason):
            self.refused += 1
            self.last_refusal = (version, reason)
            self._tell(f'refused: {reason}')

    def is_old(self, offer: Manifest, newest: Manifest | None) -> bool:
        """Return whether there is nothing to do; refuses what is older than what was accepted.

        Args:
            offer: Checked.
            newest: The last one that was not old.
        """
        choice = self.shelf.choice()
        latest_ns = newest.stamp_ns if newest else 0
        if offer.stamp_ns == choice.accepted_ns and offer.version in (
                choice.version, *choice.history):
            return True
        same_time = newest is not None and offer.stamp_ns == latest_ns
        if offer.stamp_ns <= choice.accepted_ns or offer.stamp_ns < latest_ns or (
                same_time and newest is not None and newest.version != offer.version):
            late_ns = max(choice.accepted_ns, latest_ns) - offer.stamp_ns
            self.refuse(
                offer.version,
                f'policy {offer.version[:12]} was published before the newest one here '
                f'({late_ns} ns): it is replayed, or there are two publishers; if the learner was '
                'set up anew, set its clock right')
            return True
        if offer.version in choice.faulty:
            self.refuse(
                offer.version, f'policy {offer.version[:12]} ran here before, and '
                f'{choice.faulty[offer.version]}; choose it by hand to run it again')
            return True
        return False

    def adopt(self, offer: Manifest) -> None:
        """Have a policy that is on the shelf run, if it may.

        Raises:
            ShelfError: The disk refuses.
        """
        choice = self.shelf.choice()
        if choice.pinned or (offer.rollout_first and self._rank > offer.rollout_first):
            return
        if offer.stamp_ns <= choice.accepted_ns or offer.version in choice.faulty:
            return
        self.shelf.select(offer.version, accepted_ns=offer.stamp_ns)
        self._tell(f'policy {offer.version[:12]} is to run, update {offer.update}')

    def roll_back(self, version: str = '', *, pin: bool = False) -> str:
        """Have an earlier policy run, by hand; returns its version.

        Args:
            version: On the shelf; empty for the good one before the present one.
            pin: Keep to it.

        Raises:
            ReceptionError, ShelfError: There is none.
        """
        choice = self.shelf.choice()
        chosen = version or self.shelf.previous_good()
        if not chosen:
            raise ReceptionError(
                'no good policy ran before the present one; name one of those on the shelf: '
                f'{", ".join(one[:12] for one in self.shelf.versions()) or "none"}')
        faulty = dict(choice.faulty)
        faulty.pop(chosen, None)
        if choice.version and choice.version != chosen and not version:
            faulty[choice.version] = 'was rolled back by hand'
        self.shelf.select(chosen, pin, faulty=faulty)
        self._tell(f'policy {chosen[:12]} is to run, chosen by hand{", and kept" if pin else ""}')
        return chosen

    def unpin(self, newest: Manifest | None) -> str:
        """Follow new policies again; returns the version that is to run now.

        Args:
            newest: What was offered last.

        Raises:
            ShelfError: The disk refuses.
        """
        self.shelf.change(pinned=False)
        self._tell('unpinned')
        if newest is not None and newest.version in self.shelf.versions():
            self.adopt(newest)
        return self.shelf.choice().version

    def fault(self, version: str, reason: str) -> str:
        """Go back from a policy that misbehaves; returns the version that is to run then.

        Raises:
            ShelfError: The disk refuses.
        """
        choice = self.shelf.choice()
        if not version or version != choice.version or version in choice.faulty:
            return choice.version
        self.shelf.change(faulty={**choice.faulty, version: reason})
        good = self.shelf.previous_good()
        self.refused += 1
        self.last_refusal = (version, reason)
        if not good:
            self._tell(f'fault: {reason}; there is no good policy before it to go back to')
            return version
        # A pin is kept to by going back: a pinned fault would be one for ever.
        self.shelf.select(good, choice.pinned)
        self._tell(f'rolled back from {version[:12]} to {good[:12]}: {reason}')
        return good
