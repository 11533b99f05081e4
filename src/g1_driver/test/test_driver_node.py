# SPDX-License-Identifier: Apache-2.0
"""The driver node against the simulator and the fake SDK: what holds for one holds for both."""

import array
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, JointState
from std_msgs.msg import Bool, String, UInt64
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from g1_description.joints import COMMAND_NAMES, STATE_NAMES
from g1_driver.images import from_jpeg
from g1_driver.messages import joint_command
from g1_driver.node import DriverNode
from g1_sim.tasks.restock import Restock
from lwd_msgs.msg import ExecutedCommand, Reward, SimState, Task, Tick
from lwd_msgs.srv import Reset, SetTask
from lwd_ros.convert import to_ns
from lwd_ros.errors import ParameterError
from lwd_ros.qos import COMMAND, LATCHED, RECORD, SENSOR

sys.path.insert(0, str(Path(__file__).parent))
from graph import PATIENCE, Graph


@pytest.fixture
def graph(ros_domain):
    found = Graph(ros_domain)
    yield found
    found.close()


@pytest.fixture(params=['sim', 'sdk'])
def backend(request, sdk):
    return request.param


class Commander:
    """Answers every tick with a target that moves at a given pace, as an arbiter would."""

    def __init__(self, graph):
        self.graph = graph
        self.publisher = graph.client.create_publisher(JointTrajectory, 'joint_command', COMMAND)
        self.target = None
        self.change = lambda message: message
        graph.client.create_subscription(Tick, 'tick', self.answer, RECORD)

    def answer(self, tick):
        if self.target is not None:
            self.publisher.publish(self.change(
                joint_command(self.target, to_ns(tick.header.stamp))))


def start(graph, backend, **parameters):
    """Start a driver without cameras and wait for it to tick."""
    ticks = graph.listen(Tick, 'tick', RECORD)
    executed = graph.listen(ExecutedCommand, 'executed_command', RECORD)
    states = graph.listen(JointState, 'joint_states', SENSOR)
    parameters.setdefault('cameras__names', [''])
    parameters.setdefault('state_folder', tempfile.mkdtemp())
    node = graph.add(DriverNode, backend=backend, **parameters)
    graph.until(lambda: len(ticks) > 2 and len(executed) > 2 and len(states) > 2, 'ticks')
    return node, ticks, executed, states


def position(executed):
    return np.array(executed[-1].positions)


def holding(executed, reason):
    """Return the first message of a hold for a reason, None if there is none."""
    return next((message for message in executed if message.hold_reason == reason), None)


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


@pytest.mark.parametrize('way', ['topic', 'service'])
def test_the_emergency_stop_latches_until_released(graph, backend, way):
    _, _, executed, _ = start(graph, backend)
    commander = Commander(graph)
    commander.target = position(executed)
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ACTIVE)
    if way == 'topic':
        stop = graph.client.create_publisher(Bool, 'emergency_stop', RECORD)
        graph.until(lambda: stop.get_subscription_count() > 0)
        stop.publish(Bool(data=True))
    else:
        assert graph.call(Trigger, 'estop').success
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ESTOP, 'the stop')
    commander.target = position(executed) + 0.05 * (np.arange(16) == 1)
    count = len(executed)
    graph.until(lambda: len(executed) > count + 10)
    assert executed[-1].state == ExecutedCommand.STATE_ESTOP
    assert 'release it explicitly' in executed[-1].detail
    assert graph.call(Trigger, 'release_estop').success
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ACTIVE, 'the release')


def change_state(graph, transition):
    request = ChangeState.Request()
    request.transition.id = transition
    return graph.call(ChangeState, 'driver/change_state', request).success


def test_the_emergency_stop_outlives_every_life_cycle(graph, backend):
    _, _, executed, _ = start(graph, backend)
    assert graph.call(Trigger, 'estop').success
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP,
                       Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        assert change_state(graph, transition)
    commander = Commander(graph)
    commander.target = position(executed)
    executed.clear()
    graph.until(lambda: len(executed) > 5)
    assert {message.state for message in executed} == {ExecutedCommand.STATE_ESTOP}
    assert graph.call(Trigger, 'release_estop').success
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ACTIVE)


def test_an_emergency_stop_of_an_unconfigured_driver_holds(graph):
    graph.add(DriverNode, autostart=False, cameras__names=[''])
    assert graph.call(Trigger, 'estop').success
    executed = graph.listen(ExecutedCommand, 'executed_command', RECORD)
    assert change_state(graph, Transition.TRANSITION_CONFIGURE)
    assert change_state(graph, Transition.TRANSITION_ACTIVATE)
    graph.until(lambda: executed)
    assert executed[0].state == ExecutedCommand.STATE_ESTOP


def test_a_command_from_before_a_pause_is_not_followed(graph, backend):
    node, _, executed, _ = start(graph, backend)
    commander = Commander(graph)
    commander.target = position(executed)
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ACTIVE)
    commander.target = None
    assert change_state(graph, Transition.TRANSITION_DEACTIVATE)
    pause = node._thread.loop.tick
    assert change_state(graph, Transition.TRANSITION_ACTIVATE)
    # What was said before the pause may be heard behind it.
    after = graph.until(lambda: [one for one in executed if one.tick > pause])
    assert after[0].hold_reason == ExecutedCommand.HOLD_NO_COMMAND


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


def test_a_life_cycle_can_be_walked_by_hand(graph, backend):
    node, ticks, executed, _ = start(graph, backend)

    def change(transition):
        assert change_state(graph, transition)

    commander = Commander(graph)
    target = position(executed)
    target[1] += 0.3
    commander.target = target
    graph.until(lambda: executed[-1].state == ExecutedCommand.STATE_ACTIVE)
    change(Transition.TRANSITION_DEACTIVATE)
    assert graph.call(GetState, 'driver/get_state').current_state.label == 'inactive'
    assert not node._thread.loop.filter.moving
    change(Transition.TRANSITION_ACTIVATE)
    last = ticks[-1].tick
    graph.until(lambda: ticks[-1].tick > last + 3, 'ticks after reactivation')
    change(Transition.TRANSITION_DEACTIVATE)
    change(Transition.TRANSITION_CLEANUP)
    assert graph.call(GetState, 'driver/get_state').current_state.label == 'unconfigured'
    change(Transition.TRANSITION_CONFIGURE)
    change(Transition.TRANSITION_ACTIVATE)
    graph.until(lambda: ticks[-1].tick < last, 'ticks counted anew')


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


def test_resets_and_tasks_of_a_simulated_robot(graph):
    tasks = graph.listen(Task, 'task', LATCHED)
    _, ticks, executed, _ = start(graph, 'sim', mode='lockstep')
    assert tasks[-1].task == 'restock'
    answer = graph.call(Reset, 'reset', Reset.Request(seed=11))
    assert (answer.success, answer.seed, answer.reset_count) == (True, 11, 1)
    graph.until(lambda: ticks[-1].reset_count == 1 and tasks[-1].seed == 11)
    assert answer.instruction == tasks[-1].instruction
    answer = graph.call(Reset, 'reset', Reset.Request(seed=-5))
    assert not answer.success
    assert 'seed is -5' in answer.message
    answer = graph.call(SetTask, 'set_task', SetTask.Request(task='restok'))
    assert not answer.success
    assert "did you mean 'restock'" in answer.message
    answer = graph.call(
        SetTask, 'set_task', SetTask.Request(task='restock', distribution='deploy'))
    assert answer.success
    graph.until(lambda: tasks[-1].distribution == 'deploy')
    numbers = [message.tick for message in list(executed)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_lockstep_publishes_simulated_time_and_the_judge_speaks_once(graph, monkeypatch):
    monkeypatch.setattr(Restock, 'time_limit', 2.0)
    clocks = graph.listen(Clock, 'clock', SENSOR)
    rewards = graph.listen(Reward, 'reward', RECORD)
    states = graph.listen(SimState, 'sim_state', RECORD)
    node, ticks, executed, _ = start(graph, 'sim', mode='lockstep')
    # Nobody moves, so the episode times out after its limit of simulated time.
    commander = Commander(graph)
    commander.target = position(executed)
    graph.until(lambda: rewards, 'the end of the episode')
    assert rewards[0].terminal == Reward.TERMINAL_TIMEOUT
    assert rewards[0].reward == 0.0
    limit = node._thread.loop.robot.world.scene
    assert limit.task == 'restock'
    last = ticks[-1].tick
    graph.until(lambda: ticks[-1].tick > last + 20)
    assert len(rewards) == 1
    period = to_ns(ticks[5].header.stamp) - to_ns(ticks[4].header.stamp)
    assert period == round(1e9 / 30)
    assert clocks[-1].clock.sec < 60
    assert states[-1].task == 'restock'


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


def test_in_lockstep_it_does_not_run_away_from_a_recorder(graph):
    _, ticks, *_ = start(graph, 'sim', mode='lockstep', lockstep_timeout=60.0)
    recorded = graph.client.create_publisher(UInt64, 'recorded', COMMAND)
    graph.until(lambda: recorded.get_subscription_count() > 0, 'the driver')
    far = ticks[-1].tick + 50
    recorded.publish(UInt64(data=far))
    graph.until(lambda: ticks[-1].tick == far + 20, 'the end of its lead')
    # It would have gone on within this time: nobody answers, and it waits 1/30 s for a tick's
    # command.
    with pytest.raises(AssertionError, match='did not come true'):
        graph.until(lambda: ticks[-1].tick > far + 20, 'more', patience=0.5)
    recorded.publish(UInt64(data=far + 5))
    graph.until(lambda: ticks[-1].tick == far + 25, 'five more')


def test_a_recorder_that_died_is_not_waited_for_for_ever(graph):
    _, ticks, *_ = start(graph, 'sim', mode='lockstep', lockstep_timeout=0.5)
    recorded = graph.client.create_publisher(UInt64, 'recorded', COMMAND)
    graph.until(lambda: recorded.get_subscription_count() > 0, 'the driver')
    far = ticks[-1].tick + 5
    recorded.publish(UInt64(data=far))
    graph.until(lambda: ticks[-1].tick > far + 40, 'ticks again')
