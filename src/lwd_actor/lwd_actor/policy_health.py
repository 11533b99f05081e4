# SPDX-License-Identifier: Apache-2.0
"""What the policy node says of itself on /diagnostics."""

from __future__ import annotations

from lwd_actor.control import Control
from lwd_actor.pilot import Pilot
from lwd_actor.sight_feed import SightFeed
from lwd_actor.supply import Supply
from lwd_ros.diagnostics import ERROR, OK, WARN, Health


class PolicyHealth:
    """Makes a level and a sentence of what the parts of the node know."""

    def __init__(
        self, pilot: Pilot, supply: Supply, feed: SightFeed, control: Control,
    ) -> None:
        """Look at the parts of a node."""
        self._pilot, self._supply, self._feed, self._control = pilot, supply, feed, control

    def __call__(self, trouble: str, **counts: int) -> Health:
        """Return how the node is.

        Args:
            trouble: Why there is no new chunk; empty if nothing is wrong.
            counts: More figures to show.
        """
        values = self._values(counts)
        level, sentence = self._verdict(trouble)
        return Health(level, sentence, values)

    def _verdict(self, trouble: str) -> tuple[bytes, str]:
        pilot, supply = self._pilot, self._supply
        refused = next((f'{name} is refused: {reason}'
                        for name, reason in supply.refused.items()), '')
        if pilot.policy is None:
            if refused:
                return ERROR, f'holds: {refused}'
            return WARN, f'holds: loading {supply.loading or "nothing yet"}'
        if trouble:
            return ERROR, trouble
        if pilot.queue.starving:
            return WARN, (
                f'the last {pilot.queue.starving} ticks had no action: an inference takes '
                f'{1e3 * pilot.seconds(0.5):.0f} ms, {1e3 * pilot.seconds(0.99):.0f} at worst')
        if not self._feed.instruction:
            return WARN, ('holds: no instruction; start an episode, set a task, or set the '
                          'parameter instruction')
        if refused:
            return WARN, refused
        whose = self._control.theirs(self._feed.executed)
        return OK, f'waits: {whose} is in control' if whose else 'drives'

    def _values(self, counts: dict[str, int]) -> dict[str, object]:
        pilot, supply = self._pilot, self._supply
        values: dict[str, object] = {
            'running version': '' if pilot.policy is None else pilot.policy.version,
            'loading': supply.loading, 'chunks': pilot.chunks, **counts,
            'starved ticks': pilot.queue.starved, 'repeated actions': pilot.queue.repeated,
            'skipped actions': pilot.queue.skipped,
            'delay (ticks)': max(pilot.delays, default=0),
            **{f'refused {name}': reason for name, reason in supply.refused.items()}}
        if pilot.times:
            values['inference p50 (ms)'] = round(1e3 * pilot.seconds(0.5), 1)
            values['inference p99 (ms)'] = round(1e3 * pilot.seconds(0.99), 1)
        return values
