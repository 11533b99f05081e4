# SPDX-License-Identifier: Apache-2.0
"""What has to be there before the nodes of a configuration start."""

from __future__ import annotations

from lwd_bringup import fleet_config, learner_config
from lwd_bringup.config import Machine
from lwd_bringup.errors import BringupError
from lwd_bringup.fleet_config import FleetBringup
from lwd_bringup.learner_config import LearnerBringup
from lwd_data.errors import DataError
from lwd_policy.errors import PolicyError


def prepare(config: Machine) -> None:
    """Make keys, folders and the catalogue's first entries where they are missing.

    Raises:
        BringupError: Something is missing or damaged; the message says what.
    """
    try:
        if isinstance(config, FleetBringup):
            fleet_config.prepare(config)
        elif isinstance(config, LearnerBringup):
            learner_config.prepare(config)
    except (DataError, PolicyError) as error:
        raise BringupError(str(error)) from error
