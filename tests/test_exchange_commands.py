# SPDX-License-Identifier: Apache-2.0
"""From recorded data of the G1 to a policy, and from a pool to a data set, by commands alone."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lwd_bringup import cli
from lwd_data.exchange import mapping_file
from lwd_data.reader import EpisodeReader
from lwd_policy.store import load_policy
from lwd_rollout.runner import Setting, expert, run_episode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'src' / 'lwd_data' / 'test'))
from exchange_sets import write_agibot, write_lerobot

SFT = ['algorithm=sft', 'sft.updates=2', 'sft.batch_size=4', 'policy.observation=cameras',
       'policy.image_size=16', 'policy.horizon=4', 'policy.coefficients=4', 'policy.text_width=16',
       'policy.token_width=16', 'policy.context_width=32', 'policy.expert_width=32',
       'policy.expert_depth=1', 'trainer.tensorboard=false', 'engine.device=cpu',
       'engine.threads=1']


@pytest.fixture
def lwd(monkeypatch):
    """Return what runs the command; gives its exit status and what it printed, on one line."""
    def run(*words):
        out = io.StringIO()
        monkeypatch.setattr(cli, 'Console', lambda: Console(file=out, width=200))
        status = cli.main([str(word) for word in words])
        return status, ' '.join(out.getvalue().split())
    return run


def test_recorded_data_is_imported_shown_and_trained_on(tmp_path, lwd):
    write_agibot(tmp_path / 'set', frames=20)
    pool = tmp_path / 'pool'
    status, text = lwd('import', 'agibot', tmp_path / 'set', '--pool', pool, '--image-size', 16)
    assert status == 0, text
    assert '2 episodes imported, 0 were there, 0 refused' in text
    status, text = lwd('import', 'agibot', tmp_path / 'set', '--pool', pool, '--image-size', 16)
    assert status == 0, text
    assert '0 episodes imported, 2 were there' in text
    status, text = lwd('pool', 'show', pool, '--verify')
    assert status == 0, text
    assert 'agibot-327 2 0 0 0' in text
    episode = pool / 'agibot-327/expert/agibot_327_648642'
    status, text = lwd('view', episode, '--out', tmp_path / 'page.html')
    assert status == 0, text
    page = (tmp_path / 'page.html').read_text()
    assert 'Pickup items in the supermarket' in page
    assert '"right_wrist"' in page
    status, text = lwd('train', pool, '--dir', tmp_path / 'scene', '--set', SFT[0], *SFT[4:])
    assert status == 2
    assert 'train on images: policy.observation=cameras' in text
    status, text = lwd(
        'train', pool, '--gate', 'off', '--dir', tmp_path / 'run', '--set', *SFT)
    assert status == 0, text
    _, _, card = load_policy(tmp_path / 'run/policy')
    assert card.algorithm == 'sft'


def test_a_simulated_pool_goes_to_lerobot_and_comes_back(tmp_path, lwd):
    run_episode(Setting('restock', cameras=('head',), image_size=32, max_seconds=1.0), 0, expert(),
                folder=tmp_path / 'pool/one', custom={'kind': 'play'})
    status, text = lwd('export', 'lerobot', tmp_path / 'pool', tmp_path / 'out')
    assert status == 0, text
    assert '1 episodes, 30 frames' in text
    assert 'observation.images.head' in text
    status, text = lwd('import', 'lerobot', tmp_path / 'out', '--pool', tmp_path / 'back')
    assert status == 0, text
    assert 'mapping: lerobot-lwd' in text
    before, after = (EpisodeReader(folder).steps() for folder in (
        tmp_path / 'pool/one', tmp_path / 'back/restock/play/one'))
    for name in ('tick', 'state', 'executed', 'source', 'reward', 'scene'):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    status, text = lwd('pool', 'show', tmp_path / 'back', '--verify')
    assert status == 0, text
    topics = [EpisodeReader(folder).metadata.topics for folder in (
        tmp_path / 'pool/one', tmp_path / 'back/restock/play/one')]
    # An event without a verdict and without a reward says nothing.
    topics[0].pop('/sim/reward')
    assert topics[0] == topics[1]


def test_an_imported_episode_has_what_a_simulated_one_has(tmp_path, lwd):
    run_episode(Setting('restock', cameras=('head',), image_size=32, max_seconds=0.5), 0, expert(),
                folder=tmp_path / 'sim')
    write_lerobot(tmp_path / 'set', cameras=('head',))
    status, text = lwd('import', 'lerobot', tmp_path / 'set', '--pool', tmp_path / 'pool',
                       '--mapping', 'lerobot-agibot', '--cameras', 'head')
    assert status == 0, text
    theirs = EpisodeReader(tmp_path / 'sim').metadata
    ours = EpisodeReader(tmp_path / 'pool/task-0/expert/set_000000').metadata
    same = {topic.replace('/sim/', '/imported/'): kind for topic, kind in theirs.topics.items()}
    same.pop('/imported/scene_features')
    assert ours.topics == same
    assert set(theirs.custom) - {'features'} <= set(ours.custom)


def test_the_command_line_goes_before_the_mapping(tmp_path, lwd):
    write_agibot(tmp_path / 'set')
    status, text = lwd('import', 'agibot', tmp_path / 'set', '--pool', tmp_path / 'pool',
                       '--label', 'failure', '--source', 'teleop', '--cameras', '',
                       '--tasks', '327', '--episodes', 1)
    assert status == 0, text
    reader = EpisodeReader(tmp_path / 'pool/agibot-327/failed/agibot_327_648642')
    assert reader.metadata.custom['label'] == 'failure'
    assert set(reader.steps().source) == {2}
    assert not any('image' in topic for topic in reader.metadata.topics)


def test_refused_episodes_give_status_1_and_their_reasons(tmp_path, lwd):
    write_agibot(tmp_path / 'set')
    video = tmp_path / 'set/observations/327/648649/videos/head_color.mp4'
    video.write_bytes(video.read_bytes()[:500])
    status, text = lwd('import', 'agibot', tmp_path / 'set', '--pool', tmp_path / 'pool')
    assert status == 1
    assert 'refused:' in text
    assert 'head_color.mp4 is damaged' in text
    assert '1 episodes imported, 0 were there, 1 refused' in text


def test_bad_input_ends_with_status_2_and_says_why(tmp_path, lwd):
    write_agibot(tmp_path / 'set', cameras=())
    pool, given = ('--pool', tmp_path / 'p'), ('import', 'agibot', tmp_path / 'set')
    for words, said in (
            (('import', 'agibot', tmp_path, *pool), 'no folder of AgiBot World'),
            (('import', 'lerobot', tmp_path, *pool), 'no data set of LeRobot'),
            ((*given, *pool, '--mapping', 'agibt'), 'unknown mapping'),
            ((*given, *pool, '--image-size', '-3'), '--image-size is -3'),
            (('import', 'mapping', 'lerobot-lwt'), "did you mean 'lerobot-lwd'"),
            (('export', 'lerobot', tmp_path / 'none', tmp_path / 'out'), 'there is no folder')):
        status, text = lwd(*words)
        assert status == 2, text
        assert said in text
    assert not (tmp_path / 'p').exists()


def test_a_mapping_is_shown_to_write_one_from(tmp_path, lwd):
    status, text = lwd('import', 'mapping')
    assert status == 0
    assert all(name in text for name in mapping_file.shipped())
    status, text = lwd('import', 'mapping', 'agibot-world')
    assert status == 0
    assert 'format: agibot-world' in text
    own = tmp_path / 'own.yaml'
    shutil.copyfile(mapping_file.shipped()['agibot-world'], own)
    write_agibot(tmp_path / 'set', cameras=())
    status, text = lwd('import', 'agibot', tmp_path / 'set', '--pool', tmp_path / 'pool',
                       '--mapping', own, '--cameras', '')
    assert status == 0, text
    plan = json.loads((tmp_path / 'pool/pool.json').read_text())
    assert plan['imported']['agibot-world']['name'] == 'own'
