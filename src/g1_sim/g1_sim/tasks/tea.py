# SPDX-License-Identifier: Apache-2.0
"""Serve tea: leaves into the pot, lid on, pour a cup of the last brew and hand it over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from g1_sim.parts.counter import Layout, add_counter, add_mark, start_posture
from g1_sim.parts.lid import Lid, add_lid
from g1_sim.parts.pot import Pot, add_pot
from g1_sim.parts.vessel import add_vessel, pours
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
    'put {leaf} leaves in the pot, close it and serve a cup on the {tray} coaster',
    'make {leaf} tea: leaves, lid, then a cup from the pitcher on the {tray} coaster',
    'brew {leaf} tea and bring the guest a cup on the {tray} coaster',
    'prepare the {leaf} tea, cover the pot and set a full cup on the {tray} coaster',
)
HELD_OUT_PHRASES = (
    'the guest at the {tray} coaster would like a cup of {leaf} tea',
    'please serve {leaf} tea the Gongfu way, the cup goes on the {tray} coaster',
)
LEAVES = {'oolong': (0.35, 0.40, 0.20, 1.0), 'black': (0.22, 0.10, 0.06, 1.0),
          'green': (0.45, 0.62, 0.25, 1.0)}
COASTERS = {'bamboo': (0.80, 0.68, 0.35, 1.0), 'slate': (0.25, 0.28, 0.32, 1.0),
            'red': (0.75, 0.15, 0.12, 1.0)}

_CONSTANT = 4128
_TEA = (0.75, 0.45, 0.12, 1.0)
_CLAY = (0.55, 0.28, 0.18, 1.0)
_UP = np.array([0.0, 0.0, 1.0])
_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


class Tea:
    """Five subtasks; the leading hand opens, closes, pours and serves, the other one helps."""

    name = 'tea'
    time_limit = 75.0
    subtasks: Sequence[str] = ('opened', 'leaves in', 'closed', 'poured', 'served')
    phrases = Phrases(PHRASES, HELD_OUT_PHRASES)

    def scene(
        self, seed: int, distribution: Distribution = 'train', phrasing: Phrasing = 'train',
    ) -> Scene:
        """Draw a scene: which hand leads, which leaves, where all stands."""
        shifted = distribution == 'deploy'
        rng = np.random.default_rng([seed, 1 if shifted else 0, _CONSTANT])
        top = rng.uniform(0.68, 0.70) + (rng.choice([-0.018, 0.012]) if shifted else 0.0)
        friction = rng.uniform(0.45, 0.6) if shifted else rng.uniform(0.7, 0.9)
        spec = draw_room(rng, shifted=shifted)
        layout = Layout(int(rng.integers(2)), top)
        wood = (0.30, 0.20, 0.14, 1.0) if shifted else (0.60, 0.42, 0.26, 1.0)
        counter = add_counter(spec, top, rgba=wood)

        def spot(x: float, y: float, play: float = 0.010) -> Array:
            dx, dy = rng.uniform(-play, play, 2)
            return layout.spot(x + dx, y + dy)

        at = spot(0.70, 0.02, 0.006)
        pot = Pot((float(at[0]), float(at[1])), top, 0.050,
                  rng.uniform(0.074, 0.080) if shifted else rng.uniform(0.062, 0.070))
        add_pot(spec, 'pot', pot, _CLAY)
        lid = Lid('lid', 0.045, 0.012, 0.060, 0.15, _CLAY, friction)
        add_lid(spec, lid)
        low, high = (0.0275, 0.0345) if shifted else (0.030, 0.033)
        pitcher = filled_vessel('pitcher', rng.uniform(low, high), rng.uniform(0.128, 0.136), 0.28,
                                friction, (0.88, 0.90, 0.90, 1.0), _TEA)
        cup = filled_vessel('cup', rng.uniform(0.028, 0.031), rng.uniform(0.136, 0.144), 0.15,
                            friction, (0.92, 0.92, 0.95, 1.0), (0.85, 0.88, 0.92, 1.0))
        leaf = str(rng.choice(list(LEAVES)))
        caddy = filled_vessel('caddy', rng.uniform(0.024, 0.028), rng.uniform(0.09, 0.10), 0.10,
                              friction, (0.62, 0.66, 0.60, 1.0), LEAVES[leaf])
        for vessel in (pitcher, cup, caddy):
            add_vessel(spec, vessel)
        mat, tray = spot(0.62, 0.27), spot(0.55, 0.15)
        aside = spot(0.720, -0.330, 0.006)
        colour = str(rng.choice(list(COASTERS)))
        add_mark(spec, 'mat', mat, 0.065, (0.80, 0.78, 0.70, 1.0))
        add_mark(spec, 'coaster', tray, TRAY_RADIUS, COASTERS[colour])
        placements = {
            'lid': (lid.seat(pot.rim) + 0.0005 * _UP, _IDENTITY),
            'pitcher': (spot(0.55, 0.0, 0.008) + 0.001 * _UP, _IDENTITY),
            'cup': (spot(0.67, -0.200, 0.008) + 0.001 * _UP, _IDENTITY),
            'caddy': (spot(0.55, -0.15) + 0.001 * _UP, _IDENTITY)}
        phrase = self.phrases.draw(rng, phrasing)
        return Scene(
            task=self.name, distribution=distribution, seed=seed,
            instruction=phrase.format(leaf=leaf, tray=colour),
            spec=spec, posture=start_posture(), placements=placements, keep_out=(counter,),
            facts={'layout': layout, 'pot': pot, 'lid': lid, 'cup': cup,
                   'pitcher': pitcher, 'caddy': caddy, 'mat': mat, 'tray': tray,
                   'aside': aside, 'friction': friction})

    def judge(self, world: World) -> Judge:
        """Return the judge of an episode."""
        stages = (
            Stage('opened', opened, lasting=False),
            Stage('leaves in', Pouring(filling), lasting=False),
            Stage('closed', closed),
            Stage('poured', Pouring(lambda world: pours_into_cup(
                world, world.scene.facts['pitcher'])), lasting=False),
            Stage('served', served))
        return PouringJudge(world, stages, time_limit=self.time_limit, lost=fallen)


def filling(world: World) -> bool:
    """Whether the caddy is tilted over the open pot now."""
    facts = world.scene.facts
    pot = facts['pot']
    return closed(world) == 0.0 and pours(
        world, facts['caddy'], pot.rim, pot.inner)
