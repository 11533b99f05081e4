# SPDX-License-Identifier: Apache-2.0
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lwd_data.replay import windows
from lwd_msgs.msg import ControlStep

POLICY, TELEOP, HOLD, ESTOP = (
    ControlStep.SOURCE_POLICY, ControlStep.SOURCE_TELEOP, ControlStep.SOURCE_HOLD,
    ControlStep.SOURCE_ESTOP)


@st.composite
def episodes(draw):
    """Return columns of a short episode, in stretches, and where it stops."""
    columns = {'tick': [], 'source': [], 'version': [], 'active': []}
    tick = draw(st.integers(0, 50))
    for _ in range(draw(st.integers(1, 5))):
        length = draw(st.integers(1, 14))
        tick += draw(st.sampled_from([0, 0, 0, 3]))
        columns['tick'] += range(tick, tick + length)
        tick += length
        source = draw(st.sampled_from([POLICY, POLICY, TELEOP, HOLD, ESTOP]))
        columns['source'] += [source] * length
        columns['version'] += [draw(st.integers(0, 2))] * length
        columns['active'] += [draw(st.sampled_from([True, True, True, False]))] * length
    arrays = {name: np.array(values) for name, values in columns.items()}
    arrays['source'] = arrays['source'].astype(np.uint8)
    count = len(arrays['tick'])
    verdict = draw(st.booleans())
    stop = draw(st.integers(1, count)) if verdict else count
    return arrays, stop, verdict


def control(columns, step):
    """Return what must not change within a run, and the tick's distance from the step number."""
    return (columns['source'][step], columns['version'][step], columns['active'][step],
            columns['tick'][step] - step)


def same_run(columns, first, last):
    return all(control(columns, step) == control(columns, first)
               for step in range(first, last + 1))


def slow_anchors(columns, stop, verdict, horizon):
    """The definition, step by step."""
    found = []
    for t in range(len(columns['tick'])):
        chunk_is_there = t + horizon <= stop and same_run(columns, t, t + horizon - 1)
        somebody_acts = columns['active'][t] and columns['source'][t] in (POLICY, TELEOP)
        follows = t + horizon <= stop - 1 or (t + horizon == stop and verdict)
        found.append(bool(chunk_is_there and somebody_acts and follows))
    return found


def slow_window(columns, stop, verdict, horizon, n, t):
    """Return span, ends and next of one anchor, by trying."""
    left = stop - t
    if verdict and left <= n * horizon and same_run(columns, t, stop - 1):
        return left, True, stop - 1
    best = 0
    for k in range(1, n + 1):
        # All steps inside one run; the state behind them may be the first of another.
        if t + k * horizon <= stop - 1 and same_run(columns, t, t + k * horizon - 1):
            best = k
    return best * horizon, False, t + best * horizon


@given(episodes(), st.integers(1, 6), st.integers(1, 4))
def test_windows_are_those_of_the_definition(episode, horizon, n):
    columns, stop, verdict = episode
    run_stop = windows.run_stops(
        columns['tick'], columns['source'], columns['version'], columns['active'])
    allowed = windows.anchors(
        run_stop, columns['source'], columns['active'], stop, verdict, horizon)
    assert allowed.tolist() == slow_anchors(columns, stop, verdict, horizon)
    anchors = np.flatnonzero(allowed)
    found = windows.windows(anchors, run_stop[anchors], stop, verdict, horizon, n)
    for i, t in enumerate(anchors.tolist()):
        assert (found.span[i], found.ends[i], found.next[i]) == slow_window(
            columns, stop, verdict, horizon, n, t)


@given(episodes(), st.integers(1, 6), st.integers(1, 4))
def test_a_window_stays_within_one_version_and_one_hand(episode, horizon, n):
    columns, stop, verdict = episode
    run_stop = windows.run_stops(
        columns['tick'], columns['source'], columns['version'], columns['active'])
    anchors = np.flatnonzero(windows.anchors(
        run_stop, columns['source'], columns['active'], stop, verdict, horizon))
    found = windows.windows(anchors, run_stop[anchors], stop, verdict, horizon, n)
    for t, span, ends, following in zip(anchors, found.span, found.ends, found.next):
        for name in ('source', 'version', 'active'):
            assert len(np.unique(columns[name][t:t + span])) == 1
        np.testing.assert_array_equal(np.diff(columns['tick'][t:t + span]), 1)
        assert horizon <= span <= n * horizon
        assert t + span <= stop
        assert following == (stop - 1 if ends else t + span)
        assert following < stop
        assert ends == (verdict and t + span == stop)
        if not ends:
            assert span % horizon == 0


@given(st.lists(st.tuples(episodes(), st.integers(1, 4)), min_size=1, max_size=4))
def test_windows_of_several_episodes_are_found_at_once(several):
    parts, rows = [], []
    for (columns, stop, verdict), n in several:
        run_stop = windows.run_stops(
            columns['tick'], columns['source'], columns['version'], columns['active'])
        anchors = np.flatnonzero(windows.anchors(
            run_stop, columns['source'], columns['active'], stop, verdict, 3))
        parts.append(windows.windows(anchors, run_stop[anchors], stop, verdict, 3, n))
        rows += [(t, run_stop[t], stop, verdict, n) for t in anchors]
    table = np.array(rows, np.int64).reshape(-1, 5).T
    both = windows.windows(table[0], table[1], table[2], table[3].astype(bool), 3, table[4])
    for name in ('span', 'ends', 'next'):
        np.testing.assert_array_equal(
            getattr(both, name), np.concatenate([getattr(part, name) for part in parts]))


def test_an_example():
    # 10 steps of a policy, 7 of a human, success at the last; H = 3.
    source = np.array([POLICY] * 10 + [TELEOP] * 7, np.uint8)
    active = np.ones(17, bool)
    run_stop = windows.run_stops(np.arange(17), source, np.zeros(17, np.int64), active)
    assert run_stop.tolist() == [10] * 10 + [17] * 7
    allowed = np.flatnonzero(windows.anchors(run_stop, source, active, 17, True, 3))
    assert allowed.tolist() == [*range(8), *range(10, 15)]
    found = windows.windows(allowed, run_stop[allowed], 17, True, 3, 2)
    by_anchor = dict(zip(allowed.tolist(), zip(
        found.span.tolist(), found.ends.tolist(), found.next.tolist())))
    assert by_anchor[0] == (6, False, 6)
    # The hand-over cuts it short; s' is the human's first step.
    assert by_anchor[7] == (3, False, 10)
    assert by_anchor[5] == (3, False, 8)
    assert by_anchor[10] == (6, False, 16)
    assert by_anchor[12] == (5, True, 16)
    assert by_anchor[14] == (3, True, 16)


def test_an_end_without_a_verdict_needs_the_state_behind():
    source, active = np.full(7, POLICY, np.uint8), np.ones(7, bool)
    run_stop = windows.run_stops(np.arange(7), source, np.zeros(7, np.int64), active)
    with_verdict, without = (
        np.flatnonzero(windows.anchors(run_stop, source, active, 7, verdict, 3)).tolist()
        for verdict in (True, False))
    assert with_verdict == [0, 1, 2, 3, 4]
    assert without == [0, 1, 2, 3]
    found = windows.windows(np.array(without), run_stop[without], 7, False, 3, 9)
    assert found.next.tolist() == [6, 4, 5, 6]
    assert not found.ends.any()


def test_an_empty_episode_has_no_windows():
    nothing = np.zeros(0, np.int64)
    run_stop = windows.run_stops(nothing, nothing, nothing, nothing.astype(bool))
    assert not len(windows.anchors(run_stop, nothing, nothing.astype(bool), 0, False, 3))
