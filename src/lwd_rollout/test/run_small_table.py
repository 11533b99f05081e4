# SPDX-License-Identifier: Apache-2.0
"""Runs a small comparison over processes; started, and killed, by a test."""

import sys
from dataclasses import replace
from pathlib import Path

from small_table import SMALL

from lwd_rollout.table.layout import Layout
from lwd_rollout.table.schedule import run

if __name__ == '__main__':
    folder, pool = map(Path, sys.argv[1:3])
    # Enough updates that it is killed in their midst.
    budget = replace(SMALL.budget, reference=500)
    run(Layout(folder, replace(SMALL, methods=('sft',), budget=budget), pool), processes=1)
