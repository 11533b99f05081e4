# SPDX-License-Identifier: Apache-2.0
"""Messages kept by their stamps, and the tensors that are made of them."""

import array

import numpy as np
import pytest
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, JointState

from g1_driver.images import from_jpeg, to_jpeg
from lwd_actor.errors import ObservationError
from lwd_actor.policies.base import Needs
from lwd_actor.proposal import Seen
from lwd_actor.sight import Sight, look
from lwd_actor.stamped import Stamped, stamp_of
from lwd_msgs.msg import SceneFeatures
from lwd_policy.errors import LayoutError
from lwd_ros.convert import to_time


def stamped(kind, stamp_ns, **content):
    message = kind(**content)
    message.header.stamp = to_time(stamp_ns)
    return serialize_message(message)


@pytest.mark.parametrize('stamp', [0, 1, 999_999_999, 1_795_360_705_750_801_846])
def test_a_stamp_is_read_without_reading_the_rest(stamp):
    raw = stamped(JointState, stamp, name=['a'] * 20)
    assert stamp_of(raw) == stamp
    other_order = bytes([0, 0, 0, 0]) + int(stamp // 10**9).to_bytes(4, 'big') + (
        stamp % 10**9).to_bytes(4, 'big')
    assert stamp_of(other_order) == stamp


def test_what_has_no_header_is_refused():
    with pytest.raises(ObservationError, match='a message of 3 bytes has no header'):
        stamp_of(b'abc')


def test_the_last_messages_are_kept_and_jumps_are_seen():
    kept = Stamped(3)
    for stamp in (10, 20, 30, 40):
        kept.put(stamped(JointState, stamp))
    assert kept.get(10) is None
    assert stamp_of(kept.get(20)) == 20
    assert (kept.newest_ns, kept.jumped_ns) == (40, 0)
    kept.put(stamped(JointState, 15))
    assert (kept.newest_ns, kept.jumped_ns) == (15, 25)
    kept.put(stamped(JointState, 16))
    assert kept.jumped_ns == 0


def sight(**more):
    return Sight(3, 0, 0, Seen(), np.arange(20.0), np.arange(16.0) / 7, 'pour', **more)


def test_tensors_are_the_numbers_and_pixels_of_the_messages():
    rgb = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    data = to_jpeg(rgb, 90)
    values = np.linspace(-1.0, 1.0, 9).astype(np.float32)
    seen = look(sight(
        images={'head': stamped(CompressedImage, 5, data=array.array('B', data))},
        scene=stamped(SceneFeatures, 5, layout='scene-1', values=values)),
        Needs(scene='scene-1', cameras=('head',)))
    np.testing.assert_array_equal(seen.images['head'][0].numpy(), from_jpeg(data))
    np.testing.assert_array_equal(seen.scene[0].numpy(), values)
    assert seen.sent[0].numpy().tobytes() == (np.arange(16.0) / 7).astype(np.float32).tobytes()
    assert seen.instructions == ('pour',)


def test_a_scene_of_another_layout_is_refused_with_both_names():
    with pytest.raises(LayoutError, match=r"layout 'scene-9'; the policy sees 'scene-1'"):
        look(sight(scene=stamped(SceneFeatures, 5, layout='scene-9')), Needs(scene='scene-1'))


def test_an_image_that_is_none_is_named():
    with pytest.raises(ObservationError, match='image on head/image_raw/compressed cannot be'):
        look(sight(images={'head': stamped(CompressedImage, 5, data=array.array('B', b'no'))}),
             Needs(cameras=('head',)))
