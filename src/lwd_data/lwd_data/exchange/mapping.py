# SPDX-License-Identifier: Apache-2.0
"""What the fields of a foreign data set mean: joints, units, cameras, labels.

Names of parts, and how many numbers each has, are ours; fields and columns are the data set's.
"""

from __future__ import annotations

from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from g1_description.errors import alternatives
from lwd_data.errors import ExchangeError

Format = Literal['agibot-world', 'lerobot']
Unit = Literal['rad', 'deg', 'm', 'cm', 'mm', 'closure']
Label = Literal['success', 'failure', 'timeout', 'none']
Driver = Literal['expert', 'teleop', 'policy']

PARTS: Dict[str, tuple[int, ...]] = MappingProxyType({
    'left_arm': tuple(range(7)), 'left_gripper': (7,), 'right_arm': tuple(range(8, 15)),
    'right_gripper': (15,), 'head': (16, 17), 'lift': (18,), 'waist_pitch': (19,)})
"""Which entries of STATE_JOINTS each part has; head is yaw, pitch."""
COMMAND_PARTS = ('left_arm', 'left_gripper', 'right_arm', 'right_gripper')
GRIPPERS = ('left_gripper', 'right_gripper')


@dataclass(frozen=True)
class Part:
    """Where the numbers of one part come from."""

    field: str = ''
    """A dataset of the HDF5 file, or a feature; (T,) or (T, width)."""
    columns: tuple[int | str, ...] = ()
    """Which of the field's columns: numbers from 0, or names as the feature has them."""
    width: int = 0
    """How many columns the field must have; 0: not checked."""
    unit: Unit = 'rad'
    """Of the field. closure: of a gripper, see open and closed."""
    open: float = 0.0
    """The field's number for an open gripper."""
    closed: float = 1.0
    """The field's number for a closed gripper."""
    index: str = ''
    """A field with the rows in which something was sent; between them the last one holds."""
    constant: tuple[float, ...] = ()
    """Instead of a field: what the part always is, rad, m or closure."""


@dataclass(frozen=True)
class Extra:
    """Fields that not every data set has; empty: it does not."""

    reward: str = ''
    """Number a frame."""
    success: str = ''
    """Truth value a frame; the last one is the episode's label."""
    terminal: str = ''
    """Reward.TERMINAL_* a frame; the first that is not 0 ends the episode."""
    source: str = ''
    """ControlStep.SOURCE_* a frame: who was in control."""
    version: str = ''
    """Policy version a frame, a text."""
    driver_state: str = ''
    """ExecutedCommand.STATE_* a frame."""
    tick: str = ''
    """Number of the control tick a frame; with it nothing is resampled, and gaps stay gaps."""
    scene: str = ''
    """Scene features a frame."""
    scene_layout: str = ''
    """Name of their layout."""
    custom: str = ''
    """Of an episode: custom_data as JSON. It goes before what is said here."""


@dataclass(frozen=True)
class DataMapping:
    """What the fields of a data set mean."""

    format: Format
    state: Dict[str, Part]
    """Each of PARTS."""
    command: Dict[str, Part]
    """Each of COMMAND_PARTS; empty with command_from: next_state."""
    cameras: Dict[str, str]
    """By our camera: the feature, or the file relative to the data set with {task} and {episode};
    with {frame} in it one image a frame."""
    optional_cameras: bool = False
    """Whether a data set may lack some of them."""
    command_from: Literal['recorded', 'next_state'] = 'recorded'
    """next_state: what was commanded is taken to be where the robot was one frame later."""
    time: str = ''
    """Field of the stamps; empty: frames come at `rate`."""
    time_unit: Literal['ns', 's'] = 's'
    rate: float = 0.0
    """Frames a second where there are no stamps; 0: as the data set says."""
    max_gap: float = 0.2
    """Longest time between two frames, s; more is refused."""
    tolerance: float = 0.15
    """By how much a joint may be outside its limits, rad, m or closure; more is refused: such
    numbers are in another unit."""
    image_size: int = 128
    """Width and height that the centre of an image is cropped and resized to; 0: as it is."""
    jpeg_quality: int = 90
    label: Label = 'success'
    """Of an episode that does not say so itself: demonstrations succeed."""
    source: Driver = 'expert'
    """Who is recorded as in control, unless a field says so. teleop makes every step of a
    demonstration a correction to the learner."""
    extra: Extra = field(default_factory=Extra)
    name: str = ''
    """Of the mapping; filled in from the file."""
    digest: str = ''
    """SHA-256 of the file; filled in."""


def chosen_cameras(mapping: DataMapping, cameras: Sequence[str] | None) -> tuple[str, ...]:
    """Return the cameras to import.

    Raises:
        ExchangeError: The mapping has none of that name.
    """
    if cameras is None:
        return tuple(mapping.cameras)
    for name in cameras:
        if name not in mapping.cameras:
            raise ExchangeError(
                f'mapping {mapping.name} has no camera {name!r}'
                f'{alternatives(name, mapping.cameras)}')
    return tuple(cameras)
