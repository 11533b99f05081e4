# SPDX-License-Identifier: Apache-2.0
"""The public reference as a process of its own: does what lines of JSON on its input ask for.

Started by `benchmarks.qam_reference` with the reference's Python and its checkout on the path;
imports nothing of this project. Requests: {"do": "adjoints", "to": FILE}, which writes weights,
noise, paths and adjoints, and {"do": "updates", "count": N}, answered by what each took, in
seconds: by the clock, and of all processors.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import jax
import numpy as np
from agents.qam import QAMAgent, get_config


def make_agent(sizes: dict[str, Any]) -> Any:
    """Return an agent of given sizes; its other settings are the reference's defaults."""
    config = get_config()
    config.horizon_length, config.action_chunking = sizes['chunk'], True
    config.flow_steps, config.num_qs = sizes['steps'], sizes['ensemble']
    config.batch_size = sizes['batch']
    config.actor_hidden_dims = config.value_hidden_dims = tuple(sizes['hidden'])
    return QAMAgent.create(
        0, np.zeros(sizes['observation'], np.float32),
        np.zeros(sizes['action'] // sizes['chunk'], np.float32), config)


def make_batch(sizes: dict[str, Any]) -> dict[str, Any]:
    """Return a batch of random numbers, as the reference's own sampler shapes it."""
    rng = np.random.default_rng(0)
    size, chunk = sizes['batch'], sizes['chunk']

    def normal(*shape: int) -> Any:
        return jax.numpy.asarray(rng.normal(size=(size, *shape)).astype(np.float32))

    ones = jax.numpy.ones((size, chunk))
    return {
        'observations': normal(sizes['observation']),
        'actions': normal(chunk, sizes['action'] // chunk).clip(-1.0, 1.0),
        'next_observations': normal(chunk, sizes['observation']), 'rewards': normal(chunk),
        'masks': ones, 'valid': ones}


def write_adjoints(agent: Any, batch: dict[str, Any], sizes: dict[str, Any], file: str) -> None:
    """Write what another implementation needs to come to the same adjoints, and these."""
    key = jax.random.PRNGKey(7)
    points, adjoints, _, _ = agent.adj_matching(batch['observations'], key)
    shape, keys = points.shape[1:], jax.random.split(key, sizes['steps'])
    found = {
        'observation': batch['observations'], 'points': points, 'adjoints': adjoints,
        'noise': jax.random.normal(key, shape),
        'diffusion': np.stack([jax.random.normal(one, shape) for one in keys])}
    for path, leaf in jax.tree_util.tree_flatten_with_path(agent.network.params)[0]:
        found['/'.join(str(part.key) for part in path)] = leaf
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in found.items()}
    np.savez(file, **arrays)


def main() -> int:
    """Serve until the input ends."""
    sizes = json.loads(sys.argv[1])
    agent, batch = make_agent(sizes), make_batch(sizes)
    for line in sys.stdin:
        request = json.loads(line)
        answer: Any = None
        if request['do'] == 'adjoints':
            write_adjoints(agent, batch, sizes, request['to'])
        else:
            answer = []
            for _ in range(request['count']):
                began = time.perf_counter(), time.process_time()
                agent, _ = agent.update(batch)
                jax.block_until_ready(agent.network.params)
                answer.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        sys.stdout.write(json.dumps({'answer': answer}) + '\n')
        sys.stdout.flush()
    return 0


if __name__ == '__main__':
    sys.exit(main())
