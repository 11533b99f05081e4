# SPDX-License-Identifier: Apache-2.0
"""ROS parameters from dataclasses: declared once, with description, range and nearest-name hints.

A field's docstring (the string below it) is its description. `field(metadata={'range': (a, b)})`
gives a range, `{'choices': (...)}` the allowed values. Nested dataclasses become dotted names.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
import typing
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from lwd_ros.errors import ParameterError, alternatives

T = TypeVar('T')

# Set by ROS itself, not by a configuration.
_BUILT_IN = ('use_sim_time', 'start_type_description_service')


@functools.cache
def descriptions(kind: type) -> Mapping[str, str]:
    """Return each field's docstring of a dataclass."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = typing.cast('ast.ClassDef', tree.body[0]).body
    found = {}
    for statement, after in itertools.pairwise(body):
        if (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            found[statement.target.id] = ' '.join(str(after.value.value).split())
    return found


def leaves(kind: type, prefix: str = '') -> Iterator[tuple[str, Field[Any], type, str]]:
    """Yield (dotted name, field, type, description) of every parameter of a dataclass."""
    hints = typing.get_type_hints(kind)
    for field in fields(kind):
        name = prefix + field.name
        if is_dataclass(hints[field.name]):
            yield from leaves(hints[field.name], name + '.')
        else:
            yield name, field, hints[field.name], descriptions(kind).get(field.name, '')


def build(kind: type[T], values: Mapping[str, Any], *, where: str) -> T:
    """Return a dataclass filled from dotted names; what is missing keeps its default.

    Raises:
        ParameterError: An unknown name, with the nearest known one, or a value of the wrong type
            or outside its range or choices; it names the value, the place and the remedy.
    """
    known = {name: (field, type_) for name, field, type_, _ in leaves(kind)}
    for name in values:
        if name not in known:
            raise ParameterError(
                f'{where}: unknown parameter {name!r}{alternatives(name, known)}')
    return _fill(kind, values, '', where)


def _fill(kind: type[T], values: Mapping[str, Any], prefix: str, where: str) -> T:
    hints = typing.get_type_hints(kind)
    arguments: dict[str, Any] = {}
    for field in fields(kind):  # type: ignore[arg-type]
        name, hint = prefix + field.name, hints[field.name]
        if is_dataclass(hint):
            arguments[field.name] = _fill(hint, values, name + '.', where)  # type: ignore[arg-type]
        elif name in values:
            arguments[field.name] = _checked(name, values[name], hint, field, where)
    try:
        return kind(**arguments)
    except ValueError as error:
        raise ParameterError(f'{where}: {error}') from error


def _checked(name: str, value: Any, hint: Any, field: Field[Any], where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin is tuple:
        inner = typing.get_args(hint)[0]
        if isinstance(value, str) or not hasattr(value, '__iter__'):
            raise ParameterError(f'{where}: {name} is {value!r}; it must be a list')
        # ROS gives an empty list as [''].
        return tuple(
            _scalar(name, item, inner, where) for item in value
            if item != '')
    value = _scalar(name, value, hint, where)
    low, high = field.metadata.get('range', (None, None))
    if low is not None and not low <= value <= high:
        raise ParameterError(f'{where}: {name} is {value}; it must be in {low} .. {high}')
    choices = field.metadata.get('choices')
    if choices and value not in choices:
        raise ParameterError(f'{where}: {name} is {value!r}{alternatives(str(value), choices)}')
    return value


def _scalar(name: str, value: Any, kind: Any, where: str) -> Any:
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise ParameterError(
                f'{where}: {name} is {value!r}{alternatives(str(value), map(str, choices))}')
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ParameterError(
            f'{where}: {name} is {value!r}; it must be of type {kind.__name__}')
    return value


def declare(node: Node, kind: type[T]) -> T:
    """Declare a dataclass's fields as read-only parameters of a node and return it filled.

    Raises:
        ParameterError: As `build`; also for an override of a parameter that does not exist.
    """
    where = f'parameters of {node.get_fully_qualified_name()}'
    overrides = {
        name: parameter.value
        for name, parameter in node._parameter_overrides.items()  # noqa: SLF001  rclpy has no getter
        if name not in _BUILT_IN and not name.startswith('qos_overrides')}
    filled = build(kind, overrides, where=where)
    for name, field, hint, text in leaves(kind):
        value: Any = filled
        for part in name.split('.'):
            value = getattr(value, part)
        if isinstance(value, tuple):
            # An empty list has no type that ROS could infer.
            value = list(value) or ['']
        descriptor = ParameterDescriptor(description=text, read_only=True)
        low, high = field.metadata.get('range', (None, None))
        if low is not None and hint is float:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))]
        elif low is not None:
            descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
        # ros2 launch cannot tell 1 from 1.0 in every place; the value is checked above.
        node.declare_parameter(name, value, descriptor, ignore_override=True)
    return filled
