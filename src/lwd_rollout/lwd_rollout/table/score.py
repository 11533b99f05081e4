# SPDX-License-Identifier: Apache-2.0
"""Tests a trained cell: its policy on held-out scenes, its critic on branches of one state."""

from __future__ import annotations

import time
from dataclasses import asdict

from g1_sim.seeds import seeds
from lwd_policy.store import CRITIC, POLICY
from lwd_rollout.branching import BranchPlan, branches_of
from lwd_rollout.policy_controller import from_folder
from lwd_rollout.runner import Setting, run_episode
from lwd_rollout.table.estimate import Spent, note
from lwd_rollout.table.graph import Job
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.lines import Lines
from lwd_rollout.table.methods import METHODS
from lwd_rollout.table.rounds import row_of
from lwd_rollout.table.settings import of_cell


def score(layout: Layout, job: Job) -> Spent:
    """Run the test episodes of a cell on one task, or do nothing if they are there.

    Raises:
        RolloutError: The policy, or the critic that chooses for it, cannot be used.
    """
    file = layout.scores(job.method, job.seed, job.task, job.noise, job.best_of)
    if layout.read(file) is not None:
        return {}
    protocol, test = layout.protocol, layout.protocol.testing
    critic = None
    if job.best_of > 1:
        critic = layout.cell(METHODS[job.method].judge, job.seed) / CRITIC
    setting = Setting(job.task, test.distribution, cameras=protocol.cameras,
                      image_size=protocol.train.policy.image_size)
    lines = Lines(file.with_suffix('.jsonl'))
    done, began = len(lines.rows), time.monotonic()
    scenes = seeds(test.split, test.first_seed, test.episodes)
    for scene in scenes[done:]:
        make = from_folder(
            layout.cell(job.method, job.seed) / POLICY, scene, noise=job.noise,
            best_of=job.best_of, critic=critic)
        lines.add(row_of(run_episode(setting, scene, make)))
    layout.write(file, {
        'method': job.method, 'seed': job.seed, 'task': job.task, 'noise': job.noise,
        'best_of': job.best_of, 'episodes': lines.rows})
    lines.remove()
    return {f'episodes {job.task}': [len(scenes) - done, time.monotonic() - began]}


def branch(layout: Layout, job: Job) -> Spent:
    """Branch the reference's episodes, and ask a cell's critic about each chunk.

    All critics of a seed are asked about the same states and chunks: those of the reference.
    """
    file = layout.branches(job.method, job.seed)
    if layout.read(file) is not None:
        return {}
    protocol, asked = layout.protocol, layout.protocol.branching
    value = of_cell(protocol, METHODS[job.method], job.seed).lwd.value.divl
    plan = BranchPlan(
        layout.cell('sft', job.seed) / POLICY, layout.cell(job.method, job.seed) / CRITIC,
        protocol.task_names, protocol.testing.distribution, asked.states, asked.chunks,
        asked.continuations, value_range=(value.low, value.high))
    lines = Lines(file.with_suffix('.jsonl'))
    done = {(row['task'], row['seed']) for row in lines.rows}
    spent: Spent = {}
    for task in protocol.task_names:
        for scene in seeds(plan.split, plan.first_seed, plan.states):
            if (task, scene) in done:
                continue
            began = time.monotonic()
            found = branches_of(plan, task, scene)
            lines.add({'task': task, 'seed': scene, 'branches': [asdict(one) for one in found]})
            note(spent, f'episodes {task}', asked.chunks * asked.continuations,
                 time.monotonic() - began)
    layout.write(file, {
        'method': job.method, 'seed': job.seed,
        'branches': [one for row in lines.rows for one in row['branches']]})
    lines.remove()
    return spent
