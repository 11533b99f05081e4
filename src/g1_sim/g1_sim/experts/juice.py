# SPDX-License-Identifier: Apache-2.0
"""The expert for juice: each step looks whether it is done already and tries again if not."""

from __future__ import annotations

import numpy as np

from g1_sim.experts import serving
from g1_sim.experts.grasp import UP, holds, let_go_upwards, pick_from_above, reach
from g1_sim.experts.handling import carry
from g1_sim.experts.skills import Expert, Script, together
from g1_sim.parts.button import BUTTON_TRAVEL
from g1_sim.tasks.juice import BUTTON_HEIGHT, filled

# How high a hand lifts a fruit, so that it passes over the glass, m.
_LIFT = 0.16


def juice(expert: Expert) -> Script:
    """Fill and run the juicer, pour a glass and serve it."""
    facts = expert.world.scene.facts
    yield from serving.begin(
        expert, [*(facts[name] for name in ('lid', 'jug', 'cup')), *facts['fruits']])
    order = (1, 0) if expert.flaws.wrong_item else (0, 1)
    yield from expert.steps(
        lambda: _open(expert), lambda: _fill(expert, order[0]), lambda: _fill(expert, order[1]),
        lambda: serving.put_lid_on(expert, 0.13), lambda: _press(expert),
        lambda: serving.pour_cup(expert, facts['jug']), lambda: serving.serve(expert))


def _open(expert: Expert) -> Script:
    if filled(expert.world, 0) < 1.0 or filled(expert.world, 1) < 1.0:
        yield from serving.take_lid_off(expert, 0.05)


def _fill(expert: Expert, which: int) -> Script:
    facts, world = expert.world.scene.facts, expert.world
    side, pot, fruit = facts['layout'].other, facts['pot'], facts['fruits'][which]
    # One to each side, so that they come to lie beside each other.
    aside = 0.018 if which == 0 else -0.018
    over = pot.rim + np.array([0.0, aside, fruit.radius + 0.025])
    for _ in range(serving.ATTEMPTS):
        if filled(world, which) == 1.0:
            return
        yield from pick_from_above(expert, side, fruit, clear=serving.clear(expert), lift=_LIFT)
        if holds(expert, side, fruit):
            yield from carry(expert, side, fruit, expert.place_at(over), level=False)
        yield from let_go_upwards(expert, side)
        yield from expert.rest(side)


def _press(expert: Expert) -> Script:
    facts = expert.world.scene.facts
    side, button = facts['layout'].lead, facts['button']
    rotation = reach(button, side)
    # The closed fingers' lower edge is about 0.02 m below the TCP.
    above = expert.place_at(button + (BUTTON_HEIGHT + 0.045) * UP)
    yield from expert.grip(side, 1.0)
    yield from expert.swing(side, above + 0.05 * UP, rotation)
    yield from expert.move(side, above, rotation)
    yield from expert.move(side, above - (0.030 + BUTTON_TRAVEL) * UP, rotation, speed=0.15)
    yield from expert.wait(4)
    yield from expert.move(side, above, rotation)
    yield from together(expert.rest(side), expert.grip(side, 0.0))
