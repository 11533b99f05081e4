# SPDX-License-Identifier: Apache-2.0
"""Which nodes run: one pure function from configuration to a list."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from g1_description.urdf import urdf
from lwd_bringup.config import Machine, parameter_values, rviz_config
from lwd_bringup.errors import BringupError
from lwd_bringup.fleet_config import FleetBringup, robots
from lwd_bringup.learner_config import LearnerBringup
from lwd_bringup.robot_config import Bringup
from lwd_ros.process import DIE_WITH_PARENT


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


def plan(config: Machine) -> list[NodeSpec]:
    """Return the nodes of a configuration, in the order in which they are started."""
    if isinstance(config, FleetBringup):
        return [*_learner(config.learner),
                *(node for robot in robots(config) for node in _robot(robot))]
    if isinstance(config, LearnerBringup):
        return _learner(config)
    return _robot(config)


def _learner(config: LearnerBringup) -> list[NodeSpec]:
    bridge = 'lwd_learner_bridge'
    return [
        NodeSpec(bridge, 'coordinator', 'coordinator', '/lwd',
                 parameter_values(config.coordinator)),
        NodeSpec(bridge, 'publisher', 'policy_publisher', '/lwd',
                 parameter_values(config.publisher)),
        NodeSpec(bridge, 'learner', 'learner', '/lwd', parameter_values(config.learner)),
    ]


def _robot(config: Bringup) -> list[NodeSpec]:
    namespace = '/' + config.robot
    nodes = [NodeSpec(
        'g1_driver', 'driver', 'driver', namespace, parameter_values(config.driver))]
    driven = bool(config.policy or config.shelf)
    if config.expert or config.pad or driven:
        nodes.append(NodeSpec(
            'lwd_actor', 'arbiter', 'arbiter', namespace, parameter_values(config.arbiter)))
    if config.record:
        nodes.append(NodeSpec(
            'lwd_actor', 'recorder', 'recorder', namespace, parameter_values(config.recorder)))
    if driven:
        nodes.append(NodeSpec(
            'lwd_actor', 'policy', 'policy', namespace, parameter_values(config.policy_node)))
    if config.keys:
        nodes.append(NodeSpec(
            'lwd_actor', 'receiver', 'policy_receiver', namespace,
            parameter_values(config.receiver)))
    if config.store:
        nodes.append(NodeSpec(
            'lwd_learner_bridge', 'uploader', 'uploader', namespace,
            parameter_values(config.uploader)))
    if config.pad:
        nodes.append(NodeSpec(
            'lwd_actor', 'teleop', 'teleop', namespace, parameter_values(config.teleop)))
    if config.joy_node:
        nodes.append(NodeSpec(
            'joy', 'joy_node', 'joy_node', namespace, needs_distribution=True))
    if config.operator:
        nodes.append(NodeSpec(
            'lwd_actor', 'sim_operator', 'sim_operator', namespace,
            parameter_values(config.sim_operator)))
    if config.expert:
        nodes.append(NodeSpec(
            'g1_driver', 'sim_expert', 'sim_expert', namespace,
            parameter_values(config.sim_expert)))
    if config.rviz:
        time: dict[str, Any] = {'use_sim_time': config.use_sim_time}
        # Each simulated robot has a clock of its own, in its namespace.
        clock = (('/clock', 'clock'),) if config.use_sim_time else ()
        nodes += [
            NodeSpec('robot_state_publisher', 'robot_state_publisher', 'robot_state_publisher',
                     namespace, {'robot_description': urdf(), **time}, clock,
                     needs_distribution=True),
            NodeSpec('lwd_actor', 'markers', 'markers', namespace,
                     parameter_values(config.markers)),
            NodeSpec('rviz2', 'rviz2', 'rviz', namespace, time, clock,
                     ('-d', str(rviz_config())), respawn=False, needs_distribution=True),
        ]
    return nodes


def executable(spec: NodeSpec) -> Path:
    """Return the file of a node's executable.

    Raises:
        BringupError: It is not installed.
    """
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = Path(prefix) / 'lib' / spec.package / spec.executable
        if prefix and path.is_file():
            return path
    if spec.needs_distribution:
        raise BringupError(
            f'{spec.package} is not installed; it comes with a ROS distribution: apt-get install '
            f'ros-jazzy-{spec.package.replace("_", "-")}, or leave it out with '
            f'{"joy_node" if spec.package == "joy" else "rviz"}=false')
    raise BringupError(
        f'{spec.package}/{spec.executable} is not on AMENT_PREFIX_PATH; build the workspace '
        '(tools/setup.sh, or colcon build) and start again with ./lwd')


def environment(config: Machine) -> dict[str, str]:
    """Return the environment variables that every node of a configuration gets."""
    # Both are always set: what a shell happens to export must not win over the configuration.
    return {
        'ROS_DOMAIN_ID': str(config.domain),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST' if config.local_only else 'SUBNET',
        DIE_WITH_PARENT: '1',
    }
