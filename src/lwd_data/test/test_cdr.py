# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import sensor_msgs.msg
from rclpy.serialization import deserialize_message, serialize_message

import lwd_msgs.msg
from lwd_data import cdr
from lwd_msgs.msg import ControlStep, ExecutedCommand, Reward, Tick

KINDS = [getattr(lwd_msgs.msg, name) for name in dir(lwd_msgs.msg) if name[0].isupper()
         and not name.startswith('Metaclass')]


def filled(kind, rng):
    """Return a message whose strings and sequences have lengths that need all alignments."""
    message = kind()
    for name, text in kind.get_fields_and_field_types().items():
        if text == 'string':
            setattr(message, name, 'x' * int(rng.integers(0, 9)))
        elif text == 'sequence<string>':
            setattr(message, name, ['y' * int(rng.integers(0, 9)) for _ in range(3)])
        elif text in ('sequence<double>', 'sequence<float>'):
            setattr(message, name, [1.5] * int(rng.integers(0, 4)))
        elif text == 'sequence<uint8>':
            setattr(message, name, [7] * int(rng.integers(0, 6)))
    return message


@pytest.mark.parametrize('kind', [*KINDS, sensor_msgs.msg.JointState, sensor_msgs.msg.CameraInfo,
                                  sensor_msgs.msg.CompressedImage], ids=lambda kind: kind.__name__)
def test_every_field_is_walked_to_the_end(kind):
    rng = np.random.default_rng(0)
    for _ in range(40):
        message = filled(kind, rng)
        data = bytearray(serialize_message(message))
        end = cdr._walk_of(kind)(data, 4)
        assert len(data) - 16 <= end <= len(data)
        assert deserialize_message(bytes(data[:end]), kind) == message
        assert deserialize_message(cdr.serialize(message), kind) == message


@pytest.mark.parametrize('message', [
    Tick(cameras=['a', 'bcd']), ExecutedCommand(requested=[1.0], clips=[1, 2, 3], detail='x'),
    ControlStep(joint_names=['a', 'bb'], positions=[1.0]), Reward(detail='why')],
    ids=lambda message: type(message).__name__)
def test_rubbish_between_the_fields_is_gone(message, monkeypatch):
    clean = cdr.serialize(message)
    dirty = bytearray(clean)
    # Put rubbish wherever the walk would put zeros.
    gaps = []
    monkeypatch.setattr(cdr, '_aligned', lambda data, at, size: (
        gaps.append((at, -(at - 4) % size)) or at + -(at - 4) % size))
    cdr._walk_of.__wrapped__(type(message))(bytearray(clean), 4)
    monkeypatch.undo()
    assert any(size for _, size in gaps)
    for at, size in gaps:
        dirty[at:at + size] = b'\xa5' * size
    assert dirty != clean
    monkeypatch.setattr(cdr, 'serialize_message', lambda _: bytes(dirty))
    assert cdr.serialize(message) == clean
