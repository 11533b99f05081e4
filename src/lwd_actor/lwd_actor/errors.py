# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_actor."""


class ActorError(Exception):
    """Base of the errors of this package."""


class PadError(ActorError, ValueError):
    """A pad's file that cannot be right, or a device that is not the one in the file."""


class TeleopError(ActorError, ValueError):
    """Teleoperation that cannot be set up as asked."""


class ProposalError(ActorError, ValueError):
    """A command proposed to the arbiter that cannot be followed."""


class ReceptionError(ActorError):
    """A policy that cannot be taken or run."""


class DiskError(ReceptionError):
    """The disk of the shelf refuses; the same policy can be taken once there is room."""


class FetchError(ReceptionError):
    """A payload that cannot be fetched from its URL for now."""


class RecordingError(ActorError, ValueError):
    """A message or a spool that cannot be recorded."""


class EpisodeError(ActorError, ValueError):
    """An episode that cannot be started, ended or labelled as asked."""


class ObservationError(ActorError):
    """What the robot shows cannot be made into what a policy sees."""


class InferenceError(ActorError):
    """A policy that cannot be used here, or whose answer cannot be followed."""


class RemoteError(InferenceError):
    """A policy server that does not answer, or not as agreed."""
