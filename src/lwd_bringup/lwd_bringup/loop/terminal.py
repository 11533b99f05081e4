# SPDX-License-Identifier: Apache-2.0
"""The fleet in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lwd_bringup.loop.curve import WINDOW, rate
from lwd_bringup.loop.state import FleetFact, quantile

_COLOURS = {'policy': 'green', 'teleop': 'magenta', 'hold': 'yellow', 'estop': 'red'}
_LOSSES = ('loss/q', 'loss/value', 'loss/imitation', 'actor/kl', 'value/mean')


def render(fact: FleetFact, minutes: float) -> RenderableType:
    """Return a view of a fleet.

    Args:
        fact: What is known.
        minutes: How long it is to run.
    """
    robots = Table(box=None, pad_edge=False, title=_clock(fact.seconds, minutes),
                   title_justify='left')
    for name in ('robot', 'task', 'in control', 'policy', 'success', 'take-overs', 'swaps',
                 'steps/s'):
        robots.add_column(name, justify='right' if name in ('swaps', 'steps/s') else 'left')
    for robot in fact.robots.values():
        pace = robot.steps / fact.seconds if fact.seconds else 0.0
        robots.add_row(
            robot.name, robot.task, Text(robot.control, style=_COLOURS.get(robot.control, '')),
            robot.version[:8] + (f' <- {robot.pending[:8]}' if robot.pending else ''),
            f'{robot.successes}/{robot.episodes}', str(robot.interventions), str(robot.swaps),
            f'{pace:.0f}')
    learner = fact.learner
    lines = Table(box=None, show_header=False, pad_edge=False)
    lines.add_row('learner', f'{learner.state} {learner.detail}'.strip())
    lines.add_row('', f'{learner.update} updates, {learner.publications} policies, '
                      f'{learner.episodes} episodes, {learner.windows} windows')
    shown = [f'{name} {learner.metrics[name]:.3g}' for name in _LOSSES if name in learner.metrics]
    lines.add_row('', ', '.join(shown))
    lines.add_row('episode up', _spread(fact.upward()))
    lines.add_row('policy down', _spread(fact.downward()))
    newest = fact.episodes[-WINDOW:]
    if (found := rate(newest)).episodes:
        lines.add_row(f'latest {found.episodes}', f'{found.value:.0%} succeeded, '
                      f'{rate(newest, alone=True).value:.0%} without help')
    lines.add_row('segments', f'{fact.segments} uploaded')
    for name, text in list(fact.warnings.items())[:3]:
        lines.add_row(name, Text(text, style='yellow', overflow='ellipsis', no_wrap=True))
    return Group(robots, lines)


def _clock(seconds: float, minutes: float) -> str:
    return f'{seconds / 60:.1f} of {minutes:g} minutes'


def _spread(values: list[float]) -> str:
    middle, late = quantile(values, 0.5), quantile(values, 0.99)
    if middle is None or late is None:
        return '-'
    return f'P50 {middle:.2f} s, P99 {late:.2f} s ({len(values)})'
