# SPDX-License-Identifier: Apache-2.0
"""What fleets of several sizes needed, as Markdown and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from lwd_rollout.table.report import table

mpl.use('Agg')
from matplotlib import pyplot as plt


def markdown(fleets: Sequence[dict[str, Any]]) -> str:
    """Return a table with a row a fleet, from what `scaling.scale` returned."""
    rows = []
    for fleet in fleets:
        reached, rounds = fleet['reached'], fleet['rounds']
        last = rounds[-1]
        if reached is None:
            needed = ['not reached'] * 3
        else:
            needed = [str(reached['episodes']), f'{reached["published"] / 60.0:.0f}',
                      f'{reached["hours"]:.1f}']
        rows.append([str(fleet['robots']), *needed, str(len(rounds) - 1),
                     f'{max(row["success"] for row in rounds):.2f}',
                     f'{last["published"] / 60.0:.0f}'])
    target = fleets[0]['target']
    return '\n'.join(table(
        ['robots', f'episodes until {target:g}', 'minutes', 'robot hours', 'rounds',
         'best success', 'minutes in all'], rows)) + '\n'


def draw(fleets: Sequence[dict[str, Any]], file: Path) -> None:
    """Draw success over the fleets' time to a PNG."""
    figure, axis = plt.subplots(figsize=(6.0, 4.0), constrained_layout=True)
    for fleet in fleets:
        rows = fleet['rounds']
        axis.plot([row['published'] / 60.0 for row in rows], [row['success'] for row in rows],
                  marker='o', markersize=3, label=f'{fleet["robots"]} robots')
    axis.axhline(fleets[0]['target'], color='0.6', linestyle='--', linewidth=1.0)
    axis.set_xlabel('time of the fleet, minutes')
    axis.set_ylabel('success')
    axis.set_ylim(0.0, 1.02)
    axis.grid(alpha=0.25)
    axis.legend(fontsize=8)
    figure.savefig(file, dpi=120)
    plt.close(figure)
