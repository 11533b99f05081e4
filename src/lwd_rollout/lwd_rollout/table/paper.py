# SPDX-License-Identifier: Apache-2.0
"""What the paper reports (arXiv 2605.00416, by public notes): on robots, other tasks of that name.

They stand beside the simulation's figures for their order, not to be reached: scenes, policies and
operators are others.
"""

from __future__ import annotations

from collections.abc import Mapping

_TASKS = ('restock', 'correct', 'freezer', 'cooler', 'tea', 'juice', 'cocktail', 'shoebox')


def _row(*scores: float) -> Mapping[str, float]:
    return dict(zip(_TASKS, scores, strict=True))


SCORES: Mapping[str, Mapping[str, float]] = {
    'sft': _row(.70, .88, .83, .95, .64, .66, .70, .70),
    'recap': _row(.95, .96, .94, .95, .84, .82, .71, .70),
    'hg_dagger': _row(1.00, .92, .92, 1.00, .60, .66, .76, .90),
    'lwd_offline': _row(1.00, 1.00, .92, .95, .72, .74, .83, .86),
    'lwd_online': _row(1.00, 1.00, .97, .98, .89, .90, .93, .92),
}
"""Mean score by method and task."""

LONG: Mapping[str, float] = {
    'expectile_offline': .72, 'expectile_online': .78, 'lwd_offline': .79, 'lwd_online': .91}
"""Mean over the long-horizon tasks, of the ablation of the value."""


def mean(method: str, tasks: tuple[str, ...]) -> float | None:
    """Return the paper's mean score of a method over tasks; None if it says nothing."""
    scores = SCORES.get(method)
    if scores is None or not tasks or any(task not in scores for task in tasks):
        return None
    return sum(scores[task] for task in tasks) / len(tasks)
