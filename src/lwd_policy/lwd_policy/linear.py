# SPDX-License-Identifier: Apache-2.0
"""Linear layers whose products in single precision are oneDNN's on a CPU.

PyTorch gives them to MKL, which uses half the width of the vector units of processors that are not
Intel's: oneDNN, which PyTorch brings along and uses for bf16, takes less than half the time there
(`make bench NAME=qam_reference`). QAM compares velocities in single precision, so that most of an
actor's update is such products.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_FEWEST_ROWS = 16
"""Below that reading the weights takes the time, and MKL is as good."""
_THERE = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, '_linear_pointwise')
"""Whether this PyTorch has oneDNN, and what its own compiler calls it by."""


def product(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return rows weight^T + bias, (B, O), by oneDNN; not differentiable.

    Args:
        rows: (B, I) fp32, strided as they may be.
        weight: (O, I), too.
        bias: (O,).
    """
    if torch.compiler.is_compiling():
        return _sealed(rows, weight, bias)
    if not (weight.is_contiguous() or weight.t().is_contiguous()):
        weight = weight.contiguous()
    found: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001  it has no other name
        rows, weight, bias, 'none', [], '')
    return found


@torch.library.custom_op('lwd::product', mutates_args=())
def _sealed(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The product as a compiler is to see it, from outside: within it knows constants only."""
    return product(rows, weight, bias)


@_sealed.register_fake
def _(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    del bias
    return rows.new_empty(rows.shape[0], weight.shape[0])


class _Linear(torch.autograd.Function):
    """The product with its gradients, which are products, too."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        rows, weight = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return (product(gradient, weight.t()) if wanted[0] else None,
                product(gradient.t(), rows.t()) if wanted[1] else None,
                gradient.sum(0) if wanted[2] else None)


def linear(values: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return values weight^T + bias, (..., O), as `torch.nn.functional.linear` does.

    Args:
        values: (..., I).
        weight: (O, I).
        bias: (O,).
    """
    if not _suits(values, weight):
        return nn.functional.linear(values, weight, bias)
    found: Tensor = _Linear.apply(values.reshape(-1, values.shape[-1]), weight, bias)
    return found.unflatten(0, values.shape[:-1]) if values.dim() != 2 else found


def _suits(values: Tensor, weight: Tensor) -> bool:
    # Under autocast the product is bf16's, which PyTorch gives to oneDNN anyway.
    return (values.device.type == 'cpu' and values.dtype is weight.dtype is torch.float32
            and values.dim() > 1 and values.numel() >= _FEWEST_ROWS * values.shape[-1]
            and _THERE and not torch.is_autocast_enabled('cpu'))


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`: the same weights under the same names."""

    def forward(self, values: Tensor) -> Tensor:
        """Return (..., O) of (..., I)."""
        return linear(values, self.weight, self.bias)
