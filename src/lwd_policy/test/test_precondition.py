# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from lwd_policy import flow
from lwd_policy.precondition import Preconditioning, bounded

MEAN, DEVIATION = torch.tensor([[0.4, -1.0]]), torch.tensor([[0.1, 2.0]])
COUNT = 40_000


def fitted(generator):
    actions = MEAN + DEVIATION * torch.randn(COUNT, 1, 2, generator=generator)
    known = Preconditioning((1, 2))
    known.fit(actions)
    return known, actions


def test_what_is_known_alone_draws_normal_actions_right():
    """With nothing learned the flow is that of a normal distribution, which is exact for one."""
    generator = torch.Generator().manual_seed(0)
    known, _ = fitted(generator)
    drawn = flow.integrate(
        lambda a, w: known(lambda x, _: torch.zeros_like(x), a, w),
        torch.randn(COUNT, 1, 2, generator=generator), 200)
    torch.testing.assert_close(drawn.mean(0), MEAN, atol=0.03, rtol=0.0)
    torch.testing.assert_close(drawn.std(0), DEVIATION, atol=0.0, rtol=0.03)


@pytest.mark.parametrize('w', [0.0, 0.3, 0.7, 0.95])
def test_what_is_left_to_the_network_has_unit_variance_going_in_and_coming_out(w):
    generator = torch.Generator().manual_seed(1)
    known, actions = fitted(generator)
    noise, level = torch.randn(COUNT, 1, 2, generator=generator), torch.full((COUNT,), w)
    seen = []

    def network(inputs, _):
        seen.append(inputs)
        return torch.zeros_like(inputs)

    guess = known(network, (1.0 - w) * noise + w * actions, level)
    error = actions - noise - guess
    torch.testing.assert_close(seen[0].var(0), torch.ones(1, 2), atol=0.0, rtol=0.03)
    torch.testing.assert_close(
        known.weight(level[:1])[0] * error.var(0), torch.ones(1, 2), atol=0.0, rtol=0.03)
    # The linear guess leaves nothing that another linear one could find.
    between = (1.0 - w) * noise + w * actions
    shared = (error * (between - between.mean(0))).mean(0)
    assert float(shared.abs().max()) < 0.05


def test_what_the_network_says_is_bounded_and_small_values_are_left_alone():
    values = torch.tensor([-1e4, -20.0, -1.0, 0.0, 2.0, 300.0], requires_grad=True)
    found = bounded(values)
    assert float(found.detach().abs().max()) <= 8.001
    torch.testing.assert_close(found[2:5], values[2:5], atol=0.0, rtol=2e-3)
    assert torch.all(found.diff() > 0)
    found.sum().backward()
    assert torch.all(torch.isfinite(values.grad))
