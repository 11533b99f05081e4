# SPDX-License-Identifier: Apache-2.0
"""`lwd expert`: a simulated G1 under ROS, driven by the scripted expert for some episodes."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rclpy
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from g1_driver.config import LOCKSTEP
from lwd_bringup import contact_sheet
from lwd_bringup.config import load_robot
from lwd_bringup.domains import free_domain
from lwd_bringup.nodes import environment, plan
from lwd_bringup.supervise import Supervised
from lwd_bringup.watch import EpisodeResult, EpisodeRunner


def run(
    folder: Path, *, episodes: int, seed: int, overrides: dict[str, Any], console: Console,
) -> dict[str, Any]:
    """Run the episodes and return its summary, which is also written to the folder.

    Args:
        folder: Where pictures, logs and the summary go.
        episodes: How many.
        seed: Of the first episode's scene.
        overrides: Settings that replace those of sim_robot.
        console: Where to show progress.

    Raises:
        BringupError: The robot does not come up or falls silent.
    """
    config = load_robot('sim_robot', {
        'expert': True, 'driver.mode': 'lockstep', 'domain': free_domain(), **overrides})
    variables = environment(config)
    os.environ.update(variables)
    supervised = Supervised(
        plan(config), folder, environment=variables, log_level=config.log_level)
    results: list[EpisodeResult] = []
    cameras = config.driver.cameras.names
    with supervised.running():
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        runner = EpisodeRunner(
            '/' + config.robot, cameras, lockstep=config.driver.mode == LOCKSTEP)
        try:
            with console.status('starting the robot'):
                runner.wait_ready(commanded=config.expert, watched=config.operator)
            with Progress(
                TextColumn('{task.description}'), BarColumn(),
                TextColumn('{task.completed}/{task.total} episodes, {task.fields[done]} done'),
                TextColumn('step {task.fields[step]}'), TimeElapsedColumn(), console=console,
            ) as bar:
                shown = bar.add_task(config.driver.sim.task, total=episodes, done=0, step=0)
                for i in range(episodes):
                    results.append(runner.run(
                        seed + i, lambda step: bar.update(shown, step=step)))
                    bar.update(shown, advance=1, done=sum(r.success for r in results))
            summary = _summary(runner, results, config.driver.sim.task)
        finally:
            runner.destroy_node()
            rclpy.try_shutdown()
    contact_sheet.draw(
        [contact_sheet.Strip(_label(result), result.frames) for result in results], cameras,
        folder / 'contact_sheet.png')
    (folder / 'summary.json').write_text(json.dumps(summary, indent=2) + '\n', encoding='utf-8')
    return summary


def _label(result: EpisodeResult) -> str:
    outcome = 'success' if result.success else 'failed'
    return (f'seed {result.seed}: {result.instruction}. {outcome} after '
            f'{result.robot_seconds:.1f} s ({result.detail})')


def _summary(
    runner: EpisodeRunner, results: list[EpisodeResult], task: str,
) -> dict[str, Any]:
    wall = sum(result.wall_seconds for result in results)
    steps = sum(result.steps for result in results)
    episodes = [
        {key: value for key, value in asdict(result).items() if key != 'frames'}
        for result in results]
    return {
        'task': task,
        'episodes': len(results),
        'successes': sum(result.success for result in results),
        'steps': steps,
        'steps_per_second': round(steps / wall, 1) if wall else 0.0,
        'mean_robot_seconds': round(
            sum(result.robot_seconds for result in results) / len(results), 2),
        'clipped_steps': sum(result.clipped_steps for result in results),
        'dropped': {
            'tick': runner.ticks.missing,
            'executed_command': runner.executed.missing,
            'control_step': runner.steps.missing,
            **{f'{name} image': count for name, count in runner.missing_images.items()}},
        'finished': time.strftime('%Y-%m-%dT%H:%M:%S%z'),
        'per_episode': episodes,
    }
