# SPDX-License-Identifier: Apache-2.0
"""The links of the G1: how they hang together, what they weigh, which primitives they look like.

Joint origins, axes and masses: figures of the public URDF G1_120s in AgiBot's genie_sim (G1 with
Changingtek CRT 120S grippers). Primitives: sized after that URDF's collision shapes. Torso mass
properties as corrected by fiveages-sim/robot_descriptions, which puts the base at about 77 kg.
All frames as in the URDF: base_link on the floor, x forward, y left, z up; every joint turns or
slides along its child's z.

The CRT 120S drives parallelogram fingers, so that its pads stay parallel. Here each finger is one
slide of half the measured opening at full stroke (103 mm), and the gripper's joint is its closure.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Literal

from g1_description import joints as j
from g1_description.errors import UnknownNameError
from g1_description.joints import Joint

Vector = tuple[float, float, float]
_H = pi / 2


@dataclass(frozen=True)
class Shape:
    """A primitive, at once what is seen and what touches, unless it is said to be seen only.

    size: box (x, y, z) full lengths, m; capsule (radius, whole length) along its z; sphere
    (radius). rpy: fixed-axis roll, pitch, yaw, rad.
    """

    kind: Literal['box', 'capsule', 'sphere']
    size: tuple[float, ...]
    xyz: Vector = (0.0, 0.0, 0.0)
    rpy: Vector = (0.0, 0.0, 0.0)
    colour: str = 'white'
    pad: bool = False
    """A gripper's contact pad: soft, of high friction."""
    touches: bool = True
    """Whether it is there for contacts and distances too, or only seen."""


@dataclass(frozen=True)
class Link:
    """A link and the joint that carries it. Units m, kg, kg m^2, rad."""

    name: str
    parent: str | None
    xyz: Vector
    rpy: Vector
    kind: Literal['fixed', 'revolute', 'prismatic', 'finger']
    joint: Joint | None
    """None for fixed links and fingers."""
    mass: float
    com: Vector
    inertia: Vector
    """Diagonal, about the centre of mass, in the link's axes."""
    shapes: tuple[Shape, ...] = ()


COLOURS: dict[str, tuple[float, float, float, float]] = {
    'white': (0.92, 0.92, 0.93, 1.0),
    'dark': (0.16, 0.17, 0.19, 1.0),
    'grey': (0.55, 0.57, 0.60, 1.0),
    'accent': (0.10, 0.42, 0.85, 1.0),
    'glass': (0.03, 0.05, 0.09, 1.0),
}

FINGER_TRAVEL = 0.0515
"""Way of one finger from closed to open, m: half of 103 mm."""
TCP = (0.0, 0.0, 0.207)
"""Between the pads' centres, in the frame of an arm's last link; z points out of the hand, m."""
BASE_LINK = 'base_link'


def _body() -> tuple[Link, ...]:
    lift, pitch = j.WAIST
    yaw, nod = j.HEAD
    return (
        Link(BASE_LINK, None, (0, 0, 0), (0, 0, 0), 'fixed', None,
             76.93, (-0.008, 0.0, 0.091), (0.387, 0.3668, 0.5469), (
                 Shape('box', (0.60, 0.449, 0.22), (0, 0, 0.15)),
                 Shape('box', (0.56, 0.41, 0.05), (0, 0, 0.285), colour='dark'),
                 Shape('box', (0.20, 0.30, 0.72), (-0.15, 0, 0.66)),
                 Shape('capsule', (0.0795, 0.34), (0, 0, 0.08), (_H, 0, 0), 'dark'))),
        Link('body_link1', BASE_LINK, (0, 0, 0.6485), (0, 0, 0), 'prismatic', lift,
             3.2628, (0.0338, -0.0025, 0.0008), (0.01283, 0.0061, 0.01117), (
                 Shape('box', (0.16, 0.056, 0.133), (0.103, 0.1, -0.014), colour='grey'),
                 Shape('box', (0.16, 0.044, 0.160), (0.102, -0.1, 0), colour='grey'),
                 # What the column pushes up, and what carries the torso on it: only for the eye,
                 # the torso would float without.
                 Shape('box', (0.16, 0.24, 0.66), (-0.15, 0, -0.26), colour='grey', touches=False),
                 Shape('box', (0.20, 0.14, 0.12), colour='dark', touches=False))),
        Link('body_link2', 'body_link1', (0.131, 0, 0), (-_H, 0, 0), 'revolute', pitch,
             7.532, (-0.0005, -0.1937, -0.0012), (0.07889, 0.0515, 0.0449), (
                 Shape('capsule', (0.085, 0.25), colour='grey'),
                 # 0.26 m wide, so that an arm can hang beside it; the collision block in the URDF
                 # (0.31 m) would touch the upper arm there.
                 Shape('box', (0.1811, 0.3457, 0.26), (0.008, -0.248, 0)),
                 Shape('box', (0.01, 0.10, 0.12), (0.1, -0.30, 0), colour='accent'))),
        Link('head_link1', 'body_link2', (0, -0.441, 0), (_H, 0, 0), 'revolute', yaw,
             0.4143, (0.0446, 0.0024, 0.0528), (1.59e-4, 1.18e-4, 1.71e-4),
             (Shape('capsule', (0.035, 0.11), (0.02, 0, 0.03), colour='grey'),)),
        Link('head_link2', 'head_link1', (0.050238, 0, 0.060065), (-_H, 0, 0), 'revolute', nod,
             0.7071, (0.0257, 0.0316, 0), (0.00205, 0.002, 0.00185), (
                 Shape('capsule', (0.085, 0.20), (0.0, -0.03, 0.0)),
                 Shape('box', (0.03, 0.09, 0.15), (0.075, -0.0421, 0), colour='glass'))),
        Link('arm_base_link', 'body_link2', (0, -0.305, 0), (_H, 0, 0), 'fixed', None,
             0.01, (0, 0, 0), (1e-5, 1e-5, 1e-5)),
    )


def _arm(side: Literal['l', 'r']) -> tuple[Link, ...]:
    """Return an arm's links; the right one differs in three origins, as in the URDF."""
    left = side == 'l'
    sign = 1.0 if left else -1.0
    arm = j.LEFT_ARM if left else j.RIGHT_ARM
    base, prefix = f'arm_{side}_base_link', f'arm_{side}_link'
    end = end_link(side)
    return (
        Link(base, 'arm_base_link', (0, sign * 0.025, 0), (-_H, 0, 0 if left else pi), 'fixed',
             None, 0.37595, (0, 0, 0.0323), (3e-4, 3e-4, 3e-4),
             (Shape('capsule', (0.054, 0.15), (0, 0, 0.045), colour='grey'),)),
        Link(prefix + '1', base, (0, 0, 0.1859 if left else 0.188), (0, 0, 0), 'revolute', arm[0],
             0.4936, (0, 0, -0.0184), (7.54e-4, 6.58e-4, 3.18e-4),
             (Shape('capsule', (0.0558, 0.166), (0, 0, -0.041)),)),
        Link(prefix + '2', prefix + '1', (0, 0, 0), (-_H, 0, sign * _H), 'revolute', arm[1],
             0.46245 if left else 0.41662, (0, -0.078 if left else -0.082, 0.002),
             (6.57e-4, 4.35e-4, 7.26e-4),
             (Shape('capsule', (0.06, 0.20), (0, -0.055, 0), (_H, 0, 0)),)),
        Link(prefix + '3', prefix + '2', (0, -0.305, 0), (-_H, sign * _H, pi), 'revolute', arm[2],
             0.5, (0, 0, -0.0555), (1.3e-3, 1.43e-3, 3.36e-4),
             (Shape('capsule', (0.054, 0.221), (0, 0, -0.072), colour='grey'),)),
        Link(prefix + '4', prefix + '3', (0, 0, 0), (-_H, 0, pi), 'revolute', arm[3],
             0.27473, (0, -0.0625, 0.0025), (2.93e-4, 1.89e-4, 3.12e-4),
             (Shape('capsule', (0.055, 0.155), (0, -0.038, 0), (_H, 0, 0)),)),
        Link(prefix + '5', prefix + '4', (0, -0.1975, 0), (-_H, 0, -pi), 'revolute', arm[4],
             0.25139, (0, 0, -0.0241), (2.35e-4, 2.88e-4, 1.31e-4),
             (Shape('capsule', (0.0456, 0.1345), (0, 0, -0.033), colour='grey'),)),
        Link(prefix + '6', prefix + '5', (0, 0, 0), (-_H, 0, 0), 'revolute', arm[5],
             0.26634, (0, -0.0867, 0.0026), (3.14e-4, 1.45e-4, 3.25e-4),
             (Shape('capsule', (0.045, 0.182), (0, -0.055, 0), (_H, 0, 0)),)),
        Link(end, prefix + '6', (0, -0.1805, 0), (_H, 0, 0), 'revolute', arm[6],
             0.06158, (0, 0, -0.0167), (1.84e-5, 1.82e-5, 2.85e-5),
             (Shape('capsule', (0.0308, 0.08), (0, 0, -0.0225), colour='grey'),
              # The stand of the wrist camera.
              Shape('box', (0.05, 0.04, 0.025), (0, -0.070, 0.095), (-0.45, 0, 0), 'glass'))),
        Link(f'gripper_{side}_base_link', end, (0, 0, 0), (0, 0, 0 if left else pi), 'fixed', None,
             0.4431, (0, 0, 0.055), (6e-4, 6e-4, 3e-4),
             (Shape('box', (0.09, 0.062, 0.115), (0, 0, 0.0575), colour='dark'),)),
        *(_finger(side, name, direction) for name, direction in (('outer', -1.0), ('inner', 1.0))),
    )


def _finger(side: str, name: str, direction: float) -> Link:
    """Return one finger: its origin is its place when closed; it opens along direction * x."""
    base = f'gripper_{side}_base_link'
    return Link(
        f'gripper_{side}_{name}_link', base, (0, 0, 0), (0, 0, 0), 'finger', None,
        0.048, (direction * 0.02, 0, 0.17), (3e-5, 3e-5, 1e-5), (
            Shape('box', (0.018, 0.024, 0.07), (direction * 0.0135, 0, 0.150), colour='grey'),
            Shape('box', (0.009, 0.023, 0.046), (direction * 0.0045, 0, 0.206), colour='dark',
                  pad=True)))


def end_link(side: Literal['l', 'r']) -> str:
    """Return the name of an arm's last link, the flange."""
    return f'arm_{side}_end_link'


def finger_direction(link: Link) -> float:
    """Return along which x a finger opens, +1 or -1."""
    return -1.0 if 'outer' in link.name else 1.0


def gripper_joint(link: Link) -> Joint:
    """Return the joint whose closure moves a finger."""
    return j.LEFT_GRIPPER if '_l_' in link.name else j.RIGHT_GRIPPER


LINKS = (*_body(), *_arm('l'), *_arm('r'))
"""All links, parents before children."""


def link(name: str) -> Link:
    """Return a link by name.

    Raises:
        UnknownNameError: The robot has no such link.
    """
    for candidate in LINKS:
        if candidate.name == name:
            return candidate
    raise UnknownNameError('link', name, [known.name for known in LINKS])
