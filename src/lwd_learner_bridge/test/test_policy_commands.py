# SPDX-License-Identifier: Apache-2.0
"""The commands over the policies of robots, on a graph of their own."""

from __future__ import annotations

import pytest
from graph import Graph
from learner_side import LearnerSide, send

from lwd_actor.receiver_node import ReceiverNode
from lwd_bringup.cli import main
from lwd_policy.shelf import Shelf


def test_keys_new(tmp_path, capsys):
    assert main(['keys', 'new', str(tmp_path / 'keys')]) == 0
    assert (tmp_path / 'keys' / 'learner.key').stat().st_mode & 0o777 == 0o600
    assert main(['keys', 'new', str(tmp_path / 'keys')]) == 2
    assert 'is there already' in ' '.join(capsys.readouterr().out.split())


@pytest.fixture
def robot(ros_domain, tmp_path, capsys, monkeypatch):
    """Return (learner side, shelf, words -> what `lwd policy` says)."""
    monkeypatch.setenv('COLUMNS', '300')
    learner = LearnerSide(tmp_path / 'learner')
    graph = Graph(ros_domain)
    node = graph.add(ReceiverNode, robot='g1_01', shelf=str(tmp_path / 'shelf'),
                     keys=str(tmp_path / 'learner' / 'keys'), niceness=0)
    shelf = Shelf(tmp_path / 'shelf')
    for number in range(2):
        manifest, parts = learner.offer(number)
        node.receiver.manifest(manifest)
        send(node.receiver, manifest, parts)
        graph.until(lambda manifest=manifest: shelf.current() == manifest.version, 'the policy')

    def say(*words):
        status = main(['policy', *words, '--wait', '30'])
        return status, capsys.readouterr().out

    yield learner, shelf, say
    graph.close()


def test_list_rollback_pin_and_unpin(robot):
    learner, shelf, say = robot
    old, new = learner.versions[:2]
    status, out = say('list')
    assert status == 0, out
    assert 'g1_01' in out
    assert f'{new[:12]} {old[:12]}' in out
    status, out = say('pin', 'g1_01', old[:6])
    assert status == 0, out
    assert shelf.choice().version == old
    assert shelf.choice().pinned
    assert say('unpin', 'g1_01')[0] == 0
    assert not shelf.choice().pinned
    assert say('rollback', 'g1_01', new)[0] == 0
    assert say('rollback', 'g1_01')[0] == 0
    assert shelf.current() == old
    status, out = say('rollback', 'g1_01', 'ffff')
    assert status == 2
    assert 'short for 0 versions' in out
