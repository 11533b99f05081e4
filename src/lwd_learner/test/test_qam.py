# SPDX-License-Identifier: Apache-2.0
"""QAM against the exact tilt pi_beta exp(Q / lambda), with the variants that converge
elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from closed_form import Mixture, draw, fixed_point
from torch import Tensor

from lwd_learner import qam
from lwd_learner.chains import make_chain
from lwd_learner.temperature import Temperature, TemperatureConfig
from lwd_policy import flow
from lwd_policy.flow import Velocity

GAUSSIAN = Mixture((0.0,), 0.25)
MIXTURE = Mixture((-0.6, 0.6), 0.0625)


def linear(x: Tensor) -> Tensor:
    return x[:, 0]


def quadratic(x: Tensor) -> Tensor:
    return -(x[:, 0] - 0.5).square()


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(('steps', 'tolerance'), [(10, 0.02), (40, 0.005)])
def test_linear_value_shifts_a_gaussian(steps, tolerance):
    # N(0, .25) tilted by exp(x) is N(.25, .25).
    actions = draw(fixed_point(GAUSSIAN, linear, 1.0, steps))
    assert abs(float(actions.mean()) - 0.25) <= tolerance
    if steps == 40:
        assert abs(float(actions.var()) - 0.25) <= 0.02


def test_quadratic_value_narrows_a_gaussian():
    # N(0, .25) tilted by exp(-4 (x - .5)^2) is N(1/3, 1/12).
    actions = draw(fixed_point(GAUSSIAN, quadratic, 0.25, 40))
    assert abs(float(actions.mean()) - 1.0 / 3.0) <= 0.015
    assert abs(float(actions.var()) - 1.0 / 12.0) <= 0.01


def test_a_mixture_moves_its_mass():
    actions = draw(fixed_point(MIXTURE, linear, 0.5, 40))
    assert abs(float((actions > 0).double().mean()) - 0.917) <= 0.015


def test_the_path_of_the_reference_is_not_enough():
    # The ablation must miss what the method reaches, else the tests above show nothing.
    actions = draw(fixed_point(GAUSSIAN, quadratic, 0.25, 10, path='reference'))
    assert abs(float(actions.mean()) - 1.0 / 3.0) > 0.1


def test_a_constant_adjoint_grows_with_the_number_of_steps():
    def constant(rolled: qam.Rollout, temperature: float) -> qam.Rollout:
        last = -rolled.gradient / temperature
        return replace(rolled, adjoints=last.expand_as(rolled.adjoints))

    means = [float(draw(fixed_point(
        GAUSSIAN, linear, 1.0, steps, change=constant, rounds=20)).mean()) for steps in (10, 40)]
    assert means[0] > 1.0
    assert means[1] > means[0] + 0.3


def test_adjoint_pulls_back_through_the_reference_only():
    """Each VJP is that of finite differences of the reference."""
    generator = torch.Generator().manual_seed(3)
    network = torch.nn.Sequential(
        torch.nn.Linear(5, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4)).double()

    def reference(x: Tensor, level: Tensor) -> Tensor:
        return network(torch.cat([x, level[:, None]], dim=1))

    points = [torch.randn(3, 4, generator=generator, dtype=torch.float64) for _ in range(3)]
    last = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    found = qam.adjoint(reference, points, last, make_chain('euler', 3, 1.0))
    h, g, small = 1.0 / 3.0, last, 1e-6
    for k in reversed(range(3)):
        level = torch.full((3,), k * h + h, dtype=torch.float64)
        pulled = torch.zeros_like(g)
        with torch.no_grad():
            for i in range(4):
                step = torch.zeros(4, dtype=torch.float64)
                step[i] = small
                slope = (reference(points[k] + step, level)
                         - reference(points[k] - step, level)) / (2 * small)
                pulled[:, i] = (slope * g).sum(1)
        g = g + h * (2 * pulled - g / (k * h + h))
        torch.testing.assert_close(found[k], g, rtol=1e-6, atol=1e-8)


def answered(rolled: qam.Rollout, reference: Mixture) -> Velocity:
    """Return the policy that answers the adjoints of a linear value: the same on every path."""
    chain = rolled.chain
    change = [-chain.push[k] * float(rolled.adjoints[k, 0, 0]) / chain.pull[k]
              for k in range(rolled.steps)]

    def policy(x: Tensor, level: Tensor) -> Tensor:
        return reference.velocity(x, level) + change[chain.times.index(float(level[0]))]

    return policy


@pytest.mark.parametrize('shrink', [1.0, 0.75])
@pytest.mark.parametrize('spread', [1.0, 0.1, 0.02])
def test_the_ancestral_chain_tilts_what_the_sampler_draws(spread, shrink):
    """However narrow the reference: tilted by x / s, a variance v moves by v / s."""
    narrow = Mixture((0.0,), spread**2)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(100_000, 1, dtype=torch.float64, generator=generator)

    def roll(policy: Velocity) -> qam.Rollout:
        return qam.rollout(policy, narrow.velocity, lambda x: x[:, 0], noise, spread,
                           shrink=shrink, generator=generator)

    before = roll(narrow.velocity)
    after = roll(answered(before, narrow))
    moved = float(after.final.mean()) / spread
    assert moved == pytest.approx(float(before.final.var()) / spread**2, rel=0.03, abs=0.003)
    assert float(after.kl.mean()) == pytest.approx(float(before.asked.mean()), rel=1e-6)
    assert float(after.kl.mean()) == pytest.approx(0.5 * moved, rel=0.05, abs=0.003)


def test_eulers_chain_overshoots_a_narrow_reference():
    """Ten steps of a tenth: N(0, .02^2) tilted by x / .02 moves by more than 50 instead of 1."""
    narrow = Mixture((0.0,), 0.02**2)
    noise = torch.randn(10, 1, dtype=torch.float64)
    rolled = qam.rollout(narrow.velocity, narrow.velocity, lambda x: x[:, 0], noise, 0.02,
                         form='euler')
    reached = flow.integrate(answered(rolled, narrow), torch.zeros(1, 1, dtype=torch.float64))
    assert float(reached) / 0.02 > 50.0
    assert float(rolled.asked.mean()) > 100.0  # the tilt's own is 0.5 nats


def test_the_ancestral_chain_narrows_and_moves_mass_as_the_exact_tilt():
    narrower = draw(fixed_point(GAUSSIAN, quadratic, 0.25, 40, form='ancestral'))
    assert abs(float(narrower.mean()) - 1.0 / 3.0) <= 0.03
    assert abs(float(narrower.var()) - 1.0 / 12.0) <= 0.01
    moved = draw(fixed_point(MIXTURE, linear, 0.5, 40, form='ancestral'))
    assert abs(float((moved > 0).double().mean()) - 0.917) <= 0.03


def test_what_the_adjoints_ask_for_is_what_the_policy_then_has():
    policy = fixed_point(GAUSSIAN, linear, 1.0, 40)
    noise = torch.randn(20_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    rolled = qam.rollout(policy.velocity, GAUSSIAN.velocity, linear, noise, 1.0, steps=40,
                         form='euler')
    assert float(rolled.asked.mean()) == pytest.approx(float(rolled.kl.mean()), rel=0.1)


def test_another_temperature_and_a_path_that_asks_for_too_much():
    noise = torch.randn(50, 1, dtype=torch.float64)
    value = lambda x: x[:, 0].pow(3)  # noqa: E731  some paths are far steeper than others
    rolled = qam.rollout(GAUSSIAN.velocity, GAUSSIAN.velocity, value, noise, 1.0)
    torch.testing.assert_close(rolled.tempered(0.5).asked, 4.0 * rolled.asked)
    assert torch.equal(rolled.tempered(1.0).adjoints, rolled.adjoints)
    middle = float(rolled.asked.median())
    short = rolled.tempered(1.0, largest=middle)
    assert float(short.asked.max()) == pytest.approx(middle)
    least = rolled.asked < 0.99 * middle
    assert torch.equal(short.adjoints[:, least], rolled.adjoints[:, least])


def test_lambda_follows_what_is_asked_for_and_what_comes_of_it():
    keeper = Temperature(TemperatureConfig(kl=2.0, memory=0.5))
    for _ in range(30):
        keeper.observe_asked(math.log(8.0))
    assert keeper.value == pytest.approx(2.0)
    for _ in range(200):
        keeper.observe_kl(20.0)
    assert keeper.value > 10.0
    again = Temperature(keeper.config)
    again.restore(keeper.state())
    assert again.value == keeper.value
    fixed = Temperature(TemperatureConfig(fixed=0.3))
    fixed.observe_asked(9.0)
    fixed.observe_kl(100.0)
    assert fixed.value == 0.3


def test_a_policy_that_is_its_reference_has_no_kl():
    noise = torch.randn(50, 1, dtype=torch.float64)
    rolled = qam.rollout(GAUSSIAN.velocity, GAUSSIAN.velocity, linear, noise, 1.0, form='euler')
    assert float(rolled.kl.abs().max()) == 0.0


def test_measured_kl_is_that_of_the_tilt():
    # KL(N(.25, .25) || N(0, .25)) = .125 nats; the path's bounds it from above and is near it.
    policy = fixed_point(GAUSSIAN, linear, 1.0, 40)
    noise = torch.randn(20_000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    rolled = qam.rollout(policy.velocity, GAUSSIAN.velocity, linear, noise, 1.0, steps=40,
                         form='euler')
    assert 0.11 <= float(rolled.kl.mean()) <= 0.16


def test_loss_vanishes_where_the_velocity_answers_the_adjoint():
    noise = torch.randn(10, 1, dtype=torch.float64)
    rolled = qam.rollout(GAUSSIAN.velocity, GAUSSIAN.velocity, linear, noise, 1.0, form='euler')
    k = torch.arange(10).expand(10, -1)
    push, pull = (torch.tensor(numbers, dtype=torch.float64)[None, :, None]
                  for numbers in (rolled.chain.push, rolled.chain.pull))
    best = qam.at_levels(rolled.reference, k) - push / pull * qam.at_levels(rolled.adjoints, k)
    torch.testing.assert_close(
        qam.loss(rolled, k, best), torch.zeros(10, dtype=torch.float64), atol=1e-20, rtol=0)


def test_in_many_dimensions_the_value_rises_as_much_as_the_exact_tilt():
    """48 dimensions, networks: E[Q] within 15 % of the gain of the importance-sampled tilt."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    size, temperature, steps = 48, 0.25, 10
    weight = torch.randn(size, generator=generator) / size**0.5

    def value(x: Tensor) -> Tensor:
        return torch.tanh(x @ weight)

    def reference(x: Tensor, level: Tensor) -> Tensor:
        return Mixture((0.0,), 1.0).velocity(x, level)

    network = torch.nn.Sequential(
        torch.nn.Linear(size + 1, 128), torch.nn.SiLU(), torch.nn.Linear(128, size))
    torch.nn.init.zeros_(network[-1].weight)
    torch.nn.init.zeros_(network[-1].bias)

    def policy(x: Tensor, level: Tensor) -> Tensor:
        return reference(x, level) + network(torch.cat([x, level[:, None]], dim=1))

    adam = torch.optim.Adam(network.parameters(), lr=3e-3)
    every = torch.arange(steps).expand(128, -1)
    for _ in range(300):
        noise = torch.randn(128, size, generator=generator)
        rolled = qam.rollout(policy, reference, value, noise, temperature, steps=steps,
                             form='euler', generator=generator)
        points = qam.at_levels(rolled.points, every).flatten(0, 1)
        velocity = policy(points, every.flatten() / steps).unflatten(0, every.shape)
        adam.zero_grad()
        qam.loss(rolled, every, velocity).mean().backward()
        adam.step()
    noise = torch.randn(20_000, size, generator=generator)
    with torch.no_grad():
        base = value(flow.integrate(reference, noise, steps))
        tilted = (base * torch.softmax(base / temperature, dim=0)).sum()
        reached = value(flow.integrate(policy, noise, steps)).mean()
    gain = float((reached - base.mean()) / (tilted - base.mean()))
    assert 0.85 <= gain <= 1.15
