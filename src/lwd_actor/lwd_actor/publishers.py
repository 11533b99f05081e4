# SPDX-License-Identifier: Apache-2.0
"""Whether each topic of a robot is published, and by one node alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rclpy.node import Node

from lwd_actor.recording.streams import Stream


def trouble(node: Node, streams: Iterable[Stream], doubled: Callable[[str], bool]) -> str:
    """Return which topic is silent or has two publishers; empty if all is well.

    Args:
        node: In whose namespace the robot is.
        streams: What is expected of it.
        doubled: Whether the messages of a stream look as if two nodes sent them.
    """
    for stream in streams:
        topic = node.resolve_topic_name(stream.name)
        speakers = [f'{found.node_namespace.rstrip("/")}/{found.node_name}'
                    for found in node.get_publishers_info_by_topic(topic)]
        if stream.required and not speakers:
            return f'nobody publishes {topic}; is its node running?'
        # A killed node stays in the graph for a while: one name twice is a matter of what it
        # says.
        if stream.single and (len(set(speakers)) > 1 or (
                len(speakers) > 1 and doubled(stream.name))):
            return f'two publishers on {topic} ({", ".join(speakers)}); stop all but one'
    return ''
