# SPDX-License-Identifier: Apache-2.0
"""DIVL: projections, quantiles, tau; and that it finds a high quantile of Q."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lwd_learner import divl, expectile
from lwd_learner.divl import DivlConfig
from lwd_learner.errors import ConfigError

CONFIG = DivlConfig()
SUPPORT = torch.linspace(-0.1, 1.1, 201, dtype=torch.float64)


@given(st.lists(st.floats(-0.1, 1.1), min_size=1, max_size=20))
def test_two_hot_keeps_the_mean(values):
    wanted = torch.tensor(values, dtype=torch.float64)
    weights = divl.two_hot(wanted, SUPPORT)
    assert weights.shape == (len(values), 201)
    torch.testing.assert_close(weights.sum(-1), torch.ones(len(values), dtype=torch.float64))
    torch.testing.assert_close(weights @ SUPPORT, wanted, atol=1e-9, rtol=0)
    assert int((weights > 1e-12).sum(-1).max()) <= 2


def test_values_beyond_the_atoms_are_the_outermost():
    weights = divl.two_hot(torch.tensor([-5.0, 7.0], dtype=torch.float64), SUPPORT)
    assert float(weights[0, 0]) == 1.0
    assert float(weights[1, -1]) == 1.0


def _logits(mass: dict[int, float]) -> torch.Tensor:
    p = torch.full((1, 201), 1e-30, dtype=torch.float64)
    for atom, part in mass.items():
        p[0, atom] = part
    return p.log()


@pytest.mark.parametrize(
    ('tau', 'atom'), [(0.1, 20), (0.25, 20), (0.5, 100), (0.7, 100), (0.9, 180)])
def test_quantiles_of_three_atoms(tau, atom):
    logits = _logits({20: 0.3, 100: 0.5, 180: 0.2})
    found = divl.quantile(logits, torch.tensor([tau], dtype=torch.float64), SUPPORT)
    half_an_atom = float(SUPPORT[1] - SUPPORT[0]) / 2
    assert abs(float(found) - float(SUPPORT[atom])) <= half_an_atom + 1e-9


def test_quantile_of_a_fine_normal_is_the_normal_quantile():
    spread = 0.1
    logits = (-(SUPPORT - 0.5).square() / (2 * spread**2))[None]
    for tau, z in ((0.6, 0.2533), (0.9, 1.2816)):
        found = divl.quantile(logits, torch.tensor([tau], dtype=torch.float64), SUPPORT)
        assert abs(float(found) - (0.5 + z * spread)) < 1e-3


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.integers(0, 1000))
def test_quantile_rises_with_tau(first, second, seed):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(1, 201, generator=generator, dtype=torch.float64)
    low, high = sorted((first, second))
    found = [float(divl.quantile(logits, torch.tensor([tau], dtype=torch.float64), SUPPORT))
             for tau in (low, high)]
    assert found[0] <= found[1] + 1e-12
    assert CONFIG.low <= found[0] <= found[1] + 1e-12 <= CONFIG.high + 1e-9


def test_entropy_runs_from_certain_to_uniform():
    assert float(divl.entropy(_logits({3: 1.0}))) == pytest.approx(0.0, abs=1e-9)
    assert float(divl.entropy(torch.zeros(1, 201))) == pytest.approx(1.0, abs=1e-6)
    two = divl.entropy(_logits({3: 0.5, 9: 0.5}))
    assert float(two) == pytest.approx(math.log(2) / math.log(201), abs=1e-6)


def test_tau_falls_with_uncertainty_and_is_clipped():
    certain, uniform = _logits({3: 1.0}), torch.zeros(1, 201, dtype=torch.float64)
    assert float(divl.adaptive_tau(certain, 0.6, CONFIG)) == pytest.approx(0.6)
    assert float(divl.adaptive_tau(uniform, 0.6, CONFIG)) == pytest.approx(0.4)
    assert float(divl.adaptive_tau(uniform, 0.9, CONFIG)) == pytest.approx(0.6)
    high = DivlConfig(alpha=-1.0)
    assert float(divl.adaptive_tau(uniform, 0.9, high)) == pytest.approx(0.9)
    constant = DivlConfig(alpha=0.0)
    assert float(divl.adaptive_tau(uniform, 0.6, constant)) == pytest.approx(0.6)


def _fitted(loss, start):
    """Minimise a loss over one state's output, given Q of chunks uniform in 0 .. 1."""
    out = start.clone().requires_grad_()
    adam = torch.optim.Adam([out], lr=0.05)
    values = torch.linspace(0.0, 1.0, 101)
    for _ in range(600):
        adam.zero_grad()
        loss(out.expand(101, -1), values).mean().backward()
        adam.step()
    return out.detach()


def test_the_fitted_distribution_has_the_quantile_of_the_data():
    support = CONFIG.support()
    logits = _fitted(lambda out, values: divl.loss(out, values, support), torch.zeros(1, 201))
    found = divl.quantile(logits, torch.tensor([0.9]), support)
    assert float(found) == pytest.approx(0.9, abs=0.02)
    assert float(divl.mean(logits, support)) == pytest.approx(0.5, abs=0.02)


def test_the_expectile_of_a_uniform_value():
    # tau E[(x - v)+] = (1 - tau) E[(v - x)+]: for uniform x, v = sqrt(tau) / (sqrt(tau) + sqrt(1
    # - tau)).
    found = _fitted(lambda out, values: expectile.loss(out[:, 0], values, 0.9), torch.zeros(1, 1))
    assert float(found) == pytest.approx(0.9**0.5 / (0.9**0.5 + 0.1**0.5), abs=0.01)


def test_impossible_atoms_are_refused():
    with pytest.raises(ConfigError, match='low below high'):
        DivlConfig(low=1.0, high=0.0)
    with pytest.raises(ConfigError, match='tau_min 0.8'):
        DivlConfig(tau_min=0.8, tau_max=0.5)
