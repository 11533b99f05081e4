# SPDX-License-Identifier: Apache-2.0
"""Pack a pair of shoes into their box, close its lid and slide the box onto its mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from g1_sim.items import COLOURS
from g1_sim.parts.carton import OPEN, Carton, add_carton
from g1_sim.parts.counter import add_counter, add_mark, standing, start_posture
from g1_sim.parts.shoe import Shoe, add_shoe
from g1_sim.postures import inward_from_above
from g1_sim.scene import Distribution, Phrasing, Scene, draw_room
from g1_sim.tasks.base import Judge, Phrases
from g1_sim.tasks.stages import Stage, StagedJudge
from g1_sim.world import World

Array = NDArray[np.float64]

SIDES = ('left', 'right')
PHRASES = (
    'pack the {colour} shoes, the {first} one first, close the box and slide it onto the mark',
    'put the {first} {colour} shoe and then the other one in the box, close it and slide it onto '
    'the mark',
    'box the {colour} shoes starting with the {first} one, shut the lid, push the box to the mark',
    'first the {first} {colour} shoe, then the other: pack them, close the lid, move the box to '
    'the mark',
)
HELD_OUT_PHRASES = (
    'the {colour} shoes go in their box, the {first} one before the other; bring the closed box '
    'to the mark',
    'begin with the {first} {colour} shoe, finish with the closed box on its mark',
)
CLOSED = np.deg2rad(4.0)
"""Below this angle the lid counts as closed, rad."""
NEAR_MARK = 0.02
"""So close to its mark, m, the box has arrived."""

_KEY = 4202
_HEAD_PITCH = 0.55
_CARDBOARD = (0.78, 0.62, 0.42, 1.0)
# A shoe counts as taken so far above the counter, m.
_LIFTED = 0.04
# Where a shoe's heel stands, m, y to its own side.
_HEEL_X, _HEEL_Y = (0.585, 0.635), (0.285, 0.315)
_DOWN = 0.75


class Shoebox:
    """Two shoes, a box with a hinged lid, and a mark; six subtasks."""

    name = 'shoebox'
    time_limit = 45.0
    subtasks: Sequence[str] = (
        'take the first shoe', 'pack the first shoe', 'take the second shoe',
        'pack the second shoe', 'close the lid', 'slide the box onto the mark')
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: a shoe on either side of the open box, one of them to go first."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0, _KEY])
        counter = rng.uniform(0.675, 0.700) + (rng.choice([-0.015, 0.015]) if shifted else 0.0)
        spec = draw_room(rng, shifted=shifted)
        top = add_counter(spec, counter)
        carton = Carton(
            name='box', lid='lid', half_x=rng.uniform(0.108, 0.112),
            half_y=rng.uniform(0.112, 0.118), height=rng.uniform(0.072, 0.077),
            mass=rng.uniform(0.5, 0.7) if shifted else rng.uniform(0.35, 0.5),
            hinge_friction=rng.uniform(0.06, 0.10) if shifted else rng.uniform(0.02, 0.06),
            friction=rng.uniform(0.35, 0.45) if shifted else rng.uniform(0.5, 0.7))
        box = np.array([rng.uniform(0.600, 0.615), rng.uniform(-0.008, 0.008)])
        turn = rng.uniform(-0.03, 0.03)
        mark = box + np.array([rng.uniform(0.04, 0.06), 0.0])
        add_mark(spec, 'mark', (*mark, counter), (carton.outer_x + 0.01, carton.outer_y + 0.01),
                 (0.15, 0.35, 0.75, 1.0))
        shade = rng.uniform(0.85, 1.1)
        add_carton(spec, carton, (*(shade * np.array(_CARDBOARD[:3])), 1.0))
        colour = str(rng.choice(list(COLOURS)))
        shoes = _shoes(rng, shifted=shifted)
        placements = {'box': standing(box[0], box[1], counter, turn)}
        for side, shoe in enumerate(shoes):
            add_shoe(spec, shoe, COLOURS[colour])
            placements[shoe.name] = _place(rng, shoe, side, counter)
        first = int(rng.integers(2))
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(colour=colour, first=SIDES[first]), spec=spec,
            posture=start_posture(head=_HEAD_PITCH),
            placements=placements, keep_out=(top,),
            facts={'shoes': shoes, 'first': first, 'box': carton, 'mark': mark,
                   'start': box, 'counter': counter})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        first = world.scene.facts['first']
        progress: list[tuple[Callable[[World], float], bool]] = []
        for side in (first, 1 - first):
            progress.append((lambda w, side=side: taken(w, side), False))
            progress.append((lambda w, side=side: packed(w, side), True))
        progress += [(lid_closed, True), (arrived, True)]
        stages = [Stage(name, how, lasting)
                  for name, (how, lasting) in zip(self.subtasks, progress)]
        return StagedJudge(world, stages, time_limit=self.time_limit, lost=_lost)


def _shoes(rng: np.random.Generator, *, shifted: bool) -> tuple[Shoe, Shoe]:
    """Draw a pair of shoes, left and right, of one size."""
    length = rng.uniform(0.165, 0.175)
    width = rng.uniform(0.044, 0.052) if shifted else rng.uniform(0.046, 0.050)
    height, mass = rng.uniform(0.060, 0.064), rng.uniform(0.15, 0.25)
    friction = rng.uniform(0.4, 0.6) if shifted else rng.uniform(0.7, 0.9)
    left, right = (
        Shoe(f'{side}_shoe', length, width, height, mass, friction) for side in SIDES)
    return left, right


def _place(
    rng: np.random.Generator, shoe: Shoe, side: int, counter: float,
) -> tuple[Array, Array]:
    """Draw where a shoe stands: its heel within reach, its toe inwards."""
    heel = np.array([
        rng.uniform(*_HEEL_X), (1 - 2 * side) * rng.uniform(*_HEEL_Y), counter + 0.001])
    yaw = inward_from_above(heel + shoe.hold[2] * np.array([0.0, 0.0, 1.0]), _DOWN, side)
    yaw += rng.uniform(-0.1, 0.1)
    middle = heel - shoe.hold[0] * np.array([np.cos(yaw), np.sin(yaw), 0.0])
    return standing(middle[0], middle[1], counter, yaw)


def in_box(world: World, side: int) -> bool:
    """Whether a shoe lies within the walls of the box."""
    carton: Carton = world.scene.facts['box']
    turned = world.body_rotation(carton.name)
    x, y, z = turned.T @ (
        world.body_position(f'{SIDES[side]}_shoe') - world.body_position(carton.name))
    return bool(abs(x) < carton.half_x and abs(y) < carton.half_y and -0.01 < z < 0.03)


def taken(world: World, side: int) -> float:
    """1 while a shoe is held above the counter, 0.5 while it is touched."""
    name = f'{SIDES[side]}_shoe'
    if not world.touched_by_robot(name):
        return 0.0
    high = world.body_position(name)[2] > world.scene.facts['counter'] + _LIFTED
    return 1.0 if high else 0.5


def packed(world: World, side: int) -> float:
    """1 once a shoe lies in the box, let go of; 0.5 while it is held in there."""
    if not in_box(world, side):
        return 0.0
    return 0.5 if world.touched_by_robot(f'{SIDES[side]}_shoe') else 1.0


def lid_closed(world: World) -> float:
    """1 once the lid is closed, 0.5 from half way on."""
    angle = world.joint_position('lid')
    return 1.0 if angle < CLOSED else 0.5 if angle < OPEN / 2 else 0.0


def arrived(world: World) -> float:
    """1 once the box rests on its mark, let go of; 0.5 once it is half way there."""
    facts = world.scene.facts
    here = world.body_position('box')[:2]
    far = float(np.linalg.norm(here - facts['mark']))
    if far < NEAR_MARK and world.resting('box') and not world.touched_by_robot('box'):
        return 1.0
    return 0.5 if far < 0.5 * float(np.linalg.norm(facts['start'] - facts['mark'])) else 0.0


def _lost(world: World) -> str:
    for side in SIDES:
        if world.body_position(f'{side}_shoe')[2] < 0.3:
            return f'the {side} shoe fell to the floor'
    return 'the box fell to the floor' if world.body_position('box')[2] < 0.3 else ''
