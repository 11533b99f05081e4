# SPDX-License-Identifier: Apache-2.0
"""From a version one finds what is behind it, and what came of it."""

from __future__ import annotations

import pytest
from episodes import write_episode
from tiny_policies import saved, tiny, trained

from lwd_bringup.cli import main
from lwd_data.errors import CatalogueError
from lwd_data.replay.catalogue import Catalogue
from lwd_learner_bridge.errors import LineageError
from lwd_learner_bridge.lineage import episodes_behind, resolve, trace
from lwd_msgs.msg import ControlStep
from lwd_policy.published import Published

POLICY = 'ab' * 32


def _human(name, step, message):
    """A human takes over twice; a policy drives otherwise."""
    if name == 'control_step':
        teleop = step in range(5, 9) or step >= 20
        message.source = ControlStep.SOURCE_TELEOP if teleop else ControlStep.SOURCE_POLICY
        message.policy_version = '' if teleop else POLICY


@pytest.fixture(scope='module')
def learner(tmp_path_factory):
    """A store with two snapshots, and a policy from each, the second from the first."""
    folder = tmp_path_factory.mktemp('learner')
    snapshots = []
    with Catalogue(folder / 'store') as catalogue:
        for number, origin in enumerate(('offline', 'online')):
            write_episode(folder / 'store' / f'ep{number}', steps=30, robot=f'g1_0{number}',
                          change=_human if number else None)
            catalogue.add_folder(folder / 'store' / f'ep{number}', origin=origin)
            snapshots.append(catalogue.snapshot().id)
    published, policy, versions = Published(folder / 'published'), tiny(), []
    for number, snapshot in enumerate(snapshots):
        card = saved(folder / f'policy{number}', trained(policy, number), snapshot=snapshot,
                     parent=versions[-1] if versions else POLICY)
        versions.append(card.version)
        published.add(folder / f'policy{number}', update=50 * number)
    return folder, versions, snapshots


def test_parents_children_and_snapshot(learner):
    folder, versions, snapshots = learner
    found = trace(Published(folder / 'published').all(), versions[1][:8])
    assert found.version == versions[1]
    assert found.parents == (versions[0], POLICY)
    assert found.children == ()
    assert found.snapshot == snapshots[1]
    assert [one.update for one in found.publications] == [50]
    assert trace(Published(folder / 'published').all(), versions[0]).children == (versions[1],)


def test_parent_that_was_never_published_is_known_by_its_children(learner):
    folder, versions, _ = learner
    found = trace(Published(folder / 'published').all(), POLICY)
    assert found.card is None
    assert found.snapshot == ''
    assert found.children == (versions[0],)


def test_lineage_outlives_the_weights(learner, tmp_path):
    _, versions, _ = learner
    published = Published(tmp_path / 'published')
    for number in range(2):
        published.add(learner[0] / f'policy{number}', update=number)
    published.keep(0)
    assert trace(published.all(), versions[1]).parents[0] == versions[0]


def test_episodes_with_robots_and_interventions(learner):
    folder, _, snapshots = learner
    first = list(episodes_behind(folder / 'store', snapshots[0]))
    assert [episode.name for episode in first] == ['ep0']
    both = list(episodes_behind(folder / 'store', snapshots[1]))
    assert [(one.robot, one.origin, one.interventions) for one in both] == [
        ('g1_00', 'offline', 0), ('g1_01', 'online', 2)]
    assert both[1].versions == (POLICY,)
    assert both[1].human_steps == 4 + both[1].steps - 20


def test_what_is_not_known_is_said(learner, tmp_path):
    folder, versions, _ = learner
    with pytest.raises(LineageError, match=f'known are.*{versions[0][:12]}'):
        trace(Published(folder / 'published').all(), 'ffff')
    with pytest.raises(LineageError, match='short for 2 versions; give more of it'):
        resolve(['abc1', 'abc2'], 'abc')
    with pytest.raises(LineageError, match='is no replay store'):
        list(episodes_behind(tmp_path, versions[0]))
    with pytest.raises(CatalogueError, match='no snapshot'):
        list(episodes_behind(folder / 'store', 'cd' * 32))


def test_command(learner, capsys):
    folder, versions, _ = learner
    words = ['lineage', versions[1][:10], '--published', str(folder / 'published')]
    assert main([*words, '--store', str(folder / 'store'), '--episodes']) == 0
    out = capsys.readouterr().out
    for text in (versions[0], POLICY, 'ep0', 'g1_01'):
        assert text in out
    assert main(['lineage', 'zz', '--published', str(folder / 'published')]) == 2
    assert 'known are' in capsys.readouterr().out
