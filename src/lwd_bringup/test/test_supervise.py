# SPDX-License-Identifier: Apache-2.0
"""What supervisord alone does not mend, with shell scripts in the place of nodes."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from lwd_bringup import supervise
from lwd_bringup.errors import BringupError
from lwd_bringup.nodes import NodeSpec
from lwd_bringup.supervise import Supervised

PATIENCE = 60.0
SPEC = NodeSpec('pkg', 'node', 'node', '/g1_01')


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Return a function that says what the node does."""
    script = tmp_path / 'prefix' / 'lib' / 'pkg' / 'node'
    script.parent.mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix'))
    monkeypatch.setattr(supervise, '_REVIVE_SECONDS', 0.0)

    def does(text):
        script.write_text(f'#!/bin/bash\n{text}\n')
        script.chmod(0o755)

    does('exec sleep 600')
    return does


def until(condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def running(supervised):
    return supervised.states() == {'g1_01.node': 'RUNNING'} and supervised.pids['g1_01.node']


def test_a_killed_supervisor_is_started_again_when_its_nodes_have_ended(
    node, tmp_path, monkeypatch,
):
    node('trap "" TERM; sleep 600 & wait; wait')
    supervised = Supervised([SPEC], tmp_path / 'run', environment={})
    with supervised.running():
        before, supervisor = until(lambda: running(supervised)), supervised.pid
        assert supervised.heal() == {}
        assert supervised.pid == supervisor
        os.kill(supervisor, signal.SIGKILL)
        until(lambda: psutil.Process(supervisor).status() == psutil.STATUS_ZOMBIE)
        # What would go on without its supervisor, whatever it was told, is killed.
        monkeypatch.setattr(supervise, '_STOP_SECONDS', 1)
        supervised.heal()
        assert ended(before)
        after = until(lambda: running(supervised))
    assert ended(after)


def ended(pid):
    """Whether a process does nothing any more; an orphan may wait for the machine's init."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_node_that_was_given_up_is_tried_again(node, tmp_path):
    node('exit 2')
    supervised = Supervised([SPEC], tmp_path / 'run', environment={}, retries=0)
    with supervised.running():
        until(lambda: supervised.states() == {'g1_01.node': 'FATAL'})
        assert supervised.heal().keys() == {'g1_01.node'}
        assert until(lambda: supervised.heal()['g1_01.node'] > 0.2)
        node('exec sleep 600')
        until(lambda: supervised.heal() == {})
        until(lambda: running(supervised))


def test_what_was_not_started_cannot_heal(node, tmp_path):
    with pytest.raises(BringupError, match='not running'):
        Supervised([SPEC], tmp_path / 'run', environment={}).heal()


def test_a_node_has_its_parameters_and_the_environment(node, tmp_path):
    node('echo "$COLOUR $*" > $0.said; exec sleep 600')
    spec = NodeSpec('pkg', 'node', 'node', '/g1_01', {'folder': 'a "b" 5%'}, (('a', 'b'),))
    said = tmp_path / 'prefix' / 'lib' / 'pkg' / 'node.said'
    with Supervised([spec], tmp_path / 'run', environment={'COLOUR': 'green'}).running():
        words = until(lambda: said.is_file() and said.read_text())
    file = tmp_path / 'run' / 'g1_01.node.yaml'
    assert words.split() == [
        'green', '--ros-args', '-r', '__node:=node', '-r', '__ns:=/g1_01', '--params-file',
        str(file), '--log-level', 'info', '-r', 'a:=b']
    assert 'a "b" 5%' in file.read_text()


def test_the_supervisor_ends_with_the_command_that_started_it(node, tmp_path):
    """Also if it ended before the supervisor could ask to be told."""
    held = subprocess.Popen(['sleep', '600'])
    held.kill()
    held.wait()
    config = tmp_path / 'supervisord.conf'
    words = [sys.executable, '-m', 'lwd_bringup.supervisor', str(held.pid), '-c', str(config)]
    assert subprocess.run(words, timeout=PATIENCE, check=True).returncode == 0
    script = ('import os, sys, time\n'
              'from pathlib import Path\n'
              'from lwd_bringup.nodes import NodeSpec\n'
              'from lwd_bringup.supervise import Supervised\n'
              f'supervised = Supervised([NodeSpec("pkg", "node", "node", "/g1_01")], '
              f'Path({str(tmp_path / "run")!r}), environment={{}})\n'
              'supervised.start()\n'
              'while "RUNNING" not in supervised.states().values():\n'
              '    time.sleep(0.02)\n'
              'print(supervised.pid, *supervised.pids.values(), flush=True)\n'
              'time.sleep(600)\n')
    command = subprocess.Popen([sys.executable, '-c', script], stdout=subprocess.PIPE)
    pids = [int(word) for word in command.stdout.readline().split()]
    assert len(pids) == 2
    command.kill()
    command.wait()
    until(lambda: all(ended(pid) for pid in pids))
