# SPDX-License-Identifier: Apache-2.0
"""Errors of lwd_learner."""


class LearnerError(Exception):
    """Base of the errors of this package."""
