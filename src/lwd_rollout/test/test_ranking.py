# SPDX-License-Identifier: Apache-2.0
"""What branches say of a critic."""

from __future__ import annotations

import numpy as np
import pytest

from lwd_rollout.ranking import Branch, ranking


def _branches(values):
    """Return branches from ((q, outcome), ...) of each state."""
    return [Branch('t', seed, i, q, y)
            for seed, group in enumerate(values) for i, (q, y) in enumerate(group)]


def test_ranking_counts_only_what_states_can_tell():
    perfect = ranking(_branches([((0.1, 0.0), (0.9, 1.0)), ((0.5, 1.0), (0.4, 0.0))]))
    assert perfect.auc == 1.0
    assert perfect.mixed == perfect.states == 2
    wrong = ranking(_branches([((0.9, 0.0), (0.1, 1.0))]))
    assert wrong.auc == 0.0
    assert wrong.correlation == pytest.approx(-1.0)
    # Between states Q may be as right as it likes: within them it guesses.
    between = ranking(_branches([((0.9, 1.0), (0.9, 0.0)), ((0.1, 1.0), (0.1, 0.0))]))
    assert between.auc == 0.5
    none = ranking(_branches([((0.9, 1.0), (0.8, 1.0)), ((0.1, 0.0), (0.2, 0.0))]))
    assert none.mixed == 0
    assert np.isnan(none.auc)


def test_slope_is_that_of_outcomes_over_q():
    rng = np.random.default_rng(0)
    groups = []
    for _ in range(200):
        q = rng.normal(rng.uniform(), 0.1, 6)
        groups.append(tuple(zip(q, 2.0 * q + rng.uniform())))
    assert ranking(_branches(groups)).slope == pytest.approx(2.0)


def test_what_a_chunk_decides_is_told_from_what_comes_after_it():
    rng = np.random.default_rng(0)

    def decided(spread, continuations):
        """Chances of chunks of a state lie as far apart as `spread` says, about a half."""
        found = []
        for seed in range(2000):
            for number, chance in enumerate(0.5 + spread * np.array([-1.0, 1.0] * 3)):
                came = (rng.random(continuations) < chance).astype(float)
                found.append(Branch(
                    't', seed, number, 0.0, float(came.mean()), continuations=continuations,
                    noise=float(came.var(ddof=1)) if continuations > 1 else None))
        return ranking(found).decided

    # Of chances .5 +- s the chunks' variance is s^2 (6/5, of six), the rest's .25 - s^2.
    assert decided(0.0, 3) == pytest.approx(0.0, abs=0.03)
    assert decided(0.3, 3) == pytest.approx(0.108 / (0.108 + 0.16), abs=0.03)
    assert decided(0.5, 2) == pytest.approx(1.0)
    assert np.isnan(decided(0.3, 1))
