# SPDX-License-Identifier: Apache-2.0
"""Misbehaviour is found, and held against nobody else."""

from __future__ import annotations

import pytest

from lwd_actor.reception.faults import FaultConfig, FaultWatch

CONFIG = FaultConfig(clip_rate=0.5, clip_ticks=10, latency=0.2, latency_chunks=3)


def _drive(watch, ticks, version, clipped):
    found = ''
    for tick in ticks:
        watch.step(tick, version, empty=False)
        found = watch.executed(tick, clipped=clipped(tick)) or found
    return found


def test_chunk_that_is_not_finite():
    watch = FaultWatch(CONFIG)
    assert watch.chunk('a', 0.01, finite=True) == ''
    assert 'not finite' in watch.chunk('a', 0.01, finite=False)


def test_clips_above_the_rate_of_the_newest_ticks():
    watch = FaultWatch(CONFIG)
    watch.chunk('a', 0.01, finite=True)
    assert _drive(watch, range(100), 'a', lambda tick: tick % 2 == 0) == ''
    assert 'clips 60%' in _drive(watch, range(100, 110), 'a', lambda tick: tick % 5 < 3)


def test_clips_of_others_are_not_the_policys():
    watch = FaultWatch(CONFIG)
    watch.chunk('a', 0.01, finite=True)
    assert _drive(watch, range(50), '', lambda _: True) == ''
    assert _drive(watch, range(50, 100), 'b', lambda _: True) == ''


def test_new_version_starts_clean():
    watch = FaultWatch(CONFIG)
    watch.chunk('a', 0.01, finite=True)
    _drive(watch, range(9), 'a', lambda _: True)
    watch.chunk('b', 0.01, finite=True)
    assert _drive(watch, range(9, 15), 'b', lambda _: True) == ''
    assert watch.version == 'b'


def test_slow_inference_in_the_median_only():
    watch = FaultWatch(CONFIG)
    assert [watch.chunk('a', seconds, finite=True) for seconds in (0.1, 9.0, 0.1, 0.1)] == [''] * 4
    watch.chunk('a', 0.3, finite=True)
    assert 'takes 0.30 s' in watch.chunk('a', 0.4, finite=True)
    p50, p99 = watch.inference_seconds()
    assert p50 == pytest.approx(0.2)
    assert p99 > 8.0


def test_starved_ticks_are_those_in_the_policys_charge():
    watch = FaultWatch(CONFIG)
    for tick, (version, empty) in enumerate(
            [('', True), ('a', False), ('', True), ('', True), ('', False), ('', True)]):
        watch.step(tick, version, empty=empty)
    assert watch.starved == 2
