# SPDX-License-Identifier: Apache-2.0
"""Training seeds that are added to a comparison whose first results are known.

Its protocol and hash stay what they were, and so do its cells; the report says how many seeds were
planned and how many came later, since who adds seeds until a result suits him proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from lwd_rollout.errors import TableError
from lwd_rollout.table.methods import Method, chosen
from lwd_rollout.table.protocol import TableProtocol


@dataclass(frozen=True)
class Extension:
    """What was added."""

    seeds: int = 0
    """Training seeds, all together; 0 for those of the protocol."""
    methods: tuple[str, ...] = ()
    """Methods that have the added seeds, those that they begin from included by themselves; empty
    for all of the protocol's."""

    def methods_of(self, protocol: TableProtocol, seed: int) -> list[Method]:
        """Return the methods of a training seed."""
        return chosen(protocol.methods if seed < protocol.seeds else
                      self.methods or protocol.methods)

    def seeds_of(self, protocol: TableProtocol) -> int:
        """Return how many training seeds there are."""
        return max(protocol.seeds, self.seeds)

    def check(self, protocol: TableProtocol, before: Extension) -> None:
        """Refuse what adds nothing, or takes away what was added before.

        Raises:
            TableError: It does.
        """
        if self == before:
            return
        least = before.seeds_of(protocol)
        if self.seeds < least or self.seeds <= protocol.seeds:
            raise TableError(
                f'{self.seeds} training seeds are asked for, where {least} are there or planned; '
                'seeds can be added, not taken away')
        known = {method.name for method in chosen(protocol.methods)}
        wanted = {method.name for method in self.methods_of(protocol, self.seeds)}
        if other := sorted(wanted - known):
            raise TableError(
                f'{", ".join(other)}: not among the methods of this protocol; seeds can be added '
                f'of {", ".join(sorted(known))}')
        had = before.methods_of(protocol, self.seeds) if before.seeds else []
        if lost := sorted({method.name for method in had} - wanted):
            raise TableError(
                f'{", ".join(lost)}: have {before.seeds} seeds already; name them, too')
