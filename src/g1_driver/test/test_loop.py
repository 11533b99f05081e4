# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from g1_description.joints import HOME
from g1_driver.clock import VirtualClock
from g1_driver.commands import Command, Hold, State
from g1_driver.errors import ConfigurationError, ResetError, RobotFaultError
from g1_driver.loop import ControlLoop
from g1_driver.robot import JointSample
from g1_driver.safety.config import SafetyConfig
from g1_driver.sim_robot import SimConfig, SimRobot
from g1_sim.experts import expert_for


def simulated(**settings):
    clock = VirtualClock()
    states = []
    loop = ControlLoop(SimRobot(SimConfig(**settings), clock), SafetyConfig(), clock,
                       on_state=states.append)
    loop.start()
    return loop, states


def test_a_tick_is_a_thirtieth_of_a_second_and_has_four_states():
    loop, states = simulated()
    first = loop.observe()
    loop.act(None)
    second = loop.observe()
    assert (first.tick, second.tick) == (0, 1)
    assert second.stamp_ns - first.stamp_ns == round(1e9 / 30)
    assert len(states) == 3
    assert loop.robot.world.time == pytest.approx(1 / 30)


def episode(seed):
    loop, _ = simulated(seed=seed)
    expert = expert_for(loop.robot.world)
    sent = []
    for _ in range(120):
        observation = loop.observe()
        sent.append(loop.act(Command(expert.act(), observation.stamp_ns)).positions)
    return np.array(sent), loop.robot.world.state()


def test_the_same_seed_gives_the_same_episode_bit_for_bit():
    first, second, other = episode(3), episode(3), episode(4)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


def test_without_commands_the_robot_stands_still():
    loop, _ = simulated()
    start = loop.robot.world.positions()[:16]
    for _ in range(30):
        loop.observe()
        executed = loop.act(None)
    assert executed.hold is Hold.NO_COMMAND
    np.testing.assert_allclose(loop.robot.world.positions()[:16], start, atol=2e-3)


def test_an_old_command_is_followed_briefly_then_the_robot_holds():
    loop, _ = simulated()
    observation = loop.observe()
    command = Command(loop.filter.position, observation.stamp_ns)
    holds = []
    for _ in range(12):
        holds.append(loop.act(command).hold)
        loop.observe()
    assert holds[0] is Hold.NONE
    assert holds[-1] is Hold.STALE
    assert holds.index(Hold.STALE) == 7


class Unreliable(SimRobot):
    trouble = None

    def read_state(self):
        sample = super().read_state()
        if self.trouble is not None:
            return self.trouble(sample)
        return sample


def lost(sample):
    raise RobotFaultError('the connection is lost')


def not_finite(sample):
    sample.positions[2] = np.nan
    return sample


def leaping(sample):
    sample.positions[5] += 1.0  # idx26_arm_l_joint6
    return sample


@pytest.mark.parametrize(('trouble', 'text'), [
    (lost, 'connection is lost'), (not_finite, 'not finite'),
    (leaping, 'idx26_arm_l_joint6 leapt by 1.00')])
def test_a_state_that_cannot_be_trusted_makes_the_robot_hold_until_a_reset(trouble, text):
    clock = VirtualClock()
    robot = Unreliable(SimConfig(), clock)
    loop = ControlLoop(robot, SafetyConfig(), clock)
    loop.start()
    observation = loop.observe()
    loop.act(Command(loop.filter.position, observation.stamp_ns))
    robot.trouble = trouble
    observation = loop.observe()
    assert np.all(np.isfinite(observation.joints.positions))
    executed = loop.act(Command(loop.filter.position, observation.stamp_ns))
    assert executed.hold is Hold.FAULT
    assert text in executed.detail
    robot.trouble = None
    for _ in range(3):
        observation = loop.observe()
        assert loop.act(Command(loop.filter.position, observation.stamp_ns)).hold is Hold.FAULT
    robot.reset(-1)
    loop.scene_changed()
    observation = loop.observe()
    assert loop.act(Command(loop.filter.position, observation.stamp_ns)).hold is Hold.NONE


def test_homing_goes_through_the_filter_and_ends():
    loop, _ = simulated()
    home = loop.filter.position
    home[0] -= 0.3
    home[8] += 0.3
    loop.go_home(home)
    states = []
    for _ in range(240):
        loop.observe()
        states.append(loop.act(None).state)
        if not loop.homing:
            break
    assert set(states) == {State.HOMING}
    np.testing.assert_allclose(loop.filter.position, home, atol=2e-3)
    assert loop.reset_count == 0


def test_the_emergency_stop_stops_homing_too():
    loop, _ = simulated()
    loop.go_home(HOME)
    for _ in range(5):
        loop.observe()
        loop.act(None)
    loop.estop('test')
    for _ in range(10):
        loop.observe()
        executed = loop.act(None)
    assert executed.state is State.ESTOP
    assert not loop.filter.moving
    loop.release_estop()
    loop.observe()
    executed = loop.act(None)
    # Whoever stands beside the robot and releases the stop must not set it in motion.
    assert executed.state is State.HOLD
    assert not loop.homing


def test_a_release_while_braking_is_refused():
    loop, _ = simulated()
    loop.go_home(HOME)
    for _ in range(20):
        loop.observe()
        loop.act(None)
    assert loop.filter.moving
    loop.estop('test')
    with pytest.raises(ResetError, match='still braking'):
        loop.release_estop()
    with pytest.raises(ResetError, match='emergency stop: test; release it before'):
        loop.go_home(HOME)


def test_a_pause_does_not_loosen_a_grasp():
    loop, _ = simulated()
    closed = loop.filter.position
    closed[7] = 1.0
    for _ in range(40):
        observation = loop.observe()
        loop.act(Command(closed, observation.stamp_ns))
    loop.robot.world.data.qpos[loop.robot.world.index.qpos[7]] += 0.02
    for again in (loop.resume, loop.release_estop):
        again()
        assert loop.filter.position[7] == 1.0


def test_an_arm_that_does_not_follow_is_a_fault():
    clock = VirtualClock()
    robot = Unreliable(SimConfig(), clock)
    loop = ControlLoop(robot, SafetyConfig(max_following_error=0.1), clock)
    loop.start()
    stuck = robot.read_state()
    robot.trouble = lambda sample: JointSample(
        sample.stamp_ns, stuck.positions.copy(), sample.velocities, sample.efforts)
    target = loop.filter.position
    target[0] += 0.4
    for _ in range(90):
        observation = loop.observe()
        executed = loop.act(Command(target, observation.stamp_ns))
    assert executed.hold is Hold.FAULT
    assert 'idx21_arm_l_joint1 is 0.' in executed.detail
    assert 'does not follow' in executed.detail


@pytest.mark.parametrize(('settings', 'text'), [
    ({'task': 'restok'}, "unknown task 'restok'; did you mean 'restock'"),
    ({'distribution': 'test'}, "unknown distribution 'test'. Known: train, deploy")])
def test_an_unknown_task_or_distribution_is_refused(settings, text):
    with pytest.raises(ConfigurationError, match=text):
        SimRobot(SimConfig(**settings), VirtualClock())


def test_a_seed_that_no_scene_has_is_refused():
    loop, _ = simulated()
    with pytest.raises(ResetError, match='seed is -7'):
        loop.robot.reset(-7)


def test_resets_count_up_from_the_first_seed():
    loop, _ = simulated(seed=5)
    assert loop.robot.info.seed == 5
    assert loop.robot.reset(-1).seed == 6
    assert loop.robot.reset(40).seed == 40
    assert loop.robot.reset(-1).seed == 41
    info = loop.robot.set_task('restock', 'deploy', 'do it')
    assert (info.distribution, info.seed, info.instruction) == ('deploy', 42, 'do it')
