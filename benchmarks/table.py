# SPDX-License-Identifier: Apache-2.0
"""The paper's table in simulation: every method, ablation and control; see docs/results.md.

The same as `lwd bench table`. Environment: PROTOCOL (table; table_quick for an evening), and RUN,
POOL, PROCESSES as in `comparison.py`.
"""

from __future__ import annotations

import os
import sys

from benchmarks.comparison import TINY, compare, metrics_of
from benchmarks.harness import quick, report
from lwd_bringup.commands.bench import find_protocol
from lwd_rollout.table.protocol import load

_BARS = {
    'lwd_online_over_sft_noise1_low': ('>=', 0.0),
    'lwd_online_over_filtered_self_noise1_low': ('>=', 0.0),
    'lwd_online_over_hg_dagger_noise1_low': ('>=', 0.0)}
"""LWD's gains, beyond what chance gives: over SFT, over its own data's best imitation, over a
human's corrections alone."""


def main() -> int:
    """Run the benchmark."""
    settings = {}
    if quick():
        settings = TINY | {'methods': ['lwd_online', 'filtered_same']}
    protocol = load(find_protocol(os.environ.get('PROTOCOL', 'table')), settings)
    return report('table', metrics_of(compare(protocol)), {} if quick() else _BARS)


if __name__ == '__main__':
    sys.exit(main())
