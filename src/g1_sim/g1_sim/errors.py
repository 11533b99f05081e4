# SPDX-License-Identifier: Apache-2.0
"""Errors of g1_sim."""


class SimError(Exception):
    """Base of the errors of this package."""


class UnknownTaskError(SimError, KeyError):
    """A task that the registry does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


class SceneError(SimError, ValueError):
    """A scene that cannot be built or a state that does not fit it."""


class RenderError(SimError, RuntimeError):
    """No camera image can be drawn on this machine."""
