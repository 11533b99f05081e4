# SPDX-License-Identifier: Apache-2.0
"""The card of a policy: what it is, what it sees and moves, where it came from. JSON on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from g1_description.errors import alternatives
from lwd_policy.errors import CardError

FORMAT_VERSION = 1
Observation = Literal['scene', 'cameras']


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec='seconds')


@dataclass(frozen=True)
class PolicyLayout:
    """What the policy's inputs and outputs mean."""

    joints: tuple[str, ...]
    """Names of the joints, in the order of the state's and the actions' last axis."""
    horizon: int
    """H: actions in a chunk."""
    scene: str = ''
    """Name of the layout of scene features; empty if the policy does not see them."""


@dataclass(frozen=True, kw_only=True)
class PolicyCard:
    """What is known about one version of a policy."""

    name: str
    """What people call it: a line of policies has one name and many versions."""
    architecture: dict[str, Any]
    """The configuration of its networks, as plain JSON. The version covers it."""
    observation: Observation
    """Whether it sees privileged scene features or camera images."""
    layout: PolicyLayout
    """What its inputs and outputs mean."""
    algorithm: str
    """What trained it: bc, qam, ..."""
    command: str
    """The command line that made it."""
    seed: int
    """Seed of the run that made it."""
    parent: str = ''
    """Version that training began from; empty for the first."""
    snapshot: str = ''
    """Id of the replay snapshot it was trained on; empty if none."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Figures at the time of saving, by name; finite."""
    created: str = field(default_factory=_now)
    """ISO 8601 time with its zone."""
    notes: str = ''
    """What a person has to say."""
    version: str = ''
    """SHA-256 of the weights file, hex. Filled in when the weights are saved."""
    tensors: dict[str, str] = field(default_factory=dict)
    """Type and shape by name of the tensor. Filled in when the weights are saved."""
    format: int = FORMAT_VERSION
    """Version of this file format."""

    def child(self, **changes: Any) -> PolicyCard:
        """Return the card of a version trained from this one, to be saved with its weights."""
        return replace(self, **{
            'parent': self.version, 'version': '', 'tensors': {}, 'metrics': {},
            'created': _now(), 'notes': '', **changes})


def dumps(card: PolicyCard) -> str:
    """Return a card as JSON.

    Raises:
        CardError: A field has a value of the wrong kind, or one that JSON cannot say.
    """
    content = asdict(card)
    where = f'card of {card.name!r}'
    _parse(content, where)
    try:
        text = json.dumps(content, indent=2, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise CardError(
            f'{where} cannot be written as JSON: {error}; use plain numbers, strings, lists and '
            'dictionaries') from error
    return text + '\n'


def loads(text: str, *, where: str) -> PolicyCard:
    """Return the card that a JSON text holds.

    Args:
        text: What `dumps` returned.
        where: The text's place, for messages.

    Raises:
        CardError: No JSON, a newer format, unknown or missing keys, or a value of the wrong kind.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise CardError(
            f'{where} is no JSON ({error}); copy it again from where the policy was made'
        ) from error
    return _parse(content, where)


def _parse(content: Any, where: str) -> PolicyCard:
    if not isinstance(content, Mapping):
        raise CardError(f'{where} is a {type(content).__name__}; a card is a JSON object')
    written = content.get('format')
    if isinstance(written, int) and written > FORMAT_VERSION:
        raise CardError(
            f'{where} is of format {written}, this version of LWD reads up to {FORMAT_VERSION}; '
            'update LWD here, or save the policy with the older version')
    values = _checked(content, PolicyCard, _CARD_KINDS, where)
    layout = _checked(values['layout'], PolicyLayout, _LAYOUT_KINDS, f'{where}: layout')
    values['layout'] = PolicyLayout(**{**layout, 'joints': tuple(layout['joints'])})
    return PolicyCard(**values)


def _checked(
    content: Mapping[str, Any], kind: type, kinds: Mapping[str, _Kind], where: str,
) -> dict[str, Any]:
    names = [item.name for item in fields(kind)]
    for key in content:
        if key not in names:
            raise CardError(f'{where} has the unknown key {key!r}{alternatives(key, names)}')
    missing = [name for name in names if name not in content]
    if missing:
        raise CardError(
            f'{where} lacks {", ".join(missing)}; it was cut or written by hand: save the policy '
            'again, or add them')
    for name, (holds, meant) in kinds.items():
        if not holds(content[name]):
            raise CardError(f'{where}: {name} is {content[name]!r}; it must be {meant}')
    return dict(content)


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return (_is_int(value) or isinstance(value, float)) and math.isfinite(value)


def _is_names(value: Any) -> bool:
    return (isinstance(value, list | tuple) and bool(value) and _all(value, _is_text)
            and len(set(value)) == len(value))


def _is_version(value: Any) -> bool:
    return _is_text(value) and (
        value == '' or (len(value) == 64 and set(value) <= set('0123456789abcdef')))


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _maps_to(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        return (isinstance(value, Mapping) and _all(value, _is_text)
                and _all(value.values(), holds))
    return check


def _all(values: Iterable[Any], holds: Callable[[Any], bool]) -> bool:
    return all(map(holds, values))


_Kind = tuple[Callable[[Any], bool], str]
_TEXT: _Kind = (_is_text, 'a string')
_VERSION: _Kind = (_is_version, 'a SHA-256 in hex, or empty')
_CARD_KINDS: Mapping[str, _Kind] = {
    'name': (lambda value: _is_text(value) and bool(value), 'a string that is not empty'),
    'architecture': (_maps_to(lambda _: True), 'an object with strings as keys'),
    'observation': (lambda value: value in get_args(Observation),
                    f'one of {", ".join(get_args(Observation))}'),
    'layout': (_maps_to(lambda _: True), 'an object'),
    'algorithm': _TEXT,
    'command': _TEXT,
    'seed': (_is_int, 'a whole number'),
    'parent': _VERSION,
    'snapshot': _TEXT,
    'metrics': (_maps_to(_is_number), 'an object of finite numbers; leave out what is not'),
    'created': (_is_time, 'an ISO 8601 time with its zone'),
    'notes': _TEXT,
    'version': _VERSION,
    'tensors': (_maps_to(_is_text), 'an object of strings'),
    'format': (lambda value: _is_int(value) and value >= 1, 'a whole number from 1'),
}
_LAYOUT_KINDS: Mapping[str, _Kind] = {
    'joints': (_is_names, 'a list of different names'),
    'horizon': (lambda value: _is_int(value) and value >= 1, 'a whole number from 1'),
    'scene': _TEXT,
}
