# SPDX-License-Identifier: Apache-2.0
"""Learning curves of a run as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

from lwd_learner.errors import DataError

mpl.use('Agg')
from matplotlib import pyplot as plt

_PANELS = (
    ('losses', ('loss/',)), ('what V and Q say', (
        'value/mean', 'value/q', 'value/target', 'value/bootstrap')),
    ("Q's error, seen and held out", ('error/',)),
    ('tau and entropy', ('value/tau', 'value/tau_min', 'value/tau_max', 'value/entropy')),
    ('KL from the reference, nats', ('actor/kl',)), ('lambda', ('actor/lambda',)),
    ('norms', ('grad/', 'actor/adjoint', 'actor/q_gradient')))


def draw_curves(rows: Sequence[Mapping[str, Any]], file: Path) -> None:
    """Draw the metrics of a run, phases shaded, to a PNG.

    Raises:
        DataError: There are none.
    """
    lines = [row for row in rows if any(key.startswith('loss/') for key in row)]
    if not lines:
        raise DataError('the run has no metrics yet; let it make some updates first')
    figure, axes = plt.subplots(2, 4, figsize=(17, 6.5), constrained_layout=True)
    names = sorted({key for row in lines for key in row})
    for axis, (title, wanted) in zip(axes.flat, _PANELS):
        for name in names:
            if not any(name == one or (one.endswith('/') and name.startswith(one))
                       for one in wanted):
                continue
            points = [(row['step'], row[name]) for row in lines if name in row]
            axis.plot(*zip(*points), label=name.split('/', 1)[1], linewidth=1.2)
        axis.set_title(title, fontsize=10)
        if axis.lines:
            axis.legend(fontsize=7)
        if title in ('losses', 'norms', 'lambda') and axis.lines:
            axis.set_yscale('log')
        axis.grid(alpha=0.25)
        _shade(axis, lines)
    for axis in axes[1]:
        axis.set_xlabel('update')
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _shade(axis: Any, lines: Sequence[Mapping[str, Any]]) -> None:
    """Shade every other phase and name them."""
    begin, phase, number = 0, lines[0]['phase'], 0
    for row in [*lines[1:], {'phase': None, 'step': lines[-1]['step']}]:
        if row['phase'] != phase:
            if number % 2:
                axis.axvspan(begin, row['step'], color='0.93', zorder=0)
            axis.text(begin, 1.0, f' {phase}', transform=axis.get_xaxis_transform(), fontsize=6,
                      va='top', color='0.4')
            begin, phase, number = row['step'], row['phase'], number + 1
