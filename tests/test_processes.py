# SPDX-License-Identifier: Apache-2.0
"""The simulated robot and its expert as processes under the supervisor, over a real ROS graph."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import rclpy
from rclpy.qos import QoSProfile

from g1_driver.clock import VirtualClock
from g1_driver.commands import Command
from g1_driver.loop import ControlLoop
from g1_driver.safety.config import SafetyConfig
from g1_driver.sim_robot import SimConfig, SimRobot
from g1_sim.experts import expert_for
from lwd_bringup.config import load_robot
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_msgs.msg import ControlStep, ExecutedCommand, Tick
from lwd_msgs.srv import Reset

# Only a test that fails waits so long.
PATIENCE = 200.0
# Lockstep waits for nobody who only listens: a whole episode may queue up on a busy machine.
EVERY = QoSProfile(depth=5000)
pytestmark = pytest.mark.timeout(900)


def settings(domain, **more):
    config = load_robot('sim_robot', {
        'expert': True, 'domain': domain, 'driver.mode': 'lockstep', 'driver.cameras.names': [],
        'driver.lockstep_timeout': 30.0, **more})
    return config, environment(config)


def alive_below(process):
    """Return running descendants; none may be left behind."""
    return [child for child in psutil.Process(process).children(recursive=True)
            if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


class Listener:
    def __init__(self, domain):
        rclpy.init(domain_id=domain)
        self.node = rclpy.create_node('listener', namespace='/g1_01')
        self.executed, self.ticks = [], []
        self.node.create_subscription(
            ExecutedCommand, 'executed_command', self.executed.append, EVERY)
        self.node.create_subscription(Tick, 'tick', self.ticks.append, EVERY)
        self.steps = []
        self.node.create_subscription(ControlStep, 'control_step', self.steps.append, EVERY)
        self.reset = self.node.create_client(Reset, 'reset')

    def until(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, 'nothing came'
            rclpy.spin_once(self.node, timeout_sec=0.1)

    def driven(self):
        return self.steps and self.steps[-1].source == ControlStep.SOURCE_EXPERT

    def close(self):
        self.node.destroy_node()
        rclpy.try_shutdown()


@pytest.fixture
def listener(ros_domain):
    found = Listener(ros_domain)
    yield found
    found.close()


def in_process(seed, steps):
    clock = VirtualClock()
    robot = SimRobot(SimConfig(), clock)
    loop = ControlLoop(robot, SafetyConfig(), clock)
    loop.start()
    robot.reset(seed)
    loop.scene_changed()
    expert = expert_for(robot.world)
    sent = []
    for _ in range(steps):
        observation = loop.observe()
        sent.append(loop.act(Command(expert.act(), observation.stamp_ns)).positions)
    return np.array(sent)


def test_an_episode_in_lockstep_is_the_same_under_ros_as_in_process(
    listener, ros_domain, tmp_path,
):
    """Bit for bit, across processes, topics and the filter."""
    steps = 120
    config, variables = settings(ros_domain)
    with Supervised(plan(config), tmp_path, environment=variables).running():
        listener.until(lambda: listener.driven() and listener.reset.service_is_ready())
        future = listener.reset.call_async(Reset.Request(seed=7))
        listener.until(future.done)
        assert future.result().success
        reset_count = future.result().reset_count

        def first_tick():
            return next((tick.tick for tick in listener.ticks
                         if tick.reset_count == reset_count), None)

        def answered():
            first = first_tick()
            return first is not None and len(
                [1 for message in listener.executed if message.tick >= first]) >= steps

        listener.until(answered)
    first = first_tick()
    answers = {message.tick: message for message in listener.executed}
    over_ros = np.array([answers[first + i].positions for i in range(steps)])
    assert all(answers[first + i].state == ExecutedCommand.STATE_ACTIVE for i in range(steps))
    assert over_ros.tobytes() == in_process(7, steps).tobytes()


def test_a_killed_driver_comes_back_and_nothing_is_left_behind(listener, ros_domain, tmp_path):
    config, variables = settings(ros_domain)
    supervised = Supervised(plan(config), tmp_path, environment=variables)
    with supervised.running():
        # So far that one who counts anew is behind it when first heard.
        listener.until(lambda: listener.ticks and listener.ticks[-1].tick > 60)
        supervisor = supervised.pid
        driver = next(child for child in alive_below(supervisor)
                      if 'g1_driver/driver' in ' '.join(child.cmdline()))
        driver.kill()
        driver.wait(PATIENCE)
        # Another driver counts anew; what comes late of the killed one goes on counting.
        listener.until(lambda: any(
            after.tick < before.tick for before, after in itertools.pairwise(listener.ticks)))
        children = alive_below(supervisor)
        assert len(children) == 3
    _, alive = psutil.wait_procs(children, timeout=PATIENCE)
    assert alive == []
    assert not psutil.pid_exists(supervisor)


@pytest.mark.parametrize('number', [
    signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_up_leaves_nothing_behind_whatever_ends_it(tmp_path, ros_domain, number):
    process = subprocess.Popen(
        [sys.executable, '-m', 'lwd_bringup.cli', 'up', 'sim_robot', 'driver.cameras.names=[]',
         f'domain={ros_domain}', '--dir', str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if 'driver: running' in line:
                break
        children = alive_below(process.pid)
        assert len(children) == 2
        process.send_signal(number)
        assert process.wait(PATIENCE) == (-number if number == signal.SIGKILL else 130)
        _, alive = psutil.wait_procs(children, timeout=PATIENCE)
        assert alive == []
    finally:
        for left in [*psutil.Process(process.pid).children(recursive=True), process] if (
                process.poll() is None) else []:
            left.kill()


def up(*words):
    return subprocess.Popen([sys.executable, '-m', 'lwd_bringup.cli', 'up', *words], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def runs(process):
    """Wait until the driver runs; returns all that was said before."""
    said = ''
    for line in process.stdout:
        said += line
        if 'driver: running' in line:
            return said
    raise AssertionError(said)


@pytest.mark.timeout(240)
def test_a_robot_is_started_once_and_gone_on_with_after_a_power_cut(tmp_path, ros_domain):
    words = ['sim_robot', 'driver.cameras.names=[]', f'domain={ros_domain}', 'robot=g1_03']
    first = up(*words, '--dir', str(tmp_path / 'a'))
    others = []
    try:
        runs(first)
        children = alive_below(first.pid)
        second = up(*words, '--dir', str(tmp_path / 'b'))
        others.append(second)
        said = ' '.join(second.communicate(timeout=100)[0].split())
        assert second.returncode == 2
        assert f'ROS domain {ros_domain} has /g1_03 already' in said
        assert 'domain=N' in said
        first.kill()
        first.wait(60)
        _, alive = psutil.wait_procs(children, timeout=60)
        assert alive == []
        # What died without a word is not taken for another fleet.
        again = up('--resume', str(tmp_path / 'a'))
        others.append(again)
        assert f'domain {ros_domain};' in runs(again)
        again.send_signal(signal.SIGINT)
        assert again.wait(60) == 130
    finally:
        for process in (first, *others):
            process.kill()
            process.communicate()


def test_a_demo_of_two_episodes_leaves_its_results(tmp_path):
    finished = subprocess.run(
        [sys.executable, '-m', 'lwd_bringup.cli', 'expert', '--episodes', '2', '--dir',
         str(tmp_path)],
        capture_output=True, text=True, timeout=600, env={**os.environ, 'COLUMNS': '200'})
    assert finished.returncode == 0, finished.stdout + finished.stderr
    summary = json.loads((tmp_path / 'summary.json').read_text())
    assert summary['episodes'] == 2
    assert summary['successes'] == 2
    assert not any(summary['dropped'].values()), summary['dropped']
    assert Path(tmp_path, 'contact_sheet.png').stat().st_size > 10_000
    assert '2 of 2' in finished.stdout
