# SPDX-License-Identifier: Apache-2.0
"""Units and conventions of a2d_sdk on which public sources disagree: configured or probed.

A probe decides only on evidence: a reading that is possible in one unit and not in the other.
Where it fits both, the first of the two is assumed, and diagnostics say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from g1_description import joints as j
from g1_driver.errors import ConnectionRefusedByCheckError

Array = NDArray[np.float64]

_TOLERANCE = 0.05


@dataclass(frozen=True)
class SdkConfig:
    """What the SDK's numbers mean. `auto` probes at connection."""

    angle_unit: str = field(default='auto', metadata={'choices': ('auto', 'rad', 'deg')})
    """Of head and waist angles. Arms are in rad in every source; anything else is refused."""
    lift_unit: str = field(default='auto', metadata={'choices': ('auto', 'm', 'cm')})
    """Of the lift."""
    gripper_state: str = field(default='auto', metadata={'choices': ('auto', 'unit', 'raw')})
    """unit: 0..1. raw: between gripper_raw_open and gripper_raw_closed."""
    gripper_raw_open: float = 35.0
    """Raw state of an open gripper."""
    gripper_raw_closed: float = 120.0
    """Raw state of a closed gripper."""
    gripper_closed_at: float = field(default=1.0, metadata={'range': (0.0, 1.0)})
    """Which end of 0..1 is closed, in commands and in unit states: 0 or 1. Cannot be probed."""
    image_order: str = field(default='rgb', metadata={'choices': ('rgb', 'bgr')})
    """Order of colours in the SDK's images. Cannot be probed."""
    stale_after: float = field(default=0.5, metadata={'range': (0.05, 10.0)})
    """A joint state whose stamp stands still for so long is a fault, s."""

    def __post_init__(self) -> None:
        if self.gripper_closed_at not in (0.0, 1.0):
            raise ValueError(
                f'sdk.gripper_closed_at is {self.gripper_closed_at}; it must be 0 or 1')
        if self.gripper_raw_open == self.gripper_raw_closed:
            raise ValueError(
                f'sdk.gripper_raw_open and gripper_raw_closed are both {self.gripper_raw_open}')


@dataclass(frozen=True)
class Units:
    """Units in force after the probe."""

    degrees: bool
    centimetres: bool
    raw_grippers: bool
    assumed: tuple[str, ...]
    """What the readings did not decide, for diagnostics."""


def numbers(what: str, values: Sequence[float], count: int) -> Array:
    """Return SDK values as an array.

    Raises:
        ConnectionRefusedByCheckError: Not that many, or not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (count,):
        raise ConnectionRefusedByCheckError(
            f'a2d_sdk {what} returned {array.size} numbers instead of {count}; '
            'check the version of the SDK')
    if not np.all(np.isfinite(array)):
        raise ConnectionRefusedByCheckError(
            f'a2d_sdk {what} returned {array}, which is not finite')
    return array


def check_arms(arms: Array) -> None:
    """Check that arm angles, (14,), are rad within the joints' limits.

    Raises:
        ConnectionRefusedByCheckError: They are not.
    """
    joints = (*j.LEFT_ARM, *j.RIGHT_ARM)
    lower, upper = j.limits(joints)
    outside = np.flatnonzero((arms < lower - _TOLERANCE) | (arms > upper + _TOLERANCE))
    if not outside.size:
        return
    at = int(outside[0])
    radians = np.deg2rad(arms)
    degrees = bool(np.all((radians >= lower - _TOLERANCE) & (radians <= upper + _TOLERANCE)))
    hint = ('they fit as degrees: this SDK answers in degrees, which is not supported for arms'
            if degrees else 'check the order of joints and the version of the SDK')
    raise ConnectionRefusedByCheckError(
        f'a2d_sdk arm_joint_states: {joints[at].name} is {arms[at]:.3f}, outside '
        f'{lower[at]:.2f} .. {upper[at]:.2f} rad; {hint}. Nothing was moved')


def check_posture(head: Array, waist: Array, units: Units) -> None:
    """Check that head and waist lie within their limits in the units that were found.

    Raises:
        ConnectionRefusedByCheckError: They do not.
    """
    lift = waist[1] / 100.0 if units.centimetres else waist[1]
    values = np.array([*radians(head, units), lift, *radians(waist[:1], units)])
    if not _fits(values, (*j.HEAD, *j.WAIST)):
        raise ConnectionRefusedByCheckError(
            f'a2d_sdk: head {head} and waist {waist} do not fit the units found at connection; '
            'set sdk.angle_unit and sdk.lift_unit')


def probe(
    config: SdkConfig, arms: Array, head: Array, waist: Array, grippers: Array, *, stamped: bool,
) -> Units:
    """Decide the units from the first readings.

    Args:
        config: What is configured; `auto` is decided here.
        arms: (14,) left and right, checked to fit as rad.
        stamped: Whether the SDK gives stamps with its states.
        head: (2,) yaw and pitch.
        waist: (2,) pitch and lift, the SDK's order.
        grippers: (2,) left and right.

    Raises:
        ConnectionRefusedByCheckError: The readings fit no unit, or not the configured one.
    """
    assumed: list[str] = []
    if _fits(np.deg2rad(arms), (*j.LEFT_ARM, *j.RIGHT_ARM)) and float(np.max(np.abs(arms))) < 0.2:
        assumed.append('arms=rad assumed: all angles are so small that they may be degrees')
    if not stamped:
        assumed.append('states come without stamps: a lost connection looks like a robot at rest')
    angles = np.array([head[0], head[1], waist[0]])
    known = (j.HEAD[0], j.HEAD[1], j.WAIST[1])
    degrees = _decide(
        'angle_unit', config.angle_unit, ('rad', 'deg'),
        (_fits(angles, known), _fits(np.deg2rad(angles), known)),
        f'head and waist angles {angles}', assumed)
    lift = waist[1:]
    centimetres = _decide(
        'lift_unit', config.lift_unit, ('m', 'cm'),
        (_fits(lift, (j.WAIST[0],)), _fits(lift / 100.0, (j.WAIST[0],))),
        f'lift {lift[0]}', assumed)
    low, high = sorted((config.gripper_raw_open, config.gripper_raw_closed))
    raw = _decide(
        'gripper_state', config.gripper_state, ('unit', 'raw'),
        (bool(np.all((grippers >= -_TOLERANCE) & (grippers <= 1.0 + _TOLERANCE))),
         bool(np.all((grippers >= low - 3.0) & (grippers <= high + 3.0)))),
        f'gripper states {grippers}', assumed)
    return Units(degrees, centimetres, raw, tuple(assumed))


def _fits(values: Array, joints: Sequence[j.Joint]) -> bool:
    lower, upper = j.limits(joints)
    return bool(np.all((values >= lower - _TOLERANCE) & (values <= upper + _TOLERANCE)))


def _decide(
    name: str, configured: str, choices: tuple[str, str], fits: tuple[bool, bool], what: str,
    assumed: list[str],
) -> bool:
    """Return whether the second choice holds."""
    if configured != 'auto':
        second = configured == choices[1]
        if not fits[second]:
            raise ConnectionRefusedByCheckError(
                f'a2d_sdk {what} cannot be {configured}; check sdk.{name} (auto probes it)')
        return second
    if not any(fits):
        raise ConnectionRefusedByCheckError(
            f'a2d_sdk {what} fit neither {choices[0]} nor {choices[1]}; set sdk.{name} or check '
            'the robot. Nothing was moved')
    if all(fits):
        assumed.append(f'sdk.{name}={choices[0]} assumed: {what} fit both')
        return False
    return fits[1]


def closure_from_state(grippers: Array, config: SdkConfig, units: Units) -> Array:
    """Return closures, 0 open to 1 closed, of gripper states, (2,)."""
    if units.raw_grippers:
        span = config.gripper_raw_closed - config.gripper_raw_open
        return np.clip((grippers - config.gripper_raw_open) / span, 0.0, 1.0)
    closure = grippers if config.gripper_closed_at == 1.0 else 1.0 - grippers
    return np.clip(closure, 0.0, 1.0)


def command_from_closure(closure: Array, config: SdkConfig) -> Array:
    """Return SDK gripper commands of closures, (2,)."""
    return closure if config.gripper_closed_at == 1.0 else 1.0 - closure


def radians(values: Array, units: Units) -> Array:
    """Return head or waist angles in rad."""
    return values * (math.pi / 180.0) if units.degrees else values
