# SPDX-License-Identifier: Apache-2.0
"""What only a real robot does, against the fake SDK."""

import tempfile
import threading
import time

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driving import change_state, holding, start
from graph import PATIENCE
from lifecycle_msgs.msg import Transition
from std_srvs.srv import Trigger

from g1_driver.node import DriverNode
from lwd_msgs.msg import ExecutedCommand, Tick
from lwd_msgs.srv import Reset, SetTask
from lwd_ros.qos import RECORD


def test_a_real_robot_stays_stopped_after_a_crash(graph, sdk, tmp_path):
    (tmp_path / 'g1_01.driving').touch()
    _, _, executed, _ = start(graph, 'sdk', state_folder=str(tmp_path))
    assert executed[-1].state == ExecutedCommand.STATE_ESTOP
    assert 'did not end in order last time' in executed[-1].detail
    assert graph.call(Trigger, 'release_estop').success
    assert change_state(graph, Transition.TRANSITION_DEACTIVATE)
    assert not (tmp_path / 'g1_01.driving').exists()


def test_an_activation_without_a_state_moves_nothing(graph, sdk):
    graph.add(DriverNode, backend='sdk', autostart=False, cameras__names=[''],
              sdk__stale_after=0.05, state_folder=tempfile.mkdtemp())
    assert change_state(graph, Transition.TRANSITION_CONFIGURE)
    sdk.world.frozen = True
    stale = sdk.world.stamp
    graph.until(lambda: time.time_ns() - stale > 200_000_000)
    assert not change_state(graph, Transition.TRANSITION_ACTIVATE)
    assert sdk.world.sent == []


def test_a_hanging_robot_is_halted_by_the_emergency_stop(graph, sdk, monkeypatch):
    node, _, _, _ = start(graph, 'sdk')
    released = threading.Event()
    monkeypatch.setattr(node._thread.loop.robot, 'send', lambda _: released.wait(5.0))
    assert graph.call(Trigger, 'estop').success
    assert sdk.world.stopped == 1
    released.set()


def test_a_real_robot_goes_home_on_reset_and_has_no_scene(graph, sdk):
    world = sdk.reset_world()
    world.arms[0] += 0.2
    world.targets[0] += 0.2
    _, _, executed, _ = start(graph, 'sdk')
    assert graph.call(Reset, 'reset').success
    graph.until(lambda: any(one.state == ExecutedCommand.STATE_HOMING for one in executed),
                'homing')
    graph.until(lambda: executed[-1].state != ExecutedCommand.STATE_HOMING, 'home')
    assert executed[-1].positions[0] == pytest.approx(sdk.HOME[0], abs=2e-3)
    answer = graph.call(SetTask, 'set_task', SetTask.Request(task='restock'))
    assert not answer.success
    assert 'a real robot has no scene' in answer.message


def test_a_real_robot_in_other_units_is_not_moved(graph, sdk):
    world = sdk.reset_world(arms_in_degrees=True)
    reports = graph.listen(DiagnosticArray, '/diagnostics', 10)
    graph.add(DriverNode, backend='sdk', state_folder=tempfile.mkdtemp())
    graph.until(lambda: reports and reports[-1].status[0].level == DiagnosticStatus.ERROR)
    assert 'they fit as degrees' in reports[-1].status[0].message
    assert world.sent == []
    # The cause mended, the driver comes up by itself.
    ticks = graph.listen(Tick, 'tick', RECORD)
    world.arms_in_degrees = False
    graph.until(lambda: ticks, 'a tick')


def test_a_real_robot_that_falls_silent_is_held(graph, sdk):
    _, _, executed, _ = start(graph, 'sdk', sdk__stale_after=0.1)
    sdk.world.frozen = True
    held = graph.until(lambda: holding(executed, ExecutedCommand.HOLD_FAULT))
    assert 'connection to the robot is lost' in held.detail
    assert not graph.call(Reset, 'reset').success
    sdk.world.frozen = False
    until = time.monotonic() + PATIENCE
    while not graph.call(Reset, 'reset').success:
        assert time.monotonic() < until
    graph.until(lambda: executed[-1].state != ExecutedCommand.STATE_HOLD, 'homing')


def test_a_driver_that_fails_halts_the_robot(graph, sdk, monkeypatch):
    node, _, _, _ = start(graph, 'sdk')
    stopped = []
    monkeypatch.setattr('rclpy.try_shutdown', lambda: stopped.append(True))

    def fail(*_):
        raise RuntimeError('a cable came off')

    monkeypatch.setattr(node._thread.loop, 'stream', fail)
    graph.until(lambda: stopped, 'the end')
    assert isinstance(node.failed_with, RuntimeError)
    assert sdk.world.stopped == 1
    answer = graph.call(Reset, 'reset')
    assert not answer.success
    assert 'restart the driver' in answer.message
