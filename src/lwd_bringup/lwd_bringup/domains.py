# SPDX-License-Identifier: Apache-2.0
"""Which ROS domains are for what, and who has one already."""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Iterable, Sequence

import rclpy
from rclpy.context import Context

from lwd_bringup.errors import BringupError
from lwd_bringup.nodes import NodeSpec

# Fleets keep 0 to 39 and tests 40 to 69; a demo takes one of the rest, so that two do not meet.
_FIRST_DOMAIN, _DOMAINS = 70, 32
_LISTEN_SECONDS = 1.5
"""Until nodes that run already are heard of; they tell of themselves when a new one joins."""
_claims: dict[str, socket.socket] = {}
"""Of this process, until its end."""


def free_domain() -> int:
    """Return a ROS domain that no other demo on this machine has; it is this process's now.

    Raises:
        BringupError: All of them are taken.
    """
    for step in range(_DOMAINS):
        domain = _FIRST_DOMAIN + (os.getpid() + step) % _DOMAINS
        if f'domain {domain}' not in _claims and _claim(f'domain {domain}'):
            return domain
    raise BringupError(
        f'every ROS domain from {_FIRST_DOMAIN} to {_FIRST_DOMAIN + _DOMAINS - 1} is taken by a '
        'demo on this machine; end one of them')


def claim_nodes(domain: int, nodes: Iterable[NodeSpec]) -> None:
    """Make sure that nobody else runs nodes of these names in a domain.

    Two of one name would both drive a robot, or both send policies to a fleet. On this machine a
    claim is kept until this process ends, so that of two that start together one is refused;
    others are seen in the graph. The environment must be that of the nodes.

    Args:
        domain: ROS_DOMAIN_ID.
        nodes: What is to be started.

    Raises:
        BringupError: Somebody does.
    """
    wanted = {f'{spec.namespace}/{spec.name}' for spec in nodes}
    for namespace in sorted({name.rpartition('/')[0] for name in wanted}):
        if not _claim(f'domain {domain} {namespace}'):
            raise _taken(domain, [namespace])
    if found := sorted(wanted.intersection(heard(domain))):
        raise _taken(domain, found)


def heard(domain: int, seconds: float = _LISTEN_SECONDS) -> Sequence[str]:
    """Return the full names of the nodes that are heard of in a domain, after listening."""
    context = Context()
    rclpy.init(context=context, domain_id=domain)
    try:
        node = rclpy.create_node('lwd_look_around', context=context)
        time.sleep(seconds)
        names = [f'{namespace.rstrip("/")}/{name}'
                 for name, namespace in node.get_node_names_and_namespaces()]
        node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
    return names


def _taken(domain: int, names: Sequence[str]) -> BringupError:
    more = f' and {len(names) - 1} more' if len(names) > 1 else ''
    return BringupError(
        f'ROS domain {domain} has {names[0]}{more} already, started by somebody else; end that, '
        'or give this one a domain of its own: domain=N (0 to 39 are for fleets), or the robot '
        'another name')


def _claim(name: str) -> bool:
    """Take a name on this machine until this process ends; returns whether it has it."""
    if name in _claims:
        return True
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # An abstract address: no file that a kill could leave behind.
        claim.bind(f'\0lwd {name}')
    except OSError as error:
        claim.close()
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    _claims[name] = claim
    return True
