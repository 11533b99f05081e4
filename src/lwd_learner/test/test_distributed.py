# SPDX-License-Identifier: Apache-2.0
"""Two processes with half a batch each compute what one process with the whole batch does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small import CONFIG
from train_small import train

from lwd_learner import checkpoint
from lwd_learner.engine import Engine, EngineConfig
from lwd_learner.errors import ConfigError

SCRIPT = Path(__file__).parent / 'train_small.py'
# Sums are taken in another order; AdamW's first steps, of the size of the rate whatever the
# gradient's, blow such differences up.
TOLERANCE = 2e-3
HALF = 9
"""Updates: the actor has begun by then, so that every network has moments to be kept."""


@pytest.fixture(scope='module')
def one(tmp_path_factory):
    """Return the weights of one process, and a folder that it left half-way."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp('one')
    engine = Engine(CONFIG.engine)
    train(folder / 'half', engine, HALF)
    return train(folder / 'whole', engine), folder / 'half'


@pytest.fixture(scope='module')
def two(tmp_path_factory, one):
    """Return where two processes trained: with ddp; with fsdp, begun by one or left half-way."""
    folder = tmp_path_factory.mktemp('two')
    (folder / 'begun').mkdir()
    (folder / 'begun' / checkpoint.FILE).write_bytes((one[1] / checkpoint.FILE).read_bytes())
    runs = [f'ddp={folder / "ddp"}', f'fsdp={folder / "begun"}',
            f'fsdp={folder / "left"}:{HALF}']
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node=2',
         str(SCRIPT), *runs], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def _assert_near(found, wanted, where=''):
    """Compare nested dictionaries and lists of tensors and numbers."""
    assert type(found) is type(wanted), where
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            _assert_near(found[key], wanted[key], f'{where}/{key}')
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), where
        for number, (each, other) in enumerate(zip(found, wanted)):
            _assert_near(each, other, f'{where}/{number}')
    elif isinstance(wanted, torch.Tensor):
        torch.testing.assert_close(found, wanted, atol=TOLERANCE, rtol=0, msg=where)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=TOLERANCE, rel=0.02), where
    else:
        assert found == wanted, where


# The processes import PyTorch; on a busy machine that alone takes a while.
@pytest.mark.timeout(600)
@pytest.mark.parametrize('run', ['ddp', 'begun'])
def test_two_processes_do_what_one_does(two, one, run):
    _assert_near(dict(torch.load(two / run / 'policy.pt')), dict(one[0]))


@pytest.mark.timeout(600)
def test_what_two_leave_is_what_one_leaves_and_goes_on_with(two, one):
    _assert_near(checkpoint.load(two / 'left'), checkpoint.load(one[1]))
    _assert_near(dict(train(two / 'left', Engine(CONFIG.engine))), dict(one[0]))


def test_several_processes_must_be_wanted(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    with pytest.raises(ConfigError, match='sharding is none, but this is one of 2 processes'):
        Engine(EngineConfig(device='cpu', sharding='none'))
    with pytest.raises(ConfigError, match='compile is on, but this is one of 2 processes'):
        Engine(EngineConfig(device='cpu', compile=True))
    with pytest.raises(ConfigError, match="is 'fdsp'; did you mean 'fsdp'"):
        EngineConfig(sharding='fdsp')
