# SPDX-License-Identifier: Apache-2.0
"""The driver node against the simulator and the fake SDK: what holds for one holds for both."""

import array
import sys

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from driving import Commander, holding, position, start
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import String

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from g1_driver.images import from_jpeg
from g1_driver.node import DriverNode
from lwd_msgs.msg import ExecutedCommand
from lwd_ros.convert import to_ns
from lwd_ros.errors import ParameterError
from lwd_ros.qos import LATCHED, SENSOR


def test_every_tick_has_its_state_and_its_answer(graph, backend):
    _, ticks, executed, states = start(graph, backend)
    graph.until(lambda: len(ticks) > 20 and len(executed) > 20)
    numbers = [message.tick for message in ticks]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    answers = {message.tick: message for message in list(executed)}
    assert set(numbers[1:15]) <= set(answers)
    stamps = {to_ns(message.header.stamp): message for message in list(states)}
    seen = [tick for tick in ticks if to_ns(tick.joint_state_stamp) in stamps]
    assert seen
    assert list(states[-1].name) == list(STATE_NAMES)
    assert len(states[-1].position) == len(states[-1].velocity) == 20
    one = answers[numbers[5]]
    assert list(one.joint_names) == list(COMMAND_NAMES)
    assert one.state == ExecutedCommand.STATE_HOLD
    assert one.hold_reason == ExecutedCommand.HOLD_NO_COMMAND


def test_a_command_is_followed_to_its_target(graph, backend):
    _, _, executed, states = start(graph, backend)
    commander = Commander(graph)
    target = position(executed)
    target[1] += 0.2
    target[7] = 0.5
    commander.target = target
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ACTIVE
                and np.allclose(position(executed), target, atol=1e-6), 'arrival')
    graph.until(lambda: np.allclose(states[-1].position[:16], target, atol=0.03), 'the arm')
    assert any(list(message.requested) == list(target) for message in executed)


@pytest.mark.parametrize(('change', 'reason', 'text'), [
    ('order', ExecutedCommand.HOLD_LAYOUT, 'at place 0, where idx21_arm_l_joint1 belongs'),
    ('length', ExecutedCommand.HOLD_LAYOUT, '15 positions'),
    ('points', ExecutedCommand.HOLD_LAYOUT, '0 positions'),
    ('trajectory', ExecutedCommand.HOLD_LAYOUT, '32 positions'),
    ('nan', ExecutedCommand.HOLD_NOT_FINITE, 'idx21_arm_l_joint1 is nan'),
    ('old', ExecutedCommand.HOLD_STALE, 'the limit is 0.2 s'),
    ('future', ExecutedCommand.HOLD_FUTURE, 'in the future'),
])
def test_a_bad_command_moves_nothing(graph, backend, change, reason, text):
    _, _, executed, _ = start(graph, backend)
    before = position(executed)
    commander = Commander(graph)
    target = before.copy()
    target[0] += 0.5

    def spoil(message):
        if change == 'order':
            message.joint_names = message.joint_names[::-1]
        elif change == 'length':
            message.points[0].positions = message.points[0].positions[:15]
        elif change == 'points':
            message.points = []
        elif change == 'trajectory':
            message.points = [message.points[0], message.points[0]]
        elif change == 'nan':
            message.points[0].positions = array.array('d', [np.nan] * 16)
        elif change == 'old':
            message.header.stamp.sec -= 5
        elif change == 'future':
            message.header.stamp.sec += 5
        return message

    commander.change = spoil
    commander.target = target
    held = graph.until(lambda: holding(executed, reason), change)
    assert text in held.detail
    np.testing.assert_allclose(held.positions, before, atol=1e-9)


def test_silence_after_motion_holds(graph, backend):
    _, _, executed, _ = start(graph, backend)
    commander = Commander(graph)
    target = position(executed)
    target[1] += 0.1
    commander.target = target
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ACTIVE)
    commander.target = None
    held = graph.until(lambda: holding(executed, ExecutedCommand.HOLD_STALE))
    assert 'Is the arbiter running?' in held.detail


def test_images_come_with_their_camera_model(graph, backend):
    images = {name: graph.listen(CompressedImage, f'{name}/image_raw/compressed', SENSOR)
              for name in ('head', 'right_wrist')}
    infos = graph.listen(CameraInfo, 'head/camera_info', SENSOR)
    _, ticks, _, _ = start(
        graph, backend, cameras__names=['head', 'right_wrist'], cameras__width=96,
        cameras__height=64)
    graph.until(lambda: infos and all(images.values()))
    assert from_jpeg(bytes(images['head'][-1].data)).shape == (64, 96, 3)
    assert images['head'][-1].header.frame_id == 'head_camera_optical_frame'
    assert (infos[-1].width, infos[-1].height) == (96, 64)
    assert infos[-1].k[0] == pytest.approx(infos[-1].k[4])
    assert list(ticks[-1].cameras) == ['head', 'right_wrist']
    stamps = {to_ns(message.header.stamp) for message in list(images['head'])}
    assert stamps & {to_ns(message.image_stamps[0]) for message in list(ticks)}


def test_diagnostics_say_what_is_wrong(graph, backend):
    reports = graph.listen(DiagnosticArray, '/diagnostics', 10)
    start(graph, backend)
    Commander(graph)
    Commander(graph)

    def status():
        return reports[-1].status[0]

    graph.until(lambda: reports and '2 publishers on joint_command' in status().message)
    assert status().level == DiagnosticStatus.WARN
    assert status().hardware_id == 'g1_01'
    assert {'ticks', 'held for no_command'} <= {item.key for item in status().values}


def test_the_description_is_latched(graph, backend):
    start(graph, backend)
    descriptions = graph.listen(String, 'robot_description', LATCHED)
    graph.until(lambda: descriptions)
    assert '<robot name="agibot_g1">' in descriptions[0].data


@pytest.mark.parametrize(('parameters', 'text'), [
    ({'backend': 'simm'}, "backend is 'simm'; did you mean 'sim'"),
    ({'sim__tsk': 'restock'}, "unknown parameter 'sim.tsk'; did you mean 'sim.task'"),
    ({'cameras__width': 'wide'}, "cameras.width is 'wide'; it must be of type int"),
    ({'cameras__jpeg_quality': 101}, r'cameras.jpeg_quality is 101; it must be in 1 \.\. 100'),
    ({'safety__jump': -1.0}, r'safety\.jump is -1\.0'),
    ({'backend': 'sdk', 'mode': 'lockstep'}, 'mode is lockstep, but backend sdk'),
])
def test_parameters_that_cannot_be_are_refused(graph, parameters, text):
    with pytest.raises(ParameterError, match=f'/g1_01/driver: .*{text}'):
        graph.add(DriverNode, **parameters)


@pytest.mark.parametrize(('parameters', 'text'), [
    ({'sim__task': 'restok'}, "unknown task 'restok'; did you mean 'restock'"),
    ({'cameras__names': ['top']}, "unknown camera 'top'"),
    ({'backend': 'sdk', 'cameras__names': ['']}, 'a2d_sdk cannot be imported'),
])
def test_a_robot_that_cannot_be_configured_says_why(graph, parameters, text, monkeypatch):
    monkeypatch.setitem(sys.modules, 'a2d_sdk', None)
    reports = graph.listen(DiagnosticArray, '/diagnostics', 10)
    graph.add(DriverNode, **parameters)
    graph.until(lambda: reports and reports[-1].status[0].level == DiagnosticStatus.ERROR)
    assert text in reports[-1].status[0].message
