# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_policy."""


class PolicyError(Exception):
    """Base of the errors of this package."""


class ConfigError(PolicyError, ValueError):
    """A policy's configuration names something unknown, or asks for the impossible."""


class LayoutError(PolicyError):
    """Data of another layout than the policy's: joints, horizon, scene features, cameras."""


class CardError(PolicyError):
    """A policy card that cannot be read or that says what cannot be."""


class WeightsError(PolicyError):
    """Weights that cannot be written or read, or that their card does not describe."""


class DeltaError(PolicyError):
    """A delta that cannot be decoded: damaged, foreign, or of a newer format."""


class WrongBaseError(DeltaError):
    """A delta and weights that it was not made against; ask for that base or for full weights."""


class ShelfError(PolicyError):
    """A shelf of policies that cannot be read or written, or a version that is not on it."""


class SignatureError(PolicyError):
    """A key that cannot be used, or a signature that is missing, wrong or of an unknown key."""


class ManifestError(PolicyError, ValueError):
    """A manifest that says what cannot be."""


class PayloadError(PolicyError):
    """A payload that cannot be written, or is not laid out as one."""


class CanaryError(PolicyError):
    """A policy that would not act sanely on stored observations, or such that cannot be read."""


class PublishedError(PolicyError):
    """A folder of published policies that cannot be read or written."""
