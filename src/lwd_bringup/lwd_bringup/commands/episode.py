# SPDX-License-Identifier: Apache-2.0
"""`lwd episode`: begin, end and label the episodes that a robot records."""

from __future__ import annotations

import argparse
import getpass
import math

from rich.console import Console

from lwd_bringup.commands.shared import ROBOT_HELP, Commands, takes_domain

_LABELS = ('success', 'failure', 'timeout', 'discard')


def add(commands: Commands) -> None:
    """Add the commands."""
    episode = commands.add_parser('episode', help='begin, end and label recorded episodes')
    actions = episode.add_subparsers(required=True, metavar='ACTION')

    start = actions.add_parser('start', help='record the next episode of a robot')
    start.add_argument('robot', help=ROBOT_HELP)
    start.add_argument('--task', default='', help="(default: the robot's own)")
    start.add_argument('--instruction', default='', help="for the policy (default: the task's)")
    takes_domain(start)
    start.set_defaults(run=_start)

    end = actions.add_parser('end', help='end the running episode, with its label')
    end.add_argument('robot', help=ROBOT_HELP)
    end.add_argument('label', choices=_LABELS)
    _takes_verdict(end)
    takes_domain(end)
    end.set_defaults(run=_end)

    label = actions.add_parser('label', help='label an episode in the spool, or change its label')
    label.add_argument('robot', help=ROBOT_HELP)
    label.add_argument('episode', help='its id: the name of its folder')
    label.add_argument('label', choices=_LABELS)
    _takes_verdict(label)
    takes_domain(label)
    label.set_defaults(run=_label)


def _takes_verdict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--score', type=float, default=math.nan,
                        help='0 to 1 (default: 1 for a success, else 0)')
    parser.add_argument('--detail', default='', help='why')


def _start(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.robots import Robots
    from lwd_msgs.srv import StartEpisode
    with Robots(options.domain, options.wait) as robots:
        console.print(robots.ask(options.robot, 'start_episode', StartEpisode.Request(
            task=options.task, instruction=options.instruction, operator_id=_operator()),
            StartEpisode), highlight=False)
    return 0


def _end(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.robots import Robots
    from lwd_msgs.srv import EndEpisode
    with Robots(options.domain, options.wait) as robots:
        console.print(robots.ask(options.robot, 'end_episode', EndEpisode.Request(
            label=_number(options.label), score=options.score, detail=options.detail),
            EndEpisode), highlight=False)
    return 0


def _label(options: argparse.Namespace, console: Console) -> int:
    from lwd_bringup.robots import Robots
    from lwd_msgs.srv import LabelEpisode
    with Robots(options.domain, options.wait) as robots:
        console.print(robots.ask(options.robot, 'label_episode', LabelEpisode.Request(
            episode_id=options.episode, label=_number(options.label), score=options.score,
            operator_id=_operator(), detail=options.detail), LabelEpisode), highlight=False)
    return 0


def _number(label: str) -> int:
    from lwd_msgs.msg import Episode
    return int(getattr(Episode, f'LABEL_{label.upper()}'))


def _operator() -> str:
    """Return who says so: recorded with the label."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        return 'operator'
