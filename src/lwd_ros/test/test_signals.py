# SPDX-License-Identifier: Apache-2.0
"""Signals while something may not be interrupted."""

import os
import signal

import pytest

from lwd_ros.signals import interrupted, signals_held


class Work:
    """Gets a signal while it is done."""

    def __init__(self, number):
        self.number, self.done = number, False

    def do(self):
        os.kill(os.getpid(), self.number)
        for _ in range(1000):
            self.done = False
        self.done = True


@pytest.fixture
def handlers():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def test_an_interrupt_comes_behind_what_is_at_work(handlers):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work = Work(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), signals_held():
        work.do()
    assert work.done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_any_handler_is_called_with_its_signal(handlers):
    heard = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    with signals_held():
        Work(signal.SIGTERM).do()
        assert heard == []
    assert heard == [signal.SIGTERM]


def test_what_is_ignored_stays_ignored(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    work = Work(signal.SIGINT)
    with signals_held():
        work.do()
    assert work.done
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def half_done():
    try:
        raise KeyboardInterrupt
    finally:
        {}['half done']


def test_what_fails_because_of_an_interrupt_is_its_doing():
    with pytest.raises(KeyError) as failed:
        half_done()
    assert interrupted(failed.value)
    assert interrupted(KeyboardInterrupt())
    assert not interrupted(KeyError('missing'))
    assert not interrupted(None)
