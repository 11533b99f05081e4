# SPDX-License-Identifier: Apache-2.0
"""QAM against its public reference in JAX: the speed of one full update, and the adjoints.

    git clone https://github.com/ColinQiyangLi/qam           # QAM_REPO: this checkout
    python -m venv qam-venv                                  # QAM_PYTHON: its bin/python
    qam-venv/bin/pip install jax==0.4.38 flax==0.10.2 optax==0.2.4 distrax ml_collections
    qam-venv/bin/pip install tensorflow-probability          # which needs that jax, or older
    QAM_REPO=... QAM_PYTHON=... make bench NAME=qam_reference

Both do the same work on the same processor: networks of 4 x 512, ten critics, batch 256, ten steps
of the flow, chunks of five actions. They take turns, so that what else the machine does meets
both. COMPILE=1 compiles this project's networks, too, as `engine.compile` does: JAX always does
so, torch needs a C++ compiler for it. Without the two variables this project is timed alone, and
the line says so.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.foreign import Foreign
from benchmarks.harness import quick, report
from benchmarks.qam.vectors import Sizes, VectorQam, random_batch
from lwd_policy.linear import linear

TURNS = 4 if quick() else 12
UPDATES = 3 if quick() else 8
"""In a turn."""
WARM_UP = 2
PRODUCTS = 200
COMPILED = os.environ.get('COMPILE', '') == '1'
_WORKER = Path(__file__).parent / 'qam' / 'jax_worker.py'
Took = tuple[float, float]
"""Seconds by the clock, and of all processors."""
BARS = {'ratio': ('>=', 1.0), 'adjoint_error': ('<=', 1e-4)}


def start_reference(python: str, repository: str, sizes: Sizes) -> Foreign:
    """Start the reference; its modules are those of the checkout."""
    return Foreign(
        [python, str(_WORKER), json.dumps(asdict(sizes))],
        'is QAM_PYTHON a Python with its requirements?', folder=repository,
        variables={**os.environ, 'PYTHONPATH': repository, 'JAX_PLATFORMS': 'cpu'})


def field(arrays: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the reference's velocity network as weights of `vectors.Field`."""
    found = {}
    for layer in range(_layers(arrays, f'modules_{name}/mlp')):
        at = f'modules_{name}/mlp/Dense_{layer}'
        found[f'net.{2 * layer}.weight'] = arrays[f'{at}/kernel'].T
        found[f'net.{2 * layer}.bias'] = arrays[f'{at}/bias']
    return found


def ensemble(arrays: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the reference's critics as weights of `vectors.Ensemble`."""
    found, at = {}, f'modules_{name}/value_net'
    for layer in range(_layers(arrays, at)):
        found[f'weights.{layer}'] = arrays[f'{at}/Dense_{layer}/kernel']
        found[f'biases.{layer}'] = arrays[f'{at}/Dense_{layer}/bias'][:, None]
        if f'{at}/LayerNorm_{layer}/scale' in arrays:
            found[f'scales.{layer}'] = arrays[f'{at}/LayerNorm_{layer}/scale'][:, None]
            found[f'shifts.{layer}'] = arrays[f'{at}/LayerNorm_{layer}/bias'][:, None]
    return found


def _layers(arrays: dict[str, Tensor], at: str) -> int:
    return sum(name.startswith(f'{at}/Dense_') and name.endswith('/kernel') for name in arrays)


def adjoint_error(reference: Foreign, sizes: Sizes) -> dict[str, float]:
    """Return how far paths and adjoints from the same weights and noise are apart."""
    with tempfile.TemporaryDirectory() as folder:
        file = f'{folder}/adjoints.npz'
        reference.ask(do='adjoints', to=file)
        with np.load(file) as content:
            arrays = {name: torch.from_numpy(content[name]) for name in content.files}
    ours = VectorQam(sizes)
    ours.load({
        'actor': field(arrays, 'actor_fast'), 'anchor': field(arrays, 'target_actor_slow'),
        'target': ensemble(arrays, 'target_critic')})
    rolled = ours.rollout(arrays['observation'], arrays['noise'], arrays['diffusion'])
    return {
        'adjoint_error': float((rolled.adjoints - arrays['adjoints']).abs().max()),
        'adjoint_size': float(arrays['adjoints'].abs().max()),
        'path_error': float((rolled.points - arrays['points']).abs().max())}


def timed(update: VectorQam, sizes: Sizes, count: int) -> list[Took]:
    """Return what each of so many updates of ours took."""
    batch, found = random_batch(sizes), []
    for _ in range(count):
        began = time.perf_counter(), time.process_time()
        update.update(batch)
        found.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    return found


def medians(name: str, took: list[Took]) -> dict[str, float]:
    """Return the medians of updates, ms."""
    clock, processor = np.median(np.array(took), axis=0) * 1e3
    return {f'{name}_ms': float(clock), f'{name}_processor_ms': float(processor)}


def products(sizes: Sizes) -> dict[str, float]:
    """Return what a product of a hidden layer takes, on one core, by oneDNN and by PyTorch, ms."""
    threads = torch.get_num_threads()
    width = sizes.hidden[0]
    rows, weight = torch.randn(sizes.batch, width), torch.randn(width, width)
    took: dict[str, list[float]] = {'product_ms': [], 'pytorch_product_ms': []}
    torch.set_num_threads(1)
    try:
        for _ in range(PRODUCTS):
            for name, multiply in (('product_ms', linear),
                                   ('pytorch_product_ms', torch.nn.functional.linear)):
                began = time.perf_counter()
                multiply(rows, weight)
                took[name].append(1e3 * (time.perf_counter() - began))
    finally:
        torch.set_num_threads(threads)
    return {name: float(np.median(found)) for name, found in took.items()}


def main() -> int:
    """Run the benchmark."""
    torch.manual_seed(0)
    sizes = Sizes()
    ours = VectorQam(sizes, compiled=COMPILED)
    timed(ours, sizes, WARM_UP)
    python, repository = os.environ.get('QAM_PYTHON', ''), os.environ.get('QAM_REPO', '')
    if not (python and Path(repository, 'agents', 'qam.py').is_file()):
        alone = {'compiled': float(COMPILED), **products(sizes),
                 **medians('ours', timed(ours, sizes, TURNS * UPDATES))}
        why = 'no reference: QAM_REPO and QAM_PYTHON name no checkout and Python of it'
        return report('qam_reference', alone, BARS, unmeasured=dict.fromkeys(BARS, why))
    reference = start_reference(python, str(Path(repository).absolute()), sizes)
    try:
        metrics = adjoint_error(reference, sizes)
        reference.ask(do='updates', count=WARM_UP)
        own: list[Took] = []
        theirs: list[Took] = []
        for _ in range(TURNS):
            own += timed(ours, sizes, UPDATES)
            theirs += reference.ask(do='updates', count=UPDATES)
    finally:
        reference.close()
    metrics |= {'compiled': float(COMPILED), **products(sizes)}
    metrics |= medians('ours', own) | medians('reference', theirs)
    for name, unit in (('ratio', 'ms'), ('processor_ratio', 'processor_ms')):
        metrics[name] = metrics[f'reference_{unit}'] / metrics[f'ours_{unit}']
    return report('qam_reference', metrics, BARS)


if __name__ == '__main__':
    sys.exit(main())
