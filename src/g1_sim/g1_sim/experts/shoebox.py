# SPDX-License-Identifier: Apache-2.0
"""The expert for shoebox: each hand packs its shoe, then both close and slide the box."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from g1_sim.experts.grasp import DOWN, UP
from g1_sim.experts.skills import Expert, Script, facing, together
from g1_sim.parts.carton import OPEN, Carton
from g1_sim.parts.shoe import Shoe
from g1_sim.postures import inward_above, inward_from_above
from g1_sim.tasks.shoebox import NEAR_MARK, in_box, lid_closed

Array = NDArray[np.float64]

# How far before a grasp a hand lines up, how high it lifts a shoe, and how far over the walls it
# carries it, m.
_BEFORE, _LIFT, _CLEAR = 0.10, 0.13, 0.025
# How steeply a hand points into the box, rad: at the near row, at the far row, over the wall.
_NEAR_DOWN, _FAR_DOWN, _OVER_DOWN = 0.70, 0.80, 0.60
# The rows of the shoes, from the middle of the box, m.
_ROW = 0.048
# A hand in the box is nearly in line with it, rad.
_ALONG = 1.50
# Opens so far to let go between the shoe and the wall.
_LET_GO = 0.30
# Where on the lid the hands push, m from its hinge and to the side; from a TCP to the lid, m,
# when a fist pushes with its side and when it presses with its tip.
_LID_REACH, _LID_Y, _THICK, _THIN = 0.15, 0.10, 0.030, 0.018
# How steeply the hands point on top of the lid, rad; s to fold it over.
_LID_DOWN, _FOLD = 0.60, 3.0
# How far before and behind the ends of the box the hands are to squeeze it, m: the arms give way.
_AWAY, _SQUEEZE = 0.05, 0.016
# From a fist's TCP to its tip, m.
_TIP = 0.023
_END_DOWN, _END_YAW = 0.65, 1.30
_ATTEMPTS = 3


def shoebox(expert: Expert) -> Script:
    """Pack the shoes in order, close the lid and slide the box, until all is done."""
    first = expert.world.scene.facts['first']
    if expert.flaws.wrong_item:
        first = 1 - first
    for _ in range(_ATTEMPTS):
        yield from together(_clear(expert, 0), _clear(expert, 1))
        yield from expert.steps(
            lambda: _take(expert, first), lambda: _pack(expert, first, _ROW, _FAR_DOWN),
            lambda: _take(expert, 1 - first),
            lambda: _pack(expert, 1 - first, -_ROW, _NEAR_DOWN),
            lambda: _close(expert), lambda: _slide(expert))
        if _done(expert):
            return


def _clear(expert: Expert, side: int) -> Script:
    """Let a hand that holds no shoe back off and rest."""
    if not _held(expert, side) and not expert.rests(side):
        yield from expert.grip(side, _LET_GO)
        yield from _away(expert, side)


def _done(expert: Expert) -> bool:
    return (in_box(expert.world, 0) and in_box(expert.world, 1)
            and lid_closed(expert.world) == 1.0 and _to_go(expert) < NEAR_MARK)


def _to_go(expert: Expert) -> float:
    far = expert.world.scene.facts['mark'] - expert.world.body_position('box')[:2]
    return float(np.linalg.norm(far))


def _hold(expert: Expert, side: int) -> Array:
    """Return where a shoe is to be held, (3,) m."""
    shoe: Shoe = expert.world.scene.facts['shoes'][side]
    return expert.world.body_position(shoe.name) + (
        expert.world.body_rotation(shoe.name) @ shoe.hold)


def _held(expert: Expert, side: int) -> bool:
    far = float(np.linalg.norm(expert.hand(side)[0] - _hold(expert, side)))
    return far < 0.03 and float(expert.command[7 + 8 * side]) > _LET_GO + 0.1


def _take(expert: Expert, side: int) -> Script:
    down = _FAR_DOWN if side == expert.world.scene.facts['first'] else _NEAR_DOWN
    shoe: Shoe = expert.world.scene.facts['shoes'][side]
    for _ in range(_ATTEMPTS):
        if in_box(expert.world, side) or _held(expert, side):
            return
        ahead = expert.world.body_rotation(shoe.name)[:, 0]
        yaw = float(np.arctan2(ahead[1], ahead[0]))
        rotation = facing(yaw, down)
        grasp = expert.grasp_at(_hold(expert, side), rotation)
        yield from expert.grip(side, 0.0)
        yield from expert.swing(side, grasp - _BEFORE * rotation[:, 2], rotation)
        yield from expert.move(side, grasp, rotation, speed=0.2)
        yield from expert.grip(side, 1.0)
        # The toe up, to pass over the wall.
        yield from expert.move(side, grasp + _LIFT * UP, facing(yaw, _OVER_DOWN),
                               yaw_weight=0.3, speed=0.25)
        if not _held(expert, side):
            yield from _away(expert, side)


def _spot(expert: Expert, side: int, row: float) -> tuple[Array, float]:
    """Return where a hand lets go of its shoe in a row of the box, (3,) m, and the box's yaw."""
    shoe: Shoe = expert.world.scene.facts['shoes'][side]
    box, turned = expert.world.body_position('box'), expert.world.body_rotation('box')
    sign = 1.0 if side == 0 else -1.0
    spot = box + turned @ np.array([row, -sign * shoe.hold[0], 0.009 + shoe.hold[2]])
    return expert.place_at(spot), float(np.arctan2(turned[1, 0], turned[0, 0]))


def _pack(expert: Expert, side: int, row: float, down: float) -> Script:
    if not _held(expert, side):
        return
    carton: Carton = expert.world.scene.facts['box']
    sign = 1.0 if side == 0 else -1.0
    if not in_box(expert.world, side):
        over = _spot(expert, side, row)[0] + (carton.height + _CLEAR) * UP
        yield from expert.swing(side, over, facing(
            inward_from_above(over, _OVER_DOWN, side), _OVER_DOWN))
    spot, turn = _spot(expert, side, row)
    rotation = facing(turn - sign * _ALONG, down)
    yield from expert.move(side, spot + 0.02 * UP, rotation, speed=0.2)
    yield from expert.move(side, spot, rotation, speed=0.1)
    yield from expert.grip(side, _LET_GO)
    yield from _away(expert, side)


def _away(expert: Expert, side: int) -> Script:
    """Open, back out along the hand and go to rest."""
    here, rotation = expert.hand(side)
    yield from expert.move(side, here - _BEFORE * rotation[:, 2], rotation, yaw_weight=0.3)
    yield from expert.rest(side)


def _close(expert: Expert) -> Script:
    """Reach behind the lid with both hands and fold it over."""
    for _ in range(_ATTEMPTS):
        if lid_closed(expert.world) == 1.0:
            return
        yield from together(expert.grip(0, 1.0), expert.grip(1, 1.0))
        yield from together(_fold(expert, 0), _fold(expert, 1))


def _fold(expert: Expert, side: int) -> Script:
    carton: Carton = expert.world.scene.facts['box']
    box, turned = expert.world.body_position('box'), expert.world.body_rotation('box')
    sign = 1.0 if side == 0 else -1.0

    def touching(angle: float, thick: float) -> Array:
        cosine, sine = np.cos(angle), np.sin(angle)
        return box + turned @ np.array([
            carton.outer_x - _LID_REACH * cosine + thick * sine, sign * _LID_Y,
            carton.height + _LID_REACH * sine + thick * cosine])

    start, end = touching(OPEN, _THICK + 0.02), touching(0.0, _THIN)
    beside = start + sign * np.array([0.0, 0.12, 0.0])
    yaw0 = inward_above(start, side)
    yaw1 = inward_from_above(end, _LID_DOWN, side)

    def path(part: float) -> tuple[Array, Array]:
        return (touching(OPEN * (1.0 - part), _THICK + part * (_THIN - _THICK)),
                facing(yaw0 + part * (yaw1 - yaw0), DOWN + part * (_LID_DOWN - DOWN)))

    yield from expert.swing(side, beside, facing(inward_above(beside, side), DOWN))
    yield from expert.move(side, start, facing(yaw0, DOWN), speed=0.25)
    yield from expert.trace(side, path, _FOLD)
    here, rotation = expert.hand(side)
    yield from expert.move(side, here + 0.08 * UP, rotation, yaw_weight=0.3)


def _slide(expert: Expert) -> Script:
    """Squeeze the box between both hands and move it to its mark."""
    for _ in range(_ATTEMPTS):
        if _to_go(expert) < NEAR_MARK / 2:
            break
        yield from together(expert.grip(0, 1.0), expert.grip(1, 1.0))
        yield from together(_squeeze(expert, 0), _squeeze(expert, 1))
        # The arms give way, so that the box lags: shift it until it is there.
        for _ in range(_ATTEMPTS):
            way = expert.world.scene.facts['mark'] - expert.world.body_position('box')[:2]
            if float(np.linalg.norm(way)) < NEAR_MARK / 3:
                break
            yield from together(_shift(expert, 0, way), _shift(expert, 1, way))
        yield from together(_release(expert, 0), _release(expert, 1))


def _at_end(expert: Expert, side: int, gap: float) -> tuple[Array, Array]:
    """Return a fist's pose so far, m, before an end of the box."""
    carton: Carton = expert.world.scene.facts['box']
    sign = 1.0 if side == 0 else -1.0
    box, turned = expert.world.body_position('box'), expert.world.body_rotation('box')
    out = carton.outer_y + gap + _TIP * np.cos(_END_DOWN)
    spot = box + turned @ np.array([0.0, sign * out, 0.75 * carton.height])
    return spot, facing(-sign * _END_YAW, _END_DOWN)


def _squeeze(expert: Expert, side: int) -> Script:
    spot, rotation = _at_end(expert, side, _AWAY)
    yield from expert.swing(side, spot + 0.06 * UP, rotation)
    yield from expert.move(side, spot, rotation, speed=0.15)
    spot, rotation = _at_end(expert, side, -_SQUEEZE)
    yield from expert.move(side, spot, rotation, speed=0.15, exact=False)


def _shift(expert: Expert, side: int, way: Array) -> Script:
    spot, rotation = _at_end(expert, side, -_SQUEEZE)
    goal = expert.place_at(spot + np.array([*way, 0.0]))
    yield from expert.move(side, goal, rotation, speed=0.08, exact=False)
    yield from expert.wait(8)


def _release(expert: Expert, side: int) -> Script:
    here, rotation = expert.hand(side)
    outwards = np.array([0.0, 1.0 if side == 0 else -1.0, 0.0])
    yield from expert.move(side, here + _AWAY * outwards, rotation, speed=0.2)
    yield from expert.rest(side)
