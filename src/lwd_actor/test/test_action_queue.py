# SPDX-License-Identifier: Apache-2.0
"""The action queue: what was played is counted, seams are smooth, a missing tail is padded."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lwd_actor.action_queue import FADE, PATIENCE, ActionQueue, Chunk

HORIZON = 30


def line(start, slope, number=1, fixed=0, length=HORIZON):
    """A chunk that moves all joints alike, at a pace."""
    return Chunk(np.repeat((start + slope * np.arange(length))[:, None], 16, axis=1), number,
                 f'v{number}', fixed)


def take(queue, count):
    return [queue.pop() for _ in range(count)]


def values(actions):
    return np.array([action.command[0] for action in actions])


def test_a_chunk_is_played_in_order_and_named():
    queue = ActionQueue()
    assert queue.pop() is None
    assert queue.starved == 0
    queue.replace(line(0.0, 0.1, number=7))
    actions = take(queue, HORIZON)
    np.testing.assert_array_equal(values(actions), 0.1 * np.arange(HORIZON))
    assert [action.index for action in actions] == list(range(HORIZON))
    assert {(action.chunk, action.version, action.padded) for action in actions} == {
        (7, 'v7', False)}


def test_a_missing_tail_is_the_last_real_action_for_a_while_then_the_robot_holds():
    queue = ActionQueue()
    queue.replace(line(1.0, 0.1, length=3))
    take(queue, 3)
    padded = take(queue, PATIENCE)
    assert set(values(padded)) == {1.2}
    assert all(action.padded and action.index == 2 for action in padded)
    assert queue.pop() is None
    assert queue.starved == PATIENCE + 1
    queue.replace(line(1.0, 0.1))
    assert queue.pop().padded is False


@given(before=st.integers(0, 20), during=st.integers(1, 9), fixed=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_the_new_chunk_begins_after_the_actions_really_taken(before, during, fixed):
    """Whatever was forecast: tick by tick the same line, if both chunks tell of the same line."""
    queue = ActionQueue()
    queue.replace(line(0.0, 0.01))
    played = take(queue, before)
    mark = queue.mark()
    played += take(queue, during)
    assert queue.merge(line(0.01 * before, 0.01, number=2, fixed=fixed), mark)
    assert queue.taken == during
    played += take(queue, HORIZON - during)
    np.testing.assert_allclose(values(played), 0.01 * np.arange(before + HORIZON), atol=1e-12)
    assert played[before + during].chunk == 2
    assert played[before + during].index == during
    assert queue.left == 0


@given(slope=st.floats(-0.03, 0.03), offset=st.floats(-0.2, 0.2), before=st.integers(1, 20),
       during=st.integers(1, 9), fixed=st.integers(0, 12))
@settings(max_examples=100, deadline=None)
def test_a_seam_never_leaps(slope, offset, before, during, fixed):
    """A new chunk that is somewhere else is approached over the fade, not at once."""
    queue = ActionQueue()
    old = 0.01
    queue.replace(line(0.0, old))
    played = take(queue, before)
    mark = queue.mark()
    played += take(queue, during)
    assert queue.merge(line(offset, slope, number=2, fixed=fixed), mark)
    played += take(queue, queue.left)
    leap = np.max(np.abs(np.diff(values(played))))
    away = abs(offset - old * before) + abs(slope - old) * max(during, fixed)
    assert leap <= max(old, abs(slope)) + away / (FADE + 1) + 1e-9
    # What is fixed was played as it had been committed.
    exact = min(max(during, fixed), HORIZON - before)
    np.testing.assert_allclose(
        values(played[:before + exact]), old * np.arange(before + exact), atol=1e-12)


def test_a_blend_goes_from_the_one_to_the_other_and_pads_the_old_tail():
    queue = ActionQueue()
    queue.replace(line(0.0, 0.0, length=12))
    take(queue, 8)
    mark = queue.mark()
    take(queue, 2)
    assert queue.merge(line(1.0, 0.0, number=2), mark, blend=9)
    mixed = values(take(queue, 12))
    np.testing.assert_allclose(mixed[:9], np.arange(1, 10) / 10)
    assert set(mixed[9:]) == {1.0}


def test_a_chunk_from_before_a_change_of_control_is_not_played():
    queue = ActionQueue()
    queue.replace(line(0.0, 0.1))
    mark = queue.mark()
    queue.clear()
    assert not queue.merge(line(0.0, 0.1, number=2), mark)
    assert queue.pop() is None


def test_a_chunk_that_comes_after_its_own_end_is_not_played():
    queue = ActionQueue()
    queue.replace(line(0.0, 0.1))
    mark = queue.mark()
    take(queue, 12)
    assert not queue.merge(line(0.0, 0.1, number=2, length=10), mark)
    assert queue.left == HORIZON - 12


def test_the_first_chunk_is_played_from_its_beginning_however_late_it_came():
    """Nothing was taken meanwhile: the robot held, and is still where the chunk begins."""
    queue = ActionQueue()
    mark = queue.mark()
    assert take(queue, 5) == [None] * 5
    assert queue.merge(line(0.0, 0.1), mark)
    assert queue.pop().index == 0
    assert queue.starved == 0


def test_waiting_in_padding_is_no_progress():
    queue = ActionQueue()
    queue.replace(line(0.0, 0.1, length=4))
    take(queue, 2)
    mark = queue.mark()
    take(queue, 5)
    assert queue.merge(line(0.2, 0.1, number=2), mark)
    np.testing.assert_allclose(queue.pop().command, 0.4)
