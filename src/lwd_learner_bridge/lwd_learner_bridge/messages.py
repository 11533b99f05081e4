# SPDX-License-Identifier: Apache-2.0
"""Notices as ROS messages."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

from lwd_learner_bridge.errors import NoticeError
from lwd_learner_bridge.store import names
from lwd_learner_bridge.store.notice import Notice
from lwd_msgs.msg import Episode, SegmentUploaded
from lwd_ros.convert import to_time

SEGMENTS = QoSProfile(
    history=HistoryPolicy.KEEP_LAST, depth=1000, reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE)
"""/lwd/segments: a fleet's announcements over a stall; what is lost all the same is listed."""

_LABELS = {
    'success': Episode.LABEL_SUCCESS, 'failure': Episode.LABEL_FAILURE,
    'timeout': Episode.LABEL_TIMEOUT, 'discard': Episode.LABEL_DISCARD}


def segment_uploaded(notice: Notice, stamp_ns: int) -> SegmentUploaded:
    """Return the announcement of a notice; one without a segment announces the episode's last.

    Args:
        notice: That is in the inbox.
        stamp_ns: Now, ns.
    """
    message = SegmentUploaded(
        robot=notice.robot, episode_id=notice.episode, last=notice.last, key=notice.key,
        segment_index=max(0, notice.segments - 1),
        label=_LABELS.get(notice.custom.get('label', ''), Episode.LABEL_NONE))
    message.header.stamp = to_time(stamp_ns)
    if (segment := notice.segment) is not None:
        message.segment_index, message.size = segment.number, segment.size
        message.sha256, message.has_intervention = segment.sha256, segment.intervention
        message.begin, message.end = to_time(segment.begin_ns), to_time(segment.end_ns)
    return message


def inbox_key(message: SegmentUploaded) -> str:
    """Return which object of the inbox a message announces.

    Raises:
        NoticeError: It names another place, which nobody has to look into.
    """
    key = str(message.key)
    parts = key.split('/')
    if len(parts) != 4 or parts[0] != names.INBOX or names.split_notice_name(parts[3]) is None:
        raise NoticeError(
            f'{message.robot} announces {key!r}, which is no notice in {names.INBOX}/')
    return key
