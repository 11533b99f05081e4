# SPDX-License-Identifier: Apache-2.0
"""Tests a trained cell: its policy on held-out scenes, its critic on chunks of one state."""

from __future__ import annotations

import time
from dataclasses import asdict

from g1_sim.seeds import seeds
from lwd_policy.store import CRITIC, POLICY, load_critic
from lwd_rollout.branching import BranchPlan, file_of, keep, kept
from lwd_rollout.policy_controller import from_folder
from lwd_rollout.ranking import judged
from lwd_rollout.runner import Setting, run_episode
from lwd_rollout.table.estimate import Spent, note
from lwd_rollout.table.graph import Job
from lwd_rollout.table.layout import Layout
from lwd_rollout.table.lines import Lines
from lwd_rollout.table.methods import METHODS, REFERENCE
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


def branch_plan(layout: Layout, seed: int) -> BranchPlan:
    """Return which states of the reference of a seed all its critics are asked about."""
    protocol, asked = layout.protocol, layout.protocol.branching
    return BranchPlan(
        layout.cell(REFERENCE, seed) / POLICY, protocol.task_names,
        protocol.testing.distribution, asked.states, asked.chunks, asked.continuations)


def branch(layout: Layout, job: Job) -> Spent:
    """Branch the reference's episodes: what is not there yet."""
    plan, folder = branch_plan(layout, job.seed), layout.branched(job.seed)
    spent: Spent = {}
    for task, scene in plan.scenes:
        if file_of(folder, task, scene).is_file():
            continue
        began = time.monotonic()
        keep(plan, task, scene, folder)
        note(spent, f'episodes {task}', plan.chunks * plan.continuations,
             time.monotonic() - began)
    layout.write(layout.branches(REFERENCE, job.seed), {'states': len(kept(plan, folder))})
    return spent


def judge(layout: Layout, job: Job) -> Spent:
    """Ask a cell's critic about the chunks of the reference's states.

    Raises:
        RolloutError: A state is damaged.
        PolicyError: The critic cannot be used.
    """
    value = of_cell(layout.protocol, METHODS[job.method], job.seed).lwd.value.divl
    states = kept(branch_plan(layout, job.seed), layout.branched(job.seed))
    critic = load_critic(layout.cell(job.method, job.seed) / CRITIC)
    layout.write(layout.branches(job.method, job.seed), {
        'method': job.method, 'seed': job.seed,
        'branches': [asdict(one) for one in judged(states, critic, (value.low, value.high))]})
    return {}
