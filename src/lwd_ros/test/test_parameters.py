# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, field
from typing import Literal

import pytest
import rclpy
from rclpy.parameter import Parameter

from lwd_ros.errors import ParameterError
from lwd_ros.parameters import build, declare, descriptions, leaves


@dataclass(frozen=True)
class Inner:
    speed: float = field(default=1.0, metadata={'range': (0.0, 2.0)})
    """How fast,
    m/s."""


@dataclass(frozen=True)
class Settings:
    name: str = 'a'
    """What it is called."""
    kind: str = field(default='red', metadata={'choices': ('red', 'green')})
    """Which."""
    count: int = field(default=3, metadata={'range': (1, 9)})
    """How many."""
    on: bool = False
    """Whether."""
    names: tuple[str, ...] = ('x', 'y')
    """Which ones."""
    numbers: tuple[float, ...] = ()
    """How many of each."""
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self):
        if self.name == 'forbidden':
            raise ValueError('name is forbidden')


def test_fields_are_dotted_names_with_their_docstrings():
    found = {name: text for name, _, _, text in leaves(Settings)}
    assert list(found) == ['name', 'kind', 'count', 'on', 'names', 'numbers', 'inner.speed']
    assert found['inner.speed'] == 'How fast, m/s.'
    assert descriptions(Settings)['count'] == 'How many.'


def test_values_are_filled_in_and_defaults_stay():
    built = build(Settings, {'inner.speed': 2, 'names': ['z'], 'on': True}, where='test')
    assert built == Settings(inner=Inner(speed=2.0), names=('z',), on=True)
    assert build(Settings, {'names': ['']}, where='test').names == ()
    assert build(Settings, {'numbers': ['']}, where='test').numbers == ()
    assert build(Settings, {'numbers': [1, 2.5]}, where='test').numbers == (1.0, 2.5)


@pytest.mark.parametrize(('values', 'text'), [
    ({'nam': 'b'}, "here: unknown parameter 'nam'; did you mean 'name'. Known: name, kind"),
    ({'inner.sped': 1.0}, "did you mean 'inner.speed'"),
    ({'kind': 'gren'}, "kind is 'gren'; did you mean 'green'"),
    ({'count': 10}, r'count is 10; it must be in 1 \.\. 9'),
    ({'count': 2.5}, r'count is 2\.5; it must be of type int'),
    ({'count': True}, 'count is True; it must be of type int'),
    ({'on': 1}, 'on is 1; it must be of type bool'),
    ({'names': 'x'}, "names is 'x'; it must be a list"),
    ({'inner.speed': 3.0}, r'inner\.speed is 3\.0; it must be in'),
    ({'name': 'forbidden'}, 'here: name is forbidden'),
])
def test_bad_values_are_refused_with_place_and_remedy(values, text):
    with pytest.raises(ParameterError, match=text):
        build(Settings, values, where='here')


def test_a_node_declares_them_with_description_and_range(ros_domain):
    rclpy.init(domain_id=ros_domain)
    try:
        node = rclpy.create_node('tested', parameter_overrides=[
            Parameter('count', value=5), Parameter('inner.speed', value=1),
            Parameter('use_sim_time', value=False)])
        assert declare(node, Settings) == Settings(count=5)
        assert node.get_parameter('count').value == 5
        assert node.get_parameter('names').value == ['x', 'y']
        assert node.get_parameter('numbers').value == ['']
        described = node.describe_parameter('inner.speed')
        assert described.description == 'How fast, m/s.'
        assert described.floating_point_range[0].to_value == 2.0
        assert described.read_only
        assert node.describe_parameter('count').integer_range[0].to_value == 9
        node.destroy_node()
        wrong = rclpy.create_node('wrong', parameter_overrides=[Parameter('cont', value=5)])
        with pytest.raises(ParameterError, match=r"parameters of /wrong: .*did you mean 'count'"):
            declare(wrong, Settings)
        wrong.destroy_node()
    finally:
        rclpy.try_shutdown()


@dataclass(frozen=True)
class Outer:
    mode: Literal['slow', 'fast'] = 'slow'
    """Which."""
    own: Inner = field(default_factory=lambda: Inner(speed=0.5))
    """With another default than its class has."""


def test_a_nested_default_of_the_outer_class_counts():
    assert build(Outer, {}, where='test') == Outer()
    assert build(Outer, {'mode': 'fast'}, where='test').own.speed == 0.5
    assert build(Outer, {'own.speed': 2.0}, where='test').own.speed == 2.0


def test_choices_of_a_literal_are_checked():
    with pytest.raises(ParameterError, match="mode is 'fats'; did you mean 'fast'"):
        build(Outer, {'mode': 'fats'}, where='here')
