# SPDX-License-Identifier: Apache-2.0
"""Make juice: fill and run the juicer, pour a glass and serve it with the other hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from g1_description.mjcf import SCENE_CONTYPE
from g1_sim.parts.button import BUTTON_TRAVEL, add_button
from g1_sim.parts.counter import Layout, add_counter, add_mark, start_posture
from g1_sim.parts.lid import Lid, add_lid
from g1_sim.parts.pot import Pot, add_pot
from g1_sim.parts.vessel import add_vessel
from g1_sim.scene import Distribution, Phrasing, Scene, draw_room
from g1_sim.tasks.base import Judge, Phrases
from g1_sim.tasks.pouring import Pouring, PouringJudge
from g1_sim.tasks.serving import (
    TRAY_RADIUS,
    closed,
    fallen,
    filled_vessel,
    opened,
    pours_into_cup,
    served,
)
from g1_sim.tasks.stages import Stage
from g1_sim.world import World

Array = NDArray[np.float64]

PHRASES = (
    'make juice from the {first} and then the {second} and serve a glass on the {tray} tray',
    'put the {first}, then the {second} in the juicer, pour a glass and set it on the {tray} tray',
    'juice the {first} first and the {second} after it; bring a glass to the {tray} tray',
    'blend the {first} followed by the {second} and serve the glass on the {tray} tray',
)
HELD_OUT_PHRASES = (
    'a glass of juice on the {tray} tray please: first the {first}, then the {second}',
    'could you press the {first} and after that the {second} and serve me on the {tray} tray',
)
FRUITS = {
    'orange': (0.95, 0.50, 0.05, 1.0),
    'apple': (0.75, 0.08, 0.10, 1.0),
    'lime': (0.35, 0.65, 0.10, 1.0),
    'lemon': (0.95, 0.85, 0.15, 1.0),
    'plum': (0.40, 0.12, 0.45, 1.0),
}
TRAYS = {'blue': (0.15, 0.30, 0.75, 1.0), 'black': (0.10, 0.10, 0.12, 1.0),
         'pink': (0.90, 0.50, 0.60, 1.0)}
BUTTON_HEIGHT = 0.065

_CONSTANT = 4127
_JUICE = (0.95, 0.60, 0.10, 1.0)
_GLASS = (0.75, 0.88, 0.92, 1.0)
_UP = np.array([0.0, 0.0, 1.0])
_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


@dataclass(frozen=True)
class Fruit:
    """A ball: the body's origin is its centre."""

    name: str
    label: str
    radius: float
    """m."""
    friction: float

    grasp_height = 0.009
    """A hand holds it a little above its centre, to keep off the counter, m."""

    @property
    def height(self) -> float:
        """From its centre to its top, m."""
        return self.radius


class Juice:
    """Seven subtasks; the lead hand opens, closes, presses, pours, serves; the other one helps."""

    name = 'juice'
    time_limit = 75.0
    subtasks: Sequence[str] = (
        'opened', 'first fruit', 'second fruit', 'closed', 'pressed', 'poured', 'served')
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: which hand leads, which fruits, where all stands."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0, _CONSTANT])
        top = rng.uniform(0.68, 0.70) + (rng.choice([-0.018, 0.012]) if shifted else 0.0)
        friction = rng.uniform(0.45, 0.6) if shifted else rng.uniform(0.7, 0.9)
        spec = draw_room(rng, shifted=shifted)
        layout = Layout(int(rng.integers(2)), top)
        wood = (0.45, 0.40, 0.36, 1.0) if shifted else (0.72, 0.56, 0.38, 1.0)
        counter = add_counter(spec, top, rgba=wood)

        def spot(x: float, y: float, play: float = 0.012) -> Array:
            dx, dy = rng.uniform(-play, play, 2)
            return layout.spot(x + dx, y + dy)

        at = spot(0.70, 0.03, 0.006)
        pot = Pot((float(at[0]), float(at[1])), top, 0.060,
                  rng.uniform(0.104, 0.109) if shifted else rng.uniform(0.110, 0.116))
        add_pot(spec, 'juicer', pot, (0.86, 0.86, 0.84, 1.0))
        lid = Lid('lid', 0.056, 0.012, 0.072, 0.15, (0.25, 0.27, 0.30, 1.0), friction)
        add_lid(spec, lid)
        low, high = (0.0275, 0.0355) if shifted else (0.030, 0.034)
        jug = filled_vessel('jug', rng.uniform(low, high), rng.uniform(0.13, 0.14), 0.30,
                            friction, (0.88, 0.90, 0.90, 1.0), _JUICE)
        glass = filled_vessel('glass', rng.uniform(0.028, 0.031), rng.uniform(0.136, 0.144), 0.15,
                              friction, _GLASS, _GLASS)
        labels = [str(label) for label in rng.choice(list(FRUITS), size=2, replace=False)]
        low, high = (0.0245, 0.0310) if shifted else (0.027, 0.030)
        fruits = tuple(Fruit(f'fruit{i}', label, rng.uniform(low, high), friction)
                       for i, label in enumerate(labels))
        for vessel in (jug, glass):
            add_vessel(spec, vessel)
        for fruit in fruits:
            _add_fruit(spec, fruit)
        places = [spot(0.54, -0.15), spot(0.60, -0.28)]
        if rng.integers(2):
            places.reverse()
        button, mat, tray = spot(0.72, 0.16, 0.008), spot(0.64, 0.25), spot(0.55, 0.15)
        add_button(spec, 'button', button, BUTTON_HEIGHT, (0.80, 0.10, 0.10, 1.0))
        colour = str(rng.choice(list(TRAYS)))
        add_mark(spec, 'mat', mat, 0.08, (0.80, 0.78, 0.70, 1.0))
        add_mark(spec, 'tray', tray, TRAY_RADIUS, TRAYS[colour])
        placements = {
            'lid': (lid.seat(pot.rim) + 0.0005 * _UP, _IDENTITY),
            'jug': (spot(0.55, 0.0, 0.008) + 0.001 * _UP, _IDENTITY),
            'glass': (spot(0.68, -0.21) + 0.001 * _UP, _IDENTITY),
            **{fruit.name: (place + (fruit.radius + 0.0005) * _UP, _IDENTITY)
               for fruit, place in zip(fruits, places)}}
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(first=labels[0], second=labels[1], tray=colour),
            spec=spec, posture=start_posture(), placements=placements, keep_out=(counter,),
            facts={'layout': layout, 'pot': pot, 'lid': lid, 'jug': jug, 'cup': glass,
                   'fruits': fruits, 'mat': mat, 'tray': tray, 'button': button,
                   'friction': friction})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        stages = (
            Stage('opened', opened, lasting=False),
            Stage('first fruit', lambda world: filled(world, 0)),
            Stage('second fruit', lambda world: filled(world, 1)),
            Stage('closed', closed),
            Stage('pressed', pressed, lasting=False),
            Stage('poured', Pouring(lambda world: pours_into_cup(world, world.scene.facts['jug'])),
                  lasting=False),
            Stage('served', served))
        return PouringJudge(world, stages, time_limit=self.time_limit, lost=fallen)


def filled(world: World, which: int) -> float:
    """Fruit: 1 if it lies in the pot, 0.5 if it is lifted."""
    facts = world.scene.facts
    at, fruit = world.body_position(f'fruit{which}'), facts['fruits'][which]
    if facts['pot'].holds(at):
        return 1.0
    return 0.5 if at[2] > facts['pot'].floor + fruit.radius + 0.03 else 0.0


def pressed(world: World) -> float:
    """Button: 1 if it is pushed in by 80 percent, 0.5 by 40."""
    part = -world.joint_position('button') / BUTTON_TRAVEL
    return 1.0 if part > 0.8 else 0.5 if part > 0.4 else 0.0


def _add_fruit(spec: mujoco.MjSpec, fruit: Fruit) -> None:
    body = spec.worldbody.add_body(name=fruit.name)
    body.add_freejoint(name=fruit.name)
    # Rolls no farther than a fruit does: friction against rolling too.
    body.add_geom(
        name=fruit.name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(fruit.radius, 0, 0), mass=0.12,
        rgba=FRUITS[fruit.label], contype=SCENE_CONTYPE, conaffinity=3, condim=6,
        friction=(fruit.friction, 0.01, 0.003))
