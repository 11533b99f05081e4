# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_learner_bridge."""


class BridgeError(Exception):
    """Base of the errors of this package."""


class StoreError(BridgeError, ValueError):
    """A store that cannot be used as it is configured."""


class TransferError(BridgeError):
    """The store did not do what it was asked for; to be tried again."""


class MissingError(TransferError):
    """There is no object of that name."""


class NoticeError(BridgeError):
    """A notice of a segment that cannot be right; the message says which field."""


class DamagedError(BridgeError):
    """What arrived is not what was sent; the robot is asked for it again."""


class RefusedError(BridgeError):
    """A segment that arrived whole, and cannot be trained on; it is kept in quarantine."""


class SpoolError(BridgeError):
    """A spool that cannot be read or written."""


class OfferError(BridgeError):
    """A policy that cannot be offered to the robots."""


class LineageError(BridgeError):
    """A version that nobody knows, or whose name is short for several."""
