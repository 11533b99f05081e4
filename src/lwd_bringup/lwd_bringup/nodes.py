# SPDX-License-Identifier: Apache-2.0
"""Which nodes run: one pure function from configuration to a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lwd_bringup.config import Bringup, parameter_values


@dataclass(frozen=True)
class NodeSpec:
    """One process with one node, the same for `ros2 launch` and for `lwd up`."""

    package: str
    executable: str
    name: str
    namespace: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    respawn: bool = True
    needs_distribution: bool = False
    """From the ROS distribution, not ours: only where that is installed."""


def plan(config: Bringup) -> list[NodeSpec]:
    """Return the nodes of a configuration, in the order in which they are started."""
    namespace = '/' + config.robot
    nodes = [NodeSpec(
        'g1_driver', 'driver', 'driver', namespace, parameter_values(config.driver))]
    if config.expert:
        nodes.append(NodeSpec(
            'g1_driver', 'sim_expert', 'sim_expert', namespace, {'robot': config.robot}))
    if config.rviz:
        nodes += [
            # Reads robot_description from the driver's latched topic.
            NodeSpec('robot_state_publisher', 'robot_state_publisher', 'robot_state_publisher',
                     namespace, {'frame_prefix': ''}, needs_distribution=True),
            NodeSpec('rviz2', 'rviz2', 'rviz', namespace, respawn=False, needs_distribution=True),
        ]
    return nodes


def environment(config: Bringup) -> dict[str, str]:
    """Return the environment variables that every node of a configuration gets."""
    variables = {'ROS_DOMAIN_ID': str(config.domain)}
    if config.local_only:
        variables['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    return variables
