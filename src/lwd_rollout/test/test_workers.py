# SPDX-License-Identifier: Apache-2.0
"""Nobody waits for episodes that nobody wants any more, and no process outlives its parent."""

import multiprocessing
import signal
import subprocess
import sys
import time
from concurrent.futures import process

import psutil
import pytest

from lwd_rollout.workers import workers

MAIN = """
import sys, time
from lwd_rollout.workers import workers
if __name__ == '__main__':
    with workers(2) as pool:
        pool.submit(int).result()
        futures = [pool.submit(time.sleep, 600) for _ in range(9)]
        print('busy', flush=True)
        futures[0].result()
"""


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGKILL])
def test_what_ends_the_parent_ends_the_workers(tmp_path, number):
    script = tmp_path / 'main.py'
    script.write_text(MAIN)
    child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL)
    try:
        assert child.stdout.readline() == 'busy\n'
        children = psutil.Process(child.pid).children(recursive=True)
        assert len(children) >= 2
        child.send_signal(number)
        child.wait(60)
        _, alive = psutil.wait_procs(children, timeout=60)
        assert alive == []
    finally:
        child.kill()
        child.communicate()


def test_an_episode_that_fails_ends_the_others():
    def run():
        with workers(2) as pool:
            found.append(pool.submit(time.sleep, 600))
            pool.submit(int, 'abc').result()

    found = []
    with pytest.raises(ValueError, match='abc'):
        run()
    # It came back before the other was done.
    assert found[0].exception() is not None


def test_what_is_asked_for_is_done():
    with workers(1) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_an_interrupt_while_it_starts_waits_until_it_has(monkeypatch):
    class Manager(process._ExecutorManagerThread):
        def start(self):
            signal.raise_signal(signal.SIGINT)
            super().start()

    def run():
        with workers(1) as pool:
            pool.submit(time.sleep, 600)

    monkeypatch.setattr(process, '_ExecutorManagerThread', Manager)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert multiprocessing.active_children() == []
