# SPDX-License-Identifier: Apache-2.0
"""From a pool to a policy that drives a robot, by the commands that a user types."""

from __future__ import annotations

import io
import shutil

import pytest
from rich.console import Console

from lwd_bringup import cli
from lwd_policy.store import load_policy
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan

SMALL = ['policy.text_width=16', 'policy.token_width=16', 'policy.context_width=32',
         'policy.expert_width=32', 'policy.expert_depth=1', 'trainer.tensorboard=false',
         'trainer.log_every=2', 'engine.device=cpu', 'engine.threads=1']
SFT = [*SMALL, 'algorithm=sft', 'sft.updates=4', 'sft.batch_size=16']
LWD = [*SMALL, 'lwd.critic_updates=2', 'lwd.settle_updates=2', 'lwd.actor_updates=2',
       'lwd.batch_size=16', 'lwd.actor_batch_size=8', 'lwd.value.critic.width=32']


@pytest.fixture(scope='module')
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'pool'
    make(folder, PoolPlan(hours=0.01, tasks=('restock',)), processes=1)
    return folder


@pytest.fixture
def lwd(monkeypatch):
    """Return what runs the command; gives its exit status and what it printed."""
    def run(*words):
        out = io.StringIO()
        monkeypatch.setattr(cli, 'Console', lambda: Console(file=out, width=200))
        return cli.main([str(word) for word in words]), out.getvalue()
    return run


def test_from_a_pool_to_a_policy(tmp_path, pool, lwd):
    status, text = lwd('train', pool, '--dir', tmp_path / 'sft', '--set', *SFT)
    assert status == 0, text
    _, _, card = load_policy(tmp_path / 'sft' / 'policy')
    assert card.algorithm == 'sft'
    assert card.version[:12] in text
    status, text = lwd('train', pool, '--init', tmp_path / 'sft' / 'policy', '--dir',
                       tmp_path / 'lwd', '--gate', 'off', '--set', *LWD)
    assert status == 0, text
    assert 'gate: off' in text
    _, _, after = load_policy(tmp_path / 'lwd' / 'policy')
    assert after.parent == card.version
    assert after.snapshot == card.snapshot
    status, text = lwd('card', tmp_path / 'lwd' / 'policy')
    assert status == 0
    assert card.version in text
    status, text = lwd('plot', tmp_path / 'lwd')
    assert status == 0, text
    for name in ('curves.png', 'values.png'):
        assert (tmp_path / 'lwd' / name).stat().st_size > 10_000
    status, text = lwd('eval', tmp_path / 'lwd' / 'policy', '--tasks', 'restock', '--episodes', 1,
                       '--distributions', 'train', '--best-of', 2, '--processes', 1,
                       '--dir', tmp_path / 'eval')
    assert status == 0, text
    assert 'restock' in text
    # The same command again finds everything done.
    status, text = lwd('train', pool, '--dir', tmp_path / 'sft', '--set', *SFT)
    assert status == 0, text


def test_bad_input_is_refused_before_any_update(tmp_path, pool, lwd):
    for words, said in (
            ((pool, '--set', 'algorithm=swt'), "did you mean 'sft'"),
            ((pool, '--set', 'sft.update=3'), "did you mean 'sft.updates'"),
            ((pool, '--set', 'lwd.td.gamma=1.5'), 'td.gamma is 1.5'),
            ((tmp_path / 'nowhere',), 'there is no pool'),
            ((pool, '--init', tmp_path), 'card.json')):
        status, text = lwd('train', *words, '--dir', tmp_path / 'run')
        assert status == 2, text
        assert said in text.replace('\n', ' ')
        shutil.rmtree(tmp_path / 'run', ignore_errors=True)
    status, text = lwd('card', tmp_path)
    assert status == 2
    assert str(tmp_path) in text


def test_a_run_with_other_settings_is_not_gone_on_with(tmp_path, pool, lwd):
    assert lwd('train', pool, '--dir', tmp_path / 'run', '--set', *SFT)[0] == 0
    status, text = lwd('train', pool, '--dir', tmp_path / 'run', '--set', *SFT, 'seed=1')
    assert status == 2
    assert 'with other settings' in text
