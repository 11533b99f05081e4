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


def _train(folder, processes):
    folder.mkdir()
    command = [sys.executable, str(SCRIPT), str(folder)]
    if processes > 1:
        command[1:1] = ['-m', 'torch.distributed.run', '--standalone',
                        f'--nproc-per-node={processes}']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return torch.load(folder / 'policy.pt', weights_only=True)


# Three processes import PyTorch here; on a busy machine that alone takes a while.
@pytest.mark.timeout(600)
def test_two_processes_do_what_one_does(tmp_path):
    one, two = (_train(tmp_path / str(processes), processes) for processes in (1, 2))
    assert one.keys() == two.keys()
    for key in one:
        torch.testing.assert_close(one[key], two[key], atol=TOLERANCE, rtol=0)
