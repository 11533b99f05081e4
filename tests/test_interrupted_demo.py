# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C at several moments of one run: nothing is left behind, and the run is gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lwd_bringup.loop import history
from lwd_bringup.loop.plan import FILE

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 240.0
NEW = ['--robots', '1', '--tasks', 'restock', '--episodes', '2', '--pool-hours', '0.02',
       '--policy', str(ROOT / 'policies' / 'default' / 'policy'),
       'learner.learner.first_windows=50', 'learner.learner.train.hg_dagger.online_updates=5']


def demo(*words):
    # A session of its own: as in a terminal, Ctrl-C goes to all processes of the group. Whoever
    # runs the tests in the background of a shell ignores it, and so would they.
    return subprocess.Popen(
        [sys.executable, '-m', 'lwd_bringup.cli', 'demo', '--port', '0', *words], text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def of_run(folder):
    """Return the processes that name the run's folder."""
    found = []
    for process in psutil.process_iter(['cmdline', 'status']):
        if process.info['status'] != psutil.STATUS_ZOMBIE and process.pid != os.getpid() and any(
                str(folder) in word for word in process.info['cmdline'] or ()):
            found.append(process)
    return found


def until(condition, process):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.05)


def interrupt(process, folder):
    """Press Ctrl-C; nothing may be left."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130, said
    _, alive = psutil.wait_procs([*children, *of_run(folder)], timeout=30)
    assert alive == []
    assert f'--resume {folder}' in said.replace('\n', '')


@pytest.mark.timeout(900)
def test_a_run_outlives_being_stopped_at_any_moment(tmp_path):
    folder = tmp_path / 'run'
    timeline = folder / 'timeline.jsonl'
    trained = folder / 'learner' / 'metrics.jsonl'

    def episodes():
        return len(history.read(timeline).fact.episodes)

    moments = (
        lambda: (folder / 'pool' / 'pool.json').is_file(),
        lambda: (folder / 'supervisord.conf').is_file(),
        lambda: (folder / 'logs' / 'lwd.learner.log').is_file(),
        lambda: trained.is_file() and b'"loss' in trained.read_bytes() and episodes() > 0,
        lambda: (folder / 'evaluation').is_dir())
    words = ['--dir', str(folder), '--minutes', '60', *NEW]
    for number, moment in enumerate(moments):
        if number == len(moments) - 1:
            # It has deployed for almost long enough: what is left is seconds of that, and the
            # evaluation.
            plan = json.loads((folder / FILE).read_text())
            minutes = history.read(timeline).fact.seconds / 60.0 + 0.1
            (folder / FILE).write_text(json.dumps({**plan, 'minutes': minutes}))
        process = demo(*words)
        try:
            until(moment, process)
            interrupt(process, folder)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)
        words = ['--resume', str(folder)]
    finished = demo(*words)
    said = finished.communicate(timeout=PATIENCE)[0]
    assert finished.returncode == 0, said
    summary = json.loads((folder / 'summary.json').read_text())
    assert summary['episodes'] == episodes() > 0
    assert history.read(timeline).starts > 1
    assert summary['segments_lost'] == summary['segments_doubled'] == 0
    assert summary['segments_registered'] > 0


@pytest.mark.timeout(300)
def test_two_demos_run_beside_each_other(tmp_path):
    """Each has a domain and a port of its own; one folder is run once."""
    first = demo('--dir', str(tmp_path / 'a'), '--minutes', '5', *NEW)
    others = []
    try:
        until(lambda: (tmp_path / 'a' / 'supervisord.conf').is_file(), first)
        again = demo('--resume', str(tmp_path / 'a'))
        others.append(again)
        said = ' '.join(again.communicate(timeout=60)[0].split())
        assert again.returncode == 2
        assert f'is being run by process {first.pid}' in said
        second = demo('--dir', str(tmp_path / 'b'), '--minutes', '5', *NEW)
        others.append(second)
        for process, folder in ((first, tmp_path / 'a'), (second, tmp_path / 'b')):
            until(lambda log=folder / 'logs' / 'g1_01.driver.log': log.is_file(), process)
        for process, folder in ((second, tmp_path / 'b'), (first, tmp_path / 'a')):
            interrupt(process, folder)
    finally:
        for process in (first, *others):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(60)
