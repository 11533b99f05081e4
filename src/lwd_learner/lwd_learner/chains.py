# SPDX-License-Identifier: Apache-2.0
"""Memoryless chains from noise to action, in steps: what QAM rolls a flow out by.

x_{k+1} = A_k x_k + C_k f(x_k, t_k) + sqrt(v_k) eps,  the last step being the flow's ODE.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from lwd_policy.flow import times

Form = Literal['ancestral', 'euler']


@dataclass(frozen=True)
class Chain:
    """Numbers of each step, k = 0 .. N - 1."""

    times: tuple[float, ...]
    """t_0 = 0 .. t_N = 1."""
    keep: tuple[float, ...]
    """A_k."""
    gain: tuple[float, ...]
    """C_k."""
    spread: tuple[float, ...]
    """sqrt(v_k); of the last step, which draws nothing, it is not used."""
    pull: tuple[float, ...]
    """C_k / sqrt(v_k): what a velocity's error counts, in standard deviations of the step."""
    push: tuple[float, ...]
    """sqrt(v_k): what an adjoint asks for, in the same."""
    seen_at: tuple[float, ...]
    """Where on the way the reference's Jacobian is taken for the adjoint."""
    answers_next: bool
    """Whether a velocity answers g_{k+1}, as the chain's own optimum does, or g_k."""


def make_chain(form: Form, steps: int, shrink: float) -> Chain:
    """Return a chain of so many steps, each `shrink` times as long as the one before."""
    return {'ancestral': _ancestral, 'euler': _euler}[form](times(steps, shrink))


def _euler(at: tuple[float, ...]) -> Chain:
    """The SDE in steps h: A = 1 - h / t', C = 2 h, v = 2 h (1 - t + h) / t', with t' = t + h.

    The last step's own A and C belong to the ODE's way forward, but the adjoint and the regression
    take the SDE's there, too, as published.
    """
    keep, gain, spread = [], [], []
    for now, then in pairwise(at):
        h = then - now
        keep.append(1.0 - h / then)
        gain.append(2.0 * h)
        spread.append(math.sqrt(2.0 * h * (1.0 - now + h) / then))
    pull = tuple(c / s for c, s in zip(gain, spread))
    return Chain(at, tuple(keep), tuple(gain), tuple(spread), pull, tuple(spread), at[1:], False)


def _ancestral(at: tuple[float, ...]) -> Chain:
    """What is known of x' = t' a + (1 - t') e given x = t a + (1 - t) e and a = x + (1 - t) f.

    x came from x' by x = (t / t') x' and noise of the variance
    n^2 = (1 - t)^2 - (t / t')^2 (1 - t')^2; x' therefore has the mean t' a + K (x - t a),
    K = (t / t') (1 - t')^2 / (1 - t)^2, and the variance v = (1 - t')^2 n^2 / (1 - t)^2.
    At t = 0 nothing of x is kept: the chain is memoryless.
    """
    keep, gain, spread = [], [], []
    for now, then in pairwise(at):
        part, left = now / then, (1.0 - then) / (1.0 - now)
        kept = part * left**2
        clean = then - kept * now
        keep.append(kept + clean)
        gain.append(clean * (1.0 - now))
        noise = (1.0 - now)**2 - part**2 * (1.0 - then)**2
        spread.append(left * math.sqrt(noise))
    # At its end the chain draws nothing: there the velocity stays the reference's, and an error of
    # it counts as in the step before.
    pull = [c / s for c, s in zip(gain[:-1], spread[:-1])]
    return Chain(at, tuple(keep), tuple(gain), tuple(spread), (*pull, pull[-1]),
                 (*spread[:-1], 0.0), at[:-1], True)
