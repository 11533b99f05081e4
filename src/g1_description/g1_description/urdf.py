# SPDX-License-Identifier: Apache-2.0
"""The URDF of the G1, for robot_description."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence

import numpy as np

from g1_description.cameras import CAMERAS, Camera
from g1_description.joints import LEFT_GRIPPER, RIGHT_GRIPPER, Joint
from g1_description.links import (
    COLOURS,
    FINGER_TRAVEL,
    LINKS,
    TCP,
    Link,
    Shape,
    end_link,
    finger_direction,
    gripper_joint,
)
from g1_description.transforms import matrix_to_rpy, rpy_to_matrix


def urdf() -> str:
    """Return the URDF. Joint values are those of joint_states: grippers by their closure, 0..1.

    URDF has no joint whose value is a closure, so each gripper's joint turns a link without mass,
    and the two fingers mimic it.
    """
    robot = ET.Element('robot', name='agibot_g1')
    for name, rgba in COLOURS.items():
        material = ET.SubElement(robot, 'material', name=name)
        ET.SubElement(material, 'color', rgba=_text(rgba))
    for link in LINKS:
        _link(robot, link)
        if link.parent is not None:
            _joint(robot, link, link.parent)
    for side, gripper in (('l', LEFT_GRIPPER), ('r', RIGHT_GRIPPER)):
        _closure(robot, f'gripper_{side}_base_link', f'gripper_{side}_drive_link', gripper)
        _fixed(robot, end_link('l' if side == 'l' else 'r'), f'gripper_{side}_center_link', TCP)
    for camera in CAMERAS:
        _camera(robot, camera)
    ET.indent(robot)
    return ET.tostring(robot, encoding='unicode')


def _text(values: Sequence[float]) -> str:
    return ' '.join(f'{value:.9g}' for value in values)


def _link(robot: ET.Element, link: Link) -> None:
    element = ET.SubElement(robot, 'link', name=link.name)
    inertial = ET.SubElement(element, 'inertial')
    ET.SubElement(inertial, 'origin', xyz=_text(link.com), rpy='0 0 0')
    ET.SubElement(inertial, 'mass', value=f'{link.mass:.9g}')
    ixx, iyy, izz = (f'{value:.9g}' for value in link.inertia)
    ET.SubElement(inertial, 'inertia', ixx=ixx, iyy=iyy, izz=izz, ixy='0', ixz='0', iyz='0')
    for role in ('visual', 'collision'):
        for shape in link.shapes:
            if role == 'collision' and not shape.touches:
                continue
            for kind, size, xyz in _solids(shape):
                solid = ET.SubElement(element, role)
                ET.SubElement(solid, 'origin', xyz=_text(xyz), rpy=_text(shape.rpy))
                ET.SubElement(ET.SubElement(solid, 'geometry'), kind, size)
                if role == 'visual':
                    ET.SubElement(solid, 'material', name=shape.colour)


def _solids(shape: Shape) -> list[tuple[str, dict[str, str], Sequence[float]]]:
    """Return (URDF element, attributes, origin) of each solid; a capsule is three."""
    if shape.kind == 'box':
        return [('box', {'size': _text(shape.size)}, shape.xyz)]
    radius = f'{shape.size[0]:.9g}'
    if shape.kind == 'sphere':
        return [('sphere', {'radius': radius}, shape.xyz)]
    straight = shape.size[1] - 2.0 * shape.size[0]
    end = rpy_to_matrix(shape.rpy) @ np.array([0.0, 0.0, straight / 2.0])
    centre = np.array(shape.xyz)
    return [
        ('cylinder', {'radius': radius, 'length': f'{straight:.9g}'}, shape.xyz),
        ('sphere', {'radius': radius}, list(centre + end)),
        ('sphere', {'radius': radius}, list(centre - end)),
    ]


def _joint(robot: ET.Element, link: Link, parent: str) -> None:
    kind = 'prismatic' if link.kind == 'finger' else link.kind
    name = link.joint.name if link.joint else link.name.replace('_link', '_joint')
    element = ET.SubElement(robot, 'joint', name=name, type=kind)
    ET.SubElement(element, 'parent', link=parent)
    ET.SubElement(element, 'child', link=link.name)
    ET.SubElement(element, 'origin', xyz=_text(link.xyz), rpy=_text(link.rpy))
    if link.kind == 'finger':
        ET.SubElement(element, 'axis', xyz=f'{finger_direction(link):g} 0 0')
        _limit(element, 0.0, FINGER_TRAVEL, 0.2, 60.0)
        ET.SubElement(element, 'mimic', joint=gripper_joint(link).name,
                      multiplier=f'{-FINGER_TRAVEL:.9g}', offset=f'{FINGER_TRAVEL:.9g}')
    elif link.joint is not None:
        joint = link.joint
        ET.SubElement(element, 'axis', xyz='0 0 1')
        _limit(element, joint.lower, joint.upper, joint.velocity, joint.effort)


def _limit(
    element: ET.Element, lower: float, upper: float, velocity: float, effort: float,
) -> None:
    ET.SubElement(element, 'limit', lower=f'{lower:.9g}', upper=f'{upper:.9g}',
                  velocity=f'{velocity:.9g}', effort=f'{effort:.9g}')


def _closure(robot: ET.Element, parent: str, child: str, joint: Joint) -> None:
    ET.SubElement(robot, 'link', name=child)
    element = ET.SubElement(robot, 'joint', name=joint.name, type='revolute')
    ET.SubElement(element, 'parent', link=parent)
    ET.SubElement(element, 'child', link=child)
    ET.SubElement(element, 'axis', xyz='0 0 1')
    _limit(element, joint.lower, joint.upper, joint.velocity, joint.effort)


def _fixed(
    robot: ET.Element, parent: str, child: str, xyz: Sequence[float],
    rpy: Sequence[float] = (0.0, 0.0, 0.0),
) -> None:
    ET.SubElement(robot, 'link', name=child)
    element = ET.SubElement(robot, 'joint', name=child + '_joint', type='fixed')
    ET.SubElement(element, 'parent', link=parent)
    ET.SubElement(element, 'child', link=child)
    ET.SubElement(element, 'origin', xyz=_text(xyz), rpy=_text(rpy))


def _camera(robot: ET.Element, camera: Camera) -> None:
    forward, up = np.array(camera.forward), np.array(camera.up)
    optical = np.column_stack([np.cross(forward, up), -up, forward])
    _fixed(robot, camera.link, camera.frame, camera.xyz, matrix_to_rpy(optical))
