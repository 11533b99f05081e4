# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import yaml

from lwd_actor.errors import PadError
from lwd_actor.reasons import Reason
from lwd_actor.teleop.controls import Controls, Event
from lwd_actor.teleop.pad import HandInputs, PadConfig
from lwd_actor.teleop.pad_file import load_pad

PADS = sorted((Path(__file__).resolve().parents[3] / 'config' / 'pads').glob('*.yaml'))
MS = 1_000_000


@pytest.mark.parametrize('path', PADS, ids=lambda path: path.stem)
def test_the_shipped_pads_are_right_and_keep_the_dead_man(path):
    pad = load_pad(path.stem)
    assert pad.device == path.stem
    assert pad.require_enable_button
    assert pad.enable_button >= 0
    assert pad == load_pad(str(path))


def written(tmp_path, **changes):
    content = yaml.safe_load(PADS[0].read_text())
    content.update(changes)
    file = tmp_path / 'mine.yaml'
    file.write_text(yaml.safe_dump(content))
    return str(file)


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'enable_buton': 3}, "unknown parameter 'enable_buton'; did you mean 'enable_button'"),
    ({'selected': {'axis_liner': {'x': 1}}}, "did you mean 'selected.axis_linear.x'"),
    ({'reset_button': 11}, r'reset_button is button 11, but the device has 11: 0 to 10'),
    ({'selected': {'axis_linear': {'x': 8}}}, r'selected\.axis_linear\.x is axis 8, .* has 8'),
    ({'selected': {'axis_linear': {'x': -2}}}, r'is axis -2'),
    ({'success_button': 2}, 'success_button and failure_button are both button 2'),
    ({'enable_button': -1}, 'require_enable_button is true, but enable_button is -1'),
    ({'enable_button': -1, 'require_enable_button': False, 'hand_back_button': -1},
     'hand_back_button and enable_button are both -1'),
    ({'axes': 0}, 'axes is 0; say how many'),
    ({'arm': 'rigth'}, "arm is 'rigth'; did you mean 'right'"),
    ({'deadzone': 1.0}, r'deadzone is 1\.0; it must be in 0\.0 \.\. 0\.9'),
])
def test_a_bad_pad_file_is_refused_with_its_name_and_the_reason(tmp_path, changes, reason):
    with pytest.raises(PadError, match=f'(?s)mine.yaml.*{reason}'):
        load_pad(written(tmp_path, **changes))


def test_a_pad_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(PadError, match=r"'gamepod'; did you mean 'gamepad'.*spacemouse"):
        load_pad('gamepod')
    with pytest.raises(PadError, match=r'there is no file my\.yaml; the shipped pads: gamepad'):
        load_pad('my.yaml')


def test_another_device_is_refused_and_not_taken_for_this_one():
    controls = Controls(load_pad('gamepad'), timeout=0.3)
    with pytest.raises(PadError, match="joy has 6 axes, pad 'gamepad' has 8"):
        controls.take([0.0] * 6, [0] * 11, 0)
    with pytest.raises(PadError, match=r'axis 2 of joy is nan'):
        controls.take([0.0, 0.0, float('nan'), *[0.0] * 5], [0] * 11, 0)
    assert controls.lost(0)
    assert 'axis 2' in controls.trouble


def test_sticks_turn_into_a_twist_beyond_the_dead_zone():
    pad = load_pad('gamepad')
    axes = [0.0] * 8
    axes[1], axes[4], axes[3] = 1.0, -0.04, -1.0
    demand = pad.demand(pad.selected, axes, [1] + [0] * 10)
    np.testing.assert_allclose(demand.twist, [0.15, 0, 0, 0, 0, -0.6])
    assert demand.gripper == 2.0
    axes[1] = 0.525
    np.testing.assert_allclose(pad.demand(pad.selected, axes, [0] * 11).twist[0], 0.075)


class Hand:
    """Presses buttons of a pad, a message each 50 ms."""

    def __init__(self, pad):
        self.controls, self.now = Controls(pad, timeout=0.3), 0
        self.down = set()
        self.axes = [0.0] * pad.axes

    def send(self):
        self.now += 50 * MS
        pad = self.controls.pad
        self.controls.take(self.axes, [int(i in self.down) for i in range(pad.buttons)], self.now)
        return self.controls

    def press(self, *buttons):
        self.down |= set(buttons)
        return self.send()

    def release(self, *buttons):
        self.down -= set(buttons)
        return self.send()


def gamepad():
    hand = Hand(load_pad('gamepad'))
    hand.send()
    return hand, hand.controls.pad


def test_taking_over_needs_the_dead_man_and_letting_go_of_it_holds():
    hand, pad = gamepad()
    hand.press(pad.take_over_button)
    assert not hand.controls.wants_control
    hand.release(pad.take_over_button)
    hand.press(pad.enable_button)
    hand.press(pad.take_over_button)
    assert hand.controls.wants_control
    assert hand.controls.reason is Reason.OPERATOR
    hand.release(pad.take_over_button, pad.enable_button)
    assert hand.controls.wants_control
    assert not hand.controls.enabled(hand.now)
    hand.press(pad.hand_back_button)
    assert not hand.controls.wants_control


def test_where_the_dead_man_does_all_it_takes_over_and_hands_back():
    hand = Hand(load_pad('operator'))
    pad = hand.controls.pad
    assert not hand.send().wants_control
    hand.press(pad.enable_button, pad.dropped_button)
    assert hand.controls.wants_control
    assert hand.controls.reason is Reason.DROPPED
    hand.release(pad.enable_button)
    assert not hand.controls.wants_control
    assert hand.controls.reason is Reason.NONE


@pytest.mark.parametrize('name', ['gamepad', 'operator'])
def test_a_button_held_since_before_moves_nothing(name):
    """The first message of a pad, and the first after it was lost."""
    hand = Hand(load_pad(name))
    pad = hand.controls.pad
    hand.press(pad.enable_button)
    assert not hand.controls.enabled(hand.now)
    hand.release(pad.enable_button)
    hand.press(pad.enable_button)
    assert hand.controls.enabled(hand.now)
    hand.now += 400 * MS
    assert not hand.controls.enabled(hand.now)
    hand.send()
    assert not hand.controls.enabled(hand.now)
    hand.release(pad.enable_button)
    assert hand.press(pad.enable_button).enabled(hand.now)


@pytest.mark.parametrize('name', ['gamepad', 'operator'])
def test_a_pad_that_is_lost_or_comes_back_does_not_hand_back(name):
    hand = Hand(load_pad(name))
    pad = hand.controls.pad
    hand.send()
    hand.press(pad.enable_button)
    hand.press(max(pad.take_over_button, pad.enable_button))
    assert hand.controls.wants_control
    hand.now += 10_000 * MS
    hand.release(*range(pad.buttons))
    assert hand.controls.wants_control
    assert not hand.controls.enabled(hand.now)


def test_an_emergency_stop_needs_nothing_else_and_locks_the_sticks():
    hand, pad = gamepad()
    hand.press(pad.enable_button)
    hand.press(pad.estop_button)
    assert hand.controls.events() == [Event.ESTOP]
    assert not hand.controls.enabled(hand.now)
    hand.send()
    assert hand.controls.events() == []
    first = Hand(load_pad('gamepad'))
    first.press(pad.estop_button)
    assert first.controls.events() == [Event.ESTOP]


def test_labels_need_the_dead_man_and_are_said_once():
    hand, pad = gamepad()
    hand.press(pad.success_button)
    assert hand.controls.events() == []
    hand.release(pad.success_button)
    hand.press(pad.enable_button)
    hand.press(pad.success_button)
    hand.send()
    hand.press(pad.failure_button, pad.reset_button)
    assert hand.controls.events() == [Event.SUCCESS, Event.FAILURE, Event.RESET]


def test_hands_are_selected_in_turn():
    hand, pad = gamepad()
    hand.press(pad.enable_button)
    chosen = [hand.controls.arm]
    for _ in range(3):
        hand.press(pad.select_button)
        chosen.append(hand.controls.arm)
        hand.release(pad.select_button)
    assert chosen == ['right', 'both', 'left', 'right']


def test_without_a_dead_man_the_sticks_must_have_been_at_rest():
    pad = PadConfig(
        device='stick', axes=1, buttons=2, require_enable_button=False, take_over_button=0,
        hand_back_button=1, selected=HandInputs())
    hand = Hand(pad)
    hand.axes = [1.0]
    assert not hand.press(0).enabled(hand.now)
    assert not hand.controls.wants_control
    hand.axes = [0.0]
    hand.release(0)
    assert hand.press(0).wants_control
