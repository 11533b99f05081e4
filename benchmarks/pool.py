# SPDX-License-Identifier: Apache-2.0
"""Time to make an offline pool without cameras, and whether it comes out the same twice.

A pool of a tenth of the hours is made and its time scaled to ten hours of robot time; QUICK makes
less. What a shorter pool spends at the ends of its cells makes the figure too high, not too low.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import quick, report
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import MIXTURE, PoolPlan

HOURS = 0.05 if quick() else 1.0
WANTED_HOURS = 10.0


def main() -> int:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        pool = make(Path(folder) / 'one', PoolPlan(hours=HOURS))
        seconds = time.perf_counter() - began
        size = sum(path.stat().st_size for path in Path(folder).rglob('*.mcap'))
        small = PoolPlan(hours=0.01, tasks=('restock',))
        first = make(Path(folder) / 'two', small, processes=1)
        second = make(Path(folder) / 'three', small, processes=2)
        same = first.entries == second.entries
    metrics = {
        'minutes_for_ten_hours': seconds / pool.hours() * WANTED_HOURS / 60.0,
        'same_bytes': float(same),
        'hours': pool.hours(),
        'episodes': float(len(pool.entries)),
        'megabytes_an_hour': size / 1e6 / pool.hours(),
        'processes': float(os.cpu_count() or 1),
    }
    for kind in MIXTURE:
        metrics[f'share_{kind}'] = pool.hours(kind) / pool.hours()
    return report('pool', metrics, {
        'minutes_for_ten_hours': ('<=', 30.0), 'same_bytes': ('==', 1.0)})


if __name__ == '__main__':
    sys.exit(main())
