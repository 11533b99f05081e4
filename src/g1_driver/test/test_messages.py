# SPDX-License-Identifier: Apache-2.0
"""Enumerations exist in code and in messages: they must agree."""

import pytest

from g1_driver.commands import Clip, Hold, State
from g1_sim.operator import Reason
from g1_sim.tasks.base import Terminal
from lwd_msgs.msg import ExecutedCommand, Intervention, Reward


@pytest.mark.parametrize(('kind', 'message', 'prefix'), [
    (State, ExecutedCommand, 'STATE_'), (Hold, ExecutedCommand, 'HOLD_'),
    (Clip, ExecutedCommand, 'CLIP_'), (Terminal, Reward, 'TERMINAL_'),
    (Reason, Intervention, 'REASON_')])
def test_the_values_are_those_of_the_messages(kind, message, prefix):
    constants = {
        name.removeprefix(prefix): getattr(message, name)
        for name in dir(message) if name.startswith(prefix)}
    assert {item.name: item.value for item in kind if item.value or prefix != 'CLIP_'} == constants
