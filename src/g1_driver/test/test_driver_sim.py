# SPDX-License-Identifier: Apache-2.0
"""What only a simulated robot does: scenes, a judge and lockstep."""

import pytest
from driving import Commander, position, start
from rosgraph_msgs.msg import Clock
from std_msgs.msg import UInt64

from g1_sim.tasks.restock import Restock
from lwd_msgs.msg import Reward, SimState, Task
from lwd_msgs.srv import Reset, SetTask
from lwd_ros.convert import to_ns
from lwd_ros.qos import COMMAND, LATCHED, RECORD, SENSOR


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


def recorded_up_to(graph, ahead, timeout):
    """Start a robot in lockstep beside a recorder that has ticks up to so many from now."""
    _, ticks, *_ = start(graph, 'sim', mode='lockstep', lockstep_timeout=timeout)
    recorded = graph.client.create_publisher(UInt64, 'recorded', COMMAND)
    graph.until(lambda: recorded.get_subscription_count() > 0, 'the driver')
    far = ticks[-1].tick + ahead
    recorded.publish(UInt64(data=far))
    return ticks, recorded, far


def test_in_lockstep_it_does_not_run_away_from_a_recorder(graph):
    ticks, recorded, far = recorded_up_to(graph, ahead=50, timeout=60.0)
    graph.until(lambda: ticks[-1].tick == far + 20, 'the end of its lead')
    # It would have gone on within this time: nobody answers, and it waits 1/30 s for a tick's
    # command.
    with pytest.raises(AssertionError, match='did not come true'):
        graph.until(lambda: ticks[-1].tick > far + 20, 'more', patience=0.5)
    recorded.publish(UInt64(data=far + 5))
    graph.until(lambda: ticks[-1].tick == far + 25, 'five more')


def test_a_recorder_that_died_is_not_waited_for_for_ever(graph):
    ticks, _, far = recorded_up_to(graph, ahead=5, timeout=0.5)
    graph.until(lambda: ticks[-1].tick > far + 40, 'ticks again')
