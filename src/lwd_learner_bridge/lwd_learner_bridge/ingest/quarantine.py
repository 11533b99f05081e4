# SPDX-License-Identifier: Apache-2.0
"""Keeps what cannot be taken, with the reason beside it."""

from __future__ import annotations

import json

from lwd_learner_bridge.errors import MissingError
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.objects import Objects

_REASON = '.reason.json'


def quarantine(objects: Objects, key: str, reason: str) -> None:
    """Move an object to the quarantine; safe to repeat after an interruption.

    Args:
        objects: The store.
        key: Of the object.
        reason: Why.

    Raises:
        TransferError: The store does not do it.
    """
    target = f'{names.QUARANTINE}/{key}'
    # First, so that nothing lies there without one.
    objects.write(target + _REASON, json.dumps({'reason': reason, 'was': key}).encode())
    try:
        objects.move(key, target)
    except MissingError:
        return


def quarantined(objects: Objects) -> dict[str, str]:
    """Return why each object in the quarantine is there, by its former key.

    Raises:
        TransferError: The store does not answer.
    """
    found = {}
    for key in objects.names(names.QUARANTINE):
        if key.endswith(_REASON):
            content = json.loads(objects.read(key))
            found[str(content['was'])] = str(content['reason'])
    return found
