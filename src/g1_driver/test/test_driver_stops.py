# SPDX-License-Identifier: Apache-2.0
"""The driver stops, and stays stopped: emergency stops and life cycles."""

import numpy as np
import pytest
from driving import Commander, change_state, position, start
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import GetState
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from g1_driver.node import DriverNode
from lwd_msgs.msg import ExecutedCommand
from lwd_ros.qos import RECORD


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
