# SPDX-License-Identifier: Apache-2.0
"""The list of nodes as a launch description, for `ros2 launch`.

Needs `launch` and `launch_ros`, which come with a ROS distribution and have no wheels.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, GroupAction, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node, PushROSNamespace

from lwd_bringup.config import CONFIGS, Machine, arguments, load, parse_value, sections
from lwd_bringup.nodes import NodeSpec, environment, executable, plan
from lwd_bringup.prepare import prepare

FROM_FILE = ''
"""A launch argument left empty keeps the value of the configuration file."""


def describe(config: str) -> LaunchDescription:
    """Return the launch description of a shipped configuration.

    Its launch arguments are `params_file`, every top-level setting of the configuration, and
    any setting of a node by its dotted name (driver.mode:=lockstep).
    """
    declared: list[LaunchDescriptionEntity] = [DeclareLaunchArgument(
        'params_file', default_value=config,
        description='Name of a shipped configuration, or path of a YAML file like it.')]
    for name, text, choices in arguments(CONFIGS[config]):
        # An empty default is no choice, so choices are checked when the file is read.
        note = f' One of: {", ".join(choices)}.' if choices else ''
        declared.append(DeclareLaunchArgument(
            name, default_value=FROM_FILE,
            description=f'{text}{note} Empty: as in the configuration.'))
    return LaunchDescription([*declared, OpaqueFunction(
        function=partial(_start, CONFIGS[config]))])


def _start(kind: type[Machine], context: LaunchContext) -> list[LaunchDescriptionEntity]:
    overrides: dict[str, Any] = {}
    for name, _, _ in arguments(kind):
        text = LaunchConfiguration(name).perform(context)
        if text != FROM_FILE:
            overrides[name] = parse_value(text)
    for name, text in context.launch_configurations.items():
        if name.partition('.')[0] in sections(kind) and '.' in name:
            overrides[name] = parse_value(text)
    config = load(LaunchConfiguration('params_file').perform(context), overrides)
    prepare(config)
    nodes = plan(config)
    for spec in nodes:
        # Before anything runs: launch leaves started nodes behind when a later one is not found.
        executable(spec)
    return [
        GroupAction([PushROSNamespace(namespace), *(
            _node(spec, config) for spec in nodes if spec.namespace == namespace)])
        for namespace in dict.fromkeys(spec.namespace for spec in nodes)]


def _node(spec: NodeSpec, config: Machine) -> Node:
    return Node(
        package=spec.package, executable=spec.executable, name=spec.name,
        parameters=[dict(spec.parameters)], remappings=list(spec.remappings),
        arguments=list(spec.arguments), ros_arguments=['--log-level', config.log_level],
        # Per node, not for the whole context: a file that includes this one may start others.
        additional_env=environment(config),
        respawn=spec.respawn, respawn_delay=2.0, output='both')
