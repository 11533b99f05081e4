# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from g1_description.joints import ARM_INDICES, COMMAND_JOINTS, COMMAND_NAMES, limits
from g1_description.kinematics import ARMS, ArmKinematics
from g1_driver.safety.config import SafetyConfig
from lwd_actor.errors import TeleopError
from lwd_actor.reasons import Reason
from lwd_actor.teleop.config import TeleopConfig
from lwd_actor.teleop.pad_file import load_pad
from lwd_actor.teleop.scripted import ScriptedHands
from lwd_actor.teleop.teleop import PERIOD, RobotNow, Teleop

ARM = ArmKinematics.of_robot()
READY = np.array([-0.176, 0.441, 0.286, -0.942, 0.286, 1.329, 0.582])
START = np.concatenate([READY, [0.0], -READY, [0.0]])
WAIST = np.array([0.0, 0.0, 0.33, 0.34])
LOWER, UPPER = limits(COMMAND_JOINTS)
SAFETY = SafetyConfig()
TICK = round(1e9 / 30)
PADS = {name: load_pad(name) for name in ('gamepad', 'operator', 'spacemouse')}


class Desk:
    """A pad, teleoperation, and a robot that does what it is told."""

    def __init__(self, pad='gamepad', start=START, **config):
        self.pad = PADS[pad]
        self.teleop = Teleop(self.pad, TeleopConfig(**config), ARM)
        self.command, self.now = start.copy(), 0
        self.axes, self.down = [0.0] * self.pad.axes, set()
        self.teleop.restart(self.command)
        self.joy()

    def joy(self):
        self.teleop.controls.take(
            self.axes, [int(i in self.down) for i in range(self.pad.buttons)], self.now)

    def tick(self, *, joy=True, follows=True):
        self.now += TICK
        if joy:
            self.joy()
        asked = self.teleop.step(RobotNow(self.command, WAIST), self.now)
        if asked is not None and follows:
            self.command = asked
        return asked

    def take_over(self):
        self.down = {self.pad.enable_button}
        self.tick()
        if self.pad.take_over_button >= 0:
            self.down.add(self.pad.take_over_button)
            self.tick()
            self.down.discard(self.pad.take_over_button)
        assert self.teleop.active

    def hand(self, side):
        ARM.place(np.concatenate([self.command, WAIST]))
        return ARM.pose(side)


def test_it_says_nothing_before_take_over_and_starts_from_the_command():
    desk = Desk()
    assert desk.tick() is None
    desk.take_over()
    np.testing.assert_array_equal(desk.tick(), START)


@pytest.mark.parametrize(('axis', 'direction'), [(1, 0), (0, 1), (4, 2)])
def test_a_stick_moves_the_selected_hand_at_the_scale(axis, direction):
    desk = Desk()
    desk.take_over()
    desk.axes[axis] = 1.0
    for _ in range(6):
        desk.tick()
    before, other = desk.hand(1)[0], desk.hand(0)[0]
    for _ in range(6):
        desk.tick()
    went = desk.hand(1)[0] - before
    assert went[direction] == pytest.approx(0.15 * 0.2, rel=0.06)
    assert np.linalg.norm(np.delete(went, direction)) < 0.002
    np.testing.assert_array_equal(desk.hand(0)[0], other)


def test_letting_go_of_the_dead_man_brakes_and_holds():
    desk = Desk()
    desk.take_over()
    desk.axes[1] = 1.0
    for _ in range(10):
        desk.tick()
    desk.down = set()
    for _ in range(10):
        desk.tick()
    held = desk.command
    for _ in range(5):
        np.testing.assert_array_equal(desk.tick(), held)


def test_a_lost_pad_holds_and_stays_in_control():
    desk = Desk()
    desk.take_over()
    desk.axes[1] = 1.0
    for _ in range(10):
        desk.tick()
    for _ in range(30):
        assert desk.tick(joy=False) is not None
    held = desk.command
    np.testing.assert_array_equal(desk.tick(joy=False), held)
    np.testing.assert_array_equal(desk.tick(), held)
    assert desk.teleop.active


@given(seed=st.integers(0, 2**31), pad=st.sampled_from(sorted(PADS)))
@settings(max_examples=40, deadline=None)
def test_no_pad_gets_a_command_past_the_drivers_limits(seed, pad):
    """Sticks thrown about, buttons mashed: position, velocity and acceleration hold."""
    rng = np.random.default_rng(seed)
    start = np.clip(START + rng.uniform(-0.5, 0.5, 16), LOWER, UPPER)
    desk = Desk(pad, start)
    desk.take_over()
    last, step = desk.command, np.zeros(16)
    for _ in range(40):
        if rng.uniform() < 0.3:
            desk.axes = list(rng.uniform(-1, 1, desk.pad.axes))
        free = [i for i in range(desk.pad.buttons)
                if i not in (desk.pad.enable_button, desk.pad.hand_back_button)]
        desk.down = {i for i in free if rng.uniform() < 0.1}
        if rng.uniform() < 0.8:
            desk.down.add(desk.pad.enable_button)
        asked = desk.tick(joy=rng.uniform() < 0.9)
        if asked is None:
            last, step = desk.command, np.zeros(16)
            continue
        assert np.all(asked >= np.minimum(LOWER, start) - 1e-9)
        assert np.all(asked <= np.maximum(UPPER, start) + 1e-9)
        moved = asked - last
        assert np.all(np.abs(moved[ARM_INDICES]) <= SAFETY.arm_velocity * PERIOD)
        assert np.all(np.abs(moved[[7, 15]]) <= SAFETY.gripper_velocity * PERIOD)
        change = np.abs(moved - step)[ARM_INDICES]
        assert np.all(change <= SAFETY.arm_acceleration * PERIOD**2 + 1e-9)
        last, step = asked, moved


def test_what_the_filter_holds_back_does_not_pile_up():
    desk = Desk()
    desk.take_over()
    desk.axes[1] = 1.0
    for _ in range(200):
        asked = desk.tick(follows=False)
    assert np.max(np.abs(asked - desk.command)) < 0.2 + 1.8 * PERIOD


def test_both_hands_turn_about_the_point_between_them():
    desk = Desk()
    desk.take_over()
    desk.down.add(desk.pad.select_button)
    desk.tick()
    assert desk.teleop.controls.arm == 'both'
    between = desk.hand(0)[0] - desk.hand(1)[0]
    middle = (desk.hand(0)[0] + desk.hand(1)[0]) / 2
    desk.axes[3] = 0.5
    for _ in range(10):
        desk.tick()
    after = desk.hand(0)[0] - desk.hand(1)[0]
    assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(between), abs=0.003)
    turned = np.arctan2(after[1], after[0]) - np.arctan2(between[1], between[0])
    assert turned == pytest.approx(0.474 * 0.6 / 3, abs=0.02)
    assert np.linalg.norm((desk.hand(0)[0] + desk.hand(1)[0]) / 2 - middle) < 0.005


def test_grippers_close_while_a_button_is_held_and_toggle_where_there_is_one():
    desk = Desk()
    desk.take_over()
    desk.down.add(desk.pad.selected.close_button)
    for _ in range(8):
        desk.tick()
    assert 0.4 < desk.command[15] < 0.6
    assert desk.command[7] == 0.0
    mouse = Desk('spacemouse')
    mouse.take_over()
    for goal in (1.0, 0.0):
        mouse.down.add(mouse.pad.selected.toggle_button)
        mouse.tick()
        mouse.down.discard(mouse.pad.selected.toggle_button)
        for _ in range(25):
            mouse.tick()
        assert mouse.command[15] == goal


def test_a_reset_ends_control_and_wants_the_dead_man_pressed_anew():
    desk = Desk()
    desk.take_over()
    desk.teleop.restart(desk.command)
    assert desk.tick() is None
    desk.axes[1] = 1.0
    desk.down.add(desk.pad.take_over_button)
    assert desk.tick() is None
    desk.down = set()
    desk.tick()
    desk.take_over()
    assert desk.tick() is not None


def leader_desk():
    desk = Desk(mode='leader')
    leader = START.copy()
    leader[ARMS[1]] += 0.5
    return desk, leader


def test_the_robot_blends_into_its_leader_and_follows_it():
    desk, leader = leader_desk()
    desk.teleop.leader.take(COMMAND_NAMES, leader, desk.now)
    desk.take_over()
    last, step = START, np.zeros(16)
    for i in range(90):
        if i > 60:
            leader[1] += 0.02
        desk.teleop.leader.take(COMMAND_NAMES, leader, desk.now)
        asked = desk.tick()
        moved = asked - last
        assert np.all(np.abs(moved[ARM_INDICES]) <= SAFETY.arm_velocity * PERIOD)
        assert np.all(np.abs(moved - step)[ARM_INDICES]
                      <= SAFETY.arm_acceleration * PERIOD**2 + 1e-9)
        last, step = asked, moved
    np.testing.assert_allclose(asked, leader, atol=0.03)


def test_a_lost_leader_holds_and_a_wrong_one_is_refused():
    desk, leader = leader_desk()
    desk.teleop.leader.take(COMMAND_NAMES, leader, desk.now)
    desk.take_over()
    for _ in range(30):
        desk.tick()
    held = desk.command
    np.testing.assert_array_equal(desk.tick(), held)
    assert np.max(np.abs(held - START)) < 0.3
    with pytest.raises(TeleopError, match='the leader lacks idx67_arm_r_joint7'):
        desk.teleop.leader.take(COMMAND_NAMES[:14], leader[:14], desk.now)
    with pytest.raises(TeleopError, match='idx21_arm_l_joint1 of the leader is nan'):
        desk.teleop.leader.take(COMMAND_NAMES, np.full(16, np.nan), desk.now)
    with pytest.raises(TeleopError, match='2 positions for 16 names'):
        desk.teleop.leader.take(COMMAND_NAMES, [0.0, 0.0], desk.now)


def test_a_script_at_the_pad_brings_the_hands_where_it_wants_them():
    desk = Desk('operator')
    hands = ScriptedHands(desk.pad, ARM)
    goal = START.copy()
    goal[ARMS[0]] += np.array([0.2, -0.1, 0.15, 0.1, -0.2, -0.1, 0.2])
    goal[15] = 0.7
    for i in range(90):
        wanted = START + min(1.0, i / 40) * (goal - START)
        sticks = hands.follow(wanted, desk.command, WAIST, Reason.STUCK)
        desk.axes, desk.down = list(sticks.axes), {i for i, b in enumerate(sticks.buttons) if b}
        desk.tick()
    assert desk.teleop.controls.reason is Reason.STUCK
    reached = desk.hand(0)
    ARM.place(np.concatenate([goal, WAIST]))
    position, rotation = ARM.pose(0)
    assert np.linalg.norm(reached[0] - position) < 0.003
    assert np.max(np.abs(reached[1] - rotation)) < 0.02
    assert desk.command[15] == pytest.approx(0.7, abs=1e-6)
    sticks = hands.rest()
    desk.axes, desk.down = list(sticks.axes), set()
    assert desk.tick() is None
