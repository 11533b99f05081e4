# SPDX-License-Identifier: Apache-2.0
"""A simulated robot at real time, three cameras, recording, driven by the default policy.

Latency is from the stamp of the images that a chunk was inferred from to the arrival of the first
command that was played of it. A tick is starved if the policy was in control and had no action of
its own for it; between episodes, when the robot is reset, it is not. The weights are random: what
they cost does not depend on what they know.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray

from benchmarks.harness import quick, report
from g1_description.joints import HOME
from lwd_actor.policies import flow_file
from lwd_bringup.config import load_robot
from lwd_bringup.domains import free_domain
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_msgs.msg import ActionChunk, ControlStep, Tick
from lwd_policy.config import PolicyConfig
from lwd_policy.observation import single
from lwd_policy.policy import FlowPolicy
from lwd_policy.runtime import RuntimeConfig
from lwd_policy.store import card_of, save_policy
from lwd_ros.convert import to_ns
from lwd_ros.qos import RECORD

SECONDS = 30 if quick() else 600
WARM_UP = 5.0
PERIOD_MS = 1000.0 / 30.0
_ROUNDS = 30


def make_policy(folder: Path, config: PolicyConfig, *, scale: float) -> None:
    """Save a policy with random weights.

    Args:
        folder: Where to.
        config: Its sizes.
        scale: How far it moves the joints, rad.
    """
    torch.manual_seed(0)
    policy = FlowPolicy(config)
    # Slowly, as a trained one: less at higher frequencies.
    fall = scale / (1.0 + torch.arange(config.coefficients, dtype=torch.float32) ** 2)
    policy.actions.quantiles.scale.copy_(fall[:, None].expand(-1, 16))
    torch.nn.init.normal_(policy.expert.last.weight, std=0.02)
    save_policy(folder, policy, card_of(
        config, RuntimeConfig(), name='benchmark', algorithm='none', command='benchmarks.actor',
        seed=0))


def inference_ms(folder: Path, config: PolicyConfig) -> float:
    """Return the median time of an inference on one core, with nothing else of ours running."""
    torch.set_num_threads(1)
    policy = flow_file.load(folder)
    image = np.zeros((config.image_size, config.image_size, 3), np.uint8)
    seen = single(np.concatenate([HOME, np.zeros(4)]), HOME, 'put the bottle on the shelf',
                  images=dict.fromkeys(config.cameras, image))
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        policy.infer(seen, None)
        took.append(1e3 * (time.perf_counter() - began))
    return float(np.median(took))


def main() -> int:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = PolicyConfig(observation='cameras')
        make_policy(folder / 'policy', policy, scale=0.05)
        alone = inference_ms(folder / 'policy', policy)
        config = load_robot('sim_robot', {
            'policy': str(folder / 'policy'), 'domain': free_domain(), 'record': True,
            'spool': str(folder / 'spool'), 'recorder.auto': True})
        variables = environment(config)
        os.environ.update(variables)
        with Supervised(plan(config), folder, environment=variables).running():
            return _measure(alone, folder / 'spool')


def _measure(alone: float, spool: Path) -> int:
    rclpy.init()
    node = rclpy.create_node('meter', namespace='/g1_01')
    ticks: list[tuple[float, Tick]] = []
    steps: list[tuple[int, ControlStep]] = []
    chunks: dict[int, ActionChunk] = {}
    starved: list[int] = []

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.endswith('/policy'):
                starved.extend(
                    int(item.value) for item in status.values if item.key == 'starved ticks')

    def on_chunk(message: ActionChunk) -> None:
        chunks[message.chunk_id] = message

    node.create_subscription(
        Tick, 'tick', lambda message: ticks.append((time.monotonic(), message)), RECORD)
    node.create_subscription(
        ControlStep, 'control_step', lambda message: steps.append((time.time_ns(), message)),
        RECORD)
    node.create_subscription(ActionChunk, 'action_chunk', on_chunk, RECORD)
    node.create_subscription(DiagnosticArray, '/diagnostics', on_diagnostics, 10)
    until = time.monotonic() + 120.0
    while (not steps or steps[-1][1].source != ControlStep.SOURCE_POLICY) and (
            time.monotonic() < until):
        rclpy.spin_once(node, timeout_sec=0.1)
    settled = time.monotonic() + WARM_UP
    while time.monotonic() < settled:
        rclpy.spin_once(node, timeout_sec=0.1)
    ticks.clear()
    steps.clear()
    chunks.clear()
    before = starved[-1] if starved else 0
    ends = time.monotonic() + SECONDS
    while time.monotonic() < ends:
        rclpy.spin_once(node, timeout_sec=0.1)
    node.destroy_node()
    rclpy.try_shutdown()
    stamps = np.array([to_ns(message.joint_state_stamp) for _, message in ticks]) / 1e6
    arrivals = np.diff([moment / 1e6 for moment, _ in steps])
    latencies = _latencies(steps, chunks)
    seconds = [1e3 * chunk.inference_seconds for chunk in chunks.values()]
    commits = [float(chunk.committed) for chunk in chunks.values()]
    return report('actor', {
        'ticks': float(len(ticks)),
        'starved_ticks': float((starved[-1] if starved else np.nan) - before),
        'ticks_not_by_policy': float(sum(
            step.source != ControlStep.SOURCE_POLICY for _, step in steps)),
        'tick_jitter_ms_p99': float(np.percentile(np.abs(np.diff(stamps) - PERIOD_MS), 99)),
        'control_step_jitter_ms_p99': float(np.percentile(np.abs(arrivals - PERIOD_MS), 99)),
        'latency_ms_p50': float(np.median(latencies)),
        'latency_ms_p99': float(np.percentile(latencies, 99)),
        'chunks': float(len(chunks)),
        'committed_ticks_mean': float(np.mean(commits)),
        'inference_in_place_ms_p50': float(np.median(seconds)),
        'inference_in_place_ms_p99': float(np.percentile(seconds, 99)),
        'inference_alone_ms_p50': alone,
        'recorded_mb': sum(path.stat().st_size for path in spool.rglob('*.mcap*')) / 1e6,
    }, {'starved_ticks': ('==', 0.0), 'tick_jitter_ms_p99': ('<=', 5.0),
        'inference_alone_ms_p50': ('<=', 60.0)})


def _latencies(
    steps: list[tuple[int, ControlStep]], chunks: dict[int, ActionChunk],
) -> list[float]:
    """Return ms from each chunk's images to the arrival of its first command that was played."""
    images = {step.tick: min(map(to_ns, step.image_stamps), default=0) for _, step in steps}
    first: dict[int, int] = {}
    for moment, step in steps:
        first.setdefault(step.chunk_id, moment)
    return [
        (moment - images[chunks[number].first_tick]) / 1e6 for number, moment in first.items()
        if number in chunks and images.get(chunks[number].first_tick)]


if __name__ == '__main__':
    sys.exit(main())
