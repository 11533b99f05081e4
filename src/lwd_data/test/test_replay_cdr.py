# SPDX-License-Identifier: Apache-2.0
import array
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, JointState

from lwd_data.cdr import serialize
from lwd_data.errors import IndexFileError
from lwd_data.replay.cdr_columns import CdrColumns
from lwd_msgs.msg import ControlStep, ExecutedCommand, Reward, SceneFeatures, Tick

sys.path.insert(0, str(Path(__file__).parent))
from episodes import time

TEXT = st.text('ab/é', max_size=5)
STAMP = st.integers(0, 2**31 - 1).flatmap(
    lambda sec: st.integers(0, 10**9 - 1).map(lambda ns: sec * 10**9 + ns))
FLOATS = st.lists(st.floats(width=64), max_size=3)


def floats(values):
    return array.array('d', values)


@st.composite
def control_steps(draw):
    names = draw(st.lists(TEXT, max_size=2))
    message = ControlStep(
        tick=draw(st.integers(0, 2**63 - 1)), episode_id=draw(TEXT),
        step_index=draw(st.integers(0, 2**32 - 1)), cameras=names, policy_version=draw(TEXT),
        chunk_id=draw(st.integers(0, 9)), chunk_index=draw(st.integers(0, 2**32 - 1)),
        source=draw(st.integers(0, 255)), joint_names=draw(st.lists(TEXT, max_size=2)))
    message.header.frame_id = draw(TEXT)
    message.header.stamp = time(draw(STAMP))
    message.image_stamps = [time(draw(STAMP)) for _ in names]
    message.positions = floats(draw(FLOATS))
    return message


@st.composite
def executed_commands(draw):
    message = ExecutedCommand(
        tick=draw(st.integers(0, 99)), joint_names=draw(st.lists(TEXT, max_size=2)),
        state=draw(st.integers(0, 3)), hold_reason=draw(st.integers(0, 7)),
        detail=draw(TEXT), min_distance=draw(st.floats()))
    message.requested, message.positions = floats(draw(FLOATS)), floats(draw(FLOATS))
    message.clips = array.array('B', draw(st.lists(st.integers(0, 31), max_size=3)))
    return message


@st.composite
def scenes(draw):
    message = SceneFeatures(tick=draw(st.integers(0, 99)), layout=draw(TEXT))
    message.header.frame_id = draw(TEXT)
    message.values = array.array('f', draw(st.lists(st.floats(width=32), max_size=4)))
    return message


@st.composite
def pictures(draw):
    message = CompressedImage(format=draw(TEXT))
    message.header.stamp = time(draw(STAMP))
    message.data = array.array('B', draw(st.binary(max_size=9)))
    return message


@st.composite
def rewards(draw):
    return Reward(tick=draw(st.integers(0, 99)), episode_id=draw(TEXT),
                  reward=draw(st.floats()), score=draw(st.floats()),
                  terminal=draw(st.integers(0, 3)), detail=draw(TEXT))


@st.composite
def joint_states(draw):
    message = JointState(name=draw(st.lists(TEXT, max_size=3)))
    message.header.stamp = time(draw(STAMP))
    message.position, message.velocity = floats(draw(FLOATS)), floats(draw(FLOATS))
    return message


@st.composite
def ticks(draw):
    names = draw(st.lists(TEXT, max_size=3))
    message = Tick(tick=draw(st.integers(0, 99)), cameras=names,
                   reset_count=draw(st.integers(0, 9)))
    message.header.frame_id = draw(TEXT)
    message.header.stamp, message.joint_state_stamp = time(draw(STAMP)), time(draw(STAMP))
    message.image_stamps = [time(draw(STAMP)) for _ in names]
    return message


KINDS = {
    Tick: (ticks(), 'image_stamps', False), ControlStep: (control_steps(), 'joint_names', False),
    ExecutedCommand: (executed_commands(), 'hold_reason', False),
    Reward: (rewards(), 'terminal', False), JointState: (joint_states(), 'position', False),
    SceneFeatures: (scenes(), 'values', True), CompressedImage: (pictures(), 'data', True)}


def value(message, name):
    for part in name.split('.'):
        message = getattr(message, part)
    return message


def stamp_ns(stamp):
    return stamp.sec * 10**9 + stamp.nanosec


def expect(group, name, text, messages, data):
    """Hold one field of a group against the messages that rclpy reads."""
    wanted = [value(message, name) for message in messages]
    if name in ('values', 'data') and text.startswith('sequence'):
        offset, count = group.span(name)
        dtype = '<f4' if name == 'values' else 'u1'
        for at, many, one in zip(offset, count, wanted):
            got = np.frombuffer(data, dtype, many, at) if many else np.zeros(0)
            np.testing.assert_array_equal(got, np.asarray(one))
    elif text == 'string':
        assert all(one == group.text(name) for one in wanted)
    elif text == 'sequence<string>':
        assert all(tuple(one) == group.texts(name) for one in wanted)
    elif text == 'builtin_interfaces/Time':
        assert group.nanoseconds(name)[:, 0].tolist() == [stamp_ns(one) for one in wanted]
    elif text == 'sequence<builtin_interfaces/Time>':
        assert group.nanoseconds(name).tolist() == [[stamp_ns(t) for t in one] for one in wanted]
    elif text.startswith('sequence'):
        np.testing.assert_array_equal(group.numbers(name), np.array(
            [list(one) for one in wanted]).reshape(len(wanted), -1))
    else:
        np.testing.assert_array_equal(group.number(name), wanted)


@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.__name__)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_columns_hold_what_rclpy_reads(kind, data):
    strategy, last, span = KINDS[kind]
    # Some are equal but for their numbers, so that groups have several members.
    few = data.draw(st.lists(strategy, min_size=1, max_size=4))
    messages = [few[i] for i in data.draw(st.lists(
        st.integers(0, len(few) - 1), min_size=1, max_size=8))]
    encoded = [serialize(message) for message in messages]
    buffer = b'..'.join([b'', *encoded, b''])
    offsets = [2 + sum(len(one) + 2 for one in encoded[:i]) for i in range(len(encoded))]
    groups = list(CdrColumns(kind, last, span=span).groups(
        'file', buffer, offsets, [len(one) for one in encoded]))
    rows = np.concatenate([group.rows for group in groups])
    assert sorted(rows.tolist()) == list(range(len(messages)))
    fields = kind.get_fields_and_field_types()
    names = list(fields)[:list(fields).index(last) + 1]
    for group in groups:
        members = [deserialize_message(encoded[i], kind) for i in group.rows]
        for name in names:
            if name == 'header':
                expect(group, 'header.stamp', 'builtin_interfaces/Time', members, buffer)
                expect(group, 'header.frame_id', 'string', members, buffer)
            else:
                expect(group, name, fields[name], members, buffer)


def test_equal_layouts_form_one_group():
    encoded = [serialize(ExecutedCommand(tick=i, joint_names=['a'], detail='x' * i))
               for i in range(9)]
    groups = list(CdrColumns(ExecutedCommand, 'hold_reason').groups(
        'file', b''.join(encoded), np.cumsum([0] + [len(one) for one in encoded[:-1]]),
        [len(one) for one in encoded]))
    assert len(groups) == 1
    assert groups[0].number('tick').tolist() == list(range(9))


@pytest.mark.parametrize(('data', 'text'), [
    (serialize(Tick(cameras=['head']))[:46], 'cameras of the Tick at byte 0 goes beyond'),
    (b'\x00\x00' + serialize(Tick())[2:], 'begins with 00000000; only plain little-endian CDR'),
    (serialize(Tick())[:36] + b'\xff\xff\xff\x7f' * 4, 'cameras of the .*a length of 2147483647'),
], ids=['short', 'big-endian', 'a length too long'])
def test_messages_that_are_damaged_are_refused(data, text):
    with pytest.raises(IndexFileError, match=text):
        list(CdrColumns(Tick, 'image_stamps').groups('file: /tick', data, [0], [len(data)]))


def test_a_span_beyond_its_message_is_refused():
    data = bytearray(serialize(CompressedImage(format='jpeg', data=array.array('B', b'1234'))))
    at = data.rindex(b'1234') - 4
    data[at] = 200
    with pytest.raises(IndexFileError, match='data of the CompressedImage at byte 0 is longer'):
        list(CdrColumns(CompressedImage, 'data', span=True).groups(
            'file', bytes(data), [0], [len(data)]))
