# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from lwd_policy.linear import Linear, linear
from lwd_policy.linear import _suits as suits


def reference(values, weight, bias, upstream):
    """Return the product and its gradients, in double precision."""
    leaves = [one.double().requires_grad_() for one in (values, weight, bias)]
    out = torch.nn.functional.linear(*leaves)
    return [out, *torch.autograd.grad(out, leaves, upstream.double())]


@pytest.mark.parametrize('shape', [(16, 7), (256, 64), (5, 40, 33), (2, 3, 4, 9)])
def test_products_and_gradients_are_those_of_torch(shape):
    torch.manual_seed(0)
    values, weight, bias = torch.randn(shape), torch.randn(11, shape[-1]), torch.randn(11)
    upstream = torch.randn(*shape[:-1], 11)
    leaves = [one.clone().requires_grad_() for one in (values, weight, bias)]
    assert suits(*leaves[:2])
    out = linear(*leaves)
    found = [out, *torch.autograd.grad(out, leaves, upstream)]
    for one, other in zip(found, reference(values, weight, bias, upstream)):
        assert one.shape == other.shape
        assert (one - other).abs().max() < 1e-4 * (1.0 + other.abs().max())


def test_values_may_be_views_and_gradients_of_the_values_alone_are_enough():
    torch.manual_seed(0)
    values, weight, bias = torch.randn(64, 32).t(), torch.randn(5, 64), torch.randn(5)
    leaf = values.requires_grad_()
    upstream = torch.randn(5, 32).t()
    found, = torch.autograd.grad(linear(leaf, weight, bias), leaf, upstream)
    _, wanted, _, _ = reference(values.detach(), weight, bias, upstream)
    assert torch.allclose(found.double(), wanted, atol=1e-4)


@pytest.mark.parametrize('values', [
    torch.randn(8).expand(32, 8), torch.randn(32, 24)[:, 3:11], torch.randn(64, 8)[::2],
    torch.randn(8, 32).t(), torch.randn(8, 1).expand(8, 32).t()])
@pytest.mark.parametrize('upstream', [
    torch.ones(()).expand(32, 4), torch.randn(32, 12)[:, 2:6], torch.randn(4, 32).t()])
def test_strides_do_not_matter(values, upstream):
    weight, bias = torch.randn(4, 8), torch.randn(4)
    leaves = [values, weight.requires_grad_(), bias.requires_grad_()]
    out = linear(*leaves)
    found = [out, *torch.autograd.grad(out, leaves[1:], upstream)]
    expected = reference(values, weight.detach(), bias.detach(), upstream)
    for one, other in zip(found, [expected[0], *expected[2:]]):
        assert (one - other).abs().max() < 1e-4 * (1.0 + other.abs().max())


def test_other_precisions_few_rows_and_autocast_are_left_to_torch():
    weight = torch.randn(4, 8)
    many = torch.randn(16, 8)
    assert suits(many, weight)
    assert not suits(many[:15], weight)
    assert not suits(torch.randn(8), weight)
    assert not suits(many.double(), weight.double())
    layer = Linear(8, 4)
    with torch.autocast('cpu', torch.bfloat16):
        assert layer(many).dtype is torch.bfloat16
    assert layer(many[:0]).shape == (0, 4)
    assert layer(many[0]).shape == (4,)


def test_a_layer_has_the_weights_of_torch_under_the_same_names_and_may_go_without_a_bias():
    torch.manual_seed(0)
    other, values = torch.nn.Linear(8, 4, bias=False), torch.randn(32, 8)
    layer = Linear(8, 4, bias=False)
    layer.load_state_dict(other.state_dict())
    assert torch.allclose(layer(values), other(values), atol=1e-5)
    layer(values).square().sum().backward()
    other(values).square().sum().backward()
    assert torch.allclose(layer.weight.grad, other.weight.grad, rtol=1e-4, atol=1e-3)


def test_a_second_derivative_is_refused_not_wrong():
    values = torch.randn(32, 8, requires_grad=True)
    once, = torch.autograd.grad(
        Linear(8, 4)(values).square().sum(), values, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        once.sum().backward()


def test_compiled_layers_give_the_same():
    torch.manual_seed(0)
    layer, values = Linear(8, 4), torch.randn(32, 8, requires_grad=True)
    # Traces forward and backward, as every backend has it done, and needs no C++ compiler.
    compiled = torch.compile(layer, backend='aot_eager', fullgraph=True)
    found, wanted = (torch.autograd.grad(one(values).square().sum(), [values, layer.weight])
                     for one in (compiled, layer))
    for one, other in zip(found, wanted):
        assert torch.allclose(one, other, atol=1e-4)
