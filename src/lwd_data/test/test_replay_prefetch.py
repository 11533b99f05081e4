# SPDX-License-Identifier: Apache-2.0
import itertools
import threading

import pytest

from lwd_data.errors import SampleError
from lwd_data.replay.prefetch import Prefetcher


@pytest.mark.parametrize('threads', [1, 3])
def test_items_come_in_order(threads):
    with Prefetcher(lambda step: step * step, first=5, depth=4, threads=threads) as items:
        assert list(itertools.islice(items, 20)) == [step * step for step in range(5, 25)]


@pytest.mark.parametrize('count', [0, 1, 5])
def test_it_ends_where_it_was_told_and_makes_nothing_behind(count):
    made = []

    def make(step):
        made.append(step)
        return step

    with Prefetcher(make, first=3, count=count, depth=2) as items:
        assert list(items) == list(range(3, 3 + count))
    assert made == list(range(3, 3 + count))


def test_so_many_are_made_ahead_and_no_more():
    made, allowed = [], threading.Semaphore(0)

    def make(step):
        made.append(step)
        allowed.release()
        return step

    with Prefetcher(make, depth=3) as items:
        for _ in range(3):
            assert allowed.acquire(timeout=300)
        assert made == [0, 1, 2]
        assert next(items) == 0
        assert allowed.acquire(timeout=300)
        assert made == [0, 1, 2, 3]


def test_an_error_names_its_step_and_ends_it():
    def make(step):
        if step == 2:
            raise ValueError('no such file')
        return step

    with Prefetcher(make, depth=4) as items:
        assert [next(items), next(items)] == [0, 1]
        with pytest.raises(SampleError, match='batch of step 2 cannot be made: no such') as caught:
            next(items)
        assert isinstance(caught.value.__cause__, ValueError)
        assert list(items) == []


def test_closing_waits_for_what_is_being_made_and_leaves_no_thread():
    begun, may_end, ended = threading.Event(), threading.Event(), []

    def make(step):
        begun.set()
        may_end.wait(300)
        ended.append(step)

    items = Prefetcher(make, depth=8)
    assert begun.wait(300)
    may_end.set()
    items.close()
    items.close()
    # The others were dropped, or done before the call; none runs on.
    count = len(ended)
    assert count >= 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith('prefetch')]
    assert len(ended) == count
    with pytest.raises(StopIteration):
        next(items)


@pytest.mark.parametrize('name', ['depth', 'threads'])
def test_settings_out_of_range_are_named(name):
    with pytest.raises(SampleError, match=f'{name} is 0; it must be at least 1'):
        Prefetcher(lambda step: step, **{name: 0})
