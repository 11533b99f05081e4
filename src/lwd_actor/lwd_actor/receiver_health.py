# SPDX-License-Identifier: Apache-2.0
"""What the policy receiver says of itself on /diagnostics."""

from __future__ import annotations

from lwd_actor.receiver_config import ReceiverNodeConfig
from lwd_actor.reception.faults import FaultWatch
from lwd_actor.reception.messages import MANIFEST
from lwd_actor.reception.receiver import Receiver
from lwd_policy.shelf import ShelfWriter
from lwd_ros.diagnostics import ERROR, OK, WARN, Health


def health(
    config: ReceiverNodeConfig, receiver: Receiver, shelf: ShelfWriter, watch: FaultWatch, *,
    trouble: str, working: bool, publishers: int,
) -> Health:
    """Return how a receiver is.

    Args:
        config: Of the node.
        receiver: Takes policies.
        shelf: Where they lie.
        watch: Knows what runs.
        trouble: Why the shelf cannot be read; empty if it can.
        working: Whether the thread that takes policies is alive.
        publishers: How many offer policies.
    """
    values = {
        'running': watch.version, 'refused': receiver.refused,
        'last refusal': receiver.last_refusal[1], 'starved ticks': watch.starved}
    if trouble:
        return Health(ERROR, trouble, values)
    if not working:
        return Health(ERROR, 'the thread that takes policies has ended; see the log, and restart '
                      'the node', values)
    if publishers > 1:
        return Health(
            ERROR, f'{publishers} publishers on {MANIFEST}; a fleet has one: the newest '
            'publication counts, older ones are refused', values)
    choice = shelf.choice()
    if choice.version in choice.faulty:
        return Health(
            ERROR, f'the policy {choice.faulty[choice.version]}, and there is none to go back to',
            values)
    if not config.require_signature:
        return Health(WARN, 'policies need not be signed: require_signature is off', values)
    return Health(OK, f'{choice.version[:12] or "no policy"} is to run'
                      f'{", pinned" if choice.pinned else ""}', values)
