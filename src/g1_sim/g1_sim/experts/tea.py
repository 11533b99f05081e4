# SPDX-License-Identifier: Apache-2.0
"""The expert for tea: the steps of a shared service, and the leaves poured into the pot."""

from __future__ import annotations

import numpy as np

from g1_sim.experts import serving
from g1_sim.experts.grasp import UP, holds, let_go_upwards, pick_from_above
from g1_sim.experts.handling import pour, put
from g1_sim.experts.skills import Expert, Script, together

# How far over the pot's rim the caddy is tilted, m: the hand passes over the pitcher.
_ABOVE = 0.095
# How high a hand lifts the caddy, so that it passes over the pitcher and the cup, m.
_LIFT = 0.16
# A caddy that stands this near the place for empty ones is empty, m.
_NEAR = 0.05


def tea(expert: Expert) -> Script:
    """Leaves in, lid on, pour a cup and serve it."""
    facts = expert.world.scene.facts
    yield from serving.begin(
        expert, [facts[name] for name in ('lid', 'pitcher', 'cup', 'caddy')])
    yield from expert.steps(
        lambda: _open(expert),
        lambda: together(_leaves_in(expert), expert.rest(facts['layout'].lead)),
        lambda: serving.put_lid_on(expert, 0.155),
        lambda: serving.pour_cup(expert, facts['pitcher']),
        lambda: serving.serve(expert))


def _emptied(expert: Expert) -> bool:
    """Whether the caddy has been poured from and put aside."""
    facts, world = expert.world.scene.facts, expert.world
    away = world.body_position(facts['caddy'].name) - facts['aside']
    return float(np.linalg.norm(away)) < _NEAR


def _open(expert: Expert) -> Script:
    if not _emptied(expert):
        yield from serving.take_lid_off(expert, 0.09)


def _leaves_in(expert: Expert) -> Script:
    """Take the caddy, pour from it into the pot and put it aside."""
    facts = expert.world.scene.facts
    side, pot, caddy = facts['layout'].other, facts['pot'], facts['caddy']
    for _ in range(serving.ATTEMPTS):
        if _emptied(expert):
            return
        yield from pick_from_above(expert, side, caddy, clear=serving.clear(expert), lift=_LIFT)
        if holds(expert, side, caddy):
            yield from pour(expert, side, caddy, pot.rim + _ABOVE * UP,
                            outwards=True)
            here, rotation = expert.hand(side)
            yield from expert.move(side, here + 0.03 * UP, rotation, exact=False)
            yield from put(expert, side, caddy, facts['aside'])
        else:
            yield from let_go_upwards(expert, side)
        yield from expert.rest(side)
