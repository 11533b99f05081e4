# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_learner_bridge."""


class BridgeError(Exception):
    """Base of the errors of this package."""


class OfferError(BridgeError):
    """A policy that cannot be offered to the robots."""
