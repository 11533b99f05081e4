# SPDX-License-Identifier: Apache-2.0
"""Runs a small comparison over processes; started, and killed, by a test."""

import sys
from pathlib import Path

from small_table import SFT_ONLY

from lwd_rollout.table.layout import Layout
from lwd_rollout.table.schedule import run

if __name__ == '__main__':
    folder, pool = map(Path, sys.argv[1:3])
    run(Layout(folder, SFT_ONLY, pool), processes=1)
