# SPDX-License-Identifier: Apache-2.0
"""Size and CPU time of weight deltas after 50 AdamW updates, of weights in bf16 and in f32."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import numpy as np
import torch
import zstandard

from benchmarks.harness import quick, report
from lwd_policy.delta import encode, read_header
from lwd_policy.delta_decode import decode
from lwd_policy.weights_file import bits

WIDTH = 512
LAYERS = 1 if quick() else 8  # of a transformer: 3.1 million parameters each
UPDATES = 50
RATE = 2e-5
DECAY = 0.01
BETAS = (0.9, 0.999)
# Mean of a gradient over batches, in standard deviations of one batch's: small, as when much is
# learned already and noise is most of a step.
SIGNAL = 0.1
ARCHITECTURE = {'width': WIDTH, 'layers': LAYERS}


def shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of a transformer's weights by name."""
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(LAYERS):
        for name, rows, columns in (
                ('attention.in', 3 * WIDTH, WIDTH), ('attention.out', WIDTH, WIDTH),
                ('mlp.in', 4 * WIDTH, WIDTH), ('mlp.out', WIDTH, 4 * WIDTH)):
            found[f'layers.{layer}.{name}.weight'] = (rows, columns)
            found[f'layers.{layer}.{name}.bias'] = (rows,)
        for name in ('norm1', 'norm2'):
            found[f'layers.{layer}.{name}.weight'] = (WIDTH,)
            found[f'layers.{layer}.{name}.bias'] = (WIDTH,)
    return found


def trained(
    shape: tuple[int, ...], name: str, generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return f32 master weights of a shape before and after the updates.

    AdamW in the midst of training: its moments begin where they hover for gradients
    g = SIGNAL * d + n, with d fixed and n anew at each update, both standard normal. The scale of
    g cancels.
    """
    def normal() -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    if len(shape) == 2:
        # Variance 1 / fan-in keeps that of the activations.
        weight = normal() / shape[1] ** 0.5
    else:
        weight = (1.0 if 'norm' in name and name.endswith('weight') else 0.0) + 0.02 * normal()
    before = weight.clone()
    direction = SIGNAL * normal()
    first = direction + ((1 - BETAS[0]) / (1 + BETAS[0])) ** 0.5 * normal()
    second = 1 + direction.square()
    for _ in range(UPDATES):
        gradient = direction + normal()
        first.lerp_(gradient, 1 - BETAS[0])
        second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        weight.mul_(1 - RATE * DECAY).addcdiv_(first, second.sqrt(), value=-RATE)
    return before, weight


def xor_size(base: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor]) -> int:
    """Return the bytes of the plain way: XOR, bytes grouped by significance, zstd."""
    size = 0
    for name in new:
        changed = bits(new[name]) ^ bits(base[name])
        planes = np.ascontiguousarray(changed.view(np.uint8).reshape(-1, changed.itemsize).T)
        size += len(zstandard.ZstdCompressor(level=1).compress(planes.data))
    return size


def measure(
    base: Mapping[str, torch.Tensor], new: Mapping[str, torch.Tensor],
) -> dict[str, float]:
    """Return the figures of one delta; fails if it does not come back bit for bit."""
    size = sum(tensor.nbytes for tensor in new.values())
    began = time.process_time()
    data = encode(base, new, architecture=ARCHITECTURE)
    encoded = time.process_time()
    found = decode(base, data)
    decoded = time.process_time()
    differ = sum(int((bits(base[name]) != bits(new[name])).sum()) for name in new)
    return {
        'size_fraction': len(data) / size,
        'xor_size_fraction': xor_size(base, new) / size,
        'full_size_fraction': len(encode(None, new, architecture=ARCHITECTURE)) / size,
        'differing_share': differ / sum(tensor.numel() for tensor in new.values()),
        'encode_s_per_100MB': (encoded - began) / (size / 1e8),
        'decode_s_per_100MB': (decoded - encoded) / (size / 1e8),
        'is_delta': float(read_header(data).kind == 'delta'),
        'exact': float(all((bits(found[name]) == bits(new[name])).all() for name in new)),
    }


def main() -> int:
    """Run the benchmark."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    before: dict[str, torch.Tensor] = {}
    after: dict[str, torch.Tensor] = {}
    for name, shape in shapes().items():
        before[name], after[name] = trained(shape, name, generator)
    metrics = measure(
        {name: tensor.bfloat16() for name, tensor in before.items()},
        {name: tensor.bfloat16() for name, tensor in after.items()})
    metrics |= {f'{key}_f32': value for key, value in measure(before, after).items()}
    metrics['parameters'] = float(sum(tensor.numel() for tensor in after.values()))
    return report('delta', metrics, {
        'size_fraction': ('<=', 0.25), 'exact': ('==', 1.0), 'exact_f32': ('==', 1.0)})


if __name__ == '__main__':
    sys.exit(main())
