# SPDX-License-Identifier: Apache-2.0
"""Publications that are done with: refused for good, or for a while."""

from __future__ import annotations

import math
from collections.abc import Callable

from lwd_policy.manifest import Manifest


class Settled:
    """Knows which ways to get a publication were refused, and until when."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with none; the clock is monotonic, s."""
        self._clock = clock
        self._until: dict[tuple[str, int], float] = {}

    def __contains__(self, offer: Manifest) -> bool:
        return self._until.get(_name(offer), 0.0) > self._clock()

    def settle(self, offer: Manifest, wait: float = math.inf) -> None:
        """Note that an offer was refused, to be looked at again after so many seconds."""
        self._until[_name(offer)] = self._clock() + wait

    def returns(self, offer: Manifest) -> bool:
        """Return, once, whether an offer was refused for a while that is over now."""
        if self._until.get(_name(offer), math.inf) > self._clock():
            return False
        del self._until[_name(offer)]
        return True


def _name(offer: Manifest) -> tuple[str, int]:
    """Return what tells one way to get a publication from another."""
    return offer.payload_sha256, offer.stamp_ns
