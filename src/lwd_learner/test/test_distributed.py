# SPDX-License-Identifier: Apache-2.0
"""Two processes with half a batch each compute what one process with the whole batch does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).parent / 'train_small.py'
# Sums are taken in another order; AdamW's first steps, of the size of the rate whatever the
# gradient's, blow such differences up.
TOLERANCE = 2e-3


def _train(folder, name, parallel, processes):
    folder.mkdir()
    command = [sys.executable, str(SCRIPT), name, parallel, str(folder)]
    if processes > 1:
        command[1:1] = ['-m', 'torch.distributed.run', '--standalone',
                        f'--nproc-per-node={processes}']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / 'policy.pt', weights_only=True)


@pytest.mark.parametrize(('name', 'parallel'), [('lwd', 'ddp'), ('sft', 'ddp'), ('lwd', 'fsdp')])
def test_two_processes_do_what_one_does(tmp_path, name, parallel):
    one = _train(tmp_path / 'one', name, parallel, 1)
    two = _train(tmp_path / 'two', name, parallel, 2)
    assert one.keys() == two.keys()
    moved = 0.0
    for key in one:
        torch.testing.assert_close(one[key], two[key], atol=TOLERANCE, rtol=0)
        moved = max(moved, float(one[key].abs().max()))
    assert moved > 0.1
