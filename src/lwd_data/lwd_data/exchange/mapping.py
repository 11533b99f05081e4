# SPDX-License-Identifier: Apache-2.0
"""What the fields of a foreign data set mean: joints, units, cameras, labels. A YAML file.

Names of parts, and how many numbers each has, are ours; fields and columns are the data set's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import yaml

from g1_description.cameras import CAMERA_NAMES
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
SHIPPED = Path(__file__).with_name('mappings')


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


def shipped() -> dict[str, Path]:
    """Return the mappings that come with LWD, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob('*.yaml'))}


def find(name: str) -> DataMapping:
    """Return a mapping: of a YAML file, or one that comes with LWD.

    Raises:
        ExchangeError: There is none, or it does not hold together.
    """
    path = Path(name)
    if path.suffix not in ('.yaml', '.yml'):
        known = shipped()
        if name not in known:
            raise ExchangeError(f'unknown mapping {name!r}{alternatives(name, known)}, or a path '
                                'to a .yaml')
        path = known[name]
    return load(path)


def load(path: Path) -> DataMapping:
    """Read a mapping.

    Raises:
        ExchangeError: The file is missing, no YAML, has an unknown key or an impossible value.
    """
    try:
        data = path.read_bytes()
        content = yaml.safe_load(data)
    except OSError as error:
        raise ExchangeError(f'there is no mapping {path}: {error.strerror}') from error
    except yaml.YAMLError as error:
        raise ExchangeError(f'{path} is no YAML: {error}') from error
    values = _table(content, str(path))
    for key, names in (('state', tuple(PARTS)), ('command', COMMAND_PARTS)):
        parts = _table(values.get(key, {}), f'{path}: {key}')
        recorded = key == 'state' or values.get('command_from', 'recorded') == 'recorded'
        missing = [name for name in names if name not in parts] if recorded else []
        if missing:
            raise ExchangeError(
                f'{path}: {key} lacks {", ".join(missing)}; where the data set has none, give a '
                'constant')
        values[key] = {
            name: _part(name, _table(part, f'{path}: {key}.{name}'), names,
                        f'{path}: {key}.{name}')
            for name, part in parts.items()}
    cameras = _table(values.setdefault('cameras', {}), f'{path}: cameras')
    for name in cameras:
        if name not in CAMERA_NAMES:
            raise ExchangeError(
                f'{path}: unknown camera {name!r}{alternatives(name, CAMERA_NAMES)}')
    extra = _table(values.get('extra', {}), f'{path}: extra')
    values['extra'] = _filled(Extra, extra, f'{path}: extra')
    return _filled(DataMapping, {
        **values, 'name': path.stem, 'digest': hashlib.sha256(data).hexdigest()}, str(path))


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


def _table(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ExchangeError(f'{where} is {content!r}; it must be keys with values')
    return dict(content)


def _part(name: str, content: dict[str, Any], names: tuple[str, ...], where: str) -> Part:
    if name not in names:
        raise ExchangeError(f'{where}: unknown part {name!r}{alternatives(name, names)}')
    for key in ('columns', 'constant'):
        if not isinstance(content.get(key, []), list):
            raise ExchangeError(f'{where}.{key} is {content[key]!r}; it must be a list')
        content[key] = tuple(content.get(key, ()))
    if name in GRIPPERS:
        content.setdefault('unit', 'closure')
    part = _filled(Part, content, where)
    if bool(part.field) == bool(part.constant):
        raise ExchangeError(f'{where} needs either a field or a constant')
    count = len(part.constant or part.columns)
    if count != len(PARTS[name]):
        raise ExchangeError(
            f'{where} has {count} {"numbers" if part.constant else "columns"}; {name} has '
            f'{len(PARTS[name])}')
    if (part.unit == 'closure') != (name in GRIPPERS):
        raise ExchangeError(f'{where}.unit is {part.unit!r}; closure is for grippers, and only '
                            'for them')
    if part.open == part.closed:
        raise ExchangeError(f'{where}: open and closed are both {part.open:g}')
    return part


def _filled(kind: Any, content: dict[str, Any], where: str) -> Any:
    known = {one.name: one for one in fields(kind)}
    for key in content:
        if key not in known:
            raise ExchangeError(f'{where}: unknown key {key!r}{alternatives(key, known)}')
    if kind is DataMapping and 'format' not in content:
        raise ExchangeError(f'{where} has no format; it is one of {", ".join(get_args(Format))}')
    for key, value in content.items():
        content[key] = _checked(value, str(known[key].type), f'{where}: {key}')
    return kind(**content)


def _checked(value: Any, hint: str, where: str) -> Any:
    choices = _CHOICES.get(hint)
    if choices is not None:
        if value not in choices:
            raise ExchangeError(f'{where} is {value!r}{alternatives(str(value), choices)}')
    elif hint == 'float':
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ExchangeError(f'{where} is {value!r}; it must be a number')
        return float(value)
    elif hint == 'int':
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ExchangeError(f'{where} is {value!r}; it must be a whole number from 0')
    elif hint == 'bool':
        if not isinstance(value, bool):
            raise ExchangeError(f'{where} is {value!r}; it must be true or false')
    elif hint == 'str' and not isinstance(value, str):
        raise ExchangeError(f'{where} is {value!r}; it must be a text')
    return value


_CHOICES = {
    'Format': get_args(Format), 'Unit': get_args(Unit), 'Label': get_args(Label),
    'Driver': get_args(Driver), "Literal['recorded', 'next_state']": ('recorded', 'next_state'),
    "Literal['ns', 's']": ('ns', 's')}
