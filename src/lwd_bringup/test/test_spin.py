# SPDX-License-Identifier: Apache-2.0
"""Signals while ROS is listened to."""

import os
import signal

import pytest

from lwd_bringup.spin import spin_once


class Executor:
    """Gets a signal while it works."""

    def __init__(self, number):
        self.number, self.done = number, False

    def spin_once(self, timeout_sec):
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
    executor = Executor(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        spin_once(executor, 0.1)
    assert executor.done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_any_handler_is_called_with_its_signal(handlers):
    heard = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    spin_once(Executor(signal.SIGTERM), 0.1)
    assert heard == [signal.SIGTERM]


def test_what_is_ignored_stays_ignored(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    executor = Executor(signal.SIGINT)
    spin_once(executor, 0.1)
    assert executor.done
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
