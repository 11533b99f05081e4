# SPDX-License-Identifier: Apache-2.0
"""An update of LWD and an inference with the 300 M expert, on a GPU, in bf16.

The update is that of the actor's phase: critic, then the actor by QAM, 32 windows each, images of
three cameras among them. Its floating-point operations are counted (matrix products, attention,
convolutions), and held against the rate that the same chip reaches on one large matrix product.
An inference is the context and ten steps of the flow for one observation; the flow is also
captured as a CUDA graph. Without a GPU nothing is measured, and the line says so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.harness import quick, report
from lwd_data.replay.batch import Batch, Observations
from lwd_learner.algorithms.base import Feed, Phase
from lwd_learner.algorithms.lwd import Lwd, LwdConfig
from lwd_learner.engine import Engine, EngineConfig
from lwd_policy import flow
from lwd_policy.config import ACTION_DIM, LARGE, STATE_DIM, PolicyConfig
from lwd_policy.observation import Observation, from_replay
from lwd_policy.policy import FlowPolicy

BATCH = 32
ROUNDS = 5 if quick() else 30
WARM_UP = 3
_SQUARE = 8192
BARS = {'fraction_compiled': ('>=', 0.3), 'chunk_ms': ('<=', 50.0)}


def random_batch(policy: PolicyConfig, count: int, seed: int = 0) -> Batch:
    """Return windows of random numbers, and random images if the policy sees any."""
    rng = np.random.default_rng(seed)

    def seen() -> Observations:
        size = policy.image_size
        return Observations(
            rng.normal(0.0, 0.3, (count, STATE_DIM)).astype(np.float32),
            rng.normal(0.0, 0.3, (count, ACTION_DIM)).astype(np.float32),
            np.zeros((count, 0), np.float32),
            {name: rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
             for name in policy.cameras},
            np.zeros(count, np.int64))

    first = seen()
    walk = np.cumsum(rng.normal(0.0, 0.02, (count, policy.horizon, ACTION_DIM)), axis=1)
    zeros = np.zeros(count, np.int64)
    return Batch(
        observation=first, chunk=(first.sent[:, None] + walk).astype(np.float32),
        rewards=np.zeros((count, policy.horizon), np.float32),
        span=np.full(count, policy.horizon), end=zeros.astype(np.uint8),
        next_observation=seen(), to_end=zeros + 100, outcome=np.ones(count, np.uint8),
        source=np.full(count, 3, np.uint8), task=zeros, version=zeros,
        online=np.zeros(count, bool), episode=np.arange(count), step=zeros,
        instructions=('put the red can on the upper shelf',), tasks=('restock',), versions=('',))


def make_update(policy: PolicyConfig, engine: Engine, batch: Batch) -> Callable[[], object]:
    """Return what makes one update of LWD's actor phase."""
    algorithm = Lwd(LwdConfig(), policy, engine)
    algorithm.fit(batch)
    count = len(batch)
    phase = Phase('actor', 1000, {'all': Feed('all', count), 'states': Feed('all', count)})
    algorithm.begin(phase)
    step = iter(range(10**9))
    return lambda: algorithm.update(phase, next(step), {'all': batch, 'states': batch})


def seconds(engine: Engine, work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Return the median time of a piece of work, after it was warmed up."""
    def wait() -> None:
        if engine.device.type == 'cuda':
            torch.cuda.synchronize()

    found = []
    for number in range(WARM_UP + rounds):
        wait()
        began = time.perf_counter()
        work()
        wait()
        if number >= WARM_UP:
            found.append(time.perf_counter() - began)
    return float(np.median(found))


def matrix_rate(engine: Engine, size: int = _SQUARE) -> float:
    """Return floating-point operations a second of a large bf16 matrix product."""
    one, other = (torch.randn(size, size, device=engine.device, dtype=torch.bfloat16)
                  for _ in range(2))
    return 2.0 * size**3 / seconds(engine, lambda: one @ other)


def operations(update: Callable[[], object]) -> float:
    """Return how many floating-point operations an update takes."""
    with FlopCounterMode(display=False) as counter:
        update()
    return float(counter.get_total_flops())


def make_inference(
    policy: FlowPolicy, observation: Observation, engine: Engine, *, graph: bool,
) -> Callable[[], torch.Tensor]:
    """Return what infers one chunk, its flow as a CUDA graph if wanted."""
    noise = policy.noise(1)

    @torch.no_grad()
    def context() -> torch.Tensor:
        with engine.autocast():
            return policy.context(observation).float()

    given = context().clone()

    @torch.no_grad()
    def integrate() -> torch.Tensor:
        with engine.autocast():
            return flow.integrate(
                lambda a, w: policy.velocity(given, a, w).float(), noise, flow.STEPS)

    if not graph:
        def infer() -> torch.Tensor:
            given.copy_(context())
            return integrate()
        return infer
    beside: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(WARM_UP):
            integrate()
    torch.cuda.current_stream().wait_stream(beside)
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        found = integrate()

    def replay() -> torch.Tensor:
        given.copy_(context())
        captured.replay()
        return found
    return replay


def measure(policy: PolicyConfig, config: EngineConfig) -> dict[str, float]:
    """Return the figures of a policy on a device."""
    metrics: dict[str, float] = {}
    engine = Engine(config)
    batch = random_batch(policy, BATCH)
    rate = matrix_rate(engine)
    plain = make_update(policy, engine, batch)
    count = operations(plain)
    metrics |= {'matrix_tflops': rate / 1e12, 'update_tflop': count / 1e12}
    for name, compiled in (('eager', False), ('compiled', True)):
        where = Engine(replace(config, compile=compiled))
        took = seconds(where, make_update(policy, where, batch) if compiled else plain)
        metrics |= {f'update_ms_{name}': 1e3 * took, f'fraction_{name}': count / took / rate}
    network = FlowPolicy(policy).to(engine.device).eval()
    seen = from_replay(random_batch(policy, 1).observation, batch.instructions).to(engine.device)
    for name, graph in (('chunk_ms_eager', False), ('chunk_ms', True)):
        metrics[name] = 1e3 * seconds(
            engine, make_inference(network, seen, engine, graph=graph))
    metrics['expert_million'] = sum(one.numel() for one in network.expert.parameters()) / 1e6
    return metrics


def main() -> int:
    """Run the benchmark."""
    if not torch.cuda.is_available():
        why = 'no GPU: PyTorch sees none here'
        return report('learner_gpu', {}, BARS, unmeasured=dict.fromkeys(BARS, why))
    return report('learner_gpu', measure(LARGE, EngineConfig(device='cuda', precision='bf16')),
                  BARS)


if __name__ == '__main__':
    sys.exit(main())
