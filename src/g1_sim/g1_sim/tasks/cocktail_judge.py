# SPDX-License-Identifier: Apache-2.0
"""What counts as done in a cocktail, seen from the world and from what was added up so far."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import PHYSICS_RATE
from g1_sim.parts.lid import seated
from g1_sim.parts.vessel import Pourable, mouth, pours, upright
from g1_sim.tasks.gauges import Gauge, GaugedJudge, Levels
from g1_sim.tasks.stages import Stage
from g1_sim.world import World

Array = NDArray[np.float64]

POUR_STEPS = 21
"""Control steps, 0.7 s, of pouring that fill what is poured into."""
SHAKE_TRAVEL = 0.30
"""Way up and down that shakes enough, m."""
_STEP = 8 / PHYSICS_RATE
_NEAR = 0.04
# How far off the middle of the cup a lid may sit, m.
_PLAY = 0.006


def closed(world: World) -> bool:
    """Whether the lid sits on the shaker's cup."""
    facts = world.scene.facts
    return seated(
        world, facts['lid'], mouth(world, facts['cup']), world.body_rotation('cup')[:, 2], _PLAY)


def stands(world: World, name: str, level: float) -> bool:
    """Whether a body stands upright on a level, m, by itself."""
    return bool(
        abs(world.body_position(name)[2] - level) < 0.01 and world.resting(name)
        and upright(world, name) and not world.touched_by_robot(name))


def near(world: World, name: str, spot: Array) -> bool:
    """Whether a body is within 40 mm of a spot, (2,) m."""
    return float(np.linalg.norm(world.body_position(name)[:2] - spot)) < _NEAR


def pours_into(world: World, source: Pourable, into: Pourable) -> bool:
    """Whether one vessel is held so that it pours into another, which is upright and open."""
    if not upright(world, into.name) or (into is world.scene.facts['cup'] and closed(world)):
        return False
    return pours(world, source, mouth(world, into), into.radius)


def hands_on(world: World, name: str) -> set[str]:
    """Return which hands touch a body: 'l', 'r', both or none."""
    model, body = world.model, world.bodies[name]
    pairs = model.geom_bodyid[world.data.contact.geom[:world.data.ncon]]
    touching = set(pairs[np.any(pairs == body, axis=1)].ravel().tolist())
    return {side for side in 'lr' for finger in ('outer', 'inner')
            if model.body(f'gripper_{side}_{finger}_link').id in touching}


def cocktail_judge(
    world: World, subtasks: Sequence[str], time_limit: float,
) -> GaugedJudge:
    """Return the judge of an episode.

    Args:
        world: A world of Cocktail.
        subtasks: The names of the eight subtasks, in order.
        time_limit: s.
    """
    facts: dict[str, Any] = dict(world.scene.facts)
    bottles, cup, glass = facts['bottles'], facts['cup'], facts['glass']
    counter, board = facts['counter'], facts['board']
    first, second = facts['order']
    third = next(name for name in bottles if name not in facts['order'])

    def pouring(source: Pourable, into: Pourable) -> Gauge:
        stages = {first: subtasks[1], second: subtasks[2], 'cup': subtasks[6]}
        return Gauge(lambda w: float(pours_into(w, source, into)), stages.get(source.name, ''))

    def shaking(w: World) -> float:
        if not closed(w) or w.body_position('cup')[2] < counter + 0.02:
            return 0.0
        speed = w.data.qvel[w.model.joint('cup').dofadr[0] + 2]
        return _STEP * abs(float(speed)) if hands_on(w, 'cup') else 0.0

    gauges = {name: pouring(bottle, cup) for name, bottle in bottles.items()}
    gauges['glass'] = pouring(cup, glass)
    gauges['shake'] = Gauge(shaking, subtasks[4])
    gauges['handed'] = Gauge(lambda w: float(len(hands_on(w, 'glass')) == 2), subtasks[7])
    levels = Levels(list(gauges))

    def half_and_half(before: bool, after: bool) -> float:
        return 0.5 * before + 0.5 * (before and after)

    def poured(name: str, source: str, level: float) -> Stage:
        title = {first: subtasks[1], second: subtasks[2], 'glass': subtasks[6]}[name]
        return Stage(title, lambda w: half_and_half(
            levels[name] >= POUR_STEPS, stands(w, source, level)), lasting=False)

    def on_work_spot(w: World) -> bool:
        return stands(w, 'cup', counter) and near(w, 'cup', facts['work'][:2])

    def lid_on(w: World) -> float:
        return half_and_half(closed(w), bool(
            upright(w, 'cup') and not hands_on(w, 'lid')))

    def shaken(_: World) -> float:
        return half_and_half(
            levels['shake'] >= 0.5 * SHAKE_TRAVEL, levels['shake'] >= SHAKE_TRAVEL)

    def lid_off(w: World) -> float:
        away = np.linalg.norm(w.body_position('lid') - w.body_position('cup')) > 0.12
        level = counter if w.body_position('lid')[2] < counter + 0.05 else board
        return half_and_half(bool(away), stands(w, 'lid', level))

    def served(w: World) -> float:
        return half_and_half(levels['handed'] >= 3.0, stands(w, 'glass', counter)
                             and near(w, 'glass', facts['coaster'][:2]))

    def lost(w: World) -> str:
        for name in w.bodies:
            if name != third and w.body_position(name)[2] < 0.3:
                return f'the {name} fell to the floor'
        return 'the wrong bottle was poured' if levels[third] >= POUR_STEPS else ''

    return GaugedJudge(world, (
        Stage(subtasks[0], lambda w: float(on_work_spot(w)), lasting=False),
        poured(first, first, board), poured(second, second, board),
        Stage(subtasks[3], lid_on, lasting=False),
        Stage(subtasks[4], shaken, lasting=False),
        Stage(subtasks[5], lid_off, lasting=False),
        poured('glass', 'cup', counter),
        Stage(subtasks[7], served)), gauges, levels, time_limit=time_limit, lost=lost)
