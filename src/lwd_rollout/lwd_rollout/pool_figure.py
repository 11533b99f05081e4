# SPDX-License-Identifier: Apache-2.0
"""Draws a pool: its mixture, and how long its episodes are."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from lwd_rollout.pool import Pool
from lwd_rollout.pool_plan import MIXTURE

mpl.use('Agg')
from matplotlib import pyplot as plt

_COLOURS = {'expert': '#2b6cb0', 'failed': '#c05621', 'rollout': '#2f855a', 'play': '#805ad5'}


def draw(pool: Pool, file: Path) -> None:
    """Write the figure as a PNG."""
    names = pool.plan.task_names
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 0.45 * len(names) + 2.6), layout='constrained')
    bottom = np.zeros(len(names))
    for kind in MIXTURE:
        hours = np.array([
            sum(e.steps for e in pool.entries if e.task == name and e.kind == kind) / 108_000.0
            for name in names])
        left.barh(names, hours, left=bottom, color=_COLOURS[kind],
                  label=f'{kind} {pool.hours(kind) / pool.hours():.1%}')
        bottom += hours
    left.set_xlabel('hours of robot time')
    left.legend(loc='upper center', bbox_to_anchor=(0.5, -0.18), ncols=4, frameon=False)
    left.set_title(f'{len(pool.entries)} episodes, {pool.hours():.2f} hours')
    left.invert_yaxis()
    for place, name in enumerate(names):
        for kind in MIXTURE:
            seconds = [e.steps / 30.0 for e in pool.entries if e.task == name and e.kind == kind]
            spread = np.linspace(-0.3, 0.3, len(seconds)) if len(seconds) > 1 else np.zeros(
                len(seconds))
            right.scatter(seconds, place + spread, s=6, color=_COLOURS[kind], alpha=0.6)
    right.set_yticks(range(len(names)), names)
    right.set_xlabel('length of an episode, s')
    right.set_xlim(left=0)
    right.invert_yaxis()
    figure.savefig(file, dpi=110)
    plt.close(figure)
