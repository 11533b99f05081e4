# SPDX-License-Identifier: Apache-2.0
"""A comparison as a picture: mean scores with intervals, beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

from lwd_rollout.errors import TableError
from lwd_rollout.table import paper

mpl.use('Agg')
from matplotlib import pyplot as plt

_COLOURS = {'method': '#0b6e4f', 'ablation': '#8a6d00', 'control': '#6b7280'}


def draw(found: Mapping[str, Any], file: Path) -> None:
    """Draw what `results.gather` found to a PNG: a panel for each noise and best-of.

    Raises:
        TableError: Nothing was tested yet.
    """
    variants = {name: methods for name, methods in found['variants'].items() if methods}
    if not variants:
        raise TableError('nothing was tested yet: there is nothing to draw')
    names = list(dict.fromkeys(name for methods in variants.values() for name in methods))
    figure, axes = plt.subplots(
        1, len(variants), figsize=(2.5 + 3.5 * len(variants), 1.2 + 0.32 * len(names)),
        sharey=True, squeeze=False, constrained_layout=True)
    tasks = tuple(found['tasks'])
    titles = {}
    for axis, (title, methods) in zip(axes[0], variants.items()):
        for place, name in enumerate(names):
            if name not in methods:
                continue
            one = methods[name]
            titles[name] = one['title']
            mean = one['mean']
            axis.errorbar(
                mean['mean'], place, fmt='o', color=_COLOURS[one['group']], capsize=3,
                xerr=[[max(0.0, mean['mean'] - mean['low'])],
                      [max(0.0, mean['high'] - mean['mean'])]])
            said = paper.mean(name, tasks)
            if said is not None:
                axis.plot(said, place, marker='x', color='0.5', linestyle='none')
        axis.set_title(title, fontsize=10)
        axis.set_xlim(0.0, 1.02)
        axis.grid(axis='x', alpha=0.25)
        axis.set_xlabel("mean score; x: the paper's robots", fontsize=8)
    axes[0][0].set_yticks(range(len(names)), [titles[name] for name in names], fontsize=8)
    axes[0][0].invert_yaxis()
    figure.savefig(file, dpi=120)
    plt.close(figure)
