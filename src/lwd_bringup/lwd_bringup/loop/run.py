# SPDX-License-Identifier: Apache-2.0
"""The whole of a run: deploy and learn, evaluate the first and the last policy, sum up.

In its folder: plan.json (it resumes from what else is there), evaluation/ (first.json, last.json,
filmstrips), pool/ (offline episodes), what lwd_bringup.fleet_config lists, timeline.jsonl (what
was known of the fleet, every few seconds), versions.jsonl, logs/, summary.json, report.html.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from lwd_bringup import run_folder
from lwd_bringup.config import load
from lwd_bringup.domains import claim_nodes
from lwd_bringup.errors import BringupError
from lwd_bringup.fleet_config import RUN, SPOOL, STORE, FleetBringup, robots
from lwd_bringup.loop import history, report, versions
from lwd_bringup.loop.audit import Audit, audit
from lwd_bringup.loop.cameras import FleetCameras
from lwd_bringup.loop.comparison import Result, compare, evaluated
from lwd_bringup.loop.folder import EVALUATION, SUMMARY, TIMELINE
from lwd_bringup.loop.history import History
from lwd_bringup.loop.monitor import Monitor
from lwd_bringup.loop.plan import LoopPlan
from lwd_bringup.loop.state import quantile
from lwd_bringup.loop.terminal import render
from lwd_bringup.loop.timeline import Timeline, time_spent
from lwd_bringup.loop.web import PORT, serve
from lwd_bringup.loop.web_state import Shown
from lwd_bringup.nodes import environment, plan
from lwd_bringup.prepare import prepare
from lwd_bringup.supervise import Supervised
from lwd_policy.published import Published
from lwd_rollout.pool_make import make
from lwd_rollout.pool_plan import PoolPlan
from lwd_ros.signals import signals_held

_POOL = 'pool'
_KEEP_SECONDS = 5.0
_POOL_SEEDS = 10_000_000
"""Of the run's pool, within the split: others than the default policy was trained on."""
_LISTEN_SECONDS = 0.05
_PATIENCE_SECONDS = 60.0
"""For a node that ends again and again, until the run is given up."""


def run(
    folder: Path, loop: LoopPlan, *, domain: int, console: Console,
    port: int | socket.socket = PORT,
) -> dict[str, Any]:
    """Run the loop, or what is left of it; returns the summary, which is also in the folder.

    Args:
        folder: Of the run; its plan is in it.
        loop: The plan.
        domain: ROS_DOMAIN_ID of the fleet.
        console: Where to show what happens.
        port: Of the web page, on this machine only; 0 for any that is free. Or what
            `lwd_bringup.loop.web.listening` returned.

    Raises:
        BringupError: Something is missing, a node does not come up, the port is in use, or
            another process runs what is in the folder.
    """
    shown, cameras = Shown(), FleetCameras()
    with run_folder.held(folder), serve(shown, port, cameras) as page:
        console.print(f'in the browser: {page.url}', highlight=False)
        return _run(folder, loop, fleet(folder, loop, domain), console, shown, cameras)


def _run(
    folder: Path, loop: LoopPlan, config: FleetBringup, console: Console, shown: Shown,
    cameras: FleetCameras,
) -> dict[str, Any]:
    versions.keep(folder)
    if loop.pool_hours > 0:
        with _bar(console) as progress:
            make(folder / _POOL, PoolPlan(
                hours=loop.pool_hours, tasks=loop.tasks,
                first_seed=_POOL_SEEDS + 100_000 * loop.seed),
                progress=lambda hours, what: progress(
                    'offline pool', min(100, round(100 * hours / loop.pool_hours)), 100, what))
    _deploy(folder, loop, config, console, shown, cameras)
    latest = Published(folder / RUN / 'published').latest()
    if latest is None:
        raise BringupError(f'the learner published nothing; see {folder}/logs/lwd.learner.log')
    with _bar(console) as progress:
        # Both behind the deployment: the fleet learns from the first minute on.
        first = _evaluate(folder, 'first', Path(loop.policy), loop, progress)
        last = _evaluate(folder, 'last', latest.folder, loop, progress)
    summary = _summary(
        loop, history.read(folder / TIMELINE), first, last, audit(folder / STORE, folder / SPOOL))
    (folder / SUMMARY).write_text(json.dumps(summary, indent=1) + '\n', encoding='utf-8')
    report.write(folder)
    return summary


def fleet(folder: Path, loop: LoopPlan, domain: int) -> FleetBringup:
    """Return the configuration of a run's fleet.

    Raises:
        BringupError: Settings that there are not, or that cannot be right together.
    """
    config = load('fleet', {
        'robots': loop.robots, 'folder': str(folder), 'domain': domain, 'policy': loop.policy,
        'pool': str(folder / _POOL) if loop.pool_hours > 0 else '',
        'robot.recorder.session.tasks': list(loop.tasks),
        'robot.recorder.session.first_seed': 100_000_000 + 10_000_000 * loop.seed,
        'learner.learner.train.seed': loop.seed,
        **loop.settings})
    if not isinstance(config, FleetBringup):
        raise BringupError('the configuration fleet is of no fleet')
    return config


@contextmanager
def _bar(console: Console) -> Iterator[Callable[[str, int, int, str], None]]:
    with Progress(
        TextColumn('{task.description}'), BarColumn(), TextColumn('{task.completed}/{task.total}'),
        TextColumn('{task.fields[what]}'), TimeElapsedColumn(), console=console,
    ) as bar:
        shown: dict[str, Any] = {}

        def progress(name: str, done: int, total: int, what: str) -> None:
            if name not in shown:
                shown[name] = bar.add_task(name, total=total, what='')
            bar.update(shown[name], completed=done, what=what)

        yield progress


def _evaluate(
    folder: Path, name: str, policy: Path, loop: LoopPlan,
    progress: Callable[[str, int, int, str], None],
) -> list[Result]:
    return evaluated(
        policy, folder / EVALUATION / f'{name}.json', tasks=loop.tasks, distribution='deploy',
        episodes=loop.episodes, split=loop.split, first_seed=loop.first_test_seed,
        progress=lambda done, total, what: progress(f'{name} policy', done, total, what))


def _deploy(
    folder: Path, loop: LoopPlan, config: FleetBringup, console: Console, shown: Shown,
    cameras: FleetCameras,
) -> None:
    """Let the fleet run for the time that is left."""
    before = time_spent(folder / TIMELINE)
    left = 60.0 * loop.minutes - before
    if left <= 0.0:
        return
    variables = environment(config)
    os.environ.update(variables)
    nodes = plan(config)
    with console.status('starting the fleet'):
        claim_nodes(config.domain, nodes)
        prepare(config)
    supervised = Supervised(nodes, folder, environment=variables, log_level=config.log_level)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    names = [robot.robot for robot in robots(config)]
    monitor = Monitor(names, folder / STORE)
    cameras.listen(monitor, names)
    executor = SingleThreadedExecutor()
    executor.add_node(monitor)
    try:
        with supervised.running(), Live(console=console, refresh_per_second=2) as live, \
                Timeline(folder / TIMELINE, before) as timeline:
            def show() -> None:
                live.update(render(monitor.fact, loop.minutes))
                shown.put(monitor.fact)

            def keep() -> None:
                try:
                    timeline.add(monitor.fact)
                except OSError as error:
                    # The fleet does without; what is not written now comes with a later line.
                    live.console.print(f'{folder / TIMELINE}: {error.strerror}')

            _watch(monitor, executor, supervised, show, keep, left)
    finally:
        monitor.destroy_node()
        rclpy.try_shutdown()


def _watch(
    monitor: Monitor, executor: SingleThreadedExecutor, supervised: Supervised,
    show: Callable[[], None], keep: Callable[[], None], left: float,
) -> None:
    shown = kept = checked = 0.0
    try:
        while monitor.seconds < left:
            with signals_held():
                executor.spin_once(timeout_sec=_LISTEN_SECONDS)
            now = monitor.seconds
            monitor.fact.seconds = now
            if now - shown >= 0.5:
                shown = now
                show()
            if now - checked >= 2.0:
                checked = now
                _check(supervised)
            if now - kept >= _KEEP_SECONDS:
                kept = now
                keep()
    finally:
        # Also when it is stopped: the seconds and episodes since the last line are not lost.
        keep()


def _check(supervised: Supervised) -> None:
    """Start again what has given up.

    Raises:
        BringupError: A node does not come up.
    """
    for name, seconds in supervised.heal().items():
        if seconds > _PATIENCE_SECONDS:
            raise BringupError(f'{name} does not start; see {supervised.folder}/logs/{name}.log')


def _summary(
    loop: LoopPlan, deployed: History, first: list[Result], last: list[Result], kept: Audit,
) -> dict[str, Any]:
    fact, up, down = deployed.fact, deployed.upward, deployed.downward
    swapped = sorted(moment for policy in fact.policies[1:]
                     for moment in policy.running.values())
    return {
        'plan': asdict(loop),
        'finished': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        'comparison': asdict(compare(first, last)),
        'episodes': len(fact.episodes),
        'successes': sum(each.label == 'success' for each in fact.episodes),
        'interventions': sum(robot.interventions for robot in fact.robots.values()),
        'control_steps': sum(robot.steps for robot in fact.robots.values()),
        'policies': len(fact.policies),
        'swaps': {name: robot.swaps for name, robot in fact.robots.items()},
        'first_swap_s': swapped[0] if swapped else None,
        'refused': {name: robot.refused for name, robot in fact.robots.items()},
        'segments_registered': kept.registered,
        'segments_waiting': len(kept.waiting),
        'segments_lost': len(kept.lost),
        'segments_doubled': len(kept.doubled),
        'not_sampleable': sum(each.sampleable < 0 for each in fact.episodes),
        'up_s': {'p50': quantile(up, 0.5), 'p99': quantile(up, 0.99)},
        'down_s': {'p50': quantile(down, 0.5), 'p99': quantile(down, 0.99)},
        'updates': fact.learner.update,
    }
